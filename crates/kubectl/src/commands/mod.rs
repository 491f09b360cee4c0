//! The commands, one file each. [`ROOT`] registers them: help, completion and dispatch follow from it.

mod apply;
mod common;
mod create;
pub mod delete;
mod describe;
mod edit;
mod expose;
pub mod get;
mod label;
pub mod logs;
mod patch;
mod proxy;
mod prune;
mod replace;
pub mod rollout;
mod run;
mod scale;
mod set;
pub mod stream;
mod version;
pub mod wait;

use crate::command::Command;

pub use common::LAST_APPLIED;

/// `kubectl` itself.
pub static ROOT: Command = Command {
    name: "kubectl",
    short: "kubectl controls the Kubernetes cluster manager",
    long: "kubectl controls the Kubernetes cluster manager.\n\n Find more information at: \
           https://kubernetes.io/docs/reference/kubectl/",
    usage: "[flags]",
    subs: &[
        &create::COMMAND,
        &expose::COMMAND,
        &run::COMMAND,
        &set::COMMAND,
        &get::COMMAND,
        &edit::COMMAND,
        &delete::COMMAND,
        &rollout::COMMAND,
        &scale::COMMAND,
        &describe::COMMAND,
        &logs::COMMAND,
        &stream::ATTACH,
        &stream::EXEC,
        &apply::COMMAND,
        &patch::COMMAND,
        &replace::COMMAND,
        &wait::COMMAND,
        &label::LABEL,
        &label::ANNOTATE,
        &version::COMMAND,
    ],
    ..Command::EMPTY
};
