//! The container runtime of a node: what a kubelet drives through the container runtime interface.
//!
//! [`Runtime`] keeps images, sandboxes, containers and exec sessions; their processes live in the [`Machine`]. Operations
//! that take time are queued and end with an [`Event`]: the kubelet asks for something, goes on, and hears of it. Time comes
//! by [`Runtime::run`] at [`Runtime::next_at`]. Texts of failures are containerd's and runc's. Models: containerd 2 with runc,
//! cgroup v2, the CNI bridge plugin with host-local addresses and portmap.
//!
//! Restart policies, probes, volumes' contents and status are left to the kubelet.

mod cni;
mod container;
mod exec;
mod image;
mod log;
mod sandbox;

pub use cni::{Cni, PortMapping};
pub use container::{Container, ContainerConfig, ContainerState, Exited, MountSource, MountSpec};
pub use exec::{ExecIo, ExecOptions, ExecOutput};
pub use image::{ImageInfo, PullError, Pulled};
pub use log::{Log, LogLine, StreamKind};
pub use sandbox::{Sandbox, SandboxConfig, SandboxState};

use crate::kernel::Machine;
use imbl::{OrdMap, Vector};
use net::Net;
use shell::kernel::{Ended, Gpid, PipeId, TtyId};
use sim::{Duration, Instant, Queue, Stream};
use smol_str::SmolStr;
use std::sync::Arc;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        pub struct $name(pub SmolStr);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

ids! {
    /// A sandbox's identifier: 64 hexadecimal digits.
    SandboxId;
    /// A container's identifier: 64 hexadecimal digits.
    ContainerId;
    /// An exec session's identifier: 64 hexadecimal digits.
    ExecId;
}

/// A pull's number.
pub type PullId = u64;
/// An attached client's number.
pub type AttachId = u64;

/// How long things take. The defaults are those of an unloaded node; a lesson may change them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// From the request to a sandbox with its network.
    pub sandbox: (Duration, Duration),
    /// From the request to a created container.
    pub create: (Duration, Duration),
    /// From the request to a container's first instruction.
    pub start: (Duration, Duration),
    /// Round trips to a registry before anything is transferred, and the whole of a pull that fails.
    pub registry: (Duration, Duration),
    /// What a pull transfers and unpacks a second.
    pub pull_bytes_per_second: u64,
}

impl Default for Delays {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Delays {
            sandbox: (ms(120), ms(260)),
            create: (ms(15), ms(40)),
            start: (ms(40), ms(110)),
            registry: (ms(500), ms(1300)),
            pull_bytes_per_second: 28_000_000,
        }
    }
}

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A pull has ended.
    Pulled(PullId, Result<Pulled, PullError>),
    /// A sandbox is ready, its network too.
    SandboxReady(SandboxId),
    /// A sandbox could not be made; the text is the CRI error's.
    SandboxFailed(SandboxId, String),
    /// A sandbox's first process has ended although nobody asked.
    SandboxDied(SandboxId),
    /// A container runs.
    Started(ContainerId),
    /// A container could not be started; its state holds the reason.
    StartFailed(ContainerId, String),
    /// A container has ended.
    Exited(ContainerId),
    /// An exec session has ended.
    ExecExited(ExecId),
}

#[derive(Clone, Debug)]
enum Op {
    Sandbox(SandboxId),
    Start(ContainerId),
    Kill(ContainerId),
    Pull(PullId),
}

/// Whose process, pipe or terminal it is.
#[derive(Clone, Debug)]
enum Owner {
    Sandbox(SandboxId),
    Container(ContainerId),
    Exec(ExecId),
}

/// A node's container runtime. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The network plugin.
    pub cni: Cni,
    /// How long things take.
    pub delays: Delays,
    /// The image of sandboxes.
    pub pause_image: SmolStr,
    images: OrdMap<SmolStr, Arc<image::Local>>,
    pulls: OrdMap<PullId, image::Pull>,
    sandboxes: OrdMap<SandboxId, Arc<Sandbox>>,
    containers: OrdMap<ContainerId, Arc<Container>>,
    execs: OrdMap<ExecId, Arc<exec::Exec>>,
    attached: OrdMap<AttachId, exec::Attached>,
    processes: OrdMap<Gpid, Owner>,
    pipes: OrdMap<PipeId, (Owner, StreamKind)>,
    ttys: OrdMap<TtyId, Owner>,
    queue: Queue<Op>,
    events: Vector<Event>,
    foreign: Vector<Ended>,
    stream: Stream,
    next: u64,
}

impl Runtime {
    /// A runtime without images, over that network plugin.
    pub fn new(cni: Cni, stream: Stream) -> Runtime {
        Runtime {
            cni,
            delays: Delays::default(),
            pause_image: "registry.k8s.io/pause:3.10".into(),
            images: OrdMap::new(),
            pulls: OrdMap::new(),
            sandboxes: OrdMap::new(),
            containers: OrdMap::new(),
            execs: OrdMap::new(),
            attached: OrdMap::new(),
            processes: OrdMap::new(),
            pipes: OrdMap::new(),
            ttys: OrdMap::new(),
            queue: Queue::new(),
            events: Vector::new(),
            foreign: Vector::new(),
            stream,
            next: 0,
        }
    }

    fn id64(&mut self) -> SmolStr {
        let mut s = String::with_capacity(64);
        for _ in 0..4 {
            s.push_str(&format!("{:016x}", self.stream.bits()));
        }
        s.into()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn between(&mut self, range: (Duration, Duration)) -> Duration {
        self.stream.between(range.0, range.1)
    }

    /// When the runtime itself has something to do; processes' times are the machine's.
    pub fn next_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// Feeds the state to a hasher.
    pub fn digest(&self, h: &mut sim::Hasher) {
        use shell::kernel::feed_debug;
        h.int(self.next);
        for id in self.images.keys() {
            h.str(id);
        }
        feed_debug(h, &self.sandboxes);
        feed_debug(h, &self.execs);
        feed_debug(h, &self.events);
        feed_debug(h, &self.cni);
        for (id, c) in &self.containers {
            h.str(&id.0);
            feed_debug(h, &c.state);
            h.int(c.log.end());
        }
        for (at, op) in self.queue.iter() {
            h.int(at.nanos());
            feed_debug(h, op);
        }
    }

    /// The next thing that has happened.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends of processes without parent that are none of the runtime's: logins, for example.
    pub fn take_foreign(&mut self) -> Option<Ended> {
        self.foreign.pop_front()
    }

    /// Does what is due, and collects what the processes have written and which have ended. To be called after
    /// [`Machine::run`].
    pub fn run(&mut self, now: Instant, machine: &mut Machine, net: &mut Net) {
        while self.queue.next_at().is_some_and(|at| at <= now) {
            let Some((_, _, op)) = self.queue.pop() else { break };
            match op {
                Op::Sandbox(id) => self.make_sandbox(&id, machine, net),
                Op::Start(id) => self.start_now(&id, machine, net),
                Op::Kill(id) => self.kill_now(&id, machine, net),
                Op::Pull(id) => self.pull_ended(id, machine),
            }
        }
        self.collect(machine, now);
        while let Some(e) = machine.kernel.take_ended() {
            // Its last words first.
            self.collect(machine, now);
            match self.processes.remove(&e.pid) {
                Some(Owner::Sandbox(id)) => self.sandbox_ended(&id),
                Some(Owner::Container(id)) => self.container_ended(&id, &e, machine),
                Some(Owner::Exec(id)) => self.exec_ended(&id, &e, machine),
                None => self.foreign.push_back(e),
            }
        }
    }

    /// Takes what processes have written.
    fn collect(&mut self, machine: &mut Machine, now: Instant) {
        let mut foreign = Vec::new();
        while let Some(p) = machine.kernel.take_output() {
            match self.pipes.get(&p).cloned() {
                Some((owner, kind)) => {
                    let data = machine.kernel.drain(p);
                    self.written(&owner, kind, &data, now);
                }
                None => foreign.push(p),
            }
        }
        for p in foreign {
            machine.kernel.list_output(p);
        }
        let ttys: Vec<(TtyId, Owner)> = self.ttys.iter().map(|(t, o)| (*t, o.clone())).collect();
        for (t, owner) in ttys {
            if machine.kernel.take_tty_output_of(t) {
                let data = machine.kernel.tty_output(t);
                self.written(&owner, StreamKind::Stdout, &data, now);
            }
        }
    }

    fn written(&mut self, owner: &Owner, kind: StreamKind, data: &[u8], now: Instant) {
        if data.is_empty() {
            return;
        }
        match owner {
            Owner::Sandbox(_) => {}
            Owner::Container(id) => {
                if let Some(c) = self.containers.get_mut(id) {
                    Arc::make_mut(c).log.write(now, kind, data);
                }
                self.show_attached(id, kind, data);
            }
            Owner::Exec(id) => {
                if let Some(e) = self.execs.get_mut(id) {
                    Arc::make_mut(e).written(kind, data);
                }
            }
        }
    }
}
