//! Validation of pods and of the pod templates of workloads.

use super::check::{self, messages};
use super::{container, scheduling, volume};
use crate::field::{At, Errors};
use crate::{Value, names};

const RESTART: [&str; 3] = ["Always", "OnFailure", "Never"];
const DNS: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// A pod's spec. Models: `ValidatePodSpec`.
pub fn spec(spec: &Value, at: &At<'_>, e: &mut Errors) {
    volume::validate_all(spec.get("volumes"), &at.field("volumes"), e);
    container::validate_all(spec, at, e);
    check::choice(spec, "restartPolicy", at, &RESTART, e);
    check::choice(spec, "dnsPolicy", at, &DNS, e);
    scheduling::validate(spec, at, e);
    for key in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        let name = spec.get(key).text();
        if !name.is_empty() {
            messages(name, names::dns_subdomain(name), &at.field(key), e);
        }
    }
    if let Some(n) = spec.get("activeDeadlineSeconds").as_int()
        && !(1..=2_147_483_647).contains(&n)
    {
        e.invalid(&at.field("activeDeadlineSeconds"), n, "must be between 1 and 2147483647, inclusive");
    }
    for key in ["hostname", "subdomain"] {
        let name = spec.get(key).text();
        if !name.is_empty() {
            messages(name, names::dns_label(name), &at.field(key), e);
        }
    }
    let aliases = at.field("hostAliases");
    for (i, a) in spec.get("hostAliases").items().enumerate() {
        let at = aliases.index(i);
        check::ip(a.get("ip").text(), &at.field("ip"), e);
        for (j, n) in a.get("hostnames").items().enumerate() {
            messages(n.text(), names::dns_subdomain(n.text()), &at.field("hostnames").index(j), e);
        }
    }
    if spec.get("dnsPolicy").text() == "None" && spec.at(&["dnsConfig", "nameservers"]).is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        e.required(&at.field("dnsConfig"), why);
    }
    let gates = at.field("readinessGates");
    for (i, g) in spec.get("readinessGates").items().enumerate() {
        let kind = g.get("conditionType").text();
        messages(kind, names::qualified_name(kind), &gates.index(i).field("conditionType"), e);
    }
    pod_security(spec.get("securityContext"), &at.field("securityContext"), e);
    container::resources(spec.get("resources"), &at.field("resources"), e);
}

fn pod_security(v: &Value, at: &At<'_>, e: &mut Errors) {
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        if v.get(key).as_int().is_some_and(|n| !(0..=2_147_483_647).contains(&n)) {
            e.invalid(&at.field(key), v.get(key), "must be between 0 and 2147483647, inclusive");
        }
    }
    check::choice(v, "fsGroupChangePolicy", at, &["Always", "OnRootMismatch"], e);
}

/// A pod on create and update.
pub fn pod(v: &Value, e: &mut Errors) {
    let cost = v.annotations().get("controller.kubernetes.io/pod-deletion-cost");
    if cost.is_some() && !is_int32(cost.text()) {
        let root = At::Path("metadata.annotations");
        e.invalid(
            &root.key("controller.kubernetes.io/pod-deletion-cost"),
            cost.text(),
            "must be a 32bit integer",
        );
    }
    spec(v.get("spec"), &At::Path("spec"), e);
}

fn is_int32(s: &str) -> bool {
    s.parse::<i32>().is_ok_and(|n| n.to_string() == s)
}

/// The template of a workload: labels and spec. Models: `ValidatePodTemplateSpec`.
pub fn template(t: &Value, at: &At<'_>, e: &mut Errors) {
    let meta = at.field("metadata");
    check::labels(t.at(&["metadata", "labels"]), &meta.field("labels"), e);
    let at_annotations = meta.field("annotations");
    for (k, _) in t.at(&["metadata", "annotations"]).entries() {
        messages(k, names::qualified_name(&k.to_lowercase()), &at_annotations, e);
    }
    spec(t.get("spec"), &at.field("spec"), e);
    if !t.at(&["spec", "ephemeralContainers"]).is_empty() {
        let at = at.field("spec");
        e.forbidden(&at.field("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// The template of a workload whose pods run for ever. `selects` is whether the selector matches the template's labels.
pub fn lasting_template(t: &Value, selects: bool, at: &At<'_>, e: &mut Errors) {
    let (meta, spec_at) = (at.field("metadata"), at.field("spec"));
    if !selects {
        let why = "`selector` does not match template `labels`";
        e.invalid(&meta.field("labels"), t.at(&["metadata", "labels"]), why);
    }
    template(t, at, e);
    let restart = t.at(&["spec", "restartPolicy"]);
    if restart.text() != "Always" && RESTART.contains(&restart.text()) {
        e.one_of(&spec_at.field("restartPolicy"), restart.text(), &["Always"]);
    }
    if t.at(&["spec", "activeDeadlineSeconds"]).is_some() {
        let why = "activeDeadlineSeconds in ReplicaSet is not Supported";
        e.forbidden(&spec_at.field("activeDeadlineSeconds"), why);
    }
}

/// What an update of a pod may change. Models: `ValidatePodUpdate`.
pub fn pod_update(new: &Value, old: &Value, e: &mut Errors) {
    let at = At::Path("spec");
    gates(new.at(&["spec", "schedulingGates"]), old.at(&["spec", "schedulingGates"]), &at, e);
    let (mut probe, before) = (new.get("spec").clone(), old.get("spec"));
    if probe.get("containers").len() != before.get("containers").len() {
        e.forbidden(&at.field("containers"), "pod updates may not add or remove containers");
        return;
    }
    if probe.get("initContainers").len() != before.get("initContainers").len() {
        e.forbidden(&at.field("initContainers"), "pod updates may not add or remove containers");
        return;
    }
    let deadline = before.get("activeDeadlineSeconds").as_int();
    match (probe.get("activeDeadlineSeconds").as_int(), deadline) {
        (Some(n), Some(o)) if n > o => {
            let why = "must be less than or equal to previous value";
            e.invalid(&at.field("activeDeadlineSeconds"), n, why);
            return;
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            e.invalid(&at.field("activeDeadlineSeconds"), Value::Null, why);
            return;
        }
        _ => {}
    }
    // What may change is set back; anything else that still differs may not.
    for list in ["containers", "initContainers"] {
        if probe.get(list).is_empty() {
            continue;
        }
        for (c, o) in probe.slot(&[list]).list_mut().iter_mut().zip(before.get(list).items()) {
            c.insert("image", o.get("image"));
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates"] {
        match before.get(key) {
            Value::Null => {
                probe.remove(&[key]);
            }
            v => probe.insert(key, v),
        }
    }
    if before.get("terminationGracePeriodSeconds").int() < 0
        && probe.get("terminationGracePeriodSeconds").int() == 1
    {
        probe.insert("terminationGracePeriodSeconds", before.get("terminationGracePeriodSeconds"));
    }
    let additions = before.get("tolerations").items().all(|t| {
        let same = |x: &Value| ["key", "operator", "value", "effect"].iter().all(|k| x.get(k) == t.get(k));
        probe.get("tolerations").items().any(same)
    });
    if additions {
        match before.get("tolerations") {
            Value::Null => {
                probe.remove(&["tolerations"]);
            }
            v => probe.insert("tolerations", v),
        }
    }
    if !old.at(&["spec", "schedulingGates"]).is_empty() {
        relax_gated(&mut probe, before);
    }
    if probe != *before {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        let diff = super::diff::pod_specs(before, &probe);
        e.forbidden(&At::Path("spec"), &format!("{why}\n{diff}"));
    }
}

/// Gated pods may get a narrower node selector and affinity.
fn relax_gated(probe: &mut Value, before: &Value) {
    let kept = before.get("nodeSelector").entries().all(|(k, v)| probe.at(&["nodeSelector", k]) == v);
    for key in ["nodeSelector", "affinity"] {
        if key == "nodeSelector" && !kept {
            continue;
        }
        match before.get(key) {
            Value::Null => {
                probe.remove(&[key]);
            }
            v => probe.insert(key, v),
        }
    }
}

fn gates(new: &Value, old: &Value, at: &At<'_>, e: &mut Errors) {
    let list = at.field("schedulingGates");
    for (i, g) in new.items().enumerate() {
        let name = g.get("name").text();
        if !old.items().any(|o| o.get("name").text() == name) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            e.forbidden(&list.index(i).field("name"), &why);
        }
    }
}

/// What an update by the `ephemeralcontainers` subresource may change.
pub fn ephemeral_update(new: &Value, old: &Value, e: &mut Errors) {
    let at = At::Path("spec.ephemeralContainers");
    let new_list = new.at(&["spec", "ephemeralContainers"]);
    for o in old.at(&["spec", "ephemeralContainers"]).items() {
        let name = o.get("name").text();
        match new_list.items().find(|n| n.get("name").text() == name) {
            None => {
                e.forbidden(&at, &format!("existing ephemeral containers \"{name}\" may not be removed\n"))
            }
            Some(n) if n != o => {
                e.forbidden(&at, &format!("existing ephemeral containers \"{name}\" may not be changed\n"))
            }
            _ => {}
        }
    }
}
