//! The etcd-like store: objects by key, one revision counter, a change log a resource.
//!
//! A clone shares everything; keeping one costs what changes afterwards. Meaning of keys and objects is left to the
//! pipeline. Models: etcd3 with the API server's watch cache in front.

use crate::ResId;
use api::{SmolStr, Value};
use sim::persistent::{OrdMap, Vector};
use sim::{Cause, Instant, Limits};
use std::sync::Arc;

/// Namespace ("" where there is none) and name.
pub type Name = (SmolStr, SmolStr);

/// What a change did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// Created.
    Added,
    /// Replaced.
    Modified,
    /// Deleted.
    Deleted,
}

/// One committed change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The revision that it made.
    pub revision: u64,
    /// When it was committed.
    pub at: Instant,
    /// What it did.
    pub kind: ChangeKind,
    /// The object after it; for a deletion the last state, with the deletion's resource version.
    pub object: Value,
    /// The object before it, null for an addition.
    pub old: Value,
    /// What led to it.
    pub cause: Cause,
}

#[derive(Clone, Debug, Default)]
struct Table {
    objects: OrdMap<Name, Value>,
    log: Vector<Arc<Change>>,
    /// Changes up to this revision are gone from the log.
    compacted: u64,
}

/// The store.
#[derive(Clone, Debug, Default)]
pub struct Store {
    revision: u64,
    tables: OrdMap<ResId, Table>,
    /// Resources changed since the event loop last looked.
    dirty: Vec<ResId>,
}

impl Store {
    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object of that key.
    pub fn get(&self, res: ResId, namespace: &str, name: &str) -> Option<&Value> {
        self.tables.get(&res)?.objects.get(&(namespace.into(), name.into()))
    }

    /// All objects of a resource, of one namespace if `namespace` is given, in key order, after `after` if given.
    pub fn list<'a>(
        &'a self,
        res: ResId,
        namespace: Option<&'a str>,
        after: Option<Name>,
    ) -> impl Iterator<Item = (&'a Name, &'a Value)> {
        let start = match (after, namespace) {
            (Some(a), _) => core::ops::Bound::Excluded(a),
            (None, Some(ns)) => core::ops::Bound::Included((ns.into(), SmolStr::default())),
            (None, None) => core::ops::Bound::Unbounded,
        };
        self.tables
            .get(&res)
            .into_iter()
            .flat_map(move |t| t.objects.range((start.clone(), core::ops::Bound::Unbounded)))
            .take_while(move |((ns, _), _)| namespace.is_none_or(|n| n == ns.as_str()))
    }

    /// A store that holds a resource as it was at a revision; `None` if changes since are gone from the log.
    pub fn at(&self, res: ResId, revision: u64) -> Option<Store> {
        let mut table = self.tables.get(&res).cloned().unwrap_or_default();
        if revision < table.compacted {
            return None;
        }
        let later: Vec<Arc<Change>> = self.changes(res, revision)?.cloned().collect();
        for c in later.into_iter().rev() {
            let key: Name = (c.object.namespace().into(), c.object.name().into());
            match c.kind {
                ChangeKind::Added => drop(table.objects.remove(&key)),
                _ => drop(table.objects.insert(key, c.old.clone())),
            }
        }
        let mut then = Store { revision, ..Store::default() };
        then.tables.insert(res, table);
        Some(then)
    }

    /// How many objects of a resource there are.
    pub fn count(&self, res: ResId) -> usize {
        self.tables.get(&res).map_or(0, |t| t.objects.len())
    }

    /// Resources that hold or held objects.
    pub fn resources(&self) -> impl Iterator<Item = ResId> {
        self.tables.keys().copied()
    }

    /// Stores an object under a key, whether it is new or not, and gives it back with its resource version.
    pub fn put(&mut self, at: Instant, cause: Cause, res: ResId, key: Name, mut object: Value) -> Value {
        self.revision += 1;
        object.slot(&["metadata"]).insert("resourceVersion", self.revision.to_string());
        let table = self.tables.entry(res).or_default();
        let old = table.objects.insert(key, object.clone());
        let kind = if old.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.log(at, cause, res, kind, object.clone(), old.unwrap_or_default());
        object
    }

    /// Takes an object away and gives its last state, with the deletion's resource version.
    pub fn delete(&mut self, at: Instant, cause: Cause, res: ResId, key: &Name) -> Option<Value> {
        let old = self.tables.get_mut(&res)?.objects.remove(key)?;
        self.revision += 1;
        let mut last = old.clone();
        last.slot(&["metadata"]).insert("resourceVersion", self.revision.to_string());
        self.log(at, cause, res, ChangeKind::Deleted, last.clone(), old);
        Some(last)
    }

    fn log(&mut self, at: Instant, cause: Cause, res: ResId, kind: ChangeKind, object: Value, old: Value) {
        let revision = self.revision;
        let table = self.tables.entry(res).or_default();
        table.log.push_back(Arc::new(Change { revision, at, kind, object, old, cause }));
        if table.log.len() > Limits::TABLE.watch_window_revisions_max
            && let Some(c) = table.log.pop_front()
        {
            table.compacted = c.revision;
        }
        if !self.dirty.contains(&res) {
            self.dirty.push(res);
        }
    }

    /// Changes of a resource after a revision, oldest first; `None` if some of them are gone.
    pub fn changes(&self, res: ResId, after: u64) -> Option<impl Iterator<Item = &Arc<Change>>> {
        let log = match self.tables.get(&res) {
            Some(t) if after < t.compacted => return None,
            Some(t) => Some(&t.log),
            None => None,
        };
        let start = log.map_or(0, |l| l.partition_point(|c| c.revision <= after));
        Some(log.into_iter().flat_map(move |l| l.iter().skip(start)))
    }

    /// The newest change of a resource.
    pub fn last_change(&self, res: ResId) -> Option<&Arc<Change>> {
        self.tables.get(&res)?.log.back()
    }

    /// Forgets changes up to a revision, as etcd's compaction does.
    pub fn compact(&mut self, revision: u64) {
        let ids: Vec<ResId> = self.tables.keys().copied().collect();
        for id in ids {
            let table = self.tables.entry(id).or_default();
            while table.log.front().is_some_and(|c| c.revision <= revision) {
                table.log.pop_front();
            }
            table.compacted = table.compacted.max(revision.min(self.revision));
        }
    }

    /// The revision up to which changes of a resource are gone.
    pub fn compacted(&self, res: ResId) -> u64 {
        self.tables.get(&res).map_or(0, |t| t.compacted)
    }

    /// Resources that changed since this was last called.
    pub fn take_dirty(&mut self) -> Vec<ResId> {
        core::mem::take(&mut self.dirty)
    }

    /// Feeds a state hash with every object.
    pub fn hash_into(&self, h: &mut sim::Hasher) {
        h.int(self.revision);
        for (id, t) in &self.tables {
            h.int(u64::from(id.0));
            for ((ns, name), v) in &t.objects {
                h.str(ns);
                h.str(name);
                v.hash_into(h);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::obj;

    #[test]
    fn revisions_logs_and_compaction() {
        let mut s = Store::default();
        let (res, at) = (ResId(1), Instant::ZERO);
        let key = |n: &str| -> Name { ("default".into(), n.into()) };
        let a =
            s.put(at, Cause::NONE, res, key("a"), obj!({"metadata": {"name": "a", "namespace": "default"}}));
        assert_eq!(a.revision(), 1);
        let before = s.clone();
        s.put(at, Cause::NONE, res, key("b"), obj!({"metadata": {"name": "b", "namespace": "default"}}));
        s.delete(at, Cause::NONE, res, &key("a")).unwrap();
        assert_eq!(before.count(res), 1);
        assert_eq!(s.list(res, Some("default"), None).count(), 1);
        assert_eq!(s.list(res, Some("other"), None).count(), 0);
        let kinds: Vec<_> = s.changes(res, 1).unwrap().map(|c| (c.revision, c.kind)).collect();
        assert_eq!(kinds, [(2, ChangeKind::Added), (3, ChangeKind::Deleted)]);
        assert_eq!(
            s.at(res, 1).unwrap().list(res, None, None).map(|(k, _)| k.1.as_str()).collect::<Vec<_>>(),
            ["a"]
        );
        s.compact(2);
        assert!(s.at(res, 1).is_none());
        assert!(s.changes(res, 1).is_none());
        assert_eq!(s.changes(res, 2).unwrap().count(), 1);
    }
}
