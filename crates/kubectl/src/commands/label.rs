//! `kubectl label` and `kubectl annotate`

use super::common::{ALL, ALL_NAMESPACES, FIELD_SELECTOR, FILES, LOCAL, SELECTOR, field_manager};
use crate::client::PatchType;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, DRY_RUN, DryRun, Printer, dry_run};
use crate::resource::{Builder, Info, each};
use api::wire::Body;
use api::{Value, gofmt, names, obj};

const SHARED: &[Flag] = &[
    ALL,
    ALL_NAMESPACES,
    DRY_RUN,
    FIELD_SELECTOR,
    LOCAL,
    SELECTOR,
    flag("resource-version", Kind::Str, "''", "Change only an object of this version; for one object alone."),
];

/// `label`
pub static LABEL: Command = Command {
    name: "label",
    group: Group::Settings,
    short: "Update the labels on a resource",
    long: "Sets, changes and takes away labels.\n\n Keys and values begin with a letter or digit and have letters, digits, \
           hyphens, dots and underscores, up to 63 characters; a key may have a DNS subdomain and a slash in front.\n A label \
           that has another value already is only changed with --overwrite.",
    usage: "label [--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    example: "# A label\nkubectl label pods web tier=front\n\n# Another value\nkubectl label --overwrite pods web tier=back\n\n# \
              Away with it\nkubectl label pods web tier-",
    flags: &[
        SHARED,
        &[
            field_manager("'kubectl-label'"),
            switch("list", "Show the labels of the objects."),
            switch("overwrite", "Change labels that have another value."),
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(|cx, a| run(cx, a, &LABELS)),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

/// `annotate`
pub static ANNOTATE: Command = Command {
    name: "annotate",
    group: Group::Settings,
    short: "Update the annotations on a resource",
    long: "Sets, changes and takes away annotations: keys with any text as value, for tools and people rather than for \
           selection.\n An annotation that has another value already is only changed with --overwrite.\n\nUse \"kubectl \
           api-resources\" for a complete list of supported resources.",
    usage: "annotate [--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    example: "# An annotation\nkubectl annotate pods web note='my front end'\n\n# Away with it\nkubectl annotate pods web note-",
    flags: &[
        SHARED,
        &[
            field_manager("'kubectl-annotate'"),
            switch("list", "Show the annotations of the objects."),
            switch("overwrite", "Change annotations that have another value."),
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(|cx, a| run(cx, a, &ANNOTATIONS)),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

/// What the two commands do not share.
struct What {
    field: &'static str,
    word: &'static str,
    words: &'static str,
}

const LABELS: What = What { field: "labels", word: "label", words: "labels" };
const ANNOTATIONS: What = What { field: "annotations", word: "annotation", words: "annotations" };

impl What {
    fn is_label(&self) -> bool {
        self.word == "label"
    }
}

#[derive(Default)]
struct Changes {
    set: Vec<(String, String)>,
    remove: Vec<String>,
}

/// Words that are no resources: `key=value` and `key-`.
fn split(a: &Args, what: &What) -> Result<(Vec<String>, Changes), Error> {
    let is_change = |w: &str| (w.contains('=') && !w.starts_with('=')) || (w.ends_with('-') && w.len() > 1);
    let at = a.words.iter().position(|w| is_change(w)).unwrap_or(a.words.len());
    let (resources, changes) = a.words.split_at(at);
    let mut out = Changes::default();
    for c in changes {
        if let Some((k, v)) = c.split_once('=') {
            if k.is_empty() {
                return Err(Error::Text(format!("invalid {} spec: {c}", what.word)));
            }
            if what.is_label() {
                let m = names::label_value(v);
                if !m.is_empty() {
                    return Err(Error::Text(format!(
                        "invalid label value: {}: {}",
                        gofmt::quote(c),
                        m.join(";")
                    )));
                }
            }
            match out.set.iter_mut().find(|(x, _)| x == k) {
                Some(slot) => v.clone_into(&mut slot.1),
                None => out.set.push((k.to_owned(), v.to_owned())),
            }
        } else if let Some(k) = c.strip_suffix('-') {
            out.remove.push(k.to_owned());
        } else if what.is_label() {
            return Err(Error::Text(format!("unknown label spec: {c}")));
        } else {
            return Err(Error::text(
                "all resources must be specified before annotation changes: ".to_owned() + c,
            ));
        }
    }
    for k in &out.remove {
        if out.set.iter().any(|(x, _)| x == k) {
            let article = if what.is_label() { "a label" } else { "the following annotation(s)" };
            return Err(Error::Text(if what.is_label() {
                format!("can not both modify and remove {article} in the same command")
            } else {
                format!("can not both modify and remove {article} in the same command: {k}")
            }));
        }
    }
    Ok((resources.to_vec(), out))
}

fn run(cx: &mut Cx<'_>, a: &Args, what: &What) -> Done {
    let dry = dry_run(cx, a)?;
    let (resources, changes) = split(a, what)?;
    let list = a.bool("list");
    if !list && changes.set.is_empty() && changes.remove.is_empty() {
        return Err(Error::Text(format!("at least one {} update is required", what.word)).into());
    }
    let local = a.bool("local");
    if local && dry == DryRun::Server {
        return Err(Error::text(
            "cannot specify --local and --dry-run=server - did you mean --dry-run=client?",
        )
        .into());
    }
    let builder = Builder::new(a, &resources);
    let requested = print::requested(cx, a, false)?;
    let infos = if local {
        if !builder.has_files() {
            return Err(Error::text("one or more files must be specified as -f when --local is set").into());
        }
        builder.local(cx, "")?
    } else {
        let api = cx.api(a)?;
        builder.infos(cx, &api)?
    };
    let version = a.str("resource-version");
    if !version.is_empty() && infos.len() > 1 {
        return Err(Error::text("--resource-version may only be used with a single resource").into());
    }
    if list && requested.is_some() {
        return Err(Error::text("--list and --output may not be specified together").into());
    }
    let many = infos.len() > 1;
    let mut printer = requested;
    each(cx, infos, |cx, i| change(cx, a, what, &changes, i, dry, many, &mut printer))
}

#[expect(clippy::too_many_arguments, reason = "the parts of one command line")]
fn change(
    cx: &mut Cx<'_>,
    a: &Args,
    what: &What,
    changes: &Changes,
    i: Info,
    dry: DryRun,
    many: bool,
    printer: &mut Option<Printer>,
) -> Done {
    let old = i.object.get("metadata").get(what.field).clone();
    let mut new = old.clone();
    if new.is_null() {
        new = Value::map();
    }
    if !a.bool("overwrite") && !a.bool("list") {
        for (k, v) in &changes.set {
            if let Value::Str(have) = old.get(k)
                && have != v
            {
                return Err(Error::Text(if what.is_label() {
                    format!("'{k}' already has a value ({have}), and --overwrite is false")
                } else {
                    "--overwrite is false but found the following declared annotation(s): ".to_owned()
                        + &format!("'{k}' already has a value ({have})")
                })
                .into());
            }
        }
    }
    for (k, v) in &changes.set {
        new.insert(k.as_str(), v.as_str());
    }
    for k in &changes.remove {
        if what.is_label() && old.get(k).is_null() {
            cx.out(format!("label {} not found.\n", gofmt::quote(k)));
        }
        new.map_mut().remove(k);
    }
    let mut object = i.object.clone();
    object.set(&["metadata", what.field], new.clone());
    let version = a.str("resource-version");
    if !version.is_empty() {
        object.set(&["metadata", "resourceVersion"], version.as_str());
    }
    let same = old == new || (old.is_null() && new.is_empty());
    let listing = a.bool("list");
    let send = dry != DryRun::Client
        && !a.bool("local")
        && !(listing && changes.set.is_empty() && changes.remove.is_empty());
    if send && !(same && version.is_empty()) {
        let api = cx.api(a)?;
        let mut patch = api::patch::create_merge(&i.object, &object);
        if patch.is_empty() {
            patch = obj!({});
        }
        let body = Body::Object(patch);
        object =
            super::common::patch(cx, &api, &i.path(), PatchType::Merge, body, dry, &a.str("field-manager"))?;
    }
    if listing {
        let indent = if many { " " } else { "" };
        if many {
            let group = &i.res.group;
            cx.out(format!("Listing {} for {}.{group}/{}:\n", what.words, i.res.kind, i.name));
        }
        for (k, v) in object.get("metadata").get(what.field).entries() {
            cx.out(format!("{indent}{k}={}\n", v.text()));
        }
        return Ok(());
    }
    match printer {
        Some(p) => p.print(cx, &object, a.bool("show-managed-fields")),
        None => {
            let verb = if what.is_label() { operation(changes, &old, &new) } else { "annotated" };
            cx.out(format!("{} {verb}{}\n", i.label(), print::dry_run_suffix(dry)));
            Ok(())
        }
    }
}

/// What happened to the labels.
fn operation(changes: &Changes, old: &Value, new: &Value) -> &'static str {
    if old == new || (old.is_null() && new.is_empty()) {
        return "not labeled";
    }
    let added = changes.set.iter().any(|(k, v)| old.get(k).text() != v || old.get(k).is_null());
    let removed = changes.remove.iter().any(|k| old.get(k).is_some());
    match (added, removed) {
        (true, true) => "modified",
        (false, true) => "unlabeled",
        _ => "labeled",
    }
}
