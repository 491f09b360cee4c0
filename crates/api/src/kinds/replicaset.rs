//! ReplicaSet and ReplicationController.

use super::{
    Rules, check, containers_and_images, default, format_labels, object_age, pod, podspec, workload,
};
use crate::field::{At, Errors};
use crate::{Value, obj};
use sim::Civil;

const STATUS_REPLICAS: &[(&str, fn(&Value) -> String)] =
    &[("status.replicas", |v: &Value| v.at(&["status", "replicas"]).int().to_string())];

/// ReplicaSet.
pub const RULES: Rules = Rules {
    of: ("apps", "ReplicaSet"),
    defaults: |v| {
        default(v.slot(&["spec"]), "replicas", 1);
        pod::template_defaults(v.slot(&["spec", "template"]));
    },
    prepare: |new, old| workload::keep_status(new, old, obj!({"replicas": 0})),
    validate,
    validate_update: |new, old, e| workload::selector_immutable(new, old, e),
    warnings: |new, _, out| workload::warnings(new, out),
    generation: true,
    cells: Some(|v, now| {
        let mut cells = counts(v, now);
        cells.extend(workload::wide_cells(v.get("spec")));
        cells
    }),
    ..Rules::GENERIC
};

fn counts(v: &Value, now: Civil) -> Vec<Value> {
    vec![
        v.name().into(),
        v.at(&["spec", "replicas"]).int().into(),
        v.at(&["status", "replicas"]).int().into(),
        v.at(&["status", "readyReplicas"]).int().into(),
        object_age(v, now),
    ]
}

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    check::non_negative(spec, "replicas", &at, e);
    check::non_negative(spec, "minReadySeconds", &at, e);
    if let Some(matches) = workload::selector(spec, "ReplicaSet", &at, e) {
        podspec::lasting_template(spec.get("template"), matches, &at.field("template"), e);
    }
}

/// ReplicationController.
pub const CONTROLLER: Rules = Rules {
    of: ("", "ReplicationController"),
    defaults: |v| {
        let labels = v.at(&["spec", "template", "metadata", "labels"]).clone();
        if !labels.is_empty() {
            if v.at(&["spec", "selector"]).is_empty() {
                v.set(&["spec", "selector"], &labels);
            }
            if v.labels().is_empty() {
                v.set(&["metadata", "labels"], &labels);
            }
        }
        default(v.slot(&["spec"]), "replicas", 1);
        if v.at(&["spec", "template"]).is_some() {
            pod::template_defaults(v.slot(&["spec", "template"]));
        }
    },
    prepare: |new, old| workload::keep_status(new, old, obj!({"replicas": 0})),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        check::non_negative(spec, "minReadySeconds", &at, e);
        if spec.get("selector").is_empty() {
            e.required(&at.field("selector"), "");
        }
        check::non_negative(spec, "replicas", &at, e);
        let template = spec.get("template");
        if template.is_null() {
            e.required(&at.field("template"), "");
            return;
        }
        let selector = crate::selector::Selector::of_labels(spec.get("selector"));
        let matches = selector.is_empty() || selector.matches(template.at(&["metadata", "labels"]));
        podspec::lasting_template(template, matches, &at.field("template"), e);
    },
    warnings: |new, _, out| workload::warnings(new, out),
    generation: true,
    fields: STATUS_REPLICAS,
    cells: Some(|v, now| {
        let mut cells = counts(v, now);
        let (names, images) = containers_and_images(v.at(&["spec", "template", "spec"]));
        cells.extend([names, images, format_labels(v.at(&["spec", "selector"])).into()]);
        cells
    }),
    ..Rules::GENERIC
};

/// PodTemplate.
pub const POD_TEMPLATE: Rules = Rules {
    of: ("", "PodTemplate"),
    defaults: |v| pod::template_defaults(v.slot(&["template"])),
    validate: |v, e| podspec::template(v.get("template"), &At::Path("template"), e),
    generation: true,
    cells: Some(|v, _| {
        let (names, images) = containers_and_images(v.at(&["template", "spec"]));
        vec![v.name().into(), names, images, format_labels(v.at(&["template", "metadata", "labels"])).into()]
    }),
    ..Rules::GENERIC
};

/// ControllerRevision.
pub const REVISION: Rules = Rules {
    of: ("apps", "ControllerRevision"),
    validate_update: |new, old, e| check::immutable(new, old, "data", &At::Path(""), e),
    cells: Some(|v, now| {
        let owner = v.controller_ref();
        let controller = match owner.kind() {
            "" => "<none>".to_owned(),
            kind => {
                let group = owner.api_version().split_once('/').map_or("", |(g, _)| g);
                let kind = kind.to_lowercase();
                let name = owner.get("name").text();
                if group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{group}/{name}") }
            }
        };
        vec![v.name().into(), controller.into(), v.get("revision").int().into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};
