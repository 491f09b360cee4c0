//! The PV protection controller: a volume that is deleted stays while it is bound.
//!
//! Models: `pkg/controller/volume/pvprotection`.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::Value;
use apiserver::ResId;

const FINALIZER: &str = "kubernetes.io/pv-protection";

/// The controller.
#[derive(Clone, Debug)]
pub struct PvProtection {
    volumes: ResId,
}

impl PvProtection {
    /// The controller of the finalizer of PersistentVolumes.
    pub fn new(kinds: &Kinds) -> Self {
        PvProtection { volumes: kinds.get("", "persistentvolumes") }
    }
}

impl Controller for PvProtection {
    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.volumes]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.new.is_terminating() {
            queue.add(seen.key());
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(v) = turn.cached(self.volumes, key).filter(Value::is_terminating) else {
            return Ok(Next::Done);
        };
        let finalizers = v.at(&["metadata", "finalizers"]);
        let held = finalizers.items().any(|f| f.text() == FINALIZER);
        if !held || v.at(&["status", "phase"]).text() == "Bound" {
            return Ok(Next::Done);
        }
        let rest: Vec<Value> = finalizers.items().filter(|f| f.text() != FINALIZER).cloned().collect();
        let mut new = v.clone();
        new.set(&["metadata", "finalizers"], rest);
        match turn.client.update(self.volumes, new) {
            Err(s) if s.code != 404 => Err(s.into()),
            _ => Ok(Next::Done),
        }
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
