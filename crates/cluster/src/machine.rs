//! Nodes with real kubelets, and the network between all hosts.

use crate::world::Setup;
use api::{SmolStr, obj};
use apiserver::ApiServer;
use net::{Cidr, IfIndex, Net, NsId, SegmentId};
use node::cni::{self, Cni};
use node::kubelet::{Kubelet, Place};
use node::network::SocketTable;
use node::proxy::{NodeConfig, Proxy};
use node::runtime::Runtime;
use shell::Entry;
use shell::fs::{MountNs, Tree};
use shell::kernel::{Kernel, Space, SpaceId};
use sim::persistent::Vector;
use sim::{Duration, Instant, Seed};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How long a frame takes between two hosts.
const WIRE: Duration = Duration::from_micros(120);
/// Pods' network of all nodes.
const CLUSTER_CIDR: &str = "10.244.0.0/16";
const WORKSTATION: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
/// What a node's disk holds before anything was pulled.
const PRELOADED: [&str; 2] = ["registry.k8s.io/pause:3.10.1", node::dns::IMAGE_NAME];

/// A node to make. Part of the scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSetup {
    /// Name.
    pub name: SmolStr,
    /// Address in the hosts' network.
    pub ip: Ipv4Addr,
    /// Network of its pods, a /24.
    pub pods: Ipv4Addr,
    /// Whether it is tainted and labelled as the control plane.
    pub control_plane: bool,
    /// Images that its disk holds before anything was pulled, beside those of every node.
    pub images: Vec<SmolStr>,
}

/// A machine with a kubelet and a kube-proxy.
#[derive(Clone)]
pub(crate) struct Machine {
    pub kubelet: Kubelet,
    pub proxy: Proxy,
    /// The host's own space, for terminals on it.
    pub space: SpaceId,
    /// Whether it has power.
    pub on: bool,
    /// Whether its cable is plugged in.
    pub cable: bool,
    eth: IfIndex,
}

impl Machine {
    /// Plugs the cable in or out.
    pub fn set_cable(&mut self, net: &mut Net, on: bool) {
        self.cable = on;
        self.set_carrier(net);
    }

    /// The card has a carrier while there is power and a cable.
    pub fn set_carrier(&mut self, net: &mut Net) {
        // The card was made with the machine and stays.
        let _ = net.set_carrier(self.kubelet.ns, self.eth, self.on && self.cable);
    }
}

/// All machines and what joins them.
#[derive(Clone)]
pub(crate) struct Site {
    pub net: Net,
    pub sockets: SocketTable,
    /// The workstation's network namespace.
    pub workstation: NsId,
    pub machines: Vector<Arc<Machine>>,
}

/// What a host's disk holds beside the userland.
static HOST: &[Entry] = &[kubectl::ENTRY, node::apifront::ENTRY];

fn tables() -> Vec<&'static [Entry]> {
    vec![shell::commands::TABLE, node::programs::TABLE, node::dns::TABLE, HOST]
}

fn kernel(seed: Seed, name: &str, ns: NsId, setup: &Setup) -> (Kernel, SpaceId) {
    let epoch = setup.settings.epoch.0;
    let mut k = Kernel::new(&tables(), setup.settings.epoch, seed.stream(&format!("kernel/{name}")));
    let root = k.vfs.add(node::images::host_root(name, HOST, epoch), "ext4", "/dev/vda1", Some(100 << 30));
    let space = host_space(&mut k, root, epoch, ns.0, name);
    (k, space)
}

impl Site {
    /// Builds the network and the machines; kubelets have not begun yet.
    pub fn new(seed: Seed, api: &ApiServer, setup: &Setup) -> Site {
        let mut net = Net::new(seed.stream("net"));
        let lan = net.add_segment("lan", WIRE);
        // The first namespace of an empty network: nothing can be taken.
        let workstation = cni::host(&mut net, "workstation", lan, WORKSTATION, GATEWAY).unwrap_or(NsId(0));
        let mut site = Site { net, sockets: SocketTable::default(), workstation, machines: Vector::new() };
        let mut made: Vec<&NodeSetup> = Vec::new();
        for n in &setup.nodes {
            if let Ok(m) = site.machine(seed, api, setup, n, made.len() + 1, lan) {
                site.machines.push_back(Arc::new(m));
                made.push(n);
            }
        }
        for (m, a) in site.machines.iter().zip(&made) {
            for b in made.iter().filter(|b| b.name != a.name) {
                // The card is there; a route that cannot be made shows as unreachable.
                let _ = m.kubelet.runtime.cni.add_peer(&mut site.net, b.pods, b.ip);
            }
        }
        site
    }

    fn machine(
        &mut self,
        seed: Seed,
        api: &ApiServer,
        setup: &Setup,
        n: &NodeSetup,
        host: usize,
        lan: SegmentId,
    ) -> Result<Machine, net::Errno> {
        let ns = cni::host(&mut self.net, &n.name, lan, n.ip, GATEWAY)?;
        let cni = Cni::new(&mut self.net, ns, n.pods)?;
        let eth = self.net.device(ns, "eth0")?;
        let (kernel, space) = kernel(seed, &n.name, ns, setup);
        let runtime = Runtime::new(host, &n.name, kernel, cni, setup.settings.epoch);
        let ip = IpAddr::V4(n.ip);
        let pods = Cidr::new(n.pods.into(), 24);
        let place = Place {
            name: n.name.clone(),
            ns,
            ip,
            pod_cidr: format!("{}/24", n.pods).into(),
            control_plane: n.control_plane,
        };
        let config = NodeConfig {
            name: n.name.clone(),
            zone: SmolStr::default(),
            ip: Some(ip),
            local_ips: vec![ip, Ipv4Addr::from(u32::from(n.pods) + 1).into()],
            pod_cidr: Some(pods),
        };
        let cluster: Cidr = CLUSTER_CIDR.parse().map_err(|_| net::Errno::EINVAL)?;
        let chance = seed.stream(&format!("kube-proxy/{}", n.name));
        let images: Vec<&str> =
            PRELOADED.iter().copied().chain(n.images.iter().map(SmolStr::as_str)).collect();
        Ok(Machine {
            kubelet: Kubelet::new(seed, api, place, runtime, &images),
            proxy: Proxy::new(api, ns, config, cluster, chance),
            space,
            on: true,
            cable: true,
            eth,
        })
    }

    /// The machine of that name: its host number.
    pub fn host_of(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|m| m.kubelet.name == name).map(|i| i + 1)
    }

    /// The machine whose network namespace it is: its host number.
    pub fn host_of_ns(&self, ns: NsId) -> Option<usize> {
        self.machines.iter().position(|m| m.kubelet.ns == ns).map(|i| i + 1)
    }
}

/// A space of a host's own processes with `/proc` and `/dev`.
pub(crate) fn host_space(kernel: &mut Kernel, root: u32, epoch: i64, net: u32, name: &str) -> SpaceId {
    let dev = kernel.vfs.add(Tree::devices(epoch), "tmpfs", "tmpfs", Some(64 << 20));
    let proc = kernel.vfs.add(Tree::new(epoch), "proc", "proc", None);
    let space = kernel.add_space(Space {
        mounts: MountNs::new((root, Tree::ROOT), false),
        proc: Some(proc),
        net,
        pids: 0,
        hostname: name.into(),
        cgroup: "/".into(),
        usage: Default::default(),
    });
    for (at, fs) in [("/proc", proc), ("/dev", dev)] {
        // The directories are part of every host's root.
        let _ = kernel.mount_in(space, at, (fs, Tree::ROOT), false);
    }
    space
}

/// Starts the API server's secure port on a host.
pub(crate) fn start_api_front(
    kernel: &mut Kernel,
    net: &mut dyn shell::kernel::Network,
    space: SpaceId,
    path: &str,
) {
    let fds = (0..3).map(|fd| (fd, kernel.open_null())).collect();
    let start = shell::kernel::Start {
        space,
        path: path.into(),
        argv: vec!["kube-apiserver".into()],
        env: Default::default(),
        cwd: "/".into(),
        cred: shell::fs::Cred::root(),
        fds,
        tty: None,
    };
    // The binary is part of the host's disk.
    let _ = kernel.start(start, net);
}

/// Cluster DNS, as kubeadm installs it.
pub(crate) fn install_dns(api: &mut ApiServer, now: Instant) {
    let labels = obj!({"k8s-app": "kube-dns"});
    let meta = |name: &str| obj!({"name": name, "namespace": "kube-system", "labels": labels.clone()});
    api.seed_object(
        now,
        "serviceaccounts",
        "",
        "v1",
        obj!({"metadata": {"name": "coredns", "namespace": "kube-system"}}),
    );
    let rules = obj!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    ]);
    let rbac = "rbac.authorization.k8s.io";
    api.seed_object(
        now,
        "clusterroles",
        rbac,
        "v1",
        obj!({"metadata": {"name": "system:coredns"}, "rules": rules}),
    );
    let binding = obj!({
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}]
    });
    api.seed_object(now, "clusterrolebindings", rbac, "v1", binding);
    let service = obj!({
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}},
        "spec": {
            "clusterIP": "10.96.0.10", "selector": labels.clone(),
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53}
            ]
        }
    });
    api.seed_object(now, "services", "", "v1", service);
    let template = obj!({
        "metadata": {"labels": labels.clone()},
        "spec": {
            "serviceAccountName": "coredns", "dnsPolicy": "Default", "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [
                {"key": "CriticalAddonsOnly", "operator": "Exists"},
                {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
            ],
            "containers": [{
                "name": "coredns", "image": node::dns::IMAGE_NAME,
                "ports": [{"containerPort": 53, "name": "dns", "protocol": "UDP"}],
                "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}}
            }]
        }
    });
    let spec = obj!({"replicas": 2, "selector": {"matchLabels": labels.clone()}, "template": template});
    api.seed_object(now, "deployments", "apps", "v1", obj!({"metadata": meta("coredns"), "spec": spec}));
}
