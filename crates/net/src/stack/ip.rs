//! IP: input, forwarding, output.

use super::{Core, Event, Work};
use crate::device::IfIndex;
use crate::namespace::{Decision, LO, Namespace};
use crate::netfilter::Hook;
use crate::skb::Skb;
use crate::trace::{DropCause, What};
use crate::wire::{icmpv4, tcp};
use crate::{Errno, Icmp, L4, Payload};
use core::net::IpAddr;
use smol_str::SmolStr;

/// Time that the kernel needs for a packet, in ns.
const ROUTE_NS: u64 = 1_000;
const DELIVER_NS: u64 = 2_000;

fn loopback(a: IpAddr) -> bool {
    matches!(a, IpAddr::V4(v) if v.is_loopback())
}

impl Namespace {
    /// A packet has arrived by `dev`.
    pub(crate) fn ip_rx(&mut self, core: &mut Core, dev: IfIndex, mut skb: Box<Skb>) {
        skb.iif = dev;
        if !skb.prerouted && !self.hook(core, Hook::Prerouting, &mut skb, dev, 0, 0) {
            return;
        }
        skb.prerouted = true;
        skb.spend(ROUTE_NS);
        match self.route_in(&skb, dev) {
            Decision::Local(at) => {
                let (dst, name) = (skb.ip.dst, self.dev_name(at));
                skb.note(|| What::Route { dst, local: true, route: None, dev: name, via: None });
                self.ip_input(core, dev, skb);
            }
            Decision::Broadcast(_) => self.ip_input(core, dev, skb),
            Decision::Out { dev: out, next, route, via, .. } => {
                let (dst, name) = (skb.ip.dst, self.dev_name(out));
                skb.note(|| What::Route { dst, local: false, route: Some(route), dev: name, via });
                self.ip_forward(core, dev, out, next, skb);
            }
            Decision::Fail(e) => self.unroutable(core, dev, skb, e),
        }
    }

    /// The routing decision for a packet that came by `dev`, with the checks of its addresses.
    pub(crate) fn route_in(&self, skb: &Skb, dev: IfIndex) -> Decision {
        let (src, dst) = (skb.ip.src, skb.ip.dst);
        let name = || self.dev(dev).map_or("", |d| d.name.as_str());
        if dev != LO && (loopback(src) || loopback(dst)) {
            let allowed = !self.sysctl.plain() && self.sysctl.device(name(), "route_localnet") != 0;
            if !allowed {
                return Decision::Fail(Errno::EINVAL);
            }
        }
        let decision = match self.lookup(dst, 0) {
            Decision::Fail(Errno::ENETUNREACH) if dst == IpAddr::V4(core::net::Ipv4Addr::BROADCAST) => {
                Decision::Broadcast(dev)
            }
            d => d,
        };
        // A packet from outside with one of our own addresses as source is spoofed; over loopback it is normal.
        if dev != LO && self.is_local(src) && !loopback(src) {
            return Decision::Fail(Errno::EINVAL);
        }
        let filter = if self.sysctl.plain() { 0 } else { self.sysctl.device(name(), "rp_filter") };
        if dev != LO && filter > 0 {
            let back = self.lookup(src, 0);
            let ok = match back {
                Decision::Out { dev: d, .. } => d == dev || filter == 2,
                _ => false,
            };
            if !ok {
                return Decision::Fail(Errno::EPERM);
            }
        }
        decision
    }

    fn unroutable(&mut self, core: &mut Core, dev: IfIndex, mut skb: Box<Skb>, e: Errno) {
        let name = self.dev_name(dev);
        let cause = match e {
            Errno::EINVAL => DropCause::Martian(skb.ip.src),
            Errno::EPERM => DropCause::ReversePath(skb.ip.src),
            _ if !self.sysctl.ip_forward => DropCause::ForwardingOff,
            _ => DropCause::NoRoute(skb.ip.dst),
        };
        if let DropCause::NoRoute(_) = cause {
            let code = match e {
                Errno::EHOSTUNREACH => icmpv4::unreachable::HOST,
                Errno::EACCES => icmpv4::unreachable::ADMIN_PROHIBITED,
                _ => icmpv4::unreachable::NET,
            };
            self.icmp_error(core, &skb, icmpv4::kind::DEST_UNREACHABLE, code, 0);
        }
        core.drop_skb(&mut skb, &name, None, cause);
    }

    fn ip_forward(&mut self, core: &mut Core, dev: IfIndex, out: IfIndex, next: IpAddr, mut skb: Box<Skb>) {
        let name = self.dev_name(dev);
        if !self.sysctl.ip_forward {
            return core.drop_skb(&mut skb, &name, None, DropCause::ForwardingOff);
        }
        if skb.ip.ttl <= 1 {
            self.icmp_error(core, &skb, icmpv4::kind::TIME_EXCEEDED, 0, 0);
            return core.drop_skb(&mut skb, &name, None, DropCause::TtlExceeded);
        }
        let mtu = self.dev(out).map_or(0, |d| d.mtu);
        if skb.ip.df && skb.ip.len() > mtu as usize {
            self.icmp_error(
                core,
                &skb,
                icmpv4::kind::DEST_UNREACHABLE,
                icmpv4::unreachable::FRAG_NEEDED,
                mtu,
            );
            return core.drop_skb(&mut skb, &name, None, DropCause::TooBig { mtu });
        }
        skb.ip.ttl -= 1;
        if out == dev && skb.physin == 0 && self.redirects(&skb, dev, next) {
            self.redirect(core, &skb, next);
        }
        if !self.hook(core, Hook::Forward, &mut skb, dev, out, 0) {
            return;
        }
        self.ip_finish(core, out, next, skb);
    }

    /// Whether the sender is a neighbour that could reach `next` itself. Traffic that a rule has turned back is the rule's
    /// business.
    fn redirects(&self, skb: &Skb, dev: IfIndex, next: IpAddr) -> bool {
        let near = |a: IpAddr| self.addrs.iter().any(|x| x.dev == dev && x.cidr.contains(a));
        let off = !self.sysctl.plain()
            && self.sysctl.get("net.ipv4.conf.all.send_redirects").as_deref() == Some("0");
        near(skb.ip.src) && near(next) && !off
    }

    /// POSTROUTING and the neighbour.
    fn ip_finish(&mut self, core: &mut Core, out: IfIndex, next: IpAddr, mut skb: Box<Skb>) {
        if !self.hook(core, Hook::Postrouting, &mut skb, 0, out, 0) {
            return;
        }
        self.neigh_output(core, out, next, skb);
    }

    /// A packet is for this host.
    fn ip_input(&mut self, core: &mut Core, dev: IfIndex, mut skb: Box<Skb>) {
        if !self.hook(core, Hook::Input, &mut skb, dev, 0, 0) {
            return;
        }
        skb.spend(DELIVER_NS);
        match &skb.ip.l4 {
            L4::Udp(_, Payload::Vxlan(..)) => {
                if !self.tunnel_rx(core, &mut skb) {
                    self.no_socket(core, &skb);
                    core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::NoSocket);
                }
            }
            L4::Icmp(Icmp::Echo { reply: false, .. }) => {
                self.echo_reply(core, &mut skb);
                core.delivered(&mut skb, || "the kernel (ICMP echo)".into());
            }
            L4::Other(p, _) => {
                let p = *p;
                self.no_socket(core, &skb);
                core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::UnknownProtocol(p));
            }
            _ => core.deliver(self.id, *skb),
        }
    }

    /// Sends a packet made here. Errors are those that the sending call sees.
    pub(crate) fn ip_output(&mut self, core: &mut Core, mut skb: Box<Skb>) -> Result<(), Errno> {
        skb.place = self.name.clone();
        let (mut out, mut next) = match self.route_out(&mut skb) {
            Ok(r) => r,
            Err(e) => {
                let dst = skb.ip.dst;
                core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::NoRoute(dst));
                return Err(e);
            }
        };
        let before = skb.ip.dst;
        let mut rerouted = None;
        let passed = self.output_hook(core, &mut skb, out, |ns, skb| {
            if skb.ip.dst == before {
                return Some(out);
            }
            // The destination was translated: the route is sought again, the source stays.
            rerouted = ns.route_out(skb).ok();
            rerouted.map(|(d, _)| d)
        });
        if !passed {
            return Err(Errno::EPERM);
        }
        if let Some(r) = rerouted {
            (out, next) = r;
        }
        let mtu = self.dev(out).map_or(0, |d| d.mtu);
        if skb.ip.df && skb.ip.len() > mtu as usize {
            core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::TooBig { mtu });
            return Err(Errno::EMSGSIZE);
        }
        skb.spend(ROUTE_NS);
        self.ip_finish(core, out, next, skb);
        Ok(())
    }

    fn route_out(&self, skb: &mut Skb) -> Result<(IfIndex, IpAddr), Errno> {
        let dst = skb.ip.dst;
        match self.lookup(dst, 0) {
            Decision::Local(at) => {
                let name = self.dev_name(at);
                skb.note(|| What::Route { dst, local: true, route: None, dev: name, via: None });
                if self.dev(LO).is_some_and(|d| d.up) { Ok((LO, dst)) } else { Err(Errno::ENETUNREACH) }
            }
            Decision::Broadcast(dev) => Ok((dev, dst)),
            Decision::Out { dev, next, route, via, .. } => {
                if loopback(skb.ip.src) {
                    let ok = !self.sysctl.plain()
                        && self.sysctl.device(&self.dev_name(dev), "route_localnet") != 0;
                    if !ok {
                        return Err(Errno::EINVAL);
                    }
                }
                let name = self.dev_name(dev);
                skb.note(|| What::Route { dst, local: false, route: Some(route), dev: name, via });
                Ok((dev, next))
            }
            Decision::Fail(e) => Err(e),
        }
    }

    /// An event of this namespace.
    pub(crate) fn event(&mut self, core: &mut Core, e: Event) {
        match e {
            Event::Frame(_, dev, pdu) => self.rx(core, dev, std::sync::Arc::unwrap_or_clone(pdu)),
            Event::Deliver(_, skb) => self.socket_rx(core, Box::new(std::sync::Arc::unwrap_or_clone(skb))),
            Event::Socket(_, id) => self.socket_timer(core, id),
            Event::Neigh(_, dev, addr) => self.neigh_timer(core, dev, addr),
        }
    }

    /// Work of this namespace.
    pub(crate) fn do_work(&mut self, core: &mut Core, w: Work) {
        match w {
            Work::Rx(_, dev, pdu) => self.rx(core, dev, pdu),
            Work::Output(_, skb) => {
                let probe = skb_head(&skb);
                if let Err(e) = self.ip_output(core, skb) {
                    self.output_failed(core, probe, e);
                }
            }
        }
    }

    /// The sender of a packet that could not even leave is told as if an ICMP error had come.
    fn output_failed(&mut self, core: &mut Core, head: Option<crate::socket::Key>, e: Errno) {
        if let Some(k) = head {
            self.socket_error(core, k, e);
        }
    }
}

/// What identifies the sending socket, for TCP segments that a socket sends on its own.
fn skb_head(skb: &Skb) -> Option<crate::socket::Key> {
    match &skb.ip.l4 {
        L4::Tcp(t, _) if !t.flags.has(tcp::Flags::RST) => {
            Some(crate::socket::Key::tcp((skb.ip.src, t.src_port).into(), (skb.ip.dst, t.dst_port).into()))
        }
        _ => None,
    }
}
