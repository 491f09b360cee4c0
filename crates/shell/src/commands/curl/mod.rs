//! `curl`. Models: curl 8.5 (texts of 7.88 and later).

mod options;

use super::connect::{Connect, Refused, Step as Way};
use super::once::finish;
use crate::http::{Decoder, Event, Head, Headers, Url};
use crate::io::{self, Output};
use crate::program::{Program, Step};
use crate::sys::{Fd, OpenFlags, STDIN, STDOUT, Shutdown, SocketKind, Sys};
use crate::tls::{ClientHello, Distrust, ServerHello};
use base64::Engine;
use core::task::Poll;
use options::Opts;
use sim::{Duration, Instant, Limits};
use std::net::SocketAddr;

const VERSION: &str = "8.5.0";
const REDIRECTS: usize = 50;

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
enum Phase {
    Begin,
    Stdin,
    Connect(Connect),
    Hello,
    Send(Vec<u8>, usize),
    Receive(Decoder),
    Finish,
    Pause(Instant),
}

/// `curl`
#[derive(Clone, Debug)]
pub struct Curl {
    argv: Vec<String>,
    opts: Opts,
    phase: Phase,
    url_at: usize,
    url: Option<Url>,
    redirects: usize,
    fd: Option<Fd>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    began: Instant,
    marks: [Option<Instant>; 4],
    buf: Vec<u8>,
    head: Option<Head>,
    received: u64,
    sent: u64,
    file: Option<Fd>,
    out: Output,
    stdin: Vec<u8>,
    code: i32,
    tried: u32,
    meter: bool,
    verbose_data: bool,
    /// Whether the server speaks HTTP/2.
    h2: bool,
}

/// The entry point.
pub fn curl(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Curl {
        argv,
        opts: Opts::default(),
        phase: Phase::Begin,
        url_at: 0,
        url: None,
        redirects: 0,
        fd: None,
        peer: None,
        local: None,
        began: Instant::ZERO,
        marks: [None; 4],
        buf: Vec::new(),
        head: None,
        h2: false,
        received: 0,
        sent: 0,
        file: None,
        out: Output::default(),
        stdin: Vec::new(),
        code: 0,
        tried: 0,
        meter: false,
        verbose_data: false,
    })
}

impl Curl {
    /// Ends a transfer with an error.
    fn fail(&mut self, sys: &mut dyn Sys, code: i32, message: &str) {
        self.hang_up(sys);
        self.end_meter(sys, false);
        let can_retry = matches!(code, 28)
            || code == 7 && self.argv.iter().any(|a| a == "--retry-connrefused" || a == "--retry-all-errors");
        if self.tried < self.opts.retry && can_retry {
            self.tried += 1;
            let wait = 1u64 << (self.tried - 1).min(9);
            if !self.opts.silent || self.opts.show_error {
                let left = self.opts.retry - self.tried + 1;
                self.out.err(&format!(
                    "Warning: Problem: {}. Will retry in {wait} seconds. {left} retries left.\n",
                    if code == 28 { "timeout" } else { "connection refused" }
                ));
            }
            self.phase = Phase::Pause(sys.now() + Duration::from_secs(wait));
            return;
        }
        if !self.opts.silent || self.opts.show_error {
            self.out.err(&format!("curl: ({code}) {message}\n"));
        }
        self.code = code;
        self.finished(sys);
    }

    fn hang_up(&mut self, sys: &mut dyn Sys) {
        if let Phase::Connect(c) = &mut self.phase {
            c.cancel(sys);
        }
        if let Some(fd) = self.fd.take() {
            let _ = sys.close(fd);
        }
    }

    /// A transfer has ended, well or not: the write-out text, then the next URL.
    fn finished(&mut self, sys: &mut dyn Sys) {
        if let Some(f) = self.opts.format.clone() {
            let t = self.write_out(sys, &f);
            self.out.out(&t);
        }
        self.url_at += 1;
        self.tried = 0;
        self.phase = Phase::Finish;
    }

    fn write_out(&self, sys: &mut dyn Sys, f: &str) -> String {
        let (text, _) = crate::text::unescape(f, crate::text::Escapes::Printf);
        let text = String::from_utf8_lossy(&text).into_owned();
        let since = |m: Option<Instant>| m.map_or(0.0, |m| m.since(self.began).as_micros() as f64 / 1e6);
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(i) = rest.find("%{") {
            out.push_str(rest.get(..i).unwrap_or_default());
            rest = rest.get(i + 2..).unwrap_or_default();
            let Some(e) = rest.find('}') else {
                out.push_str("%{");
                break;
            };
            let name = rest.get(..e).unwrap_or_default();
            rest = rest.get(e + 1..).unwrap_or_default();
            let status = self.head.as_ref().map_or(0, Head::status);
            out.push_str(&match name {
                "http_code" | "response_code" => format!("{status:03}"),
                "time_total" => format!("{:.6}", since(Some(sys.now()))),
                "time_namelookup" => format!("{:.6}", since(self.marks[0])),
                "time_connect" => format!("{:.6}", since(self.marks[1])),
                "time_appconnect" => format!("{:.6}", since(self.marks[2])),
                "time_pretransfer" => format!("{:.6}", since(self.marks[1])),
                "time_starttransfer" => format!("{:.6}", since(self.marks[3])),
                "remote_ip" => self.peer.map_or(String::new(), |p| p.ip().to_string()),
                "remote_port" => self.peer.map_or("0".into(), |p| p.port().to_string()),
                "local_ip" => self.local.map_or(String::new(), |p| p.ip().to_string()),
                "local_port" => self.local.map_or("0".into(), |p| p.port().to_string()),
                "size_download" => self.received.to_string(),
                "size_upload" => self.opts.data.len().to_string(),
                "num_redirects" => self.redirects.to_string(),
                "url" | "url_effective" => self
                    .url
                    .as_ref()
                    .map_or(String::new(), |u| format!("{}://{}{}", u.scheme, u.authority(), u.path)),
                "content_type" => self
                    .head
                    .as_ref()
                    .and_then(|h| h.headers.get("Content-Type"))
                    .unwrap_or_default()
                    .to_string(),
                "method" => self.method().to_string(),
                "exitcode" => self.code.to_string(),
                "scheme" => self.url.as_ref().map_or(String::new(), |u| u.scheme.clone()),
                "errormsg" => String::new(),
                _ => String::new(),
            });
        }
        out.push_str(rest);
        out
    }

    fn method(&self) -> &str {
        match &self.opts.method {
            Some(m) => m,
            None if self.opts.head => "HEAD",
            None if self.opts.upload.is_some() => "PUT",
            None if self.opts.has_data && !self.opts.get => "POST",
            None => "GET",
        }
    }

    fn note(&mut self, text: &str) {
        if self.opts.verbose {
            self.out.err(&format!("* {text}\n"));
        }
    }

    /// The table that shows progress where the output goes to a file.
    fn begin_meter(&mut self, sys: &mut dyn Sys) {
        let to_tty = sys.isatty(STDOUT) && self.opts.out.is_none() && !self.opts.remote_name;
        if self.opts.silent || to_tty || self.argv.iter().any(|a| a == "--no-progress-meter") {
            return;
        }
        if !self.meter {
            self.out.err("  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n");
        }
        self.meter = true;
        self.out.err("\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0");
    }

    fn end_meter(&mut self, sys: &mut dyn Sys, done: bool) {
        if !self.meter {
            return;
        }
        let ms = (sys.now().since(self.began).as_millis() as u64).max(1);
        let n = self.received;
        let speed = |v: u64| {
            if v < 100_000 { v.to_string() } else { format!("{}k", v / 1024) }
        };
        let spent = if ms >= 1000 {
            let s = ms / 1000;
            format!("{:2}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
        } else {
            "--:--:--".into()
        };
        let up = self.opts.data.len() as u64;
        let pct = |v: u64| if v > 0 { 100 } else { 0 };
        if done {
            self.out.err(&format!(
                "\r{:3} {:>5}  {:3} {:>5}  {:3} {:>5}  {:>5}  {:>5} --:--:-- {spent} --:--:-- {:>5}\n",
                pct(n + up),
                n + up,
                pct(n),
                n,
                pct(up),
                up,
                speed(n * 1000 / ms),
                speed(up * 1000 / ms),
                speed(n * 1000 / ms),
            ));
        } else {
            self.out.err(&format!(
                "\r  0     0    0     0    0     0      0      0 --:--:-- {spent} --:--:--     0\n"
            ));
        }
    }

    // Phases.

    fn begin_url(&mut self, sys: &mut dyn Sys) {
        let Some(text) = self.opts.urls.get(self.url_at).cloned() else {
            self.phase = Phase::Finish;
            return;
        };
        self.began = sys.now();
        self.redirects = 0;
        self.open(sys, &text);
    }

    fn open(&mut self, sys: &mut dyn Sys, text: &str) {
        let Some(mut url) = Url::parse(text) else {
            return self.fail(sys, 3, "URL using bad/illegal format or missing URL");
        };
        if !matches!(url.scheme.as_str(), "http" | "https") {
            let m = format!("Protocol \"{}\" not supported or disabled in libcurl", url.scheme);
            return self.fail(sys, 1, &m);
        }
        if self.opts.get && self.opts.has_data {
            let sep = if url.path.contains('?') { '&' } else { '?' };
            url.path.push(sep);
            url.path.push_str(&String::from_utf8_lossy(&self.opts.data));
        }
        if self.redirects == 0 && self.tried == 0 {
            self.begin_meter(sys);
        }
        self.url = Some(url);
        self.connect();
    }

    fn connect(&mut self) {
        let Some(url) = self.url.clone() else { return };
        (self.marks, self.received, self.head) = ([None; 4], 0, None);
        self.buf.clear();
        let port = url.port_or_default();
        let host = self
            .opts
            .resolve
            .iter()
            .find(|r| r.0 == url.host && r.1 == port)
            .map_or(url.host, |r| r.2.clone());
        self.phase = Phase::Connect(Connect::new(&host, port, SocketKind::Tcp));
    }

    fn on_connect(&mut self, sys: &mut dyn Sys) -> bool {
        let Phase::Connect(c) = &mut self.phase else { return false };
        let r = c.poll(sys);
        let steps = core::mem::take(&mut c.steps);
        self.marks[0] = c.resolved;
        let Some(url) = self.url.clone() else { return false };
        for s in steps {
            match s {
                Way::Trying(a) => {
                    if self.opts.verbose {
                        self.out.err(&format!("*   Trying {a}...\n"));
                    }
                }
                Way::Failed(a, e) => {
                    let m = format!("connect to {} port {} failed: {e}", a.ip(), a.port());
                    self.note(&m);
                }
            }
        }
        match r {
            Poll::Pending => return false,
            Poll::Ready(Err(Refused::Unresolved(_))) => {
                let m = format!("Could not resolve host: {}", url.host);
                self.note(&m);
                self.note("Closing connection");
                self.fail(sys, 6, &m);
            }
            Poll::Ready(Err(Refused::Failed(..))) => {
                let ms = sys.now().since(self.began).as_millis();
                let m = format!(
                    "Failed to connect to {} port {} after {ms} ms: Couldn't connect to server",
                    url.host,
                    url.port_or_default()
                );
                self.note(&m);
                self.note("Closing connection");
                self.fail(sys, 7, &m);
            }
            Poll::Ready(Ok((fd, peer))) => {
                self.marks[1] = Some(sys.now());
                self.fd = Some(fd);
                self.peer = Some(peer);
                self.local = sys.local_addr(fd).ok();
                let m = format!("Connected to {} ({}) port {}", url.host, peer.ip(), peer.port());
                self.note(&m);
                if url.scheme == "https" { self.say_hello(sys, &url) } else { self.request(&url) }
            }
        }
        true
    }

    fn say_hello(&mut self, sys: &mut dyn Sys, url: &Url) {
        self.note("ALPN: curl offers h2,http/1.1");
        let mut hello = ClientHello { host: url.host.clone(), ..ClientHello::default() };
        if let Some(c) = self.opts.cert.clone()
            && let Ok(t) = io::read_text(sys, c.split(':').next().unwrap_or_default())
        {
            // A client certificate's subject stands in clear in its PEM text.
            let field = |k: &str| {
                t.lines()
                    .filter_map(|l| l.strip_prefix(k))
                    .map(str::trim)
                    .map(str::to_string)
                    .collect::<Vec<_>>()
            };
            hello.user = field("CN=").into_iter().next();
            hello.groups = field("O=");
        }
        self.phase = Phase::Send(hello.to_bytes(), 0);
        self.verbose_data = true;
    }

    fn on_hello(&mut self, sys: &mut dyn Sys) {
        let Some(url) = self.url.clone() else { return };
        match ServerHello::take(&mut self.buf) {
            Ok(None) => {}
            Err(()) => {
                self.fail(sys, 35, "OpenSSL/3.0.15: error:0A00010B:SSL routines::wrong version number")
            }
            Ok(Some(h)) => {
                let path =
                    self.opts.cacert.clone().unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
                let bundle = match io::read_text(sys, &path) {
                    Ok(b) => b,
                    Err(_) if self.opts.cacert.is_some() && !self.opts.insecure => {
                        let m = format!(
                            "error setting certificate verify locations:  CAfile: {path} CApath: none"
                        );
                        return self.fail(sys, 77, &m);
                    }
                    Err(_) => String::new(),
                };
                if !self.opts.insecure
                    && let Err(d) = h.verify(&url.host, &bundle)
                {
                    let m = match d {
                        Distrust::UnknownIssuer => {
                            "SSL certificate problem: unable to get local issuer certificate".into()
                        }
                        Distrust::SelfSigned => "SSL certificate problem: self-signed certificate".into(),
                        Distrust::WrongHost => format!(
                            "SSL: no alternative certificate subject name matches target host name '{}'",
                            url.host
                        ),
                    };
                    let more = "\nMore details here: https://curl.se/docs/sslcerts.html\n\ncurl failed to verify the legitimacy of the server and therefore could not\nestablish a secure connection to it. To learn more about this situation and\nhow to fix it, please visit the web page mentioned above.";
                    let m = if d == Distrust::WrongHost { m } else { format!("{m}{more}") };
                    return self.fail(sys, 60, &m);
                }
                self.marks[2] = Some(sys.now());
                self.h2 = h.h2;
                self.note("SSL connection using TLSv1.3 / TLS_AES_128_GCM_SHA256");
                self.request(&url);
            }
        }
    }

    fn request(&mut self, url: &Url) {
        let mut h = Headers::default();
        h.add("Host", &url.authority());
        if let Some(u) = self.opts.user.clone().or_else(|| url.user.clone()) {
            let token = base64::engine::general_purpose::STANDARD.encode(u);
            h.add("Authorization", &format!("Basic {token}"));
        }
        h.add("User-Agent", &self.opts.agent.clone().unwrap_or_else(|| format!("curl/{VERSION}")));
        h.add("Accept", "*/*");
        let body = self.opts.has_data && !self.opts.get && self.redirects == 0;
        if body {
            h.add("Content-Length", &self.opts.data.len().to_string());
            let kind =
                if self.opts.form { "multipart/form-data" } else { "application/x-www-form-urlencoded" };
            h.add("Content-Type", kind);
        }
        for line in &self.opts.headers {
            match line.split_once(':') {
                Some((n, v)) if v.trim().is_empty() => h.0.retain(|f| !f.0.eq_ignore_ascii_case(n)),
                Some((n, v)) if h.get(n).is_some() => h.set(n, v.trim()),
                Some((n, v)) => h.add(n, v.trim()),
                None => {
                    if let Some(n) = line.strip_suffix(';') {
                        h.add(n, "");
                    }
                }
            }
        }
        let head =
            Head { line: [self.method().to_string(), url.path.clone(), "HTTP/1.1".into()], headers: h };
        let mut bytes = head.to_bytes();
        if self.opts.verbose {
            for l in String::from_utf8_lossy(&bytes).lines() {
                self.out.err(&format!("> {l}\n"));
            }
        }
        if body {
            bytes.extend(&self.opts.data);
        }
        self.sent = bytes.len() as u64;
        self.verbose_data = false;
        self.phase = Phase::Send(bytes, 0);
    }

    fn on_send(&mut self, sys: &mut dyn Sys) -> bool {
        let (Phase::Send(bytes, at), Some(fd)) = (&mut self.phase, self.fd) else { return false };
        match sys.write(fd, bytes.get(*at..).unwrap_or_default()) {
            Poll::Pending => return false,
            Poll::Ready(Ok(n)) => {
                *at += n;
                if *at >= bytes.len() {
                    self.phase = if self.verbose_data {
                        Phase::Hello
                    } else {
                        Phase::Receive(Decoder::responses(self.opts.head))
                    };
                }
            }
            Poll::Ready(Err(e)) => {
                let m = format!("Send failure: {e}");
                self.fail(sys, 55, &m);
            }
        }
        true
    }

    fn on_receive(&mut self, sys: &mut dyn Sys) -> bool {
        let Some(fd) = self.fd else { return false };
        let hello = matches!(self.phase, Phase::Hello);
        match sys.read(fd, Limits::TABLE.pipe_bytes_max) {
            Poll::Pending => false,
            Poll::Ready(Err(e)) => {
                let m = format!("Recv failure: {e}");
                self.note(&m);
                self.note("Closing connection");
                self.fail(sys, if hello { 35 } else { 56 }, &m);
                true
            }
            Poll::Ready(Ok(d)) if hello => {
                if d.is_empty() {
                    self.fail(sys, 35, "OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to server");
                } else {
                    self.buf.extend(d);
                    self.on_hello(sys);
                }
                true
            }
            Poll::Ready(Ok(d)) => {
                if let Phase::Receive(dec) = &mut self.phase {
                    if d.is_empty() {
                        dec.end()
                    } else {
                        dec.feed(&d)
                    }
                    if d.is_empty() && self.head.is_none() && dec.is_idle() {
                        self.note("Empty reply from server");
                        self.note("Closing connection");
                        self.fail(sys, 52, "Empty reply from server");
                        return true;
                    }
                }
                if self.marks[3].is_none() {
                    self.marks[3] = Some(sys.now());
                }
                self.events(sys, d.is_empty());
                true
            }
        }
    }

    fn events(&mut self, sys: &mut dyn Sys, ended: bool) {
        loop {
            let Phase::Receive(dec) = &mut self.phase else { return };
            match dec.event() {
                Ok(None) => {
                    if ended {
                        let left = "transfer closed with outstanding read data remaining";
                        self.fail(sys, 18, left);
                    }
                    return;
                }
                Err(_) if self.head.is_some() => {
                    return self.fail(sys, 18, "transfer closed with outstanding read data remaining");
                }
                Err(_) => return self.fail(sys, 1, "Received HTTP/0.9 when not allowed"),
                Ok(Some(Event::Head(h))) => self.on_head(sys, h),
                Ok(Some(Event::Data(d))) => self.on_data(sys, &d),
                Ok(Some(Event::End)) => {
                    self.on_end(sys);
                    return;
                }
            }
        }
    }

    fn follows(&self) -> Option<Url> {
        let h = self.head.as_ref()?;
        if !self.opts.location || !matches!(h.status(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        self.url.as_ref()?.join(h.headers.get("Location")?)
    }

    fn on_head(&mut self, sys: &mut dyn Sys, h: Head) {
        let bytes = if self.h2 { h2_bytes(&h) } else { h.to_bytes() };
        if self.opts.verbose {
            for l in String::from_utf8_lossy(&bytes).lines() {
                self.out.err(&format!("< {l}\n"));
            }
        }
        if h.status() == 100 {
            return;
        }
        let error = h.status() >= 400 && self.opts.fail;
        self.head = Some(h);
        if self.opts.include || self.opts.head {
            self.deliver(sys, &bytes);
        }
        if error {
            let code = self.head.as_ref().map_or(0, Head::status);
            self.note("Closing connection");
            self.fail(sys, 22, &format!("The requested URL returned error: {code}"));
        }
    }

    fn on_data(&mut self, sys: &mut dyn Sys, d: &[u8]) {
        self.received += d.len() as u64;
        if self.opts.verbose && !sys.isatty(STDOUT) {
            self.out.err(&format!("{{ [{} bytes data]\n", d.len()));
        }
        if self.follows().is_none() {
            self.deliver(sys, d);
        }
    }

    fn deliver(&mut self, sys: &mut dyn Sys, d: &[u8]) {
        let name = match (&self.opts.out, self.opts.remote_name, &self.url) {
            (Some(o), ..) if o != "-" => Some(o.clone()),
            (None, true, Some(u)) => {
                Some(crate::fs::basename(u.path.split('?').next().unwrap_or_default()).to_string())
            }
            _ => None,
        };
        let Some(name) = name else {
            self.out.put(STDOUT, d);
            return;
        };
        if self.file.is_none() {
            match sys.open(&name, OpenFlags::WRITE, 0o644) {
                Ok(fd) => self.file = Some(fd),
                Err(e) => {
                    self.out.err(&format!("Warning: Failed to open the file {name}: {e}\n"));
                    self.fail(sys, 23, "Failure writing output to destination");
                    return;
                }
            }
        }
        if let Some(fd) = self.file {
            self.out.put(fd, d);
        }
    }

    fn on_end(&mut self, sys: &mut dyn Sys) {
        let close = self.head.as_ref().is_none_or(|h| {
            h.headers.has_token("Connection", "close") || h.line.first().is_some_and(|v| v == "HTTP/1.0")
        });
        let host = self.url.as_ref().map_or(String::new(), |u| u.host.clone());
        if close {
            self.note("Closing connection");
        } else {
            self.note(&format!("Connection #0 to host {host} left intact"));
        }
        if let Some(fd) = self.fd.take() {
            let _ = sys.shutdown(fd, Shutdown::Both);
            let _ = sys.close(fd);
        }
        if let Some(next) = self.follows() {
            self.redirects += 1;
            if self.redirects > REDIRECTS {
                return self.fail(sys, 47, &format!("Maximum ({REDIRECTS}) redirects followed"));
            }
            let text = format!("{}://{}{}", next.scheme, next.authority(), next.path);
            self.note(&format!("Issue another request to this URL: '{text}'"));
            return self.open(sys, &text);
        }
        self.end_meter(sys, true);
        self.finished(sys);
    }

    /// Whether a time limit has passed; its error, if so.
    fn late(&mut self, sys: &mut dyn Sys) -> bool {
        let now = sys.now();
        let ms = |s: &Self| now.since(s.began).as_millis();
        if let Some(m) = self.opts.max_time {
            let at = self.began + m;
            if sys.sleep_until(at).is_ready() {
                let t = ms(self);
                let text = match &self.phase {
                    Phase::Connect(c) if c.resolved.is_none() => {
                        format!("Resolving timed out after {t} milliseconds")
                    }
                    Phase::Connect(_) => format!("Connection timed out after {t} milliseconds"),
                    _ => {
                        let total = self.head.as_ref().and_then(|h| h.headers.get("Content-Length"));
                        match total {
                            Some(n) => format!(
                                "Operation timed out after {t} milliseconds with {} out of {n} bytes received",
                                self.received
                            ),
                            None => format!(
                                "Operation timed out after {t} milliseconds with {} bytes received",
                                self.received
                            ),
                        }
                    }
                };
                self.fail(sys, 28, &text);
                return true;
            }
        }
        if let (Some(m), Phase::Connect(c)) = (self.opts.connect_time, &self.phase) {
            let resolving = c.resolved.is_none();
            let at = self.began + m;
            if sys.sleep_until(at).is_ready() {
                let t = ms(self);
                let u = self.url.clone();
                let text = if resolving {
                    format!("Resolving timed out after {t} milliseconds")
                } else {
                    let (h, p) = u.map_or((String::new(), 0), |u| (u.host.clone(), u.port_or_default()));
                    format!("Failed to connect to {h} port {p} after {t} ms: Timeout was reached")
                };
                self.fail(sys, 28, &text);
                return true;
            }
        }
        false
    }

    fn begin(&mut self, sys: &mut dyn Sys) {
        let wants = self.argv.iter().any(|a| a == "@-" || a.ends_with("=@-") || a == "-d@-");
        if wants && !matches!(self.phase, Phase::Stdin) {
            self.phase = Phase::Stdin;
            return;
        }
        self.phase = Phase::Finish;
        match self.parse(sys) {
            Ok(()) if self.opts.urls.is_empty() => {
                self.out.err("curl: try 'curl --help' or 'curl --manual' for more information\n");
                self.code = 2;
            }
            Ok(()) if self.opts.urls.first().is_some_and(String::is_empty) => {
                self.url_at = self.opts.urls.len()
            }
            Ok(()) => {
                if let Some(f) = self.opts.upload.clone() {
                    match io::read_file(sys, &f) {
                        Ok(d) => {
                            self.opts.data = d;
                            self.opts.has_data = true;
                        }
                        Err(_) => {
                            self.out.err(&format!("curl: Can't open '{f}'!\ncurl: try 'curl --help' or 'curl --manual' for more information\n"));
                            self.code = 26;
                            self.url_at = self.opts.urls.len();
                            return;
                        }
                    }
                }
                self.begin_url(sys);
            }
            Err((m, code)) => {
                let hint = if code == 2 {
                    "curl: try 'curl --help' or 'curl --manual' for more information\n"
                } else {
                    ""
                };
                self.out.err(&format!("curl: {m}\n{hint}"));
                self.code = code;
                self.opts.urls.clear();
            }
        }
    }
}

impl Program for Curl {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.out.len() > Limits::TABLE.pipe_bytes_max || matches!(self.phase, Phase::Receive(_)) {
            match self.out.flush(sys) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Err((1, _))) => {
                    self.fail(sys, 23, "Failure writing output to destination");
                    return Step::Continue;
                }
                Poll::Ready(_) => {}
            }
        }
        if matches!(self.phase, Phase::Connect(_) | Phase::Hello | Phase::Send(..) | Phase::Receive(_))
            && self.late(sys)
        {
            return Step::Continue;
        }
        let went_on = match &self.phase {
            Phase::Begin => {
                self.begin(sys);
                true
            }
            Phase::Stdin => match sys.read(STDIN, Limits::TABLE.pipe_bytes_max) {
                Poll::Pending => false,
                Poll::Ready(Ok(d)) if !d.is_empty() && self.stdin.len() < Limits::TABLE.file_bytes_max => {
                    self.stdin.extend(d);
                    true
                }
                Poll::Ready(_) => {
                    self.begin(sys);
                    true
                }
            },
            Phase::Connect(_) => self.on_connect(sys),
            Phase::Send(..) => self.on_send(sys),
            Phase::Hello | Phase::Receive(_) => self.on_receive(sys),
            Phase::Pause(at) => {
                let at = *at;
                if sys.sleep_until(at).is_pending() {
                    if self.out.flush(sys).is_pending() {
                        return Step::Wait;
                    }
                    false
                } else {
                    self.began = sys.now();
                    self.connect();
                    true
                }
            }
            Phase::Finish => {
                if self.url_at < self.opts.urls.len() {
                    match self.out.flush(sys) {
                        Poll::Pending => return Step::Wait,
                        Poll::Ready(_) => {
                            if let Some(fd) = self.file.take() {
                                let _ = sys.close(fd);
                            }
                            self.begin_url(sys);
                        }
                    }
                    return Step::Continue;
                }
                let code = self.code;
                return finish(&mut self.out, sys, "curl", code);
            }
        };
        if went_on { Step::Continue } else { Step::Wait }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// An answer's head as curl shows it over HTTP/2: no reason, names in lower case and in Go's order, length and date last.
fn h2_bytes(h: &Head) -> Vec<u8> {
    let mut fields: Vec<(String, &str)> =
        h.headers.0.iter().map(|(n, v)| (n.to_lowercase(), v.as_str())).collect();
    fields.retain(|(n, _)| !matches!(n.as_str(), "connection" | "transfer-encoding"));
    let rank = |n: &str| match n {
        "content-length" => 1,
        "date" => 2,
        _ => 0,
    };
    fields.sort_by(|a, b| (rank(&a.0), &a.0).cmp(&(rank(&b.0), &b.0)));
    let mut s = format!("HTTP/2 {} \r\n", h.status());
    for (n, v) in fields {
        s += &format!("{n}: {v}\r\n");
    }
    s += "\r\n";
    s.into_bytes()
}
