//! Service.

use super::{NameRule, Rules, check, default, format_labels, object_age};
use crate::field::{At, ErrorType, Errors};
use crate::gostruct::internal_json;
use crate::{Value, names, obj};
use sim::Civil;

/// Service. Addresses and node ports are allocated by the API server.
pub const RULES: Rules = Rules {
    of: ("", "Service"),
    defaults,
    prepare: |new, old| match old {
        None => new.set(&["status"], obj!({"loadBalancer": {}})),
        Some(old) => {
            new.set(&["status"], old.get("status"));
            drop_of_type(new.slot(&["spec"]), old.get("spec"));
        }
    },
    validate,
    validate_update,
    validate_status: |new, _, e| ingress_status(new.at(&["status", "loadBalancer"]), e),
    warnings: |new, _, out| {
        if new.at(&["spec", "trafficDistribution"]).text() == "PreferClose" {
            out.push(
                "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".into(),
            );
        }
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
    if !spec.get("ports").is_empty() {
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
    if !v.at(&["status", "loadBalancer", "ingress"]).is_empty() {
        for i in v.slot(&["status", "loadBalancer", "ingress"]).list_mut() {
            if !i.get("ip").text().is_empty() {
                default(i, "ipMode", "VIP");
            }
        }
    }
}

/// Takes away what belonged to the old type and was not changed. Models: `dropTypeDependentFields`.
fn drop_of_type(new: &mut Value, old: &Value) {
    let kind = |s: &Value| s.get("type").text().to_owned();
    let (now, was) = (kind(new), kind(old));
    let nodes = |k: &str| matches!(k, "NodePort" | "LoadBalancer");
    if nodes(&was) && !nodes(&now) {
        let same = new.get("ports").items().all(|p| {
            let n = p.get("nodePort").int();
            n == 0 || old.get("ports").items().any(|o| o.get("nodePort").int() == n)
        });
        if same && new.get("ports").items().any(|p| p.get("nodePort").is_some()) {
            for p in new.slot(&["ports"]).list_mut() {
                p.remove(&["nodePort"]);
            }
        }
    }
    let checks = |s: &Value| {
        s.get("type").text() == "LoadBalancer" && s.get("externalTrafficPolicy").text() == "Local"
    };
    if checks(old) && !checks(new) && new.get("healthCheckNodePort") == old.get("healthCheckNodePort") {
        new.remove(&["healthCheckNodePort"]);
    }
    let mut drop = |key: &str, needs: &dyn Fn(&str) -> bool| {
        if needs(&was) && !needs(&now) && new.get(key) == old.get(key) {
            new.remove(&[key]);
        }
    };
    for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        drop(key, &|k| k == "LoadBalancer");
    }
    drop("externalTrafficPolicy", &nodes);
    for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
        drop(key, &|k| k != "ExternalName");
    }
    drop("externalName", &|k| k == "ExternalName");
}

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

/// Models: `ValidateService`.
fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let kind = spec.get("type").text();
    let headless = spec.get("clusterIP").text() == "None";
    if spec.get("ports").is_empty() && !headless && kind != "ExternalName" {
        e.required(&at.field("ports"), "");
    }
    ports(spec, kind, &at.field("ports"), e);
    check::labels(spec.get("selector"), &at.field("selector"), e);
    match spec.get("sessionAffinity").text() {
        "ClientIP" => {
            let t = spec.at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).int();
            if !(1..=86_400).contains(&t) {
                let at = At::Path("spec.sessionAffinityConfig.clientIP.timeoutSeconds");
                e.invalid(&at, t, "must be greater than 0 and less than 86400");
            }
        }
        "None" => {}
        other => e.not_supported(&at.field("sessionAffinity"), other, &["ClientIP", "None"]),
    }
    cluster_ips(spec, kind, &at, e);
    let external_at = at.field("externalIPs");
    for (i, ip) in spec.get("externalIPs").items().enumerate() {
        check::endpoint_ip(ip.text(), &external_at.index(i), e);
    }
    if !TYPES.contains(&kind) {
        e.not_supported(&at.field("type"), kind, &TYPES);
    }
    if kind == "ExternalName" {
        let name = spec.get("externalName").text().trim_end_matches('.');
        if name.is_empty() {
            e.required(&at.field("externalName"), "");
        } else {
            check::messages(name, names::dns_subdomain(name), &at.field("externalName"), e);
        }
    }
    policies(spec, kind, &at, e);
}

fn ports(spec: &Value, kind: &str, at: &At<'_>, e: &mut Errors) {
    let ports = spec.get("ports");
    let mut names_seen: Vec<&str> = Vec::new();
    for (i, p) in ports.items().enumerate() {
        let at = at.index(i);
        let name = p.get("name").text();
        if ports.len() > 1 && name.is_empty() {
            e.required(&at.field("name"), "");
        } else if !name.is_empty() {
            check::messages(name, names::dns_label(name), &at.field("name"), e);
            if names_seen.contains(&name) {
                e.duplicate(&at.field("name"), name);
            }
            names_seen.push(name);
        }
        if !check::is_port(p.get("port").int()) {
            e.invalid(&at.field("port"), p.get("port").int(), check::PORT_RANGE);
        }
        match p.get("protocol").text() {
            "" => e.required(&at.field("protocol"), ""),
            "TCP" | "UDP" | "SCTP" => {}
            other => e.not_supported(&at.field("protocol"), other, &["SCTP", "TCP", "UDP"]),
        }
        check::port_or_name(p.get("targetPort"), &at.field("targetPort"), e);
        let app = p.get("appProtocol").text();
        if !app.is_empty() {
            check::messages(app, names::qualified_name(app), &at.field("appProtocol"), e);
        }
        if p.get("nodePort").int() != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
            e.forbidden(&at.field("nodePort"), &format!("may not be used when `type` is '{kind}'"));
        }
    }
    let mut seen: Vec<(i64, &str)> = Vec::new();
    let mut nodes: Vec<(i64, &str)> = Vec::new();
    for (i, p) in ports.items().enumerate() {
        let key = (p.get("port").int(), p.get("protocol").text());
        if seen.contains(&key) {
            let bare = obj!({"protocol": key.1, "port": key.0});
            let shown = internal_json("io.k8s.api.core.v1.ServicePort", &bare);
            e.printed(ErrorType::Duplicate, &at.index(i), &shown, "");
        }
        seen.push(key);
        let node = (p.get("nodePort").int(), p.get("protocol").text());
        if node.0 != 0 {
            if nodes.contains(&node) {
                e.duplicate(&at.index(i).field("nodePort"), node.0);
            }
            nodes.push(node);
        }
    }
}

fn cluster_ips(spec: &Value, kind: &str, at: &At<'_>, e: &mut Errors) {
    let list = at.field("clusterIPs");
    if kind == "ExternalName" {
        if !spec.get("clusterIPs").is_empty() {
            e.forbidden(&list, "may not be set when `type` is 'ExternalName'");
        }
        return;
    }
    let ips = spec.get("clusterIPs");
    if ips.is_empty() && !spec.get("clusterIP").text().is_empty() {
        let ip = spec.get("clusterIP").text();
        if ip != "None" {
            check::ip(ip, &list.index(0), e);
        }
    }
    for (i, ip) in ips.items().enumerate() {
        if ip.text() == "None" {
            if i > 0 {
                e.invalid(&list.index(i), ip.text(), "'None' must be the first and only value");
            }
            if kind != "ClusterIP" {
                let why = format!("may not be set to 'None' for {kind} services");
                e.invalid(&list.index(0), "None", &why);
            }
            continue;
        }
        if !check::ip(ip.text(), &list.index(i), e) {
            continue;
        }
        let family = spec.at(&["ipFamilies", &i.to_string()]).text();
        let six = ip.text().contains(':');
        if (family == "IPv6") != six && !family.is_empty() {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            e.invalid(&list.index(i), ip.text(), &why);
        }
    }
    for (i, f) in spec.get("ipFamilies").items().enumerate() {
        if !matches!(f.text(), "IPv4" | "IPv6") {
            e.not_supported(&at.field("ipFamilies").index(i), f.text(), &["IPv4", "IPv6"]);
        }
    }
    let policies = ["SingleStack", "PreferDualStack", "RequireDualStack"];
    check::choice(spec, "ipFamilyPolicy", at, &policies, e);
}

fn policies(spec: &Value, kind: &str, at: &At<'_>, e: &mut Errors) {
    let external = matches!(kind, "NodePort" | "LoadBalancer") || !spec.get("externalIPs").is_empty();
    let policy = spec.get("externalTrafficPolicy");
    if policy.is_some() {
        let at = at.field("externalTrafficPolicy");
        if !external {
            e.invalid(&at, policy.text(), "may only be set for externally-accessible services");
        } else if !matches!(policy.text(), "Cluster" | "Local") {
            e.one_of(&at, policy.text(), &["Cluster", "Local"]);
        }
    }
    let health = spec.get("healthCheckNodePort").int();
    if health != 0 && !(kind == "LoadBalancer" && policy.text() == "Local") {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        e.invalid(&at.field("healthCheckNodePort"), health, why);
    }
    if kind != "ExternalName" {
        let internal = spec.get("internalTrafficPolicy");
        if internal.is_null() {
            e.required(&at.field("internalTrafficPolicy"), "");
        }
        check::choice(spec, "internalTrafficPolicy", at, &["Cluster", "Local"], e);
    }
    if kind == "LoadBalancer" {
        for (i, r) in spec.get("loadBalancerSourceRanges").items().enumerate() {
            check::cidr(r.text().trim(), &at.field("LoadBalancerSourceRanges").index(i), e);
        }
    } else {
        if !spec.get("loadBalancerSourceRanges").is_empty() {
            let why = "may only be used when `type` is 'LoadBalancer'";
            e.forbidden(&at.field("LoadBalancerSourceRanges"), why);
        }
        for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if spec.get(key).is_some() {
                e.forbidden(&at.field(key), "may only be used when `type` is 'LoadBalancer'");
            }
        }
    }
    let allowed = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    check::choice(spec, "trafficDistribution", at, &allowed, e);
}

/// Models: `ValidateServiceUpdate`.
fn validate_update(new: &Value, old: &Value, e: &mut Errors) {
    let (n, o, at) = (new.get("spec"), old.get("spec"), At::Path("spec"));
    let external = |s: &Value| s.get("type").text() == "ExternalName";
    if !external(n) && !external(o) && !o.get("clusterIP").text().is_empty() {
        let list = at.field("clusterIPs");
        if n.get("clusterIP") != o.get("clusterIP") {
            e.invalid(&list.index(0), n.get("clusterIPs"), "may not change once set");
        }
    }
    let (a, b) = (n.get("loadBalancerClass"), o.get("loadBalancerClass"));
    let balances = |s: &Value| s.get("type").text() == "LoadBalancer";
    if balances(n) && balances(o) && a != b {
        e.invalid(&at.field("loadBalancerClass"), a, "may not change once set");
    }
}

fn ingress_status(v: &Value, e: &mut Errors) {
    let at = At::Path("status.loadBalancer.ingress");
    for (i, ingress) in v.get("ingress").items().enumerate() {
        let ip = ingress.get("ip").text();
        if !ip.is_empty() {
            check::ip(ip, &at.index(i).field("ip"), e);
        }
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
