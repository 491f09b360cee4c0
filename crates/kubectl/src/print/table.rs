//! The server's Tables as text. Models: `cli-runtime/pkg/printers` (table printer).

use crate::tabwriter::TabWriter;
use api::{Value, gofmt};

/// The form to ask the server for.
pub const ACCEPT: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
                          application/json";

/// What the columns are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Style {
    /// Columns of lower priority too.
    pub wide: bool,
    /// A column for the namespace in front.
    pub namespace: bool,
    /// Names with their kind, `pod/web`: the prefix, or "".
    pub kind: String,
    /// No line of headings.
    pub no_headers: bool,
    /// All labels as a last column.
    pub labels: bool,
    /// Labels with columns of their own.
    pub label_columns: Vec<String>,
    /// A column for the kind of a watch's event in front.
    pub events: bool,
}

/// Appends the rows of a Table, after its headings where they are wanted.
pub fn write(w: &mut TabWriter, table: &Value, style: &Style, headings: bool) {
    let columns: Vec<&Value> = table.get("columnDefinitions").items().collect();
    let shown: Vec<usize> =
        (0..columns.len()).filter(|i| style.wide || columns[*i].get("priority").int() == 0).collect();
    if headings && !style.no_headers {
        let mut cells: Vec<String> = Vec::new();
        if style.events {
            cells.push("EVENT".into());
        }
        if style.namespace {
            cells.push("NAMESPACE".into());
        }
        cells.extend(shown.iter().map(|i| columns[*i].get("name").text().to_uppercase()));
        cells.extend(style.label_columns.iter().map(|l| {
            let last = l.rsplit('/').next().unwrap_or(l);
            last.to_uppercase()
        }));
        if style.labels {
            cells.push("LABELS".into());
        }
        w.write(&(cells.join("\t") + "\n"));
    }
    for row in table.get("rows").items() {
        self::row(w, row, &shown, style, "");
    }
}

/// Appends one row; `event` is the kind of a watch's event.
pub fn row(w: &mut TabWriter, row: &Value, shown: &[usize], style: &Style, event: &str) {
    let object = row.get("object");
    let mut cells: Vec<String> = Vec::new();
    if style.events {
        cells.push(event.to_owned());
    }
    if style.namespace {
        cells.push(object.namespace().to_owned());
    }
    for (n, i) in shown.iter().enumerate() {
        let mut text = cell(&row.get("cells")[*i]);
        if n == 0 && !style.kind.is_empty() {
            text = format!("{}/{text}", style.kind);
        }
        cells.push(text);
    }
    let labels = object.labels();
    for l in &style.label_columns {
        cells.push(match labels.get(l) {
            Value::Str(s) if !s.is_empty() => s.to_string(),
            _ => String::new(),
        });
    }
    if style.labels {
        cells.push(api::kinds::format_labels(labels));
    }
    w.write(&(cells.join("\t") + "\n"));
}

/// The indices of the columns that are shown.
pub fn shown(table: &Value, wide: bool) -> Vec<usize> {
    let columns: Vec<&Value> = table.get("columnDefinitions").items().collect();
    (0..columns.len()).filter(|i| wide || columns[*i].get("priority").int() == 0).collect()
}

/// A cell's text: one line, tabs escaped.
fn cell(v: &Value) -> String {
    match v {
        Value::Null => String::new(),
        Value::Str(s) => {
            let text = match s.find(['\u{c}', '\n', '\r']) {
                Some(i) => format!("{}...", &s[..i]),
                None => s.to_string(),
            };
            if text.contains(['\t', '\u{1b}', '\u{b}']) {
                text.replace('\t', "\\t").replace('\u{1b}', "^[").replace('\u{b}', "\\v")
            } else {
                text
            }
        }
        v => gofmt::value(v),
    }
}
