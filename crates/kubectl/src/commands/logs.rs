//! `kubectl logs`

use super::common::SELECTOR;
use super::stream::pod_of;
use crate::client::{Api, body};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::resource::list_items;
use crate::tasks::Task;
use api::wire::{Message, Request};
use api::{Value, gofmt};

const FLAGS: &[Flag] = &[
    SELECTOR,
    switch("all-containers", "Logs of all containers of the pod."),
    switch("all-pods", "Logs of all pods of the object; with the pod's name in front of each line."),
    flag("container", Kind::Str, "''", "Logs of this container").short('c'),
    switch("follow", "Go on with what is logged from now on.").short('f'),
    switch("ignore-errors", "With --follow, go on with the other logs when one fails."),
    switch(
        "insecure-skip-tls-verify-backend",
        "Do not check the certificate of the kubelet that the logs come from.",
    ),
    flag("limit-bytes", Kind::Int, "0", "At most so many bytes. No limit unless given."),
    flag("max-log-requests", Kind::Int, "5", "With a selector, how many logs to follow at once."),
    flag("pod-running-timeout", Kind::Duration, "20s", "How long to wait until one pod runs"),
    switch("prefix", "Put the log's pod and container in front of each line."),
    switch("previous", "The log of the container's last run, where there was one.").short('p'),
    flag(
        "since",
        Kind::Duration,
        "0s",
        "Only what is not older than this, as 5s, 2m or 3h. All unless given. Not with --since-time.",
    ),
    flag(
        "since-time",
        Kind::Str,
        "''",
        "Only what was logged after this time (RFC 3339). All unless given. Not with --since.",
    ),
    flag("tail", Kind::Int, "-1", "So many lines from the end. -1 shows all, or 10 with a selector."),
    switch("timestamps", "Put the time in front of each line."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "logs",
    group: Group::Troubleshooting,
    short: "Print the logs for a container in a pod",
    long: "Prints the log of a container in a pod, or in a pod of another object. With one container in the pod, its name may \
           be left out.",
    usage: "logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
    example: "# Of a pod\nkubectl logs web\n\n# And what follows\nkubectl logs -f web\n\n# Of the run before the crash\nkubectl \
              logs -p -c app web\n\n# The last 20 lines\nkubectl logs --tail=20 web\n\n# Of a deployment's pod\nkubectl logs \
              deployment/web",
    flags: &[FLAGS],
    run: Some(run),
    complete: Some(complete::pods_and_containers),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// One log to print.
struct Log {
    pod: Value,
    container: String,
}

const USAGE: &str = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for \
                     the logs command";

fn checked(cx: &mut Cx<'_>, a: &Args) -> Done {
    let selector = a.str("selector");
    if a.words.is_empty() && selector.is_empty() {
        return Err(a.usage(USAGE));
    }
    if !a.words.is_empty() && !selector.is_empty() {
        return Err(a.usage("only a selector (-l) or a POD name is allowed"));
    }
    if a.words.len() > 2 {
        return Err(a.usage(USAGE));
    }
    if a.words.len() == 2 && a.given("container") {
        return Err(a.usage("only one of -c or an inline [CONTAINER] arg is allowed"));
    }
    if !a.str("since-time").is_empty() && a.duration("since") != 0 {
        return fail("at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if a.given("tail") && a.int("tail") < -1 {
        return fail("--tail must be greater than or equal to -1");
    }
    if a.given("limit-bytes") && a.int("limit-bytes") < 1 {
        return fail("--limit-bytes must be greater than 0");
    }
    if a.bool("all-containers") && (a.given("container") || a.words.len() == 2) {
        return fail(
            "--all-containers=true should not be specified with container name ".to_owned() + &container(a),
        );
    }
    if a.duration("since") < 0 {
        return fail("--since must be greater than 0");
    }
    let _ = cx;
    Ok(())
}

fn container(a: &Args) -> String {
    a.words.get(1).cloned().unwrap_or_else(|| a.str("container"))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    checked(cx, a)?;
    let api = cx.api(a)?;
    let pods = pods(cx, a, &api)?;
    let mut logs: Vec<Log> = Vec::new();
    for pod in pods {
        logs.extend(containers(cx, a, pod)?);
    }
    if logs.is_empty() {
        if !a.str("selector").is_empty() {
            cx.err(format!("No resources found in {} namespace.\n", api.namespace));
        }
        return Ok(());
    }
    let follow = a.bool("follow");
    if follow && logs.len() > 1 {
        let max = a.int("max-log-requests");
        if logs.len() as i64 > max {
            return fail(format!(
                "you are attempting to follow {} log streams, but maximum allowed concurrency is {max}, use \
                 --max-log-requests to increase the limit",
                logs.len()
            ));
        }
    }
    let with_prefix = a.bool("prefix") || a.bool("all-pods");
    let mut streams = Vec::new();
    for l in &logs {
        let prefix =
            if with_prefix { format!("[pod/{}/{}] ", l.pod.name(), l.container) } else { String::new() };
        let r = request(a, l)?;
        if follow {
            let opened = api.stream(cx, r);
            match cx.catch(opened)? {
                Ok((h, head)) => {
                    show(cx, &prefix, &mut Vec::new(), text(&head).as_slice(), true);
                    streams.push(One { handle: h, prefix, rest: Vec::new() });
                }
                Err(e) if a.bool("ignore-errors") => cx.err(format!("error: {}\n", e.message())),
                Err(e) => return Err(e.into()),
            }
            continue;
        }
        let answer = api.send(cx, r)?;
        if !answer.is_ok() {
            let e = crate::client::failure(&answer);
            if a.bool("ignore-errors") {
                cx.err(format!("error: {}\n", e.message()));
                continue;
            }
            return Err(e.into());
        }
        show(cx, &prefix, &mut Vec::new(), text(&answer).as_slice(), true);
    }
    if streams.is_empty() {
        return Ok(());
    }
    Err(Stop::Enter(Box::new(Task::Logs(Follow { streams }))))
}

fn text(r: &api::wire::Response) -> Vec<u8> {
    match &r.body {
        api::wire::Body::Bytes(b) => b.to_vec(),
        api::wire::Body::Empty => Vec::new(),
        _ => body(r).to_json().into_bytes(),
    }
}

/// Writes a piece of a log; with a prefix, whole lines only unless this is the end.
fn show(cx: &mut Cx<'_>, prefix: &str, rest: &mut Vec<u8>, data: &[u8], end: bool) {
    if prefix.is_empty() {
        cx.out_bytes(data);
        return;
    }
    rest.extend_from_slice(data);
    while let Some(n) = rest.iter().position(|b| *b == b'\n') {
        cx.out(prefix);
        cx.out_bytes(&rest[..=n]);
        rest.drain(..=n);
    }
    if end && !rest.is_empty() {
        cx.out(prefix);
        cx.out_bytes(rest);
        cx.out("\n");
        rest.clear();
    }
}

fn pods(cx: &mut Cx<'_>, a: &Args, api: &Api) -> Done<Vec<Value>> {
    let selector = a.str("selector");
    if !selector.is_empty() {
        let r = Request::get(format!("/api/v1/namespaces/{}/pods", api.namespace))
            .with_query("labelSelector", selector);
        return Ok(list_items(&api.call(cx, r)?));
    }
    let word = a.words[0].clone();
    let r = pod_of(cx, a, api, &word, a.bool("all-pods"));
    match cx.catch(r)? {
        Ok(pods) => Ok(pods),
        // What is missing is told with its namespace, which may be what is missing.
        Err(e) if e.is_not_found() => {
            let r = api.get(cx, &format!("/api/v1/namespaces/{}", api.namespace));
            let first = cx.catch(r)?.err().filter(Error::is_not_found).unwrap_or(e);
            fail(format!(
                "error from server (NotFound): {} in namespace {}",
                first.message(),
                gofmt::quote(&api.namespace)
            ))
        }
        Err(e) => Err(e.into()),
    }
}

/// The logs to print of a pod.
fn containers(cx: &mut Cx<'_>, a: &Args, pod: Value) -> Done<Vec<Log>> {
    let spec = pod.get("spec");
    let names = |k: &str| spec.get(k).items().map(|c| c.get("name").text().to_owned()).collect::<Vec<_>>();
    let (init, main, extra) = (names("initContainers"), names("containers"), names("ephemeralContainers"));
    let all: Vec<String> = init.iter().chain(&main).chain(&extra).cloned().collect();
    let log = |c: &str| Log { pod: pod.clone(), container: c.to_owned() };
    if a.bool("all-containers") || a.bool("all-pods") && !a.given("container") {
        return Ok(all.iter().map(|c| log(c)).collect());
    }
    let wanted = container(a);
    if !wanted.is_empty() {
        if !all.contains(&wanted) {
            return fail(super::stream::invalid_container(&wanted, &pod));
        }
        return Ok(vec![log(&wanted)]);
    }
    let noted = pod.annotations().get("kubectl.kubernetes.io/default-container").text();
    let default = if main.iter().any(|c| c == noted) {
        noted.to_owned()
    } else {
        main.first().cloned().unwrap_or_default()
    };
    if all.len() > 1 && default != noted {
        cx.err(super::stream::defaulted(&pod, &default));
    }
    Ok(vec![log(&default)])
}

fn request(a: &Args, l: &Log) -> Result<Request, Error> {
    let path = format!("/api/v1/namespaces/{}/pods/{}/log", l.pod.namespace(), l.pod.name());
    let mut r = Request::get(path).with_query("container", l.container.as_str());
    for (flag, key) in [("follow", "follow"), ("previous", "previous"), ("timestamps", "timestamps")] {
        if a.bool(flag) {
            r = r.with_query(key, "true");
        }
    }
    if a.given("limit-bytes") {
        r = r.with_query("limitBytes", a.int("limit-bytes").to_string());
    }
    let tail = if a.given("tail") {
        a.int("tail")
    } else if a.str("selector").is_empty() {
        -1
    } else {
        10
    };
    if tail >= 0 {
        r = r.with_query("tailLines", tail.to_string());
    }
    let since = a.duration("since");
    if since > 0 {
        let s = since.unsigned_abs().div_ceil(1_000_000_000);
        r = r.with_query("sinceSeconds", s.to_string());
    }
    let time = a.str("since-time");
    if !time.is_empty() {
        if sim::Civil::parse(&time).is_none() {
            return Err(Error::Text(format!(
                "parsing time {0} as \"2006-01-02T15:04:05Z07:00\": cannot parse {0} as \"2006\"",
                gofmt::quote(&time)
            )));
        }
        r = r.with_query("sinceTime", time);
    }
    Ok(r)
}

#[derive(Clone, Debug)]
struct One {
    handle: Handle,
    prefix: String,
    rest: Vec<u8>,
}

/// Follows logs until all have ended.
#[derive(Clone, Debug)]
pub struct Follow {
    streams: Vec<One>,
}

impl Follow {
    /// One piece of one log.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let sources: Vec<Source> = self.streams.iter().map(|s| Source::Stream(s.handle)).collect();
        let Event::Packet(h, packet) = cx.select(&sources)? else { return Ok(None) };
        let Some(i) = self.streams.iter().position(|s| s.handle == h) else { return Ok(None) };
        match packet {
            Some(Packet::Message(Message::Data(_, d))) => {
                let s = &mut self.streams[i];
                show(cx, &s.prefix, &mut s.rest, &d, false);
            }
            Some(Packet::Message(Message::Close(_))) | None => {
                let mut s = self.streams.remove(i);
                show(cx, &s.prefix, &mut s.rest, &[], true);
                cx.close(h)?;
            }
            _ => {}
        }
        Ok(if self.streams.is_empty() { Some(0) } else { None })
    }
}
