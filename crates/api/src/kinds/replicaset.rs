//! ReplicaSet.

use super::{Rules, containers_and_images, default, object_age, pod};
use crate::{Value, selector};

/// ReplicaSet.
pub const RULES: Rules = Rules {
    of: ("apps", "ReplicaSet"),
    defaults: |v| {
        default(v.slot(&["spec"]), "replicas", 1);
        pod::template_defaults(v.slot(&["spec", "template"]));
    },
    prepare: |new, old| match old {
        None => new.set(&["status"], crate::obj!({"replicas": 0})),
        Some(old) => new.set(&["status"], old.get("status")),
    },
    generation: true,
    fields: &[("status.replicas", |v: &Value| v.at(&["status", "replicas"]).int().to_string())],
    cells: Some(|v, now| {
        let (names, images) = containers_and_images(v.at(&["spec", "template", "spec"]));
        vec![
            v.name().into(),
            v.at(&["spec", "replicas"]).int().into(),
            v.at(&["status", "replicas"]).int().into(),
            v.at(&["status", "readyReplicas"]).int().into(),
            object_age(v, now),
            names,
            images,
            selector::Selector::describe(v.at(&["spec", "selector"])).into(),
        ]
    }),
    ..Rules::GENERIC
};
