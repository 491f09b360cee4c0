//! `kubectl scale`

use super::common::{ALL, FILES, SELECTOR};
use crate::client::PatchType;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print::{self, DRY_RUN, DryRun, Printer, dry_run};
use crate::resource::{Builder, Info};
use api::obj;
use api::wire::Body;

const FLAGS: &[Flag] = &[
    ALL,
    DRY_RUN,
    SELECTOR,
    flag("current-replicas", Kind::Int, "-1", "Scale only what has so many replicas now. -1 is any number."),
    flag("replicas", Kind::Int, "0", "The new number of replicas. Must be given."),
    flag("resource-version", Kind::Str, "''", "Scale only what has this version now."),
    flag("timeout", Kind::Duration, "0s", "How long to wait for the scaling to be done; 0 does not wait."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "scale",
    group: Group::Deploy,
    short: "Set a new size for a deployment, replica set, or replication controller",
    long: "Sets the number of replicas of a deployment, replica set, replication controller or stateful set. Conditions on the \
           present number or version guard against others' changes.",
    usage: "scale [--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME)",
    example: "# Three replicas\nkubectl scale --replicas=3 deployment/web\n\n# Only if there are two now\nkubectl scale \
              --current-replicas=2 --replicas=3 deployment/web",
    flags: &[FLAGS, FILES, print::FLAGS],
    required: &["replicas"],
    run: Some(run),
    complete: Some(complete::scalable),
    ..Command::EMPTY
};

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let replicas = a.int("replicas");
    if replicas < 0 {
        return Err(Error::text(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        )
        .into());
    }
    if a.int("current-replicas") < -1 {
        return Err(Error::text("The --current-replicas must specify an integer of -1 or greater").into());
    }
    let dry = dry_run(cx, a)?;
    let mut printer = print::result_printer(cx, a, "scaled", dry)?;
    let api = cx.api(a)?;
    let infos = Builder::new(a, &a.words).infos_as_given(cx, &api)?;
    if infos.is_empty() {
        return Err(Error::text("no objects passed to scale").into());
    }
    let version = a.str("resource-version");
    if !version.is_empty() && infos.len() > 1 {
        return Err(Error::text("cannot use --resource-version with multiple resources").into());
    }
    // The first failure ends it.
    for i in infos {
        let i = i?;
        let mut result = i.object.clone();
        if dry != DryRun::Client {
            scale_one(cx, a, &api, &i, replicas, dry)?;
            if !matches!(printer, Printer::Name { .. }) {
                result = api.get(cx, &i.path())?;
            }
        }
        printer.print(cx, &result, a.bool("show-managed-fields"))?;
    }
    Ok(())
}

fn scale_one(
    cx: &mut Cx<'_>,
    a: &Args,
    api: &crate::client::Api,
    i: &Info,
    replicas: i64,
    dry: DryRun,
) -> Done {
    let path = format!("{}/scale", i.path());
    let (current, version) = (a.int("current-replicas"), a.str("resource-version"));
    if current != -1 || !version.is_empty() {
        let scale = api.get(cx, &path)?;
        let now = scale.at(&["spec", "replicas"]).int();
        if current != -1 && now != current {
            return Err(Error::Text(format!("Expected replicas to be {current}, was {now}")).into());
        }
        let have = scale.at(&["metadata", "resourceVersion"]).text();
        if !version.is_empty() && have != version {
            return Err(Error::Text(format!("Expected resource version to be {version}, was {have}")).into());
        }
    }
    let body = Body::Object(obj!({"spec": {"replicas": replicas}}));
    super::common::patch(cx, api, &path, PatchType::Merge, body, dry, "")?;
    let limit = a.duration("timeout");
    if limit > 0 && dry == DryRun::None {
        let deadline = cx.now()? + core::time::Duration::from_nanos(limit.unsigned_abs());
        let done = super::common::until(cx, api, &i.path(), Some(deadline), |v| {
            v.is_null()
                || v.at(&["status", "replicas"]).int() == replicas
                    && v.at(&["status", "observedGeneration"]).int() >= v.generation()
        })?;
        if done.is_none() {
            return Err(Error::text("timed out waiting for the condition").into());
        }
    }
    Ok(())
}
