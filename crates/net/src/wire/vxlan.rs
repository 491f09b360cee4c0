//! VXLAN headers (RFC 7348), on Linux's default port.

use super::{Error, Result, be32};
use core::fmt;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;
/// The UDP port that Linux and flannel use; IANA's is 4789.
pub const PORT: u16 = 8472;

/// A view of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// The inner frame.
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_BYTES..]
    }
}

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Network identifier, 24 bits.
    pub vni: u32,
}

impl Repr {
    /// Reads the header.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        if p.0[0] & 0x08 == 0 { Err(Error::Malformed) } else { Ok(Repr { vni: be32(p.0, 4) >> 8 }) }
    }

    /// Appends the header.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x08, 0, 0, 0]);
        out.extend_from_slice(&(self.vni << 8).to_be_bytes());
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VXLAN, flags [I] (0x08), vni {}", self.vni)
    }
}
