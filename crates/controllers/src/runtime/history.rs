//! The history of a template, kept as ControllerRevisions, for DaemonSets and StatefulSets.
//!
//! Models: `pkg/controller/history`.

use super::{Turn, controller_reference, is_controlled_by};
use api::{Value, gostruct, obj};
use apiserver::{ResId, Status};

/// What a revision records of a set: its template, as a patch that replaces the whole of it.
pub fn snapshot(set: &Value) -> Value {
    let mut template = set.at(&["spec", "template"]).clone();
    template.insert("$patch", "replace");
    obj!({"spec": {"template": template}})
}

/// The hash that names a StatefulSet's revision: FNV-1, not FNV-1a as elsewhere, over the record and the collision
/// count in digits. Models: `HashControllerRevision`.
pub fn hash(set: &Value, collisions: i64) -> String {
    let text = format!("{}{collisions}", snapshot(set).to_json());
    let fnv = |h: u32, b: u8| h.wrapping_mul(0x0100_0193) ^ u32::from(b);
    gostruct::safe_encode(text.bytes().fold(0x811c_9dc5, fnv))
}

/// A template as a revision recorded it.
pub fn recorded_template(revision: &Value) -> Value {
    let mut t = revision.at(&["data", "spec", "template"]).clone();
    t.remove(&["$patch"]);
    t
}

/// The revisions of a set, oldest first.
pub fn revisions(turn: &Turn<'_>, res: ResId, set: &Value) -> Vec<Value> {
    let mut all: Vec<Value> =
        turn.informers.list(res, set.namespace()).filter(|r| is_controlled_by(r, set)).cloned().collect();
    all.sort_by(|a, b| {
        let n = |r: &Value| r.get("revision").int();
        n(a).cmp(&n(b)).then_with(|| a.name().cmp(b.name()))
    });
    all
}

/// Finds the revision of the set's template and makes it the newest; makes it if there is none. `name` and `label` are
/// those of a new one.
pub fn current(
    turn: &mut Turn<'_>,
    res: ResId,
    set: &Value,
    all: &[Value],
    name: &str,
    label: (&str, &str),
) -> Result<Value, Status> {
    let data = snapshot(set);
    let newest = all.last().map_or(0, |r| r.get("revision").int());
    if let Some(same) = all.iter().rev().find(|r| r.get("data") == &data) {
        if same.get("revision").int() == newest {
            return Ok(same.clone());
        }
        let mut again = same.clone();
        again.insert("revision", newest + 1);
        return turn.client.update(res, again);
    }
    let mut labels = set.at(&["spec", "template", "metadata", "labels"]).clone();
    labels.insert(label.0, label.1);
    let mut meta = obj!({
        "name": name, "namespace": set.namespace(), "labels": labels,
        "ownerReferences": [controller_reference(set)]
    });
    if !set.annotations().is_empty() {
        meta.insert("annotations", set.annotations());
    }
    let new = obj!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta, "data": &data, "revision": newest + 1
    });
    match turn.client.create(res, set.namespace(), new) {
        // Our own, not in the cache yet.
        Err(s) if s.reason == "AlreadyExists" => {
            let there = turn.client.get(res, set.namespace(), name)?;
            if is_controlled_by(&there, set) && there.get("data") == &data { Ok(there) } else { Err(s) }
        }
        r => r,
    }
}

/// Deletes the oldest revisions beyond the set's limit, of those that `live` does not keep.
pub fn truncate(
    turn: &mut Turn<'_>,
    res: ResId,
    set: &Value,
    all: &[Value],
    live: impl Fn(&Value) -> bool,
) -> Result<(), Status> {
    let limit = set.at(&["spec", "revisionHistoryLimit"]).as_int().unwrap_or(10);
    let old: Vec<&Value> = all.iter().filter(|r| !live(r)).collect();
    let surplus = (old.len() as i64 - limit).max(0) as usize;
    for r in old.into_iter().take(surplus) {
        match turn.client.delete(res, r.namespace(), r.name(), Value::Null) {
            Err(s) if s.code != 404 => return Err(s),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn a_revision_is_named_as_the_real_one_is() {
    let container = obj!({
        "image": "postgres", "imagePullPolicy": "Always", "name": "c", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "volumeMounts": [{"mountPath": "/d", "name": "data"}]
    });
    let set = obj!({"spec": {"template": {
        "metadata": {"labels": {"app": "db"}},
        "spec": {
            "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30
        }
    }}});
    assert_eq!(hash(&set, 0), "dd8f6948c");
}
