//! `create configmap` and `create secret`.

use super::{FLAGS, Told, fail, generated, name, q};
use crate::command::{Args, Command};
use crate::cx::{Cx, Done, FileKind};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::{hash, print, x509};
use api::{Value, names, obj};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const SOURCES: &[Flag] = &[
    switch("append-hash", "Add a hash of the content to the name."),
    flag("from-env-file", Kind::Slice, "[]", "File with lines key=val, each of which becomes an entry."),
    flag(
        "from-file",
        Kind::Slice,
        "[]",
        "File whose name is the key and whose content the value, or key=file; a directory stands for each file in it.",
    ),
    flag("from-literal", Kind::Array, "[]", "An entry as mykey=somevalue"),
];

pub(super) static CONFIG_MAP: Command = Command {
    name: "configmap",
    aliases: &["cm"],
    short: "Create a config map from a local file, directory or literal value",
    long: "Creates a config map from files, directories or literal values. A file's key is its name, or what stands before \
           '='; of a directory every file whose name is a valid key is taken, others are left out.",
    usage: "configmap NAME [--from-file=[key=]source] [--from-literal=key1=value1] [--dry-run=server|client|none]",
    example: "# Every file of a directory\nkubectl create configmap web --from-file=./conf\n\n# Chosen keys\nkubectl create \
              configmap web --from-file=app.conf=./prod.conf --from-literal=level=debug",
    flags: &[FLAGS, SOURCES, print::FLAGS],
    run: Some(config_map),
    ..Command::EMPTY
};

pub(super) static SECRET: Command = Command {
    name: "secret",
    short: "Create a secret using a specified subcommand",
    long: "Creates a secret of one of three types: docker-registry for pulling images, generic for anything, tls for a \
           certificate with its key.",
    usage: "secret (docker-registry | generic | tls)",
    subs: &[&DOCKER, &GENERIC, &TLS],
    ..Command::EMPTY
};

static GENERIC: Command = Command {
    name: "generic",
    short: "Create a secret from a local file, directory, or literal value",
    long: "Creates a secret from files, directories or literal values, with keys as for config maps.",
    usage: "generic NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1] \
            [--dry-run=server|client|none]",
    example: "# Two entries\nkubectl create secret generic db --from-literal=user=app --from-literal=password=s3cret",
    flags: &[FLAGS, SOURCES, &[flag("type", Kind::Str, "''", "Type of the secret")], print::FLAGS],
    run: Some(generic),
    ..Command::EMPTY
};

static TLS: Command = Command {
    name: "tls",
    short: "Create a TLS secret",
    long: "Creates a secret of a certificate and its key, both PEM, which must belong together.",
    usage: "tls NAME --cert=path/to/cert/file --key=path/to/key/file [--dry-run=server|client|none]",
    example: "# Of two files\nkubectl create secret tls web --cert=tls.crt --key=tls.key",
    flags: &[
        FLAGS,
        &[
            SOURCES[0],
            flag("cert", Kind::Str, "''", "File with the certificate, PEM."),
            flag("key", Kind::Str, "''", "File with the certificate's private key."),
        ],
        print::FLAGS,
    ],
    run: Some(tls),
    ..Command::EMPTY
};

static DOCKER: Command = Command {
    name: "docker-registry",
    short: "Create a secret for use with a Docker registry",
    long: "Creates a secret with which nodes pull images from a registry.",
    usage: "docker-registry NAME --docker-username=user --docker-password=password --docker-email=email \
            [--docker-server=string] [--from-file=[key=]source] [--dry-run=server|client|none]",
    example: "# Of one registry\nkubectl create secret docker-registry hub --docker-username=me --docker-password=s3cret",
    flags: &[
        FLAGS,
        &[
            SOURCES[0],
            SOURCES[2],
            flag("docker-email", Kind::Str, "''", "Email for the registry"),
            flag("docker-password", Kind::Str, "''", "Password for the registry"),
            flag("docker-server", Kind::Str, "'https://index.docker.io/v1/'", "Address of the registry"),
            flag("docker-username", Kind::Str, "''", "User name for the registry"),
        ],
        print::FLAGS,
    ],
    run: Some(docker),
    ..Command::EMPTY
};

/// Entries in order: key and content.
type Entries = Vec<(String, Vec<u8>)>;

fn add(out: &mut Entries, key: &str, data: Vec<u8>, owner: &str) -> Result<(), Error> {
    let m = names::config_key(key);
    let (kind, _) = owner.split_once(' ').unwrap_or((owner, ""));
    if !m.is_empty() {
        return Err(Error::Text(format!("{} is not a valid key name for a {kind}: {}", q(key), m.join(","))));
    }
    if out.iter().any(|(k, _)| k == key) {
        return Err(Error::Text(format!(
            "cannot add key {}, another key by that name already exists in Data for {owner}",
            q(key)
        )));
    }
    out.push((key.to_owned(), data));
    Ok(())
}

fn entries(cx: &mut Cx<'_>, a: &Args, owner: &str) -> Done<Entries> {
    let (files, literals, env) = (a.list("from-file"), a.list("from-literal"), a.list("from-env-file"));
    if !env.is_empty() && (!files.is_empty() || !literals.is_empty()) {
        return fail("from-env-file cannot be combined with from-file or from-literal");
    }
    let mut out = Entries::new();
    for f in files {
        from_file(cx, f, owner, &mut out)?;
    }
    for l in literals {
        match l.split_once('=') {
            Some((k, v)) if !k.is_empty() => {
                add(&mut out, k, v.trim_matches(['"', '\'']).as_bytes().to_vec(), owner)?;
            }
            _ => return fail(format!("invalid literal source {l}, expected key=value")),
        }
    }
    for e in env {
        from_env(cx, e, owner, &mut out)?;
    }
    Ok(out)
}

fn from_file(cx: &mut Cx<'_>, source: &str, owner: &str, out: &mut Entries) -> Done {
    let (key, path) = match source.matches('=').count() {
        0 => (source.trim_end_matches('/').rsplit('/').next().unwrap_or(source), source),
        1 if source.starts_with('=') => {
            return fail(format!("key name for file path {} missing", &source[1..]));
        }
        1 if source.ends_with('=') => {
            return fail(format!("file path for key name {} missing", &source[..source.len() - 1]));
        }
        1 => source.split_once('=').unwrap_or((source, source)),
        _ => return fail("key names or file paths cannot contain '='"),
    };
    match cx.stat(path)? {
        Err(e) => fail(format!("error reading {path}: {e}")),
        Ok(FileKind::Dir) => {
            if source.contains('=') {
                return fail("cannot give a key name for a directory path");
            }
            let list =
                cx.list_dir(path)?.map_err(|e| Error::Text(format!("error listing files in {path}: {e}")))?;
            for n in list.iter() {
                let file = format!("{}/{n}", path.trim_end_matches('/'));
                if cx.stat(&file)? == Ok(FileKind::File)
                    && let Ok(data) = cx.read_file(&file)?
                {
                    add(out, n, data.to_vec(), owner)?;
                }
            }
            Ok(())
        }
        Ok(FileKind::File) => {
            let data = cx.read_file(path)?.map_err(|e| Error::Text(format!("error reading {path}: {e}")))?;
            Ok(add(out, key, data.to_vec(), owner)?)
        }
    }
}

fn from_env(cx: &mut Cx<'_>, path: &str, owner: &str, out: &mut Entries) -> Done {
    match cx.stat(path)? {
        Err(e) => return fail(format!("error reading {path}: {e}")),
        Ok(FileKind::Dir) => return fail("env secret file cannot be a directory"),
        Ok(FileKind::File) => {}
    }
    let data = cx.read_file(path)?.map_err(|e| Error::Text(format!("error reading {path}: {e}")))?;
    let text = String::from_utf8_lossy(&data).into_owned();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(k, v)| (k, Some(v)));
        let m = names::env_name_strict(key);
        if !m.is_empty() {
            return fail(format!("{} is not a valid key name: {}", q(key), m.join(";")));
        }
        let value = match value {
            Some(v) => v.to_owned(),
            None => cx.var(key)?.unwrap_or_default().to_string(),
        };
        add(out, key, value.into_bytes(), owner)?;
    }
    Ok(())
}

fn config_map(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let entries = entries(cx, a, &format!("ConfigMap {}", q(&name)))?;
    let mut v = obj!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name.as_str()}});
    for (k, data) in entries {
        match String::from_utf8(data) {
            Ok(s) => v.set(&["data", &k], s),
            Err(e) => v.set(&["binaryData", &k], STANDARD.encode(e.as_bytes())),
        }
    }
    if a.bool("append-hash") {
        v.set(&["metadata", "name"], format!("{name}-{}", hash::content(&v)));
    }
    generated(cx, a, "", "configmaps", v, Told::Behind("failed to create configmap: "))
}

fn secret(name: &str, ty: &str, entries: Entries, a: &Args) -> Value {
    let mut v = obj!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    if !ty.is_empty() {
        v.insert("type", ty);
    }
    for (k, data) in entries {
        v.set(&["data", &k], STANDARD.encode(data));
    }
    if a.bool("append-hash") {
        v.set(&["metadata", "name"], format!("{name}-{}", hash::content(&v)));
    }
    v
}

fn generic(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let entries = entries(cx, a, &format!("Secret {}", q(&name)))?;
    let v = secret(&name, &a.str("type"), entries, a);
    generated(cx, a, "", "secrets", v, Told::Behind("failed to create secret "))
}

fn tls(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let (cert, key) = (a.str("cert"), a.str("key"));
    if cert.is_empty() || key.is_empty() {
        return fail("key and cert must be specified");
    }
    let mut read = |path: &str| -> Done<Vec<u8>> {
        match cx.read_file(path)? {
            Ok(d) => Ok(d.to_vec()),
            Err(e) => fail(format!("Cannot read file {path}, open {path}: {e}")),
        }
    };
    let (cert, key) = (read(&cert)?, read(&key)?);
    x509::check_pair(&String::from_utf8_lossy(&cert), &String::from_utf8_lossy(&key))?;
    let v = secret(&name, "kubernetes.io/tls", vec![("tls.crt".into(), cert), ("tls.key".into(), key)], a);
    generated(cx, a, "", "secrets", v, Told::Behind("failed to create secret "))
}

fn docker(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let files = a.list("from-file");
    let (user, password, server) =
        (a.str("docker-username"), a.str("docker-password"), a.str("docker-server"));
    let mut entries = Entries::new();
    if files.is_empty() {
        if user.is_empty() || password.is_empty() || server.is_empty() {
            return fail(
                "either --from-file or the combination of --docker-username, --docker-password and --docker-server is \
                 required",
            );
        }
        let email = a.str("docker-email");
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let quoted = |s: &str| Value::str(s).to_json();
        let email = if email.is_empty() { String::new() } else { format!(",\"email\":{}", quoted(&email)) };
        let text = format!(
            "{{\"auths\":{{{}:{{\"username\":{},\"password\":{}{email},\"auth\":{}}}}}}}",
            quoted(&server),
            quoted(&user),
            quoted(&password),
            quoted(&auth)
        );
        entries.push((".dockerconfigjson".into(), text.into_bytes()));
    } else {
        for f in files {
            from_file(cx, f, &format!("Secret {}", q(&name)), &mut entries)?;
        }
    }
    let v = secret(&name, "kubernetes.io/dockerconfigjson", entries, a);
    generated(cx, a, "", "secrets", v, Told::Behind("failed to create secret "))
}
