//! Informers: caches fed by watches.

use api::Value;
use apiserver::store::Name;
use apiserver::{ApiServer, ChangeKind, ResId, Watch};
use sim::persistent::OrdMap;
use sim::{Cause, Instant};

/// A change as handlers see it. Exactly one of the two is null for an addition or a deletion.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The resource.
    pub res: ResId,
    /// Before.
    pub old: &'a Value,
    /// After.
    pub new: &'a Value,
}

impl<'a> Seen<'a> {
    /// The object after, or before if it is gone.
    pub fn object(&self) -> &'a Value {
        if self.new.is_null() { self.old } else { self.new }
    }

    /// Its key.
    pub fn key(&self) -> super::Key {
        super::key_of(self.object())
    }
}

/// The cache of one resource.
#[derive(Clone, Debug)]
pub struct Informer {
    watch: Watch,
    objects: OrdMap<Name, Value>,
}

/// All caches of a component. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub struct Informers {
    all: OrdMap<ResId, Informer>,
}

impl Informers {
    /// Starts a cache, once.
    pub fn add(&mut self, api: &ApiServer, res: ResId) {
        if res != ResId(u16::MAX) && !self.all.contains_key(&res) {
            let mut watch = Watch::new(res, api.store.revision());
            watch.initial = api.store.list(res, None, None).map(|(_, v)| v.clone()).collect();
            self.all.insert(res, Informer { watch, objects: OrdMap::new() });
        }
    }

    /// The resources cached.
    pub fn resources(&self) -> impl Iterator<Item = ResId> {
        self.all.keys().copied()
    }

    /// A cached object.
    pub fn get(&self, res: ResId, namespace: &str, name: &str) -> Option<&Value> {
        self.all.get(&res)?.objects.get(&(namespace.into(), name.into()))
    }

    /// Cached objects of a namespace, or all if it is "".
    pub fn list<'a>(&'a self, res: ResId, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        let start: Name = (namespace.into(), "".into());
        self.all
            .get(&res)
            .into_iter()
            .flat_map(move |i| i.objects.range(start.clone()..))
            .take_while(move |((ns, _), _)| namespace.is_empty() || ns == namespace)
            .map(|(_, v)| v)
    }

    /// Takes what watches have delivered by `now`; gives the changes: resource, before, after, cause.
    pub fn deliver(&mut self, now: Instant, api: &ApiServer) -> Vec<(ResId, Value, Value, Cause)> {
        let mut out = Vec::new();
        let due: Vec<ResId> = self
            .all
            .iter()
            .filter(|(_, i)| {
                !i.watch.initial.is_empty() || api.next_commit(&i.watch).is_some_and(|at| at <= now)
            })
            .map(|(r, _)| *r)
            .collect();
        for res in due {
            let Some(i) = self.all.get_mut(&res) else { continue };
            let events = match api.poll(&mut i.watch, now) {
                Ok(events) => events,
                Err(_) => {
                    // Too far behind: list again, as a reflector does.
                    relist(i, api, res, &mut out);
                    continue;
                }
            };
            for e in events {
                let key: Name = (e.object.namespace().into(), e.object.name().into());
                let (old, new) = match e.kind {
                    ChangeKind::Deleted => (i.objects.remove(&key).unwrap_or_default(), Value::Null),
                    _ => (i.objects.insert(key, e.object.clone()).unwrap_or_default(), e.object),
                };
                if old.is_some() || new.is_some() {
                    out.push((res, old, new, e.cause));
                }
            }
        }
        out
    }

    /// When the next change that no cache has seen is committed.
    pub fn next_commit(&self, api: &ApiServer) -> Option<Instant> {
        self.all.values().filter_map(|i| api.next_commit(&i.watch)).min()
    }
}

fn relist(i: &mut Informer, api: &ApiServer, res: ResId, out: &mut Vec<(ResId, Value, Value, Cause)>) {
    let fresh: OrdMap<Name, Value> =
        api.store.list(res, None, None).map(|(k, v)| (k.clone(), v.clone())).collect();
    for (k, old) in &i.objects {
        if !fresh.contains_key(k) {
            out.push((res, old.clone(), Value::Null, Cause::NONE));
        }
    }
    for (k, new) in &fresh {
        let old = i.objects.get(k).cloned().unwrap_or_default();
        if &old != new {
            out.push((res, old, new.clone(), Cause::NONE));
        }
    }
    i.objects = fresh;
    i.watch.revision = api.store.revision();
}
