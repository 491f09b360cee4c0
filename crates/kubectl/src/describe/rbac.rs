//! Roles and their bindings.

use super::W;
use crate::resource::Info;
use api::{Value, gofmt};

fn list(v: Vec<String>) -> String {
    format!("[{}]", v.join(" "))
}

/// One row for each resource, as upstream breaks rules down and joins those that differ in verbs alone.
pub(super) fn role(w: &mut W, i: &Info) {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.line(0, "PolicyRule:");
    w.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    w.line(1, "---------\t-----------------\t--------------\t-----");
    let texts = |v: &Value| -> Vec<String> { v.items().map(|s| s.text().to_owned()).collect() };
    let mut rows: Vec<Row> = Vec::new();
    for r in v.get("rules").items() {
        let verbs = texts(r.get("verbs"));
        let names = texts(r.get("resourceNames"));
        for g in r.get("apiGroups").items() {
            for res in r.get("resources").items() {
                let resource = match g.text() {
                    "" => res.text().to_owned(),
                    g => match res.text().split_once('/') {
                        Some((base, sub)) => format!("{base}.{g}/{sub}"),
                        None => format!("{}.{g}", res.text()),
                    },
                };
                let single: Vec<Vec<String>> = if names.is_empty() {
                    vec![Vec::new()]
                } else {
                    names.iter().map(|n| vec![n.clone()]).collect()
                };
                for n in single {
                    add(&mut rows, resource.clone(), Vec::new(), n, &verbs);
                }
            }
        }
        for u in texts(r.get("nonResourceURLs")) {
            add(&mut rows, String::new(), vec![u], Vec::new(), &verbs);
        }
    }
    rows.sort_by_key(key);
    for (resource, urls, names, verbs) in rows {
        w.line(1, format!("{resource}\t{}\t{}\t{}", list(urls), list(names), list(verbs)));
    }
}

/// Resource, other URLs, names, verbs.
pub type Row = (String, Vec<String>, Vec<String>, Vec<String>);

/// Upstream sorts by the printed form of the whole rule.
pub fn key(r: &Row) -> String {
    let (base, sub) = r.0.split_once('/').unwrap_or((&r.0, ""));
    let (resource, group) = base.split_once('.').unwrap_or((base, ""));
    let resource = if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") };
    format!(
        "{}],APIGroups:[{group}],Resources:[{resource}],ResourceNames:[{}],{}]",
        r.3.join(" "),
        r.2.join(" "),
        r.1.join(" ")
    )
}

/// Joins the verbs of rows that are alike in all else.
pub fn add(rows: &mut Vec<Row>, resource: String, urls: Vec<String>, names: Vec<String>, verbs: &[String]) {
    match rows.iter_mut().find(|r| r.0 == resource && r.1 == urls && r.2 == names) {
        Some(r) => {
            for v in verbs {
                if !r.3.contains(v) {
                    r.3.push(v.clone());
                }
            }
        }
        None => rows.push((resource, urls, names, verbs.to_vec())),
    }
}

pub(super) fn binding(w: &mut W, i: &Info) {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.line(0, "Role:");
    w.field(1, "Kind", v.at(&["roleRef", "kind"]).text());
    w.field(1, "Name", v.at(&["roleRef", "name"]).text());
    w.line(0, "Subjects:");
    w.line(1, "Kind\tName\tNamespace");
    w.line(1, "----\t----\t---------");
    for s in v.get("subjects").items() {
        let text = |k: &str| match s.get(k) {
            Value::Null => String::new(),
            v => gofmt::value(v),
        };
        w.line(1, format!("{}\t{}\t{}", text("kind"), text("name"), text("namespace")));
    }
}
