//! What the real kube-proxy v1.36.2 wrote for the same objects.

use super::iptables::{CANARY, CANARY_TABLES, Config, DetectLocal, JUMPS, Sync, restore, service_chains};
use super::*;
use net::{Net, NsId};
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn text(v: &Value) -> SmolStr {
    v.as_str().unwrap_or_default().into()
}

fn list(v: &Value) -> impl Iterator<Item = &Value> {
    v.as_array().into_iter().flatten()
}

fn parsed<T: std::str::FromStr>(v: &Value) -> Vec<T> {
    list(v).filter_map(|a| a.as_str()?.parse().ok()).collect()
}

fn service(o: &Value) -> Service {
    let (m, s) = (&o["metadata"], &o["spec"]);
    let port = |p: &Value| Port {
        name: text(&p["name"]),
        protocol: Protocol::named(p["protocol"].as_str().unwrap_or("TCP")).unwrap(),
        port: p["port"].as_u64().unwrap_or(0) as u16,
        node_port: p["nodePort"].as_u64().unwrap_or(0) as u16,
    };
    let ingress = |i: &Value| Ingress {
        ip: i["ip"].as_str().and_then(|a| a.parse().ok()),
        proxy: i["ipMode"] == "Proxy",
    };
    let affinity = s["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_u64().unwrap_or(10_800) as u32;
    Service {
        namespace: text(&m["namespace"]),
        name: text(&m["name"]),
        kind: match s["type"].as_str() {
            Some("NodePort") => ServiceType::NodePort,
            Some("LoadBalancer") => ServiceType::LoadBalancer,
            Some("ExternalName") => ServiceType::ExternalName,
            _ => ServiceType::ClusterIp,
        },
        cluster_ips: parsed(&s["clusterIPs"]),
        ports: list(&s["ports"]).map(port).collect(),
        affinity_seconds: (s["sessionAffinity"] == "ClientIP").then_some(affinity),
        internal_local: s["internalTrafficPolicy"] == "Local",
        external_local: s["externalTrafficPolicy"] == "Local",
        external_ips: parsed(&s["externalIPs"]),
        ingress: list(&o["status"]["loadBalancer"]["ingress"]).map(ingress).collect(),
        source_ranges: parsed(&s["loadBalancerSourceRanges"]),
        health_check_port: s["healthCheckNodePort"].as_u64().unwrap_or(0) as u16,
        other_proxy: !m["labels"]["service.kubernetes.io/service-proxy-name"].is_null(),
    }
}

fn slice(o: &Value) -> Slice {
    let endpoint = |e: &Value| Endpoint {
        ip: e["addresses"][0].as_str().and_then(|a| a.parse().ok()),
        ready: e["conditions"]["ready"].as_bool(),
        serving: e["conditions"]["serving"].as_bool(),
        terminating: e["conditions"]["terminating"].as_bool(),
        node: e["nodeName"].as_str().map(Into::into),
        zones: list(&e["hints"]["forZones"]).map(|z| text(&z["name"])).collect(),
        nodes: list(&e["hints"]["forNodes"]).map(|z| text(&z["name"])).collect(),
    };
    let port = |p: &Value| SlicePort {
        name: text(&p["name"]),
        protocol: Protocol::named(p["protocol"].as_str().unwrap_or("TCP")).unwrap(),
        port: p["port"].as_u64().unwrap_or(0) as u16,
    };
    Slice {
        namespace: text(&o["metadata"]["namespace"]),
        service: text(&o["metadata"]["labels"]["kubernetes.io/service-name"]),
        ports: list(&o["ports"]).map(port).collect(),
        endpoints: list(&o["endpoints"]).map(endpoint).collect(),
    }
}

fn node(o: &Value) -> NodeConfig {
    let ip = list(&o["status"]["addresses"]).find(|a| a["type"] == "InternalIP");
    let ip = ip.and_then(|a| a["address"].as_str()?.parse().ok());
    let local = ["127.0.0.1", "192.168.0.11", "10.244.0.1"];
    NodeConfig {
        name: text(&o["metadata"]["name"]),
        zone: text(&o["metadata"]["labels"]["topology.kubernetes.io/zone"]),
        ip,
        local_ips: local.iter().map(|a| a.parse().unwrap()).collect(),
        pod_cidr: parsed(&o["spec"]["podCIDRs"]).first().copied(),
    }
}

/// The state of one case: service ports, node, settings.
struct Case {
    ports: Vec<ServicePort>,
    node: NodeConfig,
    config: Config,
}

fn load(path: &Path) -> Case {
    let objects: Vec<Value> =
        std::fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |k: &'static str| objects.iter().filter(move |o| o["kind"] == k);
    let node = of("Node").map(node).find(|n| n.name == "node-1").unwrap();
    let default = serde_json::json!(["--cluster-cidr=10.244.0.0/16"]);
    let args = of("Args").next().map_or(&default, |a| &a["args"]);
    let mut config = Config::default();
    for a in list(args).filter_map(Value::as_str) {
        let (k, v) = a.split_once('=').unwrap_or((a, ""));
        match k {
            "--cluster-cidr" => config.detect_local = DetectLocal::Cidr(v.parse().unwrap()),
            "--masquerade-all" => config.masquerade_all = true,
            "--nodeport-addresses" => {
                config.nodeport_addresses = v.split(',').map(|c| c.parse().unwrap()).collect()
            }
            "--pod-bridge-interface" => config.detect_local = DetectLocal::Bridge(v.into()),
            "--pod-interface-name-prefix" => config.detect_local = DetectLocal::Prefix(v.into()),
            "--detect-local-mode" if v == "NodeCIDR" => {
                config.detect_local = DetectLocal::Cidr(node.pod_cidr.unwrap());
            }
            _ => {}
        }
    }
    let services: Vec<Service> = of("Service").map(service).collect();
    let slices: Vec<Slice> = of("EndpointSlice").map(slice).collect();
    let ports = service_ports(&services, &slices, &node);
    Case { ports, node, config }
}

/// Upstream's order of Services is random: takes the one that it had.
fn reorder(ports: &mut [ServicePort], want: &str) {
    ports.sort_by_key(|p| {
        let name = p.name.to_string();
        let hash = iptables::port_chain("", &p.name);
        let nat = &want[want.find("*nat").unwrap_or(0)..];
        let keys =
            [format!("-j KUBE-SVC-{hash}"), format!("-j KUBE-SVL-{hash}"), format!("-j KUBE-EXT-{hash}")];
        let first = keys.iter().filter_map(|k| nat.find(k.as_str())).min();
        (first.unwrap_or(usize::MAX), want.find(&format!("\"{name} ")))
    });
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kube-proxy")
}

fn difference(want: &str, got: &str) -> Option<String> {
    if want == got {
        return None;
    }
    let (w, g): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
    let i = (0..w.len().max(g.len())).find(|i| w.get(*i) != g.get(*i))?;
    Some(format!("line {}:\n  want {:?}\n  got  {:?}", i + 1, w.get(i), g.get(i)))
}

fn cases() -> Vec<PathBuf> {
    let mut v: Vec<PathBuf> = std::fs::read_dir(dir()).unwrap().map(|e| e.unwrap().path()).collect();
    v.retain(|p| p.join("objects.jsonl").exists());
    v.sort();
    v
}

#[test]
fn a_full_sync_writes_what_kube_proxy_writes() {
    let mut bad = Vec::new();
    let all = cases();
    for path in &all {
        let want = std::fs::read_to_string(path.join("restore.txt")).unwrap();
        let mut c = load(&path.join("objects.jsonl"));
        reorder(&mut c.ports, &want);
        let none = BTreeSet::new();
        let sync = Sync { ports: &c.ports, node: &c.node, config: &c.config, changed: None, existing: &none };
        if let Some(d) = difference(&want, &restore(&sync)) {
            bad.push(format!("{}: {d}", path.file_name().unwrap().display()));
        }
    }
    assert!(bad.is_empty() && all.len() == 49, "{} of {}\n{}", bad.len(), all.len(), bad.join("\n"));
}

fn host() -> (Net, NsId) {
    let mut net = Net::new(sim::Seed(1).stream("net"));
    let ns = net.add_namespace("node-1").unwrap();
    let run = |net: &mut Net, args: &[&str]| {
        let o = net.iptables(ns, args);
        assert_eq!(o.code, 0, "{args:?}: {}", o.stderr);
    };
    for t in CANARY_TABLES {
        run(&mut net, &["-t", t, "-N", CANARY]);
    }
    let mut made = BTreeSet::new();
    for (table, chain, conditions, target) in JUMPS {
        if made.insert((table, target)) {
            run(&mut net, &["-t", table, "-N", target]);
        }
        let mut args = vec!["-t", table, "-I", chain];
        args.extend(conditions);
        args.extend(["-j", target]);
        run(&mut net, &args);
    }
    (net, ns)
}

#[test]
fn the_kernel_model_then_has_the_rules_that_a_kernel_has() {
    let mut bad = Vec::new();
    for path in cases() {
        let want = std::fs::read_to_string(path.join("iptables-save.txt")).unwrap();
        let mut c = load(&path.join("objects.jsonl"));
        reorder(&mut c.ports, &std::fs::read_to_string(path.join("restore.txt")).unwrap());
        let (mut net, ns) = host();
        let none = BTreeSet::new();
        let sync = Sync { ports: &c.ports, node: &c.node, config: &c.config, changed: None, existing: &none };
        net.iptables_restore(ns, &restore(&sync), true, true).unwrap();
        if let Some(d) = difference(&want, &net.iptables_save(ns, None)) {
            bad.push(format!("{}: {d}", path.file_name().unwrap().display()));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Lines whose order is random upstream, too, are sorted: deletions and the chains declared for them.
fn settled(text: &str) -> String {
    let (mut lines, mut loose): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for l in text.lines() {
        if l.starts_with("-X ")
            || l.starts_with(":KUBE-S")
            || l.starts_with(":KUBE-EXT-")
            || l.starts_with(":KUBE-FW-")
        {
            loose.push(l);
        } else {
            lines.push(l);
        }
    }
    loose.sort_unstable();
    lines.extend(loose);
    lines.join("\n")
}

#[test]
fn partial_syncs_write_what_changed() {
    let dir = dir().join("seq-incremental");
    let mut steps: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    steps.retain(|p| p.to_string_lossy().ends_with(".objects.jsonl"));
    steps.sort();
    let (mut net, ns) = host();
    let mut before: Vec<ServicePort> = Vec::new();
    let mut compared = 0;
    for path in steps {
        let want =
            std::fs::read_to_string(path.to_string_lossy().replace("objects.jsonl", "restore.txt")).unwrap();
        // Two syncs in one step: a Service first, then its slice.
        let want = want.split("# ---- next restore ----\n").last().unwrap();
        let mut c = load(&path);
        reorder(&mut c.ports, want);
        let find = |list: &[ServicePort], p: &ServicePort| list.iter().find(|q| q.name == p.name).cloned();
        let changed: BTreeSet<SmolStr> = c
            .ports
            .iter()
            .filter(|p| find(&before, p).as_ref() != Some(p))
            .map(|p| p.name.service.clone())
            .collect();
        let existing = service_chains(&net.iptables_save(ns, Some(net::TableName::Nat)));
        let changed = (!before.is_empty()).then_some(&changed);
        let sync = Sync { ports: &c.ports, node: &c.node, config: &c.config, changed, existing: &existing };
        let got = restore(&sync);
        net.iptables_restore(ns, &got, true, true).unwrap();
        before = c.ports.clone();
        if want.trim().is_empty() {
            continue;
        }
        compared += 1;
        let d = difference(&settled(want), &settled(&got));
        assert_eq!(d, None, "{}", path.file_name().unwrap().display());
    }
    assert!(compared >= 11, "{compared}");
}

#[test]
fn chain_names_are_the_known_ones() {
    let n = PortName { service: "default/kubernetes".into(), port: "https".into(), protocol: Protocol::Tcp };
    assert_eq!(iptables::port_chain("KUBE-SVC-", &n), "KUBE-SVC-NPX46M4PTMTKRN6Y");
}

#[test]
fn big_clusters_get_no_comments() {
    let endpoints = (0..1001u32).map(|i| Endpoint {
        ip: Some(std::net::Ipv4Addr::from_bits(0x0af4_0000 + i).into()),
        ..Endpoint::default()
    });
    let s = Service {
        namespace: "a".into(),
        name: "b".into(),
        cluster_ips: vec!["10.96.0.9".parse().unwrap()],
        ports: vec![Port { port: 80, ..Port::default() }],
        ..Service::default()
    };
    let slice = Slice {
        namespace: "a".into(),
        service: "b".into(),
        ports: vec![SlicePort { port: 80, ..SlicePort::default() }],
        endpoints: endpoints.collect(),
    };
    let (node, config, none) = (NodeConfig::default(), Config::default(), BTreeSet::new());
    let ports = service_ports(&[s], &[slice], &node);
    let text = restore(&Sync { ports: &ports, node: &node, config: &config, changed: None, existing: &none });
    assert!(!text.contains("a/b ->") && text.contains("--probability 0.0009990010 "), "{}", &text[..3000]);
    let (mut net, ns) = host();
    net.iptables_restore(ns, &text, true, true).unwrap();
}
