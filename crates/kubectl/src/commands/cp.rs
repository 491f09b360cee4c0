//! `kubectl cp`: files by way of `tar` in the container.

use super::stream::{container, pod_of, streaming};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done, FileKind, Packet};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::tar::{self, Entry};
use api::wire::Message;
use api::{Value, gofmt};

/// The command.
pub static COMMAND: Command = Command {
    name: "cp",
    group: Group::Troubleshooting,
    short: "Copy files and directories to and from containers",
    long: "Copies files and directories between this machine and a container. The container's image has to have tar.",
    usage: "cp <file-spec-src> <file-spec-dest>",
    example: "# Into a pod\nkubectl cp site web:/usr/share/nginx/html\n\n# Out of a pod of another namespace\nkubectl cp \
              prod/web:/etc/nginx/nginx.conf nginx.conf",
    flags: &[FLAGS],
    run: Some(run),
    complete: Some(crate::complete::copies),
    ..Command::EMPTY
};

const FLAGS: &[Flag] = &[
    flag(
        "container",
        Kind::Str,
        "''",
        "The container; without it the one the pod's annotation names, or the first.",
    )
    .short('c'),
    switch("no-preserve", "Leave owners and permissions to the container."),
    flag("retries", Kind::Int, "0", "How often to try again to copy out of a container."),
];

const DEPTH_MAX: usize = 64;

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// Where a file is.
struct Spec {
    namespace: String,
    pod: String,
    path: String,
}

fn spec(text: &str) -> Result<Spec, Error> {
    let local = || Spec { namespace: String::new(), pod: String::new(), path: text.to_owned() };
    let Some((place, path)) = text.split_once(':') else { return Ok(local()) };
    if text.starts_with(['/', '.']) {
        return Ok(local());
    }
    let canonical = || Error::text("filespec must match the canonical format: [[namespace/]pod:]file/path");
    let (namespace, pod) = match place.split('/').collect::<Vec<_>>().as_slice() {
        [""] => return Err(canonical()),
        [pod] => (String::new(), (*pod).to_owned()),
        [ns, pod] if !pod.is_empty() => ((*ns).to_owned(), (*pod).to_owned()),
        _ => return Err(canonical()),
    };
    Ok(Spec { namespace, pod, path: path.to_owned() })
}

fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

/// Both outputs of a command, and whether it succeeded.
type Answer = (Vec<u8>, Vec<u8>, Result<(), Error>);

/// Runs a command in the container: what it printed, and its exit code.
fn remote(
    cx: &mut Cx<'_>,
    api: &Api,
    pod: &Value,
    container: &str,
    argv: &[&str],
    input: Option<Vec<u8>>,
) -> Done<Answer> {
    let path = format!("/api/v1/namespaces/{}/pods/{}/exec", pod.namespace(), pod.name());
    let mut r = streaming(path, container, input.is_some(), false);
    for a in argv {
        r = r.with_query("command", *a);
    }
    let (handle, _) = api.stream(cx, r)?;
    if let Some(data) = input {
        for piece in data.chunks(32_768) {
            let _ = cx.send(handle, Message::Data(0, piece.into()))?;
        }
        let _ = cx.send(handle, Message::Close(0))?;
    }
    let (mut out, mut err, mut end) = (Vec::new(), Vec::new(), Ok(()));
    loop {
        match cx.recv(handle)? {
            Ok(Some(Packet::Message(Message::Data(1, d)))) => out.extend_from_slice(&d),
            Ok(Some(Packet::Message(Message::Data(2, d)))) => err.extend_from_slice(&d),
            Ok(Some(Packet::Message(Message::Status(s)))) => {
                if s.get("status").text() != "Success" {
                    let text = if s.get("reason").text() == "NonZeroExitCode" {
                        let causes = s.at(&["details", "causes"]);
                        let code = causes.items().find(|c| c.get("reason").text() == "ExitCode");
                        format!(
                            "command terminated with exit code {}",
                            code.map_or("1", |c| c.get("message").text())
                        )
                    } else {
                        s.get("message").text().to_owned()
                    };
                    end = Err(Error::Text(text));
                }
                break;
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
        if out.len() > sim::Limits::TABLE.file_bytes_max {
            end = Err(Error::text("the archive is too large"));
            break;
        }
    }
    cx.close(handle)?;
    Ok((out, err, end))
}

fn collect(cx: &mut Cx<'_>, path: &str, name: &str, out: &mut Vec<Entry>, depth: usize) -> Done {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    match cx.stat(path)? {
        Ok(FileKind::Dir) => {
            out.push(Entry { name: format!("{name}/"), mode: 0o755, data: Vec::new() });
            let names = cx.list_dir(path)?.map_err(Error::Text)?;
            for n in names.iter() {
                collect(
                    cx,
                    &format!("{}/{n}", path.trim_end_matches('/')),
                    &format!("{name}/{n}"),
                    out,
                    depth + 1,
                )?;
            }
        }
        Ok(FileKind::File) => {
            let data = cx.read_file(path)?.map_err(|e| Error::Text(format!("open {path}: {e}")))?;
            out.push(Entry { name: name.to_owned(), mode: 0o644, data: data.to_vec() });
        }
        Err(_) => return fail(format!("{path} doesn't exist in local filesystem")),
    }
    Ok(())
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let [from, to] = a.words.as_slice() else { return fail("source and destination are required") };
    let (from, to) = (spec(from)?, spec(to)?);
    if !from.pod.is_empty() && !to.pod.is_empty() {
        return fail("one of src or dest must be a local file specification");
    }
    if from.path.is_empty() || to.path.is_empty() {
        return fail("filepath can not be empty");
    }
    if from.pod.is_empty() && to.pod.is_empty() {
        return fail("one of src or dest must be a remote file specification");
    }
    let upload = from.pod.is_empty();
    if upload && cx.stat(&from.path)?.is_err() {
        return fail(format!("{} doesn't exist in local filesystem", from.path));
    }
    let place = if upload { &to } else { &from };
    let mut api = (*cx.api(a)?).clone();
    if !place.namespace.is_empty() {
        api.namespace.clone_from(&place.namespace);
    }
    let Some(pod) = pod_of(cx, a, &api, &place.pod, false)?.pop() else { return fail("no pod found") };
    let phase = pod.at(&["status", "phase"]).text();
    if matches!(phase, "Succeeded" | "Failed") {
        return fail(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let container = container(cx, a, &pod)?;
    if upload {
        let mut dest = to.path.trim_end_matches('/').to_owned();
        if dest.is_empty() {
            dest = "/".into();
        }
        // Into a directory that exists it goes under its own name.
        let (_, _, is_dir) = remote(cx, &api, &pod, &container, &["test", "-d", &dest], None)?;
        if is_dir.is_ok() {
            dest = format!("{}/{}", dest.trim_end_matches('/'), base(&from.path));
        }
        let (dir, name) = match dest.rsplit_once('/') {
            Some(("", n)) => ("/".to_owned(), n.to_owned()),
            Some((d, n)) => (d.to_owned(), n.to_owned()),
            None => (String::new(), dest.clone()),
        };
        let mut entries = Vec::new();
        collect(cx, &from.path, &name, &mut entries, 0)?;
        let mut argv = vec!["tar", if a.bool("no-preserve") { "--no-same-permissions" } else { "-xmf" }];
        if a.bool("no-preserve") {
            argv.extend(["--no-same-owner", "-xmf"]);
        }
        argv.push("-");
        if !dir.is_empty() {
            argv.extend(["-C", dir.as_str()]);
        }
        let (_, err, end) = remote(cx, &api, &pod, &container, &argv, Some(tar::pack(&entries)))?;
        cx.err_bytes(&err);
        return end.map_err(Into::into);
    }
    let (out, err, end) = remote(cx, &api, &pod, &container, &["tar", "cf", "-", &from.path], None)?;
    // What tar complains of there is printed here, and how it ended does not count once the archive has.
    cx.out_bytes(&err);
    if err.is_empty() {
        end?;
    }
    let entries = tar::unpack(&out).map_err(Error::text)?;
    let prefix = from.path.trim_start_matches('/').trim_end_matches('/').to_owned();
    let mut dest = to.path.trim_end_matches('/').to_owned();
    if dest.is_empty() {
        dest = "/".into();
    }
    if cx.stat(&to.path)? == Ok(FileKind::Dir) {
        dest = format!("{}/{}", dest.trim_end_matches('/'), base(&from.path));
    }
    for e in entries {
        let name = e.name.trim_start_matches('/').trim_start_matches("./");
        let inner = name.trim_end_matches('/').strip_prefix(prefix.trim_start_matches("./")).unwrap_or(name);
        let path =
            format!("{dest}{}{}", if inner.is_empty() || inner.starts_with('/') { "" } else { "/" }, inner);
        if inner.split('/').any(|p| p == "..") {
            cx.err(format!(
                "warning: file {} is outside target destination, skipping\n",
                gofmt::quote(&path)
            ));
            continue;
        }
        if e.name.ends_with('/') {
            cx.make_dir(&path)?.map_err(Error::Text)?;
            continue;
        }
        if let Some((dir, _)) = path.rsplit_once('/').filter(|(d, _)| !d.is_empty()) {
            cx.make_dir(dir)?.map_err(Error::Text)?;
        }
        cx.write_file(&path, &e.data, e.mode)?.map_err(|w| Error::Text(format!("open {path}: {w}")))?;
    }
    Ok(())
}
