//! The Deployment controller: one ReplicaSet a template, moved over at the pace of the strategy.
//!
//! Models: `pkg/controller/deployment`. `rolling` moves replicas, `sets` finds, makes and cleans up ReplicaSets,
//! `status` sums up. Each reconcile takes one step and reports.

mod rolling;
mod sets;
mod status;

use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, key_of, selector_of,
};
use api::{Value, obj};
use apiserver::{ResId, Status};

/// The controller.
#[derive(Clone, Debug)]
pub struct Deployments {
    deployments: ResId,
    sets: ResId,
    pods: ResId,
}

/// A deployment with its ReplicaSets, during one reconcile.
pub(crate) struct Plan {
    /// The deployment as last read or written.
    pub d: Value,
    /// The set of the current template.
    pub new: Value,
    /// All other sets.
    pub old: Vec<Value>,
}

impl Plan {
    /// All sets, the new one last.
    pub fn all(&self) -> Vec<Value> {
        let mut all = self.old.clone();
        if self.new.is_some() {
            all.push(self.new.clone());
        }
        all
    }
}

/// `spec.replicas` of a set or deployment.
pub(crate) fn replicas(v: &Value) -> i64 {
    v.at(&["spec", "replicas"]).int()
}

impl Deployments {
    /// The controller of `apps/v1` Deployments.
    pub fn new(kinds: &Kinds) -> Self {
        Deployments {
            deployments: kinds.get("apps", "deployments"),
            sets: kinds.get("apps", "replicasets"),
            pods: kinds.get("", "pods"),
        }
    }

    fn owner_of(&self, set: &Value, informers: &Informers) -> Option<Key> {
        let owner = set.controller_ref();
        if owner.get("kind").text() != "Deployment" {
            return None;
        }
        let d = informers.get(self.deployments, set.namespace(), owner.get("name").text())?;
        (d.uid() == owner.get("uid").text()).then(|| key_of(d))
    }

    /// Writes the deployment's status and keeps what came back.
    pub(crate) fn write_status(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        plan.d = turn.client.update_sub(self.deployments, "status", plan.d.clone())?;
        Ok(())
    }

    fn sync_paused(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        if !status::has_deadline(&plan.d) {
            return Ok(());
        }
        let c = plan.d.condition("Progressing");
        if c.get("reason").text() == status::TIMED_OUT {
            return Ok(());
        }
        let paused = plan.d.at(&["spec", "paused"]).is_true();
        let noted = c.get("reason").text() == "DeploymentPaused";
        let (reason, message) = match (paused, noted) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return Ok(()),
        };
        let c = status::condition(turn, "Progressing", "Unknown", reason, message);
        status::set_condition(&mut plan.d, c);
        self.write_status(turn, plan)
    }

    fn recreate(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        self.find_sets(turn, plan, false)?;
        let mut scaled = false;
        for i in 0..plan.old.len() {
            if replicas(&plan.old[i]) > 0 {
                plan.old[i] = self.scale(turn, &plan.d, &plan.old[i].clone(), 0)?;
                scaled = true;
            }
        }
        if scaled || self.old_pods_run(turn, plan) {
            return self.sync_rollout_status(turn, plan);
        }
        if plan.new.is_null() {
            self.find_sets(turn, plan, true)?;
        }
        let want = replicas(&plan.d);
        if plan.new.is_some() && replicas(&plan.new) != want {
            plan.new = self.scale(turn, &plan.d, &plan.new.clone(), want)?;
        }
        if status::complete(&plan.d, plan.d.get("status")) {
            self.clean_up(turn, plan)?;
        }
        self.sync_rollout_status(turn, plan)
    }

    fn old_pods_run(&self, turn: &Turn<'_>, plan: &Plan) -> bool {
        let newest = plan.new.uid();
        turn.informers.list(self.pods, plan.d.namespace()).any(|p| {
            let owner = p.controller_ref().get("uid").text();
            let ours = plan.old.iter().any(|s| s.uid() == owner);
            ours && owner != newest && !matches!(p.at(&["status", "phase"]).text(), "Succeeded" | "Failed")
        })
    }
}

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.deployments, self.sets, self.pods]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.deployments {
            queue.add(seen.key());
        } else if seen.res == self.sets {
            for v in [seen.old, seen.new] {
                if let Some(key) = self.owner_of(v, informers) {
                    queue.add(key);
                }
            }
            if seen.object().controller_ref().is_null() {
                for d in informers.list(self.deployments, seen.object().namespace()) {
                    if selector_of(d).matches(seen.object().labels()) {
                        queue.add(key_of(d));
                    }
                }
            }
        } else if seen.res == self.pods && seen.new.is_null() {
            // A Recreate deployment waits for its last old pod to go.
            let owner = seen.old.controller_ref();
            let set = informers.get(self.sets, seen.old.namespace(), owner.get("name").text());
            if let Some(key) = set.and_then(|s| self.owner_of(s, informers)) {
                queue.add(key);
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(d) = turn.cached(self.deployments, key) else { return Ok(Next::Done) };
        let mut plan = Plan { d, new: Value::Null, old: Vec::new() };
        if plan.d.at(&["spec", "selector"]) == &obj!({}) {
            let m = "This deployment is selecting all pods. A non-empty selector is required.";
            turn.event(&plan.d, "Warning", "SelectingAll", m);
            return Ok(Next::Done);
        }
        self.adopt(turn, &plan.d)?;
        if plan.d.is_terminating() {
            self.find_sets(turn, &mut plan, false)?;
            self.sync_plain_status(turn, &mut plan)?;
            return Ok(Next::Done);
        }
        self.sync_paused(turn, &mut plan)?;
        let paused = plan.d.at(&["spec", "paused"]).is_true();
        if paused || self.is_scaling_event(turn, &mut plan)? {
            self.find_sets(turn, &mut plan, false)?;
            self.spread(turn, &mut plan)?;
            if paused {
                self.clean_up(turn, &plan)?;
            }
            self.sync_plain_status(turn, &mut plan)?;
        } else if plan.d.at(&["spec", "strategy", "type"]).text() == "Recreate" {
            self.recreate(turn, &mut plan)?;
        } else {
            self.roll(turn, &mut plan)?;
        }
        Ok(status::next(turn, &plan.d))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
