//! `kubectl edit`, `create --edit` and `apply edit-last-applied`. Models: `kubectl/pkg/cmd/util/editor`.

use super::common::{
    FILES, LAST_APPLIED, SAVE_CONFIG, VALIDATE, create, difference, field_manager, patch, validation,
    with_last_applied,
};
use crate::client::{Api, PatchType};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, DryRun};
use crate::resource::{Builder, Info, flatten};
use api::wire::Body;
use api::{Value, gofmt, obj, yaml};

const FLAGS: &[Flag] = &[
    SAVE_CONFIG,
    VALIDATE,
    field_manager("'kubectl-edit'"),
    switch("output-patch", "Print the patch that is sent."),
    flag("subresource", Kind::Str, "''", "Edit this subresource of the object."),
    switch("windows-line-endings", "Use the line endings of Windows."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "edit",
    group: Group::Intermediate,
    short: "Edit a resource on the server",
    long: "Opens objects in an editor and sends what was changed. The editor is that of KUBE_EDITOR or EDITOR, else vi.\n\n \
           Where the server refuses, the file is opened again with the reasons on top; leave it unchanged to give up.",
    usage: "edit (RESOURCE/NAME | -f FILENAME)",
    example: "# One service\nkubectl edit svc/web\n\n# With another editor\nKUBE_EDITOR=\"nano\" kubectl edit svc/web",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(run),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

/// Times that a file is opened again.
const ROUNDS_MAX: usize = 16;

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// What the file shows: the object, or a list of several.
fn document(values: &[Value], json: bool) -> String {
    let v = match values {
        [one] => one.clone(),
        many => obj!({"apiVersion": "v1", "items": many.to_vec(), "kind": "List", "metadata": {}}),
    };
    if json { v.to_json_pretty() + "\n" } else { yaml::emit(&v) }
}

const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort \
                    the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

fn stripped(text: &str) -> String {
    text.lines().filter(|l| !l.trim_start().starts_with('#')).map(|l| format!("{l}\n")).collect()
}

/// Runs the editor on a file.
fn editor(cx: &mut Cx<'_>, path: &str) -> Done {
    let mut command = String::new();
    for name in ["KUBE_EDITOR", "EDITOR"] {
        if let Some(v) = cx.var(name)?.filter(|v| !v.is_empty()) {
            command = v.to_string();
            break;
        }
    }
    if command.is_empty() {
        command = "vi".into();
    }
    let shell = command.contains(['"', '\'', '\\']);
    let argv: Vec<String> = if shell {
        vec!["/bin/sh".into(), "-c".into(), format!("{command} {path}")]
    } else {
        command.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).chain([path.to_owned()]).collect()
    };
    let bad = || Error::Text(format!("there was a problem with the editor {}", gofmt::quote(&command)));
    let child = cx.spawn(&argv)?.map_err(|_| bad())?;
    if cx.wait(child)? != 0 {
        return Err(bad().into());
    }
    Ok(())
}

/// What editing led to.
enum Edited {
    /// Nothing changed: a message.
    Cancelled(&'static str),
    /// What was changed is accepted.
    Saved,
}

/// A file that is edited until `accept` has nothing to say against it.
fn session(
    cx: &mut Cx<'_>,
    values: &[Value],
    json: bool,
    first: &str,
    mut accept: impl FnMut(&mut Cx<'_>, Vec<Value>) -> Done<Vec<(String, Vec<String>)>>,
) -> Done<Edited> {
    let number = cx.random()? % 10_000_000_000;
    let dir = match cx.var("TMPDIR")?.as_deref() {
        None | Some("") => "/tmp/".to_owned(),
        Some("." | "./") => String::new(),
        Some(d) => format!("{}/", d.trim_end_matches('/')),
    };
    let path = format!("{dir}kubectl-edit-{number}.{}", if json { "json" } else { "yaml" });
    let original = document(values, json);
    let mut body = original.clone();
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for round in 0..ROUNDS_MAX {
        let mut text = HEAD.to_owned();
        for (head, list) in &reasons {
            text += &format!("# {head}\n");
            for r in list {
                text += &format!("# * {r}\n");
            }
            text += "#\n";
        }
        text += &body;
        cx.write_file(&path, text.as_bytes(), 0o600)?.map_err(Error::Text)?;
        editor(cx, &path)?;
        let data = cx.read_file(&path)?.map_err(|e| Error::Text(format!("open {path}: {e}")))?;
        let edited = stripped(&String::from_utf8_lossy(&data));
        if edited == stripped(&body) && round > 0 {
            cx.err(format!("A copy of your changes has been stored to {}\n", gofmt::quote(&path)));
            return fail("Edit cancelled, no valid changes were saved.");
        }
        if edited == stripped(&original) && round == 0 {
            let _ = cx.remove_file(&path)?;
            return Ok(Edited::Cancelled("Edit cancelled, no changes made."));
        }
        let parsed = yaml::parse(&edited);
        let list = match parsed {
            Ok(v @ Value::Map(_)) if !v.kind().is_empty() => {
                if v.kind() == "List" {
                    v.get("items").items().cloned().collect()
                } else {
                    vec![v]
                }
            }
            Ok(_) => {
                cx.err(format!("error: {first} is invalid\n"));
                reasons = vec![(" \"\" was not valid:".into(), vec!["<nil>: Invalid value: \"The edited file failed validation\": Object 'Kind' is missing".into()])];
                body = edited;
                continue;
            }
            Err(e) => {
                cx.err(format!("error: {first} is invalid\n"));
                reasons = vec![(
                    format!("{first} was not valid:"),
                    vec![format!("<nil>: Invalid value: \"The edited file failed validation\": {e}")],
                )];
                body = edited;
                continue;
            }
        };
        match accept(cx, list) {
            Ok(r) if r.is_empty() => {
                let _ = cx.remove_file(&path)?;
                return Ok(Edited::Saved);
            }
            Ok(r) => {
                reasons = r;
                body = edited;
            }
            Err(crate::cx::Stop::Fail(e)) => {
                cx.err(format!("A copy of your changes has been stored to {}\n", gofmt::quote(&path)));
                return Err(e.into());
            }
            Err(other) => return Err(other),
        }
    }
    fail("Edit cancelled, no valid changes were saved.")
}

fn named(i: &Info) -> String {
    format!("{} {}", i.res.qualified(), gofmt::quote(&i.name))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let builder = Builder::new(a, &a.words).allow_empty_selector();
    let mut printer = print::result_printer(cx, a, "edited", DryRun::None)?;
    let api = cx.api(a)?;
    if a.words.is_empty() && !builder.has_files() {
        // Words of one's own for nothing at all.
        Builder::new(a, &[]).targets(cx, &api)?;
    }
    let sub = a.str("subresource");
    let mut infos: Vec<Info> = Vec::new();
    for i in builder.infos(cx, &api)? {
        let mut i = i?;
        if !sub.is_empty() {
            i.object = api.get(cx, &format!("{}/{sub}", i.path()))?;
        }
        i.object = print::without_managed_fields(&i.object);
        infos.push(i);
    }
    let Some(first) = infos.first() else { return fail("edit cancelled, no objects found") };
    let first = named(first);
    let json = a.str("output") == "json";
    let values: Vec<Value> = infos.iter().map(|i| i.object.clone()).collect();
    let keep = a.bool("show-managed-fields");
    let manager = a.str("field-manager");
    let mut done: Vec<usize> = Vec::new();
    let edited = session(cx, &values, json, &first, |cx, list| {
        let mut reasons = Vec::new();
        for (n, i) in infos.iter().enumerate().filter(|(n, _)| !done.contains(n)).collect::<Vec<_>>() {
            let Some(new) = list.get(n) else { continue };
            if new.name() != i.object.name()
                || new.kind() != i.object.kind()
                || new.api_version() != i.object.api_version()
            {
                return fail("At least one of apiVersion, kind and name was changed");
            }
            let mut new = new.clone();
            if a.bool("save-config") {
                new = with_last_applied(&new);
            }
            if new == i.object {
                cx.out(format!("{} skipped\n", i.label()));
                done.push(n);
                continue;
            }
            let (ty, body) = if sub.is_empty() || sub == "status" {
                difference(i, &new)?
            } else {
                (PatchType::Merge, api::patch::create_merge(&i.object, &new))
            };
            if a.bool("output-patch") {
                cx.out(format!("Patch: {}\n", body.to_json()));
            }
            let path = if sub.is_empty() { i.path() } else { format!("{}/{sub}", i.path()) };
            let r = patch(cx, &api, &path, ty, Body::Object(body), DryRun::None, &manager);
            match cx.catch(r)? {
                Ok(v) => {
                    printer.print(cx, &v, keep)?;
                    done.push(n);
                }
                Err(e) if e.reason() == "Invalid" => {
                    cx.err(format!("error: {} is invalid\n", named(i)));
                    reasons.push((format!("{} was not valid:", named(i)), causes(&e)));
                }
                Err(e) => {
                    cx.err(format!("error: {} could not be patched: {}\n", named(i), e.message()));
                    reasons.push((format!("{} could not be patched:", named(i)), vec![e.message()]));
                }
            }
        }
        Ok(reasons)
    })?;
    if let Edited::Cancelled(text) = edited {
        cx.err(format!("{text}\n"));
    }
    Ok(())
}

fn causes(e: &Error) -> Vec<String> {
    match e {
        Error::Status(s) => s
            .at(&["details", "causes"])
            .items()
            .map(|c| format!("{}: {}", c.get("field").text(), c.get("message").text()))
            .collect(),
        e => vec![e.message()],
    }
}

/// `kubectl create --edit -f`
pub fn run_create(cx: &mut Cx<'_>, a: &Args) -> Done {
    let builder = Builder::new(a, &[]);
    let mut printer = print::result_printer(cx, a, "created", DryRun::None)?;
    let api = cx.api(a)?;
    let mut values = Vec::new();
    let mut first = String::new();
    for t in builder.targets(cx, &api)?.items {
        let t = t?;
        if first.is_empty() {
            first = format!("{} {}", t.res.qualified(), gofmt::quote(&t.name.clone().unwrap_or_default()));
        }
        values.push(t.object);
    }
    if values.is_empty() {
        return fail("no objects passed to create");
    }
    let json = a.str("output") == "json";
    let rules = validation(a)?;
    let keep = a.bool("show-managed-fields");
    let mut send = |cx: &mut Cx<'_>, api: &Api, v: &Value| -> Done {
        let d = cx.discovery(api)?;
        let Some(res) = d.kind(v.api_version(), v.kind()).cloned() else {
            return fail(format!(
                "no matches for kind {} in version {}",
                gofmt::quote(v.kind()),
                gofmt::quote(v.api_version())
            ));
        };
        let namespace = match (res.namespaced, v.namespace()) {
            (false, _) => String::new(),
            (true, "") => api.namespace.clone(),
            (true, n) => n.to_owned(),
        };
        let object = if a.bool("save-config") { with_last_applied(v) } else { v.clone() };
        let i = Info { res, namespace, name: v.name().into(), source: String::new(), object };
        let v = create(cx, api, &i, DryRun::None, "kubectl-create", rules)?;
        printer.print(cx, &v, keep)
    };
    let edited = session(cx, &values, json, &first, |cx, list| {
        for v in list.iter().flat_map(flatten) {
            send(cx, &api, &v)?;
        }
        Ok(Vec::new())
    })?;
    if let Edited::Cancelled(_) = edited {
        // Saved as it is, it is created as it is.
        for v in &values {
            send(cx, &api, v)?;
        }
    }
    Ok(())
}

/// `kubectl apply edit-last-applied`
pub fn run_last_applied(cx: &mut Cx<'_>, a: &Args) -> Done {
    let api = cx.api(a)?;
    let mut infos: Vec<Info> = Vec::new();
    for i in Builder::new(a, &a.words).infos(cx, &api)? {
        infos.push(i?);
    }
    let mut values = Vec::new();
    for i in &infos {
        let Value::Str(s) = i.object.annotations().get(LAST_APPLIED) else {
            return fail(
                "no last-applied-configuration annotation found on resources, to create the annotation, use command `kubectl \
                 apply set-last-applied --create-annotation`",
            );
        };
        values.push(api::parse_json(s).map(|(v, _)| v).unwrap_or_default());
    }
    let Some(first) = infos.first() else { return fail("edit cancelled, no objects found") };
    let first = named(first);
    let mut printer = print::result_printer(cx, a, "edited", DryRun::None)?;
    let keep = a.bool("show-managed-fields");
    let edited = session(cx, &values, a.str("output") == "json", &first, |cx, list| {
        for (i, v) in infos.iter().zip(&list) {
            let text = v.to_json() + "\n";
            let body = obj!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}}});
            let v = patch(
                cx,
                &api,
                &i.path(),
                PatchType::Merge,
                Body::Object(body),
                DryRun::None,
                "kubectl-client-side-apply",
            )?;
            printer.print(cx, &v, keep)?;
        }
        Ok(Vec::new())
    })?;
    if let Edited::Cancelled(text) = edited {
        cx.err(format!("{text}\n"));
    }
    Ok(())
}
