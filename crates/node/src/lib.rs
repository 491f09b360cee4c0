//! A node: the machine below Kubernetes and the container runtime on it.
//!
//! [`kernel`] is one machine: its processes over `shell`'s process kernel and its sockets over `net`. [`images`] are the
//! container images as data, [`programs`] what runs in them. [`runtime`] is the container runtime that a kubelet drives:
//! sandboxes, containers, pulls, logs, exec, and the CNI plugin that wires pods. [`proxy`] is kube-proxy. The kubelet's own loop, probes and status
//! are left to its module.
//!
//! *Invariant*: nothing here looks up a Service or a Pod to move a packet: the CNI plugin writes interfaces, addresses and
//! routes into `net`, and that is all.

pub mod images;
pub mod kernel;
pub mod programs;
pub mod proxy;
pub mod runtime;
