//! Sets of fields in the form in which `fieldsV1` holds them: a tree whose nodes are members if they are empty or have
//! an entry `.`. Models: structured-merge-diff's `fieldpath.Set`.

use api::{Value, parse_json};

/// The entry by which a node with children is a member itself.
const SELF: &str = ".";

/// Whether the node itself is a member.
pub fn is_member(node: &Value) -> bool {
    node.as_map().is_some_and(|m| m.is_empty() || m.contains(SELF))
}

/// The children of a node.
fn children(node: &Value) -> impl Iterator<Item = (&str, &Value)> {
    node.entries().map(|(k, v)| (k.as_str(), v)).filter(|(k, _)| *k != SELF)
}

/// Builds a node out of whether it is a member and its children; null if nothing is left.
fn node(member: bool, kids: Vec<(&str, Value)>) -> Value {
    if kids.is_empty() {
        return if member { Value::map() } else { Value::Null };
    }
    let mut v: Value = kids.into_iter().collect();
    if member {
        v.insert(SELF, Value::map());
    }
    v
}

/// Adds a path.
pub fn insert(set: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        match set.get(first) {
            Value::Null => set.insert(first.as_str(), Value::map()),
            v if !v.is_empty() => set.set(&[first, SELF], Value::map()),
            _ => {}
        }
        return;
    }
    if set.get(first).as_map().is_some_and(|m| m.is_empty()) {
        // A leaf stays a member when it gets children.
        set.set(&[first, SELF], Value::map());
    }
    insert(set.slot(&[first]), rest);
}

/// What is in either. Null is the empty set.
pub fn union(a: &Value, b: &Value) -> Value {
    if a.is_null() || a.same(b) {
        return b.clone();
    }
    if b.is_null() {
        return a.clone();
    }
    let mut kids: Vec<(&str, Value)> = children(a).map(|(k, v)| (k, union(v, b.get(k)))).collect();
    kids.extend(children(b).filter(|(k, _)| a.get(k).is_null()).map(|(k, v)| (k, v.clone())));
    node(is_member(a) || is_member(b), kids)
}

/// What is in both.
pub fn intersection(a: &Value, b: &Value) -> Value {
    if a.is_null() || b.is_null() {
        return Value::Null;
    }
    let kids =
        children(a).map(|(k, v)| (k, intersection(v, b.get(k)))).filter(|(_, v)| v.is_some()).collect();
    node(is_member(a) && is_member(b), kids)
}

/// What is in the first only.
pub fn difference(a: &Value, b: &Value) -> Value {
    if a.is_null() || b.is_null() {
        return a.clone();
    }
    let kids = children(a).map(|(k, v)| (k, difference(v, b.get(k)))).filter(|(_, v)| v.is_some()).collect();
    node(is_member(a) && !is_member(b), kids)
}

/// The set without a subtree.
pub fn without(set: &Value, path: &[&str]) -> Value {
    let mut v = set.clone();
    v.remove(path);
    // Parents that held nothing else go too.
    for n in (1..path.len()).rev() {
        if v.at(&path[..n]).as_map().is_some_and(|m| m.is_empty()) {
            v.remove(&path[..n]);
        }
    }
    v
}

/// Whether the set has no members.
pub fn is_empty(set: &Value) -> bool {
    children(set).next().is_none()
}

/// All members as paths as messages print them: `.spec.containers[name="c"].image`.
pub fn paths(set: &Value) -> Vec<String> {
    fn walk(v: &Value, at: &str, out: &mut Vec<String>) {
        for (k, child) in children(v) {
            let here = format!("{at}{}", element(k));
            if is_member(child) {
                out.push(here.clone());
            }
            walk(child, &here, out);
        }
    }
    let mut out = Vec::new();
    walk(set, "", &mut out);
    out
}

fn element(k: &str) -> String {
    match k.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let keys = parse_json(keys).map(|(v, _)| v).unwrap_or_default();
            let all: Vec<String> = keys.entries().map(|(k, v)| format!("{k}={}", v.to_json())).collect();
            format!("[{}]", all.join(","))
        }
        Some(("i", n)) => format!("[{n}]"),
        _ => k.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::obj;

    #[test]
    fn sets() {
        let p = |s: &[&str]| s.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let mut a = Value::map();
        insert(&mut a, &p(&["f:spec", "f:a"]));
        insert(&mut a, &p(&["f:spec", "f:list", "k:{\"name\":\"c\"}"]));
        insert(&mut a, &p(&["f:spec", "f:list", "k:{\"name\":\"c\"}", "f:image"]));
        assert_eq!(
            a.to_json(),
            r#"{"f:spec":{"f:a":{},"f:list":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}}}}"#
        );
        assert_eq!(paths(&a), [".spec.a", r#".spec.list[name="c"]"#, r#".spec.list[name="c"].image"#]);
        let b = obj!({"f:spec": {"f:a": {}}});
        assert_eq!(intersection(&a, &b), b);
        assert!(difference(&b, &a).is_null());
        assert_eq!(union(&b, &a), a);
    }
}
