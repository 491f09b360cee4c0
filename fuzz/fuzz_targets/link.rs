//! Links: text, and what is inside of one. A bad one is refused, a good one says the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scenario::Scenario;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = Scenario::from_link(text);
    }
    // The same bytes as what a link holds: the text's own layers hide the inside from a fuzzer.
    if let Ok(s) = Scenario::from_bytes(bytes) {
        assert_eq!(Scenario::from_link(&s.to_link()), Ok(s));
    }
});
