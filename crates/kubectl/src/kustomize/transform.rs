//! Transformers: namespace, prefix and suffix, labels, annotations, replicas, images.

use super::Item;
use crate::error::Error;
use api::Value;

/// Paths of labels and selectors that `commonLabels` reaches, and whether it makes them; the kinds, "*" for all.
const LABELS: &[(&[&str], &[&str], bool)] = &[
    (&["*"], &["metadata", "labels"], true),
    (&["Service", "ReplicationController"], &["spec", "selector"], true),
    (
        &["ReplicationController", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job"],
        TEMPLATE,
        true,
    ),
    (&["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"], &["spec", "selector", "matchLabels"], true),
    (&["Job", "PodDisruptionBudget"], &["spec", "selector", "matchLabels"], false),
    (&["CronJob"], &["spec", "jobTemplate", "metadata", "labels"], true),
    (&["CronJob"], &["spec", "jobTemplate", "spec", "template", "metadata", "labels"], true),
    (&["CronJob"], &["spec", "jobTemplate", "spec", "selector", "matchLabels"], false),
    (&["NetworkPolicy"], &["spec", "podSelector", "matchLabels"], false),
];
const TEMPLATE: &[&str] = &["spec", "template", "metadata", "labels"];

const ANNOTATIONS: &[(&[&str], &[&str])] = &[
    (&["*"], &["metadata", "annotations"]),
    (
        &["ReplicationController", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job"],
        &["spec", "template", "metadata", "annotations"],
    ),
    (&["CronJob"], &["spec", "jobTemplate", "metadata", "annotations"]),
    (&["CronJob"], &["spec", "jobTemplate", "spec", "template", "metadata", "annotations"]),
];

fn cluster_scoped(v: &Value) -> bool {
    let group = v.api_version().split_once('/').map_or("", |(g, _)| g);
    api::kinds::KINDS.iter().any(|k| k.group == group && k.kind == v.kind() && !k.namespaced)
}

fn set(v: &mut Value, path: &[&str], key: &str, x: &Value, make: bool) {
    if !make && v.at(path).is_null() {
        return;
    }
    let full: Vec<&str> = path.iter().copied().chain([key]).collect();
    v.set(&full, x);
}

fn has(kinds: &[&str], v: &Value) -> bool {
    kinds.contains(&"*") || kinds.contains(&v.kind())
}

/// Namespace, prefix and suffix, labels, annotations.
pub fn names_and_labels(k: &Value, all: &mut [Item]) {
    let (prefix, suffix) = (k.get("namePrefix").text(), k.get("nameSuffix").text());
    let namespace = k.get("namespace").text();
    for i in all.iter_mut() {
        if !namespace.is_empty() {
            in_namespace(&mut i.value, namespace);
        }
        let kind = i.value.kind();
        let fixed = matches!(kind, "Namespace" | "CustomResourceDefinition" | "APIService");
        if !(fixed || prefix.is_empty() && suffix.is_empty()) {
            let name = format!("{prefix}{}{suffix}", i.value.name());
            i.rename(name);
        }
        let v = &mut i.value;
        for (key, x) in k.get("commonLabels").entries() {
            label(v, key, x, true, true);
        }
        for l in k.get("labels").items() {
            let (selectors, templates) =
                (l.get("includeSelectors").is_true(), l.get("includeTemplates").is_true());
            for (key, x) in l.get("pairs").entries() {
                label(v, key, x, selectors, selectors || templates);
            }
        }
        for (key, x) in k.get("commonAnnotations").entries() {
            for (_, path) in ANNOTATIONS.iter().filter(|(kinds, _)| has(kinds, v)).collect::<Vec<_>>() {
                set(v, path, key, x, true);
            }
        }
    }
}

fn in_namespace(v: &mut Value, namespace: &str) {
    if v.kind() == "Namespace" {
        v.set(&["metadata", "name"], namespace);
    } else if !cluster_scoped(v) {
        v.set(&["metadata", "namespace"], namespace);
    }
    if v.kind().ends_with("RoleBinding") {
        let mut list: Vec<Value> = v.get("subjects").items().cloned().collect();
        let default = |s: &Value| s.kind() == "ServiceAccount" && s.get("name").text() == "default";
        list.iter_mut().filter(|s| default(s)).for_each(|s| s.insert("namespace", namespace));
        if !list.is_empty() {
            v.insert("subjects", list);
        }
    }
}

fn label(v: &mut Value, key: &str, x: &Value, selectors: bool, templates: bool) {
    for (kinds, path, make) in LABELS {
        let selector = path.contains(&"selector") || path.contains(&"podSelector");
        let template = path.len() > 2 && !selector;
        if has(kinds, v) && (!selector || selectors) && (!template || templates) {
            set(v, path, key, x, *make);
        }
    }
}

/// `replicas`
pub fn replicas(k: &Value, all: &mut [Item]) -> Result<(), Error> {
    for r in k.get("replicas").items() {
        let name = r.get("name").text();
        let mut found = false;
        for i in all.iter_mut() {
            let scales = matches!(
                i.value.kind(),
                "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController"
            );
            if scales && i.named(name) {
                i.value.set(&["spec", "replicas"], r.get("count"));
                found = true;
            }
        }
        if !found {
            return Err(Error::Text(format!(
                "resource with name {name} does not match a config with the following GVK [Deployment.[noVer].[noGrp] \
                 StatefulSet.[noVer].[noGrp] ReplicaSet.[noVer].[noGrp] ReplicationController.[noVer].[noGrp]]"
            )));
        }
    }
    Ok(())
}

/// `images`
pub fn images(k: &Value, all: &mut [Item]) {
    for i in all.iter_mut() {
        for image in k.get("images").items() {
            change_image(&mut i.value, image);
        }
    }
}

fn change_image(v: &mut Value, i: &Value) {
    match v {
        Value::Map(m) => {
            for (k, x) in m.iter_mut() {
                if matches!(k.as_str(), "containers" | "initContainers") && matches!(x, Value::List(_)) {
                    for c in x.list_mut() {
                        if let Some(new) = renamed(c.get("image").text(), i) {
                            c.insert("image", new);
                        }
                    }
                } else {
                    change_image(x, i);
                }
            }
        }
        Value::List(_) => v.list_mut().iter_mut().for_each(|x| change_image(x, i)),
        _ => {}
    }
}

/// The image as the entry has it, if it is the entry's.
fn renamed(old: &str, i: &Value) -> Option<String> {
    let (base, digest) = old.split_once('@').map_or((old, ""), |(b, d)| (b, d));
    let (name, tag) = match base.rfind(':').filter(|n| !base[*n..].contains('/')) {
        Some(n) => (&base[..n], &base[n + 1..]),
        None => (base, ""),
    };
    if name != i.get("name").text() {
        return None;
    }
    let mut new = match i.get("newName").text() {
        "" => name.to_owned(),
        n => n.to_owned(),
    };
    let given = |key: &str| match i.get(key) {
        Value::Null => String::new(),
        v => api::gofmt::value(v),
    };
    let (new_tag, new_digest) = (given("newTag"), given("digest"));
    let (tag, digest) = match (new_tag.as_str(), new_digest.as_str()) {
        ("", "") => (format!("{tag}{}", given("tagSuffix")), digest.to_owned()),
        (t, d) => (t.to_owned(), d.to_owned()),
    };
    if !tag.is_empty() {
        new += &format!(":{tag}");
    }
    if !digest.is_empty() {
        new += &format!("@{digest}");
    }
    Some(new)
}
