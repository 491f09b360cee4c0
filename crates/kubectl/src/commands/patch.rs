//! `kubectl patch`

use super::common::{FILES, LOCAL, field_manager, patch};
use crate::client::PatchType;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print::{self, DRY_RUN, DryRun, Printer, dry_run};
use crate::resource::{Builder, Info, each};
use api::wire::Body;
use api::{Value, gofmt, yaml};

const FLAGS: &[Flag] = &[
    DRY_RUN,
    LOCAL,
    field_manager("'kubectl-patch'"),
    flag("patch", Kind::Str, "''", "The patch, JSON or YAML.").short('p'),
    flag("patch-file", Kind::Str, "''", "File with the patch."),
    flag("subresource", Kind::Str, "''", "Patch this subresource of the object."),
    flag("type", Kind::Str, "'strategic'", "Kind of the patch; one of [json merge strategic]"),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "patch",
    group: Group::Advanced,
    short: "Update fields of a resource",
    long: "Changes fields of an object by a strategic merge patch, a JSON merge patch, or a JSON patch.\n\n JSON and YAML are \
           taken.\n\n Custom resources know no strategic merge patch.",
    usage: "patch (-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
    example: "# A field\nkubectl patch node node-1 -p '{\"spec\":{\"unschedulable\":true}}'\n\n# By JSON patch\nkubectl patch pod \
              web --type='json' -p='[{\"op\": \"replace\", \"path\": \"/spec/containers/0/image\", \"value\":\"nginx:1.27\"}]'",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(run),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let (inline, file) = (a.str("patch"), a.str("patch-file"));
    if !inline.is_empty() && !file.is_empty() {
        return fail("cannot specify --patch and --patch-file together");
    }
    if inline.is_empty() && file.is_empty() {
        return fail("must specify --patch or --patch-file containing the contents of the patch");
    }
    let dry = dry_run(cx, a)?;
    if a.bool("local") && dry == DryRun::Server {
        return fail("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
    }
    let ty = match a.str("type").to_lowercase().as_str() {
        "json" => PatchType::Json,
        "merge" => PatchType::Merge,
        "strategic" | "" => PatchType::Strategic,
        _ => {
            return fail(format!(
                "--type must be one of [json merge strategic], not {}",
                gofmt::quote(&a.str("type"))
            ));
        }
    };
    let requested = print::requested(cx, a, false)?;
    let text = if file.is_empty() {
        inline
    } else {
        match cx.read_file(&file)? {
            Ok(d) => String::from_utf8_lossy(&d).into_owned(),
            Err(e) => return fail(format!("unable to read patch file: open {file}: {e}")),
        }
    };
    // What looks like JSON goes to the server as it is, for its words about it.
    let looks_json = text.trim_start().starts_with(['{', '[']);
    let value = match api::parse_json(&text) {
        Ok((v, _)) => Some(v),
        Err(_) if looks_json => yaml::parse(&text).ok(),
        Err(_) => match yaml::parse(&text) {
            Ok(v) => Some(v),
            Err(e) => return fail(format!("unable to parse {}: {e}", gofmt::quote(&text))),
        },
    };
    let body = match &value {
        Some(v) => Body::text(&v.to_json()),
        None => Body::text(&text),
    };
    let builder = Builder::new(a, &a.words);
    let sub = a.str("subresource");
    let mut printer = requested;
    if a.bool("local") {
        let infos = builder.local(cx, "")?;
        return each(cx, infos, |cx, i| {
            let v = applied(&i, ty, value.as_ref())?;
            tell(cx, a, &mut printer, &i, &v, dry)
        });
    }
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    let infos: Vec<Result<Info, Error>> = targets
        .items
        .into_iter()
        .map(|t| {
            t.map(|t| Info {
                res: t.res,
                namespace: t.namespace,
                name: t.name.unwrap_or_default(),
                source: t.source,
                object: t.object,
            })
        })
        .collect();
    if infos.is_empty() {
        return fail("no objects passed to patch");
    }
    each(cx, infos, |cx, mut i| {
        let path = if sub.is_empty() { i.path() } else { format!("{}/{sub}", i.path()) };
        // Objects of files are taken as the files have them.
        if i.object.is_null() {
            i.object = api.get(cx, &path)?;
        }
        let v = if dry == DryRun::Client {
            applied(&i, ty, value.as_ref())?
        } else {
            let v = patch(cx, &api, &path, ty, body.clone(), dry, &a.str("field-manager"));
            cx.catch(v)?.map_err(|e| match e.reason() {
                "UnsupportedMediaType" => {
                    let (ty, kind) = (ty.content_type(), i.res.gvk());
                    Error::Text(format!("{ty} is not supported by {kind}: {}", e.message()))
                }
                _ => e,
            })?
        };
        tell(cx, a, &mut printer, &i, &v, dry)
    })
}

/// What the patch makes of an object, without the server.
fn applied(i: &Info, ty: PatchType, patch: Option<&Value>) -> Result<Value, Error> {
    let patch = patch.unwrap_or(Value::null());
    match ty {
        PatchType::Json => api::patch::json_patch(&i.object, patch).map_err(Error::Text),
        PatchType::Merge => Ok(api::patch::merge(&i.object, patch)),
        _ => api::patch::strategic(&i.object, patch, crate::print::type_of(&i.object)).map_err(Error::Text),
    }
}

fn tell(cx: &mut Cx<'_>, a: &Args, printer: &mut Option<Printer>, i: &Info, v: &Value, dry: DryRun) -> Done {
    if let Some(p) = printer {
        return p.print(cx, v, a.bool("show-managed-fields"));
    }
    let changed = *v != i.object;
    let label = print::object_label(v);
    if changed {
        cx.out(format!("{label} patched{}\n", print::dry_run_suffix(dry)));
    } else {
        cx.out(format!("{label} patched (no change)\n"));
    }
    Ok(())
}
