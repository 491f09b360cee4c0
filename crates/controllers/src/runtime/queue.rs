//! Work queues: each key once, with back-off for those that failed.

use api::SmolStr;
use sim::persistent::OrdMap;
use sim::{Cause, Duration, Instant};

/// Namespace and name of what is to be reconciled.
pub type Key = (SmolStr, SmolStr);

/// First delay after a failure, doubled with each further one. Models: `DefaultTypedControllerRateLimiter`.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_DOUBLINGS_MAX: u32 = 17;

/// Keys to be reconciled. A key waits once however often it is added; its earliest time counts.
#[derive(Clone, Debug, Default)]
pub struct WorkQueue {
    waiting: OrdMap<(Instant, u64), (Key, Cause)>,
    at: OrdMap<Key, (Instant, u64)>,
    failures: OrdMap<Key, u32>,
    seq: u64,
    now: Instant,
    cause: Cause,
}

impl WorkQueue {
    /// Sets the clock and the cause for what is added next.
    pub(crate) fn begin(&mut self, now: Instant, cause: Cause) {
        self.now = now;
        self.cause = cause;
    }

    /// Adds a key, due now.
    pub fn add(&mut self, key: Key) {
        self.add_at(key, self.now);
    }

    /// Adds a key, due after a while.
    pub fn add_after(&mut self, key: Key, d: Duration) {
        self.add_at(key, self.now + d);
    }

    /// Adds a key, due at an instant.
    pub fn add_at(&mut self, key: Key, at: Instant) {
        if let Some(old) = self.at.get(&key) {
            if old.0 <= at {
                return;
            }
            self.waiting.remove(old);
        }
        self.seq += 1;
        self.at.insert(key.clone(), (at, self.seq));
        self.waiting.insert((at, self.seq), (key, self.cause));
    }

    /// Adds a key that failed, with back-off.
    pub fn retry(&mut self, key: Key) {
        let n = self.failures.entry(key.clone()).or_insert(0);
        let delay = BACKOFF_MIN * 2u32.pow((*n).min(BACKOFF_DOUBLINGS_MAX));
        *n += 1;
        self.add_after(key, delay);
    }

    /// Forgets a key's failures.
    pub fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// How often a key failed in a row.
    pub fn failures(&self, key: &Key) -> u32 {
        self.failures.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Key, Cause)> {
        let first = *self.waiting.get_min()?.0;
        if first.0 > now {
            return None;
        }
        let (key, cause) = self.waiting.remove(&first)?;
        self.at.remove(&key);
        Some((key, cause))
    }

    /// When the next key is due, no earlier than `from`.
    pub(crate) fn next_at(&self, from: Instant) -> Option<Instant> {
        self.waiting.get_min().map(|((at, _), _)| (*at).max(from))
    }
}

#[cfg(test)]
#[test]
fn each_key_once_the_earliest_time_counts() {
    let mut q = WorkQueue::default();
    let key = |n: &str| -> Key { ("ns".into(), n.into()) };
    q.add_at(key("a"), Instant::from_secs(5));
    q.add_at(key("a"), Instant::from_secs(2));
    q.add_at(key("a"), Instant::from_secs(9));
    q.add_at(key("b"), Instant::from_secs(3));
    assert_eq!(q.pop(Instant::from_secs(1)), None);
    assert_eq!(q.pop(Instant::from_secs(4)).unwrap().0, key("a"));
    assert_eq!(q.pop(Instant::from_secs(4)).unwrap().0, key("b"));
    assert_eq!(q.pop(Instant::from_secs(99)), None);
    q.retry(key("a"));
    q.retry(key("a"));
    assert_eq!(q.failures(&key("a")), 2);
}
