//! `kubectl apply` and its subcommands for the last applied configuration.

use super::common::{
    ALL, CASCADE, DELETION, FILES, FILES_ALONE, LAST_APPLIED, SELECTOR, VALIDATE, create, field_manager,
    last_applied_text, patch, validation, with_last_applied, write,
};
use super::delete;
use crate::client::{Api, PatchType};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, DRY_RUN, DryRun, Printer, dry_run, dry_run_suffix};
use crate::resource::{Builder, Info};
use api::patch as patches;
use api::wire::{Body, Method, Request};
use api::{Value, gofmt, obj, yaml};

const FLAGS: &[Flag] = &[
    ALL,
    CASCADE,
    DRY_RUN,
    DELETION[1],
    DELETION[2],
    DELETION[3],
    DELETION[4],
    SELECTOR,
    VALIDATE,
    field_manager("'kubectl-client-side-apply'"),
    switch("force-conflicts", "With --server-side, take fields over from other managers."),
    switch("openapi-patch", "Work patches out by the server's schema.").on(),
    switch(
        "overwrite",
        "Where the live object differs from what was applied last, take the values of the file.",
    )
    .on(),
    switch(
        "prune",
        "Delete objects that were applied before and are in no file any more. Goes with -l or --all.",
    ),
    flag(
        "prune-allowlist",
        Kind::Array,
        "[]",
        "Kinds, as <group/version/kind>, that --prune may delete instead of its own list.",
    ),
    switch("server-side", "Let the server apply the configuration and keep track of who set which field."),
    flag("subresource", Kind::Str, "''", "With --server-side, apply to this subresource."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "apply",
    group: Group::Advanced,
    short: "Apply a configuration to a resource by file name or stdin",
    long: "Makes the cluster's objects what files or standard input say. An object that is not there is created. Manage \
           objects with apply from their beginning, or create them with --save-config.\n\n JSON and YAML are taken.",
    usage: "apply (-f FILENAME | -k DIRECTORY)",
    example: "# Make it so\nkubectl apply -f ./web.yaml\n\n# From standard input\ncat web.yaml | kubectl apply -f -\n\n# All of a \
              directory, and delete what it no longer has\nkubectl apply --prune -f ./manifests -l app=web",
    flags: &[FLAGS, FILES, print::FLAGS],
    subs: &[&EDIT_LAST, &SET_LAST, &VIEW_LAST],
    run: Some(run),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

static VIEW_LAST: Command = Command {
    name: "view-last-applied",
    short: "View the latest last-applied-configuration annotations of a resource/object",
    long: "Shows the configuration that was applied last, as its annotation has it, by type and name or file. YAML unless \
           -o says otherwise.",
    usage: "view-last-applied (TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME)",
    example: "# Of one deployment\nkubectl apply view-last-applied deployment/web\n\n# As JSON, by file\nkubectl apply \
              view-last-applied -f web.yaml -o json",
    flags: &[
        &[ALL, SELECTOR, flag("output", Kind::Str, "'yaml'", "Output format, yaml or json").short('o')],
        FILES,
    ],
    run: Some(view_last),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

static SET_LAST: Command = Command {
    name: "set-last-applied",
    short: "Set the last-applied-configuration annotation on a live object to match the contents of a file",
    long: "Sets the annotation of the configuration applied last to a file's content, as if the file had been applied, and \
           leaves all else of the object as it is.",
    usage: "set-last-applied -f FILENAME",
    example: "# As the file has it\nkubectl apply set-last-applied -f web.yaml",
    flags: &[
        &[DRY_RUN, switch("create-annotation", "Make the annotation where it is missing.")],
        FILES_ALONE,
        print::FLAGS,
    ],
    run: Some(set_last),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

static EDIT_LAST: Command = Command {
    name: "edit-last-applied",
    short: "Edit latest last-applied-configuration annotations of a resource/object",
    long: "Opens the configuration that was applied last in an editor and keeps the result as the annotation. The editor is \
           that of KUBE_EDITOR or EDITOR, else vi.",
    usage: "edit-last-applied (RESOURCE/NAME | -f FILENAME)",
    example: "# Of one deployment\nkubectl apply edit-last-applied deployment/web",
    flags: &[
        &[
            field_manager("'kubectl-client-side-apply'"),
            switch("windows-line-endings", "Use the line endings of Windows."),
            VALIDATE,
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(super::edit::run_last_applied),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

fn text<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

struct Plan<'a> {
    a: &'a Args,
    dry: DryRun,
    server_side: bool,
    validation: &'static str,
    manager: String,
    how: delete::How,
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return Err(a.usage(format!("Unexpected args: [{}]", a.words.join(" "))));
    }
    let server_side = a.bool("server-side");
    let dry = dry_run(cx, a)?;
    if a.bool("force-conflicts") && !server_side {
        return text("--force-conflicts only works with --server-side");
    }
    if dry == DryRun::Client && server_side {
        return text(
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)",
        );
    }
    if a.bool("force") && server_side {
        return text("--force cannot be used with --server-side");
    }
    if a.bool("force") && dry == DryRun::Server {
        return text("--dry-run=server cannot be used with --force");
    }
    let builder = Builder::new(a, &[]).validate(validation(a)? != "Ignore");
    if !builder.has_files() {
        return text("must specify one of -f and -k");
    }
    if a.bool("prune") && !a.bool("all") && a.str("selector").is_empty() {
        return text(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the \
                     --all flag. If you did not mean to prune all resources, specify a label selector",
        );
    }
    let requested = print::requested(cx, a, false)?;
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    let mut manager = a.str("field-manager");
    if server_side && !a.given("field-manager") {
        manager = "kubectl".into();
    }
    let plan = Plan {
        a,
        dry,
        server_side,
        validation: validation(a)?,
        manager,
        how: delete::how(cx, a, dry, true)?,
    };
    let mut printer = requested;
    let (mut errors, mut applied, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    let empty = targets.items.is_empty();
    for t in targets.items {
        let info = match t {
            Ok(t) => Info::from(t),
            Err(e) => {
                errors.push(e);
                continue;
            }
        };
        let r = apply_one(cx, &plan, &api, &info);
        match cx.catch(r)? {
            Ok((v, operation)) => {
                applied.push(v.uid().to_owned());
                tell(cx, &mut printer, &plan, &info, &v, operation, &mut objects)?;
            }
            Err(e) => errors.push(e),
        }
    }
    if empty && errors.is_empty() {
        return text("no objects passed to apply");
    }
    flush(cx, a, printer, objects)?;
    if let Some(e) = Error::many(errors) {
        return Err(e.into());
    }
    if a.bool("prune") {
        super::prune::run(cx, a, &api, &applied, &plan.how)?;
    }
    Ok(())
}

/// Tells of one object at once, or keeps it for formats that print a list.
fn tell(
    cx: &mut Cx<'_>,
    printer: &mut Option<Printer>,
    plan: &Plan<'_>,
    info: &Info,
    v: &Value,
    operation: &str,
    objects: &mut Vec<Value>,
) -> Done {
    match printer {
        None => {
            cx.out(format!("{} {operation}{}\n", info.label_of(v), dry_run_suffix(plan.dry)));
            Ok(())
        }
        Some(p @ Printer::Name { .. }) => p.print(cx, v, true),
        Some(_) => {
            objects.push(v.clone());
            Ok(())
        }
    }
}

fn flush(cx: &mut Cx<'_>, a: &Args, printer: Option<Printer>, mut objects: Vec<Value>) -> Done {
    let Some(mut p) = printer else { return Ok(()) };
    let keep = a.bool("show-managed-fields");
    match objects.len() {
        0 => Ok(()),
        1 => p.print(cx, &objects.remove(0), keep),
        _ => {
            let list = obj!({"apiVersion": "v1", "items": objects, "kind": "List"});
            p.print(cx, &list, keep)
        }
    }
}

impl Info {
    /// `pod/web` with the name that the server gave.
    pub fn label_of(&self, v: &Value) -> String {
        let name = if v.name().is_empty() { &self.name } else { v.name() };
        format!("{}/{name}", self.res.kind_name())
    }
}

fn apply_one(cx: &mut Cx<'_>, plan: &Plan<'_>, api: &Api, info: &Info) -> Done<(Value, &'static str)> {
    let generate = info.object.at(&["metadata", "generateName"]).text();
    if info.name.is_empty() && !generate.is_empty() {
        return text(format!("from {generate}: cannot use generate name with apply"));
    }
    if plan.server_side {
        let done = server_side(cx, plan, api, info)?;
        warn_if_deleting(cx, &done.0);
        return Ok(done);
    }
    let mut live = info.clone();
    let r = live.fetch(cx, api);
    match cx.catch(r)? {
        Ok(()) => {
            let done = update(cx, plan, api, info, live)?;
            warn_if_deleting(cx, &done.0);
            Ok(done)
        }
        Err(e) if e.is_not_found() => {
            let mut new = info.clone();
            new.object = with_last_applied(&info.object);
            if plan.dry == DryRun::Client {
                return Ok((new.object, "created"));
            }
            let r = create(cx, api, &new, plan.dry, &plan.manager, plan.validation);
            let v = cx.catch(r)?.map_err(|e| info.wrap("creating", e))?;
            Ok((v, "created"))
        }
        Err(e) => {
            let what = format!("retrieving current configuration of:\n{}\nfrom server for:", described(info));
            let source = gofmt::quote(&info.source);
            Err(e.prefixed(format!("error when {what} {source}: ")).into())
        }
    }
}

/// An object as messages about patches name it.
fn described(info: &Info) -> String {
    format!(
        "Resource: {}, GroupVersionKind: {}\nName: {}, Namespace: {}",
        gofmt::quote(&info.res.gvr()),
        gofmt::quote(&info.res.gvk()),
        gofmt::quote(&info.name),
        gofmt::quote(&info.namespace)
    )
}

fn warn_if_deleting(cx: &mut Cx<'_>, v: &Value) {
    if v.is_terminating() {
        let name = v.name();
        cx.err(format!("Warning: Detected changes to resource {name} which is currently being deleted.\n"));
    }
}

fn server_side(cx: &mut Cx<'_>, plan: &Plan<'_>, api: &Api, info: &Info) -> Done<(Value, &'static str)> {
    let mut path = info.path();
    let sub = plan.a.str("subresource");
    if !sub.is_empty() {
        path = format!("{path}/{sub}");
    }
    let mut r = write(Method::Patch, path, plan.dry, &plan.manager, plan.validation)
        .with_header("content-type", PatchType::Apply.content_type());
    if plan.a.bool("force-conflicts") {
        r = r.with_query("force", "true");
    } else {
        r = r.with_query("force", "false");
    }
    let r = r.with_body(Body::Object(info.object.clone()));
    let answer = api.call(cx, r);
    match cx.catch(answer)? {
        Ok(v) => Ok((v, "serverside-applied")),
        Err(e) if e.reason() == "Conflict" && !plan.manager.is_empty() => {
            Err(Error::Text(conflict(&e)).into())
        }
        Err(e) => Err(e.into()),
    }
}

/// The advice that follows a conflict of managers.
fn conflict(e: &Error) -> String {
    format!(
        "{}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this \
         warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the \
         `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove \
         references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your \
         manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop \
         managing the field (remove it from their configuration).\nSee \
         https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
        e.message()
    )
}

/// The patch that brings a live object to the file's configuration.
pub fn three_way(info: &Info, live: &Value) -> Result<(PatchType, Value), Error> {
    let original = match live.annotations().get(LAST_APPLIED) {
        Value::Str(s) => api::parse_json(s).map(|(v, _)| v).unwrap_or_default(),
        _ => Value::Null,
    };
    let modified = with_last_applied(&info.object);
    match info.res.type_id() {
        Some(t) => Ok((PatchType::Strategic, patches::three_way(&original, &modified, live, Some(t))?)),
        None => Ok((PatchType::Merge, patches::three_way_merge(&original, &modified, live))),
    }
}

fn update(
    cx: &mut Cx<'_>,
    plan: &Plan<'_>,
    api: &Api,
    info: &Info,
    live: Info,
) -> Done<(Value, &'static str)> {
    let mut current = live.object;
    if current.annotations().get(LAST_APPLIED).is_null() {
        cx.err(format!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl \
             apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl \
             apply. The missing annotation will be patched automatically.\n",
            info.res.name, info.name
        ));
    }
    for attempt in 0..6 {
        let (ty, body) = three_way(info, &current)?;
        if body.is_empty() {
            return Ok((current, "unchanged"));
        }
        if plan.dry == DryRun::Client {
            let v = match ty {
                PatchType::Strategic => {
                    patches::strategic(&current, &body, info.res.type_id()).map_err(Error::Text)?
                }
                _ => patches::merge(&current, &body),
            };
            return Ok((v, "configured"));
        }
        let r = write(Method::Patch, info.path(), plan.dry, &plan.manager, plan.validation)
            .with_header("content-type", ty.content_type())
            .with_body(Body::Object(body.clone()));
        let r = api.call(cx, r);
        match cx.catch(r)? {
            Ok(v) => return Ok((v, "configured")),
            Err(e) if e.reason() == "Conflict" && attempt < 5 => {
                let mut again = info.clone();
                again.fetch(cx, api)?;
                current = again.object;
            }
            Err(e) if matches!(e.reason(), "Conflict" | "Invalid") && plan.a.bool("force") => {
                return replace(cx, plan, api, info).map(|v| (v, "configured"));
            }
            Err(e) => {
                let source = gofmt::quote(&info.source);
                return Err(e
                    .prefixed(format!(
                        "error when applying patch:\n{}\nto:\nResource: {}, GroupVersionKind: {}\nName: {}, Namespace: \
                         {}\nfor: {source}: error when patching {source}: ",
                        body.to_json(),
                        gofmt::quote(&info.res.gvr()),
                        gofmt::quote(&info.res.gvk()),
                        gofmt::quote(&info.name),
                        gofmt::quote(&info.namespace),
                    ))
                    .into());
            }
        }
    }
    Err(Stop::Fail(Error::text("the object changed too often")))
}

/// `--force`: delete and create anew.
fn replace(cx: &mut Cx<'_>, plan: &Plan<'_>, api: &Api, info: &Info) -> Done<Value> {
    let body = super::common::delete_options(plan.how.grace, plan.how.propagation, plan.dry);
    let r = Request::new(Method::Delete, info.path())
        .with_header("content-type", "application/json")
        .with_body(Body::Object(body));
    api.call(cx, r)?;
    let deadline = cx.now()? + core::time::Duration::from_secs(300);
    super::common::until(cx, api, &info.path(), Some(deadline), Value::is_null)?;
    let mut new = info.clone();
    new.object = with_last_applied(&info.object);
    create(cx, api, &new, plan.dry, &plan.manager, plan.validation)
}

fn view_last(cx: &mut Cx<'_>, a: &Args) -> Done {
    let format = a.str("output");
    if format != "yaml" && format != "json" {
        return Err(a.usage(format!(
            "Unexpected -o output mode: {format}, the flag 'output' must be one of yaml|json"
        )));
    }
    let api = cx.api(a)?;
    let infos = Builder::new(a, &a.words).infos(cx, &api)?;
    crate::resource::each(cx, infos, |cx, i| {
        let Value::Str(s) = i.object.annotations().get(LAST_APPLIED) else {
            return Ok(());
        };
        let v = api::parse_json(s).map(|(v, _)| v).unwrap_or_default();
        let text = if format == "json" { print::reindent(&v.to_json(), 2) + "\n" } else { yaml::emit(&v) };
        cx.out(text);
        Ok(())
    })
}

fn set_last(cx: &mut Cx<'_>, a: &Args) -> Done {
    let dry = dry_run(cx, a)?;
    let builder = Builder::new(a, &[]);
    if !builder.has_files() {
        return text("one or more files must be specified as -f or --filename");
    }
    let mut printer = print::result_printer(cx, a, "configured", dry)?;
    let api = cx.api(a)?;
    let mut work = Vec::new();
    let mut errors = Vec::new();
    for t in builder.targets(cx, &api)?.items {
        let t = t?;
        let info = Info::from(t);
        let mut live = info.clone();
        live.fetch(cx, &api)?;
        let old = live.object.annotations().get(LAST_APPLIED).clone();
        if old.is_null() && !a.bool("create-annotation") {
            errors.push(Error::Text(format!(
                "no last-applied-configuration annotation found on resource: {}, to create the annotation, run the command \
                 with --create-annotation",
                info.name
            )));
            continue;
        }
        work.push((info, live, old));
    }
    if let Some(e) = Error::many(errors) {
        return Err(e.into());
    }
    for (info, live, old) in work {
        let new = last_applied_text(&info.object);
        if old.text() == new {
            cx.out(format!("set-last-applied {}: no changes required.\n", info.name));
            continue;
        }
        let mut v = live.object.clone();
        v.set(&["metadata", "annotations", LAST_APPLIED], new.as_str());
        if dry != DryRun::Client {
            let body = obj!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": new.as_str()}}});
            v = patch(
                cx,
                &api,
                &info.path(),
                PatchType::Merge,
                Body::Object(body),
                dry,
                "kubectl-client-side-apply",
            )?;
        }
        printer.print(cx, &v, a.bool("show-managed-fields"))?;
    }
    Ok(())
}
