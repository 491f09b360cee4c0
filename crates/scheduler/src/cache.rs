//! The scheduler's picture of nodes and of the pods on them, assumed ones included.

use api::quantity::Quantity;
use api::{SmolStr, Value};
use sim::persistent::OrdMap;
use std::sync::Arc;

/// What a container without a cpu request counts for in scores, in millicores. Models: `DefaultMilliCPURequest`.
const DEFAULT_CPU_M: i64 = 100;
/// The same for memory, in bytes. Models: `DefaultMemoryRequest`.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of resources.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resources {
    /// Millicores.
    pub cpu_m: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral: i64,
    /// Everything else by name.
    pub other: OrdMap<SmolStr, i64>,
}

impl Resources {
    fn of(list: &Value) -> Resources {
        let mut r = Resources::default();
        for (k, v) in list.entries() {
            let q = Quantity::or_zero(v);
            match k.as_str() {
                "cpu" => r.cpu_m = q.milli(),
                "memory" => r.memory = q.value(),
                "ephemeral-storage" => r.ephemeral = q.value(),
                "pods" => {}
                name => {
                    r.other.insert(name.into(), q.value());
                }
            }
        }
        r
    }

    /// Adds (or with -1 takes away) another amount.
    pub fn add(&mut self, o: &Resources, sign: i64) {
        self.cpu_m += sign * o.cpu_m;
        self.memory += sign * o.memory;
        self.ephemeral += sign * o.ephemeral;
        for (k, v) in &o.other {
            *self.other.entry(k.clone()).or_insert(0) += sign * v;
        }
    }

    fn max(&mut self, o: &Resources) {
        self.cpu_m = self.cpu_m.max(o.cpu_m);
        self.memory = self.memory.max(o.memory);
        self.ephemeral = self.ephemeral.max(o.ephemeral);
        for (k, v) in &o.other {
            let e = self.other.entry(k.clone()).or_insert(0);
            *e = (*e).max(*v);
        }
    }
}

/// What of a pod matters to scheduling, read once.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The pod.
    pub pod: Value,
    /// What it requests.
    pub requests: Resources,
    /// cpu in millicores and memory in bytes with defaults for containers that request none.
    pub nonzero: (i64, i64),
    /// Host ports: protocol, address, port.
    pub ports: Vec<(SmolStr, SmolStr, i64)>,
    /// Priority.
    pub priority: i64,
    /// Whether it has required anti-affinity terms, which concern other pods.
    pub has_anti_affinity: bool,
    /// Whether it has any pod affinity or anti-affinity.
    pub has_affinity: bool,
}

impl PodInfo {
    /// Reads a pod. Models: `PodRequests` (init containers, sidecars and overhead included).
    pub fn new(pod: &Value) -> PodInfo {
        let spec = pod.get("spec");
        let of = |c: &Value| Resources::of(c.at(&["resources", "requests"]));
        let nonzero_of = |c: &Value| {
            let r = c.at(&["resources", "requests"]);
            let cpu =
                if r.get("cpu").is_null() { DEFAULT_CPU_M } else { Quantity::or_zero(r.get("cpu")).milli() };
            let memory = if r.get("memory").is_null() {
                DEFAULT_MEMORY
            } else {
                Quantity::or_zero(r.get("memory")).value()
            };
            (cpu, memory)
        };
        let mut requests = Resources::default();
        let mut nonzero = (0, 0);
        let mut ports = Vec::new();
        for c in spec.get("containers").items() {
            requests.add(&of(c), 1);
            let n = nonzero_of(c);
            nonzero = (nonzero.0 + n.0, nonzero.1 + n.1);
        }
        let (mut sidecars, mut side_nonzero) = (Resources::default(), (0i64, 0i64));
        let (mut init_max, mut init_nonzero) = (Resources::default(), (0i64, 0i64));
        for c in spec.get("initContainers").items() {
            let (mut r, n) = (of(c), nonzero_of(c));
            if c.get("restartPolicy").text() == "Always" {
                sidecars.add(&r, 1);
                side_nonzero = (side_nonzero.0 + n.0, side_nonzero.1 + n.1);
                init_max.max(&sidecars);
                init_nonzero = (init_nonzero.0.max(side_nonzero.0), init_nonzero.1.max(side_nonzero.1));
            } else {
                r.add(&sidecars, 1);
                init_max.max(&r);
                let n = (n.0 + side_nonzero.0, n.1 + side_nonzero.1);
                init_nonzero = (init_nonzero.0.max(n.0), init_nonzero.1.max(n.1));
            }
        }
        requests.add(&sidecars, 1);
        requests.max(&init_max);
        nonzero = (nonzero.0 + side_nonzero.0, nonzero.1 + side_nonzero.1);
        nonzero = (nonzero.0.max(init_nonzero.0), nonzero.1.max(init_nonzero.1));
        let overhead = Resources::of(spec.get("overhead"));
        nonzero = (nonzero.0 + overhead.cpu_m, nonzero.1 + overhead.memory);
        requests.add(&overhead, 1);
        for c in spec.get("containers").items() {
            for p in c.get("ports").items().filter(|p| p.get("hostPort").int() > 0) {
                let ip = match p.get("hostIP").text() {
                    "" => "0.0.0.0",
                    ip => ip,
                };
                ports.push((p.get("protocol").smol(), ip.into(), p.get("hostPort").int()));
            }
        }
        let affinity = spec.get("affinity");
        PodInfo {
            requests,
            nonzero,
            ports,
            priority: spec.get("priority").int(),
            has_anti_affinity: !affinity
                .at(&["podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"])
                .is_empty(),
            has_affinity: affinity.get("podAffinity").is_some() || affinity.get("podAntiAffinity").is_some(),
            pod: pod.clone(),
        }
    }
}

/// A node and the pods on it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node; null while only its pods are known.
    pub node: Value,
    /// What it has.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub pods_max: i64,
    /// What its pods request.
    pub requested: Resources,
    /// The same with defaults: cpu in millicores, memory in bytes.
    pub nonzero: (i64, i64),
    /// Its pods by uid.
    pub pods: OrdMap<SmolStr, Arc<PodInfo>>,
    /// How many of its pods have required anti-affinity.
    pub anti_affinity_pods: usize,
    /// How many of its pods have any pod affinity.
    pub affinity_pods: usize,
}

impl NodeInfo {
    fn empty() -> NodeInfo {
        NodeInfo {
            node: Value::Null,
            allocatable: Resources::default(),
            pods_max: 0,
            requested: Resources::default(),
            nonzero: (0, 0),
            pods: OrdMap::new(),
            anti_affinity_pods: 0,
            affinity_pods: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.node.name()
    }

    fn set_node(&mut self, node: &Value) {
        let list = node.at(&["status", "allocatable"]);
        self.allocatable = Resources::of(list);
        self.pods_max = Quantity::or_zero(list.get("pods")).value();
        self.node = node.clone();
    }

    /// Puts a pod on the node.
    pub fn add(&mut self, p: Arc<PodInfo>) {
        let uid: SmolStr = p.pod.uid().into();
        self.remove(&uid);
        self.requested.add(&p.requests, 1);
        self.nonzero = (self.nonzero.0 + p.nonzero.0, self.nonzero.1 + p.nonzero.1);
        self.anti_affinity_pods += usize::from(p.has_anti_affinity);
        self.affinity_pods += usize::from(p.has_affinity);
        self.pods.insert(uid, p);
    }

    /// Takes a pod off the node.
    pub fn remove(&mut self, uid: &SmolStr) {
        if let Some(p) = self.pods.remove(uid) {
            self.requested.add(&p.requests, -1);
            self.nonzero = (self.nonzero.0 - p.nonzero.0, self.nonzero.1 - p.nonzero.1);
            self.anti_affinity_pods -= usize::from(p.has_anti_affinity);
            self.affinity_pods -= usize::from(p.has_affinity);
        }
    }
}

/// All nodes. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    nodes: OrdMap<SmolStr, Arc<NodeInfo>>,
    place: OrdMap<SmolStr, SmolStr>,
}

impl Cache {
    fn node_mut(&mut self, name: &SmolStr) -> &mut NodeInfo {
        Arc::make_mut(self.nodes.entry(name.clone()).or_insert_with(|| Arc::new(NodeInfo::empty())))
    }

    /// Takes a node's new state; null when it is gone.
    pub fn set_node(&mut self, name: &SmolStr, node: &Value) {
        if node.is_null() {
            let empty = self.nodes.get(name).is_none_or(|n| n.pods.is_empty());
            if empty {
                self.nodes.remove(name);
            } else {
                self.node_mut(name).node = Value::Null;
            }
        } else {
            self.node_mut(name).set_node(node);
        }
    }

    /// Puts a pod (seen or assumed) on a node.
    pub fn place(&mut self, node: &SmolStr, p: Arc<PodInfo>) {
        let uid: SmolStr = p.pod.uid().into();
        if let Some(old) = self.place.get(&uid).cloned()
            && &old != node
        {
            self.take_away(&uid);
        }
        self.place.insert(uid, node.clone());
        self.node_mut(node).add(p);
    }

    /// Takes a pod away from wherever it is.
    pub fn take_away(&mut self, uid: &SmolStr) {
        if let Some(node) = self.place.remove(uid) {
            self.node_mut(&node).remove(uid);
            if self.nodes.get(&node).is_some_and(|n| n.node.is_null() && n.pods.is_empty()) {
                self.nodes.remove(&node);
            }
        }
    }

    /// Whether a pod is on some node.
    pub fn has(&self, uid: &str) -> bool {
        self.place.contains_key(uid)
    }

    /// Nodes that are there, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeInfo>> {
        self.nodes.values().filter(|n| n.node.is_some())
    }
}

#[cfg(test)]
#[test]
fn requests_of_sidecars_and_init_containers() {
    use api::obj;
    let c = |cpu: &str| obj!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
    let mut side = c("100m");
    side.insert("restartPolicy", "Always");
    let p = PodInfo::new(
        &obj!({"spec": {"containers": [c("200m"), c("300m")], "initContainers": [side, c("700m")]}}),
    );
    assert_eq!(p.requests.cpu_m, 800);
}
