//! Helpers over pods and owners that several controllers need.

use super::Key;
use api::k;
use api::selector::Selector;
use api::{Value, obj};
use sim::{Civil, Duration};

/// Key of an object.
pub fn key_of(v: &Value) -> Key {
    (v.namespace().into(), v.name().into())
}

/// The selector of `spec.selector`; nothing if it does not parse.
pub fn selector_of(v: &Value) -> Selector {
    Selector::of(v.at(&["spec", "selector"])).unwrap_or_else(|_| Selector::nothing())
}

/// An owner reference that makes `owner` the controller.
pub fn controller_reference(owner: &Value) -> Value {
    obj!({
        "apiVersion": owner.api_version(), "kind": owner.kind(), "name": owner.name(), "uid": owner.uid(),
        "controller": true, "blockOwnerDeletion": true
    })
}

/// Whether `owner` controls `v`.
pub fn is_controlled_by(v: &Value, owner: &Value) -> bool {
    v.controller_ref().get("uid").text() == owner.uid()
}

/// Whether a pod's Ready condition is true.
pub fn is_ready(pod: &Value) -> bool {
    pod.condition("Ready").field(&k::STATUS).text() == "True"
}

/// Whether a pod has been ready for `min_ready_s` seconds at `now`.
pub fn is_available(pod: &Value, min_ready_s: i64, now: Civil) -> bool {
    if !is_ready(pod) {
        return false;
    }
    if min_ready_s == 0 {
        return true;
    }
    match Civil::parse(pod.condition("Ready").get("lastTransitionTime").text()) {
        Some(since) => since.unix() + min_ready_s <= now.unix(),
        None => false,
    }
}

/// When a ready pod becomes available, counted from `now`; `None` if it is not ready or already is.
pub fn available_in(pod: &Value, min_ready_s: i64, now: Civil) -> Option<Duration> {
    if !is_ready(pod) || is_available(pod, min_ready_s, now) {
        return None;
    }
    let since = Civil::parse(pod.condition("Ready").get("lastTransitionTime").text())?;
    Some(Duration::from_secs((since.unix() + min_ready_s - now.unix()).max(1) as u64))
}

/// Whether a pod counts as active: neither finished nor terminating.
pub fn is_active(pod: &Value) -> bool {
    !matches!(pod.field(&k::STATUS).field(&k::PHASE).text(), "Succeeded" | "Failed") && !pod.is_terminating()
}

/// Resolves an int-or-percent against a total.
pub fn int_or_percent(v: &Value, total: i64, round_up: bool) -> i64 {
    match v {
        Value::Int(i) => *i,
        Value::Str(s) => {
            let p: i64 = s.trim_end_matches('%').parse().unwrap_or(0);
            if round_up { (p * total + 99).div_euclid(100) } else { (p * total).div_euclid(100) }
        }
        _ => 0,
    }
}

/// A pod out of a template, owned by `owner`. Models: `GetPodFromTemplate`.
pub fn pod_from_template(template: &Value, owner: &Value) -> Value {
    let mut meta = obj!({"generateName": format!("{}-", owner.name()), "namespace": owner.namespace()});
    for k in ["labels", "annotations", "finalizers"] {
        let v = template.at(&["metadata", k]);
        if !v.is_empty() {
            meta.insert(k, v);
        }
    }
    meta.insert("ownerReferences", obj!([controller_reference(owner)]));
    obj!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template.get("spec")})
}
