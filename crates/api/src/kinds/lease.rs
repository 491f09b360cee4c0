//! Lease.

use super::{Rules, check, object_age};
use crate::field::At;

/// Lease.
pub const RULES: Rules = Rules {
    of: ("coordination.k8s.io", "Lease"),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        let seconds = spec.get("leaseDurationSeconds");
        if seconds.is_some() && seconds.int() <= 0 {
            e.invalid(&at.field("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        check::non_negative(spec, "leaseTransitions", &at, e);
    },
    cells: Some(|v, now| {
        vec![v.name().into(), v.at(&["spec", "holderIdentity"]).text().into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};
