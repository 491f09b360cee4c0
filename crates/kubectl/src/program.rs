//! kubectl as a process: the core's [`Env`] over system calls.

use crate::cx::{Chunk, Env, FileKind, Handle, Packet, Progress, Run};
use api::wire::{Message, Request, Response};
use core::task::Poll;
use shell::sys::{Shutdown, SocketKind, TtyModes, Whence};
use shell::{Child, Entry, Errno, ExitStatus, OpenFlags, Program, Spawn, Step, Sys};
use sim::{Epoch, Instant};
use std::sync::Arc;

/// The table entry of the binary.
pub const ENTRY: Entry = Entry { names: &["kubectl", "k"], help: "", main };

fn main(args: Vec<String>) -> Box<dyn Program> {
    Box::new(Kubectl {
        run: Run::new(args.into_iter().skip(1).collect()),
        out: Vec::new(),
        at: 0,
        code: None,
    })
}

/// A running kubectl.
#[derive(Clone, Debug)]
pub struct Kubectl {
    run: Run,
    /// Output that the descriptors have not taken yet.
    out: Vec<Chunk>,
    /// Bytes of the first piece that are written.
    at: usize,
    code: Option<i32>,
}

impl Kubectl {
    /// A process of these arguments, the first being the name.
    pub fn new(args: Vec<String>) -> Kubectl {
        Kubectl { run: Run::new(args.into_iter().skip(1).collect()), out: Vec::new(), at: 0, code: None }
    }

    /// Writes what is left; `None` once all is written.
    fn flush(&mut self, sys: &mut dyn Sys) -> Option<Step> {
        while let Some((fd, data)) = self.out.first() {
            match sys.write(i32::from(*fd), &data[self.at.min(data.len())..]) {
                Poll::Ready(Ok(n)) => self.at += n,
                Poll::Ready(Err(Errno::EPIPE)) => return Some(Step::Exit(1)),
                // Nobody to tell.
                Poll::Ready(Err(_)) => self.at = data.len(),
                Poll::Pending => return Some(Step::Wait),
            }
            if self.at >= data.len() {
                self.out.remove(0);
                self.at = 0;
            }
        }
        None
    }
}

impl Program for Kubectl {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if let Some(step) = self.flush(sys) {
            return step;
        }
        if let Some(code) = self.code {
            return Step::Exit(code);
        }
        let progress = self.run.turn(&mut Host { sys }, &mut self.out);
        if let Progress::Exit(code) = progress {
            self.code = Some(code);
        }
        if let Some(step) = self.flush(sys) {
            return step;
        }
        match progress {
            Progress::Pending => Step::Wait,
            Progress::Continue => Step::Continue,
            Progress::Exit(code) => Step::Exit(code),
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

struct Host<'a> {
    sys: &'a mut dyn Sys,
}

fn words(e: Errno) -> String {
    let text = e.to_string();
    let mut c = text.chars();
    c.next().map_or_else(String::new, |f| f.to_lowercase().chain(c).collect())
}

/// Bytes read at once.
const READ_BYTES: usize = 65_536;

impl Host<'_> {
    fn slurp(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.sys.open(path, OpenFlags::READ, 0)?;
        let mut all = Vec::new();
        let result = loop {
            match self.sys.read(fd, READ_BYTES) {
                Poll::Ready(Ok(b)) if b.is_empty() => break Ok(all),
                Poll::Ready(Ok(b)) => all.extend_from_slice(&b),
                Poll::Ready(Err(e)) => break Err(e),
                // What a pipe or terminal has not got yet does not count as a file.
                Poll::Pending => break Ok(all),
            }
            if all.len() > sim::Limits::TABLE.file_bytes_max {
                break Err(Errno::EFBIG);
            }
        };
        let _ = self.sys.close(fd);
        result
    }
}

impl Env for Host<'_> {
    fn open(&mut self, server: &str, request: Arc<Request>) -> Result<Handle, String> {
        // The server's address travels as the request's `host` header.
        let raw = server.starts_with(crate::client::RAW);
        let service = if raw { "kube-apiserver/http" } else { "kube-apiserver" };
        self.sys.rpc_open(service, request).map_err(|e| match e {
            Errno::ECONNREFUSED => "connection refused".into(),
            e => words(e),
        })
    }

    fn recv(&mut self, handle: Handle) -> Poll<Result<Option<Packet>, String>> {
        match self.sys.rpc_recv(handle) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(words(e))),
            Poll::Ready(Ok(None)) => Poll::Ready(Ok(None)),
            Poll::Ready(Ok(Some(m))) => Poll::Ready(Ok(if let Some(r) = m.downcast_ref::<Response>() {
                Some(Packet::Response(r.clone()))
            } else {
                m.downcast_ref::<Message>().map(|m| Packet::Message(m.clone()))
            })),
        }
    }

    fn send(&mut self, handle: Handle, message: Message) -> Result<(), String> {
        self.sys.rpc_send(handle, Arc::new(message)).map_err(words)
    }

    fn close(&mut self, handle: Handle) {
        let _ = self.sys.close(handle);
    }

    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.slurp(path).map_err(words)
    }

    fn write_file(&mut self, path: &str, data: &[u8], mode: u32) -> Result<(), String> {
        let fd = self.sys.open(path, OpenFlags::WRITE, mode).map_err(words)?;
        let _ = self.sys.seek(fd, 0, Whence::Start);
        let mut at = 0;
        while at < data.len() {
            match self.sys.write(fd, &data[at..]) {
                Poll::Ready(Ok(n)) if n > 0 => at += n,
                Poll::Ready(Err(e)) => {
                    let _ = self.sys.close(fd);
                    return Err(words(e));
                }
                _ => break,
            }
        }
        self.sys.close(fd).map_err(words)
    }

    fn make_dir(&mut self, path: &str) -> Result<(), String> {
        let mut at = String::new();
        for part in path.split('/') {
            at += part;
            if !at.is_empty() && self.sys.stat(&at).is_err() {
                self.sys.mkdir(&at, 0o755).map_err(words)?;
            }
            at.push('/');
        }
        Ok(())
    }

    fn remove_file(&mut self, path: &str) -> Result<(), String> {
        self.sys.unlink(path).map_err(words)
    }

    fn stat(&mut self, path: &str) -> Result<FileKind, String> {
        let s = self.sys.stat(path).map_err(words)?;
        Ok(if s.is_dir() { FileKind::Dir } else { FileKind::File })
    }

    fn list_dir(&mut self, path: &str) -> Result<Vec<String>, String> {
        let mut names: Vec<String> =
            self.sys.readdir(path).map_err(words)?.into_iter().map(|e| e.name.to_string()).collect();
        names.sort();
        Ok(names)
    }

    fn stdin(&mut self) -> Poll<Result<Vec<u8>, String>> {
        self.sys.read(0, READ_BYTES).map(|r| r.map_err(words))
    }

    fn sleep_until(&mut self, at: Instant) -> Poll<()> {
        self.sys.sleep_until(at)
    }

    fn now(&self) -> Instant {
        self.sys.now()
    }

    fn epoch(&self) -> Epoch {
        self.sys.epoch()
    }

    fn var(&self, name: &str) -> Option<String> {
        self.sys.env().get(name).map(str::to_owned)
    }

    fn spawn(&mut self, argv: &[String]) -> Result<Handle, String> {
        self.sys.spawn(&Spawn::new(argv.iter().cloned())).map(|p| p as Handle).map_err(words)
    }

    fn wait(&mut self, child: Handle) -> Poll<i32> {
        self.sys.wait(Child::Pid(child as u32)).map(|r| match r {
            Ok((_, status)) => status.code(),
            Err(_) => ExitStatus::Exited(1).code(),
        })
    }

    fn is_tty(&mut self, fd: i32) -> bool {
        self.sys.isatty(fd)
    }

    fn tty_size(&mut self) -> Option<(u16, u16)> {
        self.sys.tty_size(1)
    }

    fn random(&mut self) -> u64 {
        self.sys.random()
    }

    fn raw_tty(&mut self, on: bool) {
        let modes =
            if on { TtyModes { canonical: false, echo: false, signals: false } } else { TtyModes::default() };
        let _ = self.sys.tty_modes(0, modes);
    }

    fn listen(&mut self, address: core::net::SocketAddr) -> Result<(Handle, u16), String> {
        let fd = self.sys.socket(SocketKind::Tcp, address.is_ipv6()).map_err(words)?;
        let bound = self.sys.bind(fd, address).and_then(|()| self.sys.listen(fd, 16));
        match bound.and_then(|()| self.sys.local_addr(fd)) {
            Ok(a) => Ok((fd, a.port())),
            Err(e) => {
                let _ = self.sys.close(fd);
                Err(words(e))
            }
        }
    }

    fn accept(&mut self, listener: Handle) -> Poll<Result<Handle, String>> {
        self.sys.accept(listener).map(|r| r.map(|(fd, _)| fd).map_err(words))
    }

    fn read_socket(&mut self, handle: Handle) -> Poll<Result<Vec<u8>, String>> {
        self.sys.read(handle, READ_BYTES).map(|r| r.map_err(words))
    }

    fn write_socket(&mut self, handle: Handle, data: &[u8]) -> Poll<Result<usize, String>> {
        self.sys.write(handle, data).map(|r| r.map_err(words))
    }

    fn end_socket(&mut self, handle: Handle) {
        let _ = self.sys.shutdown(handle, Shutdown::Write);
    }
}
