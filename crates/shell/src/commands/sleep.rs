//! What waits for time or for children: `sleep`, `timeout`, `time`, `watch`

use super::once::{Cx, finish};
use super::options::duration_ms;
use crate::Errno;
use crate::fs;
use crate::io::Output;
use crate::program::{Program, Step};
use crate::signal::Signal;
use crate::sys::{Child, ExitStatus, Pid, STDOUT, Spawn, Sys};
use core::task::Poll;
use sim::{Duration, Instant};

/// `sleep`
#[derive(Clone, Debug)]
pub struct Sleep {
    argv: Vec<String>,
    until: Option<Instant>,
    out: Output,
    code: Option<i32>,
}

/// The entry point of `sleep`.
pub fn sleep(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Sleep { argv, until: None, out: Output::default(), code: None })
}

fn name(argv: &[String]) -> &str {
    argv.first().map_or("", |a| fs::basename(a))
}

impl Program for Sleep {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if let Some(code) = self.code {
            return finish(&mut self.out, sys, name(&self.argv), code);
        }
        let until = match self.until {
            Some(u) => u,
            None => {
                let args = self.argv.get(1..).unwrap_or_default();
                let mut cx = Cx::new(sys, name(&self.argv), args);
                let mut ms = 0u64;
                let mut bad = args.is_empty().then(|| cx.usage());
                for a in args {
                    match duration_ms(a) {
                        Some(d) => ms = ms.saturating_add(d),
                        None if a == "inf" || a == "infinity" => ms = u64::MAX / 2_000_000,
                        None => {
                            cx.err(&format!("invalid number '{a}'"));
                            bad = Some(1);
                            break;
                        }
                    }
                }
                self.out = cx.out;
                if bad.is_some() {
                    self.code = bad;
                    return Step::Continue;
                }
                let u = sys.now() + Duration::from_millis(ms);
                self.until = Some(u);
                u
            }
        };
        match sys.sleep_until(until) {
            Poll::Ready(()) => Step::Exit(0),
            Poll::Pending => Step::Wait,
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// `timeout` and `time`: one child, watched.
#[derive(Clone, Debug)]
pub struct Watched {
    argv: Vec<String>,
    child: Option<Pid>,
    began: Instant,
    limit: Option<Instant>,
    kill_after: Option<Duration>,
    signal: Signal,
    killed: bool,
    out: Output,
    code: Option<i32>,
}

/// The entry point of `timeout` and `time`.
pub fn watched(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Watched {
        argv,
        child: None,
        began: Instant::ZERO,
        limit: None,
        kill_after: None,
        signal: Signal::TERM,
        killed: false,
        out: Output::default(),
        code: None,
    })
}

impl Watched {
    fn begin(&mut self, sys: &mut dyn Sys) {
        self.began = sys.now();
        let args = self.argv.get(1..).unwrap_or_default();
        let mut cx = Cx::new(sys, name(&self.argv), args);
        let spec = if cx.name == "timeout" { "+s:k:t:" } else { "+pvo:f:a" };
        let o = match super::options::parse(
            args,
            spec,
            &[("signal", 's'), ("kill-after", 'k'), ("foreground", 'p')],
        ) {
            Ok(o) => o,
            Err(m) => {
                cx.err(&m);
                self.code = Some(cx.usage());
                self.out = cx.out;
                return;
            }
        };
        let mut rest = o.rest.clone();
        if cx.name == "timeout" {
            if rest.len() < 2 {
                self.code = Some(cx.usage());
                self.out = cx.out;
                return;
            }
            let d = rest.remove(0);
            let (Some(ms), Some(sig)) = (duration_ms(&d), Signal::parse(o.value('s').unwrap_or("TERM")))
            else {
                cx.err(&format!("invalid number '{d}'"));
                self.code = Some(1);
                self.out = cx.out;
                return;
            };
            self.signal = sig;
            self.kill_after = o.value('k').and_then(duration_ms).map(Duration::from_millis);
            if ms > 0 {
                self.limit = Some(self.began + Duration::from_millis(ms));
            }
        }
        if rest.is_empty() {
            self.code = Some(if cx.name == "time" { cx.usage() } else { 0 });
            self.out = cx.out;
            return;
        }
        match sys.spawn(&Spawn::new(rest.clone())) {
            Ok(pid) => self.child = Some(pid),
            Err(e) => {
                let what = rest.first().cloned().unwrap_or_default();
                self.out.err(&format!("{}: can't execute '{what}': {e}\n", name(&self.argv)));
                self.code = Some(if e == Errno::ENOENT { 127 } else { 126 });
            }
        }
    }

    fn ended(&mut self, sys: &mut dyn Sys, status: ExitStatus) {
        self.code = Some(status.code());
        if name(&self.argv) == "time" {
            let ms = sys.now().since(self.began).as_millis() as u64;
            self.out.err(&format!(
                "real\t{}m {}.{:02}s\nuser\t0m 0.00s\nsys\t0m 0.00s\n",
                ms / 60_000,
                ms / 1000 % 60,
                ms / 10 % 100
            ));
        } else if self.killed && status == ExitStatus::Signaled(self.signal) {
            // The real one lets the signal end the very process that was asked for.
            let own = i64::from(sys.pid());
            let _ = sys.kill(own, self.signal);
            self.code = Some(128 + i32::from(self.signal.0));
        }
    }
}

impl Program for Watched {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.child.is_none() && self.code.is_none() {
            self.begin(sys);
        }
        if let Some(pid) = self.child {
            match sys.wait(Child::Pid(pid)) {
                Poll::Ready(r) => {
                    self.child = None;
                    self.ended(sys, r.map_or(ExitStatus::Exited(127), |r| r.1));
                }
                Poll::Pending => {
                    let Some(limit) = self.limit else { return Step::Wait };
                    if sys.sleep_until(limit).is_pending() {
                        return Step::Wait;
                    }
                    let sig = if self.killed { Signal::KILL } else { self.signal };
                    // The child may have ended this very moment.
                    let _ = sys.kill(i64::from(pid), sig);
                    self.limit = if self.killed { None } else { self.kill_after.map(|d| sys.now() + d) };
                    self.killed = true;
                    return Step::Continue;
                }
            }
        }
        finish(&mut self.out, sys, name(&self.argv), self.code.unwrap_or(0))
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// `watch`
#[derive(Clone, Debug)]
pub struct Watch {
    argv: Vec<String>,
    begun: bool,
    command: String,
    every: Duration,
    header: bool,
    child: Option<Pid>,
    next: Option<Instant>,
    out: Output,
    code: Option<i32>,
}

/// The entry point of `watch`.
pub fn watch(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Watch {
        argv,
        begun: false,
        command: String::new(),
        every: Duration::from_secs(2),
        header: true,
        child: None,
        next: None,
        out: Output::default(),
        code: None,
    })
}

impl Watch {
    fn begin(&mut self, sys: &mut dyn Sys) {
        self.begun = true;
        let args = self.argv.get(1..).unwrap_or_default();
        let mut cx = Cx::new(sys, name(&self.argv), args);
        match super::options::parse(
            args,
            "+dn:tgbc",
            &[("interval", 'n'), ("no-title", 't'), ("differences", 'd')],
        ) {
            Ok(o) if !o.rest.is_empty() => {
                self.command = o.rest.join(" ");
                let ms = o.value('n').and_then(duration_ms).unwrap_or(2000);
                self.every = Duration::from_millis(ms.max(100));
                self.header = !o.has('t');
            }
            Ok(_) => self.code = Some(cx.usage()),
            Err(m) => {
                cx.err(&m);
                self.code = Some(cx.usage());
            }
        }
        self.out = cx.out;
    }

    fn draw(&mut self, sys: &mut dyn Sys) {
        self.out.out("\x1b[H\x1b[J");
        if self.header {
            let width = sys.tty_size(STDOUT).map_or(80, |s| usize::from(s.0));
            let c = sys.epoch().civil(sys.now());
            let when = super::date::format(&c, "%Y-%m-%d %H:%M:%S");
            let secs = self.every.as_millis() as u64;
            let left = format!("Every {}.{}s: {}", secs / 1000, secs / 100 % 10, self.command);
            let room = width.saturating_sub(when.len() + 1);
            let left: String = left.chars().take(room).collect();
            self.out.out(&format!("{left:<room$} {when}\n\n"));
        }
    }
}

impl Program for Watch {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begin(sys);
        }
        if let Some(code) = self.code {
            return finish(&mut self.out, sys, name(&self.argv), code);
        }
        if self.out.flush(sys).is_pending() {
            return Step::Wait;
        }
        if let Some(pid) = self.child {
            if sys.wait(Child::Pid(pid)).is_pending() {
                return Step::Wait;
            }
            self.child = None;
            self.next = Some(sys.now() + self.every);
        }
        match self.next {
            Some(at) if sys.sleep_until(at).is_pending() => Step::Wait,
            Some(_) => {
                self.next = None;
                self.draw(sys);
                Step::Continue
            }
            None if self.out.is_empty() && self.command.is_empty() => Step::Exit(0),
            None => {
                match sys.spawn(&Spawn::new(["sh", "-c", self.command.as_str()])) {
                    Ok(pid) => self.child = Some(pid),
                    Err(e) => {
                        self.out.err(&format!("watch: can't execute 'sh': {e}\n"));
                        self.code = Some(127);
                    }
                }
                Step::Continue
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
