//! InterPodAffinity: pods that want to be near or away from other pods.

use super::{Cycle, Plugin, Reason, SCORE_MAX};
use crate::cache::{NodeInfo, PodInfo};
use api::selector::Selector;
use api::{SmolStr, Value, obj};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What people see.
pub const AFFINITY: &str = "node(s) didn't match pod affinity rules";
/// What people see.
pub const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
/// What people see where a pod that is there objects.
pub const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

type Domains = BTreeMap<(SmolStr, SmolStr), i64>;

/// Worked out before filtering: how many pods match by topology domain.
#[derive(Clone, Debug, Default)]
pub struct State {
    affinity: Vec<Term>,
    anti: Vec<Term>,
    affinity_counts: Domains,
    anti_counts: Domains,
    existing: Domains,
    self_match: bool,
}

#[derive(Clone, Debug)]
struct Term {
    key: SmolStr,
    selector: Selector,
    namespaces: Vec<SmolStr>,
    namespace_selector: Option<Selector>,
}

pub(super) static PLUGIN: Plugin = Plugin {
    name: "InterPodAffinity",
    pre_filter: |c| {
        c.state.interpod = prepare(c);
        Ok(())
    },
    filter: Some(filter),
    score: Some(score),
    weight: 2,
};

impl Term {
    fn of(t: &Value, owner: &Value) -> Term {
        let mut selector = t.get("labelSelector").clone();
        for (keys, op) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
            for k in t.get(keys).items() {
                if let Some(v) = owner.labels().get(k.text()).as_str() {
                    selector.push_at(
                        &["matchExpressions"],
                        obj!({"key": k.text(), "operator": op, "values": [v]}),
                    );
                }
            }
        }
        let mut namespaces: Vec<SmolStr> = t.get("namespaces").items().map(Value::smol).collect();
        let by_label = t.get("namespaceSelector");
        if namespaces.is_empty() && by_label.is_null() {
            namespaces.push(owner.namespace().into());
        }
        Term {
            key: t.get("topologyKey").smol(),
            selector: Selector::of(&selector).unwrap_or_else(|_| Selector::nothing()),
            namespaces,
            namespace_selector: by_label
                .is_some()
                .then(|| Selector::of(by_label).unwrap_or_else(|_| Selector::nothing())),
        }
    }

    fn matches(&self, pod: &Value, c: &Cycle<'_>) -> bool {
        let ns = pod.namespace();
        let here = self.namespaces.iter().any(|n| n == ns)
            || self.namespace_selector.as_ref().is_some_and(|s| {
                c.lookup.namespaces.iter().find(|n| n.name() == ns).is_some_and(|n| s.matches(n.labels()))
            });
        here && self.selector.matches(pod.labels())
    }
}

fn terms(pod: &Value, kind: &str) -> Vec<Term> {
    pod.at(&["spec", "affinity", kind, REQUIRED]).items().map(|t| Term::of(t, pod)).collect()
}

fn prepare(c: &Cycle<'_>) -> State {
    let pod = &c.pod.pod;
    let mut s = State {
        affinity: terms(pod, "podAffinity"),
        anti: terms(pod, "podAntiAffinity"),
        ..State::default()
    };
    let others = c.nodes.iter().any(|n| n.anti_affinity_pods > 0);
    if s.affinity.is_empty() && s.anti.is_empty() && !others {
        return s;
    }
    s.self_match = !s.affinity.is_empty() && s.affinity.iter().all(|t| t.matches(pod, c));
    for n in c.nodes {
        let label =
            |key: &SmolStr| n.node.labels().get(key).as_str().map(|v| (key.clone(), SmolStr::from(v)));
        for p in n.pods.values() {
            if p.has_anti_affinity {
                for t in terms(&p.pod, "podAntiAffinity") {
                    if let Some(d) = label(&t.key).filter(|_| t.matches(pod, c)) {
                        *s.existing.entry(d).or_insert(0) += 1;
                    }
                }
            }
            // A pod counts for affinity only if it matches all terms.
            if !s.affinity.is_empty() && s.affinity.iter().all(|t| t.matches(&p.pod, c)) {
                for t in &s.affinity {
                    if let Some(d) = label(&t.key) {
                        *s.affinity_counts.entry(d).or_insert(0) += 1;
                    }
                }
            }
            for t in &s.anti {
                if let Some(d) = label(&t.key).filter(|_| t.matches(&p.pod, c)) {
                    *s.anti_counts.entry(d).or_insert(0) += 1;
                }
            }
        }
    }
    s
}

fn filter(c: &Cycle<'_>, n: &NodeInfo) -> Result<(), Reason> {
    let s = &c.state.interpod;
    let domain = |key: &SmolStr| n.node.labels().get(key).as_str().map(|v| (key.clone(), SmolStr::from(v)));
    if !s.affinity.is_empty() {
        let mut found = true;
        for t in &s.affinity {
            match domain(&t.key) {
                None => return Err(Reason::fixed(AFFINITY)),
                Some(d) => found &= s.affinity_counts.get(&d).copied().unwrap_or(0) > 0,
            }
        }
        // The first pod of a group may found it: nobody matches yet, but it would match itself.
        let founds = s.affinity_counts.is_empty() && s.self_match;
        if !found && !founds {
            return Err(Reason::fixed(AFFINITY));
        }
    }
    if s.anti.iter().any(|t| domain(&t.key).is_some_and(|d| s.anti_counts.get(&d).copied().unwrap_or(0) > 0))
    {
        return Err(Reason::resolvable(ANTI_AFFINITY));
    }
    if !s.existing.is_empty()
        && n.node.labels().entries().any(|(k, v)| s.existing.contains_key(&(k.as_str().into(), v.smol())))
    {
        return Err(Reason::resolvable(EXISTING));
    }
    Ok(())
}

fn preferred(pod: &Value, kind: &str) -> Vec<(Term, i64)> {
    pod.at(&["spec", "affinity", kind, PREFERRED])
        .items()
        .map(|t| (Term::of(t.get("podAffinityTerm"), pod), t.get("weight").int()))
        .collect()
}

/// What a pod that is there adds to the scores of its topology domains.
fn weigh(c: &Cycle<'_>, n: &NodeInfo, p: &PodInfo, mine: &[(Term, i64)], sums: &mut Domains) {
    let mut add = |t: &Term, w: i64| {
        if let Some(v) = n.node.labels().get(&t.key).as_str() {
            *sums.entry((t.key.clone(), v.into())).or_insert(0) += w;
        }
    };
    for (t, w) in mine {
        if t.matches(&p.pod, c) {
            add(t, *w);
        }
    }
    if !p.has_affinity {
        return;
    }
    // Those that are there have wishes too; required affinity counts as one (hardPodAffinityWeight).
    for t in terms(&p.pod, "podAffinity") {
        if t.matches(&c.pod.pod, c) {
            add(&t, 1);
        }
    }
    for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        for (t, w) in preferred(&p.pod, kind) {
            if t.matches(&c.pod.pod, c) {
                add(&t, sign * w);
            }
        }
    }
}

fn score(c: &Cycle<'_>, nodes: &[Arc<NodeInfo>]) -> Option<Vec<i64>> {
    let pod = &c.pod.pod;
    let mut mine = preferred(pod, "podAffinity");
    mine.extend(preferred(pod, "podAntiAffinity").into_iter().map(|(t, w)| (t, -w)));
    if mine.is_empty() && !c.nodes.iter().any(|n| n.affinity_pods > 0) {
        return None;
    }
    let mut sums = Domains::new();
    for n in c.nodes {
        for p in n.pods.values() {
            weigh(c, n, p, &mine, &mut sums);
        }
    }
    if sums.is_empty() {
        return None;
    }
    let raw: Vec<i64> = nodes
        .iter()
        .map(|n| sums.iter().filter(|((k, v), _)| n.node.labels().get(k).text() == v).map(|(_, w)| *w).sum())
        .collect();
    let (min, max) = (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    Some(
        raw.iter()
            .map(|s| {
                if max > min {
                    (SCORE_MAX as f64 * ((s - min) as f64 / (max - min) as f64)) as i64
                } else {
                    0
                }
            })
            .collect(),
    )
}
