//! Terminals: line editing, echo, signals from keys, and the output that waits for the page.

use super::{Gpid, Interest, Kernel};
use crate::signal::Signal;
use crate::sys::TtyModes;
use sim::Limits;

/// A terminal's number.
pub type TtyId = u64;

/// A pseudo-terminal as its processes have it; the master side is [`Kernel::tty_input`] and [`Kernel::tty_output`].
#[derive(Clone, Debug)]
pub struct Tty {
    /// Its number below `/dev/pts`.
    pub index: u32,
    /// Modes.
    pub modes: TtyModes,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Foreground process group.
    pub foreground: Gpid,
    /// Open descriptions.
    pub(super) refs: u32,
    /// Had a process once and lost its last.
    pub closed: bool,
    pub(super) edit: Vec<u8>,
    pub(super) input: Vec<u8>,
    /// Ends of input (Ctrl-D) that wait to be read, as offsets into `input`.
    pub(super) eofs: Vec<usize>,
    pub(super) output: Vec<u8>,
}

impl Tty {
    /// Room in the output.
    pub(super) fn room(&self) -> bool {
        self.output.len() < Limits::TABLE.pipe_bytes_max * 4
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        for b in bytes {
            if *b == b'\n' {
                self.output.push(b'\r');
            }
            self.output.push(*b);
        }
    }

    /// Takes one key; gives the signal that it sends.
    fn key(&mut self, b: u8) -> Option<Signal> {
        if self.modes.signals {
            let s = match b {
                0x03 => Some(Signal::INT),
                0x1a => Some(Signal::TSTP),
                0x1c => Some(Signal::QUIT),
                _ => None,
            };
            if let Some(s) = s {
                self.edit.clear();
                self.input.clear();
                self.eofs.clear();
                if self.modes.echo {
                    self.put(&[b'^', b + 0x40]);
                    if !self.modes.canonical {
                        self.put(b"\n");
                    }
                }
                return Some(s);
            }
        }
        if self.input.len() + self.edit.len() >= Limits::TABLE.pipe_bytes_max {
            return None;
        }
        if !self.modes.canonical {
            self.input.push(b);
            if self.modes.echo {
                self.put(&[b]);
            }
            return None;
        }
        self.edit_key(if b == b'\r' { b'\n' } else { b });
        None
    }

    fn edit_key(&mut self, b: u8) {
        match b {
            0x04 => {
                let line = core::mem::take(&mut self.edit);
                if line.is_empty() {
                    self.eofs.push(self.input.len());
                }
                self.input.extend(line);
            }
            0x7f | 0x08 => {
                while let Some(last) = self.edit.pop() {
                    if last & 0xc0 != 0x80 {
                        if self.modes.echo {
                            self.output.extend(b"\x08 \x08");
                        }
                        break;
                    }
                }
            }
            0x15 => {
                let n = String::from_utf8_lossy(&self.edit).chars().count();
                self.edit.clear();
                self.input.clear();
                self.eofs.clear();
                if self.modes.echo {
                    for _ in 0..n {
                        self.output.extend(b"\x08 \x08");
                    }
                }
            }
            _ => {
                self.edit.push(b);
                if self.modes.echo {
                    if b < 0x20 && b != b'\n' && b != b'\t' {
                        self.put(&[b'^', b + 0x40]);
                    } else {
                        self.put(&[b]);
                    }
                }
                if b == b'\n' {
                    self.input.append(&mut self.edit);
                }
            }
        }
    }
}

impl Kernel {
    /// A new terminal.
    pub fn add_tty(&mut self, size: (u16, u16)) -> TtyId {
        let id = self.id();
        let index = (0..).find(|i| self.ttys.values().all(|t| t.index != *i)).unwrap_or(0);
        self.ttys.insert(
            id,
            std::sync::Arc::new(Tty {
                index,
                modes: TtyModes::default(),
                size,
                foreground: 0,
                refs: 0,
                closed: false,
                edit: Vec::new(),
                input: Vec::new(),
                eofs: Vec::new(),
                output: Vec::new(),
            }),
        );
        id
    }

    /// A terminal.
    pub fn tty(&self, id: TtyId) -> Option<&Tty> {
        self.ttys.get(&id).map(|t| &**t)
    }

    pub(super) fn tty_mut(&mut self, id: TtyId) -> Option<&mut Tty> {
        self.ttys.get_mut(&id).map(std::sync::Arc::make_mut)
    }

    /// Keys pressed.
    pub fn tty_input(&mut self, id: TtyId, bytes: &[u8]) {
        for b in bytes {
            let Some(t) = self.tty_mut(id) else { return };
            let foreground = t.foreground;
            if let Some(s) = t.key(*b) {
                self.signal_group(foreground, s);
            }
        }
        self.tty_outputs.insert(id);
        self.wake(Interest::TtyRead(id));
    }

    /// Takes what the terminal shows next.
    pub fn tty_output(&mut self, id: TtyId) -> Vec<u8> {
        let Some(t) = self.tty_mut(id) else { return Vec::new() };
        let out = core::mem::take(&mut t.output);
        self.wake(Interest::TtyWrite(id));
        out
    }

    /// The window's size changed.
    pub fn tty_resize(&mut self, id: TtyId, size: (u16, u16)) {
        let Some(t) = self.tty_mut(id) else { return };
        if t.size != size {
            t.size = size;
            let foreground = t.foreground;
            self.signal_group(foreground, Signal::WINCH);
        }
    }

    /// The window is gone: its session gets a hang-up and reads see the end.
    pub fn tty_hangup(&mut self, id: TtyId) {
        let Some(t) = self.tty_mut(id) else { return };
        t.closed = true;
        let pids: Vec<Gpid> = self.procs.iter().filter(|(_, p)| p.tty == Some(id)).map(|(n, _)| *n).collect();
        for pid in pids {
            self.signal(0, pid, Signal::HUP);
        }
        self.wake(Interest::TtyRead(id));
        self.wake(Interest::TtyWrite(id));
    }

    /// Forgets a terminal.
    pub fn remove_tty(&mut self, id: TtyId) {
        self.ttys.remove(&id);
        self.wake(Interest::TtyRead(id));
        self.wake(Interest::TtyWrite(id));
    }
}
