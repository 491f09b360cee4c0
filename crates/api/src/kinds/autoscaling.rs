//! HorizontalPodAutoscaler, stored as `autoscaling/v2`.

use super::{Rules, check, default, object_age, workload};
use crate::field::{At, Errors};
use crate::quantity::Quantity;
use crate::{Value, names, obj};

/// HorizontalPodAutoscaler.
pub const RULES: Rules = Rules {
    of: ("autoscaling", "HorizontalPodAutoscaler"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        default(spec, "minReplicas", 1);
        if spec.get("metrics").is_empty() {
            let target = obj!({"type": "Utilization", "averageUtilization": 80});
            spec.insert(
                "metrics",
                obj!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
            );
        }
        if spec.get("behavior").is_some() {
            behavior(spec.slot(&["behavior"]));
        }
    },
    prepare: |new, old| workload::keep_status(new, old, obj!({"desiredReplicas": 0, "currentMetrics": null})),
    validate,
    cells: Some(|v, now| {
        let target = v.at(&["spec", "scaleTargetRef"]);
        let min = match v.at(&["spec", "minReplicas"]).as_int() {
            Some(n) => n.to_string(),
            None => "<unset>".into(),
        };
        vec![
            v.name().into(),
            format!("{}/{}", target.kind(), target.get("name").text()).into(),
            targets(v).into(),
            min.into(),
            v.at(&["spec", "maxReplicas"]).int().into(),
            v.at(&["status", "currentReplicas"]).int().into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

fn behavior(b: &mut Value) {
    for (key, policies) in [
        (
            "scaleUp",
            obj!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]),
        ),
        ("scaleDown", obj!([{"type": "Percent", "value": 100, "periodSeconds": 15}])),
    ] {
        let rules = b.slot(&[key]);
        if key == "scaleUp" {
            default(rules, "stabilizationWindowSeconds", 0);
        }
        default(rules, "selectPolicy", "Max");
        if rules.get("policies").is_empty() {
            rules.insert("policies", policies);
        }
    }
}

/// Where each type of metric keeps its description.
fn source(kind: &str) -> &'static str {
    match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => "",
    }
}

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let (min, max) = (spec.get("minReplicas").as_int(), spec.get("maxReplicas").int());
    if let Some(n) = min
        && n < 1
        && !(n == 0 && scales_to_zero(spec))
    {
        e.invalid(&at.field("minReplicas"), n, "must be greater than or equal to 1");
    }
    if max < 1 {
        e.required(&at.field("maxReplicas"), "must be set and greater than 0");
    } else if min.is_some_and(|n| max < n) {
        e.invalid(&at.field("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
    let target = spec.get("scaleTargetRef");
    let target_at = at.field("scaleTargetRef");
    for key in ["kind", "name"] {
        if check::required(target, key, &target_at, e) {
            let text = target.get(key).text();
            check::messages(text, names::path_segment(text), &target_at.field(key), e);
        }
    }
    if target.api_version().is_empty() && target.kind() != "ReplicationController" {
        e.invalid(&target_at.field("apiVersion"), "", "apiVersion must specify API group");
    }
    metrics(spec, min, &at.field("metrics"), e);
}

fn scales_to_zero(_spec: &Value) -> bool {
    // The gate HPAScaleToZero is off.
    false
}

fn metrics(spec: &Value, min: Option<i64>, at: &At<'_>, e: &mut Errors) {
    let mut outside = false;
    for (i, m) in spec.get("metrics").items().enumerate() {
        let at = at.index(i);
        let kind = m.get("type").text();
        outside |= matches!(kind, "Object" | "External");
        let key = source(kind);
        if key.is_empty() {
            let all = ["ContainerResource", "External", "Object", "Pods", "Resource"];
            e.not_supported(&at.field("type"), kind, &all);
            continue;
        }
        let at = at.field(key);
        let body = m.get(key);
        if body.is_null() {
            e.required(&at, "must populate information for the given metric source");
            continue;
        }
        if matches!(kind, "Resource" | "ContainerResource") && body.get("name").text().is_empty() {
            e.required(&at.field("name"), "must specify a resource name");
        }
        target(body.get("target"), kind, &at.field("target"), e);
    }
    if min == Some(0) && !outside {
        e.forbidden(
            at,
            "must specify at least one Object or External metric to support scaling to zero replicas",
        );
    }
}

fn target(t: &Value, kind: &str, at: &At<'_>, e: &mut Errors) {
    let all = ["AverageValue", "Utilization", "Value"];
    match t.get("type").text() {
        "" => e.required(&at.field("type"), "must specify a metric target type"),
        other if !all.contains(&other) => {
            e.invalid(&at.field("type"), other, "must be either Utilization, Value, or AverageValue")
        }
        _ => {}
    }
    let (utilization, average, value) = (t.get("averageUtilization"), t.get("averageValue"), t.get("value"));
    if utilization.as_int().is_some_and(|n| n < 1) {
        e.invalid(&at.field("averageUtilization"), utilization, "must be greater than 0");
    }
    for (key, q) in [("value", value), ("averageValue", average)] {
        let n = Quantity::or_zero(q);
        if q.is_some() && (n.is_zero() || n.is_negative()) {
            e.invalid(&at.field(key), q.text(), "must be positive");
        }
    }
    match kind {
        "Resource" | "ContainerResource" => {
            if utilization.is_null() && average.is_null() {
                let why = "must set either a target raw value or a target utilization";
                e.required(&at.field("averageUtilization"), why);
            }
            if utilization.is_some() && average.is_some() {
                let why = "may not set both a target raw value and a target utilization";
                e.forbidden(&at.field("averageValue"), why);
            }
        }
        "Pods" if average.is_null() => {
            e.required(&at.field("averageValue"), "must specify a positive target averageValue")
        }
        _ => {}
    }
}

/// The TARGETS column. Models: `formatHPAMetrics`.
pub fn targets(v: &Value) -> String {
    let specs = v.at(&["spec", "metrics"]);
    if specs.is_empty() {
        return "<none>".into();
    }
    let mut all: Vec<String> = Vec::new();
    for (i, m) in specs.items().enumerate() {
        let kind = m.get("type").text();
        let key = source(kind);
        let current = v.at(&["status", "currentMetrics", &i.to_string(), key, "current"]);
        let t = m.at(&[key, "target"]);
        let quantity = |q: &Value| if q.is_null() { "<unknown>".to_owned() } else { q.text().to_owned() };
        let average = t.get("averageValue");
        all.push(match kind {
            "Resource" | "ContainerResource" => {
                let name = m.at(&[key, "name"]).text();
                if average.is_some() {
                    format!("{name}: {}/{}", quantity(current.get("averageValue")), average.text())
                } else {
                    let now = match current.get("averageUtilization").as_int() {
                        Some(n) => format!("{n}%"),
                        None => "<unknown>".into(),
                    };
                    let want = t.get("averageUtilization").as_int();
                    format!("{name}: {now}/{}", want.map_or("<auto>".into(), |n| format!("{n}%")))
                }
            }
            "Pods" => format!("{}/{}", quantity(current.get("averageValue")), average.text()),
            _ if average.is_some() => {
                format!("{}/{} (avg)", quantity(current.get("averageValue")), average.text())
            }
            _ => format!("{}/{}", quantity(current.get("value")), t.get("value").text()),
        });
    }
    let more = all.len().saturating_sub(2);
    all.truncate(2);
    let shown = all.join(", ");
    if more > 0 { format!("{shown} + {more} more...") } else { shown }
}
