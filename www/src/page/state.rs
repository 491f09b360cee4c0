//! What the page knows: the last frame's data, and what the person chose to look at.

use crate::platform::{self, Terminal, Worker};
use crate::protocol::{Answer, Clock, Frame, From, FromWorker, Mark, PacketView, Question, ToWorker};
use cluster::view::{Detail, EventView, Id, ObjectView, State};
use cluster::{Command, Logged};
use leptos::prelude::*;
use lesson::Lesson;
use sim::{Epoch, Instant};
use std::collections::BTreeMap;

/// Events kept for the lists.
const EVENTS_MAX: usize = 500;

/// What the stage shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Topology,
    Packets,
    Objects,
    Events,
}

/// The pane that a narrow screen shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pane {
    Lesson,
    Stage,
    Inspector,
    Dock,
}

impl Pane {
    pub fn name(self) -> &'static str {
        match self {
            Pane::Lesson => "lesson",
            Pane::Stage => "stage",
            Pane::Inspector => "inspector",
            Pane::Dock => "dock",
        }
    }
}

/// The clock as frames tell it.
#[derive(Clone, Default, PartialEq)]
pub struct ClockView {
    pub now: Instant,
    pub epoch_s: i64,
    pub running: bool,
    pub speed: f64,
    pub behind: bool,
    pub state: String,
    pub history: String,
    pub events: u64,
    pub checkpoints: Vec<Instant>,
    pub commands: Vec<Instant>,
}

/// A tab of the dock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Tab {
    /// Terminal number and host, "" for the workstation.
    Terminal(u32, String),
    /// The manifest editor.
    Editor,
}

/// All of the page's state. Copies share it.
#[derive(Clone, Copy)]
pub struct App {
    pub theme: RwSignal<String>,
    pub started: RwSignal<bool>,
    pub objects: RwSignal<BTreeMap<Id, ObjectView>>,
    pub events: RwSignal<Vec<EventView>>,
    pub clock_view: RwSignal<ClockView>,
    pub selected: RwSignal<Option<Id>>,
    pub detail: RwSignal<Option<Detail>>,
    pub packets: RwSignal<Vec<PacketView>>,
    pub packet: RwSignal<Option<u64>>,
    pub stage: RwSignal<Stage>,
    pub pane: RwSignal<Pane>,
    pub lesson_open: RwSignal<bool>,
    pub inspector_open: RwSignal<bool>,
    pub tabs: RwSignal<Vec<Tab>>,
    pub tab: RwSignal<usize>,
    pub notice: RwSignal<Option<String>>,
    pub help: RwSignal<bool>,
    pub lesson: RwSignal<Option<Lesson>>,
    pub steps: RwSignal<Vec<bool>>,
    pub text: RwSignal<String>,
    pub file: RwSignal<String>,
    pub marks: RwSignal<Vec<Mark>>,
    pub link: RwSignal<String>,
    worker: StoredValue<Option<Worker>, LocalStorage>,
    /// What waits for the cluster to start; `None` once it has.
    waiting: StoredValue<Option<Vec<ToWorker>>>,
    terminals: StoredValue<BTreeMap<u32, Terminal>, LocalStorage>,
    early: StoredValue<BTreeMap<u32, Vec<u8>>>,
    questions: StoredValue<u32>,
    packet_count: StoredValue<u64>,
    origin: StoredValue<From>,
    fake_nodes: StoredValue<u16>,
    log: StoredValue<Vec<Logged>>,
    log_end: StoredValue<Instant>,
    restarts: StoredValue<usize>,
}

/// Deaths of the worker, one soon after the other, before the page gives up.
const RESTARTS_MAX: usize = 4;
/// How long in virtual time a worker must live after a restart for the next death to count as a new one.
const HEALTHY: sim::Duration = sim::Duration::from_secs(10);

impl App {
    pub fn new(theme: String) -> App {
        let wide = platform::size_of("").0 >= 0.0;
        App {
            theme: RwSignal::new(theme),
            started: RwSignal::new(false),
            objects: RwSignal::new(BTreeMap::new()),
            events: RwSignal::new(Vec::new()),
            clock_view: RwSignal::new(ClockView { running: true, speed: 1.0, ..ClockView::default() }),
            selected: RwSignal::new(None),
            detail: RwSignal::new(None),
            packets: RwSignal::new(Vec::new()),
            packet: RwSignal::new(None),
            stage: RwSignal::new(Stage::Topology),
            pane: RwSignal::new(Pane::Stage),
            lesson_open: RwSignal::new(platform::stored("lesson-open").as_deref() != Some("no") && wide),
            inspector_open: RwSignal::new(false),
            tabs: RwSignal::new(vec![Tab::Terminal(1, String::new()), Tab::Editor]),
            tab: RwSignal::new(0),
            notice: RwSignal::new(None),
            help: RwSignal::new(false),
            lesson: RwSignal::new(None),
            steps: RwSignal::new(Vec::new()),
            text: RwSignal::new(
                platform::stored("manifest").unwrap_or_else(|| super::editor::EXAMPLE.to_owned()),
            ),
            file: RwSignal::new("kubia.yaml".to_owned()),
            marks: RwSignal::new(Vec::new()),
            link: RwSignal::new(String::new()),
            worker: StoredValue::new_local(None),
            waiting: StoredValue::new(Some(Vec::new())),
            terminals: StoredValue::new_local(BTreeMap::new()),
            early: StoredValue::new(BTreeMap::new()),
            questions: StoredValue::new(0),
            packet_count: StoredValue::new(0),
            origin: StoredValue::new(From::Fresh),
            fake_nodes: StoredValue::new(0),
            log: StoredValue::new(Vec::new()),
            log_end: StoredValue::new(Instant::ZERO),
            restarts: StoredValue::new(0),
        }
    }

    /// The page's state from anywhere in it.
    pub fn get() -> App {
        expect_context::<App>()
    }

    /// Starts the worker and, once it is there, the cluster.
    pub fn connect(self, from: From) {
        self.origin.set_value(from.clone());
        self.launch(from);
    }

    fn launch(self, from: From) {
        let start = ToWorker::Start(from);
        let worker = Worker::start(
            move |m: FromWorker| match m {
                FromWorker::Ready => self.send(&start),
                other => self.take(other),
            },
            move |why| self.worker_died(&why),
        );
        if worker.is_none() {
            self.notice.set(Some(
                "This browser cannot run the cluster: it has no module workers. Use a current one.".into(),
            ));
        }
        self.worker.set_value(worker);
    }

    /// A worker that dies is started again: the log up to the last frame is replayed, which a command that killed it is
    /// not part of. Where it dies again at once, one more command is left out each time.
    fn worker_died(self, why: &str) {
        let before = self.restarts.get_value();
        self.restarts.set_value(before + 1);
        self.waiting.set_value(Some(Vec::new()));
        if let Some(w) = self.worker.get_value() {
            w.terminate();
        }
        if before >= RESTARTS_MAX {
            self.notice.set(Some(format!(
                "The cluster stopped again and again ({why}). Reload the page to begin anew."
            )));
            return;
        }
        let end = self.log_end.get_value();
        let mut log = self.log.get_value();
        log.truncate(log.len().saturating_sub(before));
        let n = log.len();
        let (from, text) = if end > Instant::ZERO {
            let end = if before == 0 { end } else { log.last().map_or(Instant::ZERO, |l| l.at) };
            let left_out = match before {
                0 => "what was typed in its last moment is lost".to_owned(),
                k => format!("the last {k} commands were left out"),
            };
            let fake_nodes = self.fake_nodes.get_value();
            let from = From::Log { fake_nodes, log: log.clone(), end };
            (
                from,
                format!("The cluster stopped ({why}). It is here again, {n} commands replayed; {left_out}."),
            )
        } else if before == 0 {
            (self.origin.get_value(), format!("The cluster could not start ({why}). Trying once more."))
        } else {
            (From::Fresh, format!("The cluster could not start ({why}). This is a fresh one."))
        };
        self.log.set_value(log);
        self.terminals.with_value(|all| all.values().for_each(Terminal::clear));
        self.notice.set(Some(text));
        self.launch(from);
    }

    /// Terminals whose opening is not in the log that was replayed are opened anew.
    fn reopen_terminals(self) {
        let opened = |n: u32| {
            let is =
                |l: &Logged| matches!(&l.command, Command::OpenTerminal { terminal, .. } if *terminal == n);
            self.log.with_value(|log| log.iter().any(is))
        };
        for tab in self.tabs.get_untracked() {
            if let Tab::Terminal(n, host) = tab
                && self.has_terminal(n)
                && !opened(n)
            {
                self.act(Command::OpenTerminal { terminal: n, host, size: (100, 24) });
                self.with_terminal(n, Terminal::fit);
            }
        }
    }

    /// Sends a message, or keeps it until the cluster has started.
    pub fn post(self, m: &ToWorker) {
        let kept = self.waiting.try_update_value(|w| w.as_mut().map(|w| w.push(m.clone())).is_some());
        if kept != Some(true) {
            self.send(m);
        }
    }

    fn send(self, m: &ToWorker) {
        if let Some(w) = self.worker.get_value() {
            w.post(m);
        }
    }

    pub fn act(self, c: Command) {
        self.post(&ToWorker::Do(c));
    }

    pub fn clock(self, c: Clock) {
        self.post(&ToWorker::Clock(c));
    }

    pub fn toggle_clock(self) {
        let running = self.clock_view.with_untracked(|c| c.running);
        self.clock(if running { Clock::Pause } else { Clock::Run });
    }

    pub fn back(self, seconds: u64) {
        let now = self.clock_view.with_untracked(|c| c.now);
        self.clock(Clock::GoTo(now - sim::Duration::from_secs(seconds)));
    }

    pub fn ask(self, q: Question) {
        let n = self.questions.get_value() + 1;
        self.questions.set_value(n);
        self.post(&ToWorker::Ask(n, q));
    }

    pub fn select(self, id: Option<Id>) {
        if let Some(id) = &id {
            self.inspector_open.set(true);
            self.ask(Question::Detail(id.clone()));
        } else {
            self.detail.set(None);
        }
        self.selected.set(id);
    }

    fn take(self, m: FromWorker) {
        match m {
            FromWorker::Ready => {}
            FromWorker::Started { equal, fake_nodes } => {
                self.started.set(true);
                self.fake_nodes.set_value(fake_nodes);
                let waiting = self.waiting.try_update_value(Option::take).flatten().unwrap_or_default();
                if self.restarts.get_value() > 0 {
                    self.reopen_terminals();
                }
                waiting.iter().for_each(|m| self.send(m));
                match equal {
                    Some(true) => self.notice.set(Some("The link's cluster is here, equal to the bit.".into())),
                    Some(false) => self.notice.set(Some(
                        "The link's commands were replayed, but the history came out different. What you see may not be \
                         what was shared."
                            .into(),
                    )),
                    None => {}
                }
                super::dock::open_first(self);
            }
            FromWorker::Frame(f) => self.frame(*f),
            FromWorker::Answer(_, a) => match a {
                Answer::Detail(d) => self.detail.set(Some(*d)),
                Answer::Link(text) => super::header::offer_link(self, &text),
                Answer::Lint(m) => self.marks.set(m),
                Answer::Packets(p) => self.packets.set(p),
            },
            FromWorker::Lesson(l) => {
                self.steps.set(vec![false; l.steps.len()]);
                self.lesson.set(Some(l));
            }
            FromWorker::Refused(text) => self.notice.set(Some(text)),
        }
    }

    fn frame(self, f: Frame) {
        let d = f.delta;
        if self.restarts.get_value() > 0 && d.now.since(self.log_end.get_value()) > HEALTHY {
            self.restarts.set_value(0);
        }
        self.log.update_value(|log| {
            log.truncate(f.log_from);
            log.extend(f.log);
        });
        if self.restarts.get_value() == 0 {
            self.log_end.set_value(d.now);
        }
        if d.full {
            self.objects.set(d.changed.iter().cloned().map(|o| (o.id.clone(), o)).collect());
            self.events.set(Vec::new());
        } else if !d.changed.is_empty() || !d.gone.is_empty() {
            self.objects.update(|all| {
                for id in &d.gone {
                    all.remove(id);
                }
                for o in &d.changed {
                    all.insert(o.id.clone(), o.clone());
                }
            });
        }
        if !d.events.is_empty() {
            self.events.update(|all| {
                for e in d.events {
                    all.retain(|x| x.name != e.name || x.namespace != e.namespace);
                    all.push(e);
                }
                let surplus = all.len().saturating_sub(EVENTS_MAX);
                all.drain(..surplus);
            });
        }
        for (n, bytes) in f.terminals {
            self.show_output(n, &bytes);
        }
        if !f.steps.is_empty() && self.steps.with_untracked(|s| *s != f.steps) {
            self.steps.set(f.steps);
        }
        if f.packets != self.packet_count.get_value() {
            self.packet_count.set_value(f.packets);
            if self.stage.get_untracked() == Stage::Packets {
                self.ask(Question::Packets);
            }
        }
        let touched = self.selected.with_untracked(|s| {
            s.as_ref()
                .is_some_and(|id| d.full || d.gone.contains(id) || d.changed.iter().any(|o| o.id == *id))
        });
        if touched && let Some(id) = self.selected.get_untracked() {
            self.ask(Question::Detail(id));
        }
        self.clock_view.set(ClockView {
            now: d.now,
            epoch_s: d.epoch_s,
            running: f.running,
            speed: f.speed,
            behind: f.behind,
            state: f.state,
            history: d.history,
            events: d.event_count,
            checkpoints: f.checkpoints,
            commands: self.log.with_value(|log| log.iter().map(|l| l.at).collect()),
        });
    }

    /// Keeps what a terminal shows until its element is there.
    fn show_output(self, n: u32, bytes: &[u8]) {
        let shown = self.terminals.with_value(|t| t.get(&n).map(|t| t.write(bytes)).is_some());
        if !shown {
            self.early.update_value(|e| e.entry(n).or_default().extend_from_slice(bytes));
        }
    }

    pub fn add_terminal(self, n: u32, t: Terminal) {
        if let Some(bytes) = self.early.try_update_value(|e| e.remove(&n)).flatten() {
            t.write(&bytes);
        }
        self.terminals.update_value(|all| {
            all.insert(n, t);
        });
    }

    pub fn with_terminal(self, n: u32, f: impl Fn(&Terminal)) {
        self.terminals.with_value(|t| {
            if let Some(t) = t.get(&n) {
                f(t);
            }
        });
    }

    pub fn has_terminal(self, n: u32) -> bool {
        self.terminals.with_value(|t| t.contains_key(&n))
    }

    /// `3 nodes · 12 pods, 11 running`
    pub fn summary(self) -> String {
        self.objects.with(|all| {
            let count = |k: &str| all.values().filter(|o| o.kind == k).count();
            let running = all.values().filter(|o| o.kind == "Pod" && o.state == State::Running).count();
            format!("{} nodes · {} pods, {running} running", count("Node"), count("Pod"))
        })
    }

    /// An object's age.
    pub fn age(self, created_s: i64) -> String {
        let (now, epoch) = self.clock_view.with(|c| (c.now, c.epoch_s));
        let s = (epoch + now.secs() as i64 - created_s).max(0);
        api::duration::human(s * 1_000_000_000)
    }

    /// `12:04:31.250`
    pub fn time_of(self, at: Instant) -> String {
        let c = Epoch(self.clock_view.with_untracked(|c| c.epoch_s)).civil(at);
        format!("{:02}:{:02}:{:02}.{:03}", c.hour, c.minute, c.second, c.nanos / 1_000_000)
    }
}
