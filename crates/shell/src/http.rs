//! HTTP/1.1 messages for clients and servers: one parser, fed as bytes come.
//!
//! Bodies by length, by chunks, or up to the end of the connection. Pipelining, trailers and compression are left out.

use core::fmt::Write as _;
use sim::Limits;

/// Bytes that a message's head may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Header fields in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// A field's first value; names match in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Adds a field.
    pub fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    /// Sets a field in place of one of that name.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some(f) => f.1 = value.into(),
            None => self.add(name, value),
        }
    }

    /// Whether a field holds a token, as `Connection: close` does.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get(name).is_some_and(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }
}

/// The first line and the fields of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The first line's three words: method, target, version, or version, status, reason.
    pub line: [String; 3],
    /// Fields.
    pub headers: Headers,
}

impl Head {
    /// A response's status.
    pub fn status(&self) -> u16 {
        self.line.get(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// The head as it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut s = self.line.join(" ");
        s.push_str("\r\n");
        for (n, v) in &self.headers.0 {
            let _ = write!(s, "{n}: {v}\r\n");
        }
        s.push_str("\r\n");
        s.into_bytes()
    }
}

/// A whole request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path with query.
    pub target: String,
    /// `HTTP/1.1`
    pub version: String,
    /// Fields.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether the connection stays open after the answer.
    pub fn keeps_alive(&self) -> bool {
        if self.version == "HTTP/1.0" {
            self.headers.has_token("Connection", "keep-alive")
        } else {
            !self.headers.has_token("Connection", "close")
        }
    }
}

/// The reason that usually goes with a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => "",
    }
}

/// A response as bytes, with a `Content-Length`.
pub fn response(status: u16, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut h = headers.clone();
    h.set("Content-Length", &body.len().to_string());
    let line = ["HTTP/1.1".to_string(), status.to_string(), reason(status).to_string()];
    let mut out = Head { line, headers: h }.to_bytes();
    out.extend(body);
    out
}

/// What a decoder found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The head.
    Head(Head),
    /// A piece of the body.
    Data(Vec<u8>),
    /// The message is complete.
    End,
}

/// The bytes are not HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilEnd,
    Done,
}

/// Takes messages apart.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    buf: Vec<u8>,
    state: State,
    response: bool,
    no_body: bool,
    ended: bool,
}

impl Decoder {
    /// A decoder of requests.
    pub fn requests() -> Decoder {
        Decoder::default()
    }

    /// A decoder of responses; `no_body` is for those to HEAD.
    pub fn responses(no_body: bool) -> Decoder {
        Decoder { response: true, no_body, ..Decoder::default() }
    }

    /// Adds bytes.
    pub fn feed(&mut self, data: &[u8]) {
        self.buf.extend(data);
    }

    /// The connection has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing of a message has come.
    pub fn is_idle(&self) -> bool {
        self.buf.is_empty() && self.state == State::Head
    }

    /// Whether the body's end is only known from the connection's.
    pub fn until_end(&self) -> bool {
        self.state == State::UntilEnd
    }

    /// Makes it ready for the next message.
    pub fn again(&mut self) {
        self.state = State::Head;
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let n = self.buf.iter().position(|b| *b == b'\n')?;
        let mut l: Vec<u8> = self.buf.drain(..=n).collect();
        l.pop();
        if l.last() == Some(&b'\r') {
            l.pop();
        }
        Some(l)
    }

    /// The next event; `None` if more bytes are needed.
    pub fn event(&mut self) -> Result<Option<Event>, Malformed> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Head => return self.head(),
                State::Length(0) => {
                    self.state = State::Done;
                    return Ok(Some(Event::End));
                }
                State::Length(n) => {
                    if let Some(d) = self.take(n) {
                        self.state = State::Length(n - d.len() as u64);
                        return Ok(Some(Event::Data(d)));
                    }
                    return if self.ended { Err(Malformed) } else { Ok(None) };
                }
                State::ChunkSize => {
                    let Some(l) = self.line() else { return self.short() };
                    let text = String::from_utf8_lossy(&l).into_owned();
                    let size = text.split(';').next().unwrap_or_default().trim();
                    let n = u64::from_str_radix(size, 16).map_err(|_| Malformed)?;
                    self.state = if n == 0 { State::Trailer } else { State::Chunk(n) };
                }
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Chunk(n) => {
                    if let Some(d) = self.take(n) {
                        self.state = State::Chunk(n - d.len() as u64);
                        return Ok(Some(Event::Data(d)));
                    }
                    return self.short();
                }
                State::ChunkEnd => {
                    if self.line().is_none() {
                        return self.short();
                    }
                    self.state = State::ChunkSize;
                }
                State::Trailer => match self.line() {
                    Some(l) if l.is_empty() => {
                        self.state = State::Done;
                        return Ok(Some(Event::End));
                    }
                    Some(_) => {}
                    None => return self.short(),
                },
                State::UntilEnd => {
                    if !self.buf.is_empty() {
                        return Ok(Some(Event::Data(core::mem::take(&mut self.buf))));
                    }
                    if self.ended {
                        self.state = State::Done;
                        return Ok(Some(Event::End));
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn short(&self) -> Result<Option<Event>, Malformed> {
        if self.ended || self.buf.len() > HEAD_BYTES_MAX { Err(Malformed) } else { Ok(None) }
    }

    fn take(&mut self, max: u64) -> Option<Vec<u8>> {
        let n = self.buf.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        (n > 0).then(|| self.buf.drain(..n).collect())
    }

    fn head(&mut self) -> Result<Option<Event>, Malformed> {
        let find = |pat: &[u8]| self.buf.windows(pat.len()).position(|w| w == pat).map(|i| i + pat.len());
        let end = match (find(b"\r\n\r\n"), find(b"\n\n")) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => {
                let max = self.buf.len() > HEAD_BYTES_MAX;
                return if max || self.ended && !self.buf.is_empty() { Err(Malformed) } else { Ok(None) };
            }
        };
        let text: Vec<u8> = self.buf.drain(..end).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ').map(str::to_string);
        let line = [
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        ];
        let version = if self.response { line.first() } else { line.last() };
        if !version.is_some_and(|v| v.starts_with("HTTP/")) {
            return Err(Malformed);
        }
        let mut headers = Headers::default();
        for l in lines.filter(|l| !l.is_empty()) {
            let (n, v) = l.split_once(':').ok_or(Malformed)?;
            headers.add(n.trim(), v.trim());
        }
        let head = Head { line, headers };
        self.state = self.body(&head)?;
        Ok(Some(Event::Head(head)))
    }

    fn body(&self, h: &Head) -> Result<State, Malformed> {
        let status = h.status();
        if self.no_body || self.response && (status == 204 || status == 304) {
            return Ok(State::Length(0));
        }
        if self.response && (100..200).contains(&status) && status != 101 {
            // An interim answer: the real one follows.
            return Ok(State::Head);
        }
        if h.headers.has_token("Transfer-Encoding", "chunked") {
            return Ok(State::ChunkSize);
        }
        match h.headers.get("Content-Length") {
            Some(n) => n.parse().map(State::Length).map_err(|_| Malformed),
            None if self.response => Ok(State::UntilEnd),
            None => Ok(State::Length(0)),
        }
    }

    /// The next whole request, body and all.
    pub fn request(&mut self, partial: &mut Option<Request>) -> Result<Option<Request>, Malformed> {
        while let Some(e) = self.event()? {
            match e {
                Event::Head(h) => {
                    let [method, target, version] = h.line;
                    *partial =
                        Some(Request { method, target, version, headers: h.headers, body: Vec::new() });
                }
                Event::Data(d) => {
                    if let Some(r) = partial {
                        r.body.extend(d);
                        if r.body.len() > Limits::TABLE.request_bytes_max {
                            return Err(Malformed);
                        }
                    }
                }
                Event::End => {
                    self.again();
                    return Ok(partial.take());
                }
            }
        }
        Ok(None)
    }
}

/// A URL's parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// `http`, `https`, …
    pub scheme: String,
    /// User and password, as given.
    pub user: Option<String>,
    /// Host, without brackets.
    pub host: String,
    /// Port, if given.
    pub port: Option<u16>,
    /// Path with query, at least `/`.
    pub path: String,
}

impl Url {
    /// Reads a URL; without a scheme it is `http`.
    pub fn parse(s: &str) -> Option<Url> {
        let (scheme, rest) = match s.split_once("://") {
            Some((a, b)) => (a.to_ascii_lowercase(), b),
            None => ("http".to_string(), s),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        let (user, hostport) = match authority.rsplit_once('@') {
            Some((u, h)) => (Some(u.to_string()), h),
            None => (None, authority),
        };
        let (host, port) = if let Some(r) = hostport.strip_prefix('[') {
            let (h, p) = r.split_once(']')?;
            (h.to_string(), p.strip_prefix(':'))
        } else {
            match hostport.split_once(':') {
                Some((h, p)) => (h.to_string(), Some(p)),
                None => (hostport.to_string(), None),
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(p) => Some(p.parse().ok()?),
        };
        if host.is_empty() || host.contains([' ', '<', '>', '"']) {
            return None;
        }
        Some(Url { scheme, user, host, port, path })
    }

    /// The port to connect to.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.scheme == "https" { 443 } else { 80 })
    }

    /// Host and, if given, port: the `Host` field.
    pub fn authority(&self) -> String {
        let h = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(p) => format!("{h}:{p}"),
            None => h,
        }
    }

    /// Where a `Location` leads from here.
    pub fn join(&self, location: &str) -> Option<Url> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let path = if location.starts_with('/') {
            location.to_string()
        } else {
            let dir = self.path.split('?').next().unwrap_or_default();
            let dir = dir.get(..=dir.rfind('/')?).unwrap_or("/");
            format!("{dir}{location}")
        };
        Some(Url { path, ..self.clone() })
    }
}

/// A date as HTTP wants it.
pub fn date(c: &sim::Civil) -> String {
    crate::commands::date::format(c, "%a, %d %b %Y %H:%M:%S GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_pieces() {
        let mut d = Decoder::requests();
        let mut part = None;
        for b in
            b"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n".chunks(5)
        {
            d.feed(b);
        }
        let r = d.request(&mut part).unwrap().unwrap();
        assert_eq!(
            (r.method.as_str(), r.path(), r.body.as_slice(), r.keeps_alive()),
            ("POST", "/x", &b"abc"[..], true)
        );
        let r = d.request(&mut part).unwrap().unwrap();
        assert_eq!((r.method.as_str(), r.keeps_alive()), ("GET", false));
        let mut d = Decoder::responses(false);
        d.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let mut events = Vec::new();
        while let Some(e) = d.event().unwrap() {
            events.push(e);
        }
        assert_eq!(events.get(1), Some(&Event::Data(b"abc".to_vec())));
        assert_eq!(events.last(), Some(&Event::End));
        let mut d = Decoder::responses(false);
        d.feed(b"rubbish\r\n\r\n");
        assert_eq!(d.event(), Err(Malformed));
    }

    #[test]
    fn urls() {
        let u = Url::parse("https://u:p@h.x:8443/a/b?c#d").unwrap();
        assert_eq!(
            (u.host.as_str(), u.port, u.path.as_str(), u.user.as_deref()),
            ("h.x", Some(8443), "/a/b?c", Some("u:p"))
        );
        assert_eq!(u.join("../z").map(|u| u.path), Some("/a/../z".into()));
        assert_eq!(Url::parse("10.0.0.1:80").unwrap().path, "/");
        assert_eq!(Url::parse("http://"), None);
        assert_eq!(Url::parse("http://a:99999/"), None);
    }
}
