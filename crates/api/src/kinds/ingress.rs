//! Ingress, IngressClass, NetworkPolicy, ServiceCIDR and IPAddress.

use super::{NameRule, Rules, check, default, object_age};
use crate::field::{At, Errors};
use crate::{Value, names, obj};

const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
                        consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character \
                        (e.g. '*.example.com', regex used for validation is \
                        '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Ingress.
pub const INGRESS: Rules = Rules {
    of: ("networking.k8s.io", "Ingress"),
    prepare: |new, old| super::workload::keep_status(new, old, obj!({"loadBalancer": {}})),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        if spec.get("rules").is_empty() && spec.get("defaultBackend").is_null() {
            e.invalid(&at, Value::Null, "either `defaultBackend` or `rules` must be specified");
        }
        rules(spec.get("rules"), &at.field("rules"), e);
        if spec.get("defaultBackend").is_some() {
            backend(spec.get("defaultBackend"), &at.field("defaultBackend"), e);
        }
        let class = spec.get("ingressClassName").text();
        if !class.is_empty() {
            check::messages(class, names::dns_subdomain(class), &at.field("ingressClassName"), e);
        }
        for (i, t) in spec.get("tls").items().enumerate() {
            let list = at.field("tls");
            let tls = list.index(i);
            for (j, h) in t.get("hosts").items().enumerate() {
                host(h.text(), &tls.field("hosts").index(j), e);
            }
        }
    },
    generation: true,
    cells: Some(|v, now| {
        let spec = v.get("spec");
        let mut hosts: Vec<&str> = Vec::new();
        let (mut more, shown) = (0, 3);
        for r in spec.get("rules").items().filter(|r| !r.get("host").text().is_empty()) {
            if hosts.len() == shown {
                more += 1;
            } else {
                hosts.push(r.get("host").text());
            }
        }
        let hosts = match (hosts.is_empty(), more) {
            (true, _) => "*".to_owned(),
            (_, 0) => hosts.join(","),
            (_, n) => format!("{} + {n} more...", hosts.join(",")),
        };
        let address: Vec<&str> = v
            .at(&["status", "loadBalancer", "ingress"])
            .items()
            .map(
                |i| if i.get("ip").text().is_empty() { i.get("hostname").text() } else { i.get("ip").text() },
            )
            .collect();
        let class = match spec.get("ingressClassName").text() {
            "" => v.annotations().get("kubernetes.io/ingress.class").as_str().unwrap_or("<none>"),
            c => c,
        };
        vec![
            v.name().into(),
            class.into(),
            hosts.into(),
            address.join(",").into(),
            if !spec.get("tls").is_empty() { "80, 443" } else { "80" }.into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

fn host(h: &str, at: &At<'_>, e: &mut Errors) {
    if h.parse::<core::net::IpAddr>().is_ok() {
        e.invalid(at, h, "must be a DNS name, not an IP address");
    } else if h.contains('*') {
        let ok = h.strip_prefix("*.").is_some_and(|rest| names::dns_subdomain(rest).is_empty());
        if !ok {
            e.invalid(at, h, WILDCARD);
        }
    } else {
        check::messages(h, names::dns_subdomain(h), at, e);
    }
}

fn rules(rules: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, r) in rules.items().enumerate() {
        let at = at.index(i);
        let h = r.get("host").text();
        if !h.is_empty() {
            host(h, &at.field("host"), e);
        }
        if r.get("http").is_null() {
            continue;
        }
        let http = at.field("http");
        let list = http.field("paths");
        if r.at(&["http", "paths"]).is_empty() {
            e.required(&list, "");
        }
        for (j, p) in r.at(&["http", "paths"]).items().enumerate() {
            path(p, &list.index(j), e);
        }
    }
}

fn path(p: &Value, at: &At<'_>, e: &mut Errors) {
    let text = p.get("path").text();
    let at_path = at.field("path");
    match p.get("pathType").text() {
        "" if p.get("pathType").is_null() => e.required(&at.field("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                e.invalid(&at_path, text, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(bad) {
                    e.invalid(&at_path, text, &format!("must not contain '{bad}'"));
                }
            }
            for bad in ["/..", "/."] {
                if text.ends_with(bad) {
                    e.invalid(&at_path, text, &format!("cannot end with '{bad}'"));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                e.invalid(&at_path, text, "must be an absolute path");
            }
        }
        other => {
            let all = ["Exact", "ImplementationSpecific", "Prefix"];
            e.not_supported(&at.field("pathType"), other, &all);
        }
    }
    backend(p.get("backend"), &at.field("backend"), e);
}

fn backend(b: &Value, at: &At<'_>, e: &mut Errors) {
    let service = b.get("service");
    match (service.is_some(), b.get("resource").is_some()) {
        (true, true) => e.invalid(at, "", "cannot set both resource and service backends"),
        (true, false) => {
            let service_at = at.field("service");
            let name = service.get("name").text();
            if name.is_empty() {
                e.required(&service_at.field("name"), "");
            } else {
                check::messages(name, names::dns_label(name), &service_at.field("name"), e);
            }
            let port = service.get("port");
            let (text, number) = (port.get("name").text(), port.get("number").int());
            let port_at = service_at.field("port");
            match (text.is_empty(), number) {
                (true, 0) => e.required(at, "port name or number is required"),
                (false, n) if n != 0 => e.invalid(at, "", "cannot set both port name & port number"),
                (false, _) => check::messages(text, check::port_name(text), &port_at.field("name"), e),
                (true, n) if !check::is_port(n) => e.invalid(&port_at.field("number"), n, check::PORT_RANGE),
                _ => {}
            }
        }
        _ => {}
    }
}

/// IngressClass.
pub const CLASS: Rules = Rules {
    of: ("networking.k8s.io", "IngressClass"),
    defaults: |v| {
        if v.at(&["spec", "parameters"]).is_some() {
            default(v.slot(&["spec", "parameters"]), "scope", "Cluster");
        }
    },
    validate: |v, e| {
        check::required(v.get("spec"), "controller", &At::Path("spec"), e);
    },
    validate_update: |new, old, e| {
        check::immutable(new.get("spec"), old.get("spec"), "controller", &At::Path("spec"), e)
    },
    generation: true,
    cells: Some(|v, now| {
        let p = v.at(&["spec", "parameters"]);
        let parameters = match (p.is_null(), p.get("apiGroup").text()) {
            (true, _) => "<none>".to_owned(),
            (_, "") => format!("{}/{}", p.get("kind").text(), p.get("name").text()),
            (_, g) => format!("{}.{g}/{}", p.get("kind").text(), p.get("name").text()),
        };
        vec![
            v.name().into(),
            v.at(&["spec", "controller"]).text().into(),
            parameters.into(),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

/// NetworkPolicy.
pub const POLICY: Rules = Rules {
    of: ("networking.k8s.io", "NetworkPolicy"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        if spec.get("policyTypes").is_empty() {
            let egress = !spec.get("egress").is_empty();
            spec.insert("policyTypes", if egress { obj!(["Ingress", "Egress"]) } else { obj!(["Ingress"]) });
        }
        for key in ["ingress", "egress"] {
            let n = spec.get(key).len();
            for i in 0..n {
                let rule = &mut spec.slot(&[key]).list_mut()[i];
                if !rule.get("ports").is_empty() {
                    rule.slot(&["ports"]).list_mut().iter_mut().for_each(|p| default(p, "protocol", "TCP"));
                }
            }
        }
    },
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        check::selector(spec.get("podSelector"), &at.field("podSelector"), e);
        for (key, peers) in [("ingress", "from"), ("egress", "to")] {
            let list = at.field(key);
            for (i, r) in spec.get(key).items().enumerate() {
                let at = list.index(i);
                policy_ports(r.get("ports"), &at.field("ports"), e);
                policy_peers(r.get(peers), &at.field(peers), e);
            }
        }
        let types = at.field("policyTypes");
        if spec.get("policyTypes").len() > 2 {
            e.invalid(&types, spec.get("policyTypes"), "may not specify more than two policyTypes");
            return;
        }
        for (i, t) in spec.get("policyTypes").items().enumerate() {
            if !matches!(t.text(), "Ingress" | "Egress") {
                e.one_of(&types.index(i), t.text(), &["Ingress", "Egress"]);
            }
        }
    },
    generation: true,
    cells: Some(|v, now| {
        let s = v.at(&["spec", "podSelector"]);
        let text = crate::selector::Selector::describe(s);
        vec![v.name().into(), text.into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

fn policy_ports(ports: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, p) in ports.items().enumerate() {
        let at = at.index(i);
        let protocol = p.get("protocol").text();
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            e.not_supported(&at.field("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
        let (port, end) = (p.get("port"), p.get("endPort").as_int());
        match port {
            Value::Null if end.is_some() => {
                e.invalid(&at.field("endPort"), end.unwrap_or(0), "must be specified with `port`")
            }
            Value::Null => {}
            Value::Str(s) => {
                if end.is_some() {
                    let why = "may not be specified when `port` is non-numeric";
                    e.invalid(&at.field("endPort"), end.unwrap_or(0), why);
                }
                check::messages(s, check::port_name(s), &at.field("port"), e);
            }
            n => {
                if !check::is_port(n.int()) {
                    e.invalid(&at.field("port"), n.int(), check::PORT_RANGE);
                }
                if let Some(end) = end {
                    if end < n.int() {
                        e.invalid(&at.field("endPort"), n.int(), "must be greater than or equal to `port`");
                    }
                    if !check::is_port(end) {
                        e.invalid(&at.field("endPort"), end, check::PORT_RANGE);
                    }
                }
            }
        }
    }
}

fn policy_peers(peers: &Value, at: &At<'_>, e: &mut Errors) {
    for (i, p) in peers.items().enumerate() {
        let at = at.index(i);
        let mut found = 0;
        for key in ["podSelector", "namespaceSelector"] {
            if p.get(key).is_some() {
                found += 1;
                check::selector(p.get(key), &at.field(key), e);
            }
        }
        let block = p.get("ipBlock");
        if block.is_some() {
            let block_at = at.field("ipBlock");
            if check::required(block, "cidr", &block_at, e) {
                let cidr = block.get("cidr").text();
                check::cidr(cidr, &block_at.field("cidr"), e);
                for (j, x) in block.get("except").items().enumerate() {
                    let list = block_at.field("except");
                    let at = list.index(j);
                    if check::cidr(x.text(), &at, e) && !strictly_inside(x.text(), cidr) {
                        e.invalid(&at, x.text(), "must be a strict subset of `cidr`");
                    }
                }
            }
            if found > 0 {
                e.forbidden(&at, "may not specify both ipBlock and another peer");
            }
        } else if found == 0 {
            e.required(&at, "must specify a peer");
        }
    }
}

fn strictly_inside(inner: &str, outer: &str) -> bool {
    let bits = |a: core::net::IpAddr| match a {
        core::net::IpAddr::V4(a) => u128::from(u32::from(a)) << 96,
        core::net::IpAddr::V6(a) => u128::from(a),
    };
    match (check::parse_cidr(inner), check::parse_cidr(outer)) {
        (Some((a, n)), Some((b, m))) => {
            a.is_ipv4() == b.is_ipv4() && n > m && (m == 0 || bits(a) >> (128 - m) == bits(b) >> (128 - m))
        }
        _ => true,
    }
}

/// ServiceCIDR.
pub const SERVICE_CIDR: Rules = Rules {
    of: ("networking.k8s.io", "ServiceCIDR"),
    validate: |v, e| {
        let (list, spec) = (v.at(&["spec", "cidrs"]), At::Path("spec"));
        let at = spec.field("cidrs");
        if list.is_empty() {
            e.required(&at, "at least one CIDR required");
        }
        if list.len() > 2 {
            e.invalid(&at, list, "may only hold up to 2 values");
        }
        for (i, c) in list.items().enumerate() {
            check::cidr(c.text(), &at.index(i), e);
        }
    },
    validate_update: |new, old, e| {
        let (n, o) = (new.get("spec"), old.get("spec"));
        // A second family may come to the first.
        let grows = n.get("cidrs").len() == 2
            && o.get("cidrs").len() == 1
            && n.at(&["cidrs", "0"]) == o.at(&["cidrs", "0"]);
        if !grows {
            check::immutable(n, o, "cidrs", &At::Path("spec"), e);
        }
    },
    cells: Some(|v, now| {
        let all: Vec<&str> = v.at(&["spec", "cidrs"]).items().map(Value::text).collect();
        vec![v.name().into(), all.join(",").into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

/// IPAddress.
pub const IP_ADDRESS: Rules = Rules {
    of: ("networking.k8s.io", "IPAddress"),
    validate: |v, e| {
        check::ip(v.name(), &At::Path("metadata.name"), e);
        let (parent, at) = (v.at(&["spec", "parentRef"]), At::Path("spec.parentRef"));
        if parent.is_null() {
            return e.required(&at, "");
        }
        check::required(parent, "resource", &at, e);
        check::required(parent, "name", &at, e);
    },
    validate_update: |new, old, e| {
        let (n, o) = (new.at(&["spec", "parentRef"]), old.at(&["spec", "parentRef"]));
        if n != o {
            let shown = crate::gostruct::internal_json("io.k8s.api.networking.v1.ParentReference", n);
            let at = At::Path("spec.parentRef");
            e.printed(crate::field::ErrorType::Invalid, &at, &shown, check::IMMUTABLE);
        }
    },
    generation: true,
    cells: Some(|v, _| {
        let p = v.at(&["spec", "parentRef"]);
        let parts = [p.get("group"), p.get("resource"), p.get("namespace"), p.get("name")];
        let all: Vec<&str> = parts.iter().map(|v| v.text()).filter(|t| !t.is_empty()).collect();
        vec![v.name().into(), all.join("/").into()]
    }),
    name: NameRule::PathSegment,
    ..Rules::GENERIC
};
