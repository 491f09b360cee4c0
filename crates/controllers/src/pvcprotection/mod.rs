//! The PVC protection controller: a claim that is deleted stays until no pod on a node uses it.
//!
//! Models: `pkg/controller/volume/pvcprotection`.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::Value;
use apiserver::ResId;

const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// The controller.
#[derive(Clone, Debug)]
pub struct PvcProtection {
    claims: ResId,
    pods: ResId,
}

impl PvcProtection {
    /// The controller of the finalizer of PersistentVolumeClaims.
    pub fn new(kinds: &Kinds) -> Self {
        PvcProtection { claims: kinds.get("", "persistentvolumeclaims"), pods: kinds.get("", "pods") }
    }
}

/// Names of the claims that a pod uses.
fn claims_of(pod: &Value) -> impl Iterator<Item = String> {
    pod.at(&["spec", "volumes"]).items().filter_map(|v| {
        let name = v.at(&["persistentVolumeClaim", "claimName"]).text();
        if !name.is_empty() {
            Some(name.to_owned())
        } else {
            v.get("ephemeral").is_some().then(|| format!("{}-{}", pod.name(), v.get("name").text()))
        }
    })
}

impl Controller for PvcProtection {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.claims, self.pods]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.claims {
            if seen.new.is_terminating() {
                queue.add(seen.key());
            }
        } else if seen.new.is_null() {
            let namespace = seen.old.namespace();
            claims_of(seen.old).for_each(|c| queue.add((namespace.into(), c.into())));
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(claim) = turn.cached(self.claims, key).filter(Value::is_terminating) else {
            return Ok(Next::Done);
        };
        let finalizers = claim.at(&["metadata", "finalizers"]);
        // A pod without a node cannot start any more with a claim that is being deleted.
        let used = turn.informers.list(self.pods, &key.0).any(|p| {
            !p.at(&["spec", "nodeName"]).text().is_empty() && claims_of(p).any(|c| key.1 == c.as_str())
        });
        if used || !finalizers.items().any(|f| f.text() == FINALIZER) {
            return Ok(Next::Done);
        }
        let rest: Vec<Value> = finalizers.items().filter(|f| f.text() != FINALIZER).cloned().collect();
        let mut new = claim.clone();
        new.set(&["metadata", "finalizers"], rest);
        match turn.client.update(self.claims, new) {
            Err(s) if s.code != 404 => Err(s.into()),
            _ => Ok(Next::Done),
        }
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
