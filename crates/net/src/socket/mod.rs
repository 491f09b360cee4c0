//! Sockets of a namespace: TCP, UDP and ICMP echo. Calls never block; what changed is told by
//! [`crate::Net::take_ready`], and waiting is the caller's business.
//!
//! Here are the socket table and the kernel's side of sockets; the calls are in `calls`, TCP's state machine in `tcp`.

mod buffer;
mod calls;
mod tcp;

pub use calls::{ConnectOptions, PingReply, Shutdown, SocketInfo, SocketStatus};
pub use tcp::State as TcpState;

use crate::namespace::Namespace;
use crate::skb::Skb;
use crate::stack::Core;
use crate::trace::{DropCause, FlowId};
use crate::wire::{icmpv4, proto, tcp::Flags, tcp::Repr};
use crate::{Bytes, Errno, Icmp, Ip, L4, Payload};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use sim::persistent::{OrdMap, Vector};
use sim::{Cause, Instant, Limits};
use smol_str::SmolStr;
use std::sync::Arc;
use tcp::{Segment, State, Tcp};

/// The number of a socket in its namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct SocketId(pub u32);

/// Peers of an unconnected UDP socket whose flow is remembered, so that answers belong to it.
const PEERS_MAX: usize = 64;

/// What a connected socket is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    proto: u8,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Key {
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Key {
        Key { proto: proto::TCP, local, remote }
    }
}

/// A listener.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    backlog: usize,
    /// Connections that wait to be accepted.
    accept: Vector<SocketId>,
    /// Handshakes under way.
    pending: usize,
}

/// A UDP socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Udp {
    queue: Vector<(SocketAddr, Bytes)>,
    bytes: usize,
    peers: Vector<(SocketAddr, FlowId)>,
    error: Option<Errno>,
}

/// An ICMP echo socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ping {
    queue: Vector<PingReply>,
    /// Sequence numbers under way and when they were sent.
    sent: Vector<(u16, Instant)>,
}

/// What a socket is.
#[derive(Clone, Debug)]
pub(crate) enum SockKind {
    Listen(Listener),
    Tcp(Box<Tcp>),
    Udp(Udp),
    Ping(Ping),
}

/// A socket.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    pub id: SocketId,
    pub owner: u64,
    pub cause: Cause,
    pub local: SocketAddr,
    pub remote: Option<SocketAddr>,
    pub flow: FlowId,
    pub ttl: Option<u8>,
    /// The listener of a connection that nobody has accepted yet.
    pub parent: Option<SocketId>,
    /// The queued timer event: when, and its number.
    pub timer: Option<(Instant, u64)>,
    /// Whether the next packet is the first of its direction: it gets a trace.
    pub untraced: bool,
    pub kind: SockKind,
}

impl Socket {
    fn proto(&self) -> u8 {
        match self.kind {
            SockKind::Listen(_) | SockKind::Tcp(_) => proto::TCP,
            SockKind::Udp(_) => proto::UDP,
            SockKind::Ping(_) => proto::ICMP,
        }
    }

    fn key(&self) -> Option<Key> {
        Some(Key { proto: self.proto(), local: self.local, remote: self.remote? })
    }
}

/// The sockets of a namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    map: OrdMap<SocketId, Arc<Socket>>,
    conns: OrdMap<Key, SocketId>,
    /// Listeners and unconnected sockets: protocol, port, address; the unspecified address takes all.
    bound: OrdMap<(u8, u16, IpAddr), SocketId>,
    next: u32,
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Sockets {
    pub fn get(&self, id: SocketId) -> Result<&Socket, Errno> {
        self.map.get(&id).map(|s| &**s).ok_or(Errno::EBADF)
    }

    pub fn get_mut(&mut self, id: SocketId) -> Result<&mut Socket, Errno> {
        self.map.get_mut(&id).map(Arc::make_mut).ok_or(Errno::EBADF)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.map.values().map(|s| &**s)
    }

    fn new_id(&mut self) -> Result<SocketId, Errno> {
        if self.map.len() >= Limits::TABLE.sockets_max {
            return Err(Errno::ENOBUFS);
        }
        self.next += 1;
        Ok(SocketId(self.next))
    }

    fn bound_to(&self, proto: u8, addr: IpAddr, port: u16) -> Option<SocketId> {
        let at = |a| self.bound.get(&(proto, port, a)).copied();
        at(addr).or_else(|| at(ANY))
    }

    /// Whether a socket may not bind there.
    fn taken(&self, proto: u8, addr: IpAddr, port: u16) -> bool {
        if addr == ANY {
            let lo = (proto, port, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            return self.bound.range(lo..).next().is_some_and(|((p, q, _), _)| (*p, *q) == (proto, port));
        }
        self.bound_to(proto, addr, port).is_some()
    }

    /// Takes a socket out of all tables.
    fn forget(&mut self, id: SocketId) -> Option<Arc<Socket>> {
        let s = self.map.remove(&id)?;
        if let Some(k) = s.key()
            && self.conns.get(&k) == Some(&id)
        {
            self.conns.remove(&k);
        }
        let b = (s.proto(), s.local.port(), s.local.ip());
        if self.bound.get(&b) == Some(&id) {
            self.bound.remove(&b);
        }
        Some(s)
    }
}

impl Namespace {
    /// A packet reaches the sockets.
    pub(crate) fn socket_rx(&mut self, core: &mut Core, mut skb: Box<Skb>) {
        skb.place = self.name.clone();
        let ip = &skb.ip;
        let ports = ip.ports();
        match (&ip.l4, ports) {
            (L4::Tcp(r, data), _) => {
                let (r, data) = (*r, data.clone());
                self.tcp_rx(core, skb, r, data);
            }
            (L4::Udp(_, Payload::Bytes(b)), Some((s, d))) => {
                let data = b.clone();
                self.udp_rx(core, skb, s, d, data);
            }
            (L4::Icmp(Icmp::Echo { reply: true, ident, seq, data }), _) => {
                let (ident, seq, len) = (*ident, *seq, data.len());
                self.ping_rx(core, skb, ident, seq, len);
            }
            (L4::Icmp(Icmp::Error { .. }), _) => self.icmp_error_rx(core, skb),
            _ => core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::NoSocket),
        }
    }

    fn tcp_rx(&mut self, core: &mut Core, mut skb: Box<Skb>, r: Repr, data: Bytes) {
        let local = SocketAddr::new(skb.ip.dst, r.dst_port);
        let remote = SocketAddr::new(skb.ip.src, r.src_port);
        let syn = r.flags.has(Flags::SYN) && !r.flags.has(Flags::ACK) && !r.flags.has(Flags::RST);
        let mut hit = self.sockets.conns.get(&Key::tcp(local, remote)).copied();
        if syn
            && let Some(id) = hit
            && let Ok(Socket { kind: SockKind::Tcp(t), .. }) = self.sockets.get(id)
            && t.reusable(&r)
        {
            self.destroy(core, id);
            hit = None;
        }
        if let Some(id) = hit {
            core.delivered(&mut skb, || smol_str::format_smolstr!("TCP socket {local}"));
            return self.tcp_segment(core, id, &r, data);
        }
        let listener = self.sockets.bound_to(proto::TCP, local.ip(), local.port());
        let Some(listener) = listener.filter(|_| syn) else {
            self.tcp_reset(core, &skb);
            let cause = if listener.is_some() { DropCause::NotInSequence } else { DropCause::NoSocket };
            return core.drop_skb(&mut skb, &SmolStr::default(), None, cause);
        };
        self.tcp_open(core, skb, listener, local, remote, &r);
    }

    /// A SYN for a listener.
    fn tcp_open(
        &mut self,
        core: &mut Core,
        mut skb: Box<Skb>,
        listener: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
        r: &Repr,
    ) {
        let mss = self.own_mss(remote.ip());
        let Ok(parent) = self.sockets.get_mut(listener) else { return };
        let (owner, cause) = (parent.owner, skb.cause);
        let SockKind::Listen(l) = &mut parent.kind else { return };
        let full = l.accept.len() + l.pending > l.backlog;
        let id = if full { Err(Errno::ENOBUFS) } else { self.sockets.new_id() };
        let Ok(id) = id else {
            return core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::BacklogFull);
        };
        if let Ok(Socket { kind: SockKind::Listen(l), .. }) = self.sockets.get_mut(listener) {
            l.pending += 1;
        }
        core.delivered(&mut skb, || smol_str::format_smolstr!("TCP listener {local}"));
        let mut out = Vec::new();
        let tcp = Tcp::answer(core.stream.bits() as u32, mss, r, core.now, &mut out);
        let socket = Socket {
            id,
            owner,
            cause,
            local,
            remote: Some(remote),
            flow: skb.flow,
            ttl: None,
            parent: Some(listener),
            timer: None,
            untraced: true,
            kind: SockKind::Tcp(Box::new(tcp)),
        };
        self.sockets.conns.insert(Key::tcp(local, remote), id);
        self.sockets.map.insert(id, Arc::new(socket));
        self.tcp_after(core, id, out, false);
    }

    /// The largest segment that this host can receive from there.
    fn own_mss(&self, remote: IpAddr) -> u16 {
        let mtu = match self.lookup(remote, 0) {
            crate::namespace::Decision::Out { dev, .. } | crate::namespace::Decision::Broadcast(dev) => {
                self.dev(dev).map_or(1500, |d| d.mtu)
            }
            crate::namespace::Decision::Local(_) => 65_536,
            crate::namespace::Decision::Fail(_) => 1500,
        };
        mtu.saturating_sub(40).clamp(88, 65_495) as u16
    }

    fn tcp_segment(&mut self, core: &mut Core, id: SocketId, r: &Repr, data: Bytes) {
        let now = core.now;
        let Ok(s) = self.sockets.get_mut(id) else { return };
        let SockKind::Tcp(t) = &mut s.kind else { return };
        let was = t.state;
        let mut out = Vec::new();
        let mut changed = t.input(r, data, now, &mut out);
        let opened = was == State::SynRecv && t.state != State::SynRecv;
        if opened && let Some(parent) = s.parent {
            self.tcp_opened(core, parent, id);
            changed = true;
        }
        self.tcp_after(core, id, out, changed);
    }

    /// A handshake ended: the connection waits to be accepted, or never will be.
    fn tcp_opened(&mut self, core: &mut Core, parent: SocketId, id: SocketId) {
        let ns = self.id;
        let alive =
            matches!(self.sockets.get(id), Ok(Socket { kind: SockKind::Tcp(t), .. }) if t.connected());
        if let Ok(Socket { kind: SockKind::Listen(l), .. }) = self.sockets.get_mut(parent) {
            l.pending = l.pending.saturating_sub(1);
            if alive {
                l.accept.push_back(id);
                core.wake(ns, parent);
            }
        }
    }

    /// Sends what the endpoint wants to send, keeps its timer, and cleans up when it is over.
    fn tcp_after(&mut self, core: &mut Core, id: SocketId, out: Vec<Segment>, changed: bool) {
        for seg in out {
            self.tcp_send(core, id, seg);
        }
        let ns = self.id;
        let Ok(s) = self.sockets.get_mut(id) else { return };
        let SockKind::Tcp(t) = &mut s.kind else { return };
        let over = t.state == State::Closed && (t.orphan || s.parent.is_some());
        if over {
            return self.destroy(core, id);
        }
        let (deadline, timer) = (t.deadline, s.timer);
        if deadline != timer.map(|(at, _)| at) {
            if let Some((at, seq)) = timer {
                core.queue.cancel(at, seq);
            }
            s.timer = deadline.map(|at| (at, core.queue.push(at, crate::stack::Event::Socket(ns, id))));
        }
        if changed && s.parent.is_none() {
            core.wake(ns, id);
        }
    }

    fn tcp_send(&mut self, core: &mut Core, id: SocketId, seg: Segment) {
        let Ok(s) = self.sockets.get_mut(id) else { return };
        let Some(remote) = s.remote else { return };
        let (local, flow, cause, ttl, parent) = (s.local, s.flow, s.cause, s.ttl, s.parent);
        let trace = core::mem::take(&mut s.untraced) || core.trace_all;
        let repr = Repr {
            src_port: local.port(),
            dst_port: remote.port(),
            seq: seg.seq,
            ack: seg.ack,
            flags: seg.flags,
            window: seg.window,
            mss: seg.mss,
            wscale: seg.wscale,
            sack_ok: seg.mss.is_some(),
            ts: seg.ts.map(|ecr| (core.now.millis() as u32, ecr)),
        };
        let reply = parent.is_some();
        let mut ip = self.packet(local.ip(), remote.ip(), true, L4::Tcp(repr, seg.data));
        ip.ttl = ttl.unwrap_or(ip.ttl);
        self.send_traced(core, ip, flow, cause, trace, reply);
    }

    fn send_traced(&mut self, core: &mut Core, ip: Ip, flow: FlowId, cause: Cause, trace: bool, reply: bool) {
        let mut skb = core.kernel_skb(ip, flow, cause, 0);
        skb.place = self.name.clone();
        if trace {
            core.record(&mut skb, reply);
        }
        core.work.push(crate::stack::Work::Output(self.id, skb));
    }

    /// Takes a socket away with its timer, and with the connections that wait in it.
    pub(crate) fn destroy(&mut self, core: &mut Core, id: SocketId) {
        let Some(s) = self.sockets.forget(id) else { return };
        if let Some((at, seq)) = s.timer {
            core.queue.cancel(at, seq);
        }
        if let (Some(parent), SockKind::Tcp(_)) = (s.parent, &s.kind)
            && let Ok(Socket { kind: SockKind::Listen(l), .. }) = self.sockets.get_mut(parent)
        {
            match l.accept.iter().position(|s| *s == id) {
                Some(i) => {
                    l.accept.remove(i);
                }
                None => l.pending = l.pending.saturating_sub(1),
            }
        }
    }

    /// A socket's timer has run out.
    pub(crate) fn socket_timer(&mut self, core: &mut Core, id: SocketId) {
        let now = core.now;
        let Ok(s) = self.sockets.get_mut(id) else { return };
        s.timer = None;
        let SockKind::Tcp(t) = &mut s.kind else { return };
        let mut out = Vec::new();
        let changed = t.timeout(now, &mut out);
        if t.state == State::Closed && t.error.is_none() && !t.orphan {
            // TIME-WAIT is over; a process that still holds the socket sees its end of file.
            t.eof = true;
        }
        self.tcp_after(core, id, out, changed);
    }

    fn udp_rx(&mut self, core: &mut Core, mut skb: Box<Skb>, sport: u16, dport: u16, data: Bytes) {
        let ns = self.id;
        let local = SocketAddr::new(skb.ip.dst, dport);
        let remote = SocketAddr::new(skb.ip.src, sport);
        let key = Key { proto: proto::UDP, local, remote };
        let hit = self.sockets.conns.get(&key).copied();
        let hit = hit.or_else(|| self.sockets.bound_to(proto::UDP, local.ip(), dport));
        let Some(s) = hit.and_then(|id| self.sockets.get_mut(id).ok()) else {
            self.no_socket(core, &skb);
            return core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::NoSocket);
        };
        let id = s.id;
        let SockKind::Udp(u) = &mut s.kind else { return };
        if u.bytes + data.len() > Limits::TABLE.socket_bytes_max {
            return core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::BufferFull);
        }
        u.bytes += data.len() + 1;
        u.queue.push_back((remote, data));
        if u.peers.last() != Some(&(remote, skb.flow)) {
            u.peers.retain(|(p, _)| *p != remote);
            if u.peers.len() >= PEERS_MAX {
                u.peers.pop_front();
            }
            u.peers.push_back((remote, skb.flow));
        }
        core.delivered(&mut skb, || smol_str::format_smolstr!("UDP socket {local}"));
        core.wake(ns, id);
    }

    fn ping_rx(&mut self, core: &mut Core, mut skb: Box<Skb>, ident: u16, seq: u16, bytes: usize) {
        let (ns, now, from, ttl) = (self.id, core.now, skb.ip.src, skb.ip.ttl);
        let hit = self.sockets.bound.get(&(proto::ICMP, ident, ANY)).copied();
        let Some(s) = hit.and_then(|id| self.sockets.get_mut(id).ok()) else {
            return core.drop_skb(&mut skb, &SmolStr::default(), None, DropCause::NoSocket);
        };
        let id = s.id;
        let SockKind::Ping(p) = &mut s.kind else { return };
        let sent = p.sent.iter().position(|(q, _)| *q == seq).map(|i| p.sent.remove(i).1);
        let time = sent.map_or(sim::Duration::ZERO, |t| now.since(t));
        if p.queue.len() < PEERS_MAX {
            p.queue.push_back(PingReply::Echo { from, seq, ttl, bytes, time });
        }
        core.delivered(&mut skb, || "ping".into());
        core.wake(ns, id);
    }

    /// An ICMP error goes to the socket whose packet it is about.
    fn icmp_error_rx(&mut self, core: &mut Core, mut skb: Box<Skb>) {
        let L4::Icmp(Icmp::Error { kind, code, info, original }) = &skb.ip.l4 else { return };
        let (kind, code, info, from) = (*kind, *code, *info, skb.ip.src);
        let (src, dst) = (original.src, original.dst);
        let (e, fatal) = errno(kind, code);
        let target = match &original.l4 {
            L4::Tcp(t, _) => Some(Key::tcp((src, t.src_port).into(), (dst, t.dst_port).into())),
            L4::Udp(u, _) => Some(Key {
                proto: proto::UDP,
                local: (src, u.src_port).into(),
                remote: (dst, u.dst_port).into(),
            }),
            _ => None,
        };
        if let L4::Icmp(Icmp::Echo { ident, seq, .. }) = &original.l4 {
            let (ident, seq, ns) = (*ident, *seq, self.id);
            let hit = self.sockets.bound.get(&(proto::ICMP, ident, ANY)).copied();
            if let Some(Socket { id, kind: SockKind::Ping(p), .. }) =
                hit.and_then(|id| self.sockets.get_mut(id).ok())
            {
                if p.queue.len() < PEERS_MAX {
                    p.queue.push_back(PingReply::Error { from, seq, kind, code });
                }
                core.wake(ns, *id);
            }
        }
        core.delivered(&mut skb, || {
            smol_str::format_smolstr!("the kernel (ICMP {})", icmpv4::error_name(kind, code))
        });
        let Some(key) = target else { return };
        if (kind, code) == (icmpv4::kind::DEST_UNREACHABLE, icmpv4::unreachable::FRAG_NEEDED) {
            return self.path_mtu(core, key, info);
        }
        let Some(e) = e else { return };
        if key.proto == proto::TCP {
            self.tcp_error(core, key, e, fatal);
        } else if fatal {
            self.socket_error(core, key, e);
        }
    }

    fn path_mtu(&mut self, core: &mut Core, key: Key, mtu: u32) {
        let now = core.now;
        let Some(id) = self.sockets.conns.get(&key).copied() else { return };
        let Ok(Socket { kind: SockKind::Tcp(t), .. }) = self.sockets.get_mut(id) else { return };
        let mut out = Vec::new();
        t.shrink(mtu, now, &mut out);
        self.tcp_after(core, id, out, false);
    }

    fn tcp_error(&mut self, core: &mut Core, key: Key, e: Errno, fatal: bool) {
        let Some(id) = self.sockets.conns.get(&key).copied() else { return };
        let Ok(Socket { kind: SockKind::Tcp(t), .. }) = self.sockets.get_mut(id) else { return };
        let changed = t.fail(e, fatal);
        self.tcp_after(core, id, Vec::new(), changed);
    }

    /// Something that a socket sent failed.
    pub(crate) fn socket_error(&mut self, core: &mut Core, key: Key, e: Errno) {
        if key.proto == proto::TCP {
            // EPERM: a rule dropped it. TCP will try again, as if it had been lost.
            let lost = matches!(e, Errno::EPERM | Errno::EMSGSIZE);
            if !lost {
                self.tcp_error(core, key, e, false);
            }
            return;
        }
        let ns = self.id;
        if let Some(id) = self.sockets.conns.get(&key).copied()
            && let Ok(Socket { kind: SockKind::Udp(u), .. }) = self.sockets.get_mut(id)
        {
            u.error = Some(e);
            core.wake(ns, id);
        }
    }
}

/// What an ICMP error means to a socket, and whether it ends a connection.
fn errno(kind: u8, code: u8) -> (Option<Errno>, bool) {
    use Errno::*;
    let hit = match (kind, code) {
        (icmpv4::kind::TIME_EXCEEDED, _) => (EHOSTUNREACH, false),
        (icmpv4::kind::DEST_UNREACHABLE, c) => match c {
            0 | 11 => (ENETUNREACH, false),
            1 | 12 => (EHOSTUNREACH, false),
            2 => (ENOPROTOOPT, true),
            3 => (ECONNREFUSED, true),
            5 => (EOPNOTSUPP, false),
            6 | 9 => (ENETUNREACH, true),
            7 => (EHOSTDOWN, true),
            8 => (ENONET, true),
            10 | 13..=15 => (EHOSTUNREACH, true),
            _ => return (None, false),
        },
        _ => return (None, false),
    };
    (Some(hit.0), hit.1)
}
