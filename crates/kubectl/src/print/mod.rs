//! Output formats of objects: `-o yaml`, `json`, `name`, templates, columns. Models: `cli-runtime/pkg/printers` and
//! `kubectl/pkg/cmd/get` (print flags).

pub mod columns;
pub mod sort;
pub mod table;

use crate::command::Args;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use api::gotemplate::Template;
use api::jsonpath::JsonPath;
use api::schema::TypeId;
use api::{Value, gofmt, gostruct, obj, yaml};

/// The words about `--output`.
pub const OUTPUT_HELP: &str = "Output format. One of: (json, yaml, kyaml, name, go-template, go-template-file, template, \
                               templatefile, jsonpath, jsonpath-as-json, jsonpath-file).";

/// `--output` and what belongs to it, for commands that print results.
pub const FLAGS: &[Flag] = &[
    switch(
        "allow-missing-template-keys",
        "Print nothing for what a template names and an object lacks, instead of \
             failing. For the golang and jsonpath formats.",
    )
    .on(),
    flag("output", Kind::Str, "''", OUTPUT_HELP).short('o'),
    switch("show-managed-fields", "Keep managedFields when printing objects as JSON or YAML."),
    flag(
        "template",
        Kind::Str,
        "''",
        "Template text, or the path of a template file with -o=go-template-file. The format is that of Go templates.",
    ),
];

/// Formats that all printing commands take.
const FORMATS: [&str; 11] = [
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "kyaml",
    "name",
    "template",
    "templatefile",
    "yaml",
];
/// Formats of `get`.
const GET_FORMATS: [&str; 14] = [
    "custom-columns",
    "custom-columns-file",
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "kyaml",
    "name",
    "template",
    "templatefile",
    "wide",
    "yaml",
];

/// How objects are printed.
#[derive(Clone, Debug)]
pub enum Printer {
    /// `pod/web`, with words behind it where a command tells what it did.
    Name {
        /// "created", "" for `-o name`.
        operation: String,
    },
    /// JSON.
    Json,
    /// YAML; counts documents.
    Yaml(usize),
    /// KYAML.
    Kyaml,
    /// JSONPath.
    JsonPath {
        /// Its text.
        text: String,
        /// Parsed.
        path: JsonPath,
        /// Whether results are printed as a JSON array.
        as_json: bool,
    },
    /// Go template.
    Template {
        /// Its text.
        text: String,
        /// Parsed.
        template: Template,
        /// Whether a missing key is an error.
        strict: bool,
    },
    /// `custom-columns`
    Columns(columns::Columns),
}

/// How a dry run says so.
pub fn dry_run_suffix(strategy: DryRun) -> &'static str {
    match strategy {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    }
}

/// `--dry-run`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DryRun {
    /// For real.
    None,
    /// Nothing is sent.
    Client,
    /// The server changes nothing.
    Server,
}

/// The flag `--dry-run`.
pub const DRY_RUN: Flag = flag(
    "dry-run",
    Kind::Str,
    "'none'",
    "One of \"none\", \"server\" and \"client\". With client only print what would be sent and send nothing. With server \
     send the request, and have nothing kept.",
)
.alone("unchanged");

/// Reads `--dry-run`.
pub fn dry_run(cx: &mut Cx<'_>, a: &Args) -> Done<DryRun> {
    match a.str("dry-run").as_str() {
        "none" => Ok(DryRun::None),
        "client" => Ok(DryRun::Client),
        "server" => Ok(DryRun::Server),
        "unchanged" => {
            klog(cx, "helpers.go:719", "--dry-run is deprecated and can be replaced with --dry-run=client.")?;
            Ok(DryRun::Client)
        }
        other => match crate::flags::parse_bool(other) {
            Some(true) => {
                let text = format!(
                    "--dry-run={other} is deprecated (boolean value) and can be replaced with --dry-run=client."
                );
                klog(cx, "helpers.go:733", &text)?;
                Ok(DryRun::Client)
            }
            Some(false) => Ok(DryRun::None),
            None => Err(Error::Text(format!(
                "Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
            ))
            .into()),
        },
    }
}

/// A warning as kubectl's log prints it.
fn klog(cx: &mut Cx<'_>, place: &str, text: &str) -> Done {
    let t = cx.civil()?;
    cx.err(format!(
        "W{:02}{:02} {:02}:{:02}:{:02}.{:06}    1592 {place}] {text}\n",
        t.month,
        t.day,
        t.hour,
        t.minute,
        t.second,
        t.nanos / 1000
    ));
    Ok(())
}

/// The printer that `-o` asks for, or `None` without it.
pub fn requested(cx: &mut Cx<'_>, a: &Args, get: bool) -> Done<Option<Printer>> {
    let output = a.str("output");
    let template = a.str("template");
    if output.is_empty() && template.is_empty() {
        // `-o jsonpath=` is not the same as no `-o`.
        return Ok(None);
    }
    let (format, argument) = match output.split_once('=') {
        Some((f, v)) => (f.to_owned(), v.to_owned()),
        None if output.is_empty() => ("go-template".to_owned(), template.clone()),
        None => (output.clone(), String::new()),
    };
    let argument = if argument.is_empty() { template } else { argument };
    let lenient = a.bool("allow-missing-template-keys");
    Ok(Some(match format.as_str() {
        "json" => Printer::Json,
        "yaml" => Printer::Yaml(0),
        "kyaml" => Printer::Kyaml,
        "name" => Printer::Name { operation: String::new() },
        "jsonpath" | "jsonpath-as-json" | "jsonpath-file" => {
            let text = template_text(cx, &format, argument)?;
            let path = JsonPath::parse(&text)
                .map_err(|e| Error::Text(format!("error parsing jsonpath {text}, {e}")))?
                .allow_missing(lenient);
            Printer::JsonPath { text, path, as_json: format == "jsonpath-as-json" }
        }
        "go-template" | "go-template-file" | "template" | "templatefile" => {
            let text = template_text(cx, &format, argument)?;
            let template = Template::parse(&text)
                .map_err(|e| Error::Text(format!("error parsing template {text}, {e}")))?;
            Printer::Template { text, template, strict: !lenient }
        }
        "custom-columns" | "custom-columns-file" if get => {
            Printer::Columns(columns::Columns::new(cx, &format, &argument, a.bool("no-headers"))?)
        }
        "wide" if get => return Ok(None),
        _ => {
            let formats = if get { GET_FORMATS.join(",") } else { FORMATS.join(",") };
            return Err(Error::Text(format!(
                "unable to match a printer suitable for the output format {}, allowed formats are: {formats}",
                gofmt::quote(&output)
            ))
            .into());
        }
    }))
}

fn template_text(cx: &mut Cx<'_>, format: &str, argument: String) -> Done<String> {
    if argument.is_empty() {
        return Err(Error::text("template format specified but no template given").into());
    }
    if !format.ends_with("file") {
        return Ok(argument);
    }
    match cx.read_file(&argument)? {
        Ok(b) => Ok(String::from_utf8_lossy(&b).into_owned()),
        Err(e) => {
            Err(Error::Text(format!("error reading --template {argument}, open {argument}: {e}")).into())
        }
    }
}

/// The printer of a command that tells what it did to an object, `-o` going first.
pub fn result_printer(cx: &mut Cx<'_>, a: &Args, operation: &str, dry: DryRun) -> Done<Printer> {
    Ok(match requested(cx, a, false)? {
        Some(p) => p,
        None => Printer::Name { operation: format!("{operation}{}", dry_run_suffix(dry)) },
    })
}

/// Takes `managedFields` away.
pub fn without_managed_fields(v: &Value) -> Value {
    let mut v = v.clone();
    v.remove(&["metadata", "managedFields"]);
    if let Value::List(items) = v.get("items")
        && items.iter().any(|i| i.get("metadata").get("managedFields").is_some())
    {
        let stripped: Value = items.iter().map(without_managed_fields).collect();
        v.insert("items", stripped);
    }
    v
}

/// `pod/web` of an object without discovery at hand.
pub fn object_label(v: &Value) -> String {
    let kind = v.kind().to_lowercase();
    let group = v.api_version().split_once('/').map_or("", |(g, _)| g);
    if group.is_empty() { format!("{kind}/{}", v.name()) } else { format!("{kind}.{group}/{}", v.name()) }
}

impl Printer {
    /// Prints an object. `keep_managed` is `--show-managed-fields`.
    pub fn print(&mut self, cx: &mut Cx<'_>, v: &Value, keep_managed: bool) -> Done {
        let clean = |v: &Value| if keep_managed { v.clone() } else { without_managed_fields(v) };
        match self {
            Printer::Name { operation } => {
                if v.kind().ends_with("List") && matches!(v.get("items"), Value::List(_)) {
                    for i in crate::resource::list_items(v) {
                        self.print(cx, &i, keep_managed)?;
                    }
                    return Ok(());
                }
                let label = object_label(v);
                let line = if operation.is_empty() {
                    format!("{label}\n")
                } else {
                    format!("{label} {operation}\n")
                };
                cx.out(line);
            }
            Printer::Json => cx.out(clean(v).to_json_pretty() + "\n"),
            Printer::Yaml(n) => {
                *n += 1;
                if *n > 1 {
                    cx.out("---\n");
                }
                cx.out(yaml::emit(&clean(v)));
            }
            Printer::Kyaml => cx.out(yaml::emit_kyaml(&clean(v))),
            Printer::JsonPath { text, path, as_json } => {
                let text = text.clone();
                let result = if *as_json {
                    path.find(v).map(|r| {
                        let all: Value = r.into_iter().flatten().collect();
                        all.to_json_pretty() + "\n"
                    })
                } else {
                    path.execute(v)
                };
                match result {
                    Ok(s) => cx.out(s),
                    Err(e) => {
                        return Err(Error::Text(format!(
                            "error executing jsonpath {}: Error executing template: {e}. Printing more information for \
                             debugging the template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath engine \
                             was:\n\t\t{}\n\n\n",
                            gofmt::quote(&text),
                            gofmt::syntax(v)
                        ))
                        .into());
                    }
                }
            }
            Printer::Template { text, template, strict } => match template.execute(v, *strict) {
                Ok(s) => cx.out(s),
                Err(e) => {
                    cx.out(format!(
                        "Error executing template: {e}. Printing more information for debugging the \
                         template:\n\ttemplate was:\n\t\t{text}\n\traw data was:\n\t\t{}\n\tobject given to template \
                         engine was:\n\t\t{}\n\n",
                        v.to_json(),
                        gofmt::value(v)
                    ));
                    return Err(
                        Error::Text(format!("error executing template {}: {e}", gofmt::quote(text))).into()
                    );
                }
            },
            Printer::Columns(c) => c.print(cx, v),
        }
        Ok(())
    }

    /// Prints an object that the client made itself: JSON in the order of its Go struct.
    pub fn print_typed(&mut self, cx: &mut Cx<'_>, v: &Value, keep_managed: bool) -> Done {
        let ty = type_of(v);
        let filled = |v: &Value| {
            let mut v = v.clone();
            if let Some(t) = ty {
                gostruct::fill(t, &mut v);
            }
            v
        };
        match self {
            Printer::Json => {
                let v = if keep_managed { v.clone() } else { without_managed_fields(v) };
                cx.out(reindent(&gostruct::to_json(ty, &v), 4) + "\n");
                Ok(())
            }
            Printer::Name { .. } => self.print(cx, v, keep_managed),
            _ => {
                let v = filled(v);
                self.print(cx, &v, keep_managed)
            }
        }
    }
}

/// The schema's type of a built-in kind.
pub fn type_of(v: &Value) -> Option<TypeId> {
    let (group, version) = v.api_version().split_once('/').unwrap_or(("", v.api_version()));
    if (group, v.kind()) == ("", "Status") {
        return TypeId::named("io.k8s.apimachinery.pkg.apis.meta.v1.Status");
    }
    api::kinds::KINDS
        .iter()
        .find(|k| k.group == group && k.version == version && k.kind == v.kind())
        .and_then(api::kinds::Kind::type_id)
}

/// Compact JSON with line breaks and an indent, the order of keys kept.
pub fn reindent(json: &str, width: usize) -> String {
    let mut out = String::new();
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let mut chars = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(core::iter::repeat_n(' ', depth * width));
    };
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                if let Some(end) = chars.next_if(|n| *n == '}' || *n == ']') {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

/// A list as `get` makes it of several objects.
pub fn list_of(items: Vec<Value>) -> Value {
    obj!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}
