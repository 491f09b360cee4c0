//! TaintToleration: NoSchedule and NoExecute taints keep pods away, PreferNoSchedule taints cost score.

use super::{Plugin, Reason, normalize};
use api::Value;
use api::kinds::scheduling::tolerates;

/// What people see.
pub const REASON: &str = "node(s) had untolerated taint(s)";

pub(super) static PLUGIN: Plugin = Plugin {
    name: "TaintToleration",
    filter: Some(|c, n| {
        let tolerations = c.pod.pod.at(&["spec", "tolerations"]);
        let bad = n.node.at(&["spec", "taints"]).items().any(|t| {
            matches!(t.get("effect").text(), "NoSchedule" | "NoExecute")
                && !tolerations.items().any(|x| tolerates(x, t))
        });
        if bad { Err(Reason::fixed(REASON)) } else { Ok(()) }
    }),
    score: Some(|c, nodes| {
        let tolerations: Vec<&Value> = c
            .pod
            .pod
            .at(&["spec", "tolerations"])
            .items()
            .filter(|t| matches!(t.get("effect").text(), "" | "PreferNoSchedule"))
            .collect();
        let mut scores: Vec<i64> = nodes
            .iter()
            .map(|n| {
                let taints = n.node.at(&["spec", "taints"]).items();
                taints
                    .filter(|t| {
                        t.get("effect").text() == "PreferNoSchedule"
                            && !tolerations.iter().any(|x| tolerates(x, t))
                    })
                    .count() as i64
            })
            .collect();
        normalize(&mut scores, true);
        Some(scores)
    }),
    weight: 3,
    ..Plugin::NONE
};
