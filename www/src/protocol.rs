//! Messages between the page and the worker.

use cluster::view::{Delta, Detail, Id};
use cluster::{Command, Logged};
use lesson::Lesson;
use serde::{Deserialize, Serialize};
use sim::Instant;

/// From the page to the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Starts a cluster.
    Start(From),
    /// Does something in the cluster.
    Do(Command),
    /// Moves the clock.
    Clock(Clock),
    /// Asks for something; the answer carries the same number.
    Ask(u32, Question),
    /// Follows a lesson, given as its YAML.
    Lesson(String, String),
    /// Leaves the lesson.
    NoLesson,
}

/// What a cluster starts from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum From {
    /// The default cluster.
    Fresh,
    /// Fake nodes for scale.
    Fake(u16),
    /// The text of a link.
    Link(String),
    /// What the page kept of a cluster whose worker died.
    Log {
        /// Number of fake nodes, 0 for the default cluster.
        fake_nodes: u16,
        /// Commands that did no harm.
        log: Vec<Logged>,
        /// How far it had come.
        end: Instant,
    },
}

/// What can be done with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Clock {
    /// Stops.
    Pause,
    /// Goes on.
    Run,
    /// Runs one event.
    Step,
    /// Virtual seconds a second.
    Speed(f64),
    /// Goes to an instant.
    GoTo(Instant),
}

/// What the page asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Question {
    /// All about an object.
    Detail(Id),
    /// A link with that name.
    Link(String),
    /// Checks a manifest without applying it.
    Lint(String),
    /// Packets traced lately.
    Packets,
}

/// A mark in the editor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// A hop of a packet.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct HopView {
    /// Network namespace.
    pub namespace: String,
    /// Where in it: device, hook, table and chain, route.
    pub place: String,
    /// Rule number and text, or what happened.
    pub text: String,
    /// What was rewritten, "" if nothing.
    pub rewrite: String,
    /// Whether the packet ended here.
    pub dropped: bool,
}

/// A traced packet.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct PacketView {
    /// Number.
    pub id: u64,
    /// Packets of one connection share this.
    pub flow: u64,
    /// When it was sent.
    pub at: Instant,
    /// `10.244.1.3:40312 → 10.96.0.20:80 TCP SYN`
    pub title: String,
    /// `delivered`, or why not.
    pub verdict: String,
    /// Its way.
    pub hops: Vec<HopView>,
}

/// Answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// All about an object.
    Detail(Box<Detail>),
    /// The text of a link.
    Link(String),
    /// What is wrong with a manifest.
    Lint(Vec<Mark>),
    /// Packets, newest first.
    Packets(Vec<PacketView>),
}

/// What a frame brings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Frame {
    /// Changes.
    pub delta: Delta,
    /// Whether the clock runs.
    pub running: bool,
    /// Virtual seconds a second.
    pub speed: f64,
    /// Whether the cluster could not keep up with the speed.
    pub behind: bool,
    /// Output of terminals.
    pub terminals: Vec<(u32, Vec<u8>)>,
    /// Instants of checkpoints.
    pub checkpoints: Vec<Instant>,
    /// Where `log` belongs in the log of commands; what the page knows beyond that is no longer so.
    pub log_from: usize,
    /// New commands of the log.
    pub log: Vec<Logged>,
    /// Which steps of the lesson are done.
    pub steps: Vec<bool>,
    /// Digest of the whole state, when the clock stands.
    pub state: String,
    /// Newest packet's number, to know when to ask again.
    pub packets: u64,
}

/// From the worker to the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// The program is there.
    Ready,
    /// The cluster has started.
    Started {
        /// Whether a link's history came out equal.
        equal: Option<bool>,
        /// Number of fake nodes, 0 for the default cluster.
        fake_nodes: u16,
    },
    /// News.
    Frame(Box<Frame>),
    /// An answer.
    Answer(u32, Answer),
    /// The lesson that was loaded.
    Lesson(Lesson),
    /// Something could not be done: what, why, and what to do instead.
    Refused(String),
}
