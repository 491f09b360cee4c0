//! ARP for IPv4 over Ethernet.

use super::{Error, Result, be16};
use crate::MacAddr;
use core::fmt;
use core::net::Ipv4Addr;

/// Bytes of the packet.
pub const PACKET_BYTES: usize = 28;

/// Request or reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// 1
    Request,
    /// 2
    Reply,
}

/// A view of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the packet fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < PACKET_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// Hardware type, protocol type, hardware size and protocol size in one.
    pub fn kind(&self) -> [u8; 6] {
        let mut k = [0; 6];
        k.copy_from_slice(&self.0[..6]);
        k
    }

    /// Operation code.
    pub fn operation(&self) -> u16 {
        be16(self.0, 6)
    }

    fn mac(&self, at: usize) -> MacAddr {
        let mut m = [0; 6];
        m.copy_from_slice(&self.0[at..at + 6]);
        MacAddr(m)
    }

    fn ip(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(super::be32(self.0, at))
    }
}

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's hardware address.
    pub sender_mac: MacAddr,
    /// The sender's protocol address.
    pub sender_ip: Ipv4Addr,
    /// The target's hardware address, zero in a request.
    pub target_mac: MacAddr,
    /// The target's protocol address.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// Reads the packet.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        if p.kind() != [0, 1, 8, 0, 6, 4] {
            return Err(Error::Malformed);
        }
        let operation = match p.operation() {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Error::Malformed),
        };
        Ok(Repr {
            operation,
            sender_mac: p.mac(8),
            sender_ip: p.ip(14),
            target_mac: p.mac(18),
            target_ip: p.ip(24),
        })
    }

    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[
            0,
            1,
            8,
            0,
            6,
            4,
            0,
            if self.operation == Operation::Request { 1 } else { 2 },
        ]);
        out.extend_from_slice(&self.sender_mac.0);
        out.extend_from_slice(&self.sender_ip.octets());
        out.extend_from_slice(&self.target_mac.0);
        out.extend_from_slice(&self.target_ip.octets());
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Operation::Request => {
                write!(f, "ARP, Request who-has {} tell {}, length 28", self.target_ip, self.sender_ip)
            }
            Operation::Reply => {
                write!(f, "ARP, Reply {} is-at {}, length 28", self.sender_ip, self.sender_mac)
            }
        }
    }
}
