//! `kubectl exec` and `kubectl attach`: streams to a container.

use super::common::{FILES_ALONE, until};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::resource::{Builder, Info, list_items};
use crate::tasks::Task;
use api::selector::Selector;
use api::wire::{Message, Method, Request};
use api::{Value, gofmt};
use std::sync::Arc;

const FLAGS: &[Flag] = &[
    flag(
        "container",
        Kind::Str,
        "''",
        "Name of the container; without it the one that the pod's annotation names, or the first.",
    )
    .short('c'),
    flag("pod-running-timeout", Kind::Duration, "1m0s", "How long to wait until the pod runs"),
    switch("quiet", "Print only what comes from the container.").short('q'),
    switch("stdin", "Pass standard input to the container.").short('i'),
    switch("tty", "Standard input is a terminal.").short('t'),
];

/// `exec`
pub static EXEC: Command = Command {
    name: "exec",
    group: Group::Troubleshooting,
    short: "Execute a command in a container",
    long: "Runs a command in a container.",
    usage: "exec (POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
    example: "# One command\nkubectl exec web -- date\n\n# A shell\nkubectl exec -it web -- sh\n\n# In a deployment's \
              pod\nkubectl exec deploy/web -- env",
    flags: &[FLAGS, FILES_ALONE],
    run: Some(exec),
    complete: Some(complete::pods),
    ..Command::EMPTY
};

/// `attach`
pub static ATTACH: Command = Command {
    name: "attach",
    group: Group::Troubleshooting,
    short: "Attach to a running container",
    long: "Attaches to the process that runs in a container already.",
    usage: "attach (POD | TYPE/NAME) -c CONTAINER",
    example: "# See its output\nkubectl attach web\n\n# With a terminal\nkubectl attach web -it",
    flags: &[
        FLAGS,
        &[flag("detach-keys", Kind::Str, "'ctrl-p,ctrl-q'", "Keys that detach from the container.")],
    ],
    run: Some(attach),
    complete: Some(complete::pods),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// What is said of a container that the pod has not.
pub fn invalid_container(wanted: &str, pod: &Value) -> String {
    format!("container {wanted} is not valid for pod {} out of: {}", pod.name(), containers(pod))
}

/// `Defaulted container "a" out of: a, b, i (init)`
pub fn defaulted(pod: &Value, chosen: &str) -> String {
    format!("Defaulted container {} out of: {}\n", gofmt::quote(chosen), containers(pod))
}

/// `a, b, i (init)`
fn containers(pod: &Value) -> String {
    let spec = pod.get("spec");
    let mut names: Vec<String> = Vec::new();
    for (field, note) in
        [("containers", ""), ("ephemeralContainers", " (ephem)"), ("initContainers", " (init)")]
    {
        names.extend(spec.get(field).items().map(|c| format!("{}{note}", c.get("name").text())));
    }
    names.join(", ")
}

/// The pods that a word means: a pod, or those of a workload or service.
pub fn pod_of(cx: &mut Cx<'_>, a: &Args, api: &Api, word: &str, all: bool) -> Done<Vec<Value>> {
    let words: Vec<String> =
        if word.contains('/') { vec![word.to_owned()] } else { vec!["pods".into(), word.to_owned()] };
    let mut bare = a.clone();
    bare.values = core::mem::take(&mut bare.values).without("all").without("selector").without("filename");
    let mut infos = Builder::new(&bare, &words).infos(cx, api)?;
    let Some(i) = infos.pop() else { return Ok(Vec::new()) };
    let i: Info = i?;
    if i.res.kind == "Pod" {
        return Ok(vec![i.object]);
    }
    let spec = i.object.get("spec");
    let selector = match i.res.kind.as_str() {
        "ReplicationController" | "Service" => Selector::of_labels(spec.get("selector")),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => {
            Selector::of(spec.get("selector"))?
        }
        kind => {
            return fail(format!(
                "cannot {} a {}: selector for {kind} not implemented",
                a.command.name,
                i.res.kind_name()
            ));
        }
    };
    if i.res.kind == "Service" && selector.is_empty() {
        return fail(format!("invalid service '{}': Service is defined without a selector", i.name));
    }
    let r = Request::get(format!("/api/v1/namespaces/{}/pods", i.namespace))
        .with_query("labelSelector", selector.to_string());
    let mut pods = list_items(&api.call(cx, r)?);
    pods.sort_by_key(activity);
    if pods.is_empty() {
        return fail("timed out waiting for the condition");
    }
    if all {
        return Ok(pods);
    }
    if pods.len() > 1 && a.command.name == "logs" {
        cx.err(format!("Found {} pods, using pod/{}\n", pods.len(), pods[0].name()));
    }
    pods.truncate(1);
    Ok(pods)
}

/// Ready pods first, then running ones, then the others.
fn activity(pod: &Value) -> (bool, bool, bool, String) {
    let ready = pod.condition("Ready").get("status").text() == "True";
    let running = pod.at(&["status", "phase"]).text() == "Running";
    (!running, !ready, pod.is_terminating(), pod.at(&["metadata", "creationTimestamp"]).text().to_owned())
}

/// The container that is meant.
pub fn container(cx: &mut Cx<'_>, a: &Args, pod: &Value) -> Done<String> {
    let wanted = a.str("container");
    let spec = pod.get("spec");
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let all: Vec<&str> =
        lists.iter().flat_map(|l| spec.get(l).items()).map(|c| c.get("name").text()).collect();
    if !wanted.is_empty() {
        if !all.contains(&wanted.as_str()) {
            return fail(invalid_container(&wanted, pod));
        }
        return Ok(wanted);
    }
    let noted = pod.annotations().get("kubectl.kubernetes.io/default-container").text();
    if all.contains(&noted) && !noted.is_empty() {
        return Ok(noted.to_owned());
    }
    let first = spec.get("containers")[0].get("name").text().to_owned();
    if all.len() > 1 && !a.bool("quiet") {
        cx.err(defaulted(pod, &first));
    }
    Ok(first)
}

fn exec(cx: &mut Cx<'_>, a: &Args) -> Done {
    let before = a.dash.unwrap_or(a.words.len());
    let files = a.list("filename");
    if before == 0 && files.is_empty() {
        return fail("pod, type/name or --filename must be specified");
    }
    let command: Vec<String> = match a.dash {
        Some(n) => a.words[n.min(a.words.len())..].to_vec(),
        None if a.words.len() > 1 => {
            return fail(
                "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' \
                 for help and examples",
            );
        }
        None => Vec::new(),
    };
    if command.is_empty() {
        return fail("you must specify at least one command for the container");
    }
    let api = cx.api(a)?;
    let pod = if files.is_empty() {
        pod_of(cx, a, &api, &a.words[0].clone(), false)?.pop()
    } else {
        let mut infos = Builder::new(a, &[]).infos(cx, &api)?;
        infos.pop().transpose()?.map(|i| i.object)
    };
    let Some(pod) = pod else { return fail("no pod found") };
    let phase = pod.at(&["status", "phase"]).text();
    if matches!(phase, "Succeeded" | "Failed") {
        return fail(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let container = container(cx, a, &pod)?;
    let (stdin, tty) = terminal(cx, a)?;
    let path = format!("/api/v1/namespaces/{}/pods/{}/exec", pod.namespace(), pod.name());
    let mut r = streaming(path, &container, stdin, tty);
    for c in &command {
        r = r.with_query("command", c.as_str());
    }
    let session = Session::open(cx, &api, r, stdin, tty)?;
    Err(Stop::Enter(Box::new(Task::Stream(session))))
}

/// Whether standard input is passed, and whether there is a terminal.
fn terminal(cx: &mut Cx<'_>, a: &Args) -> Done<(bool, bool)> {
    let stdin = a.bool("stdin");
    let mut tty = a.bool("tty");
    if tty && !(stdin && cx.is_tty(0)?) {
        if !a.bool("quiet") {
            cx.err("Unable to use a TTY - input is not a terminal or the right kind of file\n");
        }
        tty = false;
    }
    Ok((stdin, tty))
}

/// A request for streams to a container.
pub fn streaming(path: String, container: &str, stdin: bool, tty: bool) -> Request {
    let mut r = Request::new(Method::Post, path).with_query("container", container);
    if stdin {
        r = r.with_query("stdin", "true");
    }
    r = r.with_query("stdout", "true");
    if tty { r.with_query("tty", "true") } else { r.with_query("stderr", "true") }
}

fn attach(cx: &mut Cx<'_>, a: &Args) -> Done {
    if a.words.is_empty() {
        return fail("at least 1 argument is required for attach");
    }
    if a.words.len() > 2 {
        return Err(
            a.usage(format!("expected POD, TYPE/NAME, or TYPE NAME, got {} arguments", a.words.len()))
        );
    }
    let api = cx.api(a)?;
    let word = a.words.join("/");
    let Some(pod) = pod_of(cx, a, &api, &word, false)?.pop() else { return fail("no pod found") };
    let container = container(cx, a, &pod)?;
    attach_to(cx, a, &api, &pod, &container, None)
}

fn attach_to(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Arc<Api>,
    pod: &Value,
    container: &str,
    then: Option<Cleanup>,
) -> Done {
    let phase = pod.at(&["status", "phase"]).text();
    if matches!(phase, "Succeeded" | "Failed") {
        return fail(format!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let spec = ["containers", "ephemeralContainers", "initContainers"]
        .iter()
        .flat_map(|l| pod.get("spec").get(l).items())
        .find(|c| c.get("name").text() == container);
    let has_tty = spec.is_some_and(|c| c.get("tty").is_true());
    let (stdin, mut tty) = terminal(cx, a)?;
    if tty && !has_tty {
        tty = false;
        if !a.bool("quiet") {
            cx.err(format!("error: Unable to use a TTY - container {container} did not allocate one\n"));
        }
    }
    if !a.bool("quiet") {
        cx.err("All commands and output from this session will be recorded in container logs, including credentials and \
                sensitive information passed through the command prompt.\n");
        if stdin {
            cx.err("If you don't see a command prompt, try pressing enter.\n");
        }
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}/attach", pod.namespace(), pod.name());
    let r = streaming(path, container, stdin, tty);
    let mut session = Session::open(cx, api, r, stdin, tty)?;
    session.then = then;
    Err(Stop::Enter(Box::new(Task::Stream(session))))
}

/// What `run --rm` leaves to do when the session ends.
#[derive(Clone, Debug)]
pub struct Cleanup {
    api: Arc<Api>,
    pod: Value,
    remove: bool,
    never: bool,
}

/// Waits for a pod that `run` made and attaches to it.
pub fn attach_to_new(cx: &mut Cx<'_>, a: &Args, api: &Arc<Api>, pod: &Value, remove: bool) -> Done {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
    let limit = a.duration("pod-running-timeout").unsigned_abs();
    let deadline = cx.now()? + core::time::Duration::from_nanos(limit);
    let begun = |v: &Value| v.is_null() || !matches!(v.at(&["status", "phase"]).text(), "" | "Pending");
    let Some(live) = until(cx, api, &path, Some(deadline), begun)? else {
        return fail("timed out waiting for the condition");
    };
    if live.is_null() {
        return fail("pod ran to completion");
    }
    let never = a.str("restart") == "Never";
    let cleanup = Cleanup { api: api.clone(), pod: live.clone(), remove, never };
    if matches!(live.at(&["status", "phase"]).text(), "Succeeded" | "Failed") {
        // It has ended already: its log is all there is.
        let r = Request::get(format!("{path}/log"))
            .with_query("container", live.at(&["spec", "containers"])[0].get("name").text());
        let answer = api.send(cx, r)?;
        if let api::wire::Body::Bytes(b) = &answer.body {
            cx.out_bytes(b);
        }
        let code = cleanup.run(cx)?;
        return Err(Stop::Exit(code));
    }
    let container = container(cx, a, &live)?;
    attach_to(cx, a, api, &live, &container, Some(cleanup))
}

/// Waits until a container runs and attaches to it; prints its log if it has ended already.
pub fn attach_container(cx: &mut Cx<'_>, a: &Args, api: &Arc<Api>, pod: &Value, container: &str) -> Done {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
    let limit = a.duration("pod-running-timeout").unsigned_abs();
    let deadline = cx.now()? + core::time::Duration::from_nanos(limit);
    let state = |v: &Value| {
        ["containerStatuses", "ephemeralContainerStatuses", "initContainerStatuses"]
            .iter()
            .flat_map(|l| v.get("status").get(l).items())
            .find(|s| s.get("name").text() == container)
            .map(|s| s.get("state").clone())
            .unwrap_or_default()
    };
    let begun =
        |v: &Value| v.is_null() || ["running", "terminated"].iter().any(|k| state(v).get(k).is_some());
    let Some(v) = until(cx, api, &path, Some(deadline), begun)? else {
        return fail("timed out waiting for the condition");
    };
    if state(&v).get("running").is_some() {
        return attach_to(cx, a, api, &v, container, None);
    }
    let r = Request::get(format!("{path}/log")).with_query("container", container);
    let answer = api.send(cx, r)?;
    if let api::wire::Body::Bytes(b) = &answer.body {
        cx.out_bytes(b);
    }
    Ok(())
}

impl Cleanup {
    /// The exit code of the container, and the pod's deletion.
    fn run(&self, cx: &mut Cx<'_>) -> Done<i32> {
        let path = format!("/api/v1/namespaces/{}/pods/{}", self.pod.namespace(), self.pod.name());
        let mut code = 0;
        if self.never {
            let ended =
                |v: &Value| v.at(&["status", "containerStatuses"])[0].at(&["state", "terminated"]).clone();
            let deadline = cx.now()? + core::time::Duration::from_secs(60);
            let v = until(cx, &self.api, &path, Some(deadline), |v| v.is_null() || ended(v).is_some())?;
            code = v.map_or(0, |v| ended(&v).get("exitCode").int() as i32);
            if code != 0 {
                cx.err(format!("pod {}/{} terminated (Error)\n", self.pod.namespace(), self.pod.name()));
            }
        }
        if self.remove {
            let body = super::common::delete_options(-1, "Background", crate::print::DryRun::None);
            let r = Request::new(Method::Delete, path.as_str())
                .with_header("content-type", "application/json")
                .with_body(api::wire::Body::Object(body));
            self.api.call(cx, r)?;
            cx.out(format!(
                "pod {} deleted from {} namespace\n",
                gofmt::quote(self.pod.name()),
                self.pod.namespace()
            ));
        }
        Ok(code)
    }
}

/// A stream to a container.
#[derive(Clone, Debug)]
pub struct Session {
    handle: Handle,
    stdin: bool,
    tty: bool,
    /// Exit code once the other end has told it.
    code: Option<i32>,
    then: Option<Cleanup>,
}

impl Session {
    /// Opens a stream and prepares the terminal.
    fn open(cx: &mut Cx<'_>, api: &Api, r: Request, stdin: bool, tty: bool) -> Done<Session> {
        let opened = api.stream(cx, r);
        let (handle, _) = match cx.catch(opened)? {
            Ok(s) => s,
            Err(e) => {
                // What the node says to a stream that it refuses stands alone.
                let m = e.message();
                return match m.find("unable to upgrade connection: ") {
                    Some(at) => fail(&m[at..]),
                    None => Err(e.into()),
                };
            }
        };
        if tty {
            cx.raw_tty(true)?;
            if let Some((columns, rows)) = cx.tty_size()? {
                let _ = cx.send(handle, Message::Resize(columns, rows))?;
            }
        }
        Ok(Session { handle, stdin, tty, code: None, then: None })
    }

    /// One message in either direction.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        if let Some(code) = self.code {
            return self.end(cx, code);
        }
        let mut sources = vec![Source::Stream(self.handle)];
        if self.stdin {
            sources.push(Source::Stdin);
        }
        match cx.select(&sources)? {
            Event::Packet(_, Some(Packet::Message(m))) => match m {
                Message::Data(1, d) => cx.out_bytes(&d),
                Message::Data(2, d) => cx.err_bytes(&d),
                Message::Status(s) => {
                    let code = self.ended(cx, &s)?;
                    self.code = Some(code);
                }
                _ => {}
            },
            Event::Packet(_, None) => self.code = Some(0),
            Event::Stdin(d) if d.is_empty() => {
                self.stdin = false;
                let _ = cx.send(self.handle, Message::Close(0))?;
            }
            Event::Stdin(d) => {
                let _ = cx.send(self.handle, Message::Data(0, d))?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// The exit code that a status means; what went wrong is printed.
    fn ended(&self, cx: &mut Cx<'_>, s: &Value) -> Done<i32> {
        if s.get("status").text() == "Success" {
            return Ok(0);
        }
        let causes = s.at(&["details", "causes"]);
        let exit = causes.items().find(|c| c.get("reason").text() == "ExitCode");
        if s.get("reason").text() == "NonZeroExitCode"
            && let Some(code) = exit.and_then(|c| c.get("message").text().parse().ok())
        {
            if self.tty {
                cx.raw_tty(false)?;
            }
            cx.err(format!("command terminated with exit code {code}\n"));
            return Ok(code);
        }
        if self.tty {
            cx.raw_tty(false)?;
        }
        let (text, code) = Error::Text(s.get("message").text().to_owned()).report();
        cx.err(text);
        Ok(code)
    }

    fn end(&mut self, cx: &mut Cx<'_>, code: i32) -> Done<Option<i32>> {
        cx.close(self.handle)?;
        if self.tty {
            cx.raw_tty(false)?;
        }
        match self.then.take() {
            Some(c) => Ok(Some(c.run(cx)?.max(code))),
            None => Ok(Some(code)),
        }
    }
}
