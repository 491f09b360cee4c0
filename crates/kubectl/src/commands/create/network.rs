//! `create service` and `create ingress`.

use super::{FLAGS, Told, fail, generated, name};
use crate::command::{Args, Command};
use crate::cx::{Cx, Done};
use crate::flags::{Flag, Kind, flag};
use crate::print;
use api::{Value, names, obj};

pub(super) static SERVICE: Command = Command {
    name: "service",
    aliases: &["svc"],
    short: "Create a service using a specified subcommand",
    long: "Create a service using a specified subcommand.",
    usage: "service [flags]",
    subs: &[&CLUSTER_IP, &EXTERNAL_NAME, &LOAD_BALANCER, &NODE_PORT],
    ..Command::EMPTY
};

const TCP: Flag =
    flag("tcp", Kind::Slice, "[]", "A pair of ports, '<port>:<targetPort>'; the port alone is both.");

static CLUSTER_IP: Command = Command {
    name: "clusterip",
    short: "Create a ClusterIP service",
    long: "Creates a service of type ClusterIP of that name.",
    usage: "clusterip NAME [--tcp=<port>:<targetPort>] [--dry-run=server|client|none]",
    example: "# Port 5678 to port 8080\nkubectl create service clusterip web --tcp=5678:8080\n\n# Headless\nkubectl create \
              service clusterip web --clusterip=\"None\"",
    flags: &[
        FLAGS,
        &[
            TCP,
            flag(
                "clusterip",
                Kind::Str,
                "''",
                "Its address; empty takes a free one, 'None' makes it headless.",
            ),
        ],
        print::FLAGS,
    ],
    run: Some(|cx, a| service(cx, a, "ClusterIP")),
    ..Command::EMPTY
};

static NODE_PORT: Command = Command {
    name: "nodeport",
    short: "Create a NodePort service",
    long: "Creates a service of type NodePort of that name.",
    usage: "nodeport NAME [--tcp=port:targetPort] [--dry-run=server|client|none]",
    example: "# Port 5678 to port 8080\nkubectl create service nodeport web --tcp=5678:8080",
    flags: &[
        FLAGS,
        &[TCP, flag("node-port", Kind::Int, "0", "Port that every node opens for it.")],
        print::FLAGS,
    ],
    run: Some(|cx, a| service(cx, a, "NodePort")),
    ..Command::EMPTY
};

static LOAD_BALANCER: Command = Command {
    name: "loadbalancer",
    short: "Create a LoadBalancer service",
    long: "Creates a service of type LoadBalancer of that name.",
    usage: "loadbalancer NAME [--tcp=port:targetPort] [--dry-run=server|client|none]",
    example: "# Port 5678 to port 8080\nkubectl create service loadbalancer web --tcp=5678:8080",
    flags: &[FLAGS, &[TCP], print::FLAGS],
    run: Some(|cx, a| service(cx, a, "LoadBalancer")),
    ..Command::EMPTY
};

static EXTERNAL_NAME: Command = Command {
    name: "externalname",
    short: "Create an ExternalName service",
    long: "Creates a service of type ExternalName: a name in the cluster's DNS that leads to a name outside.",
    usage: "externalname NAME --external-name external.name [--dry-run=server|client|none]",
    example: "# A database elsewhere\nkubectl create service externalname db --external-name db.example.com",
    flags: &[
        FLAGS,
        &[TCP, flag("external-name", Kind::Str, "''", "Name that the service leads to")],
        print::FLAGS,
    ],
    required: &["external-name"],
    run: Some(|cx, a| service(cx, a, "ExternalName")),
    ..Command::EMPTY
};

fn port_number(s: &str) -> Result<i64, String> {
    let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match s.parse::<u16>() {
        Ok(n) if digits => Ok(n.into()),
        _ => {
            let why = if digits { "value out of range" } else { "invalid syntax" };
            Err(format!("strconv.ParseUint: parsing {}: {why}", api::gofmt::quote(s)))
        }
    }
}

/// `port:targetPort` of `--tcp`.
fn ports(a: &Args) -> Result<Vec<Value>, String> {
    let mut out = Vec::new();
    for t in a.list("tcp") {
        let (port, target) = t.split_once(':').map_or((t.as_str(), t.as_str()), |(p, t)| (p, t));
        let port = port_number(port)?;
        let target = match target.parse::<i64>() {
            Ok(n) if !(1..=65535).contains(&n) => return Err("must be between 1 and 65535, inclusive".into()),
            Ok(n) => Value::Int(n),
            Err(_) => {
                let letters = target.chars().any(|c| c.is_ascii_alphabetic());
                if !letters || !names::dns_label(target).is_empty() || target.len() > 15 {
                    return Err(
                        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into()
                    );
                }
                Value::str(target)
            }
        };
        out.push(obj!({"name": t.replace(':', "-"), "port": port, "protocol": "TCP", "targetPort": target}));
    }
    Ok(out)
}

fn service(cx: &mut Cx<'_>, a: &Args, ty: &'static str) -> Done {
    let name = name(a)?;
    let ip = a.str("clusterip");
    if ty == "ClusterIP" && ip == "None" && !a.list("tcp").is_empty() {
        // A headless service may have ports all the same.
    } else if a.list("tcp").is_empty() && ty != "ExternalName" && ip != "None" {
        return fail("at least one tcp port specifier must be provided");
    }
    let mut ports = ports(a)?;
    let node_port = a.int("node-port");
    if node_port > 0
        && let Some(p) = ports.first_mut()
    {
        p.insert("nodePort", node_port);
    }
    let mut v = obj!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name.as_str(), "labels": {"app": name.as_str()}},
        "spec": {"selector": {"app": name.as_str()}, "type": ty}, "status": {"loadBalancer": {}}
    });
    if !ports.is_empty() {
        v.set(&["spec", "ports"], ports);
    }
    if !ip.is_empty() {
        v.set(&["spec", "clusterIP"], ip);
    }
    let external = a.str("external-name");
    if !external.is_empty() {
        v.set(&["spec", "externalName"], external);
    }
    let told = match ty {
        "ClusterIP" => "failed to create ClusterIP service: ",
        "NodePort" => "failed to create NodePort service: ",
        "LoadBalancer" => "failed to create LoadBalancer service: ",
        _ => "failed to create ExternalName service: ",
    };
    generated(cx, a, "", "services", v, Told::Behind(told))
}

pub(super) static INGRESS: Command = Command {
    name: "ingress",
    aliases: &["ing"],
    short: "Create an ingress with the specified name",
    long: "Creates an ingress of that name.",
    usage: "ingress NAME --rule=host/path=service:port[,tls[=secret]] ",
    example: "# One host and path\nkubectl create ingress web --rule=\"web.example.com/=web:80\"\n\n# A class, all paths and \
              TLS\nkubectl create ingress web --class=nginx --rule=\"web.example.com/*=web:80,tls=web-cert\"",
    flags: &[
        FLAGS,
        &[
            flag("annotation", Kind::Array, "[]", "Annotation of the ingress, annotation=value"),
            flag("class", Kind::Str, "''", "Ingress class"),
            flag("default-backend", Kind::Str, "''", "Service for all else, svcname:port"),
            flag(
                "rule",
                Kind::Array,
                "[]",
                "Rule as host/path=service:port[,tls=secretname]. A path that ends in '*' counts with all below it.",
            ),
        ],
        print::FLAGS,
    ],
    run: Some(ingress),
    ..Command::EMPTY
};

fn backend(service: &str, port: &str) -> Value {
    let port = match port.parse::<i64>() {
        Ok(n) => obj!({"number": n}),
        Err(_) => obj!({"name": port}),
    };
    obj!({"service": {"name": service, "port": port}})
}

struct Rule<'a> {
    host: &'a str,
    path: String,
    ty: &'static str,
    backend: Value,
    tls: Option<&'a str>,
}

fn rule(text: &str) -> Option<Rule<'_>> {
    let mut parts = text.split(',');
    let (place, service) = parts.next()?.split_once('=')?;
    let slash = place.find('/')?;
    let (host, path) = place.split_at(slash);
    let (name, port) = service.split_once(':')?;
    if name.is_empty() || port.is_empty() || port.contains([':', '=']) {
        return None;
    }
    let (path, ty) = match path.strip_suffix('*') {
        Some(p) => (p.to_owned(), "Prefix"),
        None => (path.to_owned(), "Exact"),
    };
    let mut tls = None;
    for p in parts {
        if p == "tls" {
            tls = Some("");
        } else if let Some(s) = p.strip_prefix("tls=") {
            tls = Some(s);
        }
    }
    Some(Rule { host, path, ty, backend: backend(name, port), tls })
}

fn ingress(cx: &mut Cx<'_>, a: &Args) -> Done {
    let name = name(a)?;
    let (rules, default) = (a.list("rule"), a.str("default-backend"));
    if rules.is_empty() && default.is_empty() {
        return fail(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all \
             traffic) or a list of rules (which catch specific paths)",
        );
    }
    let mut hosts: Vec<(String, Vec<Value>)> = Vec::new();
    let mut tls: Vec<(String, Vec<String>)> = Vec::new();
    for r in rules {
        let Some(rule) = rule(r) else {
            return fail(format!(
                "rule {r} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            ));
        };
        let path = obj!({"backend": rule.backend, "path": rule.path, "pathType": rule.ty});
        match hosts.iter_mut().find(|(h, _)| h == rule.host) {
            Some((_, p)) => p.push(path),
            None => hosts.push((rule.host.to_owned(), vec![path])),
        }
        if let Some(secret) = rule.tls {
            match tls.iter_mut().find(|(s, _)| s == secret) {
                Some((_, h)) => {
                    if !h.iter().any(|x| x == rule.host) {
                        h.push(rule.host.to_owned());
                    }
                }
                None => tls.push((secret.to_owned(), vec![rule.host.to_owned()])),
            }
        }
    }
    let mut notes = Value::Null;
    for n in a.list("annotation") {
        match n.split_once('=') {
            Some((k, v)) if !k.is_empty() => notes.insert(k, v),
            _ => return fail(format!("annotation {n} is invalid and should be in format key=[value]")),
        }
    }
    let mut v = obj!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name.as_str()}, "spec": {},
        "status": {"loadBalancer": {}}
    });
    if notes.is_some() {
        v.set(&["metadata", "annotations"], notes);
    }
    let class = a.str("class");
    if !class.is_empty() {
        v.set(&["spec", "ingressClassName"], class);
    }
    if !default.is_empty() {
        match default.split_once(':') {
            Some((s, p)) if !s.is_empty() && !p.is_empty() => {
                v.set(&["spec", "defaultBackend"], backend(s, p))
            }
            _ => return fail("default-backend should be in format servicename:serviceport"),
        }
    }
    if !hosts.is_empty() {
        let rules: Value = hosts
            .into_iter()
            .map(|(h, paths)| {
                let mut r = obj!({"http": {"paths": paths}});
                if !h.is_empty() {
                    r.insert("host", h);
                }
                r
            })
            .collect();
        v.set(&["spec", "rules"], rules);
    }
    if !tls.is_empty() {
        let list: Value = tls
            .into_iter()
            .map(|(s, hosts)| {
                let hosts: Value = hosts.into_iter().filter(|h| !h.is_empty()).collect();
                let mut t = Value::map();
                if !hosts.is_empty() {
                    t.insert("hosts", hosts);
                }
                if !s.is_empty() {
                    t.insert("secretName", s);
                }
                t
            })
            .collect();
        v.set(&["spec", "tls"], list);
    }
    generated(cx, a, "networking.k8s.io", "ingresses", v, Told::Behind("failed to create ingress: "))
}
