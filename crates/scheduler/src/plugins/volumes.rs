//! VolumeBinding: claims have to be there and bound, or bindable once a node is chosen.

use super::{Plugin, Reason};
use api::Value;
use api::kinds::scheduling::matches_term;

/// What people see for claims that wait for a volume.
pub const UNBOUND: &str = "pod has unbound immediate PersistentVolumeClaims";
/// What people see where a bound volume cannot be reached.
pub const CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";

fn class_of<'a>(claim: &Value, classes: &'a [Value]) -> Option<&'a Value> {
    classes.iter().find(|c| c.name() == claim.at(&["spec", "storageClassName"]).text())
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
            let required = v.at(&["spec", "nodeAffinity", "required"]);
            if required.is_some()
                && !required.get("nodeSelectorTerms").items().any(|t| matches_term(t, &n.node))
            {
                return Err(Reason::fixed(CONFLICT));
            }
        }
        Ok(())
    }),
    ..Plugin::NONE
};
