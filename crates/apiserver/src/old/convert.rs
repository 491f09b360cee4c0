//! From old manifests to today's, idempotent: what is in today's form already stays.

use api::{Value, obj};

fn default(v: &mut Value, key: &str, value: impl Into<Value>) {
    if v.get(key).is_null() {
        v.insert(key, value);
    }
}

fn rename(v: &mut Value, from: &str, to: &str) {
    if let Some(x) = v.remove(&[from]) {
        default(v, to, x);
    }
}

/// The selector was taken from the template's labels where it was left out.
pub(super) fn selector(v: &mut Value) {
    let labels = v.at(&["spec", "template", "metadata", "labels"]).clone();
    if v.at(&["spec", "selector"]).is_empty() && !labels.is_empty() {
        v.set(&["spec", "selector", "matchLabels"], labels);
    }
}

fn rolling(spec: &mut Value, surge: Value, unavailable: Value) {
    default(spec, "strategy", Value::map());
    let strategy = spec.slot(&["strategy"]);
    default(strategy, "type", "RollingUpdate");
    if strategy.get("type").text() == "RollingUpdate" {
        default(strategy, "rollingUpdate", Value::map());
        let r = strategy.slot(&["rollingUpdate"]);
        default(r, "maxSurge", surge);
        default(r, "maxUnavailable", unavailable);
    }
}

/// Histories and deadlines without end.
const FOREVER: i64 = i32::MAX as i64;

pub(super) fn deployment_extensions(v: &mut Value) {
    selector(v);
    let spec = v.slot(&["spec"]);
    rolling(spec, 1.into(), 1.into());
    default(spec, "revisionHistoryLimit", FOREVER);
    default(spec, "progressDeadlineSeconds", FOREVER);
    spec.remove(&["rollbackTo"]);
}

pub(super) fn deployment_v1beta1(v: &mut Value) {
    selector(v);
    let spec = v.slot(&["spec"]);
    default(spec, "revisionHistoryLimit", 2);
    spec.remove(&["rollbackTo"]);
}

pub(super) fn daemonset_extensions(v: &mut Value) {
    selector(v);
    let spec = v.slot(&["spec"]);
    default(spec, "updateStrategy", obj!({"type": "OnDelete"}));
    spec.remove(&["templateGeneration"]);
}

pub(super) fn statefulset_v1beta1(v: &mut Value) {
    selector(v);
    default(v.slot(&["spec"]), "updateStrategy", obj!({"type": "OnDelete"}));
}

fn backend(b: &mut Value) {
    let Some(name) = b.remove(&["serviceName"]) else { return };
    let port = b.remove(&["servicePort"]).unwrap_or_default();
    let number = port.as_int().or_else(|| port.text().parse().ok());
    let port = match number {
        Some(n) => obj!({"number": n}),
        None => obj!({"name": port}),
    };
    b.insert("service", obj!({"name": name, "port": port}));
}

pub(super) fn ingress(v: &mut Value) {
    if v.get("spec").as_map().is_none() {
        return;
    }
    let spec = v.slot(&["spec"]);
    rename(spec, "backend", "defaultBackend");
    if spec.get("defaultBackend").is_some() {
        backend(spec.slot(&["defaultBackend"]));
    }
    if spec.get("rules").as_list().is_none() {
        return;
    }
    for r in spec.slot(&["rules"]).list_mut() {
        if r.at(&["http", "paths"]).as_list().is_none() {
            continue;
        }
        for p in r.slot(&["http", "paths"]).list_mut() {
            default(p, "pathType", "ImplementationSpecific");
            if p.get("backend").is_some() {
                backend(p.slot(&["backend"]));
            }
        }
    }
}

/// Today's version of a kind that an old one refers to.
fn reference(v: &mut Value) {
    let now = match (v.api_version(), v.kind()) {
        ("extensions/v1beta1", "Ingress") | ("networking.k8s.io/v1beta1", _) => "networking.k8s.io/v1",
        ("extensions/v1beta1" | "apps/v1beta1" | "apps/v1beta2", _) => "apps/v1",
        _ => return,
    };
    v.insert("apiVersion", now);
}

fn goal(v: &mut Value) {
    for (old, kind, key) in [
        ("targetAverageUtilization", "Utilization", "averageUtilization"),
        ("targetAverageValue", "AverageValue", "averageValue"),
        ("targetValue", "Value", "value"),
    ] {
        if let Some(x) = v.remove(&[old]) {
            let mut target = obj!({"type": kind});
            target.insert(key, x);
            v.insert("target", target);
        }
    }
}

fn metric_name(v: &mut Value) {
    for (old, new) in [("metricName", "name"), ("metricSelector", "selector"), ("selector", "selector")] {
        if let Some(x) = v.remove(&[old]) {
            v.set(&["metric", new], x);
        }
    }
}

pub(super) fn autoscaler(v: &mut Value) {
    if v.at(&["spec", "scaleTargetRef"]).as_map().is_some() {
        reference(v.slot(&["spec", "scaleTargetRef"]));
    }
    v.remove(&["status"]);
    if v.at(&["spec", "metrics"]).as_list().is_none() {
        return;
    }
    for m in v.slot(&["spec", "metrics"]).list_mut() {
        for source in ["resource", "pods", "object", "external"] {
            if m.get(source).as_map().is_none() {
                continue;
            }
            let s = m.slot(&[source]);
            // The object was called the target.
            if source == "object" && s.at(&["target", "kind"]).is_some() {
                rename(s, "target", "describedObject");
            }
            if s.get("describedObject").as_map().is_some() {
                reference(s.slot(&["describedObject"]));
            }
            goal(s);
            metric_name(s);
        }
    }
}

pub(super) fn subjects(v: &mut Value) {
    if v.get("subjects").as_list().is_none() {
        return;
    }
    for s in v.slot(&["subjects"]).list_mut() {
        if s.remove(&["apiVersion"]).is_some() && s.kind() != "ServiceAccount" {
            default(s, "apiGroup", "rbac.authorization.k8s.io");
        }
        if s.kind() == "User" && s.get("name").text() == "*" {
            *s = obj!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"});
        }
    }
}

/// Schemas nested deeper are left as they are.
const DEPTH_MAX: usize = 32;

/// Old schemas left types out, and everything unknown was kept.
fn typed(s: &mut Value, depth: usize) {
    if depth > DEPTH_MAX || s.as_map().is_none() {
        return;
    }
    if s.get("type").text().is_empty() && !s.get("x-kubernetes-int-or-string").is_true() {
        let guess = match (s.get("properties").is_some(), s.get("items").is_some()) {
            (true, _) => "object",
            (_, true) => "array",
            _ if depth == 0 => "object",
            _ => {
                s.insert("x-kubernetes-preserve-unknown-fields", true);
                return;
            }
        };
        s.insert("type", guess);
    }
    if s.get("properties").as_map().is_some() {
        for (_, p) in s.slot(&["properties"]).map_mut().iter_mut() {
            typed(p, depth + 1);
        }
    }
    if s.get("items").as_map().is_some() {
        typed(s.slot(&["items"]), depth + 1);
    }
}

pub(super) fn definition(v: &mut Value) {
    if v.get("spec").as_map().is_none() {
        return;
    }
    let spec = v.slot(&["spec"]);
    let name = spec.remove(&["version"]);
    if let Some(name) = name.filter(|_| spec.get("versions").is_empty()) {
        spec.insert("versions", obj!([{"name": name, "served": true, "storage": true}]));
    }
    default(spec, "scope", "Namespaced");
    let keep = spec.remove(&["preserveUnknownFields"]) != Some(Value::Bool(false));
    let schema = spec.remove(&["validation"]);
    let columns = spec.remove(&["additionalPrinterColumns"]);
    let subresources = spec.remove(&["subresources"]);
    if spec.get("versions").as_list().is_none() {
        return;
    }
    for version in spec.slot(&["versions"]).list_mut() {
        if version.at(&["schema", "openAPIV3Schema"]).is_null() {
            let mut s = schema.as_ref().map(|s| s.get("openAPIV3Schema").clone()).unwrap_or_default();
            if s.is_null() {
                s = obj!({"type": "object"});
            }
            typed(&mut s, 0);
            if keep {
                s.insert("x-kubernetes-preserve-unknown-fields", true);
            }
            version.set(&["schema", "openAPIV3Schema"], s);
        }
        for (key, value) in [("additionalPrinterColumns", &columns), ("subresources", &subresources)] {
            if let (Value::Null, Some(x)) = (version.get(key), value) {
                let x = x.clone();
                version.insert(key, x);
            }
        }
        if version.get("additionalPrinterColumns").as_list().is_some() {
            for c in version.slot(&["additionalPrinterColumns"]).list_mut() {
                rename(c, "JSONPath", "jsonPath");
            }
        }
    }
}
