//! kube-proxy's decisions as pure functions: Services, EndpointSlices and a node in, rules out.
//!
//! `service` turns objects into service ports and chooses their endpoints; [`iptables`] writes what is fed to
//! `iptables-restore`. Watching objects, timing of syncs and running the commands are left to the component around it.
//!
//! *Invariant*: the output depends on the arguments alone; it knows no API client and no network namespace.

mod component;
pub mod iptables;
mod service;

pub use service::{
    Choice, Endpoint, Ingress, NodeConfig, Port, PortName, Protocol, Service, ServicePort, ServiceType,
    Slice, SlicePort, service_ports,
};

#[cfg(test)]
mod tests;
pub use component::{Proxy, service as service_of, slice as slice_of};
