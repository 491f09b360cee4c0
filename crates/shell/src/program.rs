//! What a process runs: an explicit state machine that can be copied at any point.
//!
//! *Invariant*: a program keeps all it knows in its own value (no closure, no task, no thread), so a clone of the world
//! is a clone of each program and a what-if simply runs on.

use crate::sys::{Env, Sys};
use core::fmt::Debug;

/// A program in the middle of its run.
pub trait Program: Debug + Send + Sync {
    /// Runs up to the next point at which the program would block or has done a bounded piece of work.
    fn step(&mut self, sys: &mut dyn Sys) -> Step;

    /// A copy of the whole state.
    fn clone_box(&self) -> Box<dyn Program>;
}

impl Clone for Box<dyn Program> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// What a program wants after a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// To be stepped again.
    Continue,
    /// To be stepped again once any interest fires that the step's pending system calls registered, or a caught signal
    /// arrives.
    Wait,
    /// To end with this exit code (its low eight bits count).
    Exit(i32),
    /// To be replaced by another program in the same process. If it can't be loaded the process is stepped again and
    /// [`Sys::exec_error`] gives the reason.
    Exec(Exec),
}

/// The arguments of `execve`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exec {
    /// The executable's path (no search).
    pub path: String,
    /// Its arguments, the first being its name.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: Env,
}

/// A program that a file can name: how many images' binaries behave is one table of these.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Names under which it is known: a binary's program name, or, for the userland, the applets.
    pub names: &'static [&'static str],
    /// One line of help; empty for what has none.
    pub help: &'static str,
    /// Makes its first state from its arguments, the first being the name under which it was started.
    pub main: fn(Vec<String>) -> Box<dyn Program>,
}

impl Debug for Entry {
    /// Without the function's address, which is no part of a state.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Entry({:?})", self.names)
    }
}

/// Finds a program in tables, earlier ones first.
pub fn find(tables: &[&'static [Entry]], name: &str) -> Option<&'static Entry> {
    tables.iter().flat_map(|t| t.iter()).find(|e| e.names.contains(&name))
}
