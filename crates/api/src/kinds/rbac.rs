//! Roles and bindings.

use super::{NameRule, Rules, check, default, object_age};
use crate::Value;
use crate::field::{At, Errors};

const GROUP: &str = "rbac.authorization.k8s.io";

const NAMED: Rules = Rules { name: NameRule::PathSegment, ..Rules::GENERIC };

/// Role.
pub const ROLE: Rules = Rules {
    of: (GROUP, "Role"),
    validate: |v, e| policy_rules(v.get("rules"), true, e),
    cells: Some(|v, _| vec![v.name().into(), v.get("metadata").get("creationTimestamp").clone()]),
    ..NAMED
};

/// ClusterRole.
pub const CLUSTER_ROLE: Rules = Rules {
    of: (GROUP, "ClusterRole"),
    validate: |v, e| {
        policy_rules(v.get("rules"), false, e);
        let selectors = v.at(&["aggregationRule", "clusterRoleSelectors"]);
        if v.get("aggregationRule").is_some() && selectors.is_empty() {
            e.required(
                &At::Path("aggregationRule.clusterRoleSelectors"),
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            );
        }
    },
    ..ROLE
};

fn policy_rules(rules: &Value, namespaced: bool, e: &mut Errors) {
    let list = At::Path("rules");
    for (i, r) in rules.items().enumerate() {
        let at = list.index(i);
        if r.get("verbs").is_empty() {
            e.required(&at.field("verbs"), "verbs must contain at least one value");
        }
        if !r.get("nonResourceURLs").is_empty() {
            let urls = at.field("nonResourceURLs");
            if namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                e.invalid(&urls, r.get("nonResourceURLs"), why);
            }
            if r.get("apiGroups").len() + r.get("resources").len() + r.get("resourceNames").len() > 0 {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                e.invalid(&urls, r.get("nonResourceURLs"), why);
            }
            continue;
        }
        if r.get("apiGroups").is_empty() {
            e.required(&at.field("apiGroups"), "resource rules must supply at least one api group");
        }
        if r.get("resources").is_empty() {
            e.required(&at.field("resources"), "resource rules must supply at least one resource");
        }
    }
}

fn binding_defaults(v: &mut Value) {
    default(v.slot(&["roleRef"]), "apiGroup", GROUP);
    if !v.get("subjects").is_empty() {
        for s in v.slot(&["subjects"]).list_mut() {
            match s.get("kind").text() {
                "User" | "Group" => default(s, "apiGroup", GROUP),
                _ => {}
            }
        }
    }
}

fn binding(v: &Value, namespaced: bool, e: &mut Errors) {
    let role = v.get("roleRef");
    let at = At::Path("roleRef");
    if role.get("apiGroup").text() != GROUP {
        e.one_of(&at.field("apiGroup"), role.get("apiGroup").text(), &[GROUP]);
    }
    let kinds = if namespaced { &["Role", "ClusterRole"][..] } else { &["ClusterRole"] };
    if !kinds.contains(&role.get("kind").text()) {
        e.one_of(&at.field("kind"), role.get("kind").text(), kinds);
    }
    if check::required(role, "name", &at, e) {
        let name = role.get("name").text();
        check::messages(name, crate::names::path_segment(name), &at.field("name"), e);
    }
    let list = At::Path("subjects");
    for (i, s) in v.get("subjects").items().enumerate() {
        let at = list.index(i);
        let name = s.get("name").text();
        check::required(s, "name", &at, e);
        let group = s.get("apiGroup").text();
        match s.get("kind").text() {
            "ServiceAccount" => {
                if !name.is_empty() {
                    check::messages(name, crate::names::dns_subdomain(name), &at.field("name"), e);
                }
                if !group.is_empty() {
                    e.one_of(&at.field("apiGroup"), group, &[""]);
                }
                if !namespaced && s.get("namespace").text().is_empty() {
                    e.required(&at.field("namespace"), "");
                }
            }
            "User" | "Group" => {
                if group != GROUP {
                    e.one_of(&at.field("apiGroup"), group, &[GROUP]);
                }
            }
            other => e.one_of(&at.field("kind"), other, &["ServiceAccount", "User", "Group"]),
        }
    }
}

fn binding_update(new: &Value, old: &Value, e: &mut Errors) {
    if new.get("roleRef") != old.get("roleRef") {
        e.invalid(&At::Path("roleRef"), new.get("roleRef"), "cannot change roleRef");
    }
}

/// RoleBinding.
pub const ROLE_BINDING: Rules = Rules {
    of: (GROUP, "RoleBinding"),
    defaults: binding_defaults,
    validate: |v, e| binding(v, true, e),
    validate_update: binding_update,
    cells: Some(|v, now| {
        let role = v.get("roleRef");
        let of = |kind: &str| -> Value {
            let all: Vec<String> = v
                .get("subjects")
                .items()
                .filter(|s| s.get("kind").text() == kind)
                .map(|s| match kind {
                    "ServiceAccount" => format!("{}/{}", s.get("namespace").text(), s.get("name").text()),
                    _ => s.get("name").text().to_owned(),
                })
                .collect();
            all.join(", ").into()
        };
        vec![
            v.name().into(),
            format!("{}/{}", role.get("kind").text(), role.get("name").text()).into(),
            object_age(v, now),
            of("User"),
            of("Group"),
            of("ServiceAccount"),
        ]
    }),
    ..NAMED
};

/// ClusterRoleBinding.
pub const CLUSTER_ROLE_BINDING: Rules =
    Rules { of: (GROUP, "ClusterRoleBinding"), validate: |v, e| binding(v, false, e), ..ROLE_BINDING };
