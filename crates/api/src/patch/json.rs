//! RFC 6902 with the habits and texts of evanphx/json-patch v4.

use super::Error;
use crate::{SmolStr, Value};

const MISSING: &str = "missing value";

/// Applies a list of operations in order. What a whole patch must look like is checked by the caller.
pub fn apply(doc: &Value, ops: &Value) -> Result<Value, Error> {
    let mut out = doc.clone();
    for op in ops.items() {
        operation(&mut out, op)?;
    }
    Ok(out)
}

fn operation(doc: &mut Value, op: &Value) -> Result<(), Error> {
    let kind = op.get("op").text();
    let path = op.get("path").text();
    let value = op.get("value");
    let from = op.get("from").text();
    match kind {
        "add" => {
            let (slot, key) = locate(doc, path).ok_or_else(|| {
                format!("add operation does not apply: doc is missing path: \"{path}\": {MISSING}")
            })?;
            add(slot, &key, value.clone()).map_err(|e| format!("error in add for path: '{path}': {e}"))
        }
        "remove" => {
            let (slot, key) = locate(doc, path).ok_or_else(|| {
                format!("remove operation does not apply: doc is missing path: \"{path}\": {MISSING}")
            })?;
            remove(slot, &key).map_err(|e| format!("error in remove for path: '{path}': {e}")).map(|_| ())
        }
        "replace" => replace(doc, path, value),
        "move" => {
            let (slot, key) = locate(doc, from).ok_or_else(|| {
                format!("move operation does not apply: doc is missing from path: {from}: {MISSING}")
            })?;
            let v = get(slot, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?.clone();
            remove(slot, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
            let (slot, key) = locate(doc, path).ok_or_else(|| {
                format!("move operation does not apply: doc is missing destination path: {path}: {MISSING}")
            })?;
            add(slot, &key, v).map_err(|e| format!("error in move for path: '{path}': {e}"))
        }
        "test" => {
            let failed = || format!("testing value {path} failed: test failed");
            if path.is_empty() {
                return if *doc == *value { Ok(()) } else { Err(failed()) };
            }
            let (slot, key) = locate(doc, path).ok_or_else(|| {
                format!("test operation does not apply: is missing path: {path}: {MISSING}")
            })?;
            let v = get(slot, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?;
            if v == value { Ok(()) } else { Err(failed()) }
        }
        "copy" => {
            let (slot, key) = locate(doc, from).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing from path: \"{from}\": {MISSING}")
            })?;
            let v = get(slot, &key).map_err(|e| format!("error in copy for from: '{from}': {e}"))?.clone();
            let (slot, key) = locate(doc, path).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing destination path: {path}: {MISSING}")
            })?;
            add(slot, &key, v).map_err(|e| format!("error while adding value during copy: {e}"))
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn replace(doc: &mut Value, path: &str, value: &Value) -> Result<(), Error> {
    if path.is_empty() {
        *doc = value.clone();
        return Ok(());
    }
    let (slot, key) = locate(doc, path)
        .ok_or_else(|| format!("replace operation does not apply: doc is missing path: {path}: {MISSING}"))?;
    if get(slot, &key).is_err() {
        return Err(format!("replace operation does not apply: doc is missing key: {path}: {MISSING}"));
    }
    match slot {
        Value::List(l) => {
            let i = index(&key, l.len(), false)
                .map_err(|e| format!("error in remove for path: '{path}': {e}"))?;
            if let Some(slot) = l.make_mut().get_mut(i) {
                *slot = value.clone();
            }
        }
        slot => slot.insert(key.as_str(), value),
    }
    Ok(())
}

/// The container that holds the last part of a path, and that part.
fn locate<'a>(doc: &'a mut Value, path: &str) -> Option<(&'a mut Value, SmolStr)> {
    let parts: Vec<&str> = path.split('/').collect();
    if parts.len() < 2 {
        return None;
    }
    let (last, middle) = parts.split_last()?;
    let mut here = doc;
    for part in middle.iter().skip(1) {
        let key = decoded(part);
        // Looked at first: writing access copies shared nodes.
        here = match here {
            Value::Map(m) => m.get_mut(&key)?,
            Value::List(l) => {
                let i = index(&key, l.len(), false).ok()?;
                l.make_mut().get_mut(i)?
            }
            _ => return None,
        };
        if !matches!(here, Value::Map(_) | Value::List(_)) {
            return None;
        }
    }
    Some((here, decoded(last)))
}

fn decoded(part: &str) -> SmolStr {
    if part.contains('~') { part.replace("~1", "/").replace("~0", "~").into() } else { part.into() }
}

/// An index into a list of `len`; one beyond the end only to insert. Negative ones count from the end.
fn index(key: &str, len: usize, insert: bool) -> Result<usize, Error> {
    let i: i64 = key
        .parse()
        .map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", crate::gofmt::quote(key)))?;
    let size = len as i64 + i64::from(insert);
    if i >= size || i < -size {
        return Err(format!("Unable to access invalid index: {i}: invalid index referenced"));
    }
    Ok(if i < 0 { i + size } else { i } as usize)
}

fn get<'a>(slot: &'a Value, key: &str) -> Result<&'a Value, Error> {
    match slot {
        Value::List(l) => {
            let i = index(key, l.len(), false)?;
            Ok(l.get(i).unwrap_or(Value::null()))
        }
        slot => Ok(slot.get(key)),
    }
}

fn add(slot: &mut Value, key: &str, v: Value) -> Result<(), Error> {
    match slot {
        Value::List(l) => {
            if key == "-" {
                l.make_mut().push(v);
                return Ok(());
            }
            let i = index(key, l.len(), true).map_err(|e| {
                if e.starts_with("strconv") {
                    format!("value was not a proper array index: '{key}': {e}")
                } else {
                    e
                }
            })?;
            l.make_mut().insert(i, v);
        }
        slot => slot.insert(key, v),
    }
    Ok(())
}

fn remove(slot: &mut Value, key: &str) -> Result<Value, Error> {
    match slot {
        Value::List(l) => {
            let i = index(key, l.len(), false)?;
            Ok(l.make_mut().remove(i))
        }
        slot => slot
            .map_mut()
            .remove(key)
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: {MISSING}")),
    }
}
