//! The calls themselves.

use super::*;

impl Sys for Call<'_> {
    fn open(&mut self, path: &str, flags: OpenFlags, mode: u32) -> Result<Fd, Errno> {
        let seat = self.seat(path)?;
        let v = seat.view();
        let f = self.kernel.vfs.find(&v, path, !(flags.create && flags.exclusive))?;
        let Some(n) = f.node else {
            if !flags.create {
                return Err(Errno::ENOENT);
            }
            if path.ends_with('/') {
                return Err(Errno::EISDIR);
            }
            let umask = self.kernel.process(self.pid).map_or(0o022, |p| p.umask);
            let inode = Inode::file(Vec::new(), mode & !umask & 0o7777, seat.now);
            // The path as found: a dangling link is made good where it points to.
            let n = self.kernel.vfs.create(&v, &f.path, inode)?;
            return self.open_node(n, &f.path, flags, &seat);
        };
        if flags.create && flags.exclusive {
            return Err(Errno::EEXIST);
        }
        let inode = self.kernel.vfs.inode(n).ok_or(Errno::ENOENT)?;
        let device = if let Kind::Device(d) = inode.kind { Some(d) } else { None };
        let want = u32::from(flags.read) * 4 + u32::from(flags.write) * 2;
        if !matches!(device, Some(Device::Fd(_))) && !seat.cred.may(inode, want) {
            return Err(Errno::EACCES);
        }
        if let Some(d) = device {
            return self.open_device(d, flags);
        }
        if flags.write && f.read_only {
            return Err(Errno::EROFS);
        }
        self.open_node(n, &f.path, flags, &seat)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        let p = self.kernel.proc_mut(self.pid).ok_or(Errno::ESRCH)?;
        let f = p.fds.remove(&fd).ok_or(Errno::EBADF)?;
        self.kernel.release(f.file, self.net);
        Ok(())
    }

    fn read(&mut self, fd: Fd, max: usize) -> Wait<Vec<u8>> {
        let id = match self.file_id(fd) {
            Ok(id) => id,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let max = max.min(Limits::TABLE.file_bytes_max);
        let Some(f) = self.kernel.files.get(&id) else { return Poll::Ready(Err(Errno::EBADF)) };
        let (kind, pos) = (f.kind.clone(), f.pos);
        if !f.flags.read {
            return Poll::Ready(Err(Errno::EBADF));
        }
        let data = match kind {
            FileKind::Regular(n) => self.kernel.vfs.read_at(n, pos, max),
            FileKind::Dir(_) => Err(Errno::EISDIR),
            FileKind::Snapshot(b) => {
                let start = usize::try_from(pos).unwrap_or(usize::MAX).min(b.len());
                let end = start.saturating_add(max).min(b.len());
                Ok(b.get(start..end).unwrap_or_default().to_vec())
            }
            FileKind::Null => Ok(Vec::new()),
            FileKind::Zero | FileKind::Full => Ok(vec![0; max.min(Limits::TABLE.pipe_bytes_max)]),
            FileKind::Random => {
                let n = max.min(Limits::TABLE.pipe_bytes_max);
                Ok((0..n).map(|_| self.kernel.stream.bits() as u8).collect())
            }
            FileKind::PipeRead(p) => return self.read_pipe(p, max),
            FileKind::Tty(t) => return self.read_tty(t, max),
            FileKind::Socket(s, _) => {
                let r = self.net.recv(s, max);
                return self.on_socket(s, r);
            }
            FileKind::PipeWrite(_) | FileKind::Sysctl(_) => Err(Errno::EBADF),
            FileKind::Rpc(_) => Err(Errno::EINVAL),
        };
        if let (Ok(d), Some(f)) = (&data, self.kernel.files.get_mut(&id)) {
            f.pos += d.len() as u64;
        }
        Poll::Ready(data)
    }

    fn write(&mut self, fd: Fd, data: &[u8]) -> Wait<usize> {
        let id = match self.file_id(fd) {
            Ok(id) => id,
            Err(e) => return Poll::Ready(Err(e)),
        };
        if self.kernel.process(self.pid).is_some_and(|p| p.doomed.is_some()) {
            // A fatal signal has come during this very step: nothing more gets out.
            return Poll::Pending;
        }
        let Some(f) = self.kernel.files.get(&id) else { return Poll::Ready(Err(Errno::EBADF)) };
        if !f.flags.write {
            return Poll::Ready(Err(Errno::EBADF));
        }
        match f.kind.clone() {
            FileKind::Regular(n) => Poll::Ready(self.write_file(id, n, data)),
            FileKind::Null | FileKind::Zero | FileKind::Random => Poll::Ready(Ok(data.len())),
            FileKind::Full => Poll::Ready(Err(Errno::ENOSPC)),
            FileKind::Sysctl(name) => {
                let text = String::from_utf8_lossy(data).into_owned();
                self.kernel.set_sysctl(self.pid, &name, &text);
                Poll::Ready(Ok(data.len()))
            }
            FileKind::PipeWrite(p) => self.write_pipe(p, data),
            FileKind::Tty(t) => self.write_tty(t, data),
            FileKind::Socket(s, _) => {
                let r = self.net.send(s, data);
                if let Poll::Ready(Err(Errno::EPIPE)) = r {
                    self.kernel.signal(self.pid, self.pid, Signal::PIPE);
                }
                self.on_socket(s, r)
            }
            FileKind::Dir(_) | FileKind::Snapshot(_) | FileKind::PipeRead(_) => {
                Poll::Ready(Err(Errno::EBADF))
            }
            FileKind::Rpc(_) => Poll::Ready(Err(Errno::EINVAL)),
        }
    }

    fn seek(&mut self, fd: Fd, offset: i64, whence: Whence) -> Result<u64, Errno> {
        let id = self.file_id(fd)?;
        let f = self.kernel.files.get(&id).ok_or(Errno::EBADF)?;
        let size = match &f.kind {
            FileKind::Regular(n) => self.kernel.vfs.inode(*n).map_or(0, Inode::size),
            FileKind::Snapshot(b) => b.len() as u64,
            FileKind::Null | FileKind::Zero | FileKind::Random => 0,
            _ => return Err(Errno::ESPIPE),
        };
        let base = match whence {
            Whence::Start => 0,
            Whence::Current => f.pos,
            Whence::End => size,
        };
        let pos = base.checked_add_signed(offset).ok_or(Errno::EINVAL)?;
        if let Some(f) = self.kernel.files.get_mut(&id) {
            f.pos = pos;
        }
        Ok(pos)
    }

    fn ftruncate(&mut self, fd: Fd, size: u64) -> Result<(), Errno> {
        let now = self.kernel.unix();
        match self.kind(fd)? {
            FileKind::Regular(n) => self.kernel.vfs.set_len(n, size, now),
            _ => Err(Errno::EINVAL),
        }
    }

    fn fstat(&mut self, fd: Fd) -> Result<Stat, Errno> {
        self.statted(fd)
    }

    fn stat(&mut self, path: &str) -> Result<Stat, Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.stat(&seat.view(), path, true)
    }

    fn lstat(&mut self, path: &str) -> Result<Stat, Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.stat(&seat.view(), path, false)
    }

    fn access(&mut self, path: &str, want: u32) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        let (f, n) = self.kernel.vfs.lookup(&seat.view(), path, true)?;
        let inode = self.kernel.vfs.inode(n).ok_or(Errno::ENOENT)?;
        if want & 2 != 0 && f.read_only {
            return Err(Errno::EROFS);
        }
        if seat.cred.may(inode, want) { Ok(()) } else { Err(Errno::EACCES) }
    }

    fn readdir(&mut self, path: &str) -> Result<Vec<DirEntry>, Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.readdir(&seat.view(), path)
    }

    fn mkdir(&mut self, path: &str, mode: u32) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        let umask = self.kernel.process(self.pid).map_or(0o022, |p| p.umask);
        self.kernel.vfs.create(&seat.view(), path, Inode::dir(mode & !umask & 0o7777, 0)).map(|_| ())
    }

    fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.rmdir(&seat.view(), path)
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.unlink(&seat.view(), path)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let seat = self.seat(from)?;
        self.kernel.vfs.rename(&seat.view(), from, to)
    }

    fn link(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let seat = self.seat(from)?;
        self.kernel.vfs.link(&seat.view(), from, to)
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        let inode = Inode::new(Kind::Symlink(target.into()), 0o777, 0);
        self.kernel.vfs.create(&seat.view(), path, inode).map(|_| ())
    }

    fn readlink(&mut self, path: &str) -> Result<String, Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.readlink(&seat.view(), path)
    }

    fn chmod(&mut self, path: &str, mode: u32) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.chmod(&seat.view(), path, mode)
    }

    fn chown(&mut self, path: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.chown(&seat.view(), path, uid, gid)
    }

    fn truncate(&mut self, path: &str, size: u64) -> Result<(), Errno> {
        let fd = self.open(path, OpenFlags { read: false, write: true, ..OpenFlags::READ }, 0)?;
        let r = self.ftruncate(fd, size);
        self.close(fd)?;
        r
    }

    fn utimes(&mut self, path: &str, mtime: Option<i64>) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        self.kernel.vfs.utimes(&seat.view(), path, mtime)
    }

    fn umask(&mut self, mask: u32) -> u32 {
        match self.kernel.proc_mut(self.pid) {
            Some(p) => core::mem::replace(&mut p.umask, mask & 0o777),
            None => 0o022,
        }
    }

    fn cwd(&mut self) -> String {
        self.kernel.process(self.pid).map_or_else(|| "/".into(), |p| p.cwd.to_string())
    }

    fn chdir(&mut self, path: &str) -> Result<(), Errno> {
        let seat = self.seat(path)?;
        let (f, n) = self.kernel.vfs.lookup(&seat.view(), path, true)?;
        let inode = self.kernel.vfs.inode(n).ok_or(Errno::ENOENT)?;
        if !inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !seat.cred.may(inode, 1) {
            return Err(Errno::EACCES);
        }
        if let Some(p) = self.kernel.proc_mut(self.pid) {
            p.cwd = f.path.into();
        }
        Ok(())
    }

    fn realpath(&mut self, path: &str) -> Result<String, Errno> {
        let seat = self.seat(path)?;
        Ok(self.kernel.vfs.lookup(&seat.view(), path, true)?.0.path)
    }

    fn mounts(&mut self) -> Vec<MountInfo> {
        match self.seat("/") {
            Ok(s) => self.kernel.vfs.mount_table(&s.space.mounts),
            Err(_) => Vec::new(),
        }
    }

    fn mount(&mut self, source: &str, target: &str, fstype: &str, options: &str) -> Result<(), Errno> {
        let seat = self.seat(target)?;
        if !seat.cred.can(fs::cap::SYS_ADMIN) {
            return Err(Errno::EPERM);
        }
        let bind = options.split(',').any(|o| o == "bind" || o == "rbind");
        let ro = options.split(',').any(|o| o == "ro");
        let node = if bind {
            self.kernel.vfs.lookup(&seat.view(), source, true)?.1
        } else if fstype == "tmpfs" {
            let size = options.split(',').find_map(|o| o.strip_prefix("size=")).and_then(size_option);
            (self.kernel.vfs.add(Tree::new(seat.now), "tmpfs", source, size), Tree::ROOT)
        } else {
            return Err(Errno::ENODEV);
        };
        let target = normalize(&seat.cwd, target);
        let space = self.kernel.process(self.pid).map_or(0, |p| p.space);
        self.kernel.mount_in(space, &target, node, ro)
    }

    fn umount(&mut self, target: &str) -> Result<(), Errno> {
        let seat = self.seat(target)?;
        if !seat.cred.can(fs::cap::SYS_ADMIN) {
            return Err(Errno::EPERM);
        }
        let path = self.kernel.vfs.lookup(&seat.view(), target, true)?.0.path;
        let mut space = seat.space.clone();
        self.kernel.vfs.umount(&mut Arc::make_mut(&mut space).mounts, &path)?;
        let id = self.kernel.process(self.pid).map_or(0, |p| p.space);
        self.kernel.spaces.insert(id, space);
        Ok(())
    }

    fn pipe(&mut self) -> Result<(Fd, Fd), Errno> {
        let id = self.kernel.add_pipe();
        let r = self.kernel.add_file(FileKind::PipeRead(id), OpenFlags::READ);
        let w = self.kernel.add_file(FileKind::PipeWrite(id), OpenFlags::WRITE);
        let r = match self.install(r, 0, false) {
            Ok(r) => r,
            Err(e) => {
                self.kernel.discard(w, self.net);
                return Err(e);
            }
        };
        match self.install(w, 0, false) {
            Ok(w) => Ok((r, w)),
            Err(e) => {
                let _ = self.close(r);
                Err(e)
            }
        }
    }

    fn dup(&mut self, fd: Fd, min: Fd) -> Result<Fd, Errno> {
        let id = self.file_id(fd)?;
        self.install(id, min, false)
    }

    fn dup2(&mut self, fd: Fd, to: Fd) -> Result<(), Errno> {
        let id = self.file_id(fd)?;
        if to < 0 || to as usize >= Limits::TABLE.files_max {
            return Err(Errno::EBADF);
        }
        if fd == to {
            return Ok(());
        }
        self.kernel.retain(id);
        let old = self
            .kernel
            .proc_mut(self.pid)
            .and_then(|p| p.fds.insert(to, FdEntry { file: id, cloexec: false }));
        if let Some(old) = old {
            self.kernel.release(old.file, self.net);
        }
        Ok(())
    }

    fn set_cloexec(&mut self, fd: Fd, on: bool) -> Result<(), Errno> {
        let p = self.kernel.proc_mut(self.pid).ok_or(Errno::ESRCH)?;
        p.fds.get_mut(&fd).ok_or(Errno::EBADF)?.cloexec = on;
        Ok(())
    }

    fn isatty(&mut self, fd: Fd) -> bool {
        matches!(self.kind(fd), Ok(FileKind::Tty(_)))
    }

    fn tty_size(&mut self, fd: Fd) -> Option<(u16, u16)> {
        match self.kind(fd) {
            Ok(FileKind::Tty(t)) => self.kernel.tty(t).map(|t| t.size),
            _ => None,
        }
    }

    fn tty_modes(&mut self, fd: Fd, modes: TtyModes) -> Result<TtyModes, Errno> {
        let FileKind::Tty(t) = self.kind(fd)? else { return Err(Errno::ENOTTY) };
        let t = self.kernel.tty_mut(t).ok_or(Errno::EIO)?;
        if !modes.canonical {
            let mut edit = core::mem::take(&mut t.edit);
            t.input.append(&mut edit);
        }
        Ok(core::mem::replace(&mut t.modes, modes))
    }

    fn tcsetpgrp(&mut self, fd: Fd, pgid: Pid) -> Result<(), Errno> {
        let FileKind::Tty(t) = self.kind(fd)? else { return Err(Errno::ENOTTY) };
        let g = self.kernel.global(self.ns(), pgid).ok_or(Errno::ESRCH)?;
        self.kernel.tty_mut(t).ok_or(Errno::EIO)?.foreground = g;
        Ok(())
    }

    fn spawn(&mut self, spawn: &Spawn) -> Result<Pid, Errno> {
        self.spawned(spawn)
    }

    fn fork(&mut self, program: Box<dyn Program>) -> Result<Pid, Errno> {
        let ns = self.ns();
        let child = self.kernel.fork(self.pid, program)?;
        Ok(self.kernel.pid_in(ns, child))
    }

    fn exec_error(&mut self) -> Option<Errno> {
        self.kernel.proc_mut(self.pid)?.exec_error.take()
    }

    fn wait(&mut self, child: Child) -> Wait<(Pid, ExitStatus)> {
        let ns = self.ns();
        let Some(me) = self.kernel.process(self.pid) else { return Poll::Ready(Err(Errno::ECHILD)) };
        let wanted: Vec<Gpid> = match child {
            Child::Any => me.children.iter().copied().collect(),
            Child::Pid(p) => {
                self.kernel.global(ns, p).filter(|g| me.children.contains(g)).into_iter().collect()
            }
        };
        if wanted.is_empty() {
            return Poll::Ready(Err(Errno::ECHILD));
        }
        for g in wanted {
            if let Some(status) = self.kernel.process(g).and_then(|p| p.exit) {
                let pid = self.kernel.pid_in(ns, g);
                self.kernel.reap(g);
                return Poll::Ready(Ok((pid, status)));
            }
        }
        self.watch(Interest::Child(self.pid));
        Poll::Pending
    }

    fn stopped(&mut self, pid: Pid) -> bool {
        let g = self.kernel.global(self.ns(), pid);
        g.and_then(|g| self.kernel.process(g)).is_some_and(|p| p.stopped && p.exit.is_none())
    }

    fn kill(&mut self, pid: i64, signal: Signal) -> Result<(), Errno> {
        let (mut sent, mut denied) = (false, false);
        for t in self.targets(pid)? {
            if self.kernel.may_signal(self.pid, t) {
                self.kernel.signal(self.pid, t, signal);
                sent = true;
            } else {
                denied = true;
            }
        }
        if denied && !sent { Err(Errno::EPERM) } else { Ok(()) }
    }

    fn sigaction(&mut self, signal: Signal, disposition: Disposition) -> Disposition {
        self.kernel.disposition(self.pid, signal, disposition)
    }

    fn take_signal(&mut self) -> Option<Signal> {
        let p = self.kernel.proc_mut(self.pid)?;
        if p.pending == 0 {
            return None;
        }
        let n = p.pending.trailing_zeros();
        p.pending &= !(1 << n);
        Some(Signal(n as u8))
    }

    fn setpgid(&mut self, pid: Pid, pgid: Pid) -> Result<(), Errno> {
        let ns = self.ns();
        let target = if pid == 0 { self.pid } else { self.kernel.global(ns, pid).ok_or(Errno::ESRCH)? };
        let group = if pgid == 0 { target } else { self.kernel.global(ns, pgid).ok_or(Errno::EPERM)? };
        let p = self.kernel.proc_mut(target).ok_or(Errno::ESRCH)?;
        p.pgid = group;
        Ok(())
    }

    fn pid(&self) -> Pid {
        self.kernel.process(self.pid).map_or(0, |p| p.pids.1)
    }

    fn ppid(&self) -> Pid {
        let parent = self.kernel.process(self.pid).map_or(0, |p| p.parent);
        self.kernel.pid_in(self.ns(), parent)
    }

    fn uid(&self) -> u32 {
        self.kernel.process(self.pid).map_or(0, |p| p.cred.uid)
    }

    fn gid(&self) -> u32 {
        self.kernel.process(self.pid).map_or(0, |p| p.cred.gid)
    }

    fn groups(&self) -> Vec<u32> {
        self.kernel.process(self.pid).map_or_else(Vec::new, |p| p.cred.groups.to_vec())
    }

    fn env(&self) -> &Env {
        &self.env
    }

    fn processes(&mut self) -> Vec<ProcessInfo> {
        self.kernel.process_list(self.ns())
    }

    fn set_memory(&mut self, bytes: u64) {
        self.kernel.charge_memory(self.pid, bytes);
    }

    fn hostname(&self) -> SmolStr {
        self.kernel
            .process(self.pid)
            .and_then(|p| self.kernel.space(p.space))
            .map_or_else(SmolStr::default, |s| s.hostname.clone())
    }

    fn set_hostname(&mut self, name: &str) -> Result<(), Errno> {
        let p = self.kernel.process(self.pid).ok_or(Errno::ESRCH)?;
        if !p.cred.can(fs::cap::SYS_ADMIN) {
            return Err(Errno::EPERM);
        }
        let space = p.space;
        self.kernel.space_mut(space).ok_or(Errno::ESRCH)?.hostname = name.into();
        Ok(())
    }

    fn uname(&self) -> Uname {
        let m = &self.kernel.machine;
        Uname {
            sysname: SmolStr::new_static("Linux"),
            nodename: self.hostname(),
            release: m.release.clone(),
            version: m.version.clone(),
            machine: m.machine.clone(),
        }
    }

    fn now(&self) -> Instant {
        self.kernel.now
    }

    fn epoch(&self) -> sim::Epoch {
        self.kernel.epoch
    }

    fn sleep_until(&mut self, at: Instant) -> Poll<()> {
        if self.kernel.now >= at {
            return Poll::Ready(());
        }
        self.watch(Interest::Timer(at));
        Poll::Pending
    }

    fn random(&mut self) -> u64 {
        self.kernel.stream.bits()
    }

    fn socket(&mut self, kind: SocketKind, v6: bool) -> Result<Fd, Errno> {
        let p = self.kernel.process(self.pid).ok_or(Errno::ESRCH)?;
        let ns = self.kernel.space(p.space).ok_or(Errno::ESRCH)?.net;
        let id = self.net.socket(ns, kind, v6)?;
        let f =
            self.kernel.add_file(FileKind::Socket(id, kind), OpenFlags { write: true, ..OpenFlags::READ });
        self.install(f, 0, false)
    }

    fn bind(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let (id, _) = self.socket_of(fd)?;
        let p = self.kernel.process(self.pid).ok_or(Errno::ESRCH)?;
        let from = self.kernel.sysctl("net.ipv4.ip_unprivileged_port_start").and_then(|v| v.parse().ok());
        if addr.port() != 0 && addr.port() < from.unwrap_or(1024) && !p.cred.can(fs::cap::NET_BIND_SERVICE) {
            return Err(Errno::EACCES);
        }
        self.net.bind(id, addr)
    }

    fn listen(&mut self, fd: Fd, backlog: usize) -> Result<(), Errno> {
        let (id, _) = self.socket_of(fd)?;
        self.net.listen(id, backlog)
    }

    fn accept(&mut self, fd: Fd) -> Wait<(Fd, SocketAddr)> {
        let (id, kind) = match self.socket_of(fd) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        match self.net.accept(id) {
            Poll::Pending => {
                self.watch(Interest::Socket(id));
                Poll::Pending
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok((s, peer))) => {
                let flags = OpenFlags { write: true, ..OpenFlags::READ };
                let f = self.kernel.add_file(FileKind::Socket(s, kind), flags);
                Poll::Ready(self.install(f, 0, false).map(|fd| (fd, peer)))
            }
        }
    }

    fn connect(&mut self, fd: Fd, addr: SocketAddr) -> Wait<()> {
        let (id, _) = match self.socket_of(fd) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let r = self.net.connect(id, addr);
        self.on_socket(id, r)
    }

    fn send_to(&mut self, fd: Fd, data: &[u8], to: SocketAddr) -> Wait<usize> {
        let (id, _) = match self.socket_of(fd) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let r = self.net.send_to(id, data, to);
        self.on_socket(id, r)
    }

    fn recv_from(&mut self, fd: Fd, max: usize) -> Wait<(Vec<u8>, SocketAddr)> {
        let (id, _) = match self.socket_of(fd) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let r = self.net.recv_from(id, max);
        self.on_socket(id, r)
    }

    fn shutdown(&mut self, fd: Fd, how: Shutdown) -> Result<(), Errno> {
        let (id, _) = self.socket_of(fd)?;
        self.net.shutdown(id, how)
    }

    fn local_addr(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        let (id, _) = self.socket_of(fd)?;
        self.net.local_addr(id)
    }

    fn peer_addr(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        let (id, _) = self.socket_of(fd)?;
        self.net.peer_addr(id)
    }

    fn ping_send(&mut self, fd: Fd, to: IpAddr, seq: u16, ttl: u8, bytes: usize) -> Result<(), Errno> {
        let (id, _) = self.socket_of(fd)?;
        self.net.ping_send(id, to, seq, ttl, bytes)
    }

    fn ping_recv(&mut self, fd: Fd) -> Wait<PingReply> {
        let (id, _) = match self.socket_of(fd) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let r = self.net.ping_recv(id);
        self.on_socket(id, r)
    }

    fn net_admin(&mut self, tool: &str, args: &[String], stdin: &str) -> (String, String, i32) {
        let space = self.kernel.process(self.pid).and_then(|p| self.kernel.space(p.space));
        match space.map(|s| s.net) {
            Some(ns) => self.net.admin(ns, tool, args, stdin),
            None => (String::new(), format!("{tool}: {}\n", Errno::ESRCH), 1),
        }
    }

    fn rpc_open(&mut self, service: &str, message: Message) -> Result<Fd, Errno> {
        let id = self.kernel.id();
        let r = super::super::Rpc {
            pid: self.pid,
            service: service.into(),
            inbox: sim::persistent::Vector::new(),
            ended: false,
        };
        let service = r.service.clone();
        self.kernel.rpcs.insert(id, r);
        let f = self.kernel.add_file(FileKind::Rpc(id), OpenFlags { write: true, ..OpenFlags::READ });
        let fd = self.install(f, 3, true)?;
        self.kernel.rpc_events.push_back(super::super::RpcEvent {
            id,
            pid: self.pid,
            service,
            message: Some(message),
        });
        Ok(fd)
    }

    fn rpc_send(&mut self, fd: Fd, message: Message) -> Result<(), Errno> {
        let FileKind::Rpc(id) = self.kind(fd)? else { return Err(Errno::EBADF) };
        let r = self.kernel.rpcs.get(&id).ok_or(Errno::EPIPE)?;
        if r.ended {
            return Err(Errno::EPIPE);
        }
        let service = r.service.clone();
        self.kernel.rpc_events.push_back(super::super::RpcEvent {
            id,
            pid: self.pid,
            service,
            message: Some(message),
        });
        Ok(())
    }

    fn rpc_recv(&mut self, fd: Fd) -> Wait<Option<Message>> {
        let id = match self.kind(fd) {
            Ok(FileKind::Rpc(id)) => id,
            Ok(_) => return Poll::Ready(Err(Errno::EBADF)),
            Err(e) => return Poll::Ready(Err(e)),
        };
        let Some(r) = self.kernel.rpcs.get_mut(&id) else { return Poll::Ready(Ok(None)) };
        if let Some(m) = r.inbox.pop_front() {
            return Poll::Ready(Ok(Some(m)));
        }
        if r.ended {
            return Poll::Ready(Ok(None));
        }
        self.watch(Interest::Rpc(id));
        Poll::Pending
    }
}
