//! Prints the digest of the fixed history that `www/tests/determinism.rs` computes in a browser.

#![allow(clippy::print_stdout, clippy::disallowed_macros)]

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    println!("{}", common::run(1).state_hash());
}
