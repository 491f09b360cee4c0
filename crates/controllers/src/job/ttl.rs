//! Deletes finished jobs when their time is up.

use super::is_finished;
use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::ResId;
use sim::{Civil, Duration};

/// The controller.
#[derive(Clone, Debug)]
pub struct TtlAfterFinished {
    jobs: ResId,
}

impl TtlAfterFinished {
    /// The controller of `ttlSecondsAfterFinished`.
    pub fn new(kinds: &Kinds) -> Self {
        TtlAfterFinished { jobs: kinds.get("batch", "jobs") }
    }
}

fn finished_at(job: &Value) -> Option<Civil> {
    let ends = job.at(&["status", "conditions"]).items().find(|c| {
        matches!(c.get("type").text(), "Complete" | "Failed") && c.get("status").text() == "True"
    })?;
    Civil::parse(ends.get("lastTransitionTime").text())
}

impl Controller for TtlAfterFinished {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.jobs]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        let job = seen.new;
        if job.at(&["spec", "ttlSecondsAfterFinished"]).is_some() && is_finished(job) {
            queue.add(seen.key());
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(job) = turn.cached(self.jobs, key).filter(|j| !j.is_terminating()) else {
            return Ok(Next::Done);
        };
        let ttl = job.at(&["spec", "ttlSecondsAfterFinished"]).as_int();
        let (Some(ttl), Some(end)) = (ttl, finished_at(&job)) else { return Ok(Next::Done) };
        let left = end.unix() + ttl - turn.client.api.settings.epoch.civil(turn.now()).unix();
        if left > 0 {
            return Ok(Next::After(Duration::from_secs(left as u64)));
        }
        let options = obj!({"propagationPolicy": "Foreground", "preconditions": {"uid": job.uid()}});
        match turn.client.delete(self.jobs, job.namespace(), job.name(), options) {
            Err(s) if s.code != 404 => Err(s.into()),
            _ => Ok(Next::Done),
        }
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
