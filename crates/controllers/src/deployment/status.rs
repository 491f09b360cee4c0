//! The status of a Deployment: counts and conditions.

use super::rolling::max_unavailable;
use super::{Deployments, Plan, replicas};
use crate::runtime::{Next, Turn};
use api::{Value, obj};
use apiserver::Status;
use sim::{Civil, Duration};

pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const AVAILABLE: &str = "NewReplicaSetAvailable";

pub(super) fn has_deadline(d: &Value) -> bool {
    d.at(&["spec", "progressDeadlineSeconds"]).as_int().is_some_and(|s| s != i64::from(i32::MAX))
}

pub(super) fn condition(turn: &Turn<'_>, kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let now = turn.client.timestamp();
    obj!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastUpdateTime": now.as_str(), "lastTransitionTime": now.as_str()
    })
}

/// Sets a condition unless nothing about it is new. Models: `SetDeploymentCondition`.
pub(super) fn set_condition(d: &mut Value, mut c: Value) {
    let kind = c.get("type").text().to_owned();
    let had = d.condition(&kind).clone();
    if had.get("status") == c.get("status") && had.get("reason") == c.get("reason") {
        return;
    }
    if had.get("status") == c.get("status") {
        c.insert("lastTransitionTime", had.get("lastTransitionTime"));
    }
    remove_condition(d, &kind);
    d.push_at(&["status", "conditions"], c);
}

fn remove_condition(d: &mut Value, kind: &str) {
    if d.condition(kind).is_some() {
        d.slot(&["status", "conditions"]).list_mut().retain(|c| c.get("type").text() != kind);
    }
}

/// Models: `DeploymentComplete`.
pub(super) fn complete(d: &Value, status: &Value) -> bool {
    let n = replicas(d);
    status.get("updatedReplicas").int() == n
        && status.get("replicas").int() == n
        && status.get("availableReplicas").int() == n
        && status.get("observedGeneration").int() >= d.generation()
}

/// Models: `DeploymentProgressing`.
fn progressing(old: &Value, new: &Value) -> bool {
    let n = |v: &Value, k: &str| v.get(k).int();
    let outdated = |v: &Value| n(v, "replicas") - n(v, "updatedReplicas");
    n(new, "updatedReplicas") > n(old, "updatedReplicas")
        || outdated(new) < outdated(old)
        || n(new, "readyReplicas") > n(old, "readyReplicas")
        || n(new, "availableReplicas") > n(old, "availableReplicas")
}

/// When the deadline ends, if it runs.
fn deadline(d: &Value) -> Option<i64> {
    let c = d.condition("Progressing");
    if c.is_null() || c.get("reason").text() == AVAILABLE {
        return None;
    }
    let from = Civil::parse(c.get("lastUpdateTime").text())?;
    Some(from.unix() + d.at(&["spec", "progressDeadlineSeconds"]).int())
}

/// When to look at a deployment again though nothing changed. Models: `requeueStuckDeployment`.
pub(super) fn next(turn: &Turn<'_>, d: &Value) -> Next {
    if !has_deadline(d)
        || complete(d, d.get("status"))
        || d.condition("Progressing").get("reason").text() == TIMED_OUT
    {
        return Next::Done;
    }
    let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
    match deadline(d) {
        Some(at) => Next::After(Duration::from_secs((at - now).max(0) as u64 + 1)),
        None => Next::Done,
    }
}

impl Deployments {
    /// Models: `calculateStatus`.
    fn counts(&self, turn: &Turn<'_>, plan: &Plan) -> Value {
        let all = plan.all();
        let sum = |k: &str| -> i64 { all.iter().map(|s| s.at(&["status", k]).int()).sum() };
        let wanted: i64 = all.iter().map(replicas).sum();
        let available = sum("availableReplicas");
        let mut status = plan.d.get("status").clone();
        for (k, n) in [
            ("replicas", sum("replicas")),
            ("updatedReplicas", plan.new.at(&["status", "replicas"]).int()),
            ("readyReplicas", sum("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", (wanted - available).max(0)),
        ] {
            if n == 0 {
                status.remove(&[k]);
            } else {
                status.insert(k, n);
            }
        }
        status.insert("terminatingReplicas", sum("terminatingReplicas"));
        status.insert("observedGeneration", plan.d.generation());
        let mut d = plan.d.clone();
        d.insert("status", status);
        let c = if available >= replicas(&plan.d) - max_unavailable(&plan.d) {
            condition(
                turn,
                "Available",
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            let m = "Deployment does not have minimum availability.";
            condition(turn, "Available", "False", "MinimumReplicasUnavailable", m)
        };
        set_condition(&mut d, c);
        d
    }

    /// Counts only, for paused deployments and changes of size. Models: `syncDeploymentStatus`.
    pub(super) fn sync_plain_status(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        let d = self.counts(turn, plan);
        if d != plan.d {
            plan.d = d;
            self.write_status(turn, plan)?;
        }
        Ok(())
    }

    /// Counts and progress. Models: `syncRolloutStatus`.
    pub(super) fn sync_rollout_status(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        let mut d = self.counts(turn, plan);
        let old = plan.d.get("status").clone();
        let current = d.condition("Progressing").clone();
        if !has_deadline(&d) {
            remove_condition(&mut d, "Progressing");
        }
        let new = d.get("status").clone();
        let settled =
            new.get("replicas") == new.get("updatedReplicas") && current.get("reason").text() == AVAILABLE;
        if has_deadline(&d) && !settled {
            let subject = match plan.new.name() {
                "" => format!("Deployment \"{}\"", d.name()),
                set => format!("ReplicaSet \"{set}\""),
            };
            let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
            if complete(&d, &new) {
                let m = format!("{subject} has successfully progressed.");
                set_condition(&mut d, condition(turn, "Progressing", "True", AVAILABLE, &m));
            } else if progressing(&old, &new) {
                let m = format!("{subject} is progressing.");
                let mut c = condition(turn, "Progressing", "True", "ReplicaSetUpdated", &m);
                if current.get("status").text() == "True" {
                    c.insert("lastTransitionTime", current.get("lastTransitionTime"));
                }
                // Replaced even if alike: its time of update is what the deadline counts from.
                remove_condition(&mut d, "Progressing");
                set_condition(&mut d, c);
            } else if current.get("reason").text() == TIMED_OUT || deadline(&d).is_some_and(|at| at < now) {
                let m = format!("{subject} has timed out progressing.");
                set_condition(&mut d, condition(turn, "Progressing", "False", TIMED_OUT, &m));
            }
        }
        let failure = plan.all().iter().map(|s| s.condition("ReplicaFailure").clone()).find(Value::is_some);
        match failure {
            Some(f) => {
                let (reason, m) = (f.get("reason").text().to_owned(), f.get("message").text().to_owned());
                set_condition(&mut d, condition(turn, "ReplicaFailure", f.get("status").text(), &reason, &m));
            }
            None => remove_condition(&mut d, "ReplicaFailure"),
        }
        if d != plan.d {
            plan.d = d;
            self.write_status(turn, plan)?;
        }
        Ok(())
    }
}
