//! Writes the texts of the built-in kinds' fields, taken from a dependency, into a file that servers load:
//! `cargo run -p gateway --example texts -- FILE`. The format is `apiserver::Texts`'.

#![allow(clippy::print_stderr, clippy::disallowed_macros)]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions as crd;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration as aggregation;
use k8s_openapi::schemars::generate::{SchemaGenerator, SchemaSettings};
use k8s_openapi::{api as k8s, apimachinery::pkg::apis::meta};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Adds types with all that they lead to.
macro_rules! add {
    ($generator:ident, $($module:path { $($kind:ident)* })*) => {$({
        use $module as m;
        $($generator.subschema_for::<m::$kind>();)*
    })*};
}

fn generator() -> SchemaGenerator {
    let mut g = SchemaGenerator::new(SchemaSettings::openapi3());
    add! { g,
        k8s::admissionregistration::v1 {
            MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration
            ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
        }
        k8s::apps::v1 { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
        k8s::authentication::v1 { SelfSubjectReview TokenRequest TokenReview }
        k8s::authorization::v1 {
            LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview
        }
        k8s::autoscaling::v1 { HorizontalPodAutoscaler Scale }
        k8s::autoscaling::v2 { HorizontalPodAutoscaler }
        k8s::batch::v1 { CronJob Job }
        k8s::certificates::v1 { CertificateSigningRequest }
        k8s::coordination::v1 { Lease }
        k8s::core::v1 {
            Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume
            PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
        }
        k8s::discovery::v1 { EndpointSlice }
        k8s::events::v1 { Event }
        k8s::flowcontrol::v1 { FlowSchema PriorityLevelConfiguration }
        k8s::networking::v1 { IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR }
        k8s::node::v1 { RuntimeClass }
        k8s::policy::v1 { Eviction PodDisruptionBudget }
        k8s::rbac::v1 { ClusterRole ClusterRoleBinding Role RoleBinding }
        k8s::resource::v1 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
        k8s::scheduling::v1 { PriorityClass }
        k8s::storage::v1 {
            CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
        }
        crd::v1 { CustomResourceDefinition }
        aggregation::v1 { APIService }
        meta::v1 { Status }
    }
    g
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: texts FILE");
        return ExitCode::from(2);
    };
    // Equal texts are written once.
    let mut texts: Vec<String> = Vec::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut number = |v: &serde_json::Value| -> String {
        let Some(text) = v.get("description").and_then(|d| d.as_str()) else { return String::new() };
        let n = *numbers.entry(text.to_owned()).or_insert_with(|| {
            texts.push(text.replace('\n', "\u{b}"));
            texts.len() - 1
        });
        n.to_string()
    };
    let mut types = String::new();
    let mut definitions: Vec<_> = generator().take_definitions(true).into_iter().collect();
    definitions.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, schema) in &definitions {
        types += &format!("{name}\t{}", number(schema));
        for (field, s) in schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
            types += &format!("\t{field}={}", number(s));
        }
        types.push('\n');
    }
    let whole = format!("{}\n{}\n{types}", texts.len(), texts.join("\n"));
    let packed = apiserver::Texts::pack(&whole);
    match std::fs::write(&path, &packed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("texts: cannot write {path}: {e}");
            ExitCode::FAILURE
        }
    }
}
