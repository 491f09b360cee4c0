//! CertificateApproval, CertificateSigning and CertificateSubjectRestriction: who may say yes to which signer's requests.

use super::Attempt;
use crate::auth::Attributes;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;
use base64::Engine as _;

const GROUP: &str = "certificates.k8s.io";
const CLIENTS: &str = "kubernetes.io/kube-apiserver-client";

pub(crate) fn validate(api: &mut ApiServer, cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    if a.r.kind != "CertificateSigningRequest" || a.r.group != GROUP || a.new.is_null() {
        return Ok(());
    }
    let signer = a.new.at(&["spec", "signerName"]).smol();
    let refused = |why: String| Err(Status::forbidden(GROUP, &a.r.plural, a.new.name(), &why));
    match a.op.sub.as_str() {
        "" if a.old.is_null()
            && signer == CLIENTS
            && organizations(a.new.at(&["spec", "request"]).text()).iter().any(|o| o == "system:masters") =>
        {
            return refused(format!("use of {CLIENTS} signer with system:masters group is not allowed"));
        }
        "approval" if !permitted(api, cx, "approve", &signer) => {
            return refused(format!(
                "user not permitted to approve requests with signerName {:?}",
                signer.as_str()
            ));
        }
        "status" if signed(&a.new) != signed(&a.old) && !permitted(api, cx, "sign", &signer) => {
            return refused(format!(
                "user not permitted to sign requests with signerName {:?}",
                signer.as_str()
            ));
        }
        _ => {}
    }
    Ok(())
}

fn signed(v: &Value) -> (&Value, &Value) {
    (v.at(&["status", "certificate"]), v.condition("Failed"))
}

/// The signer itself, or all of its domain.
fn permitted(api: &mut ApiServer, cx: &Cx, verb: &str, signer: &str) -> bool {
    let domain = signer.split_once('/').map_or(signer, |(d, _)| d);
    [signer.to_owned(), format!("{domain}/*")].iter().any(|name| {
        let a = Attributes {
            verb,
            group: GROUP,
            version: "*",
            resource: "signers",
            sub: "",
            namespace: "",
            name,
            path: "",
        };
        api.authorize(&cx.user, &a).is_some()
    })
}

/// Organizations in the subject of a request: PEM inside base64, as manifests have it. Only as much of DER is read as
/// that takes.
fn organizations(request: &str) -> Vec<String> {
    const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];
    let engine = base64::prelude::BASE64_STANDARD;
    let Ok(pem) = engine.decode(request) else { return Vec::new() };
    let pem = String::from_utf8_lossy(&pem);
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).map(str::trim).collect();
    let Ok(der) = engine.decode(body) else { return Vec::new() };
    let mut out = Vec::new();
    for (i, w) in der.windows(ORGANIZATION.len()).enumerate() {
        // After the attribute's type come the tag and the length of a short string.
        if w == ORGANIZATION
            && let Some([_tag, n]) = der.get(i + 5..i + 7)
            && *n < 0x80
            && let Some(text) = der.get(i + 7..i + 7 + usize::from(*n))
        {
            out.push(String::from_utf8_lossy(text).into_owned());
        }
    }
    out
}
