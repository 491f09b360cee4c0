//! The descriptions of the built-in kinds' fields.
//!
//! They are other people's sentences: a build product made from a dependency, loaded where somebody wants to read them,
//! no part of the cluster's state. Without them everything works, and documents have no descriptions.
//!
//! The format, deflated: the number of texts, the texts one a line (line breaks within as vertical tabs), then a line a
//! type: its name, the number of its text, `field=number` for each field, with tabs between.

use std::collections::BTreeMap;

/// What is larger is no such file.
const BYTES_MAX: usize = 16 << 20;

/// Descriptions by type and field.
#[derive(Debug, Default)]
pub struct Texts {
    texts: Vec<String>,
    types: BTreeMap<String, (Option<usize>, BTreeMap<String, usize>)>,
}

impl Texts {
    /// Reads a file; `None` if it is none of ours.
    pub fn read(packed: &[u8]) -> Option<Texts> {
        let raw = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, BYTES_MAX).ok()?;
        let whole = String::from_utf8(raw).ok()?;
        let mut lines = whole.lines();
        let count: usize = lines.next()?.parse().ok()?;
        let mut t = Texts::default();
        t.texts.extend(lines.by_ref().take(count).map(|l| l.replace('\u{b}', "\n")));
        for line in lines {
            let mut words = line.split('\t');
            let (Some(name), Some(own)) = (words.next(), words.next()) else { continue };
            let fields = words.filter_map(|w| w.split_once('='));
            let fields = fields.filter_map(|(f, n)| Some((f.to_owned(), n.parse().ok()?))).collect();
            t.types.insert(name.to_owned(), (own.parse().ok(), fields));
        }
        Some(t)
    }

    /// A file's bytes.
    pub fn pack(whole: &str) -> Vec<u8> {
        miniz_oxide::deflate::compress_to_vec(whole.as_bytes(), 9)
    }

    /// What a type is; "" where it is not known.
    pub fn of_type(&self, name: &str) -> &str {
        self.text(self.types.get(name).and_then(|(own, _)| *own))
    }

    /// What a field of a type is; "" where it is not known.
    pub fn of_field(&self, name: &str, field: &str) -> &str {
        self.text(self.types.get(name).and_then(|(_, fields)| fields.get(field).copied()))
    }

    fn text(&self, n: Option<usize>) -> &str {
        n.and_then(|n| self.texts.get(n)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_read() {
        let t = Texts::read(&Texts::pack("2\nA pod.\nIts\u{b}spec.\nio.Pod\t0\tspec=1\tkind=\n")).unwrap();
        assert_eq!((t.of_type("io.Pod"), t.of_field("io.Pod", "spec")), ("A pod.", "Its\nspec."));
        assert_eq!((t.of_type("io.None"), t.of_field("io.Pod", "kind")), ("", ""));
        assert!(Texts::read(b"nonsense").is_none());
    }
}
