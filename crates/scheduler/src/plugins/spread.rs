//! PodTopologySpread: pods spread evenly over zones and nodes, by the pod's constraints or the default ones.

use super::{Cycle, Plugin, Reason, SCORE_MAX};
use crate::cache::NodeInfo;
use api::kinds::scheduling::{matches_node, tolerates};
use api::selector::Selector;
use api::{SmolStr, Value, obj};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What people see.
pub const REASON: &str = "node(s) didn't match pod topology spread constraints";
/// What people see where a node lacks the topology's label.
pub const MISSING_LABEL: &str =
    "node(s) didn't match pod topology spread constraints (missing required label)";

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Clone, Debug)]
struct Constraint {
    key: SmolStr,
    max_skew: i64,
    min_domains: i64,
    selector: Selector,
    honor_affinity: bool,
    honor_taints: bool,
}

/// Worked out before filtering.
#[derive(Clone, Debug, Default)]
pub struct State {
    hard: Vec<Constraint>,
    counts: Vec<BTreeMap<SmolStr, i64>>,
}

pub(super) static PLUGIN: Plugin = Plugin {
    name: "PodTopologySpread",
    pre_filter: |c| {
        c.state.spread = prepare(c);
        Ok(())
    },
    filter: Some(filter),
    score: Some(score),
    weight: 2,
};

fn constraints(c: &Cycle<'_>, when: &str) -> Vec<Constraint> {
    let pod = &c.pod.pod;
    let own = pod.at(&["spec", "topologySpreadConstraints"]);
    own.items()
        .filter(|t| t.get("whenUnsatisfiable").text() == when)
        .map(|t| {
            let mut selector = t.get("labelSelector").clone();
            for k in t.get("matchLabelKeys").items() {
                if let Some(v) = pod.labels().get(k.text()).as_str() {
                    selector.push_at(
                        &["matchExpressions"],
                        obj!({"key": k.text(), "operator": "In", "values": [v]}),
                    );
                }
            }
            Constraint {
                key: t.get("topologyKey").smol(),
                max_skew: t.get("maxSkew").int(),
                min_domains: t.get("minDomains").as_int().unwrap_or(1),
                selector: Selector::of(&selector).unwrap_or_else(|_| Selector::nothing()),
                honor_affinity: t.get("nodeAffinityPolicy").text() != "Ignore",
                honor_taints: t.get("nodeTaintsPolicy").text() == "Honor",
            }
        })
        .collect()
}

/// The cluster's default constraints for pods of services and controllers. Models: `systemDefaultConstraints`.
fn defaults(c: &Cycle<'_>) -> Vec<Constraint> {
    let labels = c.pod.pod.labels();
    let mut selector = Value::map();
    for s in &c.lookup.services {
        let want = s.at(&["spec", "selector"]);
        if !want.is_empty() && Selector::of_labels(want).matches(labels) {
            for (k, v) in want.entries() {
                selector.set(&["matchLabels", k], v);
            }
        }
    }
    let owner = &c.lookup.owner;
    if owner.is_some() {
        let s = owner.at(&["spec", "selector"]);
        if owner.kind() == "ReplicationController" {
            for (k, v) in s.entries() {
                selector.set(&["matchLabels", k], v);
            }
        } else {
            for (k, v) in s.get("matchLabels").entries() {
                selector.set(&["matchLabels", k], v);
            }
            for e in s.get("matchExpressions").items() {
                selector.push_at(&["matchExpressions"], e);
            }
        }
    }
    if selector.is_empty() {
        return Vec::new();
    }
    let selector = Selector::of(&selector).unwrap_or_else(|_| Selector::nothing());
    [(HOSTNAME, 3), (ZONE, 5)]
        .into_iter()
        .map(|(key, max_skew)| Constraint {
            key: key.into(),
            max_skew,
            min_domains: 1,
            selector: selector.clone(),
            honor_affinity: true,
            honor_taints: false,
        })
        .collect()
}

fn counts_in(c: &Constraint, n: &NodeInfo, namespace: &str) -> i64 {
    n.pods
        .values()
        .filter(|p| {
            !p.pod.is_terminating() && p.pod.namespace() == namespace && c.selector.matches(p.pod.labels())
        })
        .count() as i64
}

fn included(k: &Constraint, c: &Cycle<'_>, n: &NodeInfo) -> bool {
    (!k.honor_affinity || matches_node(&c.pod.pod, &n.node))
        && (!k.honor_taints
            || n.node.at(&["spec", "taints"]).items().all(|t| {
                t.get("effect").text() == "PreferNoSchedule"
                    || c.pod.pod.at(&["spec", "tolerations"]).items().any(|x| tolerates(x, t))
            }))
}

fn prepare(c: &Cycle<'_>) -> State {
    let hard = constraints(c, "DoNotSchedule");
    let mut counts = vec![BTreeMap::new(); hard.len()];
    if hard.is_empty() {
        return State { hard, counts };
    }
    for n in c.nodes {
        if !hard.iter().all(|k| n.node.labels().get(&k.key).is_some()) {
            continue;
        }
        for (k, m) in hard.iter().zip(&mut counts) {
            if included(k, c, n) {
                let domain = n.node.labels().get(&k.key).smol();
                *m.entry(domain).or_insert(0) += counts_in(k, n, c.pod.pod.namespace());
            }
        }
    }
    State { hard, counts }
}

fn filter(c: &Cycle<'_>, n: &NodeInfo) -> Result<(), Reason> {
    let s = &c.state.spread;
    for (k, counts) in s.hard.iter().zip(&s.counts) {
        let Some(domain) = n.node.labels().get(&k.key).as_str() else {
            return Err(Reason::fixed(MISSING_LABEL));
        };
        let own = i64::from(k.selector.matches(c.pod.pod.labels()));
        let min = if (counts.len() as i64) < k.min_domains {
            0
        } else {
            counts.values().copied().min().unwrap_or(0)
        };
        // Pods on this node may have changed since, when preemption asks what if.
        let have = counts.get(domain).copied().unwrap_or(0);
        if have + own - min > k.max_skew {
            return Err(Reason::resolvable(REASON));
        }
    }
    Ok(())
}

fn score(c: &Cycle<'_>, nodes: &[Arc<NodeInfo>]) -> Option<Vec<i64>> {
    let own = !c.pod.pod.at(&["spec", "topologySpreadConstraints"]).is_empty();
    let soft = if own { constraints(c, "ScheduleAnyway") } else { defaults(c) };
    if soft.is_empty() {
        return None;
    }
    // With the pod's own constraints a node without the labels is out; with the default ones it is not.
    let ignored: Vec<bool> =
        nodes.iter().map(|n| own && !soft.iter().all(|k| n.node.labels().get(&k.key).is_some())).collect();
    let mut raw = vec![0.0f64; nodes.len()];
    for k in &soft {
        let mut domains: BTreeSet<SmolStr> = BTreeSet::new();
        for (n, skip) in nodes.iter().zip(&ignored) {
            if let Some(d) = n.node.labels().get(&k.key).as_str().filter(|_| !skip) {
                domains.insert(d.into());
            }
        }
        let size = if k.key == HOSTNAME { ignored.iter().filter(|x| !**x).count() } else { domains.len() };
        let weight = ln(size as u32 + 2);
        let mut counts: BTreeMap<SmolStr, i64> = BTreeMap::new();
        for n in c.nodes.iter().filter(|n| included(k, c, n)) {
            if let Some(d) = n.node.labels().get(&k.key).as_str() {
                *counts.entry(d.into()).or_insert(0) += counts_in(k, n, c.pod.pod.namespace());
            }
        }
        for (i, n) in nodes.iter().enumerate().filter(|(i, _)| !ignored[*i]) {
            if let Some(d) = n.node.labels().get(&k.key).as_str() {
                raw[i] += counts.get(d).copied().unwrap_or(0) as f64 * weight + (k.max_skew - 1) as f64;
            }
        }
    }
    let rounded: Vec<i64> = raw.iter().map(|s| s.round() as i64).collect();
    let live = || rounded.iter().zip(&ignored).filter(|(_, skip)| !**skip).map(|(s, _)| *s);
    let (min, max) = (live().min().unwrap_or(0), live().max().unwrap_or(0));
    Some(
        rounded
            .iter()
            .zip(&ignored)
            .map(|(s, skip)| match (skip, max) {
                (true, _) => 0,
                (false, 0) => SCORE_MAX,
                (false, m) => SCORE_MAX * (m + min - s) / m,
            })
            .collect(),
    )
}

/// The natural logarithm, by arithmetic that is the same everywhere: `ln x = 2 artanh((x-1)/(x+1))` after halving.
fn ln(x: u32) -> f64 {
    const LN2: f64 = core::f64::consts::LN_2;
    let halvings = 31 - x.max(1).leading_zeros();
    let m = f64::from(x) / f64::from(1u32 << halvings);
    let y = (m - 1.0) / (m + 1.0);
    let (mut term, mut sum) = (y, 0.0);
    for i in 0..30 {
        sum += term / f64::from(2 * i + 1);
        term *= y * y;
    }
    2.0 * sum + f64::from(halvings) * LN2
}

#[cfg(test)]
#[test]
fn logarithms() {
    assert!((ln(5) - 1.609_437_912_434_100_3).abs() < 1e-14);
    assert!((ln(2) - core::f64::consts::LN_2).abs() < 1e-15);
}
