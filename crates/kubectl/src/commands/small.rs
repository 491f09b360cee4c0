//! Commands of a few lines: `kustomize`, `completion`, `plugin`, `top`.

use super::common::{ALL_NAMESPACES, FIELD_SELECTOR, SELECTOR};
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::tabwriter::TabWriter;
use crate::{complete, kustomize};
use api::quantity::Quantity;
use api::wire::Request;
use api::{Value, yaml};

/// `kustomize`
pub static KUSTOMIZE: Command = Command {
    name: "kustomize",
    group: Group::Advanced,
    short: "Build a kustomization target from a directory or URL",
    long: "Prints the objects that a directory's kustomization.yaml makes; the directory in use unless one is named.",
    usage: "kustomize DIR [flags]",
    example: "# This directory\nkubectl kustomize\n\n# Another\nkubectl kustomize overlays/prod",
    flags: &[&[
        switch("as-current-user", "Containers of functions run as you; there are none here."),
        switch("enable-alpha-plugins", "Allow plugins; there are none here."),
        switch("enable-helm", "Allow charts; they cannot be fetched here."),
        flag("env", Kind::Array, "[]", "Environment of functions").short('e'),
        flag("helm-api-versions", Kind::Array, "[]", "API versions that charts are told"),
        flag("helm-command", Kind::Str, "'helm'", "Where helm is"),
        switch("helm-debug", "More words from helm"),
        flag("helm-kube-version", Kind::Str, "''", "Version of Kubernetes that charts are told"),
        flag("mount", Kind::Array, "[]", "Storage of functions"),
        switch("network", "Functions may use the network"),
        flag("network-name", Kind::Str, "'bridge'", "Network that functions use"),
        flag(
            "load-restrictor",
            Kind::Str,
            "'LoadRestrictionsRootOnly'",
            "Whether files from outside of the directory may be used.",
        ),
        flag("output", Kind::Str, "''", "File to write to instead of standard output.").short('o'),
    ]],
    run: Some(build),
    complete: None,
    ..Command::EMPTY
};

fn build(cx: &mut Cx<'_>, a: &Args) -> Done {
    if a.words.len() > 1 {
        return Err(Error::text("specify one path to kustomization.yaml").into());
    }
    let dir = a.words.first().map_or(".", String::as_str);
    let objects = kustomize::build(cx, dir)?;
    let text = objects.iter().map(yaml::emit).collect::<Vec<_>>().join("---\n");
    let file = a.str("output");
    if file.is_empty() {
        cx.out(text);
        return Ok(());
    }
    cx.write_file(&file, text.as_bytes(), 0o644)?.map_err(|e| Error::Text(format!("open {file}: {e}")))?;
    Ok(())
}

/// `alpha`: there is nothing in it.
pub static ALPHA: Command = Command {
    name: "alpha",
    short: "Commands for features in alpha",
    run: Some(|cx, _| {
        cx.err("No alpha commands are available in this version of kubectl\n");
        Ok(())
    }),
    ..Command::EMPTY
};

const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// `completion`
pub static COMPLETION: Command = Command {
    name: "completion",
    group: Group::Settings,
    short: "Output shell completion code for the specified shell (bash, zsh, fish, or powershell)",
    long: "Prints code that lets a shell complete kubectl's words. The shell of this workstation knows them without it.",
    usage: "completion SHELL",
    example: "# For bash\nsource <(kubectl completion bash)",
    run: Some(completion),
    complete: Some(|_, _, p| Ok(complete::of(&SHELLS, p))),
    ..Command::EMPTY
};

fn completion(cx: &mut Cx<'_>, a: &Args) -> Done {
    match a.words.as_slice() {
        [] => Err(a.usage("Shell not specified.")),
        [s] if SHELLS.contains(&s.as_str()) => {
            cx.out(format!(
                "# {s} completion for kubectl: ask it for the words that may follow.\n_kubectl() {{\n  COMPREPLY=( $(kubectl \
                 __completeNoDesc \"${{COMP_WORDS[@]:1}}\" 2>/dev/null | grep -v '^:') )\n}}\ncomplete -F _kubectl kubectl\n"
            ));
            Ok(())
        }
        [s] => Err(a.usage(format!("Unsupported shell type {}.", api::gofmt::quote(s)))),
        _ => Err(a.usage("Too many arguments. Expected only the shell type.")),
    }
}

/// `plugin`
pub static PLUGIN: Command = Command {
    name: "plugin",
    group: Group::Other,
    short: "Provides utilities for interacting with plugins",
    long: "Plugins are programs named kubectl-… that add commands. There are none here.",
    usage: "plugin [flags]",
    subs: &[&PLUGIN_LIST],
    ..Command::EMPTY
};

static PLUGIN_LIST: Command = Command {
    name: "list",
    short: "List all visible plugin executables on a user's PATH",
    long: "Lists the plugins on the PATH.",
    usage: "list [flags]",
    example: "# All\nkubectl plugin list",
    flags: &[&[switch("name-only", "Show the names without their paths")]],
    run: Some(|_, _| Err(Error::text("unable to find any kubectl plugins in your PATH").into())),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

/// `top`
pub static TOP: Command = Command {
    name: "top",
    group: Group::Cluster,
    short: "Display resource (CPU/memory) usage",
    long: "Shows what nodes and pods use of CPU and memory, as the metrics server knows it.",
    usage: "top [flags]",
    subs: &[&TOP_NODE, &TOP_POD],
    ..Command::EMPTY
};

static TOP_NODE: Command = Command {
    name: "node",
    aliases: &["nodes", "no"],
    short: "Display resource (CPU/memory) usage of nodes",
    long: "Shows what nodes use of CPU and memory.",
    usage: "node [NAME | -l label]",
    example: "# All nodes\nkubectl top node",
    flags: &[&[
        SELECTOR,
        switch("no-headers", "Leave out the headings."),
        switch("show-capacity", "Shares of the capacity instead of what pods may have."),
        switch("show-swap", "Show swap too."),
        flag("sort-by", Kind::Str, "''", "Sort by 'cpu' or 'memory'."),
        switch("use-protocol-buffers", "Talk to the metrics server in its binary format.").on(),
    ]],
    run: Some(top_node),
    complete: Some(complete::nodes),
    ..Command::EMPTY
};

static TOP_POD: Command = Command {
    name: "pod",
    aliases: &["pods", "po"],
    short: "Display resource (CPU/memory) usage of pods",
    long: "Shows what pods use of CPU and memory. A new pod may be missing for some minutes.",
    usage: "pod [NAME | -l label]",
    example: "# Of the namespace\nkubectl top pod\n\n# By container\nkubectl top pod web --containers",
    flags: &[&[
        ALL_NAMESPACES,
        FIELD_SELECTOR,
        SELECTOR,
        switch("containers", "A line for each container."),
        switch("no-headers", "Leave out the headings."),
        switch("show-swap", "Show swap too."),
        flag("sort-by", Kind::Str, "''", "Sort by 'cpu' or 'memory'."),
        switch("sum", "Show the sum at the end"),
        switch("use-protocol-buffers", "Talk to the metrics server in its binary format.").on(),
    ]],
    run: Some(top_pod),
    complete: Some(complete::pods),
    ..Command::EMPTY
};

/// Metrics of nodes or pods, or the words that say that there are none.
fn metrics(cx: &mut Cx<'_>, a: &Args, path: &str) -> Done<Vec<Value>> {
    let sort = a.str("sort-by");
    if !["", "cpu", "memory", "swap"].contains(&sort.as_str()) {
        return Err(Error::text("--sort-by accepts only cpu or memory").into());
    }
    if a.words.len() > 1 {
        return Err(a.usage(format!("unexpected args: {:?}", a.words)));
    }
    let api = cx.api(a)?;
    let d = cx.discovery(&api)?;
    if !d.groups.iter().any(|(g, _)| g == "metrics.k8s.io") {
        return Err(Error::text("Metrics API not available").into());
    }
    let name = a.words.first().map(|n| format!("/{n}")).unwrap_or_default();
    let mut r = Request::get(format!("{path}{name}"));
    for (flag, key) in [("selector", "labelSelector"), ("field-selector", "fieldSelector")] {
        let text = a.str(flag);
        if !text.is_empty() {
            r = r.with_query(key, text);
        }
    }
    let v = api.call(cx, r)?;
    let mut list = if name.is_empty() { crate::resource::list_items(&v) } else { vec![v] };
    list.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
    if !sort.is_empty() {
        list.sort_by_key(|v| core::cmp::Reverse(used(v, &sort)));
    }
    Ok(list)
}

/// What an object uses of a resource, over its containers.
fn used(v: &Value, what: &str) -> Quantity {
    if v.get("usage").is_some() {
        return Quantity::or_zero(v.get("usage").get(what));
    }
    v.get("containers")
        .items()
        .fold(Quantity::default(), |sum, c| sum + Quantity::or_zero(c.get("usage").get(what)))
}

fn cells(cpu: Quantity, memory: Quantity) -> String {
    format!("{}m\t{}Mi", cpu.milli(), memory.value() / (1024 * 1024))
}

fn top_node(cx: &mut Cx<'_>, a: &Args) -> Done {
    let list = metrics(cx, a, "/apis/metrics.k8s.io/v1beta1/nodes")?;
    let api = cx.api(a)?;
    let nodes = crate::resource::list_items(&api.get(cx, "/api/v1/nodes")?);
    let mut w = TabWriter::table();
    if !a.bool("no-headers") {
        w.write("NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\n");
    }
    let field = if a.bool("show-capacity") { "capacity" } else { "allocatable" };
    for v in &list {
        let (cpu, memory) = (used(v, "cpu"), used(v, "memory"));
        let node = nodes.iter().find(|n| n.name() == v.name());
        let share = |what: &str, have: Quantity| {
            let all =
                node.map_or_else(Quantity::default, |n| Quantity::or_zero(n.at(&["status", field, what])));
            if all.is_zero() {
                "<unknown>".to_owned()
            } else {
                format!("{}%", i128::from(have.milli()) * 100 / i128::from(all.milli().max(1)))
            }
        };
        w.write(&format!(
            "{}\t{}m\t{}\t{}Mi\t{}\n",
            v.name(),
            cpu.milli(),
            share("cpu", cpu),
            memory.value() / (1024 * 1024),
            share("memory", memory)
        ));
    }
    cx.out(w.finish());
    Ok(())
}

fn top_pod(cx: &mut Cx<'_>, a: &Args) -> Done {
    let api = cx.api(a)?;
    let all = a.bool("all-namespaces");
    let path = if all {
        "/apis/metrics.k8s.io/v1beta1/pods".to_owned()
    } else {
        format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", api.namespace)
    };
    let list = metrics(cx, a, &path)?;
    if list.is_empty() {
        let text = if all {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {} namespace.\n", api.namespace)
        };
        cx.err(text);
        return Ok(());
    }
    let by_container = a.bool("containers");
    let mut w = TabWriter::table();
    if !a.bool("no-headers") {
        let place = if all { "NAMESPACE\t" } else { "" };
        w.write(&format!(
            "{place}{}CPU(cores)\tMEMORY(bytes)\n",
            if by_container { "POD\tNAME\t" } else { "NAME\t" }
        ));
    }
    let (mut cpu, mut memory) = (Quantity::default(), Quantity::default());
    for v in &list {
        let place = if all { format!("{}\t", v.namespace()) } else { String::new() };
        cpu += used(v, "cpu");
        memory += used(v, "memory");
        if by_container {
            for c in v.get("containers").items() {
                let q = |what: &str| Quantity::or_zero(c.get("usage").get(what));
                w.write(&format!(
                    "{place}{}\t{}\t{}\n",
                    v.name(),
                    c.get("name").text(),
                    cells(q("cpu"), q("memory"))
                ));
            }
        } else {
            w.write(&format!("{place}{}\t{}\n", v.name(), cells(used(v, "cpu"), used(v, "memory"))));
        }
    }
    if a.bool("sum") {
        let lead = "\t".repeat(usize::from(all) + usize::from(by_container));
        w.write(&format!("{lead}\t________\t________\n{lead}\t{}\n", cells(cpu, memory)));
    }
    cx.out(w.finish());
    Ok(())
}
