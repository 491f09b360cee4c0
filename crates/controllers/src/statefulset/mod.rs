//! The StatefulSet controller: pods with an identity, one after the other.
//!
//! Models: `pkg/controller/statefulset`.

mod pod;

use crate::runtime::{
    Controller, Expectations, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, available_in,
    claim_pods, history, is_available, is_ready, key_of, selector_of,
};
use api::Value;
use apiserver::{ResId, Status};
use sim::Civil;

/// The controller.
#[derive(Clone, Debug)]
pub struct StatefulSets {
    sets: ResId,
    pods: ResId,
    claims: ResId,
    revisions: ResId,
    expected: Expectations,
}

/// What one reconcile works with.
struct Plan {
    key: Key,
    set: Value,
    status: Value,
    current: Value,
    update: Value,
    /// Pods by ordinal, of those that are wanted; null where there is none.
    wanted: Vec<Value>,
    /// Pods beyond, the highest ordinal first.
    condemned: Vec<Value>,
    now: Civil,
}

impl Plan {
    fn ordered(&self) -> bool {
        self.set.at(&["spec", "podManagementPolicy"]).text() != "Parallel"
    }

    fn rolling(&self) -> bool {
        self.set.at(&["spec", "updateStrategy", "type"]).text() != "OnDelete"
    }

    fn partition(&self) -> i64 {
        self.set.at(&["spec", "updateStrategy", "rollingUpdate", "partition"]).int()
    }

    fn available(&self, p: &Value) -> bool {
        is_available(p, self.set.at(&["spec", "minReadySeconds"]).int(), self.now)
    }

    fn healthy(&self, p: &Value) -> bool {
        p.is_some() && is_ready(p) && self.available(p) && !p.is_terminating()
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        self.wanted.iter().filter(|p| p.is_some()).chain(&self.condemned)
    }

    /// The revision that a missing pod gets: below the partition it stays at the current one.
    fn revision_for(&self, ordinal: i64) -> &Value {
        let kept = self.rolling() && ordinal < pod::start(&self.set) + self.partition();
        if kept { &self.current } else { &self.update }
    }

    fn count(&mut self) {
        let mut n = [0i64; 5];
        for p in self.all() {
            let revision = p.labels().get(pod::REVISION).text();
            let stays = i64::from(!p.is_terminating());
            n[0] += 1;
            n[1] += i64::from(is_ready(p));
            n[2] += i64::from(self.available(p));
            n[3] += stays * i64::from(revision == self.current.name());
            n[4] += stays * i64::from(revision == self.update.name());
        }
        self.show(n);
        let want = self.wanted.len() as i64;
        let mut current = self.current.name().to_owned();
        if self.rolling() && n[4] == n[0] && n[1] == n[0] && n[0] == want {
            current = self.update.name().to_owned();
            self.show([n[0], n[1], n[2], n[4], n[4]]);
        }
        self.status.insert("currentRevision", current);
        self.status.insert("updateRevision", self.update.name());
        self.status.insert("observedGeneration", self.set.generation());
        if self.status.get("collisionCount").is_null() {
            self.status.insert("collisionCount", 0);
        }
    }

    fn show(&mut self, n: [i64; 5]) {
        let names = ["replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"];
        for (k, n) in names.into_iter().zip(n) {
            if n == 0 && !matches!(k, "replicas" | "availableReplicas") {
                self.status.remove(&[k]);
            } else {
                self.status.insert(k, n);
            }
        }
    }
}

impl StatefulSets {
    /// The controller of `apps/v1` StatefulSets.
    pub fn new(kinds: &Kinds) -> Self {
        StatefulSets {
            sets: kinds.get("apps", "statefulsets"),
            pods: kinds.get("", "pods"),
            claims: kinds.get("", "persistentvolumeclaims"),
            revisions: kinds.get("apps", "controllerrevisions"),
            expected: Expectations::default(),
        }
    }

    fn plan(&self, turn: &mut Turn<'_>, key: &Key, set: &Value) -> Result<Plan, Status> {
        let mut pods = claim_pods(
            turn,
            self.pods,
            set,
            &selector_of(set),
            |p| pod::ordinal(set, p).is_some(),
            |_| true,
        )?;
        pods.sort_by_key(|p| pod::ordinal(set, p));
        let all = history::revisions(turn, self.revisions, set);
        let collisions = set.at(&["status", "collisionCount"]).int();
        let hash = history::hash(set, collisions);
        let name = format!("{}-{hash}", set.name());
        let label = ("controller.kubernetes.io/hash", hash.as_str());
        let update = history::current(turn, self.revisions, set, &all, &name, label)?;
        let had = set.at(&["status", "currentRevision"]).text();
        let current = all.iter().find(|r| r.name() == had).unwrap_or(&update).clone();
        let start = pod::start(set);
        let mut wanted =
            vec![Value::Null; set.at(&["spec", "replicas"]).as_int().unwrap_or(1).max(0) as usize];
        let mut condemned = Vec::new();
        for p in pods {
            let at = pod::ordinal(set, &p).and_then(|o| usize::try_from(o - start).ok());
            match at.and_then(|i| wanted.get_mut(i)) {
                Some(slot) => *slot = p,
                None => condemned.insert(0, p),
            }
        }
        let now = turn.client.api.settings.epoch.civil(turn.now());
        let (key, status) = (key.clone(), set.get("status").clone());
        Ok(Plan { key, set: set.clone(), status, current, update, wanted, condemned, now })
    }

    /// One step towards the wanted pods; ordered sets take one at a time.
    fn step(&mut self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        let ordered = plan.ordered();
        let first_unhealthy = plan.all().find(|p| !plan.healthy(p)).map(|p| p.uid().to_owned());
        for i in 0..plan.wanted.len() {
            if self.replica(turn, plan, i)? && ordered {
                return Ok(());
            }
        }
        for p in plan.condemned.clone() {
            self.claim_owners(turn, plan, &p, true)?;
            if p.is_terminating() {
                if ordered {
                    return Ok(());
                }
                continue;
            }
            // With an unhealthy pod about, only that pod itself may go.
            if ordered && !is_ready(&p) && first_unhealthy.as_deref() != Some(p.uid()) {
                return Ok(());
            }
            self.delete(turn, plan, &p)?;
            if ordered {
                return Ok(());
            }
        }
        if plan.rolling() { self.roll(turn, plan) } else { Ok(()) }
    }

    /// Tends one ordinal; gives whether the ones after it have to wait.
    fn replica(&mut self, turn: &mut Turn<'_>, plan: &mut Plan, i: usize) -> Result<bool, Status> {
        let p = plan.wanted[i].clone();
        let ordinal = pod::start(&plan.set) + i as i64;
        if p.is_null() {
            self.create(turn, plan, i, ordinal)?;
            return Ok(true);
        }
        let phase = p.at(&["status", "phase"]).text();
        if matches!(phase, "Failed" | "Succeeded") && !p.is_terminating() {
            let (kind, reason, word) = match phase {
                "Failed" => ("Warning", "RecreatingFailedPod", "failed"),
                _ => ("Normal", "RecreatingTerminatedPod", "terminated"),
            };
            let (ns, name) = (plan.set.namespace(), plan.set.name());
            let m = format!("StatefulSet {ns}/{name} is recreating {word} Pod {}", p.name());
            turn.event(&plan.set, kind, reason, &m);
            self.delete(turn, plan, &p)?;
            return Ok(true);
        }
        self.claim_owners(turn, plan, &p, false)?;
        Ok(!plan.healthy(&p))
    }

    fn create(&mut self, turn: &mut Turn<'_>, plan: &mut Plan, i: usize, ordinal: i64) -> Result<(), Status> {
        let set = plan.set.clone();
        let body = pod::build(&set, plan.revision_for(ordinal), ordinal);
        let name = body.name().to_owned();
        for t in set.at(&["spec", "volumeClaimTemplates"]).items() {
            let claim = pod::claim_name(&set, t, ordinal);
            if turn.informers.get(self.claims, set.namespace(), &claim).is_some() {
                continue;
            }
            let mut c = pod::build_claim(&set, t, ordinal);
            let owners = pod::claim_owners(&set, &c, None);
            if !owners.is_empty() {
                c.set(&["metadata", "ownerReferences"], owners);
            }
            match turn.client.create(self.claims, set.namespace(), c) {
                Ok(_) => {
                    let m = format!("Create Claim {claim} Pod {name} in StatefulSet {} success", set.name());
                    turn.event(&set, "Normal", "SuccessfulCreate", &m);
                }
                Err(s) if s.reason == "AlreadyExists" => {}
                Err(s) => {
                    let set_name = set.name();
                    let m = format!(
                        "Create Claim {claim} for Pod {name} in StatefulSet {set_name} failed error: {}",
                        s.message
                    );
                    turn.event(&set, "Warning", "FailedCreate", &m);
                    return Err(s);
                }
            }
        }
        match turn.client.create(self.pods, set.namespace(), body) {
            Ok(p) => {
                self.expected.created(&plan.key, p.uid(), turn.now());
                let m = format!("Create Pod {name} in StatefulSet {} successful", set.name());
                turn.event(&set, "Normal", "SuccessfulCreate", &m);
                plan.wanted[i] = p;
                Ok(())
            }
            Err(s) => {
                let m =
                    format!("Create Pod {name} in StatefulSet {} failed error: {}", set.name(), s.message);
                turn.event(&set, "Warning", "FailedCreate", &m);
                Err(s)
            }
        }
    }

    fn delete(&mut self, turn: &mut Turn<'_>, plan: &Plan, p: &Value) -> Result<(), Status> {
        let what = format!("Delete Pod {} in StatefulSet {}", p.name(), plan.set.name());
        match turn.client.delete(self.pods, p.namespace(), p.name(), Value::Null) {
            Ok(_) => {
                self.expected.deleted(&plan.key, p.uid(), turn.now());
                turn.event(&plan.set, "Normal", "SuccessfulDelete", &format!("{what} successful"));
                Ok(())
            }
            Err(s) if s.code == 404 => Ok(()),
            Err(s) => {
                let m = format!("{what} failed error: {}", s.message);
                turn.event(&plan.set, "Warning", "FailedDelete", &m);
                Err(s)
            }
        }
    }

    /// Gives the claims of a pod the owners that the retention policy asks for.
    fn claim_owners(
        &self,
        turn: &mut Turn<'_>,
        plan: &Plan,
        p: &Value,
        condemned: bool,
    ) -> Result<(), Status> {
        let Some(ordinal) = pod::ordinal(&plan.set, p) else { return Ok(()) };
        for t in plan.set.at(&["spec", "volumeClaimTemplates"]).items() {
            let name = pod::claim_name(&plan.set, t, ordinal);
            let Some(claim) = turn.informers.get(self.claims, plan.set.namespace(), &name).cloned() else {
                continue;
            };
            let owners = pod::claim_owners(&plan.set, &claim, condemned.then_some(p));
            let had = claim.at(&["metadata", "ownerReferences"]);
            let same = owners.len() == had.len()
                && owners.items().zip(had.items()).all(|(a, b)| a.get("uid") == b.get("uid"));
            if !same {
                // One at a time: an update, so that no other change is lost.
                let mut new = claim.clone();
                new.set(&["metadata", "ownerReferences"], owners);
                turn.client.update(self.claims, new)?;
            }
        }
        Ok(())
    }

    /// Deletes the highest pod of an old revision once all above it are healthy.
    fn roll(&mut self, turn: &mut Turn<'_>, plan: &Plan) -> Result<(), Status> {
        let from = plan.partition().max(0) as usize;
        for p in plan.wanted.iter().skip(from).rev() {
            if p.is_some()
                && p.labels().get(pod::REVISION).text() != plan.update.name()
                && !p.is_terminating()
            {
                return self.delete(turn, plan, p);
            }
            if !plan.healthy(p) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn write(&self, turn: &mut Turn<'_>, plan: &Plan) -> Result<(), Status> {
        if &plan.status == plan.set.get("status") {
            return Ok(());
        }
        let mut new = plan.set.clone();
        new.insert("status", plan.status.clone());
        match turn.client.update_sub(self.sets, "status", new) {
            Err(s) if s.code == 409 => {
                let mut fresh = turn.client.get(self.sets, &plan.key.0, &plan.key.1)?;
                fresh.insert("status", plan.status.clone());
                turn.client.update_sub(self.sets, "status", fresh).map(|_| ())
            }
            r => r.map(|_| ()),
        }
    }
}

impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.sets, self.pods, self.claims, self.revisions]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.sets {
            queue.add(seen.key());
        } else if seen.res == self.pods {
            let p = seen.object();
            let owner = p.controller_ref();
            if owner.get("kind").text() == "StatefulSet" {
                let key: Key = (p.namespace().into(), owner.get("name").smol());
                self.expected.seen(&key, seen);
                queue.add(key);
            } else if owner.is_null() {
                let sets = informers.list(self.sets, p.namespace());
                sets.filter(|s| selector_of(s).matches(p.labels())).for_each(|s| queue.add(key_of(s)));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(set) = turn.cached(self.sets, key) else {
            self.expected.forget(key);
            return Ok(Next::Done);
        };
        // Names are taken one after the other: acting on an old view would take steps twice.
        if !self.expected.met(key, turn.now()) {
            return Ok(Next::Done);
        }
        let mut plan = self.plan(turn, key, &set)?;
        let stepped = if set.is_terminating() { Ok(()) } else { self.step(turn, &mut plan) };
        plan.count();
        self.write(turn, &plan)?;
        stepped?;
        let all = history::revisions(turn, self.revisions, &set);
        let live = |r: &Value| {
            [plan.current.name(), plan.update.name()].contains(&r.name())
                || plan.all().any(|p| p.labels().get(pod::REVISION).text() == r.name())
        };
        history::truncate(turn, self.revisions, &set, &all, live)?;
        let min_ready = set.at(&["spec", "minReadySeconds"]).int();
        let soonest = plan.all().filter_map(|p| available_in(p, min_ready, plan.now)).min();
        Ok(soonest.map_or(Next::Done, Next::After))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
