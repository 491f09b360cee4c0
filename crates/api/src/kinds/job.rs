//! Job and CronJob.

use super::{
    NameRule, Rules, age, check, containers_and_images, default, object_age, pod, podspec, workload,
};
use crate::field::{At, ErrorType, Errors};
use crate::gostruct::internal_json;
use crate::{Value, selector::Selector};
use sim::Civil;

/// Job.
pub const JOB: Rules = Rules {
    of: ("batch", "Job"),
    defaults: |v| spec_defaults(v.slot(&["spec"])),
    prepare: |new, old| {
        workload::keep_status(new, old, Value::map());
        if old.is_none() {
            default(new.slot(&["spec"]), "manualSelector", false);
            if !new.at(&["spec", "manualSelector"]).is_true() {
                generate_selector(new);
            }
        }
    },
    validate: |v, e| {
        let at = At::Path("spec");
        spec(v.get("spec"), &at, e);
        let matches = workload::selector(v.get("spec"), "job", &at, e);
        if matches == Some(false) && v.at(&["spec", "selector"]).is_some() {
            let why = "`selector` does not match template `labels`";
            let labels = v.at(&["spec", "template", "metadata", "labels"]);
            e.invalid(&At::Path("spec.template.metadata.labels"), labels, why);
        }
    },
    validate_update: job_update,
    warnings: |new, _, out| workload::warnings(new, out),
    generation: true,
    fields: &[("status.successful", |v: &Value| v.at(&["status", "succeeded"]).int().to_string())],
    cells: Some(job_cells),
    ..Rules::GENERIC
};

fn spec_defaults(spec: &mut Value) {
    if spec.get("completions").is_null() && spec.get("parallelism").is_null() {
        spec.insert("completions", 1);
        spec.insert("parallelism", 1);
    }
    default(spec, "parallelism", 1);
    let per_index = spec.get("backoffLimitPerIndex").is_some();
    default(spec, "backoffLimit", if per_index { i64::from(i32::MAX) } else { 6 });
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    let policy = spec.get("podFailurePolicy").is_some();
    default(spec, "podReplacementPolicy", if policy { "Failed" } else { "TerminatingOrFailed" });
    pod::template_defaults(spec.slot(&["template"]));
    let rules = spec.at(&["podFailurePolicy", "rules"]).len();
    for i in 0..rules {
        let rule = &mut spec.slot(&["podFailurePolicy", "rules"]).list_mut()[i];
        if !rule.get("onPodConditions").is_empty() {
            rule.slot(&["onPodConditions"]).list_mut().iter_mut().for_each(|c| default(c, "status", "True"));
        }
    }
}

/// Labels and selector by the job's uid. Models: `generateSelector`.
fn generate_selector(v: &mut Value) {
    let (uid, name) = (v.get("metadata").get("uid").smol(), v.get("metadata").get("name").smol());
    for (key, value) in [
        ("controller-uid", &uid),
        ("job-name", &name),
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
    ] {
        if v.at(&["spec", "template", "metadata", "labels", key]).is_null() {
            v.set(&["spec", "template", "metadata", "labels", key], value);
        }
    }
    if v.labels().is_empty() {
        // A job without labels shows those of its template.
        let labels = v.at(&["spec", "template", "metadata", "labels"]).clone();
        v.set(&["metadata", "labels"], labels);
    }
    v.set(&["spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"], &uid);
}

fn spec(v: &Value, at: &At<'_>, e: &mut Errors) {
    for key in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        check::non_negative(v, key, at, e);
    }
    check::non_negative(v, "backoffLimitPerIndex", at, e);
    check::non_negative(v, "maxFailedIndexes", at, e);
    let indexed = v.get("completionMode").text() == "Indexed";
    if v.get("completionMode").is_some() {
        if !matches!(v.get("completionMode").text(), "NonIndexed" | "Indexed") {
            let supported = ["NonIndexed", "Indexed"];
            e.one_of(&at.field("completionMode"), v.get("completionMode").text(), &supported);
        }
        if indexed && v.get("completions").is_null() {
            e.required(&at.field("completions"), "when completion mode is Indexed");
        }
    }
    if v.get("backoffLimitPerIndex").is_some() && !indexed {
        let why = "requires indexed completion mode";
        e.invalid(&at.field("backoffLimitPerIndex"), v.get("backoffLimitPerIndex"), why);
    }
    success_policy(v, indexed, &at.field("successPolicy"), e);
    let allowed = if v.get("podFailurePolicy").is_some() {
        &["Failed"][..]
    } else {
        &["TerminatingOrFailed", "Failed"][..]
    };
    check::choice(v, "podReplacementPolicy", at, allowed, e);
    let template_at = at.field("template");
    podspec::template(v.get("template"), &template_at, e);
    let restart = v.at(&["template", "spec", "restartPolicy"]).text();
    let spec_at = template_at.field("spec");
    match restart {
        "OnFailure" | "Never" => {}
        "Always" => e.one_of(&spec_at.field("restartPolicy"), restart, &["OnFailure", "Never"]),
        _ => {}
    }
}

fn success_policy(v: &Value, indexed: bool, at: &At<'_>, e: &mut Errors) {
    let policy = v.get("successPolicy");
    if policy.is_null() {
        return;
    }
    if !indexed {
        let shown = internal_json("io.k8s.api.batch.v1.SuccessPolicy", policy);
        return e.printed(ErrorType::Invalid, at, &shown, "requires indexed completion mode");
    }
    let rules_at = at.field("rules");
    if policy.get("rules").is_empty() {
        e.required(&rules_at, "at least one rules must be specified when the successPolicy is specified");
    }
    let completions = v.get("completions").int();
    for (i, r) in policy.get("rules").items().enumerate() {
        let at = rules_at.index(i);
        let (count, indexes) = (r.get("succeededCount"), r.get("succeededIndexes"));
        if count.is_null() && indexes.is_null() {
            let why = "at least one of succeededCount or succeededIndexes must be specified";
            e.required(&at, why);
        }
        let mut listed = None;
        if indexes.is_some() {
            match parse_indexes(indexes.text(), completions) {
                Ok(n) => listed = Some(n),
                Err(m) => {
                    let why = format!("error parsing succeededIndexes: {m}");
                    e.invalid(&at.field("succeededIndexes"), indexes.text(), &why);
                    listed = Some(0);
                }
            }
        }
        if let Some(n) = count.as_int() {
            let at = at.field("succeededCount");
            if n < 0 {
                e.invalid(&at, n, check::NON_NEGATIVE);
            }
            if n > completions {
                let why = format!(
                    "must be less than or equal to {completions} (the number of specified completions)"
                );
                e.invalid(&at, n, &why);
            }
            if let Some(max) = listed
                && n > max
            {
                let why = format!(
                    "must be less than or equal to {max} (the number of indexes in the specified succeededIndexes \
                     field)"
                );
                e.invalid(&at, n, &why);
            }
        }
    }
}

/// How many indexes `0,2-4` names. Models: `validateIndexesFormat`.
fn parse_indexes(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last) = (0i64, None::<i64>);
    for part in text.split(',') {
        let mut ends = part.splitn(3, '-');
        let (first, second, third) = (ends.next(), ends.next(), ends.next());
        if third.is_some() {
            return Err(format!(
                "the fragment \"{part}\" violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let number = |s: &str| -> Result<i64, String> {
            let n: i64 =
                s.parse().map_err(|_| format!("cannot convert string to integer for index: \"{s}\""))?;
            if n >= completions { Err(format!("too large index: \"{s}\"")) } else { Ok(n) }
        };
        let x = number(first.unwrap_or(""))?;
        if last.is_some_and(|l| x <= l) {
            return Err(format!("non-increasing order, previous: {}, current: {x}", last.unwrap_or(0)));
        }
        let y = match second {
            Some(s) => number(s)?,
            None => x,
        };
        if second.is_some() && y <= x {
            return Err(format!("non-increasing order, previous: {x}, current: {y}"));
        }
        total += y - x + 1;
        last = Some(y);
    }
    Ok(total)
}

fn job_update(new: &Value, old: &Value, e: &mut Errors) {
    let (n, o, at) = (new.get("spec"), old.get("spec"), At::Path("spec"));
    let indexed = o.get("completionMode").text() == "Indexed";
    if n.get("completions") != o.get("completions")
        && !(indexed && n.get("completions") == n.get("parallelism"))
    {
        e.invalid(&at.field("completions"), n.get("completions"), check::IMMUTABLE);
    }
    workload::selector_immutable(new, old, e);
    let suspended = o.get("suspend").is_true() && old.at(&["status", "startTime"]).is_null();
    let (mut a, mut b) = (n.get("template").clone(), o.get("template").clone());
    if suspended {
        for t in [&mut a, &mut b] {
            for path in [&["spec", "nodeSelector"][..], &["spec", "tolerations"], &["spec", "affinity"]] {
                t.remove(path);
            }
            for key in ["labels", "annotations"] {
                t.remove(&["metadata", key]);
            }
        }
    }
    if a != b {
        let shown = internal_json("io.k8s.api.core.v1.PodTemplateSpec", n.get("template"));
        e.printed(ErrorType::Invalid, &at.field("template"), &shown, check::IMMUTABLE);
    }
    check::immutable(n, o, "completionMode", &at, e);
    check::immutable(n, o, "podFailurePolicy", &at, e);
    check::immutable(n, o, "backoffLimitPerIndex", &at, e);
    check::immutable(n, o, "managedBy", &at, e);
    check::immutable(n, o, "successPolicy", &at, e);
}

/// `Complete`, `Failed`, `Suspended`… Models: `printJob`.
pub fn job_status(v: &Value) -> &'static str {
    let is = |kind: &str| v.condition(kind).get("status").text() == "True";
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if v.is_terminating() {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn job_cells(v: &Value, now: Civil) -> Vec<Value> {
    let (spec, status) = (v.get("spec"), v.get("status"));
    let done = status.get("succeeded").int();
    let completions = match (spec.get("completions").as_int(), spec.get("parallelism").int()) {
        (Some(n), _) => format!("{done}/{n}"),
        (None, p) if p > 1 => format!("{done}/1 of {p}"),
        _ => format!("{done}/1"),
    };
    let start = Civil::parse(status.get("startTime").text());
    let end = Civil::parse(status.get("completionTime").text());
    let duration = match (start, end) {
        (None, _) => String::new(),
        (Some(_), None) => age(status.get("startTime"), now),
        (Some(s), Some(e)) => crate::duration::human((e.unix() - s.unix()) * 1_000_000_000),
    };
    let (names, images) = containers_and_images(spec.at(&["template", "spec"]));
    vec![
        v.name().into(),
        job_status(v).into(),
        completions.into(),
        duration.into(),
        object_age(v, now),
        names,
        images,
        Selector::describe(spec.get("selector")).into(),
    ]
}

/// CronJob.
pub const CRON_JOB: Rules = Rules {
    of: ("batch", "CronJob"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        default(spec, "concurrencyPolicy", "Allow");
        default(spec, "suspend", false);
        default(spec, "successfulJobsHistoryLimit", 3);
        default(spec, "failedJobsHistoryLimit", 1);
        pod::template_defaults(spec.slot(&["jobTemplate", "spec", "template"]));
    },
    prepare: |new, old| workload::keep_status(new, old, Value::map()),
    validate: cron_job,
    warnings: |new, _, out| {
        let spec = new.at(&["spec", "jobTemplate", "spec", "template", "spec"]);
        super::container::warnings(spec, "spec.jobTemplate.spec.template.spec", out);
    },
    generation: true,
    cells: Some(|v, now| {
        let spec = v.get("spec");
        let (names, images) = containers_and_images(spec.at(&["jobTemplate", "spec", "template", "spec"]));
        let last = v.at(&["status", "lastScheduleTime"]);
        vec![
            v.name().into(),
            spec.get("schedule").text().into(),
            spec.get("timeZone").as_str().unwrap_or("<none>").into(),
            if spec.get("suspend").is_true() { "True" } else { "False" }.into(),
            v.at(&["status", "active"]).len().into(),
            if last.is_null() { "<none>".into() } else { age(last, now).into() },
            object_age(v, now),
            names,
            images,
            Selector::describe(spec.at(&["jobTemplate", "spec", "selector"])).into(),
        ]
    }),
    name: NameRule::Subdomain,
    ..Rules::GENERIC
};

fn cron_job(v: &Value, e: &mut Errors) {
    let (spec_v, at) = (v.get("spec"), At::Path("spec"));
    if v.name().len() > 52 {
        e.invalid(&At::Path("metadata.name"), v.name(), "must be no more than 52 characters");
    }
    let schedule = spec_v.get("schedule").text();
    if schedule.is_empty() {
        e.required(&at.field("schedule"), "");
    } else if let Err(m) = parse_schedule(schedule) {
        e.invalid(&at.field("schedule"), schedule, &m);
    }
    check::non_negative(spec_v, "startingDeadlineSeconds", &at, e);
    let policies = ["Allow", "Forbid", "Replace"];
    if !policies.contains(&spec_v.get("concurrencyPolicy").text()) {
        e.one_of(&at.field("concurrencyPolicy"), spec_v.get("concurrencyPolicy").text(), &policies);
    }
    check::non_negative(spec_v, "successfulJobsHistoryLimit", &at, e);
    check::non_negative(spec_v, "failedJobsHistoryLimit", &at, e);
    let template = at.field("jobTemplate");
    spec(spec_v.at(&["jobTemplate", "spec"]), &template.field("spec"), e);
}

/// Checks a schedule. Models: `cron.ParseStandard`.
pub fn parse_schedule(text: &str) -> Result<(), String> {
    let text = text
        .strip_prefix("TZ=")
        .or(text.strip_prefix("CRON_TZ="))
        .map_or(text, |t| t.split_once(' ').map_or("", |(_, t)| t));
    if let Some(name) = text.strip_prefix('@') {
        let named = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        return match name.strip_prefix("every ") {
            Some(d) => crate::duration::parse(d)
                .map(|_| ())
                .map_err(|m| format!("failed to parse duration {text}: {m}")),
            None if named.contains(&name) => Ok(()),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let bounds: [(u32, u32, &[&str]); 5] =
        [(0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, &MONTHS), (0, 6, &DAYS)];
    for (field, (min, max, words)) in fields.iter().zip(bounds) {
        for part in field.split(',') {
            cron_part(part, min, max, words)?;
        }
    }
    Ok(())
}

fn cron_part(part: &str, min: u32, max: u32, words: &[&str]) -> Result<(), String> {
    let number = |s: &str| -> Result<u32, String> {
        if let Some(i) = words.iter().position(|w| *w == s.to_lowercase()) {
            return Ok(i as u32 + min);
        }
        match s.parse::<i64>() {
            Ok(n) if n < 0 => Err(format!("negative number ({n}) not allowed: {s}")),
            Ok(n) => Ok(n.min(i64::from(u32::MAX)) as u32),
            Err(_) => {
                Err(format!("failed to parse int from {s}: strconv.Atoi: parsing \"{s}\": invalid syntax"))
            }
        }
    };
    let mut pieces = part.split('/');
    let (range, step, more) = (pieces.next().unwrap_or(""), pieces.next(), pieces.next());
    if more.is_some() {
        return Err(format!("too many slashes: {part}"));
    }
    let mut ends = range.split('-');
    let (low, high, third) = (ends.next().unwrap_or(""), ends.next(), ends.next());
    let (start, end) = if matches!(low, "*" | "?") {
        (min, max)
    } else {
        if third.is_some() {
            return Err(format!("too many hyphens: {part}"));
        }
        let start = number(low)?;
        let end = match high {
            Some(h) => number(h)?,
            None if step.is_some() => max,
            None => start,
        };
        (start, end)
    };
    if let Some(s) = step
        && number(s)? == 0
    {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {part}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn schedules_and_indexes() {
    assert!(parse_schedule("*/5 * * * mon-fri").is_ok() && parse_schedule("@hourly").is_ok());
    assert_eq!(parse_schedule("60 * * * *").unwrap_err(), "end of range (60) above maximum (59): 60");
    assert_eq!(parse_schedule("* *").unwrap_err(), "expected exactly 5 fields, found 2: [* *]");
    assert_eq!(parse_indexes("0,5-9", 3).unwrap_err(), "too large index: \"5\"");
    assert_eq!(parse_indexes("0,2-4", 5), Ok(4));
    let mut job = crate::obj!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
    (JOB.defaults)(&mut job);
    (JOB.prepare)(&mut job, None);
    assert_eq!(job.labels().len(), 4);
}
