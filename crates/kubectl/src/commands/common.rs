//! Flags and small pieces that several commands share.

use crate::client::{Api, PatchType};
use crate::command::Args;
use crate::cx::{Cx, Done, Event, Packet, Source};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::DryRun;
use crate::resource::Info;
use api::wire::{Body, Message, Method, Request};
use api::{Value, obj};
use sim::Instant;

/// `-f`, `-k`, `-R`
pub const FILES: &[Flag] = &[
    flag("filename", Kind::Slice, "[]", "Files or directories with the objects, or - for standard input")
        .short('f'),
    flag("kustomize", Kind::Str, "''", "Directory with a kustomization to build. Goes without -f and -R.")
        .short('k'),
    switch("recursive", "Read the directories of -f with all directories below them.").short('R'),
];

/// `-f` alone
pub const FILES_ALONE: &[Flag] = &[FILES[0]];

/// `-f`, with directories read to their bottom
pub const FILES_BELOW: &[Flag] = &[FILES[0], FILES[2].on()];

/// `-l`
pub const SELECTOR: Flag = flag(
    "selector",
    Kind::Str,
    "''",
    "Only objects whose labels meet this query. Knows '=', '==', '!=', 'in' and 'notin', as in -l key1=value1,key2!=value2,\
     key3 in (value3). All terms must hold.",
)
.short('l');

/// `--field-selector`
pub const FIELD_SELECTOR: Flag = flag(
    "field-selector",
    Kind::Str,
    "''",
    "Only objects whose fields meet this query. Knows '=', '==' and '!=', as in --field-selector key1=value1,key2=value2. \
     Each kind has a few fields that the server can look for.",
);

/// `--all`
pub const ALL: Flag = switch("all", "All objects of the named types in the namespace");

/// `-A`
pub const ALL_NAMESPACES: Flag =
    switch("all-namespaces", "Objects of all namespaces, whatever the context or --namespace says.")
        .short('A');

/// `--chunk-size`
pub const CHUNK: Flag = flag(
    "chunk-size",
    Kind::Int,
    "500",
    "Fetch long lists in pieces of so many objects. 0 fetches all at once.",
);

/// `--local`
pub const LOCAL: Flag = switch("local", "Work on the given files alone, without a server.");

/// `--save-config`
pub const SAVE_CONFIG: Flag = switch(
    "save-config",
    "Keep the object's configuration in its annotation, so that kubectl apply can go on from there later.",
);

/// `--validate`
pub const VALIDATE: Flag = flag(
    "validate",
    Kind::Str,
    "'strict'",
    "One of strict (or true), warn, ignore (or false). strict refuses objects with unknown or repeated fields, warn only \
     tells of them, ignore drops them in silence. The server checks.",
)
.alone("strict");

/// `--overrides` and `--override-type`
pub const OVERRIDES: &[Flag] = &[
    flag(
        "override-type",
        Kind::Str,
        "'merge'",
        "How --overrides changes the generated object: json, merge or strategic.",
    ),
    flag("overrides", Kind::Str, "''", "JSON that changes the generated object before it is sent."),
];

/// `--cascade`
pub const CASCADE: Flag = flag(
    "cascade",
    Kind::Str,
    "'background'",
    "One of \"background\", \"orphan\" and \"foreground\": what becomes of the objects that a deleted one owns.",
)
.alone("background");

/// How to delete what is in the way.
pub const DELETION: &[Flag] = &[
    CASCADE,
    switch(
        "force",
        "Take objects away at once, without a graceful end. What ran may go on running: be sure.",
    ),
    flag(
        "grace-period",
        Kind::Int,
        "-1",
        "Seconds for an object to end in. Negative leaves it to the object; 1 is at once; 0 needs --force.",
    ),
    flag("timeout", Kind::Duration, "0s", "How long to wait for the deletion; 0 derives it from the object."),
    switch("wait", "Return only when the objects are gone. This waits for finalizers too."),
];

/// `--field-manager` with a command's own name.
pub const fn field_manager(default: &'static str) -> Flag {
    flag("field-manager", Kind::Str, default, "Name under which the server notes which fields were set.")
}

/// The query value of `fieldValidation`.
pub fn validation(a: &Args) -> Result<&'static str, Error> {
    match a.str("validate").as_str() {
        "strict" | "true" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" | "false" => Ok("Ignore"),
        other => Err(Error::Text(format!(
            "invalid - validate option \"{other}\"; must be one of: strict (or true), warn, ignore (or false)"
        ))),
    }
}

/// The annotation in which client-side apply keeps what it applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The configuration that goes into the annotation: the object without it.
pub fn last_applied_text(v: &Value) -> String {
    let mut bare = v.clone();
    let notes = bare.slot(&["metadata", "annotations"]).map_mut();
    notes.remove(LAST_APPLIED);
    bare.to_json() + "\n"
}

/// The object with its own configuration as an annotation.
pub fn with_last_applied(v: &Value) -> Value {
    let text = last_applied_text(v);
    let mut out = v.clone();
    out.set(&["metadata", "annotations", LAST_APPLIED], text);
    out
}

/// A request that writes: the options in its query.
pub fn write(
    method: Method,
    path: impl Into<String>,
    dry: DryRun,
    manager: &str,
    validation: &str,
) -> Request {
    let mut r = Request::new(method, path).with_header("accept", "application/json");
    if dry == DryRun::Server {
        r = r.with_query("dryRun", "All");
    }
    if !manager.is_empty() {
        r = r.with_query("fieldManager", manager);
    }
    if !validation.is_empty() {
        r = r.with_query("fieldValidation", validation);
    }
    r
}

/// Creates an object; gives what the server made of it.
pub fn create(
    cx: &mut Cx<'_>,
    api: &Api,
    info: &Info,
    dry: DryRun,
    manager: &str,
    validation: &str,
) -> Done<Value> {
    let r = write(Method::Post, info.res.path(&info.namespace, ""), dry, manager, validation)
        .with_header("content-type", "application/json")
        .with_body(Body::Object(info.object.clone()));
    api.call(cx, r)
}

/// Patches an object; gives the result.
pub fn patch(
    cx: &mut Cx<'_>,
    api: &Api,
    path: &str,
    ty: PatchType,
    body: Body,
    dry: DryRun,
    manager: &str,
) -> Done<Value> {
    let r = write(Method::Patch, path, dry, manager, "")
        .with_header("content-type", ty.content_type())
        .with_body(body);
    api.call(cx, r)
}

/// Changes a live object by the patch between it and its changed copy; gives the new object. Kinds without a schema
/// get a JSON merge patch.
pub fn patch_to(
    cx: &mut Cx<'_>,
    api: &Api,
    info: &Info,
    changed: &Value,
    dry: DryRun,
    manager: &str,
) -> Done<Value> {
    let (ty, body) = difference(info, changed)?;
    patch(cx, api, &info.path(), ty, Body::Object(body), dry, manager)
}

/// Waits until an object meets a test; one that is not there is null. Gives it, or `None` when the time is over. It is
/// watched: the command's log grows with its changes, not with time.
pub fn until(
    cx: &mut Cx<'_>,
    api: &Api,
    path: &str,
    deadline: Option<Instant>,
    mut ok: impl FnMut(&Value) -> bool,
) -> Done<Option<Value>> {
    let (list, name) = path.rsplit_once('/').unwrap_or((path, ""));
    loop {
        let r = api.get(cx, path);
        let v = match cx.catch(r)? {
            Ok(v) => v,
            Err(e) if e.is_not_found() => Value::Null,
            Err(e) => return Err(e.into()),
        };
        if ok(&v) {
            return Ok(Some(v));
        }
        let mut r = Request::get(list)
            .with_query("watch", "true")
            .with_query("fieldSelector", format!("metadata.name={name}"));
        if v.is_some() {
            r = r.with_query("resourceVersion", v.at(&["metadata", "resourceVersion"]).text());
        }
        let (handle, _) = api.stream(cx, r)?;
        let mut sources = vec![Source::Stream(handle)];
        sources.extend(deadline.map(Source::Until));
        loop {
            let v = match cx.select(&sources)? {
                Event::Time => {
                    cx.close(handle)?;
                    return Ok(None);
                }
                Event::Packet(_, Some(Packet::Message(Message::Event(e)))) => match e.get("type").text() {
                    "DELETED" => Value::Null,
                    "ERROR" => break,
                    _ => e.get("object").clone(),
                },
                Event::Packet(_, None) => break,
                _ => continue,
            };
            if ok(&v) {
                cx.close(handle)?;
                return Ok(Some(v));
            }
        }
        cx.close(handle)?;
    }
}

/// The patch between a live object and its changed copy.
pub fn difference(info: &Info, changed: &Value) -> Result<(PatchType, Value), Error> {
    Ok(match info.res.type_id() {
        Some(t) => (PatchType::Strategic, api::patch::two_way(&info.object, changed, Some(t))?),
        None => (PatchType::Merge, api::patch::create_merge(&info.object, changed)),
    })
}

/// `key=value` pairs as a map; `what` words the error.
pub fn pairs(list: &[String], what: &str) -> Result<Value, Error> {
    let mut out = Value::map();
    for p in list {
        match p.split_once('=') {
            Some((k, v)) if !k.is_empty() => out.insert(k, v),
            _ => return Err(Error::Text(format!("unexpected {what} spec: {p}"))),
        }
    }
    Ok(out)
}

/// The object changed by `--overrides`.
pub fn overridden(a: &Args, v: &Value) -> Result<Value, Error> {
    let text = a.str("overrides");
    if text.is_empty() {
        return Ok(v.clone());
    }
    let changed = match a.str("override-type").as_str() {
        "merge" | "strategic" => {
            let patch = match api::parse_json(&text) {
                Ok((p @ Value::Map(_), _)) => p,
                _ => return Err(Error::text("Invalid JSON Patch")),
            };
            if a.str("override-type") == "merge" {
                Ok(api::patch::merge(v, &patch))
            } else {
                api::patch::strategic(v, &patch, crate::print::type_of(v)).map_err(Error::Text)
            }
        }
        "json" => match api::parse_json(&text) {
            Ok((p @ Value::List(_), _)) => api::patch::json_patch(v, &p).map_err(Error::Text),
            _ => Err(Error::text("Invalid JSON Patch")),
        },
        other => Err(Error::Text(format!("invalid override type: {other}"))),
    }?;
    // It is read as that type again: fields that the type has not are lost.
    match crate::print::type_of(v).map(|t| api::decode::decode(t, &changed)) {
        Some(Ok(d)) => Ok(d.value),
        _ => Ok(changed),
    }
}

/// The body of a deletion.
pub fn delete_options(grace: i64, propagation: &str, dry: DryRun) -> Value {
    let mut v = obj!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if grace >= 0 {
        v.insert("gracePeriodSeconds", grace);
    }
    if !propagation.is_empty() {
        v.insert("propagationPolicy", propagation);
    }
    if dry == DryRun::Server {
        v.insert("dryRun", vec![Value::str("All")]);
    }
    v
}

/// The value of `--cascade` as the server names it.
pub fn propagation(a: &Args) -> Result<&'static str, Error> {
    match a.str("cascade").as_str() {
        "background" | "true" => Ok("Background"),
        "orphan" | "false" => Ok("Orphan"),
        "foreground" => Ok("Foreground"),
        other => Err(Error::Text(format!(
            "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
        ))),
    }
}

/// The pod template's path in an object of a workload kind, or `None`.
pub fn template_path(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Pod" => &[],
        "ReplicationController" | "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" | "Job" => {
            &["spec", "template"]
        }
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    })
}
