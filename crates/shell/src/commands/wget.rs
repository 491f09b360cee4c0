//! `wget`. Models: busybox.

use super::connect::{Connect, Refused, Step as Way};
use super::once::{Cx, finish};
use crate::errno::Errno;
use crate::fs;
use crate::http::{Decoder, Event, Head, Headers, Url};
use crate::io::Output;
use crate::program::{Program, Step};
use crate::sys::{Fd, OpenFlags, SocketKind, Sys};
use crate::tls::{ClientHello, ServerHello};
use core::task::Poll;
use sim::{Duration, Instant, Limits};

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
enum Phase {
    Begin,
    Connect(Connect),
    Send(Vec<u8>, usize, bool),
    Hello(Vec<u8>),
    Receive(Decoder),
    Done,
}

/// `wget`
#[derive(Clone, Debug)]
pub struct Wget {
    argv: Vec<String>,
    quiet: bool,
    to: Option<String>,
    spider: bool,
    show: bool,
    headers: Vec<String>,
    post: Option<String>,
    agent: String,
    timeout: Duration,
    url: Option<Url>,
    redirects: u32,
    phase: Phase,
    fd: Option<Fd>,
    file: Option<Fd>,
    head: Option<Head>,
    got: u64,
    idle_since: Instant,
    out: Output,
    code: i32,
}

/// The entry point.
pub fn wget(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Wget {
        argv,
        quiet: false,
        to: None,
        spider: false,
        show: false,
        headers: Vec::new(),
        post: None,
        agent: "Wget".into(),
        timeout: Duration::from_secs(900),
        url: None,
        redirects: 0,
        phase: Phase::Begin,
        fd: None,
        file: None,
        head: None,
        got: 0,
        idle_since: Instant::ZERO,
        out: Output::default(),
        code: 0,
    })
}

impl Wget {
    fn begin(&mut self, sys: &mut dyn Sys) {
        self.phase = Phase::Done;
        let args = self.argv.get(1..).unwrap_or_default();
        let mut cx = Cx::new(sys, "wget", args);
        let long = [
            ("quiet", 'q'),
            ("output-document", 'O'),
            ("spider", 's'),
            ("server-response", 'S'),
            ("header", 'H'),
            ("post-data", 'p'),
            ("timeout", 'T'),
            ("tries", 't'),
            ("user-agent", 'U'),
            ("no-check-certificate", 'N'),
            ("continue", 'c'),
            ("directory-prefix", 'P'),
        ];
        let o = match super::options::parse(args, "qO:sSH:p:T:t:U:NcP:o:Y:", &long) {
            Ok(o) => o,
            Err(m) => {
                cx.err(&m);
                self.code = cx.usage();
                self.out = cx.out;
                return;
            }
        };
        let Some(text) = o.first() else {
            self.code = cx.usage();
            self.out = cx.out;
            return;
        };
        self.quiet = o.has('q');
        self.to = o.value('O').map(str::to_string);
        self.spider = o.has('s');
        self.show = o.has('S');
        self.headers = o.values('H').map(str::to_string).collect();
        self.post = o.value('p').map(str::to_string);
        if let Some(a) = o.value('U') {
            self.agent = a.into();
        }
        if let Some(t) = o.value('T').and_then(super::options::duration_ms) {
            self.timeout = Duration::from_millis(t.max(1));
        }
        self.open(sys, text);
    }

    fn fail(&mut self, sys: &mut dyn Sys, m: &str) {
        if let Phase::Connect(c) = &mut self.phase {
            c.cancel(sys);
        }
        if let Some(fd) = self.fd.take() {
            let _ = sys.close(fd);
        }
        self.out.err(&format!("wget: {m}\n"));
        self.code = 1;
        self.phase = Phase::Done;
    }

    fn open(&mut self, sys: &mut dyn Sys, text: &str) {
        let Some(url) = Url::parse(text).filter(|u| matches!(u.scheme.as_str(), "http" | "https")) else {
            return self.fail(sys, &format!("not an http or ftp url: {text}"));
        };
        self.idle_since = sys.now();
        let port = url.port_or_default();
        self.phase = Phase::Connect(Connect::new(&url.host, port, SocketKind::Tcp));
        self.url = Some(url);
    }

    fn on_connect(&mut self, sys: &mut dyn Sys) -> bool {
        let Phase::Connect(c) = &mut self.phase else { return false };
        let r = c.poll(sys);
        let steps = core::mem::take(&mut c.steps);
        let Some(url) = self.url.clone() else { return false };
        if let (Some(Way::Trying(a)), false) = (steps.first(), self.quiet) {
            let host = match url.port {
                Some(p) => format!("{}:{p}", url.host),
                None => url.host.clone(),
            };
            self.out.err(&format!("Connecting to {host} ({a})\n"));
        }
        match r {
            Poll::Pending => return false,
            Poll::Ready(Err(Refused::Unresolved(_))) => {
                self.fail(sys, &format!("bad address '{}'", url.authority()));
            }
            Poll::Ready(Err(Refused::Failed(ip, e))) => {
                self.fail(sys, &format!("can't connect to remote host ({ip}): {e}"));
            }
            Poll::Ready(Ok((fd, _))) => {
                self.fd = Some(fd);
                if url.scheme == "https" {
                    let hello = ClientHello { host: url.host.clone(), ..ClientHello::default() };
                    self.phase = Phase::Send(hello.to_bytes(), 0, true);
                } else {
                    self.request(&url);
                }
            }
        }
        true
    }

    fn request(&mut self, url: &Url) {
        let mut h = Headers::default();
        h.add("Host", &url.authority());
        h.add("User-Agent", &self.agent);
        h.add("Connection", "close");
        for l in &self.headers {
            if let Some((n, v)) = l.split_once(':') {
                h.set(n, v.trim());
            }
        }
        let method = if self.post.is_some() { "POST" } else { "GET" };
        if let Some(p) = &self.post {
            h.add("Content-Type", "application/x-www-form-urlencoded");
            h.add("Content-Length", &p.len().to_string());
        }
        let head = Head { line: [method.into(), url.path.clone(), "HTTP/1.1".into()], headers: h };
        let mut b = head.to_bytes();
        b.extend(self.post.clone().unwrap_or_default().bytes());
        self.phase = Phase::Send(b, 0, false);
    }

    fn on_send(&mut self, sys: &mut dyn Sys) -> bool {
        let (Phase::Send(b, at, hello), Some(fd)) = (&mut self.phase, self.fd) else { return false };
        match sys.write(fd, b.get(*at..).unwrap_or_default()) {
            Poll::Pending => false,
            Poll::Ready(Ok(n)) => {
                *at += n;
                if *at >= b.len() {
                    self.phase = if *hello {
                        Phase::Hello(Vec::new())
                    } else {
                        Phase::Receive(Decoder::responses(false))
                    };
                }
                true
            }
            Poll::Ready(Err(e)) => {
                self.fail(sys, &format!("write error: {e}"));
                true
            }
        }
    }

    fn on_receive(&mut self, sys: &mut dyn Sys) -> bool {
        let Some(fd) = self.fd else { return false };
        let d = match sys.read(fd, Limits::TABLE.pipe_bytes_max) {
            Poll::Pending => return false,
            Poll::Ready(Err(e)) => {
                self.fail(
                    sys,
                    &if self.head.is_none() { format!("error getting response: {e}") } else { e.to_string() },
                );
                return true;
            }
            Poll::Ready(Ok(d)) => d,
        };
        self.idle_since = sys.now();
        if let Phase::Hello(buf) = &mut self.phase {
            buf.extend(&d);
            match ServerHello::take(buf) {
                Ok(Some(_)) => {
                    if let Some(u) = self.url.clone() {
                        if !self.quiet {
                            self.out.err("wget: note: TLS certificate validation not implemented\n");
                        }
                        self.request(&u);
                    }
                }
                Ok(None) if !d.is_empty() => {}
                _ => self.fail(sys, "TLS error from peer (alert code 70): protocol version"),
            }
            return true;
        }
        let Phase::Receive(dec) = &mut self.phase else { return false };
        if d.is_empty() {
            dec.end()
        } else {
            dec.feed(&d)
        }
        if d.is_empty() && self.head.is_none() && dec.is_idle() {
            self.fail(sys, "error getting response");
            return true;
        }
        loop {
            let Phase::Receive(dec) = &mut self.phase else { return true };
            match dec.event() {
                Ok(None) => {
                    if d.is_empty() {
                        self.fail(sys, "connection closed prematurely");
                    }
                    return true;
                }
                Err(_) => {
                    self.fail(sys, "connection closed prematurely");
                    return true;
                }
                Ok(Some(Event::Head(h))) => self.on_head(sys, h),
                Ok(Some(Event::Data(d))) => {
                    self.got += d.len() as u64;
                    self.save(sys, &d);
                }
                Ok(Some(Event::End)) => {
                    self.on_end(sys);
                    return true;
                }
            }
        }
    }

    fn on_head(&mut self, sys: &mut dyn Sys, h: Head) {
        if self.show {
            let t = String::from_utf8_lossy(&h.to_bytes()).into_owned();
            for l in t.lines().filter(|l| !l.is_empty()) {
                self.out.err(&format!("  {l}\n"));
            }
        }
        let status = h.status();
        let line = h.line.join(" ");
        if (300..400).contains(&status)
            && let Some(next) = h.headers.get("Location").and_then(|l| self.url.as_ref()?.join(l))
        {
            self.redirects += 1;
            if let Some(fd) = self.fd.take() {
                let _ = sys.close(fd);
            }
            if self.redirects > 5 {
                return self.fail(sys, "too many redirections");
            }
            let text = format!("{}://{}{}", next.scheme, next.authority(), next.path);
            return self.open(sys, &text);
        }
        if status == 100 {
            return;
        }
        if !(200..300).contains(&status) {
            return self.fail(sys, &format!("server returned error: {line}"));
        }
        self.head = Some(h);
        if self.spider {
            if !self.quiet {
                self.out.err("remote file exists\n");
            }
            if let Some(fd) = self.fd.take() {
                let _ = sys.close(fd);
            }
            self.phase = Phase::Done;
            return;
        }
        if !self.quiet {
            let m = match self.name().as_str() {
                "-" => "writing to stdout\n".to_string(),
                n => format!("saving to '{n}'\n"),
            };
            self.out.err(&m);
        }
    }

    fn name(&self) -> String {
        if let Some(t) = &self.to {
            return t.clone();
        }
        let path = self.url.as_ref().map_or("", |u| u.path.as_str());
        let path = path.split('?').next().unwrap_or_default();
        if path.ends_with('/') { "index.html".into() } else { fs::basename(path).into() }
    }

    fn save(&mut self, sys: &mut dyn Sys, d: &[u8]) {
        let name = self.name();
        if name == "-" {
            self.out.put(1, d);
            return;
        }
        if self.file.is_none() {
            let flags = OpenFlags { exclusive: self.to.is_none(), ..OpenFlags::WRITE };
            match sys.open(&name, flags, 0o666) {
                Ok(fd) => self.file = Some(fd),
                Err(e) => return self.fail(sys, &format!("can't open '{name}': {e}")),
            }
        }
        if let Some(fd) = self.file {
            self.out.put(fd, d);
        }
    }

    fn on_end(&mut self, sys: &mut dyn Sys) {
        if let Some(fd) = self.fd.take() {
            let _ = sys.close(fd);
        }
        if self.got == 0 && self.name() != "-" {
            self.save(sys, b"");
        }
        if !self.quiet && self.code == 0 {
            let name = self.name();
            let bar = "*".repeat(32);
            self.out.err(&format!("{:<20.20} 100% |{bar}| {:>5}  0:00:00 ETA\n", name, self.got));
            self.out.err(&if name == "-" {
                "written to stdout\n".to_string()
            } else {
                format!("'{name}' saved\n")
            });
        }
        self.phase = Phase::Done;
    }
}

impl Program for Wget {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if matches!(self.phase, Phase::Receive(_)) && self.out.flush(sys).is_pending() {
            return Step::Wait;
        }
        if !matches!(self.phase, Phase::Begin | Phase::Done) {
            let at = self.idle_since + self.timeout;
            if sys.sleep_until(at).is_ready() {
                let late = if matches!(self.phase, Phase::Connect(_)) {
                    let ip = match &self.phase {
                        Phase::Connect(c) => c.target().map(|t| t.ip()),
                        _ => None,
                    };
                    match ip {
                        Some(ip) => format!("can't connect to remote host ({ip}): {}", Errno::ETIMEDOUT),
                        None => "download timed out".into(),
                    }
                } else {
                    "download timed out".into()
                };
                let late = if self.argv.iter().any(|a| a.starts_with("-T") || a.starts_with("--timeout")) {
                    "download timed out".into()
                } else {
                    late
                };
                self.fail(sys, &late);
                return Step::Continue;
            }
        }
        let went_on = match &self.phase {
            Phase::Begin => {
                self.begin(sys);
                true
            }
            Phase::Connect(_) => self.on_connect(sys),
            Phase::Send(..) => self.on_send(sys),
            Phase::Hello(_) | Phase::Receive(_) => self.on_receive(sys),
            Phase::Done => {
                let code = self.code;
                return finish(&mut self.out, sys, "wget", code);
            }
        };
        if went_on { Step::Continue } else { Step::Wait }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
