//! Manifests from files, directories and standard input. Models: `cli-runtime/pkg/resource` (visitors of paths).

use crate::cx::{Cx, Done, FileKind};
use crate::error::Error;
use api::yaml::{self, Document};
use api::{Value, gofmt};

/// One object of a manifest, or why it is none.
#[derive(Clone, Debug)]
pub struct Doc {
    /// What it says.
    pub value: Value,
    /// The file's path, or `STDIN`.
    pub source: String,
    /// The text of the whole document.
    pub text: String,
}

const EXTENSIONS: [&str; 3] = [".json", ".yaml", ".yml"];

/// The files that paths mean: a directory's manifests, with `recursive` also those below.
pub fn expand(cx: &mut Cx<'_>, paths: &[String], recursive: bool) -> Done<Vec<String>> {
    let mut out = Vec::new();
    for p in paths {
        if p == "-" {
            out.push(p.clone());
            continue;
        }
        if p.starts_with("http://") || p.starts_with("https://") {
            return Err(Error::Text(format!(
                "unable to read URL {}: there is no way out of this cluster's network; save the manifest as a file",
                gofmt::quote(p)
            ))
            .into());
        }
        match cx.stat(p)? {
            Ok(FileKind::File) => out.push(p.clone()),
            Ok(FileKind::Dir) => {
                let before = out.len();
                directory(cx, p, recursive, 0, &mut out)?;
                if out.len() == before {
                    return Err(Error::Text(format!(
                        "error reading [{p}]: recognized file extensions are [{}]",
                        EXTENSIONS.join(" ")
                    ))
                    .into());
                }
            }
            Err(e) if e == "no such file or directory" => {
                let globbed = glob(cx, p)?;
                if globbed.is_empty() {
                    return Err(Error::Text(format!("the path {} does not exist", gofmt::quote(p))).into());
                }
                out.extend(globbed);
            }
            Err(e) => {
                return Err(Error::Text(format!(
                    "the path {} cannot be accessed: stat {p}: {e}",
                    gofmt::quote(p)
                ))
                .into());
            }
        }
    }
    Ok(out)
}

/// Expands `dir/*.yaml` where no shell did.
fn glob(cx: &mut Cx<'_>, pattern: &str) -> Done<Vec<String>> {
    let (dir, last) = match pattern.rsplit_once('/') {
        Some((d, l)) => (format!("{d}/"), l),
        None => (String::new(), pattern),
    };
    let Some((before, after)) = last.split_once('*') else { return Ok(Vec::new()) };
    let here = if dir.is_empty() { "." } else { dir.as_str() };
    let Ok(names) = cx.list_dir(here)? else { return Ok(Vec::new()) };
    Ok(names
        .iter()
        .filter(|n| n.len() >= before.len() + after.len() && n.starts_with(before) && n.ends_with(after))
        .map(|n| format!("{dir}{n}"))
        .collect())
}

fn directory(cx: &mut Cx<'_>, dir: &str, recursive: bool, depth: usize, out: &mut Vec<String>) -> Done {
    if depth > sim::Limits::TABLE.shell_nesting_max {
        return Ok(());
    }
    let names = cx.list_dir(dir)?.map_err(|e| Error::Text(format!("open {dir}: {e}")))?;
    let base = dir.trim_end_matches('/');
    for n in names.iter() {
        let path = format!("{base}/{n}");
        match cx.stat(&path)? {
            Ok(FileKind::Dir) if recursive => directory(cx, &path, recursive, depth + 1, out)?,
            Ok(FileKind::File) if EXTENSIONS.iter().any(|e| n.ends_with(e)) => out.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// Reads files into objects. An error ends its file; others go on.
pub fn read(cx: &mut Cx<'_>, paths: &[String]) -> Done<Vec<Result<Doc, Error>>> {
    let mut out = Vec::new();
    for p in paths {
        let (source, data) = if p == "-" {
            ("STDIN".to_owned(), cx.stdin()?)
        } else {
            match cx.read_file(p)? {
                Ok(d) => (p.clone(), d.to_vec()),
                Err(e) => {
                    out.push(Err(Error::Text(format!("open {p}: {e}"))));
                    continue;
                }
            }
        };
        split(&String::from_utf8_lossy(&data), &source, &mut out);
    }
    Ok(out)
}

/// Splits a text into its documents.
pub fn split(text: &str, source: &str, out: &mut Vec<Result<Doc, Error>>) {
    let wrong = |e: String| Err(Error::Text(format!("error parsing {source}: {e}")));
    let mut rest = text;
    while rest.trim_start().starts_with('{') {
        match json(rest) {
            Json::One(value, used) => {
                out.push(Ok(Doc { value, source: source.into(), text: rest[..used].trim().into() }));
                rest = &rest[used..];
            }
            Json::Cut => {
                out.push(wrong("unexpected EOF".into()));
                return;
            }
            Json::No => break,
        }
        let next = rest.trim_start();
        if !next.is_empty() && !next.starts_with('{') && !next.starts_with("---") {
            let offset = text.len() - next.len() + 1;
            let c = next.chars().next().unwrap_or(' ');
            out.push(wrong(format!(
                "json: offset {offset}: invalid character '{c}' looking for beginning of value"
            )));
            return;
        }
    }
    for Document { text, .. } in yaml::documents(rest) {
        match yaml::parse(text) {
            Ok(Value::Null) => {}
            Ok(value) => out.push(Ok(Doc { value, source: source.into(), text: text.into() })),
            Err(e) => {
                out.push(wrong(format!("error converting YAML to JSON: {e}")));
                return;
            }
        }
    }
}

enum Json {
    /// A value and how many bytes it took.
    One(Value, usize),
    /// It ends too early.
    Cut,
    /// Something else, perhaps YAML.
    No,
}

fn json(text: &str) -> Json {
    match api::parse_json(text) {
        Ok((v, _)) => Json::One(v, text.len()),
        Err(e) if e.message.ends_with("after top-level value") => match api::parse_json(&text[..e.offset]) {
            Ok((v, _)) => Json::One(v, e.offset),
            Err(_) => Json::No,
        },
        Err(e) if e.message == "unexpected end of JSON input" => Json::Cut,
        Err(_) => Json::No,
    }
}

/// What the client itself demands of an object before it sends it, with `--validate`.
pub fn verify(doc: &Doc) -> Result<(), Error> {
    let v = &doc.value;
    let check = |field: &str| match v.get(field) {
        Value::Null => Some(format!("{field} not set")),
        Value::Str(_) => None,
        _ => Some(format!("{field} isn't string type")),
    };
    let why = if !matches!(v, Value::Map(_)) {
        Some("invalid object to validate".to_owned())
    } else {
        check("apiVersion").or_else(|| check("kind"))
    };
    match why {
        None => Ok(()),
        Some(why) => Err(Error::Text(format!(
            "error validating {}: error validating data: {why}; if you choose to ignore these errors, turn validation \
             off with --validate=false",
            gofmt::quote(&doc.source)
        ))),
    }
}

/// What makes a value an object at all.
pub fn decode(doc: &Doc) -> Result<(), Error> {
    let quoted = gofmt::quote(&doc.source);
    match &doc.value {
        v @ Value::Map(_) => {
            if v.kind().is_empty() {
                return Err(Error::Text(format!(
                    "unable to decode {quoted}: Object 'Kind' is missing in '{}'",
                    v.to_json()
                )));
            }
            match wrong_metadata(v.get("metadata")) {
                None => Ok(()),
                Some((field, value)) => Err(Error::Text(format!(
                    "unable to decode {quoted}: json: cannot unmarshal {} into Go struct field \
                     ObjectMeta.metadata.{field} of type string",
                    json_kind(value)
                ))),
            }
        }
        v => Err(Error::Text(format!(
            "unable to decode {quoted}: json: cannot unmarshal {} into Go value of type unstructured.detector",
            json_kind(v)
        ))),
    }
}

/// The first field of the metadata that should be a text and is none.
fn wrong_metadata(m: &Value) -> Option<(&'static str, &Value)> {
    let text = |v: &Value| matches!(v, Value::Null | Value::Str(_));
    let plain = ["name", "generateName", "namespace"].into_iter().map(|f| (f, m.get(f)));
    let maps = ["labels", "annotations"].into_iter();
    let within = maps.flat_map(|f| m.get(f).entries().map(move |(_, v)| (f, v)));
    plain.chain(within).find(|(_, v)| !text(v))
}

fn json_kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}
