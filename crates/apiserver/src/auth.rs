//! Who asks, and may they? Authentication and RBAC.
//!
//! Models: the x509, bearer and anonymous authenticators; `rbac.authorization.k8s.io`; the Node authorizer in broad
//! strokes (a kubelet may do what `system:node` may).

use crate::store::Store;
use crate::{ApiServer, Registry};
use api::wire::Credentials;
use api::{SmolStr, Value};
use sim::persistent::OrdMap;
use std::sync::Arc;

/// An authenticated user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct User {
    /// Name.
    pub name: SmolStr,
    /// Groups.
    pub groups: Vec<SmolStr>,
    /// uid, "" if unknown.
    pub uid: SmolStr,
    /// Extra fields.
    pub extra: Vec<(SmolStr, Vec<SmolStr>)>,
}

impl User {
    /// A user of these groups, who counts as authenticated.
    pub fn new(name: &str, groups: &[&str]) -> User {
        let mut groups: Vec<SmolStr> = groups.iter().map(|g| (*g).into()).collect();
        groups.push("system:authenticated".into());
        User { name: name.into(), groups, ..User::default() }
    }

    /// The user of a service account.
    pub fn service_account(namespace: &str, name: &str) -> User {
        let group = format!("system:serviceaccounts:{namespace}");
        User::new(&format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &group])
    }

    /// Whether the user is in a group.
    pub fn in_group(&self, g: &str) -> bool {
        self.groups.iter().any(|x| x == g)
    }

    /// `(namespace, name)` of the service account that this user is.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// What someone wants to do, for authorization.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Verb: `get`, `list`, …
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Version, for messages only.
    pub version: &'a str,
    /// Resource, "" for a path.
    pub resource: &'a str,
    /// Subresource.
    pub sub: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// Path, where no resource is asked for.
    pub path: &'a str,
}

/// A rule that a user has, and where from.
#[derive(Clone, Debug)]
struct Grant {
    /// "" for the whole cluster.
    namespace: SmolStr,
    rule: Value,
    /// `ClusterRoleBinding "x" of ClusterRole "y" to User "z"`
    origin: SmolStr,
}

/// A user's rules as of a revision of the RBAC objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleCache {
    revision: u64,
    users: OrdMap<User, Arc<Vec<Grant>>>,
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn has(list: &Value, x: &str) -> bool {
    list.items().any(|v| v.text() == x || v.text() == "*")
}

/// Whether an RBAC rule covers the attributes. Models: `RuleAllows`.
pub fn rule_allows(rule: &Value, a: &Attributes<'_>) -> bool {
    if !has(rule.get("verbs"), a.verb) {
        return false;
    }
    if a.resource.is_empty() {
        return rule.get("nonResourceURLs").items().any(|u| match u.text().strip_suffix('*') {
            Some(prefix) => a.path.starts_with(prefix),
            None => u.text() == a.path,
        });
    }
    let resource = rule.get("resources").items().any(|r| {
        let r = r.text();
        r == "*"
            || (a.sub.is_empty() && r == a.resource)
            || (!a.sub.is_empty()
                && r.split_once('/')
                    .is_some_and(|(res, sub)| (res == a.resource || res == "*") && sub == a.sub))
    });
    let names = rule.get("resourceNames");
    resource
        && has(rule.get("apiGroups"), a.group)
        && (names.is_empty() || names.items().any(|n| n.text() == a.name))
}

fn subject_matches(s: &Value, user: &User, binding_namespace: &str) -> bool {
    let name = s.get("name").text();
    match s.get("kind").text() {
        "User" => user.name == name,
        "Group" => user.in_group(name),
        "ServiceAccount" => {
            let ns = match s.get("namespace").text() {
                "" => binding_namespace,
                ns => ns,
            };
            user.as_service_account() == Some((ns, name))
        }
        _ => false,
    }
}

fn grants(store: &Store, registry: &Registry, user: &User) -> Vec<Grant> {
    let id = |plural| registry.id(RBAC, "v1", plural);
    let (Some(crb), Some(cr), Some(rb), Some(r)) =
        (id("clusterrolebindings"), id("clusterroles"), id("rolebindings"), id("roles"))
    else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (res, cluster) in [(crb, true), (rb, false)] {
        for ((ns, name), b) in store.list(res, None, None) {
            let Some(subject) = b.get("subjects").items().find(|s| subject_matches(s, user, ns)) else {
                continue;
            };
            let role = b.get("roleRef");
            let role_name = role.get("name").text();
            let object = match role.get("kind").text() {
                "ClusterRole" => store.get(cr, "", role_name),
                _ => store.get(r, ns, role_name),
            };
            let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
            let binding = if cluster { name.to_string() } else { format!("{name}/{ns}") };
            let who = match subject.get("kind").text() {
                "ServiceAccount" => {
                    format!("{}/{}", subject.get("name").text(), subject.get("namespace").text())
                }
                _ => subject.get("name").text().to_owned(),
            };
            let origin: SmolStr = format!(
                "RBAC: allowed by {kind} \"{binding}\" of {} \"{role_name}\" to {} \"{who}\"",
                role.get("kind").text(),
                subject.get("kind").text()
            )
            .into();
            for rule in object.map_or(Value::null(), |o| o.get("rules")).items() {
                out.push(Grant { namespace: ns.clone(), rule: rule.clone(), origin: origin.clone() });
            }
        }
    }
    out
}

impl ApiServer {
    /// Authenticates a request. Models: the union of certificate, bearer token and anonymous authenticators.
    pub fn authenticate(&self, c: &Credentials) -> Option<User> {
        match c {
            Credentials::Anonymous => Some(User {
                name: "system:anonymous".into(),
                groups: vec!["system:unauthenticated".into()],
                ..User::default()
            }),
            Credentials::Certificate { name, groups } => {
                let groups: Vec<&str> = groups.iter().map(SmolStr::as_str).collect();
                Some(User::new(name, &groups))
            }
            Credentials::Bearer(token) => self.authenticate_token(token),
            Credentials::Basic { user, password } => {
                let known = self.settings.basic_users.iter().find(|(u, p, _)| u == user && p == password)?;
                let groups: Vec<&str> = known.2.iter().map(SmolStr::as_str).collect();
                Some(User::new(user, &groups))
            }
        }
    }

    /// The user behind a bearer token.
    pub(crate) fn authenticate_token(&self, token: &str) -> Option<User> {
        match self.settings.tokens.iter().find(|(t, _)| t == token) {
            Some((_, user)) => Some(user.clone()),
            None => self.authenticate_jwt(token),
        }
    }

    fn rules_of(&mut self, user: &User) -> Arc<Vec<Grant>> {
        let newest = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]
            .iter()
            .filter_map(|p| self.registry.id(RBAC, "v1", p))
            .filter_map(|id| self.store.last_change(id))
            .map(|c| c.revision)
            .max()
            .unwrap_or(0);
        if self.rule_cache.revision != newest {
            self.rule_cache = RuleCache { revision: newest, users: OrdMap::new() };
        }
        if let Some(g) = self.rule_cache.users.get(user) {
            return g.clone();
        }
        let g = Arc::new(grants(&self.store, &self.registry, user));
        self.rule_cache.users.insert(user.clone(), g.clone());
        g
    }

    /// Why the user may do it, or `None` if they may not.
    pub fn authorize(&mut self, user: &User, a: &Attributes<'_>) -> Option<SmolStr> {
        if user.in_group("system:masters") {
            return Some(SmolStr::default());
        }
        let rules = self.rules_of(user);
        let hit = rules
            .iter()
            .find(|g| (g.namespace.is_empty() || g.namespace == a.namespace) && rule_allows(&g.rule, a))
            .map(|g| g.origin.clone());
        if hit.is_none() && user.in_group("system:nodes") {
            // The Node authorizer: its rules are the ClusterRole that nobody is bound to.
            let role = self
                .registry
                .id(RBAC, "v1", "clusterroles")
                .and_then(|id| self.store.get(id, "", "system:node"));
            return role
                .is_some_and(|r| r.get("rules").items().any(|rule| rule_allows(rule, a)))
                .then(SmolStr::default);
        }
        hit
    }

    /// All rules that the user has in a namespace, cluster-wide ones included.
    pub fn rules_in(&mut self, user: &User, namespace: &str) -> Vec<Value> {
        if user.in_group("system:masters") {
            let star = api::obj!(["*"]);
            return vec![
                api::obj!({"verbs": &star, "apiGroups": &star, "resources": &star}),
                api::obj!({"verbs": &star, "nonResourceURLs": &star}),
            ];
        }
        let rules = self.rules_of(user);
        let mine = |g: &&Grant| g.namespace.is_empty() || g.namespace == namespace;
        rules.iter().filter(mine).map(|g| g.rule.clone()).collect()
    }
}

/// The message of a refusal. Models: `responsewriters.ForbiddenMessage`.
pub fn forbidden_message(user: &User, a: &Attributes<'_>) -> String {
    let who = format!("User \"{}\"", user.name);
    if a.resource.is_empty() {
        return format!("{who} cannot {} path \"{}\"", a.verb, a.path);
    }
    let resource = if a.sub.is_empty() { a.resource.to_owned() } else { format!("{}/{}", a.resource, a.sub) };
    let scope = match a.namespace {
        "" => "at the cluster scope".to_owned(),
        ns => format!("in the namespace \"{ns}\""),
    };
    format!("{who} cannot {} resource \"{resource}\" in API group \"{}\" {scope}", a.verb, a.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::obj;

    #[test]
    fn rules() {
        let rule = obj!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"], "resourceNames": ["a"]});
        let a = Attributes {
            verb: "get",
            group: "",
            version: "v1",
            resource: "pods",
            sub: "",
            namespace: "x",
            name: "a",
            path: "",
        };
        assert!(rule_allows(&rule, &a));
        assert!(rule_allows(&rule, &Attributes { sub: "log", ..a }));
        assert!(!rule_allows(&rule, &Attributes { sub: "exec", ..a }));
        assert!(!rule_allows(&rule, &Attributes { name: "b", ..a }));
        let urls = obj!({"nonResourceURLs": ["/healthz", "/apis/*"], "verbs": ["get"]});
        assert!(rule_allows(&urls, &Attributes { resource: "", path: "/apis/x", ..a }));
        assert!(!rule_allows(&urls, &Attributes { resource: "", path: "/api", ..a }));
    }
}
