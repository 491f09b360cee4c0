//! `kubectl config`

mod change;
mod view;

use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::kubeconfig::{self, Config, LISTS};
use crate::{complete, help, print};
use api::{Value, yaml};

/// The command.
pub static COMMAND: Command = Command {
    name: "config",
    group: Group::Other,
    short: "Modify kubeconfig files",
    long: "Reads and changes kubeconfig files, as in \"kubectl config set current-context my-context\".\n\n Which file: that of \
           --kubeconfig alone, if given; else the files of KUBECONFIG together, a change going to the file that has the \
           entry, or to the first; else ${HOME}/.kube/config.",
    usage: "config SUBCOMMAND",
    subs: &[
        &view::CURRENT_CONTEXT,
        &DELETE_CLUSTER,
        &DELETE_CONTEXT,
        &DELETE_USER,
        &view::GET_CLUSTERS,
        &view::GET_CONTEXTS,
        &view::GET_USERS,
        &RENAME_CONTEXT,
        &SET,
        &change::SET_CLUSTER,
        &change::SET_CONTEXT,
        &change::SET_CREDENTIALS,
        &UNSET,
        &USE_CONTEXT,
        &view::VIEW,
    ],
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// The help page on standard error, then a message.
fn misuse<T>(cx: &mut Cx<'_>, a: &Args, message: String) -> Done<T> {
    let text = help::page(a.command, &a.path);
    cx.out(text);
    fail(message)
}

/// The file that has an entry, or the first.
fn file_of(cx: &mut Cx<'_>, config: &Config, has: impl Fn(&Value) -> bool) -> Done<(String, Value)> {
    for p in &config.paths {
        if let Some(v) = Config::read(cx, p)?
            && has(&v)
        {
            return Ok((p.clone(), v));
        }
    }
    let first = config.paths.first().cloned().unwrap_or_default();
    let v = Config::read(cx, &first)?.unwrap_or_else(kubeconfig::empty);
    Ok((first, v))
}

/// Writes a configuration.
fn save(cx: &mut Cx<'_>, path: &str, v: &Value) -> Done {
    let text = yaml::emit(&view::tidy(v));
    if let Some((dir, _)) = path.rsplit_once('/')
        && !dir.is_empty()
    {
        let _ = cx.make_dir(dir)?;
    }
    cx.write_file(path, text.as_bytes(), 0o600)?.map_err(|e| Error::Text(format!("open {path}: {e}")))?;
    Ok(())
}

fn has_entry(list: &'static str, name: &str) -> impl Fn(&Value) -> bool {
    let name = name.to_owned();
    move |v: &Value| v.get(list).items().any(|e| e.get("name").text() == name)
}

static DELETE_CLUSTER: Command = Command {
    name: "delete-cluster",
    short: "Delete the specified cluster from the kubeconfig",
    long: "Takes a cluster out of the kubeconfig.",
    usage: "delete-cluster NAME",
    example: "# One cluster\nkubectl config delete-cluster old",
    run: Some(|cx, a| delete(cx, a, "clusters", "cluster")),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "clusters")),
    ..Command::EMPTY
};

static DELETE_CONTEXT: Command = Command {
    name: "delete-context",
    short: "Delete the specified context from the kubeconfig",
    long: "Takes a context out of the kubeconfig.",
    usage: "delete-context NAME",
    example: "# One context\nkubectl config delete-context old",
    run: Some(|cx, a| delete(cx, a, "contexts", "context")),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "contexts")),
    ..Command::EMPTY
};

static DELETE_USER: Command = Command {
    name: "delete-user",
    short: "Delete the specified user from the kubeconfig",
    long: "Takes a user out of the kubeconfig.",
    usage: "delete-user NAME",
    example: "# One user\nkubectl config delete-user old",
    run: Some(|cx, a| delete(cx, a, "users", "user")),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "users")),
    ..Command::EMPTY
};

fn delete(cx: &mut Cx<'_>, a: &Args, list: &'static str, word: &str) -> Done {
    let [name] = a.words.as_slice() else {
        if word == "user" {
            return Err(a.usage("user to delete is required"));
        }
        let text = help::page(a.command, &a.path);
        cx.out(text);
        return Ok(());
    };
    let config = cx.config(a)?;
    let (path, mut v) = file_of(cx, &config, has_entry(list, name))?;
    if !has_entry(list, name)(&v) {
        return fail(format!("cannot delete {word} {name}, not in {path}"));
    }
    if list == "contexts" && v.get("current-context").text() == name {
        cx.err("warning: this removed your active context, use \"kubectl config use-context\" to select a different one\n");
    }
    v.slot(&[list]).list_mut().retain(|e| e.get("name").text() != name);
    save(cx, &path, &v)?;
    cx.out(format!("deleted {word} {name} from {path}\n"));
    Ok(())
}

static RENAME_CONTEXT: Command = Command {
    name: "rename-context",
    short: "Rename a context from the kubeconfig file",
    long: "Gives a context another name. The context in use stays in use.",
    usage: "rename-context CONTEXT_NAME NEW_NAME",
    example: "# One context\nkubectl config rename-context old new",
    run: Some(rename),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "contexts")),
    ..Command::EMPTY
};

fn rename(cx: &mut Cx<'_>, a: &Args) -> Done {
    let [old, new] = a.words.as_slice() else {
        return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" ")));
    };
    let config = cx.config(a)?;
    let (path, mut v) = file_of(cx, &config, has_entry("contexts", old))?;
    if !has_entry("contexts", old)(&v) {
        return fail(format!("cannot rename the context {}, it's not in {path}", api::gofmt::quote(old)));
    }
    if has_entry("contexts", new)(&config.value) {
        return fail(format!(
            "cannot rename the context {}, the context {} already exists in {path}",
            api::gofmt::quote(old),
            api::gofmt::quote(new)
        ));
    }
    for e in v.slot(&["contexts"]).list_mut() {
        if e.get("name").text() == old {
            e.insert("name", new.as_str());
        }
    }
    if v.get("current-context").text() == old {
        v.insert("current-context", new.as_str());
    }
    save(cx, &path, &v)?;
    cx.out(format!("Context {} renamed to {}.\n", api::gofmt::quote(old), api::gofmt::quote(new)));
    Ok(())
}

static USE_CONTEXT: Command = Command {
    name: "use-context",
    aliases: &["use"],
    short: "Set the current-context in a kubeconfig file",
    long: "Makes a context the one in use.",
    usage: "use-context CONTEXT_NAME",
    example: "# One context\nkubectl config use-context prod",
    run: Some(use_context),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "contexts")),
    ..Command::EMPTY
};

fn use_context(cx: &mut Cx<'_>, a: &Args) -> Done {
    let [name] = a.words.as_slice() else {
        return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" ")));
    };
    let config = cx.config(a)?;
    if !has_entry("contexts", name)(&config.value) {
        return fail(format!("no context exists with the name: {}", api::gofmt::quote(name)));
    }
    let (path, mut v) = file_of(cx, &config, |v| !v.get("current-context").text().is_empty())?;
    v.insert("current-context", name.as_str());
    save(cx, &path, &v)?;
    cx.out(format!("Switched to context {}.\n", api::gofmt::quote(name)));
    Ok(())
}

static SET: Command = Command {
    name: "set",
    short: "Set an individual value in a kubeconfig file",
    long: "Sets one value of the kubeconfig. PROPERTY_NAME is a path with dots between, each part a field or the name of an \
           entry; PROPERTY_VALUE is the value, base64 for binary fields unless --set-raw-bytes is given.",
    usage: "set PROPERTY_NAME PROPERTY_VALUE",
    example: "# The server of a cluster\nkubectl config set clusters.prod.server https://1.2.3.4",
    flags: &[&[switch("set-raw-bytes", "Take the value of a binary field as it is.")]],
    run: Some(set),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

/// The list, entry and field that a path means.
fn property(path: &str) -> Option<(&'static str, &str, &str)> {
    let (head, rest) = path.split_once('.')?;
    let list = LISTS.iter().find(|(l, _)| *l == head).map(|(l, _)| *l)?;
    let (name, field) = rest.rsplit_once('.')?;
    Some((list, name, field))
}

fn bad_property<T>(path: &str) -> Done<T> {
    fail(format!("unable to parse {path} after [] at api.Config"))
}

fn set(cx: &mut Cx<'_>, a: &Args) -> Done {
    use base64::Engine;
    let [path, value] = a.words.as_slice() else {
        return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" ")));
    };
    let config = cx.config(a)?;
    if path == "current-context" {
        let (file, mut v) = file_of(cx, &config, |v| !v.get("current-context").text().is_empty())?;
        v.insert("current-context", value.as_str());
        save(cx, &file, &v)?;
    } else {
        let Some((list, name, field)) = property(path) else { return bad_property(path) };
        let (file, mut v) = file_of(cx, &config, has_entry(list, name))?;
        let value = match field {
            "insecure-skip-tls-verify" => match crate::flags::parse_bool(value) {
                Some(b) => Value::Bool(b),
                None => return fail("error parsing a boolean: strconv.ParseBool: invalid syntax"),
            },
            f if f.ends_with("-data") && a.bool("set-raw-bytes") => {
                Value::from(base64::engine::general_purpose::STANDARD.encode(value))
            }
            _ => Value::str(value.as_str()),
        };
        kubeconfig::entry_mut(&mut v, list, name).insert(field, value);
        save(cx, &file, &v)?;
    }
    cx.out(format!("Property {} set.\n", api::gofmt::quote(path)));
    Ok(())
}

static UNSET: Command = Command {
    name: "unset",
    short: "Unset an individual value in a kubeconfig file",
    long: "Takes one value out of the kubeconfig. PROPERTY_NAME is a path with dots between.",
    usage: "unset PROPERTY_NAME",
    example: "# No context in use\nkubectl config unset current-context",
    run: Some(unset),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn unset(cx: &mut Cx<'_>, a: &Args) -> Done {
    let [path] = a.words.as_slice() else {
        return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" ")));
    };
    let config = cx.config(a)?;
    if path == "current-context" {
        let (file, mut v) = file_of(cx, &config, |v| !v.get("current-context").text().is_empty())?;
        v.insert("current-context", "");
        save(cx, &file, &v)?;
    } else if let Some((list, name)) =
        path.split_once('.').and_then(|(l, n)| LISTS.iter().find(|(x, _)| *x == l).map(|(x, _)| (*x, n)))
    {
        let whole = has_entry(list, name)(&config.value);
        let (name, field) = if whole {
            (name, None)
        } else {
            name.rsplit_once('.').map_or((name, None), |(n, f)| (n, Some(f)))
        };
        if !has_entry(list, name)(&config.value) {
            return fail(format!("current map key `{name}` is invalid"));
        }
        let (file, mut v) = file_of(cx, &config, has_entry(list, name))?;
        match field {
            Some(f) => {
                kubeconfig::entry_mut(&mut v, list, name).map_mut().remove(f);
            }
            None => v.slot(&[list]).list_mut().retain(|e| e.get("name").text() != name),
        }
        save(cx, &file, &v)?;
    } else {
        return bad_property(path);
    }
    cx.out(format!("Property {} unset.\n", api::gofmt::quote(path)));
    Ok(())
}

/// Flags of `-o name` and headings.
const LIST_FLAGS: &[crate::flags::Flag] = &[
    switch("no-headers", "Leave out the headings."),
    flag("output", Kind::Str, "''", "Output format. One of: (name).").short('o'),
];

/// Printing is shared with `view`.
fn unknown_format<T>(format: &str) -> Done<T> {
    let _ = print::FLAGS;
    fail(format!("output must be one of '' or 'name': {format}"))
}
