//! The subject of a client certificate: who a kubeconfig user is. Signatures are left to the server.

use api::SmolStr;
use base64::Engine;

/// Common name and organizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Common name: the user.
    pub name: SmolStr,
    /// Organizations: the groups.
    pub groups: Vec<SmolStr>,
}

/// The subject of the first certificate, or certificate request, of a PEM text.
pub fn subject(pem: &str) -> Option<Subject> {
    let start = pem.find("-----BEGIN CERTIFICATE")?;
    let body = pem[start..].split_once("-----\n").map(|(_, b)| b)?;
    let body = body.split_once("-----END").map(|(b, _)| b)?;
    let compact: String = body.split_ascii_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD.decode(compact).ok()?;
    let (tbs, _) = open(&der, 0x30).and_then(|(cert, _)| open(cert, 0x30))?;
    let mut rest = tbs;
    // Certificates have [0] version, serial, algorithm, issuer, validity, subject; requests have version, subject.
    let mut sequences = 0;
    let wanted = if pem[start..].starts_with("-----BEGIN CERTIFICATE REQUEST") { 1 } else { 4 };
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        rest = after;
        if tag == 0x30 {
            sequences += 1;
            if sequences == wanted {
                return name(content);
            }
        }
    }
    None
}

fn name(mut rdns: &[u8]) -> Option<Subject> {
    let mut out = Subject { name: SmolStr::default(), groups: Vec::new() };
    while !rdns.is_empty() {
        let (set, after) = open(rdns, 0x31)?;
        rdns = after;
        let (pair, _) = open(set, 0x30)?;
        let (oid, value) = open(pair, 0x06)?;
        let (_, text, _) = element(value)?;
        let text = SmolStr::from(String::from_utf8_lossy(text));
        match oid {
            [0x55, 0x04, 0x03] => out.name = text,
            [0x55, 0x04, 0x0a] => out.groups.push(text),
            _ => {}
        }
    }
    Some(out)
}

/// The content of an element of that tag, and what follows it.
fn open(der: &[u8], want: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == want).then_some((content, rest))
}

/// Tag, content, rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let n = usize::from(first & 0x7f);
        if n == 0 || n > 3 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(n)?;
        (bytes.iter().fold(0usize, |a, b| a << 8 | usize::from(*b)), rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// Whether a certificate and a private key, both PEM, belong together; errors as Go's `tls.X509KeyPair` words them.
pub fn check_pair(cert: &str, key: &str) -> Result<(), String> {
    let der = |pem: &str, what: &str| -> Option<Vec<u8>> {
        let start = pem.match_indices("-----BEGIN ").map(|(i, _)| i).find(|i| {
            let name = pem[i + 11..].split("-----").next().unwrap_or("");
            name == what || (what == "KEY" && name.ends_with("PRIVATE KEY"))
        })?;
        let body = pem[start..].split_once("-----\n")?.1.split_once("-----END")?.0;
        let compact: String = body.split_ascii_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(compact).ok()
    };
    let Some(cert) = der(cert, "CERTIFICATE") else {
        return Err("tls: failed to find any PEM data in certificate input".into());
    };
    let Some(key) = der(key, "KEY") else {
        return Err("tls: failed to find any PEM data in key input".into());
    };
    let Some(public) = public_key(&cert) else {
        return Err("x509: malformed certificate".into());
    };
    // A private key holds its RSA modulus, or mostly its curve point, word for word.
    let holds = key.windows(public.len()).any(|w| w == public);
    if holds { Ok(()) } else { Err("tls: private key does not match public key".into()) }
}

/// The modulus or point of a certificate's key.
fn public_key(cert: &[u8]) -> Option<Vec<u8>> {
    let (tbs, _) = open(cert, 0x30).and_then(|(c, _)| open(c, 0x30))?;
    let (mut rest, mut sequences) = (tbs, 0);
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        rest = after;
        sequences += usize::from(tag == 0x30);
        if tag == 0x30 && sequences == 5 {
            let (_, after) = open(content, 0x30)?;
            let (bits, _) = open(after, 0x03)?;
            let key = bits.get(1..)?;
            return Some(match open(key, 0x30).and_then(|(k, _)| open(k, 0x02)) {
                Some((modulus, _)) => modulus.to_vec(),
                None => key.to_vec(),
            });
        }
    }
    None
}
