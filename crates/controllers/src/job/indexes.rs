//! Sets of completion indexes, as `0,2-4`.

use api::Value;
use std::collections::BTreeSet;

/// A set of indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i64>);

impl Indexes {
    /// Reads a set; what cannot be read is left out.
    pub(super) fn parse(text: &str) -> Indexes {
        let mut all = BTreeSet::new();
        for part in text.split(',') {
            let (a, b) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(a), Ok(b)) = (a.parse::<i64>(), b.parse::<i64>()) {
                all.extend(a..=b);
            }
        }
        Indexes(all)
    }

    /// Adds an index; a negative one is none.
    pub(super) fn insert(&mut self, i: i64) {
        if i >= 0 {
            self.0.insert(i);
        }
    }

    pub(super) fn contains(&self, i: i64) -> bool {
        self.0.contains(&i)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The set as text: runs of three or more as a range.
    pub(super) fn to_text(&self) -> String {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for &i in &self.0 {
            match runs.last_mut() {
                Some((_, end)) if *end + 1 == i => *end = i,
                _ => runs.push((i, i)),
            }
        }
        let show = |(a, b): &(i64, i64)| match b - a {
            0 => a.to_string(),
            1 => format!("{a},{b}"),
            _ => format!("{a}-{b}"),
        };
        runs.iter().map(show).collect::<Vec<_>>().join(",")
    }
}

/// Whether the indexes that succeeded meet a rule of a success policy.
pub(super) fn met(rule: &Value, done: &Indexes) -> bool {
    let wanted = rule.get("succeededIndexes").as_str().map(Indexes::parse);
    let have = match &wanted {
        Some(w) => done.0.intersection(&w.0).count(),
        None => done.len(),
    } as i64;
    match (rule.get("succeededCount").as_int(), wanted) {
        (Some(n), _) => have >= n,
        (None, Some(w)) => have == w.len() as i64,
        (None, None) => false,
    }
}

#[cfg(test)]
#[test]
fn runs_are_written_short() {
    for t in ["", "0", "0,1", "0-2", "1,3-5,9"] {
        assert_eq!(Indexes::parse(t).to_text(), t);
    }
}
