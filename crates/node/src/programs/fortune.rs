//! `fortune`: a saying, another each time.

use shell::io::Output;
use shell::program::{Program, Step};
use shell::sys::Sys;

const SAYINGS: [&str; 12] = [
    "A watched pod never boils, but it does become Ready.",
    "He who deletes the pod by hand will meet its replacement.",
    "Label your things today; select them tomorrow.",
    "Your next rollout will be uneventful. Enjoy it.",
    "A probe that asks too early gets the answer it deserves.",
    "Patience: the back-off doubles, and so does wisdom.",
    "There is no place like 127.0.0.1, except in another pod.",
    "Declare what you want and let others worry how.",
    "The cattle are fine. Please stop naming them.",
    "An image without a tag is a promise without a date.",
    "You will soon read a log that explains everything.",
    "Even the scheduler cannot place you everywhere at once.",
];

#[derive(Clone, Debug, Default)]
struct Fortune {
    out: Option<Output>,
}

/// The entry point.
pub fn main(_: Vec<String>) -> Box<dyn Program> {
    Box::new(Fortune::default())
}

impl Program for Fortune {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.out.is_none() {
            let n = (sys.random() % SAYINGS.len() as u64) as usize;
            let mut o = Output::default();
            o.out(SAYINGS.get(n).copied().unwrap_or_default());
            o.out("\n");
            self.out = Some(o);
        }
        let Some(o) = &mut self.out else { return Step::Exit(0) };
        if o.flush(sys).is_pending() { Step::Wait } else { Step::Exit(0) }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
