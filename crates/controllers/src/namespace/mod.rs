//! The namespace controller: empties a terminating namespace, then lets it go.
//!
//! Models: `pkg/controller/namespace`.

use crate::runtime::{Controller, Failure, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::{ResId, Status};
use sim::{Civil, Duration};
use std::collections::BTreeMap;

/// How long after a change a terminating namespace is looked at, so that all servers know that it terminates. Models:
/// `namespaceDeletionGracePeriod`.
const GRACE: Duration = Duration::from_secs(5);
/// How long what only finalizers hold is expected to take, in seconds. Models: `finalizerEstimateSeconds`.
const FINALIZERS_S: i64 = 15;

/// The controller.
#[derive(Clone, Debug)]
pub struct Namespaces {
    namespaces: ResId,
    pods: ResId,
}

/// What is left of a namespace's content.
#[derive(Debug, Default)]
struct Left {
    /// Objects by resource.
    objects: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// How long it may take, in seconds.
    estimate_s: i64,
}

/// The longest grace of the pods that still run. Models: `estimateGracefulTerminationForPods`.
fn grace_of(turn: &Turn<'_>, ns: &Value, pods: &[Value]) -> i64 {
    let running =
        pods.iter().filter(|p| !matches!(p.at(&["status", "phase"]).text(), "Succeeded" | "Failed"));
    let longest = running.map(|p| p.at(&["spec", "terminationGracePeriodSeconds"]).int()).max().unwrap_or(0);
    let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
    let since = Civil::parse(ns.at(&["metadata", "deletionTimestamp"]).text()).map_or(now, |t| t.unix());
    if now - since >= longest { 0 } else { longest }
}

impl Namespaces {
    /// The controller.
    pub fn new(kinds: &Kinds) -> Self {
        Namespaces { namespaces: kinds.get("", "namespaces"), pods: kinds.get("", "pods") }
    }

    /// Deletes what a namespace holds of one resource. Models: `deleteAllContentForGroupVersionResource`.
    fn empty_of(&self, turn: &mut Turn<'_>, ns: &Value, res: ResId, left: &mut Left) -> Result<(), Failure> {
        if turn.client.api.store.list(res, Some(ns.name()), None).next().is_none() {
            return Ok(());
        }
        let r = turn.client.api.registry.get(res).clone();
        let all = turn.client.list(res, ns.name())?;
        let grace = if r.group.is_empty() && r.plural == "pods" { grace_of(turn, ns, &all) } else { 0 };
        let results: Vec<_> = turn.client.concurrently(|c| {
            all.iter()
                .filter(|o| !o.is_terminating())
                .map(|o| c.delete(res, ns.name(), o.name(), obj!({"propagationPolicy": "Background"})))
                .collect()
        });
        if let Some(e) = results.into_iter().find_map(|r| r.err().filter(|s| s.code != 404)) {
            return Err(e.into());
        }
        let rest = turn.client.list(res, ns.name())?;
        if rest.is_empty() {
            return Ok(());
        }
        left.objects.insert(format!("{}.{}", r.plural, r.group), rest.len());
        let finalizers = rest.iter().flat_map(|o| o.at(&["metadata", "finalizers"]).items());
        let mut held = false;
        for f in finalizers {
            *left.finalizers.entry(f.text().to_owned()).or_insert(0) += 1;
            held = true;
        }
        let estimate = match (grace, held) {
            (0, true) => FINALIZERS_S,
            (0, false) => {
                return Err(Failure::Other(format!(
                    "unexpected items still remain in namespace: {}",
                    ns.name()
                )));
            }
            (s, _) => s,
        };
        left.estimate_s = left.estimate_s.max(estimate);
        Ok(())
    }

    /// Deletes what a namespace holds, pods before all else. Models: `deleteAllContent`.
    fn empty(&self, turn: &mut Turn<'_>, ns: &Value) -> Result<Left, Failure> {
        let mut left = Left::default();
        self.empty_of(turn, ns, self.pods, &mut left)?;
        if !left.objects.is_empty() {
            // Nothing else goes, nor is counted, while there are pods.
            self.report(turn, ns, &Left::default())?;
            return Ok(left);
        }
        let all: Vec<ResId> = turn
            .client
            .api
            .registry
            .iter()
            .filter(|r| r.namespaced && r.storage == r.id && r.allows("delete"))
            .map(|r| r.id)
            .collect();
        for res in all {
            self.empty_of(turn, ns, res, &mut left)?;
        }
        self.report(turn, ns, &left)?;
        Ok(left)
    }

    fn report(
        &self,
        turn: &mut Turn<'_>,
        ns: &Value,
        Left { objects: left, finalizers, .. }: &Left,
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
            queue.add_after(seen.key(), GRACE);
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
        let left = self.empty(turn, &ns)?;
        if left.estimate_s > 0 {
            return Ok(Next::After(Duration::from_secs(left.estimate_s as u64 / 2 + 1)));
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
