//! StorageClass, VolumeAttachment, VolumeAttributesClass and the CSI kinds.

use super::{Rules, check, default, object_age};
use crate::Value;
use crate::field::At;

/// StorageClass.
pub const CLASS: Rules = Rules {
    of: ("storage.k8s.io", "StorageClass"),
    defaults: |v| {
        default(v, "reclaimPolicy", "Delete");
        default(v, "volumeBindingMode", "Immediate");
    },
    validate: |v, e| {
        let root = At::Path("");
        check::required(v, "provisioner", &root, e);
        let policies = ["Delete", "Retain"];
        if !policies.contains(&v.get("reclaimPolicy").text()) {
            e.not_supported(&At::Path("reclaimPolicy"), v.get("reclaimPolicy"), &policies);
        }
        let modes = ["Immediate", "WaitForFirstConsumer"];
        if !modes.contains(&v.get("volumeBindingMode").text()) {
            e.not_supported(&At::Path("volumeBindingMode"), v.get("volumeBindingMode"), &modes);
        }
    },
    validate_update: |new, old, e| {
        let root = At::Path("");
        if new.get("parameters") != old.get("parameters") {
            e.forbidden(&At::Path("parameters"), "updates to parameters are forbidden.");
        }
        if new.get("provisioner") != old.get("provisioner") {
            e.forbidden(&At::Path("provisioner"), "updates to provisioner are forbidden.");
        }
        check::immutable(new, old, "reclaimPolicy", &root, e);
        check::immutable(new, old, "volumeBindingMode", &root, e);
    },
    cells: Some(|v, now| {
        let mut name = v.name().to_owned();
        let is = |k: &str| v.annotations().get(k).text() == "true";
        if is("storageclass.kubernetes.io/is-default-class")
            || is("storageclass.beta.kubernetes.io/is-default-class")
        {
            name += " (default)";
        }
        vec![
            name.into(),
            v.get("provisioner").text().into(),
            v.get("reclaimPolicy").text().into(),
            v.get("volumeBindingMode").text().into(),
            v.get("allowVolumeExpansion").is_true().into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

/// VolumeAttachment.
pub const ATTACHMENT: Rules = Rules {
    of: ("storage.k8s.io", "VolumeAttachment"),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        check::required(spec, "attacher", &at, e);
        let source = spec.get("source");
        match (source.get("inlineVolumeSpec").is_some(), source.get("persistentVolumeName").is_some()) {
            (false, false) => {
                e.required(
                    &at.field("source"),
                    "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                );
            }
            (true, true) => {
                let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
                e.forbidden(&at.field("source"), why);
            }
            _ => {}
        }
        check::required(spec, "nodeName", &at, e);
    },
    cells: Some(|v, now| {
        vec![
            v.name().into(),
            v.at(&["spec", "attacher"]).text().into(),
            v.at(&["spec", "source", "persistentVolumeName"]).text().into(),
            v.at(&["spec", "nodeName"]).text().into(),
            v.at(&["status", "attached"]).is_true().into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

/// VolumeAttributesClass.
pub const ATTRIBUTES: Rules = Rules {
    of: ("storage.k8s.io", "VolumeAttributesClass"),
    validate: |v, e| {
        if v.get("driverName").text().is_empty() {
            e.required(&At::Path("driverName"), "");
        }
    },
    validate_update: |new, old, e| {
        for key in ["driverName", "parameters"] {
            if new.get(key) != old.get(key) {
                e.invalid(&At::Path(key), new.get(key), check::IMMUTABLE);
            }
        }
    },
    cells: Some(|v, now| vec![v.name().into(), v.get("driverName").text().into(), object_age(v, now)]),
    ..Rules::GENERIC
};

/// CSIDriver.
pub const CSI_DRIVER: Rules = Rules {
    of: ("storage.k8s.io", "CSIDriver"),
    validate_update: |new, old, e| {
        let (n, o, at) = (new.get("spec"), old.get("spec"), At::Path("spec"));
        if n.get("attachRequired") != o.get("attachRequired") {
            e.invalid(&at.field("attachedRequired"), n.get("attachRequired"), check::IMMUTABLE);
        }
        check::immutable(n, o, "volumeLifecycleModes", &at, e);
    },
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        default(spec, "attachRequired", true);
        default(spec, "podInfoOnMount", false);
        default(spec, "storageCapacity", false);
        default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        default(spec, "requiresRepublish", false);
        default(spec, "seLinuxMount", false);
        if spec.get("volumeLifecycleModes").is_empty() {
            spec.insert("volumeLifecycleModes", crate::obj!(["Persistent"]));
        }
    },
    cells: Some(|v, now| {
        let spec = v.get("spec");
        let list = |v: &Value, key: &str| -> Value {
            let all: Vec<&str> =
                v.items().map(|i| if key.is_empty() { i.text() } else { i.get(key).text() }).collect();
            if all.is_empty() { "<unset>".into() } else { all.join(",").into() }
        };
        vec![
            v.name().into(),
            spec.get("attachRequired").is_true().into(),
            spec.get("podInfoOnMount").is_true().into(),
            spec.get("storageCapacity").is_true().into(),
            list(spec.get("tokenRequests"), "audience"),
            spec.get("requiresRepublish").is_true().into(),
            list(spec.get("volumeLifecycleModes"), ""),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

/// CSINode.
pub const CSI_NODE: Rules = Rules {
    of: ("storage.k8s.io", "CSINode"),
    cells: Some(|v, now| vec![v.name().into(), v.at(&["spec", "drivers"]).len().into(), object_age(v, now)]),
    ..Rules::GENERIC
};

/// CSIStorageCapacity.
pub const CSI_CAPACITY: Rules = Rules {
    of: ("storage.k8s.io", "CSIStorageCapacity"),
    cells: Some(|v, _| vec![v.name().into(), v.get("metadata").get("creationTimestamp").clone()]),
    ..Rules::GENERIC
};
