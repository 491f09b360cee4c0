//! The namespace controller: empties a terminating namespace, then lets it go.
//!
//! Models: `pkg/controller/namespace`.

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::{ResId, Status};
use sim::Duration;
use std::collections::BTreeMap;

/// The controller.
#[derive(Clone, Debug)]
pub struct Namespaces {
    namespaces: ResId,
}

impl Namespaces {
    /// The controller.
    pub fn new(kinds: &Kinds) -> Self {
        Namespaces { namespaces: kinds.get("", "namespaces") }
    }

    /// Deletes what a namespace holds; gives what is left: objects by resource, finalizers with their counts, and the
    /// longest grace.
    fn empty(
        &self,
        turn: &mut Turn<'_>,
        ns: &str,
    ) -> Result<(BTreeMap<String, usize>, BTreeMap<String, usize>, i64), Status> {
        let resources: Vec<_> = turn
            .client
            .api
            .registry
            .iter()
            .filter(|r| r.namespaced && r.storage == r.id && r.allows("delete"))
            .map(|r| (r.id, r.qualified(), r.plural.clone(), r.group.clone()))
            .collect();
        let (mut left, mut finalizers, mut grace) = (BTreeMap::new(), BTreeMap::new(), 0);
        for (res, qualified, plural, group) in resources {
            if turn.client.api.store.list(res, Some(ns), None).next().is_none() {
                continue;
            }
            let all = turn.client.list(res, ns)?;
            let results: Vec<_> = turn.client.concurrently(|c| {
                all.iter()
                    .filter(|o| !o.is_terminating())
                    .map(|o| c.delete(res, ns, o.name(), obj!({"propagationPolicy": "Background"})))
                    .collect()
            });
            if let Some(e) = results.into_iter().find_map(|r| r.err().filter(|s| s.code != 404)) {
                return Err(e);
            }
            for o in turn.client.list(res, ns)? {
                *left
                    .entry(if group.is_empty() { format!("{plural}.") } else { qualified.clone() })
                    .or_insert(0) += 1;
                for f in o.at(&["metadata", "finalizers"]).items() {
                    *finalizers.entry(f.text().to_owned()).or_insert(0) += 1;
                }
                if plural == "pods" {
                    grace = grace.max(o.at(&["metadata", "deletionGracePeriodSeconds"]).int());
                }
            }
        }
        Ok((left, finalizers, grace))
    }

    fn report(
        &self,
        turn: &mut Turn<'_>,
        ns: &Value,
        left: &BTreeMap<String, usize>,
        finalizers: &BTreeMap<String, usize>,
    ) -> Result<(), Status> {
        let time = turn.client.timestamp();
        let list = |m: &BTreeMap<String, usize>, one: &str| {
            m.iter().map(|(k, n)| format!("{k} {one} {n} resource instances")).collect::<Vec<_>>().join(", ")
        };
        let remaining = format!("Some resources are remaining: {}", list(left, "has"));
        let held =
            format!("Some content in the namespace has finalizers remaining: {}", list(finalizers, "in"));
        let yes_no = |bad: bool, t: (&str, String), f: (&str, &str)| {
            if bad { ("True", t.0.to_owned(), t.1) } else { ("False", f.0.to_owned(), f.1.to_owned()) }
        };
        let rows = [
            (
                "NamespaceDeletionDiscoveryFailure",
                yes_no(
                    false,
                    ("", String::new()),
                    ("ResourcesDiscovered", "All resources successfully discovered"),
                ),
            ),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                yes_no(
                    false,
                    ("", String::new()),
                    ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
                ),
            ),
            (
                "NamespaceDeletionContentFailure",
                yes_no(
                    false,
                    ("", String::new()),
                    ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
                ),
            ),
            (
                "NamespaceContentRemaining",
                yes_no(
                    !left.is_empty(),
                    ("SomeResourcesRemain", remaining),
                    ("ContentRemoved", "All content successfully removed"),
                ),
            ),
            (
                "NamespaceFinalizersRemaining",
                yes_no(
                    !finalizers.is_empty(),
                    ("SomeFinalizersRemain", held),
                    ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
                ),
            ),
        ];
        let mut new = ns.clone();
        let mut conditions = Vec::new();
        for (kind, (status, reason, message)) in rows {
            let had = ns.condition(kind);
            let mut c = obj!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time.as_str()});
            if had.get("status") == c.get("status") {
                c.insert("lastTransitionTime", had.get("lastTransitionTime"));
            }
            conditions.push(c);
        }
        new.set(&["status", "conditions"], conditions);
        if &new != ns {
            turn.client.update_sub(self.namespaces, "status", new)?;
        }
        Ok(())
    }
}

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.namespaces]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.new.is_terminating() {
            queue.add(seen.key());
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let ns = match turn.client.get(self.namespaces, "", &key.1) {
            Ok(ns) if ns.is_terminating() => ns,
            _ => return Ok(Next::Done),
        };
        if !ns.at(&["spec", "finalizers"]).items().any(|f| f.text() == "kubernetes") {
            return Ok(Next::Done);
        }
        let (left, finalizers, grace) = self.empty(turn, &key.1)?;
        if !left.is_empty() {
            self.report(turn, &ns, &left, &finalizers)?;
            // Models: half of the longest grace plus a second; what only finalizers hold is looked at again soon.
            let wait = if grace > 0 {
                Duration::from_secs(grace as u64 / 2 + 1)
            } else {
                Duration::from_millis(500)
            };
            let backoff = Duration::from_millis(500) * (turn.queue.failures(key) + 1);
            return Ok(Next::After(if grace > 0 { wait.min(Duration::from_secs(2)) } else { backoff }));
        }
        let mut ns = turn.client.get(self.namespaces, "", &key.1)?;
        let rest: Value =
            ns.at(&["spec", "finalizers"]).items().filter(|f| f.text() != "kubernetes").cloned().collect();
        ns.set(&["spec", "finalizers"], rest);
        turn.client.update_sub(self.namespaces, "finalize", ns)?;
        Ok(Next::Done)
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
