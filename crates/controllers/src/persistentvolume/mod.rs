//! The PersistentVolume binder: finds volumes for claims, ties the two, and reclaims volumes whose claim went.
//!
//! Models: `pkg/controller/volume/persistentvolume`. `claim` brings a claim further, `volume` a volume. In-tree
//! provisioners are not modelled: a class's provisioner is taken as an external one that nobody runs.

mod claim;
mod volume;

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::{ResId, Status};
use sim::{Duration, Instant};

/// Everything that is not bound is looked at again this often. Models: `--pvclaimbinder-sync-period`.
const RESYNC_S: u64 = 15;
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// The controller.
#[derive(Clone, Debug)]
pub struct Binder {
    claims: ResId,
    volumes: ResId,
    classes: ResId,
    pods: ResId,
}

impl Binder {
    /// The controller of claims and volumes.
    pub fn new(kinds: &Kinds) -> Self {
        Binder {
            claims: kinds.get("", "persistentvolumeclaims"),
            volumes: kinds.get("", "persistentvolumes"),
            classes: kinds.get("storage.k8s.io", "storageclasses"),
            pods: kinds.get("", "pods"),
        }
    }

    /// Sets a volume's phase. Models: `updateVolumePhase`.
    fn set_phase(&self, turn: &mut Turn<'_>, v: &Value, phase: &str, message: &str) -> Result<(), Status> {
        if v.at(&["status", "phase"]).text() == phase && v.at(&["status", "message"]).text() == message {
            return Ok(());
        }
        let mut new = v.clone();
        let mut status = obj!({"phase": phase, "lastPhaseTransitionTime": turn.client.timestamp()});
        if !message.is_empty() {
            status.insert("message", message);
        }
        new.insert("status", status);
        turn.client.update_sub(self.volumes, "status", new).map(|_| ())
    }

    /// A volume that a claim's name leads to.
    fn volume(&self, turn: &mut Turn<'_>, name: &str) -> Result<Option<Value>, Status> {
        absent_is_none(turn.client.get(self.volumes, "", name))
    }
}

fn absent_is_none(r: Result<Value, Status>) -> Result<Option<Value>, Status> {
    match r {
        Err(s) if s.code == 404 => Ok(None),
        r => r.map(Some),
    }
}

/// Whether a volume's reference names this claim, or one of its name that has no uid yet. Models:
/// `IsVolumeBoundToClaim`.
fn refers_to(volume: &Value, claim: &Value) -> bool {
    let r = volume.at(&["spec", "claimRef"]);
    r.get("name").text() == claim.name()
        && r.get("namespace").text() == claim.namespace()
        && (r.get("uid").text().is_empty() || r.get("uid").text() == claim.uid())
}

fn next_resync(now: Instant) -> Duration {
    Duration::from_secs(RESYNC_S) - Duration::from_nanos(now.nanos() % (RESYNC_S * 1_000_000_000))
}

impl Controller for Binder {
    fn name(&self) -> &'static str {
        "persistent-volume-binder"
    }

    fn component(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.claims, self.volumes, self.classes, self.pods]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        let o = seen.object();
        if seen.res == self.claims {
            queue.add(seen.key());
            let volume = o.at(&["spec", "volumeName"]).smol();
            // Its volume is to be released.
            if seen.new.is_null() && !volume.is_empty() {
                queue.add(("".into(), volume));
            }
        } else if seen.res == self.volumes {
            queue.add(seen.key());
            let claim = o.at(&["spec", "claimRef"]);
            if claim.is_some() {
                let key = (claim.get("namespace").smol(), claim.get("name").smol());
                if informers.get(self.claims, &key.0, &key.1).is_some() {
                    queue.add(key);
                }
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let settled = if key.0.is_empty() {
            match self.volume(turn, &key.1)? {
                Some(v) => self.sync_volume(turn, &v)?,
                None => true,
            }
        } else {
            match absent_is_none(turn.client.get(self.claims, &key.0, &key.1))? {
                Some(c) => self.sync_claim(turn, &c)?,
                None => true,
            }
        };
        Ok(if settled { Next::Done } else { Next::After(next_resync(turn.now())) })
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
