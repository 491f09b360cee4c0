//! What a pod's spec says about its place: node selectors, affinity, tolerations, spreading.

use super::check::{self, labels, messages};
use crate::field::{At, ErrorType, Errors};
use crate::{Value, names};

/// All of it.
pub fn validate(spec: &Value, at: &At<'_>, e: &mut Errors) {
    labels(spec.get("nodeSelector"), &at.field("nodeSelector"), e);
    affinity(spec.get("affinity"), &at.field("affinity"), e);
    tolerations(spec.get("tolerations"), &at.field("tolerations"), e);
    spread(spec.get("topologySpreadConstraints"), &at.field("topologySpreadConstraints"), e);
    let gates = at.field("schedulingGates");
    let mut seen: Vec<&str> = Vec::new();
    for (i, g) in spec.get("schedulingGates").items().enumerate() {
        let name = g.get("name").text();
        messages(name, names::qualified_name(name), &gates.index(i).field("name"), e);
        if seen.contains(&name) {
            e.duplicate(&gates.index(i), name);
        }
        seen.push(name);
    }
}

fn affinity(v: &Value, at: &At<'_>, e: &mut Errors) {
    let node = at.field("nodeAffinity");
    let required = v.at(&["nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    if required.is_some() {
        node_selector(required, &node.field("requiredDuringSchedulingIgnoredDuringExecution"), e);
    }
    let preferred = node.field("preferredDuringSchedulingIgnoredDuringExecution");
    let terms = v.at(&["nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"]);
    for (i, t) in terms.items().enumerate() {
        let at = preferred.index(i);
        weight(t, &at, e);
        node_term(t.get("preference"), &at.field("preference"), e);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let root = at.field(kind);
        let list = root.field("requiredDuringSchedulingIgnoredDuringExecution");
        let terms = v.at(&[kind, "requiredDuringSchedulingIgnoredDuringExecution"]);
        for (i, t) in terms.items().enumerate() {
            pod_term(t, &list.index(i), e);
        }
        let list = root.field("preferredDuringSchedulingIgnoredDuringExecution");
        let terms = v.at(&[kind, "preferredDuringSchedulingIgnoredDuringExecution"]);
        for (i, t) in terms.items().enumerate() {
            let at = list.index(i);
            weight(t, &at, e);
            pod_term(t.get("podAffinityTerm"), &at.field("podAffinityTerm"), e);
        }
    }
}

fn weight(t: &Value, at: &At<'_>, e: &mut Errors) {
    let w = t.get("weight").int();
    if !(1..=100).contains(&w) {
        e.invalid(&at.field("weight"), w, "must be in the range 1-100");
    }
}

/// A `NodeSelector`, of pods and of volumes.
pub fn node_selector(v: &Value, at: &At<'_>, e: &mut Errors) {
    let list = at.field("nodeSelectorTerms");
    if v.get("nodeSelectorTerms").is_empty() {
        e.required(&list, "must have at least one node selector term");
    }
    for (i, t) in v.get("nodeSelectorTerms").items().enumerate() {
        node_term(t, &list.index(i), e);
    }
}

fn node_term(t: &Value, at: &At<'_>, e: &mut Errors) {
    for key in ["matchExpressions", "matchFields"] {
        let list = at.field(key);
        for (i, r) in t.get(key).items().enumerate() {
            let at = list.index(i);
            let n = r.get("values").len();
            let values = at.field("values");
            match r.get("operator").text() {
                "In" | "NotIn" if n == 0 => {
                    e.required(&values, "must be specified when `operator` is 'In' or 'NotIn'")
                }
                "Exists" | "DoesNotExist" if n > 0 => {
                    e.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
                }
                "Gt" | "Lt" if n != 1 => {
                    e.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'")
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
                other => e.invalid(&at.field("operator"), other, "not a valid selector operator"),
            }
            let k = r.get("key").text();
            if key == "matchFields" {
                if k != "metadata.name" {
                    e.invalid(&at.field("key"), k, "not a valid field selector key");
                }
                continue;
            }
            messages(k, names::qualified_name(k), &at.field("key"), e);
            for (j, v) in r.get("values").items().enumerate() {
                messages(v.text(), names::label_value(v.text()), &values.index(j), e);
            }
        }
    }
}

fn pod_term(t: &Value, at: &At<'_>, e: &mut Errors) {
    check::selector(t.get("labelSelector"), &at.field("labelSelector"), e);
    check::selector(t.get("namespaceSelector"), &at.field("namespaceSelector"), e);
    for (i, ns) in t.get("namespaces").items().enumerate() {
        messages(ns.text(), names::dns_label(ns.text()), &at.field("namespaces").index(i), e);
    }
    let key = t.get("topologyKey").text();
    if key.is_empty() {
        e.required(&at.field("topologyKey"), "can not be empty");
    } else {
        messages(key, names::qualified_name(key), &at.field("topologyKey"), e);
    }
}

/// Tolerations. Models: `ValidateTolerations`.
pub fn tolerations(v: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, t) in v.items().enumerate() {
        let at = at.index(i);
        let (key, op, value) = (t.get("key").text(), t.get("operator").text(), t.get("value").text());
        if !key.is_empty() {
            messages(key, names::qualified_name(key), &at.field("key"), e);
        } else if op != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            e.invalid(&at.field("operator"), op, why);
        }
        if t.get("tolerationSeconds").is_some() && t.get("effect").text() != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            e.invalid(&at.field("effect"), t.get("effect").text(), why);
        }
        match op {
            "" | "Equal" => messages(value, names::label_value(value), &at.field("operator"), e),
            "Exists" if !value.is_empty() => {
                let shown = crate::gostruct::internal_json("io.k8s.api.core.v1.Toleration", t);
                let why = "value must be empty when `operator` is 'Exists'";
                e.printed(ErrorType::Invalid, &at.field("operator"), &shown, why);
            }
            "Exists" => {}
            other => e.one_of(&at.field("operator"), other, &["Equal", "Exists"]),
        }
        let effects = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
        let effect = t.get("effect").text();
        if !effect.is_empty() && !effects.contains(&effect) {
            e.one_of(&at.field("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

fn spread(v: &Value, at: &At<'_>, e: &mut Errors) {
    const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
    let pair = |c: &Value| (c.get("topologyKey").smol(), c.get("whenUnsatisfiable").smol());
    for (i, c) in v.items().enumerate() {
        let at = at.index(i);
        if c.get("maxSkew").int() <= 0 {
            e.invalid(&at.field("maxSkew"), c.get("maxSkew").int(), "must be greater than zero");
        }
        let (key, action) = (c.get("topologyKey").text(), c.get("whenUnsatisfiable").text());
        if key.is_empty() {
            e.required(&at.field("topologyKey"), "can not be empty");
        } else {
            messages(key, names::qualified_name(key), &at.field("topologyKey"), e);
        }
        if !ACTIONS.contains(&action) {
            e.not_supported(&at.field("whenUnsatisfiable"), action, &ACTIONS);
        }
        // Reported of the first of two.
        if v.items().skip(i + 1).any(|other| pair(other) == pair(c)) {
            let at = at.field("{topologyKey, whenUnsatisfiable}");
            e.duplicate(&at, format!("{{{key}, {action}}}"));
        }
        if let Some(n) = c.get("minDomains").as_int() {
            if n <= 0 {
                e.invalid(&at.field("minDomains"), n, "must be greater than zero");
            } else if action != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                e.invalid(&at.field("minDomains"), n, &why);
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = c.get(key).text();
            if !policy.is_empty() && !["Honor", "Ignore"].contains(&policy) {
                e.not_supported(&at.field(key), policy, &["Honor", "Ignore"]);
            }
        }
        check::selector(c.get("labelSelector"), &at.field("labelSelector"), e);
    }
}

/// Whether a toleration tolerates a taint. Models: `Toleration.ToleratesTaint`.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = toleration.get("effect").text();
    let key = toleration.get("key").text();
    (effect.is_empty() || effect == taint.get("effect").text())
        && (key.is_empty() || key == taint.get("key").text())
        && match toleration.get("operator").text() {
            "" | "Equal" => !key.is_empty() && toleration.get("value").text() == taint.get("value").text(),
            "Exists" => true,
            _ => false,
        }
}

/// Path of a pod's required node affinity.
pub const REQUIRED_NODE_AFFINITY: [&str; 4] =
    ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];

/// Whether a pod's required node affinity and selector match a node.
pub fn matches_node(pod: &Value, node: &Value) -> bool {
    let labels = node.labels();
    let selector = pod.at(&["spec", "nodeSelector"]);
    if !selector.entries().all(|(k, v)| labels.get(k) == v) {
        return false;
    }
    let required = pod.at(&REQUIRED_NODE_AFFINITY);
    required.is_null() || required.get("nodeSelectorTerms").items().any(|t| matches_term(t, node))
}

/// Whether a node selector term matches a node; an empty term matches none.
pub fn matches_term(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (term.get("matchExpressions"), term.get("matchFields"));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.items().all(|e| requirement(e, node.labels().get(e.get("key").text()).as_str()))
        && fields.items().all(|e| {
            let value = (e.get("key").text() == "metadata.name").then(|| node.name());
            requirement(e, value)
        })
}

fn requirement(e: &Value, have: Option<&str>) -> bool {
    let values = e.get("values");
    let among = |h: &str| values.items().any(|v| v.text() == h);
    let number = |s: &str| s.parse::<i64>().ok();
    match e.get("operator").text() {
        "In" => have.is_some_and(among),
        "NotIn" => !have.is_some_and(among),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        op @ ("Gt" | "Lt") => {
            match (have.and_then(number), values.items().next().and_then(|v| number(v.text()))) {
                (Some(h), Some(w)) => {
                    if op == "Gt" {
                        h > w
                    } else {
                        h < w
                    }
                }
                _ => false,
            }
        }
        _ => false,
    }
}
