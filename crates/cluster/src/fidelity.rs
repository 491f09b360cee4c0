//! The fidelity ledger: how close each area is to the real thing. `docs/FIDELITY.md` is generated from it and from the
//! registries.

/// How close something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fidelity {
    /// Compared with recorded answers of the real thing.
    Checked,
    /// There, with less than the real thing does.
    Simplified,
    /// Not there.
    Absent,
}

/// A line of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Area, which becomes a heading.
    pub area: &'static str,
    /// What it is about.
    pub what: &'static str,
    /// How close it is.
    pub fidelity: Fidelity,
    /// What differs, or what it is compared with.
    pub note: &'static str,
}

const fn line(area: &'static str, what: &'static str, fidelity: Fidelity, note: &'static str) -> Line {
    Line { area, what, fidelity, note }
}

use Fidelity::{Absent, Checked, Simplified};

/// All lines.
pub static LEDGER: &[Line] = &[
    line(
        "API server",
        "store, watch, patches, selectors, tables, discovery",
        Checked,
        "`tests/oracle/`; cases that differ are in `tests/oracle.known_failures`",
    ),
    line(
        "API server",
        "validation and defaulting",
        Checked,
        "field paths and texts for the kinds that `crates/api/src/kinds/` has a file for; other kinds take any valid shape",
    ),
    line("API server", "admission", Simplified, "the plugins listed below; no webhooks and no CEL policies"),
    line(
        "API server",
        "service account tokens",
        Simplified,
        "JWTs of the right shape; the signature is a keyed digest, not RSA",
    ),
    line(
        "API server",
        "TLS",
        Simplified,
        "handshakes name hosts and authorities without cryptography; the gateway speaks plain HTTP on the loopback",
    ),
    line(
        "API server",
        "API server and etcd as processes",
        Absent,
        "the control plane survives when its node loses power",
    ),
    line(
        "API server",
        "old API versions (book mode)",
        Simplified,
        "converted on the way in and shown in today's form; reading by an old version differs in `apiVersion` alone",
    ),
    line(
        "API server",
        "PodSecurityPolicy (book mode)",
        Simplified,
        "all rules but AppArmor, seccomp, sysctls and allowed host paths; stays out of the way while there is no policy",
    ),
    line(
        "API server",
        "impersonation",
        Checked,
        "constrained and legacy; without the mode in which a service account acts as its own node",
    ),
    line(
        "API server",
        "priority and fairness",
        Simplified,
        "FlowSchemas and levels are there to be read; requests are not queued",
    ),
    line(
        "API server",
        "aggregation, custom metrics",
        Absent,
        "metrics.k8s.io answers as a cluster without metrics server",
    ),
    line(
        "Controllers",
        "Deployment, ReplicaSet, Endpoints, EndpointSlice, Namespace, ServiceAccount, node lifecycle, garbage collector",
        Checked,
        "`tests/oracle/`",
    ),
    line(
        "Controllers",
        "StatefulSet, DaemonSet, PodDisruptionBudget status, claim protection",
        Checked,
        "`tests/oracle/`",
    ),
    line(
        "Controllers",
        "Job, CronJob, ReplicationController",
        Simplified,
        "no podFailurePolicy, backoffLimitPerIndex, managedBy or time zones",
    ),
    line(
        "Controllers",
        "volume binding, quota status, mirrored EndpointSlices, namespace deletion",
        Checked,
        "`tests/oracle/`; no provisioner makes volumes, Recycle leaves a volume Released, claims do not grow their volume",
    ),
    line(
        "Controllers",
        "HorizontalPodAutoscaler",
        Simplified,
        "bounds are kept; there is no metrics API, and it says so as on a cluster without metrics server",
    ),
    line(
        "Controllers",
        "certificate signing",
        Simplified,
        "certificates have the form of X.509; their signature is a token; requests of kubelets are not approved by themselves",
    ),
    line(
        "Controllers",
        "ClusterRole aggregation, pod garbage collection",
        Simplified,
        "`crates/cluster/tests/controllers.rs`",
    ),
    line(
        "Controllers",
        "attach/detach, ephemeral volumes, route, service load balancers",
        Absent,
        "as without a cloud",
    ),
    line(
        "Scheduler",
        "filters, scores, preemption",
        Checked,
        "`tests/oracle/`: each score; of the volume plugins VolumeBinding alone",
    ),
    line(
        "Kubelet",
        "events, states, restarts with back-off, probes, lifecycle hooks, deadlines, termination, init containers, sidecars",
        Simplified,
        "texts and orders as recorded in `tests/oracle-node/`; static pods, eviction, resizing and cgroup accounting are absent",
    ),
    line(
        "Kubelet",
        "volumes",
        Simplified,
        "emptyDir, configMap, secret, downwardAPI, projected, hostPath; no CSI",
    ),
    line(
        "Kubelet",
        "exec, attach, logs",
        Simplified,
        "`-it` with resize; port-forward from the tab (the gateway serves none yet), the proxies of pods and services, not of nodes; no ephemeral containers through the kubelet",
    ),
    line(
        "Images",
        "a fixed set, listed below",
        Simplified,
        "their programs are our own; anything else answers as a registry that does not know it",
    ),
    line(
        "Network",
        "kernel model: routes, neighbours, bridges, netfilter, conntrack",
        Checked,
        "`./dev parity` compares packet paths with real network namespaces",
    ),
    line(
        "Network",
        "kube-proxy in iptables mode",
        Checked,
        "rules compared with a real kube-proxy's in `crates/node/testdata/`",
    ),
    line("Network", "IPv6", Absent, "sockets of that family are refused"),
    line("Network", "NetworkPolicy", Absent, "as with a network plugin that does not enforce it"),
    line("Network", "names outside of the cluster", Absent, "cluster DNS answers NXDOMAIN"),
    line(
        "Nodes",
        "power and cable",
        Simplified,
        "a node off the network keeps its containers; its kubelet neither hears nor reports until it is back",
    ),
    line("Shell", "POSIX shell and userland", Simplified, "busybox-like; job control is narrow"),
    line(
        "kubectl",
        "flags, printers, describers, messages",
        Checked,
        "`tests/oracle/`; `./dev test kubectl-parity` runs the same lines by the real 1.36.3; commands are listed below",
    ),
    line(
        "kubectl",
        "words of help and of flags",
        Simplified,
        "our own, around upstream's usage lines and flags",
    ),
    line(
        "kubectl",
        "explain",
        Checked,
        "descriptions come from a file that builds make (`texts.bin`), without those of enumerated values",
    ),
    line("kubectl", "explain --output=plaintext-openapiv2", Simplified, "the same as plaintext"),
    line(
        "kubectl",
        "kustomizations",
        Checked,
        "`tests/parity/kustomize.txt`; vars, custom configurations, helm charts, plugins and remote bases are absent",
    ),
    line(
        "kubectl",
        "addresses of servers",
        Simplified,
        "a kubeconfig's server is not dialled: every one is the cluster's",
    ),
    line("kubectl", "discovery cache", Absent, "the server is asked every time"),
    line("kubectl", "proxy", Simplified, "no unix sockets, no upgraded connections"),
    line(
        "kubectl",
        "kuberc",
        Checked,
        "the policy for credential plugins is kept, there are no such plugins",
    ),
    line("Page", "worker restart", Simplified, "a worker that dies is started again with a fresh cluster"),
];
