//! kubectl: a pure core (requests, files and a clock in, bytes and an exit code out) and a thin `Program` around it.
//!
//! [`cx::Cx`] is all that a command sees of the outside. Commands are ordinary sequential code that is replayed over a
//! log of answers ([`cx`] says how), so that a running kubectl is a plain value. [`commands`] is the table of commands,
//! [`resource`] turns words and files into objects, [`mod@print`] and [`mod@describe`] show them.
//!
//! *Invariant*: a command reaches the cluster only by requests to the API server, under the identity of its kubeconfig.
//! *Invariant*: every text that kubectl prints comes from here; what the server says is printed word for word.

pub mod client;
pub mod command;
pub mod commands;
pub mod complete;
pub mod cx;
pub mod describe;
pub mod discovery;
pub mod error;
pub mod files;
pub mod flags;
pub mod globals;
mod hash;
pub mod help;
pub mod kubeconfig;
mod kuberc;
pub mod kustomize;
pub mod print;
pub mod program;
pub mod resource;
pub mod run;
pub mod tabwriter;
mod tar;
pub mod tasks;
pub mod x509;

pub use program::{ENTRY, Kubectl};
pub use run::{Client, Output, run_once};

/// The version of Kubernetes that this client speaks.
pub const VERSION: &str = "v1.36.2";
