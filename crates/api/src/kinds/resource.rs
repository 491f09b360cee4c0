//! The kinds of dynamic resource allocation.

use super::{Rules, object_age};

const GROUP: &str = "resource.k8s.io";

/// DeviceClass.
pub const DEVICE_CLASS: Rules = Rules {
    of: (GROUP, "DeviceClass"),
    generation: true,
    cells: Some(|v, now| vec![v.name().into(), object_age(v, now)]),
    ..Rules::GENERIC
};

/// ResourceClaimTemplate.
pub const TEMPLATE: Rules = Rules { of: (GROUP, "ResourceClaimTemplate"), generation: false, ..DEVICE_CLASS };

/// ResourceClaim.
pub const CLAIM: Rules = Rules {
    of: (GROUP, "ResourceClaim"),
    cells: Some(|v, now| {
        let mut state: Vec<&str> = Vec::new();
        if v.is_terminating() {
            state.push("deleted");
        }
        match (v.at(&["status", "allocation"]).is_some(), !v.at(&["status", "reservedFor"]).is_empty()) {
            (true, true) => state.extend(["allocated", "reserved"]),
            (true, false) => state.push("allocated"),
            _ => state.push("pending"),
        }
        vec![v.name().into(), state.join(",").into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

/// ResourceSlice.
pub const SLICE: Rules = Rules {
    of: (GROUP, "ResourceSlice"),
    generation: true,
    cells: Some(|v, now| {
        let spec = v.get("spec");
        vec![
            v.name().into(),
            spec.get("nodeName").as_str().unwrap_or("<unset>").into(),
            spec.get("driver").text().into(),
            spec.at(&["pool", "name"]).text().into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};
