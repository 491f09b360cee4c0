//! The worker that hosts the world.
fn main() {
    www::worker::start();
}
