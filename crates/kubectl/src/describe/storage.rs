//! PersistentVolumeClaims, PersistentVolumes, StorageClasses.

use super::{Describer, W, or};
use crate::cx::Done;
use crate::resource::Info;
use api::quantity::Quantity;
use api::{Value, gofmt};

/// `RWO,RWX`
fn access(list: &Value) -> String {
    let short = |m: &str| match m {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    list.items().map(|m| short(m.text())).collect::<Vec<_>>().join(",")
}

fn finalizers(w: &mut W, v: &Value) {
    let list = v.at(&["metadata", "finalizers"]);
    w.field(0, "Finalizers", gofmt::value(&list.items().cloned().collect()));
}

pub(super) fn claim(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.field(0, "StorageClass", spec.get("storageClassName").text());
    if v.is_terminating() {
        let now = d.cx.civil()?;
        let age = super::since(v.at(&["metadata", "deletionTimestamp"]), &now);
        w.field(0, "Status", format!("Terminating (lasts {age})"));
    } else {
        w.field(0, "Status", status.get("phase").text());
    }
    w.field(0, "Volume", spec.get("volumeName").text());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    finalizers(w, v);
    let bound = !spec.get("volumeName").text().is_empty();
    let capacity =
        Quantity::of(status.at(&["capacity", "storage"])).map(|q| q.to_string()).unwrap_or_default();
    w.field(0, "Capacity", if bound { capacity } else { String::new() });
    w.field(0, "Access Modes", if bound { access(status.get("accessModes")) } else { String::new() });
    if spec.get("volumeMode").is_some() {
        w.field(0, "VolumeMode", spec.get("volumeMode").text());
    }
    let source = spec.get("dataSource");
    if source.is_some() {
        w.line(0, "DataSource:");
        if !source.get("apiGroup").text().is_empty() {
            w.field(1, "APIGroup", source.get("apiGroup").text());
        }
        w.field(1, "Kind", source.get("kind").text());
        w.field(1, "Name", source.get("name").text());
    }
    let pods = d.list(&format!("/api/v1/namespaces/{}/pods", i.namespace), "")?;
    let users: Vec<&str> = pods
        .iter()
        .filter(|p| {
            p.at(&["spec", "volumes"])
                .items()
                .any(|x| x.at(&["persistentVolumeClaim", "claimName"]).text() == i.name)
        })
        .map(Value::name)
        .collect();
    for (n, name) in users.iter().enumerate() {
        w.line(0, if n == 0 { format!("Used By:\t{name}") } else { format!("\t{name}") });
    }
    if users.is_empty() {
        w.field(0, "Used By", "<none>");
    }
    let conditions = status.get("conditions");
    if !conditions.is_empty() {
        w.line(0, "Conditions:\n  Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
        w.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
        for c in conditions.items() {
            w.line(
                1,
                format!(
                    "{} \t{} \t{} \t{} \t{} \t{}",
                    c.get("type").text(),
                    c.get("status").text(),
                    super::date(c.get("lastProbeTime")),
                    super::date(c.get("lastTransitionTime")),
                    c.get("reason").text(),
                    c.get("message").text()
                ),
            );
        }
    }
    d.write_events(w, i)
}

pub(super) fn volume(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    finalizers(w, v);
    w.field(0, "StorageClass", spec.get("storageClassName").text());
    if v.is_terminating() {
        let now = d.cx.civil()?;
        let age = super::since(v.at(&["metadata", "deletionTimestamp"]), &now);
        w.field(0, "Status", format!("Terminating (lasts {age})"));
    } else {
        w.field(0, "Status", status.get("phase").text());
    }
    let claim = spec.get("claimRef");
    let text = if claim.is_null() {
        String::new()
    } else {
        format!("{}/{}", claim.get("namespace").text(), claim.get("name").text())
    };
    w.field(0, "Claim", text);
    w.field(0, "Reclaim Policy", spec.get("persistentVolumeReclaimPolicy").text());
    w.field(0, "Access Modes", access(spec.get("accessModes")));
    if spec.get("volumeMode").is_some() {
        w.field(0, "VolumeMode", spec.get("volumeMode").text());
    }
    w.field(0, "Capacity", Quantity::or_zero(spec.at(&["capacity", "storage"])));
    let terms = spec.at(&["nodeAffinity", "required", "nodeSelectorTerms"]);
    if spec.get("nodeAffinity").is_null() {
        w.field(0, "Node Affinity", "<none>");
    } else {
        w.line(0, "Node Affinity:");
        w.line(1, "Required Terms:");
        for (n, t) in terms.items().enumerate() {
            node_term(w, n, t);
        }
    }
    w.field(0, "Message", status.get("message").text());
    w.line(0, "Source:");
    let mut source = spec.clone();
    for known in ["accessModes", "capacity", "claimRef"] {
        source.remove(&[known]);
    }
    super::template::volume(w, &source);
    d.write_events(w, i)
}

fn node_term(w: &mut W, n: usize, t: &Value) {
    w.put(2, format!("Term {n}:\t"));
    let all = t.get("matchExpressions");
    if all.is_empty() {
        w.line(0, "<none>");
    }
    for (k, e) in all.items().enumerate() {
        if k > 0 {
            w.put(2, "\t");
        }
        let values = e.get("values").items().map(Value::text).collect::<Vec<_>>().join(", ");
        let op = e.get("operator").text().to_lowercase();
        let text = if values.is_empty() {
            format!("{} {op}", e.get("key").text())
        } else {
            format!("{} {op} [{values}]", e.get("key").text())
        };
        w.line(0, text);
    }
}

pub(super) fn class(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    let default = v.annotations().get("storageclass.kubernetes.io/is-default-class").text() == "true";
    w.field(0, "IsDefaultClass", if default { "Yes" } else { "No" });
    let notes: Vec<String> = v.annotations().entries().map(|(k, x)| format!("{k}={}", x.text())).collect();
    let notes = notes.join(",");
    w.field(0, "Annotations", or(&notes, "<none>"));
    w.field(0, "Provisioner", v.get("provisioner").text());
    w.field(0, "Parameters", api::kinds::format_labels(v.get("parameters")));
    let expand = v.get("allowVolumeExpansion");
    let expand = if expand.is_null() { "<unset>" } else { super::truth(expand.is_true()) };
    w.field(0, "AllowVolumeExpansion", expand);
    let mount = v.get("mountOptions");
    if mount.is_empty() {
        w.field(0, "MountOptions", "<none>");
    } else {
        w.line(0, "MountOptions:");
        mount.items().for_each(|m| w.line(1, m.text()));
    }
    w.field(0, "ReclaimPolicy", v.get("reclaimPolicy").text());
    w.field(0, "VolumeBindingMode", v.get("volumeBindingMode").text());
    let topologies = v.get("allowedTopologies");
    if topologies.is_some() {
        w.line(0, "AllowedTopologies:");
        for (n, t) in topologies.items().enumerate() {
            for e in t.get("matchLabelExpressions").items() {
                let values = e.get("values").items().map(Value::text).collect::<Vec<_>>().join(", ");
                w.line(1, format!("Term {n}:\t{} in [{values}]", e.get("key").text()));
            }
        }
    }
    d.write_events(w, i)
}
