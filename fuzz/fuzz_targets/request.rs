//! Requests to the API server: method, path with its query, content type and body, a line each.
#![no_main]

use api::wire::{Body, Credentials, Method, Request};
use apiserver::Outcome;
use cluster::{Setup, World};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut w = World::new(sim::Seed(3), Setup::fake(1));
    w.run_until(w.now() + sim::Duration::from_secs(3));
    w
});

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or("");
    let method = match next() {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => Method::Get,
    };
    let mut r = Request::of_target(method, next())
        .with_header("content-type", next())
        .with_body(Body::Bytes(next().as_bytes().into()));
    r.credentials = Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
    let mut w = WORLD.clone();
    if let Outcome::Done(a) = w.request(&r) {
        assert!((200..600).contains(&a.status), "{r:?}");
    }
    w.run_until(w.now() + sim::Duration::from_millis(500));
});
