//! `-k` and `kubectl kustomize`: kustomizations of local files.
//!
//! Known: resources and bases, namespace, name prefix and suffix, labels, annotations, images, replicas, patches of all
//! three forms, generators of config maps and secrets with their hashes. Absent: components, helm charts, replacements,
//! plugins, remote bases.

use crate::cx::{Cx, Done, FileKind};
use crate::error::Error;
use crate::files;
use api::{Value, obj, patch};

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// The objects that a kustomization makes.
pub fn build(cx: &mut Cx<'_>, dir: &str) -> Done<Vec<Value>> {
    build_at(cx, dir.trim_end_matches('/'), 0)
}

fn build_at(cx: &mut Cx<'_>, dir: &str, depth: usize) -> Done<Vec<Value>> {
    if depth > 16 {
        return fail(format!("cycle detected: candidate root '{dir}' is nested too deeply"));
    }
    let k = kustomization(cx, dir)?;
    let mut out = Vec::new();
    for key in ["resources", "bases"] {
        for r in k.get(key).items() {
            out.extend(resource(cx, dir, r.text(), depth)?);
        }
    }
    generate(cx, dir, &k, &mut out)?;
    transform(&k, &mut out);
    patches(cx, dir, &k, &mut out)?;
    Ok(out)
}

fn kustomization(cx: &mut Cx<'_>, dir: &str) -> Done<Value> {
    for name in NAMES {
        if let Ok(data) = cx.read_file(&format!("{dir}/{name}"))? {
            let text = String::from_utf8_lossy(&data);
            return match api::yaml::parse(&text) {
                Ok(v) => Ok(v),
                Err(e) => fail(format!("invalid Kustomization: {e}")),
            };
        }
    }
    let path = absolute(cx, dir)?;
    if cx.stat(dir)?.is_err() {
        return fail(format!(
            "must build at directory: not a valid directory: evalsymlink failure on '{dir}' : lstat {path}: no such file or \
             directory"
        ));
    }
    let named: Vec<String> = NAMES.iter().map(|n| format!("'{n}'")).collect();
    fail(format!("unable to find one of {}, {} or {} in directory '{path}'", named[0], named[1], named[2]))
}

/// A path from the root, so far as the directory in use is known.
fn absolute(cx: &mut Cx<'_>, path: &str) -> Done<String> {
    let start = if path.starts_with('/') { None } else { cx.var("PWD")? };
    let mut parts: Vec<&str> = Vec::new();
    for p in start.as_deref().unwrap_or("").split('/').chain(path.split('/')) {
        match p {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    let rooted = start.is_some() || path.starts_with('/');
    Ok(format!("{}{}", if rooted { "/" } else { "" }, parts.join("/")))
}

fn resource(cx: &mut Cx<'_>, dir: &str, entry: &str, depth: usize) -> Done<Vec<Value>> {
    if entry.contains("://") || entry.starts_with("github.com/") {
        return fail(format!(
            "accumulating resources from '{entry}': there is no way out of this cluster's network"
        ));
    }
    let path = format!("{dir}/{entry}");
    match cx.stat(&path)? {
        Ok(FileKind::Dir) => build_at(cx, path.trim_end_matches('/'), depth + 1),
        Ok(FileKind::File) => {
            let mut out = Vec::new();
            for d in files::read(cx, &[path])? {
                out.push(d?.value);
            }
            Ok(out)
        }
        Err(e) => fail(format!(
            "accumulating resources: accumulation err='accumulating resources from '{entry}': open {path}: {e}'"
        )),
    }
}

fn generate(cx: &mut Cx<'_>, dir: &str, k: &Value, out: &mut Vec<Value>) -> Done {
    use base64::Engine;
    for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for g in k.get(key).items() {
            let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
            for l in g.get("literals").items() {
                if let Some((k, v)) = l.text().split_once('=') {
                    entries.push((k.to_owned(), v.trim_matches(['"', '\'']).as_bytes().to_vec()));
                }
            }
            for f in g.get("files").items() {
                let (name, path) = match f.text().split_once('=') {
                    Some((k, p)) => (k.to_owned(), p.to_owned()),
                    None => (f.text().rsplit('/').next().unwrap_or("").to_owned(), f.text().to_owned()),
                };
                match cx.read_file(&format!("{dir}/{path}"))? {
                    Ok(d) => entries.push((name, d.to_vec())),
                    Err(e) => return fail(format!("loading KV pairs: file sources: [{path}]: {e}")),
                }
            }
            for f in g.get("envs").items() {
                if let Ok(d) = cx.read_file(&format!("{dir}/{}", f.text()))? {
                    for line in
                        String::from_utf8_lossy(&d).lines().filter(|l| !l.trim_start().starts_with('#'))
                    {
                        if let Some((k, v)) = line.split_once('=') {
                            entries.push((k.trim().to_owned(), v.as_bytes().to_vec()));
                        }
                    }
                }
            }
            let mut v = obj!({"apiVersion": "v1", "kind": kind, "metadata": {"name": g.get("name").text()}});
            for (k, data) in entries {
                if kind == "Secret" {
                    v.set(&["data", &k], base64::engine::general_purpose::STANDARD.encode(data));
                } else {
                    v.set(&["data", &k], String::from_utf8_lossy(&data).into_owned());
                }
            }
            if kind == "Secret" {
                let ty = g.get("type").text();
                v.insert("type", if ty.is_empty() { "Opaque" } else { ty });
            }
            if !g.get("namespace").text().is_empty() {
                v.set(&["metadata", "namespace"], g.get("namespace"));
            }
            let plain = k.at(&["generatorOptions", "disableNameSuffixHash"]).is_true()
                || g.at(&["options", "disableNameSuffixHash"]).is_true();
            if !plain {
                let (old, kind_key) = (v.name().to_owned(), kind);
                let new = format!("{old}-{}", crate::hash::content(&v));
                v.set(&["metadata", "name"], new.as_str());
                for o in out.iter_mut() {
                    rename(o, kind_key, &old, &new);
                }
            }
            out.push(v);
        }
    }
    Ok(())
}

/// Follows a renamed config map or secret through an object.
fn rename(v: &mut Value, kind: &str, old: &str, new: &str) {
    let keys: &[(&str, &str)] = if kind == "ConfigMap" {
        &[("configMap", "name"), ("configMapRef", "name"), ("configMapKeyRef", "name")]
    } else {
        &[("secret", "secretName"), ("secret", "name"), ("secretRef", "name"), ("secretKeyRef", "name")]
    };
    match v {
        Value::Map(m) => {
            for (k, x) in m.iter_mut() {
                for (holder, field) in keys {
                    if k.as_str() == *holder && x.get(field).text() == old {
                        x.insert(*field, new);
                    }
                }
                rename(x, kind, old, new);
            }
        }
        Value::List(_) => v.list_mut().iter_mut().for_each(|x| rename(x, kind, old, new)),
        _ => {}
    }
}

fn cluster_scoped(v: &Value) -> bool {
    let group = v.api_version().split_once('/').map_or("", |(g, _)| g);
    api::kinds::KINDS.iter().any(|k| k.group == group && k.kind == v.kind() && !k.namespaced)
}

fn transform(k: &Value, out: &mut [Value]) {
    let (prefix, suffix) = (k.get("namePrefix").text(), k.get("nameSuffix").text());
    let namespace = k.get("namespace").text();
    for v in out.iter_mut() {
        if !prefix.is_empty() || !suffix.is_empty() {
            let name = format!("{prefix}{}{suffix}", v.name());
            if v.kind() != "Namespace" && v.kind() != "CustomResourceDefinition" {
                v.set(&["metadata", "name"], name);
            }
        }
        if !namespace.is_empty() && !cluster_scoped(v) {
            v.set(&["metadata", "namespace"], namespace);
        }
        for (key, x) in k.get("commonAnnotations").entries() {
            v.set(&["metadata", "annotations", key], x);
        }
        for (key, x) in k.get("commonLabels").entries() {
            label(v, key, x, true, true);
        }
        for l in k.get("labels").items() {
            for (key, x) in l.get("pairs").entries() {
                label(v, key, x, l.get("includeSelectors").is_true(), l.get("includeTemplates").is_true());
            }
        }
        for r in k.get("replicas").items() {
            if v.name() == r.get("name").text() && v.at(&["spec", "replicas"]).is_some() {
                v.set(&["spec", "replicas"], r.get("count"));
            }
        }
        for i in k.get("images").items() {
            image(v, i);
        }
    }
}

fn label(v: &mut Value, key: &str, x: &Value, selectors: bool, templates: bool) {
    v.set(&["metadata", "labels", key], x);
    if (templates || selectors) && v.at(&["spec", "template"]).is_some() {
        v.set(&["spec", "template", "metadata", "labels", key], x);
    }
    if selectors {
        if v.at(&["spec", "selector", "matchLabels"]).is_some() {
            v.set(&["spec", "selector", "matchLabels", key], x);
        } else if matches!(v.kind(), "Service" | "ReplicationController")
            && v.at(&["spec", "selector"]).is_some()
        {
            v.set(&["spec", "selector", key], x);
        }
    }
}

fn image(v: &mut Value, i: &Value) {
    match v {
        Value::Map(m) => {
            for (k, x) in m.iter_mut() {
                if matches!(k.as_str(), "containers" | "initContainers") && matches!(x, Value::List(_)) {
                    for c in x.list_mut() {
                        let old = c.get("image").text().to_owned();
                        let base = old.split('@').next().unwrap_or("");
                        let (name, tag) = match base.rfind(':').filter(|n| !base[*n..].contains('/')) {
                            Some(n) => base.split_at(n),
                            None => (base, ""),
                        };
                        if name == i.get("name").text() {
                            let new = match i.get("newName").text() {
                                "" => name,
                                n => n,
                            };
                            let tag = match (i.get("digest").text(), api::gofmt::value(i.get("newTag"))) {
                                ("", t) if t == "<nil>" => tag.to_owned(),
                                ("", t) => format!(":{t}"),
                                (d, _) => format!("@{d}"),
                            };
                            c.insert("image", format!("{new}{tag}"));
                        }
                    }
                } else {
                    image(x, i);
                }
            }
        }
        Value::List(_) => v.list_mut().iter_mut().for_each(|x| image(x, i)),
        _ => {}
    }
}

fn patches(cx: &mut Cx<'_>, dir: &str, k: &Value, out: &mut [Value]) -> Done {
    let mut all: Vec<(Value, Value)> = Vec::new();
    for p in k.get("patchesStrategicMerge").items() {
        let text = if p.text().contains('\n') { p.text().to_owned() } else { text(cx, dir, p.text())? };
        let (docs, _) = api::yaml::parse_all(&text);
        all.extend(docs.into_iter().map(|d| (Value::Null, d)));
    }
    for key in ["patches", "patchesJson6902"] {
        for p in k.get(key).items() {
            let text = match p.get("path").text() {
                "" => p.get("patch").text().to_owned(),
                path => text(cx, dir, path)?,
            };
            let (docs, _) = api::yaml::parse_all(&text);
            all.extend(docs.into_iter().map(|d| (p.get("target").clone(), d)));
        }
    }
    for (target, body) in all {
        for v in out.iter_mut() {
            let fits = |field: &str, have: &str| {
                let want = target.get(field).text();
                want.is_empty() || want == have
            };
            let chosen = if target.is_null() {
                body.kind() == v.kind() && body.name() == v.name()
            } else {
                fits("kind", v.kind()) && fits("name", v.name()) && fits("namespace", v.namespace())
            };
            if !chosen {
                continue;
            }
            *v = match &body {
                Value::List(_) => patch::json_patch(v, &body).map_err(Error::Text)?,
                _ => {
                    let mut body = body.clone();
                    body.set(&["metadata", "name"], v.name());
                    match crate::print::type_of(v) {
                        Some(t) => patch::strategic(v, &body, Some(t)).map_err(Error::Text)?,
                        None => patch::merge(v, &body),
                    }
                }
            };
        }
    }
    Ok(())
}

fn text(cx: &mut Cx<'_>, dir: &str, path: &str) -> Done<String> {
    match cx.read_file(&format!("{dir}/{path}"))? {
        Ok(d) => Ok(String::from_utf8_lossy(&d).into_owned()),
        Err(e) => fail(format!("failed to get the patch file from path({path}): {e}")),
    }
}
