//! `kubectl set resources`, `selector`, `serviceaccount`, `subject`.

use super::{FLAGS, FLAGS_WITHOUT_SELECTOR, NO_RESOURCE, each_container, objects, pod_spec, update};
use crate::command::{Args, Command};
use crate::commands::common::{FILES, FILES_BELOW};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag};
use crate::print;
use crate::resource::Builder;
use api::quantity::Quantity;
use api::{Value, obj};

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

pub(super) static RESOURCES: Command = Command {
    name: "resources",
    short: "Update resource requests/limits on objects with pod templates",
    long: "Sets what containers of a pod template request and are limited to. Requests default to limits where only these are \
           given.\n\n Possible resources include (case insensitive): Use \"kubectl api-resources\" for a complete list of \
           supported resources..",
    usage: "resources (-f FILENAME | TYPE NAME)  ([--limits=LIMITS & --requests=REQUESTS]",
    example: "# Limits of one container\nkubectl set resources deployment web -c=nginx --limits=cpu=200m,memory=512Mi\n\n# None \
              any more\nkubectl set resources deployment web --limits=cpu=0,memory=0 --requests=cpu=0,memory=0",
    flags: &[
        FLAGS,
        &[
            flag("containers", Kind::Str, "'*'", "Names of the containers to change, may have wildcards")
                .short('c'),
            flag("limits", Kind::Str, "''", "Limits, as 'cpu=100m,memory=256Mi'; 0 takes one away."),
            flag("requests", Kind::Str, "''", "Requests, as 'cpu=100m,memory=256Mi'; 0 takes one away."),
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(resources),
    ..Command::EMPTY
};

fn amounts(text: &str) -> Result<Vec<(String, Quantity)>, Error> {
    let mut out = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        match part.split_once('=') {
            Some((k, v)) if !v.contains('=') => {
                out.push((k.to_owned(), Quantity::parse(v).map_err(|e| Error::Text(e.to_string()))?));
            }
            _ => {
                return Err(Error::Text(format!(
                    "Invalid argument syntax {part}, expected <resource>=<value>"
                )));
            }
        }
    }
    Ok(out)
}

fn resources(cx: &mut Cx<'_>, a: &Args) -> Done {
    if a.words.is_empty() && !Builder::new(a, &[]).has_files() {
        return fail(NO_RESOURCE);
    }
    let (limits, requests) = (amounts(&a.str("limits"))?, amounts(&a.str("requests"))?);
    if limits.is_empty() && requests.is_empty() {
        return fail("you must specify an update to requests or limits (in the form of --requests/--limits)");
    }
    let infos = objects(cx, a, &a.words.clone())?;
    let pattern = a.str("containers");
    update(
        cx,
        a,
        infos,
        "resource requirements updated",
        "failed to patch resources update to pod template",
        |_, i, v| {
            let Some(spec) = pod_spec(i, v) else {
                return fail(format!("{}/{} does not have a pod template", i.res.name, i.name));
            };
            let n = each_container(spec, "containers", &pattern, |c| {
                for (key, list) in [("limits", &limits), ("requests", &requests)] {
                    for (name, q) in list {
                        if q.is_zero() {
                            c.remove(&["resources", key, name]);
                        } else {
                            c.set(&["resources", key, name], *q);
                        }
                    }
                }
            });
            if n == 0 {
                return fail(format!("unable to find container named {pattern}"));
            }
            Ok(())
        },
    )
}

pub(super) static SELECTOR_COMMAND: Command = Command {
    name: "selector",
    short: "Set the selector on a resource",
    long: "Sets the selector of a service; a selector that was there is replaced. Of other kinds the selector cannot be changed.",
    usage: "selector (-f FILENAME | TYPE NAME) EXPRESSIONS [--resource-version=version]",
    example: "# Of one service\nkubectl set selector service web app=web,tier=front",
    flags: &[
        FLAGS_WITHOUT_SELECTOR,
        &[flag(
            "resource-version",
            Kind::Str,
            "''",
            "Change only an object of this version; for one object alone.",
        )],
        FILES_BELOW,
        print::FLAGS,
    ],
    run: Some(selector),
    ..Command::EMPTY
};

fn selector(cx: &mut Cx<'_>, a: &Args) -> Done {
    let Some((expression, rest)) = a.words.split_last() else {
        return fail("a selector is required for an update");
    };
    if !expression.contains('=') {
        return fail("a selector is required for an update");
    }
    let parsed = crate::commands::expose::selector_object(expression)?;
    let infos = objects(cx, a, rest)?;
    let version = a.str("resource-version");
    if !version.is_empty() && infos.len() > 1 {
        return fail("--resource-version may only be used with a single resource");
    }
    update(cx, a, infos, "selector updated", "failed to patch selector update", |_, i, v| {
        if i.res.kind != "Service" {
            return fail(format!("setting a selector is only supported for Services, not {}", i.res.kind));
        }
        if !parsed.get("matchExpressions").is_empty() {
            return fail(format!("match expression {expression} not supported on this object"));
        }
        if !version.is_empty() {
            v.set(&["metadata", "resourceVersion"], version.as_str());
        }
        v.set(&["spec", "selector"], parsed.get("matchLabels"));
        Ok(())
    })
}

pub(super) static SERVICE_ACCOUNT: Command = Command {
    name: "serviceaccount",
    aliases: &["sa"],
    short: "Update the service account of a resource",
    long: "Sets the service account of pod templates.\n\n Possible resources (case insensitive) can be:\n\n \
           replicationcontroller (rc), deployment (deploy), daemonset (ds), job, replicaset (rs), statefulset",
    usage: "serviceaccount (-f FILENAME | TYPE NAME) SERVICE_ACCOUNT",
    example: "# Of one deployment\nkubectl set serviceaccount deployment web robot",
    flags: &[FLAGS_WITHOUT_SELECTOR, FILES, print::FLAGS],
    run: Some(service_account),
    ..Command::EMPTY
};

fn service_account(cx: &mut Cx<'_>, a: &Args) -> Done {
    let Some((account, rest)) = a.words.split_last() else { return fail("serviceaccount is required") };
    let infos = objects(cx, a, rest)?;
    update(cx, a, infos, "serviceaccount updated", "failed to patch ServiceAccountName", |_, i, v| {
        let Some(spec) = pod_spec(i, v) else {
            return fail(format!("{}/{} does not have a pod template", i.res.name, i.name));
        };
        spec.insert("serviceAccountName", account.as_str());
        Ok(())
    })
}

pub(super) static SUBJECT: Command = Command {
    name: "subject",
    short: "Update the user, group, or service account in a role binding or cluster role binding",
    long: "Adds users, groups and service accounts to a role binding or cluster role binding.",
    usage: "subject (-f FILENAME | TYPE NAME) [--user=username] [--group=groupname] \
            [--serviceaccount=namespace:serviceaccountname] [--dry-run=server|client|none]",
    example: "# One more user\nkubectl set subject rolebinding view --user=ann",
    flags: &[
        FLAGS,
        &[
            flag("group", Kind::Slice, "[]", "Groups to bind"),
            flag("serviceaccount", Kind::Slice, "[]", "Service accounts to bind, namespace:name"),
            flag("user", Kind::Slice, "[]", "Users to bind"),
        ],
        FILES,
        print::FLAGS,
    ],
    run: Some(subject),
    ..Command::EMPTY
};

fn subject(cx: &mut Cx<'_>, a: &Args) -> Done {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut new: Vec<Value> = Vec::new();
    for (f, kind) in [("user", "User"), ("group", "Group")] {
        new.extend(a.list(f).iter().map(|n| obj!({"apiGroup": GROUP, "kind": kind, "name": n.as_str()})));
    }
    for s in a.list("serviceaccount") {
        match s.split_once(':') {
            Some((ns, n)) if !ns.is_empty() && !n.is_empty() && !n.contains(':') => {
                new.push(obj!({"kind": "ServiceAccount", "name": n, "namespace": ns}));
            }
            _ => return fail("serviceaccount must be <namespace>:<name>"),
        }
    }
    if new.is_empty() {
        return fail("you must specify at least one value of user, group or serviceaccount");
    }
    let infos = objects(cx, a, &a.words.clone())?;
    update(cx, a, infos, "subjects updated", "failed to patch subjects to rolebinding", |_, i, v| {
        if !matches!(i.res.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
            return fail(format!(
                "setting subjects is only supported for RoleBinding/ClusterRoleBinding, not {}",
                i.res.kind
            ));
        }
        let mut list: Vec<Value> = v.get("subjects").items().cloned().collect();
        for s in &new {
            if !list.contains(s) {
                list.push(s.clone());
            }
        }
        v.insert("subjects", list);
        Ok(())
    })
}
