//! `kubectl wait`

use super::common::{ALL, ALL_NAMESPACES, FIELD_SELECTOR, FILES_BELOW, LOCAL, SELECTOR};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::discovery::Resource;
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print::{self, Printer};
use crate::resource::Builder;
use crate::tasks::Task;
use api::jsonpath::JsonPath;
use api::wire::{Message, Request};
use api::{Value, gofmt};
use sim::Instant;
use std::sync::Arc;

const FLAGS: &[Flag] = &[
    ALL,
    ALL_NAMESPACES,
    FIELD_SELECTOR,
    LOCAL,
    SELECTOR,
    flag(
        "for",
        Kind::Array,
        "[]",
        "What to wait for: create, delete, condition=name[=value] (the value is true unless given), or \
         jsonpath='{expression}'[=value]. May be given several times.",
    ),
    flag(
        "timeout",
        Kind::Duration,
        "30s",
        "How long to wait before giving up. Zero looks once, negative waits for a week.",
    ),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "wait",
    group: Group::Advanced,
    short: "Wait for a specific condition on one or many resources",
    long: "Waits until objects meet a condition, are made, or are gone.\n\n For a condition the status is looked at, for \
           deletion the object itself, for a JSONPath expression any field. A message is printed for each object that is \
           there.",
    usage: "wait ([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) \
            [--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]]",
    example: "# A ready pod\nkubectl wait --for=condition=Ready pod/web\n\n# A phase\nkubectl wait \
              --for=jsonpath='{.status.phase}'=Running pod/web\n\n# Gone\nkubectl delete pod/web --wait=false\nkubectl wait \
              --for=delete pod/web --timeout=60s",
    flags: &[FLAGS, FILES_BELOW, print::FLAGS],
    run: Some(run),
    ..Command::EMPTY
};

/// What is waited for.
#[derive(Clone, Debug)]
enum Want {
    Create,
    Delete,
    Condition(String, String),
    JsonPath(JsonPath, Option<String>),
}

fn fail<T>(s: impl Into<String>) -> Result<T, Error> {
    Err(Error::Text(s.into()))
}

fn want(text: &str) -> Result<Want, Error> {
    if text.eq_ignore_ascii_case("delete") {
        return Ok(Want::Delete);
    }
    if text.eq_ignore_ascii_case("create") {
        return Ok(Want::Create);
    }
    if let Some(rest) = text.strip_prefix("condition=") {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
        return Ok(Want::Condition(name.to_owned(), value.to_owned()));
    }
    if let Some(rest) = text.strip_prefix("jsonpath=") {
        return json_path(rest);
    }
    fail(format!("unrecognized condition: {}", gofmt::quote(text)))
}

fn json_path(rest: &str) -> Result<Want, Error> {
    const FORM: &str = "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or \
                        --for=jsonpath='{.status.readyReplicas}'";
    let end = match rest.find('}') {
        Some(i) if rest.starts_with('{') => i + 1,
        _ => rest.find('=').unwrap_or(rest.len()),
    };
    let (expression, value) = rest.split_at(end);
    let value = match value.strip_prefix('=') {
        Some("") => return fail("jsonpath wait has to have a value after equal sign"),
        Some(v) => Some(v.trim_matches(['\'', '"']).to_owned()),
        None if value.is_empty() => None,
        None => return fail(FORM),
    };
    if expression.is_empty() {
        return fail("jsonpath expression cannot be empty");
    }
    let relaxed = JsonPath::relaxed(expression)?;
    let path = JsonPath::parse(&relaxed)?;
    Ok(Want::JsonPath(path, value))
}

/// An object and what is still wanted of it.
#[derive(Clone, Debug)]
struct Item {
    res: Arc<Resource>,
    namespace: String,
    name: String,
    uid: String,
}

/// Waits for objects, one after the other.
#[derive(Clone, Debug)]
pub struct Waiting {
    api: Arc<Api>,
    wants: Vec<Want>,
    queue: Vec<Item>,
    /// Wants that the first item meets already.
    met: usize,
    /// Whether to look but once.
    once: bool,
    deadline: Instant,
    handle: Option<Handle>,
    printer: Printer,
    errors: Vec<Error>,
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let mut wants = Vec::new();
    for f in a.list("for") {
        wants.push(want(f)?);
    }
    if wants.is_empty() {
        return fail("unrecognized condition: []").map_err(Stop::Fail);
    }
    let printer = print::result_printer(cx, a, "condition met", print::DryRun::None)?;
    let api = cx.api(a)?;
    let builder = Builder::new(a, &a.words);
    if a.words.is_empty() && !builder.has_files() {
        builder.targets(cx, &api)?;
    }
    let deleting = wants.iter().any(|w| matches!(w, Want::Delete));
    let creating = wants.iter().any(|w| matches!(w, Want::Create));
    let limit = match a.duration("timeout") {
        ns if ns < 0 => 168 * api::duration::HOUR,
        ns => ns,
    };
    let deadline = cx.now()? + core::time::Duration::from_nanos(limit.unsigned_abs());
    let targets = builder.targets(cx, &api)?;
    let mut queue = Vec::new();
    let mut missing = false;
    for t in targets.items {
        let t = t?;
        if creating && let Some(name) = t.name.clone() {
            queue.push(Item { res: t.res, namespace: t.namespace, name, uid: String::new() });
            continue;
        }
        let one = crate::resource::Targets { items: vec![Ok(t)], ..Default::default() };
        for r in builder.fetch(cx, &api, one)? {
            match r {
                Ok(i) => queue.push(Item {
                    uid: i.object.uid().to_owned(),
                    res: i.res,
                    namespace: i.namespace,
                    name: i.name,
                }),
                Err(e) if e.is_not_found() && deleting => missing = true,
                Err(e) => return Err(e.into()),
            }
        }
    }
    if queue.is_empty() {
        if deleting || missing {
            return Ok(());
        }
        return Err(Error::text("no matching resources found").into());
    }
    let task = Waiting {
        api,
        wants,
        queue,
        met: 0,
        once: limit == 0,
        deadline,
        handle: None,
        printer,
        errors: Vec::new(),
    };
    Err(Stop::Enter(Box::new(Task::Wait(task))))
}

impl Waiting {
    /// Looks at the first object, or takes an event of its watch.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let Some(item) = self.queue.first().cloned() else {
            return match Error::many(core::mem::take(&mut self.errors)) {
                Some(e) => Err(e.into()),
                None => Ok(Some(0)),
            };
        };
        let Some(handle) = self.handle else { return self.open(cx, &item) };
        match cx.select(&[Source::Stream(handle), Source::Until(self.deadline)])? {
            Event::Time => {
                cx.close(handle)?;
                self.expired(&item);
            }
            Event::Packet(_, Some(Packet::Message(Message::Event(e)))) => {
                let object = e.get("object").clone();
                match e.get("type").text() {
                    "DELETED" if !matches!(self.wants.get(self.met), Some(Want::Delete)) => {
                        cx.close(handle)?;
                        let label = format!("{} {}", item.res.kind_name(), gofmt::quote(&item.name));
                        self.errors.push(Error::Text(format!("{label} was deleted")));
                        self.next();
                    }
                    "DELETED" => self.look(cx, &item, None, Some(&object))?,
                    "ADDED" | "MODIFIED" => self.look(cx, &item, Some(&object), None)?,
                    "ERROR" => {
                        cx.close(handle)?;
                        self.handle = None;
                    }
                    _ => {}
                }
                if self.queue.first().is_none_or(|f| f.name != item.name || f.uid != item.uid) {
                    cx.close(handle)?;
                }
            }
            Event::Packet(_, None) => self.handle = None,
            _ => {}
        }
        Ok(None)
    }

    fn open(&mut self, cx: &mut Cx<'_>, item: &Item) -> Done<Option<i32>> {
        let r = self.api.get(cx, &item.res.path(&item.namespace, &item.name));
        let live = match cx.catch(r)? {
            Ok(v) => Some(v),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e.into()),
        };
        let before = self.queue.len();
        self.look(cx, item, live.as_ref(), None)?;
        if self.queue.len() < before {
            return Ok(None);
        }
        if cx.now()? >= self.deadline {
            self.expired(item);
            return Ok(None);
        }
        let mut r = Request::get(item.res.path(&item.namespace, ""))
            .with_query("watch", "true")
            .with_query("fieldSelector", format!("metadata.name={}", item.name));
        if let Some(v) = &live {
            r = r.with_query("resourceVersion", v.at(&["metadata", "resourceVersion"]).text());
        }
        let (h, _) = self.api.stream(cx, r)?;
        self.handle = Some(h);
        Ok(None)
    }

    /// Takes note of the object as it is now; `None` where it is gone.
    fn look(&mut self, cx: &mut Cx<'_>, item: &Item, live: Option<&Value>, last: Option<&Value>) -> Done {
        while let Some(w) = self.wants.get(self.met) {
            let ok = match (w, live) {
                (Want::Create, v) => v.is_some(),
                (Want::Delete, v) => v.is_none_or(|v| !item.uid.is_empty() && v.uid() != item.uid),
                (_, None) => false,
                (Want::Condition(name, value), Some(v)) => condition(v, name, value),
                (Want::JsonPath(path, value), Some(v)) => matches(path, value.as_deref(), v)?,
            };
            if !ok {
                return Ok(());
            }
            self.met += 1;
        }
        let mut shown = live.or(last).cloned().unwrap_or_default();
        if shown.name().is_empty() {
            shown = api::obj!({
                "apiVersion": item.res.api_version(), "kind": item.res.kind.clone(), "metadata": {"name": item.name.as_str()}
            });
        }
        self.printer.print(cx, &shown, false)?;
        self.next();
        Ok(())
    }

    fn expired(&mut self, item: &Item) {
        let name = format!("{}/{}", item.res.name, item.name);
        self.errors.push(Error::Text(match self.wants.get(self.met) {
            Some(Want::Create) => "timed out waiting for the condition".to_owned(),
            _ if self.once => format!("condition not met for {name}"),
            _ => format!("timed out waiting for the condition on {name}"),
        }));
        self.next();
    }

    fn next(&mut self) {
        self.queue.remove(0);
        self.handle = None;
        self.met = 0;
    }
}

fn condition(v: &Value, name: &str, value: &str) -> bool {
    let list = v.at(&["status", "conditions"]);
    let Some(c) = list.items().find(|c| c.get("type").text().eq_ignore_ascii_case(name)) else {
        return false;
    };
    let observed = match c.get("observedGeneration") {
        Value::Null => v.at(&["status", "observedGeneration"]),
        o => o,
    };
    if observed.is_some() && observed.int() < v.generation() {
        return false;
    }
    c.get("status").text().eq_ignore_ascii_case(value)
}

fn matches(path: &JsonPath, value: Option<&str>, v: &Value) -> Result<bool, Error> {
    let found: Vec<Value> = path.find(v)?.into_iter().flatten().collect();
    let Some(want) = value else { return Ok(!found.is_empty()) };
    match found.as_slice() {
        [] => Ok(false),
        [one @ (Value::Map(_) | Value::List(_))] => fail(format!(
            "jsonpath leads to a nested object or list which is not supported: {}",
            one.to_json()
        )),
        [one] => Ok(gofmt::value(one) == want),
        _ => fail("given jsonpath expression matches more than one value"),
    }
}
