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
        NAMES.binary_search(&s).ok().map(|i| i as u16)
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
