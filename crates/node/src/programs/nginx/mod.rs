//! `nginx`: master and workers, static files, basic configuration, the access and error logs, graceful and fast shutdown,
//! reload. Models: nginx 1.27 as the official image runs it. Of the configuration: `listen`, `server_name`, `root`, `alias`,
//! `index`, `location` (prefix, `=`, `^~`, `~`, `~*`), `return`, `try_files`, `autoindex`, `error_page`, `add_header`,
//! `access_log off`, `worker_processes`, `include`. Absent: TLS, proxying, rewriting, compression.

mod config;
mod worker;

use super::server::Server;
use config::Config;
use core::task::Poll;
use shell::io::{Output, read_text};
use shell::program::{Program, Step};
use shell::sys::{Child, ExitStatus, Fd, OpenFlags, Pid, Sys};
use shell::{Disposition, Signal};
use sim::{Civil, Duration, Limits};
use std::collections::BTreeMap;
use std::sync::Arc;
use worker::Worker;

const VERSION: &str = "1.27.3";

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
