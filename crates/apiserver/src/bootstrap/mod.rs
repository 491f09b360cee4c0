//! What a new cluster holds before anyone asks: namespaces, default roles, the `kubernetes` Service.
//!
//! `data/rbac.json` is what a v1.36 API server creates by itself.

mod flow;
mod services;

use crate::server::Cx;
use crate::{ApiServer, Op, Options, Verb};
use api::{SmolStr, Value, obj};
use sim::{Cause, Instant};

const RBAC: &str = include_str!("../../data/rbac.json");

/// Controllers that act under an account of their own. Models: `--use-service-account-credentials`.
const CONTROLLERS: &[&str] = &[
    "attachdetach-controller",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "service-cidrs-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// A request of the server itself.
fn server_cx(now: Instant) -> Cx {
    Cx {
        now,
        cause: Cause::NONE,
        user: crate::auth::User::new("system:apiserver", &["system:masters"]),
        agent: "kube-apiserver".into(),
        warnings: Vec::new(),
    }
}

impl ApiServer {
    /// Creates what every cluster has. Models: the API server's post-start hooks.
    pub fn bootstrap(&mut self, now: Instant) {
        for ns in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            self.seed_object(now, "namespaces", "", "v1", obj!({"metadata": {"name": ns}}));
        }
        let (roles, _) = api::parse_json(RBAC).unwrap_or_default();
        for o in roles.items() {
            let plural = format!("{}s", o.kind().to_lowercase());
            self.seed_object(now, &plural, "rbac.authorization.k8s.io", "v1", o.clone());
        }
        for (name, value, text) in [
            (
                "system-cluster-critical",
                2_000_000_000,
                "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
            ),
            (
                "system-node-critical",
                2_000_001_000,
                "Used for system critical pods that must not be moved from their current node.",
            ),
        ] {
            let o = obj!({"metadata": {"name": name}, "value": value, "description": text});
            self.seed_object(now, "priorityclasses", "scheduling.k8s.io", "v1", o);
        }
        self.seed_flow_control(now);
        self.seed_system(now);
        let cidr = self.settings.service_cidr.clone();
        let o = obj!({
            "metadata": {"name": "kubernetes", "finalizers": ["networking.k8s.io/service-cidr-finalizer"]}, "spec": {"cidrs": [cidr]}
        });
        self.seed_object(now, "servicecidrs", "networking.k8s.io", "v1", o);
        let ready = obj!({
            "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
            "lastTransitionTime": self.timestamp(now)
        });
        let status = obj!({"conditions": [ready]});
        self.seed_status(now, "servicecidrs", "networking.k8s.io", "kubernetes", status);
        let first = crate::alloc::usable(&self.settings.service_cidr)
            .map_or_else(String::new, |(f, _)| crate::alloc::ipv4_text(f));
        let o = obj!({
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "clusterIP": first, "type": "ClusterIP", "sessionAffinity": "None",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]
            }
        });
        self.seed_object(now, "services", "", "v1", o);
        if let Some(ip) = self.settings.advertise.clone() {
            self.advertise(now, &ip);
        }
        let mut cx = server_cx(now);
        self.register_services(&mut cx);
    }

    /// Accounts of the controllers, and what the server tells extension servers about itself.
    fn seed_system(&mut self, now: Instant) {
        for c in CONTROLLERS {
            let o = obj!({"metadata": {"name": *c, "namespace": "kube-system"}});
            self.seed_object(now, "serviceaccounts", "", "v1", o);
        }
        let since = self.timestamp(now);
        let since = since.split('T').next().unwrap_or_default();
        let maps = [
            ("extension-apiserver-authentication", obj!({"client-ca-file": crate::CLUSTER_CA})),
            ("kube-apiserver-legacy-service-account-token-tracking", obj!({"since": since})),
        ];
        for (name, data) in maps {
            let o = obj!({"metadata": {"name": name, "namespace": "kube-system"}, "data": data});
            self.seed_object(now, "configmaps", "", "v1", o);
        }
    }

    /// Writes the status of a seeded object.
    fn seed_status(&mut self, now: Instant, plural: &str, group: &str, name: &str, status: Value) {
        let Some(id) = self.registry.id(group, "v1", plural) else { return };
        let s = self.registry.get(id).clone();
        if let Some(mut v) = self.store.get(id, "", name).cloned() {
            v.insert("status", status);
            self.commit(&server_cx(now), &s, (SmolStr::default(), name.into()), v);
        }
    }

    /// Writes the endpoints of the `kubernetes` Service, as the server's own reconciler does.
    fn advertise(&mut self, now: Instant, ip: &SmolStr) {
        let o = obj!({
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}]
        });
        self.seed_object(now, "endpoints", "", "v1", o);
        let o = obj!({
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]
        });
        self.seed_object(now, "endpointslices", "discovery.k8s.io", "v1", o);
    }

    /// Creates an object as the server itself; one that exists already is left alone.
    pub fn seed_object(&mut self, now: Instant, plural: &str, group: &str, version: &str, mut o: Value) {
        let Some(res) = self.registry.id(group, version, plural) else { return };
        let r = self.registry.get(res).clone();
        o.insert("apiVersion", r.api_version());
        o.insert("kind", &r.kind);
        let namespace: SmolStr = o.namespace().into();
        let mut cx = server_cx(now);
        let op = Op {
            verb: Verb::Create,
            res,
            sub: SmolStr::default(),
            namespace,
            name: SmolStr::default(),
            body: o,
            options: Options::default(),
        };
        // What exists already stays; nothing else can go wrong with constants.
        let _ = self.execute(&mut cx, op);
    }
}
