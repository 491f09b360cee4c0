//! The client that every component uses: typed calls into the same pipeline that users' requests pass.
//!
//! A component runs in turns of the event loop. Within a turn its calls are answered at once, and each moves the turn's
//! own clock on by the latency of a call: a component that makes ten calls is busy that long, and what it wrote last is
//! seen last.

use crate::auth::{Attributes, User, forbidden_message};
use crate::request::{FieldValidation, PatchType};
use crate::server::Cx;
use crate::{ApiServer, Op, Options, ResId, Status, Verb, Watch};
use api::{SmolStr, Value};
use sim::{Cause, Duration, Instant, Stream};

/// Who a component is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its user.
    pub user: User,
    /// `user-agent` and default field manager.
    pub manager: SmolStr,
}

impl Identity {
    /// A controller of the controller manager, which acts as its own service account.
    pub fn controller(name: &str) -> Identity {
        Identity {
            user: User::service_account("kube-system", name),
            manager: "kube-controller-manager".into(),
        }
    }

    /// A component with a certificate of its own.
    pub fn component(name: &str, groups: &[&str]) -> Identity {
        Identity { user: User::new(name, groups), manager: name.trim_start_matches("system:").into() }
    }
}

/// How long calls take.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Shortest and longest of what only reads.
    pub read: (Duration, Duration),
    /// Shortest and longest of what the store has to make durable.
    pub write: (Duration, Duration),
}

/// One write in so many waits for the disk or a busy server.
const SLOW_EACH: u64 = 6;

impl Latency {
    /// A small control plane whose store writes to a disk.
    pub const DEFAULT: Latency = Latency {
        read: (Duration::from_micros(900), Duration::from_micros(2_600)),
        write: (Duration::from_millis(4), Duration::from_millis(12)),
    };
}

/// A component's access to the API for one turn.
pub struct Client<'a> {
    /// The server.
    pub api: &'a mut ApiServer,
    /// Who calls.
    pub identity: &'a Identity,
    /// The turn's clock: moves on with each call.
    pub now: Instant,
    /// What led to the turn.
    pub cause: Cause,
    /// Chance of the component, for latencies.
    pub chance: &'a mut Stream,
    /// Latency of calls.
    pub latency: Latency,
    /// Start and latest end of a batch of concurrent calls, while one is open.
    pub batch: Option<(Instant, Instant)>,
}

impl Client<'_> {
    /// Runs calls as if they were sent at once: together they take as long as the slowest.
    pub fn concurrently<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.batch.replace((self.now, self.now));
        let result = f(self);
        if let Some((_, end)) = core::mem::replace(&mut self.batch, outer) {
            self.now = end;
        }
        result
    }

    /// Runs calls that nobody waits for, as the recording of events: the turn's clock stays.
    pub fn aside<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let now = self.now;
        let result = f(self);
        self.now = now;
        result
    }

    /// The place of a resource.
    pub fn resource(&self, group: &str, plural: &str) -> Option<ResId> {
        self.api.resource(group, plural)
    }

    /// RFC 3339 of the turn's clock.
    pub fn timestamp(&self) -> String {
        self.api.timestamp(self.now)
    }

    /// RFC 3339 with microseconds.
    pub fn timestamp_micro(&self) -> String {
        self.api.settings.epoch.civil(self.now).rfc3339_micro()
    }

    fn op(&self, verb: Verb, res: ResId, sub: &str, namespace: &str, name: &str, body: Value) -> Op {
        let options = Options {
            field_manager: self.identity.manager.clone(),
            field_validation: FieldValidation::Ignore,
            ..Options::default()
        };
        Op { verb, res, sub: sub.into(), namespace: namespace.into(), name: name.into(), body, options }
    }

    /// Runs an operation under the component's identity.
    pub fn run(&mut self, op: Op) -> Result<Value, Status> {
        let (min, max) = match op.verb {
            Verb::Get | Verb::List | Verb::Watch => self.latency.read,
            _ => self.latency.write,
        };
        let took = match self.chance.below(SLOW_EACH) {
            0 if max == self.latency.write.1 => self.chance.between(max, max * 5),
            _ => self.chance.between(min, max),
        };
        match &mut self.batch {
            Some((start, end)) => {
                self.now = *start + took;
                *end = (*end).max(self.now);
                // The server's work on one call keeps it from the next a little.
                *start += took / 8;
            }
            None => self.now += took,
        }
        let r = self.api.registry.get(op.res).clone();
        let a = Attributes {
            verb: op.verb.as_str(),
            group: &r.group,
            version: &r.version,
            resource: &r.plural,
            sub: &op.sub,
            namespace: &op.namespace,
            name: &op.name,
            path: "",
        };
        if self.api.authorize(&self.identity.user, &a).is_none() {
            let why = forbidden_message(&self.identity.user, &a);
            return Err(Status::forbidden(&r.group, &r.plural, &op.name, &why));
        }
        let mut cx = Cx {
            now: self.now,
            cause: self.cause,
            user: self.identity.user.clone(),
            agent: self.identity.manager.clone(),
            warnings: Vec::new(),
        };
        self.api.execute(&mut cx, op).map(|(_, v)| v)
    }

    /// Reads an object.
    pub fn get(&mut self, res: ResId, namespace: &str, name: &str) -> Result<Value, Status> {
        self.run(self.op(Verb::Get, res, "", namespace, name, Value::Null))
    }

    /// Reads an object's subresource, as `scale`.
    pub fn get_sub(&mut self, res: ResId, sub: &str, namespace: &str, name: &str) -> Result<Value, Status> {
        self.run(self.op(Verb::Get, res, sub, namespace, name, Value::Null))
    }

    /// Lists objects, of all namespaces if `namespace` is "".
    pub fn list(&mut self, res: ResId, namespace: &str) -> Result<Vec<Value>, Status> {
        let v = self.run(self.op(Verb::List, res, "", namespace, "", Value::Null))?;
        Ok(v.get("items").items().cloned().collect())
    }

    /// Creates an object in a namespace.
    pub fn create(&mut self, res: ResId, namespace: &str, v: Value) -> Result<Value, Status> {
        self.run(self.op(Verb::Create, res, "", namespace, "", v))
    }

    /// Creates a subresource, as a binding or an eviction.
    pub fn create_sub(
        &mut self,
        res: ResId,
        sub: &str,
        namespace: &str,
        name: &str,
        v: Value,
    ) -> Result<Value, Status> {
        self.run(self.op(Verb::Create, res, sub, namespace, name, v))
    }

    /// Replaces an object.
    pub fn update(&mut self, res: ResId, v: Value) -> Result<Value, Status> {
        let (ns, name) = (v.namespace().to_owned(), v.name().to_owned());
        self.run(self.op(Verb::Update, res, "", &ns, &name, v))
    }

    /// Replaces an object's subresource, mostly `status`.
    pub fn update_sub(&mut self, res: ResId, sub: &str, v: Value) -> Result<Value, Status> {
        let (ns, name) = (v.namespace().to_owned(), v.name().to_owned());
        self.run(self.op(Verb::Update, res, sub, &ns, &name, v))
    }

    /// Patches an object or subresource.
    pub fn patch(
        &mut self,
        res: ResId,
        sub: &str,
        namespace: &str,
        name: &str,
        kind: PatchType,
        patch: Value,
    ) -> Result<Value, Status> {
        let mut op = self.op(Verb::Patch, res, sub, namespace, name, patch);
        op.options.patch = Some(kind);
        self.run(op)
    }

    /// Merge patch.
    pub fn merge(
        &mut self,
        res: ResId,
        sub: &str,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<Value, Status> {
        self.patch(res, sub, namespace, name, PatchType::Merge, patch)
    }

    /// Deletes an object; `options` as in `DeleteOptions`, or null.
    pub fn delete(
        &mut self,
        res: ResId,
        namespace: &str,
        name: &str,
        options: Value,
    ) -> Result<Value, Status> {
        let mut op = self.op(Verb::Delete, res, "", namespace, name, Value::Null);
        op.options.delete = options;
        self.run(op)
    }

    /// Opens a watch that begins with the state as of now.
    pub fn watch(&mut self, res: ResId) -> Watch {
        let mut w = Watch::new(res, self.api.store.revision());
        let storage = self.api.registry.get(res).storage;
        w.initial = self.api.store.list(storage, None, None).map(|(_, v)| v.clone()).collect();
        w
    }
}

pub use crate::request::PatchType as Patch;
