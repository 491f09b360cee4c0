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
                "versions",
                "serverAddressByClientCIDRs",
                "groupVersion",
                "resources",
                "groups",
                "name",
                "preferredVersion",
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
    let keys = first
        .iter()
        .map(|k| SmolStr::new(k))
        .filter(|k| v.as_map().is_some_and(|m| m.contains(k)))
        .chain(rest);
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
                        None => write(out, registry, item),
                    }
                }
                out.push(']');
            }
            ("object", o) => write(out, registry, o),
            _ => out.push_str(&field.to_json()),
        }
    }
    out.push('}');
}
