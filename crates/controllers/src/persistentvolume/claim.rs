//! Claims: which volume each gets, or why it waits.

use super::{BY_CONTROLLER, Binder, COMPLETED, refers_to};
use crate::runtime::{Failure, Turn};
use api::kinds::persistentvolume::{class, satisfies, size};
use api::{Value, obj};
use apiserver::Status;

impl Binder {
    /// Brings a claim further; whether it needs no second look until something changes. Models: `syncClaim`.
    pub(super) fn sync_claim(&self, turn: &mut Turn<'_>, claim: &Value) -> Result<bool, Failure> {
        if claim.annotations().get(COMPLETED).is_some() {
            return self.sync_bound(turn, claim).map(|()| true);
        }
        match claim.at(&["spec", "volumeName"]).text() {
            "" => self.sync_unbound(turn, claim),
            name => self.sync_named(turn, claim, name),
        }
    }

    fn sync_unbound(&self, turn: &mut Turn<'_>, claim: &Value) -> Result<bool, Failure> {
        let waits = self.waits(turn, claim);
        if let Some(v) = self.best_match(turn, claim, waits)? {
            self.bind(turn, &v, claim)?;
            return Ok(true);
        }
        if waits && claim.annotations().get("volume.kubernetes.io/selected-node").is_null() {
            let user = self.waiting_pod(turn, claim);
            let (reason, text) = match user {
                Some(pod) => ("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
                None => {
                    ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".into())
                }
            };
            turn.event(claim, "Normal", reason, &text);
        } else if !class(claim).is_empty() {
            self.provision(turn, claim)?;
        } else {
            let text = "no persistent volumes available for this claim and no storage class is set";
            turn.event(claim, "Normal", "FailedBinding", text);
        }
        self.set_status(turn, claim, "Pending", None)?;
        Ok(false)
    }

    /// Whether a claim's class binds only once a pod needs it. Models: `IsDelayBindingMode`.
    fn waits(&self, turn: &Turn<'_>, claim: &Value) -> bool {
        turn.informers
            .get(self.classes, "", class(claim))
            .is_some_and(|c| c.get("volumeBindingMode").text() == "WaitForFirstConsumer")
    }

    /// A pod without a node that uses the claim.
    fn waiting_pod(&self, turn: &Turn<'_>, claim: &Value) -> Option<String> {
        let pods = turn.informers.list(self.pods, claim.namespace());
        let uses = |p: &&Value| {
            p.at(&["spec", "nodeName"]).text().is_empty()
                && p.at(&["spec", "volumes"])
                    .items()
                    .any(|v| v.at(&["persistentVolumeClaim", "claimName"]).text() == claim.name())
        };
        pods.filter(uses).map(|p| p.name().to_owned()).next()
    }

    /// The volume that is reserved for a claim, else, unless the claim waits, the smallest that satisfies it, of those
    /// with the fewest access modes. Models: `findBestMatchForClaim`.
    fn best_match(&self, turn: &mut Turn<'_>, claim: &Value, waits: bool) -> Result<Option<Value>, Status> {
        let all = turn.client.list(self.volumes, "")?;
        let reserved = |v: &&Value| v.at(&["spec", "claimRef"]).is_some() && refers_to(v, claim);
        let mode = |v: &Value| v.at(&["spec", "volumeMode"]) == claim.at(&["spec", "volumeMode"]);
        if let Some(v) = all.iter().filter(reserved).find(|v| mode(v) && size(v) >= size(claim)) {
            return Ok(Some(v.clone()));
        }
        if waits {
            return Ok(None);
        }
        let free = all.into_iter().filter(|v| {
            !v.is_terminating()
                && v.at(&["spec", "claimRef"]).is_null()
                && v.at(&["status", "phase"]).text() == "Available"
                && satisfies(v, claim)
        });
        Ok(free.min_by_key(|v| (v.at(&["spec", "accessModes"]).len(), size(v), v.name().to_owned())))
    }

    /// Asks for a new volume. Models: `provisionClaim`.
    fn provision(&self, turn: &mut Turn<'_>, claim: &Value) -> Result<(), Failure> {
        let name = class(claim);
        let fail = |turn: &mut Turn<'_>, text: String| {
            turn.event(claim, "Warning", "ProvisioningFailed", &text);
            Ok(())
        };
        let Some(class) = turn.informers.get(self.classes, "", name).cloned() else {
            return fail(turn, format!("storageclass.storage.k8s.io \"{name}\" not found"));
        };
        let provisioner = class.get("provisioner").text();
        if provisioner.starts_with("kubernetes.io/") {
            return fail(turn, format!("no volume plugin matched name: {provisioner}"));
        }
        const KEYS: [&str; 2] =
            ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
        if KEYS.iter().any(|k| claim.annotations().get(k).text() != provisioner) {
            let mut marks = Value::map();
            KEYS.iter().for_each(|k| marks.insert(*k, provisioner));
            let patch = obj!({"metadata": {"annotations": marks}});
            turn.client.merge(self.claims, "", claim.namespace(), claim.name(), patch)?;
        }
        let text = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        turn.event(claim, "Normal", "ExternalProvisioning", &text);
        Ok(())
    }

    /// A claim that asks for one volume by name.
    fn sync_named(&self, turn: &mut Turn<'_>, claim: &Value, name: &str) -> Result<bool, Failure> {
        let Some(v) = self.volume(turn, name)? else {
            self.set_status(turn, claim, "Pending", None)?;
            return Ok(false);
        };
        if v.at(&["spec", "claimRef"]).is_some() {
            if refers_to(&v, claim) {
                self.bind(turn, &v, claim)?;
                return Ok(true);
            }
            self.set_status(turn, claim, "Pending", None)?;
            return Ok(false);
        }
        if let Some(why) = mismatch(&v, claim) {
            let text = format!("Cannot bind to requested volume \"{name}\": {why}");
            turn.event(claim, "Warning", "VolumeMismatch", &text);
            self.set_status(turn, claim, "Pending", None)?;
            return Ok(false);
        }
        self.bind(turn, &v, claim)?;
        Ok(true)
    }

    /// A claim that was bound once. Models: `syncBoundClaim`.
    fn sync_bound(&self, turn: &mut Turn<'_>, claim: &Value) -> Result<(), Failure> {
        let lost = |turn: &mut Turn<'_>, reason: &str, text: &str| {
            if claim.at(&["status", "phase"]).text() != "Lost" {
                turn.event(claim, "Warning", reason, text);
            }
            self.set_status(turn, claim, "Lost", None).map_err(Failure::from)
        };
        let name = claim.at(&["spec", "volumeName"]).text();
        if name.is_empty() {
            let text = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            return lost(turn, "ClaimLost", text);
        }
        let Some(v) = self.volume(turn, name)? else {
            return lost(
                turn,
                "ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
            );
        };
        if v.at(&["spec", "claimRef"]).is_null() || v.at(&["spec", "claimRef", "uid"]).text() == claim.uid() {
            return self.bind(turn, &v, claim).map_err(Failure::from);
        }
        let text = "Two claims are bound to the same volume, this one is bound incorrectly";
        lost(turn, "ClaimMisbound", text)
    }

    /// Ties a volume and a claim in four writes, of which those that are done are left out. Models: `bind`.
    fn bind(&self, turn: &mut Turn<'_>, volume: &Value, claim: &Value) -> Result<(), Status> {
        let mut v = volume.clone();
        let r = v.at(&["spec", "claimRef"]).clone();
        if r.get("uid").text() != claim.uid() {
            let reference = obj!({
                "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name(),
                "uid": claim.uid(), "apiVersion": "v1", "resourceVersion": claim.at(&["metadata", "resourceVersion"])
            });
            v.set(&["spec", "claimRef"], reference);
            if r.is_null() {
                v.set(&["metadata", "annotations", BY_CONTROLLER], "yes");
            }
            v = turn.client.update(self.volumes, v)?;
        }
        self.set_phase(turn, &v, "Bound", "")?;
        let mut c = claim.clone();
        if c.at(&["spec", "volumeName"]).text() != v.name() {
            c.set(&["spec", "volumeName"], v.name());
            c.set(&["metadata", "annotations", BY_CONTROLLER], "yes");
        }
        if c.annotations().get(COMPLETED).is_null() {
            c.set(&["metadata", "annotations", COMPLETED], "yes");
        }
        if c != *claim {
            c = turn.client.update(self.claims, c)?;
        }
        self.set_status(turn, &c, "Bound", Some(&v))
    }

    /// Models: `updateClaimStatus`.
    fn set_status(
        &self,
        turn: &mut Turn<'_>,
        claim: &Value,
        phase: &str,
        volume: Option<&Value>,
    ) -> Result<(), Status> {
        let mut new = claim.clone();
        new.set(&["status", "phase"], phase);
        match volume {
            Some(v) => {
                new.set(&["status", "accessModes"], v.at(&["spec", "accessModes"]));
                if new.at(&["status", "capacity"]).is_null()
                    || claim.at(&["status", "phase"]).text() != "Bound"
                {
                    new.set(&["status", "capacity"], v.at(&["spec", "capacity"]));
                }
            }
            None => {
                new.remove(&["status", "accessModes"]);
                new.remove(&["status", "capacity"]);
            }
        }
        if new == *claim {
            return Ok(());
        }
        turn.client.update_sub(self.claims, "status", new).map(|_| ())
    }
}

/// Why a volume cannot be what a claim asks for by name. Models: `checkVolumeSatisfyClaim`.
fn mismatch(v: &Value, claim: &Value) -> Option<&'static str> {
    let mode = |o: &Value| o.at(&["spec", "volumeMode"]).clone();
    if v.is_terminating() {
        return Some("the volume is marked for deletion");
    }
    if size(v) < size(claim) {
        return Some("requested PV is too small");
    }
    if class(v) != class(claim) {
        return Some("storageClassName does not match");
    }
    if mode(v) != mode(claim) {
        return Some("incompatible volumeMode");
    }
    let modes = v.at(&["spec", "accessModes"]);
    let all = claim.at(&["spec", "accessModes"]).items().all(|m| modes.items().any(|x| x == m));
    (!all).then_some("incompatible accessMode")
}
