//! `kubectl expose`

use super::common::{
    FILES, OVERRIDES, SAVE_CONFIG, create, field_manager, overridden, pairs, with_last_applied,
};
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::print::{self, DRY_RUN, DryRun, dry_run};
use crate::resource::{Builder, Info, each};
use api::selector::{Op, Selector};
use api::{Value, obj};
use std::sync::Arc;

const FLAGS: &[Flag] = &[
    DRY_RUN,
    SAVE_CONFIG,
    field_manager("'kubectl-expose'"),
    flag(
        "cluster-ip",
        Kind::Str,
        "''",
        "Address of the service; empty takes a free one, 'None' makes it headless.",
    ),
    flag(
        "external-ip",
        Kind::Str,
        "''",
        "One more address, outside of the cluster's hands, that leads to the service.",
    ),
    flag("labels", Kind::Str, "''", "Labels of the service.").short('l'),
    flag("load-balancer-ip", Kind::Str, "''", "Address that the load balancer should take, where it can."),
    flag("name", Kind::Str, "''", "Name of the service."),
    flag("port", Kind::Str, "''", "Port of the service; without it those of the exposed object."),
    flag("protocol", Kind::Str, "''", "Protocol of the port; TCP unless given."),
    flag(
        "selector",
        Kind::Str,
        "''",
        "Selector of the service, equality only; without it that of the exposed object.",
    ),
    flag("session-affinity", Kind::Str, "''", "Whether a client stays with its pod: 'None' or 'ClientIP'"),
    flag("target-port", Kind::Str, "''", "Number or name of the container's port."),
    flag(
        "type",
        Kind::Str,
        "''",
        "Type of the service: ClusterIP, NodePort, LoadBalancer or ExternalName. ClusterIP unless given.",
    ),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "expose",
    group: Group::Beginner,
    short: "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
    long: "Makes a service for what a deployment, service, replica set, replication controller or pod runs. Selector and ports \
           are taken from the object unless flags give them; an object whose selector is more than equality cannot be \
           exposed.\n\nPossible resources include (case insensitive):\n\n pod (po), service (svc), replicationcontroller (rc), \
           deployment (deploy), replicaset (rs)",
    usage: "expose (-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] \
            [--name=name] [--external-ip=external-ip-of-service] [--type=type]",
    example: "# Port 80 to the pods' port 8000\nkubectl expose deployment web --port=80 --target-port=8000\n\n# A second \
              service for the same pods\nkubectl expose service web --port=443 --name=web-tls",
    flags: &[FLAGS, OVERRIDES, FILES, print::FLAGS],
    run: Some(run),
    complete: Some(complete::exposable),
    ..Command::EMPTY
};

fn fail<T>(s: impl Into<String>) -> Result<T, Error> {
    Err(Error::Text(s.into()))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let dry = dry_run(cx, a)?;
    let mut printer = print::result_printer(cx, a, "exposed", dry)?;
    let api = cx.api(a)?;
    let infos = Builder::new(&without_selector(a), &a.words).infos_as_given(cx, &api)?;
    // What the first object gave is kept for the others, as upstream does.
    let mut kept = Value::Null;
    let keep = a.bool("show-managed-fields");
    each(cx, infos, |cx, i| {
        let mut v = service(a, &i, &mut kept)?;
        v = overridden(a, &v)?;
        if api.namespace_given || dry != DryRun::Client {
            v.set(&["metadata", "namespace"], i.namespace.as_str());
        }
        if a.bool("save-config") {
            v = with_last_applied(&v);
        }
        if dry == DryRun::Client {
            return printer.print_typed(cx, &v, keep);
        }
        let d = cx.discovery(&api)?;
        let res = d
            .kind(v.api_version(), v.kind())
            .cloned()
            .or_else(|| d.resource("", "services"))
            .ok_or_else(|| Error::text("the server doesn't have a resource type \"services\""))?;
        let info = Info {
            res: Arc::clone(&res),
            namespace: i.namespace,
            name: v.name().into(),
            source: String::new(),
            object: v,
        };
        let v = create(cx, &api, &info, dry, &a.str("field-manager"), "")?;
        printer.print_typed(cx, &v, keep)
    })
}

/// `--selector` of this command is the service's, not a query.
fn without_selector(a: &Args) -> Args {
    let mut a = a.clone();
    a.values = core::mem::take(&mut a.values).without("selector");
    a
}

/// What a service for the object would be.
fn service(a: &Args, i: &Info, kept: &mut Value) -> Result<Value, Error> {
    let kind = i.res.kind.as_str();
    if !matches!(kind, "Pod" | "Service" | "ReplicationController" | "Deployment" | "ReplicaSet") {
        let group = if i.res.group.is_empty() { String::new() } else { format!(".{}", i.res.group) };
        return fail(format!("cannot expose a {kind}{group}"));
    }
    let name = match a.str("name") {
        n if n.is_empty() => i.name.chars().take(63).collect(),
        n => n,
    };
    if kept.is_null() {
        *kept = selector(a, i)?;
    }
    let selector = kept.clone();
    let ports = ports(a, i)?;
    let headless = a.str("cluster-ip") == "None";
    if ports.is_empty() && !headless {
        return fail("couldn't find port via --port flag or introspection");
    }
    let labels = match a.str("labels") {
        l if l.is_empty() => i.object.labels().clone(),
        l => pairs(&l.split(',').map(str::to_owned).collect::<Vec<_>>(), "label")?,
    };
    let mut v = obj!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector},
        "status": {"loadBalancer": {}}
    });
    if !labels.is_empty() {
        v.set(&["metadata", "labels"], labels);
    }
    if !ports.is_empty() {
        v.set(&["spec", "ports"], ports);
    }
    for (flag, field) in
        [("type", "type"), ("cluster-ip", "clusterIP"), ("load-balancer-ip", "loadBalancerIP")]
    {
        let text = a.str(flag);
        if !text.is_empty() {
            v.set(&["spec", field], text);
        }
    }
    let external = a.str("external-ip");
    if !external.is_empty() {
        v.set(&["spec", "externalIPs"], vec![Value::from(external)]);
    }
    match a.str("session-affinity").as_str() {
        "" => {}
        s @ ("None" | "ClientIP") => v.set(&["spec", "sessionAffinity"], s),
        other => return fail(format!("unknown session affinity: {other}")),
    }
    Ok(v)
}

fn selector(a: &Args, i: &Info) -> Result<Value, Error> {
    let given = a.str("selector");
    if !given.is_empty() {
        return pairs(&given.split(',').map(str::to_owned).collect::<Vec<_>>(), "selector");
    }
    let missing = |why: String| -> Result<Value, Error> {
        fail(format!("couldn't retrieve selectors via --selector flag or introspection: {why}"))
    };
    let o = &i.object;
    match i.res.kind.as_str() {
        "Pod" if o.labels().is_empty() => missing("the pod has no labels and cannot be exposed".into()),
        "Pod" => Ok(o.labels().clone()),
        "Service" => match o.at(&["spec", "selector"]) {
            s if !s.is_empty() => Ok(s.clone()),
            _ => missing("the service has no pod selector set".into()),
        },
        "ReplicationController" => Ok(o.at(&["spec", "selector"]).clone()),
        _ => {
            let s = o.at(&["spec", "selector"]);
            let expressions = s.get("matchExpressions");
            if !expressions.is_empty() {
                let list: Vec<String> = expressions
                    .items()
                    .map(|e| {
                        format!(
                            "{{Key:{} Operator:{} Values:{}}}",
                            e.get("key").text(),
                            e.get("operator").text(),
                            api::gofmt::value(&e.get("values").items().cloned().collect())
                        )
                    })
                    .collect();
                return missing(format!(
                    "couldn't convert expressions - \"[{}]\" to map-based selector format",
                    list.join(" ")
                ));
            }
            Ok(s.get("matchLabels").clone())
        }
    }
}

/// Port and protocol pairs that an object names.
fn own_ports(i: &Info) -> Vec<(i64, String)> {
    let protocol = |p: &Value| match p.get("protocol").text() {
        "" => "TCP".to_owned(),
        t => t.to_owned(),
    };
    let o = &i.object;
    if i.res.kind == "Service" {
        return o.at(&["spec", "ports"]).items().map(|p| (p.get("port").int(), protocol(p))).collect();
    }
    let spec = if i.res.kind == "Pod" { o.get("spec") } else { o.at(&["spec", "template", "spec"]) };
    let containers = spec.get("containers").items();
    containers
        .flat_map(|c| c.get("ports").items())
        .map(|p| (p.get("containerPort").int(), protocol(p)))
        .collect()
}

fn ports(a: &Args, i: &Info) -> Result<Vec<Value>, Error> {
    let own = own_ports(i);
    let given = a.str("port");
    let list: Vec<i64> = if given.is_empty() {
        let mut l: Vec<i64> = own.iter().map(|p| p.0).collect();
        let mut seen = Vec::new();
        l.retain(|p| {
            let new = !seen.contains(p);
            seen.push(*p);
            new
        });
        l
    } else {
        let mut out = Vec::new();
        for p in given.split(',') {
            match p.parse() {
                Ok(n) => out.push(n),
                Err(_) => {
                    return fail(format!("strconv.Atoi: parsing {}: invalid syntax", api::gofmt::quote(p)));
                }
            }
        }
        out
    };
    let target = a.str("target-port");
    let single = a.str("protocol");
    Ok(list
        .iter()
        .enumerate()
        .map(|(n, port)| {
            let protocol = if single.is_empty() {
                own.iter().find(|p| p.0 == *port).map_or("TCP", |p| p.1.as_str())
            } else {
                single.as_str()
            };
            let target = if target.is_empty() {
                Value::Int(*port)
            } else {
                target.parse::<i64>().map_or_else(|_| Value::str(target.as_str()), Value::Int)
            };
            let mut p = obj!({"port": *port, "protocol": protocol, "targetPort": target});
            if list.len() > 1 {
                p.insert("name", format!("port-{}", n + 1));
            }
            p
        })
        .collect())
}

/// A `metav1.LabelSelector` of a selector's text.
pub fn selector_object(text: &str) -> Result<Value, Error> {
    let s = Selector::parse(text)?;
    let mut out = Value::map();
    for r in s.requirements() {
        let op = match r.op {
            Op::Equals | Op::DoubleEquals => {
                out.set(&["matchLabels", &r.key], r.values.first().cloned().unwrap_or_default());
                continue;
            }
            Op::NotEquals | Op::NotIn => "NotIn",
            Op::In => "In",
            Op::Exists => "Exists",
            Op::DoesNotExist => "DoesNotExist",
            Op::GreaterThan | Op::LessThan => {
                return fail(format!("{} is not a valid label selector operator", api::gofmt::quote(text)));
            }
        };
        let mut e = obj!({"key": r.key.clone(), "operator": op});
        if !r.values.is_empty() {
            e.insert("values", r.values.iter().map(Value::from).collect::<Value>());
        }
        out.push_at(&["matchExpressions"], e);
    }
    Ok(out)
}
