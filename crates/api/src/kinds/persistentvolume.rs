//! PersistentVolume and PersistentVolumeClaim.

use super::{Rules, check, default, diff, object_age, scheduling, volume, workload};
use crate::field::{At, Errors};
use crate::quantity::Quantity;
use crate::selector::Selector;
use crate::{Value, obj};

/// Defaults of a claim, also of a StatefulSet's templates.
pub fn claim_defaults(v: &mut Value) {
    default(v.slot(&["spec"]), "volumeMode", "Filesystem");
    if v.at(&["status", "phase"]).text().is_empty() {
        v.set(&["status", "phase"], "Pending");
    }
}

/// `RWO,ROX`
pub fn modes(v: &Value) -> String {
    let has = |m: &str| v.items().any(|x| x.text() == m);
    let all = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    all.iter().filter(|(m, _)| has(m)).map(|(_, s)| *s).collect::<Vec<_>>().join(",")
}

const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The name of a claim's or volume's class.
pub fn class(v: &Value) -> &str {
    match v.annotations().get(CLASS).as_str() {
        Some(c) => c,
        None => v.at(&["spec", "storageClassName"]).text(),
    }
}

/// What a claim asks for, or a volume has, in 10⁻⁹ bytes.
pub fn size(v: &Value) -> i128 {
    let claimed = v.at(&["spec", "resources", "requests", "storage"]);
    let q = if claimed.is_some() { claimed } else { v.at(&["spec", "capacity", "storage"]) };
    Quantity::or_zero(q).nanos()
}

/// Whether a volume has what a claim asks for. Whether it is free is another question.
pub fn satisfies(volume: &Value, claim: &Value) -> bool {
    let modes = volume.at(&["spec", "accessModes"]);
    let selector = claim.at(&["spec", "selector"]);
    class(volume) == class(claim)
        && volume.at(&["spec", "volumeMode"]) == claim.at(&["spec", "volumeMode"])
        && size(volume) >= size(claim)
        && claim.at(&["spec", "accessModes"]).items().all(|m| modes.items().any(|x| x == m))
        && (selector.is_null() || Selector::of(selector).is_ok_and(|s| s.matches(volume.labels())))
}

fn phase(v: &Value) -> Value {
    if v.is_terminating() { "Terminating".into() } else { v.at(&["status", "phase"]).text().into() }
}

fn attributes_class(v: &Value) -> Value {
    match v.at(&["spec", "volumeAttributesClassName"]).text() {
        "" => "<unset>".into(),
        c => c.into(),
    }
}

/// PersistentVolumeClaim.
pub const CLAIM: Rules = Rules {
    of: ("", "PersistentVolumeClaim"),
    defaults: claim_defaults,
    prepare: |new, old| {
        workload::keep_status(new, old, obj!({"phase": "Pending"}));
        // A claim's data source and its reference say the same.
        let spec = new.slot(&["spec"]);
        if spec.get("dataSource").is_some() && spec.get("dataSourceRef").is_null() {
            let source = spec.get("dataSource").clone();
            spec.insert("dataSourceRef", source);
        }
    },
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        check::selector(spec.get("selector"), &at.field("selector"), e);
        volume::access_modes(spec, &at, e);
        let resources = at.field("resources");
        let storage = spec.at(&["resources", "requests", "storage"]);
        if storage.is_null() {
            e.required(&resources.key("storage"), "");
        } else {
            let q = Quantity::or_zero(storage);
            if q.is_zero() || q.is_negative() {
                e.invalid(&resources.key("storage"), storage.text(), "must be greater than zero");
            }
        }
        let name = spec.get("storageClassName").text();
        if !name.is_empty() {
            let at = at.field("storageClassName");
            check::messages(name, crate::names::dns_subdomain(name), &at, e);
        }
    },
    validate_update: claim_update,
    cells: Some(|v, now| {
        let bound = !v.at(&["spec", "volumeName"]).text().is_empty();
        let or_empty = |t: String| Value::from(if bound { t } else { String::new() });
        vec![
            v.name().into(),
            phase(v),
            v.at(&["spec", "volumeName"]).text().into(),
            or_empty(v.at(&["status", "capacity", "storage"]).text().into()),
            or_empty(modes(v.at(&["status", "accessModes"]))),
            class(v).into(),
            attributes_class(v),
            object_age(v, now),
            v.at(&["spec", "volumeMode"]).as_str().unwrap_or("<unset>").into(),
        ]
    }),
    ..Rules::GENERIC
};

fn claim_update(new: &Value, old: &Value, e: &mut Errors) {
    let (n, o, at) = (new.get("spec"), old.get("spec"), At::Path("spec"));
    let bound = old.at(&["status", "phase"]).text() == "Bound";
    let mut probe = n.clone();
    if bound {
        match o.at(&["resources", "requests", "storage"]) {
            Value::Null => {}
            v => probe.set(&["resources", "requests", "storage"], v),
        }
        match o.get("volumeAttributesClassName") {
            Value::Null => {
                probe.remove(&["volumeAttributesClassName"]);
            }
            v => probe.insert("volumeAttributesClassName", v),
        }
    }
    // The binder sets the volume's name and the class once.
    for key in ["volumeName", "storageClassName"] {
        if o.get(key).text().is_empty() && (key == "volumeName" || o.get(key).is_null()) {
            match o.get(key) {
                Value::Null => {
                    probe.remove(&[key]);
                }
                v => probe.insert(key, v),
            }
        }
    }
    if probe != *o {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                   claims";
        let diff = diff::of("io.k8s.api.core.v1.PersistentVolumeClaimSpec", o, &probe);
        e.forbidden(&at, &format!("{why}\n{diff}"));
        return;
    }
    let size = |v: &Value| Quantity::or_zero(v.at(&["resources", "requests", "storage"])).nanos();
    let capacity = Quantity::or_zero(old.at(&["status", "capacity", "storage"])).nanos();
    if size(n) < size(o) && size(n) < capacity.max(1) {
        let at = At::Path("spec.resources.requests.storage");
        e.forbidden(&at, "field can not be less than status.capacity");
    }
}

/// Fields of a PersistentVolume's spec that are no source.
const OWN: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeMode",
    "volumeAttributesClassName",
];

/// PersistentVolume.
pub const VOLUME: Rules = Rules {
    of: ("", "PersistentVolume"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        default(spec, "persistentVolumeReclaimPolicy", "Retain");
        default(spec, "volumeMode", "Filesystem");
        if spec.get("hostPath").is_some() {
            default(spec.slot(&["hostPath"]), "type", "");
        }
        if v.at(&["status", "phase"]).text().is_empty() {
            v.set(&["status", "phase"], "Pending");
        }
    },
    prepare: |new, old| match old {
        None => {
            let now = new.at(&["metadata", "creationTimestamp"]).clone();
            new.set(&["status"], obj!({"phase": "Pending", "lastPhaseTransitionTime": now}));
        }
        Some(old) => new.set(&["status"], old.get("status")),
    },
    validate: volume_rules,
    validate_update: |new, old, e| {
        let source = |v: &Value| -> Value {
            v.get("spec").entries().filter(|(k, _)| !OWN.contains(&k.as_str())).collect()
        };
        let (n, o) = (source(new), source(old));
        if n != o {
            let why = "spec.persistentvolumesource is immutable after creation";
            let diff = diff::volume_sources(&o, &n);
            e.forbidden(&At::Path("spec.persistentvolumesource"), &format!("{why}\n{diff}"));
        }
        check::immutable(new.get("spec"), old.get("spec"), "volumeMode", &At::Path(""), e);
    },
    cells: Some(|v, now| {
        let claim = v.at(&["spec", "claimRef"]);
        let claim = match claim.get("name").text() {
            "" => String::new(),
            name => format!("{}/{name}", claim.get("namespace").text()),
        };
        vec![
            v.name().into(),
            v.at(&["spec", "capacity", "storage"]).text().into(),
            modes(v.at(&["spec", "accessModes"])).into(),
            v.at(&["spec", "persistentVolumeReclaimPolicy"]).text().into(),
            phase(v),
            claim.into(),
            class(v).into(),
            attributes_class(v),
            v.at(&["status", "reason"]).text().into(),
            object_age(v, now),
            v.at(&["spec", "volumeMode"]).as_str().unwrap_or("<unset>").into(),
        ]
    }),
    ..Rules::GENERIC
};

fn volume_rules(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    volume::access_modes(spec, &at, e);
    let capacity = spec.get("capacity");
    let capacity_at = at.field("capacity");
    if capacity.is_empty() {
        e.required(&capacity_at, "");
    }
    if capacity.get("storage").is_null() || capacity.len() > 1 {
        e.not_supported(&capacity_at, capacity, &["storage"]);
    }
    for (k, q) in capacity.entries() {
        let n = Quantity::or_zero(q);
        if n.is_zero() || n.is_negative() {
            e.invalid(&capacity_at.key(k), q.text(), "must be greater than zero");
        }
    }
    let policies = ["Delete", "Recycle", "Retain"];
    if !policies.contains(&spec.get("persistentVolumeReclaimPolicy").text()) {
        let at = at.field("persistentVolumeReclaimPolicy");
        e.not_supported(&at, spec.get("persistentVolumeReclaimPolicy"), &policies);
    }
    if spec.at(&["nodeAffinity", "required"]).is_some() {
        let node = at.field("nodeAffinity");
        scheduling::node_selector(spec.at(&["nodeAffinity", "required"]), &node.field("required"), e);
    }
    let sources: Vec<_> = spec.entries().filter(|(k, _)| !OWN.contains(&k.as_str())).collect();
    for (i, (k, s)) in sources.iter().enumerate() {
        let at = at.field(k);
        if i > 0 {
            e.forbidden(&at, "may not specify more than 1 volume type");
        } else if k.as_str() == "hostPath" {
            volume::host_path(s, &at, e);
        }
    }
    if sources.is_empty() {
        e.required(&at, "must specify a volume type");
    }
    if spec.get("local").is_some() && spec.get("nodeAffinity").is_null() {
        e.required(&At::Path("metadata.annotations"), "Local volume requires node affinity");
    }
}
