//! Reading: get, list with its pages and versions, watch.

use crate::server::Cx;
use crate::store::Name;
use crate::{ApiServer, Op, Resource, Status, Verb, Watch};
use api::field::{At, Errors};
use api::selector::{FieldSelector, Selector};
use api::{Value, obj};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Go does not mind bits behind the last byte.
const B64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

impl ApiServer {
    pub(super) fn lookup(&self, r: &Resource, namespace: &str, name: &str) -> Result<Value, Status> {
        match self.store.get(r.storage, namespace, name) {
            Some(v) => Ok(v.clone()),
            None => Err(Status::not_found(&r.group, &r.plural, name)),
        }
    }

    pub(super) fn get(&self, r: &Resource, op: &Op) -> Result<Value, Status> {
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
        let mut v = self.convert(r.id, self.lookup(r, &op.namespace, &op.name)?);
        if r.old.is_some() {
            // Clients compare what they read with what they send; only the version must be theirs.
            v.insert("apiVersion", r.api_version());
        }
        Ok(v)
    }

    pub(super) fn component_statuses(&self) -> Vec<Value> {
        ["etcd-0", "controller-manager", "scheduler"]
            .iter()
            .map(|n| {
                obj!({
                    "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": *n},
                    "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]
                })
            })
            .collect()
    }

    pub(super) fn selectors(&self, r: &Resource, op: &Op) -> Result<(Selector, FieldSelector), Status> {
        let labels = match op.options.label_selector.as_str() {
            "" => Selector::everything(),
            s => Selector::parse(s).map_err(Status::bad_request)?,
        };
        let fields = match op.options.field_selector.as_str() {
            "" => FieldSelector::default(),
            s => FieldSelector::parse(s).map_err(|e| Status::bad_request(e.to_string()))?,
        };
        for term in fields.terms.iter() {
            // Cluster-scoped kinds with fields of their own do not know a namespace.
            let plain = r.rules.fields.is_empty() && r.builtin.is_some();
            let known = term.field == "metadata.name"
                || (term.field == "metadata.namespace" && (r.namespaced || plain))
                || r.rules.fields.iter().any(|(n, _)| *n == term.field)
                || crate::custom::selectable(r, &term.field);
            if !known {
                let m = match plain {
                    false => format!("field label not supported: {}", term.field),
                    true => format!(
                        "\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                        term.field
                    ),
                };
                return Err(Status::bad_request(m));
            }
        }
        Ok((labels, fields))
    }

    pub(super) fn list(&self, r: &Resource, op: &Op) -> Result<Value, Status> {
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
        let then = self.store_then(r, op, after.as_ref().map(|a| a.1))?;
        let store = then.as_ref().unwrap_or(&self.store);
        for (name, v) in store.list(r.storage, namespace, after.map(|a| a.0)) {
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
        let revision = store.revision().max(1).to_string();
        let mut meta = obj!({"resourceVersion": revision.as_str()});
        if rest > 0
            && let Some((ns, name)) = last
        {
            // Keys are told relative to the place that is listed.
            let start = match (op.namespace.is_empty(), ns.is_empty()) {
                (false, _) => format!("/{name}"),
                (_, false) => format!("{ns}/{name}"),
                _ => name.to_string(),
            };
            let rv = store.revision();
            let token = format!("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{rv},\"start\":\"{start}\\u0000\"}}\n");
            meta.insert("continue", B64.encode(token.trim_end()));
            if labels.is_empty() && fields.is_empty() {
                meta.insert("remainingItemCount", rest);
            }
        }
        let kind = format!("{}List", r.kind);
        Ok(obj!({"kind": kind, "apiVersion": r.api_version(), "metadata": meta, "items": items}))
    }

    /// The store as it was at the revision that a list asks for, `None` for now.
    fn store_then(&self, r: &Resource, op: &Op, token: Option<u64>) -> Result<Option<crate::Store>, Status> {
        let o = &op.options;
        let exact = match (o.resource_version_match.as_str(), o.resource_version.parse::<u64>()) {
            ("Exact", Ok(n)) => Some(n),
            // The old way of asking for a page at a revision.
            ("", Ok(n)) if n > 0 && o.limit > 0 => Some(n),
            _ => None,
        };
        let Some(n) = token.or(exact).filter(|n| *n < self.store.revision()) else { return Ok(None) };
        match self.store.at(r.storage, n) {
            Some(s) => Ok(Some(s)),
            None if token.is_some() => Err(Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                 without the continue parameter, or use the continue token in this response to retrieve the remainder of \
                 the results. Continuing with the provided token results in an inconsistent list - objects that were \
                 created, modified, or deleted between the time the first chunk was returned and now may show up in the \
                 list.",
            )),
            None => Err(Status::expired("The resourceVersion for the provided list is too old.")),
        }
    }

    /// Where a page begins and the revision of the list that it belongs to.
    pub(super) fn continue_after(&self, op: &Op) -> Result<Option<(Name, u64)>, Status> {
        let token = &op.options.continue_token;
        if token.is_empty() {
            return Ok(None);
        }
        let wrong =
            |m: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {m}"));
        let text = B64.decode(token).map_err(|e| {
            let at = match e {
                base64::DecodeError::InvalidByte(i, _) => i,
                _ => token.len(),
            };
            wrong(&format!("illegal base64 data at input byte {at}"))
        })?;
        let (v, _) = api::parse_json(&String::from_utf8_lossy(&text)).map_err(|e| wrong(&e.message))?;
        let version = v.get("v").text();
        if version != "meta.k8s.io/v1" {
            return Err(wrong(&format!("server does not recognize this encoded version {version:?}")));
        }
        if v.get("rv").int() == 0 {
            return Err(wrong("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let start = v.get("start").text().trim_end_matches('\u{0}');
        if start.is_empty() {
            return Err(wrong("encoded start key empty (version meta.k8s.io/v1)"));
        }
        let (ns, name) = match (op.namespace.is_empty(), start.split_once('/')) {
            (false, _) => (op.namespace.as_str(), start.trim_start_matches('/')),
            (true, Some((ns, name))) => (ns, name),
            (true, None) => ("", start),
        };
        if !matches!(op.options.resource_version.as_str(), "" | "0") {
            let m = "specifying resource version is not allowed when using continue";
            return Err(Status::bad_request(m));
        }
        // Negative: wherever the list is now.
        let revision = v.get("rv").as_int().and_then(|n| u64::try_from(n).ok());
        let revision = revision.unwrap_or_else(|| self.store.revision());
        Ok(Some(((ns.into(), name.into()), revision)))
    }

    pub(super) fn check_list_version(&self, op: &Op) -> Result<(), Status> {
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
                e.one_of(&At::Path("resourceVersionMatch"), how, &["Exact", "NotOlderThan", ""]);
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
    pub(super) fn too_large(&self, n: u64) -> Status {
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
        check_watch(op)?;
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
}

/// Models: `validateWatchOptions`.
fn check_watch(op: &Op) -> Result<(), Status> {
    let (how, initial) = (op.options.resource_version_match.as_str(), op.options.send_initial_events);
    let why = match initial {
        None if !how.is_empty() => {
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        }
        Some(_) if how != "NotOlderThan" => {
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        }
        _ => return Ok(()),
    };
    let mut e = Errors::default();
    e.forbidden(&At::Path("resourceVersionMatch"), why);
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", &e))
}
