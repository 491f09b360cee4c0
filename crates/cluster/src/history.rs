//! Going back and branching: checkpoints and the command log.

use crate::command::{Command, Logged};
use crate::world::World;
use sim::persistent::Vector;
use sim::{Duration, Instant, Limits};

/// A world with its past. Checkpoints are clones: each costs what changed since the one before.
#[derive(Clone)]
pub struct Timeline {
    world: World,
    checkpoints: Vector<World>,
    every: Duration,
}

impl Timeline {
    /// Starts with a world, with a checkpoint each `every` of virtual time.
    pub fn new(world: World, every: Duration) -> Timeline {
        Timeline { checkpoints: Vector::unit(world.clone()), world, every }
    }

    /// The world as it is.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world for reading output; changing it otherwise would leave the log incomplete.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// Instants of the checkpoints, oldest first.
    pub fn checkpoints(&self) -> impl Iterator<Item = Instant> {
        self.checkpoints.iter().map(World::now)
    }

    fn checkpoint(&mut self) {
        let due = self.checkpoints.back().is_none_or(|c| self.world.now().since(c.now()) >= self.every);
        if due {
            self.checkpoints.push_back(self.world.clone());
            self.thin();
        }
    }

    /// Keeps the number of checkpoints bounded: every second one of the older half goes.
    fn thin(&mut self) {
        if self.checkpoints.len() <= Limits::TABLE.checkpoints_max {
            return;
        }
        let half = self.checkpoints.len() / 2;
        self.checkpoints = self
            .checkpoints
            .iter()
            .enumerate()
            .filter(|(i, _)| *i >= half || i % 2 == 0)
            .map(|(_, w)| w.clone())
            .collect();
    }

    /// Does what a person did, now.
    pub fn command(&mut self, c: Command) {
        self.world.command(c);
    }

    /// Runs up to an instant, with checkpoints on the way. At most `events_max` events; gives whether it got there.
    pub fn run_until(&mut self, until: Instant, events_max: usize) -> bool {
        let mut n = 0;
        while self.world.next_at().is_some_and(|at| at <= until) {
            if n >= events_max {
                return false;
            }
            self.world.step();
            n += 1;
            if n.is_multiple_of(64) {
                self.checkpoint();
            }
        }
        self.world.run_until(until);
        self.checkpoint();
        true
    }

    /// Does a logged command at its place in history, with checkpoints on the way.
    pub fn replay(&mut self, l: &Logged) {
        self.run_to(l.at, l.after_events);
        self.world.replay(l);
    }

    /// Runs to an instant and a number of events, as a log names them.
    pub fn run_to(&mut self, at: Instant, events: u64) {
        while self.world.event_count() < events && self.world.next_at().is_some_and(|next| next <= at) {
            self.world.step();
            self.checkpoint();
        }
        self.world.rest_until(at);
    }

    /// Runs one event.
    pub fn step(&mut self) -> bool {
        self.world.step()
    }

    /// Goes back (or forth, over commands that were logged) to an instant: the nearest checkpoint plus replay. Commands
    /// after it stay in `rest`, so that the caller can offer to do them again.
    pub fn go_to(&mut self, to: Instant) -> Vec<Logged> {
        let log: Vec<Logged> = self.world.log().iter().cloned().collect();
        while self.checkpoints.len() > 1 && self.checkpoints.back().is_some_and(|c| c.now() > to) {
            self.checkpoints.pop_back();
        }
        if let Some(c) = self.checkpoints.back() {
            self.world = c.clone();
        }
        let done = self.world.log().len();
        let mut rest = Vec::new();
        for l in log.into_iter().skip(done) {
            if l.at <= to && rest.is_empty() {
                self.world.replay(&l);
            } else {
                rest.push(l);
            }
        }
        self.world.run_until(to);
        rest
    }
}
