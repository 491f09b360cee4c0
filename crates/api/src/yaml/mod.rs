//! YAML as kubectl reads and prints it: YAML 1.1 scalars, go-yaml's error texts, go-yaml's and KYAML's output.
//!
//! Reading is `libyaml-safer` (a port of libyaml, as go-yaml is) for events and an own resolver for values. The reader
//! also keeps where each path stands, for the editor's marks. Types of fields are left to the schema.

mod compose;
mod emit;
mod kyaml;
mod resolve;

pub use compose::{Duplicate, Node, Parsed, Span};
pub use emit::emit;
pub use kyaml::emit as emit_kyaml;

use crate::Value;
use core::fmt;

/// A place in a text, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Mark {
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

/// Why a text is no YAML that kubectl takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct YamlError {
    /// The message as kubectl has it: `yaml: line 3: mapping values are not allowed in this context`.
    pub message: String,
    /// Where, if that is known.
    pub mark: Option<Mark>,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for YamlError {}

/// One document of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Document<'a> {
    /// Its text, without the separator behind it.
    pub text: &'a str,
    /// The line of the stream on which it begins, from 0.
    pub line: u32,
}

/// Splits a stream at lines `---`, as kubectl does before it parses: error lines count from the document's start.
pub fn documents(text: &str) -> Vec<Document<'_>> {
    let (mut out, mut start, mut first_line, mut at) = (Vec::new(), 0, 0u32, 0);
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let end = at + line.len();
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim();
            // A separator at a document's very start belongs to it.
            if (rest.is_empty() || rest.starts_with('#')) && at > start {
                out.push(Document { text: &text[start..at], line: first_line });
                start = end;
                first_line = n as u32 + 1;
            }
        }
        at = end;
    }
    if start < text.len() {
        out.push(Document { text: &text[start..], line: first_line });
    }
    out
}

/// Reads one document; an empty one is null.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    compose::read(text, false).map(|p| p.value)
}

/// Reads one document with the places of all its paths and its repeated keys.
pub fn parse_with_marks(text: &str) -> Result<Parsed, YamlError> {
    compose::read(text, true)
}

/// Reads all documents of a stream but the empty ones, up to the first error.
pub fn parse_all(text: &str) -> (Vec<Value>, Option<YamlError>) {
    let mut out = Vec::new();
    for d in documents(text) {
        match parse(d.text) {
            Ok(Value::Null) => {}
            Ok(v) => out.push(v),
            Err(e) => return (out, Some(e)),
        }
    }
    (out, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match parse(text) {
            Ok(v) => v.to_json(),
            Err(e) => e.message,
        }
    }

    /// What the real kubectl makes of texts whose last line does not end.
    #[test]
    fn the_last_line_may_lack_its_end() {
        for (text, want) in [
            ("k: |\n  t", r#"{"k":"t\n"}"#),
            ("k: >\n  a\n  t", r#"{"k":"a t\n"}"#),
            ("k: |-\n  t", r#"{"k":"t"}"#),
            ("k: |+\n  t\n\n ", r#"{"k":"t\n\n\n"}"#),
            ("a: 1\nk: \"\\", "yaml: line 3: found unexpected end of stream"),
            ("a: 1\nk: 'x", "yaml: line 3: found unexpected end of stream"),
            ("a: 1\nk: \"x\n  y", "yaml: line 4: found unexpected end of stream"),
        ] {
            assert_eq!(json(text), want, "{text:?}");
        }
    }

    #[test]
    fn values_as_kubectl_reads_them() {
        for (text, want) in [
            (
                "[1e3, 1.5, 1., .5, 0x1F, 0o17, 017, 08, 0b11, -0b11, 1_000, +5, 12e03, 190:20:30]",
                "[1000,1.5,1,0.5,31,15,15,8,3,-3,1000,5,12000,\"190:20:30\"]",
            ),
            (
                "[18446744073709551615, 1e21, 99999999999999999999, y, on, N, ~, Null]",
                "[18446744073709552000,1e+21,100000000000000000000,true,true,false,null,null]",
            ),
            (
                "[2001-01-01, '', !!str 12, !!int \"12\", !!float 3, !foo bar, !!binary aGk=, =, 1e5000]",
                "[\"2001-01-01\",\"\",\"12\",12,3,\"bar\",\"hi\",\"=\",\"1e5000\"]",
            ),
            ("{1: a, 1.5: b, yes: c, no: d}", "{\"1\":\"a\",\"1.5\":\"b\",\"false\":\"d\",\"true\":\"c\"}"),
            (
                "b: &m {q: 1, r: 2}\na: {q: 5, <<: *m}\nc: {<<: *m, q: 6}\nd: {<<: [*m, {z: 1, q: 9}]}\n",
                "{\"a\":{\"q\":1,\"r\":2},\"b\":{\"q\":1,\"r\":2},\"c\":{\"q\":6,\"r\":2},\"d\":{\"q\":1,\"r\":2,\"z\":1}}",
            ),
            ("a: 1\na: 2", "{\"a\":2}"),
            ("", "null"),
            ("# x", "null"),
        ] {
            assert_eq!(json(text), want, "{text}");
        }
    }

    #[test]
    fn errors_as_go_yaml_words_them() {
        let h = "apiVersion: v1\nkind: Foo\nmetadata: {name: x}\n";
        for (text, want) in [
            ("a: [1, 2\nb: 3\n", "yaml: line 4: did not find expected ',' or ']'"),
            ("a: {x: 1\n", "yaml: line 4: did not find expected ',' or '}'"),
            ("a: \"x\n", "yaml: line 5: found unexpected end of stream"),
            ("a: *b\n", "yaml: unknown anchor 'b' referenced"),
            ("a: @b\n", "yaml: line 4: found character that cannot start any token"),
            ("\ta: 1\n", "yaml: line 4: found character that cannot start any token"),
            ("a\n", "yaml: line 5: could not find expected ':'"),
            ("- a\n", "yaml: line 3: did not find expected key"),
            ("a: &x [*x]\n", "yaml: anchor 'x' value contains itself"),
            ("<<: 1\n", "yaml: map merge requires map or sequence of maps as the value"),
            ("n: [.inf]\n", "json: unsupported value: +Inf"),
            ("n: {~: d}\n", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"d\""),
            ("? [a, b]\n: c\n", "yaml: invalid map key: []interface {}{\"a\", \"b\"}"),
            ("a: !!int x\n", "yaml: cannot decode !!str `x` as a !!int"),
            ("a: !!binary \"***\"\n", "yaml: !!binary value contains invalid base64 data"),
            ("a: \x01\n", "yaml: control characters are not allowed"),
            ("a: b: c\n", "yaml: line 4: mapping values are not allowed in this context"),
            ("a:\n  - b\n c\n", "yaml: line 5: did not find expected key"),
            ("a: 'it' b\n", "yaml: line 3: did not find expected key"),
            ("a: [}\n", "yaml: line 3: did not find expected node content"),
        ] {
            assert_eq!(json(&format!("{h}{text}")), want, "{text}");
        }
        let d = documents("---\na: 1\n--- # c\nb: 2\n---x\n");
        assert_eq!(
            d.iter().map(|d| (d.line, d.text)).collect::<Vec<_>>(),
            [(0, "---\na: 1\n"), (3, "b: 2\n---x\n")]
        );
    }

    #[test]
    fn bombs_and_depth_are_bounded() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 9].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert_eq!(json(&bomb), "yaml: document contains excessive aliasing");
        assert!(json(&"[".repeat(100_000)).starts_with("yaml: exceeded max depth"));
        assert!(json(&"- ".repeat(100_000)).starts_with("yaml: exceeded max depth"));
    }

    #[test]
    fn places() {
        let p = parse_with_marks("a:\n  b: [x, {c: 1}]\nd.e: 2\nd.e: 3\n").unwrap();
        let at = |path: &str| {
            let n = p.root.find(path).unwrap();
            (n.key.map(|k| (k.start.line, k.start.column)), n.value.start.line, n.value.start.column)
        };
        assert_eq!(at("a.b"), (Some((1, 2)), 1, 5));
        assert_eq!(at("a.b[1].c"), (Some((1, 10)), 1, 13));
        assert_eq!(at("d.e"), (Some((3, 0)), 3, 5));
        assert_eq!(at("[d.e]"), (Some((3, 0)), 3, 5));
        assert_eq!(p.duplicates[0].key, "d.e");
        assert_eq!(p.duplicates[0].line, 3);
    }
}
