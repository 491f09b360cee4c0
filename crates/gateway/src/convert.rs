//! Between HTTP and the server's own request and response types.

use api::wire::{Body as WireBody, Credentials, Method, Request, Response as WireResponse};
use api::{SmolStr, Value};
use apiserver::{ApiServer, Registry};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, request::Parts};
use axum::response::Response;

/// A request as the server takes it. Without credentials the caller is the cluster's administrator: the front listens
/// on the loopback only.
pub(crate) fn request(parts: &Parts, body: &[u8]) -> Result<Request, String> {
    let method = Method::parse(parts.method.as_str()).ok_or("unsupported method")?;
    let target = parts.uri.path_and_query().map_or(parts.uri.path(), |t| t.as_str());
    let mut r = Request::of_target(method, target);
    r.credentials =
        Credentials::Certificate { name: "kubernetes-admin".into(), groups: vec!["system:masters".into()] };
    for (name, value) in &parts.headers {
        let Ok(value) = value.to_str() else { continue };
        if name == "authorization" {
            r.credentials = Credentials::of_header(value).unwrap_or_default();
        }
        r.headers.push((SmolStr::new(name.as_str()), value.to_owned()));
    }
    if !body.is_empty() || matches!(method, Method::Post | Method::Put | Method::Patch) {
        let media = r.header("content-type").unwrap_or("").to_owned();
        r.body = if media.starts_with("application/vnd.kubernetes.protobuf") {
            WireBody::Object(crate::protobuf::decode(body).ok_or("malformed protobuf body")?)
        } else {
            WireBody::Bytes(body.into())
        };
    }
    Ok(r)
}

/// A plain text answer.
pub(crate) fn plain(status: u16, text: &str) -> Response {
    let mut r = Response::new(Body::from(text.to_owned()));
    *r.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    r
}

/// JSON of an object in the field order of upstream's types.
pub(crate) fn json(registry: &Registry, v: &Value) -> String {
    apiserver::raw_json(registry, v)
}

/// The head of an answer, without body.
pub(crate) fn head(r: &WireResponse) -> Response {
    let mut out = Response::new(Body::empty());
    *out.status_mut() = StatusCode::from_u16(r.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = out.headers_mut();
    for w in &r.warnings {
        let quoted = w.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(v) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            headers.append("warning", v);
        }
    }
    for (k, v) in &r.headers {
        if let (Ok(k), Ok(v)) = (axum::http::HeaderName::try_from(k.as_str()), HeaderValue::from_str(v)) {
            headers.insert(k, v);
        }
    }
    if !headers.contains_key("content-type") {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    out
}

/// A whole answer.
pub(crate) fn response(api: &ApiServer, r: &WireResponse, request: &Request) -> Response {
    let mut out = head(r);
    *out.body_mut() = match &r.body {
        WireBody::Empty => Body::empty(),
        WireBody::Bytes(b) => Body::from(b.to_vec()),
        WireBody::Object(v) => {
            let (media, text) = apiserver::http_body(&api.registry, v, request);
            // Discovery names a type of its own.
            if !r.headers.iter().any(|(k, _)| k == "content-type") {
                out.headers_mut().insert("content-type", HeaderValue::from_static(media));
            }
            Body::from(text)
        }
    };
    out
}
