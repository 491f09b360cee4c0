//! `kubectl apply --prune`: deletes what was applied before and is in no file any more.

use super::common::{LAST_APPLIED, delete_options};
use super::delete::How;
use crate::client::Api;
use crate::command::Args;
use crate::cx::{Cx, Done};
use crate::discovery::Resource;
use crate::error::Error;
use crate::print::{DryRun, dry_run_suffix};
use crate::resource::list_items;
use api::gofmt;
use api::wire::{Body, Method, Request};
use std::sync::Arc;

/// Kinds that are pruned unless a list is given: group, version, kind.
const DEFAULT: [(&str, &str, &str); 15] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Endpoints"),
    ("", "v1", "Namespace"),
    ("", "v1", "PersistentVolumeClaim"),
    ("", "v1", "PersistentVolume"),
    ("", "v1", "Pod"),
    ("", "v1", "ReplicationController"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
];

fn kinds(cx: &mut Cx<'_>, a: &Args, api: &Api) -> Done<Vec<Arc<Resource>>> {
    let d = cx.discovery(api)?;
    let given = a.list("prune-allowlist");
    let mut out = Vec::new();
    if given.is_empty() {
        out.extend(DEFAULT.iter().filter_map(|(g, v, k)| {
            d.resources.iter().find(|r| r.group == *g && r.version == *v && r.kind == *k).cloned()
        }));
        if let Some(r) = d.kind("apps/v1", "StatefulSet") {
            out.push(r.clone());
        }
        return Ok(out);
    }
    for p in given {
        let parts: Vec<&str> = p.split('/').collect();
        let [group, version, kind] = parts[..] else {
            return Err(Error::Text(format!(
                "invalid GroupVersionKind format: {p}, please follow <group/version/kind>"
            ))
            .into());
        };
        let group = if group == "core" { "" } else { group };
        match d.resources.iter().find(|r| r.group == group && r.version == version && r.kind == kind) {
            Some(r) => out.push(r.clone()),
            None => {
                let gv = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
                return Err(Error::Text(format!(
                    "no matches for kind {} in version {}",
                    gofmt::quote(kind),
                    gofmt::quote(&gv)
                ))
                .into());
            }
        }
    }
    Ok(out)
}

/// Deletes what has the annotation and none of these uids.
pub fn run(cx: &mut Cx<'_>, a: &Args, api: &Api, applied: &[String], how: &How) -> Done {
    let kinds = kinds(cx, a, api)?;
    let (scoped, cluster): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|r| r.namespaced);
    for r in scoped.iter().chain(&cluster) {
        let namespace = if r.namespaced { api.namespace.as_str() } else { "" };
        let mut list = Request::get(r.path(namespace, ""));
        let selector = a.str("selector");
        if !selector.is_empty() {
            list = list.with_query("labelSelector", selector);
        }
        let found = list_items(&api.call(cx, list)?);
        for v in found {
            if v.annotations().get(LAST_APPLIED).is_null() || applied.iter().any(|u| u == v.uid()) {
                continue;
            }
            if how.dry != DryRun::Client {
                let q = Request::new(Method::Delete, r.path(v.namespace(), v.name()))
                    .with_header("content-type", "application/json")
                    .with_body(Body::Object(delete_options(how.grace, how.propagation, how.dry)));
                api.call(cx, q)?;
            }
            cx.out(format!("{}/{} pruned{}\n", r.kind_name(), v.name(), dry_run_suffix(how.dry)));
        }
    }
    Ok(())
}
