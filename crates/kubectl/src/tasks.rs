//! What may run without end: watches, waiting, logs, streams. Each turn is replayed as a command is, then forgotten.

use crate::command;
use crate::commands::{delete, drain, events, get, logs, port_forward, proxy, rollout, stream, wait};
use crate::cx::{Cx, Done};
use std::sync::Arc;

/// What a run does next.
#[derive(Clone, Debug)]
pub enum Task {
    /// A command line.
    Command(Arc<[String]>),
    /// `get -w`
    Watch(get::Watch),
    /// `events -w`
    Events(events::Follow),
    /// Waits until objects are gone.
    Gone(delete::Gone),
    /// `logs -f`
    Logs(logs::Follow),
    /// `port-forward`
    Forward(port_forward::Forward),
    /// `proxy`
    Proxy(proxy::Proxy),
    /// `drain`
    Drain(drain::Draining),
    /// `exec`, `attach`
    Stream(stream::Session),
    /// `rollout status`
    Rollout(rollout::Status),
    /// `wait`
    Wait(wait::Waiting),
}

impl Task {
    /// One turn; gives the exit code at the end.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        match self {
            Task::Command(args) => command::main(cx, &args.clone()).map(|()| Some(0)),
            Task::Watch(t) => t.turn(cx),
            Task::Events(t) => t.turn(cx),
            Task::Gone(t) => t.turn(cx),
            Task::Logs(t) => t.turn(cx),
            Task::Forward(t) => t.turn(cx),
            Task::Proxy(t) => t.turn(cx),
            Task::Drain(t) => t.turn(cx),
            Task::Stream(t) => t.turn(cx),
            Task::Rollout(t) => t.turn(cx),
            Task::Wait(t) => t.turn(cx),
        }
    }
}
