//! Escalation: nobody grants what it does not have itself. Models: the policy-based RBAC storages.

use super::Attempt;
use crate::auth::Attributes;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::{Value, obj};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) fn validate(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if a.r.group != GROUP || a.new.is_null() || cx.user.groups.iter().any(|g| g == "system:masters") {
        return Ok(());
    }
    let namespace = a.op.namespace.clone();
    let binds = a.r.kind.ends_with("Binding");
    let role = a.new.get("roleRef").clone();
    let (verb, resource, name, rules) = if binds {
        let plural = if role.kind() == "Role" { "roles" } else { "clusterroles" };
        let scope = if plural == "roles" { namespace.as_str() } else { "" };
        let id = api.registry.at(GROUP, "v1", plural)?;
        let name = role.get("name").smol();
        let rules = api.store.get(id, scope, &name).map(|r| r.get("rules").clone()).unwrap_or_default();
        ("bind", plural, name, rules)
    } else {
        if a.old.is_some() && a.old.get("rules") == a.new.get("rules") {
            return Ok(());
        }
        let plural = if a.r.kind == "Role" { "roles" } else { "clusterroles" };
        ("escalate", plural, a.new.get("metadata").get("name").smol(), a.new.get("rules").clone())
    };
    let may = Attributes {
        verb,
        group: GROUP,
        version: "v1",
        resource,
        sub: "",
        namespace: &namespace,
        name: &name,
        path: "",
    };
    if api.authorize(&cx.user, &may).is_some() {
        return Ok(());
    }
    let mut lacking: Vec<String> = Vec::new();
    for rule in rules.items() {
        for small in split(rule) {
            let missing: Vec<Value> = small
                .get("verbs")
                .items()
                .filter(|v| {
                    let mut one = small.clone();
                    one.insert("verbs", obj!([*v]));
                    !api.covers(&cx.user, &namespace, &obj!([one]))
                })
                .cloned()
                .collect();
            if !missing.is_empty() {
                let mut shown = small.clone();
                shown.insert("verbs", Value::from(missing));
                lacking.push(show(&shown));
            }
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    lacking.sort();
    lacking.dedup();
    let groups: Vec<String> = cx.user.groups.iter().map(|g| format!("{g:?}")).collect();
    let why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        cx.user.name.as_str(),
        groups.join(" "),
        lacking.join("\n")
    );
    Err(Status::forbidden(GROUP, &a.r.plural, a.new.name(), &why))
}

/// A rule as rules of one group, one resource and one name each.
fn split(rule: &Value) -> Vec<Value> {
    let verbs = rule.get("verbs");
    let mut out: Vec<Value> =
        rule.get("nonResourceURLs").items().map(|u| obj!({"nonResourceURLs": [u], "verbs": verbs})).collect();
    for g in rule.get("apiGroups").items() {
        for r in rule.get("resources").items() {
            let names = rule.get("resourceNames");
            if names.is_empty() {
                out.push(obj!({"apiGroups": [g], "resources": [r], "verbs": verbs}));
            }
            for n in names.items() {
                out.push(obj!({"apiGroups": [g], "resources": [r], "resourceNames": [n], "verbs": verbs}));
            }
        }
    }
    out
}

/// `{APIGroups:[""], Resources:["secrets"], Verbs:["*"]}`
fn show(rule: &Value) -> String {
    let fields = [
        ("NonResourceURLs", "nonResourceURLs"),
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("Verbs", "verbs"),
    ];
    let parts: Vec<String> = fields
        .iter()
        .filter(|(_, k)| !rule.get(k).is_empty())
        .map(|(label, k)| {
            let all: Vec<String> = rule.get(k).items().map(|v| format!("{:?}", v.text())).collect();
            format!("{label}:[{}]", all.join(" "))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}
