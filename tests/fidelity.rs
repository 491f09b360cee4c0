//! `docs/FIDELITY.md` is what the registries and the ledger say. `UPDATE=1 cargo test -p kubarium-tests --test fidelity`
//! writes it anew.

use cluster::fidelity::{Fidelity, LEDGER};
use cluster::{Setup, World};
use core::fmt::Write as _;

fn document() -> String {
    let mut s = String::from(
        "# Fidelity\n\nGenerated from the registries and `crates/cluster/src/fidelity.rs`; do not edit.\n\n\
         *Checked* is compared with recorded answers of the real thing, *simplified* does less than it, *absent* is not there.\n",
    );
    let mut area = "";
    for l in LEDGER {
        if l.area != area {
            area = l.area;
            let _ = write!(s, "\n## {area}\n\n| what | how close | note |\n| --- | --- | --- |\n");
        }
        let word = match l.fidelity {
            Fidelity::Checked => "checked",
            Fidelity::Simplified => "simplified",
            Fidelity::Absent => "absent",
        };
        let _ = writeln!(s, "| {} | {word} | {} |", l.what, l.note);
    }
    let world = World::new(sim::Seed(1), Setup::fake(1));
    let mut kinds: Vec<String> = world
        .api()
        .registry
        .iter()
        .filter(|r| r.storage == r.id)
        .map(|r| format!("{} ({})", r.kind, r.api_version()))
        .collect();
    kinds.sort();
    kinds.dedup();
    let list = |s: &mut String, title: &str, all: Vec<String>| {
        let _ = write!(s, "\n## {title} ({})\n\n{}\n", all.len(), all.join(", "));
    };
    list(&mut s, "Kinds served", kinds);
    list(&mut s, "Admission plugins", apiserver::admission::names().map(str::to_owned).collect());
    list(
        &mut s,
        "kubectl commands",
        kubectl::commands::ROOT.subs.iter().map(|c| c.name.to_owned()).collect(),
    );
    list(&mut s, "Userland", shell::commands::applets().into_iter().map(str::to_owned).collect());
    let images =
        node::images::IMAGES.iter().flat_map(|i| i.tags.iter().map(move |t| format!("{}:{t}", i.repository)));
    list(&mut s, "Images", images.collect());
    s
}

#[test]
fn the_document_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FIDELITY.md");
    let now = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &now).expect("docs/FIDELITY.md can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == now,
        "docs/FIDELITY.md is old: run UPDATE=1 cargo test -p kubarium-tests --test fidelity"
    );
}
