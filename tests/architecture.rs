//! Who may use whom: the table of `docs/ARCHITECTURE.md` against `cargo metadata`.

use std::process::Command;

const ALL: &[&str] =
    &["sim", "api", "net", "apiserver", "controllers", "scheduler", "shell", "kubectl", "node"];

/// Room and what it may use; `www` and `tests` stand on top.
const MAY_USE: &[(&str, &[&str])] = &[
    ("sim", &[]),
    ("api", &["sim"]),
    ("net", &["sim"]),
    ("apiserver", &["api", "sim"]),
    ("controllers", &["apiserver", "api", "sim"]),
    ("scheduler", &["apiserver", "api", "sim"]),
    ("shell", &["net", "sim"]),
    ("kubectl", &["api", "shell", "sim"]),
    ("node", &["apiserver", "api", "net", "shell", "sim"]),
    ("cluster", ALL),
    ("scenario", &["cluster", "api", "apiserver", "sim"]),
    ("lesson", &["cluster", "scenario", "api", "sim"]),
    ("gateway", &["cluster", "api", "apiserver", "sim"]),
    ("www", &["cluster", "scenario", "lesson", "api", "sim"]),
];

fn metadata() -> api::Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .expect("cargo metadata runs");
    api::parse_json(&String::from_utf8_lossy(&out.stdout)).expect("cargo metadata prints JSON").0
}

#[test]
fn rooms_use_only_what_they_may() {
    let m = metadata();
    let mut wrong = Vec::new();
    for p in m.get("packages").items() {
        let name = p.get("name").text();
        let Some((_, may)) = MAY_USE.iter().find(|(n, _)| *n == name) else { continue };
        for d in p.get("dependencies").items().filter(|d| d.get("kind").text() != "dev") {
            let used = d.get("name").text();
            let ours = MAY_USE.iter().any(|(n, _)| *n == used) && d.get("path").is_some();
            if ours && !may.contains(&used) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table of docs/ARCHITECTURE.md: {wrong:?}");
}

#[test]
fn every_room_is_in_the_table() {
    let m = metadata();
    let rooms = m.get("packages").items().map(|p| p.get("name").text()).filter(|n| *n != "kubarium-tests");
    let missing: Vec<&str> = rooms.filter(|n| !MAY_USE.iter().any(|(k, _)| k == n)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let doc = include_str!("../docs/ARCHITECTURE.md");
    for (name, _) in MAY_USE {
        assert!(
            doc.contains(&format!("{name}`")) || doc.contains(&format!("{name}/`")),
            "{name} is not in docs/ARCHITECTURE.md"
        );
    }
}
