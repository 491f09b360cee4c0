//! NodePorts: two pods of a node cannot have the same host port.

use super::{Plugin, Reason};

/// What people see.
pub const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

pub(super) static PLUGIN: Plugin = Plugin {
    name: "NodePorts",
    filter: Some(|c, n| {
        let wanted = &c.pod.ports;
        let clash = !wanted.is_empty()
            && n.pods.values().flat_map(|p| &p.ports).any(|(proto, ip, port)| {
                wanted.iter().any(|(wp, wi, wn)| {
                    wp == proto && wn == port && (wi == ip || wi == "0.0.0.0" || ip == "0.0.0.0")
                })
            });
        if clash { Err(Reason::resolvable(REASON)) } else { Ok(()) }
    }),
    ..Plugin::NONE
};
