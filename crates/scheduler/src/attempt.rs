//! One attempt: filter, score, choose.

use crate::cache::{NodeInfo, PodInfo};
use crate::plugins::{Cycle, Lookup, PLUGINS, Reason, State};
use api::SmolStr;
use sim::Stream;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of a node in an attempt.
#[derive(Clone, Debug, Default)]
pub struct NodeVerdict {
    /// The node.
    pub node: SmolStr,
    /// Plugin and reason that ruled it out.
    pub rejected: Option<(&'static str, Reason)>,
    /// Weighted score by plugin.
    pub scores: Vec<(&'static str, i64)>,
    /// Their sum.
    pub total: i64,
}

/// What an attempt found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The pod's namespace and name.
    pub pod: (SmolStr, SmolStr),
    /// Each node looked at.
    pub nodes: Vec<NodeVerdict>,
    /// How many nodes there are.
    pub node_count: usize,
    /// The node chosen, "" if none.
    pub chosen: SmolStr,
    /// A reason that concerns all nodes.
    pub overall: Option<Reason>,
    /// What preemption says.
    pub preemption: String,
}

impl Verdict {
    /// Nodes that passed all filters.
    pub fn feasible(&self) -> usize {
        self.nodes.iter().filter(|n| n.rejected.is_none()).count()
    }

    /// The message of the condition and the event. Models: `FitError.Error`.
    pub fn message(&self) -> String {
        let mut s = format!("0/{} nodes are available", self.node_count);
        if let Some(r) = &self.overall {
            s += &format!(": {}.", r.text);
        } else {
            let reasons = histogram(
                self.nodes.iter().filter_map(|n| n.rejected.as_ref()).map(|(_, r)| r.text.as_str()),
            );
            s += &if reasons.is_empty() { ".".to_owned() } else { format!(": {reasons}.") };
        }
        if !self.preemption.is_empty() {
            s += &format!(" {}", self.preemption);
        }
        s
    }
}

/// `1 Insufficient cpu, 2 node(s) had untolerated taint(s)`: counted, sorted as text.
pub(crate) fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for r in reasons {
        for part in r.split('\u{1f}') {
            *counts.entry(part).or_default() += 1;
        }
    }
    let mut all: Vec<String> = counts.iter().map(|(r, n)| format!("{n} {r}")).collect();
    all.sort();
    all.join(", ")
}

/// Tosses between equally good nodes that are known beforehand, as those of a recorded cluster: a pod's namespace and
/// name, and its node. A toss counts only where the node is among the best; empty in ordinary clusters.
#[derive(Clone, Debug, Default)]
pub struct TieBreak(sim::persistent::OrdMap<(SmolStr, SmolStr), sim::persistent::Vector<SmolStr>>);

impl TieBreak {
    /// Adds a toss behind those of the same pod.
    pub fn add(&mut self, namespace: &str, pod: &str, node: &str) {
        self.0.entry((namespace.into(), pod.into())).or_default().push_back(node.into());
    }

    /// The place in `tied` of the node that the pod's next toss names.
    fn toss(&mut self, pod: &(SmolStr, SmolStr), tied: &[&str]) -> Option<usize> {
        let tosses = self.0.get_mut(pod)?;
        let pick = tied.iter().position(|n| tosses.front().is_some_and(|t| t == n))?;
        // The last one stands for all that follow.
        if tosses.len() > 1 {
            tosses.pop_front();
        }
        Some(pick)
    }
}

/// Runs all filters over one node.
pub(crate) fn filter(c: &Cycle<'_>, n: &NodeInfo) -> Option<(&'static str, Reason)> {
    PLUGINS.iter().find_map(|p| p.filter.and_then(|f| f(c, n).err()).map(|r| (p.name, r)))
}

/// How many fitting nodes are enough. Models: `numFeasibleNodesToFind`.
fn enough(nodes: usize) -> usize {
    if nodes < 100 {
        return nodes;
    }
    let percent = (50 - nodes as i64 / 125).max(5) as usize;
    (nodes * percent / 100).max(100)
}

/// Tries a pod on all nodes, beginning at `start`, which moves on.
pub(crate) fn attempt(
    pod: &PodInfo,
    nodes: &[Arc<NodeInfo>],
    lookup: &Lookup,
    start: &mut usize,
    tosses: &mut TieBreak,
    chance: &mut Stream,
) -> Verdict {
    let key = (pod.pod.namespace().into(), pod.pod.name().into());
    let mut v = Verdict { pod: key, node_count: nodes.len(), ..Verdict::default() };
    let mut c = Cycle { pod, nodes, lookup, state: State::default() };
    for p in PLUGINS {
        if let Err(r) = (p.pre_filter)(&mut c) {
            v.overall = Some(r);
            v.preemption = "not found".into();
            return v;
        }
    }
    if nodes.is_empty() {
        return v;
    }
    let wanted = enough(nodes.len());
    let mut fitting: Vec<Arc<NodeInfo>> = Vec::new();
    let mut looked = 0;
    for i in 0..nodes.len() {
        let n = &nodes[(*start + i) % nodes.len()];
        let rejected = filter(&c, n);
        if rejected.is_none() {
            fitting.push(n.clone());
        }
        v.nodes.push(NodeVerdict { node: n.name().into(), rejected, ..NodeVerdict::default() });
        looked += 1;
        if fitting.len() >= wanted {
            break;
        }
    }
    *start = (*start + looked) % nodes.len();
    if fitting.is_empty() {
        return v;
    }
    if fitting.len() == 1 {
        v.chosen = fitting[0].name().into();
        return v;
    }
    let mut totals = vec![0; fitting.len()];
    let mut rows: Vec<Vec<(&'static str, i64)>> = vec![Vec::new(); fitting.len()];
    for p in PLUGINS {
        if let Some(scores) = p.score.and_then(|f| f(&c, &fitting)) {
            for (i, s) in scores.into_iter().enumerate() {
                totals[i] += s * p.weight;
                rows[i].push((p.name, s * p.weight));
            }
        }
    }
    let best = totals.iter().copied().max().unwrap_or(0);
    let ties: Vec<usize> = (0..totals.len()).filter(|i| totals[*i] == best).collect();
    let tied: Vec<&str> = ties.iter().map(|i| fitting[*i].name()).collect();
    let toss = chance.below(ties.len() as u64) as usize;
    let pick = ties[tosses.toss(&v.pod, &tied).unwrap_or(toss)];
    v.chosen = fitting[pick].name().into();
    for ((n, row), total) in fitting.iter().zip(rows).zip(totals) {
        if let Some(x) = v.nodes.iter_mut().find(|x| x.node == n.name()) {
            x.scores = row;
            x.total = total;
        }
    }
    v
}
