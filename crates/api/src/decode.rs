//! Decoding against the schema: JSON types, unknown fields, and the form in which Go would give the object back.
//!
//! Models: `encoding/json` into the API's Go structs with strict decoding. Wrong types are errors in its words; unknown
//! fields are collected with their paths; nulls and what `omitempty` leaves out are dropped.

use crate::schema::{Field, Ty, Type, TypeId};
use crate::{Key, Map, SmolStr, Value};
use sim::Civil;

/// A decoded object.
#[derive(Debug)]
pub struct Decoded {
    /// The value with unknown fields pruned.
    pub value: Value,
    /// Paths of unknown fields, in the order met.
    pub unknown: Vec<String>,
}

/// Decodes `v` as that type.
pub fn decode(ty: TypeId, v: &Value) -> Result<Decoded, String> {
    run(ty, v, false)
}

/// Decodes a value that is no text any more, as strategic merge patches do: other words for wrong types, unknown fields
/// in the order of their names. Models: `runtime.DefaultUnstructuredConverter`.
pub fn restore(ty: TypeId, v: &Value) -> Result<Decoded, String> {
    let mut d = run(ty, v, true)?;
    d.unknown.sort();
    Ok(d)
}

fn run(ty: TypeId, v: &Value, restoring: bool) -> Result<Decoded, String> {
    let mut d = Decoder { unknown: Vec::new(), path: Vec::new(), restoring };
    let value = d.object(ty.get(), v)?;
    Ok(Decoded { value, unknown: d.unknown })
}

struct Decoder {
    unknown: Vec<String>,
    path: Vec<Step>,
    /// Whether errors are those of the conversion instead of JSON's.
    restoring: bool,
}

#[derive(Clone)]
enum Step {
    Field(SmolStr),
    Index(usize),
}

fn json_type(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

/// Models: the errors of `fromUnstructured`.
fn not_restored(v: &Value, ty: &Ty) -> String {
    let kind = match v {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
    };
    match (ty, v) {
        (Ty::Map(_), _) => format!("cannot restore map from {kind}"),
        (Ty::List(_) | Ty::Bytes, _) => format!("cannot restore slice from {kind}"),
        (Ty::Object(_), _) => format!("cannot restore struct from: {kind}"),
        (Ty::Str, Value::Int(_)) | (Ty::Int32 | Ty::Int64, Value::Float(_)) => {
            format!("cannot convert {kind} to {}", go_type(ty))
        }
        _ => format!("unrecognized type: {}", go_type(ty)),
    }
}

fn go_type(ty: &Ty) -> String {
    match ty {
        Ty::Str => "string".into(),
        Ty::Bytes => "[]uint8".into(),
        Ty::Int32 => "int32".into(),
        Ty::Int64 => "int64".into(),
        Ty::Float => "float64".into(),
        Ty::Bool => "bool".into(),
        Ty::Quantity => "resource.Quantity".into(),
        Ty::Time => "v1.Time".into(),
        Ty::MicroTime => "v1.MicroTime".into(),
        Ty::IntOrString => "intstr.IntOrString".into(),
        Ty::Any => "interface {}".into(),
        Ty::Object(t) => {
            let parts: Vec<&str> = t.get().name.rsplitn(3, '.').collect();
            format!("{}.{}", parts.get(1).unwrap_or(&"v1"), parts[0])
        }
        Ty::List(t) => format!("[]{}", go_type(t)),
        Ty::Map(t) => format!("map[string]{}", go_type(t)),
    }
}

impl Decoder {
    /// `spec.containers[0].image`
    fn dotted(&self, last: &str) -> String {
        let mut s = String::new();
        for p in &self.path {
            match p {
                Step::Field(f) if s.is_empty() => s.push_str(f),
                Step::Field(f) => {
                    s.push('.');
                    s.push_str(f);
                }
                Step::Index(i) => s.push_str(&format!("[{i}]")),
            }
        }
        if !last.is_empty() {
            if !s.is_empty() {
                s.push('.');
            }
            s.push_str(last);
        }
        s
    }

    /// Go names the innermost struct and the path without indices and map keys.
    fn mismatch(&self, v: &Value, owner: &Type, ty: &Ty) -> String {
        if self.restoring {
            return not_restored(v, ty);
        }
        let fields: Vec<&str> = self
            .path
            .iter()
            .filter_map(|s| match s {
                Step::Field(f) => Some(f.as_str()),
                Step::Index(_) => None,
            })
            .collect();
        let number = match v {
            Value::Float(f) => format!("number {}", crate::json::float(*f)),
            Value::Int(i) if matches!(ty, Ty::Int32) => format!("number {i}"),
            v => json_type(v).into(),
        };
        format!(
            "json: cannot unmarshal {number} into Go struct field {}.{} of type {}",
            owner.short_name(),
            fields.join("."),
            go_type(ty)
        )
    }

    fn object(&mut self, ty: &'static Type, v: &Value) -> Result<Value, String> {
        let Value::Map(m) = v else {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type v1.{}",
                json_type(v),
                ty.short_name()
            ));
        };
        let mut out: Vec<(Key, Value)> = Vec::with_capacity(m.len());
        let mut same = true;
        for (k, v) in m.iter() {
            let Some(field) = k.index().and_then(|i| ty.fields.binary_search_by_key(&i, |f| f.key).ok())
            else {
                let path = self.dotted(k);
                self.unknown.push(path);
                same = false;
                continue;
            };
            let field = &ty.fields[field];
            if v.is_null() && !keeps_null(field) {
                same = false;
                continue;
            }
            self.path.push(Step::Field(SmolStr::new(k.as_str())));
            let new = self.value(ty, &field.ty, v)?;
            self.path.pop();
            if dropped(ty, field, &new) {
                same = false;
                continue;
            }
            same &= new.same(v);
            out.push((k.clone(), new));
        }
        Ok(if same { v.clone() } else { Value::Map(out.into_iter().collect::<Map>()) })
    }

    fn value(&mut self, owner: &'static Type, ty: &'static Ty, v: &Value) -> Result<Value, String> {
        let mismatch = |d: &Self| d.mismatch(v, owner, ty);
        match (ty, v) {
            (_, Value::Null) => Ok(Value::Null),
            (Ty::Any, v) => Ok(v.clone()),
            (Ty::Str, Value::Str(_)) => Ok(v.clone()),
            (Ty::Bytes, Value::Str(s)) => match base64_text(s) {
                Ok(()) => Ok(v.clone()),
                Err(e) if self.restoring => Err(format!("error decoding from json: {e}")),
                Err(e) => Err(e),
            },
            (Ty::Bool, Value::Bool(_)) => Ok(v.clone()),
            (Ty::Int32, Value::Int(i)) if i32::try_from(*i).is_ok() => Ok(v.clone()),
            (Ty::Int64, Value::Int(_)) => Ok(v.clone()),
            // Go's conversion wraps around and cuts off.
            (Ty::Int32, Value::Int(i)) if self.restoring => Ok(Value::Int(i64::from(*i as i32))),
            (Ty::Int32 | Ty::Int64, Value::Float(f)) if self.restoring && f.fract() == 0.0 => {
                Ok(Value::Int(*f as i64))
            }
            (Ty::Float, Value::Int(_) | Value::Float(_)) => Ok(v.clone()),
            (Ty::IntOrString, Value::Int(_) | Value::Str(_)) => Ok(v.clone()),
            (Ty::Quantity, v) => quantity(v),
            (Ty::Time | Ty::MicroTime, Value::Str(s)) => time(ty, s),
            (Ty::Object(t), Value::Map(_)) => self.object(t.get(), v),
            (Ty::List(t), Value::List(l)) => {
                let mut out = Vec::with_capacity(l.len());
                let mut same = true;
                for (i, item) in l.iter().enumerate() {
                    self.path.push(Step::Index(i));
                    let new = self.value(owner, t, item)?;
                    self.path.pop();
                    same &= new.same(item);
                    out.push(new);
                }
                Ok(if same { v.clone() } else { Value::from(out) })
            }
            (Ty::Map(t), Value::Map(m)) => {
                let mut out = Vec::with_capacity(m.len());
                let mut same = true;
                for (k, item) in m.iter() {
                    let depth = self.path.len();
                    if matches!(t, Ty::Object(_)) {
                        self.path.push(Step::Field(SmolStr::new(k.as_str())));
                    }
                    let new = match (t, item) {
                        // A null of a map of strings is the empty string in Go.
                        (Ty::Str | Ty::Bytes, Value::Null) => Value::str(""),
                        (t, item) => self.value(owner, t, item)?,
                    };
                    self.path.truncate(depth);
                    same &= new.same(item);
                    out.push((k.clone(), new));
                }
                Ok(if same { v.clone() } else { Value::Map(out.into_iter().collect::<Map>()) })
            }
            _ => Err(mismatch(self)),
        }
    }
}

/// Times without `omitempty` that Go prints as null; the kinds put them there.
fn keeps_null(f: &Field) -> bool {
    let name = f.name();
    matches!(f.ty, Ty::Time | Ty::MicroTime)
        && (matches!(name, "lastProbeTime" | "eventTime")
            || name.ends_with("irstTimestamp")
            || name.ends_with("astTimestamp"))
}

/// Whether Go's `omitempty` leaves this out.
fn dropped(ty: &'static Type, f: &Field, v: &Value) -> bool {
    let scalar = match v {
        Value::Str(s) => s.is_empty(),
        Value::Int(0) | Value::Bool(false) => true,
        Value::List(l) => l.is_empty(),
        Value::Map(m) => m.is_empty() && matches!(f.ty, Ty::Map(_)),
        _ => false,
    };
    scalar && ty.go_field(f.name()).is_none_or(|g| g.omit && !g.is_pointer())
}

/// Checks base64 as Go decodes it: the position of the first byte that does not belong.
fn base64_text(s: &str) -> Result<(), String> {
    let bytes: Vec<(usize, u8)> =
        s.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\n' | b'\r')).collect();
    let error = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
    let padding = bytes.iter().rev().take_while(|(_, b)| *b == b'=').count().min(2);
    let (data, _) = bytes.split_at(bytes.len() - padding);
    if let Some((i, _)) = data.iter().find(|(_, b)| !b.is_ascii_alphanumeric() && !matches!(b, b'+' | b'/')) {
        return error(*i);
    }
    match (data.len() % 4, padding) {
        (0, 0) | (2, 2) | (3, 1) => Ok(()),
        (_, 0) => error(s.len().saturating_sub(data.len() % 4)),
        _ => error(data.len()),
    }
}

const QUANTITY_RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

fn quantity(v: &Value) -> Result<Value, String> {
    match v {
        Value::Int(i) => Ok(Value::from(i.to_string())),
        Value::Float(f) => {
            let text = crate::json::float(*f);
            crate::quantity::Quantity::parse(&text)
                .map(|q| Value::from(q.to_string()))
                .map_err(|e| e.to_string())
        }
        Value::Str(s) => match crate::quantity::Quantity::parse(s) {
            Ok(q) => {
                let canonical = q.to_string();
                Ok(if canonical == s.as_str() { v.clone() } else { Value::from(canonical) })
            }
            Err(e) => Err(e.to_string()),
        },
        _ => Err(QUANTITY_RULE.into()),
    }
}

fn time(ty: &Ty, s: &str) -> Result<Value, String> {
    match Civil::parse(s) {
        Some(c) => Ok(Value::from(if matches!(ty, Ty::MicroTime) { c.rfc3339_micro() } else { c.rfc3339() })),
        None => {
            let layout = if matches!(ty, Ty::MicroTime) {
                "2006-01-02T15:04:05.000000Z07:00"
            } else {
                "2006-01-02T15:04:05Z07:00"
            };
            Err(format!("parsing time \"{s}\" as \"{layout}\": cannot parse \"{s}\" as \"2006\""))
        }
    }
}
