//! `create role`, `clusterrole`, `rolebinding`, `clusterrolebinding`.

use super::{FLAGS, Told, fail, generated, name};
use crate::command::{Args, Command};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print;
use api::{Value, obj};

const VERBS: [&str; 16] = [
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "approve",
    "sign",
    "escalate",
    "impersonate",
    "*",
];

const RULE: &[Flag] = &[
    flag("resource", Kind::Slice, "[]", "Resources that the rule is about"),
    flag("resource-name", Kind::Array, "[]", "Names that the rule is limited to; may be given several times"),
    flag("verb", Kind::Slice, "[]", "Verbs that the rule allows"),
];

const SUBJECTS: &[Flag] = &[
    flag("clusterrole", Kind::Str, "''", "ClusterRole that the binding refers to"),
    flag("group", Kind::Array, "[]", "Groups to bind; may be given several times."),
    flag(
        "serviceaccount",
        Kind::Array,
        "[]",
        "Service accounts to bind, <namespace>:<name>; may be given several times.",
    ),
    flag("user", Kind::Array, "[]", "Users to bind; may be given several times."),
];

pub(super) static ROLE: Command = Command {
    name: "role",
    short: "Create a role with single rule",
    long: "Creates a role of one rule for each group of resources.",
    usage: "role NAME --verb=verb --resource=resource.group/subresource [--resource-name=resourcename] \
            [--dry-run=server|client|none]",
    example: "# Reading pods\nkubectl create role reader --verb=get --verb=list --verb=watch --resource=pods\n\n# One \
              config map\nkubectl create role one --verb=get --resource=configmaps --resource-name=web",
    flags: &[FLAGS, RULE, print::FLAGS],
    run: Some(role),
    ..Command::EMPTY
};

pub(super) static CLUSTER_ROLE: Command = Command {
    name: "clusterrole",
    short: "Create a cluster role",
    long: "Creates a cluster role.",
    usage: "clusterrole NAME --verb=verb --resource=resource.group [--resource-name=resourcename] \
            [--dry-run=server|client|none]",
    example: "# Reading nodes\nkubectl create clusterrole nodes --verb=get,list,watch --resource=nodes\n\n# Paths that are no \
              resources\nkubectl create clusterrole health --verb=get --non-resource-url=/healthz",
    flags: &[
        FLAGS,
        RULE,
        &[
            flag(
                "aggregation-rule",
                Kind::Slice,
                "",
                "Labels of the cluster roles whose rules this one takes up.",
            ),
            flag("non-resource-url", Kind::Slice, "[]", "Paths that the rule is about"),
        ],
        print::FLAGS,
    ],
    run: Some(cluster_role),
    ..Command::EMPTY
};

pub(super) static ROLE_BINDING: Command = Command {
    name: "rolebinding",
    short: "Create a role binding for a particular role or cluster role",
    long: "Gives the rights of a role or cluster role to users, groups and service accounts, in one namespace.",
    usage: "rolebinding NAME --clusterrole=NAME|--role=NAME [--user=username] [--group=groupname] \
            [--serviceaccount=namespace:serviceaccountname] [--dry-run=server|client|none]",
    example: "# Reading all for a user\nkubectl create rolebinding view --clusterrole=view --user=ann",
    flags: &[
        FLAGS,
        SUBJECTS,
        &[flag("role", Kind::Str, "''", "Role that the binding refers to")],
        print::FLAGS,
    ],
    run: Some(|cx, a| binding(cx, a, false)),
    ..Command::EMPTY
};

pub(super) static CLUSTER_ROLE_BINDING: Command = Command {
    name: "clusterrolebinding",
    short: "Create a cluster role binding for a particular cluster role",
    long: "Gives the rights of a cluster role to users, groups and service accounts, in all namespaces.",
    usage: "clusterrolebinding NAME --clusterrole=NAME [--user=username] [--group=groupname] \
            [--serviceaccount=namespace:serviceaccountname] [--dry-run=server|client|none]",
    example: "# All rights for a group\nkubectl create clusterrolebinding admins --clusterrole=cluster-admin --group=admins",
    flags: &[FLAGS, SUBJECTS, print::FLAGS],
    required: &["clusterrole"],
    run: Some(|cx, a| binding(cx, a, true)),
    ..Command::EMPTY
};

fn unique(list: &[String]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for v in list {
        let v = Value::str(v.as_str());
        if !out.contains(&v) {
            out.push(v);
        }
    }
    out
}

fn verbs(cx: &mut Cx<'_>, a: &Args) -> Vec<Value> {
    let mut verbs = unique(a.list("verb"));
    if verbs.iter().any(|v| v.text() == "*") {
        verbs = vec![Value::str("*")];
    }
    for v in &verbs {
        if !VERBS.contains(&v.text()) {
            cx.err(format!("Warning: '{}' is not a standard resource verb\n", v.text()));
        }
    }
    verbs
}

/// One rule for each API group among the resources.
fn rules(cx: &mut Cx<'_>, a: &Args, verbs: &[Value]) -> Done<Vec<Value>> {
    let api = cx.api(a)?;
    let d = cx.discovery(&api)?;
    let names = unique(a.list("resource-name"));
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    for r in a.list("resource") {
        let (word, sub) = r.split_once('/').map_or((r.as_str(), ""), |(w, s)| (w, s));
        if word.is_empty() {
            return fail("resource must be specified if subresource is specified");
        }
        let (group, full) = if word == "*" {
            (String::new(), "*".to_owned())
        } else {
            let found = d.resolve(word).map_err(|_| {
                let (resource, group) = word.split_once('.').unwrap_or((word, ""));
                Error::NoResource { resource: resource.into(), group: group.into(), version: String::new() }
            })?;
            (found.group.to_string(), found.name.to_string())
        };
        let full = if sub.is_empty() { full } else { format!("{full}/{sub}") };
        let full = Value::from(full);
        match groups.iter_mut().find(|(g, _)| *g == group) {
            Some((_, list)) if !list.contains(&full) => list.push(full),
            Some(_) => {}
            None => groups.push((group, vec![full])),
        }
    }
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(groups
        .into_iter()
        .map(|(g, list)| {
            let mut r = obj!({"apiGroups": [g], "resources": list, "verbs": verbs.to_vec()});
            if !names.is_empty() {
                r.insert("resourceNames", names.clone());
            }
            r
        })
        .collect())
}

fn role(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    if a.list("verb").is_empty() {
        return fail("at least one verb must be specified");
    }
    if a.list("resource").is_empty() {
        return fail("at least one resource must be specified");
    }
    let verbs = verbs(cx, a);
    let rules = rules(cx, a, &verbs)?;
    let v = obj!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules
    });
    generated(cx, a, "rbac.authorization.k8s.io", "roles", v, Told::Plain)
}

fn cluster_role(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let mut v = obj!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": null
    });
    let urls = unique(a.list("non-resource-url"));
    let plain =
        !a.list("verb").is_empty() || !a.list("resource").is_empty() || !a.list("resource-name").is_empty();
    if a.given("aggregation-rule") {
        if plain || !urls.is_empty() {
            return fail(
                "aggregation rule must be specified without nonResourceURLs, resources or resourceNames",
            );
        }
        let labels = super::super::common::pairs(a.list("aggregation-rule"), "aggregation-rule")?;
        v.set(&["aggregationRule"], obj!({"clusterRoleSelectors": [{"matchLabels": labels}]}));
        return generated(cx, a, "rbac.authorization.k8s.io", "clusterroles", v, Told::Plain);
    }
    if a.list("verb").is_empty() {
        return fail("at least one verb must be specified");
    }
    if a.list("resource").is_empty() && urls.is_empty() {
        return fail("one of resource or nonResourceURL must be specified");
    }
    for u in &urls {
        let u = u.text();
        if u != "*" && !u.starts_with('/') {
            return fail("nonResourceURL should start with /");
        }
        if u.len() > 1 && u[..u.len() - 1].contains('*') {
            return fail("nonResourceURL only supports wildcard matches when '*' is at the end");
        }
    }
    let verbs = if a.list("resource").is_empty() { unique(a.list("verb")) } else { verbs(cx, a) };
    let mut rules = rules(cx, a, &verbs)?;
    if !urls.is_empty() {
        rules.push(obj!({"nonResourceURLs": urls, "verbs": verbs}));
    }
    v.insert("rules", rules);
    generated(cx, a, "rbac.authorization.k8s.io", "clusterroles", v, Told::Plain)
}

fn binding(cx: &mut Cx<'_>, a: &Args, cluster: bool) -> Done {
    let name = name(a)?;
    let (role, cluster_role) = (a.str("role"), a.str("clusterrole"));
    if !cluster && role.is_empty() == cluster_role.is_empty() {
        return fail("exactly one of clusterrole or role must be specified");
    }
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut subjects: Vec<Value> = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        for n in unique(a.list(flag)) {
            subjects.push(obj!({"apiGroup": GROUP, "kind": kind, "name": n}));
        }
    }
    for s in unique(a.list("serviceaccount")) {
        match s.text().split_once(':') {
            Some((ns, n)) if !ns.is_empty() && !n.is_empty() && !n.contains(':') => {
                subjects.push(obj!({"kind": "ServiceAccount", "name": n, "namespace": ns}));
            }
            _ => return fail("serviceaccount must be <namespace>:<name>"),
        }
    }
    let (ref_kind, ref_name) =
        if cluster_role.is_empty() { ("Role", role) } else { ("ClusterRole", cluster_role) };
    let (kind, plural, told) = if cluster {
        ("ClusterRoleBinding", "clusterrolebindings", "failed to create clusterrolebinding: ")
    } else {
        ("RoleBinding", "rolebindings", "failed to create rolebinding: ")
    };
    let mut v = obj!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": ref_kind, "name": ref_name}
    });
    if !subjects.is_empty() {
        v.insert("subjects", subjects);
    }
    generated(cx, a, GROUP, plural, v, Told::Behind(told))
}
