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
    let (mut passed, mut failed) = (0, 0);
    oracle::run(&cases, |r| {
        if r.differences.is_empty() {
            passed += 1;
            println!("ok    {}", r.name);
        } else {
            failed += 1;
            println!("FAIL  {} ({} of its commands differ)", r.name, r.differences.len());
            for d in r.differences.iter().take(if only.is_empty() { 2 } else { 40 }) {
                for l in d.lines() {
                    println!("      {l}");
                }
            }
        }
    });
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
