//! What a process sees, and as programs over it the POSIX shell and the userland.
//!
//! [`Program`] is an explicit state machine and [`Sys`] the system calls that it makes; [`fs`] are the file trees,
//! [`kernel`] the process table, descriptors, pipes, terminals and signals behind [`Sys`]. [`sh`] is the shell,
//! [`commands`] the userland. Networks, containers and images are left to `net` and `node`.
//!
//! *Invariant*: no input makes a program or the kernel panic, and every loop, buffer and recursion has a limit in
//! [`sim::Limits`].

pub mod accounts;
pub mod commands;
pub mod errno;
pub mod fs;
pub mod http;
pub mod io;
pub mod kernel;
pub mod program;
pub mod regex;
pub mod resolve;
pub mod sh;
pub mod signal;
pub mod sys;
pub mod testing;
pub mod text;
pub mod tls;

pub use errno::Errno;
pub use program::{Entry, Exec, Program, Step};
pub use signal::{Action, Disposition, Signal};
pub use sys::{Child, Env, ExitStatus, Fd, FileType, Message, OpenFlags, Pid, Spawn, Stat, Sys, Wait};
