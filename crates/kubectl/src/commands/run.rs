//! `kubectl run`

use super::common::{
    DELETION, FILES, OVERRIDES, SAVE_CONFIG, create, field_manager, overridden, with_last_applied,
};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, DRY_RUN, DryRun, Printer, dry_run};
use crate::resource::Info;
use api::{Value, names, obj};

const FLAGS: &[Flag] = &[
    DRY_RUN,
    SAVE_CONFIG,
    field_manager("'kubectl-run'"),
    flag("annotations", Kind::Array, "[]", "Annotations of the pod."),
    switch(
        "attach",
        "Wait until the pod runs, then attach to it. On by itself with -i. With --restart=Never the exit code is the \
             container's.",
    ),
    switch("command", "Take the words behind -- as the container's command instead of its arguments."),
    flag("detach-keys", Kind::Str, "'ctrl-p,ctrl-q'", "Keys that detach from the container."),
    flag("env", Kind::Array, "[]", "Environment variables of the container."),
    switch("expose", "Make a ClusterIP service for the pod too. Needs --port."),
    flag("image", Kind::Str, "''", "Image of the container."),
    flag("image-pull-policy", Kind::Str, "''", "When to pull the image; empty leaves it to the server."),
    flag("labels", Kind::Str, "''", "Labels of the pod, with commas between, instead of run=NAME.")
        .short('l'),
    switch("leave-stdin-open", "Keep standard input open after the first attach."),
    flag("pod-running-timeout", Kind::Duration, "1m0s", "How long to wait until the pod runs"),
    flag("port", Kind::Str, "''", "Port that the container listens on."),
    switch("privileged", "Run the container privileged."),
    switch("quiet", "Leave out what only explains.").short('q'),
    flag("restart", Kind::Str, "'Always'", "Restart policy of the pod: Always, OnFailure or Never."),
    switch("rm", "Delete the pod when it ends. Only when attached."),
    switch("stdin", "Keep the container's standard input open.").short('i'),
    switch("tty", "Give the container a terminal.").short('t'),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "run",
    group: Group::Beginner,
    short: "Run a particular image on the cluster",
    long: "Makes a pod that runs an image.",
    usage: "run NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--overrides=inline-json] \
            [--command] -- [COMMAND] [args...]",
    example: "# A web server\nkubectl run web --image=nginx --port=80\n\n# A shell, gone afterwards\nkubectl run -it --rm box \
              --image=busybox --restart=Never -- sh\n\n# Only see what would be made\nkubectl run web --image=nginx \
              --dry-run=client -o yaml",
    flags: &[FLAGS, OVERRIDES, DELETION, FILES, print::FLAGS],
    required: &["image"],
    run: Some(run),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// Whether a text can name an image.
pub fn is_image(s: &str) -> bool {
    let (name, digest) = s.split_once('@').map_or((s, None), |(n, d)| (n, Some(d)));
    let slash = name.rfind('/').map_or(0, |i| i + 1);
    let (path, tag) = match name[slash..].split_once(':') {
        Some((_, t)) => (&name[..name.len() - t.len() - 1], Some(t)),
        None => (name, None),
    };
    let tag_ok = tag.is_none_or(|t| {
        !t.is_empty() && t.len() <= 128 && t.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
    });
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c))
            && !p.starts_with(['.', '_', '-'])
            && !p.ends_with(['.', '_', '-'])
    };
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or("");
    let is_host = path.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let first_ok = if is_host { !first.is_empty() } else { part(first) };
    tag_ok && first_ok && parts.all(part) && digest.is_none_or(|d| d.contains(':'))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let dry = dry_run(cx, a)?;
    let before = a.dash.unwrap_or(a.words.len());
    if before == 0 {
        return Err(a.usage("NAME is required for run"));
    }
    let image = a.str("image");
    if image.is_empty() {
        return fail("--image is required");
    }
    if !is_image(&image) {
        return fail(format!("Invalid image name {}: invalid reference format", api::gofmt::quote(&image)));
    }
    let interactive = a.bool("stdin");
    let tty = a.bool("tty");
    if tty && !interactive {
        return Err(a.usage("-i/--stdin is required for containers with -t/--tty=true"));
    }
    if a.bool("expose") && a.str("port").is_empty() {
        return Err(a.usage("--port must be set when exposing a service"));
    }
    let attach = if a.given("attach") { a.bool("attach") } else { interactive };
    let restart = a.str("restart");
    if !["Always", "OnFailure", "Never", ""].contains(&restart.as_str()) {
        return Err(a.usage(format!("invalid restart policy: {restart}")));
    }
    let remove = a.bool("rm");
    if attach && dry != DryRun::None {
        return Err(a.usage(
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)",
        ));
    }
    if remove && !attach {
        return Err(a.usage("--rm should only be used for attached containers"));
    }
    let pull = a.str("image-pull-policy");
    if !["", "Always", "IfNotPresent", "Never"].contains(&pull.as_str()) {
        return Err(a.usage(format!("invalid image pull policy: {pull}")));
    }
    let mut printer = print::result_printer(cx, a, "created", dry)?;
    let api = cx.api(a)?;
    let pod = pod(a, &a.words[0], &image)?;
    let pod = overridden(a, &pod)?;
    let keep = a.bool("show-managed-fields");
    let made = make(cx, a, &api, pod, "pods", dry)?;
    if a.bool("expose") {
        let service = service(a, &a.words[0])?;
        let service = make(cx, a, &api, service, "services", dry)?;
        printer.print_typed(cx, &service, keep)?;
        if a.str("output") == "yaml" {
            cx.out("---\n");
        }
    }
    if attach {
        return super::stream::attach_to_new(cx, a, &api, &made, remove);
    }
    if matches!(printer, Printer::Name { .. }) || dry != DryRun::None || a.given("output") {
        printer.print_typed(cx, &made, keep)?;
    }
    Ok(())
}

/// Sends an object, or gives it back in a dry run of the client.
fn make(cx: &mut Cx<'_>, a: &Args, api: &Api, mut v: Value, plural: &str, dry: DryRun) -> Done<Value> {
    if api.namespace_given {
        v.set(&["metadata", "namespace"], api.namespace.as_str());
    }
    if a.bool("save-config") {
        v = with_last_applied(&v);
    }
    if dry == DryRun::Client {
        return Ok(v);
    }
    let d = cx.discovery(api)?;
    let Some(res) = d.resource("", plural) else {
        return fail(format!("the server doesn't have a resource type {plural:?}"));
    };
    let info = Info {
        res,
        namespace: api.namespace.clone(),
        name: v.name().into(),
        source: String::new(),
        object: v,
    };
    create(cx, api, &info, dry, &a.str("field-manager"), "")
}

fn labels(a: &Args, name: &str) -> Result<Value, Error> {
    match a.str("labels") {
        l if l.is_empty() => Ok(obj!({"run": name})),
        l => super::common::pairs(&l.split(',').map(str::to_owned).collect::<Vec<_>>(), "label"),
    }
}

fn pod(a: &Args, name: &str, image: &str) -> Result<Value, Error> {
    let mut c = obj!({"image": image, "name": name, "resources": {}});
    let from = a.dash.unwrap_or(1).max(1);
    let words: Vec<Value> = a.words.iter().skip(from).map(Value::from).collect();
    if !words.is_empty() {
        c.insert(if a.bool("command") { "command" } else { "args" }, words);
    }
    let mut env: Vec<Value> = Vec::new();
    for e in a.list("env") {
        match e.split_once('=') {
            Some((k, v)) if !k.is_empty() && names::env_name(k).is_empty() => {
                env.push(obj!({"name": k, "value": v}));
            }
            _ => return Err(Error::Text(format!("invalid env: {e}"))),
        }
    }
    if !env.is_empty() {
        c.insert("env", env);
    }
    let port = a.str("port");
    if !port.is_empty() {
        let n: i64 = port.parse().map_err(|_| {
            Error::Text(format!("strconv.Atoi: parsing {}: invalid syntax", api::gofmt::quote(&port)))
        })?;
        c.insert("ports", vec![obj!({"containerPort": n})]);
    }
    let pull = a.str("image-pull-policy");
    if !pull.is_empty() {
        c.insert("imagePullPolicy", pull);
    }
    if a.bool("stdin") {
        c.insert("stdin", true);
        if !a.bool("leave-stdin-open") {
            c.insert("stdinOnce", true);
        }
    }
    if a.bool("tty") {
        c.insert("tty", true);
    }
    if a.bool("privileged") {
        c.insert("securityContext", obj!({"privileged": true}));
    }
    let restart = match a.str("restart") {
        r if r.is_empty() => "Always".to_owned(),
        r => r,
    };
    let mut v = obj!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels(a, name)?},
        "spec": {"containers": [c], "dnsPolicy": "ClusterFirst", "restartPolicy": restart}, "status": {}
    });
    let notes = a.list("annotations");
    if !notes.is_empty() {
        v.set(&["metadata", "annotations"], super::common::pairs(notes, "annotation")?);
    }
    Ok(v)
}

fn service(a: &Args, name: &str) -> Result<Value, Error> {
    let port: i64 = a.str("port").parse().unwrap_or(0);
    Ok(obj!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": labels(a, name)?},
        "status": {"loadBalancer": {}}
    }))
}
