//! Expectations: what an owner's cache has yet to show before its controller acts again.

use super::{Key, Seen};
use api::SmolStr;
use sim::persistent::{OrdMap, OrdSet};
use sim::{Duration, Instant};

/// Expectations that are not met are dropped after this. Models: `ExpectationsTimeout`.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default)]
struct Expected {
    creations: OrdSet<SmolStr>,
    deletions: OrdSet<SmolStr>,
    since: Instant,
}

/// Pods, by uid, whose creation or deletion the cache has yet to show; by owner.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    all: OrdMap<Key, Expected>,
}

impl Expectations {
    /// A pod that was made just now.
    pub fn created(&mut self, key: &Key, uid: &str, now: Instant) {
        self.fresh(key, now).creations.insert(uid.into());
    }

    /// A pod that was deleted just now.
    pub fn deleted(&mut self, key: &Key, uid: &str, now: Instant) {
        self.fresh(key, now).deletions.insert(uid.into());
    }

    /// What an owner expects, without what was waited for in vain.
    fn fresh(&mut self, key: &Key, now: Instant) -> &mut Expected {
        let e = self.all.entry(key.clone()).or_default();
        if now.since(e.since) > TIMEOUT {
            *e = Expected::default();
        }
        e.since = now;
        e
    }

    /// Notes a change of a pod of the owner.
    pub fn seen(&mut self, key: &Key, seen: &Seen<'_>) {
        if let Some(e) = self.all.get_mut(key) {
            let uid = SmolStr::from(seen.object().uid());
            e.creations.remove(&uid);
            if seen.new.is_null() || seen.new.is_terminating() {
                e.deletions.remove(&uid);
            }
        }
    }

    /// Whether the cache shows all that was done.
    pub fn met(&self, key: &Key, now: Instant) -> bool {
        self.all.get(key).is_none_or(|e| {
            (e.creations.is_empty() && e.deletions.is_empty()) || now.since(e.since) > TIMEOUT
        })
    }

    /// Forgets an owner.
    pub fn forget(&mut self, key: &Key) {
        self.all.remove(key);
    }
}
