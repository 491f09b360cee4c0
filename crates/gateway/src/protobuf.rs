//! Reads objects in Kubernetes' protobuf encoding, which typed clients send.
//!
//! Only requests come this way; answers are JSON, which every client takes.

use crate::tags::TAGS;
use api::schema::{Ty, TypeId};
use api::{Value, obj};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const MAGIC: &[u8] = b"k8s\0";
const DEPTH_MAX: usize = 64;

/// Decodes an envelope; `None` if it is not well-formed.
pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for (n, w) in Fields(rest) {
        match (n, w) {
            (1, Wire::Bytes(b)) => {
                for (n, w) in Fields(b) {
                    match (n, w) {
                        (1, Wire::Bytes(b)) => version = text(b),
                        (2, Wire::Bytes(b)) => kind = text(b),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(b)) => raw = b,
            _ => {}
        }
    }
    let mut v = match type_of(&version, &kind) {
        Some(t) => message(t.get().name, Some(t), raw, 0)?,
        None => options(raw),
    };
    v.insert("apiVersion", version);
    v.insert("kind", kind);
    Some(v)
}

fn type_of(version: &str, kind: &str) -> Option<TypeId> {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let i = api::schema::TYPES.iter().position(|t| t.gvk == Some((group, version, kind)));
    i.map(|i| TypeId(i as u16)).or_else(|| {
        let name = format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}");
        (kind == "DeleteOptions").then(|| TypeId::named(&name)).flatten()
    })
}

/// A message of a type that the schema does not know: nothing of it is kept.
fn options(_: &[u8]) -> Value {
    Value::map()
}

enum Wire<'a> {
    Int(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message; ends at the first malformed one.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).ok()?;
        let wire = match key & 7 {
            0 => Wire::Int(varint(&mut self.0)?),
            1 => {
                let (b, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Wire::Fixed64(u64::from_le_bytes(*b))
            }
            2 => {
                let n = usize::try_from(varint(&mut self.0)?).ok()?;
                let (b, rest) = self.0.split_at_checked(n)?;
                self.0 = rest;
                Wire::Bytes(b)
            }
            5 => {
                let (b, rest) = self.0.split_first_chunk::<4>()?;
                self.0 = rest;
                Wire::Int(u32::from_le_bytes(*b).into())
            }
            _ => return None,
        };
        Some((number, wire))
    }
}

fn varint(b: &mut &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = b.split_first()?;
        *b = rest;
        v |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(v);
        }
    }
    None
}

fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(b).into_owned()
}

fn tags(name: &str) -> &'static [(u32, &'static str, &'static str)] {
    TAGS.iter().find(|(n, _)| *n == name).map_or(&[], |(_, t)| t)
}

fn message(name: &str, ty: Option<TypeId>, b: &[u8], depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let mut out = Value::map();
    let table = tags(name);
    for (n, w) in Fields(b) {
        let Some((_, json, embedded)) = table.iter().find(|(t, _, _)| *t == n) else { continue };
        if json.is_empty() {
            // An embedded message: its fields are the outer object's.
            if let Wire::Bytes(b) = w {
                let inner = message(&format!("io.k8s.api.core.v1.{embedded}"), ty, b, depth + 1)?;
                for (k, v) in inner.entries() {
                    out.insert(k, v);
                }
            }
            continue;
        }
        let Some(f) = ty.and_then(|t| t.get().field(json)) else { continue };
        match f.ty {
            Ty::List(t) => out.push_at(&[json], value(t, &w, depth)?),
            Ty::Map(t) => {
                if let Wire::Bytes(b) = w {
                    let (k, v) = entry(t, b, depth)?;
                    out.set(&[json, &k], v);
                }
            }
            t => match value(&t, &w, depth)? {
                Value::Null => {}
                v => out.insert(*json, v),
            },
        }
    }
    Some(out)
}

fn entry(t: &Ty, b: &[u8], depth: usize) -> Option<(String, Value)> {
    let (mut k, mut v) = (String::new(), Value::str(""));
    for (n, w) in Fields(b) {
        match (n, &w) {
            (1, Wire::Bytes(b)) => k = text(b),
            (2, w) => v = value(t, w, depth)?,
            _ => {}
        }
    }
    Some((k, v))
}

fn value(t: &Ty, w: &Wire<'_>, depth: usize) -> Option<Value> {
    Some(match (t, w) {
        (Ty::Bool, Wire::Int(i)) => Value::Bool(*i != 0),
        (Ty::Int32 | Ty::Int64, Wire::Int(i)) => Value::Int(*i as i64),
        (Ty::Float, Wire::Fixed64(f)) => Value::Float(f64::from_bits(*f)),
        (Ty::Str, Wire::Bytes(b)) => Value::from(text(b)),
        (Ty::Bytes, Wire::Bytes(b)) => Value::from(BASE64_STANDARD.encode(b)),
        (Ty::Object(id), Wire::Bytes(b)) => message(id.get().name, Some(*id), b, depth + 1)?,
        (Ty::Quantity, Wire::Bytes(b)) => {
            let s = Fields(b).find_map(|(n, w)| match w {
                Wire::Bytes(b) if n == 1 => Some(text(b)),
                _ => None,
            });
            Value::from(s.unwrap_or_else(|| "0".into()))
        }
        (Ty::IntOrString, Wire::Bytes(b)) => {
            let (mut kind, mut int, mut s) = (0, 0, String::new());
            for (n, w) in Fields(b) {
                match (n, w) {
                    (1, Wire::Int(i)) => kind = i,
                    (2, Wire::Int(i)) => int = i as i64,
                    (3, Wire::Bytes(b)) => s = text(b),
                    _ => {}
                }
            }
            if kind == 1 { Value::from(s) } else { Value::Int(int) }
        }
        // No time at all is written as an empty message.
        (Ty::Time | Ty::MicroTime, Wire::Bytes([])) => Value::Null,
        (Ty::Time | Ty::MicroTime, Wire::Bytes(b)) => {
            let (mut secs, mut nanos) = (0, 0);
            for (n, w) in Fields(b) {
                match (n, w) {
                    (1, Wire::Int(i)) => secs = i as i64,
                    (2, Wire::Int(i)) => nanos = i as u32,
                    _ => {}
                }
            }
            let c = sim::Civil::from_unix(secs, nanos);
            Value::from(if matches!(t, Ty::MicroTime) { c.rfc3339_micro() } else { c.rfc3339() })
        }
        (Ty::Any, Wire::Bytes(b)) => {
            let raw = Fields(b).find_map(|(n, w)| match w {
                Wire::Bytes(b) if n == 1 => Some(text(b)),
                _ => None,
            });
            api::parse_json(&raw.unwrap_or_default()).map(|p| p.0).unwrap_or_default()
        }
        _ => return Some(obj!(null)),
    })
}
