//! `-k` and `kubectl kustomize`: kustomizations of local files. Models: `kustomize/api/internal/target`.
//!
//! Known: resources, bases and components, generators of config maps and secrets with merging and hashes, namespace,
//! prefix and suffix with their references, labels, annotations, images, replicas, patches of all three forms,
//! replacements. Absent: vars, custom configurations, helm charts, plugins, remote bases.

mod generate;
mod names;
mod patches;
mod replace;
mod transform;

use crate::cx::{Cx, Done, FileKind, Stop};
use crate::error::Error;
use crate::files;
use api::Value;

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields of a kustomization.
const FIELDS: [&str; 36] = [
    "apiVersion",
    "bases",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "components",
    "configMapGenerator",
    "configurations",
    "crds",
    "generatorOptions",
    "generators",
    "helmCharts",
    "helmChartInflationGenerator",
    "helmGlobals",
    "imageTags",
    "images",
    "inventory",
    "kind",
    "labels",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "openapi",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "replicas",
    "resources",
    "secretGenerator",
    "sortOptions",
    "transformers",
    "validators",
    "vars",
    "configMapGeneratorOptions",
];

/// Fields that go away, with what takes their place.
const DEPRECATED: [(&str, &str, &str); 6] = [
    ("bases", "resources", ""),
    ("imageTags", "images", ""),
    ("patchesJson6902", "patches", ""),
    ("patchesStrategicMerge", "patches", ""),
    ("vars", "replacements", "[EXPERIMENTAL] "),
    ("commonLabels", "labels", ""),
];

/// Kinds in the order in which they are printed, those of no place in the list behind them.
const ORDER: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds behind all others.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// An object on its way through the kustomizations.
#[derive(Clone, Debug)]
pub struct Item {
    value: Value,
    /// Names that it had before.
    was: Vec<String>,
    /// Whether a hash of its content shall end its name.
    hash: bool,
}

impl Item {
    fn new(value: Value) -> Item {
        Item { value, was: Vec::new(), hash: false }
    }

    fn group(&self) -> &str {
        self.value.api_version().split_once('/').map_or("", |(g, _)| g)
    }

    fn version(&self) -> &str {
        self.value.api_version().rsplit('/').next().unwrap_or("")
    }

    /// Whether it goes or went by that name.
    fn named(&self, name: &str) -> bool {
        self.value.name() == name || self.was.iter().any(|w| w == name)
    }

    fn rename(&mut self, name: String) {
        let old = self.value.name().to_owned();
        if old != name {
            self.was.push(old);
            self.value.set(&["metadata", "name"], name);
        }
    }

    /// `Deployment.v1.apps/web.[noNs]`
    fn id(&self) -> String {
        let or = |s: &str, none: &str| if s.is_empty() { none.to_owned() } else { s.to_owned() };
        format!(
            "{}.{}.{}/{}.{}",
            self.value.kind(),
            or(self.version(), "[noVer]"),
            or(self.group(), "[noGrp]"),
            self.value.name(),
            or(self.value.namespace(), "[noNs]")
        )
    }

    fn sort_key(&self) -> (i64, String, String) {
        let kind = self.value.kind();
        let first = ORDER.iter().position(|k| *k == kind).map(|i| i as i64 - ORDER.len() as i64);
        let last = LAST.iter().position(|k| *k == kind).map(|i| i as i64 + 1);
        let or = |s: &str, none: &str| if s.is_empty() { none.to_owned() } else { s.to_owned() };
        (
            first.or(last).unwrap_or(0),
            format!("{}_{}_{kind}", or(self.group(), "~G"), or(self.version(), "~V")),
            format!("{}_{}", or(self.value.namespace(), "~X"), or(self.value.name(), "~N")),
        )
    }
}

/// The objects that a kustomization makes.
pub fn build(cx: &mut Cx<'_>, dir: &str) -> Done<Vec<Value>> {
    let mut items = Vec::new();
    let dir = match dir.trim_end_matches('/') {
        "" => dir,
        d => d,
    };
    let k = kustomization(cx, dir, true)?;
    let sort = k.at(&["sortOptions", "order"]).text().to_owned();
    accumulate(cx, dir, &k, &mut items, &mut Vec::new())?;
    for i in items.iter_mut().filter(|i| i.hash) {
        let mut bare = i.value.clone();
        // The name does not count.
        bare.set(&["metadata", "name"], "");
        let name = format!("{}-{}", i.value.name(), crate::hash::content(&bare));
        i.rename(name);
    }
    names::follow(&mut items);
    items.retain(|i| i.value.annotations().get("config.kubernetes.io/local-config").text() != "true");
    if sort != "fifo" {
        items.sort_by_cached_key(Item::sort_key);
    }
    Ok(items.into_iter().map(|i| i.value).collect())
}

/// Adds what a kustomization makes to what is there; a component works on all of it.
fn accumulate(cx: &mut Cx<'_>, dir: &str, k: &Value, all: &mut Vec<Item>, visited: &mut Vec<String>) -> Done {
    let here = absolute(cx, dir)?;
    visited.push(here.clone());
    let mut own = if k.kind() == "Component" { core::mem::take(all) } else { Vec::new() };
    for key in ["resources", "bases"] {
        for r in k.get(key).items() {
            resource(cx, dir, r.text(), &mut own, visited)?;
        }
    }
    for c in k.get("components").items() {
        let path = format!("{dir}/{}", c.text());
        let below = kustomization(cx, &path, false)?;
        accumulate(cx, &path, &below, &mut own, visited)?;
    }
    generate::run(cx, dir, k, &mut own)?;
    patches::strategic_merges(cx, dir, k, &mut own)?;
    patches::run(cx, dir, k, &mut own)?;
    transform::names_and_labels(k, &mut own);
    patches::json(cx, dir, k, &mut own)?;
    transform::replicas(k, &mut own)?;
    transform::images(k, &mut own);
    replace::run(cx, dir, k, &mut own)?;
    visited.pop();
    for i in own {
        add(all, i)?;
    }
    Ok(())
}

fn add(all: &mut Vec<Item>, item: Item) -> Result<(), Error> {
    let id = item.id();
    if all.iter().any(|i| i.id() == id) {
        return Err(Error::Text(format!("may not add resource with an already registered id: {id}")));
    }
    all.push(item);
    Ok(())
}

fn kustomization(cx: &mut Cx<'_>, dir: &str, root: bool) -> Done<Value> {
    let path = absolute(cx, dir)?;
    for name in NAMES {
        let Ok(data) = cx.read_file(&format!("{dir}/{name}"))? else { continue };
        let text = String::from_utf8_lossy(&data);
        let v = match api::yaml::parse(&text) {
            Ok(Value::Null) => return fail("kustomization.yaml is empty"),
            Ok(v) => v,
            Err(e) => {
                let why = e.to_string();
                let why = why.strip_prefix("error converting YAML to JSON: ").unwrap_or(&why);
                return fail(format!("invalid Kustomization: {why}"));
            }
        };
        if let Some((k, _)) = v.entries().find(|(k, _)| !FIELDS.contains(&k.as_str())) {
            return fail(format!("invalid Kustomization: json: unknown field {}", api::gofmt::quote(k)));
        }
        let about = ["apiVersion", "kind", "metadata"];
        if v.entries().all(|(k, _)| about.contains(&k.as_str())) {
            return fail("kustomization.yaml is empty");
        }
        if !matches!(v.kind(), "" | "Kustomization" | "Component") {
            return fail(format!(
                "Failed to read kustomization file under {path}:\nkind should be Kustomization or Component"
            ));
        }
        for (old, new, note) in DEPRECATED {
            if v.get(old).is_some() {
                cx.err(format!(
                    "# Warning: '{old}' is deprecated. Please use '{new}' instead. {note}Run 'kustomize edit fix' to update \
                     your Kustomization automatically.\n"
                ));
            }
        }
        return Ok(v);
    }
    if root && cx.stat(dir)?.is_err() {
        return fail(format!(
            "must build at directory: not a valid directory: evalsymlink failure on '{dir}' : lstat {path}: no such file or \
             directory"
        ));
    }
    let named: Vec<String> = NAMES.iter().map(|n| format!("'{n}'")).collect();
    fail(format!("unable to find one of {}, {} or {} in directory '{path}'", named[0], named[1], named[2]))
}

/// A path from the root, so far as the directory in use is known.
fn absolute(cx: &mut Cx<'_>, path: &str) -> Done<String> {
    let start = if path.starts_with('/') { None } else { cx.var("PWD")? };
    let mut parts: Vec<&str> = Vec::new();
    for p in start.as_deref().unwrap_or("").split('/').chain(path.split('/')) {
        match p {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    let rooted = start.is_some() || path.starts_with('/');
    Ok(format!("{}{}", if rooted { "/" } else { "" }, parts.join("/")))
}

/// Adds the objects of a file or directory.
fn resource(cx: &mut Cx<'_>, dir: &str, entry: &str, out: &mut Vec<Item>, visited: &mut Vec<String>) -> Done {
    if entry.contains("://") || entry.starts_with("github.com/") {
        return fail(format!(
            "accumulating resources: accumulation err='accumulating resources from '{entry}': there is no way out of this \
             cluster's network'"
        ));
    }
    let path = format!("{dir}/{entry}");
    let full = absolute(cx, &path)?;
    let lead = format!("accumulating resources: accumulation err='accumulating resources from '{entry}': ");
    match cx.stat(&path)? {
        Ok(FileKind::Dir) => {
            let lead = format!("{lead}'{full}' must resolve to a file': ");
            if let Some(seen) = visited.iter().find(|v| **v == full || v.starts_with(&format!("{full}/"))) {
                return fail(format!(
                    "{lead}cycle detected: candidate root '{full}' contains visited root '{seen}'"
                ));
            }
            let mut below = Vec::new();
            let r = kustomization(cx, &path, false)
                .and_then(|k| accumulate(cx, path.trim_end_matches('/'), &k, &mut below, visited));
            if let Err(Stop::Fail(e)) = r {
                return fail(format!("{lead}recursed accumulation of path '{full}': {}", e.message()));
            }
            r?;
            for i in below {
                add(out, i).map_err(|e| {
                    Error::Text(format!("{lead}recursed merging from path '{full}': {}", e.message()))
                })?;
            }
            Ok(())
        }
        Ok(FileKind::File) => {
            for d in files::read(cx, &[path])? {
                let wrong = |why: String| {
                    Error::Text(format!(
                        "{lead}{why}': must build at directory: '{full}': file is not directory"
                    ))
                };
                let v = d.map_err(|e| wrong(e.message()))?.value;
                for v in crate::resource::flatten(&v) {
                    if v.get("metadata").is_null() {
                        return Err(wrong("missing Resource metadata".into()).into());
                    }
                    add(out, Item::new(v)).map_err(|e| wrong(e.message()))?;
                }
            }
            Ok(())
        }
        Err(e) => {
            let why = format!("evalsymlink failure on '{full}' : lstat {full}: {e}");
            fail(format!("{lead}{why}': must build at directory: not a valid directory: {why}"))
        }
    }
}

/// A file that a kustomization names; what lies outside of its directory is refused.
fn text(cx: &mut Cx<'_>, dir: &str, path: &str) -> Done<Result<String, String>> {
    let full = absolute(cx, &format!("{dir}/{path}"))?;
    let root = absolute(cx, dir)?;
    if !full.starts_with(&format!("{root}/")) {
        return Ok(Err(format!("security; file '{full}' is not in or below '{root}'")));
    }
    Ok(match cx.read_file(&format!("{dir}/{path}"))? {
        Ok(d) => Ok(String::from_utf8_lossy(&d).into_owned()),
        Err(e) => Err(format!("evalsymlink failure on '{full}' : lstat {full}: {e}")),
    })
}
