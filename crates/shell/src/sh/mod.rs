//! The POSIX shell as a [`Program`]: `sh`, `ash` and `bash`.
//!
//! The text is parsed one complete command at a time ([`parse`]) into a shared tree ([`ast`]), which an interpreter
//! with an explicit stack of frames ([`machine`]) walks; so a shell can be copied in the middle of anything, and a
//! subshell is such a copy in a child process. Models: busybox ash, with the few extensions of bash that scripts use.

pub mod arith;
pub mod ast;
mod builtins;
mod edit;
pub mod expand;
mod machine;
pub mod parse;
pub mod pattern;
mod redirect;

pub(crate) use edit::columns;
pub use machine::Shell;

use crate::program::Program;

/// The entry point of `sh`.
pub fn main(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Shell::new(argv))
}
