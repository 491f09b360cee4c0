//! PodSecurityPolicy: the kind, and the admission that picks a policy for each pod.
//!
//! Models: the plugin of its time. Policies that the creator or the pod's service account may `use` are tried in order
//! of their names: first those that take the pod as it is, then those that take it once they filled their defaults in.
//! Without any policy the plugin stays out of the way, so that a cluster starts.

use super::Old;
use crate::admission::Attempt;
use crate::auth::{Attributes, User};
use crate::server::Cx;
use crate::{ApiServer, ResId, Resource, Status};
use api::field::{At, Errors};
use api::kinds::Rules;
use api::{Value, obj};

/// The annotation that names the policy.
const ANNOTATION: &str = "kubernetes.io/psp";
const PLURAL: &str = "podsecuritypolicies";

/// The resource, stored under its own version.
pub(super) fn resource(id: ResId, old: &'static Old) -> Resource {
    let column = |name: &str, kind: &str, path: &str| obj!({"name": name, "type": kind, "jsonPath": path});
    let custom = obj!({
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        "additionalPrinterColumns": [
            column("Priv", "boolean", ".spec.privileged"),
            column("Caps", "string", ".spec.allowedCapabilities"),
            column("SELinux", "string", ".spec.seLinux.rule"),
            column("RunAsUser", "string", ".spec.runAsUser.rule"),
            column("FSGroup", "string", ".spec.fsGroup.rule"),
            column("SupGroup", "string", ".spec.supplementalGroups.rule"),
            column("ReadOnlyRootFS", "boolean", ".spec.readOnlyRootFilesystem"),
            column("Volumes", "string", ".spec.volumes")
        ]
    });
    Resource {
        id,
        storage: id,
        group: "policy".into(),
        version: "v1beta1".into(),
        kind: "PodSecurityPolicy".into(),
        plural: PLURAL.into(),
        singular: "podsecuritypolicy".into(),
        short: vec!["psp".into()],
        categories: Vec::new(),
        namespaced: false,
        ty: None,
        custom,
        verbs: crate::custom::VERBS.iter().map(|v| (*v).into()).collect(),
        builtin: None,
        rules: &POLICY,
        old: Some(old),
    }
}

static POLICY: Rules = Rules {
    of: ("policy", "PodSecurityPolicy"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        for key in ["privileged", "readOnlyRootFilesystem"] {
            if spec.get(key).is_null() {
                spec.insert(key, false);
            }
        }
        if spec.get("allowPrivilegeEscalation").is_null() {
            spec.insert("allowPrivilegeEscalation", true);
        }
    },
    validate: |v, e| {
        let at = At::Path("spec");
        let rules: [(&str, &[&str]); 4] = [
            ("fsGroup", &["MayRunAs", "MustRunAs", "RunAsAny"]),
            ("runAsUser", &["MustRunAs", "MustRunAsNonRoot", "RunAsAny"]),
            ("seLinux", &["MustRunAs", "RunAsAny"]),
            ("supplementalGroups", &["MayRunAs", "MustRunAs", "RunAsAny"]),
        ];
        for (key, known) in rules {
            let rule = v.at(&["spec", key, "rule"]).text();
            if !known.contains(&rule) {
                e.not_supported(&at.field(key).field("rule"), rule, known);
            }
        }
    },
    ..Rules::GENERIC
};

/// The plugin.
pub(crate) fn admit(api: &mut ApiServer, cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !api.settings.book_mode || !a.creates("Pod") {
        return Ok(());
    }
    let Some(id) = api.registry.id("policy", "v1beta1", PLURAL) else { return Ok(()) };
    let all: Vec<Value> = api.store.list(id, None, None).map(|(_, v)| v.clone()).collect();
    if all.is_empty() {
        return Ok(());
    }
    let account = User::service_account(&a.op.namespace, a.new.at(&["spec", "serviceAccountName"]).text());
    let mine: Vec<Value> =
        all.into_iter().filter(|p| uses(api, &cx.user, a, p) || uses(api, &account, a, p)).collect();
    let mut errors = Errors::default();
    let mut chosen: Option<(Value, Value)> = None;
    for p in &mine {
        let mut pod = a.new.clone();
        fill(p.get("spec"), &mut pod);
        let mut found = Errors::default();
        check(p.get("spec"), &pod, &mut found);
        if !found.is_empty() {
            errors.0.extend(found.0);
            continue;
        }
        let unchanged = pod == a.new;
        if unchanged || chosen.is_none() {
            chosen = Some((p.clone(), pod));
        }
        if unchanged {
            break;
        }
    }
    let Some((policy, mut pod)) = chosen else {
        let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        let why = format!("unable to validate against any pod security policy: [{}]", texts.join(" "));
        return Err(Status::forbidden("", "pods", a.new.name(), &why));
    };
    pod.set(&["metadata", "annotations", ANNOTATION], policy.name());
    a.new = pod;
    Ok(())
}

fn uses(api: &mut ApiServer, user: &User, a: &Attempt<'_>, policy: &Value) -> bool {
    ["policy", "extensions"].iter().any(|group| {
        let attributes = Attributes {
            verb: "use",
            group,
            version: "v1beta1",
            resource: PLURAL,
            sub: "",
            namespace: &a.op.namespace,
            name: policy.name(),
            path: "",
        };
        api.authorize(user, &attributes).is_some()
    })
}

fn lists<'a>(v: &'a Value, keys: &'a [&'a str]) -> impl Iterator<Item = &'a str> + 'a {
    keys.iter().flat_map(|k| v.get(k).items()).map(Value::text)
}

fn each_container(pod: &mut Value, mut f: impl FnMut(&mut Value)) {
    for key in ["initContainers", "containers"] {
        if pod.at(&["spec", key]).as_list().is_some() {
            pod.slot(&["spec", key]).list_mut().iter_mut().for_each(&mut f);
        }
    }
}

/// Fills in what a policy gives to pods that do not say it themselves.
fn fill(policy: &Value, pod: &mut Value) {
    let first = |key: &str| policy.at(&[key, "ranges", "0", "min"]).clone();
    let must = |key: &str| policy.at(&[key, "rule"]).text() == "MustRunAs";
    if must("fsGroup") && pod.at(&["spec", "securityContext", "fsGroup"]).is_null() {
        pod.set(&["spec", "securityContext", "fsGroup"], first("fsGroup"));
    }
    if must("supplementalGroups") && pod.at(&["spec", "securityContext", "supplementalGroups"]).is_empty() {
        let group = first("supplementalGroups");
        pod.set(&["spec", "securityContext", "supplementalGroups"], obj!([group]));
    }
    let user = pod.at(&["spec", "securityContext", "runAsUser"]).is_some();
    each_container(pod, |c| {
        if must("runAsUser") && !user && c.at(&["securityContext", "runAsUser"]).is_null() {
            c.set(&["securityContext", "runAsUser"], first("runAsUser"));
        }
        if policy.at(&["runAsUser", "rule"]).text() == "MustRunAsNonRoot"
            && c.at(&["securityContext", "runAsUser"]).is_null()
            && c.at(&["securityContext", "runAsNonRoot"]).is_null()
        {
            c.set(&["securityContext", "runAsNonRoot"], true);
        }
        if must("seLinux") && c.at(&["securityContext", "seLinuxOptions"]).is_null() {
            c.set(&["securityContext", "seLinuxOptions"], policy.at(&["seLinux", "seLinuxOptions"]));
        }
        if policy.get("readOnlyRootFilesystem").is_true()
            && c.at(&["securityContext", "readOnlyRootFilesystem"]).is_null()
        {
            c.set(&["securityContext", "readOnlyRootFilesystem"], true);
        }
        let escalation = policy.get("defaultAllowPrivilegeEscalation");
        if escalation.is_some() && c.at(&["securityContext", "allowPrivilegeEscalation"]).is_null() {
            c.set(&["securityContext", "allowPrivilegeEscalation"], escalation);
        }
        for (from, to) in [("defaultAddCapabilities", "add"), ("requiredDropCapabilities", "drop")] {
            let wanted: Vec<Value> = policy.get(from).items().cloned().collect();
            let other = if to == "add" { "drop" } else { "add" };
            for w in wanted {
                let caps = c.at(&["securityContext", "capabilities"]);
                if caps.get(to).items().any(|x| *x == w) || caps.get(other).items().any(|x| *x == w) {
                    continue;
                }
                let mut list: Vec<Value> = caps.get(to).items().cloned().collect();
                list.push(w);
                c.set(&["securityContext", "capabilities", to], Value::from(list));
            }
        }
    });
}

fn in_ranges(ranges: &Value, id: i64) -> bool {
    ranges.items().any(|r| (r.get("min").int()..=r.get("max").int()).contains(&id))
}

/// Ranges as Go prints them: `[{2 10} {20 30}]`.
fn shown(ranges: &Value) -> String {
    let all: Vec<String> =
        ranges.items().map(|r| format!("{{{} {}}}", r.get("min").int(), r.get("max").int())).collect();
    format!("[{}]", all.join(" "))
}

fn check(policy: &Value, pod: &Value, e: &mut Errors) {
    let spec = pod.get("spec");
    let context = spec.get("securityContext");
    let root = At::Path("spec");
    let at = root.field("securityContext");
    for (key, name) in [("hostNetwork", "Host network"), ("hostPID", "Host PID"), ("hostIPC", "Host IPC")] {
        if spec.get(key).is_true() && !policy.get(key).is_true() {
            e.invalid(&at.field(key), true, &format!("{name} is not allowed to be used"));
        }
    }
    for (rule, key) in [("fsGroup", "fsGroup"), ("supplementalGroups", "supplementalGroups")] {
        let ranges = policy.at(&[rule, "ranges"]);
        if !matches!(policy.at(&[rule, "rule"]).text(), "MustRunAs" | "MayRunAs") {
            continue;
        }
        let one = Value::from(vec![context.get(key).clone()]);
        let groups = if rule == "fsGroup" { &one } else { context.get(key) };
        for g in groups.items().filter(|g| g.as_int().is_some_and(|n| !in_ranges(ranges, n))) {
            let why = format!("group {} must be in the ranges: {}", g.int(), shown(ranges));
            e.invalid(&at.field(key), groups, &why);
        }
    }
    let volumes = root.field("volumes");
    let any = lists(policy, &["volumes"]).any(|v| v == "*");
    for (i, v) in spec.get("volumes").items().enumerate() {
        let kind = v.entries().map(|(k, _)| k.as_str()).find(|k| *k != "name").unwrap_or("");
        // The token's volume is a secret's in the eyes of old policies.
        let kind = if kind == "projected" { "secret" } else { kind };
        if !any && !lists(policy, &["volumes"]).any(|k| k == kind) {
            e.invalid(&volumes.index(i), kind, &format!("{kind} volumes are not allowed to be used"));
        }
    }
    for key in ["initContainers", "containers"] {
        let list = root.field(key);
        for (i, c) in spec.get(key).items().enumerate() {
            container(policy, context, c, &list.index(i), e);
        }
    }
}

fn container(policy: &Value, pod: &Value, c: &Value, at: &At<'_>, e: &mut Errors) {
    let context = c.get("securityContext");
    let root = at.field("securityContext");
    if context.get("privileged").is_true() && !policy.get("privileged").is_true() {
        e.invalid(&root.field("privileged"), true, "Privileged containers are not allowed");
    }
    if context.get("allowPrivilegeEscalation").is_true() && !policy.get("allowPrivilegeEscalation").is_true()
    {
        let why = "Allowing privilege escalation for containers is not allowed";
        e.invalid(&root.field("allowPrivilegeEscalation"), true, why);
    }
    if policy.get("readOnlyRootFilesystem").is_true()
        && context.get("readOnlyRootFilesystem").as_bool() == Some(false)
    {
        let why = "ReadOnlyRootFilesystem must be set to true";
        e.invalid(&root.field("readOnlyRootFilesystem"), false, why);
    }
    let user =
        if context.get("runAsUser").is_some() { context.get("runAsUser") } else { pod.get("runAsUser") };
    let ranges = policy.at(&["runAsUser", "ranges"]);
    match (policy.at(&["runAsUser", "rule"]).text(), user.as_int()) {
        ("MustRunAs", Some(id)) if !in_ranges(ranges, id) => {
            let why = format!("must be in the ranges: {}", shown(ranges));
            e.invalid(&root.field("runAsUser"), id, &why);
        }
        ("MustRunAsNonRoot", Some(0)) => {
            e.invalid(&root.field("runAsUser"), 0, "running with the root UID is forbidden");
        }
        ("MustRunAsNonRoot", None) if context.get("runAsNonRoot").as_bool() == Some(false) => {
            e.invalid(&root.field("runAsNonRoot"), false, "must be true");
        }
        _ => {}
    }
    let caps = root.field("capabilities");
    let allowed: Vec<&str> = lists(policy, &["allowedCapabilities", "defaultAddCapabilities"]).collect();
    for cap in context.at(&["capabilities", "add"]).items().map(Value::text) {
        if !allowed.contains(&cap) && !allowed.contains(&"*") {
            e.invalid(&caps.field("add"), cap, "capability may not be added");
        }
    }
    for cap in lists(policy, &["requiredDropCapabilities"]) {
        if !context.at(&["capabilities", "drop"]).items().any(|d| d.text() == cap) {
            e.invalid(&caps.field("drop"), cap, "required to be dropped but was not found");
        }
    }
    let ranges = policy.get("hostPorts");
    let ports = at.field("ports");
    for (i, p) in c.get("ports").items().enumerate() {
        let port = p.get("hostPort").int();
        if port != 0 && !in_ranges(ranges, port) {
            let list: Vec<String> =
                ranges.items().map(|r| format!("{}-{}", r.get("min").int(), r.get("max").int())).collect();
            let why =
                format!("Host port {port} is not allowed to be used. Allowed ports: [{}]", list.join(","));
            e.invalid(&ports.index(i).field("hostPort"), port, &why);
        }
    }
}
