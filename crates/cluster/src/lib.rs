//! One world: the components of a cluster put together, and the event loop that moves them.
//!
//! *API boundary*: commands go in ([`Command`]), plain view data comes out ([`view`]); nothing above this crate reaches
//! into a component. *Invariant*: a [`World`] is a value; cloning it is a checkpoint, replaying the command log on a
//! clone gives the same history to the bit.

mod command;
mod dial;
pub mod fidelity;
mod history;
mod host;
mod machine;
mod session;
mod streams;
pub mod view;
mod world;

pub use apiserver::Texts;
pub use apiserver::auth::User;
pub use command::{Command, Logged};
pub use history::Timeline;
pub use host::kubeconfig;
pub use machine::NodeSetup;
pub use scheduler::TieBreak;
pub use world::{Heard, Setup, World};
