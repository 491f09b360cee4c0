//! Volumes: their phase, and what becomes of them when their claim went.

use super::{BY_CONTROLLER, Binder, PROVISIONED_BY, absent_is_none};
use crate::runtime::{Failure, Turn};
use api::Value;
use apiserver::Status;

impl Binder {
    /// Brings a volume further; whether it needs no second look until something changes. Models: `syncVolume`.
    pub(super) fn sync_volume(&self, turn: &mut Turn<'_>, v: &Value) -> Result<bool, Failure> {
        let r = v.at(&["spec", "claimRef"]).clone();
        if r.is_null() || r.get("uid").text().is_empty() {
            // Unused, or reserved for a claim that is not bound to it yet.
            self.set_phase(turn, v, "Available", "")?;
            return Ok(true);
        }
        let claim = turn.client.get(self.claims, r.get("namespace").text(), r.get("name").text());
        // Another claim of that name is none of this volume's.
        let claim = absent_is_none(claim)?.filter(|c| c.uid() == r.get("uid").text());
        let Some(claim) = claim else {
            if !matches!(v.at(&["status", "phase"]).text(), "Released" | "Failed") {
                self.set_phase(turn, v, "Released", "")?;
            }
            return self.reclaim(turn, v);
        };
        match claim.at(&["spec", "volumeName"]).text() {
            // The claim's own turn binds it.
            "" => Ok(false),
            name if name == v.name() => {
                self.set_phase(turn, v, "Bound", "")?;
                Ok(true)
            }
            // The claim took another volume.
            _ if v.annotations().get(PROVISIONED_BY).is_some()
                && v.at(&["spec", "persistentVolumeReclaimPolicy"]).text() == "Delete" =>
            {
                self.set_phase(turn, v, "Released", "")?;
                self.reclaim(turn, v)
            }
            _ => {
                self.unbind(turn, v)?;
                Ok(true)
            }
        }
    }

    /// Models: `unbindVolume`.
    fn unbind(&self, turn: &mut Turn<'_>, v: &Value) -> Result<(), Status> {
        let mut new = v.clone();
        if v.annotations().get(BY_CONTROLLER).is_some() {
            new.remove(&["spec", "claimRef"]);
            new.remove(&["metadata", "annotations", BY_CONTROLLER]);
            if new.annotations().is_empty() {
                new.remove(&["metadata", "annotations"]);
            }
        } else {
            // Reserved by a person: the name stays.
            new.remove(&["spec", "claimRef", "uid"]);
        }
        let new = turn.client.update(self.volumes, new)?;
        self.set_phase(turn, &new, "Available", "")
    }

    /// Models: `reclaimVolume`. Recycling is not modelled: such a volume stays Released.
    fn reclaim(&self, turn: &mut Turn<'_>, v: &Value) -> Result<bool, Failure> {
        let spec = v.get("spec");
        if spec.get("persistentVolumeReclaimPolicy").text() != "Delete" || v.is_terminating() {
            return Ok(true);
        }
        // An external provisioner deletes what it made.
        if spec.get("csi").is_some() || v.annotations().get(PROVISIONED_BY).is_some() {
            return Ok(true);
        }
        if spec.get("hostPath").is_some() {
            return match turn.client.delete(self.volumes, "", v.name(), Value::Null) {
                Err(s) if s.code != 404 => Err(s.into()),
                _ => Ok(true),
            };
        }
        let text = format!(
            "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
            v.name()
        );
        if v.at(&["status", "phase"]).text() != "Failed" {
            turn.event(v, "Warning", "VolumeFailedDelete", &text);
        }
        self.set_phase(turn, v, "Failed", &text)?;
        Ok(true)
    }
}
