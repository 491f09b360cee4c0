//! Writing: create, update, patch and server-side apply.

use super::meta::{meta_immutable, validate_meta, validate_meta_update};
use super::patch::check_apply;
use crate::admission::{self, Attempt};
use crate::request::PatchType;
use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, Op, Resource, Status, Verb, scale};
use api::field::{At, Errors};
use api::{SmolStr, Value, gostruct};
use std::sync::Arc;

impl ApiServer {
    pub(super) fn create(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: Op) -> Result<Value, Status> {
        let mut v = self.decode_object(cx, r, &op)?;
        v = self.to_storage(r, v);
        let s = self.registry.get(r.storage).clone();
        if r.namespaced {
            match v.namespace() {
                "" => v.set(&["metadata", "namespace"], &op.namespace),
                ns if ns != op.namespace => {
                    return Err(Status::bad_request(
                        "the namespace of the provided object does not match the namespace sent on the request",
                    ));
                }
                _ => {}
            }
        }
        if v.at(&["metadata", "resourceVersion"]).is_some() {
            let m = "resourceVersion should not be set on objects to be created";
            return Err(Status::new(500, "", m));
        }
        self.begin(cx, &mut v);
        self.check_definition(&s, &v)?;
        defaults(&s, &mut v);
        if op.options.patch != Some(PatchType::Apply) {
            self.track(cx, r, &s, &op, Value::null(), &mut v);
        }
        if s.kind == "CertificateSigningRequest" {
            v.set(&["spec", "username"], &cx.user.name);
            v.set(&["spec", "groups"], cx.user.groups.iter().collect::<Value>());
        }
        let mut attempt = Attempt { op: &op, r: &s, old: Value::Null, new: v };
        admission::mutate(self, cx, &mut attempt)?;
        v = attempt.new;
        (s.rules.prepare)(&mut v, None);
        if s.kind == "Service" && s.group.is_empty() {
            crate::service::keep_allocated(&mut v, None);
        }
        if s.builtin.is_none() && self.has_subresource(&s, "status") {
            v.remove(&["status"]);
        }
        if s.rules.generation || s.builtin.is_none() {
            v.set(&["metadata", "generation"], 1);
        }
        if let Some(ty) = s.ty {
            gostruct::fill(ty, &mut v);
        }
        self.name_it(&s, &mut v);
        let mut errors = Errors::default();
        validate_meta(&s, &v, &mut errors);
        (s.rules.validate)(&v, &mut errors);
        crate::custom::validate(&s, &v, None, &mut errors);
        if !errors.is_empty() {
            return Err(Status::invalid(&s.group, &s.kind, v.name(), &errors));
        }
        self.allocate(&s, &mut v, None)?;
        (s.rules.warnings)(&v, None, &mut cx.warnings);
        let attempt = Attempt { op: &op, r: &s, old: Value::Null, new: v };
        if let Err(e) = admission::validate(self, cx, &attempt) {
            self.free_unused(&s, &attempt.new, None);
            return Err(e);
        }
        v = attempt.new;
        let key: Name = (v.get("metadata").get("namespace").smol(), v.get("metadata").get("name").smol());
        if self.store.get(s.id, &key.0, &key.1).is_some() {
            self.free_unused(&s, &v, None);
            return Err(Status::already_exists(&s.group, &s.plural, &key.1));
        }
        if op.options.dry_run {
            self.free_unused(&s, &v, None);
            return Ok(self.convert(r.id, v));
        }
        let v = self.commit(cx, &s, key, v);
        self.after_write(cx, &s, None, Some(&v));
        Ok(self.convert(r.id, v))
    }

    pub(super) fn to_storage(&self, r: &Resource, v: Value) -> Value {
        if r.storage == r.id { v } else { scale::convert_back(r, self.registry.get(r.storage), v) }
    }

    /// What the server sets on a new object whoever sends it.
    pub(super) fn begin(&mut self, cx: &Cx, v: &mut Value) {
        let uid = self.chance.uuid();
        let time = self.timestamp(cx.now);
        let meta = v.slot(&["metadata"]);
        meta.insert("uid", uid);
        meta.insert("creationTimestamp", time);
        for k in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
            meta.remove(&[k]);
        }
    }

    pub(super) fn name_it(&mut self, r: &Resource, v: &mut Value) {
        let meta = v.get("metadata");
        if meta.get("name").text().is_empty() && !meta.get("generateName").text().is_empty() {
            // Models: `names.SimpleNameGenerator`: 63 characters in all, five of them random.
            let base: String = meta.get("generateName").text().chars().take(58).collect();
            let name = loop {
                let name = match self.replayed_suffix(&base) {
                    Some(suffix) => base.clone() + &suffix,
                    None => base.clone() + &self.chance.suffix(5),
                };
                if self.store.get(r.id, v.namespace(), &name).is_none() {
                    break name;
                }
            };
            v.set(&["metadata", "name"], name);
        }
    }

    /// The next suffix that the settings foresee for names with this beginning.
    fn replayed_suffix(&mut self, base: &str) -> Option<SmolStr> {
        let n = self.drawn.get(base).copied().unwrap_or(0);
        let suffix = self.settings.names.iter().filter(|(b, _)| b == base).nth(n)?.1.clone();
        self.drawn.insert(base.into(), n + 1);
        Some(suffix)
    }

    /// Update, patch and apply, of an object or a subresource.
    pub(super) fn change(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: Op) -> Result<(u16, Value), Status> {
        let s = self.registry.get(r.storage).clone();
        let stored = self.store.get(s.id, &op.namespace, &op.name).cloned();
        let missing = || Status::not_found(&r.group, &r.plural, &op.name);
        if op.sub == "scale" {
            let old = stored.ok_or_else(missing)?;
            let current = self.scale_of(&s, &old);
            let wanted = match op.verb {
                Verb::Patch => self.patched_scale(r, &op, &current)?,
                _ => op.body.clone(),
            };
            let new = self.with_scale(&s, &op, &old, &wanted)?;
            let v = self.replace(cx, r, &s, &op, old, new)?;
            return Ok((200, self.scale_of(&s, &v)));
        }
        if op.verb == Verb::Update {
            // The body is read before the object is looked for.
            let new = self.decode_object(cx, r, &op)?;
            check_place(r, &op, &new)?;
            let new = self.to_storage(r, new);
            let v = self.replace(cx, r, &s, &op, stored.ok_or_else(missing)?, new)?;
            return Ok((200, self.convert(r.id, v)));
        }
        let old = match stored {
            Some(v) => v,
            None if op.options.patch == Some(PatchType::Apply) && op.sub.is_empty() => {
                return self.apply_create(cx, r, op).map(|v| (201, v));
            }
            None => return Err(missing()),
        };
        let shown = self.convert(r.id, old.clone());
        let new = self.patched(cx, r, &op, &shown)?;
        check_place(r, &op, &new)?;
        let new = self.to_storage(r, new);
        let v = self.replace(cx, r, &s, &op, old, new)?;
        Ok((200, self.convert(r.id, v)))
    }

    /// Server-side apply of what does not exist yet.
    pub(super) fn apply_create(
        &mut self,
        cx: &mut Cx,
        r: &Arc<Resource>,
        mut op: Op,
    ) -> Result<Value, Status> {
        check_apply(&op)?;
        let applied = self.applied(cx, r, &op, Value::null())?;
        let uid = op.body.uid();
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Status::conflict(&r.group, &r.plural, &op.name, &why));
        }
        check_place(r, &op, &op.body)?;
        op.body = applied;
        op.verb = Verb::Create;
        self.create(cx, r, op)
    }

    /// Stores a changed object after the rest of the pipeline.
    pub(super) fn replace(
        &mut self,
        cx: &mut Cx,
        r: &Resource,
        s: &Arc<Resource>,
        op: &Op,
        old: Value,
        mut new: Value,
    ) -> Result<Value, Status> {
        self.check_preconditions(r, op, &old, &new)?;
        let mut early = Errors::default();
        meta_immutable(&new, &old, &mut early);
        if !early.is_empty() {
            return Err(Status::invalid(&s.group, &s.kind, &op.name, &early));
        }
        keep_meta(&mut new, &old);
        if op.sub == "status" || op.sub == "approval" {
            new = status_only(&old, &new);
        } else if op.sub == "ephemeralcontainers" || op.sub == "resize" {
            let keep = new.clone();
            new = old.clone();
            for key in if op.sub == "resize" {
                &["containers", "initContainers"][..]
            } else {
                &["ephemeralContainers"][..]
            } {
                if keep.at(&["spec", key]).is_some() {
                    new.set(&["spec", key], keep.at(&["spec", key]));
                }
            }
        } else if op.sub == "finalize" {
            let finalizers = new.at(&["spec", "finalizers"]).clone();
            new = old.clone();
            new.set(&["spec", "finalizers"], finalizers);
        }
        defaults(s, &mut new);
        if op.options.patch != Some(PatchType::Apply) {
            self.track(cx, r, s, op, &old, &mut new);
        }
        let mut attempt = Attempt { op, r: s, old, new };
        admission::mutate(self, cx, &mut attempt)?;
        let Attempt { old, mut new, .. } = attempt;
        // A change of the scale is one of the object.
        let whole = matches!(op.sub.as_str(), "" | "scale");
        if whole {
            (s.rules.prepare)(&mut new, Some(&old));
            if s.kind == "Service" && s.group.is_empty() {
                crate::service::keep_allocated(&mut new, Some(&old));
            }
            if s.builtin.is_none() && self.has_subresource(s, "status") {
                match old.get("status") {
                    Value::Null => {
                        new.remove(&["status"]);
                    }
                    status => new.insert("status", status),
                }
            }
        }
        if let Some(ty) = s.ty {
            gostruct::fill(ty, &mut new);
        }
        if (s.rules.generation || s.builtin.is_none()) && op.sub != "status" {
            let mut generation = old.generation();
            let changed = match s.builtin {
                Some(_) => new.get("spec") != old.get("spec"),
                None => custom_spec_changed(&old, &new),
            };
            if changed {
                generation += 1;
            }
            if generation > 0 {
                new.set(&["metadata", "generation"], generation);
            }
        }
        let mut errors = Errors::default();
        validate_meta_update(&new, &old, &mut errors);
        if op.sub == "status" {
            (s.rules.validate_status)(&new, &old, &mut errors);
        } else if whole {
            validate_meta(s, &new, &mut errors);
            (s.rules.validate)(&new, &mut errors);
            (s.rules.validate_update)(&new, &old, &mut errors);
        } else if op.sub == "ephemeralcontainers" {
            api::kinds::pod::ephemeral_update(&new, &old, &mut errors);
            (s.rules.validate)(&new, &mut errors);
        }
        if errors.is_empty() || op.sub != "status" {
            crate::custom::validate(s, &new, Some(&old), &mut errors);
        }
        if !errors.is_empty() {
            return Err(Status::invalid(&s.group, &s.kind, &op.name, &errors));
        }
        if whole {
            self.allocate(s, &mut new, Some(&old))?;
            (s.rules.warnings)(&new, Some(&old), &mut cx.warnings);
        }
        let attempt = Attempt { op, r: s, old, new };
        admission::validate(self, cx, &attempt)?;
        let Attempt { old, new, .. } = attempt;
        // A write that changes nothing makes no revision.
        if new == old || op.options.dry_run {
            return Ok(new);
        }
        let key: Name = (op.namespace.clone(), op.name.clone());
        if self.may_vanish(s, &new) {
            let last = self.uncommit(cx, s, &key);
            self.after_write(cx, s, Some(&old), None);
            // The answer is the object as it was to be stored.
            let mut v = new;
            if let Some(last) = last {
                v.set(&["metadata", "resourceVersion"], last.at(&["metadata", "resourceVersion"]));
            }
            return Ok(v);
        }
        let v = self.commit(cx, s, key, new);
        self.after_write(cx, s, Some(&old), Some(&v));
        Ok(v)
    }

    /// Whether a terminating object has nothing left that holds it.
    pub(super) fn may_vanish(&self, s: &Resource, v: &Value) -> bool {
        v.is_terminating()
            && v.at(&["metadata", "finalizers"]).is_empty()
            && match s.kind.as_str() {
                "Namespace" => v.at(&["spec", "finalizers"]).is_empty(),
                // Pods wait for their kubelet unless no grace is left.
                "Pod" => v.at(&["metadata", "deletionGracePeriodSeconds"]).int() == 0,
                _ => true,
            }
    }

    pub(super) fn check_preconditions(
        &self,
        r: &Resource,
        op: &Op,
        old: &Value,
        new: &Value,
    ) -> Result<(), Status> {
        let (rv, uid) = (new.at(&["metadata", "resourceVersion"]).text(), new.uid());
        if op.verb == Verb::Update && !uid.is_empty() && uid != old.uid() {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: \
                 Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                r.plural,
                if op.namespace.is_empty() {
                    op.name.to_string()
                } else {
                    format!("{}/{}", op.namespace, op.name)
                },
                old.uid()
            );
            return Err(Status::conflict(&r.group, &r.plural, &op.name, &why));
        }
        if rv.is_empty() {
            // Some kinds cannot be replaced blindly.
            return Ok(());
        }
        if rv.parse::<u64>().is_err() {
            let mut e = Errors::default();
            e.invalid(&At::Path("metadata.resourceVersion"), rv, "must be an unsigned integer");
            return Err(Status::invalid(&r.group, &r.kind, &op.name, &e));
        }
        if rv != old.at(&["metadata", "resourceVersion"]).text() {
            return Err(Status::stale(&r.group, &r.plural, &op.name));
        }
        Ok(())
    }
}

/// An object must be the one that the URL names. Models: `checkName`.
pub(super) fn check_place(r: &Resource, op: &Op, v: &Value) -> Result<(), Status> {
    let name = v.name();
    if name.is_empty() && op.options.patch == Some(PatchType::Apply) {
        return Err(Status::bad_request("name must be provided"));
    }
    if name != op.name.as_str() {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            op.name
        )));
    }
    if r.namespaced && !v.namespace().is_empty() && v.namespace() != op.namespace.as_str() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

pub(super) fn defaults(s: &Resource, v: &mut Value) {
    (s.rules.defaults)(v);
    if s.builtin.is_none() {
        api::structural::default(crate::custom::schema_of(s), v);
    }
}

pub(super) fn keep_meta(new: &mut Value, old: &Value) {
    let meta = old.get("metadata");
    for k in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "namespace",
    ] {
        let value = meta.get(k);
        if value.is_some() {
            new.set(&["metadata", k], value);
        } else {
            new.remove(&["metadata", k]);
        }
    }
    if new.at(&["metadata", "generateName"]).is_null() && meta.get("generateName").is_some() {
        new.set(&["metadata", "generateName"], meta.get("generateName"));
    }
}

/// The old object with the new one's status and the metadata that status updates may change.
pub(super) fn status_only(old: &Value, new: &Value) -> Value {
    let mut v = new.clone();
    for (k, _) in new.entries() {
        if !matches!(k.as_str(), "status" | "metadata" | "kind" | "apiVersion") {
            v.remove(&[k]);
        }
    }
    for (k, value) in old.entries() {
        if !matches!(k.as_str(), "status" | "metadata" | "kind" | "apiVersion") {
            v.insert(k, value);
        }
    }
    v
}

pub(super) fn custom_spec_changed(old: &Value, new: &Value) -> bool {
    let body = |v: &Value| -> Value {
        v.entries().filter(|(k, _)| !matches!(k.as_str(), "metadata" | "status")).collect()
    };
    body(old) != body(new)
}
