//! JSON text, read and printed as Go's `encoding/json` does, with its error texts.

use crate::{Key, List, Map, Value};
use core::fmt;
use sim::Limits;
use smol_str::SmolStr;

/// Why a text is no JSON, in the words of Go's `encoding/json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The message.
    pub message: String,
    /// Where, in bytes from the start.
    pub offset: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

/// What a parse met besides the value: keys that occurred twice in one object, as paths.
type Duplicates = Vec<String>;

/// Reads one JSON text. The last of equal keys wins; their dotted paths are given beside the value.
pub fn parse(text: &str) -> Result<(Value, Duplicates), JsonError> {
    let mut p = Parser::new(text);
    let v = p.document()?;
    Ok((v, p.duplicates))
}

/// Paths of all keys of a JSON text in the order in which they stand there; repeated where a key is repeated. Strict
/// decoding tells its findings in that order.
pub fn key_paths(text: &str) -> Vec<String> {
    let mut p = Parser::new(text);
    p.keys = Some(Vec::new());
    let _ = p.document();
    p.keys.unwrap_or_default()
}

struct Parser<'a> {
    s: &'a [u8],
    text: &'a str,
    i: usize,
    duplicates: Duplicates,
    path: Vec<String>,
    /// Paths of the keys met, where someone wants them.
    keys: Option<Vec<String>>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser { s: text.as_bytes(), text, i: 0, duplicates: Vec::new(), path: Vec::new(), keys: None }
    }

    fn document(&mut self) -> Result<Value, JsonError> {
        let v = self.value(0)?;
        self.blanks();
        if self.i < self.s.len() {
            return Err(self.unexpected("after top-level value"));
        }
        Ok(v)
    }

    fn blanks(&mut self) {
        while self.s.get(self.i).is_some_and(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r')) {
            self.i += 1;
        }
    }

    fn error(&self, message: String) -> JsonError {
        JsonError { message, offset: self.i }
    }

    fn unexpected(&self, context: &str) -> JsonError {
        match self.text[floor(self.text, self.i)..].chars().next() {
            None => self.error("unexpected end of JSON input".into()),
            Some(c) => self.error(format!("invalid character {} {context}", quote(c))),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > Limits::TABLE.nesting_max {
            return Err(self.error("exceeded max depth".into()));
        }
        self.blanks();
        match self.s.get(self.i) {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Value::Str(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn word(&mut self, word: &'static str, v: Value) -> Result<Value, JsonError> {
        for (n, c) in word.bytes().enumerate() {
            if self.s.get(self.i) != Some(&c) {
                let context = format!("in literal {word} (expecting {})", quote(c as char));
                debug_assert!(n > 0);
                return Err(self.unexpected(&context));
            }
            self.i += 1;
        }
        Ok(v)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.i;
        let digits = |p: &mut Self| {
            let from = p.i;
            while p.s.get(p.i).is_some_and(u8::is_ascii_digit) {
                p.i += 1;
            }
            p.i > from
        };
        if self.s[self.i] == b'-' {
            self.i += 1;
        }
        if self.s.get(self.i) == Some(&b'0') {
            self.i += 1;
        } else if !digits(self) {
            return Err(self.unexpected("in numeric literal"));
        }
        let mut float = false;
        if self.s.get(self.i) == Some(&b'.') {
            float = true;
            self.i += 1;
            if !digits(self) {
                return Err(self.unexpected("after decimal point in numeric literal"));
            }
        }
        if matches!(self.s.get(self.i), Some(b'e' | b'E')) {
            float = true;
            self.i += 1;
            if matches!(self.s.get(self.i), Some(b'+' | b'-')) {
                self.i += 1;
            }
            if !digits(self) {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
        }
        let text = &self.text[start..self.i];
        if !float && let Ok(i) = text.parse() {
            return Ok(Value::Int(i));
        }
        match text.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(Value::Float(f)),
            _ => {
                Err(self.error(format!("json: cannot unmarshal number {text} into Go value of type float64")))
            }
        }
    }

    fn string(&mut self) -> Result<SmolStr, JsonError> {
        self.i += 1;
        let start = self.i;
        loop {
            match self.s.get(self.i) {
                None => return Err(self.error("unexpected end of JSON input".into())),
                Some(b'"') => {
                    let s = SmolStr::new(&self.text[start..self.i]);
                    self.i += 1;
                    return Ok(s);
                }
                Some(b'\\') => break,
                Some(c) if *c < 0x20 => return Err(self.unexpected("in string literal")),
                Some(_) => self.i += 1,
            }
        }
        let mut out = String::from(&self.text[start..self.i]);
        loop {
            let from = self.i;
            while self.s.get(self.i).is_some_and(|c| *c >= 0x20 && *c != b'"' && *c != b'\\') {
                self.i += 1;
            }
            out.push_str(&self.text[from..self.i]);
            match self.s.get(self.i) {
                None => return Err(self.error("unexpected end of JSON input".into())),
                Some(b'"') => {
                    self.i += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => {
                    self.i += 1;
                    self.escape(&mut out)?;
                }
                Some(_) => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), JsonError> {
        let c = match self.s.get(self.i) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.i += 1;
                let hi = self.hex4()?;
                let c = if (0xd800..0xdc00).contains(&hi) && self.s[self.i..].starts_with(b"\\u") {
                    let back = self.i;
                    self.i += 2;
                    let lo = self.hex4()?;
                    if (0xdc00..0xe000).contains(&lo) {
                        char::from_u32(0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00))
                    } else {
                        self.i = back;
                        None
                    }
                } else {
                    char::from_u32(hi)
                };
                out.push(c.unwrap_or('\u{fffd}'));
                return Ok(());
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.i += 1;
        out.push(c);
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut v = 0;
        for _ in 0..4 {
            match self.s.get(self.i).and_then(|c| (*c as char).to_digit(16)) {
                Some(d) => v = v * 16 + d,
                None => return Err(self.unexpected("in \\u hexadecimal character escape")),
            }
            self.i += 1;
        }
        Ok(v)
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.i += 1;
        let mut items: Vec<Value> = Vec::new();
        self.blanks();
        if self.s.get(self.i) == Some(&b']') {
            self.i += 1;
            return Ok(Value::list());
        }
        loop {
            self.path.push(format!("[{}]", items.len()));
            items.push(self.value(depth + 1)?);
            self.path.pop();
            self.blanks();
            match self.s.get(self.i) {
                Some(b',') => self.i += 1,
                Some(b']') => {
                    self.i += 1;
                    return Ok(Value::from(items));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.i += 1;
        let mut entries: Vec<(Key, Value)> = Vec::new();
        self.blanks();
        if self.s.get(self.i) == Some(&b'}') {
            self.i += 1;
            return Ok(Value::map());
        }
        let mut sorted = true;
        loop {
            self.blanks();
            if self.s.get(self.i) != Some(&b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = Key::new(&self.string()?);
            self.blanks();
            if self.s.get(self.i) != Some(&b':') {
                return Err(self.unexpected("after object key"));
            }
            self.i += 1;
            self.path.push(key.as_str().to_owned());
            if let Some(keys) = &mut self.keys {
                keys.push(dotted(&self.path));
            }
            let v = self.value(depth + 1)?;
            let path = if entries.iter().any(|(k, _)| *k == key) { Some(dotted(&self.path)) } else { None };
            self.path.pop();
            if let Some(path) = path
                && !self.duplicates.contains(&path)
            {
                self.duplicates.push(path);
            }
            sorted &= entries.last().is_none_or(|(k, _)| *k < key);
            entries.push((key, v));
            self.blanks();
            match self.s.get(self.i) {
                Some(b',') => self.i += 1,
                Some(b'}') => {
                    self.i += 1;
                    let _ = sorted;
                    return Ok(Value::Map(entries.into_iter().collect::<Map>()));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }
}

fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for p in path {
        if !out.is_empty() && !p.starts_with('[') {
            out.push('.');
        }
        out.push_str(p);
    }
    out
}

fn floor(s: &str, mut i: usize) -> usize {
    i = i.min(s.len());
    while !s.is_char_boundary(i) {
        i -= 1;
    }
    i
}

/// A character as Go's `%q`-like helper of encoding/json prints it.
fn quote(c: char) -> String {
    match c {
        '\'' => r"'\''".into(),
        '"' => "'\"'".into(),
        '\n' => r"'\n'".into(),
        '\t' => r"'\t'".into(),
        '\r' => r"'\r'".into(),
        c if (c as u32) < 0x20 => format!("'\\x{:02x}'", c as u32),
        c => format!("'{c}'"),
    }
}

/// Prints a float as Go's `encoding/json` does: shortest digits, exponent form below 1e-6 and from 1e21.
pub(crate) fn float(f: f64) -> String {
    let a = f.abs();
    if a != 0.0 && !(1e-6..1e21).contains(&a) {
        let s = format!("{f:e}");
        // Go writes e-07 as e-7 and e+21 with its sign.
        match s.split_once('e') {
            Some((m, e)) if !e.starts_with('-') => format!("{m}e+{e}"),
            _ => s,
        }
    } else {
        format!("{f}")
    }
}

/// Appends a JSON string.
pub(crate) fn string(out: &mut String, s: &str) {
    out.push('"');
    // Nearly every text needs no escape. 0xe2 begins the two line separators that do.
    if !s.bytes().any(|b| b < 0x20 || matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)) {
        out.push_str(s);
        out.push('"');
        return;
    }
    let mut from = 0;
    for (i, c) in s.char_indices() {
        let esc: &str = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            c if (c as u32) < 0x20 => {
                out.push_str(&s[from..i]);
                out.push_str(&format!("\\u{:04x}", c as u32));
                from = i + 1;
                continue;
            }
            _ => continue,
        };
        out.push_str(&s[from..i]);
        out.push_str(esc);
        from = i + c.len_utf8();
    }
    out.push_str(&s[from..]);
    out.push('"');
}

fn scalar(out: &mut String, v: &Value) {
    match v {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(i) => out.push_str(&i.to_string()),
        Value::Float(f) => out.push_str(&float(*f)),
        Value::Str(s) => string(out, s),
        Value::List(_) | Value::Map(_) => unreachable!("containers are printed by the caller"),
    }
}

pub(crate) fn compact(v: &Value) -> String {
    let mut out = String::new();
    write_compact(&mut out, v);
    out
}

fn write_compact(out: &mut String, v: &Value) {
    match v {
        Value::List(l) => {
            out.push('[');
            for (i, v) in List::iter(l).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_compact(out, v);
            }
            out.push(']');
        }
        Value::Map(m) => {
            out.push('{');
            for (i, (k, v)) in m.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                string(out, k);
                out.push(':');
                write_compact(out, v);
            }
            out.push('}');
        }
        v => scalar(out, v),
    }
}

pub(crate) fn pretty(v: &Value) -> String {
    let mut out = String::new();
    write_pretty(&mut out, v, 0);
    out
}

fn write_pretty(out: &mut String, v: &Value, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(core::iter::repeat_n("    ", depth));
    };
    match v {
        Value::List(l) if !l.is_empty() => {
            out.push('[');
            for (i, v) in l.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                write_pretty(out, v, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Map(m) if !m.is_empty() => {
            out.push('{');
            for (i, (k, v)) in m.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                string(out, k);
                out.push_str(": ");
                write_pretty(out, v, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
        v => scalar(out, v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_s_words() {
        let err = |s| parse(s).unwrap_err().message;
        assert_eq!(err("{"), "unexpected end of JSON input");
        assert_eq!(err("{a"), "invalid character 'a' looking for beginning of object key string");
        assert_eq!(err("[1 2]"), "invalid character '2' after array element");
        assert_eq!(err("trUe"), "invalid character 'U' in literal true (expecting 'u')");
        assert_eq!(err("{} x"), "invalid character 'x' after top-level value");
        assert_eq!(err("not json"), "invalid character 'o' in literal null (expecting 'u')");
        assert_eq!(err("\"\\x\""), "invalid character 'x' in string escape code");
        let (v, d) = parse(r#"{"a":{"b":1,"b":[1.5,1e30,-3,"\u00e9\ud83d\ude00<"]}}"#).unwrap();
        assert_eq!(d, ["a.b"]);
        assert_eq!(v.to_json(), "{\"a\":{\"b\":[1.5,1e+30,-3,\"é😀\\u003c\"]}}");
        let deep = "[".repeat(100_000);
        assert_eq!(err(&deep), "exceeded max depth");
    }
}
