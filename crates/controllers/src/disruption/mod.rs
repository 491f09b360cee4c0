//! The disruption controller: how many pods of a budget may be evicted.
//!
//! Models: `pkg/controller/disruption`.

use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, int_or_percent, is_ready, key_of,
};
use api::selector::Selector;
use api::{SmolStr, Value, obj};
use apiserver::ResId;
use sim::{Civil, Duration};
use std::collections::BTreeMap;

/// An evicted pod that is not deleted by then counts again. Models: `DeletionTimeout`.
const DELETION_TIMEOUT_S: i64 = 120;

/// The controller.
#[derive(Clone, Debug)]
pub struct Disruptions {
    budgets: ResId,
    pods: ResId,
    /// Kinds with a scale that control pods.
    owners: [(&'static str, ResId); 4],
}

impl Disruptions {
    /// The controller of `policy/v1` PodDisruptionBudgets.
    pub fn new(kinds: &Kinds) -> Self {
        Disruptions {
            budgets: kinds.get("policy", "poddisruptionbudgets"),
            pods: kinds.get("", "pods"),
            owners: [
                ("ReplicaSet", kinds.get("apps", "replicasets")),
                ("Deployment", kinds.get("apps", "deployments")),
                ("StatefulSet", kinds.get("apps", "statefulsets")),
                ("ReplicationController", kinds.get("", "replicationcontrollers")),
            ],
        }
    }

    /// What controls an object, if it has a scale.
    fn owner(&self, informers: &Informers, v: &Value) -> Option<Value> {
        let r = v.controller_ref();
        let res = self.owners.iter().find(|(kind, _)| *kind == r.get("kind").text())?.1;
        let owner = informers.get(res, v.namespace(), r.get("name").text())?;
        (owner.uid() == r.get("uid").text()).then(|| owner.clone())
    }

    /// How many pods the controllers of these pods want; pods without a controller do not count.
    fn scale(&self, informers: &Informers, pods: &[Value]) -> i64 {
        let mut sizes: BTreeMap<SmolStr, i64> = BTreeMap::new();
        for p in pods {
            let Some(mut owner) = self.owner(informers, p) else { continue };
            if let Some(above) = self.owner(informers, &owner) {
                owner = above;
            }
            sizes.insert(owner.uid().into(), owner.at(&["spec", "replicas"]).as_int().unwrap_or(1));
        }
        sizes.values().sum()
    }

    /// Expected pods and how many of them have to be healthy.
    fn expected(&self, informers: &Informers, budget: &Value, pods: &[Value]) -> (i64, i64) {
        let (min, max) = (budget.at(&["spec", "minAvailable"]), budget.at(&["spec", "maxUnavailable"]));
        if max.is_some() {
            let n = self.scale(informers, pods);
            return (n, (n - int_or_percent(max, n, true)).max(0));
        }
        match min.as_int() {
            Some(want) => (pods.len() as i64, want),
            None if min.is_some() => {
                let n = self.scale(informers, pods);
                (n, int_or_percent(min, n, true))
            }
            None => (0, 0),
        }
    }
}

fn selector(budget: &Value) -> Selector {
    Selector::of(budget.at(&["spec", "selector"])).unwrap_or_else(|_| Selector::nothing())
}

/// Evicted pods that are still about to be deleted.
fn disrupted(budget: &Value, pods: &[Value], now: i64) -> Value {
    let mut kept = Value::map();
    for (name, time) in budget.at(&["status", "disruptedPods"]).entries() {
        let pending = pods.iter().any(|p| p.name() == name.as_str() && !p.is_terminating());
        let fresh = Civil::parse(time.text()).is_some_and(|t| t.unix() + DELETION_TIMEOUT_S > now);
        if pending && fresh {
            kept.insert(name.as_str(), time);
        }
    }
    kept
}

/// The condition that says whether a disruption is allowed; it keeps its time while its status stays.
fn condition(budget: &Value, allowed: i64, time: &str) -> Value {
    let (status, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let had = budget.condition("DisruptionAllowed");
    let since = had.get("lastTransitionTime").text();
    let time = if had.get("status").text() == status && !since.is_empty() { since } else { time };
    obj!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "", "lastTransitionTime": time,
        "observedGeneration": budget.generation()
    })
}

impl Controller for Disruptions {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn component(&self) -> &'static str {
        "controllermanager"
    }

    fn watches(&self) -> Vec<ResId> {
        let owners = self.owners.iter().map(|(_, r)| *r);
        [self.budgets, self.pods].into_iter().chain(owners).collect()
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.budgets {
            queue.add(seen.key());
            return;
        }
        let v = seen.object();
        for b in informers.list(self.budgets, v.namespace()) {
            let s = selector(b);
            let concerns = seen.res != self.pods
                || s.matches(v.labels())
                || (seen.old.is_some() && s.matches(seen.old.labels()));
            if concerns {
                queue.add(key_of(b));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(budget) = turn.cached(self.budgets, key) else { return Ok(Next::Done) };
        let s = selector(&budget);
        let all = turn.informers.list(self.pods, &key.0);
        let pods: Vec<Value> = all.filter(|p| s.matches(p.labels())).cloned().collect();
        if pods.is_empty() {
            turn.event(&budget, "Normal", "NoPods", "No matching pods found");
        }
        let (expected, desired) = self.expected(turn.informers, &budget, &pods);
        let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
        let disrupted = disrupted(&budget, &pods, now);
        let healthy = pods
            .iter()
            .filter(|p| !p.is_terminating() && is_ready(p) && disrupted.get(p.name()).is_null())
            .count() as i64;
        let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
        let mut status = budget.get("status").clone();
        for (k, n) in [
            ("currentHealthy", healthy),
            ("desiredHealthy", desired),
            ("disruptionsAllowed", allowed),
            ("expectedPods", expected),
            ("observedGeneration", budget.generation()),
        ] {
            status.insert(k, n);
        }
        let time = turn.client.timestamp();
        status.insert("conditions", obj!([condition(&budget, allowed, &time)]));
        let waiting = !disrupted.is_empty();
        if waiting {
            status.insert("disruptedPods", disrupted);
        } else {
            status.remove(&["disruptedPods"]);
        }
        if &status != budget.get("status") {
            let mut new = budget.clone();
            new.insert("status", status);
            turn.client.update_sub(self.budgets, "status", new)?;
        }
        let again = Duration::from_secs(DELETION_TIMEOUT_S as u64);
        Ok(if waiting { Next::After(again) } else { Next::Done })
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
