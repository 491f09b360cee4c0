//! Processes' sockets over the network model: handles that several hosts' kernels share.

mod admin;

use core::task::Poll;
use net::{ConnectOptions, Net, NsId};
use shell::Errno;
use shell::kernel::{Network, SocketId};
use shell::sys::{Echo, PingReply, Shutdown, SocketKind, Wait};
use sim::Cause;
use sim::persistent::OrdMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
struct Handle {
    host: usize,
    ns: NsId,
    kind: SocketKind,
    /// The socket, once it is bound, listens or connects.
    id: Option<net::SocketId>,
    bound: Option<SocketAddr>,
}

/// All open sockets of all hosts' processes. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub struct SocketTable {
    handles: OrdMap<SocketId, Handle>,
    by_net: OrdMap<(NsId, u32), SocketId>,
    next: SocketId,
}

impl SocketTable {
    fn add(&mut self, h: Handle) -> SocketId {
        self.next += 1;
        if let Some(id) = h.id {
            self.by_net.insert((h.ns, id.0), self.next);
        }
        self.handles.insert(self.next, h);
        self.next
    }

    fn attach(&mut self, handle: SocketId, id: net::SocketId) {
        if let Some(h) = self.handles.get_mut(&handle) {
            h.id = Some(id);
            self.by_net.insert((h.ns, id.0), handle);
        }
    }

    /// The handles of sockets that have news: host and handle.
    pub fn ready(&self, sockets: &[(NsId, net::SocketId)]) -> Vec<(usize, SocketId)> {
        sockets
            .iter()
            .filter_map(|(ns, id)| {
                let handle = self.by_net.get(&(*ns, id.0))?;
                Some((self.handles.get(handle)?.host, *handle))
            })
            .collect()
    }

    /// Forgets the sockets of a namespace that is gone.
    pub fn forget(&mut self, ns: NsId) {
        let gone: Vec<SocketId> = self.handles.iter().filter(|(_, h)| h.ns == ns).map(|(n, _)| *n).collect();
        for n in gone {
            if let Some(id) = self.handles.remove(&n).and_then(|h| h.id) {
                self.by_net.remove(&(ns, id.0));
            }
        }
    }
}

/// The network as one host's kernel sees it during a turn.
pub struct HostNetwork<'a> {
    /// The network.
    pub net: &'a mut Net,
    /// Handles.
    pub table: &'a mut SocketTable,
    /// The host.
    pub host: usize,
    /// What led to the turn.
    pub cause: Cause,
}

fn errno(e: net::Errno) -> Errno {
    Errno::from_number(e as i32).unwrap_or(Errno::EINVAL)
}

fn poll<T>(r: Result<T, net::Errno>) -> Wait<T> {
    match r {
        Err(net::Errno::EAGAIN) => Poll::Pending,
        Ok(v) => Poll::Ready(Ok(v)),
        Err(e) => Poll::Ready(Err(errno(e))),
    }
}

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl HostNetwork<'_> {
    fn handle(&self, id: SocketId) -> Result<&Handle, Errno> {
        self.table.handles.get(&id).ok_or(Errno::EBADF)
    }

    fn live(&self, id: SocketId) -> Result<(NsId, net::SocketId), Errno> {
        let h = self.handle(id)?;
        Ok((h.ns, h.id.ok_or(Errno::ENOTCONN)?))
    }

    /// A datagram socket is bound when it is first used.
    fn datagram(&mut self, id: SocketId) -> Result<(NsId, net::SocketId), Errno> {
        let h = self.handle(id)?.clone();
        if let Some(s) = h.id {
            return Ok((h.ns, s));
        }
        let owner = h.host as u64;
        let s = match h.kind {
            SocketKind::Icmp => self.net.ping_open(h.ns, owner),
            _ => self.net.udp_bind(h.ns, h.bound.unwrap_or(ANY), owner),
        };
        let s = s.map_err(errno)?;
        self.table.attach(id, s);
        Ok((h.ns, s))
    }
}

impl Network for HostNetwork<'_> {
    fn socket(&mut self, ns: u32, kind: SocketKind, v6: bool) -> Result<SocketId, Errno> {
        if v6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        let host = self.host;
        Ok(self.table.add(Handle { host, ns: NsId(ns), kind, id: None, bound: None }))
    }

    fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<(), Errno> {
        let h = self.table.handles.get_mut(&id).ok_or(Errno::EBADF)?;
        h.bound = Some(addr);
        if h.kind == SocketKind::Udp {
            self.datagram(id)?;
        }
        Ok(())
    }

    fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno> {
        let h = self.handle(id)?.clone();
        let s = self.net.tcp_listen(h.ns, h.bound.unwrap_or(ANY), backlog, h.host as u64).map_err(errno)?;
        self.table.attach(id, s);
        Ok(())
    }

    fn accept(&mut self, id: SocketId) -> Wait<(SocketId, SocketAddr)> {
        let (ns, s) = match self.live(id) {
            Ok(x) => x,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let host = self.host;
        match self.net.tcp_accept(ns, s) {
            Ok((c, peer)) => {
                let handle =
                    self.table.add(Handle { host, ns, kind: SocketKind::Tcp, id: Some(c), bound: None });
                Poll::Ready(Ok((handle, peer)))
            }
            Err(e) => poll(Err(e)),
        }
    }

    fn connect(&mut self, id: SocketId, addr: SocketAddr) -> Wait<()> {
        let h = match self.handle(id) {
            Ok(h) => h.clone(),
            Err(e) => return Poll::Ready(Err(e)),
        };
        if h.kind == SocketKind::Udp {
            return match self.datagram(id) {
                Ok((ns, s)) => poll(self.net.udp_connect(ns, s, addr)),
                Err(e) => Poll::Ready(Err(e)),
            };
        }
        let s = match h.id {
            Some(s) => s,
            None => {
                let options = ConnectOptions { bind: h.bound, owner: h.host as u64, cause: self.cause };
                match self.net.tcp_connect(h.ns, addr, options) {
                    Ok(s) => {
                        self.table.attach(id, s);
                        s
                    }
                    Err(e) => return Poll::Ready(Err(errno(e))),
                }
            }
        };
        match self.net.socket_status(h.ns, s) {
            Ok(status) if status.connected => Poll::Ready(Ok(())),
            Ok(status) => match status.error {
                Some(e) => Poll::Ready(Err(errno(e))),
                None => Poll::Pending,
            },
            Err(e) => Poll::Ready(Err(errno(e))),
        }
    }

    fn send(&mut self, id: SocketId, data: &[u8]) -> Wait<usize> {
        match self.live(id) {
            Ok((ns, s)) => poll(self.net.send(ns, s, data)),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn recv(&mut self, id: SocketId, max: usize) -> Wait<Vec<u8>> {
        match self.live(id) {
            Ok((ns, s)) if self.handle(id).is_ok_and(|h| h.kind == SocketKind::Udp) => {
                poll(self.net.udp_recv_from(ns, s).map(|(_, b)| b.to_vec()))
            }
            Ok((ns, s)) => poll(self.net.recv(ns, s, max).map(|b| b.to_vec())),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn send_to(&mut self, id: SocketId, data: &[u8], to: SocketAddr) -> Wait<usize> {
        match self.datagram(id) {
            Ok((ns, s)) => poll(self.net.udp_send_to(ns, s, to, data, self.cause)),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn recv_from(&mut self, id: SocketId, _max: usize) -> Wait<(Vec<u8>, SocketAddr)> {
        match self.datagram(id) {
            Ok((ns, s)) => poll(self.net.udp_recv_from(ns, s).map(|(from, b)| (b.to_vec(), from))),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let (ns, s) = self.live(id)?;
        let how = match how {
            Shutdown::Read => net::Shutdown::Read,
            Shutdown::Write => net::Shutdown::Write,
            Shutdown::Both => net::Shutdown::Both,
        };
        self.net.shutdown(ns, s, how).map_err(errno)
    }

    fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let h = self.handle(id)?;
        match h.id {
            Some(s) => self.net.socket_addrs(h.ns, s).map(|a| a.0).map_err(errno),
            None => Ok(h.bound.unwrap_or(ANY)),
        }
    }

    fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let (ns, s) = self.live(id)?;
        self.net.socket_addrs(ns, s).map_err(errno)?.1.ok_or(Errno::ENOTCONN)
    }

    fn ping_send(&mut self, id: SocketId, to: IpAddr, seq: u16, ttl: u8, bytes: usize) -> Result<(), Errno> {
        let (ns, s) = self.datagram(id)?;
        if ttl > 0 {
            self.net.set_ttl(ns, s, ttl).map_err(errno)?;
        }
        self.net.ping(ns, s, to, seq, bytes, self.cause).map_err(errno)
    }

    fn ping_recv(&mut self, id: SocketId) -> Wait<PingReply> {
        let (ns, s) = match self.datagram(id) {
            Ok(x) => x,
            Err(e) => return Poll::Ready(Err(e)),
        };
        poll(self.net.ping_recv(ns, s).map(|r| match r {
            net::PingReply::Echo { from, seq, ttl, bytes, .. } => {
                PingReply { from, seq, ttl, bytes: bytes + 8, echo: Echo::Reply }
            }
            net::PingReply::Error { from, seq, kind, code } => {
                let echo = if kind == 11 { Echo::TimeExceeded } else { Echo::Unreachable(code) };
                PingReply { from, seq, ttl: 64, bytes: 0, echo }
            }
        }))
    }

    fn close(&mut self, id: SocketId) {
        if let Some(h) = self.table.handles.remove(&id)
            && let Some(s) = h.id
        {
            self.table.by_net.remove(&(h.ns, s.0));
            // A socket that is gone already needs no closing.
            let _ = self.net.close(h.ns, s);
        }
    }

    fn admin(&mut self, ns: u32, tool: &str, args: &[String], stdin: &str) -> (String, String, i32) {
        admin::run(self.net, NsId(ns), tool, args, stdin)
    }
}
