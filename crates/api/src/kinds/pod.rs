//! Pod and pod template.

use super::{Rules, age, default, object_age};
use crate::{Value, obj, quantity::Quantity};
use sim::Civil;

/// Pod.
pub const RULES: Rules = Rules {
    of: ("", "Pod"),
    defaults: |v| {
        spec_defaults(v.slot(&["spec"]));
        default(v.slot(&["spec"]), "enableServiceLinks", true);
    },
    prepare: |new, old| match old {
        None => {
            let qos = qos_class(new.get("spec"));
            let mut status = obj!({"phase": "Pending", "qosClass": qos});
            if !new.at(&["spec", "schedulingGates"]).is_empty() {
                let condition = obj!({
                    "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": null, "lastTransitionTime": new.at(&["metadata", "creationTimestamp"])
                });
                status.insert("conditions", obj!([condition]));
            }
            new.set(&["status"], status);
        }
        Some(old) => new.set(&["status"], old.get("status")),
    },
    validate: |v, e| super::podspec::pod(v, e),
    validate_update: |new, old, e| super::podspec::pod_update(new, old, e),
    warnings: |new, _, out| super::container::warnings(new.get("spec"), "spec", out),
    generation: true,
    cells: Some(cells),
    fields: &[
        ("spec.nodeName", |v: &Value| v.at(&["spec", "nodeName"]).text().to_owned()),
        ("spec.restartPolicy", |v: &Value| v.at(&["spec", "restartPolicy"]).text().to_owned()),
        ("spec.schedulerName", |v: &Value| v.at(&["spec", "schedulerName"]).text().to_owned()),
        ("spec.serviceAccountName", |v: &Value| v.at(&["spec", "serviceAccountName"]).text().to_owned()),
        ("spec.hostNetwork", |v: &Value| v.at(&["spec", "hostNetwork"]).is_true().to_string()),
        ("status.phase", |v: &Value| v.at(&["status", "phase"]).text().to_owned()),
        ("status.podIP", |v: &Value| v.at(&["status", "podIP"]).text().to_owned()),
        ("status.podIPs", |v: &Value| v.at(&["status", "podIPs", "0", "ip"]).text().to_owned()),
        ("status.nominatedNodeName", |v: &Value| v.at(&["status", "nominatedNodeName"]).text().to_owned()),
    ],
    ..Rules::GENERIC
};

/// Defaults of a pod template.
pub fn template_defaults(template: &mut Value) {
    spec_defaults(template.slot(&["spec"]));
}

/// Defaults of a pod's spec, in a pod or a template. Models: `SetDefaults_PodSpec` and its containers' and volumes'.
pub fn spec_defaults(spec: &mut Value) {
    for key in ["initContainers", "containers", "ephemeralContainers"] {
        if !spec.get(key).is_empty() {
            spec.slot(&[key]).list_mut().iter_mut().for_each(container_defaults);
        }
    }
    if !spec.get("volumes").is_empty() {
        spec.slot(&["volumes"]).list_mut().iter_mut().for_each(volume_defaults);
    }
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "schedulerName", "default-scheduler");
    default(spec, "securityContext", Value::map());
    // The old and the new name of the field mirror each other.
    match (spec.get("serviceAccountName").text().to_owned(), spec.get("serviceAccount").text().to_owned()) {
        (new, old) if new.is_empty() && !old.is_empty() => spec.insert("serviceAccountName", old),
        (new, old) if !new.is_empty() && new != old => spec.insert("serviceAccount", new),
        _ => {}
    }
    if spec.get("hostNetwork").is_true() {
        for key in ["initContainers", "containers"] {
            if spec.get(key).items().any(|c| !c.get("ports").is_empty()) {
                for c in spec.slot(&[key]).list_mut() {
                    if !c.get("ports").is_empty() {
                        for p in c.slot(&["ports"]).list_mut() {
                            let port = p.get("containerPort").clone();
                            default(p, "hostPort", port);
                        }
                    }
                }
            }
        }
    }
}

fn container_defaults(c: &mut Value) {
    if c.get("imagePullPolicy").text().is_empty() {
        let image = c.get("image").text();
        let tag = image.rsplit('/').next().unwrap_or(image).split_once(':').map(|(_, t)| t);
        let latest = !image.contains('@') && matches!(tag, None | Some("latest"));
        c.insert("imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    }
    default(c, "terminationMessagePath", "/dev/termination-log");
    default(c, "terminationMessagePolicy", "File");
    if !c.get("ports").is_empty() {
        c.slot(&["ports"]).list_mut().iter_mut().for_each(|p| default(p, "protocol", "TCP"));
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if c.get(probe).is_some() {
            probe_defaults(c.slot(&[probe]));
        }
    }
    for hook in ["postStart", "preStop"] {
        if c.at(&["lifecycle", hook, "httpGet"]).is_some() {
            http_get_defaults(c.slot(&["lifecycle", hook, "httpGet"]));
        }
    }
    if c.get("env").items().any(|e| e.at(&["valueFrom", "fieldRef"]).is_some()) {
        for e in c.slot(&["env"]).list_mut() {
            if e.at(&["valueFrom", "fieldRef"]).is_some() {
                default(e.slot(&["valueFrom", "fieldRef"]), "apiVersion", "v1");
            }
        }
    }
    let limits = c.at(&["resources", "limits"]).clone();
    for (name, limit) in limits.entries() {
        if c.at(&["resources", "requests", name]).is_null() {
            c.set(&["resources", "requests", name], limit);
        }
    }
}

fn http_get_defaults(h: &mut Value) {
    default(h, "path", "/");
    default(h, "scheme", "HTTP");
}

fn probe_defaults(p: &mut Value) {
    for (key, d) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if p.get(key).int() == 0 {
            p.insert(key, d);
        }
    }
    if p.get("httpGet").is_some() {
        http_get_defaults(p.slot(&["httpGet"]));
    }
    if p.get("grpc").is_some() {
        default(p.slot(&["grpc"]), "service", "");
    }
}

fn volume_defaults(v: &mut Value) {
    if v.len() == 1 && v.get("name").is_some() {
        v.insert("emptyDir", Value::map());
    }
    for key in ["secret", "configMap", "downwardAPI", "projected"] {
        if v.get(key).is_some() {
            default(v.slot(&[key]), "defaultMode", 420);
        }
    }
    let field_refs = |items: &mut Value| {
        if !items.get("items").is_empty() {
            for i in items.slot(&["items"]).list_mut() {
                if i.get("fieldRef").is_some() {
                    default(i.slot(&["fieldRef"]), "apiVersion", "v1");
                }
            }
        }
    };
    if v.get("downwardAPI").is_some() {
        field_refs(v.slot(&["downwardAPI"]));
    }
    if !v.at(&["projected", "sources"]).is_empty() {
        for s in v.slot(&["projected", "sources"]).list_mut() {
            if s.get("serviceAccountToken").is_some() {
                default(s.slot(&["serviceAccountToken"]), "expirationSeconds", 3600);
            }
            if s.get("downwardAPI").is_some() {
                field_refs(s.slot(&["downwardAPI"]));
            }
        }
    }
    if v.get("hostPath").is_some() {
        default(v.slot(&["hostPath"]), "type", "");
    }
    if v.get("ephemeral").is_some() {
        default(v.slot(&["ephemeral", "volumeClaimTemplate", "spec"]), "volumeMode", "Filesystem");
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`. Models: `GetPodQOS`.
pub fn qos_class(spec: &Value) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    let nonzero = |v: &Value| Quantity::parse(v.text()).is_ok_and(|q| !q.is_zero());
    for key in ["initContainers", "containers"] {
        for c in spec.get(key).items() {
            for r in ["cpu", "memory"] {
                let (request, limit) =
                    (c.at(&["resources", "requests", r]), c.at(&["resources", "limits", r]));
                any |= nonzero(request) || nonzero(limit);
                guaranteed &= nonzero(limit) && (request.is_null() || request == limit);
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// What the READY, STATUS and RESTARTS columns of a pod say.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// Ready containers.
    pub ready: usize,
    /// All containers that count.
    pub total: usize,
    /// `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating`…
    pub reason: String,
    /// Restarts of all containers.
    pub restarts: i64,
    /// When the last restart was.
    pub last_restart: Option<Civil>,
}

/// Sums a pod's state up as the server's printer does. Models: `printPod`.
pub fn summary(pod: &Value) -> Summary {
    let (spec, status) = (pod.get("spec"), pod.get("status"));
    let mut s = Summary {
        ready: 0,
        total: spec.get("containers").len(),
        reason: status.get("phase").text().into(),
        restarts: 0,
        last_restart: None,
    };
    if !status.get("reason").text().is_empty() {
        s.reason = status.get("reason").text().into();
    }
    for c in status.get("conditions").items() {
        if c.get("type").text() == "PodScheduled" && c.get("reason").text() == "SchedulingGated" {
            s.reason = "SchedulingGated".into();
        }
    }
    let finished = |cs: &Value| Civil::parse(cs.at(&["lastState", "terminated", "finishedAt"]).text());
    let is_sidecar = |name: &str| {
        let mut all = spec.get("initContainers").items();
        all.any(|c| c.get("name").text() == name && c.get("restartPolicy").text() == "Always")
    };
    s.total +=
        spec.get("initContainers").items().filter(|c| c.get("restartPolicy").text() == "Always").count();
    let mut initializing = false;
    let mut sidecar_restarts = (0, None);
    for (i, cs) in status.get("initContainerStatuses").items().enumerate() {
        let sidecar = is_sidecar(cs.get("name").text());
        s.restarts += cs.get("restartCount").int();
        s.last_restart = s.last_restart.max(finished(cs));
        if sidecar {
            sidecar_restarts.0 += cs.get("restartCount").int();
            sidecar_restarts.1 = sidecar_restarts.1.max(finished(cs));
        }
        let (waiting, terminated) = (cs.at(&["state", "waiting"]), cs.at(&["state", "terminated"]));
        if terminated.is_some() && terminated.get("exitCode").int() == 0 {
            continue;
        }
        if sidecar && cs.get("started").is_true() {
            s.ready += usize::from(cs.get("ready").is_true());
            continue;
        }
        if terminated.is_some() {
            s.reason = match (terminated.get("reason").text(), terminated.get("signal").int()) {
                ("", 0) => format!("Init:ExitCode:{}", terminated.get("exitCode").int()),
                ("", signal) => format!("Init:Signal:{signal}"),
                (reason, _) => format!("Init:{reason}"),
            };
        } else if !matches!(waiting.get("reason").text(), "" | "PodInitializing") {
            s.reason = format!("Init:{}", waiting.get("reason").text());
        } else {
            s.reason = format!("Init:{i}/{}", spec.get("initContainers").len());
        }
        initializing = true;
        break;
    }
    if !initializing || pod.condition("Initialized").get("status").text() == "True" {
        (s.restarts, s.last_restart) = sidecar_restarts;
        let mut running = false;
        for cs in status.get("containerStatuses").items().rev() {
            s.restarts += cs.get("restartCount").int();
            s.last_restart = s.last_restart.max(finished(cs));
            let (waiting, terminated) = (cs.at(&["state", "waiting"]), cs.at(&["state", "terminated"]));
            if !waiting.get("reason").text().is_empty() {
                s.reason = waiting.get("reason").text().into();
            } else if terminated.is_some() {
                s.reason = match (terminated.get("reason").text(), terminated.get("signal").int()) {
                    ("", 0) => format!("ExitCode:{}", terminated.get("exitCode").int()),
                    ("", signal) => format!("Signal:{signal}"),
                    (reason, _) => reason.into(),
                };
            } else if cs.get("ready").is_true() && cs.at(&["state", "running"]).is_some() {
                running = true;
                s.ready += 1;
            }
        }
        if s.reason == "Completed" && running {
            let ready = pod.condition("Ready").get("status").text() == "True";
            s.reason = if ready { "Running" } else { "NotReady" }.into();
        }
    }
    if pod.is_terminating() && status.get("reason").text() == "NodeLost" {
        s.reason = "Unknown".into();
    } else if pod.is_terminating() && !matches!(status.get("phase").text(), "Succeeded" | "Failed") {
        s.reason = "Terminating".into();
    }
    s
}

fn cells(v: &Value, now: Civil) -> Vec<Value> {
    let s = summary(v);
    let restarts = match s.last_restart {
        Some(t) if s.restarts > 0 => format!("{} ({} ago)", s.restarts, age(&t.rfc3339().into(), now)),
        _ => s.restarts.to_string(),
    };
    let or_none = |t: &str| Value::from(if t.is_empty() { "<none>" } else { t });
    let gates = v.at(&["spec", "readinessGates"]);
    let open = gates
        .items()
        .filter(|g| v.condition(g.get("conditionType").text()).get("status").text() == "True")
        .count();
    vec![
        v.name().into(),
        format!("{}/{}", s.ready, s.total).into(),
        s.reason.into(),
        restarts.into(),
        object_age(v, now),
        or_none(v.at(&["status", "podIP"]).text()),
        or_none(v.at(&["spec", "nodeName"]).text()),
        or_none(v.at(&["status", "nominatedNodeName"]).text()),
        if gates.is_empty() { "<none>".into() } else { format!("{open}/{}", gates.len()).into() },
    ]
}

pub use super::podspec::ephemeral_update;
