//! The node lifecycle controller: notices silent nodes, taints them, and evicts their pods in time.
//!
//! Models: `pkg/controller/nodelifecycle` and `tainteviction`: a node whose lease was not renewed for 40 s is Unknown,
//! looked at every 5 s; conditions become taints; NoExecute taints evict pods after their toleration ends.

use crate::runtime::{
    Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue, is_ready, key_of,
};
use api::kinds::scheduling::tolerates;
use api::{SmolStr, Value, obj};
use apiserver::{ResId, Status};
use sim::persistent::OrdMap;
use sim::{Duration, Instant};

/// How long a node may be silent. Models: `--node-monitor-grace-period`.
const GRACE: Duration = Duration::from_secs(40);
/// How often nodes are looked at. Models: `--node-monitor-period`.
const PERIOD: Duration = Duration::from_secs(5);
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

#[derive(Clone, Debug)]
struct Heard {
    renewed: SmolStr,
    at: Instant,
}

/// The controller. Keys are `("", node)` and `(namespace, pod)`.
#[derive(Clone, Debug)]
pub struct NodeLifecycle {
    nodes: ResId,
    pods: ResId,
    leases: ResId,
    heard: OrdMap<SmolStr, Heard>,
    evict_at: OrdMap<Key, Instant>,
}

impl NodeLifecycle {
    /// The controller.
    pub fn new(kinds: &Kinds) -> Self {
        NodeLifecycle {
            nodes: kinds.get("", "nodes"),
            pods: kinds.get("", "pods"),
            leases: kinds.get("coordination.k8s.io", "leases"),
            heard: OrdMap::new(),
            evict_at: OrdMap::new(),
        }
    }

    fn check_node(&mut self, turn: &mut Turn<'_>, node: &Value) -> Result<(), Status> {
        let name: SmolStr = node.name().into();
        let lease = turn.informers.get(self.leases, "kube-node-lease", &name);
        let renewed = lease.map_or(SmolStr::default(), |l| l.at(&["spec", "renewTime"]).smol());
        let stamp: SmolStr =
            format!("{renewed}|{}", node.condition("Ready").get("lastHeartbeatTime").text()).into();
        let now = turn.now();
        match self.heard.get_mut(&name) {
            Some(h) if h.renewed == stamp => {}
            _ => {
                self.heard.insert(name.clone(), Heard { renewed: stamp, at: now });
            }
        }
        let silent = self.heard.get(&name).is_some_and(|h| now.since(h.at) > GRACE);
        let mut node = node.clone();
        if silent && node.condition("Ready").get("status").text() != "Unknown" {
            node = self.mark_unknown(turn, node)?;
        }
        self.taint(turn, &node)
    }

    fn mark_unknown(&self, turn: &mut Turn<'_>, mut node: Value) -> Result<Value, Status> {
        let time = turn.client.timestamp();
        let created = node.at(&["metadata", "creationTimestamp"]).clone();
        let was_ready = node.condition("Ready").get("status").text() == "True";
        for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            let had = node.condition(kind).clone();
            if had.is_null() {
                let c = obj!({
                    "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.", "lastHeartbeatTime": &created, "lastTransitionTime": time.as_str()
                });
                node.push_at(&["status", "conditions"], c);
                continue;
            }
            let mut c = had;
            c.insert("status", "Unknown");
            c.insert("reason", "NodeStatusUnknown");
            c.insert("message", "Kubelet stopped posting node status.");
            c.insert("lastTransitionTime", time.as_str());
            if let Some(slot) = node
                .slot(&["status", "conditions"])
                .list_mut()
                .iter_mut()
                .find(|x| x.get("type").text() == kind)
            {
                *slot = c;
            }
        }
        let node = turn.client.update_sub(self.nodes, "status", node)?;
        if was_ready {
            let m = format!("Node {} status is now: NodeNotReady", node.name());
            turn.event(&node, "Normal", "NodeNotReady", &m);
            self.mark_pods(turn, &node)?;
        }
        Ok(node)
    }

    /// Pods of a node that went silent are not ready any more. Models: `MarkPodsNotReady`.
    fn mark_pods(&self, turn: &mut Turn<'_>, node: &Value) -> Result<(), Status> {
        let pods: Vec<Value> = turn
            .informers
            .list(self.pods, "")
            .filter(|p| p.at(&["spec", "nodeName"]).text() == node.name() && is_ready(p))
            .cloned()
            .collect();
        let time = turn.client.timestamp();
        for mut p in pods {
            if let Some(c) = p
                .slot(&["status", "conditions"])
                .list_mut()
                .iter_mut()
                .find(|c| c.get("type").text() == "Ready")
            {
                c.insert("status", "False");
                c.insert("lastTransitionTime", time.as_str());
            }
            match turn.client.update_sub(self.pods, "status", p.clone()) {
                Ok(_) => turn.event(&p, "Warning", "NodeNotReady", "Node is not ready"),
                Err(s) if matches!(s.code, 404 | 409) => {}
                Err(s) => return Err(s),
            }
        }
        Ok(())
    }

    /// Conditions become taints. Models: `doNoScheduleTaintingPass` and `doNoExecuteTaintingPass`.
    fn taint(&self, turn: &mut Turn<'_>, node: &Value) -> Result<(), Status> {
        let status = |kind: &str| node.condition(kind).get("status").text().to_owned();
        let time = turn.client.timestamp();
        let mut want: Vec<(&str, &str)> = Vec::new();
        match status("Ready").as_str() {
            "True" => {}
            "Unknown" => want.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]),
            _ => want.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
        }
        for (kind, key) in [
            ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
            ("DiskPressure", "node.kubernetes.io/disk-pressure"),
            ("PIDPressure", "node.kubernetes.io/pid-pressure"),
            ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
        ] {
            if status(kind) == "True" {
                want.push((key, "NoSchedule"));
            }
        }
        if node.at(&["spec", "unschedulable"]).is_true() {
            want.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
        }
        let ours = |t: &Value| {
            let (k, e) = (t.get("key").text(), t.get("effect").text());
            match k {
                NOT_READY | UNREACHABLE => matches!(e, "NoSchedule" | "NoExecute"),
                "node.kubernetes.io/memory-pressure"
                | "node.kubernetes.io/disk-pressure"
                | "node.kubernetes.io/pid-pressure"
                | "node.kubernetes.io/network-unavailable"
                | "node.kubernetes.io/unschedulable" => e == "NoSchedule",
                _ => false,
            }
        };
        let have = node.at(&["spec", "taints"]);
        let has =
            |k: &str, e: &str| have.items().any(|t| t.get("key").text() == k && t.get("effect").text() == e);
        let missing: Vec<_> = want.iter().filter(|(k, e)| !has(k, e)).collect();
        let stale = have.items().any(|t| {
            ours(t) && !want.iter().any(|(k, e)| t.get("key").text() == *k && t.get("effect").text() == *e)
        });
        if missing.is_empty() && !stale {
            return Ok(());
        }
        let mut taints: Vec<Value> = have
            .items()
            .filter(|t| {
                !ours(t)
                    || want.iter().any(|(k, e)| t.get("key").text() == *k && t.get("effect").text() == *e)
            })
            .cloned()
            .collect();
        for (k, e) in missing {
            let mut t = obj!({"key": *k, "effect": *e});
            t.insert("timeAdded", time.as_str());
            taints.push(t);
        }
        let taints = if taints.is_empty() { Value::Null } else { Value::from(taints) };
        turn.client.merge(self.nodes, "", "", node.name(), obj!({"spec": {"taints": taints}})).map(|_| ())
    }

    /// How long a pod stays on a node with these taints; `None` for ever.
    fn stay(&self, pod: &Value, node: &Value) -> Option<Duration> {
        let mut least: Option<Duration> = None;
        let mut finite = false;
        for t in node.at(&["spec", "taints"]).items().filter(|t| t.get("effect").text() == "NoExecute") {
            let matching: Vec<&Value> =
                pod.at(&["spec", "tolerations"]).items().filter(|x| tolerates(x, t)).collect();
            if matching.is_empty() {
                return Some(Duration::ZERO);
            }
            for x in matching {
                if let Some(s) = x.get("tolerationSeconds").as_int() {
                    finite = true;
                    let d = Duration::from_secs(s.max(0) as u64);
                    least = Some(least.map_or(d, |l: Duration| l.min(d)));
                }
            }
        }
        if finite { least } else { None }
    }

    fn check_pod(&mut self, turn: &mut Turn<'_>, key: &Key) -> Outcome {
        let gone = |s: &mut Self| {
            s.evict_at.remove(key);
            Ok(Next::Done)
        };
        let Some(pod) = turn.cached(self.pods, key) else { return gone(self) };
        let node = pod.at(&["spec", "nodeName"]).smol();
        let Some(node) = turn.informers.get(self.nodes, "", &node).cloned() else { return gone(self) };
        if pod.is_terminating() {
            return gone(self);
        }
        let was_waiting = self.evict_at.contains_key(key);
        let Some(stay) = self.stay(&pod, &node) else {
            if was_waiting {
                turn.event(
                    &pod,
                    "Normal",
                    "TaintManagerEviction",
                    &format!("Cancelling deletion of Pod {}/{}", key.0, key.1),
                );
            }
            return gone(self);
        };
        let now = turn.now();
        let at = *self.evict_at.entry(key.clone()).or_insert(now + stay);
        if at > now {
            return Ok(Next::After(at.since(now)));
        }
        turn.event(
            &pod,
            "Normal",
            "TaintManagerEviction",
            &format!("Marking for deletion Pod {}/{}", key.0, key.1),
        );
        let time = turn.client.timestamp();
        let mut marked = pod.clone();
        marked.push_at(
            &["status", "conditions"],
            obj!({
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint", "lastProbeTime": null,
                "lastTransitionTime": time, "observedGeneration": pod.generation()
            }),
        );
        turn.client.update_sub(self.pods, "status", marked)?;
        turn.client.delete(self.pods, &key.0, &key.1, Value::Null)?;
        gone(self)
    }
}

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.nodes, self.pods, self.leases]
    }

    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue) {
        if seen.res == self.nodes {
            queue.add(seen.key());
            if seen.old.at(&["spec", "taints"]) != seen.new.at(&["spec", "taints"]) {
                let node = seen.object().name();
                let mine = |p: &&Value| p.at(&["spec", "nodeName"]).text() == node;
                informers.list(self.pods, "").filter(mine).for_each(|p| queue.add(key_of(p)));
            }
        } else if seen.res == self.pods {
            let p = seen.new;
            let node = p.at(&["spec", "nodeName"]).text();
            let tainted = informers.get(self.nodes, "", node).is_some_and(|n| {
                n.at(&["spec", "taints"]).items().any(|t| t.get("effect").text() == "NoExecute")
            });
            if (p.is_some() && tainted && !p.is_terminating()) || self.evict_at.contains_key(&seen.key()) {
                queue.add(seen.key());
            }
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        if !key.0.is_empty() {
            return self.check_pod(turn, key);
        }
        let Some(node) = turn.cached(self.nodes, key) else {
            self.heard.remove(&key.1);
            return Ok(Next::Done);
        };
        self.check_node(turn, &node)?;
        Ok(Next::After(PERIOD))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
