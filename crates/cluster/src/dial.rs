//! Connections that a node's own software opens: the container runtime's for port-forward, the API server's for proxies.

use api::SmolStr;
use api::wire::{Body, Request, Response};
use apiserver::Status;
use net::{ConnectOptions, Errno, Net, NsId, Shutdown, SocketId};
use shell::http::{Decoder, Event, Head, Headers};
use sim::Cause;
use std::net::SocketAddr;

/// Bytes taken off a connection in one go.
const PIECE: usize = 64 * 1024;
/// Bytes of a proxied answer at most.
const BODY_MAX: usize = 8 << 20;

/// A TCP connection out of a network namespace.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub ns: NsId,
    pub socket: SocketId,
    to: SocketAddr,
    /// Whether our side, and the other, has said all.
    finished: (bool, bool),
}

impl Dial {
    /// Begins to connect; the error is in Go's words.
    pub fn open(net: &mut Net, ns: NsId, to: SocketAddr) -> Result<Dial, String> {
        let options = ConnectOptions { owner: 0, cause: Cause::NONE, ..ConnectOptions::default() };
        match net.tcp_connect(ns, to, options) {
            Ok(socket) => Ok(Dial { ns, socket, to, finished: (false, false) }),
            Err(e) => Err(refused(to, e)),
        }
    }

    /// Whether the connection stands.
    pub fn connected(&self, net: &Net) -> Result<bool, String> {
        let s = net.socket_status(self.ns, self.socket).map_err(|e| refused(self.to, e))?;
        match s.error {
            Some(e) => Err(refused(self.to, e)),
            None => Ok(s.connected),
        }
    }

    /// Sends what fits of `bytes`; `last` says that nothing follows.
    pub fn write(&mut self, net: &mut Net, bytes: &mut Vec<u8>, last: bool) {
        while !bytes.is_empty() {
            match net.send(self.ns, self.socket, bytes) {
                Ok(n) if n > 0 => drop(bytes.drain(..n)),
                _ => break,
            }
        }
        if last && bytes.is_empty() && !self.finished.0 {
            self.finished.0 = true;
            // A connection that is gone already needs no end.
            let _ = net.shutdown(self.ns, self.socket, Shutdown::Write);
        }
    }

    /// What has come, and whether the other side has just ended.
    pub fn read(&mut self, net: &mut Net) -> (Vec<u8>, bool) {
        let mut got = Vec::new();
        while !self.finished.1 && got.len() < PIECE {
            match net.recv(self.ns, self.socket, PIECE) {
                Ok(b) if b.is_empty() => {
                    self.finished.1 = true;
                    return (got, true);
                }
                Ok(b) => got.extend_from_slice(&b),
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    self.finished.1 = true;
                    return (got, true);
                }
            }
        }
        (got, false)
    }

    /// Whether both sides have said all.
    pub fn over(&self) -> bool {
        self.finished == (true, true)
    }

    /// Lets go of the connection.
    pub fn close(&self, net: &mut Net) {
        let _ = net.close(self.ns, self.socket);
    }
}

fn refused(to: SocketAddr, e: Errno) -> String {
    format!("dial tcp {to}: connect: {}", e.to_string().to_lowercase())
}

/// A request that the API server passes on to a pod.
#[derive(Clone, Debug)]
pub(crate) struct Proxied {
    pub dial: Dial,
    decoder: Decoder,
    head: Option<Head>,
    body: Vec<u8>,
}

impl Proxied {
    pub fn new(dial: Dial, method: &str) -> Proxied {
        Proxied { dial, decoder: Decoder::responses(method == "HEAD"), head: None, body: Vec::new() }
    }

    /// The answer, once it is whole.
    pub fn pump(&mut self, net: &mut Net, request: &mut Vec<u8>) -> Option<Response> {
        match self.dial.connected(net) {
            Err(e) => return Some(unreachable(&e)),
            Ok(false) => return None,
            Ok(true) => {}
        }
        self.dial.write(net, request, false);
        let (got, ended) = self.dial.read(net);
        self.decoder.feed(&got);
        if ended {
            self.decoder.end();
        }
        loop {
            match self.decoder.event() {
                Ok(Some(Event::Head(h))) => self.head = Some(h),
                Ok(Some(Event::Data(d))) if self.body.len() + d.len() <= BODY_MAX => self.body.extend(d),
                Ok(Some(Event::Data(_))) => {
                    return Some(unreachable("the answer is too large to be passed on"));
                }
                Ok(Some(Event::End)) => return Some(self.answer()),
                Ok(None) if ended => return Some(unreachable("EOF")),
                Ok(None) => return None,
                Err(_) => return Some(unreachable("malformed HTTP response")),
            }
        }
    }

    fn answer(&mut self) -> Response {
        let (status, fields) =
            self.head.take().map_or((502, Headers::default()), |h| (h.status(), h.headers));
        let hop = ["connection", "transfer-encoding", "keep-alive", "content-length", "upgrade"];
        let headers: Vec<(SmolStr, String)> = fields
            .0
            .into_iter()
            .map(|(n, v)| (SmolStr::from(n.to_lowercase()), v))
            .filter(|(n, _)| !hop.contains(&n.as_str()))
            .collect();
        let body = Body::Bytes(core::mem::take(&mut self.body).into());
        Response { status, headers, warnings: Vec::new(), body, stream: false }
    }
}

/// Why a proxied request got nowhere. Models: the API server's proxy handler.
pub(crate) fn unreachable(why: &str) -> Response {
    let s = Status::new(503, "ServiceUnavailable", format!("error trying to reach service: {why}"));
    Response::object(503, s.to_value())
}

/// The request as it is sent on to `to`.
pub(crate) fn request_bytes(req: &Request, path: &str, to: SocketAddr) -> Vec<u8> {
    let query: Vec<String> = req.query.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
    let mut target = format!("/{}", escape(path));
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let body: Vec<u8> = match &req.body {
        Body::Empty => Vec::new(),
        Body::Object(v) => v.to_json().into_bytes(),
        Body::Bytes(b) => b.to_vec(),
    };
    let mut headers = Headers::default();
    headers.add("Host", &to.to_string());
    for (n, v) in &req.headers {
        if !matches!(
            n.as_str(),
            "host" | "connection" | "content-length" | "authorization" | "transfer-encoding"
        ) {
            headers.add(n, v);
        }
    }
    if !body.is_empty() {
        headers.add("Content-Length", &body.len().to_string());
    }
    headers.add("Connection", "close");
    let line = [req.method.as_str().to_owned(), target, "HTTP/1.1".to_owned()];
    let mut out = Head { line, headers }.to_bytes();
    out.extend(body);
    out
}

fn escape(s: &str) -> String {
    let mut out = String::new();
    for b in s.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~/:@,".contains(&b) {
            out.push(char::from(b));
        } else {
            out += &format!("%{b:02X}");
        }
    }
    out
}
