//! Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902) and strategic merge patch, and the makers of patches that
//! `kubectl apply` and `edit` use. Which patch a resource takes, and what a result must obey, is left to `apiserver`.

mod json;
mod strategic;

pub use json::apply as json_patch;
pub use strategic::{strategic, three_way, two_way};

use crate::{Map, Value};

/// A message in upstream's words.
pub type Error = String;

/// Applies a JSON merge patch: null takes away, maps merge, all else replaces.
pub fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Map(p) = patch else { return patch.clone() };
    let mut out = match target {
        Value::Map(m) => m.clone(),
        _ => Map::default(),
    };
    for (k, v) in p.iter() {
        if v.is_null() {
            out.remove(k);
        } else {
            let merged = merge(out.field(k).unwrap_or(Value::null()), v);
            out.insert(k, merged);
        }
    }
    Value::Map(out)
}

/// Joins two merge patches: what both together would do, nulls kept.
fn merge_patches(first: &Value, second: &Value) -> Value {
    let (Value::Map(a), Value::Map(b)) = (first, second) else { return second.clone() };
    let mut out = a.clone();
    for (k, v) in b.iter() {
        let merged = match out.field(k) {
            Some(old) => merge_patches(old, v),
            None => v.clone(),
        };
        out.insert(k, merged);
    }
    Value::Map(out)
}

/// The JSON merge patch that makes `modified` of `original`.
pub fn create_merge(original: &Value, modified: &Value) -> Value {
    let mut out = Map::default();
    for (k, new) in modified.entries() {
        match (original.field(k), new) {
            (old, new) if old == new && original.as_map().is_some_and(|m| m.contains(k)) => {}
            (old @ Value::Map(_), Value::Map(_)) => {
                let inner = create_merge(old, new);
                if !inner.is_empty() {
                    out.insert(k, inner);
                }
            }
            (_, new) => {
                out.insert(k, new);
            }
        }
    }
    for (k, _) in original.entries() {
        if modified.as_map().is_none_or(|m| !m.contains(k)) {
            out.insert(k, Value::Null);
        }
    }
    Value::Map(out)
}

/// Only the nulls of a patch, or all but them. Empty maps that were there are values.
fn nulls(v: &Value, keep: bool) -> Value {
    let mut out = Map::default();
    for (k, v) in v.entries() {
        match v {
            Value::Null if keep => {
                out.insert(k, Value::Null);
            }
            Value::Null => {}
            Value::Map(m) if !m.is_empty() => {
                let inner = nulls(v, keep);
                if !inner.is_empty() {
                    out.insert(k, inner);
                }
            }
            v if !keep => {
                out.insert(k, v);
            }
            _ => {}
        }
    }
    Value::Map(out)
}

/// The JSON merge patch of `kubectl apply` for kinds without merge keys: deletes what `original` had and `modified`
/// lacks, adds and changes what differs from `current`.
pub fn three_way_merge(original: &Value, modified: &Value, current: &Value) -> Value {
    let changes = nulls(&create_merge(current, modified), false);
    let deletions = nulls(&create_merge(original, modified), true);
    merge_patches(&deletions, &changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;
    use crate::schema::TypeId;

    #[test]
    fn merges() {
        let doc = obj!({"a": {"b": 1, "c": 2}, "l": [1]});
        assert_eq!(
            merge(&doc, &obj!({"a": {"b": null, "d": {"e": null}}, "l": [2]})).to_json(),
            r#"{"a":{"c":2,"d":{}},"l":[2]}"#
        );
        assert_eq!(
            create_merge(&doc, &obj!({"a": {"b": 1, "c": 3}, "x": {}})).to_json(),
            r#"{"a":{"c":3},"l":null,"x":{}}"#
        );
        let p = three_way_merge(
            &obj!({"a": 1, "b": 2}),
            &obj!({"a": 1, "c": {"x": 1}}),
            &obj!({"a": 5, "b": 2, "s": 1}),
        );
        assert_eq!(p.to_json(), r#"{"a":1,"b":null,"c":{"x":1}}"#);
    }

    #[test]
    fn json_patches() {
        let doc = obj!({"data": {"a": "1"}, "l": ["x", "y"], "m~/n": 1});
        let run = |p: Value| match json_patch(&doc, &p) {
            Ok(v) => v.to_json(),
            Err(e) => e,
        };
        let op = |op: &str, path: &str, v: Value| obj!([{"op": op, "path": path, "value": v}]);
        assert_eq!(run(op("add", "/l/-", "z".into())), r#"{"data":{"a":"1"},"l":["x","y","z"],"m~/n":1}"#);
        assert_eq!(run(op("add", "/l/0", "z".into())), r#"{"data":{"a":"1"},"l":["z","x","y"],"m~/n":1}"#);
        assert_eq!(run(op("replace", "/m~0~1n", 2.into())), r#"{"data":{"a":"1"},"l":["x","y"],"m~/n":2}"#);
        assert_eq!(
            run(op("remove", "/data/zzz", Value::Null)),
            "error in remove for path: '/data/zzz': Unable to remove nonexistent key: zzz: missing value"
        );
        assert_eq!(run(op("test", "/data/a", "9".into())), "testing value /data/a failed: test failed");
        assert_eq!(
            run(op("replace", "/x/y", "9".into())),
            "replace operation does not apply: doc is missing path: /x/y: missing value"
        );
        assert_eq!(run(op("nope", "/data/a", Value::Null)), "Unexpected kind: nope");
        assert_eq!(
            run(op("add", "/l/9", Value::Null)),
            "error in add for path: '/l/9': Unable to access invalid index: 9: invalid index referenced"
        );
        assert_eq!(
            run(
                obj!([{"op": "move", "from": "/data/a", "path": "/b"}, {"op": "copy", "from": "/b", "path": "/c"}])
            ),
            r#"{"b":"1","c":"1","data":{},"l":["x","y"],"m~/n":1}"#
        );
    }

    fn pod() -> TypeId {
        TypeId::named("io.k8s.api.core.v1.Pod").unwrap()
    }

    #[test]
    fn strategic_patches() {
        let doc = obj!({"spec": {"containers": [
            {"name": "a", "image": "x:1", "ports": [{"containerPort": 80}], "args": ["q"]}, {"name": "b", "image": "y"}
        ], "volumes": [{"name": "v", "emptyDir": {}}]}, "metadata": {"finalizers": ["f1"]}});
        let run = |p: Value| match strategic(&doc, &p, Some(pod())) {
            Ok(v) => v.to_json(),
            Err(e) => e,
        };
        assert_eq!(
            run(
                obj!({"spec": {"containers": [{"name": "c", "image": "z"}, {"name": "a", "image": "x:2", "args": ["r"]}]}})
            ),
            r#"{"metadata":{"finalizers":["f1"]},"spec":{"containers":[{"image":"z","name":"c"},{"args":["r"],"image":"x:2","name":"a","ports":[{"containerPort":80}]},{"image":"y","name":"b"}],"volumes":[{"emptyDir":{},"name":"v"}]}}"#
        );
        assert_eq!(
            run(
                obj!({"spec": {"containers": [{"name": "a", "$patch": "delete"}], "volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]},
                "metadata": {"finalizers": ["f2"], "$deleteFromPrimitiveList/finalizers": ["f1"]}})
            ),
            r#"{"metadata":{"finalizers":["f2"]},"spec":{"containers":[{"image":"y","name":"b"}],"volumes":[{"configMap":{"name":"m"},"name":"v"}]}}"#
        );
        assert_eq!(
            run(obj!({"spec": {"containers": [{"image": "noname"}]}})),
            "map: map[image:noname] does not contain declared merge key: name"
        );
        assert_eq!(
            run(
                obj!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "n"}]}})
            ),
            r#"{"metadata":{"finalizers":["f1"]},"spec":{"containers":[{"image":"y","name":"b"},{"args":["q"],"image":"n","name":"a","ports":[{"containerPort":80}]}],"volumes":[{"emptyDir":{},"name":"v"}]}}"#
        );
        assert_eq!(
            run(obj!({"spec": {"$patch": "replace", "x": 1}})),
            r#"{"metadata":{"finalizers":["f1"]},"spec":{"x":1}}"#
        );
    }

    #[test]
    fn diffs_make_what_they_should() {
        let a = obj!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}], "nodeName": "n"},
            "metadata": {"finalizers": ["x", "y"]}});
        let b = obj!({"spec": {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "1"}]},
            "metadata": {"finalizers": ["y", "z"]}});
        let p = two_way(&a, &b, Some(pod())).unwrap();
        assert_eq!(
            p.to_json(),
            r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"],"$setElementOrder/finalizers":["y","z"],"finalizers":["z"]},"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"c"}],"containers":[{"image":"2","name":"b"},{"image":"1","name":"c"},{"$patch":"delete","name":"a"}],"nodeName":null}}"#
        );
        assert_eq!(strategic(&a, &p, Some(pod())).unwrap(), b);
        // What the server added stays; what the user took away goes.
        let mut live = a.clone();
        live.set(&["status", "phase"], "Running");
        live.set(&["spec", "containers", "0", "imagePullPolicy"], "Always");
        let p = three_way(&a, &b, &live, Some(pod())).unwrap();
        let mut want = b.clone();
        want.set(&["status", "phase"], "Running");
        assert_eq!(strategic(&live, &p, Some(pod())).unwrap(), want);
        assert!(three_way(&a, &a, &live, Some(pod())).unwrap().is_empty());
    }
}
