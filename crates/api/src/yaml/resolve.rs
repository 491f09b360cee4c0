//! Plain scalars to values, by YAML 1.1 as go-yaml v2 has it.

use crate::Value;

/// What a scalar resolves to, with its short tag.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Uint(u64),
    Float(f64),
    Str,
    /// Printed as a string all the same.
    Timestamp,
}

impl Scalar {
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Scalar::Null => "!!null",
            Scalar::Bool(_) => "!!bool",
            Scalar::Int(_) | Scalar::Uint(_) => "!!int",
            Scalar::Float(_) => "!!float",
            Scalar::Str => "!!str",
            Scalar::Timestamp => "!!timestamp",
        }
    }

    pub(super) fn into_value(self, text: &str) -> Value {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(i) => Value::Int(i),
            Scalar::Uint(u) => Value::Float(u as f64),
            Scalar::Float(f) => number(f),
            Scalar::Str | Scalar::Timestamp => Value::str(text),
        }
    }
}

/// A float as it comes out of JSON: whole ones that fit are integers.
pub(super) fn number(f: f64) -> Value {
    if f == f.trunc() && f.abs() < 9.2e18 { Value::Int(f as i64) } else { Value::Float(f) }
}

/// Resolves a plain scalar. `timestamps` is false where an explicit tag rules them out.
pub(super) fn plain(text: &str, timestamps: bool) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match first {
        b'.' => go_float(text).map_or(Scalar::Str, Scalar::Float),
        b'0'..=b'9' | b'+' | b'-' => numeric(text, timestamps),
        _ => Scalar::Str,
    }
}

fn numeric(text: &str, timestamps: bool) -> Scalar {
    if timestamps && is_timestamp(text) {
        return Scalar::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(i) = go_int(&plain) {
        return i64::try_from(i)
            .map_or_else(|_| u64::try_from(i).map_or(Scalar::Float(i as f64), Scalar::Uint), Scalar::Int);
    }
    if yaml_float(&plain)
        && let Some(f) = go_float(&plain)
    {
        return Scalar::Float(f);
    }
    Scalar::Str
}

/// Go's `ParseInt(s, 0, 64)` or, without a sign, `ParseUint`.
fn go_int(s: &str) -> Option<i128> {
    let (negative, digits) = match s.as_bytes().first()? {
        b'-' => (true, &s[1..]),
        b'+' => (false, &s[1..]),
        _ => (false, s),
    };
    let lower = |p: &str| digits.get(..2).is_some_and(|d| d.eq_ignore_ascii_case(p));
    let (radix, digits) = if lower("0x") {
        (16, &digits[2..])
    } else if lower("0o") {
        (8, &digits[2..])
    } else if lower("0b") {
        (2, &digits[2..])
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let v = i128::from_str_radix(digits, radix).ok()?;
    let v = if negative { -v } else { v };
    let signed = s.starts_with(['-', '+']);
    let max = if signed { i128::from(i64::MAX) } else { i128::from(u64::MAX) };
    (v >= i128::from(i64::MIN) && v <= max).then_some(v)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn yaml_float(s: &str) -> bool {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let s = s.strip_prefix(['-', '+']).unwrap_or(s);
    let whole = digits(s);
    let mut rest = &s[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let n = digits(fraction);
        if whole == 0 && n == 0 {
            return false;
        }
        rest = &fraction[n..];
    } else if whole == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        Some(e) => {
            let e = e.strip_prefix(['-', '+']).unwrap_or(e);
            !e.is_empty() && digits(e) == e.len()
        }
        None => rest.is_empty(),
    }
}

/// Go's `ParseFloat`: out of range is an error.
fn go_float(s: &str) -> Option<f64> {
    s.parse::<f64>().ok().filter(|f| f.is_finite())
}

/// The date forms that go-yaml tries, beginning with four digits and a dash.
fn is_timestamp(s: &str) -> bool {
    let b = s.as_bytes();
    if b.len() < 8 || !b[..4].iter().all(u8::is_ascii_digit) || b[4] != b'-' {
        return false;
    }
    let digits = |i: usize| b[i..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut i = 5;
    for sep in [b'-', 0] {
        let n = digits(i);
        if !(1..=2).contains(&n) {
            return false;
        }
        i += n;
        if sep != 0 {
            if b.get(i) != Some(&sep) {
                return false;
            }
            i += 1;
        }
    }
    // A bare date has two digits each.
    if i == b.len() {
        return b.len() == 10;
    }
    match b[i] {
        b'T' | b't' => i += 1,
        b' ' => i += 1,
        _ => return false,
    }
    for (n, sep) in [b':', b':', 0].into_iter().enumerate() {
        let d = digits(i);
        if d != 2 && !(n == 0 && d == 1) {
            return false;
        }
        i += d;
        if sep != 0 {
            if b.get(i) != Some(&sep) {
                return false;
            }
            i += 1;
        }
    }
    if b.get(i) == Some(&b'.') {
        i += 1;
        let d = digits(i);
        if d == 0 {
            return false;
        }
        i += d;
    }
    let zone = s[i..].trim_start();
    zone.is_empty()
        || zone == "Z"
        || (zone.starts_with(['+', '-'])
            && zone.len() >= 2
            && zone[1..].bytes().all(|c| c.is_ascii_digit() || c == b':'))
}

/// Whether go-yaml quotes a string because others may read a number in base 60.
pub(super) fn is_base60(s: &str) -> bool {
    let rest = s.strip_prefix(['-', '+']).unwrap_or(s);
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut parts = rest.split(':');
    let head = parts.next().unwrap_or("");
    if !head.bytes().all(|c| c.is_ascii_digit() || c == b'_') {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let sixty = |s: &str| match s.as_bytes() {
        [d] => d.is_ascii_digit(),
        [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
        _ => false,
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    middle.iter().all(|s| sixty(s))
        && sixty(last)
        && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
}
