//! ICMP: answering echo requests and reporting errors.

use super::{Core, Work};
use crate::conntrack::Ct;
use crate::namespace::Namespace;
use crate::skb::Skb;
use crate::wire::{icmpv4::kind, proto, tcp};
use crate::{Bytes, Icmp, Ip, L4};
use core::net::IpAddr;

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
        let original = Box::new(ip.clone());
        let error = Icmp::Error { kind, code, info, original };
        let mut out = self.packet(src, ip.src, false, L4::Icmp(error));
        out.tos = 0xc0;
        self.answer(core, skb, out, Ct::None);
    }

    /// Answers a segment with a reset.
    pub(crate) fn tcp_reset(&mut self, core: &mut Core, skb: &Skb) {
        let L4::Tcp(t, data) = &skb.ip.l4 else { return };
        if t.flags.has(tcp::Flags::RST) {
            return;
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
        let ip = self.packet(skb.ip.dst, skb.ip.src, true, L4::Tcp(repr, Bytes::default()));
        self.answer(core, skb, ip, Ct::None);
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
