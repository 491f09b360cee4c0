//! Nodes: kubelets and the containers that they run.

pub mod fake;
