//! `kubectl events`

use super::common::{ALL_NAMESPACES, CHUNK};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::describe;
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::print::{self, Printer};
use crate::resource::list_items;
use crate::tabwriter::TabWriter;
use crate::tasks::Task;
use api::Value;
use api::wire::{Message, Request};

/// The command.
pub static COMMAND: Command = Command {
    name: "events",
    group: Group::Troubleshooting,
    short: "List events",
    long: "Shows what happened lately: events of a namespace, or of all, by object and kind of event if asked.",
    usage: "events [(-o|--output=)json|yaml|kyaml|name|go-template|go-template-file|template|templatefile|jsonpath|\
            jsonpath-as-json|jsonpath-file] [--for TYPE/NAME] [--watch] [--types=Normal,Warning]",
    example: "# Of the namespace\nkubectl events\n\n# Of one pod, as they come\nkubectl events --for pod/web --watch\n\n# Only \
              warnings\nkubectl events --types=Warning",
    flags: &[
        &[
            ALL_NAMESPACES,
            CHUNK,
            flag("for", Kind::Str, "''", "Events of this object, TYPE/NAME."),
            switch("no-headers", "Leave out the headings."),
            flag("types", Kind::Slice, "[]", "Events of these kinds: Normal, Warning."),
            switch("watch", "Go on and show events as they come.").short('w'),
        ],
        print::FLAGS,
    ],
    run: Some(run),
    ..Command::EMPTY
};

/// What is shown, and how.
#[derive(Clone, Debug)]
struct View {
    types: Vec<String>,
    all_namespaces: bool,
    headings: bool,
    printer: Option<Printer>,
    widths: Vec<usize>,
}

/// Shows events as they come.
#[derive(Clone, Debug)]
pub struct Follow {
    handle: Handle,
    view: View,
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let printer = print::requested(cx, a, false)?;
    let types = a.list("types").to_vec();
    if types.iter().any(|t| !t.eq_ignore_ascii_case("normal") && !t.eq_ignore_ascii_case("warning")) {
        return Err(Error::text("valid --types are Normal or Warning").into());
    }
    let api = cx.api(a)?;
    let fields = about(cx, a, &api)?;
    let all = a.bool("all-namespaces");
    let path = if all {
        "/api/v1/events".to_owned()
    } else {
        format!("/api/v1/namespaces/{}/events", api.namespace)
    };
    let mut r = Request::get(path.as_str());
    if !fields.is_empty() {
        r = r.with_query("fieldSelector", fields.as_str());
    }
    let list = api.call(cx, r)?;
    let mut events: Vec<Value> = list_items(&list);
    let mut view =
        View { types, all_namespaces: all, headings: !a.bool("no-headers"), printer, widths: Vec::new() };
    events.retain(|e| view.wants(e));
    events.sort_by_key(last_seen);
    let watching = a.bool("watch");
    if events.is_empty() && !watching {
        if view.printer.is_none() {
            let text = if all {
                "No events found.\n".into()
            } else {
                format!("No events found in {} namespace.\n", api.namespace)
            };
            cx.err(text);
        }
        return Ok(());
    }
    if a.str("output") == "name" && !watching {
        // Upstream prints nothing at all for lists in this form.
        return Ok(());
    }
    if let Some(p) = &mut view.printer {
        if watching {
            for e in &events {
                p.print(cx, e, a.bool("show-managed-fields"))?;
            }
        } else {
            let v = api::obj!({"apiVersion": "v1", "items": events, "kind": "EventList", "metadata": list.get("metadata")});
            return p.print(cx, &v, a.bool("show-managed-fields"));
        }
    } else {
        view.show(cx, &events)?;
    }
    if !watching {
        return Ok(());
    }
    let mut r = Request::get(path)
        .with_query("watch", "true")
        .with_query("resourceVersion", list.at(&["metadata", "resourceVersion"]).text());
    if !fields.is_empty() {
        r = r.with_query("fieldSelector", fields);
    }
    let (handle, _) = api.stream(cx, r)?;
    Err(Stop::Enter(Box::new(Task::Events(Follow { handle, view }))))
}

/// The field selector of `--for`.
fn about(cx: &mut Cx<'_>, a: &Args, api: &Api) -> Done<String> {
    let text = a.str("for");
    if text.is_empty() {
        return Ok(String::new());
    }
    let Some((word, name)) = text.split_once('/').filter(|(w, n)| !w.is_empty() && !n.is_empty()) else {
        return Err(Error::text("--for must be in resource/name form").into());
    };
    let d = cx.discovery(api)?;
    let res = d.resolve(word).map_err(|_| {
        let (resource, group) = word.split_once('.').unwrap_or((word, ""));
        Error::NoResource { resource: resource.into(), group: group.into(), version: String::new() }
    })?;
    Ok(format!(
        "involvedObject.kind={},involvedObject.name={name},involvedObject.apiVersion={}",
        res.kind,
        res.api_version()
    ))
}

fn last_seen(e: &Value) -> String {
    for v in [e.at(&["series", "lastObservedTime"]), e.get("lastTimestamp"), e.get("eventTime")] {
        if let Some(c) = sim::Civil::parse(v.text()) {
            return c.rfc3339_micro();
        }
    }
    String::new()
}

impl View {
    fn wants(&self, e: &Value) -> bool {
        self.types.is_empty() || self.types.iter().any(|t| t.eq_ignore_ascii_case(e.get("type").text()))
    }

    fn show(&mut self, cx: &mut Cx<'_>, events: &[Value]) -> Done {
        let now = cx.civil()?;
        let mut w = TabWriter::table();
        w.remember(&self.widths);
        if core::mem::take(&mut self.headings) {
            let place = if self.all_namespaces { "NAMESPACE\t" } else { "" };
            w.write(&format!("{place}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n"));
        }
        for e in events {
            let o = e.get("involvedObject");
            let place = if self.all_namespaces { format!("{}\t", e.namespace()) } else { String::new() };
            w.write(&format!(
                "{place}{}\t{}\t{}\t{}/{}\t{}\n",
                describe::interval(e, &now),
                e.get("type").text(),
                e.get("reason").text(),
                o.get("kind").text(),
                o.get("name").text(),
                e.get("message").text().trim()
            ));
        }
        let (text, widths) = w.finish_with_widths();
        self.widths = widths;
        cx.out(text);
        Ok(())
    }
}

impl Follow {
    /// One event.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        match cx.select(&[Source::Stream(self.handle)])? {
            Event::Packet(_, Some(Packet::Message(Message::Event(e)))) => {
                let object = e.get("object");
                match e.get("type").text() {
                    "ERROR" => return Err(Error::Status(object.clone()).into()),
                    "ADDED" | "MODIFIED" if self.view.wants(object) => match &mut self.view.printer {
                        Some(p) => p.print(cx, object, false)?,
                        None => self.view.show(cx, core::slice::from_ref(object))?,
                    },
                    _ => {}
                }
                Ok(None)
            }
            Event::Packet(_, None) => Ok(Some(0)),
            _ => Ok(None),
        }
    }
}
