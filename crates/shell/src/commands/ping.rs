//! `ping` and `traceroute`. Models: busybox.

use super::once::{Cx, finish};
use crate::fs;
use crate::io::Output;
use crate::program::{Program, Step};
use crate::resolve::Lookup;
use crate::signal::{Disposition, Signal};
use crate::sys::{Echo, Fd, SocketKind, Sys};
use core::task::Poll;
use sim::{Duration, Instant, Limits};
use std::collections::VecDeque;
use std::net::IpAddr;

/// `ping`
#[derive(Clone, Debug)]
pub struct Ping {
    argv: Vec<String>,
    host: String,
    lookup: Option<Lookup>,
    addr: Option<IpAddr>,
    fd: Option<Fd>,
    count: u64,
    size: usize,
    ttl: u8,
    interval: Duration,
    wait: Duration,
    deadline: Option<Instant>,
    quiet: bool,
    sent: u64,
    got: u64,
    next: Instant,
    last_sent: Instant,
    times: VecDeque<(u16, Instant)>,
    rtt: (u64, u64, u64),
    begun: bool,
    ending: Option<i32>,
    out: Output,
}

/// The entry point of `ping`.
pub fn ping(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Ping {
        argv,
        host: String::new(),
        lookup: None,
        addr: None,
        fd: None,
        count: u64::MAX,
        size: 56,
        ttl: 64,
        interval: Duration::from_secs(1),
        wait: Duration::from_secs(10),
        deadline: None,
        quiet: false,
        sent: 0,
        got: 0,
        next: Instant::ZERO,
        last_sent: Instant::ZERO,
        times: VecDeque::new(),
        rtt: (u64::MAX, 0, 0),
        begun: false,
        ending: None,
        out: Output::default(),
    })
}

fn milli(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

impl Ping {
    fn begin(&mut self, sys: &mut dyn Sys) {
        self.begun = true;
        let args = self.argv.get(1..).unwrap_or_default();
        let mut cx = Cx::new(sys, "ping", args);
        match super::options::parse(args, "c:s:t:W:w:i:I:q46An", &[]) {
            Ok(o) if o.rest.len() == 1 => {
                self.host = o.first().unwrap_or_default().to_string();
                self.count = o.value('c').and_then(|v| v.parse().ok()).filter(|c| *c > 0).unwrap_or(u64::MAX);
                self.size = o.value('s').and_then(|v| v.parse().ok()).unwrap_or(56).min(65_507);
                self.ttl = o.value('t').and_then(|v| v.parse().ok()).unwrap_or(64);
                let ms =
                    |c: char| o.value(c).and_then(super::options::duration_ms).map(Duration::from_millis);
                self.interval = ms('i').unwrap_or(self.interval).max(Duration::from_millis(2));
                self.wait = ms('W').unwrap_or(self.wait);
                self.deadline = ms('w').map(|d| cx.sys.now() + d);
                self.quiet = o.has('q');
                self.lookup = Some(Lookup::new(&self.host));
            }
            Ok(_) => self.ending = Some(cx.usage()),
            Err(m) => {
                cx.err(&m);
                self.ending = Some(cx.usage());
            }
        }
        self.out = cx.out;
    }

    fn resolve(&mut self, sys: &mut dyn Sys) -> Poll<()> {
        let Some(l) = &mut self.lookup else { return Poll::Ready(()) };
        let Poll::Ready(r) = l.poll(sys) else { return Poll::Pending };
        self.lookup = None;
        let ip = r.ok().and_then(|l| l.first().copied());
        let Some(ip) = ip else {
            self.out.err(&format!("ping: bad address '{}'\n", self.host));
            self.ending = Some(1);
            return Poll::Ready(());
        };
        self.addr = Some(ip);
        match sys.socket(SocketKind::Icmp, ip.is_ipv6()) {
            Ok(fd) => self.fd = Some(fd),
            Err(e) => {
                self.out.err(&format!("ping: permission denied (are you root?): {e}\n"));
                self.ending = Some(1);
                return Poll::Ready(());
            }
        }
        sys.sigaction(Signal::INT, Disposition::Catch);
        self.out.out(&format!("PING {} ({ip}): {} data bytes\n", self.host, self.size));
        self.next = sys.now();
        Poll::Ready(())
    }

    fn replies(&mut self, sys: &mut dyn Sys) {
        let Some(fd) = self.fd else { return };
        while let Poll::Ready(Ok(r)) = sys.ping_recv(fd) {
            let Some(i) = self.times.iter().position(|t| t.0 == r.seq) else { continue };
            if r.echo != Echo::Reply {
                continue;
            }
            let Some((_, at)) = self.times.remove(i) else { continue };
            let us = sys.now().since(at).as_micros() as u64;
            self.got += 1;
            self.rtt = (self.rtt.0.min(us), self.rtt.1.max(us), self.rtt.2.saturating_add(us));
            if !self.quiet {
                self.out.out(&format!(
                    "{} bytes from {}: seq={} ttl={} time={} ms\n",
                    r.bytes,
                    r.from,
                    r.seq,
                    r.ttl,
                    milli(us)
                ));
            }
        }
    }

    fn summary(&mut self) {
        let lost = (self.sent - self.got.min(self.sent)) * 100 / self.sent.max(1);
        self.out.out(&format!(
            "\n--- {} ping statistics ---\n{} packets transmitted, {} packets received, {lost}% packet loss\n",
            self.host, self.sent, self.got
        ));
        if let Some(average) = self.rtt.2.checked_div(self.got) {
            self.out.out(&format!(
                "round-trip min/avg/max = {}/{}/{} ms\n",
                milli(self.rtt.0),
                milli(average),
                milli(self.rtt.1)
            ));
        }
        self.ending = Some(i32::from(self.got == 0));
    }

    fn send(&mut self, sys: &mut dyn Sys) {
        let (Some(fd), Some(to)) = (self.fd, self.addr) else { return };
        let seq = self.sent as u16;
        match sys.ping_send(fd, to, seq, self.ttl, self.size) {
            Ok(()) => {
                self.sent += 1;
                self.times.push_back((seq, sys.now()));
                if self.times.len() > Limits::TABLE.files_max {
                    self.times.pop_front();
                }
                self.last_sent = sys.now();
                self.next = sys.now() + self.interval;
            }
            Err(e) => {
                self.out.err(&format!("ping: sendto: {e}\n"));
                self.ending = Some(1);
            }
        }
    }
}

impl Program for Ping {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begin(sys);
        }
        if let Some(code) = self.ending {
            return finish(&mut self.out, sys, "ping", code);
        }
        if self.resolve(sys).is_pending() {
            return Step::Wait;
        }
        if self.ending.is_some() {
            return Step::Continue;
        }
        let mut interrupted = false;
        while let Some(s) = sys.take_signal() {
            interrupted |= s == Signal::INT;
        }
        self.replies(sys);
        if self.out.flush(sys).is_pending() {
            return Step::Wait;
        }
        let now = sys.now();
        let all = self.sent >= self.count;
        let over = self.deadline.is_some_and(|d| now >= d)
            || all && (self.times.is_empty() || now >= self.last_sent + self.wait);
        if interrupted || over {
            self.summary();
            return Step::Continue;
        }
        if !all && now >= self.next {
            self.send(sys);
            return Step::Continue;
        }
        let mut at = if all { self.last_sent + self.wait } else { self.next };
        if let Some(d) = self.deadline {
            at = at.min(d);
        }
        if sys.sleep_until(at).is_pending() { Step::Wait } else { Step::Continue }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// `traceroute`
#[derive(Clone, Debug)]
pub struct Traceroute {
    argv: Vec<String>,
    begun: bool,
    numeric: bool,
    host: String,
    lookup: Option<Lookup>,
    addr: Option<IpAddr>,
    fd: Option<Fd>,
    hops: u8,
    probes: u32,
    wait: Duration,
    ttl: u8,
    probe: u32,
    seq: u16,
    sent: Option<Instant>,
    last: Option<IpAddr>,
    reached: bool,
    ending: Option<i32>,
    out: Output,
}

/// The entry point of `traceroute`.
pub fn traceroute(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Traceroute {
        argv,
        begun: false,
        numeric: false,
        host: String::new(),
        lookup: None,
        addr: None,
        fd: None,
        hops: 30,
        probes: 3,
        wait: Duration::from_secs(5),
        ttl: 1,
        probe: 0,
        seq: 0,
        sent: None,
        last: None,
        reached: false,
        ending: None,
        out: Output::default(),
    })
}

impl Traceroute {
    fn begin(&mut self, sys: &mut dyn Sys) {
        self.begun = true;
        let args = self.argv.get(1..).unwrap_or_default();
        let name = self.argv.first().map_or("", |a| fs::basename(a));
        let mut cx = Cx::new(sys, name, args);
        match super::options::parse(args, "FIlnrv46f:m:q:p:t:w:s:i:z:", &[]) {
            Ok(o) if !o.rest.is_empty() => {
                self.host = o.first().unwrap_or_default().to_string();
                self.numeric = o.has('n');
                self.hops = o.value('m').and_then(|v| v.parse().ok()).unwrap_or(30);
                self.probes = o.value('q').and_then(|v| v.parse().ok()).unwrap_or(3).clamp(1, 10);
                self.ttl = o.value('f').and_then(|v| v.parse().ok()).unwrap_or(1).max(1);
                if let Some(w) = o.value('w').and_then(super::options::duration_ms) {
                    self.wait = Duration::from_millis(w.max(10));
                }
                self.lookup = Some(Lookup::new(&self.host));
            }
            Ok(_) => self.ending = Some(cx.usage()),
            Err(m) => {
                cx.err(&m);
                self.ending = Some(cx.usage());
            }
        }
        self.out = cx.out;
    }

    fn answer(&mut self, sys: &mut dyn Sys, sent: Instant) -> bool {
        let Some(fd) = self.fd else { return false };
        while let Poll::Ready(r) = sys.ping_recv(fd) {
            let Ok(r) = r else { break };
            if r.seq != self.seq {
                continue;
            }
            if self.last != Some(r.from) {
                self.last = Some(r.from);
                let text =
                    if self.numeric { format!("  {}", r.from) } else { format!("  {0} ({0})", r.from) };
                self.out.out(&text);
            }
            self.out.out(&format!("  {} ms", milli(sys.now().since(sent).as_micros() as u64)));
            match r.echo {
                Echo::Reply => self.reached = true,
                Echo::Unreachable(code) => {
                    self.reached = true;
                    self.out.out(match code {
                        0 => " !N",
                        1 => " !H",
                        2 => " !P",
                        _ => " !X",
                    });
                }
                Echo::TimeExceeded => {}
            }
            return true;
        }
        false
    }

    fn next(&mut self) {
        self.sent = None;
        self.probe += 1;
        if self.probe >= self.probes {
            self.out.out("\n");
            self.probe = 0;
            self.last = None;
            if self.reached || self.ttl >= self.hops {
                self.ending = Some(0);
            }
            self.ttl = self.ttl.saturating_add(1);
        }
    }
}

impl Program for Traceroute {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begin(sys);
        }
        if let Some(code) = self.ending {
            return finish(&mut self.out, sys, "traceroute", code);
        }
        if let Some(l) = &mut self.lookup {
            let Poll::Ready(r) = l.poll(sys) else { return Step::Wait };
            self.lookup = None;
            self.addr = r.ok().and_then(|l| l.first().copied());
            let Some(ip) = self.addr else {
                self.out.err(&format!("traceroute: bad address '{}'\n", self.host));
                self.ending = Some(1);
                return Step::Continue;
            };
            match sys.socket(SocketKind::Icmp, false) {
                Ok(fd) => self.fd = Some(fd),
                Err(e) => {
                    self.out.err(&format!("traceroute: socket(AF_INET,3,1): {e}\n"));
                    self.ending = Some(1);
                    return Step::Continue;
                }
            }
            self.out.out(&format!(
                "traceroute to {} ({ip}), {} hops max, 46 byte packets\n",
                self.host, self.hops
            ));
        }
        if self.out.flush(sys).is_pending() {
            return Step::Wait;
        }
        let (Some(fd), Some(to)) = (self.fd, self.addr) else { return Step::Exit(1) };
        match self.sent {
            None => {
                if self.probe == 0 {
                    self.out.out(&format!("{:2}", self.ttl));
                }
                self.seq = self.seq.wrapping_add(1);
                match sys.ping_send(fd, to, self.seq, self.ttl, 18) {
                    Ok(()) => self.sent = Some(sys.now()),
                    Err(e) => {
                        self.out.err(&format!("traceroute: sendto: {e}\n"));
                        self.ending = Some(1);
                    }
                }
                Step::Continue
            }
            Some(at) => {
                if self.answer(sys, at) {
                    self.next();
                    return Step::Continue;
                }
                if sys.sleep_until(at + self.wait).is_pending() {
                    return Step::Wait;
                }
                self.out.out("  *");
                self.next();
                Step::Continue
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
