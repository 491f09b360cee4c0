//! Just enough DER to read a PKCS #10 request and to write an X.509 certificate of its subject and key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A request's parts, as DER.
#[derive(Debug)]
pub(super) struct Request {
    subject: Vec<u8>,
    key: Vec<u8>,
    /// Subject alternative names, if it asks for some.
    names: Option<Vec<u8>>,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
/// 1.2.840.113549.1.1.11, sha256WithRSAEncryption, with its null.
const ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// 2.5.29.17, subjectAltName, as it is encoded.
const ALT_NAMES: &[u8] = &[OID, 3, 0x55, 0x1d, 17];

/// An element: its tag and content, and what follows. `None` if it is cut off.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// The first element whole, and what follows.
fn whole(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, rest) = element(der)?;
    Some((&der[..der.len() - rest.len()], rest))
}

fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let n = content.len();
    let mut out = vec![tag];
    match n {
        0..=0x7f => out.push(n as u8),
        0x80..=0xff => out.extend([0x81, n as u8]),
        _ => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(content);
    out
}

impl Request {
    /// Reads a request in PEM.
    pub(super) fn parse(pem: &str) -> Option<Request> {
        let body = pem.split("-----BEGIN CERTIFICATE REQUEST-----").nth(1)?;
        let body: String = body.split("-----END").next()?.split_whitespace().collect();
        let der = BASE64.decode(&body).ok()?;
        let (_, request, _) = element(&der)?;
        let (_, info, _) = element(request)?;
        let (_, rest) = whole(info)?;
        let (subject, rest) = whole(rest)?;
        let (key, attributes) = whole(rest)?;
        // The names lie deep in the attributes: their extension begins with its identifier.
        let at = attributes.windows(ALT_NAMES.len()).position(|w| w == ALT_NAMES);
        let names = at.and_then(|i| whole(&attributes[i + ALT_NAMES.len()..])).map(|(v, _)| v.to_vec());
        Some(Request { subject: subject.to_vec(), key: key.to_vec(), names })
    }
}

/// `YYMMDDhhmmssZ`
fn time(unix: i64) -> Vec<u8> {
    let text: String =
        sim::Civil::from_unix(unix, 0).rfc3339().chars().filter(char::is_ascii_digit).skip(2).collect();
    encode(0x17, &[text.as_bytes(), b"Z"])
}

fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    encode(SEQUENCE, &[&encode(OID, &[&[0x55, 0x1d, id]]), flag, &encode(OCTETS, &[value])])
}

/// The bits of keyUsage and the identifiers of extKeyUsage, 1.3.6.1.5.5.7.3.N, for Kubernetes' names of usages.
fn usages(names: &[&str]) -> (u8, Vec<u8>) {
    let (mut bits, mut extended) = (0u8, Vec::new());
    for n in names {
        match *n {
            "digital signature" | "signing" => bits |= 0x80,
            "content commitment" => bits |= 0x40,
            "key encipherment" => bits |= 0x20,
            "data encipherment" => bits |= 0x10,
            "key agreement" => bits |= 0x08,
            "cert sign" => bits |= 0x04,
            "crl sign" => bits |= 0x02,
            other => {
                let n = match other {
                    "server auth" => 1,
                    "client auth" => 2,
                    "code signing" => 3,
                    "email protection" => 4,
                    _ => continue,
                };
                extended.extend(encode(OID, &[&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, n]]));
            }
        }
    }
    (bits, extended)
}

/// A certificate in PEM. `seed` gives its number and the token in the place of its signature.
pub(super) fn certificate(r: &Request, seed: &str, (from, until): (i64, i64), names: &[&str]) -> String {
    let token: Vec<u8> = seed.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let mut serial = vec![0x01];
    serial.extend(token.iter().take(15));
    let common_name =
        encode(SEQUENCE, &[&encode(OID, &[&[0x55, 0x04, 0x03]]), &encode(0x0c, &[b"kubernetes"])]);
    let issuer = encode(SEQUENCE, &[&encode(SET, &[&common_name])]);
    let (bits, extended) = usages(names);
    let mut extensions = Vec::new();
    if bits != 0 {
        let unused = bits.trailing_zeros() as u8;
        extensions.extend(extension(15, true, &encode(BITS, &[&[unused, bits]])));
    }
    if !extended.is_empty() {
        extensions.extend(extension(37, false, &encode(SEQUENCE, &[&extended])));
    }
    extensions.extend(extension(19, true, &encode(SEQUENCE, &[])));
    if let Some(value) = &r.names {
        extensions.extend(encode(SEQUENCE, &[ALT_NAMES, value]));
    }
    let body = encode(
        SEQUENCE,
        &[
            &encode(0xa0, &[&[0x02, 0x01, 0x02]]),
            &encode(0x02, &[&serial]),
            ALGORITHM,
            &issuer,
            &encode(SEQUENCE, &[&time(from), &time(until)]),
            &r.subject,
            &r.key,
            &encode(0xa3, &[&encode(SEQUENCE, &[&extensions])]),
        ],
    );
    let signature: Vec<u8> = token.iter().copied().cycle().take(256).collect();
    let der = encode(SEQUENCE, &[&body, ALGORITHM, &encode(BITS, &[&[0], &signature])]);
    let text = BASE64.encode(&der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem += line;
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
#[test]
fn elements_have_their_length() {
    assert_eq!(element(&encode(4, &[b"ab"])), Some((4, &b"ab"[..], &[][..])));
    let long = encode(4, &[&[7; 300]]);
    assert_eq!(element(&long).map(|(_, c, _)| c.len()), Some(300));
    assert_eq!(element(&long[..100]), None);
    assert_eq!(usages(&["client auth", "digital signature"]).0, 0x80);
}
