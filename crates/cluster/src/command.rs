//! What a person does to a world. The log of these plus the seed is the scenario.

use serde::{Deserialize, Serialize};
use sim::Instant;

/// Something a person did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Opens a terminal of that number on the workstation (`host` "") or a node.
    OpenTerminal {
        /// Number, chosen by the caller.
        terminal: u32,
        /// Node, or "".
        host: String,
        /// Columns and rows.
        size: (u16, u16),
    },
    /// Types into a terminal.
    Type {
        /// Number.
        terminal: u32,
        /// Bytes as a terminal sends them.
        keys: Vec<u8>,
    },
    /// Resizes a terminal.
    Resize {
        /// Number.
        terminal: u32,
        /// Columns and rows.
        size: (u16, u16),
    },
    /// Closes a terminal.
    CloseTerminal {
        /// Number.
        terminal: u32,
    },
    /// Runs a shell line on the workstation without a terminal; its output comes as a job.
    Run {
        /// Number, chosen by the caller.
        job: u32,
        /// The line.
        line: String,
        /// What it reads.
        stdin: String,
    },
    /// Saves a file of the editor into the workstation's file system.
    WriteFile {
        /// Path.
        path: String,
        /// Content.
        content: String,
    },
    /// Cuts a node's power, or gives it back.
    SetPower {
        /// Node.
        node: String,
        /// Whether it has power.
        on: bool,
    },
    /// Pulls a node's network cable, or puts it back.
    SetCable {
        /// Node.
        node: String,
        /// Whether it is in.
        on: bool,
    },
}

/// A command with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// When it took effect.
    pub at: Instant,
    /// After how many events, which fixes its place among those of the same instant.
    pub after_events: u64,
    /// What.
    pub command: Command,
}
