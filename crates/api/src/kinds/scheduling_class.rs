//! PriorityClass and RuntimeClass.

use super::{Rules, check, default, object_age};
use crate::Value;
use crate::field::{At, Errors};

/// The highest value that a user's class may have.
const USER_MAX: i64 = 1_000_000_000;
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// PriorityClass.
pub const PRIORITY: Rules = Rules {
    of: ("scheduling.k8s.io", "PriorityClass"),
    defaults: |v| default(v, "preemptionPolicy", "PreemptLowerPriority"),
    validate,
    validate_update: |new, old, e| {
        if new.get("value") != old.get("value") {
            e.forbidden(&At::Path("value"), "may not be changed in an update.");
        }
        check::immutable(new, old, "preemptionPolicy", &At::Path(""), e);
    },
    generation: true,
    cells: Some(|v, now| {
        vec![
            v.name().into(),
            v.get("value").int().into(),
            v.get("globalDefault").is_true().into(),
            object_age(v, now),
            v.get("preemptionPolicy").text().into(),
        ]
    }),
    ..Rules::GENERIC
};

fn validate(v: &Value, e: &mut Errors) {
    let value = v.get("value").int();
    let name = v.name();
    if name.starts_with("system-") {
        let why = match SYSTEM.iter().find(|(n, _)| *n == name) {
            None => format!("{name} is not a known system priority class"),
            Some((_, want)) if *want != value => {
                format!("value of {name} PriorityClass must be {want}")
            }
            Some(_) => return,
        };
        let text = format!(
            "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
        );
        e.forbidden(&At::Path("metadata.name"), &text);
    } else if value > USER_MAX {
        let why = format!("maximum allowed value of a user defined priority is {USER_MAX}");
        e.forbidden(&At::Path("value"), &why);
    }
    check::choice(v, "preemptionPolicy", &At::Path(""), &["Never", "PreemptLowerPriority"], e);
}

/// RuntimeClass.
pub const RUNTIME: Rules = Rules {
    of: ("node.k8s.io", "RuntimeClass"),
    validate: |v, e| {
        let handler = v.get("handler").text();
        check::messages(handler, crate::names::dns_label(handler), &At::Path("handler"), e);
    },
    validate_update: |new, old, e| check::immutable(new, old, "handler", &At::Path(""), e),
    cells: Some(|v, now| vec![v.name().into(), v.get("handler").text().into(), object_age(v, now)]),
    ..Rules::GENERIC
};
