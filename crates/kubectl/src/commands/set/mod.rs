//! `kubectl set`

mod env;
mod others;

use super::common::{ALL, FILES, LOCAL, SELECTOR, difference, field_manager, template_path};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::Flag;
use crate::print::{self, DRY_RUN, DryRun, dry_run};
use crate::resource::{Builder, Info, each};
use api::Value;
use api::wire::Body;

/// Flags of all commands below.
pub const FLAGS: &[Flag] = &[ALL, DRY_RUN, LOCAL, SELECTOR, field_manager("'kubectl-set'")];
/// The same for those that take no selector.
pub const FLAGS_WITHOUT_SELECTOR: &[Flag] = &[ALL, DRY_RUN, LOCAL, field_manager("'kubectl-set'")];

/// The command.
pub static COMMAND: Command = Command {
    name: "set",
    group: Group::Beginner,
    short: "Set specific features on objects",
    long: "Changes single features of workloads that exist already.",
    usage: "set SUBCOMMAND",
    subs: &[
        &env::COMMAND,
        &IMAGE,
        &others::RESOURCES,
        &others::SELECTOR_COMMAND,
        &others::SERVICE_ACCOUNT,
        &others::SUBJECT,
    ],
    ..Command::EMPTY
};

static IMAGE: Command = Command {
    name: "image",
    short: "Update the image of a pod template",
    long: "Sets the images of a pod's or pod template's containers.\n\n Possible resources include (case insensitive):\n\n pod \
           (po), replicationcontroller (rc), deployment (deploy), daemonset (ds), statefulset (sts), cronjob (cj), replicaset \
           (rs)",
    usage: "image (-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N",
    example: "# One container\nkubectl set image deployment/web nginx=nginx:1.27\n\n# All containers of all \
              deployments\nkubectl set image deployments --all *=nginx:1.27",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(image),
    complete: Some(complete::templated),
    ..Command::EMPTY
};

/// Words up to the first `key=value`, and the pairs.
pub fn split_pairs(a: &Args, what: &str, removable: bool) -> Result<(Vec<String>, Vec<String>), Error> {
    let is_pair =
        |w: &str| (w.contains('=') && !w.starts_with('=')) || (removable && w.ends_with('-') && w.len() > 1);
    let at = a.words.iter().position(|w| is_pair(w)).unwrap_or(a.words.len());
    let (resources, pairs) = a.words.split_at(at);
    for p in pairs {
        if !is_pair(p) {
            return Err(Error::Text(format!("all resources must be specified before {what} changes: {p}")));
        }
    }
    Ok((resources.to_vec(), pairs.to_vec()))
}

pub(super) const NO_RESOURCE: &str =
    "one or more resources must be specified as <resource> <name> or <resource>/<name>";

/// The objects to work on: live ones, or with `--local` those of files.
pub fn objects(cx: &mut Cx<'_>, a: &Args, resources: &[String]) -> Done<Vec<Result<Info, Error>>> {
    let builder = Builder::new(a, resources);
    if a.bool("local") {
        if !builder.has_files() {
            return Err(Error::text("one or more files must be specified as -f when --local is set").into());
        }
        if dry_run(cx, a)? == DryRun::Server {
            return Err(Error::text(
                "cannot specify --local and --dry-run=server - did you mean --dry-run=client?",
            )
            .into());
        }
        return builder.local(cx, "");
    }
    let api = cx.api(a)?;
    builder.infos(cx, &api)
}

/// Sends what `change` made of each object, and tells; what it left as it was is passed over.
pub fn update(
    cx: &mut Cx<'_>,
    a: &Args,
    infos: Vec<Result<Info, Error>>,
    told: &str,
    failed: &str,
    mut change: impl FnMut(&mut Cx<'_>, &Info, &mut Value) -> Done,
) -> Done {
    let dry = dry_run(cx, a)?;
    let mut printer = print::result_printer(cx, a, told, dry)?;
    let keep = a.bool("show-managed-fields");
    let silent_same = !a.given("output");
    each(cx, infos, |cx, i| {
        let mut v = i.object.clone();
        // What went wrong in a part is told, the rest is sent all the same.
        let r = change(cx, &i, &mut v);
        let trouble = cx.catch(r)?.err();
        let same = v == i.object;
        if let Some(cause) = a.change_cause() {
            *v.slot(&["metadata", "annotations", "kubernetes.io/change-cause"]) = cause.into();
        }
        if a.bool("local") || dry == DryRun::Client {
            if !same || !silent_same || a.bool("local") {
                if a.bool("local") {
                    printer.print_typed(cx, &v, keep)?;
                } else {
                    printer.print(cx, &v, keep)?;
                }
            }
        } else if !same {
            let (ty, body) = difference(&i, &v)?;
            let api = cx.api(a)?;
            let r = super::common::patch(
                cx,
                &api,
                &i.path(),
                ty,
                Body::Object(body),
                dry,
                &a.str("field-manager"),
            );
            let v = cx.catch(r)?.map_err(|e| Error::Text(format!("{failed}: {}", e.message())))?;
            printer.print(cx, &v, keep)?;
        }
        match trouble {
            Some(e) => Err(e.into()),
            None => Ok(()),
        }
    })
}

/// Lends the pod spec of a workload for writing, or `None` where it has none.
pub fn pod_spec<'a>(i: &Info, v: &'a mut Value) -> Option<&'a mut Value> {
    let path = template_path(&i.res.kind)?;
    let mut path = path.to_vec();
    path.push("spec");
    Some(v.slot(&path))
}

/// Lends the containers whose names fit a pattern with `*`.
pub fn each_container(spec: &mut Value, list: &str, pattern: &str, mut f: impl FnMut(&mut Value)) -> usize {
    let mut n = 0;
    if spec.get(list).is_empty() {
        return 0;
    }
    for c in spec.slot(&[list]).list_mut() {
        if fits(c.get("name").text(), pattern) {
            n += 1;
            f(c);
        }
    }
    n
}

/// Whether a name fits a pattern in which `*` stands for anything.
pub fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((head, tail)) => {
            let Some(rest) = name.strip_prefix(head) else { return false };
            (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| fits(&rest[i..], tail))
        }
    }
}

fn image(cx: &mut Cx<'_>, a: &Args) -> Done {
    let (resources, pairs) = split_pairs(a, "image", false)?;
    if resources.is_empty() && !Builder::new(a, &[]).has_files() {
        return Err(Error::text(NO_RESOURCE).into());
    }
    if pairs.is_empty() {
        return Err(Error::text("at least one image update is required").into());
    }
    let images: Vec<(&str, &str)> = pairs.iter().filter_map(|p| p.split_once('=')).collect();
    if images.len() > 1 && images.iter().any(|(c, _)| *c == "*") {
        return Err(Error::text(
            "all containers are already specified by *, but saw more than one container_name=container_image \
                                pairs",
        )
        .into());
    }
    let infos = objects(cx, a, &resources)?;
    update(cx, a, infos, "image updated", "failed to patch image update to pod template", |_, i, v| {
        let Some(spec) = pod_spec(i, v) else {
            return Err(Error::Text(format!(
                "{}/{} the object is not a pod or does not have a pod template: {}",
                i.res.name, i.name, i.res.kind
            ))
            .into());
        };
        let mut missing = Vec::new();
        for (container, image) in &images {
            let mut n = 0;
            for list in ["initContainers", "containers"] {
                n += each_container(spec, list, container, |c| c.insert("image", *image));
            }
            if n == 0 {
                missing.push(Error::Text(format!(
                    "unable to find container named {}",
                    api::gofmt::quote(container)
                )));
            }
        }
        match Error::many(missing) {
            Some(e) => Err(e.into()),
            None => Ok(()),
        }
    })
}
