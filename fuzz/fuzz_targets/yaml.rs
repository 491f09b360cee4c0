//! Manifests: read, validated, printed, and read again as the same.
#![no_main]

use cluster::{Setup, World};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(sim::Seed(3), Setup::fake(1)));

fuzz_target!(|text: &str| {
    for v in api::yaml::parse_all(text).0 {
        let _ = WORLD.check_manifest(&v);
        // A manifest is a map; nothing prints a text alone.
        if v.as_map().is_none() {
            continue;
        }
        let printed = api::yaml::emit(&v);
        let again = api::yaml::parse(&printed).unwrap_or_else(|e| panic!("{e}: {printed}"));
        assert_eq!(again, v, "{printed}");
    }
});
