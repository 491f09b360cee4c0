//! Which nodes a DaemonSet's pods belong on.

use crate::runtime::pod_from_template;
use api::{Value, obj};

const REQUIRED: [&str; 4] =
    ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];

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
    pod.set(&REQUIRED, obj!({"nodeSelectorTerms": [{"matchFields": [field]}]}));
}

/// The node that a pod is on or pinned to.
pub(super) fn node_of(pod: &Value) -> &str {
    let on = pod.at(&["spec", "nodeName"]).text();
    if !on.is_empty() {
        return on;
    }
    pod.at(&REQUIRED)
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
    if (!name.is_empty() && name != node.name()) || !matches(pod, node) {
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

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (effect, key) = (toleration.get("effect").text(), toleration.get("key").text());
    (effect.is_empty() || effect == taint.get("effect").text())
        && (key.is_empty() || key == taint.get("key").text())
        && (toleration.get("operator").text() == "Exists"
            || toleration.get("value").text() == taint.get("value").text())
}

fn matches(pod: &Value, node: &Value) -> bool {
    let labels = node.labels();
    let required = pod.at(&REQUIRED);
    pod.at(&["spec", "nodeSelector"]).entries().all(|(k, v)| labels.get(k) == v)
        && (required.is_null() || required.get("nodeSelectorTerms").items().any(|t| term(t, node)))
}

fn term(t: &Value, node: &Value) -> bool {
    let (expressions, fields) = (t.get("matchExpressions"), t.get("matchFields"));
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.items().all(|e| requirement(e, node.labels().get(e.get("key").text()).as_str()))
        && fields.items().all(|e| requirement(e, Some(node.name())))
}

fn requirement(e: &Value, have: Option<&str>) -> bool {
    let among = |h: &str| e.get("values").items().any(|v| v.text() == h);
    let number = |s: &str| s.parse::<i64>().ok();
    let limit = e.get("values").items().next().and_then(|v| number(v.text()));
    match e.get("operator").text() {
        "In" => have.is_some_and(among),
        "NotIn" => !have.is_some_and(among),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        "Gt" => have.and_then(number).zip(limit).is_some_and(|(h, l)| h > l),
        "Lt" => have.and_then(number).zip(limit).is_some_and(|(h, l)| h < l),
        _ => false,
    }
}
