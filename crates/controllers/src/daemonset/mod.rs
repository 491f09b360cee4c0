//! The DaemonSet controller: one pod on every node that fits.
//!
//! Models: `pkg/controller/daemon`.

mod fit;
mod update;

use crate::runtime::{
    Controller, Expectations, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, available_in,
    claim_pods, history, is_available, is_ready, key_of, selector_of,
};
use api::{SmolStr, Value, gostruct};
use apiserver::{ResId, Status};
use sim::Civil;
use std::collections::BTreeMap;

const HASH: &str = "controller-revision-hash";
const GENERATION: &str = "pod-template-generation";
/// Pods created or deleted in one reconcile at most. Models: `BurstReplicas`.
const BURST_MAX: usize = 250;

/// The controller.
#[derive(Clone, Debug)]
pub struct DaemonSets {
    sets: ResId,
    pods: ResId,
    nodes: ResId,
    revisions: ResId,
    expected: Expectations,
}

/// What one reconcile works with.
struct Plan {
    ds: Value,
    /// The pod of the template, with the tolerations that every daemon pod has.
    pod: Value,
    hash: SmolStr,
    nodes: Vec<Value>,
    by_node: BTreeMap<SmolStr, Vec<Value>>,
    now: Civil,
}

impl Plan {
    fn on(&self, node: &str) -> &[Value] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    fn available(&self, pod: &Value) -> bool {
        is_available(pod, self.ds.at(&["spec", "minReadySeconds"]).int(), self.now)
    }

    fn updated(&self, pod: &Value) -> bool {
        pod.labels().get(HASH).text() == self.hash
    }
}

impl DaemonSets {
    /// The controller of `apps/v1` DaemonSets.
    pub fn new(kinds: &Kinds) -> Self {
        DaemonSets {
            sets: kinds.get("apps", "daemonsets"),
            pods: kinds.get("", "pods"),
            nodes: kinds.get("", "nodes"),
            revisions: kinds.get("apps", "controllerrevisions"),
            expected: Expectations::default(),
        }
    }

    fn plan(&self, turn: &mut Turn<'_>, ds: &Value, hash: SmolStr) -> Result<Plan, Status> {
        let mut by_node: BTreeMap<SmolStr, Vec<Value>> = BTreeMap::new();
        for p in claim_pods(turn, self.pods, ds, &selector_of(ds), |_| true, |_| true)? {
            by_node.entry(fit::node_of(&p).into()).or_default().push(p);
        }
        for pods in by_node.values_mut() {
            pods.sort_by(|a, b| {
                let t = |p: &Value| p.at(&["metadata", "creationTimestamp"]).smol();
                t(a).cmp(&t(b)).then_with(|| a.revision().cmp(&b.revision()))
            });
        }
        let nodes = turn.informers.list(self.nodes, "").cloned().collect();
        let now = turn.client.api.settings.epoch.civil(turn.now());
        Ok(Plan { ds: ds.clone(), pod: fit::pod_of(ds), hash, nodes, by_node, now })
    }

    /// Pods where they are missing, none where they do not belong. Models: `manage`.
    fn manage(&mut self, turn: &mut Turn<'_>, plan: &Plan) -> Result<(), Status> {
        let (mut need, mut doomed) = (Vec::new(), Vec::new());
        for node in &plan.nodes {
            let pods = plan.on(node.name());
            let (run, stay) = fit::should_run(&plan.pod, node);
            if run && pods.is_empty() {
                need.push(SmolStr::from(node.name()));
            } else if stay {
                self.surplus_on(turn, plan, node.name(), pods, &mut doomed);
            } else {
                doomed.extend(pods.iter().filter(|p| !p.is_terminating()).cloned());
            }
        }
        // Pods that wait for a node that is gone.
        for (node, pods) in &plan.by_node {
            if !plan.nodes.iter().any(|n| n.name() == node) {
                let waiting = pods
                    .iter()
                    .filter(|p| p.at(&["spec", "nodeName"]).text().is_empty() && !p.is_terminating());
                doomed.extend(waiting.cloned());
            }
        }
        self.sync(turn, plan, doomed, need)
    }

    fn surplus_on(
        &self,
        turn: &mut Turn<'_>,
        plan: &Plan,
        node: &str,
        pods: &[Value],
        doomed: &mut Vec<Value>,
    ) {
        let mut running = Vec::new();
        for p in pods.iter().filter(|p| !p.is_terminating()) {
            let (kind, reason, what) = match p.at(&["status", "phase"]).text() {
                "Failed" => ("Warning", "FailedDaemonPod", ("failed", "kill")),
                "Succeeded" => ("Normal", "SucceededDaemonPod", ("succeeded", "delete")),
                _ => {
                    running.push(p);
                    continue;
                }
            };
            let m = format!(
                "Found {} daemon pod {}/{} on node {node}, will try to {} it",
                what.0,
                p.namespace(),
                p.name(),
                what.1
            );
            turn.event(&plan.ds, kind, reason, &m);
            doomed.push(p.clone());
        }
        // While an update surges, an old and a new pod share the node; otherwise the oldest stays.
        if update::surge_max(plan) > 0 {
            let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|p| plan.updated(p));
            doomed.extend(new.into_iter().skip(1).chain(old.into_iter().skip(1)).cloned());
        } else {
            doomed.extend(running.into_iter().skip(1).cloned());
        }
    }

    /// Creates and deletes. Models: `syncNodes`.
    fn sync(
        &mut self,
        turn: &mut Turn<'_>,
        plan: &Plan,
        doomed: Vec<Value>,
        need: Vec<SmolStr>,
    ) -> Result<(), Status> {
        let (ds, key) = (&plan.ds, key_of(&plan.ds));
        let mut failed = None;
        let bodies: Vec<Value> = need.iter().take(BURST_MAX).map(|n| self.body(plan, n)).collect();
        let (mut done, mut batch) = (0, 1);
        while done < bodies.len() && failed.is_none() {
            let slice = &bodies[done..(done + batch).min(bodies.len())];
            let results = turn.client.concurrently(|c| {
                slice.iter().map(|b| c.create(self.pods, ds.namespace(), b.clone())).collect::<Vec<_>>()
            });
            for r in results {
                match r {
                    Ok(pod) => {
                        self.expected.created(&key, pod.uid(), turn.now());
                        let m = format!("Created pod: {}", pod.name());
                        turn.event(ds, "Normal", "SuccessfulCreate", &m);
                    }
                    Err(s) => {
                        let m = format!("Error creating: {}", s.message);
                        turn.event(ds, "Warning", "FailedCreate", &m);
                        failed = Some(s);
                    }
                }
            }
            done += slice.len();
            batch *= 2;
        }
        let results = turn.client.concurrently(|c| {
            let doomed = doomed.iter().take(BURST_MAX);
            doomed.map(|p| (p, c.delete(self.pods, p.namespace(), p.name(), Value::Null))).collect::<Vec<_>>()
        });
        for (pod, r) in results {
            match r {
                Ok(_) => {
                    self.expected.deleted(&key, pod.uid(), turn.now());
                    let m = format!("Deleted pod: {}", pod.name());
                    turn.event(ds, "Normal", "SuccessfulDelete", &m);
                }
                Err(s) if s.code != 404 => {
                    let m = format!("Error deleting: {}", s.message);
                    turn.event(ds, "Warning", "FailedDelete", &m);
                    failed = Some(s);
                }
                Err(_) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn body(&self, plan: &Plan, node: &str) -> Value {
        let mut pod = plan.pod.clone();
        fit::pin(&mut pod, node);
        pod.set(&["metadata", "labels", HASH], plan.hash.as_str());
        let generation = plan.ds.annotations().get("deprecated.daemonset.template.generation").text();
        if !generation.is_empty() {
            pod.set(&["metadata", "labels", GENERATION], generation);
        }
        pod
    }

    fn update_status(&self, turn: &mut Turn<'_>, plan: &Plan, observed: bool) -> Result<(), Status> {
        let (mut desired, mut current, mut mis) = (0, 0, 0);
        let (mut ready, mut available, mut updated) = (0, 0, 0);
        for node in &plan.nodes {
            let pods = plan.on(node.name());
            if !fit::should_run(&plan.pod, node).0 {
                mis += i64::from(!pods.is_empty());
                continue;
            }
            desired += 1;
            let Some(first) = pods.first() else { continue };
            current += 1;
            ready += i64::from(is_ready(first));
            available += i64::from(is_ready(first) && plan.available(first));
            updated += i64::from(plan.updated(first));
        }
        let mut status = plan.ds.get("status").clone();
        for (k, n, always) in [
            ("currentNumberScheduled", current, true),
            ("desiredNumberScheduled", desired, true),
            ("numberMisscheduled", mis, true),
            ("numberReady", ready, true),
            ("updatedNumberScheduled", updated, false),
            ("numberAvailable", available, false),
            ("numberUnavailable", desired - available, false),
        ] {
            if n == 0 && !always {
                status.remove(&[k]);
            } else {
                status.insert(k, n);
            }
        }
        if observed {
            status.insert("observedGeneration", plan.ds.generation());
        }
        if &status == plan.ds.get("status") {
            return Ok(());
        }
        let mut new = plan.ds.clone();
        new.insert("status", status);
        match turn.client.update_sub(self.sets, "status", new.clone()) {
            Err(s) if s.code == 409 => {
                let mut fresh = turn.client.get(self.sets, plan.ds.namespace(), plan.ds.name())?;
                fresh.insert("status", new.get("status"));
                turn.client.update_sub(self.sets, "status", fresh).map(|_| ())
            }
            r => r.map(|_| ()),
        }
    }

    fn owner_of(&self, pod: &Value, informers: &Informers) -> Option<Key> {
        let owner = pod.controller_ref();
        let set = informers.get(self.sets, pod.namespace(), owner.get("name").text())?;
        (owner.get("kind").text() == "DaemonSet" && set.uid() == owner.get("uid").text()).then(|| key_of(set))
    }

    fn seen_pod(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        let pod = seen.object();
        if let Some(key) = self.owner_of(pod, informers) {
            self.expected.seen(&key, seen);
            queue.add(key);
        } else if pod.controller_ref().is_null() {
            for ds in informers.list(self.sets, pod.namespace()) {
                if selector_of(ds).matches(pod.labels()) {
                    queue.add(key_of(ds));
                }
            }
        }
    }
}

/// Whether a change of a node can change where daemon pods belong.
fn node_matters(seen: &Seen<'_>) -> bool {
    seen.old.is_null()
        || seen.new.is_null()
        || seen.old.labels() != seen.new.labels()
        || seen.old.at(&["spec", "taints"]) != seen.new.at(&["spec", "taints"])
}

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        "daemon-set-controller"
    }

    fn component(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.sets, self.pods, self.nodes, self.revisions]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.sets {
            queue.add(seen.key());
        } else if seen.res == self.pods {
            self.seen_pod(seen, informers, queue);
        } else if seen.res == self.nodes && node_matters(seen) {
            informers.list(self.sets, "").for_each(|ds| queue.add(key_of(ds)));
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(ds) = turn.cached(self.sets, key) else {
            self.expected.forget(key);
            return Ok(Next::Done);
        };
        if ds.is_terminating() {
            return Ok(Next::Done);
        }
        let all = history::revisions(turn, self.revisions, &ds);
        let collisions = ds.at(&["status", "collisionCount"]).as_int();
        let hash = gostruct::pod_template_hash(ds.at(&["spec", "template"]), collisions);
        let name = format!("{}-{hash}", ds.name());
        let current = history::current(turn, self.revisions, &ds, &all, &name, (HASH, &hash))?;
        let plan = self.plan(turn, &ds, current.labels().get(HASH).smol())?;
        if !self.expected.met(key, turn.now()) {
            self.update_status(turn, &plan, false)?;
            return Ok(Next::Done);
        }
        self.manage(turn, &plan)?;
        if self.expected.met(key, turn.now()) {
            self.roll(turn, &plan)?;
            let live = |r: &Value| {
                let h = r.labels().get(HASH).text();
                h == plan.hash || plan.by_node.values().flatten().any(|p| p.labels().get(HASH).text() == h)
            };
            history::truncate(turn, self.revisions, &ds, &all, live)?;
        }
        self.update_status(turn, &plan, true)?;
        let min_ready = ds.at(&["spec", "minReadySeconds"]).int();
        let soonest =
            plan.by_node.values().flatten().filter_map(|p| available_in(p, min_ready, plan.now)).min();
        Ok(soonest.map_or(Next::Done, Next::After))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
