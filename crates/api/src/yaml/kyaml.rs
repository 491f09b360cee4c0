//! Values as KYAML (`-o kyaml`): flow style in which every string is quoted. Models: `sigs.k8s.io/yaml/kyaml`.

use super::emit::escape;
use super::resolve::{self, Scalar};
use crate::Value;

/// One document with its leading separator, ending with a newline.
pub fn emit(v: &Value) -> String {
    let mut out = String::from("---\n");
    value(&mut out, v, 0);
    out.push('\n');
    out
}

fn pad(out: &mut String, n: usize) {
    out.extend(core::iter::repeat_n(' ', n));
}

fn value(out: &mut String, v: &Value, indent: usize) {
    match v {
        Value::Map(m) if !m.is_empty() => {
            out.push_str("{\n");
            for (k, v) in m.iter() {
                pad(out, indent + 2);
                key(out, k, indent + 2);
                out.push_str(": ");
                value(out, v, indent + 2);
                out.push_str(",\n");
            }
            pad(out, indent);
            out.push('}');
        }
        Value::List(l) if !l.is_empty() => {
            // Lists of containers only keep their brackets together.
            let cuddled = l.iter().all(|v| matches!(v, Value::Map(_) | Value::List(_)));
            out.push('[');
            for (i, v) in l.iter().enumerate() {
                if cuddled {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    value(out, v, indent);
                } else {
                    out.push('\n');
                    pad(out, indent + 2);
                    value(out, v, indent + 2);
                    out.push(',');
                }
            }
            if !cuddled {
                out.push('\n');
                pad(out, indent);
            }
            out.push(']');
        }
        Value::Str(s) => string(out, s, indent),
        Value::Map(_) => out.push_str("{}"),
        Value::List(_) => out.push_str("[]"),
        v => out.push_str(&v.to_json()),
    }
}

fn key(out: &mut String, k: &str, indent: usize) {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let safe = edge(k.chars().next()) && edge(k.chars().last()) && k.chars().all(inner);
    let lower = k.to_ascii_lowercase();
    let ambiguous = resolve::plain(k, true) != Scalar::Str
        || resolve::is_base60(k)
        || matches!(
            lower.as_str(),
            "y" | "n"
                | "t"
                | "f"
                | "yes"
                | "no"
                | "on"
                | "off"
                | "true"
                | "false"
                | "null"
                | "nan"
                | "inf"
                | "infinity"
        );
    if safe && !ambiguous {
        out.push_str(k);
    } else {
        let at = out.len();
        string(out, k, indent);
        // Keys escape what values keep.
        if out[at..].contains('\t') {
            let quoted = out.split_off(at).replace('\t', "\\t");
            out.push_str(&quoted);
        }
    }
}

fn string(out: &mut String, s: &str, indent: usize) {
    out.push('"');
    if !s.contains('\n') {
        s.chars().for_each(|c| character(out, c));
        out.push('"');
        return;
    }
    out.push_str("\\\n");
    for line in s.split_inclusive('\n') {
        let (text, newline) = match line.strip_suffix('\n') {
            Some(t) => (t, true),
            None => (line, false),
        };
        pad(out, indent + 2);
        // A line that begins with a blank needs it escaped, or folding would eat it.
        out.push(if text.starts_with([' ', '\t']) { '\\' } else { ' ' });
        text.chars().for_each(|c| character(out, c));
        out.push_str(if newline { "\\n\\\n" } else { "\\\n" });
    }
    pad(out, indent + 2);
    out.push('"');
}

fn character(out: &mut String, c: char) {
    match c {
        '\t' => out.push('\t'),
        '"' | '\\' | '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' => out.push_str(&escape(c)),
        '\u{feff}' => out.push_str("\\ufeff"),
        c if c.is_control() => out.push_str(
            &escape(c).to_ascii_lowercase().replace("\\n", if c == '\u{85}' { "\\N" } else { "\\n" }),
        ),
        c => out.push(c),
    }
}
