//! The plugins: one file each, in upstream's order, with their user-visible reasons as constants.

mod fit;
mod image_locality;
mod interpod;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_unschedulable;
mod spread;
mod taints;
pub(crate) mod volumes;

use crate::cache::{NodeInfo, PodInfo};
use api::{SmolStr, Value};
use std::sync::Arc;

/// Highest score of a plugin for a node before its weight.
pub const SCORE_MAX: i64 = 100;

/// Why a node does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// The words that people see.
    pub text: SmolStr,
    /// Whether evicting pods could change it.
    pub resolvable: bool,
}

impl Reason {
    /// A reason that evicting pods could change.
    pub fn resolvable(text: impl Into<SmolStr>) -> Reason {
        Reason { text: text.into(), resolvable: true }
    }

    /// A reason that evicting pods cannot change.
    pub fn fixed(text: impl Into<SmolStr>) -> Reason {
        Reason { text: text.into(), resolvable: false }
    }
}

/// Other objects that plugins look at.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Services of the pod's namespace.
    pub services: Vec<Value>,
    /// The pod's controller, if it is a ReplicaSet, ReplicationController or StatefulSet.
    pub owner: Value,
    /// Namespaces by name, for namespace selectors.
    pub namespaces: Vec<Value>,
    /// Claims of the pod's volumes: name and object (null if missing).
    pub claims: Vec<(SmolStr, Value)>,
    /// All persistent volumes.
    pub volumes: Vec<Value>,
    /// All storage classes.
    pub classes: Vec<Value>,
}

/// What plugins see during one attempt.
pub struct Cycle<'a> {
    /// The pod.
    pub pod: &'a PodInfo,
    /// All nodes.
    pub nodes: &'a [Arc<NodeInfo>],
    /// Other objects.
    pub lookup: &'a Lookup,
    /// What plugins worked out before filtering.
    pub state: State,
}

/// What plugins work out once an attempt.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Of PodTopologySpread.
    pub spread: spread::State,
    /// Of InterPodAffinity.
    pub interpod: interpod::State,
}

/// A plugin's hooks; those that it lacks stay as they are.
pub struct Plugin {
    /// Upstream's name.
    pub name: &'static str,
    /// Works out what the filter needs; an error is a verdict over all nodes.
    pub pre_filter: fn(&mut Cycle<'_>) -> Result<(), Reason>,
    /// Whether the pod may run on the node.
    pub filter: Option<fn(&Cycle<'_>, &NodeInfo) -> Result<(), Reason>>,
    /// Scores of the nodes that fit, normalised to 0 to 100; `None` where the plugin has nothing to say.
    pub score: Option<fn(&Cycle<'_>, &[Arc<NodeInfo>]) -> Option<Vec<i64>>>,
    /// Weight of the score.
    pub weight: i64,
}

impl Plugin {
    const NONE: Plugin = Plugin { name: "", pre_filter: |_| Ok(()), filter: None, score: None, weight: 1 };
}

/// All plugins, in the order of filtering.
pub static PLUGINS: &[&Plugin] = &[
    &node_unschedulable::PLUGIN,
    &node_name::PLUGIN,
    &taints::PLUGIN,
    &node_affinity::PLUGIN,
    &node_ports::PLUGIN,
    &fit::FIT,
    &volumes::PLUGIN,
    &spread::PLUGIN,
    &interpod::PLUGIN,
    &fit::BALANCED,
    &image_locality::PLUGIN,
    &DYNAMIC_RESOURCES,
];

/// Resource claims are not modelled; the plugin is listed with the score that it gives pods without claims.
static DYNAMIC_RESOURCES: Plugin =
    Plugin { name: "DynamicResources", score: Some(|_, nodes| Some(vec![0; nodes.len()])), ..Plugin::NONE };

/// Spreads scores over 0 to 100, reversed where less is better. Models: `DefaultNormalizeScore`.
pub(crate) fn normalize(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for s in scores.iter_mut() {
        *s = match (max, reverse) {
            (0, true) => SCORE_MAX,
            (0, false) => *s,
            (m, false) => SCORE_MAX * *s / m,
            (m, true) => SCORE_MAX - SCORE_MAX * *s / m,
        };
    }
}
