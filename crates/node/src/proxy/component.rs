//! kube-proxy as a component of a node: watches in, rules out.
//!
//! Models: the iptables proxier's sync loop: at most one sync a second, partial after the first.

use super::iptables::{CANARY, CANARY_TABLES, Config, DetectLocal, JUMPS, Sync, restore, service_chains};
use super::service::{
    Endpoint, Ingress, NodeConfig, Port, Protocol, Service, ServiceType, Slice, SlicePort, service_ports,
};
use api::{SmolStr, Value};
use apiserver::{ApiServer, ChangeKind, ResId, Watch};
use net::{Net, NsId, TableName};
use sim::persistent::OrdMap;
use sim::{Duration, Instant, Stream};
use std::collections::BTreeSet;

/// Shortest time between syncs. Models: `--iptables-min-sync-period`.
const MIN_SYNC: Duration = Duration::from_secs(1);

type Key = (SmolStr, SmolStr);

/// A node's kube-proxy. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Proxy {
    ns: NsId,
    node: NodeConfig,
    config: Config,
    watch_services: Watch,
    watch_slices: Watch,
    services: OrdMap<Key, Value>,
    slices: OrdMap<Key, Value>,
    dirty: bool,
    ready_at: Instant,
    set_up: bool,
    chance: Stream,
}

impl Proxy {
    /// A proxy that has written nothing yet.
    pub fn new(api: &ApiServer, ns: NsId, node: NodeConfig, cluster: net::Cidr, chance: Stream) -> Proxy {
        let id = |g: &str, p: &str| api.resource(g, p).unwrap_or(ResId(u16::MAX));
        let open = |res: ResId| {
            let mut w = Watch::new(res, api.store.revision());
            w.initial = api.store.list(res, None, None).map(|(_, v)| v.clone()).collect();
            w
        };
        Proxy {
            ns,
            node,
            config: Config { detect_local: DetectLocal::Cidr(cluster), nfacct: false, ..Config::default() },
            watch_services: open(id("", "services")),
            watch_slices: open(id("discovery.k8s.io", "endpointslices")),
            services: OrdMap::new(),
            slices: OrdMap::new(),
            dirty: true,
            ready_at: Instant::ZERO,
            set_up: false,
            chance,
        }
    }

    /// The resources watched.
    pub fn watches(&self) -> [ResId; 2] {
        [self.watch_services.res, self.watch_slices.res]
    }

    /// Takes watch events and writes rules when it is time. Gives when it wants to run again.
    pub fn run(&mut self, now: Instant, api: &ApiServer, net: &mut Net) -> Option<Instant> {
        for (w, all) in
            [(&mut self.watch_services, &mut self.services), (&mut self.watch_slices, &mut self.slices)]
        {
            for e in api.poll(w, now).unwrap_or_default() {
                self.dirty = true;
                let key = (e.object.namespace().into(), e.object.name().into());
                match e.kind {
                    ChangeKind::Deleted => all.remove(&key),
                    _ => all.insert(key, e.object),
                };
            }
        }
        if self.dirty && self.ready_at <= now {
            self.sync(net);
            self.dirty = false;
            self.ready_at = now + MIN_SYNC + self.chance.between(Duration::ZERO, Duration::from_millis(20));
        }
        let unseen =
            [&self.watch_services, &self.watch_slices].into_iter().filter_map(|w| api.next_commit(w)).min();
        match (self.dirty.then_some(self.ready_at), unseen) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn sync(&mut self, net: &mut Net) {
        let services: Vec<Service> = self.services.values().map(service).collect();
        let slices: Vec<Slice> = self.slices.values().map(slice).collect();
        let ports = service_ports(&services, &slices, &self.node);
        let existing: BTreeSet<String> = service_chains(&net.iptables_save(self.ns, Some(TableName::Nat)));
        if !self.set_up {
            for t in CANARY_TABLES {
                net.iptables(self.ns, &["-t", t, "-N", CANARY]);
            }
        }
        let text = restore(&Sync {
            ports: &ports,
            node: &self.node,
            config: &self.config,
            changed: None,
            existing: &existing,
        });
        // Rules that the kernel refuses leave the old ones in place; the next sync tries again.
        let done = net.iptables_restore(self.ns, &text, true, true);
        if !self.set_up && done.is_ok() {
            for (table, chain, conditions, target) in JUMPS {
                let mut args = vec!["-t", table, "-I", chain];
                args.extend(conditions);
                args.extend(["-j", target]);
                net.iptables(self.ns, &args);
            }
            self.set_up = true;
        }
    }
}

fn addresses(v: &Value) -> Vec<std::net::IpAddr> {
    v.items().filter_map(|a| a.text().parse().ok()).collect()
}

fn protocol(v: &Value) -> Protocol {
    Protocol::named(&v.text().to_lowercase()).or_else(|| Protocol::named(v.text())).unwrap_or(Protocol::Tcp)
}

/// What the proxy needs of a Service.
pub fn service(v: &Value) -> Service {
    let spec = v.get("spec");
    let affinity = spec.get("sessionAffinity").text() == "ClientIP";
    Service {
        namespace: v.namespace().into(),
        name: v.name().into(),
        kind: match spec.get("type").text() {
            "NodePort" => ServiceType::NodePort,
            "LoadBalancer" => ServiceType::LoadBalancer,
            "ExternalName" => ServiceType::ExternalName,
            _ => ServiceType::ClusterIp,
        },
        cluster_ips: addresses(spec.get("clusterIPs")),
        ports: spec
            .get("ports")
            .items()
            .map(|p| Port {
                name: p.get("name").smol(),
                protocol: protocol(p.get("protocol")),
                port: p.get("port").int() as u16,
                node_port: p.get("nodePort").int() as u16,
            })
            .collect(),
        affinity_seconds: affinity.then(|| {
            spec.at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).as_int().unwrap_or(10_800)
                as u32
        }),
        internal_local: spec.get("internalTrafficPolicy").text() == "Local",
        external_local: spec.get("externalTrafficPolicy").text() == "Local",
        external_ips: addresses(spec.get("externalIPs")),
        ingress: v
            .at(&["status", "loadBalancer", "ingress"])
            .items()
            .map(|i| Ingress {
                ip: i.get("ip").text().parse().ok(),
                proxy: i.get("ipMode").text() == "Proxy",
            })
            .collect(),
        source_ranges: spec
            .get("loadBalancerSourceRanges")
            .items()
            .filter_map(|c| c.text().parse().ok())
            .collect(),
        health_check_port: spec.get("healthCheckNodePort").int() as u16,
        other_proxy: v.labels().get("service.kubernetes.io/service-proxy-name").is_some(),
    }
}

/// What the proxy needs of an EndpointSlice.
pub fn slice(v: &Value) -> Slice {
    let names = |v: &Value| v.items().map(|z| z.get("name").smol()).collect();
    Slice {
        namespace: v.namespace().into(),
        service: v.labels().get("kubernetes.io/service-name").smol(),
        ports: v
            .get("ports")
            .items()
            .map(|p| SlicePort {
                name: p.get("name").smol(),
                protocol: protocol(p.get("protocol")),
                port: p.get("port").int() as u16,
            })
            .collect(),
        endpoints: v
            .get("endpoints")
            .items()
            .map(|e| Endpoint {
                ip: e.at(&["addresses", "0"]).text().parse().ok(),
                ready: e.at(&["conditions", "ready"]).as_bool(),
                serving: e.at(&["conditions", "serving"]).as_bool(),
                terminating: e.at(&["conditions", "terminating"]).as_bool(),
                node: e.get("nodeName").as_str().map(SmolStr::from),
                zones: names(e.at(&["hints", "forZones"])),
                nodes: names(e.at(&["hints", "forNodes"])),
            })
            .collect(),
    }
}
