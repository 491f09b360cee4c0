//! The common part of HTTP servers: a listener, its connections, requests in and answers out.

use core::task::Poll;
use shell::errno::Errno;
use shell::http::{Decoder, Request};
use shell::sys::{Fd, SocketKind, Sys};
use shell::tls::{ClientHello, ServerHello};
use sim::{Duration, Instant, Limits};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// Connections that one server holds.
const CONNECTIONS_MAX: usize = 512;

#[derive(Clone, Debug)]
struct Conn {
    peer: SocketAddr,
    number: u64,
    decoder: Decoder,
    partial: Option<Request>,
    /// Bytes before the handshake is over; `None` after it.
    greeting: Option<Vec<u8>>,
    hello: Option<ClientHello>,
    out: Vec<u8>,
    closing: bool,
    ended: bool,
    until: Instant,
}

/// A request with where it came from.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The connection.
    pub fd: Fd,
    /// The client.
    pub peer: SocketAddr,
    /// The connection's number, from 1.
    pub number: u64,
    /// What the client said of itself, over TLS.
    pub hello: Option<ClientHello>,
    /// The request; `None` if the bytes were none.
    pub request: Option<Request>,
}

/// A server's sockets. It does nothing by itself: [`Server::poll`] moves bytes, the program answers.
#[derive(Clone, Debug)]
pub struct Server {
    listener: Fd,
    conns: BTreeMap<Fd, Conn>,
    accepting: bool,
    count: u64,
    keep_alive: Duration,
    tls: Option<ServerHello>,
}

impl Server {
    /// Opens a listener on all addresses.
    pub fn listen(sys: &mut dyn Sys, port: u16) -> Result<Fd, Errno> {
        let fd = sys.socket(SocketKind::Tcp, false)?;
        let r = sys
            .bind(fd, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            .and_then(|()| sys.listen(fd, 511));
        if let Err(e) = r {
            sys.close(fd)?;
            return Err(e);
        }
        Ok(fd)
    }

    /// A server on a listener.
    pub fn new(listener: Fd, keep_alive: Duration) -> Server {
        Server { listener, conns: BTreeMap::new(), accepting: true, count: 0, keep_alive, tls: None }
    }

    /// The same over TLS.
    pub fn with_tls(mut self, hello: ServerHello) -> Server {
        self.tls = Some(hello);
        self
    }

    /// Takes no more connections; those that there are get their answers.
    pub fn stop_accepting(&mut self, sys: &mut dyn Sys) {
        if self.accepting {
            self.accepting = false;
            let _ = sys.close(self.listener);
        }
        for c in self.conns.values_mut() {
            c.closing = true;
        }
        self.sweep(sys);
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.conns.len()
    }

    /// Queues an answer; `close` ends the connection behind it.
    pub fn answer(&mut self, fd: Fd, data: &[u8], close: bool) {
        if let Some(c) = self.conns.get_mut(&fd) {
            c.out.extend(data);
            c.closing |= close;
        }
    }

    fn accept(&mut self, sys: &mut dyn Sys) {
        while self.accepting && self.conns.len() < CONNECTIONS_MAX {
            let Poll::Ready(Ok((fd, peer))) = sys.accept(self.listener) else { return };
            self.count += 1;
            self.conns.insert(
                fd,
                Conn {
                    peer,
                    number: self.count,
                    decoder: Decoder::requests(),
                    partial: None,
                    greeting: self.tls.is_some().then(Vec::new),
                    hello: None,
                    out: Vec::new(),
                    closing: false,
                    ended: false,
                    until: sys.now() + self.keep_alive,
                },
            );
        }
    }

    fn write(&mut self, sys: &mut dyn Sys, fd: Fd) {
        let Some(c) = self.conns.get_mut(&fd) else { return };
        while !c.out.is_empty() {
            match sys.write(fd, &c.out) {
                Poll::Ready(Ok(n)) => {
                    c.out.drain(..n.min(c.out.len()));
                }
                Poll::Ready(Err(_)) => {
                    c.out.clear();
                    (c.closing, c.ended) = (true, true);
                }
                Poll::Pending => return,
            }
        }
    }

    /// Closes what is finished.
    fn sweep(&mut self, sys: &mut dyn Sys) {
        let now = sys.now();
        let done: Vec<Fd> = self
            .conns
            .iter()
            .filter(|(_, c)| {
                c.out.is_empty() && (c.closing || c.ended || c.decoder.is_idle() && now >= c.until)
            })
            .map(|(fd, _)| *fd)
            .collect();
        for fd in done {
            self.conns.remove(&fd);
            let _ = sys.close(fd);
        }
    }

    /// Moves bytes and gives the requests that have come whole. Interests are registered for what is to come.
    pub fn poll(&mut self, sys: &mut dyn Sys) -> Vec<Incoming> {
        self.accept(sys);
        let mut all = Vec::new();
        let fds: Vec<Fd> = self.conns.keys().copied().collect();
        for fd in fds {
            self.write(sys, fd);
            let Some(c) = self.conns.get_mut(&fd) else { continue };
            while !c.ended && !c.closing {
                match sys.read(fd, Limits::TABLE.pipe_bytes_max) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(d)) if !d.is_empty() => {
                        match &mut c.greeting {
                            None => c.decoder.feed(&d),
                            Some(buf) => {
                                buf.extend(d);
                                match ClientHello::take(buf) {
                                    Ok(Some(h)) => {
                                        c.hello = Some(h);
                                        c.out.extend(self.tls.iter().flat_map(ServerHello::to_bytes));
                                        c.decoder.feed(buf);
                                        c.greeting = None;
                                    }
                                    Ok(None) => {}
                                    Err(()) => {
                                        let text = b"Client sent an HTTP request to an HTTPS server.\n";
                                        c.out.extend(b"HTTP/1.0 400 Bad Request\r\n\r\n".iter().chain(text));
                                        c.closing = true;
                                    }
                                }
                            }
                        }
                        c.until = sys.now() + self.keep_alive;
                    }
                    Poll::Ready(_) => {
                        c.decoder.end();
                        c.ended = true;
                    }
                }
            }
            loop {
                let request = c.decoder.request(&mut c.partial);
                let (peer, number, hello) = (c.peer, c.number, c.hello.clone());
                match request {
                    Ok(None) => break,
                    Ok(Some(r)) => all.push(Incoming { fd, peer, number, hello, request: Some(r) }),
                    Err(_) => {
                        if !c.closing && !c.ended {
                            all.push(Incoming { fd, peer, number, hello, request: None });
                        }
                        c.closing = true;
                        break;
                    }
                }
            }
        }
        all
    }

    /// After the answers: writes, closes, and registers the timer of idle connections.
    pub fn settle(&mut self, sys: &mut dyn Sys) {
        let fds: Vec<Fd> = self.conns.keys().copied().collect();
        for fd in fds {
            self.write(sys, fd);
        }
        self.sweep(sys);
        if let Some(at) = self.conns.values().map(|c| c.until).min() {
            // Whether it is due already is seen at the next sweep.
            let _ = sys.sleep_until(at);
        }
    }
}
