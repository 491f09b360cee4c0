//! `oracle DIR [NAME…]`: runs recorded transcripts and says which differ.

use kubarium_tests::oracle;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(dir) = args.next() else {
        eprintln!("usage: oracle DIR [NAME…], where DIR holds INDEX.tsv and cases/");
        return ExitCode::from(2);
    };
    let only: Vec<String> = args.collect();
    let cases = match oracle::cases(Path::new(&dir)) {
        Ok(c) => c,
        Err(e) => {
            eprintln!("oracle: {dir}/INDEX.tsv cannot be read: {e}");
            return ExitCode::from(2);
        }
    };
    let cases: Vec<_> = cases
        .into_iter()
        .filter(|c| only.is_empty() || only.iter().any(|o| c.name.starts_with(o.as_str())))
        .collect();
    let known = known_failures(&dir);
    let (mut passed, mut failed, mut wrong) = (0, 0, Vec::new());
    let listed = |c: &oracle::Case| only.is_empty() && known.contains(&c.name);
    let mut counts = oracle::Counts::default();
    oracle::run(&cases, listed, |r| {
        counts.add(&r.counts);
        let listed = known.contains(&r.name);
        if r.differences.is_empty() {
            passed += 1;
            println!("ok    {}", r.name);
            if listed {
                wrong.push(format!("{} passes: take it off the known failures", r.name));
            }
            return;
        }
        failed += 1;
        if listed && only.is_empty() {
            println!("known {} ({} of its commands differ)", r.name, r.differences.len());
            return;
        }
        if !listed {
            wrong.push(format!("{} fails", r.name));
        }
        println!("FAIL  {} ({} of its commands differ)", r.name, r.differences.len());
        for d in r.differences.iter().take(if only.is_empty() { 2 } else { 40 }) {
            for l in d.lines() {
                println!("      {l}");
            }
        }
    });
    for w in &wrong {
        println!("{w}");
    }
    for (what, (n, same)) in [
        ("objects", counts.objects),
        ("lists of events", counts.events),
        ("pods' scores", counts.scores),
        ("sequences of states", counts.sequences),
    ] {
        println!("{what}: {n} compared, {same} equal");
    }
    println!("score: {passed} of {}", passed + failed);
    println!("{passed} passed, {failed} failed");
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Cases that are known to fail: a name a line, with why behind it, in a file beside the directory.
fn known_failures(dir: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(format!("{}.known_failures", dir.trim_end_matches('/'))).unwrap_or_default();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
