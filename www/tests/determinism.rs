//! The browser computes the very history that the native build does.

#[path = "../../crates/cluster/tests/common/mod.rs"]
mod common;

use wasm_bindgen_test::wasm_bindgen_test;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

/// `./dev test` sets it to what `cargo run -p cluster --example hash` prints.
const NATIVE: Option<&str> = option_env!("KUBARIUM_HASH");

#[wasm_bindgen_test]
fn the_history_equals_the_native_one() {
    let native = NATIVE.expect("set KUBARIUM_HASH to the digest of the native build");
    assert_eq!(common::run(1).state_hash().to_string(), native);
}
