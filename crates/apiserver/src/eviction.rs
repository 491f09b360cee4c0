//! `pods/eviction`: a delete that asks the pod's disruption budget first.

use crate::server::Cx;
use crate::{ApiServer, Op, Resource, Status};
use api::selector::Selector;
use api::{Value, obj};
use std::sync::Arc;

impl ApiServer {
    /// Evicts a pod. Models: the eviction REST.
    pub(crate) fn evict(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: &Op) -> Result<Value, Status> {
        if op.body.name() != op.name.as_str() {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let Some(pod) = self.store.get(r.id, &op.namespace, &op.name).cloned() else {
            return Err(Status::not_found("", "pods", &op.name));
        };
        let done =
            obj!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        let opts = op.body.get("deleteOptions").clone();
        let phase = pod.at(&["status", "phase"]).text();
        if !matches!(phase, "Succeeded" | "Failed" | "Pending") && !pod.is_terminating() {
            self.spend_budget(cx, op, &pod)?;
        }
        if !op.options.dry_run {
            self.mark_deleted(cx, r, pod, &opts)?;
        }
        Ok(done)
    }

    fn spend_budget(&mut self, cx: &mut Cx, op: &Op, pod: &Value) -> Result<(), Status> {
        let id = self.registry.at("policy", "v1", "poddisruptionbudgets")?;
        let mine: Vec<Value> = self
            .store
            .list(id, Some(&op.namespace), None)
            .map(|(_, b)| b)
            .filter(|b| Selector::of(b.at(&["spec", "selector"])).is_ok_and(|s| s.matches(pod.labels())))
            .cloned()
            .collect();
        let budget = match mine.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            _ => {
                return Err(Status::new(
                    500,
                    "",
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        let name = budget.name().to_owned();
        let ready = pod.condition("Ready").get("status").text() == "True";
        let healthy =
            budget.at(&["status", "currentHealthy"]).int() >= budget.at(&["status", "desiredHealthy"]).int();
        let policy = budget.at(&["spec", "unhealthyPodEvictionPolicy"]).text();
        if !ready
            && (policy == "AlwaysAllow" || (healthy && budget.at(&["status", "desiredHealthy"]).int() > 0))
        {
            return Ok(());
        }
        let stale = budget.at(&["status", "observedGeneration"]).int() < budget.generation();
        let allowed = budget.at(&["status", "disruptionsAllowed"]).int();
        if stale || allowed <= 0 {
            let m = "Cannot evict pod as it would violate the pod's disruption budget.";
            let detail = if stale {
                format!("The disruption budget {name} is still being processed by the server.")
            } else {
                format!(
                    "The disruption budget {name} needs {} healthy pods and has {} currently",
                    budget.at(&["status", "desiredHealthy"]).int(),
                    budget.at(&["status", "currentHealthy"]).int()
                )
            };
            let mut s = Status::too_many_requests(m, if stale { 10 } else { 0 });
            if !stale {
                s.details = Value::map();
            }
            s.details.insert("causes", obj!([{"reason": "DisruptionBudget", "message": detail}]));
            return Err(s);
        }
        if !op.options.dry_run {
            let mut new = budget;
            new.set(&["status", "disruptionsAllowed"], allowed - 1);
            new.set(&["status", "disruptedPods", &op.name], self.timestamp(cx.now));
            let s = self.registry.get(id).clone();
            self.commit(cx, &s, (op.namespace.clone(), name.into()), new);
        }
        Ok(())
    }
}
