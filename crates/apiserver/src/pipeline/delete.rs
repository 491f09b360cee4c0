//! Deleting: grace, finalizers, propagation, collections.

use crate::admission::{self, Attempt};
use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, Op, Resource, Status, Verb};
use api::{SmolStr, Value};
use std::sync::Arc;

const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

impl ApiServer {
    pub(super) fn delete(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: &Op) -> Result<(u16, Value), Status> {
        let s = self.registry.get(r.storage).clone();
        let old = self.lookup(r, &op.namespace, &op.name)?;
        let opts = &op.options.delete;
        let pre = opts.get("preconditions");
        if let Some(uid) = pre.get("uid").as_str()
            && uid != old.uid()
        {
            let why =
                format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
            return Err(Status::conflict(&r.group, &r.plural, &op.name, &why));
        }
        if let Some(rv) = pre.get("resourceVersion").as_str()
            && rv != old.at(&["metadata", "resourceVersion"]).text()
        {
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {rv}, ResourceVersion in object meta: {}",
                old.at(&["metadata", "resourceVersion"]).text()
            );
            return Err(Status::conflict(&r.group, &r.plural, &op.name, &why));
        }
        let attempt = Attempt { op, r: &s, old: old.clone(), new: Value::Null };
        admission::validate(self, cx, &attempt)?;
        if op.options.dry_run {
            return Ok((200, deleted_answer(r, &old)));
        }
        self.mark_deleted(cx, &s, old, opts)
    }

    /// Deletes an object or begins to, as its finalizers, grace and propagation policy ask.
    pub(crate) fn mark_deleted(
        &mut self,
        cx: &mut Cx,
        s: &Arc<Resource>,
        old: Value,
        opts: &Value,
    ) -> Result<(u16, Value), Status> {
        let mut new = old.clone();
        let mut finalizers: Vec<SmolStr> =
            old.at(&["metadata", "finalizers"]).items().map(Value::smol).collect();
        match (opts.get("propagationPolicy").text(), opts.get("orphanDependents").as_bool()) {
            ("Orphan", _) | ("", Some(true)) => {
                finalizers.retain(|f| f != FINALIZER_FOREGROUND);
                add(&mut finalizers, FINALIZER_ORPHAN);
            }
            ("Foreground", _) => {
                finalizers.retain(|f| f != FINALIZER_ORPHAN);
                add(&mut finalizers, FINALIZER_FOREGROUND);
            }
            ("Background", _) | ("", Some(false)) => {
                finalizers.retain(|f| f != FINALIZER_ORPHAN && f != FINALIZER_FOREGROUND);
            }
            _ => {}
        }
        if s.kind == "CustomResourceDefinition" && !old.is_terminating() {
            add(&mut finalizers, crate::custom::CLEANUP);
        }
        if finalizers.is_empty() {
            new.remove(&["metadata", "finalizers"]);
        } else {
            new.set(&["metadata", "finalizers"], finalizers.iter().collect::<Value>());
        }
        let grace = grace_period(s, &old, opts);
        let held = !finalizers.is_empty() || grace > 0 || (s.kind == "Namespace");
        let time = |api: &Self| {
            let at = cx.now + core::time::Duration::from_secs(grace.max(0) as u64);
            api.timestamp(at)
        };
        if old.is_terminating() {
            let was = old.at(&["metadata", "deletionGracePeriodSeconds"]).int();
            // A second delete may only shorten the grace.
            if s.kind == "Pod" && grace < was {
                let at = time(self);
                new.set(&["metadata", "deletionTimestamp"], at);
                new.set(&["metadata", "deletionGracePeriodSeconds"], grace);
            }
        } else if held {
            let at = time(self);
            new.set(&["metadata", "deletionTimestamp"], at);
            new.set(&["metadata", "deletionGracePeriodSeconds"], grace);
            let generation = old.generation();
            if generation > 0 {
                new.set(&["metadata", "generation"], generation + 1);
            }
            if s.kind == "Namespace" {
                new.set(&["status", "phase"], "Terminating");
                new.remove(&["metadata", "deletionGracePeriodSeconds"]);
            }
        }
        let key: Name = (old.get("metadata").get("namespace").smol(), old.get("metadata").get("name").smol());
        if !held || self.may_vanish(s, &new) {
            let _ = self.uncommit(cx, s, &key);
            self.after_write(cx, s, Some(&old), None);
            return Ok((200, deleted_answer(s, &old)));
        }
        if new == old {
            return Ok((200, old));
        }
        let v = self.commit(cx, s, key, new);
        self.after_write(cx, s, Some(&old), Some(&v));
        Ok((200, v))
    }

    pub(super) fn delete_collection(
        &mut self,
        cx: &mut Cx,
        r: &Arc<Resource>,
        op: &Op,
    ) -> Result<Value, Status> {
        let list = self.list(r, op)?;
        for item in list.get("items").items() {
            let one = Op {
                verb: Verb::Delete,
                name: item.get("metadata").get("name").smol(),
                namespace: item.get("metadata").get("namespace").smol(),
                ..op.clone()
            };
            match self.delete(cx, r, &one) {
                Ok(_) => {}
                Err(e) if e.code == 404 => {}
                Err(e) => return Err(e),
            }
        }
        Ok(list)
    }
}

pub(super) fn grace_period(s: &Resource, old: &Value, opts: &Value) -> i64 {
    if s.kind != "Pod" {
        return 0;
    }
    let asked = opts.get("gracePeriodSeconds").as_int();
    let spec = old.get("spec");
    let mut grace = asked.unwrap_or_else(|| spec.get("terminationGracePeriodSeconds").as_int().unwrap_or(30));
    if grace < 0 {
        grace = 1;
    }
    let finished = matches!(old.at(&["status", "phase"]).text(), "Succeeded" | "Failed");
    if spec.get("nodeName").text().is_empty() || finished { 0 } else { grace }
}

pub(super) fn deleted_answer(r: &Resource, old: &Value) -> Value {
    // Kinds whose storage returns the deleted object itself.
    if matches!(r.kind.as_str(), "Pod" | "Namespace" | "ServiceAccount" | "Service") && r.group.is_empty() {
        return old.clone();
    }
    Status::success(&r.group, &r.plural, old.name(), old.uid())
}

pub(super) fn add(list: &mut Vec<SmolStr>, x: &str) {
    if !list.iter().any(|f| f == x) {
        list.push(x.into());
    }
}
