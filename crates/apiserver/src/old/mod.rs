//! Book mode: versions of the API that are gone, as books still write them.
//!
//! An old version is one row here and a function that brings its manifest into today's form, with what the defaulting of
//! its time filled in. Objects are stored and shown in today's version; each write says what changed since.

mod convert;
pub(crate) mod psp;

use crate::registry::Registry;
use crate::server::Cx;
use crate::{ApiServer, Resource};
use api::Value;

/// Resources of one old version that changed alike.
pub struct Old {
    group: &'static str,
    version: &'static str,
    plurals: &'static [&'static str],
    /// Today's group and version.
    now: (&'static str, &'static str),
    /// The release that no longer served it.
    gone: &'static str,
    /// Brings a manifest into today's form.
    change: fn(&mut Value),
    /// What to write today besides `apiVersion`.
    how: &'static str,
}

const SELECTOR: &str = "spec.selector must be written out and cannot change later";
const INGRESS: &str =
    "a backend is service.name and service.port.number or .name, and each path has a pathType";
const SAME: &str = "nothing else changed";

macro_rules! old {
    ($group:literal, $version:literal, $plurals:expr, $now:expr, $gone:literal, $change:expr, $how:expr) => {
        Old {
            group: $group,
            version: $version,
            plurals: &$plurals,
            now: $now,
            gone: $gone,
            change: $change,
            how: $how,
        }
    };
}

const APPS: (&str, &str) = ("apps", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");
const ROLES: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];

/// All old versions.
static OLD: &[Old] = &[
    old!("extensions", "v1beta1", ["deployments"], APPS, "v1.16", convert::deployment_extensions, SELECTOR),
    old!("extensions", "v1beta1", ["replicasets"], APPS, "v1.16", convert::selector, SELECTOR),
    old!(
        "extensions",
        "v1beta1",
        ["daemonsets"],
        APPS,
        "v1.16",
        convert::daemonset_extensions,
        "spec.selector must be written out, and updateStrategy is RollingUpdate unless it says OnDelete"
    ),
    old!(
        "extensions",
        "v1beta1",
        ["ingresses"],
        ("networking.k8s.io", "v1"),
        "v1.22",
        convert::ingress,
        INGRESS
    ),
    old!("extensions", "v1beta1", ["networkpolicies"], ("networking.k8s.io", "v1"), "v1.16", |_| {}, SAME),
    old!("apps", "v1beta1", ["deployments"], APPS, "v1.16", convert::deployment_v1beta1, SELECTOR),
    old!(
        "apps",
        "v1beta1",
        ["statefulsets"],
        APPS,
        "v1.16",
        convert::statefulset_v1beta1,
        "spec.selector must be written out, and updateStrategy is RollingUpdate unless it says OnDelete"
    ),
    old!(
        "apps",
        "v1beta2",
        ["deployments", "replicasets", "daemonsets", "statefulsets"],
        APPS,
        "v1.16",
        |_| {},
        SAME
    ),
    old!("apps", "v1beta1", ["controllerrevisions"], APPS, "v1.16", |_| {}, SAME),
    old!("apps", "v1beta2", ["controllerrevisions"], APPS, "v1.16", |_| {}, SAME),
    old!("batch", "v2alpha1", ["cronjobs"], ("batch", "v1"), "v1.21", |_| {}, SAME),
    old!("batch", "v1beta1", ["cronjobs"], ("batch", "v1"), "v1.25", |_| {}, SAME),
    old!(
        "autoscaling",
        "v2beta1",
        ["horizontalpodautoscalers"],
        ("autoscaling", "v2"),
        "v1.25",
        convert::autoscaler,
        "a metric's goal is target.type with target.averageUtilization, .averageValue or .value"
    ),
    old!(
        "autoscaling",
        "v2beta2",
        ["horizontalpodautoscalers"],
        ("autoscaling", "v2"),
        "v1.26",
        convert::autoscaler,
        SAME
    ),
    old!(
        "policy",
        "v1beta1",
        ["poddisruptionbudgets"],
        ("policy", "v1"),
        "v1.25",
        |_| {},
        "an empty selector now matches all pods of the namespace"
    ),
    old!(
        "apiextensions.k8s.io",
        "v1beta1",
        ["customresourcedefinitions"],
        ("apiextensions.k8s.io", "v1"),
        "v1.22",
        convert::definition,
        "spec.versions replaces spec.version, and each version needs schema.openAPIV3Schema"
    ),
    old!(
        "apiregistration.k8s.io",
        "v1beta1",
        ["apiservices"],
        ("apiregistration.k8s.io", "v1"),
        "v1.22",
        |_| {},
        SAME
    ),
    old!("rbac.authorization.k8s.io", "v1beta1", ROLES, RBAC, "v1.22", convert::subjects, SAME),
    old!(
        "rbac.authorization.k8s.io",
        "v1alpha1",
        ROLES,
        RBAC,
        "v1.22",
        convert::subjects,
        "a subject has apiGroup instead of apiVersion"
    ),
    old!(
        "storage.k8s.io",
        "v1beta1",
        ["storageclasses", "volumeattachments", "csidrivers", "csinodes"],
        ("storage.k8s.io", "v1"),
        "v1.22",
        |_| {},
        SAME
    ),
    old!(
        "networking.k8s.io",
        "v1beta1",
        ["ingresses"],
        ("networking.k8s.io", "v1"),
        "v1.22",
        convert::ingress,
        INGRESS
    ),
    old!(
        "networking.k8s.io",
        "v1beta1",
        ["ingressclasses"],
        ("networking.k8s.io", "v1"),
        "v1.22",
        |_| {},
        SAME
    ),
    old!(
        "scheduling.k8s.io",
        "v1beta1",
        ["priorityclasses"],
        ("scheduling.k8s.io", "v1"),
        "v1.22",
        |_| {},
        SAME
    ),
    old!(
        "scheduling.k8s.io",
        "v1alpha1",
        ["priorityclasses"],
        ("scheduling.k8s.io", "v1"),
        "v1.22",
        |_| {},
        SAME
    ),
];

static POLICY: Old = Old {
    group: "policy",
    version: "v1beta1",
    plurals: &["podsecuritypolicies"],
    now: ("policy", "v1beta1"),
    gone: "v1.25",
    change: |_| {},
    how: "namespaces carry pod-security.kubernetes.io labels instead",
};

impl Old {
    fn warning(&self, kind: &str) -> String {
        let (group, version) = (self.group, self.version);
        if kind == "PodSecurityPolicy" {
            return format!("{group}/{version} {kind} was removed in {}; {}", self.gone, self.how);
        }
        let (now, v) = self.now;
        format!("{group}/{version} {kind} was removed in {}; write {now}/{v} today: {}", self.gone, self.how)
    }
}

impl Registry {
    /// Serves the old versions too.
    pub(crate) fn serve_old(&mut self) {
        let policy = psp::resource(self.next_id(), &POLICY);
        let own = policy.id;
        self.push(policy.clone());
        let id = self.next_id();
        self.push(Resource { id, storage: own, group: "extensions".into(), short: Vec::new(), ..policy });
        for old in OLD {
            for plural in old.plurals {
                let Some(target) = self.find(old.now.0, old.now.1, plural).cloned() else { continue };
                let alias = Resource {
                    id: self.next_id(),
                    storage: target.id,
                    group: old.group.into(),
                    version: old.version.into(),
                    // `kubectl get all` shows each object once.
                    categories: Vec::new(),
                    short: Vec::new(),
                    old: Some(old),
                    ..(*target).clone()
                };
                self.push(alias);
            }
        }
    }
}

impl ApiServer {
    /// Brings an object sent in an old version into today's form.
    pub(crate) fn modernise(&self, cx: &mut Cx, r: &Resource, v: &mut Value) {
        let Some(old) = r.old else { return };
        (old.change)(v);
        v.insert("apiVersion", r.api_version());
        let m = old.warning(&r.kind);
        if !cx.warnings.contains(&m) {
            cx.warnings.push(m);
        }
    }
}

#[cfg(test)]
mod tests;
