//! Rolling updates of a DaemonSet, with and without surge.

use super::{DaemonSets, Plan, fit};
use crate::runtime::{Turn, int_or_percent};
use api::{SmolStr, Value};
use apiserver::Status;

const ROLLING: [&str; 3] = ["spec", "updateStrategy", "rollingUpdate"];

fn desired(plan: &Plan) -> i64 {
    plan.nodes.iter().filter(|n| fit::should_run(&plan.pod, n).0).count() as i64
}

/// How many nodes may have a new pod beside the old one; 0 if the strategy is another.
pub(super) fn surge_max(plan: &Plan) -> i64 {
    if plan.ds.at(&["spec", "updateStrategy", "type"]).text() != "RollingUpdate" {
        return 0;
    }
    int_or_percent(plan.ds.at(&ROLLING).get("maxSurge"), desired(plan), true)
}

/// The living new and old pod of a node.
fn pair<'a>(plan: &Plan, pods: &'a [Value]) -> (Option<&'a Value>, Option<&'a Value>) {
    let living = || pods.iter().filter(|p| !p.is_terminating());
    (living().find(|p| plan.updated(p)), living().find(|p| !plan.updated(p)))
}

impl DaemonSets {
    /// Replaces old pods as far as the strategy allows. Models: `rollingUpdate`.
    pub(super) fn roll(&mut self, turn: &mut Turn<'_>, plan: &Plan) -> Result<(), Status> {
        if plan.ds.at(&["spec", "updateStrategy", "type"]).text() != "RollingUpdate" {
            return Ok(());
        }
        let surge = surge_max(plan);
        if surge > 0 { self.roll_with_surge(turn, plan, surge) } else { self.roll_in_place(turn, plan) }
    }

    fn roll_in_place(&mut self, turn: &mut Turn<'_>, plan: &Plan) -> Result<(), Status> {
        let max = int_or_percent(plan.ds.at(&ROLLING).get("maxUnavailable"), desired(plan), true).max(1);
        let (mut unavailable, mut at_once, mut candidates) = (0, Vec::new(), Vec::new());
        for (node, pods) in &plan.by_node {
            if !plan.nodes.iter().any(|n| n.name() == node) {
                continue;
            }
            match pair(plan, pods) {
                (Some(new), _) => unavailable += i64::from(!plan.available(new)),
                (None, None) => unavailable += 1,
                (None, Some(old)) if plan.available(old) => candidates.push(old.clone()),
                // It serves nobody: replacing it costs nothing.
                (None, Some(old)) => {
                    unavailable += 1;
                    at_once.push(old.clone());
                }
            }
        }
        at_once.extend(candidates.into_iter().take((max - unavailable).max(0) as usize));
        self.sync(turn, plan, at_once, Vec::new())
    }

    fn roll_with_surge(&mut self, turn: &mut Turn<'_>, plan: &Plan, max: i64) -> Result<(), Status> {
        let (mut surging, mut doomed) = (0, Vec::new());
        let (mut at_once, mut candidates): (Vec<SmolStr>, Vec<SmolStr>) = (Vec::new(), Vec::new());
        for node in plan.nodes.iter().filter(|n| fit::should_run(&plan.pod, n).0) {
            match pair(plan, plan.on(node.name())) {
                (_, None) => {}
                (None, Some(old)) if plan.available(old) => candidates.push(node.name().into()),
                (None, Some(_)) => at_once.push(node.name().into()),
                (Some(new), Some(old)) if plan.available(new) => doomed.push(old.clone()),
                (Some(_), Some(_)) => surging += 1,
            }
        }
        at_once.extend(candidates.into_iter().take((max - surging).max(0) as usize));
        self.sync(turn, plan, doomed, at_once)
    }
}
