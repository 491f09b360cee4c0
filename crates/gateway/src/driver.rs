//! Moves a world with the wall clock and answers what clients ask.

use crate::convert;
use api::wire::Request;
use apiserver::{Outcome, Watch};
use axum::body::{Body, Bytes};
use axum::response::Response;
use cluster::World;
use sim::Instant;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often the world is moved when nobody asks for anything.
const TICK: Duration = Duration::from_millis(10);

type Chunk = Result<Bytes, Infallible>;

struct Call {
    request: Request,
    answer: oneshot::Sender<Response>,
}

/// Sends requests to the world.
#[derive(Clone)]
pub struct Handle {
    calls: mpsc::Sender<Call>,
}

impl Handle {
    /// Answers a request.
    pub(crate) async fn call(&self, request: Request) -> Response {
        let (answer, got) = oneshot::channel();
        if self.calls.send(Call { request, answer }).await.is_err() {
            return convert::plain(503, "the cluster has stopped\n");
        }
        got.await.unwrap_or_else(|_| convert::plain(503, "the cluster has stopped\n"))
    }
}

struct Stream {
    watch: Watch,
    to: mpsc::UnboundedSender<Chunk>,
}

/// Owns a world.
pub struct Driver {
    world: World,
    calls: mpsc::Receiver<Call>,
    streams: Vec<Stream>,
    /// Virtual seconds a second.
    speed: f64,
}

impl Driver {
    /// A driver and the handle to talk to it.
    pub fn new(world: World, speed: f64) -> (Driver, Handle) {
        let (calls, receiver) = mpsc::channel(1024);
        (Driver { world, calls: receiver, streams: Vec::new(), speed }, Handle { calls })
    }

    /// Runs until all handles are gone.
    pub async fn run(mut self) {
        let start = tokio::time::Instant::now();
        let base = self.world.now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let call = tokio::select! {
                call = self.calls.recv() => match call {
                    Some(c) => Some(c),
                    None => return,
                },
                _ = tick.tick() => None,
            };
            let passed = start.elapsed().as_secs_f64() * self.speed;
            let until = Instant::from_nanos(base.nanos() + (passed * 1e9) as u64);
            self.world.run_until(until);
            if let Some(c) = call {
                let r = self.answer(&c.request);
                // A client that went away needs no answer.
                let _ = c.answer.send(r);
            }
            self.poll();
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        if request.path == "/readyz" && !self.world.nodes_ready() {
            return convert::plain(503, "nodes are not ready yet\n");
        }
        match self.world.request(request) {
            Outcome::Done(r) => convert::response(self.world.api(), &r, convert::wants_pretty(request)),
            Outcome::Watch(watch, head) => {
                let (to, from) = mpsc::unbounded_channel::<Chunk>();
                let body = Body::from_stream(futures_util::stream::unfold(from, |mut from| async {
                    let chunk = from.recv().await?;
                    Some((chunk, from))
                }));
                self.streams.push(Stream { watch, to });
                let mut r = convert::head(&head);
                *r.body_mut() = body;
                r
            }
            Outcome::Kubelet(_) => {
                let s = apiserver::Status::internal("no kubelet answers for this node");
                convert::response(self.world.api(), &api::wire::Response::object(500, s.to_value()), false)
            }
        }
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
