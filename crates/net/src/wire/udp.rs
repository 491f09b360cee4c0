//! UDP headers.

use super::{Error, Result, be16, fold, proto, pseudo, sum};
use core::fmt;
use core::net::Ipv4Addr;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;

/// A view of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// Length field, header included.
    pub fn length(&self) -> usize {
        usize::from(be16(self.0, 4))
    }

    /// What follows the header, as far as it is there.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(HEADER_BYTES..self.length().min(self.0.len())).unwrap_or(&[])
    }
}

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

impl Repr {
    /// Reads the header.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        if p.length() < HEADER_BYTES || p.length() > p.0.len() {
            return Err(Error::Malformed);
        }
        Ok(Repr { src_port: be16(p.0, 0), dst_port: be16(p.0, 2) })
    }

    /// Appends header and payload with the checksum for these addresses.
    pub fn emit(&self, src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        let len = HEADER_BYTES + payload.len();
        out.extend_from_slice(&self.src_port.to_be_bytes());
        out.extend_from_slice(&self.dst_port.to_be_bytes());
        out.extend_from_slice(&(len as u16).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(payload);
        let c = fold(sum(&out[at..], pseudo(src, dst, proto::UDP, len)));
        let c = if c == 0 { 0xffff } else { c };
        out[at + 6..at + 8].copy_from_slice(&c.to_be_bytes());
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UDP {} > {}", self.src_port, self.dst_port)
    }
}
