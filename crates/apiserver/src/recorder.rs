//! Events: recorded once, counted when they recur, aggregated when many are alike.
//!
//! Models: client-go's EventRecorder with its correlator (the same event within ten minutes counts up; the tenth
//! similar one becomes `(combined from similar events): …`; an object has 25 at once and one more each five minutes).

use crate::Client;
use api::{SmolStr, Value, obj};
use sim::persistent::OrdMap;
use sim::{Duration, Epoch, Instant, Seed, Stream};

/// The how manieth of similar events within [`WINDOW_S`] is combined with those that follow.
const SIMILAR_MAX: usize = 10;
const COMBINED: &str = "(combined from similar events): ";
/// Events that an object may have at once, and seconds until it may have one more.
const SPAM_BURST: u64 = 25;
const SPAM_REFILL_S: u64 = 300;
const WINDOW_S: u64 = 600;
/// Remembered events; upstream's LRU has 4096.
const REMEMBERED_MAX: usize = 4096;

#[derive(Clone, Debug)]
struct Recorded {
    name: SmolStr,
    namespace: SmolStr,
    count: i64,
    last: Instant,
}

#[derive(Clone, Debug, Default)]
struct Similar {
    messages: sim::persistent::OrdSet<SmolStr>,
    last: Instant,
}

/// Records a component's events. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Recorder {
    component: SmolStr,
    host: SmolStr,
    recorded: OrdMap<SmolStr, Recorded>,
    similar: OrdMap<SmolStr, Similar>,
    /// Events of an object that count against its burst, and since when.
    spent: OrdMap<SmolStr, (u64, Instant)>,
    chance: Stream,
}

/// The name of a new event: its object's and the nanoseconds since 1970, so that names sort by time.
pub fn event_name(about: &str, epoch: Epoch, now: Instant, chance: &mut Stream) -> SmolStr {
    /// Clocks are finer than the simulation's steps.
    const BELOW_STEP_NS: u64 = 1_000_000;
    let ns = (epoch.0.max(0) as u64).saturating_mul(1_000_000_000).saturating_add(now.nanos());
    format!("{about}.{:x}", ns.saturating_add(chance.below(BELOW_STEP_NS))).into()
}

impl Recorder {
    /// A recorder for a component.
    pub fn new(component: &str, seed: Seed) -> Recorder {
        Recorder {
            component: component.into(),
            host: SmolStr::default(),
            recorded: OrdMap::new(),
            similar: OrdMap::new(),
            spent: OrdMap::new(),
            chance: seed.stream(&format!("events/{component}")),
        }
    }

    /// The same for a component of a node.
    pub fn on_host(component: &str, host: &str, seed: Seed) -> Recorder {
        let mut r = Recorder::new(&format!("{component}/{host}"), seed);
        r.component = component.into();
        r.host = host.into();
        r
    }

    /// Records an event about an object. The API call goes aside: nobody waits for it, and its failure is lost.
    pub fn record(
        &mut self,
        client: &mut Client<'_>,
        about: &Value,
        kind: &str,
        reason: &str,
        message: &str,
    ) {
        self.record_at(client, about, "", kind, reason, message);
    }

    /// The same about a part of an object, `spec.containers{main}`.
    pub fn record_at(
        &mut self,
        client: &mut Client<'_>,
        about: &Value,
        path: &str,
        kind: &str,
        reason: &str,
        message: &str,
    ) {
        let now = client.now;
        let target = reference(about, path);
        let object =
            ["kind", "namespace", "name", "uid", "apiVersion"].map(|k| target.get(k).text()).join("|");
        let similar: SmolStr = format!("{object}|{kind}|{reason}").into();
        let (message, key) = match self.combined(&similar, now, message) {
            Some(combined) => (combined, similar),
            None => (message.into(), format!("{similar}|{path}|{message}").into()),
        };
        if !self.allowed(object.into(), now) {
            return;
        }
        let time = client.timestamp();
        let Some(res) = client.resource("", "events") else { return };
        if let Some(r) = self.recorded.get_mut(&key)
            && now.since(r.last).as_secs() < WINDOW_S
        {
            r.count += 1;
            r.last = now;
            let r = r.clone();
            let patch = obj!({"count": r.count, "lastTimestamp": time.as_str(), "message": message.as_str()});
            let done = client.aside(|c| c.merge(res, "", &r.namespace, &r.name, patch));
            if done.is_ok() {
                return;
            }
        }
        let namespace: SmolStr = match about.namespace() {
            "" => "default".into(),
            ns => ns.into(),
        };
        let name = event_name(about.name(), client.api.settings.epoch, now, &mut self.chance);
        let mut source = obj!({"component": &self.component});
        if !self.host.is_empty() {
            source.insert("host", &self.host);
        }
        let mut event = obj!({
            "metadata": {"name": &name, "namespace": &namespace},
            "involvedObject": target,
            "reason": reason,
            "message": message.as_str(),
            "source": source,
            "firstTimestamp": time.as_str(),
            "lastTimestamp": time.as_str(),
            "count": 1,
            "type": kind,
            "eventTime": null,
            "reportingComponent": &self.component,
            "reportingInstance": &self.host
        });
        if message.starts_with(COMBINED) {
            event.insert("reportingComponent", "");
            event.insert("reportingInstance", "");
        }
        if client.aside(|c| c.create(res, &namespace, event)).is_ok() {
            while self.recorded.len() >= REMEMBERED_MAX {
                let Some(k) = self.recorded.iter().min_by_key(|(_, r)| r.last).map(|(k, _)| k.clone()) else {
                    break;
                };
                self.recorded.remove(&k);
            }
            self.recorded.insert(key, Recorded { name, namespace, count: 1, last: now });
        }
    }

    /// What stands for an event once too many similar ones came. Models: `EventAggregator`.
    fn combined(&mut self, key: &SmolStr, now: Instant, message: &str) -> Option<SmolStr> {
        let s = self.similar.entry(key.clone()).or_default();
        if now.since(s.last).as_secs() > WINDOW_S {
            *s = Similar::default();
        }
        s.last = now;
        s.messages.insert(message.into());
        if s.messages.len() < SIMILAR_MAX {
            return None;
        }
        s.messages.pop_min();
        Some(format!("{COMBINED}{message}").into())
    }

    /// Whether an object may have another event. Models: `EventSourceObjectSpamFilter`.
    fn allowed(&mut self, object: SmolStr, now: Instant) -> bool {
        let (spent, since) = self.spent.entry(object).or_insert((0, now));
        let refilled = now.since(*since).as_secs() / SPAM_REFILL_S;
        *spent = spent.saturating_sub(refilled);
        *since = if *spent == 0 { now } else { *since + Duration::from_secs(refilled * SPAM_REFILL_S) };
        let ok = *spent < SPAM_BURST;
        *spent += u64::from(ok);
        ok
    }
}

/// An ObjectReference to an object.
pub fn reference(v: &Value, path: &str) -> Value {
    let mut r = obj!({"kind": v.kind(), "name": v.name(), "uid": v.uid(), "apiVersion": v.api_version()});
    if !v.namespace().is_empty() {
        r.insert("namespace", v.namespace());
    }
    let rv = v.at(&["metadata", "resourceVersion"]).text();
    // Kubelets and node controllers refer to nodes by name only.
    if !rv.is_empty() && path.is_empty() {
        r.insert("resourceVersion", rv);
    }
    if !path.is_empty() {
        r.insert("fieldPath", path);
    }
    r
}
