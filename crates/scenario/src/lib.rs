//! Scenarios: what it takes to have the same cluster again, and the links that carry it.
//!
//! A scenario is the engine's version, the seed, the kind of cluster, and the command log with its end. Opening one
//! replays the log; the state hash says whether the result is equal to the bit. A link is that, deflated, as text.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use cluster::{Logged, Setup, Timeline, World};
use core::fmt;
use serde::{Deserialize, Serialize};
use sim::{Digest, Duration, Instant, Limits, Seed};

/// The engine whose replays are equal. Rises with every change that shifts a history.
pub const ENGINE: u32 = 2;

/// Virtual time between checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// How far in virtual time a link may reach, a day.
const END_MAX: Instant = Instant::from_secs(86_400);

/// What it takes to have a cluster again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// See [`ENGINE`].
    pub engine: u32,
    /// Name for people, at most 80 characters.
    pub name: String,
    /// Seed.
    pub seed: Seed,
    /// Number of fake nodes; 0 is the default cluster with real kubelets.
    pub fake_nodes: u16,
    /// Whether the old API versions of books are served.
    pub book: bool,
    /// Commands in order.
    pub log: Vec<Logged>,
    /// Virtual time at which it was taken.
    pub end: Instant,
    /// Events run by then.
    pub events: u64,
    /// Digest of the history by then.
    pub history: Digest,
}

/// Why a link cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkError {
    /// Longer than a link may be.
    TooLong,
    /// Not the text of a link, or damaged on the way.
    Damaged,
    /// Made by another version of the engine.
    OtherEngine(u32),
    /// More commands or a later end than a link may have.
    TooMuch,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::TooLong => write!(
                f,
                "The link is longer than {} characters. Ask for it again, or open the scenario as a file.",
                Limits::TABLE.link_bytes_max
            ),
            LinkError::Damaged => f.write_str(
                "The link is not complete: it was cut or changed on its way. Copy it again from its source.",
            ),
            LinkError::OtherEngine(v) => write!(
                f,
                "The link was made by engine version {v}; this page runs version {ENGINE}, which would not give the same \
                 history. Open it with the page that made it, or start fresh here."
            ),
            LinkError::TooMuch => {
                f.write_str("The link asks for more than a scenario may hold. Nothing was changed.")
            }
        }
    }
}

impl std::error::Error for LinkError {}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            engine: ENGINE,
            name: "Two workers".into(),
            seed: Seed(1),
            fake_nodes: 0,
            book: true,
            log: Vec::new(),
            end: Instant::ZERO,
            events: 0,
            history: Digest::default(),
        }
    }
}

impl Scenario {
    /// Takes a world down as a scenario.
    pub fn of(world: &World, name: &str, fake_nodes: u16) -> Scenario {
        Scenario {
            engine: ENGINE,
            name: name.chars().take(80).collect(),
            seed: world.seed(),
            fake_nodes,
            book: world.api().settings.book_mode,
            log: world.log().iter().cloned().collect(),
            end: world.now(),
            events: world.event_count(),
            history: world.history(),
        }
    }

    /// A cluster at its very beginning.
    pub fn world(&self) -> World {
        let mut setup =
            if self.fake_nodes == 0 { Setup::default_cluster() } else { Setup::fake(self.fake_nodes.into()) };
        setup.settings.book_mode = self.book;
        World::new(self.seed, setup)
    }

    /// The cluster as it was taken down, by replay, and whether its history is equal.
    pub fn replay(&self) -> (Timeline, bool) {
        let mut t = Timeline::new(self.world(), CHECKPOINT_EVERY);
        for l in &self.log {
            t.replay(l);
        }
        t.run_to(self.end, self.events);
        let equal = self.log.is_empty() && self.events == 0 || t.world().history() == self.history;
        (t, equal)
    }

    /// The text of a link.
    pub fn to_link(&self) -> String {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        B64.encode(miniz_oxide::deflate::compress_to_vec(&bytes, 9))
    }

    /// Reads a link's text.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing of a bad link takes effect.
    pub fn from_link(text: &str) -> Result<Scenario, LinkError> {
        if text.len() > Limits::TABLE.link_bytes_max {
            return Err(LinkError::TooLong);
        }
        let packed = B64.decode(text.trim()).map_err(|_| LinkError::Damaged)?;
        let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(
            &packed,
            Limits::TABLE.link_inflated_bytes_max,
        )
        .map_err(|_| LinkError::Damaged)?;
        Scenario::from_bytes(&bytes)
    }

    /// Reads what is inside of a link.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Scenario, LinkError> {
        let (engine, _): (u32, &[u8]) = postcard::take_from_bytes(bytes).map_err(|_| LinkError::Damaged)?;
        if engine != ENGINE {
            return Err(LinkError::OtherEngine(engine));
        }
        let s: Scenario = postcard::from_bytes(bytes).map_err(|_| LinkError::Damaged)?;
        if s.log.len() > Limits::TABLE.commands_max || s.end > END_MAX || s.fake_nodes > 5000 {
            return Err(LinkError::TooMuch);
        }
        Ok(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Command;

    #[test]
    fn a_link_brings_the_same_history_back() {
        let mut t =
            Timeline::new(Scenario { fake_nodes: 3, ..Scenario::default() }.world(), CHECKPOINT_EVERY);
        t.run_until(Instant::from_millis(1500), usize::MAX);
        t.command(Command::OpenTerminal { terminal: 1, host: String::new(), size: (80, 24) });
        t.run_until(Instant::from_millis(2500), usize::MAX);
        t.command(Command::Type { terminal: 1, keys: b"echo hello\r".to_vec() });
        t.run_until(Instant::from_secs(12), usize::MAX);
        let s = Scenario::of(t.world(), "test", 3);
        let link = s.to_link();
        let back = Scenario::from_link(&link).unwrap();
        assert_eq!(back, s);
        let (again, equal) = back.replay();
        assert!(equal);
        assert_eq!(again.world().state_hash(), t.world().state_hash());
        // Going back and forth over the same log ends at the same place.
        let mut there = t.clone();
        let rest = there.go_to(Instant::from_secs(2));
        assert_eq!(rest.len(), 1);
        for l in &rest {
            there.replay(l);
        }
        there.run_to(s.end, s.events);
        assert_eq!(there.world().state_hash(), t.world().state_hash());
    }

    #[test]
    fn bad_links_are_refused() {
        assert_eq!(Scenario::from_link("%%%"), Err(LinkError::Damaged));
        assert_eq!(Scenario::from_link(&"A".repeat(1 << 20)), Err(LinkError::TooLong));
        let other = Scenario { engine: 99, ..Scenario::default() };
        assert_eq!(Scenario::from_link(&other.to_link()), Err(LinkError::OtherEngine(99)));
        // A bomb: a megabyte of zeros deflates to little.
        let bomb = B64.encode(miniz_oxide::deflate::compress_to_vec(&vec![0; 8 << 20], 9));
        assert_eq!(Scenario::from_link(&bomb), Err(LinkError::Damaged));
    }
}
