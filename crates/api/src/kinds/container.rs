//! Containers of a pod: names, ports, environment, mounts, probes, resources, security. Models: `validateContainers`.

use super::check::{self, messages, required};
use crate::field::{At, Errors};
use crate::quantity::Quantity;
use crate::{Value, names};

const FIELD_PATHS_KNOWN: [&str; 14] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What environment variables may take from the pod.
const ENV_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What files of downward API volumes may take.
const VOLUME_PATHS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const RESOURCE_PATHS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// All containers of a pod's spec.
pub fn validate_all(spec: &Value, at: &At<'_>, e: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    let mut ports: Vec<String> = Vec::new();
    if spec.get("containers").is_empty() {
        e.required(&at.field("containers"), "");
    }
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        let list = at.field(key);
        for (i, c) in spec.get(key).items().enumerate() {
            let at = list.index(i);
            let name = c.get("name").text();
            container(c, spec, key, &at, e);
            if !name.is_empty() && seen.contains(&name) {
                e.duplicate(&at.field("name"), name);
            }
            seen.push(name);
            if key == "containers" {
                host_ports(c, &at, &mut ports, e);
            }
        }
    }
}

fn host_ports(c: &Value, at: &At<'_>, seen: &mut Vec<String>, e: &mut Errors) {
    let list = at.field("ports");
    for (i, p) in c.get("ports").items().enumerate() {
        if p.get("hostPort").int() == 0 {
            continue;
        }
        let text =
            format!("{}/{}/{}", p.get("protocol").text(), p.get("hostIP").text(), p.get("hostPort").int());
        if seen.contains(&text) {
            e.duplicate(&list.index(i).field("hostPort"), text);
        } else {
            seen.push(text);
        }
    }
}

fn container(c: &Value, spec: &Value, key: &str, at: &At<'_>, e: &mut Errors) {
    let (name, image) = (c.get("name").text(), c.get("image").text());
    if required(c, "name", at, e) {
        messages(name, names::dns_label(name), &at.field("name"), e);
    }
    if required(c, "image", at, e) && image.trim() != image {
        e.invalid(&at.field("image"), image, "must not have leading or trailing whitespace");
    }
    container_ports(c.get("ports"), &at.field("ports"), e);
    environment(c.get("env"), &at.field("env"), e);
    env_from(c.get("envFrom"), &at.field("envFrom"), e);
    mounts(c.get("volumeMounts"), spec.get("volumes"), &at.field("volumeMounts"), e);
    check::choice(c, "imagePullPolicy", at, &["Always", "IfNotPresent", "Never"], e);
    resources(c.get("resources"), &at.field("resources"), e);
    security(c.get("securityContext"), &at.field("securityContext"), e);
    check::choice(c, "terminationMessagePolicy", at, &["FallbackToLogsOnError", "File"], e);
    let sidecar = key == "initContainers" && c.get("restartPolicy").text() == "Always";
    if key == "containers" || sidecar {
        lifecycle(c.get("lifecycle"), &at.field("lifecycle"), e);
        for k in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if c.get(k).is_some() {
                probe(c.get(k), k != "readinessProbe", &at.field(k), e);
            }
        }
    } else {
        for k in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if c.get(k).is_some() {
                let why = if key == "initContainers" {
                    "may not be set for init containers without restartPolicy=Always"
                } else {
                    "cannot be set for an Ephemeral Container"
                };
                e.forbidden(&at.field(k), why);
            }
        }
    }
}

fn container_ports(ports: &Value, at: &At<'_>, e: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, p) in ports.items().enumerate() {
        let at = at.index(i);
        let name = p.get("name").text();
        if !name.is_empty() {
            let found = check::port_name(name);
            if !found.is_empty() {
                messages(name, found, &at.field("name"), e);
            } else if seen.contains(&name) {
                e.duplicate(&at.field("name"), name);
            } else {
                seen.push(name);
            }
        }
        match p.get("containerPort").int() {
            0 => e.required(&at.field("containerPort"), ""),
            n if !check::is_port(n) => e.invalid(&at.field("containerPort"), n, check::PORT_RANGE),
            _ => {}
        }
        let host = p.get("hostPort").int();
        if host != 0 && !check::is_port(host) {
            e.invalid(&at.field("hostPort"), host, check::PORT_RANGE);
        }
        match p.get("protocol").text() {
            "" => e.required(&at.field("protocol"), ""),
            "TCP" | "UDP" | "SCTP" => {}
            other => e.not_supported(&at.field("protocol"), other, &["SCTP", "TCP", "UDP"]),
        }
    }
}

fn environment(env: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, v) in env.items().enumerate() {
        let at = at.index(i);
        let name = v.get("name").text();
        if required(v, "name", &at, e) {
            messages(name, names::env_name(name), &at.field("name"), e);
        }
        let from = v.get("valueFrom");
        if from.is_null() {
            continue;
        }
        let at = at.field("valueFrom");
        let mut sources = 0;
        for (k, source) in from.entries() {
            let at = at.field(k);
            sources += 1;
            match k.as_str() {
                "fieldRef" => field_ref(source, &ENV_PATHS, &at, e),
                "resourceFieldRef" => resource_ref(source, false, &at, e),
                "configMapKeyRef" | "secretKeyRef" => key_ref(source, &at, e),
                _ => {}
            }
        }
        if sources == 0 {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or \
                       `fileKeyRef`";
            e.invalid(&at, "", why);
        } else if !v.get("value").text().is_empty() {
            e.invalid(&at, "", "may not be specified when `value` is not empty");
        } else if sources > 1 {
            e.invalid(&at, "", "may not have more than one field specified at a time");
        }
    }
}

fn key_ref(v: &Value, at: &At<'_>, e: &mut Errors) {
    let (name, key) = (v.get("name").text(), v.get("key").text());
    messages(name, names::dns_subdomain(name), &at.field("name"), e);
    if required(v, "key", at, e) {
        messages(key, names::config_key(key), &at.field("key"), e);
    }
}

/// A reference to a field of the pod. Models: `validateObjectFieldSelector`.
pub fn field_ref(v: &Value, allowed: &[&str], at: &At<'_>, e: &mut Errors) {
    required(v, "apiVersion", at, e);
    let path = v.get("fieldPath").text();
    if !required(v, "fieldPath", at, e) {
        return;
    }
    let at = at.field("fieldPath");
    let (base, subscript) = match path.split_once('[') {
        Some((b, s)) => (b, s.strip_prefix('\'').and_then(|s| s.strip_suffix("']"))),
        None => (path, None),
    };
    if let Some(key) = subscript {
        match base {
            "metadata.annotations" => {
                messages(&key.to_lowercase(), names::qualified_name(&key.to_lowercase()), &at, e)
            }
            "metadata.labels" => messages(key, names::qualified_name(key), &at, e),
            _ => e.invalid(&at, base, "does not support subscript"),
        }
        return;
    }
    if !FIELD_PATHS_KNOWN.contains(&path) {
        let why = format!("error converting fieldPath: field label not supported: {path}");
        e.invalid(&at, path, &why);
    } else if !allowed.contains(&path) {
        e.not_supported(&at, path, allowed);
    }
}

fn resource_ref(v: &Value, volume: bool, at: &At<'_>, e: &mut Errors) {
    if volume {
        required(v, "containerName", at, e);
    }
    if required(v, "resource", at, e) {
        let r = v.get("resource").text();
        if !RESOURCE_PATHS.contains(&r) && !r.contains("hugepages-") {
            e.not_supported(&at.field("resource"), r, &RESOURCE_PATHS);
        }
    }
}

/// Items of a downward API volume.
pub fn downward_items(items: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, item) in items.items().enumerate() {
        let at = at.index(i);
        required(item, "path", &at, e);
        match (item.get("fieldRef"), item.get("resourceFieldRef")) {
            (Value::Null, Value::Null) => e.required(&at, "one of fieldRef and resourceFieldRef is required"),
            (f, Value::Null) => field_ref(f, &VOLUME_PATHS, &at.field("fieldRef"), e),
            (Value::Null, r) => resource_ref(r, true, &at.field("resourceFieldRef"), e),
            _ => e.invalid(
                &at,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            ),
        }
    }
}

fn env_from(v: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, source) in v.items().enumerate() {
        let at = at.index(i);
        let mut sources = 0;
        for k in ["configMapRef", "secretRef"] {
            if source.get(k).is_some() {
                sources += 1;
                let name = source.at(&[k, "name"]).text();
                messages(name, names::dns_subdomain(name), &at.field(k).field("name"), e);
            }
        }
        match sources {
            0 => e.invalid(&at, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => e.invalid(&at, "", "may not have more than one field specified at a time"),
        }
    }
}

fn mounts(mounts: &Value, volumes: &Value, at: &At<'_>, e: &mut Errors) {
    let mut paths: Vec<&str> = Vec::new();
    for (i, m) in mounts.items().enumerate() {
        let at = at.index(i);
        let name = m.get("name").text();
        if required(m, "name", &at, e) && !volumes.items().any(|v| v.get("name").text() == name) {
            e.not_found(&at.field("name"), name);
        }
        let path = m.get("mountPath").text();
        required(m, "mountPath", &at, e);
        if paths.contains(&path) {
            e.invalid(&at.field("mountPath"), path, "must be unique");
        }
        paths.push(path);
        let sub = m.get("subPath").text();
        if sub.starts_with('/') {
            e.invalid(&at.field("subPath"), sub, "must be a relative path");
        }
        if sub.split('/').any(|p| p == "..") {
            e.invalid(&at.field("subPath"), sub, "must not contain '..'");
        }
        if !sub.is_empty() && !m.get("subPathExpr").text().is_empty() {
            let at = at.field("subPathExpr");
            e.invalid(&at, m.get("subPathExpr").text(), "subPathExpr and subPath are mutually exclusive");
        }
        let allowed = ["Bidirectional", "HostToContainer", "None"];
        check::choice(m, "mountPropagation", &at, &allowed, e);
    }
}

/// A resource list pair. Models: `ValidateContainerResourceRequirements`.
pub fn resources(v: &Value, outer: &At<'_>, e: &mut Errors) {
    let limits = v.get("limits");
    for key in ["limits", "requests"] {
        let list = outer.field(key);
        for (name, q) in v.get(key).entries() {
            let at = list.key(name);
            let before = e.0.len();
            check::resource_name(name, &at, e);
            if !name.contains('/') && !check::is_container_resource(name) {
                e.invalid(&at, name.as_str(), "must be a standard resource for containers");
            }
            check::quantity_non_negative(q, &at, e);
            let amount = Quantity::or_zero(q);
            if check::is_extended_resource(name) && !amount.is_whole() {
                e.invalid(&at, q.text(), "must be an integer");
            }
            if key == "limits" || e.0.len() > before {
                continue;
            }
            let limit = limits.get(name);
            let overcommits = !check::is_extended_resource(name) && !name.starts_with("hugepages-");
            if limit.is_some() {
                let max = Quantity::or_zero(limit);
                if overcommits && amount.nanos() > max.nanos() {
                    let why = format!("must be less than or equal to {name} limit of {}", limit.text());
                    e.invalid(&list, q.text(), &why);
                } else if !overcommits && amount.nanos() != max.nanos() {
                    let why = format!("must be equal to {name} limit of {}", limit.text());
                    e.invalid(&list, q.text(), &why);
                }
            } else if !overcommits {
                let limits = outer.field("limits");
                e.required(&limits.key(name), "Limit must be set for non overcommitable resources");
            }
        }
    }
}

fn security(v: &Value, at: &At<'_>, e: &mut Errors) {
    if v.is_null() {
        return;
    }
    for key in ["runAsUser", "runAsGroup"] {
        if v.get(key).as_int().is_some_and(|n| !(0..=2_147_483_647).contains(&n)) {
            e.invalid(&at.field(key), v.get(key), "must be between 0 and 2147483647, inclusive");
        }
    }
    check::choice(v, "procMount", at, &["Default", "Unmasked"], e);
    if v.get("allowPrivilegeEscalation").as_bool() == Some(false) {
        let shown = || crate::gostruct::internal_json("io.k8s.api.core.v1.SecurityContext", v);
        if v.get("privileged").is_true() {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            e.printed(crate::field::ErrorType::Invalid, at, &shown(), why);
        }
        let mut added = v.at(&["capabilities", "add"]).items();
        if added.any(|c| matches!(c.text(), "SYS_ADMIN" | "CAP_SYS_ADMIN")) {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            e.printed(crate::field::ErrorType::Invalid, at, &shown(), why);
        }
    }
}

fn lifecycle(v: &Value, at: &At<'_>, e: &mut Errors) {
    for key in ["postStart", "preStop"] {
        if v.get(key).is_some() {
            handler(v.get(key), &at.field(key), e);
        }
    }
}

fn probe(v: &Value, once: bool, at: &At<'_>, e: &mut Errors) {
    handler(v, at, e);
    for key in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        check::non_negative(v, key, at, e);
    }
    if v.get("terminationGracePeriodSeconds").as_int().is_some_and(|n| n <= 0) {
        let at = at.field("terminationGracePeriodSeconds");
        e.invalid(&at, v.get("terminationGracePeriodSeconds"), "must be greater than 0");
    }
    if !once && v.get("terminationGracePeriodSeconds").is_some() {
        let at = at.field("terminationGracePeriodSeconds");
        e.invalid(&at, v.get("terminationGracePeriodSeconds"), "must not be set for readinessProbes");
    }
    if once && v.get("successThreshold").int() != 1 {
        e.invalid(&at.field("successThreshold"), v.get("successThreshold").int(), "must be 1");
    }
}

fn handler(v: &Value, at: &At<'_>, e: &mut Errors) {
    let mut handlers = 0;
    for key in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let h = v.get(key);
        if h.is_null() {
            continue;
        }
        let at = at.field(key);
        if handlers > 0 {
            e.forbidden(&at, "may not specify more than 1 handler type");
            continue;
        }
        handlers += 1;
        match key {
            "exec" if h.get("command").is_empty() => e.required(&at.field("command"), ""),
            "httpGet" => {
                required(h, "path", &at, e);
                check::port_or_name(h.get("port"), &at.field("port"), e);
                if !matches!(h.get("scheme").text(), "HTTP" | "HTTPS") {
                    e.one_of(&at.field("scheme"), h.get("scheme").text(), &["HTTP", "HTTPS"]);
                }
            }
            "tcpSocket" => check::port_or_name(h.get("port"), &at.field("port"), e),
            "grpc" if !check::is_port(h.get("port").int()) => {
                e.invalid(&at.field("port"), h.get("port").int(), check::PORT_RANGE)
            }
            "sleep" if h.get("seconds").int() < 0 => {
                e.invalid(&at.field("seconds"), h.get("seconds").int(), check::NON_NEGATIVE)
            }
            _ => {}
        }
    }
    if handlers == 0 {
        e.required(at, "must specify a handler type");
    }
}

/// Warnings about a pod's containers: fractions of bytes, duplicate names of variables.
pub fn warnings(spec: &Value, path: &str, out: &mut Vec<String>) {
    for key in ["initContainers", "containers"] {
        for (i, c) in spec.get(key).items().enumerate() {
            for list in ["limits", "requests"] {
                for (name, q) in c.at(&["resources", list]).entries() {
                    let bytes = matches!(name.as_str(), "memory" | "ephemeral-storage");
                    if bytes && !Quantity::or_zero(q).is_whole() {
                        out.push(format!(
                            "{path}.{key}[{i}].resources.{list}[{name}]: fractional byte value \"{}\" is invalid, must \
                             be an integer",
                            q.text()
                        ));
                    }
                }
            }
            let mut seen: Vec<&str> = Vec::new();
            for (j, v) in c.get("env").items().enumerate() {
                let name = v.get("name").text();
                if seen.contains(&name) {
                    out.push(format!(
                        "{path}.{key}[{i}].env[{j}]: hides previous definition of \"{name}\", which may be dropped when \
                         using apply"
                    ));
                }
                seen.push(name);
            }
        }
    }
}
