//! Service.

use super::{NameRule, Rules, default, format_labels, object_age};
use crate::{Value, obj};
use sim::Civil;

/// Service. Addresses and node ports are allocated by the API server.
pub const RULES: Rules = Rules {
    of: ("", "Service"),
    defaults,
    prepare: |new, old| match old {
        None => new.set(&["status"], obj!({"loadBalancer": {}})),
        Some(old) => new.set(&["status"], old.get("status")),
    },
    cells: Some(cells),
    fields: &[
        ("spec.clusterIP", |v: &Value| v.at(&["spec", "clusterIP"]).text().to_owned()),
        ("spec.type", |v: &Value| v.at(&["spec", "type"]).text().to_owned()),
    ],
    name: NameRule::Label,
    ..Rules::GENERIC
};

fn defaults(v: &mut Value) {
    let spec = v.slot(&["spec"]);
    default(spec, "sessionAffinity", "None");
    default(spec, "type", "ClusterIP");
    match spec.get("sessionAffinity").text() {
        "ClientIP" if spec.at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).is_null() => {
            spec.set(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10_800);
        }
        "None" => {
            spec.remove(&["sessionAffinityConfig"]);
        }
        _ => {}
    }
    if spec.get("ports").len() > 0 {
        for p in spec.slot(&["ports"]).list_mut() {
            default(p, "protocol", "TCP");
            if matches!(p.get("targetPort"), Value::Null | Value::Int(0))
                || p.get("targetPort").as_str() == Some("")
            {
                let port = p.get("port").clone();
                p.insert("targetPort", port);
            }
        }
    }
    let kind = spec.get("type").text().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// `80/TCP,443:30443/TCP`, or `<none>`.
pub fn format_ports(ports: &Value) -> String {
    let all: Vec<String> = ports
        .items()
        .map(|p| {
            let (port, proto) = (p.get("port").int(), p.get("protocol").text());
            match p.get("nodePort").int() {
                0 => format!("{port}/{proto}"),
                n => format!("{port}:{n}/{proto}"),
            }
        })
        .collect();
    if all.is_empty() { "<none>".into() } else { all.join(",") }
}

/// The EXTERNAL-IP column.
pub fn external_ip(v: &Value, wide: bool) -> String {
    let spec = v.get("spec");
    let external: Vec<&str> = spec.get("externalIPs").items().map(Value::text).collect();
    match spec.get("type").text() {
        "ExternalName" => spec.get("externalName").text().into(),
        "LoadBalancer" => {
            let mut ips: Vec<&str> = v
                .at(&["status", "loadBalancer", "ingress"])
                .items()
                .map(|i| {
                    if i.get("ip").text().is_empty() { i.get("hostname").text() } else { i.get("ip").text() }
                })
                .collect();
            ips.extend(external);
            let s = ips.join(",");
            match s.len() {
                0 => "<pending>".into(),
                n if n > 16 && !wide => format!("{}...", &s[..13]),
                _ => s,
            }
        }
        _ if external.is_empty() => "<none>".into(),
        _ => external.join(","),
    }
}

fn cells(v: &Value, now: Civil) -> Vec<Value> {
    let spec = v.get("spec");
    let ip = match spec.get("clusterIP").text() {
        "" => "<none>",
        ip => ip,
    };
    vec![
        v.name().into(),
        spec.get("type").text().into(),
        ip.into(),
        external_ip(v, true).into(),
        format_ports(spec.get("ports")).into(),
        object_age(v, now),
        format_labels(spec.get("selector")).into(),
    ]
}
