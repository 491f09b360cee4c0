//! From an HTTP-like request to an operation on a resource.

use crate::{Registry, ResId, Status};
use api::wire::{Body, Method, Request, Response};
use api::{SmolStr, Value};
use std::sync::Arc;

/// What is done to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// Its name in RBAC rules and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }
}

/// An operation on a resource.
#[derive(Clone, Debug)]
pub struct Op {
    /// What is done.
    pub verb: Verb,
    /// To which resource.
    pub res: ResId,
    /// "" or the subresource.
    pub sub: SmolStr,
    /// "" or the namespace.
    pub namespace: SmolStr,
    /// "" or the name.
    pub name: SmolStr,
    /// Object, patch or options, decoded to a value.
    pub body: Value,
    /// The rest.
    pub options: Options,
}

/// How a change is validated against the schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FieldValidation {
    /// Unknown and duplicate fields are dropped in silence.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are errors.
    Strict,
}

/// Format of a patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchType {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

/// What strict decoding finds in a body's text, whatever its schema.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Paths of fields that occur twice.
    pub duplicates: Vec<String>,
    /// What the YAML decoder says, complete.
    pub messages: Vec<String>,
    /// The text, for the order in which its fields stand.
    pub text: Option<Arc<[u8]>>,
}

impl Findings {
    /// All findings as messages, unknown fields included, in the order of the text.
    pub(crate) fn with_unknown(&self, unknown: &[String]) -> Vec<String> {
        let mut all: Vec<(usize, String)> = Vec::new();
        let keys = match &self.text {
            Some(t) if self.duplicates.len() + unknown.len() > 1 => {
                api::key_paths(&String::from_utf8_lossy(t))
            }
            _ => Vec::new(),
        };
        let place = |path: &String, nth: usize| {
            let mut found = keys.iter().enumerate().filter(|(_, k)| *k == path).map(|(i, _)| i);
            found.nth(nth).unwrap_or(usize::MAX)
        };
        let below = |d: &String, u: &String| {
            d.strip_prefix(u.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        all.extend(unknown.iter().map(|u| (place(u, 0), format!("unknown field \"{u}\""))));
        let known = self.duplicates.iter().filter(|d| !unknown.iter().any(|u| below(d, u)));
        all.extend(known.map(|d| (place(d, 1), format!("duplicate field \"{d}\""))));
        all.sort_by_key(|(i, _)| *i);
        self.messages.iter().cloned().chain(all.into_iter().map(|(_, m)| m)).collect()
    }
}

/// Options of an operation.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `labelSelector`
    pub label_selector: String,
    /// `fieldSelector`
    pub field_selector: String,
    /// `limit`, 0 is none.
    pub limit: usize,
    /// `continue`
    pub continue_token: String,
    /// `resourceVersion` as sent.
    pub resource_version: String,
    /// `resourceVersionMatch`
    pub resource_version_match: String,
    /// `sendInitialEvents`
    pub send_initial_events: Option<bool>,
    /// `allowWatchBookmarks`
    pub bookmarks: bool,
    /// `timeoutSeconds`
    pub timeout_s: Option<u64>,
    /// `dryRun=All`
    pub dry_run: bool,
    /// `fieldManager`
    pub field_manager: SmolStr,
    /// `force`
    pub force: Option<bool>,
    /// `fieldValidation`
    pub field_validation: FieldValidation,
    /// Kind of the patch.
    pub patch: Option<PatchType>,
    /// What strict decoding has to say about the body's text.
    pub findings: Findings,
    /// Raw query, for kubelet calls and proxies.
    pub query: Vec<(SmolStr, String)>,
    /// Delete options from query or body.
    pub delete: Value,
}

/// A call that the API server hands to a kubelet.
#[derive(Clone, Debug)]
pub struct KubeletCall {
    /// `exec`, `attach`, `portforward`, `log`, `proxy`.
    pub what: SmolStr,
    /// The pod (or node, for a node's proxy).
    pub object: Value,
    /// Query parameters.
    pub query: Vec<(SmolStr, String)>,
    /// What follows `proxy/` in the path.
    pub path: String,
    /// For proxies, the port as the path names it, "" for the first one.
    pub port: SmolStr,
    /// The request, for proxies.
    pub request: Option<Box<Request>>,
}

/// What a request leads to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An answer.
    Done(Response),
    /// A watch to be polled.
    Watch(crate::Watch, Response),
    /// A connection to a kubelet.
    Kubelet(KubeletCall),
}

/// A parsed path.
#[derive(Debug, PartialEq)]
pub(crate) enum Path<'a> {
    /// Below a group and version: resource, namespace, name, subresource.
    Resource {
        group: &'a str,
        version: &'a str,
        plural: &'a str,
        namespace: &'a str,
        name: &'a str,
        sub: &'a str,
    },
    /// Anything else.
    Other,
}

/// Splits a path of the resource API. Models: `RequestInfoFactory`.
pub(crate) fn parse_path(path: &str) -> Path<'_> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match parts[..] {
        ["api", v, ref rest @ ..] => ("", v, rest),
        ["apis", g, v, ref rest @ ..] => (g, v, rest),
        _ => return Path::Other,
    };
    let sub_of = |n: usize| -> &str {
        // Proxies keep their path.
        match rest.get(n) {
            Some(first) => {
                let start = first.as_ptr() as usize - path.as_ptr() as usize;
                path[start..].trim_end_matches('/')
            }
            None => "",
        }
    };
    match rest {
        [] => Path::Other,
        ["namespaces", ns, sub @ ("status" | "finalize")] => {
            Path::Resource { group, version, plural: "namespaces", namespace: "", name: ns, sub }
        }
        ["namespaces", ns, plural, tail @ ..] => {
            let name = tail.first().copied().unwrap_or("");
            Path::Resource { group, version, plural, namespace: ns, name, sub: sub_of(4) }
        }
        [plural, tail @ ..] => {
            let name = tail.first().copied().unwrap_or("");
            Path::Resource { group, version, plural, namespace: "", name, sub: sub_of(2) }
        }
    }
}

/// Decodes a body of the resource API: an object in process, JSON or YAML over HTTP.
pub(crate) fn decode_body(req: &Request) -> Result<(Value, Findings), Status> {
    match &req.body {
        Body::Empty => Ok((Value::Null, Findings::default())),
        Body::Object(v) => Ok((v.clone(), Findings::default())),
        Body::Bytes(b) => {
            if b.len() > sim::Limits::TABLE.request_bytes_max {
                let m = format!(
                    "the request is too large: limit is {} bytes",
                    sim::Limits::TABLE.request_bytes_max
                );
                return Err(Status::new(413, "RequestEntityTooLarge", m));
            }
            let text = String::from_utf8_lossy(b);
            let media = req.header("content-type").unwrap_or("application/json");
            let media = media.split(';').next().unwrap_or(media).trim();
            if media.ends_with("yaml") {
                let p = api::yaml::parse_with_marks(&text)
                    .map_err(|e| Status::bad_request(format!("error decoding YAML: {e}")))?;
                let mut messages = Vec::new();
                if !p.duplicates.is_empty() {
                    let mut m = String::from("yaml: unmarshal errors:");
                    for d in &p.duplicates {
                        m += &format!("\n  line {}: key \"{}\" already set in map", d.line + 1, d.key);
                    }
                    messages.push(m);
                }
                return Ok((p.value, Findings { messages, ..Findings::default() }));
            }
            let (v, duplicates) = api::parse_json(&text).map_err(|e| Status::bad_request(e.message))?;
            Ok((v, Findings { duplicates, messages: Vec::new(), text: Some(b.clone()) }))
        }
    }
}

impl Options {
    /// Reads the query parameters of a request.
    pub(crate) fn of(req: &Request) -> Result<Options, Status> {
        let mut o = Options { query: req.query.clone(), ..Options::default() };
        for (k, v) in &req.query {
            match k.as_str() {
                "labelSelector" => o.label_selector = v.clone(),
                "fieldSelector" => o.field_selector = v.clone(),
                "limit" if v.is_empty() => {}
                "limit" => o.limit = number(v)?.max(0) as usize,
                "continue" => o.continue_token = v.clone(),
                "resourceVersion" => o.resource_version = v.clone(),
                "resourceVersionMatch" => o.resource_version_match = v.clone(),
                "sendInitialEvents" => o.send_initial_events = Some(truth(v)),
                "allowWatchBookmarks" => o.bookmarks = truth(v),
                "timeoutSeconds" if v.is_empty() => {}
                "timeoutSeconds" => o.timeout_s = Some(number(v)?.max(0) as u64),
                "dryRun" if v == "All" => o.dry_run = true,
                "dryRun" if !v.is_empty() => return Err(bad_dry_run(req, v)),
                "fieldManager" => {
                    check_manager(req.method, v)?;
                    o.field_manager = v.into();
                }
                "force" => o.force = Some(truth(v)),
                "fieldValidation" => {
                    o.field_validation = match v.as_str() {
                        "Strict" => FieldValidation::Strict,
                        "Ignore" => FieldValidation::Ignore,
                        "Warn" | "" => FieldValidation::Warn,
                        other => return Err(bad_validation(req.method, other)),
                    }
                }
                "gracePeriodSeconds" if v.is_empty() => {}
                "gracePeriodSeconds" => o.delete.insert("gracePeriodSeconds", number(v)?),
                "propagationPolicy" => o.delete.insert("propagationPolicy", v),
                "orphanDependents" => o.delete.insert("orphanDependents", truth(v)),
                _ => {}
            }
        }
        Ok(o)
    }
}

fn number(v: &str) -> Result<i64, Status> {
    v.parse().map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing \"{v}\": invalid syntax")))
}

/// Models: `ValidateFieldManager`.
fn check_manager(method: Method, v: &str) -> Result<(), Status> {
    const BYTES_MAX: usize = 128;
    let mut e = api::field::Errors::default();
    let at = api::field::At::Path("fieldManager");
    if v.len() > BYTES_MAX {
        e.too_long(&at, BYTES_MAX);
    } else if let Some((i, _)) = v.char_indices().find(|(_, c)| c.is_control()) {
        e.invalid(&at, v, &format!("should only contain printable characters (pos: {i})"));
    }
    if e.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", options_kind(method), "", &e)) }
}

/// Models: `ValidateDeleteOptions`.
pub(crate) fn check_delete(options: &Value) -> Result<(), Status> {
    let mut e = api::field::Errors::default();
    let at = api::field::At::Path("propagationPolicy");
    let policy = options.get("propagationPolicy");
    if policy.is_some() && options.get("orphanDependents").is_some() {
        e.invalid(&at, policy.text(), "orphanDependents and deletionPropagation cannot be both set");
    }
    if policy.is_some() && !["Foreground", "Background", "Orphan"].contains(&policy.text()) {
        e.one_of(&at, policy.text(), &["Foreground", "Background", "Orphan", "nil"]);
    }
    let dry = options.get("dryRun");
    if !dry.is_empty() && dry.items().any(|d| d.text() != "All") {
        e.one_of(&api::field::At::Path("dryRun"), dry, &["All"]);
    }
    if e.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &e)) }
}

/// The type of a write's options.
fn options_kind(method: Method) -> &'static str {
    match method {
        Method::Post => "CreateOptions",
        Method::Put => "UpdateOptions",
        Method::Delete => "DeleteOptions",
        _ => "PatchOptions",
    }
}

fn bad_dry_run(req: &Request, value: &str) -> Status {
    let mut e = api::field::Errors::default();
    e.one_of(&api::field::At::Path("dryRun"), api::obj!([value]), &["All"]);
    Status::invalid("meta.k8s.io", options_kind(req.method), "", &e)
}

fn bad_validation(method: Method, value: &str) -> Status {
    let kind = options_kind(method);
    let mut e = api::field::Errors::default();
    let at = api::field::At::Path("fieldValidation");
    e.not_supported(&at, value, &["", "Ignore", "Strict", "Warn"]);
    Status::invalid("meta.k8s.io", kind, "", &e)
}

/// How the API reads booleans of a query: everything but these is true.
fn truth(v: &str) -> bool {
    !matches!(v, "" | "0" | "false")
}

/// The verb of a request on a resource.
pub(crate) fn verb(req: &Request, name: &str) -> Verb {
    let watching = req.query("watch").is_some_and(truth);
    match req.method {
        Method::Get | Method::Head | Method::Options if watching => Verb::Watch,
        Method::Get | Method::Head | Method::Options if name.is_empty() => Verb::List,
        Method::Get | Method::Head | Method::Options => Verb::Get,
        Method::Post => Verb::Create,
        Method::Put => Verb::Update,
        Method::Patch => Verb::Patch,
        Method::Delete if name.is_empty() => Verb::DeleteCollection,
        Method::Delete => Verb::Delete,
    }
}

/// The patch type of a content type.
pub(crate) fn patch_type(media: &str) -> Option<PatchType> {
    match media.split(';').next().unwrap_or("").trim() {
        "application/json-patch+json" => Some(PatchType::Json),
        "application/merge-patch+json" => Some(PatchType::Merge),
        "application/strategic-merge-patch+json" => Some(PatchType::Strategic),
        "application/apply-patch+yaml" | "application/apply-patch+cbor" => Some(PatchType::Apply),
        _ => None,
    }
}

impl Registry {
    /// The resource that a path names.
    pub(crate) fn at(&self, group: &str, version: &str, plural: &str) -> Result<ResId, Status> {
        self.id(group, version, plural).ok_or_else(Status::no_resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let p = |s| format!("{:?}", parse_path(s));
        assert_eq!(
            p("/api/v1/namespaces/default/pods/x/log"),
            r#"Resource { group: "", version: "v1", plural: "pods", namespace: "default", name: "x", sub: "log" }"#
        );
        assert_eq!(
            p("/api/v1/namespaces/default"),
            r#"Resource { group: "", version: "v1", plural: "namespaces", namespace: "", name: "default", sub: "" }"#
        );
        assert_eq!(
            p("/api/v1/namespaces/x/finalize"),
            r#"Resource { group: "", version: "v1", plural: "namespaces", namespace: "", name: "x", sub: "finalize" }"#
        );
        assert_eq!(
            p("/apis/apps/v1/deployments"),
            r#"Resource { group: "apps", version: "v1", plural: "deployments", namespace: "", name: "", sub: "" }"#
        );
        assert_eq!(
            p("/api/v1/nodes/n1/proxy/stats/summary"),
            r#"Resource { group: "", version: "v1", plural: "nodes", namespace: "", name: "n1", sub: "proxy/stats/summary" }"#
        );
        assert_eq!(p("/healthz"), "Other");
    }
}
