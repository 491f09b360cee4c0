//! The world: all components, one event queue.

use crate::command::{Command, Logged};
use crate::host::{self, Job, Terminals};
use crate::streams::{Conversation, Open, Reply};
use api::wire::{Message, Request, Response};
use apiserver::{ApiServer, Outcome, ResId, Settings};
use controllers::Manager;
use controllers::runtime::Kinds;
use imbl::{OrdMap, Vector};
use node::fake::{FakeKubelets, FakeNode};
use scheduler::Scheduler;
use shell::kernel::{Kernel, NoNetwork, RpcEvent, SpaceId};
use sim::{Cause, Digest, Duration, Hasher, Instant, Limits, Queue, Seed, Stream};
use std::sync::Arc;

/// How long a watch event takes to its reader.
const DELIVERY: (Duration, Duration) = (Duration::from_micros(800), Duration::from_micros(3_000));
/// How long a user's request takes to the server and back.
const REQUEST: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(9));

/// What a world begins with. Part of the scenario.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The server's settings.
    pub settings: Settings,
    /// Fake nodes.
    pub fakes: Vec<FakeNode>,
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
        Setup::fake(3)
    }
}

/// A part of the world that takes turns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Manager,
    Scheduler,
    Fakes,
    Host(usize),
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
    hosts: Vector<Arc<HostState>>,
    watches: OrdMap<Conversation, Arc<Open>>,
    terminals: Terminals,
    jobs: OrdMap<u32, Arc<Job>>,
    log: Vector<Logged>,
    chance: Stream,
    history: Digest,
    events: u64,
}

impl World {
    /// A new cluster. Its control plane is up; nodes and controllers begin their work with time.
    pub fn new(seed: Seed, setup: Setup) -> World {
        let now = Instant::ZERO;
        let mut api = ApiServer::new(seed, setup.settings.clone());
        api.bootstrap(now);
        let fakes = FakeKubelets::new(seed, &mut api, now, setup.fakes.clone());
        let kinds = Kinds::new(&api.registry);
        let manager = Manager::new(seed, &api, controllers::all(&kinds));
        let scheduler = Scheduler::new(seed, &api, "control-plane");
        let (kernel, space) = host::workstation(seed, &setup, 0);
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
            hosts: Vector::unit(Arc::new(HostState { kernel, space })),
            watches: OrdMap::new(),
            terminals: Terminals::new(),
            jobs: OrdMap::new(),
            log: Vector::new(),
            chance: seed.stream("world"),
            history: Digest::default(),
            events: 0,
        };
        for part in [Part::Manager, Part::Scheduler, Part::Fakes] {
            w.wake(part, now);
        }
        w
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
                self.wake(Part::Host(host), self.now);
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
        let next = match part {
            Part::Manager => Arc::make_mut(&mut self.manager).run(now, &mut self.api),
            Part::Scheduler => Arc::make_mut(&mut self.scheduler).run(now, &mut self.api),
            Part::Fakes if self.fakes.is_empty() => None,
            Part::Fakes => Arc::make_mut(&mut self.fakes).run(now, &mut self.api),
            Part::Host(i) => self.run_host(i),
            Part::Watch(c) => self.poll_watch(c),
        };
        if let Some(at) = next {
            // A part that wants to run at this very instant again still lets the others have theirs.
            self.wake(part, at);
        }
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
        for (c, open) in &self.watches {
            if self.api.registry.get(open.watch.res).storage == res {
                out.push(Part::Watch(*c));
            }
        }
        out
    }

    fn run_host(&mut self, i: usize) -> Option<Instant> {
        let now = self.now;
        let host = Arc::make_mut(self.hosts.get_mut(i)?);
        let more = host.kernel.run(now, &mut NoNetwork);
        let mut calls: Vec<RpcEvent> = Vec::new();
        while let Some(e) = host.kernel.take_rpc() {
            calls.push(e);
        }
        let next = if more { Some(now) } else { host.kernel.next_at() };
        for e in calls {
            self.call(i, e);
        }
        self.collect_jobs(i);
        next
    }

    /// A process talks to the API server.
    fn call(&mut self, host: usize, e: RpcEvent) {
        let c = (host, e.id);
        let Some(message) = e.message else {
            self.watches.remove(&c);
            return;
        };
        let Some(req) = message.downcast_ref::<Request>() else { return };
        let (there, back) = (
            self.chance.between(REQUEST.0 / 2, REQUEST.1 / 2),
            self.chance.between(REQUEST.0 / 2, REQUEST.1 / 2),
        );
        let at = self.now + there;
        let text = format!("{} {}", req.method.as_str(), req.path);
        let cause = self.api.trace.add(Cause::NONE, at, "user", "request", &req.path, &text);
        match self.api.handle(at, cause, req) {
            Outcome::Done(r) => {
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(r))));
                self.queue.push(at + back, Event::Reply(c, Reply::End));
            }
            Outcome::Watch(watch, head) => {
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(head))));
                if let Some(until) = watch.until {
                    self.queue.push(until, Event::Reply(c, Reply::End));
                }
                self.watches.insert(c, Arc::new(Open { watch, cause }));
                self.wake(Part::Watch(c), at + back);
            }
            Outcome::Kubelet(_) => {
                let s = apiserver::Status::internal("no kubelet answers for this node");
                let r = Response::object(500, s.to_value());
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(r))));
                self.queue.push(at + back, Event::Reply(c, Reply::End));
            }
        }
    }

    fn poll_watch(&mut self, c: Conversation) -> Option<Instant> {
        let open = Arc::make_mut(self.watches.get_mut(&c)?);
        let events = self.api.poll_wire(&mut open.watch, self.now);
        let next = self.api.next_commit(&open.watch);
        let broken = events.iter().any(|e| e.get("type").text() == "ERROR");
        for e in events {
            self.queue.push(self.now, Event::Reply(c, Reply::Message(Message::Event(e))));
        }
        if broken {
            self.queue.push(self.now, Event::Reply(c, Reply::End));
            self.watches.remove(&c);
        }
        next
    }

    fn reply(&mut self, host: usize, rpc: u64, reply: Reply) {
        let Some(h) = self.hosts.get_mut(host) else { return };
        let kernel = &mut Arc::make_mut(h).kernel;
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
        match command {
            Command::OpenTerminal { terminal, size, .. } => {
                let env = host::env(&self.setup);
                let Some(h) = self.hosts.get_mut(0) else { return };
                let h = Arc::make_mut(h);
                let tty = h.kernel.add_tty(*size);
                let fds = (0..3).map(|fd| (fd, h.kernel.open_tty(tty))).collect();
                let cwd = if self.setup.cwd.is_empty() { "/root" } else { &self.setup.cwd };
                h.kernel.set_now(self.now);
                let pid = host::start(
                    &mut h.kernel,
                    &mut NoNetwork,
                    h.space,
                    &env,
                    cwd,
                    &["sh", "-i"],
                    fds,
                    Some(tty),
                );
                if let Ok(pid) = pid {
                    self.terminals.insert(*terminal, (tty, pid));
                }
                self.wake(Part::Host(0), self.now);
            }
            Command::Type { terminal, keys } => {
                if let (Some((tty, _)), Some(h)) =
                    (self.terminals.get(terminal).copied(), self.hosts.get_mut(0))
                {
                    Arc::make_mut(h).kernel.tty_input(tty, keys);
                    self.wake(Part::Host(0), self.now);
                }
            }
            Command::Resize { terminal, size } => {
                if let (Some((tty, _)), Some(h)) =
                    (self.terminals.get(terminal).copied(), self.hosts.get_mut(0))
                {
                    Arc::make_mut(h).kernel.tty_resize(tty, *size);
                    self.wake(Part::Host(0), self.now);
                }
            }
            Command::CloseTerminal { terminal } => {
                if let (Some((tty, _)), Some(h)) = (self.terminals.remove(terminal), self.hosts.get_mut(0)) {
                    Arc::make_mut(h).kernel.tty_hangup(tty);
                    self.wake(Part::Host(0), self.now);
                }
            }
            Command::Run { job, line, stdin } => self.run_job(*job, line, stdin),
            Command::WriteFile { path, content } => self.write_file(path, content.as_bytes()),
            Command::SetPower { node, on } => {
                let now = self.now;
                Arc::make_mut(&mut self.fakes).set_dead(node, !on, now);
                self.wake(Part::Fakes, now);
            }
            Command::SetCable { .. } => {}
        }
    }

    fn run_job(&mut self, job: u32, line: &str, stdin: &str) {
        let env = host::env(&self.setup);
        let cwd = if self.setup.cwd.is_empty() { "/root".to_owned() } else { self.setup.cwd.clone() };
        let Some(h) = self.hosts.get_mut(0) else { return };
        let h = Arc::make_mut(h);
        h.kernel.set_now(self.now);
        let (input, f0) = h.kernel.pipe_in();
        let (out, f1) = h.kernel.pipe_out();
        // Both streams are one pipe, so that they stay in order.
        let fds = vec![(0, f0), (1, f1), (2, f1)];
        let Ok(pid) =
            host::start(&mut h.kernel, &mut NoNetwork, h.space, &env, &cwd, &["sh", "-c", line], fds, None)
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

    fn collect_jobs(&mut self, i: usize) {
        if i != 0 {
            return;
        }
        let Some(h) = self.hosts.get_mut(0) else { return };
        let kernel = &mut Arc::make_mut(h).kernel;
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
            let closed = self.terminals.iter().find(|(_, (_, pid))| *pid == e.pid).map(|(n, _)| *n);
            if let Some(n) = closed {
                self.terminals.remove(&n);
            }
        }
        if again {
            self.wake(Part::Host(0), self.now);
        }
    }

    fn write_file(&mut self, path: &str, content: &[u8]) {
        let Some(h) = self.hosts.get_mut(0) else { return };
        let h = Arc::make_mut(h);
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
        match (self.terminals.get(&terminal).copied(), self.hosts.get_mut(0)) {
            (Some((tty, _)), Some(h)) => Arc::make_mut(h).kernel.tty_output(tty),
            _ => Vec::new(),
        }
    }

    /// Number of the newest traced packet.
    pub fn packet_count(&self) -> u64 {
        0
    }

    /// Traced packets, newest first.
    pub fn packets(&self) -> Vec<crate::view::PacketView> {
        Vec::new()
    }

    /// Whether all nodes are Ready.
    pub fn nodes_ready(&self) -> bool {
        let Some(res) = self.api.resource("", "nodes") else { return false };
        let mut nodes = self.api.store.list(res, None, None).map(|(_, n)| n).peekable();
        nodes.peek().is_some() && nodes.all(|n| n.condition("Ready").get("status").text() == "True")
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
