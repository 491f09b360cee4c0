//! ResourceQuota: what a new object would use of its namespace's quotas. The usage on record is the controller's.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Resource, Status};
use api::quantity::Quantity;
use api::{Value, obj};

pub(crate) fn validate(api: &mut ApiServer, _cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if a.new.is_null() || !a.op.sub.is_empty() || !a.r.namespaced || a.r.kind == "Event" {
        return Ok(());
    }
    let changes = matches!(a.r.kind.as_str(), "Service" | "PersistentVolumeClaim");
    if a.old.is_some() && !changes {
        return Ok(());
    }
    let Some(id) = api.registry.id("", "v1", "resourcequotas") else { return Ok(()) };
    let quotas: Vec<Value> =
        api.store.list(id, Some(&a.op.namespace), None).map(|(_, v)| v.clone()).collect();
    let mut updates = Vec::new();
    for q in quotas.iter().filter(|q| covers(q, &a.r.kind, &a.new)) {
        missing(q, a)?;
    }
    for q in quotas.iter().filter(|q| covers(q, &a.r.kind, &a.new)) {
        let hard = q.at(&["status", "hard"]);
        let (new, old) = (usage(a.r, &a.new), usage(a.r, &a.old));
        let mut asked = Value::map();
        for (k, n) in new.entries().filter(|(k, _)| hard.get(k).is_some()) {
            let delta = Quantity::or_zero(n) - Quantity::or_zero(old.get(k));
            if !delta.is_zero() && !delta.is_negative() {
                asked.insert(k, delta.canonical());
            }
        }
        if asked.is_empty() {
            continue;
        }
        let mut over: Vec<&str> = Vec::new();
        let mut used = q.at(&["status", "used"]).clone();
        for (k, n) in asked.entries() {
            let sum = Quantity::or_zero(used.get(k)) + Quantity::or_zero(n);
            if sum.nanos() > Quantity::or_zero(hard.get(k)).nanos() {
                over.push(k);
            }
            used.insert(k, sum.canonical());
        }
        if !over.is_empty() {
            let list = |v: &Value| {
                let zero =
                    |k: &str| if v.get(k).is_null() { "0".to_owned() } else { v.get(k).text().to_owned() };
                over.iter().map(|k| format!("{k}={}", zero(k))).collect::<Vec<_>>().join(",")
            };
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                q.name(),
                list(&asked),
                list(q.at(&["status", "used"])),
                list(hard)
            );
            return Err(Status::forbidden(&a.r.group, &a.r.plural, a.new.name(), &why));
        }
        let mut q = q.clone();
        q.set(&["status", "used"], used);
        updates.push(q);
    }
    if a.op.options.dry_run {
        return Ok(());
    }
    // What is granted counts at once, so that the next request sees it.
    let s = api.registry.get(id).clone();
    for q in updates {
        let key = (a.op.namespace.clone(), q.get("metadata").get("name").smol());
        api.commit(_cx, &s, key, q);
    }
    Ok(())
}

/// A quota on a compute resource demands that containers state it.
fn missing(q: &Value, a: &Attempt<'_>) -> Result<(), Status> {
    if !a.creates("Pod") {
        return Ok(());
    }
    let mut all: Vec<String> = Vec::new();
    for (k, _) in q.at(&["status", "hard"]).entries() {
        let (list, name) = match k.as_str() {
            "cpu" | "memory" => ("requests", k.as_str()),
            "requests.cpu" => ("requests", "cpu"),
            "requests.memory" => ("requests", "memory"),
            "limits.cpu" => ("limits", "cpu"),
            "limits.memory" => ("limits", "memory"),
            _ => continue,
        };
        let mut without: Vec<&str> = ["containers", "initContainers"]
            .iter()
            .flat_map(|l| a.new.at(&["spec", l]).items())
            .filter(|c| c.at(&["resources", list, name]).is_null())
            .map(|c| c.get("name").text())
            .collect();
        without.sort_unstable();
        if !without.is_empty() {
            all.push(format!("{k} for: {}", without.join(",")));
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    let why = format!("failed quota: {}: must specify {}", q.name(), all.join("; "));
    Err(Status::forbidden("", "pods", a.new.name(), &why))
}

/// Whether a quota's scopes cover an object of a kind.
pub fn covers(q: &Value, kind: &str, v: &Value) -> bool {
    let scopes = q.at(&["spec", "scopes"]).items().map(|s| obj!({"scopeName": s, "operator": "Exists"}));
    let terms: Vec<Value> =
        scopes.chain(q.at(&["spec", "scopeSelector", "matchExpressions"]).items().cloned()).collect();
    if terms.is_empty() {
        return true;
    }
    if kind != "Pod" {
        return false;
    }
    let spec = v.get("spec");
    terms.iter().all(|t| {
        let class = spec.get("priorityClassName").text();
        match t.get("scopeName").text() {
            "BestEffort" => api::kinds::pod::qos_class(spec) == "BestEffort",
            "NotBestEffort" => api::kinds::pod::qos_class(spec) != "BestEffort",
            "Terminating" => spec.get("activeDeadlineSeconds").is_some(),
            "NotTerminating" => spec.get("activeDeadlineSeconds").is_null(),
            "PriorityClass" => {
                let named = t.get("values").items().any(|v| v.text() == class);
                match t.get("operator").text() {
                    "In" => named,
                    "NotIn" => !named,
                    "DoesNotExist" => class.is_empty(),
                    _ => !class.is_empty(),
                }
            }
            _ => false,
        }
    })
}

/// What an object uses, by the names that quotas have for it.
pub fn usage(r: &Resource, v: &Value) -> Value {
    let mut u = Value::map();
    if v.is_null() {
        return u;
    }
    let plural = r.plural.as_str();
    u.insert(format!("count/{}", r.qualified()).as_str(), "1");
    // A pod that has ended uses nothing but its place in the store.
    if r.kind == "Pod" && matches!(v.at(&["status", "phase"]).text(), "Succeeded" | "Failed") {
        return u;
    }
    if r.group.is_empty() {
        u.insert(plural, "1");
    }
    match r.kind.as_str() {
        "Pod" => {
            let (requests, limits) = super::limitranger::totals(v.get("spec"));
            for (k, q) in requests.entries() {
                u.insert(format!("requests.{k}").as_str(), q);
                if matches!(k.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                    u.insert(k, q);
                }
            }
            for (k, q) in limits.entries() {
                u.insert(format!("limits.{k}").as_str(), q);
            }
        }
        "Service" => {
            let kind = v.at(&["spec", "type"]).text();
            let ports = v.at(&["spec", "ports"]).len();
            let nodes = match kind {
                "NodePort" => ports,
                "LoadBalancer" => {
                    v.at(&["spec", "ports"]).items().filter(|p| p.get("nodePort").int() != 0).count()
                }
                _ => 0,
            };
            u.insert("services.nodeports", nodes.to_string());
            u.insert("services.loadbalancers", if kind == "LoadBalancer" { "1" } else { "0" });
        }
        "PersistentVolumeClaim" => {
            let size = v.at(&["spec", "resources", "requests", "storage"]);
            u.insert("requests.storage", size);
            let class = v.at(&["spec", "storageClassName"]).text();
            if !class.is_empty() {
                let key = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
                u.insert(key("requests.storage").as_str(), size);
                u.insert(key("persistentvolumeclaims").as_str(), "1");
            }
        }
        _ => {}
    }
    u
}
