//! The kubelet: makes the containers of a node what the API says they should be, and reports.
//!
//! Models: `pkg/kubelet`: one worker a pod, events and conditions in its order and words, restarts with back-off,
//! probes, termination with grace. Everything takes time: sandboxes, pulls and starts are events in the loop.

mod env;
mod images;
mod node;
mod probe;
mod status;
mod volumes;
mod worker;

use crate::network::SocketTable;
use crate::runtime::{Runtime, Wires};
use api::{SmolStr, Value, obj};
use apiserver::client::Latency;
use apiserver::{ApiServer, ChangeKind, Client, Identity, Recorder, ResId, Watch};
use net::{Net, NsId};
use sim::persistent::OrdMap;
use sim::{Cause, Duration, Instant, Seed, Stream};
use std::net::IpAddr;
use std::sync::Arc;
use worker::Worker;

/// How often a kubelet renews its lease. Models: a quarter of `leaseDurationSeconds`.
const LEASE_PERIOD: Duration = Duration::from_secs(10);
/// How often it posts its whole status though nothing changed. Models: `nodeStatusReportFrequency`.
const STATUS_PERIOD: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pods: ResId,
    nodes: ResId,
    leases: ResId,
    services: ResId,
    config_maps: ResId,
    secrets: ResId,
    accounts: ResId,
    claims: ResId,
    volumes: ResId,
}

/// A node's kubelet with its runtime. A clone shares what it can.
#[derive(Clone, Debug)]
pub struct Kubelet {
    /// The node's name.
    pub name: SmolStr,
    /// The node's network namespace.
    pub ns: NsId,
    /// The node's address.
    pub ip: IpAddr,
    /// Containers.
    pub runtime: Runtime,
    /// Whether it reaches the API server; without it, containers run on as they are.
    pub online: bool,
    control_plane: bool,
    pod_cidr: SmolStr,
    ids: Ids,
    identity: Identity,
    recorder: Recorder,
    chance: Stream,
    watch: Watch,
    services: Watch,
    service_cache: OrdMap<(SmolStr, SmolStr), Value>,
    workers: OrdMap<SmolStr, Arc<Worker>>,
    /// Images that are here, with their sizes in bytes.
    images: OrdMap<SmolStr, i64>,
    /// File systems of persistent volumes, which outlive their pods.
    persistent: OrdMap<SmolStr, crate::runtime::Volume>,
    lease_at: Instant,
    status_at: Instant,
    registered: bool,
}

/// What a kubelet works with in one turn.
pub(crate) struct Cx<'a, 'b> {
    pub client: Client<'a>,
    pub wires: &'a mut Wires<'b>,
    pub recorder: &'a mut Recorder,
    pub ids: &'a Ids,
    pub services: &'a OrdMap<(SmolStr, SmolStr), Value>,
    pub images: &'a mut OrdMap<SmolStr, i64>,
    pub persistent: &'a mut OrdMap<SmolStr, crate::runtime::Volume>,
    pub node: &'a str,
    pub ns: NsId,
    pub ip: IpAddr,
}

impl Cx<'_, '_> {
    pub(crate) fn now(&self) -> Instant {
        self.client.now
    }

    pub(crate) fn event(&mut self, about: &Value, path: &str, kind: &str, reason: &str, message: &str) {
        self.recorder.record_at(&mut self.client, about, path, kind, reason, message);
    }

    pub(crate) fn between(&mut self, lo_ms: u64, hi_ms: u64) -> Duration {
        self.client.chance.between(Duration::from_millis(lo_ms), Duration::from_millis(hi_ms))
    }
}

/// Where and what a node is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Name.
    pub name: SmolStr,
    /// Network namespace.
    pub ns: NsId,
    /// Address.
    pub ip: IpAddr,
    /// Network of its pods, `10.244.1.0/24`.
    pub pod_cidr: SmolStr,
    /// Whether it carries the control plane.
    pub control_plane: bool,
}

impl Kubelet {
    /// A kubelet that has not registered yet.
    pub fn new(seed: Seed, api: &ApiServer, place: Place, runtime: Runtime, preloaded: &[&str]) -> Kubelet {
        let id = |g: &str, p: &str| api.resource(g, p).unwrap_or(ResId(u16::MAX));
        let ids = Ids {
            pods: id("", "pods"),
            nodes: id("", "nodes"),
            leases: id("coordination.k8s.io", "leases"),
            services: id("", "services"),
            config_maps: id("", "configmaps"),
            secrets: id("", "secrets"),
            accounts: id("", "serviceaccounts"),
            claims: id("", "persistentvolumeclaims"),
            volumes: id("", "persistentvolumes"),
        };
        let mut watch = Watch::new(ids.pods, 0);
        // A selector that always parses: names are DNS labels.
        watch.fields =
            api::selector::FieldSelector::parse(&format!("spec.nodeName={}", place.name)).unwrap_or_default();
        watch.revision = api.store.revision();
        watch.initial = api
            .store
            .list(ids.pods, None, None)
            .map(|(_, v)| v)
            .filter(|v| v.at(&["spec", "nodeName"]).text() == place.name)
            .cloned()
            .collect();
        let mut services = Watch::new(ids.services, api.store.revision());
        services.initial = api.store.list(ids.services, None, None).map(|(_, v)| v.clone()).collect();
        let user = format!("system:node:{}", place.name);
        let images = preloaded.iter().map(|i| (SmolStr::from(*i), images::size_of(i))).collect();
        Kubelet {
            runtime,
            online: true,
            control_plane: place.control_plane,
            pod_cidr: place.pod_cidr,
            ids,
            identity: Identity::component(&user, &["system:nodes"]),
            recorder: Recorder::on_host("kubelet", &place.name, seed),
            chance: seed.stream(&format!("kubelet/{}", place.name)),
            watch,
            services,
            service_cache: OrdMap::new(),
            workers: OrdMap::new(),
            images,
            persistent: OrdMap::new(),
            lease_at: Instant::ZERO,
            status_at: Instant::ZERO,
            registered: false,
            name: place.name,
            ns: place.ns,
            ip: place.ip,
        }
    }

    /// The resources watched.
    pub fn watches(&self) -> [ResId; 2] {
        [self.ids.pods, self.ids.services]
    }

    /// Takes what watches and processes brought and moves every pod on. Gives when it wants to run again.
    pub fn run(
        &mut self,
        now: Instant,
        api: &mut ApiServer,
        net: &mut Net,
        sockets: &mut SocketTable,
    ) -> Option<Instant> {
        if !self.online {
            let more =
                self.runtime.run(now, &mut Wires { net, sockets, cause: Cause::NONE }) | self.ended(now);
            return if more { Some(now) } else { self.runtime.kernel.next_at() };
        }
        self.heartbeat(now, api);
        self.take_services(now, api);
        self.take_pods(now, api);
        let mut wires = Wires { net, sockets, cause: Cause::NONE };
        let mut more = self.runtime.run(now, &mut wires);
        self.ended(now);
        self.sync_all(now, api, &mut wires);
        // What a sync started runs at this very instant.
        more |= self.runtime.run(now, &mut wires);
        more |= self.ended(now);
        let mut next = self.runtime.kernel.next_at();
        let mut sooner = |t: Instant| next = Some(next.map_or(t, |n: Instant| n.min(t)));
        if more {
            sooner(now);
        }
        sooner(self.lease_at);
        for w in self.workers.values() {
            if let Some(t) = w.due {
                sooner(t);
            }
        }
        for t in [api.next_commit(&self.watch), api.next_commit(&self.services)].into_iter().flatten() {
            sooner(t);
        }
        next
    }

    fn client<'a>(&'a mut self, now: Instant, api: &'a mut ApiServer, cause: Cause) -> Client<'a> {
        Client {
            api,
            identity: &self.identity,
            now,
            cause,
            chance: &mut self.chance,
            latency: Latency::DEFAULT,
            batch: None,
        }
    }

    fn heartbeat(&mut self, now: Instant, api: &mut ApiServer) {
        if self.lease_at > now {
            return;
        }
        self.lease_at = now + LEASE_PERIOD;
        let (leases, name, registered) = (self.ids.leases, self.name.clone(), self.registered);
        let object = node::object(
            &self.name,
            self.ip,
            &self.pod_cidr,
            self.control_plane,
            &self.images,
            &api.timestamp(now),
        );
        let nodes = self.ids.nodes;
        let full = self.status_at <= now || node::lost(api, nodes, &name);
        let mut c = self.client(now, api, Cause::NONE);
        if !registered {
            // A node that is there already is only reported on.
            let _ = c.create(nodes, "", object.clone());
        }
        if full {
            let patch = obj!({"status": object.get("status")});
            let _ = c.patch(nodes, "status", "", &name, apiserver::Patch::Strategic, patch);
        }
        let spec =
            obj!({"holderIdentity": &name, "leaseDurationSeconds": 40, "renewTime": c.timestamp_micro()});
        if c.merge(leases, "", "kube-node-lease", &name, obj!({"spec": spec.clone()})).is_err() {
            let lease = obj!({"metadata": {"name": &name, "namespace": "kube-node-lease"}, "spec": spec});
            let _ = c.create(leases, "kube-node-lease", lease);
        }
        if full {
            self.status_at = now + STATUS_PERIOD;
        }
        if !registered {
            self.registered = true;
            let identity = self.identity.clone();
            let mut c = Client {
                api,
                identity: &identity,
                now,
                cause: Cause::NONE,
                chance: &mut self.chance,
                latency: Latency::DEFAULT,
                batch: None,
            };
            let about =
                obj!({"kind": "Node", "apiVersion": "", "metadata": {"name": &self.name, "uid": &self.name}});
            let m = format!("Node {} status is now: NodeReady", self.name);
            self.recorder.record(&mut c, &about, "Normal", "Starting", "Starting kubelet.");
            self.recorder.record(&mut c, &about, "Normal", "NodeReady", &m);
        }
    }

    fn take_services(&mut self, now: Instant, api: &ApiServer) {
        for e in api.poll(&mut self.services, now).unwrap_or_default() {
            let key = (e.object.namespace().into(), e.object.name().into());
            match e.kind {
                ChangeKind::Deleted => self.service_cache.remove(&key),
                _ => self.service_cache.insert(key, e.object),
            };
        }
    }

    fn take_pods(&mut self, now: Instant, api: &ApiServer) {
        for e in api.poll(&mut self.watch, now).unwrap_or_default() {
            let uid: SmolStr = e.object.uid().into();
            if e.kind == ChangeKind::Deleted {
                if let Some(w) = self.workers.get_mut(&uid) {
                    Arc::make_mut(w).gone(now);
                }
                continue;
            }
            match self.workers.get_mut(&uid) {
                Some(w) => Arc::make_mut(w).update(&e.object, e.cause, now),
                None => {
                    let finished = matches!(e.object.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
                    if !finished || e.object.is_terminating() {
                        self.workers.insert(uid, Arc::new(Worker::new(&e.object, e.cause, now)));
                    }
                }
            }
        }
    }

    /// Tells workers of processes that ended; whether there were any.
    fn ended(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(e) = self.runtime.kernel.take_ended() {
            any = true;
            let n = self.runtime.container_of(e.pid);
            let uid = self.workers.iter().find(|(_, w)| w.owns(n, e.pid)).map(|(u, _)| u.clone());
            if let Some(w) = uid.and_then(|u| self.workers.get_mut(&u)) {
                Arc::make_mut(w).process_ended(n, e, now);
            } else {
                self.runtime.ended_elsewhere(e);
            }
        }
        any
    }

    fn sync_all(&mut self, now: Instant, api: &mut ApiServer, wires: &mut Wires<'_>) {
        let due: Vec<SmolStr> = self
            .workers
            .iter()
            .filter(|(_, w)| w.due.is_some_and(|t| t <= now) || w.probing())
            .map(|(u, _)| u.clone())
            .collect();
        for uid in due {
            let Some(w) = self.workers.get(&uid) else { continue };
            let mut worker = (**w).clone();
            wires.cause = worker.cause;
            let mut cx = Cx {
                client: Client {
                    api,
                    identity: &self.identity,
                    now,
                    cause: worker.cause,
                    chance: &mut self.chance,
                    latency: Latency::DEFAULT,
                    batch: None,
                },
                wires: &mut Wires { net: wires.net, sockets: wires.sockets, cause: worker.cause },
                recorder: &mut self.recorder,
                ids: &self.ids,
                services: &self.service_cache,
                images: &mut self.images,
                persistent: &mut self.persistent,
                node: &self.name,
                ns: self.ns,
                ip: self.ip,
            };
            if worker.sync(&mut cx, &mut self.runtime) {
                self.workers.insert(uid, Arc::new(worker));
            } else {
                self.workers.remove(&uid);
            }
        }
    }

    /// The runtime's number of a running container of a pod; "" names the only or first one.
    ///
    /// # Errors
    /// The kubelet's words: `container not found ("x")`.
    pub fn running(&self, uid: &str, container: &str) -> Result<u64, String> {
        let found = self.workers.get(uid).and_then(|w| w.running(container));
        found.ok_or_else(|| format!("container not found (\"{container}\")"))
    }

    /// The network namespace of a pod's sandbox.
    pub fn network_of(&self, uid: &str) -> Option<NsId> {
        self.workers.get(uid)?.network()
    }

    /// The log of a container, of the run before if `previous`.
    pub fn log(&self, uid: &str, container: &str, previous: bool) -> Option<Arc<crate::runtime::Log>> {
        self.workers.get(uid)?.log(&self.runtime, container, previous)
    }

    /// Power went: everything in memory is gone.
    pub fn power_off(&mut self, net: &mut Net, sockets: &mut SocketTable) {
        let mut wires = Wires { net, sockets, cause: Cause::NONE };
        for (_, w) in self.workers.clone() {
            (*w).clone().abandon(&mut self.runtime, &mut wires);
        }
        self.workers = OrdMap::new();
    }

    /// Power is back: pods are seen anew.
    pub fn power_on(&mut self, api: &ApiServer, now: Instant) {
        self.watch.revision = api.store.revision();
        self.watch.initial = api
            .store
            .list(self.ids.pods, None, None)
            .map(|(_, v)| v)
            .filter(|v| v.at(&["spec", "nodeName"]).text() == self.name)
            .cloned()
            .collect();
        self.lease_at = now;
        self.status_at = now;
        self.online = true;
    }
}
