//! Custom resources: serving what CustomResourceDefinitions define.

use crate::pipeline::set_condition;
use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, ResId, Resource, Status};
use api::field::{At, Errors};
use api::kinds::Rules;
use api::{SmolStr, Value, obj, structural};

/// The finalizer under which a definition's objects are deleted before it goes.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The structural schema of a custom kind; null for built-in ones.
pub(crate) fn schema_of(r: &Resource) -> &Value {
    r.custom.at(&["schema", "openAPIV3Schema"])
}

/// Validates a custom resource against its schema.
pub(crate) fn validate(r: &Resource, v: &Value, old: Option<&Value>, e: &mut Errors) {
    if r.builtin.is_some() {
        return;
    }
    structural::validate(schema_of(r), v, old, e);
    // The scale subresource reads a number there.
    let path = r.custom.at(&["subresources", "scale", "specReplicasPath"]).text();
    let parts: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    if let Value::Str(s) = v.at(&parts) {
        let why = format!("{path} accessor error: {s} is of the type string, expected int64");
        let last = e.0.iter().position(|x| x.field == "<nil>").unwrap_or(e.0.len());
        e.invalid(&At::Path(path), 0, &why);
        if let Some(x) = e.0.pop() {
            e.0.insert(last.min(e.0.len()), x);
        }
    }
}

/// What a request of a deprecated version is warned with.
pub(crate) fn deprecation(registry: &crate::Registry, r: &Resource) -> Option<String> {
    if !r.custom.get("deprecated").is_true() {
        return None;
    }
    if let Some(m) = r.custom.get("deprecationWarning").as_str() {
        return Some(m.to_owned());
    }
    let mut m = format!("{}/{} {} is deprecated", r.group, r.version, r.kind);
    let best = registry
        .iter()
        .filter(|o| o.group == r.group && o.plural == r.plural && !o.custom.get("deprecated").is_true())
        .max_by_key(|o| crate::discovery::version_order(&o.version))
        .filter(|o| {
            crate::discovery::version_order(&o.version) > crate::discovery::version_order(&r.version)
        });
    if let Some(o) = best {
        m += &format!("; use {}/{} {}", o.group, o.version, o.kind);
    }
    Some(m)
}

/// Whether field selectors may name that field of a custom resource.
pub(crate) fn selectable(r: &Resource, field: &str) -> bool {
    r.custom
        .get("selectableFields")
        .items()
        .any(|f| f.get("jsonPath").text().trim_start_matches('.') == field)
}

/// A field of a custom resource as selectors compare it.
pub(crate) fn field_text(v: &Value, field: &str) -> String {
    let parts: Vec<&str> = field.split('.').collect();
    match v.at(&parts) {
        Value::Str(s) => s.to_string(),
        Value::Null => String::new(),
        other => other.to_json(),
    }
}

pub(crate) const VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

impl ApiServer {
    /// Nothing new of a kind whose definition goes.
    pub(crate) fn check_definition(&self, s: &Resource, v: &Value) -> Result<(), Status> {
        if s.builtin.is_some() || !self.definition(s).is_some_and(|(_, d)| d.is_terminating()) {
            return Ok(());
        }
        let why = "create not allowed while custom resource definition is terminating";
        Err(Status::forbidden(&s.group, &s.plural, v.name(), why))
    }

    fn definition(&self, s: &Resource) -> Option<(ResId, Value)> {
        let id = self.registry.id("apiextensions.k8s.io", "v1", "customresourcedefinitions")?;
        self.store.get(id, "", &format!("{}.{}", s.plural, s.group)).map(|d| (id, d.clone()))
    }

    /// Accepts the names of a new definition and begins to delete the objects of one that goes. Models: the naming,
    /// establishing and finalizing controllers of apiextensions.
    pub(crate) fn settle_definition(&mut self, cx: &mut Cx, s: &Resource, d: &Value) {
        let now = self.timestamp(cx.now);
        let key: Name = (SmolStr::default(), d.name().into());
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            obj!({
                "type": kind, "status": status, "lastTransitionTime": now.as_str(), "reason": reason, "message": message
            })
        };
        if d.is_terminating() {
            if d.condition("Terminating").is_some() {
                return;
            }
            let mut new = d.clone();
            let m = "CustomResource deletion is in progress";
            set_condition(&mut new, condition("Terminating", "True", "InstanceDeletionInProgress", m));
            let spec = new.get("spec").clone();
            self.commit(cx, s, key, new);
            let version = spec.get("versions").items().find(|v| v.get("served").is_true());
            let version = version.map(|v| v.get("name").text().to_owned()).unwrap_or_default();
            let (group, plural) = (spec.get("group").smol(), spec.at(&["names", "plural"]).smol());
            let Some(r) = self.registry.find(&group, &version, &plural) else { return };
            let r = self.registry.get(r.storage).clone();
            let all: Vec<Value> = self.store.list(r.storage, None, None).map(|(_, v)| v.clone()).collect();
            for v in all {
                let _ = self.mark_deleted(cx, &r, v, &Value::map());
            }
            self.reap_definition(cx, &r);
            return;
        }
        let mut new = d.clone();
        let names = d.at(&["spec", "names"]);
        if new.at(&["status", "acceptedNames"]) != names {
            new.set(&["status", "acceptedNames"], names);
        }
        if d.condition("NamesAccepted").is_null() {
            set_condition(&mut new, condition("NamesAccepted", "True", "NoConflicts", "no conflicts found"));
            let m = "the initial names have been accepted";
            set_condition(&mut new, condition("Established", "True", "InitialNamesAccepted", m));
        }
        if new != *d {
            self.commit(cx, s, key, new);
        }
    }

    /// Lets a definition go whose last object went.
    pub(crate) fn reap_definition(&mut self, cx: &mut Cx, r: &Resource) {
        let Some((id, d)) = self.definition(r) else { return };
        if !d.is_terminating() || self.store.count(r.storage) > 0 {
            return;
        }
        let s = self.registry.get(id).clone();
        let key: Name = (SmolStr::default(), d.name().into());
        let left: Vec<&Value> =
            d.at(&["metadata", "finalizers"]).items().filter(|f| f.text() != CLEANUP).collect();
        if left.is_empty() {
            let _ = self.uncommit(cx, &s, &key);
            self.serve_definitions();
            self.register_services(cx);
        } else {
            let mut new = d.clone();
            new.set(&["metadata", "finalizers"], left.into_iter().collect::<Value>());
            self.commit(cx, &s, key, new);
        }
    }

    /// Brings the registry in line with the definitions that are stored.
    pub(crate) fn serve_definitions(&mut self) {
        let Some(id) = self.registry.id("apiextensions.k8s.io", "v1", "customresourcedefinitions") else {
            return;
        };
        let definitions: Vec<Value> = self.store.list(id, None, None).map(|(_, v)| v.clone()).collect();
        let served: Vec<(SmolStr, SmolStr)> = self
            .registry
            .iter()
            .filter(|r| r.builtin.is_none() && r.old.is_none())
            .map(|r| (r.group.clone(), r.plural.clone()))
            .collect();
        for (group, plural) in served {
            self.registry.remove_custom(&group, &plural);
        }
        for d in &definitions {
            self.serve_definition(d);
        }
    }

    fn serve_definition(&mut self, d: &Value) {
        let spec = d.get("spec");
        let names = spec.get("names");
        let strs = |v: &Value| v.items().map(Value::smol).collect::<Vec<_>>();
        let versions = spec.get("versions");
        // All versions share the storage version's objects.
        let mut storage = None;
        let order = versions
            .items()
            .filter(|v| v.get("storage").is_true())
            .chain(versions.items().filter(|v| !v.get("storage").is_true()));
        for v in order {
            let is_storage = v.get("storage").is_true();
            let served = v.get("served").is_true();
            if !served && !is_storage {
                continue;
            }
            let kind = names.get("kind").smol();
            let singular = match names.get("singular").text() {
                "" => kind.to_lowercase().into(),
                s => SmolStr::from(s),
            };
            let id = self.registry.serve_custom(Resource {
                id: ResId(0),
                storage: storage.unwrap_or(ResId(u16::MAX)),
                group: spec.get("group").smol(),
                version: v.get("name").smol(),
                kind,
                plural: names.get("plural").smol(),
                singular,
                short: strs(names.get("shortNames")),
                categories: strs(names.get("categories")),
                namespaced: spec.get("scope").text() == "Namespaced",
                ty: None,
                custom: v.clone(),
                verbs: VERBS.iter().map(|v| (*v).into()).collect(),
                builtin: None,
                rules: &Rules::GENERIC,
                old: None,
            });
            if is_storage {
                storage = Some(id);
            }
            if !served {
                self.registry.hide(id);
            }
        }
    }
}
