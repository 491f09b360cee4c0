//! Event, of the core group; `events.k8s.io` shows the same objects in other clothes.

use super::{Rules, age};
use crate::Value;
use sim::Civil;

/// Event.
pub const RULES: Rules = Rules {
    of: ("", "Event"),
    defaults: |v| {
        super::default(v, "type", "");
        if v.get("type").text().is_empty() {
            v.insert("type", "Normal");
        }
        // Go's zero times print as null.
        for k in ["firstTimestamp", "lastTimestamp", "eventTime"] {
            if v.get(k).is_null() {
                v.insert(k, Value::Null);
            }
        }
    },
    validate: |v, e| {
        let of = v.at(&["involvedObject", "namespace"]).text();
        if !of.is_empty() && of != v.namespace() {
            let at = crate::field::At::Path("involvedObject.namespace");
            e.invalid(&at, of, "does not match event.namespace");
        }
    },
    cells: Some(cells),
    fields: &[
        ("involvedObject.kind", |v: &Value| v.at(&["involvedObject", "kind"]).text().to_owned()),
        ("involvedObject.namespace", |v: &Value| v.at(&["involvedObject", "namespace"]).text().to_owned()),
        ("involvedObject.name", |v: &Value| v.at(&["involvedObject", "name"]).text().to_owned()),
        ("involvedObject.uid", |v: &Value| v.at(&["involvedObject", "uid"]).text().to_owned()),
        ("involvedObject.apiVersion", |v: &Value| v.at(&["involvedObject", "apiVersion"]).text().to_owned()),
        ("involvedObject.resourceVersion", |v: &Value| {
            v.at(&["involvedObject", "resourceVersion"]).text().to_owned()
        }),
        ("involvedObject.fieldPath", |v: &Value| v.at(&["involvedObject", "fieldPath"]).text().to_owned()),
        ("reason", |v: &Value| v.get("reason").text().to_owned()),
        ("reportingComponent", |v: &Value| v.get("reportingComponent").text().to_owned()),
        ("source", |v: &Value| {
            let s = v.at(&["source", "component"]).text();
            if s.is_empty() { v.get("reportingComponent").text() } else { s }.to_owned()
        }),
        ("type", |v: &Value| v.get("type").text().to_owned()),
    ],
    ..Rules::GENERIC
};

fn cells(v: &Value, now: Civil) -> Vec<Value> {
    let first_time =
        if v.get("firstTimestamp").is_some() { v.get("firstTimestamp") } else { v.get("eventTime") };
    let first = age(first_time, now);
    let mut last_time = v.get("lastTimestamp");
    if last_time.is_null() {
        last_time = v.at(&["series", "lastObservedTime"]);
    }
    let last = if last_time.is_null() { first.clone() } else { age(last_time, now) };
    let count = match (v.at(&["series", "count"]).as_int(), v.get("count").int()) {
        (Some(n), _) => n,
        (None, 0) => 1,
        (None, n) => n,
    };
    let target = v.get("involvedObject");
    let kind = target.get("kind").text().to_lowercase();
    let object = match target.get("name").text() {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let component = match v.at(&["source", "component"]).text() {
        "" => v.get("reportingComponent").text(),
        c => c,
    };
    let host = match v.at(&["source", "host"]).text() {
        "" => v.get("reportingInstance").text(),
        h => h,
    };
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    vec![
        last.into(),
        v.get("type").text().into(),
        v.get("reason").text().into(),
        object.into(),
        target.get("fieldPath").text().into(),
        source.into(),
        v.get("message").text().trim().into(),
        first.into(),
        Value::from(count),
        v.name().into(),
    ]
}

/// Event of `events.k8s.io`: shown from the same objects with other names of fields.
pub const NEW: Rules = Rules {
    of: ("events.k8s.io", "Event"),
    cells: Some(|v, now| {
        let mut core = v.clone();
        for (new, old) in [
            ("regarding", "involvedObject"),
            ("note", "message"),
            ("deprecatedSource", "source"),
            ("deprecatedFirstTimestamp", "firstTimestamp"),
            ("deprecatedLastTimestamp", "lastTimestamp"),
            ("deprecatedCount", "count"),
            ("reportingController", "reportingComponent"),
        ] {
            core.insert(old, v.get(new));
        }
        cells(&core, now)
    }),
    fields: &[
        ("reason", |v: &Value| v.get("reason").text().to_owned()),
        ("regarding.kind", |v: &Value| v.at(&["involvedObject", "kind"]).text().to_owned()),
        ("regarding.namespace", |v: &Value| v.at(&["involvedObject", "namespace"]).text().to_owned()),
        ("regarding.name", |v: &Value| v.at(&["involvedObject", "name"]).text().to_owned()),
        ("regarding.uid", |v: &Value| v.at(&["involvedObject", "uid"]).text().to_owned()),
        ("reportingController", |v: &Value| v.get("reportingComponent").text().to_owned()),
        ("type", |v: &Value| v.get("type").text().to_owned()),
    ],
    ..Rules::GENERIC
};
