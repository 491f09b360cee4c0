//! `kubectl autoscale`

use super::common::{FILES, SAVE_CONFIG, create, field_manager, with_last_applied};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print::{self, DRY_RUN, DryRun, dry_run};
use crate::resource::{Builder, Info, each};
use api::quantity::Quantity;
use api::{Value, obj};

const FLAGS: &[Flag] = &[
    DRY_RUN,
    SAVE_CONFIG,
    field_manager("'kubectl-autoscale'"),
    flag(
        "cpu",
        Kind::Str,
        "''",
        "CPU to aim at over all pods: a share of the request as 80%, or an amount as 500m.",
    ),
    // Going away, and so not shown.
    flag("cpu-percent", Kind::Int, "-1", ""),
    flag("max", Kind::Int, "-1", "Most pods. Must be given."),
    flag(
        "memory",
        Kind::Str,
        "''",
        "Memory to aim at over all pods: a share of the request as 80%, or an amount as 200Mi.",
    ),
    flag("min", Kind::Int, "-1", "Fewest pods. The server chooses unless given."),
    flag("name", Kind::Str, "''", "Name of the autoscaler; that of the object unless given."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "autoscale",
    group: Group::Deploy,
    short: "Auto-scale a deployment, replica set, stateful set, or replication controller",
    long: "Makes an autoscaler that sets the number of pods of a deployment, replica set, stateful set or replication \
           controller by what they use.",
    usage: "autoscale (-f FILENAME | TYPE NAME | TYPE/NAME) [--min=MINPODS] --max=MAXPODS [--cpu=CPU] [--memory=MEMORY]",
    example: "# Between two and ten pods\nkubectl autoscale deployment web --min=2 --max=10\n\n# At 80% of the CPU \
              requested\nkubectl autoscale deployment web --max=5 --cpu=80%",
    flags: &[FLAGS, FILES, print::FLAGS],
    required: &["max"],
    run: Some(run),
    complete: Some(complete::scalable),
    ..Command::EMPTY
};

fn metric(name: &str, text: &str) -> Result<Value, Error> {
    let target = if let Some(p) = text.strip_suffix('%') {
        let n: i64 = p.parse().map_err(|_| {
            Error::Text(format!("invalid value for --{name}: {text}, it must be a percentage or a quantity"))
        })?;
        obj!({"type": "Utilization", "averageUtilization": n})
    } else {
        let q = Quantity::parse(text)
            .map_err(|e| Error::Text(format!("invalid value for --{name}: {text}: {e}")))?;
        obj!({"type": "AverageValue", "averageValue": q})
    };
    Ok(obj!({"type": "Resource", "resource": {"name": name, "target": target}}))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let (min, max) = (a.int("min"), a.int("max"));
    if max < 1 {
        return Err(Error::text(
            "--max=MAXPODS is required and must be at least 1, max: ".to_owned() + &max.to_string(),
        )
        .into());
    }
    if max < min {
        return Err(Error::Text(format!(
            "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}"
        ))
        .into());
    }
    let dry = dry_run(cx, a)?;
    let mut printer = print::result_printer(cx, a, "autoscaled", dry)?;
    let mut metrics = Vec::new();
    for name in ["cpu", "memory"] {
        let text = a.str(name);
        if !text.is_empty() {
            metrics.push(metric(name, &text)?);
        }
    }
    if metrics.is_empty() && a.int("cpu-percent") >= 0 {
        metrics.push(metric("cpu", &format!("{}%", a.int("cpu-percent")))?);
    }
    let api = cx.api(a)?;
    let infos = Builder::new(a, &a.words).infos_as_given(cx, &api)?;
    if infos.is_empty() {
        return Err(Error::text("no objects passed to autoscale").into());
    }
    each(cx, infos, |cx, i| {
        if !matches!(
            i.res.kind.as_str(),
            "ReplicationController" | "Deployment" | "ReplicaSet" | "StatefulSet"
        ) {
            let group = if i.res.group.is_empty() { String::new() } else { format!(".{}", i.res.group) };
            return Err(Error::Text(format!(
                "cannot autoscale a {}{group}: could not find scale subresource for {} in discovery information",
                i.res.kind,
                i.res.gvr()
            ))
            .into());
        }
        let name = match a.str("name") {
            n if n.is_empty() => i.name.clone(),
            n => n,
        };
        let mut v = obj!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name.as_str()},
            "spec": {
                "maxReplicas": max,
                "scaleTargetRef": {"apiVersion": i.res.api_version(), "kind": i.res.kind.clone(), "name": i.name.as_str()}
            }
        });
        if min > 0 {
            v.set(&["spec", "minReplicas"], min);
        }
        if !metrics.is_empty() {
            v.set(&["spec", "metrics"], metrics.clone());
        }
        if api.namespace_given {
            v.set(&["metadata", "namespace"], i.namespace.as_str());
        }
        if a.bool("save-config") {
            v = with_last_applied(&v);
        }
        if dry != DryRun::Client {
            let d = cx.discovery(&api)?;
            let Some(res) = d.resource("autoscaling", "horizontalpodautoscalers") else {
                return Err(Error::text(
                    "the server doesn't have a resource type \"horizontalpodautoscalers\"",
                )
                .into());
            };
            let hpa = Info { res, namespace: i.namespace, name, source: String::new(), object: v };
            v = create(cx, &api, &hpa, dry, &a.str("field-manager"), "")?;
        }
        printer.print_typed(cx, &v, a.bool("show-managed-fields"))
    })
}
