//! Who manages which fields: `metadata.managedFields` on every write, and server-side apply.
//!
//! Models: `managedfields` of apimachinery and structured-merge-diff's `merge.Updater`.

mod fieldset;
mod walk;

use crate::server::Cx;
use crate::{ApiServer, Op, Resource, Status};
use api::{SmolStr, Value, gostruct, obj};
use walk::{Sch, root};

/// Fields that nobody manages.
const UNMANAGED: [&[&str]; 10] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

/// Entries of updates beyond this are joined into one. Models: `capManagersManager`.
const UPDATERS_MAX: usize = 10;

/// A manager's entry.
#[derive(Clone, PartialEq)]
struct Entry {
    manager: SmolStr,
    apply: bool,
    version: SmolStr,
    time: SmolStr,
    set: Value,
    sub: SmolStr,
}

impl Entry {
    fn read(v: &Value) -> Entry {
        Entry {
            manager: v.get("manager").smol(),
            apply: v.get("operation").text() == "Apply",
            version: v.get("apiVersion").smol(),
            time: v.get("time").smol(),
            set: v.get("fieldsV1").clone(),
            sub: v.get("subresource").smol(),
        }
    }

    fn write(&self) -> Value {
        let mut v = obj!({
            "manager": &self.manager, "operation": if self.apply { "Apply" } else { "Update" },
            "apiVersion": &self.version, "fieldsType": "FieldsV1", "fieldsV1": &self.set
        });
        if !self.time.is_empty() {
            v.insert("time", &self.time);
        }
        if !self.sub.is_empty() {
            v.insert("subresource", &self.sub);
        }
        v
    }

    /// As conflicts name it: `"m4" using v1`.
    fn shown(&self) -> String {
        let mut s = format!("{:?}", self.manager.as_str());
        if !self.sub.is_empty() {
            s += &format!(" with subresource {:?}", self.sub.as_str());
        }
        if !self.apply {
            s += &format!(" using {}", self.version);
        }
        s
    }
}

fn read(v: &Value) -> Vec<Entry> {
    v.at(&["metadata", "managedFields"]).items().map(Entry::read).collect()
}

fn write(v: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|e| !fieldset::is_empty(&e.set));
    let key = |e: &Entry| (!e.apply, e.time.clone(), e.manager.clone(), e.version.clone(), e.sub.clone());
    entries.sort_by_key(key);
    let updaters = entries.iter().filter(|e| !e.apply).count();
    if updaters > UPDATERS_MAX {
        join_oldest(&mut entries, updaters - UPDATERS_MAX + 1);
    }
    if entries.is_empty() {
        v.remove(&["metadata", "managedFields"]);
    } else {
        let list: Value = entries.iter().map(Entry::write).collect();
        v.set(&["metadata", "managedFields"], list);
    }
}

fn join_oldest(entries: &mut Vec<Entry>, n: usize) {
    let Some(first) = entries.iter().position(|e| !e.apply) else { return };
    let end = (first + n).min(entries.len());
    let old: Vec<Entry> = entries.drain(first..end).collect();
    let set = old.iter().fold(Value::Null, |a, e| fieldset::union(&a, &e.set));
    let last = old.last().cloned();
    if let Some(mut e) = last {
        e.manager = "ancient-changes".into();
        e.set = set;
        entries.insert(first, e);
    }
}

fn managed_only(s: &Resource, set: Value, sub: &str, has_status: bool) -> Value {
    let mut set = set;
    for path in UNMANAGED {
        if set.at(path).is_some() {
            set = fieldset::without(&set, path);
        }
    }
    // A write by the main resource does not touch the status, one of the status not the spec.
    if matches!(sub, "" | "scale") && has_status && set.get("f:status").is_some() {
        set = fieldset::without(&set, &["f:status"]);
    } else if sub == "status" && set.get("f:spec").is_some() {
        set = fieldset::without(&set, &["f:spec"]);
    }
    // The spec of a signing request is reset by every write, and so nobody's.
    if s.kind == "CertificateSigningRequest" && set.get("f:spec").is_some() {
        set = fieldset::without(&set, &["f:spec"]);
    }
    set
}

fn schema(s: &Resource) -> Sch<'_> {
    root(s.ty, s.custom.at(&["schema", "openAPIV3Schema"]))
}

fn has_status(s: &Resource) -> bool {
    s.subresources().iter().any(|x| x == "status")
}

/// The empty object of a type as Go would print it: what a new object is compared with.
fn empty(s: &Resource) -> Value {
    let mut v = Value::map();
    if let Some(ty) = s.ty {
        gostruct::fill(ty, &mut v);
    }
    v
}

impl ApiServer {
    fn manager_of(&self, cx: &Cx, op: &Op) -> SmolStr {
        if !op.options.field_manager.is_empty() {
            return op.options.field_manager.clone();
        }
        let agent = cx.agent.split('/').next().unwrap_or("");
        if agent.is_empty() { "unknown".into() } else { agent.into() }
    }

    /// Notes who manages what after a create or update, before admission. `old` is null on create.
    pub(crate) fn track(
        &mut self,
        cx: &Cx,
        r: &Resource,
        s: &Resource,
        op: &Op,
        old: &Value,
        new: &mut Value,
    ) {
        if s.kind == "Event" && op.options.field_manager.is_empty() {
            return;
        }
        let given = new.at(&["metadata", "managedFields"]);
        let reset = given.len() == 1 && given.items().all(|e| e.is_empty());
        if reset {
            new.remove(&["metadata", "managedFields"]);
            return;
        }
        let mut entries =
            if !given.is_empty() && op.verb != crate::Verb::Create { read(new) } else { read(old) };
        // What nobody tracks so far stays so until someone applies.
        if old.is_some() && entries.is_empty() {
            new.remove(&["metadata", "managedFields"]);
            return;
        }
        let mut filled = new.clone();
        if let Some(ty) = s.ty {
            gostruct::fill(ty, &mut filled);
        }
        let fresh;
        let before = if old.is_null() {
            fresh = empty(s);
            &fresh
        } else {
            old
        };
        let c = walk::compare(schema(s), before, &filled);
        let with_status = has_status(s);
        let mine = managed_only(s, c.set, &op.sub, with_status);
        let gone = c.removed;
        let version = if r.old.is_some() { s.api_version() } else { r.api_version() };
        let name = self.manager_of(cx, op);
        let is_mine = |e: &Entry| !e.apply && e.manager == name && e.version == version && e.sub == op.sub;
        let touches = !fieldset::is_empty(&mine);
        for e in entries.iter_mut() {
            let was = e.set.clone();
            e.set = fieldset::difference(&e.set, &gone);
            if !is_mine(e) {
                e.set = fieldset::difference(&e.set, &mine);
            } else if touches {
                e.set = fieldset::union(&e.set, &mine);
                if e.set != was {
                    e.time = self.timestamp(cx.now).into();
                }
            }
        }
        if touches && !entries.iter().any(is_mine) {
            entries.push(Entry {
                manager: name,
                apply: false,
                version,
                time: self.timestamp(cx.now).into(),
                set: mine,
                sub: op.sub.clone(),
            });
        }
        for e in entries.iter_mut() {
            e.set = self.intern(core::mem::take(&mut e.set));
        }
        write(new, entries);
    }

    /// One copy of a set for all objects that have it.
    fn intern(&mut self, set: Value) -> Value {
        /// Sets kept; beyond this the table begins anew.
        const SETS_MAX: usize = 4096;
        let mut h = sim::Hasher::default();
        set.hash_into(&mut h);
        let key = h.digest();
        if let Some(known) = self.field_sets.get(&key)
            && *known == set
        {
            return known.clone();
        }
        if self.field_sets.len() >= SETS_MAX {
            self.field_sets.clear();
        }
        self.field_sets.insert(key, set.clone());
        set
    }

    /// Server-side apply onto an object, null if it does not exist yet: the object as it shall be, with its managers.
    pub(crate) fn applied(
        &mut self,
        cx: &mut Cx,
        r: &Resource,
        op: &Op,
        live: &Value,
    ) -> Result<Value, Status> {
        let s = self.registry.get(r.storage).clone();
        let sch = schema(r);
        let mut config = op.body.clone();
        self.modernise(cx, r, &mut config);
        if config.at(&["metadata", "managedFields"]).is_some() {
            let m = "metadata.managedFields must be nil";
            return Err(Status::bad_request(m));
        }
        let wrong = walk::misfits(sch, &config);
        if !wrong.is_empty() {
            let (group, version) = config.api_version().split_once('/').unwrap_or(("", config.api_version()));
            let list = match &wrong[..] {
                [one] => one.clone(),
                many => format!("errors:\n  {}", many.join("\n  ")),
            };
            let m = format!(
                "failed to create typed patch object ({}/{}; {group}/{version}, Kind={}): {list}",
                config.namespace(),
                config.name(),
                config.kind()
            );
            return Err(Status::new(500, "", m));
        }
        if let Some(ty) = r.ty {
            let handled = |m: String| {
                Status::bad_request(format!(
                    "failed to create typed patch object ({}/{}; {}, Kind={}): {m}",
                    config.namespace(),
                    config.name(),
                    r.api_version(),
                    r.kind
                ))
            };
            config = api::decode::decode(ty, &config).map_err(handled)?.value;
            gostruct_omitted(&mut config, &op.body);
        }
        let version = if r.old.is_some() { s.api_version() } else { r.api_version() };
        let name = self.manager_of(cx, op);
        let mut entries = read(live);
        if live.is_some() && entries.is_empty() {
            let set = managed_only(&s, walk::fields_of(sch, live), "status", false);
            entries.push(Entry {
                manager: "before-first-apply".into(),
                apply: false,
                version: version.clone(),
                time: self.timestamp(cx.now).into(),
                set,
                sub: SmolStr::default(),
            });
        }
        let is_mine = |e: &Entry| e.apply && e.manager == name && e.sub == op.sub;
        let last = entries.iter().find(|e| is_mine(e)).cloned();
        let mine = managed_only(&s, walk::fields_of(sch, &config), &op.sub, has_status(&s));
        let fresh;
        let base = if live.is_null() {
            fresh = Value::map();
            &fresh
        } else {
            live
        };
        let mut new = walk::merge(sch, base, &config);
        if let Some(last) = &last {
            let others = entries.iter().filter(|e| !is_mine(e));
            let keep = others.fold(mine.clone(), |a, e| fieldset::union(&a, &e.set));
            new = walk::prune(sch, &new, &last.set, &keep);
        }
        let c = walk::compare(sch, base, &new);
        let changed = managed_only(&s, c.set, &op.sub, has_status(&s));
        self.resolve(&mut entries, &name, &op.sub, &changed, op.options.force == Some(true))?;
        for e in entries.iter_mut() {
            e.set = fieldset::difference(&e.set, &c.removed);
        }
        let same = fieldset::is_empty(&changed) && fieldset::is_empty(&c.removed);
        let time =
            if same { last.map_or(SmolStr::default(), |l| l.time) } else { self.timestamp(cx.now).into() };
        entries.retain(|e| !is_mine(e));
        let sub = op.sub.clone();
        entries.push(Entry { manager: name, apply: true, version, time, set: mine, sub });
        write(&mut new, entries);
        Ok(new)
    }

    /// Finds conflicts with other managers; forced, their fields are taken from them.
    fn resolve(
        &self,
        entries: &mut [Entry],
        name: &str,
        sub: &str,
        changed: &Value,
        force: bool,
    ) -> Result<(), Status> {
        let mut conflicts: Vec<(String, String)> = Vec::new();
        for e in entries.iter_mut().filter(|e| !(e.apply && e.manager == name && e.sub == sub)) {
            let clash = fieldset::intersection(&e.set, changed);
            if clash.is_null() || fieldset::is_empty(&clash) {
                continue;
            }
            if force {
                e.set = fieldset::difference(&e.set, &clash);
            } else {
                conflicts.extend(fieldset::paths(&clash).into_iter().map(|p| (e.shown(), p)));
            }
        }
        match &conflicts[..] {
            [] => Ok(()),
            all => Err(conflict(all)),
        }
    }
}

/// Decoding drops what Go omits; an applied zero stays the applier's all the same.
fn gostruct_omitted(config: &mut Value, body: &Value) {
    for key in ["apiVersion", "kind"] {
        if config.get(key).is_null() && body.get(key).is_some() {
            config.insert(key, body.get(key));
        }
    }
}

fn conflict(all: &[(String, String)]) -> Status {
    let message = match all {
        [(who, path)] => format!("Apply failed with 1 conflict: conflict with {who}: {path}"),
        _ => {
            let mut who: Vec<&String> = all.iter().map(|(w, _)| w).collect();
            who.sort();
            who.dedup();
            let mut lines = Vec::new();
            for w in who {
                lines.push(format!("conflicts with {w}:"));
                lines.extend(all.iter().filter(|(x, _)| x == w).map(|(_, p)| format!("- {p}")));
            }
            format!("Apply failed with {} conflicts: {}", all.len(), lines.join("\n"))
        }
    };
    let causes: Value = all
        .iter()
        .map(|(w, p)| {
            let m = format!("conflict with {w}");
            obj!({"reason": "FieldManagerConflict", "message": m, "field": p.as_str()})
        })
        .collect();
    let mut s = Status::new(409, "Conflict", message);
    s.details = obj!({"causes": causes});
    s.with_details = true;
    s
}
