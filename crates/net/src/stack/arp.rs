//! Neighbours and ARP: finding a link address, waiting for it, keeping it fresh.

use super::{Core, Event};
use crate::MacAddr;
use crate::device::IfIndex;
use crate::namespace::Namespace;
use crate::neigh::{DELAY, Neigh, NeighState, PROBES_MAX, RETRANS};
use crate::skb::{ArpPdu, Pdu, Skb};
use crate::trace::{DropCause, What};
use crate::wire::{arp, icmpv4};
use core::net::{IpAddr, Ipv4Addr};
use sim::Limits;
use std::sync::Arc;

impl Namespace {
    /// Sends a packet out of `dev` to the neighbour `next`, asking for its link address first if need be.
    pub(crate) fn neigh_output(&mut self, core: &mut Core, dev: IfIndex, next: IpAddr, mut skb: Box<Skb>) {
        let Some(d) = self.dev(dev) else { return };
        let own = d.mac;
        if !d.has_neighbours() {
            return self.transmit(core, dev, Pdu::Ip(skb));
        }
        if matches!(next, IpAddr::V4(v) if v.is_broadcast() || v.is_multicast())
            || self.broadcast.get(&next) == Some(&dev)
        {
            super::link::address(&mut skb, own, MacAddr::BROADCAST);
            return self.transmit(core, dev, Pdu::Ip(skb));
        }
        let now = core.now;
        let key = (dev, next);
        let state = self.neigh.get(&key).map(|n| (n.state_at(now), n.mac));
        match state {
            Some((s, mac)) if !matches!(s, NeighState::Incomplete | NeighState::Failed) => {
                if s == NeighState::Stale
                    && let Some(n) = self.neigh.get_mut(&key)
                {
                    n.state = NeighState::Delay;
                    core.queue.push(now + DELAY, Event::Neigh(self.id, dev, next));
                }
                skb.note(|| What::Neighbour { addr: next, mac: Some(mac) });
                if skb.bridged {
                    skb.dst_mac = mac;
                    return self.bridge_resume(core, dev, skb);
                }
                super::link::address(&mut skb, own, mac);
                self.transmit(core, dev, Pdu::Ip(skb));
            }
            _ => self.neigh_wait(core, dev, next, skb),
        }
    }

    fn neigh_wait(&mut self, core: &mut Core, dev: IfIndex, next: IpAddr, mut skb: Box<Skb>) {
        let (now, key) = (core.now, (dev, next));
        skb.note(|| What::Neighbour { addr: next, mac: None });
        let mut ask = false;
        if !self.neigh.contains_key(&key) && self.neigh.len() >= Limits::TABLE.neighbours_max {
            // As gc_thresh3: entries that nobody is sure of give way.
            let unsure = |n: &Neigh| matches!(n.state_at(now), NeighState::Stale | NeighState::Failed);
            let gone = self.neigh.iter().find(|(_, n)| unsure(n)).map(|(k, _)| *k);
            match gone {
                Some(k) => {
                    self.neigh.remove(&k);
                }
                None => {
                    let name = self.dev_name(dev);
                    return core.drop_skb(&mut skb, &name, None, DropCause::NeighbourQueueFull(next));
                }
            }
        }
        if self.neigh.get(&key).is_none_or(|n| n.state == NeighState::Failed) {
            let mut n = Neigh::new(NeighState::Incomplete, MacAddr::ZERO, now);
            n.probes = 1;
            self.neigh.insert(key, n);
            ask = true;
        }
        if let Some(n) = self.neigh.get_mut(&key) {
            if n.queue.len() >= Limits::TABLE.neighbour_queue_max
                && let Some(old) = n.queue.pop_front()
            {
                let mut old = Arc::unwrap_or_clone(old);
                core.drop_skb(&mut old, &"".into(), None, DropCause::NeighbourQueueFull(next));
            }
            // What the packet waits is its delay when the answer comes; so its clock starts again there.
            n.queue.push_back(Arc::new(*skb));
        }
        if ask {
            let delay = self.neigh.get(&key).and_then(|n| n.queue.front().map(|s| s.delay_ns)).unwrap_or(0);
            core.queue.push(now + RETRANS, Event::Neigh(self.id, dev, next));
            self.arp_ask(core, dev, next, MacAddr::BROADCAST, delay);
        }
    }

    /// Sends an ARP request.
    fn arp_ask(&mut self, core: &mut Core, dev: IfIndex, addr: IpAddr, to: MacAddr, delay_ns: u64) {
        let IpAddr::V4(target_ip) = addr else { return };
        let Some(d) = self.dev(dev) else { return };
        let mac = d.mac;
        let sender_ip = match self.source(dev, addr) {
            Some(IpAddr::V4(a)) => a,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let arp = arp::Repr {
            operation: arp::Operation::Request,
            sender_mac: mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip,
        };
        let pdu = ArpPdu { src_mac: mac, dst_mac: to, arp, delay_ns, hops: 0 };
        self.transmit(core, dev, Pdu::Arp(Box::new(pdu)));
    }

    /// Tells the link that an address is here now, as `arping -A` does after an address was added.
    pub(crate) fn arp_announce(&mut self, core: &mut Core, dev: IfIndex, addr: Ipv4Addr) {
        let Some(mac) = self.dev(dev).map(|d| d.mac) else { return };
        let arp = arp::Repr {
            operation: arp::Operation::Reply,
            sender_mac: mac,
            sender_ip: addr,
            target_mac: MacAddr::BROADCAST,
            target_ip: addr,
        };
        let pdu = ArpPdu { src_mac: mac, dst_mac: MacAddr::BROADCAST, arp, delay_ns: 0, hops: 0 };
        self.transmit(core, dev, Pdu::Arp(Box::new(pdu)));
    }

    /// An ARP packet for this host.
    pub(crate) fn arp_rx(&mut self, core: &mut Core, dev: IfIndex, p: &ArpPdu) {
        let a = p.arp;
        let (sender, target) = (IpAddr::V4(a.sender_ip), IpAddr::V4(a.target_ip));
        if self.is_local(sender) {
            return;
        }
        let mine = self.is_local(target) && !a.target_ip.is_loopback();
        let reply = a.operation == arp::Operation::Reply;
        if !a.sender_ip.is_unspecified() {
            let known = self.neigh.contains_key(&(dev, sender));
            if known || (mine && !reply) {
                let direct = reply && Some(p.dst_mac) == self.dev(dev).map(|d| d.mac);
                self.neigh_update(core, dev, sender, a.sender_mac, direct, p.delay_ns);
            }
        }
        if reply {
            return;
        }
        let proxied = || {
            !self.sysctl.plain()
                && self.sysctl.device(&self.dev_name(dev), "proxy_arp") != 0
                && self.sysctl.ip_forward
                && matches!(self.lookup(target, 0), crate::namespace::Decision::Out { dev: d, .. } if d != dev)
        };
        if !mine && !proxied() {
            return;
        }
        let Some(mac) = self.dev(dev).map(|d| d.mac) else { return };
        let arp = arp::Repr {
            operation: arp::Operation::Reply,
            sender_mac: mac,
            sender_ip: a.target_ip,
            target_mac: a.sender_mac,
            target_ip: a.sender_ip,
        };
        let pdu = ArpPdu { src_mac: mac, dst_mac: a.sender_mac, arp, delay_ns: p.delay_ns, hops: p.hops };
        self.transmit(core, dev, Pdu::Arp(Box::new(pdu)));
    }

    /// A neighbour has spoken. `sure`: it answered a question of ours.
    fn neigh_update(
        &mut self,
        core: &mut Core,
        dev: IfIndex,
        addr: IpAddr,
        mac: MacAddr,
        sure: bool,
        delay_ns: u64,
    ) {
        let (now, key) = (core.now, (dev, addr));
        let Some(n) = self.neigh.get_mut(&key) else {
            if self.neigh.len() < Limits::TABLE.neighbours_max {
                self.neigh.insert(key, Neigh::new(NeighState::Stale, mac, now));
            }
            return;
        };
        if n.state == NeighState::Permanent {
            return;
        }
        let waiting = core::mem::take(&mut n.queue);
        n.confirmed = now;
        n.probes = 0;
        if sure {
            n.state = NeighState::Reachable;
        } else if n.mac != mac || matches!(n.state, NeighState::Incomplete | NeighState::Failed) {
            n.state = NeighState::Stale;
        }
        n.mac = mac;
        for skb in waiting {
            let mut skb = Box::new(Arc::unwrap_or_clone(skb));
            // The answer's delay includes the question's way; the packet's own clock goes on from there.
            skb.delay_ns = skb.delay_ns.max(delay_ns);
            if let Some(r) = &mut skb.rec {
                r.base = now;
            }
            self.neigh_output(core, dev, addr, skb);
        }
    }

    /// A neighbour's timer: asks again or gives up.
    pub(crate) fn neigh_timer(&mut self, core: &mut Core, dev: IfIndex, addr: IpAddr) {
        let (now, key) = (core.now, (dev, addr));
        let Some(n) = self.neigh.get_mut(&key) else { return };
        match n.state {
            NeighState::Delay => {
                n.state = NeighState::Probe;
                n.probes = 1;
            }
            NeighState::Incomplete | NeighState::Probe if n.probes < PROBES_MAX => n.probes += 1,
            NeighState::Incomplete | NeighState::Probe => {
                n.state = NeighState::Failed;
                let waiting = core::mem::take(&mut n.queue);
                let name = self.dev_name(dev);
                for skb in waiting {
                    let mut skb = Arc::unwrap_or_clone(skb);
                    skb.delay_ns = 0;
                    if let Some(r) = &mut skb.rec {
                        r.base = now;
                    }
                    self.icmp_error(core, &skb, icmpv4::kind::DEST_UNREACHABLE, icmpv4::unreachable::HOST, 0);
                    core.drop_skb(&mut skb, &name, None, DropCause::NoNeighbour(addr));
                }
                return;
            }
            _ => return,
        }
        let to = if n.state == NeighState::Probe { n.mac } else { MacAddr::BROADCAST };
        core.queue.push(now + RETRANS, Event::Neigh(self.id, dev, addr));
        self.arp_ask(core, dev, addr, to, 0);
    }
}
