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
        families(v.slot(&["spec"]), &mut errors);
        if errors.is_empty() {
            self.allocate_ip(v, old, &mut errors);
        }
        if errors.is_empty() {
            match old {
                None => self.first_ports(v, &kind, &mut errors),
                Some(old) => self.changed_ports(v, old, &kind, &mut errors),
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(Status::invalid("", "Service", v.name(), &errors))
    }

    fn allocate_ip(&mut self, v: &mut Value, old: Option<&Value>, errors: &mut Errors) {
        let spec = v.slot(&["spec"]);
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
                let mut failed = |why: &str| {
                    errors.invalid(&list, obj!([ip]), &format!("failed to allocate IP {ip}: {why}"));
                };
                match ipv4(ip) {
                    Some(n) if !self.ips.contains(n) => {
                        failed("the provided network does not match the current range");
                    }
                    Some(n) if !self.ips.take(n) => failed("provided IP is already allocated"),
                    Some(_) => spec.insert("clusterIPs", obj!([ip])),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Ports of a new Service: entries of one port number share their node port. Models: `initNodePorts`.
    fn first_ports(&mut self, v: &mut Value, kind: &str, errors: &mut Errors) {
        let wants = wants_ports(v, kind);
        let asked: Vec<(i64, i64)> = v.at(&["spec", "ports"]).items().map(port_of).collect();
        let mut given: Vec<(i64, i64)> = Vec::new();
        for (i, (port, own)) in asked.iter().enumerate() {
            if *own == 0 && !wants {
                continue;
            }
            let shared = given.iter().find(|g| g.0 == *port).map(|g| g.1);
            let number = match shared {
                Some(n) if *own == 0 || *own == n => n,
                Some(_) => *own,
                None => {
                    // A later entry of the same port may ask for a number.
                    asked.iter().skip(i).find(|a| a.0 == *port && a.1 != 0).map_or(0, |a| a.1)
                }
            };
            let number = match (shared == Some(number), number) {
                (true, n) => n,
                (false, n) => match self.take_port(i, n, errors) {
                    Some(n) => n,
                    None => break,
                },
            };
            if shared.is_none() {
                given.push((*port, number));
            }
            v.set(&["spec", "ports", &i.to_string(), "nodePort"], number);
        }
        if !errors.is_empty() {
            let taken: Vec<i64> = given.iter().map(|g| g.1).collect();
            taken.iter().for_each(|n| self.ports.release(*n as u32));
            if let Some(n) = ipv4(v.at(&["spec", "clusterIP"]).text()) {
                self.ips.release(n);
            }
        }
    }

    /// Models: `updateNodePorts`.
    fn changed_ports(&mut self, v: &mut Value, old: &Value, kind: &str, errors: &mut Errors) {
        let wants = wants_ports(v, kind);
        let before: Vec<i64> = old.at(&["spec", "ports"]).items().map(|p| port_of(p).1).collect();
        let asked: Vec<(i64, i64)> = v.at(&["spec", "ports"]).items().map(port_of).collect();
        let mut taken: Vec<i64> = Vec::new();
        for (i, (_, own)) in asked.iter().enumerate() {
            if (*own == 0 && !wants) || (*own != 0 && (before.contains(own) || taken.contains(own))) {
                continue;
            }
            let Some(n) = self.take_port(i, *own, errors) else {
                taken.iter().for_each(|n| self.ports.release(*n as u32));
                return;
            };
            taken.push(n);
            v.set(&["spec", "ports", &i.to_string(), "nodePort"], n);
        }
    }

    /// Takes that node port, or any for 0.
    fn take_port(&mut self, i: usize, number: i64, errors: &mut Errors) -> Option<i64> {
        let (first, size) = self.settings.node_ports;
        let list = At::Path("spec.ports");
        let entry = list.index(i);
        let at = entry.field("nodePort");
        if number == 0 {
            let picked = self.ports.pick(&mut self.chance);
            if picked.is_none() {
                errors.internal(&at, "failed to allocate a nodePort: range is full");
            }
            return picked.map(i64::from);
        }
        let port = u32::try_from(number).unwrap_or(0);
        let why = if !self.ports.contains(port) {
            let last = first + size - 1;
            format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")
        } else if !self.ports.take(port) {
            "provided port is already allocated".to_owned()
        } else {
            return Some(number);
        };
        errors.invalid(&at, number, &why);
        None
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

fn port_of(p: &Value) -> (i64, i64) {
    (p.get("port").int(), p.get("nodePort").int())
}

fn wants_ports(v: &Value, kind: &str) -> bool {
    let declined = v.at(&["spec", "allocateLoadBalancerNodePorts"]).as_bool() == Some(false);
    kind == "NodePort" || (kind == "LoadBalancer" && !declined)
}

/// What a client may leave out of an update stays: addresses and node ports. Models: `patchAllocatedValues` and
/// `normalizeClusterIPs`.
pub(crate) fn keep_allocated(v: &mut Value, old: Option<&Value>) {
    let kind = v.at(&["spec", "type"]).text().to_owned();
    let external = |o: &Value| o.at(&["spec", "type"]).text() == "ExternalName";
    if let Some(o) = old.filter(|o| kind != "ExternalName" && !external(o)) {
        let spec = v.slot(&["spec"]);
        let was = o.get("spec");
        for k in ["clusterIP", "ipFamilies", "ipFamilyPolicy"] {
            if spec.get(k).is_null() && was.get(k).is_some() {
                spec.insert(k, was.get(k));
            }
        }
        let same = spec.get("clusterIP") == was.get("clusterIP");
        if same && spec.get("clusterIPs").is_null() && was.get("clusterIPs").is_some() {
            spec.insert("clusterIPs", was.get("clusterIPs"));
        }
        if !same && (spec.get("clusterIPs") == was.get("clusterIPs") || spec.get("clusterIPs").is_null()) {
            let ip = spec.get("clusterIP").clone();
            spec.insert("clusterIPs", obj!([ip]));
        }
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") && !spec.get("ports").is_empty() {
            let protocol = |p: &Value| p.get("protocol").text().to_owned();
            for p in spec.slot(&["ports"]).list_mut() {
                let had = was.get("ports").items().find(|o| {
                    o.get("port") == p.get("port")
                        && protocol(o) == protocol(p)
                        && o.get("nodePort").int() != 0
                });
                if let (0, Some(had)) = (p.get("nodePort").int(), had) {
                    p.insert("nodePort", had.get("nodePort"));
                }
            }
        }
    } else if old.is_none() && v.at(&["spec", "clusterIPs"]).is_empty() {
        let ip = v.at(&["spec", "clusterIP"]).clone();
        if !ip.text().is_empty() {
            v.set(&["spec", "clusterIPs"], obj!([ip]));
        }
    }
}

/// IP families of a single-stack cluster. Models: `initIPFamilyFields`.
fn families(spec: &mut Value, errors: &mut Errors) {
    let root = At::Path("spec");
    let headless = spec.get("clusterIP").text() == "None";
    let free = headless && spec.get("selector").is_empty();
    let policy = spec.get("ipFamilyPolicy").text().to_owned();
    if policy == "SingleStack" {
        for key in ["clusterIPs", "ipFamilies"] {
            if spec.get(key).len() == 2 {
                let why =
                    format!("must be RequireDualStack or PreferDualStack when multiple {key} are specified");
                errors.invalid(&root.field("ipFamilyPolicy"), "SingleStack", &why);
            }
        }
    }
    if policy == "RequireDualStack" && !free {
        let why = "this cluster is not configured for dual-stack services";
        errors.invalid(&root.field("ipFamilyPolicy"), "RequireDualStack", why);
    }
    if !free {
        let list = root.field("ipFamilies");
        for (i, f) in spec.get("ipFamilies").items().enumerate() {
            if f.text() != "IPv4" {
                errors.invalid(&list.index(i), f.text(), "not configured on this cluster");
            }
        }
    }
    if !errors.is_empty() {
        return;
    }
    if policy.is_empty() {
        spec.insert("ipFamilyPolicy", if free { "RequireDualStack" } else { "SingleStack" });
    }
    if spec.get("ipFamilies").is_empty() {
        let both = free && spec.get("ipFamilyPolicy").text() == "RequireDualStack";
        spec.insert("ipFamilies", if both { obj!(["IPv4", "IPv6"]) } else { obj!(["IPv4"]) });
    }
}
