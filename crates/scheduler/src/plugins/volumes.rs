//! VolumeBinding: claims have to be there and bound, or bindable once a node is chosen.

use super::{Lookup, Plugin, Reason};
use api::Value;
use api::kinds::persistentvolume::{class, satisfies, size};
use api::kinds::scheduling::matches_term;

/// What people see for claims that wait for a volume.
pub const UNBOUND: &str = "pod has unbound immediate PersistentVolumeClaims";
/// What people see where a bound volume cannot be reached.
pub const CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";

/// What people see where no volume is left for a claim that waits for its pod.
pub const NONE_LEFT: &str = "node(s) didn't find available persistent volumes to bind";

fn class_of<'a>(claim: &Value, classes: &'a [Value]) -> Option<&'a Value> {
    classes.iter().find(|c| c.name() == class(claim))
}

/// The claims of a pod that are bound once its node is known.
pub(crate) fn waiting(l: &Lookup) -> impl Iterator<Item = &Value> {
    l.claims.iter().map(|(_, c)| c).filter(|c| c.at(&["spec", "volumeName"]).text().is_empty())
}

fn reaches(volume: &Value, node: &Value) -> bool {
    let required = volume.at(&["spec", "nodeAffinity", "required"]);
    required.is_null() || required.get("nodeSelectorTerms").items().any(|t| matches_term(t, node))
}

/// For each claim that waits its volume on a node, `None` where one has to be made; an error where neither is possible.
/// Models: `FindPodVolumes`.
pub(crate) fn choose<'a>(l: &'a Lookup, node: &Value) -> Result<Vec<(&'a Value, Option<&'a Value>)>, Reason> {
    let mut out: Vec<(&Value, Option<&Value>)> = Vec::new();
    for claim in waiting(l) {
        let taken = |v: &Value| out.iter().any(|(_, o)| o.is_some_and(|o| o.name() == v.name()));
        let free = l.volumes.iter().filter(|v| {
            v.at(&["spec", "claimRef"]).is_null()
                && v.at(&["status", "phase"]).text() == "Available"
                && !taken(v)
                && satisfies(v, claim)
                && reaches(v, node)
        });
        let found = free.min_by_key(|v| size(v));
        let provisioner = class_of(claim, &l.classes).map_or("", |c| c.get("provisioner").text());
        if found.is_none() && matches!(provisioner, "" | "kubernetes.io/no-provisioner") {
            return Err(Reason::fixed(NONE_LEFT));
        }
        out.push((claim, found));
    }
    Ok(out)
}

pub(super) static PLUGIN: Plugin = Plugin {
    name: "VolumeBinding",
    pre_filter: |c| {
        for (name, claim) in &c.lookup.claims {
            if claim.is_null() {
                return Err(Reason::fixed(format!("persistentvolumeclaim \"{name}\" not found")));
            }
            if claim.is_terminating() {
                return Err(Reason::fixed(format!("persistentvolumeclaim \"{name}\" is being deleted")));
            }
            let bound = !claim.at(&["spec", "volumeName"]).text().is_empty();
            let waits = class_of(claim, &c.lookup.classes)
                .is_some_and(|s| s.get("volumeBindingMode").text() == "WaitForFirstConsumer");
            if !bound && !waits {
                return Err(Reason::fixed(UNBOUND));
            }
        }
        Ok(())
    },
    filter: Some(|c, n| {
        for (_, claim) in &c.lookup.claims {
            let volume = claim.at(&["spec", "volumeName"]).text();
            let Some(v) = c.lookup.volumes.iter().find(|v| v.name() == volume) else { continue };
            if !reaches(v, &n.node) {
                return Err(Reason::fixed(CONFLICT));
            }
        }
        choose(c.lookup, &n.node).map(|_| ())
    }),
    ..Plugin::NONE
};
