//! Collections that are values: cloning one costs a reference count, changing a clone copies only what it touches.
//!
//! The whole cluster is a value (see `docs/ARCHITECTURE.md`): a checkpoint clones it, and the clones share what neither
//! has changed since. These collections are sorted or ordered sequences of *chunks* of at most [`CHUNK`] entries, each
//! chunk behind its own reference count, and the list of chunks behind another. That is as fast as a tree at the sizes
//! a cluster has (a few hundred thousand entries), iterates over plain slices, and above all it is small: the core
//! instantiates over sixty maps, and a balanced tree for each of them was a quarter of the WebAssembly module.
//!
//! Ordered iteration is part of the contract; nothing here hashes.

mod list;
mod map;
mod set;

pub use list::Vector;
pub use map::OrdMap;
pub use set::OrdSet;

/// Entries in a full chunk: the most that one change copies after a clone.
const CHUNK: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use std::collections::{BTreeMap, VecDeque};

    /// Random changes, with clones kept: each must stay what it was while its sibling changes.
    #[test]
    fn maps_agree_with_those_of_the_standard_library() {
        let mut random = Seed(7).stream("maps");
        for spread in [8, 100, 5_000] {
            let (mut ours, mut theirs) = (OrdMap::new(), BTreeMap::new());
            let mut kept = Vec::new();
            for step in 0..6_000_u64 {
                let key = random.below(spread);
                match random.below(8) {
                    0..4 => assert_eq!(ours.insert(key, step), theirs.insert(key, step)),
                    4 => {
                        *ours.entry(key).or_insert(step) += 1;
                        *theirs.entry(key).or_insert(step) += 1;
                    }
                    5 => assert_eq!(ours.get_mut(&key).map(|v| *v), theirs.get(&key).copied()),
                    _ => assert_eq!(ours.remove(&key), theirs.remove(&key)),
                }
                if step % 500 == 0 {
                    kept.push((ours.clone(), theirs.clone()));
                }
                assert_eq!(ours.len(), theirs.len());
            }
            kept.push((ours.clone(), theirs.clone()));
            for (o, t) in &kept {
                assert!(o.iter().eq(t.iter()) && o.iter().rev().eq(t.iter().rev()));
                let (a, b) = (random.below(spread), random.below(spread));
                let (a, b) = (a.min(b), a.max(b));
                assert!(o.range(a..b).eq(t.range(a..b)) && o.range(a..=b).rev().eq(t.range(a..=b).rev()));
                assert!(o.clone().into_iter().eq(t.clone()));
                let mut o = o.clone();
                o.retain(|k, _| k % 3 == 0);
                assert!(o.keys().eq(t.keys().filter(|k| *k % 3 == 0)));
                let same = o.clone();
                assert!(o.iter_mut().map(|(k, v)| (*k, *v)).eq(same));
            }
        }
    }

    #[test]
    fn sequences_agree_with_those_of_the_standard_library() {
        let mut random = Seed(7).stream("sequences");
        for growth in [3, 4, 6] {
            let (mut ours, mut theirs) = (Vector::new(), VecDeque::new());
            let mut kept = Vec::new();
            for step in 0..5_000_u64 {
                match random.below(8) {
                    n if n < growth => {
                        ours.push_back(step);
                        theirs.push_back(step);
                    }
                    7 => assert_eq!(ours.pop_back(), theirs.pop_back()),
                    _ => assert_eq!(ours.pop_front(), theirs.pop_front()),
                }
                if step % 500 == 0 {
                    kept.push((ours.clone(), theirs.clone()));
                }
                assert_eq!(
                    (ours.len(), ours.front(), ours.back()),
                    (theirs.len(), theirs.front(), theirs.back())
                );
            }
            kept.push((ours, theirs));
            for (o, t) in &mut kept {
                assert!(o.iter().eq(t.iter()) && o.iter().rev().eq(t.iter().rev()));
                let skip = random.below(40) as usize;
                assert!(o.iter().skip(skip).eq(t.iter().skip(skip)));
                assert!(o.iter_mut().eq(t.iter_mut()));
                if let Some(v) = o.get_mut(skip) {
                    *v += 1;
                    t[skip] += 1;
                }
                assert!(o.iter().eq(t.iter()));
                assert_eq!(o.partition_point(|v| *v < 700), t.partition_point(|v| *v < 700));
            }
        }
    }
}
