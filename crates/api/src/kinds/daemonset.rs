//! DaemonSet.

use super::{Rules, check, default, format_labels, object_age, pod, podspec, workload};
use crate::field::{At, ErrorType, Errors};
use crate::gostruct::internal_json;
use crate::{Value, obj};

const GENERATION: &str = "deprecated.daemonset.template.generation";

/// DaemonSet.
pub const RULES: Rules = Rules {
    of: ("apps", "DaemonSet"),
    defaults,
    prepare: |new, old| {
        let fresh = obj!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0
        });
        workload::keep_status(new, old, fresh);
        // The template's generation counted before `metadata.generation` did.
        let was = old.map(|o| o.annotations().get(GENERATION).text().parse::<i64>().unwrap_or(0));
        let changed = old.is_some_and(|o| o.at(&["spec", "template"]) != new.at(&["spec", "template"]));
        let count = was.map_or(1, |n| n + i64::from(changed));
        new.set(&["metadata", "annotations", GENERATION], count.to_string());
    },
    validate,
    validate_update: |new, old, e| workload::selector_immutable(new, old, e),
    warnings: |new, _, out| workload::warnings(new, out),
    generation: true,
    cells: Some(|v, now| {
        let s = v.get("status");
        let mut cells = vec![v.name().into()];
        let counts = [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
        ];
        cells.extend(counts.iter().map(|k| Value::from(s.get(k).int())));
        cells.push(format_labels(v.at(&["spec", "template", "spec", "nodeSelector"])).into());
        cells.push(object_age(v, now));
        cells.extend(workload::wide_cells(v.get("spec")));
        cells
    }),
    ..Rules::GENERIC
};

fn defaults(v: &mut Value) {
    let spec = v.slot(&["spec"]);
    let strategy = spec.slot(&["updateStrategy"]);
    if strategy.get("type").text().is_empty() {
        strategy.insert("type", "RollingUpdate");
    }
    if strategy.get("type").text() == "RollingUpdate" {
        let rolling = strategy.slot(&["rollingUpdate"]);
        default(rolling, "maxUnavailable", 1);
        default(rolling, "maxSurge", 0);
    }
    default(spec, "revisionHistoryLimit", 10);
    pod::template_defaults(spec.slot(&["template"]));
}

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    if let Some(matches) = workload::selector(spec, "daemonset", &at, e) {
        podspec::lasting_template(spec.get("template"), matches, &at.field("template"), e);
    }
    check::non_negative(spec, "minReadySeconds", &at, e);
    let strategy = spec.get("updateStrategy");
    let strategy_at = at.field("updateStrategy");
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => rolling(strategy.get("rollingUpdate"), &strategy_at.field("rollingUpdate"), e),
        _ => {
            let shown = internal_json("io.k8s.api.apps.v1.DaemonSetUpdateStrategy", strategy);
            let why = "supported values: \"RollingUpdate\", \"OnDelete\"";
            e.printed(ErrorType::NotSupported, &strategy_at, &shown, why);
        }
    }
    check::non_negative(spec, "revisionHistoryLimit", &at, e);
}

fn rolling(v: &Value, at: &At<'_>, e: &mut Errors) {
    let (unavailable, surge) = (v.get("maxUnavailable"), v.get("maxSurge"));
    check::int_or_percent(unavailable, &at.field("maxUnavailable"), e);
    check::int_or_percent(surge, &at.field("maxSurge"), e);
    check::at_most_100(unavailable, &at.field("maxUnavailable"), e);
    check::at_most_100(surge, &at.field("maxSurge"), e);
    match (check::is_zero(unavailable), check::is_zero(surge)) {
        (false, false) => {
            e.invalid(&at.field("maxSurge"), surge, "may not be set when maxUnavailable is non-zero")
        }
        (true, true) => e.required(&at.field("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}
