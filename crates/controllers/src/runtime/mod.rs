//! What controllers share: informers, work queues, the event recorder, and the manager that gives each its turns.
//!
//! Models: client-go's shared informers, rate-limited work queues and event recorder; kube-controller-manager.

mod claim;
mod expect;
pub mod history;
mod informer;
mod pods;
mod queue;

pub use apiserver::Recorder;
pub use claim::claim_pods;
pub use expect::Expectations;
pub use informer::{Informer, Informers, Seen};
pub use pods::*;
pub use queue::{Key, WorkQueue};

use api::Value;
use apiserver::client::Latency;
use apiserver::{ApiServer, Client, Identity, Registry, ResId, Status};
use core::fmt::Debug;
use sim::{Cause, Duration, Instant, Seed, Stream};

/// The places of the resources that controllers use.
#[derive(Clone, Debug)]
pub struct Kinds {
    registry: Registry,
}

impl Kinds {
    /// The places in a registry.
    pub fn new(registry: &Registry) -> Kinds {
        Kinds { registry: registry.clone() }
    }

    /// The place of a built-in resource. Built-in resources are always there; an unknown name is a place that holds
    /// nothing.
    pub fn get(&self, group: &str, plural: &str) -> ResId {
        self.registry
            .iter()
            .find(|r| r.group == group && r.plural == plural)
            .map_or(ResId(u16::MAX), |r| r.id)
    }
}

/// What a reconcile wants to happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing until something changes.
    Done,
    /// The same key again after a while.
    After(Duration),
}

/// Why a reconcile failed; the key comes back with back-off.
#[derive(Debug)]
pub enum Failure {
    /// The API refused something.
    Api(Status),
    /// Something else, in words.
    Other(String),
}

impl From<Status> for Failure {
    fn from(s: Status) -> Failure {
        Failure::Api(s)
    }
}

/// The outcome of a reconcile.
pub type Outcome = Result<Next, Failure>;

/// A controller: explicit state, no memory of its own beyond what it keeps in its fields.
pub trait Controller: Debug + Send + Sync {
    /// Its name, as in `deployment-controller`.
    fn name(&self) -> &'static str;

    /// The source of its events, where that is not its name.
    fn component(&self) -> &'static str {
        self.name()
    }

    /// The resources that it watches.
    fn watches(&self) -> Vec<ResId>;

    /// Puts the keys that a change concerns into the queue.
    fn seen(&mut self, seen: &Seen<'_>, informers: &Informers, queue: &mut WorkQueue);

    /// Brings what a key names closer to what is wanted.
    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome;

    /// A copy of the whole state.
    fn boxed(&self) -> Box<dyn Controller>;
}

impl Clone for Box<dyn Controller> {
    fn clone(&self) -> Self {
        self.boxed()
    }
}

/// What a controller works with in one turn.
pub struct Turn<'a> {
    /// The API.
    pub client: Client<'a>,
    /// Caches, as of the last delivered watch events.
    pub informers: &'a Informers,
    /// Records events.
    pub recorder: &'a mut Recorder,
    /// The controller's queue, for keys to come back to.
    pub queue: &'a mut WorkQueue,
}

impl Turn<'_> {
    /// The turn's clock.
    pub fn now(&self) -> Instant {
        self.client.now
    }

    /// A cached object, if it is there.
    pub fn cached(&self, res: ResId, key: &Key) -> Option<Value> {
        self.informers.get(res, &key.0, &key.1).cloned()
    }

    /// Records an event about an object.
    pub fn event(&mut self, about: &Value, kind: &str, reason: &str, message: &str) {
        self.recorder.record(&mut self.client, about, kind, reason, message);
    }
}

#[derive(Clone, Debug)]
struct Slot {
    controller: Box<dyn Controller>,
    queue: WorkQueue,
    identity: Identity,
    recorder: Recorder,
    chance: Stream,
    busy_until: Instant,
}

/// kube-controller-manager: gives each controller its turns. A clone shares what it can.
#[derive(Clone, Debug)]
pub struct Manager {
    informers: Informers,
    slots: Vec<Slot>,
    last_cause: Cause,
}

impl Manager {
    /// A manager of these controllers.
    pub fn new(seed: Seed, api: &ApiServer, controllers: Vec<Box<dyn Controller>>) -> Manager {
        let mut informers = Informers::default();
        let slots = controllers
            .into_iter()
            .map(|controller| {
                for res in controller.watches() {
                    informers.add(api, res);
                }
                let name = controller.name();
                Slot {
                    queue: WorkQueue::default(),
                    identity: Identity::controller(name),
                    recorder: Recorder::new(controller.component(), seed),
                    chance: seed.stream(name),
                    busy_until: Instant::ZERO,
                    controller,
                }
            })
            .collect();
        Manager { informers, slots, last_cause: Cause::NONE }
    }

    /// The resources that the manager watches.
    pub fn watches(&self) -> impl Iterator<Item = ResId> {
        self.informers.resources()
    }

    /// Takes delivered watch events and gives every idle controller with work one turn. Gives the time at which it
    /// wants to run again without a change.
    pub fn run(&mut self, now: Instant, api: &mut ApiServer) -> Option<Instant> {
        self.deliver(now, api);
        let mut next: Option<Instant> = None;
        let mut sooner = |t: Instant| next = Some(next.map_or(t, |n: Instant| n.min(t)));
        for slot in &mut self.slots {
            if slot.busy_until > now {
                if slot.queue.next_at(slot.busy_until).is_some() {
                    sooner(slot.busy_until);
                }
                continue;
            }
            if let Some((key, cause)) = slot.queue.pop(now) {
                slot.busy_until = turn(slot, &self.informers, api, now, &key, cause);
            }
            if let Some(at) = slot.queue.next_at(slot.busy_until) {
                sooner(at.max(slot.busy_until));
            }
        }
        // Writes of a turn may lie a little ahead: come back when they are visible.
        if let Some(at) = self.informers.next_commit(api) {
            sooner(at);
        }
        next
    }

    fn deliver(&mut self, now: Instant, api: &ApiServer) {
        let changes = self.informers.deliver(now, api);
        for (res, old, new, cause) in &changes {
            self.last_cause = *cause;
            let seen = Seen { res: *res, old, new };
            for slot in &mut self.slots {
                slot.queue.begin(now, *cause);
                slot.controller.seen(&seen, &self.informers, &mut slot.queue);
            }
        }
    }
}

fn turn(
    slot: &mut Slot,
    informers: &Informers,
    api: &mut ApiServer,
    now: Instant,
    key: &Key,
    cause: Cause,
) -> Instant {
    slot.queue.begin(now, cause);
    let client = Client {
        api,
        identity: &slot.identity,
        now,
        cause,
        chance: &mut slot.chance,
        latency: Latency::DEFAULT,
        batch: None,
    };
    let mut t = Turn { client, informers, recorder: &mut slot.recorder, queue: &mut slot.queue };
    let outcome = slot.controller.reconcile(key, &mut t);
    let end = t.client.now;
    slot.queue.begin(end, cause);
    match outcome {
        Ok(next) => {
            slot.queue.forget(key);
            if let Next::After(d) = next {
                slot.queue.add_at(key.clone(), end + d);
            }
        }
        Err(f) => {
            let text = match &f {
                Failure::Api(s) => s.message.as_str(),
                Failure::Other(s) => s.as_str(),
            };
            let subject = format!("{}/{}", key.0, key.1);
            api.trace.add(cause, end, slot.controller.name(), "failure", &subject, text);
            slot.queue.retry(key.clone());
        }
    }
    end
}
