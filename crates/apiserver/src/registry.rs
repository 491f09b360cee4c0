//! The resources that the server serves: built-in kinds and those of CustomResourceDefinitions, in one list.

use api::kinds::{Column, KINDS, Kind, Rules, rules};
use api::schema::TypeId;
use api::{SmolStr, Value};
use sim::persistent::OrdMap;
use std::sync::Arc;

/// A resource by its place in the registry; stable for the life of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ResId(pub u16);

/// A resource that the server serves in one version.
#[derive(Clone)]
pub struct Resource {
    /// Its place.
    pub id: ResId,
    /// Where its objects are stored: itself, or the resource of another group or version that has the same objects.
    pub storage: ResId,
    /// API group, "" for the core.
    pub group: SmolStr,
    /// Version.
    pub version: SmolStr,
    /// Kind.
    pub kind: SmolStr,
    /// Plural.
    pub plural: SmolStr,
    /// Singular.
    pub singular: SmolStr,
    /// Short names.
    pub short: Vec<SmolStr>,
    /// Categories.
    pub categories: Vec<SmolStr>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Its type in the schema, for built-in kinds.
    pub ty: Option<TypeId>,
    /// The CustomResourceDefinition's version entry, for custom kinds; else null.
    pub custom: Value,
    /// Verbs.
    pub verbs: Vec<SmolStr>,
    /// The built-in kind with its subresources and columns, if it is one.
    pub builtin: Option<&'static Kind>,
    /// Behaviour.
    pub rules: &'static Rules,
    /// What is special about an old version; `None` for what v1.36 serves.
    pub old: Option<&'static crate::old::Old>,
}

impl core::fmt::Debug for Resource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}/{}", self.group, self.version, self.plural)
    }
}

impl Resource {
    /// `v1` or `apps/v1`
    pub fn api_version(&self) -> SmolStr {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version).into()
        }
    }

    /// `pods` or `deployments.apps`
    pub fn qualified(&self) -> String {
        crate::status::qualified(&self.group, &self.plural)
    }

    /// Whether it can be asked for with that verb.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// Names of its subresources.
    pub fn subresources(&self) -> Vec<SmolStr> {
        match self.builtin {
            Some(k) => k.subresources.iter().map(|s| s.name.into()).collect(),
            None => self.custom.get("subresources").entries().map(|(k, _)| k.as_str().into()).collect(),
        }
    }

    /// Columns of its Table.
    pub fn columns(&self) -> &'static [Column] {
        self.builtin.map_or(&[], |k| k.columns)
    }
}

/// All resources. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Registry {
    list: Arc<Vec<Arc<Resource>>>,
    by_path: OrdMap<(SmolStr, SmolStr, SmolStr), ResId>,
}

/// Resources that are another's objects in other clothes: (group, version, plural) and where they are stored.
const ALIASES: &[(&str, &str, &str, &str, &str)] = &[
    ("events.k8s.io", "v1", "events", "", "v1"),
    ("autoscaling", "v1", "horizontalpodautoscalers", "autoscaling", "v2"),
];

impl Default for Registry {
    fn default() -> Self {
        let mut r = Registry { list: Arc::default(), by_path: OrdMap::new() };
        for k in KINDS {
            let id = ResId(r.list.len() as u16);
            r.push(Resource {
                id,
                storage: id,
                group: SmolStr::new_static(k.group),
                version: SmolStr::new_static(k.version),
                kind: SmolStr::new_static(k.kind),
                plural: SmolStr::new_static(k.plural),
                singular: SmolStr::new_static(k.singular),
                short: k.short.iter().map(|s| SmolStr::new_static(s)).collect(),
                categories: k.categories.iter().map(|s| SmolStr::new_static(s)).collect(),
                namespaced: k.namespaced,
                ty: k.type_id(),
                custom: Value::Null,
                verbs: k.verbs.iter().map(|s| SmolStr::new_static(s)).collect(),
                builtin: Some(k),
                rules: rules(k.group, k.kind),
                old: None,
            });
        }
        for (group, version, plural, to_group, to_version) in ALIASES {
            if let (Some(a), Some(b)) = (r.id(group, version, plural), r.id(to_group, to_version, plural)) {
                let mut res = (*r.list[usize::from(a.0)]).clone();
                res.storage = b;
                Arc::make_mut(&mut r.list)[usize::from(a.0)] = Arc::new(res);
            }
        }
        r
    }
}

impl Registry {
    /// The place that the next resource gets.
    pub(crate) fn next_id(&self) -> ResId {
        ResId(self.list.len() as u16)
    }

    pub(crate) fn push(&mut self, r: Resource) {
        self.by_path.insert((r.group.clone(), r.version.clone(), r.plural.clone()), r.id);
        Arc::make_mut(&mut self.list).push(Arc::new(r));
    }

    /// The resource at a place.
    pub fn get(&self, id: ResId) -> &Arc<Resource> {
        &self.list[usize::from(id.0)]
    }

    /// All resources that are served, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.list
            .iter()
            .filter(|r| self.by_path.contains_key(&(r.group.clone(), r.version.clone(), r.plural.clone())))
    }

    /// The place of a resource.
    pub fn id(&self, group: &str, version: &str, plural: &str) -> Option<ResId> {
        self.by_path.get(&(group.into(), version.into(), plural.into())).copied()
    }

    /// The resource of that group, version and plural.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.id(group, version, plural).map(|id| self.get(id))
    }

    /// The resource of that API version and kind.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.iter().find(|r| r.kind == kind && r.group == group && r.version == version)
    }

    /// Whether any resource of that group (and version, if given) is served.
    pub fn has_group(&self, group: &str, version: Option<&str>) -> bool {
        self.iter().any(|r| r.group == group && version.is_none_or(|v| r.version == v))
    }

    /// Serves (again) one version of a custom kind.
    pub fn serve_custom(&mut self, mut r: Resource) -> ResId {
        // A version that was served before keeps its place, so that its objects are found again.
        let old =
            self.list.iter().find(|o| o.group == r.group && o.version == r.version && o.plural == r.plural);
        let id = old.map_or(ResId(self.list.len() as u16), |o| o.id);
        r.id = id;
        if r.storage == ResId(u16::MAX) {
            r.storage = id;
        }
        if usize::from(id.0) < self.list.len() {
            self.by_path.insert((r.group.clone(), r.version.clone(), r.plural.clone()), id);
            Arc::make_mut(&mut self.list)[usize::from(id.0)] = Arc::new(r);
        } else {
            self.push(r);
        }
        id
    }

    /// Stops serving a version whose objects stay.
    pub(crate) fn hide(&mut self, id: ResId) {
        let r = self.get(id).clone();
        self.by_path.remove(&(r.group.clone(), r.version.clone(), r.plural.clone()));
    }

    /// Stops serving all versions of a custom kind.
    pub fn remove_custom(&mut self, group: &str, plural: &str) {
        let gone: Vec<_> =
            self.by_path.keys().filter(|(g, _, p)| g == group && p == plural).cloned().collect();
        for k in gone {
            self.by_path.remove(&k);
        }
    }
}
