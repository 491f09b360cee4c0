//! Deployment.

use super::{Rules, check, default, object_age, pod, podspec, workload};
use crate::Value;
use crate::field::{At, ErrorType, Errors};
use crate::gostruct::internal_json;
use sim::Civil;

/// Deployment.
pub const RULES: Rules = Rules {
    of: ("apps", "Deployment"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        default(spec, "replicas", 1);
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
        let strategy = spec.slot(&["strategy"]);
        if strategy.get("type").text().is_empty() {
            strategy.insert("type", "RollingUpdate");
        }
        if strategy.get("type").text() == "RollingUpdate" {
            let rolling = strategy.slot(&["rollingUpdate"]);
            default(rolling, "maxUnavailable", "25%");
            default(rolling, "maxSurge", "25%");
        }
        pod::template_defaults(spec.slot(&["template"]));
    },
    prepare: |new, old| workload::keep_status(new, old, Value::map()),
    validate,
    validate_update: |new, old, e| workload::selector_immutable(new, old, e),
    warnings: |new, _, out| workload::warnings(new, out),
    generation: true,
    cells: Some(cells),
    ..Rules::GENERIC
};

fn cells(v: &Value, now: Civil) -> Vec<Value> {
    let (status, spec) = (v.get("status"), v.get("spec"));
    let mut cells = vec![
        v.name().into(),
        format!("{}/{}", status.get("readyReplicas").int(), spec.get("replicas").int()).into(),
        status.get("updatedReplicas").int().into(),
        status.get("availableReplicas").int().into(),
        object_age(v, now),
    ];
    cells.extend(workload::wide_cells(spec));
    cells
}

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    check::non_negative(spec, "replicas", &at, e);
    let matches = workload::selector(spec, "deployment", &at, e);
    if let Some(matches) = matches {
        podspec::lasting_template(spec.get("template"), matches, &at.field("template"), e);
    }
    strategy(spec.get("strategy"), &at.field("strategy"), e);
    check::non_negative(spec, "minReadySeconds", &at, e);
    check::non_negative(spec, "revisionHistoryLimit", &at, e);
    check::non_negative(spec, "progressDeadlineSeconds", &at, e);
    if let Some(deadline) = spec.get("progressDeadlineSeconds").as_int()
        && deadline <= spec.get("minReadySeconds").int()
    {
        e.invalid(&at.field("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
    }
}

fn strategy(v: &Value, at: &At<'_>, e: &mut Errors) {
    let rolling = v.get("rollingUpdate");
    match v.get("type").text() {
        "Recreate" if rolling.is_some() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            e.forbidden(&at.field("rollingUpdate"), why);
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let at = at.field("rollingUpdate");
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            check::int_or_percent(unavailable, &at.field("maxUnavailable"), e);
            check::int_or_percent(surge, &at.field("maxSurge"), e);
            if check::is_zero(unavailable) && check::is_zero(surge) {
                let why = "may not be 0 when `maxSurge` is 0";
                e.invalid(&at.field("maxUnavailable"), unavailable, why);
            }
            check::at_most_100(unavailable, &at.field("maxUnavailable"), e);
        }
        _ => {
            let shown = internal_json("io.k8s.api.apps.v1.DeploymentStrategy", v);
            let why = "supported values: \"Recreate\", \"RollingUpdate\"";
            e.printed(ErrorType::NotSupported, at, &shown, why);
        }
    }
}

#[cfg(test)]
#[test]
fn defaults() {
    let mut d = crate::obj!({"spec": {"template": {}}});
    (RULES.defaults)(&mut d);
    assert_eq!(
        d.at(&["spec", "strategy"]).to_json(),
        r#"{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"}"#
    );
}
