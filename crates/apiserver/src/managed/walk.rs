//! Walks over typed values: which fields an object has, which differ, merging, pruning. Models: structured-merge-diff's
//! `typed` package.

use super::fieldset::{insert, is_member};
use api::schema::{Field, ListType, Ty, TypeId};
use api::{Value, gofmt};

/// Nothing is nested deeper.
const DEPTH_MAX: usize = 100;

/// What is known of a value's type.
#[derive(Clone, Copy)]
pub enum Sch<'a> {
    /// A field of a built-in type.
    Field(&'static Field),
    /// A built-in type.
    Ty(Ty),
    /// A schema of a CustomResourceDefinition.
    Custom(&'a Value),
    /// Nothing: maps are merged, lists replaced.
    Deduced,
}

/// How a value is merged.
enum Shape {
    Scalar,
    Atomic,
    /// A struct: its fields are known.
    Struct,
    Map,
    Set,
    Keyed(Vec<String>),
}

impl<'a> Sch<'a> {
    fn ty(self) -> Option<Ty> {
        match self {
            Sch::Field(f) => Some(f.ty),
            Sch::Ty(t) => Some(t),
            _ => None,
        }
    }

    fn shape(self, v: &Value) -> Shape {
        match self {
            Sch::Field(Field { list: ListType::Atomic, .. }) => Shape::Atomic,
            Sch::Field(f) if f.list == ListType::Set => Shape::Set,
            Sch::Field(f) if f.list == ListType::Map => {
                Shape::Keyed(f.map_keys.iter().map(|k| (*k).to_owned()).collect())
            }
            Sch::Field(_) | Sch::Ty(_) => match self.ty() {
                Some(Ty::Object(t)) if t.get().atomic => Shape::Atomic,
                Some(Ty::Object(t)) if t.get().fields.is_empty() => Shape::Atomic,
                Some(Ty::Object(_)) => Shape::Struct,
                Some(Ty::Map(_)) => Shape::Map,
                Some(Ty::List(_) | Ty::Any) => Shape::Atomic,
                _ => Shape::Scalar,
            },
            Sch::Custom(s) => custom_shape(s, v),
            Sch::Deduced => match v {
                Value::Map(_) => Shape::Map,
                Value::List(_) => Shape::Atomic,
                _ => Shape::Scalar,
            },
        }
    }

    /// The schema of a field; `None` if there is no such field.
    fn child(self, name: &str) -> Option<Sch<'a>> {
        match self {
            Sch::Field(_) | Sch::Ty(_) => match self.ty()? {
                Ty::Object(t) => t.get().field(name).map(Sch::Field),
                Ty::Map(t) => Some(Sch::Ty(*t)),
                _ => Some(Sch::Deduced),
            },
            Sch::Custom(s) => {
                let p = s.get("properties").get(name);
                if p.is_some() {
                    return Some(Sch::Custom(p));
                }
                if s.get("additionalProperties").as_map().is_some() {
                    return Some(Sch::Custom(s.get("additionalProperties")));
                }
                let open = s.get("x-kubernetes-preserve-unknown-fields").is_true();
                open.then_some(Sch::Deduced)
            }
            Sch::Deduced => Some(Sch::Deduced),
        }
    }

    fn element(self) -> Sch<'a> {
        match self {
            Sch::Field(_) | Sch::Ty(_) => match self.ty() {
                Some(Ty::List(t)) => Sch::Ty(*t),
                _ => Sch::Deduced,
            },
            Sch::Custom(s) if s.get("items").as_map().is_some() => Sch::Custom(s.get("items")),
            _ => Sch::Deduced,
        }
    }
}

fn custom_shape(s: &Value, v: &Value) -> Shape {
    match s.get("x-kubernetes-list-type").text() {
        "set" => return Shape::Set,
        "map" => {
            let keys = s.get("x-kubernetes-list-map-keys").items();
            return Shape::Keyed(keys.map(|k| k.text().to_owned()).collect());
        }
        "atomic" => return Shape::Atomic,
        _ => {}
    }
    if s.get("x-kubernetes-map-type").text() == "atomic" {
        return Shape::Atomic;
    }
    match (s.get("type").text(), v) {
        ("object", _) if !s.get("properties").is_empty() => Shape::Struct,
        ("object", _) => Shape::Map,
        ("array", _) => Shape::Atomic,
        ("", Value::Map(_)) => Shape::Map,
        ("", Value::List(_)) => Shape::Atomic,
        _ => Shape::Scalar,
    }
}

/// The root schema of a resource.
pub fn root<'a>(ty: Option<TypeId>, custom: &'a Value) -> Sch<'a> {
    match ty {
        Some(t) => Sch::Ty(Ty::Object(t)),
        None => Sch::Custom(custom),
    }
}

/// A custom resource's schema with the metadata that all objects have.
pub fn child_of_root<'a>(s: Sch<'a>, name: &str) -> Option<Sch<'a>> {
    match (s, name) {
        (Sch::Custom(_), "metadata") => {
            TypeId::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").map(|t| Sch::Ty(Ty::Object(t)))
        }
        (Sch::Custom(_), "apiVersion" | "kind") => Some(Sch::Deduced),
        (s, name) => s.child(name),
    }
}

/// `k:{"name":"c"}` or `v:"x"` of a list's item.
fn item_element(shape: &Shape, item: &Value) -> String {
    match shape {
        Shape::Keyed(keys) => {
            let mut key = Value::map();
            for k in keys {
                let v = item.get(k);
                // The schema's only default of a key.
                let v = if v.is_null() && k == "protocol" { Value::str("TCP") } else { v.clone() };
                if v.is_some() {
                    key.insert(k.as_str(), v);
                }
            }
            format!("k:{}", key.to_json())
        }
        _ => format!("v:{}", item.to_json()),
    }
}

/// What differs between two objects.
#[derive(Default)]
pub struct Comparison {
    /// Fields that are new or changed.
    pub set: Value,
    /// Fields that are gone.
    pub removed: Value,
}

/// Compares two objects of one type.
pub fn compare(s: Sch<'_>, old: &Value, new: &Value) -> Comparison {
    let mut c = Walk { out: Comparison { set: Value::map(), removed: Value::map() }, path: Vec::new() };
    c.map(s, old, new, true);
    c.out
}

struct Walk {
    out: Comparison,
    path: Vec<String>,
}

impl Walk {
    fn changed(&mut self) {
        insert(&mut self.out.set, &self.path);
    }

    fn map(&mut self, s: Sch<'_>, old: &Value, new: &Value, root: bool) {
        if self.path.len() > DEPTH_MAX {
            return;
        }
        let child = |k: &str| {
            let c = if root { child_of_root(s, k) } else { s.child(k) };
            c.unwrap_or(Sch::Deduced)
        };
        let has = |v: &Value, k: &str| v.as_map().is_some_and(|m| m.contains(k));
        for (k, v) in new.entries() {
            let before = old.as_map().and_then(|m| m.get(k));
            if before.is_some_and(|b| b.same(v)) || before == Some(v) {
                continue;
            }
            self.path.push(format!("f:{k}"));
            self.value(child(k), before, Some(v));
            self.path.pop();
        }
        for (k, v) in old.entries().filter(|(k, _)| !has(new, k)) {
            self.path.push(format!("f:{k}"));
            self.value(child(k), Some(v), None);
            self.path.pop();
        }
    }

    fn value(&mut self, s: Sch<'_>, old: Option<&Value>, new: Option<&Value>) {
        let null = Value::null();
        let (a, b) = (old.unwrap_or(null), new.unwrap_or(null));
        match (old, new) {
            (None, Some(_)) => self.changed(),
            (Some(_), None) => insert(&mut self.out.removed, &self.path),
            _ => {}
        }
        let shape = s.shape(if b.is_null() { a } else { b });
        match shape {
            Shape::Scalar | Shape::Atomic => {
                if old.is_some() && new.is_some() && a != b {
                    self.changed();
                }
            }
            Shape::Struct | Shape::Map => self.map(s, a, b, false),
            Shape::Set | Shape::Keyed(_) => self.list(s, &shape, a, b),
        }
    }

    fn list(&mut self, s: Sch<'_>, shape: &Shape, old: &Value, new: &Value) {
        let keyed = |v: &Value| -> Vec<(String, Value)> {
            v.items().map(|i| (item_element(shape, i), i.clone())).collect()
        };
        let (a, b) = (keyed(old), keyed(new));
        let find =
            |list: &[(String, Value)], k: &str| list.iter().find(|(x, _)| x == k).map(|(_, v)| v.clone());
        for (k, v) in &b {
            let before = find(&a, k);
            if before.as_ref() == Some(v) {
                continue;
            }
            self.path.push(k.clone());
            self.value(s.element(), before.as_ref(), Some(v));
            self.path.pop();
        }
        for (k, v) in &a {
            if find(&b, k).is_none() {
                self.path.push(k.clone());
                self.value(s.element(), Some(v), None);
                self.path.pop();
            }
        }
    }
}

/// The fields that a configuration names. Models: `ToFieldSet`.
pub fn fields_of(s: Sch<'_>, v: &Value) -> Value {
    fn walk(s: Sch<'_>, v: &Value, root: bool, path: &mut Vec<String>, out: &mut Value) {
        if path.len() > DEPTH_MAX {
            return;
        }
        let shape = if root { Shape::Struct } else { s.shape(v) };
        match shape {
            Shape::Scalar | Shape::Atomic => insert(out, path),
            Shape::Struct | Shape::Map => {
                for (k, child) in v.entries() {
                    let known = if root { child_of_root(s, k) } else { s.child(k) };
                    path.push(format!("f:{k}"));
                    let empty = child.is_null() || child.as_map().is_some_and(|m| m.is_empty());
                    if empty || matches!(shape, Shape::Map) {
                        insert(out, path);
                    }
                    walk(known.unwrap_or(Sch::Deduced), child, false, path, out);
                    path.pop();
                }
            }
            Shape::Set | Shape::Keyed(_) => {
                for item in v.items() {
                    path.push(item_element(&shape, item));
                    insert(out, path);
                    walk(s.element(), item, false, path, out);
                    path.pop();
                }
            }
        }
    }
    let mut out = Value::map();
    walk(s, v, true, &mut Vec::new(), &mut out);
    out
}

/// What does not fit the schema: unknown fields, one a map; values of other types; entries of keyed lists without their
/// keys or with those of another. Models: validation of a typed patch.
pub fn misfits(s: Sch<'_>, v: &Value) -> Vec<String> {
    let mut out = Vec::new();
    misfit(s, v, true, "", 0, &mut out);
    out
}

fn misfit(s: Sch<'_>, v: &Value, root: bool, at: &str, depth: usize, out: &mut Vec<String>) {
    if depth > DEPTH_MAX || v.is_null() {
        return;
    }
    let shown = || format!("&{{{}}}", gofmt::value(v));
    match if root { Shape::Struct } else { s.shape(v) } {
        Shape::Struct | Shape::Map => {
            if v.as_map().is_none() {
                return out.push(format!("{at}: expected map, got {}", shown()));
            }
            for (k, child) in v.entries() {
                let here = format!("{at}.{k}");
                match if root { child_of_root(s, k) } else { s.child(k) } {
                    Some(c) => misfit(c, child, false, &here, depth + 1, out),
                    None => return out.push(format!("{here}: field not declared in schema")),
                }
            }
        }
        Shape::Keyed(_) | Shape::Set if v.as_list().is_none() => {
            out.push(format!("{at}: expected list, got {}", shown()));
        }
        shape @ Shape::Keyed(_) => {
            let Shape::Keyed(keys) = &shape else { return };
            let mut seen: Vec<String> = Vec::new();
            for (i, item) in v.items().enumerate() {
                if item.as_map().is_none() {
                    let why = "associative list with keys may not have non-map elements";
                    out.push(format!("{at}: element {i}: {why}"));
                    continue;
                }
                // The one key that has a default.
                if let Some(k) = keys.iter().find(|k| item.get(k).is_null() && *k != "protocol") {
                    out.push(format!(
                        "{at}: element {i}: associative list with keys has an element that omits key field {k:?} (and \
                         doesn't have default value)"
                    ));
                    continue;
                }
                let mut key = Value::map();
                key.insert(item_element(&shape, item), Value::map());
                let key = super::fieldset::paths(&key).pop().unwrap_or_default();
                if seen.contains(&key) {
                    out.push(format!("{at}: duplicate entries for key {key}"));
                }
                misfit(s.element(), item, false, &format!("{at}{key}"), depth + 1, out);
                seen.push(key);
            }
        }
        _ => scalar_misfit(s, v, at, out),
    }
}

/// Models: `validateScalar`; an atomic list or map is only looked at from outside.
fn scalar_misfit(s: Sch<'_>, v: &Value, at: &str, out: &mut Vec<String>) {
    let wrong = match (s.ty(), v) {
        (Some(Ty::Str | Ty::Bytes), v) if !matches!(v, Value::Str(_)) => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", gofmt::syntax(v))
        }
        (Some(Ty::Int32 | Ty::Int64 | Ty::Float), v) if !matches!(v, Value::Int(_) | Value::Float(_)) => {
            let kind = match v {
                Value::Str(_) => "string",
                Value::Bool(_) => "bool",
                Value::List(_) => "[]interface {}",
                _ => "map[string]interface {}",
            };
            format!("expected numeric (int or float), got {kind}")
        }
        (Some(Ty::Bool), v) if !matches!(v, Value::Bool(_)) => {
            format!("expected boolean, got &{{{}}}", gofmt::value(v))
        }
        (Some(Ty::List(_)), v) if !matches!(v, Value::List(_)) => {
            format!("expected list, got &{{{}}}", gofmt::value(v))
        }
        (Some(Ty::Object(t)), v) if !matches!(v, Value::Map(_)) && !t.get().fields.is_empty() => {
            format!("expected map, got &{{{}}}", gofmt::value(v))
        }
        _ => return,
    };
    out.push(format!("{at}: {wrong}"));
}

/// Lays a configuration over an object.
pub fn merge(s: Sch<'_>, live: &Value, config: &Value) -> Value {
    fn walk(s: Sch<'_>, live: &Value, config: &Value, root: bool, depth: usize) -> Value {
        if depth > DEPTH_MAX || live.is_null() {
            return config.clone();
        }
        let shape = if root { Shape::Struct } else { s.shape(config) };
        match shape {
            Shape::Struct | Shape::Map => {
                let mut out = live.clone();
                for (k, v) in config.entries() {
                    let c = if root { child_of_root(s, k) } else { s.child(k) }.unwrap_or(Sch::Deduced);
                    out.insert(k, walk(c, live.get(k), v, false, depth + 1));
                }
                out
            }
            Shape::Set | Shape::Keyed(_) => {
                let of = |v: &Value| item_element(&shape, v);
                let wanted: Vec<String> = config.items().map(of).collect();
                let mut old: Vec<(String, &Value)> = live.items().map(|v| (of(v), v)).collect();
                let mut out: Vec<Value> = Vec::new();
                for (key, v) in wanted.iter().zip(config.items()) {
                    let here = old.iter().position(|(k, _)| k == key);
                    // Items of the object alone keep their place before the next shared one.
                    let before = here.unwrap_or(0);
                    let mut i = 0;
                    old.retain(|(k, o)| {
                        let goes = i < before && !wanted.contains(k);
                        i += 1;
                        if goes {
                            out.push((*o).clone());
                        }
                        !goes
                    });
                    let was = old.iter().find(|(k, _)| k == key).map_or(Value::null(), |(_, v)| v);
                    out.push(walk(s.element(), was, v, false, depth + 1));
                }
                out.extend(old.iter().filter(|(k, _)| !wanted.contains(k)).map(|(_, v)| (*v).clone()));
                Value::from(out)
            }
            Shape::Scalar | Shape::Atomic => config.clone(),
        }
    }
    walk(s, live, config, true, 0)
}

/// Takes out of an object what `last` has and `keep` does not. Models: `Updater.prune`.
pub fn prune(s: Sch<'_>, v: &Value, last: &Value, keep: &Value) -> Value {
    fn walk(s: Sch<'_>, v: &Value, last: &Value, keep: &Value, root: bool, depth: usize) -> Value {
        if depth > DEPTH_MAX || last.is_null() {
            return v.clone();
        }
        let gone = |key: &str| {
            let l = last.get(key);
            l.is_some() && is_member(l) && keep.get(key).is_null()
        };
        let shape = if root { Shape::Struct } else { s.shape(v) };
        match shape {
            Shape::Struct | Shape::Map => {
                let mut out = v.clone();
                for (k, child) in v.entries() {
                    let key = format!("f:{k}");
                    if gone(&key) {
                        out.remove(&[k]);
                    } else if last.get(&key).is_some() {
                        let c = if root { child_of_root(s, k) } else { s.child(k) }.unwrap_or(Sch::Deduced);
                        out.insert(k, walk(c, child, last.get(&key), keep.get(&key), false, depth + 1));
                    }
                }
                out
            }
            Shape::Set | Shape::Keyed(_) => v
                .items()
                .filter(|item| !gone(&item_element(&shape, item)))
                .map(|item| {
                    let key = item_element(&shape, item);
                    walk(s.element(), item, last.get(&key), keep.get(&key), false, depth + 1)
                })
                .collect(),
            Shape::Scalar | Shape::Atomic => v.clone(),
        }
    }
    walk(s, v, last, keep, true, 0)
}
