//! What the kernel asks of a network: sockets as handles in a network namespace.

use crate::Errno;
use crate::sys::{PingReply, Shutdown, SocketKind, Wait};
use core::task::Poll;
use std::net::{IpAddr, SocketAddr};

/// A network namespace.
pub type NetNs = u32;
/// A socket's number in its network.
pub type SocketId = u64;

/// Sockets and network administration. Calls that would block give [`Poll::Pending`]; the network's owner then calls
/// [`super::Kernel::socket_ready`] once there is something new.
pub trait Network {
    /// A new socket.
    fn socket(&mut self, ns: NetNs, kind: SocketKind, v6: bool) -> Result<SocketId, Errno>;
    /// Gives it a local address.
    fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<(), Errno>;
    /// Waits for connections.
    fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno>;
    /// Takes a connection.
    fn accept(&mut self, id: SocketId) -> Wait<(SocketId, SocketAddr)>;
    /// Connects.
    fn connect(&mut self, id: SocketId, addr: SocketAddr) -> Wait<()>;
    /// Sends on a connection.
    fn send(&mut self, id: SocketId, data: &[u8]) -> Wait<usize>;
    /// Receives from a connection; none at its end.
    fn recv(&mut self, id: SocketId, max: usize) -> Wait<Vec<u8>>;
    /// Sends a datagram.
    fn send_to(&mut self, id: SocketId, data: &[u8], to: SocketAddr) -> Wait<usize>;
    /// Receives a datagram.
    fn recv_from(&mut self, id: SocketId, max: usize) -> Wait<(Vec<u8>, SocketAddr)>;
    /// Ends a half.
    fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno>;
    /// Own address.
    fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno>;
    /// Peer's address.
    fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno>;
    /// Sends an echo request.
    fn ping_send(&mut self, id: SocketId, to: IpAddr, seq: u16, ttl: u8, bytes: usize) -> Result<(), Errno>;
    /// Takes an answer to one.
    fn ping_recv(&mut self, id: SocketId) -> Wait<PingReply>;
    /// The last descriptor of a socket was closed.
    fn close(&mut self, id: SocketId);
    /// Runs a tool of network administration: output, error output, exit code.
    fn admin(&mut self, ns: NetNs, tool: &str, args: &[String], stdin: &str) -> (String, String, i32);
}

/// No network at all: every socket call fails as on a host whose kernel has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn socket(&mut self, _: NetNs, _: SocketKind, _: bool) -> Result<SocketId, Errno> {
        Err(Errno::EAFNOSUPPORT)
    }
    fn bind(&mut self, _: SocketId, _: SocketAddr) -> Result<(), Errno> {
        Err(Errno::EBADF)
    }
    fn listen(&mut self, _: SocketId, _: usize) -> Result<(), Errno> {
        Err(Errno::EBADF)
    }
    fn accept(&mut self, _: SocketId) -> Wait<(SocketId, SocketAddr)> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn connect(&mut self, _: SocketId, _: SocketAddr) -> Wait<()> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn send(&mut self, _: SocketId, _: &[u8]) -> Wait<usize> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn recv(&mut self, _: SocketId, _: usize) -> Wait<Vec<u8>> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn send_to(&mut self, _: SocketId, _: &[u8], _: SocketAddr) -> Wait<usize> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn recv_from(&mut self, _: SocketId, _: usize) -> Wait<(Vec<u8>, SocketAddr)> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn shutdown(&mut self, _: SocketId, _: Shutdown) -> Result<(), Errno> {
        Err(Errno::EBADF)
    }
    fn local_addr(&self, _: SocketId) -> Result<SocketAddr, Errno> {
        Err(Errno::EBADF)
    }
    fn peer_addr(&self, _: SocketId) -> Result<SocketAddr, Errno> {
        Err(Errno::EBADF)
    }
    fn ping_send(&mut self, _: SocketId, _: IpAddr, _: u16, _: u8, _: usize) -> Result<(), Errno> {
        Err(Errno::ENETUNREACH)
    }
    fn ping_recv(&mut self, _: SocketId) -> Wait<PingReply> {
        Poll::Ready(Err(Errno::EBADF))
    }
    fn close(&mut self, _: SocketId) {}
    fn admin(&mut self, _: NetNs, tool: &str, _: &[String], _: &str) -> (String, String, i32) {
        (String::new(), format!("{tool}: {}\n", Errno::EAFNOSUPPORT), 1)
    }
}
