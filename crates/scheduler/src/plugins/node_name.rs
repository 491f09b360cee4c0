//! NodeName: a pod that names its node runs there or nowhere.

use super::{Plugin, Reason};

/// What people see.
pub const REASON: &str = "node(s) didn't match the requested node name";

pub(super) static PLUGIN: Plugin = Plugin {
    name: "NodeName",
    filter: Some(|c, n| {
        let want = c.pod.pod.at(&["spec", "nodeName"]).text();
        if want.is_empty() || want == n.name() { Ok(()) } else { Err(Reason::fixed(REASON)) }
    }),
    ..Plugin::NONE
};
