//! PodDisruptionBudgets, HorizontalPodAutoscalers, CertificateSigningRequests.

use super::{Describer, W, date, or};
use crate::cx::Done;
use crate::resource::Info;
use api::quantity::Quantity;
use api::selector::Selector;
use api::{Value, gofmt};

pub(super) fn budget(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    if spec.get("minAvailable").is_some() {
        w.field(0, "Min available", gofmt::value(spec.get("minAvailable")));
    } else if spec.get("maxUnavailable").is_some() {
        w.field(0, "Max unavailable", gofmt::value(spec.get("maxUnavailable")));
    }
    let selector = spec.get("selector");
    w.field(0, "Selector", if selector.is_null() { "<unset>".into() } else { Selector::describe(selector) });
    w.line(0, "Status:");
    for (label, key) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        w.field(2, label, status.get(key).int());
    }
    d.write_events(w, i)
}

pub(super) fn autoscaler(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "CreationTimestamp", date(v.at(&["metadata", "creationTimestamp"])));
    let target = spec.get("scaleTargetRef");
    w.field(0, "Reference", format!("{}/{}", target.get("kind").text(), target.get("name").text()));
    w.field(0, "Metrics", "( current / target )");
    for (n, m) in spec.get("metrics").items().enumerate() {
        metric(w, m, &status.get("currentMetrics")[n]);
    }
    let min = spec.get("minReplicas");
    w.field(0, "Min replicas", if min.is_null() { "<unset>".into() } else { gofmt::value(min) });
    w.field(0, "Max replicas", spec.get("maxReplicas").int());
    behavior(w, spec.get("behavior"));
    w.field(
        0,
        &format!("{} pods", target.get("kind").text()),
        format!(
            "{} current / {} desired",
            status.get("currentReplicas").int(),
            status.get("desiredReplicas").int()
        ),
    );
    if !status.get("conditions").is_empty() {
        w.line(0, "Conditions:");
        w.line(1, "Type\tStatus\tReason\tMessage");
        w.line(1, "----\t------\t------\t-------");
        for c in status.get("conditions").items() {
            let t = |k: &str| c.get(k).text();
            w.line(1, format!("{}\t{}\t{}\t{}", t("type"), t("status"), t("reason"), t("message")));
        }
    }
    d.write_events(w, i)
}

fn metric(w: &mut W, m: &Value, current: &Value) {
    let amount = |v: &Value| match v {
        Value::Null => "<unknown>".to_owned(),
        q => Quantity::or_zero(q).to_string(),
    };
    let kind = m.get("type").text();
    match kind {
        "Resource" | "ContainerResource" => {
            let key = if kind == "Resource" { "resource" } else { "containerResource" };
            let (s, c) = (m.get(key), current.get(key));
            let name = s.get("name").text();
            let place = if kind == "Resource" {
                "on pods".to_owned()
            } else {
                format!("of container \"{}\" on pods", s.get("container").text())
            };
            if s.at(&["target", "averageValue"]).is_some() {
                let (have, want) = (c.at(&["current", "averageValue"]), s.at(&["target", "averageValue"]));
                w.line(1, format!("resource {name} {place}:\t{} / {}", amount(have), amount(want)));
                return;
            }
            let have = c.at(&["current", "averageUtilization"]);
            let have = if have.is_null() {
                "<unknown>".to_owned()
            } else {
                format!("{}% ({})", have.int(), amount(c.at(&["current", "averageValue"])))
            };
            let want = s.at(&["target", "averageUtilization"]);
            let want = if want.is_null() { "<auto>".to_owned() } else { format!("{}%", want.int()) };
            w.line(1, format!("resource {name} {place}  (as a percentage of request):\t{have} / {want}"));
        }
        "Pods" => {
            let (s, c) = (m.get("pods"), current.get("pods"));
            w.line(
                1,
                format!(
                    "\"{}\" on pods:\t{} / {}",
                    s.at(&["metric", "name"]).text(),
                    amount(c.at(&["current", "averageValue"])),
                    amount(s.at(&["target", "averageValue"]))
                ),
            );
        }
        "Object" => {
            let (s, c) = (m.get("object"), current.get("object"));
            let o = s.get("describedObject");
            let average = s.at(&["target", "averageValue"]).is_some();
            let key = if average { "averageValue" } else { "value" };
            let note = if average { "target average value" } else { "target value" };
            w.line(
                1,
                format!(
                    "\"{}\" on {}/{} ({note}):\t{} / {}",
                    s.at(&["metric", "name"]).text(),
                    o.get("kind").text(),
                    o.get("name").text(),
                    amount(c.at(&["current", key])),
                    amount(s.at(&["target", key]))
                ),
            );
        }
        "External" => {
            let (s, c) = (m.get("external"), current.get("external"));
            let average = s.at(&["target", "averageValue"]).is_some();
            let key = if average { "averageValue" } else { "value" };
            let note = if average { "target average value" } else { "target value" };
            w.line(
                1,
                format!(
                    "\"{}\" ({note}):\t{} / {}",
                    s.at(&["metric", "name"]).text(),
                    amount(c.at(&["current", key])),
                    amount(s.at(&["target", key]))
                ),
            );
        }
        other => w.line(1, format!("<unknown metric type {}>", gofmt::quote(other))),
    }
}

fn behavior(w: &mut W, b: &Value) {
    if b.is_null() {
        return;
    }
    w.line(0, "Behavior:");
    for (label, key) in [("Scale Up", "scaleUp"), ("Scale Down", "scaleDown")] {
        let r = b.get(key);
        if r.is_null() {
            continue;
        }
        w.line(1, format!("{label}:"));
        if r.get("stabilizationWindowSeconds").is_some() {
            w.line(2, format!("Stabilization Window: {} seconds", r.get("stabilizationWindowSeconds").int()));
        }
        if !r.get("policies").is_empty() {
            w.line(2, format!("Select Policy: {}", or(r.get("selectPolicy").text(), "Max")));
            w.line(2, "Policies:");
            for p in r.get("policies").items() {
                w.line(
                    3,
                    format!(
                        "- Type: {}\tValue: {}\tPeriod: {} seconds",
                        p.get("type").text(),
                        p.get("value").int(),
                        p.get("periodSeconds").int()
                    ),
                );
            }
        }
    }
}

pub(super) fn certificate(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    use base64::Engine;
    let v = &i.object;
    let spec = v.get("spec");
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "CreationTimestamp", date(v.at(&["metadata", "creationTimestamp"])));
    w.field(0, "Requesting User", spec.get("username").text());
    if !spec.get("signerName").text().is_empty() {
        w.field(0, "Signer", spec.get("signerName").text());
    }
    if spec.get("expirationSeconds").is_some() {
        let ns = spec.get("expirationSeconds").int().saturating_mul(api::duration::SECOND);
        w.field(0, "Requested Duration", api::duration::human(ns));
    }
    let mut status: Vec<&str> = Vec::new();
    let has = |t: &str| v.condition(t).is_some();
    match () {
        () if has("Approved") => status.push("Approved"),
        () if has("Denied") => status.push("Denied"),
        () => status.push("Pending"),
    }
    if has("Failed") {
        status.push("Failed");
    }
    if !v.at(&["status", "certificate"]).text().is_empty() {
        status.push("Issued");
    }
    w.field(0, "Status", status.join(","));
    let pem =
        base64::engine::general_purpose::STANDARD.decode(spec.get("request").text()).unwrap_or_default();
    let subject = crate::x509::subject(&String::from_utf8_lossy(&pem));
    w.line(0, "Subject:");
    let (name, groups) = subject.map_or_else(Default::default, |s| (s.name, s.groups));
    w.field(1, "  Common Name", name);
    w.field(1, "  Serial Number", "");
    if !groups.is_empty() {
        w.field(1, "  Organization", groups.join("\n\t"));
    }
    d.write_events(w, i)
}
