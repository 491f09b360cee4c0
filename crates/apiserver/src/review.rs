//! Resources that answer without being stored: access reviews, token reviews, tokens, bindings, evictions.

use crate::auth::{Attributes, User, rule_allows};
use crate::server::Cx;
use crate::{ApiServer, Op, Resource, Status};
use api::field::{At, Errors};
use api::{SmolStr, Value, obj};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use sha2::{Digest as _, Sha256};

/// What a review must say. Models: the validation of the authorization and authentication groups.
fn check(r: &Resource, op: &Op, v: Value) -> Result<Value, Status> {
    let spec = v.get("spec");
    let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    let mut e = Errors::default();
    let at = At::Path("spec");
    if r.kind.ends_with("SubjectAccessReview") || r.kind == "SelfSubjectAccessReview" {
        if resource.is_some() && path.is_some() {
            let why = "cannot be specified in combination with resourceAttributes";
            e.invalid(&at.field("nonResourceAttributes"), path, why);
        }
        if resource.is_null() && path.is_null() {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            e.invalid(&at.field("resourceAttributes"), Value::Null, why);
        }
        if r.kind != "SelfSubjectAccessReview"
            && spec.get("user").text().is_empty()
            && spec.get("groups").is_empty()
        {
            e.invalid(&at.field("user"), "", "at least one of user or group must be specified");
        }
        if r.kind == "LocalSubjectAccessReview" {
            if resource.get("namespace").text() != op.namespace.as_str() {
                let why = "must match metadata.namespace";
                e.invalid(
                    &at.field("resourceAttributes").field("namespace"),
                    resource.get("namespace").text(),
                    why,
                );
            }
            if path.is_some() {
                let why = "disallowed on this kind of request";
                e.invalid(&at.field("nonResourceAttributes"), path, why);
            }
        }
    }
    if !e.is_empty() {
        return Err(Status::invalid(&r.group, &r.kind, "", &e));
    }
    match r.kind.as_str() {
        "TokenReview" if spec.get("token").text().is_empty() => {
            Err(Status::bad_request("token is required for TokenReview in authentication"))
        }
        "SelfSubjectRulesReview" if spec.get("namespace").text().is_empty() => {
            Err(Status::bad_request("no namespace on request"))
        }
        _ => Ok(v),
    }
}

impl ApiServer {
    /// Answers a create of a kind that is never stored, or `None` for other kinds.
    pub(crate) fn review(&mut self, cx: &mut Cx, r: &Resource, op: &Op) -> Option<Result<Value, Status>> {
        if !matches!(r.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io") {
            return None;
        }
        let v = match self.decode_object(cx, r, op).and_then(|v| check(r, op, v)) {
            Ok(v) => v,
            Err(e) => return Some(Err(e)),
        };
        Some(match (r.group.as_str(), r.kind.as_str()) {
            ("authorization.k8s.io", "SelfSubjectAccessReview") => {
                Ok(self.access_review(v, &cx.user.clone()))
            }
            ("authorization.k8s.io", "SubjectAccessReview" | "LocalSubjectAccessReview") => {
                let groups: Vec<SmolStr> = v.at(&["spec", "groups"]).items().map(Value::smol).collect();
                let user = User { name: v.at(&["spec", "user"]).smol(), groups, ..User::default() };
                Ok(self.access_review(v, &user))
            }
            ("authorization.k8s.io", "SelfSubjectRulesReview") => Ok(self.rules_review(v, &cx.user.clone())),
            ("authentication.k8s.io", "SelfSubjectReview") => {
                let mut v = v;
                v.set(&["metadata", "creationTimestamp"], self.timestamp(cx.now));
                v.set(&["status", "userInfo"], user_info(&cx.user));
                Ok(v)
            }
            ("authentication.k8s.io", "TokenReview") => Ok(self.token_review(v)),
            _ => return None,
        })
    }

    fn access_review(&mut self, mut v: Value, user: &User) -> Value {
        let spec = v.get("spec").clone();
        let ra = spec.get("resourceAttributes");
        let a = if ra.is_some() {
            Attributes {
                verb: ra.get("verb").text(),
                group: ra.get("group").text(),
                version: ra.get("version").text(),
                resource: ra.get("resource").text(),
                sub: ra.get("subresource").text(),
                namespace: ra.get("namespace").text(),
                name: ra.get("name").text(),
                path: "",
            }
        } else {
            let na = spec.get("nonResourceAttributes");
            Attributes {
                verb: na.get("verb").text(),
                group: "",
                version: "",
                resource: "",
                sub: "",
                namespace: "",
                name: "",
                path: na.get("path").text(),
            }
        };
        let reason = self.authorize(user, &a);
        let mut status = obj!({"allowed": reason.is_some()});
        if let Some(r) = reason.filter(|r| !r.is_empty()) {
            status.insert("reason", r);
        }
        v.insert("status", status);
        v
    }

    fn rules_review(&mut self, mut v: Value, user: &User) -> Value {
        let namespace = v.at(&["spec", "namespace"]).text().to_owned();
        let rules = self.rules_in(user, &namespace);
        let pick = |keys: &[&str], with: &str| -> Value {
            rules
                .iter()
                .filter(|r| !r.get(with).is_empty())
                .map(|r| {
                    keys.iter().filter(|k| r.get(k).is_some()).map(|k| (*k, r.get(k))).collect::<Value>()
                })
                .collect()
        };
        v.insert(
            "status",
            obj!({
                "resourceRules": pick(&["verbs", "apiGroups", "resources", "resourceNames"], "resources"),
                "nonResourceRules": pick(&["verbs", "nonResourceURLs"], "nonResourceURLs"),
                "incomplete": false
            }),
        );
        v
    }

    fn token_review(&self, mut v: Value) -> Value {
        let token = v.at(&["spec", "token"]).text().to_owned();
        let status = match self.authenticate_token(&token) {
            Some(u) => obj!({"authenticated": true, "user": user_info(&u), "audiences": [AUDIENCE]}),
            None => obj!({"error": "[invalid bearer token, Token has been invalidated]", "user": {}}),
        };
        v.insert("status", status);
        v
    }

    /// Answers `serviceaccounts/token`: a signed, expiring JWT.
    pub(crate) fn token_request(&mut self, cx: &mut Cx, op: &Op) -> Result<Value, Status> {
        let r = self.registry.get(op.res).clone();
        let sa = self
            .store
            .get(r.storage, &op.namespace, &op.name)
            .ok_or_else(|| Status::not_found("", "serviceaccounts", &op.name))?
            .clone();
        let mut v = op.body.clone();
        let seconds = v.at(&["spec", "expirationSeconds"]).as_int().unwrap_or(3600);
        if seconds < 600 {
            let mut e = api::field::Errors::default();
            e.invalid(
                &api::field::At::Path("spec.expirationSeconds"),
                seconds,
                "may not specify a duration less than 10 minutes",
            );
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", &op.name, &e));
        }
        let issued = self.settings.epoch.civil(cx.now).unix();
        let audiences = v.at(&["spec", "audiences"]).clone();
        let audiences = if audiences.is_empty() { obj!([AUDIENCE]) } else { audiences };
        let mut kubernetes = obj!({
            "namespace": &op.namespace,
            "serviceaccount": {"name": &op.name, "uid": sa.uid()}
        });
        let bound = v.at(&["spec", "boundObjectRef"]).clone();
        if bound.get("kind").text() == "Pod" {
            kubernetes.insert("pod", obj!({"name": bound.get("name"), "uid": bound.get("uid")}));
        }
        let claims = obj!({
            "aud": &audiences, "exp": issued + seconds, "iat": issued, "nbf": issued,
            "iss": AUDIENCE, "jti": self.chance.uuid(), "kubernetes.io": kubernetes,
            "sub": format!("system:serviceaccount:{}:{}", op.namespace, op.name)
        });
        v.set(&["metadata", "name"], &op.name);
        v.set(&["metadata", "namespace"], &op.namespace);
        v.set(&["metadata", "creationTimestamp"], self.timestamp(cx.now));
        v.set(&["spec", "audiences"], audiences);
        v.set(&["spec", "expirationSeconds"], seconds);
        if bound.is_null() {
            v.set(&["spec", "boundObjectRef"], Value::Null);
        }
        let expires = sim::Civil::from_unix(issued + seconds, 0).rfc3339();
        v.insert("status", obj!({"token": self.sign(&claims), "expirationTimestamp": expires}));
        Ok(v)
    }

    /// A JWT over the claims. The signature is a keyed hash under the cluster's own key, in place of RSA.
    fn sign(&self, claims: &Value) -> String {
        let head = obj!({"alg": "RS256", "kid": self.key_id()});
        let body = format!("{}.{}", B64.encode(head.to_json()), B64.encode(claims.to_json()));
        let signature = B64.encode(self.mac(&body));
        format!("{body}.{signature}")
    }

    fn key_id(&self) -> String {
        B64.encode(self.mac("key id"))
    }

    fn mac(&self, text: &str) -> Vec<u8> {
        let key =
            self.registry.id("", "v1", "namespaces").and_then(|id| self.store.get(id, "", "kube-system"));
        let mut h = Sha256::new();
        h.update(key.map_or("", |n| n.uid()));
        h.update(text);
        h.finalize().to_vec()
    }

    /// The service account behind a token that this cluster signed.
    pub(crate) fn authenticate_jwt(&self, token: &str) -> Option<User> {
        let (body, signature) = token.rsplit_once('.')?;
        if B64.encode(self.mac(body)) != signature {
            return None;
        }
        let claims = B64.decode(body.split_once('.')?.1).ok()?;
        let (claims, _) = api::parse_json(&String::from_utf8(claims).ok()?).ok()?;
        let k = claims.get("kubernetes.io");
        let (ns, name) = (k.get("namespace").text(), k.at(&["serviceaccount", "name"]).text());
        let id = self.registry.id("", "v1", "serviceaccounts")?;
        let sa = self.store.get(id, ns, name)?;
        if sa.uid() != k.at(&["serviceaccount", "uid"]).text() {
            return None;
        }
        let mut user = User::service_account(ns, name);
        user.uid = sa.uid().into();
        Some(user)
    }

    /// Whether a role's rules are all covered by what the user has, as escalation checks demand.
    pub(crate) fn covers(&mut self, user: &User, namespace: &str, rules: &Value) -> bool {
        let mine = self.rules_in(user, namespace);
        let any = |v: &Value| -> Vec<String> {
            if v.is_empty() { vec![String::new()] } else { v.items().map(|x| x.text().to_owned()).collect() }
        };
        rules.items().all(|rule| {
            let urls = rule.get("nonResourceURLs");
            any(rule.get("verbs")).iter().all(|verb| {
                urls.items().all(|u| {
                    let a = Attributes {
                        verb,
                        group: "",
                        version: "",
                        resource: "",
                        sub: "",
                        namespace,
                        name: "",
                        path: u.text(),
                    };
                    mine.iter().any(|m| rule_allows(m, &a))
                }) && (rule.get("resources").is_empty()
                    || any(rule.get("apiGroups")).iter().all(|group| {
                        any(rule.get("resources")).iter().all(|res| {
                            any(rule.get("resourceNames")).iter().all(|name| {
                                let (resource, sub) = res.split_once('/').unwrap_or((res, ""));
                                let a = Attributes {
                                    verb,
                                    group,
                                    version: "",
                                    resource,
                                    sub,
                                    namespace,
                                    name,
                                    path: "",
                                };
                                mine.iter().any(|m| rule_allows(m, &a))
                            })
                        })
                    }))
            })
        })
    }
}

const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

fn user_info(u: &User) -> Value {
    let mut v = obj!({"username": &u.name});
    if !u.uid.is_empty() {
        v.insert("uid", &u.uid);
    }
    v.insert("groups", u.groups.iter().collect::<Value>());
    if !u.extra.is_empty() {
        v.insert(
            "extra",
            u.extra.iter().map(|(k, v)| (k.as_str(), v.iter().collect::<Value>())).collect::<Value>(),
        );
    }
    v
}
