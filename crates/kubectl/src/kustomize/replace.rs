//! `replacements`: a value of one object in fields of others.

use super::patches::chosen;
use super::{Item, fail, text};
use crate::cx::{Cx, Done};
use api::Value;

/// Carries out all replacements.
pub fn run(cx: &mut Cx<'_>, dir: &str, k: &Value, all: &mut [Item]) -> Done {
    let mut list: Vec<Value> = Vec::new();
    for r in k.get("replacements").items() {
        match r.get("path").text() {
            "" => list.push(r.clone()),
            path => match text(cx, dir, path)? {
                Ok(t) => {
                    for d in api::yaml::parse_all(&t).0 {
                        match d {
                            Value::List(_) => list.extend(d.items().cloned()),
                            d => list.push(d),
                        }
                    }
                }
                Err(e) => return fail(e),
            },
        }
    }
    for r in &list {
        one(r, all)?;
    }
    Ok(())
}

fn one(r: &Value, all: &mut [Item]) -> Done {
    let source = r.get("source");
    let mut found = Vec::new();
    for i in all.iter() {
        if chosen(source, i)? {
            found.push(i);
        }
    }
    let Some(first) = found.first() else {
        return fail(format!("nothing selected by {}", shown(source)));
    };
    if found.len() > 1 {
        return fail(format!("multiple matches for selector {}", shown(source)));
    }
    let path = match source.get("fieldPath").text() {
        "" => "metadata.name",
        p => p,
    };
    let Some(mut value) = get(&first.value, &split(path)).cloned() else {
        return fail(format!("fieldPath `{path}` is missing for replacement source {}", first.id()));
    };
    let options = source.get("options");
    if !options.get("delimiter").text().is_empty() {
        let text = api::gofmt::value(&value);
        let part = text.split(options.get("delimiter").text()).nth(options.get("index").int() as usize);
        let Some(part) = part else {
            return fail(format!(
                "options.index {} is out of bounds for value {text}",
                options.get("index").int()
            ));
        };
        value = Value::str(part);
    }
    for t in r.get("targets").items() {
        for i in all.iter_mut() {
            let mut rejected = false;
            for x in t.get("reject").items() {
                rejected |= chosen(x, i)?;
            }
            if rejected || !chosen(t.get("select"), i)? {
                continue;
            }
            for p in t.get("fieldPaths").items() {
                let parts = split(p.text());
                if !put(&mut i.value, &parts, &value, t.get("options")) {
                    return fail(format!(
                        "unable to find field {} in replacement target",
                        api::gofmt::quote(p.text())
                    ));
                }
            }
        }
    }
    Ok(())
}

fn shown(source: &Value) -> String {
    let part = |k: &str, none: &str| match source.get(k).text() {
        "" => none.to_owned(),
        t => t.to_owned(),
    };
    format!(
        "{}.{}.{}/{}.{}",
        part("kind", "[noKind]"),
        part("version", "[noVer]"),
        part("group", "[noGrp]"),
        part("name", "[noName]"),
        part("namespace", "[noNs]")
    )
}

/// The parts of a path: dots between, those in brackets or behind a backslash are no ends.
fn split(path: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut depth, mut escaped) = (0, false);
    for c in path.chars() {
        let last = out.len() - 1;
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' if depth == 0 && !escaped => out.push(String::new()),
            _ => {
                depth += i32::from(c == '[') - i32::from(c == ']');
                out[last].push(c);
            }
        }
        escaped = false;
    }
    out.retain(|p| !p.is_empty());
    out.iter()
        .map(|p| match p.strip_prefix('[').and_then(|p| p.strip_suffix(']')) {
            Some(inner) if !inner.contains('=') => inner.to_owned(),
            _ => p.clone(),
        })
        .collect()
}

/// The indices of a list that a part names.
fn indices(list: &Value, part: &str) -> Vec<usize> {
    if part == "*" {
        return (0..list.len()).collect();
    }
    if let Some((k, x)) = part.trim_matches(['[', ']']).split_once('=') {
        let fits = |v: &Value| if k.is_empty() { v.text() == x } else { api::gofmt::value(v.get(k)) == x };
        return list.items().enumerate().filter(|(_, v)| fits(v)).map(|(n, _)| n).collect();
    }
    part.parse().ok().filter(|n| *n < list.len()).into_iter().collect()
}

fn get<'a>(v: &'a Value, path: &[String]) -> Option<&'a Value> {
    let Some((first, rest)) = path.split_first() else { return Some(v) };
    match v {
        Value::List(_) => get(v.items().nth(*indices(v, first).first()?)?, rest),
        _ => Some(v.get(first)).filter(|x| x.is_some()).and_then(|x| get(x, rest)),
    }
}

/// Sets a field; false where it is not there and may not be made.
fn put(v: &mut Value, path: &[String], new: &Value, options: &Value) -> bool {
    let Some((first, rest)) = path.split_first() else {
        let delimiter = options.get("delimiter").text();
        *v = if delimiter.is_empty() {
            new.clone()
        } else {
            let text = api::gofmt::value(v);
            let mut parts: Vec<String> = text.split(delimiter).map(str::to_owned).collect();
            let (at, word) = (options.get("index").int(), api::gofmt::value(new));
            match usize::try_from(at) {
                Err(_) => parts.insert(0, word),
                Ok(n) if n >= parts.len() => parts.push(word),
                Ok(n) => parts[n] = word,
            }
            Value::str(parts.join(delimiter))
        };
        return true;
    };
    if let Value::List(_) = v {
        let at = indices(v, first);
        let list = v.list_mut();
        return !at.is_empty() && at.into_iter().all(|n| put(&mut list[n], rest, new, options));
    }
    if v.get(first).is_null() && !options.get("create").is_true() {
        return false;
    }
    put(v.slot(&[first]), rest, new, options)
}
