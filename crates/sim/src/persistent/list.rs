//! A sequence that grows at its end and is taken from at its front.

use super::CHUNK;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;
use std::vec::Vec;

type Chunk<T> = Arc<Vec<T>>;

/// A sequence that is cheap to clone: a queue, a log. See the [module](super).
#[derive(Clone)]
pub struct Vector<T> {
    /// Every chunk but the last has [`CHUNK`] entries, of the first the leading `gone` are no longer part of the
    /// sequence. `None` is the empty sequence.
    chunks: Option<Arc<Vec<Chunk<T>>>>,
    /// Entries before the first one; whole chunks of them are dropped once they are many.
    gone: usize,
    len: usize,
}

impl<T> Vector<T> {
    /// The empty sequence.
    pub const fn new() -> Self {
        Self { chunks: None, gone: 0, len: 0 }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The entry at `i`, counted from 0.
    pub fn get(&self, i: usize) -> Option<&T> {
        if i >= self.len {
            return None;
        }
        let i = self.gone + i;
        self.chunks.as_ref()?.get(i / CHUNK)?.get(i % CHUNK)
    }

    /// The first entry.
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last entry.
    pub fn back(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The last entry.
    pub fn last(&self) -> Option<&T> {
        self.back()
    }

    /// The first place whose entry `before` is false for. It must be true for a prefix of the entries alone.
    pub fn partition_point(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(&mut before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// All entries in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { of: self, front: 0, back: self.len }
    }

    /// Whether both are the same allocation, hence equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self.gone == other.gone
            && match (&self.chunks, &other.chunks) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            }
    }
}

impl<T: Clone> Vector<T> {
    /// A sequence of one entry.
    pub fn unit(value: T) -> Self {
        let mut v = Self::new();
        v.push_back(value);
        v
    }

    fn own(&mut self) -> &mut Vec<Chunk<T>> {
        Arc::make_mut(self.chunks.get_or_insert_with(Arc::default))
    }

    /// The entry at `i`, to be changed.
    pub fn get_mut(&mut self, i: usize) -> Option<&mut T> {
        if i >= self.len {
            return None;
        }
        let i = self.gone + i;
        Arc::make_mut(self.own().get_mut(i / CHUNK)?).get_mut(i % CHUNK)
    }

    /// The first entry, to be changed.
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.get_mut(0)
    }

    /// The last entry, to be changed.
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len.checked_sub(1)?)
    }

    /// Adds an entry at the end.
    pub fn push_back(&mut self, value: T) {
        self.len += 1;
        let chunks = self.own();
        match chunks.last_mut() {
            Some(c) if c.len() < CHUNK => Arc::make_mut(c).push(value),
            _ => chunks.push(Arc::new(std::vec![value])),
        }
    }

    /// Takes the first entry.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.front()?.clone();
        self.skip_front(1);
        Some(first)
    }

    /// Drops the first `n` entries.
    fn skip_front(&mut self, n: usize) {
        self.len -= n;
        self.gone += n;
        if self.len == 0 {
            self.clear();
            return;
        }
        let (whole, all) = (self.gone / CHUNK, self.chunks.as_ref().map_or(0, |c| c.len()));
        // Many at once: moving the list of chunks for each chunk that has gone would be quadratic.
        if whole >= 1 && whole * 2 >= all {
            self.own().drain(..whole);
            self.gone %= CHUNK;
        } else if self.gone.is_multiple_of(CHUNK) && whole >= 1 {
            // What the chunk held goes now, its place in the list later.
            self.own()[whole - 1] = Arc::default();
        }
    }

    /// Takes the last entry.
    pub fn pop_back(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        let chunks = self.own();
        let last = Arc::make_mut(chunks.last_mut()?);
        let value = last.pop();
        if last.is_empty() {
            chunks.pop();
        }
        if self.len == 0 {
            self.clear();
        }
        value
    }

    /// Keeps the first `n` entries.
    pub fn truncate(&mut self, n: usize) {
        while self.len > n {
            self.pop_back();
        }
    }

    /// Removes the entry at `i`; entries behind it move up.
    ///
    /// # Panics
    /// When there is none, as `Vec::remove` does.
    pub fn remove(&mut self, i: usize) -> T {
        let mut all: Vec<T> = self.iter().cloned().collect();
        let gone = all.remove(i);
        *self = all.into_iter().collect();
        gone
    }

    /// Puts an entry before the one at `i`.
    ///
    /// # Panics
    /// When `i` is beyond the end, as `Vec::insert` does.
    pub fn insert(&mut self, i: usize, value: T) {
        let mut all: Vec<T> = self.iter().cloned().collect();
        all.insert(i, value);
        *self = all.into_iter().collect();
    }

    /// Puts an entry before all others.
    pub fn push_front(&mut self, value: T) {
        self.insert(0, value);
    }

    /// Replaces the entry at `i`.
    pub fn set(&mut self, i: usize, value: T) {
        if let Some(old) = self.get_mut(i) {
            *old = value;
        }
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        if self.iter().all(&mut keep) {
            return;
        }
        *self = self.iter().filter(|v| keep(v)).cloned().collect();
    }

    /// Adds all entries of another sequence at the end.
    pub fn append(&mut self, other: Self) {
        self.extend(other.iter().cloned());
    }

    /// All entries in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let (gone, len) = (self.gone, self.len);
        let chunks: &mut [Chunk<T>] = match &mut self.chunks {
            Some(c) => Arc::make_mut(c).as_mut_slice(),
            None => &mut [],
        };
        chunks[gone / CHUNK..]
            .iter_mut()
            .flat_map(|c| Arc::make_mut(c).iter_mut())
            .skip(gone % CHUNK)
            .take(len)
    }
}

/// Entries of a sequence in order.
pub struct Iter<'a, T> {
    of: &'a Vector<T>,
    front: usize,
    back: usize,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { of: self.of, front: self.front, back: self.back }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        if self.front == self.back {
            return None;
        }
        self.front += 1;
        self.of.get(self.front - 1)
    }

    fn nth(&mut self, n: usize) -> Option<&'a T> {
        self.front = self.front.saturating_add(n).min(self.back);
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.back - self.front;
        (n, Some(n))
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        self.back -= 1;
        self.of.get(self.back)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Vector<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Clone> IntoIterator for Vector<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        let all: Vec<T> = self.iter().cloned().collect();
        all.into_iter()
    }
}

impl<T: Clone> Extend<T> for Vector<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        for e in entries {
            self.push_back(e);
        }
    }
}

impl<T: Clone> FromIterator<T> for Vector<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut v = Self::new();
        v.extend(entries);
        v
    }
}

impl<T: Clone> From<Vec<T>> for Vector<T> {
    fn from(entries: Vec<T>) -> Self {
        entries.into_iter().collect()
    }
}

impl<T> Default for Vector<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: PartialEq> PartialEq for Vector<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (self.ptr_eq(other) || self.iter().eq(other.iter()))
    }
}

impl<T: Eq> Eq for Vector<T> {}

impl<T: fmt::Debug> fmt::Debug for Vector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> Index<usize> for Vector<T> {
    type Output = T;

    /// # Panics
    /// When there is no such entry, as for slices.
    fn index(&self, i: usize) -> &T {
        self.get(i).expect("the index is below the length")
    }
}
