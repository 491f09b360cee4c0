//! The system calls of a process: [`Sys`] over a [`Kernel`] and a [`Network`].

mod sys;

use super::file::FileKind;
use super::process::FdEntry;
use super::{EXEC_TIME, FileId, Gpid, Interest, Kernel, Network, PidNsId, Space};
use crate::fs::{Cred, Device, Inode, Kind, Node, Tree, View, normalize};
use crate::program::{Exec, Program};
use crate::signal::{Disposition, Signal};
use crate::sys::*;
use crate::{Errno, fs};
use core::task::Poll;
use sim::{Instant, Limits};
use smol_str::SmolStr;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One process's view of its kernel.
pub struct Call<'a> {
    pub(super) kernel: &'a mut Kernel,
    pub(super) net: &'a mut dyn Network,
    pub(super) pid: Gpid,
    pub(super) env: Env,
}

/// What path calls need of a process, held apart from the kernel so that its files can be changed.
struct Seat {
    space: Arc<Space>,
    cred: Cred,
    cwd: SmolStr,
    now: i64,
}

impl Seat {
    fn view(&self) -> View<'_> {
        View { ns: &self.space.mounts, cred: &self.cred, cwd: &self.cwd, now: self.now }
    }
}

impl Call<'_> {
    /// The process's own state; a process that calls exists, so the default is never seen.
    fn seat(&mut self, path: &str) -> Result<Seat, Errno> {
        let p = self.kernel.procs.get(&self.pid).ok_or(Errno::ESRCH)?;
        let space = self.kernel.spaces.get(&p.space).cloned().ok_or(Errno::ESRCH)?;
        let seat = Seat { space, cred: p.cred.clone(), cwd: p.cwd.clone(), now: self.kernel.unix() };
        let full = normalize(&seat.cwd, path);
        if full == "/proc"
            || full.starts_with("/proc/")
            || full.starts_with("/dev/std")
            || full.starts_with("/dev/fd")
        {
            self.kernel.refresh_proc(self.pid);
        }
        Ok(seat)
    }

    fn ns(&self) -> PidNsId {
        self.kernel.process(self.pid).map_or(0, |p| p.pids.0)
    }

    fn file_id(&self, fd: Fd) -> Result<FileId, Errno> {
        self.kernel.process(self.pid).and_then(|p| p.fds.get(&fd)).map(|f| f.file).ok_or(Errno::EBADF)
    }

    fn kind(&self, fd: Fd) -> Result<FileKind, Errno> {
        let id = self.file_id(fd)?;
        Ok(self.kernel.files.get(&id).ok_or(Errno::EBADF)?.kind.clone())
    }

    fn socket_of(&self, fd: Fd) -> Result<(u64, SocketKind), Errno> {
        match self.kind(fd)? {
            FileKind::Socket(s, k) => Ok((s, k)),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// Gives a description the lowest free number not below `min`.
    fn install(&mut self, file: FileId, min: Fd, cloexec: bool) -> Result<Fd, Errno> {
        let p = self.kernel.proc_mut(self.pid).ok_or(Errno::ESRCH)?;
        let fd = (min.max(0)..).find(|n| !p.fds.contains_key(n)).unwrap_or(Fd::MAX);
        if fd as usize >= Limits::TABLE.files_max {
            self.kernel.discard(file, self.net);
            return Err(Errno::EMFILE);
        }
        if let Some(p) = self.kernel.proc_mut(self.pid) {
            p.fds.insert(fd, FdEntry { file, cloexec });
        }
        self.kernel.retain(file);
        Ok(fd)
    }

    fn watch(&mut self, interest: Interest) {
        self.kernel.watch(self.pid, interest);
    }

    /// Passes a network call's answer on; what would block registers the interest.
    fn on_socket<T>(&mut self, id: u64, r: Wait<T>) -> Wait<T> {
        if r.is_pending() {
            self.watch(Interest::Socket(id));
        }
        r
    }

    fn open_device(&mut self, d: Device, flags: OpenFlags) -> Result<Fd, Errno> {
        let kind = match d {
            Device::Null => FileKind::Null,
            Device::Zero => FileKind::Zero,
            Device::Full => FileKind::Full,
            Device::Random | Device::Urandom => FileKind::Random,
            Device::Tty | Device::Console => {
                let tty = self.kernel.process(self.pid).and_then(|p| p.tty).ok_or(Errno::ENXIO)?;
                FileKind::Tty(tty)
            }
            Device::Fd(n) => {
                let file = self.file_id(n).map_err(|_| Errno::ENOENT)?;
                return self.install(file, 0, flags.cloexec);
            }
        };
        let id = self.kernel.add_file(kind, flags);
        self.install(id, 0, flags.cloexec)
    }

    fn open_node(&mut self, n: Node, path: &str, flags: OpenFlags, seat: &Seat) -> Result<Fd, Errno> {
        let inode = self.kernel.vfs.inode(n).ok_or(Errno::ENOENT)?;
        let proc = seat.space.proc == Some(n.0);
        let kind = match &inode.kind {
            Kind::Dir(_) if flags.write => return Err(Errno::EISDIR),
            Kind::Dir(_) => FileKind::Dir(n),
            Kind::File(c) if proc => {
                if flags.write {
                    FileKind::Sysctl(super::proc::sysctl_name(path).ok_or(Errno::EACCES)?)
                } else {
                    FileKind::Snapshot(c.bytes())
                }
            }
            Kind::File(_) => {
                if flags.truncate && flags.write {
                    self.kernel.vfs.set_len(n, 0, seat.now)?;
                }
                FileKind::Regular(n)
            }
            Kind::Socket => return Err(Errno::ENXIO),
            Kind::Symlink(_) => return Err(Errno::ELOOP),
            Kind::Device(_) => return Err(Errno::ENXIO),
        };
        let id = self.kernel.add_file(kind, flags);
        self.install(id, 0, flags.cloexec)
    }

    fn read_pipe(&mut self, id: u64, max: usize) -> Wait<Vec<u8>> {
        let Some(p) = self.kernel.pipes.get_mut(&id) else { return Poll::Ready(Ok(Vec::new())) };
        if p.data.is_empty() {
            if p.writers == 0 {
                return Poll::Ready(Ok(Vec::new()));
            }
            self.watch(Interest::PipeRead(id));
            return Poll::Pending;
        }
        let n = p.data.len().min(max);
        let data = Arc::make_mut(&mut p.data);
        let out = if n == data.len() { core::mem::take(data) } else { data.drain(..n).collect() };
        self.kernel.wake(Interest::PipeWrite(id));
        Poll::Ready(Ok(out))
    }

    fn write_pipe(&mut self, id: u64, data: &[u8]) -> Wait<usize> {
        const ATOMIC: usize = 4096;
        let Some(p) = self.kernel.pipes.get_mut(&id) else { return Poll::Ready(Err(Errno::EPIPE)) };
        if p.readers == 0 {
            self.kernel.signal(self.pid, self.pid, Signal::PIPE);
            return Poll::Ready(Err(Errno::EPIPE));
        }
        let room = Limits::TABLE.pipe_bytes_max.saturating_sub(p.data.len());
        if room < data.len().min(ATOMIC) {
            self.watch(Interest::PipeWrite(id));
            return Poll::Pending;
        }
        let n = room.min(data.len());
        Arc::make_mut(&mut p.data).extend(data.iter().take(n));
        if p.out {
            self.kernel.outputs.insert(id);
        }
        self.kernel.wake(Interest::PipeRead(id));
        Poll::Ready(Ok(n))
    }

    fn read_tty(&mut self, id: u64, max: usize) -> Wait<Vec<u8>> {
        let Some(t) = self.kernel.tty_mut(id) else { return Poll::Ready(Err(Errno::EIO)) };
        if t.eofs.first() == Some(&0) {
            t.eofs.remove(0);
            return Poll::Ready(Ok(Vec::new()));
        }
        if t.input.is_empty() {
            if t.closed {
                return Poll::Ready(Ok(Vec::new()));
            }
            self.watch(Interest::TtyRead(id));
            return Poll::Pending;
        }
        let mut n = t.input.len().min(max);
        if t.modes.canonical
            && let Some(i) = t.input.iter().position(|b| *b == b'\n')
        {
            n = n.min(i + 1);
        }
        if let Some(e) = t.eofs.first() {
            n = n.min(*e);
        }
        let out: Vec<u8> = t.input.drain(..n).collect();
        for e in &mut t.eofs {
            *e = e.saturating_sub(n);
        }
        Poll::Ready(Ok(out))
    }

    fn write_tty(&mut self, id: u64, data: &[u8]) -> Wait<usize> {
        let Some(t) = self.kernel.tty_mut(id) else { return Poll::Ready(Err(Errno::EIO)) };
        if !t.room() {
            self.watch(Interest::TtyWrite(id));
            return Poll::Pending;
        }
        t.put(data);
        self.kernel.tty_outputs.insert(id);
        Poll::Ready(Ok(data.len()))
    }

    fn write_file(&mut self, id: FileId, node: Node, data: &[u8]) -> Result<usize, Errno> {
        let now = self.kernel.unix();
        let f = self.kernel.files.get(&id).ok_or(Errno::EBADF)?;
        let at = if f.flags.append { self.kernel.vfs.inode(node).map_or(0, Inode::size) } else { f.pos };
        let n = self.kernel.vfs.write_at(node, at, data, now)?;
        if let Some(f) = self.kernel.files.get_mut(&id) {
            f.pos = at + n as u64;
        }
        Ok(n)
    }

    fn statted(&self, fd: Fd) -> Result<Stat, Errno> {
        let dev = |kind: FileType, rdev: (u32, u32)| Stat {
            kind,
            mode: 0o600,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: self.kernel.unix(),
            nlink: 1,
            ino: self.file_id(fd).unwrap_or(0),
            dev: 0,
            rdev,
        };
        Ok(match self.kind(fd)? {
            FileKind::Regular(n) | FileKind::Dir(n) => {
                self.kernel.vfs.inode(n).ok_or(Errno::EBADF)?.stat(u64::from(n.0), n.1)
            }
            FileKind::Snapshot(_) | FileKind::Sysctl(_) => dev(FileType::Regular, (0, 0)),
            FileKind::PipeRead(_) | FileKind::PipeWrite(_) => dev(FileType::Fifo, (0, 0)),
            FileKind::Tty(t) => dev(FileType::Character, (136, self.kernel.tty(t).map_or(0, |t| t.index))),
            FileKind::Null => dev(FileType::Character, Device::Null.numbers()),
            FileKind::Zero => dev(FileType::Character, Device::Zero.numbers()),
            FileKind::Full => dev(FileType::Character, Device::Full.numbers()),
            FileKind::Random => dev(FileType::Character, Device::Random.numbers()),
            FileKind::Socket(..) | FileKind::Rpc(_) => dev(FileType::Socket, (0, 0)),
        })
    }

    /// The pids that `kill` addresses.
    fn targets(&self, pid: i64) -> Result<Vec<Gpid>, Errno> {
        let ns = self.ns();
        let group = |g: Gpid| -> Vec<Gpid> {
            self.kernel.processes().filter(|(_, p)| p.pgid == g && p.exit.is_none()).map(|(n, _)| n).collect()
        };
        let list = match pid {
            1.. => {
                let p = Pid::try_from(pid).map_err(|_| Errno::ESRCH)?;
                self.kernel.global(ns, p).into_iter().collect()
            }
            0 => group(self.kernel.process(self.pid).map_or(0, |p| p.pgid)),
            -1 => self
                .kernel
                .processes()
                .filter(|(n, p)| *n != self.pid && (ns == 0 || p.pids.0 == ns) && p.pids.1 != 1)
                .map(|(n, _)| n)
                .collect(),
            _ => {
                let p = Pid::try_from(pid.unsigned_abs()).map_err(|_| Errno::ESRCH)?;
                group(self.kernel.global(ns, p).unwrap_or(0))
            }
        };
        if list.is_empty() { Err(Errno::ESRCH) } else { Ok(list) }
    }

    fn spawned(&mut self, s: &Spawn) -> Result<Pid, Errno> {
        let mut seat = self.seat("/")?;
        let me = self.kernel.procs.get(&self.pid).cloned().ok_or(Errno::ESRCH)?;
        let env = s.env.clone().unwrap_or_else(|| me.env.clone());
        if let Some(dir) = &s.cwd {
            let (f, n) = self.kernel.vfs.lookup(&seat.view(), dir, true)?;
            if !self.kernel.vfs.inode(n).is_some_and(Inode::is_dir) {
                return Err(Errno::ENOTDIR);
            }
            seat.cwd = f.path.into();
        }
        if let Some((uid, gid)) = s.user {
            if me.cred.uid != 0 && me.cred.uid != uid {
                return Err(Errno::EPERM);
            }
            seat.cred =
                Cred { uid, gid, groups: Arc::from([]), caps: if uid == 0 { me.cred.caps } else { 0 } };
        }
        let path = self.kernel.search(&seat.view(), &s.path, env.get("PATH").unwrap_or("/bin:/usr/bin"))?;
        let (program, _) = self.kernel.load(&seat.view(), &path, s.argv.clone())?;
        let child = self.kernel.fork(self.pid, program)?;
        let files: Option<Vec<(Fd, FileId)>> = s
            .fds
            .as_ref()
            .map(|map| map.iter().filter_map(|(to, from)| Some((*to, self.file_id(*from).ok()?))).collect());
        let mut drop = Vec::new();
        if let Some(list) = files {
            for (_, f) in &list {
                self.kernel.retain(*f);
            }
            if let Some(c) = self.kernel.proc_mut(child) {
                drop.extend(c.fds.values().map(|f| f.file));
                c.fds.clear();
                for (fd, file) in list {
                    if let Some(old) = c.fds.insert(fd, FdEntry { file, cloexec: false }) {
                        drop.push(old.file);
                    }
                }
            }
        }
        if let Some(c) = self.kernel.proc_mut(child) {
            c.cwd = seat.cwd;
            c.cred = seat.cred;
            if s.new_group {
                c.pgid = child;
            }
        }
        for f in drop {
            self.kernel.release(f, self.net);
        }
        if let Err(e) = self.kernel.exec(child, &Exec { path, argv: s.argv.clone(), env }, self.net) {
            if let Some(p) = self.kernel.proc_mut(self.pid) {
                p.children.remove(&child);
            }
            self.kernel.exit(child, ExitStatus::Exited(127), self.net);
            self.kernel.reap(child);
            return Err(e);
        }
        self.kernel.delay(child, EXEC_TIME);
        Ok(self.kernel.pid_in(me.pids.0, child))
    }
}

impl Kernel {
    /// Lets a process that is ready run only later.
    fn delay(&mut self, pid: Gpid, time: sim::Duration) {
        if let Some(p) = self.proc_mut(pid) {
            p.queued = false;
            self.ready.retain(|r| *r != pid);
        }
        let at = self.now + time;
        self.watch(pid, Interest::Timer(at));
    }
}

/// `64m` as bytes.
fn size_option(s: &str) -> Option<u64> {
    let (digits, unit) = s.split_at(s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len()));
    let n: u64 = digits.parse().ok()?;
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    n.checked_mul(1 << shift)
}
