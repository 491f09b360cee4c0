//! kubectl called directly, for tests and tools: a client that answers at once, files in a map.

use crate::cx::{Chunk, Env, FileKind, Handle, Packet, Progress, Run};
use api::wire::{Message, Request, Response};
use core::task::Poll;
use sim::{Epoch, Instant};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Answers requests, and gives the messages of the streams that it opened.
pub trait Client {
    /// Answers a request. For a stream the answer's `stream` is set, and `id` names it in what follows.
    fn call(&mut self, id: Handle, server: &str, request: &Request) -> Result<Response, String>;
    /// The next message of a stream; `None` at its end.
    fn next(&mut self, id: Handle) -> Option<Message> {
        let _ = id;
        None
    }
    /// Takes a message on a stream.
    fn send(&mut self, id: Handle, message: Message) {
        let _ = (id, message);
    }
    /// Lets time pass; gives the new time.
    fn sleep_until(&mut self, at: Instant) -> Instant {
        at
    }
    /// The time.
    fn now(&self) -> Instant {
        Instant::ZERO
    }
}

/// What a run printed and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Both, in order.
    pub both: String,
    /// Exit code.
    pub code: i32,
}

/// Files, standard input and environment of a direct run.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Files by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// Environment.
    pub vars: BTreeMap<String, String>,
    /// The civil moment of time zero.
    pub epoch: Option<Epoch>,
}

struct Direct<'a> {
    client: &'a mut dyn Client,
    setting: &'a mut Setting,
    queues: BTreeMap<Handle, VecDeque<Packet>>,
    streams: Vec<Handle>,
    next: Handle,
    now: Instant,
    chance: u64,
}

/// Turns that one run may take.
const TURNS_MAX: usize = 1_000_000;

/// Runs a command line (without the program's name) to its end.
pub fn run_once(args: &[String], client: &mut dyn Client, setting: &mut Setting) -> Output {
    let now = client.now();
    let mut env = Direct {
        client,
        setting,
        queues: BTreeMap::new(),
        streams: Vec::new(),
        next: 1,
        now,
        chance: 0x9e37_79b9_7f4a_7c15,
    };
    let mut run = Run::new(args.to_vec());
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut code = 1;
    for _ in 0..TURNS_MAX {
        match run.turn(&mut env, &mut chunks) {
            Progress::Exit(c) => {
                code = c;
                break;
            }
            Progress::Continue => {}
            // Everything is answered at once: what is not will never be.
            Progress::Pending => {
                code = 124;
                break;
            }
        }
    }
    let mut out = Output { code, ..Output::default() };
    for (fd, data) in chunks {
        let text = String::from_utf8_lossy(&data);
        if fd == 1 { &mut out.stdout } else { &mut out.stderr }.push_str(&text);
        out.both.push_str(&text);
    }
    out
}

fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for p in path.split('/') {
        match p {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    let joined = parts.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}

const ENOENT: &str = "no such file or directory";

impl Env for Direct<'_> {
    fn open(&mut self, server: &str, request: Arc<Request>) -> Result<Handle, String> {
        let id = self.next;
        self.next += 1;
        let r = self.client.call(id, server, &request)?;
        if r.stream {
            self.streams.push(id);
        }
        self.queues.entry(id).or_default().push_back(Packet::Response(r));
        Ok(id)
    }

    fn recv(&mut self, handle: Handle) -> Poll<Result<Option<Packet>, String>> {
        if let Some(p) = self.queues.get_mut(&handle).and_then(VecDeque::pop_front) {
            return Poll::Ready(Ok(Some(p)));
        }
        let next = if self.streams.contains(&handle) { self.client.next(handle) } else { None };
        Poll::Ready(Ok(next.map(Packet::Message)))
    }

    fn send(&mut self, handle: Handle, message: Message) -> Result<(), String> {
        self.client.send(handle, message);
        Ok(())
    }

    fn close(&mut self, handle: Handle) {
        self.queues.remove(&handle);
        self.streams.retain(|h| *h != handle);
    }

    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let path = clean(path);
        if self.stat(&path) == Ok(FileKind::Dir) {
            return Err("is a directory".into());
        }
        self.setting.files.get(&path).cloned().ok_or_else(|| ENOENT.into())
    }

    fn write_file(&mut self, path: &str, data: &[u8], _mode: u32) -> Result<(), String> {
        self.setting.files.insert(clean(path), data.to_vec());
        Ok(())
    }

    fn make_dir(&mut self, _path: &str) -> Result<(), String> {
        Ok(())
    }

    fn remove_file(&mut self, path: &str) -> Result<(), String> {
        self.setting.files.remove(&clean(path)).map(|_| ()).ok_or_else(|| ENOENT.into())
    }

    fn stat(&mut self, path: &str) -> Result<FileKind, String> {
        let path = clean(path);
        if self.setting.files.contains_key(&path) {
            return Ok(FileKind::File);
        }
        let dir = format!("{path}/");
        if path.is_empty() || path == "/" || self.setting.files.keys().any(|k| k.starts_with(&dir)) {
            Ok(FileKind::Dir)
        } else {
            Err(ENOENT.into())
        }
    }

    fn list_dir(&mut self, path: &str) -> Result<Vec<String>, String> {
        let path = clean(path);
        let dir = if path.is_empty() { String::new() } else { format!("{}/", path.trim_end_matches('/')) };
        let mut names: Vec<String> = self
            .setting
            .files
            .keys()
            .filter_map(|k| k.strip_prefix(&dir))
            .filter_map(|r| r.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        if names.is_empty() { Err(ENOENT.into()) } else { Ok(names) }
    }

    fn stdin(&mut self) -> Poll<Result<Vec<u8>, String>> {
        Poll::Ready(Ok(core::mem::take(&mut self.setting.stdin)))
    }

    fn sleep_until(&mut self, at: Instant) -> Poll<()> {
        self.now = self.client.sleep_until(at);
        Poll::Ready(())
    }

    fn now(&self) -> Instant {
        self.client.now().max(self.now)
    }

    fn epoch(&self) -> Epoch {
        self.setting.epoch.unwrap_or(Epoch::DEFAULT)
    }

    fn var(&self, name: &str) -> Option<String> {
        self.setting.vars.get(name).cloned()
    }

    fn spawn(&mut self, _argv: &[String]) -> Result<Handle, String> {
        Err(ENOENT.into())
    }

    fn wait(&mut self, _child: Handle) -> Poll<i32> {
        Poll::Ready(127)
    }

    fn is_tty(&mut self, _fd: i32) -> bool {
        false
    }

    fn tty_size(&mut self) -> Option<(u16, u16)> {
        None
    }

    fn random(&mut self) -> u64 {
        self.chance = self.chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.chance >> 11
    }

    fn raw_tty(&mut self, _on: bool) {}
}
