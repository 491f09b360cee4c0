//! `pause`: the sandbox's process. It waits for a signal, and reaps what is left to it as a pod's first process.

use shell::program::{Program, Step};
use shell::sys::{Child, Sys};
use shell::{Disposition, Signal};

#[derive(Clone, Debug, Default)]
struct Pause {
    begun: bool,
}

/// The entry point.
pub fn main(_: Vec<String>) -> Box<dyn Program> {
    Box::new(Pause::default())
}

impl Program for Pause {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begun = true;
            for s in [Signal::INT, Signal::TERM, Signal::CHLD] {
                sys.sigaction(s, Disposition::Catch);
            }
        }
        while let Some(s) = sys.take_signal() {
            if s != Signal::CHLD {
                return Step::Exit(0);
            }
        }
        while let core::task::Poll::Ready(Ok(_)) = sys.wait(Child::Any) {}
        Step::Wait
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
