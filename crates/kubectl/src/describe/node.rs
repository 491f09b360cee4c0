//! Nodes.

use super::{Describer, W, date, or, since};
use crate::cx::Done;
use crate::resource::Info;
use api::Value;
use api::quantity::Quantity;
use std::collections::BTreeMap;

/// Requests and limits of a pod: containers' sums, at least what an init container takes.
fn pod_resources(pod: &Value) -> (BTreeMap<String, Quantity>, BTreeMap<String, Quantity>) {
    let sum = |kind: &str| {
        let mut total: BTreeMap<String, Quantity> = BTreeMap::new();
        let add = |t: &mut BTreeMap<String, Quantity>, list: &Value| {
            for (k, v) in list.entries() {
                *t.entry(k.to_string()).or_default() += Quantity::or_zero(v);
            }
        };
        for c in pod.at(&["spec", "containers"]).items() {
            add(&mut total, c.get("resources").get(kind));
        }
        let mut sidecars: BTreeMap<String, Quantity> = BTreeMap::new();
        for c in pod.at(&["spec", "initContainers"]).items() {
            let own = c.get("resources").get(kind);
            if c.get("restartPolicy").text() == "Always" {
                add(&mut sidecars, own);
                add(&mut total, own);
                continue;
            }
            for (k, v) in own.entries() {
                let q = Quantity::or_zero(v) + sidecars.get(k.as_str()).copied().unwrap_or_default();
                let t = total.entry(k.to_string()).or_default();
                *t = (*t).max(q);
            }
        }
        for (k, v) in pod.at(&["spec", "resources"]).get(kind).entries() {
            total.insert(k.to_string(), Quantity::or_zero(v));
        }
        total
    };
    let (mut requests, mut limits) = (sum("requests"), sum("limits"));
    for (k, v) in pod.at(&["spec", "overhead"]).entries() {
        let q = Quantity::or_zero(v);
        *requests.entry(k.to_string()).or_default() += q;
        if let Some(l) = limits.get_mut(k.as_str())
            && !l.is_zero()
        {
            *l += q;
        }
    }
    (requests, limits)
}

/// Share in percent, towards zero.
fn percent(q: Quantity, of: Quantity) -> i64 {
    let (a, b) = (q.milli(), of.milli());
    if b == 0 { 0 } else { (i128::from(a) * 100 / i128::from(b)) as i64 }
}

fn quantities(w: &mut W, title: &str, list: &Value) {
    if list.is_empty() {
        return;
    }
    w.line(0, format!("{title}:"));
    for (k, v) in list.entries() {
        w.field(1, k, Quantity::or_zero(v));
    }
}

pub(super) fn node(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    let mut roles: Vec<&str> = v
        .labels()
        .entries()
        .filter_map(|(k, value)| match k.strip_prefix("node-role.kubernetes.io/") {
            Some(r) if !r.is_empty() => Some(r),
            _ if &**k == "kubernetes.io/role" => Some(value.text()),
            _ => None,
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    let roles = roles.join(",");
    w.field(0, "Roles", or(&roles, "<none>"));
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "CreationTimestamp", date(v.at(&["metadata", "creationTimestamp"])));
    taints(w, spec.get("taints"));
    w.field(0, "Unschedulable", spec.get("unschedulable").is_true());
    let lease =
        d.get(&format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}", i.name))?;
    if lease.is_some() {
        w.line(0, "Lease:");
        w.field(1, "HolderIdentity", or(lease.at(&["spec", "holderIdentity"]).text(), "<unset>"));
        w.field(1, "AcquireTime", date(lease.at(&["spec", "acquireTime"])));
        w.field(1, "RenewTime", date(lease.at(&["spec", "renewTime"])));
    } else {
        w.field(
            0,
            "Lease",
            format!(
                "Failed to get lease: leases.coordination.k8s.io {} not found",
                api::gofmt::quote(&i.name)
            ),
        );
    }
    conditions(w, status.get("conditions"));
    w.line(0, "Addresses:");
    for a in status.get("addresses").items() {
        w.field(1, a.get("type").text(), a.get("address").text());
    }
    quantities(w, "Capacity", status.get("capacity"));
    quantities(w, "Allocatable", status.get("allocatable"));
    system_info(w, status.get("nodeInfo"));
    if !spec.get("podCIDR").text().is_empty() {
        w.field(0, "PodCIDR", spec.get("podCIDR").text());
    }
    if !spec.get("podCIDRs").is_empty() {
        let list: Vec<&str> = spec.get("podCIDRs").items().map(Value::text).collect();
        w.field(0, "PodCIDRs", list.join(","));
    }
    if !spec.get("providerID").text().is_empty() {
        w.field(0, "ProviderID", spec.get("providerID").text());
    }
    pods(d, w, i)?;
    d.write_events(w, i)
}

fn taints(w: &mut W, list: &Value) {
    w.put(0, "Taints:\t");
    if list.is_empty() {
        w.line(0, "<none>");
        return;
    }
    let text = |t: &Value| match t.get("value").text() {
        "" => format!("{}:{}", t.get("key").text(), t.get("effect").text()),
        v => format!("{}={v}:{}", t.get("key").text(), t.get("effect").text()),
    };
    let mut all: Vec<&Value> = list.items().collect();
    all.sort_by_key(|t| (t.get("effect").text().to_owned(), t.get("key").text().to_owned()));
    for (n, t) in all.into_iter().enumerate() {
        if n > 0 {
            w.put(0, "\t");
        }
        w.line(0, text(t));
    }
}

fn conditions(w: &mut W, list: &Value) {
    if list.is_empty() {
        return;
    }
    w.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    w.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for c in list.items() {
        let t = |k: &str| match c.get(k) {
            Value::Null => "<unset>".into(),
            v => date(v),
        };
        w.line(
            1,
            format!(
                "{} \t{} \t{} \t{} \t{} \t{}",
                c.get("type").text(),
                c.get("status").text(),
                t("lastHeartbeatTime"),
                t("lastTransitionTime"),
                c.get("reason").text(),
                c.get("message").text()
            ),
        );
    }
}

fn system_info(w: &mut W, info: &Value) {
    w.line(0, "System Info:");
    for (label, key) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        w.field(1, label, info.get(key).text());
    }
}

fn pods(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let fields = format!("spec.nodeName={},status.phase!=Failed,status.phase!=Succeeded", i.name);
    let r = api::wire::Request::get("/api/v1/pods")
        .with_query("fieldSelector", fields)
        .with_query("limit", "500");
    let list = d.api.call(d.cx, r);
    let Ok(list) = d.cx.catch(list)? else {
        w.line(0, "Pods:\tnot authorized");
        return Ok(());
    };
    let pods = crate::resource::list_items(&list);
    let now = d.cx.civil()?;
    let status = i.object.get("status");
    let allocatable = if !status.get("allocatable").is_empty() {
        status.get("allocatable")
    } else {
        status.get("capacity")
    };
    let of = |name: &str| Quantity::or_zero(allocatable.get(name));
    w.field(0, "Non-terminated Pods", format!("({} in total)", pods.len()));
    w.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    w.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    for p in &pods {
        let (r, l) = pod_resources(p);
        let cell = |m: &BTreeMap<String, Quantity>, name: &str| {
            let q = m.get(name).copied().unwrap_or_default();
            format!("{q} ({}%)", percent(q, of(name)))
        };
        w.line(
            1,
            format!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
                p.namespace(),
                p.name(),
                cell(&r, "cpu"),
                cell(&l, "cpu"),
                cell(&r, "memory"),
                cell(&l, "memory"),
                since(p.at(&["metadata", "creationTimestamp"]), &now)
            ),
        );
        for (total, one) in [(&mut requests, r), (&mut limits, l)] {
            for (k, q) in one {
                *total.entry(k).or_insert_with(Quantity::default) += q;
            }
        }
    }
    w.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    w.line(1, "Resource\tRequests\tLimits");
    w.line(1, "--------\t--------\t------");
    let get = |m: &BTreeMap<String, Quantity>, k: &str| m.get(k).copied().unwrap_or_default();
    let mut names = vec!["cpu".to_owned(), "memory".to_owned(), "ephemeral-storage".to_owned()];
    let more: Vec<String> = allocatable.entries().map(|(k, _)| k.to_string()).collect();
    names.extend(more.iter().filter(|k| k.starts_with("hugepages-")).cloned());
    for n in &names {
        let (r, l) = (get(&requests, n), get(&limits, n));
        w.line(1, format!("{n}\t{r} ({}%)\t{l} ({}%)", percent(r, of(n)), percent(l, of(n))));
    }
    for n in more.iter().filter(|k| k.contains('/')) {
        w.line(1, format!("{n}\t{}\t{}", get(&requests, n), get(&limits, n)));
    }
    Ok(())
}
