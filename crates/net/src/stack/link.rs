//! Frames through devices: loopback, veth pairs, bridges with br_netfilter, network segments and VXLAN tunnels.

use super::{Core, Work};
use crate::device::{IfIndex, Kind, SegmentId};
use crate::namespace::{Decision, LO, Namespace};
use crate::netfilter::Hook;
use crate::skb::{Pdu, Skb};
use crate::trace::{BridgeTo, DropCause, What};
use crate::wire::udp;
use crate::{Ip, L4, MacAddr, NsId, Payload};
use core::net::IpAddr;
use sim::Duration;
use smol_str::SmolStr;

/// Time that a frame spends in each kind of device, in ns.
mod delay {
    pub const LOOPBACK: u64 = 4_000;
    pub const VETH: u64 = 3_000;
    pub const BRIDGE: u64 = 1_000;
    pub const ETH: u64 = 5_000;
    pub const TUNNEL: u64 = 4_000;
}

impl Namespace {
    /// A frame arrives at device `dev`.
    pub(crate) fn rx(&mut self, core: &mut Core, dev: IfIndex, mut pdu: Pdu) {
        let name = self.name.clone();
        if let Pdu::Ip(s) = &mut pdu {
            s.place = name;
        }
        let Some(d) = self.dev_mut(dev) else {
            return core.drop_pdu(&mut pdu, &SmolStr::default(), DropCause::NamespaceGone);
        };
        let dev_name = d.name.clone();
        if !d.up {
            d.stats.rx_dropped += 1;
            return core.drop_pdu(&mut pdu, &dev_name, DropCause::DeviceDown(dev_name.clone()));
        }
        d.stats.rx_packets += 1;
        d.stats.rx_bytes += pdu.bytes();
        let (master, mac) = (d.master, d.mac);
        if !pdu.hop() {
            return core.drop_pdu(&mut pdu, &dev_name, DropCause::TooManyHops);
        }
        core.capture(self.id, dev, &pdu);
        pdu.note(|| What::Rx { dev: dev_name.clone() });
        if let Some(bridge) = master {
            return self.bridge_rx(core, bridge, dev, pdu);
        }
        let dst = pdu.dst();
        if dev != LO && dst != mac && !dst.is_group() {
            return core.drop_pdu(&mut pdu, &dev_name, DropCause::OtherStation(dst));
        }
        self.up(core, dev, pdu);
    }

    /// A frame is for this host.
    fn up(&mut self, core: &mut Core, dev: IfIndex, pdu: Pdu) {
        match pdu {
            Pdu::Arp(a) => self.arp_rx(core, dev, &a),
            Pdu::Ip(s) => self.ip_rx(core, dev, s),
        }
    }

    fn bridge_rx(&mut self, core: &mut Core, bridge: IfIndex, port: IfIndex, mut pdu: Pdu) {
        let now = core.now;
        let nf = self.sysctl.bridge_nf && (!self.nf.is_empty());
        let Some(b) = self.dev_mut(bridge) else { return };
        let (name, mac, up) = (b.name.clone(), b.mac, b.up);
        if let Kind::Bridge(b) = &mut b.kind {
            b.learn(pdu.src(), port, now);
        }
        pdu.spend(delay::BRIDGE);
        if !up {
            return core.drop_pdu(&mut pdu, &name, DropCause::DeviceDown(name.clone()));
        }
        let Pdu::Ip(mut skb) = pdu else { return self.bridge_forward(core, bridge, port, pdu) };
        (skb.iif, skb.physin) = (bridge, port);
        if nf {
            let before = skb.ip.dst;
            if !self.hook(core, Hook::Prerouting, &mut skb, bridge, 0, 0) {
                return;
            }
            skb.prerouted = true;
            if skb.ip.dst != before {
                match self.route_in(&skb, bridge) {
                    // The new destination is another station of this bridge: the frame goes there and stays a frame.
                    Decision::Out { dev, next, .. } if dev == bridge => {
                        skb.bridged = true;
                        return self.neigh_output(core, bridge, next, skb);
                    }
                    _ => skb.dst_mac = mac,
                }
            }
        }
        self.bridge_forward(core, bridge, port, Pdu::Ip(skb));
    }

    /// A packet that PREROUTING sent to another station of the same bridge has its link address now.
    pub(crate) fn bridge_resume(&mut self, core: &mut Core, bridge: IfIndex, mut skb: Box<Skb>) {
        skb.bridged = false;
        if let Some(b) = self.dev(bridge) {
            skb.src_mac = b.mac;
        }
        let port = skb.physin;
        self.bridge_forward(core, bridge, port, Pdu::Ip(skb));
    }

    /// Decides where a frame goes that came by `port`; 0 if this host sends it.
    fn bridge_forward(&mut self, core: &mut Core, bridge: IfIndex, port: IfIndex, mut pdu: Pdu) {
        let now = core.now;
        let dst = pdu.dst();
        let Some(b) = self.dev(bridge) else { return };
        let name = b.name.clone();
        let known = match &b.kind {
            Kind::Bridge(b) if !dst.is_group() => b.port(dst, now),
            _ => None,
        };
        // The bridge's own address, or that of one of its ports.
        let port_mac = |d: &std::sync::Arc<crate::device::Device>| d.master == Some(bridge) && d.mac == dst;
        let own = dst == b.mac || (known.is_none() && self.devices.values().any(port_mac));
        if port != 0 && own {
            pdu.note(|| What::Bridge { bridge: name.clone(), to: BridgeTo::Host });
            return self.bridge_up(core, bridge, pdu);
        }
        if let Some(to) = known {
            let ok = self.dev(to).is_some_and(|d| d.running() && (to != port || d.hairpin));
            if !ok {
                return core.drop_pdu(&mut pdu, &name, DropCause::NoBridgePort);
            }
            let to_name = self.dev_name(to);
            pdu.note(|| What::Bridge { bridge: name, to: BridgeTo::Port(to_name) });
            return self.bridge_out(core, bridge, port, to, pdu);
        }
        let ports: Vec<IfIndex> = self
            .devices
            .values()
            .filter(|d| d.master == Some(bridge) && d.running() && (d.index != port || d.hairpin))
            .map(|d| d.index)
            .collect();
        let group = dst.is_group();
        if !group {
            if ports.is_empty() {
                return core.drop_pdu(&mut pdu, &name, DropCause::NoBridgePort);
            }
            pdu.note(|| What::Bridge { bridge: name, to: BridgeTo::Flood(ports.len()) });
        }
        for to in ports {
            self.bridge_out(core, bridge, port, to, pdu.clone());
        }
        if group && port != 0 {
            self.bridge_up(core, bridge, pdu);
        }
    }

    fn bridge_up(&mut self, core: &mut Core, bridge: IfIndex, pdu: Pdu) {
        if let Some(b) = self.dev_mut(bridge) {
            b.stats.rx_packets += 1;
            b.stats.rx_bytes += pdu.bytes();
        }
        core.capture(self.id, bridge, &pdu);
        self.up(core, bridge, pdu);
    }

    /// Out of a bridge port; what only passes the bridge is shown to FORWARD and POSTROUTING.
    fn bridge_out(&mut self, core: &mut Core, bridge: IfIndex, from: IfIndex, to: IfIndex, pdu: Pdu) {
        let pdu = match pdu {
            Pdu::Ip(mut skb) if from != 0 && self.sysctl.bridge_nf && !self.nf.is_empty() => {
                if !self.hook(core, Hook::Forward, &mut skb, bridge, bridge, to)
                    || !self.hook(core, Hook::Postrouting, &mut skb, 0, bridge, to)
                {
                    return;
                }
                Pdu::Ip(skb)
            }
            p => p,
        };
        self.transmit(core, to, pdu);
    }

    /// Sends a frame out of a device.
    pub(crate) fn transmit(&mut self, core: &mut Core, dev: IfIndex, mut pdu: Pdu) {
        let id = self.id;
        let Some(d) = self.dev_mut(dev) else {
            return core.drop_pdu(&mut pdu, &SmolStr::default(), DropCause::NamespaceGone);
        };
        let name = d.name.clone();
        if !d.running() {
            d.stats.tx_dropped += 1;
            let cause =
                if d.up { DropCause::NoCarrier(name.clone()) } else { DropCause::DeviceDown(name.clone()) };
            return core.drop_pdu(&mut pdu, &name, cause);
        }
        d.stats.tx_packets += 1;
        d.stats.tx_bytes += pdu.bytes();
        core.capture(id, dev, &pdu);
        pdu.note(|| What::Tx { dev: name });
        match &d.kind {
            Kind::Loopback => {
                pdu.spend(delay::LOOPBACK);
                core.work.push(Work::Rx(id, dev, pdu));
            }
            Kind::Veth { peer_ns, peer } => {
                let (ns, peer) = (*peer_ns, *peer);
                pdu.spend(delay::VETH);
                if let Pdu::Ip(s) = &mut pdu {
                    s.scrub();
                }
                core.work.push(Work::Rx(ns, peer, pdu));
            }
            Kind::Eth { segment } => {
                let segment = *segment;
                pdu.spend(delay::ETH);
                if let Pdu::Ip(s) = &mut pdu {
                    s.scrub();
                }
                core.segment_tx(segment, id, dev, pdu);
            }
            Kind::Bridge(_) => {
                pdu.spend(delay::BRIDGE);
                self.bridge_forward(core, dev, 0, pdu);
            }
            Kind::Vxlan(_) => self.tunnel_tx(core, dev, pdu),
            Kind::Dummy => {
                let name = self.dev_name(dev);
                core.drop_pdu(&mut pdu, &name, DropCause::NoCarrier(name.clone()));
            }
        }
    }

    fn tunnel_tx(&mut self, core: &mut Core, dev: IfIndex, mut pdu: Pdu) {
        let Some(d) = self.dev(dev) else { return };
        let name = d.name.clone();
        let Kind::Vxlan(v) = &d.kind else { return };
        let (vni, port, local, ends) = (v.vni, v.port, v.local, v.ends(pdu.dst()));
        if ends.is_empty() {
            let dst = pdu.dst();
            return core.drop_pdu(&mut pdu, &name, DropCause::NoTunnelEnd(dst));
        }
        pdu.spend(delay::TUNNEL);
        for end in ends {
            let Some(src) = local.or_else(|| self.source_for(end).ok()) else { continue };
            let mut outer = self.tunnel_packet(core, vni, port, src, end, &pdu);
            outer.note(|| What::Encap { dev: name.clone(), vni, src, dst: end });
            core.work.push(Work::Output(self.id, outer));
        }
    }

    /// The outer packet takes the inner one's trace along.
    fn tunnel_packet(
        &mut self,
        core: &Core,
        vni: u32,
        port: u16,
        src: IpAddr,
        dst: IpAddr,
        pdu: &Pdu,
    ) -> Box<Skb> {
        let (flow, cause, delay, hops, rec) = match pdu {
            Pdu::Ip(s) => (s.flow, s.cause, s.delay_ns, s.hops, s.rec.clone()),
            Pdu::Arp(a) => (crate::FlowId::default(), sim::Cause::NONE, a.delay_ns, a.hops, None),
        };
        let frame = pdu.frame();
        // The source port spreads flows over paths: a hash of the inner packet, as the kernel does it.
        let mut h = sim::Hasher::default();
        if let crate::Body::Ip(ip) = &frame.body {
            let (a, b) = ip.ports().unwrap_or((0, 0));
            h.str(&format!("{}{}", ip.src, ip.dst));
            h.int(u64::from(a) << 16 | u64::from(b));
        }
        let range = u64::from(self.sysctl.local_ports.1 - self.sysctl.local_ports.0).max(1);
        let sport = self.sysctl.local_ports.0 + (h.digest().0 % range) as u16;
        self.ident = self.ident.wrapping_add(1);
        let ip = Ip {
            src,
            dst,
            ttl: self.sysctl.default_ttl,
            tos: 0,
            ident: self.ident,
            df: false,
            l4: L4::Udp(udp::Repr { src_port: sport, dst_port: port }, Payload::Vxlan(vni, Box::new(frame))),
        };
        let mut skb = core.kernel_skb(ip, flow, cause, delay);
        (skb.hops, skb.rec, skb.place) = (hops, rec, self.name.clone());
        skb
    }

    /// Takes a frame out of a tunnel packet; `false` if no tunnel wants it.
    pub(crate) fn tunnel_rx(&mut self, core: &mut Core, outer: &mut Box<Skb>) -> bool {
        let L4::Udp(u, Payload::Vxlan(vni, frame)) = &outer.ip.l4 else { return false };
        let (vni, dport) = (*vni, u.dst_port);
        let hit = self
            .devices
            .values()
            .find(|d| matches!(&d.kind, Kind::Vxlan(v) if v.vni == vni && v.port == dport && d.up));
        let Some((dev, name)) = hit.map(|d| (d.index, d.name.clone())) else { return false };
        let remote = outer.ip.src;
        let frame = (**frame).clone();
        if let Some(Kind::Vxlan(v)) = self.dev_mut(dev).map(|d| &mut d.kind) {
            v.learn(frame.src, remote);
        }
        let pdu = match frame.body {
            crate::Body::Arp(arp) => Pdu::Arp(Box::new(crate::skb::ArpPdu {
                src_mac: frame.src,
                dst_mac: frame.dst,
                arp,
                delay_ns: outer.delay_ns + delay::TUNNEL,
                hops: outer.hops,
            })),
            crate::Body::Ip(ip) => {
                let mut skb = core.kernel_skb(ip, outer.flow, outer.cause, outer.delay_ns + delay::TUNNEL);
                (skb.src_mac, skb.dst_mac, skb.hops) = (frame.src, frame.dst, outer.hops);
                (skb.rec, skb.place) = (outer.rec.take(), self.name.clone());
                skb.note(|| What::Decap { dev: name, vni });
                Pdu::Ip(skb)
            }
        };
        core.work.push(Work::Rx(self.id, dev, pdu));
        true
    }
}

impl Core {
    /// A frame enters a network segment.
    pub(crate) fn segment_tx(&mut self, id: SegmentId, ns: NsId, dev: IfIndex, mut pdu: Pdu) {
        let Some(seg) = self.segments.get(&id).cloned() else {
            return self.drop_pdu(&mut pdu, &SmolStr::default(), DropCause::NamespaceGone);
        };
        if let Pdu::Ip(s) = &mut pdu {
            s.place = seg.name.clone();
        }
        if !seg.up {
            return self.drop_pdu(&mut pdu, &SmolStr::default(), DropCause::LinkCut(seg.name.clone()));
        }
        let here = (ns, dev);
        if seg.fdb.get(&pdu.src()) != Some(&here)
            && let Some(s) = self.segments.get_mut(&id)
        {
            std::sync::Arc::make_mut(s).learn(pdu.src(), here);
        }
        if seg.loss_ppm > 0 && self.link_stream.below(1_000_000) < seg.loss_ppm {
            return self.drop_pdu(&mut pdu, &SmolStr::default(), DropCause::Lost(seg.name.clone()));
        }
        let latency = match seg.jitter_percent {
            0 => seg.latency,
            p => self.link_stream.jitter(seg.latency, p),
        };
        let dst = pdu.dst();
        let known = if dst.is_group() { None } else { seg.fdb.get(&dst).copied() };
        if let Some((to, dev)) = known.filter(|s| *s != here) {
            return self.segment_rx(&seg, ns, to, dev, pdu, latency);
        }
        for &(to, dev) in seg.stations.iter().filter(|s| **s != here) {
            self.segment_rx(&seg, ns, to, dev, pdu.clone(), latency);
        }
    }

    fn segment_rx(
        &mut self,
        seg: &crate::Segment,
        from: NsId,
        to: NsId,
        dev: IfIndex,
        mut pdu: Pdu,
        latency: Duration,
    ) {
        if seg.cut(from, to) {
            return self.drop_pdu(&mut pdu, &SmolStr::default(), DropCause::LinkCut(seg.name.clone()));
        }
        pdu.note(|| What::Wire { segment: seg.name.clone(), latency });
        self.arrive(to, dev, pdu, latency);
    }
}

/// The frame's addresses for a packet to a neighbour.
pub(crate) fn address(skb: &mut Skb, src: MacAddr, dst: MacAddr) {
    (skb.src_mac, skb.dst_mac) = (src, dst);
}
