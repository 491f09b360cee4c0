//! Generators of config maps and secrets.

use super::{Item, fail, text};
use crate::cx::{Cx, Done};
use api::{Value, obj};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Adds generated objects, or merges them into those that are there.
pub fn run(cx: &mut Cx<'_>, dir: &str, k: &Value, all: &mut Vec<Item>) -> Done {
    for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for g in k.get(key).items() {
            let item = one(cx, dir, k.get("generatorOptions"), g, kind)?;
            put(item, g, all)?;
        }
    }
    Ok(())
}

fn one(cx: &mut Cx<'_>, dir: &str, general: &Value, g: &Value, kind: &str) -> Done<Item> {
    let mut v = obj!({"apiVersion": "v1", "kind": kind, "metadata": {"name": g.get("name").text()}});
    for (k, data) in pairs(cx, dir, g)? {
        match core::str::from_utf8(&data) {
            Ok(text) if kind == "ConfigMap" => v.set(&["data", &k], text),
            Err(_) if kind == "ConfigMap" => v.set(&["binaryData", &k], STANDARD.encode(data)),
            _ => v.set(&["data", &k], STANDARD.encode(data)),
        }
    }
    if kind == "Secret" {
        let ty = g.get("type").text();
        v.insert("type", if ty.is_empty() { "Opaque" } else { ty });
    }
    if !g.get("namespace").text().is_empty() {
        v.set(&["metadata", "namespace"], g.get("namespace"));
    }
    let own = g.get("options");
    for options in [general, own] {
        for key in ["labels", "annotations"] {
            for (k, x) in options.get(key).entries() {
                v.set(&["metadata", key, k], x);
            }
        }
        if options.get("immutable").is_true() {
            v.insert("immutable", true);
        }
    }
    let plain = [general, own].iter().any(|o| o.get("disableNameSuffixHash").is_true());
    Ok(Item { hash: !plain, ..Item::new(v) })
}

/// Keys and values of all sources.
fn pairs(cx: &mut Cx<'_>, dir: &str, g: &Value) -> Done<Vec<(String, Vec<u8>)>> {
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    let envs = g.get("envs").items().chain(Some(g.get("env")).filter(|e| !e.text().is_empty()));
    for f in envs {
        let content = match text(cx, dir, f.text())? {
            Ok(t) => t,
            Err(e) => return fail(format!("loading KV pairs: env source files: [{}]: {e}", f.text())),
        };
        for line in content.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if let Some((k, v)) = line.split_once('=') {
                out.push((k.to_owned(), v.as_bytes().to_vec()));
            }
        }
    }
    let list = |key: &str| g.get(key).items().map(Value::text).collect::<Vec<_>>().join(" ");
    for l in g.get("literals").items() {
        let Some((k, v)) = l.text().split_once('=').filter(|(k, _)| !k.is_empty()) else {
            return fail(format!(
                "loading KV pairs: literal sources [{}]: invalid literal source {}, expected key=value",
                list("literals"),
                l.text()
            ));
        };
        let quoted = |q| v.len() > 1 && v.starts_with(q) && v.ends_with(q);
        let v = if quoted('"') || quoted('\'') { &v[1..v.len() - 1] } else { v };
        out.push((k.to_owned(), v.as_bytes().to_vec()));
    }
    for f in g.get("files").items() {
        let (name, path) = match f.text().split_once('=') {
            Some((k, p)) => (k.to_owned(), p),
            None => (f.text().rsplit('/').next().unwrap_or("").to_owned(), f.text()),
        };
        // Read again as bytes: not all files are texts.
        if let Err(e) = text(cx, dir, path)? {
            return fail(format!("loading KV pairs: file sources: [{}]: {e}", list("files")));
        }
        let data = cx.read_file(&format!("{dir}/{path}"))?.unwrap_or_else(|_| [].into());
        out.push((name, data.to_vec()));
    }
    Ok(out)
}

fn put(item: Item, g: &Value, all: &mut Vec<Item>) -> Done {
    let behavior = g.get("behavior").text();
    let (name, kind, namespace) =
        (item.value.name().to_owned(), item.value.kind().to_owned(), item.value.namespace().to_owned());
    let there = all.iter_mut().find(|i| {
        i.value.kind() == kind && i.named(&name) && (namespace.is_empty() || i.value.namespace() == namespace)
    });
    match (behavior, there) {
        ("merge" | "replace", None) => {
            fail(format!("merging from generator: id {} does not exist; cannot merge or replace", item.id()))
        }
        ("merge", Some(old)) => {
            for part in ["data", "binaryData"] {
                for (k, x) in item.value.get(part).entries() {
                    old.value.set(&[part, k], x);
                }
            }
            for part in ["labels", "annotations"] {
                for (k, x) in item.value.at(&["metadata", part]).entries() {
                    old.value.set(&["metadata", part, k], x);
                }
            }
            old.hash &= item.hash;
            Ok(())
        }
        ("replace", Some(old)) => {
            let meta = old.value.get("metadata").clone();
            old.value = item.value;
            old.value.insert("metadata", meta);
            old.hash &= item.hash;
            Ok(())
        }
        _ => Ok(super::add(all, item)?),
    }
}
