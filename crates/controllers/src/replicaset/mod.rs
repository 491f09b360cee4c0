//! The ReplicaSet controller: as many pods as asked for, adopted and released by label.
//!
//! Models: `pkg/controller/replicaset`: slow-start batches, expectations, the ranking of pods to delete, status.

mod rank;

use crate::runtime::{
    Controller, Expectations, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, available_in,
    claim_pods, is_active, is_available, is_controlled_by, is_ready, key_of, pod_from_template, selector_of,
};
use api::selector::Selector;
use api::{Value, obj};
use apiserver::{ResId, Status};
use sim::{Civil, Duration};

/// Pods created or deleted in one reconcile at most. Models: `BurstReplicas`.
const BURST_MAX: usize = 500;
/// The controller, of ReplicaSets or of ReplicationControllers.
#[derive(Clone, Debug)]
pub struct ReplicaSets {
    name: &'static str,
    kind: &'static str,
    sets: ResId,
    pods: ResId,
    expected: Expectations,
}

impl ReplicaSets {
    /// The controller of `apps/v1` ReplicaSets.
    pub fn new(kinds: &Kinds) -> Self {
        ReplicaSets {
            name: "replicaset-controller",
            kind: "ReplicaSet",
            sets: kinds.get("apps", "replicasets"),
            pods: kinds.get("", "pods"),
            expected: Expectations::default(),
        }
    }

    /// The controller of `v1` ReplicationControllers: the same work over another kind.
    pub fn legacy(kinds: &Kinds) -> Self {
        ReplicaSets {
            name: "replication-controller",
            kind: "ReplicationController",
            sets: kinds.get("", "replicationcontrollers"),
            ..ReplicaSets::new(kinds)
        }
    }

    fn is_legacy(&self) -> bool {
        self.kind != "ReplicaSet"
    }

    /// A ReplicationController's selector is a plain map of labels.
    fn selector(&self, set: &Value) -> Selector {
        if self.is_legacy() { Selector::of_labels(set.at(&["spec", "selector"])) } else { selector_of(set) }
    }

    fn controller_of(&self, pod: &Value, informers: &Informers) -> Option<Key> {
        let owner = pod.controller_ref();
        if owner.get("kind").text() != self.kind {
            return None;
        }
        let set = informers.get(self.sets, pod.namespace(), owner.get("name").text())?;
        (set.uid() == owner.get("uid").text()).then(|| key_of(set))
    }

    fn seen_pod(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        let pod = seen.object();
        if let Some(key) = self.controller_of(pod, informers) {
            self.expected.seen(&key, seen);
            let min_ready = informers
                .get(self.sets, &key.0, &key.1)
                .map_or(0, |s| s.at(&["spec", "minReadySeconds"]).int());
            if min_ready > 0 && seen.new.is_some() && is_ready(seen.new) && !is_ready(seen.old) {
                queue.add_after(key.clone(), Duration::from_secs(min_ready as u64));
            }
            queue.add(key);
            return;
        }
        if let Some(key) = self.controller_of(seen.old, informers) {
            queue.add(key);
        }
        // An orphan concerns every set that could adopt it.
        if seen.new.is_some() && pod.controller_ref().is_null() && !pod.is_terminating() {
            for set in informers.list(self.sets, pod.namespace()) {
                let s = self.selector(set);
                if !s.is_empty() && s.matches(pod.labels()) {
                    queue.add(key_of(set));
                }
            }
        }
    }

    fn manage(
        &mut self,
        turn: &mut Turn<'_>,
        key: &Key,
        set: &Value,
        active: &[Value],
    ) -> Result<(), Status> {
        let want = set.at(&["spec", "replicas"]).int();
        let diff = active.len() as i64 - want;
        if diff < 0 {
            self.create_pods(turn, key, set, (-diff) as usize)
        } else if diff > 0 {
            self.delete_pods(turn, key, set, active, diff as usize)
        } else {
            Ok(())
        }
    }

    fn create_pods(&mut self, turn: &mut Turn<'_>, key: &Key, set: &Value, n: usize) -> Result<(), Status> {
        let total = n.min(BURST_MAX);
        let template = pod_from_template(set.at(&["spec", "template"]), set);
        let (mut done, mut batch) = (0, 1);
        while done < total {
            let size = batch.min(total - done);
            let results = turn.client.concurrently(|c| {
                (0..size).map(|_| c.create(self.pods, set.namespace(), template.clone())).collect::<Vec<_>>()
            });
            let mut failed = None;
            for r in results {
                match r {
                    Ok(pod) => {
                        self.expected.created(key, pod.uid(), turn.now());
                        let m = format!("Created pod: {}", pod.name());
                        turn.event(set, "Normal", "SuccessfulCreate", &m);
                    }
                    Err(s) => {
                        let terminating = s
                            .details
                            .get("causes")
                            .items()
                            .any(|c| c.get("reason").text() == "NamespaceTerminating");
                        if !terminating {
                            let m = format!("Error creating: {}", s.message);
                            turn.event(set, "Warning", "FailedCreate", &m);
                        }
                        failed = Some(s);
                    }
                }
            }
            done += size;
            if let Some(s) = failed {
                let quiet =
                    s.details.get("causes").items().any(|c| c.get("reason").text() == "NamespaceTerminating");
                return if quiet { Ok(()) } else { Err(s) };
            }
            batch *= 2;
        }
        Ok(())
    }

    fn delete_pods(
        &mut self,
        turn: &mut Turn<'_>,
        key: &Key,
        set: &Value,
        active: &[Value],
        n: usize,
    ) -> Result<(), Status> {
        let civil = turn.client.api.settings.epoch.civil(turn.now());
        let related = self.related_pods(turn, set);
        let doomed = rank::to_delete(active, &related, n.min(BURST_MAX), civil);
        let results = turn.client.concurrently(|c| {
            doomed
                .iter()
                .map(|p| (p, c.delete(self.pods, p.namespace(), p.name(), Value::Null)))
                .collect::<Vec<_>>()
        });
        let mut failed = None;
        for (pod, r) in results {
            match r {
                Ok(_) => {
                    self.expected.deleted(key, pod.uid(), turn.now());
                    let m = format!("Deleted pod: {}", pod.name());
                    turn.event(set, "Normal", "SuccessfulDelete", &m);
                }
                Err(s) => {
                    if s.code != 404 {
                        let m = format!("Error deleting: {}", s.message);
                        turn.event(set, "Warning", "FailedDelete", &m);
                        failed = Some(s);
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Active pods of all sets of the same owner, for ranking by how crowded their nodes are.
    fn related_pods(&self, turn: &Turn<'_>, set: &Value) -> Vec<Value> {
        let owner = set.controller_ref().get("uid").text();
        let siblings: Vec<&Value> = turn
            .informers
            .list(self.sets, set.namespace())
            .filter(|s| {
                s.uid() == set.uid() || (!owner.is_empty() && s.controller_ref().get("uid").text() == owner)
            })
            .collect();
        turn.informers
            .list(self.pods, set.namespace())
            .filter(|p| is_active(p) && siblings.iter().any(|s| is_controlled_by(p, s)))
            .cloned()
            .collect()
    }

    fn update_status(
        &self,
        turn: &mut Turn<'_>,
        set: &Value,
        tally: &Tally,
        failure: Option<&str>,
    ) -> Result<Value, Status> {
        let mut status = set.get("status").clone();
        for (k, n) in [
            ("replicas", tally.active.len()),
            ("fullyLabeledReplicas", tally.fully_labeled),
            ("readyReplicas", tally.ready),
            ("availableReplicas", tally.available),
        ] {
            if n == 0 && k != "replicas" {
                status.remove(&[k]);
            } else {
                status.insert(k, n);
            }
        }
        // The older kind has no such field.
        if !self.is_legacy() {
            status.insert("terminatingReplicas", tally.terminating);
        }
        status.insert("observedGeneration", set.generation());
        let had = set.condition("ReplicaFailure");
        match failure {
            Some(m) if had.is_null() => {
                let reason = if tally.active.len() as i64 > set.at(&["spec", "replicas"]).int() {
                    "FailedDelete"
                } else {
                    "FailedCreate"
                };
                let time = turn.client.timestamp();
                status.set(
                    &["conditions"],
                    obj!([{"type": "ReplicaFailure", "status": "True", "reason": reason, "message": m, "lastTransitionTime": time}]),
                );
            }
            None if had.is_some() => {
                status.remove(&["conditions"]);
            }
            _ => {}
        }
        if &status == set.get("status") {
            return Ok(set.clone());
        }
        let mut new = set.clone();
        new.insert("status", status);
        match turn.client.update_sub(self.sets, "status", new.clone()) {
            Err(s) if s.code == 409 => {
                let mut fresh = turn.client.get(self.sets, set.namespace(), set.name())?;
                fresh.insert("status", new.get("status"));
                turn.client.update_sub(self.sets, "status", fresh)
            }
            r => r,
        }
    }
}

/// What the pods of a set come to. One look at each: a set of thousands is reconciled for every pod's change.
#[derive(Default)]
struct Tally {
    active: Vec<Value>,
    terminating: usize,
    fully_labeled: usize,
    ready: usize,
    available: usize,
    /// Until the next ready pod counts as available.
    next_available: Option<Duration>,
}

impl Tally {
    fn of(set: &Value, pods: Vec<Value>, now: Civil) -> Tally {
        let min_ready = set.at(&["spec", "minReadySeconds"]).int();
        let labels = Selector::of_labels(set.at(&["spec", "template", "metadata", "labels"]));
        let mut t = Tally::default();
        for pod in pods {
            if !is_active(&pod) {
                let finished = matches!(pod.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
                t.terminating += usize::from(!finished);
                continue;
            }
            t.fully_labeled += usize::from(labels.matches(pod.labels()));
            if is_ready(&pod) {
                t.ready += 1;
                if is_available(&pod, min_ready, now) {
                    t.available += 1;
                } else if let Some(d) = available_in(&pod, min_ready, now) {
                    t.next_available = Some(t.next_available.map_or(d, |n| n.min(d)));
                }
            }
            t.active.push(pod);
        }
        t
    }
}

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        self.name
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.sets, self.pods]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.sets {
            if seen.new.is_null() {
                self.expected.forget(&seen.key());
            }
            queue.add(seen.key());
        } else if seen.res == self.pods {
            self.seen_pod(seen, informers, queue);
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(set) = turn.cached(self.sets, key) else {
            self.expected.forget(key);
            return Ok(Next::Done);
        };
        let satisfied = self.expected.met(key, turn.now());
        let pods = claim_pods(turn, self.pods, &set, &self.selector(&set), |_| true, is_active)?;
        let civil = turn.client.api.settings.epoch.civil(turn.now());
        let tally = Tally::of(&set, pods, civil);
        let mut managed = Ok(());
        if satisfied && !set.is_terminating() {
            managed = self.manage(turn, key, &set, &tally.active);
        }
        let failure = managed.as_ref().err().map(|s| s.message.clone());
        self.update_status(turn, &set, &tally, failure.as_deref())?;
        managed?;
        Ok(tally.next_available.map_or(Next::Done, Next::After))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
