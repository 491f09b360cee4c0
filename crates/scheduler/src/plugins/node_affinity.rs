//! NodeAffinity: nodeSelector and node affinity, required and preferred.

use super::{Plugin, Reason, normalize};
use api::Value;

/// What people see.
pub const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

const REQUIRED: [&str; 4] =
    ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
const PREFERRED: [&str; 4] =
    ["spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"];

pub(super) static PLUGIN: Plugin = Plugin {
    name: "NodeAffinity",
    filter: Some(|c, n| if matches(&c.pod.pod, &n.node) { Ok(()) } else { Err(Reason::fixed(REASON)) }),
    score: Some(|c, nodes| {
        let terms = c.pod.pod.at(&PREFERRED);
        if terms.is_empty() {
            return None;
        }
        let mut scores: Vec<i64> = nodes
            .iter()
            .map(|n| {
                terms
                    .items()
                    .filter(|t| matches_term(t.get("preference"), &n.node))
                    .map(|t| t.get("weight").int())
                    .sum()
            })
            .collect();
        normalize(&mut scores, false);
        Some(scores)
    }),
    weight: 2,
    ..Plugin::NONE
};

/// Whether a pod's required node affinity and selector match a node.
pub fn matches(pod: &Value, node: &Value) -> bool {
    let labels = node.labels();
    let selector = pod.at(&["spec", "nodeSelector"]);
    if !selector.entries().all(|(k, v)| labels.get(k) == v) {
        return false;
    }
    let required = pod.at(&REQUIRED);
    required.is_null() || required.get("nodeSelectorTerms").items().any(|t| matches_term(t, node))
}

/// Whether a node selector term matches a node; an empty term matches none.
pub fn matches_term(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (term.get("matchExpressions"), term.get("matchFields"));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.items().all(|e| requirement(e, node.labels().get(e.get("key").text()).as_str()))
        && fields.items().all(|e| {
            let value = (e.get("key").text() == "metadata.name").then(|| node.name());
            requirement(e, value)
        })
}

fn requirement(e: &Value, have: Option<&str>) -> bool {
    let values = e.get("values");
    let among = |h: &str| values.items().any(|v| v.text() == h);
    let number = |s: &str| s.parse::<i64>().ok();
    match e.get("operator").text() {
        "In" => have.is_some_and(among),
        "NotIn" => !have.is_some_and(among),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        op @ ("Gt" | "Lt") => {
            match (have.and_then(number), values.items().next().and_then(|v| number(v.text()))) {
                (Some(h), Some(w)) => {
                    if op == "Gt" {
                        h > w
                    } else {
                        h < w
                    }
                }
                _ => false,
            }
        }
        _ => false,
    }
}
