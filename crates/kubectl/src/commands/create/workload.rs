//! `create deployment`, `job`, `cronjob`.

use super::{FLAGS, Told, command, fail, generated, name};
use crate::command::{Args, Command};
use crate::cx::{Cx, Done};
use crate::flags::{Kind, flag};
use crate::print;
use api::{Value, obj};

pub(super) static DEPLOYMENT: Command = Command {
    name: "deployment",
    aliases: &["deploy"],
    short: "Create a deployment with the specified name",
    long: "Creates a deployment of that name.",
    usage: "deployment NAME --image=image -- [COMMAND] [args...]",
    example: "# Three replicas\nkubectl create deployment web --image=nginx --replicas=3\n\n# With a command\nkubectl create \
              deployment clock --image=busybox -- date",
    flags: &[
        FLAGS,
        &[
            flag("image", Kind::Slice, "[]", "Images to run; each becomes a container."),
            flag("port", Kind::Int, "-1", "Port that the container listens on."),
            flag("replicas", Kind::Int, "1", "How many pods to run.").short('r'),
        ],
        print::FLAGS,
    ],
    required: &["image"],
    run: Some(deployment),
    ..Command::EMPTY
};

/// The image's last part without tag and digest, which names its container.
fn short_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let last = last.split('@').next().unwrap_or(last);
    let last = last.split(':').next().unwrap_or(last);
    last.chars().map(|c| if matches!(c, '_' | '.') { '-' } else { c }).collect()
}

fn deployment(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let images = a.list("image");
    let command = command(a);
    if images.len() > 1 && !command.is_empty() {
        return fail("cannot specify multiple --image options and command");
    }
    let replicas = a.int("replicas");
    if replicas < 0 {
        return fail("--replicas must be greater than or equal to 0");
    }
    let mut containers: Vec<Value> = Vec::new();
    for image in images {
        let mut base = short_name(image);
        if containers.iter().any(|c| c.get("name").text() == base) {
            base = format!("{base}-{:05x}", cx.random()? & 0xf_ffff);
        }
        let mut c = obj!({"image": image.as_str(), "name": base, "resources": {}});
        if !command.is_empty() {
            c.insert("command", command.clone());
        }
        containers.push(c);
    }
    let port = a.int("port");
    if port >= 0
        && let Some(c) = containers.first_mut()
    {
        c.insert("ports", vec![obj!({"containerPort": port})]);
    }
    let v = obj!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name.as_str(), "labels": {"app": name.as_str()}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name.as_str()}}, "strategy": {},
            "template": {"metadata": {"labels": {"app": name.as_str()}}, "spec": {"containers": containers}}
        }
    });
    generated(cx, a, "apps", "deployments", v, Told::Behind("failed to create deployment: "))
}

pub(super) static JOB: Command = Command {
    name: "job",
    short: "Create a job with the specified name",
    long: "Creates a job of that name, of an image or from a cron job.",
    usage: "job NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...]",
    example: "# Of an image with a command\nkubectl create job once --image=busybox -- date\n\n# As a cron job would\nkubectl \
              create job now --from=cronjob/nightly",
    flags: &[
        FLAGS,
        &[
            flag("from", Kind::Str, "''", "Cron job to make the job of: cronjob/name."),
            flag("image", Kind::Str, "''", "Image to run."),
        ],
        print::FLAGS,
    ],
    run: Some(job),
    ..Command::EMPTY
};

fn job(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let (image, from) = (a.str("image"), a.str("from"));
    let command = command(a);
    if image.is_empty() == from.is_empty() {
        return fail("either --image or --from must be specified");
    }
    if !command.is_empty() && !from.is_empty() {
        return fail("cannot specify --from and command");
    }
    let told = Told::Behind("failed to create job: ");
    if from.is_empty() {
        let mut c = obj!({"image": image.as_str(), "name": name.as_str(), "resources": {}});
        if !command.is_empty() {
            c.insert("command", command);
        }
        let v = obj!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name.as_str()},
            "spec": {"template": {"metadata": {}, "spec": {"containers": [c], "restartPolicy": "Never"}}}
        });
        return generated(cx, a, "batch", "jobs", v, told);
    }
    let api = cx.api(a)?;
    let builder = crate::resource::Builder::new(a, core::slice::from_ref(&from));
    let mut infos = builder.infos(cx, &api)?;
    let cron = match infos.pop() {
        Some(i) => i?,
        None => return fail("from must be an existing cronjob"),
    };
    if cron.res.kind != "CronJob" {
        return fail(format!("unknown object type {}, must be a cronjob", cron.res.kind));
    }
    let template = cron.object.at(&["spec", "jobTemplate"]);
    let mut notes = template.annotations().clone();
    if notes.is_null() {
        notes = Value::map();
    }
    notes.insert("cronjob.kubernetes.io/instantiate", "manual");
    let mut v = obj!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name.as_str(), "annotations": notes,
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": cron.object.name(), "uid": cron.object.uid(),
                "controller": true
            }]
        },
        "spec": template.get("spec")
    });
    if template.labels().is_some() {
        v.set(&["metadata", "labels"], template.labels());
    }
    generated(cx, a, "batch", "jobs", v, told)
}

pub(super) static CRON_JOB: Command = Command {
    name: "cronjob",
    aliases: &["cj"],
    short: "Create a cron job with the specified name",
    long: "Creates a cron job of that name.",
    usage: "cronjob NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...] [flags]",
    example: "# Every minute\nkubectl create cronjob tick --image=busybox --schedule='*/1 * * * *' -- date",
    flags: &[
        FLAGS,
        &[
            flag("image", Kind::Str, "''", "Image to run."),
            flag("restart", Kind::Str, "''", "Restart policy of the job's pods: OnFailure or Never"),
            flag("schedule", Kind::Str, "''", "When to run, in the format of cron."),
        ],
        print::FLAGS,
    ],
    required: &["image", "schedule"],
    run: Some(cron_job),
    ..Command::EMPTY
};

fn cron_job(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let restart = match a.str("restart") {
        r if r.is_empty() => "OnFailure".to_owned(),
        r => r,
    };
    let mut c = obj!({"image": a.str("image"), "name": name.as_str(), "resources": {}});
    let command = command(a);
    if !command.is_empty() {
        c.insert("command", command);
    }
    let v = obj!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name.as_str()},
        "spec": {
            "jobTemplate": {
                "metadata": {"name": name.as_str()},
                "spec": {"template": {"metadata": {}, "spec": {"containers": [c], "restartPolicy": restart}}}
            },
            "schedule": a.str("schedule")
        }
    });
    generated(cx, a, "batch", "cronjobs", v, Told::Behind("failed to create cronjob: "))
}
