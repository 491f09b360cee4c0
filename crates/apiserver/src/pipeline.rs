//! The request pipeline behind authorization: decoding, admission, defaults, validation, storage.

mod bind;
mod decode;
mod delete;
mod meta;
mod patch;
mod read;
mod write;

use crate::admission::{self, Attempt};
use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, Op, ResId, Resource, Status, Verb};
use api::Value;

impl ApiServer {
    /// Runs an authorized operation; gives the HTTP status and the object.
    pub(crate) fn execute(&mut self, cx: &mut Cx, op: Op) -> Result<(u16, Value), Status> {
        let r = self.registry.get(op.res).clone();
        match (op.sub.as_str(), op.verb) {
            ("", Verb::Get) => self.get(&r, &op).map(|v| (200, v)),
            ("", Verb::List) => self.list(&r, &op).map(|v| (200, v)),
            ("", Verb::Create) => match self.review(cx, &r, &op) {
                Some(answer) => answer.map(|v| (201, v)),
                None if r.kind == "Binding" => self.bind(cx, &op).map(|v| (201, v)),
                None => self.create(cx, &r, op).map(|v| (201, v)),
            },
            ("", Verb::Delete) => self.delete(cx, &r, &op),
            ("", Verb::DeleteCollection) => self.delete_collection(cx, &r, &op).map(|v| (200, v)),
            ("", Verb::Update | Verb::Patch) => self.change(cx, &r, op),
            ("scale", Verb::Get) => self.get(&r, &op).map(|v| (200, self.scale_of(&r, &v))),
            (_, Verb::Get) if self.reads(&r, &op.sub) => self.get(&r, &op).map(|v| (200, v)),
            ("binding", Verb::Create) => self.bind(cx, &op).map(|v| (201, v)),
            ("eviction", Verb::Create) => self.evict(cx, &r, &op).map(|v| (201, v)),
            ("token", Verb::Create) => {
                let a = Attempt { op: &op, r: &r, old: Value::Null, new: Value::Null };
                admission::validate(self, cx, &a)?;
                self.token_request(cx, &op).map(|v| (201, v))
            }
            (_, Verb::Update | Verb::Patch) => self.change(cx, &r, op),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Whether a subresource can be read.
    fn reads(&self, r: &Resource, sub: &str) -> bool {
        let known = r.builtin.and_then(|k| k.subresources.iter().find(|s| s.name == sub));
        known.is_none_or(|s| s.verbs.contains(&"get"))
    }

    /// Stores an object and leaves a trace of who did it because of what.
    pub(crate) fn commit(&mut self, cx: &Cx, s: &Resource, key: Name, v: Value) -> Value {
        let verb = if self.store.get(s.id, &key.0, &key.1).is_some() { "update" } else { "create" };
        let cause = self.note(cx, s, &key, verb);
        self.store.put(cx.now, cause, s.id, key, v)
    }

    pub(crate) fn uncommit(&mut self, cx: &Cx, s: &Resource, key: &Name) -> Option<Value> {
        let cause = self.note(cx, s, key, "delete");
        self.store.delete(cx.now, cause, s.id, key)
    }

    fn note(&mut self, cx: &Cx, s: &Resource, key: &Name, verb: &str) -> sim::Cause {
        let subject = if key.0.is_empty() {
            format!("{}/{}", s.plural, key.1)
        } else {
            format!("{}/{}/{}", s.plural, key.0, key.1)
        };
        self.trace.add(cx.cause, cx.now, &cx.user.name, "commit", &subject, verb)
    }

    /// What has to follow a write inside the server itself.
    fn after_write(&mut self, cx: &mut Cx, s: &Resource, old: Option<&Value>, new: Option<&Value>) {
        if s.kind == "Service" && s.group.is_empty() {
            match (old, new) {
                (Some(old), None) => self.release(old),
                (Some(old), Some(new)) => self.free_unused(s, old, Some(new)),
                _ => {}
            }
        }
        if s.kind == "CustomResourceDefinition" {
            self.serve_definitions();
            self.register_services(cx);
            if let Some(new) = new {
                self.settle_definition(cx, s, new);
            }
        } else if s.builtin.is_none() && new.is_none() {
            self.reap_definition(cx, s);
        }
        if s.kind == "Service" && s.group.is_empty() {
            self.note_address(cx, old, new);
        }
    }
}

/// Puts a condition in its place by type.
pub(crate) fn set_condition(v: &mut Value, c: Value) {
    let list = v.slot(&["status", "conditions"]).list_mut();
    match list.iter_mut().find(|x| x.get("type") == c.get("type")) {
        Some(x) => *x = c,
        None => list.push(c),
    }
}

impl ApiServer {
    /// The resource of an object by its API version and kind.
    pub fn resource_of(&self, v: &Value) -> Option<ResId> {
        self.registry.by_kind(v.api_version(), v.kind()).map(|r| r.id)
    }
}
