//! `kubectl debug`

use super::common::patch;
use super::stream::{attach_container, pod_of};
use crate::client::{Api, PatchType};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::DryRun;
use crate::resource::{Builder, Info};
use api::wire::{Body, Method, Request};
use api::{Value, gofmt, names, obj};
use std::sync::Arc;

/// The command.
pub static COMMAND: Command = Command {
    name: "debug",
    group: Group::Troubleshooting,
    short: "Create debugging sessions for troubleshooting workloads and nodes",
    long: "Looks into what runs: puts an ephemeral container into a pod, runs a changed copy of a pod, or starts a pod on a \
           node that shares the node's namespaces and has its file system below /host.",
    usage: "debug (POD | TYPE[[.VERSION].GROUP]/NAME) [ -- COMMAND [args...] ]",
    example: "# A shell in a pod\nkubectl debug web -it --image=busybox\n\n# In a copy of the pod\nkubectl debug web -it \
              --image=busybox --copy-to=web-debug\n\n# On a node\nkubectl debug node/node-1 -it --image=busybox",
    flags: &[FLAGS],
    run: Some(run),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

const FLAGS: &[Flag] = &[
    switch("arguments-only", "What follows -- becomes the arguments instead of the command."),
    switch("attach", "Attach to the new container; so it is with --stdin, too."),
    flag("container", Kind::Str, "''", "Name of the new container.").short('c'),
    flag("copy-to", Kind::Str, "''", "Make a copy of the pod with this name."),
    flag(
        "custom",
        Kind::Str,
        "''",
        "File with a part of a container's specification to lay over the profile's.",
    ),
    flag("env", Kind::Array, "[]", "Environment of the container, NAME=VALUE."),
    flag("filename", Kind::Slice, "[]", "File that names what to debug.").short('f'),
    flag("image", Kind::Str, "''", "Image of the container."),
    flag(
        "image-pull-policy",
        Kind::Str,
        "''",
        "When the image is pulled; the server decides if it is not given.",
    ),
    switch("keep-annotations", "The copy keeps the annotations."),
    switch("keep-init-containers", "The copy keeps the init containers.").on(),
    switch("keep-labels", "The copy keeps the labels."),
    switch("keep-liveness", "The copy keeps the liveness probes."),
    switch("keep-readiness", "The copy keeps the readiness probes."),
    switch("keep-startup", "The copy keeps the startup probes."),
    flag(
        "profile",
        Kind::Str,
        "'general'",
        "What the container may do: general, baseline, restricted, netadmin or sysadmin.",
    ),
    switch("quiet", "Leave out messages.").short('q'),
    switch("replace", "Delete the pod that is copied."),
    switch("same-node", "Put the copy on the same node."),
    flag("set-image", Kind::Slice, "[]", "Images of containers of the copy, NAME=IMAGE."),
    switch("share-processes", "The containers of the copy see each other's processes.").on(),
    switch("stdin", "Keep standard input open.").short('i'),
    flag("target", Kind::Str, "''", "The container whose processes an ephemeral container sees."),
    switch("tty", "Give the container a terminal.").short('t'),
    // Not shown: upstream has no such flag.
    flag("pod-running-timeout", Kind::Duration, "1m0s", ""),
];

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// What a container is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Node,
    Copy,
    Ephemeral,
}

fn check(a: &Args) -> Done {
    let copy = !a.str("copy-to").is_empty();
    let image = a.str("image");
    let named = a.dash.map_or(!a.words.is_empty(), |n| n > 0) || !a.list("filename").is_empty();
    if !named && (copy || !image.is_empty()) {
        return fail("NAME or filename is required for debug");
    }
    if copy {
        if image.is_empty() && a.list("set-image").is_empty() && a.dash.is_none() {
            return fail("you must specify --image, --set-image or command arguments.");
        }
        if !a.str("target").is_empty() {
            return fail("--target is incompatible with --copy-to. Use --share-processes instead.");
        }
    } else {
        if image.is_empty() {
            return fail("you must specify --image when not using --copy-to.");
        }
        for f in ["replace", "same-node"] {
            if a.bool(f) {
                return fail(format!("--{f} may only be used with --copy-to."));
            }
        }
        if !a.list("set-image").is_empty() {
            return fail("--set-image may only be used with --copy-to.");
        }
    }
    if !image.is_empty() && !super::run::is_image(&image) {
        return fail(format!("invalid image name {}: invalid reference format", gofmt::quote(&image)));
    }
    let pull = a.str("image-pull-policy");
    if !matches!(pull.as_str(), "" | "Always" | "IfNotPresent" | "Never") {
        return fail(format!("invalid image pull policy: {pull}"));
    }
    if a.bool("tty") && !a.bool("stdin") {
        return fail("-i/--stdin is required for containers with -t/--tty=true");
    }
    let profile = a.str("profile");
    if !matches!(profile.as_str(), "general" | "baseline" | "restricted" | "netadmin" | "sysadmin") {
        return fail(format!("unknown profile: {profile}"));
    }
    Ok(())
}

fn suffix(cx: &mut Cx<'_>) -> Done<String> {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bits = cx.random()?;
    let mut out = String::new();
    for _ in 0..5 {
        out.push(LETTERS[(bits % LETTERS.len() as u64) as usize] as char);
        bits /= LETTERS.len() as u64;
    }
    Ok(out)
}

fn command(a: &Args) -> Vec<Value> {
    let from = a.dash.unwrap_or(1).max(1);
    a.words.iter().skip(from).map(Value::from).collect()
}

fn new_container(a: &Args, name: &str) -> Result<Value, Error> {
    let mut c = obj!({"image": a.str("image"), "name": name, "terminationMessagePolicy": "File"});
    let words = command(a);
    if !words.is_empty() {
        c.insert(if a.bool("arguments-only") { "args" } else { "command" }, words);
    }
    let mut env: Vec<Value> = Vec::new();
    for e in a.list("env") {
        match e.split_once('=') {
            Some((k, v)) if names::env_name(k).is_empty() => env.push(obj!({"name": k, "value": v})),
            _ => return Err(Error::Text(format!("invalid env: {e}"))),
        }
    }
    if !env.is_empty() {
        c.insert("env", env);
    }
    let pull = a.str("image-pull-policy");
    if !pull.is_empty() {
        c.insert("imagePullPolicy", pull);
    }
    for f in ["stdin", "tty"] {
        if a.bool(f) {
            c.insert(f, true);
        }
    }
    Ok(c)
}

/// What a profile gives the container.
fn profile(a: &Args, c: &mut Value, style: Style) {
    match (a.str("profile").as_str(), style) {
        ("general", Style::Copy | Style::Ephemeral) => {
            *c.slot(&["securityContext", "capabilities", "add"]) = obj!(["SYS_PTRACE"]);
        }
        ("restricted", _) => {
            *c.slot(&["securityContext"]) = obj!({
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"}
            });
        }
        ("netadmin", _) => {
            *c.slot(&["securityContext", "capabilities", "add"]) = obj!(["NET_ADMIN", "NET_RAW"]);
        }
        ("sysadmin", _) => *c.slot(&["securityContext", "privileged"]) = true.into(),
        _ => {}
    }
}

/// Lays the file of `--custom` over a container.
fn custom(cx: &mut Cx<'_>, a: &Args, c: &mut Value) -> Done {
    let path = a.str("custom");
    if path.is_empty() {
        return Ok(());
    }
    let data = cx.read_file(&path)?.map_err(|e| Error::Text(format!("open {path}: {e}")))?;
    let part = api::yaml::parse(&String::from_utf8_lossy(&data))
        .map_err(|e| Error::Text(format!("error unmarshalling custom profile: {e}")))?;
    let ty = api::schema::TypeId::named("io.k8s.api.core.v1.Container");
    *c = api::patch::strategic(c, &part, ty).map_err(Error::Text)?;
    Ok(())
}

fn named(cx: &mut Cx<'_>, a: &Args) -> Done<String> {
    let name = a.str("container");
    if !name.is_empty() {
        return Ok(name);
    }
    let name = format!("debugger-{}", suffix(cx)?);
    if !a.bool("quiet") {
        cx.out(format!("Defaulting debug container name to {name}.\n"));
    }
    Ok(name)
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    check(a)?;
    let api = cx.api(a)?;
    let (node, pod) = if a.list("filename").is_empty() {
        let word = a.words[0].clone();
        match word.split_once('/') {
            Some((kind, name)) => {
                let d = cx.discovery(&api)?;
                let r = d.resolve(kind)?;
                if r.kind == "Node" {
                    (Some(api.get(cx, &r.path("", name))?), Value::Null)
                } else if r.kind == "Pod" {
                    (None, api.get(cx, &r.path(&api.namespace, name))?)
                } else {
                    (None, pod_of(cx, a, &api, &word, false)?.pop().unwrap_or_default())
                }
            }
            None => (None, pod_of(cx, a, &api, &word, false)?.pop().unwrap_or_default()),
        }
    } else {
        let infos = Builder::new(a, &[]).infos(cx, &api)?;
        let first: Option<Info> = infos.into_iter().next().transpose()?;
        let v = first.map(|i| i.object).unwrap_or_default();
        if v.kind() == "Node" { (Some(v), Value::Null) } else { (None, v) }
    };
    let (made, container) = match &node {
        Some(n) => on_node(cx, a, &api, n)?,
        None if pod.kind() != "Pod" => {
            return fail(format!("{} not supported by debug", gofmt::quote(pod.kind())));
        }
        None if a.str("copy-to").is_empty() => ephemeral(cx, a, &api, &pod)?,
        None => copy(cx, a, &api, &pod)?,
    };
    let attach = if a.given("attach") { a.bool("attach") } else { a.bool("stdin") };
    if !attach || container.is_empty() {
        return Ok(());
    }
    attach_container(cx, a, &api, &made, &container)
}

fn ephemeral(cx: &mut Cx<'_>, a: &Args, api: &Arc<Api>, pod: &Value) -> Done<(Value, String)> {
    let target = a.str("target");
    if !target.is_empty() && !a.bool("quiet") {
        cx.out(format!(
            "Targeting container {}. If you don't see processes from this container it may be because the container \
             runtime doesn't support this feature.\n",
            gofmt::quote(&target)
        ));
    }
    let name = named(cx, a)?;
    let mut c = new_container(a, &name)?;
    if !target.is_empty() {
        c.insert("targetContainerName", target.as_str());
    }
    profile(a, &mut c, Style::Ephemeral);
    custom(cx, a, &mut c)?;
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
    let body = obj!({"spec": {"ephemeralContainers": [c]}});
    let sub = format!("{path}/ephemeralcontainers");
    let v = patch(cx, api, &sub, PatchType::Strategic, Body::Object(body), DryRun::None, "kubectl-debug")?;
    Ok((v, name))
}

fn copy(cx: &mut Cx<'_>, a: &Args, api: &Arc<Api>, pod: &Value) -> Done<(Value, String)> {
    let mut spec = pod.get("spec").clone();
    spec.remove(&["ephemeralContainers"]);
    if !a.bool("same-node") {
        spec.remove(&["nodeName"]);
    }
    if !a.bool("keep-init-containers") {
        spec.remove(&["initContainers"]);
    }
    if a.given("share-processes") || a.bool("share-processes") {
        spec.insert("shareProcessNamespace", a.bool("share-processes"));
    }
    let images: Vec<(String, String)> = a
        .list("set-image")
        .iter()
        .filter_map(|p| p.split_once('='))
        .map(|(n, i)| (n.to_owned(), i.to_owned()))
        .collect();
    let mut found = false;
    let wanted = a.str("container");
    for c in spec.slot(&["containers"]).list_mut() {
        for probe in ["liveness", "readiness", "startup"] {
            if !a.bool(&format!("keep-{probe}")) {
                c.remove(&[&format!("{probe}Probe")]);
            }
        }
        let name = c.get("name").text().to_owned();
        if let Some((_, image)) = images.iter().find(|(n, _)| *n == name || n == "*") {
            c.insert("image", image.as_str());
        }
        if name == wanted {
            found = true;
            if !a.str("image").is_empty() {
                c.insert("image", a.str("image"));
            }
            let words = command(a);
            if !words.is_empty() {
                c.insert(if a.bool("arguments-only") { "args" } else { "command" }, words);
            }
            for f in ["stdin", "tty"] {
                if a.bool(f) {
                    c.insert(f, true);
                }
            }
        }
    }
    let mut container = wanted.clone();
    if !found {
        if !wanted.is_empty() && a.str("image").is_empty() {
            return fail("you must specify image when creating new container");
        }
        if a.str("image").is_empty() {
            // Only images change.
            container = spec.get("containers")[0].get("name").text().to_owned();
        } else {
            container = named(cx, a)?;
            let mut c = new_container(a, &container)?;
            profile(a, &mut c, Style::Copy);
            custom(cx, a, &mut c)?;
            spec.slot(&["containers"]).list_mut().push(c);
        }
    }
    let mut meta = obj!({"name": a.str("copy-to"), "namespace": pod.namespace()});
    for (f, field) in [("keep-labels", "labels"), ("keep-annotations", "annotations")] {
        if a.bool(f) && pod.at(&["metadata", field]).is_some() {
            meta.insert(field, pod.at(&["metadata", field]).clone());
        }
    }
    let made = post(cx, api, obj!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))?;
    if a.bool("replace") {
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
        let body = super::common::delete_options(-1, "Background", DryRun::None);
        let r = Request::new(Method::Delete, path)
            .with_header("content-type", "application/json")
            .with_body(Body::Object(body));
        api.call(cx, r)?;
    }
    Ok((made, container))
}

fn on_node(cx: &mut Cx<'_>, a: &Args, api: &Arc<Api>, node: &Value) -> Done<(Value, String)> {
    let container = match a.str("container") {
        n if n.is_empty() => "debugger".to_owned(),
        n => n,
    };
    let name = format!("node-debugger-{}-{}", node.name(), suffix(cx)?);
    if !a.bool("quiet") {
        cx.out(format!(
            "Creating debugging pod {name} with container {container} on node {}.\n",
            node.name()
        ));
    }
    let mut c = new_container(a, &container)?;
    let kind = a.str("profile");
    let mut spec = obj!({
        "nodeName": node.name(), "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}]
    });
    if matches!(kind.as_str(), "general" | "sysadmin") {
        c.insert("volumeMounts", obj!([{"mountPath": "/host", "name": "host-root"}]));
        spec.insert("volumes", obj!([{"hostPath": {"path": "/"}, "name": "host-root"}]));
    }
    if matches!(kind.as_str(), "general" | "sysadmin" | "netadmin") {
        for f in ["hostNetwork", "hostPID", "hostIPC"] {
            spec.insert(f, true);
        }
    }
    profile(a, &mut c, Style::Node);
    custom(cx, a, &mut c)?;
    spec.insert("containers", vec![c]);
    let meta = obj!({
        "name": name, "namespace": &api.namespace, "labels": {"app.kubernetes.io/managed-by": "kubectl-debug"}
    });
    let made = post(cx, api, obj!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))?;
    Ok((made, container))
}

fn post(cx: &mut Cx<'_>, api: &Api, v: Value) -> Done<Value> {
    let r = Request::new(Method::Post, format!("/api/v1/namespaces/{}/pods", v.namespace()))
        .with_query("fieldManager", "kubectl-debug")
        .with_header("content-type", "application/json")
        .with_body(Body::Object(v));
    api.call(cx, r)
}
