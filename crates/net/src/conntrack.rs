//! Connection tracking: which packets belong together, what state their connection is in, and how long it is kept.
//!
//! Models: nf_conntrack. Timeouts are Linux's defaults; entries expire when somebody looks, so that an idle table costs
//! nothing. Not modelled: TCP window checks (as if `nf_conntrack_tcp_be_liberal`), helpers and expectations,
//! early drop. Address translation of a connection is in `nat`.

use crate::trace::FlowId;
use crate::wire::{icmpv4, proto, tcp::Flags};
use crate::{Counters, Icmp, Ip, L4};
use core::fmt;
use core::net::IpAddr;
use sim::persistent::OrdMap;
use sim::{Duration, Instant, Limits};
use std::sync::Arc;

/// One direction of a connection. ICMP echo has its identifier as source port, and type and code as destination port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Protocol.
    pub proto: u8,
}

impl Tuple {
    /// The tuple of a packet; `None` for ICMP that is no echo.
    pub fn of(ip: &Ip) -> Option<Tuple> {
        let (sport, dport) = match &ip.l4 {
            L4::Tcp(t, _) => (t.src_port, t.dst_port),
            L4::Udp(u, _) => (u.src_port, u.dst_port),
            L4::Icmp(Icmp::Echo { reply, ident, .. }) => {
                (*ident, if *reply { 0 } else { u16::from(icmpv4::kind::ECHO_REQUEST) << 8 })
            }
            L4::Icmp(Icmp::Error { .. }) => return None,
            L4::Other(..) => (0, 0),
        };
        Some(Tuple { src: ip.src, dst: ip.dst, sport, dport, proto: ip.protocol() })
    }

    /// The tuple of answers.
    pub fn inverted(self) -> Tuple {
        let (sport, dport) = if self.proto == proto::ICMP {
            let kind = match (self.dport >> 8) as u8 {
                icmpv4::kind::ECHO_REQUEST => icmpv4::kind::ECHO_REPLY,
                icmpv4::kind::ECHO_REPLY => icmpv4::kind::ECHO_REQUEST,
                k => k,
            };
            (self.sport, u16::from(kind) << 8 | (self.dport & 0xff))
        } else {
            (self.dport, self.sport)
        };
        Tuple { src: self.dst, dst: self.src, sport, dport, proto: self.proto }
    }
}

impl fmt::Display for Tuple {
    /// As conntrack prints it: `src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src={} dst={}", self.src, self.dst)?;
        match self.proto {
            proto::ICMP => {
                write!(f, " type={} code={} id={}", self.dport >> 8, self.dport & 0xff, self.sport)
            }
            proto::TCP | proto::UDP | proto::SCTP => write!(f, " sport={} dport={}", self.sport, self.dport),
            _ => Ok(()),
        }
    }
}

/// What a packet is to its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum CtState {
    /// No connection that could be.
    Invalid,
    /// Nobody has answered yet.
    New,
    /// Both sides have spoken.
    Established,
    /// An error about a connection.
    Related,
    /// The raw table exempted it.
    Untracked,
}

impl fmt::Display for CtState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CtState::Invalid => "INVALID",
            CtState::New => "NEW",
            CtState::Established => "ESTABLISHED",
            CtState::Related => "RELATED",
            CtState::Untracked => "UNTRACKED",
        })
    }
}

/// States of a tracked TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum TcpState {
    /// Not TCP, or nothing seen.
    #[default]
    None,
    /// SYN seen.
    SynSent,
    /// SYN and ACK seen.
    SynRecv,
    /// Handshake done.
    Established,
    /// One FIN seen.
    FinWait,
    /// That FIN acknowledged.
    CloseWait,
    /// Both FINs seen.
    LastAck,
    /// Both acknowledged.
    TimeWait,
    /// Reset.
    Close,
    /// SYN from both sides.
    SynSent2,
}

impl TcpState {
    fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            TcpState::None | TcpState::Close => 10,
            TcpState::SynSent | TcpState::SynSent2 | TcpState::FinWait | TcpState::TimeWait => 120,
            TcpState::SynRecv | TcpState::CloseWait => 60,
            TcpState::Established => 432_000,
            TcpState::LastAck => 30,
        })
    }

    /// Its name in `conntrack -L`.
    pub fn name(self) -> &'static str {
        match self {
            TcpState::None => "NONE",
            TcpState::SynSent => "SYN_SENT",
            TcpState::SynRecv => "SYN_RECV",
            TcpState::Established => "ESTABLISHED",
            TcpState::FinWait => "FIN_WAIT",
            TcpState::CloseWait => "CLOSE_WAIT",
            TcpState::LastAck => "LAST_ACK",
            TcpState::TimeWait => "TIME_WAIT",
            TcpState::Close => "CLOSE",
            TcpState::SynSent2 => "SYN_SENT2",
        }
    }
}

/// What a segment does to the tracked state.
enum Step {
    To(TcpState),
    /// Passes without effect.
    Ignore,
    Invalid,
}

/// The transition of state `s` by a segment with these flags, from the originator or not.
fn step(s: TcpState, flags: Flags, reply: bool) -> Step {
    use TcpState::*;
    let to = Step::To;
    if flags.has(Flags::RST) {
        return if s == None { Step::Invalid } else { to(Close) };
    }
    match (flags.has(Flags::SYN), flags.has(Flags::ACK), flags.has(Flags::FIN)) {
        (true, false, _) if !reply => match s {
            None | SynSent | TimeWait | Close => to(SynSent),
            SynSent2 => to(SynSent2),
            _ => Step::Ignore,
        },
        (true, false, _) => match s {
            SynSent | SynSent2 => to(SynSent2),
            TimeWait => to(SynSent),
            _ => Step::Invalid,
        },
        (true, true, _) if !reply => match s {
            SynRecv | SynSent2 => to(SynRecv),
            _ => Step::Invalid,
        },
        (true, true, _) => match s {
            SynSent | SynSent2 => to(SynRecv),
            None => Step::Invalid,
            _ => Step::Ignore,
        },
        (_, _, true) => match s {
            SynRecv | Established => to(FinWait),
            FinWait | CloseWait | LastAck => to(LastAck),
            TimeWait => to(TimeWait),
            Close => to(Close),
            _ => Step::Invalid,
        },
        (_, true, _) => match s {
            None if !reply => to(Established),
            SynRecv if !reply => to(Established),
            SynRecv => to(SynRecv),
            Established => to(Established),
            FinWait | CloseWait => to(CloseWait),
            LastAck | TimeWait => to(TimeWait),
            Close => to(Close),
            SynSent | SynSent2 if reply => Step::Ignore,
            _ => Step::Invalid,
        },
        _ => Step::Invalid,
    }
}

/// Status bits of a connection, with the kernel's values.
pub(crate) mod status {
    pub const SEEN_REPLY: u16 = 1 << 1;
    pub const ASSURED: u16 = 1 << 2;
    pub const CONFIRMED: u16 = 1 << 3;
    pub const SRC_NAT: u16 = 1 << 4;
    pub const DST_NAT: u16 = 1 << 5;
    pub const SRC_NAT_DONE: u16 = 1 << 7;
    pub const DST_NAT_DONE: u16 = 1 << 8;
}

/// A connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conn {
    /// Its number.
    pub id: u64,
    /// Packets of the originator as they came.
    pub orig: Tuple,
    /// Packets of the answerer as they come.
    pub reply: Tuple,
    pub(crate) status: u16,
    /// Connection mark.
    pub mark: u32,
    /// When it is forgotten.
    pub expires: Instant,
    /// When it began.
    pub start: Instant,
    /// TCP's state.
    pub tcp: TcpState,
    /// Originator's and answerer's packets.
    pub counters: [Counters; 2],
    /// The flow that began it.
    pub flow: FlowId,
}

impl Conn {
    pub(crate) fn tuple(&self, reply: bool) -> Tuple {
        if reply { self.reply } else { self.orig }
    }

    pub(crate) fn has(&self, bits: u16) -> bool {
        self.status & bits != 0
    }

    /// Whether the source was translated.
    pub fn is_snat(&self) -> bool {
        self.has(status::SRC_NAT)
    }

    /// Whether the destination was translated.
    pub fn is_dnat(&self) -> bool {
        self.has(status::DST_NAT)
    }

    /// One line of `conntrack -L`.
    pub fn line(&self, now: Instant) -> String {
        let name = match self.orig.proto {
            proto::TCP => "tcp",
            proto::UDP => "udp",
            proto::ICMP => "icmp",
            proto::SCTP => "sctp",
            _ => "unknown",
        };
        let secs = self.expires.since(now).as_secs();
        let mut s = format!("{name:<8} {} {secs} ", self.orig.proto);
        if self.orig.proto == proto::TCP {
            s.push_str(self.tcp.name());
            s.push(' ');
        }
        s.push_str(&self.orig.to_string());
        if !self.has(status::SEEN_REPLY) {
            s.push_str(" [UNREPLIED]");
        }
        s.push_str(&format!(" {}", self.reply));
        if self.has(status::ASSURED) {
            s.push_str(" [ASSURED]");
        }
        s.push_str(&format!(" mark={} use=1", self.mark));
        s
    }
}

/// A packet's connection while it passes a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ct {
    /// Not looked at, or INVALID.
    None,
    /// Exempted.
    Untracked,
    /// In the table; `state` is New, Established or Related.
    Known { id: u64, reply: bool, state: CtState },
    /// Made by this packet and not yet in the table.
    Fresh(Box<Conn>),
    /// An answer of this host to the packet that made the connection, RELATED to it in the other direction.
    Answer(Box<Conn>),
}

impl Ct {
    /// What an ICMP error or a reset about a packet with this connection gets.
    pub fn answer(&self) -> Ct {
        match self {
            Ct::Known { id, reply, .. } => Ct::Known { id: *id, reply: !reply, state: CtState::Related },
            Ct::Fresh(c) => Ct::Answer(c.clone()),
            _ => Ct::None,
        }
    }
}

/// A filter for listing and deleting; empty fields match all. Addresses and ports are those of the original direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CtFilter {
    /// `-p`
    pub proto: Option<u8>,
    /// `-s` / `--orig-src`
    pub orig_src: Option<IpAddr>,
    /// `-d` / `--orig-dst`
    pub orig_dst: Option<IpAddr>,
    /// `-r` / `--reply-src`
    pub reply_src: Option<IpAddr>,
    /// `-q` / `--reply-dst`
    pub reply_dst: Option<IpAddr>,
    /// `--sport` / `--orig-port-src`
    pub orig_sport: Option<u16>,
    /// `--dport` / `--orig-port-dst`
    pub orig_dport: Option<u16>,
    /// `--reply-port-src`
    pub reply_sport: Option<u16>,
}

impl CtFilter {
    /// Whether the connection is meant.
    pub fn matches(&self, c: &Conn) -> bool {
        fn ok<T: PartialEq>(want: Option<T>, is: T) -> bool {
            want.is_none_or(|w| w == is)
        }
        ok(self.proto, c.orig.proto)
            && ok(self.orig_src, c.orig.src)
            && ok(self.orig_dst, c.orig.dst)
            && ok(self.reply_src, c.reply.src)
            && ok(self.reply_dst, c.reply.dst)
            && ok(self.orig_sport, c.orig.sport)
            && ok(self.orig_dport, c.orig.dport)
            && ok(self.reply_sport, c.reply.sport)
    }
}

/// The connections of one namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conntrack {
    conns: OrdMap<u64, Arc<Conn>>,
    index: OrdMap<Tuple, (u64, bool)>,
    next: u64,
    /// Size at which the next insertion sweeps out what has expired.
    sweep_at: usize,
}

const SWEEP_FIRST: usize = 256;

impl Conntrack {
    pub fn get(&self, id: u64) -> Option<&Conn> {
        self.conns.get(&id).map(|c| &**c)
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Conn> {
        self.conns.get_mut(&id).map(Arc::make_mut)
    }

    /// Whether some connection's packets look like that.
    pub fn used(&self, t: &Tuple) -> bool {
        self.index.contains_key(t)
    }

    fn remove(&mut self, id: u64) {
        if let Some(c) = self.conns.remove(&id) {
            for t in [c.orig, c.reply] {
                if self.index.get(&t).is_some_and(|(i, _)| *i == id) {
                    self.index.remove(&t);
                }
            }
        }
    }

    fn find(&mut self, t: &Tuple, now: Instant) -> Option<(u64, bool)> {
        let (id, reply) = *self.index.get(t)?;
        if self.conns.get(&id).is_none_or(|c| c.expires <= now) {
            self.remove(id);
            return None;
        }
        Some((id, reply))
    }

    /// Connections that have not expired, oldest first.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = &Conn> {
        self.conns.values().map(|c| &**c).filter(move |c| c.expires > now)
    }

    /// Forgets what the filter matches and says how many.
    pub fn delete(&mut self, f: &CtFilter, now: Instant) -> Vec<Conn> {
        let hit: Vec<Conn> = self.iter(now).filter(|c| f.matches(c)).cloned().collect();
        for c in &hit {
            self.remove(c.id);
        }
        hit
    }

    /// Finds or makes the packet's connection and moves its state.
    pub fn track(&mut self, ip: &Ip, now: Instant, flow: FlowId) -> Ct {
        if let L4::Icmp(Icmp::Error { original, .. }) = &ip.l4 {
            return self.track_error(ip, original, now);
        }
        let Some(t) = Tuple::of(ip) else { return Ct::None };
        if let Some((id, reply)) = self.find(&t, now)
            && let Some(ct) = self.known(id, reply, ip, now)
        {
            return ct;
        }
        let tcp = match &ip.l4 {
            L4::Tcp(r, _) => match step(TcpState::None, r.flags, false) {
                Step::To(s) => s,
                _ => return Ct::None,
            },
            L4::Icmp(Icmp::Echo { reply: true, .. }) => return Ct::None,
            _ => TcpState::None,
        };
        self.next += 1;
        let timeout = if ip.protocol() == proto::TCP { tcp.timeout() } else { first_timeout(ip.protocol()) };
        Ct::Fresh(Box::new(Conn {
            id: self.next,
            orig: t,
            reply: t.inverted(),
            status: 0,
            mark: 0,
            expires: now + timeout,
            start: now,
            tcp,
            counters: [Counters { packets: 1, bytes: ip.len() as u64 }, Counters::default()],
            flow,
        }))
    }

    /// An ICMP error belongs to the connection of the packet that it quotes.
    fn track_error(&mut self, ip: &Ip, original: &Ip, now: Instant) -> Ct {
        let Some(inner) = Tuple::of(original) else { return Ct::None };
        let Some((id, reply)) = self.find(&inner.inverted(), now) else { return Ct::None };
        match self.get(id) {
            Some(c) if c.tuple(reply).dst == ip.dst => Ct::Known { id, reply, state: CtState::Related },
            _ => Ct::None,
        }
    }

    /// `None` if the old connection is over and the packet begins another.
    fn known(&mut self, id: u64, reply: bool, ip: &Ip, now: Instant) -> Option<Ct> {
        let c = self.get(id)?;
        let old = c.tcp;
        let mut next = old;
        if let L4::Tcp(r, _) = &ip.l4 {
            match step(old, r.flags, reply) {
                Step::To(TcpState::SynSent) if matches!(old, TcpState::TimeWait | TcpState::Close) => {
                    self.remove(id);
                    return None;
                }
                Step::To(s) => next = s,
                Step::Ignore => {}
                Step::Invalid => return Some(Ct::None),
            }
        }
        let len = ip.len();
        let c = self.get_mut(id)?;
        c.tcp = next;
        c.counters[usize::from(reply)].count(len);
        let seen = c.has(status::SEEN_REPLY) || reply;
        let timeout = match c.orig.proto {
            proto::TCP => {
                let was = matches!(old, TcpState::SynRecv | TcpState::Established);
                if seen && was && next == TcpState::Established {
                    c.status |= status::ASSURED;
                }
                next.timeout()
            }
            proto::UDP if seen && now.since(c.start) > Duration::from_secs(2) => {
                c.status |= status::ASSURED;
                Duration::from_secs(120)
            }
            p => first_timeout(p),
        };
        c.expires = now + timeout;
        if !c.has(status::SEEN_REPLY) && matches!(&ip.l4, L4::Tcp(r, _) if r.flags.has(Flags::RST)) {
            // Refused at once: the entry is gone, but this packet is still translated by it.
            c.expires = now;
        }
        if reply {
            c.status |= status::SEEN_REPLY;
        }
        let state = if seen { CtState::Established } else { CtState::New };
        Some(Ct::Known { id, reply, state })
    }

    /// Puts a fresh connection into the table. `Err` if its tuples are taken or the table is full.
    pub fn confirm(&mut self, mut c: Conn, now: Instant, max: u32) -> Result<u64, Full> {
        if self.conns.len() >= self.sweep_at.max(SWEEP_FIRST) {
            let old: Vec<u64> = self.conns.values().filter(|c| c.expires <= now).map(|c| c.id).collect();
            for id in old {
                self.remove(id);
            }
            self.sweep_at = self.conns.len() * 2;
        }
        if self.conns.len() >= Limits::TABLE.conntrack_entries_max.min(max as usize) {
            return Err(Full::Table);
        }
        let (orig, reply) = (self.find(&c.orig, now), self.find(&c.reply, now));
        if let (Some((a, false)), Some((b, true))) = (orig, reply)
            && a == b
        {
            // A copy of the same packet, flooded by a bridge, came before.
            return Ok(a);
        }
        if orig.is_some() || reply.is_some() {
            return Err(Full::Clash);
        }
        c.status |= status::CONFIRMED;
        let id = c.id;
        self.index.insert(c.orig, (id, false));
        self.index.insert(c.reply, (id, true));
        self.conns.insert(id, Arc::new(c));
        Ok(id)
    }
}

fn first_timeout(p: u8) -> Duration {
    Duration::from_secs(match p {
        proto::UDP | proto::ICMP => 30,
        _ => 600,
    })
}

/// Why a connection could not be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// `nf_conntrack: table full, dropping packet`
    Table,
    /// Another packet was faster with the same tuple.
    Clash,
}
