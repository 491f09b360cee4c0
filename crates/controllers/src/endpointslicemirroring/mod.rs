//! The EndpointSliceMirroring controller: slices for Endpoints that a person made.
//!
//! Models: `pkg/controller/endpointslicemirroring`.

use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, controller_reference,
    is_controlled_by,
};
use api::{Value, obj};
use apiserver::ResId;

const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The controller.
#[derive(Clone, Debug)]
pub struct Mirroring {
    endpoints: ResId,
    services: ResId,
    slices: ResId,
}

impl Mirroring {
    /// The controller from `v1` Endpoints to EndpointSlices.
    pub fn new(kinds: &Kinds) -> Self {
        Mirroring {
            endpoints: kinds.get("", "endpoints"),
            services: kinds.get("", "services"),
            slices: kinds.get("discovery.k8s.io", "endpointslices"),
        }
    }

    /// The slice of one subset's addresses of one family.
    fn slice(&self, endpoints: &Value, subset: &Value, family: &str) -> Option<Value> {
        let mut all = Vec::new();
        for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for a in subset.get(list).items() {
                let ip = a.get("ip").text();
                if ip.contains(':') != (family == "IPv6") {
                    continue;
                }
                let mut e = obj!({"addresses": [ip], "conditions": {"ready": ready}});
                for k in ["targetRef", "nodeName", "hostname"] {
                    if !a.get(k).is_empty() {
                        e.insert(k, a.get(k));
                    }
                }
                all.push(e);
            }
        }
        if all.is_empty() {
            return None;
        }
        let ports: Value = subset
            .get("ports")
            .items()
            .map(|p| {
                let mut port = obj!({"name": p.get("name").text(), "port": p.get("port"), "protocol": p.get("protocol")});
                if p.get("appProtocol").is_some() {
                    port.insert("appProtocol", p.get("appProtocol"));
                }
                port
            })
            .collect();
        let mut labels = endpoints.labels().clone();
        labels.insert(SERVICE, endpoints.name());
        labels.insert(MANAGED_BY, CONTROLLER);
        let mut annotations = endpoints.annotations().clone();
        annotations.remove(&[LAST_APPLIED]);
        annotations.remove(&[TRIGGER]);
        let mut meta = obj!({
            "generateName": format!("{}-", endpoints.name()), "namespace": endpoints.namespace(), "labels": labels,
            "ownerReferences": [controller_reference(endpoints)]
        });
        if !annotations.is_empty() {
            meta.insert("annotations", annotations);
        }
        Some(obj!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": family,
            "endpoints": all, "ports": if ports.is_empty() { Value::Null } else { ports }
        }))
    }

    /// The slices that there should be.
    fn wanted(&self, turn: &Turn<'_>, key: &Key) -> Option<Vec<Value>> {
        let Some(e) = turn.informers.get(self.endpoints, &key.0, &key.1) else { return Some(Vec::new()) };
        if e.labels().get(SKIP).text() == "true" || e.annotations().get(LEADER).is_some() {
            return Some(Vec::new());
        }
        match turn.informers.get(self.services, &key.0, &key.1) {
            None => Some(Vec::new()),
            // Those of a Service with a selector are the other controller's.
            Some(s) if s.at(&["spec", "selector"]).is_some() => None,
            Some(_) => {
                let subsets = e.get("subsets").items();
                Some(
                    subsets
                        .flat_map(|s| ["IPv4", "IPv6"].into_iter().filter_map(|f| self.slice(e, s, f)))
                        .collect(),
                )
            }
        }
    }
}

/// Whether two slices say the same.
fn same(a: &Value, b: &Value) -> bool {
    ["addressType", "endpoints", "ports"].iter().all(|k| a.get(k) == b.get(k))
        && a.labels() == b.labels()
        && a.annotations() == b.annotations()
}

impl Controller for Mirroring {
    fn name(&self) -> &'static str {
        "endpointslicemirroring-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.endpoints, self.services, self.slices]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.res != self.slices {
            queue.add(seen.key());
        } else if seen.new.is_null() && seen.old.labels().get(MANAGED_BY).text() == CONTROLLER {
            queue.add((seen.old.namespace().into(), seen.old.labels().get(SERVICE).smol()));
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(wanted) = self.wanted(turn, key) else { return Ok(Next::Done) };
        let owner = turn.cached(self.endpoints, key).unwrap_or_default();
        let mut have: Vec<Value> = turn
            .informers
            .list(self.slices, &key.0)
            .filter(|s| {
                s.labels().get(SERVICE).text() == key.1
                    && s.labels().get(MANAGED_BY).text() == CONTROLLER
                    && (owner.is_null() || is_controlled_by(s, &owner))
            })
            .cloned()
            .collect();
        for w in wanted {
            // The slice of the same ports goes on, else any of the family.
            let fits = |s: &Value| s.get("addressType") == w.get("addressType");
            let at = have.iter().position(|s| fits(s) && s.get("ports") == w.get("ports"));
            match at.or_else(|| have.iter().position(fits)) {
                Some(i) => {
                    let old = have.remove(i);
                    if !same(&old, &w) {
                        let mut new = old;
                        for k in ["endpoints", "ports"] {
                            new.insert(k, w.get(k));
                        }
                        new.set(&["metadata", "labels"], w.labels());
                        new.set(&["metadata", "annotations"], w.annotations());
                        turn.client.update(self.slices, new)?;
                    }
                }
                None => {
                    turn.client.create(self.slices, &key.0, w)?;
                }
            }
        }
        for s in have {
            match turn.client.delete(self.slices, s.namespace(), s.name(), Value::Null) {
                Err(e) if e.code != 404 => return Err(e.into()),
                _ => {}
            }
        }
        Ok(Next::Done)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
