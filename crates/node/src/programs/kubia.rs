//! The book's node.js applications: which one is told by the first line of `app.js`.
//!
//! Models: node 7 with its `http` server: headers as it sends them, keep-alive for five seconds, addresses of IPv4 clients
//! in their IPv6 form. As a pod's first process it gets only signals that it asked for, and it asks for none: it goes on
//! after SIGTERM until it is killed.

use super::server::{Incoming, Server};
use shell::http::{Headers, date, reason};
use shell::io::{Output, read_text};
use shell::program::{Program, Step};
use shell::sys::Sys;
use sim::{Duration, Limits};

const PORT: u16 = 8080;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum App {
    Plain,
    Version(u8),
    Unhealthy,
}

#[derive(Clone, Debug)]
struct Kubia {
    argv: Vec<String>,
    app: App,
    server: Option<Server>,
    requests: u64,
    out: Output,
    code: Option<i32>,
}

/// The entry point.
pub fn main(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Kubia { argv, app: App::Plain, server: None, requests: 0, out: Output::default(), code: None })
}

impl Kubia {
    fn begin(&mut self, sys: &mut dyn Sys) {
        let file = self.argv.iter().skip(1).find(|a| !a.starts_with('-')).cloned().unwrap_or_default();
        let text = match read_text(sys, &file) {
            Ok(t) => t,
            Err(_) => {
                let path = shell::fs::normalize(&sys.cwd(), &file);
                self.out.err(&format!(
                    "module.js:472\n    throw err;\n    ^\n\nError: Cannot find module '{path}'\n"
                ));
                self.code = Some(1);
                return;
            }
        };
        self.app = match text.lines().next().unwrap_or_default().trim_start_matches("// ") {
            "kubia v2" => App::Version(2),
            "kubia v3" => App::Version(3),
            "kubia v4" => App::Version(4),
            "kubia-unhealthy" => App::Unhealthy,
            _ => App::Plain,
        };
        sys.set_memory(24 << 20);
        self.out.out("Kubia server starting...\n");
        match Server::listen(sys, PORT) {
            Ok(fd) => self.server = Some(Server::new(fd, Duration::from_secs(5))),
            Err(e) => {
                self.out.err(&format!(
                    "events.js:163\n      throw er; // Unhandled 'error' event\n      ^\n\nError: listen {} :::{PORT}\n",
                    e.name()
                ));
                self.code = Some(1);
            }
        }
    }

    /// Status and text of an answer.
    fn reply(&mut self, host: &str) -> (u16, String) {
        self.requests += 1;
        match self.app {
            App::Plain => (200, format!("You've hit {host}\n")),
            App::Version(3) if self.requests >= 5 => {
                (500, format!("Some internal error has occurred! This is pod {host}\n"))
            }
            App::Version(v) => (200, format!("This is v{v} running in pod {host}\n")),
            App::Unhealthy if self.requests > 5 => (500, "I'm not well. Please restart me!\n".into()),
            App::Unhealthy => (200, format!("You've hit {host}\n")),
        }
    }

    fn serve(&mut self, sys: &mut dyn Sys, i: Incoming) {
        let Some(r) = i.request else {
            if let Some(s) = &mut self.server {
                s.answer(i.fd, b"HTTP/1.1 400 Bad Request\r\n\r\n", true);
            }
            return;
        };
        if self.out.len() < Limits::TABLE.pipe_bytes_max {
            self.out.out(&format!("Received request from ::ffff:{}\n", i.peer.ip()));
        }
        let host = sys.hostname().to_string();
        let (status, text) = self.reply(&host);
        let keep = r.keeps_alive();
        let mut h = Headers::default();
        h.add("Date", &date(&sys.epoch().civil(sys.now())));
        h.add("Connection", if keep { "keep-alive" } else { "close" });
        let old = r.version == "HTTP/1.0";
        if !old {
            h.add("Transfer-Encoding", "chunked");
        }
        let line = ["HTTP/1.1".to_string(), status.to_string(), reason(status).to_string()];
        let mut data = shell::http::Head { line, headers: h }.to_bytes();
        if r.method != "HEAD" {
            if old {
                data.extend(text.bytes());
            } else {
                data.extend(format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len()).bytes());
            }
        }
        if let Some(s) = &mut self.server {
            s.answer(i.fd, &data, !keep || old);
        }
    }
}

impl Program for Kubia {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.server.is_none() && self.code.is_none() {
            self.begin(sys);
        }
        if let Some(code) = self.code {
            return if self.out.flush(sys).is_pending() { Step::Wait } else { Step::Exit(code) };
        }
        let incoming = match &mut self.server {
            Some(s) => s.poll(sys),
            None => Vec::new(),
        };
        for i in incoming {
            self.serve(sys, i);
        }
        if let Some(s) = &mut self.server {
            s.settle(sys);
        }
        // The log may be slow; the answers do not wait for it.
        let _ = self.out.flush(sys);
        Step::Wait
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
