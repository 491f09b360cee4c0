//! Namespaces, ConfigMaps, Secrets, ServiceAccounts, ResourceQuotas, LimitRanges, PriorityClasses.

use super::{Describer, W, date};
use crate::cx::Done;
use crate::resource::Info;
use api::quantity::Quantity;
use api::{Value, gofmt};

pub(super) fn namespace(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "Status", v.at(&["status", "phase"]).text());
    let conditions = v.at(&["status", "conditions"]);
    if !conditions.is_empty() {
        w.line(0, "Conditions:");
        w.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
        w.line(1, "----\t------\t------------------\t------\t-------");
        for c in conditions.items() {
            w.line(
                1,
                format!(
                    "{}\t{}\t{}\t{}\t{}",
                    c.get("type").text(),
                    c.get("status").text(),
                    date(c.get("lastTransitionTime")),
                    c.get("reason").text(),
                    c.get("message").text()
                ),
            );
        }
    }
    let mut quotas = d.list(&format!("/api/v1/namespaces/{}/resourcequotas", i.name), "")?;
    quotas.sort_by(|a, b| a.name().cmp(b.name()));
    w.line(0, "");
    w.line(0, if quotas.is_empty() { "No resource quota." } else { "Resource Quotas" });
    for q in &quotas {
        w.line(0, format!("  Name:\t{}", q.name()));
        w.line(0, "  Resource\tUsed\tHard\n  --------\t---\t---");
        for (k, hard) in q.at(&["status", "hard"]).entries() {
            let used = Quantity::or_zero(q.at(&["status", "used"]).get(k));
            w.line(0, format!("  {k}\t{used}\t{}", Quantity::or_zero(hard)));
        }
    }
    let ranges = d.list(&format!("/api/v1/namespaces/{}/limitranges", i.name), "")?;
    w.line(0, "");
    if ranges.is_empty() {
        w.line(0, "No LimitRange resource.");
        return Ok(());
    }
    w.line(0, "Resource Limits");
    limits_head(w, " ");
    for r in &ranges {
        limits(w, r, " ");
    }
    Ok(())
}

fn limits_head(w: &mut W, space: &str) {
    w.line(
        0,
        format!("{space}Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio"),
    );
    w.line(
        0,
        format!("{space}----\t--------\t---\t---\t---------------\t-------------\t-----------------------"),
    );
}

fn limits(w: &mut W, range: &Value, space: &str) {
    const KEYS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for item in range.at(&["spec", "limits"]).items() {
        let mut resources: Vec<&str> = Vec::new();
        for key in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            for (k, _) in item.get(key).entries() {
                if !resources.contains(&k.as_str()) {
                    resources.push(k);
                }
            }
        }
        resources.sort_unstable();
        for r in resources {
            let cells: Vec<String> = KEYS
                .iter()
                .map(|k| match item.get(k).get(r) {
                    Value::Null => "-".to_owned(),
                    q => Quantity::or_zero(q).to_string(),
                })
                .collect();
            w.line(0, format!("{space}{}\t{r}\t{}", item.get("type").text(), cells.join("\t")));
        }
    }
}

pub(super) fn limit_range(w: &mut W, i: &Info) {
    w.field(0, "Name", i.object.name());
    w.field(0, "Namespace", i.object.namespace());
    limits_head(w, "");
    limits(w, &i.object, "");
}

pub(super) fn quota(w: &mut W, i: &Info) {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    let scopes = v.at(&["spec", "scopes"]);
    if !scopes.is_empty() {
        let mut list: Vec<&str> = scopes.items().map(Value::text).collect();
        list.sort_unstable();
        w.field(0, "Scopes", list.join(", "));
        for s in list {
            let help = match s {
                "Terminating" => {
                    "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
                }
                "NotTerminating" => {
                    "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
                }
                "BestEffort" => {
                    "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
                }
                "NotBestEffort" => {
                    "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
                }
                _ => continue,
            };
            w.line(0, format!(" * {help}"));
        }
    }
    w.line(0, "Resource\tUsed\tHard\n--------\t----\t----");
    for (k, hard) in v.at(&["status", "hard"]).entries() {
        let used = Quantity::or_zero(v.at(&["status", "used"]).get(k));
        w.line(0, format!("{k}\t{used}\t{}", Quantity::or_zero(hard)));
    }
}

pub(super) fn config_map(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.line(0, "\nData\n====");
    for (k, text) in v.get("data").entries() {
        w.line(0, format!("{k}:\n----"));
        w.line(0, format!("{}\n", text.text()));
    }
    w.line(0, "\nBinaryData\n====");
    for (k, data) in v.get("binaryData").entries() {
        w.line(0, format!("{k}: {} bytes", decoded_len(data.text())));
    }
    w.line(0, "");
    d.write_events(w, i)
}

/// Bytes that base64 stands for.
fn decoded_len(s: &str) -> usize {
    s.len() / 4 * 3 - s.bytes().rev().take_while(|b| *b == b'=').count().min(2)
}

pub(super) fn secret(w: &mut W, i: &Info) {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.line(0, format!("\nType:\t{}", v.get("type").text()));
    w.line(0, "\nData\n====");
    for (k, data) in v.get("data").entries() {
        if &**k == "token" && v.get("type").text() == "kubernetes.io/service-account-token" {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.decode(data.text()).unwrap_or_default();
            w.field(0, k, String::from_utf8_lossy(&text));
        } else {
            w.field(0, k, format!("{} bytes", decoded_len(data.text())));
        }
    }
}

pub(super) fn service_account(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    let names: Vec<&str> = v.get("imagePullSecrets").items().map(|s| s.get("name").text()).collect();
    if names.is_empty() {
        w.field(0, "Image pull secrets", "<none>");
    }
    for (n, name) in names.iter().enumerate() {
        w.line(0, if n == 0 { format!("Image pull secrets:\t{name}") } else { format!("\t{name}") });
    }
    d.write_events(w, i)
}

pub(super) fn priority_class(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Value", gofmt::value(v.get("value")));
    w.field(0, "GlobalDefault", v.get("globalDefault").is_true());
    w.field(0, "PreemptionPolicy", v.get("preemptionPolicy").text());
    w.field(0, "Description", v.get("description").text());
    let notes: Vec<String> = v.annotations().entries().map(|(k, x)| format!("{k}={}", x.text())).collect();
    let notes = notes.join(",");
    w.field(0, "Annotations", if notes.is_empty() { "<none>" } else { &notes });
    d.write_events(w, i)
}
