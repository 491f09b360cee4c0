//! ValidatingAdmissionPolicy: rules in CEL that a cluster's own objects bring along.
//!
//! Models: `plugin/policy/validating`. The `authorizer` variable is left out; audit annotations are evaluated by nobody.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status, Verb};
use api::cel::{self, Budget, Scope};
use api::selector::Selector;
use api::{SmolStr, Value, obj};

const GROUP: &str = "admissionregistration.k8s.io";
/// Policies never judge these, so that nobody locks themselves out.
const EXEMPT: [&str; 5] = [
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
];

pub(crate) fn validate(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    let Some(bindings) = api.registry.id(GROUP, "v1", "validatingadmissionpolicybindings") else {
        return Ok(());
    };
    if api.store.count(bindings) == 0 || (a.r.group == GROUP && EXEMPT.contains(&a.r.plural.as_str())) {
        return Ok(());
    }
    let Some(policies) = api.registry.id(GROUP, "v1", "validatingadmissionpolicies") else { return Ok(()) };
    let all: Vec<Value> = api.store.list(bindings, None, None).map(|(_, b)| b.clone()).collect();
    let request = request(cx, a);
    for b in &all {
        let Some(p) = api.store.get(policies, "", b.at(&["spec", "policyName"]).text()).cloned() else {
            continue;
        };
        let resources = b.at(&["spec", "matchResources"]);
        if !matches(api, a, p.at(&["spec", "matchConstraints"]))
            || (resources.is_some() && !matches(api, a, resources))
        {
            continue;
        }
        let params = match parameters(api, a, &p, b) {
            Ok(list) => list,
            Err(why) => {
                if p.at(&["spec", "failurePolicy"]).text() != "Ignore" {
                    let m = format!("failed to configure binding: {why}");
                    return Err(denied(a, &p, b, &m, "Invalid"));
                }
                continue;
            }
        };
        for param in params {
            judge(api, cx, a, &p, b, &request, &param)?;
        }
    }
    Ok(())
}

/// Evaluates one policy for one binding and parameter.
fn judge(
    api: &ApiServer,
    cx: &mut Cx,
    a: &Attempt<'_>,
    p: &Value,
    b: &Value,
    request: &Value,
    param: &Value,
) -> Result<(), Status> {
    let ignore = p.at(&["spec", "failurePolicy"]).text() == "Ignore";
    let mut budget = Budget::default();
    let mut scope = scope(api, a, request, param);
    for c in p.at(&["spec", "matchConditions"]).items() {
        match cel::value_of(c.get("expression").text(), &mut scope, &mut budget) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => return Ok(()),
            Err(_) if ignore => return Ok(()),
            Err(e) => {
                let m = format!("expression '{}' resulted in error: {e}", c.get("expression").text());
                return outcome(cx, a, p, b, &m, "Invalid");
            }
        }
    }
    variables(p, &mut scope, &mut budget);
    for v in p.at(&["spec", "validations"]).items() {
        let text = v.get("expression").text();
        let reason = match v.get("reason").text() {
            "" => "Invalid",
            r => r,
        };
        let message = match cel::value_of(text, &mut scope, &mut budget) {
            Ok(Value::Bool(true)) => continue,
            Ok(_) => message(v, &mut scope, &mut budget),
            Err(_) if ignore => continue,
            Err(e) => format!("expression '{text}' resulted in error: {e}"),
        };
        outcome(cx, a, p, b, &message, reason)?;
    }
    Ok(())
}

fn message(v: &Value, scope: &mut Scope, budget: &mut Budget) -> String {
    let computed = match v.get("messageExpression").text() {
        "" => None,
        e => cel::value_of(e, scope, budget).ok().and_then(|m| m.as_str().map(str::to_owned)),
    };
    computed.filter(|m| !m.trim().is_empty() && !m.contains('\n')).unwrap_or_else(|| {
        match v.get("message").text() {
            "" => format!("failed expression: {}", v.get("expression").text().trim()),
            m => m.to_owned(),
        }
    })
}

/// Variables may use those before them; one that fails is missing, which fails whoever needs it.
fn variables(p: &Value, scope: &mut Scope, budget: &mut Budget) {
    let mut all = Value::map();
    for v in p.at(&["spec", "variables"]).items() {
        scope.push(("variables".into(), all.clone()));
        let r = cel::value_of(v.get("expression").text(), scope, budget);
        scope.pop();
        if let Ok(x) = r {
            all.insert(v.get("name").text(), x);
        }
    }
    scope.push(("variables".into(), all));
}

fn outcome(
    cx: &mut Cx,
    a: &Attempt<'_>,
    p: &Value,
    b: &Value,
    message: &str,
    reason: &str,
) -> Result<(), Status> {
    let has = |action: &str| b.at(&["spec", "validationActions"]).items().any(|x| x.text() == action);
    if has("Warn") {
        cx.warnings.push(format!(
            "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {message}",
            p.name(),
            b.name()
        ));
    }
    if has("Deny") { Err(denied(a, p, b, message, reason)) } else { Ok(()) }
}

fn denied(a: &Attempt<'_>, p: &Value, b: &Value, message: &str, reason: &str) -> Status {
    let m = format!(
        "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {message}",
        p.name(),
        b.name()
    );
    let name = if a.op.name.is_empty() { a.new.name() } else { &a.op.name };
    let mut s = Status::forbidden(&a.r.group, &a.r.plural, name, &m);
    s.code = match reason {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    s.reason = reason.into();
    s.details.insert("causes", obj!([{"message": m}]));
    s
}

fn operation(a: &Attempt<'_>) -> &'static str {
    match (a.op.verb, a.new.is_null(), a.old.is_null()) {
        (Verb::Delete | Verb::DeleteCollection, ..) | (_, true, false) => "DELETE",
        (_, _, true) => "CREATE",
        _ => "UPDATE",
    }
}

fn request(cx: &Cx, a: &Attempt<'_>) -> Value {
    let name = if a.op.name.is_empty() { a.new.name() } else { &a.op.name };
    let kind = obj!({"group": &a.r.group, "version": &a.r.version, "kind": &a.r.kind});
    let resource = obj!({"group": &a.r.group, "version": &a.r.version, "resource": &a.r.plural});
    obj!({
        "kind": &kind, "requestKind": &kind, "resource": &resource, "requestResource": &resource,
        "subResource": &a.op.sub, "requestSubResource": &a.op.sub, "name": name, "namespace": &a.op.namespace,
        "operation": operation(a), "dryRun": a.op.options.dry_run,
        "userInfo": {
            "username": &cx.user.name, "uid": &cx.user.uid, "groups": cx.user.groups.iter().collect::<Value>(),
            "extra": cx.user.extra.iter().map(|(k, v)| (k.as_str(), v.iter().collect::<Value>())).collect::<Value>()
        }
    })
}

fn scope(api: &ApiServer, a: &Attempt<'_>, request: &Value, param: &Value) -> Scope {
    let namespace = api
        .registry
        .id("", "v1", "namespaces")
        .filter(|_| a.r.namespaced)
        .and_then(|id| api.store.get(id, "", &a.op.namespace).cloned())
        .unwrap_or_default();
    [
        ("object", a.new.clone()),
        ("oldObject", a.old.clone()),
        ("request", request.clone()),
        ("params", param.clone()),
        ("namespaceObject", namespace),
    ]
    .into_iter()
    .map(|(k, v)| (SmolStr::new_static(k), v))
    .collect()
}

fn has(list: &Value, x: &str) -> bool {
    list.items().any(|v| v.text() == x || v.text() == "*")
}

/// Whether a request is one of those that `MatchResources` describes.
fn matches(api: &ApiServer, a: &Attempt<'_>, m: &Value) -> bool {
    let selects = |selector: &Value, labels: &Value| {
        selector.is_null() || Selector::of(selector).is_ok_and(|s| s.matches(labels))
    };
    let object = if a.new.is_null() { &a.old } else { &a.new };
    if !selects(m.get("objectSelector"), object.labels()) && !selects(m.get("objectSelector"), a.old.labels())
    {
        return false;
    }
    if a.r.namespaced && !m.get("namespaceSelector").is_empty() {
        let ns =
            api.registry.id("", "v1", "namespaces").and_then(|id| api.store.get(id, "", &a.op.namespace));
        if !ns.is_some_and(|ns| selects(m.get("namespaceSelector"), ns.labels())) {
            return false;
        }
    }
    let rule = |r: &Value| {
        let full =
            if a.op.sub.is_empty() { a.r.plural.to_string() } else { format!("{}/{}", a.r.plural, a.op.sub) };
        let resource = r.get("resources").items().any(|x| {
            let x = x.text();
            x == "*/*"
                || x == full
                || (x == "*" && a.op.sub.is_empty())
                || x.strip_suffix("/*").is_some_and(|base| base == a.r.plural)
                || x.strip_prefix("*/").is_some_and(|sub| sub == a.op.sub)
        });
        let scope = match r.get("scope").text() {
            "Namespaced" => a.r.namespaced,
            "Cluster" => !a.r.namespaced,
            _ => true,
        };
        let names = r.get("resourceNames");
        resource
            && scope
            && has(r.get("operations"), operation(a))
            && has(r.get("apiGroups"), &a.r.group)
            && (has(r.get("apiVersions"), &a.r.version) || m.get("matchPolicy").text() != "Exact")
            && (names.is_empty() || has(names, object.name()))
    };
    let rules = m.get("resourceRules");
    (rules.is_empty() || rules.items().any(rule)) && !m.get("excludeResourceRules").items().any(rule)
}

/// The parameters that a binding gives its policy: null once where there are none to give.
fn parameters(api: &ApiServer, a: &Attempt<'_>, p: &Value, b: &Value) -> Result<Vec<Value>, String> {
    let kind = p.at(&["spec", "paramKind"]);
    let reference = b.at(&["spec", "paramRef"]);
    if kind.is_null() || reference.is_null() {
        return Ok(vec![Value::Null]);
    }
    let Some(r) = api.registry.by_kind(kind.api_version(), kind.kind()) else {
        return Err(format!(
            "failed to find resource referenced by paramKind: '{}, Kind={}'",
            kind.api_version(),
            kind.kind()
        ));
    };
    let namespace = match (r.namespaced, reference.get("namespace").text()) {
        (false, _) => "",
        (true, "") => a.op.namespace.as_str(),
        (true, ns) => ns,
    };
    let name = reference.get("name").text();
    let found: Vec<Value> = if name.is_empty() {
        let selector = Selector::of(reference.get("selector"))?;
        let all = api.store.list(r.storage, Some(namespace), None).map(|(_, v)| v);
        all.filter(|v| selector.matches(v.labels())).cloned().collect()
    } else {
        api.store.get(r.storage, namespace, name).cloned().into_iter().collect()
    };
    match (found.is_empty(), reference.get("parameterNotFoundAction").text()) {
        (false, _) => Ok(found),
        (true, "Allow") => Ok(Vec::new()),
        (true, _) => Err("no params found for policy binding with `Deny` parameterNotFoundAction".into()),
    }
}
