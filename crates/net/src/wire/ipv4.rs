//! IPv4 headers. Options are accepted and skipped; fragments are not reassembled here.

use super::{Error, Result, be16, be32, fold, sum};
use core::fmt;
use core::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_BYTES: usize = 20;

/// A view of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the fixed header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// Version field.
    pub fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Header length in bytes.
    pub fn header_bytes(&self) -> usize {
        usize::from(self.0[0] & 15) * 4
    }

    /// Total length field.
    pub fn total_bytes(&self) -> usize {
        usize::from(be16(self.0, 2))
    }

    /// What follows the header, as far as it is there.
    pub fn payload(&self) -> &'a [u8] {
        let end = self.total_bytes().min(self.0.len());
        self.0.get(self.header_bytes()..end).unwrap_or(&[])
    }
}

/// A header without options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Type of service (DSCP and ECN).
    pub tos: u8,
    /// Identification.
    pub ident: u16,
    /// Don't fragment.
    pub df: bool,
    /// Bytes of the payload, at most 65,515.
    pub payload_bytes: u16,
}

impl Repr {
    /// Reads the header and checks it.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        let h = p.header_bytes();
        if p.version() != 4 || h < HEADER_BYTES || p.total_bytes() < h {
            return Err(Error::Malformed);
        }
        let header = p.0.get(..h).ok_or(Error::Truncated)?;
        if fold(sum(header, 0)) != 0 {
            return Err(Error::Checksum);
        }
        Ok(Repr {
            src: Ipv4Addr::from_bits(be32(p.0, 12)),
            dst: Ipv4Addr::from_bits(be32(p.0, 16)),
            protocol: p.0[9],
            ttl: p.0[8],
            tos: p.0[1],
            ident: be16(p.0, 4),
            df: p.0[6] & 0x40 != 0,
            payload_bytes: (p.total_bytes() - h) as u16,
        })
    }

    /// Appends the header with its checksum.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let at = out.len();
        let total = self.payload_bytes.saturating_add(HEADER_BYTES as u16);
        out.extend_from_slice(&[0x45, self.tos]);
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&self.ident.to_be_bytes());
        out.extend_from_slice(&[if self.df { 0x40 } else { 0 }, 0, self.ttl, self.protocol, 0, 0]);
        out.extend_from_slice(&self.src.octets());
        out.extend_from_slice(&self.dst.octets());
        let c = fold(sum(&out[at..], 0)).to_be_bytes();
        out[at + 10..at + 12].copy_from_slice(&c);
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IP {} > {}: proto {}, ttl {}", self.src, self.dst, self.protocol, self.ttl)
    }
}
