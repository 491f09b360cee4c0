//! Open file descriptions and pipes.

use super::{Interest, Kernel, Network, RpcId, SocketId, TtyId};
use crate::fs::Node;
use crate::sys::{OpenFlags, SocketKind};
use sim::Limits;
use smol_str::SmolStr;
use std::sync::Arc;

/// An open file description, which several descriptors may share.
pub type FileId = u64;
/// A pipe.
pub type PipeId = u64;

/// What a description stands for.
#[derive(Clone, Debug)]
pub(super) enum FileKind {
    Regular(Node),
    Dir(Node),
    /// A file of `/proc`, as it was when it was opened.
    Snapshot(Arc<Vec<u8>>),
    /// A setting below `/proc/sys`, opened for writing.
    Sysctl(SmolStr),
    PipeRead(PipeId),
    PipeWrite(PipeId),
    Tty(TtyId),
    Null,
    Zero,
    Full,
    Random,
    Socket(SocketId, SocketKind),
    Rpc(RpcId),
}

#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    pub kind: FileKind,
    pub pos: u64,
    pub flags: OpenFlags,
    pub refs: u32,
}

/// A pipe's bytes and how many ends are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    pub data: Arc<Vec<u8>>,
    pub readers: u32,
    pub writers: u32,
    /// Read by the outside: news are listed.
    pub out: bool,
}

impl Kernel {
    pub(super) fn add_file(&mut self, kind: FileKind, flags: OpenFlags) -> FileId {
        let id = self.id();
        match &kind {
            FileKind::PipeRead(p) => {
                if let Some(p) = self.pipes.get_mut(p) {
                    p.readers += 1;
                }
            }
            FileKind::PipeWrite(p) => {
                if let Some(p) = self.pipes.get_mut(p) {
                    p.writers += 1;
                }
            }
            FileKind::Tty(t) => {
                if let Some(t) = self.tty_mut(*t) {
                    t.refs += 1;
                    t.closed = false;
                }
            }
            FileKind::Regular(n) | FileKind::Dir(n) => self.vfs.opened(*n),
            _ => {}
        }
        self.files.insert(id, OpenFile { kind, pos: 0, flags, refs: 0 });
        id
    }

    /// A description of `/dev/null`, to be given to a new process.
    pub fn open_null(&mut self) -> FileId {
        self.add_file(FileKind::Null, OpenFlags::READ_WRITE)
    }

    /// A description of a terminal, to be given to a new process.
    pub fn open_tty(&mut self, tty: TtyId) -> FileId {
        self.add_file(FileKind::Tty(tty), OpenFlags::READ_WRITE)
    }

    pub(super) fn add_pipe(&mut self) -> PipeId {
        let id = self.id();
        self.pipes.insert(id, Pipe::default());
        id
    }

    /// A pipe that the outside writes with [`Kernel::feed`], and its reading end for a process.
    pub fn pipe_in(&mut self) -> (PipeId, FileId) {
        let id = self.add_pipe();
        if let Some(p) = self.pipes.get_mut(&id) {
            p.writers = 1;
        }
        (id, self.add_file(FileKind::PipeRead(id), OpenFlags::READ))
    }

    /// A pipe that the outside reads with [`Kernel::drain`], and its writing end for a process.
    pub fn pipe_out(&mut self) -> (PipeId, FileId) {
        let id = self.add_pipe();
        if let Some(p) = self.pipes.get_mut(&id) {
            p.readers = 1;
            p.out = true;
        }
        (id, self.add_file(FileKind::PipeWrite(id), OpenFlags::WRITE))
    }

    /// Writes into a pipe from outside; gives how much it took.
    pub fn feed(&mut self, id: PipeId, bytes: &[u8]) -> usize {
        let Some(p) = self.pipes.get_mut(&id) else { return 0 };
        let n = bytes.len().min(Limits::TABLE.pipe_bytes_max.saturating_sub(p.data.len()));
        Arc::make_mut(&mut p.data).extend(bytes.iter().take(n));
        self.wake(Interest::PipeRead(id));
        n
    }

    /// The outside closes its writing end.
    pub fn feed_end(&mut self, id: PipeId) {
        if let Some(p) = self.pipes.get_mut(&id) {
            p.writers = p.writers.saturating_sub(1);
        }
        self.pipe_closed(id);
    }

    /// Whether a process still has the reading end.
    pub fn has_reader(&self, id: PipeId) -> bool {
        self.pipes.get(&id).is_some_and(|p| p.readers > 0)
    }

    /// Takes all bytes of a pipe from outside.
    pub fn drain(&mut self, id: PipeId) -> Vec<u8> {
        let Some(p) = self.pipes.get_mut(&id) else { return Vec::new() };
        let data = core::mem::take(Arc::make_mut(&mut p.data));
        self.wake(Interest::PipeWrite(id));
        data
    }

    /// Whether all writers are gone and all bytes taken.
    pub fn is_drained(&self, id: PipeId) -> bool {
        self.pipes.get(&id).is_none_or(|p| p.writers == 0 && p.data.is_empty())
    }

    /// The outside closes its reading end.
    pub fn drain_end(&mut self, id: PipeId) {
        if let Some(p) = self.pipes.get_mut(&id) {
            p.readers = p.readers.saturating_sub(1);
            p.out = false;
        }
        self.pipe_closed(id);
    }

    fn pipe_closed(&mut self, id: PipeId) {
        let Some(p) = self.pipes.get(&id) else { return };
        if p.out {
            self.outputs.insert(id);
        }
        if p.readers == 0 && p.writers == 0 {
            self.pipes.remove(&id);
            self.outputs.remove(&id);
        }
        self.wake(Interest::PipeRead(id));
        self.wake(Interest::PipeWrite(id));
    }

    /// One descriptor more.
    pub(super) fn retain(&mut self, id: FileId) {
        if let Some(f) = self.files.get_mut(&id) {
            f.refs += 1;
        }
    }

    /// One descriptor less; the last closes.
    pub(super) fn release(&mut self, id: FileId, net: &mut dyn Network) {
        let Some(f) = self.files.get_mut(&id) else { return };
        f.refs = f.refs.saturating_sub(1);
        if f.refs > 0 {
            return;
        }
        let Some(f) = self.files.remove(&id) else { return };
        match f.kind {
            FileKind::Regular(n) | FileKind::Dir(n) => self.vfs.closed(n),
            FileKind::PipeRead(id) => {
                if let Some(p) = self.pipes.get_mut(&id) {
                    p.readers = p.readers.saturating_sub(1);
                }
                self.pipe_closed(id);
            }
            FileKind::PipeWrite(id) => {
                if let Some(p) = self.pipes.get_mut(&id) {
                    p.writers = p.writers.saturating_sub(1);
                }
                self.pipe_closed(id);
            }
            FileKind::Tty(id) => {
                if let Some(t) = self.tty_mut(id) {
                    t.refs = t.refs.saturating_sub(1);
                    t.closed = t.refs == 0;
                }
                self.tty_outputs.insert(id);
            }
            FileKind::Socket(id, _) => net.close(id),
            FileKind::Rpc(id) => {
                if let Some(r) = self.rpcs.remove(&id) {
                    self.rpc_events.push_back(super::RpcEvent {
                        id,
                        pid: r.pid,
                        service: r.service,
                        message: None,
                    });
                }
            }
            _ => {}
        }
    }

    /// Drops a description that no process took.
    pub fn discard(&mut self, id: FileId, net: &mut dyn Network) {
        if self.files.get(&id).is_some_and(|f| f.refs == 0) {
            self.retain(id);
            self.release(id, net);
        }
    }
}
