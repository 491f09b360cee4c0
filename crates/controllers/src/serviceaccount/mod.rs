//! What every namespace gets: the `default` ServiceAccount and the cluster's CA.
//!
//! Models: `pkg/controller/serviceaccount` and `rootcacertpublisher`.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::ResId;

const ROOT_CA: &str = "kube-root-ca.crt";

/// Keeps a ServiceAccount `default` in each namespace.
#[derive(Clone, Debug)]
pub struct ServiceAccounts {
    namespaces: ResId,
    accounts: ResId,
}

impl ServiceAccounts {
    /// The controller.
    pub fn new(kinds: &Kinds) -> Self {
        ServiceAccounts {
            namespaces: kinds.get("", "namespaces"),
            accounts: kinds.get("", "serviceaccounts"),
        }
    }
}

fn enqueue(namespaces: ResId, what: &str, seen: &Seen<'_>, queue: &mut WorkQueue) {
    let o = seen.object();
    if seen.res == namespaces {
        queue.add(("".into(), o.name().into()));
    } else if seen.new.is_null() && o.name() == what {
        queue.add(("".into(), o.namespace().into()));
    }
}

fn ensure(turn: &mut Turn<'_>, namespaces: ResId, res: ResId, key: &Key, v: Value) -> Outcome {
    let alive = turn.cached(namespaces, key).is_some_and(|n| !n.is_terminating());
    if !alive || turn.informers.get(res, &key.1, v.name()).is_some() {
        return Ok(Next::Done);
    }
    match turn.client.create(res, &key.1, v) {
        Err(s) if !matches!(s.reason.as_str(), "AlreadyExists" | "Forbidden" | "NotFound") => Err(s.into()),
        _ => Ok(Next::Done),
    }
}

impl Controller for ServiceAccounts {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.namespaces, self.accounts]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        enqueue(self.namespaces, "default", seen, queue);
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let v = obj!({"metadata": {"name": "default", "namespace": &key.1}});
        ensure(turn, self.namespaces, self.accounts, key, v)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Keeps the ConfigMap with the cluster's CA in each namespace.
#[derive(Clone, Debug)]
pub struct RootCaPublisher {
    namespaces: ResId,
    maps: ResId,
}

impl RootCaPublisher {
    /// The controller.
    pub fn new(kinds: &Kinds) -> Self {
        RootCaPublisher { namespaces: kinds.get("", "namespaces"), maps: kinds.get("", "configmaps") }
    }
}

impl Controller for RootCaPublisher {
    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.namespaces, self.maps]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        enqueue(self.namespaces, ROOT_CA, seen, queue);
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let text = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
        let v = obj!({
            "metadata": {"name": ROOT_CA, "namespace": &key.1, "annotations": {"kubernetes.io/description": text}},
            "data": {"ca.crt": apiserver::CLUSTER_CA}
        });
        ensure(turn, self.namespaces, self.maps, key, v)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
