//! Volumes of a pod. Models: `ValidateVolumes`.

use super::check::{self, messages, required};
use super::container;
use crate::field::{At, Errors};
use crate::quantity::Quantity;
use crate::{Value, names};

/// Volume sources in the order in which upstream looks at them.
const SOURCES: [&str; 29] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// All volumes of a pod's spec.
pub fn validate_all(volumes: &Value, at: &At<'_>, e: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, v) in volumes.items().enumerate() {
        let at = at.index(i);
        source(v, &at, e);
        let name = v.get("name").text();
        if required(v, "name", &at, e) {
            let found = names::dns_label(name);
            if found.is_empty() && seen.contains(&name) {
                e.duplicate(&at.field("name"), name);
            }
            messages(name, found, &at.field("name"), e);
        }
        seen.push(name);
    }
}

fn source(v: &Value, at: &At<'_>, e: &mut Errors) {
    let mut found = 0;
    for key in SOURCES {
        let s = v.get(key);
        if s.is_null() {
            continue;
        }
        let at = at.field(key);
        if found > 0 {
            e.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        found += 1;
        one(key, s, &at, e);
    }
    if found == 0 {
        e.required(at, "must specify a volume type");
    }
}

fn one(key: &str, s: &Value, at: &At<'_>, e: &mut Errors) {
    match key {
        "emptyDir" if Quantity::or_zero(s.get("sizeLimit")).is_negative() => {
            e.forbidden(&at.field("sizeLimit"), "SizeLimit field must be a valid resource quantity")
        }
        "hostPath" => host_path(s, at, e),
        "secret" => {
            required(s, "secretName", at, e);
            mode(s, "defaultMode", at, e);
            items(s, at, e);
        }
        "configMap" => {
            required(s, "name", at, e);
            mode(s, "defaultMode", at, e);
            items(s, at, e);
        }
        "downwardAPI" => {
            mode(s, "defaultMode", at, e);
            container::downward_items(s.get("items"), &at.field("items"), e);
        }
        "persistentVolumeClaim" => {
            required(s, "claimName", at, e);
        }
        "nfs" => {
            required(s, "server", at, e);
            if required(s, "path", at, e) && !s.get("path").text().starts_with('/') {
                e.invalid(&at.field("path"), s.get("path"), "must be an absolute path");
            }
        }
        "csi" => {
            required(s, "driver", at, e);
        }
        "projected" => projected(s, at, e),
        "ephemeral" if s.get("volumeClaimTemplate").is_null() => {
            e.required(&at.field("volumeClaimTemplate"), "")
        }
        _ => {}
    }
}

/// A path on the host.
pub fn host_path(s: &Value, at: &At<'_>, e: &mut Errors) {
    if required(s, "path", at, e) && s.get("path").text().split('/').any(|p| p == "..") {
        e.invalid(&at.field("path"), s.get("path"), "must not contain '..'");
    }
    let allowed =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    if !allowed.contains(&s.get("type").text()) {
        e.not_supported(&at.field("type"), s.get("type"), &allowed);
    }
}

fn mode(v: &Value, key: &str, at: &At<'_>, e: &mut Errors) {
    if v.get(key).as_int().is_some_and(|m| !(0..=0o777).contains(&m)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        e.invalid(&at.field(key), v.get(key), why);
    }
}

fn items(v: &Value, at: &At<'_>, e: &mut Errors) {
    let list = at.field("items");
    for (i, item) in v.get("items").items().enumerate() {
        let at = list.index(i);
        required(item, "key", &at, e);
        if required(item, "path", &at, e) {
            let path = item.get("path").text();
            if path.starts_with('/') {
                e.invalid(&at.field("path"), path, "must be a relative path");
            }
            if path.split('/').any(|p| p == "..") {
                e.invalid(&at.field("path"), path, "must not contain '..'");
            } else if path.starts_with("..") {
                e.invalid(&at.field("path"), path, "must not start with '..'");
            }
        }
        mode(item, "mode", &at, e);
    }
}

fn projected(v: &Value, at: &At<'_>, e: &mut Errors) {
    mode(v, "defaultMode", at, e);
    let list = at.field("sources");
    for (i, s) in v.get("sources").items().enumerate() {
        let at = list.index(i);
        let mut found = 0;
        for (key, one) in s.entries() {
            found += 1;
            let at = at.field(key);
            match key.as_str() {
                "secret" | "configMap" => {
                    required(one, "name", &at, e);
                    items(one, &at, e);
                }
                "downwardAPI" => container::downward_items(one.get("items"), &at.field("items"), e),
                "serviceAccountToken" => {
                    let seconds = one.get("expirationSeconds").int();
                    if seconds < 600 {
                        let why = "may not specify a duration less than 10 minutes";
                        e.invalid(&at.field("expirationSeconds"), seconds, why);
                    }
                    required(one, "path", &at, e);
                }
                _ => {}
            }
        }
        if found > 1 {
            e.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

/// Access modes, where they stand in claims and volumes.
pub fn access_modes(v: &Value, at: &At<'_>, e: &mut Errors) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let at = at.field("accessModes");
    let modes = v.get("accessModes");
    if modes.is_empty() {
        e.required(&at, "at least 1 access mode is required");
    }
    for m in modes.items().filter(|m| !MODES.contains(&m.text())) {
        e.not_supported(&at, m, &MODES);
    }
    let single = modes.items().any(|m| m.text() == "ReadWriteOncePod");
    if single && modes.len() > 1 {
        e.forbidden(&at, "may not use ReadWriteOncePod with other access modes");
    }
    check::choice(v, "volumeMode", &At::Path("spec"), &["Block", "Filesystem"], e);
}
