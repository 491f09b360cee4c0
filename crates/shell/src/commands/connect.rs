//! A client's way to a connection: resolve, connect to each address in turn, give up in time.

use crate::errno::Errno;
use crate::resolve::{Failure, Lookup};
use crate::sys::{Fd, SocketKind, Sys};
use core::task::Poll;
use sim::Instant;
use std::net::{IpAddr, SocketAddr};

/// Why there is no connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The name has no address.
    Unresolved(Failure),
    /// The last address that was tried.
    Failed(IpAddr, Errno),
}

/// What happens on the way, for those who want to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// An address is tried.
    Trying(SocketAddr),
    /// It failed.
    Failed(SocketAddr, Errno),
}

/// A connection in the making.
#[derive(Clone, Debug)]
pub struct Connect {
    lookup: Option<Lookup>,
    port: u16,
    addrs: Vec<IpAddr>,
    at: usize,
    fd: Option<Fd>,
    last: Option<(IpAddr, Errno)>,
    kind: SocketKind,
    /// When the name was resolved.
    pub resolved: Option<Instant>,
    /// What has happened since it was last looked at.
    pub steps: Vec<Step>,
}

impl Connect {
    /// To a host's port.
    pub fn new(host: &str, port: u16, kind: SocketKind) -> Connect {
        Connect {
            lookup: Some(Lookup::new(host)),
            port,
            addrs: Vec::new(),
            at: 0,
            fd: None,
            last: None,
            kind,
            resolved: None,
            steps: Vec::new(),
        }
    }

    /// The address that is tried.
    pub fn target(&self) -> Option<SocketAddr> {
        self.addrs.get(self.at).map(|ip| SocketAddr::new(*ip, self.port))
    }

    /// Gives up.
    pub fn cancel(&mut self, sys: &mut dyn Sys) {
        if let Some(l) = &mut self.lookup {
            l.cancel(sys);
        }
        if let Some(fd) = self.fd.take() {
            let _ = sys.close(fd);
        }
    }

    /// Goes on; ready with the connected socket.
    pub fn poll(&mut self, sys: &mut dyn Sys) -> Poll<Result<(Fd, SocketAddr), Refused>> {
        if let Some(l) = &mut self.lookup {
            match l.poll(sys) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(f)) => return Poll::Ready(Err(Refused::Unresolved(f))),
                Poll::Ready(Ok(list)) => {
                    self.addrs = list;
                    self.lookup = None;
                    self.resolved = Some(sys.now());
                }
            }
        }
        loop {
            let Some(to) = self.target() else {
                let (ip, e) = self.last.unwrap_or((IpAddr::from([0, 0, 0, 0]), Errno::EHOSTUNREACH));
                return Poll::Ready(Err(Refused::Failed(ip, e)));
            };
            let fd = match self.fd {
                Some(fd) => fd,
                None => {
                    self.steps.push(Step::Trying(to));
                    match sys.socket(self.kind, to.is_ipv6()) {
                        Ok(fd) => {
                            self.fd = Some(fd);
                            fd
                        }
                        Err(e) => {
                            self.failed(to, e);
                            continue;
                        }
                    }
                }
            };
            match sys.connect(fd, to) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {
                    self.fd = None;
                    return Poll::Ready(Ok((fd, to)));
                }
                Poll::Ready(Err(e)) => {
                    let _ = sys.close(fd);
                    self.fd = None;
                    self.failed(to, e);
                }
            }
        }
    }

    fn failed(&mut self, to: SocketAddr, e: Errno) {
        self.steps.push(Step::Failed(to, e));
        self.last = Some((to.ip(), e));
        self.at += 1;
    }
}
