//! `nc` and `telnet`: bytes between standard input and output and a connection.

use super::connect::{Connect, Refused};
use super::once::{Cx, finish};
use crate::fs;
use crate::io::Output;
use crate::program::{Program, Step};
use crate::sys::{Child, Fd, Pid, STDIN, Shutdown, SocketKind, Spawn, Sys};
use core::task::Poll;
use sim::{Duration, Instant, Limits};
use std::net::{Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
enum Phase {
    Begin,
    Listen(Fd),
    Connect(Connect),
    Copy(Fd),
    Child(Pid),
    Done,
}

/// `nc`
#[derive(Clone, Debug)]
pub struct Nc {
    argv: Vec<String>,
    phase: Phase,
    host: String,
    port: u16,
    udp: bool,
    scan: bool,
    verbose: bool,
    keep: Option<Fd>,
    exec: Vec<String>,
    wait: Option<Duration>,
    idle: Instant,
    peer: Option<SocketAddr>,
    input_ended: bool,
    out: Output,
    send: Output,
    code: i32,
}

/// The entry point of `nc` and `telnet`.
pub fn nc(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Nc {
        argv,
        phase: Phase::Begin,
        host: String::new(),
        port: 0,
        udp: false,
        scan: false,
        verbose: false,
        keep: None,
        exec: Vec::new(),
        wait: None,
        idle: Instant::ZERO,
        peer: None,
        input_ended: false,
        out: Output::default(),
        send: Output::default(),
        code: 0,
    })
}

impl Nc {
    fn tool(&self) -> String {
        self.argv.first().map_or("nc", |a| fs::basename(a)).to_string()
    }

    fn fail(&mut self, m: &str) {
        let tool = self.tool();
        self.out.err(&format!("{tool}: {m}\n"));
        self.code = 1;
        self.phase = Phase::Done;
    }

    fn begin(&mut self, sys: &mut dyn Sys) {
        self.phase = Phase::Done;
        self.idle = sys.now();
        let args = self.argv.get(1..).unwrap_or_default();
        let tool = self.tool();
        // Everything after `-e` is the program.
        let (args, exec) = match args.iter().position(|a| a == "-e") {
            Some(i) => (args.get(..i).unwrap_or_default(), args.get(i + 1..).unwrap_or_default().to_vec()),
            None => (args, Vec::new()),
        };
        self.exec = exec;
        let mut cx = Cx::new(sys, &tool, args);
        let o = match super::options::parse(args, "lkuzvnp:w:i:s:q:46t", &[]) {
            Ok(o) => o,
            Err(m) => {
                cx.err(&m);
                self.code = cx.usage();
                self.out = cx.out;
                return;
            }
        };
        (self.udp, self.scan, self.verbose) = (o.has('u'), o.has('z'), o.has('v'));
        self.wait = o.value('w').and_then(super::options::duration_ms).map(Duration::from_millis);
        let keep = o.has('k') || o.flags.iter().filter(|f| f.0 == 'l').count() > 1;
        let port = |s: Option<&String>| s.and_then(|p| p.parse::<u16>().ok());
        if o.has('l') {
            let p = o.value('p').and_then(|p| p.parse().ok()).or_else(|| port(o.rest.last()));
            return self.listen(sys, p.unwrap_or(0), keep);
        }
        let default = if tool == "telnet" { Some(23) } else { None };
        let (Some(host), Some(p)) = (o.first().map(str::to_string), port(o.rest.get(1)).or(default)) else {
            self.code = cx.usage();
            self.out = cx.out;
            return;
        };
        (self.host, self.port) = (host, p);
        let kind = if self.udp { SocketKind::Udp } else { SocketKind::Tcp };
        self.phase = Phase::Connect(Connect::new(&self.host, p, kind));
    }

    fn listen(&mut self, sys: &mut dyn Sys, port: u16, keep: bool) {
        let kind = if self.udp { SocketKind::Udp } else { SocketKind::Tcp };
        let addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let r = sys.socket(kind, false).and_then(|fd| {
            sys.bind(fd, addr)?;
            if kind == SocketKind::Tcp {
                sys.listen(fd, 128)?;
            }
            Ok(fd)
        });
        match r {
            Ok(fd) => {
                if self.verbose {
                    let at = sys.local_addr(fd).unwrap_or(addr);
                    self.out.err(&format!("listening on {at} ...\n"));
                }
                if keep {
                    self.keep = Some(fd);
                }
                self.phase = if self.udp { Phase::Copy(fd) } else { Phase::Listen(fd) };
            }
            Err(e) => self.fail(&format!("bind: {e}")),
        }
    }

    /// A connection is there: a program takes it, or bytes are copied.
    fn connected(&mut self, sys: &mut dyn Sys, fd: Fd) {
        self.idle = sys.now();
        if self.scan {
            let _ = sys.close(fd);
            self.phase = Phase::Done;
            return;
        }
        if self.exec.is_empty() {
            self.phase = Phase::Copy(fd);
            self.input_ended = false;
            return;
        }
        let fds = vec![(0, fd), (1, fd), (2, 2)];
        match sys.spawn(&Spawn { fds: Some(fds), ..Spawn::new(self.exec.clone()) }) {
            Ok(pid) => {
                let _ = sys.close(fd);
                self.phase = Phase::Child(pid);
            }
            Err(e) => {
                let what = self.exec.first().cloned().unwrap_or_default();
                self.fail(&format!("can't execute '{what}': {e}"));
            }
        }
    }

    fn again(&mut self) {
        self.phase = match self.keep {
            Some(fd) => Phase::Listen(fd),
            None => Phase::Done,
        };
    }

    /// Copies what there is. True if something moved.
    fn copy(&mut self, sys: &mut dyn Sys, fd: Fd) -> bool {
        let mut moved = false;
        if !self.input_ended && self.send.len() < Limits::TABLE.pipe_bytes_max {
            match sys.read(STDIN, Limits::TABLE.pipe_bytes_max) {
                Poll::Ready(Ok(d)) if !d.is_empty() => {
                    self.idle = sys.now();
                    match (self.udp, self.peer) {
                        (true, Some(to)) => {
                            let _ = sys.send_to(fd, &d, to);
                        }
                        _ => self.send.put(fd, &d),
                    }
                    moved = true;
                }
                Poll::Ready(_) => {
                    self.input_ended = true;
                    moved = true;
                }
                Poll::Pending => {}
            }
        }
        match self.send.flush(sys) {
            Poll::Ready(Err(_)) => {
                self.code = 1;
                let _ = sys.close(fd);
                self.again();
                return true;
            }
            Poll::Ready(Ok(())) if self.input_ended && !self.udp && moved => {
                let _ = sys.shutdown(fd, Shutdown::Write);
            }
            _ => {}
        }
        let got = if self.udp && self.keep.is_none() && self.host.is_empty() {
            match sys.recv_from(fd, 65_536) {
                Poll::Ready(Ok((d, from))) => {
                    self.peer = Some(from);
                    Poll::Ready(Ok(d))
                }
                Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                Poll::Pending => Poll::Pending,
            }
        } else {
            sys.read(fd, Limits::TABLE.pipe_bytes_max)
        };
        match got {
            Poll::Ready(Ok(d)) if d.is_empty() && !self.udp => {
                let _ = sys.close(fd);
                self.again();
                return true;
            }
            Poll::Ready(Ok(d)) => {
                self.idle = sys.now();
                self.out.put(1, &d);
                moved = true;
            }
            Poll::Ready(Err(e)) => {
                let _ = sys.close(fd);
                let tool = self.tool();
                self.out.err(&format!("{tool}: read: {e}\n"));
                self.code = 1;
                self.again();
                return true;
            }
            Poll::Pending => {}
        }
        moved
    }
}

impl Program for Nc {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.out.flush(sys).is_pending() {
            return Step::Wait;
        }
        if let (Some(w), Phase::Connect(_) | Phase::Copy(_)) = (self.wait, &self.phase)
            && sys.sleep_until(self.idle + w).is_ready()
        {
            if matches!(self.phase, Phase::Connect(_)) {
                self.fail("timed out");
            } else {
                self.phase = Phase::Done;
            }
            return Step::Continue;
        }
        match &mut self.phase {
            Phase::Begin => {
                self.begin(sys);
                Step::Continue
            }
            Phase::Listen(fd) => {
                let fd = *fd;
                match sys.accept(fd) {
                    Poll::Pending => Step::Wait,
                    Poll::Ready(Ok((c, peer))) => {
                        if self.verbose {
                            self.out.err(&format!("connect to {peer}\n"));
                        }
                        if self.keep.is_none() {
                            let _ = sys.close(fd);
                        }
                        self.connected(sys, c);
                        Step::Continue
                    }
                    Poll::Ready(Err(e)) => {
                        self.fail(&format!("accept: {e}"));
                        Step::Continue
                    }
                }
            }
            Phase::Connect(c) => match c.poll(sys) {
                Poll::Pending => Step::Wait,
                Poll::Ready(Ok((fd, peer))) => {
                    if self.verbose {
                        self.out.err(&format!("{} ({}:{}) open\n", self.host, peer.ip(), peer.port()));
                    }
                    if self.tool() == "telnet" {
                        self.out.out(&format!("Connected to {}\n", self.host));
                    }
                    self.connected(sys, fd);
                    Step::Continue
                }
                Poll::Ready(Err(Refused::Unresolved(_))) => {
                    let host = self.host.clone();
                    self.fail(&format!("bad address '{host}'"));
                    Step::Continue
                }
                Poll::Ready(Err(Refused::Failed(ip, e))) => {
                    if self.verbose && self.scan {
                        let (h, p) = (self.host.clone(), self.port);
                        self.fail(&format!("{h} ({ip}:{p}): {e}"));
                    } else {
                        self.fail(&format!("can't connect to remote host ({ip}): {e}"));
                    }
                    Step::Continue
                }
            },
            Phase::Copy(fd) => {
                let fd = *fd;
                if self.copy(sys, fd) { Step::Continue } else { Step::Wait }
            }
            Phase::Child(pid) => {
                let pid = *pid;
                if sys.wait(Child::Pid(pid)).is_pending() {
                    return Step::Wait;
                }
                self.again();
                Step::Continue
            }
            Phase::Done => {
                let (tool, code) = (self.tool(), self.code);
                finish(&mut self.out, sys, &tool, code)
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
