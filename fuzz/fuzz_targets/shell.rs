//! Shell lines, kubectl among them: each ends, or can be interrupted.
#![no_main]

use cluster::{Command, Setup, World};
use libfuzzer_sys::fuzz_target;
use sim::Duration;
use std::sync::LazyLock;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut w = World::new(sim::Seed(3), Setup::fake(1));
    w.run_until(w.now() + Duration::from_secs(3));
    w
});

fuzz_target!(|line: &str| {
    let mut w = WORLD.clone();
    let job = w.next_job();
    let line = format!("timeout 5 sh -c '{}'", line.replace('\'', "'\\''"));
    w.command(Command::Run { job, line, stdin: String::new() });
    w.run_until(w.now() + Duration::from_secs(8));
    assert!(w.job(job).is_some_and(|(_, code)| code.is_some()), "the line does not end");
});
