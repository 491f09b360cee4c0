//! The process table: start, exec, signals and ends.

use super::{EXEC_TIME, FileId, Interest, Kernel, Network, PidNsId, SpaceId, TtyId};
use crate::fs::{Cred, Kind, View, binary_program, cap};
use crate::program::{Exec, Program, find};
use crate::signal::{Action, Disposition, Signal};
use crate::sys::{Env, ExitStatus, Fd, Pid, ProcessInfo, ProcessState};
use crate::{Errno, fs};
use sim::{Instant, Limits};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A process number of the host's own pid namespace.
pub type Gpid = u32;

/// Interpreters that `#!` may name in a row.
const INTERPRETERS_MAX: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct FdEntry {
    pub file: FileId,
    pub cloexec: bool,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Parent, 0 for one that the host's runtime started.
    pub parent: Gpid,
    /// Its namespaces.
    pub space: SpaceId,
    /// Its pid namespace and the number there.
    pub pids: (PidNsId, Pid),
    /// Process group and session.
    pub pgid: Gpid,
    /// Session.
    pub sid: Gpid,
    /// Controlling terminal.
    pub tty: Option<TtyId>,
    /// Short name.
    pub comm: SmolStr,
    /// Arguments.
    pub argv: Arc<[String]>,
    /// Environment at exec.
    pub env: Env,
    /// Who.
    pub cred: Cred,
    /// Working directory.
    pub cwd: SmolStr,
    /// When it began.
    pub started: Instant,
    /// Processor time.
    pub cpu_ns: u64,
    /// Memory.
    pub memory_bytes: u64,
    pub(super) umask: u32,
    pub(super) program: Option<Box<dyn Program>>,
    pub(super) fds: BTreeMap<Fd, FdEntry>,
    pub(super) children: BTreeSet<Gpid>,
    pub(super) ignored: u32,
    pub(super) caught: u32,
    pub(super) pending: u32,
    pub(super) interests: Vec<Interest>,
    pub(super) queued: bool,
    pub(super) stopped: bool,
    pub(super) doomed: Option<ExitStatus>,
    pub(super) exit: Option<ExitStatus>,
    pub(super) exec_error: Option<Errno>,
    pub(super) slice: (Instant, usize),
    pub(super) oom: bool,
}

/// How the runtime starts a process.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its namespaces.
    pub space: SpaceId,
    /// Executable; without a slash it is searched for in `PATH` of `env`.
    pub path: String,
    /// Arguments.
    pub argv: Vec<String>,
    /// Environment.
    pub env: Env,
    /// Working directory.
    pub cwd: String,
    /// Who.
    pub cred: Cred,
    /// Descriptors.
    pub fds: Vec<(Fd, FileId)>,
    /// Controlling terminal.
    pub tty: Option<TtyId>,
}

/// Memory that a process has before it says otherwise.
const MEMORY_BYTES: u64 = 512 * 1024;

fn bit(s: Signal) -> u32 {
    1u32.checked_shl(u32::from(s.0)).unwrap_or(0)
}

impl Kernel {
    /// A process.
    pub fn process(&self, pid: Gpid) -> Option<&Process> {
        self.procs.get(&pid).map(|p| &**p)
    }

    pub(super) fn proc_mut(&mut self, pid: Gpid) -> Option<&mut Process> {
        self.procs.get_mut(&pid).map(Arc::make_mut)
    }

    /// All processes in order.
    pub fn processes(&self) -> impl Iterator<Item = (Gpid, &Process)> {
        self.procs.iter().map(|(n, p)| (*n, &**p))
    }

    /// A process's number as a pid namespace sees it; 0 if it does not.
    pub fn pid_in(&self, ns: PidNsId, pid: Gpid) -> Pid {
        match self.procs.get(&pid) {
            Some(_) if ns == 0 => pid,
            Some(p) if p.pids.0 == ns => p.pids.1,
            _ => 0,
        }
    }

    /// The process that a pid namespace knows by that number.
    pub fn global(&self, ns: PidNsId, pid: Pid) -> Option<Gpid> {
        if ns == 0 {
            return self.procs.contains_key(&pid).then_some(pid);
        }
        self.pidns.get(&ns)?.pids.get(&pid).copied()
    }

    /// Starts a process without parent. Its end comes by [`Kernel::take_ended`].
    pub fn start(&mut self, start: Start, net: &mut dyn Network) -> Result<Gpid, Errno> {
        let result = self.start_inner(&start);
        if result.is_err() {
            for (_, f) in &start.fds {
                self.discard(*f, net);
            }
        }
        result
    }

    fn start_inner(&mut self, s: &Start) -> Result<Gpid, Errno> {
        let space = self.spaces.get(&s.space).cloned().ok_or(Errno::ESRCH)?;
        let now = self.unix();
        let view = View { ns: &space.mounts, cred: &s.cred, cwd: &s.cwd, now };
        let path = self.search(&view, &s.path, s.env.get("PATH").unwrap_or("/bin:/usr/bin"))?;
        let cwd = self.vfs.lookup(&view, &s.cwd, true)?.0.path;
        let (program, argv) = self.load(&view, &path, s.argv.clone())?;
        let pid = self.new_pid(space.pids)?;
        let mut p = self.blank(space.pids, pid, s.space, now);
        p.comm = comm(&path);
        p.argv = argv.into();
        p.env = s.env.clone();
        p.cred = s.cred.clone();
        p.cwd = cwd.into();
        p.program = Some(program);
        p.tty = s.tty;
        (p.pgid, p.sid) = (pid, pid);
        for (fd, file) in &s.fds {
            self.retain(*file);
            if let Some(old) = p.fds.insert(*fd, FdEntry { file: *file, cloexec: false })
                && let Some(f) = self.files.get_mut(&old.file)
            {
                f.refs = f.refs.saturating_sub(1);
            }
        }
        if let Some(t) = s.tty
            && let Some(t) = self.tty_mut(t)
        {
            t.foreground = pid;
        }
        self.procs.insert(pid, Arc::new(p));
        self.charge_memory(pid, MEMORY_BYTES);
        let at = self.now + EXEC_TIME;
        self.watch(pid, Interest::Timer(at));
        Ok(pid)
    }

    fn blank(&self, ns: PidNsId, pid: Gpid, space: SpaceId, _now: i64) -> Process {
        let vpid = self
            .pidns
            .get(&ns)
            .and_then(|n| n.pids.iter().rev().find(|(_, g)| **g == pid).map(|(v, _)| *v))
            .unwrap_or(pid);
        Process {
            parent: 0,
            space,
            pids: (ns, vpid),
            pgid: pid,
            sid: pid,
            tty: None,
            comm: SmolStr::default(),
            argv: Arc::from([]),
            env: Env::default(),
            cred: Cred::root(),
            cwd: "/".into(),
            started: self.now,
            cpu_ns: 0,
            memory_bytes: 0,
            umask: 0o022,
            program: None,
            fds: BTreeMap::new(),
            children: BTreeSet::new(),
            ignored: 0,
            caught: 0,
            pending: 0,
            interests: Vec::new(),
            queued: false,
            stopped: false,
            doomed: None,
            exit: None,
            exec_error: None,
            slice: (Instant::ZERO, 0),
            oom: false,
        }
    }

    fn new_pid(&mut self, ns: PidNsId) -> Result<Gpid, Errno> {
        if self.procs.len() >= Limits::TABLE.processes_max {
            return Err(Errno::EAGAIN);
        }
        let host = self.pidns.entry(0).or_default();
        host.next += 1;
        let pid = host.next;
        if ns != 0 {
            let n = self.pidns.get_mut(&ns).ok_or(Errno::ENOMEM)?;
            if n.next > 0 && !n.pids.contains_key(&1) {
                // The namespace's init has ended: nothing can be made in it any more.
                return Err(Errno::ENOMEM);
            }
            n.next += 1;
            n.pids.insert(n.next, pid);
        }
        Ok(pid)
    }

    /// Finds an executable as `execvp` does.
    pub(super) fn search(&self, v: &View, name: &str, path: &str) -> Result<String, Errno> {
        if name.is_empty() {
            return Err(Errno::ENOENT);
        }
        if name.contains('/') {
            return Ok(name.into());
        }
        let mut err = Errno::ENOENT;
        for dir in path.split(':') {
            let full = fs::join(if dir.is_empty() { "." } else { dir }, name);
            match self.executable(v, &full) {
                Ok(_) => return Ok(full),
                Err(Errno::EACCES) => err = Errno::EACCES,
                Err(_) => {}
            }
        }
        Err(err)
    }

    fn executable(&self, v: &View, path: &str) -> Result<fs::Node, Errno> {
        let (_, n) = self.vfs.lookup(v, path, true)?;
        let inode = self.vfs.inode(n).ok_or(Errno::ENOENT)?;
        match inode.kind {
            Kind::File(_) if v.cred.may(inode, 1) => Ok(n),
            _ => Err(Errno::EACCES),
        }
    }

    /// Makes the program that an executable names, with its final arguments.
    pub(super) fn load(
        &self,
        v: &View,
        path: &str,
        mut argv: Vec<String>,
    ) -> Result<(Box<dyn Program>, Vec<String>), Errno> {
        let mut path = path.to_string();
        for _ in 0..=INTERPRETERS_MAX {
            let n = self.executable(v, &path)?;
            let inode = self.vfs.inode(n).ok_or(Errno::ENOENT)?;
            let Kind::File(content) = &inode.kind else { return Err(Errno::EACCES) };
            if let fs::Content::Binary { program, .. } = content {
                return self.make(program, argv);
            }
            let bytes = content.bytes();
            if let Some(program) = binary_program(&bytes) {
                return self.make(program, argv);
            }
            let Some(line) = bytes.strip_prefix(b"#!") else { return Err(Errno::ENOEXEC) };
            let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next().unwrap_or_default());
            let line = line.trim();
            let (interpreter, arg) = match line.split_once([' ', '\t']) {
                Some((i, a)) => (i, Some(a.trim())),
                None => (line, None),
            };
            if interpreter.is_empty() {
                return Err(Errno::ENOEXEC);
            }
            let mut with = vec![interpreter.to_string()];
            with.extend(arg.map(str::to_string));
            with.push(path);
            with.extend(argv.into_iter().skip(1));
            argv = with;
            path = interpreter.to_string();
        }
        Err(Errno::ELOOP)
    }

    fn make(&self, program: &str, argv: Vec<String>) -> Result<(Box<dyn Program>, Vec<String>), Errno> {
        let entry = find(&self.tables, program).ok_or(Errno::ENOEXEC)?;
        Ok(((entry.main)(argv.clone()), argv))
    }

    /// Replaces a process's program.
    pub(super) fn exec(&mut self, pid: Gpid, e: &Exec, net: &mut dyn Network) -> Result<(), Errno> {
        let p = self.procs.get(&pid).cloned().ok_or(Errno::ESRCH)?;
        let space = self.spaces.get(&p.space).cloned().ok_or(Errno::ESRCH)?;
        let view = View { ns: &space.mounts, cred: &p.cred, cwd: &p.cwd, now: self.unix() };
        let size: usize = e.argv.iter().map(String::len).sum();
        if size > Limits::TABLE.shell_bytes_max {
            return Err(Errno::E2BIG);
        }
        let (program, argv) = self.load(&view, &e.path, e.argv.clone())?;
        let closed: Vec<FileId> = p.fds.values().filter(|f| f.cloexec).map(|f| f.file).collect();
        if let Some(p) = self.proc_mut(pid) {
            p.program = Some(program);
            p.comm = comm(&e.path);
            p.argv = argv.into();
            p.env = e.env.clone();
            p.caught = 0;
            p.pending = 0;
            p.fds.retain(|_, f| !f.cloexec);
        }
        for f in closed {
            self.release(f, net);
        }
        self.charge_memory(pid, MEMORY_BYTES);
        Ok(())
    }

    /// Makes a child that runs `program` with a copy of the parent's descriptors.
    pub(super) fn fork(&mut self, parent: Gpid, program: Box<dyn Program>) -> Result<Gpid, Errno> {
        let p = self.procs.get(&parent).cloned().ok_or(Errno::ESRCH)?;
        let pid = self.new_pid(p.pids.0)?;
        let mut c = self.blank(p.pids.0, pid, p.space, 0);
        c.parent = parent;
        (c.pgid, c.sid, c.tty) = (p.pgid, p.sid, p.tty);
        c.comm = p.comm.clone();
        c.argv = p.argv.clone();
        c.env = p.env.clone();
        c.cred = p.cred.clone();
        c.cwd = p.cwd.clone();
        c.umask = p.umask;
        c.ignored = p.ignored;
        c.caught = p.caught;
        c.fds = p.fds.clone();
        c.program = Some(program);
        for f in p.fds.values() {
            self.retain(f.file);
        }
        self.procs.insert(pid, Arc::new(c));
        if let Some(p) = self.proc_mut(parent) {
            p.children.insert(pid);
        }
        self.charge_memory(pid, MEMORY_BYTES);
        self.make_ready(pid);
        Ok(pid)
    }

    /// A process ends: descriptors close, children go to init, the parent hears of it.
    pub(super) fn exit(&mut self, pid: Gpid, status: ExitStatus, net: &mut dyn Network) {
        self.unwatch(pid);
        let Some(p) = self.proc_mut(pid) else { return };
        if p.exit.is_some() {
            return;
        }
        p.exit = Some(status);
        p.program = None;
        p.queued = false;
        let (parent, pids, space) = (p.parent, p.pids, p.space);
        let files = core::mem::take(&mut p.fds);
        let children = core::mem::take(&mut p.children);
        for f in files.values() {
            self.release(f.file, net);
        }
        self.charge_memory(pid, 0);
        let is_init = pids.1 == 1 && pids.0 != 0;
        let init = if is_init { 0 } else { self.global(pids.0, 1).filter(|i| *i != pid).unwrap_or(0) };
        for c in children {
            self.reparent(c, init);
        }
        if is_init {
            let rest: Vec<Gpid> = self
                .procs
                .iter()
                .filter(|(n, q)| **n != pid && q.pids.0 == pids.0 && q.exit.is_none())
                .map(|(n, _)| *n)
                .collect();
            for c in rest {
                self.exit(c, ExitStatus::Signaled(Signal::KILL), net);
            }
        }
        let parent_ignores = self.procs.get(&parent).is_none_or(|q| q.ignored & bit(Signal::CHLD) != 0);
        if parent == 0 {
            let oom = self.procs.get(&pid).is_some_and(|p| p.oom)
                || self.space(space).is_some_and(|s| s.usage.oom_kills > 0) && is_init;
            self.ended.push_back(super::Ended { pid, status, oom, at: self.now });
            self.reap(pid);
        } else if parent_ignores {
            self.reap(pid);
            self.wake(Interest::Child(parent));
        } else {
            self.signal(0, parent, Signal::CHLD);
            self.wake(Interest::Child(parent));
        }
    }

    fn reparent(&mut self, child: Gpid, to: Gpid) {
        let Some(c) = self.proc_mut(child) else { return };
        c.parent = to;
        let dead = c.exit.is_some();
        match self.proc_mut(to) {
            Some(p) => {
                p.children.insert(child);
                if dead {
                    self.signal(0, to, Signal::CHLD);
                    self.wake(Interest::Child(to));
                }
            }
            None if dead => self.reap(child),
            None => {}
        }
    }

    /// Removes a zombie.
    pub(super) fn reap(&mut self, pid: Gpid) {
        if let Some(p) = self.procs.remove(&pid) {
            if let Some(q) = self.proc_mut(p.parent) {
                q.children.remove(&pid);
            }
            if let Some(n) = self.pidns.get_mut(&p.pids.0) {
                n.pids.remove(&p.pids.1);
            }
        }
    }

    /// Sends a signal from the host's side, as the container runtime does.
    pub fn kill(&mut self, pid: Gpid, signal: Signal, net: &mut dyn Network) {
        self.signal(0, pid, signal);
        self.bury(net);
    }

    /// Sends a signal to each process of a group.
    pub(super) fn signal_group(&mut self, pgid: Gpid, signal: Signal) {
        if pgid == 0 {
            return;
        }
        let pids: Vec<Gpid> = self.procs.iter().filter(|(_, p)| p.pgid == pgid).map(|(n, _)| *n).collect();
        for pid in pids {
            self.signal(0, pid, signal);
        }
    }

    /// Sends a signal. `sender` is 0 for the kernel itself or the host's runtime.
    pub(super) fn signal(&mut self, sender: Gpid, pid: Gpid, signal: Signal) {
        let from = self.procs.get(&sender).map(|s| s.pids.0);
        let Some(p) = self.proc_mut(pid) else { return };
        if p.exit.is_some() || signal.0 == 0 || signal.0 > 31 {
            return;
        }
        let forced = signal == Signal::KILL || signal == Signal::STOP;
        let init = p.pids.1 == 1;
        // A namespace's init gets only what it asked for; KILL and STOP reach it from outside of the namespace alone.
        if init && p.caught & bit(signal) == 0 {
            let outside = sender == 0 || from.is_some_and(|f| f != p.pids.0);
            if !(forced && outside && p.pids.0 != 0) {
                return;
            }
        }
        if !forced && p.ignored & bit(signal) != 0 {
            return;
        }
        if signal == Signal::CONT || signal == Signal::KILL {
            p.stopped = false;
            self.make_ready(pid);
        }
        let Some(p) = self.proc_mut(pid) else { return };
        if !forced && p.caught & bit(signal) != 0 {
            p.pending |= bit(signal);
            if !p.stopped {
                self.make_ready(pid);
            }
            return;
        }
        match signal.action() {
            Action::Ignore | Action::Continue => {}
            Action::Stop => {
                p.stopped = true;
                let parent = p.parent;
                self.wake(Interest::Child(parent));
            }
            Action::Terminate | Action::Core => {
                p.doomed.get_or_insert(ExitStatus::Signaled(signal));
                // The one that runs ends after its step; others when the kernel next looks at them.
                self.make_ready(pid);
            }
        }
    }

    /// Ends those that a signal doomed outside of a run.
    fn bury(&mut self, net: &mut dyn Network) {
        let doomed: Vec<(Gpid, ExitStatus)> =
            self.procs.iter().filter_map(|(n, p)| Some((*n, p.doomed?))).collect();
        for (pid, status) in doomed {
            self.exit(pid, status, net);
        }
    }

    /// Sets what a process's data take and enforces the space's limit.
    pub(super) fn charge_memory(&mut self, pid: Gpid, bytes: u64) {
        let Some(p) = self.proc_mut(pid) else { return };
        let before = core::mem::replace(&mut p.memory_bytes, bytes);
        let space = p.space;
        let Some(s) = self.space_mut(space) else { return };
        let u = &mut s.usage;
        u.memory_bytes = u.memory_bytes.saturating_sub(before).saturating_add(bytes);
        u.memory_peak_bytes = u.memory_peak_bytes.max(u.memory_bytes.min(u.memory_bytes_max.max(1)));
        if u.memory_bytes_max == 0 {
            u.memory_peak_bytes = u.memory_peak_bytes.max(u.memory_bytes);
        } else if u.memory_bytes > u.memory_bytes_max && bytes > before {
            u.oom_kills += 1;
            let group = u.oom_group;
            let victims: Vec<Gpid> = if group {
                self.procs
                    .iter()
                    .filter(|(_, p)| p.space == space && p.exit.is_none())
                    .map(|(n, _)| *n)
                    .collect()
            } else {
                vec![pid]
            };
            for v in victims {
                if let Some(p) = self.proc_mut(v) {
                    p.oom = true;
                    p.doomed = Some(ExitStatus::Signaled(Signal::KILL));
                }
                self.make_ready(v);
            }
        }
    }

    /// The processes that a pid namespace sees.
    pub fn process_list(&self, ns: PidNsId) -> Vec<ProcessInfo> {
        let seen = self.procs.iter().filter(|(_, p)| ns == 0 || p.pids.0 == ns);
        let mut list: Vec<ProcessInfo> = seen
            .map(|(g, p)| ProcessInfo {
                pid: self.pid_in(ns, *g),
                ppid: self.pid_in(ns, p.parent),
                pgid: self.pid_in(ns, p.pgid),
                sid: self.pid_in(ns, p.sid),
                uid: p.cred.uid,
                gid: p.cred.gid,
                state: if p.exit.is_some() {
                    ProcessState::Zombie
                } else if p.stopped {
                    ProcessState::Stopped
                } else if self.current == *g || p.queued {
                    ProcessState::Running
                } else {
                    ProcessState::Sleeping
                },
                comm: p.comm.clone(),
                argv: p.argv.to_vec(),
                started: p.started,
                cpu_ns: p.cpu_ns,
                rss_bytes: p.memory_bytes,
                vsz_bytes: p.memory_bytes + 4 * 1024 * 1024,
                tty: p.tty.and_then(|t| self.tty(t)).map(|t| smol_str::format_smolstr!("pts/{}", t.index)),
            })
            .collect();
        list.sort_by_key(|p| p.pid);
        list
    }

    pub(super) fn disposition(&mut self, pid: Gpid, s: Signal, d: Disposition) -> Disposition {
        let Some(p) = self.proc_mut(pid) else { return Disposition::Default };
        let b = bit(s);
        let old = if p.ignored & b != 0 {
            Disposition::Ignore
        } else if p.caught & b != 0 {
            Disposition::Catch
        } else {
            Disposition::Default
        };
        p.ignored &= !b;
        p.caught &= !b;
        match d {
            Disposition::Default => {}
            Disposition::Ignore => p.ignored |= b,
            Disposition::Catch => p.caught |= b,
        }
        if d != Disposition::Catch {
            p.pending &= !b;
        }
        old
    }

    /// Whether `sender` may signal `target`.
    pub(super) fn may_signal(&self, sender: Gpid, target: Gpid) -> bool {
        let (Some(s), Some(t)) = (self.procs.get(&sender), self.procs.get(&target)) else { return false };
        s.cred.can(cap::KILL) || s.cred.uid == t.cred.uid
    }
}

/// A process's short name: the file's, at most fifteen bytes.
fn comm(path: &str) -> SmolStr {
    let name = fs::basename(path);
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().into()
}
