//! The socket calls of [`Net`].

use super::tcp::Tcp;
use super::{ANY, Key, Listener, Ping, SockKind, Socket, SocketId, Sockets, Udp};
use crate::namespace::Namespace;
use crate::stack::Core;
use crate::wire::{proto, udp};
use crate::{Bytes, Errno, Icmp, L4, Net, NsId, Payload, TcpState};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use sim::persistent::Vector;
use sim::{Cause, Duration, Instant, Limits};
use std::sync::Arc;

/// How to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectOptions {
    /// Local address to use; port 0 is any.
    pub bind: Option<SocketAddr>,
    /// The process.
    pub owner: u64,
    /// What led to it.
    pub cause: Cause,
}

/// Which direction to shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Will not read.
    Read,
    /// Will not write.
    Write,
    /// Neither.
    Both,
}

/// What came back to an echo request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PingReply {
    /// The answer.
    Echo {
        /// Who answered.
        from: IpAddr,
        /// Sequence number.
        seq: u16,
        /// Its time to live on arrival.
        ttl: u8,
        /// Bytes of data.
        bytes: usize,
        /// Round-trip time.
        time: Duration,
    },
    /// An error.
    Error {
        /// Who reports it.
        from: IpAddr,
        /// Sequence number of the request.
        seq: u16,
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
    },
}

/// What a caller may do with a socket now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketStatus {
    /// `recv`, `accept` or `udp_recv_from` would give something, be it end of file or an error.
    pub readable: bool,
    /// `send` would take something, or give an error.
    pub writable: bool,
    /// The handshake is done.
    pub connected: bool,
    /// The pending error, which the next call gives and clears.
    pub error: Option<Errno>,
    /// The state of a TCP socket.
    pub state: Option<TcpState>,
}

/// One line of `ss`.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct SocketInfo {
    /// Its number.
    pub id: SocketId,
    /// `tcp`, `udp` or `icmp`.
    pub netid: &'static str,
    /// State as `ss` names it.
    pub state: &'static str,
    /// Bytes that wait to be read; of a listener, connections that wait.
    pub recv_q: usize,
    /// Bytes not yet acknowledged; of a listener, its backlog.
    pub send_q: usize,
    /// Local end.
    pub local: SocketAddr,
    /// Remote end, `0.0.0.0:0` if there is none.
    pub remote: SocketAddr,
    /// The process, 0 if it has let go.
    pub owner: u64,
}

const NOWHERE: SocketAddr = SocketAddr::new(ANY, 0);

impl Sockets {
    fn info(s: &Socket) -> SocketInfo {
        let (netid, state, recv_q, send_q) = match &s.kind {
            SockKind::Listen(l) => ("tcp", "LISTEN", l.accept.len(), l.backlog),
            SockKind::Tcp(t) => ("tcp", t.state.name(), t.input.len(), t.unacked()),
            SockKind::Udp(u) => ("udp", if s.remote.is_some() { "ESTAB" } else { "UNCONN" }, u.bytes, 0),
            SockKind::Ping(_) => ("icmp", "UNCONN", 0, 0),
        };
        let gone = matches!(&s.kind, SockKind::Tcp(t) if t.orphan) || s.parent.is_some();
        let owner = if gone { 0 } else { s.owner };
        SocketInfo {
            id: s.id,
            netid,
            state,
            recv_q,
            send_q,
            local: s.local,
            remote: s.remote.unwrap_or(NOWHERE),
            owner,
        }
    }

    /// A free port of the ephemeral range; TCP connections may share one towards different ends.
    fn port(&self, range: (u16, u16), start: u64, free: impl Fn(u16) -> bool) -> Option<u16> {
        let n = u32::from(range.1 - range.0) + 1;
        // As Linux, every other port first.
        let first = (start % u64::from(n)) as u32 & !1;
        let even = (0..n).step_by(2).map(|i| (first + i) % n);
        let odd = (0..n).step_by(2).map(|i| (first + i + 1) % n);
        even.chain(odd).map(|i| range.0 + i as u16).find(|p| free(*p))
    }

    /// Binds a new socket.
    fn bind(&self, p: u8, addr: SocketAddr, range: (u16, u16), start: u64) -> Result<SocketAddr, Errno> {
        if addr.port() != 0 {
            let taken = self.taken(p, addr.ip(), addr.port());
            return if taken { Err(Errno::EADDRINUSE) } else { Ok(addr) };
        }
        let port = self.port(range, start | 1, |q| !self.taken(p, addr.ip(), q)).ok_or(Errno::EADDRINUSE)?;
        Ok(SocketAddr::new(addr.ip(), port))
    }
}

fn socket(id: SocketId, owner: u64, local: SocketAddr, remote: Option<SocketAddr>, kind: SockKind) -> Socket {
    Socket {
        id,
        owner,
        cause: Cause::NONE,
        local,
        remote,
        flow: crate::FlowId::default(),
        ttl: None,
        parent: None,
        timer: None,
        untraced: true,
        kind,
    }
}

impl Namespace {
    fn check_local(&self, a: IpAddr) -> Result<(), Errno> {
        if a == ANY || self.is_local(a) { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) }
    }

    fn insert(&mut self, s: Socket) -> SocketId {
        let id = s.id;
        match s.key() {
            Some(k) => {
                self.sockets.conns.insert(k, id);
            }
            None => {
                self.sockets.bound.insert((s.proto(), s.local.port(), s.local.ip()), id);
            }
        }
        self.sockets.map.insert(id, Arc::new(s));
        id
    }

    fn tcp_connect(
        &mut self,
        core: &mut Core,
        dst: SocketAddr,
        o: ConnectOptions,
    ) -> Result<SocketId, Errno> {
        let dst = if dst.ip() == ANY { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), dst.port()) } else { dst };
        if dst.port() == 0 || !dst.is_ipv4() {
            return Err(Errno::ECONNREFUSED);
        }
        let bind = o.bind.unwrap_or(NOWHERE);
        self.check_local(bind.ip())?;
        let src = if bind.ip() == ANY { self.source_for(dst.ip())? } else { bind.ip() };
        let free = |p: u16| !self.sockets.conns.contains_key(&Key::tcp((src, p).into(), dst));
        let port = match bind.port() {
            0 => self
                .sockets
                .port(self.sysctl.local_ports, core.stream.bits(), |p| {
                    free(p) && !self.sockets.taken(proto::TCP, src, p)
                })
                .ok_or(Errno::EADDRNOTAVAIL)?,
            p if free(p) => p,
            _ => return Err(Errno::EADDRNOTAVAIL),
        };
        let id = self.sockets.new_id()?;
        let mss = self.own_mss(dst.ip());
        let mut out = Vec::new();
        let iss = core.stream.bits() as u32;
        let tcp = Tcp::connect(iss, mss, self.sysctl.syn_retries, core.now, &mut out);
        let mut s = socket(id, o.owner, (src, port).into(), Some(dst), SockKind::Tcp(Box::new(tcp)));
        (s.flow, s.cause) = (core.flow(), o.cause);
        self.insert(s);
        self.tcp_after(core, id, out, false);
        Ok(id)
    }

    /// Runs a call on a TCP endpoint and sends what it wants to send.
    fn tcp_call<T>(
        &mut self,
        core: &mut Core,
        id: SocketId,
        f: impl FnOnce(&mut Tcp, Instant, &mut Vec<super::Segment>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let s = self.sockets.get_mut(id)?;
        let SockKind::Tcp(t) = &mut s.kind else { return Err(Errno::EOPNOTSUPP) };
        let mut out = Vec::new();
        let r = f(t, core.now, &mut out);
        self.tcp_after(core, id, out, false);
        r
    }

    fn close(&mut self, core: &mut Core, id: SocketId) -> Result<(), Errno> {
        let s = self.sockets.get_mut(id)?;
        match &mut s.kind {
            SockKind::Listen(l) => {
                let waiting: Vector<SocketId> = core::mem::take(&mut l.accept);
                // Whoever was never accepted is told.
                let half: Vec<SocketId> =
                    self.sockets.iter().filter(|c| c.parent == Some(id)).map(|c| c.id).collect();
                self.sockets.forget(id);
                for c in waiting.into_iter().chain(half) {
                    if let Ok(s) = self.sockets.get_mut(c) {
                        s.parent = None;
                    }
                    let _ = self.tcp_call(core, c, |t, _, out| {
                        t.orphan = true;
                        t.abort(out);
                        Ok(())
                    });
                }
                Ok(())
            }
            SockKind::Tcp(_) => self.tcp_call(core, id, |t, now, out| {
                t.close(now, out);
                Ok(())
            }),
            SockKind::Udp(_) | SockKind::Ping(_) => {
                self.destroy(core, id);
                Ok(())
            }
        }
    }

    fn udp_send(
        &mut self,
        core: &mut Core,
        id: SocketId,
        dst: Option<SocketAddr>,
        data: &[u8],
        cause: Cause,
    ) -> Result<usize, Errno> {
        let s = self.sockets.get_mut(id)?;
        let (local, remote, ttl) = (s.local, s.remote, s.ttl);
        let SockKind::Udp(u) = &mut s.kind else { return Err(Errno::EOPNOTSUPP) };
        if let Some(e) = u.error.take() {
            return Err(e);
        }
        let dst = dst.or(remote).ok_or(Errno::EDESTADDRREQ)?;
        if data.len() > 65_507 {
            return Err(Errno::EMSGSIZE);
        }
        if dst.port() == 0 || !dst.is_ipv4() {
            return Err(Errno::EINVAL);
        }
        let known = u.peers.iter().rev().find(|(p, _)| *p == dst).map(|(_, f)| *f);
        // The first answer to a flow that came, and the first packet of a flow of our own, are traced.
        let reply = known.is_some_and(|f| f != s.flow);
        let (flow, first) = match known {
            Some(f) => (f, core::mem::take(&mut s.untraced) || reply),
            None => {
                let f = core.flow();
                s.flow = f;
                if u.peers.len() >= super::PEERS_MAX {
                    u.peers.pop_front();
                }
                u.peers.push_back((dst, f));
                s.untraced = false;
                (f, true)
            }
        };
        let src = if local.ip() == ANY { self.source_for(dst.ip())? } else { local.ip() };
        let l4 = L4::Udp(
            udp::Repr { src_port: local.port(), dst_port: dst.port() },
            Payload::Bytes(Bytes::from(data)),
        );
        let mut ip = self.packet(src, dst.ip(), false, l4);
        ip.ttl = ttl.unwrap_or(ip.ttl);
        let mut skb = core.kernel_skb(ip, flow, cause, 0);
        skb.place = self.name.clone();
        if first || core.trace_all {
            core.record(&mut skb, reply);
        }
        self.ip_output(core, skb)?;
        Ok(data.len())
    }

    fn ping_send(
        &mut self,
        core: &mut Core,
        id: SocketId,
        dst: IpAddr,
        seq: u16,
        bytes: usize,
        cause: Cause,
    ) -> Result<(), Errno> {
        let src = self.source_for(dst)?;
        let now = core.now;
        let s = self.sockets.get_mut(id)?;
        let (ident, ttl) = (s.local.port(), s.ttl);
        let SockKind::Ping(p) = &mut s.kind else { return Err(Errno::EOPNOTSUPP) };
        p.sent.push_back((seq, now));
        if p.sent.len() > super::PEERS_MAX {
            p.sent.pop_front();
        }
        if core::mem::take(&mut s.untraced) {
            s.flow = core.flow();
        }
        let flow = s.flow;
        let data: Vec<u8> = (0..bytes.min(65_507)).map(|i| i as u8).collect();
        let l4 = L4::Icmp(Icmp::Echo { reply: false, ident, seq, data: data.into() });
        let mut ip = self.packet(src, dst, true, l4);
        ip.df = false;
        ip.ttl = ttl.unwrap_or(ip.ttl);
        let mut skb = core.kernel_skb(ip, flow, cause, 0);
        skb.place = self.name.clone();
        core.record(&mut skb, false);
        self.ip_output(core, skb)
    }

    fn status(&self, id: SocketId) -> Result<SocketStatus, Errno> {
        let s = self.sockets.get(id)?;
        let mut st = SocketStatus {
            readable: false,
            writable: true,
            connected: s.remote.is_some(),
            error: None,
            state: None,
        };
        match &s.kind {
            SockKind::Listen(l) => {
                (st.readable, st.writable, st.state) = (!l.accept.is_empty(), false, Some(TcpState::Listen));
            }
            SockKind::Tcp(t) => {
                st.state = Some(t.state);
                st.error = t.error;
                st.connected = t.connected();
                let over = t.error.is_some() || t.state == TcpState::Closed;
                st.readable = !t.input.is_empty() || t.eof || over;
                st.writable = over || (t.connected() && t.room() > 0);
            }
            SockKind::Udp(u) => {
                st.error = u.error;
                st.readable = !u.queue.is_empty() || u.error.is_some();
            }
            SockKind::Ping(p) => st.readable = !p.queue.is_empty(),
        }
        Ok(st)
    }
}

impl Net {
    /// Binds a TCP listener. Errors: `EADDRINUSE`, `EADDRNOTAVAIL`.
    pub fn tcp_listen(
        &mut self,
        ns: NsId,
        addr: SocketAddr,
        backlog: usize,
        owner: u64,
    ) -> Result<SocketId, Errno> {
        self.within(ns, |n, core| {
            n.check_local(addr.ip())?;
            let local = n.sockets.bind(proto::TCP, addr, n.sysctl.local_ports, core.stream.bits())?;
            let id = n.sockets.new_id()?;
            let backlog = backlog.clamp(1, n.sysctl.somaxconn as usize);
            let l = Listener { backlog, accept: Vector::new(), pending: 0 };
            Ok(n.insert(socket(id, owner, local, None, SockKind::Listen(l))))
        })
    }

    /// Takes a connection from a listener. `EAGAIN`: none waits.
    pub fn tcp_accept(&mut self, ns: NsId, listener: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        self.within(ns, |n, _| {
            let s = n.sockets.get_mut(listener)?;
            let owner = s.owner;
            let SockKind::Listen(l) = &mut s.kind else { return Err(Errno::EINVAL) };
            let id = l.accept.pop_front().ok_or(Errno::EAGAIN)?;
            let c = n.sockets.get_mut(id)?;
            (c.parent, c.owner) = (None, owner);
            Ok((id, c.remote.unwrap_or(NOWHERE)))
        })
    }

    /// Begins a connection; [`Net::socket_status`] tells how it goes. Errors: `ENETUNREACH`, `EADDRNOTAVAIL`.
    pub fn tcp_connect(
        &mut self,
        ns: NsId,
        dst: SocketAddr,
        options: ConnectOptions,
    ) -> Result<SocketId, Errno> {
        self.within(ns, |n, core| n.tcp_connect(core, dst, options))
    }

    /// Writes to a connection and says how much was taken. `EAGAIN`: nothing fits; `EPIPE`: it is closed.
    pub fn send(&mut self, ns: NsId, id: SocketId, data: &[u8]) -> Result<usize, Errno> {
        self.within(ns, |n, core| {
            if matches!(n.sockets.get(id)?.kind, SockKind::Udp(_)) {
                return n.udp_send(core, id, None, data, Cause::NONE);
            }
            n.tcp_call(core, id, |t, now, out| {
                if t.state == TcpState::SynSent {
                    return Err(Errno::EAGAIN);
                }
                let r = t.write(data, now, out);
                if r.is_err() && t.error.is_some() {
                    t.error = None;
                }
                r
            })
        })
    }

    /// Reads up to `max` bytes; empty means end of file. `EAGAIN`: nothing is there yet.
    pub fn recv(&mut self, ns: NsId, id: SocketId, max: usize) -> Result<Bytes, Errno> {
        self.within(ns, |n, core| {
            if matches!(n.sockets.get(id)?.kind, SockKind::Udp(_)) {
                return n.udp_recv(id, max).map(|(_, b)| b);
            }
            n.tcp_call(core, id, |t, _, out| {
                if !t.input.is_empty() {
                    return Ok(t.read(max, out));
                }
                if let Some(e) = t.error.take() {
                    t.eof = true;
                    return Err(e);
                }
                if t.eof {
                    return Ok(Bytes::default());
                }
                if t.state == TcpState::Closed { Err(Errno::ENOTCONN) } else { Err(Errno::EAGAIN) }
            })
        })
    }

    /// Shuts a connection down in one or both directions.
    pub fn shutdown(&mut self, ns: NsId, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        self.within(ns, |n, core| {
            n.tcp_call(core, id, |t, now, out| {
                if !t.connected() {
                    return Err(Errno::ENOTCONN);
                }
                if how != Shutdown::Read {
                    t.shutdown(now, out);
                }
                if how != Shutdown::Write {
                    t.eof = true;
                }
                Ok(())
            })
        })
    }

    /// Lets go of a socket.
    pub fn close(&mut self, ns: NsId, id: SocketId) -> Result<(), Errno> {
        self.within(ns, |n, core| n.close(core, id))
    }

    /// Lets go of all sockets of a process, as the kernel does when it dies.
    pub fn close_owner(&mut self, ns: NsId, owner: u64) {
        let _ = self.within(ns, |n, core| {
            let ids: Vec<SocketId> =
                n.sockets.iter().filter(|s| s.owner == owner && s.parent.is_none()).map(|s| s.id).collect();
            for id in ids {
                let _ = n.close(core, id);
            }
            Ok(())
        });
    }

    /// Gives a socket to another process.
    pub fn set_owner(&mut self, ns: NsId, id: SocketId, owner: u64) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            n.sockets.get_mut(id)?.owner = owner;
            Ok(())
        })
    }

    /// Sets the time to live of what a socket sends.
    pub fn set_ttl(&mut self, ns: NsId, id: SocketId, ttl: u8) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            n.sockets.get_mut(id)?.ttl = Some(ttl.max(1));
            Ok(())
        })
    }

    /// Binds a UDP socket; port 0 is any.
    pub fn udp_bind(&mut self, ns: NsId, addr: SocketAddr, owner: u64) -> Result<SocketId, Errno> {
        self.within(ns, |n, core| {
            n.check_local(addr.ip())?;
            let local = n.sockets.bind(proto::UDP, addr, n.sysctl.local_ports, core.stream.bits())?;
            let id = n.sockets.new_id()?;
            Ok(n.insert(socket(id, owner, local, None, SockKind::Udp(Udp::default()))))
        })
    }

    /// Ties a UDP socket to one remote end: it hears of ICMP errors and needs no destination any more.
    pub fn udp_connect(&mut self, ns: NsId, id: SocketId, dst: SocketAddr) -> Result<(), Errno> {
        self.within(ns, |n, _| {
            let src = n.source_for(dst.ip())?;
            let old = n.sockets.forget(id).ok_or(Errno::EBADF)?;
            let mut s = Arc::unwrap_or_clone(old);
            let ok = matches!(s.kind, SockKind::Udp(_));
            if ok {
                s.remote = Some(dst);
                if s.local.ip() == ANY {
                    s.local = SocketAddr::new(src, s.local.port());
                }
            }
            n.insert(s);
            if ok { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
        })
    }

    /// Sends a datagram. Errors: a pending one, `ENETUNREACH`, `EPERM` (a rule of OUTPUT dropped it), `EMSGSIZE`.
    pub fn udp_send_to(
        &mut self,
        ns: NsId,
        id: SocketId,
        dst: SocketAddr,
        data: &[u8],
        cause: Cause,
    ) -> Result<usize, Errno> {
        self.within(ns, |n, core| n.udp_send(core, id, Some(dst), data, cause))
    }

    /// Takes a datagram and its sender. `EAGAIN`: none is there.
    pub fn udp_recv_from(&mut self, ns: NsId, id: SocketId) -> Result<(SocketAddr, Bytes), Errno> {
        self.within(ns, |n, _| n.udp_recv(id, usize::MAX))
    }

    /// Opens a socket for echo requests.
    pub fn ping_open(&mut self, ns: NsId, owner: u64) -> Result<SocketId, Errno> {
        self.within(ns, |n, core| {
            let start = core.stream.bits();
            let free = |p: u16| !n.sockets.taken(proto::ICMP, ANY, p);
            let ident = n.sockets.port((1, u16::MAX), start, free).ok_or(Errno::EADDRINUSE)?;
            let id = n.sockets.new_id()?;
            Ok(n.insert(socket(id, owner, (ANY, ident).into(), None, SockKind::Ping(Ping::default()))))
        })
    }

    /// Sends an echo request with `bytes` of data; the first and every one has a trace.
    pub fn ping(
        &mut self,
        ns: NsId,
        id: SocketId,
        dst: IpAddr,
        seq: u16,
        bytes: usize,
        cause: Cause,
    ) -> Result<(), Errno> {
        self.within(ns, |n, core| n.ping_send(core, id, dst, seq, bytes, cause))
    }

    /// Takes what came back. `EAGAIN`: nothing yet.
    pub fn ping_recv(&mut self, ns: NsId, id: SocketId) -> Result<PingReply, Errno> {
        self.within(ns, |n, _| {
            let s = n.sockets.get_mut(id)?;
            let SockKind::Ping(p) = &mut s.kind else { return Err(Errno::EOPNOTSUPP) };
            p.queue.pop_front().ok_or(Errno::EAGAIN)
        })
    }

    /// What a socket is ready for.
    pub fn socket_status(&self, ns: NsId, id: SocketId) -> Result<SocketStatus, Errno> {
        self.ns(ns)?.status(id)
    }

    /// A socket's flow, for looking up its traces.
    pub fn socket_flow(&self, ns: NsId, id: SocketId) -> Result<crate::FlowId, Errno> {
        Ok(self.ns(ns)?.sockets.get(id)?.flow)
    }

    /// A socket's local and remote end.
    pub fn socket_addrs(&self, ns: NsId, id: SocketId) -> Result<(SocketAddr, Option<SocketAddr>), Errno> {
        let s = self.ns(ns)?.sockets.get(id)?;
        Ok((s.local, s.remote))
    }

    /// All sockets of a namespace, for `ss`.
    pub fn sockets(&self, ns: NsId) -> Vec<SocketInfo> {
        self.ns(ns).map(|n| n.sockets.iter().map(Sockets::info).collect()).unwrap_or_default()
    }
}

impl Namespace {
    fn udp_recv(&mut self, id: SocketId, max: usize) -> Result<(SocketAddr, Bytes), Errno> {
        let s = self.sockets.get_mut(id)?;
        let SockKind::Udp(u) = &mut s.kind else { return Err(Errno::EOPNOTSUPP) };
        if let Some(e) = u.error.take() {
            return Err(e);
        }
        let (from, b) = u.queue.pop_front().ok_or(Errno::EAGAIN)?;
        u.bytes = u.bytes.saturating_sub(b.len() + 1);
        let b = if b.len() > max { b[..max].into() } else { b };
        Ok((from, b))
    }
}

const _: () = assert!(Limits::TABLE.socket_bytes_max >= 65_536);
