//! Small text helpers that the shell and the userland share.

/// Which backslash escapes are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Escapes {
    /// `echo -e` and `printf %b`: octal as `\0NNN`.
    Echo,
    /// A `printf` format: octal as `\NNN`.
    Printf,
    /// `$'…'`
    Ansi,
}

/// Replaces backslash escapes. The flag tells that `\c` ended the output.
pub fn unescape(s: &str, kind: Escapes) -> (Vec<u8>, bool) {
    let b = s.as_bytes();
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while let Some(&c) = b.get(i) {
        i += 1;
        if c != b'\\' {
            out.push(c);
            continue;
        }
        let Some(&e) = b.get(i) else {
            out.push(b'\\');
            break;
        };
        i += 1;
        let simple = match e {
            b'a' => Some(7),
            b'b' => Some(8),
            b'e' => Some(27),
            b'f' => Some(12),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'v' => Some(11),
            b'\\' => Some(b'\\'),
            b'\'' if kind == Escapes::Ansi => Some(b'\''),
            b'"' if kind != Escapes::Echo => Some(b'"'),
            _ => None,
        };
        if let Some(x) = simple {
            out.push(x);
            continue;
        }
        match e {
            b'c' if kind != Escapes::Ansi => return (out, true),
            b'x' => {
                let n = b.iter().skip(i).take(2).take_while(|d| d.is_ascii_hexdigit()).count();
                let hex = s.get(i..i + n).unwrap_or_default();
                match u8::from_str_radix(hex, 16) {
                    Ok(v) => out.push(v),
                    Err(_) => out.extend(b"\\x"),
                }
                i += n;
            }
            b'0'..=b'7' => {
                // `\0NNN` takes three digits after the zero for echo, `\NNN` three in all.
                let start = if kind == Escapes::Echo && e == b'0' { i } else { i - 1 };
                let n = b.iter().skip(start).take(3).take_while(|d| (b'0'..=b'7').contains(d)).count();
                let oct = s.get(start..start + n).unwrap_or_default();
                out.push(u32::from_str_radix(oct, 8).unwrap_or(0) as u8);
                i = start + n;
            }
            _ => {
                out.push(b'\\');
                out.push(e);
            }
        }
    }
    (out, false)
}

/// A number with an optional sign, decimal, octal (`0…`) or hexadecimal (`0x…`).
pub fn parse_number(s: &str) -> Option<i64> {
    let t = s.trim();
    let (neg, t) = match t.strip_prefix('-') {
        Some(r) => (true, r),
        None => (false, t.strip_prefix('+').unwrap_or(t)),
    };
    let v = if let Some(h) = t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")) {
        i64::from_str_radix(h, 16).ok()?
    } else if t.len() > 1 && t.starts_with('0') {
        i64::from_str_radix(t, 8).ok()?
    } else {
        if t.starts_with(['+', '-']) {
            return None;
        }
        t.parse().ok()?
    };
    Some(if neg { v.wrapping_neg() } else { v })
}

/// A text in single quotes if it needs them, as `set` and `set -x` print it.
pub fn quote(s: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+,-./:@]^_".contains(c);
    if !s.is_empty() && s.chars().all(plain) { s.to_string() } else { quote_always(s) }
}

/// A text in single quotes.
pub fn quote_always(s: &str) -> String {
    let mut out = String::from("'");
    for (i, part) in s.split('\'').enumerate() {
        if i > 0 {
            out.push_str("'\"'\"'");
        }
        out.push_str(part);
    }
    out.push('\'');
    out
}
