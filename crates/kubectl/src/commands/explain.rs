//! `kubectl explain`
//!
//! The structure of built-in kinds comes from the schema tables that the server generates its OpenAPI documents from;
//! that of custom kinds, with their texts, from the server's document.

use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::discovery::{Discovery, Resource};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use api::schema::{Ty, TypeId};
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
    complete: Some(|_, _, _| Ok(complete::Choices { words: Vec::new(), files: true })),
    ..Command::EMPTY
};

const FLAGS: &[Flag] = &[
    flag("api-version", Kind::Str, "''", "Explain this version of the type, as group/version."),
    flag("output", Kind::Str, "'plaintext'", "How to show it: plaintext or plaintext-openapiv2.").short('o'),
    switch("recursive", "Show the fields of fields as well.").short('R'),
];

const WIDTH: usize = 76;
const DEPTH_MAX: usize = 40;

/// A place in a schema.
#[derive(Clone)]
enum Node {
    /// A built-in type.
    Table(Ty),
    /// A schema of the server's document, and the document's schemas.
    Json(Value, Arc<Value>),
}

/// A field below a place.
struct Below {
    name: String,
    required: bool,
    values: Vec<String>,
    node: Node,
}

impl Node {
    /// The object's schema behind a reference.
    fn resolved(&self) -> Node {
        let Node::Json(v, all) = self else { return self.clone() };
        let reference = match v.get("$ref").text() {
            "" => v.get("allOf").items().next().map_or("", |r| r.get("$ref").text()),
            r => r,
        };
        match reference.rsplit('/').next() {
            None | Some("") => self.clone(),
            Some(name) => match TypeId::named(name) {
                Some(t) => Node::Table(Ty::Object(t)),
                None => Node::Json(all.get(name).clone(), all.clone()),
            },
        }
    }

    fn type_name(&self) -> String {
        match self.resolved() {
            Node::Table(t) => table_name(&t),
            Node::Json(v, all) => match v.get("type").text() {
                "array" => format!("[]{}", Node::Json(v.get("items").clone(), all).type_name()),
                "object" if v.get("additionalProperties").as_map().is_some() => {
                    format!(
                        "map[string]{}",
                        Node::Json(v.get("additionalProperties").clone(), all).type_name()
                    )
                }
                "object" => "Object".into(),
                "" if v.get("x-kubernetes-int-or-string").as_bool() == Some(true) => "IntOrString".into(),
                "" => String::new(),
                t => t.to_owned(),
            },
        }
    }

    fn description(&self) -> String {
        match self {
            Node::Table(_) => String::new(),
            Node::Json(v, _) => v.get("description").text().to_owned(),
        }
    }

    /// The fields of the object, of the list's items or the map's values.
    fn fields(&self) -> Vec<Below> {
        match self.resolved() {
            Node::Table(t) => {
                let Some(t) = table_object(&t) else { return Vec::new() };
                t.get()
                    .fields
                    .iter()
                    .map(|f| Below {
                        name: f.name().to_owned(),
                        required: f.required,
                        values: f.values.iter().map(|v| (*v).to_owned()).collect(),
                        node: Node::Table(f.ty),
                    })
                    .collect()
            }
            Node::Json(v, all) => {
                for inner in ["items", "additionalProperties"] {
                    if v.get(inner).as_map().is_some() {
                        return Node::Json(v.get(inner).clone(), all).fields();
                    }
                }
                let required: Vec<&str> = v.get("required").items().map(Value::text).collect();
                v.get("properties")
                    .entries()
                    .map(|(k, s)| Below {
                        name: k.to_string(),
                        required: required.contains(&k.as_str()),
                        values: s.get("enum").items().map(|v| v.text().to_owned()).collect(),
                        node: Node::Json(s.clone(), all.clone()),
                    })
                    .collect()
            }
        }
    }
}

fn table_object(t: &Ty) -> Option<TypeId> {
    match t {
        Ty::Object(t) => Some(*t),
        Ty::List(t) | Ty::Map(t) => table_object(t),
        _ => None,
    }
}

fn table_name(t: &Ty) -> String {
    match t {
        Ty::Str | Ty::Bytes => "string".into(),
        Ty::Int32 | Ty::Int64 => "integer".into(),
        Ty::Float => "number".into(),
        Ty::Bool => "boolean".into(),
        Ty::Quantity => "Quantity".into(),
        Ty::Time => "Time".into(),
        Ty::MicroTime => "MicroTime".into(),
        Ty::IntOrString => "IntOrString".into(),
        Ty::Any => "Object".into(),
        Ty::Object(t) => t.get().short_name().to_owned(),
        Ty::List(t) => format!("[]{}", table_name(t)),
        Ty::Map(t) => format!("map[string]{}", table_name(t)),
    }
}

/// Lines no longer than fits, each indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let pad = " ".repeat(indent);
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                out += &format!("{pad}{line}\n");
                line.clear();
            }
            if !line.is_empty() {
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
        *out += &format!("{pad}enum: {}{more}\n", f.values.get(..4).unwrap_or(&f.values).join(", "));
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
    if let Some(t) = r.type_id() {
        return Ok(Node::Table(Ty::Object(t)));
    }
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
        Some(s) => Ok(Node::Json(s, all)),
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
    out += &wrapped(if text.is_empty() { "<empty>" } else { &text }, 4);
    out += "    \n";
    let fields = node.fields();
    if !fields.is_empty() {
        out += "FIELDS:\n";
        if a.bool("recursive") {
            let mut seen = vec![node.type_name().rsplit(']').next().unwrap_or("").to_owned()];
            tree(&mut out, &node, 2, &mut seen);
        } else {
            for f in &fields {
                head(&mut out, f, 2);
                let text = f.node.description();
                out += &wrapped(if text.is_empty() { "<no description>" } else { &text }, 4);
                out += "\n";
            }
        }
    }
    out += "\n";
    cx.out(out);
    Ok(())
}
