//! Node.

use super::{Rules, check, object_age};
use crate::field::At;
use crate::{Value, names};
use sim::Civil;

/// Node.
pub const RULES: Rules = Rules {
    of: ("", "Node"),
    prepare: |new, old| match old {
        None if new.get("status").is_null() => new.set(&["status"], Value::map()),
        None => {}
        Some(old) => new.set(&["status"], old.get("status")),
    },
    validate_update: |new, old, e| {
        let (n, o, at) = (new.get("spec"), old.get("spec"), At::Path("spec"));
        let only = |what: &str| format!("node updates may not change {what} except from \"\" to valid");
        let moved = !o.get("podCIDRs").is_empty()
            && (n.get("podCIDRs") != o.get("podCIDRs") || n.get("podCIDR") != o.get("podCIDR"));
        if moved {
            e.forbidden(&at.field("podCIDRs"), &only("podCIDR"));
        }
        if !o.get("providerID").text().is_empty() && n.get("providerID") != o.get("providerID") {
            e.forbidden(&at.field("providerID"), &only("providerID"));
        }
    },
    validate: |v, e| {
        let taints = At::Path("metadata.taints");
        for (i, t) in v.at(&["spec", "taints"]).items().enumerate() {
            let at = taints.index(i);
            let key = t.get("key").text();
            check::messages(key, names::qualified_name(key), &at.field("key"), e);
            let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            match t.get("effect").text() {
                "" => e.required(&at.field("effect"), ""),
                other if !effects.contains(&other) => e.one_of(&at.field("effect"), other, &effects),
                _ => {}
            }
            let same = |o: &&Value| o.get("key") == t.get("key") && o.get("effect") == t.get("effect");
            if v.at(&["spec", "taints"]).items().take(i).any(|o| same(&o)) {
                let shown = crate::gostruct::internal_json("io.k8s.api.core.v1.Taint", t);
                let why = "taints must be unique by key and effect pair";
                e.printed(crate::field::ErrorType::Duplicate, &at, &shown, why);
            }
        }
        let cidrs = At::Path("spec.podCIDRs");
        let one = v.at(&["spec", "podCIDR"]).text();
        let all = v.at(&["spec", "podCIDRs"]);
        if all.is_empty() && !one.is_empty() {
            check::cidr(one, &cidrs.index(0), e);
        }
        for (i, c) in all.items().enumerate() {
            check::cidr(c.text(), &cidrs.index(i), e);
        }
    },
    cells: Some(cells),
    fields: &[("spec.unschedulable", |v: &Value| v.at(&["spec", "unschedulable"]).is_true().to_string())],
    defaults: |v| {
        if v.at(&["status", "allocatable"]).is_null() && v.at(&["status", "capacity"]).is_some() {
            let capacity = v.at(&["status", "capacity"]).clone();
            v.set(&["status", "allocatable"], capacity);
        }
    },
    ..Rules::GENERIC
};

/// The role labels of a node, sorted: `control-plane`.
pub fn roles(v: &Value) -> Vec<String> {
    let mut roles: Vec<String> = Vec::new();
    for (k, value) in v.labels().entries() {
        match k.strip_prefix("node-role.kubernetes.io/") {
            Some(r) if !r.is_empty() => roles.push(r.to_owned()),
            _ if k.as_str() == "kubernetes.io/role" && !value.text().is_empty() => {
                roles.push(value.text().to_owned())
            }
            _ => {}
        }
    }
    roles.sort();
    roles.dedup();
    roles
}

fn cells(v: &Value, now: Civil) -> Vec<Value> {
    let ready = v.condition("Ready");
    let mut status = match ready.get("status").text() {
        "True" => "Ready".to_owned(),
        "" => "Unknown".to_owned(),
        _ => "NotReady".to_owned(),
    };
    if v.at(&["spec", "unschedulable"]).is_true() {
        status += ",SchedulingDisabled";
    }
    let roles = roles(v);
    let address = |kind: &str| {
        let a = v.at(&["status", "addresses"]).items().find(|a| a.get("type").text() == kind);
        Value::from(a.map_or("<none>", |a| a.get("address").text()))
    };
    let info = |key: &str| match v.at(&["status", "nodeInfo", key]).text() {
        "" => Value::from("<unknown>"),
        s => Value::from(s),
    };
    vec![
        v.name().into(),
        status.into(),
        if roles.is_empty() { "<none>".into() } else { roles.join(",").into() },
        object_age(v, now),
        v.at(&["status", "nodeInfo", "kubeletVersion"]).text().into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        match (info("kernelVersion"), v.at(&["status", "nodeInfo", "architecture"]).text()) {
            (kernel, "") => kernel,
            (kernel, arch) => format!("{} ({arch})", kernel.text()).into(),
        },
        info("containerRuntimeVersion"),
    ]
}

#[cfg(test)]
#[test]
fn roles_come_from_labels() {
    let n = crate::obj!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}}});
    assert_eq!(roles(&n), ["control-plane", "x"]);
}
