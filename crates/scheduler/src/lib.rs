//! kube-scheduler: the scheduling framework with its extension points, and one file a plugin.
//!
//! It sees pods and nodes through watches, keeps its own picture of who uses what ([`cache`]), tries one pod a turn and
//! binds it through the API. Each attempt leaves a [`Verdict`], so that a person can ask why.

mod attempt;
pub mod cache;
mod events;
pub mod plugins;
mod preempt;
mod queue;
mod scheduler;

pub use attempt::{NodeVerdict, TieBreak, Verdict};
pub use scheduler::Scheduler;
