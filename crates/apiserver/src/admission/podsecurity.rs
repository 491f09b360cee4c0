//! PodSecurity: the Pod Security Standards that a namespace's labels ask for.
//!
//! Models: `pod-security-admission`: each check's reason and detail in its words, all that fail in one message.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// Existing pods that a stricter label of their namespace would refuse. Models: `EvaluatePodsInNamespace`.
fn namespace(api: &ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    let label = |v: &Value, key: &str| v.labels().get(&format!("{PREFIX}{key}")).text().to_owned();
    let of = |v: &Value| (label(v, "enforce"), label(v, "enforce-version"));
    let (level, version) = of(&a.new);
    if a.old.is_null() || of(&a.old) == (level.clone(), version.clone()) || level.is_empty() {
        return Ok(());
    }
    let id = api.registry.at("", "v1", "pods")?;
    // Pods that fail alike share a line.
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (_, pod) in api.store.list(id, Some(a.new.name()), None).take(PODS_MAX) {
        let found = violations(&level, pod);
        if found.is_empty() {
            continue;
        }
        let reasons: Vec<&str> = found.iter().map(|f| f.split(" (").next().unwrap_or(f)).collect();
        let reasons = if found.iter().any(|f| f.starts_with("runAsUser=0")) && found.len() == 1 {
            "runAsUser=0".to_owned()
        } else {
            reasons.join(", ")
        };
        match groups.iter_mut().find(|(r, _)| *r == reasons) {
            Some((_, pods)) => pods.push(pod.name().to_owned()),
            None => groups.push((reasons, vec![pod.name().to_owned()])),
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let version = if version.is_empty() { "latest" } else { &version };
    cx.warnings.push(format!(
        "existing pods in namespace \"{}\" violate the new PodSecurity enforce level \"{level}:{version}\"",
        a.new.name()
    ));
    let mut lines: Vec<String> = groups
        .into_iter()
        .map(|(reasons, mut pods)| {
            pods.sort();
            let others = match pods.len() {
                1 => String::new(),
                2 => " (and 1 other pod)".to_owned(),
                n => format!(" (and {} other pods)", n - 1),
            };
            format!("{}{others}: {reasons}", pods[0])
        })
        .collect();
    lines.sort();
    cx.warnings.append(&mut lines);
    Ok(())
}

/// Pods of a namespace that are looked at. Models: `namespaceMaxPodsToCheck`.
const PODS_MAX: usize = 3000;

pub(crate) fn validate(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if a.is("Namespace") && a.new.is_some() {
        return namespace(api, cx, a);
    }
    let is_pod = a.is("Pod");
    let template: Option<&[&str]> = match a.r.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            Some(&["spec", "template"])
        }
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template"]),
        "PodTemplate" => Some(&["template"]),
        _ => None,
    };
    if a.new.is_null() || !a.op.sub.is_empty() || (!is_pod && template.is_none()) {
        return Ok(());
    }
    let id = api.registry.at("", "v1", "namespaces")?;
    let Some(ns) = api.store.get(id, "", &a.op.namespace) else { return Ok(()) };
    let label = |mode: &str| ns.labels().get(&format!("{PREFIX}{mode}")).smol();
    let version = |mode: &str| match ns.labels().get(&format!("{PREFIX}{mode}-version")).text() {
        "" => "latest".to_owned(),
        v => v.to_owned(),
    };
    let (enforce, warn) = (label("enforce"), label("warn"));
    if enforce.is_empty() && warn.is_empty() {
        return Ok(());
    }
    let pod = template.map_or(&a.new, |path| a.new.at(path));
    if is_pod && a.old.is_some() && a.old.get("spec") == a.new.get("spec") {
        return Ok(());
    }
    if is_pod && !enforce.is_empty() {
        let found = violations(&enforce, pod);
        if !found.is_empty() {
            let why =
                format!("violates PodSecurity \"{enforce}:{}\": {}", version("enforce"), found.join(", "));
            return Err(Status::forbidden("", "pods", a.new.name(), &why));
        }
    }
    if !warn.is_empty() && (is_pod || a.old.is_null() || a.old.get("spec") != a.new.get("spec")) {
        let found = violations(&warn, pod);
        if !found.is_empty() {
            let m = format!("would violate PodSecurity \"{warn}:{}\": {}", version("warn"), found.join(", "));
            cx.warnings.push(m);
        }
    }
    Ok(())
}

/// `containers "a", "b"`, `container "a"`
fn named(kind: &str, names: &[&str]) -> String {
    let list: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
    format!("{kind}{} {}", if names.len() == 1 { "" } else { "s" }, list.join(", "))
}

fn quoted(all: &[&str]) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ")
}

struct Pod<'a> {
    spec: &'a Value,
    containers: Vec<&'a Value>,
}

impl<'a> Pod<'a> {
    fn bad(&self, f: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers.iter().filter(|c| f(c)).map(|c| c.get("name").text()).collect()
    }
}

fn violations(level: &str, pod: &Value) -> Vec<String> {
    let spec = pod.get("spec");
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    let p = Pod { spec, containers: containers.iter().flat_map(|k| spec.get(k).items()).collect() };
    let mut out = Vec::new();
    if matches!(level, "baseline" | "restricted") {
        baseline(&p, level == "restricted", &mut out);
    }
    if level == "restricted" {
        restricted(&p, &mut out);
    }
    out
}

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const SYSCTLS: [&str; 11] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
];

fn baseline(p: &Pod<'_>, restricted: bool, out: &mut Vec<String>) {
    let host: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|k| p.spec.get(k).is_true())
        .map(|k| format!("{k}=true"))
        .collect();
    if !host.is_empty() {
        out.push(format!("host namespaces ({})", host.join(", ")));
    }
    let ports = |c: &Value| c.get("ports").items().any(|x| x.get("hostPort").int() != 0);
    let with_ports = p.bad(ports);
    if !with_ports.is_empty() {
        let mut all: Vec<String> = p
            .containers
            .iter()
            .flat_map(|c| c.get("ports").items())
            .map(|x| x.get("hostPort").int())
            .filter(|n| *n != 0)
            .map(|n| n.to_string())
            .collect();
        all.sort();
        all.dedup();
        let (verb, s) =
            (if with_ports.len() == 1 { "uses" } else { "use" }, if all.len() == 1 { "" } else { "s" });
        out.push(format!(
            "hostPort ({} {verb} hostPort{s} {})",
            named("container", &with_ports),
            all.join(", ")
        ));
    }
    let privileged = p.bad(|c| c.at(&["securityContext", "privileged"]).is_true());
    if !privileged.is_empty() {
        let who = named("container", &privileged);
        out.push(format!("privileged ({who} must not set securityContext.privileged=true)"));
    }
    if !restricted {
        let extra = |c: &Value| added(c).iter().any(|x| !CAPABILITIES.contains(x));
        let bad = p.bad(extra);
        if !bad.is_empty() {
            let all: Vec<&str> =
                p.containers.iter().flat_map(|c| added(c)).filter(|x| !CAPABILITIES.contains(x)).collect();
            out.push(format!(
                "non-default capabilities ({} must not include {} in securityContext.capabilities.add)",
                named("container", &bad),
                quoted(&all)
            ));
        }
        let paths: Vec<&str> = p
            .spec
            .get("volumes")
            .items()
            .filter(|v| v.get("hostPath").is_some())
            .map(|v| v.get("name").text())
            .collect();
        if !paths.is_empty() {
            out.push(format!("hostPath volumes ({})", named("volume", &paths)));
        }
        seccomp_unconfined(p, out);
    }
    let proc_mount = p.bad(|c| !matches!(c.at(&["securityContext", "procMount"]).text(), "" | "Default"));
    if !proc_mount.is_empty() {
        out.push(format!(
            "procMount ({} must not set securityContext.procMount to \"Unmasked\")",
            named("container", &proc_mount)
        ));
    }
    let sysctls: Vec<&str> = p
        .spec
        .at(&["securityContext", "sysctls"])
        .items()
        .map(|s| s.get("name").text())
        .filter(|n| !SYSCTLS.contains(n))
        .collect();
    if !sysctls.is_empty() {
        out.push(format!("forbidden sysctls ({})", sysctls.join(", ")));
    }
}

fn added(c: &Value) -> Vec<&str> {
    c.at(&["securityContext", "capabilities", "add"]).items().map(Value::text).collect()
}

fn seccomp_unconfined(p: &Pod<'_>, out: &mut Vec<String>) {
    let kind = |v: &Value| v.at(&["securityContext", "seccompProfile", "type"]).text() == "Unconfined";
    let bad = p.bad(kind);
    let mut who: Vec<String> = if kind(p.spec) { vec!["pod".into()] } else { Vec::new() };
    if !bad.is_empty() {
        who.push(named("container", &bad));
    }
    if !who.is_empty() {
        out.push(format!(
            "seccompProfile ({} must not set securityContext.seccompProfile.type to \"Unconfined\")",
            who.join(" and ")
        ));
    }
}

fn restricted(p: &Pod<'_>, out: &mut Vec<String>) {
    let windows = p.spec.at(&["os", "name"]).text() == "windows";
    let escalates =
        p.bad(|c| c.at(&["securityContext", "allowPrivilegeEscalation"]).as_bool() != Some(false));
    if !windows && !escalates.is_empty() {
        let who = named("container", &escalates);
        out.push(format!(
            "allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"
        ));
    }
    if !windows {
        capabilities(p, out);
    }
    volumes(p, out);
    let pod_root = p.spec.at(&["securityContext", "runAsNonRoot"]);
    let own = |c: &Value| c.at(&["securityContext", "runAsNonRoot"]).as_bool();
    let explicit = p.bad(|c| own(c) == Some(false));
    let implicit = p.bad(|c| own(c).is_none() && !pod_root.is_true());
    if pod_root.as_bool() == Some(false) && !implicit.is_empty() || !explicit.is_empty() {
        let mut who: Vec<String> = Vec::new();
        if pod_root.as_bool() == Some(false) {
            who.push("pod".into());
        }
        if !explicit.is_empty() {
            who.push(named("container", &explicit));
        }
        out.push(format!(
            "runAsNonRoot != true ({} must not set securityContext.runAsNonRoot=false)",
            who.join(" and ")
        ));
    } else if !implicit.is_empty() {
        let who = named("container", &implicit);
        out.push(format!("runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"));
    }
    let zero = |v: &Value| v.at(&["securityContext", "runAsUser"]).as_int() == Some(0);
    let mut who: Vec<String> = if zero(p.spec) { vec!["pod".into()] } else { Vec::new() };
    let roots = p.bad(zero);
    if !roots.is_empty() {
        who.push(named("container", &roots));
    }
    if !who.is_empty() {
        out.push(format!("runAsUser=0 ({} must not set runAsUser=0)", who.join(" and ")));
    }
    if !windows {
        seccomp(p, out);
    }
}

fn capabilities(p: &Pod<'_>, out: &mut Vec<String>) {
    let drops =
        |c: &Value| c.at(&["securityContext", "capabilities", "drop"]).items().any(|x| x.text() == "ALL");
    let keeps = p.bad(|c| !drops(c));
    let adds = p.bad(|c| added(c).iter().any(|x| *x != "NET_BIND_SERVICE"));
    let mut parts = Vec::new();
    if !keeps.is_empty() {
        let who = named("container", &keeps);
        parts.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adds.is_empty() {
        let all: Vec<&str> =
            p.containers.iter().flat_map(|c| added(c)).filter(|x| *x != "NET_BIND_SERVICE").collect();
        parts.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named("container", &adds),
            quoted(&all)
        ));
    }
    if !parts.is_empty() {
        out.push(format!("unrestricted capabilities ({})", parts.join("; ")));
    }
}

fn volumes(p: &Pod<'_>, out: &mut Vec<String>) {
    const ALLOWED: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
        "image",
    ];
    let (mut names, mut kinds): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for v in p.spec.get("volumes").items() {
        let kind = v.entries().map(|(k, _)| k.as_str()).find(|k| *k != "name" && !ALLOWED.contains(k));
        if let Some(k) = kind {
            names.push(v.get("name").text());
            kinds.push(k);
        }
    }
    if !names.is_empty() {
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let list = quoted(&kinds);
        let s = if list.contains(", ") { "s" } else { "" };
        out.push(format!(
            "restricted volume types ({} {verb} restricted volume type{s} {list})",
            named("volume", &names)
        ));
    }
}

fn seccomp(p: &Pod<'_>, out: &mut Vec<String>) {
    let kind = |v: &Value| v.at(&["securityContext", "seccompProfile", "type"]).smol();
    let good = |k: &str| matches!(k, "RuntimeDefault" | "Localhost");
    let pod = kind(p.spec);
    let explicit = p.bad(|c| !kind(c).is_empty() && !good(&kind(c)));
    let implicit = p.bad(|c| kind(c).is_empty() && !good(&pod));
    let pod_bad = !pod.is_empty() && !good(&pod);
    if pod_bad || !explicit.is_empty() {
        let mut who: Vec<String> = if pod_bad { vec!["pod".into()] } else { Vec::new() };
        if !explicit.is_empty() {
            who.push(named("container", &explicit));
        }
        out.push(format!(
            "seccompProfile ({} must not set securityContext.seccompProfile.type to \"Unconfined\")",
            who.join(" and ")
        ));
    } else if !implicit.is_empty() {
        out.push(format!(
            "seccompProfile (pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
             \"Localhost\")",
            named("container", &implicit)
        ));
    }
}
