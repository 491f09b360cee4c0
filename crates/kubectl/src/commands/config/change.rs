//! `config set-cluster`, `set-context`, `set-credentials`.

use super::{fail, file_of, has_entry, misuse, save};
use crate::command::{Args, Command};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::kubeconfig::entry_mut;
use api::{Value, gofmt};
use base64::Engine;

pub(super) static SET_CLUSTER: Command = Command {
    name: "set-cluster",
    short: "Set a cluster entry in kubeconfig",
    long: "Makes or changes a cluster of the kubeconfig; what is not named stays as it was.",
    usage: "set-cluster NAME [--server=server] [--certificate-authority=path/to/certificate/authority] \
            [--insecure-skip-tls-verify=true] [--tls-server-name=example.com]",
    example: "# Where it is\nkubectl config set-cluster prod --server=https://1.2.3.4",
    flags: &[&[
        flag(
            "certificate-authority",
            Kind::Str,
            "''",
            "File with the certificates that the server's must be signed by",
        ),
        switch("embed-certs", "Keep the certificate itself instead of its file's path"),
        switch("insecure-skip-tls-verify", "Take the server's certificate unchecked"),
        flag("proxy-url", Kind::Str, "''", "Proxy on the way to the server"),
        flag("server", Kind::Str, "''", "Address of the server"),
        flag("tls-server-name", Kind::Str, "''", "Name that the server's certificate must bear"),
    ]],
    run: Some(set_cluster),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "clusters")),
    ..Command::EMPTY
};

/// Sets a field by a file, or by the file's content.
fn file_field(cx: &mut Cx<'_>, a: &Args, entry: &mut Value, flag: &str) -> Done {
    if !a.given(flag) {
        return Ok(());
    }
    let path = a.str(flag);
    let data = format!("{flag}-data");
    if a.bool("embed-certs") && !path.is_empty() {
        let bytes = cx
            .read_file(&path)?
            .map_err(|e| Error::Text(format!("could not read {flag} data from {path}: open {path}: {e}")))?;
        entry.insert(data, base64::engine::general_purpose::STANDARD.encode(bytes));
        entry.map_mut().remove(flag);
    } else {
        entry.insert(flag, path);
        entry.map_mut().remove(&data);
    }
    Ok(())
}

fn set_cluster(cx: &mut Cx<'_>, a: &Args) -> Done {
    let [name] = a.words.as_slice() else {
        return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" ")));
    };
    if a.bool("insecure-skip-tls-verify") && !a.str("certificate-authority").is_empty() {
        return fail("you cannot specify a certificate authority and insecure mode at the same time");
    }
    if a.bool("embed-certs") && a.str("certificate-authority").is_empty() {
        return fail("you must specify a --certificate-authority to embed");
    }
    let config = cx.config(a)?;
    let (path, mut v) = file_of(cx, &config, has_entry("clusters", name))?;
    let mut entry = core::mem::take(entry_mut(&mut v, "clusters", name));
    entry.map_mut();
    for f in ["server", "tls-server-name", "proxy-url"] {
        if a.given(f) {
            entry.insert(f, a.str(f));
            // A new server is not known by the old one's name.
            if f == "server" && !a.given("tls-server-name") {
                entry.map_mut().remove("tls-server-name");
            }
        }
    }
    if a.given("insecure-skip-tls-verify") {
        if a.bool("insecure-skip-tls-verify") {
            entry.insert("insecure-skip-tls-verify", true);
            entry.map_mut().remove("certificate-authority");
            entry.map_mut().remove("certificate-authority-data");
        } else {
            entry.map_mut().remove("insecure-skip-tls-verify");
        }
    } else if a.given("server") {
        entry.map_mut().remove("insecure-skip-tls-verify");
    }
    file_field(cx, a, &mut entry, "certificate-authority")?;
    *entry_mut(&mut v, "clusters", name) = entry;
    save(cx, &path, &v)?;
    cx.out(format!("Cluster {} set.\n", gofmt::quote(name)));
    Ok(())
}

pub(super) static SET_CONTEXT: Command = Command {
    name: "set-context",
    short: "Set a context entry in kubeconfig",
    long: "Makes or changes a context of the kubeconfig; what is not named stays as it was.",
    usage: "set-context [NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace]",
    example: "# Another namespace from now on\nkubectl config set-context --current --namespace=web",
    flags: &[&[
        flag("cluster", Kind::Str, "''", "Cluster of the context"),
        switch("current", "Change the context in use"),
        flag("namespace", Kind::Str, "''", "Namespace of the context").short('n'),
        flag("user", Kind::Str, "''", "User of the context"),
    ]],
    run: Some(set_context),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "contexts")),
    ..Command::EMPTY
};

fn set_context(cx: &mut Cx<'_>, a: &Args) -> Done {
    let mut bare = a.clone();
    bare.values = core::mem::take(&mut bare.values).without("cluster").without("user");
    let config = cx.config(&bare)?;
    let name = match a.words.as_slice() {
        [] if a.bool("current") => config.value.get("current-context").text().to_owned(),
        [name] if !a.bool("current") => name.clone(),
        [] => return fail("you must specify a non-empty context name or --current"),
        [_] => return fail("you cannot specify both a context name and --current"),
        _ => return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" "))),
    };
    if name.is_empty() {
        return fail("no current context is set");
    }
    let known = has_entry("contexts", &name)(&config.value);
    let (path, mut v) = file_of(cx, &config, has_entry("contexts", &name))?;
    let entry = entry_mut(&mut v, "contexts", &name);
    entry.map_mut();
    for f in ["cluster", "user", "namespace"] {
        if a.given(f) {
            entry.insert(f, a.str(f));
        }
    }
    for f in ["cluster", "user"] {
        if entry.get(f).is_null() {
            entry.insert(f, "");
        }
    }
    save(cx, &path, &v)?;
    let what = if known { "modified" } else { "created" };
    cx.out(format!("Context {} {what}.\n", gofmt::quote(&name)));
    Ok(())
}

pub(super) static SET_CREDENTIALS: Command = Command {
    name: "set-credentials",
    short: "Set a user entry in kubeconfig",
    long: "Makes or changes a user of the kubeconfig; what is not named stays as it was. A user has a client certificate, a \
           bearer token, a name and password, or a program that gives credentials.",
    usage: "set-credentials NAME [--client-certificate=path/to/certfile] [--client-key=path/to/keyfile] \
            [--token=bearer_token] [--username=basic_user] [--password=basic_password] [--auth-provider=provider_name] \
            [--auth-provider-arg=key=value] [--exec-command=exec_command] [--exec-api-version=exec_api_version] \
            [--exec-arg=arg] [--exec-env=key=value]",
    example: "# By certificate\nkubectl config set-credentials ann --client-certificate=ann.crt --client-key=ann.key\n\n# By \
              token\nkubectl config set-credentials robot --token=abc",
    flags: &[&[
        flag("auth-provider", Kind::Str, "''", "Provider of credentials"),
        flag("auth-provider-arg", Kind::Slice, "[]", "What the provider needs, key=value"),
        flag("client-certificate", Kind::Str, "''", "File with the client certificate"),
        flag("client-key", Kind::Str, "''", "File with the client key"),
        switch("embed-certs", "Keep certificate and key themselves instead of their files' paths"),
        flag("exec-api-version", Kind::Str, "''", "API version of the program that gives credentials"),
        flag("exec-arg", Kind::Slice, "[]", "Arguments of that program"),
        flag("exec-command", Kind::Str, "''", "Program that gives credentials"),
        flag("exec-env", Kind::Array, "[]", "Environment of that program, key=value"),
        flag(
            "exec-interactive-mode",
            Kind::Str,
            "''",
            "Whether that program may ask: Never, IfAvailable or Always",
        ),
        switch("exec-provide-cluster-info", "Tell that program about the cluster"),
        flag("password", Kind::Str, "''", "Password for basic authentication"),
        flag("token", Kind::Str, "''", "Bearer token"),
        flag("username", Kind::Str, "''", "User name for basic authentication"),
    ]],
    run: Some(set_credentials),
    complete: Some(|cx, a, p| complete::config_names(cx, a, p, "users")),
    ..Command::EMPTY
};

fn set_credentials(cx: &mut Cx<'_>, a: &Args) -> Done {
    let [name] = a.words.as_slice() else {
        return misuse(cx, a, format!("Unexpected args: [{}]", a.words.join(" ")));
    };
    let token = !a.str("token").is_empty();
    let basic = !a.str("username").is_empty() || !a.str("password").is_empty();
    if token && basic {
        return fail(
            "you cannot specify more than one authentication method at the same time: --token, --username/--password",
        );
    }
    if a.bool("embed-certs") && a.str("client-certificate").is_empty() && a.str("client-key").is_empty() {
        return fail("you must specify a --client-certificate or --client-key to embed");
    }
    let config = cx.config(a)?;
    let (path, mut v) = file_of(cx, &config, has_entry("users", name))?;
    let mut entry = core::mem::take(entry_mut(&mut v, "users", name));
    entry.map_mut();
    for f in ["token", "username", "password"] {
        if a.given(f) {
            entry.insert(f, a.str(f));
        }
    }
    if token {
        entry.map_mut().remove("username");
        entry.map_mut().remove("password");
    } else if basic {
        entry.map_mut().remove("token");
    }
    file_field(cx, a, &mut entry, "client-certificate")?;
    file_field(cx, a, &mut entry, "client-key")?;
    if a.given("exec-command") {
        let args: Value = a.list("exec-arg").iter().map(Value::from).collect();
        entry.set(&["exec", "command"], a.str("exec-command"));
        entry.set(&["exec", "apiVersion"], a.str("exec-api-version"));
        entry.set(&["exec", "args"], if !args.is_empty() { args } else { Value::Null });
        entry.set(&["exec", "env"], Value::Null);
        entry.set(&["exec", "provideClusterInfo"], a.bool("exec-provide-cluster-info"));
    }
    if a.given("auth-provider") {
        entry.set(&["auth-provider", "name"], a.str("auth-provider"));
        for p in a.list("auth-provider-arg") {
            if let Some((k, x)) = p.split_once('=') {
                entry.set(&["auth-provider", "config", k], x);
            }
        }
    }
    *entry_mut(&mut v, "users", name) = entry;
    save(cx, &path, &v)?;
    cx.out(format!("User {} set.\n", gofmt::quote(name)));
    Ok(())
}
