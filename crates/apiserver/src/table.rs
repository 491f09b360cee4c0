//! Answers as Tables and partial objects, as kubectl asks for them.

use crate::{ApiServer, ResId, Watch};
use api::{Value, obj};
use sim::Instant;

/// What an `Accept` header asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Full,
    Table,
    Partial,
}

fn form(accept: &str) -> Form {
    for part in accept.split(',') {
        let has = |s: &str| part.split(';').any(|p| p.trim() == s);
        if has("as=Table") && (has("v=v1") || has("v=v1beta1")) {
            return Form::Table;
        }
        if has("as=PartialObjectMetadata") || has("as=PartialObjectMetadataList") {
            return Form::Partial;
        }
        if part.trim().starts_with("application/json") || part.trim() == "*/*" {
            return Form::Full;
        }
    }
    Form::Full
}

/// Whether the server can answer in any form that an `Accept` header names.
pub(crate) fn acceptable(accept: &str) -> bool {
    const KNOWN: [&str; 6] = [
        "*/*",
        "application/*",
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
    ];
    let mut parts = accept.split(',').map(|p| p.split(';').next().unwrap_or("").trim());
    accept.trim().is_empty() || parts.any(|p| KNOWN.contains(&p))
}

impl ApiServer {
    /// Renders an object or list as asked for.
    pub(crate) fn render_answer(
        &self,
        res: ResId,
        accept: &str,
        include: &str,
        v: Value,
        now: Instant,
    ) -> Value {
        match form(accept) {
            Form::Full => v,
            Form::Table => self.table(res, include, &v, now, true),
            Form::Partial if v.get("items").is_some() => {
                let items: Value = v.get("items").items().map(partial).collect();
                obj!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": v.get("metadata"), "items": items
                })
            }
            Form::Partial => partial(&v),
        }
    }

    /// Renders the object of a watch event.
    pub(crate) fn render(&self, v: Value, w: &mut Watch, now: Instant) -> Value {
        match form(&w.accept) {
            Form::Table => {
                let first = !w.columns_sent;
                w.columns_sent = true;
                self.table(w.res, &w.include_object, &v, now, first)
            }
            Form::Partial => partial(&v),
            Form::Full => v,
        }
    }

    fn table(&self, res: ResId, include: &str, v: &Value, now: Instant, columns: bool) -> Value {
        let r = self.registry.get(res);
        let civil = self.settings.epoch.civil(now);
        let one;
        let items = if v.get("items").as_list().is_some() {
            v.get("items").items()
        } else {
            one = Value::from(vec![v.clone()]);
            one.items()
        };
        let custom = r.custom.get("additionalPrinterColumns");
        let mut items: Vec<&Value> = items.collect();
        if r.kind == "FlowSchema" {
            // Shown in the order in which they are tried.
            items.sort_by_key(|o| o.at(&["spec", "matchingPrecedence"]).int());
        }
        let rows: Value = items
            .into_iter()
            .map(|o| {
                let cells = match r.rules.cells {
                    Some(f) => f(o, civil),
                    None if r.builtin.is_none() => custom_cells(custom, o, civil),
                    None => generic_cells(r.columns().len(), o, civil),
                };
                let object = match include {
                    "None" => Value::Null,
                    "Object" => o.clone(),
                    _ => partial(o),
                };
                let mut row = obj!({"cells": cells});
                if object.is_some() {
                    row.insert("object", object);
                }
                row
            })
            .collect();
        let mut t = obj!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": rows});
        let meta = v.get("metadata");
        let mut m = Value::map();
        for k in ["resourceVersion", "continue", "remainingItemCount"] {
            if meta.get(k).is_some() {
                m.insert(k, meta.get(k));
            }
        }
        t.insert("metadata", m);
        let definitions: Value = if !columns {
            Value::Null
        } else if r.builtin.is_some() && !r.columns().is_empty() {
            r.columns()
                .iter()
                .map(|c| {
                    obj!({
                        "name": c.name, "type": c.ty, "format": c.format, "description": describe(c.name),
                        "priority": c.priority
                    })
                })
                .collect()
        } else {
            custom_columns(custom)
        };
        t.insert("columnDefinitions", definitions);
        t
    }
}

/// Our own words for the columns that every table has.
fn describe(name: &str) -> &'static str {
    match name {
        "Name" => "Name must be unique within a namespace.",
        "Age" => "Time since the object was created.",
        _ => "",
    }
}

fn partial(v: &Value) -> Value {
    obj!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": v.get("metadata")})
}

/// Name, then the age in the last place that every generic table has.
fn generic_cells(columns: usize, v: &Value, now: sim::Civil) -> Vec<Value> {
    let mut cells = vec![Value::from(v.name())];
    if columns == 0 || columns == 2 {
        cells.push(v.get("metadata").get("creationTimestamp").clone());
        if columns == 2 {
            cells[1] = api::kinds::object_age(v, now);
        }
    } else {
        cells.resize(columns - 1, Value::from("<unknown>"));
        cells.push(api::kinds::object_age(v, now));
    }
    cells
}

fn custom_columns(custom: &Value) -> Value {
    let mut all = vec![obj!({
        "name": "Name", "type": "string", "format": "name", "description": describe("Name"), "priority": 0
    })];
    if custom.is_empty() {
        all.push(obj!({
            "name": if custom.is_null() { "Age" } else { "Created At" }, "type": "date", "format": "",
            "description": describe("Age"), "priority": 0
        }));
    }
    for c in custom.items() {
        all.push(obj!({
            "name": c.get("name"), "type": c.get("type"), "format": c.get("format").text(),
            "description": c.get("description").text(), "priority": c.get("priority").int()
        }));
    }
    Value::from(all)
}

fn custom_cells(custom: &Value, v: &Value, now: sim::Civil) -> Vec<Value> {
    let mut cells = vec![Value::from(v.name())];
    if custom.is_empty() {
        cells.push(api::kinds::object_age(v, now));
    }
    for c in custom.items() {
        let path = c.get("jsonPath").text();
        let found = api::jsonpath::JsonPath::parse(&format!("{{{path}}}"))
            .and_then(|p| p.allow_missing(true).find(v))
            .ok()
            .and_then(|all| all.into_iter().flatten().next())
            .unwrap_or_default();
        cells.push(match (c.get("type").text(), &found) {
            ("date", Value::Null) => "<unknown>".into(),
            ("date", t) => api::kinds::age(t, now).into(),
            ("string", Value::Null) => Value::Null,
            ("string", Value::Str(_)) => found,
            ("string", other) => other.to_json().into(),
            _ => found,
        });
    }
    cells
}
