//! Plain view data: what the page draws. It holds no reference into the world and goes over any boundary.

use crate::world::World;
use api::kinds::pod;
use api::{Value, yaml};
use apiserver::{ChangeKind, Resource};
use serde::{Deserialize, Serialize};
use sim::{Cause, Instant};

/// Names an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Id {
    /// `pods`, `deployments.apps`, …
    pub resource: String,
    /// Namespace, "" for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The state of an object, as it is coloured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum State {
    /// Nothing to say.
    #[default]
    None,
    /// As wanted: running, ready, available, bound, active.
    Running,
    /// On its way.
    Pending,
    /// Being deleted.
    Terminating,
    /// Wrong.
    Failed,
    /// Not heard of.
    Unknown,
}

/// A container of a pod.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ContainerView {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// State.
    pub state: State,
    /// `Running`, `ContainerCreating`, `Completed`, …
    pub reason: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Restarts.
    pub restarts: i64,
}

/// One object, as stages and lists show it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ObjectView {
    /// Its name.
    pub id: Id,
    /// Kind.
    pub kind: String,
    /// uid.
    pub uid: String,
    /// Seconds since 1970 when it was created.
    pub created_s: i64,
    /// State.
    pub state: State,
    /// The word for the state: `Running`, `CrashLoopBackOff`, `Ready`, `2/3 ready`, …
    pub status: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// uid of its controller, "" if it has none.
    pub owner: String,
    /// Node of a pod.
    pub node: String,
    /// Address of a pod, node or service.
    pub ip: String,
    /// Pod: ready and all containers. Workloads: ready and wanted replicas.
    pub ready: (i64, i64),
    /// Containers of a pod.
    pub containers: Vec<ContainerView>,
    /// Selector of a service or workload as labels.
    pub selector: Vec<(String, String)>,
    /// More to show, as name and value: ports, images, roles, …
    pub facts: Vec<(String, String)>,
}

/// An Event, for the timeline.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct EventView {
    /// When it was last seen.
    pub at: Instant,
    /// `Normal` or `Warning`.
    pub kind: String,
    /// Reason.
    pub reason: String,
    /// Whom it concerns, `Pod/x`.
    pub object: String,
    /// Namespace.
    pub namespace: String,
    /// Message.
    pub message: String,
    /// Who says so.
    pub source: String,
    /// How often.
    pub count: i64,
    /// Name of the Event object; the same name again is an update.
    pub name: String,
}

/// What changed since the page last looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Virtual time.
    pub now: Instant,
    /// Civil time of the epoch, seconds since 1970.
    pub epoch_s: i64,
    /// Store revision up to which this goes; ask again from here.
    pub revision: u64,
    /// Whether everything is sent anew: forget what you have.
    pub full: bool,
    /// New and changed objects.
    pub changed: Vec<ObjectView>,
    /// Objects that are gone.
    pub gone: Vec<Id>,
    /// New and updated Events.
    pub events: Vec<EventView>,
    /// Digest of the whole history.
    pub history: String,
    /// Events run so far.
    pub event_count: u64,
}

/// A record of the causal trace.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct CauseView {
    /// Number.
    pub id: u64,
    /// When.
    pub at: Instant,
    /// Who.
    pub actor: String,
    /// `command`, `request`, `commit`, `packet`, …
    pub kind: String,
    /// About what.
    pub subject: String,
    /// In words.
    pub text: String,
}

/// A scheduling verdict, a row a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct VerdictView {
    /// When.
    pub at: Instant,
    /// Chosen node, "" if none.
    pub chosen: String,
    /// The message where none fits.
    pub message: String,
    /// Node, plugin and reason that ruled it out (or ""), scores by plugin, total.
    pub nodes: Vec<(String, String, Vec<(String, i64)>, i64)>,
}

/// Everything that the inspector shows of one object.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Detail {
    /// The object.
    pub id: Id,
    /// Whether it is still there.
    pub exists: bool,
    /// Its YAML as `kubectl get -o yaml` prints it.
    pub yaml: String,
    /// Events about it.
    pub events: Vec<EventView>,
    /// What led to its last change, nearest first.
    pub causes: Vec<CauseView>,
    /// The scheduler's last verdict, for pods.
    pub verdict: Option<VerdictView>,
}

fn pairs(v: &Value) -> Vec<(String, String)> {
    v.entries().map(|(k, v)| (k.as_str().to_owned(), v.text().to_owned())).collect()
}

/// The name of an object of a resource.
pub fn id_of(r: &Resource, v: &Value) -> Id {
    Id { resource: r.qualified(), namespace: v.namespace().into(), name: v.name().into() }
}

fn created_s(v: &Value) -> i64 {
    sim::Civil::parse(v.at(&["metadata", "creationTimestamp"]).text()).map_or(0, |c| c.unix())
}

/// Reads an object for display.
pub fn object_view(r: &Resource, v: &Value) -> ObjectView {
    let mut o = ObjectView {
        id: id_of(r, v),
        kind: r.kind.to_string(),
        uid: v.uid().into(),
        created_s: created_s(v),
        labels: pairs(v.labels()),
        owner: v.controller_ref().get("uid").text().into(),
        ..ObjectView::default()
    };
    match r.kind.as_str() {
        "Pod" => pod_view(&mut o, v),
        "Node" => node_view(&mut o, v),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController" => workload_view(&mut o, v),
        "DaemonSet" => {
            let s = v.get("status");
            o.ready = (s.get("numberReady").int(), s.get("desiredNumberScheduled").int());
            ready_state(&mut o);
        }
        "Service" => {
            let s = v.get("spec");
            o.ip = s.get("clusterIP").text().into();
            o.selector = pairs(s.get("selector"));
            o.status = s.get("type").text().into();
            o.facts.push(("ports".into(), api::kinds::service_ports(s.get("ports"))));
        }
        "EndpointSlice" => {
            let ready =
                v.get("endpoints").items().filter(|e| e.at(&["conditions", "ready"]).is_true()).count();
            o.ready = (ready as i64, v.get("endpoints").len() as i64);
        }
        "Namespace" | "PersistentVolume" | "PersistentVolumeClaim" => {
            o.status = v.at(&["status", "phase"]).text().into();
            o.state = match o.status.as_str() {
                "Active" | "Bound" | "Available" => State::Running,
                "Pending" => State::Pending,
                "Terminating" => State::Terminating,
                "" => State::None,
                _ => State::Failed,
            };
        }
        "Job" => {
            let s = v.get("status");
            o.ready = (s.get("succeeded").int(), v.at(&["spec", "completions"]).int());
            ready_state(&mut o);
        }
        _ => {}
    }
    if v.is_terminating() && r.kind != "Pod" {
        o.state = State::Terminating;
        o.status = "Terminating".into();
    }
    o
}

fn ready_state(o: &mut ObjectView) {
    o.status = format!("{}/{} ready", o.ready.0, o.ready.1);
    o.state = if o.ready.0 >= o.ready.1 { State::Running } else { State::Pending };
}

fn workload_view(o: &mut ObjectView, v: &Value) {
    o.ready = (v.at(&["status", "readyReplicas"]).int(), v.at(&["spec", "replicas"]).int());
    ready_state(o);
    let selector = v.at(&["spec", "selector"]);
    o.selector =
        pairs(if selector.get("matchLabels").is_some() { selector.get("matchLabels") } else { selector });
    let (_, images) = api::kinds::containers_and_images(v.at(&["spec", "template", "spec"]));
    o.facts.push(("images".into(), images.text().into()));
    let revision = v.annotations().get("deployment.kubernetes.io/revision").text();
    if !revision.is_empty() {
        o.facts.push(("revision".into(), revision.into()));
    }
    let failed = v.condition("ReplicaFailure").get("status").text() == "True"
        || v.condition("Progressing").get("status").text() == "False";
    if failed {
        o.state = State::Failed;
    }
}

fn pod_view(o: &mut ObjectView, v: &Value) {
    let s = pod::summary(v);
    o.node = v.at(&["spec", "nodeName"]).text().into();
    o.ip = v.at(&["status", "podIP"]).text().into();
    o.ready = (s.ready as i64, s.total as i64);
    o.state = match s.reason.as_str() {
        "Terminating" => State::Terminating,
        "Running" if s.ready == s.total => State::Running,
        "Running" | "Pending" | "ContainerCreating" | "PodInitializing" | "NotReady" | "SchedulingGated" => {
            State::Pending
        }
        "Succeeded" | "Completed" => State::None,
        "Unknown" => State::Unknown,
        r if r.starts_with("Init:") && !r.contains("Error") && !r.contains("Back") => State::Pending,
        _ => State::Failed,
    };
    if v.is_terminating() {
        o.state = State::Terminating;
    }
    o.status = s.reason;
    o.facts.push(("restarts".into(), s.restarts.to_string()));
    for c in v.at(&["spec", "containers"]).items() {
        let name = c.get("name").text();
        let status = v.at(&["status", "containerStatuses"]).items().find(|x| x.get("name").text() == name);
        let status = status.unwrap_or(Value::null());
        let (kind, body) =
            status.get("state").entries().next().map_or(("", Value::null()), |(k, v)| (k.as_str(), v));
        let (state, reason) = match kind {
            "running" if status.get("ready").is_true() => (State::Running, "Running"),
            "running" => (State::Pending, "Running, not ready"),
            "terminated" if body.get("exitCode").int() == 0 => (State::None, body.get("reason").text()),
            "terminated" => (State::Failed, body.get("reason").text()),
            "waiting"
                if body.get("reason").text().contains("Back")
                    || body.get("reason").text().contains("Err") =>
            {
                (State::Failed, body.get("reason").text())
            }
            "waiting" => (State::Pending, body.get("reason").text()),
            _ => (State::Pending, "Waiting"),
        };
        o.containers.push(ContainerView {
            name: name.into(),
            image: c.get("image").text().into(),
            state,
            reason: reason.into(),
            ready: status.get("ready").is_true(),
            restarts: status.get("restartCount").int(),
        });
    }
}

fn node_view(o: &mut ObjectView, v: &Value) {
    let ready = v.condition("Ready").get("status").text();
    (o.state, o.status) = match ready {
        "True" => (State::Running, "Ready".into()),
        "Unknown" => (State::Unknown, "NotReady".into()),
        _ => (State::Failed, "NotReady".into()),
    };
    if v.at(&["spec", "unschedulable"]).is_true() {
        o.status += ",SchedulingDisabled";
    }
    let ip = v.at(&["status", "addresses"]).items().find(|a| a.get("type").text() == "InternalIP");
    o.ip = ip.map_or("", |a| a.get("address").text()).into();
    let c = v.at(&["status", "capacity"]);
    for k in ["cpu", "memory", "pods"] {
        o.facts.push((k.into(), c.get(k).text().into()));
    }
    o.facts.push(("roles".into(), api::kinds::node_roles(v).join(",")));
    let taints: Vec<String> = v
        .at(&["spec", "taints"])
        .items()
        .map(|t| format!("{}:{}", t.get("key").text(), t.get("effect").text()))
        .collect();
    if !taints.is_empty() {
        o.facts.push(("taints".into(), taints.join(", ")));
    }
}

impl World {
    fn event_view(&self, v: &Value) -> EventView {
        let time = [v.at(&["series", "lastObservedTime"]), v.get("lastTimestamp"), v.get("eventTime")];
        let time = time.iter().find(|t| t.is_some()).map_or("", |t| t.text());
        let epoch = self.api().settings.epoch;
        let at = sim::Civil::parse(time).and_then(|c| epoch.instant(&c)).unwrap_or(self.now());
        let about = v.get("involvedObject");
        let source = match v.at(&["source", "component"]).text() {
            "" => v.get("reportingComponent").text(),
            s => s,
        };
        EventView {
            at,
            kind: v.get("type").text().into(),
            reason: v.get("reason").text().into(),
            object: format!("{}/{}", about.get("kind").text(), about.get("name").text()),
            namespace: v.namespace().into(),
            message: v.get("message").text().into(),
            source: source.into(),
            count: v.at(&["series", "count"]).as_int().unwrap_or(v.get("count").int().max(1)),
            name: v.name().into(),
        }
    }

    /// What changed after a store revision; everything if that is too long ago, or 0.
    pub fn delta(&self, since: u64) -> Delta {
        let api = self.api();
        let mut d = Delta {
            now: self.now(),
            epoch_s: api.settings.epoch.0,
            revision: api.store.revision(),
            full: since == 0,
            history: self.history().to_string(),
            event_count: self.event_count(),
            ..Delta::default()
        };
        let shown: Vec<_> = api
            .registry
            .iter()
            .filter(|r| {
                r.storage == r.id
                    && !matches!(r.kind.as_str(), "Lease" | "ClusterRole" | "ClusterRoleBinding")
            })
            .cloned()
            .collect();
        d.full |= shown.iter().any(|r| api.store.changes(r.id, since).is_none());
        for r in &shown {
            if d.full {
                for (_, v) in api.store.list(r.id, None, None) {
                    self.show(&mut d, r, v);
                }
            } else if let Some(changes) = api.store.changes(r.id, since) {
                for c in changes {
                    match c.kind {
                        ChangeKind::Deleted if r.kind == "Event" => {}
                        ChangeKind::Deleted => {
                            let id = id_of(r, &c.object);
                            d.changed.retain(|o| o.id != id);
                            d.gone.push(id);
                        }
                        _ => self.show(&mut d, r, &c.object),
                    }
                }
            }
        }
        d
    }

    fn show(&self, d: &mut Delta, r: &Resource, v: &Value) {
        if r.kind == "Event" {
            d.events.push(self.event_view(v));
            return;
        }
        let o = object_view(r, v);
        d.gone.retain(|id| *id != o.id);
        match d.changed.iter_mut().find(|x| x.id == o.id) {
            Some(x) => *x = o,
            None => d.changed.push(o),
        }
    }

    fn cause_view(r: &sim::Record) -> CauseView {
        CauseView {
            id: r.id.0,
            at: r.at,
            actor: r.actor.to_string(),
            kind: r.kind.to_string(),
            subject: r.subject.to_string(),
            text: r.text.to_string(),
        }
    }

    /// Everything about one object.
    pub fn detail(&self, id: &Id) -> Detail {
        let api = self.api();
        let mut d = Detail { id: id.clone(), ..Detail::default() };
        let Some(r) = api.registry.iter().find(|r| r.qualified() == id.resource) else { return d };
        let Some(v) = api.store.get(r.storage, &id.namespace, &id.name) else { return d };
        d.exists = true;
        let mut shown = v.clone();
        shown.remove(&["metadata", "managedFields"]);
        d.yaml = yaml::emit(&shown);
        if let Some(events) = api.resource("", "events") {
            let mine = |e: &&Value| e.at(&["involvedObject", "uid"]).text() == v.uid() && !v.uid().is_empty();
            d.events = api
                .store
                .list(events, None, None)
                .map(|(_, e)| e)
                .filter(mine)
                .map(|e| self.event_view(e))
                .collect();
            d.events.sort_by_key(|e| e.at);
        }
        let last = api.store.changes(r.storage, api.store.compacted(r.storage)).into_iter().flatten();
        let cause = last.filter(|c| c.object.uid() == v.uid()).last().map_or(Cause::NONE, |c| c.cause);
        d.causes = api.trace.chain(cause).take(32).map(Self::cause_view).collect();
        if r.kind == "Pod" {
            d.verdict = self.verdict(&id.namespace, &id.name);
        }
        d
    }

    fn verdict(&self, namespace: &str, name: &str) -> Option<VerdictView> {
        let (at, v) =
            self.scheduler().verdicts().rev().find(|(_, v)| v.pod.0 == namespace && v.pod.1 == name)?;
        let nodes = v
            .nodes
            .iter()
            .map(|n| {
                let why = n
                    .rejected
                    .as_ref()
                    .map_or(String::new(), |(p, r)| format!("{p}: {}", r.text.replace('\u{1f}', ", ")));
                let scores = n.scores.iter().map(|(p, s)| ((*p).to_owned(), *s)).collect();
                (n.node.to_string(), why, scores, n.total)
            })
            .collect();
        let message = if v.chosen.is_empty() { v.message() } else { String::new() };
        Some(VerdictView { at: *at, chosen: v.chosen.to_string(), message, nodes })
    }
}

/// A hop of a packet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct HopView {
    /// Network namespace.
    pub namespace: String,
    /// Where in it.
    pub place: String,
    /// What happened.
    pub text: String,
    /// What was rewritten, "" if nothing.
    pub rewrite: String,
    /// Whether the packet ended here.
    pub dropped: bool,
}

/// A traced packet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PacketView {
    /// Number.
    pub id: u64,
    /// Packets of one connection share this.
    pub flow: u64,
    /// When it was sent.
    pub at: Instant,
    /// The packet in tcpdump's words.
    pub title: String,
    /// `delivered`, or why not.
    pub verdict: String,
    /// Its way.
    pub hops: Vec<HopView>,
}

impl World {
    /// What the API server would say of a manifest, as paths and messages; empty if it would take it.
    pub fn check_manifest(&self, v: &Value) -> Vec<(String, String)> {
        let mut api = self.api().clone();
        api.check(self.now(), v)
    }
}

impl World {
    /// Traced packets, newest first.
    pub fn packets(&self) -> Vec<PacketView> {
        self.net().traces().rev().map(|t| packet_view(&t)).collect()
    }
}

/// A pod's network namespace is named after its namespace, name and uid.
fn namespace_title(name: &str) -> String {
    let parts: Vec<&str> = name.split('_').collect();
    match parts[..] {
        [ns, pod, _] => format!("pod {ns}/{pod}"),
        _ => name.to_owned(),
    }
}

fn packet_view(t: &net::PacketTrace) -> PacketView {
    let hops = t.hops.iter().map(|h| {
        let mut place: Vec<&str> = h.device.iter().map(|d| d.as_str()).collect();
        place.extend(h.table.iter().map(|t| t.name()));
        place.extend(h.chain.iter().map(|c| c.as_str()));
        HopView {
            namespace: namespace_title(&h.namespace),
            place: place.join(" "),
            text: h.text.clone(),
            rewrite: h
                .rewrite
                .as_ref()
                .map_or_else(String::new, |r| format!("{} {} → {}", r.field, r.from, r.to)),
            dropped: h.cause.is_some(),
        }
    });
    PacketView {
        id: t.id,
        flow: t.flow.0,
        at: Instant::from_nanos(t.at_ns),
        title: t.packet.clone(),
        verdict: match (&t.drop, t.delivered) {
            (Some(d), _) => d.to_string(),
            (None, true) => "delivered".into(),
            (None, false) => "under way".into(),
        },
        hops: hops.collect(),
    }
}
