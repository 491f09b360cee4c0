//! The controllers of kube-controller-manager: one folder a controller, over a small runtime.
//!
//! A controller sees the cluster only through watches and changes it only through the API, under its own service
//! account. Handlers only put keys into a queue; `reconcile` does the work for one key.

pub mod certificates;
pub mod clusterroleaggregation;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod endpointslice;
pub mod endpointslicemirroring;
pub mod garbagecollector;
pub mod horizontalpodautoscaler;
pub mod job;
pub mod namespace;
pub mod nodelifecycle;
pub mod persistentvolume;
pub mod podgc;
pub mod pvcprotection;
pub mod pvprotection;
pub mod replicaset;
pub mod resourcequota;
pub mod runtime;
pub mod serviceaccount;
pub mod statefulset;

pub use runtime::Manager;
use runtime::{Controller, Kinds};

/// All controllers, in the order in which the manager starts them. One line a controller.
pub fn all(kinds: &Kinds) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(endpoints::Endpoints::new(kinds)),
        Box::new(endpointslice::EndpointSlices::new(kinds)),
        Box::new(endpointslicemirroring::Mirroring::new(kinds)),
        Box::new(podgc::PodGc::new(kinds)),
        Box::new(garbagecollector::GarbageCollector::new(kinds)),
        Box::new(namespace::Namespaces::new(kinds)),
        Box::new(serviceaccount::ServiceAccounts::new(kinds)),
        Box::new(resourcequota::ResourceQuotas::new(kinds)),
        Box::new(serviceaccount::RootCaPublisher::new(kinds)),
        Box::new(deployment::Deployments::new(kinds)),
        Box::new(replicaset::ReplicaSets::new(kinds)),
        Box::new(replicaset::ReplicaSets::legacy(kinds)),
        Box::new(daemonset::DaemonSets::new(kinds)),
        Box::new(statefulset::StatefulSets::new(kinds)),
        Box::new(job::Jobs::new(kinds)),
        Box::new(cronjob::CronJobs::new(kinds)),
        Box::new(job::TtlAfterFinished::new(kinds)),
        Box::new(persistentvolume::Binder::new(kinds)),
        Box::new(pvcprotection::PvcProtection::new(kinds)),
        Box::new(pvprotection::PvProtection::new(kinds)),
        Box::new(horizontalpodautoscaler::Autoscalers::new(kinds)),
        Box::new(certificates::Certificates::new(kinds)),
        Box::new(clusterroleaggregation::Aggregation::new(kinds)),
        Box::new(disruption::Disruptions::new(kinds)),
        Box::new(nodelifecycle::NodeLifecycle::new(kinds)),
    ]
}
