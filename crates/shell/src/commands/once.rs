//! Commands that run to their end in one go.

use crate::io::{Output, read_file};
use crate::program::{Program, Step};
use crate::sys::{STDIN, Sys};
use crate::{Errno, fs};
use core::task::Poll;
use sim::Limits;

/// What a command works with.
pub struct Cx<'a> {
    /// System calls.
    pub sys: &'a mut dyn Sys,
    /// Its name, as it was called.
    pub name: &'a str,
    /// Its arguments without the name.
    pub args: &'a [String],
    /// What it prints.
    pub out: Output,
    stdin: Option<&'a [u8]>,
    wants_stdin: bool,
}

/// What a command ends with: its exit code, or that it has to be called again.
pub type Ran = Result<i32, Again>;

/// The command asked for standard input that has not been read yet: it is called again once it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Again;

impl<'a> Cx<'a> {
    /// A context without standard input.
    pub fn new(sys: &'a mut dyn Sys, name: &'a str, args: &'a [String]) -> Cx<'a> {
        Cx { sys, name, args, out: Output::default(), stdin: None, wants_stdin: false }
    }

    /// All of standard input. To be asked for before anything is changed.
    pub fn stdin(&mut self) -> Result<Vec<u8>, Again> {
        match self.stdin {
            Some(d) => Ok(d.to_vec()),
            None => {
                self.wants_stdin = true;
                Err(Again)
            }
        }
    }

    /// A file's bytes, standard input for `-`.
    pub fn input(&mut self, path: &str) -> Result<Result<Vec<u8>, Errno>, Again> {
        if path == "-" { self.stdin().map(Ok) } else { Ok(read_file(self.sys, path)) }
    }

    /// Prints.
    pub fn say(&mut self, text: &str) {
        self.out.out(text);
    }

    /// Prints an error behind the command's name.
    pub fn err(&mut self, text: &str) {
        let name = self.name.to_string();
        self.out.err(&format!("{name}: {text}\n"));
    }

    /// Prints what went wrong with a file, as `cat: x: No such file or directory`.
    pub fn fail(&mut self, what: &str, e: Errno) {
        self.err(&format!("{what}: {e}"));
    }

    /// Prints the usage text; gives the exit code.
    pub fn usage(&mut self) -> i32 {
        let text = super::options::usage(self.name);
        self.out.err(&text);
        1
    }

    /// Parses options; prints what is wrong with them.
    pub fn options(&mut self, spec: &str, long: &[(&str, char)]) -> Result<super::options::Options, i32> {
        super::options::parse(self.args, spec, long).map_err(|m| {
            self.err(&m);
            self.usage()
        })
    }
}

/// A command's function. Exit codes go through `Ok`; `?` on input passes [`Again`] on.
pub type Run = fn(&mut Cx) -> Ran;

/// A command that runs to its end.
#[derive(Clone, Debug)]
pub struct Once {
    argv: Vec<String>,
    run: Run,
    stdin: Option<Vec<u8>>,
    reading: bool,
    out: Output,
    code: Option<i32>,
}

impl Once {
    /// A program of a function.
    pub fn boxed(argv: Vec<String>, run: Run) -> Box<dyn Program> {
        Box::new(Once { argv, run, stdin: None, reading: false, out: Output::default(), code: None })
    }
}

impl Program for Once {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.reading {
            let data = self.stdin.get_or_insert_with(Vec::new);
            loop {
                match sys.read(STDIN, Limits::TABLE.pipe_bytes_max) {
                    Poll::Pending => return Step::Wait,
                    Poll::Ready(Ok(d)) if !d.is_empty() && data.len() < Limits::TABLE.file_bytes_max => {
                        data.extend(d)
                    }
                    Poll::Ready(_) => break,
                }
            }
            self.reading = false;
        }
        if self.code.is_none() {
            let argv = core::mem::take(&mut self.argv);
            let name = argv.first().map_or("", |a| fs::basename(a)).to_string();
            let mut cx = Cx {
                sys,
                name: &name,
                args: argv.get(1..).unwrap_or_default(),
                out: Output::default(),
                stdin: self.stdin.as_deref(),
                wants_stdin: false,
            };
            let r = (self.run)(&mut cx);
            let (wants, out) = (cx.wants_stdin, cx.out);
            self.argv = argv;
            match r {
                Err(Again) if wants => {
                    self.reading = true;
                    return Step::Continue;
                }
                r => {
                    self.code = Some(r.unwrap_or(1));
                    self.out = out;
                }
            }
        }
        finish(&mut self.out, sys, self.argv.first().map_or("", |a| fs::basename(a)), self.code.unwrap_or(0))
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// Writes out what is left and ends with a code.
pub fn finish(out: &mut Output, sys: &mut dyn Sys, name: &str, code: i32) -> Step {
    match out.flush(sys) {
        Poll::Pending => Step::Wait,
        Poll::Ready(Ok(())) => Step::Exit(code),
        Poll::Ready(Err((1, e))) => {
            out.err(&format!("{name}: write error: {e}\n"));
            // Whether the message gets out or not, the command has failed.
            let _ = out.flush(sys);
            Step::Exit(1)
        }
        Poll::Ready(Err(_)) => Step::Exit(code),
    }
}
