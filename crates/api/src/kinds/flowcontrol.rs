//! FlowSchema and PriorityLevelConfiguration.

use super::{NameRule, Rules, default, object_age};
use crate::Value;
use crate::field::At;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

fn or_none(v: &Value) -> Value {
    if v.is_null() { "<none>".into() } else { v.int().to_string().into() }
}

/// FlowSchema.
pub const SCHEMA: Rules = Rules {
    of: (GROUP, "FlowSchema"),
    defaults: |v| default(v.slot(&["spec"]), "matchingPrecedence", 1000),
    prepare: |new, old| super::workload::keep_status(new, old, Value::map()),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        let n = spec.get("matchingPrecedence").int();
        let place = at.field("matchingPrecedence");
        if n <= 0 {
            e.invalid(&place, n, "must be a positive value");
        }
        if n > 10_000 {
            e.invalid(&place, n, "must not be greater than 10000");
        }
        if n == 1 && v.name() != "exempt" {
            e.invalid(&place, n, "only the schema named 'exempt' may have matchingPrecedence 1");
        }
        if spec.at(&["priorityLevelConfiguration", "name"]).text().is_empty() {
            let at = at.field("priorityLevelConfiguration");
            e.required(&at.field("name"), "must reference a priority level");
        }
        let rules = at.field("rules");
        for (i, r) in spec.get("rules").items().enumerate() {
            let at = rules.index(i);
            if r.get("subjects").is_empty() {
                e.required(&at.field("subjects"), "subjects must contain at least one value");
            }
            if r.get("resourceRules").is_empty() && r.get("nonResourceRules").is_empty() {
                e.required(&at, "at least one of resourceRules and nonResourceRules has to be non-empty");
            }
        }
    },
    generation: true,
    cells: Some(|v, now| {
        let spec = v.get("spec");
        let missing = match v.condition("Dangling").get("status").text() {
            "" => "False",
            s => s,
        };
        vec![
            v.name().into(),
            spec.at(&["priorityLevelConfiguration", "name"]).text().into(),
            spec.get("matchingPrecedence").int().to_string().into(),
            spec.at(&["distinguisherMethod", "type"]).as_str().unwrap_or("<none>").into(),
            object_age(v, now),
            missing.into(),
        ]
    }),
    name: NameRule::PathSegment,
    ..Rules::GENERIC
};

/// PriorityLevelConfiguration.
pub const LEVEL: Rules = Rules {
    of: (GROUP, "PriorityLevelConfiguration"),
    defaults: |v| match v.at(&["spec", "type"]).text() {
        "Limited" => {
            let limited = v.slot(&["spec", "limited"]);
            default(limited, "nominalConcurrencyShares", 30);
            default(limited, "lendablePercent", 0);
            let response = limited.slot(&["limitResponse"]);
            if response.get("type").text() == "Queue" {
                let queuing = response.slot(&["queuing"]);
                default(queuing, "handSize", 8);
                default(queuing, "queues", 64);
                default(queuing, "queueLengthLimit", 50);
            }
        }
        "Exempt" => {
            let exempt = v.slot(&["spec", "exempt"]);
            default(exempt, "nominalConcurrencyShares", 0);
            default(exempt, "lendablePercent", 0);
        }
        _ => {}
    },
    prepare: |new, old| super::workload::keep_status(new, old, Value::map()),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        let kind = spec.get("type").text();
        if (kind == "Exempt") != (v.name() == "exempt") && matches!(kind, "Exempt" | "Limited") {
            let why = "type must be 'Exempt' if and only if `name` is 'exempt'";
            e.invalid(&at.field("type"), kind, why);
        }
        match kind {
            "Exempt" if spec.get("limited").is_some() => {
                e.forbidden(&at.field("limited"), "must be nil if the type is not Limited");
            }
            "Limited" if spec.get("limited").is_null() => {
                e.required(&at.field("limited"), "must not be empty when type is Limited");
            }
            "Exempt" | "Limited" => {}
            other => e.not_supported(&at.field("type"), other, &["Exempt", "Limited"]),
        }
        for key in ["limited", "exempt"] {
            let shares = spec.at(&[key, "nominalConcurrencyShares"]);
            let at = at.field(key);
            if shares.as_int().is_some_and(|n| n < 0) {
                let why = "must be a non-negative integer";
                e.invalid(&at.field("nominalConcurrencyShares"), shares, why);
            }
            let lendable = spec.at(&[key, "lendablePercent"]);
            if lendable.as_int().is_some_and(|n| !(0..=100).contains(&n)) {
                e.invalid(&at.field("lendablePercent"), lendable, "must be between 0 and 100, inclusive");
            }
        }
    },
    cells: Some(|v, now| {
        let spec = v.get("spec");
        let queuing = spec.at(&["limited", "limitResponse", "queuing"]);
        vec![
            v.name().into(),
            spec.get("type").text().into(),
            or_none(spec.at(&["limited", "nominalConcurrencyShares"])),
            or_none(queuing.get("queues")),
            or_none(queuing.get("handSize")),
            or_none(queuing.get("queueLengthLimit")),
            object_age(v, now),
        ]
    }),
    ..SCHEMA
};
