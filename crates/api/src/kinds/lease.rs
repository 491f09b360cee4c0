//! Lease.

use super::{Rules, object_age};

/// Lease.
pub const RULES: Rules = Rules {
    of: ("coordination.k8s.io", "Lease"),
    cells: Some(|v, now| {
        vec![v.name().into(), v.at(&["spec", "holderIdentity"]).text().into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};
