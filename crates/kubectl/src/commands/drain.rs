//! `kubectl drain`. Models: `kubectl/pkg/drain`.

use super::common::{CHUNK, SELECTOR, delete_options};
use super::nodes::{nodes, set_cordon};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{DRY_RUN, DryRun, dry_run, dry_run_suffix};
use crate::resource::list_items;
use crate::tasks::Task;
use api::selector::Selector;
use api::wire::{Body, Message, Method, Request};
use api::{Value, gofmt, obj};
use sim::Instant;
use std::sync::Arc;

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
    let queue = infos.into_iter().map(|i| i.name).rev().collect();
    let task = Draining { api, args: a.clone(), dry, queue, now: None, failed: Vec::new() };
    Err(Stop::Enter(Box::new(Task::Drain(task))))
}

/// A pod on its way out.
#[derive(Clone, Debug)]
struct Leaving {
    namespace: String,
    name: String,
    uid: String,
    /// When it is asked to go (again); `None` once it goes.
    due: Option<Instant>,
}

/// The node that is drained.
#[derive(Clone, Debug)]
struct Node {
    name: String,
    pods: Vec<Leaving>,
    /// The watch on the node's pods.
    watch: Option<Handle>,
    deadline: Option<Instant>,
}

/// Drains nodes, one after the other.
#[derive(Clone, Debug)]
pub struct Draining {
    api: Arc<Api>,
    args: Args,
    dry: DryRun,
    /// The nodes to come, the next one last.
    queue: Vec<String>,
    now: Option<Node>,
    failed: Vec<(String, Vec<String>)>,
}

/// How long to wait before a pod is asked to go again.
const AGAIN: core::time::Duration = core::time::Duration::from_secs(5);

fn aggregate(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl Draining {
    /// Asks one pod to go, or waits for what happens next.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let Some(node) = &self.now else {
            return match self.queue.pop() {
                Some(name) => self.begin(cx, name).map(|()| None),
                None => self.end(cx),
            };
        };
        let now = cx.now()?;
        if node.pods.is_empty() {
            cx.out(format!("node/{} drained{}\n", node.name, dry_run_suffix(self.dry)));
            return self.leave(cx).map(|()| None);
        }
        if node.deadline.is_some_and(|d| now >= d) {
            // Who waits to ask again learns of the deadline when the time for it comes.
            if let Some(next) = node.pods.iter().filter_map(|p| p.due).filter(|t| *t > now).max() {
                cx.select(&[Source::Until(next)])?;
                return Ok(None);
            }
            for p in node.pods.iter().filter(|p| p.due.is_some()) {
                let text = self.asking(&p.namespace, &p.name);
                cx.out(text);
            }
            let errors = self.late();
            self.give_up(cx, &errors)?;
            return Ok(None);
        }
        if let Some(at) = node.pods.iter().position(|p| p.due.is_some_and(|t| t <= now)) {
            self.ask(cx, at, now)?;
            return Ok(None);
        }
        self.wait(cx)?;
        Ok(None)
    }

    fn pods(&self, cx: &mut Cx<'_>, node: &str) -> Done<(Sorted, String)> {
        let mut r = Request::get("/api/v1/pods").with_query("fieldSelector", format!("spec.nodeName={node}"));
        let selector = self.args.str("pod-selector");
        if !selector.is_empty() {
            r = r.with_query("labelSelector", selector);
        }
        let list = self.api.call(cx, r)?;
        let mut sorted = Sorted::default();
        for p in list_items(&list) {
            sort(cx, &self.args, &self.api, p, &mut sorted)?;
        }
        Ok((sorted, list.at(&["metadata", "resourceVersion"]).text().to_owned()))
    }

    fn begin(&mut self, cx: &mut Cx<'_>, name: String) -> Done {
        let (sorted, version) = self.pods(cx, &name)?;
        let told = |l: &[(&'static str, Vec<String>)]| -> Vec<String> {
            l.iter().map(|(w, p)| format!("{w}: {}", p.join(", "))).collect()
        };
        if !sorted.errors.is_empty() {
            self.fail(cx, name, &told(&sorted.errors));
            return Ok(());
        }
        if !sorted.warnings.is_empty() {
            cx.err(format!("Warning: {}\n", told(&sorted.warnings).join("; ")));
        }
        let now = cx.now()?;
        let limit = self.args.duration("timeout").unsigned_abs();
        let deadline = (limit > 0).then(|| now + core::time::Duration::from_nanos(limit));
        let mut node = Node { name, pods: Vec::new(), watch: None, deadline };
        for p in &sorted.pods {
            if self.dry == DryRun::Client {
                cx.out(self.asking(p.namespace(), p.name()));
                continue;
            }
            node.pods.push(Leaving {
                namespace: p.namespace().to_owned(),
                name: p.name().to_owned(),
                uid: p.uid().to_owned(),
                due: Some(now),
            });
        }
        if !node.pods.is_empty() && self.dry == DryRun::None {
            node.watch = Some(self.watch(cx, &node.name, &version)?);
        }
        self.now = Some(node);
        Ok(())
    }

    fn watch(&self, cx: &mut Cx<'_>, node: &str, version: &str) -> Done<Handle> {
        let r = Request::get("/api/v1/pods")
            .with_query("watch", "true")
            .with_query("fieldSelector", format!("spec.nodeName={node}"))
            .with_query("resourceVersion", version);
        Ok(self.api.stream(cx, r)?.0)
    }

    fn deleting(&self) -> bool {
        self.args.bool("disable-eviction")
    }

    fn asking(&self, namespace: &str, name: &str) -> String {
        let verb = if self.deleting() { "deleting" } else { "evicting" };
        format!("{verb} pod {namespace}/{name}{}\n", dry_run_suffix(self.dry))
    }

    fn ask(&mut self, cx: &mut Cx<'_>, at: usize, now: Instant) -> Done {
        let Some(p) = self.now.as_ref().and_then(|n| n.pods.get(at)).cloned() else { return Ok(()) };
        cx.out(self.asking(&p.namespace, &p.name));
        let path = format!("/api/v1/namespaces/{}/pods/{}", p.namespace, p.name);
        let mut options = delete_options(self.args.int("grace-period"), "", self.dry);
        options.set(&["preconditions", "uid"], p.uid.as_str());
        let r = if self.deleting() {
            Request::new(Method::Delete, path.as_str()).with_body(Body::Object(options))
        } else {
            let body = obj!({
                "apiVersion": "policy/v1", "kind": "Eviction",
                "metadata": {"name": p.name.as_str(), "namespace": p.namespace.as_str()}, "deleteOptions": options
            });
            Request::new(Method::Post, format!("{path}/eviction")).with_body(Body::Object(body))
        };
        let r = self.api.call(cx, r.with_header("content-type", "application/json"));
        let r = cx.catch(r)?;
        let Some(node) = &mut self.now else { return Ok(()) };
        let named = format!("pods/{} -n {}", gofmt::quote(&p.name), gofmt::quote(&p.namespace));
        match r {
            Err(e) if e.reason() == "TooManyRequests" => {
                cx.err(format!(
                    "error when evicting {named} (will retry after {}s): {}\n",
                    AGAIN.as_secs(),
                    e.message()
                ));
                node.pods[at].due = Some(now + AGAIN);
            }
            Err(e) if !e.is_not_found() => {
                let why = format!("error when evicting {named}: {}", e.message());
                self.give_up(cx, &[why])?;
            }
            _ if self.dry != DryRun::None => {
                node.pods.remove(at);
            }
            // One that is gone already is not heard of again.
            Err(_) => {
                node.pods.remove(at);
                self.went(cx, &p.name);
            }
            Ok(_) => node.pods[at].due = None,
        }
        Ok(())
    }

    fn went(&self, cx: &mut Cx<'_>, name: &str) {
        let word = if self.deleting() { "deleted" } else { "evicted" };
        cx.out(format!("pod/{name} {word}\n"));
    }

    fn wait(&mut self, cx: &mut Cx<'_>) -> Done {
        let Some(node) = &self.now else { return Ok(()) };
        let mut sources: Vec<Source> = node.watch.map(Source::Stream).into_iter().collect();
        let next = node.pods.iter().filter_map(|p| p.due).chain(node.deadline).min();
        sources.extend(next.map(Source::Until));
        match cx.select(&sources)? {
            Event::Packet(_, Some(Packet::Message(Message::Event(e))))
                if e.get("type").text() == "DELETED" =>
            {
                let uid = e.get("object").uid().to_owned();
                let Some(node) = &mut self.now else { return Ok(()) };
                if let Some(at) = node.pods.iter().position(|p| p.uid == uid) {
                    let p = node.pods.remove(at);
                    self.went(cx, &p.name);
                }
            }
            Event::Packet(_, None) => self.look(cx)?,
            _ => {}
        }
        Ok(())
    }

    /// Looks which pods are still there, and watches again.
    fn look(&mut self, cx: &mut Cx<'_>) -> Done {
        let Some(node) = self.now.clone() else { return Ok(()) };
        let r =
            Request::get("/api/v1/pods").with_query("fieldSelector", format!("spec.nodeName={}", node.name));
        let list = self.api.call(cx, r)?;
        let there = list_items(&list);
        for p in &node.pods {
            if p.due.is_none() && !there.iter().any(|v| v.uid() == p.uid) {
                self.went(cx, &p.name);
            }
        }
        let version = list.at(&["metadata", "resourceVersion"]).text().to_owned();
        let watch = self.watch(cx, &node.name, &version)?;
        if let Some(n) = &mut self.now {
            n.pods.retain(|p| p.due.is_some() || there.iter().any(|v| v.uid() == p.uid));
            n.watch = Some(watch);
        }
        Ok(())
    }

    /// What is said of the pods that did not go in time.
    fn late(&self) -> Vec<String> {
        let pods = self.now.as_ref().map_or(&[][..], |n| n.pods.as_slice());
        let going = pods.iter().filter(|p| p.due.is_none()).map(|p| {
            format!(
                "error when waiting for pod {} in namespace {} to terminate: context deadline exceeded",
                gofmt::quote(&p.name),
                gofmt::quote(&p.namespace)
            )
        });
        let asked = pods.iter().filter(|p| p.due.is_some()).map(|p| {
            format!(
                "error when evicting pods/{} -n {}: global timeout reached: {}",
                gofmt::quote(&p.name),
                gofmt::quote(&p.namespace),
                api::duration::print(self.args.duration("timeout"))
            )
        });
        going.chain(asked).collect()
    }

    /// Leaves the node with errors, and tells which pods it still has.
    fn give_up(&mut self, cx: &mut Cx<'_>, errors: &[String]) -> Done {
        let Some(name) = self.now.as_ref().map(|n| n.name.clone()) else { return Ok(()) };
        let (left, _) = self.pods(cx, &name)?;
        if !left.pods.is_empty() {
            cx.err(format!(
                "There are pending pods in node {} when an error occurred: {}\n",
                gofmt::quote(&name),
                aggregate(errors)
            ));
            for p in &left.pods {
                cx.err(format!("pod/{}\n", p.name()));
            }
        }
        self.fail(cx, name, errors);
        self.leave(cx)
    }

    fn fail(&mut self, cx: &mut Cx<'_>, name: String, errors: &[String]) {
        let why = aggregate(errors);
        cx.err(format!(
            "error: unable to drain node {} due to error: {why}, continuing command...\n",
            gofmt::quote(&name)
        ));
        self.failed.push((name, errors.to_vec()));
    }

    fn leave(&mut self, cx: &mut Cx<'_>) -> Done {
        if let Some(h) = self.now.take().and_then(|n| n.watch) {
            cx.close(h)?;
        }
        Ok(())
    }

    fn end(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        if self.failed.is_empty() {
            return Ok(Some(0));
        }
        cx.err("There are pending nodes to be drained:\n");
        for (name, _) in &self.failed {
            cx.err(format!(" {name}\n"));
        }
        // The errors of a single node are told one a line, those of several one a node.
        let all: Vec<String> = match self.failed.as_slice() {
            [(_, errors)] => errors.clone(),
            many => many.iter().map(|(_, errors)| aggregate(errors)).collect(),
        };
        Err(Error::Plain(all.join("\n")).into())
    }
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
