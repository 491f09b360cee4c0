//! `kubectl kuberc`: shows and sets preferences.

use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::kuberc;
use crate::print::{self, Printer};
use api::{Value, gofmt, obj, yaml};

const PATH: Flag = flag(
    "kuberc",
    Kind::Str,
    "''",
    "File with preferences. KUBECTL_KUBERC=false or KUBERC=off switches them off.",
);

/// The command.
pub static COMMAND: Command = Command {
    name: "kuberc",
    group: Group::Other,
    short: "Manage kuberc configuration files",
    long: "Shows and sets preferences: aliases for commands, and flags' defaults.",
    usage: "kuberc SUBCOMMAND",
    example: "# What is set\nkubectl kuberc view\n\n# Always wide\nkubectl kuberc set --section defaults --command get --option \
              output=wide\n\n# An alias\nkubectl kuberc set --section aliases --name getn --command get --prependarg nodes",
    subs: &[&SET, &VIEW],
    ..Command::EMPTY
};

static SET: Command = Command {
    name: "set",
    short: "Set values in the kuberc configuration",
    long: "Sets the defaults of a command's flags, an alias, or the policy of credential plugins.",
    usage: "set --section (defaults|aliases) --command COMMAND",
    example: "# A default\nkubectl kuberc set --section defaults --command \"set env\" --option output=yaml\n\n# An alias with \
              words behind it\nkubectl kuberc set --section aliases --name runx --command run --option image=nginx --appendarg x",
    flags: &[&[
        flag("allowlist-entry", Kind::Array, "[]", "Entry of the allow list as FIELD=VALUE; may be repeated"),
        flag("appendarg", Kind::Array, "[]", "Word behind the command's own; may be repeated, for aliases"),
        flag("command", Kind::Str, "''", "Command that is set up, such as get or 'set env'"),
        PATH,
        flag("name", Kind::Str, "''", "Name of the alias"),
        flag("option", Kind::Array, "[]", "Flag as FLAG=VALUE; may be repeated"),
        switch("overwrite", "Replace what is there"),
        flag("policy", Kind::Str, "''", "Policy for credential plugins: AllowAll, DenyAll or Allowlist"),
        flag("prependarg", Kind::Array, "[]", "Word before the command's own; may be repeated, for aliases"),
        flag("section", Kind::Str, "''", "What to set: defaults, aliases or credentialplugin"),
    ]],
    required: &["section"],
    run: Some(set),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

static VIEW: Command = Command {
    name: "view",
    short: "Display the current kuberc configuration",
    long: "Prints the preferences.",
    usage: "view",
    example: "# As YAML\nkubectl kuberc view\n\n# As JSON\nkubectl kuberc view --output json",
    flags: &[&[PATH, flag("output", Kind::Str, "'yaml'", print::OUTPUT_HELP).short('o')], print::FLAGS],
    run: Some(view),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

fn place(cx: &mut Cx<'_>, a: &Args) -> Done<(String, bool)> {
    match kuberc::path(cx, a.values.last("kuberc"))? {
        Some(p) => Ok(p),
        None => fail("KUBERC is disabled via KUBERC=off or KUBECTL_KUBERC=false"),
    }
}

fn view(cx: &mut Cx<'_>, a: &Args) -> Done {
    let mut printer = match print::requested(cx, a, false)? {
        Some(p) => p,
        None => Printer::Yaml(0),
    };
    let (path, named) = place(cx, a)?;
    let mut v = kuberc::read(cx, &path, named)?;
    if v.is_null() {
        cx.err(format!(
            "kuberc file not found at {path}\nWould you like to generate a default kuberc file with recommended options? \
             (y/N): "
        ));
        let Event::Stdin(b) = cx.select(&[Source::Stdin])? else { return Ok(()) };
        if !String::from_utf8_lossy(&b).trim().eq_ignore_ascii_case("y") {
            return Ok(());
        }
        v = kuberc::empty();
        let on = |command: &str, flag: &str| obj!({"command": command, "options": [{"default": "true", "name": flag}]});
        v.insert("defaults", vec![on("apply", "server-side"), on("delete", "interactive")]);
        return save(cx, &path, &v);
    }
    if matches!(printer, Printer::Name { .. }) {
        cx.out("preference.kubectl.config.k8s.io/<unknown>");
        return Ok(());
    }
    // Lists that are not there are shown as empty.
    let mut shown = obj!({"kind": "Preference", "apiVersion": kuberc::API_VERSION});
    for key in ["defaults", "aliases", "credentialPluginPolicy", "credentialPluginAllowlist"] {
        match (v.get(key), key) {
            (Value::Null, "defaults" | "aliases") => shown.insert(key, Value::list()),
            (Value::Null, _) => {}
            (v, _) => shown.insert(key, v),
        }
    }
    if matches!(printer, Printer::Json) {
        let mut text = String::new();
        ordered(&shown, 0, &mut text);
        cx.out(text + "\n");
        return Ok(());
    }
    printer.print(cx, &shown, false)
}

/// Indented JSON in the order of upstream's fields.
fn ordered(v: &Value, indent: usize, out: &mut String) {
    const ORDER: [&str; 7] = ["kind", "apiVersion", "defaults", "aliases", "name", "command", "prependArgs"];
    let pad = " ".repeat(indent + 4);
    let (open, close, rows): (_, _, Vec<(String, &Value)>) = match v {
        Value::Map(_) => {
            let mut rows: Vec<(&str, &Value)> = v.entries().map(|(k, v)| (k.as_str(), v)).collect();
            rows.sort_by_key(|(k, _)| ORDER.iter().position(|o| o == k).unwrap_or(ORDER.len()));
            ('{', '}', rows.iter().map(|(k, v)| (format!("{}: ", gofmt::quote(k)), *v)).collect())
        }
        Value::List(_) => ('[', ']', v.items().map(|v| (String::new(), v)).collect()),
        plain => {
            *out += &plain.to_json();
            return;
        }
    };
    out.push(open);
    for (i, (key, value)) in rows.iter().enumerate() {
        *out += &format!("{}\n{pad}{key}", if i > 0 { "," } else { "" });
        ordered(value, indent + 4, out);
    }
    if !rows.is_empty() {
        *out += &format!("\n{}", " ".repeat(indent));
    }
    out.push(close);
}

fn save(cx: &mut Cx<'_>, path: &str, v: &Value) -> Done {
    if let Some((dir, _)) = path.rsplit_once('/') {
        cx.make_dir(dir)?.map_err(Error::Text)?;
    }
    let text = yaml::emit(v);
    cx.write_file(path, text.as_bytes(), 0o644)?.map_err(|e| Error::Text(format!("open {path}: {e}")))?;
    cx.out(format!("Updated {path}\n"));
    Ok(())
}

fn set(cx: &mut Cx<'_>, a: &Args) -> Done {
    let section = a.str("section");
    let (command, name) = (a.str("command"), a.str("name"));
    match section.as_str() {
        "defaults" | "aliases" => {
            if command.is_empty() {
                return fail("--command is required when --section=aliases or --section=defaults");
            }
            if section == "aliases" && name.is_empty() {
                return fail("--name is required when --section=aliases");
            }
            if section == "defaults" && !name.is_empty() {
                return fail("--name should not be specified when --section=defaults");
            }
            if section == "defaults" && (a.given("prependarg") || a.given("appendarg")) {
                return fail("--prependarg and --appendarg are only valid for --section=aliases");
            }
        }
        "credentialplugin" => checked_policy(a)?,
        other => {
            return fail(format!(
                "--section must be \"defaults\", \"aliases\", or \"credentialplugin\", got: {other}"
            ));
        }
    }
    let (path, _) = place(cx, a)?;
    let mut v = kuberc::read(cx, &path, false)?;
    if v.is_null() {
        v = kuberc::empty();
    }
    let options = options(a)?;
    match section.as_str() {
        "defaults" => {
            let mut entry = obj!({"command": command.as_str()});
            if !options.is_empty() {
                entry.insert("options", options);
            }
            let there = format!("defaults for command {} already exist", gofmt::quote(&command));
            put(&mut v, "defaults", "command", entry, a.bool("overwrite"), &there)?;
        }
        "aliases" => {
            let mut entry = obj!({"command": command.as_str(), "name": name.as_str()});
            for (flag, key) in [("appendarg", "appendArgs"), ("prependarg", "prependArgs")] {
                if a.given(flag) {
                    entry.insert(key, a.list(flag).iter().map(Value::from).collect::<Value>());
                }
            }
            if !options.is_empty() {
                entry.insert("options", options);
            }
            let there = format!("alias {} already exists", gofmt::quote(&name));
            put(&mut v, "aliases", "name", entry, a.bool("overwrite"), &there)?;
        }
        _ => {
            v.insert("credentialPluginPolicy", a.str("policy"));
            let entries: Vec<Value> = a
                .list("allowlist-entry")
                .iter()
                .filter_map(|e| e.split_once('='))
                .map(|e| [e].into_iter().collect())
                .collect();
            if entries.is_empty() {
                v.remove(&["credentialPluginAllowlist"]);
            } else {
                v.insert("credentialPluginAllowlist", entries);
            }
        }
    }
    save(cx, &path, &v)
}

fn checked_policy(a: &Args) -> Done {
    let (policy, entries) = (a.str("policy"), a.list("allowlist-entry"));
    match policy.as_str() {
        "" => return fail("--policy is required when --section=credentialplugin"),
        "AllowAll" | "DenyAll" if entries.is_empty() => {}
        "AllowAll" | "DenyAll" => {
            return fail(
                "--allowlist-entry may only be used when --section=credentialplugin and --policy=Allowlist",
            );
        }
        "Allowlist" if entries.is_empty() => {
            return fail(
                "--allowlist-entry is required when --section=credentialplugin and --policy=Allowlist",
            );
        }
        "Allowlist" => {}
        other => {
            return fail(format!(
                " --policy must be  \"AllowAll\", \"DenyAll\", or \"Allowlist\", got: {other}"
            ));
        }
    }
    for e in entries {
        match e.split_once('=') {
            None => return fail(format!("improperly formatted allowlist entry: {}", gofmt::quote(e))),
            Some(("command" | "name", _)) => {}
            Some((field, _)) => {
                return fail(format!("unrecognized allowlist entry field: {}", gofmt::quote(field)));
            }
        }
    }
    Ok(())
}

fn options(a: &Args) -> Result<Vec<Value>, Stop> {
    let mut out = Vec::new();
    for o in a.list("option") {
        let Some((name, value)) = o.split_once('=') else {
            let text = format!("invalid option format {}, expected flag=value", gofmt::quote(o));
            return Err(Error::Text(text).into());
        };
        out.push(obj!({"default": value, "name": name}));
    }
    Ok(out)
}

/// Puts an entry into a list, in the place of one of the same key if that is allowed.
fn put(v: &mut Value, list: &str, key: &str, entry: Value, overwrite: bool, there: &str) -> Done {
    let mut items: Vec<Value> = v.get(list).items().cloned().collect();
    match items.iter().position(|e| e.get(key) == entry.get(key)) {
        Some(_) if !overwrite => return fail(format!("{there}, use --overwrite to replace")),
        Some(at) => items[at] = entry,
        None => items.push(entry),
    }
    v.insert(list, items);
    Ok(())
}
