//! CertificateSigningRequest.

use super::{NameRule, Rules, check, object_age, workload};
use crate::field::{At, Errors};
use crate::{Value, names};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// CertificateSigningRequest.
pub const RULES: Rules = Rules {
    of: ("certificates.k8s.io", "CertificateSigningRequest"),
    prepare: |new, old| {
        workload::keep_status(new, old, Value::map());
        if let Some(old) = old {
            new.set(&["spec"], old.get("spec"));
        }
    },
    validate,
    fields: &[("spec.signerName", |v: &Value| v.at(&["spec", "signerName"]).text().to_owned())],
    cells: Some(|v, now| {
        let spec = v.get("spec");
        let duration = match spec.get("expirationSeconds").as_int() {
            Some(n) => crate::duration::human(n * 1_000_000_000),
            None => "<none>".into(),
        };
        vec![
            v.name().into(),
            object_age(v, now),
            spec.get("signerName").as_str().unwrap_or("<none>").into(),
            spec.get("username").text().into(),
            duration.into(),
            status(v).into(),
        ]
    }),
    name: NameRule::PathSegment,
    ..Rules::GENERIC
};

/// `Pending`, or conditions and whether there is a certificate.
fn status(v: &Value) -> String {
    let has = |kind: &str| v.condition(kind).is_some();
    let mut s: Vec<&str> = Vec::new();
    if has("Approved") {
        s.push("Approved");
    } else if has("Denied") {
        s.push("Denied");
    }
    if has("Failed") {
        s.push("Failed");
    }
    if s.is_empty() {
        s.push("Pending");
    }
    if !v.at(&["status", "certificate"]).text().is_empty() {
        s.push("Issued");
    }
    s.join(",")
}

fn validate(v: &Value, e: &mut Errors) {
    let (spec, at) = (v.get("spec"), At::Path("spec"));
    let request = spec.get("request").text();
    let bytes = BASE64_STANDARD.decode(request).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    if !text.trim_start().starts_with("-----BEGIN CERTIFICATE REQUEST-----") {
        e.invalid(&at.field("request"), request, "PEM block type must be CERTIFICATE REQUEST");
    }
    if spec.get("usages").is_empty() {
        e.required(&at.field("usages"), "usages must be specified");
    }
    let signer = spec.get("signerName").text();
    let signer_at = at.field("signerName");
    match signer.split_once('/') {
        None if signer.is_empty() => e.required(&signer_at, ""),
        Some((domain, path)) if domain.contains('.') && !path.is_empty() => {
            check::messages(signer, names::dns_subdomain(domain), &signer_at, e);
        }
        _ => {
            let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            e.invalid(&signer_at, signer, why);
        }
    }
    if spec.get("expirationSeconds").as_int().is_some_and(|n| n < 600) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        e.invalid(&at.field("expirationSeconds"), spec.get("expirationSeconds"), why);
    }
}
