//! The world: all components, one event queue.

use crate::command::{Command, Logged};
use crate::host::{self, Job, Terminal, Terminals};
use crate::machine::{self, Machine, NodeSetup, Site};
use crate::session::{self, Begun, Session};
use crate::streams::{Conversation, Open, Reply};
use api::wire::{Body, Message, Request, Response};
use apiserver::{ApiServer, Outcome, ResId, Settings};
use controllers::Manager;
use controllers::runtime::Kinds;
use imbl::{OrdMap, Vector};
use net::Net;
use node::fake::{FakeKubelets, FakeNode};
use node::network::{HostNetwork, SocketTable};
use scheduler::Scheduler;
use shell::kernel::{Kernel, RpcEvent, SpaceId, TtyId};
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

    /// A control plane and two workers with real kubelets.
    pub fn default_cluster() -> Setup {
        let node = |n: u8, name: &str| NodeSetup {
            name: name.into(),
            ip: [192, 168, 0, 10 + n].into(),
            pods: [10, 244, n, 0].into(),
            control_plane: n == 0,
        };
        let nodes = vec![node(0, "control-plane"), node(1, "worker-1"), node(2, "worker-2")];
        let mut setup = Setup { nodes, ..Setup::default() };
        let (user, token) = ("admin", "admin-token");
        setup.settings.advertise = Some("192.168.0.10".into());
        setup.settings.tokens.push((token.into(), user.into(), vec!["system:masters".into()]));
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
        let scheduler = Scheduler::new(seed, &api, "control-plane");
        if !setup.nodes.is_empty() {
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
                // No process: a probe's socket in a node's own namespace.
                if let Some(i) = self.site.host_of_ns(r.0) {
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
        let again = self.pump_sessions(i);
        if again { Some(now) } else { next }
    }

    fn run_proxy(&mut self, i: usize) -> Option<Instant> {
        let site = Arc::make_mut(&mut self.site);
        let m = Arc::make_mut(site.machines.get_mut(i - 1)?);
        if !m.on || !m.kubelet.online {
            return None;
        }
        m.proxy.run(self.now, &self.api, &mut site.net)
    }

    /// Takes what a host's processes say to the API server.
    fn take_calls(&mut self, host: usize) {
        let mut calls: Vec<RpcEvent> = Vec::new();
        if let Some(k) = self.kernel(host) {
            while let Some(e) = k.take_rpc() {
                calls.push(e);
            }
        }
        for e in calls {
            self.call(host, e);
        }
    }

    /// Moves the conversations with a node's kubelet on; whether there was anything to say.
    fn pump_sessions(&mut self, host: usize) -> bool {
        let open: Vec<Conversation> =
            self.sessions.iter().filter(|(_, s)| s.host == host).map(|(c, _)| *c).collect();
        let mut any = false;
        for c in open {
            let Some(s) = self.sessions.get(&c).filter(|s| s.since <= self.now) else { continue };
            let mut s = (**s).clone();
            let (messages, goes_on) = s.pump(Arc::make_mut(&mut self.site), self.setup.settings.epoch);
            any |= !messages.is_empty();
            let at = self.now + DELIVERY.0;
            for m in messages {
                self.queue.push(at, Event::Reply(c, Reply::Message(m)));
            }
            if goes_on {
                self.sessions.insert(c, Arc::new(s));
            } else {
                self.queue.push(at, Event::Reply(c, Reply::End));
                self.sessions.remove(&c);
            }
        }
        any
    }

    /// Hands a request to a kubelet and answers with what comes of it.
    fn kubelet_call(&mut self, c: Conversation, call: &apiserver::KubeletCall, at: Instant) {
        let site = Arc::make_mut(&mut self.site);
        let begun = session::begin(site, call, self.now, self.setup.settings.epoch, &|node| {
            let nodes = self.api.resource("", "nodes").and_then(|r| self.api.store.get(r, "", node));
            nodes.map_or_else(String::new, |n| {
                n.at(&["status", "addresses", "0", "address"]).text().to_owned()
            })
        });
        match begun {
            Begun::Done(r) => {
                self.queue.push(at, Event::Reply(c, Reply::Head(Box::new(r))));
                self.queue.push(at, Event::Reply(c, Reply::End));
            }
            Begun::Open(head, mut session) => {
                session.since = at;
                self.queue.push(at, Event::Reply(c, Reply::Head(Box::new(head))));
                self.wake(Part::Host(session.host), at);
                self.sessions.insert(c, Arc::new(session));
            }
        }
    }

    /// A process talks to the API server.
    fn call(&mut self, host: usize, e: RpcEvent) {
        let c = (host, e.id);
        let Some(message) = e.message else {
            self.watches.remove(&c);
            if let Some(s) = self.sessions.remove(&c) {
                s.hang_up(Arc::make_mut(&mut self.site));
                self.wake(Part::Host(s.host), self.now);
            }
            return;
        };
        if let (Some(m), Some(s)) = (message.downcast_ref::<Message>(), self.sessions.get_mut(&c)) {
            let s = Arc::make_mut(s);
            s.hear(Arc::make_mut(&mut self.site), m);
            let part = Part::Host(s.host);
            self.wake(part, self.now);
            return;
        }
        let Some(req) = message.downcast_ref::<Request>() else { return };
        let (there, back) = (
            self.chance.between(REQUEST.0 / 2, REQUEST.1 / 2),
            self.chance.between(REQUEST.0 / 2, REQUEST.1 / 2),
        );
        let at = self.now + there;
        let text = format!("{} {}", req.method.as_str(), req.path);
        let cause = self.api.trace.add(Cause::NONE, at, "user", "request", &req.path, &text);
        let http = e.service == node::apifront::SERVICE;
        match self.api.handle(at, cause, req) {
            Outcome::Done(mut r) => {
                if http {
                    self.as_json(&mut r, apiserver::wants_pretty(req));
                }
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(r))));
                self.queue.push(at + back, Event::Reply(c, Reply::End));
            }
            Outcome::Watch(watch, head) => {
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(head))));
                if let Some(until) = watch.until {
                    self.queue.push(until, Event::Reply(c, Reply::End));
                }
                self.watches.insert(c, Arc::new(Open { watch, http }));
                self.wake(Part::Watch(c), at + back);
            }
            Outcome::Kubelet(call) => self.kubelet_call(c, &call, at + back),
        }
    }

    /// Turns an answer's object into the bytes that HTTP clients read.
    fn as_json(&self, r: &mut Response, pretty: bool) {
        if let Body::Object(v) = &r.body {
            let registry = &self.api.registry;
            let text = if pretty {
                apiserver::pretty_json(registry, v)
            } else {
                apiserver::raw_json(registry, v) + "\n"
            };
            r.body = Body::Bytes(text.into_bytes().into());
            if !r.headers.iter().any(|(k, _)| k == "content-type") {
                r.headers.push(("Content-Type".into(), "application/json".into()));
            }
        }
    }

    fn poll_watch(&mut self, c: Conversation) -> Option<Instant> {
        let open = Arc::make_mut(self.watches.get_mut(&c)?);
        let events = self.api.poll_wire(&mut open.watch, self.now);
        let next = self.api.next_commit(&open.watch);
        let broken = events.iter().any(|e| e.get("type").text() == "ERROR");
        let http = open.http;
        for e in events {
            let m = if http {
                let line = apiserver::raw_json(&self.api.registry, &e) + "\n";
                Message::Data(1, line.into_bytes().into())
            } else {
                Message::Event(e)
            };
            self.queue.push(self.now, Event::Reply(c, Reply::Message(m)));
        }
        if broken {
            self.queue.push(self.now, Event::Reply(c, Reply::End));
            self.watches.remove(&c);
        }
        next
    }

    fn reply(&mut self, host: usize, rpc: u64, reply: Reply) {
        if host == OUTSIDE {
            if let Some(heard) = self.outside.get_mut(&rpc) {
                heard.push(match reply {
                    Reply::Head(r) => Heard::Head(r),
                    Reply::Message(m) => Heard::Message(m),
                    Reply::End => Heard::End,
                });
            }
            return;
        }
        let Some(kernel) = self.kernel(host) else { return };
        let heard = match reply {
            Reply::Head(r) => kernel.rpc_push(rpc, Arc::new(*r)),
            Reply::Message(m) => kernel.rpc_push(rpc, Arc::new(m)),
            Reply::End => {
                kernel.rpc_end(rpc);
                self.watches.remove(&(host, rpc));
                true
            }
        };
        if !heard {
            self.watches.remove(&(host, rpc));
        }
    }

    /// Does what a person did, now, and keeps it in the log.
    pub fn command(&mut self, command: Command) {
        if self.log.len() >= Limits::TABLE.commands_max {
            return;
        }
        let at = self.now;
        self.log.push_back(Logged { at, after_events: self.events, command: command.clone() });
        self.queue.push(at, Event::Command(Arc::new(command)));
    }

    /// Lets time pass without running anything, up to the next event at most.
    pub fn rest_until(&mut self, at: Instant) {
        self.now = self.now.max(at);
    }

    /// Does a logged command at its place in history.
    pub fn replay(&mut self, l: &Logged) {
        while self.events < l.after_events && self.next_at().is_some_and(|at| at <= l.at) {
            self.step();
        }
        self.now = self.now.max(l.at);
        self.command(l.command.clone());
    }

    fn execute(&mut self, command: &Command) {
        let now = self.now;
        match command {
            Command::OpenTerminal { terminal, host, size } => self.open_terminal(*terminal, host, *size),
            Command::Type { terminal, keys } => self.on_terminal(*terminal, |k, tty| k.tty_input(tty, keys)),
            Command::Resize { terminal, size } => {
                self.on_terminal(*terminal, |k, tty| k.tty_resize(tty, *size))
            }
            Command::CloseTerminal { terminal } => {
                self.on_terminal(*terminal, |k, tty| k.tty_hangup(tty));
                self.terminals.remove(terminal);
            }
            Command::Run { job, line, stdin } => self.run_job(*job, line, stdin),
            Command::WriteFile { path, content } => self.write_file(path, content.as_bytes()),
            Command::SetPower { node, on } => match self.site.host_of(node) {
                Some(i) => self.set_power(i, *on),
                None => {
                    Arc::make_mut(&mut self.fakes).set_dead(node, !on, now);
                    self.wake(Part::Fakes, now);
                }
            },
            Command::SetCable { node, on } => {
                if let Some(i) = self.site.host_of(node) {
                    self.on_machine(i, |m, site_net, _, _| m.set_cable(site_net, *on));
                    self.set_online(i);
                }
            }
        }
    }

    /// Changes a machine, with the network, the sockets and the API server at hand.
    fn on_machine(&mut self, i: usize, f: impl FnOnce(&mut Machine, &mut Net, &mut SocketTable, &ApiServer)) {
        let site = Arc::make_mut(&mut self.site);
        if let Some(m) = site.machines.get_mut(i - 1) {
            f(Arc::make_mut(m), &mut site.net, &mut site.sockets, &self.api);
        }
        self.wake(Part::Host(i), self.now);
        self.wake(Part::Proxy(i), self.now);
    }

    fn set_power(&mut self, i: usize, on: bool) {
        self.on_machine(i, |m, net, sockets, _| {
            if m.on && !on {
                m.kubelet.power_off(net, sockets);
            }
            m.on = on;
            m.kubelet.online = false;
            m.set_carrier(net);
        });
        self.set_online(i);
    }

    /// A kubelet hears from the API server again once the machine has power and its cable.
    fn set_online(&mut self, i: usize) {
        let now = self.now;
        self.on_machine(i, |m, _, _, api| {
            let online = m.on && m.cable;
            if online && !m.kubelet.online {
                m.kubelet.power_on(api, now);
            }
            m.kubelet.online = online;
        });
    }

    fn open_terminal(&mut self, terminal: u32, host: &str, size: (u16, u16)) {
        let host = match host {
            "" => 0,
            name => match self.site.host_of(name) {
                Some(i) => i,
                None => return,
            },
        };
        let mut env = host::env(&self.setup);
        let cwd =
            if self.setup.cwd.is_empty() || host > 0 { "/root".to_owned() } else { self.setup.cwd.clone() };
        if host > 0 {
            env =
                [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")]
                    .into_iter()
                    .chain([("USER", "root"), ("TERM", "xterm-256color")])
                    .collect();
        }
        let site = Arc::make_mut(&mut self.site);
        let (kernel, space) = match host {
            0 => {
                let w = Arc::make_mut(&mut self.workstation);
                (&mut w.kernel, w.space)
            }
            i => match site.machines.get_mut(i - 1) {
                Some(m) => {
                    let m = Arc::make_mut(m);
                    (&mut m.kubelet.runtime.kernel, m.space)
                }
                None => return,
            },
        };
        let mut net = HostNetwork { net: &mut site.net, table: &mut site.sockets, host, cause: Cause::NONE };
        let tty = kernel.add_tty(size);
        let fds = (0..3).map(|fd| (fd, kernel.open_tty(tty))).collect();
        kernel.set_now(self.now);
        if let Ok(pid) = host::start(kernel, &mut net, space, &env, &cwd, &["sh", "-i"], fds, Some(tty)) {
            self.terminals.insert(terminal, Terminal { host, tty, pid });
        }
        self.wake(Part::Host(host), self.now);
    }

    fn on_terminal(&mut self, terminal: u32, f: impl FnOnce(&mut Kernel, TtyId)) {
        let Some(t) = self.terminals.get(&terminal).copied() else { return };
        if let Some(k) = self.kernel(t.host) {
            f(k, t.tty);
        }
        self.wake(Part::Host(t.host), self.now);
    }

    fn run_job(&mut self, job: u32, line: &str, stdin: &str) {
        let env = host::env(&self.setup);
        let cwd = if self.setup.cwd.is_empty() { "/root".to_owned() } else { self.setup.cwd.clone() };
        let now = self.now;
        let (h, mut net) = self.with_network();
        h.kernel.set_now(now);
        let (input, f0) = h.kernel.pipe_in();
        let (out, f1) = h.kernel.pipe_out();
        // Both streams are one pipe, so that they stay in order.
        let fds = vec![(0, f0), (1, f1), (2, f1)];
        let Ok(pid) =
            host::start(&mut h.kernel, &mut net, h.space, &env, &cwd, &["sh", "-c", line], fds, None)
        else {
            return;
        };
        let mut rest = stdin.as_bytes().to_vec();
        let n = h.kernel.feed(input, &rest);
        rest.drain(..n);
        if rest.is_empty() {
            h.kernel.feed_end(input);
        }
        self.jobs.insert(job, Arc::new(Job { pid, out, input, rest, output: Vec::new(), status: None }));
        self.wake(Part::Host(0), self.now);
    }

    fn collect_jobs(&mut self) {
        let kernel = &mut Arc::make_mut(&mut self.workstation).kernel;
        let mut ended = Vec::new();
        while let Some(e) = kernel.take_ended() {
            ended.push(e);
        }
        let mut again = false;
        let open: Vec<u32> = self.jobs.iter().filter(|(_, j)| j.status.is_none()).map(|(n, _)| *n).collect();
        for n in open {
            let Some(job) = self.jobs.get_mut(&n) else { continue };
            let j = Arc::make_mut(job);
            if !j.rest.is_empty() {
                let n = kernel.feed(j.input, &j.rest);
                j.rest.drain(..n);
                if j.rest.is_empty() || !kernel.has_reader(j.input) {
                    j.rest.clear();
                    kernel.feed_end(j.input);
                }
                again |= n > 0;
            }
            let new = kernel.drain(j.out);
            again |= !new.is_empty();
            j.output.extend(new);
            if let Some(e) = ended.iter().find(|e| e.pid == j.pid) {
                j.status = Some(e.status);
            }
        }
        for e in &ended {
            let closed = self.terminals.iter().find(|(_, t)| t.host == 0 && t.pid == e.pid).map(|(n, _)| *n);
            if let Some(n) = closed {
                self.terminals.remove(&n);
            }
        }
        if again {
            self.wake(Part::Host(0), self.now);
        }
    }

    fn write_file(&mut self, path: &str, content: &[u8]) {
        let h = Arc::make_mut(&mut self.workstation);
        host::write_file(&mut h.kernel, h.space, path, content);
    }

    /// A job number that is free.
    pub fn next_job(&self) -> u32 {
        self.jobs.get_max().map_or(1, |(n, _)| n + 1)
    }

    /// Puts a file into the workstation without a command, as tests do.
    pub fn put_file(&mut self, path: &str, content: &[u8]) {
        self.write_file(path, content);
    }

    /// Makes a namespace if it is not there, as tests do.
    pub fn ensure_namespace(&mut self, name: &str) {
        let now = self.now;
        self.api.seed_object(now, "namespaces", "", "v1", api::obj!({"metadata": {"name": name}}));
        self.spread_changes();
    }

    /// What a job wrote so far and its exit code once it ended.
    pub fn job(&self, job: u32) -> Option<(&[u8], Option<i32>)> {
        self.jobs.get(&job).map(|j| (j.output.as_slice(), j.status.map(shell::ExitStatus::code)))
    }

    /// Takes what a terminal has to show.
    pub fn take_terminal_output(&mut self, terminal: u32) -> Vec<u8> {
        let Some(t) = self.terminals.get(&terminal).copied() else { return Vec::new() };
        self.kernel(t.host).map(|k| k.tty_output(t.tty)).unwrap_or_default()
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

    /// Opens a conversation with a kubelet for a client outside of the world; [`Self::hear`] gives the answer's head first.
    pub fn open(&mut self, call: &apiserver::KubeletCall) -> u64 {
        let id = self.outside.get_max().map_or(1, |(n, _)| n + 1);
        self.outside.insert(id, Vec::new());
        self.kubelet_call((OUTSIDE, id), call, self.now);
        id
    }

    /// Says something in a conversation.
    pub fn say(&mut self, id: u64, message: &Message) {
        if let Some(s) = self.sessions.get_mut(&(OUTSIDE, id)) {
            let s = Arc::make_mut(s);
            s.hear(Arc::make_mut(&mut self.site), message);
            let part = Part::Host(s.host);
            self.wake(part, self.now);
        }
    }

    /// Takes what a conversation brought.
    pub fn hear(&mut self, id: u64) -> Vec<Heard> {
        self.outside.get_mut(&id).map(core::mem::take).unwrap_or_default()
    }

    /// Ends a conversation.
    pub fn hang_up(&mut self, id: u64) {
        self.outside.remove(&id);
        if let Some(s) = self.sessions.remove(&(OUTSIDE, id)) {
            s.hang_up(Arc::make_mut(&mut self.site));
            self.wake(Part::Host(s.host), self.now);
        }
    }

    /// Answers a request from outside, as the HTTP front does.
    pub fn request(&mut self, req: &Request) -> Outcome {
        let now = self.now;
        let text = format!("{} {}", req.method.as_str(), req.path);
        let cause = self.api.trace.add(Cause::NONE, now, "user", "request", &req.path, &text);
        let out = self.api.handle(now, cause, req);
        self.spread_changes();
        out
    }
}
