//! `parity KUBECTL [GROUP…]`: runs the groups of `tests/parity/` by that real kubectl and by ours.

use kubarium_tests::oracle::Placeholders;
use kubarium_tests::parity::{self, Group};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines that are known to differ: group, line and why, with tabs between.
const KNOWN: &str = "tests/parity/known_deviations.tsv";

/// Groups that run at the same time: they mostly wait for the real kubectl.
const AT_ONCE: usize = 4;

#[allow(clippy::disallowed_methods)]
fn unix() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(kubectl) = args.next().map(PathBuf::from) else {
        eprintln!("usage: parity KUBECTL [GROUP…]");
        return ExitCode::from(2);
    };
    let only: Vec<String> = args.collect();
    match run(&kubectl, &only) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("parity: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(kubectl: &Path, only: &[String]) -> std::io::Result<bool> {
    let groups = parity::groups(Path::new("tests/parity"))?;
    let known = std::fs::read_to_string(KNOWN).unwrap_or_default();
    let known: Vec<(&str, &str)> = known
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| {
            let mut parts = l.split('\t');
            Some((parts.next()?, parts.next()?))
        })
        .collect();
    let scratch = std::env::temp_dir().join(format!("kubarium-parity-{}", std::process::id()));
    let tools = scratch.join("bin");
    std::fs::create_dir_all(&tools)?;
    std::fs::copy(kubectl, tools.join("kubectl"))?;
    let chosen: Vec<&Group> = groups
        .iter()
        .filter(|g| only.is_empty() || only.iter().any(|o| g.name.starts_with(o.as_str())))
        .collect();
    let (mut passed, mut listed, mut wrong) = (0, 0, 0);
    let first = 21_000 + (std::process::id() % 9_000) as u16;
    for (n, some) in chosen.chunks(AT_ONCE).enumerate() {
        let port = |i: usize| first + (n * AT_ONCE + i) as u16;
        let answers: Vec<_> = std::thread::scope(|s| {
            let run = |i: usize, g: &Group| {
                let real = parity::theirs(g, port(i), &program("gateway"), &tools, &scratch.join(&g.name));
                real.map(|real| (real, parity::ours(g, port(i), unix())))
            };
            let started: Vec<_> = some.iter().enumerate().map(|(i, g)| s.spawn(move || run(i, g))).collect();
            started
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err(std::io::Error::other("a panic"))))
                .collect()
        });
        for (g, a) in some.iter().zip(answers) {
            let (real, own) = a?;
            let (p, l, w) = judge(g, &real, &own, &known);
            println!("{}: {p} equal, {l} known to differ, {w} wrong", g.name);
            passed += p;
            listed += l;
            wrong += w;
        }
    }
    std::fs::remove_dir_all(&scratch)?;
    println!("{passed} lines equal, {listed} known to differ, {wrong} wrong");
    Ok(wrong == 0)
}

/// A program built beside this one.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}

fn judge(
    g: &Group,
    real: &[parity::Answer],
    own: &[parity::Answer],
    known: &[(&str, &str)],
) -> (usize, usize, usize) {
    let (mut left, mut right) = (Placeholders::default(), Placeholders::default());
    let (mut passed, mut listed, mut wrong) = (0, 0, 0);
    for ((line, a), b) in g.lines.iter().zip(real).zip(own) {
        let expected = known.contains(&(g.name.as_str(), line.as_str()));
        match (parity::difference(line, (&mut left, a), (&mut right, b)), expected) {
            (None, false) => passed += 1,
            (Some(_), true) => listed += 1,
            (None, true) => {
                wrong += 1;
                println!("WRONG {}: {line}\n      is equal now: take it off {KNOWN}", g.name);
            }
            (Some(text), false) => {
                wrong += 1;
                println!("WRONG {}: {line}", g.name);
                text.lines().for_each(|l| println!("      {l}"));
            }
        }
    }
    (passed, listed, wrong)
}
