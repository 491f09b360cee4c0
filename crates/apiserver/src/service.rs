//! What the API server does to Services beyond validation: cluster IPs, IP families, node ports.

use crate::alloc::{ipv4, ipv4_text};
use crate::{ApiServer, Resource, Status};
use api::field::{At, Errors};
use api::{Value, obj};

impl ApiServer {
    /// Gives a Service its addresses and ports, and checks those that it asks for. Models: the service REST storage.
    pub(crate) fn allocate(
        &mut self,
        s: &Resource,
        v: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        if s.kind != "Service" || !s.group.is_empty() {
            return Ok(());
        }
        let kind = v.at(&["spec", "type"]).text().to_owned();
        if kind == "ExternalName" {
            for k in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
                if old.is_some_and(|o| o.at(&["spec", "type"]).text() != "ExternalName") || k != "clusterIP" {
                    v.remove(&["spec", k]);
                }
            }
            return Ok(());
        }
        let mut errors = Errors::default();
        self.allocate_ip(v, old, &mut errors);
        self.allocate_ports(v, old, &kind, &mut errors);
        if errors.is_empty() {
            return Ok(());
        }
        self.free_unused(s, v, old);
        Err(Status::invalid("", "Service", v.name(), &errors))
    }

    fn allocate_ip(&mut self, v: &mut Value, old: Option<&Value>, errors: &mut Errors) {
        let spec = v.slot(&["spec"]);
        // A client may send an update without what the server filled in; it stays.
        if let Some(o) = old
            && o.at(&["spec", "type"]).text() != "ExternalName"
        {
            for k in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if spec.get(k).is_null() && o.at(&["spec", k]).is_some() {
                    spec.insert(k, o.at(&["spec", k]));
                }
            }
        }
        super::service::default_families(spec);
        let was = old.map(|o| o.at(&["spec", "clusterIP"]).text().to_owned()).unwrap_or_default();
        let ip = spec.get("clusterIP").text().to_owned();
        let root = At::Path("spec");
        match ip.as_str() {
            "None" => spec.insert("clusterIPs", obj!(["None"])),
            "" => match self.ips.pick(&mut self.chance) {
                Some(n) => {
                    let text = ipv4_text(n);
                    spec.insert("clusterIP", text.as_str());
                    spec.insert("clusterIPs", obj!([text]));
                }
                None => errors.internal(&root.field("clusterIP"), "range is full"),
            },
            ip if ip != was => {
                let list = root.field("clusterIPs");
                match ipv4(ip) {
                    Some(n) if !self.ips.contains(n) => errors.invalid(
                        &list,
                        obj!([ip]),
                        &format!(
                            "failed to allocate IP {ip}: the provided network does not match the current range"
                        ),
                    ),
                    Some(n) if !self.ips.take(n) => errors.invalid(
                        &list,
                        obj!([ip]),
                        &format!("failed to allocate IP {ip}: provided IP is already allocated"),
                    ),
                    Some(_) => spec.insert("clusterIPs", obj!([ip])),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn allocate_ports(&mut self, v: &mut Value, old: Option<&Value>, kind: &str, errors: &mut Errors) {
        let wants = kind == "NodePort"
            || (kind == "LoadBalancer"
                && v.at(&["spec", "allocateLoadBalancerNodePorts"]).as_bool() != Some(false));
        let before: Vec<(i64, String, i64)> =
            old.map(|o| o.at(&["spec", "ports"]).items().map(port_of).collect()).unwrap_or_default();
        if v.at(&["spec", "ports"]).is_empty() {
            return;
        }
        let (first, size) = self.settings.node_ports;
        let root = At::Path("spec.ports");
        let mut taken_here: Vec<(i64, String)> = Vec::new();
        for (i, p) in v.slot(&["spec", "ports"]).list_mut().iter_mut().enumerate() {
            let (number, protocol, asked) = port_of(p);
            let mut asked = asked;
            if asked == 0 && wants {
                // The port that this entry had stays its own.
                asked = before.iter().find(|(n, pr, _)| *n == number && *pr == protocol).map_or(0, |b| b.2);
                if asked != 0 {
                    p.insert("nodePort", asked);
                }
            }
            let at = root.index(i);
            if asked == 0 && wants {
                match self.ports.pick(&mut self.chance) {
                    Some(n) => p.insert("nodePort", n),
                    None => {
                        errors.internal(&at.field("nodePort"), "failed to allocate a nodePort: range is full")
                    }
                }
            } else if asked != 0 && !before.iter().any(|b| b.2 == asked) {
                let port = asked as u32;
                if !self.ports.contains(port) {
                    errors.invalid(
                        &at.field("nodePort"),
                        asked,
                        &format!(
                            "provided port is not in the valid range. The range of valid ports is {first}-{}",
                            first + size - 1
                        ),
                    );
                } else if !taken_here.contains(&(asked, protocol.clone())) && self.ports.is_taken(port) {
                    errors.invalid(&at.field("nodePort"), asked, "provided port is already allocated");
                } else {
                    self.ports.take(port);
                    taken_here.push((asked, protocol));
                }
            }
        }
    }

    /// Gives back what `v` holds and `kept` does not.
    pub(crate) fn free_unused(&mut self, s: &Resource, v: &Value, kept: Option<&Value>) {
        if s.kind != "Service" || !s.group.is_empty() {
            return;
        }
        let keeps = |key: &str, x: &Value| kept.is_some_and(|k| k.at(&["spec", key]) == x);
        let ip = v.at(&["spec", "clusterIP"]);
        if let Some(n) = ipv4(ip.text())
            && !keeps("clusterIP", ip)
        {
            self.ips.release(n);
        }
        for p in v.at(&["spec", "ports"]).items() {
            let n = p.get("nodePort").int();
            let still =
                kept.is_some_and(|k| k.at(&["spec", "ports"]).items().any(|q| q.get("nodePort").int() == n));
            if n > 0 && !still {
                self.ports.release(n as u32);
            }
        }
    }

    /// Gives back all that a deleted Service held.
    pub(crate) fn release(&mut self, old: &Value) {
        let id = self.registry.id("", "v1", "services");
        if let Some(s) = id.map(|id| self.registry.get(id).clone()) {
            self.free_unused(&s, old, None);
        }
    }
}

impl ApiServer {
    /// Keeps the IPAddress objects in line with a Service's address. Models: the IP allocator of the service REST storage.
    pub(crate) fn note_address(&mut self, cx: &crate::server::Cx, old: Option<&Value>, new: Option<&Value>) {
        let Some(id) = self.registry.id("networking.k8s.io", "v1", "ipaddresses") else { return };
        let s = self.registry.get(id).clone();
        let ip = |v: Option<&Value>| {
            v.map(|v| v.at(&["spec", "clusterIP"]).smol()).filter(|ip| ipv4(ip).is_some())
        };
        let (was, is) = (ip(old), ip(new));
        if was == is {
            return;
        }
        if let Some(was) = was {
            let _ = self.uncommit(cx, &s, &(Default::default(), was));
        }
        if let (Some(is), Some(svc)) = (is, new) {
            let (uid, now) = (self.chance.uuid(), self.timestamp(cx.now));
            let v = obj!({
                "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
                "metadata": {
                    "name": &is, "uid": uid, "creationTimestamp": now,
                    "labels": {
                        "ipaddress.kubernetes.io/ip-family": "IPv4",
                        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"
                    }
                },
                "spec": {"parentRef": {"name": svc.name(), "namespace": svc.namespace(), "resource": "services"}}
            });
            self.commit(cx, &s, (Default::default(), is), v);
        }
    }
}

fn port_of(p: &Value) -> (i64, String, i64) {
    (p.get("port").int(), p.get("protocol").text().to_owned(), p.get("nodePort").int())
}

/// IP families of a single-stack cluster.
pub(crate) fn default_families(spec: &mut Value) {
    let headless_without_selector = spec.get("clusterIP").text() == "None" && spec.get("selector").is_empty();
    if spec.get("ipFamilyPolicy").is_null() {
        spec.insert(
            "ipFamilyPolicy",
            if headless_without_selector { "RequireDualStack" } else { "SingleStack" },
        );
    }
    if spec.get("ipFamilies").is_empty() {
        let both = spec.get("ipFamilyPolicy").text() == "RequireDualStack" && headless_without_selector;
        spec.insert("ipFamilies", if both { obj!(["IPv4", "IPv6"]) } else { obj!(["IPv4"]) });
    }
}
