//! NodeAffinity: nodeSelector and node affinity, required and preferred.

use super::{Plugin, Reason, normalize};
use api::kinds::scheduling::{matches_node, matches_term};

/// What people see.
pub const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

const PREFERRED: [&str; 4] =
    ["spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"];

pub(super) static PLUGIN: Plugin = Plugin {
    name: "NodeAffinity",
    filter: Some(|c, n| if matches_node(&c.pod.pod, &n.node) { Ok(()) } else { Err(Reason::fixed(REASON)) }),
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
