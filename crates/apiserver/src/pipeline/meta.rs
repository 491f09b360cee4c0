//! Validation of `metadata`.

use crate::Resource;
use api::field::{At, Errors};
use api::kinds::NameRule;
use api::{Value, names};

/// What a client may send only as it is. Models: `ValidateObjectMetaAccessorUpdate`.
pub(super) fn meta_immutable(new: &Value, old: &Value, errors: &mut Errors) {
    for key in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (n, o) = (new.at(&["metadata", key]), old.at(&["metadata", key]));
        if n.is_some() && n != o {
            let root = At::Path("metadata");
            errors.invalid(&root.field(key), n, "field is immutable");
        }
    }
}

/// Models: `ValidateObjectMeta`.
pub(super) fn validate_meta(r: &Resource, v: &Value, errors: &mut Errors) {
    let root = At::Path("metadata");
    let meta = v.get("metadata");
    let name = meta.get("name").text();
    let check = |text: &str| match r.rules.name {
        NameRule::Subdomain => names::dns_subdomain(text),
        NameRule::Label => names::dns_label(text),
        NameRule::Label1035 => names::dns1035_label(text),
        NameRule::PathSegment => names::path_segment(text),
    };
    let generate = meta.get("generateName").text();
    if !generate.is_empty() {
        let probe = generate.strip_suffix('-').map_or(generate.to_owned(), |g| format!("{g}a"));
        for m in check(&probe) {
            errors.invalid(&root.field("generateName"), generate, &m);
        }
    }
    if name.is_empty() {
        errors.required(&root.field("name"), "name or generateName is required");
    } else {
        let found = match (r.kind.as_str(), name.contains('.')) {
            ("Service", true) => vec!["must not contain dots".to_owned()],
            _ => check(name),
        };
        for m in found {
            errors.invalid(&root.field("name"), name, &m);
        }
    }
    validate_labels(&root.field("labels"), meta.get("labels"), errors);
    validate_annotations(&root.field("annotations"), meta.get("annotations"), errors);
    for (i, f) in meta.get("finalizers").items().enumerate() {
        let f = f.text();
        let at = root.field("finalizers");
        for m in names::qualified_name(f) {
            errors.invalid(&at, f, &m);
        }
        if !f.contains('/')
            && !matches!(f, "orphan" | "foregroundDeletion" | "kubernetes")
            && names::qualified_name(f).is_empty()
        {
            errors.invalid(
                &at.index(i),
                f,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
    for o in meta.get("ownerReferences").items() {
        let list = root.field("ownerReferences");
        if o.api_version().is_empty() {
            errors.invalid(&list.field("apiVersion"), "", "version must not be empty");
        }
        for key in ["kind", "name", "uid"] {
            if o.get(key).text().is_empty() {
                errors.invalid(&list.field(key), o.get(key).text(), "must not be empty");
            }
        }
        if o.kind() == "Event" && o.api_version() == "v1" {
            errors.invalid(&list, o, "/v1, Kind=Event is disallowed from being an owner");
        }
    }
    let controllers = meta.get("ownerReferences").items().filter(|o| o.get("controller").is_true()).count();
    if controllers > 1 {
        errors.invalid(
            &root.field("ownerReferences"),
            meta.get("ownerReferences"),
            "Only one reference can have Controller set to true.",
        );
    }
}

/// Validates labels.
pub(crate) fn validate_labels(at: &At<'_>, labels: &Value, errors: &mut Errors) {
    for (k, v) in labels.entries() {
        for m in names::qualified_name(k) {
            errors.invalid(at, k.as_str(), &m);
        }
        for m in names::label_value(v.text()) {
            errors.invalid(at, v.text(), &m);
        }
    }
}

pub(super) fn validate_annotations(at: &At<'_>, annotations: &Value, errors: &mut Errors) {
    let mut size = 0;
    for (k, v) in annotations.entries() {
        for m in names::qualified_name(&k.to_lowercase()) {
            errors.invalid(at, k.as_str(), &m);
        }
        size += k.len() + v.text().len();
    }
    if size > 256 * 1024 {
        errors.too_long(at, 256 * 1024);
    }
}

/// Models: `ValidateObjectMetaUpdate`.
pub(super) fn validate_meta_update(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::Path("metadata");
    if old.is_terminating() {
        let had: Vec<&str> = old.at(&["metadata", "finalizers"]).items().map(Value::text).collect();
        let added: Vec<&str> = new
            .at(&["metadata", "finalizers"])
            .items()
            .map(Value::text)
            .filter(|f| !had.contains(f))
            .collect();
        if !added.is_empty() {
            errors.forbidden(
                &root.field("finalizers"),
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ")
                ),
            );
        }
    }
}
