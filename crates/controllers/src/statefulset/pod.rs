//! The pods and claims of a StatefulSet: their identity.

use crate::runtime::{controller_reference, history, pod_from_template};
use api::{SmolStr, Value, obj};

pub(super) const REVISION: &str = "controller-revision-hash";
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinal of a pod of the set; `None` if its name is not of the set.
pub(super) fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let (parent, n) = pod.name().rsplit_once('-')?;
    if parent == set.name() { n.parse().ok() } else { None }
}

/// The first ordinal.
pub(super) fn start(set: &Value) -> i64 {
    set.at(&["spec", "ordinals", "start"]).int()
}

/// The name of the claim of a template for an ordinal.
pub(super) fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", template.name(), set.name())
}

/// The pod of an ordinal at a revision.
pub(super) fn build(set: &Value, revision: &Value, ordinal: i64) -> Value {
    let mut pod = pod_from_template(&history::recorded_template(revision), set);
    let name = format!("{}-{ordinal}", set.name());
    pod.set(&["metadata", "name"], name.as_str());
    pod.set(&["metadata", "labels", REVISION], revision.name());
    pod.set(&["metadata", "labels", POD_NAME], name.as_str());
    pod.set(&["metadata", "labels", POD_INDEX], ordinal.to_string());
    pod.set(&["spec", "hostname"], name);
    let service = set.at(&["spec", "serviceName"]).text();
    if !service.is_empty() {
        pod.set(&["spec", "subdomain"], service);
    }
    let templates = set.at(&["spec", "volumeClaimTemplates"]);
    if templates.is_empty() {
        return pod;
    }
    let mut volumes: Vec<Value> = templates
        .items()
        .map(|t| {
            let claim = claim_name(set, t, ordinal);
            obj!({"name": t.name(), "persistentVolumeClaim": {"claimName": claim}})
        })
        .collect();
    // A claim takes the place of a volume of its name.
    let claimed: Vec<SmolStr> = templates.items().map(|t| t.name().into()).collect();
    let others = pod.at(&["spec", "volumes"]).items();
    let others: Vec<Value> =
        others.filter(|v| !claimed.iter().any(|c| c == v.get("name").text())).cloned().collect();
    volumes.extend(others);
    pod.set(&["spec", "volumes"], volumes);
    pod
}

/// The claim of a template for an ordinal.
pub(super) fn build_claim(set: &Value, template: &Value, ordinal: i64) -> Value {
    let mut labels = template.labels().clone();
    for (k, v) in set.at(&["spec", "selector", "matchLabels"]).entries() {
        labels.insert(k.as_str(), v);
    }
    let mut meta = obj!({
        "name": claim_name(set, template, ordinal), "namespace": set.namespace(), "labels": labels
    });
    if !template.annotations().is_empty() {
        meta.insert("annotations", template.annotations());
    }
    obj!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": template.get("spec")})
}

/// The owners that the retention policy gives a claim. `condemned` is the claim's pod, if it is to go.
pub(super) fn claim_owners(set: &Value, claim: &Value, condemned: Option<&Value>) -> Value {
    let policy = |k: &str| set.at(&["spec", "persistentVolumeClaimRetentionPolicy", k]).text() == "Delete";
    let pod_kind = |o: &Value| o.get("kind").text() == "Pod" && o.get("apiVersion").text() == "v1";
    let mut owners: Vec<Value> = claim
        .at(&["metadata", "ownerReferences"])
        .items()
        .filter(|o| o.get("uid").text() != set.uid() && !pod_kind(o))
        .cloned()
        .collect();
    match condemned {
        Some(pod) if policy("whenScaled") => owners.push(obj!({
            "apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid(), "controller": true,
            "blockOwnerDeletion": true
        })),
        _ if policy("whenDeleted") => owners.push(controller_reference(set)),
        _ => {}
    }
    Value::from(owners)
}
