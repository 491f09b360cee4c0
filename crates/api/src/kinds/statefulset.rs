//! StatefulSet.

use super::{
    Rules, check, containers_and_images, default, object_age, persistentvolume, pod, podspec, workload,
};
use crate::field::{At, ErrorType, Errors};
use crate::gostruct::internal_json;
use crate::{Value, obj};

/// StatefulSet.
pub const RULES: Rules = Rules {
    of: ("apps", "StatefulSet"),
    defaults,
    prepare: |new, old| workload::keep_status(new, old, obj!({"replicas": 0, "availableReplicas": 0})),
    validate,
    validate_update,
    warnings: |new, _, out| workload::warnings(new, out),
    generation: true,
    cells: Some(|v, now| {
        let (names, images) = containers_and_images(v.at(&["spec", "template", "spec"]));
        let (ready, all) = (v.at(&["status", "readyReplicas"]).int(), v.at(&["spec", "replicas"]).int());
        vec![v.name().into(), format!("{ready}/{all}").into(), object_age(v, now), names, images]
    }),
    ..Rules::GENERIC
};

fn defaults(v: &mut Value) {
    let spec = v.slot(&["spec"]);
    default(spec, "podManagementPolicy", "OrderedReady");
    let strategy = spec.slot(&["updateStrategy"]);
    if strategy.get("type").text().is_empty() {
        strategy.insert("type", "RollingUpdate");
    }
    if strategy.get("type").text() == "RollingUpdate" {
        default(strategy.slot(&["rollingUpdate"]), "partition", 0);
    }
    let retention = spec.slot(&["persistentVolumeClaimRetentionPolicy"]);
    default(retention, "whenDeleted", "Retain");
    default(retention, "whenScaled", "Retain");
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    pod::template_defaults(spec.slot(&["template"]));
    if !spec.get("volumeClaimTemplates").is_empty() {
        for c in spec.slot(&["volumeClaimTemplates"]).list_mut() {
            default(c, "apiVersion", "v1");
            default(c, "kind", "PersistentVolumeClaim");
            persistentvolume::claim_defaults(c);
        }
    }
}

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    match spec.get("podManagementPolicy").text() {
        "OrderedReady" | "Parallel" => {}
        other => {
            let why = "must be 'OrderedReady' or 'Parallel'";
            e.invalid(&at.field("podManagementPolicy"), other, why);
        }
    }
    let strategy_at = at.field("updateStrategy");
    let strategy = spec.get("updateStrategy");
    match strategy.get("type").text() {
        "OnDelete" if strategy.get("rollingUpdate").is_some() => {
            let shown = internal_json(
                "io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy",
                strategy.get("rollingUpdate"),
            );
            let why = "only allowed for updateStrategy 'RollingUpdate'";
            e.printed(ErrorType::Invalid, &strategy_at.field("rollingUpdate"), &shown, why);
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            let at = strategy_at.field("rollingUpdate");
            check::non_negative(strategy.get("rollingUpdate"), "partition", &at, e);
            let max = strategy.at(&["rollingUpdate", "maxUnavailable"]);
            if max.is_some() {
                check::int_or_percent(max, &at.field("maxUnavailable"), e);
            }
        }
        _ => {
            let shown = internal_json("io.k8s.api.apps.v1.StatefulSetUpdateStrategy", strategy);
            e.printed(ErrorType::Invalid, &strategy_at, &shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
    let retention = spec.get("persistentVolumeClaimRetentionPolicy");
    for key in ["whenDeleted", "whenScaled"] {
        let at = at.field("persistentVolumeClaimRetentionPolicy");
        check::choice(retention, key, &at, &["Retain", "Delete"], e);
    }
    check::non_negative(spec, "replicas", &at, e);
    check::non_negative(spec, "minReadySeconds", &at, e);
    check::non_negative(spec, "revisionHistoryLimit", &at, e);
    check::non_negative(spec.get("ordinals"), "start", &at.field("ordinals"), e);
    let matches = workload::selector(spec, "statefulset", &at, e);
    if let Some(matches) = matches {
        podspec::lasting_template(&with_claims(spec), matches, &at.field("template"), e);
    }
}

/// The template as its pods will have it: with a volume for each claim.
fn with_claims(spec: &Value) -> Value {
    let mut t = spec.get("template").clone();
    for c in spec.get("volumeClaimTemplates").items() {
        let name = c.name();
        let there = t.at(&["spec", "volumes"]).items().any(|v| v.get("name").text() == name);
        if !there && !name.is_empty() {
            t.push_at(
                &["spec", "volumes"],
                obj!({"name": name, "persistentVolumeClaim": {"claimName": name}}),
            );
        }
    }
    t
}

const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn validate_update(new: &Value, old: &Value, e: &mut Errors) {
    let changed = check::changed(new.get("spec"), old.get("spec"));
    if changed.iter().any(|k| !MUTABLE.contains(k)) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        e.forbidden(&At::Path("spec"), why);
    }
}
