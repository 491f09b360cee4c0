//! The scheduler's events, which use `events.k8s.io`: recurring ones become a series.
//!
//! Models: client-go's `tools/events`: equal but for their text, the second makes a series of two, later ones are only
//! counted until the series is refreshed.

use api::{SmolStr, Value, obj};
use apiserver::Client;
use sim::persistent::OrdMap;
use sim::{Instant, Seed, Stream};

/// A series ends when nothing came for this long. Models: `finishTime`.
const FINISH_S: u64 = 360;

#[derive(Clone, Debug)]
struct Series {
    namespace: SmolStr,
    name: SmolStr,
    count: i64,
    last: Instant,
}

/// Records events. A clone shares its content.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    known: OrdMap<SmolStr, Series>,
    instance: SmolStr,
    chance: Stream,
}

impl Recorder {
    pub(crate) fn new(seed: Seed, host: &str) -> Recorder {
        let instance = format!("default-scheduler-{host}").into();
        Recorder { known: OrdMap::new(), instance, chance: seed.stream("events/default-scheduler") }
    }

    pub(crate) fn record(
        &mut self,
        client: &mut Client<'_>,
        pod: &Value,
        (kind, reason, action): (&str, &str, &str),
        note: &str,
        related: Option<&Value>,
    ) {
        let Some(res) = client.resource("", "events") else { return };
        let now = client.now;
        let time = client.timestamp_micro();
        let key: SmolStr =
            format!("{}|{kind}|{reason}|{action}|{}", pod.uid(), related.map_or("", |r| r.uid())).into();
        if let Some(s) = self.known.get_mut(&key)
            && now.since(s.last).as_secs() < FINISH_S
        {
            s.count += 1;
            s.last = now;
            let s = s.clone();
            if s.count == 2 {
                let patch = obj!({"series": {"count": 2, "lastObservedTime": time}});
                let _ = client.aside(|c| c.merge(res, "", &s.namespace, &s.name, patch));
            }
            return;
        }
        let reference = |v: &Value| {
            obj!({
                "kind": v.kind(), "namespace": v.namespace(), "name": v.name(), "uid": v.uid(),
                "apiVersion": v.api_version(), "resourceVersion": v.at(&["metadata", "resourceVersion"])
            })
        };
        let epoch = client.api.settings.epoch;
        let name: SmolStr = apiserver::recorder::event_name(pod.name(), epoch, client.now, &mut self.chance);
        let namespace: SmolStr = pod.namespace().into();
        let mut e = obj!({
            "metadata": {"name": &name, "namespace": &namespace},
            "involvedObject": reference(pod), "reason": reason, "message": note, "type": kind, "action": action,
            "eventTime": time, "firstTimestamp": null, "lastTimestamp": null, "source": {},
            "reportingComponent": "default-scheduler", "reportingInstance": &self.instance
        });
        if let Some(r) = related {
            e.insert("related", reference(r));
        }
        if client.aside(|c| c.create(res, &namespace, e)).is_ok() {
            self.known.insert(key, Series { namespace, name, count: 1, last: now });
        }
        if self.known.len() > 4096
            && let Some(k) = self.known.iter().min_by_key(|(_, s)| s.last).map(|(k, _)| k.clone())
        {
            self.known.remove(&k);
        }
    }
}
