//! The digest of a kernel's state: equal states give equal digests on every platform.

use super::Kernel;
use core::fmt::{self, Debug, Write};
use sim::Hasher;

/// Feeds a text to a hasher piece by piece.
struct Feed<'a>(&'a mut Hasher);

impl Write for Feed<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.str(s);
        Ok(())
    }
}

/// Feeds a value's debug form: for states that are plain data without addresses.
pub fn feed_debug(h: &mut Hasher, value: &dyn Debug) {
    // Writing to a hasher can't fail.
    let _ = write!(Feed(h), "{value:?}");
}

impl Kernel {
    /// Feeds the state: processes with their programs, descriptors, pipes, terminals, timers, and the sizes of the file
    /// systems.
    pub fn digest(&self, h: &mut Hasher) {
        h.int(self.now.nanos());
        h.int(self.next);
        for (pid, p) in &self.procs {
            h.int(u64::from(*pid));
            feed_debug(h, &**p);
        }
        feed_debug(h, &self.files);
        feed_debug(h, &self.pipes);
        feed_debug(h, &self.ttys);
        feed_debug(h, &self.timers);
        feed_debug(h, &self.ready);
        feed_debug(h, &self.sysctls);
        for (id, s) in &self.spaces {
            h.int(u64::from(*id));
            feed_debug(h, &s.usage);
            h.str(&s.hostname);
        }
        for (id, f) in self.vfs.systems() {
            h.int(u64::from(id));
            h.int(f.used_bytes);
            h.int(f.written_bytes);
            h.int(f.tree.len() as u64);
        }
    }
}
