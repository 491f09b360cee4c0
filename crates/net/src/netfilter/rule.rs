//! Rules as data: what a rule matches and what it does. Parsing is in `parse`, printing in `print` and `list`,
//! evaluation in `eval`.

use crate::MacAddr;
use core::net::Ipv4Addr;
use smol_str::SmolStr;

/// A point of the packet path at which chains hang.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub enum Hook {
    /// After arrival, before routing.
    Prerouting,
    /// Before delivery to this host.
    Input,
    /// Between arrival and departure.
    Forward,
    /// Made here, after its first routing.
    Output,
    /// Before departure.
    Postrouting,
}

impl Hook {
    /// All, in the order in which iptables lists them.
    pub const ALL: [Hook; 5] =
        [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];

    /// The builtin chain's name.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Prerouting => "PREROUTING",
            Hook::Input => "INPUT",
            Hook::Forward => "FORWARD",
            Hook::Output => "OUTPUT",
            Hook::Postrouting => "POSTROUTING",
        }
    }

    pub(crate) fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub enum TableName {
    /// Before connection tracking.
    Raw,
    /// Alters packets.
    Mangle,
    /// Translates addresses; sees a connection's first packet only.
    Nat,
    /// Accepts and drops.
    Filter,
}

impl TableName {
    /// In the order in which a packet meets them.
    pub const ALL: [TableName; 4] = [TableName::Raw, TableName::Mangle, TableName::Nat, TableName::Filter];
    /// In the order in which iptables-save prints them.
    pub const SAVE_ORDER: [TableName; 4] =
        [TableName::Mangle, TableName::Raw, TableName::Filter, TableName::Nat];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TableName::Raw => "raw",
            TableName::Mangle => "mangle",
            TableName::Nat => "nat",
            TableName::Filter => "filter",
        }
    }

    /// The table of that name.
    pub fn named(s: &str) -> Option<TableName> {
        TableName::ALL.into_iter().find(|t| t.name() == s)
    }

    /// Its builtin chains.
    pub fn hooks(self) -> &'static [Hook] {
        use Hook::*;
        match self {
            TableName::Raw => &[Prerouting, Output],
            TableName::Mangle => &[Prerouting, Input, Forward, Output, Postrouting],
            TableName::Nat => &[Prerouting, Input, Output, Postrouting],
            TableName::Filter => &[Input, Forward, Output],
        }
    }
}

/// `[packets:bytes]`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes of their IP packets.
    pub bytes: u64,
}

impl Counters {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// An address under a mask, possibly negated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddrMatch {
    /// Address without host bits.
    pub addr: u32,
    /// Mask, not necessarily contiguous.
    pub mask: u32,
    /// Negated.
    pub not: bool,
}

impl AddrMatch {
    pub(crate) fn matches(&self, a: u32) -> bool {
        ((a ^ self.addr) & self.mask == 0) != self.not
    }
}

/// An interface name; a final `+` matches any continuation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfMatch {
    /// Name as written.
    pub name: SmolStr,
    /// Negated.
    pub not: bool,
}

impl IfMatch {
    pub(crate) fn matches(&self, name: &str) -> bool {
        let hit = match self.name.strip_suffix('+') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.name,
        };
        hit != self.not
    }
}

/// An inclusive range of ports, possibly negated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// Lowest.
    pub lo: u16,
    /// Highest.
    pub hi: u16,
    /// Negated.
    pub not: bool,
}

impl Ports {
    /// Every port.
    pub const ANY: Ports = Ports { lo: 0, hi: u16::MAX, not: false };

    pub(crate) fn matches(&self, p: u16) -> bool {
        (self.lo <= p && p <= self.hi) != self.not
    }

    pub(crate) fn is_any(&self) -> bool {
        *self == Ports::ANY
    }
}

/// TCP flags to look at and to be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpFlags {
    /// Which to look at.
    pub mask: u8,
    /// Which of them must be set.
    pub set: u8,
    /// Negated.
    pub not: bool,
}

/// Which ports `multiport` looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// `--sports`
    Source,
    /// `--dports`
    Destination,
    /// `--ports`: either.
    Either,
}

/// Connection states, a bit each; the order is that in which they are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct States(pub u16);

impl States {
    /// No connection.
    pub const INVALID: u16 = 1;
    /// First packets.
    pub const NEW: u16 = 2;
    /// Expected by another connection, or an error about one.
    pub const RELATED: u16 = 4;
    /// Both directions seen.
    pub const ESTABLISHED: u16 = 8;
    /// Exempted by the raw table.
    pub const UNTRACKED: u16 = 16;
    /// Source translated.
    pub const SNAT: u16 = 32;
    /// Destination translated.
    pub const DNAT: u16 = 64;
    /// Names in printing order.
    pub const NAMES: [(u16, &'static str); 7] = [
        (Self::INVALID, "INVALID"),
        (Self::NEW, "NEW"),
        (Self::RELATED, "RELATED"),
        (Self::ESTABLISHED, "ESTABLISHED"),
        (Self::UNTRACKED, "UNTRACKED"),
        (Self::SNAT, "SNAT"),
        (Self::DNAT, "DNAT"),
    ];
}

/// The `conntrack` match.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConntrackMatch {
    /// `--ctstate` and whether it is negated.
    pub state: Option<(States, bool)>,
    /// `--ctproto`
    pub proto: Option<(u8, bool)>,
    /// `--ctorigsrc`, `--ctorigdst`, `--ctreplsrc`, `--ctrepldst`
    pub addrs: [Option<AddrMatch>; 4],
    /// `--ctorigsrcport`, `--ctorigdstport`, `--ctreplsrcport`, `--ctrepldstport`
    pub ports: [Option<Ports>; 4],
    /// `--ctstatus`: expected 1, seen-reply 2, assured 4, confirmed 8.
    pub status: Option<(u8, bool)>,
    /// `--ctdir`: true is REPLY.
    pub dir: Option<bool>,
}

/// The `statistic` match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statistic {
    /// Probability as a share of 2^31.
    Random {
        /// The share.
        share: u32,
        /// Negated.
        not: bool,
    },
    /// Every n-th.
    Nth {
        /// n, from 1.
        every: u32,
        /// Which of the n.
        packet: u32,
        /// Negated.
        not: bool,
    },
}

/// Address types of the `addrtype` match, a bit each, in the order of the kernel's numbers.
pub const ADDR_TYPES: [&str; 12] = [
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
];

/// The `addrtype` match.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddrType {
    /// Types of the source and whether negated.
    pub src: Option<(u16, bool)>,
    /// Types of the destination and whether negated.
    pub dst: Option<(u16, bool)>,
    /// `--limit-iface-in`
    pub limit_in: bool,
    /// `--limit-iface-out`
    pub limit_out: bool,
}

/// What `recent` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecentOp {
    /// `--set`
    Set,
    /// `--rcheck`
    Check,
    /// `--update`
    Update,
    /// `--remove`
    Remove,
}

/// The `recent` match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recent {
    /// What it does.
    pub op: RecentOp,
    /// Negated.
    pub not: bool,
    /// The list.
    pub name: SmolStr,
    /// Only entries that young.
    pub seconds: u32,
    /// Drop older entries.
    pub reap: bool,
    /// Only entries seen that often.
    pub hitcount: u32,
    /// Only with the same TTL.
    pub rttl: bool,
    /// Looks at the destination.
    pub rdest: bool,
    /// Mask of the address.
    pub mask: u32,
}

/// The `physdev` match.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Physdev {
    /// `--physdev-in`
    pub input: Option<IfMatch>,
    /// `--physdev-out`
    pub output: Option<IfMatch>,
    /// `--physdev-is-in`: negated?
    pub is_in: Option<bool>,
    /// `--physdev-is-out`: negated?
    pub is_out: Option<bool>,
    /// `--physdev-is-bridged`: negated?
    pub is_bridged: Option<bool>,
}

/// A match extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Match {
    /// `comment`
    Comment(SmolStr),
    /// `tcp`
    Tcp {
        /// Source ports.
        sport: Ports,
        /// Destination ports.
        dport: Ports,
        /// Flags.
        flags: Option<TcpFlags>,
        /// Option that must be there, or not.
        option: Option<(u8, bool)>,
    },
    /// `udp`
    Udp {
        /// Source ports.
        sport: Ports,
        /// Destination ports.
        dport: Ports,
    },
    /// `sctp`, ports only
    Sctp {
        /// Source ports.
        sport: Ports,
        /// Destination ports.
        dport: Ports,
    },
    /// `icmp`
    Icmp {
        /// Type; 255 is any.
        kind: u8,
        /// Code range.
        codes: (u8, u8),
        /// Negated.
        not: bool,
    },
    /// `multiport`
    Multiport {
        /// Which ports.
        which: Which,
        /// Ranges.
        ranges: Vec<(u16, u16)>,
        /// Negated.
        not: bool,
    },
    /// `mark`
    Mark {
        /// Value.
        value: u32,
        /// Mask.
        mask: u32,
        /// Negated.
        not: bool,
    },
    /// `connmark`
    Connmark {
        /// Value.
        value: u32,
        /// Mask.
        mask: u32,
        /// Negated.
        not: bool,
    },
    /// `conntrack`
    Conntrack(Box<ConntrackMatch>),
    /// `state`
    State(States, bool),
    /// `statistic`
    Statistic(Statistic),
    /// `addrtype`
    AddrType(AddrType),
    /// `recent`
    Recent(Box<Recent>),
    /// `set`
    Set {
        /// Set's name.
        name: SmolStr,
        /// A flag a dimension; true is source.
        src: Vec<bool>,
        /// Negated.
        not: bool,
    },
    /// `physdev`
    Physdev(Box<Physdev>),
    /// `limit`
    Limit {
        /// Ten-thousandths of a second between packets.
        avg: u32,
        /// Burst.
        burst: u32,
    },
    /// `mac`
    Mac {
        /// Source address.
        source: MacAddr,
        /// Negated.
        not: bool,
    },
    /// `nfacct`: counts under a name and always matches.
    Nfacct(SmolStr),
}

/// Kinds of `REJECT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectWith {
    /// ICMP destination unreachable of that code.
    Icmp(u8),
    /// A TCP reset.
    TcpReset,
}

impl RejectWith {
    /// Names and aliases; the first of each kind is printed.
    pub const NAMES: [(RejectWith, &'static str, &'static str); 8] = [
        (RejectWith::Icmp(0), "icmp-net-unreachable", "net-unreach"),
        (RejectWith::Icmp(1), "icmp-host-unreachable", "host-unreach"),
        (RejectWith::Icmp(2), "icmp-proto-unreachable", "proto-unreach"),
        (RejectWith::Icmp(3), "icmp-port-unreachable", "port-unreach"),
        (RejectWith::Icmp(9), "icmp-net-prohibited", "net-prohib"),
        (RejectWith::Icmp(10), "icmp-host-prohibited", "host-prohib"),
        (RejectWith::TcpReset, "tcp-reset", "tcp-rst"),
        (RejectWith::Icmp(13), "icmp-admin-prohibited", "admin-prohib"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(k, ..)| *k == self).map_or("icmp-port-unreachable", |(_, n, _)| n)
    }
}

/// Where a NAT target maps to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NatRange {
    /// Addresses, inclusive.
    pub addrs: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Ports, inclusive.
    pub ports: Option<(u16, u16)>,
    /// `--random`
    pub random: bool,
    /// `--random-fully`
    pub random_fully: bool,
    /// `--persistent`
    pub persistent: bool,
}

/// The number of a chain in its table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ChainId(pub u32);

/// What a rule does with a packet that it matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Only counts.
    None,
    /// Lets it pass.
    Accept,
    /// Drops it.
    Drop,
    /// Goes back to the calling chain.
    Return,
    /// Calls a chain.
    Jump(SmolStr, ChainId),
    /// Continues in a chain, without coming back here.
    Goto(SmolStr, ChainId),
    /// Drops it and says so to the sender.
    Reject(RejectWith),
    /// `mark = (mark & ~mask) ^ value`
    Mark {
        /// Value.
        value: u32,
        /// Mask.
        mask: u32,
    },
    /// Copies marks between packet and connection.
    Connmark(Connmark),
    /// Translates the destination.
    Dnat(NatRange),
    /// Translates the source.
    Snat(NatRange),
    /// Translates the source to the outgoing interface's address.
    Masquerade(NatRange),
    /// Translates the destination to this host.
    Redirect(NatRange),
    /// Writes to the kernel log.
    Log(Box<Log>),
    /// Exempts from connection tracking, the old way.
    Notrack,
    /// Exempts from connection tracking: `CT --notrack`.
    CtNotrack,
    /// Lowers the maximum segment size of SYN segments; `None` clamps to the path MTU.
    TcpMss(Option<u16>),
}

/// The `CONNMARK` target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connmark {
    /// `--set-xmark`
    Set {
        /// Value.
        value: u32,
        /// Mask.
        mask: u32,
    },
    /// `--save-mark`
    Save {
        /// Mask of the packet's mark.
        nfmask: u32,
        /// Mask of the connection's mark.
        ctmask: u32,
    },
    /// `--restore-mark`
    Restore {
        /// Mask of the packet's mark.
        nfmask: u32,
        /// Mask of the connection's mark.
        ctmask: u32,
    },
}

/// The `LOG` target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Syslog level.
    pub level: u8,
    /// Text before the line.
    pub prefix: SmolStr,
    /// tcp-sequence 1, tcp-options 2, ip-options 4, uid 8.
    pub flags: u8,
}

/// A rule. Its counters live in the chain, so that rules can be shared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// `-s`
    pub src: Option<AddrMatch>,
    /// `-d`
    pub dst: Option<AddrMatch>,
    /// `-i`
    pub iif: Option<IfMatch>,
    /// `-o`
    pub oif: Option<IfMatch>,
    /// `-p` and whether it is negated.
    pub proto: Option<(u8, bool)>,
    /// `-f`: negated? The model has no fragments: `-f` never matches, `! -f` always.
    pub fragment: Option<bool>,
    /// Extensions in the order in which they were named.
    pub matches: Vec<Match>,
    /// Target.
    pub target: Target,
}

impl Default for Rule {
    fn default() -> Self {
        Rule {
            src: None,
            dst: None,
            iif: None,
            oif: None,
            proto: None,
            fragment: None,
            matches: Vec::new(),
            target: Target::None,
        }
    }
}

impl Rule {
    /// The text of its `comment` match.
    pub fn comment(&self) -> Option<&str> {
        self.matches.iter().find_map(|m| match m {
            Match::Comment(c) => Some(c.as_str()),
            _ => None,
        })
    }

    /// The chain that it calls or continues in.
    pub fn jump(&self) -> Option<ChainId> {
        match self.target {
            Target::Jump(_, id) | Target::Goto(_, id) => Some(id),
            _ => None,
        }
    }

    /// Whether it makes the kernel track connections in its namespace.
    pub(crate) fn needs_conntrack(&self) -> bool {
        self.matches
            .iter()
            .any(|m| matches!(m, Match::Conntrack(_) | Match::State(..) | Match::Connmark { .. }))
            || matches!(
                self.target,
                Target::Dnat(_)
                    | Target::Snat(_)
                    | Target::Masquerade(_)
                    | Target::Redirect(_)
                    | Target::Connmark(_)
                    | Target::Notrack
                    | Target::CtNotrack
            )
    }
}
