//! Text as iproute2 prints it.

use crate::device::{Device, Kind};
use crate::namespace::{Decision, LO, Namespace};
use crate::neigh::NeighState;
use crate::{Errno, MacAddr, Net};
use core::fmt::Write;
use core::net::IpAddr;
use sim::Instant;

fn flags(d: &Device, net: &Net) -> String {
    let mut f = Vec::new();
    if d.up && !d.carrier {
        f.push("NO-CARRIER");
    }
    match d.kind {
        Kind::Loopback => f.push("LOOPBACK"),
        Kind::Dummy => f.extend(["BROADCAST", "NOARP"]),
        _ => f.extend(["BROADCAST", "MULTICAST"]),
    }
    if d.up {
        f.push("UP");
        if d.carrier {
            f.push("LOWER_UP");
        }
    }
    if let Kind::Veth { peer_ns, peer } = d.kind
        && !net.devices(peer_ns).iter().any(|p| p.index == peer && p.up)
        && !d.up
    {
        f.insert(2, "M-DOWN");
    }
    f.join(",")
}

fn state(d: &Device) -> &'static str {
    match (&d.kind, d.up, d.carrier) {
        (_, false, _) => "DOWN",
        (Kind::Loopback | Kind::Vxlan(_) | Kind::Dummy, ..) => "UNKNOWN",
        (Kind::Veth { .. }, true, false) => "LOWERLAYERDOWN",
        (_, true, false) => "DOWN",
        _ => "UP",
    }
}

/// `ip link`, or `ip addr` with addresses.
pub(crate) fn ip_link(n: &Namespace, net: &Net, addrs: bool) -> String {
    let mut s = String::new();
    for d in n.devices.values() {
        let peer = match &d.kind {
            Kind::Veth { peer, .. } => format!("@if{peer}"),
            _ => String::new(),
        };
        let qdisc = match (&d.kind, d.up) {
            (Kind::Eth { .. }, true) => "fq_codel",
            (_, true) => "noqueue",
            _ => "noop",
        };
        let _ = write!(s, "{}: {}{peer}: <{}> mtu {} qdisc {qdisc} ", d.index, d.name, flags(d, net), d.mtu);
        if let Some(m) = d.master {
            let _ = write!(s, "master {} ", n.dev_name(m));
        }
        let _ = write!(s, "state {} ", state(d));
        s.push_str(if addrs {
            "group default qlen 1000\n"
        } else {
            "mode DEFAULT group default qlen 1000\n"
        });
        let (kind, brd) = match d.kind {
            Kind::Loopback => ("loopback", MacAddr::ZERO),
            _ => ("ether", MacAddr::BROADCAST),
        };
        let _ = write!(s, "    link/{kind} {} brd {brd}", d.mac);
        if let Kind::Veth { peer_ns, .. } = &d.kind
            && let Some(name) = net.namespace_name(*peer_ns).filter(|_| *peer_ns != n.id)
        {
            let _ = write!(s, " link-netns {name}");
        }
        s.push('\n');
        for a in n.addrs.iter().filter(|a| addrs && a.dev == d.index) {
            let _ = write!(s, "    inet {} ", a.cidr);
            if let Some(b) = a.broadcast {
                let _ = write!(s, "brd {b} ");
            }
            let scope = if d.index == LO { "host" } else { "global" };
            let second = if a.secondary { "secondary " } else { "" };
            let _ = writeln!(s, "scope {scope} {second}{}", d.name);
            s.push_str("       valid_lft forever preferred_lft forever\n");
        }
    }
    s
}

/// `ip route`
pub(crate) fn ip_route(n: &Namespace) -> String {
    n.routes.listed().iter().map(|r| r.line(&n.dev_name(r.dev)) + "\n").collect()
}

/// `ip neigh`
pub(crate) fn ip_neigh(n: &Namespace, now: Instant) -> String {
    let mut s = String::new();
    for ((dev, addr), e) in &n.neigh {
        let state = e.state_at(now);
        let _ = write!(s, "{addr} dev {} ", n.dev_name(*dev));
        if !matches!(state, NeighState::Failed | NeighState::Incomplete) {
            let _ = write!(s, "lladdr {} ", e.mac);
        }
        let _ = writeln!(s, "{state} ");
    }
    s
}

/// `ip route get`
pub(crate) fn ip_route_get(n: &Namespace, dst: IpAddr) -> Result<String, Errno> {
    let src = |dev, next, s: Option<IpAddr>| s.or_else(|| n.source(dev, next)).ok_or(Errno::ENETUNREACH);
    Ok(match n.lookup(dst, 0) {
        Decision::Local(_) => format!("local {dst} dev lo src {dst} uid 0 \n    cache <local> \n"),
        Decision::Broadcast(dev) => {
            let a = src(dev, dst, None)?;
            format!("broadcast {dst} dev {} src {a} uid 0 \n    cache <local,brd> \n", n.dev_name(dev))
        }
        Decision::Out { dev, next, src: s, via, .. } => {
            let via = via.map(|v| format!("via {v} ")).unwrap_or_default();
            let a = src(dev, next, s)?;
            format!("{dst} {via}dev {} src {a} uid 0 \n    cache \n", n.dev_name(dev))
        }
        Decision::Fail(e) => return Err(e),
    })
}

/// `bridge fdb`
pub(crate) fn bridge_fdb(n: &Namespace, now: Instant) -> String {
    let mut s = String::new();
    for d in n.devices.values() {
        match &d.kind {
            Kind::Bridge(b) => {
                for (mac, port) in b.iter(now) {
                    let _ = writeln!(s, "{mac} dev {} master {} ", n.dev_name(port), d.name);
                }
                for p in n.devices.values().filter(|p| p.master == Some(d.index)) {
                    let _ = writeln!(s, "{} dev {} master {} permanent", p.mac, p.name, d.name);
                }
            }
            Kind::Vxlan(v) => {
                for (mac, end) in v.iter() {
                    let _ = writeln!(s, "{mac} dev {} dst {end} self permanent", d.name);
                }
            }
            _ => {}
        }
    }
    s
}
