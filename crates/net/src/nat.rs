//! Address translation of tracked connections.
//!
//! Models: nf_nat. A connection's first packet decides once a direction; all others are rewritten from its tuples. Where
//! a mapping would make two connections look alike, another port is sought.

use crate::conntrack::{Conn, Conntrack, Tuple, status};
use crate::wire::{icmpv4, proto};
use crate::{Icmp, Ip, L4, NatRange};
use core::net::{IpAddr, Ipv4Addr};
use sim::Stream;

/// What is rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manip {
    Src,
    Dst,
}

/// Tries to find a free port, as the kernel limits them.
const ATTEMPTS_MAX: u32 = 128;

impl Manip {
    fn bit(self) -> u16 {
        match self {
            Manip::Src => status::SRC_NAT,
            Manip::Dst => status::DST_NAT,
        }
    }

    /// The bit that says that this side was decided.
    pub fn done(self) -> u16 {
        match self {
            Manip::Src => status::SRC_NAT_DONE,
            Manip::Dst => status::DST_NAT_DONE,
        }
    }

    fn other(self) -> Manip {
        match self {
            Manip::Src => Manip::Dst,
            Manip::Dst => Manip::Src,
        }
    }
}

/// Decides one side of a fresh connection. An empty range keeps it, but for clashes. `false`: no mapping is free.
pub(crate) fn setup(
    ct: &Conntrack,
    c: &mut Conn,
    manip: Manip,
    range: &NatRange,
    stream: &mut Stream,
) -> bool {
    // What packets of the originator look like with the translations so far.
    let current = c.reply.inverted();
    let Some(new) = unique(ct, current, manip, range, stream) else { return false };
    if new != current {
        c.reply = new.inverted();
        c.status |= manip.bit();
    }
    c.status |= manip.done();
    true
}

fn in_addrs(range: &NatRange, a: IpAddr) -> bool {
    match (range.addrs, a) {
        (None, _) => true,
        (Some((lo, hi)), IpAddr::V4(a)) => lo <= a && a <= hi,
        _ => false,
    }
}

fn port_of(t: &Tuple, manip: Manip) -> u16 {
    // ICMP's identifier stands on the source side of both directions.
    if manip == Manip::Src || t.proto == proto::ICMP { t.sport } else { t.dport }
}

fn with_port(mut t: Tuple, manip: Manip, p: u16) -> Tuple {
    if manip == Manip::Src || t.proto == proto::ICMP {
        t.sport = p;
    } else {
        t.dport = p;
    }
    t
}

fn unique(ct: &Conntrack, orig: Tuple, manip: Manip, range: &NatRange, stream: &mut Stream) -> Option<Tuple> {
    let random = range.random || range.random_fully;
    let free = |t: &Tuple| !ct.used(&t.inverted());
    let in_ports = |t: &Tuple| range.ports.is_none_or(|(lo, hi)| (lo..=hi).contains(&port_of(t, manip)));
    if manip == Manip::Src && !random && in_addrs(range, orig.src) && in_ports(&orig) && free(&orig) {
        return Some(orig);
    }
    let mut t = orig;
    if let Some((lo, hi)) = range.addrs {
        let a = IpAddr::V4(pick(lo, hi, &orig, manip, range.persistent));
        match manip {
            Manip::Src => t.src = a,
            Manip::Dst => t.dst = a,
        }
    }
    if !random {
        let fixed = range.ports.is_some_and(|(lo, hi)| lo == hi);
        if in_ports(&t) && (fixed || free(&t)) {
            return Some(t);
        }
    }
    let key = port_of(&t, manip);
    let (lo, hi) = match range.ports {
        Some(p) => p,
        None if t.proto == proto::ICMP => (0, u16::MAX),
        // Another destination port would be another service.
        None if manip == Manip::Dst || !matches!(t.proto, proto::TCP | proto::UDP | proto::SCTP) => {
            return Some(t);
        }
        None if key < 512 => (1, 511),
        None if key < 1024 => (600, 1023),
        None => (1024, u16::MAX),
    };
    let size = u32::from(hi - lo) + 1;
    let mut attempts = size.min(ATTEMPTS_MAX);
    loop {
        let off = if random || manip == Manip::Src { stream.below(65_536) as u32 } else { 0 };
        for i in 0..attempts {
            let p = lo + ((off + i) % size) as u16;
            let candidate = with_port(t, manip, p);
            if free(&candidate) {
                return Some(candidate);
            }
        }
        if attempts >= size || attempts < 16 {
            return None;
        }
        attempts /= 2;
    }
}

/// An address of the range by a hash of the client, so that a client keeps its own.
fn pick(lo: Ipv4Addr, hi: Ipv4Addr, t: &Tuple, manip: Manip, persistent: bool) -> Ipv4Addr {
    let (lo, hi) = (lo.to_bits(), hi.to_bits().max(lo.to_bits()));
    if lo == hi {
        return lo.into();
    }
    let mut h = sim::Hasher::default();
    let bits = |a: IpAddr| match a {
        IpAddr::V4(a) => u64::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits() as u64,
    };
    h.int(bits(t.src));
    if !persistent || manip == Manip::Src {
        h.int(if persistent { 0 } else { bits(t.dst) });
    }
    let n = u64::from(hi - lo) + 1;
    Ipv4Addr::from_bits(lo + (h.digest().0 % n) as u32)
}

/// What was rewritten, for traces: before and after.
pub(crate) type Rewrite = Option<(Tuple, Tuple)>;

/// Rewrites one side of a packet of connection `c` at a hook that translates `manip`.
pub(crate) fn apply(ip: &mut Ip, c: &Conn, reply: bool, manip: Manip) -> Rewrite {
    if !translates(c, reply, manip) {
        return None;
    }
    let before = Tuple::of(ip)?;
    let target = c.tuple(!reply).inverted();
    rewrite(ip, &target, manip, true);
    let after = Tuple::of(ip)?;
    (before != after).then_some((before, after))
}

fn translates(c: &Conn, reply: bool, manip: Manip) -> bool {
    // Answers are translated back at the opposite hook.
    c.has(if reply { manip.other().bit() } else { manip.bit() })
}

fn rewrite(ip: &mut Ip, target: &Tuple, manip: Manip, ports: bool) {
    match manip {
        Manip::Src => ip.src = target.src,
        Manip::Dst => ip.dst = target.dst,
    }
    if !ports {
        return;
    }
    match &mut ip.l4 {
        L4::Tcp(t, _) if manip == Manip::Src => t.src_port = target.sport,
        L4::Tcp(t, _) => t.dst_port = target.dport,
        L4::Udp(u, _) if manip == Manip::Src => u.src_port = target.sport,
        L4::Udp(u, _) => u.dst_port = target.dport,
        L4::Icmp(Icmp::Echo { ident, .. }) => *ident = target.sport,
        _ => {}
    }
}

/// Whether a redirect must not go out: while addresses of its connection are translated it would mislead.
pub(crate) fn misleads(ip: &Ip, c: &Conn) -> bool {
    let redirect = matches!(&ip.l4, L4::Icmp(Icmp::Error { kind: icmpv4::kind::REDIRECT, .. }));
    let decided = c.has(status::SRC_NAT_DONE) && c.has(status::DST_NAT_DONE);
    redirect && (!decided || c.is_snat() || c.is_dnat())
}

/// Rewrites an ICMP error about connection `c`: the packet that it quotes, and its own addresses.
pub(crate) fn apply_error(ip: &mut Ip, c: &Conn, reply: bool, manip: Manip) -> Rewrite {
    if !translates(c, reply, manip) {
        return None;
    }
    let before = Tuple { src: ip.src, dst: ip.dst, sport: 0, dport: 0, proto: proto::ICMP };
    if let L4::Icmp(Icmp::Error { original, .. }) = &mut ip.l4 {
        let inner = c.tuple(!reply);
        rewrite(original, &inner, manip.other(), true);
    }
    let target = c.tuple(!reply).inverted();
    rewrite(ip, &target, manip, false);
    let after = Tuple { src: ip.src, dst: ip.dst, ..before };
    (before != after).then_some((before, after))
}
