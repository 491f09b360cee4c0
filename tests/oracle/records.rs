//! What lies beside a transcript: the object after the case, its events, the scheduler's scores, and each change of status
//! of Deployments and ReplicaSets.

use super::Case;
use super::compare::{same_set, same_text};
use api::Value;
use apiserver::Watch;
use cluster::World;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many records of each kind were compared, and how many of them were the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Objects after a case.
    pub objects: (usize, usize),
    /// Lists of events.
    pub events: (usize, usize),
    /// Pods whose scores on all nodes were logged.
    pub scores: (usize, usize),
    /// Sequences of states of one object.
    pub sequences: (usize, usize),
}

impl Counts {
    /// Adds those of another case.
    pub fn add(&mut self, o: &Counts) {
        for (a, b) in [
            (&mut self.objects, o.objects),
            (&mut self.events, o.events),
            (&mut self.scores, o.scores),
            (&mut self.sequences, o.sequences),
        ] {
            *a = (a.0 + b.0, a.1 + b.1);
        }
    }
}

fn count(n: &mut (usize, usize), same: bool) {
    *n = (n.0 + 1, n.1 + usize::from(same));
}

/// Differences of a case's other records from what our world holds now. Sequences are only counted: which of several
/// changes within milliseconds a watch shows as one state is a race.
pub fn differences(c: &Case, namespace: &str, w: &World, seen: &States, n: &mut Counts) -> Vec<String> {
    let read = |name: &str| fs::read_to_string(c.dir.join(name)).ok();
    let mut out = Vec::new();
    if let Some(r) = read("object.json").and_then(|text| object(&text, w)) {
        count(&mut n.objects, r.is_ok());
        out.extend(r.err().map(|d| format!("object.json\n{d}")));
    }
    if let Some(text) = read("events-ordered.txt") {
        let r = same_set(&without_heads(&text), &events(w, namespace));
        count(&mut n.events, r.is_ok());
        out.extend(r.err().map(|d| format!("events-ordered.txt\n{d}")));
    }
    if let Some(text) = read("scheduler-scores.log") {
        for (pod, expected) in scores(&text) {
            let got = our_scores(w, &pod);
            count(&mut n.scores, expected == got);
            if expected != got {
                out.push(format!("scheduler-scores.log\n  {pod}\n  - {expected:?}\n  + {got:?}\n"));
            }
        }
    }
    for name in ["create-sequence.txt", "update-sequence.txt"] {
        for (of, states) in read(name).map(|t| recorded_states(&t)).unwrap_or_default() {
            count(&mut n.sequences, seen.has(&of, &states));
        }
    }
    out
}

fn without_heads(text: &str) -> String {
    text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// Compares an object of the store with a recorded one; `None` if the record is none.
fn object(text: &str, w: &World) -> Option<Result<(), String>> {
    let expected = api::yaml::parse(text).ok().filter(|v| !v.kind().is_empty() && !v.name().is_empty())?;
    let (group, version) = expected.api_version().split_once('/').unwrap_or(("", expected.api_version()));
    let r = w
        .api()
        .registry
        .iter()
        .find(|r| r.group == group && r.version == version && r.kind == expected.kind())?;
    let got =
        w.api().store.get(r.storage, expected.namespace(), expected.name()).cloned().unwrap_or_default();
    let plain = |v: &Value| {
        let mut v = v.clone();
        v.remove(&["metadata", "managedFields"]);
        v.to_json_pretty()
    };
    Some(same_text(&plain(&expected), &plain(&got)))
}

/// A namespace's events as the recording lists them: type, reason, object, count, component, action, message.
fn events(w: &World, namespace: &str) -> String {
    let Some(res) = w.api().resource("", "events") else { return String::new() };
    let all = w.api().store.list(res, Some(namespace), None);
    let line = |e: &Value| {
        let about = e.get("involvedObject");
        let n = e.at(&["series", "count"]).as_int().or(e.get("count").as_int()).unwrap_or(0).max(1);
        let component = match e.get("reportingComponent").text() {
            "" => e.at(&["source", "component"]).text(),
            c => c,
        };
        format!(
            "{}\t{}\t{}/{}\tx{n}\t{component}\taction={}\t{}",
            e.get("type").text(),
            e.get("reason").text(),
            about.kind(),
            about.get("name").text(),
            e.get("action").text(),
            e.get("message").text()
        )
    };
    all.map(|(_, e)| line(e)).collect::<Vec<_>>().join("\n")
}

/// Scores by node and plugin, of each pod's last attempt in a log.
type Scores = BTreeMap<(String, String), i64>;

fn scores(log: &str) -> BTreeMap<String, Scores> {
    let mut all: BTreeMap<String, Scores> = BTreeMap::new();
    for line in log.lines() {
        let field = |key: &str| {
            let rest = line.split(&format!(" {key}=")).nth(1)?;
            Some(rest.trim_start_matches('"').split(['"', ' ']).next().unwrap_or("").to_owned())
        };
        let (Some(pod), node) = (field("pod"), field("node")) else { continue };
        if line.contains("Attempting to schedule pod") {
            all.remove(&pod);
        }
        let plugin = match (line.contains("Plugin scored node"), line.contains("final score for pod")) {
            (true, _) => field("plugin"),
            (_, true) => Some("final".to_owned()),
            _ => None,
        };
        if let (Some(plugin), Some(node), Some(score)) =
            (plugin, node, field("score").and_then(|s| s.parse().ok()))
        {
            all.entry(pod).or_default().insert((node, plugin), score);
        }
    }
    all
}

fn our_scores(w: &World, pod: &str) -> Scores {
    let mut out = Scores::new();
    let of = |v: &scheduler::Verdict| format!("{}/{}", v.pod.0, v.pod.1) == pod && !v.chosen.is_empty();
    if let Some((_, v)) = w.scheduler().verdicts().rev().find(|(_, v)| of(v)) {
        for n in v.nodes.iter().filter(|n| n.rejected.is_none() && !n.scores.is_empty()) {
            for (plugin, score) in &n.scores {
                out.insert((n.node.to_string(), (*plugin).to_owned()), *score);
            }
            out.insert((n.node.to_string(), "final".to_owned()), n.total);
        }
    }
    out
}

/// The states that a case's Deployments and ReplicaSets went through.
#[derive(Clone)]
pub struct States {
    watches: Vec<(&'static str, Watch)>,
    namespace: String,
    /// By object as a recording names it, each state that differs from the one before.
    by: BTreeMap<String, Vec<String>>,
}

impl States {
    /// Watches from now on; nothing if the case has no such record.
    pub fn new(w: &World, dir: &Path, namespace: &str) -> States {
        let recorded = dir.join("create-sequence.txt").exists() || dir.join("update-sequence.txt").exists();
        let watch = |kind: &'static str, plural: &str| {
            Some((kind, Watch::new(w.api().resource("apps", plural)?, w.api().store.revision())))
        };
        let all = [watch("deploy", "deployments"), watch("rs", "replicasets")];
        let watches = all.into_iter().flatten().filter(|_| recorded).collect();
        States { watches, namespace: namespace.to_owned(), by: BTreeMap::new() }
    }

    /// Takes what changed.
    pub fn poll(&mut self, w: &World) {
        for (kind, watch) in &mut self.watches {
            for e in w.api().poll(watch, w.now()).unwrap_or_default() {
                if e.object.namespace() == self.namespace {
                    let (of, state) = state(kind, &e.object);
                    let all = self.by.entry(of).or_default();
                    if all.last() != Some(&state) {
                        all.push(state);
                    }
                }
            }
        }
    }

    /// Whether an object went through these states and no others in between.
    fn has(&self, of: &str, states: &[String]) -> bool {
        self.by.get(of).is_some_and(|all| all.windows(states.len().max(1)).any(|w| w == states))
    }
}

/// An object and its state as recordings write them.
fn state(kind: &str, v: &Value) -> (String, String) {
    let s = v.get("status");
    let n = |k: &str| s.get(k).int();
    let maybe = |k: &str| s.get(k).as_int().map_or("None".to_owned(), |n| n.to_string());
    if kind == "deploy" {
        let text = format!(
            "gen={} observed={} replicas={} updated={} ready={} avail={} unavail={} term={}",
            v.generation(),
            maybe("observedGeneration"),
            n("replicas"),
            n("updatedReplicas"),
            n("readyReplicas"),
            n("availableReplicas"),
            n("unavailableReplicas"),
            maybe("terminatingReplicas")
        );
        return ("deploy".to_owned(), text);
    }
    let image =
        v.at(&["spec", "template", "spec", "containers"]).items().next().map(|c| c.get("image").smol());
    let text = format!(
        "rev={} spec={} replicas={} ready={} avail={} term={}",
        v.annotations().get("deployment.kubernetes.io/revision").text(),
        v.at(&["spec", "replicas"]).int(),
        n("replicas"),
        n("readyReplicas"),
        n("availableReplicas"),
        maybe("terminatingReplicas")
    );
    (format!("rs {}", image.unwrap_or_default()), text)
}

/// The states of a record by object.
fn recorded_states(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        let of = match (words.next(), words.clone().next()) {
            (Some("rs"), Some(image)) => {
                words.next();
                format!("rs {image}")
            }
            (Some(kind), _) => kind.to_owned(),
            _ => continue,
        };
        let state = words.collect::<Vec<_>>().join(" ");
        let all = by.entry(of).or_default();
        if all.last() != Some(&state) {
            all.push(state);
        }
    }
    by
}
