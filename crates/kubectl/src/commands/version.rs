//! `kubectl version`

use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::{VERSION, print};
use api::{Value, obj, yaml};

/// The command.
pub static COMMAND: Command = Command {
    name: "version",
    group: Group::Other,
    short: "Print the client and server version information",
    long: "Prints the versions of this client and, in the context in use, of the server.",
    usage: "version [flags]",
    example: "# Both\nkubectl version",
    flags: &[&[
        switch("client", "Only this client's version; no server is needed."),
        flag("output", Kind::Str, "''", "One of 'yaml' or 'json'.").short('o'),
    ]],
    run: Some(run),
    ..Command::EMPTY
};

const KUSTOMIZE: &str = "v5.8.1";
const ORDER: [&str; 13] = [
    "major",
    "minor",
    "emulationMajor",
    "emulationMinor",
    "minCompatibilityMajor",
    "minCompatibilityMinor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
];

fn client() -> Value {
    obj!({
        "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "98b35193b2ac7a23a673325f5e9b830ecd5ba406",
        "gitTreeState": "clean", "buildDate": "2026-07-23T00:00:00Z", "goVersion": "go1.26.3", "compiler": "gc",
        "platform": "linux/amd64"
    })
}

/// A flat object as JSON, its keys in a given order.
pub fn raw_json(v: &Value, order: &[&str]) -> String {
    let known = order.iter().filter(|k| v.get(k).is_some());
    let rows: Vec<String> = known.map(|k| format!("\"{k}\":{}", v.get(k).to_json())).collect();
    format!("{{{}}}", rows.join(","))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return Err(Error::Text(format!("extra arguments: [{}]", a.words.join(" "))).into());
    }
    let format = a.str("output");
    if !matches!(format.as_str(), "" | "yaml" | "json") {
        return Err(Error::text("--output must be 'yaml' or 'json'").into());
    }
    let mut server = Value::Null;
    let mut trouble = None;
    if !a.bool("client") {
        let api = cx.api(a)?;
        let v = api.get(cx, "/version");
        match cx.catch(v)? {
            Ok(v) => server = v,
            Err(e) => trouble = Some(e),
        }
    }
    match format.as_str() {
        "" => {
            cx.out(format!("Client Version: {VERSION}\nKustomize Version: {KUSTOMIZE}\n"));
            if server.is_some() {
                cx.out(format!("Server Version: {}\n", server.get("gitVersion").text()));
            }
        }
        "yaml" => {
            let mut v = obj!({"clientVersion": client(), "kustomizeVersion": KUSTOMIZE});
            if server.is_some() {
                v.insert("serverVersion", server);
            }
            cx.out(yaml::emit(&v) + "\n");
        }
        _ => {
            let compact = |v: &Value| {
                let rows: Vec<String> = ORDER
                    .iter()
                    .filter(|k| v.get(k).is_some())
                    .map(|k| format!("\"{k}\":{}", v.get(k).to_json()))
                    .collect();
                format!("{{{}}}", rows.join(","))
            };
            let mut text =
                format!("{{\"clientVersion\":{},\"kustomizeVersion\":\"{KUSTOMIZE}\"", compact(&client()));
            if server.is_some() {
                text += &format!(",\"serverVersion\":{}", compact(&server));
            }
            cx.out(print::reindent(&(text + "}"), 2) + "\n");
        }
    }
    match trouble {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}
