//! `kubectl proxy`: the API server over plain HTTP on a local port, under the identity of the kubeconfig.

use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::tasks::Task;
use api::wire::{Body, Message, Method, Request, Response};
use core::net::{IpAddr, SocketAddr};
use shell::http::{self, Decoder, Headers};
use shell::regex::Regex;
use std::sync::Arc;

const FLAGS: &[Flag] = &[
    flag(
        "accept-hosts",
        Kind::Str,
        "'^localhost$,^127\\.0\\.0\\.1$,^\\[::1\\]$'",
        "Hosts that requests may be for, as regular expressions.",
    ),
    flag("accept-paths", Kind::Str, "'^.*'", "Paths that requests may have."),
    flag("address", Kind::Str, "'127.0.0.1'", "Address to listen on."),
    flag("api-prefix", Kind::Str, "'/'", "Where the API is found below this proxy."),
    switch("append-server-path", "Put the path of the context's server before each request's."),
    switch("disable-filter", "Let every request through. Others who reach the port can do all that you can."),
    flag(
        "keepalive",
        Kind::Duration,
        "0s",
        "How often idle connections are asked whether they live; 0 is never.",
    ),
    flag("port", Kind::Int, "8001", "Port to listen on; 0 takes any.").short('p'),
    flag("reject-methods", Kind::Str, "'^$'", "Methods that are refused, as in 'POST,PUT,PATCH'."),
    flag(
        "reject-paths",
        Kind::Str,
        "'^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach'",
        "Paths that are refused, whatever --accept-paths says.",
    ),
    flag("unix-socket", Kind::Str, "''", "Unix socket to listen on; there are none here.").short('u'),
    flag("www", Kind::Str, "''", "Directory with files to serve as well.").short('w'),
    flag("www-prefix", Kind::Str, "'/static/'", "Where those files are found.").short('P'),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "proxy",
    group: Group::Troubleshooting,
    short: "Run a proxy to the Kubernetes API server",
    long: "Listens on a local port and passes HTTP requests on to the API server, as the user of the kubeconfig. Files of a \
           directory can be served beside it.",
    usage: "proxy [--port=PORT] [--www=static-dir] [--www-prefix=prefix] [--api-prefix=prefix]",
    example: "# The whole API\nkubectl proxy --api-prefix=/\n\n# Ask it\ncurl localhost:8001/api/v1/namespaces/default/pods\n\n# On \
              any free port\nkubectl proxy --port=0",
    flags: &[FLAGS],
    run: Some(run),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// A list of regular expressions, commas between.
fn patterns(text: &str) -> Result<Vec<Regex>, Error> {
    let parts = text.split(',').filter(|p| !p.is_empty());
    parts
        .map(|p| Regex::new(p, true, false).map_err(|e| Error::Text(format!("Error compiling re: {e}"))))
        .collect()
}

fn directory(text: String) -> String {
    if text.ends_with('/') { text } else { text + "/" }
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.str("unix-socket").is_empty() {
        return fail(if a.given("port") {
            "cannot set --unix-socket and --port at the same time"
        } else {
            "unix sockets are not modelled: use --port"
        });
    }
    let Ok(port) = u16::try_from(a.int("port")) else {
        return fail(format!("listen tcp: address {}: invalid port", a.int("port")));
    };
    let Ok(ip) = a.str("address").parse::<IpAddr>() else {
        return fail(format!("listen tcp: lookup {}: no such host", a.str("address")));
    };
    let filter = if a.bool("disable-filter") {
        Filter::default()
    } else {
        Filter {
            on: true,
            hosts: patterns(&a.str("accept-hosts"))?,
            paths: patterns(&a.str("accept-paths"))?,
            rejected_paths: patterns(&a.str("reject-paths"))?,
            rejected_methods: patterns(&a.str("reject-methods"))?,
        }
    };
    let api = cx.api(a)?;
    let at = SocketAddr::new(ip, port);
    let (listener, port) = match cx.listen(at)? {
        Ok(l) => l,
        Err(e) => return fail(format!("listen tcp {at}: bind: {e}")),
    };
    cx.out(format!("Starting to serve on {}", SocketAddr::new(ip, port)));
    let task = Proxy {
        api,
        listener,
        prefix: directory(a.str("api-prefix")),
        files: Some(a.str("www")).filter(|d| !d.is_empty()).map(|d| (d, directory(a.str("www-prefix")))),
        filter: Arc::new(filter),
        links: Vec::new(),
    };
    Err(Stop::Enter(Box::new(Task::Proxy(task))))
}

/// Which requests go through.
#[derive(Clone, Debug, Default)]
struct Filter {
    on: bool,
    hosts: Vec<Regex>,
    paths: Vec<Regex>,
    rejected_paths: Vec<Regex>,
    rejected_methods: Vec<Regex>,
}

impl Filter {
    fn lets(&self, r: &http::Request) -> bool {
        let any = |list: &[Regex], text: &str| list.iter().any(|p| p.is_match(text.as_bytes()));
        let host = r.headers.get("Host").unwrap_or("");
        // The port does not count.
        let host = match host.rsplit_once(':') {
            Some((h, p)) if p.bytes().all(|b| b.is_ascii_digit()) => h,
            _ => host,
        };
        !self.on
            || any(&self.hosts, host)
                && any(&self.paths, r.path())
                && !any(&self.rejected_paths, r.path())
                && !any(&self.rejected_methods, &r.method)
    }
}

/// A client's connection.
#[derive(Clone, Debug)]
struct Link {
    socket: Handle,
    decoder: Decoder,
    partial: Option<http::Request>,
    /// The conversation with the server about the request that is answered.
    asked: Option<Handle>,
    /// Whether the answer is streamed.
    streams: bool,
    /// Whether the connection stays open.
    keep: bool,
}

/// A running `proxy`.
#[derive(Clone, Debug)]
pub struct Proxy {
    api: Arc<Api>,
    listener: Handle,
    prefix: String,
    /// A directory and where it is found.
    files: Option<(String, String)>,
    filter: Arc<Filter>,
    links: Vec<Link>,
}

impl Proxy {
    /// One event.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let mut sources: Vec<Source> =
            self.links.iter().filter_map(|l| l.asked.map(Source::Stream)).collect();
        // One request of a connection at a time, but an end is noticed at once.
        sources.extend(self.links.iter().map(|l| Source::Socket(l.socket)));
        sources.push(Source::Accept(self.listener));
        match cx.select(&sources)? {
            Event::Accepted(_, Ok(socket)) => self.links.push(Link {
                socket,
                decoder: Decoder::requests(),
                partial: None,
                asked: None,
                streams: false,
                keep: true,
            }),
            Event::Socket(h, data) => {
                let Some(at) = self.links.iter().position(|l| l.socket == h) else { return Ok(None) };
                if data.is_empty() {
                    self.end(cx, at)?;
                } else {
                    self.links[at].decoder.feed(&data);
                    self.requests(cx, at)?;
                }
            }
            Event::Packet(h, p) => {
                let Some(at) = self.links.iter().position(|l| l.asked == Some(h)) else { return Ok(None) };
                self.answer(cx, at, p)?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Begins with the next request of a connection, if it is there and no other is under way.
    fn requests(&mut self, cx: &mut Cx<'_>, at: usize) -> Done {
        while let Some(l) = self.links.get_mut(at).filter(|l| l.asked.is_none()) {
            let socket = l.socket;
            match l.decoder.request(&mut l.partial) {
                Ok(None) => return Ok(()),
                Ok(Some(r)) => {
                    l.keep = r.keeps_alive();
                    match self.ask(cx, &r)? {
                        Ok(handle) => self.links[at].asked = Some(handle),
                        Err((status, body)) => {
                            cx.write_socket(socket, &plain(status, &body))?.ok();
                            if !r.keeps_alive() {
                                self.end(cx, at)?;
                            }
                        }
                    }
                }
                Err(_) => {
                    cx.write_socket(socket, &plain(400, b"400 Bad Request"))?.ok();
                    self.end(cx, at)?;
                }
            }
        }
        Ok(())
    }

    /// Passes a request on; or an answer of the proxy's own.
    fn ask(&self, cx: &mut Cx<'_>, r: &http::Request) -> Done<Result<Handle, (u16, Vec<u8>)>> {
        if !self.filter.lets(r) {
            return Ok(Err((403, b"Forbidden\n".to_vec())));
        }
        if let Some((dir, prefix)) = &self.files
            && let Some(rest) = r.path().strip_prefix(prefix.as_str())
        {
            let name = if rest.is_empty() { "index.html" } else { rest };
            let inside = !name.split('/').any(|p| p == "..");
            let data = if inside { cx.read_file(&format!("{dir}/{name}"))?.ok() } else { None };
            return Ok(Err(data.map_or((404, NOT_FOUND.to_vec()), |d| (200, d.to_vec()))));
        }
        let (Some(rest), Some(method)) =
            (r.target.strip_prefix(self.prefix.as_str()), Method::parse(&r.method))
        else {
            return Ok(Err((404, NOT_FOUND.to_vec())));
        };
        let mut q = Request::of_target(method, &format!("/{rest}"));
        for (k, v) in &r.headers.0 {
            let k = k.to_lowercase();
            if !matches!(k.as_str(), "host" | "connection" | "authorization") {
                q.headers.push((k.into(), v.clone()));
            }
        }
        if !r.body.is_empty() {
            q.body = Body::Bytes(r.body.clone().into());
        }
        Ok(self.api.open_raw(cx, q)?.map_err(|e| (502, format!("{e}\n").into_bytes())))
    }

    /// Writes what the server says.
    fn answer(&mut self, cx: &mut Cx<'_>, at: usize, p: Option<Packet>) -> Done {
        let (socket, streams) = (self.links[at].socket, self.links[at].streams);
        let mut over = false;
        let bytes = match p {
            Some(Packet::Response(r)) => {
                self.links[at].streams = r.stream;
                over = !r.stream;
                head(&r)
            }
            Some(Packet::Message(Message::Data(_, b))) => {
                let mut chunk = format!("{:x}\r\n", b.len()).into_bytes();
                chunk.extend(b.iter());
                chunk.extend(b"\r\n");
                chunk
            }
            Some(_) => return Ok(()),
            None => {
                over = true;
                if streams { b"0\r\n\r\n".to_vec() } else { Vec::new() }
            }
        };
        if cx.write_socket(socket, &bytes)?.is_err() {
            return self.end(cx, at);
        }
        if over {
            if let Some(h) = self.links[at].asked.take() {
                cx.close(h)?;
            }
            self.links[at].streams = false;
            if !self.links[at].keep {
                return self.end(cx, at);
            }
            self.requests(cx, at)?;
        }
        Ok(())
    }

    fn end(&mut self, cx: &mut Cx<'_>, at: usize) -> Done {
        let l = self.links.remove(at);
        if let Some(h) = l.asked {
            cx.close(h)?;
        }
        cx.close(l.socket)
    }
}

const NOT_FOUND: &[u8] = b"404 page not found\n";

/// An answer of the proxy's own.
fn plain(status: u16, body: &[u8]) -> Vec<u8> {
    let mut headers = Headers::default();
    if status != 200 {
        headers.add("Content-Type", "text/plain; charset=utf-8");
        headers.add("X-Content-Type-Options", "nosniff");
    }
    http::response(status, &headers, body)
}

/// The server's answer, or the head of one that is streamed.
fn head(r: &Response) -> Vec<u8> {
    let mut headers = Headers::default();
    for (k, v) in &r.headers {
        headers.set(k, v);
    }
    for w in &r.warnings {
        headers.add("Warning", &format!("299 - \"{}\"", w.replace('"', "\\\"")));
    }
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
