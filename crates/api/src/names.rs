//! What names, label keys and label values may look like, with the API server's messages.
//! Models: `k8s.io/apimachinery/pkg/util/validation`.

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DNS1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                             and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
                             regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
                                 '-' or '.', and must start and end with an alphanumeric character (e.g. \
                                 'example.com', regex used for validation is \
                                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with \
                             an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
                             'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                          'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                          '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than \
                        '='";
const ENV_NAME_STRICT: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', \
                               '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME', \
                               \u{20}or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";

/// Messages of a check; none where all is well.
pub type Messages = Vec<String>;

fn too_long(max: usize) -> String {
    // Upstream counts bytes everywhere but says so only of the shorter ones.
    let unit = if max == 253 { "characters" } else { "bytes" };
    format!("must be no more than {max} {unit}")
}

fn alnum(c: u8) -> bool {
    c.is_ascii_alphanumeric()
}

fn lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Whether `s` is not empty, begins and ends with `edge` and has only `inner` between.
fn shaped(s: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let b = s.as_bytes();
    match (b.first(), b.last()) {
        (Some(f), Some(l)) => edge(*f) && edge(*l) && b.iter().all(|c| edge(*c) || inner(*c)),
        _ => false,
    }
}

fn is_dns_label(s: &str) -> bool {
    shaped(s, lower, |c| c == b'-')
}

fn checked(s: &str, max: usize, ok: bool, text: &str) -> Messages {
    let mut m = Messages::new();
    if s.len() > max {
        m.push(too_long(max));
    }
    if !ok {
        m.push(text.to_owned());
    }
    m
}

/// RFC 1123 label, at most 63 bytes: names of namespaces, containers, volumes.
pub fn dns_label(s: &str) -> Messages {
    checked(s, 63, is_dns_label(s), DNS1123_LABEL)
}

/// RFC 1123 subdomain, at most 253 bytes: names of most objects.
pub fn dns_subdomain(s: &str) -> Messages {
    checked(s, 253, s.split('.').all(is_dns_label), DNS1123_SUBDOMAIN)
}

/// RFC 1035 label, at most 63 bytes: names of Services before 1.34.
pub fn dns1035_label(s: &str) -> Messages {
    let ok = is_dns_label(s) && s.as_bytes()[0].is_ascii_lowercase();
    checked(s, 63, ok, DNS1035_LABEL)
}

/// A qualified name: an optional DNS prefix with a slash and a name of at most 63 bytes. Label and annotation keys.
pub fn qualified_name(s: &str) -> Messages {
    let mut m = Messages::new();
    let parts: Vec<&str> = s.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                m.push("prefix part must be non-empty".into());
            } else {
                m.extend(dns_subdomain(prefix).into_iter().map(|t| format!("prefix part {t}")));
            }
            name
        }
        _ => {
            m.push(format!(
                "a valid label key {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            ));
            return m;
        }
    };
    if name.is_empty() {
        m.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        m.push(format!("name part {}", too_long(63)));
    }
    if !shaped(name, alnum, |c| b"-_.".contains(&c)) {
        m.push(format!("name part {QUALIFIED}"));
    }
    m
}

/// A label's value: empty, or like a qualified name's name part.
pub fn label_value(s: &str) -> Messages {
    checked(s, 63, s.is_empty() || shaped(s, alnum, |c| b"-_.".contains(&c)), LABEL_VALUE)
}

/// A key of a ConfigMap or Secret.
pub fn config_key(s: &str) -> Messages {
    let inner = |c: u8| alnum(c) || b"-_.".contains(&c);
    let mut m = checked(s, 253, shaped(s, inner, inner), CONFIG_KEY);
    match s {
        "." => m.push("must not be '.'".into()),
        ".." => m.push("must not be '..'".into()),
        _ if s.starts_with("..") => m.push("must not start with '..'".into()),
        _ => {}
    }
    m
}

/// An environment variable's name as the API server takes it.
pub fn env_name(s: &str) -> Messages {
    let ok = !s.is_empty() && s.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=');
    checked(s, usize::MAX, ok, ENV_NAME)
}

/// An environment variable's name as kubectl's generators take it.
pub fn env_name_strict(s: &str) -> Messages {
    let inner = |c: u8| alnum(c) || b"-_.".contains(&c);
    let ok = shaped(s, inner, inner) && !s.as_bytes()[0].is_ascii_digit();
    let mut m = checked(s, usize::MAX, ok, ENV_NAME_STRICT);
    match s {
        "." => m.push("must not be '.'".into()),
        ".." => m.push("must not be '..'".into()),
        _ if s.starts_with("..") => m.push("must not start with '..'".into()),
        _ => {}
    }
    m
}

/// What is wrong with a name that becomes a segment of a path, as RBAC objects' names.
pub fn path_segment(s: &str) -> Messages {
    let mut out = Vec::new();
    for bad in [".", ".."] {
        if s == bad {
            return vec![format!("may not be '{bad}'")];
        }
    }
    for bad in ["/", "%"] {
        if s.contains(bad) {
            out.push(format!("may not contain '{bad}'"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for ok in ["a", "a-b", "1a", &"x".repeat(63)] {
            assert!(dns_label(ok).is_empty(), "{ok}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"x".repeat(64)] {
            assert_eq!(dns_label(bad).len(), 1, "{bad}");
        }
        assert!(dns_subdomain("a.b-c.1").is_empty());
        assert!(!dns_subdomain("a..b").is_empty());
        assert!(
            dns1035_label("a1").is_empty()
                && !dns1035_label("1a").is_empty()
                && !dns1035_label("").is_empty()
        );
        assert!(qualified_name("example.com/My_Name.x").is_empty());
        assert_eq!(qualified_name("/x"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert!(label_value("").is_empty() && !label_value("a/b").is_empty());
        assert!(env_name("1 a").is_empty() && !env_name_strict("1a").is_empty());
        assert!(ENV_NAME_STRICT.contains("'my.env-name',  or 'MY_ENV.NAME',  or"));
    }
}
