//! Containers, volumes and the rest of pod specs and templates.

use super::{W, date, or, truth};
use api::quantity::Quantity;
use api::{Value, gofmt};

/// `Pod Template:` with all below it.
pub fn pod_template(w: &mut W, t: &Value) {
    w.line(0, "Pod Template:");
    if t.is_null() {
        w.put(1, "<unset>");
        return;
    }
    w.labels_at("  ", "Labels", "\t", t.labels());
    if !t.annotations().is_empty() {
        w.annotations_at("  ", "Annotations", t.annotations());
    }
    let spec = t.get("spec");
    let account = spec.get("serviceAccountName").text();
    if !account.is_empty() {
        w.line(0, format!("  Service Account:\t{account}"));
    }
    let pod = Value::Null;
    if !spec.get("initContainers").is_empty() {
        containers(w, "Init Containers", spec.get("initContainers"), &Value::Null, &pod, "  ");
    }
    containers(w, "Containers", spec.get("containers"), &Value::Null, &pod, "  ");
    volumes(w, spec.get("volumes"), "  ");
    topology(w, spec.get("topologySpreadConstraints"), "  ");
    let class = spec.get("priorityClassName").text();
    if !class.is_empty() {
        w.line(0, format!("  Priority Class Name:\t{class}"));
    }
    w.labels_at("  ", "Node-Selectors", "\t", spec.get("nodeSelector"));
    tolerations(w, "  ", spec.get("tolerations"));
}

/// A list of containers; `pod` resolves field references.
pub fn containers(w: &mut W, title: &str, list: &Value, statuses: &Value, pod: &Value, space: &str) {
    let none = if list.is_empty() { " <none>" } else { "" };
    w.line(0, format!("{space}{title}:{none}"));
    for c in list.items() {
        let status = statuses.items().find(|s| s.get("name") == c.get("name"));
        container(w, c, status, pod, space);
    }
}

fn container(w: &mut W, c: &Value, status: Option<&Value>, pod: &Value, space: &str) {
    let indent = if space.is_empty() { "" } else { " " };
    w.line(1, format!("{indent}{}:", c.get("name").text()));
    if let Some(s) = status {
        w.field(2, "Container ID", s.get("containerID").text());
    }
    w.field(2, "Image", c.get("image").text());
    if let Some(s) = status {
        w.field(2, "Image ID", s.get("imageID").text());
    }
    for (one, many, key) in [("Port", "Ports", "containerPort"), ("Host Port", "Host Ports", "hostPort")] {
        let text = ports(c.get("ports"), key);
        let label = if text.contains(',') { many } else { one };
        w.field(2, label, or(&text, "<none>"));
    }
    let seccomp = c.at(&["securityContext", "seccompProfile"]);
    if seccomp.is_some() {
        w.field(2, "SeccompProfile", seccomp.get("type").text());
        if seccomp.get("type").text() == "Localhost" {
            w.field(3, "LocalhostProfile", seccomp.get("localhostProfile").text());
        }
    }
    for (label, key) in [("Command", "command"), ("Args", "args")] {
        if !c.get(key).is_empty() {
            w.line(2, format!("{label}:"));
            for word in c.get(key).items() {
                word.text().split('\n').for_each(|l| w.line(3, l));
            }
        }
    }
    if let Some(s) = status {
        state(w, "State", s.get("state"));
        if s.at(&["lastState", "terminated"]).is_some() {
            state(w, "Last State", s.get("lastState"));
        }
        w.field(2, "Ready", truth(s.get("ready").is_true()));
        w.field(2, "Restart Count", s.get("restartCount").int());
    }
    resources(w, c.get("resources"), 2);
    for (label, key) in
        [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
    {
        if c.get(key).is_some() {
            w.field(2, label, probe(c.get(key)));
        }
    }
    environment(w, c, pod);
    mounts(w, c);
}

fn ports(list: &Value, key: &str) -> String {
    let all: Vec<String> = list
        .items()
        .map(|p| {
            let name = p.get("name").text();
            let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
            format!("{}/{}{name}", p.get(key).int(), or(p.get("protocol").text(), "TCP"))
        })
        .collect();
    all.join(", ")
}

fn state(w: &mut W, label: &str, s: &Value) {
    let (running, waiting, ended) = (s.get("running"), s.get("waiting"), s.get("terminated"));
    if running.is_some() {
        w.field(2, label, "Running");
        w.field(3, "Started", date(running.get("startedAt")));
    } else if ended.is_some() {
        w.field(2, label, "Terminated");
        for (label, key) in [("Reason", "reason"), ("Message", "message")] {
            if !ended.get(key).text().is_empty() {
                w.field(3, label, ended.get(key).text());
            }
        }
        w.field(3, "Exit Code", ended.get("exitCode").int());
        if ended.get("signal").int() > 0 {
            w.field(3, "Signal", ended.get("signal").int());
        }
        w.field(3, "Started", date(ended.get("startedAt")));
        w.field(3, "Finished", date(ended.get("finishedAt")));
    } else {
        w.field(2, label, "Waiting");
        if !waiting.get("reason").text().is_empty() {
            w.field(3, "Reason", waiting.get("reason").text());
        }
    }
}

/// `Limits:` and `Requests:`
pub fn resources(w: &mut W, r: &Value, level: usize) {
    for (label, key) in [("Limits", "limits"), ("Requests", "requests")] {
        if r.get(key).is_empty() {
            continue;
        }
        w.line(level, format!("{label}:"));
        for (name, amount) in r.get(key).entries() {
            w.field(level + 1, name, Quantity::or_zero(amount));
        }
    }
}

fn probe(p: &Value) -> String {
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        p.get("initialDelaySeconds").int(),
        p.get("timeoutSeconds").int(),
        p.get("periodSeconds").int(),
        p.get("successThreshold").int(),
        p.get("failureThreshold").int()
    );
    let port = |v: &Value| gofmt::value(v.get("port"));
    let (exec, http, tcp, grpc) = (p.get("exec"), p.get("httpGet"), p.get("tcpSocket"), p.get("grpc"));
    if exec.is_some() {
        return format!(
            "exec {} {attributes}",
            gofmt::value(&exec.get("command").items().cloned().collect())
        );
    }
    if http.is_some() {
        return format!(
            "http-get {}://{}:{}{} {attributes}",
            or(http.get("scheme").text(), "HTTP").to_lowercase(),
            http.get("host").text(),
            port(http),
            http.get("path").text()
        );
    }
    if tcp.is_some() {
        return format!("tcp-socket {}:{} {attributes}", tcp.get("host").text(), port(tcp));
    }
    if grpc.is_some() {
        return format!("grpc <pod>:{} {} {attributes}", port(grpc), grpc.get("service").text());
    }
    format!("unknown {attributes}")
}

fn environment(w: &mut W, c: &Value, pod: &Value) {
    let from = c.get("envFrom");
    if !from.is_empty() {
        w.line(2, "Environment Variables from:");
        for e in from.items() {
            let (kind, source) = if e.get("configMapRef").is_some() {
                ("ConfigMap", e.get("configMapRef"))
            } else {
                ("Secret", e.get("secretRef"))
            };
            let prefix = e.get("prefix").text();
            let with = if prefix.is_empty() { String::new() } else { format!(" with prefix '{prefix}'") };
            let optional = source.get("optional").is_true();
            w.line(3, format!("{}\t{kind}{with}\tOptional: {optional}", source.get("name").text()));
        }
    }
    let env = c.get("env");
    w.line(2, if env.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for e in env.items() {
        let name = e.get("name").text();
        let from = e.get("valueFrom");
        if from.is_null() {
            for (i, l) in e.get("value").text().split('\n').enumerate() {
                w.line(3, if i == 0 { format!("{name}:\t{l}") } else { format!("\t{l}") });
            }
            continue;
        }
        w.line(3, format!("{name}:\t{}", source(from, c, pod)));
    }
}

fn source(from: &Value, c: &Value, pod: &Value) -> String {
    let field = from.get("fieldRef");
    if field.is_some() {
        let path = field.get("fieldPath").text();
        return format!("{} ({}:{path})", field_value(pod, path), or(field.get("apiVersion").text(), "v1"));
    }
    let resource = from.get("resourceFieldRef");
    if resource.is_some() {
        let name = resource.get("resource").text();
        return format!("{} ({name})", resource_value(c, name, resource.get("divisor")));
    }
    for (key, words) in [("secretKeyRef", "in secret"), ("configMapKeyRef", "of config map")] {
        let r = from.get(key);
        if r.is_some() {
            return format!(
                "<set to the key '{}' {words} '{}'>\tOptional: {}",
                r.get("key").text(),
                r.get("name").text(),
                r.get("optional").is_true()
            );
        }
    }
    String::new()
}

fn field_value(pod: &Value, path: &str) -> String {
    if pod.is_null() {
        return String::new();
    }
    if let Some((map, key)) = path.strip_suffix(']').and_then(|p| p.split_once('[')) {
        let keys: Vec<&str> = map.split('.').collect();
        return pod.at(&keys).get(key.trim_matches(['\'', '"'])).text().to_owned();
    }
    let keys: Vec<&str> = path.split('.').collect();
    gofmt::value(pod.at(&keys)).replace("<nil>", "")
}

fn resource_value(c: &Value, name: &str, divisor: &Value) -> String {
    let Some((kind, resource)) = name.split_once('.') else { return String::new() };
    let q = Quantity::or_zero(c.get("resources").get(kind).get(resource));
    let d = Quantity::or_zero(divisor);
    if d.is_zero() || d == Quantity::from_value(1) {
        return q.value().to_string();
    }
    // Rounded up to whole divisors.
    let (a, b) = (q.nanos(), d.nanos());
    if b == 0 { q.value().to_string() } else { ((a + b - 1) / b).to_string() }
}

fn mounts(w: &mut W, c: &Value) {
    let mut list: Vec<&Value> = c.get("volumeMounts").items().collect();
    list.sort_by(|a, b| a.get("mountPath").text().cmp(b.get("mountPath").text()));
    w.line(2, if list.is_empty() { "Mounts:\t<none>" } else { "Mounts:" });
    for m in list {
        let mut flags = vec![if m.get("readOnly").is_true() { "ro".to_owned() } else { "rw".to_owned() }];
        for key in ["subPath", "subPathExpr"] {
            if !m.get(key).text().is_empty() {
                flags.push(format!("path={}", gofmt::quote(m.get(key).text())));
            }
        }
        if !m.get("recursiveReadOnly").text().is_empty() {
            flags.push(format!("recursive={}", m.get("recursiveReadOnly").text()));
        }
        w.line(
            3,
            format!("{} from {} ({})", m.get("mountPath").text(), m.get("name").text(), flags.join(",")),
        );
    }
    let devices = c.get("volumeDevices");
    if !devices.is_empty() {
        w.line(2, "Devices:");
        for d in devices.items() {
            w.line(3, format!("{} from {}", d.get("devicePath").text(), d.get("name").text()));
        }
    }
}

/// `Volumes:`
pub fn volumes(w: &mut W, list: &Value, space: &str) {
    if list.is_empty() {
        w.line(0, format!("{space}Volumes:\t<none>"));
        return;
    }
    w.line(0, format!("{space}Volumes:"));
    let indent = if space.is_empty() { "" } else { " " };
    for v in list.items() {
        w.line(1, format!("{indent}{}:", v.get("name").text()));
        volume(w, v);
    }
}

/// What a volume is.
pub fn volume(w: &mut W, v: &Value) {
    let mut put = |rows: &[(&str, String)]| rows.iter().for_each(|(k, x)| w.field(2, k, x));
    let ty = |s: &str| ("Type", s.to_owned());
    let is = |k: &str| v.get(k).is_some();
    let text = |s: &str, k: &str| v.get(s).get(k).text().to_owned();
    let yes = |s: &str, k: &str| v.get(s).get(k).is_true().to_string();
    match () {
        () if is("emptyDir") => put(&[
            ty("EmptyDir (a temporary directory that shares a pod's lifetime)"),
            ("Medium", text("emptyDir", "medium")),
            ("SizeLimit", or(&text("emptyDir", "sizeLimit"), "<unset>").to_owned()),
        ]),
        () if is("hostPath") => put(&[
            ty("HostPath (bare host directory volume)"),
            ("Path", text("hostPath", "path")),
            ("HostPathType", text("hostPath", "type")),
        ]),
        () if is("secret") => put(&[
            ty("Secret (a volume populated by a Secret)"),
            ("SecretName", text("secret", "secretName")),
            ("Optional", yes("secret", "optional")),
        ]),
        () if is("configMap") => put(&[
            ty("ConfigMap (a volume populated by a ConfigMap)"),
            ("Name", text("configMap", "name")),
            ("Optional", yes("configMap", "optional")),
        ]),
        () if is("persistentVolumeClaim") => put(&[
            ty("PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)"),
            ("ClaimName", text("persistentVolumeClaim", "claimName")),
            ("ReadOnly", yes("persistentVolumeClaim", "readOnly")),
        ]),
        () if is("nfs") => put(&[
            ty("NFS (an NFS mount that lasts the lifetime of a pod)"),
            ("Server", text("nfs", "server")),
            ("Path", text("nfs", "path")),
            ("ReadOnly", yes("nfs", "readOnly")),
        ]),
        () if is("csi") => {
            put(&[
                ty("CSI (a Container Storage Interface (CSI) volume source)"),
                ("Driver", text("csi", "driver")),
                ("FSType", text("csi", "fsType")),
                ("ReadOnly", yes("csi", "readOnly")),
            ]);
            w.labels_at("      ", "VolumeAttributes", "\t", v.at(&["csi", "volumeAttributes"]));
        }
        () if is("local") => put(&[
            ty("LocalVolume (a persistent volume backed by local storage on a node)"),
            ("Path", text("local", "path")),
        ]),
        () if is("ephemeral") => {
            put(&[ty(
                "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
            )]);
            let t = v.at(&["ephemeral", "volumeClaimTemplate", "spec"]);
            put(&[
                ("StorageClass", t.get("storageClassName").text().to_owned()),
                ("Volume", t.get("volumeName").text().to_owned()),
            ]);
        }
        () if is("downwardAPI") => {
            put(&[ty("DownwardAPI (a volume populated by information about the pod)")]);
            downward(w, v.at(&["downwardAPI", "items"]));
        }
        () if is("image") => put(&[
            ty("Image (a container image or OCI artifact)"),
            ("Reference", text("image", "reference")),
            ("PullPolicy", text("image", "pullPolicy")),
        ]),
        () if is("projected") => {
            put(&[ty("Projected (a volume that contains injected data from multiple sources)")]);
            for s in v.at(&["projected", "sources"]).items() {
                projected(w, s);
            }
        }
        () => w.line(2, "<unknown>"),
    }
}

fn downward(w: &mut W, items: &Value) {
    w.line(2, "Items:");
    for i in items.items() {
        if i.get("fieldRef").is_some() {
            w.line(3, format!("{} -> {}", i.at(&["fieldRef", "fieldPath"]).text(), i.get("path").text()));
        }
        if i.get("resourceFieldRef").is_some() {
            w.line(
                3,
                format!("{} -> {}", i.at(&["resourceFieldRef", "resource"]).text(), i.get("path").text()),
            );
        }
    }
}

fn projected(w: &mut W, s: &Value) {
    let (secret, map, token) = (s.get("secret"), s.get("configMap"), s.get("serviceAccountToken"));
    if secret.is_some() {
        w.field(2, "SecretName", secret.get("name").text());
        w.field(2, "Optional", secret.get("optional").is_true());
    } else if s.get("downwardAPI").is_some() {
        w.field(2, "DownwardAPI", "true");
    } else if map.is_some() {
        w.field(2, "ConfigMapName", map.get("name").text());
        w.field(2, "Optional", map.get("optional").is_true());
    } else if token.is_some() {
        w.field(2, "TokenExpirationSeconds", token.get("expirationSeconds").int());
    }
}

/// `Tolerations:`
pub fn tolerations(w: &mut W, indent: &str, list: &Value) {
    w.put(0, format!("{indent}Tolerations:\t"));
    if list.is_empty() {
        w.line(0, "<none>");
        return;
    }
    let mut sorted: Vec<&Value> = list.items().collect();
    sorted.sort_by(|a, b| a.get("key").text().cmp(b.get("key").text()));
    for (i, t) in sorted.into_iter().enumerate() {
        if i > 0 {
            w.put(0, format!("{indent}\t"));
        }
        let (key, value, effect) = (t.get("key").text(), t.get("value").text(), t.get("effect").text());
        let mut s = key.to_owned();
        if !value.is_empty() {
            s += &format!("={value}");
        }
        if !effect.is_empty() {
            s += &format!(":{effect}");
        }
        if t.get("operator").text() == "Exists" && value.is_empty() {
            s += if s.is_empty() { "op=Exists" } else { " op=Exists" };
        }
        if t.get("tolerationSeconds").is_some() {
            s += &format!(" for {}s", t.get("tolerationSeconds").int());
        }
        w.line(0, s);
    }
}

/// `Topology Spread Constraints:`
pub fn topology(w: &mut W, list: &Value, indent: &str) {
    if list.is_empty() {
        return;
    }
    w.put(0, format!("{indent}Topology Spread Constraints:\t"));
    let mut sorted: Vec<&Value> = list.items().collect();
    sorted.sort_by(|a, b| a.get("topologyKey").text().cmp(b.get("topologyKey").text()));
    for (i, t) in sorted.into_iter().enumerate() {
        if i > 0 {
            w.put(0, format!("{indent}\t"));
        }
        w.put(
            0,
            format!(
                "{}:{} when max skew {} is exceeded",
                t.get("topologyKey").text(),
                t.get("whenUnsatisfiable").text(),
                t.get("maxSkew").int()
            ),
        );
        if t.get("labelSelector").is_some() {
            w.put(0, format!(" for selector {}", api::selector::Selector::describe(t.get("labelSelector"))));
        }
        w.line(0, "");
    }
}
