//! ICMP: answering echo requests and reporting errors, within the kernel's limits.
//!
//! A destination gets one error a second after a burst of six, as `icmp_ratelimit` has it: who is rejected more often than
//! that sees silence. The limit over all destinations is not modelled.

use super::{Core, Work};
use crate::conntrack::Ct;
use crate::namespace::Namespace;
use crate::skb::{Pdu, Skb};
use crate::wire::icmpv4::{self, kind};
use crate::wire::{proto, tcp};
use crate::{Bytes, Icmp, Ip, L4};
use core::net::IpAddr;
use sim::{Duration, Instant};

const ERROR_EVERY: Duration = Duration::from_secs(1);
const ERROR_BURST: u32 = 6;
/// Silence after which a host that ignored redirects gets them again, and how many it gets.
const REDIRECT_SILENCE: Duration = Duration::from_secs(20);
const REDIRECTS_MAX: u8 = 9;
const PEERS_MAX: usize = 4_096;

/// What was sent to a host not long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    tokens: Duration,
    last: Instant,
    redirects: u8,
}

impl Namespace {
    /// An IP packet from this host with the defaults.
    pub(crate) fn packet(&mut self, src: IpAddr, dst: IpAddr, df: bool, l4: L4) -> Ip {
        self.ident = self.ident.wrapping_add(1);
        Ip { src, dst, ttl: self.sysctl.default_ttl, tos: 0, ident: self.ident, df, l4 }
    }

    /// Answers an echo request.
    pub(crate) fn echo_reply(&mut self, core: &mut Core, skb: &mut Skb) {
        let L4::Icmp(Icmp::Echo { reply: false, ident, seq, data }) = &skb.ip.l4 else { return };
        if self.sysctl.echo_ignore || !self.is_local(skb.ip.dst) {
            return;
        }
        let l4 = L4::Icmp(Icmp::Echo { reply: true, ident: *ident, seq: *seq, data: data.clone() });
        let ip = self.packet(skb.ip.dst, skb.ip.src, false, l4);
        let traced = skb.rec.is_some();
        let mut reply = core.kernel_skb(ip, skb.flow, skb.cause, skb.delay_ns + 1_000);
        reply.place = self.name.clone();
        reply.hops = skb.hops;
        if traced {
            core.record(&mut reply, true);
        }
        core.work.push(Work::Output(self.id, reply));
    }

    /// Reports an error about a packet to its sender, unless the packet must not cause one.
    pub(crate) fn icmp_error(&mut self, core: &mut Core, skb: &Skb, kind: u8, code: u8, info: u32) {
        let ip = &skb.ip;
        let quiet = match ip.src {
            IpAddr::V4(v) => v.is_unspecified() || v.is_broadcast() || v.is_multicast(),
            IpAddr::V6(_) => true,
        };
        let about_error = matches!(&ip.l4, L4::Icmp(Icmp::Error { .. }));
        if quiet || about_error || skb.dst_mac.is_group() || self.broadcast.contains_key(&ip.dst) {
            return;
        }
        // The destination speaks if it is here; else whoever is nearest to the sender.
        let src = match self.is_local(ip.dst) {
            true => Some(ip.dst),
            false => self.source_for(ip.src).ok(),
        };
        let Some(src) = src else { return };
        let fragments = (kind, code) == (kind::DEST_UNREACHABLE, icmpv4::unreachable::FRAG_NEEDED);
        if !fragments && !self.is_local(ip.src) && !self.may_report(core.now, ip.src) {
            return;
        }
        let original = Box::new(ip.clone());
        let error = Icmp::Error { kind, code, info, original };
        let mut out = self.packet(src, ip.src, false, L4::Icmp(error));
        out.tos = 0xc0;
        self.answer(core, skb, out, skb.ct.answer());
    }

    fn peer(&mut self, now: Instant, addr: IpAddr) -> Peer {
        if self.peers.len() >= PEERS_MAX {
            self.peers = sim::persistent::OrdMap::new();
        }
        self.peers.get(&addr).copied().unwrap_or(Peer {
            tokens: ERROR_EVERY * ERROR_BURST,
            last: now,
            redirects: 0,
        })
    }

    /// Takes from the sender's allowance of errors.
    fn may_report(&mut self, now: Instant, addr: IpAddr) -> bool {
        let mut p = self.peer(now, addr);
        p.tokens = (p.tokens + now.since(p.last)).min(ERROR_EVERY * ERROR_BURST);
        p.last = now;
        let ok = p.tokens >= ERROR_EVERY;
        if ok {
            p.tokens -= ERROR_EVERY;
        }
        self.peers.insert(addr, p);
        ok
    }

    /// Tells a neighbour that it could have sent a packet straight to `gateway`. Nobody acts on it in the model; but, as in
    /// the kernel, it uses up the allowance of errors.
    pub(crate) fn redirect(&mut self, core: &mut Core, skb: &Skb, gateway: IpAddr) {
        let (now, to) = (core.now, skb.ip.src);
        let IpAddr::V4(gw) = gateway else { return };
        let mut p = self.peer(now, to);
        if now.since(p.last) > REDIRECT_SILENCE || p.redirects == 0 {
            (p.tokens, p.redirects) = (Duration::ZERO, 0);
        }
        let due =
            p.redirects == 0 || now.since(p.last) > Duration::from_millis(20) * (1 << p.redirects.min(9));
        if p.redirects >= REDIRECTS_MAX || !due {
            self.peers.insert(to, p);
            return;
        }
        p.last = now;
        p.redirects += 1;
        self.peers.insert(to, p);
        let Some(src) = self.source(skb.iif, to) else { return };
        let error = Icmp::Error {
            kind: kind::REDIRECT,
            code: 1,
            info: gw.to_bits(),
            original: Box::new(skb.ip.clone()),
        };
        let out = self.packet(src, to, false, L4::Icmp(error));
        self.answer(core, skb, out, skb.ct.answer());
    }

    /// Answers a segment with a reset.
    pub(crate) fn tcp_reset(&mut self, core: &mut Core, skb: &Skb) {
        if let Some(ip) = self.reset_packet(skb) {
            self.answer(core, skb, ip, skb.ct.answer());
        }
    }

    /// The reset of a REJECT rule. To what came by a bridge with br_netfilter it goes straight back out of the port,
    /// past OUTPUT and POSTROUTING: translated addresses are not translated back.
    pub(crate) fn reject_reset(&mut self, core: &mut Core, skb: &Skb) {
        if skb.physin == 0 || !self.sysctl.bridge_nf {
            return self.tcp_reset(core, skb);
        }
        let Some(ip) = self.reset_packet(skb) else { return };
        let mut reply = core.kernel_skb(ip, skb.flow, skb.cause, skb.delay_ns);
        (reply.place, reply.hops) = (self.name.clone(), skb.hops);
        (reply.src_mac, reply.dst_mac) = (skb.dst_mac, skb.src_mac);
        if skb.rec.is_some() {
            core.record(&mut reply, true);
        }
        self.transmit(core, skb.physin, Pdu::Ip(reply));
    }

    fn reset_packet(&mut self, skb: &Skb) -> Option<Ip> {
        let L4::Tcp(t, data) = &skb.ip.l4 else { return None };
        if t.flags.has(tcp::Flags::RST) {
            return None;
        }
        let syn_fin = t.flags.0 & 3;
        let len = data.len() as u32 + u32::from(syn_fin & 1) + u32::from(syn_fin >> 1);
        let (seq, ack, flags) = if t.flags.has(tcp::Flags::ACK) {
            (t.ack, 0, tcp::Flags::RST)
        } else {
            (0, t.seq.wrapping_add(len), tcp::Flags::RST | tcp::Flags::ACK)
        };
        let repr = tcp::Repr {
            src_port: t.dst_port,
            dst_port: t.src_port,
            seq,
            ack,
            flags,
            window: 0,
            mss: None,
            wscale: None,
            sack_ok: false,
            ts: None,
        };
        Some(self.packet(skb.ip.dst, skb.ip.src, true, L4::Tcp(repr, Bytes::default())))
    }

    /// Sends an answer that belongs to the packet's flow.
    fn answer(&mut self, core: &mut Core, skb: &Skb, ip: Ip, ct: Ct) {
        let mut reply = core.kernel_skb(ip, skb.flow, skb.cause, skb.delay_ns);
        (reply.place, reply.hops, reply.ct) = (self.name.clone(), skb.hops, ct);
        if skb.rec.is_some() {
            core.record(&mut reply, true);
        }
        core.work.push(Work::Output(self.id, reply));
    }

    /// What this host says to a packet that no socket wants.
    pub(crate) fn no_socket(&mut self, core: &mut Core, skb: &Skb) {
        match skb.ip.protocol() {
            proto::TCP => self.tcp_reset(core, skb),
            proto::UDP => self.icmp_error(core, skb, kind::DEST_UNREACHABLE, 3, 0),
            proto::ICMP => {}
            _ => self.icmp_error(core, skb, kind::DEST_UNREACHABLE, 2, 0),
        }
    }
}
