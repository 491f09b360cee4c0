//! How long a connection with a request and a response takes: `cargo run --release -p net --example bench`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use net::{Cidr, ConnectOptions, Net, NsId, Route};
use sim::Duration;

fn pod(net: &mut Net, node: NsId, i: u8) -> NsId {
    let ns = net.add_namespace(&format!("pod-{i}")).unwrap();
    net.set_up(ns, Net::LO, true).unwrap();
    let (e, v) = net.add_veth(ns, "eth0", node, &format!("veth{i}")).unwrap();
    let bridge = net.device(node, "cni0").unwrap();
    net.set_master(node, v, Some(bridge)).unwrap();
    net.set_up(node, v, true).unwrap();
    net.add_addr(ns, e, format!("10.244.0.{}/24", 10 + i).parse().unwrap()).unwrap();
    net.set_up(ns, e, true).unwrap();
    net.add_route(ns, Route::via(Cidr::ANY4, "10.244.0.1".parse().unwrap(), e)).unwrap();
    ns
}

fn main() {
    let mut net = Net::new(sim::Seed(1).stream("net"));
    let node = net.add_namespace("node").unwrap();
    let b = net.add_bridge(node, "cni0").unwrap();
    net.add_addr(node, b, "10.244.0.1/24".parse().unwrap()).unwrap();
    net.set_up(node, b, true).unwrap();
    net.sysctl_set(node, "net.ipv4.ip_forward", "1").unwrap();
    net.sysctl_set(node, "net.bridge.bridge-nf-call-iptables", "1").unwrap();
    let (client, server) = (pod(&mut net, node, 0), pod(&mut net, node, 1));
    let rules = include_str!("../testdata/kube-proxy/typical-cluster/iptables-save.txt");
    net.iptables_restore(node, rules, false, false).unwrap();
    let l =
        "-t nat -A KUBE-SERVICES -d 10.96.0.99 -p tcp --dport 80 -j DNAT --to-destination 10.244.0.11:8080";
    let o = net.iptables(node, &l.split(' ').collect::<Vec<_>>());
    assert_eq!(o.code, 0, "{}", o.stderr);
    let l = net.tcp_listen(server, "0.0.0.0:8080".parse().unwrap(), 1000, 1).unwrap();
    let n = std::env::args().nth(1).map_or(10_000u32, |a| a.parse().unwrap());
    let start = std::time::Instant::now();
    let run = |net: &mut Net| {
        let to = net.now() + Duration::from_micros(200);
        net.advance(to);
    };
    for _ in 0..n {
        let c = net.tcp_connect(client, "10.96.0.99:80".parse().unwrap(), ConnectOptions::default()).unwrap();
        run(&mut net);
        let (s, _) = net.tcp_accept(server, l).unwrap();
        net.send(client, c, b"GET / HTTP/1.1\r\nHost: kubia\r\n\r\n").unwrap();
        run(&mut net);
        net.recv(server, s, 1000).unwrap();
        net.send(server, s, &[b'x'; 300]).unwrap();
        run(&mut net);
        assert_eq!(net.recv(client, c, 1000).unwrap().len(), 300);
        net.close(client, c).unwrap();
        run(&mut net);
        net.close(server, s).unwrap();
        run(&mut net);
        net.take_ready();
    }
    let each = start.elapsed() / n;
    println!("connection with request and response: {each:?}");
    let start = std::time::Instant::now();
    let mut keep = Vec::new();
    for _ in 0..100 {
        keep.push(net.clone());
        let c = net.tcp_connect(client, "10.96.0.99:80".parse().unwrap(), ConnectOptions::default()).unwrap();
        run(&mut net);
        net.close(client, c).unwrap();
        run(&mut net);
    }
    println!("checkpoint, connect and close: {:?}", start.elapsed() / 100);
}
