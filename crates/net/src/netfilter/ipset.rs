//! IP sets: named collections of addresses that the `set` match looks into.
//!
//! Models: `hash:ip`, `hash:net`, `hash:ip,port`, `hash:ip,port,ip`, `hash:ip,port,net` and `bitmap:port`, without timeouts.

use crate::{Cidr, Ip};
use core::fmt;
use core::net::IpAddr;
use sim::Limits;
use sim::persistent::OrdSet;

/// The kinds of sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetType {
    /// `hash:ip`
    Ip,
    /// `hash:net`
    Net,
    /// `hash:ip,port`
    IpPort,
    /// `hash:ip,port,ip`
    IpPortIp,
    /// `hash:ip,port,net`
    IpPortNet,
    /// `bitmap:port`
    Port,
}

impl SetType {
    const NAMES: [(SetType, &'static str); 6] = [
        (SetType::Ip, "hash:ip"),
        (SetType::Net, "hash:net"),
        (SetType::IpPort, "hash:ip,port"),
        (SetType::IpPortIp, "hash:ip,port,ip"),
        (SetType::IpPortNet, "hash:ip,port,net"),
        (SetType::Port, "bitmap:port"),
    ];

    /// The type of that name.
    pub fn named(s: &str) -> Option<SetType> {
        Self::NAMES.iter().find(|(_, n)| *n == s).map(|(t, _)| *t)
    }
}

impl fmt::Display for SetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES.iter().find(|(t, _)| t == self).map_or("", |(_, n)| n))
    }
}

/// A member; which fields count depends on the type. Addresses are prefixes without host bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SetEntry {
    /// First address or network.
    pub net: Cidr,
    /// Protocol and port.
    pub port: Option<(u8, u16)>,
    /// Second address or network.
    pub net2: Option<Cidr>,
}

impl fmt::Display for SetEntry {
    /// As ipset prints it: `10.0.0.1,tcp:80`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = |f: &mut fmt::Formatter<'_>, c: Cidr| {
            if c.is_host() { write!(f, "{}", c.addr) } else { write!(f, "{c}") }
        };
        net(f, self.net)?;
        if let Some((p, port)) = self.port {
            write!(f, ",{}:{port}", super::names::protocol_name(p))?;
        }
        match self.net2 {
            Some(n) => {
                f.write_str(",")?;
                net(f, n)
            }
            None => Ok(()),
        }
    }
}

/// A set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IpSet {
    /// Kind.
    pub kind: SetType,
    members: OrdSet<SetEntry>,
    /// Prefix lengths in use, a bit each: what a lookup must try.
    lens: u64,
}

impl IpSet {
    /// An empty set.
    pub fn new(kind: SetType) -> IpSet {
        IpSet { kind, members: OrdSet::new(), lens: 0 }
    }

    /// Adds a member; `false` if it was there or the set is full.
    pub fn add(&mut self, mut e: SetEntry) -> bool {
        if self.members.len() >= Limits::TABLE.ipset_entries_max {
            return false;
        }
        e.net = e.net.network();
        e.net2 = e.net2.map(Cidr::network);
        let len = if self.kind == SetType::IpPortNet { e.net2.map_or(0, |n| n.len) } else { e.net.len };
        self.lens |= 1 << len.min(63);
        self.members.insert(e)
    }

    /// Removes a member; `false` if it was not there.
    pub fn remove(&mut self, e: &SetEntry) -> bool {
        self.members.remove(e)
    }

    /// Empties the set.
    pub fn flush(&mut self) {
        self.members = OrdSet::new();
        self.lens = 0;
    }

    /// Members in order.
    pub fn iter(&self) -> impl Iterator<Item = &SetEntry> {
        self.members.iter()
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the packet is a member; `src` has a direction a dimension.
    pub(crate) fn matches(&self, ip: &Ip, src: &[bool]) -> bool {
        let dir = |i: usize| src.get(i).copied().unwrap_or(false);
        let addr = |i: usize| if dir(i) { ip.src } else { ip.dst };
        let port = |i: usize| {
            let (s, d) = ip.ports().unwrap_or((0, 0));
            Some((ip.protocol(), if dir(i) { s } else { d }))
        };
        let has = |net: Cidr, port, net2| self.members.contains(&SetEntry { net: net.network(), port, net2 });
        let any_len =
            |a: IpAddr| (0..=32u8).rev().filter(|l| self.lens >> l & 1 == 1).map(move |l| Cidr::new(a, l));
        match self.kind {
            SetType::Ip => has(Cidr::host(addr(0)), None, None),
            SetType::Net => any_len(addr(0)).any(|n| has(n, None, None)),
            SetType::IpPort => has(Cidr::host(addr(0)), port(1), None),
            SetType::IpPortIp => has(Cidr::host(addr(0)), port(1), Some(Cidr::host(addr(2)))),
            SetType::IpPortNet => {
                any_len(addr(2)).any(|n| has(Cidr::host(addr(0)), port(1), Some(n.network())))
            }
            SetType::Port => {
                port(0).is_some_and(|(_, p)| self.members.iter().any(|e| e.port.is_some_and(|(_, q)| q == p)))
            }
        }
    }
}
