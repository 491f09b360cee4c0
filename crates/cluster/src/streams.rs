//! Conversations between processes and the API server: answers on their way, watches that are open.

use api::wire::{Message, Response};
use apiserver::Watch;
use shell::kernel::RpcId;

/// A watch that a process reads.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub watch: Watch,
    /// Whether its events go out as JSON lines.
    pub http: bool,
}

/// What comes back to a process.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The answer, or the head of a stream.
    Head(Box<Response>),
    /// A message of a stream.
    Message(Message),
    /// The end.
    End,
}

/// A conversation by its host and number.
pub(crate) type Conversation = (usize, RpcId);
