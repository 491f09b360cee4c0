//! Kubernetes `Status` errors.

use api::field::Errors;
use api::{SmolStr, Value, obj};

/// A failed request, as the client gets it. Models: `metav1.Status` and `api/errors`.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason: `NotFound`, `Invalid`, …; "" where upstream has none.
    pub reason: SmolStr,
    /// The message.
    pub message: String,
    /// `details`, or null.
    pub details: Value,
    /// Whether `metadata` of the body is `{}`.
    pub with_details: bool,
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut d = Value::map();
    if !name.is_empty() {
        d.insert("name", name);
    }
    if !group.is_empty() {
        d.insert("group", group);
    }
    if !kind.is_empty() {
        d.insert("kind", kind);
    }
    d
}

/// `pods` or `deployments.apps`
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.into() } else { format!("{resource}.{group}") }
}

impl Status {
    /// An error without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Status {
        Status {
            code,
            reason: reason.into(),
            message: message.into(),
            details: Value::Null,
            with_details: false,
        }
    }

    fn with(code: u16, reason: &str, message: String, details: Value) -> Status {
        Status { code, reason: reason.into(), message, details, with_details: true }
    }

    /// 404 of an object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        Status::with(404, "NotFound", message, details(group, resource, name))
    }

    /// 404 of a path below a known group and version.
    pub fn no_resource() -> Status {
        Status::with(404, "NotFound", "the server could not find the requested resource".into(), Value::map())
    }

    /// 405
    pub fn method_not_allowed() -> Status {
        let m = "the server does not allow this method on the requested resource";
        Status::with(405, "MethodNotAllowed", m.into(), Value::map())
    }

    /// 409 of a create.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Status::with(409, "AlreadyExists", message, details(group, resource, name))
    }

    /// 409 of an update.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, resource));
        Status::with(409, "Conflict", message, details(group, resource, name))
    }

    /// 409 of a stale resource version.
    pub fn stale(group: &str, resource: &str, name: &str) -> Status {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(group, resource, name, why)
    }

    /// 403
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(group, resource)),
            _ => format!("{} \"{name}\" is forbidden: {why}", qualified(group, resource)),
        };
        Status::with(403, "Forbidden", message, details(group, resource, name))
    }

    /// 401
    pub fn unauthorized() -> Status {
        Status::new(401, "Unauthorized", "Unauthorized")
    }

    /// 400
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, "BadRequest", message)
    }

    /// 500 `Internal error occurred: …`
    pub fn internal(message: &str) -> Status {
        let d = obj!({"causes": [{"message": message}]});
        Status::with(500, "InternalError", format!("Internal error occurred: {message}"), d)
    }

    /// 410
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, "Expired", message)
    }

    /// 406
    pub(crate) fn not_acceptable(verb: crate::Verb) -> Status {
        let mut m = String::from(
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        );
        if matches!(verb, crate::Verb::List | crate::Verb::Watch) {
            m += ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
        }
        Status::with(406, "NotAcceptable", m, Value::map())
    }

    /// 415
    pub fn unsupported_media_type(accepted: &str) -> Status {
        let m = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Status::new(415, "UnsupportedMediaType", m)
    }

    /// 429 with a delay.
    pub fn too_many_requests(message: &str, retry_after_s: i64) -> Status {
        let d = obj!({"retryAfterSeconds": retry_after_s});
        Status::with(429, "TooManyRequests", message.into(), d)
    }

    /// 422 of an object's fields.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &Errors) -> Status {
        let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        let mut unique: Vec<&String> = Vec::new();
        for t in &texts {
            if !unique.contains(&t) {
                unique.push(t);
            }
        }
        let list = match unique[..] {
            [one] => one.clone(),
            _ => format!("[{}]", unique.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut d = details(group, kind, name);
        let causes: Value = errors
            .0
            .iter()
            .map(
                |e| obj!({"reason": e.ty.reason(), "message": e.message.as_str(), "field": e.field.as_str()}),
            )
            .collect();
        d.insert("causes", causes);
        Status::with(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {list}"), d)
    }

    /// The object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut v = obj!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message.as_str(), "code": i64::from(self.code)
        });
        if !self.reason.is_empty() {
            v.insert("reason", &self.reason);
        }
        if self.with_details {
            v.insert("details", &self.details);
        }
        v
    }

    /// The `Status` of a success, as deletes answer.
    pub fn success(group: &str, resource: &str, name: &str, uid: &str) -> Value {
        let mut d = details(group, resource, name);
        d.insert("uid", uid);
        obj!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": d})
    }
}
