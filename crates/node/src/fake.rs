//! Fake kubelets: nodes whose pods run by annotation, without processes or packets.
//!
//! They serve scale runs and the recorded transcripts of a real control plane. A pod becomes Running and Ready
//! `fake/ready-delay` after it was bound (500 ms) and is gone `fake/stop-delay` after it was deleted (300 ms);
//! `fake/unready`, `fake/crash`, `fake/exit` and `fake/job-duration` do what they say; an image whose name contains
//! `does-not-exist` stays in ImagePullBackOff. Fake kubelets send no events.

use api::{SmolStr, Value, obj};
use apiserver::client::Latency;
use apiserver::{ApiServer, ChangeKind, Client, Identity, Patch, ResId, Watch};
use sim::persistent::OrdMap;
use sim::{Cause, Duration, Instant, Queue, Seed, Stream};

const LEASE_PERIOD: Duration = Duration::from_secs(10);
const READY_DELAY: Duration = Duration::from_millis(500);
const STOP_DELAY: Duration = Duration::from_millis(300);
const JOB_DURATION: Duration = Duration::from_millis(1500);
/// One process writes all fake pods' status, one after the other.
const WRITE_MIN: Duration = Duration::from_millis(1);
const WRITE_MAX: Duration = Duration::from_millis(40);

/// A fake node.
#[derive(Clone, Debug)]
pub struct FakeNode {
    /// Name.
    pub name: SmolStr,
    /// Address.
    pub ip: SmolStr,
    /// Zone label, "" for none.
    pub zone: SmolStr,
    /// First three octets of its pods' addresses.
    pub pod_prefix: SmolStr,
    /// cpu, memory, pods as in `status.capacity`.
    pub capacity: (SmolStr, SmolStr, u32),
}

#[derive(Clone, Debug)]
struct Node {
    spec: FakeNode,
    next_ip: u32,
    dead: bool,
}

#[derive(Clone, Debug)]
enum Todo {
    Lease(SmolStr),
    Start(SmolStr, SmolStr, SmolStr),
    Finish(SmolStr, SmolStr, SmolStr),
    Remove(SmolStr, SmolStr, SmolStr),
}

/// All fake kubelets of a cluster. A clone shares its content.
#[derive(Clone, Debug)]
pub struct FakeKubelets {
    nodes: OrdMap<SmolStr, Node>,
    pods: ResId,
    leases: ResId,
    watch: Watch,
    todo: Queue<(Cause, Todo)>,
    /// What is under way by pod uid, so that nothing is planned twice.
    planned: OrdMap<SmolStr, u8>,
    chance: Stream,
    busy_until: Instant,
}

fn delay(pod: &Value, key: &str, otherwise: Duration) -> Duration {
    match pod.annotations().get(key).as_str().and_then(|s| api::duration::parse(s).ok()) {
        Some(ns) => Duration::from_nanos(ns.max(0) as u64),
        None => otherwise,
    }
}

impl FakeKubelets {
    /// Registers the nodes and begins to watch.
    pub fn new(seed: Seed, api: &mut ApiServer, now: Instant, nodes: Vec<FakeNode>) -> FakeKubelets {
        let id = |g: &str, p: &str| api.resource(g, p).unwrap_or(ResId(u16::MAX));
        let (pods, leases) = (id("", "pods"), id("coordination.k8s.io", "leases"));
        for n in &nodes {
            api.seed_object(now, "nodes", "", "v1", node_object(n, &api.timestamp(now)));
        }
        let watch = Watch::new(pods, api.store.revision());
        let mut todo = Queue::new();
        for (i, n) in nodes.iter().enumerate() {
            // Spread over the period, as kubelets started one after the other are.
            let at = now + Duration::from_millis(100 * (i as u64 % 100));
            todo.push(at, (Cause::NONE, Todo::Lease(n.name.clone())));
        }
        let nodes = nodes
            .into_iter()
            .map(|spec| (spec.name.clone(), Node { spec, next_ip: 2, dead: false }))
            .collect();
        FakeKubelets {
            nodes,
            pods,
            leases,
            watch,
            todo,
            planned: OrdMap::new(),
            chance: seed.stream("fake-kubelets"),
            busy_until: now,
        }
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The resources watched.
    pub fn watches(&self) -> [ResId; 1] {
        [self.pods]
    }

    /// Stops or starts the kubelet of a node.
    pub fn set_dead(&mut self, node: &str, dead: bool, now: Instant) {
        if let Some(n) = self.nodes.get_mut(node) {
            let was = core::mem::replace(&mut n.dead, dead);
            if was && !dead {
                self.todo.push(now, (Cause::NONE, Todo::Lease(node.into())));
            }
        }
    }

    /// Takes watch events and does what is due. Gives the time at which it wants to run again.
    pub fn run(&mut self, now: Instant, api: &mut ApiServer) -> Option<Instant> {
        for e in api.poll(&mut self.watch, now).unwrap_or_default() {
            if e.kind == ChangeKind::Deleted {
                self.planned.remove(&SmolStr::from(e.object.uid()));
            } else {
                self.plan(now, &e.object, e.cause);
            }
        }
        while self.busy_until <= now && self.todo.next_at().is_some_and(|at| at <= now) {
            let Some((_, _, (cause, t))) = self.todo.pop() else { break };
            if !matches!(t, Todo::Lease(_)) {
                self.busy_until = now + self.chance.between(WRITE_MIN, WRITE_MAX);
            }
            self.act(now, api, cause, t);
        }
        let next = self.todo.next_at().map(|at| at.max(self.busy_until));
        match (next, api.next_commit(&self.watch)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn plan(&mut self, now: Instant, pod: &Value, cause: Cause) {
        let node = pod.at(&["spec", "nodeName"]).smol();
        if self.nodes.get(&node).is_none_or(|n| n.dead) {
            return;
        }
        let (ns, name, uid): (SmolStr, SmolStr, SmolStr) =
            (pod.namespace().into(), pod.name().into(), pod.uid().into());
        let step = self.planned.get(&uid).copied().unwrap_or(0);
        let finished = matches!(pod.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
        if pod.is_terminating() {
            if step < 9 {
                self.planned.insert(uid.clone(), 9);
                let d = delay(pod, "fake/stop-delay", STOP_DELAY);
                self.todo.push(now + d, (cause, Todo::Remove(ns, name, uid)));
            }
        } else if step == 0 && !finished {
            self.planned.insert(uid.clone(), 1);
            let d = delay(pod, "fake/ready-delay", READY_DELAY);
            self.todo.push(now + d, (cause, Todo::Start(ns, name, uid)));
        }
    }

    fn act(&mut self, now: Instant, api: &mut ApiServer, cause: Cause, t: Todo) {
        let identity = match &t {
            Todo::Lease(node) => node_identity(node),
            _ => Identity::component("system:fake-kubelet", &["system:masters"]),
        };
        let mut chance = self.chance.clone();
        let mut c = Client {
            api,
            identity: &identity,
            now,
            cause,
            chance: &mut chance,
            latency: Latency::DEFAULT,
            batch: None,
        };
        match t {
            Todo::Lease(node) => self.renew(&mut c, &node),
            Todo::Start(ns, name, uid) => self.start(&mut c, &ns, &name, &uid),
            Todo::Finish(ns, name, uid) => self.finish(&mut c, &ns, &name, &uid),
            Todo::Remove(ns, name, uid) => {
                let options = obj!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
                let _ = c.delete(self.pods, &ns, &name, options);
            }
        }
        self.chance = chance;
    }

    fn renew(&mut self, c: &mut Client<'_>, node: &SmolStr) {
        let Some(n) = self.nodes.get(node) else { return };
        if n.dead {
            return;
        }
        let time = c.timestamp_micro();
        let spec = obj!({"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": time});
        let patched = c.merge(self.leases, "", "kube-node-lease", node, obj!({"spec": spec.clone()}));
        if patched.is_err() {
            let lease = obj!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": node, "namespace": "kube-node-lease"}, "spec": spec
            });
            let _ = c.create(self.leases, "kube-node-lease", lease);
        }
        self.recover(c, node);
        self.todo.push(c.now + LEASE_PERIOD, (Cause::NONE, Todo::Lease(node.clone())));
    }

    /// A kubelet that came back says that it is ready.
    fn recover(&self, c: &mut Client<'_>, node: &SmolStr) {
        let Some(nodes) = c.resource("", "nodes") else { return };
        let lost = c
            .api
            .store
            .get(nodes, "", node)
            .is_some_and(|n| n.condition("Ready").get("status").text() == "Unknown");
        let Some(spec) = self.nodes.get(node).filter(|_| lost).map(|n| n.spec.clone()) else { return };
        let time = c.timestamp();
        let status = node_object(&spec, &time).get("status").get("conditions").clone();
        let _ =
            c.patch(nodes, "status", "", node, Patch::Strategic, obj!({"status": {"conditions": status}}));
    }

    fn start(&mut self, c: &mut Client<'_>, ns: &str, name: &str, uid: &SmolStr) {
        let Ok(pod) = c.get(self.pods, ns, name) else { return };
        if pod.uid() != uid.as_str() || pod.is_terminating() {
            return;
        }
        let Some(n) = self.nodes.get_mut(&pod.at(&["spec", "nodeName"]).smol()) else { return };
        let ip = format!("{}.{}", n.spec.pod_prefix, n.next_ip);
        n.next_ip = if n.next_ip >= 254 { 2 } else { n.next_ip + 1 };
        let host = n.spec.ip.clone();
        let time = c.timestamp();
        let a = pod.annotations();
        let pulls =
            pod.at(&["spec", "containers"]).items().any(|x| x.get("image").text().contains("does-not-exist"));
        let state = match (pulls, a.get("fake/crash").is_some(), a.get("fake/unready").is_some()) {
            (true, _, _) => State::NoImage,
            (_, true, _) => State::Crash,
            (_, _, true) => State::Unready,
            _ => State::Ready,
        };
        let status = pod_status(&pod, state, &ip, &host, &time);
        let _ = c.patch(self.pods, "status", ns, name, Patch::Strategic, obj!({"status": status}));
        let of_job = pod.controller_ref().get("kind").text() == "Job";
        if state == State::Ready && (a.get("fake/exit").is_some() || of_job) {
            let otherwise = if of_job { JOB_DURATION } else { READY_DELAY };
            let d = delay(&pod, "fake/job-duration", otherwise);
            self.todo.push(c.now + d, (c.cause, Todo::Finish(ns.into(), name.into(), uid.clone())));
        }
    }

    fn finish(&mut self, c: &mut Client<'_>, ns: &str, name: &str, uid: &SmolStr) {
        let Ok(pod) = c.get(self.pods, ns, name) else { return };
        if pod.uid() != uid.as_str() || pod.is_terminating() {
            return;
        }
        let code: i64 = pod.annotations().get("fake/exit").text().parse().unwrap_or(0);
        let s = pod.get("status");
        let (ip, host) = (s.get("podIP").text().to_owned(), s.get("hostIP").text().to_owned());
        let status = pod_status(&pod, State::Exited(code), &ip, &host, &c.timestamp());
        let _ = c.patch(self.pods, "status", ns, name, Patch::Strategic, obj!({"status": status}));
    }
}

fn node_identity(node: &str) -> Identity {
    Identity::component(&format!("system:node:{node}"), &["system:nodes"])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Unready,
    Crash,
    NoImage,
    Exited(i64),
}

fn pod_status(pod: &Value, state: State, ip: &str, host: &str, time: &str) -> Value {
    let generation = pod.generation();
    let condition = |kind: &str, ok: bool, reason: &str| {
        let mut c = obj!({
            "type": kind, "status": if ok { "True" } else { "False" }, "lastProbeTime": null,
            "lastTransitionTime": time, "observedGeneration": generation
        });
        if !reason.is_empty() {
            c.insert("reason", reason);
        }
        c
    };
    let ready = state == State::Ready;
    let (init_reason, reason) = match state {
        State::Exited(0) => ("PodCompleted", "PodCompleted"),
        State::Exited(_) => ("", "PodFailed"),
        State::Ready => ("", ""),
        _ => ("", "ContainersNotReady"),
    };
    let names: Vec<&str> = pod.at(&["spec", "containers"]).items().map(|c| c.get("name").text()).collect();
    let mut not_ready = [condition("Ready", ready, reason), condition("ContainersReady", ready, reason)];
    if reason == "ContainersNotReady" {
        let m = format!("containers with unready status: [{}]", names.join(" "));
        not_ready.iter_mut().for_each(|c| c.insert("message", m.as_str()));
    }
    let [r, cr] = not_ready;
    let phase = match state {
        State::Ready | State::Unready | State::Crash => "Running",
        State::NoImage => "Pending",
        State::Exited(0) => "Succeeded",
        State::Exited(_) => "Failed",
    };
    let containers: Value = pod
        .at(&["spec", "containers"])
        .items()
        .map(|c| container_status(c, pod.uid(), state, time))
        .collect();
    let start = match pod.at(&["status", "startTime"]).text() {
        "" => time,
        t => t,
    };
    obj!({
        "phase": phase,
        "conditions": [
            condition("PodReadyToStartContainers", !matches!(state, State::Exited(_)), ""),
            condition("Initialized", true, init_reason), r, cr
        ],
        "containerStatuses": containers, "hostIP": host, "hostIPs": [{"ip": host}], "podIP": ip, "podIPs": [{"ip": ip}],
        "startTime": start, "observedGeneration": generation
    })
}

fn container_status(c: &Value, uid: &str, state: State, time: &str) -> Value {
    let image = c.get("image").text();
    let id = format!("containerd://{uid}-0");
    let image_id = format!("docker.io/library/{image}@sha256:{:064}", 0);
    let ended = |code: i64| {
        obj!({
            "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "startedAt": time,
            "finishedAt": time, "containerID": id.as_str()
        })
    };
    let ready = state == State::Ready;
    let mut s = obj!({
        "name": c.get("name"), "image": image, "imageID": image_id, "containerID": id.as_str(), "lastState": {},
        "ready": ready, "restartCount": 0, "started": matches!(state, State::Ready | State::Unready)
    });
    let current = match state {
        State::Ready | State::Unready => obj!({"running": {"startedAt": time}}),
        State::Crash => {
            s.insert("restartCount", 3);
            s.insert("lastState", obj!({"terminated": ended(1)}));
            let m = "back-off 40s restarting failed container";
            obj!({"waiting": {"reason": "CrashLoopBackOff", "message": m}})
        }
        State::NoImage => {
            s.insert("imageID", "");
            s.remove(&["containerID"]);
            obj!({"waiting": {"reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\"")}})
        }
        State::Exited(code) => obj!({"terminated": ended(code)}),
    };
    s.insert("state", current);
    s
}

fn node_object(n: &FakeNode, time: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        obj!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": time,
            "lastTransitionTime": time
        })
    };
    let amounts = obj!({
        "cpu": &n.capacity.0, "memory": &n.capacity.1, "pods": n.capacity.2.to_string(),
        "ephemeral-storage": "100Gi", "hugepages-2Mi": "0"
    });
    let cidr = format!("{}.0/24", n.pod_prefix);
    let mut labels = obj!({
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": &n.name, "kubernetes.io/os": "linux"
    });
    if !n.zone.is_empty() {
        labels.insert("topology.kubernetes.io/zone", &n.zone);
    }
    obj!({
        "metadata": {"name": &n.name, "labels": labels, "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
        "spec": {"podCIDR": cidr.as_str(), "podCIDRs": [cidr.as_str()]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": &n.ip}, {"type": "Hostname", "address": &n.name}],
            "allocatable": &amounts, "capacity": amounts,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "bootID": format!("b{}", n.name), "containerRuntimeVersion": "containerd://2.0.0",
                "kernelVersion": "6.1.0", "kubeProxyVersion": "", "kubeletVersion": "v1.36.2",
                "machineID": format!("m{}", n.name), "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 12 (bookworm)", "systemUUID": format!("s{}", n.name)
            }
        }
    })
}
