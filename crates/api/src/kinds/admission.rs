//! Validation of what extends admission: webhooks, policies, their bindings.
//!
//! Models: `pkg/apis/admissionregistration/validation`. Expressions are only checked for being there and for syntax.

use super::check;
use crate::field::{At, Errors};
use crate::{Value, cel, names, obj};

const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

fn wild(list: &Value) -> bool {
    list.len() > 1 && list.items().any(|v| v.text() == "*")
}

fn rule(r: &Value, at: &At<'_>, e: &mut Errors) {
    let operations = r.get("operations");
    let ops_at = at.field("operations");
    if operations.is_empty() {
        e.required(&ops_at, "");
    }
    if wild(operations) {
        e.invalid(&ops_at, operations, "if '*' is present, must not specify other operations");
    }
    let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (i, o) in operations.items().enumerate() {
        if !known.contains(&o.text()) {
            e.not_supported(&ops_at.index(i), o.text(), &known);
        }
    }
    for (key, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = r.get(key);
        if list.is_empty() {
            e.required(&at.field(key), "");
        }
        if wild(list) {
            e.invalid(&at.field(key), list, &format!("if '*' is present, must not specify other {what}"));
        }
    }
    resources(r.get("resources"), &at.field("resources"), e);
    if r.get("scope").is_some() && !["*", "Cluster", "Namespaced"].contains(&r.get("scope").text()) {
        e.not_supported(&at.field("scope"), r.get("scope").text(), &["*", "Cluster", "Namespaced"]);
    }
}

fn resources(list: &Value, at: &At<'_>, e: &mut Errors) {
    if list.is_empty() {
        e.required(at, "");
    }
    let has = |x: &str| list.items().any(|v| v.text() == x);
    for (i, r) in list.items().enumerate() {
        if r.text().is_empty() {
            e.required(&at.index(i), "");
        }
    }
    if list.len() > 1 && has("*/*") {
        e.invalid(at, list, "if '*/*' is present, must not specify other resources");
    }
    let plain = list.items().any(|v| !v.text().contains('/') && v.text() != "*");
    if has("*") && plain {
        e.invalid(at, list, "if '*' is present, must not specify other resources without subresources");
    }
}

fn client(c: &Value, at: &At<'_>, e: &mut Errors) {
    let (url, service) = (c.get("url"), c.get("service"));
    if url.is_some() == service.is_some() {
        e.required(at, "exactly one of url or service is required");
    } else if url.is_some() {
        let form = "; desired format: https://host[/path]";
        if !url.text().starts_with("https://") {
            let why = format!("'https' is the only allowed URL scheme{form}");
            let scheme = url.text().split_once("://").map_or("", |(s, _)| s);
            e.invalid(&at.field("url"), scheme, &why);
        } else if url.text().len() == "https://".len() {
            e.invalid(&at.field("url"), "", &format!("host must be specified{form}"));
        }
    } else {
        let at = at.field("service");
        if service.get("name").text().is_empty() {
            e.required(&at.field("name"), "service name is required");
        }
        if service.get("namespace").text().is_empty() {
            e.required(&at.field("namespace"), "service namespace is required");
        }
        let port = service.get("port").int();
        if !check::is_port(port) {
            let why = format!("port is not valid: {}", check::PORT_RANGE);
            e.invalid(&at.field("port"), port, &why);
        }
        let path = service.get("path").text();
        if !path.is_empty() && !path.starts_with('/') {
            e.invalid(&at.field("path"), path, "must start with a '/'");
        }
    }
}

/// Both kinds of webhook configurations.
pub fn webhooks(v: &Value, e: &mut Errors) {
    let list = At::Path("webhooks");
    let mut seen: Vec<&str> = Vec::new();
    for (i, w) in v.get("webhooks").items().enumerate() {
        let at = list.index(i);
        let name = w.get("name").text();
        qualified(name, &at.field("name"), e);
        let rules = at.field("rules");
        for (j, r) in w.get("rules").items().enumerate() {
            rule(r, &rules.index(j), e);
        }
        for (key, known) in [
            ("failurePolicy", &["Fail", "Ignore"][..]),
            ("matchPolicy", &["Equivalent", "Exact"]),
            ("reinvocationPolicy", &["IfNeeded", "Never"]),
        ] {
            if w.get(key).is_some() && !known.contains(&w.get(key).text()) {
                e.not_supported(&at.field(key), w.get(key).text(), known);
            }
        }
        let effects = ["None", "NoneOnDryRun"];
        if w.get("sideEffects").is_null() {
            e.required(&at.field("sideEffects"), "must specify one of None, NoneOnDryRun");
        } else if !effects.contains(&w.get("sideEffects").text()) {
            e.not_supported(&at.field("sideEffects"), w.get("sideEffects").text(), &effects);
        }
        let timeout = w.get("timeoutSeconds");
        if timeout.is_some() && !(1..=30).contains(&timeout.int()) {
            e.invalid(
                &at.field("timeoutSeconds"),
                timeout,
                "the timeout value must be between 1 and 30 seconds",
            );
        }
        for key in ["namespaceSelector", "objectSelector"] {
            check::selector(w.get(key), &at.field(key), e);
        }
        client(w.get("clientConfig"), &at.field("clientConfig"), e);
        conditions(w.get("matchConditions"), &at.field("matchConditions"), e);
        reviews(w.get("admissionReviewVersions"), &at.field("admissionReviewVersions"), e);
        if !name.is_empty() && seen.contains(&name) {
            e.duplicate(&at.field("name"), name);
        }
        seen.push(name);
    }
}

fn qualified(name: &str, at: &At<'_>, e: &mut Errors) {
    if name.is_empty() {
        return e.required(at, "");
    }
    let found = names::dns_subdomain(name);
    if !found.is_empty() {
        e.invalid(at, name, &found.join(","));
    } else if name.split('.').count() < 3 {
        e.invalid(at, name, "should be a domain with at least three segments separated by dots");
    }
}

fn reviews(list: &Value, at: &At<'_>, e: &mut Errors) {
    if list.is_empty() {
        return e.required(at, "must specify one of v1, v1beta1");
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, v) in list.items().enumerate() {
        if seen.contains(&v.text()) {
            e.invalid(&at.index(i), v.text(), "duplicate version");
            continue;
        }
        seen.push(v.text());
        check::messages(v.text(), names::dns1035_label(v.text()), &at.index(i), e);
    }
    if !seen.iter().any(|v| REVIEWS.contains(v)) {
        e.invalid(at, list, "must include at least one of v1, v1beta1");
    }
}

/// An expression that must be there and be one.
fn expression(text: &str, at: &At<'_>, missing: &str, e: &mut Errors) {
    if text.trim().is_empty() {
        e.required(at, missing);
    } else if let Err(m) = cel::parses(text) {
        e.invalid(at, text, &format!("compilation failed: ERROR: <input>:1:1: {m}"));
    }
}

fn conditions(list: &Value, at: &At<'_>, e: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, c) in list.items().enumerate() {
        let at = at.index(i);
        expression(c.get("expression").text(), &at.field("expression"), "", e);
        let name = c.get("name").text();
        if name.is_empty() {
            e.required(&at.field("name"), "");
        } else {
            check::messages(name, names::qualified_name(name), &at.field("name"), e);
            if seen.contains(&name) {
                e.duplicate(&at.field("name"), name);
            }
        }
        seen.push(name);
    }
}

fn match_resources(m: &Value, at: &At<'_>, e: &mut Errors) {
    for key in ["namespaceSelector", "objectSelector"] {
        check::selector(m.get(key), &at.field(key), e);
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        let list = at.field(key);
        for (i, r) in m.get(key).items().enumerate() {
            rule(r, &list.index(i), e);
        }
    }
    if m.get("matchPolicy").is_some() && !["Equivalent", "Exact"].contains(&m.get("matchPolicy").text()) {
        e.not_supported(&at.field("matchPolicy"), m.get("matchPolicy").text(), &["Equivalent", "Exact"]);
    }
}

/// ValidatingAdmissionPolicy.
pub fn policy(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let failure = spec.get("failurePolicy");
    if failure.is_some() && !["Fail", "Ignore"].contains(&failure.text()) {
        e.not_supported(&at.field("failurePolicy"), failure.text(), &["Fail", "Ignore"]);
    }
    let kind = spec.get("paramKind");
    if kind.is_some() {
        let at = at.field("paramKind");
        check::required(kind, "apiVersion", &at, e);
        check::required(kind, "kind", &at, e);
    }
    let constraints = spec.get("matchConstraints");
    if constraints.is_null() {
        e.required(&at.field("matchConstraints"), "");
    } else {
        let at = at.field("matchConstraints");
        match_resources(constraints, &at, e);
        if constraints.get("resourceRules").is_empty() {
            e.required(&at.field("resourceRules"), "");
        }
    }
    conditions(spec.get("matchConditions"), &at.field("matchConditions"), e);
    let variables = at.field("variables");
    for (i, x) in spec.get("variables").items().enumerate() {
        let at = variables.index(i);
        check::required(x, "name", &at, e);
        expression(x.get("expression").text(), &at.field("expression"), "expression is not specified", e);
    }
    if spec.get("validations").is_empty() && spec.get("auditAnnotations").is_empty() {
        for key in ["validations", "auditAnnotations"] {
            e.required(&at.field(key), "validations or auditAnnotations must contain at least one item");
        }
    }
    let validations = at.field("validations");
    for (i, x) in spec.get("validations").items().enumerate() {
        let at = validations.index(i);
        expression(x.get("expression").text(), &at.field("expression"), "expression is not specified", e);
        for key in ["message", "messageExpression"] {
            let text = x.get(key).text();
            if x.get(key).is_some() && !text.is_empty() && text.trim().is_empty() {
                e.invalid(&at.field(key), text, "must be non-empty if specified");
            }
        }
        if x.get("message").text().trim().contains('\n') {
            e.invalid(&at.field("message"), x.get("message").text(), "must not contain line breaks");
        }
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
        if x.get("reason").is_some() && !reasons.contains(&x.get("reason").text()) {
            e.not_supported(&at.field("reason"), x.get("reason").text(), &reasons);
        }
    }
}

/// ValidatingAdmissionPolicyBinding.
pub fn binding(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let name = spec.get("policyName").text();
    if name.is_empty() {
        e.required(&at.field("policyName"), "");
    } else {
        check::messages(name, names::dns_subdomain(name), &at.field("policyName"), e);
    }
    param_ref(spec.get("paramRef"), &at.field("paramRef"), e);
    if spec.get("matchResources").is_some() {
        match_resources(spec.get("matchResources"), &at.field("matchResources"), e);
    }
    let (actions, at) = (spec.get("validationActions"), at.field("validationActions"));
    let known = ["Audit", "Deny", "Warn"];
    let mut seen: Vec<&str> = Vec::new();
    for (i, a) in actions.items().enumerate() {
        if !known.contains(&a.text()) {
            e.not_supported(&at.index(i), a.text(), &known);
        }
        if seen.contains(&a.text()) {
            e.duplicate(&at.index(i), a.text());
        }
        seen.push(a.text());
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        e.invalid(&at, obj!(["Deny", "Warn"]), why);
    }
    if actions.is_empty() {
        e.required(&at, "");
    }
}

fn param_ref(r: &Value, at: &At<'_>, e: &mut Errors) {
    if r.is_null() {
        return;
    }
    let (name, selector) = (r.get("name").text(), r.get("selector"));
    if !name.is_empty() && selector.is_some() {
        e.forbidden(&at.field("name"), "name and selector are mutually exclusive");
    }
    if name.is_empty() && selector.is_null() {
        e.required(at, "one of name or selector must be specified");
    }
    let action = r.get("parameterNotFoundAction");
    if action.is_null() {
        e.required(&at.field("parameterNotFoundAction"), "");
    } else if !["Deny", "Allow"].contains(&action.text()) {
        e.one_of(&at.field("parameterNotFoundAction"), action.text(), &["Deny", "Allow"]);
    }
}
