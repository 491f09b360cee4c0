//! What the server has: aggregated discovery, and the mapping of words and kinds to resources.
//! Models: `client-go/restmapper` and `apimachinery/pkg/api/meta`.

use crate::client::Api;
use crate::cx::{Cx, Done};
use crate::error::Error;
use api::wire::Request;
use api::{SmolStr, Value};
use std::sync::Arc;

/// A resource of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Group, "" for the core.
    pub group: SmolStr,
    /// Version.
    pub version: SmolStr,
    /// Plural.
    pub name: SmolStr,
    /// Singular.
    pub singular: SmolStr,
    /// Kind.
    pub kind: SmolStr,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: Vec<SmolStr>,
    /// Short names.
    pub short: Vec<SmolStr>,
    /// Categories.
    pub categories: Vec<SmolStr>,
    /// Subresources.
    pub subresources: Vec<SmolStr>,
    /// Whether this version is the group's preferred one for the resource.
    pub preferred: bool,
}

impl Resource {
    /// `v1` or `apps/v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods` or `deployments.apps`
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.name.to_string() } else { format!("{}.{}", self.name, self.group) }
    }

    /// `pod` or `deployment.apps`, as results are named: the lower-case kind and the group.
    pub fn kind_name(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    /// `/v1, Resource=pods`
    pub fn gvr(&self) -> String {
        format!("{}/{}, Resource={}", self.group, self.version, self.name)
    }

    /// `/v1, Kind=Pod`
    pub fn gvk(&self) -> String {
        format!("{}/{}, Kind={}", self.group, self.version, self.kind)
    }

    /// The path of an object, or of the list where `name` is "".
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut p = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            p += &format!("/namespaces/{}", escape(namespace));
        }
        p += &format!("/{}", self.name);
        if !name.is_empty() {
            p += &format!("/{}", escape(name));
        }
        p
    }

    /// The schema's type of its objects, for built-in kinds.
    pub fn type_id(&self) -> Option<api::schema::TypeId> {
        api::kinds::Kind::find(&self.group, &self.version, &self.name).and_then(api::kinds::Kind::type_id)
    }
}

/// Escapes a segment of a path.
pub fn escape(s: &str) -> String {
    let mut out = String::new();
    for b in s.bytes() {
        match b {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b':'
            | b'@'
            | b'$'
            | b'&'
            | b'+'
            | b'='
            | b',' => {
                out.push(b as char);
            }
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// All resources, in the server's order.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Resources of all versions, groups in their order, versions preferred first.
    pub resources: Vec<Arc<Resource>>,
    /// Groups with their versions, the preferred one first.
    pub groups: Vec<(SmolStr, Vec<SmolStr>)>,
}

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

impl Discovery {
    /// Asks the server.
    pub fn fetch(cx: &mut Cx<'_>, api: &Api) -> Done<Discovery> {
        let mut d = Discovery::default();
        for path in ["/api", "/apis"] {
            let v = api.call(cx, Request::get(path).with_header("accept", ACCEPT))?;
            for group in v.get("items").items() {
                d.add_group(group);
            }
        }
        Ok(d)
    }

    fn add_group(&mut self, group: &Value) {
        let name = group.get("metadata").get("name").smol();
        let mut versions = Vec::new();
        let mut seen: Vec<SmolStr> = Vec::new();
        for v in group.get("versions").items() {
            let version = v.get("version").smol();
            versions.push(version.clone());
            for r in v.get("resources").items() {
                let resource = r.get("resource").smol();
                let list = |k: &str| r.get(k).items().map(Value::smol).collect::<Vec<_>>();
                let preferred = !seen.contains(&resource);
                seen.push(resource.clone());
                self.resources.push(Arc::new(Resource {
                    group: name.clone(),
                    version: version.clone(),
                    singular: r.get("singularResource").smol(),
                    kind: r.get("responseKind").get("kind").smol(),
                    namespaced: r.get("scope").text() == "Namespaced",
                    verbs: list("verbs"),
                    short: list("shortNames"),
                    categories: list("categories"),
                    subresources: r
                        .get("subresources")
                        .items()
                        .map(|s| s.get("subresource").smol())
                        .collect(),
                    name: resource,
                    preferred,
                }));
            }
        }
        self.groups.push((name, versions));
    }

    /// The resource of a kind in exactly that version.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.resources
            .iter()
            .find(|r| r.kind == kind && r.api_version() == api_version && !r.verbs.is_empty())
    }

    /// What a word means: `pods`, `po`, `deployment`, `deployments.apps`, `deployments.v1.apps`, `Pod`.
    pub fn resolve(&self, word: &str) -> Result<Arc<Resource>, Error> {
        let lower = word.to_lowercase();
        let mut parts = lower.splitn(3, '.');
        let (first, second, third) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        if let (Some(version), Some(group)) = (second, third)
            && let Some(r) = self.named(first, |r| r.version == version && (r.group == group))
        {
            return Ok(r);
        }
        let group = lower.split_once('.').map_or("", |(_, g)| g);
        let found = if group.is_empty() {
            self.named(first, |r| r.preferred)
        } else {
            self.named(first, |r| r.preferred && r.group == group)
                .or_else(|| self.named(first, |r| r.preferred && r.group.starts_with(group)))
        };
        found.ok_or_else(|| {
            let name = word.split('.').next().unwrap_or(word);
            Error::Text(format!("the server doesn't have a resource type {}", api::gofmt::quote(name)))
        })
    }

    /// By plural or singular name first, then by short name.
    fn named(&self, name: &str, ok: impl Fn(&Resource) -> bool) -> Option<Arc<Resource>> {
        let hit = |f: &dyn Fn(&Resource) -> bool| self.resources.iter().find(|r| ok(r) && f(r)).cloned();
        hit(&|r| r.name == name || r.singular == name || r.kind.to_lowercase() == name)
            .or_else(|| hit(&|r| r.short.iter().any(|s| s == name)))
    }

    /// The resources of a category, in the server's order.
    pub fn category(&self, name: &str) -> Vec<Arc<Resource>> {
        self.resources
            .iter()
            .filter(|r| r.preferred && r.categories.iter().any(|c| c == name))
            .cloned()
            .collect()
    }

    /// The first resource of that group and plural.
    pub fn resource(&self, group: &str, name: &str) -> Option<Arc<Resource>> {
        self.resources.iter().find(|r| r.group == group && r.name == name).cloned()
    }
}
