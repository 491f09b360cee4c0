//! A queue of bytes made of shared pieces: cheap to clone, cheap to cut.

use crate::Bytes;
use sim::persistent::Vector;

/// Bytes in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    parts: Vector<Bytes>,
    /// Bytes of the first part that are gone.
    skip: usize,
    len: usize,
}

impl Buffer {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn push(&mut self, b: Bytes) {
        if !b.is_empty() {
            self.len += b.len();
            self.parts.push_back(b);
        }
    }

    /// Drops `n` bytes from the front.
    pub fn consume(&mut self, mut n: usize) {
        n = n.min(self.len);
        self.len -= n;
        while n > 0 {
            let Some(first) = self.parts.front() else { return };
            let left = first.len() - self.skip;
            if n < left {
                self.skip += n;
                return;
            }
            n -= left;
            self.skip = 0;
            self.parts.pop_front();
        }
    }

    /// Up to `n` bytes from `at` on; shares a part if it is exactly that.
    pub fn slice(&self, at: usize, n: usize) -> Bytes {
        let mut at = at + self.skip;
        let mut out: Vec<u8> = Vec::new();
        for p in &self.parts {
            if at >= p.len() {
                at -= p.len();
                continue;
            }
            let take = (p.len() - at).min(n - out.len());
            if out.is_empty() && at == 0 && take == p.len() && take == n {
                return p.clone();
            }
            out.extend_from_slice(&p[at..at + take]);
            at = 0;
            if out.len() == n {
                break;
            }
        }
        out.into()
    }

    /// Takes up to `n` bytes from the front.
    pub fn take(&mut self, n: usize) -> Bytes {
        let n = n.min(self.len);
        let b = self.slice(0, n);
        self.consume(n);
        b
    }
}
