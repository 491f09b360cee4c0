//! Commands that handle their input piece by piece: files in turn, or standard input as it comes.

use super::once::{Cx, finish};
use crate::fs;
use crate::io::Output;
use crate::program::{Program, Step};
use crate::sys::{Fd, OpenFlags, STDIN, Sys};
use core::fmt::Debug;
use core::task::Poll;
use sim::Limits;
use std::collections::VecDeque;

/// What a filter may use while it runs.
pub struct Io<'a> {
    /// System calls.
    pub sys: &'a mut dyn Sys,
    /// What it prints.
    pub out: &'a mut Output,
    /// The command's name.
    pub name: &'a str,
}

impl Io<'_> {
    /// Prints an error behind the command's name.
    pub fn err(&mut self, text: &str) {
        self.out.err(&format!("{}: {text}\n", self.name));
    }
}

/// Whether a filter wants more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum More {
    /// Yes.
    Yes,
    /// Not of this file.
    NextFile,
    /// No: the command ends.
    No,
}

/// A command over its input.
pub trait Filter: Clone + Debug + Send + Sync + 'static {
    /// Whether it gets whole lines (with their newline); else pieces as they come.
    const LINES: bool = true;

    /// Reads the arguments; gives the files (none is standard input) or an exit code.
    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32>;

    /// A file begins; `name` is `-` for standard input.
    fn open(&mut self, _io: &mut Io, _name: &str) {}

    /// A file could not be opened or read.
    fn failed(&mut self, io: &mut Io, name: &str, e: crate::Errno) {
        io.err(&format!("{name}: {e}"));
    }

    /// A line or piece.
    fn data(&mut self, io: &mut Io, data: &[u8]) -> More;

    /// A file has ended.
    fn close(&mut self, _io: &mut Io, _name: &str) {}

    /// All input has ended; gives the exit code.
    fn end(&mut self, io: &mut Io, failed: bool) -> i32;
}

/// A filter as a program.
#[derive(Clone, Debug)]
pub struct Filtering<F: Filter> {
    argv: Vec<String>,
    filter: Option<F>,
    files: VecDeque<String>,
    current: Option<(Fd, String)>,
    rest: Vec<u8>,
    out: Output,
    /// Whether output goes out in blocks: stdio does so where it is no terminal.
    blocks: bool,
    failed: bool,
    code: Option<i32>,
}

/// The size of stdio's buffer for files and pipes.
const BLOCK: usize = 4096;

impl<F: Filter> Filtering<F> {
    /// A program of a filter.
    pub fn boxed(argv: Vec<String>) -> Box<dyn Program> {
        Box::new(Filtering::<F> {
            argv,
            filter: None,
            files: VecDeque::new(),
            current: None,
            rest: Vec::new(),
            out: Output::default(),
            blocks: false,
            failed: false,
            code: None,
        })
    }

    fn name(&self) -> String {
        self.argv.first().map_or("", |a| fs::basename(a)).to_string()
    }

    fn start(&mut self, sys: &mut dyn Sys) {
        let name = self.name();
        let at_once =
            self.argv.iter().any(|a| matches!(a.as_str(), "--line-buffered" | "-u" | "--unbuffered"));
        self.blocks = F::LINES && !at_once && !sys.isatty(1);
        let mut cx = Cx::new(sys, &name, self.argv.get(1..).unwrap_or_default());
        let r = F::start(&mut cx);
        self.out = cx.out;
        match r {
            Ok((f, files)) => {
                self.filter = Some(f);
                self.files = if files.is_empty() { VecDeque::from(["-".to_string()]) } else { files.into() };
            }
            Err(code) => self.code = Some(code),
        }
    }

    /// Opens the next file. False if there is none.
    fn next(&mut self, sys: &mut dyn Sys) -> bool {
        let Some(path) = self.files.pop_front() else { return false };
        let name = self.name();
        let Some(f) = &mut self.filter else { return false };
        let mut io = Io { sys, out: &mut self.out, name: &name };
        let fd = if path == "-" { Ok(STDIN) } else { io.sys.open(&path, OpenFlags::READ, 0) };
        match fd {
            Ok(fd) => {
                f.open(&mut io, &path);
                self.current = Some((fd, path));
            }
            Err(e) => {
                f.failed(&mut io, &path, e);
                self.failed = true;
            }
        }
        true
    }

    fn feed(&mut self, sys: &mut dyn Sys, data: Vec<u8>) -> More {
        let name = self.name();
        let Some(f) = &mut self.filter else { return More::No };
        let mut io = Io { sys, out: &mut self.out, name: &name };
        if !F::LINES {
            return f.data(&mut io, &data);
        }
        self.rest.extend(data);
        let mut start = 0;
        let mut more = More::Yes;
        while let Some(n) = self.rest.iter().skip(start).position(|b| *b == b'\n') {
            let line = self.rest.get(start..=start + n).unwrap_or_default();
            more = f.data(&mut io, line);
            start += n + 1;
            if more != More::Yes {
                break;
            }
        }
        self.rest.drain(..start);
        if more == More::Yes && self.rest.len() > Limits::TABLE.file_bytes_max {
            let line = core::mem::take(&mut self.rest);
            more = f.data(&mut io, &line);
        }
        more
    }

    fn close(&mut self, sys: &mut dyn Sys, fd: Fd, path: &str, more: More) -> More {
        let name = self.name();
        let Some(f) = &mut self.filter else { return More::No };
        let mut io = Io { sys, out: &mut self.out, name: &name };
        let rest = core::mem::take(&mut self.rest);
        let mut more = more;
        if more == More::Yes && !rest.is_empty() {
            more = f.data(&mut io, &rest);
        }
        f.close(&mut io, path);
        if fd != STDIN {
            let _ = io.sys.close(fd);
        }
        self.current = None;
        more
    }

    /// Reads and handles one piece. `None` if it has to wait.
    fn turn(&mut self, sys: &mut dyn Sys) -> Option<More> {
        let Some((fd, path)) = self.current.clone() else {
            return Some(if self.next(sys) { More::Yes } else { More::No });
        };
        match sys.read(fd, Limits::TABLE.pipe_bytes_max) {
            Poll::Pending => None,
            Poll::Ready(Ok(d)) if d.is_empty() => Some(self.close(sys, fd, &path, More::Yes)),
            Poll::Ready(Ok(d)) => {
                let more = self.feed(sys, d);
                Some(if more == More::NextFile { self.close(sys, fd, &path, more) } else { more })
            }
            Poll::Ready(Err(e)) => {
                let name = self.name();
                if let Some(f) = &mut self.filter {
                    f.failed(&mut Io { sys, out: &mut self.out, name: &name }, &path, e);
                }
                self.failed = true;
                Some(self.close(sys, fd, &path, More::NextFile))
            }
        }
    }
}

impl<F: Filter> Program for Filtering<F> {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.filter.is_none() && self.code.is_none() {
            self.start(sys);
        }
        if let Some(code) = self.code {
            let name = self.name();
            return finish(&mut self.out, sys, &name, code);
        }
        let held = self.blocks && self.out.len() < BLOCK && self.out.is_only(1);
        match if held { Poll::Ready(Ok(())) } else { self.out.flush(sys) } {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Err((1, e))) => {
                let name = self.name();
                self.out.err(&format!("{name}: write error: {e}\n"));
                self.code = Some(1);
                return Step::Continue;
            }
            Poll::Ready(_) => {}
        }
        match self.turn(sys) {
            None => Step::Wait,
            Some(More::No) => {
                let (name, failed) = (self.name(), self.failed);
                if let Some(f) = &mut self.filter {
                    self.code = Some(f.end(&mut Io { sys, out: &mut self.out, name: &name }, failed));
                }
                Step::Continue
            }
            Some(_) => Step::Continue,
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
