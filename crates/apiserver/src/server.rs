//! The server: state, settings, and the way from a request to its answer.

use crate::alloc::{self, Range};
use crate::auth::{Attributes, RuleCache, User, forbidden_message};
use crate::request::{self, PatchType, Path, decode_body, parse_path};
use crate::{KubeletCall, Op, Options, Outcome, Registry, ResId, Status, Store, Verb};
use api::selector::FieldSelector;
use api::wire::{Body, Method, Request, Response};
use api::{SmolStr, Value, gofmt};
use sim::{Cause, Epoch, Instant, Seed, Stream};
use std::sync::Arc;

/// What can be set about a server. Part of the scenario.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Range of cluster IPs.
    pub service_cidr: SmolStr,
    /// First node port and how many.
    pub node_ports: (u32, u32),
    /// Bearer tokens and whose they are.
    pub tokens: Vec<(SmolStr, User)>,
    /// Basic-auth users: user, password, groups.
    pub basic_users: Vec<(SmolStr, SmolStr, Vec<SmolStr>)>,
    /// Admission plugins that are on beyond the default ones.
    pub plugins: Vec<SmolStr>,
    /// Whether old versions of the API are served too, as books write them.
    pub book_mode: bool,
    /// Whether the `kubernetes` Service gets endpoints; the address of the server if so.
    pub advertise: Option<SmolStr>,
    /// The civil time of the epoch.
    pub epoch: Epoch,
    /// Suffixes to draw for generated names before chance is asked: what a name begins with and its suffix, in order.
    /// Empty but where a recorded cluster's draws are replayed.
    pub names: Vec<(SmolStr, SmolStr)>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            service_cidr: "10.96.0.0/16".into(),
            node_ports: (30_000, 2_768),
            tokens: Vec::new(),
            basic_users: Vec::new(),
            plugins: Vec::new(),
            book_mode: false,
            advertise: None,
            epoch: Epoch::DEFAULT,
            names: Vec::new(),
        }
    }
}

/// The API server with its store. A clone shares its content.
#[derive(Clone)]
pub struct ApiServer {
    /// The store.
    pub store: Store,
    /// The resources served.
    pub registry: Registry,
    /// The settings.
    pub settings: Arc<Settings>,
    /// What happened because of what.
    pub trace: sim::Trace,
    pub(crate) chance: Stream,
    pub(crate) ips: Range,
    pub(crate) ports: Range,
    pub(crate) rule_cache: RuleCache,
    /// How many of [`Settings::names`] each beginning has used.
    pub(crate) drawn: sim::persistent::OrdMap<SmolStr, usize>,
    /// Sets of managed fields by their digest, one copy for all objects.
    pub(crate) field_sets: sim::persistent::OrdMap<sim::Digest, Value>,
    /// Descriptions for its documents, where they are loaded; no part of its state.
    pub(crate) texts: Option<Arc<crate::Texts>>,
}

/// Patches that custom resources take.
pub(crate) const CUSTOM_PATCHES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// What a request carries through the pipeline.
pub(crate) struct Cx {
    pub now: Instant,
    pub cause: Cause,
    pub user: User,
    /// `user-agent`, or the component's name.
    pub agent: SmolStr,
    pub warnings: Vec<String>,
}

impl ApiServer {
    /// A server with an empty store. Call [`ApiServer::bootstrap`] before use.
    pub fn new(seed: Seed, settings: Settings) -> ApiServer {
        let (first, size) = alloc::usable(&settings.service_cidr).unwrap_or((0x0a60_0001, 65_534));
        let (port, ports) = settings.node_ports;
        let mut registry = Registry::default();
        if settings.book_mode {
            registry.serve_old();
        }
        ApiServer {
            store: Store::default(),
            registry,
            settings: Arc::new(settings),
            trace: sim::Trace::default(),
            chance: seed.stream("kube-apiserver"),
            ips: Range::new(first, size),
            ports: Range::new(port, ports),
            rule_cache: RuleCache::default(),
            drawn: sim::persistent::OrdMap::new(),
            field_sets: sim::persistent::OrdMap::new(),
            texts: None,
        }
    }

    /// Gives it the descriptions of the built-in kinds.
    pub fn set_texts(&mut self, texts: Arc<crate::Texts>) {
        self.texts = Some(texts);
    }

    /// The civil time at an instant as RFC 3339.
    pub fn timestamp(&self, at: Instant) -> String {
        self.settings.epoch.civil(at).rfc3339()
    }

    /// The place of a resource, e.g. `("apps", "deployments")`, in its preferred version.
    pub fn resource(&self, group: &str, plural: &str) -> Option<ResId> {
        self.registry.iter().find(|r| r.group == group && r.plural == plural).map(|r| r.id)
    }

    /// Answers a request.
    pub fn handle(&mut self, now: Instant, cause: Cause, req: &Request) -> Outcome {
        let agent = req.header("user-agent").unwrap_or("").into();
        let mut cx = Cx { now, cause, user: User::default(), agent, warnings: Vec::new() };
        match self.route(&mut cx, req) {
            Ok(Outcome::Done(mut r)) => {
                r.warnings.append(&mut cx.warnings);
                Outcome::Done(r)
            }
            Ok(Outcome::Watch(w, mut r)) => {
                r.warnings.append(&mut cx.warnings);
                Outcome::Watch(w, r)
            }
            Ok(other) => other,
            Err(status) => {
                let mut r = Response::object(status.code, status.to_value());
                if let Some(s) = status.details.get("retryAfterSeconds").as_int() {
                    r.headers.push(("retry-after".into(), s.to_string()));
                }
                r.warnings = cx.warnings;
                Outcome::Done(r)
            }
        }
    }

    fn route(&mut self, cx: &mut Cx, req: &Request) -> Result<Outcome, Status> {
        cx.user = self.authenticate(&req.credentials).ok_or_else(Status::unauthorized)?;
        self.impersonate(cx, req)?;
        match parse_path(&req.path) {
            Path::Resource { group, version, plural, namespace, name, sub }
                if self.registry.has_group(group, Some(version)) =>
            {
                // Deprecated watch paths, `/api/v1/watch/…`, are not served by v1.36 clients any more.
                self.resource_request(cx, req, (group, version, plural), (namespace, name, sub))
            }
            _ => self.path_request(cx, req),
        }
    }

    fn path_request(&mut self, cx: &mut Cx, req: &Request) -> Result<Outcome, Status> {
        let verb = req.method.as_str().to_lowercase();
        let a = Attributes {
            verb: &verb,
            group: "",
            version: "",
            resource: "",
            sub: "",
            namespace: "",
            name: "",
            path: &req.path,
        };
        if self.authorize(&cx.user, &a).is_none() {
            return Err(Status::forbidden("", "", "", &forbidden_message(&cx.user, &a)));
        }
        match self.discover(cx.now, req) {
            Some(r) => Ok(Outcome::Done(r)),
            // Below a known group's path a Status answers, elsewhere plain text.
            None if req.path.starts_with("/api/") => Err(Status::no_resource()),
            None => Ok(Outcome::Done(Response {
                status: 404,
                headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
                warnings: Vec::new(),
                body: Body::text("404 page not found\n"),
                stream: false,
            })),
        }
    }

    fn resource_request(
        &mut self,
        cx: &mut Cx,
        req: &Request,
        (group, version, plural): (&str, &str, &str),
        (namespace, name, sub): (&str, &str, &str),
    ) -> Result<Outcome, Status> {
        let verb = request::verb(req, name);
        let options = Options::of(req)?;
        let (sub, rest) = sub.split_once('/').unwrap_or((sub, ""));
        // Authorization comes before the resource is known to exist, as upstream.
        let a = Attributes {
            verb: verb.as_str(),
            group,
            version,
            resource: plural,
            sub,
            namespace,
            name,
            path: "",
        };
        if self.authorize(&cx.user, &a).is_none() {
            return Err(Status::forbidden(group, plural, name, &forbidden_message(&cx.user, &a)));
        }
        let res = self.registry.at(group, version, plural)?;
        let r = self.registry.get(res).clone();
        // A namespaced path of a cluster-scoped resource, and the reverse with a name, lead nowhere.
        if (!namespace.is_empty() && !r.namespaced)
            || (namespace.is_empty() && r.namespaced && !name.is_empty())
        {
            return Err(Status::no_resource());
        }
        if !sub.is_empty() && !self.has_subresource(&r, sub) {
            return Err(Status::no_resource());
        }
        let mut op = Op {
            verb,
            res,
            sub: sub.into(),
            namespace: namespace.into(),
            name: name.into(),
            body: Value::Null,
            options,
        };
        if matches!(sub, "exec" | "attach" | "portforward" | "log" | "proxy") {
            return self.kubelet_call(&op, rest, req);
        }
        if sub.is_empty() && !r.allows(verb.as_str()) {
            return Err(Status::method_not_allowed());
        }
        // Across namespaces one can only read.
        if r.namespaced
            && namespace.is_empty()
            && !matches!(verb, Verb::List | Verb::Watch)
            && !(r.verbs.len() == 1 && sub.is_empty())
        {
            return Err(Status::method_not_allowed());
        }
        if matches!(verb, Verb::Create) && !name.is_empty() && sub.is_empty() {
            return Err(Status::method_not_allowed());
        }
        if matches!(verb, Verb::Update | Verb::Patch) && name.is_empty() {
            return Err(Status::method_not_allowed());
        }
        self.read_body(&mut op, &r, req)?;
        cx.warnings.extend(crate::custom::deprecation(&self.registry, &r));
        let accept = req.header("accept").unwrap_or("").to_owned();
        if !crate::table::acceptable(&accept) && r.builtin.is_some() {
            return Err(Status::not_acceptable(verb));
        }
        let include = req.query("includeObject").unwrap_or("").to_owned();
        self.run(cx, op, &accept, &include)
    }

    fn read_body(&mut self, op: &mut Op, r: &crate::Resource, req: &Request) -> Result<(), Status> {
        match op.verb {
            Verb::Create | Verb::Update => {
                let media = req.header("content-type").unwrap_or("application/json");
                let media = media.split(';').next().unwrap_or(media).trim();
                let known = ["application/json", "application/yaml", "*/*"].contains(&media);
                if matches!(req.body, Body::Bytes(_)) && !known {
                    return Err(Status::unsupported_media_type(
                        "application/json, application/yaml, application/vnd.kubernetes.protobuf",
                    ));
                }
                let (body, findings) = decode_body(req).map_err(|s| self.unrecognized(r, req, s))?;
                if matches!(&req.body, Body::Empty) || matches!(&req.body, Body::Bytes(b) if b.is_empty()) {
                    return Err(self.unrecognized(
                        r,
                        req,
                        Status::bad_request("unexpected end of JSON input"),
                    ));
                }
                if let (Value::List(_), Body::Bytes(b)) = (&body, &req.body) {
                    let hex: String = b.iter().take(1024).map(|x| format!("{x:02x}")).collect();
                    return Err(Status::bad_request(format!(
                        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse \
                         error: json: cannot unmarshal array into Go value of type struct {{ APIVersion string \
                         \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }} ({hex})",
                        r.kind
                    )));
                }
                op.body = body;
                op.options.findings = findings;
            }
            Verb::Patch => {
                let media = req.header("content-type").unwrap_or("");
                op.options.patch = request::patch_type(media);
                if op.options.patch.is_none() {
                    // The router itself refuses for built-in kinds, the handler for custom ones.
                    if r.ty.is_some() {
                        let mut s = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
                        (s.details, s.with_details) = (Value::map(), true);
                        return Err(s);
                    }
                    return Err(Status::unsupported_media_type(CUSTOM_PATCHES));
                }
                if op.options.force.is_some() && op.options.patch != Some(PatchType::Apply) {
                    let mut e = api::field::Errors::default();
                    let why = "may not be specified for non-apply patch";
                    e.forbidden(&api::field::At::Path("force"), why);
                    return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &e));
                }
                let (body, findings) = decode_body(req).map_err(|s| match op.options.patch {
                    Some(PatchType::Json | PatchType::Merge) if s.code == 400 => {
                        Status::bad_request(format!("error decoding patch: {}", s.message))
                    }
                    _ => s,
                })?;
                op.body = body;
                op.options.findings = findings;
            }
            Verb::Delete | Verb::DeleteCollection => {
                let (body, _) = decode_body(req).map_err(|s| match s.code {
                    400 => Status::bad_request(format!(
                        "couldn't get version/kind; json parse error: {}",
                        s.message
                    )),
                    _ => s,
                })?;
                for (k, v) in body.entries() {
                    op.options.delete.insert(k, v);
                }
                request::check_delete(&op.options.delete)?;
                if op.options.delete.get("dryRun").items().any(|d| d.text() == "All") {
                    op.options.dry_run = true;
                }
            }
            Verb::Get | Verb::List | Verb::Watch => {}
        }
        Ok(())
    }

    fn unrecognized(&self, r: &crate::Resource, req: &Request, s: Status) -> Status {
        if s.code != 400 {
            return s;
        }
        let text = match &req.body {
            Body::Bytes(b) if !b.is_empty() => String::from_utf8_lossy(b).into_owned(),
            _ => "<empty>".to_owned(),
        };
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {} ({text})",
            r.kind, s.message
        ))
    }

    pub(crate) fn has_subresource(&self, r: &crate::Resource, sub: &str) -> bool {
        r.subresources().iter().any(|s| s == sub)
    }

    fn kubelet_call(&mut self, op: &Op, rest: &str, req: &Request) -> Result<Outcome, Status> {
        let r = self.registry.get(op.res).clone();
        // `[scheme:]name[:port]`
        let parts: Vec<&str> = if op.sub == "proxy" { op.name.split(':').collect() } else { vec![&op.name] };
        let (name, port) = match parts.as_slice() {
            [name] => (*name, ""),
            [name, port] | ["http" | "https" | "", name, port] => (*name, *port),
            _ => {
                return Err(Status::bad_request(format!(
                    "invalid {} request {}",
                    r.plural,
                    gofmt::quote(&op.name)
                )));
            }
        };
        let object = self
            .store
            .get(r.storage, &op.namespace, name)
            .ok_or_else(|| Status::not_found(&r.group, &r.plural, name))?
            .clone();
        Ok(Outcome::Kubelet(KubeletCall {
            what: op.sub.clone(),
            object,
            query: op.options.query.clone(),
            path: rest.to_owned(),
            port: port.into(),
            request: (op.sub == "proxy").then(|| Box::new(req.clone())),
        }))
    }

    /// Runs an authorized operation and renders its answer in the format asked for.
    pub(crate) fn run(
        &mut self,
        cx: &mut Cx,
        op: Op,
        accept: &str,
        include: &str,
    ) -> Result<Outcome, Status> {
        let (res, verb) = (op.res, op.verb);
        let warn = self.registry.get(res).rules.warnings;
        if matches!(verb, Verb::Get | Verb::List | Verb::Watch) {
            // Deprecated kinds warn their readers too.
            match self.registry.get(res).kind.as_str() {
                "Endpoints" => warn(Value::null(), None, &mut cx.warnings),
                "ComponentStatus" => cx.warnings.push("v1 ComponentStatus is deprecated in v1.19+".into()),
                _ => {}
            }
        }
        if verb == Verb::Watch
            || (verb == Verb::List && op.options.query.iter().any(|(k, v)| k == "watch" && v == "true"))
        {
            let mut w = self.open_watch(cx, &op)?;
            w.accept = accept.into();
            w.include_object = include.into();
            let mut r = Response::object(200, Value::Null);
            r.body = Body::Empty;
            r.stream = true;
            return Ok(Outcome::Watch(w, r));
        }
        let (code, v) = self.execute(cx, op)?;
        let v = match v.kind() {
            "Status" => v,
            _ => self.render_answer(res, accept, include, v, cx.now),
        };
        Ok(Outcome::Done(Response::object(code, v)))
    }

    /// Whether an object has the field values that a selector asks for.
    pub(crate) fn matches_fields(&self, res: ResId, f: &FieldSelector, v: &Value) -> bool {
        let rules = self.registry.get(res).rules;
        f.matches(|field| match field {
            "metadata.name" => v.name().into(),
            "metadata.namespace" => v.namespace().into(),
            other => rules
                .fields
                .iter()
                .find(|(n, _)| *n == other)
                .map(|(_, get)| get(v).into())
                .unwrap_or_else(|| crate::custom::field_text(v, other).into()),
        })
    }

    /// Shows a stored object in the version of the resource that it was asked for by.
    pub(crate) fn convert(&self, res: ResId, v: Value) -> Value {
        let r = self.registry.get(res);
        // What was written in an old version is shown in today's.
        if r.storage == res || r.old.is_some() {
            return v;
        }
        crate::scale::convert(r, v)
    }

    /// What a dry-run create says of a manifest, as paths and messages. Meant for a clone: nothing is kept.
    pub fn check(&mut self, now: Instant, v: &Value) -> Vec<(String, String)> {
        let one = |path: &str, m: String| vec![(path.to_owned(), m)];
        if v.kind().is_empty() || v.api_version().is_empty() {
            let missing = if v.kind().is_empty() { "kind" } else { "apiVersion" };
            return one("", format!("{missing} not set"));
        }
        let Some(r) = self.registry.by_kind(v.api_version(), v.kind()).cloned() else {
            return one(
                "kind",
                format!("no matches for kind \"{}\" in version \"{}\"", v.kind(), v.api_version()),
            );
        };
        let namespace: SmolStr = match (r.namespaced, v.namespace()) {
            (false, _) => SmolStr::default(),
            (true, "") => "default".into(),
            (true, ns) => ns.into(),
        };
        let mut op = Op {
            verb: Verb::Create,
            res: r.id,
            sub: SmolStr::default(),
            namespace,
            name: SmolStr::default(),
            body: v.clone(),
            options: Options::default(),
        };
        op.options.dry_run = true;
        op.options.field_validation = request::FieldValidation::Warn;
        let user = User::new("editor", &["system:masters"]);
        let mut cx = Cx { now, cause: Cause::NONE, user, agent: "editor".into(), warnings: Vec::new() };
        let result = self.execute(&mut cx, op);
        let quoted = |w: &str| w.split('"').nth(1).unwrap_or("").to_owned();
        let mut out: Vec<(String, String)> = cx.warnings.iter().map(|w| (quoted(w), w.clone())).collect();
        match result {
            // An object of that name is there already: applying changes it.
            Ok(_) => {}
            Err(s) if s.reason == "AlreadyExists" => {}
            Err(s) if s.reason == "Invalid" => {
                out.extend(s.details.get("causes").items().map(|c| {
                    let (field, m) = (c.get("field").text(), c.get("message").text());
                    (field.to_owned(), format!("{field}: {m}"))
                }));
            }
            Err(s) => {
                // Decoding errors name the field without indices.
                let field = s.message.split("Go struct field ").nth(1).and_then(|t| t.split(' ').next());
                let field = field.and_then(|f| f.split_once('.')).map_or("", |(_, f)| f).to_owned();
                out.push((field, s.message));
            }
        }
        out
    }

    /// `HEAD` is `GET` without a body.
    pub fn is_head(req: &Request) -> bool {
        req.method == Method::Head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::obj;
    use api::wire::Credentials;

    fn server() -> ApiServer {
        let mut api = ApiServer::new(Seed(1), Settings::default());
        api.bootstrap(Instant::ZERO);
        let sa = obj!({"metadata": {"name": "default", "namespace": "default"}});
        api.seed_object(Instant::ZERO, "serviceaccounts", "", "v1", sa);
        api
    }

    fn admin(method: Method, path: &str) -> Request {
        let mut r = Request::new(method, path);
        r.credentials =
            Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
        r
    }

    fn call(api: &mut ApiServer, r: Request) -> Response {
        match api.handle(Instant::from_secs(60), Cause::NONE, &r) {
            Outcome::Done(r) => r,
            other => panic!("not an answer: {other:?}"),
        }
    }

    #[test]
    fn a_deployment_goes_through_the_pipeline() {
        let mut api = server();
        let text = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"app":"d"}},
            "template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c","image":"nginx"}]}}}}"#;
        let path = "/apis/apps/v1/namespaces/default/deployments";
        let r = call(&mut api, admin(Method::Post, path).with_body(Body::text(text)));
        assert_eq!(r.status, 201, "{:?}", r.value());
        assert_eq!(r.value().at(&["spec", "replicas"]).int(), 1);
        assert_eq!(r.value().generation(), 1);
        let r = call(&mut api, admin(Method::Post, path).with_body(Body::text(text)));
        assert_eq!(r.value().get("message").text(), "deployments.apps \"d\" already exists");
        let bad = text.replace("\"selector\"", "\"selektor\"");
        let r = call(
            &mut api,
            admin(Method::Post, path).with_query("fieldValidation", "Strict").with_body(Body::text(&bad)),
        );
        assert_eq!(
            r.value().get("message").text(),
            "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.selektor\""
        );
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let r = call(&mut api, admin(Method::Get, path).with_header("accept", table));
        assert_eq!(
            r.value().at(&["rows", "0", "cells"]).to_json(),
            r#"["d","0/1",0,0,"0s","c","nginx","app=d"]"#
        );
        let r = call(&mut api, Request::get("/api/v1/pods"));
        assert_eq!(
            r.value().get("message").text(),
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
        );
    }

    #[test]
    fn a_pod_gets_what_admission_gives() {
        let mut api = server();
        let pod = obj!({"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}});
        let r = call(
            &mut api,
            admin(Method::Post, "/api/v1/namespaces/default/pods").with_body(Body::Object(pod)),
        );
        let v = r.value();
        assert_eq!(r.status, 201, "{v:?}");
        assert_eq!(v.at(&["spec", "tolerations"]).len(), 2);
        assert_eq!(v.at(&["spec", "containers", "0", "imagePullPolicy"]).text(), "IfNotPresent");
        assert_eq!(v.at(&["spec", "containers", "0", "volumeMounts"]).len(), 1);
        assert_eq!(v.at(&["status", "qosClass"]).text(), "BestEffort");
        let name = v.name().to_owned();
        let r = call(&mut api, admin(Method::Delete, &format!("/api/v1/namespaces/default/pods/{name}")));
        assert_eq!(r.status, 200);
        assert_eq!(api.store.count(api.resource("", "pods").unwrap()), 0);
    }
}
