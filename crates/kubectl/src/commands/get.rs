//! `kubectl get`

use super::common::{ALL_NAMESPACES, CHUNK, FIELD_SELECTOR, FILES, SELECTOR};
use crate::client::{self, Api};
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, Printer, sort, table};
use crate::resource::{Builder, Target, list_items};
use crate::tabwriter::TabWriter;
use crate::tasks::Task;
use crate::{complete, discovery::Resource};
use api::wire::{Message, Method, Request};
use api::{Value, gofmt, obj};
use sim::Instant;
use std::sync::Arc;

const FLAGS: &[Flag] = &[
    ALL_NAMESPACES,
    CHUNK,
    FIELD_SELECTOR,
    SELECTOR,
    switch("ignore-not-found", "Say nothing of named objects that are not there. Lists are not affected."),
    flag(
        "label-columns",
        Kind::Slice,
        "[]",
        "Labels, with commas between, to show as columns; may be given several times.",
    )
    .short('L'),
    switch("no-headers", "Leave out the headings of tables and of custom columns."),
    switch(
        "output-watch-events",
        "With --watch or --watch-only, show the events too. What is there already counts as ADDED.",
    ),
    flag("raw", Kind::Str, "''", "Path to ask the server for, printed as it answers."),
    switch("server-print", "Have the server make the table.").on(),
    switch("show-kind", "Put the type before each name."),
    switch("show-labels", "Show all labels in a last column."),
    flag(
        "sort-by",
        Kind::Str,
        "''",
        "Sort lists by this field, a JSONPath expression such as '{.metadata.name}' that leads to a \
          number or a text.",
    ),
    flag("subresource", Kind::Str, "''", "Fetch this subresource of the object."),
    switch("watch", "After listing, go on and show every change.").short('w'),
    switch("watch-only", "Show every change, without listing first."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "get",
    group: Group::Intermediate,
    short: "Display one or many resources",
    long: "Shows objects of one or many types as a table, or in another format.\n\n What is gone from the server is not \
           shown. A type may be named by its plural, singular, short name or kind.\n\nUse \"kubectl api-resources\" for a \
           list of the types.",
    usage: "get [(-o|--output=)json|yaml|kyaml|name|go-template|go-template-file|template|templatefile|jsonpath|\
            jsonpath-as-json|jsonpath-file|custom-columns|custom-columns-file|wide] (TYPE[.VERSION][.GROUP] [NAME | -l label] \
            | TYPE[.VERSION][.GROUP]/NAME ...) [flags]",
    example: "# All pods of the namespace\nkubectl get pods\n\n# With nodes and addresses\nkubectl get pods -o wide\n\n# One \
              deployment as YAML\nkubectl get deployment web -o yaml\n\n# Services and pods with a label\nkubectl get \
              svc,pods -l app=web\n\n# Names and images in columns\nkubectl get pods -o \
              custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image\n\n# Every change from now on\nkubectl get \
              pods --watch",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(run),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let raw = a.str("raw");
    if !raw.is_empty() {
        if a.given("output") {
            return Err(a_text("--raw and --output are mutually exclusive"));
        }
        return raw_get(cx, a, &raw);
    }
    if a.str("output").split('=').next() == Some("jsonpath")
        && a.given("output")
        && !a.str("output").contains('=')
    {
        return Err(Error::text("template format specified but no template given").into());
    }
    let printer = print::requested(cx, a, true)?;
    let builder = Builder::new(a, &a.words).allow_empty_selector().any_namespace();
    if a.words.is_empty() && !builder.has_files() {
        cx.err(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported \
             resources.\n\n",
        );
        return Err(a.usage(
            "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that \
             resource (e.g. kubectl explain pods).",
        ));
    }
    let watching = a.bool("watch") || a.bool("watch-only");
    if a.bool("output-watch-events") && !watching {
        return Err(a_text("--output-watch-events option can only be used with --watch or --watch-only"));
    }
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    if !a.str("subresource").is_empty() && targets.items.iter().flatten().any(|t| t.name.is_none()) {
        return Err(a_text("subresource cannot be used when bulk resources are specified"));
    }
    if watching {
        return watch(cx, a, &api, &builder, targets.items, printer);
    }
    match printer {
        Some(p) => generic(cx, a, &api, &builder, targets, p),
        None => tables(cx, a, &api, &builder, targets.items),
    }
}

fn raw_get(cx: &mut Cx<'_>, a: &Args, raw: &str) -> Done {
    if !a.words.is_empty() {
        return Err(a_text("arguments may not be passed when --raw is specified"));
    }
    if !raw.starts_with('/') {
        return Err(a_text(format!(
            "--raw must be a valid URL path: parse {}: invalid URI for request",
            gofmt::quote(raw)
        )));
    }
    let api = cx.api(a)?;
    let r = Request::of_target(Method::Get, raw);
    let answer = api.send(cx, r)?;
    if !answer.is_ok() {
        return Err(client::failure(&answer).into());
    }
    match &answer.body {
        api::wire::Body::Bytes(b) => cx.out_bytes(b),
        body => {
            let api::wire::Body::Object(v) = body else { return Ok(()) };
            // The server prints answers in the order of its structs.
            let json = match v.kind() {
                "APIVersions" | "APIGroup" | "APIGroupList" | "APIResourceList" => {
                    let order = [
                        "kind",
                        "apiVersion",
                        "name",
                        "versions",
                        "serverAddressByClientCIDRs",
                        "preferredVersion",
                        "groupVersion",
                        "resources",
                        "groups",
                    ];
                    super::version::raw_json(v, &order)
                }
                _ => api::gostruct::to_json(print::type_of(v), v),
            };
            cx.out(json);
            cx.out("\n");
        }
    }
    Ok(())
}

fn a_text(s: impl Into<String>) -> Stop {
    Stop::Fail(Error::Text(s.into()))
}

fn object_path(t: &Target, name: &str, a: &Args) -> String {
    let sub = a.str("subresource");
    let path = t.res.path(&t.namespace, name);
    if sub.is_empty() { path } else { format!("{path}/{sub}") }
}

/// Everything but tables: objects, in a list where not exactly one was named.
fn generic(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    builder: &Builder,
    targets: crate::resource::Targets,
    mut printer: Printer,
) -> Done {
    let mut errors = Vec::new();
    let mut objects: Vec<Value> = Vec::new();
    let single = targets.single && targets.items.len() == 1;
    for t in targets.items {
        let result = match t {
            Ok(t) => match &t.name {
                Some(n) => {
                    let r = api.get(cx, &object_path(&t, n, a)).map(|v| vec![v]);
                    cx.catch(r)?
                }
                None => {
                    let pages = builder.list(cx, api, &t, "application/json");
                    cx.catch(pages)?.map(|p| p.iter().flat_map(list_items).collect())
                }
            },
            Err(e) => Err(Error::Plain(e.message())),
        };
        match result {
            Ok(v) => objects.extend(v),
            Err(e) if e.is_not_found() && a.bool("ignore-not-found") => {}
            Err(e) => errors.push(e),
        }
    }
    let by = a.str("sort-by");
    if !by.is_empty() {
        let order = sort::order(&objects, &by)?;
        objects = order.into_iter().map(|i| objects[i].clone()).collect();
    }
    let keep = a.bool("show-managed-fields");
    if single {
        if let Some(v) = objects.first() {
            printer.print(cx, v, keep)?;
        }
    } else if objects.is_empty() && !errors.is_empty() {
        // Nothing but errors.
    } else {
        printer.print(cx, &print::list_of(objects), keep)?;
    }
    match Error::many(errors) {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}

fn style(a: &Args) -> table::Style {
    table::Style {
        wide: a.str("output") == "wide",
        namespace: a.bool("all-namespaces"),
        kind: String::new(),
        no_headers: a.bool("no-headers"),
        labels: a.bool("show-labels"),
        label_columns: a.list("label-columns").to_vec(),
        events: a.bool("output-watch-events"),
    }
}

/// A Table of an object or list that the server gave as it is.
fn as_table(v: Value, now: &sim::Civil) -> Value {
    if v.kind() == "Table" {
        return v;
    }
    let items = if v.kind().ends_with("List") { list_items(&v) } else { vec![v] };
    let rows: Value = items
        .iter()
        .map(|i| {
            let made = i.at(&["metadata", "creationTimestamp"]);
            obj!({"cells": [i.name(), crate::describe::since(made, now)], "object": {"metadata": i.get("metadata")}})
        })
        .collect();
    obj!({"kind": "Table", "columnDefinitions": [{"name": "Name"}, {"name": "Age"}], "rows": rows})
}

fn tables(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    builder: &Builder,
    targets: Vec<Result<Target, Error>>,
) -> Done {
    let by = a.str("sort-by");
    let mut errors = Vec::new();
    let mut found: Vec<(Arc<Resource>, Value)> = Vec::new();
    let mut all_namespaced = !a.bool("all-namespaces");
    for t in targets {
        let result = match t {
            Ok(t) => {
                let tables = fetch_tables(cx, a, api, builder, &t, !by.is_empty());
                let tables = cx.catch(tables)?;
                tables.map(|tables| {
                    all_namespaced &= t.res.namespaced;
                    found.extend(tables.into_iter().map(|v| (t.res.clone(), v)));
                })
            }
            Err(e) => Err(Error::Plain(e.message())),
        };
        match result {
            Ok(()) => {}
            Err(e) if e.is_not_found() && a.bool("ignore-not-found") => {}
            Err(e) => errors.push(e),
        }
    }
    let mut kinds: Vec<&Arc<Resource>> = Vec::new();
    for (r, _) in &found {
        if !kinds.contains(&r) {
            kinds.push(r);
        }
    }
    let with_kind = a.bool("show-kind") || kinds.len() > 1;
    if !by.is_empty() {
        // Rows of different tables are not compared.
        if found.len() < 2 {
            // What cannot be sorted is not shown.
            if sort_tables(&mut found, &by).is_err() {
                found.clear();
            }
        } else {
            // Several tables are sorted as objects of their own.
            let tables: Vec<Value> = found.iter().map(|(_, t)| t.clone()).collect();
            sort::order(&tables, &by)?;
        }
    }
    let mut style = style(a);
    let mut written = false;
    let mut i = 0;
    while i < found.len() {
        let res = found[i].0.clone();
        let mut w = TabWriter::table();
        style.kind = if with_kind { res.kind_name() } else { String::new() };
        style.namespace = a.bool("all-namespaces") && res.namespaced;
        let mut headings = true;
        while i < found.len() && found[i].0 == res {
            let t = &found[i].1;
            if !t.get("rows").is_empty() {
                table::write(&mut w, t, &style, headings);
                headings = false;
            }
            i += 1;
        }
        if !headings {
            if written && !style.no_headers {
                cx.out("\n");
            }
            cx.out(w.finish());
            written = true;
        }
    }
    if !written && errors.is_empty() && !a.bool("ignore-not-found") {
        let text = if all_namespaced {
            format!("No resources found in {} namespace.\n", api.namespace)
        } else {
            "No resources found\n".to_owned()
        };
        cx.err(text);
    }
    match Error::many(errors) {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}

fn fetch_tables(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    builder: &Builder,
    t: &Target,
    objects: bool,
) -> Done<Vec<Value>> {
    let now = cx.civil()?;
    let accept = if a.bool("server-print") { table::ACCEPT } else { "application/json" };
    match &t.name {
        Some(n) => {
            let mut r = Request::get(object_path(t, n, a)).with_header("accept", accept);
            if objects && a.bool("server-print") {
                r = r.with_query("includeObject", "Object");
            }
            Ok(vec![as_table(api.call(cx, r)?, &now)])
        }
        None if objects && a.bool("server-print") => {
            let r = builder
                .list_request(t)
                .with_header("accept", table::ACCEPT)
                .with_query("includeObject", "Object");
            let r = api.call(cx, r);
            let v = cx.catch(r)?.map_err(|e| builder.list_error(t, e))?;
            Ok(vec![as_table(v, &now)])
        }
        None => Ok(builder.list(cx, api, t, accept)?.into_iter().map(|v| as_table(v, &now)).collect()),
    }
}

/// Sorts the rows of all tables by a field of their objects.
fn sort_tables(found: &mut Vec<(Arc<Resource>, Value)>, by: &str) -> Result<(), Error> {
    let mut rows: Vec<(Arc<Resource>, Value, Value)> = Vec::new();
    for (r, t) in found.iter() {
        for row in t.get("rows").items() {
            let mut bare = t.clone();
            bare.insert("rows", vec![row.clone()]);
            rows.push((r.clone(), bare, row.get("object").clone()));
        }
    }
    let objects: Vec<Value> = rows.iter().map(|r| r.2.clone()).collect();
    let order = sort::order(&objects, by)?;
    if rows.is_empty() {
        return Ok(());
    }
    *found = order.into_iter().map(|i| (rows[i].0.clone(), rows[i].1.clone())).collect();
    Ok(())
}

/// A watch that goes on until the server ends it.
#[derive(Clone, Debug)]
pub struct Watch {
    handle: Handle,
    printer: Option<Printer>,
    style: table::Style,
    /// Columns shown, by their index.
    shown: Vec<usize>,
    widths: Vec<usize>,
    headings: bool,
    keep_managed: bool,
    with_events: bool,
    /// When `--request-timeout` ends it.
    deadline: Option<Instant>,
}

/// When `--request-timeout` ends a watch.
fn timeout(cx: &mut Cx<'_>, a: &Args) -> Done<Option<Instant>> {
    let text = a.str("request-timeout");
    let ns = match text.parse::<i64>() {
        Ok(s) => s.saturating_mul(api::duration::SECOND),
        Err(_) => api::duration::parse(&text).unwrap_or(0),
    };
    if ns <= 0 {
        return Ok(None);
    }
    Ok(Some(cx.now()? + core::time::Duration::from_nanos(ns.unsigned_abs())))
}

fn watch(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    builder: &Builder,
    targets: Vec<Result<Target, Error>>,
    printer: Option<Printer>,
) -> Done {
    let mut list = Vec::new();
    for t in targets {
        list.push(t?);
    }
    if list.len() != 1 {
        return Err(a_text("you may only specify a single resource type"));
    }
    let t = list.remove(0);
    let human = printer.is_none();
    let accept = if human { table::ACCEPT } else { "application/json" };
    let mut w = Watch {
        handle: 0,
        printer,
        style: style(a),
        shown: Vec::new(),
        widths: Vec::new(),
        headings: true,
        keep_managed: a.bool("show-managed-fields"),
        with_events: a.bool("output-watch-events"),
        deadline: timeout(cx, a)?,
    };
    w.style.namespace &= t.res.namespaced;
    if a.bool("show-kind") {
        w.style.kind = t.res.kind_name();
    }
    let version = initial(cx, a, api, builder, &t, accept, &mut w)?;
    let mut r = builder.list_request(&t).with_query("watch", "true").with_header("accept", accept);
    r.query.retain(|(k, _)| k != "limit");
    if let Some(n) = &t.name {
        r = r.with_query("fieldSelector", format!("metadata.name={n}"));
    }
    if !version.is_empty() {
        r = r.with_query("resourceVersion", version);
    }
    let (handle, _) = api.stream(cx, r)?;
    w.handle = handle;
    Err(Stop::Enter(Box::new(Task::Watch(w))))
}

/// Prints what is there already; gives the version from which to watch.
fn initial(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &Api,
    builder: &Builder,
    t: &Target,
    accept: &str,
    w: &mut Watch,
) -> Done<String> {
    let silent = a.bool("watch-only");
    let mut version = String::new();
    match &t.name {
        Some(n) => {
            let r = Request::get(object_path(t, n, a)).with_header("accept", accept);
            let v = api.call(cx, r)?;
            version = match v.get("rows")[0].at(&["object", "metadata", "resourceVersion"]).text() {
                "" => v.at(&["metadata", "resourceVersion"]).text().to_owned(),
                rv => rv.to_owned(),
            };
            if !silent {
                w.show(cx, &v, "ADDED")?;
            }
        }
        None => {
            for page in builder.list(cx, api, t, accept)? {
                version = page.at(&["metadata", "resourceVersion"]).text().to_owned();
                if silent {
                    continue;
                }
                if w.printer.is_some() {
                    for v in list_items(&page) {
                        w.show(cx, &v, "ADDED")?;
                    }
                } else {
                    w.show(cx, &page, "ADDED")?;
                }
            }
        }
    }
    Ok(version)
}

impl Watch {
    /// A watch whose stream is open already and whose events print by `printer`.
    pub fn of(handle: Handle, printer: Printer) -> Watch {
        Watch {
            handle,
            printer: Some(printer),
            style: table::Style::default(),
            shown: Vec::new(),
            widths: Vec::new(),
            headings: true,
            keep_managed: false,
            with_events: false,
            deadline: None,
        }
    }

    fn show(&mut self, cx: &mut Cx<'_>, v: &Value, event: &str) -> Done {
        if let Some(p) = &mut self.printer {
            if self.with_events {
                // Fields' managers are left out of objects alone, not of events.
                if matches!(p, Printer::Json) {
                    cx.out(format!("{{\"type\":{},\"object\":{}}}\n", gofmt::quote(event), v.to_json()));
                    return Ok(());
                }
                let wrapped = obj!({"object": v, "type": event});
                return p.print(cx, &wrapped, true);
            }
            return p.print(cx, v, self.keep_managed);
        }
        let mut w = TabWriter::table();
        w.remember(&self.widths);
        if !v.get("columnDefinitions").is_empty() {
            self.shown = table::shown(v, self.style.wide);
        }
        if self.headings && !v.get("rows").is_empty() {
            let mut bare = v.clone();
            bare.insert("rows", Value::list());
            table::write(&mut w, &bare, &self.style, true);
            self.headings = false;
        }
        for row in v.get("rows").items() {
            table::row(&mut w, row, &self.shown, &self.style, event);
        }
        let (text, widths) = w.finish_with_widths();
        self.widths = widths;
        cx.out(text);
        Ok(())
    }

    /// One event.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let mut sources = vec![Source::Stream(self.handle)];
        sources.extend(self.deadline.map(Source::Until));
        match cx.select(&sources)? {
            Event::Time => Ok(Some(0)),
            Event::Packet(_, Some(Packet::Message(Message::Event(e)))) => {
                let object = e.get("object");
                match e.get("type").text() {
                    "ERROR" => return Err(Error::Status(object.clone()).into()),
                    "BOOKMARK" => {}
                    kind => {
                        let v = if self.printer.is_none() {
                            as_table(object.clone(), &cx.civil()?)
                        } else {
                            object.clone()
                        };
                        self.show(cx, &v, kind)?;
                    }
                }
                Ok(None)
            }
            Event::Packet(_, None) => Ok(Some(0)),
            _ => Ok(None),
        }
    }
}
