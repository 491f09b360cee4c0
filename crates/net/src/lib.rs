//! The Linux network model: packets obey only the kernel model (invariant 4).
//!
//! One value, [`Net`], holds the network namespaces of all hosts, the links between them and its own event queue. It is
//! `Clone` with structural sharing. kube-proxy, the CNI plugin and the policy agent configure it through the same
//! knobs as on Linux (devices, addresses, routes, `iptables-restore`); a packet is moved by those alone.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`wire`] | protocols as bytes |
//! | `packet` | the simulated packet ([`Ip`], [`Frame`]) |
//! | `device`, `route`, `neigh`, `namespace` | state of a namespace |
//! | [`netfilter`], `conntrack`, `nat` | rules and connections |
//! | `stack` | the packet path |
//! | `socket` | TCP, UDP, ICMP echo |
//! | `trace`, `pcap`, `text` | what people see |
//!
//! *Invariants.* Time passes only in [`Net::advance`]. An idle net has an empty queue. No packet can loop for ever, no table
//! grows without a bound of [`sim::Limits`]. Nothing here knows a Service, a Pod or a process beyond its number.
//!
//! Not modelled: IPv6 packets (the types allow for them), fragments, multicast, policy routing, several paths for one route,
//! traffic control, congestion control, acting on ICMP redirects, the global ICMP limit, the `security` table, nftables rules.

mod addr;
mod conntrack;
mod device;
mod errno;
mod namespace;
mod nat;
mod neigh;
mod net;
pub mod netfilter;
mod packet;
pub mod pcap;
mod route;
mod skb;
mod socket;
mod stack;
mod sysctl;
pub mod text;
mod trace;
pub mod wire;

pub use addr::{BadAddress, Cidr, MacAddr, mask};
pub use conntrack::{Conn, CtFilter, CtState, Tuple};
pub use device::{IfIndex, Segment, SegmentId, Stats};
pub use errno::Errno;
pub use namespace::IfAddr;
pub use neigh::NeighState;
pub use net::{DeviceInfo, DeviceKind, Net, NsId};
pub use netfilter::{Counters, NatRange, Output, RestoreError, RestoreOptions, TableName};
pub use packet::{Body, Bytes, Frame, Icmp, Ip, L4, Payload};
pub use route::{Protocol, Route, RouteKind};
pub use socket::{ConnectOptions, PingReply, Shutdown, SocketId, SocketInfo, SocketStatus, TcpState};
pub use stack::{Capture, CaptureId};
pub use trace::{DropCause, FlowId, PacketTrace, Rewrite, TraceHop};

#[cfg(test)]
mod tests;
