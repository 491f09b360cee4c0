//! Protocols on the wire: one file a protocol, all of one shape.
//!
//! A `Packet` is a view of bytes that never judges: it only promises that the header's fixed part is there. A `Repr`
//! cannot be illegal: what it holds can be emitted, and what was parsed into it was well-formed. `Display` prints one
//! line in the style of tcpdump. The simulated packet ([`crate::Ip`]) is made of these `Repr`s; bytes appear only at
//! the edge: pcap files, parity with real tools, and DNS, which programs exchange as bytes.
//!
//! *Invariant*: nothing here knows of devices, namespaces or time.

pub mod arp;
pub mod dns;
pub mod ethernet;
pub mod icmpv4;
pub mod ipv4;
pub mod tcp;
pub mod udp;
pub mod vxlan;

use core::fmt;

/// Why bytes are no packet of a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Fewer bytes than the header needs or says.
    Truncated,
    /// A field has a value that the protocol forbids or that is not modelled.
    Malformed,
    /// The checksum does not fit.
    Checksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Truncated => "truncated packet",
            Error::Malformed => "malformed packet",
            Error::Checksum => "bad checksum",
        })
    }
}

/// Result of parsing.
pub type Result<T> = core::result::Result<T, Error>;

/// IP protocol numbers.
pub mod proto {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

pub(crate) fn be16(b: &[u8], at: usize) -> u16 {
    match b.get(at..at + 2) {
        Some(&[x, y]) => u16::from_be_bytes([x, y]),
        _ => 0,
    }
}

pub(crate) fn be32(b: &[u8], at: usize) -> u32 {
    (u32::from(be16(b, at)) << 16) | u32::from(be16(b, at + 2))
}

/// The Internet checksum's running sum over `b`, starting from `sum`.
pub(crate) fn sum(b: &[u8], mut sum: u32) -> u32 {
    for c in b.chunks(2) {
        sum += u32::from(c[0]) << 8 | u32::from(c.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// The sum of the pseudo header that TCP and UDP check.
pub(crate) fn pseudo(src: core::net::Ipv4Addr, dst: core::net::Ipv4Addr, proto: u8, len: usize) -> u32 {
    let s = sum(&src.octets(), u32::from(proto));
    sum(&dst.octets(), s) + (len as u32 & 0xffff)
}

/// Ends a running sum.
pub(crate) fn fold(mut s: u32) -> u16 {
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}

#[cfg(test)]
mod tests;
