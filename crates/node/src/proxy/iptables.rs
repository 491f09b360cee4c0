//! iptables mode: what kube-proxy feeds to `iptables-restore --noflush --counters`.
//!
//! Models: pkg/proxy/iptables of Kubernetes v1.36, for IPv4. A full sync writes everything; a partial one the chains of
//! the changed Services only, but always the chains that all Services share. Chains that are not needed any more are
//! declared once more and deleted.
//!
//! Upstream's order of Services is random; here it is that of the argument.

use super::{Choice, NodeConfig, PortName, ServicePort};
use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr};
use net::Cidr;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// Endpoints in all above which comments are left out to save time.
const LARGE_CLUSTER_ENDPOINTS: usize = 1000;

/// How traffic from pods of this node is told from other traffic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum DetectLocal {
    /// Not at all.
    #[default]
    None,
    /// Comes from this network: `ClusterCIDR`, and `NodeCIDR` with the node's own.
    Cidr(Cidr),
    /// Comes by this bridge: `BridgeInterface`.
    Bridge(SmolStr),
    /// Comes by an interface with this prefix: `InterfaceNamePrefix`.
    Prefix(SmolStr),
}

impl DetectLocal {
    fn condition(&self) -> Option<String> {
        match self {
            DetectLocal::None => None,
            DetectLocal::Cidr(c) => Some(format!("-s {c}")),
            DetectLocal::Bridge(b) => Some(format!("-i {b}")),
            DetectLocal::Prefix(p) => Some(format!("-i {p}+")),
        }
    }
}

/// The proxy's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `--detect-local-mode` with what it needs.
    pub detect_local: DetectLocal,
    /// `--masquerade-all`
    pub masquerade_all: bool,
    /// `--iptables-masquerade-bit`
    pub masquerade_bit: u8,
    /// `--nodeport-addresses`; empty is all.
    pub nodeport_addresses: Vec<Cidr>,
    /// `--iptables-localhost-nodeports`
    pub localhost_nodeports: bool,
    /// Whether the kernel has nfacct, which counts some rules under names.
    pub nfacct: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            detect_local: DetectLocal::None,
            masquerade_all: false,
            masquerade_bit: 14,
            nodeport_addresses: Vec::new(),
            localhost_nodeports: true,
            nfacct: true,
        }
    }
}

impl Config {
    /// Node ports answer on localhost: wanted, and the address is among those chosen.
    pub fn serves_localhost(&self) -> bool {
        let chosen = |c: &Cidr| c.len == 0 || matches!(c.addr, IpAddr::V4(a) if a.is_loopback());
        self.localhost_nodeports
            && (self.nodeport_addresses.is_empty() || self.nodeport_addresses.iter().any(chosen))
    }

    fn all_addresses(&self) -> bool {
        self.nodeport_addresses.is_empty()
            || self.nodeport_addresses.iter().any(|c| c.len == 0 && c.addr.is_ipv4())
    }
}

/// What is synced.
#[derive(Clone, Copy, Debug)]
pub struct Sync<'a> {
    /// Service ports.
    pub ports: &'a [ServicePort],
    /// The node.
    pub node: &'a NodeConfig,
    /// Settings.
    pub config: &'a Config,
    /// `namespace/name` of changed Services; `None` is a full sync.
    pub changed: Option<&'a BTreeSet<SmolStr>>,
    /// Chains of the nat table as they are, for finding those to delete; see [`service_chains`].
    pub existing: &'a BTreeSet<String>,
}

/// The jumps from builtin chains, in the order in which they are inserted at the top: table, chain, conditions, target.
pub const JUMPS: [(&str, &str, &[&str], &str); 14] = [
    (
        "filter",
        "INPUT",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", EXTERNAL],
        "KUBE-EXTERNAL-SERVICES",
    ),
    (
        "filter",
        "FORWARD",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", EXTERNAL],
        "KUBE-EXTERNAL-SERVICES",
    ),
    (
        "filter",
        "INPUT",
        &["-m", "comment", "--comment", "kubernetes health check service ports"],
        "KUBE-NODEPORTS",
    ),
    (
        "filter",
        "FORWARD",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", PORTALS],
        "KUBE-SERVICES",
    ),
    (
        "filter",
        "OUTPUT",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", PORTALS],
        "KUBE-SERVICES",
    ),
    ("filter", "FORWARD", &["-m", "comment", "--comment", "kubernetes forwarding rules"], "KUBE-FORWARD"),
    (
        "filter",
        "INPUT",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", FIREWALL],
        "KUBE-PROXY-FIREWALL",
    ),
    (
        "filter",
        "OUTPUT",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", FIREWALL],
        "KUBE-PROXY-FIREWALL",
    ),
    (
        "filter",
        "FORWARD",
        &["-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", FIREWALL],
        "KUBE-PROXY-FIREWALL",
    ),
    ("nat", "OUTPUT", &["-m", "comment", "--comment", PORTALS], "KUBE-SERVICES"),
    ("nat", "PREROUTING", &["-m", "comment", "--comment", PORTALS], "KUBE-SERVICES"),
    (
        "nat",
        "POSTROUTING",
        &["-m", "comment", "--comment", "kubernetes postrouting rules"],
        "KUBE-POSTROUTING",
    ),
    ("filter", "INPUT", &[], "KUBE-FIREWALL"),
    ("filter", "OUTPUT", &[], "KUBE-FIREWALL"),
];

const EXTERNAL: &str = "kubernetes externally-visible service portals";
const PORTALS: &str = "kubernetes service portals";
const FIREWALL: &str = "kubernetes load balancer firewall";

/// Tables in which a chain of [`CANARY`]'s name is made: when it vanishes, somebody has flushed the rules.
pub const CANARY_TABLES: [&str; 3] = ["mangle", "nat", "filter"];
/// The canary's chain.
pub const CANARY: &str = "KUBE-PROXY-CANARY";

/// A `KUBE-…-` chain's hash: 16 characters of base32.
fn hash(parts: &[&str]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut h = Sha256::new();
    for p in parts {
        h.update(p.as_bytes());
    }
    let d = h.finalize();
    // Sixteen characters are the first ten bytes.
    let bits = d.iter().take(10).fold(0u128, |a, b| a << 8 | u128::from(*b));
    (0..16).map(|i| char::from(ALPHABET[(bits >> (75 - 5 * i)) as usize & 31])).collect()
}

fn port_hash(n: &PortName) -> String {
    hash(&[&n.to_string(), n.protocol.name()])
}

/// The chain of one endpoint.
pub fn endpoint_chain(n: &PortName, endpoint: &str) -> String {
    format!("KUBE-SEP-{}", hash(&[&n.to_string(), n.protocol.name(), endpoint]))
}

/// The chain of a service port with that prefix: `KUBE-SVC-`, `KUBE-SVL-`, `KUBE-EXT-` or `KUBE-FW-`.
pub fn port_chain(prefix: &str, n: &PortName) -> String {
    format!("{prefix}{}", port_hash(n))
}

/// Names of the chains that belong to single Services, out of what `iptables-save -t nat` prints.
pub fn service_chains(save: &str) -> BTreeSet<String> {
    const PREFIXES: [&str; 5] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-FW-", "KUBE-EXT-"];
    let names = save.lines().filter_map(|l| l.strip_prefix(':')?.split(' ').next());
    names.filter(|n| PREFIXES.iter().any(|p| n.starts_with(p))).map(str::to_string).collect()
}

/// The text for `iptables-restore`.
pub fn restore(sync: &Sync<'_>) -> String {
    let mut w = Writer::new(sync);
    w.head();
    for p in sync.ports {
        w.port(p);
    }
    w.stale();
    w.tail();
    w.finish()
}

/// Lines by their place in the input.
struct Writer<'a> {
    sync: &'a Sync<'a>,
    large: bool,
    filter_rules: String,
    nat_chains: String,
    nat_rules: String,
    active: BTreeSet<String>,
}

/// The chains of one service port and what they are used for.
struct Plan<'a> {
    p: &'a ServicePort,
    name: String,
    proto: &'static str,
    choice: Choice,
    cluster_chain: String,
    local_chain: String,
    external_chain: String,
    firewall_chain: String,
    internal_ok: bool,
    external_ok: bool,
    uses_external: bool,
    uses_firewall: bool,
}

impl<'a> Plan<'a> {
    fn new(p: &'a ServicePort, node: &NodeConfig) -> Plan<'a> {
        let choice = p.choose(node);
        let h = port_hash(&p.name);
        let no_local = choice.local.is_empty();
        Plan {
            name: p.name.to_string(),
            proto: p.name.protocol.name(),
            cluster_chain: format!("KUBE-SVC-{h}"),
            local_chain: format!("KUBE-SVL-{h}"),
            external_chain: format!("KUBE-EXT-{h}"),
            firewall_chain: format!("KUBE-FW-{h}"),
            internal_ok: choice.any && !(p.internal_local && no_local),
            external_ok: choice.any && !(p.external_local && no_local),
            uses_external: choice.any && p.external(),
            uses_firewall: choice.any && !p.lb_ips.is_empty() && !p.source_ranges.is_empty(),
            choice,
            p,
        }
    }

    fn internal_chain(&self) -> &str {
        if self.p.internal_local { &self.local_chain } else { &self.cluster_chain }
    }

    fn policy_chain(&self) -> &str {
        if self.p.external_local { &self.local_chain } else { &self.cluster_chain }
    }

    /// What is done with traffic that has no endpoint: the comment's end and the target.
    fn refusal(&self) -> (&'static str, &'static str) {
        if self.choice.any { ("has no local endpoints", "DROP") } else { ("has no endpoints", "REJECT") }
    }

    fn to(&self, ip: IpAddr) -> String {
        format!("-m {0} -p {0} -d {ip} --dport {1}", self.proto, self.p.port)
    }
}

impl<'a> Writer<'a> {
    fn new(sync: &'a Sync<'a>) -> Writer<'a> {
        let endpoints: usize = sync.ports.iter().map(ServicePort::endpoints).sum();
        Writer {
            sync,
            large: endpoints > LARGE_CLUSTER_ENDPOINTS,
            filter_rules: String::new(),
            nat_chains: String::new(),
            nat_rules: String::new(),
            active: BTreeSet::new(),
        }
    }

    fn filter(&mut self, line: &str) {
        self.filter_rules.push_str(line);
        self.filter_rules.push('\n');
    }

    fn nat(&mut self, line: &str) {
        self.nat_rules.push_str(line);
        self.nat_rules.push('\n');
    }

    fn declare(&mut self, chain: &str) {
        let _ = writeln!(self.nat_chains, ":{chain} - [0:0]");
    }

    fn mark(&self) -> String {
        format!("0x{:08x}", 1u32 << (self.sync.config.masquerade_bit & 31))
    }

    fn head(&mut self) {
        let mark = self.mark();
        if self.sync.config.serves_localhost() {
            self.filter(
                "-A KUBE-FIREWALL -m comment --comment \"block incoming localnet connections\" -d 127.0.0.0/8 ! -s \
                 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            );
        }
        for c in ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"] {
            self.declare(c);
        }
        self.nat(&format!("-A KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN"));
        // The mark is cleared, so that a packet that comes by again is not masqueraded twice.
        self.nat(&format!("-A KUBE-POSTROUTING -j MARK --xor-mark {mark}"));
        self.nat(
            "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE \
             --random-fully",
        );
        self.nat(&format!("-A KUBE-MARK-MASQ -j MARK --or-mark {mark}"));
    }

    fn port(&mut self, p: &ServicePort) {
        let plan = Plan::new(p, self.sync.node);
        self.entrances(&plan);
        if p.health_check_port != 0 {
            self.filter(&format!(
                "-A KUBE-NODEPORTS -m comment --comment \"{} health check node port\" -m tcp -p tcp --dport {} -j ACCEPT",
                plan.name, p.health_check_port
            ));
        }
        let uses_cluster = !plan.choice.cluster.is_empty() && p.uses_cluster();
        let uses_local = !plan.choice.local.is_empty() && p.uses_local();
        let mut chains: Vec<String> = Vec::new();
        let own = [
            (plan.uses_external, &plan.external_chain),
            (plan.uses_firewall, &plan.firewall_chain),
            (uses_cluster, &plan.cluster_chain),
            (uses_local, &plan.local_chain),
        ];
        chains.extend(own.into_iter().filter(|(used, _)| *used).map(|(_, c)| c.clone()));
        chains.extend(plan.choice.reachable.iter().map(|e| endpoint_chain(&p.name, e)));
        self.active.extend(chains.iter().cloned());
        if self.sync.changed.is_some_and(|c| !c.contains(&p.name.service)) {
            return;
        }
        for c in &chains {
            self.declare(c);
        }
        self.internal(&plan);
        self.external(&plan);
        self.firewall(&plan);
        if uses_cluster {
            self.endpoints(&plan, &plan.cluster_chain, &plan.choice.cluster);
        }
        if uses_local {
            self.endpoints(&plan, &plan.local_chain, &plan.choice.local);
        }
        for e in &plan.choice.reachable {
            self.endpoint(&plan, e);
        }
    }

    /// Rules of the chains that all Services share: which traffic belongs to the Service.
    fn entrances(&mut self, plan: &Plan<'_>) {
        let (p, name) = (plan.p, &plan.name);
        let (why, verdict) = plan.refusal();
        let refuse = |chain: &str, to: &str| {
            format!("-A {chain} -m comment --comment \"{name} {why}\" {to} -j {verdict}")
        };
        let ip = plan.to(p.cluster_ip);
        if plan.internal_ok {
            let chain = plan.internal_chain();
            self.nat(&format!("-A KUBE-SERVICES -m comment --comment \"{name} cluster IP\" {ip} -j {chain}"));
        } else {
            self.filter(&refuse("KUBE-SERVICES", &ip));
        }
        for a in &p.external_ips {
            let (to, chain) = (plan.to(*a), &plan.external_chain);
            if plan.choice.any {
                self.nat(&format!(
                    "-A KUBE-SERVICES -m comment --comment \"{name} external IP\" {to} -j {chain}"
                ));
            }
            if !plan.external_ok {
                self.filter(&refuse("KUBE-EXTERNAL-SERVICES", &to));
            }
        }
        for a in &p.lb_ips {
            let to = plan.to(*a);
            let chain = if plan.uses_firewall { &plan.firewall_chain } else { &plan.external_chain };
            if plan.choice.any {
                self.nat(&format!(
                    "-A KUBE-SERVICES -m comment --comment \"{name} loadbalancer IP\" {to} -j {chain}"
                ));
            }
            if plan.uses_firewall {
                self.filter(&format!(
                    "-A KUBE-PROXY-FIREWALL -m comment --comment \"{name} traffic not accepted by {chain}\" {to} -j DROP"
                ));
            }
        }
        if !plan.external_ok {
            for a in &p.lb_ips {
                self.filter(&refuse("KUBE-EXTERNAL-SERVICES", &plan.to(*a)));
            }
        }
        if p.node_port != 0 {
            self.node_port(plan, &refuse);
        }
    }

    fn node_port(&mut self, plan: &Plan<'_>, refuse: &dyn Fn(&str, &str) -> String) {
        let (name, proto, port, chain) = (&plan.name, plan.proto, plan.p.node_port, &plan.external_chain);
        if plan.choice.any {
            let head = format!("-A KUBE-NODEPORTS -m comment --comment {name} -m {proto} -p {proto}");
            if self.sync.config.nfacct && self.sync.config.serves_localhost() {
                self.nat(&format!(
                    "{head} -d 127.0.0.0/8 --dport {port} -m nfacct --nfacct-name localhost_nps_accepted_pkts -j {chain}"
                ));
            }
            self.nat(&format!("{head} --dport {port} -j {chain}"));
        }
        if !plan.external_ok {
            let to = format!("-m addrtype --dst-type LOCAL -m {proto} -p {proto} --dport {port}");
            self.filter(&refuse("KUBE-EXTERNAL-SERVICES", &to));
        }
    }

    /// Who must be masqueraded on the way to the cluster address.
    fn internal(&mut self, plan: &Plan<'_>) {
        if !plan.internal_ok {
            return;
        }
        let chain = plan.internal_chain();
        let head = format!(
            "-A {chain} -m comment --comment \"{} cluster IP\" {}",
            plan.name,
            plan.to(plan.p.cluster_ip)
        );
        if self.sync.config.masquerade_all {
            self.nat(&format!("{head} -j KUBE-MARK-MASQ"));
        } else if let Some(local) = self.sync.config.detect_local.condition() {
            self.nat(&format!("{head} ! {local} -j KUBE-MARK-MASQ"));
        }
    }

    /// What traffic from outside meets before it is shared among endpoints.
    fn external(&mut self, plan: &Plan<'_>) {
        if !plan.uses_external {
            return;
        }
        let (name, chain, cluster) = (&plan.name, &plan.external_chain, &plan.cluster_chain);
        let rule = |what: &str, rest: &str| {
            format!("-A {chain} -m comment --comment \"{what} for {name} external destinations\" {rest}")
        };
        if !plan.p.external_local {
            self.nat(&rule("masquerade traffic", "-j KUBE-MARK-MASQ"));
        } else {
            // Traffic from here behaves as if it had gone out and come back by an outer load balancer.
            if let Some(local) = self.sync.config.detect_local.condition() {
                self.nat(&rule("pod traffic", &format!("{local} -j {cluster}")));
            }
            self.nat(&rule("masquerade LOCAL traffic", "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ"));
            self.nat(&rule("route LOCAL traffic", &format!("-m addrtype --src-type LOCAL -j {cluster}")));
        }
        if plan.external_ok {
            self.nat(&format!("-A {chain} -j {}", plan.policy_chain()));
        }
    }

    /// Who may come by the load balancer's address.
    fn firewall(&mut self, plan: &Plan<'_>) {
        if !plan.uses_firewall {
            return;
        }
        let (name, chain) = (&plan.name, &plan.firewall_chain);
        let allow = |src: &str| {
            let to = &plan.external_chain;
            format!("-A {chain} -m comment --comment \"{name} loadbalancer IP\" -s {src} -j {to}")
        };
        for c in &plan.p.source_ranges {
            self.nat(&allow(&c.network().to_string()));
        }
        let node = self.sync.node.ip;
        if node.is_some_and(|ip| plan.p.source_ranges.iter().any(|c| c.contains(ip))) {
            // The node itself uses the load balancer's address as source when it has that address.
            for a in &plan.p.lb_ips {
                self.nat(&allow(&a.to_string()));
            }
        }
        self.nat(&format!(
            "-A {chain} -m comment --comment \"other traffic to {name} will be dropped by KUBE-PROXY-FIREWALL\""
        ));
    }

    fn comment(&self, text: &str) -> String {
        if self.large { String::new() } else { format!("-m comment --comment {text} ") }
    }

    /// Shares traffic of `chain` among endpoints, those of a known client first.
    fn endpoints(&mut self, plan: &Plan<'_>, chain: &str, list: &[SmolStr]) {
        let (name, n) = (&plan.name, list.len());
        if let Some(seconds) = plan.p.affinity_seconds {
            for e in list {
                let (comment, sep) =
                    (self.comment(&format!("\"{name} -> {e}\"")), endpoint_chain(&plan.p.name, e));
                self.nat(&format!(
                    "-A {chain} {comment}-m recent --name {sep} --rcheck --seconds {seconds} --reap -j {sep}"
                ));
            }
        }
        for (i, e) in list.iter().enumerate() {
            let (comment, sep) =
                (self.comment(&format!("\"{name} -> {e}\"")), endpoint_chain(&plan.p.name, e));
            let chance = match n - i {
                1 => String::new(),
                left => format!("-m statistic --mode random --probability {:.10} ", 1.0 / left as f64),
            };
            self.nat(&format!("-A {chain} {comment}{chance}-j {sep}"));
        }
    }

    fn endpoint(&mut self, plan: &Plan<'_>, e: &SmolStr) {
        let sep = endpoint_chain(&plan.p.name, e);
        let ip =
            plan.p.targets.iter().find(|t| t.text == *e).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |t| t.ip);
        let (comment, proto) = (self.comment(&plan.name), plan.proto);
        // A pod that reaches itself must see another source, or it would answer itself directly.
        self.nat(&format!("-A {sep} {comment}-s {ip} -j KUBE-MARK-MASQ"));
        let recent = match plan.p.affinity_seconds {
            Some(_) => format!("-m recent --name {sep} --set "),
            None => String::new(),
        };
        self.nat(&format!("-A {sep} {comment}{recent}-m {proto} -p {proto} -j DNAT --to-destination {e}"));
    }

    /// Deletes chains that nothing needs any more; they are declared first, which empties them.
    fn stale(&mut self) {
        let gone: Vec<String> = self.sync.existing.difference(&self.active).cloned().collect();
        for c in &gone {
            self.declare(c);
        }
        for c in &gone {
            self.nat(&format!("-X {c}"));
        }
    }

    fn tail(&mut self) {
        let head = "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule \
                    in this chain\"";
        if self.sync.config.all_addresses() {
            let not_lo = if self.sync.config.serves_localhost() { "" } else { " ! -d 127.0.0.0/8" };
            self.nat(&format!("{head} -m addrtype --dst-type LOCAL{not_lo} -j KUBE-NODEPORTS"));
        } else {
            let chosen = |a: &IpAddr| self.sync.config.nodeport_addresses.iter().any(|c| c.contains(*a));
            let list: Vec<IpAddr> = self.sync.node.local_ips.iter().copied().filter(chosen).collect();
            for a in list {
                let lo = matches!(a, IpAddr::V4(v) if v.is_loopback());
                if !lo || self.sync.config.localhost_nodeports {
                    self.nat(&format!("{head} -d {a} -j KUBE-NODEPORTS"));
                }
            }
        }
        let nfacct = match self.sync.config.nfacct {
            true => " -m nfacct --nfacct-name ct_state_invalid_dropped_pkts",
            false => "",
        };
        // What the kernel finds invalid would be sent on untranslated, and the client would reset the connection.
        self.filter(&format!("-A KUBE-FORWARD -m conntrack --ctstate INVALID{nfacct} -j DROP"));
        let mark = self.mark();
        self.filter(&format!(
            "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark {mark}/{mark} -j ACCEPT"
        ));
        self.filter(
            "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate \
             RELATED,ESTABLISHED -j ACCEPT",
        );
    }

    fn finish(self) -> String {
        let mut s = String::from("*filter\n");
        let mut chains = vec![
            "KUBE-SERVICES",
            "KUBE-EXTERNAL-SERVICES",
            "KUBE-FORWARD",
            "KUBE-NODEPORTS",
            "KUBE-PROXY-FIREWALL",
        ];
        if self.sync.config.serves_localhost() {
            chains.push("KUBE-FIREWALL");
        }
        for c in chains {
            let _ = writeln!(s, ":{c} - [0:0]");
        }
        s.push_str(&self.filter_rules);
        s.push_str("COMMIT\n*nat\n");
        s.push_str(&self.nat_chains);
        s.push_str(&self.nat_rules);
        s.push_str("COMMIT\n");
        s
    }
}
