//! `-o custom-columns`. Models: `kubectl/pkg/cmd/get/customcolumn.go`.

use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::tabwriter::TabWriter;
use api::jsonpath::JsonPath;
use api::{Value, gofmt};

/// Columns with their headings.
#[derive(Clone, Debug)]
pub struct Columns {
    columns: Vec<(String, JsonPath)>,
    no_headers: bool,
    printed: bool,
}

impl Columns {
    /// Reads `NAME:.metadata.name,…`, or a file with a line of headings and a line of paths.
    pub fn new(cx: &mut Cx<'_>, format: &str, argument: &str, no_headers: bool) -> Done<Columns> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        if argument.is_empty() {
            return Err(Error::text("custom-columns format specified but no custom columns given").into());
        }
        if format == "custom-columns" {
            for part in argument.split(',') {
                let Some((heading, path)) = part.split_once(':') else {
                    return Err(Error::Text(format!(
                        "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                    ))
                    .into());
                };
                pairs.push((heading.to_owned(), path.to_owned()));
            }
        } else {
            let data = cx.read_file(argument)?.map_err(|e| {
                Error::Text(format!("error reading template {argument}, open {argument}: {e}\n"))
            })?;
            let text = String::from_utf8_lossy(&data).into_owned();
            let mut lines = text.lines();
            let words = |l: Option<&str>| -> Vec<String> {
                l.unwrap_or("").split_whitespace().map(str::to_owned).collect()
            };
            let (headings, paths) = (words(lines.next()), words(lines.next()));
            if headings.len() != paths.len() {
                return Err(Error::Text(format!(
                    "number of headers ({}) and field specifications ({}) don't match",
                    headings.len(),
                    paths.len()
                ))
                .into());
            }
            pairs.extend(headings.into_iter().zip(paths));
        }
        let mut columns = Vec::new();
        for (heading, path) in pairs {
            let path = JsonPath::relaxed(&path)?;
            columns.push((heading, JsonPath::parse(&path)?));
        }
        Ok(Columns { columns, no_headers, printed: false })
    }

    /// Prints an object, or the items of a list, aligned among themselves.
    pub fn print(&mut self, cx: &mut Cx<'_>, v: &Value) {
        let items = match v.get("items") {
            Value::List(_) if v.kind().ends_with("List") => crate::resource::list_items(v),
            _ => vec![v.clone()],
        };
        let mut w = TabWriter::table();
        if !self.no_headers && !self.printed {
            let headings: Vec<&str> = self.columns.iter().map(|(h, _)| h.as_str()).collect();
            w.write(&format!("{}\n", headings.join("\t")));
        }
        self.printed = true;
        for i in items {
            let cells: Vec<String> = self.columns.iter().map(|(_, p)| cell(p, &i)).collect();
            w.write(&format!("{}\n", cells.join("\t")));
        }
        cx.out(w.finish());
    }
}

fn cell(path: &JsonPath, v: &Value) -> String {
    let found = path.find(v).unwrap_or_default();
    let mut values: Vec<String> = Vec::new();
    for v in found.iter().flatten() {
        values.push(gofmt::value(v));
    }
    if values.is_empty() { "<none>".into() } else { values.join(",") }
}
