//! The content hashes that names of generated config maps and secrets end in.

use api::{Value, obj};
use sha2::{Digest, Sha256};

/// Ten letters of a hash that never spell a word.
pub fn of_json(v: &Value) -> String {
    let digest = Sha256::digest(v.to_json().as_bytes());
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    hex.chars()
        .take(10)
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            c => c,
        })
        .collect()
}

/// The hash of a config map's or secret's content.
pub fn content(v: &Value) -> String {
    let data = match v.get("data") {
        Value::Null if v.kind() == "ConfigMap" => Value::str(""),
        d => d.clone(),
    };
    let mut hashed = obj!({"data": data, "kind": v.kind(), "name": v.name()});
    if v.kind() == "Secret" {
        hashed.insert("type", v.get("type").text());
    }
    if v.get("binaryData").is_some() {
        hashed.insert("binaryData", v.get("binaryData"));
    }
    of_json(&hashed)
}
