//! Completion: `kubectl __complete WORDS`, in cobra's protocol.

use crate::command::{Args, Command, Group, find, parse};
use crate::commands;
use crate::cx::{Cx, Done};
use crate::globals;
use crate::resource::list_items;
use api::wire::Request;

/// What may follow, and what the shell is to do with it.
pub struct Choices {
    /// Words, perhaps with a tab and a description.
    pub words: Vec<String>,
    /// What the shell is to do besides: cobra's bits.
    pub directive: u8,
}

/// The shell puts no blank behind the word.
const NO_SPACE: u8 = 2;
/// The shell offers no files.
const NO_FILES: u8 = 4;
/// The words are endings of files that the shell may offer.
const ENDINGS: u8 = 8;

/// Completes the word `prefix` that follows the words given.
pub type Completer = fn(&mut Cx<'_>, &Args, &str) -> Done<Choices>;

fn only(words: Vec<String>) -> Choices {
    Choices { words, directive: NO_FILES }
}

/// Files are all there is to offer.
pub fn files() -> Choices {
    Choices { words: Vec::new(), directive: 0 }
}

/// Nothing to offer.
pub fn nothing(_: &mut Cx<'_>, _: &Args, _: &str) -> Done<Choices> {
    Ok(only(Vec::new()))
}

/// `kubectl __complete …`
pub fn run(cx: &mut Cx<'_>, args: &[String]) -> Done {
    let describe = args.first().is_some_and(|a| a == "__complete");
    let words = args.get(1..).unwrap_or(&[]);
    let (prefix, before) = match words.split_last() {
        Some((p, b)) => (p.as_str(), b),
        None => ("", &[] as &[String]),
    };
    // `help` is a command in cobra's eyes.
    let helped = before.first().is_some_and(|w| w == "help");
    let found = find(if helped { &before[1..] } else { before });
    if helped {
        finish(cx, &only(subcommands(found.command, prefix)), describe);
        return Ok(());
    }
    if let Some(w) = found.unknown {
        cx.err("[Debug] Cleared global flags for plugin completion\n");
        cx.err(format!("[Debug] [Error] unable to find a command for arguments: [{w}]\n"));
        finish(cx, &files(), describe);
        return Ok(());
    }
    let choices = choices(cx, found.command, &found.path, &found.rest, prefix)?;
    finish(cx, &choices, describe);
    Ok(())
}

fn finish(cx: &mut Cx<'_>, c: &Choices, describe: bool) {
    for w in &c.words {
        let shown = if describe { w.as_str() } else { w.split('\t').next().unwrap_or(w) };
        cx.out(format!("{shown}\n"));
    }
    let code = c.directive;
    let bits = [(NO_SPACE, "NoSpace"), (NO_FILES, "NoFileComp"), (ENDINGS, "FilterFileExt")];
    let mut names: Vec<String> = bits
        .iter()
        .filter(|(bit, _)| code & bit != 0)
        .map(|(_, name)| format!("ShellCompDirective{name}"))
        .collect();
    if names.is_empty() {
        names.push("ShellCompDirectiveDefault".into());
    }
    let names = names.join(", ");
    cx.out(format!(":{code}\n"));
    cx.err(format!("Completion ended with directive: {names}\n"));
}

fn choices(cx: &mut Cx<'_>, c: &'static Command, path: &str, rest: &[String], prefix: &str) -> Done<Choices> {
    let lookup = |n: &str| c.flag(n).or_else(|| globals::find(n));
    // The value of a flag that stands just before, or behind '='.
    if let Some(last) = rest.last()
        && last.starts_with('-')
        && !last.contains('=')
    {
        let name = last.trim_start_matches('-');
        let key = if last.starts_with("--") { name.to_owned() } else { format!("-{name}") };
        if let Some(f) = lookup(&key).filter(|f| f.alone.is_none()) {
            let before = &rest[..rest.len() - 1];
            return flag_value(cx, c, path, before, f.name, prefix);
        }
    }
    if let Some((name, value)) = prefix.strip_prefix("--").and_then(|p| p.split_once('=')) {
        return flag_value(cx, c, path, rest, name, value);
    }
    if prefix.starts_with('-') {
        let set = parse(c, path, rest).map(|(a, _)| a);
        let required: Vec<String> = c
            .required
            .iter()
            .filter(|n| format!("--{n}").starts_with(prefix) && !set.as_ref().is_ok_and(|a| a.given(n)))
            .filter_map(|n| c.flag(n))
            .map(|f| format!("--{}\t{}", f.name, f.help))
            .collect();
        return Ok(only(if required.is_empty() { flags(c, prefix) } else { required }));
    }
    if !c.subs.is_empty() {
        return Ok(only(subcommands(c, prefix)));
    }
    let Ok((args, _)) = parse(c, path, rest) else { return Ok(only(Vec::new())) };
    let mut words: Vec<String> = c
        .required
        .iter()
        .filter(|n| !args.given(n) && prefix.is_empty())
        .filter_map(|n| c.flag(n))
        .map(|f| format!("--{}\t{}", f.name, f.help))
        .collect();
    let mut more = match c.complete {
        Some(f) => f(cx, &args, prefix)?,
        None => files(),
    };
    words.append(&mut more.words);
    Ok(Choices { words, ..more })
}

/// The commands below one, with what they do.
fn subcommands(c: &Command, prefix: &str) -> Vec<String> {
    let root = core::ptr::eq(c, &commands::ROOT);
    let shown = |s: &&&Command| {
        s.name.starts_with(prefix) && (s.group != Group::None || !root || s.name == "options")
    };
    let mut words: Vec<String> =
        c.subs.iter().filter(shown).map(|s| format!("{}\t{}", s.name, s.short)).collect();
    if root && "help".starts_with(prefix) {
        words.push("help\tHelp about any command".into());
    }
    words.sort();
    words
}

fn flags(c: &Command, prefix: &str) -> Vec<String> {
    let mut all: Vec<String> = c
        .flags
        .iter()
        .flat_map(|t| t.iter())
        .chain(globals::FLAGS)
        .filter(|f| !f.help.is_empty() && format!("--{}", f.name).starts_with(prefix))
        .map(|f| format!("--{}\t{}", f.name, f.help))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn flag_value(
    cx: &mut Cx<'_>,
    c: &'static Command,
    path: &str,
    before: &[String],
    name: &str,
    prefix: &str,
) -> Done<Choices> {
    let fitting = |list: &[&str]| {
        only(list.iter().filter(|w| w.starts_with(prefix)).map(|w| (*w).to_owned()).collect())
    };
    let Ok((args, _)) = parse(c, path, before) else { return Ok(only(Vec::new())) };
    match name {
        "output" if c.name == "get" => Ok(fitting(&[
            "json",
            "yaml",
            "kyaml",
            "name",
            "go-template",
            "go-template-file",
            "template",
            "templatefile",
            "jsonpath",
            "jsonpath-as-json",
            "jsonpath-file",
            "custom-columns",
            "custom-columns-file",
            "wide",
        ])),
        "namespace" => {
            let words = names(cx, &args, "namespaces", prefix)?;
            Ok(only(words))
        }
        "context" | "cluster" | "user" => {
            let list = match name {
                "context" => "contexts",
                "cluster" => "clusters",
                _ => "users",
            };
            let config = cx.config(&args)?;
            let all: Vec<&str> = config.value.get(list).items().map(|e| e.get("name").text()).collect();
            Ok(fitting(&all))
        }
        "filename" => {
            Ok(Choices { words: ["json", "yaml", "yml"].map(str::to_owned).to_vec(), directive: ENDINGS })
        }
        "dry-run" => Ok(fitting(&["none", "server", "client"])),
        "container" => match args.words.first() {
            Some(pod) => containers(cx, &args, &pod.clone(), prefix),
            None => Ok(only(Vec::new())),
        },
        _ => Ok(files()),
    }
}

/// The names of a type's objects, in the namespace in use.
fn names(cx: &mut Cx<'_>, args: &Args, word: &str, prefix: &str) -> Done<Vec<String>> {
    let api = cx.api(args)?;
    let d = cx.discovery(&api);
    let Ok(d) = cx.catch(d)? else { return Ok(Vec::new()) };
    let Ok(res) = d.resolve(word) else { return Ok(Vec::new()) };
    let r = Request::get(res.path(if res.namespaced { &api.namespace } else { "" }, ""));
    let v = api.call(cx, r);
    let list = cx.catch(v)?.map(|v| list_items(&v)).unwrap_or_default();
    Ok(list.iter().map(|v| v.name().to_owned()).filter(|n| n.starts_with(prefix)).collect())
}

/// A type, then names; or `type/name`.
pub fn resources(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    let Some(first) = args.words.first() else {
        // Behind a comma another type may follow.
        if let Some((before, part)) = prefix.rsplit_once(',') {
            let more = resources(cx, args, part)?.words;
            return Ok(only(more.iter().map(|w| format!("{before},{w}")).collect()));
        }
        if let Some((ty, part)) = prefix.split_once('/') {
            let list = names(cx, args, ty, part)?;
            return Ok(only(list.iter().map(|n| format!("{ty}/{n}")).collect()));
        }
        let api = cx.api(args)?;
        let d = cx.discovery(&api);
        let Ok(d) = cx.catch(d)? else { return Ok(only(Vec::new())) };
        let mut all: Vec<_> = d
            .resources
            .iter()
            .filter(|r| r.preferred && r.verbs.iter().any(|v| v == "get" || v == "list"))
            .collect();
        all.sort_by_key(|r| (&r.group, &r.name));
        let mut all: Vec<String> =
            all.iter().map(|r| r.qualified()).filter(|n| n.starts_with(prefix)).collect();
        all.dedup();
        return Ok(only(all));
    };
    if first.contains('/') {
        let (ty, part) = prefix.split_once('/').unwrap_or((prefix, ""));
        let list = names(cx, args, ty, part)?;
        return Ok(only(list.iter().map(|n| format!("{ty}/{n}")).collect()));
    }
    let list = names(cx, args, &first.clone(), prefix)?;
    Ok(only(list.into_iter().filter(|n| !args.words[1..].contains(n)).collect()))
}

fn of_types(cx: &mut Cx<'_>, args: &Args, prefix: &str, types: &[&str]) -> Done<Choices> {
    match args.words.first() {
        None if !prefix.contains('/') => {
            Ok(only(types.iter().filter(|t| t.starts_with(prefix)).map(|t| (*t).to_owned()).collect()))
        }
        _ => resources(cx, args, prefix),
    }
}

/// What `rollout` and its like work on.
pub fn workloads(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    of_types(cx, args, prefix, &["deployment", "daemonset", "statefulset"])
}

/// What has a pod template whose images can be set.
pub fn templated(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    const TYPES: [&str; 7] = [
        "daemonsets",
        "deployments",
        "pods",
        "cronjobs",
        "replicasets",
        "replicationcontrollers",
        "statefulsets",
    ];
    of_types(cx, args, prefix, &TYPES)
}

/// Namespaces and pods, for copies.
pub fn copies(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    if args.words.len() > 1 || prefix.contains(['/', ':']) {
        return Ok(files());
    }
    let mut words: Vec<String> =
        names(cx, args, "namespaces", prefix)?.into_iter().map(|n| format!("{n}/")).collect();
    words.extend(names(cx, args, "pods", prefix)?.into_iter().map(|n| format!("{n}:")));
    if prefix.is_empty() {
        words.extend(["./".to_owned(), "/".to_owned()]);
    }
    Ok(Choices { words, directive: NO_SPACE })
}

/// What `scale` works on.
pub fn scalable(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    of_types(cx, args, prefix, &["deployment", "replicaset", "replicationcontroller", "statefulset"])
}

/// What `expose` works on.
pub fn exposable(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    of_types(cx, args, prefix, &["pod", "service", "replicationcontroller", "deployment", "replicaset"])
}

/// Pods, and objects that have pods.
pub fn pods(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    if !args.words.is_empty() {
        return Ok(only(Vec::new()));
    }
    if prefix.contains('/') {
        return resources(cx, args, prefix);
    }
    let mut words = names(cx, args, "pods", prefix)?;
    let no_space = words.is_empty();
    let types = WITH_PODS.iter().filter(|t| t.starts_with(prefix));
    words.extend(types.map(|t| format!("{t}/")));
    Ok(Choices { words, directive: NO_FILES | if no_space { NO_SPACE } else { 0 } })
}

/// Types whose objects have pods.
const WITH_PODS: [&str; 8] = [
    "daemonsets",
    "deployments",
    "pods",
    "jobs",
    "replicasets",
    "replicationcontrollers",
    "services",
    "statefulsets",
];

/// The same, then the pod's containers.
pub fn pods_and_containers(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    match args.words.as_slice() {
        [] => pods(cx, args, prefix),
        [pod] if !pod.contains('/') => containers(cx, args, pod, prefix),
        _ => Ok(only(Vec::new())),
    }
}

/// The containers of a pod.
fn containers(cx: &mut Cx<'_>, args: &Args, pod: &str, prefix: &str) -> Done<Choices> {
    let api = cx.api(args)?;
    let pod = pod.rsplit('/').next().unwrap_or(pod);
    let v = api.get(cx, &format!("/api/v1/namespaces/{}/pods/{pod}", api.namespace));
    let v = cx.catch(v)?.unwrap_or_default();
    let lists = ["initContainers", "containers"];
    let all =
        lists.iter().flat_map(|l| v.get("spec").get(l).items()).map(|c| c.get("name").text().to_owned());
    Ok(only(all.filter(|w| w.starts_with(prefix)).collect()))
}

/// Nodes.
pub fn nodes(cx: &mut Cx<'_>, args: &Args, prefix: &str) -> Done<Choices> {
    Ok(only(names(cx, args, "nodes", prefix)?))
}

/// Names out of a list of the kubeconfig.
pub fn config_names(cx: &mut Cx<'_>, args: &Args, prefix: &str, list: &str) -> Done<Choices> {
    let config = cx.config(args)?;
    Ok(only(
        config
            .value
            .get(list)
            .items()
            .map(|e| e.get("name").text().to_owned())
            .filter(|n| n.starts_with(prefix))
            .collect(),
    ))
}

/// Words of a fixed list.
pub fn of(list: &[&str], prefix: &str) -> Choices {
    only(list.iter().filter(|w| w.starts_with(prefix)).map(|w| (*w).to_owned()).collect())
}
