//! The commands, one file each. [`ROOT`] registers them: help, completion and dispatch follow from it.

mod apply;
mod auth;
mod autoscale;
mod certificate;
mod common;
mod config;
mod cp;
mod create;
mod debug;
pub mod delete;
mod describe;
mod diff;
mod discovery;
pub mod drain;
mod edit;
pub mod events;
mod explain;
mod expose;
pub mod get;
mod kuberc;
mod label;
pub mod logs;
mod nodes;
mod patch;
pub mod port_forward;
pub mod proxy;
mod prune;
mod replace;
pub mod rollout;
mod run;
mod scale;
mod set;
mod small;
pub mod stream;
mod version;
pub mod wait;

use crate::command::Command;
use crate::help;

pub use common::LAST_APPLIED;

/// `kubectl` itself.
pub static ROOT: Command = Command {
    name: "kubectl",
    short: "kubectl controls the Kubernetes cluster manager",
    long: "kubectl controls the Kubernetes cluster manager.\n\n Find more information at: \
           https://kubernetes.io/docs/reference/kubectl/",
    usage: "[flags]",
    subs: &[
        &small::ALPHA,
        &create::COMMAND,
        &expose::COMMAND,
        &run::COMMAND,
        &set::COMMAND,
        &explain::COMMAND,
        &get::COMMAND,
        &edit::COMMAND,
        &delete::COMMAND,
        &rollout::COMMAND,
        &scale::COMMAND,
        &autoscale::COMMAND,
        &certificate::COMMAND,
        &discovery::CLUSTER_INFO,
        &small::TOP,
        &nodes::CORDON,
        &nodes::UNCORDON,
        &drain::COMMAND,
        &nodes::TAINT,
        &describe::COMMAND,
        &logs::COMMAND,
        &stream::ATTACH,
        &stream::EXEC,
        &port_forward::COMMAND,
        &proxy::COMMAND,
        &cp::COMMAND,
        &auth::COMMAND,
        &debug::COMMAND,
        &events::COMMAND,
        &diff::COMMAND,
        &apply::COMMAND,
        &patch::COMMAND,
        &replace::COMMAND,
        &wait::COMMAND,
        &small::KUSTOMIZE,
        &label::LABEL,
        &label::ANNOTATE,
        &small::COMPLETION,
        &discovery::API_RESOURCES,
        &discovery::API_VERSIONS,
        &config::COMMAND,
        &kuberc::COMMAND,
        &small::PLUGIN,
        &version::COMMAND,
        &help::OPTIONS,
    ],
    ..Command::EMPTY
};
