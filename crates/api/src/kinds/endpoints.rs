//! Endpoints and EndpointSlice.

use super::{Rules, default, object_age};
use crate::Value;
use sim::Civil;

/// How many entries a cell of a table shows.
const SHOWN: usize = 3;

/// Endpoints.
pub const ENDPOINTS: Rules = Rules {
    of: ("", "Endpoints"),
    defaults: |v| {
        if v.get("subsets").len() > 0 {
            for s in v.slot(&["subsets"]).list_mut() {
                if s.get("ports").len() > 0 {
                    s.slot(&["ports"]).list_mut().iter_mut().for_each(|p| default(p, "protocol", "TCP"));
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
        if ports.len() == 0 {
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
        if v.get("ports").len() > 0 {
            for p in v.slot(&["ports"]).list_mut() {
                default(p, "name", "");
                default(p, "protocol", "TCP");
            }
        }
    },
    generation: true,
    cells: Some(slice_cells),
    ..Rules::GENERIC
};

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
