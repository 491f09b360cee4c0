//! `nginx`: master and workers, static files, basic configuration, the access and error logs, graceful and fast shutdown,
//! reload. Models: nginx 1.27 as the official image runs it. Of the configuration: `listen`, `server_name`, `root`, `alias`,
//! `index`, `location` (prefix, `=`, `^~`, `~`, `~*`), `return`, `try_files`, `autoindex`, `error_page`, `add_header`,
//! `access_log off`, `worker_processes`, `include`. Absent: TLS, proxying, rewriting, compression.

use super::server::{Incoming, Server};
use core::task::Poll;
use shell::errno::Errno;
use shell::fs;
use shell::http::{Head, Headers, Request, date, reason};
use shell::io::{Output, read_file, read_text};
use shell::program::{Program, Step};
use shell::regex::Regex;
use shell::sys::{Child, ExitStatus, Fd, OpenFlags, Pid, Sys};
use shell::{Disposition, Signal};
use sim::{Civil, Duration, Limits};
use std::collections::BTreeMap;
use std::sync::Arc;

const VERSION: &str = "1.27.3";

// Configuration.

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directive {
    words: Vec<String>,
    block: Vec<Directive>,
    at: (String, u32),
}

#[derive(Clone, Debug)]
enum Match {
    Exact(String),
    Prefix(String, bool),
    Regex(Regex),
}

#[derive(Clone, Debug, Default)]
struct Settings {
    root: Option<String>,
    alias: Option<String>,
    index: Vec<String>,
    autoindex: bool,
    log: Option<String>,
    code: Option<(u16, String)>,
    try_files: Vec<String>,
    headers: Vec<(String, String)>,
    error_pages: Vec<(u16, String)>,
}

#[derive(Clone, Debug)]
struct Location {
    rule: Match,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Site {
    ports: Vec<u16>,
    names: Vec<String>,
    settings: Settings,
    locations: Vec<Location>,
}

#[derive(Clone, Debug, Default)]
struct Config {
    sites: Vec<Site>,
    workers: usize,
    error_log: String,
    daemon: bool,
    types: BTreeMap<String, String>,
    default_type: String,
}

type Parsed<T> = Result<T, String>;

/// Words, `;`, `{` and `}` of a configuration with their lines.
fn lex(text: &str, file: &str) -> Parsed<Vec<(String, u32, bool)>> {
    let mut out = Vec::new();
    let (mut line, mut it) = (1, text.chars().peekable());
    while let Some(c) = it.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while it.next_if(|c| *c != '\n').is_some() {},
            ';' | '{' | '}' => out.push((c.to_string(), line, true)),
            '"' | '\'' => {
                let mut s = String::new();
                loop {
                    match it.next() {
                        None => {
                            return Err(format!(
                                "unexpected end of file, expecting \"{c}\" in {file}:{line}"
                            ));
                        }
                        Some(x) if x == c => break,
                        Some('\\') => s.extend(it.next()),
                        Some(x) => {
                            line += u32::from(x == '\n');
                            s.push(x);
                        }
                    }
                }
                out.push((s, line, false));
            }
            c => {
                let mut s = String::from(c);
                while let Some(x) = it.next_if(|c| !c.is_whitespace() && !matches!(c, ';' | '{')) {
                    s.push(x);
                }
                // `${name}` is a part of a word.
                out.push((s, line, false));
            }
        }
    }
    Ok(out)
}

fn parse(sys: &mut dyn Sys, file: &str, depth: usize) -> Parsed<Vec<Directive>> {
    if depth > 8 {
        return Err(format!("too many nested includes in {file}"));
    }
    let text = read_text(sys, file).map_err(|e| format!("open() \"{file}\" failed ({}: {e})", e.number()))?;
    let toks = lex(&text, file)?;
    let mut at = 0;
    let list = block(sys, &toks, &mut at, file, depth, false)?;
    Ok(list)
}

fn block(
    sys: &mut dyn Sys,
    toks: &[(String, u32, bool)],
    at: &mut usize,
    file: &str,
    depth: usize,
    inner: bool,
) -> Parsed<Vec<Directive>> {
    if depth > Limits::TABLE.shell_nesting_max {
        return Err(format!("too deep nesting in {file}"));
    }
    let mut out = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut line = 1;
    while let Some((t, l, special)) = toks.get(*at) {
        *at += 1;
        if !special {
            if words.is_empty() {
                line = *l;
            }
            words.push(t.clone());
            continue;
        }
        let here = (file.to_string(), line);
        match t.as_str() {
            ";" if words.is_empty() => return Err(format!("unexpected \";\" in {file}:{l}")),
            ";" => {
                let words = core::mem::take(&mut words);
                if words.first().is_some_and(|w| w == "include") {
                    let base = fs::join(fs::dirname("/etc/nginx/nginx.conf"), "");
                    let pat = words.get(1).cloned().unwrap_or_default();
                    let pat = if pat.starts_with('/') { pat } else { format!("{base}{pat}") };
                    let files = if shell::sh::pattern::is_glob(&pat) {
                        shell::sh::expand::glob(sys, &pat)
                    } else {
                        vec![pat]
                    };
                    for f in files {
                        out.extend(parse(sys, &f, depth + 1).map_err(|m| {
                            if m.starts_with("open()") { format!("{m} in {file}:{line}") } else { m }
                        })?);
                    }
                } else {
                    out.push(Directive { words, block: Vec::new(), at: here });
                }
            }
            "{" if words.is_empty() => return Err(format!("unexpected \"{{\" in {file}:{l}")),
            "{" => {
                let words = core::mem::take(&mut words);
                let inside = block(sys, toks, at, file, depth + 1, true)?;
                out.push(Directive { words, block: inside, at: here });
            }
            _ if inner && words.is_empty() => return Ok(out),
            _ => return Err(format!("unexpected \"}}\" in {file}:{l}")),
        }
    }
    if inner || !words.is_empty() {
        let last = toks.last().map_or(1, |t| t.1) + 1;
        return Err(format!(
            "unexpected end of file, expecting {} in {file}:{last}",
            if inner && words.is_empty() { "\"}\"" } else { "\";\" or \"}\"" }
        ));
    }
    Ok(out)
}

const KNOWN: [&str; 58] = [
    "user",
    "worker_processes",
    "error_log",
    "pid",
    "events",
    "http",
    "daemon",
    "master_process",
    "worker_connections",
    "multi_accept",
    "types",
    "default_type",
    "log_format",
    "access_log",
    "sendfile",
    "tcp_nopush",
    "tcp_nodelay",
    "keepalive_timeout",
    "gzip",
    "gzip_types",
    "gzip_min_length",
    "server",
    "listen",
    "server_name",
    "root",
    "alias",
    "index",
    "location",
    "return",
    "try_files",
    "autoindex",
    "error_page",
    "add_header",
    "charset",
    "expires",
    "client_max_body_size",
    "server_tokens",
    "allow",
    "deny",
    "stub_status",
    "proxy_pass",
    "proxy_set_header",
    "proxy_http_version",
    "upstream",
    "rewrite",
    "set",
    "if",
    "include",
    "load_module",
    "types_hash_max_size",
    "use",
    "resolver",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_protocols",
    "ssl_ciphers",
    "gzip_static",
    "map",
];

fn settings(s: &mut Settings, d: &Directive) -> Parsed<bool> {
    let w = |i: usize| d.words.get(i).cloned().unwrap_or_default();
    match w(0).as_str() {
        "root" => s.root = Some(w(1)),
        "alias" => s.alias = Some(w(1)),
        "index" => s.index = d.words.get(1..).unwrap_or_default().to_vec(),
        "autoindex" => s.autoindex = w(1) == "on",
        "access_log" => s.log = Some(w(1)),
        "return" => {
            let code = w(1)
                .parse()
                .map_err(|_| format!("invalid return code \"{}\" in {}:{}", w(1), d.at.0, d.at.1))?;
            s.code = Some((code, w(2)));
        }
        "try_files" => s.try_files = d.words.get(1..).unwrap_or_default().to_vec(),
        "add_header" => s.headers.push((w(1), w(2))),
        "error_page" => {
            if let Some((page, codes)) = d.words.get(1..).and_then(<[String]>::split_last) {
                s.error_pages.extend(codes.iter().filter_map(|c| Some((c.parse().ok()?, page.clone()))));
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

impl Config {
    fn load(sys: &mut dyn Sys, file: &str, extra: &str) -> Parsed<Config> {
        let mut list = parse(sys, file, 0)?;
        let toks = lex(extra, "command line")?;
        list.extend(block(sys, &toks, &mut 0, "command line", 0, false)?);
        let mut c = Config {
            daemon: true,
            error_log: "/var/log/nginx/error.log".into(),
            default_type: "text/plain".into(),
            ..Config::default()
        };
        c.workers = 1;
        for d in &list {
            c.check(d)?;
            let w = d.words.get(1).cloned().unwrap_or_default();
            match d.words.first().map(String::as_str) {
                Some("worker_processes") if w == "auto" => {
                    let cpus = read_text(sys, "/proc/cpuinfo").unwrap_or_default();
                    c.workers = cpus.matches("processor\t").count().clamp(1, 64);
                }
                Some("worker_processes") => c.workers = w.parse().unwrap_or(1).clamp(1, 64),
                Some("error_log") => c.error_log = w,
                Some("daemon") => c.daemon = w != "off",
                Some("http") => c.http(&d.block)?,
                _ => {}
            }
        }
        if c.error_log == "stderr" {
            c.error_log = "/dev/stderr".into();
        }
        Ok(c)
    }

    fn check(&self, d: &Directive) -> Parsed<()> {
        let name = d.words.first().map_or("", String::as_str);
        if !KNOWN.contains(&name) {
            return Err(format!("unknown directive \"{name}\" in {}:{}", d.at.0, d.at.1));
        }
        Ok(())
    }

    fn http(&mut self, list: &[Directive]) -> Parsed<()> {
        let mut common = Settings::default();
        for d in list {
            self.check(d)?;
            match d.words.first().map(String::as_str) {
                Some("types") => {
                    for t in &d.block {
                        if let Some((kind, exts)) = t.words.split_first() {
                            self.types.extend(exts.iter().map(|e| (e.clone(), kind.clone())));
                        }
                    }
                }
                Some("default_type") => self.default_type = d.words.get(1).cloned().unwrap_or_default(),
                _ => {
                    settings(&mut common, d)?;
                }
            }
        }
        for d in list.iter().filter(|d| d.words.first().is_some_and(|w| w == "server")) {
            self.server(d, &common)?;
        }
        Ok(())
    }

    fn server(&mut self, d: &Directive, common: &Settings) -> Parsed<()> {
        let mut s =
            Site { ports: Vec::new(), names: Vec::new(), settings: common.clone(), locations: Vec::new() };
        for d in &d.block {
            self.check(d)?;
            match d.words.first().map(String::as_str) {
                Some("listen") => {
                    let a = d.words.get(1).cloned().unwrap_or_default();
                    let p = a.rsplit(':').next().unwrap_or_default();
                    let port = p.parse().map_err(|_| {
                        format!(
                            "invalid port in \"{a}\" of the \"listen\" directive in {}:{}",
                            d.at.0, d.at.1
                        )
                    })?;
                    if !s.ports.contains(&port) {
                        s.ports.push(port);
                    }
                }
                Some("server_name") => s.names = d.words.get(1..).unwrap_or_default().to_vec(),
                Some("location") => {}
                _ => {
                    settings(&mut s.settings, d)?;
                }
            }
        }
        for d in d.block.iter().filter(|d| d.words.first().is_some_and(|w| w == "location")) {
            let w = |i: usize| d.words.get(i).cloned().unwrap_or_default();
            let regex = |fold: bool| {
                Regex::new(&w(2), true, fold)
                    .map_err(|_| format!("pcre2_compile() failed in \"{}\" in {}:{}", w(2), d.at.0, d.at.1))
            };
            let rule = match w(1).as_str() {
                "=" => Match::Exact(w(2)),
                "^~" => Match::Prefix(w(2), true),
                "~" => Match::Regex(regex(false)?),
                "~*" => Match::Regex(regex(true)?),
                p => Match::Prefix(p.to_string(), false),
            };
            let mut inner = Settings { code: None, try_files: Vec::new(), ..s.settings.clone() };
            for d in &d.block {
                self.check(d)?;
                settings(&mut inner, d)?;
            }
            s.locations.push(Location { rule, settings: inner });
        }
        if s.ports.is_empty() {
            s.ports.push(80);
        }
        self.sites.push(s);
        Ok(())
    }

    fn ports(&self) -> Vec<u16> {
        let mut v: Vec<u16> = self.sites.iter().flat_map(|s| s.ports.iter().copied()).collect();
        v.sort_unstable();
        v.dedup();
        v
    }

    fn site(&self, port: u16, host: &str) -> Option<&Site> {
        let name = host.split(':').next().unwrap_or_default();
        let mut on_port = self.sites.iter().filter(|s| s.ports.contains(&port));
        let first = on_port.clone().next();
        on_port.find(|s| s.names.iter().any(|n| n == name)).or(first)
    }
}

impl Site {
    fn settings(&self, path: &str) -> (&Settings, Option<&str>) {
        let mut best: Option<(&Location, usize, bool)> = None;
        for l in &self.locations {
            match &l.rule {
                Match::Exact(p) if p == path => return (&l.settings, Some(p)),
                Match::Prefix(p, only)
                    if path.starts_with(p.as_str()) && best.is_none_or(|b| p.len() > b.1) =>
                {
                    best = Some((l, p.len(), *only));
                }
                _ => {}
            }
        }
        if !best.is_some_and(|b| b.2) {
            for l in &self.locations {
                if let Match::Regex(r) = &l.rule
                    && r.is_match(path.as_bytes())
                {
                    return (&l.settings, None);
                }
            }
        }
        match best {
            Some((l, ..)) => match &l.rule {
                Match::Prefix(p, _) => (&l.settings, Some(p)),
                _ => (&l.settings, None),
            },
            None => (&self.settings, None),
        }
    }
}

// The processes.

fn stamp(c: &Civil) -> String {
    format!("{:04}/{:02}/{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

#[derive(Clone, Debug)]
struct Logs {
    error: Option<Fd>,
    access: BTreeMap<String, Fd>,
    out: Output,
}

impl Logs {
    fn note(&mut self, sys: &mut dyn Sys, level: &str, text: &str) {
        let pid = sys.pid();
        let c = sys.epoch().civil(sys.now());
        let line = format!("{} [{level}] {pid}#{pid}: {text}\n", stamp(&c));
        if self.out.len() < Limits::TABLE.pipe_bytes_max {
            self.out.put(self.error.unwrap_or(2), line.as_bytes());
        }
    }
}

#[derive(Clone, Debug)]
struct Master {
    argv: Vec<String>,
    config: Option<Arc<Config>>,
    listeners: Vec<(u16, Fd)>,
    workers: Vec<Pid>,
    logs: Logs,
    stopping: bool,
    code: Option<i32>,
    begun: bool,
    file: String,
    extra: String,
}

/// The entry point.
pub fn main(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Master {
        argv,
        config: None,
        listeners: Vec::new(),
        workers: Vec::new(),
        logs: Logs { error: None, access: BTreeMap::new(), out: Output::default() },
        stopping: false,
        code: None,
        begun: false,
        file: "/etc/nginx/nginx.conf".into(),
        extra: String::new(),
    })
}

impl Master {
    fn emergency(&mut self, sys: &mut dyn Sys, text: &str) {
        let c = sys.epoch().civil(sys.now());
        self.logs.out.err(&format!("{} [emerg] {pid}#{pid}: {text}\n", stamp(&c), pid = sys.pid()));
        self.logs.out.err(&format!("nginx: [emerg] {text}\n"));
        self.code = Some(1);
    }

    fn begin(&mut self, sys: &mut dyn Sys) {
        self.begun = true;
        let (mut test, mut signal) = (false, None);
        let args: Vec<String> = self.argv.iter().skip(1).cloned().collect();
        let mut it = args.iter();
        while let Some(a) = it.next() {
            match a.as_str() {
                "-g" => self.extra = it.next().cloned().unwrap_or_default(),
                "-c" => self.file = it.next().cloned().unwrap_or_default(),
                "-s" => signal = it.next().cloned(),
                "-t" | "-T" => test = true,
                "-q" => {}
                "-v" | "-V" => {
                    self.logs.out.err(&format!("nginx version: nginx/{VERSION}\n"));
                    self.code = Some(0);
                    return;
                }
                a => {
                    self.logs.out.err(&format!("nginx: invalid option: \"{}\"\n", a.trim_start_matches('-')));
                    self.code = Some(1);
                    return;
                }
            }
        }
        if let Some(s) = signal {
            return self.send(sys, &s);
        }
        if !self.extra.is_empty() && !self.extra.trim_end().ends_with([';', '}']) {
            self.extra.push(';');
        }
        match Config::load(sys, &self.file, &self.extra) {
            Ok(_) if test => {
                let f = self.file.clone();
                self.logs.out.err(&format!("nginx: the configuration file {f} syntax is ok\nnginx: configuration file {f} test is successful\n"));
                self.code = Some(0);
            }
            Ok(c) => self.start(sys, c),
            Err(m) => {
                self.emergency(sys, &m);
                if test {
                    let f = self.file.clone();
                    self.logs.out.err(&format!("nginx: configuration file {f} test failed\n"));
                }
            }
        }
    }

    fn send(&mut self, sys: &mut dyn Sys, name: &str) {
        let s = match name {
            "stop" => Signal::TERM,
            "quit" => Signal::QUIT,
            "reload" => Signal::HUP,
            "reopen" => Signal::USR1,
            n => {
                self.logs.out.err(&format!("nginx: invalid option: \"-s {n}\"\n"));
                self.code = Some(1);
                return;
            }
        };
        let pid = read_text(sys, "/run/nginx.pid").ok().and_then(|t| t.trim().parse::<i64>().ok());
        self.code = Some(match pid.map(|p| sys.kill(p, s)) {
            Some(Ok(())) => 0,
            Some(Err(e)) => {
                self.emergency(sys, &format!("kill() failed ({}: {e})", e.number()));
                1
            }
            None => {
                self.emergency(sys, "open() \"/run/nginx.pid\" failed (2: No such file or directory)");
                1
            }
        });
    }

    fn open_logs(&mut self, sys: &mut dyn Sys, c: &Config) {
        self.logs.error = sys.open(&c.error_log, OpenFlags::APPEND, 0o644).ok();
        let all = c.sites.iter().flat_map(|s| {
            core::iter::once(&s.settings)
                .chain(s.locations.iter().map(|l| &l.settings))
                .filter_map(|s| s.log.clone())
        });
        let mut paths: Vec<String> = all.filter(|l| l != "off").collect();
        paths.push("/var/log/nginx/access.log".into());
        for p in paths {
            if !self.logs.access.contains_key(&p)
                && let Ok(fd) = sys.open(&p, OpenFlags::APPEND, 0o644)
            {
                self.logs.access.insert(p, fd);
            }
        }
    }

    fn start(&mut self, sys: &mut dyn Sys, c: Config) {
        self.open_logs(sys, &c);
        for port in c.ports() {
            match Server::listen(sys, port) {
                Ok(fd) => self.listeners.push((port, fd)),
                Err(e) => {
                    let m = format!("bind() to 0.0.0.0:{port} failed ({}: {e})", e.number());
                    self.emergency(sys, &m);
                    return;
                }
            }
        }
        for s in
            [Signal::TERM, Signal::QUIT, Signal::INT, Signal::HUP, Signal::USR1, Signal::CHLD, Signal::WINCH]
        {
            sys.sigaction(s, Disposition::Catch);
        }
        let pid = sys.pid();
        // Without a place for it there is no pid file; nothing else depends on it.
        let _ = shell::io::write_file(
            sys,
            "/run/nginx.pid",
            format!("{pid}\n").as_bytes(),
            OpenFlags::WRITE,
            0o644,
        );
        let os = sys.uname();
        let notes = [
            "using the \"epoll\" event method".to_string(),
            format!("nginx/{VERSION}"),
            "built by gcc 12.2.0 (Debian 12.2.0-14)".to_string(),
            format!("OS: {} {}", os.sysname, os.release),
            "getrlimit(RLIMIT_NOFILE): 1048576:1048576".to_string(),
            "start worker processes".to_string(),
        ];
        for n in notes {
            self.logs.note(sys, "notice", &n);
        }
        sys.set_memory(3 << 20);
        let c = Arc::new(c);
        self.config = Some(c.clone());
        self.spawn_workers(sys, &c);
    }

    fn spawn_workers(&mut self, sys: &mut dyn Sys, c: &Arc<Config>) {
        for _ in 0..c.workers {
            let w = Worker {
                config: c.clone(),
                servers: self
                    .listeners
                    .iter()
                    .map(|(p, fd)| (*p, Server::new(*fd, Duration::from_secs(65))))
                    .collect(),
                logs: Logs {
                    error: self.logs.error,
                    access: self.logs.access.clone(),
                    out: Output::default(),
                },
                quitting: false,
                begun: false,
                ending: false,
            };
            match sys.fork(Box::new(w)) {
                Ok(pid) => {
                    self.workers.push(pid);
                    self.logs.note(sys, "notice", &format!("start worker process {pid}"));
                }
                Err(e) => self.logs.note(
                    sys,
                    "alert",
                    &format!("fork() failed while spawning \"worker process\" ({}: {e})", e.number()),
                ),
            }
        }
    }

    fn tell(&mut self, sys: &mut dyn Sys, pids: &[Pid], s: Signal) {
        for p in pids {
            // One that has just ended is reaped below.
            let _ = sys.kill(i64::from(*p), s);
        }
    }

    fn signals(&mut self, sys: &mut dyn Sys) {
        while let Some(s) = sys.take_signal() {
            let workers = self.workers.clone();
            match s {
                Signal::TERM | Signal::INT => {
                    self.logs.note(
                        sys,
                        "notice",
                        &format!("signal {} (SIG{}) received, exiting", s.0, s.name()),
                    );
                    self.stopping = true;
                    self.tell(sys, &workers, Signal::TERM);
                }
                Signal::QUIT => {
                    self.logs.note(sys, "notice", "signal 3 (SIGQUIT) received, shutting down");
                    self.stopping = true;
                    for (_, fd) in self.listeners.drain(..) {
                        let _ = sys.close(fd);
                    }
                    self.tell(sys, &workers, Signal::QUIT);
                }
                Signal::HUP => self.reload(sys, &workers),
                Signal::CHLD => self.reap(sys),
                _ => {}
            }
        }
    }

    fn reload(&mut self, sys: &mut dyn Sys, old: &[Pid]) {
        self.logs.note(sys, "notice", "signal 1 (SIGHUP) received, reconfiguring");
        self.logs.note(sys, "notice", "reconfiguring");
        match Config::load(sys, &self.file.clone(), &self.extra.clone()) {
            Err(m) => self.logs.note(sys, "emerg", &m),
            Ok(c) => {
                for port in c.ports() {
                    if !self.listeners.iter().any(|l| l.0 == port)
                        && let Ok(fd) = Server::listen(sys, port)
                    {
                        self.listeners.push((port, fd));
                    }
                }
                self.open_logs(sys, &c);
                let c = Arc::new(c);
                self.config = Some(c.clone());
                self.workers.clear();
                self.logs.note(sys, "notice", "start worker processes");
                self.spawn_workers(sys, &c);
                self.tell(sys, old, Signal::QUIT);
            }
        }
    }

    fn reap(&mut self, sys: &mut dyn Sys) {
        while let Poll::Ready(Ok((pid, status))) = sys.wait(Child::Any) {
            self.logs.note(sys, "notice", &format!("signal 17 (SIGCHLD) received from {pid}"));
            match status {
                ExitStatus::Exited(c) => {
                    self.logs.note(sys, "notice", &format!("worker process {pid} exited with code {c}"));
                }
                ExitStatus::Signaled(s) => {
                    self.logs.note(sys, "alert", &format!("worker process {pid} exited on signal {}", s.0));
                }
            }
            let mine = self.workers.contains(&pid);
            self.workers.retain(|w| *w != pid);
            if mine
                && !self.stopping
                && let Some(c) = self.config.clone()
            {
                let one = Arc::new(Config { workers: 1, ..(*c).clone() });
                self.spawn_workers(sys, &one);
            }
        }
        if self.stopping && self.workers.is_empty() && self.code.is_none() {
            self.logs.note(sys, "notice", "exit");
            self.code = Some(0);
        }
    }
}

impl Program for Master {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begin(sys);
        }
        if self.code.is_none() {
            self.signals(sys);
            self.reap(sys);
        }
        let flushed = self.logs.out.flush(sys).is_ready();
        match self.code {
            Some(code) if flushed => Step::Exit(code),
            _ => Step::Wait,
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

#[derive(Clone, Debug)]
struct Worker {
    config: Arc<Config>,
    servers: Vec<(u16, Server)>,
    logs: Logs,
    quitting: bool,
    begun: bool,
    ending: bool,
}

/// An answer with what the logs say about it.
struct Answer {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
    error: Option<String>,
}

impl Answer {
    /// One of nginx's own pages.
    fn page(status: u16) -> Answer {
        let r = match status {
            404 => "404 Not Found".to_string(),
            s => format!("{s} {}", reason(s)),
        };
        let body = format!(
            "<html>\r\n<head><title>{r}</title></head>\r\n<body>\r\n<center><h1>{r}</h1></center>\r\n<hr><center>nginx/{VERSION}</center>\r\n</body>\r\n</html>\r\n"
        );
        let mut headers = Headers::default();
        headers.add("Content-Type", "text/html");
        Answer { status, headers, body: body.into_bytes(), error: None }
    }
}

/// `%41` as `A`, and dots resolved; `None` if it leads above the root.
fn clean(target: &str) -> Option<String> {
    let path = target.split('?').next().unwrap_or_default();
    let mut bytes = Vec::new();
    let mut it = path.bytes();
    while let Some(b) = it.next() {
        if b == b'%' {
            let hex: String = it.by_ref().take(2).map(char::from).collect();
            bytes.push(u8::from_str_radix(&hex, 16).ok()?);
        } else {
            bytes.push(b);
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if !text.starts_with('/') || text.contains('\0') {
        return None;
    }
    let mut depth = 0i32;
    for p in text.split('/') {
        match p {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return None;
        }
    }
    let n = fs::normalize("/", &text);
    Some(if text.ends_with('/') && n != "/" { format!("{n}/") } else { n })
}

impl Worker {
    fn file(&self, s: &Settings, prefix: Option<&str>, path: &str) -> String {
        match (&s.alias, prefix) {
            (Some(a), Some(p)) => format!("{a}{}", path.strip_prefix(p).unwrap_or_default()),
            _ => format!("{}{path}", s.root.as_deref().unwrap_or("/etc/nginx/html")),
        }
    }

    fn content_type(&self, path: &str) -> String {
        let ext = fs::basename(path).rsplit_once('.').map_or("", |e| e.1);
        self.config.types.get(ext).cloned().unwrap_or_else(|| self.config.default_type.clone())
    }

    fn respond(&self, sys: &mut dyn Sys, port: u16, r: &Request) -> Answer {
        let host = r.headers.get("Host").unwrap_or_default();
        let Some(site) = self.config.site(port, host) else { return Answer::page(404) };
        let Some(path) = clean(&r.target) else { return Answer::page(400) };
        let mut a = self.locate(sys, site, r, &path, 0);
        let pages = &site.settings(&path).0.error_pages;
        if a.status >= 300
            && let Some((_, page)) = pages.iter().find(|p| p.0 == a.status)
            && page.starts_with('/')
        {
            let inner = self.locate(sys, site, r, page, 1);
            if inner.status == 200 {
                a = Answer { status: a.status, error: a.error, ..inner };
            }
        }
        a
    }

    fn locate(&self, sys: &mut dyn Sys, site: &Site, r: &Request, path: &str, depth: usize) -> Answer {
        let (s, prefix) = site.settings(path);
        let mut a = if let Some((code, text)) = &s.code {
            let mut a = Answer::page(*code);
            if matches!(code, 301 | 302 | 303 | 307 | 308) {
                a.headers.add("Location", &self.expand(text, r, path));
            } else if !text.is_empty() {
                a.headers.set("Content-Type", &self.config.default_type);
                a.body = self.expand(text, r, path).into_bytes();
            }
            a
        } else if depth < 10 && !s.try_files.is_empty() {
            self.try_files(sys, site, r, path, s, prefix, depth)
        } else {
            self.serve_file(sys, r, path, s, prefix)
        };
        if a.status < 400 {
            for (n, v) in &s.headers {
                a.headers.add(n, &self.expand(v, r, path));
            }
        }
        a
    }

    fn expand(&self, text: &str, r: &Request, path: &str) -> String {
        let host =
            r.headers.get("Host").unwrap_or_default().split(':').next().unwrap_or_default().to_string();
        text.replace("$request_uri", &r.target)
            .replace("$uri", path)
            .replace("$host", &host)
            .replace("$scheme", "http")
            .replace("$request_method", &r.method)
    }

    #[allow(clippy::too_many_arguments)]
    fn try_files(
        &self,
        sys: &mut dyn Sys,
        site: &Site,
        r: &Request,
        path: &str,
        s: &Settings,
        prefix: Option<&str>,
        depth: usize,
    ) -> Answer {
        let Some((last, first)) = s.try_files.split_last() else { return Answer::page(404) };
        for t in first {
            let p = self.expand(t, r, path);
            let f = self.file(s, prefix, &p);
            let dir = p.ends_with('/');
            if sys.stat(f.trim_end_matches('/')).is_ok_and(|st| st.is_dir() == dir) {
                return self.serve_file(sys, r, &p, s, prefix);
            }
        }
        match last.strip_prefix('=').and_then(|c| c.parse().ok()) {
            Some(code) => Answer::page(code),
            None => {
                let p = self.expand(last, r, path);
                self.locate(sys, site, r, &p, depth + 1)
            }
        }
    }

    fn serve_file(
        &self,
        sys: &mut dyn Sys,
        r: &Request,
        path: &str,
        s: &Settings,
        prefix: Option<&str>,
    ) -> Answer {
        if !matches!(r.method.as_str(), "GET" | "HEAD") {
            return Answer::page(405);
        }
        let file = self.file(s, prefix, path);
        if path.ends_with('/') {
            let names = if s.index.is_empty() { vec!["index.html".to_string()] } else { s.index.clone() };
            for n in &names {
                let f = format!("{file}{n}");
                if sys.stat(&f).is_ok_and(|s| s.is_file()) {
                    return self.send_file(sys, &f);
                }
            }
            return self.directory(sys, path, &file, s, names.first().map_or("index.html", String::as_str));
        }
        if sys.stat(&file).is_ok_and(|s| s.is_dir()) {
            let host = r.headers.get("Host").unwrap_or_default();
            let mut a = Answer::page(301);
            a.headers.add("Location", &format!("http://{host}{path}/"));
            return a;
        }
        self.send_file(sys, &file)
    }

    fn directory(&self, sys: &mut dyn Sys, path: &str, file: &str, s: &Settings, index: &str) -> Answer {
        match sys.readdir(file.trim_end_matches('/')) {
            Err(e) => {
                let mut a = Answer::page(if e == Errno::EACCES { 403 } else { 404 });
                a.error = Some(format!("\"{file}{index}\" is not found ({}: {e})", e.number()));
                a
            }
            Ok(list) if s.autoindex => {
                let mut b = format!(
                    "<html>\r\n<head><title>Index of {path}</title></head>\r\n<body>\r\n<h1>Index of {path}</h1><hr><pre><a href=\"../\">../</a>\r\n"
                );
                for e in list {
                    let slash = if e.kind == shell::FileType::Directory { "/" } else { "" };
                    b.push_str(&format!("<a href=\"{0}{slash}\">{0}{slash}</a>\r\n", e.name));
                }
                b.push_str("</pre><hr></body>\r\n</html>\r\n");
                let mut headers = Headers::default();
                headers.add("Content-Type", "text/html");
                Answer { status: 200, headers, body: b.into_bytes(), error: None }
            }
            Ok(_) => {
                let mut a = Answer::page(403);
                a.error = Some(format!("directory index of \"{file}\" is forbidden"));
                a
            }
        }
    }

    fn send_file(&self, sys: &mut dyn Sys, file: &str) -> Answer {
        match read_file(sys, file) {
            Ok(body) => {
                let mut headers = Headers::default();
                headers.add("Content-Type", &self.content_type(file));
                if let Ok(st) = sys.stat(file) {
                    headers.add("Last-Modified", &date(&Civil::from_unix(st.mtime, 0)));
                    headers.add("ETag", &format!("\"{:x}-{:x}\"", st.mtime, st.size));
                }
                headers.add("Accept-Ranges", "bytes");
                Answer { status: 200, headers, body, error: None }
            }
            Err(e) => {
                let mut a = Answer::page(if e == Errno::EACCES { 403 } else { 404 });
                a.error = Some(format!("open() \"{file}\" failed ({}: {e})", e.number()));
                a
            }
        }
    }

    fn handle(&mut self, sys: &mut dyn Sys, at: usize, port: u16, i: Incoming) {
        let now = sys.epoch().civil(sys.now());
        let (a, line, keep, head) = match &i.request {
            Some(r) => {
                let a = self.respond(sys, port, r);
                let line = format!("{} {} {}", r.method, r.target, r.version);
                (a, line, r.keeps_alive() && !self.quitting, r.method == "HEAD")
            }
            None => (Answer::page(400), String::new(), false, false),
        };
        let mut h = Headers::default();
        h.add("Server", &format!("nginx/{VERSION}"));
        h.add("Date", &date(&now));
        let mut rest = a.headers.clone();
        if let Some(t) = rest.get("Content-Type").map(str::to_string) {
            h.add("Content-Type", &t);
            rest.0.retain(|f| f.0 != "Content-Type");
        }
        h.add("Content-Length", &a.body.len().to_string());
        if let Some(t) = rest.get("Last-Modified").map(str::to_string) {
            h.add("Last-Modified", &t);
            rest.0.retain(|f| f.0 != "Last-Modified");
        }
        h.add("Connection", if keep { "keep-alive" } else { "close" });
        h.0.extend(rest.0);
        let words = ["HTTP/1.1".to_string(), a.status.to_string(), reason(a.status).to_string()];
        let mut data = Head { line: words, headers: h }.to_bytes();
        if !head {
            data.extend(&a.body);
        }
        let field = |n: &str| {
            let r = i.request.as_ref();
            r.and_then(|r| r.headers.get(n)).filter(|v| !v.is_empty()).unwrap_or("-").to_string()
        };
        let host = i.request.as_ref().and_then(|r| r.headers.get("Host")).unwrap_or_default().to_string();
        if let Some(e) = &a.error {
            let site =
                self.config.site(port, &host).and_then(|s| s.names.first().cloned()).unwrap_or_default();
            let text = format!(
                "*{} {e}, client: {}, server: {site}, request: \"{line}\", host: \"{host}\"",
                i.number,
                i.peer.ip()
            );
            self.logs.note(sys, "error", &text);
        }
        let path = i.request.as_ref().and_then(|r| clean(&r.target)).unwrap_or_default();
        let log = self.config.site(port, &host).and_then(|s| s.settings(&path).0.log.clone());
        let log = log.unwrap_or_else(|| "/var/log/nginx/access.log".into());
        if let Some(fd) = self.logs.access.get(&log)
            && self.logs.out.len() < Limits::TABLE.pipe_bytes_max
        {
            let month = shell::commands::month(now.month);
            let text = format!(
                "{} - - [{:02}/{month}/{}:{:02}:{:02}:{:02} +0000] \"{line}\" {} {} \"{}\" \"{}\" \"{}\"\n",
                i.peer.ip(),
                now.day,
                now.year,
                now.hour,
                now.minute,
                now.second,
                a.status,
                if head { 0 } else { a.body.len() },
                field("Referer"),
                field("User-Agent"),
                field("X-Forwarded-For")
            );
            self.logs.out.put(*fd, text.as_bytes());
        }
        if let Some((_, s)) = self.servers.get_mut(at) {
            s.answer(i.fd, &data, !keep);
        }
    }
}

impl Program for Worker {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begun = true;
            sys.set_memory(4 << 20);
            sys.sigaction(Signal::HUP, Disposition::Ignore);
            sys.sigaction(Signal::CHLD, Disposition::Default);
        }
        while let Some(s) = sys.take_signal() {
            match s {
                Signal::TERM | Signal::INT if !self.ending => {
                    self.logs.note(sys, "notice", "exiting");
                    self.logs.note(sys, "notice", "exit");
                    self.ending = true;
                }
                Signal::QUIT if !self.quitting && !self.ending => {
                    self.logs.note(sys, "notice", "gracefully shutting down");
                    self.quitting = true;
                }
                _ => {}
            }
        }
        for at in 0..self.servers.len() {
            if self.ending {
                break;
            }
            let Some((port, server)) = self.servers.get_mut(at) else { break };
            let port = *port;
            let incoming = server.poll(sys);
            for i in incoming {
                self.handle(sys, at, port, i);
            }
            let quitting = self.quitting;
            if let Some((_, s)) = self.servers.get_mut(at) {
                if quitting {
                    s.stop_accepting(sys);
                }
                s.settle(sys);
            }
        }
        if self.quitting && !self.ending && self.servers.iter().all(|s| s.1.open() == 0) {
            self.logs.note(sys, "notice", "exiting");
            self.logs.note(sys, "notice", "exit");
            self.ending = true;
        }
        let flushed = self.logs.out.flush(sys).is_ready();
        if self.ending && flushed { Step::Exit(0) } else { Step::Wait }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
