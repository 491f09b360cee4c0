//! The userland: one file a command or small family, all registered in [`TABLE`].
//!
//! Three shapes cover most of them: [`once::Once`] runs a function to its end (with all of standard input, if it asks
//! for it), [`filter::Filtering`] handles input piece by piece as it comes, and what waits for the network or for time
//! is a state machine of its own. Models: busybox, except curl, ip, ss, iptables and conntrack.

mod awk;
mod cat;
pub mod connect;
mod curl;
pub(crate) mod date;
mod diff;
mod disk;
pub mod echo;
mod expr;
mod files;
pub mod filter;
mod find;
mod grep;
mod head;
pub mod kill;
mod ls;
mod nc;
mod netadmin;
mod nslookup;
pub mod once;
pub mod options;
mod paths;
mod ping;
pub mod printf;
mod ps;
mod sed;
mod sleep;
mod sum;
mod sysctl;
mod tar;
pub mod test;
mod text;
mod wget;
mod who;

mod table;

pub use ls::month;
pub use table::{TABLE, applets, busybox};
