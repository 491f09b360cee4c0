//! Scripts with the output that a real busybox gave for them.
//!
//! `tests/transcripts/*.txt` hold cases: a line `### name`, the script, a line `--- output`, standard output, error
//! output (`! `), exit code. `cargo test -p shell --test transcripts -- --ignored record` writes the outputs anew from
//! the `busybox` of this machine; cases whose name ends with `(ours)` are written by hand and left alone.

use shell::testing::{Host, Outcome};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

struct Case {
    name: String,
    script: String,
    output: String,
}

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut v: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    v.sort();
    v
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_output = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            cases.push(Case { name: name.into(), script: String::new(), output: String::new() });
            in_output = false;
        } else if line == "--- output" {
            in_output = true;
        } else if let Some(c) = cases.last_mut() {
            let to = if in_output { &mut c.output } else { &mut c.script };
            writeln!(to, "{line}").unwrap();
        }
    }
    cases
}

#[test]
fn scripts_print_what_busybox_prints() {
    let (mut failed, mut total) = (String::new(), 0);
    for file in files() {
        for c in parse(&std::fs::read_to_string(&file).unwrap()) {
            total += 1;
            let mut host = Host::new(&[shell::commands::TABLE]);
            assert_eq!(host.run(&["mkdir", "/work"]).code, Some(0));
            host.cwd = "/work".into();
            let got = host.sh(&c.script).to_string();
            if got.trim_end() != c.output.trim_end() {
                writeln!(failed, "### {}\n{}--- want\n{}--- got\n{}", c.name, c.script, c.output, got)
                    .unwrap();
            }
        }
    }
    assert!(total >= 60, "only {total} cases");
    assert!(failed.is_empty(), "{failed}");
}

#[test]
#[ignore = "needs busybox"]
fn record() {
    for file in files() {
        let mut text = String::new();
        for c in parse(&std::fs::read_to_string(&file).unwrap()) {
            let output = if c.name.ends_with("(ours)") { c.output } else { real(&c.script) };
            write!(text, "### {}\n{}--- output\n{}", c.name, c.script, output).unwrap();
        }
        std::fs::write(&file, text).unwrap();
    }
}

fn real(script: &str) -> String {
    let base = std::env::temp_dir().join("shell-transcripts");
    let _ = std::fs::remove_dir_all(&base);
    let (bin, work) = (base.join("bin"), base.join("work"));
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir_all(&work).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| Path::new(p).exists()).unwrap();
    std::process::Command::new(busybox).args(["--install", "-s"]).arg(&bin).status().unwrap();
    let out = std::process::Command::new("timeout")
        .args(["20", busybox, "sh", "-c", script])
        .current_dir(&work)
        .env_clear()
        .env("PATH", &bin)
        .env("HOME", "/root")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    Outcome {
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        code: Some(out.status.code().unwrap_or(128)),
    }
    .to_string()
}
