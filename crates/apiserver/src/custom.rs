//! Custom resources: serving what CustomResourceDefinitions define.

use crate::{ApiServer, ResId, Resource};
use api::kinds::Rules;
use api::{SmolStr, Value};

const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

impl ApiServer {
    /// Brings the registry in line with the definitions that are stored.
    pub(crate) fn serve_definitions(&mut self) {
        let Some(id) = self.registry.id("apiextensions.k8s.io", "v1", "customresourcedefinitions") else {
            return;
        };
        let definitions: Vec<Value> = self.store.list(id, None, None).map(|(_, v)| v.clone()).collect();
        let served: Vec<(SmolStr, SmolStr)> = self
            .registry
            .iter()
            .filter(|r| r.builtin.is_none())
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
            if !v.get("served").is_true() && !is_storage {
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
            });
            if is_storage {
                storage = Some(id);
            }
        }
    }
}
