//! The pods behind a Service, as both endpoint controllers see them.

use crate::runtime::{Informers, is_ready};
use api::selector::Selector;
use api::{SmolStr, Value};
use apiserver::ResId;

/// A pod behind a Service.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// The pod.
    pub pod: Value,
    /// Its address.
    pub ip: SmolStr,
    /// Whether it may be sent traffic.
    pub ready: bool,
    /// Whether it answers, terminating or not.
    pub serving: bool,
    /// Whether it is terminating.
    pub terminating: bool,
    /// Its DNS name under the Service, if it has one.
    pub hostname: SmolStr,
}

/// The pods behind a Service, in name order. Models: `ShouldPodBeInEndpoints`.
pub(crate) fn backends(informers: &Informers, pods: ResId, service: &Value) -> Vec<Backend> {
    let selector = Selector::of_labels(service.at(&["spec", "selector"]));
    let publish = service.at(&["spec", "publishNotReadyAddresses"]).is_true();
    informers
        .list(pods, service.namespace())
        .filter(|p| selector.matches(p.labels()))
        .filter_map(|p| {
            let ip = p.at(&["status", "podIP"]).smol();
            let phase = p.at(&["status", "phase"]).text();
            if ip.is_empty() || matches!(phase, "Succeeded" | "Failed") {
                return None;
            }
            let terminating = p.is_terminating();
            let serving = is_ready(p);
            let spec = p.get("spec");
            let named =
                spec.get("subdomain").text() == service.name() && !spec.get("hostname").text().is_empty();
            Some(Backend {
                ip,
                ready: publish || (serving && !terminating),
                serving,
                terminating,
                hostname: if named { spec.get("hostname").smol() } else { SmolStr::default() },
                pod: p.clone(),
            })
        })
        .collect()
}

/// The number that a service port leads to in a pod, `None` if the pod lacks the named port. Models: `FindPort`.
pub(crate) fn target_port(pod: &Value, port: &Value) -> Option<i64> {
    match port.get("targetPort") {
        Value::Int(n) => Some(*n),
        Value::Str(name) => {
            let containers = pod.at(&["spec", "containers"]).items();
            let sidecars = pod
                .at(&["spec", "initContainers"])
                .items()
                .filter(|c| c.get("restartPolicy").text() == "Always");
            containers
                .chain(sidecars)
                .flat_map(|c| c.get("ports").items())
                .find(|p| p.get("name").text() == name && p.get("protocol") == port.get("protocol"))
                .and_then(|p| p.get("containerPort").as_int())
        }
        _ => port.get("port").as_int(),
    }
}
