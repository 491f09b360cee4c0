//! The world: all components, one event queue.

mod calls;
mod commands;

use crate::command::{Command, Logged};
use crate::host::{self, Job, Terminals};
use crate::machine::{self, NodeSetup, Site};
use crate::session::Session;
use crate::streams::{Conversation, Open, Reply};
use api::wire::{Message, Response};
use apiserver::{ApiServer, ResId, Settings};
use controllers::Manager;
use controllers::runtime::Kinds;
use net::Net;
use node::fake::{FakeKubelets, FakeNode};
use node::network::HostNetwork;
use scheduler::{Scheduler, TieBreak};
use shell::kernel::{Kernel, SpaceId};
use sim::persistent::{OrdMap, Vector};
use sim::{Cause, Digest, Duration, Hasher, Instant, Limits, Queue, Seed, Stream};
use std::sync::Arc;

/// How long a watch event takes to its reader.
const DELIVERY: (Duration, Duration) = (Duration::from_micros(800), Duration::from_micros(3_000));
/// How long a user's request takes to the server and back.
const REQUEST: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(9));

/// The host number of clients that are outside of the world.
const OUTSIDE: usize = usize::MAX;

/// What a client outside of the world hears in a conversation with a kubelet.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The answer, or the head of a stream.
    Head(Box<Response>),
    /// A message of a stream.
    Message(Message),
    /// The end.
    End,
}

/// What a world begins with. Part of the scenario.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The server's settings.
    pub settings: Settings,
    /// Fake nodes.
    pub fakes: Vec<FakeNode>,
    /// Nodes with real kubelets, containers and network.
    pub nodes: Vec<NodeSetup>,
    /// Files of the workstation.
    pub files: Vec<(String, Vec<u8>)>,
    /// Environment of the workstation's shells.
    pub env: Vec<(String, String)>,
    /// Working directory of the workstation's shells.
    pub cwd: String,
    /// Host name of the control plane's components where no node is it; "" for `control-plane`.
    pub host: String,
    /// Tosses of the scheduler that are known beforehand.
    pub tosses: TieBreak,
}

impl Setup {
    /// `n` fake nodes of 4 cores, 8 GiB and 110 pods in three zones.
    pub fn fake(n: usize) -> Setup {
        let fakes = (1..=n)
            .map(|i| FakeNode {
                name: format!("node-{i}").into(),
                ip: format!("192.168.{}.{}", (10 + i) / 256, (10 + i) % 256).into(),
                zone: format!("zone-{}", (b'a' + ((i - 1) % 3) as u8) as char).into(),
                pod_prefix: format!("10.{}.{}", 244 + (i - 1) / 256, (i - 1) % 256).into(),
                capacity: ("4".into(), "8Gi".into(), 110),
            })
            .collect();
        Setup { fakes, ..Setup::default() }
    }

    fn control_plane(&self) -> &str {
        if self.host.is_empty() { "control-plane" } else { &self.host }
    }

    /// A control plane and two workers with real kubelets.
    pub fn default_cluster() -> Setup {
        let node = |n: u8, name: &str| NodeSetup {
            name: name.into(),
            ip: [192, 168, 0, 10 + n].into(),
            pods: [10, 244, n, 0].into(),
            control_plane: n == 0,
            images: Vec::new(),
        };
        let nodes = vec![node(0, "control-plane"), node(1, "worker-1"), node(2, "worker-2")];
        let mut setup = Setup { nodes, ..Setup::default() };
        let (user, token) = ("admin", "admin-token");
        setup.settings.advertise = Some("192.168.0.10".into());
        setup.settings.tokens.push((token.into(), apiserver::auth::User::new(user, &["system:masters"])));
        let config = host::kubeconfig("https://192.168.0.10:6443", user, token);
        setup.files.push(("/root/.kube/config".into(), config.into_bytes()));
        setup
    }
}

/// A part of the world that takes turns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Manager,
    Scheduler,
    Fakes,
    /// Frames and timers of the network.
    Net,
    /// Processes: host 0 is the workstation, the others are nodes with their kubelets.
    Host(usize),
    Proxy(usize),
    Watch(Conversation),
}

#[derive(Clone, Debug)]
enum Event {
    Wake(Part),
    Reply(Conversation, Reply),
    Command(Arc<Command>),
}

/// A host with its kernel.
#[derive(Clone, Debug)]
struct HostState {
    kernel: Kernel,
    space: SpaceId,
}

/// A whole cluster with its people's machine. `Clone` is a checkpoint.
#[derive(Clone)]
pub struct World {
    seed: Seed,
    setup: Arc<Setup>,
    now: Instant,
    queue: Queue<Event>,
    wakes: OrdMap<Part, (Instant, u64)>,
    api: ApiServer,
    manager: Arc<Manager>,
    scheduler: Arc<Scheduler>,
    fakes: Arc<FakeKubelets>,
    site: Arc<Site>,
    workstation: Arc<HostState>,
    sessions: OrdMap<Conversation, Arc<Session>>,
    watches: OrdMap<Conversation, Arc<Open>>,
    terminals: Terminals,
    jobs: OrdMap<u32, Arc<Job>>,
    /// What clients outside of the world have not heard yet, by conversation.
    outside: OrdMap<u64, Vec<Heard>>,
    log: Vector<Logged>,
    chance: Stream,
    history: Digest,
    events: u64,
}

impl World {
    /// A new cluster. Its control plane is up; nodes and controllers begin their work with time.
    /// A node whose name is taken is left out.
    pub fn new(seed: Seed, setup: Setup) -> World {
        let now = Instant::ZERO;
        let mut api = ApiServer::new(seed, setup.settings.clone());
        api.bootstrap(now);
        let fakes = FakeKubelets::new(seed, &mut api, now, setup.fakes.clone());
        let kinds = Kinds::new(&api.registry);
        let manager = Manager::new(seed, &api, controllers::all(&kinds));
        let scheduler = Scheduler::new(seed, &api, setup.control_plane(), setup.tosses.clone());
        // Nodes beside a control plane that is elsewhere have its DNS, if any, elsewhere too.
        if setup.nodes.iter().any(|n| n.control_plane) {
            machine::install_dns(&mut api, now);
        }
        let site = Site::new(seed, &api, &setup);
        let (kernel, space) = host::workstation(seed, &setup, site.workstation.0);
        let mut w = World {
            seed,
            setup: Arc::new(setup),
            now,
            queue: Queue::new(),
            wakes: OrdMap::new(),
            api,
            manager: Arc::new(manager),
            scheduler: Arc::new(scheduler),
            fakes: Arc::new(fakes),
            site: Arc::new(site),
            workstation: Arc::new(HostState { kernel, space }),
            sessions: OrdMap::new(),
            watches: OrdMap::new(),
            terminals: Terminals::new(),
            jobs: OrdMap::new(),
            outside: OrdMap::new(),
            log: Vector::new(),
            chance: seed.stream("world"),
            history: Digest::default(),
            events: 0,
        };
        for part in [Part::Manager, Part::Scheduler, Part::Fakes] {
            w.wake(part, now);
        }
        w.start_api_front();
        for i in 1..=w.site.machines.len() {
            w.wake(Part::Host(i), now);
            w.wake(Part::Proxy(i), now);
        }
        w
    }

    /// The secure port is the control plane's; without one, as with fake nodes alone, the workstation's.
    fn start_api_front(&mut self) {
        match self.setup.nodes.iter().position(|n| n.control_plane) {
            Some(i) => {
                let site = Arc::make_mut(&mut self.site);
                let Some(m) = site.machines.get_mut(i) else { return };
                let m = Arc::make_mut(m);
                let mut net = HostNetwork {
                    net: &mut site.net,
                    table: &mut site.sockets,
                    host: i + 1,
                    cause: Cause::NONE,
                };
                let kernel = &mut m.kubelet.runtime.kernel;
                machine::start_api_front(kernel, &mut net, m.space, "/usr/local/bin/kube-apiserver");
            }
            None => {
                let (h, mut net) = self.with_network();
                machine::start_api_front(&mut h.kernel, &mut net, h.space, "/bin/kube-apiserver");
                self.wake(Part::Host(0), self.now);
            }
        }
    }

    /// Virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The seed.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Read access to the API server, for views and tests.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// Gives the server the texts for its documents. They come from outside: no part of the state or its hash.
    pub fn set_texts(&mut self, texts: Arc<apiserver::Texts>) {
        self.api.set_texts(texts);
    }

    /// The scheduler, for its verdicts.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Commands so far.
    pub fn log(&self) -> &Vector<Logged> {
        &self.log
    }

    /// Events run so far.
    pub fn event_count(&self) -> u64 {
        self.events
    }

    /// A digest of everything that ever happened; equal histories have equal digests.
    pub fn history(&self) -> Digest {
        self.history
    }

    /// A digest of the whole state.
    pub fn state_hash(&self) -> Digest {
        let mut h = Hasher::from(self.history);
        h.int(self.now.nanos());
        self.api.store.hash_into(&mut h);
        let net = Hasher::from(self.site.net.digest()).digest();
        h.bytes(&net.0.to_le_bytes());
        h.digest()
    }

    fn wake(&mut self, part: Part, at: Instant) {
        let at = at.max(self.now);
        if let Some((was, seq)) = self.wakes.get(&part).copied() {
            if was <= at {
                return;
            }
            self.queue.cancel(was, seq);
        }
        let seq = self.queue.push(at, Event::Wake(part));
        self.wakes.insert(part, (at, seq));
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// Runs one event; false if there is none.
    pub fn step(&mut self) -> bool {
        let Some((at, seq, event)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        let mut h = Hasher::from(self.history);
        h.int(at.nanos());
        h.int(seq);
        h.int(self.api.store.revision());
        self.history = h.digest();
        match event {
            Event::Wake(part) => {
                self.wakes.remove(&part);
                self.turn(part);
            }
            Event::Reply((host, rpc), reply) => {
                self.reply(host, rpc, reply);
                if host != OUTSIDE {
                    self.wake(Part::Host(host), self.now);
                }
            }
            Event::Command(c) => self.execute(&c),
        }
        self.spread_changes();
        true
    }

    /// Runs all events up to an instant and stops there. Gives the number of events, at most
    /// [`Limits::loop_events_max`].
    pub fn run_until(&mut self, until: Instant) -> usize {
        let mut n = 0;
        while n < Limits::TABLE.loop_events_max && self.queue.next_at().is_some_and(|at| at <= until) {
            self.step();
            n += 1;
        }
        if self.queue.next_at().is_none_or(|at| at > until) {
            self.now = self.now.max(until);
        }
        n
    }

    /// Runs all events of the next while.
    pub fn run_for(&mut self, d: Duration) {
        self.run_until(self.now + d);
    }

    fn turn(&mut self, part: Part) {
        let now = self.now;
        self.advance_net();
        let next = match part {
            Part::Manager => Arc::make_mut(&mut self.manager).run(now, &mut self.api),
            Part::Scheduler => Arc::make_mut(&mut self.scheduler).run(now, &mut self.api),
            Part::Fakes if self.fakes.is_empty() => None,
            Part::Fakes => Arc::make_mut(&mut self.fakes).run(now, &mut self.api),
            Part::Net => None,
            Part::Host(0) => self.run_workstation(),
            Part::Host(i) => self.run_machine(i),
            Part::Proxy(i) => self.run_proxy(i),
            Part::Watch(c) => self.poll_watch(c),
        };
        if let Some(at) = next {
            // A part that wants to run at this very instant again still lets the others have theirs.
            self.wake(part, at);
        }
        self.settle_net();
    }

    /// Brings the network to the present before anyone uses it.
    fn advance_net(&mut self) {
        if self.site.net.next_at().is_some_and(|at| at <= self.now) || self.site.net.now() < self.now {
            Arc::make_mut(&mut self.site).net.advance(self.now);
        }
    }

    /// Wakes the owners of sockets that have news, and the network for its next event.
    fn settle_net(&mut self) {
        let ready = Arc::make_mut(&mut self.site).net.take_ready();
        for r in ready {
            let handles = self.site.sockets.ready(&[r]);
            if handles.is_empty() {
                // No process: a forwarded connection, or a probe's socket in a node's own namespace.
                let session = self.sessions.values().find(|s| s.owns(r.0, r.1)).map(|s| s.host);
                if let Some(i) = session.or_else(|| self.site.host_of_ns(r.0)) {
                    self.wake(Part::Host(i), self.now);
                }
            }
            for (host, handle) in handles {
                if let Some(k) = self.kernel(host) {
                    k.socket_ready(handle);
                }
                self.wake(Part::Host(host), self.now);
            }
        }
        if let Some(at) = self.site.net.next_at() {
            self.wake(Part::Net, at);
        }
    }

    fn kernel(&mut self, host: usize) -> Option<&mut Kernel> {
        if host == 0 {
            return Some(&mut Arc::make_mut(&mut self.workstation).kernel);
        }
        let m = Arc::make_mut(&mut self.site).machines.get_mut(host - 1)?;
        Some(&mut Arc::make_mut(m).kubelet.runtime.kernel)
    }

    /// The workstation's kernel and its view of the network.
    fn with_network(&mut self) -> (&mut HostState, HostNetwork<'_>) {
        let site = Arc::make_mut(&mut self.site);
        let net = HostNetwork { net: &mut site.net, table: &mut site.sockets, host: 0, cause: Cause::NONE };
        (Arc::make_mut(&mut self.workstation), net)
    }

    /// Wakes those who watch what changed, after the delivery's delay.
    fn spread_changes(&mut self) {
        for res in self.api.store.take_dirty() {
            let at = self.api.store.last_change(res).map_or(self.now, |c| c.at).max(self.now);
            let at = at.min(self.now + Duration::from_millis(50));
            for part in self.readers(res) {
                let at = at + self.chance.between(DELIVERY.0, DELIVERY.1);
                self.wake(part, at);
            }
        }
    }

    fn readers(&self, res: ResId) -> Vec<Part> {
        let mut out = Vec::new();
        if self.manager.watches().any(|r| r == res) {
            out.push(Part::Manager);
        }
        if self.scheduler.watches().any(|r| r == res) {
            out.push(Part::Scheduler);
        }
        if !self.fakes.is_empty() && self.fakes.watches().contains(&res) {
            out.push(Part::Fakes);
        }
        for (i, m) in self.site.machines.iter().enumerate() {
            if m.kubelet.watches().contains(&res) {
                out.push(Part::Host(i + 1));
            }
            if m.proxy.watches().contains(&res) {
                out.push(Part::Proxy(i + 1));
            }
        }
        for (c, open) in &self.watches {
            if self.api.registry.get(open.watch.res).storage == res {
                out.push(Part::Watch(*c));
            }
        }
        out
    }

    fn run_workstation(&mut self) -> Option<Instant> {
        let now = self.now;
        let (host, mut net) = self.with_network();
        let more = host.kernel.run(now, &mut net);
        let next = if more { Some(now) } else { host.kernel.next_at() };
        self.take_calls(0);
        self.collect_jobs();
        next
    }

    fn run_machine(&mut self, i: usize) -> Option<Instant> {
        let now = self.now;
        let site = Arc::make_mut(&mut self.site);
        let m = Arc::make_mut(site.machines.get_mut(i - 1)?);
        if !m.on {
            return None;
        }
        let next = m.kubelet.run(now, &mut self.api, &mut site.net, &mut site.sockets);
        self.take_calls(i);
        let sessions = self.pump_sessions(i);
        [next, sessions].into_iter().flatten().min()
    }

    fn run_proxy(&mut self, i: usize) -> Option<Instant> {
        let site = Arc::make_mut(&mut self.site);
        let m = Arc::make_mut(site.machines.get_mut(i - 1)?);
        if !m.on || !m.kubelet.online {
            return None;
        }
        m.proxy.run(self.now, &self.api, &mut site.net)
    }

    /// Lets time pass without running anything, up to the next event at most.
    pub fn rest_until(&mut self, at: Instant) {
        self.now = self.now.max(at);
    }

    /// The network, for views and tests.
    pub fn net(&self) -> &Net {
        &self.site.net
    }

    /// Number of the newest traced packet.
    pub fn packet_count(&self) -> u64 {
        self.site.net.traces().next_back().map_or(0, |t| t.id)
    }

    /// Whether all nodes are Ready.
    pub fn nodes_ready(&self) -> bool {
        let Some(res) = self.api.resource("", "nodes") else { return false };
        let mut nodes = self.api.store.list(res, None, None).map(|(_, n)| n).peekable();
        nodes.peek().is_some() && nodes.all(|n| n.condition("Ready").get("status").text() == "True")
    }
}
