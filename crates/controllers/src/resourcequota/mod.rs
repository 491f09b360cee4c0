//! The ResourceQuota controller: how much of each quota is used.
//!
//! Models: `pkg/controller/resourcequota`. Admission counts what is granted at once; this controller publishes limits and
//! gives back what went. Objects of kinds that it does not watch are counted with the next resync.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, key_of};
use api::Value;
use api::quantity::Quantity;
use apiserver::admission::quota::{covers, usage};
use apiserver::{ResId, Status};
use sim::Duration;

/// Models: `--resource-quota-sync-period`.
const RESYNC: Duration = Duration::from_secs(300);

/// The controller.
#[derive(Clone, Debug)]
pub struct ResourceQuotas {
    quotas: ResId,
    pods: ResId,
    /// Kinds whose objects give something back when they go.
    counted: Vec<ResId>,
}

impl ResourceQuotas {
    /// The controller of `v1` ResourceQuotas.
    pub fn new(kinds: &Kinds) -> Self {
        let names = [
            ("", "pods"),
            ("", "services"),
            ("", "persistentvolumeclaims"),
            ("", "configmaps"),
            ("", "secrets"),
            ("", "replicationcontrollers"),
            ("apps", "deployments"),
            ("apps", "replicasets"),
            ("apps", "statefulsets"),
            ("apps", "daemonsets"),
            ("batch", "jobs"),
            ("batch", "cronjobs"),
            ("networking.k8s.io", "ingresses"),
        ];
        ResourceQuotas {
            quotas: kinds.get("", "resourcequotas"),
            pods: kinds.get("", "pods"),
            counted: names.iter().map(|(g, p)| kinds.get(g, p)).collect(),
        }
    }

    /// What all objects of a resource use that a quota covers, by the quota's names.
    fn used_by(
        &self,
        turn: &mut Turn<'_>,
        quota: &Value,
        res: ResId,
        used: &mut Value,
    ) -> Result<(), Status> {
        let r = turn.client.api.registry.get(res).clone();
        for v in turn.client.list(res, quota.namespace())? {
            if !covers(quota, &r.kind, &v) {
                continue;
            }
            for (k, n) in usage(&r, &v).entries() {
                let had = used.get(k);
                if had.is_some() {
                    let sum = Quantity::or_zero(had) + Quantity::or_zero(n);
                    used.insert(k, sum.canonical());
                }
            }
        }
        Ok(())
    }
}

/// Group and plural of what a quota's name counts. Models: `CalculateUsage` with its evaluators.
fn counts(name: &str) -> (&str, &str) {
    if let Some(what) = name.strip_prefix("count/") {
        return what.split_once('.').map_or(("", what), |(plural, group)| (group, plural));
    }
    let storage = name.ends_with("requests.storage") || name.contains(".storageclass.storage.k8s.io/");
    match name {
        "services.nodeports" | "services.loadbalancers" => ("", "services"),
        "configmaps"
        | "secrets"
        | "services"
        | "replicationcontrollers"
        | "resourcequotas"
        | "persistentvolumeclaims" => ("", name),
        _ if storage => ("", "persistentvolumeclaims"),
        _ => ("", "pods"),
    }
}

fn over(pod: &Value) -> bool {
    matches!(pod.at(&["status", "phase"]).text(), "Succeeded" | "Failed")
}

impl Controller for ResourceQuotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        let mut all = self.counted.clone();
        all.push(self.quotas);
        all
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.quotas {
            if seen.new.is_some() && seen.old.get("spec") != seen.new.get("spec") {
                queue.add(seen.key());
            }
            return;
        }
        let ended = seen.res == self.pods && seen.old.is_some() && over(seen.new) && !over(seen.old);
        if seen.new.is_null() || ended {
            for q in informers.list(self.quotas, seen.object().namespace()) {
                queue.add(key_of(q));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(quota) = turn.cached(self.quotas, key) else { return Ok(Next::Done) };
        let hard = quota.at(&["spec", "hard"]);
        let mut used = Value::map();
        let mut kinds: Vec<ResId> = Vec::new();
        for (name, _) in hard.entries() {
            let (group, plural) = counts(name);
            used.insert(name, "0");
            if let Some(res) = turn.client.resource(group, plural)
                && !kinds.contains(&res)
            {
                kinds.push(res);
            }
        }
        for res in kinds {
            self.used_by(turn, &quota, res, &mut used)?;
        }
        let mut new = quota.clone();
        new.set(&["status", "hard"], hard);
        new.set(&["status", "used"], used);
        if new != quota {
            turn.client.update_sub(self.quotas, "status", new)?;
        }
        Ok(Next::After(RESYNC))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
