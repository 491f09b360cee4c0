//! The Endpoints controller: the addresses behind each Service with a selector.
//!
//! Models: `pkg/controller/endpoint`.

mod addresses;

pub(crate) use addresses::{Backend, backends, target_port};

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, key_of};
use api::selector::Selector;
use api::{Value, obj};
use apiserver::ResId;
use std::collections::BTreeMap;

/// Addresses of one Endpoints object at most, as upstream.
const ADDRESSES_MAX: usize = 1000;
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The controller.
#[derive(Clone, Debug)]
pub struct Endpoints {
    services: ResId,
    pods: ResId,
    endpoints: ResId,
}

impl Endpoints {
    /// The controller of core Endpoints.
    pub fn new(kinds: &Kinds) -> Self {
        Endpoints {
            services: kinds.get("", "services"),
            pods: kinds.get("", "pods"),
            endpoints: kinds.get("", "endpoints"),
        }
    }

    fn subsets(&self, turn: &Turn<'_>, service: &Value) -> Value {
        let mut groups: BTreeMap<String, (Vec<Value>, Vec<Value>, Value)> = BTreeMap::new();
        let mut all = backends(turn.informers, self.pods, service);
        all.truncate(ADDRESSES_MAX);
        for b in &all {
            if b.terminating && !service.at(&["spec", "publishNotReadyAddresses"]).is_true() {
                continue;
            }
            let ports: Value = service
                .at(&["spec", "ports"])
                .items()
                .filter_map(|p| {
                    let n = target_port(&b.pod, p)?;
                    let mut port = obj!({"port": n, "protocol": p.get("protocol")});
                    for k in ["name", "appProtocol"] {
                        if !p.get(k).text().is_empty() {
                            port.insert(k, p.get(k));
                        }
                    }
                    Some(port)
                })
                .collect();
            if ports.is_empty() && !service.at(&["spec", "ports"]).is_empty() {
                continue;
            }
            let mut address = obj!({
                "ip": &b.ip, "nodeName": b.pod.at(&["spec", "nodeName"]),
                "targetRef": {"kind": "Pod", "namespace": b.pod.namespace(), "name": b.pod.name(), "uid": b.pod.uid()}
            });
            if !b.hostname.is_empty() {
                address.insert("hostname", &b.hostname);
            }
            let g = groups.entry(ports.to_json()).or_insert_with(|| (Vec::new(), Vec::new(), ports));
            if b.ready { g.0.push(address) } else { g.1.push(address) }
        }
        groups
            .into_values()
            .map(|(mut ready, mut not_ready, ports)| {
                let by_ip = |a: &Value, b: &Value| a.get("ip").text().cmp(b.get("ip").text());
                ready.sort_by(by_ip);
                not_ready.sort_by(by_ip);
                let mut s = Value::map();
                if !ready.is_empty() {
                    s.insert("addresses", ready);
                }
                if !not_ready.is_empty() {
                    s.insert("notReadyAddresses", not_ready);
                }
                if !ports.is_empty() {
                    s.insert("ports", ports);
                }
                s
            })
            .collect()
    }
}

/// Puts the Services that a changed pod belongs, or belonged, to into the queue.
pub(crate) fn seen_pod(services: ResId, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
    let relevant = |p: &Value| {
        let mut v = Value::map();
        v.insert("labels", p.labels());
        v.insert("ip", p.at(&["status", "podIPs"]));
        v.insert("ready", p.condition("Ready").get("status"));
        v.insert("phase", p.at(&["status", "phase"]));
        v.insert("going", p.is_terminating());
        v.insert("node", p.at(&["spec", "nodeName"]));
        v
    };
    if seen.old.is_some() && seen.new.is_some() && relevant(seen.old) == relevant(seen.new) {
        return;
    }
    for s in informers.list(services, seen.object().namespace()) {
        let selector = s.at(&["spec", "selector"]);
        if selector.is_empty() {
            continue;
        }
        let selector = Selector::of_labels(selector);
        if [seen.old, seen.new].iter().any(|p| p.is_some() && selector.matches(p.labels())) {
            queue.add(key_of(s));
        }
    }
}

/// The newest of the service's and its pods' changes, for the trigger-time annotation.
pub(crate) fn trigger_time(service: &Value, backends: &[Backend]) -> String {
    let mut newest = service.at(&["metadata", "creationTimestamp"]).text().to_owned();
    for b in backends {
        let t = b.pod.condition("Ready").get("lastTransitionTime").text();
        if b.ready && t > newest.as_str() {
            newest = t.to_owned();
        }
    }
    newest
}

impl Controller for Endpoints {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.services, self.pods, self.endpoints]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.services {
            queue.add(seen.key());
        } else if seen.res == self.pods {
            seen_pod(self.services, seen, informers, queue);
        } else if seen.res == self.endpoints && seen.new.is_null() {
            queue.add(seen.key());
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(service) = turn.cached(self.services, key) else {
            match turn.client.delete(self.endpoints, &key.0, &key.1, Value::Null) {
                Err(s) if s.code != 404 => return Err(s.into()),
                _ => return Ok(Next::Done),
            }
        };
        if service.at(&["spec", "selector"]).is_empty()
            || service.at(&["spec", "type"]).text() == "ExternalName"
        {
            return Ok(Next::Done);
        }
        let subsets = self.subsets(turn, &service);
        let old = turn.cached(self.endpoints, key);
        let mut labels = service.labels().clone();
        labels.insert("endpoints.kubernetes.io/managed-by", "endpoint-controller");
        if service.at(&["spec", "clusterIP"]).text() == "None" {
            labels.insert(HEADLESS, "");
        } else {
            labels.map_mut().remove(HEADLESS);
        }
        let mut new = old.clone().unwrap_or_else(|| {
            obj!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": &key.1, "namespace": &key.0}})
        });
        let same = old.is_some() && new.get("subsets").items().eq(subsets.items()) && new.labels() == &labels;
        if same {
            return Ok(Next::Done);
        }
        let time = trigger_time(&service, &backends(turn.informers, self.pods, &service));
        new.set(&["metadata", "annotations", TRIGGER], time);
        new.set(&["metadata", "labels"], labels);
        if subsets.is_empty() {
            new.remove(&["subsets"]);
        } else {
            new.insert("subsets", subsets);
        }
        if old.is_some() {
            turn.client.update(self.endpoints, new)?;
        } else {
            turn.client.create(self.endpoints, &key.0, new)?;
        }
        Ok(Next::Done)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
