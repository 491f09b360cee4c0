//! RuntimeClass: what a class adds to the pods that name it.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;

pub(crate) fn mutate(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !a.creates("Pod") {
        return Ok(());
    }
    let refused = |a: &Attempt<'_>, why: String| Err(Status::forbidden("", "pods", a.new.name(), &why));
    let name = a.new.at(&["spec", "runtimeClassName"]).smol();
    let overhead = a.new.at(&["spec", "overhead"]).clone();
    if name.is_empty() {
        if overhead.is_some() && !overhead.is_empty() {
            return refused(
                a,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".into(),
            );
        }
        return Ok(());
    }
    let id = api.registry.at("node.k8s.io", "v1", "runtimeclasses")?;
    let Some(class) = api.store.get(id, "", &name).cloned() else {
        return refused(a, format!("pod rejected: RuntimeClass \"{name}\" not found"));
    };
    let fixed = class.at(&["overhead", "podFixed"]);
    if !fixed.is_empty() {
        if !overhead.is_empty() && overhead != *fixed {
            return refused(
                a,
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".into(),
            );
        }
        a.new.set(&["spec", "overhead"], fixed);
    }
    let scheduling = class.get("scheduling");
    for (k, v) in scheduling.get("nodeSelector").entries() {
        let have = a.new.at(&["spec", "nodeSelector", k]);
        if have.is_some() && have != v {
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{k}] = {}; pod.spec.nodeSelector[{k}] = {}",
                v.text(),
                have.text()
            );
            return refused(a, why);
        }
        a.new.set(&["spec", "nodeSelector", k], v);
    }
    for t in scheduling.get("tolerations").items() {
        let known = a.new.at(&["spec", "tolerations"]).items().any(|x: &Value| x == t);
        if !known {
            a.new.push_at(&["spec", "tolerations"], t.clone());
        }
    }
    Ok(())
}
