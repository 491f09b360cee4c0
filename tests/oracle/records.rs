//! What lies beside a transcript: the object after the case.

use super::Case;
use super::compare::same_text;
use api::Value;
use cluster::World;
use std::fs;

/// Differences of a case's other records from what our world holds now.
pub fn differences(c: &Case, w: &World) -> Vec<String> {
    let mut out = Vec::new();
    if let Ok(text) = fs::read_to_string(c.dir.join("object.json"))
        && let Some(Err(d)) = object(&text, w)
    {
        out.push(format!("object.json\n{d}"));
    }
    out
}

/// Compares an object of the store with a recorded one; `None` if the record is none.
fn object(text: &str, w: &World) -> Option<Result<(), String>> {
    let expected = api::yaml::parse(text).ok().filter(|v| !v.kind().is_empty() && !v.name().is_empty())?;
    let (group, version) = expected.api_version().split_once('/').unwrap_or(("", expected.api_version()));
    let r = w
        .api()
        .registry
        .iter()
        .find(|r| r.group == group && r.version == version && r.kind == expected.kind())?;
    let got =
        w.api().store.get(r.storage, expected.namespace(), expected.name()).cloned().unwrap_or_default();
    let plain = |v: &Value| {
        let mut v = v.clone();
        v.remove(&["metadata", "managedFields"]);
        v.to_json_pretty()
    };
    Some(same_text(&plain(&expected), &plain(&got)))
}
