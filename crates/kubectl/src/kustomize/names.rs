//! References to objects whose names have changed. Models: kustomize's name reference transformer.

use super::Item;
use api::Value;

/// Where a kind's name stands in other objects: the kind, the field that holds the reference ("" where the reference is
/// the field itself), the field with the name.
const REFERENCES: [(&str, &str, &str); 19] = [
    ("ConfigMap", "configMap", "name"),
    ("ConfigMap", "configMapRef", "name"),
    ("ConfigMap", "configMapKeyRef", "name"),
    ("Secret", "secret", "secretName"),
    ("Secret", "secret", "name"),
    ("Secret", "secretRef", "name"),
    ("Secret", "secretKeyRef", "name"),
    ("Secret", "imagePullSecrets", "name"),
    ("Secret", "tls", "secretName"),
    ("Service", "service", "name"),
    ("Service", "", "serviceName"),
    ("ServiceAccount", "", "serviceAccountName"),
    ("ServiceAccount", "", "serviceAccount"),
    ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
    ("PersistentVolume", "", "volumeName"),
    ("StorageClass", "", "storageClassName"),
    ("PriorityClass", "", "priorityClassName"),
    ("IngressClass", "", "ingressClassName"),
    ("RuntimeClass", "", "runtimeClassName"),
];

/// A rename: kind, names before, name and namespace now.
type Rename = (String, Vec<String>, String, String);

/// Brings all references up to date.
pub fn follow(items: &mut [Item]) {
    let renames: Vec<Rename> = items
        .iter()
        .map(|i| {
            let v = &i.value;
            (v.kind().to_owned(), i.was.clone(), v.name().to_owned(), v.namespace().to_owned())
        })
        .collect();
    for i in items.iter_mut() {
        let namespace = i.value.namespace().to_owned();
        let kind = i.value.kind().to_owned();
        walk(&mut i.value, "", &namespace, &renames);
        if kind.ends_with("RoleBinding") {
            subjects(&mut i.value, &renames);
        }
    }
}

/// What a name of a kind has become.
fn now<'a>(renames: &'a [Rename], kind: &str, old: &str, namespace: &str) -> Option<&'a Rename> {
    let fits = |r: &&Rename| r.0 == kind && r.1.iter().any(|w| w == old);
    renames.iter().filter(fits).find(|r| r.3 == namespace).or_else(|| renames.iter().find(fits))
}

fn walk(v: &mut Value, holder: &str, namespace: &str, renames: &[Rename]) {
    match v {
        Value::Map(_) => {
            for (kind, under, field) in REFERENCES {
                if !(under.is_empty() || under == holder) {
                    continue;
                }
                let Some(r) = now(renames, kind, v.get(field).text(), namespace) else { continue };
                v.insert(field, r.2.as_str());
            }
            // What says its kind: the targets of autoscalers, roles, owners.
            if matches!(holder, "scaleTargetRef" | "roleRef" | "targetRef") {
                let r = now(renames, v.kind(), v.get("name").text(), namespace);
                if let Some(r) = r {
                    let name = r.2.clone();
                    v.insert("name", name);
                }
            }
            let Value::Map(m) = v else { return };
            for (k, x) in m.iter_mut() {
                walk(x, k.as_str(), namespace, renames);
            }
        }
        Value::List(_) => v.list_mut().iter_mut().for_each(|x| walk(x, holder, namespace, renames)),
        _ => {}
    }
}

/// Service accounts that bindings name, with their namespaces.
fn subjects(v: &mut Value, renames: &[Rename]) {
    let mut list: Vec<Value> = v.get("subjects").items().cloned().collect();
    for s in list.iter_mut().filter(|s| s.kind() == "ServiceAccount") {
        let name = s.get("name").text().to_owned();
        let found = renames.iter().find(|r| r.0 == "ServiceAccount" && (r.2 == name || r.1.contains(&name)));
        if let Some(r) = found {
            s.insert("name", r.2.as_str());
            if !r.3.is_empty() {
                s.insert("namespace", r.3.as_str());
            }
        }
    }
    if !list.is_empty() {
        v.insert("subjects", list);
    }
}
