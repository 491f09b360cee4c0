//! Moves a world with the wall clock and answers what clients ask.

use crate::convert;
use api::wire::{Message, Request};
use apiserver::{Outcome, Watch};
use axum::body::{Body, Bytes};
use axum::response::Response;
use cluster::{Heard, World};
use sim::Instant;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often the world is moved when nobody asks for anything.
const TICK: Duration = Duration::from_millis(10);

type Chunk = Result<Bytes, Infallible>;

/// What a client asks of the world.
enum Input {
    Call { request: Request, answer: oneshot::Sender<Answer> },
    Say(u64, Message),
    HangUp(u64),
}

/// What a request leads to.
pub(crate) enum Answer {
    /// A whole or streamed answer.
    Http(Response),
    /// A conversation with a kubelet, of that number, and what it says.
    Kubelet(u64, mpsc::UnboundedReceiver<Heard>),
}

/// Sends requests to the world.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
}

impl Handle {
    /// Answers a request.
    pub(crate) async fn call(&self, request: Request) -> Answer {
        let gone = || Answer::Http(convert::plain(503, "the cluster has stopped\n"));
        let (answer, got) = oneshot::channel();
        if self.inputs.send(Input::Call { request, answer }).await.is_err() {
            return gone();
        }
        got.await.unwrap_or_else(|_| gone())
    }

    /// Says something in a conversation.
    pub(crate) async fn say(&self, id: u64, message: Message) {
        // A world that has stopped hears nothing.
        let _ = self.inputs.send(Input::Say(id, message)).await;
    }

    /// Ends a conversation.
    pub(crate) async fn hang_up(&self, id: u64) {
        let _ = self.inputs.send(Input::HangUp(id)).await;
    }
}

struct Stream {
    watch: Watch,
    to: mpsc::UnboundedSender<Chunk>,
}

/// Owns a world.
pub struct Driver {
    world: World,
    inputs: mpsc::Receiver<Input>,
    streams: Vec<Stream>,
    kubelets: Vec<(u64, mpsc::UnboundedSender<Heard>)>,
    /// Virtual seconds a second.
    speed: f64,
}

impl Driver {
    /// A driver and the handle to talk to it.
    pub fn new(world: World, speed: f64) -> (Driver, Handle) {
        let (inputs, receiver) = mpsc::channel(1024);
        (
            Driver { world, inputs: receiver, streams: Vec::new(), kubelets: Vec::new(), speed },
            Handle { inputs },
        )
    }

    /// Runs until all handles are gone.
    pub async fn run(mut self) {
        let start = tokio::time::Instant::now();
        let base = self.world.now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let input = tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(c) => Some(c),
                    None => return,
                },
                _ = tick.tick() => None,
            };
            let passed = start.elapsed().as_secs_f64() * self.speed;
            let until = Instant::from_nanos(base.nanos() + (passed * 1e9) as u64);
            self.world.run_until(until);
            match input {
                Some(Input::Call { request, answer }) => {
                    let r = self.answer(&request);
                    // A client that went away needs no answer.
                    let _ = answer.send(r);
                }
                Some(Input::Say(id, m)) => self.world.say(id, &m),
                Some(Input::HangUp(id)) => {
                    self.world.hang_up(id);
                    self.kubelets.retain(|(k, _)| *k != id);
                }
                None => {}
            }
            self.listen();
            self.poll();
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if request.path == "/readyz" && !self.world.nodes_ready() {
            return Answer::Http(convert::plain(503, "nodes are not ready yet\n"));
        }
        match self.world.request(request) {
            Outcome::Done(r) => Answer::Http(convert::response(self.world.api(), &r, request)),
            Outcome::Watch(watch, head) => {
                let (to, from) = mpsc::unbounded_channel::<Chunk>();
                let body = Body::from_stream(futures_util::stream::unfold(from, |mut from| async {
                    let chunk = from.recv().await?;
                    Some((chunk, from))
                }));
                self.streams.push(Stream { watch, to });
                let mut r = convert::head(&head);
                *r.body_mut() = body;
                Answer::Http(r)
            }
            Outcome::Kubelet(call) => {
                let (to, from) = mpsc::unbounded_channel();
                let id = self.world.open(&call);
                self.kubelets.push((id, to));
                Answer::Kubelet(id, from)
            }
        }
    }

    /// Passes on what kubelets say.
    fn listen(&mut self) {
        let world = &mut self.world;
        self.kubelets.retain(|(id, to)| {
            for heard in world.hear(*id) {
                let ends = matches!(heard, Heard::End);
                if to.send(heard).is_err() || ends {
                    world.hang_up(*id);
                    return false;
                }
            }
            true
        });
    }

    fn poll(&mut self) {
        let now = self.world.now();
        let api = self.world.api();
        self.streams.retain_mut(|s| {
            if s.to.is_closed() || s.watch.until.is_some_and(|t| t <= now) {
                return false;
            }
            for e in api.poll_wire(&mut s.watch, now) {
                let ends = e.get("type").text() == "ERROR";
                let line = convert::json(&api.registry, &e) + "\n";
                if s.to.send(Ok(Bytes::from(line))).is_err() || ends {
                    return false;
                }
            }
            true
        });
    }
}
