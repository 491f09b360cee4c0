//! `kubectl explain`
//!
//! Structure and texts come from the server's OpenAPI document of the group version.

use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done};
use crate::discovery::{Discovery, Resource};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use api::wire::Request;
use api::{Value, gofmt};
use std::sync::Arc;

/// The command.
pub static COMMAND: Command = Command {
    name: "explain",
    group: Group::Intermediate,
    short: "Get documentation for a resource",
    long: "Tells which fields a type of resource has, and what is known of a single one. Fields are named by their path: \
           TYPE.FIELD.FIELD. The server is asked for the schema, so custom resources are explained as well.",
    usage: "explain TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] \
            [-o|--output=plaintext|plaintext-openapiv2]",
    example: "# The fields of pods\nkubectl explain pods\n\n# One field\nkubectl explain deploy.spec.strategy\n\n# Everything \
              below\nkubectl explain pvc.spec --recursive",
    flags: &[FLAGS],
    run: Some(run),
    complete: None,
    ..Command::EMPTY
};

const FLAGS: &[Flag] = &[
    flag("api-version", Kind::Str, "''", "Explain this version of the type, as group/version."),
    flag("output", Kind::Str, "'plaintext'", "How to show it: plaintext or plaintext-openapiv2.").short('o'),
    switch("recursive", "Show the fields of fields as well.").short('R'),
];

const WIDTH: usize = 76;
const DEPTH_MAX: usize = 40;

/// A place in a schema: one schema of the server's document, and all the document's schemas.
#[derive(Clone)]
struct Node(Value, Arc<Value>);

/// A field below a place.
struct Below {
    name: String,
    required: bool,
    values: Vec<String>,
    node: Node,
}

/// The parts of a schema that stand for what is within.
const INNER: [&str; 2] = ["items", "additionalProperties"];

impl Node {
    /// The same document's schema of another place.
    fn of(&self, v: &Value) -> Node {
        Node(v.clone(), self.1.clone())
    }

    /// The name that the schema refers to, if it is but a reference.
    fn reference(&self) -> Option<&str> {
        let path = match self.0.get("$ref").text() {
            "" => match self.0.get("allOf").items().as_slice() {
                [one] if self.0.get("properties").is_null() => one.get("$ref").text(),
                _ => "",
            },
            r => r,
        };
        path.rsplit('/').next().filter(|n| !n.is_empty())
    }

    /// The schema behind a reference.
    fn resolved(&self) -> Node {
        match self.reference() {
            Some(name) => self.of(self.1.get(name)),
            None => self.clone(),
        }
    }

    fn inner(&self) -> Option<Node> {
        INNER.iter().map(|k| self.0.get(k)).find(|v| v.as_map().is_some()).map(|v| self.of(v))
    }

    fn type_name(&self) -> String {
        if let Some(inner) = self.inner() {
            let list = self.0.get("items").as_map().is_some();
            return format!("{}{}", if list { "[]" } else { "map[string]" }, inner.type_name());
        }
        if let Some(name) = self.reference() {
            // Named texts and numbers are shown as what they are.
            let plain = self.1.get(name).get("type").text();
            if !matches!(plain, "" | "object") {
                return plain.to_owned();
            }
            return name.rsplit('.').next().unwrap_or(name).to_owned();
        }
        match self.0.get("type").text() {
            "object" => "Object".into(),
            "" if self.0.get("oneOf").is_null() => "Object".into(),
            t => t.to_owned(),
        }
    }

    /// Its own text, and those of the types that it is made of.
    fn description(&self) -> String {
        let mut out: Vec<String> = Vec::new();
        let mut at = Some(self.clone());
        while let Some(n) = at.filter(|_| out.len() < DEPTH_MAX) {
            out.push(n.0.get("description").text().to_owned());
            at = match n.reference() {
                Some(_) => Some(n.resolved()),
                None => n.inner(),
            };
        }
        out.retain(|t| !t.is_empty());
        out.join("\n")
    }

    /// The fields of the object, of the list's items or the map's values.
    fn fields(&self) -> Vec<Below> {
        let mut at = self.resolved();
        for _ in 0..DEPTH_MAX {
            match at.inner() {
                Some(inner) => at = inner.resolved(),
                None => break,
            }
        }
        let required: Vec<&str> = at.0.get("required").items().map(Value::text).collect();
        let mut all: Vec<Below> =
            at.0.get("properties")
                .entries()
                .map(|(k, s)| Below {
                    name: k.to_string(),
                    required: required.contains(&k.as_str()),
                    values: s.get("enum").items().map(|v| v.text().to_owned()).collect(),
                    node: at.of(s),
                })
                .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// Lines no longer than fits, each indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let pad = " ".repeat(indent);
    for paragraph in text.split('\n') {
        let mut words = paragraph.split(' ');
        let mut line = words.next().unwrap_or("").to_owned();
        for word in words {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                out += &format!("{pad}{}\n", line.trim_end());
                line.clear();
            } else {
                line.push(' ');
            }
            line += word;
        }
        out += &format!("{pad}{line}\n");
    }
    out
}

/// The fields below in the recursive form.
fn tree(out: &mut String, node: &Node, indent: usize, seen: &mut Vec<String>) {
    if seen.len() > DEPTH_MAX {
        return;
    }
    for f in node.fields() {
        head(out, &f, indent);
        let name = f.node.type_name();
        let base = name.rsplit([']']).next().unwrap_or(&name).to_owned();
        // A type within itself is not written out again.
        if base != "Object" && seen.contains(&base) {
            continue;
        }
        seen.push(base);
        tree(out, &f.node, indent + 2, seen);
        seen.pop();
    }
}

fn head(out: &mut String, f: &Below, indent: usize) {
    let pad = " ".repeat(indent);
    let required = if f.required { " -required-" } else { "" };
    *out += &format!("{pad}{}\t<{}>{required}\n", f.name, f.node.type_name());
    if !f.values.is_empty() {
        let more = if f.values.len() > 4 { ", ...." } else { "" };
        let shown = f.values.iter().take(4).map(|v| if v.is_empty() { "\"\"" } else { v });
        *out += &format!("{pad}enum: {}{more}\n", shown.collect::<Vec<_>>().join(", "));
    }
}

/// The type and the path of fields that a word names.
fn split(d: &Discovery, word: &str, prefixes: bool) -> Result<(Arc<Resource>, Vec<String>), Error> {
    let parts: Vec<&str> = word.split('.').collect();
    let res = d.resolve(parts[0]).map_err(|e| Error::Plain(format!("{}\n", e.message())))?;
    if prefixes {
        // `deployments.apps.spec`: the group may stand between.
        for r in d.resources.iter().filter(|r| r.preferred && (r.name == res.name)) {
            let full = r.qualified();
            if full.contains('.')
                && let Some(rest) = word.strip_prefix(&full).filter(|r| r.is_empty() || r.starts_with('.'))
            {
                return Ok((r.clone(), rest.split('.').skip(1).map(str::to_owned).collect()));
            }
        }
    }
    Ok((res, parts[1..].iter().map(|p| (*p).to_owned()).collect()))
}

fn root(cx: &mut Cx<'_>, api: &Api, r: &Resource) -> Done<Node> {
    let path = if r.group.is_empty() {
        format!("api/{}", r.version)
    } else {
        format!("apis/{}/{}", r.group, r.version)
    };
    let doc = api.call(cx, Request::get(format!("/openapi/v3/{path}")))?;
    let all = Arc::new(doc.at(&["components", "schemas"]).clone());
    let found = all
        .entries()
        .find(|(_, s)| {
            s.get("x-kubernetes-group-version-kind").items().any(|g| {
                g.get("group").text() == r.group
                    && g.get("version").text() == r.version
                    && g.get("kind").text() == r.kind
            })
        })
        .map(|(_, s)| s.clone());
    match found {
        Some(s) => Ok(Node(s, all)),
        None => Err(Error::Text(format!("GVR ({}) not found in OpenAPI schema", r.gvr())).into()),
    }
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    match a.words.len() {
        0 => {
            return Err(Error::text(
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of \
                 supported resources.",
            )
            .into());
        }
        1 => {}
        _ => return Err(Error::text("We accept only this format: explain RESOURCE").into()),
    }
    let form = a.str("output");
    if !matches!(form.as_str(), "plaintext" | "plaintext-openapiv2") {
        return Err(Error::Text(format!("unrecognized format: {form}")).into());
    }
    let api = cx.api(a)?;
    let d = cx.discovery(&api)?;
    let version = a.str("api-version");
    let (mut res, path) = split(&d, &a.words[0], version.is_empty())?;
    if !version.is_empty() {
        let found = d.resources.iter().find(|r| r.name == res.name && r.api_version() == version);
        let Some(r) = found else {
            let (group, v) = version.split_once('/').unwrap_or(("", &version));
            return Err(Error::Text(format!(
                "couldn't find resource for \"{group}/{v}, Resource={}\"",
                res.name
            ))
            .into());
        };
        res = r.clone();
    }
    let mut node = root(cx, &api, &res)?;
    let mut out = String::new();
    if !res.group.is_empty() {
        out += &format!("GROUP:      {}\n", res.group);
    }
    out += &format!("KIND:       {}\nVERSION:    {}\n\n", res.kind, res.version);
    let mut field: Option<Below> = None;
    for name in &path {
        let Some(f) = node.fields().into_iter().find(|f| f.name == *name) else {
            cx.out(out);
            let last = path.last().map_or("", String::as_str);
            return Err(Error::Text(format!("field {} does not exist", gofmt::quote(last))).into());
        };
        node = f.node.clone();
        field = Some(f);
    }
    if let Some(f) = &field {
        out += &format!("FIELD: {} <{}>\n", f.name, f.node.type_name());
        if f.values.is_empty() {
            out += "\n";
        } else {
            out += "ENUM:\n";
            for v in &f.values {
                out += &format!("    {v}\n");
            }
        }
        out += "\n";
    }
    let text = node.description();
    out += "DESCRIPTION:\n";
    if text.is_empty() {
        out += "    <empty>\n";
    } else {
        out += &wrapped(&text, 4);
        out += "    \n";
    }
    let fields = node.fields();
    if !fields.is_empty() {
        out += "FIELDS:\n";
        if a.bool("recursive") {
            let mut seen = vec![node.type_name().rsplit(']').next().unwrap_or("").to_owned()];
            tree(&mut out, &node, 2, &mut seen);
        } else {
            for f in &fields {
                head(&mut out, f, 2);
                let text = f.node.0.get("description").text();
                out += &wrapped(if text.is_empty() { "<no description>" } else { text }, 4);
                out += "\n";
            }
        }
    }
    out += "\n";
    cx.out(out);
    Ok(())
}
