//! Checks that many kinds share: numbers, ports, addresses, selectors, percentages. Models: `apimachinery/validation`.

use crate::field::{At, Errors};
use crate::quantity::Quantity;
use crate::{Value, names};

/// What a port's number must be.
pub const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
/// What a number that counts must be.
pub const NON_NEGATIVE: &str = "must be greater than or equal to 0";
/// What cannot change.
pub const IMMUTABLE: &str = "field is immutable";
const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                       '93%', regex used for validation is '[0-9]+%')";

/// A number that must not be negative; absent is well.
pub fn non_negative(v: &Value, key: &str, at: &At<'_>, e: &mut Errors) {
    if v.get(key).as_int().is_some_and(|n| n < 0) {
        e.invalid(&at.field(key), v.get(key), NON_NEGATIVE);
    }
}

/// A field that must be what it was.
pub fn immutable(new: &Value, old: &Value, key: &str, at: &At<'_>, e: &mut Errors) {
    if new.get(key) != old.get(key) {
        e.invalid(&at.field(key), new.get(key), IMMUTABLE);
    }
}

/// A text that must not be empty; false if it is.
pub fn required(v: &Value, key: &str, at: &At<'_>, e: &mut Errors) -> bool {
    let there = !v.get(key).text().is_empty();
    if !there {
        e.required(&at.field(key), "");
    }
    there
}

/// A text out of a few, where it is set.
pub fn choice(v: &Value, key: &str, at: &At<'_>, allowed: &[&str], e: &mut Errors) {
    let text = v.get(key).text();
    if v.get(key).is_some() && !allowed.contains(&text) {
        e.one_of(&at.field(key), text, allowed);
    }
}

/// Each message about a value as an error of its own.
pub fn messages(value: &str, found: Vec<String>, at: &At<'_>, e: &mut Errors) {
    for m in found {
        e.invalid(at, value, &m);
    }
}

/// Whether a number can be a port.
pub fn is_port(n: i64) -> bool {
    (1..=65535).contains(&n)
}

/// What is wrong with a port's name. Models: `IsValidPortName`.
pub fn port_name(s: &str) -> Vec<String> {
    let mut m: Vec<String> = Vec::new();
    if s.len() > 15 {
        m.push("must be no more than 15 characters".into());
    }
    if s.is_empty() || !s.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-') {
        m.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !s.bytes().any(|c| c.is_ascii_lowercase()) && !s.bytes().any(|c| c.is_ascii_uppercase()) {
        m.push("must contain at least one letter (a-z)".into());
    }
    if s.contains("--") {
        m.push("must not contain consecutive hyphens".into());
    }
    if s.starts_with('-') || s.ends_with('-') {
        m.push("must not begin or end with a hyphen".into());
    }
    m
}

/// A port by number or name.
pub fn port_or_name(v: &Value, at: &At<'_>, e: &mut Errors) {
    match v {
        Value::Str(s) => messages(s, port_name(s), at, e),
        v if !is_port(v.int()) => e.invalid(at, v.int(), PORT_RANGE),
        _ => {}
    }
}

/// An IP address.
pub fn ip(text: &str, at: &At<'_>, e: &mut Errors) -> bool {
    let ok = text.parse::<core::net::IpAddr>().is_ok();
    if !ok {
        e.invalid(at, text, IP);
    }
    ok
}

/// A CIDR with its address and prefix length.
pub fn parse_cidr(text: &str) -> Option<(core::net::IpAddr, u32)> {
    let (a, n) = text.split_once('/')?;
    let a: core::net::IpAddr = a.parse().ok()?;
    let n: u32 = n.parse().ok()?;
    (n <= if a.is_ipv4() { 32 } else { 128 }).then_some((a, n))
}

/// A CIDR.
pub fn cidr(text: &str, at: &At<'_>, e: &mut Errors) -> bool {
    let ok = parse_cidr(text).is_some();
    if !ok {
        e.invalid(at, text, CIDR);
    }
    ok
}

/// An address that endpoints may have: not of the host itself. Models: `ValidateEndpointIP`.
pub fn endpoint_ip(text: &str, at: &At<'_>, e: &mut Errors) {
    if !ip(text, at, e) {
        return;
    }
    let Ok(a) = text.parse::<core::net::IpAddr>() else { return };
    let link_local = match a {
        core::net::IpAddr::V4(a) => a.is_link_local(),
        core::net::IpAddr::V6(a) => a.segments()[0] & 0xffc0 == 0xfe80,
    };
    let multicast = match a {
        core::net::IpAddr::V4(a) => a.octets()[..3] == [224, 0, 0],
        core::net::IpAddr::V6(a) => a.segments()[0] & 0xff0f == 0xff02,
    };
    if a.is_unspecified() {
        e.invalid(at, text, &format!("may not be unspecified ({text})"));
    } else if a.is_loopback() {
        e.invalid(at, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    } else if link_local {
        e.invalid(at, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    } else if multicast {
        e.invalid(at, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// Labels: keys and values.
pub fn labels(v: &Value, at: &At<'_>, e: &mut Errors) {
    for (k, v) in v.entries() {
        messages(k, names::qualified_name(k), at, e);
        messages(v.text(), names::label_value(v.text()), at, e);
    }
}

/// A `LabelSelector`. Models: `ValidateLabelSelector`.
pub fn selector(s: &Value, at: &At<'_>, e: &mut Errors) {
    labels(s.get("matchLabels"), &at.field("matchLabels"), e);
    let list = at.field("matchExpressions");
    for (i, r) in s.get("matchExpressions").items().enumerate() {
        let at = list.index(i);
        let n = r.get("values").len();
        match r.get("operator").text() {
            "In" | "NotIn" if n == 0 => {
                e.required(&at.field("values"), "must be specified when `operator` is 'In' or 'NotIn'")
            }
            "Exists" | "DoesNotExist" if n > 0 => e.forbidden(
                &at.field("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => e.invalid(&at.field("operator"), other, "not a valid selector operator"),
        }
        messages(r.get("key").text(), names::qualified_name(r.get("key").text()), &at.field("key"), e);
        for (j, v) in r.get("values").items().enumerate() {
            messages(v.text(), names::label_value(v.text()), &at.field("values").index(j), e);
        }
    }
}

/// A selector as `Invalid value:` prints it.
pub fn shown_selector(s: &Value) -> String {
    let ty = crate::schema::TypeId::named("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector");
    if s.is_null() { "null".into() } else { crate::gostruct::to_json(ty, s) }
}

/// A count or a percentage. Models: `ValidatePositiveIntOrPercent`.
pub fn int_or_percent(v: &Value, at: &At<'_>, e: &mut Errors) {
    match v {
        Value::Str(s) => {
            let ok =
                s.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
            if !ok {
                e.invalid(at, s.as_str(), PERCENT);
            }
        }
        v if v.int() < 0 => e.invalid(at, v.int(), NON_NEGATIVE),
        _ => {}
    }
}

/// The number of a percentage, if it is one.
pub fn percent(v: &Value) -> Option<i64> {
    v.as_str()?.strip_suffix('%')?.parse().ok()
}

/// A percentage of at most 100. Models: `IsNotMoreThan100Percent`.
pub fn at_most_100(v: &Value, at: &At<'_>, e: &mut Errors) {
    if percent(v).is_some_and(|p| p > 100) {
        e.invalid(at, v, "must not be greater than 100%");
    }
}

/// Whether a count or percentage is zero.
pub fn is_zero(v: &Value) -> bool {
    match v {
        Value::Str(_) => percent(v).unwrap_or(0) == 0,
        v => v.int() == 0,
    }
}

/// A quantity that must not be negative.
pub fn quantity_non_negative(v: &Value, at: &At<'_>, e: &mut Errors) {
    if Quantity::or_zero(v).is_negative() {
        e.invalid(at, v.text(), NON_NEGATIVE);
    }
}

/// The name of a resource: a standard one or a qualified one. Models: `validateResourceName`.
pub fn resource_name(name: &str, at: &At<'_>, e: &mut Errors) {
    let found = names::qualified_name(name);
    if !found.is_empty() {
        return messages(name, found, at, e);
    }
    if !name.contains('/') && !is_standard_resource(name) {
        e.invalid(at, name, "must be a standard resource type or fully qualified");
    }
}

/// Whether a resource of containers counts whole things only.
pub fn is_extended_resource(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Whether a resource is one of those that containers have by nature.
pub fn is_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

/// Whether a resource is counted by quotas as objects are.
pub fn is_object_count(name: &str) -> bool {
    name.starts_with("count/")
        || matches!(
            name,
            "pods"
                | "services"
                | "replicationcontrollers"
                | "resourcequotas"
                | "secrets"
                | "configmaps"
                | "persistentvolumeclaims"
                | "services.nodeports"
                | "services.loadbalancers"
        )
}

fn is_standard_resource(name: &str) -> bool {
    is_container_resource(name) || is_object_count(name) || is_quota_compute(name) || name == "storage"
}

/// Whether a quota may limit it as a compute resource.
pub fn is_quota_compute(name: &str) -> bool {
    let of = name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits."));
    match of {
        Some("storage") => name.starts_with("requests."),
        Some(of) => is_container_resource(of),
        None => matches!(name, "cpu" | "memory" | "ephemeral-storage"),
    }
}

/// Fields that differ between two maps.
pub fn changed<'a>(new: &'a Value, old: &'a Value) -> Vec<&'a str> {
    let mut out: Vec<&str> =
        new.entries().filter(|(k, v)| old.get(k) != *v).map(|(k, _)| k.as_str()).collect();
    out.extend(old.entries().filter(|(k, _)| new.get(k).is_null()).map(|(k, _)| k.as_str()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    #[test]
    fn selectors() {
        let mut e = Errors::default();
        let s = obj!({"matchExpressions": [
            {"key": "app", "operator": "Like", "values": ["b"]}, {"key": "app", "operator": "In"}
        ]});
        selector(&s, &At::Path("spec.selector"), &mut e);
        let texts: Vec<String> = e.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                r#"spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator"#,
                "spec.selector.matchExpressions[1].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            ]
        );
        assert_eq!(port_name("Bad_Port").len(), 1);
        assert_eq!(port_name("a-name-that-is-longer-than-15"), ["must be no more than 15 characters"]);
    }
}
