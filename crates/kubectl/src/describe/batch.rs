//! Jobs and CronJobs.

use super::template::pod_template;
use super::{Describer, W, controller, date, or, truth};
use crate::cx::Done;
use crate::resource::Info;
use api::selector::Selector;
use api::{Value, duration, gofmt};

fn unset(v: &Value) -> String {
    if v.is_null() { "<unset>".into() } else { gofmt::value(v) }
}

pub(super) fn job(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let (spec, status) = (v.get("spec"), v.get("status"));
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.field(0, "Selector", Selector::describe(spec.get("selector")));
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    let owner = controller(v);
    if !owner.is_empty() {
        w.field(0, "Controlled By", owner);
    }
    w.field(0, "Parallelism", spec.get("parallelism").int());
    w.field(0, "Completions", unset(spec.get("completions")));
    if spec.get("completionMode").is_some() {
        w.field(0, "Completion Mode", spec.get("completionMode").text());
    }
    if spec.get("suspend").is_some() {
        w.field(0, "Suspend", spec.get("suspend").is_true());
    }
    if spec.get("backoffLimit").is_some() {
        w.field(0, "Backoff Limit", spec.get("backoffLimit").int());
    }
    if spec.get("ttlSecondsAfterFinished").is_some() {
        w.field(0, "TTL Seconds After Finished", spec.get("ttlSecondsAfterFinished").int());
    }
    let (start, end) = (status.get("startTime"), status.get("completionTime"));
    if start.is_some() {
        w.field(0, "Start Time", date(start));
    }
    if end.is_some() {
        w.field(0, "Completed At", date(end));
        if let (Some(a), Some(b)) = (sim::Civil::parse(start.text()), sim::Civil::parse(end.text())) {
            w.field(0, "Duration", duration::human(super::nanos(&b) - super::nanos(&a)));
        }
    }
    if spec.get("activeDeadlineSeconds").is_some() {
        w.field(0, "Active Deadline Seconds", format!("{}s", spec.get("activeDeadlineSeconds").int()));
    }
    let n = |k: &str| status.get(k).int();
    let ready =
        if status.get("ready").is_some() { format!(" ({} Ready)", n("ready")) } else { String::new() };
    w.field(
        0,
        "Pods Statuses",
        format!("{} Active{ready} / {} Succeeded / {} Failed", n("active"), n("succeeded"), n("failed")),
    );
    if spec.get("completionMode").text() == "Indexed" {
        w.field(0, "Completed Indexes", or(status.get("completedIndexes").text(), "<none>"));
    }
    pod_template(w, spec.get("template"));
    d.write_events(w, i)
}

pub(super) fn cron_job(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let spec = v.get("spec");
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "Schedule", spec.get("schedule").text());
    w.field(0, "Concurrency Policy", spec.get("concurrencyPolicy").text());
    let suspend = spec.get("suspend");
    w.field(0, "Suspend", if suspend.is_null() { "<unset>" } else { truth(suspend.is_true()) });
    w.field(0, "Time Zone", or(spec.get("timeZone").text(), "<unset>"));
    w.field(0, "Successful Job History Limit", unset(spec.get("successfulJobsHistoryLimit")));
    w.field(0, "Failed Job History Limit", unset(spec.get("failedJobsHistoryLimit")));
    let deadline = spec.get("startingDeadlineSeconds");
    let deadline = if deadline.is_null() { "<unset>".into() } else { format!("{}s", deadline.int()) };
    w.field(0, "Starting Deadline Seconds", deadline);
    let job = spec.at(&["jobTemplate", "spec"]);
    let selector = job.get("selector");
    w.field(0, "Selector", if selector.is_null() { "<unset>".into() } else { Selector::describe(selector) });
    w.field(0, "Parallelism", unset(job.get("parallelism")));
    w.field(0, "Completions", unset(job.get("completions")));
    if job.get("activeDeadlineSeconds").is_some() {
        w.field(0, "Active Deadline Seconds", format!("{}s", job.get("activeDeadlineSeconds").int()));
    }
    pod_template(w, job.get("template"));
    let last = v.at(&["status", "lastScheduleTime"]);
    w.field(0, "Last Schedule Time", date(last));
    let active: Vec<&str> = v.at(&["status", "active"]).items().map(|a| a.get("name").text()).collect();
    w.field(0, "Active Jobs", if active.is_empty() { "<none>".to_owned() } else { active.join(", ") });
    d.write_events(w, i)
}
