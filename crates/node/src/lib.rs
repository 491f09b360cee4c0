//! Nodes: kubelets and the containers that they run, kube-proxy, and fake kubelets for scale.

pub mod apifront;
pub mod cni;
pub mod dns;
pub mod fake;
pub mod images;
pub mod kubelet;
pub mod network;
pub mod programs;
pub mod proxy;
pub mod runtime;
