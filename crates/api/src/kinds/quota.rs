//! ResourceQuota and LimitRange.

use super::{Rules, check, object_age, workload};
use crate::field::{At, Errors};
use crate::quantity::Quantity;
use crate::{Value, names};

/// ResourceQuota.
pub const QUOTA: Rules = Rules {
    of: ("", "ResourceQuota"),
    prepare: |new, old| workload::keep_status(new, old, Value::map()),
    validate: quota,
    validate_update: |new, old, e| {
        let set = |v: &Value| {
            let mut all: Vec<String> = v.at(&["spec", "scopes"]).items().map(|s| s.text().into()).collect();
            all.sort();
            all
        };
        if set(new) != set(old) {
            e.invalid(&At::Path("spec.scopes"), new.at(&["spec", "scopes"]), check::IMMUTABLE);
        }
    },
    cells: Some(|v, now| {
        // One list for requests and counts, one for limits.
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (k, hard) in v.at(&["status", "hard"]).entries() {
            let used = v.at(&["status", "used", k]);
            let used = if used.is_null() { "0" } else { used.text() };
            let text = format!("{k}: {used}/{}", hard.text());
            if k.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
        }
        vec![v.name().into(), requests.join(", ").into(), limits.join(", ").into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

fn quota(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let hard = at.field("hard");
    for (name, q) in spec.get("hard").entries() {
        let at = hard.key(name);
        check::resource_name(name, &at, e);
        let known = check::is_quota_compute(name) || check::is_object_count(name);
        if !name.contains('/') && !known {
            e.invalid(&at, name.as_str(), "must be a standard resource for quota");
        }
        check::quantity_non_negative(q, &at, e);
        if check::is_object_count(name) && !Quantity::or_zero(q).is_whole() {
            e.invalid(&at, q.text(), "must be an integer");
        }
    }
    let scopes = at.field("scopes");
    for s in spec.get("scopes").items() {
        if !SCOPES.contains(&s.text()) {
            e.invalid(&scopes, spec.get("scopes"), "unsupported scope");
            continue;
        }
        let best = s.text() == "BestEffort";
        let limits_more = spec.get("hard").entries().any(|(k, _)| k.as_str() != "pods");
        if best && limits_more {
            e.invalid(&scopes, spec.get("scopes"), "unsupported scope applied to resource");
        }
    }
    let has = |s: &str| spec.get("scopes").items().any(|x| x.text() == s);
    for (a, b) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if has(a) && has(b) {
            e.invalid(&scopes, spec.get("scopes"), "conflicting scopes");
        }
    }
    scope_selector(spec.at(&["scopeSelector", "matchExpressions"]), e);
}

fn scope_selector(terms: &Value, e: &mut Errors) {
    let at = At::Path("spec.scopeSelector.matchExpressions");
    for t in terms.items() {
        let (scope, op, n) = (t.get("scopeName").text(), t.get("operator").text(), t.get("values").len());
        if !SCOPES.contains(&scope) {
            e.invalid(&at.field("scopeName"), scope, "unsupported scope");
        }
        let exists_only = matches!(
            scope,
            "Terminating" | "NotTerminating" | "BestEffort" | "NotBestEffort" | "CrossNamespacePodAffinity"
        );
        if exists_only && op != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                       ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                       ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            e.invalid(&at.field("operator"), op, why);
        }
        match op {
            "In" | "NotIn" if n == 0 => {
                let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                e.required(&at.field("values"), why);
            }
            "Exists" | "DoesNotExist" if n > 0 => {
                let why = "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector";
                e.invalid(&at.field("values"), t.get("values"), why);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => e.invalid(&at.field("operator"), other, "not a valid selector operator"),
        }
    }
}

/// LimitRange.
pub const LIMITS: Rules = Rules {
    of: ("", "LimitRange"),
    defaults: |v| {
        let n = v.at(&["spec", "limits"]).len();
        for i in 0..n {
            let l = &mut v.slot(&["spec", "limits"]).list_mut()[i];
            if l.get("type").text() != "Container" {
                continue;
            }
            // What is not said of defaults follows from limits, what is not said of requests from limits and minima.
            let max = l.get("max").clone();
            for (k, q) in max.entries() {
                if l.at(&["default", k]).is_null() {
                    l.set(&["default", k], q);
                }
            }
            for list in ["default", "min"] {
                let from = l.get(list).clone();
                for (k, q) in from.entries() {
                    if l.at(&["defaultRequest", k]).is_null() {
                        l.set(&["defaultRequest", k], q);
                    }
                }
            }
        }
    },
    validate: limit_range,
    cells: Some(|v, _| vec![v.name().into(), v.get("metadata").get("creationTimestamp").clone()]),
    ..Rules::GENERIC
};

fn limit_range(v: &Value, e: &mut Errors) {
    let list = At::Path("spec.limits");
    let mut seen: Vec<&str> = Vec::new();
    for (i, l) in v.at(&["spec", "limits"]).items().enumerate() {
        let at = list.index(i);
        let kind = l.get("type").text();
        let found = names::qualified_name(kind);
        let standard = matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim");
        if !found.is_empty() {
            check::messages(kind, found, &at.field("type"), e);
        } else if !kind.contains('/') && !standard {
            e.invalid(&at.field("type"), kind, "must be a standard limit type or fully qualified");
        }
        if seen.contains(&kind) {
            e.duplicate(&at.field("type"), kind);
        }
        seen.push(kind);
        if kind == "Pod" {
            for key in ["default", "defaultRequest"] {
                if !l.get(key).is_empty() {
                    e.forbidden(&at.field(key), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        if kind == "PersistentVolumeClaim"
            && l.at(&["min", "storage"]).is_null()
            && l.at(&["max", "storage"]).is_null()
        {
            e.required(
                &at.field("limits"),
                "either minimum or maximum storage value is required, but neither was provided",
            );
        }
        relations(l, &at, e);
    }
}

fn relations(l: &Value, at: &At<'_>, e: &mut Errors) {
    let mut keys: Vec<&str> = Vec::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        keys.extend(l.get(list).entries().map(|(k, _)| k.as_str()));
    }
    keys.sort_unstable();
    keys.dedup();
    for k in keys {
        let q = |list: &str| -> Option<(Quantity, String)> {
            let v = l.at(&[list, k]);
            v.is_some().then(|| (Quantity::or_zero(v), v.text().to_owned()))
        };
        let (max, min, default, request) = (q("max"), q("min"), q("default"), q("defaultRequest"));
        let over = |a: &Option<(Quantity, String)>, b: &Option<(Quantity, String)>| match (a, b) {
            (Some(a), Some(b)) if a.0.nanos() > b.0.nanos() => Some((a.1.clone(), b.1.clone())),
            _ => None,
        };
        if let Some((a, b)) = over(&min, &max) {
            e.invalid(
                &at.field("min").key(k),
                a.as_str(),
                &format!("min value {a} is greater than max value {b}"),
            );
        }
        if let Some((a, b)) = over(&min, &request) {
            let why = format!("min value {a} is greater than default request value {b}");
            e.invalid(&at.field("defaultRequest").key(k), b.as_str(), &why);
        }
        if let Some((a, b)) = over(&request, &max) {
            let why = format!("default request value {a} is greater than max value {b}");
            e.invalid(&at.field("defaultRequest").key(k), a.as_str(), &why);
        }
        if let Some((a, b)) = over(&request, &default) {
            let why = format!("default request value {a} is greater than default limit value {b}");
            e.invalid(&at.field("defaultRequest").key(k), a.as_str(), &why);
        }
        if let Some((a, b)) = over(&min, &default) {
            let why = format!("min value {a} is greater than default value {b}");
            e.invalid(&at.field("default").key(k), a.as_str(), &why);
        }
        if let Some((a, b)) = over(&default, &max) {
            let why = format!("default value {a} is greater than max value {b}");
            // Upstream prints the maximum as the value here.
            e.invalid(&at.field("default").key(k), b.as_str(), &why);
        }
    }
}
