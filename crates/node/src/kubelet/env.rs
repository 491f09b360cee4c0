//! The environment of a container: its own variables, those of Services, `$(NAME)`.

use super::Cx;
use api::quantity::Quantity;
use api::{Value, obj};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shell::Env;
use std::net::IpAddr;

/// Variables of the Services that a pod sees. Models: `pkg/kubelet/envvars`.
pub(super) fn services(cx: &Cx<'_, '_>, pod: &Value) -> Vec<(String, String)> {
    let links = pod.at(&["spec", "enableServiceLinks"]).as_bool() != Some(false);
    let mut out = Vec::new();
    for s in cx.services.values() {
        let master = s.namespace() == "default" && s.name() == "kubernetes";
        let ip = s.at(&["spec", "clusterIP"]).text();
        if ip.is_empty() || ip == "None" || !(master || (links && s.namespace() == pod.namespace())) {
            continue;
        }
        let name = s.name().to_uppercase().replace('-', "_");
        let ports = s.at(&["spec", "ports"]);
        let first = ports.items().next().map_or(0, |p| p.get("port").int());
        out.push((format!("{name}_SERVICE_HOST"), ip.to_owned()));
        out.push((format!("{name}_SERVICE_PORT"), first.to_string()));
        for p in ports.items().filter(|p| !p.get("name").text().is_empty()) {
            let port = p.get("name").text().to_uppercase().replace('-', "_");
            out.push((format!("{name}_SERVICE_PORT_{port}"), p.get("port").int().to_string()));
        }
        for (i, p) in ports.items().enumerate() {
            let (n, proto) = (p.get("port").int(), p.get("protocol").text());
            let url = format!("{}://{ip}:{n}", proto.to_lowercase());
            if i == 0 {
                out.push((format!("{name}_PORT"), url.clone()));
            }
            let base = format!("{name}_PORT_{n}_{proto}");
            out.push((base.clone(), url));
            out.push((format!("{base}_PROTO"), proto.to_lowercase()));
            out.push((format!("{base}_PORT"), n.to_string()));
            out.push((format!("{base}_ADDR"), ip.to_owned()));
        }
    }
    out
}

/// Reads one key of a ConfigMap or Secret.
///
/// # Errors
/// The kubelet's words for what is missing, unless it is optional.
fn keyed(cx: &mut Cx<'_, '_>, ns: &str, r: &Value, secret: bool) -> Result<Option<String>, String> {
    let res = if secret { cx.ids.secrets } else { cx.ids.config_maps };
    let (name, key) = (r.get("name").text(), r.get("key").text());
    let optional = r.get("optional").is_true();
    let v = match cx.client.get(res, ns, name) {
        Ok(v) => v,
        Err(_) if optional => return Ok(None),
        Err(e) => return Err(singular(&e.message)),
    };
    let data = v.get("data").get(key);
    match (data.as_str(), optional) {
        (Some(s), _) if secret => Ok(Some(decode(s))),
        (Some(s), _) => Ok(Some(s.to_owned())),
        (None, true) => Ok(None),
        (None, false) => {
            let kind = if secret { "Secret" } else { "ConfigMap" };
            Err(format!("couldn't find key {key} in {kind} {ns}/{name}"))
        }
    }
}

/// A status's message as the kubelet's caches say it: of one ConfigMap or Secret.
pub(super) fn singular(message: &str) -> String {
    let one = |m: &str, many: &str, one: &str| m.strip_prefix(many).map(|rest| format!("{one}{rest}"));
    one(message, "configmaps ", "configmap ")
        .or_else(|| one(message, "secrets ", "secret "))
        .unwrap_or_else(|| message.to_owned())
}

/// Base64 as the API carries it.
pub(super) fn decode(s: &str) -> String {
    String::from_utf8_lossy(&BASE64_STANDARD.decode(s).unwrap_or_default()).into_owned()
}

/// A field of the pod as the downward API gives it.
pub(super) fn field(cx: &Cx<'_, '_>, pod: &Value, path: &str, ip: Option<IpAddr>) -> Option<String> {
    let keyed = |prefix: &str| {
        path.strip_prefix(prefix).and_then(|r| r.strip_prefix("['")).and_then(|r| r.strip_suffix("']"))
    };
    let map =
        |v: &Value| v.entries().map(|(k, v)| format!("{k}={:?}", v.text())).collect::<Vec<_>>().join("\n");
    Some(match path {
        "metadata.name" => pod.name().to_owned(),
        "metadata.namespace" => pod.namespace().to_owned(),
        "metadata.uid" => pod.uid().to_owned(),
        "metadata.labels" => map(pod.labels()),
        "metadata.annotations" => map(pod.annotations()),
        "spec.nodeName" => cx.node.to_owned(),
        "spec.serviceAccountName" => pod.at(&["spec", "serviceAccountName"]).text().to_owned(),
        "status.hostIP" | "status.hostIPs" => cx.ip.to_string(),
        "status.podIP" | "status.podIPs" => ip?.to_string(),
        p => {
            if let Some(k) = keyed("metadata.labels") {
                pod.labels().get(k).text().to_owned()
            } else if let Some(k) = keyed("metadata.annotations") {
                pod.annotations().get(k).text().to_owned()
            } else {
                return p.is_empty().then(String::new);
            }
        }
    })
}

/// A container's resource as the downward API gives it. Models: `ExtractContainerResourceValue`.
pub(super) fn resource(pod: &Value, container: &Value, r: &Value) -> String {
    let container = match r.get("containerName").text() {
        "" => container,
        n => pod.at(&["spec", "containers"]).items().find(|c| c.get("name").text() == n).unwrap_or(container),
    };
    let name = r.get("resource").text();
    let (which, what) = name.split_once('.').unwrap_or(("", name));
    let mut q = container.at(&["resources", which, what]).clone();
    if q.is_null() && which == "limits" {
        q = obj!(if what == "cpu" { "4" } else { "8Gi" });
    }
    let divisor = Quantity::or_zero(r.get("divisor"));
    let divisor = if divisor.is_zero() { Quantity::from_value(1) } else { divisor };
    let (v, d) = (Quantity::or_zero(&q).nanos(), divisor.nanos().max(1));
    ((v + d - 1) / d).to_string()
}

/// The whole environment of a container.
///
/// # Errors
/// The message of CreateContainerConfigError.
pub(super) fn container(
    cx: &mut Cx<'_, '_>,
    pod: &Value,
    c: &Value,
    image: &[(&str, &str)],
    hostname: &str,
    ip: Option<IpAddr>,
) -> Result<Env, String> {
    let mut env: Env = image.iter().copied().collect();
    env.set("HOSTNAME", hostname);
    for (k, v) in services(cx, pod) {
        env.set(&k, &v);
    }
    let ns = pod.namespace().to_owned();
    for from in c.get("envFrom").items() {
        for (key, secret) in [("configMapRef", false), ("secretRef", true)] {
            let r = from.get(key);
            if r.is_null() {
                continue;
            }
            let res = if secret { cx.ids.secrets } else { cx.ids.config_maps };
            match cx.client.get(res, &ns, r.get("name").text()) {
                Ok(v) => {
                    for (k, x) in v.get("data").entries() {
                        let value = if secret { decode(x.text()) } else { x.text().to_owned() };
                        env.set(&format!("{}{k}", from.get("prefix").text()), &value);
                    }
                }
                Err(_) if r.get("optional").is_true() => {}
                Err(e) => return Err(singular(&e.message)),
            }
        }
    }
    for e in c.get("env").items() {
        let name = e.get("name").text();
        let from = e.get("valueFrom");
        let value = if from.get("configMapKeyRef").is_some() {
            keyed(cx, &ns, from.get("configMapKeyRef"), false)?
        } else if from.get("secretKeyRef").is_some() {
            keyed(cx, &ns, from.get("secretKeyRef"), true)?
        } else if from.get("fieldRef").is_some() {
            field(cx, pod, from.at(&["fieldRef", "fieldPath"]).text(), ip)
        } else if from.get("resourceFieldRef").is_some() {
            Some(resource(pod, c, from.get("resourceFieldRef")))
        } else {
            Some(expand(e.get("value").text(), &env))
        };
        if let Some(v) = value {
            env.set(name, &v);
        }
    }
    Ok(env)
}

/// `$(NAME)` from the environment, `$$` for a dollar. Models: `third_party/forked/golang/expansion`.
pub(super) fn expand(s: &str, env: &Env) -> String {
    let mut out = String::new();
    let mut rest = s;
    while let Some(i) = rest.find('$') {
        out.push_str(&rest[..i]);
        rest = &rest[i + 1..];
        if let Some(r) = rest.strip_prefix('$') {
            out.push('$');
            rest = r;
        } else if let Some((name, r)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            match env.get(name) {
                Some(v) => out.push_str(v),
                None => out.push_str(&format!("$({name})")),
            }
            rest = r;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[test]
fn expansion() {
    let env: Env = [("A", "1")].into_iter().collect();
    assert_eq!(expand("x$(A)-$$(A)-$(B)-$", &env), "x1-$(A)-$(B)-$");
}
