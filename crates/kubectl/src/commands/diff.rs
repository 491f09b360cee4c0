//! `kubectl diff`

use super::apply::three_way;
use super::common::{FILES, SELECTOR, field_manager, patch, with_last_applied, write};
use crate::client::{Api, PatchType};
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print::{self, DryRun};
use crate::resource::{Builder, Info};
use api::wire::{Body, Method};
use api::{Value, yaml};

const FLAGS: &[Flag] = &[
    SELECTOR,
    field_manager("'kubectl-client-side-apply'"),
    flag("concurrency", Kind::Int, "1", "How many objects to look at at once."),
    switch("force-conflicts", "With --server-side, take fields over from other managers."),
    switch("prune", "Count what apply --prune would delete as a difference."),
    flag(
        "prune-allowlist",
        Kind::Array,
        "[]",
        "Kinds, as <group/version/kind>, that --prune may delete instead of its own list.",
    ),
    switch("server-side", "Compare with what server-side apply would make."),
    switch("show-managed-fields", "Keep managedFields in what is compared."),
    switch("show-secrets", "Show the values of secrets."),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "diff",
    group: Group::Advanced,
    short: "Diff the live version against a would-be applied version",
    long: "Shows what apply would change: the live objects against what they would become, as YAML.\n\n KUBECTL_EXTERNAL_DIFF \
           names another program to compare by.\n\n Exit status: 0 no differences were found, 1 there are some, more than 1 it \
           went wrong.",
    usage: "diff -f FILENAME",
    example: "# A file\nkubectl diff -f web.yaml\n\n# Standard input\ncat web.yaml | kubectl diff -f -",
    flags: &[FLAGS, FILES],
    run: Some(run),
    ..Command::EMPTY
};

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    // Whatever goes wrong ends with a code above 1.
    match compare(cx, a) {
        Err(Stop::Fail(e)) => {
            let (text, _) = e.report();
            Err(Error::Code(2, text.trim_end().to_owned()).into())
        }
        other => other,
    }
}

fn compare(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return Err(a.usage(format!("Unexpected args: [{}]", a.words.join(" "))));
    }
    let builder = Builder::new(a, &[]);
    if !builder.has_files() {
        return Err(Error::text("must specify one of -f and -k").into());
    }
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    let number = cx.random()? % 10_000_000_000;
    let (live_dir, merged_dir) = (format!("/tmp/LIVE-{number}"), format!("/tmp/MERGED-{number}"));
    let mut out = String::new();
    for t in targets.items {
        let i = Info::from(t?);
        let r = api.get(cx, &i.path());
        let live = match cx.catch(r)? {
            Ok(v) => v,
            Err(e) if e.is_not_found() => Value::Null,
            Err(e) => return Err(e.into()),
        };
        let merged = merged(cx, a, &api, &i, &live)?;
        let (mut live, mut merged) =
            (print::without_managed_fields(&live), print::without_managed_fields(&merged));
        if i.res.kind == "Secret" && i.res.group.is_empty() && !a.bool("show-secrets") {
            mask(&mut live, &mut merged);
        }
        let name = file_name(&i, &merged);
        let text = |v: &Value| if v.is_null() { String::new() } else { yaml::emit(v) };
        let (from, to) = (text(&live), text(&merged));
        if from != to {
            let now = cx.civil()?;
            let stamp = format!(
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.000000000 +0000",
                now.year, now.month, now.day, now.hour, now.minute, now.second
            );
            out += &format!("diff -u -N {live_dir}/{name} {merged_dir}/{name}\n");
            out += &format!("--- {live_dir}/{name}\t{stamp}\n+++ {merged_dir}/{name}\t{stamp}\n");
            out += &unified(&from, &to);
        }
    }
    if out.is_empty() {
        return Ok(());
    }
    cx.out(out);
    Err(Stop::Exit(1))
}

fn file_name(i: &Info, v: &Value) -> String {
    let group = if i.res.group.is_empty() { String::new() } else { format!("{}.", i.res.group) };
    let name = if v.name().is_empty() { &i.name } else { v.name() };
    format!("{group}{}.{}.{}.{name}", i.res.version, i.res.kind, i.namespace)
}

/// What the server would make of it.
fn merged(cx: &mut Cx<'_>, a: &Args, api: &Api, i: &Info, live: &Value) -> Done<Value> {
    if a.bool("server-side") {
        let manager = if a.given("field-manager") { a.str("field-manager") } else { "kubectl".into() };
        let mut r = write(Method::Patch, i.path(), DryRun::Server, &manager, "")
            .with_header("content-type", PatchType::Apply.content_type())
            .with_body(Body::Object(i.object.clone()));
        r = r.with_query("force", if a.bool("force-conflicts") { "true" } else { "false" });
        return api.call(cx, r);
    }
    if live.is_null() {
        let mut new = i.clone();
        new.object = with_last_applied(&i.object);
        let v = super::common::create(cx, api, &new, DryRun::Server, &a.str("field-manager"), "")?;
        return Ok(v);
    }
    let (ty, body) = three_way(i, live)?;
    if body.is_empty() {
        return Ok(live.clone());
    }
    let mut v = patch(cx, api, &i.path(), ty, Body::Object(body), DryRun::Server, &a.str("field-manager"))?;
    // The annotation of what was applied is no difference.
    let old = live.annotations().get(super::LAST_APPLIED);
    if old.is_some() {
        v.set(&["metadata", "annotations", super::LAST_APPLIED], old);
    } else {
        v.remove(&["metadata", "annotations", super::LAST_APPLIED]);
        if v.annotations().is_empty() {
            v.remove(&["metadata", "annotations"]);
        }
    }
    Ok(v)
}

fn mask(live: &mut Value, merged: &mut Value) {
    let keys: Vec<String> =
        live.get("data").entries().chain(merged.get("data").entries()).map(|(k, _)| k.to_string()).collect();
    for k in keys {
        let (a, b) = (live.get("data").get(&k).clone(), merged.get("data").get(&k).clone());
        let changed = a.is_some() && b.is_some() && a != b;
        if a.is_some() {
            live.set(&["data", &k], if changed { "*** (before)" } else { "***" });
        }
        if b.is_some() {
            merged.set(&["data", &k], if changed { "*** (after)" } else { "***" });
        }
    }
}

/// Lines that a table of a comparison may have; beyond, all is one change.
const LINES_MAX: usize = 4000;

/// A unified difference with three lines of context.
fn unified(from: &str, to: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let ops = edits(&a, &b);
    let mut out = String::new();
    let mut k = 0;
    while k < ops.len() {
        if ops[k].0 == ' ' {
            k += 1;
            continue;
        }
        let start = k.saturating_sub(3);
        let mut end = k;
        let mut same = 0;
        let mut n = k;
        while n < ops.len() && same <= 6 {
            if ops[n].0 == ' ' {
                same += 1;
            } else {
                same = 0;
                end = n + 1;
            }
            n += 1;
        }
        let stop = (end + 3).min(ops.len());
        let hunk = &ops[start..stop];
        let count = |c: char| hunk.iter().filter(|o| o.0 == ' ' || o.0 == c).count();
        let before = |c: char| ops[..start].iter().filter(|o| o.0 == ' ' || o.0 == c).count();
        let range = |at: usize, n: usize| match n {
            0 => format!("{at},0"),
            1 => format!("{}", at + 1),
            n => format!("{},{n}", at + 1),
        };
        out += &format!("@@ -{} +{} @@\n", range(before('-'), count('-')), range(before('+'), count('+')));
        for (c, l) in hunk {
            out.push(*c);
            out += l;
            out.push('\n');
        }
        k = stop;
    }
    out
}

/// Kept, removed and added lines by a longest common subsequence.
fn edits<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<(char, &'a str)> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut out: Vec<(char, &str)> = a[..head].iter().map(|l| (' ', *l)).collect();
    if x.len().saturating_mul(y.len()) > LINES_MAX * LINES_MAX {
        out.extend(x.iter().map(|l| ('-', *l)));
        out.extend(y.iter().map(|l| ('+', *l)));
    } else {
        let width = y.len() + 1;
        let mut t = vec![0u32; (x.len() + 1) * width];
        for i in (0..x.len()).rev() {
            for j in (0..y.len()).rev() {
                t[i * width + j] = if x[i] == y[j] {
                    t[(i + 1) * width + j + 1] + 1
                } else {
                    t[(i + 1) * width + j].max(t[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < x.len() || j < y.len() {
            if i < x.len() && j < y.len() && x[i] == y[j] {
                out.push((' ', x[i]));
                i += 1;
                j += 1;
            } else if i < x.len() && (j == y.len() || t[(i + 1) * width + j] >= t[i * width + j + 1]) {
                out.push(('-', x[i]));
                i += 1;
            } else {
                out.push(('+', y[j]));
                j += 1;
            }
        }
    }
    out.extend(a[a.len() - tail..].iter().map(|l| (' ', *l)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unified_as_diff_prints_it() {
        let a = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let b = "a\nb\nc\nD\ne\nf\ng\nh\ni\n";
        assert_eq!(unified(a, b), "@@ -1,8 +1,9 @@\n a\n b\n c\n-d\n+D\n e\n f\n g\n h\n+i\n");
        assert_eq!(unified("", "x\n"), "@@ -0,0 +1 @@\n+x\n");
        assert_eq!(unified(a, a), "");
    }
}
