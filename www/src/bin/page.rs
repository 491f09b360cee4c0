//! The page.
fn main() {
    www::page::start();
}
