//! CustomResourceDefinition: names, versions, and whether a schema is structural.

use super::{Rules, check, default, workload};
use crate::field::{At, Errors};
use crate::{Value, names};

/// CustomResourceDefinition.
pub const RULES: Rules = Rules {
    of: ("apiextensions.k8s.io", "CustomResourceDefinition"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        let kind = spec.at(&["names", "kind"]).text().to_owned();
        if !kind.is_empty() {
            let n = spec.slot(&["names"]);
            default(n, "singular", kind.to_lowercase());
            default(n, "listKind", format!("{kind}List"));
        }
        default(spec, "conversion", crate::obj!({"strategy": "None"}));
    },
    prepare: |new, old| {
        let fresh = crate::obj!({
            "conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": []
        });
        workload::keep_status(new, old, fresh);
        if old.is_none() {
            let stored: Value = new
                .at(&["spec", "versions"])
                .items()
                .filter(|v| v.get("storage").is_true())
                .map(|v| v.get("name"))
                .collect();
            new.set(&["status", "storedVersions"], stored);
        }
    },
    validate,
    validate_update: |new, old, e| {
        let (n, o, at) = (new.get("spec"), old.get("spec"), At::Path("spec"));
        if old.condition("Established").get("status").text() == "True" {
            check::immutable(n, o, "scope", &at, e);
            check::immutable(n.get("names"), o.get("names"), "kind", &At::Path("spec.names"), e);
        }
        check::immutable(n, o, "group", &at, e);
        check::immutable(n.get("names"), o.get("names"), "plural", &At::Path("spec.names"), e);
    },
    generation: true,
    cells: Some(|v, _| vec![v.name().into(), v.get("metadata").get("creationTimestamp").clone()]),
    ..Rules::GENERIC
};

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let n = spec.get("names");
    let (plural, group) = (n.get("plural").text(), spec.get("group").text());
    let want = format!("{plural}.{group}");
    if v.name() != want {
        let why = "must be spec.names.plural+\".\"+spec.group";
        e.invalid(&At::Path("metadata.name"), v.name(), why);
    }
    let protected = group == "k8s.io"
        || group == "kubernetes.io"
        || group.ends_with(".k8s.io")
        || group.ends_with(".kubernetes.io");
    if protected && v.annotations().get("api-approved.kubernetes.io").text().is_empty() {
        let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                   https://github.com/kubernetes/enhancements/pull/1111";
        e.required(&At::Path("metadata.annotations").key("api-approved.kubernetes.io"), why);
    }
    if check::required(spec, "group", &at, e) {
        let group_at = at.field("group");
        let found = names::dns_subdomain(group);
        if !found.is_empty() {
            e.invalid(&group_at, group, &found.join(","));
        } else if group.split('.').count() < 2 {
            e.invalid(&group_at, group, "should be a domain with at least one dot");
        }
    }
    match spec.get("scope").text() {
        "Cluster" | "Namespaced" => {}
        "" => e.required(&at.field("scope"), ""),
        other => e.not_supported(&at.field("scope"), other, &["Cluster", "Namespaced"]),
    }
    versions(spec, &at, e);
    if v.at(&["status", "storedVersions"]).is_empty() {
        let why = "must have at least one stored version";
        e.printed(crate::field::ErrorType::Invalid, &At::Path("status.storedVersions"), "null", why);
    }
    crd_names(n, &at.field("names"), e);
}

fn versions(spec: &Value, at: &At<'_>, e: &mut Errors) {
    let list = at.field("versions");
    let mut seen: Vec<&str> = Vec::new();
    let mut storage = 0;
    let mut unique = true;
    for (i, v) in spec.get("versions").items().enumerate() {
        let at = list.index(i);
        storage += usize::from(v.get("storage").is_true());
        let name = v.get("name").text();
        unique &= !seen.contains(&name);
        seen.push(name);
        let found = names::dns1035_label(name);
        if !found.is_empty() {
            e.invalid(&at.field("name"), name, &found.join(","));
        }
        let schema_at = at.field("schema");
        if v.at(&["schema", "openAPIV3Schema"]).is_null() {
            e.required(&schema_at.field("openAPIV3Schema"), "");
        } else {
            let root = schema_at.field("openAPIV3Schema");
            root_schema(v.at(&["schema", "openAPIV3Schema"]), &root, e);
        }
        let columns = at.field("additionalPrinterColumns");
        for (j, c) in v.get("additionalPrinterColumns").items().enumerate() {
            column(c, &columns.index(j), e);
        }
        if let Some(scale) = v.at(&["subresources", "scale"]).as_map() {
            let at = at.field("subresources");
            let at = at.field("scale");
            for key in ["specReplicasPath", "statusReplicasPath"] {
                let path = scale.get(key).map_or("", Value::text);
                if path.is_empty() {
                    e.required(&at.field(key), "");
                }
            }
        }
    }
    if !unique {
        e.invalid(&list, spec.get("versions"), "must contain unique version names");
    }
    if storage != 1 {
        let why = "must have exactly one version marked as storage version";
        e.printed(crate::field::ErrorType::Invalid, &list, &shown_versions(spec.get("versions")), why);
    }
}

fn shown_versions(v: &Value) -> String {
    const TY: &str =
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion";
    let all: Vec<String> = v.items().map(|v| crate::gostruct::internal_json(TY, v)).collect();
    format!("[{}]", all.join(","))
}

fn column(c: &Value, at: &At<'_>, e: &mut Errors) {
    let kind = c.get("type").text();
    let kinds = ["boolean", "date", "integer", "number", "string"];
    if kind.is_empty() {
        e.required(&at.field("type"), "must be one of boolean, date, integer, number, string");
    } else if !kinds.contains(&kind) {
        e.invalid(&at.field("type"), kind, "must be one of boolean, date, integer, number, string");
    }
    check::required(c, "name", at, e);
    let path = c.get("jsonPath").text();
    if path.is_empty() {
        e.required(&at.field("JSONPath"), "");
    } else if !path.starts_with('.') {
        e.invalid(&at.field("JSONPath"), path, "must be a simple json path starting with .");
    }
}

fn crd_names(n: &Value, at: &At<'_>, e: &mut Errors) {
    let label = |key: &str, e: &mut Errors| {
        let text = n.get(key).text();
        let found = names::dns1035_label(&text.to_lowercase());
        if !found.is_empty() && !text.is_empty() {
            e.invalid(&at.field(key), text, &found.join(","));
        }
    };
    for key in ["plural", "singular", "kind", "listKind"] {
        if n.get(key).text().is_empty() && (key == "plural" || key == "kind" || n.get(key).is_some()) {
            e.required(&at.field(key), "");
        }
        let text = n.get(key).text();
        if matches!(key, "plural" | "singular") && !text.is_empty() {
            let found = names::dns1035_label(text);
            if !found.is_empty() {
                e.invalid(&at.field(key), text, &found.join(","));
            }
        } else {
            label(key, e);
        }
    }
    for (i, s) in n.get("shortNames").items().enumerate() {
        let found = names::dns1035_label(s.text());
        if !found.is_empty() {
            e.invalid(&at.field("shortNames").index(i), s.text(), &found.join(","));
        }
    }
    if !n.get("kind").text().is_empty() && n.get("kind") == n.get("listKind") {
        e.invalid(&at.field("listKind"), n.get("listKind").text(), "kind and listKind may not be the same");
    }
}

fn root_schema(s: &Value, at: &At<'_>, e: &mut Errors) {
    match s.get("type").text() {
        "object" => {}
        "" => e.required(&at.field("type"), "must not be empty at the root"),
        other => e.invalid(&at.field("type"), other, "must be object at the root"),
    }
    if s.get("nullable").is_true() {
        e.forbidden(&at.field("nullable"), "nullable cannot be true at the root");
    }
    structural(s, true, at, e, 0);
}

/// Deeper schemas are taken as they are.
const DEPTH_MAX: usize = 64;

/// Models: `structuralschema.ValidateStructural`.
fn structural(s: &Value, root: bool, at: &At<'_>, e: &mut Errors, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let kind = s.get("type").text();
    let int_or_string = s.get("x-kubernetes-int-or-string").is_true();
    let preserves = s.get("x-kubernetes-preserve-unknown-fields").is_true();
    if kind.is_empty() && !root && !int_or_string && !preserves {
        e.required(&at.field("type"), "must not be empty for specified object fields");
    }
    let kinds = ["array", "boolean", "integer", "number", "object", "string"];
    if !kind.is_empty() && !kinds.contains(&kind) {
        e.not_supported(&at.field("type"), kind, &kinds);
    }
    if s.get("uniqueItems").is_true() {
        e.forbidden(
            &at.field("uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    if kind == "array" && s.get("items").is_null() {
        e.required(&at.field("items"), "must be specified");
    }
    if !s.get("properties").is_empty() && s.get("additionalProperties").is_some() {
        let why = "additionalProperties and properties are mutual exclusive";
        e.forbidden(&at.field("additionalProperties"), why);
    }
    if let Value::Str(p) = s.get("pattern")
        && crate::pattern::compile(p).is_err()
    {
        e.invalid(&at.field("pattern"), p.as_str(), "must be a valid regular expression");
    }
    let properties = at.field("properties");
    for (k, child) in s.get("properties").entries() {
        structural(child, false, &properties.key(k), e, depth + 1);
    }
    if s.get("items").as_map().is_some() {
        structural(s.get("items"), false, &at.field("items"), e, depth + 1);
    }
    if s.get("additionalProperties").as_map().is_some() {
        structural(s.get("additionalProperties"), false, &at.field("additionalProperties"), e, depth + 1);
    }
}
