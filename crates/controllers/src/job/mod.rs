//! The Job controller: pods until enough of them succeeded.
//!
//! Models: `pkg/controller/job` and `pkg/controller/ttlafterfinished`. A pod carries a finalizer until its end has been
//! counted, so that none is counted twice or lost.

mod indexes;
mod ttl;

use crate::runtime::{
    Controller, Expectations, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, claim_pods,
    is_ready, key_of, pod_from_template, selector_of,
};
use api::{Value, obj};
use apiserver::{ResId, Status};
use indexes::Indexes;
use sim::{Civil, Duration};
pub use ttl::TtlAfterFinished;

const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Pods created or deleted in one reconcile at most. Models: `MaxPodCreateDeletePerSync`.
const BURST_MAX: usize = 500;
/// Pause after a failure, doubled with each further one. Models: `DefaultJobPodFailureBackOff`.
const BACKOFF_MIN_S: i64 = 10;
const BACKOFF_MAX_S: i64 = 600;

/// The controller.
#[derive(Clone, Debug)]
pub struct Jobs {
    jobs: ResId,
    pods: ResId,
    expected: Expectations,
}

/// What one reconcile works with.
struct Plan {
    job: Value,
    status: Value,
    pods: Vec<Value>,
    now: Civil,
}

fn phase(p: &Value) -> &str {
    p.at(&["status", "phase"]).text()
}

fn replaces_only_failed(job: &Value) -> bool {
    job.at(&["spec", "podReplacementPolicy"]).text() == "Failed"
}

fn is_failed(job: &Value, p: &Value) -> bool {
    phase(p) == "Failed" || (!replaces_only_failed(job) && p.is_terminating() && phase(p) != "Succeeded")
}

fn is_running(p: &Value) -> bool {
    !p.is_terminating() && !matches!(phase(p), "Succeeded" | "Failed")
}

fn has_finalizer(p: &Value) -> bool {
    p.at(&["metadata", "finalizers"]).items().any(|f| f.text() == FINALIZER)
}

fn is_true(job: &Value, kind: &str) -> bool {
    job.condition(kind).get("status").text() == "True"
}

/// Whether a job has ended.
pub(crate) fn is_finished(job: &Value) -> bool {
    is_true(job, "Complete") || is_true(job, "Failed")
}

fn is_indexed(job: &Value) -> bool {
    job.at(&["spec", "completionMode"]).text() == "Indexed"
}

impl Plan {
    fn condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let time = self.now.rfc3339();
        let c = obj!({
            "type": kind, "status": status, "lastProbeTime": time.as_str(), "lastTransitionTime": time.as_str(),
            "reason": reason, "message": message
        });
        let mut all: Vec<Value> = self.status.get("conditions").items().cloned().collect();
        match all.iter_mut().find(|x| x.get("type").text() == kind) {
            Some(old) => *old = c,
            None => all.push(c),
        }
        self.status.insert("conditions", all);
    }

    fn has(&self, kind: &str) -> bool {
        let mut all = self.status.get("conditions").items();
        all.any(|c| c.get("type").text() == kind && c.get("status").text() == "True")
    }

    fn running(&self) -> Vec<Value> {
        self.pods.iter().filter(|p| is_running(p)).cloned().collect()
    }

    fn terminating(&self) -> i64 {
        let ending = |p: &&Value| p.is_terminating() && !matches!(phase(p), "Succeeded" | "Failed");
        self.pods.iter().filter(ending).count() as i64
    }

    /// Whether containers that restart in place have used up the limit.
    fn restarted_too_often(&self, limit: i64) -> bool {
        if self.job.at(&["spec", "template", "spec", "restartPolicy"]).text() != "OnFailure" {
            return false;
        }
        let living = self.pods.iter().filter(|p| matches!(phase(p), "Running" | "Pending"));
        let restarts: i64 = living
            .flat_map(|p| ["initContainerStatuses", "containerStatuses"].map(|k| p.at(&["status", k])))
            .flat_map(Value::items)
            .map(|c| c.get("restartCount").int())
            .sum();
        restarts > 0 && restarts >= limit
    }

    /// How long a new pod has to wait because others failed.
    fn backoff(&self) -> i64 {
        let ended = |p: &Value| {
            let states = p.at(&["status", "containerStatuses"]);
            let times = states.items().filter_map(|c| {
                Civil::parse(c.at(&["state", "terminated", "finishedAt"]).text()).map(|t| t.unix())
            });
            times.max().unwrap_or(0)
        };
        let last = |want: &str| self.pods.iter().filter(|p| phase(p) == want).map(ended).max().unwrap_or(0);
        let success = last("Succeeded");
        let failures = self.pods.iter().filter(|p| phase(p) == "Failed" && ended(p) > success).count() as u32;
        if failures == 0 {
            return 0;
        }
        let pause = (BACKOFF_MIN_S << (failures - 1).min(6)).min(BACKOFF_MAX_S);
        (last("Failed") + pause - self.now.unix()).max(0)
    }
}

impl Jobs {
    /// The controller of `batch/v1` Jobs.
    pub fn new(kinds: &Kinds) -> Self {
        Jobs {
            jobs: kinds.get("batch", "jobs"),
            pods: kinds.get("", "pods"),
            expected: Expectations::default(),
        }
    }

    fn release(&self, turn: &mut Turn<'_>, pod: &Value) -> Result<(), Status> {
        let finalizers = pod.at(&["metadata", "finalizers"]);
        let rest: Vec<Value> = finalizers.items().filter(|f| f.text() != FINALIZER).cloned().collect();
        let patch = obj!({"metadata": {"uid": pod.uid(), "finalizers": rest}});
        match turn.client.merge(self.pods, "", pod.namespace(), pod.name(), patch) {
            Err(s) if !matches!(s.code, 404 | 409) => Err(s),
            _ => Ok(()),
        }
    }

    fn write(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        if &plan.status == plan.job.get("status") {
            return Ok(());
        }
        plan.job.insert("status", plan.status.clone());
        plan.job = turn.client.update_sub(self.jobs, "status", plan.job.clone())?;
        plan.status = plan.job.get("status").clone();
        Ok(())
    }

    /// Counts the pods that ended. First they are named in the status, then they lose their finalizer, then they are
    /// numbers. Models: `trackJobStatusAndRemoveFinalizers`.
    fn count(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        let job = plan.job.clone();
        let done = Indexes::parse(job.at(&["status", "completedIndexes"]).text());
        let mut indexes = done.clone();
        let mut ended: Vec<Value> = Vec::new();
        for p in plan.pods.iter().filter(|p| has_finalizer(p)) {
            let kind = match (phase(p) == "Succeeded", is_failed(&job, p)) {
                (true, _) => "succeeded",
                (_, true) => "failed",
                _ => continue,
            };
            ended.push(p.clone());
            if kind == "succeeded" && is_indexed(&job) {
                indexes.insert(index_of(p));
                continue;
            }
            let named = plan.status.at(&["uncountedTerminatedPods", kind]);
            if !named.items().any(|u| u.text() == p.uid()) {
                plan.status.push_at(&["uncountedTerminatedPods", kind], p.uid());
            }
        }
        if indexes != done {
            plan.status.insert("completedIndexes", indexes.to_text());
        }
        if is_indexed(&job) && indexes.len() > 0 {
            plan.status.insert("succeeded", indexes.len());
        }
        if !ended.is_empty() {
            self.write(turn, plan)?;
        }
        for p in &ended {
            self.release(turn, p)?;
        }
        for kind in ["succeeded", "failed"] {
            let n = plan.status.at(&["uncountedTerminatedPods", kind]).len() as i64;
            if n > 0 {
                plan.status.insert(kind, plan.status.get(kind).int() + n);
            }
        }
        plan.status.insert("uncountedTerminatedPods", Value::map());
        Ok(())
    }

    /// Decides whether the job is to end, and how.
    fn judge(&self, plan: &mut Plan) {
        if plan.has("SuccessCriteriaMet") || plan.has("FailureTarget") {
            return;
        }
        let spec = plan.job.get("spec").clone();
        let (succeeded, failed) = (plan.status.get("succeeded").int(), plan.status.get("failed").int());
        let limit = spec.get("backoffLimit").as_int().unwrap_or(6);
        if failed > limit || plan.restarted_too_often(limit) {
            let m = "Job has reached the specified backoff limit";
            return plan.condition("FailureTarget", "True", "BackoffLimitExceeded", m);
        }
        if self.deadline(plan).is_some_and(|left| left <= 0) {
            let m = "Job was active longer than specified deadline";
            return plan.condition("FailureTarget", "True", "DeadlineExceeded", m);
        }
        let done = Indexes::parse(plan.status.get("completedIndexes").text());
        if let Some(i) = spec.at(&["successPolicy", "rules"]).items().position(|r| indexes::met(r, &done)) {
            let m = format!("Matched rules at index {i}");
            return plan.condition("SuccessCriteriaMet", "True", "SuccessPolicy", &m);
        }
        let enough = match spec.get("completions").as_int() {
            Some(n) => succeeded >= n,
            None => succeeded > 0 && plan.running().is_empty(),
        };
        if enough {
            let m = "Reached expected number of succeeded pods";
            plan.condition("SuccessCriteriaMet", "True", "CompletionsReached", m);
        }
    }

    /// Seconds until the active deadline.
    fn deadline(&self, plan: &Plan) -> Option<i64> {
        let limit = plan.job.at(&["spec", "activeDeadlineSeconds"]).as_int()?;
        let start = Civil::parse(plan.status.get("startTime").text())?;
        Some(start.unix() + limit - plan.now.unix())
    }

    /// Makes the end final once no pod is left that runs or stops.
    fn finish(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Option<(&'static str, String, String)> {
        let (target, end) = if plan.has("SuccessCriteriaMet") {
            ("SuccessCriteriaMet", "Complete")
        } else if plan.has("FailureTarget") {
            ("FailureTarget", "Failed")
        } else {
            return None;
        };
        if !plan.running().is_empty() || plan.terminating() > 0 {
            return None;
        }
        let all = plan.status.get("conditions").clone();
        let why = all.items().find(|c| c.get("type").text() == target)?;
        let (reason, message) = (why.get("reason").text().to_owned(), why.get("message").text().to_owned());
        plan.condition(end, "True", &reason, &message);
        if end == "Complete" {
            plan.status.insert("completionTime", turn.client.timestamp());
            return Some(("Normal", "Completed".into(), "Job completed".into()));
        }
        Some(("Warning", reason, message))
    }

    /// Creates or deletes pods; gives how long to wait for back-off.
    fn manage(&mut self, turn: &mut Turn<'_>, key: &Key, plan: &mut Plan) -> Result<Next, Status> {
        let mut running = plan.running();
        let spec = plan.job.get("spec").clone();
        let suspended = spec.get("suspend").is_true();
        let ending = plan.has("SuccessCriteriaMet") || plan.has("FailureTarget");
        let parallelism = spec.get("parallelism").as_int().unwrap_or(1);
        let succeeded = plan.status.get("succeeded").int();
        let want = match spec.get("completions").as_int() {
            _ if suspended || ending => 0,
            Some(n) => parallelism.min((n - succeeded).max(0)),
            None if succeeded > 0 => parallelism.min(running.len() as i64),
            None => parallelism,
        };
        let have = running.len() as i64;
        if have > want {
            // Those that do least go first: not ready, then young.
            running.sort_by_key(|p| (is_ready(p), core::cmp::Reverse(p.revision())));
            running.truncate(((have - want) as usize).min(BURST_MAX));
            self.delete(turn, key, &plan.job, &running)?;
            return Ok(Next::Done);
        }
        let mut missing = want - have;
        if replaces_only_failed(&plan.job) {
            missing -= plan.terminating();
        }
        if missing <= 0 {
            return Ok(Next::Done);
        }
        let wait = plan.backoff();
        if wait > 0 {
            return Ok(Next::After(Duration::from_secs(wait as u64)));
        }
        self.create(turn, key, plan, (missing as usize).min(BURST_MAX))?;
        Ok(Next::Done)
    }

    fn delete(
        &mut self,
        turn: &mut Turn<'_>,
        key: &Key,
        job: &Value,
        doomed: &[Value],
    ) -> Result<(), Status> {
        for p in doomed {
            match turn.client.delete(self.pods, p.namespace(), p.name(), Value::Null) {
                Ok(_) => {
                    self.expected.deleted(key, p.uid(), turn.now());
                    turn.event(job, "Normal", "SuccessfulDelete", &format!("Deleted pod: {}", p.name()));
                }
                Err(s) if s.code != 404 => {
                    turn.event(job, "Warning", "FailedDelete", &format!("Error deleting: {}", s.message));
                    return Err(s);
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn create(&mut self, turn: &mut Turn<'_>, key: &Key, plan: &mut Plan, n: usize) -> Result<(), Status> {
        let job = plan.job.clone();
        let mut bodies = vec![body(&job, None); if is_indexed(&job) { 0 } else { n }];
        if is_indexed(&job) {
            let mut taken = Indexes::parse(plan.status.get("completedIndexes").text());
            plan.running().iter().for_each(|p| taken.insert(index_of(p)));
            let all = 0..job.at(&["spec", "completions"]).int();
            bodies = all.filter(|i| !taken.contains(*i)).take(n).map(|i| body(&job, Some(i))).collect();
        }
        let (mut done, mut batch) = (0, 1);
        while done < bodies.len() {
            let slice = &bodies[done..(done + batch).min(bodies.len())];
            let results = turn.client.concurrently(|c| {
                slice.iter().map(|b| c.create(self.pods, job.namespace(), b.clone())).collect::<Vec<_>>()
            });
            for r in results {
                match r {
                    Ok(pod) => {
                        self.expected.created(key, pod.uid(), turn.now());
                        let m = format!("Created pod: {}", pod.name());
                        turn.event(&job, "Normal", "SuccessfulCreate", &m);
                        plan.pods.push(pod);
                    }
                    Err(s) => {
                        let m = format!("Error creating: {}", s.message);
                        turn.event(&job, "Warning", "FailedCreate", &m);
                        return Err(s);
                    }
                }
            }
            done += slice.len();
            batch *= 2;
        }
        Ok(())
    }

    /// Pods of a job that is gone only have to lose their finalizer.
    fn orphans(&mut self, turn: &mut Turn<'_>, key: &Key) -> Outcome {
        self.expected.forget(key);
        let pods: Vec<Value> = turn.informers.list(self.pods, &key.0).cloned().collect();
        for p in pods.iter().filter(|p| has_finalizer(p)) {
            let owner = p.controller_ref();
            if owner.is_null() || (owner.get("kind").text() == "Job" && owner.get("name").text() == key.1) {
                self.release(turn, p)?;
            }
        }
        Ok(Next::Done)
    }

    /// Notes that a job was started, suspended or resumed.
    fn begin(&self, turn: &mut Turn<'_>, plan: &mut Plan) {
        let suspended = plan.job.at(&["spec", "suspend"]).is_true();
        if suspended && !plan.has("Suspended") {
            plan.condition("Suspended", "True", "JobSuspended", "Job suspended");
            plan.status.remove(&["startTime"]);
            turn.event(&plan.job, "Normal", "Suspended", "Job suspended");
        } else if !suspended && plan.has("Suspended") {
            plan.condition("Suspended", "False", "JobResumed", "Job resumed");
            plan.status.insert("startTime", turn.client.timestamp());
            turn.event(&plan.job, "Normal", "Resumed", "Job resumed");
        }
        if !suspended && plan.status.get("startTime").is_null() {
            plan.status.insert("startTime", turn.client.timestamp());
        }
    }
}

fn index_of(pod: &Value) -> i64 {
    pod.annotations().get(INDEX).text().parse().unwrap_or(-1)
}

/// A pod of a job, of an index if it is an indexed one.
fn body(job: &Value, index: Option<i64>) -> Value {
    let mut pod = pod_from_template(job.at(&["spec", "template"]), job);
    pod.push_at(&["metadata", "finalizers"], FINALIZER);
    let Some(i) = index else { return pod };
    let text = i.to_string();
    pod.set(&["metadata", "generateName"], format!("{}-{i}-", job.name()));
    pod.set(&["metadata", "annotations", INDEX], text.as_str());
    pod.set(&["metadata", "labels", INDEX], text.as_str());
    if pod.at(&["spec", "hostname"]).text().is_empty() {
        pod.set(&["spec", "hostname"], format!("{}-{i}", job.name()));
    }
    let from = obj!({"fieldRef": {"fieldPath": format!("metadata.labels['{INDEX}']")}});
    for list in ["initContainers", "containers"] {
        if pod.at(&["spec", list]).is_null() {
            continue;
        }
        for c in pod.slot(&["spec", list]).list_mut().iter_mut() {
            if !c.get("env").items().any(|e| e.get("name").text() == "JOB_COMPLETION_INDEX") {
                c.push_at(&["env"], obj!({"name": "JOB_COMPLETION_INDEX", "valueFrom": from.clone()}));
            }
        }
    }
    pod
}

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.jobs, self.pods]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.jobs {
            queue.add(seen.key());
        } else if seen.res == self.pods {
            let pod = seen.object();
            let owner = pod.controller_ref();
            if owner.get("kind").text() == "Job" {
                let key: Key = (pod.namespace().into(), owner.get("name").smol());
                self.expected.seen(&key, seen);
                queue.add(key);
            } else if owner.is_null() {
                let jobs = informers.list(self.jobs, pod.namespace());
                jobs.filter(|j| selector_of(j).matches(pod.labels())).for_each(|j| queue.add(key_of(j)));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(job) = turn.cached(self.jobs, key) else { return self.orphans(turn, key) };
        let pods = claim_pods(turn, self.pods, &job, &selector_of(&job), |_| true, |_| true)?;
        if is_finished(&job) {
            for p in pods.iter().filter(|p| has_finalizer(p)) {
                self.release(turn, p)?;
            }
            return Ok(Next::Done);
        }
        let met = self.expected.met(key, turn.now());
        let now = turn.client.api.settings.epoch.civil(turn.now());
        let mut plan = Plan { status: job.get("status").clone(), job, pods, now };
        self.begin(turn, &mut plan);
        self.count(turn, &mut plan)?;
        self.judge(&mut plan);
        let mut next = Next::Done;
        if met && !plan.job.is_terminating() {
            next = self.manage(turn, key, &mut plan)?;
        }
        let event = self.finish(turn, &mut plan);
        let running = plan.running();
        for (k, n, always) in [
            ("active", running.len() as i64, false),
            ("ready", running.iter().filter(|p| is_ready(p)).count() as i64, true),
            ("terminating", plan.terminating(), true),
        ] {
            if n == 0 && !always {
                plan.status.remove(&[k]);
            } else {
                plan.status.insert(k, n);
            }
        }
        self.write(turn, &mut plan)?;
        if let Some((kind, reason, message)) = event {
            turn.event(&plan.job, kind, &reason, &message);
            return Ok(Next::Done);
        }
        let left = self.deadline(&plan).map(|s| Duration::from_secs(s.max(1) as u64));
        Ok(match (next, left) {
            (Next::After(a), Some(b)) => Next::After(a.min(b)),
            (Next::Done, Some(b)) => Next::After(b),
            (n, None) => n,
        })
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
