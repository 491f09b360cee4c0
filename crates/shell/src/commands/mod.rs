//! The userland: one file a command or small family, all registered in [`TABLE`].
//!
//! Three shapes cover most of them: [`once::Once`] runs a function to its end (with all of standard input, if it asks
//! for it), [`filter::Filtering`] handles input piece by piece as it comes, and what waits for the network or for time
//! is a state machine of its own. Models: busybox, except curl, ip, ss, iptables and conntrack.

pub mod echo;
pub mod filter;
pub mod kill;
pub mod once;
pub mod options;
pub mod printf;
pub mod test;

mod table;

pub use table::{TABLE, applets, busybox};
