//! `kubectl replace`

use super::common::{
    CASCADE, DELETION, FILES, SAVE_CONFIG, VALIDATE, create, delete_options, field_manager, until,
    validation, with_last_applied, write,
};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print::{self, DRY_RUN, DryRun, dry_run};
use crate::resource::{Builder, Info, each};
use api::wire::{Body, Method, Request};

const FLAGS: &[Flag] = &[
    CASCADE,
    DRY_RUN,
    SAVE_CONFIG,
    VALIDATE,
    DELETION[1],
    DELETION[2],
    DELETION[3],
    DELETION[4],
    field_manager("'kubectl-replace'"),
    flag("raw", Kind::Str, "''", "Path to PUT the file to, the answer printed as it is."),
    flag("subresource", Kind::Str, "''", "Replace this subresource of the object."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "replace",
    group: Group::Advanced,
    short: "Replace a resource by file name or stdin",
    long: "Puts objects in the place of those on the server. They must be complete, as 'kubectl get TYPE NAME -o yaml' gives \
           them. JSON and YAML are taken.",
    usage: "replace -f FILENAME",
    example: "# What a file has\nkubectl replace -f ./web.yaml\n\n# Delete and create anew\nkubectl replace --force -f ./web.yaml",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(run),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let builder = Builder::new(a, &[]).validate(validation(a)? != "Ignore");
    if !a.words.is_empty() {
        return Err(a.usage(format!("Unexpected args: [{}]", a.words.join(" "))));
    }
    if !builder.has_files() {
        return Err(Error::text("must specify one of -f and -k").into());
    }
    let raw = a.str("raw");
    if !raw.is_empty() {
        return super::create::send_raw(cx, a, Method::Put, &raw);
    }
    let dry = dry_run(cx, a)?;
    let force = a.bool("force");
    if force && dry == DryRun::Server {
        return Err(Error::text("--dry-run=server cannot be used with --force").into());
    }
    if !force && a.int("grace-period") >= 0 {
        return Err(Error::text("--grace-period must have --force specified").into());
    }
    let how = super::delete::how(cx, a, dry, false)?;
    let mut printer = print::result_printer(cx, a, "replaced", dry)?;
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    if targets.items.is_empty() {
        return Err(Error::text("no objects passed to replace").into());
    }
    let infos = targets.items.into_iter().map(|t| t.map(Info::from)).collect();
    let sub = a.str("subresource");
    let (manager, rules) = (a.str("field-manager"), validation(a)?);
    each(cx, infos, |cx, mut i| {
        if a.bool("save-config") || i.object.annotations().get(super::common::LAST_APPLIED).is_some() {
            i.object = with_last_applied(&i.object);
        }
        if dry == DryRun::Client {
            return printer.print(cx, &i.object, a.bool("show-managed-fields"));
        }
        if force {
            let r = Request::new(Method::Delete, i.path())
                .with_header("content-type", "application/json")
                .with_body(Body::Object(delete_options(how.grace, how.propagation, dry)));
            let r = api.call(cx, r);
            match cx.catch(r)? {
                Ok(_) => cx.out(format!(
                    "{} {} deleted{}\n",
                    i.res.kind_name(),
                    api::gofmt::quote(&i.name),
                    if i.res.namespaced { format!(" from {} namespace", i.namespace) } else { String::new() }
                )),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
            let deadline = cx.now()? + core::time::Duration::from_secs(300);
            until(cx, &api, &i.path(), Some(deadline), api::Value::is_null)?;
            i.object.remove(&["metadata", "resourceVersion"]);
            let v = create(cx, &api, &i, dry, &manager, rules)?;
            return printer.print(cx, &v, a.bool("show-managed-fields"));
        }
        let path = if sub.is_empty() { i.path() } else { format!("{}/{sub}", i.path()) };
        let r = write(Method::Put, path, dry, &manager, rules)
            .with_header("content-type", "application/json")
            .with_body(Body::Object(i.object.clone()));
        let r = api.call(cx, r);
        let v = cx.catch(r)?.map_err(|e| i.wrap("replacing", e))?;
        printer.print(cx, &v, a.bool("show-managed-fields"))
    })
}
