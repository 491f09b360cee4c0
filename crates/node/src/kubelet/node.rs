//! The node's own object: capacity, conditions, addresses, images.

use api::{SmolStr, Value, obj};
use apiserver::{ApiServer, ResId};
use sim::persistent::OrdMap;
use std::net::IpAddr;

/// Whether the API has the node as lost.
pub(super) fn lost(api: &ApiServer, nodes: ResId, name: &str) -> bool {
    api.store.get(nodes, "", name).is_some_and(|n| n.condition("Ready").get("status").text() != "True")
}

/// The node as its kubelet registers and reports it.
pub(super) fn object(
    name: &str,
    ip: IpAddr,
    pod_cidr: &str,
    control_plane: bool,
    images: &OrdMap<SmolStr, i64>,
    time: &str,
) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        obj!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": time,
            "lastTransitionTime": time
        })
    };
    let amounts = obj!({
        "cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0"
    });
    let mut labels = obj!({
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"
    });
    let mut spec = obj!({"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]});
    if control_plane {
        labels.insert("node-role.kubernetes.io/control-plane", "");
        labels.insert("node.kubernetes.io/exclude-from-external-load-balancers", "");
        spec.insert(
            "taints",
            obj!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]),
        );
    }
    let images: Value = images
        .iter()
        .map(|(n, size)| obj!({"names": [super::images::canonical(n)], "sizeBytes": *size}))
        .collect();
    obj!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": name, "labels": labels, "annotations": {
            "node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"
        }},
        "spec": spec,
        "status": {
            "addresses": [{"type": "InternalIP", "address": ip.to_string()}, {"type": "Hostname", "address": name}],
            "allocatable": &amounts, "capacity": amounts, "images": images,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "bootID": format!("b-{name}"), "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.0-kubarium", "kubeProxyVersion": "", "kubeletVersion": "v1.36.2",
                "machineID": format!("m-{name}"), "operatingSystem": "linux",
                "osImage": "Kubarium Linux", "systemUUID": format!("s-{name}")
            }
        }
    })
}
