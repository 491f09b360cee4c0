//! ConfigMap, Secret and ServiceAccount.

use super::{Rules, check, object_age};
use crate::field::{At, Errors};
use crate::{Value, names};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Bytes that all data of a ConfigMap or Secret may have.
const BYTES_MAX: usize = 1024 * 1024;

/// ConfigMap.
pub const CONFIG_MAP: Rules = Rules {
    of: ("", "ConfigMap"),
    validate: |v, e| {
        let mut size = 0;
        for key in ["data", "binaryData"] {
            size += keys(v.get(key), &At::Path(key), e);
        }
        let at = At::Path("binaryData");
        for (k, _) in v.get("data").entries().filter(|(k, _)| v.get("binaryData").get(k).is_some()) {
            e.invalid(&at.key(k), k.as_str(), "duplicate of key present in data");
        }
        if size > BYTES_MAX {
            e.too_long(&At::Path(""), BYTES_MAX);
        }
    },
    validate_update: |new, old, e| frozen(new, old, &["data", "binaryData"], e),
    cells: Some(|v, now| {
        let n = v.get("data").len() + v.get("binaryData").len();
        vec![v.name().into(), Value::from(n), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

fn keys(data: &Value, at: &At<'_>, e: &mut Errors) -> usize {
    let mut size = 0;
    for (k, v) in data.entries() {
        check::messages(k, names::config_key(k), &at.key(k), e);
        size += v.text().len();
    }
    size
}

fn frozen(new: &Value, old: &Value, fields: &[&str], e: &mut Errors) {
    if !old.get("immutable").is_true() {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if !new.get("immutable").is_true() {
        e.forbidden(&At::Path("immutable"), why);
    }
    for f in fields.iter().filter(|f| new.get(f) != old.get(f)) {
        e.forbidden(&At::Path(f), why);
    }
}

/// Secret.
pub const SECRET: Rules = Rules {
    of: ("", "Secret"),
    defaults: |v| {
        if v.get("type").text().is_empty() {
            v.insert("type", "Opaque");
        }
        // Text is written; only data is ever read.
        if let Some(text) = v.remove(&["stringData"]) {
            for (k, t) in text.entries() {
                let bytes = BASE64_STANDARD.encode(t.text());
                v.set(&["data", k], bytes);
            }
        }
    },
    validate: secret,
    validate_update: |new, old, e| {
        if new.get("type") != old.get("type") {
            e.invalid(&At::Path("type"), new.get("type"), check::IMMUTABLE);
        }
        frozen(new, old, &["data"], e);
    },
    fields: &[("type", |v: &Value| v.get("type").text().to_owned())],
    cells: Some(|v, now| {
        vec![
            v.name().into(),
            v.get("type").text().into(),
            Value::from(v.get("data").len()),
            object_age(v, now),
        ]
    }),
    ..Rules::GENERIC
};

fn secret(v: &Value, e: &mut Errors) {
    let at = At::Path("data");
    let mut size = 0;
    for (k, value) in v.get("data").entries() {
        check::messages(k, names::config_key(k), &at.key(k), e);
        size += value.text().len() / 4 * 3;
    }
    if size > BYTES_MAX {
        e.too_long(&at, BYTES_MAX);
    }
    let needs = |keys: &[&str], e: &mut Errors| {
        for k in keys.iter().filter(|k| v.get("data").get(k).is_null()) {
            e.required(&at.key(k), "");
        }
    };
    let json = |key: &str, e: &mut Errors| {
        let text = v.get("data").get(key);
        if text.is_null() {
            return e.required(&at.key(key), "");
        }
        let bytes = BASE64_STANDARD.decode(text.text()).unwrap_or_default();
        if let Err(m) = crate::parse_json(&String::from_utf8_lossy(&bytes)) {
            e.invalid(&at.key(key), "<secret contents redacted>", &m.to_string());
        }
    };
    match v.get("type").text() {
        "kubernetes.io/tls" => needs(&["tls.crt", "tls.key"], e),
        "kubernetes.io/ssh-auth" => needs(&["ssh-privatekey"], e),
        "kubernetes.io/dockercfg" => json(".dockercfg", e),
        "kubernetes.io/dockerconfigjson" => json(".dockerconfigjson", e),
        "kubernetes.io/basic-auth" => {
            let data = v.get("data");
            if data.get("username").is_null() && data.get("password").is_null() {
                e.required(&at.key("username"), "");
                e.required(&at.key("password"), "");
            }
        }
        "kubernetes.io/service-account-token" => {
            const NAME: &str = "kubernetes.io/service-account.name";
            if v.annotations().get(NAME).text().is_empty() {
                e.required(&At::Path("metadata.annotations").key(NAME), "");
            }
        }
        _ => {}
    }
}

/// ServiceAccount.
pub const SERVICE_ACCOUNT: Rules = Rules {
    of: ("", "ServiceAccount"),
    cells: Some(|v, now| vec![v.name().into(), object_age(v, now)]),
    ..Rules::GENERIC
};

#[cfg(test)]
#[test]
fn text_becomes_data() {
    let mut s = crate::obj!({"stringData": {"a": "b"}});
    (SECRET.defaults)(&mut s);
    assert_eq!(s.to_json(), r#"{"data":{"a":"Yg=="},"type":"Opaque"}"#);
}
