//! Services, Endpoints, EndpointSlices, Ingresses, NetworkPolicies.

use super::{Describer, W, or};
use crate::cx::Done;
use crate::resource::Info;
use api::selector::Selector;
use api::{Value, gofmt};

fn texts(v: &Value) -> String {
    v.items().map(Value::text).collect::<Vec<_>>().join(",")
}

/// Ready addresses of slices with the port of that name; three, and how many more.
fn endpoints_text(slices: &[Value], port_name: &str) -> String {
    if slices.is_empty() {
        return "<none>".into();
    }
    const SHOWN: usize = 3;
    let mut all: Vec<String> = Vec::new();
    for s in slices {
        let ready = s.get("endpoints").items().filter(|e| {
            let r = e.at(&["conditions", "ready"]);
            r.is_null() || r.is_true()
        });
        let ready: Vec<&str> = ready.map(|e| e.get("addresses")[0].text()).collect();
        if s.get("ports").is_empty() {
            all.extend(ready.iter().map(|a| (*a).to_owned()));
        }
        for p in s.get("ports").items().filter(|p| p.get("name").text() == port_name) {
            let port = p.get("port").int();
            all.extend(
                ready
                    .iter()
                    .map(|a| if a.contains(':') { format!("[{a}]:{port}") } else { format!("{a}:{port}") }),
            );
        }
    }
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    let list = all.join(",");
    if more > 0 { format!("{list} + {more} more...") } else { list }
}

fn slices(d: &mut Describer<'_, '_>, ns: &str, service: &str) -> Done<Vec<Value>> {
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices");
    d.list(&path, &format!("kubernetes.io/service-name={service}"))
}

pub(super) fn service(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let spec = v.get("spec");
    let slices = slices(d, &i.namespace, &i.name)?;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "Selector", api::kinds::format_labels(spec.get("selector")));
    w.field(0, "Type", spec.get("type").text());
    if spec.get("ipFamilyPolicy").is_some() {
        w.field(0, "IP Family Policy", spec.get("ipFamilyPolicy").text());
    }
    let families = texts(spec.get("ipFamilies"));
    w.field(0, "IP Families", or(&families, "<none>"));
    w.field(0, "IP", spec.get("clusterIP").text());
    let ips = texts(spec.get("clusterIPs"));
    w.field(0, "IPs", or(&ips, "<none>"));
    if !spec.get("externalIPs").is_empty() {
        w.field(0, "External IPs", texts(spec.get("externalIPs")));
    }
    if !spec.get("loadBalancerIP").text().is_empty() {
        w.field(0, "Desired LoadBalancer IP", spec.get("loadBalancerIP").text());
    }
    if !spec.get("externalName").text().is_empty() {
        w.field(0, "External Name", spec.get("externalName").text());
    }
    let ingress = v.at(&["status", "loadBalancer", "ingress"]);
    if !ingress.is_empty() {
        let list: Vec<String> = ingress
            .items()
            .map(|x| {
                let at = or(x.get("ip").text(), x.get("hostname").text()).to_owned();
                match x.get("ipMode").text() {
                    "" => at,
                    m => format!("{at} ({m})"),
                }
            })
            .collect();
        w.field(0, "LoadBalancer Ingress", list.join(", "));
    }
    for p in spec.get("ports").items() {
        let name = p.get("name").text();
        let protocol = p.get("protocol").text();
        w.line(0, format!("Port:\t{}\t{}/{protocol}", or(name, "<unset>"), p.get("port").int()));
        w.field(0, "TargetPort", format!("{}/{protocol}", gofmt::value(p.get("targetPort"))));
        if p.get("nodePort").int() != 0 {
            w.line(0, format!("NodePort:\t{}\t{}/{protocol}", or(name, "<unset>"), p.get("nodePort").int()));
        }
        w.field(0, "Endpoints", endpoints_text(&slices, name));
    }
    w.field(0, "Session Affinity", spec.get("sessionAffinity").text());
    for (label, key) in [
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("Traffic Distribution", "trafficDistribution"),
    ] {
        if !spec.get(key).text().is_empty() {
            w.field(0, label, spec.get(key).text());
        }
    }
    if spec.get("healthCheckNodePort").int() != 0 {
        w.field(0, "HealthCheck NodePort", spec.get("healthCheckNodePort").int());
    }
    if !spec.get("loadBalancerSourceRanges").is_empty() {
        w.field(0, "LoadBalancer Source Ranges", texts(spec.get("loadBalancerSourceRanges")));
    }
    d.write_events(w, i)
}

pub(super) fn endpoints(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.line(0, "Subsets:");
    for s in v.get("subsets").items() {
        for (label, key) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let list: Vec<&str> = s.get(key).items().map(|a| a.get("ip").text()).collect();
            let text = list.join(",");
            w.field(1, label, or(&text, "<none>"));
        }
        if !s.get("ports").is_empty() {
            w.line(1, "Ports:");
            w.line(2, "Name\tPort\tProtocol");
            w.line(2, "----\t----\t--------");
            for p in s.get("ports").items() {
                w.line(
                    2,
                    format!(
                        "{}\t{}\t{}",
                        or(p.get("name").text(), "<unset>"),
                        p.get("port").int(),
                        p.get("protocol").text()
                    ),
                );
            }
        }
        w.line(0, "");
    }
    d.write_events(w, i)
}

pub(super) fn endpoint_slice(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "AddressType", v.get("addressType").text());
    if v.get("ports").is_empty() {
        w.line(0, "Ports: <unset>");
    } else {
        w.line(0, "Ports:");
        w.line(1, "Name\tPort\tProtocol");
        w.line(1, "----\t----\t--------");
        for p in v.get("ports").items() {
            let port = p.get("port");
            let port = if port.is_null() { "<unset>".into() } else { gofmt::value(port) };
            w.line(
                1,
                format!("{}\t{port}\t{}", or(p.get("name").text(), "<unset>"), p.get("protocol").text()),
            );
        }
    }
    if v.get("endpoints").is_empty() {
        w.line(0, "Endpoints: <none>");
    } else {
        w.line(0, "Endpoints:");
    }
    for e in v.get("endpoints").items() {
        w.line(1, format!("- Addresses:\t{}", texts(e.get("addresses"))));
        w.line(2, "Conditions:");
        let ready = e.at(&["conditions", "ready"]);
        w.field(3, "Ready", if ready.is_null() { "<unset>".into() } else { gofmt::value(ready) });
        w.field(2, "Hostname", or(e.get("hostname").text(), "<unset>"));
        let target = e.get("targetRef");
        if target.is_some() {
            w.field(2, "TargetRef", format!("{}/{}", target.get("kind").text(), target.get("name").text()));
        }
        w.field(2, "NodeName", or(e.get("nodeName").text(), "<unset>"));
        w.field(2, "Zone", or(e.get("zone").text(), "<unset>"));
        let zones = e.at(&["hints", "forZones"]);
        if !zones.is_empty() {
            let list: Vec<&str> = zones.items().map(|z| z.get("name").text()).collect();
            w.line(2, "Hints:");
            w.field(3, "For Zones", list.join(","));
        }
    }
    d.write_events(w, i)
}

fn backend(d: &mut Describer<'_, '_>, ns: &str, b: &Value) -> Done<String> {
    let s = b.get("service");
    if s.is_null() {
        let r = b.get("resource");
        let group = if r.get("apiGroup").is_null() { "<none>" } else { r.get("apiGroup").text() };
        return Ok(format!(
            "APIGroup: {group}, Kind: {}, Name: {}",
            r.get("kind").text(),
            r.get("name").text()
        ));
    }
    let (name, port) = (s.get("name").text(), s.get("port"));
    let shown = if port.get("number").int() != 0 {
        gofmt::value(port.get("number"))
    } else {
        port.get("name").text().into()
    };
    let head = format!("{name}:{shown}");
    let r = d.api.get(d.cx, &format!("/api/v1/namespaces/{ns}/services/{name}"));
    let service = match d.cx.catch(r)? {
        Ok(v) => v,
        Err(e) => return Ok(format!("{head} (<error: {}>)", e.message())),
    };
    let port_name = service
        .at(&["spec", "ports"])
        .items()
        .find(|p| {
            if port.get("number").int() != 0 {
                p.get("port") == port.get("number")
            } else {
                p.get("name") == port.get("name")
            }
        })
        .map_or("", |p| p.get("name").text())
        .to_owned();
    let list = slices(d, ns, name)?;
    Ok(format!("{head} ({})", endpoints_text(&list, &port_name)))
}

pub(super) fn ingress(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    let spec = v.get("spec");
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.field(0, "Namespace", v.namespace());
    let addresses: Vec<&str> = v
        .at(&["status", "loadBalancer", "ingress"])
        .items()
        .map(|x| or(x.get("ip").text(), x.get("hostname").text()))
        .collect();
    w.field(0, "Address", addresses.join(","));
    w.field(0, "Ingress Class", or(spec.get("ingressClassName").text(), "<none>"));
    let default = spec.get("defaultBackend");
    let default = if default.is_null() { "<default>".to_owned() } else { backend(d, &i.namespace, default)? };
    w.field(0, "Default backend", &default);
    if !spec.get("tls").is_empty() {
        w.line(0, "TLS:");
        for t in spec.get("tls").items() {
            let hosts = texts(t.get("hosts"));
            match t.get("secretName").text() {
                "" => w.line(1, format!("SNI routes {hosts}")),
                s => w.line(1, format!("{s} terminates {hosts}")),
            }
        }
    }
    w.line(0, "Rules:");
    w.line(1, "Host\tPath\tBackends");
    w.line(1, "----\t----\t--------");
    let mut any = false;
    for r in spec.get("rules").items() {
        if r.get("http").is_null() {
            continue;
        }
        any = true;
        w.line(1, format!("{}\t", or(r.get("host").text(), "*")));
        for p in r.at(&["http", "paths"]).items() {
            let b = backend(d, &i.namespace, p.get("backend"))?;
            w.line(2, format!("\t{} \t{b}", p.get("path").text()));
        }
    }
    if !any {
        w.line(1, format!("*\t*\t{default}"));
    }
    w.annotations(v.annotations());
    d.write_events(w, i)
}

pub(super) fn ingress_class(d: &mut Describer<'_, '_>, w: &mut W, i: &Info) -> Done {
    let v = &i.object;
    w.field(0, "Name", v.name());
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.field(0, "Controller", v.at(&["spec", "controller"]).text());
    let p = v.at(&["spec", "parameters"]);
    if p.is_some() {
        w.line(0, "Parameters:");
        if !p.get("apiGroup").text().is_empty() {
            w.field(1, "APIGroup", p.get("apiGroup").text());
        }
        w.field(1, "Kind", p.get("kind").text());
        w.field(1, "Name", p.get("name").text());
    }
    d.write_events(w, i)
}

pub(super) fn network_policy(w: &mut W, i: &Info) {
    let v = &i.object;
    let spec = v.get("spec");
    w.field(0, "Name", v.name());
    w.field(0, "Namespace", v.namespace());
    let created =
        v.at(&["metadata", "creationTimestamp"]).text().replace('T', " ").replace('Z', " +0000 UTC");
    w.field(0, "Created on", created);
    w.labels("Labels", v.labels());
    w.annotations(v.annotations());
    w.line(0, "Spec:");
    let selector = spec.get("podSelector");
    let text = if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
        "<none> (Allowing the specific traffic to all pods in this namespace)".to_owned()
    } else {
        Selector::describe(selector)
    };
    w.line(1, format!("PodSelector:     {text}"));
    let types = spec.get("policyTypes");
    let has = |t: &str| types.items().any(|x| x.text() == t);
    for (name, key, peers, what) in [("Ingress", "ingress", "from", "From"), ("Egress", "egress", "to", "To")]
    {
        let word = name.to_lowercase();
        if has(name) {
            w.line(1, format!("Allowing {word} traffic:"));
            rules(w, spec.get(key), peers, what, &word);
        } else {
            w.line(1, format!("Not affecting {word} traffic"));
        }
    }
    let list: Vec<&str> = types.items().map(Value::text).collect();
    w.line(1, format!("Policy Types: {}", list.join(", ")));
}

fn rules(w: &mut W, list: &Value, peers: &str, what: &str, word: &str) {
    if list.is_empty() {
        w.line(2, format!("<none> (Selected pods are isolated for {word} connectivity)"));
        return;
    }
    let whom = if what == "From" { "source" } else { "destination" };
    for (n, r) in list.items().enumerate() {
        if r.get("ports").is_empty() {
            w.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        for p in r.get("ports").items() {
            let protocol = or(p.get("protocol").text(), "TCP");
            let port = if p.get("port").is_null() { "<any>".into() } else { gofmt::value(p.get("port")) };
            match p.get("endPort") {
                Value::Null => w.line(2, format!("To Port: {port}/{protocol}")),
                end => w.line(2, format!("To Port Range: {port}-{}/{protocol}", end.int())),
            }
        }
        if r.get(peers).is_empty() {
            w.line(2, format!("{what}: <any> (traffic not restricted by {whom})"));
        }
        for p in r.get(peers).items() {
            w.line(2, format!("{what}:"));
            for (label, key) in [("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")] {
                if p.get(key).is_some() {
                    w.line(3, format!("{label}: {}", Selector::describe(p.get(key))));
                }
            }
            let block = p.get("ipBlock");
            if block.is_some() {
                w.line(3, "IPBlock:");
                w.line(4, format!("CIDR: {}", block.get("cidr").text()));
                let except = block.get("except").items().map(Value::text).collect::<Vec<_>>().join(", ");
                w.line(4, format!("Except: {except}"));
            }
        }
        if n + 1 < list.len() {
            w.line(2, "----------");
        }
    }
}
