//! Objects shown in other clothes: `Scale`, `events.k8s.io`, `autoscaling/v1`.

use crate::{ApiServer, Op, Resource, Status};
use api::{Value, obj, selector::Selector};

/// Shows a stored object in another version's form.
pub(crate) fn convert(to: &Resource, mut v: Value) -> Value {
    v.insert("apiVersion", to.api_version());
    match (to.group.as_str(), to.kind.as_str()) {
        ("events.k8s.io", "Event") => event_from_core(v),
        ("autoscaling", "HorizontalPodAutoscaler") if to.version == "v1" => hpa_to_v1(v),
        _ => v,
    }
}

/// Brings an object of another version into the form that is stored.
pub(crate) fn convert_back(from: &Resource, storage: &Resource, mut v: Value) -> Value {
    v.insert("apiVersion", storage.api_version());
    match (from.group.as_str(), from.kind.as_str()) {
        ("events.k8s.io", "Event") => event_to_core(v),
        ("autoscaling", "HorizontalPodAutoscaler") if from.version == "v1" => hpa_from_v1(v),
        _ => v,
    }
}

const EVENT_FIELDS: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn rename(v: &mut Value, from: &str, to: &str) {
    if let Some(x) = v.remove(&[from]) {
        v.insert(to, x);
    }
}

fn event_from_core(mut v: Value) -> Value {
    for (core, new) in EVENT_FIELDS {
        rename(&mut v, core, new);
    }
    rename(&mut v, "reportingComponent", "reportingController");
    v
}

fn event_to_core(mut v: Value) -> Value {
    for (core, new) in EVENT_FIELDS {
        rename(&mut v, new, core);
    }
    rename(&mut v, "reportingController", "reportingComponent");
    v
}

fn hpa_to_v1(mut v: Value) -> Value {
    let cpu = |list: &Value, of: &str, key: &str| {
        list.items()
            .find(|m| m.at(&["resource", "name"]).text() == "cpu")
            .map_or(Value::Null, |m| m.at(&["resource", of, key]).clone())
    };
    let target = cpu(v.at(&["spec", "metrics"]), "target", "averageUtilization");
    let current = cpu(v.at(&["status", "currentMetrics"]), "current", "averageUtilization");
    v.remove(&["spec", "metrics"]);
    v.remove(&["spec", "behavior"]);
    v.remove(&["status", "currentMetrics"]);
    v.remove(&["status", "conditions"]);
    if target.is_some() {
        v.set(&["spec", "targetCPUUtilizationPercentage"], target);
    }
    if current.is_some() {
        v.set(&["status", "currentCPUUtilizationPercentage"], current);
    }
    v
}

fn hpa_from_v1(mut v: Value) -> Value {
    if let Some(target) = v.remove(&["spec", "targetCPUUtilizationPercentage"]) {
        let target = obj!({"type": "Utilization", "averageUtilization": target});
        v.set(
            &["spec", "metrics"],
            obj!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
        );
    }
    if let Some(current) = v.remove(&["status", "currentCPUUtilizationPercentage"]) {
        let current = obj!({"averageUtilization": current});
        v.set(
            &["status", "currentMetrics"],
            obj!([{"type": "Resource", "resource": {"name": "cpu", "current": current}}]),
        );
    }
    v
}

impl ApiServer {
    /// The `Scale` of an object with replicas.
    pub(crate) fn scale_of(&self, r: &Resource, v: &Value) -> Value {
        let meta = v.get("metadata");
        let mut m = Value::map();
        for k in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if meta.get(k).is_some() {
                m.insert(k, meta.get(k));
            }
        }
        let (replicas, current, selector) = match r.builtin {
            Some(_) => {
                let selector = v.at(&["spec", "selector"]);
                let selector = if r.kind == "ReplicationController" {
                    Selector::of_labels(selector).to_string()
                } else {
                    Selector::of(selector).map(|s| s.to_string()).unwrap_or_default()
                };
                (v.at(&["spec", "replicas"]).int(), v.at(&["status", "replicas"]).int(), selector)
            }
            None => {
                let at = |key: &str| {
                    let path = r
                        .custom
                        .at(&["subresources", "scale", key])
                        .text()
                        .trim_start_matches('.')
                        .to_owned();
                    let parts: Vec<&str> = path.split('.').collect();
                    v.at(&parts).clone()
                };
                (
                    at("specReplicasPath").int(),
                    at("statusReplicasPath").int(),
                    at("labelSelectorPath").text().to_owned(),
                )
            }
        };
        let mut status = obj!({"replicas": current});
        if !selector.is_empty() {
            status.insert("selector", selector);
        }
        let mut spec = Value::map();
        if replicas != 0 {
            spec.insert("replicas", replicas);
        }
        obj!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": m, "spec": spec, "status": status})
    }

    /// What an update of a `Scale` makes of the object.
    pub(crate) fn with_scale(
        &self,
        r: &Resource,
        op: &Op,
        old: &Value,
        scale: &Value,
    ) -> Result<Value, Status> {
        let replicas = scale.at(&["spec", "replicas"]).int();
        if replicas < 0 {
            let mut errors = api::field::Errors::default();
            let root = api::field::At::Path("spec.replicas");
            errors.invalid(&root, replicas, "must be greater than or equal to 0");
            return Err(Status::invalid("autoscaling", "Scale", &op.name, &errors));
        }
        let rv = scale.at(&["metadata", "resourceVersion"]).text();
        if !rv.is_empty() && rv != old.at(&["metadata", "resourceVersion"]).text() {
            return Err(Status::stale(&r.group, &r.plural, &op.name));
        }
        let mut new = old.clone();
        match r.builtin {
            Some(_) => new.set(&["spec", "replicas"], replicas),
            None => {
                let path = r
                    .custom
                    .at(&["subresources", "scale", "specReplicasPath"])
                    .text()
                    .trim_start_matches('.');
                let parts: Vec<&str> = path.split('.').collect();
                new.set(&parts, replicas);
            }
        }
        Ok(new)
    }
}
