//! Watches: a cursor into a resource's change log with filters.

use crate::{ApiServer, ChangeKind, ResId, Status};
use api::selector::{FieldSelector, Selector};
use api::{SmolStr, Value, obj};
use sim::{Cause, Instant};

/// An event of a watch.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened, from the watcher's view: an object that begins to match is added.
    pub kind: ChangeKind,
    /// The object, for a deletion its last state.
    pub object: Value,
    /// What led to the change.
    pub cause: Cause,
}

impl WatchEvent {
    /// `ADDED`, `MODIFIED` or `DELETED`
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            ChangeKind::Added => "ADDED",
            ChangeKind::Modified => "MODIFIED",
            ChangeKind::Deleted => "DELETED",
        }
    }
}

/// A watch. It sees changes after its revision, in order, each once; it holds no reference to the store.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The resource as asked for; objects are shown in its version.
    pub res: ResId,
    /// Only this namespace.
    pub namespace: Option<SmolStr>,
    /// Only this name.
    pub name: Option<SmolStr>,
    /// Only these labels.
    pub labels: Selector,
    /// Only these fields.
    pub fields: FieldSelector,
    /// The newest revision seen.
    pub revision: u64,
    /// State at the start, to be sent first as additions.
    pub initial: Vec<Value>,
    /// Whether a bookmark ends the initial events.
    pub initial_bookmark: bool,
    /// Whether bookmarks were asked for.
    pub bookmarks: bool,
    /// Answer format.
    pub accept: SmolStr,
    /// `includeObject` of table answers.
    pub include_object: SmolStr,
    /// When the watch ends by itself.
    pub until: Option<Instant>,
    /// Whether a table's columns were sent already.
    pub columns_sent: bool,
}

impl Watch {
    /// A watch of everything of a resource from a revision on.
    pub fn new(res: ResId, revision: u64) -> Watch {
        Watch {
            res,
            namespace: None,
            name: None,
            labels: Selector::everything(),
            fields: FieldSelector::default(),
            revision,
            initial: Vec::new(),
            initial_bookmark: false,
            bookmarks: false,
            accept: SmolStr::default(),
            include_object: SmolStr::default(),
            until: None,
            columns_sent: false,
        }
    }

    fn matches(&self, api: &ApiServer, v: &Value) -> bool {
        v.is_some()
            && self.namespace.as_ref().is_none_or(|n| n == v.namespace())
            && self.name.as_ref().is_none_or(|n| n == v.name())
            && (self.labels.is_empty() || self.labels.matches(v.labels()))
            && (self.fields.is_empty() || api.matches_fields(self.res, &self.fields, v))
    }
}

impl ApiServer {
    /// The events of a watch that were committed by `upto`; an error ends the watch.
    pub fn poll(&self, w: &mut Watch, upto: Instant) -> Result<Vec<WatchEvent>, Status> {
        let mut out: Vec<WatchEvent> = core::mem::take(&mut w.initial)
            .into_iter()
            .map(|object| WatchEvent { kind: ChangeKind::Added, object, cause: Cause::NONE })
            .collect();
        let storage = self.registry.get(w.res).storage;
        if self.store.last_change(storage).is_none_or(|c| c.revision <= w.revision) {
            return Ok(out);
        }
        let Some(changes) = self.store.changes(storage, w.revision) else {
            let (old, now) = (w.revision, self.store.compacted(storage));
            return Err(Status::expired(format!("too old resource version: {old} ({now})")));
        };
        let mut seen = w.revision;
        for c in changes {
            if c.at > upto {
                break;
            }
            seen = c.revision;
            let new = c.kind != ChangeKind::Deleted && w.matches(self, &c.object);
            let old = w.matches(self, &c.old);
            let (kind, object) = match (old, new) {
                (false, false) => continue,
                (false, true) => (ChangeKind::Added, c.object.clone()),
                (true, true) => (ChangeKind::Modified, c.object.clone()),
                (true, false) => {
                    let mut last =
                        if c.kind == ChangeKind::Deleted { c.object.clone() } else { c.old.clone() };
                    // What left the selection is shown as it was, at the revision that took it away.
                    last.set(&["metadata", "resourceVersion"], c.revision.to_string());
                    (ChangeKind::Deleted, last)
                }
            };
            let object = self.convert(w.res, object);
            out.push(WatchEvent { kind, object, cause: c.cause });
        }
        w.revision = seen;
        Ok(out)
    }

    /// When the next event that this watch has not seen was or will be committed, whether it matches or not.
    pub fn next_commit(&self, w: &Watch) -> Option<Instant> {
        let storage = self.registry.get(w.res).storage;
        if self.store.last_change(storage).is_none_or(|c| c.revision <= w.revision) {
            return None;
        }
        match self.store.changes(storage, w.revision) {
            Some(mut changes) => changes.next().map(|c| c.at),
            None => Some(Instant::ZERO),
        }
    }

    /// Events as they go over the wire, with bookmarks and in the format that was asked for.
    pub fn poll_wire(&self, w: &mut Watch, upto: Instant) -> Vec<Value> {
        let starting = w.initial_bookmark;
        match self.poll(w, upto) {
            Ok(events) => {
                let mut out: Vec<Value> = events
                    .into_iter()
                    .map(|e| {
                        let name = e.type_name();
                        obj!({"type": name, "object": self.render(e.object, w, upto)})
                    })
                    .collect();
                if starting {
                    w.initial_bookmark = false;
                    out.push(self.bookmark(w, true));
                }
                out
            }
            Err(status) => vec![obj!({"type": "ERROR", "object": status.to_value()})],
        }
    }

    /// A `BOOKMARK` event at the watch's revision.
    pub fn bookmark(&self, w: &Watch, initial_end: bool) -> Value {
        let r = self.registry.get(w.res);
        let mut object = obj!({
            "kind": &r.kind, "apiVersion": r.api_version(),
            "metadata": {"resourceVersion": w.revision.max(self.store.revision()).to_string()}
        });
        if initial_end {
            object.set(&["metadata", "annotations", "k8s.io/initial-events-end"], "true");
        }
        obj!({"type": "BOOKMARK", "object": object})
    }
}
