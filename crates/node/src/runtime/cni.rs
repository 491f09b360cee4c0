//! The network plugin: a bridge with a veth pair for each sandbox, addresses from the node's range, and host ports.
//!
//! Models: the reference plugins `bridge` (as default gateway, hairpin mode), `host-local` (the address after the last one
//! given) and `portmap`. It writes only interfaces, addresses, routes and rules.

use imbl::OrdMap;
use net::{Cidr, Errno, Net, NsId, Route};
use sha2::Digest;
use smol_str::SmolStr;
use std::net::IpAddr;

/// A port of the host that leads to a sandbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortMapping {
    /// Port of the host.
    pub host_port: u16,
    /// Port of the sandbox.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: SmolStr,
    /// Only at this address of the host.
    pub host_ip: Option<IpAddr>,
}

/// The plugin with its address store.
#[derive(Clone, Debug)]
pub struct Cni {
    /// Name of the bridge.
    pub bridge: SmolStr,
    /// The network's name, which port mapping rules show.
    pub network: SmolStr,
    /// The node's range; `None` until the node has been given one: the plugin is not initialized.
    pub range: Option<Cidr>,
    /// Size of the largest packet.
    pub mtu: u32,
    taken: OrdMap<IpAddr, SmolStr>,
    last: u64,
    mapped: OrdMap<SmolStr, (IpAddr, Vec<PortMapping>)>,
}

/// Why a sandbox has no network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CniError(pub String);

impl From<Errno> for CniError {
    fn from(e: Errno) -> Self {
        CniError(e.to_string())
    }
}

impl Cni {
    /// The plugin over a bridge `cni0`.
    pub fn new(range: Option<Cidr>) -> Cni {
        Cni {
            bridge: "cni0".into(),
            network: "cbr0".into(),
            range,
            mtu: 1500,
            taken: OrdMap::new(),
            last: 1,
            mapped: OrdMap::new(),
        }
    }

    /// Addresses in use with the sandboxes that have them.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, &SmolStr)> {
        self.taken.iter().map(|(ip, id)| (*ip, id))
    }

    /// Makes the bridge with the range's first address, if it is not there.
    fn ensure_bridge(&self, net: &mut Net, host: NsId, range: Cidr) -> Result<(), CniError> {
        let gateway = range.nth(1).ok_or_else(|| CniError("no addresses in range".into()))?;
        let dev = match net.device(host, &self.bridge) {
            Ok(d) => d,
            Err(_) => net.add_bridge(host, &self.bridge)?,
        };
        if !net.addrs(host).iter().any(|a| a.dev == dev && a.cidr.addr == gateway) {
            net.add_addr_brd(host, dev, Cidr::new(gateway, range.len))?;
        }
        net.set_up(host, dev, true)?;
        net.sysctl_set(host, "net.ipv4.ip_forward", "1")?;
        Ok(())
    }

    fn allocate(&mut self, range: Cidr, id: &str) -> Result<IpAddr, CniError> {
        let size = 1u64 << (32 - u32::from(range.len.min(32)));
        for _ in 0..size {
            self.last += 1;
            // Network, gateway and broadcast addresses are not given away.
            if self.last + 1 >= size {
                self.last = 2;
            }
            if let Some(ip) = range.nth(self.last).filter(|ip| !self.taken.contains_key(ip)) {
                self.taken.insert(ip, id.into());
                return Ok(ip);
            }
        }
        Err(CniError(format!(
            "failed to allocate for range 0: no IP addresses available in range set: {}-{}",
            at(range, 1),
            at(range, size.saturating_sub(2))
        )))
    }

    /// Wires a sandbox's namespace; gives its address.
    pub fn add(
        &mut self,
        net: &mut Net,
        host: NsId,
        pod: NsId,
        id: &str,
        ports: &[PortMapping],
    ) -> Result<IpAddr, CniError> {
        let Some(range) = self.range else {
            return Err(CniError("cni plugin not initialized".into()));
        };
        self.ensure_bridge(net, host, range)?;
        let ip = self.allocate(range, id)?;
        let r = self.wire(net, host, pod, id, ip, range);
        if let Err(e) = r {
            self.del(net, host, pod, id);
            return Err(e);
        }
        if !ports.is_empty() {
            self.map_ports(net, host, id, ip, ports);
        }
        Ok(ip)
    }

    fn wire(
        &self,
        net: &mut Net,
        host: NsId,
        pod: NsId,
        id: &str,
        ip: IpAddr,
        range: Cidr,
    ) -> Result<(), CniError> {
        let name = format!("veth{}", id.get(..8).unwrap_or(id));
        let (h, c) = net.add_veth(host, &name, pod, "eth0")?;
        let bridge = net.device(host, &self.bridge)?;
        net.set_mtu(host, h, self.mtu)?;
        net.set_mtu(pod, c, self.mtu)?;
        net.set_master(host, h, Some(bridge))?;
        net.set_hairpin(host, h, true)?;
        net.set_up(host, h, true)?;
        net.add_addr_brd(pod, c, Cidr::new(ip, range.len))?;
        net.set_up(pod, c, true)?;
        if let Some(gw) = range.nth(1) {
            net.add_route(pod, Route::via(Cidr::ANY4, gw, c))?;
        }
        Ok(())
    }

    /// Takes a sandbox off the network.
    pub fn del(&mut self, net: &mut Net, host: NsId, pod: NsId, id: &str) {
        self.unmap_ports(net, host, id);
        // The pair goes with either end; it may be gone with its namespace.
        if let Ok(d) = net.device(pod, "eth0") {
            let _ = net.remove_device(pod, d);
        }
        let mine: Vec<IpAddr> = self.taken.iter().filter(|(_, o)| *o == id).map(|(ip, _)| *ip).collect();
        for ip in mine {
            self.taken.remove(&ip);
        }
    }

    // Host ports.

    fn chain(&self, id: &str) -> String {
        let sum = sha2::Sha512::digest(format!("{}{id}", self.network).as_bytes());
        let hex: String = sum.iter().map(|b| format!("{b:02x}")).collect();
        format!("CNI-DN-{}", hex.get(..21).unwrap_or_default())
    }

    fn map_ports(&mut self, net: &mut Net, host: NsId, id: &str, ip: IpAddr, ports: &[PortMapping]) {
        self.mapped.insert(id.into(), (ip, ports.to_vec()));
        let mut run = |line: &str| {
            let args: Vec<&str> = line.split(' ').collect();
            net.iptables(host, &args)
        };
        for chain in ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"] {
            // It may be there already.
            run(&format!("-t nat -N {chain}"));
        }
        for rule in [
            "PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
            "OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
            "POSTROUTING -j CNI-HOSTPORT-MASQ",
            "CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000",
            "CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
        ] {
            if run(&format!("-t nat -C {rule}")).code != 0 {
                run(&format!("-t nat -A {rule}"));
            }
        }
        let chain = self.chain(id);
        run(&format!("-t nat -N {chain}"));
        let len = self.range.map_or(24, |r| r.len);
        for p in ports {
            let proto = &p.protocol;
            let port = p.host_port;
            let dst = p.host_ip.filter(|i| !i.is_unspecified()).map_or(String::new(), |i| format!(" -d {i}"));
            run(&format!(
                "-t nat -A CNI-HOSTPORT-DNAT -p {proto}{dst} -m multiport --dports {port} -j {chain}"
            ));
            for src in [format!("{ip}/{len}"), "127.0.0.1/32".into()] {
                run(&format!(
                    "-t nat -A {chain} -s {src} -p {proto} -m {proto} --dport {port} -j CNI-HOSTPORT-SETMARK"
                ));
            }
            run(&format!(
                "-t nat -A {chain} -p {proto} -m {proto} --dport {port} -j DNAT --to-destination {ip}:{}",
                p.container_port
            ));
        }
    }

    fn unmap_ports(&mut self, net: &mut Net, host: NsId, id: &str) {
        let Some((_, ports)) = self.mapped.remove(id) else { return };
        let chain = self.chain(id);
        for p in ports {
            let dst = p.host_ip.filter(|i| !i.is_unspecified()).map_or(String::new(), |i| format!(" -d {i}"));
            let line = format!(
                "-t nat -D CNI-HOSTPORT-DNAT -p {}{dst} -m multiport --dports {} -j {chain}",
                p.protocol, p.host_port
            );
            net.iptables(host, &line.split(' ').collect::<Vec<_>>());
        }
        for op in ["-F", "-X"] {
            net.iptables(host, &["-t", "nat", op, &chain]);
        }
    }
}

fn at(range: Cidr, n: u64) -> String {
    range.nth(n).map_or_else(String::new, |i| i.to_string())
}
