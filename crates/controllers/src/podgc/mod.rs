//! The pod garbage collector: pods of nodes that are gone, and ended pods beyond a limit.
//!
//! Models: `pkg/controller/podgc`.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::ResId;
use sim::Duration;

/// How often it looks. Models: `gcCheckPeriod`.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node has to be gone. Models: `quarantineTime`.
const QUARANTINE_S: u64 = 40;
/// Models: `--terminated-pod-gc-threshold`.
const ENDED_MAX: usize = 12_500;

/// The controller.
#[derive(Clone, Debug)]
pub struct PodGc {
    pods: ResId,
    nodes: ResId,
    /// When each node that pods name was first missing.
    missing: sim::persistent::OrdMap<api::SmolStr, sim::Instant>,
}

impl PodGc {
    /// The collector.
    pub fn new(kinds: &Kinds) -> Self {
        PodGc {
            pods: kinds.get("", "pods"),
            nodes: kinds.get("", "nodes"),
            missing: sim::persistent::OrdMap::new(),
        }
    }

    fn delete(&self, turn: &mut Turn<'_>, pod: &Value, reason: Option<&str>) {
        let over = matches!(pod.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
        if let Some(message) = reason.filter(|_| !over) {
            let mut new = pod.clone();
            let c = obj!({
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": message,
                "lastProbeTime": null, "lastTransitionTime": turn.client.timestamp(),
                "observedGeneration": pod.generation()
            });
            let list = new.slot(&["status", "conditions"]).list_mut();
            list.retain(|c| c.get("type").text() != "DisruptionTarget");
            list.push(c);
            let conditions = new.at(&["status", "conditions"]).clone();
            let patch = obj!({"status": {"phase": "Failed", "conditions": conditions}});
            let _ = turn.client.merge(self.pods, "status", pod.namespace(), pod.name(), patch);
        }
        let now = obj!({"gracePeriodSeconds": 0});
        let _ = turn.client.delete(self.pods, pod.namespace(), pod.name(), now);
    }
}

impl Controller for PodGc {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.pods, self.nodes]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        let gone = match seen.res == self.nodes {
            true => seen.new.is_null(),
            false => {
                let node = seen.new.at(&["spec", "nodeName"]).text();
                !node.is_empty() && informers.get(self.nodes, "", node).is_none()
            }
        };
        let many = seen.res == self.pods
            && !seen.new.is_null()
            && matches!(seen.new.at(&["status", "phase"]).text(), "Succeeded" | "Failed")
            && seen.old.at(&["status", "phase"]) != seen.new.at(&["status", "phase"]);
        let unscheduled = seen.new.is_terminating() && seen.new.at(&["spec", "nodeName"]).text().is_empty();
        if gone || many || unscheduled {
            queue.add_after(Key::default(), PERIOD);
        }
    }

    fn reconcile(&mut self, _: &Key, turn: &mut Turn<'_>) -> Outcome {
        let now = turn.now();
        let all: Vec<Value> = turn.informers.list(self.pods, "").cloned().collect();
        let lost: std::collections::BTreeSet<api::SmolStr> = all
            .iter()
            .map(|p| p.at(&["spec", "nodeName"]).smol())
            .filter(|n| !n.is_empty() && turn.informers.get(self.nodes, "", n).is_none())
            .collect();
        self.missing =
            lost.iter().map(|n| (n.clone(), self.missing.get(n).copied().unwrap_or(now))).collect();
        for pod in &all {
            let node = pod.at(&["spec", "nodeName"]).smol();
            let over = self.missing.get(&node).is_some_and(|at| now.since(*at).as_secs() >= QUARANTINE_S);
            if over {
                self.delete(turn, pod, Some("PodGC: node no longer exists"));
            } else if node.is_empty() && pod.is_terminating() {
                self.delete(turn, pod, None);
            }
        }
        let mut ended: Vec<&Value> = all
            .iter()
            .filter(|p| matches!(p.at(&["status", "phase"]).text(), "Succeeded" | "Failed"))
            .collect();
        ended.sort_by_key(|p| p.at(&["metadata", "creationTimestamp"]).smol());
        let surplus = ended.len().saturating_sub(ENDED_MAX);
        for pod in ended.into_iter().take(surplus) {
            self.delete(turn, pod, None);
        }
        Ok(if self.missing.is_empty() { Next::Done } else { Next::After(PERIOD) })
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
