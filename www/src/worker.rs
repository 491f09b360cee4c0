//! The worker: owns the timeline, runs it for the frame's budget, sends what changed.

use crate::platform::{after, fetch_bytes, now_ms, post_from_worker, serve_worker};
use crate::protocol::{Answer, Clock, Frame, From, FromWorker, Mark, Question, ToWorker};
use api::yaml;
use cluster::{Command, Texts, Timeline};
use lesson::Lesson;
use scenario::Scenario;
use sim::{Duration, Instant};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// How long a frame may keep the worker busy, in milliseconds.
const BUDGET_MS: f64 = 12.0;
/// How often frames are made, in milliseconds.
const FRAME_MS: i32 = 16;
/// Events between looks at the clock.
const SLICE_EVENTS: usize = 64;
/// How long after the start the texts of fields are fetched, in milliseconds: nothing but `explain` needs them.
const TEXTS_MS: i32 = 3_000;

struct Host {
    timeline: Option<Timeline>,
    fake: u16,
    running: bool,
    speed: f64,
    /// Clock of the last frame.
    last_ms: f64,
    /// Virtual time that the clock wants.
    target: Instant,
    revision: u64,
    terminals: Vec<u32>,
    lesson: Option<Lesson>,
    done: Vec<bool>,
    behind: bool,
    /// Commands of the log that the page has.
    logged: usize,
    /// Output that replay brought, to be shown after the page has cleared its terminals.
    changed: bool,
    /// The texts of fields, once they are here; each world is given them, no world keeps them.
    texts: Option<Arc<Texts>>,
}

/// Starts the worker.
pub fn start() {
    console_error_panic_hook::set_once();
    let host = Rc::new(RefCell::new(Host {
        timeline: None,
        fake: 0,
        running: true,
        speed: 1.0,
        last_ms: now_ms(),
        target: Instant::ZERO,
        revision: 0,
        terminals: Vec::new(),
        lesson: None,
        done: Vec::new(),
        behind: false,
        logged: 0,
        changed: true,
        texts: None,
    }));
    let on_message = host.clone();
    serve_worker(move |m: ToWorker| on_message.borrow_mut().take(m));
    post_from_worker(&FromWorker::Ready);
    let reader = host.clone();
    after(TEXTS_MS, move || {
        fetch_bytes("texts.bin", move |b| reader.borrow_mut().texts = Texts::read(&b).map(Arc::new));
    });
    tick(host);
}

fn tick(host: Rc<RefCell<Host>>) {
    host.borrow_mut().frame();
    after(FRAME_MS, move || tick(host));
}

fn refuse(text: impl Into<String>) {
    post_from_worker(&FromWorker::Refused(text.into()));
}

impl Host {
    fn take(&mut self, m: ToWorker) {
        match m {
            ToWorker::Start(from) => self.begin(from),
            ToWorker::Do(c) => self.act(c),
            ToWorker::Clock(c) => self.clock(c),
            ToWorker::Ask(n, q) => {
                if let Some(a) = self.answer(q) {
                    post_from_worker(&FromWorker::Answer(n, a));
                }
            }
            ToWorker::Lesson(id, text) => match Lesson::parse(&id, &text) {
                Ok(l) => {
                    self.done = vec![false; l.steps.len()];
                    post_from_worker(&FromWorker::Lesson(l.clone()));
                    self.lesson = Some(l);
                }
                Err(e) => refuse(format!("The lesson cannot be read: {e}. Choose another one.")),
            },
            ToWorker::NoLesson => self.lesson = None,
        }
    }

    fn begin(&mut self, from: From) {
        let (scenario, linked) = match from {
            From::Fresh => (Scenario::default(), false),
            From::Fake(n) => (Scenario { fake_nodes: n.clamp(1, 5000), ..Scenario::default() }, false),
            From::Link(text) => match Scenario::from_link(&text) {
                Ok(s) => (s, true),
                Err(e) => {
                    refuse(e.to_string());
                    (Scenario::default(), false)
                }
            },
            From::Log { fake_nodes, log, end } => {
                (Scenario { fake_nodes, log, end, events: u64::MAX, ..Scenario::default() }, false)
            }
        };
        self.fake = scenario.fake_nodes;
        let (timeline, equal) = scenario.replay();
        self.terminals = timeline
            .world()
            .log()
            .iter()
            .filter_map(|l| match &l.command {
                Command::OpenTerminal { terminal, .. } => Some(*terminal),
                _ => None,
            })
            .collect();
        self.target = timeline.world().now();
        self.timeline = Some(timeline);
        self.revision = 0;
        self.last_ms = now_ms();
        self.changed = true;
        self.logged = 0;
        post_from_worker(&FromWorker::Started { equal: linked.then_some(equal), fake_nodes: self.fake });
    }

    fn act(&mut self, c: Command) {
        let Some(t) = &mut self.timeline else { return };
        if let Command::OpenTerminal { terminal, .. } = &c
            && !self.terminals.contains(terminal)
        {
            self.terminals.push(*terminal);
        }
        t.command(c);
        self.changed = true;
        if !self.running {
            // A key pressed while the clock stands is taken at once: only what is due at this very instant runs.
            let now = t.world().now();
            t.run_until(now, 10_000);
        }
    }

    fn clock(&mut self, c: Clock) {
        let Some(t) = &mut self.timeline else { return };
        match c {
            Clock::Pause => self.running = false,
            Clock::Run => {
                self.running = true;
                self.target = t.world().now();
                self.last_ms = now_ms();
            }
            Clock::Step => {
                self.running = false;
                t.step();
                self.target = t.world().now();
            }
            Clock::Speed(s) => self.speed = s.clamp(0.01, 1000.0),
            Clock::GoTo(at) => {
                t.go_to(at);
                self.logged = 0;
                self.running = false;
                self.target = t.world().now();
                self.revision = 0;
            }
        }
        self.changed = true;
    }

    fn frame(&mut self) {
        let now = now_ms();
        let passed = (now - self.last_ms).clamp(0.0, 250.0);
        self.last_ms = now;
        let Some(t) = &mut self.timeline else { return };
        if let Some(texts) = &self.texts {
            t.world_mut().set_texts(texts.clone());
        }
        if self.running {
            let step = Duration::from_nanos((passed * 1e6 * self.speed) as u64);
            self.target = self.target.max(t.world().now()) + step;
            let end = now + BUDGET_MS;
            let mut there = false;
            while !there && now_ms() < end {
                there = t.run_until(self.target, SLICE_EVENTS);
            }
            self.behind = !there;
            if !there {
                // What the budget did not allow is not owed.
                self.target = t.world().now();
            }
        }
        self.send();
    }

    fn send(&mut self) {
        let Some(t) = &mut self.timeline else { return };
        let mut terminals = Vec::new();
        for n in &self.terminals {
            let out = t.world_mut().take_terminal_output(*n);
            if !out.is_empty() {
                terminals.push((*n, out));
            }
        }
        let world = t.world();
        let delta = world.delta(self.revision);
        let quiet = delta.changed.is_empty() && delta.gone.is_empty() && delta.events.is_empty();
        if quiet && terminals.is_empty() && !self.running && !self.changed {
            return;
        }
        self.revision = delta.revision.max(1);
        if let Some(l) = &self.lesson {
            for (s, done) in l.steps.iter().zip(&mut self.done) {
                // A step once done stays done: the next one may undo what it made.
                *done = *done || s.check.holds(world);
            }
        }
        let state = if self.running { String::new() } else { world.state_hash().to_string() };
        let frame = Frame {
            running: self.running,
            speed: self.speed,
            behind: self.behind,
            terminals,
            checkpoints: t.checkpoints().collect(),
            log_from: self.logged,
            log: world.log().iter().skip(self.logged).cloned().collect(),
            steps: self.done.clone(),
            state,
            packets: world.packet_count(),
            delta,
        };
        self.logged = world.log().len();
        self.changed = false;
        post_from_worker(&FromWorker::Frame(Box::new(frame)));
    }

    fn answer(&self, q: Question) -> Option<Answer> {
        let t = self.timeline.as_ref()?;
        Some(match q {
            Question::Detail(id) => Answer::Detail(Box::new(t.world().detail(&id))),
            Question::Link(name) => Answer::Link(Scenario::of(t.world(), &name, self.fake).to_link()),
            Question::Lint(text) => Answer::Lint(lint(&text, t)),
            Question::Packets => Answer::Packets(packets(t)),
        })
    }
}

fn packets(t: &Timeline) -> Vec<crate::protocol::PacketView> {
    use crate::protocol::{HopView, PacketView};
    let view = |p: cluster::view::PacketView| PacketView {
        id: p.id,
        flow: p.flow,
        at: p.at,
        title: p.title,
        verdict: p.verdict,
        hops: p
            .hops
            .into_iter()
            .map(|h| HopView {
                namespace: h.namespace,
                place: h.place,
                text: h.text,
                rewrite: h.rewrite,
                dropped: h.dropped,
            })
            .collect(),
    };
    t.world().packets().into_iter().map(view).collect()
}

/// Marks of a manifest: what the YAML reader says, and what the API server would.
fn lint(text: &str, t: &Timeline) -> Vec<Mark> {
    let mut out = Vec::new();
    for d in yaml::documents(text) {
        let parsed = match yaml::parse_with_marks(d.text) {
            Ok(p) => p,
            Err(e) => {
                let message = e.to_string();
                let line = message
                    .split("line ")
                    .nth(1)
                    .and_then(|s| s.split(':').next())
                    .and_then(|s| s.parse().ok());
                out.push(Mark { line: d.line as usize + line.unwrap_or(1), message });
                continue;
            }
        };
        if parsed.value.is_null() {
            continue;
        }
        for (path, message) in t.world().check_manifest(&parsed.value) {
            let line = parsed.root.nearest(&path).key.map_or(0, |s| s.start.line);
            out.push(Mark { line: (d.line + line) as usize + 1, message });
        }
    }
    out
}
