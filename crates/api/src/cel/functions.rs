//! Functions that expressions may call: CEL's own, and those that Kubernetes adds.
//!
//! Quantities are their texts, durations seconds, times seconds since the epoch, types their names.

use super::{as_optional, optional};
use crate::quantity::Quantity;
use crate::{Value, names, pattern};
use sim::Civil;

type Answer = Result<Value, String>;

/// A value as a string.
pub(super) fn text(v: &Value) -> String {
    match v {
        Value::Str(s) => s.to_string(),
        v => v.to_json(),
    }
}

fn no_overload(name: &str) -> String {
    format!("found no matching overload for '{name}'")
}

/// What `type` gives; types compare as texts.
fn type_name(v: &Value) -> &'static str {
    match v {
        Value::Null => "null_type",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "double",
        Value::Str(_) => "string",
        Value::List(_) => "list",
        Value::Map(_) => "map",
    }
}

/// The type that a bare name stands for.
pub(super) fn type_of_name(name: &str) -> Option<Value> {
    let known = ["null_type", "bool", "int", "uint", "double", "string", "list", "map", "bytes"];
    known.contains(&name).then(|| Value::str(if name == "uint" { "int" } else { name }))
}

fn quantity(v: &Value) -> Option<Quantity> {
    match v {
        Value::Str(s) => Quantity::parse(s).ok(),
        Value::Int(i) => Quantity::parse(&i.to_string()).ok(),
        _ => None,
    }
}

fn regex(name: &str, p: &str) -> Result<regex_lite::Regex, String> {
    pattern::compile(p).map_err(|_| no_overload(name))
}

/// `1h2m3.5s` in seconds.
fn seconds(s: &str) -> Option<f64> {
    let (sign, mut rest) = match s.strip_prefix('-') {
        Some(r) => (-1.0, r),
        None => (1.0, s),
    };
    let mut total = 0.0;
    if rest == "0" {
        return Some(0.0);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let n = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..n)?.parse().ok()?;
        let unit = rest.get(n..)?;
        let (factor, len) =
            [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
                .into_iter()
                .find(|(u, _)| unit.starts_with(u))
                .map(|(u, f)| (f, u.len()))?;
        total += number * factor;
        rest = unit.get(len..)?;
    }
    Some(sign * total)
}

/// Refuses to make a text that is too long.
fn bounded(bytes: usize) -> Result<(), String> {
    if bytes > super::TEXT_BYTES_MAX { Err(super::TOO_COSTLY.into()) } else { Ok(()) }
}

/// Functions without a receiver.
pub(super) fn global(name: &str, args: &[Value]) -> Answer {
    match (name, args) {
        ("size", [v]) => size(v),
        ("dyn", [v]) => Ok(v.clone()),
        ("type", [v]) => Ok(Value::str(type_name(v))),
        ("int" | "uint", [v]) => match v {
            Value::Str(t) => t.parse().map(Value::Int).map_err(|_| "type conversion error".into()),
            Value::Float(f) => Ok(Value::Int(*f as i64)),
            Value::Int(_) => Ok(v.clone()),
            _ => Err(no_overload(name)),
        },
        ("double", [v]) => match v {
            Value::Int(i) => Ok(Value::Float(*i as f64)),
            Value::Str(t) => t.parse().map(Value::Float).map_err(|_| "type conversion error".into()),
            v => Ok(v.clone()),
        },
        ("bool", [Value::Str(t)]) => Ok(Value::Bool(t == "true")),
        ("string", [v]) => Ok(Value::str(text(v))),
        ("duration", [Value::Str(t)]) => {
            seconds(t).map(Value::Float).ok_or_else(|| format!("invalid duration format: {t}"))
        }
        ("timestamp", [Value::Str(t)]) => Civil::parse(t)
            .map(|c| Value::str(c.rfc3339()))
            .ok_or_else(|| format!("invalid timestamp format: {t}")),
        ("quantity", [v]) => match quantity(v) {
            Some(q) => Ok(Value::str(q.to_string())),
            None => Err(format!("quantity parse error: {}", text(v))),
        },
        ("isQuantity", [v]) => Ok(Value::Bool(quantity(v).is_some())),
        ("isURL", [Value::Str(t)]) => Ok(Value::Bool(t.starts_with('/') || t.contains("://"))),
        ("isIP", [Value::Str(t)]) => Ok(Value::Bool(t.parse::<core::net::IpAddr>().is_ok())),
        ("math.greatest" | "math.least", many) => extreme(name == "math.greatest", many),
        _ => Err(format!("undeclared reference to '{name}'")),
    }
}

fn extreme(largest: bool, many: &[Value]) -> Answer {
    let list: Vec<Value> = match many {
        [Value::List(l)] => l.iter().cloned().collect(),
        all => all.to_vec(),
    };
    let mut best: Option<Value> = None;
    for v in list {
        let better = match &best {
            None => true,
            Some(b) => super::binary(if largest { ">" } else { "<" }, &v, b)? == Value::Bool(true),
        };
        if better {
            best = Some(v);
        }
    }
    best.ok_or_else(|| "min called on empty list".into())
}

/// Functions of a receiver.
pub(super) fn method(name: &str, v: &Value, args: &[Value]) -> Answer {
    if let Some(inner) = as_optional(v) {
        return match (name, args) {
            ("hasValue", []) => Ok(Value::Bool(inner.is_some())),
            ("value", []) => inner.cloned().ok_or_else(|| "optional.none() dereference".into()),
            ("orValue", [d]) => Ok(inner.unwrap_or(d).clone()),
            ("or", [d]) => Ok(inner.map_or_else(|| d.clone(), |v| optional(Some(v.clone())))),
            _ => Err(no_overload(name)),
        };
    }
    match (v, args) {
        (_, []) if name == "size" => size(v),
        (Value::Str(t), _) => of_string(name, t, args),
        (Value::List(l), _) => of_list(name, &l.iter().cloned().collect::<Vec<_>>(), args),
        (Value::Float(s), []) => match name {
            "getSeconds" => Ok(Value::Int(*s as i64)),
            "getMinutes" => Ok(Value::Int((*s / 60.0) as i64)),
            "getHours" => Ok(Value::Int((*s / 3600.0) as i64)),
            _ => Err(no_overload(name)),
        },
        _ => Err(no_overload(name)),
    }
}

fn of_string(name: &str, t: &str, args: &[Value]) -> Answer {
    let chars = |from: i64, to: i64| -> Answer {
        let n = t.chars().count() as i64;
        if from < 0 || to < from || to > n {
            return Err(format!("index out of range: {}", if from < 0 || from > n { from } else { to }));
        }
        Ok(Value::str(t.chars().skip(from as usize).take((to - from) as usize).collect::<String>()))
    };
    let place = |at: Option<usize>| at.map_or(-1, |i| t[..i].chars().count() as i64);
    let compare = |o: &Value| -> Result<core::cmp::Ordering, String> {
        match (Quantity::parse(t).ok(), quantity(o)) {
            (Some(a), Some(b)) => Ok(a.nanos().cmp(&b.nanos())),
            _ => Err(no_overload(name)),
        }
    };
    match (name, args) {
        ("matches", [Value::Str(p)]) => Ok(Value::Bool(regex(name, p)?.is_match(t))),
        ("find", [Value::Str(p)]) => Ok(Value::str(regex(name, p)?.find(t).map_or("", |m| m.as_str()))),
        ("findAll", [Value::Str(p)]) => {
            Ok(regex(name, p)?.find_iter(t).map(|m| Value::str(m.as_str())).collect())
        }
        ("startsWith", [Value::Str(p)]) => Ok(Value::Bool(t.starts_with(p.as_str()))),
        ("endsWith", [Value::Str(p)]) => Ok(Value::Bool(t.ends_with(p.as_str()))),
        ("contains", [Value::Str(p)]) => Ok(Value::Bool(t.contains(p.as_str()))),
        ("lowerAscii", []) => Ok(Value::str(t.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Value::str(t.to_ascii_uppercase())),
        ("trim", []) => Ok(Value::str(t.trim())),
        ("charAt", [Value::Int(i)]) => chars(*i, i.saturating_add(1)),
        ("substring", [Value::Int(a)]) => chars(*a, t.chars().count() as i64),
        ("substring", [Value::Int(a), Value::Int(b)]) => chars(*a, *b),
        ("indexOf", [Value::Str(p)]) => Ok(Value::Int(place(t.find(p.as_str())))),
        ("lastIndexOf", [Value::Str(p)]) => Ok(Value::Int(place(t.rfind(p.as_str())))),
        ("replace", [Value::Str(a), Value::Str(b)]) => {
            bounded(t.matches(a.as_str()).count().saturating_mul(b.len()).saturating_add(t.len()))?;
            Ok(Value::str(t.replace(a.as_str(), b)))
        }
        ("replace", [Value::Str(a), Value::Str(b), Value::Int(n)]) => {
            bounded(t.matches(a.as_str()).count().saturating_mul(b.len()).saturating_add(t.len()))?;
            Ok(Value::str(t.replacen(a.as_str(), b, usize::try_from(*n).unwrap_or(usize::MAX))))
        }
        ("split", [Value::Str(p)]) => Ok(t.split(p.as_str()).map(Value::str).collect()),
        ("format", [Value::List(l)]) => {
            bounded(l.iter().map(|v| text(v).len()).fold(t.len(), usize::saturating_add))?;
            Ok(Value::str(format(t, l.iter())))
        }
        ("isLessThan", [o]) => Ok(Value::Bool(compare(o)?.is_lt())),
        ("isGreaterThan", [o]) => Ok(Value::Bool(compare(o)?.is_gt())),
        ("compareTo", [o]) => Ok(Value::Int(compare(o)? as i64)),
        ("isInteger", []) => {
            Ok(Value::Bool(Quantity::parse(t).is_ok_and(|q| q.nanos() % 1_000_000_000 == 0)))
        }
        ("asInteger", []) => match Quantity::parse(t) {
            Ok(q) => Ok(Value::Int((q.nanos() / 1_000_000_000) as i64)),
            Err(_) => Err(no_overload(name)),
        },
        ("validate", []) => Err(no_overload(name)),
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getHours" | "getMinutes"
            | "getSeconds",
            [],
        ) => time_part(name, t),
        _ if name == "isDNS1123Label" => Ok(Value::Bool(names::dns_label(t).is_empty())),
        _ => Err(no_overload(name)),
    }
}

/// Numbers of a time in UTC, out of its RFC 3339 text.
fn time_part(name: &str, t: &str) -> Answer {
    let civil = Civil::parse(t).ok_or_else(|| no_overload(name))?.rfc3339();
    let part = |from: usize, to: usize| civil.get(from..to).and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
    Ok(Value::Int(match name {
        "getFullYear" => part(0, 4),
        "getMonth" => part(5, 7) - 1,
        "getDate" => part(8, 10),
        "getDayOfMonth" => part(8, 10) - 1,
        "getHours" => part(11, 13),
        "getMinutes" => part(14, 16),
        _ => part(17, 19),
    }))
}

fn format<'a>(t: &str, mut args: impl Iterator<Item = &'a Value>) -> String {
    let mut out = String::new();
    let mut chars = t.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, true) => match chars.next() {
                Some('%') => out.push('%'),
                Some(_) => out.push_str(&args.next().map(text).unwrap_or_default()),
                None => out.push('%'),
            },
            (c, _) => out.push(c),
        }
    }
    out
}

fn of_list(name: &str, l: &[Value], args: &[Value]) -> Answer {
    match (name, args) {
        ("isSorted", []) => {
            for w in l.windows(2) {
                if super::binary("<=", &w[0], &w[1])? != Value::Bool(true) {
                    return Ok(Value::Bool(false));
                }
            }
            Ok(Value::Bool(true))
        }
        ("sum", []) => {
            let mut total = Value::Int(0);
            for v in l {
                total = super::binary("+", &total, v)?;
            }
            Ok(total)
        }
        ("min" | "max", []) => extreme(name == "max", l),
        ("indexOf", [x]) => Ok(Value::Int(l.iter().position(|v| v == x).map_or(-1, |i| i as i64))),
        ("lastIndexOf", [x]) => Ok(Value::Int(l.iter().rposition(|v| v == x).map_or(-1, |i| i as i64))),
        ("join", []) => of_list(name, l, &[Value::str("")]),
        ("join", _) if l.iter().any(|v| v.as_str().is_none()) => Err(no_overload(name)),
        ("join", [Value::Str(sep)]) => {
            let size = |v: &Value| v.as_str().map_or(0, str::len).saturating_add(sep.len());
            bounded(l.iter().map(size).fold(0, usize::saturating_add))?;
            Ok(Value::str(l.iter().map(text).collect::<Vec<_>>().join(sep)))
        }
        ("reverse", []) => Ok(l.iter().rev().cloned().collect()),
        ("distinct", []) => {
            let mut out: Vec<Value> = Vec::new();
            for v in l {
                if !out.contains(v) {
                    out.push(v.clone());
                }
            }
            Ok(Value::from(out))
        }
        _ => Err(no_overload(name)),
    }
}

fn size(v: &Value) -> Answer {
    match v {
        Value::Str(t) => Ok(Value::from(t.chars().count())),
        Value::List(_) | Value::Map(_) => Ok(Value::from(v.len())),
        _ => Err(no_overload("size")),
    }
}
