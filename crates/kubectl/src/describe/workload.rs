//! Deployments, ReplicaSets, ReplicationControllers, StatefulSets, DaemonSets.

use super::template::pod_template;
use super::{Describer, W, controller, date};
use crate::cx::Done;
use crate::resource::Info;
use api::selector::Selector;
use api::{Value, gofmt};

fn owned(list: Vec<Value>, owner: &Value) -> Vec<Value> {
    list.into_iter().filter(|v| v.controller_ref().get("uid").text() == owner.uid()).collect()
}

/// `deployment.kubernetes.io/revision`
fn revision(v: &Value) -> i64 {
    v.annotations().get("deployment.kubernetes.io/revision").text().parse().unwrap_or(0)
}

/// Whether a ReplicaSet has the template of the deployment.
fn has_template(rs: &Value, deployment: &Value) -> bool {
    let mut t = rs.at(&["spec", "template"]).clone();
    t.remove(&["metadata", "labels", "pod-template-hash"]);
    t == *deployment.at(&["spec", "template"])
}

pub(super) fn deployment(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.field(0, "CreationTimestamp", date(v.at(&["metadata", "creationTimestamp"])));
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "Selector", Selector::describe(spec.get("selector")));
    let n = |k: &str| status.get(k).int();
    w.field(
        0,
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            spec.get("replicas").int(),
            n("updatedReplicas"),
            n("replicas"),
            n("availableReplicas"),
            n("unavailableReplicas")
        ),
    );
    w.field(0, "StrategyType", spec.at(&["strategy", "type"]).text());
    w.field(0, "MinReadySeconds", spec.get("minReadySeconds").int());
    let rolling = spec.at(&["strategy", "rollingUpdate"]);
    if rolling.is_some() {
        let amount = |k: &str| gofmt::value(rolling.get(k));
        w.field(
            0,
            "RollingUpdateStrategy",
            format!("{} max unavailable, {} max surge", amount("maxUnavailable"), amount("maxSurge")),
        );
    }
    pod_template(w, spec.get("template"));
    if !status.get("conditions").is_empty() {
        w.line(0, "Conditions:\n  Type\tStatus\tReason");
        w.line(1, "----\t------\t------");
        for c in status.get("conditions").items() {
            w.line(
                1,
                format!("{} \t{}\t{}", c.get("type").text(), c.get("status").text(), c.get("reason").text()),
            );
        }
    }
    let selector = Selector::of(spec.get("selector"))?.to_string();
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets", i.namespace);
    let mut sets = owned(d.list(&path, &selector)?, v);
    sets.sort_by_key(revision);
    let new = sets.iter().rposition(|r| has_template(r, v)).or_else(|| {
        let current = revision(v);
        sets.iter().position(|r| revision(r) == current)
    });
    let text = |r: &Value| {
        format!(
            "{} ({}/{} replicas created)",
            r.name(),
            r.at(&["status", "replicas"]).int(),
            r.at(&["spec", "replicas"]).int()
        )
    };
    let old: Vec<String> =
        sets.iter().enumerate().filter(|(n, _)| Some(*n) != new).map(|(_, r)| text(r)).collect();
    let join = |l: Vec<String>| if l.is_empty() { "<none>".to_owned() } else { l.join(", ") };
    w.field(0, "OldReplicaSets", join(old));
    w.field(0, "NewReplicaSet", join(new.map(|n| text(&sets[n])).into_iter().collect()));
    d.write_events(w, i)
}

/// `3 Running / 0 Waiting / 0 Succeeded / 0 Failed`
pub(super) fn pods_status(d: &mut Describer<'_, '_>, i: &Info, selector: &str) -> Done<String> {
    let pods = owned(d.list(&format!("/api/v1/namespaces/{}/pods", i.namespace), selector)?, &i.object);
    let count = |phase: &str| pods.iter().filter(|p| p.at(&["status", "phase"]).text() == phase).count();
    Ok(format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    ))
}

fn selector_text(spec: &Value) -> Done<String> {
    Ok(Selector::of(spec.get("selector"))?.to_string())
}

pub(super) fn replica_set(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let selector = selector_text(i.object.get("spec"))?;
    replicas(d, w, i, &selector)
}

pub(super) fn replication_controller(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let selector = Selector::of_labels(i.object.at(&["spec", "selector"])).to_string();
    replicas(d, w, i, &selector)
}

fn conditions(w: &mut W, v: &Value) {
    let list = v.at(&["status", "conditions"]);
    if !list.is_empty() {
        w.line(0, "Conditions:\n  Type\tStatus\tReason");
        w.line(1, "----\t------\t------");
        for c in list.items() {
            w.line(
                1,
                format!("{} \t{}\t{}", c.get("type").text(), c.get("status").text(), c.get("reason").text()),
            );
        }
    }
}

fn replicas(d: &mut Describer<'_, '_>, w: &mut W, i: &Info, selector: &str) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.field(0, "Selector", selector);
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    let owner = controller(v);
    if !owner.is_empty() {
        w.field(0, "Controlled By", owner);
    }
    w.field(
        0,
        "Replicas",
        format!(
            "{} current / {} desired",
            v.at(&["status", "replicas"]).int(),
            v.at(&["spec", "replicas"]).int()
        ),
    );
    w.put(0, "Pods Status:\t");
    let text = pods_status(d, i, selector)?;
    w.line(0, text);
    pod_template(w, v.at(&["spec", "template"]));
    conditions(w, v);
    d.write_events(w, i)
}

pub(super) fn stateful_set(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    let selector = selector_text(spec)?;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.field(0, "CreationTimestamp", date(v.at(&["metadata", "creationTimestamp"])));
    w.field(0, "Selector", &selector);
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(
        0,
        "Replicas",
        format!("{} desired | {} total", spec.get("replicas").int(), status.get("replicas").int()),
    );
    let strategy = spec.get("updateStrategy");
    w.field(0, "Update Strategy", strategy.get("type").text());
    let rolling = strategy.get("rollingUpdate");
    if rolling.is_some() {
        if rolling.get("partition").is_some() {
            w.field(1, "Partition", rolling.get("partition").int());
        }
        if rolling.get("maxUnavailable").is_some() {
            w.field(1, "MaxUnavailable", gofmt::value(rolling.get("maxUnavailable")));
        }
    }
    w.put(0, "Pods Status:\t");
    let text = pods_status(d, i, &selector)?;
    w.line(0, text);
    pod_template(w, spec.get("template"));
    claims(w, spec.get("volumeClaimTemplates"));
    conditions(w, v);
    d.write_events(w, i)
}

fn claims(w: &mut W, templates: &Value) {
    if templates.is_empty() {
        w.field(0, "Volume Claims", "<none>");
        return;
    }
    w.line(0, "Volume Claims:");
    for t in templates.items() {
        let spec = t.get("spec");
        w.field(1, "Name", t.name());
        w.field(1, "StorageClass", spec.get("storageClassName").text());
        w.labels_at("  ", "Labels", "\t", t.labels());
        w.annotations_at("  ", "Annotations", t.annotations());
        let capacity = spec.at(&["resources", "requests", "storage"]);
        let shown = if capacity.is_null() { "<default>".into() } else { gofmt::value(capacity) };
        w.field(1, "Capacity", shown);
        w.field(1, "Access Modes", gofmt::value(&spec.get("accessModes").items().cloned().collect()));
    }
}

pub(super) fn daemon_set(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    let selector = selector_text(spec)?;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.field(0, "Selector", &selector);
    w.labels("Node-Selector", spec.at(&["template", "spec", "nodeSelector"]));
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    for (label, key) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        w.line(0, format!("{label}: {}", status.get(key).int()));
    }
    w.put(0, "Pods Status:\t");
    let text = pods_status(d, i, &selector)?;
    w.line(0, text);
    pod_template(w, spec.get("template"));
    d.write_events(w, i)
}
