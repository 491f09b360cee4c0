//! Which pods a scale-down deletes first.
//!
//! Models: `ActivePodsWithRanks`: unassigned, then pending, then unready, then cheap by annotation, then on crowded
//! nodes, then ready for a shorter time, then restarted more often, then younger.

use crate::runtime::is_ready;
use api::Value;
use core::cmp::Ordering;
use sim::Civil;
use std::collections::BTreeMap;

/// The `n` pods to delete of `active`; `related` are the active pods that count when nodes are compared.
pub(super) fn to_delete(active: &[Value], related: &[Value], n: usize, now: Civil) -> Vec<Value> {
    if n >= active.len() {
        return active.to_vec();
    }
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for p in related {
        *crowd.entry(p.at(&["spec", "nodeName"]).text()).or_default() += 1;
    }
    let rank = |p: &Value| crowd.get(p.at(&["spec", "nodeName"]).text()).copied().unwrap_or(0);
    let mut order: Vec<&Value> = active.iter().collect();
    order.sort_by(|a, b| compare(a, b, rank(a), rank(b), now));
    order.into_iter().take(n).cloned().collect()
}

fn phase(p: &Value) -> u8 {
    match p.at(&["status", "phase"]).text() {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn cost(p: &Value) -> i64 {
    p.annotations()
        .get("controller.kubernetes.io/pod-deletion-cost")
        .text()
        .parse::<i32>()
        .unwrap_or(0)
        .into()
}

/// Ages are compared by their logarithm, so that pods of about the same age count as equal.
fn log_age(since: Option<Civil>, now: Civil) -> Option<u32> {
    since.map(|t| {
        let s = (now.unix() - t.unix()).max(0) as u64;
        u64::BITS - s.leading_zeros()
    })
}

fn compare(a: &Value, b: &Value, rank_a: usize, rank_b: usize, now: Civil) -> Ordering {
    let unassigned = |p: &Value| p.at(&["spec", "nodeName"]).text().is_empty();
    let ready_since = |p: &Value| Civil::parse(p.condition("Ready").get("lastTransitionTime").text());
    let created = |p: &Value| Civil::parse(p.at(&["metadata", "creationTimestamp"]).text());
    let restarts = |p: &Value| {
        p.at(&["status", "containerStatuses"]).items().map(|c| c.get("restartCount").int()).max().unwrap_or(0)
    };
    unassigned(b)
        .cmp(&unassigned(a))
        .then(phase(a).cmp(&phase(b)))
        .then(is_ready(a).cmp(&is_ready(b)))
        .then(cost(a).cmp(&cost(b)))
        .then(rank_b.cmp(&rank_a))
        .then_with(|| {
            if is_ready(a) && is_ready(b) {
                // Shorter ready first.
                log_age(ready_since(a), now).cmp(&log_age(ready_since(b), now))
            } else {
                Ordering::Equal
            }
        })
        .then(restarts(b).cmp(&restarts(a)))
        .then_with(|| match log_age(created(a), now).cmp(&log_age(created(b), now)) {
            Ordering::Equal => a.uid().cmp(b.uid()),
            o => o,
        })
}

#[cfg(test)]
#[test]
fn the_cheapest_and_the_least_useful_go_first() {
    use api::obj;
    let pod = |name: &str, node: &str, ready: &str, cost: &str| {
        obj!({
            "metadata": {"name": name, "uid": name, "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}},
            "spec": {"nodeName": node}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
        })
    };
    let pods = [
        pod("a", "n1", "True", "0"),
        pod("b", "n1", "False", "0"),
        pod("c", "n2", "True", "-5"),
        pod("d", "n2", "True", "0"),
        pod("e", "n1", "True", "0"),
    ];
    let now = sim::Civil::from_unix(0, 0);
    let names: Vec<_> = to_delete(&pods, &pods, 4, now).iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["b", "c", "a", "e"]);
}
