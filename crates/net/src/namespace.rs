//! A network namespace: devices, addresses, routes, neighbours, netfilter, connections and sockets of one host or pod.
//!
//! This file holds the state and its configuration; what packets do to it is in `stack` and `socket`.

use crate::conntrack::Conntrack;
use crate::device::{Device, Kind};
use crate::neigh::Neighbours;
use crate::netfilter::{IpSet, Netfilter, eval::Recents};
use crate::route::{Protocol, Route, Routes};
use crate::socket::Sockets;
use crate::sysctl::Sysctls;
use crate::{Cidr, Errno, IfIndex, NsId};
use core::net::{IpAddr, Ipv4Addr};
use sim::Limits;
use sim::persistent::{OrdMap, Vector};
use smol_str::SmolStr;
use std::sync::Arc;

/// An address of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct IfAddr {
    /// Device.
    pub dev: IfIndex,
    /// Address and prefix length.
    pub cidr: Cidr,
    /// Broadcast address, if set.
    pub broadcast: Option<IpAddr>,
    /// In a network that the device has another address of.
    pub secondary: bool,
}

/// A namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub id: NsId,
    pub name: SmolStr,
    pub devices: OrdMap<IfIndex, Arc<Device>>,
    pub next_if: IfIndex,
    pub addrs: Vector<IfAddr>,
    /// The local table: addresses of this namespace and the device that has them.
    pub local: OrdMap<IpAddr, IfIndex>,
    pub broadcast: OrdMap<IpAddr, IfIndex>,
    pub routes: Routes,
    pub neigh: Neighbours,
    pub sysctl: Sysctls,
    pub nf: Netfilter,
    pub sets: OrdMap<SmolStr, Arc<IpSet>>,
    pub recents: Recents,
    pub ct: Conntrack,
    pub sockets: Sockets,
    /// Hosts that got ICMP errors not long ago.
    pub peers: OrdMap<IpAddr, crate::stack::Peer>,
    pub ident: u16,
}

/// Loopback's number in every namespace.
pub(crate) const LO: IfIndex = 1;

/// Where a packet for some address goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// To this namespace.
    Local(IfIndex),
    /// To all on a device's link.
    Broadcast(IfIndex),
    /// Out of a device, to a neighbour.
    Out { dev: IfIndex, next: IpAddr, src: Option<IpAddr>, route: Cidr, via: Option<IpAddr> },
    /// Nowhere.
    Fail(Errno),
}

impl Namespace {
    pub fn new(id: NsId, name: &str) -> Namespace {
        let mut ns = Namespace {
            id,
            name: name.into(),
            devices: OrdMap::new(),
            next_if: LO,
            addrs: Vector::new(),
            local: OrdMap::new(),
            broadcast: OrdMap::new(),
            routes: Routes::default(),
            neigh: OrdMap::new(),
            sysctl: Sysctls::default(),
            nf: Netfilter::default(),
            sets: OrdMap::new(),
            recents: OrdMap::new(),
            ct: Conntrack::default(),
            sockets: Sockets::default(),
            peers: OrdMap::new(),
            ident: 0,
        };
        let lo = Device::new(LO, "lo", Kind::Loopback, crate::MacAddr::ZERO, 65_536);
        ns.devices.insert(LO, Arc::new(lo));
        ns.next_if = LO + 1;
        ns
    }

    pub fn dev(&self, i: IfIndex) -> Option<&Device> {
        self.devices.get(&i).map(|d| &**d)
    }

    pub fn dev_mut(&mut self, i: IfIndex) -> Option<&mut Device> {
        self.devices.get_mut(&i).map(Arc::make_mut)
    }

    pub fn dev_name(&self, i: IfIndex) -> SmolStr {
        self.dev(i).map(|d| d.name.clone()).unwrap_or_default()
    }

    pub fn find_dev(&self, name: &str) -> Result<IfIndex, Errno> {
        self.devices.values().find(|d| d.name == name).map(|d| d.index).ok_or(Errno::ENODEV)
    }

    /// Checks that a device of that name can be added, and gives its number.
    pub fn new_dev(&mut self, name: &str) -> Result<IfIndex, Errno> {
        if name.is_empty() || name.len() > 15 || name.contains(['/', ' ']) {
            return Err(Errno::EINVAL);
        }
        if self.find_dev(name).is_ok() {
            return Err(Errno::EEXIST);
        }
        if self.devices.len() >= Limits::TABLE.net_devices_max {
            return Err(Errno::ENOSPC);
        }
        self.next_if += 1;
        Ok(self.next_if - 1)
    }

    /// Takes a device out, with its addresses, routes and neighbours.
    pub fn remove_dev(&mut self, i: IfIndex) -> Option<Arc<Device>> {
        let dev = self.devices.remove(&i)?;
        self.addrs.retain(|a| a.dev != i);
        self.index_addrs();
        self.routes.remove_all(|r| r.dev == i);
        self.neigh = self.neigh.iter().filter(|((d, _), _)| *d != i).map(|(k, v)| (*k, v.clone())).collect();
        for port in self.devices.clone().values().filter(|d| d.master == Some(i)) {
            if let Some(d) = self.dev_mut(port.index) {
                d.master = None;
            }
        }
        if let Some(Kind::Bridge(b)) = dev.master.and_then(|m| self.dev_mut(m)).map(|d| &mut d.kind) {
            b.forget(i);
        }
        Some(dev)
    }

    /// Rebuilds the local table.
    fn index_addrs(&mut self) {
        self.local = self.addrs.iter().map(|a| (a.cidr.addr, a.dev)).collect();
        let mut b = OrdMap::new();
        for a in self.addrs.iter().filter(|a| a.cidr.addr.is_ipv4() && a.cidr.len < 31) {
            b.insert(a.cidr.last(), a.dev);
            if let Some(x) = a.broadcast {
                b.insert(x, a.dev);
            }
        }
        self.broadcast = b;
    }

    pub fn add_addr(&mut self, dev: IfIndex, cidr: Cidr, broadcast: Option<IpAddr>) -> Result<(), Errno> {
        let up = self.dev(dev).ok_or(Errno::ENODEV)?.up;
        if self.addrs.iter().any(|a| a.dev == dev && a.cidr == cidr) {
            return Err(Errno::EEXIST);
        }
        if self.addrs.len() >= Limits::TABLE.net_routes_max {
            return Err(Errno::ENOSPC);
        }
        let same = |a: &IfAddr| a.dev == dev && a.cidr.len == cidr.len && a.cidr.contains(cidr.addr);
        let secondary = self.addrs.iter().any(same);
        self.addrs.push_back(IfAddr { dev, cidr, broadcast, secondary });
        self.index_addrs();
        if up && !secondary {
            self.connect_route(dev, cidr);
        }
        Ok(())
    }

    /// The route to an address's own network, which the kernel makes itself.
    fn connect_route(&mut self, dev: IfIndex, cidr: Cidr) {
        if dev != LO && !cidr.is_host() {
            let route = Route { src: Some(cidr.addr), protocol: Protocol::Kernel, ..Route::dev(cidr, dev) };
            // Another device's route to the same network stays; the kernel would keep both and use the first.
            let _ = self.routes.add(route, false);
        }
    }

    pub fn del_addr(&mut self, dev: IfIndex, cidr: Cidr) -> Result<(), Errno> {
        let at = self.addrs.iter().position(|a| a.dev == dev && a.cidr == cidr);
        self.addrs.remove(at.ok_or(Errno::EADDRNOTAVAIL)?);
        self.index_addrs();
        let still = self.addrs.iter().any(|a| a.dev == dev && a.cidr.network() == cidr.network());
        self.routes.remove_all(|r| {
            r.src == Some(cidr.addr)
                || (!still && r.protocol == Protocol::Kernel && r.dev == dev && r.dst == cidr.network())
        });
        Ok(())
    }

    /// Sets a device up or down; routes by a device end when it goes down.
    pub fn set_up(&mut self, i: IfIndex, up: bool) -> Result<(), Errno> {
        let d = self.dev_mut(i).ok_or(Errno::ENODEV)?;
        if d.up == up {
            return Ok(());
        }
        d.up = up;
        if up {
            if i == LO {
                let _ = self.add_addr(LO, Cidr::new(Ipv4Addr::LOCALHOST.into(), 8), None);
            }
            let own: Vec<Cidr> =
                self.addrs.iter().filter(|a| a.dev == i && !a.secondary).map(|a| a.cidr).collect();
            for c in own {
                self.connect_route(i, c);
            }
        } else {
            self.routes.remove_all(|r| r.dev == i && r.kind == crate::RouteKind::Unicast);
            self.neigh =
                self.neigh.iter().filter(|((d, _), _)| *d != i).map(|(k, v)| (*k, v.clone())).collect();
        }
        Ok(())
    }

    pub fn add_route(&mut self, r: Route, replace: bool) -> Result<(), Errno> {
        if r.kind == crate::RouteKind::Unicast {
            let dev = self.dev(r.dev).ok_or(Errno::ENODEV)?;
            if !dev.up {
                return Err(Errno::ENETDOWN);
            }
        }
        if let Some(via) = r.via
            && !r.onlink
        {
            // A gateway must be a neighbour itself.
            let direct = |x: &Route| x.via.is_none() && (r.dev == 0 || x.dev == r.dev);
            if self.local.contains_key(&via) {
                return Err(Errno::EINVAL);
            }
            if self.routes.find(via, direct).is_none() {
                return Err(Errno::ENETUNREACH);
            }
        }
        if let Some(src) = r.src
            && !self.local.contains_key(&src)
        {
            return Err(Errno::EINVAL);
        }
        self.routes.add(Route { dst: r.dst.network(), ..r }, replace)
    }

    /// The device by which a gateway is reached.
    pub fn dev_towards(&self, via: IpAddr) -> Option<IfIndex> {
        self.routes.find(via, |r| r.via.is_none()).map(|r| r.dev)
    }

    pub fn is_local(&self, a: IpAddr) -> bool {
        matches!(a, IpAddr::V4(v) if v.is_loopback()) || self.local.contains_key(&a)
    }

    /// Decides where packets for `dst` go, by `oif` alone if it is not 0.
    pub fn lookup(&self, dst: IpAddr, oif: IfIndex) -> Decision {
        if let IpAddr::V4(v) = dst {
            if v.is_loopback() {
                return Decision::Local(LO);
            }
            if v.is_broadcast() {
                return match oif {
                    0 => Decision::Fail(Errno::ENETUNREACH),
                    d => Decision::Broadcast(d),
                };
            }
        }
        if let Some(dev) = self.local.get(&dst) {
            return Decision::Local(*dev);
        }
        if let Some(dev) = self.broadcast.get(&dst) {
            return Decision::Broadcast(*dev);
        }
        let Some(r) = self.routes.find(dst, |r| oif == 0 || r.dev == oif) else {
            return Decision::Fail(Errno::ENETUNREACH);
        };
        match r.kind {
            crate::RouteKind::Unicast => {
                Decision::Out { dev: r.dev, next: r.via.unwrap_or(dst), src: r.src, route: r.dst, via: r.via }
            }
            crate::RouteKind::Blackhole => Decision::Fail(Errno::EINVAL),
            crate::RouteKind::Unreachable => Decision::Fail(Errno::EHOSTUNREACH),
            crate::RouteKind::Prohibit => Decision::Fail(Errno::EACCES),
        }
    }

    /// The address that packets leaving by `dev` towards `next` get.
    pub fn source(&self, dev: IfIndex, next: IpAddr) -> Option<IpAddr> {
        let own = || self.addrs.iter().filter(|a| a.dev == dev && !a.secondary);
        let near = own().find(|a| a.cidr.contains(next));
        let loopback = |a: &&IfAddr| a.dev == LO;
        near.or_else(|| own().next())
            .or_else(|| self.addrs.iter().find(|a| !loopback(a)))
            .map(|a| a.cidr.addr)
    }

    /// The address with which this namespace speaks to `dst`.
    pub fn source_for(&self, dst: IpAddr) -> Result<IpAddr, Errno> {
        match self.lookup(dst, 0) {
            Decision::Local(_) => Ok(dst),
            Decision::Broadcast(dev) => self.source(dev, dst).ok_or(Errno::ENETUNREACH),
            Decision::Out { dev, next, src, .. } => {
                src.or_else(|| self.source(dev, next)).ok_or(Errno::ENETUNREACH)
            }
            Decision::Fail(e) => Err(e),
        }
    }
}
