//! The scheduling queue: what to try next, what waits out its back-off, what waits for the cluster to change.
//!
//! Models: the active, back-off and unschedulable queues of kube-scheduler. Any change of nodes, assigned pods or
//! volumes moves all unschedulable pods; upstream's per-plugin hints are finer.

use api::SmolStr;
use sim::persistent::OrdMap;
use sim::{Duration, Instant};

const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Unschedulable pods are tried again after this even if nothing changed.
const STALE: Duration = Duration::from_secs(300);

/// Namespace and name.
pub type Key = (SmolStr, SmolStr);

#[derive(Clone, Debug)]
struct Waiting {
    priority: i64,
    /// When it was first added: older first among equal priorities.
    since: Instant,
    attempts: u32,
    /// When its last attempt ended.
    tried: Instant,
}

/// The queue. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    pods: OrdMap<Key, Waiting>,
    active: OrdMap<(i64, Instant, Key), ()>,
    backoff: OrdMap<(Instant, Key), ()>,
    unschedulable: OrdMap<Key, ()>,
    /// A change came while an attempt ran: its pod goes to back-off instead of waiting for the next change.
    pub moved_at: Instant,
}

impl Queue {
    pub(crate) fn add(&mut self, key: Key, priority: i64, now: Instant) {
        if self.pods.contains_key(&key) {
            return;
        }
        self.pods.insert(key.clone(), Waiting { priority, since: now, attempts: 0, tried: Instant::ZERO });
        self.active.insert((-priority, now, key), ());
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(w) = self.pods.remove(key) {
            self.active.remove(&(-w.priority, w.since, key.clone()));
            self.backoff.remove(&(Self::until(&w), key.clone()));
            self.unschedulable.remove(key);
        }
    }

    fn until(w: &Waiting) -> Instant {
        let d = (0..w.attempts.saturating_sub(1).min(8)).fold(BACKOFF_MIN, |d, _| (d * 2).min(BACKOFF_MAX));
        w.tried + d
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.pods.contains_key(key)
    }

    /// Takes the pod to try next; it stays known until it is removed or put back.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        while let Some(((at, key), ())) = self.backoff.get_min().map(|(k, v)| (k.clone(), *v)) {
            if at > now {
                break;
            }
            self.backoff.remove(&(at, key.clone()));
            if let Some(w) = self.pods.get(&key) {
                self.active.insert((-w.priority, w.since, key), ());
            }
        }
        let first = self.active.get_min().map(|(k, ())| k.clone())?;
        self.active.remove(&first);
        let key = first.2;
        if let Some(w) = self.pods.get_mut(&key) {
            w.attempts += 1;
            w.tried = now;
        }
        Some(key)
    }

    /// Puts a pod back that fits nowhere; `began` is when its attempt began.
    pub(crate) fn put_back(&mut self, key: &Key, began: Instant, now: Instant) {
        let moved = self.moved_at > began;
        if let Some(w) = self.pods.get_mut(key) {
            w.tried = now;
            if moved {
                let at = Self::until(w);
                self.backoff.insert((at, key.clone()), ());
            } else {
                self.unschedulable.insert(key.clone(), ());
            }
        }
    }

    /// Moves unschedulable pods on: the cluster changed.
    pub(crate) fn move_all(&mut self, now: Instant) {
        self.moved_at = now;
        for (key, ()) in core::mem::take(&mut self.unschedulable) {
            if let Some(w) = self.pods.get(&key) {
                self.backoff.insert((Self::until(w), key), ());
            }
        }
    }

    /// Moves one pod on: what it waits for changed.
    pub(crate) fn move_one(&mut self, key: &Key, now: Instant) {
        if self.unschedulable.remove(key).is_some()
            && let Some(w) = self.pods.get(key)
        {
            self.backoff.insert((Self::until(w), key.clone()), ());
        } else if self.pods.contains_key(key) {
            self.moved_at = now;
        }
    }

    /// Moves those that waited very long.
    pub(crate) fn flush_stale(&mut self, now: Instant) {
        let stale: Vec<Key> = self
            .unschedulable
            .keys()
            .filter(|k| self.pods.get(*k).is_some_and(|w| now.since(w.tried) > STALE))
            .cloned()
            .collect();
        for key in stale {
            self.unschedulable.remove(&key);
            if let Some(w) = self.pods.get(&key) {
                self.backoff.insert((Self::until(w), key), ());
            }
        }
    }

    /// When there is something to do.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        if !self.active.is_empty() {
            return Some(now);
        }
        let backoff = self.backoff.get_min().map(|((at, _), ())| *at);
        let stale = self
            .unschedulable
            .keys()
            .filter_map(|k| self.pods.get(k))
            .map(|w| w.tried + STALE + Duration::from_secs(1))
            .min();
        match (backoff, stale) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
