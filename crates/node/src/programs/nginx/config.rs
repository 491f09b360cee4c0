//! The configuration of nginx.

use shell::fs;
use shell::io::read_text;
use shell::regex::Regex;
use shell::sys::Sys;
use sim::Limits;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    words: Vec<String>,
    block: Vec<Directive>,
    at: (String, u32),
}

#[derive(Clone, Debug)]
pub(super) enum Match {
    Exact(String),
    Prefix(String, bool),
    Regex(Regex),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub root: Option<String>,
    pub alias: Option<String>,
    pub index: Vec<String>,
    pub autoindex: bool,
    pub log: Option<String>,
    pub code: Option<(u16, String)>,
    pub try_files: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub error_pages: Vec<(u16, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct Location {
    pub rule: Match,
    pub settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub ports: Vec<u16>,
    pub names: Vec<String>,
    pub settings: Settings,
    pub locations: Vec<Location>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub sites: Vec<Site>,
    pub workers: usize,
    pub error_log: String,
    pub daemon: bool,
    pub types: BTreeMap<String, String>,
    pub default_type: String,
}

pub(super) type Parsed<T> = Result<T, String>;

/// Words, `;`, `{` and `}` of a configuration with their lines.
pub(super) fn lex(text: &str, file: &str) -> Parsed<Vec<(String, u32, bool)>> {
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

pub(super) fn parse(sys: &mut dyn Sys, file: &str, depth: usize) -> Parsed<Vec<Directive>> {
    if depth > 8 {
        return Err(format!("too many nested includes in {file}"));
    }
    let text = read_text(sys, file).map_err(|e| format!("open() \"{file}\" failed ({}: {e})", e.number()))?;
    let toks = lex(&text, file)?;
    let mut at = 0;
    let list = block(sys, &toks, &mut at, file, depth, false)?;
    Ok(list)
}

pub(super) fn block(
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

pub(super) const KNOWN: [&str; 58] = [
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

pub(super) fn settings(s: &mut Settings, d: &Directive) -> Parsed<bool> {
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
    pub fn load(sys: &mut dyn Sys, file: &str, extra: &str) -> Parsed<Config> {
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

    pub fn ports(&self) -> Vec<u16> {
        let mut v: Vec<u16> = self.sites.iter().flat_map(|s| s.ports.iter().copied()).collect();
        v.sort_unstable();
        v.dedup();
        v
    }

    pub fn site(&self, port: u16, host: &str) -> Option<&Site> {
        let name = host.split(':').next().unwrap_or_default();
        let mut on_port = self.sites.iter().filter(|s| s.ports.contains(&port));
        let first = on_port.clone().next();
        on_port.find(|s| s.names.iter().any(|n| n == name)).or(first)
    }
}

impl Site {
    pub fn settings(&self, path: &str) -> (&Settings, Option<&str>) {
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
