//! Nodes: kubelets and the containers that they run, kube-proxy, and fake kubelets for scale.

pub mod fake;
pub mod proxy;
