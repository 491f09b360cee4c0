//! Packets through small topologies; each test says what a real kernel does with the same configuration.

use crate::*;
use core::net::{IpAddr, SocketAddr};
use expect_test::expect;
use sim::{Cause, Duration, Instant, Seed};

pub(crate) fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn at(s: &str) -> SocketAddr {
    s.parse().unwrap()
}

fn cidr(s: &str) -> Cidr {
    s.parse().unwrap()
}

/// A net with helpers.
struct T {
    net: Net,
}

impl T {
    fn new() -> T {
        T { net: Net::new(Seed(7).stream("net")) }
    }

    fn host(&mut self, name: &str) -> NsId {
        let ns = self.net.add_namespace(name).unwrap();
        self.net.set_up(ns, Net::LO, true).unwrap();
        ns
    }

    fn addr(&mut self, ns: NsId, dev: IfIndex, c: &str) {
        self.net.add_addr_brd(ns, dev, cidr(c)).unwrap();
        self.net.set_up(ns, dev, true).unwrap();
    }

    fn route(&mut self, ns: NsId, dst: &str, via: &str) {
        let via = ip(via);
        let dev = self.net.device_towards(ns, via).unwrap();
        self.net.add_route(ns, Route::via(cidr(dst), via, dev)).unwrap();
    }

    fn run(&mut self, ms: u64) {
        let to = self.net.now() + Duration::from_millis(ms);
        self.net.advance(to);
    }

    fn ipt(&mut self, ns: NsId, line: &str) {
        let o = self.net.iptables(ns, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(o.code, 0, "{line}: {}", o.stderr);
    }

    /// Connects, and after `ms` gives how it went.
    fn connect(&mut self, ns: NsId, dst: &str, ms: u64) -> (SocketId, SocketStatus) {
        let id = self.net.tcp_connect(ns, at(dst), ConnectOptions::default()).unwrap();
        self.run(ms);
        (id, self.net.socket_status(ns, id).unwrap())
    }

    fn listen(&mut self, ns: NsId, addr: &str) -> SocketId {
        self.net.tcp_listen(ns, at(addr), 16, 1).unwrap()
    }

    /// The address from which the listener's next connection comes.
    fn peer(&mut self, ns: NsId, listener: SocketId) -> IpAddr {
        self.net.tcp_accept(ns, listener).unwrap().1.ip()
    }

    fn ping(&mut self, ns: NsId, dst: &str, ms: u64) -> Result<PingReply, Errno> {
        let id = self.net.ping_open(ns, 1).unwrap();
        self.net.ping(ns, id, ip(dst), 1, 56, Cause::NONE).unwrap();
        self.run(ms);
        self.net.ping_recv(ns, id)
    }
}

/// A cluster as a CNI bridge plugin makes it: nodes on a segment, pods behind `cni0`.
struct Cluster {
    t: T,
    nodes: Vec<NsId>,
    /// `pods[node][pod]`, at 10.244.node.10 and up.
    pods: Vec<Vec<NsId>>,
}

impl Cluster {
    fn new(nodes: usize, pods: usize) -> Cluster {
        let mut t = T::new();
        let lan = t.net.add_segment("lan", Duration::from_micros(200));
        let mut c = Cluster { t: T::new(), nodes: Vec::new(), pods: Vec::new() };
        for n in 0..nodes {
            let node = t.host(&format!("node-{}", n + 1));
            let eth = t.net.add_eth(node, "eth0", lan).unwrap();
            t.addr(node, eth, &format!("192.168.0.{}/24", 11 + n));
            t.net.add_route(node, Route::via(Cidr::ANY4, ip("192.168.0.1"), eth)).unwrap();
            let cni = t.net.add_bridge(node, "cni0").unwrap();
            t.addr(node, cni, &format!("10.244.{n}.1/24"));
            t.net.sysctl_set(node, "net.ipv4.ip_forward", "1").unwrap();
            t.net.sysctl_set(node, "net.bridge.bridge-nf-call-iptables", "1").unwrap();
            let mut list = Vec::new();
            for p in 0..pods {
                let pod = t.host(&format!("pod-{}-{p}", n + 1));
                let (e, v) = t.net.add_veth(pod, "eth0", node, &format!("veth{n}{p}")).unwrap();
                t.net.set_master(node, v, Some(cni)).unwrap();
                t.net.set_hairpin(node, v, true).unwrap();
                t.net.set_up(node, v, true).unwrap();
                t.addr(pod, e, &format!("10.244.{n}.{}/24", 10 + p));
                t.route(pod, "0.0.0.0/0", &format!("10.244.{n}.1"));
                list.push(pod);
            }
            c.nodes.push(node);
            c.pods.push(list);
        }
        for (i, &node) in c.nodes.iter().enumerate() {
            for j in (0..nodes).filter(|j| *j != i) {
                t.route(node, &format!("10.244.{j}.0/24"), &format!("192.168.0.{}", 11 + j));
            }
        }
        c.t = t;
        c
    }

    /// Rules of a ClusterIP 10.96.0.10:80 with these endpoints, in kube-proxy's form, on all nodes.
    fn service(&mut self, endpoints: &[&str]) {
        for node in self.nodes.clone() {
            for l in [
                "-t nat -N KUBE-SERVICES",
                "-t nat -N KUBE-POSTROUTING",
                "-t nat -N KUBE-MARK-MASQ",
                "-t nat -N KUBE-SVC-X",
                "-t nat -A PREROUTING -j KUBE-SERVICES",
                "-t nat -A OUTPUT -j KUBE-SERVICES",
                "-t nat -A POSTROUTING -j KUBE-POSTROUTING",
                "-t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
                "-t nat -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
                "-t nat -A KUBE-POSTROUTING -j MASQUERADE --random-fully",
                "-t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
                "-t nat -A KUBE-SERVICES -d 10.96.0.10 -p tcp --dport 80 -j KUBE-SVC-X",
                "-t nat -A KUBE-SVC-X -d 10.96.0.10 -p tcp --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ",
            ] {
                self.t.ipt(node, l);
            }
            for (i, e) in endpoints.iter().enumerate() {
                let sep = format!("KUBE-SEP-{i}");
                self.t.ipt(node, &format!("-t nat -N {sep}"));
                let left = endpoints.len() - i;
                let p = 1.0 / left as f64;
                let stat = format!("-m statistic --mode random --probability {p:.10} ");
                let stat = if left > 1 { stat } else { String::new() };
                self.t.ipt(node, &format!("-t nat -A KUBE-SVC-X {stat}-j {sep}"));
                let addr = e.split(':').next().unwrap();
                self.t.ipt(node, &format!("-t nat -A {sep} -s {addr} -j KUBE-MARK-MASQ"));
                self.t.ipt(node, &format!("-t nat -A {sep} -p tcp -j DNAT --to-destination {e}"));
            }
        }
    }
}

#[test]
fn ping_over_a_veth_pair() {
    let mut t = T::new();
    let (a, b) = (t.host("a"), t.host("b"));
    let (x, y) = t.net.add_veth(a, "eth0", b, "eth0").unwrap();
    t.addr(a, x, "10.0.0.1/24");
    t.addr(b, y, "10.0.0.2/24");
    assert!(matches!(t.ping(a, "10.0.0.2", 5), Ok(PingReply::Echo { seq: 1, ttl: 64, bytes: 56, .. })));
    assert!(matches!(t.ping(a, "10.0.0.1", 5), Ok(PingReply::Echo { .. })));
    assert!(matches!(t.ping(a, "127.0.0.1", 5), Ok(PingReply::Echo { .. })));
    assert!(t.net.ip_neigh(a).starts_with("10.0.0.2 dev eth0 lladdr "));
    // Nobody has 10.0.0.3: three questions, one second apart.
    let (_, s) = t.connect(a, "10.0.0.3:80", 2_900);
    assert_eq!(s.error, None);
    let (_, s) = t.connect(a, "10.0.0.4:80", 3_100);
    assert_eq!(s.error, Some(Errno::EHOSTUNREACH));
    assert!(t.net.ip_neigh(a).contains("10.0.0.3 dev eth0 FAILED"));
    assert_eq!(t.net.tcp_connect(a, at("8.8.8.8:80"), ConnectOptions::default()), Err(Errno::ENETUNREACH));
    t.run(300_000);
    assert_eq!(t.net.next_at(), None, "an idle net has nothing to do");
}

#[test]
fn requests_and_answers_over_tcp() {
    let mut c = Cluster::new(2, 1);
    let (client, server) = (c.pods[0][0], c.pods[1][0]);
    let t = &mut c.t;
    let l = t.listen(server, "0.0.0.0:8080");
    let (s, st) = t.connect(client, "10.244.1.10:8080", 10);
    assert_eq!((st.connected, st.state), (true, Some(TcpState::Established)));
    let (a, from) = t.net.tcp_accept(server, l).unwrap();
    assert_eq!(from.ip(), ip("10.244.0.10"));
    assert_eq!(t.net.send(client, s, b"GET / HTTP/1.1\r\n\r\n"), Ok(18));
    t.run(5);
    assert_eq!(&*t.net.recv(server, a, 100).unwrap(), b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(t.net.recv(server, a, 100), Err(Errno::EAGAIN));
    // More than the window: the sender goes on as the reader reads.
    let big: Vec<u8> = (0..500_000u32).map(|i| i as u8).collect();
    let (mut sent, mut got) = (0, Vec::new());
    for _ in 0..200 {
        if sent < big.len() {
            sent += t.net.send(server, a, &big[sent..]).unwrap_or(0);
        }
        t.run(1);
        got.extend_from_slice(&t.net.recv(client, s, 100_000).unwrap_or_default());
    }
    assert!(got == big, "{} of {}", got.len(), big.len());
    t.net.close(server, a).unwrap();
    t.run(5);
    assert_eq!(t.net.recv(client, s, 10).unwrap().len(), 0);
    t.net.close(client, s).unwrap();
    t.run(5);
    let states = |net: &Net, ns| net.sockets(ns).iter().map(|s| s.state).collect::<Vec<_>>();
    assert_eq!((states(&t.net, server), states(&t.net, client)), (vec!["LISTEN", "TIME-WAIT"], vec![]));
    t.run(61_000);
    assert_eq!(states(&t.net, server), vec!["LISTEN"]);
}

#[test]
fn lost_segments_are_sent_again() {
    let mut c = Cluster::new(2, 1);
    let (client, server) = (c.pods[0][0], c.pods[1][0]);
    let t = &mut c.t;
    let lan = SegmentId(1);
    t.net.change_segment(lan, |s| s.loss_ppm = 200_000).unwrap();
    let l = t.listen(server, "0.0.0.0:8080");
    let s = t.net.tcp_connect(client, at("10.244.1.10:8080"), ConnectOptions::default()).unwrap();
    t.run(30_000);
    let (a, _) = t.net.tcp_accept(server, l).unwrap();
    let data: Vec<u8> = (0..40_000u32).map(|i| (i / 7) as u8).collect();
    assert_eq!(t.net.send(client, s, &data), Ok(40_000));
    t.run(120_000);
    assert!(*t.net.recv(server, a, 100_000).unwrap() == data[..]);
}

#[test]
fn unanswered_syn_times_out_after_its_retries() {
    let mut c = Cluster::new(2, 1);
    let (client, node) = (c.pods[0][0], c.nodes[1]);
    let t = &mut c.t;
    t.ipt(node, "-P FORWARD DROP");
    let s = t.net.tcp_connect(client, at("10.244.1.10:80"), ConnectOptions::default()).unwrap();
    t.run(126_000);
    assert_eq!(t.net.socket_status(client, s).unwrap().error, None);
    t.run(2_000);
    assert_eq!(t.net.socket_status(client, s).unwrap().error, Some(Errno::ETIMEDOUT));
    // SYN at 0, 1, 3, 7, 15, 31 and 63 s.
    assert!(t.net.iptables(node, &["-nvL", "FORWARD"]).stdout.contains("policy DROP 7 packets, 420 bytes"));
    let drop = t.net.traces().find_map(|p| p.drop).unwrap();
    assert_eq!(drop.to_string(), "policy DROP of FORWARD in table filter");
}

#[test]
fn service_address_is_translated_and_back() {
    let mut c = Cluster::new(2, 2);
    c.service(&["10.244.1.10:8080"]);
    let (client, server) = (c.pods[0][0], c.pods[1][0]);
    let t = &mut c.t;
    let l = t.listen(server, "0.0.0.0:8080");
    let (s, st) = t.connect(client, "10.96.0.10:80", 10);
    assert!(st.connected);
    assert_eq!(t.peer(server, l), ip("10.244.0.10"));
    let flow = t.net.socket_flow(client, s).unwrap();
    let list = t.net.conntrack_list(NsId(1), &CtFilter::default());
    let port = t.net.socket_addrs(client, s).unwrap().0.port();
    assert_eq!(
        list,
        format!(
            "tcp      6 431999 ESTABLISHED src=10.244.0.10 dst=10.96.0.10 sport={port} dport=80 src=10.244.1.10 \
             dst=10.244.0.10 sport=8080 dport={port} [ASSURED] mark=0 use=1\n"
        )
    );
    let traces = t.net.flow_traces(flow);
    assert_eq!(traces.len(), 2);
    let text =
        traces[0].to_string().replace(&port.to_string(), "PORT").replace(&traces[0].hops[2].text, "NEIGH");
    let text: String =
        text.lines().map(|l| l.split_once("µs  ").map_or(l, |(_, l)| l).to_string() + "\n").collect();
    let text = mask_macs(&text);
    expect![[r#"
        packet 1 of flow 1 (forward): IP 10.244.0.10.PORT > 10.96.0.10.80: Flags [S], seq 1702188574, win 64240, options [mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 7], length 0
        pod-1-0                        sent by a socket
        pod-1-0        eth0            route 10.96.0.10 via 10.244.0.1 dev eth0 (by default)
        pod-1-0                        NEIGH
        pod-1-0                        neighbour 10.244.0.1 is at MAC
        pod-1-0        eth0            leaves by eth0
        node-1         veth00          arrives by veth00
        node-1         PREROUTING      conntrack NEW src=10.244.0.10 dst=10.96.0.10 sport=PORT dport=80
        node-1         PREROUTING      nat PREROUTING rule 1: -j KUBE-SERVICES
        node-1         PREROUTING      nat KUBE-SERVICES rule 1: -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-X
        node-1         PREROUTING      nat KUBE-SVC-X rule 2: -j KUBE-SEP-0
        node-1         PREROUTING      nat KUBE-SEP-0 rule 2: -p tcp -j DNAT --to-destination 10.244.1.10:8080
        node-1         PREROUTING      rewrites the destination 10.96.0.10:80 to 10.244.1.10:8080
        node-1         cni0            bridge cni0 hands it to this host
        node-1         eth0            route 10.244.1.10 via 192.168.0.12 dev eth0 (by 10.244.1.0/24)
        node-1         POSTROUTING     nat POSTROUTING rule 1: -j KUBE-POSTROUTING
        node-1         POSTROUTING     nat KUBE-POSTROUTING rule 1: -m mark ! --mark 0x4000/0x4000 -j RETURN
        node-1                         neighbour 192.168.0.12 is unknown: asks by ARP and waits
        node-1                         neighbour 192.168.0.12 is at MAC
        node-1         eth0            leaves by eth0
        lan                            crosses network lan in 200 µs
        node-2         eth0            arrives by eth0
        node-2         PREROUTING      conntrack NEW src=10.244.0.10 dst=10.244.1.10 sport=PORT dport=8080
        node-2         PREROUTING      nat PREROUTING rule 1: -j KUBE-SERVICES
        node-2         cni0            route 10.244.1.10 dev cni0 (by 10.244.1.0/24)
        node-2         POSTROUTING     nat POSTROUTING rule 1: -j KUBE-POSTROUTING
        node-2         POSTROUTING     nat KUBE-POSTROUTING rule 1: -m mark ! --mark 0x4000/0x4000 -j RETURN
        node-2                         neighbour 10.244.1.10 is unknown: asks by ARP and waits
        node-2                         neighbour 10.244.1.10 is at MAC
        node-2         cni0            leaves by cni0
        node-2         cni0            bridge cni0 forwards it to port veth10
        node-2         veth10          leaves by veth10
        pod-2-0        eth0            arrives by eth0
        pod-2-0        eth0            10.244.1.10 is local to eth0
        pod-2-0                        delivered to TCP listener 10.244.1.10:8080
    "#]]
    .assert_eq(&text);
    assert!(traces[1].reply && traces[1].delivered);
    assert!(traces[1].to_string().contains("rewrites the source 10.244.1.10:8080 to 10.96.0.10:80"));
}

fn mask_macs(s: &str) -> String {
    let mut out = Vec::new();
    for w in s.split(' ') {
        let (word, tail) = w.split_once('\n').map_or((w, None), |(a, b)| (a, Some(b)));
        let word = if word.parse::<MacAddr>().is_ok() { "MAC" } else { word };
        out.push(tail.map_or(word.to_string(), |t| format!("{word}\n{t}")));
    }
    out.join(" ")
}

#[test]
fn services_from_a_node_from_the_same_node_and_from_the_endpoint_itself() {
    let mut c = Cluster::new(2, 2);
    c.service(&["10.244.0.10:8080"]);
    let (a, b, far) = (c.pods[0][0], c.pods[0][1], c.pods[1][0]);
    let (n1, n2) = (c.nodes[0], c.nodes[1]);
    let t = &mut c.t;
    let l = t.listen(a, "0.0.0.0:8080");
    // Same node: the frame stays on the bridge, and br_netfilter translates the answer back.
    assert!(t.connect(b, "10.96.0.10:80", 10).1.connected);
    assert_eq!(t.peer(a, l), ip("10.244.0.11"));
    // Itself: masqueraded, or it would see its own address.
    assert!(t.connect(a, "10.96.0.10:80", 10).1.connected);
    assert_eq!(t.peer(a, l), ip("10.244.0.1"));
    // From the node itself and from another node: OUTPUT translates, and the source is masqueraded.
    assert!(t.connect(n1, "10.96.0.10:80", 10).1.connected);
    assert_eq!(t.peer(a, l), ip("10.244.0.1"));
    assert!(t.connect(n2, "10.96.0.10:80", 10).1.connected);
    assert_eq!(t.peer(a, l), ip("192.168.0.12"));
    assert!(t.connect(far, "10.96.0.10:80", 10).1.connected);
    assert_eq!(t.peer(a, l), ip("10.244.1.10"));
}

#[test]
fn without_br_netfilter_answers_on_the_same_node_are_lost() {
    let mut c = Cluster::new(1, 2);
    c.service(&["10.244.0.10:8080"]);
    let (a, b, node) = (c.pods[0][0], c.pods[0][1], c.nodes[0]);
    let t = &mut c.t;
    t.net.sysctl_set(node, "net.bridge.bridge-nf-call-iptables", "0").unwrap();
    t.listen(a, "0.0.0.0:8080");
    let (_, st) = t.connect(b, "10.96.0.10:80", 900);
    assert_eq!((st.connected, st.error), (false, None));
    // The answer came from an address that the client never asked: it was reset.
    assert!(t.net.traces().any(|p| p.reply && p.drop == Some(DropCause::NoSocket)));
}

#[test]
fn hairpin_needs_hairpin_mode() {
    let mut c = Cluster::new(1, 1);
    c.service(&["10.244.0.10:8080"]);
    let (a, node) = (c.pods[0][0], c.nodes[0]);
    let t = &mut c.t;
    let port = t.net.device(node, "veth00").unwrap();
    t.net.set_hairpin(node, port, false).unwrap();
    t.listen(a, "0.0.0.0:8080");
    assert!(!t.connect(a, "10.96.0.10:80", 500).1.connected);
}

#[test]
fn masquerade_to_the_outside() {
    let mut c = Cluster::new(1, 2);
    let (node, lan) = (c.nodes[0], SegmentId(1));
    let t = &mut c.t;
    let out = t.host("outside");
    let eth = t.net.add_eth(out, "eth0", lan).unwrap();
    t.addr(out, eth, "192.168.0.200/24");
    t.ipt(node, "-t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE");
    let l = t.listen(out, "0.0.0.0:80");
    for p in &c.pods[0] {
        // The same source port twice: one of the two must change.
        let o = ConnectOptions { bind: Some(at("0.0.0.0:4000")), ..ConnectOptions::default() };
        t.net.tcp_connect(*p, at("192.168.0.200:80"), o).unwrap();
        t.run(10);
    }
    let (_, x) = t.net.tcp_accept(out, l).unwrap();
    let (_, y) = t.net.tcp_accept(out, l).unwrap();
    assert_eq!((x.ip(), y.ip(), x.port()), (ip("192.168.0.11"), ip("192.168.0.11"), 4000));
    assert_ne!(y.port(), 4000);
    // UDP and ICMP take the same way.
    let u = t.net.udp_bind(out, at("0.0.0.0:53"), 0).unwrap();
    let v = t.net.udp_bind(c.pods[0][0], at("0.0.0.0:0"), 0).unwrap();
    t.net.udp_send_to(c.pods[0][0], v, at("192.168.0.200:53"), b"q", Cause::NONE).unwrap();
    t.run(5);
    let (from, data) = t.net.udp_recv_from(out, u).unwrap();
    assert_eq!((from.ip(), &*data), (ip("192.168.0.11"), &b"q"[..]));
    t.net.udp_send_to(out, u, from, b"a", Cause::NONE).unwrap();
    t.run(5);
    assert_eq!(&*t.net.udp_recv_from(c.pods[0][0], v).unwrap().1, b"a");
    assert!(matches!(t.ping(c.pods[0][1], "192.168.0.200", 5), Ok(PingReply::Echo { .. })));
}

#[test]
fn reject_refuses_and_errors_find_their_socket() {
    let mut c = Cluster::new(2, 1);
    let (client, server, node) = (c.pods[0][0], c.pods[1][0], c.nodes[0]);
    let t = &mut c.t;
    t.ipt(node, "-A FORWARD -d 10.96.0.11 -p tcp --dport 80 -j REJECT");
    t.ipt(node, "-A OUTPUT -d 10.96.0.11 -p tcp --dport 80 -j REJECT");
    assert_eq!(t.connect(client, "10.96.0.11:80", 10).1.error, Some(Errno::ECONNREFUSED));
    assert_eq!(t.connect(node, "10.96.0.11:80", 10).1.error, Some(Errno::ECONNREFUSED));
    // Nothing listens: a reset.
    assert_eq!(t.connect(client, "10.244.1.10:81", 10).1.error, Some(Errno::ECONNREFUSED));
    // UDP hears of it at the next call.
    let u = t.net.udp_bind(client, at("0.0.0.0:0"), 0).unwrap();
    t.net.udp_connect(client, u, at("10.244.1.10:53")).unwrap();
    t.net.send(client, u, b"x").unwrap();
    t.run(5);
    assert_eq!(t.net.recv(client, u, 10), Err(Errno::ECONNREFUSED));
    t.ipt(node, "-I FORWARD -d 10.244.1.10 -p tcp -j REJECT --reject-with icmp-admin-prohibited");
    assert_eq!(t.connect(client, "10.244.1.10:80", 10).1.error, Some(Errno::EHOSTUNREACH));
    t.ipt(node, "-I FORWARD -d 10.244.1.10 -p tcp -j REJECT --reject-with tcp-reset");
    assert_eq!(t.connect(client, "10.244.1.10:80", 10).1.error, Some(Errno::ECONNREFUSED));
    // A rule of OUTPUT drops: UDP learns it, TCP keeps trying.
    t.ipt(server, "-A OUTPUT -j DROP");
    let u = t.net.udp_bind(server, at("0.0.0.0:0"), 0).unwrap();
    let r = t.net.udp_send_to(server, u, at("10.244.0.10:53"), b"x", Cause::NONE);
    assert_eq!(r, Err(Errno::EPERM));
}

#[test]
fn statistic_splits_evenly() {
    let mut c = Cluster::new(1, 3);
    c.service(&["10.244.0.10:80", "10.244.0.11:80", "10.244.0.12:80"]);
    let node = c.nodes[0];
    let pods = c.pods[0].clone();
    let t = &mut c.t;
    let l: Vec<SocketId> =
        pods.iter().map(|p| t.net.tcp_listen(*p, at("0.0.0.0:80"), 4096, 1).unwrap()).collect();
    for _ in 0..3_000 {
        let id = t.net.tcp_connect(node, at("10.96.0.10:80"), ConnectOptions::default()).unwrap();
        t.run(1);
        t.net.close(node, id).unwrap();
        t.run(1);
        for (p, l) in pods.iter().zip(&l) {
            while let Ok((a, _)) = t.net.tcp_accept(*p, *l) {
                t.net.close(*p, a).unwrap();
            }
        }
    }
    let s = t.net.iptables(node, &["-t", "nat", "-vxS", "KUBE-SVC-X"]).stdout;
    let hits: Vec<u64> = s
        .lines()
        .filter(|l| l.contains("-j KUBE-SEP"))
        .map(|l| {
            let w: Vec<&str> = l.split(' ').collect();
            let i = w.iter().position(|w| *w == "-c").unwrap();
            w[i + 1].parse().unwrap()
        })
        .collect();
    assert_eq!(hits.iter().sum::<u64>(), 3_000);
    assert!(hits.iter().all(|h| (900..1_100).contains(h)), "{hits:?}");
}

#[test]
fn tunnel_carries_frames_in_udp() {
    let mut t = T::new();
    let lan = t.net.add_segment("lan", Duration::from_micros(200));
    let nodes: Vec<NsId> = (1..=2u8)
        .map(|i| {
            let n = t.host(&format!("node-{i}"));
            let e = t.net.add_eth(n, "eth0", lan).unwrap();
            t.addr(n, e, &format!("192.168.0.{i}/24"));
            n
        })
        .collect();
    let mut macs = Vec::new();
    for (i, n) in nodes.iter().enumerate() {
        let v =
            t.net.add_vxlan(*n, "flannel.1", 1, Some(ip(&format!("192.168.0.{}", i + 1))), false).unwrap();
        t.addr(*n, v, &format!("10.244.{i}.0/32"));
        macs.push(t.net.devices(*n).iter().find(|d| d.index == v).unwrap().mac);
    }
    for (i, n) in nodes.iter().enumerate() {
        let (o, v) = (1 - i, t.net.device(*n, "flannel.1").unwrap());
        let gw = ip(&format!("10.244.{o}.0"));
        t.net.vxlan_fdb(*n, v, macs[o], ip(&format!("192.168.0.{}", o + 1)), true).unwrap();
        t.net.add_neigh(*n, v, gw, macs[o]).unwrap();
        let r = Route { onlink: true, ..Route::via(cidr(&format!("10.244.{o}.0/24")), gw, v) };
        t.net.add_route(*n, r).unwrap();
    }
    let eth = t.net.device(nodes[1], "eth0").unwrap();
    let cap = t.net.capture_start(nodes[1], Some(eth), 100);
    assert!(matches!(t.ping(nodes[0], "10.244.1.0", 20), Ok(PingReply::Echo { .. })));
    let frames = t.net.capture_take(cap);
    let texts: Vec<String> = frames.iter().map(|(_, f)| f.to_string()).collect();
    assert!(
        texts.iter().any(|t| t.contains(
            "8472: VXLAN, flags [I] (0x08), vni 1 | IP 10.244.0.0 > 10.244.1.0: ICMP echo request"
        )),
        "{texts:?}"
    );
    let file = pcap::file(&frames, sim::Epoch::DEFAULT);
    assert_eq!(&file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    // The inner MTU counts for the segment size.
    t.listen(nodes[1], "0.0.0.0:80");
    let (s, _) = t.connect(nodes[0], "10.244.1.0:80", 10);
    t.net.send(nodes[0], s, &[0; 5000]).unwrap();
    t.run(5);
    let longest = t.net.capture_take(cap).iter().map(|(_, f)| f.len()).max();
    assert_eq!(longest, Some(1514));
}

#[test]
fn hosts_that_are_cut_off_and_devices_that_are_down() {
    let mut c = Cluster::new(2, 1);
    let (n1, n2) = (c.nodes[0], c.nodes[1]);
    let t = &mut c.t;
    assert!(t.ping(n1, "192.168.0.12", 5).is_ok());
    t.net.cut(SegmentId(1), n1, n2, true).unwrap();
    assert_eq!(t.ping(n1, "192.168.0.12", 5), Err(Errno::EAGAIN));
    assert!(t.net.traces().any(|p| p.drop == Some(DropCause::LinkCut("lan".into()))));
    t.net.cut(SegmentId(1), n1, n2, false).unwrap();
    assert!(t.ping(n1, "192.168.0.12", 5).is_ok());
    let eth = t.net.device(n1, "eth0").unwrap();
    t.net.set_up(n1, eth, false).unwrap();
    let id = t.net.ping_open(n1, 1).unwrap();
    assert_eq!(t.net.ping(n1, id, ip("192.168.0.12"), 1, 0, Cause::NONE), Err(Errno::ENETUNREACH));
    assert_eq!(t.net.ip_route(n1), "10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1 \n");
}

#[test]
fn ttl_and_traceroute() {
    let mut c = Cluster::new(2, 1);
    let pod = c.pods[0][0];
    let t = &mut c.t;
    let id = t.net.ping_open(pod, 1).unwrap();
    let mut hops = Vec::new();
    for ttl in 1..=3 {
        t.net.set_ttl(pod, id, ttl).unwrap();
        t.net.ping(pod, id, ip("10.244.1.10"), u16::from(ttl), 8, Cause::NONE).unwrap();
        t.run(10);
        hops.push(match t.net.ping_recv(pod, id).unwrap() {
            PingReply::Echo { from, .. } => format!("{from}"),
            PingReply::Error { from, kind, code, .. } => format!("{from} ({kind}/{code})"),
        });
    }
    assert_eq!(hops, ["10.244.0.1 (11/0)", "192.168.0.12 (11/0)", "10.244.1.10"]);
}

#[test]
fn a_clone_runs_on_alone_and_the_same() {
    let mut c = Cluster::new(2, 1);
    c.service(&["10.244.1.10:8080"]);
    c.t.listen(c.pods[1][0], "0.0.0.0:8080");
    let mut other = T { net: c.t.net.clone() };
    let a = c.t.connect(c.pods[0][0], "10.96.0.10:80", 50);
    assert_eq!(other.net.sockets(c.pods[0][0]).len(), 0);
    let b = other.connect(c.pods[0][0], "10.96.0.10:80", 50);
    assert_eq!(a, b);
    let text = |n: &Net| n.traces().map(|t| t.to_string()).collect::<String>();
    assert_eq!(text(&c.t.net), text(&other.net));
    assert_eq!(c.t.net.now(), Instant::from_millis(50));
    assert_eq!(c.t.net.digest(), other.net.digest());
    other.run(1);
    assert_ne!(c.t.net.digest(), other.net.digest());
}

#[test]
fn a_loop_of_bridges_ends() {
    let mut t = T::new();
    let (a, b) = (t.host("a"), t.host("b"));
    let (x, y) = (t.net.add_bridge(a, "br0").unwrap(), t.net.add_bridge(b, "br0").unwrap());
    for i in 0..3 {
        let (p, q) = t.net.add_veth(a, &format!("p{i}"), b, &format!("q{i}")).unwrap();
        t.net.set_master(a, p, Some(x)).unwrap();
        t.net.set_master(b, q, Some(y)).unwrap();
        t.net.set_up(a, p, true).unwrap();
        t.net.set_up(b, q, true).unwrap();
    }
    t.addr(a, x, "10.0.0.1/24");
    t.addr(b, y, "10.0.0.2/24");
    let _ = t.ping(a, "10.0.0.2", 10);
    let _ = t.ping(a, "10.0.0.3", 10);
}

#[test]
fn a_reused_address_is_found_again() {
    let mut c = Cluster::new(1, 2);
    let (node, old, other) = (c.nodes[0], c.pods[0][0], c.pods[0][1]);
    let t = &mut c.t;
    assert!(t.ping(other, "10.244.0.10", 5).is_ok());
    t.net.remove_namespace(old);
    let pod = t.host("again");
    let (e, v) = t.net.add_veth(pod, "eth0", node, "vethnew").unwrap();
    let cni = t.net.device(node, "cni0").unwrap();
    t.net.set_master(node, v, Some(cni)).unwrap();
    t.net.set_up(node, v, true).unwrap();
    t.addr(pod, e, "10.244.0.10/24");
    // The neighbour still believes the old station; after 30 s it is no longer sure, asks, and learns.
    assert_eq!(t.ping(other, "10.244.0.10", 5), Err(Errno::EAGAIN));
    t.run(30_000);
    let _ = t.ping(other, "10.244.0.10", 10_000);
    assert!(t.ping(other, "10.244.0.10", 5).is_ok());
    // An announcement is faster.
    assert!(t.ping(pod, "10.244.0.11", 5).is_ok());
}

#[test]
fn the_backlog_and_the_ports_are_limited() {
    let mut c = Cluster::new(1, 2);
    let (a, b) = (c.pods[0][0], c.pods[0][1]);
    let t = &mut c.t;
    let l = t.net.tcp_listen(a, at("0.0.0.0:80"), 2, 1).unwrap();
    assert_eq!(t.net.tcp_listen(a, at("10.244.0.10:80"), 2, 1), Err(Errno::EADDRINUSE));
    assert_eq!(t.net.tcp_listen(a, at("10.244.0.99:81"), 2, 1), Err(Errno::EADDRNOTAVAIL));
    let open = |t: &mut T| t.connect(b, "10.244.0.10:80", 5).1.connected;
    assert_eq!([open(t), open(t), open(t), open(t)], [true, true, true, false]);
    assert!(t.net.traces().any(|p| p.drop == Some(DropCause::BacklogFull)));
    assert_eq!(t.net.sockets(a)[0].recv_q, 3);
    // A listener that goes away resets those who wait.
    t.net.close(a, l).unwrap();
    t.run(5);
    let errors = t.net.sockets(b).iter().filter(|s| s.state == "UNCONN").count();
    assert_eq!(errors, 3);
    t.net.sysctl_set(b, "net.ipv4.ip_local_port_range", "40000 40001").unwrap();
    let mut last = Ok(());
    for _ in 0..3 {
        last = t.net.tcp_connect(b, at("10.244.0.10:90"), ConnectOptions::default()).map(|_| ());
    }
    assert_eq!(last, Err(Errno::EADDRNOTAVAIL));
    t.net.close_owner(b, 0);
    t.run(200_000);
    assert_eq!(t.net.sockets(b).len(), 0);
}

#[test]
fn texts_of_iproute2() {
    let mut c = Cluster::new(1, 1);
    let (pod, node) = (c.pods[0][0], c.nodes[0]);
    let t = &mut c.t;
    t.ping(pod, "10.244.0.1", 5).unwrap();
    expect![[r#"
        1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
            link/loopback MAC brd MAC
            inet 127.0.0.1/8 scope host lo
               valid_lft forever preferred_lft forever
        2: eth0@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
            link/ether MAC brd MAC link-netns node-1
            inet 10.244.0.10/24 brd 10.244.0.255 scope global eth0
               valid_lft forever preferred_lft forever
    "#]]
    .assert_eq(&mask_macs(&t.net.ip_addr(pod)));
    assert_eq!(
        t.net.ip_route(pod),
        "default via 10.244.0.1 dev eth0 \n10.244.0.0/24 dev eth0 proto kernel scope link src 10.244.0.10 \n"
    );
    assert_eq!(
        t.net.ip_route_get(pod, ip("8.8.8.8")).unwrap(),
        "8.8.8.8 via 10.244.0.1 dev eth0 src 10.244.0.10 uid 0 \n    cache \n"
    );
    assert_eq!(mask_macs(&t.net.ip_neigh(pod)), "10.244.0.1 dev eth0 lladdr MAC REACHABLE \n");
    assert_eq!(mask_macs(&t.net.bridge_fdb(node)).lines().next(), Some("MAC dev veth00 master cni0 "));
}
