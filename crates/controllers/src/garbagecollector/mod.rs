//! The garbage collector: dependents go when their owners are gone, or before them, or are orphaned.
//!
//! Models: `pkg/controller/garbagecollector`, over a graph of owner references kept from watches.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{SmolStr, Value, obj};
use apiserver::{ResId, Status};
use sim::persistent::{OrdMap, OrdSet};

/// A node of the graph: what is known of an object.
#[derive(Clone, Debug, Default)]
struct Node {
    res: Option<ResId>,
    namespace: SmolStr,
    name: SmolStr,
    owners: OrdSet<SmolStr>,
}

/// The controller. Keys of its queue are uids.
#[derive(Clone, Debug)]
pub struct GarbageCollector {
    watched: Vec<ResId>,
    nodes: OrdMap<SmolStr, Node>,
    dependents: OrdMap<SmolStr, OrdSet<SmolStr>>,
}

impl GarbageCollector {
    /// The controller over every resource that can own or be owned.
    pub fn new(kinds: &Kinds) -> Self {
        let names = [
            ("", "pods"),
            ("", "replicationcontrollers"),
            ("", "services"),
            ("", "configmaps"),
            ("", "secrets"),
            ("", "endpoints"),
            ("", "persistentvolumeclaims"),
            ("", "serviceaccounts"),
            ("", "nodes"),
            ("", "namespaces"),
            ("apps", "replicasets"),
            ("apps", "deployments"),
            ("apps", "statefulsets"),
            ("apps", "daemonsets"),
            ("apps", "controllerrevisions"),
            ("batch", "jobs"),
            ("batch", "cronjobs"),
            ("discovery.k8s.io", "endpointslices"),
            ("coordination.k8s.io", "leases"),
            ("networking.k8s.io", "ingresses"),
            ("policy", "poddisruptionbudgets"),
            ("rbac.authorization.k8s.io", "roles"),
            ("rbac.authorization.k8s.io", "rolebindings"),
        ];
        GarbageCollector {
            watched: names.iter().map(|(g, p)| kinds.get(g, p)).collect(),
            nodes: OrdMap::new(),
            dependents: OrdMap::new(),
        }
    }

    fn unlink(&mut self, uid: &SmolStr) {
        if let Some(node) = self.nodes.get(uid) {
            for o in node.owners.clone() {
                if let Some(d) = self.dependents.get_mut(&o) {
                    d.remove(uid);
                    if d.is_empty() {
                        self.dependents.remove(&o);
                    }
                }
            }
        }
    }

    /// Whether an owner reference leads to something that is there; `(there, waits for its dependents)`.
    fn owner_state(&self, turn: &mut Turn<'_>, namespace: &str, o: &Value) -> Result<(bool, bool), Status> {
        let Some(r) =
            turn.client.api.registry.by_kind(o.get("apiVersion").text(), o.get("kind").text()).cloned()
        else {
            // An unknown kind: nothing is concluded.
            return Ok((true, false));
        };
        let ns = if r.namespaced { namespace } else { "" };
        match turn.client.get(r.id, ns, o.get("name").text()) {
            Ok(v) if v.uid() == o.get("uid").text() => {
                let waits = v.is_terminating()
                    && v.at(&["metadata", "finalizers"]).items().any(|f| f.text() == "foregroundDeletion");
                Ok((true, waits))
            }
            Ok(_) => Ok((false, false)),
            Err(s) if s.code == 404 => Ok((false, false)),
            Err(s) => Err(s),
        }
    }

    /// Deletes an object whose owners are all gone, or drops the dangling ones. Models: `attemptToDeleteItem`.
    fn collect(&mut self, turn: &mut Turn<'_>, uid: &SmolStr) -> Result<(), Status> {
        let Some(node) = self.nodes.get(uid).cloned() else { return Ok(()) };
        let Some(res) = node.res else { return Ok(()) };
        let v = match turn.client.get(res, &node.namespace, &node.name) {
            Ok(v) if v.uid() == uid.as_str() => v,
            Ok(_) => return Ok(()),
            Err(s) if s.code == 404 => return Ok(()),
            Err(s) => return Err(s),
        };
        if v.is_terminating() {
            return self.finish(turn, res, &v);
        }
        let owners = v.at(&["metadata", "ownerReferences"]).clone();
        if owners.is_empty() {
            return Ok(());
        }
        let (mut solid, mut dangling, mut waiting) = (Vec::new(), 0, 0);
        for o in owners.items() {
            match self.owner_state(turn, &node.namespace, o)? {
                (true, true) => waiting += 1,
                (true, false) => solid.push(o.clone()),
                (false, _) => dangling += 1,
            }
        }
        if !solid.is_empty() {
            if dangling + waiting > 0 {
                let patch = obj!({"metadata": {"uid": v.uid(), "ownerReferences": solid}});
                turn.client.merge(res, "", &node.namespace, &node.name, patch)?;
            }
            return Ok(());
        }
        let has_dependents = self.dependents.get(uid).is_some_and(|d| !d.is_empty());
        let policy = if waiting > 0 && has_dependents { "Foreground" } else { "Background" };
        let options = obj!({"propagationPolicy": policy, "preconditions": {"uid": v.uid()}});
        match turn.client.delete(res, &node.namespace, &node.name, options) {
            Err(s) if !matches!(s.code, 404 | 409) => Err(s),
            _ => Ok(()),
        }
    }

    /// Carries on with a terminating object: orphans its dependents or waits for them.
    fn finish(&mut self, turn: &mut Turn<'_>, res: ResId, v: &Value) -> Result<(), Status> {
        let finalizers: Vec<&str> = v.at(&["metadata", "finalizers"]).items().map(Value::text).collect();
        let uid: SmolStr = v.uid().into();
        let dependents: Vec<SmolStr> = self.dependents.get(&uid).into_iter().flatten().cloned().collect();
        let done = if finalizers.contains(&"orphan") {
            for d in &dependents {
                self.orphan(turn, d, &uid)?;
            }
            "orphan"
        } else if finalizers.contains(&"foregroundDeletion") {
            let blocking = dependents.iter().any(|d| self.blocks(turn, d, &uid));
            if blocking {
                for d in &dependents {
                    self.collect(turn, d)?;
                }
                return Ok(());
            }
            "foregroundDeletion"
        } else {
            return Ok(());
        };
        let rest: Value = finalizers.iter().filter(|f| **f != done).copied().collect();
        let patch = obj!({"metadata": {"uid": v.uid(), "finalizers": rest}});
        match turn.client.merge(res, "", v.namespace(), v.name(), patch) {
            Err(s) if s.code != 404 => Err(s),
            _ => Ok(()),
        }
    }

    fn blocks(&self, turn: &mut Turn<'_>, dependent: &SmolStr, owner: &SmolStr) -> bool {
        let Some(n) = self.nodes.get(dependent) else { return false };
        let Some(res) = n.res else { return false };
        turn.client.get(res, &n.namespace, &n.name).is_ok_and(|v| {
            v.uid() == dependent.as_str()
                && v.at(&["metadata", "ownerReferences"])
                    .items()
                    .any(|o| o.get("uid").text() == owner && o.get("blockOwnerDeletion").is_true())
        })
    }

    fn orphan(&self, turn: &mut Turn<'_>, dependent: &SmolStr, owner: &SmolStr) -> Result<(), Status> {
        let Some(n) = self.nodes.get(dependent).cloned() else { return Ok(()) };
        let Some(res) = n.res else { return Ok(()) };
        let v = match turn.client.get(res, &n.namespace, &n.name) {
            Ok(v) => v,
            Err(s) if s.code == 404 => return Ok(()),
            Err(s) => return Err(s),
        };
        let owners: Value = v
            .at(&["metadata", "ownerReferences"])
            .items()
            .filter(|o| o.get("uid").text() != owner)
            .cloned()
            .collect();
        let owners = if owners.is_empty() { Value::Null } else { owners };
        let patch = obj!({"metadata": {"uid": v.uid(), "ownerReferences": owners}});
        turn.client.merge(res, "", &n.namespace, &n.name, patch).map(|_| ())
    }
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn watches(&self) -> Vec<ResId> {
        self.watched.clone()
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        let o = seen.object();
        let uid: SmolStr = o.uid().into();
        let key = |u: &SmolStr| -> Key { ("".into(), u.clone()) };
        if seen.new.is_null() {
            self.unlink(&uid);
            let owners = self.nodes.remove(&uid).map(|n| n.owners).unwrap_or_default();
            for d in self.dependents.get(&uid).into_iter().flatten() {
                queue.add(key(d));
            }
            // An owner may be waiting for this one.
            for o in &owners {
                queue.add(key(o));
            }
            return;
        }
        let refs = o.at(&["metadata", "ownerReferences"]);
        let owners: OrdSet<SmolStr> = refs.items().map(|r| r.get("uid").smol()).collect();
        let known = self.nodes.get(&uid);
        let fresh = known.is_none_or(|n| n.owners != owners);
        if fresh {
            self.unlink(&uid);
            for owner in &owners {
                self.dependents.entry(owner.clone()).or_default().insert(uid.clone());
            }
            let node = Node {
                res: Some(seen.res),
                namespace: o.namespace().into(),
                name: o.name().into(),
                owners: owners.clone(),
            };
            self.nodes.insert(uid.clone(), node);
            // Born with an owner that is already gone, or of which nothing is known.
            if owners.iter().any(|x| !self.nodes.contains_key(x)) {
                queue.add(key(&uid));
            }
        }
        if o.is_terminating() && !seen.old.is_terminating()
            || (o.is_terminating() && seen.old.get("metadata") != o.get("metadata"))
        {
            queue.add(key(&uid));
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        self.collect(turn, &key.1)?;
        Ok(Next::Done)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
