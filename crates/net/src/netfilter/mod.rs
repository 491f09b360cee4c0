//! Netfilter: tables, chains and rules, their text forms, and the packet's walk through them.
//!
//! Models: iptables 1.8.9 over nf_tables, and the kernel's hook priorities: raw, connection tracking, mangle,
//! destination NAT, filter, source NAT, confirmation. Not modelled: the security table, IPv6, fragments, `owner`.
//!
//! Rules stay data; only `eval` looks at packets.

mod command;
pub(crate) mod eval;
mod extension;
mod ipset;
mod list;
pub(crate) mod names;
mod parse;
mod print;
mod rule;
mod table;

pub use command::{Output, RestoreError, RestoreOptions};
pub(crate) use command::{iptables, restore, save};
pub use ipset::{IpSet, SetEntry, SetType};
pub use rule::*;
pub(crate) use table::Netfilter;

#[cfg(test)]
mod tests;
