//! JSON as the API server sends it: fields in the order of upstream's types, not of their names.

use crate::Registry;
use api::gostruct;
use api::schema::TypeId;
use api::{SmolStr, Value};

/// JSON of any answer: objects, lists, tables, statuses, watch events, discovery.
pub fn raw_json(registry: &Registry, v: &Value) -> String {
    let mut out = String::new();
    write(&mut out, registry, v);
    out
}

/// The same with two spaces of indentation a level, as people with curl get it.
pub(crate) fn pretty_json(registry: &Registry, v: &Value) -> String {
    indent(&raw_json(registry, v))
}

/// Whether a client wants JSON for reading. Models: `isPrettyPrint`.
fn wants_pretty(r: &api::wire::Request) -> bool {
    match r.query("pretty") {
        Some(p) => !matches!(p, "" | "0" | "false"),
        None => {
            let agent = r.header("user-agent").unwrap_or("");
            ["curl", "Wget", "Mozilla/5.0"].iter().any(|a| agent.starts_with(a))
        }
    }
}

/// An answer's object as the client wants to read it over HTTP: its media type and text.
pub fn http_body(registry: &Registry, v: &Value, r: &api::wire::Request) -> (&'static str, String) {
    let accept = r.header("accept").unwrap_or("");
    if accept.split([',', ';']).next().is_some_and(|a| a.trim() == "application/yaml") {
        return ("application/yaml", api::yaml::emit(v));
    }
    let text = if wants_pretty(r) { pretty_json(registry, v) } else { raw_json(registry, v) + "\n" };
    ("application/json", text)
}

fn indent(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let mut chars = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(core::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if quoted {
            match c {
                '<' => out.push_str("\\u003c"),
                '>' => out.push_str("\\u003e"),
                '&' => out.push_str("\\u0026"),
                c => out.push(c),
            }
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                match chars.peek() {
                    Some(n @ ('}' | ']')) => {
                        out.push(*n);
                        chars.next();
                    }
                    _ => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn write(out: &mut String, registry: &Registry, v: &Value) {
    match v.kind() {
        "" if v.get("type").is_some() && v.get("object").is_some() => {
            out.push_str("{\"type\":");
            out.push_str(&v.get("type").to_json());
            out.push_str(",\"object\":");
            write(out, registry, v.get("object"));
            out.push('}');
        }
        "Table" => {
            ordered(out, registry, v, &["kind", "apiVersion", "metadata", "columnDefinitions", "rows"])
        }
        "Status" => ordered(
            out,
            registry,
            v,
            &["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"],
        ),
        kind if kind.ends_with("List") && v.get("items").as_list().is_some() => {
            ordered(out, registry, v, &["kind", "apiVersion", "metadata", "items"]);
        }
        "APIGroup" | "APIVersions" | "APIResourceList" | "APIGroupList" => ordered(
            out,
            registry,
            v,
            &[
                "kind",
                "apiVersion",
                "name",
                "versions",
                "serverAddressByClientCIDRs",
                "preferredVersion",
                "groupVersion",
                "resources",
                "groups",
            ],
        ),
        kind => {
            let builtin = registry.by_kind(v.api_version(), kind).and_then(|r| r.ty);
            let ty = builtin.or_else(|| {
                (kind == "Scale").then(|| TypeId::named("io.k8s.api.autoscaling.v1.Scale")).flatten()
            });
            match ty {
                Some(t) => out.push_str(&gostruct::to_json(Some(t), v)),
                None if v.get("kind").is_some() => {
                    ordered(out, registry, v, &["kind", "apiVersion", "metadata"])
                }
                None => out.push_str(&v.to_json()),
            }
        }
    }
}

/// The named fields first, the rest by name.
fn ordered(out: &mut String, registry: &Registry, v: &Value, first: &[&str]) {
    out.push('{');
    let rest: Vec<SmolStr> =
        v.entries().map(|(k, _)| SmolStr::new(k.as_str())).filter(|k| !first.contains(&k.as_str())).collect();
    let keys =
        first.iter().map(SmolStr::new).filter(|k| v.as_map().is_some_and(|m| m.contains(k))).chain(rest);
    for (i, k) in keys.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&Value::str(k.clone()).to_json());
        out.push(':');
        let field = v.get(&k);
        match (k.as_str(), field) {
            ("items" | "rows", Value::List(l)) => {
                out.push('[');
                for (i, item) in l.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    match item.get("cells").as_list() {
                        Some(_) => ordered(out, registry, item, &["cells", "conditions", "object"]),
                        // Lists of built-in types do not repeat the kind in each item.
                        None if registry
                            .by_kind(item.api_version(), item.kind())
                            .is_some_and(|r| r.ty.is_some()) =>
                        {
                            let mut bare = item.clone();
                            let ty = registry.by_kind(item.api_version(), item.kind()).and_then(|r| r.ty);
                            bare.remove(&["kind"]);
                            bare.remove(&["apiVersion"]);
                            out.push_str(&gostruct::to_json(ty, &bare));
                        }
                        None => write(out, registry, item),
                    }
                }
                out.push(']');
            }
            ("resources" | "groups", Value::List(l)) if v.get("kind").is_some() => {
                let first = [
                    "name",
                    "versions",
                    "preferredVersion",
                    "singularName",
                    "namespaced",
                    "group",
                    "version",
                    "kind",
                    "verbs",
                    "shortNames",
                    "categories",
                ];
                out.push('[');
                for (i, c) in l.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    ordered(out, registry, c, &first);
                }
                out.push(']');
            }
            ("object", o) => write(out, registry, o),
            ("details", d) => {
                let first = ["name", "group", "kind", "uid", "causes", "retryAfterSeconds"];
                ordered(out, registry, d, &first);
            }
            ("causes", Value::List(l)) => {
                out.push('[');
                for (i, c) in l.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    ordered(out, registry, c, &["reason", "message", "field"]);
                }
                out.push(']');
            }
            ("metadata", m) if v.get("items").is_some() || v.get("rows").is_some() => {
                ordered(out, registry, m, &["resourceVersion", "continue", "remainingItemCount"]);
            }
            _ => out.push_str(&field.to_json()),
        }
    }
    out.push('}');
}
