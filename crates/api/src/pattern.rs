//! Regular expressions of schemas. Models: Go's `regexp`, as far as `regex-lite` has the same syntax.

use regex_lite::Regex;

/// Compiles a pattern; the error is the library's own text.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| e.to_string())
}

/// Whether a text has a match of the pattern; a pattern that does not compile matches nothing.
pub fn is_match(pattern: &str, text: &str) -> bool {
    compile(pattern).is_ok_and(|r| r.is_match(text))
}
