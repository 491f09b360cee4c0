//! Finding, adopting, making, scaling and cleaning up the ReplicaSets of a Deployment.

use super::rolling::{by_creation, max_surge, new_size};
use super::{Deployments, Plan, replicas, status};
use crate::runtime::{Turn, controller_reference, is_controlled_by, selector_of};
use api::{Value, gostruct, obj};
use apiserver::Status;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
/// Annotations of a deployment that its sets do not get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

fn revision(v: &Value) -> i64 {
    v.annotations().get(REVISION).text().parse().unwrap_or(0)
}

/// Whether a set was made from the deployment's current template.
fn same_template(set: &Value, d: &Value) -> bool {
    let mut a = set.at(&["spec", "template"]).clone();
    a.remove(&["metadata", "labels", HASH]);
    let mut b = d.at(&["spec", "template"]).clone();
    b.remove(&["metadata", "labels", HASH]);
    let tidy = |v: &mut Value| {
        if v.at(&["metadata", "labels"]).is_empty() {
            v.remove(&["metadata", "labels"]);
        }
    };
    tidy(&mut a);
    tidy(&mut b);
    a == b
}

impl Deployments {
    /// Adopts matching sets without an owner.
    pub(super) fn adopt(&self, turn: &mut Turn<'_>, d: &Value) -> Result<(), Status> {
        if d.is_terminating() {
            return Ok(());
        }
        let selector = selector_of(d);
        let orphans: Vec<Value> = turn
            .informers
            .list(self.sets, d.namespace())
            .filter(|s| s.controller_ref().is_null() && !s.is_terminating() && selector.matches(s.labels()))
            .cloned()
            .collect();
        for s in orphans {
            let patch = obj!({"metadata": {"uid": s.uid(), "ownerReferences": [controller_reference(d)]}});
            turn.client.merge(self.sets, "", s.namespace(), s.name(), patch)?;
        }
        Ok(())
    }

    /// Finds the deployment's sets; makes the new one if asked to. Models: `getAllReplicaSetsAndSyncRevision`.
    pub(super) fn find_sets(&self, turn: &mut Turn<'_>, plan: &mut Plan, create: bool) -> Result<(), Status> {
        let mut mine: Vec<Value> = turn
            .informers
            .list(self.sets, plan.d.namespace())
            .filter(|s| is_controlled_by(s, &plan.d))
            .cloned()
            .collect();
        mine.sort_by(by_creation);
        let new = mine.iter().position(|s| same_template(s, &plan.d));
        plan.new = new.map_or(Value::Null, |i| mine.remove(i));
        plan.old = mine;
        let next = plan.old.iter().map(revision).max().unwrap_or(0) + 1;
        if plan.new.is_some() {
            if create || !plan.d.at(&["spec", "paused"]).is_true() {
                self.refresh_new(turn, plan, next)?;
            }
            return Ok(());
        }
        if create { self.create_new(turn, plan, next) } else { Ok(()) }
    }

    fn refresh_new(&self, turn: &mut Turn<'_>, plan: &mut Plan, next: i64) -> Result<(), Status> {
        let mut set = plan.new.clone();
        annotate(&mut set, &plan.d, next, true);
        let min_ready = plan.d.at(&["spec", "minReadySeconds"]);
        if set.at(&["spec", "minReadySeconds"]) != min_ready {
            if min_ready.is_null() {
                set.remove(&["spec", "minReadySeconds"]);
            } else {
                set.set(&["spec", "minReadySeconds"], min_ready);
            }
        }
        if set != plan.new {
            plan.new = turn.client.update(self.sets, set)?;
        }
        let wanted = revision(&plan.new).to_string();
        let mut write = plan.d.annotations().get(REVISION).text() != wanted;
        if write {
            plan.d.set(&["metadata", "annotations", REVISION], wanted);
        }
        if status::has_deadline(&plan.d) && plan.d.condition("Progressing").is_null() {
            let m = format!("Found new replica set \"{}\"", plan.new.name());
            let c = status::condition(turn, "Progressing", "True", "FoundNewReplicaSet", &m);
            status::set_condition(&mut plan.d, c);
            write = true;
        }
        if write {
            self.write_status(turn, plan)?;
        }
        Ok(())
    }

    fn create_new(&self, turn: &mut Turn<'_>, plan: &mut Plan, next: i64) -> Result<(), Status> {
        let d = plan.d.clone();
        let collisions = d.at(&["status", "collisionCount"]).as_int();
        let mut template = d.at(&["spec", "template"]).clone();
        let hash = gostruct::pod_template_hash(&template, collisions);
        template.set(&["metadata", "labels", HASH], hash.as_str());
        let mut selector = d.at(&["spec", "selector"]).clone();
        selector.set(&["matchLabels", HASH], hash.as_str());
        let size = new_size(&d, &plan.all(), 0);
        let mut set = obj!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": format!("{}-{hash}", d.name()), "namespace": d.namespace(),
                "labels": template.at(&["metadata", "labels"]),
                "ownerReferences": [controller_reference(&d)]
            },
            "spec": {"replicas": size, "selector": selector, "template": template}
        });
        let min_ready = d.at(&["spec", "minReadySeconds"]);
        if min_ready.is_some() {
            set.set(&["spec", "minReadySeconds"], min_ready);
        }
        annotate(&mut set, &d, next, false);
        set_sizes(&mut set, &d);
        let name = set.name().to_owned();
        match turn.client.create(self.sets, d.namespace(), set.clone()) {
            Ok(v) => {
                plan.new = v;
                if size > 0 {
                    let m = format!("Scaled up replica set {name} from 0 to {size}");
                    turn.event(&d, "Normal", "ScalingReplicaSet", &m);
                }
            }
            Err(s) if s.reason == "AlreadyExists" => {
                let there = turn.client.get(self.sets, d.namespace(), &name)?;
                if is_controlled_by(&there, &d) && same_template(&there, &d) {
                    // Our own, not in the cache yet.
                    plan.new = there;
                    return Ok(());
                }
                plan.d.set(&["status", "collisionCount"], collisions.unwrap_or(0) + 1);
                self.write_status(turn, plan)?;
                return Err(s);
            }
            Err(s) => {
                let terminating =
                    s.details.get("causes").items().any(|c| c.get("reason").text() == "NamespaceTerminating");
                if status::has_deadline(&d) && !terminating {
                    let m = format!("Failed to create new replica set \"{name}\": {}", s.message);
                    let c = status::condition(turn, "Progressing", "False", "ReplicaSetCreateError", &m);
                    status::set_condition(&mut plan.d, c);
                    self.write_status(turn, plan)?;
                }
                return Err(s);
            }
        }
        plan.d.set(&["metadata", "annotations", REVISION], next.to_string());
        if status::has_deadline(&d) {
            let m = format!("Created new replica set \"{name}\"");
            let c = status::condition(turn, "Progressing", "True", "NewReplicaSetCreated", &m);
            status::set_condition(&mut plan.d, c);
        }
        self.write_status(turn, plan)
    }

    /// Sets a ReplicaSet's size and records it. Models: `scaleReplicaSetAndRecordEvent`.
    pub(super) fn scale(
        &self,
        turn: &mut Turn<'_>,
        d: &Value,
        set: &Value,
        size: i64,
    ) -> Result<Value, Status> {
        let before = replicas(set);
        let mut new = set.clone();
        new.set(&["spec", "replicas"], size);
        set_sizes(&mut new, d);
        if &new == set {
            return Ok(new);
        }
        let new = turn.client.update(self.sets, new)?;
        if before != size {
            let way = if size > before { "up" } else { "down" };
            let m = format!("Scaled {way} replica set {} from {before} to {size}", set.name());
            turn.event(d, "Normal", "ScalingReplicaSet", &m);
        }
        Ok(new)
    }

    /// Deletes old sets beyond the history limit. Models: `cleanupDeployment`.
    pub(super) fn clean_up(&self, turn: &mut Turn<'_>, plan: &Plan) -> Result<(), Status> {
        let Some(limit) = plan.d.at(&["spec", "revisionHistoryLimit"]).as_int() else { return Ok(()) };
        let mut old: Vec<&Value> = plan.old.iter().filter(|s| !s.is_terminating()).collect();
        let surplus = old.len() as i64 - limit;
        if surplus <= 0 {
            return Ok(());
        }
        old.sort_by_key(|s| revision(s));
        for s in old.into_iter().take(surplus as usize) {
            let busy = replicas(s) != 0
                || s.at(&["status", "replicas"]).int() != 0
                || s.generation() > s.at(&["status", "observedGeneration"]).int();
            if !busy {
                match turn.client.delete(self.sets, s.namespace(), s.name(), Value::Null) {
                    Err(e) if e.code != 404 => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Copies the deployment's annotations and sets the revision. Models: `SetNewReplicaSetAnnotations`.
fn annotate(set: &mut Value, d: &Value, next: i64, exists: bool) {
    for (k, v) in d.annotations().entries() {
        if !NOT_COPIED.contains(&k.as_str()) && set.annotations().get(k) != v {
            set.set(&["metadata", "annotations", k], v);
        }
    }
    let had = set.annotations().get(REVISION).text().to_owned();
    let old = had.parse::<i64>().unwrap_or(0);
    if old < next {
        set.set(&["metadata", "annotations", REVISION], next.to_string());
        if exists && !had.is_empty() {
            let history = set.annotations().get(HISTORY).text();
            let history = if history.is_empty() { had } else { format!("{history},{had}") };
            set.set(&["metadata", "annotations", HISTORY], history);
        }
    }
}

fn set_sizes(set: &mut Value, d: &Value) {
    let want = replicas(d);
    set.set(&["metadata", "annotations", DESIRED], want.to_string());
    set.set(&["metadata", "annotations", MAX], (want + max_surge(d)).to_string());
}
