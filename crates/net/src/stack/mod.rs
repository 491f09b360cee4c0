//! The kernel's packet path: what happens to a packet between a socket and a link.
//!
//! `link` moves frames through devices and bridges, `ip` routes, `hooks` runs netfilter at the hooks, `arp` keeps
//! neighbours, `icmp` answers and reports errors. All hops within one host happen at one instant and add a small delay to the
//! packet; a socket, and another host, get it by an event when that delay is over.
//!
//! *Invariant* (4): only addresses, routes, neighbours, rules and connections decide; nothing here knows a Service or a Pod.

mod arp;
mod core;
mod hooks;
mod icmp;
mod ip;
mod link;

pub use self::core::{Capture, CaptureId};
pub(crate) use self::core::{Core, Event, Work};
pub(crate) use icmp::Peer;
