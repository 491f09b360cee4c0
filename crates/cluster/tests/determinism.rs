//! Equal seeds and commands give equal histories; a clone is a checkpoint.

mod common;

use sim::{Duration, Instant};

#[test]
fn the_same_seed_gives_the_same_history() {
    let (a, b) = (common::run(1), common::run(1));
    assert_eq!(a.state_hash(), b.state_hash());
    assert_eq!(a.event_count(), b.event_count());
    assert_ne!(common::run(2).state_hash(), a.state_hash(), "another seed is another history");
}

#[test]
fn a_clone_runs_on_as_the_original_does() {
    let mut a = common::run(1);
    let mut b = a.clone();
    let until: Instant = a.now() + Duration::from_secs(60);
    a.run_until(until);
    b.run_until(until);
    assert_eq!(a.state_hash(), b.state_hash());
}
