//! Signals: numbers, names and default actions as on Linux x86-64.

use core::fmt;

/// A signal's number, 1 to 31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(pub u8);

const NAMES: [&str; 32] = [
    "EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "POLL", "PWR", "SYS",
];

/// What a signal does to a process that neither ignores nor catches it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The process ends with the signal as its status.
    Terminate,
    /// As [`Action::Terminate`], with a core dump on a real system.
    Core,
    /// Nothing.
    Ignore,
    /// The process stops until CONT.
    Stop,
    /// A stopped process goes on.
    Continue,
}

/// How a process wants a signal to be handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Disposition {
    /// The default action.
    #[default]
    Default,
    /// Dropped.
    Ignore,
    /// Kept until the program takes it with [`crate::Sys::take_signal`]; its arrival wakes the program.
    Catch,
}

#[allow(missing_docs)]
impl Signal {
    pub const HUP: Signal = Signal(1);
    pub const INT: Signal = Signal(2);
    pub const QUIT: Signal = Signal(3);
    pub const ABRT: Signal = Signal(6);
    pub const KILL: Signal = Signal(9);
    pub const USR1: Signal = Signal(10);
    pub const SEGV: Signal = Signal(11);
    pub const USR2: Signal = Signal(12);
    pub const PIPE: Signal = Signal(13);
    pub const ALRM: Signal = Signal(14);
    pub const TERM: Signal = Signal(15);
    pub const CHLD: Signal = Signal(17);
    pub const CONT: Signal = Signal(18);
    pub const STOP: Signal = Signal(19);
    pub const TSTP: Signal = Signal(20);
    pub const TTIN: Signal = Signal(21);
    pub const TTOU: Signal = Signal(22);
    pub const WINCH: Signal = Signal(28);

    /// From a number, a name or a name with `SIG` in front, in any case: `9`, `kill`, `SIGKILL`.
    pub fn parse(s: &str) -> Option<Signal> {
        if let Ok(n) = s.parse::<u8>() {
            return (n < 32).then_some(Signal(n));
        }
        let up = s.to_ascii_uppercase();
        let name = up.strip_prefix("SIG").unwrap_or(&up);
        let name = if name == "IO" { "POLL" } else { name };
        NAMES.iter().position(|n| *n == name).map(|i| Signal(i as u8))
    }

    /// The name without `SIG`.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("?")
    }

    /// The default action.
    pub fn action(self) -> Action {
        match self.0 {
            17 | 23 | 28 => Action::Ignore,
            18 => Action::Continue,
            19..=22 => Action::Stop,
            3 | 4 | 5 | 6 | 7 | 8 | 11 | 24 | 25 | 31 => Action::Core,
            _ => Action::Terminate,
        }
    }

    /// What shells print for a process that the signal ended, the text of `strsignal`.
    pub fn text(self) -> &'static str {
        match self.0 {
            1 => "Hangup",
            2 => "Interrupt",
            3 => "Quit",
            4 => "Illegal instruction",
            5 => "Trace/breakpoint trap",
            6 => "Aborted",
            7 => "Bus error",
            8 => "Floating point exception",
            9 => "Killed",
            10 => "User defined signal 1",
            11 => "Segmentation fault",
            12 => "User defined signal 2",
            13 => "Broken pipe",
            14 => "Alarm clock",
            15 => "Terminated",
            19 => "Stopped (signal)",
            20 => "Stopped",
            _ => "Unknown signal",
        }
    }

    /// All signals in order.
    pub fn all() -> impl Iterator<Item = Signal> {
        (1..32).map(Signal)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.name())
    }
}
