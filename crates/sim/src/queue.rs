//! The event queue: ordered by time, then by the order of insertion.

use crate::Instant;
use crate::persistent::OrdMap;

/// Events to come, each at an instant; equal instants keep the order of insertion. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Queue<E: Clone> {
    events: OrdMap<(Instant, u64), E>,
    seq: u64,
}

impl<E: Clone> Default for Queue<E> {
    fn default() -> Self {
        Queue { events: OrdMap::new(), seq: 0 }
    }
}

impl<E: Clone> Queue<E> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event and gives the sequence number that, with its instant, names it.
    pub fn push(&mut self, at: Instant, event: E) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        self.events.insert((at, seq), event);
        seq
    }

    /// Takes back an event that has not been popped yet.
    pub fn cancel(&mut self, at: Instant, seq: u64) -> Option<E> {
        self.events.remove(&(at, seq))
    }

    /// The instant of the next event.
    pub fn next_at(&self) -> Option<Instant> {
        self.events.get_min().map(|((at, _), _)| *at)
    }

    /// Takes the next event with its instant and sequence number.
    pub fn pop(&mut self) -> Option<(Instant, u64, E)> {
        let key = *self.events.get_min().map(|(k, _)| k)?;
        let event = self.events.remove(&key)?;
        let (at, seq) = key;
        Some((at, seq, event))
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The waiting events in the order in which they will come.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &E)> {
        self.events.iter().map(|((at, _), e)| (*at, e))
    }
}
