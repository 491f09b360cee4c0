//! Commands that run to their end in one go.

use crate::io::{Output, read_file};
use crate::program::{Exec, Program, Step};
use crate::sys::{Child, ExitStatus, Pid, STDIN, Spawn, Sys};
use crate::{Errno, fs};
use core::task::Poll;
use sim::Limits;
use std::collections::VecDeque;

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
    /// What follows its output.
    pub then: Then,
    stdin: Option<&'a [u8]>,
    wants_stdin: bool,
}

/// What a command does after its function has run.
#[derive(Clone, Debug, Default)]
pub enum Then {
    /// It ends.
    #[default]
    End,
    /// It becomes another program.
    Exec(Exec),
    /// It runs children one after another.
    Batch(Batch),
}

/// Children and output in order; how `find -exec` and `xargs` work.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What is to be done.
    pub actions: VecDeque<Action>,
    /// Turns children's codes into the command's, as `xargs` does (123 and so on).
    pub xargs: bool,
    /// The child that runs.
    pub current: Option<Pid>,
}

/// A step of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Prints.
    Say(Vec<u8>),
    /// Prints an error.
    Err(String),
    /// Runs a program to its end.
    Run(Vec<String>),
}

/// What a command ends with: its exit code, or that it has to be called again.
pub type Ran = Result<i32, Again>;

/// The command asked for standard input that has not been read yet: it is called again once it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Again;

impl<'a> Cx<'a> {
    /// A context without standard input.
    pub fn new(sys: &'a mut dyn Sys, name: &'a str, args: &'a [String]) -> Cx<'a> {
        Cx { sys, name, args, out: Output::default(), then: Then::End, stdin: None, wants_stdin: false }
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
#[derive(Clone)]
pub struct Once {
    argv: Vec<String>,
    run: Run,
    stdin: Option<Vec<u8>>,
    reading: bool,
    out: Output,
    then: Then,
    code: Option<i32>,
}

impl core::fmt::Debug for Once {
    /// Without the function's address: the name in `argv` tells which it is.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Once")
            .field("argv", &self.argv)
            .field("stdin", &self.stdin)
            .field("out", &self.out)
            .field("then", &self.then)
            .field("code", &self.code)
            .finish()
    }
}

impl Once {
    /// A program of a function.
    pub fn boxed(argv: Vec<String>, run: Run) -> Box<dyn Program> {
        Box::new(Once {
            argv,
            run,
            stdin: None,
            reading: false,
            out: Output::default(),
            then: Then::End,
            code: None,
        })
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
                then: Then::End,
                stdin: self.stdin.as_deref(),
                wants_stdin: false,
            };
            let r = (self.run)(&mut cx);
            let (wants, out, then) = (cx.wants_stdin, cx.out, cx.then);
            self.argv = argv;
            match r {
                Err(Again) if wants => {
                    self.reading = true;
                    return Step::Continue;
                }
                r => {
                    self.code = Some(r.unwrap_or(1));
                    self.out = out;
                    self.then = then;
                }
            }
        }
        let name = self.argv.first().map_or("", |a| fs::basename(a)).to_string();
        if let Some(e) = sys.exec_error() {
            return self.not_executed(sys, &name, e);
        }
        match &mut self.then {
            Then::End => finish(&mut self.out, sys, &name, self.code.unwrap_or(0)),
            Then::Exec(e) => match self.out.flush(sys) {
                Poll::Pending => Step::Wait,
                Poll::Ready(_) => Step::Exec(e.clone()),
            },
            Then::Batch(b) => match b.advance(sys, &mut self.out, &name, &mut self.code) {
                Some(step) => step,
                None => finish(&mut self.out, sys, &name, self.code.unwrap_or(0)),
            },
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

impl Once {
    fn not_executed(&mut self, sys: &mut dyn Sys, name: &str, e: Errno) -> Step {
        if let Then::Exec(x) = core::mem::take(&mut self.then) {
            let what = x.argv.first().cloned().unwrap_or(x.path);
            self.out.err(&format!("{name}: can't execute '{what}': {e}\n"));
        }
        self.code = Some(if e == Errno::ENOENT { 127 } else { 126 });
        finish(&mut self.out, sys, name, self.code.unwrap_or(127))
    }
}

impl Batch {
    /// Goes on; `None` when all is done.
    fn advance(
        &mut self,
        sys: &mut dyn Sys,
        out: &mut Output,
        name: &str,
        code: &mut Option<i32>,
    ) -> Option<Step> {
        loop {
            if out.flush(sys).is_pending() {
                return Some(Step::Wait);
            }
            if let Some(pid) = self.current {
                match sys.wait(Child::Pid(pid)) {
                    Poll::Pending => return Some(Step::Wait),
                    Poll::Ready(r) => {
                        self.current = None;
                        let status = r.map_or(ExitStatus::Exited(127), |r| r.1);
                        self.ended(status, out, name, code);
                    }
                }
                continue;
            }
            match self.actions.pop_front()? {
                Action::Say(d) => out.put(1, &d),
                Action::Err(e) => out.err(&e),
                Action::Run(argv) => match sys.spawn(&Spawn::new(argv.clone())) {
                    Ok(pid) => self.current = Some(pid),
                    Err(e) => {
                        let what = argv.first().cloned().unwrap_or_default();
                        out.err(&format!("{name}: {what}: {e}\n"));
                        *code = Some(if !self.xargs {
                            1
                        } else if e == Errno::ENOENT {
                            127
                        } else {
                            126
                        });
                        if self.xargs {
                            self.actions.clear();
                        }
                    }
                },
            }
        }
    }

    fn ended(&mut self, status: ExitStatus, out: &mut Output, name: &str, code: &mut Option<i32>) {
        if !self.xargs {
            return;
        }
        match status {
            ExitStatus::Exited(0) => {}
            ExitStatus::Exited(255) => {
                out.err(&format!("{name}: exited with status 255; aborting\n"));
                *code = Some(124);
                self.actions.clear();
            }
            ExitStatus::Exited(_) => *code = Some(123),
            ExitStatus::Signaled(s) => {
                out.err(&format!("{name}: terminated by signal {}\n", s.0));
                *code = Some(125);
                self.actions.clear();
            }
        }
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
        // What goes elsewhere may still get out.
        Poll::Ready(Err(_)) => finish(out, sys, name, code),
    }
}
