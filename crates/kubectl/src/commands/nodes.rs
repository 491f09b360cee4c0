//! `kubectl cordon`, `uncordon` and `taint`

use super::common::{ALL, SELECTOR, VALIDATE, field_manager, patch_to};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, switch};
use crate::print::{self, DRY_RUN, DryRun, dry_run, dry_run_suffix};
use crate::resource::{Builder, Info, each};
use api::{Value, gofmt, names, obj};

const FLAGS: &[Flag] = &[DRY_RUN, SELECTOR];

/// `cordon`
pub static CORDON: Command = Command {
    name: "cordon",
    group: Group::Cluster,
    short: "Mark node as unschedulable",
    long: "Marks a node as one that gets no new pods.",
    usage: "cordon NODE",
    example: "# One node\nkubectl cordon node-1",
    flags: &[FLAGS],
    run: Some(|cx, a| cordon(cx, a, true)),
    complete: Some(complete::nodes),
    ..Command::EMPTY
};

/// `uncordon`
pub static UNCORDON: Command = Command {
    name: "uncordon",
    group: Group::Cluster,
    short: "Mark node as schedulable",
    long: "Marks a node as one that gets new pods again.",
    usage: "uncordon NODE",
    example: "# One node\nkubectl uncordon node-1",
    flags: &[FLAGS],
    run: Some(|cx, a| cordon(cx, a, false)),
    complete: Some(complete::nodes),
    ..Command::EMPTY
};

/// The nodes that a command names or selects.
pub fn nodes(cx: &mut Cx<'_>, a: &Args, api: &Api) -> Done<Vec<Result<Info, Error>>> {
    let selected = !a.str("selector").is_empty();
    if a.words.is_empty() && !selected {
        return Err(
            a.usage(format!("USAGE: {} [flags]", a.command.usage.split('[').next().unwrap_or("").trim()))
        );
    }
    if !a.words.is_empty() && selected {
        return Err(a.usage("cannot specify both a node name and a --selector option"));
    }
    let mut words = vec!["nodes".to_owned()];
    words.extend(a.words.iter().map(|w| w.rsplit('/').next().unwrap_or(w).to_owned()));
    Builder::new(a, &words).infos(cx, api)
}

fn cordon(cx: &mut Cx<'_>, a: &Args, on: bool) -> Done {
    let dry = dry_run(cx, a)?;
    let api = cx.api(a)?;
    let infos = nodes(cx, a, &api)?;
    // One node that is not there stops the command before it does anything.
    let mut known = Vec::new();
    for i in infos {
        known.push(Ok(i?));
    }
    each(cx, known, |cx, i| set_cordon(cx, &api, &i, on, dry))
}

/// Cordons or uncordons a node and says so.
pub fn set_cordon(cx: &mut Cx<'_>, api: &Api, i: &Info, on: bool, dry: DryRun) -> Done {
    let already = i.object.at(&["spec", "unschedulable"]).is_true() == on;
    if !already && dry != DryRun::Client {
        let mut v = i.object.clone();
        if on {
            v.set(&["spec", "unschedulable"], true);
        } else {
            v.remove(&["spec", "unschedulable"]);
        }
        let what = if on { "cordon" } else { "uncordon" };
        let r = patch_to(cx, api, i, &v, dry, "");
        cx.catch(r)?.map_err(|e| {
            Error::Text(format!("unable to {what} node {}: {}", gofmt::quote(&i.name), e.message()))
        })?;
    }
    let word = if on { "cordoned" } else { "uncordoned" };
    let word = if already { format!("already {word}") } else { word.to_owned() };
    cx.out(format!("node/{} {word}{}\n", i.name, dry_run_suffix(dry)));
    Ok(())
}

/// `taint`
pub static TAINT: Command = Command {
    name: "taint",
    group: Group::Cluster,
    short: "Update the taints on one or more nodes",
    long: "Sets and takes away taints of nodes.\n\n A taint is a key, a value and an effect: KEY=VALUE:EFFECT, the value may be \
           left out. Key and value are like a label's; the effect is NoSchedule, PreferNoSchedule or NoExecute. KEY- and \
           KEY:EFFECT- take taints away. Only nodes have taints.",
    usage: "taint NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
    example: "# One taint\nkubectl taint nodes node-1 dedicated=batch:NoSchedule\n\n# Away with it\nkubectl taint nodes node-1 \
              dedicated:NoSchedule-",
    flags: &[
        &[
            ALL,
            DRY_RUN,
            SELECTOR,
            VALIDATE,
            field_manager("'kubectl-taint'"),
            switch("overwrite", "Change taints that have another value."),
        ],
        print::FLAGS,
    ],
    run: Some(taint),
    complete: Some(taint_words),
    ..Command::EMPTY
};

fn taint_words(cx: &mut Cx<'_>, a: &Args, prefix: &str) -> Done<complete::Choices> {
    if a.words.is_empty() { Ok(complete::of(&["node"], prefix)) } else { complete::nodes(cx, a, prefix) }
}

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A taint to set, or (without value) the key and effect of those to take away.
fn spec(text: &str) -> Result<(Value, bool), Error> {
    let remove = text.ends_with('-');
    let body = text.strip_suffix('-').unwrap_or(text);
    let (left, effect) = body.split_once(':').map_or((body, ""), |(l, e)| (l, e));
    let (key, value) = left.split_once('=').map_or((left, ""), |(k, v)| (k, v));
    if body.matches(':').count() > 1 || left.matches('=').count() > 1 {
        return Err(Error::Text(format!("invalid taint spec: {text}")));
    }
    if !remove && effect.is_empty() {
        return Err(Error::Text(format!("invalid taint spec: {text}")));
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        return Err(Error::Text(format!("invalid taint effect: {effect}, unsupported taint effect")));
    }
    let m = names::qualified_name(key);
    if !m.is_empty() {
        return Err(Error::Text(format!("invalid taint spec: {text}, {}", m.join("; "))));
    }
    let m = names::label_value(value);
    if !m.is_empty() {
        return Err(Error::Text(format!("invalid taint spec: {text}, {}", m.join("; "))));
    }
    let mut t = obj!({"key": key, "effect": effect});
    if !value.is_empty() {
        t.insert("value", value);
    }
    Ok((t, remove))
}

fn taint(cx: &mut Cx<'_>, a: &Args) -> Done {
    let is_spec = |w: &str| w.contains('=') || w.contains(':') || w.ends_with('-');
    let at = a.words.iter().position(|w| is_spec(w)).unwrap_or(a.words.len());
    let (resources, specs) = a.words.split_at(at);
    if resources.is_empty() {
        return fail("one or more resources must be specified as <resource> <name>");
    }
    if specs.is_empty() {
        return fail("at least one taint update is required");
    }
    if !["node", "nodes", "no"]
        .contains(&resources[0].split('/').next().unwrap_or("").to_lowercase().as_str())
    {
        return fail(format!("invalid resource type {}, only node types are supported", resources[0]));
    }
    if resources.len() < 2 && !a.bool("all") && a.str("selector").is_empty() && !resources[0].contains('/') {
        return fail("at least one resource name must be specified since 'all' parameter is not set");
    }
    let dry = dry_run(cx, a)?;
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for s in specs {
        let (t, gone) = spec(s).map_err(|e| a.usage(e.message()))?;
        if gone { &mut remove } else { &mut add }.push(t);
    }
    for t in &add {
        if remove.iter().any(|r| {
            r.get("key") == t.get("key")
                && (r.get("effect") == t.get("effect") || r.get("effect").text().is_empty())
        }) {
            return Err(Error::Text(format!(
                "can not both modify and remove the following taint(s) in the same command: {}=",
                t.get("key").text()
            ))
            .into());
        }
    }
    let requested = print::requested(cx, a, false)?;
    let api = cx.api(a)?;
    let infos = Builder::new(a, resources).infos(cx, &api)?;
    let mut printer = requested;
    each(cx, infos, |cx, i| {
        let mut taints: Vec<Value> = i.object.at(&["spec", "taints"]).items().cloned().collect();
        for r in &remove {
            let before = taints.len();
            let effect = r.get("effect").text();
            taints.retain(|t| {
                t.get("key") != r.get("key") || !(effect.is_empty() || t.get("effect").text() == effect)
            });
            if taints.len() == before {
                let shown = if effect.is_empty() {
                    r.get("key").text().to_owned()
                } else {
                    format!("{}:{effect}", r.get("key").text())
                };
                return Err(Error::Text(format!("taint {} not found", gofmt::quote(&shown))).into());
            }
        }
        let mut replaced = false;
        for t in &add {
            match taints
                .iter_mut()
                .find(|x| x.get("key") == t.get("key") && x.get("effect") == t.get("effect"))
            {
                Some(_) if !a.bool("overwrite") => {
                    return Err(Error::Text(format!(
                        "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
                        i.name,
                        t.get("key").text()
                    ))
                    .into());
                }
                Some(old) => {
                    replaced = true;
                    *old = t.clone();
                }
                None => taints.push(t.clone()),
            }
        }
        let mut v = i.object.clone();
        if taints.is_empty() {
            v.remove(&["spec", "taints"]);
        } else {
            v.set(&["spec", "taints"], taints);
        }
        if dry != DryRun::Client {
            v = patch_to(cx, &api, &i, &v, dry, &a.str("field-manager"))?;
        }
        let word = match (add.is_empty(), remove.is_empty() && !replaced) {
            (false, false) => "modified",
            (true, false) => "untainted",
            _ => "tainted",
        };
        match &mut printer {
            Some(p) => p.print(cx, &v, a.bool("show-managed-fields")),
            None => {
                cx.out(format!("{} {word}{}\n", i.label(), dry_run_suffix(dry)));
                Ok(())
            }
        }
    })
}
