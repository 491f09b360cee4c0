//! The network plugin: a bridge a node, a veth pair a pod, routes between nodes.
//!
//! Models: the CNI `bridge` plugin with `host-local` addresses, and a route controller for the other nodes. It writes
//! interfaces, routes and rules; packets are moved by the kernel model alone.

use net::{Cidr, Errno, Net, NsId, Route, SegmentId};
use sim::persistent::OrdSet;
use smol_str::SmolStr;
use std::net::{IpAddr, Ipv4Addr};

const BRIDGE: &str = "cni0";
/// All pods' network; what leaves it is masqueraded.
const CLUSTER: &str = "10.244.0.0/16";

/// A node's part of the pod network. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Cni {
    ns: NsId,
    /// Network number of the pods, as `10.244.1.0`.
    base: u32,
    used: OrdSet<u32>,
    next: u32,
    veths: u32,
}

fn v4(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(n))
}

/// Makes a host's namespace with its card in the segment, its address and default route.
///
/// # Errors
/// If a name is taken or a limit is reached.
pub fn host(
    net: &mut Net,
    name: &str,
    segment: SegmentId,
    ip: Ipv4Addr,
    gateway: Ipv4Addr,
) -> Result<NsId, Errno> {
    let ns = net.add_namespace(name)?;
    let lo = net.device(ns, "lo")?;
    net.set_up(ns, lo, true)?;
    let eth = net.add_eth(ns, "eth0", segment)?;
    net.set_up(ns, eth, true)?;
    net.add_addr_brd(ns, eth, Cidr::new(ip.into(), 24))?;
    net.add_route(ns, Route::via(Cidr::ANY4, gateway.into(), eth))?;
    Ok(ns)
}

impl Cni {
    /// Prepares a node for pods of a /24 network.
    ///
    /// # Errors
    /// If a device or route cannot be made.
    pub fn new(net: &mut Net, ns: NsId, pod_network: Ipv4Addr) -> Result<Cni, Errno> {
        let base = u32::from(pod_network) & 0xffff_ff00;
        net.sysctl_set(ns, "net.ipv4.ip_forward", "1")?;
        net.sysctl_set(ns, "net.bridge.bridge-nf-call-iptables", "1")?;
        let bridge = net.add_bridge(ns, BRIDGE)?;
        net.add_addr_brd(ns, bridge, Cidr::new(v4(base + 1), 24))?;
        net.set_up(ns, bridge, true)?;
        let pods = format!("{}/24", v4(base));
        net.iptables(
            ns,
            &["-t", "nat", "-A", "POSTROUTING", "-s", &pods, "!", "-d", CLUSTER, "-j", "MASQUERADE"],
        );
        Ok(Cni { ns, base, used: OrdSet::new(), next: 2, veths: 0 })
    }

    /// Adds the way to another node's pods.
    ///
    /// # Errors
    /// If there is no card or the route is there.
    pub fn add_peer(&self, net: &mut Net, pod_network: Ipv4Addr, node: Ipv4Addr) -> Result<(), Errno> {
        let eth = net.device(self.ns, "eth0")?;
        net.replace_route(self.ns, Route::via(Cidr::new(pod_network.into(), 24), node.into(), eth))
    }

    /// Gives a pod its namespace and address.
    ///
    /// # Errors
    /// If no address is free or a limit is reached.
    pub fn add(&mut self, net: &mut Net, name: &str) -> Result<(NsId, IpAddr, SmolStr), Errno> {
        let free = (0..252).map(|i| (self.next - 2 + i) % 252 + 2).find(|n| !self.used.contains(n));
        let n = free.ok_or(Errno::ENOSPC)?;
        let ns = net.add_namespace(name)?;
        let lo = net.device(ns, "lo")?;
        net.set_up(ns, lo, true)?;
        self.veths += 1;
        let veth: SmolStr = format!("veth{:08x}", self.veths.wrapping_mul(0x9e37_79b9) ^ self.base).into();
        let (inside, outside) = net.add_veth(ns, "eth0", self.ns, &veth)?;
        let bridge = net.device(self.ns, BRIDGE)?;
        net.set_master(self.ns, outside, Some(bridge))?;
        net.set_hairpin(self.ns, outside, true)?;
        net.set_up(self.ns, outside, true)?;
        net.add_addr_brd(ns, inside, Cidr::new(v4(self.base + n), 24))?;
        net.set_up(ns, inside, true)?;
        net.add_route(ns, Route::via(Cidr::ANY4, v4(self.base + 1), inside))?;
        self.used.insert(n);
        self.next = if n >= 253 { 2 } else { n + 1 };
        Ok((ns, v4(self.base + n), veth))
    }

    /// Takes a pod's namespace and address back.
    pub fn remove(&mut self, net: &mut Net, ns: NsId, ip: IpAddr) {
        net.remove_namespace(ns);
        if let IpAddr::V4(a) = ip {
            self.used.remove(&(u32::from(a) - self.base));
        }
    }
}
