//! `kubectl delete`

use super::common::{
    ALL, ALL_NAMESPACES, CASCADE, DELETION, FIELD_SELECTOR, FILES, SELECTOR, delete_options, propagation,
};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{DRY_RUN, DryRun, dry_run, dry_run_suffix};
use crate::resource::{Builder, Info, Targets};
use crate::tasks::Task;
use api::wire::{Body, Message, Method, Request};
use api::{Value, gofmt};
use sim::Instant;
use std::sync::Arc;

const FLAGS: &[Flag] = &[
    ALL,
    ALL_NAMESPACES,
    CASCADE,
    DRY_RUN,
    FIELD_SELECTOR,
    SELECTOR,
    DELETION[1],
    DELETION[2],
    DELETION[3],
    switch("wait", "Return only when the objects are gone. This waits for finalizers too.").on(),
    switch("ignore-not-found", "What is not there counts as deleted. On by itself with --all."),
    switch("interactive", "Ask before deleting.").short('i'),
    switch("now", "End objects at once, as --grace-period=1 does."),
    flag("output", Kind::Str, "''", "With \"-o name\" only type and name are printed.").short('o'),
    flag("raw", Kind::Str, "''", "Path to send a DELETE to, the answer printed as it is."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "delete",
    group: Group::Intermediate,
    short: "Delete resources by file names, stdin, resources and names, or by resources and label selector",
    long: "Deletes objects named by files, standard input, types and names, or types and a label selector.\n\n Many objects \
           end gracefully: pods get their grace period to stop in. --grace-period shortens it; --force with a period of 0 \
           takes objects away without waiting for any confirmation, and what ran may go on running.\n\n The command does not \
           check versions: a change that someone makes at the same time is lost with the object.",
    usage: "delete ([-f FILENAME] | [-k DIRECTORY] | TYPE [(NAME | -l label | --all)])",
    example: "# The objects of a file\nkubectl delete -f ./web.yaml\n\n# Pods and services named web\nkubectl delete pod,service \
              web\n\n# Everything with a label\nkubectl delete pods,services -l app=web\n\n# At once\nkubectl delete pod web \
              --now\n\n# All pods of the namespace\nkubectl delete pods --all",
    flags: &[FLAGS, FILES],
    run: Some(run),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let dry = dry_run(cx, a)?;
    let raw = a.str("raw");
    if !raw.is_empty() {
        let api = cx.api(a)?;
        let v = api.call(cx, Request::new(Method::Delete, raw))?;
        cx.out(api::gostruct::to_json(crate::print::type_of(&v), &v) + "\n");
        return Ok(());
    }
    let output = a.str("output");
    if !output.is_empty() && output != "name" {
        return fail(format!("unexpected -o output mode: {output}. We only support '-o name'"));
    }
    let selected = a.given("selector") && !a.str("selector").is_empty();
    if a.bool("all") && (selected || !a.str("field-selector").is_empty()) {
        return fail("setting 'all' parameter but found a non empty selector. ");
    }
    let mut how = how(cx, a, dry, true)?;
    how.quiet = output == "name";
    let builder = Builder::new(a, &a.words).select_all(a.bool("all"));
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    let ignore = a.bool("ignore-not-found") || (a.bool("all") && !a.given("ignore-not-found"));
    let infos = live(cx, &api, &builder, targets)?;
    if a.bool("interactive") && !confirmed(cx, &infos)? {
        cx.out("deletion is cancelled\n");
        return Ok(());
    }
    if infos.is_empty() {
        cx.out("No resources found\n");
        return Ok(());
    }
    delete_all(cx, &api, infos, &how, ignore, a.bool("wait"), a.duration("timeout"))
}

/// How to delete.
#[derive(Clone, Debug)]
pub struct How {
    /// Grace period in seconds, negative for the object's own.
    pub grace: i64,
    /// What becomes of owned objects.
    pub propagation: &'static str,
    /// For real or not.
    pub dry: DryRun,
    /// Print type and name alone.
    pub quiet: bool,
    /// Print "force deleted".
    pub forced: bool,
}

/// Reads the flags of a deletion.
pub fn how(cx: &mut Cx<'_>, a: &Args, dry: DryRun, warn: bool) -> Done<How> {
    let mut grace = a.int("grace-period");
    let force = a.bool("force");
    if a.bool("now") {
        if grace != -1 {
            return fail("--now and --grace-period cannot be specified together");
        }
        grace = 1;
    }
    if grace == 0 && !force {
        grace = 1;
    }
    if force && grace < 0 {
        grace = 0;
    }
    if force && grace > 0 {
        return fail("--force and --grace-period greater than 0 cannot be specified together");
    }
    if force && grace == 0 && warn {
        cx.warn(
            "Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource \
             may continue to run on the cluster indefinitely.",
        );
    }
    Ok(How { grace, propagation: propagation(a)?, dry, quiet: false, forced: force && grace == 0 })
}

/// The objects of lists are fetched; named ones are taken at their word.
fn live(cx: &mut Cx<'_>, api: &Api, builder: &Builder, targets: Targets) -> Done<Vec<Result<Info, Error>>> {
    let mut out = Vec::new();
    for t in targets.items {
        match t {
            Ok(t) if t.name.is_none() => {
                let list = Targets { items: vec![Ok(t)], ..Targets::default() };
                out.extend(builder.fetch(cx, api, list)?);
            }
            Ok(t) => out.push(Ok(Info::from(t))),
            Err(e) => out.push(Err(e)),
        }
    }
    Ok(out)
}

fn confirmed(cx: &mut Cx<'_>, infos: &[Result<Info, Error>]) -> Done<bool> {
    let named: Vec<&Info> = infos.iter().flatten().collect();
    cx.out(format!("You are about to delete the following {} resource(s):\n", named.len()));
    for i in named {
        cx.out(format!("{}\n", i.label()));
    }
    cx.out("Do you want to continue? (y/N): ");
    let Event::Stdin(b) = cx.select(&[Source::Stdin])? else { return Ok(false) };
    Ok(String::from_utf8_lossy(&b).trim().eq_ignore_ascii_case("y"))
}

/// Deletes objects, says so, and waits for their end where that is wanted.
pub fn delete_all(
    cx: &mut Cx<'_>,
    api: &Arc<Api>,
    infos: Vec<Result<Info, Error>>,
    how: &How,
    ignore_not_found: bool,
    wait: bool,
    timeout_ns: i64,
) -> Done {
    let mut errors = Vec::new();
    let mut gone = Vec::new();
    for i in infos {
        let i = match i {
            Ok(i) => i,
            Err(e) => {
                errors.push(e);
                continue;
            }
        };
        let r = delete_one(cx, api, &i, how);
        match cx.catch(r)? {
            Ok(uid) => {
                cx.out(told(&i, how));
                if how.dry == DryRun::None && (!uid.is_empty() || i.object.is_some()) {
                    gone.push(Going {
                        path: i.path(),
                        list: i.res.path(&i.namespace, ""),
                        name: i.name.clone(),
                        uid,
                    });
                }
            }
            Err(e) if e.is_not_found() && ignore_not_found => {}
            Err(e) => errors.push(i.wrap("deleting", e)),
        }
    }
    if let Some(e) = Error::many(errors) {
        return Err(e.into());
    }
    if !wait || gone.is_empty() {
        return Ok(());
    }
    // Without a timeout kubectl waits for a week.
    let limit = if timeout_ns > 0 { timeout_ns } else { 168 * api::duration::HOUR };
    let deadline = cx.now()? + core::time::Duration::from_nanos(limit.unsigned_abs());
    Err(Stop::Enter(Box::new(Task::Gone(Gone {
        api: api.clone(),
        queue: gone,
        handle: None,
        deadline,
        then: 0,
    }))))
}

/// The line that tells of a deletion.
fn told(i: &Info, how: &How) -> String {
    if how.quiet {
        return format!("{}\n", i.label());
    }
    let force = if how.forced { "force " } else { "" };
    let place = if i.res.namespaced && !i.namespace.is_empty() {
        format!(" from {} namespace", i.namespace)
    } else {
        String::new()
    };
    format!(
        "{} {} {force}deleted{place}{}\n",
        i.res.kind_name(),
        gofmt::quote(&i.name),
        dry_run_suffix(how.dry)
    )
}

/// Deletes one object; gives its uid, as far as the server tells.
fn delete_one(cx: &mut Cx<'_>, api: &Api, i: &Info, how: &How) -> Done<String> {
    if i.name.is_empty() {
        return fail("resource name may not be empty");
    }
    if how.dry == DryRun::Client {
        return Ok(String::new());
    }
    let body = delete_options(how.grace, how.propagation, how.dry);
    let r = Request::new(Method::Delete, i.path())
        .with_header("accept", "application/json")
        .with_header("content-type", "application/json")
        .with_body(Body::Object(body));
    let v = api.call(cx, r)?;
    Ok(match v.kind() {
        "Status" => v.at(&["details", "uid"]).text().to_owned(),
        _ => v.uid().to_owned(),
    })
}

/// An object whose end is awaited.
#[derive(Clone, Debug)]
pub struct Going {
    /// The object's path.
    pub path: String,
    /// The path of the list it is in.
    pub list: String,
    /// Its name.
    pub name: String,
    /// Its uid; another means that this one is gone.
    pub uid: String,
}

/// Waits until objects are gone, one after the other.
#[derive(Clone, Debug)]
pub struct Gone {
    /// The server.
    pub api: Arc<Api>,
    /// Objects, the first being awaited.
    pub queue: Vec<Going>,
    /// The watch on the first.
    pub handle: Option<Handle>,
    /// When to give up.
    pub deadline: Instant,
    /// Exit code at the end.
    pub then: i32,
}

impl Gone {
    /// Looks at the first object, or takes an event of its watch.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let Some(first) = self.queue.first().cloned() else { return Ok(Some(self.then)) };
        let Some(handle) = self.handle else {
            let r = self.api.get(cx, &first.path);
            match cx.catch(r)? {
                Ok(v) if first.uid.is_empty() || v.uid() == first.uid => {
                    let r = Request::get(first.list.as_str())
                        .with_query("watch", "true")
                        .with_query("fieldSelector", format!("metadata.name={}", first.name))
                        .with_query("resourceVersion", v.at(&["metadata", "resourceVersion"]).text());
                    let (h, _) = self.api.stream(cx, r)?;
                    self.handle = Some(h);
                }
                Ok(_) => self.next(),
                Err(e) if e.is_not_found() => self.next(),
                Err(e) => return Err(e.into()),
            }
            return Ok(None);
        };
        match cx.select(&[Source::Stream(handle), Source::Until(self.deadline)])? {
            Event::Time => {
                cx.close(handle)?;
                Err(Error::Text(format!("timed out waiting for the condition on {}", first.path_label()))
                    .into())
            }
            Event::Packet(_, Some(Packet::Message(Message::Event(e)))) => {
                let gone = e.get("type").text() == "DELETED"
                    || (!first.uid.is_empty()
                        && e.get("object").uid() != first.uid
                        && e.get("object").is_some());
                if gone || e.get("type").text() == "ERROR" {
                    cx.close(handle)?;
                    self.handle = None;
                    if gone {
                        self.next();
                    }
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

    fn next(&mut self) {
        self.queue.remove(0);
        self.handle = None;
    }
}

impl Going {
    /// `pods/web`
    fn path_label(&self) -> String {
        let plural = self.list.rsplit('/').next().unwrap_or("");
        format!("{plural}/{}", self.name)
    }
}

/// The uid of an object, for others that wait.
pub fn going(i: &Info, v: &Value) -> Going {
    Going {
        path: i.path(),
        list: i.res.path(&i.namespace, ""),
        name: i.name.clone(),
        uid: v.uid().to_owned(),
    }
}
