//! DefaultPreemption: may less important pods make room?

use crate::attempt::{Verdict, filter, histogram};
use crate::cache::{NodeInfo, PodInfo};
use crate::plugins::{Cycle, Lookup, PLUGINS, State};
use api::selector::Selector;
use api::{SmolStr, Value};
use sim::Civil;
use std::sync::Arc;

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// A node and the pods that would have to go.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub node: SmolStr,
    pub victims: Vec<Arc<PodInfo>>,
    violations: usize,
}

/// Looks for the node where evicting costs least. Gives the candidate, or the text of the verdict.
pub(crate) fn preempt(
    pod: &PodInfo,
    nodes: &[Arc<NodeInfo>],
    lookup: &Lookup,
    budgets: &[Value],
    verdict: &Verdict,
) -> Result<Candidate, String> {
    let prefix = "no new claims to deallocate, preemption: ";
    if pod.pod.at(&["spec", "preemptionPolicy"]).text() == "Never" {
        return Err(format!("{prefix}not eligible due to preemptionPolicy=Never."));
    }
    let nominated = pod.pod.at(&["status", "nominatedNodeName"]).text();
    if let Some(n) = nodes.iter().find(|n| n.name() == nominated) {
        let going = n.pods.values().any(|p| {
            p.priority < pod.priority
                && p.pod.is_terminating()
                && p.pod.condition("DisruptionTarget").get("reason").text() == "PreemptionByScheduler"
        });
        if going {
            return Err(format!("{prefix}not eligible due to a terminating pod on the nominated node."));
        }
    }
    let mut reasons: Vec<&str> = Vec::new();
    let mut found: Vec<Candidate> = Vec::new();
    for v in &verdict.nodes {
        let Some((_, r)) = &v.rejected else { continue };
        if !r.resolvable {
            reasons.push(NOT_HELPFUL);
            continue;
        }
        let Some(n) = nodes.iter().find(|n| n.name() == v.node) else { continue };
        match victims(pod, nodes, n, lookup, budgets) {
            Some(c) => found.push(c),
            None => reasons.push(NO_VICTIMS),
        }
    }
    best(found).ok_or_else(|| {
        format!("{prefix}0/{} nodes are available: {}.", verdict.node_count, histogram(reasons.into_iter()))
    })
}

fn fits(pod: &PodInfo, nodes: &[Arc<NodeInfo>], n: &Arc<NodeInfo>, lookup: &Lookup) -> bool {
    let with: Vec<Arc<NodeInfo>> =
        nodes.iter().map(|x| if x.name() == n.name() { n.clone() } else { x.clone() }).collect();
    let mut c = Cycle { pod, nodes: &with, lookup, state: State::default() };
    PLUGINS.iter().all(|p| (p.pre_filter)(&mut c).is_ok()) && filter(&c, n).is_none()
}

/// Takes all less important pods away, then gives back as many as possible. Models: `SelectVictimsOnNode`.
fn victims(
    pod: &PodInfo,
    nodes: &[Arc<NodeInfo>],
    node: &Arc<NodeInfo>,
    lookup: &Lookup,
    budgets: &[Value],
) -> Option<Candidate> {
    let mut n: NodeInfo = (**node).clone();
    let mut lower: Vec<Arc<PodInfo>> =
        node.pods.values().filter(|p| p.priority < pod.priority).cloned().collect();
    if lower.is_empty() {
        return None;
    }
    for p in &lower {
        n.remove(&p.pod.uid().into());
    }
    if !fits(pod, nodes, &Arc::new(n.clone()), lookup) {
        return None;
    }
    // The most important ones are given back first, those of exhausted budgets before others.
    lower.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| started(a).cmp(&started(b))));
    let violates = |p: &PodInfo| {
        budgets.iter().any(|b| {
            b.namespace() == p.pod.namespace()
                && Selector::of(b.at(&["spec", "selector"])).is_ok_and(|s| s.matches(p.pod.labels()))
                && b.at(&["status", "disruptionsAllowed"]).int() <= 0
        })
    };
    let (first, rest): (Vec<_>, Vec<_>) = lower.into_iter().partition(|p| violates(p));
    let mut c = Candidate { node: node.name().into(), victims: Vec::new(), violations: 0 };
    for (group, counts) in [(first, true), (rest, false)] {
        for p in group {
            let mut back = n.clone();
            back.add(p.clone());
            if fits(pod, nodes, &Arc::new(back.clone()), lookup) {
                n = back;
            } else {
                c.violations += usize::from(counts);
                c.victims.push(p);
            }
        }
    }
    (!c.victims.is_empty()).then_some(c)
}

fn started(p: &PodInfo) -> Option<Civil> {
    Civil::parse(p.pod.at(&["status", "startTime"]).text())
}

/// Models: `pickOneNodeForPreemption`.
fn best(found: Vec<Candidate>) -> Option<Candidate> {
    found.into_iter().min_by(|a, b| {
        let top = |c: &Candidate| c.victims.iter().map(|v| v.priority).max();
        let sum = |c: &Candidate| c.victims.iter().map(|v| v.priority + i64::from(i32::MAX)).sum::<i64>();
        let earliest = |c: &Candidate| {
            let high = top(c);
            c.victims.iter().filter(|v| Some(v.priority) == high).filter_map(|v| started(v)).min()
        };
        a.violations
            .cmp(&b.violations)
            .then_with(|| top(a).cmp(&top(b)))
            .then_with(|| sum(a).cmp(&sum(b)))
            .then_with(|| a.victims.len().cmp(&b.victims.len()))
            .then_with(|| earliest(b).cmp(&earliest(a)))
    })
}
