//! Roles and bindings.

use super::{NameRule, Rules, default};
use crate::Value;

const NAMED: Rules = Rules { name: NameRule::PathSegment, ..Rules::GENERIC };

/// Role.
pub const ROLE: Rules = Rules {
    of: ("rbac.authorization.k8s.io", "Role"),
    cells: Some(|v, _| vec![v.name().into(), v.get("metadata").get("creationTimestamp").clone()]),
    ..NAMED
};

/// ClusterRole.
pub const CLUSTER_ROLE: Rules = Rules { of: ("rbac.authorization.k8s.io", "ClusterRole"), ..ROLE };

fn binding_defaults(v: &mut Value) {
    default(v.slot(&["roleRef"]), "apiGroup", "rbac.authorization.k8s.io");
    if v.get("subjects").len() > 0 {
        for s in v.slot(&["subjects"]).list_mut() {
            match s.get("kind").text() {
                "User" | "Group" => default(s, "apiGroup", "rbac.authorization.k8s.io"),
                _ => {}
            }
        }
    }
}

/// RoleBinding.
pub const ROLE_BINDING: Rules =
    Rules { of: ("rbac.authorization.k8s.io", "RoleBinding"), defaults: binding_defaults, ..NAMED };

/// ClusterRoleBinding.
pub const CLUSTER_ROLE_BINDING: Rules =
    Rules { of: ("rbac.authorization.k8s.io", "ClusterRoleBinding"), defaults: binding_defaults, ..NAMED };
