//! `kubectl rollout`

use super::common::{FILES, LAST_APPLIED, SELECTOR, field_manager, patch, patch_to};
use crate::client::{Api, PatchType};
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::describe::{self, W};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::print::{self, DRY_RUN, DryRun, dry_run, dry_run_suffix};
use crate::resource::{Builder, Info, each, list_items};
use crate::tabwriter::TabWriter;
use crate::tasks::Task;
use crate::{complete, discovery::Resource};
use api::selector::Selector;
use api::wire::{Body, Message, Request};
use api::{Value, gofmt, obj};
use sim::Instant;
use std::sync::Arc;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";
const HASH: &str = "pod-template-hash";

/// The command.
pub static COMMAND: Command = Command {
    name: "rollout",
    group: Group::Deploy,
    short: "Manage the rollout of a resource",
    long: "Manages the rollout of deployments, daemon sets and stateful sets.",
    usage: "rollout SUBCOMMAND",
    example: "# Back to the last revision\nkubectl rollout undo deployment/web\n\n# How far it is\nkubectl rollout status \
              deployment/web\n\n# New pods of the same template\nkubectl rollout restart deployment/web",
    subs: &[&HISTORY, &PAUSE, &RESTART, &RESUME, &STATUS, &UNDO],
    ..Command::EMPTY
};

static HISTORY: Command = Command {
    name: "history",
    short: "View rollout history",
    long: "Shows earlier revisions of a rollout.",
    usage: "history (TYPE NAME | TYPE/NAME) [flags]",
    example: "# All revisions\nkubectl rollout history deployment/web\n\n# One in full\nkubectl rollout history deployment/web \
              --revision=2",
    flags: &[
        &[SELECTOR, flag("revision", Kind::Int, "0", "Show this revision with its pod template")],
        FILES,
        print::FLAGS,
    ],
    run: Some(history),
    complete: Some(complete::workloads),
    ..Command::EMPTY
};

static PAUSE: Command = Command {
    name: "pause",
    short: "Mark the provided resource as paused",
    long: "Marks a deployment as paused: its controller leaves it alone until it is resumed.",
    usage: "pause RESOURCE",
    example: "# No rollout on the next changes\nkubectl rollout pause deployment/web",
    flags: &[&[SELECTOR, field_manager("'kubectl-rollout'")], FILES, print::FLAGS],
    run: Some(|cx, a| change(cx, a, Change::Pause)),
    complete: Some(complete::workloads),
    ..Command::EMPTY
};

static RESUME: Command = Command {
    name: "resume",
    short: "Resume a paused resource",
    long: "Lets the controller of a paused deployment go on.",
    usage: "resume RESOURCE",
    example: "# Go on\nkubectl rollout resume deployment/web",
    flags: &[&[SELECTOR, field_manager("'kubectl-rollout'")], FILES, print::FLAGS],
    run: Some(|cx, a| change(cx, a, Change::Resume)),
    complete: Some(complete::workloads),
    ..Command::EMPTY
};

static RESTART: Command = Command {
    name: "restart",
    short: "Restart a resource",
    long: "Rolls out new pods of the same template.",
    usage: "restart RESOURCE",
    example: "# One deployment\nkubectl rollout restart deployment/web\n\n# All with a label\nkubectl rollout restart deployment \
              --selector=app=web",
    flags: &[&[SELECTOR, field_manager("'kubectl-rollout'")], FILES, print::FLAGS],
    run: Some(|cx, a| change(cx, a, Change::Restart)),
    complete: Some(complete::workloads),
    ..Command::EMPTY
};

static STATUS: Command = Command {
    name: "status",
    short: "Show the status of the rollout",
    long: "Watches the latest rollout until it is done. --watch=false only looks once, --revision insists on one revision.",
    usage: "status (TYPE NAME | TYPE/NAME) [flags]",
    example: "# Until it is done\nkubectl rollout status deployment/web",
    flags: &[
        &[
            SELECTOR,
            flag("revision", Kind::Int, "0", "Only this revision; 0 is the latest."),
            flag("timeout", Kind::Duration, "0s", "How long to watch; 0 is for ever."),
            switch("watch", "Watch until the rollout is done.").short('w').on(),
        ],
        FILES,
    ],
    run: Some(status),
    complete: Some(complete::workloads),
    ..Command::EMPTY
};

static UNDO: Command = Command {
    name: "undo",
    short: "Undo a previous rollout",
    long: "Rolls back to an earlier revision.",
    usage: "undo (TYPE NAME | TYPE/NAME) [flags]",
    example: "# To the last one\nkubectl rollout undo deployment/web\n\n# To a certain one\nkubectl rollout undo deployment/web \
              --to-revision=3",
    flags: &[
        &[
            DRY_RUN,
            SELECTOR,
            flag("to-revision", Kind::Int, "0", "Revision to go back to; 0 is the last one."),
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(undo),
    complete: Some(complete::workloads),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

fn infos(cx: &mut Cx<'_>, a: &Args, api: &Api) -> Done<Vec<Result<Info, Error>>> {
    let b = Builder::new(a, &a.words).allow_empty_selector();
    if a.words.is_empty() && !b.has_files() {
        return fail("required resource not specified");
    }
    b.infos(cx, api)
}

/// A revision in an object's history.
struct Revision {
    number: i64,
    cause: String,
    template: Value,
    /// The ReplicaSet or ControllerRevision.
    object: Value,
    /// What `-o` prints of it.
    shown: Value,
}

fn owned(list: &Value, owner: &Value) -> Vec<Value> {
    list_items(list).into_iter().filter(|v| v.controller_ref().get("uid").text() == owner.uid()).collect()
}

/// The history of a workload, oldest first.
fn revisions(cx: &mut Cx<'_>, api: &Api, i: &Info) -> Done<Vec<Revision>> {
    let ns = &i.namespace;
    let deployment = i.res.kind == "Deployment";
    let plural = if deployment { "replicasets" } else { "controllerrevisions" };
    let selector = Selector::of(i.object.at(&["spec", "selector"]))?;
    let r = Request::get(format!("/apis/apps/v1/namespaces/{ns}/{plural}"))
        .with_query("labelSelector", selector.to_string());
    let list = api.call(cx, r)?;
    let mut out: Vec<Revision> = Vec::new();
    for v in owned(&list, &i.object) {
        let (number, template, shown) = if deployment {
            let n = v.annotations().get(REVISION).text().parse().unwrap_or(0);
            (n, v.at(&["spec", "template"]).clone(), v.clone())
        } else {
            let patched =
                api::patch::strategic(&i.object, v.get("data"), i.res.type_id()).unwrap_or_default();
            (v.get("revision").int(), patched.at(&["spec", "template"]).clone(), patched)
        };
        let cause = v.annotations().get(CAUSE).text().to_owned();
        out.push(Revision { number, cause, template, object: v, shown });
    }
    out.sort_by_key(|r| r.number);
    Ok(out)
}

fn template_text(template: &Value) -> String {
    let mut w = W::new();
    describe::template::pod_template(&mut w, template);
    w.raw()
}

fn history(cx: &mut Cx<'_>, a: &Args) -> Done {
    if a.int("revision") < 0 {
        return fail("revision must be a positive integer: ".to_owned() + &a.int("revision").to_string());
    }
    let printer = print::requested(cx, a, false)?;
    let api = cx.api(a)?;
    let infos = infos(cx, a, &api)?;
    let wanted = a.int("revision");
    let mut printer = printer;
    each(cx, infos, |cx, i| {
        if !matches!(i.res.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
            return fail(format!(
                "error retrieving history for {}, no visitor method exists for {{{} {}}}",
                gofmt::quote(&i.res.kind),
                i.res.group,
                i.res.kind
            ));
        }
        let all = revisions(cx, &api, &i)?;
        if let Some(p) = &mut printer {
            for r in all.iter().filter(|r| wanted == 0 || r.number == wanted) {
                p.print(cx, &r.shown, a.bool("show-managed-fields"))?;
            }
            return Ok(());
        }
        let (with, text) = if wanted > 0 {
            let Some(r) = all.iter().find(|r| r.number == wanted) else {
                return fail("unable to find the specified revision");
            };
            let mut template = r.template.clone();
            if !r.cause.is_empty() && i.res.kind == "Deployment" {
                template.set(&["metadata", "annotations", CAUSE], r.cause.as_str());
            }
            (format!("with revision #{wanted}"), template_text(&template))
        } else if all.is_empty() {
            (String::new(), "No rollout history found.".to_owned())
        } else {
            let mut w = TabWriter::describe();
            w.write("REVISION\tCHANGE-CAUSE\n");
            for r in &all {
                let cause = if r.cause.is_empty() { "<none>" } else { &r.cause };
                w.write(&format!("{}\t{cause}\n", r.number));
            }
            (String::new(), w.finish())
        };
        cx.out(format!("{} {with}\n{text}\n", i.label()));
        Ok(())
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Pause,
    Resume,
    Restart,
}

fn change(cx: &mut Cx<'_>, a: &Args, what: Change) -> Done {
    let (done, doing) = match what {
        Change::Pause => ("paused", "pausing"),
        Change::Resume => ("resumed", "resuming"),
        Change::Restart => ("restarted", "restarting"),
    };
    let mut printer = print::result_printer(cx, a, done, DryRun::None)?;
    let api = cx.api(a)?;
    let infos = infos(cx, a, &api)?;
    if infos.is_empty() {
        cx.err(format!("No resources found in {} namespace.\n", api.namespace));
        return Ok(());
    }
    each(cx, infos, |cx, i| {
        let mut v = i.object.clone();
        let named = format!("{} {}", i.res.qualified(), gofmt::quote(&i.name));
        let paused = v.at(&["spec", "paused"]).is_true();
        match (what, i.res.kind.as_str()) {
            (Change::Pause, "Deployment") if paused => return fail(format!("{named} is already paused")),
            (Change::Resume, "Deployment") if !paused => return fail(format!("{named} is not paused")),
            (Change::Pause, "Deployment") => v.set(&["spec", "paused"], true),
            (Change::Resume, "Deployment") => {
                v.remove(&["spec", "paused"]);
            }
            (Change::Restart, "Deployment" | "DaemonSet" | "StatefulSet") => {
                if paused {
                    return fail(format!(
                        "{named} can't restart paused deployment (run rollout resume first)"
                    ));
                }
                let now = cx.civil()?.rfc3339();
                let path =
                    ["spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"];
                if v.at(&path).text() == now {
                    return fail(format!(
                        "{named} failed to create patch: if restart has already been triggered within the past second, \
                         please wait before attempting to trigger another"
                    ));
                }
                v.set(&path, now);
            }
            _ => return fail(format!("{named} {doing} is not supported")),
        }
        let r = patch_to(cx, &api, &i, &v, DryRun::None, &a.str("field-manager"));
        let v = cx.catch(r)?.map_err(|e| Error::Text(format!("failed to patch: {}", e.message())))?;
        printer.print(cx, &v, a.bool("show-managed-fields"))
    })
}

fn undo(cx: &mut Cx<'_>, a: &Args) -> Done {
    let to = a.int("to-revision");
    if to < 0 {
        return fail(format!("revision must be a positive integer: {to}"));
    }
    let dry = dry_run(cx, a)?;
    let api = cx.api(a)?;
    let infos = infos(cx, a, &api)?;
    each(cx, infos, |cx, i| {
        if !matches!(i.res.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
            return fail(format!(
                "error retrieving rollbacker for {}, no visitor method exists for {{{} {}}}",
                gofmt::quote(&i.res.kind),
                i.res.group,
                i.res.kind
            ));
        }
        if i.object.annotations().get(LAST_APPLIED).is_some() {
            cx.err(format!(
                "Warning: resource {}/{} was previously managed with 'kubectl apply'. Rolling back will not update the \
                 {LAST_APPLIED} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. \
                 Consider using 'kubectl apply' with your previous configuration file instead.\n",
                i.res.name, i.name
            ));
        }
        let result = roll_back(cx, &api, &i, to, dry)?;
        cx.out(format!("{} {result}{}\n", i.label(), dry_run_suffix(dry)));
        Ok(())
    })
}

/// Rolls back one object; gives what happened.
fn roll_back(cx: &mut Cx<'_>, api: &Api, i: &Info, to: i64, dry: DryRun) -> Done<String> {
    let all = revisions(cx, api, i)?;
    let deployment = i.res.kind == "Deployment";
    let target = if to == 0 {
        match all.len() {
            0 | 1 if deployment => {
                return fail(format!("no rollout history found for deployment {}", gofmt::quote(&i.name)));
            }
            0 | 1 => return fail("no last revision to roll back to"),
            n => &all[n - 2],
        }
    } else {
        match all.iter().find(|r| r.number == to) {
            Some(r) => r,
            None => return fail(format!("unable to find specified revision {to} in history")),
        }
    };
    if dry == DryRun::Client {
        let to = if deployment { "" } else { "will roll back to " };
        return Ok(format!("{to}{}", template_text(&target.template)));
    }
    let bare = |t: &Value| {
        let mut t = t.clone();
        t.remove(&["metadata", "labels", HASH]);
        t
    };
    if deployment && i.object.at(&["spec", "paused"]).is_true() {
        return fail(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again",
        );
    }
    if bare(&target.template) == bare(i.object.at(&["spec", "template"])) {
        return Ok(format!("skipped rollback (current template already matches revision {})", target.number));
    }
    let (ty, body) = if deployment {
        (PatchType::Json, deployment_patch(&i.object, target, bare(&target.template)))
    } else {
        (PatchType::Strategic, target.object.get("data").clone())
    };
    let r = patch(cx, api, &i.path(), ty, Body::Object(body), dry, "");
    cx.catch(r)?.map_err(|e| Error::Text(format!("failed restoring revision {to}: {}", e.message())))?;
    Ok("rolled back".into())
}

fn deployment_patch(live: &Value, target: &Revision, template: Value) -> Value {
    const SKIP: [&str; 6] = [
        LAST_APPLIED,
        REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deprecated.deployment.rollback.to",
    ];
    let mut notes = Value::map();
    for (k, v) in live.annotations().entries().filter(|(k, _)| SKIP.contains(&k.as_str())) {
        notes.insert(k, v);
    }
    for (k, v) in target.object.annotations().entries().filter(|(k, _)| !SKIP.contains(&k.as_str())) {
        notes.insert(k, v);
    }
    obj!([
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": "/metadata/annotations", "value": notes}
    ])
}

/// Watches rollouts, one after the other.
#[derive(Clone, Debug)]
pub struct Status {
    api: Arc<Api>,
    queue: Vec<(Arc<Resource>, String, String)>,
    revision: i64,
    deadline: Option<Instant>,
    handle: Option<Handle>,
}

fn status(cx: &mut Cx<'_>, a: &Args) -> Done {
    if a.int("revision") < 0 {
        return fail(format!("revision must be a positive integer: {}", a.int("revision")));
    }
    let api = cx.api(a)?;
    let mut queue = Vec::new();
    for i in infos(cx, a, &api)? {
        let i = i?;
        if !matches!(i.res.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
            return fail(format!("no status viewer has been implemented for {}", i.res.kind));
        }
        if !a.bool("watch") {
            let (text, _) = viewed(&i.object, a.int("revision"))?;
            cx.out(text);
            continue;
        }
        queue.push((i.res, i.namespace, i.name));
    }
    if queue.is_empty() {
        if a.bool("watch") {
            cx.err(format!("No resources found in {} namespace.\n", api.namespace));
        }
        return Ok(());
    }
    let limit = a.duration("timeout");
    let deadline = match limit {
        0 => None,
        ns => Some(cx.now()? + core::time::Duration::from_nanos(ns.unsigned_abs())),
    };
    let task = Status { api, queue, revision: a.int("revision"), deadline, handle: None };
    Err(Stop::Enter(Box::new(Task::Rollout(task))))
}

impl Status {
    /// Looks at the first object, or takes an event of its watch.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let Some((res, ns, name)) = self.queue.first().cloned() else { return Ok(Some(0)) };
        let Some(handle) = self.handle else {
            let v = self.api.get(cx, &res.path(&ns, &name))?;
            if self.look(cx, &v)? {
                return Ok(None);
            }
            let r = Request::get(res.path(&ns, ""))
                .with_query("watch", "true")
                .with_query("fieldSelector", format!("metadata.name={name}"))
                .with_query("resourceVersion", v.at(&["metadata", "resourceVersion"]).text());
            let (h, _) = self.api.stream(cx, r)?;
            self.handle = Some(h);
            return Ok(None);
        };
        let mut sources = vec![Source::Stream(handle)];
        sources.extend(self.deadline.map(Source::Until));
        match cx.select(&sources)? {
            Event::Time => fail("timed out waiting for the condition"),
            Event::Packet(_, Some(Packet::Message(Message::Event(e)))) => {
                match e.get("type").text() {
                    "DELETED" => {
                        return fail("object has been deleted");
                    }
                    "ADDED" | "MODIFIED" if self.look(cx, e.get("object"))? => {
                        cx.close(handle)?;
                    }
                    "ERROR" => {
                        cx.close(handle)?;
                        self.handle = None;
                    }
                    _ => {}
                }
                Ok(None)
            }
            Event::Packet(_, None) => {
                self.handle = None;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Prints how far it is; whether it is done.
    fn look(&mut self, cx: &mut Cx<'_>, v: &Value) -> Done<bool> {
        let (text, done) = viewed(v, self.revision)?;
        cx.out(text);
        if done {
            self.queue.remove(0);
            self.handle = None;
        }
        Ok(done)
    }
}

/// How far a rollout is, and whether it is done. Models: `kubectl/pkg/polymorphichelpers/rollout_status.go`.
fn viewed(v: &Value, revision: i64) -> Result<(String, bool), Error> {
    let (spec, status) = (v.get("spec"), v.get("status"));
    let n = |k: &str| status.get(k).int();
    let name = gofmt::quote(v.name());
    let observed = v.generation() <= n("observedGeneration");
    let replicas = spec.get("replicas");
    match v.kind() {
        "Deployment" => {
            if revision > 0 {
                let have: i64 = v.annotations().get(REVISION).text().parse().unwrap_or(0);
                if have != revision {
                    return Err(Error::Text(format!(
                        "desired revision ({revision}) is different from the running revision ({have})"
                    )));
                }
            }
            if !observed {
                return Ok(("Waiting for deployment spec update to be observed...\n".into(), false));
            }
            if v.condition("Progressing").get("reason").text() == "ProgressDeadlineExceeded" {
                return Err(Error::Text(format!("deployment {name} exceeded its progress deadline")));
            }
            let (updated, total, available) = (n("updatedReplicas"), n("replicas"), n("availableReplicas"));
            let head = format!("Waiting for deployment {name} rollout to finish:");
            if replicas.is_some() && updated < replicas.int() {
                return Ok((
                    format!("{head} {updated} out of {} new replicas have been updated...\n", replicas.int()),
                    false,
                ));
            }
            if total > updated {
                return Ok((
                    format!("{head} {} old replicas are pending termination...\n", total - updated),
                    false,
                ));
            }
            if available < updated {
                return Ok((
                    format!("{head} {available} of {updated} updated replicas are available...\n"),
                    false,
                ));
            }
            Ok((format!("deployment {name} successfully rolled out\n"), true))
        }
        "DaemonSet" => daemon_set(v, &name, observed),
        _ => stateful_set(v),
    }
}

fn only_rolling(v: &Value) -> Result<(), Error> {
    if v.at(&["spec", "updateStrategy", "type"]).text() == "RollingUpdate" {
        return Ok(());
    }
    Err(Error::text("rollout status is only available for RollingUpdate strategy type"))
}

fn daemon_set(v: &Value, name: &str, observed: bool) -> Result<(String, bool), Error> {
    only_rolling(v)?;
    let n = |k: &str| v.get("status").get(k).int();
    if !observed {
        return Ok(("Waiting for daemon set spec update to be observed...\n".into(), false));
    }
    let (desired, updated, available) =
        (n("desiredNumberScheduled"), n("updatedNumberScheduled"), n("numberAvailable"));
    let head = format!("Waiting for daemon set {name} rollout to finish:");
    if updated < desired {
        return Ok((format!("{head} {updated} out of {desired} new pods have been updated...\n"), false));
    }
    if available < desired {
        return Ok((format!("{head} {available} of {desired} updated pods are available...\n"), false));
    }
    Ok((format!("daemon set {name} successfully rolled out\n"), true))
}

fn stateful_set(v: &Value) -> Result<(String, bool), Error> {
    only_rolling(v)?;
    let status = v.get("status");
    let n = |k: &str| status.get(k).int();
    if n("observedGeneration") == 0 || v.generation() > n("observedGeneration") {
        return Ok(("Waiting for statefulset spec update to be observed...\n".into(), false));
    }
    let replicas = v.at(&["spec", "replicas"]);
    if replicas.is_some() && n("readyReplicas") < replicas.int() {
        return Ok((
            format!("Waiting for {} pods to be ready...\n", replicas.int() - n("readyReplicas")),
            false,
        ));
    }
    let rolling = v.at(&["spec", "updateStrategy", "rollingUpdate"]);
    let updated = n("updatedReplicas");
    if rolling.is_some() {
        let partition = rolling.get("partition");
        if partition.is_some() && updated < replicas.int() - partition.int() {
            return Ok((
                format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...\n",
                    replicas.int() - partition.int()
                ),
                false,
            ));
        }
        return Ok((
            format!("partitioned roll out complete: {updated} new pods have been updated...\n"),
            true,
        ));
    }
    let (update, current) = (status.get("updateRevision").text(), status.get("currentRevision").text());
    if update != current {
        return Ok((
            format!(
                "waiting for statefulset rolling update to complete {updated} pods at revision {update}...\n"
            ),
            false,
        ));
    }
    Ok((
        format!(
            "statefulset rolling update complete {} pods at revision {current}...\n",
            n("currentReplicas")
        ),
        true,
    ))
}
