//! `kubectl create` and its generators.

mod config;
mod misc;
mod network;
mod rbac;
mod workload;

use super::common::{
    FILES, SAVE_CONFIG, SELECTOR, VALIDATE, create, field_manager, validation, with_last_applied,
};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, DRY_RUN, DryRun, dry_run};
use crate::resource::{Builder, Info, each};
use api::wire::{Body, Method, Request};
use api::{Value, gofmt};

/// Flags of all generators.
pub const FLAGS: &[Flag] = &[DRY_RUN, field_manager("'kubectl-create'"), SAVE_CONFIG, VALIDATE];

/// The command.
pub static COMMAND: Command = Command {
    name: "create",
    group: Group::Beginner,
    short: "Create a resource from a file or from stdin",
    long: "Creates objects from files or standard input. JSON and YAML are taken.",
    usage: "create -f FILENAME",
    example: "# What a file has\nkubectl create -f ./web.yaml\n\n# From standard input\ncat web.yaml | kubectl create -f -\n\n# \
              Edited first\nkubectl create -f web.yaml --edit -o json",
    flags: &[
        FLAGS,
        &[
            SELECTOR,
            switch("edit", "Open the objects in an editor before they are created"),
            flag("raw", Kind::Str, "''", "Path to POST the file to, the answer printed as it is."),
            switch("windows-line-endings", "With --edit, use the line endings of Windows."),
        ],
        FILES,
        print::FLAGS,
    ],
    subs: &[
        &rbac::CLUSTER_ROLE,
        &rbac::CLUSTER_ROLE_BINDING,
        &config::CONFIG_MAP,
        &workload::CRON_JOB,
        &workload::DEPLOYMENT,
        &network::INGRESS,
        &workload::JOB,
        &misc::NAMESPACE,
        &misc::PDB,
        &misc::PRIORITY_CLASS,
        &misc::QUOTA,
        &rbac::ROLE,
        &rbac::ROLE_BINDING,
        &config::SECRET,
        &network::SERVICE,
        &misc::SERVICE_ACCOUNT,
        &misc::TOKEN,
    ],
    run: Some(run),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let raw = a.str("raw");
    if !raw.is_empty() {
        return send_raw(cx, a, Method::Post, &raw);
    }
    let builder = Builder::new(a, &[]).validate(validation(a)? != "Ignore");
    if !builder.has_files() {
        return match a.words.first() {
            Some(_) => Err(a.usage(format!("Unexpected args: [{}]", a.words.join(" ")))),
            None => Err(Error::text("must specify one of -f and -k").into()),
        };
    }
    if !a.words.is_empty() {
        return Err(a.usage(format!("Unexpected args: [{}]", a.words.join(" "))));
    }
    if a.bool("edit") {
        return super::edit::run_create(cx, a);
    }
    let dry = dry_run(cx, a)?;
    let mut printer = print::result_printer(cx, a, "created", dry)?;
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    if targets.items.is_empty() {
        return Err(Error::text("no objects passed to create").into());
    }
    let infos = targets.items.into_iter().map(|t| t.map(Info::from)).collect();
    let (manager, rules) = (a.str("field-manager"), validation(a)?);
    let keep = a.bool("show-managed-fields");
    each(cx, infos, |cx, mut i| {
        if a.bool("save-config") || i.object.annotations().get(super::common::LAST_APPLIED).is_some() {
            i.object = with_last_applied(&i.object);
        }
        let v = if dry == DryRun::Client {
            i.object.clone()
        } else {
            let r = create(cx, &api, &i, dry, &manager, rules);
            cx.catch(r)?.map_err(|e| i.wrap("creating", e))?
        };
        printer.print(cx, &v, keep)
    })
}

/// `--raw`: sends the one file to a path, and prints the answer as it is.
pub fn send_raw(cx: &mut Cx<'_>, a: &Args, method: Method, raw: &str) -> Done {
    let files = a.list("filename");
    if files.len() != 1 {
        return Err(Error::text("--raw can only use a single local file or stdin").into());
    }
    let data = if files[0] == "-" {
        cx.stdin()?
    } else {
        cx.read_file(&files[0])?.map_err(|e| Error::Text(format!("open {}: {e}", files[0])))?.to_vec()
    };
    let api = cx.api(a)?;
    let r = Request::new(method, raw)
        .with_header("content-type", "application/json")
        .with_body(Body::Bytes(data.into()));
    let v = api.call(cx, r)?;
    cx.out(api::gostruct::to_json(print::type_of(&v), &v) + "\n");
    Ok(())
}

/// How an error of the server is told.
#[derive(Clone, Copy)]
pub enum Told {
    /// As every other error.
    Plain,
    /// Its message behind these words.
    Behind(&'static str),
}

/// Creates a generated object, or prints it.
pub fn generated(
    cx: &mut Cx<'_>,
    a: &Args,
    group: &str,
    plural: &str,
    mut object: Value,
    told: Told,
) -> Done {
    let dry = dry_run(cx, a)?;
    let rules = validation(a)?;
    let mut printer = print::result_printer(cx, a, "created", dry)?;
    let api = cx.api(a)?;
    let version = object.api_version().rsplit('/').next().unwrap_or("v1").to_owned();
    let namespaced = api::kinds::Kind::find(group, &version, plural).is_none_or(|k| k.namespaced);
    if namespaced && api.namespace_given {
        object.set(&["metadata", "namespace"], api.namespace.as_str());
    }
    if a.bool("save-config") {
        // Generated objects are written down in the order of their fields.
        let text = api::gostruct::to_json(print::type_of(&object), &object) + "\n";
        object.set(&["metadata", "annotations", super::common::LAST_APPLIED], text);
    }
    let keep = a.bool("show-managed-fields");
    if dry == DryRun::Client {
        return printer.print_typed(cx, &object, keep);
    }
    let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let path = if namespaced {
        format!("{path}/namespaces/{}/{plural}", api.namespace)
    } else {
        format!("{path}/{plural}")
    };
    let r = super::common::write(Method::Post, path, dry, &a.str("field-manager"), rules)
        .with_header("content-type", "application/json")
        .with_body(Body::Object(object));
    let answer = api.call(cx, r);
    let v = cx.catch(answer)?.map_err(|e| match told {
        Told::Plain => e,
        Told::Behind(words) => match e {
            Error::Status(_) => Error::Text(format!("{words}{}", e.message())),
            e => e,
        },
    })?;
    printer.print_typed(cx, &v, keep)
}

/// The one name that a generator takes.
pub fn name(a: &Args) -> Done<String> {
    let n = a.dash.unwrap_or(a.words.len());
    match a.words.first() {
        Some(name) if n == 1 => Ok(name.clone()),
        _ => Err(a.usage(format!("exactly one NAME is required, got {n}"))),
    }
}

/// The words behind `--`.
pub fn command(a: &Args) -> Vec<Value> {
    let from = a.dash.unwrap_or(1).max(1);
    a.words.iter().skip(from).map(Value::from).collect()
}

/// A message.
pub fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// Quotes as messages do.
pub fn q(s: &str) -> String {
    gofmt::quote(s)
}
