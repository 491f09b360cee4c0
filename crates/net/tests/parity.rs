//! Packet parity: the same topology, rules and flows on this machine's kernel and in the model.
//!
//! `cargo test -p net --test parity -- --ignored` as root, with iproute2, iptables, conntrack and python3. Compared are,
//! for each flow, whether it arrives, who answers and which address the server sees (or the error), and then the rule
//! counters and the tracked connections of the node. Counters of rules that only a connection's first packet meets, and of
//! rules that drop, must be equal; of others only whether they were hit.
#![allow(clippy::disallowed_methods)]

use net::{Cidr, ConnectOptions, CtFilter, Errno, IfIndex, Net, NsId, Route, SocketId};
use sim::{Cause, Duration, Seed};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};

const TCP_PORTS: [u16; 2] = [8080, 9090];
const UDP_PORT: u16 = 53;
/// Host, its address, its namespace's way out.
const PODS: [(&str, &str, &str); 3] =
    [("p1", "10.244.0.10", "n1"), ("p1b", "10.244.0.11", "n1"), ("p2", "10.244.1.10", "n2")];
const NODES: [(&str, &str, &str); 2] =
    [("n1", "192.168.0.11", "10.244.0.1"), ("n2", "192.168.0.12", "10.244.1.1")];
const OUTSIDE: (&str, &str) = ("out", "192.168.0.200");

struct Flow {
    from: &'static str,
    udp: bool,
    dst: &'static str,
    /// Sent from this port, if not 0.
    sport: u16,
}

fn tcp(from: &'static str, dst: &'static str) -> Flow {
    Flow { from, udp: false, dst, sport: 0 }
}

fn udp(from: &'static str, dst: &'static str) -> Flow {
    Flow { from, udp: true, dst, sport: 0 }
}

struct Scenario {
    name: &'static str,
    /// Rules of node 1, as iptables-save has them.
    rules: String,
    /// Settings of node 1.
    sysctls: &'static [(&'static str, &'static str)],
    /// Whether bridge ports have hairpin mode.
    hairpin: bool,
    flows: Vec<Flow>,
}

/// What the real kube-proxy's rules are in that case; nfacct needs objects that this test does not make.
fn recorded(case: &str, share: &str) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/kube-proxy");
    let text = std::fs::read_to_string(format!("{dir}/{case}/iptables-save.txt")).unwrap();
    let mut out = String::new();
    for l in text.lines() {
        let l = match l.split_once(" -m nfacct --nfacct-name  ") {
            Some((a, b)) => format!("{a}{}", &b[b.find(" -j").unwrap()..]),
            None => l.to_string(),
        };
        out.push_str(&l.replace("--probability 0.50000000000", &format!("--probability {share}")));
        out.push('\n');
    }
    out
}

fn scenario(name: &'static str, rules: String, flows: Vec<Flow>) -> Scenario {
    Scenario { name, rules, sysctls: &[], hairpin: true, flows }
}

const MASQUERADE: &str = "*nat\n-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE\nCOMMIT\n";

fn scenarios() -> Vec<Scenario> {
    let vip = "10.96.10.10:80";
    let everyone = || ["p1", "p1b", "p2", "n1", "out"].map(|f| tcp(f, vip)).into();
    let filter = |r: &str| format!("*filter\n{r}COMMIT\n");
    let mut v = vec![
        scenario(
            "no rules",
            String::new(),
            vec![
                tcp("p1", "10.244.1.10:8080"),
                tcp("p1", "10.244.0.11:8080"),
                tcp("p1", "10.244.1.10:81"),
                tcp("p1", "10.244.0.1:81"),
                udp("p1b", "10.244.1.10:53"),
                udp("p1b", "10.244.1.10:54"),
                tcp("n1", "127.0.0.1:8080"),
                tcp("out", "10.244.0.10:8080"),
            ],
        ),
        scenario("ClusterIP to a local endpoint", recorded("clusterip-1ep", "1"), everyone()),
        scenario("ClusterIP to a remote endpoint", recorded("nodeport", "0"), everyone()),
        scenario("hairpin", recorded("hairpin", "1"), vec![tcp("p1", vip), tcp("p1", vip)]),
        Scenario {
            hairpin: false,
            ..scenario("hairpin mode off", recorded("hairpin", "1"), vec![tcp("p1", vip)])
        },
        scenario("no endpoints", recorded("clusterip-0ep", "1"), everyone()),
        scenario(
            "NodePort, local endpoint",
            recorded("nodeport", "1"),
            vec![
                tcp("out", "192.168.0.11:30080"),
                tcp("p2", "192.168.0.11:30080"),
                tcp("p1", "192.168.0.11:30080"),
                tcp("n1", "192.168.0.11:30080"),
                tcp("n1", "127.0.0.1:30080"),
            ],
        ),
        scenario(
            "NodePort, remote endpoint",
            recorded("nodeport", "0"),
            vec![
                tcp("out", "192.168.0.11:30080"),
                tcp("p1b", "192.168.0.11:30080"),
                tcp("out", "192.168.0.11:30081"),
            ],
        ),
        scenario(
            "NodePort, Local policy without local endpoints",
            recorded("nodeport-etp-local-without-local", "1"),
            vec![tcp("out", "192.168.0.11:30080"), tcp("p1", vip)],
        ),
        scenario(
            "LoadBalancer with source ranges",
            recorded("lb-source-ranges", "1"),
            vec![tcp("out", "203.0.113.50:80"), tcp("p1b", "203.0.113.50:80"), tcp("p1b", vip)],
        ),
        scenario(
            "UDP service",
            recorded("udp", "1"),
            vec![udp("p1b", "10.96.10.10:53"), udp("p1", "10.96.10.10:53"), udp("n1", "10.96.10.10:53")],
        ),
        scenario(
            "UDP service, remote endpoint",
            recorded("udp", "0"),
            vec![udp("p1b", "10.96.10.10:53"), udp("n1", "10.96.10.10:53")],
        ),
        scenario(
            "session affinity",
            recorded("affinity-clientip", "1"),
            vec![tcp("p1b", vip), tcp("p1b", vip)],
        ),
        scenario(
            "masquerade everything",
            recorded("masquerade-all", "1"),
            vec![tcp("p1b", vip), tcp("p2", vip)],
        ),
        scenario(
            "masquerade to the outside",
            MASQUERADE.into(),
            vec![
                Flow { sport: 4000, ..tcp("p1", "192.168.0.200:8080") },
                Flow { sport: 4000, ..tcp("p1b", "192.168.0.200:8080") },
                udp("p1", "192.168.0.200:53"),
                udp("p1", "192.168.0.200:54"),
                tcp("p1", "10.244.1.10:8080"),
            ],
        ),
        scenario(
            "FORWARD policy drops",
            filter(":FORWARD DROP [0:0]\n-A FORWARD -p udp -j ACCEPT\n"),
            vec![
                tcp("p1", "10.244.1.10:8080"),
                tcp("p1", "10.244.0.11:8080"),
                udp("p1", "10.244.1.10:53"),
                tcp("n1", "10.244.0.10:8080"),
            ],
        ),
    ];
    let rejects = [
        "",
        "icmp-net-unreachable",
        "icmp-host-unreachable",
        "icmp-proto-unreachable",
        "icmp-admin-prohibited",
        "icmp-host-prohibited",
        "tcp-reset",
    ];
    let mut rules = String::new();
    for (i, r) in rejects.iter().enumerate() {
        let with = if r.is_empty() { String::new() } else { format!(" --reject-with {r}") };
        rules.push_str(&format!("-A FORWARD -p tcp -m tcp --dport {} -j REJECT{with}\n", 1000 + i));
        rules.push_str(&format!("-A OUTPUT -p tcp -m tcp --dport {} -j REJECT{with}\n", 1000 + i));
        rules.push_str(&format!("-A INPUT -p tcp -m tcp --dport {} -j REJECT{with}\n", 1000 + i));
    }
    rules.push_str("-A FORWARD -p udp -j REJECT\n-A OUTPUT -p udp -j DROP\n");
    let to = [
        "10.244.1.10:1000",
        "10.244.1.10:1001",
        "10.244.1.10:1002",
        "10.244.1.10:1003",
        "10.244.1.10:1004",
        "10.244.1.10:1005",
        "10.244.1.10:1006",
    ];
    // From two pods: more than six errors to one host within a second would meet the kernel's limit.
    let from = |i: usize| if i.is_multiple_of(2) { "p1" } else { "p1b" };
    let mut flows: Vec<Flow> =
        to.iter().enumerate().flat_map(|(i, d)| [tcp(from(i), d), tcp("n1", d)]).collect();
    flows.extend([udp("p1b", "10.244.1.10:53"), udp("n1", "10.244.1.10:53")]);
    flows.extend([tcp("p1b", "10.244.0.1:1000"), tcp("out", "192.168.0.11:1006")]);
    v.push(scenario("kinds of REJECT", filter(&rules), flows));
    // Translated, then rejected: the error must quote what the client knows.
    let reject = "*nat\n-A PREROUTING -d 10.96.10.10/32 -p tcp -j DNAT --to-destination 10.244.1.10:8080\n\
                  -A PREROUTING -d 10.96.10.10/32 -p udp -j DNAT --to-destination 10.244.1.10:53\nCOMMIT\n\
                  *filter\n-A FORWARD -d 10.244.1.10/32 -j REJECT\nCOMMIT\n";
    let flows = vec![tcp("p1", "10.96.10.10:80"), udp("p1", "10.96.10.10:80"), tcp("p1b", "10.96.10.10:81")];
    v.push(scenario("translated and rejected", reject.into(), flows));
    let reset = reject.replace("/32 -j REJECT", "/32 -p tcp -j REJECT --reject-with tcp-reset");
    let flows = vec![tcp("p1", "10.96.10.10:80"), tcp("p1b", "10.96.10.10:80"), udp("p1", "10.96.10.10:80")];
    v.push(scenario("translated and reset", reset, flows));
    let stateful = "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                    -A FORWARD -s 10.244.0.10/32 -p tcp -m conntrack --ctstate NEW -m multiport --dports 8080,9090 -j ACCEPT\n\
                    -A FORWARD -m limit --limit 1/hour --limit-burst 1 -j ACCEPT\n-A FORWARD -j DROP\n";
    v.push(scenario(
        "stateful firewall",
        filter(stateful),
        vec![tcp("p1", "10.244.1.10:9090"), tcp("p1b", "10.244.1.10:9090"), tcp("p1b", "10.244.1.10:8080")],
    ));
    let redirect = "*nat\n-A PREROUTING -p tcp -m tcp --dport 7000 -j REDIRECT --to-ports 8080\n\
                    -A OUTPUT -p tcp -m tcp --dport 7000 -j REDIRECT --to-ports 8080\n\
                    -A PREROUTING -d 192.168.0.11/32 -p tcp -m tcp --dport 7001 -j DNAT --to-destination 10.244.1.10:9090\n\
                    -A POSTROUTING -d 10.244.1.10/32 -p tcp -m tcp --dport 9090 -j SNAT --to-source 192.168.0.11\nCOMMIT\n";
    v.push(scenario(
        "REDIRECT, DNAT and SNAT",
        redirect.into(),
        vec![
            tcp("p1", "1.2.3.4:7000"),
            tcp("n1", "1.2.3.4:7000"),
            tcp("out", "192.168.0.11:7001"),
            tcp("p1", "192.168.0.11:7001"),
        ],
    ));
    v.push(Scenario {
        sysctls: &[("net.bridge.bridge-nf-call-iptables", "0")],
        ..scenario(
            "no br_netfilter",
            recorded("clusterip-1ep", "1"),
            vec![tcp("p1b", vip), tcp("p2", vip), tcp("n1", vip)],
        )
    });
    v.push(Scenario {
        sysctls: &[("net.ipv4.ip_forward", "0")],
        ..scenario(
            "no forwarding",
            recorded("clusterip-1ep", "1"),
            vec![tcp("p1b", "10.244.1.10:8080"), tcp("n1", vip)],
        )
    });
    v.push(Scenario {
        sysctls: &[("net.ipv4.conf.all.route_localnet", "1")],
        ..scenario("NodePort on localhost", recorded("nodeport", "1"), vec![tcp("n1", "127.0.0.1:30080")])
    });
    v
}

// The real kernel.

const SERVER: &str = r#"
import selectors, socket, sys
sel = selectors.DefaultSelector()
for p in (8080, 9090):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", p)); s.listen(16); sel.register(s, 1, "t")
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", 53)); sel.register(u, 1, "u")
print("up", flush=True)
while True:
    for k, _ in sel.select():
        if k.data == "t":
            c, a = k.fileobj.accept()
            c.send(("%s sees %s" % (sys.argv[1], a[0])).encode()); c.close()
        else:
            d, a = u.recvfrom(100); u.sendto(("%s sees %s" % (sys.argv[1], a[0])).encode(), a)
"#;

const CLIENT: &str = r#"
import errno, socket, sys
kind, host, port, sport = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(0.7)
try:
    if sport: s.bind(("0.0.0.0", sport))
    s.connect((host, port))
    if kind == "udp":
        s.send(b"q"); print(s.recv(100).decode())
    else:
        r = b""
        while True:
            b = s.recv(100)
            if not b: break
            r += b
        print(r.decode())
except socket.timeout: print("timeout")
except OSError as e: print(errno.errorcode[e.errno])
"#;

struct Real {
    prefix: String,
    servers: Vec<Child>,
}

fn sh(script: &str) -> String {
    let out = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(out.status.success(), "{script}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

impl Real {
    fn new(s: &Scenario, n: usize) -> Real {
        let prefix = format!("kpar{}x{n}", std::process::id());
        let mut r = Real { prefix, servers: Vec::new() };
        let ns = |h: &str| format!("{}-{h}", r.prefix);
        let mut b = String::new();
        let lan = ns("lan");
        b.push_str(&format!(
            "ip netns add {lan}; ip -n {lan} link add br0 type bridge mcast_snooping 0; ip -n {lan} link set br0 up\n"
        ));
        b.push_str(&format!("ip netns exec {lan} sysctl -qw net.bridge.bridge-nf-call-iptables=0\n"));
        for (h, a) in NODES.map(|(h, a, _)| (h, a)).into_iter().chain([OUTSIDE]) {
            let node = ns(h);
            b.push_str(&format!(
                "ip netns add {node}; ip -n {node} link set lo up
                 ip -n {node} link add eth0 type veth peer name {h} netns {lan}
                 ip -n {lan} link set {h} master br0 up
                 ip -n {node} addr add {a}/24 dev eth0; ip -n {node} link set eth0 up\n"
            ));
        }
        for (h, _, gw) in NODES {
            let node = ns(h);
            b.push_str(&format!(
                "ip -n {node} link add cni0 type bridge mcast_snooping 0; ip -n {node} addr add {gw}/24 dev cni0
                 ip -n {node} link set cni0 up; ip -n {node} route add default via {}
                 ip netns exec {node} sysctl -qw net.ipv4.ip_forward=1\n",
                OUTSIDE.1
            ));
        }
        b.push_str(&format!("ip -n {} route add 10.244.1.0/24 via 192.168.0.12\n", ns("n1")));
        b.push_str(&format!("ip -n {} route add 10.244.0.0/24 via 192.168.0.11\n", ns("n2")));
        b.push_str(&format!("ip -n {} route add default via 192.168.0.11\n", ns("out")));
        for (p, a, n) in PODS {
            let (pod, node) = (ns(p), ns(n));
            let gw = NODES.iter().find(|x| x.0 == n).unwrap().2;
            let hairpin = if s.hairpin { "on" } else { "off" };
            b.push_str(&format!(
                "ip netns add {pod}; ip -n {pod} link set lo up
                 ip -n {pod} link add eth0 type veth peer name v{p} netns {node}
                 ip -n {node} link set v{p} master cni0 up
                 ip -n {node} link set v{p} type bridge_slave hairpin {hairpin}
                 ip -n {pod} addr add {a}/24 dev eth0; ip -n {pod} link set eth0 up
                 ip -n {pod} route add default via {gw}\n"
            ));
        }
        for (k, v) in s.sysctls {
            b.push_str(&format!("ip netns exec {} sysctl -qw {k}={v}\n", ns("n1")));
        }
        if !s.rules.is_empty() {
            b.push_str(&format!(
                "ip netns exec {} iptables-restore --counters <<'RULES'\n{}RULES\n",
                ns("n1"),
                s.rules
            ));
        }
        let names: Vec<(&str, String)> = hosts().into_iter().map(|h| (h, ns(h))).collect();
        sh(&b);
        for (h, n) in names {
            let mut c = Command::new("ip")
                .args(["netns", "exec", &n, "python3", "-c", SERVER, h])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut first = [0; 3];
            std::io::Read::read_exact(c.stdout.as_mut().unwrap(), &mut first).unwrap();
            r.servers.push(c);
        }
        r
    }

    fn run(&self, f: &Flow) -> String {
        let dst: SocketAddr = f.dst.parse().unwrap();
        let ns = format!("{}-{}", self.prefix, f.from);
        let kind = if f.udp { "udp" } else { "tcp" };
        let out = Command::new("ip")
            .args(["netns", "exec", &ns, "python3", "-c", CLIENT, kind])
            .args([dst.ip().to_string(), dst.port().to_string(), f.sport.to_string()])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).trim().to_string()
    }

    fn exec(&self, cmd: &str) -> String {
        sh(&format!("ip netns exec {}-n1 {cmd} 2>/dev/null", self.prefix))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for c in &mut self.servers {
            let _ = c.kill();
            let _ = c.wait();
        }
        for h in hosts().into_iter().chain(["lan"]) {
            let _ = Command::new("ip").args(["netns", "del", &format!("{}-{h}", self.prefix)]).output();
        }
    }
}

fn hosts() -> Vec<&'static str> {
    PODS.iter().map(|p| p.0).chain(NODES.iter().map(|n| n.0)).chain([OUTSIDE.0]).collect()
}

// The model.

struct Model {
    net: Net,
    ns: BTreeMap<&'static str, NsId>,
    listeners: Vec<(&'static str, SocketId)>,
    datagrams: Vec<(&'static str, SocketId)>,
}

impl Model {
    fn new(s: &Scenario) -> Model {
        let mut net = Net::new(Seed(42).stream("parity"));
        let lan = net.add_segment("lan", Duration::from_micros(50));
        let mut ns = BTreeMap::new();
        let addr = |net: &mut Net, n: NsId, dev: IfIndex, a: &str| {
            net.add_addr(n, dev, a.parse().unwrap()).unwrap();
            net.set_up(n, dev, true).unwrap();
        };
        let route = |net: &mut Net, n: NsId, dst: &str, via: &str| {
            let via: IpAddr = via.parse().unwrap();
            let dev = net.device_towards(n, via).unwrap();
            net.add_route(n, Route::via(dst.parse::<Cidr>().unwrap(), via, dev)).unwrap();
        };
        for h in hosts() {
            let n = net.add_namespace(h).unwrap();
            net.set_up(n, Net::LO, true).unwrap();
            ns.insert(h, n);
        }
        for (h, a) in NODES.map(|(h, a, _)| (h, a)).into_iter().chain([OUTSIDE]) {
            let eth = net.add_eth(ns[h], "eth0", lan).unwrap();
            addr(&mut net, ns[h], eth, &format!("{a}/24"));
        }
        for (h, _, gw) in NODES {
            let cni = net.add_bridge(ns[h], "cni0").unwrap();
            addr(&mut net, ns[h], cni, &format!("{gw}/24"));
            route(&mut net, ns[h], "0.0.0.0/0", OUTSIDE.1);
            net.sysctl_set(ns[h], "net.ipv4.ip_forward", "1").unwrap();
            net.sysctl_set(ns[h], "net.bridge.bridge-nf-call-iptables", "1").unwrap();
        }
        route(&mut net, ns["n1"], "10.244.1.0/24", "192.168.0.12");
        route(&mut net, ns["n2"], "10.244.0.0/24", "192.168.0.11");
        route(&mut net, ns["out"], "0.0.0.0/0", "192.168.0.11");
        for (p, a, n) in PODS {
            let (e, v) = net.add_veth(ns[p], "eth0", ns[n], &format!("v{p}")).unwrap();
            let cni = net.device(ns[n], "cni0").unwrap();
            net.set_master(ns[n], v, Some(cni)).unwrap();
            net.set_hairpin(ns[n], v, s.hairpin).unwrap();
            net.set_up(ns[n], v, true).unwrap();
            addr(&mut net, ns[p], e, &format!("{a}/24"));
            route(&mut net, ns[p], "0.0.0.0/0", NODES.iter().find(|x| x.0 == n).unwrap().2);
        }
        for (k, v) in s.sysctls {
            net.sysctl_set(ns["n1"], k, v).unwrap();
        }
        net.iptables_restore(ns["n1"], &s.rules, false, true).unwrap();
        let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
        for h in hosts() {
            for p in TCP_PORTS {
                let any = SocketAddr::new("0.0.0.0".parse().unwrap(), p);
                listeners.push((h, net.tcp_listen(ns[h], any, 16, 1).unwrap()));
            }
            datagrams.push((
                h,
                net.udp_bind(ns[h], SocketAddr::new("0.0.0.0".parse().unwrap(), UDP_PORT), 1).unwrap(),
            ));
        }
        Model { net, ns, listeners, datagrams }
    }

    fn serve(&mut self) {
        for (h, l) in &self.listeners {
            while let Ok((c, peer)) = self.net.tcp_accept(self.ns[h], *l) {
                self.net.send(self.ns[h], c, format!("{h} sees {}", peer.ip()).as_bytes()).unwrap();
                self.net.close(self.ns[h], c).unwrap();
            }
        }
        for (h, u) in &self.datagrams {
            while let Ok((peer, _)) = self.net.udp_recv_from(self.ns[h], *u) {
                let text = format!("{h} sees {}", peer.ip());
                let _ = self.net.udp_send_to(self.ns[h], *u, peer, text.as_bytes(), Cause::NONE);
            }
        }
    }

    fn run(&mut self, f: &Flow) -> String {
        let (ns, dst) = (self.ns[f.from], f.dst.parse().unwrap());
        let any = SocketAddr::new("0.0.0.0".parse().unwrap(), f.sport);
        let bind = Some(any).filter(|a| a.port() != 0);
        let id = if f.udp {
            let id = self.net.udp_bind(ns, any, 1).unwrap();
            match self.net.udp_connect(ns, id, dst).and_then(|()| self.net.send(ns, id, b"q")) {
                Ok(_) => id,
                Err(e) => return e.name().into(),
            }
        } else {
            match self.net.tcp_connect(ns, dst, ConnectOptions { bind, ..ConnectOptions::default() }) {
                Ok(id) => id,
                Err(e) => return e.name().into(),
            }
        };
        let mut text = Vec::new();
        let mut result = None;
        for _ in 0..700 {
            let to = self.net.now() + Duration::from_millis(1);
            self.net.advance(to);
            self.serve();
            match self.net.recv(ns, id, 100) {
                Ok(b) if b.is_empty() => result = Some(String::from_utf8(text.clone()).unwrap()),
                Ok(b) => {
                    text.extend_from_slice(&b);
                    result = f.udp.then(|| String::from_utf8(text.clone()).unwrap());
                }
                Err(Errno::EAGAIN) => {}
                Err(e) => result = Some(e.name().into()),
            }
            if result.is_some() {
                break;
            }
        }
        self.net.close(ns, id).unwrap();
        let to = self.net.now() + Duration::from_millis(20);
        self.net.advance(to);
        result.unwrap_or_else(|| "timeout".into())
    }
}

/// Rules with their counters, as far as they must be equal.
fn counters(save: &str) -> String {
    let mut out = String::new();
    let mut nat = false;
    for l in save.lines().filter(|l| !l.starts_with('#')) {
        if let Some(t) = l.strip_prefix('*') {
            nat = t == "nat";
        }
        let l = match l.strip_prefix('[').and_then(|r| r.split_once("] ")) {
            Some((k, rule)) => {
                let exact = nat || rule.contains("-j DROP") || rule.contains("-j REJECT");
                let k = if exact {
                    k
                } else if k.starts_with("0:") {
                    "unhit"
                } else {
                    "hit"
                };
                format!("[{k}] {rule}")
            }
            None if l.starts_with(':') && !nat => l.split('[').next().unwrap_or_default().to_string(),
            None => l.to_string(),
        };
        out.push_str(&l);
        out.push('\n');
    }
    out
}

/// Ports that the scenarios name.
const KNOWN: [u32; 11] = [53, 54, 80, 81, 4000, 7000, 7001, 8080, 9090, 30_080, 30_081];

/// Connections without timeouts, TCP states and ports that were chosen at random.
fn connections(list: &str) -> Vec<String> {
    let mut v: Vec<String> = list
        .lines()
        .map(|l| {
            let words = l
                .split_whitespace()
                .enumerate()
                .filter(|(i, w)| *i != 2 && !w.contains('_') && *w != "ESTABLISHED" && *w != "CLOSE");
            let chosen = |p: &u32| !(KNOWN.contains(p) || (1_000..1_010).contains(p));
            let random = |w: &str| {
                w.contains("port=")
                    && w.rsplit('=').next().and_then(|p| p.parse().ok()).is_some_and(|p| chosen(&p))
            };
            words.map(|(_, w)| if random(w) { "port=…" } else { w }).collect::<Vec<_>>().join(" ")
        })
        .collect();
    v.sort();
    v
}

fn first_difference(a: &str, b: &str) -> Option<String> {
    let (x, y): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let n = x.len().max(y.len());
    let diff: Vec<String> = (0..n)
        .filter(|i| x.get(*i) != y.get(*i))
        .map(|i| format!("  kernel {}\n  model  {}", x.get(i).unwrap_or(&""), y.get(i).unwrap_or(&"")))
        .collect();
    (!diff.is_empty()).then(|| diff.join("\n"))
}

#[test]
#[ignore = "needs root and this machine's kernel"]
fn the_model_moves_packets_as_the_kernel_does() {
    let mut bad = Vec::new();
    let (mut flows, mut n) = (0, 0);
    for s in scenarios() {
        n += 1;
        let real = Real::new(&s, n);
        let mut model = Model::new(&s);
        for f in &s.flows {
            flows += 1;
            let (a, b) = (real.run(f), model.run(f));
            let kind = if f.udp { "udp" } else { "tcp" };
            if a != b {
                bad.push(format!("{}: {} {kind} to {}: kernel {a:?}, model {b:?}", s.name, f.from, f.dst));
            }
        }
        let node = model.ns["n1"];
        let (a, b) = (real.exec("iptables-save -c"), model.net.iptables_save_with(node, None, true, ""));
        if let Some(d) = first_difference(&counters(&a), &counters(&b)) {
            bad.push(format!("{}: counters\n{d}", s.name));
        }
        let (a, b) = (real.exec("conntrack -L"), model.net.conntrack_list(node, &CtFilter::default()));
        if let Some(d) = first_difference(&connections(&a).join("\n"), &connections(&b).join("\n")) {
            bad.push(format!("{}: connections\n{d}", s.name));
        }
    }
    assert!(bad.is_empty(), "{n} scenarios, {flows} flows:\n{}", bad.join("\n"));
    println!("{n} scenarios, {flows} flows: equal");
}
