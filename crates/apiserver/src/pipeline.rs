//! The request pipeline behind authorization: decoding, admission, defaults, validation, storage.

use crate::admission::{self, Attempt};
use crate::request::{FieldValidation, PatchType};
use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, Op, ResId, Resource, Status, Verb, Watch, scale};
use api::decode::decode;
use api::field::{At, Errors};
use api::kinds::NameRule;
use api::selector::{FieldSelector, Selector};
use api::{SmolStr, Value, gostruct, names, obj};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use std::sync::Arc;

/// How often a patch is tried again when the object changed meanwhile; nothing can change within a call here.
const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

impl ApiServer {
    /// Runs an authorized operation; gives the HTTP status and the object.
    pub(crate) fn execute(&mut self, cx: &mut Cx, op: Op) -> Result<(u16, Value), Status> {
        let r = self.registry.get(op.res).clone();
        match (op.sub.as_str(), op.verb) {
            ("", Verb::Get) => self.get(&r, &op).map(|v| (200, v)),
            ("", Verb::List) => self.list(&r, &op).map(|v| (200, v)),
            ("", Verb::Create) => match self.review(cx, &r, &op) {
                Some(answer) => answer.map(|v| (201, v)),
                None if r.kind == "Binding" => self.bind(cx, &op).map(|v| (201, v)),
                None => self.create(cx, &r, op).map(|v| (201, v)),
            },
            ("", Verb::Delete) => self.delete(cx, &r, &op),
            ("", Verb::DeleteCollection) => self.delete_collection(cx, &r, &op).map(|v| (200, v)),
            ("", Verb::Update | Verb::Patch) => self.change(cx, &r, op),
            ("scale", Verb::Get) => self.get(&r, &op).map(|v| (200, self.scale_of(&r, &v))),
            (_, Verb::Get) => self.get(&r, &op).map(|v| (200, v)),
            ("binding", Verb::Create) => self.bind(cx, &op).map(|v| (201, v)),
            ("eviction", Verb::Create) => self.evict(cx, &r, &op).map(|v| (201, v)),
            ("token", Verb::Create) => self.token_request(cx, &op).map(|v| (201, v)),
            (_, Verb::Update | Verb::Patch) => self.change(cx, &r, op),
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn lookup(&self, r: &Resource, namespace: &str, name: &str) -> Result<Value, Status> {
        match self.store.get(r.storage, namespace, name) {
            Some(v) => Ok(v.clone()),
            None => Err(Status::not_found(&r.group, &r.plural, name)),
        }
    }

    fn get(&self, r: &Resource, op: &Op) -> Result<Value, Status> {
        let rv = op.options.resource_version.as_str();
        match rv.parse::<u64>() {
            Err(_) if !rv.is_empty() => {
                let m = format!(
                    "resourceVersion: Invalid value: \"{rv}\": strconv.ParseUint: parsing \"{rv}\": invalid syntax"
                );
                return Err(Status::new(500, "", m));
            }
            Ok(n) if n > self.store.revision() => return Err(self.too_large(n)),
            _ => {}
        }
        if r.kind == "ComponentStatus" {
            return self
                .component_statuses()
                .into_iter()
                .find(|c| c.name() == op.name)
                .ok_or_else(|| Status::not_found("", "componentstatuses", &op.name));
        }
        Ok(self.convert(r.id, self.lookup(r, &op.namespace, &op.name)?))
    }

    fn component_statuses(&self) -> Vec<Value> {
        ["controller-manager", "etcd-0", "scheduler"]
            .iter()
            .map(|n| {
                let message = if *n == "etcd-0" { r#"{"health":"true"}"# } else { "ok" };
                obj!({
                    "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": *n},
                    "conditions": [{"type": "Healthy", "status": "True", "message": message}]
                })
            })
            .collect()
    }

    fn selectors(&self, r: &Resource, op: &Op) -> Result<(Selector, FieldSelector), Status> {
        let labels = match op.options.label_selector.as_str() {
            "" => Selector::everything(),
            s => Selector::parse(s).map_err(|e| {
                Status::bad_request(format!("unable to parse requirement: {e}").replace(
                    "unable to parse requirement: unable to parse requirement: ",
                    "unable to parse requirement: ",
                ))
            })?,
        };
        let fields = match op.options.field_selector.as_str() {
            "" => FieldSelector::default(),
            s => FieldSelector::parse(s).map_err(|e| Status::bad_request(e.to_string()))?,
        };
        for term in fields.terms.iter() {
            let known = matches!(term.field.as_str(), "metadata.name" | "metadata.namespace")
                || r.rules.fields.iter().any(|(n, _)| *n == term.field);
            if !known {
                let m = match (r.builtin.is_some(), r.rules.fields.is_empty()) {
                    (true, false) => format!("field label not supported: {}", term.field),
                    _ => format!(
                        "\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                        term.field
                    ),
                };
                return Err(Status::bad_request(m));
            }
        }
        Ok((labels, fields))
    }

    fn list(&self, r: &Resource, op: &Op) -> Result<Value, Status> {
        let (labels, fields) = self.selectors(r, op)?;
        self.check_list_version(op)?;
        let after = self.continue_after(op)?;
        let namespace = (!op.namespace.is_empty()).then_some(op.namespace.as_str());
        let mut items: Vec<Value> = Vec::new();
        let mut last: Option<Name> = None;
        let mut rest = 0;
        let limit = if op.options.limit == 0 { usize::MAX } else { op.options.limit };
        if r.kind == "ComponentStatus" {
            items = self.component_statuses();
        }
        for (name, v) in self.store.list(r.storage, namespace, after) {
            if items.len() == limit {
                rest += 1;
                continue;
            }
            if (labels.is_empty() || labels.matches(v.labels()))
                && (fields.is_empty() || self.matches_fields(r.id, &fields, v))
            {
                items.push(self.convert(r.id, v.clone()));
            }
            last = Some(name.clone());
        }
        let revision = self.store.revision().max(1).to_string();
        let mut meta = obj!({"resourceVersion": revision.as_str()});
        if rest > 0
            && let Some((ns, name)) = last
        {
            let token = obj!({"v": "meta.k8s.io/v1", "rv": self.store.revision(), "start": format!("{ns}/{name}\u{0}")});
            meta.insert("continue", B64.encode(token.to_json()));
            if labels.is_empty() && fields.is_empty() {
                meta.insert("remainingItemCount", rest);
            }
        }
        let kind = format!("{}List", r.kind);
        Ok(obj!({"kind": kind, "apiVersion": r.api_version(), "metadata": meta, "items": items}))
    }

    fn continue_after(&self, op: &Op) -> Result<Option<Name>, Status> {
        let token = &op.options.continue_token;
        if token.is_empty() {
            return Ok(None);
        }
        let wrong =
            |m: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {m}"));
        let bad = || wrong("illegal base64 data");
        let text = B64.decode(token.trim_end_matches('=')).map_err(|_| bad())?;
        let (v, _) = api::parse_json(&String::from_utf8_lossy(&text)).map_err(|e| wrong(&e.message))?;
        let start = v.get("start").text().trim_end_matches('\u{0}');
        let (ns, name) = start.split_once('/').ok_or_else(bad)?;
        Ok(Some((ns.into(), name.into())))
    }

    fn check_list_version(&self, op: &Op) -> Result<(), Status> {
        let (rv, how) = (op.options.resource_version.as_str(), op.options.resource_version_match.as_str());
        let invalid = |field: &str, text: String| {
            let mut e = Errors::default();
            let at = At::Path(field);
            if text.starts_with("Forbidden") {
                e.forbidden(&at, text.trim_start_matches("Forbidden: "));
            } else {
                e.invalid(&at, rv, &text);
            }
            Status::invalid("meta.k8s.io", "ListOptions", "", &e)
        };
        if !how.is_empty() {
            if rv.is_empty() {
                return Err(invalid(
                    "resourceVersionMatch",
                    "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided".into(),
                ));
            }
            if !op.options.continue_token.is_empty() {
                return Err(invalid(
                    "resourceVersionMatch",
                    "Forbidden: resourceVersionMatch is forbidden when continue is provided".into(),
                ));
            }
            if how == "Exact" && rv == "0" {
                return Err(invalid(
                    "resourceVersionMatch",
                    "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"".into(),
                ));
            }
            if how != "Exact" && how != "NotOlderThan" {
                let mut e = Errors::default();
                e.not_supported(&At::Path("resourceVersionMatch"), how, &["Exact", "NotOlderThan", ""]);
                return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &e));
            }
        }
        if op.options.send_initial_events == Some(true) && op.verb == Verb::List {
            return Err(invalid(
                "sendInitialEvents",
                "Forbidden: sendInitialEvents is forbidden for list".into(),
            ));
        }
        if !rv.is_empty() && rv.parse::<u64>().is_err() {
            return Err(Status::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: \"{rv}\": strconv.ParseUint: parsing \"{rv}\": \
                 invalid syntax"
            )));
        }
        if let Ok(n) = rv.parse::<u64>()
            && n > self.store.revision()
        {
            return Err(self.too_large(n));
        }
        Ok(())
    }

    /// 504: a revision that is not there yet.
    fn too_large(&self, n: u64) -> Status {
        let m = format!("Timeout: Too large resource version: {n}, current: {}", self.store.revision());
        let mut s = Status::new(504, "Timeout", m);
        s.details = obj!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1
        });
        s.with_details = true;
        s
    }

    /// Opens a watch; authorization is done.
    pub(crate) fn open_watch(&mut self, cx: &Cx, op: &Op) -> Result<Watch, Status> {
        let r = self.registry.get(op.res).clone();
        let (labels, fields) = self.selectors(&r, op)?;
        let rv = op.options.resource_version.as_str();
        let mut w = Watch::new(op.res, self.store.revision());
        w.namespace = (!op.namespace.is_empty()).then(|| op.namespace.clone());
        w.name = (!op.name.is_empty()).then(|| op.name.clone());
        w.labels = labels;
        w.fields = fields;
        w.bookmarks = op.options.bookmarks;
        w.until = op.options.timeout_s.map(|s| cx.now + core::time::Duration::from_secs(s));
        let streamed = op.options.send_initial_events == Some(true);
        if rv.is_empty() || rv == "0" || streamed {
            let mut list = op.clone();
            list.verb = Verb::List;
            list.options = Default::default();
            list.options.label_selector = op.options.label_selector.clone();
            list.options.field_selector = op.options.field_selector.clone();
            let all = self.list(&r, &list)?;
            let wanted = |v: &&Value| w.name.as_ref().is_none_or(|n| n == v.name());
            if op.options.send_initial_events != Some(false) {
                w.initial = all.get("items").items().filter(wanted).cloned().collect();
            }
            w.initial_bookmark = streamed && op.options.bookmarks;
        } else {
            w.revision = rv.parse().map_err(|_| {
                let mut e = Errors::default();
                e.invalid(
                    &At::Path("resourceVersion"),
                    rv,
                    &format!("strconv.ParseUint: parsing \"{rv}\": invalid syntax"),
                );
                Status::invalid("", "", "", &e)
            })?;
        }
        Ok(w)
    }

    /// Checks a body's type, decodes it against the schema and reports unknown fields as asked.
    pub(crate) fn decode_object(&self, cx: &mut Cx, r: &Resource, op: &Op) -> Result<Value, Status> {
        let mut v = op.body.clone();
        let handled = |text: String| {
            let (version, kind) = (&r.version, &r.kind);
            Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {text}"
            ))
        };
        let (version, kind) = (v.api_version().to_owned(), v.kind().to_owned());
        if kind.is_empty() {
            v.insert("kind", &r.kind);
        }
        if version.is_empty() {
            v.insert("apiVersion", r.api_version());
        }
        let expected_version = r.api_version();
        if (!version.is_empty() && version != expected_version) || (!kind.is_empty() && kind != r.kind) {
            return Err(self.wrong_type(r, &version, &kind));
        }
        let unknown = match r.ty {
            Some(ty) => {
                let d = decode(ty, &v).map_err(handled)?;
                v = d.value;
                d.unknown
            }
            None => api::structural::prune(crate::custom::schema_of(r), &mut v),
        };
        self.report_unknown(cx, r, op, unknown)?;
        Ok(v)
    }

    fn wrong_type(&self, r: &Resource, version: &str, kind: &str) -> Status {
        let short = |v: &str| v.rsplit('/').next().unwrap_or(v).to_owned();
        let version = if version.is_empty() { r.api_version().to_string() } else { version.to_owned() };
        let kind = if kind.is_empty() { r.kind.to_string() } else { kind.to_owned() };
        if self.registry.by_kind(&version, &kind).is_some() {
            let package = if r.group.is_empty() { "core" } else { r.group.split('.').next().unwrap_or("") };
            return Status::bad_request(format!(
                "{kind} in version \"{}\" cannot be handled as a {}: converting ({}.{kind}) to ({package}.{}): unknown conversion",
                short(&version),
                r.kind,
                short(&version),
                r.kind
            ));
        }
        Status::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \"{version}\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
            short(&version),
            r.kind
        ))
    }

    fn report_unknown(&self, cx: &mut Cx, r: &Resource, op: &Op, unknown: Vec<String>) -> Result<(), Status> {
        let mut all: Vec<String> = unknown.iter().map(|u| format!("unknown field \"{u}\"")).collect();
        all.extend(op.options.duplicates.iter().map(|d| format!("duplicate field \"{d}\"")));
        if all.is_empty() {
            return Ok(());
        }
        match op.options.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => cx.warnings.extend(all),
            FieldValidation::Strict => {
                return Err(Status::bad_request(format!(
                    "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                    r.kind,
                    r.version,
                    r.kind,
                    all.join(", ")
                )));
            }
        }
        Ok(())
    }

    fn create(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: Op) -> Result<Value, Status> {
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
        self.allocate(&s, &mut v, None)?;
        let mut errors = Errors::default();
        validate_meta(&s, &v, &mut errors);
        (s.rules.validate)(&v, &mut errors);
        crate::custom::validate(&s, &v, None, &mut errors);
        if !errors.is_empty() {
            self.free_unused(&s, &v, None);
            return Err(Status::invalid(&s.group, &s.kind, v.name(), &errors));
        }
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

    fn to_storage(&self, r: &Resource, v: Value) -> Value {
        if r.storage == r.id { v } else { scale::convert_back(r, self.registry.get(r.storage), v) }
    }

    /// What the server sets on a new object whoever sends it.
    fn begin(&mut self, cx: &Cx, v: &mut Value) {
        let uid = self.chance.uuid();
        let time = self.timestamp(cx.now);
        let meta = v.slot(&["metadata"]);
        meta.insert("uid", uid);
        meta.insert("creationTimestamp", time);
        for k in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
            meta.remove(&[k]);
        }
    }

    fn name_it(&mut self, r: &Resource, v: &mut Value) {
        let meta = v.get("metadata");
        if meta.get("name").text().is_empty() && !meta.get("generateName").text().is_empty() {
            // Models: `names.SimpleNameGenerator`: 63 characters in all, five of them random.
            let base: String = meta.get("generateName").text().chars().take(58).collect();
            let name = loop {
                let name = base.clone() + &self.chance.suffix(5);
                if self.store.get(r.id, v.namespace(), &name).is_none() {
                    break name;
                }
            };
            v.set(&["metadata", "name"], name);
        }
    }

    /// Update, patch and apply, of an object or a subresource.
    fn change(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: Op) -> Result<(u16, Value), Status> {
        let s = self.registry.get(r.storage).clone();
        let old = match self.store.get(s.id, &op.namespace, &op.name) {
            Some(v) => v.clone(),
            None if op.options.patch == Some(PatchType::Apply) && op.sub.is_empty() => {
                return self.apply_create(cx, r, op).map(|v| (201, v));
            }
            // An update of what does not exist is NotFound even for a body that would not decode.
            None => return Err(Status::not_found(&r.group, &r.plural, &op.name)),
        };
        if op.sub == "scale" {
            let current = self.scale_of(&s, &old);
            let wanted = match op.verb {
                Verb::Patch => self.patched(cx, r, &op, &current)?,
                _ => op.body.clone(),
            };
            let new = self.with_scale(&s, &op, &old, &wanted)?;
            let mut op = op;
            op.sub = SmolStr::default();
            let v = self.replace(cx, r, &s, &op, old, new)?;
            return Ok((200, self.scale_of(&s, &v)));
        }
        let shown = self.convert(r.id, old.clone());
        let new = match op.verb {
            Verb::Patch => {
                let mut patched = op.clone();
                patched.body = self.patched(cx, r, &op, &shown)?;
                patched.options.duplicates = Vec::new();
                self.decode_object(cx, r, &patched)?
            }
            _ => self.decode_object(cx, r, &op)?,
        };
        let name = new.name();
        if name != op.name.as_str() {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                op.name
            )));
        }
        if r.namespaced && !new.namespace().is_empty() && new.namespace() != op.namespace.as_str() {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let new = self.to_storage(r, new);
        let v = self.replace(cx, r, &s, &op, old, new)?;
        Ok((200, self.convert(r.id, v)))
    }

    /// The object after a patch.
    fn patched(&mut self, cx: &mut Cx, r: &Resource, op: &Op, current: &Value) -> Result<Value, Status> {
        let bad = |m: String| Status::bad_request(m);
        match op.options.patch {
            Some(PatchType::Json) => api::patch::json_patch(current, &op.body).map_err(|_| {
                let m = "the server rejected our request due to an error in our request";
                Status::new(422, "Invalid", m)
            }),
            Some(PatchType::Merge) => Ok(api::patch::merge(current, &op.body)),
            Some(PatchType::Strategic) => match r.ty {
                Some(ty) => {
                    api::patch::strategic(current, &op.body, Some(ty)).map_err(|e| bad(e.to_string()))
                }
                None => Err(Status::unsupported_media_type(
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                )),
            },
            Some(PatchType::Apply) => {
                check_apply(op)?;
                self.applied(cx, r, op, current)
            }
            None => Err(Status::method_not_allowed()),
        }
    }

    /// Server-side apply of what does not exist yet.
    fn apply_create(&mut self, cx: &mut Cx, r: &Arc<Resource>, mut op: Op) -> Result<Value, Status> {
        check_apply(&op)?;
        if op.body.name().is_empty() {
            op.body.set(&["metadata", "name"], op.name.clone());
        }
        op.body = self.applied(cx, r, &op, Value::null())?;
        op.verb = Verb::Create;
        self.create(cx, r, op)
    }

    /// Stores a changed object after the rest of the pipeline.
    fn replace(
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
        if op.sub.is_empty() {
            (s.rules.prepare)(&mut new, Some(&old));
            if s.builtin.is_none() && self.has_subresource(s, "status") {
                match old.get("status") {
                    Value::Null => {
                        new.remove(&["status"]);
                    }
                    status => new.insert("status", status),
                }
            }
            self.allocate(s, &mut new, Some(&old))?;
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
        } else if op.sub.is_empty() {
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
            self.free_unused(s, &new, Some(&old));
            return Err(Status::invalid(&s.group, &s.kind, &op.name, &errors));
        }
        if op.sub.is_empty() {
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
            let v = self.uncommit(cx, s, &key).unwrap_or(new);
            self.after_write(cx, s, Some(&old), None);
            return Ok(v);
        }
        let v = self.commit(cx, s, key, new);
        self.after_write(cx, s, Some(&old), Some(&v));
        Ok(v)
    }

    /// Whether a terminating object has nothing left that holds it.
    fn may_vanish(&self, s: &Resource, v: &Value) -> bool {
        v.is_terminating()
            && v.at(&["metadata", "finalizers"]).is_empty()
            && match s.kind.as_str() {
                "Namespace" => v.at(&["spec", "finalizers"]).is_empty(),
                // Pods wait for their kubelet unless no grace is left.
                "Pod" => v.at(&["metadata", "deletionGracePeriodSeconds"]).int() == 0,
                _ => true,
            }
    }

    fn check_preconditions(&self, r: &Resource, op: &Op, old: &Value, new: &Value) -> Result<(), Status> {
        let (rv, uid) = (new.at(&["metadata", "resourceVersion"]).text(), new.uid());
        if !uid.is_empty() && uid != old.uid() {
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

    fn delete(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: &Op) -> Result<(u16, Value), Status> {
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

    fn delete_collection(&mut self, cx: &mut Cx, r: &Arc<Resource>, op: &Op) -> Result<Value, Status> {
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

    /// Binds a pod to a node. Models: the binding REST of pods.
    fn bind(&mut self, cx: &mut Cx, op: &Op) -> Result<Value, Status> {
        let b = op.body.clone();
        let name: SmolStr = if op.name.is_empty() { b.name().into() } else { op.name.clone() };
        let target = b.get("target");
        let kind = target.get("kind").text();
        let mut errors = Errors::default();
        if !kind.is_empty() && kind != "Node" {
            errors.one_of(&At::Path("target.kind"), kind, &["Node", "<empty>"]);
        }
        if target.get("name").text().is_empty() {
            errors.required(&At::Path("target.name"), "");
        }
        if !errors.is_empty() {
            let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            let m = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
            return Err(Status::new(500, "", m));
        }
        let pods = self.registry.at("", "v1", "pods")?;
        let Some(old) = self.store.get(pods, &op.namespace, &name).cloned() else {
            return Err(Status::not_found("", "pods", &name));
        };
        let conflict = |why: String| Status::conflict("", "pods/binding", &name, &why);
        if old.is_terminating() {
            return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
        }
        let node = old.at(&["spec", "nodeName"]).text();
        if !node.is_empty() {
            return Err(conflict(format!("pod {name} is already assigned to node \"{node}\"")));
        }
        if !old.at(&["spec", "schedulingGates"]).is_empty() {
            return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
        }
        if !b.uid().is_empty() && b.uid() != old.uid() {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                b.uid(),
                old.uid()
            );
            return Err(conflict(why));
        }
        let mut new = old.clone();
        let host = target.get("name").smol();
        new.set(&["spec", "nodeName"], &host);
        for (k, v) in b.annotations().entries() {
            new.set(&["metadata", "annotations", k], v);
        }
        // PodTopologyLabels admission: the node's zone and region become labels of the pod.
        let nodes = self.registry.at("", "v1", "nodes")?;
        if let Some(n) = self.store.get(nodes, "", &host) {
            for key in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
                if let Some(zone) = n.labels().get(key).as_str() {
                    new.set(&["metadata", "labels", key], zone);
                }
            }
        }
        let now = self.timestamp(cx.now);
        set_condition(
            &mut new,
            obj!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
        );
        if !op.options.dry_run {
            let s = self.registry.get(pods).clone();
            let v = self.commit(cx, &s, (op.namespace.clone(), name), new);
            self.after_write(cx, &s, Some(&old), Some(&v));
        }
        Ok(obj!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }

    /// Stores an object and leaves a trace of who did it because of what.
    pub(crate) fn commit(&mut self, cx: &Cx, s: &Resource, key: Name, v: Value) -> Value {
        let verb = if self.store.get(s.id, &key.0, &key.1).is_some() { "update" } else { "create" };
        let cause = self.note(cx, s, &key, verb);
        self.store.put(cx.now, cause, s.id, key, v)
    }

    pub(crate) fn uncommit(&mut self, cx: &Cx, s: &Resource, key: &Name) -> Option<Value> {
        let cause = self.note(cx, s, key, "delete");
        self.store.delete(cx.now, cause, s.id, key)
    }

    fn note(&mut self, cx: &Cx, s: &Resource, key: &Name, verb: &str) -> sim::Cause {
        let subject = if key.0.is_empty() {
            format!("{}/{}", s.plural, key.1)
        } else {
            format!("{}/{}/{}", s.plural, key.0, key.1)
        };
        self.trace.add(cx.cause, cx.now, &cx.user.name, "commit", &subject, verb)
    }

    /// What has to follow a write inside the server itself.
    fn after_write(&mut self, cx: &mut Cx, s: &Resource, old: Option<&Value>, new: Option<&Value>) {
        if s.kind == "Service" && s.group.is_empty() {
            match (old, new) {
                (Some(old), None) => self.release(old),
                (Some(old), Some(new)) => self.free_unused(s, old, Some(new)),
                _ => {}
            }
        }
        if s.kind == "CustomResourceDefinition" {
            self.serve_definitions();
            if let Some(new) = new {
                self.settle_definition(cx, s, new);
            }
        } else if s.builtin.is_none() && new.is_none() {
            self.reap_definition(cx, s);
        }
        if s.kind == "Service" && s.group.is_empty() {
            self.note_address(cx, old, new);
        }
    }
}

/// Who applies must say who it is. Models: `ValidatePatchOptions`.
fn check_apply(op: &Op) -> Result<(), Status> {
    let mut e = Errors::default();
    if op.options.field_manager.is_empty() {
        e.required(&At::Path("fieldManager"), "is required for apply patch");
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &e));
    }
    Ok(())
}

fn defaults(s: &Resource, v: &mut Value) {
    (s.rules.defaults)(v);
    if s.builtin.is_none() {
        api::structural::default(crate::custom::schema_of(s), v);
    }
}

fn add(list: &mut Vec<SmolStr>, x: &str) {
    if !list.iter().any(|f| f == x) {
        list.push(x.into());
    }
}

/// Puts a condition in its place by type.
pub(crate) fn set_condition(v: &mut Value, c: Value) {
    let list = v.slot(&["status", "conditions"]).list_mut();
    match list.iter_mut().find(|x| x.get("type") == c.get("type")) {
        Some(x) => *x = c,
        None => list.push(c),
    }
}

fn grace_period(s: &Resource, old: &Value, opts: &Value) -> i64 {
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

fn deleted_answer(r: &Resource, old: &Value) -> Value {
    // Kinds whose storage returns the deleted object itself.
    if matches!(r.kind.as_str(), "Pod" | "Namespace" | "ServiceAccount" | "Service") && r.group.is_empty() {
        return old.clone();
    }
    Status::success(&r.group, &r.plural, old.name(), old.uid())
}

/// What a client may send only as it is. Models: `ValidateObjectMetaAccessorUpdate`.
fn meta_immutable(new: &Value, old: &Value, errors: &mut Errors) {
    {
        let key = "deletionTimestamp";
        let (n, o) = (new.at(&["metadata", key]), old.at(&["metadata", key]));
        if n.is_some() && n != o {
            let root = At::Path("metadata");
            errors.invalid(&root.field(key), n, "field is immutable");
        }
    }
}

fn keep_meta(new: &mut Value, old: &Value) {
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
fn status_only(old: &Value, new: &Value) -> Value {
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

fn custom_spec_changed(old: &Value, new: &Value) -> bool {
    let body = |v: &Value| -> Value {
        v.entries().filter(|(k, _)| !matches!(k.as_str(), "metadata" | "status")).collect()
    };
    body(old) != body(new)
}

/// Models: `ValidateObjectMeta`.
fn validate_meta(r: &Resource, v: &Value, errors: &mut Errors) {
    let root = At::Path("metadata");
    let meta = v.get("metadata");
    let name = meta.get("name").text();
    let check = |text: &str| match r.rules.name {
        NameRule::Subdomain => names::dns_subdomain(text),
        NameRule::Label => names::dns_label(text),
        NameRule::Label1035 => names::dns1035_label(text),
        NameRule::PathSegment => names::path_segment(text),
    };
    let generate = meta.get("generateName").text();
    if !generate.is_empty() {
        let probe = generate.strip_suffix('-').map_or(generate.to_owned(), |g| format!("{g}a"));
        for m in check(&probe) {
            errors.invalid(&root.field("generateName"), generate, &m);
        }
    }
    if name.is_empty() {
        errors.required(&root.field("name"), "name or generateName is required");
    } else {
        let found = match (r.kind.as_str(), name.contains('.')) {
            ("Service", true) => vec!["must not contain dots".to_owned()],
            _ => check(name),
        };
        for m in found {
            errors.invalid(&root.field("name"), name, &m);
        }
    }
    validate_labels(&root.field("labels"), meta.get("labels"), errors);
    validate_annotations(&root.field("annotations"), meta.get("annotations"), errors);
    for (i, f) in meta.get("finalizers").items().enumerate() {
        let f = f.text();
        let at = root.field("finalizers");
        for m in names::qualified_name(f) {
            errors.invalid(&at, f, &m);
        }
        if !f.contains('/')
            && !matches!(f, "orphan" | "foregroundDeletion" | "kubernetes")
            && names::qualified_name(f).is_empty()
        {
            errors.invalid(
                &at.index(i),
                f,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
    for o in meta.get("ownerReferences").items() {
        let list = root.field("ownerReferences");
        if o.api_version().is_empty() {
            errors.invalid(&list.field("apiVersion"), "", "version must not be empty");
        }
        for key in ["kind", "name", "uid"] {
            if o.get(key).text().is_empty() {
                errors.invalid(&list.field(key), o.get(key).text(), "must not be empty");
            }
        }
        if o.kind() == "Event" && o.api_version() == "v1" {
            errors.invalid(&list, o, "/v1, Kind=Event is disallowed from being an owner");
        }
    }
    let controllers = meta.get("ownerReferences").items().filter(|o| o.get("controller").is_true()).count();
    if controllers > 1 {
        errors.invalid(
            &root.field("ownerReferences"),
            meta.get("ownerReferences"),
            "Only one reference can have Controller set to true.",
        );
    }
}

/// Validates labels.
pub(crate) fn validate_labels(at: &At<'_>, labels: &Value, errors: &mut Errors) {
    for (k, v) in labels.entries() {
        for m in names::qualified_name(k) {
            errors.invalid(at, k.as_str(), &m);
        }
        for m in names::label_value(v.text()) {
            errors.invalid(at, v.text(), &m);
        }
    }
}

fn validate_annotations(at: &At<'_>, annotations: &Value, errors: &mut Errors) {
    let mut size = 0;
    for (k, v) in annotations.entries() {
        for m in names::qualified_name(&k.to_lowercase()) {
            errors.invalid(at, k.as_str(), &m);
        }
        size += k.len() + v.text().len();
    }
    if size > 256 * 1024 {
        errors.too_long(at, 256 * 1024);
    }
}

/// Models: `ValidateObjectMetaUpdate`.
fn validate_meta_update(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::Path("metadata");
    if old.is_terminating() {
        let had: Vec<&str> = old.at(&["metadata", "finalizers"]).items().map(Value::text).collect();
        let added: Vec<&str> = new
            .at(&["metadata", "finalizers"])
            .items()
            .map(Value::text)
            .filter(|f| !had.contains(f))
            .collect();
        if !added.is_empty() {
            errors.forbidden(
                &root.field("finalizers"),
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ")
                ),
            );
        }
    }
}

impl ApiServer {
    /// The resource of an object by its API version and kind.
    pub fn resource_of(&self, v: &Value) -> Option<ResId> {
        self.registry.by_kind(v.api_version(), v.kind()).map(|r| r.id)
    }
}
