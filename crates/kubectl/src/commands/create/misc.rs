//! `create namespace`, `quota`, `poddisruptionbudget`, `priorityclass`, `serviceaccount`, `token`.

use super::{FLAGS, Told, fail, generated, name, q};
use crate::command::{Args, Command};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::print;
use api::wire::{Body, Method, Request};
use api::{Value, obj};

pub(super) static NAMESPACE: Command = Command {
    name: "namespace",
    aliases: &["ns"],
    short: "Create a namespace with the specified name",
    long: "Creates a namespace of that name.",
    usage: "namespace NAME [--dry-run=server|client|none]",
    example: "# One namespace\nkubectl create namespace web",
    flags: &[FLAGS, print::FLAGS],
    run: Some(namespace),
    ..Command::EMPTY
};

fn namespace(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let v =
        obj!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}, "status": {}});
    generated(cx, a, "", "namespaces", v, Told::Plain)
}

pub(super) static SERVICE_ACCOUNT: Command = Command {
    name: "serviceaccount",
    aliases: &["sa"],
    short: "Create a service account with the specified name",
    long: "Creates a service account of that name.",
    usage: "serviceaccount NAME [--dry-run=server|client|none]",
    example: "# One account\nkubectl create serviceaccount robot",
    flags: &[FLAGS, print::FLAGS],
    run: Some(service_account),
    ..Command::EMPTY
};

fn service_account(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let v = obj!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    generated(cx, a, "", "serviceaccounts", v, Told::Behind("failed to create serviceaccount: "))
}

pub(super) static QUOTA: Command = Command {
    name: "quota",
    aliases: &["resourcequota"],
    short: "Create a quota with the specified name",
    long: "Creates a resource quota of that name with limits and, perhaps, scopes.",
    usage: "quota NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2] [--dry-run=server|client|none]",
    example: "# Two limits\nkubectl create quota small --hard=pods=10,cpu=4",
    flags: &[
        FLAGS,
        &[
            flag("hard", Kind::Str, "''", "Limits with commas between, resource=quantity."),
            flag("scopes", Kind::Str, "''", "Scopes, with commas between, that the quota counts in."),
        ],
        print::FLAGS,
    ],
    run: Some(quota),
    ..Command::EMPTY
};

fn quota(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let mut v = obj!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {}, "status": {}
    });
    let hard = a.str("hard");
    if !hard.is_empty() {
        let mut map = Value::map();
        for part in hard.split(',') {
            match part.split_once('=') {
                Some((k, amount)) if !amount.contains('=') => {
                    let amount =
                        api::quantity::Quantity::parse(amount).map_err(|e| Error::Text(e.to_string()))?;
                    map.insert(k, amount);
                }
                _ => return fail(format!("Invalid argument syntax {part}, expected <resource>=<value>")),
            }
        }
        v.set(&["spec", "hard"], map);
    }
    let scopes = a.str("scopes");
    if !scopes.is_empty() {
        let list: Value = scopes.split(',').map(Value::from).collect();
        if list.items().any(|s| s.text().is_empty()) {
            return fail(format!("invalid resource quota scope {}", q("")));
        }
        v.set(&["spec", "scopes"], list);
    }
    generated(cx, a, "", "resourcequotas", v, Told::Behind("failed to create quota: "))
}

pub(super) static PDB: Command = Command {
    name: "poddisruptionbudget",
    aliases: &["pdb"],
    short: "Create a pod disruption budget with the specified name",
    long: "Creates a pod disruption budget of that name for the pods of a selector.",
    usage: "poddisruptionbudget NAME --selector=SELECTOR --min-available=N [--dry-run=server|client|none]",
    example: "# At least one pod stays\nkubectl create pdb web --selector=app=web --min-available=1",
    flags: &[
        FLAGS,
        &[
            flag("max-unavailable", Kind::Str, "''", "How many pods, or which share, may be missing."),
            flag("min-available", Kind::Str, "''", "How many pods, or which share, must stay."),
            flag("selector", Kind::Str, "''", "Label selector of the pods; equality and sets."),
        ],
        print::FLAGS,
    ],
    run: Some(pdb),
    ..Command::EMPTY
};

fn int_or_percent(s: &str) -> Value {
    s.parse::<i64>().map_or_else(|_| Value::str(s), Value::Int)
}

fn pdb(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let (min, max, selector) = (a.str("min-available"), a.str("max-unavailable"), a.str("selector"));
    if selector.is_empty() {
        return fail("a selector must be specified");
    }
    match (min.is_empty(), max.is_empty()) {
        (true, true) => return fail("one of min-available or max-unavailable must be specified"),
        (false, false) => return fail("min-available and max-unavailable cannot be both specified"),
        _ => {}
    }
    let selector = super::super::expose::selector_object(&selector)?;
    let mut v = obj!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"selector": selector},
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}
    });
    if min.is_empty() {
        v.set(&["spec", "maxUnavailable"], int_or_percent(&max));
    } else {
        v.set(&["spec", "minAvailable"], int_or_percent(&min));
    }
    let told = Told::Behind("failed to create poddisruptionbudgets: ");
    generated(cx, a, "policy", "poddisruptionbudgets", v, told)
}

pub(super) static PRIORITY_CLASS: Command = Command {
    name: "priorityclass",
    aliases: &["pc"],
    short: "Create a priority class with the specified name",
    long: "Creates a priority class of that name and value.",
    usage: "priorityclass NAME --value=VALUE --global-default=BOOL [--dry-run=server|client|none]",
    example: "# A high one\nkubectl create priorityclass high --value=1000 --description=\"goes first\"",
    flags: &[
        FLAGS,
        &[
            flag("description", Kind::Str, "''", "When to use the class."),
            switch("global-default", "Whether pods without a class get this one."),
            flag(
                "preemption-policy",
                Kind::Str,
                "'PreemptLowerPriority'",
                "Whether its pods may push others out: PreemptLowerPriority or Never.",
            ),
            flag("value", Kind::Int, "0", "The priority; greater goes first."),
        ],
        print::FLAGS,
    ],
    run: Some(priority_class),
    ..Command::EMPTY
};

fn priority_class(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let mut v = obj!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "preemptionPolicy": a.str("preemption-policy"), "value": a.int("value")
    });
    if a.bool("global-default") {
        v.insert("globalDefault", true);
    }
    let text = a.str("description");
    if !text.is_empty() {
        v.insert("description", text);
    }
    generated(
        cx,
        a,
        "scheduling.k8s.io",
        "priorityclasses",
        v,
        Told::Behind("failed to create priorityclass: "),
    )
}

pub(super) static TOKEN: Command = Command {
    name: "token",
    short: "Request a service account token",
    long: "Asks the server for a token of a service account and prints it.",
    usage: "token SERVICE_ACCOUNT_NAME",
    example: "# For an hour, as the server chooses\nkubectl create token robot\n\n# For ten minutes\nkubectl create token robot \
              --duration 10m",
    flags: &[
        &[
            flag(
                "audience",
                Kind::Array,
                "[]",
                "Whom the token is for; without it, the API server. May be given several times.",
            ),
            flag(
                "bound-object-kind",
                Kind::Str,
                "''",
                "Kind of an object that the token ends with: Pod, Secret or Node.",
            ),
            flag("bound-object-name", Kind::Str, "''", "Name of that object."),
            flag("bound-object-uid", Kind::Str, "''", "UID of that object; needs its kind and name."),
            flag(
                "duration",
                Kind::Duration,
                "0s",
                "How long the token is to live; the server may give another time. 0 leaves it to the server.",
            ),
        ],
        print::FLAGS,
    ],
    run: Some(token),
    ..Command::EMPTY
};

fn token(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let (kind, bound) = (a.str("bound-object-kind"), a.str("bound-object-name"));
    if kind.is_empty() {
        if !bound.is_empty() {
            return fail("--bound-object-name can only be set if --bound-object-kind is provided");
        }
        if !a.str("bound-object-uid").is_empty() {
            return fail("--bound-object-uid can only be set if --bound-object-kind is provided");
        }
    } else {
        if !["Pod", "Secret", "Node"].contains(&kind.as_str()) {
            return fail("supported --bound-object-kind values are Node, Pod, Secret");
        }
        if bound.is_empty() {
            return fail("--bound-object-name is required if --bound-object-kind is provided");
        }
    }
    let seconds = a.duration("duration") / api::duration::SECOND;
    if a.duration("duration") < 0 {
        return fail("--duration must be greater than or equal to 0");
    }
    let printer = print::requested(cx, a, false)?;
    let api = cx.api(a)?;
    let mut v =
        obj!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {}});
    let audiences: Value = a.list("audience").iter().map(Value::from).collect();
    v.set(&["spec", "audiences"], if !audiences.is_empty() { audiences } else { Value::Null });
    if seconds > 0 {
        v.set(&["spec", "expirationSeconds"], seconds);
    }
    if !kind.is_empty() {
        let mut r = obj!({"apiVersion": "v1", "kind": kind, "name": bound});
        let uid = a.str("bound-object-uid");
        if !uid.is_empty() {
            r.insert("uid", uid);
        }
        v.set(&["spec", "boundObjectRef"], r);
    }
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{name}/token", api.namespace);
    let r = Request::new(Method::Post, path)
        .with_header("content-type", "application/json")
        .with_body(Body::Object(v));
    let answer = api.call(cx, r);
    let v = cx.catch(answer)?.map_err(|e| Error::Text(format!("failed to create token: {}", e.message())))?;
    match printer {
        Some(mut p) => p.print_typed(cx, &v, false),
        None => {
            let text = v.at(&["status", "token"]).text();
            if text.is_empty() {
                return fail("failed to create token: no token in server response");
            }
            cx.out(format!("{text}\n"));
            Ok(())
        }
    }
}
