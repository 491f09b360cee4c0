//! A sorted map.

use super::CHUNK;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, Index, RangeBounds};
use std::sync::Arc;
use std::vec::Vec;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// A sorted map that is cheap to clone. See the [module](super).
#[derive(Clone)]
pub struct OrdMap<K, V> {
    /// Sorted, no chunk empty; `None` is the empty map, so that an empty map allocates nothing.
    chunks: Option<Arc<Vec<Chunk<K, V>>>>,
    len: usize,
}

/// A place among the entries: before entry `at` of chunk `chunk`; the end is `(number of chunks, 0)`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    chunk: usize,
    at: usize,
}

impl<K, V> OrdMap<K, V> {
    /// The empty map.
    pub const fn new() -> Self {
        Self { chunks: None, len: 0 }
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

    fn chunks(&self) -> &[Chunk<K, V>] {
        match &self.chunks {
            Some(c) => c,
            None => &[],
        }
    }

    /// All entries, sorted by key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        let chunks = self.chunks();
        Iter { chunks, front: Place { chunk: 0, at: 0 }, back: Place { chunk: chunks.len(), at: 0 } }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// All values, sorted by their keys.
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }

    /// The entry with the least key.
    pub fn get_min(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The entry with the greatest key.
    pub fn get_max(&self) -> Option<(&K, &V)> {
        self.iter().next_back()
    }

    /// Whether both are the same allocation, hence equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        match (&self.chunks, &other.chunks) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// The chunk that has the first key for which `before` is false, and the place in it.
    ///
    /// `before` must be true for a prefix of the keys alone.
    fn partition(&self, mut before: impl FnMut(&K) -> bool) -> Place {
        let chunks = self.chunks();
        let chunk = chunks.partition_point(|c| c.last().is_some_and(|(k, _)| before(k)));
        let at = chunks.get(chunk).map_or(0, |c| c.partition_point(|(k, _)| before(k)));
        Place { chunk, at }
    }

    /// The chunk and place of a key, or where it would be.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> (Place, bool)
    where
        K: Borrow<Q>,
    {
        let mut equal = false;
        let place = self.partition(|k| match k.borrow().cmp(key) {
            Ordering::Less => true,
            Ordering::Equal => {
                equal = true;
                false
            }
            Ordering::Greater => false,
        });
        (place, equal)
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, v)| v)
    }

    /// The entry of a key.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (p, found) = self.find(key);
        let (k, v) = self.chunks().get(p.chunk)?.get(p.at)?;
        found.then_some((k, v))
    }

    /// Whether a key has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1
    }

    /// The entry with the greatest key below `key`, or at it.
    pub fn get_prev<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.range((Bound::Unbounded, Bound::Included(key))).next_back()
    }

    /// The entry with the least key above `key`, or at it.
    pub fn get_next<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.range((Bound::Included(key), Bound::Unbounded)).next()
    }

    /// The entries whose keys lie in a range, sorted by key.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let chunks = self.chunks();
        let end = Place { chunk: chunks.len(), at: 0 };
        let front = match range.start_bound() {
            Bound::Unbounded => Place { chunk: 0, at: 0 },
            Bound::Included(q) => self.partition(|k| k.borrow() < q),
            Bound::Excluded(q) => self.partition(|k| k.borrow() <= q),
        };
        let back = match range.end_bound() {
            Bound::Unbounded => end,
            Bound::Included(q) => self.partition(|k| k.borrow() <= q),
            Bound::Excluded(q) => self.partition(|k| k.borrow() < q),
        };
        // A range that ends before it starts has nothing in it.
        let empty = (back.chunk, back.at) < (front.chunk, front.at);
        Iter { chunks, front, back: if empty { front } else { back } }
    }
}

impl<K: Ord + Clone, V: Clone> OrdMap<K, V> {
    /// A map of one entry.
    pub fn unit(key: K, value: V) -> Self {
        let mut m = Self::new();
        m.insert(key, value);
        m
    }

    fn own(&mut self) -> &mut Vec<Chunk<K, V>> {
        Arc::make_mut(self.chunks.get_or_insert_with(Arc::default))
    }

    fn chunk_mut(&mut self, chunk: usize) -> Option<&mut Vec<(K, V)>> {
        self.own().get_mut(chunk).map(Arc::make_mut)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (p, found) = self.find(key);
        if !found {
            return None;
        }
        self.chunk_mut(p.chunk)?.get_mut(p.at).map(|(_, v)| v)
    }

    /// Sets the value of a key; the one that it had is returned.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (p, found) = self.find(&key);
        if found {
            let (_, old) = self.chunk_mut(p.chunk)?.get_mut(p.at)?;
            return Some(core::mem::replace(old, value));
        }
        self.place(p, key, value);
        None
    }

    /// Puts a new entry at its place, which may split a chunk; the place where it ended up is returned.
    fn place(&mut self, mut p: Place, key: K, value: V) -> Place {
        self.len += 1;
        let chunks = self.own();
        // Behind the last chunk: keys that only grow fill it.
        if p.chunk == chunks.len() && p.chunk > 0 {
            p = Place { chunk: p.chunk - 1, at: chunks[p.chunk - 1].len() };
        }
        let Some(c) = chunks.get_mut(p.chunk) else {
            chunks.push(Arc::new(std::vec![(key, value)]));
            return Place { chunk: 0, at: 0 };
        };
        if c.len() < CHUNK {
            Arc::make_mut(c).insert(p.at, (key, value));
            return p;
        }
        if p.at == CHUNK {
            // Splitting off nothing keeps chunks of growing keys full.
            chunks.insert(p.chunk + 1, Arc::new(std::vec![(key, value)]));
            return Place { chunk: p.chunk + 1, at: 0 };
        }
        let mut right = Arc::make_mut(c).split_off(CHUNK / 2);
        let left = CHUNK / 2;
        let placed = if p.at <= left {
            Arc::make_mut(c).insert(p.at, (key, value));
            p
        } else {
            right.insert(p.at - left, (key, value));
            Place { chunk: p.chunk + 1, at: p.at - left }
        };
        chunks.insert(p.chunk + 1, Arc::new(right));
        placed
    }

    /// Removes a key; the value that it had is returned.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_with_key(key).map(|(_, v)| v)
    }

    /// Removes a key; the entry that it had is returned.
    pub fn remove_with_key<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let (p, found) = self.find(key);
        if !found {
            return None;
        }
        self.len -= 1;
        let chunks = self.own();
        let c = Arc::make_mut(chunks.get_mut(p.chunk)?);
        let gone = c.remove(p.at);
        let left = c.len();
        if left == 0 {
            chunks.remove(p.chunk);
        } else if left < CHUNK / 4 && p.chunk + 1 < chunks.len() && left + chunks[p.chunk + 1].len() <= CHUNK
        {
            // Small neighbours merge, so that a map that shrank isn't a long list of crumbs.
            let next = chunks.remove(p.chunk + 1);
            Arc::make_mut(&mut chunks[p.chunk]).extend(next.iter().cloned());
        }
        Some(gone)
    }

    /// Removes the entry with the least key.
    pub fn pop_min(&mut self) -> Option<(K, V)> {
        let key = self.get_min()?.0.clone();
        self.remove_with_key(&key)
    }

    /// The place of a key, whether it has a value or not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { map: self, key }
    }

    /// All values, to be changed, sorted by their keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, v)| v)
    }

    /// All entries with their values to be changed, sorted by key.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let chunks: &mut [Chunk<K, V>] = match &mut self.chunks {
            Some(c) => Arc::make_mut(c).as_mut_slice(),
            None => &mut [],
        };
        chunks.iter_mut().flat_map(|c| Arc::make_mut(c).iter_mut()).map(|(k, v)| (&*k, v))
    }

    /// Keeps the entries for which `keep` says so. Chunks that lose nothing stay shared.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut gone = Vec::new();
        for (k, v) in self.iter() {
            if !keep(k, v) {
                gone.push(k.clone());
            }
        }
        for k in &gone {
            self.remove(k);
        }
    }
}

/// The place of a key in a map: see [`OrdMap::entry`].
pub struct Entry<'a, K, V> {
    map: &'a mut OrdMap<K, V>,
    key: K,
}

impl<'a, K: Ord + Clone, V: Clone> Entry<'a, K, V> {
    /// The value, which is made when there is none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let (mut p, found) = self.map.find(&self.key);
        if !found {
            p = self.map.place(p, self.key, make());
        }
        let c = &mut self.map.own()[p.chunk];
        &mut Arc::make_mut(c)[p.at].1
    }

    /// The value, `value` when there was none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value, [`Default::default`] when there was none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

/// Entries of a map, sorted by key.
pub struct Iter<'a, K, V> {
    chunks: &'a [Chunk<K, V>],
    front: Place,
    back: Place,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks, front: self.front, back: self.back }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        let c = self.chunks.get(self.front.chunk)?;
        let (k, v) = c.get(self.front.at)?;
        self.front.at += 1;
        if self.front.at == c.len() {
            self.front = Place { chunk: self.front.chunk + 1, at: 0 };
        }
        Some((k, v))
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        if self.back.at == 0 {
            let chunk = self.back.chunk.checked_sub(1)?;
            self.back = Place { chunk, at: self.chunks.get(chunk)?.len() };
        }
        self.back.at -= 1;
        let (k, v) = self.chunks.get(self.back.chunk)?.get(self.back.at)?;
        Some((k, v))
    }
}

/// Keys of a map, sorted.
pub struct Keys<'a, K, V>(Iter<'a, K, V>);

impl<K, V> Clone for Keys<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K, V> Iterator for Keys<'a, K, V> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        self.0.next().map(|(k, _)| k)
    }
}

impl<K, V> DoubleEndedIterator for Keys<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(k, _)| k)
    }
}

/// Values of a map, sorted by their keys.
pub struct Values<'a, K, V>(Iter<'a, K, V>);

impl<K, V> Clone for Values<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K, V> Iterator for Values<'a, K, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        self.0.next().map(|(_, v)| v)
    }
}

impl<K, V> DoubleEndedIterator for Values<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(_, v)| v)
    }
}

impl<'a, K, V> IntoIterator for &'a OrdMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Clone, V: Clone> IntoIterator for OrdMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let mut all = Vec::with_capacity(self.len);
        for c in self.chunks() {
            all.extend_from_slice(c);
        }
        all.into_iter()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for OrdMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        for (k, v) in entries {
            self.insert(k, v);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for OrdMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut m = Self::new();
        m.extend(entries);
        m
    }
}

impl<K, V> Default for OrdMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for OrdMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (self.ptr_eq(other) || self.iter().eq(other.iter()))
    }
}

impl<K: Eq, V: Eq> Eq for OrdMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OrdMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for OrdMap<K, V> {
    type Output = V;

    /// # Panics
    /// When the key has no value, as maps of the standard library do.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key has a value")
    }
}
