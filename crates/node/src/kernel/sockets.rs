//! Sockets of a machine's processes over [`net::Net`].
//!
//! A process first makes a socket and says later what it is for; `net` knows only listeners, connections and bound
//! sockets. So a handle here is a socket without purpose until `listen`, `connect` or the first datagram.

use core::task::Poll;
use imbl::OrdMap;
use net::{ConnectOptions, Net, NsId};
use shell::errno::Errno;
use shell::kernel::{NetNs, Network, SocketId};
use shell::sys::{Echo, PingReply, Shutdown, SocketKind, Wait};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
struct Socket {
    ns: NsId,
    kind: SocketKind,
    bound: Option<SocketAddr>,
    real: Option<net::SocketId>,
    listening: bool,
}

/// All sockets of a machine. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    map: OrdMap<SocketId, Socket>,
    real: OrdMap<(NsId, net::SocketId), SocketId>,
    next: SocketId,
}

impl Sockets {
    /// The handle of a network's socket.
    pub fn handle(&self, ns: NsId, id: net::SocketId) -> Option<SocketId> {
        self.real.get(&(ns, id)).copied()
    }

    fn add(&mut self, s: Socket) -> SocketId {
        self.next += 1;
        if let Some(r) = s.real {
            self.real.insert((s.ns, r), self.next);
        }
        self.map.insert(self.next, s);
        self.next
    }

    fn get(&self, id: SocketId) -> Result<&Socket, Errno> {
        self.map.get(&id).ok_or(Errno::EBADF)
    }

    fn tie(&mut self, id: SocketId, real: net::SocketId) {
        if let Some(s) = self.map.get_mut(&id) {
            s.real = Some(real);
            self.real.insert((s.ns, real), id);
        }
    }
}

/// A network's error as the process sees it.
pub(super) fn errno(e: net::Errno) -> Errno {
    macro_rules! same {
        ($($n:ident)*) => {
            match e { $(net::Errno::$n => Errno::$n,)* _ => Errno::EIO }
        };
    }
    same!(EPERM ENOENT EBADF EAGAIN ENOMEM EACCES EBUSY EEXIST ENODEV EINVAL ENOSPC EPIPE EDESTADDRREQ EMSGSIZE EOPNOTSUPP
        EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ETIMEDOUT
        ECONNREFUSED EHOSTDOWN EHOSTUNREACH)
}

/// What a call gave, where "try again" means to wait.
fn wait<T>(r: Result<T, net::Errno>) -> Wait<T> {
    match r {
        Ok(v) => Poll::Ready(Ok(v)),
        Err(net::Errno::EAGAIN) => Poll::Pending,
        Err(e) => Poll::Ready(Err(errno(e))),
    }
}

/// The network as a machine's kernel calls it.
pub struct Port<'a> {
    /// The world's network.
    pub net: &'a mut Net,
    /// The machine's sockets.
    pub sockets: &'a mut Sockets,
}

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Port<'_> {
    fn real(&self, id: SocketId) -> Result<(NsId, net::SocketId), Errno> {
        let s = self.sockets.get(id)?;
        Ok((s.ns, s.real.ok_or(Errno::ENOTCONN)?))
    }

    /// A datagram socket, bound to any port if it has none yet.
    fn datagram(&mut self, id: SocketId) -> Result<(NsId, net::SocketId), Errno> {
        let s = self.sockets.get(id)?.clone();
        if let Some(r) = s.real {
            return Ok((s.ns, r));
        }
        let r = match s.kind {
            SocketKind::Udp => self.net.udp_bind(s.ns, s.bound.unwrap_or(ANY), id),
            SocketKind::Icmp => self.net.ping_open(s.ns, id),
            SocketKind::Tcp => return Err(Errno::ENOTCONN),
        };
        let r = r.map_err(errno)?;
        self.sockets.tie(id, r);
        Ok((s.ns, r))
    }
}

impl Network for Port<'_> {
    fn socket(&mut self, ns: NetNs, kind: SocketKind, v6: bool) -> Result<SocketId, Errno> {
        if v6 && kind != SocketKind::Tcp {
            return Err(Errno::EAFNOSUPPORT);
        }
        Ok(self.sockets.add(Socket { ns: NsId(ns), kind, bound: None, real: None, listening: false }))
    }

    fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<(), Errno> {
        // A wildcard of the other family takes IPv4 too.
        let addr = match addr {
            SocketAddr::V6(a) if a.ip().is_unspecified() => SocketAddr::new(ANY.ip(), a.port()),
            a => a,
        };
        let s = self.sockets.map.get_mut(&id).ok_or(Errno::EBADF)?;
        if s.real.is_some() || s.bound.is_some() {
            return Err(Errno::EINVAL);
        }
        s.bound = Some(addr);
        let (ns, kind) = (s.ns, s.kind);
        match kind {
            SocketKind::Udp => self.datagram(id).map(|_| ()).inspect_err(|_| {
                if let Some(s) = self.sockets.map.get_mut(&id) {
                    s.bound = None;
                }
            }),
            // A listener's port is taken at once, so that `bind` itself can fail as it does on Linux.
            SocketKind::Tcp => {
                let r = self.net.tcp_listen(ns, addr, 1, id).map_err(errno)?;
                let _ = self.net.close(ns, r);
                Ok(())
            }
            SocketKind::Icmp => Ok(()),
        }
    }

    fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno> {
        let s = self.sockets.get(id)?.clone();
        if s.kind != SocketKind::Tcp || s.real.is_some() && !s.listening {
            return Err(Errno::EOPNOTSUPP);
        }
        if s.listening {
            return Ok(());
        }
        let r = self.net.tcp_listen(s.ns, s.bound.unwrap_or(ANY), backlog, id).map_err(errno)?;
        self.sockets.tie(id, r);
        if let Some(s) = self.sockets.map.get_mut(&id) {
            s.listening = true;
        }
        Ok(())
    }

    fn accept(&mut self, id: SocketId) -> Wait<(SocketId, SocketAddr)> {
        let (ns, r) = match self.real(id) {
            Ok(r) => r,
            Err(_) => return Poll::Ready(Err(Errno::EINVAL)),
        };
        match wait(self.net.tcp_accept(ns, r)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok((c, peer))) => {
                let h = self.sockets.add(Socket {
                    ns,
                    kind: SocketKind::Tcp,
                    bound: None,
                    real: Some(c),
                    listening: false,
                });
                Poll::Ready(Ok((h, peer)))
            }
        }
    }

    fn connect(&mut self, id: SocketId, addr: SocketAddr) -> Wait<()> {
        let s = match self.sockets.get(id) {
            Ok(s) => s.clone(),
            Err(e) => return Poll::Ready(Err(e)),
        };
        if !addr.is_ipv4() {
            return Poll::Ready(Err(Errno::ENETUNREACH));
        }
        if s.kind != SocketKind::Tcp {
            return Poll::Ready(self.datagram(id).and_then(|(ns, r)| match s.kind {
                SocketKind::Udp => self.net.udp_connect(ns, r, addr).map_err(errno),
                _ => Ok(()),
            }));
        }
        let real = match s.real {
            Some(r) => r,
            None => {
                let options = ConnectOptions { bind: s.bound, owner: id, ..ConnectOptions::default() };
                match self.net.tcp_connect(s.ns, addr, options) {
                    Ok(r) => {
                        self.sockets.tie(id, r);
                        r
                    }
                    Err(e) => return Poll::Ready(Err(errno(e))),
                }
            }
        };
        match self.net.socket_status(s.ns, real) {
            Err(e) => Poll::Ready(Err(errno(e))),
            Ok(st) if st.connected => Poll::Ready(Ok(())),
            Ok(st) => match st.error {
                Some(e) => Poll::Ready(Err(errno(e))),
                None if st.state == Some(net::TcpState::Closed) => Poll::Ready(Err(Errno::ECONNREFUSED)),
                None => Poll::Pending,
            },
        }
    }

    fn send(&mut self, id: SocketId, data: &[u8]) -> Wait<usize> {
        match self.real(id) {
            Ok((ns, r)) => wait(self.net.send(ns, r, data)),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn recv(&mut self, id: SocketId, max: usize) -> Wait<Vec<u8>> {
        match self.real(id) {
            Ok((ns, r)) => match wait(self.net.recv(ns, r, max)) {
                Poll::Ready(r) => Poll::Ready(r.map(|b| b.to_vec())),
                Poll::Pending => Poll::Pending,
            },
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn send_to(&mut self, id: SocketId, data: &[u8], to: SocketAddr) -> Wait<usize> {
        match self.datagram(id) {
            Ok((ns, r)) => wait(self.net.udp_send_to(ns, r, to, data, sim::Cause::NONE)),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn recv_from(&mut self, id: SocketId, max: usize) -> Wait<(Vec<u8>, SocketAddr)> {
        match self.datagram(id) {
            Ok((ns, r)) => match wait(self.net.udp_recv_from(ns, r)) {
                Poll::Ready(r) => {
                    Poll::Ready(r.map(|(from, b)| (b.iter().take(max).copied().collect(), from)))
                }
                Poll::Pending => Poll::Pending,
            },
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let (ns, r) = self.real(id)?;
        let how = match how {
            Shutdown::Read => net::Shutdown::Read,
            Shutdown::Write => net::Shutdown::Write,
            Shutdown::Both => net::Shutdown::Both,
        };
        self.net.shutdown(ns, r, how).map_err(errno)
    }

    fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let s = self.sockets.get(id)?;
        match s.real {
            Some(r) => self.net.socket_addrs(s.ns, r).map(|a| a.0).map_err(errno),
            None => Ok(s.bound.unwrap_or(ANY)),
        }
    }

    fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let (ns, r) = self.real(id)?;
        self.net.socket_addrs(ns, r).map_err(errno)?.1.ok_or(Errno::ENOTCONN)
    }

    fn ping_send(&mut self, id: SocketId, to: IpAddr, seq: u16, ttl: u8, bytes: usize) -> Result<(), Errno> {
        let (ns, r) = self.datagram(id)?;
        self.net.set_ttl(ns, r, ttl).map_err(errno)?;
        self.net.ping(ns, r, to, seq, bytes, sim::Cause::NONE).map_err(errno)
    }

    fn ping_recv(&mut self, id: SocketId) -> Wait<PingReply> {
        let (ns, r) = match self.datagram(id) {
            Ok(r) => r,
            Err(e) => return Poll::Ready(Err(e)),
        };
        match wait(self.net.ping_recv(ns, r)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(r)) => Poll::Ready(Ok(match r {
                net::PingReply::Echo { from, seq, ttl, bytes, .. } => {
                    PingReply { from, seq, ttl, bytes: bytes + 8, echo: Echo::Reply }
                }
                net::PingReply::Error { from, seq, kind, code } => PingReply {
                    from,
                    seq,
                    ttl: 64,
                    bytes: 36,
                    echo: if kind == 11 { Echo::TimeExceeded } else { Echo::Unreachable(code) },
                },
            })),
        }
    }

    fn close(&mut self, id: SocketId) {
        if let Some(s) = self.sockets.map.remove(&id)
            && let Some(r) = s.real
        {
            self.sockets.real.remove(&(s.ns, r));
            // The namespace may be gone already, and the socket with it.
            let _ = self.net.close(s.ns, r);
        }
    }

    fn admin(&mut self, ns: NetNs, tool: &str, args: &[String], stdin: &str) -> (String, String, i32) {
        super::admin::run(self.net, NsId(ns), tool, args, stdin)
    }
}
