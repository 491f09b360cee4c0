//! Interned map keys: every field name of the schema is a number, others are shared strings.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use std::sync::Arc;

pub use crate::schema::keys as k;
use crate::schema::names::NAMES;

/// A key of a [`crate::Map`]; orders as its text does, on every platform.
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    /// Index into [`NAMES`], which is sorted, so that indices compare as texts do.
    Known(u16),
    Other(Arc<str>),
}

/// Places of the hash table over [`NAMES`], at most half of them taken.
const SLOTS: usize = (NAMES.len() * 2).next_power_of_two();
/// A place of [`TABLE`] that no name has.
const FREE: u16 = u16::MAX;
/// Where to look for a name: open addressing, made by the compiler. Every key that is read or written is looked up.
static TABLE: [u16; SLOTS] = table();

/// FNV-1a.
const fn hash(s: &[u8]) -> usize {
    let (mut h, mut i) = (0x811c_9dc5_u32, 0);
    while i < s.len() {
        h = (h ^ s[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    (h ^ (h >> 15)) as usize
}

const fn table() -> [u16; SLOTS] {
    let (mut t, mut i) = ([FREE; SLOTS], 0);
    while i < NAMES.len() {
        let mut at = hash(NAMES[i].as_bytes()) & (SLOTS - 1);
        while t[at] != FREE {
            at = (at + 1) & (SLOTS - 1);
        }
        t[at] = i as u16;
        i += 1;
    }
    t
}

impl Key {
    /// The key of the `i`-th name of the schema's name table.
    pub(crate) const fn known(i: u16) -> Key {
        Key(Repr::Known(i))
    }

    /// Interns `s` if the schema knows it.
    pub fn new(s: &str) -> Key {
        match Self::index_of(s) {
            Some(i) => Key(Repr::Known(i)),
            None => Key(Repr::Other(s.into())),
        }
    }

    /// The index of a name in the schema's name table.
    pub fn index_of(s: &str) -> Option<u16> {
        let mut at = hash(s.as_bytes()) & (SLOTS - 1);
        loop {
            let i = TABLE[at];
            if i == FREE {
                return None;
            }
            if NAMES[usize::from(i)] == s {
                return Some(i);
            }
            at = (at + 1) & (SLOTS - 1);
        }
    }

    /// The index in the name table if this is a name of the schema.
    pub fn index(&self) -> Option<u16> {
        match self.0 {
            Repr::Known(i) => Some(i),
            Repr::Other(_) => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Known(i) => NAMES[usize::from(*i)],
            Repr::Other(s) => s,
        }
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl core::ops::Deref for Key {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        match (&self.0, &other.0) {
            (Repr::Known(a), Repr::Known(b)) => a == b,
            (Repr::Other(a), Repr::Other(b)) => Arc::ptr_eq(a, b) || a == b,
            // A name of the schema is always interned.
            _ => false,
        }
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Known(a), Repr::Known(b)) => a.cmp(b),
            _ => self.as_str().cmp(other.as_str()),
        }
    }
}

impl core::hash::Hash for Key {
    fn hash<H: core::hash::Hasher>(&self, h: &mut H) {
        self.as_str().hash(h);
    }
}

impl From<&str> for Key {
    fn from(s: &str) -> Key {
        Key::new(s)
    }
}

impl From<&String> for Key {
    fn from(s: &String) -> Key {
        Key::new(s)
    }
}

impl From<String> for Key {
    fn from(s: String) -> Key {
        Key::new(&s)
    }
}

impl From<&Key> for Key {
    fn from(k: &Key) -> Key {
        k.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
