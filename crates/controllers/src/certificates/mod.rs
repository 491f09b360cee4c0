//! Certificate signing requests: signed once approved, cleaned up when old.
//!
//! Models: `pkg/controller/certificates` (signer and cleaner). Certificates have the form of real ones; their signature is
//! a token, as the cluster's authority is. Requests of kubelets are not approved automatically: ours need none.

mod x509;

use crate::runtime::{Controller, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::ResId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sim::{Civil, Duration};

/// Models: the cleaner's polling interval and how long it keeps what is decided and what is not.
const POLL: Duration = Duration::from_secs(600);
const DECIDED_S: i64 = 3_600;
const PENDING_S: i64 = 86_400;
/// Validity of a certificate whose request names none.
const VALID_S: i64 = 365 * 86_400;

/// The controller.
#[derive(Clone, Debug)]
pub struct Certificates {
    requests: ResId,
}

impl Certificates {
    /// The controller of `certificates.k8s.io/v1` CertificateSigningRequests.
    pub fn new(kinds: &Kinds) -> Self {
        Certificates { requests: kinds.get("certificates.k8s.io", "certificatesigningrequests") }
    }

    fn sign(&self, turn: &mut Turn<'_>, csr: &Value) -> Result<(), apiserver::Status> {
        let mut new = csr.clone();
        match certificate(turn, csr) {
            Ok(pem) => new.set(&["status", "certificate"], BASE64.encode(pem.as_bytes())),
            Err(why) => {
                let c = obj!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why,
                    "lastUpdateTime": turn.client.timestamp(), "lastTransitionTime": turn.client.timestamp()
                });
                new.push_at(&["status", "conditions"], c);
            }
        }
        turn.client.update_sub(self.requests, "status", new).map(|_| ())
    }
}

fn certificate(turn: &mut Turn<'_>, csr: &Value) -> Result<String, String> {
    let usages: Vec<&str> = csr.at(&["spec", "usages"]).items().map(Value::text).collect();
    check_usages(csr.at(&["spec", "signerName"]).text(), &usages)?;
    let unreadable = || format!("unable to parse csr \"{}\"", csr.name());
    let pem = BASE64.decode(csr.at(&["spec", "request"]).text()).map_err(|_| unreadable())?;
    let request = x509::Request::parse(&String::from_utf8_lossy(&pem)).ok_or_else(unreadable)?;
    let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
    let valid = csr.at(&["spec", "expirationSeconds"]).as_int().unwrap_or(VALID_S);
    // Five minutes earlier, for clocks that lag.
    Ok(x509::certificate(&request, csr.uid(), (now - 300, now + valid - 300), &usages))
}

/// Models: the usages that each signer demands and allows.
fn check_usages(signer: &str, usages: &[&str]) -> Result<(), String> {
    let (need, kind) = match signer {
        "kubernetes.io/kube-apiserver-client" | "kubernetes.io/kube-apiserver-client-kubelet" => {
            ("client auth", "client")
        }
        "kubernetes.io/kubelet-serving" => ("server auth", "serving"),
        _ => return Ok(()),
    };
    let optional = ["digital signature", "key encipherment"];
    if let Some(u) = usages.iter().find(|u| **u != need && !optional.contains(u)) {
        return Err(format!("invalid usage for {kind} certificate: {u}"));
    }
    if !usages.contains(&need) {
        return Err(format!("missing required usage for {kind} certificate: {need}"));
    }
    Ok(())
}

fn has(csr: &Value, kind: &str) -> bool {
    csr.condition(kind).is_some()
}

/// Whether the cleaner deletes a request now.
fn is_old(csr: &Value, now: i64) -> bool {
    let age = |t: &Value| Civil::parse(t.text()).map_or(0, |t| now - t.unix());
    let decided = ["Approved", "Denied", "Failed"]
        .iter()
        .any(|k| age(csr.condition(k).get("lastUpdateTime")) > DECIDED_S);
    let undecided = csr.at(&["status", "conditions"]).is_empty();
    decided || (undecided && age(csr.at(&["metadata", "creationTimestamp"])) > PENDING_S)
}

impl Controller for Certificates {
    fn name(&self) -> &'static str {
        "certificate-controller"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.requests]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.new.is_some() {
            queue.add(seen.key());
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(csr) = turn.cached(self.requests, key) else { return Ok(Next::Done) };
        let ours = csr.at(&["spec", "signerName"]).text().starts_with("kubernetes.io/");
        let signed = !csr.at(&["status", "certificate"]).text().is_empty();
        if ours && has(&csr, "Approved") && !has(&csr, "Denied") && !has(&csr, "Failed") && !signed {
            self.sign(turn, &csr)?;
        }
        let now = turn.client.api.settings.epoch.civil(turn.now()).unix();
        if is_old(&csr, now) {
            return match turn.client.delete(self.requests, "", &key.1, Value::Null) {
                Err(s) if s.code != 404 => Err(s.into()),
                _ => Ok(Next::Done),
            };
        }
        Ok(Next::After(POLL))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
