//! Replayed commands: ordinary sequential code that can be stopped, copied and gone on with at any point.
//!
//! A command asks the outside only through [`Cx`]. Each answer is kept in the run's log. Where an answer is not there
//! yet, the command ends with [`Stop::Pending`]; when it is, the command runs again from the start of its turn over the
//! log, output already written being skipped. So the state of a running kubectl is its arguments, a log and perhaps the
//! state of a loop: a plain value.
//!
//! What may run without end (watches, logs, exec) is a [`Task`] of many turns: each turn is one such replayed piece, and
//! its log is dropped when it has gone through.

use crate::client::Api;
use crate::command::Args;
use crate::discovery::Discovery;
use crate::error::Error;
use crate::kubeconfig::Config;
use crate::tasks::Task;
use api::SmolStr;
use api::wire::{Message, Request, Response};
use core::task::Poll;
use sim::{Epoch, Instant};
use std::sync::Arc;

/// An open conversation or child process.
pub type Handle = i32;

/// What comes out of a conversation with a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    /// The head.
    Response(Response),
    /// A message of a stream.
    Message(Message),
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file or what reads like one.
    File,
    /// A directory.
    Dir,
}

/// The outside of a kubectl: its server, files, terminal and clock. Errors are texts as `errno` has them.
pub trait Env {
    /// Sends a request to a server; its answer follows by [`Env::recv`].
    fn open(&mut self, server: &str, request: Arc<Request>) -> Result<Handle, String>;
    /// Takes what comes next; `None` at the end.
    fn recv(&mut self, handle: Handle) -> Poll<Result<Option<Packet>, String>>;
    /// Sends a message on a stream.
    fn send(&mut self, handle: Handle, message: Message) -> Result<(), String>;
    /// Ends a conversation.
    fn close(&mut self, handle: Handle);
    /// Reads a file.
    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String>;
    /// Writes a file.
    fn write_file(&mut self, path: &str, data: &[u8], mode: u32) -> Result<(), String>;
    /// Makes a directory and its parents.
    fn make_dir(&mut self, path: &str) -> Result<(), String>;
    /// Removes a file.
    fn remove_file(&mut self, path: &str) -> Result<(), String>;
    /// What a path names.
    fn stat(&mut self, path: &str) -> Result<FileKind, String>;
    /// The names in a directory, in order.
    fn list_dir(&mut self, path: &str) -> Result<Vec<String>, String>;
    /// The next piece of standard input; empty at its end.
    fn stdin(&mut self) -> Poll<Result<Vec<u8>, String>>;
    /// Ready from that instant on.
    fn sleep_until(&mut self, at: Instant) -> Poll<()>;
    /// Virtual time.
    fn now(&self) -> Instant;
    /// The civil moment of time zero.
    fn epoch(&self) -> Epoch;
    /// An environment variable.
    fn var(&self, name: &str) -> Option<String>;
    /// Starts a child that shares the terminal.
    fn spawn(&mut self, argv: &[String]) -> Result<Handle, String>;
    /// Waits for a child's exit code.
    fn wait(&mut self, child: Handle) -> Poll<i32>;
    /// Whether a descriptor is a terminal.
    fn is_tty(&mut self, fd: i32) -> bool;
    /// Columns and rows of the terminal on standard output.
    fn tty_size(&mut self) -> Option<(u16, u16)>;
    /// Random bits.
    fn random(&mut self) -> u64;
    /// Sets whether the terminal hands over single keys without echo.
    fn raw_tty(&mut self, on: bool);
    /// Listens for TCP connections; gives the port as well.
    fn listen(&mut self, address: core::net::SocketAddr) -> Result<(Handle, u16), String> {
        let _ = address;
        Err("operation not supported".into())
    }
    /// The next connection to a listener.
    fn accept(&mut self, listener: Handle) -> Poll<Result<Handle, String>> {
        let _ = listener;
        Poll::Pending
    }
    /// The next bytes of a connection; empty at its end.
    fn read_socket(&mut self, handle: Handle) -> Poll<Result<Vec<u8>, String>> {
        let _ = handle;
        Poll::Pending
    }
    /// Writes what fits now; gives how much.
    fn write_socket(&mut self, handle: Handle, data: &[u8]) -> Poll<Result<usize, String>> {
        let _ = handle;
        Poll::Ready(Ok(data.len()))
    }
    /// Sends the end of what is written.
    fn end_socket(&mut self, handle: Handle) {
        let _ = handle;
    }
}

/// Something to wait for, see [`Cx::select`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// The next packet of a conversation.
    Stream(Handle),
    /// The next piece of standard input.
    Stdin,
    /// A connection to a listener.
    Accept(Handle),
    /// Bytes of a connection.
    Socket(Handle),
    /// A point in time.
    Until(Instant),
}

/// What happened first.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A packet, or the end, of that conversation.
    Packet(Handle, Option<Packet>),
    /// A piece of standard input, empty at its end.
    Stdin(Arc<[u8]>),
    /// A connection to a listener.
    Accepted(Handle, Result<Handle, String>),
    /// Bytes of a connection, empty at its end.
    Socket(Handle, Arc<[u8]>),
    /// The time came.
    Time,
}

/// Why a command does not go on.
#[derive(Clone, Debug)]
pub enum Stop {
    /// It waits.
    Pending,
    /// It ends with this code and says no more.
    Exit(i32),
    /// It fails.
    Fail(Error),
    /// It goes on as a task of many turns.
    Enter(Box<Task>),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(e: E) -> Stop {
        Stop::Fail(e.into())
    }
}

/// The result of a command or a part of it.
pub type Done<T = ()> = Result<T, Stop>;

/// One answer from outside.
#[derive(Clone, Debug)]
enum Entry {
    Handle(Result<Handle, String>),
    Packet(Result<Option<Packet>, String>),
    Bytes(Result<Arc<[u8]>, String>),
    Names(Result<Arc<[String]>, String>),
    Unit(Result<(), String>),
    Kind(Result<FileKind, String>),
    Time(Instant),
    Number(i64),
    Text(Option<SmolStr>),
    Event(Event),
}

/// Bytes for a descriptor: 1 standard output, 2 standard error.
pub type Chunk = (u8, Vec<u8>);

/// What a command has at hand while it runs.
pub struct Cx<'a> {
    env: &'a mut dyn Env,
    log: &'a mut Vec<Entry>,
    at: usize,
    /// Bytes written in this turn before.
    skip: usize,
    written: usize,
    out: Vec<Chunk>,
    config: Option<Arc<Config>>,
    api: Option<Arc<Api>>,
    discovery: Option<Arc<Discovery>>,
    /// Warnings shown, which are not repeated.
    warned: Vec<String>,
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty, $variant:ident, |$env:ident| $call:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self $(, $arg: $ty)*) -> Done<$ret> {
            match self.op(|$env| Poll::Ready(Entry::$variant($call)))? {
                Entry::$variant(v) => Ok(v),
                _ => Err(Stop::Fail(Error::text("internal error: the log does not fit"))),
            }
        }
    )*};
}

impl<'a> Cx<'a> {
    fn op(&mut self, f: impl FnOnce(&mut dyn Env) -> Poll<Entry>) -> Done<Entry> {
        let entry = match self.log.get(self.at) {
            Some(e) => e.clone(),
            None => match f(self.env) {
                Poll::Ready(e) => {
                    self.log.push(e.clone());
                    e
                }
                Poll::Pending => return Err(Stop::Pending),
            },
        };
        self.at += 1;
        Ok(entry)
    }

    ops! {
        /// Sends a request; the answer's packets follow.
        open(server: &str, request: Arc<Request>) -> Result<Handle, String>, Handle, |e| e.open(server, request);
        /// Reads a file.
        read_file(path: &str) -> Result<Arc<[u8]>, String>, Bytes, |e| e.read_file(path).map(Into::into);
        /// Writes a file.
        write_file(path: &str, data: &[u8], mode: u32) -> Result<(), String>, Unit, |e| e.write_file(path, data, mode);
        /// Makes a directory and its parents.
        make_dir(path: &str) -> Result<(), String>, Unit, |e| e.make_dir(path);
        /// Removes a file.
        remove_file(path: &str) -> Result<(), String>, Unit, |e| e.remove_file(path);
        /// What a path names.
        stat(path: &str) -> Result<FileKind, String>, Kind, |e| e.stat(path);
        /// The names in a directory.
        list_dir(path: &str) -> Result<Arc<[String]>, String>, Names, |e| e.list_dir(path).map(Into::into);
        /// Virtual time when first asked.
        now() -> Instant, Time, |e| e.now();
        /// An environment variable.
        var(name: &str) -> Option<SmolStr>, Text, |e| e.var(name).map(SmolStr::from);
        /// Starts a child.
        spawn(argv: &[String]) -> Result<Handle, String>, Handle, |e| e.spawn(argv);
        /// Sends a message on a stream.
        send(handle: Handle, message: Message) -> Result<(), String>, Unit, |e| e.send(handle, message);
    }

    /// The next packet of a conversation.
    pub fn recv(&mut self, handle: Handle) -> Done<Result<Option<Packet>, String>> {
        match self.op(|e| e.recv(handle).map(Entry::Packet))? {
            Entry::Packet(p) => Ok(p),
            _ => Err(Stop::Fail(Error::text("internal error: the log does not fit"))),
        }
    }

    /// Listens for TCP connections; gives the listener and its port.
    pub fn listen(&mut self, address: core::net::SocketAddr) -> Done<Result<(Handle, u16), String>> {
        let e = self.op(|e| {
            Poll::Ready(Entry::Event(match e.listen(address) {
                Ok((h, port)) => Event::Accepted(i32::from(port), Ok(h)),
                Err(e) => Event::Accepted(0, Err(e)),
            }))
        })?;
        match e {
            Entry::Event(Event::Accepted(port, Ok(h))) => Ok(Ok((h, port as u16))),
            Entry::Event(Event::Accepted(_, Err(e))) => Ok(Err(e)),
            _ => Err(Stop::Fail(Error::text("internal error: the log does not fit"))),
        }
    }

    /// Writes to a connection, all of it.
    pub fn write_socket(&mut self, handle: Handle, data: &[u8]) -> Done<Result<(), String>> {
        let mut at = 0;
        while at < data.len() {
            let e = self.op(|e| {
                e.write_socket(handle, &data[at..]).map(|r| match r {
                    Ok(n) => Entry::Number(n as i64),
                    Err(e) => Entry::Unit(Err(e)),
                })
            })?;
            match e {
                Entry::Number(n) if n > 0 => at += n as usize,
                Entry::Unit(Err(e)) => return Ok(Err(e)),
                _ => return Ok(Err("broken pipe".into())),
            }
        }
        Ok(Ok(()))
    }

    /// Sends the end of what is written.
    pub fn end_socket(&mut self, handle: Handle) -> Done {
        self.op(|e| {
            e.end_socket(handle);
            Poll::Ready(Entry::Unit(Ok(())))
        })
        .map(|_| ())
    }

    /// Ends a conversation.
    pub fn close(&mut self, handle: Handle) -> Done {
        self.op(|e| {
            e.close(handle);
            Poll::Ready(Entry::Unit(Ok(())))
        })
        .map(|_| ())
    }

    /// Waits for a child's exit code.
    pub fn wait(&mut self, child: Handle) -> Done<i32> {
        match self.op(|e| e.wait(child).map(|c| Entry::Number(c.into())))? {
            Entry::Number(c) => Ok(c as i32),
            _ => Ok(1),
        }
    }

    /// Whether a descriptor is a terminal.
    pub fn is_tty(&mut self, fd: i32) -> Done<bool> {
        Ok(matches!(self.op(|e| Poll::Ready(Entry::Number(e.is_tty(fd).into())))?, Entry::Number(1)))
    }

    /// Columns and rows of the terminal on standard output.
    pub fn tty_size(&mut self) -> Done<Option<(u16, u16)>> {
        let e = self.op(|e| {
            Poll::Ready(Entry::Number(e.tty_size().map_or(0, |(c, r)| i64::from(c) << 16 | i64::from(r))))
        })?;
        Ok(match e {
            Entry::Number(n) if n > 0 => Some(((n >> 16) as u16, n as u16)),
            _ => None,
        })
    }

    /// Sets whether the terminal hands over single keys without echo.
    pub fn raw_tty(&mut self, on: bool) -> Done {
        self.op(|e| {
            e.raw_tty(on);
            Poll::Ready(Entry::Unit(Ok(())))
        })
        .map(|_| ())
    }

    /// Random bits.
    pub fn random(&mut self) -> Done<u64> {
        match self.op(|e| Poll::Ready(Entry::Number(e.random() as i64)))? {
            Entry::Number(n) => Ok(n as u64),
            _ => Ok(0),
        }
    }

    /// Waits until an instant.
    pub fn sleep_until(&mut self, at: Instant) -> Done {
        self.select(&[Source::Until(at)]).map(|_| ())
    }

    /// Waits a while.
    pub fn sleep(&mut self, d: core::time::Duration) -> Done {
        let at = self.now()? + d;
        self.sleep_until(at)
    }

    /// Waits for the first of several sources; earlier ones go first when several are ready.
    pub fn select(&mut self, sources: &[Source]) -> Done<Event> {
        let e = self.op(|e| {
            for s in sources {
                match *s {
                    Source::Stream(h) => {
                        if let Poll::Ready(p) = e.recv(h) {
                            return Poll::Ready(Entry::Event(Event::Packet(h, p.unwrap_or(None))));
                        }
                    }
                    Source::Stdin => {
                        if let Poll::Ready(b) = e.stdin() {
                            return Poll::Ready(Entry::Event(Event::Stdin(b.unwrap_or_default().into())));
                        }
                    }
                    Source::Accept(h) => {
                        if let Poll::Ready(c) = e.accept(h) {
                            return Poll::Ready(Entry::Event(Event::Accepted(h, c)));
                        }
                    }
                    Source::Socket(h) => {
                        if let Poll::Ready(b) = e.read_socket(h) {
                            return Poll::Ready(Entry::Event(Event::Socket(h, b.unwrap_or_default().into())));
                        }
                    }
                    Source::Until(at) => {
                        if e.sleep_until(at).is_ready() {
                            return Poll::Ready(Entry::Event(Event::Time));
                        }
                    }
                }
            }
            Poll::Pending
        })?;
        match e {
            Entry::Event(e) => Ok(e),
            _ => Err(Stop::Fail(Error::text("internal error: the log does not fit"))),
        }
    }

    /// All of standard input.
    pub fn stdin(&mut self) -> Done<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let Event::Stdin(b) = self.select(&[Source::Stdin])? else { continue };
            if b.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&b);
            if all.len() > sim::Limits::TABLE.file_bytes_max {
                return Err(Error::text("standard input is too large").into());
            }
        }
    }

    /// The civil moment of time zero.
    pub fn epoch(&self) -> Epoch {
        self.env.epoch()
    }

    /// Civil time when first asked.
    pub fn civil(&mut self) -> Done<sim::Civil> {
        let now = self.now()?;
        Ok(self.epoch().civil(now))
    }

    fn write(&mut self, fd: u8, data: &[u8]) {
        let from = self.skip.saturating_sub(self.written).min(data.len());
        self.written += data.len();
        let data = &data[from..];
        if data.is_empty() {
            return;
        }
        match self.out.last_mut() {
            Some((last, buffer)) if *last == fd => buffer.extend_from_slice(data),
            _ => self.out.push((fd, data.to_vec())),
        }
    }

    /// Writes to standard output.
    pub fn out(&mut self, text: impl AsRef<str>) {
        self.write(1, text.as_ref().as_bytes());
    }

    /// Writes bytes to standard output.
    pub fn out_bytes(&mut self, data: &[u8]) {
        self.write(1, data);
    }

    /// Writes bytes to standard error.
    pub fn err_bytes(&mut self, data: &[u8]) {
        self.write(2, data);
    }

    /// Writes to standard error.
    pub fn err(&mut self, text: impl AsRef<str>) {
        self.write(2, text.as_ref().as_bytes());
    }

    /// Writes a server's warning to standard error, each text once.
    pub fn warn(&mut self, text: &str) {
        if !self.warned.iter().any(|w| w == text) {
            self.warned.push(text.to_owned());
            self.err(format!("Warning: {text}\n"));
        }
    }

    /// Splits failures off: the result, or the error that the caller wants to collect.
    pub fn catch<T>(&mut self, r: Done<T>) -> Done<Result<T, Error>> {
        match r {
            Ok(v) => Ok(Ok(v)),
            Err(Stop::Fail(e)) => Ok(Err(e)),
            Err(other) => Err(other),
        }
    }

    /// The kubeconfig, loaded when first asked for.
    pub fn config(&mut self, args: &Args) -> Done<Arc<Config>> {
        if let Some(c) = &self.config {
            return Ok(c.clone());
        }
        let c = Arc::new(Config::load(self, args)?);
        self.config = Some(c.clone());
        Ok(c)
    }

    /// The client of the current context.
    pub fn api(&mut self, args: &Args) -> Done<Arc<Api>> {
        if let Some(a) = &self.api {
            return Ok(a.clone());
        }
        let a = Arc::new(Api::new(self, args)?);
        self.api = Some(a.clone());
        Ok(a)
    }

    /// What the server has, asked once a run.
    pub fn discovery(&mut self, api: &Api) -> Done<Arc<Discovery>> {
        if let Some(d) = &self.discovery {
            return Ok(d.clone());
        }
        let d = Arc::new(Discovery::fetch(self, api)?);
        self.discovery = Some(d.clone());
        Ok(d)
    }
}

/// A running kubectl.
#[derive(Clone, Debug)]
pub struct Run {
    task: Task,
    log: Vec<Entry>,
    written: usize,
    code: Option<i32>,
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It waits for what it asked of the [`Env`].
    Pending,
    /// It can go on at once.
    Continue,
    /// It has ended.
    Exit(i32),
}

impl Run {
    /// A run of the arguments behind the program's name.
    pub fn new(args: Vec<String>) -> Run {
        Run { task: Task::Command(args.into()), log: Vec::new(), written: 0, code: None }
    }

    /// Runs until the command waits, has gone one turn, or ends. What it wrote is appended to `out`.
    pub fn turn(&mut self, env: &mut dyn Env, out: &mut Vec<Chunk>) -> Progress {
        if let Some(code) = self.code {
            return Progress::Exit(code);
        }
        let mut task = self.task.clone();
        let mut cx = Cx {
            env,
            log: &mut self.log,
            at: 0,
            skip: self.written,
            written: 0,
            out: Vec::new(),
            config: None,
            api: None,
            discovery: None,
            warned: Vec::new(),
        };
        let result = task.turn(&mut cx);
        let code = match result {
            Ok(None) => None,
            Ok(Some(code)) => Some(code),
            Err(Stop::Pending) => {
                self.written = self.written.max(cx.written);
                out.append(&mut cx.out);
                return Progress::Pending;
            }
            Err(Stop::Exit(code)) => Some(code),
            Err(Stop::Fail(e)) => {
                let (text, code) = e.report();
                cx.err(text);
                Some(code)
            }
            Err(Stop::Enter(next)) => {
                task = *next;
                None
            }
        };
        out.append(&mut cx.out);
        self.task = task;
        self.log.clear();
        self.written = 0;
        self.code = code;
        match code {
            Some(code) => Progress::Exit(code),
            None => Progress::Continue,
        }
    }
}
