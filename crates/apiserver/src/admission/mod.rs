//! Admission: what may be, and what is changed on the way. One file a plugin, in upstream's order.

mod certificates;
mod escalation;
mod lifecycle;
mod limitranger;
mod node;
mod optional;
mod podsecurity;
mod policy;
mod priority;
pub mod quota;
mod runtimeclass;
mod serviceaccount;
mod storage;
mod tolerations;
mod topology;

use crate::server::Cx;
use crate::{ApiServer, Op, Resource, Status};
use api::Value;

/// A write on its way to the store.
pub struct Attempt<'a> {
    /// The operation.
    pub op: &'a Op,
    /// The resource, in the version that is stored.
    pub r: &'a Resource,
    /// The object before, null on create.
    pub old: Value,
    /// The object as it will be stored; null on delete.
    pub new: Value,
}

impl Attempt<'_> {
    /// Whether this writes the resource itself (no subresource) of the core group.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.r.group.is_empty() && self.r.kind == kind && self.op.sub.is_empty()
    }

    pub(crate) fn creates(&self, kind: &str) -> bool {
        self.is(kind) && self.old.is_null()
    }
}

type Plugin = fn(&mut ApiServer, &mut Cx, &mut Attempt<'_>) -> Result<(), Status>;
type Check = fn(&mut ApiServer, &mut Cx, &Attempt<'_>) -> Result<(), Status>;

/// Mutating plugins by upstream's names, in upstream's order.
const MUTATING: &[(&str, Plugin)] = &[
    ("NamespaceLifecycle", lifecycle::mutate),
    ("LimitRanger", limitranger::mutate),
    ("ServiceAccount", serviceaccount::mutate),
    ("TaintNodesByCondition", node::taint),
    ("AlwaysPullImages", optional::always_pull),
    ("Priority", priority::mutate),
    ("DefaultTolerationSeconds", tolerations::mutate),
    ("DefaultStorageClass", storage::default_storage),
    ("StorageObjectInUseProtection", storage::protect),
    ("RuntimeClass", runtimeclass::mutate),
    ("DefaultIngressClass", storage::default_ingress),
    ("PodTopologyLabels", topology::mutate),
    ("PodSecurityPolicy", crate::old::psp::admit),
];

/// Validating plugins likewise.
const VALIDATING: &[(&str, Check)] = &[
    ("RBAC escalation", escalation::validate),
    ("NamespaceLifecycle", lifecycle::validate),
    ("LimitRanger", limitranger::validate),
    ("NodeRestriction", node::restrict),
    ("PodSecurity", podsecurity::validate),
    ("OwnerReferencesPermissionEnforcement", optional::owner_references),
    ("PersistentVolumeClaimResize", storage::resize),
    ("CertificateApproval, CertificateSigning, CertificateSubjectRestriction", certificates::validate),
    ("ValidatingAdmissionPolicy", policy::validate),
    ("ResourceQuota", quota::validate),
];

pub(crate) fn mutate(api: &mut ApiServer, cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    MUTATING.iter().try_for_each(|(_, p)| p(api, cx, a))
}

pub(crate) fn validate(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    VALIDATING.iter().try_for_each(|(_, p)| p(api, cx, a))
}

/// Names of all plugins, for the fidelity ledger.
pub fn names() -> impl Iterator<Item = &'static str> {
    MUTATING.iter().map(|p| p.0).chain(VALIDATING.iter().map(|p| p.0))
}

#[cfg(test)]
mod tests;
