//! APIServices of the groups that the server serves itself.
//!
//! Models: the autoregistration controller of the aggregation layer.

use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, ResId};
use api::{SmolStr, Value, obj};

/// Groups by the priority that upstream gives them, and the distance between two.
const GROUPS: &[(&str, i64)] = &[
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("extensions", 17_150),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
    ("resource.k8s.io", 15_900),
];

fn priorities(group: &str, version: &str) -> (i64, i64) {
    match GROUPS.iter().find(|(g, _)| *g == group) {
        Some((g, p)) => match (*g, version) {
            ("", _) => (*p, 1),
            ("autoscaling", "v2") => (*p, 30),
            ("flowcontrol.apiserver.k8s.io", _) => (*p, 21),
            (_, v) if v.contains("beta") => (*p, 9),
            (_, v) if v.contains("alpha") => (*p, 1),
            _ => (*p, 15),
        },
        None => (1_000, 100),
    }
}

impl ApiServer {
    fn api_services(&self) -> Option<ResId> {
        self.registry.id("apiregistration.k8s.io", "v1", "apiservices")
    }

    /// Brings the APIServices of this server in line with what it serves.
    pub(crate) fn register_services(&mut self, cx: &mut Cx) {
        let Some(id) = self.api_services() else { return };
        let s = self.registry.get(id).clone();
        let mut served: Vec<(SmolStr, SmolStr, bool)> = Vec::new();
        for r in self.registry.iter().filter(|r| r.group != "apiregistration.k8s.io") {
            if !served.iter().any(|(g, v, _)| *g == r.group && *v == r.version) {
                served.push((r.group.clone(), r.version.clone(), r.builtin.is_some()));
            }
        }
        let name = |g: &str, v: &str| SmolStr::from(format!("{v}.{g}"));
        let gone: Vec<Name> = self
            .store
            .list(id, None, None)
            .filter(|(_, o)| !o.labels().get("kube-aggregator.kubernetes.io/automanaged").text().is_empty())
            .map(|(k, _)| k.clone())
            .filter(|(_, n)| !served.iter().any(|(g, v, _)| name(g, v) == *n))
            .collect();
        for k in gone {
            let _ = self.uncommit(cx, &s, &k);
        }
        for (group, version, builtin) in served {
            let name = name(&group, &version);
            if self.store.get(id, "", &name).is_some() {
                continue;
            }
            let (uid, now) = (self.chance.uuid(), self.timestamp(cx.now));
            let (minimum, priority) = priorities(&group, &version);
            let v: Value = obj!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {
                    "name": &name, "uid": uid, "creationTimestamp": now.as_str(),
                    "labels": {
                        "kube-aggregator.kubernetes.io/automanaged": if builtin { "onstart" } else { "true" }
                    }
                },
                "spec": {
                    "group": &group, "version": &version, "groupPriorityMinimum": minimum, "versionPriority": priority
                },
                "status": {"conditions": [{
                    "type": "Available", "status": "True", "lastTransitionTime": now.as_str(), "reason": "Local",
                    "message": "Local APIServices are always available"
                }]}
            });
            self.commit(cx, &s, (SmolStr::default(), name), v);
        }
    }
}
