//! Discovery documents, version and health.

use crate::{ApiServer, Resource};
use api::wire::{Body, Method, Request, Response};
use api::{SmolStr, Value, obj};
use sim::Instant;
use std::sync::Arc;

/// Group versions as upstream orders them; custom groups follow.
const GROUP_ORDER: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// What `/readyz?verbose` and friends list.
const CHECKS: &[&str] = &[
    "ping",
    "log",
    "informer-sync",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
    "shutdown",
];

const OPENAPI_PROTO: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

fn text(s: String) -> Response {
    Response {
        status: 200,
        headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
        warnings: Vec::new(),
        body: Body::text(&s),
        stream: false,
    }
}

impl ApiServer {
    /// Answers a path outside the resource API, or `None` if nothing is there.
    pub(crate) fn discover(&self, _now: Instant, req: &Request) -> Option<Response> {
        if !matches!(req.method, Method::Get | Method::Head) {
            return None;
        }
        let parts: Vec<&str> = req.path.split('/').filter(|p| !p.is_empty()).collect();
        let aggregated = req.header("accept").is_some_and(|a| a.contains("as=APIGroupDiscoveryList"));
        let v = match parts[..] {
            [] => self.paths(),
            ["version"] => {
                let headers = vec![("content-type".into(), "application/json".into())];
                return Some(Response { headers, ..text(version()) });
            }
            ["healthz" | "livez" | "readyz"] => return Some(self.health(parts[0], req)),
            ["healthz" | "livez" | "readyz", ref check @ ..]
                if check == ["etcd"] || CHECKS.contains(&check.join("/").as_str()) =>
            {
                return Some(text("ok".into()));
            }
            // Whoever asks for protobuf gets the empty document: it knows no kinds, and clients go on without.
            ["openapi", "v2"] if req.header("accept").is_some_and(|a| a.contains("proto")) => {
                return Some(Response {
                    headers: vec![("content-type".into(), OPENAPI_PROTO.into())],
                    body: Body::text(""),
                    ..text(String::new())
                });
            }
            ["openapi", "v2"] => self.openapi_v2(),
            ["openapi", "v3"] => self.openapi_index(),
            ["openapi", "v3", "api", v] if self.registry.has_group("", Some(v)) => self.openapi_group("", v),
            ["openapi", "v3", "apis", g, v] if self.registry.has_group(g, Some(v)) => {
                self.openapi_group(g, v)
            }
            ["api"] if aggregated => return Some(self.aggregated(true)),
            ["apis"] if aggregated => return Some(self.aggregated(false)),
            ["api"] => obj!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}]
            }),
            ["apis"] => {
                let groups: Value =
                    self.groups().iter().filter(|g| !g.is_empty()).map(|g| self.group(g)).collect();
                obj!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
            }
            ["apis", g] if self.registry.has_group(g, None) => {
                let mut v = self.group(g);
                v.insert("kind", "APIGroup");
                v.insert("apiVersion", "v1");
                v
            }
            ["api", v] if self.registry.has_group("", Some(v)) => self.resource_list("", v),
            ["apis", g, v] if self.registry.has_group(g, Some(v)) => self.resource_list(g, v),
            _ => return None,
        };
        Some(Response::object(200, v))
    }

    fn health(&self, what: &str, req: &Request) -> Response {
        if !req.query.iter().any(|(k, _)| k == "verbose") {
            return text("ok".into());
        }
        let mut s = String::new();
        // Only readiness asks for the end of startup and shutdown.
        let ready = what == "readyz";
        for c in CHECKS.iter().filter(|c| ready || !matches!(**c, "informer-sync" | "shutdown")) {
            s += &format!("[+]{c} ok\n");
        }
        s += &format!("{what} check passed\n");
        text(s)
    }

    fn paths(&self) -> Value {
        let mut all: Vec<String> = vec!["/api".into(), "/api/v1".into(), "/apis".into(), "/apis/".into()];
        for g in self.groups().iter().filter(|g| !g.is_empty()) {
            all.push(format!("/apis/{g}"));
            all.extend(self.versions(g).iter().map(|v| format!("/apis/{g}/{v}")));
        }
        all.extend(["/healthz", "/livez", "/readyz", "/version"].map(String::from));
        all.sort();
        obj!({"paths": all.into_iter().collect::<Value>()})
    }

    /// Groups in discovery order.
    fn groups(&self) -> Vec<SmolStr> {
        let mut all: Vec<SmolStr> = GROUP_ORDER.iter().map(|g| (*g).into()).collect();
        let mut custom: Vec<SmolStr> = Vec::new();
        for r in self.registry.iter().filter(|r| r.group != "extensions") {
            if !all.contains(&r.group) && !custom.contains(&r.group) {
                custom.push(r.group.clone());
            }
        }
        custom.sort();
        all.append(&mut custom);
        if self.registry.has_group("extensions", None) {
            all.push("extensions".into());
        }
        all
    }

    /// Versions of a group, the preferred one first.
    fn versions(&self, group: &str) -> Vec<SmolStr> {
        let mut all: Vec<SmolStr> = Vec::new();
        for r in self.registry.iter().filter(|r| r.group == group) {
            if !all.contains(&r.version) {
                all.push(r.version.clone());
            }
        }
        all.sort_by(|a, b| version_order(b).cmp(&version_order(a)).then_with(|| a.cmp(b)));
        all
    }

    fn group(&self, g: &str) -> Value {
        let entry = |v: &SmolStr| obj!({"groupVersion": format!("{g}/{v}"), "version": v});
        let versions = self.versions(g);
        obj!({
            "name": g,
            "versions": versions.iter().map(entry).collect::<Value>(),
            "preferredVersion": versions.first().map(entry)
        })
    }

    fn of(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        let mut all: Vec<_> =
            self.registry.iter().filter(|r| r.group == group && r.version == version).collect();
        all.sort_by(|a, b| a.plural.cmp(&b.plural));
        all
    }

    fn resource_list(&self, group: &str, version: &str) -> Value {
        let mut list = Vec::new();
        for r in self.of(group, version) {
            let strs = |v: &[SmolStr]| v.iter().collect::<Value>();
            let mut o = obj!({
                "name": &r.plural, "singularName": &r.singular, "namespaced": r.namespaced, "kind": &r.kind,
                "verbs": strs(&r.verbs)
            });
            if !r.short.is_empty() {
                o.insert("shortNames", strs(&r.short));
            }
            if !r.categories.is_empty() {
                o.insert("categories", strs(&r.categories));
            }
            list.push(o);
            for s in r.builtin.map_or(&[][..], |k| k.subresources) {
                let mut o = obj!({
                    "name": format!("{}/{}", r.plural, s.name), "singularName": "", "namespaced": r.namespaced,
                    "kind": s.kind, "verbs": s.verbs.iter().copied().collect::<Value>()
                });
                if !s.group.is_empty() {
                    o.insert("group", s.group);
                    o.insert("version", s.version);
                }
                list.push(o);
            }
            for s in r.custom.get("subresources").entries().map(|(k, _)| k) {
                let kind = if s.as_str() == "scale" { "Scale" } else { &r.kind };
                list.push(obj!({
                    "name": format!("{}/{s}", r.plural), "singularName": "", "namespaced": r.namespaced,
                    "kind": kind, "verbs": ["get", "patch", "update"]
                }));
            }
        }
        let gv = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        obj!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": list})
    }

    fn aggregated(&self, core: bool) -> Response {
        let mut items = Vec::new();
        for g in self.groups().iter().filter(|g| g.is_empty() == core) {
            let mut versions = Vec::new();
            for v in self.versions(g) {
                let resources: Value = self.of(g, &v).into_iter().map(|r| aggregated_resource(r)).collect();
                versions.push(obj!({"version": v, "resources": resources, "freshness": "Current"}));
            }
            let metadata = if core { Value::map() } else { obj!({"name": g}) };
            items.push(obj!({"metadata": metadata, "versions": versions}));
        }
        let v = obj!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items
        });
        let mut r = Response::object(200, v);
        let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        r.headers.push(("content-type".into(), media.into()));
        r
    }
}

fn aggregated_resource(r: &Resource) -> Value {
    let strs = |v: &[SmolStr]| v.iter().collect::<Value>();
    let kind =
        |group: &str, version: &str, kind: &str| obj!({"group": group, "version": version, "kind": kind});
    let mut o = obj!({
        "resource": &r.plural,
        "responseKind": kind("", "", &r.kind),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": &r.singular,
        "verbs": strs(&r.verbs)
    });
    if r.builtin.is_none() {
        o.insert("responseKind", kind(&r.group, &r.version, &r.kind));
    }
    if !r.short.is_empty() {
        o.insert("shortNames", strs(&r.short));
    }
    if !r.categories.is_empty() {
        o.insert("categories", strs(&r.categories));
    }
    let mut subs: Vec<Value> = r
        .builtin
        .map_or(&[][..], |k| k.subresources)
        .iter()
        .map(|s| {
            obj!({
                "subresource": s.name, "responseKind": kind(s.group, s.version, s.kind),
                "verbs": s.verbs.iter().copied().collect::<Value>()
            })
        })
        .collect();
    for (s, _) in r.custom.get("subresources").entries() {
        let response = if s.as_str() == "scale" {
            kind("autoscaling", "v1", "Scale")
        } else {
            kind(&r.group, &r.version, &r.kind)
        };
        subs.push(
            obj!({"subresource": s.as_str(), "responseKind": response, "verbs": ["get", "patch", "update"]}),
        );
    }
    if !subs.is_empty() {
        o.insert("subresources", subs);
    }
    o
}

/// Kubernetes' order of versions: GA before beta before alpha, higher before lower.
pub(crate) fn version_order(v: &str) -> (u8, u32, u32) {
    let parse = || -> Option<(u8, u32, u32)> {
        let rest = v.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            s if s.starts_with("beta") => Some((2, major, s[4..].parse().ok()?)),
            s if s.starts_with("alpha") => Some((1, major, s[5..].parse().ok()?)),
            _ => None,
        }
    };
    parse().unwrap_or((0, 0, 0))
}

/// `/version` in the order of its fields, which no other answer has.
fn version() -> String {
    const FIELDS: [(&str, &str); 13] = [
        ("major", "1"),
        ("minor", "36"),
        ("emulationMajor", "1"),
        ("emulationMinor", "36"),
        ("minCompatibilityMajor", "1"),
        ("minCompatibilityMinor", "35"),
        ("gitVersion", "v1.36.2"),
        ("gitCommit", "98b35193b2ac7a23a673325f5e9b830ecd5ba406"),
        ("gitTreeState", "clean"),
        ("buildDate", "2026-07-23T00:00:00Z"),
        ("goVersion", "go1.26.3"),
        ("compiler", "gc"),
        ("platform", "linux/amd64"),
    ];
    let rows: Vec<String> = FIELDS.iter().map(|(k, v)| format!("  \"{k}\": \"{v}\"")).collect();
    format!("{{\n{}\n}}", rows.join(",\n"))
}
