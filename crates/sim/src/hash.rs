//! State hashing: equal states give equal digests on every platform.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A digest of a state or of a history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Feeds on integers and bytes; not cryptographic, but independent of pointer width and byte order.
#[derive(Clone, Debug)]
pub struct Hasher(u64);

impl Default for Hasher {
    fn default() -> Self {
        Hasher(0x9ae1_6a3b_2f90_404f)
    }
}

impl Hasher {
    /// A hasher that continues from an earlier digest.
    pub fn from(d: Digest) -> Self {
        Hasher(d.0)
    }

    /// Feeds an integer.
    pub fn int(&mut self, v: u64) {
        let m = u128::from(self.0 ^ 0xa076_1d64_78bd_642f) * u128::from(v ^ 0xe703_7ed1_a0b4_28db);
        self.0 = (m as u64) ^ ((m >> 64) as u64) ^ self.0.rotate_left(23);
    }

    /// Feeds bytes, with their length.
    pub fn bytes(&mut self, b: &[u8]) {
        self.int(b.len() as u64);
        for c in b.chunks(8) {
            let mut w = [0; 8];
            w[..c.len()].copy_from_slice(c);
            self.int(u64::from_le_bytes(w));
        }
    }

    /// Feeds a string.
    pub fn str(&mut self, s: &str) {
        self.bytes(s.as_bytes());
    }

    /// What was fed so far, as a digest.
    pub fn digest(&self) -> Digest {
        Digest(self.0)
    }
}
