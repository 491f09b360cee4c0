//! The ReplicaSet controller: as many pods as asked for, adopted and released by label.
//!
//! Models: `pkg/controller/replicaset`: slow-start batches, expectations, the ranking of pods to delete, status.

mod rank;

use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, available_in, is_active,
    is_available, is_controlled_by, is_ready, key_of, pod_from_template, selector_of,
};
use api::selector::Selector;
use api::{SmolStr, Value, obj};
use apiserver::{ResId, Status};
use imbl::{OrdMap, OrdSet};
use sim::{Duration, Instant};

/// Pods created or deleted in one reconcile at most. Models: `BurstReplicas`.
const BURST_MAX: usize = 500;
/// Expectations that are not met are dropped after this. Models: `ExpectationsTimeout`.
const EXPECTATIONS_TIMEOUT: Duration = Duration::from_secs(300);

/// What a set waits to see in its cache before it acts again.
#[derive(Clone, Debug, Default)]
struct Expected {
    creations: usize,
    deletions: OrdSet<SmolStr>,
    since: Instant,
}

/// The controller, of ReplicaSets or of ReplicationControllers.
#[derive(Clone, Debug)]
pub struct ReplicaSets {
    name: &'static str,
    kind: &'static str,
    sets: ResId,
    pods: ResId,
    expected: OrdMap<Key, Expected>,
}

impl ReplicaSets {
    /// The controller of `apps/v1` ReplicaSets.
    pub fn new(kinds: &Kinds) -> Self {
        ReplicaSets {
            name: "replicaset-controller",
            kind: "ReplicaSet",
            sets: kinds.get("apps", "replicasets"),
            pods: kinds.get("", "pods"),
            expected: OrdMap::new(),
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
            if let Some(e) = self.expected.get_mut(&key) {
                if seen.old.is_null() {
                    e.creations = e.creations.saturating_sub(1);
                }
                if seen.new.is_null() || seen.new.is_terminating() {
                    e.deletions.remove(&SmolStr::from(pod.uid()));
                }
            }
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

    fn satisfied(&self, key: &Key, now: Instant) -> bool {
        match self.expected.get(key) {
            Some(e) => {
                (e.creations == 0 && e.deletions.is_empty()) || now.since(e.since) > EXPECTATIONS_TIMEOUT
            }
            None => true,
        }
    }

    /// Adopts matching orphans, releases pods that match no longer; gives the set's pods.
    fn claim(&self, turn: &mut Turn<'_>, set: &Value) -> Result<Vec<Value>, Status> {
        let selector = self.selector(set);
        let all: Vec<Value> = turn.informers.list(self.pods, set.namespace()).cloned().collect();
        let mut mine = Vec::new();
        for pod in all {
            let matches = selector.matches(pod.labels());
            if is_controlled_by(&pod, set) {
                if matches {
                    mine.push(pod);
                } else if !set.is_terminating() && !pod.is_terminating() {
                    self.patch_owner(turn, &pod, set, false)?;
                }
            } else if matches && pod.controller_ref().is_null() && !set.is_terminating() && is_active(&pod) {
                let adopted = self.patch_owner(turn, &pod, set, true)?;
                if adopted.is_some() {
                    mine.push(adopted);
                }
            }
        }
        Ok(mine)
    }

    fn patch_owner(
        &self,
        turn: &mut Turn<'_>,
        pod: &Value,
        set: &Value,
        adopt: bool,
    ) -> Result<Value, Status> {
        let owner = crate::runtime::controller_reference(set);
        let others = pod.at(&["metadata", "ownerReferences"]);
        let mut owners: Vec<Value> =
            others.items().filter(|o| o.get("uid").text() != set.uid()).cloned().collect();
        if adopt {
            owners.push(owner);
        }
        let patch = obj!({"metadata": {"uid": pod.uid(), "ownerReferences": owners}});
        match turn.client.merge(self.pods, "", pod.namespace(), pod.name(), patch) {
            Ok(v) => Ok(v),
            // Gone meanwhile, or another pod of that name: nothing to adopt or release.
            Err(s) if matches!(s.code, 404 | 409 | 422) => Ok(Value::Null),
            Err(s) => Err(s),
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
        let e = Expected { creations: total, since: turn.now(), ..Expected::default() };
        self.expected.insert(key.clone(), e);
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
                        let m = format!("Created pod: {}", pod.name());
                        turn.event(set, "Normal", "SuccessfulCreate", &m);
                    }
                    Err(s) => {
                        if let Some(e) = self.expected.get_mut(key) {
                            e.creations = e.creations.saturating_sub(1);
                        }
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
                if let Some(e) = self.expected.get_mut(key) {
                    e.creations = e.creations.saturating_sub(total - done);
                }
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
        let uids: OrdSet<SmolStr> = doomed.iter().map(|p| SmolStr::from(p.uid())).collect();
        self.expected.insert(key.clone(), Expected { creations: 0, deletions: uids, since: turn.now() });
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
                    let m = format!("Deleted pod: {}", pod.name());
                    turn.event(set, "Normal", "SuccessfulDelete", &m);
                }
                Err(s) => {
                    if let Some(e) = self.expected.get_mut(key) {
                        e.deletions.remove(&SmolStr::from(pod.uid()));
                    }
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
        all: &[Value],
        failure: Option<&str>,
    ) -> Result<Value, Status> {
        let civil = turn.client.api.settings.epoch.civil(turn.now());
        let min_ready = set.at(&["spec", "minReadySeconds"]).int();
        let active: Vec<&Value> = all.iter().filter(|p| is_active(p)).collect();
        let labels = Selector::of_labels(set.at(&["spec", "template", "metadata", "labels"]));
        let count = |f: &dyn Fn(&Value) -> bool| active.iter().filter(|p| f(p)).count();
        let terminating = all
            .iter()
            .filter(|p| {
                p.is_terminating() && !matches!(p.at(&["status", "phase"]).text(), "Succeeded" | "Failed")
            })
            .count();
        let mut status = set.get("status").clone();
        for (k, n) in [
            ("replicas", active.len()),
            ("fullyLabeledReplicas", count(&|p| labels.matches(p.labels()))),
            ("readyReplicas", count(&is_ready)),
            ("availableReplicas", count(&|p| is_available(p, min_ready, civil))),
        ] {
            if n == 0 && k != "replicas" {
                status.remove(&[k]);
            } else {
                status.insert(k, n);
            }
        }
        // The older kind has no such field.
        if !self.is_legacy() {
            status.insert("terminatingReplicas", terminating);
        }
        status.insert("observedGeneration", set.generation());
        let had = set.condition("ReplicaFailure");
        match failure {
            Some(m) if had.is_null() => {
                let reason = if active.len() as i64 > set.at(&["spec", "replicas"]).int() {
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
                self.expected.remove(&seen.key());
            }
            queue.add(seen.key());
        } else if seen.res == self.pods {
            self.seen_pod(seen, informers, queue);
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(set) = turn.cached(self.sets, key) else {
            self.expected.remove(key);
            return Ok(Next::Done);
        };
        let satisfied = self.satisfied(key, turn.now());
        let pods = self.claim(turn, &set)?;
        let active: Vec<Value> = pods.iter().filter(|p| is_active(p)).cloned().collect();
        let mut managed = Ok(());
        if satisfied && !set.is_terminating() {
            managed = self.manage(turn, key, &set, &active);
        }
        let failure = managed.as_ref().err().map(|s| s.message.clone());
        self.update_status(turn, &set, &pods, failure.as_deref())?;
        managed?;
        let civil = turn.client.api.settings.epoch.civil(turn.now());
        let min_ready = set.at(&["spec", "minReadySeconds"]).int();
        match active.iter().filter_map(|p| available_in(p, min_ready, civil)).min() {
            Some(d) => Ok(Next::After(d)),
            None => Ok(Next::Done),
        }
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
