//! FlowSchema and PriorityLevelConfiguration.

use super::{NameRule, Rules, default, object_age};
use crate::Value;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

fn or_none(v: &Value) -> Value {
    if v.is_null() { "<none>".into() } else { v.int().to_string().into() }
}

/// FlowSchema.
pub const SCHEMA: Rules = Rules {
    of: (GROUP, "FlowSchema"),
    defaults: |v| default(v.slot(&["spec"]), "matchingPrecedence", 1000),
    prepare: |new, old| super::workload::keep_status(new, old, Value::map()),
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
