//! Pods.

use super::template::{containers, tolerations, topology, volumes};
use super::{Describer, W, controller, date, or, since};
use crate::cx::Done;
use crate::resource::Info;

pub(super) fn pod(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    if spec.get("priority").is_some() {
        w.field(0, "Priority", spec.get("priority").int());
    }
    for (label, key) in [
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ] {
        if !spec.get(key).text().is_empty() {
            w.field(0, label, spec.get(key).text());
        }
    }
    match spec.get("nodeName").text() {
        "" => w.field(0, "Node", "<none>"),
        n => w.field(0, "Node", format!("{n}/{}", status.get("hostIP").text())),
    }
    if status.get("startTime").is_some() {
        w.field(0, "Start Time", date(status.get("startTime")));
    }
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    let phase = status.get("phase").text();
    if v.is_terminating() && !matches!(phase, "Failed" | "Succeeded") {
        let now = d.cx.civil()?;
        let age = since(v.at(&["metadata", "deletionTimestamp"]), &now);
        w.field(0, "Status", format!("Terminating (lasts {age})"));
        let grace = v.at(&["metadata", "deletionGracePeriodSeconds"]).int();
        w.field(0, "Termination Grace Period", format!("{grace}s"));
    } else {
        w.field(0, "Status", phase);
    }
    for (label, key) in [("Reason", "reason"), ("Message", "message")] {
        if !status.get(key).text().is_empty() {
            w.field(0, label, status.get(key).text());
        }
    }
    let seccomp = spec.at(&["securityContext", "seccompProfile"]);
    if seccomp.is_some() {
        w.field(0, "SeccompProfile", seccomp.get("type").text());
        if seccomp.get("type").text() == "Localhost" {
            w.field(0, "LocalhostProfile", seccomp.get("localhostProfile").text());
        }
    }
    w.field(0, "IP", status.get("podIP").text());
    let ips = status.get("podIPs");
    w.line(0, if ips.is_empty() { "IPs:\t<none>" } else { "IPs:" });
    for ip in ips.items() {
        w.field(1, "IP", ip.get("ip").text());
    }
    let owner = controller(v);
    if !owner.is_empty() {
        w.field(0, "Controlled By", owner);
    }
    if !status.get("nominatedNodeName").text().is_empty() {
        w.field(0, "NominatedNodeName", status.get("nominatedNodeName").text());
    }
    if spec.get("resources").is_some() {
        w.line(0, "Resources:");
        super::template::resources(w, spec.get("resources"), 1);
    }
    if !spec.get("initContainers").is_empty() {
        containers(
            w,
            "Init Containers",
            spec.get("initContainers"),
            status.get("initContainerStatuses"),
            v,
            "",
        );
    }
    containers(w, "Containers", spec.get("containers"), status.get("containerStatuses"), v, "");
    if !spec.get("ephemeralContainers").is_empty() {
        containers(
            w,
            "Ephemeral Containers",
            spec.get("ephemeralContainers"),
            status.get("ephemeralContainerStatuses"),
            v,
            "",
        );
    }
    if !spec.get("readinessGates").is_empty() {
        w.line(0, "Readiness Gates:\n  Type\tStatus");
        for g in spec.get("readinessGates").items() {
            let ty = g.get("conditionType").text();
            let status = v.condition(ty).get("status").text();
            w.line(1, format!("{ty} \t{} ", or(status, "<none>")));
        }
    }
    if !status.get("conditions").is_empty() {
        w.line(0, "Conditions:\n  Type\tStatus");
        for c in status.get("conditions").items() {
            w.line(1, format!("{} \t{} ", c.get("type").text(), c.get("status").text()));
        }
    }
    volumes(w, spec.get("volumes"), "");
    w.field(0, "QoS Class", status.get("qosClass").text());
    w.labels("Node-Selectors", spec.get("nodeSelector"));
    tolerations(w, "", spec.get("tolerations"));
    topology(w, spec.get("topologySpreadConstraints"), "");
    d.write_events(w, i)
}
