//! Namespace and ComponentStatus.

use super::{NameRule, Rules, default, object_age};
use crate::field::At;
use crate::{Value, obj};

/// Namespace.
pub const RULES: Rules = Rules {
    of: ("", "Namespace"),
    defaults: |v| {
        let name = v.name().to_owned();
        if !name.is_empty() {
            v.set(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
        }
    },
    prepare: |new, old| match old {
        None => {
            default(new.slot(&["spec"]), "finalizers", obj!(["kubernetes"]));
            new.set(&["status"], obj!({"phase": "Active"}));
        }
        Some(old) => new.set(&["spec", "finalizers"], old.at(&["spec", "finalizers"])),
    },
    cells: Some(|v, now| vec![v.name().into(), v.at(&["status", "phase"]).text().into(), object_age(v, now)]),
    validate: |v, e| {
        let levels = ["privileged", "baseline", "restricted"];
        let at = At::Path("metadata.labels");
        for mode in ["enforce", "audit", "warn"] {
            let key = format!("pod-security.kubernetes.io/{mode}");
            let level = v.labels().get(&key);
            if level.is_some() && !levels.contains(&level.text()) {
                e.invalid(&at.key(&key), level.text(), "must be one of privileged, baseline, restricted");
            }
        }
    },
    fields: &[("status.phase", |v: &Value| v.at(&["status", "phase"]).text().to_owned())],
    name: NameRule::Label,
    ..Rules::GENERIC
};

/// ComponentStatus.
pub const COMPONENT_STATUS: Rules = Rules {
    of: ("", "ComponentStatus"),
    warnings: |_, _, out| out.push("v1 ComponentStatus is deprecated in v1.19+".into()),
    cells: Some(|v, _| {
        let c = v.get("conditions").items().find(|c| c.get("type").text() == "Healthy");
        let c = c.unwrap_or(Value::null());
        let status = match c.get("status").text() {
            "True" => "Healthy",
            "" => "Unknown",
            _ => "Unhealthy",
        };
        vec![v.name().into(), status.into(), c.get("message").text().into(), c.get("error").text().into()]
    }),
    ..Rules::GENERIC
};
