//! `head` and `tail`

use super::cat::lines;
use super::filter::{Filter, Io, More};
use super::once::{Cx, finish};
use super::options::count;
use crate::io::Output;
use crate::program::{Program, Step};
use crate::sys::{Fd, OpenFlags, STDIN, Sys};
use crate::{Errno, fs};
use core::task::Poll;
use sim::{Duration, Limits};

/// `head`
#[derive(Clone, Debug)]
pub struct Head {
    lines: Option<u64>,
    bytes: u64,
    left: u64,
    titles: bool,
    first: bool,
}

/// `-5` as `-n 5`.
fn old_style(args: &[String]) -> Vec<String> {
    args.iter()
        .map(|a| match a.strip_prefix('-') {
            Some(d) if !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()) => format!("-n{d}"),
            _ => a.clone(),
        })
        .collect()
}

impl Filter for Head {
    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let args = old_style(cx.args);
        let o = super::options::parse(&args, "n:c:qv", &[("lines", 'n'), ("bytes", 'c')]).map_err(|m| {
            cx.err(&m);
            cx.usage()
        })?;
        let number = |cx: &mut Cx, s: &str| {
            count(s).ok_or_else(|| {
                cx.err(&format!("invalid number '{s}'"));
                1
            })
        };
        let bytes = o.value('c').map(str::to_string);
        let n = o.value('n').unwrap_or("10").to_string();
        let (lines, bytes) = match bytes {
            Some(b) => (None, number(cx, &b)?),
            None => (Some(number(cx, &n)?), 0),
        };
        let titles = o.has('v') || o.rest.len() > 1 && !o.has('q');
        Ok((Head { lines, bytes, left: 0, titles, first: true }, o.rest))
    }

    fn open(&mut self, io: &mut Io, name: &str) {
        self.left = self.lines.unwrap_or(self.bytes);
        if self.titles {
            let name = if name == "-" { "standard input" } else { name };
            let gap = if self.first { "" } else { "\n" };
            io.out.out(&format!("{gap}==> {name} <==\n"));
            self.first = false;
        }
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        let n = if self.lines.is_some() { data.len() } else { data.len().min(self.left as usize) };
        if self.left > 0 {
            io.out.put(1, data.get(..n).unwrap_or_default());
        }
        self.left = self.left.saturating_sub(if self.lines.is_some() { 1 } else { n as u64 });
        if self.left == 0 { More::NextFile } else { More::Yes }
    }

    fn end(&mut self, _: &mut Io, failed: bool) -> i32 {
        i32::from(failed)
    }
}

/// `tail`: reads its files to their ends, then follows them if asked to.
#[derive(Clone, Debug)]
pub struct Tail {
    argv: Vec<String>,
    begun: bool,
    follow: bool,
    titles: bool,
    lines: bool,
    from_start: bool,
    amount: u64,
    pause: Duration,
    files: Vec<(String, Option<Fd>, Vec<u8>)>,
    at: usize,
    held: u64,
    shown: Option<usize>,
    out: Output,
    code: i32,
    wake: Option<sim::Instant>,
}

/// The entry point of `tail`.
pub fn tail(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Tail {
        argv,
        begun: false,
        follow: false,
        titles: false,
        lines: true,
        from_start: false,
        amount: 10,
        pause: Duration::from_secs(1),
        files: Vec::new(),
        at: 0,
        held: 0,
        shown: None,
        out: Output::default(),
        code: 0,
        wake: None,
    })
}

impl Tail {
    fn begin(&mut self, sys: &mut dyn Sys) -> Result<(), i32> {
        let name = self.argv.first().cloned().unwrap_or_default();
        let args = old_style(self.argv.get(1..).unwrap_or_default());
        let mut cx = Cx::new(sys, fs::basename(&name), &args);
        let long = [("lines", 'n'), ("bytes", 'c'), ("follow", 'f')];
        let r = cx.options("n:c:fFqvs:", &long);
        self.out = core::mem::take(&mut cx.out);
        let o = r?;
        self.lines = !o.has('c');
        let n = o.value(if self.lines { 'n' } else { 'c' }).unwrap_or("10");
        self.from_start = n.starts_with('+');
        let digits = n.trim_start_matches(['+', '-']);
        match count(digits) {
            Some(n) => self.amount = n,
            None => {
                self.out.err(&format!("{}: invalid number '{n}'\n", fs::basename(&name)));
                return Err(1);
            }
        }
        self.follow = o.has('f') || o.has('F');
        self.titles = o.has('v') || o.rest.len() > 1 && !o.has('q');
        if let Some(s) = o.value('s').and_then(super::options::duration_ms) {
            self.pause = Duration::from_millis(s.max(10));
        }
        let list = if o.rest.is_empty() { vec!["-".to_string()] } else { o.rest };
        for f in list {
            let fd = if f == "-" { Ok(STDIN) } else { sys.open(&f, OpenFlags::READ, 0) };
            match fd {
                Ok(fd) => self.files.push((f, Some(fd), Vec::new())),
                Err(e) => {
                    self.out.err(&format!("{}: can't open '{f}': {e}\n", fs::basename(&name)));
                    self.code = 1;
                }
            }
        }
        if self.files.is_empty() {
            if self.code != 0 {
                self.out.err(&format!("{}: no files\n", fs::basename(&name)));
            }
            return Err(self.code);
        }
        Ok(())
    }

    fn title(&mut self, i: usize) {
        if self.titles && self.shown != Some(i) {
            let gap = if self.shown.is_some() { "\n" } else { "" };
            let name = self.files.get(i).map_or("", |f| f.0.as_str());
            let name = if name == "-" { "standard input" } else { name };
            self.out.out(&format!("{gap}==> {name} <==\n"));
            self.shown = Some(i);
        }
    }

    /// The part of a whole input that is to be shown.
    fn part(&self, data: &[u8]) -> Vec<u8> {
        let n = usize::try_from(self.amount).unwrap_or(usize::MAX);
        if !self.lines {
            let at = if self.from_start { n.saturating_sub(1) } else { data.len().saturating_sub(n) };
            return data.get(at.min(data.len())..).unwrap_or_default().to_vec();
        }
        let count = lines(data).len();
        let skip = if self.from_start { n.saturating_sub(1) } else { count.saturating_sub(n) };
        let at = data.split_inclusive(|b| *b == b'\n').take(skip).map(<[u8]>::len).sum::<usize>();
        data.get(at..).unwrap_or_default().to_vec()
    }

    /// Reads the file at `at` on; true when its end is reached.
    fn read(&mut self, sys: &mut dyn Sys, i: usize, keep: bool) -> Poll<Result<bool, Errno>> {
        let Some((_, Some(fd), rest)) = self.files.get_mut(i) else { return Poll::Ready(Ok(true)) };
        match sys.read(*fd, Limits::TABLE.pipe_bytes_max) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(d)) if d.is_empty() => Poll::Ready(Ok(true)),
            Poll::Ready(Ok(d)) => {
                if keep {
                    // What can't be let go because no line has ended counts as memory.
                    self.held = if d.contains(&b'\n') { 0 } else { self.held.saturating_add(d.len() as u64) };
                    sys.set_memory((1 << 19) + self.held);
                    if rest.len() > Limits::TABLE.file_bytes_max {
                        rest.clear();
                    }
                }
                rest.extend(d);
                Poll::Ready(Ok(false))
            }
        }
    }
}

impl Program for Tail {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        let name = self.argv.first().map_or("", |a| fs::basename(a)).to_string();
        if !self.begun {
            self.begun = true;
            if let Err(code) = self.begin(sys) {
                self.code = code;
                self.files.clear();
                self.follow = false;
            }
        }
        if self.at >= self.files.len() && !self.follow {
            let code = self.code;
            return finish(&mut self.out, sys, &name, code);
        }
        if self.out.flush(sys).is_pending() {
            return Step::Wait;
        }
        if let Some(at) = self.wake {
            if sys.sleep_until(at).is_pending() {
                return Step::Wait;
            }
            self.wake = None;
        }
        if self.at < self.files.len() {
            let i = self.at;
            match self.read(sys, i, true) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(r) => {
                    if let Err(e) = r {
                        let f = self.files.get(i).map_or("", |f| f.0.as_str()).to_string();
                        self.out.err(&format!("{name}: {f}: {e}\n"));
                        self.code = 1;
                    }
                    let data = self.files.get_mut(i).map(|f| core::mem::take(&mut f.2)).unwrap_or_default();
                    self.title(i);
                    let part = self.part(&data);
                    self.out.put(1, &part);
                    self.at += 1;
                }
            }
            return Step::Continue;
        }
        for i in 0..self.files.len() {
            while let Poll::Ready(Ok(false)) = self.read(sys, i, false) {
                let data = self.files.get_mut(i).map(|f| core::mem::take(&mut f.2)).unwrap_or_default();
                self.title(i);
                self.out.put(1, &data);
                if self.out.len() > Limits::TABLE.pipe_bytes_max {
                    return Step::Continue;
                }
            }
        }
        if self.out.is_empty() {
            self.wake = Some(sys.now() + self.pause);
        }
        Step::Continue
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
