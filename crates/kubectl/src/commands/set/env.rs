//! `kubectl set env`

use super::{FLAGS, NO_RESOURCE, each_container, fits, objects, pod_spec, split_pairs, update};
use crate::client::Api;
use crate::command::{Args, Command};
use crate::commands::common::FILES;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};
use crate::print;
use crate::resource::{Builder, each};
use api::{Value, names, obj};
use base64::Engine;
use std::sync::Arc;

const OWN: &[Flag] = &[
    flag("containers", Kind::Str, "'*'", "Names of the containers to change, may have wildcards").short('c'),
    flag("env", Kind::Array, "[]", "A variable to set, KEY=VAL.").short('e'),
    flag("from", Kind::Str, "''", "Config map or secret whose entries become variables"),
    flag("keys", Kind::Slice, "[]", "Entries to take with --from, with commas between; all unless given"),
    switch("list", "Show the variables and change nothing."),
    switch("overwrite", "Change variables that have another value.").on(),
    flag("prefix", Kind::Str, "''", "What to put before the names of variables of --from"),
    switch("resolve", "With --list, look up what comes from config maps and secrets."),
];

/// The command.
pub(super) static COMMAND: Command = Command {
    name: "env",
    short: "Update environment variables on a pod template",
    long: "Sets, shows and takes away environment variables of pods and pod templates, in all containers or some. KEY=VAL sets \
           one, KEY- takes it away, - reads them from standard input.\n\n Possible resources include (case insensitive):\n\n \
           pod (po), replicationcontroller (rc), deployment (deploy), daemonset (ds), statefulset (sts), cronjob (cj), \
           replicaset (rs)",
    usage: "env RESOURCE/NAME KEY_1=VAL_1 ... KEY_N=VAL_N",
    example: "# Set one\nkubectl set env deployment/web LEVEL=debug\n\n# Show all\nkubectl set env deployment/web --list\n\n# From \
              a config map\nkubectl set env deployment/web --from=configmap/web\n\n# Away with it\nkubectl set env \
              deployment/web LEVEL-",
    flags: &[FLAGS, OWN, FILES, print::FLAGS],
    run: Some(run),
    ..Command::EMPTY
};

#[derive(Default)]
struct Plan {
    set: Vec<Value>,
    remove: Vec<String>,
}

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

fn parse(plan: &mut Plan, words: &[String]) -> Result<(), Error> {
    for w in words {
        if let Some((k, v)) = w.split_once('=') {
            let m = names::env_name_strict(k);
            if !m.is_empty() {
                return Err(Error::Text(format!(
                    "{} is not a valid key name: {}",
                    api::gofmt::quote(k),
                    m.join("; ")
                )));
            }
            plan.set.retain(|e| e.get("name").text() != k);
            plan.set.push(obj!({"name": k, "value": v}));
        } else if let Some(k) = w.strip_suffix('-') {
            plan.remove.push(k.to_owned());
        } else {
            return Err(Error::Text(format!("unknown environment argument: {w}")));
        }
    }
    for k in &plan.remove {
        if plan.set.iter().any(|e| e.get("name").text() == k) {
            return Err(Error::text(
                "can not both modify and remove the same environment variable in the same command",
            ));
        }
    }
    Ok(())
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let (resources, mut pairs) = split_pairs(a, "environment variable", true)?;
    if resources.is_empty() && !Builder::new(a, &[]).has_files() {
        return fail(NO_RESOURCE);
    }
    pairs.extend(a.list("env").iter().cloned());
    let mut resources = resources;
    if resources.last().is_some_and(|r| r == "-") {
        resources.pop();
        let text = String::from_utf8_lossy(&cx.stdin()?).into_owned();
        pairs.extend(text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).map(str::to_owned));
    }
    let mut plan = Plan::default();
    parse(&mut plan, &pairs)?;
    if a.bool("list") && a.given("output") {
        return fail("--list and --output may not be specified together");
    }
    let from = a.str("from");
    if !a.list("keys").is_empty() && from.is_empty() {
        return fail("when specifying --keys, a configmap or secret must be provided with --from");
    }
    if !from.is_empty() {
        plan.set.extend(imported(cx, a, &from)?);
    }
    let infos = objects(cx, a, &resources)?;
    if a.bool("list") {
        return show(cx, a, infos);
    }
    let pattern = a.str("containers");
    let overwrite = a.bool("overwrite");
    update(cx, a, infos, "env updated", "failed to patch env update to pod template", |cx, i, v| {
        let Some(spec) = pod_spec(i, v) else { return Ok(()) };
        let mut conflict = None;
        let mut found = 0;
        for list in ["containers", "initContainers"] {
            found += each_container(spec, list, &pattern, |c| {
                if conflict.is_none() {
                    conflict = apply(c, &plan, overwrite).err();
                }
            });
        }
        if found == 0 {
            cx.err(format!(
                "Warning: {}/{} does not have any containers matching {}\n",
                i.res.kind,
                i.name,
                api::gofmt::quote(&pattern)
            ));
        }
        match conflict {
            Some(why) => fail(format!("{}/{} {why}", i.res.name, i.name)),
            None => Ok(()),
        }
    })
}

fn apply(c: &mut Value, plan: &Plan, overwrite: bool) -> Result<(), String> {
    let mut env: Vec<Value> = c.get("env").items().cloned().collect();
    for new in &plan.set {
        let name = new.get("name").text();
        match env.iter_mut().find(|e| e.get("name").text() == name) {
            Some(old) => {
                if !overwrite && old != new {
                    return Err(format!(
                        "'{name}' already has a value ({}), and --overwrite is false",
                        old.get("value").text()
                    ));
                }
                *old = new.clone();
            }
            None => env.push(new.clone()),
        }
    }
    env.retain(|e| !plan.remove.iter().any(|r| r == e.get("name").text()));
    if env.is_empty() {
        c.map_mut().remove("env");
    } else {
        c.insert("env", env);
    }
    Ok(())
}

/// Variables of a config map's or secret's entries.
fn imported(cx: &mut Cx<'_>, a: &Args, from: &str) -> Done<Vec<Value>> {
    let api = cx.api(a)?;
    let mut bare = a.clone();
    bare.values = core::mem::take(&mut bare.values).without("all").without("selector").without("filename");
    let words: Vec<String> = vec![from.to_owned()];
    let mut infos = Builder::new(&bare, &words).infos(cx, &api)?;
    let Some(i) = infos.pop() else { return fail("unsupported resource specified in --from") };
    let i = i?;
    let reference = match i.res.kind.as_str() {
        "ConfigMap" => "configMapKeyRef",
        "Secret" => "secretKeyRef",
        _ => return fail("unsupported resource specified in --from"),
    };
    let (prefix, keys) = (a.str("prefix"), a.list("keys"));
    let mut out = Vec::new();
    for (key, _) in i.object.get("data").entries() {
        if !keys.is_empty() && !keys.iter().any(|k| k == key.as_str()) {
            continue;
        }
        let name: String = key
            .to_uppercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
            .collect();
        if name != key.as_str() {
            cx.err(format!("Warning: key {key} transferred to {name}\n"));
        }
        let mut source = Value::map();
        source.set(&[reference], obj!({"key": key.as_str(), "name": i.name.as_str()}));
        out.push(obj!({"name": format!("{prefix}{name}"), "valueFrom": source}));
    }
    Ok(out)
}

fn show(cx: &mut Cx<'_>, a: &Args, infos: Vec<Result<crate::resource::Info, Error>>) -> Done {
    let pattern = a.str("containers");
    let api: Option<Arc<Api>> = if a.bool("resolve") { Some(cx.api(a)?) } else { None };
    each(cx, infos, |cx, i| {
        let mut v = i.object.clone();
        let Some(spec) = pod_spec(&i, &mut v) else { return Ok(()) };
        let spec = spec.clone();
        for list in ["containers", "initContainers"] {
            for c in spec.get(list).items().filter(|c| fits(c.get("name").text(), &pattern)) {
                cx.out(format!("# {} {}, container {}\n", i.res.kind, i.name, c.get("name").text()));
                for e in c.get("env").items() {
                    let line = line(cx, api.as_deref(), &i.namespace, e)?;
                    cx.out(line);
                }
            }
        }
        Ok(())
    })
}

fn line(cx: &mut Cx<'_>, api: Option<&Api>, ns: &str, e: &Value) -> Done<String> {
    let name = e.get("name").text();
    let from = e.get("valueFrom");
    if from.is_null() {
        return Ok(format!("{name}={}\n", e.get("value").text()));
    }
    for (reference, plural, word) in
        [("configMapKeyRef", "configmaps", "configmap"), ("secretKeyRef", "secrets", "secret")]
    {
        let r = from.get(reference);
        if r.is_null() {
            continue;
        }
        let (object, key) = (r.get("name").text(), r.get("key").text());
        if let Some(api) = api {
            let v = api.get(cx, &format!("/api/v1/namespaces/{ns}/{plural}/{object}"));
            return Ok(match cx.catch(v)? {
                Ok(v) => {
                    let text = v.get("data").get(key).text();
                    let text = if word == "secret" {
                        let b = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
                        String::from_utf8_lossy(&b).into_owned()
                    } else {
                        text.to_owned()
                    };
                    format!("{name}={text}\n")
                }
                Err(err) => format!("error retrieving reference for {name}: {}\n", err.message()),
            });
        }
        return Ok(format!("# {name} from {word} {object}, key {key}\n"));
    }
    let field = from.get("fieldRef");
    if field.is_some() {
        return Ok(format!("# {name} from field path {}\n", field.get("fieldPath").text()));
    }
    let r = from.get("resourceFieldRef");
    Ok(format!(
        "# {name} from {} {}\n",
        if r.get("containerName").text().is_empty() { "resource" } else { r.get("containerName").text() },
        r.get("resource").text()
    ))
}
