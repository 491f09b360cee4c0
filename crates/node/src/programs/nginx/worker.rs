//! A worker of nginx: requests and answers.

use super::config::{Config, Settings, Site};
use super::{Logs, VERSION};
use crate::programs::server::{Incoming, Server};
use shell::errno::Errno;
use shell::fs;
use shell::http::{Head, Headers, Request, date, reason};
use shell::io::read_file;
use shell::program::{Program, Step};
use shell::sys::Sys;
use shell::{Disposition, Signal};
use sim::{Civil, Limits};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub config: Arc<Config>,
    pub servers: Vec<(u16, Server)>,
    pub logs: Logs,
    pub quitting: bool,
    pub begun: bool,
    pub ending: bool,
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
