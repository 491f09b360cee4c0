//! A sorted set: a map without values.

use super::map::{Keys, OrdMap};
use std::borrow::Borrow;
use std::fmt;
use std::ops::RangeBounds;

/// A sorted set that is cheap to clone. See the [module](super).
#[derive(Clone, PartialEq, Eq)]
pub struct OrdSet<K>(OrdMap<K, ()>);

impl<K> OrdSet<K> {
    /// The empty set.
    pub const fn new() -> Self {
        Self(OrdMap::new())
    }

    /// How many members there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all members.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All members, sorted.
    pub fn iter(&self) -> Keys<'_, K, ()> {
        self.0.keys()
    }

    /// Whether `key` is a member.
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// The members in a range, sorted.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> impl DoubleEndedIterator<Item = &K>
    where
        K: Borrow<Q>,
    {
        self.0.range(range).map(|(k, ())| k)
    }

    /// The least member.
    pub fn get_min(&self) -> Option<&K> {
        self.iter().next()
    }

    /// The greatest member.
    pub fn get_max(&self) -> Option<&K> {
        self.iter().next_back()
    }
}

impl<K: Ord + Clone> OrdSet<K> {
    /// A set of one member.
    pub fn unit(key: K) -> Self {
        Self(OrdMap::unit(key, ()))
    }

    /// Makes `key` a member; whether it was none before.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Removes a member; whether it was one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.remove(key).is_some()
    }

    /// Removes the least member.
    pub fn pop_min(&mut self) -> Option<K> {
        self.0.pop_min().map(|(k, ())| k)
    }

    /// Keeps the members for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.0.retain(|k, ()| keep(k));
    }
}

impl<'a, K> IntoIterator for &'a OrdSet<K> {
    type Item = &'a K;
    type IntoIter = Keys<'a, K, ()>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Clone> IntoIterator for OrdSet<K> {
    type Item = K;
    type IntoIter = std::vec::IntoIter<K>;

    fn into_iter(self) -> Self::IntoIter {
        let all: std::vec::Vec<K> = self.iter().cloned().collect();
        all.into_iter()
    }
}

impl<K: Ord + Clone> Extend<K> for OrdSet<K> {
    fn extend<T: IntoIterator<Item = K>>(&mut self, members: T) {
        for k in members {
            self.insert(k);
        }
    }
}

impl<K: Ord + Clone> FromIterator<K> for OrdSet<K> {
    fn from_iter<T: IntoIterator<Item = K>>(members: T) -> Self {
        let mut s = Self::new();
        s.extend(members);
        s
    }
}

impl<K> Default for OrdSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug> fmt::Debug for OrdSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
