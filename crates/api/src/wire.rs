//! The request and the answer that every client of the API server exchanges with it: components and kubectl in
//! process, HTTP clients through the gateway.
//!
//! A body may stay an object (components) or be bytes (HTTP, kubectl's raw output). What a request means is left to
//! `apiserver`.

use crate::{SmolStr, Value};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;

/// An HTTP method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }

    /// The method of that name.
    pub fn parse(s: &str) -> Option<Method> {
        use Method::*;
        [Get, Head, Post, Put, Patch, Delete, Options].into_iter().find(|m| m.as_str() == s)
    }
}

/// What a request or answer carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// An object, shared.
    Object(Value),
    /// Text of the content type that the headers name.
    Bytes(Arc<[u8]>),
}

impl Body {
    /// Bytes of a text.
    pub fn text(s: &str) -> Body {
        Body::Bytes(s.as_bytes().into())
    }
}

/// How the caller proves who it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Credentials {
    /// Nothing: `system:anonymous`.
    #[default]
    Anonymous,
    /// A client certificate (or a component's own identity): common name and organizations.
    Certificate {
        /// Common name: the user's name.
        name: SmolStr,
        /// Organizations: the user's groups.
        groups: Vec<SmolStr>,
    },
    /// `Authorization: Bearer`
    Bearer(SmolStr),
    /// `Authorization: Basic`
    Basic {
        /// User's name.
        user: SmolStr,
        /// Password.
        password: SmolStr,
    },
}

impl Credentials {
    /// What an `Authorization` header shows: a bearer token or a name with its password.
    pub fn of_header(value: &str) -> Option<Credentials> {
        if let Some(token) = value.strip_prefix("Bearer ") {
            return Some(Credentials::Bearer(token.into()));
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Credentials::Basic { user: user.into(), password: password.into() })
    }
}

/// Undoes the `%XX` of a URL's part, and in a query the `+` that stands for a space. What is no escape stays.
pub fn unescape(s: &str, query: bool) -> String {
    let b = s.as_bytes();
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while let Some(c) = b.get(i) {
        let hex =
            (*c == b'%').then(|| s.get(i + 1..i + 3)).flatten().and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(hex.unwrap_or(if query && *c == b'+' { b' ' } else { *c }));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path without the query, `/api/v1/namespaces/default/pods`.
    pub path: String,
    /// Query parameters in order, decoded.
    pub query: Vec<(SmolStr, String)>,
    /// Headers that matter, names in lower case: `accept`, `content-type`, `impersonate-user`, `user-agent`…
    pub headers: Vec<(SmolStr, String)>,
    /// Body.
    pub body: Body,
    /// Who asks.
    pub credentials: Credentials,
}

impl Request {
    /// A request without query, headers and body.
    pub fn new(method: Method, path: impl Into<String>) -> Request {
        Request {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
            credentials: Credentials::Anonymous,
        }
    }

    /// A request with the path and the query of an HTTP request's target, which are undone of their escapes.
    pub fn of_target(method: Method, target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut r = Request::new(method, unescape(path, false));
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (k, v) = pair.split_once('=').unwrap_or((pair, ""));
            r.query.push((unescape(k, true).into(), unescape(v, true)));
        }
        r
    }

    /// `GET path`
    pub fn get(path: impl Into<String>) -> Request {
        Request::new(Method::Get, path)
    }

    /// Adds a query parameter.
    pub fn with_query(mut self, key: &str, value: impl Into<String>) -> Request {
        self.query.push((key.into(), value.into()));
        self
    }

    /// Adds a header; its name in lower case.
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn with_body(mut self, body: Body) -> Request {
        self.body = body;
        self
    }

    /// The first query parameter of that name.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }
}

/// The answer, or the head of a stream of messages (watch, log, exec, attach, port-forward).
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// HTTP status code; 101 for an upgraded stream.
    pub status: u16,
    /// Headers, names in lower case; `content-type` where the body is bytes.
    pub headers: Vec<(SmolStr, String)>,
    /// Texts of `Warning` headers, code 299, without framing.
    pub warnings: Vec<String>,
    /// Body. `Status` objects for errors.
    pub body: Body,
    /// Whether messages follow: read them as [`Message`]s from the same handle.
    pub stream: bool,
}

impl Response {
    /// An answer with an object.
    pub fn object(status: u16, v: Value) -> Response {
        Response { status, headers: Vec::new(), warnings: Vec::new(), body: Body::Object(v), stream: false }
    }

    /// The object, or `null`.
    pub fn value(&self) -> &Value {
        match &self.body {
            Body::Object(v) => v,
            _ => Value::null(),
        }
    }

    /// Whether the status is 2xx or 101.
    pub fn is_ok(&self) -> bool {
        matches!(self.status, 200..=299 | 101)
    }
}

/// A message of a stream, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// `{"type": "ADDED", "object": {…}}`: an event of a watch.
    Event(Value),
    /// Bytes of a channel: 0 stdin, 1 stdout, 2 stderr of exec and attach; 1 for logs and proxied bodies;
    /// for port-forward 2·n data and 2·n+1 error of the n-th port.
    Data(u8, Arc<[u8]>),
    /// The exec's or attach's end as a `Status` (channel 3).
    Status(Value),
    /// Terminal size in columns and rows (channel 4).
    Resize(u16, u16),
    /// No more data on this channel.
    Close(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let r = Request::of_target(Method::Get, "/a%2Fb/c+d?x=1%2B1&y=a+b&z&w=%zz%");
        assert_eq!(r.path, "/a/b/c+d");
        let q: Vec<(&str, &str)> = r.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(q, [("x", "1+1"), ("y", "a b"), ("z", ""), ("w", "%zz%")]);
    }

    #[test]
    fn authorization() {
        assert_eq!(Credentials::of_header("Bearer t"), Some(Credentials::Bearer("t".into())));
        let basic = Credentials::Basic { user: "joe".into(), password: "pw:x".into() };
        assert_eq!(Credentials::of_header("Basic am9lOnB3Ong="), Some(basic));
        assert_eq!(Credentials::of_header("Basic ?"), None);
    }
}
