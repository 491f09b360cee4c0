//! DefaultStorageClass, StorageObjectInUseProtection and PersistentVolumeClaimResize; DefaultIngressClass likewise.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;
use api::quantity::Quantity;

/// The newest class that is marked as default.
fn default_class(api: &ApiServer, group: &str, plural: &str, mark: &str) -> Option<String> {
    let id = api.registry.id(group, "v1", plural)?;
    let all = api.store.list(id, None, None).map(|(_, v)| v);
    let marked = all.filter(|v| v.annotations().get(mark).text() == "true");
    let newest = marked.max_by_key(|v| {
        (v.at(&["metadata", "creationTimestamp"]).smol(), core::cmp::Reverse(v.name().to_owned()))
    })?;
    Some(newest.name().to_owned())
}

/// A claim without a class gets the default one.
pub(crate) fn default_storage(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    const OLD: &str = "volume.beta.kubernetes.io/storage-class";
    if a.creates("PersistentVolumeClaim")
        && a.new.at(&["spec", "storageClassName"]).is_null()
        && a.new.annotations().get(OLD).is_null()
        && let Some(class) = default_class(
            api,
            "storage.k8s.io",
            "storageclasses",
            "storageclass.kubernetes.io/is-default-class",
        )
    {
        a.new.set(&["spec", "storageClassName"], class);
    }
    Ok(())
}

/// An Ingress without a class gets the default one.
pub(crate) fn default_ingress(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if a.r.kind == "Ingress"
        && a.old.is_null()
        && a.op.sub.is_empty()
        && a.new.at(&["spec", "ingressClassName"]).is_null()
        && a.new.annotations().get("kubernetes.io/ingress.class").is_null()
        && let Some(class) = default_class(
            api,
            "networking.k8s.io",
            "ingressclasses",
            "ingressclass.kubernetes.io/is-default-class",
        )
    {
        a.new.set(&["spec", "ingressClassName"], class);
    }
    Ok(())
}

/// Volumes and claims do not go while they are used.
pub(crate) fn protect(_api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    let finalizer = match a.r.kind.as_str() {
        "PersistentVolume" if a.creates("PersistentVolume") => "kubernetes.io/pv-protection",
        "PersistentVolumeClaim" if a.creates("PersistentVolumeClaim") => "kubernetes.io/pvc-protection",
        _ => return Ok(()),
    };
    if !a.new.at(&["metadata", "finalizers"]).items().any(|f| f.text() == finalizer) {
        a.new.push_at(&["metadata", "finalizers"], finalizer);
    }
    Ok(())
}

/// Only claims of a class that says so may grow.
pub(crate) fn resize(api: &mut ApiServer, _cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if !a.is("PersistentVolumeClaim") || a.old.is_null() || a.new.is_null() {
        return Ok(());
    }
    let size = |v: &Value| Quantity::or_zero(v.at(&["spec", "resources", "requests", "storage"])).nanos();
    if size(&a.new) <= size(&a.old) {
        return Ok(());
    }
    let class = a.new.at(&["spec", "storageClassName"]).smol();
    let id = api.registry.at("storage.k8s.io", "v1", "storageclasses")?;
    let grows = api.store.get(id, "", &class).is_some_and(|c| c.get("allowVolumeExpansion").is_true());
    if a.old.at(&["status", "phase"]).text() == "Bound" && grows {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support \
               resize";
    Err(Status::forbidden("", "persistentvolumeclaims", a.new.name(), why))
}
