//! `config view`, `current-context` and the `get-…` commands.

use super::{LIST_FLAGS, fail, misuse, unknown_format};
use crate::command::{Args, Command};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::kubeconfig::LISTS;
use crate::print::{self, Printer};
use crate::tabwriter::TabWriter;
use crate::{complete, kubeconfig};
use api::{Value, obj};

pub(super) static CURRENT_CONTEXT: Command = Command {
    name: "current-context",
    short: "Display the current-context",
    long: "Shows the context in use.",
    usage: "current-context [flags]",
    example: "# Which is it?\nkubectl config current-context",
    run: Some(current),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn current(cx: &mut Cx<'_>, a: &Args) -> Done {
    let config = match cx.config(a) {
        Ok(c) => c,
        Err(crate::cx::Stop::Fail(e)) if e.message().starts_with("stat ") => {
            return fail("current-context is not set");
        }
        Err(e) => return Err(e),
    };
    match config.value.get("current-context").text() {
        "" => fail("current-context is not set"),
        name => {
            cx.out(format!("{name}\n"));
            Ok(())
        }
    }
}

pub(super) static GET_CONTEXTS: Command = Command {
    name: "get-contexts",
    short: "Describe one or many contexts",
    long: "Shows one or all contexts of the kubeconfig.",
    usage: "get-contexts [(-o|--output=)name)]",
    example: "# All\nkubectl config get-contexts\n\n# One\nkubectl config get-contexts prod",
    flags: &[LIST_FLAGS],
    run: Some(contexts),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "contexts")),
    ..Command::EMPTY
};

fn contexts(cx: &mut Cx<'_>, a: &Args) -> Done {
    let format = a.str("output");
    if !matches!(format.as_str(), "" | "name") {
        return unknown_format(&format);
    }
    // A file that is not there has no contexts.
    let config = cx.config(a);
    let config = cx.catch(config)?.unwrap_or_default();
    let all: Vec<String> =
        config.value.get("contexts").items().map(|e| e.get("name").text().to_owned()).collect();
    let wanted = if a.words.is_empty() { all } else { a.words.clone() };
    let names = format == "name";
    let mut w = TabWriter::table();
    if !names && !a.bool("no-headers") {
        w.write("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
    }
    let mut errors = Vec::new();
    let in_use = config.value.get("current-context").text().to_owned();
    for n in wanted {
        let known = config.value.get("contexts").items().any(|e| e.get("name").text() == n);
        if !known {
            errors.push(Error::Text(format!("context {n} not found")));
            continue;
        }
        let c = config.entry("contexts", &n);
        if names {
            w.write(&format!("{n}\n"));
            continue;
        }
        let mark = if n == in_use { "*" } else { "" };
        let t = |k: &str| c.get(k).text();
        w.write(&format!("{mark}\t{n}\t{}\t{}\t{}\n", t("cluster"), t("user"), t("namespace")));
    }
    cx.out(w.finish());
    match Error::many(errors) {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}

pub(super) static GET_CLUSTERS: Command = Command {
    name: "get-clusters",
    short: "Display clusters defined in the kubeconfig",
    long: "Shows the clusters of the kubeconfig.",
    usage: "get-clusters [flags]",
    example: "# All\nkubectl config get-clusters",
    run: Some(|cx, a| names(cx, a, "clusters")),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

pub(super) static GET_USERS: Command = Command {
    name: "get-users",
    short: "Display users defined in the kubeconfig",
    long: "Shows the users of the kubeconfig.",
    usage: "get-users [flags]",
    example: "# All\nkubectl config get-users",
    run: Some(|cx, a| names(cx, a, "users")),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn names(cx: &mut Cx<'_>, a: &Args, list: &str) -> Done {
    let config = cx.config(a)?;
    cx.out("NAME\n");
    for e in config.value.get(list).items() {
        cx.out(format!("{}\n", e.get("name").text()));
    }
    Ok(())
}

pub(super) static VIEW: Command = Command {
    name: "view",
    short: "Display merged kubeconfig settings or a specified kubeconfig file",
    long: "Shows the kubeconfig in use, all its files merged, or one file. With --output jsonpath={...} a part of it.",
    usage: "view [flags]",
    example: "# All of it\nkubectl config view\n\n# With secrets\nkubectl config view --raw\n\n# One password\nkubectl config view \
              -o jsonpath='{.users[?(@.name == \"e2e\")].user.password}'",
    flags: &[
        &[
            switch("flatten", "Put the content of files into the configuration, so that it stands alone"),
            switch("merge", "Show all files merged").on(),
            switch("minify", "Leave out what the context in use does not need"),
            switch("raw", "Show certificates and secrets too"),
            flag(
                "output",
                Kind::Str,
                "'yaml'",
                "Output format. One of: (json, yaml, kyaml, name, go-template, \
                  go-template-file, template, templatefile, jsonpath, jsonpath-as-json, jsonpath-file).",
            )
            .short('o'),
        ],
        print::FLAGS,
    ],
    run: Some(view),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

/// Sorted lists, no empty preferences, null for no entries: as kubectl writes it.
pub(super) fn tidy(v: &Value) -> Value {
    let mut out = obj!({
        "apiVersion": "v1", "kind": "Config", "current-context": v.get("current-context").text()
    });
    for (list, key) in LISTS {
        let mut items: Vec<Value> = v
            .get(list)
            .items()
            .map(|e| {
                let mut x = obj!({"name": e.get("name").text()});
                let content = if e.get(key).is_null() { Value::map() } else { e.get(key).clone() };
                x.insert(key, content);
                x
            })
            .collect();
        items.sort_by(|a, b| a.get("name").text().cmp(b.get("name").text()));
        out.insert(list, if items.is_empty() { Value::Null } else { Value::from(items) });
    }
    if !v.get("preferences").is_empty() {
        out.insert("preferences", v.get("preferences"));
    }
    out
}

fn redact(v: &mut Value) {
    for list in ["clusters", "users"] {
        if v.get(list).is_empty() {
            continue;
        }
        for e in v.slot(&[list]).list_mut() {
            let key = if list == "clusters" { "cluster" } else { "user" };
            let content = e.slot(&[key]);
            for field in ["certificate-authority-data", "client-certificate-data", "client-key-data"] {
                if content.get(field).is_some() {
                    content.insert(field, "DATA+OMITTED");
                }
            }
            for field in ["token", "password"] {
                if content.get(field).is_some() {
                    content.insert(field, "REDACTED");
                }
            }
        }
    }
}

fn minify(v: &Value, context: &str) -> Done<Value> {
    let c = kubeconfig::entry(v, "contexts", context);
    if context.is_empty() || c.is_null() {
        return fail("current-context must exist in order to minify");
    }
    let mut out = v.clone();
    for (list, name) in
        [("contexts", context), ("clusters", c.get("cluster").text()), ("users", c.get("user").text())]
    {
        out.slot(&[list]).list_mut().retain(|e| e.get("name").text() == name);
    }
    out.insert("current-context", context);
    Ok(out)
}

fn view(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return misuse(cx, a, format!("unexpected arguments: [{}]", a.words.join(" ")));
    }
    let mut printer = match print::requested(cx, a, false)? {
        Some(p) => p,
        None => Printer::Yaml(0),
    };
    let loaded = match cx.config(a) {
        Ok(c) => c.value.clone(),
        // A file that is not there reads as an empty one.
        Err(crate::cx::Stop::Fail(e)) if e.message().starts_with("stat ") => kubeconfig::empty(),
        Err(e) => return Err(e),
    };
    let mut v = loaded;
    if a.bool("minify") {
        let context = match a.str("context") {
            c if c.is_empty() => v.get("current-context").text().to_owned(),
            c => c,
        };
        v = minify(&v, &context)?;
    }
    if a.bool("flatten") {
        flatten(cx, &mut v)?;
    }
    let mut v = tidy(&v);
    if !a.bool("raw") && !a.bool("flatten") {
        redact(&mut v);
    }
    match printer {
        Printer::Json => {
            let text = ordered(&v);
            cx.out(print::reindent(&text, 4) + "\n");
            Ok(())
        }
        ref mut p => p.print(cx, &v, true),
    }
}

/// JSON in the order of the Go structs.
fn ordered(v: &Value) -> String {
    const CLUSTER: [&str; 5] = [
        "server",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority",
        "certificate-authority-data",
    ];
    const USER: [&str; 12] = [
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "as",
        "as-groups",
        "username",
        "password",
        "auth-provider",
        "exec",
    ];
    const CONTEXT: [&str; 3] = ["cluster", "user", "namespace"];
    let object = |x: &Value, order: &[&str]| {
        let mut rows: Vec<String> = order
            .iter()
            .filter(|k| x.get(k).is_some())
            .map(|k| format!("\"{k}\":{}", x.get(k).to_json()))
            .collect();
        rows.extend(
            x.entries()
                .filter(|(k, _)| !order.contains(&k.as_str()))
                .map(|(k, y)| format!("{}:{}", Value::str(k.as_str()).to_json(), y.to_json())),
        );
        format!("{{{}}}", rows.join(","))
    };
    let list = |name: &str, key: &str, order: &[&str]| {
        if v.get(name).is_null() {
            return format!("\"{name}\":null");
        }
        let rows: Vec<String> = v
            .get(name)
            .items()
            .map(|e| {
                format!("{{\"name\":{},\"{key}\":{}}}", e.get("name").to_json(), object(e.get(key), order))
            })
            .collect();
        format!("\"{name}\":[{}]", rows.join(","))
    };
    format!(
        "{{\"kind\":\"Config\",\"apiVersion\":\"v1\",{},{},{},\"current-context\":{}}}",
        list("clusters", "cluster", &CLUSTER),
        list("users", "user", &USER),
        list("contexts", "context", &CONTEXT),
        v.get("current-context").to_json()
    )
}

fn flatten(cx: &mut Cx<'_>, v: &mut Value) -> Done {
    use base64::Engine;
    for (list, key, fields) in [
        ("clusters", "cluster", &["certificate-authority"][..]),
        ("users", "user", &["client-certificate", "client-key"][..]),
    ] {
        let mut items: Vec<Value> = v.get(list).items().cloned().collect();
        for e in &mut items {
            for f in fields {
                let path = e.get(key).get(f).text().to_owned();
                if path.is_empty() {
                    continue;
                }
                let data = cx.read_file(&path)?.map_err(|x| Error::Text(format!("open {path}: {x}")))?;
                let content = e.slot(&[key]);
                content.map_mut().remove(f);
                content.insert(format!("{f}-data"), base64::engine::general_purpose::STANDARD.encode(data));
            }
        }
        v.insert(list, items);
    }
    Ok(())
}
