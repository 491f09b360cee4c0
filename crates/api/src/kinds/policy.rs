//! PodDisruptionBudget.

use super::{Rules, check, object_age, workload};
use crate::Value;
use crate::field::{At, ErrorType, Errors};
use crate::gostruct::internal_json;

/// PodDisruptionBudget.
pub const RULES: Rules = Rules {
    of: ("policy", "PodDisruptionBudget"),
    prepare: |new, old| {
        let fresh = crate::obj!({
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0
        });
        workload::keep_status(new, old, fresh);
    },
    validate,
    generation: true,
    cells: Some(|v, now| {
        let part = |key: &str| match v.at(&["spec", key]) {
            Value::Null => Value::from("N/A"),
            Value::Str(s) => Value::Str(s.clone()),
            n => n.int().to_string().into(),
        };
        vec![
            v.name().into(),
            part("minAvailable"),
            part("maxUnavailable"),
            v.at(&["status", "disruptionsAllowed"]).int().into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let (min, max) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if min.is_some() && max.is_some() {
        let shown = internal_json("io.k8s.api.policy.v1.PodDisruptionBudgetSpec", spec);
        e.printed(ErrorType::Invalid, &at, &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if spec.get(key).is_some() {
            check::int_or_percent(spec.get(key), &at.field(key), e);
            check::at_most_100(spec.get(key), &at.field(key), e);
        }
    }
    check::selector(spec.get("selector"), &at.field("selector"), e);
    let policy = spec.get("unhealthyPodEvictionPolicy");
    let all = ["AlwaysAllow", "IfHealthyBudget"];
    if policy.is_some() && !all.contains(&policy.text()) {
        e.not_supported(&at.field("unhealthyPodEvictionPolicy"), policy, &all);
    }
}
