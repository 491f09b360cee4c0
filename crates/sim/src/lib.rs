//! Virtual time, chance, cause and limits: the only sources of any of them in the core; and collections that are values.
//!
//! *Invariant*: nothing in the core reads a clock, the operating system's randomness or the iteration order of a hash
//! map. Everything takes an [`Instant`] as an argument, draws from a named [`Stream`], and waits in a [`Queue`].
//! What the events mean is left to the crates above.

mod hash;
mod limits;
pub mod persistent;
mod queue;
mod random;
mod time;
mod trace;

pub use core::time::Duration;
pub use hash::{Digest, Hasher};
pub use limits::Limits;
pub use queue::Queue;
pub use random::{Seed, Stream};
pub use time::{Civil, Epoch, Instant};
pub use trace::{Cause, Record, Trace};
