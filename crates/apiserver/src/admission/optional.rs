//! Plugins that are off unless the server's settings name them: AlwaysPullImages and
//! OwnerReferencesPermissionEnforcement.

use super::Attempt;
use crate::auth::Attributes;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;

fn on(api: &ApiServer, name: &str) -> bool {
    api.settings.plugins.iter().any(|p| p == name)
}

/// Every container pulls its image each time it starts.
pub(crate) fn always_pull(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !on(api, "AlwaysPullImages") || !a.is("Pod") || a.new.is_null() {
        return Ok(());
    }
    for key in ["initContainers", "containers", "ephemeralContainers"] {
        if a.new.at(&["spec", key]).as_list().is_some() {
            for c in a.new.slot(&["spec", key]).list_mut() {
                c.insert("imagePullPolicy", "Always");
            }
        }
    }
    Ok(())
}

fn owners(v: &Value) -> Vec<&Value> {
    v.at(&["metadata", "ownerReferences"]).items().collect()
}

/// Who makes an owner wait for an object must be allowed to set the owner's finalizers.
pub(crate) fn owner_references(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if !on(api, "OwnerReferencesPermissionEnforcement") || a.new.is_null() || owners(&a.new) == owners(&a.old)
    {
        return Ok(());
    }
    let refused = |why: String| Err(Status::forbidden(&a.r.group, &a.r.plural, a.new.name(), &why));
    let may = |api: &mut ApiServer, verb: &str, group: &str, resource: &str, sub: &str, name: &str| {
        let attributes = Attributes {
            verb,
            group,
            version: "*",
            resource,
            sub,
            namespace: &a.op.namespace,
            name,
            path: "",
        };
        api.authorize(&cx.user, &attributes).is_some()
    };
    if a.old.is_some() && !may(api, "delete", &a.r.group, &a.r.plural, "", a.new.name()) {
        return refused("cannot set an ownerRef on a resource you can't delete: ".to_owned() + ", ");
    }
    let blocks = |v: &Value| v.get("blockOwnerDeletion").is_true();
    let before = owners(&a.old);
    let new: Vec<&Value> = owners(&a.new)
        .into_iter()
        .filter(|o| blocks(o) && !before.iter().any(|b| b.uid() == o.uid() && blocks(b)))
        .collect();
    for o in new {
        let Some(r) = api.registry.by_kind(o.api_version(), o.kind()).cloned() else {
            return refused(format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {} Kind {}: \
                 no matches for kind {:?} in version {:?}",
                o.api_version(),
                o.kind(),
                o.kind(),
                o.api_version()
            ));
        };
        if !may(api, "update", &r.group, &r.plural, "finalizers", o.get("name").text()) {
            return refused(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , "
                    .into(),
            );
        }
    }
    Ok(())
}
