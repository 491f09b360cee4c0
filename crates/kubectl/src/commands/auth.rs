//! `kubectl auth`

use super::common::{ALL_NAMESPACES, FILES};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Stop};
use crate::describe::rbac;
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::print::{self, DRY_RUN, DryRun, dry_run};
use crate::resource::{Builder, Info, each};
use crate::tabwriter::TabWriter;
use api::wire::{Body, Method, Request};
use api::{Value, gofmt, obj};

/// The command.
pub static COMMAND: Command = Command {
    name: "auth",
    group: Group::Troubleshooting,
    short: "Inspect authorization",
    long: "Shows who one is to the server and what one may do.",
    usage: "auth [flags]",
    subs: &[&CAN_I, &RECONCILE, &WHO_AM_I],
    ..Command::EMPTY
};

static CAN_I: Command = Command {
    name: "can-i",
    short: "Check whether an action is allowed",
    long: "Asks the server whether an action is allowed.\n\n VERB is a verb of the API such as 'get' or 'list', TYPE a resource, \
           NONRESOURCEURL a path that begins with \"/\", NAME the name of one object.",
    usage: "can-i VERB [TYPE | TYPE/NAME | NONRESOURCEURL]",
    example: "# Pods anywhere\nkubectl auth can-i create pods --all-namespaces\n\n# As a service account\nkubectl auth can-i list \
              pods --as=system:serviceaccount:web:default\n\n# All that is allowed\nkubectl auth can-i --list",
    flags: &[&[
        ALL_NAMESPACES,
        switch("list", "Show all that is allowed."),
        switch("no-headers", "With --list, leave out the headings."),
        switch("quiet", "Print nothing, only end with the code.").short('q'),
        flag("subresource", Kind::Str, "''", "Subresource, such as pod/log or deployment/scale"),
    ]],
    run: Some(can_i),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

fn review(cx: &mut Cx<'_>, api: &Api, kind: &str, plural: &str, group: &str, spec: Value) -> Done<Value> {
    let mut v = obj!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {}});
    if spec.is_some() {
        v.insert("spec", spec);
    }
    let r = Request::new(Method::Post, format!("/apis/{group}/v1/{plural}"))
        .with_header("content-type", "application/json")
        .with_body(Body::Object(v));
    api.call(cx, r)
}

fn can_i(cx: &mut Cx<'_>, a: &Args) -> Done {
    let api = cx.api(a)?;
    if a.bool("list") {
        if !a.words.is_empty() {
            return fail("list option must be specified with no arguments");
        }
        if a.bool("all-namespaces") {
            return fail("--list and --all-namespaces cannot be used together");
        }
        return list(cx, a, &api);
    }
    if a.given("no-headers") && a.bool("no-headers") {
        return fail("--no-headers cannot be set without --list specified");
    }
    let (verb, what) = match a.words.as_slice() {
        [verb, what] => (verb.clone(), what.clone()),
        _ => {
            return fail(
                "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.",
            );
        }
    };
    let spec = if what.starts_with('/') {
        if !a.str("subresource").is_empty() {
            return fail("--subresource can not be used with NonResourceURL");
        }
        obj!({"nonResourceAttributes": {"path": what, "verb": verb}})
    } else {
        resource_spec(cx, a, &api, &verb, &what)?
    };
    let v = review(
        cx,
        &api,
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "authorization.k8s.io",
        spec,
    )?;
    let status = v.get("status");
    let allowed = status.get("allowed").is_true();
    if !a.bool("quiet") {
        let mut line = if allowed { "yes".to_owned() } else { "no".to_owned() };
        let reason = status.get("reason").text();
        if !allowed && !reason.is_empty() {
            line += &format!(" - {reason}");
        }
        let trouble = status.get("evaluationError").text();
        if !trouble.is_empty() {
            line += &format!(" - {trouble}");
        }
        cx.out(line + "\n");
    }
    if allowed { Ok(()) } else { Err(Stop::Exit(1)) }
}

fn resource_spec(cx: &mut Cx<'_>, a: &Args, api: &Api, verb: &str, what: &str) -> Done<Value> {
    const VERBS: [&str; 16] = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "use",
        "bind",
        "escalate",
        "impersonate",
        "proxy",
        "approve",
        "sign",
        "*",
    ];
    let (word, name) = what.split_once('/').map_or((what, ""), |(w, n)| (w, n));
    if !VERBS.contains(&verb) {
        cx.err(format!("Warning: verb '{verb}' is not a known verb\n"));
    }
    let d = cx.discovery(api)?;
    let group;
    let (mut resource, mut version) = (word.to_owned(), String::new());
    let mut namespaced = true;
    if word == "*" {
        group = "*".into();
    } else {
        match d.resolve(word) {
            Ok(r) => {
                group = r.group.to_string();
                resource = r.name.to_string();
                version = if word.matches('.').count() > 1 { r.version.to_string() } else { String::new() };
                namespaced = r.namespaced;
            }
            Err(_) => {
                let (r, g) = word.split_once('.').unwrap_or((word, ""));
                cx.err(if g.is_empty() {
                    format!("Warning: the server doesn't have a resource type '{r}'\n\n")
                } else {
                    format!("Warning: the server doesn't have a resource type '{r}' in group '{g}'\n\n")
                });
                resource = r.to_owned();
                group = g.to_owned();
            }
        }
    }
    if !namespaced && !a.bool("all-namespaces") {
        let suffix = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
        cx.err(format!("Warning: resource '{resource}' is not namespace scoped{suffix}\n\n"));
    }
    let mut attributes = obj!({"verb": verb, "resource": resource});
    for (k, v) in [
        ("group", group.as_str()),
        ("version", version.as_str()),
        ("name", name),
        ("subresource", a.str("subresource").as_str()),
    ] {
        if !v.is_empty() {
            attributes.insert(k, v);
        }
    }
    if !a.bool("all-namespaces") {
        attributes.insert("namespace", api.namespace.as_str());
    }
    Ok(obj!({"resourceAttributes": attributes}))
}

fn list(cx: &mut Cx<'_>, a: &Args, api: &Api) -> Done {
    let spec = obj!({"namespace": api.namespace.as_str()});
    let v =
        review(cx, api, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "authorization.k8s.io", spec)?;
    let status = v.get("status");
    if status.get("incomplete").is_true() {
        cx.err(format!("warning: the list may be incomplete: {}\n", status.get("evaluationError").text()));
    }
    let texts = |v: &Value| -> Vec<String> { v.items().map(|s| s.text().to_owned()).collect() };
    let mut rows: Vec<rbac::Row> = Vec::new();
    for r in status.get("resourceRules").items() {
        let verbs = texts(r.get("verbs"));
        for g in r.get("apiGroups").items() {
            for res in r.get("resources").items() {
                let resource = match (g.text(), res.text().split_once('/')) {
                    ("", _) => res.text().to_owned(),
                    (g, Some((base, sub))) => format!("{base}.{g}/{sub}"),
                    (g, None) => format!("{}.{g}", res.text()),
                };
                let names = texts(r.get("resourceNames"));
                if names.is_empty() {
                    rbac::add(&mut rows, resource, Vec::new(), Vec::new(), &verbs);
                } else {
                    for n in names {
                        rbac::add(&mut rows, resource.clone(), Vec::new(), vec![n], &verbs);
                    }
                }
            }
        }
    }
    for r in status.get("nonResourceRules").items() {
        let verbs = texts(r.get("verbs"));
        for u in texts(r.get("nonResourceURLs")) {
            // Only rules of resources are joined.
            rows.push((String::new(), vec![u], Vec::new(), verbs.clone()));
        }
    }
    rows.sort_by_cached_key(rbac::key);
    let mut w = TabWriter::table();
    if !a.bool("no-headers") {
        w.write("Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    }
    for (resource, urls, names, verbs) in rows {
        let list = |l: Vec<String>| format!("[{}]", l.join(" "));
        w.write(&format!("{resource}\t{}\t{}\t{}\n", list(urls), list(names), list(verbs)));
    }
    cx.out(w.finish());
    Ok(())
}

static WHO_AM_I: Command = Command {
    name: "whoami",
    short: "Experimental: Check self subject attributes",
    long: "Asks the server who one is: name, groups and what else it knows.",
    usage: "whoami",
    example: "# Who am I?\nkubectl auth whoami",
    flags: &[print::FLAGS],
    run: Some(who_am_i),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn who_am_i(cx: &mut Cx<'_>, a: &Args) -> Done {
    let printer = print::requested(cx, a, false)?;
    let api = cx.api(a)?;
    let v =
        review(cx, &api, "SelfSubjectReview", "selfsubjectreviews", "authentication.k8s.io", Value::Null)?;
    if let Some(mut p) = printer {
        return p.print(cx, &v, a.bool("show-managed-fields"));
    }
    let u = v.at(&["status", "userInfo"]);
    let mut w = TabWriter::table();
    w.write("ATTRIBUTE\tVALUE\n");
    if !u.get("username").text().is_empty() {
        w.write(&format!("Username\t{}\n", u.get("username").text()));
    }
    if !u.get("uid").text().is_empty() {
        w.write(&format!("UID\t{}\n", u.get("uid").text()));
    }
    if !u.get("groups").is_empty() {
        w.write(&format!("Groups\t{}\n", gofmt::value(u.get("groups"))));
    }
    for (k, x) in u.get("extra").entries() {
        w.write(&format!("Extra: {k}\t{}\n", gofmt::value(x)));
    }
    cx.out(w.finish());
    Ok(())
}

static RECONCILE: Command = Command {
    name: "reconcile",
    short: "Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects",
    long: "Brings roles and bindings to what files say: what is missing is created, rules and subjects that are missing are \
           added. More than the files have stays unless flags say otherwise.",
    usage: "reconcile -f FILENAME",
    example: "# As a file has it\nkubectl auth reconcile -f rbac.yaml",
    flags: &[
        &[
            DRY_RUN,
            switch("remove-extra-permissions", "Take away rules that the files do not have"),
            switch("remove-extra-subjects", "Take away subjects that the files do not have"),
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(reconcile),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn reconcile(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return Err(a.usage("no arguments are allowed"));
    }
    if a.list("filename").is_empty() && a.str("kustomize").is_empty() {
        return fail("must specify one of -f and -k");
    }
    let dry = dry_run(cx, a)?;
    let mut printer = print::result_printer(cx, a, "reconciled", dry)?;
    let api = cx.api(a)?;
    let infos: Vec<Result<Info, Error>> =
        Builder::new(a, &[]).targets(cx, &api)?.items.into_iter().map(|t| t.map(Info::from)).collect();
    each(cx, infos, |cx, i| {
        let (field, extra) = match i.res.kind.as_str() {
            "Role" | "ClusterRole" => ("rules", a.bool("remove-extra-permissions")),
            "RoleBinding" | "ClusterRoleBinding" => ("subjects", a.bool("remove-extra-subjects")),
            // Others are passed over.
            _ => {
                return Ok(());
            }
        };
        let r = api.get(cx, &i.path());
        let v = match cx.catch(r)? {
            Ok(live) => {
                let mut list: Vec<Value> =
                    if extra { Vec::new() } else { live.get(field).items().cloned().collect() };
                for x in i.object.get(field).items() {
                    if !list.contains(x) {
                        list.push(x.clone());
                    }
                }
                let mut new = live.clone();
                new.insert(field, list);
                for (what, values) in [("labels", i.object.labels()), ("annotations", i.object.annotations())]
                {
                    for (k, x) in values.entries() {
                        new.set(&["metadata", what, k], x);
                    }
                }
                if new == live || dry == DryRun::Client {
                    new
                } else {
                    let r = super::common::write(Method::Put, i.path(), dry, "", "")
                        .with_header("content-type", "application/json")
                        .with_body(Body::Object(new));
                    api.call(cx, r)?
                }
            }
            Err(e) if e.is_not_found() => {
                if dry == DryRun::Client {
                    i.object.clone()
                } else {
                    super::common::create(cx, &api, &i, dry, "", "")?
                }
            }
            Err(e) => return Err(e.into()),
        };
        printer.print(cx, &v, a.bool("show-managed-fields"))
    })
}
