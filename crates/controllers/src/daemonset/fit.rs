//! Which nodes a DaemonSet's pods belong on.

use crate::runtime::pod_from_template;
use api::kinds::scheduling::{REQUIRED_NODE_AFFINITY, matches_node, tolerates};
use api::{Value, obj};

/// The pod of a DaemonSet, before it is bound to a node.
pub(super) fn pod_of(ds: &Value) -> Value {
    let mut pod = pod_from_template(ds.at(&["spec", "template"]), ds);
    let mut wanted = vec![
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ];
    if pod.at(&["spec", "hostNetwork"]).is_true() {
        wanted.push(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    }
    for (key, effect) in wanted {
        let t = obj!({"key": key, "operator": "Exists", "effect": effect});
        if !pod.at(&["spec", "tolerations"]).items().any(|have| have == &t) {
            pod.push_at(&["spec", "tolerations"], t);
        }
    }
    pod
}

/// The pod of a DaemonSet on a node: the node is wanted by name, whatever else was required.
pub(super) fn pin(pod: &mut Value, node: &str) {
    let field = obj!({"key": "metadata.name", "operator": "In", "values": [node]});
    pod.set(&REQUIRED_NODE_AFFINITY, obj!({"nodeSelectorTerms": [{"matchFields": [field]}]}));
}

/// The node that a pod is on or pinned to.
pub(super) fn node_of(pod: &Value) -> &str {
    let on = pod.at(&["spec", "nodeName"]).text();
    if !on.is_empty() {
        return on;
    }
    pod.at(&REQUIRED_NODE_AFFINITY)
        .get("nodeSelectorTerms")
        .items()
        .flat_map(|t| t.get("matchFields").items())
        .find(|f| f.get("key").text() == "metadata.name" && f.get("operator").text() == "In")
        .and_then(|f| f.get("values").items().next())
        .map_or("", |v| v.text())
}

/// Whether a pod should run on a node, and whether one that runs there may stay. Models: `NodeShouldRunDaemonPod`.
pub(super) fn should_run(pod: &Value, node: &Value) -> (bool, bool) {
    let name = pod.at(&["spec", "nodeName"]).text();
    if (!name.is_empty() && name != node.name()) || !matches_node(pod, node) {
        return (false, false);
    }
    let untolerated = |effects: &[&str]| {
        node.at(&["spec", "taints"]).items().any(|t| {
            effects.contains(&t.get("effect").text())
                && !pod.at(&["spec", "tolerations"]).items().any(|x| tolerates(x, t))
        })
    };
    if untolerated(&["NoSchedule", "NoExecute"]) {
        return (false, !untolerated(&["NoExecute"]));
    }
    (true, true)
}
