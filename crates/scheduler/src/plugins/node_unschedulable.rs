//! NodeUnschedulable: cordoned nodes take no new pods, unless the pod tolerates it.

use super::{Plugin, Reason};
use api::kinds::scheduling::tolerates;
use api::obj;

/// What people see.
pub const REASON: &str = "node(s) were unschedulable";

pub(super) static PLUGIN: Plugin = Plugin {
    name: "NodeUnschedulable",
    filter: Some(|c, n| {
        if !n.node.at(&["spec", "unschedulable"]).is_true() {
            return Ok(());
        }
        let taint = obj!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
        let tolerated = c.pod.pod.at(&["spec", "tolerations"]).items().any(|t| tolerates(t, &taint));
        if tolerated { Ok(()) } else { Err(Reason::fixed(REASON)) }
    }),
    ..Plugin::NONE
};
