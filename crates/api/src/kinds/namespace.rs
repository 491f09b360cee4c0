//! Namespace.

use super::{NameRule, Rules, default, object_age};
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
    fields: &[("status.phase", |v: &Value| v.at(&["status", "phase"]).text().to_owned())],
    name: NameRule::Label,
    ..Rules::GENERIC
};
