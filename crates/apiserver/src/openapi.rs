//! OpenAPI documents, generated from the schema tables and the CustomResourceDefinitions.
//!
//! What clients need of them is here: types for `kubectl explain` and for building patches, and the parameters of
//! paths by which they learn that the server validates fields itself. The texts of fields are there when they are
//! loaded, see [`crate::Texts`].

use crate::{ApiServer, Resource, Texts};
use api::schema::{Field, ListType, Patch, Ty, TypeId};
use api::{SmolStr, Value, obj};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where schemas of a document lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

impl Version {
    fn reference(self, name: &str) -> Value {
        let path = if self == Version::V3 { "#/components/schemas/" } else { "#/definitions/" };
        let r = format!("{path}{name}");
        if self == Version::V3 { obj!({"allOf": [{"$ref": r}]}) } else { obj!({"$ref": r}) }
    }
}

impl ApiServer {
    /// `/openapi/v3`: where the documents of the group versions are.
    pub(crate) fn openapi_index(&self) -> Value {
        let mut paths = Value::map();
        for r in self.registry.iter() {
            let key = if r.group.is_empty() {
                format!("api/{}", r.version)
            } else {
                format!("apis/{}/{}", r.group, r.version)
            };
            if paths.get(&key).is_some() {
                continue;
            }
            // Clients keep a document for as long as its address stays the same.
            let hash = match r.builtin {
                Some(_) => {
                    let more = if self.texts.is_some() { "-texts" } else { "" };
                    format!("{}{more}", env!("CARGO_PKG_VERSION"))
                }
                None => format!("{:08X}", self.custom_fingerprint(&r.group, &r.version)),
            };
            paths.insert(key.as_str(), obj!({"serverRelativeURL": format!("/openapi/v3/{key}?hash={hash}")}));
        }
        obj!({"paths": paths})
    }

    fn custom_fingerprint(&self, group: &str, version: &str) -> u32 {
        let mut text = String::new();
        for r in self.registry.iter().filter(|r| r.group == group && r.version == version) {
            text.push_str(&r.kind);
            text.push_str(&r.custom.to_json());
        }
        api::gostruct::fnv32a(text.as_bytes(), None)
    }

    /// `/openapi/v3/apis/GROUP/VERSION`
    pub(crate) fn openapi_group(&self, group: &str, version: &str) -> Value {
        let here: Vec<&Arc<Resource>> =
            self.registry.iter().filter(|r| r.group == group && r.version == version).collect();
        let (paths, schemas) = document(&here, Version::V3, self.texts.as_deref());
        obj!({
            "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths,
            "components": {"schemas": schemas}
        })
    }

    /// `/openapi/v2`: everything in one document.
    pub(crate) fn openapi_v2(&self) -> Value {
        let all: Vec<&Arc<Resource>> = self.registry.iter().collect();
        let (paths, definitions) = document(&all, Version::V2, self.texts.as_deref());
        obj!({
            "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths,
            "definitions": definitions
        })
    }
}

/// Named types without fields of their own, as tables know them.
const SCALARS: [(Ty, &str); 4] = [
    (Ty::Quantity, "io.k8s.apimachinery.pkg.api.resource.Quantity"),
    (Ty::Time, "io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
    (Ty::MicroTime, "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"),
    (Ty::IntOrString, "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
];

/// The name of a named type without fields.
fn scalar_name(ty: &Ty) -> Option<&'static str> {
    SCALARS.iter().find(|(t, _)| t == ty).map(|(_, n)| *n)
}

fn scalar_schema(ty: &Ty, version: Version) -> Value {
    match (ty, version) {
        (Ty::Quantity, Version::V3) => obj!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Ty::Quantity, Version::V2) => scalar("string", ""),
        (Ty::IntOrString, Version::V3) => {
            obj!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Ty::IntOrString, Version::V2) => scalar("string", "int-or-string"),
        _ => scalar("string", "date-time"),
    }
}

/// Adds a description where there is one.
fn describe(schema: &mut Value, text: &str) {
    if !text.is_empty() {
        schema.insert("description", text);
    }
}

/// A field's description with its possible values.
fn field_text(texts: &Texts, ty: &str, f: &Field) -> String {
    let mut text = texts.of_field(ty, f.name()).to_owned();
    if !f.values.is_empty() && !text.is_empty() {
        text += "\n\nPossible enum values:";
        for v in f.values {
            text += &format!("\n - `\"{v}\"`");
        }
    }
    text
}

fn document(resources: &[&Arc<Resource>], version: Version, texts: Option<&Texts>) -> (Value, Value) {
    let (mut paths, mut schemas) = (Value::map(), Value::map());
    let mut wanted: BTreeSet<TypeId> = BTreeSet::new();
    for r in resources {
        let name = type_name(r);
        match r.ty {
            Some(ty) => {
                wanted.insert(ty);
            }
            None => {
                let mut schema = custom_schema(r);
                schema.insert("x-kubernetes-group-version-kind", obj!([gvk(r)]));
                schemas.insert(name.as_str(), schema);
                wanted.extend(TypeId::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
            }
        }
        for (path, item) in path_items(r, &name, version) {
            paths.insert(path.as_str(), item);
        }
    }
    for (ty, name) in &SCALARS {
        let mut schema = scalar_schema(ty, version);
        describe(&mut schema, texts.map_or("", |t| t.of_type(name)));
        schemas.insert(*name, schema);
    }
    for (_, name) in FREE {
        let mut schema = obj!({"type": "object"});
        describe(&mut schema, texts.map_or("", |t| t.of_type(name)));
        schemas.insert(name, schema);
    }
    let mut todo: Vec<TypeId> = wanted.iter().copied().collect();
    while let Some(ty) = todo.pop() {
        let t = ty.get();
        let mut properties = Value::map();
        let mut required = Vec::new();
        for f in t.fields {
            let mut schema = field_schema(f, version);
            if let Some(texts) = texts {
                describe(&mut schema, &field_text(texts, t.name, f));
            }
            properties.insert(f.name(), schema);
            if f.required {
                required.push(Value::from(f.name()));
            }
            if let Some(next) = object_of(&f.ty)
                && wanted.insert(next)
            {
                todo.push(next);
            }
        }
        let mut schema = obj!({"type": "object"});
        describe(&mut schema, texts.map_or("", |x| x.of_type(t.name)));
        if !properties.is_empty() {
            schema.insert("properties", properties);
        }
        if !required.is_empty() {
            schema.insert("required", Value::from(required));
        }
        if t.atomic {
            schema.insert("x-kubernetes-map-type", "atomic");
        }
        if let Some((group, version, kind)) = t.gvk {
            let one = obj!({"group": group, "kind": kind, "version": version});
            schema.insert("x-kubernetes-group-version-kind", obj!([one]));
        }
        schemas.insert(t.name, schema);
    }
    (paths, schemas)
}

fn object_of(ty: &Ty) -> Option<TypeId> {
    match ty {
        Ty::Object(t) => Some(*t),
        Ty::List(t) | Ty::Map(t) => object_of(t),
        _ => None,
    }
}

fn gvk(r: &Resource) -> Value {
    obj!({"group": &r.group, "kind": &r.kind, "version": &r.version})
}

/// `com.example.v1.Widget` for custom kinds.
fn type_name(r: &Resource) -> String {
    match r.ty {
        Some(ty) => ty.get().name.to_owned(),
        None => {
            let reversed: Vec<&str> = r.group.rsplit('.').collect();
            format!("{}.{}.{}", reversed.join("."), r.version, r.kind)
        }
    }
}

fn custom_schema(r: &Resource) -> Value {
    let mut s = r.custom.at(&["schema", "openAPIV3Schema"]).clone();
    if s.get("type").is_null() {
        s.insert("type", "object");
    }
    for (key, text) in [("apiVersion", "string"), ("kind", "string")] {
        s.set(&["properties", key], obj!({"type": text}));
    }
    s.set(
        &["properties", "metadata"],
        obj!({"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]}),
    );
    s
}

fn scalar(kind: &str, format: &str) -> Value {
    let mut v = obj!({"type": kind});
    if !format.is_empty() {
        v.insert("format", format);
    }
    v
}

fn type_schema(ty: &Ty, version: Version) -> Value {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
    match ty {
        Ty::Str => scalar("string", ""),
        Ty::Bytes => scalar("string", "byte"),
        Ty::Int32 => scalar("integer", "int32"),
        Ty::Int64 => scalar("integer", "int64"),
        Ty::Float => scalar("number", "double"),
        Ty::Bool => scalar("boolean", ""),
        Ty::Quantity | Ty::Time | Ty::MicroTime | Ty::IntOrString => {
            version.reference(scalar_name(ty).unwrap_or_default())
        }
        Ty::Any => obj!({"type": "object"}),
        Ty::Object(t) if t.get().name == META => obj!({"type": "object"}),
        Ty::Object(t) => version.reference(t.get().name),
        Ty::List(t) => obj!({"type": "array", "items": type_schema(t, version)}),
        Ty::Map(t) => obj!({"type": "object", "additionalProperties": type_schema(t, version)}),
    }
}

/// Free-form types that fields name.
const FREE: [(&str, &str); 3] = [
    ("fieldsV1", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"),
    ("data", "io.k8s.apimachinery.pkg.runtime.RawExtension"),
    ("parameters", "io.k8s.apimachinery.pkg.runtime.RawExtension"),
];

fn field_schema(f: &Field, version: Version) -> Value {
    let free = FREE.iter().find(|(n, _)| f.ty == Ty::Any && *n == f.name());
    let mut s = match free {
        Some((_, name)) => version.reference(name),
        None => type_schema(&f.ty, version),
    };
    match (f.list, &f.ty) {
        (ListType::Atomic, Ty::List(_)) => s.insert("x-kubernetes-list-type", "atomic"),
        (ListType::Atomic, _) => s.insert("x-kubernetes-map-type", "atomic"),
        (ListType::Set, _) => s.insert("x-kubernetes-list-type", "set"),
        (ListType::Map, _) => {
            s.insert("x-kubernetes-list-type", "map");
            let keys: Value = f.map_keys.iter().map(|k| Value::from(*k)).collect();
            s.insert("x-kubernetes-list-map-keys", keys);
        }
        (ListType::Unset, _) => {}
    }
    if let Some(key) = f.merge_key {
        s.insert("x-kubernetes-patch-merge-key", key);
    }
    match f.patch {
        Patch::Default => {}
        Patch::Merge => s.insert("x-kubernetes-patch-strategy", "merge"),
        Patch::RetainKeys => s.insert("x-kubernetes-patch-strategy", "retainKeys"),
        Patch::MergeRetainKeys => s.insert("x-kubernetes-patch-strategy", "merge,retainKeys"),
    }
    if !f.values.is_empty() {
        let values: Value = f.values.iter().map(|k| Value::from(*k)).collect();
        s.insert("enum", values);
    }
    s
}

/// The paths of a resource with their verbs.
fn path_items(r: &Resource, name: &str, version: Version) -> Vec<(SmolStr, Value)> {
    let root = if r.group.is_empty() {
        format!("/api/{}", r.version)
    } else {
        format!("/apis/{}/{}", r.group, r.version)
    };
    let root = if r.namespaced { format!("{root}/namespaces/{{namespace}}") } else { root };
    let body = version.reference(name);
    let operation = |action: &str, takes: bool| {
        let mut o = obj!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk(r)});
        let content = obj!({"application/json": {"schema": &body}});
        if takes {
            let parameters: Value = ["dryRun", "fieldManager", "fieldValidation"]
                .iter()
                .map(|n| {
                    let mut p = obj!({"name": *n, "in": "query"});
                    match version {
                        Version::V3 => p.insert("schema", obj!({"type": "string"})),
                        Version::V2 => p.insert("type", "string"),
                    }
                    p
                })
                .collect();
            o.insert("parameters", parameters);
            if version == Version::V3 {
                o.insert("requestBody", obj!({"content": {"*/*": {"schema": &body}}}));
            }
        }
        let response = match version {
            Version::V3 => obj!({"description": "OK", "content": content}),
            Version::V2 => obj!({"description": "OK", "schema": &body}),
        };
        let mut responses = Value::map();
        responses.insert("200", response);
        o.insert("responses", responses);
        o
    };
    let mut collection = Value::map();
    let mut one = Value::map();
    for verb in &r.verbs {
        match verb.as_str() {
            "list" => collection.insert("get", operation("list", false)),
            "create" => collection.insert("post", operation("post", true)),
            "deletecollection" => collection.insert("delete", operation("deletecollection", false)),
            "get" => one.insert("get", operation("get", false)),
            "update" => one.insert("put", operation("put", true)),
            "patch" => one.insert("patch", operation("patch", true)),
            "delete" => one.insert("delete", operation("delete", false)),
            _ => {}
        }
    }
    let path = format!("{root}/{}", r.plural);
    vec![(path.as_str().into(), collection), (format!("{path}/{{name}}").into(), one)]
}
