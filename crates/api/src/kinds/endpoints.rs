//! Endpoints and EndpointSlice.

use super::{Rules, check, default, object_age};
use crate::field::{At, Errors};
use crate::{Value, names};
use sim::Civil;

/// How many entries a cell of a table shows.
const SHOWN: usize = 3;

/// Endpoints.
pub const ENDPOINTS: Rules = Rules {
    of: ("", "Endpoints"),
    defaults: |v| {
        if !v.get("subsets").is_empty() {
            for s in v.slot(&["subsets"]).list_mut() {
                if !s.get("ports").is_empty() {
                    s.slot(&["ports"]).list_mut().iter_mut().for_each(|p| default(p, "protocol", "TCP"));
                }
            }
        }
    },
    validate: |v, e| {
        let list = At::Path("subsets");
        for (i, s) in v.get("subsets").items().enumerate() {
            let at = list.index(i);
            for key in ["addresses", "notReadyAddresses"] {
                let list = at.field(key);
                for (j, a) in s.get(key).items().enumerate() {
                    check::endpoint_ip(a.get("ip").text(), &list.index(j).field("ip"), e);
                }
            }
            if s.get("addresses").len() + s.get("notReadyAddresses").len() == 0 {
                e.required(&at, "must specify `addresses` or `notReadyAddresses`");
            }
            let ports = at.field("ports");
            for (j, p) in s.get("ports").items().enumerate() {
                if !check::is_port(p.get("port").int()) {
                    e.invalid(&ports.index(j).field("port"), p.get("port").int(), check::PORT_RANGE);
                }
            }
        }
    },
    warnings: |_, _, out| {
        out.push("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into())
    },
    cells: Some(|v, now| vec![v.name().into(), format_endpoints(v).into(), object_age(v, now)]),
    ..Rules::GENERIC
};

/// `10.1.2.3:80,10.1.2.4:80 + 2 more...`
pub fn format_endpoints(v: &Value) -> String {
    let mut all = Vec::new();
    for s in v.get("subsets").items() {
        let ports = s.get("ports");
        if ports.is_empty() {
            all.extend(s.get("addresses").items().map(|a| a.get("ip").text().to_owned()));
        }
        for p in ports.items() {
            for a in s.get("addresses").items() {
                all.push(format!("{}:{}", a.get("ip").text(), p.get("port").int()));
            }
        }
    }
    if all.is_empty() {
        return "<none>".into();
    }
    let more = all.len().saturating_sub(SHOWN);
    let shown = all[..all.len().min(SHOWN)].join(",");
    if more > 0 { format!("{shown} + {more} more...") } else { shown }
}

/// EndpointSlice.
pub const ENDPOINT_SLICE: Rules = Rules {
    of: ("discovery.k8s.io", "EndpointSlice"),
    defaults: |v| {
        if !v.get("ports").is_empty() {
            for p in v.slot(&["ports"]).list_mut() {
                default(p, "name", "");
                default(p, "protocol", "TCP");
            }
        }
    },
    validate: slice,
    validate_update: |new, old, e| check::immutable(new, old, "addressType", &At::Path(""), e),
    generation: true,
    cells: Some(slice_cells),
    ..Rules::GENERIC
};

fn slice(v: &Value, e: &mut Errors) {
    let types = ["FQDN", "IPv4", "IPv6"];
    let kind = v.get("addressType").text();
    if kind.is_empty() {
        e.required(&At::Path("addressType"), "");
    } else if !types.contains(&kind) {
        e.not_supported(&At::Path("addressType"), kind, &types);
    }
    let ports = At::Path("ports");
    let mut seen: Vec<&str> = Vec::new();
    for (i, p) in v.get("ports").items().enumerate() {
        let at = ports.index(i);
        let name = p.get("name").text();
        if !name.is_empty() {
            check::messages(name, names::dns_label(name), &at.field("name"), e);
        }
        if seen.contains(&name) {
            e.duplicate(&at.field("name"), name);
        }
        seen.push(name);
        check::choice(p, "protocol", &at, &["SCTP", "TCP", "UDP"], e);
    }
    let endpoints = At::Path("endpoints");
    for (i, ep) in v.get("endpoints").items().enumerate() {
        let at = endpoints.index(i);
        let list = at.field("addresses");
        match ep.get("addresses").len() {
            0 => e.required(&list, "must contain at least 1 address"),
            n if n > 100 => e.too_many(&list, n, 100),
            _ => {}
        }
        for (j, a) in ep.get("addresses").items().enumerate() {
            match kind {
                "IPv4" | "IPv6" => check::endpoint_ip(a.text(), &list.index(j), e),
                "FQDN" => check::messages(a.text(), names::dns_subdomain(a.text()), &list.index(j), e),
                _ => {}
            }
        }
    }
}

fn slice_cells(v: &Value, now: Civil) -> Vec<Value> {
    let join = |mut all: Vec<String>| -> Value {
        if all.is_empty() {
            return "<unset>".into();
        }
        let more = all.len().saturating_sub(SHOWN);
        all.truncate(SHOWN);
        let shown = all.join(",");
        if more > 0 { format!("{shown} + {more} more...").into() } else { shown.into() }
    };
    let ports = v
        .get("ports")
        .items()
        .map(|p| match p.get("port").as_int() {
            Some(n) => n.to_string(),
            None => match p.get("name").text() {
                "" => "*".into(),
                name => name.to_owned(),
            },
        })
        .collect();
    let addresses = v
        .get("endpoints")
        .items()
        .flat_map(|e| e.get("addresses").items())
        .map(|a| a.text().to_owned())
        .collect();
    vec![
        v.name().into(),
        v.get("addressType").text().into(),
        join(ports),
        join(addresses),
        object_age(v, now),
    ]
}
