//! kuberc: a person's own aliases and defaults of flags. Models: `kubectl/pkg/kuberc`.

use crate::command::{self, Command};
use crate::commands;
use crate::cx::{Cx, Done};
use crate::error::Error;
use api::{Value, gofmt, obj, yaml};

/// The version of the file.
pub const API_VERSION: &str = "kubectl.config.k8s.io/v1beta1";

fn fail<T>(s: impl core::fmt::Display) -> Done<T> {
    Err(Error::Plain(format!("error occurred while applying preferences {s}\n")).into())
}

/// Where the preferences are, and whether the flag named them. `None` where they are switched off.
pub fn path(cx: &mut Cx<'_>, flag: Option<&str>) -> Done<Option<(String, bool)>> {
    if let Some(p) = flag.filter(|p| !p.is_empty()) {
        return Ok(Some((p.to_owned(), true)));
    }
    if cx.var("KUBECTL_KUBERC")?.is_some_and(|v| v == "false") {
        return Ok(None);
    }
    Ok(match cx.var("KUBERC")? {
        Some(v) if v == "off" => None,
        Some(v) if !v.is_empty() => Some((v.to_string(), true)),
        _ => {
            let home = cx.var("HOME")?.unwrap_or_else(|| "/root".into());
            Some((format!("{home}/.kube/kuberc"), false))
        }
    })
}

/// Reads preferences; null where there are none.
pub fn read(cx: &mut Cx<'_>, path: &str, named: bool) -> Done<Value> {
    let data = match cx.read_file(path)? {
        Ok(d) => d,
        Err(_) if !named => return Ok(Value::Null),
        Err(e) => return fail(format!("kuberc error kuberc: open {path}: {e}")),
    };
    match yaml::parse(&String::from_utf8_lossy(&data)) {
        Ok(v) if v.kind() == "Preference" && v.api_version().starts_with("kubectl.config.k8s.io/") => Ok(v),
        _ => fail(format!(
            "kuberc error kuberc: no valid preferences found in {path}, use --v=5 to see details"
        )),
    }
}

/// The flag `--kuberc` of a command line that is not taken apart yet.
fn flag(args: &[String]) -> Option<&str> {
    let at =
        args.iter().take_while(|a| *a != "--").position(|a| a == "--kuberc" || a.starts_with("--kuberc="))?;
    match args[at].split_once('=') {
        Some((_, v)) => Some(v),
        None => args.get(at + 1).map(String::as_str),
    }
}

/// The command of that path below the root.
fn named(words: &str) -> Option<&'static Command> {
    let mut c: &'static Command = &commands::ROOT;
    for w in words.split_whitespace() {
        c = c.subs.iter().find(|s| s.is(w))?;
    }
    (!core::ptr::eq(c, &commands::ROOT)).then_some(c)
}

/// The command line with aliases resolved and defaults filled in.
pub fn apply(cx: &mut Cx<'_>, args: &[String]) -> Done<Vec<String>> {
    let mut args = args.to_vec();
    let Some((path, by_name)) = self::path(cx, flag(&args))? else { return Ok(args) };
    let prefs = read(cx, &path, by_name)?;
    if prefs.is_null() {
        return Ok(args);
    }
    let letters = |n: &str| n.chars().all(|c| c.is_ascii_alphabetic());
    if prefs.get("aliases").items().any(|a| !letters(a.get("name").text())) {
        return fail("invalid alias name, can only include alphabetical characters");
    }
    let found = command::find(&args);
    let alias = found.unknown.and_then(|w| {
        let alias = prefs.get("aliases").items().find(|a| a.get("name").text() == w)?;
        Some((args.iter().position(|a| a == w)?, alias.clone()))
    });
    if let Some((at, alias)) = alias {
        args = resolved(args, at, &alias)?;
    }
    for d in prefs.get("defaults").items() {
        let text = d.get("command").text();
        if named(text).is_none() {
            cx.err(format!("Warning: command {} not found to set kuberc override\n", gofmt::quote(text)));
        }
    }
    let found = command::find(&args);
    let (command, path) = (found.command, found.path);
    for d in prefs.get("defaults").items() {
        if !named(d.get("command").text()).is_some_and(|c| core::ptr::eq(c, command)) {
            continue;
        }
        for o in d.get("options").items() {
            let name = o.get("name").text();
            if command.flag(name).is_none() && crate::globals::find(name).is_none() {
                return fail(format!("invalid flag {name} for command {}", command.name));
            }
            fill(&mut args, command, &path, o);
        }
    }
    Ok(args)
}

/// Puts a default where its flag is not given.
fn fill(args: &mut Vec<String>, command: &'static Command, path: &str, option: &Value) {
    let name = option.get("name").text();
    let rest = command::find(args).rest;
    let given = command::parse(command, path, &rest).is_ok_and(|(a, _)| a.given(name));
    if !given {
        let at = args.iter().position(|a| a == "--").unwrap_or(args.len());
        args.insert(at, format!("--{name}={}", option.get("default").text()));
    }
}

fn resolved(args: Vec<String>, at: usize, alias: &Value) -> Done<Vec<String>> {
    let text = alias.get("command").text();
    let Some(command) = named(text) else {
        let words: Vec<&str> = text.split_whitespace().collect();
        return fail(format!(
            "command {} not found to set alias {}: [{}]",
            gofmt::quote(text),
            gofmt::quote(alias.get("name").text()),
            words.join(" ")
        ));
    };
    let list = |key: &str| alias.get(key).items().map(|v| v.text().to_owned()).collect::<Vec<_>>();
    let mut out = args[..at].to_vec();
    out.extend(text.split_whitespace().map(str::to_owned));
    out.extend(list("prependArgs"));
    out.extend_from_slice(&args[at + 1..]);
    out.extend(list("appendArgs"));
    for o in alias.get("options").items() {
        let name = o.get("name").text();
        if command.flag(name).is_none() && crate::globals::find(name).is_none() {
            return fail(format!("invalid alias flag {name} in alias kubectl"));
        }
        let path = command::find(&out).path;
        fill(&mut out, command, &path, o);
    }
    Ok(out)
}

/// Preferences without content.
pub fn empty() -> Value {
    obj!({"aliases": null, "apiVersion": API_VERSION, "defaults": null, "kind": "Preference"})
}
