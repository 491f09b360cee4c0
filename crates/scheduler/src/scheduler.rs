//! The scheduler as a component: watches in, bindings out.

use crate::attempt::{TieBreak, Verdict, attempt};
use crate::cache::{Cache, NodeInfo, PodInfo};
use crate::events::Recorder;
use crate::plugins::{Lookup, volumes as plugins_volumes};
use crate::preempt::preempt;
use crate::queue::{Key, Queue};
use api::{SmolStr, Value, obj};
use apiserver::client::Latency;
use apiserver::store::Name;
use apiserver::{ApiServer, ChangeKind, Client, Identity, ResId, Watch};
use sim::persistent::{OrdMap, Vector};
use sim::{Cause, Duration, Instant, Seed, Stream};
use std::sync::Arc;

/// How long one attempt keeps the scheduler busy.
const CYCLE_MIN: Duration = Duration::from_micros(150);
const CYCLE_MAX: Duration = Duration::from_micros(600);
/// Verdicts kept for people who ask why.
const VERDICTS_MAX: usize = 512;
const NAME: &str = "default-scheduler";

#[derive(Clone, Debug)]
struct Cached {
    watch: Watch,
    objects: OrdMap<Name, Value>,
}

/// kube-scheduler. A clone shares what it can.
#[derive(Clone, Debug)]
pub struct Scheduler {
    identity: Identity,
    pods: ResId,
    nodes: ResId,
    caches: OrdMap<ResId, Cached>,
    ids: Ids,
    cache: Cache,
    queue: Queue,
    causes: OrdMap<Key, Cause>,
    recorder: Recorder,
    /// Pods whose node is known and whose claims are being bound.
    binding: OrdMap<Key, (SmolStr, Arc<PodInfo>)>,
    chance: Stream,
    start: usize,
    tosses: TieBreak,
    busy_until: Instant,
    verdicts: Vector<(Instant, Verdict)>,
}

#[derive(Clone, Debug)]
struct Ids {
    services: ResId,
    replicasets: ResId,
    controllers: ResId,
    statefulsets: ResId,
    namespaces: ResId,
    claims: ResId,
    volumes: ResId,
    classes: ResId,
    budgets: ResId,
}

impl Scheduler {
    /// A scheduler that watches from the server's current state on.
    pub fn new(seed: Seed, api: &ApiServer, host: &str, tosses: TieBreak) -> Scheduler {
        let id = |g: &str, p: &str| api.resource(g, p).unwrap_or(ResId(u16::MAX));
        let ids = Ids {
            services: id("", "services"),
            replicasets: id("apps", "replicasets"),
            controllers: id("", "replicationcontrollers"),
            statefulsets: id("apps", "statefulsets"),
            namespaces: id("", "namespaces"),
            claims: id("", "persistentvolumeclaims"),
            volumes: id("", "persistentvolumes"),
            classes: id("storage.k8s.io", "storageclasses"),
            budgets: id("policy", "poddisruptionbudgets"),
        };
        let (pods, nodes) = (id("", "pods"), id("", "nodes"));
        let all = [
            pods,
            nodes,
            ids.services,
            ids.replicasets,
            ids.controllers,
            ids.statefulsets,
            ids.namespaces,
            ids.claims,
            ids.volumes,
            ids.classes,
            ids.budgets,
        ];
        let caches = all
            .into_iter()
            .map(|res| {
                let mut watch = Watch::new(res, api.store.revision());
                watch.initial = api.store.list(res, None, None).map(|(_, v)| v.clone()).collect();
                (res, Cached { watch, objects: OrdMap::new() })
            })
            .collect();
        Scheduler {
            identity: Identity::component("system:kube-scheduler", &[]),
            pods,
            nodes,
            caches,
            ids,
            cache: Cache::default(),
            queue: Queue::default(),
            causes: OrdMap::new(),
            recorder: Recorder::new(seed, host),
            binding: OrdMap::new(),
            chance: seed.stream(NAME),
            start: 0,
            tosses,
            busy_until: Instant::ZERO,
            verdicts: Vector::new(),
        }
    }

    /// The resources that the scheduler watches.
    pub fn watches(&self) -> impl Iterator<Item = ResId> {
        self.caches.keys().copied()
    }

    /// The newest verdicts, oldest first.
    pub fn verdicts(&self) -> impl DoubleEndedIterator<Item = &(Instant, Verdict)> {
        self.verdicts.iter()
    }

    /// Takes delivered watch events and tries one pod. Gives the time at which it wants to run again.
    pub fn run(&mut self, now: Instant, api: &mut ApiServer) -> Option<Instant> {
        self.deliver(now, api);
        self.finish_bindings(now, api);
        if self.busy_until <= now {
            self.queue.flush_stale(now);
            if let Some(key) = self.queue.pop(now) {
                self.busy_until = now + self.chance.between(CYCLE_MIN, CYCLE_MAX);
                self.schedule(&key, now, api);
            }
        }
        let queued = self.queue.next_at(self.busy_until.max(now)).map(|t| t.max(self.busy_until));
        let unseen = self.caches.values().filter_map(|c| api.next_commit(&c.watch)).min();
        match (queued, unseen) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn deliver(&mut self, now: Instant, api: &ApiServer) {
        let due: Vec<ResId> = self
            .caches
            .iter()
            .filter(|(_, c)| {
                !c.watch.initial.is_empty() || api.next_commit(&c.watch).is_some_and(|at| at <= now)
            })
            .map(|(r, _)| *r)
            .collect();
        for res in due {
            let Some(c) = self.caches.get_mut(&res) else { continue };
            let events = api.poll(&mut c.watch, now).unwrap_or_default();
            for e in events {
                let Some(c) = self.caches.get_mut(&res) else { continue };
                let key: Name = (e.object.namespace().into(), e.object.name().into());
                let (old, new) = match e.kind {
                    ChangeKind::Deleted => (c.objects.remove(&key).unwrap_or_default(), Value::Null),
                    _ => (c.objects.insert(key.clone(), e.object.clone()).unwrap_or_default(), e.object),
                };
                self.seen(now, res, key, &old, &new, e.cause);
            }
        }
    }

    fn seen(&mut self, now: Instant, res: ResId, key: Name, old: &Value, new: &Value, cause: Cause) {
        if res == self.pods {
            self.seen_pod(now, key, old, new, cause);
        } else if res == self.nodes {
            self.cache.set_node(&key.1, new);
            let matters = |v: &Value| {
                let mut spec = v.get("spec").clone();
                spec.remove(&["podCIDR"]);
                (
                    spec,
                    v.labels().clone(),
                    v.at(&["status", "allocatable"]).clone(),
                    v.at(&["status", "images"]).len(),
                )
            };
            if matters(old) != matters(new) {
                self.queue.move_all(now);
            }
        } else if res == self.ids.claims {
            // Only pods that use the claim can profit.
            let users: Vec<Key> = self
                .objects(self.pods)
                .filter(|p| p.namespace() == key.0 && uses(p, &key.1))
                .map(|p| (p.namespace().into(), p.name().into()))
                .collect();
            users.iter().for_each(|k| self.queue.move_one(k, now));
        } else if [self.ids.volumes, self.ids.classes, self.ids.namespaces].contains(&res) {
            self.queue.move_all(now);
        }
    }

    fn seen_pod(&mut self, now: Instant, key: Name, old: &Value, new: &Value, cause: Cause) {
        let object = if new.is_null() { old } else { new };
        let uid: SmolStr = object.uid().into();
        let done = matches!(new.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
        let node = new.at(&["spec", "nodeName"]).smol();
        if new.is_null() || done {
            self.queue.remove(&key);
            self.causes.remove(&key);
            self.binding.remove(&key);
            if self.cache.has(&uid) {
                self.cache.take_away(&uid);
                self.queue.move_all(now);
            }
        } else if !node.is_empty() {
            self.queue.remove(&key);
            self.causes.remove(&key);
            let fresh = old.at(&["spec", "nodeName"]).text().is_empty();
            let relabelled = old.labels() != new.labels() || old.is_terminating() != new.is_terminating();
            if fresh || relabelled || old.at(&["spec", "containers"]) != new.at(&["spec", "containers"]) {
                self.cache.place(&node, Arc::new(PodInfo::new(new)));
                // A pod that came may be the one that others want to be near to.
                if fresh || relabelled {
                    self.queue.move_all(now);
                }
            }
        } else if new.at(&["spec", "schedulerName"]).text() == NAME
            && new.at(&["spec", "schedulingGates"]).is_empty()
            && !new.is_terminating()
        {
            if self.queue.contains(&key) && old.get("spec") != new.get("spec") {
                self.queue.remove(&key);
            }
            self.causes.insert(key.clone(), cause);
            self.queue.add(key, new.at(&["spec", "priority"]).int(), now);
        } else if new.is_terminating() {
            self.queue.remove(&key);
        }
    }

    fn objects(&self, res: ResId) -> impl Iterator<Item = &Value> {
        self.caches.get(&res).into_iter().flat_map(|c| c.objects.values())
    }

    fn object(&self, res: ResId, namespace: &str, name: &str) -> Option<&Value> {
        self.caches.get(&res)?.objects.get(&(namespace.into(), name.into()))
    }

    fn lookup(&self, pod: &Value) -> Lookup {
        let ns = pod.namespace();
        let owner = pod.controller_ref();
        let res = match owner.get("kind").text() {
            "ReplicaSet" => self.ids.replicasets,
            "ReplicationController" => self.ids.controllers,
            "StatefulSet" => self.ids.statefulsets,
            _ => ResId(u16::MAX),
        };
        let mut l = Lookup {
            services: self.objects(self.ids.services).filter(|s| s.namespace() == ns).cloned().collect(),
            owner: self.object(res, ns, owner.get("name").text()).cloned().unwrap_or_default(),
            ..Lookup::default()
        };
        if pod.at(&["spec", "affinity"]).is_some() {
            l.namespaces = self.objects(self.ids.namespaces).cloned().collect();
        }
        for name in claims_of(pod) {
            let claim = self.object(self.ids.claims, ns, &name).cloned().unwrap_or_default();
            l.claims.push((name, claim));
        }
        if !l.claims.is_empty() {
            l.volumes = self.objects(self.ids.volumes).cloned().collect();
            l.classes = self.objects(self.ids.classes).cloned().collect();
        }
        l
    }

    fn schedule(&mut self, key: &Key, now: Instant, api: &mut ApiServer) {
        let Some(pod) = self.object(self.pods, &key.0, &key.1).cloned() else {
            self.queue.remove(key);
            return;
        };
        let cause = self.causes.get(key).copied().unwrap_or(Cause::NONE);
        let info = Arc::new(PodInfo::new(&pod));
        let lookup = self.lookup(&pod);
        let nodes: Vec<Arc<NodeInfo>> = self.cache.nodes().cloned().collect();
        let mut verdict =
            attempt(&info, &nodes, &lookup, &mut self.start, &mut self.tosses, &mut self.chance);
        let identity = self.identity.clone();
        let mut chance = self.chance.clone();
        let mut client = Client {
            api,
            identity: &identity,
            now: self.busy_until,
            cause,
            chance: &mut chance,
            latency: Latency::DEFAULT,
            batch: None,
        };
        if verdict.chosen.is_empty() {
            self.fail(&mut client, key, &pod, &info, &nodes, &lookup, &mut verdict, now);
        } else {
            let node = verdict.chosen.clone();
            if plugins_volumes::waiting(&lookup).next().is_some() {
                self.bind_volumes(&mut client, key, &lookup, info, &node);
            } else {
                self.bind(&mut client, key, &pod, info, &node);
            }
        }
        self.chance = chance;
        self.verdicts.push_back((now, verdict));
        if self.verdicts.len() > VERDICTS_MAX {
            self.verdicts.pop_front();
        }
    }

    /// Gives a pod's claims their volumes on its node, or asks for such; the pod is bound when they are. Models: the
    /// VolumeBinding plugin's `PreBind`.
    fn bind_volumes(
        &mut self,
        client: &mut Client<'_>,
        key: &Key,
        lookup: &Lookup,
        info: Arc<PodInfo>,
        node: &SmolStr,
    ) {
        let on = self.cache.nodes().find(|n| n.name() == node).map(|n| n.node.clone()).unwrap_or_default();
        for (claim, volume) in plugins_volumes::choose(lookup, &on).unwrap_or_default() {
            let done = match volume {
                Some(v) => {
                    let mut v = v.clone();
                    let reference = obj!({
                        "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name(),
                        "uid": claim.uid(), "apiVersion": "v1",
                        "resourceVersion": claim.at(&["metadata", "resourceVersion"])
                    });
                    v.set(&["spec", "claimRef"], reference);
                    v.set(&["metadata", "annotations", "pv.kubernetes.io/bound-by-controller"], "yes");
                    client.aside(|c| c.update(self.ids.volumes, v))
                }
                None => {
                    let mut c = claim.clone();
                    c.set(&["metadata", "annotations", "volume.kubernetes.io/selected-node"], node);
                    client.aside(|x| x.update(self.ids.claims, c))
                }
            };
            if done.is_err() {
                // Someone else was faster: the pod is tried again.
                self.queue.put_back(key, client.now, client.now);
                self.queue.move_one(key, client.now);
                return;
            }
        }
        self.cache.place(node, info.clone());
        self.binding.insert(key.clone(), (node.clone(), info));
    }

    /// Binds the pods whose claims are all bound by now.
    fn finish_bindings(&mut self, now: Instant, api: &mut ApiServer) {
        for (key, (node, info)) in self.binding.clone() {
            let Some(pod) = self.object(self.pods, &key.0, &key.1).cloned() else { continue };
            let lookup = self.lookup(&pod);
            if plugins_volumes::waiting(&lookup).next().is_some() {
                continue;
            }
            self.binding.remove(&key);
            let cause = self.causes.get(&key).copied().unwrap_or(Cause::NONE);
            let (identity, mut chance) = (self.identity.clone(), self.chance.clone());
            let mut client = Client {
                api,
                identity: &identity,
                now,
                cause,
                chance: &mut chance,
                latency: Latency::DEFAULT,
                batch: None,
            };
            self.bind(&mut client, &key, &pod, info, &node);
            self.chance = chance;
        }
    }

    /// Assumes the pod on its node and binds it; the next attempt does not wait for the answer.
    fn bind(&mut self, client: &mut Client<'_>, key: &Key, pod: &Value, info: Arc<PodInfo>, node: &SmolStr) {
        self.queue.remove(key);
        self.cache.place(node, info.clone());
        let binding = obj!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": &key.1, "namespace": &key.0, "uid": pod.uid()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}
        });
        let res = self.pods;
        let done = client.aside(|c| c.create_sub(res, "binding", &key.0, &key.1, binding));
        match done {
            Ok(_) => {
                let note = format!("Successfully assigned {}/{} to {node}", key.0, key.1);
                self.recorder.record(client, pod, ("Normal", "Scheduled", "Binding"), &note, None);
            }
            Err(_) => {
                self.cache.take_away(&pod.uid().into());
                self.queue.add(key.clone(), info.priority, client.now);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one caller; the attempt's parts")]
    fn fail(
        &mut self,
        client: &mut Client<'_>,
        key: &Key,
        pod: &Value,
        info: &PodInfo,
        nodes: &[Arc<NodeInfo>],
        lookup: &Lookup,
        verdict: &mut Verdict,
        now: Instant,
    ) {
        let mut nominated = None;
        if nodes.is_empty() {
            verdict.preemption = String::new();
            verdict.overall = None;
        } else if verdict.overall.is_none() {
            let budgets: Vec<Value> = self.objects(self.ids.budgets).cloned().collect();
            match preempt(info, nodes, lookup, &budgets, verdict) {
                Ok(c) => nominated = Some(c),
                Err(text) => verdict.preemption = text,
            }
        }
        let message = if nodes.is_empty() {
            "no nodes available to schedule pods".to_owned()
        } else {
            verdict.message()
        };
        self.recorder.record(client, pod, ("Warning", "FailedScheduling", "Scheduling"), &message, None);
        let time = client.timestamp();
        let had = pod.condition("PodScheduled");
        let changed = had.get("message").text() != message || had.get("status").text() != "False";
        if changed || nominated.is_some() {
            let mut c = obj!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message.as_str(),
                "lastProbeTime": null, "lastTransitionTime": time.as_str(), "observedGeneration": pod.generation()
            });
            if had.get("status").text() == "False" {
                c.insert("lastTransitionTime", had.get("lastTransitionTime"));
            }
            let mut new = pod.clone();
            let list = new.slot(&["status", "conditions"]).list_mut();
            match list.iter_mut().find(|x| x.get("type").text() == "PodScheduled") {
                Some(x) => *x = c,
                None => list.push(c),
            }
            if let Some(n) = &nominated {
                new.set(&["status", "nominatedNodeName"], &n.node);
            }
            new.remove(&["metadata", "resourceVersion"]);
            let res = self.pods;
            let _ = client.aside(|c| c.update_sub(res, "status", new));
        }
        if let Some(c) = nominated {
            self.evict(client, pod, &c);
        }
        self.queue.put_back(key, now, self.busy_until);
    }

    fn evict(&mut self, client: &mut Client<'_>, pod: &Value, c: &crate::preempt::Candidate) {
        for v in &c.victims {
            let victim = &v.pod;
            let time = client.timestamp();
            let mut new = victim.clone();
            new.push_at(
                &["status", "conditions"],
                obj!({
                    "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                    "message": format!("{NAME}: preempting to accommodate a higher priority pod"),
                    "lastProbeTime": null, "lastTransitionTime": time, "observedGeneration": victim.generation()
                }),
            );
            new.remove(&["metadata", "resourceVersion"]);
            let res = self.pods;
            let _ = client.aside(|c| c.update_sub(res, "status", new));
            let _ = client.aside(|c| c.delete(res, victim.namespace(), victim.name(), Value::Null));
            let note = format!("Preempted by pod {} on node {}", pod.uid(), c.node);
            self.recorder.record(client, victim, ("Normal", "Preempted", "Preempting"), &note, Some(pod));
        }
    }
}

/// Names of the claims that a pod uses.
fn claims_of(pod: &Value) -> impl Iterator<Item = SmolStr> {
    pod.at(&["spec", "volumes"]).items().filter_map(|v| {
        match v.at(&["persistentVolumeClaim", "claimName"]).as_str() {
            Some(n) => Some(SmolStr::from(n)),
            None if v.get("ephemeral").is_some() => {
                Some(format!("{}-{}", pod.name(), v.get("name").text()).into())
            }
            None => None,
        }
    })
}

fn uses(pod: &Value, claim: &str) -> bool {
    claims_of(pod).any(|c| c == claim)
}
