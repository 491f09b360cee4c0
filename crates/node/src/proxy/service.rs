//! What kube-proxy knows of Services and EndpointSlices, and which endpoints traffic may go to.
//!
//! Models: pkg/proxy's service and endpoint change trackers and its topology filter, for one IP family.

use core::fmt;
use core::net::IpAddr;
use net::Cidr;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// A transport protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its name in rules.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }

    /// The protocol that a Service names.
    pub fn named(s: &str) -> Option<Protocol> {
        Some(match s {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => return None,
        })
    }
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ServiceType {
    /// `ClusterIP`
    #[default]
    ClusterIp,
    /// `NodePort`
    NodePort,
    /// `LoadBalancer`
    LoadBalancer,
    /// `ExternalName`
    ExternalName,
}

/// A port of a Service.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Port {
    /// Its name, may be empty.
    pub name: SmolStr,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the cluster address.
    pub port: u16,
    /// Port of the nodes, 0 for none.
    pub node_port: u16,
}

/// An entry of `status.loadBalancer.ingress`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ingress {
    /// Address; entries with a host name alone are of no use here.
    pub ip: Option<IpAddr>,
    /// `ipMode` is `Proxy`: the load balancer ends connections itself.
    pub proxy: bool,
}

/// A Service, as far as kube-proxy reads it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Service {
    /// Namespace.
    pub namespace: SmolStr,
    /// Name.
    pub name: SmolStr,
    /// Type.
    pub kind: ServiceType,
    /// Cluster addresses; none for headless Services.
    pub cluster_ips: Vec<IpAddr>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Seconds of ClientIP affinity, if that is on.
    pub affinity_seconds: Option<u32>,
    /// `internalTrafficPolicy: Local`
    pub internal_local: bool,
    /// `externalTrafficPolicy: Local`
    pub external_local: bool,
    /// `externalIPs`
    pub external_ips: Vec<IpAddr>,
    /// Addresses of the load balancer.
    pub ingress: Vec<Ingress>,
    /// `loadBalancerSourceRanges`, or the annotation that preceded it.
    pub source_ranges: Vec<Cidr>,
    /// `healthCheckNodePort`, 0 for none.
    pub health_check_port: u16,
    /// The label `service.kubernetes.io/service-proxy-name` is set: another proxy serves it.
    pub other_proxy: bool,
}

/// An endpoint of an EndpointSlice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Endpoint {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// `conditions.ready`; unset means true.
    pub ready: Option<bool>,
    /// `conditions.serving`; unset means as ready.
    pub serving: Option<bool>,
    /// `conditions.terminating`; unset means false.
    pub terminating: Option<bool>,
    /// Its node.
    pub node: Option<SmolStr>,
    /// `hints.forZones`
    pub zones: Vec<SmolStr>,
    /// `hints.forNodes`
    pub nodes: Vec<SmolStr>,
}

/// A port of an EndpointSlice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SlicePort {
    /// Name of the Service's port.
    pub name: SmolStr,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the endpoints.
    pub port: u16,
}

/// An EndpointSlice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slice {
    /// Namespace.
    pub namespace: SmolStr,
    /// The label `kubernetes.io/service-name`.
    pub service: SmolStr,
    /// Ports.
    pub ports: Vec<SlicePort>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// The node that the proxy runs on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeConfig {
    /// Name.
    pub name: SmolStr,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: SmolStr,
    /// The address by which others know the node.
    pub ip: Option<IpAddr>,
    /// All addresses of its interfaces.
    pub local_ips: Vec<IpAddr>,
    /// Its pods' network.
    pub pod_cidr: Option<Cidr>,
}

/// Names a port of a Service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PortName {
    /// `namespace/name`
    pub service: SmolStr,
    /// Port's name.
    pub port: SmolStr,
    /// Protocol.
    pub protocol: Protocol,
}

impl fmt::Display for PortName {
    /// `namespace/name:port`, or without the port if it has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.service)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// An endpoint of a service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub ip: IpAddr,
    /// `ip:port`
    pub text: SmolStr,
    ready: bool,
    serving: bool,
    terminating: bool,
    local: bool,
    zones: BTreeSet<SmolStr>,
    nodes: BTreeSet<SmolStr>,
}

/// A port of a Service with all that rules need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServicePort {
    /// Its name.
    pub name: PortName,
    /// Cluster address.
    pub cluster_ip: IpAddr,
    /// Port of the cluster address.
    pub port: u16,
    /// Port of the nodes, 0 for none.
    pub node_port: u16,
    /// Seconds of ClientIP affinity, if that is on.
    pub affinity_seconds: Option<u32>,
    /// Cluster-internal traffic stays on the node.
    pub internal_local: bool,
    /// External traffic stays on the node.
    pub external_local: bool,
    /// External addresses.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of the load balancer that reach the node unchanged.
    pub lb_ips: Vec<IpAddr>,
    /// Who may come by the load balancer.
    pub source_ranges: Vec<Cidr>,
    /// Health check port, 0 for none.
    pub health_check_port: u16,
    pub(crate) targets: Vec<Target>,
}

/// Which endpoints a service port may use, by the traffic's kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// `ip:port` for traffic of policy Cluster.
    pub cluster: Vec<SmolStr>,
    /// `ip:port` for traffic of policy Local.
    pub local: Vec<SmolStr>,
    /// Both together.
    pub reachable: Vec<SmolStr>,
    /// Whether there is any endpoint anywhere that could be used.
    pub any: bool,
}

impl ServicePort {
    /// Whether something outside of the cluster can reach it.
    pub fn external(&self) -> bool {
        self.node_port != 0 || !self.lb_ips.is_empty() || !self.external_ips.is_empty()
    }

    /// Whether some traffic has policy Cluster.
    pub fn uses_cluster(&self) -> bool {
        !self.internal_local || (self.external() && !self.external_local)
    }

    /// Whether some traffic has policy Local.
    pub fn uses_local(&self) -> bool {
        self.internal_local || (self.external() && self.external_local)
    }

    /// Endpoints in all, ready or not.
    pub fn endpoints(&self) -> usize {
        self.targets.len()
    }

    /// Chooses the endpoints: ready ones, by topology hints if all have them, else those that still serve while they
    /// terminate.
    pub fn choose(&self, node: &NodeConfig) -> Choice {
        let pick = |f: &dyn Fn(&Target) -> bool| -> Vec<SmolStr> {
            self.targets.iter().filter(|t| f(t)).map(|t| t.text.clone()).collect()
        };
        let draining = |t: &Target| t.serving && t.terminating;
        let mut c = Choice::default();
        let mut hinted = false;
        if self.uses_cluster() {
            let by = self.topology(node);
            hinted = by != Topology::None;
            c.cluster = pick(&|t| t.ready && by.allows(t, node));
            if c.cluster.is_empty() {
                c.cluster = pick(&draining);
            }
            c.any = !c.cluster.is_empty();
        }
        if !self.uses_local() {
            c.reachable = c.cluster.clone();
            return c;
        }
        c.local = pick(&|t| t.local && t.ready);
        let fallback = c.local.is_empty();
        if fallback {
            c.local = pick(&|t| t.local && draining(t));
        }
        c.any |= self.targets.iter().any(|t| t.ready || draining(t));
        if !self.uses_cluster() {
            c.reachable = c.local.clone();
        } else if !hinted && (!fallback || c.local.is_empty()) {
            // The ready local ones are among the ready ones of the whole cluster.
            c.reachable = c.cluster.clone();
        } else {
            let more = c.local.iter().filter(|l| !c.cluster.contains(l));
            c.reachable = c.cluster.iter().chain(more).cloned().collect();
        }
        c
    }

    fn topology(&self, node: &NodeConfig) -> Topology {
        let ready = || self.targets.iter().filter(|t| t.ready);
        if ready().next().is_none() {
            return Topology::None;
        }
        if ready().all(|t| !t.nodes.is_empty()) && ready().any(|t| t.nodes.contains(&node.name)) {
            return Topology::Node;
        }
        if ready().all(|t| !t.zones.is_empty()) && ready().any(|t| t.zones.contains(&node.zone)) {
            return Topology::Zone;
        }
        Topology::None
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Topology {
    None,
    Node,
    Zone,
}

impl Topology {
    fn allows(self, t: &Target, node: &NodeConfig) -> bool {
        match self {
            Topology::None => true,
            Topology::Node => t.nodes.contains(&node.name),
            Topology::Zone => t.zones.contains(&node.zone),
        }
    }
}

/// All ports of Services that the proxy serves for IPv4, by name, with their endpoints sorted by their text.
pub fn service_ports(services: &[Service], slices: &[Slice], node: &NodeConfig) -> Vec<ServicePort> {
    let mut targets: BTreeMap<PortName, BTreeMap<SmolStr, Target>> = BTreeMap::new();
    for s in slices {
        let service = smol_str::format_smolstr!("{}/{}", s.namespace, s.service);
        for p in &s.ports {
            let name = PortName { service: service.clone(), port: p.name.clone(), protocol: p.protocol };
            let list = targets.entry(name).or_default();
            list.extend(
                s.endpoints.iter().filter_map(|e| target(e, p.port, node)).map(|t| (t.text.clone(), t)),
            );
        }
    }
    let mut out = BTreeMap::new();
    for s in services.iter().filter(|s| s.kind != ServiceType::ExternalName && !s.other_proxy) {
        let Some(cluster_ip) = s.cluster_ips.iter().copied().find(IpAddr::is_ipv4) else { continue };
        for p in &s.ports {
            let service = smol_str::format_smolstr!("{}/{}", s.namespace, s.name);
            let name = PortName { service, port: p.name.clone(), protocol: p.protocol };
            let list = targets.remove(&name).unwrap_or_default().into_values().collect();
            out.insert(name.clone(), port(s, p, name, cluster_ip, list));
        }
    }
    out.into_values().collect()
}

fn target(e: &Endpoint, port: u16, node: &NodeConfig) -> Option<Target> {
    let ip = e.ip.filter(IpAddr::is_ipv4)?;
    let ready = e.ready.unwrap_or(true);
    Some(Target {
        ip,
        text: smol_str::format_smolstr!("{ip}:{port}"),
        ready,
        serving: e.serving.unwrap_or(ready),
        terminating: e.terminating.unwrap_or(false),
        local: e.node.as_ref() == Some(&node.name),
        zones: e.zones.iter().cloned().collect(),
        nodes: e.nodes.iter().cloned().collect(),
    })
}

fn port(s: &Service, p: &Port, name: PortName, cluster_ip: IpAddr, targets: Vec<Target>) -> ServicePort {
    let v4 = |list: &[IpAddr]| list.iter().copied().filter(IpAddr::is_ipv4).collect::<Vec<_>>();
    let lb = s.kind == ServiceType::LoadBalancer;
    let lb_ips = s.ingress.iter().filter(|i| lb && !i.proxy).filter_map(|i| i.ip).filter(IpAddr::is_ipv4);
    let node_port = if s.kind == ServiceType::ClusterIp { 0 } else { p.node_port };
    ServicePort {
        name,
        cluster_ip,
        port: p.port,
        node_port,
        affinity_seconds: s.affinity_seconds,
        internal_local: s.internal_local,
        external_local: s.external_local && (s.kind != ServiceType::ClusterIp || !s.external_ips.is_empty()),
        external_ips: v4(&s.external_ips),
        lb_ips: lb_ips.collect(),
        source_ranges: s.source_ranges.iter().copied().filter(|c| c.addr.is_ipv4()).collect(),
        health_check_port: if lb && s.external_local { s.health_check_port } else { 0 },
        targets,
    }
}
