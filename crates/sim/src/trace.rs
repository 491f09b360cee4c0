//! The causal trace: what happened, when, and because of what.
//!
//! *Invariant*: each record has its parent, from the key press down to the packet; the "why" views read only this.

use crate::Instant;
use crate::persistent::Vector;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The number of a trace record; 0 stands for "no cause known".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Cause(pub u64);

impl Cause {
    /// Nothing before it.
    pub const NONE: Cause = Cause(0);
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its number, rising from 1.
    pub id: Cause,
    /// The record that led to it.
    pub parent: Cause,
    /// When.
    pub at: Instant,
    /// Who did it: `user`, `deployment-controller`, `kubelet/worker-1`, …
    pub actor: SmolStr,
    /// What kind of thing: `command`, `request`, `commit`, `watch`, `reconcile`, `process`, `packet`, `verdict`.
    pub kind: SmolStr,
    /// What it was about, `pods/default/kubia-x2k` or a packet's number.
    pub subject: SmolStr,
    /// One line for people.
    pub text: SmolStr,
}

/// The newest records, bounded by [`crate::Limits::trace_records_max`]. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    records: Vector<Record>,
    next: u64,
}

impl Trace {
    /// Adds a record and gives its number, to be the parent of what follows from it.
    pub fn add(
        &mut self,
        parent: Cause,
        at: Instant,
        actor: &str,
        kind: &'static str,
        subject: &str,
        text: &str,
    ) -> Cause {
        self.next += 1;
        let id = Cause(self.next);
        self.records.push_back(Record {
            id,
            parent,
            at,
            actor: actor.into(),
            kind: SmolStr::new_static(kind),
            subject: subject.into(),
            text: text.into(),
        });
        if self.records.len() > crate::Limits::TABLE.trace_records_max {
            self.records.pop_front();
        }
        id
    }

    /// The record of that number, if it is still kept.
    pub fn get(&self, id: Cause) -> Option<&Record> {
        let first = self.records.front()?.id.0;
        self.records.get(usize::try_from(id.0.checked_sub(first)?).ok()?)
    }

    /// A record and what led to it, nearest first.
    pub fn chain(&self, id: Cause) -> impl Iterator<Item = &Record> {
        core::iter::successors(self.get(id), |r| self.get(r.parent))
    }

    /// Records after `id`, oldest first.
    pub fn since(&self, id: Cause) -> impl Iterator<Item = &Record> {
        let first = self.records.front().map_or(1, |r| r.id.0);
        let skip = (id.0 + 1).saturating_sub(first) as usize;
        self.records.iter().skip(skip.min(self.records.len()))
    }

    /// The newest record's number.
    pub fn last(&self) -> Cause {
        Cause(self.next)
    }

    /// Records kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }
}
