//! The EndpointSlice controller: the same addresses in slices of at most a hundred.
//!
//! Models: `pkg/controller/endpointslice`.

use crate::endpoints::{Backend, backends, seen_pod, target_port, trigger_time};
use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, controller_reference,
    is_controlled_by,
};
use api::{Value, obj};
use apiserver::{ResId, Status};
use std::collections::BTreeMap;

/// Endpoints of one slice at most. Models: `--max-endpoints-per-slice`.
const ENDPOINTS_MAX: usize = 100;
const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The controller.
#[derive(Clone, Debug)]
pub struct EndpointSlices {
    services: ResId,
    pods: ResId,
    slices: ResId,
    nodes: ResId,
}

impl EndpointSlices {
    /// The controller of `discovery.k8s.io/v1` EndpointSlices.
    pub fn new(kinds: &Kinds) -> Self {
        EndpointSlices {
            services: kinds.get("", "services"),
            pods: kinds.get("", "pods"),
            slices: kinds.get("discovery.k8s.io", "endpointslices"),
            nodes: kinds.get("", "nodes"),
        }
    }

    fn endpoint(&self, turn: &Turn<'_>, b: &Backend) -> Value {
        let mut e = obj!({
            "addresses": [&b.ip],
            "conditions": {"ready": b.ready, "serving": b.serving, "terminating": b.terminating},
            "targetRef": {"kind": "Pod", "namespace": b.pod.namespace(), "name": b.pod.name(), "uid": b.pod.uid()}
        });
        let node = b.pod.at(&["spec", "nodeName"]).text();
        if !node.is_empty() {
            e.insert("nodeName", node);
            let zone = turn
                .informers
                .get(self.nodes, "", node)
                .map(|n| n.labels().get("topology.kubernetes.io/zone").smol());
            if let Some(z) = zone.filter(|z| !z.is_empty()) {
                e.insert("zone", z);
            }
        }
        if !b.hostname.is_empty() {
            e.insert("hostname", &b.hostname);
        }
        e
    }

    /// Endpoints by the ports that they have; a Service without endpoints gets one group without ports.
    fn groups(&self, turn: &Turn<'_>, service: &Value, all: &[Backend]) -> Vec<(Value, Vec<Value>)> {
        let mut groups: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
        for b in all {
            let ports: Value = service
                .at(&["spec", "ports"])
                .items()
                .filter_map(|p| {
                    let n = target_port(&b.pod, p)?;
                    let mut port =
                        obj!({"name": p.get("name").text(), "port": n, "protocol": p.get("protocol")});
                    if !p.get("appProtocol").text().is_empty() {
                        port.insert("appProtocol", p.get("appProtocol"));
                    }
                    Some(port)
                })
                .collect();
            let e = self.endpoint(turn, b);
            groups.entry(ports.to_json()).or_insert_with(|| (ports, Vec::new())).1.push(e);
        }
        if groups.is_empty() {
            return vec![(Value::Null, Vec::new())];
        }
        groups.into_values().collect()
    }

    fn labels(&self, service: &Value) -> Value {
        let mut labels = service.labels().clone();
        labels.insert(SERVICE, service.name());
        labels.insert(MANAGED_BY, CONTROLLER);
        if service.at(&["spec", "clusterIP"]).text() == "None" {
            labels.insert(HEADLESS, "");
        }
        labels
    }

    /// Brings the slices of one port group in line, changing as few as possible. Models: `reconcileByPortMapping`.
    fn sync_group(
        &self,
        turn: &mut Turn<'_>,
        service: &Value,
        ports: &Value,
        wanted: Vec<Value>,
        have: &mut Vec<Value>,
        time: &str,
    ) -> Result<(), Status> {
        let labels = self.labels(service);
        let address = |e: &Value| e.at(&["addresses", "0"]).smol();
        let mut wanted: BTreeMap<_, Value> = wanted.into_iter().map(|e| (address(&e), e)).collect();
        let mut keep: Vec<(Value, bool)> = Vec::new();
        let mut i = 0;
        while i < have.len() {
            if have[i].get("ports") != ports && !(ports.is_null() && have[i].get("ports").is_empty()) {
                i += 1;
                continue;
            }
            let mut slice = have.remove(i);
            let mut kept = Vec::new();
            for e in slice.get("endpoints").items() {
                if let Some(w) = wanted.remove(&address(e)) {
                    kept.push(w);
                }
            }
            let changed = kept.len() != slice.get("endpoints").len()
                || !kept.iter().eq(slice.get("endpoints").items())
                || slice.labels() != &labels;
            if changed {
                slice.insert("endpoints", if kept.is_empty() { Value::Null } else { kept.into() });
                slice.set(&["metadata", "labels"], &labels);
            }
            keep.push((slice, changed));
        }
        // What is new fills slices that have room, then new ones.
        let mut rest: Vec<Value> = wanted.into_values().collect();
        for (slice, changed) in &mut keep {
            while slice.get("endpoints").len() < ENDPOINTS_MAX && !rest.is_empty() {
                slice.push_at(&["endpoints"], rest.remove(0));
                *changed = true;
            }
        }
        let mut empty = keep.is_empty();
        for (mut slice, changed) in keep {
            if slice.get("endpoints").is_empty() && ports.is_some() {
                turn.client.delete(self.slices, slice.namespace(), slice.name(), Value::Null)?;
                continue;
            }
            empty = false;
            if changed {
                slice.set(&["metadata", "annotations", TRIGGER], time);
                turn.client.update(self.slices, slice)?;
            }
        }
        while !rest.is_empty() || (empty && ports.is_null()) {
            empty = false;
            let part: Vec<Value> = rest.drain(..rest.len().min(ENDPOINTS_MAX)).collect();
            let slice = obj!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "generateName": format!("{}-", service.name()), "namespace": service.namespace(),
                    "labels": &labels, "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": time},
                    "ownerReferences": [controller_reference(service)]
                },
                "addressType": "IPv4",
                "endpoints": if part.is_empty() { Value::Null } else { Value::from(part) },
                "ports": ports
            });
            turn.client.create(self.slices, service.namespace(), slice)?;
        }
        Ok(())
    }
}

impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.services, self.pods, self.slices, self.nodes]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.services {
            queue.add(seen.key());
        } else if seen.res == self.pods {
            seen_pod(self.services, seen, informers, queue);
        } else if seen.res == self.slices && seen.new.is_null() {
            let o = seen.object();
            if o.labels().get(MANAGED_BY).text() == CONTROLLER {
                queue.add((o.namespace().into(), o.labels().get(SERVICE).smol()));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        // Slices of a deleted Service go by garbage collection.
        let Some(service) = turn.cached(self.services, key) else { return Ok(Next::Done) };
        if service.at(&["spec", "selector"]).is_empty()
            || service.at(&["spec", "type"]).text() == "ExternalName"
            || service.is_terminating()
        {
            return Ok(Next::Done);
        }
        let mut have: Vec<Value> = turn
            .informers
            .list(self.slices, &key.0)
            .filter(|s| {
                s.labels().get(SERVICE).text() == key.1
                    && s.labels().get(MANAGED_BY).text() == CONTROLLER
                    && is_controlled_by(s, &service)
                    && !s.is_terminating()
            })
            .cloned()
            .collect();
        let all = backends(turn.informers, self.pods, &service);
        let time = trigger_time(&service, &all);
        let groups = self.groups(turn, &service, &all);
        // A placeholder slice becomes the first real one.
        if groups.iter().all(|(p, _)| p.is_some())
            && let Some(p) = have.iter_mut().find(|s| s.get("ports").is_empty())
        {
            p.insert("ports", &groups[0].0);
            p.insert("endpoints", Value::list());
        } else if groups.iter().all(|(p, _)| p.is_null())
            && let Some(p) = have.first_mut()
            && !p.get("ports").is_empty()
        {
            // The last endpoint went: one empty slice stays.
            p.insert("ports", Value::Null);
        }
        for (ports, endpoints) in groups {
            self.sync_group(turn, &service, &ports, endpoints, &mut have, &time)?;
        }
        for s in have {
            turn.client.delete(self.slices, s.namespace(), s.name(), Value::Null)?;
        }
        Ok(Next::Done)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
