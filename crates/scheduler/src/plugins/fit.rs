//! NodeResourcesFit and NodeResourcesBalancedAllocation: what a node has left, and how evenly it is used.

use super::{Plugin, Reason, SCORE_MAX};
use crate::cache::NodeInfo;

/// What people see when a node takes no more pods.
pub const TOO_MANY: &str = "Too many pods";

pub(super) static FIT: Plugin = Plugin {
    name: "NodeResourcesFit",
    filter: Some(|c, n| match lacking(c.pod, n).first() {
        None => Ok(()),
        Some(_) => Err(Reason {
            text: lacking(c.pod, n).into_iter().map(|(t, _)| t).collect::<Vec<_>>().join("\u{1f}").into(),
            resolvable: lacking(c.pod, n).into_iter().all(|(_, fits_empty)| fits_empty),
        }),
    }),
    score: Some(|c, nodes| {
        Some(
            nodes
                .iter()
                .map(|n| {
                    let cpu = least(n.nonzero.0 + c.pod.nonzero.0, n.allocatable.cpu_m);
                    let memory = least(n.nonzero.1 + c.pod.nonzero.1, n.allocatable.memory);
                    match (cpu, memory) {
                        (Some(a), Some(b)) => (a + b) / 2,
                        (Some(a), None) | (None, Some(a)) => a,
                        (None, None) => 0,
                    }
                })
                .collect(),
        )
    }),
    ..Plugin::NONE
};

/// What a node lacks for a pod, each with whether the node would do if it were empty.
fn lacking(p: &crate::cache::PodInfo, n: &NodeInfo) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    if n.pods.len() as i64 + 1 > n.pods_max {
        out.push((TOO_MANY.to_owned(), true));
    }
    let mut check = |name: &str, want: i64, have: i64, used: i64| {
        if want > 0 && want > have - used {
            out.push((format!("Insufficient {name}"), want <= have));
        }
    };
    check("cpu", p.requests.cpu_m, n.allocatable.cpu_m, n.requested.cpu_m);
    check("memory", p.requests.memory, n.allocatable.memory, n.requested.memory);
    check("ephemeral-storage", p.requests.ephemeral, n.allocatable.ephemeral, n.requested.ephemeral);
    for (k, want) in &p.requests.other {
        let at = |r: &crate::cache::Resources| r.other.get(k).copied().unwrap_or(0);
        check(k, *want, at(&n.allocatable), at(&n.requested));
    }
    out
}

/// Models: `leastRequestedScore`.
fn least(used: i64, have: i64) -> Option<i64> {
    match have {
        0 => None,
        _ if used > have => Some(0),
        _ => Some((have - used) * SCORE_MAX / have),
    }
}

pub(super) static BALANCED: Plugin = Plugin {
    name: "NodeResourcesBalancedAllocation",
    score: Some(|c, nodes| {
        // Best-effort pods change no balance: the plugin skips them.
        if c.pod.requests.cpu_m == 0 && c.pod.requests.memory == 0 {
            return None;
        }
        let score = |n: &NodeInfo, cpu: i64, memory: i64| {
            let fraction =
                |used: i64, have: i64| if have == 0 { 1.0 } else { (used as f64 / have as f64).min(1.0) };
            let a = fraction(n.requested.cpu_m + cpu, n.allocatable.cpu_m);
            let b = fraction(n.requested.memory + memory, n.allocatable.memory);
            // The standard deviation of two values is half of their distance.
            ((1.0 - (a - b).abs() / 2.0) * SCORE_MAX as f64) as i64
        };
        Some(
            nodes
                .iter()
                .map(|n| {
                    let with = score(n, c.pod.requests.cpu_m, c.pod.requests.memory);
                    let without = score(n, 0, 0);
                    SCORE_MAX / 2 + (SCORE_MAX / 2 + with - without) / 2
                })
                .collect(),
        )
    }),
    ..Plugin::NONE
};
