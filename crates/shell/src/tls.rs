//! A stand-in for TLS: who a server says it is and who vouches for it, without cryptography.
//!
//! Client and server exchange one record each: the client's names the host that it wants, the server's carries the names
//! of its certificate and the PEM text of the authority that issued it. After that the bytes are the application's own.
//! So `curl --cacert`, `-k` and their errors behave as they should, and nothing is secret: a simplification that the
//! fidelity ledger lists.

const CLIENT: u8 = 1;
const SERVER: u8 = 2;
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// What a client says first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientHello {
    /// The host that it wants.
    pub host: String,
    /// The common name of its certificate, if it shows one.
    pub user: Option<String>,
    /// The organizations of that certificate.
    pub groups: Vec<String>,
}

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerHello {
    /// Names and addresses that its certificate is for.
    pub names: Vec<String>,
    /// The PEM text of its issuer; empty if it issued itself.
    pub issuer: String,
    /// Whether it agrees to HTTP/2, which then shows in the form of its answers alone.
    pub h2: bool,
}

/// Why a client does not trust a server; the texts are OpenSSL's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distrust {
    /// Nobody known vouches for it.
    UnknownIssuer,
    /// It vouches for itself.
    SelfSigned,
    /// The certificate is for others.
    WrongHost,
}

fn record(kind: u8, lines: &[String]) -> Vec<u8> {
    let text = lines.join("\x1f");
    let mut out = vec![0x16, 3, 3, 0, 0, kind];
    out.extend(text.bytes().take(RECORD_BYTES_MAX));
    let n = out.len() - 5;
    if let Some(l) = out.get_mut(3..5) {
        l.copy_from_slice(&(n as u16).to_be_bytes());
    }
    out
}

/// Takes a record off the front of a buffer. `Ok(None)` if more bytes are needed, `Err` if it is none.
fn take(buf: &mut Vec<u8>, kind: u8) -> Result<Option<Vec<String>>, ()> {
    if buf.first().is_some_and(|b| *b != 0x16) {
        return Err(());
    }
    let Some([_, _, _, a, b, k]) = buf.get(..6) else { return Ok(None) };
    let (n, k) = (usize::from(u16::from_be_bytes([*a, *b])), *k);
    if k != kind || n == 0 {
        return Err(());
    }
    if buf.len() < 5 + n {
        return Ok(None);
    }
    let r: Vec<u8> = buf.drain(..5 + n).skip(6).collect();
    Ok(Some(String::from_utf8_lossy(&r).split('\x1f').map(str::to_string).collect()))
}

impl ClientHello {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        record(CLIENT, &[self.host.clone(), self.user.clone().unwrap_or_default(), self.groups.join(",")])
    }

    /// Takes one off a buffer; `Err` if the peer does not speak TLS.
    #[allow(clippy::result_unit_err)]
    pub fn take(buf: &mut Vec<u8>) -> Result<Option<ClientHello>, ()> {
        Ok(take(buf, CLIENT)?.map(|f| {
            let at = |i: usize| f.get(i).cloned().unwrap_or_default();
            ClientHello {
                host: at(0),
                user: Some(at(1)).filter(|u| !u.is_empty()),
                groups: at(2).split(',').filter(|g| !g.is_empty()).map(str::to_string).collect(),
            }
        }))
    }
}

impl ServerHello {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        record(SERVER, &[self.names.join(","), self.issuer.clone(), if self.h2 { "h2" } else { "" }.into()])
    }

    /// Takes one off a buffer; `Err` if the peer does not speak TLS.
    #[allow(clippy::result_unit_err)]
    pub fn take(buf: &mut Vec<u8>) -> Result<Option<ServerHello>, ()> {
        Ok(take(buf, SERVER)?.map(|f| {
            let at = |i: usize| f.get(i).cloned().unwrap_or_default();
            ServerHello {
                names: at(0).split(',').filter(|g| !g.is_empty()).map(str::to_string).collect(),
                issuer: at(1),
                h2: at(2) == "h2",
            }
        }))
    }

    /// Whether a client that trusts the authorities in `bundle` accepts the server as `host`.
    pub fn verify(&self, host: &str, bundle: &str) -> Result<(), Distrust> {
        let body = |pem: &str| pem.split_whitespace().collect::<String>();
        if self.issuer.is_empty() {
            return Err(Distrust::SelfSigned);
        }
        if !body(bundle).contains(&body(&self.issuer)) {
            return Err(Distrust::UnknownIssuer);
        }
        let fits = |n: &String| match n.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(_, h)| h.eq_ignore_ascii_case(rest)),
            None => n.eq_ignore_ascii_case(host),
        };
        if self.names.iter().any(fits) { Ok(()) } else { Err(Distrust::WrongHost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos() {
        let c = ClientHello {
            host: "kubernetes".into(),
            user: Some("alice".into()),
            groups: vec!["devs".into()],
        };
        let mut b = c.to_bytes();
        b.extend(b"GET");
        assert_eq!(ClientHello::take(&mut b), Ok(Some(c)));
        assert_eq!(b, b"GET");
        assert_eq!(ClientHello::take(&mut b), Err(()));
        let s = ServerHello {
            names: vec!["kubernetes".into(), "10.96.0.1".into()],
            issuer: "-----A-----\nxyz\n".into(),
            h2: false,
        };
        assert_eq!(s.verify("10.96.0.1", "first -----A----- xyz last"), Ok(()));
        assert_eq!(s.verify("other", "-----A-----xyz"), Err(Distrust::WrongHost));
        assert_eq!(s.verify("kubernetes", ""), Err(Distrust::UnknownIssuer));
    }
}
