//! Ethernet II frames.

use super::{Error, Result, be16};
use crate::MacAddr;
use core::fmt;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 14;

/// What the frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EtherType {
    /// 0x0800
    Ipv4,
    /// 0x0806
    Arp,
    /// Any other.
    Other(u16),
}

impl From<u16> for EtherType {
    fn from(v: u16) -> Self {
        match v {
            0x0800 => EtherType::Ipv4,
            0x0806 => EtherType::Arp,
            o => EtherType::Other(o),
        }
    }
}

impl From<EtherType> for u16 {
    fn from(v: EtherType) -> u16 {
        match v {
            EtherType::Ipv4 => 0x0800,
            EtherType::Arp => 0x0806,
            EtherType::Other(o) => o,
        }
    }
}

/// A view of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    fn mac(&self, at: usize) -> MacAddr {
        let mut m = [0; 6];
        m.copy_from_slice(&self.0[at..at + 6]);
        MacAddr(m)
    }

    /// Destination.
    pub fn dst(&self) -> MacAddr {
        self.mac(0)
    }

    /// Source.
    pub fn src(&self) -> MacAddr {
        self.mac(6)
    }

    /// Type of the payload.
    pub fn ethertype(&self) -> EtherType {
        be16(self.0, 12).into()
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_BYTES..]
    }
}

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source.
    pub src: MacAddr,
    /// Destination.
    pub dst: MacAddr,
    /// Type of the payload.
    pub ethertype: EtherType,
}

impl Repr {
    /// Reads the header.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        Ok(Repr { src: p.src(), dst: p.dst(), ethertype: p.ethertype() })
    }

    /// Appends the header.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.dst.0);
        out.extend_from_slice(&self.src.0);
        out.extend_from_slice(&u16::from(self.ethertype).to_be_bytes());
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.ethertype {
            EtherType::Ipv4 => "IPv4",
            EtherType::Arp => "ARP",
            EtherType::Other(_) => "Unknown",
        };
        write!(f, "{} > {}, ethertype {name} (0x{:04x})", self.src, self.dst, u16::from(self.ethertype))
    }
}
