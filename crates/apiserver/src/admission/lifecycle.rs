//! NamespaceLifecycle: nothing is created in a namespace that is missing or going; some namespaces never go.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status, Verb};
use api::obj;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(crate) fn mutate(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !a.r.namespaced || !a.old.is_null() || a.op.verb != Verb::Create {
        return Ok(());
    }
    let id = api.registry.at("", "v1", "namespaces")?;
    let name = &a.op.namespace;
    match api.store.get(id, "", name) {
        None => Err(Status::not_found("", "namespaces", name)),
        Some(ns) if ns.is_terminating() || ns.at(&["status", "phase"]).text() == "Terminating" => {
            let why =
                format!("unable to create new content in namespace {name} because it is being terminated");
            let mut s = Status::forbidden(&a.r.group, &a.r.plural, a.new.name(), &why);
            let cause = obj!({
                "reason": "NamespaceTerminating", "message": format!("namespace {name} is being terminated"),
                "field": "metadata.namespace"
            });
            s.details.insert("causes", obj!([cause]));
            Err(s)
        }
        Some(_) => Ok(()),
    }
}

pub(crate) fn validate(_api: &mut ApiServer, _cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    let name = a.old.name();
    if a.is("Namespace") && a.new.is_null() && IMMORTAL.contains(&name) {
        return Err(Status::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}
