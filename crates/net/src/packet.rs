//! The simulated packet: protocol fields as values, no bytes on the hot path.
//!
//! [`Ip`] is what routes and rules see; [`Frame`] wraps it for a link. [`Ip::emit`] and [`Frame::emit`] make real
//! bytes for captures. What a packet meets on its way lives in `Skb`, not here.

use crate::MacAddr;
use crate::wire::{self, arp, ethernet, icmpv4, ipv4, proto, tcp, udp, vxlan};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Shared bytes.
pub type Bytes = Arc<[u8]>;

/// Bytes of an ICMP error at most, as Linux cuts them.
const ICMP_ERROR_BYTES_MAX: usize = 576;

/// What a UDP datagram carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Bytes.
    Bytes(Bytes),
    /// A frame in a VXLAN tunnel.
    Vxlan(u32, Box<Frame>),
}

impl Payload {
    /// Its bytes on the wire.
    pub fn len(&self) -> usize {
        match self {
            Payload::Bytes(b) => b.len(),
            Payload::Vxlan(_, f) => vxlan::HEADER_BYTES + f.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An ICMP message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Icmp {
    /// Echo request or reply.
    Echo {
        /// Whether it is the reply.
        reply: bool,
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// Data.
        data: Bytes,
    },
    /// An error about the packet `original`.
    Error {
        /// Type, one of [`icmpv4::kind`].
        kind: u8,
        /// Code.
        code: u8,
        /// The second header word: an MTU for "fragmentation needed".
        info: u32,
        /// The packet that it is about.
        original: Box<Ip>,
    },
}

impl Icmp {
    /// Type and code.
    pub fn type_code(&self) -> (u8, u8) {
        match self {
            Icmp::Echo { reply: true, .. } => (icmpv4::kind::ECHO_REPLY, 0),
            Icmp::Echo { reply: false, .. } => (icmpv4::kind::ECHO_REQUEST, 0),
            Icmp::Error { kind, code, .. } => (*kind, *code),
        }
    }
}

/// What an IP packet carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum L4 {
    /// A TCP segment.
    Tcp(tcp::Repr, Bytes),
    /// A UDP datagram.
    Udp(udp::Repr, Payload),
    /// An ICMP message.
    Icmp(Icmp),
    /// Another protocol, unread.
    Other(u8, Bytes),
}

/// An IP packet. Fragments are not modelled: what is longer than a link allows and may be fragmented passes whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ip {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Time to live.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub ident: u16,
    /// Don't fragment.
    pub df: bool,
    /// Payload.
    pub l4: L4,
}

fn v4(a: IpAddr) -> Ipv4Addr {
    match a {
        IpAddr::V4(a) => a,
        IpAddr::V6(a) => a.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED),
    }
}

impl Ip {
    /// Protocol number of the payload.
    pub fn protocol(&self) -> u8 {
        match self.l4 {
            L4::Tcp(..) => proto::TCP,
            L4::Udp(..) => proto::UDP,
            L4::Icmp(_) => proto::ICMP,
            L4::Other(p, _) => p,
        }
    }

    /// Source and destination port of TCP and UDP.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match &self.l4 {
            L4::Tcp(t, _) => Some((t.src_port, t.dst_port)),
            L4::Udp(u, _) => Some((u.src_port, u.dst_port)),
            _ => None,
        }
    }

    /// Bytes of the whole packet.
    pub fn len(&self) -> usize {
        ipv4::HEADER_BYTES
            + match &self.l4 {
                L4::Tcp(t, d) => t.header_bytes() + d.len(),
                L4::Udp(_, p) => udp::HEADER_BYTES + p.len(),
                L4::Icmp(Icmp::Echo { data, .. }) => icmpv4::HEADER_BYTES + data.len(),
                L4::Icmp(Icmp::Error { original, .. }) => {
                    (icmpv4::HEADER_BYTES + original.len()).min(ICMP_ERROR_BYTES_MAX - ipv4::HEADER_BYTES)
                }
                L4::Other(_, d) => d.len(),
            }
    }

    /// Never: a packet has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Appends the packet's bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (src, dst) = (v4(self.src), v4(self.dst));
        let mut body = Vec::with_capacity(64);
        match &self.l4 {
            L4::Tcp(t, d) => t.emit(src, dst, d, &mut body),
            L4::Udp(u, Payload::Bytes(d)) => u.emit(src, dst, d, &mut body),
            L4::Udp(u, Payload::Vxlan(vni, frame)) => {
                let mut inner = Vec::with_capacity(128);
                vxlan::Repr { vni: *vni }.emit(&mut inner);
                frame.emit(&mut inner);
                u.emit(src, dst, &inner, &mut body);
            }
            L4::Icmp(Icmp::Echo { reply, ident, seq, data }) => {
                icmpv4::Repr::Echo { reply: *reply, ident: *ident, seq: *seq, data }.emit(&mut body);
            }
            L4::Icmp(Icmp::Error { kind, code, info, original }) => {
                let mut quote = Vec::with_capacity(64);
                original.emit(&mut quote);
                quote.truncate(ICMP_ERROR_BYTES_MAX - ipv4::HEADER_BYTES - icmpv4::HEADER_BYTES);
                icmpv4::Repr::Error { kind: *kind, code: *code, info: *info, quote }.emit(&mut body);
            }
            L4::Other(_, d) => body.extend_from_slice(d),
        }
        ipv4::Repr {
            src,
            dst,
            protocol: self.protocol(),
            ttl: self.ttl,
            tos: self.tos,
            ident: self.ident,
            df: self.df,
            payload_bytes: body.len().min(65_515) as u16,
        }
        .emit(out);
        out.append(&mut body);
    }
}

impl fmt::Display for Ip {
    /// As tcpdump: `IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 1, win 64240, options […], length 0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, d) = (self.src, self.dst);
        match &self.l4 {
            L4::Tcp(t, data) => {
                write!(f, "IP {s}.{} > {d}.{}: Flags [{}], ", t.src_port, t.dst_port, t.flags)?;
                if !data.is_empty() {
                    write!(f, "seq {}:{}, ", t.seq, t.seq.wrapping_add(data.len() as u32))?;
                } else if t.flags.0 & 7 != 0 {
                    write!(f, "seq {}, ", t.seq)?;
                }
                if t.flags.has(tcp::Flags::ACK) {
                    write!(f, "ack {}, ", t.ack)?;
                }
                write!(f, "win {}, ", t.window)?;
                let options = t.options_text();
                if !options.is_empty() {
                    write!(f, "options [{options}], ")?;
                }
                write!(f, "length {}", data.len())
            }
            L4::Udp(u, Payload::Bytes(b)) => {
                write!(f, "IP {s}.{} > {d}.{}: ", u.src_port, u.dst_port)?;
                if (u.src_port == 53 || u.dst_port == 53)
                    && let Ok(m) = wire::dns::Repr::from_bytes(b)
                {
                    return write!(f, "{m} ({})", b.len());
                }
                write!(f, "UDP, length {}", b.len())
            }
            L4::Udp(u, Payload::Vxlan(vni, frame)) => {
                let (sp, dp) = (u.src_port, u.dst_port);
                write!(f, "IP {s}.{sp} > {d}.{dp}: VXLAN, flags [I] (0x08), vni {vni} | {frame}")
            }
            L4::Icmp(i) => {
                write!(f, "IP {s} > {d}: ")?;
                let len = self.len() - ipv4::HEADER_BYTES;
                match i {
                    Icmp::Echo { reply, ident, seq, .. } => {
                        let what = if *reply { "reply" } else { "request" };
                        write!(f, "ICMP echo {what}, id {ident}, seq {seq}, length {len}")
                    }
                    Icmp::Error { kind, code, original, .. } => {
                        write!(f, "ICMP {} ", original.dst)?;
                        if (*kind, *code) == (icmpv4::kind::DEST_UNREACHABLE, icmpv4::unreachable::PORT)
                            && let Some((_, port)) = original.ports()
                        {
                            let p = if original.protocol() == proto::TCP { "tcp" } else { "udp" };
                            return write!(f, "{p} port {port} unreachable, length {len}");
                        }
                        write!(f, "{}, length {len}", icmpv4::error_name(*kind, *code))
                    }
                }
            }
            L4::Other(p, b) => write!(f, "IP {s} > {d}: ip-proto-{p} {}", b.len()),
        }
    }
}

/// What a frame carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// ARP.
    Arp(arp::Repr),
    /// IP.
    Ip(Ip),
}

/// An Ethernet frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Source.
    pub src: MacAddr,
    /// Destination.
    pub dst: MacAddr,
    /// Payload.
    pub body: Body,
}

impl Frame {
    /// Bytes of the whole frame, as interface statistics count them.
    pub fn len(&self) -> usize {
        ethernet::HEADER_BYTES
            + match &self.body {
                Body::Arp(_) => arp::PACKET_BYTES,
                Body::Ip(ip) => ip.len(),
            }
    }

    /// Never: a frame has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Appends the frame's bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let ethertype = match self.body {
            Body::Arp(_) => ethernet::EtherType::Arp,
            Body::Ip(_) => ethernet::EtherType::Ipv4,
        };
        ethernet::Repr { src: self.src, dst: self.dst, ethertype }.emit(out);
        match &self.body {
            Body::Arp(a) => a.emit(out),
            Body::Ip(ip) => ip.emit(out),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Arp(a) => write!(f, "{a}"),
            Body::Ip(ip) => write!(f, "{ip}"),
        }
    }
}
