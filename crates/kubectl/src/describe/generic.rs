//! Kinds without a page of their own: every field, named by words.

use super::{Describer, W};
use crate::cx::Done;
use crate::resource::Info;
use api::{Value, gofmt};

/// Fields of a path that the page's head shows already.
const SHOWN: [&str; 5] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.labels",
    "metadata.annotations",
    "metadata.managedFields",
];

pub(super) fn object(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    fields(w, 0, v, "");
    d.write_events(w, i)
}

fn fields(w: &mut W, level: usize, v: &Value, path: &str) {
    for (k, x) in v.entries() {
        let here = if path.is_empty() { k.to_string() } else { format!("{path}.{k}") };
        if SHOWN.contains(&here.as_str()) {
            continue;
        }
        let label = label(k);
        match x {
            Value::Map(_) => {
                w.line(level, format!("{label}:"));
                fields(w, level + 1, x, &here);
            }
            Value::List(l) => {
                w.line(level, format!("{label}:"));
                for item in l.iter() {
                    match item {
                        Value::Map(_) => fields(w, level + 1, item, &here),
                        item => w.line(level + 1, gofmt::value(item)),
                    }
                }
            }
            x => w.field(level, &label, gofmt::value(x)),
        }
    }
}

/// `creationTimestamp` as `Creation Timestamp`; names with other characters stay.
fn label(field: &str) -> String {
    if !field.chars().all(|c| c.is_alphabetic() || c == '-') {
        return field.to_owned();
    }
    let chars: Vec<char> = field.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let class = |c: char| {
        if c.is_lowercase() {
            1
        } else if c.is_uppercase() {
            2
        } else {
            3
        }
    };
    for (i, c) in chars.iter().enumerate() {
        let new = match i {
            0 => true,
            _ => {
                let before = class(chars[i - 1]);
                let next_lower = chars.get(i + 1).is_some_and(|n| n.is_lowercase());
                match (before, class(*c)) {
                    (2, 1) => false,
                    (2, 2) => next_lower,
                    (a, b) => a != b,
                }
            }
        };
        if new {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut() {
            last.push(*c);
        }
    }
    let acronym = |s: &str| matches!(s, "API" | "URL" | "UID" | "OSB" | "GUID");
    let shown: Vec<String> = words
        .iter()
        .map(|p| {
            let upper = p.to_uppercase();
            if acronym(&upper) {
                return upper;
            }
            let mut cs = p.chars();
            cs.next().map_or_else(String::new, |f| f.to_uppercase().chain(cs).collect())
        })
        .collect();
    shown.join(" ")
}
