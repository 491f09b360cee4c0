//! [`Net`]: the one value, its clock, and its configuration.

use crate::conntrack::CtFilter;
use crate::device::{Bridge, Device, IfIndex, Kind, Segment, SegmentId, Stats, Vxlan};
use crate::namespace::{IfAddr, LO, Namespace};
use crate::neigh::{Neigh, NeighState};
use crate::netfilter::{self, IpSet, Output, RestoreError, RestoreOptions, SetEntry, SetType, TableName};
use crate::socket::SocketId;
use crate::stack::{Capture, CaptureId, Core, Event, Work};
use crate::trace::PacketTrace;
use crate::{Cidr, Conn, Errno, FlowId, Frame, MacAddr, Route, text};
use core::fmt::Write;
use core::net::IpAddr;
use sim::persistent::{OrdMap, Vector};
use sim::{Digest, Duration, Hasher, Instant, Limits, Stream};
use smol_str::SmolStr;
use std::sync::Arc;

/// The number of a network namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct NsId(pub u32);

/// All namespaces, the links between them, and what is under way.
#[derive(Clone, Debug)]
pub struct Net {
    spaces: OrdMap<NsId, Arc<Namespace>>,
    core: Core,
    next_ns: u32,
    next_segment: u32,
    next_capture: u64,
}

/// What a device is, for views.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum DeviceKind {
    /// `lo`
    Loopback,
    /// One end of a pair.
    Veth {
        /// Namespace of the other end.
        peer_ns: NsId,
        /// Device there.
        peer: IfIndex,
    },
    /// A bridge.
    Bridge,
    /// A network card.
    Eth(SegmentId),
    /// A tunnel.
    Vxlan {
        /// Network identifier.
        vni: u32,
    },
    /// Holds addresses only.
    Dummy,
}

/// A device, for views.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct DeviceInfo {
    /// Number.
    pub index: IfIndex,
    /// Name.
    pub name: SmolStr,
    /// What it is.
    pub kind: DeviceKind,
    /// Link address.
    pub mac: MacAddr,
    /// Largest packet.
    pub mtu: u32,
    /// Switched on.
    pub up: bool,
    /// Has a link.
    pub carrier: bool,
    /// The bridge whose port it is.
    pub master: Option<IfIndex>,
    /// Addresses.
    pub addrs: Vec<IfAddr>,
    /// Statistics.
    pub stats: Stats,
}

/// Hashes what `Debug` prints: all state is in ordered containers, so that the text is the state.
struct DebugHasher(Hasher);

impl Write for DebugHasher {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        self.0.str(s);
        Ok(())
    }
}

/// Packets that one call may move from device to device: a storm on looped bridges ends here.
const WORK_MAX: usize = 100_000;

impl Net {
    /// An empty net that draws its chance from `stream`.
    pub fn new(mut stream: Stream) -> Net {
        Net {
            spaces: OrdMap::new(),
            core: Core::new(&mut stream),
            next_ns: 0,
            next_segment: 0,
            next_capture: 0,
        }
    }

    // Time.

    /// The instant up to which the net has run.
    pub fn now(&self) -> Instant {
        self.core.now
    }

    /// When something happens next; `None` if nothing will.
    pub fn next_at(&self) -> Option<Instant> {
        self.core.queue.next_at()
    }

    /// Runs what is due up to `now`. Calls that follow happen at `now`. Gives how many events ran.
    pub fn advance(&mut self, now: Instant) -> usize {
        let mut n = 0;
        while self.core.queue.next_at().is_some_and(|at| at <= now) && n < Limits::TABLE.loop_events_max {
            let Some((at, _, event)) = self.core.queue.pop() else { break };
            self.core.now = self.core.now.max(at);
            n += 1;
            let id = match &event {
                Event::Frame(id, ..)
                | Event::Deliver(id, _)
                | Event::Socket(id, _)
                | Event::Neigh(id, ..) => *id,
            };
            if let Some(ns) = self.spaces.get_mut(&id) {
                Arc::make_mut(ns).event(&mut self.core, event);
                self.run_work();
            }
        }
        self.core.now = self.core.now.max(now);
        n
    }

    fn run_work(&mut self) {
        let mut n = 0;
        while !self.core.work.is_empty() {
            for w in core::mem::take(&mut self.core.work) {
                let id = match &w {
                    Work::Rx(id, ..) | Work::Output(id, _) => *id,
                };
                n += 1;
                if n > WORK_MAX {
                    self.core.work.clear();
                    return;
                }
                if let Some(ns) = self.spaces.get_mut(&id) {
                    Arc::make_mut(ns).do_work(&mut self.core, w);
                }
            }
        }
    }

    /// Sockets that have changed since the last call: connected, readable, writable, failed.
    pub fn take_ready(&mut self) -> Vec<(NsId, SocketId)> {
        core::mem::take(&mut self.core.ready)
    }

    /// Runs `f` on a namespace and then what it set in motion.
    pub(crate) fn within<T>(
        &mut self,
        id: NsId,
        f: impl FnOnce(&mut Namespace, &mut Core) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let ns = self.spaces.get_mut(&id).ok_or(Errno::ENOENT)?;
        let r = f(Arc::make_mut(ns), &mut self.core);
        self.run_work();
        r
    }

    pub(crate) fn ns(&self, id: NsId) -> Result<&Namespace, Errno> {
        self.spaces.get(&id).map(|n| &**n).ok_or(Errno::ENOENT)
    }

    /// A digest of the whole state; equal states have equal digests on every platform. It walks everything: for tests.
    pub fn digest(&self) -> Digest {
        let mut h = DebugHasher(Hasher::default());
        let _ = write!(h, "{self:?}");
        h.0.digest()
    }

    // Namespaces.

    /// Adds a namespace with a `lo` that is down. `ENOSPC`: there are too many.
    pub fn add_namespace(&mut self, name: &str) -> Result<NsId, Errno> {
        if self.spaces.len() >= Limits::TABLE.net_namespaces_max {
            return Err(Errno::ENOSPC);
        }
        self.next_ns += 1;
        let id = NsId(self.next_ns);
        self.spaces.insert(id, Arc::new(Namespace::new(id, name)));
        Ok(id)
    }

    /// Removes a namespace: its devices vanish, and so do the other ends of its veth pairs.
    pub fn remove_namespace(&mut self, id: NsId) {
        let devs: Vec<IfIndex> = self.ns(id).map(|n| n.devices.keys().copied().collect()).unwrap_or_default();
        for d in devs {
            let _ = self.remove_device(id, d);
        }
        if let Some(ns) = self.spaces.remove(&id) {
            for (at, seq) in ns.sockets.iter().filter_map(|s| s.timer) {
                self.core.queue.cancel(at, seq);
            }
        }
        self.core.ready.retain(|(n, _)| *n != id);
        self.core.captures.retain(|_, c| c.ns != id);
    }

    /// The first namespace of that name.
    pub fn namespace(&self, name: &str) -> Option<NsId> {
        self.spaces.values().find(|n| n.name == name).map(|n| n.id)
    }

    /// A namespace's name.
    pub fn namespace_name(&self, id: NsId) -> Option<SmolStr> {
        self.spaces.get(&id).map(|n| n.name.clone())
    }

    /// All namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = (NsId, &SmolStr)> {
        self.spaces.values().map(|n| (n.id, &n.name))
    }

    // Segments.

    /// Adds a network between hosts.
    pub fn add_segment(&mut self, name: &str, latency: Duration) -> SegmentId {
        self.next_segment += 1;
        let id = SegmentId(self.next_segment);
        self.core.segments.insert(id, Arc::new(Segment::new(name, latency)));
        id
    }

    /// A segment.
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.core.segments.get(&id).map(|s| &**s)
    }

    /// Changes a segment: latency, jitter, loss, up.
    pub fn change_segment(&mut self, id: SegmentId, f: impl FnOnce(&mut Segment)) -> Result<(), Errno> {
        f(Arc::make_mut(self.core.segments.get_mut(&id).ok_or(Errno::ENODEV)?));
        Ok(())
    }

    /// Cuts two hosts off from each other on a segment, or joins them again.
    pub fn cut(&mut self, id: SegmentId, a: NsId, b: NsId, cut: bool) -> Result<(), Errno> {
        self.change_segment(id, |s| {
            let pair = (a.min(b), a.max(b));
            if cut {
                s.cuts.insert(pair);
            } else {
                s.cuts.remove(&pair);
            }
        })
    }

    // Devices.

    fn mac(&mut self) -> MacAddr {
        MacAddr::local(self.core.stream.bits())
    }

    fn add_device(&mut self, ns: NsId, name: &str, kind: Kind, mtu: u32) -> Result<IfIndex, Errno> {
        let mac = self.mac();
        let n = self.spaces.get_mut(&ns).map(Arc::make_mut).ok_or(Errno::ENOENT)?;
        let i = n.new_dev(name)?;
        n.devices.insert(i, Arc::new(Device::new(i, name, kind, mac, mtu)));
        Ok(i)
    }

    /// Adds a veth pair; both ends are down. Errors: `EEXIST`, `EINVAL`, `ENOENT`, `ENOSPC`.
    pub fn add_veth(
        &mut self,
        a: NsId,
        name_a: &str,
        b: NsId,
        name_b: &str,
    ) -> Result<(IfIndex, IfIndex), Errno> {
        self.ns(b)?;
        let i = self.add_device(a, name_a, Kind::Dummy, 1500)?;
        let kind = Kind::Veth { peer_ns: a, peer: i };
        let j = self.add_device(b, name_b, kind, 1500).inspect_err(|_| {
            let _ = self.remove_device(a, i);
        })?;
        for (ns, me, other, peer) in [(a, i, b, j), (b, j, a, i)] {
            let _ = self.within(ns, |n, _| {
                if let Some(d) = n.dev_mut(me) {
                    d.kind = Kind::Veth { peer_ns: other, peer };
                    d.carrier = false;
                }
                Ok(())
            });
        }
        Ok((i, j))
    }

    /// Adds a bridge.
    pub fn add_bridge(&mut self, ns: NsId, name: &str) -> Result<IfIndex, Errno> {
        self.add_device(ns, name, Kind::Bridge(Bridge::default()), 1500)
    }

    /// Adds a device that only holds addresses.
    pub fn add_dummy(&mut self, ns: NsId, name: &str) -> Result<IfIndex, Errno> {
        self.add_device(ns, name, Kind::Dummy, 1500)
    }

    /// Adds a network card on a segment.
    pub fn add_eth(&mut self, ns: NsId, name: &str, segment: SegmentId) -> Result<IfIndex, Errno> {
        if !self.core.segments.contains_key(&segment) {
            return Err(Errno::ENODEV);
        }
        let i = self.add_device(ns, name, Kind::Eth { segment }, 1500)?;
        self.change_segment(segment, |s| s.stations.push_back((ns, i)))?;
        Ok(i)
    }

    /// Adds a VXLAN device; `local` is the source of outer packets.
    pub fn add_vxlan(
        &mut self,
        ns: NsId,
        name: &str,
        vni: u32,
        local: Option<IpAddr>,
        learning: bool,
    ) -> Result<IfIndex, Errno> {
        if vni >= 1 << 24 {
            return Err(Errno::EINVAL);
        }
        let mtu = 1500 - crate::device::VXLAN_OVERHEAD_BYTES;
        self.add_device(ns, name, Kind::Vxlan(Vxlan::new(vni, local, learning)), mtu)
    }

    /// `bridge fdb append MAC dev VXLAN dst REMOTE`; the zero address stands for all unknown stations.
    pub fn vxlan_fdb(
        &mut self,
        ns: NsId,
        dev: IfIndex,
        mac: MacAddr,
        remote: IpAddr,
        add: bool,
    ) -> Result<(), Errno> {
        self.within(ns, |n, _| match n.dev_mut(dev).ok_or(Errno::ENODEV)?.kind {
            Kind::Vxlan(ref mut v) if add => v.add(mac, remote).then_some(()).ok_or(Errno::ENOSPC),
            Kind::Vxlan(ref mut v) => v.remove(mac, remote).then_some(()).ok_or(Errno::ENOENT),
            _ => Err(Errno::EOPNOTSUPP),
        })
    }

    /// Removes a device; a veth's other end goes with it.
    pub fn remove_device(&mut self, ns: NsId, dev: IfIndex) -> Result<(), Errno> {
        let n = self.spaces.get_mut(&ns).map(Arc::make_mut).ok_or(Errno::ENOENT)?;
        let d = n.remove_dev(dev).ok_or(Errno::ENODEV)?;
        match d.kind {
            Kind::Veth { peer_ns, peer } => {
                if let Some(n) = self.spaces.get_mut(&peer_ns).map(Arc::make_mut) {
                    n.remove_dev(peer);
                }
            }
            Kind::Eth { segment } => {
                let _ = self.change_segment(segment, |s| s.detach((ns, dev)));
            }
            _ => {}
        }
        Ok(())
    }

    /// The device of that name.
    pub fn device(&self, ns: NsId, name: &str) -> Result<IfIndex, Errno> {
        self.ns(ns)?.find_dev(name)
    }

    /// Makes a device a port of a bridge, or free.
    pub fn set_master(&mut self, ns: NsId, dev: IfIndex, bridge: Option<IfIndex>) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            if let Some(b) = bridge
                && (b == dev || !matches!(n.dev(b).ok_or(Errno::ENODEV)?.kind, Kind::Bridge(_)))
            {
                return Err(Errno::EINVAL);
            }
            let d = n.dev_mut(dev).ok_or(Errno::ENODEV)?;
            let old = core::mem::replace(&mut d.master, bridge);
            if let Some(Kind::Bridge(b)) = old.and_then(|m| n.dev_mut(m)).map(|d| &mut d.kind) {
                b.forget(dev);
            }
            Ok(())
        })
    }

    /// Lets a bridge port send frames back where they came from.
    pub fn set_hairpin(&mut self, ns: NsId, dev: IfIndex, on: bool) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            n.dev_mut(dev).ok_or(Errno::ENODEV)?.hairpin = on;
            Ok(())
        })
    }

    /// Sets a device up or down.
    pub fn set_up(&mut self, ns: NsId, dev: IfIndex, up: bool) -> Result<(), Errno> {
        self.within(ns, |n, _| n.set_up(dev, up))?;
        // A veth has carrier while its other end is up.
        if let Ok(Kind::Veth { peer_ns, peer }) =
            self.ns(ns).and_then(|n| Ok(n.dev(dev).ok_or(Errno::ENODEV)?.kind.clone()))
        {
            let _ = self.within(peer_ns, |n, _| {
                n.dev_mut(peer).ok_or(Errno::ENODEV)?.carrier = up;
                Ok(())
            });
        }
        Ok(())
    }

    /// Plugs a network card's cable in or out.
    pub fn set_carrier(&mut self, ns: NsId, dev: IfIndex, carrier: bool) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            n.dev_mut(dev).ok_or(Errno::ENODEV)?.carrier = carrier;
            Ok(())
        })
    }

    /// Sets a device's link address.
    pub fn set_mac(&mut self, ns: NsId, dev: IfIndex, mac: MacAddr) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            n.dev_mut(dev).ok_or(Errno::ENODEV)?.mac = mac;
            Ok(())
        })
    }

    /// Sets a device's largest packet.
    pub fn set_mtu(&mut self, ns: NsId, dev: IfIndex, mtu: u32) -> Result<(), Errno> {
        if !(68..=65_536).contains(&mtu) {
            return Err(Errno::EINVAL);
        }
        self.within(ns, |n, _| {
            n.dev_mut(dev).ok_or(Errno::ENODEV)?.mtu = mtu;
            Ok(())
        })
    }

    /// Renames a device.
    pub fn rename_device(&mut self, ns: NsId, dev: IfIndex, name: &str) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            if n.find_dev(name).is_ok() {
                return Err(Errno::EEXIST);
            }
            n.dev_mut(dev).ok_or(Errno::ENODEV)?.name = name.into();
            Ok(())
        })
    }

    /// A namespace's devices.
    pub fn devices(&self, ns: NsId) -> Vec<DeviceInfo> {
        let Ok(n) = self.ns(ns) else { return Vec::new() };
        let kind = |d: &Device| match &d.kind {
            Kind::Loopback => DeviceKind::Loopback,
            Kind::Veth { peer_ns, peer } => DeviceKind::Veth { peer_ns: *peer_ns, peer: *peer },
            Kind::Bridge(_) => DeviceKind::Bridge,
            Kind::Eth { segment } => DeviceKind::Eth(*segment),
            Kind::Vxlan(v) => DeviceKind::Vxlan { vni: v.vni },
            Kind::Dummy => DeviceKind::Dummy,
        };
        let info = |d: &Arc<Device>| DeviceInfo {
            index: d.index,
            name: d.name.clone(),
            kind: kind(d),
            mac: d.mac,
            mtu: d.mtu,
            up: d.up,
            carrier: d.carrier,
            master: d.master,
            addrs: n.addrs.iter().filter(|a| a.dev == d.index).copied().collect(),
            stats: d.stats,
        };
        n.devices.values().map(info).collect()
    }

    // Addresses, routes, neighbours, settings.

    /// Adds an address. Errors: `EEXIST`, `ENODEV`.
    pub fn add_addr(&mut self, ns: NsId, dev: IfIndex, cidr: Cidr) -> Result<(), Errno> {
        self.within(ns, |n, _| n.add_addr(dev, cidr, None))
    }

    /// Adds an address with a broadcast address, as `ip addr add … brd +`.
    pub fn add_addr_brd(&mut self, ns: NsId, dev: IfIndex, cidr: Cidr) -> Result<(), Errno> {
        self.within(ns, |n, _| n.add_addr(dev, cidr, Some(cidr.last())))
    }

    /// Removes an address.
    pub fn del_addr(&mut self, ns: NsId, dev: IfIndex, cidr: Cidr) -> Result<(), Errno> {
        self.within(ns, |n, _| n.del_addr(dev, cidr))
    }

    /// A namespace's addresses.
    pub fn addrs(&self, ns: NsId) -> Vec<IfAddr> {
        self.ns(ns).map(|n| n.addrs.iter().copied().collect()).unwrap_or_default()
    }

    /// Adds a route. Errors: `EEXIST`, `ENETUNREACH` (the gateway is no neighbour), `ENETDOWN`, `ENODEV`, `EINVAL`.
    pub fn add_route(&mut self, ns: NsId, route: Route) -> Result<(), Errno> {
        self.within(ns, |n, _| n.add_route(route, false))
    }

    /// Adds a route or replaces the one to the same destination.
    pub fn replace_route(&mut self, ns: NsId, route: Route) -> Result<(), Errno> {
        self.within(ns, |n, _| n.add_route(route, true))
    }

    /// Removes a route to exactly that destination. `ENOENT`: there is none.
    pub fn del_route(&mut self, ns: NsId, dst: Cidr) -> Result<(), Errno> {
        self.within(ns, |n, _| n.routes.remove(dst, |_| true).then_some(()).ok_or(Errno::ENOENT))
    }

    /// The main table in `ip route`'s order.
    pub fn routes(&self, ns: NsId) -> Vec<Route> {
        self.ns(ns).map(|n| n.routes.listed().into_iter().cloned().collect()).unwrap_or_default()
    }

    /// The device by which a gateway is reached, for routes that name none.
    pub fn device_towards(&self, ns: NsId, via: IpAddr) -> Option<IfIndex> {
        self.ns(ns).ok()?.dev_towards(via)
    }

    /// Sets a neighbour by hand.
    pub fn add_neigh(&mut self, ns: NsId, dev: IfIndex, addr: IpAddr, mac: MacAddr) -> Result<(), Errno> {
        self.within(ns, |n, core| {
            n.dev(dev).ok_or(Errno::ENODEV)?;
            n.neigh.insert((dev, addr), Neigh::new(NeighState::Permanent, mac, core.now));
            Ok(())
        })
    }

    /// Forgets a neighbour.
    pub fn del_neigh(&mut self, ns: NsId, dev: IfIndex, addr: IpAddr) -> Result<(), Errno> {
        self.within(ns, |n, _| n.neigh.remove(&(dev, addr)).map(|_| ()).ok_or(Errno::ENOENT))
    }

    /// Announces an address on a link, so that others renew what they know.
    pub fn announce(&mut self, ns: NsId, dev: IfIndex, addr: IpAddr) -> Result<(), Errno> {
        let IpAddr::V4(a) = addr else { return Err(Errno::EINVAL) };
        self.within(ns, |n, core| {
            n.arp_announce(core, dev, a);
            Ok(())
        })
    }

    /// Sets a kernel setting by its sysctl name. `EINVAL`: the value is not allowed.
    pub fn sysctl_set(&mut self, ns: NsId, name: &str, value: &str) -> Result<(), Errno> {
        self.within(ns, |n, _| n.sysctl.set(name, value).then_some(()).ok_or(Errno::EINVAL))
    }

    /// A kernel setting.
    pub fn sysctl(&self, ns: NsId, name: &str) -> Option<String> {
        self.ns(ns).ok()?.sysctl.get(name)
    }

    // Netfilter.

    /// Runs `iptables` with these arguments (without its own name).
    pub fn iptables(&mut self, ns: NsId, args: &[&str]) -> Output {
        let args: Vec<String> = args.iter().map(|a| (*a).to_string()).collect();
        let Some(n) = self.spaces.get_mut(&ns).map(Arc::make_mut) else { return Output::default() };
        let Namespace { nf, sets, .. } = n;
        netfilter::iptables(nf, &args, &|s| sets.contains_key(s))
    }

    /// Runs `iptables-restore` on `text`; gives what commands in it print.
    pub fn iptables_restore_with(
        &mut self,
        ns: NsId,
        text: &str,
        options: RestoreOptions,
    ) -> Result<String, RestoreError> {
        let Some(n) = self.spaces.get_mut(&ns).map(Arc::make_mut) else { return Ok(String::new()) };
        let Namespace { nf, sets, .. } = n;
        netfilter::restore(nf, text, options, &|s| sets.contains_key(s))
    }

    /// Runs `iptables-restore [--noflush] [--counters]`.
    pub fn iptables_restore(
        &mut self,
        ns: NsId,
        text: &str,
        noflush: bool,
        counters: bool,
    ) -> Result<(), RestoreError> {
        let options = RestoreOptions { noflush, counters, ..RestoreOptions::default() };
        self.iptables_restore_with(ns, text, options).map(|_| ())
    }

    /// What `iptables-save` prints, without its comment lines.
    pub fn iptables_save(&self, ns: NsId, table: Option<TableName>) -> String {
        let s = self.iptables_save_with(ns, table, false, "");
        s.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect()
    }

    /// What `iptables-save` prints, with `date` (`Mon Jan  5 09:00:00 2026`) in its comments, and counters if asked for.
    pub fn iptables_save_with(
        &self,
        ns: NsId,
        table: Option<TableName>,
        counters: bool,
        date: &str,
    ) -> String {
        self.ns(ns).map(|n| netfilter::save(&n.nf, table, counters, date)).unwrap_or_default()
    }

    /// Whether a chain exists: what kube-proxy's canary asks.
    pub fn iptables_has_chain(&self, ns: NsId, table: TableName, chain: &str) -> bool {
        self.ns(ns).is_ok_and(|n| n.nf.table(table).is_some_and(|t| t.id(chain).is_some()))
    }

    /// Creates an IP set. `EEXIST`: the name is taken.
    pub fn ipset_create(&mut self, ns: NsId, name: &str, kind: SetType) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            if name.is_empty() || name.len() > 31 {
                return Err(Errno::EINVAL);
            }
            if n.sets.contains_key(name) {
                return Err(Errno::EEXIST);
            }
            n.sets.insert(name.into(), Arc::new(IpSet::new(kind)));
            Ok(())
        })
    }

    /// Changes an IP set.
    pub fn ipset_change<T>(
        &mut self,
        ns: NsId,
        name: &str,
        f: impl FnOnce(&mut IpSet) -> T,
    ) -> Result<T, Errno> {
        self.within(ns, |n, _| Ok(f(n.sets.get_mut(name).map(Arc::make_mut).ok_or(Errno::ENOENT)?)))
    }

    /// Adds a member to an IP set. `EEXIST`: it is there, or the set is full.
    pub fn ipset_add(&mut self, ns: NsId, name: &str, entry: SetEntry) -> Result<(), Errno> {
        let added = self.ipset_change(ns, name, |s| s.add(entry))?;
        added.then_some(()).ok_or(Errno::EEXIST)
    }

    /// Removes an IP set.
    pub fn ipset_destroy(&mut self, ns: NsId, name: &str) -> Result<(), Errno> {
        self.within(ns, |n, _| n.sets.remove(name).map(|_| ()).ok_or(Errno::ENOENT))
    }

    /// An IP set.
    pub fn ipset(&self, ns: NsId, name: &str) -> Option<&IpSet> {
        self.ns(ns).ok()?.sets.get(name).map(|s| &**s)
    }

    /// Tracked connections.
    pub fn conntrack(&self, ns: NsId) -> Vec<Conn> {
        let now = self.core.now;
        self.ns(ns).map(|n| n.ct.iter(now).cloned().collect()).unwrap_or_default()
    }

    /// What `conntrack -L` prints on standard output.
    pub fn conntrack_list(&self, ns: NsId, filter: &CtFilter) -> String {
        let now = self.core.now;
        let Ok(n) = self.ns(ns) else { return String::new() };
        n.ct.iter(now).filter(|c| filter.matches(c)).map(|c| c.line(now) + "\n").collect()
    }

    /// `conntrack -D`: forgets what the filter matches and gives it.
    pub fn conntrack_delete(&mut self, ns: NsId, filter: &CtFilter) -> Vec<Conn> {
        self.within(ns, |n, core| Ok(n.ct.delete(filter, core.now))).unwrap_or_default()
    }

    /// Lines that LOG rules wrote to a host's kernel log since the last call.
    pub fn take_kernel_log(&mut self) -> Vector<(NsId, SmolStr)> {
        core::mem::take(&mut self.core.log)
    }

    // Traces and captures.

    /// Whether every packet gets a trace, and not only the first of a flow in each direction.
    pub fn trace_all(&mut self, on: bool) {
        self.core.trace_all = on;
    }

    /// Traces kept, oldest first.
    pub fn traces(&self) -> impl DoubleEndedIterator<Item = PacketTrace> {
        self.core.traces.iter().map(|r| PacketTrace::from(&**r))
    }

    /// Traces with a number above `id`, oldest first; a cheap way to ask for news.
    pub fn traces_since(&self, id: u64) -> Vec<PacketTrace> {
        self.core.traces.iter().filter(|r| r.id > id).map(|r| PacketTrace::from(&**r)).collect()
    }

    /// Traces of one flow, forward and back, in the order of their ends.
    pub fn flow_traces(&self, flow: FlowId) -> Vec<PacketTrace> {
        self.core.traces.iter().filter(|r| r.flow == flow).map(|r| PacketTrace::from(&**r)).collect()
    }

    /// Begins to keep frames seen at a device, or at all of a namespace.
    pub fn capture_start(&mut self, ns: NsId, dev: Option<IfIndex>, frames_max: usize) -> CaptureId {
        self.next_capture += 1;
        let id = CaptureId(self.next_capture);
        let left = frames_max.min(Limits::TABLE.capture_frames_max);
        self.core.captures.insert(id, Capture { ns, dev, left, frames: Vector::new() });
        id
    }

    /// Takes the frames that a capture has kept.
    pub fn capture_take(&mut self, id: CaptureId) -> Vec<(Instant, Arc<Frame>)> {
        let Some(c) = self.core.captures.get_mut(&id) else { return Vec::new() };
        core::mem::take(&mut c.frames).into_iter().collect()
    }

    /// Ends a capture.
    pub fn capture_stop(&mut self, id: CaptureId) {
        self.core.captures.remove(&id);
    }

    // Text.

    /// What `ip addr` prints.
    pub fn ip_addr(&self, ns: NsId) -> String {
        self.ns(ns).map(|n| text::ip_link(n, self, true)).unwrap_or_default()
    }

    /// What `ip link` prints.
    pub fn ip_link(&self, ns: NsId) -> String {
        self.ns(ns).map(|n| text::ip_link(n, self, false)).unwrap_or_default()
    }

    /// What `ip route` prints.
    pub fn ip_route(&self, ns: NsId) -> String {
        self.ns(ns).map(text::ip_route).unwrap_or_default()
    }

    /// What `ip neigh` prints.
    pub fn ip_neigh(&self, ns: NsId) -> String {
        self.ns(ns).map(|n| text::ip_neigh(n, self.core.now)).unwrap_or_default()
    }

    /// What `ip route get ADDRESS` prints, or the error.
    pub fn ip_route_get(&self, ns: NsId, dst: IpAddr) -> Result<String, Errno> {
        text::ip_route_get(self.ns(ns)?, dst)
    }

    /// What `bridge fdb` prints for bridges and tunnels.
    pub fn bridge_fdb(&self, ns: NsId) -> String {
        self.ns(ns).map(|n| text::bridge_fdb(n, self.core.now)).unwrap_or_default()
    }

    /// `lo`'s number in every namespace.
    pub const LO: IfIndex = LO;
}
