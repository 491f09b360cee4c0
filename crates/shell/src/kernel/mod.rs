//! The kernel side of processes: process table, descriptors, pipes, terminals, signals and time slices of one host.
//!
//! A [`Kernel`] is a value; [`Kernel::run`] steps what can run at an instant and [`Kernel::next_at`] says when to come
//! back. Packets are left to a [`Network`], images and containers to the `node` crate, which makes a [`Space`] for each
//! container and starts its first process in it. Models: Linux (fork, exec, wait, signals, pipes, ttys, pid namespaces).

mod call;
mod digest;
mod file;
mod network;
mod proc;
mod process;
mod tty;

pub use call::Call;
pub use digest::feed_debug;
pub use file::{FileId, PipeId};
pub use network::{NetNs, Network, NoNetwork, SocketId};
pub use process::{Gpid, Process, Start};
pub use tty::{Tty, TtyId};

use crate::errno::Errno;
use crate::fs::{FsId, MountNs, Vfs};
use crate::program::{Entry, Step};
use crate::sys::{ExitStatus, Message, Pid};
use file::{OpenFile, Pipe};
use sim::persistent::{OrdMap, OrdSet, Vector};
use sim::{Duration, Epoch, Instant, Limits, Stream};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A group of namespaces and a control group: what a container is to the kernel.
pub type SpaceId = u32;
/// A pid namespace; 0 is the host's.
pub type PidNsId = u32;
/// A conversation with a local service.
pub type RpcId = u64;

/// Processor time that one step counts for.
const STEP_NS: u64 = 2_000;
/// What starting a program takes.
const EXEC_TIME: Duration = Duration::from_micros(400);

/// What a process may wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Interest {
    /// Bytes or the end in a pipe.
    PipeRead(PipeId),
    /// Room in a pipe.
    PipeWrite(PipeId),
    /// Input of a terminal.
    TtyRead(TtyId),
    /// Room in a terminal's output.
    TtyWrite(TtyId),
    /// The end of a child.
    Child(Gpid),
    /// An instant.
    Timer(Instant),
    /// Something new on a socket.
    Socket(SocketId),
    /// A message of a local service.
    Rpc(RpcId),
}

/// Memory and processor time of a group of processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in nanoseconds.
    pub cpu_ns: u64,
    /// Memory of the living processes in bytes.
    pub memory_bytes: u64,
    /// The most that it was.
    pub memory_peak_bytes: u64,
    /// Limit in bytes, 0 for none.
    pub memory_bytes_max: u64,
    /// Processes killed because of the limit.
    pub oom_kills: u64,
    /// Whether the limit kills the whole group, as containers of cgroup v2 do.
    pub oom_group: bool,
}

/// Namespaces and control group of a container, or of the host itself.
#[derive(Clone, Debug)]
pub struct Space {
    /// What is mounted.
    pub mounts: MountNs,
    /// The file system with `/proc`, which the kernel fills.
    pub proc: Option<FsId>,
    /// Network namespace.
    pub net: NetNs,
    /// Pid namespace.
    pub pids: PidNsId,
    /// Host name.
    pub hostname: SmolStr,
    /// Path of the control group, as `/proc/self/cgroup` has it.
    pub cgroup: SmolStr,
    /// What it uses.
    pub usage: Usage,
}

/// The host's own numbering begins at 2: its init is not modelled as a process.
#[derive(Clone, Debug, Default)]
struct PidNs {
    next: Pid,
    pids: OrdMap<Pid, Gpid>,
}

/// The end of a process that has no parent process: one that the host's runtime started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Which.
    pub pid: Gpid,
    /// How.
    pub status: ExitStatus,
    /// Whether the memory limit killed it or one of its space since it began.
    pub oom: bool,
    /// When.
    pub at: Instant,
}

/// What a process tells a local service.
#[derive(Clone, Debug)]
pub struct RpcEvent {
    /// The conversation.
    pub id: RpcId,
    /// Who talks.
    pub pid: Gpid,
    /// The service's name.
    pub service: SmolStr,
    /// What is said; `None` is the end.
    pub message: Option<Message>,
}

#[derive(Clone, Debug)]
struct Rpc {
    pid: Gpid,
    service: SmolStr,
    inbox: Vector<Message>,
    ended: bool,
}

/// Facts of the machine that processes can ask for.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Kernel release.
    pub release: SmolStr,
    /// Kernel version line.
    pub version: SmolStr,
    /// Architecture.
    pub machine: SmolStr,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: u32,
    /// When it was booted.
    pub booted: Instant,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            release: "6.12.0-kubarium".into(),
            version: "#1 SMP PREEMPT_DYNAMIC".into(),
            machine: "x86_64".into(),
            memory_bytes: 8 << 30,
            cpus: 4,
            booted: Instant::ZERO,
        }
    }
}

/// One host's kernel. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// File systems.
    pub vfs: Vfs,
    /// The machine.
    pub machine: Machine,
    /// The civil moment of time zero.
    pub epoch: Epoch,
    tables: Arc<[&'static [Entry]]>,
    spaces: OrdMap<SpaceId, Arc<Space>>,
    procs: OrdMap<Gpid, Arc<Process>>,
    pidns: OrdMap<PidNsId, PidNs>,
    files: OrdMap<FileId, OpenFile>,
    pipes: OrdMap<PipeId, Pipe>,
    ttys: OrdMap<TtyId, Arc<Tty>>,
    rpcs: OrdMap<RpcId, Rpc>,
    waiters: OrdMap<Interest, BTreeSet<Gpid>>,
    timers: OrdSet<(Instant, Gpid)>,
    ready: Vector<Gpid>,
    ended: Vector<Ended>,
    outputs: OrdSet<PipeId>,
    tty_outputs: OrdSet<TtyId>,
    rpc_events: Vector<RpcEvent>,
    sysctls: OrdMap<SmolStr, SmolStr>,
    sysctl_writes: Vector<(SpaceId, SmolStr, SmolStr)>,
    stream: Stream,
    now: Instant,
    current: Gpid,
    next: u64,
}

impl Kernel {
    /// A kernel without processes. `tables` are the programs that its files can name.
    pub fn new(tables: &[&'static [Entry]], epoch: Epoch, stream: Stream) -> Kernel {
        Kernel {
            vfs: Vfs::default(),
            machine: Machine::default(),
            epoch,
            tables: Arc::from(tables),
            spaces: OrdMap::new(),
            procs: OrdMap::new(),
            pidns: OrdMap::unit(0, PidNs { next: 1, pids: OrdMap::new() }),
            files: OrdMap::new(),
            pipes: OrdMap::new(),
            ttys: OrdMap::new(),
            rpcs: OrdMap::new(),
            waiters: OrdMap::new(),
            timers: OrdSet::new(),
            ready: Vector::new(),
            ended: Vector::new(),
            outputs: OrdSet::new(),
            tty_outputs: OrdSet::new(),
            rpc_events: Vector::new(),
            sysctls: proc::sysctls(),
            sysctl_writes: Vector::new(),
            stream,
            now: Instant::ZERO,
            current: 0,
            next: 0,
        }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Virtual time of the last [`Kernel::run`].
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Sets the time, for what is called between runs.
    pub fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Seconds since 1970.
    pub fn unix(&self) -> i64 {
        self.epoch.0.saturating_add(self.now.secs() as i64)
    }

    // Spaces.

    /// A new pid namespace.
    pub fn add_pidns(&mut self) -> PidNsId {
        let id = self.id() as PidNsId;
        self.pidns.insert(id, PidNs::default());
        id
    }

    /// Adds a space.
    pub fn add_space(&mut self, space: Space) -> SpaceId {
        let id = self.id() as SpaceId;
        self.spaces.insert(id, Arc::new(space));
        id
    }

    /// A space.
    pub fn space(&self, id: SpaceId) -> Option<&Space> {
        self.spaces.get(&id).map(|s| &**s)
    }

    /// A space, to be changed.
    pub fn space_mut(&mut self, id: SpaceId) -> Option<&mut Space> {
        self.spaces.get_mut(&id).map(Arc::make_mut)
    }

    /// Removes a space whose processes have ended, with its `/proc`.
    pub fn remove_space(&mut self, id: SpaceId) {
        if let Some(s) = self.spaces.remove(&id) {
            let shared = self.spaces.values().any(|o| o.pids == s.pids);
            if !shared && s.pids != 0 {
                self.pidns.remove(&s.pids);
            }
            if let Some(p) = s.proc
                && !self.spaces.values().any(|o| o.proc == Some(p))
            {
                self.vfs.remove(p);
            }
        }
    }

    /// What a space's mount namespace shows, the kernel's own `/proc` among it.
    pub fn mount_in(
        &mut self,
        space: SpaceId,
        target: &str,
        node: crate::fs::Node,
        ro: bool,
    ) -> Result<(), Errno> {
        let mut s = self.spaces.get(&space).cloned().ok_or(Errno::ENOENT)?;
        let sp = Arc::make_mut(&mut s);
        self.vfs.mount(&mut sp.mounts, target, node, ro)?;
        self.spaces.insert(space, s);
        Ok(())
    }

    // What the outside takes.

    /// Ends of processes without a parent, oldest first.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// A pipe of [`Kernel::pipe_out`] that has something new: bytes or its end.
    pub fn take_output(&mut self) -> Option<PipeId> {
        let id = *self.outputs.get_min()?;
        self.outputs.remove(&id);
        Some(id)
    }

    /// Puts a pipe back on the list of those with news: the taker was not its reader.
    pub fn list_output(&mut self, id: PipeId) {
        if self.pipes.contains_key(&id) {
            self.outputs.insert(id);
        }
    }

    /// Whether that terminal has new output or lost its last process; asked once.
    pub fn take_tty_output_of(&mut self, id: TtyId) -> bool {
        self.tty_outputs.remove(&id)
    }

    /// A terminal that has new output or lost its last process.
    pub fn take_tty_output(&mut self) -> Option<TtyId> {
        let id = *self.tty_outputs.get_min()?;
        self.tty_outputs.remove(&id);
        Some(id)
    }

    /// What processes said to local services, oldest first.
    pub fn take_rpc(&mut self) -> Option<RpcEvent> {
        self.rpc_events.pop_front()
    }

    /// A service's answer. False if nobody listens any more.
    pub fn rpc_push(&mut self, id: RpcId, message: Message) -> bool {
        match self.rpcs.get_mut(&id) {
            Some(r) if !r.ended && r.inbox.len() < Limits::TABLE.pipe_bytes_max => {
                r.inbox.push_back(message);
                self.wake(Interest::Rpc(id));
                true
            }
            _ => false,
        }
    }

    /// The service ends the conversation.
    pub fn rpc_end(&mut self, id: RpcId) {
        if let Some(r) = self.rpcs.get_mut(&id) {
            r.ended = true;
            self.wake(Interest::Rpc(id));
        }
    }

    /// Something is new on a socket.
    pub fn socket_ready(&mut self, id: SocketId) {
        self.wake(Interest::Socket(id));
    }

    /// Kernel settings that processes wrote below `/proc/sys`: space, name with dots, value.
    pub fn take_sysctl(&mut self) -> Option<(SpaceId, SmolStr, SmolStr)> {
        self.sysctl_writes.pop_front()
    }

    // Waiting.

    fn watch(&mut self, pid: Gpid, interest: Interest) {
        if let Interest::Timer(at) = interest {
            self.timers.insert((at, pid));
        } else {
            self.waiters.entry(interest).or_default().insert(pid);
        }
        if let Some(p) = self.proc_mut(pid)
            && !p.interests.contains(&interest)
        {
            p.interests.push(interest);
        }
    }

    fn unwatch(&mut self, pid: Gpid) {
        let Some(p) = self.proc_mut(pid) else { return };
        for i in core::mem::take(&mut p.interests) {
            if let Interest::Timer(at) = i {
                self.timers.remove(&(at, pid));
            } else if let Some(w) = self.waiters.get_mut(&i) {
                w.remove(&pid);
                if w.is_empty() {
                    self.waiters.remove(&i);
                }
            }
        }
    }

    fn wake(&mut self, interest: Interest) {
        if let Some(pids) = self.waiters.remove(&interest) {
            for pid in pids {
                self.make_ready(pid);
            }
        }
    }

    fn make_ready(&mut self, pid: Gpid) {
        if let Some(p) = self.proc_mut(pid)
            && !p.queued
            && p.exit.is_none()
        {
            p.queued = true;
            self.ready.push_back(pid);
        }
    }

    /// When the next process has something to do; now if one can run.
    pub fn next_at(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(self.now);
        }
        self.timers.get_min().map(|(at, _)| *at)
    }

    /// Runs what can run at `now`. True if the bound of one call was reached and more could run.
    pub fn run(&mut self, now: Instant, net: &mut dyn Network) -> bool {
        self.set_now(now);
        while let Some((at, pid)) = self.timers.get_min().copied() {
            if at > self.now {
                break;
            }
            self.timers.remove(&(at, pid));
            self.make_ready(pid);
        }
        let mut turns = 0;
        while let Some(pid) = self.ready.pop_front() {
            if let Some(p) = self.proc_mut(pid) {
                p.queued = false;
                self.turn(pid, net);
            }
            turns += 1;
            if turns >= Limits::TABLE.processes_max * 4 {
                return !self.ready.is_empty();
            }
        }
        false
    }

    /// Steps one process until it waits, ends, or has used its slice of this instant.
    fn turn(&mut self, pid: Gpid, net: &mut dyn Network) {
        let now = self.now;
        loop {
            let Some(p) = self.proc_mut(pid) else { return };
            if let Some(status) = p.doomed.take() {
                self.exit(pid, status, net);
                return;
            }
            if p.exit.is_some() || p.stopped {
                return;
            }
            if p.slice.0 != now {
                p.slice = (now, 0);
            }
            if p.slice.1 >= Limits::TABLE.steps_per_turn_max {
                let later = now + Duration::from_nanos(STEP_NS * Limits::TABLE.steps_per_turn_max as u64);
                self.watch(pid, Interest::Timer(later));
                return;
            }
            p.slice.1 += 1;
            p.cpu_ns += STEP_NS;
            let space = p.space;
            let (env, before) = (p.env.clone(), p.pending);
            let Some(mut program) = p.program.take() else { return };
            if let Some(s) = self.space_mut(space) {
                s.usage.cpu_ns += STEP_NS;
            }
            self.unwatch(pid);
            self.current = pid;
            let step = program.step(&mut Call { kernel: self, net, pid, env });
            self.current = 0;
            let Some(p) = self.proc_mut(pid) else { return };
            p.program = Some(program);
            if let Some(status) = p.doomed.take() {
                self.exit(pid, status, net);
                return;
            }
            match step {
                Step::Continue => {}
                Step::Wait => {
                    if p.pending & !before != 0 {
                        continue;
                    }
                    return;
                }
                Step::Exit(code) => {
                    self.exit(pid, ExitStatus::Exited(code as u8), net);
                    return;
                }
                Step::Exec(e) => {
                    match self.exec(pid, &e, net) {
                        Ok(()) => self.watch(pid, Interest::Timer(now + EXEC_TIME)),
                        Err(errno) => {
                            if let Some(p) = self.proc_mut(pid) {
                                p.exec_error = Some(errno);
                            }
                            continue;
                        }
                    }
                    return;
                }
            }
        }
    }
}
