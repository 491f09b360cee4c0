//! What a patch makes of an object, and what its refusals say.
//!
//! Models: `patchMechanism` of the API server's handlers: JSON and merge patches go through JSON text, strategic ones
//! through maps, and each kind has its own words for what does not fit.

use super::write::check_place;
use crate::request::{FieldValidation, PatchType};
use crate::server::{CUSTOM_PATCHES, Cx};
use crate::{ApiServer, Op, Resource, Status};
use api::field::{At, Errors};
use api::schema::{Ty, TypeId};
use api::{Value, decode, gofmt, gostruct};

impl ApiServer {
    /// The object after a patch, in the version that was asked for.
    pub(super) fn patched(
        &mut self,
        cx: &mut Cx,
        r: &Resource,
        op: &Op,
        current: &Value,
    ) -> Result<Value, Status> {
        match op.options.patch {
            Some(PatchType::Strategic) => match r.ty {
                Some(ty) => self.patched_strategically(cx, r, op, current, ty),
                None => Err(Status::unsupported_media_type(CUSTOM_PATCHES)),
            },
            Some(PatchType::Json | PatchType::Merge) => self.patched_as_text(cx, r, op, current),
            Some(PatchType::Apply) => {
                check_apply(op)?;
                let mut op = op.clone();
                let applied = self.applied(cx, r, &op, current)?;
                check_place(r, &op, &op.body)?;
                op.body = applied;
                op.options.findings = Default::default();
                self.decode_object(cx, r, &op)
            }
            None => Err(Status::method_not_allowed()),
        }
    }

    /// The same of a `Scale`, which has no object of its own.
    pub(super) fn patched_scale(&self, r: &Resource, op: &Op, current: &Value) -> Result<Value, Status> {
        match op.options.patch {
            Some(PatchType::Json) => json_patched(op, current),
            Some(PatchType::Strategic) if r.ty.is_none() => {
                Err(Status::unsupported_media_type(CUSTOM_PATCHES))
            }
            Some(PatchType::Apply) => {
                check_apply(op)?;
                Ok(api::patch::merge(current, &op.body))
            }
            _ => Ok(api::patch::merge(current, body_map(op, "")?)),
        }
    }

    fn patched_strategically(
        &self,
        cx: &mut Cx,
        r: &Resource,
        op: &Op,
        current: &Value,
        ty: TypeId,
    ) -> Result<Value, Status> {
        let body = body_map(op, "")?;
        let v = api::patch::strategic(current, body, Some(ty)).map_err(|e| {
            // These are the patch's fault; the rest surprises the server.
            let badly_formed = e.starts_with("invalid patch format");
            Status::new(if badly_formed { 400 } else { 500 }, if badly_formed { "BadRequest" } else { "" }, e)
        })?;
        let mut v = v;
        self.modernise(cx, r, &mut v);
        let d = decode::restore(ty, &v).map_err(|e| refused(&gofmt::value(body), &e))?;
        let mut all = op.options.findings.with_unknown(&[]);
        all.extend(d.unknown.iter().map(|u| format!("unknown field \"{u}\"")));
        report(cx, op, all, || gofmt::value(body))?;
        let mut v = d.value;
        v.insert("kind", &r.kind);
        v.insert("apiVersion", r.api_version());
        Ok(v)
    }

    fn patched_as_text(&self, cx: &mut Cx, r: &Resource, op: &Op, current: &Value) -> Result<Value, Status> {
        let json = op.options.patch == Some(PatchType::Json);
        let mut new = if json {
            json_patched(op, current)?
        } else {
            api::patch::merge(current, body_map(op, "error decoding patch: ")?)
        };
        self.modernise(cx, r, &mut new);
        let touched = if json { touched(&op.body) } else { op.body.clone() };
        let text = || text_after(r.ty.map(Ty::Object), &new, &touched);
        let (version, kind) = (new.api_version(), new.kind());
        if version != r.api_version() || kind != r.kind {
            let other = self.registry.by_kind(version, kind).and_then(|o| o.ty);
            let why = match other.map(|ty| decode::decode(ty, &new)) {
                Some(Err(e)) => e,
                _ => self.why_wrong_type(r, version, kind),
            };
            return Err(refused(&text(), &why));
        }
        let mut v = new.clone();
        let unknown = match r.ty {
            Some(ty) => {
                let d = decode::decode(ty, &v).map_err(|e| refused(&text(), &e))?;
                v = d.value;
                d.unknown
            }
            None => api::structural::prune(crate::custom::schema_of(r), &mut v),
        };
        let mut all: Vec<String> = if json {
            let known = op.options.findings.duplicates.iter();
            known
                .map(|d| format!("json patch duplicate field \"{d}\""))
                .chain(unknown_members(&op.body))
                .collect()
        } else {
            op.options.findings.with_unknown(&[])
        };
        if !unknown.is_empty() {
            let after =
                crate::request::Findings { text: Some(text().as_bytes().into()), ..Default::default() };
            all.extend(after.with_unknown(&unknown));
        }
        report(cx, op, all, text)?;
        Ok(v)
    }
}

/// Who applies must say who it is. Models: `ValidatePatchOptions`.
pub(super) fn check_apply(op: &Op) -> Result<(), Status> {
    let mut e = Errors::default();
    if op.options.field_manager.is_empty() {
        e.required(&At::Path("fieldManager"), "is required for apply patch");
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &e));
    }
    Ok(())
}

fn refused(text: &str, why: &str) -> Status {
    let mut e = Errors::default();
    e.invalid(&At::Path("patch"), text, why);
    Status::invalid("", "", "", &e)
}

fn report(cx: &mut Cx, op: &Op, all: Vec<String>, shown: impl FnOnce() -> String) -> Result<(), Status> {
    match op.options.field_validation {
        _ if all.is_empty() => Ok(()),
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            cx.warnings.extend(all);
            Ok(())
        }
        FieldValidation::Strict => {
            Err(refused(&shown(), &format!("strict decoding error: {}", all.join(", "))))
        }
    }
}

fn cannot(prefix: &str, v: &Value, into: &str) -> Status {
    let kind = match v {
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    Status::bad_request(format!("{prefix}json: cannot unmarshal {kind} into Go value of type {into}"))
}

fn body_map<'a>(op: &'a Op, prefix: &str) -> Result<&'a Value, Status> {
    match &op.body {
        Value::Map(_) | Value::Null => Ok(&op.body),
        v => Err(cannot(prefix, v, "map[string]interface {}")),
    }
}

/// More operations than this are refused.
const OPERATIONS_MAX: usize = 10_000;

fn json_patched(op: &Op, current: &Value) -> Result<Value, Status> {
    let prefix = "error decoding patch: ";
    match &op.body {
        Value::List(l) if l.len() > OPERATIONS_MAX => {
            let m = format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                l.len()
            );
            return Err(Status::new(413, "RequestEntityTooLarge", m));
        }
        Value::List(_) | Value::Null => {}
        v => return Err(cannot(prefix, v, "[]handlers.jsonPatchOp")),
    }
    if let Some(v) = op.body.items().find(|o| !matches!(o, Value::Map(_) | Value::Null)) {
        return Err(cannot(prefix, v, "handlers.jsonPatchOp"));
    }
    api::patch::json_patch(current, &op.body).map_err(|_| {
        let m = "the server rejected our request due to an error in our request";
        let mut s = Status::new(422, "Invalid", m);
        (s.details, s.with_details) = (Value::map(), true);
        s
    })
}

/// Members that an operation of a JSON patch does not have.
fn unknown_members(ops: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (i, o) in ops.items().enumerate() {
        for (k, _) in o.entries().filter(|(k, _)| !matches!(k.as_str(), "op" | "from" | "path" | "value")) {
            out.push(format!("json patch unknown field \"[{i}].{k}\""));
        }
    }
    out
}

/// The maps that a JSON patch opens, as a tree.
fn touched(ops: &Value) -> Value {
    let mut out = Value::map();
    for o in ops.items() {
        for key in ["path", "from"] {
            let path: Vec<String> = o
                .get(key)
                .text()
                .split('/')
                .skip(1)
                .map(|s| s.replace("~1", "/").replace("~0", "~"))
                .collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Some((_, parents)) = path.split_last()
                && !parents.is_empty()
                && parents.len() < sim::Limits::TABLE.nesting_max
                && out.at(parents).is_null()
            {
                out.set(parents, Value::map());
            }
        }
    }
    out
}

/// JSON of the patched object: maps that the patch opened have their keys sorted, the rest stands as the type has it.
fn text_after(ty: Option<Ty>, v: &Value, touched: &Value) -> String {
    let (Value::Map(m), Value::Map(_)) = (v, touched) else { return gostruct::value_json(ty, v) };
    let mut out = String::from("{");
    for (i, (k, child)) in m.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&Value::str(k.as_str()).to_json());
        out.push(':');
        let inner = match ty {
            Some(Ty::Object(t)) => t.get().field(k).map(|f| f.ty),
            Some(Ty::Map(t)) => Some(*t),
            _ => None,
        };
        match touched.get(k) {
            Value::Null => out.push_str(&gostruct::value_json(inner, child)),
            t => out.push_str(&text_after(inner, child, t)),
        }
    }
    out.push('}');
    out
}
