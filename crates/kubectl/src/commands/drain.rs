//! `kubectl drain`. Models: `kubectl/pkg/drain`.

use super::common::{CHUNK, SELECTOR, delete_options};
use super::nodes::{nodes, set_cordon};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{DRY_RUN, DryRun, dry_run, dry_run_suffix};
use crate::resource::{Info, list_items};
use api::selector::Selector;
use api::wire::{Body, Method, Request};
use api::{Value, gofmt, obj};

const FLAGS: &[Flag] = &[
    CHUNK,
    DRY_RUN,
    SELECTOR,
    switch("delete-emptydir-data", "Go on even if pods use emptyDir: their data are lost with them."),
    switch("disable-eviction", "Delete pods instead of evicting them: disruption budgets do not count then."),
    switch("force", "Take pods too that no controller owns."),
    flag("grace-period", Kind::Int, "-1", "Seconds for pods to end in. Negative leaves it to each pod."),
    switch("ignore-daemonsets", "Leave pods of daemon sets alone."),
    flag("pod-selector", Kind::Str, "''", "Only pods whose labels meet this query"),
    flag(
        "skip-wait-for-delete-timeout",
        Kind::Int,
        "0",
        "Do not wait for pods that have been ending for so many seconds; 0 waits.",
    ),
    flag("timeout", Kind::Duration, "0s", "How long to wait before giving up, zero is for ever"),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "drain",
    group: Group::Cluster,
    short: "Drain node in preparation for maintenance",
    long: "Cordons a node and moves its pods away, as for maintenance. Pods are evicted, so that disruption budgets hold. Pods \
           of daemon sets, pods without a controller and pods with emptyDir data are in the way unless flags say what to do with \
           them; mirror pods stay.\n\n When the node is back, 'kubectl uncordon' lets it have pods again.",
    usage: "drain NODE",
    example: "# One node, without the daemon sets' pods\nkubectl drain node-1 --ignore-daemonsets",
    flags: &[FLAGS],
    run: Some(run),
    complete: Some(complete::nodes),
    ..Command::EMPTY
};

/// What is wrong with pods that are in the way, and what flags do about it.
const DAEMON_ERROR: &str = "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
const DAEMON_WARNING: &str = "ignoring DaemonSet-managed Pods";
const BARE_ERROR: &str = "cannot delete Pods that declare no controller (use --force to override)";
const BARE_WARNING: &str = "deleting Pods that declare no controller";
const LOCAL_ERROR: &str = "cannot delete Pods with local storage (use --delete-emptydir-data to override)";
const LOCAL_WARNING: &str = "deleting Pods with local storage";

#[derive(Default)]
struct Sorted {
    pods: Vec<Value>,
    errors: Vec<(&'static str, Vec<String>)>,
    warnings: Vec<(&'static str, Vec<String>)>,
}

fn note(list: &mut Vec<(&'static str, Vec<String>)>, why: &'static str, pod: &Value) {
    let name = format!("{}/{}", pod.namespace(), pod.name());
    match list.iter_mut().find(|(w, _)| *w == why) {
        Some((_, pods)) => pods.push(name),
        None => list.push((why, vec![name])),
    }
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let dry = dry_run(cx, a)?;
    let selector = a.str("pod-selector");
    if Selector::parse(&selector).is_err() {
        return Err(Error::text("--pod-selector=<pod_selector> must be a valid label selector").into());
    }
    let api = cx.api(a)?;
    let mut infos = Vec::new();
    for i in nodes(cx, a, &api)? {
        infos.push(i?);
    }
    for i in &infos {
        set_cordon(cx, &api, i, true, dry)?;
    }
    let mut failed: Vec<(String, Vec<String>)> = Vec::new();
    for i in &infos {
        match drain_one(cx, a, &api, i, dry)? {
            Ok(()) => cx.out(format!("node/{} drained{}\n", i.name, dry_run_suffix(dry))),
            Err(why) => {
                let text = if why.len() == 1 { why[0].clone() } else { format!("[{}]", why.join(", ")) };
                cx.err(format!(
                    "error: unable to drain node {} due to error: {text}, continuing command...\n",
                    gofmt::quote(&i.name)
                ));
                failed.push((i.name.clone(), why));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    cx.err("There are pending nodes to be drained:\n");
    for (name, _) in &failed {
        cx.err(format!(" {name}\n"));
    }
    let all: Vec<String> = failed.into_iter().flat_map(|(_, why)| why).collect();
    let text = match all.as_slice() {
        [one] => one.clone(),
        many => many.join("\n"),
    };
    Err(Error::Plain(text).into())
}

fn drain_one(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    node: &Info,
    dry: DryRun,
) -> Done<Result<(), Vec<String>>> {
    let mut r =
        Request::get("/api/v1/pods").with_query("fieldSelector", format!("spec.nodeName={}", node.name));
    let selector = a.str("pod-selector");
    if !selector.is_empty() {
        r = r.with_query("labelSelector", selector);
    }
    let pods = list_items(&api.call(cx, r)?);
    let mut sorted = Sorted::default();
    for p in pods {
        sort(cx, a, api, p, &mut sorted)?;
    }
    let told = |l: &[(&'static str, Vec<String>)]| -> Vec<String> {
        l.iter().map(|(w, p)| format!("{w}: {}", p.join(", "))).collect()
    };
    if !sorted.errors.is_empty() {
        return Ok(Err(told(&sorted.errors)));
    }
    if !sorted.warnings.is_empty() {
        cx.err(format!("Warning: {}\n", told(&sorted.warnings).join("; ")));
    }
    evict(cx, a, api, &sorted.pods, dry)
}

fn sort(cx: &mut Cx<'_>, a: &Args, api: &Api, p: Value, out: &mut Sorted) -> Done {
    if p.annotations().get("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let owner = p.controller_ref().clone();
    let ended = matches!(p.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
    let skip = a.int("skip-wait-for-delete-timeout");
    if skip > 0 && p.is_terminating() {
        let now = cx.civil()?.unix();
        let since =
            sim::Civil::parse(p.at(&["metadata", "deletionTimestamp"]).text()).map_or(now, |t| t.unix());
        if now - since > skip {
            return Ok(());
        }
    }
    if owner.get("kind").text() == "DaemonSet" && !ended {
        let path =
            format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", p.namespace(), owner.get("name").text());
        let r = api.get(cx, &path);
        let there = cx.catch(r)?.is_ok();
        if there {
            if a.bool("ignore-daemonsets") {
                note(&mut out.warnings, DAEMON_WARNING, &p);
            } else {
                note(&mut out.errors, DAEMON_ERROR, &p);
            }
            return Ok(());
        }
    }
    let local = p.at(&["spec", "volumes"]).items().any(|v| v.get("emptyDir").is_some());
    if local && !ended {
        if !a.bool("delete-emptydir-data") {
            note(&mut out.errors, LOCAL_ERROR, &p);
            return Ok(());
        }
        if owner.is_some() {
            note(&mut out.warnings, LOCAL_WARNING, &p);
        }
    }
    if owner.is_null() && !ended {
        if !a.bool("force") {
            note(&mut out.errors, BARE_ERROR, &p);
            return Ok(());
        }
        note(&mut out.warnings, BARE_WARNING, &p);
    }
    out.pods.push(p);
    Ok(())
}

fn evict(cx: &mut Cx<'_>, a: &Args, api: &Api, pods: &[Value], dry: DryRun) -> Done<Result<(), Vec<String>>> {
    let deleting = a.bool("disable-eviction");
    let verb = if deleting { "deleting" } else { "evicting" };
    let limit = a.duration("timeout").unsigned_abs();
    let deadline = if limit == 0 { None } else { Some(cx.now()? + core::time::Duration::from_nanos(limit)) };
    let grace = a.int("grace-period");
    let mut waiting: Vec<&Value> = Vec::new();
    for p in pods {
        cx.out(format!("{verb} pod {}/{}{}\n", p.namespace(), p.name(), dry_run_suffix(dry)));
        if dry == DryRun::Client {
            continue;
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", p.namespace(), p.name());
        // A budget that is used up is asked again and again.
        for _ in 0..10_000 {
            let mut options = delete_options(grace, "", dry);
            options.set(&["preconditions", "uid"], p.uid());
            let r = if deleting {
                Request::new(Method::Delete, path.as_str()).with_body(Body::Object(options))
            } else {
                let body = obj!({
                    "apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": {"name": p.name(), "namespace": p.namespace()}, "deleteOptions": options
                });
                Request::new(Method::Post, format!("{path}/eviction")).with_body(Body::Object(body))
            };
            let r = api.call(cx, r.with_header("content-type", "application/json"));
            match cx.catch(r)? {
                Ok(_) => {
                    if dry == DryRun::None {
                        waiting.push(p);
                    }
                    break;
                }
                Err(e) if e.is_not_found() => {
                    if dry == DryRun::None {
                        waiting.push(p);
                    }
                    break;
                }
                Err(e) if e.reason() == "TooManyRequests" => {
                    let name = gofmt::quote(p.name());
                    cx.err(format!(
                        "error when evicting pods/{name} -n {} (will retry after 5s): {}\n",
                        gofmt::quote(p.namespace()),
                        e.message()
                    ));
                    let next = cx.now()? + core::time::Duration::from_secs(5);
                    if deadline.is_some_and(|d| next >= d) {
                        return Ok(Err(vec![format!(
                            "error when evicting pods/{name} -n {}: global timeout reached: {}",
                            gofmt::quote(p.namespace()),
                            api::duration::print(a.duration("timeout"))
                        )]));
                    }
                    cx.sleep_until(next)?;
                    cx.out(format!("evicting pod {}/{}\n", p.namespace(), p.name()));
                }
                Err(e) => {
                    return Ok(Err(vec![format!(
                        "error when evicting pods/{} -n {}: {}",
                        gofmt::quote(p.name()),
                        gofmt::quote(p.namespace()),
                        e.message()
                    )]));
                }
            }
        }
    }
    gone(cx, a, api, waiting, if deleting { "deleted" } else { "evicted" }, deadline)
}

fn gone(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    mut waiting: Vec<&Value>,
    word: &str,
    deadline: Option<sim::Instant>,
) -> Done<Result<(), Vec<String>>> {
    while !waiting.is_empty() {
        let mut left = Vec::new();
        for p in waiting {
            let r = api.get(cx, &format!("/api/v1/namespaces/{}/pods/{}", p.namespace(), p.name()));
            match cx.catch(r)? {
                Ok(v) if v.uid() == p.uid() => left.push(p),
                Ok(_) => cx.out(format!("pod/{} {word}\n", p.name())),
                Err(e) if e.is_not_found() => cx.out(format!("pod/{} {word}\n", p.name())),
                Err(e) => return Err(e.into()),
            }
        }
        if left.is_empty() {
            break;
        }
        if let Some(d) = deadline
            && cx.now()? >= d
        {
            return Ok(Err(vec![format!(
                "drain did not complete within {}",
                api::duration::print(a.duration("timeout"))
            )]));
        }
        cx.sleep(core::time::Duration::from_secs(1))?;
        waiting = left;
    }
    Ok(Ok(()))
}
