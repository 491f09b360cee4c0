//! NodeRestriction and TaintNodesByCondition: what a kubelet may write, and that a new node begins as not ready.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status, Verb};
use api::{Value, obj};

const LEASES: &str = "kube-node-lease";
const MIRROR: &str = "kubernetes.io/config.mirror";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Labels of Kubernetes' own domains that a kubelet may set. Models: `kubeletapis.IsKubeletLabel`.
const OWN_LABELS: [&str; 12] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/windows-build",
];

/// A node is not ready before its kubelet says so.
pub(crate) fn taint(_api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if a.creates("Node") {
        let tainted = a.new.at(&["spec", "taints"]).items().any(|t| t.get("key").text() == NOT_READY);
        if !tainted {
            a.new.push_at(&["spec", "taints"], obj!({"key": NOT_READY, "effect": "NoSchedule"}));
        }
    }
    Ok(())
}

/// The plugin.
pub(crate) fn restrict(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if !cx.user.in_group("system:nodes") {
        return Ok(());
    }
    let Some(node) = cx.user.name.strip_prefix("system:node:").map(str::to_owned) else { return Ok(()) };
    let why = match (a.r.group.as_str(), a.r.kind.as_str(), a.op.sub.as_str()) {
        ("", "Node", _) => own_node(a, &node),
        ("", "Pod", "") => pod(a, &node),
        ("", "Pod", "status") => pod_status(a, &node),
        ("", "ServiceAccount", "token") => token(api, a, &node),
        ("coordination.k8s.io", "Lease", _) => lease(a, &node),
        ("storage.k8s.io", "CSINode", _) if name(a) != node => {
            Some("can only access CSINode with the same name as the requesting node".to_owned())
        }
        _ => None,
    };
    match why {
        None => Ok(()),
        Some(why) => Err(Status::forbidden(&a.r.group, &a.r.plural, name(a), &why)),
    }
}

fn name<'a>(a: &'a Attempt<'_>) -> &'a str {
    if a.op.name.is_empty() { a.new.name() } else { &a.op.name }
}

fn own_node(a: &Attempt<'_>, node: &str) -> Option<String> {
    let wanted = name(a);
    if wanted != node {
        return Some(format!("node {node:?} is not allowed to modify node {wanted:?}"));
    }
    if a.new.is_null() {
        return None;
    }
    if a.old.is_some() && a.new.at(&["spec", "taints"]) != a.old.at(&["spec", "taints"]) {
        return Some(format!("node {node:?} is not allowed to modify taints"));
    }
    let (new, old) = (a.new.labels(), a.old.labels());
    let changed = new.entries().filter(|(k, v)| old.get(k) != *v).map(|(k, _)| k.as_str());
    let gone = old.entries().filter(|(k, _)| new.get(k).is_null()).map(|(k, _)| k.as_str());
    // A control plane's kubelet marks its node when it comes up, as kubeadm does for it.
    let role = |k: &str| a.old.is_null() && k.starts_with("node-role.kubernetes.io/");
    let mut bad: Vec<&str> = changed.chain(gone).filter(|k| forbidden(k) && !role(k)).collect();
    bad.sort_unstable();
    bad.dedup();
    if bad.is_empty() {
        return None;
    }
    let what = if a.old.is_null() { "set the following labels" } else { "modify labels" };
    Some(format!("node {node:?} is not allowed to {what}: {}", bad.join(", ")))
}

fn forbidden(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return false };
    let within = |d: &str| domain == d || domain.ends_with(&format!(".{d}"));
    if within("node-restriction.kubernetes.io") {
        return true;
    }
    (within("kubernetes.io") || within("k8s.io"))
        && !OWN_LABELS.contains(&label)
        && !within("kubelet.kubernetes.io")
        && !within("node.kubernetes.io")
}

fn pod(a: &Attempt<'_>, node: &str) -> Option<String> {
    let bound = |v: &Value| v.at(&["spec", "nodeName"]).text() == node;
    if a.new.is_null() {
        return (!bound(&a.old))
            .then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"));
    }
    if a.old.is_some() {
        return Some(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        ));
    }
    if a.new.annotations().get(MIRROR).is_null() {
        return Some(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if !bound(&a.new) {
        return Some(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    None
}

fn pod_status(a: &Attempt<'_>, node: &str) -> Option<String> {
    if a.old.at(&["spec", "nodeName"]).text() != node {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    (a.new.labels() != a.old.labels())
        .then(|| format!("node {node:?} cannot update labels through pod status"))
}

fn token(api: &ApiServer, a: &Attempt<'_>, node: &str) -> Option<String> {
    let bound = a.op.body.at(&["spec", "boundObjectRef"]);
    if bound.kind() != "Pod" || bound.get("name").text().is_empty() {
        return Some("node requested token not bound to a pod".into());
    }
    if bound.get("uid").text().is_empty() {
        return Some("node requested token with a pod binding without a uid".into());
    }
    let pods = api.registry.id("", "v1", "pods")?;
    let pod = api.store.get(pods, &a.op.namespace, bound.get("name").text())?;
    (pod.at(&["spec", "nodeName"]).text() != node)
        .then(|| "node requested token bound to a pod scheduled on a different node".into())
}

fn lease(a: &Attempt<'_>, node: &str) -> Option<String> {
    if a.op.namespace != LEASES {
        return Some(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    (name(a) != node && a.op.verb != Verb::DeleteCollection)
        .then(|| "can only access node lease with the same name as the requesting node".into())
}
