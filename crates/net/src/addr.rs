//! Addresses: Ethernet addresses and IP prefixes. Text forms are those of iproute2.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// An Ethernet (MAC) address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// `00:00:00:00:00:00`
    pub const ZERO: MacAddr = MacAddr([0; 6]);

    /// A locally administered unicast address made of 48 random bits, as the kernel makes them.
    pub fn local(bits: u64) -> MacAddr {
        let b = bits.to_be_bytes();
        MacAddr([(b[2] & 0xfe) | 0x02, b[3], b[4], b[5], b[6], b[7]])
    }

    /// Broadcast or multicast.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = BadAddress;
    fn from_str(s: &str) -> Result<Self, BadAddress> {
        let mut out = [0; 6];
        let mut parts = s.split(':');
        for o in &mut out {
            let p = parts.next().filter(|p| (1..=2).contains(&p.len())).ok_or(BadAddress)?;
            *o = u8::from_str_radix(p, 16).map_err(|_| BadAddress)?;
        }
        if parts.next().is_some() { Err(BadAddress) } else { Ok(MacAddr(out)) }
    }
}

/// The text is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadAddress;

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid address")
    }
}

/// An address with a prefix length; the host bits are kept, as an interface address needs them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Cidr {
    /// The address.
    pub addr: IpAddr,
    /// Bits of the network part.
    pub len: u8,
}

fn mask4(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - u32::from(len.min(32))) }
}

fn mask6(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - u32::from(len.min(128))) }
}

impl Cidr {
    /// The whole IPv4 space.
    pub const ANY4: Cidr = Cidr { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), len: 0 };

    /// `addr/len`; a length beyond the family's is cut.
    pub fn new(addr: IpAddr, len: u8) -> Cidr {
        Cidr { addr, len: len.min(if addr.is_ipv4() { 32 } else { 128 }) }
    }

    /// One address.
    pub fn host(addr: IpAddr) -> Cidr {
        Cidr { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether the prefix is one address.
    pub fn is_host(self) -> bool {
        self.len == if self.addr.is_ipv4() { 32 } else { 128 }
    }

    /// Whether `a` lies within.
    pub fn contains(self, a: IpAddr) -> bool {
        match (self.addr, a) {
            (IpAddr::V4(n), IpAddr::V4(a)) => (n.to_bits() ^ a.to_bits()) & mask4(self.len) == 0,
            (IpAddr::V6(n), IpAddr::V6(a)) => (n.to_bits() ^ a.to_bits()) & mask6(self.len) == 0,
            _ => false,
        }
    }

    /// The same prefix without host bits.
    pub fn network(self) -> Cidr {
        Cidr { addr: mask(self.addr, self.len), len: self.len }
    }

    /// The highest address of the prefix; for IPv4 below /31 the broadcast address.
    pub fn last(self) -> IpAddr {
        match self.addr {
            IpAddr::V4(a) => IpAddr::V4((a.to_bits() | !mask4(self.len)).into()),
            IpAddr::V6(a) => IpAddr::V6((a.to_bits() | !mask6(self.len)).into()),
        }
    }

    /// The address `n` after the network address, if it lies within.
    pub fn nth(self, n: u64) -> Option<IpAddr> {
        let a = match self.network().addr {
            IpAddr::V4(a) => IpAddr::V4(a.to_bits().checked_add(u32::try_from(n).ok()?)?.into()),
            IpAddr::V6(a) => IpAddr::V6(a.to_bits().checked_add(u128::from(n))?.into()),
        };
        self.contains(a).then_some(a)
    }
}

/// `addr` with all but its first `len` bits zero.
pub fn mask(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(a) => IpAddr::V4((a.to_bits() & mask4(len)).into()),
        IpAddr::V6(a) => IpAddr::V6((a.to_bits() & mask6(len)).into()),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Cidr {
    type Err = BadAddress;
    /// `10.0.0.0/8`, or one address.
    fn from_str(s: &str) -> Result<Self, BadAddress> {
        let (a, l) = match s.split_once('/') {
            Some((a, l)) => (a, Some(l)),
            None => (s, None),
        };
        let addr: IpAddr = a.parse().map_err(|_| BadAddress)?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let len = match l {
            None => max,
            Some(l) if l.bytes().all(|c| c.is_ascii_digit()) => l.parse().map_err(|_| BadAddress)?,
            Some(_) => return Err(BadAddress),
        };
        if len > max { Err(BadAddress) } else { Ok(Cidr { addr, len }) }
    }
}
