//! The ClusterRole aggregation controller: roles whose rules are those of other roles.
//!
//! Models: `pkg/controller/clusterroleaggregation`.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, key_of};
use api::selector::Selector;
use api::{Value, obj};
use apiserver::ResId;

/// The controller.
#[derive(Clone, Debug)]
pub struct Aggregation {
    roles: ResId,
}

impl Aggregation {
    /// The controller of ClusterRoles with an aggregation rule.
    pub fn new(kinds: &Kinds) -> Self {
        Aggregation { roles: kinds.get("rbac.authorization.k8s.io", "clusterroles") }
    }
}

fn selectors(role: &Value) -> &Value {
    role.at(&["aggregationRule", "clusterRoleSelectors"])
}

impl Controller for Aggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.roles]
    }

    fn seen(&mut self, _: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        for role in informers.list(self.roles, "").filter(|r| !selectors(r).is_empty()) {
            queue.add(key_of(role));
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(role) = turn.cached(self.roles, key) else { return Ok(Next::Done) };
        let mut rules: Vec<Value> = Vec::new();
        for s in selectors(&role).items() {
            let Ok(selector) = Selector::of(s) else { continue };
            // By name, and each rule once.
            for other in turn.informers.list(self.roles, "") {
                if other.name() == role.name() || !selector.matches(other.labels()) {
                    continue;
                }
                for rule in other.get("rules").items() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        if role.get("rules").items().eq(rules.iter()) {
            return Ok(Next::Done);
        }
        let patch = obj!({"rules": rules});
        turn.client.merge(self.roles, "", "", role.name(), patch)?;
        Ok(Next::Done)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
