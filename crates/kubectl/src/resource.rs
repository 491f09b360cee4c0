//! From words and files to objects on the server. Models: `cli-runtime/pkg/resource` (the builder).

use crate::client::Api;
use crate::command::Args;
use crate::cx::{Cx, Done, Stop};
use crate::discovery::{Discovery, Resource};
use crate::error::Error;
use crate::{files, kustomize};
use api::wire::Request;
use api::{Value, gofmt};
use std::sync::Arc;

/// What a command is to work on: one object, or a list.
#[derive(Clone, Debug)]
pub struct Target {
    /// The resource.
    pub res: Arc<Resource>,
    /// Its namespace, "" for all or none.
    pub namespace: String,
    /// The object's name; `None` is a list.
    pub name: Option<String>,
    /// Where it came from: a file, or "".
    pub source: String,
    /// The object as the file has it.
    pub object: Value,
}

/// An object with its place.
#[derive(Clone, Debug)]
pub struct Info {
    /// The resource.
    pub res: Arc<Resource>,
    /// Its namespace, "" for none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it came from: a file, or "".
    pub source: String,
    /// The object.
    pub object: Value,
}

impl From<Target> for Info {
    fn from(t: Target) -> Info {
        Info {
            res: t.res,
            namespace: t.namespace,
            name: t.name.unwrap_or_default(),
            source: t.source,
            object: t.object,
        }
    }
}

impl Info {
    /// `pod/web`
    pub fn label(&self) -> String {
        format!("{}/{}", self.res.kind_name(), self.name)
    }

    /// Its path on the server.
    pub fn path(&self) -> String {
        self.res.path(&self.namespace, &self.name)
    }

    /// Puts the source before an error, as commands that read files do.
    pub fn wrap(&self, verb: &str, e: Error) -> Error {
        if self.source.is_empty() {
            return e;
        }
        e.prefixed(format!("error when {verb} {}: ", gofmt::quote(&self.source)))
    }

    /// Asks the server for it.
    pub fn fetch(&mut self, cx: &mut Cx<'_>, api: &Api) -> Done {
        if self.name.is_empty() {
            return Err(Error::text("resource name may not be empty").into());
        }
        self.object = api.get(cx, &self.path())?;
        Ok(())
    }
}

/// What was asked for, in the order of asking.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Targets and errors.
    pub items: Vec<Result<Target, Error>>,
    /// Whether exactly one object was named.
    pub single: bool,
    /// Whether errors come from files.
    pub from_files: bool,
}

/// What a command line selects.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    words: Vec<String>,
    files: Vec<String>,
    kustomize: String,
    recursive: bool,
    labels: Option<String>,
    fields: Option<String>,
    select_all: bool,
    all_namespaces: bool,
    empty_selector: bool,
    validate: bool,
    default_namespace: bool,
    enforce_namespace: bool,
    chunk: i64,
}

const NOTHING: &str = "You must provide one or more resources by argument or filename.\nExample resource \
                       specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   \
                       '<resource>'";

impl Builder {
    /// Of a command's words and its usual flags, so far as it has them.
    pub fn new(args: &Args, words: &[String]) -> Builder {
        let some = |n: &str| args.given(n).then(|| args.str(n)).filter(|s| !s.is_empty());
        Builder {
            words: words.to_vec(),
            files: args.list("filename").to_vec(),
            kustomize: args.str("kustomize"),
            recursive: args.bool("recursive"),
            labels: some("selector"),
            fields: some("field-selector"),
            select_all: false,
            all_namespaces: args.bool("all-namespaces"),
            empty_selector: args.bool("all"),
            validate: false,
            enforce_namespace: true,
            default_namespace: true,
            chunk: args.int("chunk-size"),
        }
    }

    /// A resource without a name means all of its objects.
    pub fn allow_empty_selector(mut self) -> Builder {
        self.empty_selector = true;
        self
    }

    /// `--all` selects every object of the types, whatever else is said.
    pub fn select_all(mut self, on: bool) -> Builder {
        self.select_all = on;
        self
    }

    /// Files may name other namespaces than `--namespace` does.
    pub fn any_namespace(mut self) -> Builder {
        self.enforce_namespace = false;
        self
    }

    /// Files must say `apiVersion` and `kind`.
    pub fn validate(mut self, on: bool) -> Builder {
        self.validate = on;
        self
    }

    /// Whether files or a kustomization were named.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty() || !self.kustomize.is_empty()
    }

    /// The label selector given.
    pub fn label_selector(&self) -> Option<&str> {
        self.labels.as_deref()
    }

    /// Resolves the words against the server.
    pub fn targets(&self, cx: &mut Cx<'_>, api: &Api) -> Done<Targets> {
        if !self.files.is_empty() && !self.kustomize.is_empty() {
            return Err(Error::text("only one of -f or -k can be specified").into());
        }
        if self.has_files() {
            if !self.words.is_empty() {
                return Err(Error::text(
                    "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
                )
                .into());
            }
            return self.file_targets(cx, api);
        }
        let words = normalized(&self.words);
        let tuples = combined(&words)?;
        let labels = if self.select_all { Some(String::new()) } else { self.labels.clone() };
        if !tuples.is_empty() {
            if labels.is_some() || self.fields.is_some() {
                return Err(Error::text(
                    "selectors and the all flag cannot be used when passing resource/name arguments",
                )
                .into());
            }
            return self.by_tuple(cx, api, &tuples);
        }
        let Some((types, names)) = words.split_first() else {
            let selected = labels.is_some() || self.fields.is_some();
            let text =
                if selected { "at least one resource must be specified to use a selector" } else { NOTHING };
            return Err(Error::text(text).into());
        };
        let d = cx.discovery(api)?;
        let mut list: Vec<Arc<Resource>> = Vec::new();
        for t in types.split(',') {
            let category = d.category(t);
            if category.is_empty() {
                list.push(d.resolve(t)?);
            } else {
                list.extend(category);
            }
        }
        let mut resources: Vec<Arc<Resource>> = Vec::new();
        for r in list {
            if !resources.contains(&r) {
                resources.push(r);
            }
        }
        if labels.is_some() || self.fields.is_some() || (names.is_empty() && self.empty_selector) {
            if !names.is_empty() {
                return Err(Error::text("name cannot be provided when a selector is specified").into());
            }
            let items = resources.into_iter().map(|r| Ok(self.list_target(api, r))).collect();
            return Ok(Targets { items, ..Targets::default() });
        }
        if names.is_empty() {
            return Err(Error::text("resource(s) were provided, but no name was specified").into());
        }
        let mut out = Targets { single: names.len() == 1 && resources.len() == 1, ..Targets::default() };
        for r in &resources {
            for n in names {
                out.items.push(Ok(self.named_target(api, r.clone(), n)?));
            }
        }
        Ok(out)
    }

    fn list_target(&self, api: &Api, res: Arc<Resource>) -> Target {
        let namespace =
            if res.namespaced && !self.all_namespaces { api.namespace.clone() } else { String::new() };
        Target { res, namespace, name: None, source: String::new(), object: Value::Null }
    }

    fn named_target(&self, api: &Api, res: Arc<Resource>, name: &str) -> Result<Target, Error> {
        if res.namespaced && self.all_namespaces {
            return Err(Error::text("a resource cannot be retrieved by name across all namespaces"));
        }
        if name.is_empty() {
            return Err(Error::text("resource name may not be empty"));
        }
        let namespace = if res.namespaced { api.namespace.clone() } else { String::new() };
        Ok(Target { res, namespace, name: Some(name.to_owned()), source: String::new(), object: Value::Null })
    }

    fn by_tuple(&self, cx: &mut Cx<'_>, api: &Api, tuples: &[(String, String)]) -> Done<Targets> {
        let d = cx.discovery(api)?;
        let mut out = Targets { single: tuples.len() == 1, ..Targets::default() };
        for (t, n) in tuples {
            out.items.push(Ok(self.named_target(api, d.resolve(t)?, n)?));
        }
        Ok(out)
    }

    /// The objects of files without asking the server for anything.
    pub fn local(&self, cx: &mut Cx<'_>, namespace: &str) -> Done<Vec<Result<Info, Error>>> {
        let docs = self.docs(cx)?;
        let mut out = Vec::new();
        for doc in docs {
            let doc = match doc {
                Ok(d) => d,
                Err(e) => {
                    out.push(Err(e));
                    continue;
                }
            };
            if let Err(e) = files::decode(&doc) {
                out.push(Err(e));
                continue;
            }
            for v in flatten(&doc.value) {
                out.push(Ok(local_info(&v, &doc.source, namespace)));
            }
        }
        Ok(out)
    }

    fn docs(&self, cx: &mut Cx<'_>) -> Done<Vec<Result<files::Doc, Error>>> {
        if !self.kustomize.is_empty() {
            let objects = kustomize::build(cx, &self.kustomize)?;
            return Ok(objects
                .into_iter()
                .map(|value| {
                    let text = value.to_json();
                    Ok(files::Doc { value, source: self.kustomize.clone(), text })
                })
                .collect());
        }
        let paths = files::expand(cx, &self.files, self.recursive)?;
        files::read(cx, &paths)
    }

    fn file_targets(&self, cx: &mut Cx<'_>, api: &Api) -> Done<Targets> {
        let mut out = Targets { from_files: true, ..Targets::default() };
        let docs = self.docs(cx)?;
        let selector = match &self.labels {
            Some(l) => Some(api::selector::Selector::parse(l)?),
            None => None,
        };
        for doc in docs {
            let checked = doc.and_then(|d| {
                if self.validate {
                    files::verify(&d)?;
                }
                files::decode(&d)?;
                Ok(d)
            });
            let doc = match checked {
                Ok(d) => d,
                Err(e) => {
                    out.items.push(Err(e));
                    continue;
                }
            };
            let d = cx.discovery(api)?;
            for v in flatten(&doc.value) {
                if selector.as_ref().is_some_and(|s| !s.matches(v.labels())) {
                    continue;
                }
                out.items.push(self.file_target(&d, api, v, &doc.source));
            }
        }
        out.single = out.items.len() == 1;
        Ok(out)
    }

    fn file_target(&self, d: &Discovery, api: &Api, mut v: Value, source: &str) -> Result<Target, Error> {
        let Some(res) = d.kind(v.api_version(), v.kind()) else {
            let q = gofmt::quote;
            return Err(Error::Text(format!(
                "resource mapping not found for name: {} namespace: {} from {}: no matches for kind {} in version \
                 {}\nensure CRDs are installed first",
                q(v.name()),
                q(v.namespace()),
                q(source),
                q(v.kind()),
                q(v.api_version())
            )));
        };
        let mut namespace = String::new();
        if res.namespaced {
            namespace = v.namespace().to_owned();
            if namespace.is_empty() && self.default_namespace {
                namespace = api.namespace.clone();
                v.set(&["metadata", "namespace"], namespace.as_str());
            }
            if self.enforce_namespace && api.namespace_given && namespace != api.namespace {
                return Err(Error::Text(format!(
                    "the namespace from the provided object {} does not match the namespace {}. You must pass \
                     '--namespace={namespace}' to perform this operation.",
                    gofmt::quote(&namespace),
                    gofmt::quote(&api.namespace)
                )));
            }
        }
        let name = Some(v.name().to_owned());
        Ok(Target { res: res.clone(), namespace, name, source: source.to_owned(), object: v })
    }

    /// The request for a list target with the selectors given.
    pub fn list_request(&self, t: &Target) -> Request {
        let mut r = Request::get(t.res.path(&t.namespace, ""));
        if let Some(l) = &self.labels {
            r = r.with_query("labelSelector", l.as_str());
        }
        if let Some(f) = &self.fields {
            r = r.with_query("fieldSelector", f.as_str());
        }
        if self.chunk > 0 {
            r = r.with_query("limit", self.chunk.to_string());
        }
        r
    }

    /// Words around the server's refusal of a list.
    pub fn list_error(&self, t: &Target, e: Error) -> Error {
        if !matches!(e.reason(), "BadRequest" | "NotFound") {
            return e;
        }
        let q = gofmt::quote;
        let (labels, fields) = (self.labels.as_deref().unwrap_or(""), self.fields.as_deref().unwrap_or(""));
        if labels.is_empty() && fields.is_empty() {
            e.prefixed(format!("Unable to list {}: ", q(&t.res.gvr())))
        } else {
            e.prefixed(format!(
                "Unable to find {} that match label selector {}, field selector {}: ",
                q(&t.res.gvr()),
                q(labels),
                q(fields)
            ))
        }
    }

    /// All pages of a list; `accept` asks for a form.
    pub fn list(&self, cx: &mut Cx<'_>, api: &Api, t: &Target, accept: &str) -> Done<Vec<Value>> {
        let mut pages = Vec::new();
        let mut token = String::new();
        loop {
            let mut r = self.list_request(t).with_header("accept", accept);
            if !token.is_empty() {
                r = r.with_query("continue", token.as_str());
            }
            let page = api.call(cx, r);
            let page = cx.catch(page)?.map_err(|e| self.list_error(t, e))?;
            token = page.at(&["metadata", "continue"]).text().to_owned();
            pages.push(page);
            if token.is_empty() {
                return Ok(pages);
            }
        }
    }

    /// The objects to work on: those of files as the files have them, others live.
    pub fn infos_as_given(&self, cx: &mut Cx<'_>, api: &Api) -> Done<Vec<Result<Info, Error>>> {
        let targets = self.targets(cx, api)?;
        if !targets.from_files {
            return self.fetch(cx, api, targets);
        }
        Ok(targets.items.into_iter().map(|t| t.map(Info::from)).collect())
    }

    /// The live objects of all targets, lists flattened. Errors stand in their places.
    pub fn infos(&self, cx: &mut Cx<'_>, api: &Api) -> Done<Vec<Result<Info, Error>>> {
        let targets = self.targets(cx, api)?;
        self.fetch(cx, api, targets)
    }

    /// The live objects of targets.
    pub fn fetch(&self, cx: &mut Cx<'_>, api: &Api, targets: Targets) -> Done<Vec<Result<Info, Error>>> {
        let mut out = Vec::new();
        for t in targets.items {
            let t = match t {
                Ok(t) => t,
                Err(e) => {
                    out.push(Err(e));
                    continue;
                }
            };
            let Some(name) = t.name.clone() else {
                let pages = self.list(cx, api, &t, "application/json");
                match cx.catch(pages)? {
                    Ok(pages) => {
                        out.extend(pages.iter().flat_map(list_items).map(|v| Ok(info(&t, v))));
                    }
                    Err(e) => out.push(Err(e)),
                }
                continue;
            };
            let mut i = Info { res: t.res, namespace: t.namespace, name, source: t.source, object: t.object };
            let r = i.fetch(cx, api);
            out.push(cx.catch(r)?.map(|()| i));
        }
        Ok(out)
    }
}

/// The items of a list with the kind and version that lists leave out.
pub fn list_items(list: &Value) -> Vec<Value> {
    let kind = list.kind().strip_suffix("List").unwrap_or("");
    let version = list.api_version();
    list.get("items")
        .items()
        .map(|v| {
            let mut v = v.clone();
            if v.kind().is_empty() && !kind.is_empty() {
                v.insert("kind", kind);
                v.insert("apiVersion", version);
            }
            v
        })
        .collect()
}

fn info(t: &Target, object: Value) -> Info {
    Info {
        res: t.res.clone(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        source: String::new(),
        object,
    }
}

/// An object of a file as if the server had its kind.
fn local_info(v: &Value, source: &str, namespace: &str) -> Info {
    let (group, version) = v.api_version().split_once('/').unwrap_or(("", v.api_version()));
    let plural = guess_plural(v.kind());
    let builtin = api::kinds::Kind::find(group, version, &plural);
    let res = Resource {
        group: group.into(),
        version: version.into(),
        name: plural.as_str().into(),
        singular: v.kind().to_lowercase().into(),
        kind: v.kind().into(),
        namespaced: builtin.is_none_or(|k| k.namespaced),
        verbs: Vec::new(),
        short: Vec::new(),
        categories: Vec::new(),
        subresources: Vec::new(),
        preferred: true,
    };
    let mut namespace = if v.namespace().is_empty() { namespace } else { v.namespace() }.to_owned();
    if !res.namespaced {
        namespace.clear();
    }
    Info { res: Arc::new(res), namespace, name: v.name().into(), source: source.into(), object: v.clone() }
}

fn guess_plural(kind: &str) -> String {
    let k = kind.to_lowercase();
    match k.chars().last() {
        Some('s') => k + "es",
        Some('y') => format!("{}ies", &k[..k.len() - 1]),
        _ => k + "s",
    }
}

/// The objects of a list, or the object itself.
pub fn flatten(v: &Value) -> Vec<Value> {
    match v.get("items") {
        items @ Value::List(_) if v.kind().ends_with("List") => items.items().flat_map(flatten).collect(),
        _ => vec![v.clone()],
    }
}

/// `get pods, svc` was meant as `get pods,svc`.
fn normalized(words: &[String]) -> Vec<String> {
    match words {
        [first, rest @ ..] if first.ends_with(',') && first.len() > 1 && !rest.is_empty() => {
            let types = first.trim_end_matches(',');
            rest.iter().map(|n| format!("{types},/{n}")).collect()
        }
        words => words.to_vec(),
    }
}

/// `pod/a svc/b` as pairs, or none if no word has a slash.
fn combined(words: &[String]) -> Result<Vec<(String, String)>, Error> {
    let slashes = words.iter().filter(|w| w.contains('/')).count();
    if slashes == 0 {
        return Ok(Vec::new());
    }
    if slashes != words.len() {
        return Err(Error::text(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name \
             form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource \
             resource/<resource_name>'",
        ));
    }
    words
        .iter()
        .map(|w| {
            let parts: Vec<&str> = w.split('/').collect();
            match parts[..] {
                [t, n] if !t.is_empty() && !n.is_empty() && !t.contains(',') => {
                    Ok((t.to_owned(), n.to_owned()))
                }
                [_, _] => {
                    Err(Error::text("arguments in resource/name form must have a single resource and name"))
                }
                _ => Err(Error::text("arguments in resource/name form may not have more than one slash")),
            }
        })
        .collect()
}

/// Runs a piece of work on each object and gathers what failed.
pub fn each(
    cx: &mut Cx<'_>,
    infos: Vec<Result<Info, Error>>,
    mut f: impl FnMut(&mut Cx<'_>, Info) -> Done,
) -> Done {
    let mut errors = Vec::new();
    for i in infos {
        match i {
            Ok(i) => {
                let r = f(cx, i);
                if let Err(e) = cx.catch(r)? {
                    errors.push(e);
                }
            }
            Err(e) => errors.push(e),
        }
    }
    match Error::many(errors) {
        Some(e) => Err(Stop::Fail(e)),
        None => Ok(()),
    }
}
