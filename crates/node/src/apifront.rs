//! `kube-apiserver` as a process: the API server over HTTPS, for those who reach it by its address.
//!
//! Models: the API server's secure port. It turns HTTP requests into the server's own and writes answers and watch events
//! back; everything else is the API server's.

use crate::programs::server::{Incoming, Server};
use api::wire::{Body, Credentials, Message, Method, Request, Response};
use core::task::Poll;
use shell::http::{self, Headers};
use shell::sys::Sys;
use shell::tls::ServerHello;
use shell::{Entry, Fd, Program, Step};
use sim::Duration;
use std::sync::Arc;

/// The secure port.
pub const PORT: u16 = 6443;
/// The service that answers in the JSON of upstream's types.
pub const SERVICE: &str = "kube-apiserver/http";
/// Names that its certificate is for.
const NAMES: &[&str] = &[
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    "127.0.0.1",
    "10.96.0.1",
    "192.168.0.10",
    "control-plane",
];

/// Its program.
pub const ENTRY: Entry = Entry { names: &["kube-apiserver"], help: ": the API server's secure port", main };

fn main(_: Vec<String>) -> Box<dyn Program> {
    Box::new(Front::default())
}

/// A request under way.
#[derive(Clone, Debug)]
struct Call {
    /// The client's connection.
    conn: Fd,
    /// The conversation with the server.
    rpc: Fd,
    keep: bool,
    /// Whether the answer's head is out and a streamed body follows.
    streams: bool,
}

#[derive(Clone, Debug, Default)]
struct Front {
    server: Option<Server>,
    calls: Vec<Call>,
}

impl Program for Front {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.server.is_none() {
            let Ok(fd) = Server::listen(sys, PORT) else { return Step::Exit(1) };
            let hello = ServerHello {
                names: NAMES.iter().map(ToString::to_string).collect(),
                issuer: apiserver::CLUSTER_CA.into(),
                h2: true,
            };
            self.server = Some(Server::new(fd, Duration::from_secs(180)).with_tls(hello));
        }
        let Some(server) = &mut self.server else { return Step::Exit(1) };
        for incoming in server.poll(sys) {
            match request(&incoming) {
                Some((r, keep)) => {
                    if let Ok(rpc) = sys.rpc_open(SERVICE, Arc::new(r)) {
                        self.calls.push(Call { conn: incoming.fd, rpc, keep, streams: false });
                    }
                }
                None => server.answer(
                    incoming.fd,
                    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request",
                    true,
                ),
            }
        }
        self.calls.retain_mut(|c| advance(c, server, sys));
        server.settle(sys);
        Step::Wait
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// Moves a call on; false when it is over.
fn advance(c: &mut Call, server: &mut Server, sys: &mut dyn Sys) -> bool {
    loop {
        let message = match sys.rpc_recv(c.rpc) {
            Poll::Pending => return true,
            Poll::Ready(m) => m.ok().flatten(),
        };
        let Some(m) = message else {
            if c.streams {
                server.answer(c.conn, b"0\r\n\r\n", !c.keep);
            }
            // The conversation is over on the other side already.
            let _ = sys.close(c.rpc);
            return false;
        };
        if let Some(r) = m.downcast_ref::<Response>() {
            c.streams = r.stream;
            let audit = format!("{:016x}{:016x}", sys.random(), sys.random());
            server.answer(c.conn, &head(r, &audit, &sys.epoch().civil(sys.now())), !c.keep && !r.stream);
        } else if let Some(Message::Data(_, b)) = m.downcast_ref::<Message>() {
            let mut chunk = format!("{:x}\r\n", b.len()).into_bytes();
            chunk.extend(b.iter());
            chunk.extend(b"\r\n");
            server.answer(c.conn, &chunk, false);
        }
    }
}

fn head(r: &Response, audit: &str, now: &sim::Civil) -> Vec<u8> {
    let mut headers = Headers::default();
    let part = |from: usize, to: usize| audit.get(from..to).unwrap_or("");
    let id = format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32));
    headers.add("Audit-Id", &id);
    headers.add("Cache-Control", "no-cache, private");
    for (k, v) in &r.headers {
        headers.set(k, v);
    }
    for w in &r.warnings {
        headers.add("Warning", &format!("299 - \"{}\"", w.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    headers.add("Date", &http::date(now));
    let bytes: &[u8] = match &r.body {
        Body::Bytes(b) => b,
        Body::Empty | Body::Object(_) => &[],
    };
    if !r.stream {
        return http::response(r.status, &headers, bytes);
    }
    headers.set("Transfer-Encoding", "chunked");
    let line = ["HTTP/1.1".into(), r.status.to_string(), http::reason(r.status).into()];
    http::Head { line, headers }.to_bytes()
}

/// The server's own request, and whether the connection stays open.
fn request(i: &Incoming) -> Option<(Request, bool)> {
    let r = i.request.as_ref()?;
    let mut q = Request::of_target(Method::parse(&r.method)?, &r.target);
    for (k, v) in &r.headers.0 {
        q.headers.push((k.to_lowercase().into(), v.clone()));
    }
    let shown = i.hello.as_ref().and_then(|h| {
        let name = h.user.as_deref()?.into();
        Some(Credentials::Certificate { name, groups: h.groups.iter().map(Into::into).collect() })
    });
    let told = r.headers.get("Authorization").and_then(Credentials::of_header);
    q.credentials = told.or(shown).unwrap_or_default();
    if !r.body.is_empty() {
        q.body = Body::Bytes(r.body.clone().into());
    }
    Some((q, r.keeps_alive()))
}
