//! The CronJob controller: jobs by the clock.
//!
//! Models: `pkg/controller/cronjob`. All schedules are in UTC.

mod schedule;

use crate::job::is_finished;
use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, controller_reference,
    is_controlled_by,
};
use api::{Value, obj};
use apiserver::{ResId, Status};
use schedule::Schedule;
use sim::{Civil, Duration};

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// After this many missed times the controller says so. Models: `mostRecentScheduleTime`.
const MISSED_MANY: i64 = 100;

/// The controller.
#[derive(Clone, Debug)]
pub struct CronJobs {
    crons: ResId,
    jobs: ResId,
}

fn is_complete(job: &Value) -> bool {
    job.condition("Complete").get("status").text() == "True"
}

impl CronJobs {
    /// The controller of `batch/v1` CronJobs.
    pub fn new(kinds: &Kinds) -> Self {
        CronJobs { crons: kinds.get("batch", "cronjobs"), jobs: kinds.get("batch", "jobs") }
    }

    /// Keeps the list of active jobs and the time of the last success.
    fn observe(&self, turn: &mut Turn<'_>, cron: &Value, jobs: &[Value], status: &mut Value) {
        let mut active: Vec<Value> = Vec::new();
        for r in status.get("active").items() {
            let Some(job) = jobs.iter().find(|j| j.uid() == r.get("uid").text()) else {
                // The cache may not show a job yet that was only just made.
                let name = r.get("name").text();
                if turn.client.api.store.get(self.jobs, cron.namespace(), name).is_some() {
                    active.push(r.clone());
                } else {
                    let m = format!("Active job went missing: {name}");
                    turn.event(cron, "Normal", "MissingJob", &m);
                }
                continue;
            };
            if is_finished(job) {
                let how = if is_complete(job) { "Complete" } else { "Failed" };
                let m = format!("Saw completed job: {}, condition: {how}", job.name());
                turn.event(cron, "Normal", "SawCompletedJob", &m);
            } else {
                active.push(r.clone());
            }
        }
        let completed = jobs.iter().filter(|j| is_complete(j));
        if let Some(last) = completed.map(|j| j.at(&["status", "completionTime"]).smol()).max()
            && last.as_str() > status.get("lastSuccessfulTime").text()
        {
            status.insert("lastSuccessfulTime", last.as_str());
        }
        set_active(status, active);
    }

    /// Deletes the oldest finished jobs beyond the limits.
    fn clean_up(&self, turn: &mut Turn<'_>, cron: &Value, jobs: &[Value]) -> Result<(), Status> {
        for (limit, complete) in [("successfulJobsHistoryLimit", true), ("failedJobsHistoryLimit", false)] {
            let Some(limit) = cron.at(&["spec", limit]).as_int() else { continue };
            let mut old: Vec<&Value> = jobs
                .iter()
                .filter(|j| is_finished(j) && is_complete(j) == complete && !j.is_terminating())
                .collect();
            old.sort_by_key(|j| (j.at(&["status", "startTime"]).smol(), j.name().to_owned()));
            let surplus = (old.len() as i64 - limit).max(0) as usize;
            for j in old.into_iter().take(surplus) {
                self.delete(turn, cron, j.namespace(), j.name())?;
            }
        }
        Ok(())
    }

    fn delete(&self, turn: &mut Turn<'_>, cron: &Value, namespace: &str, name: &str) -> Result<(), Status> {
        let options = obj!({"propagationPolicy": "Background"});
        match turn.client.delete(self.jobs, namespace, name, options) {
            Err(s) if s.code != 404 => {
                let m = format!("Deleted job: {}", s.message);
                turn.event(cron, "Warning", "FailedDelete", &m);
                Err(s)
            }
            _ => {
                turn.event(cron, "Normal", "SuccessfulDelete", &format!("Deleted job {name}"));
                Ok(())
            }
        }
    }

    /// Starts the job of a time, if the policy lets it.
    fn start(&self, turn: &mut Turn<'_>, cron: &Value, status: &mut Value, at: i64) -> Result<(), Status> {
        let policy = cron.at(&["spec", "concurrencyPolicy"]).text();
        let active: Vec<Value> = status.get("active").items().cloned().collect();
        if policy == "Forbid" && !active.is_empty() {
            let m = "Not starting job because prior execution is running and concurrency policy is Forbid";
            turn.event(cron, "Normal", "JobAlreadyActive", m);
            return Ok(());
        }
        if policy == "Replace" {
            for r in &active {
                self.delete(turn, cron, cron.namespace(), r.get("name").text())?;
            }
            set_active(status, Vec::new());
        }
        let job = match turn.client.create(self.jobs, cron.namespace(), job_of(cron, at)) {
            Ok(job) => job,
            // Made before, and the status was not written.
            Err(s) if s.reason == "AlreadyExists" => return Ok(()),
            Err(s) => {
                let m = format!("Error creating job: {}", s.message);
                turn.event(cron, "Warning", "FailedCreate", &m);
                return Err(s);
            }
        };
        turn.event(cron, "Normal", "SuccessfulCreate", &format!("Created job {}", job.name()));
        status.push_at(
            &["active"],
            obj!({
                "apiVersion": "batch/v1", "kind": "Job", "name": job.name(), "namespace": job.namespace(),
                "resourceVersion": job.at(&["metadata", "resourceVersion"]), "uid": job.uid()
            }),
        );
        status.insert("lastScheduleTime", Civil::from_unix(at, 0).rfc3339());
        Ok(())
    }

    /// The last time that is due, if any, and the next one.
    fn times(&self, turn: &mut Turn<'_>, cron: &Value, s: Schedule, now: i64) -> (Option<i64>, Option<i64>) {
        let unix = |v: &Value| Civil::parse(v.text()).map(|t| t.unix());
        let mut from = unix(cron.at(&["status", "lastScheduleTime"]))
            .or_else(|| unix(cron.at(&["metadata", "creationTimestamp"])))
            .unwrap_or(now);
        if let Some(limit) = cron.at(&["spec", "startingDeadlineSeconds"]).as_int() {
            from = from.max(now - limit);
        }
        let (mut due, mut missed) = (None, 0);
        let mut next = s.next(from);
        while let Some(t) = next.filter(|t| *t <= now) {
            due = Some(t);
            missed += 1;
            next = s.next(t);
        }
        if missed > MISSED_MANY {
            let m = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            turn.event(cron, "Warning", "TooManyMissedTimes", m);
        }
        (due, next)
    }
}

fn set_active(status: &mut Value, active: Vec<Value>) {
    if active.is_empty() {
        status.remove(&["active"]);
    } else {
        status.insert("active", active);
    }
}

/// The job of a time: named after its minute.
fn job_of(cron: &Value, at: i64) -> Value {
    let template = cron.at(&["spec", "jobTemplate"]);
    let mut meta = obj!({
        "name": format!("{}-{}", cron.name(), at / 60), "namespace": cron.namespace(),
        "ownerReferences": [controller_reference(cron)]
    });
    for k in ["labels", "annotations"] {
        let v = template.at(&["metadata", k]);
        if !v.is_empty() {
            meta.insert(k, v);
        }
    }
    meta.set(&["annotations", SCHEDULED], Civil::from_unix(at, 0).rfc3339());
    obj!({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": template.get("spec")})
}

impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.crons, self.jobs]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.crons {
            queue.add(seen.key());
        } else if seen.res == self.jobs {
            let owner = seen.object().controller_ref();
            if owner.get("kind").text() == "CronJob" {
                queue.add((seen.object().namespace().into(), owner.get("name").smol()));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(cron) = turn.cached(self.crons, key) else { return Ok(Next::Done) };
        let jobs: Vec<Value> =
            turn.informers.list(self.jobs, &key.0).filter(|j| is_controlled_by(j, &cron)).cloned().collect();
        let mut status = cron.get("status").clone();
        self.observe(turn, &cron, &jobs, &mut status);
        self.clean_up(turn, &cron, &jobs)?;
        let schedule = Schedule::parse(cron.at(&["spec", "schedule"]).text());
        let mut next = None;
        let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
        if let Some(s) = schedule
            && !cron.is_terminating()
            && !cron.at(&["spec", "suspend"]).is_true()
        {
            let (due, then) = self.times(turn, &cron, s, now);
            next = then;
            if let Some(at) = due {
                self.start(turn, &cron, &mut status, at)?;
            }
        }
        if &status != cron.get("status") {
            let mut new = cron.clone();
            new.insert("status", status);
            turn.client.update_sub(self.crons, "status", new)?;
        }
        // A little after the full second, so that the clock has passed it.
        let wait = |t: i64| Duration::from_secs((t - now).max(0) as u64) + Duration::from_millis(100);
        Ok(next.map_or(Next::Done, |t| Next::After(wait(t))))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
