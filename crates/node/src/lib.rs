//! Nodes: kubelets and the containers that they run, kube-proxy, and fake kubelets for scale.

pub mod cni;
pub mod fake;
pub mod network;
pub mod proxy;
pub mod runtime;
