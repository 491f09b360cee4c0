//! The same command lines by the real kubectl against the gateway and by ours in an equal world: what differs.
//!
//! A file of `tests/parity/` is a group of lines that share a fresh cluster. Compared byte for byte: standard output,
//! standard error and exit code, after mapping what is random or a time (uids, resource versions, timestamps, ages, random
//! suffixes, allocated addresses) the same way on both sides. Where ages are of different length, runs of blanks fold: they
//! shift the columns behind them.

use crate::oracle::{Placeholders, folded};
use cluster::{Command, Setup, World};
use sim::{Duration, Epoch, Instant, Seed};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

/// The fields' texts for both sides.
pub use crate::oracle::texts;

/// Virtual seconds a second that the gateway runs at.
const SPEED: u64 = 30;
/// How long each side rests after a line, in virtual milliseconds.
const REST_MS: u64 = 3_000;
/// How long a line may take, in seconds of each side's own time.
const PATIENCE_S: u64 = 60;

/// A group of lines that share a cluster.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its file's name without ending.
    pub name: String,
    /// Fake nodes; 0 for real kubelets.
    pub nodes: usize,
    /// Files in the working directory.
    pub files: Vec<(String, String)>,
    /// Lines.
    pub lines: Vec<String>,
}

/// What a line printed and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub code: i32,
}

impl Group {
    /// Reads a group: `@nodes N`, files between `@file NAME` and `@end`, comments, else a line each.
    pub fn parse(name: &str, text: &str) -> Group {
        let mut g = Group { name: name.to_owned(), nodes: 1, ..Group::default() };
        let mut lines = text.lines();
        while let Some(l) = lines.next() {
            if let Some(n) = l.strip_prefix("@nodes ") {
                g.nodes = n.trim().parse().unwrap_or(0);
            } else if let Some(f) = l.strip_prefix("@file ") {
                let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "@end").collect();
                g.files.push((f.trim().to_owned(), body.join("\n") + "\n"));
            } else if !l.trim().is_empty() && !l.starts_with('#') {
                g.lines.push(l.to_owned());
            }
        }
        g
    }
}

/// The groups of a directory, in the order of their names.
///
/// # Errors
/// If it cannot be read.
pub fn groups(dir: &Path) -> io::Result<Vec<Group>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    paths
        .iter()
        .map(|p| {
            let name = p.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(Group::parse(&name, &fs::read_to_string(p)?))
        })
        .collect()
}

fn kubeconfig(port: u16) -> String {
    cluster::kubeconfig(&format!("http://127.0.0.1:{port}"), TOKEN.1, TOKEN.0)
}

/// A token that only our side needs: over plain HTTP the real kubectl sends none, and the gateway takes it for this user.
const TOKEN: (&str, &str) = ("parity-token", "kubernetes-admin");

/// Runs a group by ours.
pub fn ours(g: &Group, port: u16, unix: i64) -> Vec<Answer> {
    let mut setup = if g.nodes > 0 { Setup::fake(g.nodes) } else { Setup::default_cluster() };
    setup.settings.epoch = Epoch(unix);
    let user = cluster::User::new(TOKEN.1, &["system:masters"]);
    setup.settings.tokens.push((TOKEN.0.into(), user));
    setup.cwd = "/work".into();
    setup.env = vec![("KUBECONFIG".into(), "config".into())];
    setup.files = g.files.iter().map(|(n, t)| (format!("/work/{n}"), t.clone().into_bytes())).collect();
    setup.files.push(("/work/config".into(), kubeconfig(port).into_bytes()));
    let mut w = World::new(Seed(1), setup);
    if let Some(texts) = texts() {
        w.set_texts(texts);
    }
    while !w.nodes_ready() && w.now() < Instant::from_secs(120) {
        w.run_until(w.now() + Duration::from_secs(1));
    }
    w.run_until(w.now() + Duration::from_secs(3));
    let mut out = Vec::new();
    for line in &g.lines {
        let (_, code) = job(&mut w, &format!("{{ {line}\n}} >/tmp/.out 2>/tmp/.err"));
        let (stdout, _) = job(&mut w, "cat /tmp/.out");
        let (stderr, _) = job(&mut w, "cat /tmp/.err");
        out.push(Answer { stdout, stderr, code });
        w.run_until(w.now() + Duration::from_millis(REST_MS));
    }
    out
}

/// Runs a line on the workstation to its end.
fn job(w: &mut World, line: &str) -> (String, i32) {
    let job = w.next_job();
    w.command(Command::Run { job, line: line.to_owned(), stdin: String::new() });
    let until = w.now() + Duration::from_secs(PATIENCE_S * SPEED);
    loop {
        w.run_until(w.now() + Duration::from_millis(20));
        match w.job(job) {
            Some((out, Some(code))) => return (String::from_utf8_lossy(out).into_owned(), code),
            Some((out, None)) if w.now() >= until => {
                return (String::from_utf8_lossy(out).into_owned(), 124);
            }
            _ => {}
        }
    }
}

/// A running gateway; ends with the value.
struct Gateway(process::Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // One that has ended by itself needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn gateway(program: &Path, g: &Group, port: u16) -> io::Result<Gateway> {
    let mut c = process::Command::new(program);
    c.args(["--port", &port.to_string(), "--speed", &SPEED.to_string()]);
    if g.nodes > 0 {
        c.args(["--fake", &g.nodes.to_string()]);
    }
    let child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let running = Gateway(child);
    for _ in 0..200 {
        if ready(port) {
            pause(3_000 / SPEED);
            return Ok(running);
        }
        pause(50);
    }
    Err(io::Error::other("the gateway does not become ready"))
}

fn ready(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut s) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = s.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && s.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// Real time, which only the real kubectl's side knows.
#[allow(clippy::disallowed_methods)]
fn pause(ms: u64) {
    std::thread::sleep(core::time::Duration::from_millis(ms));
}

/// Runs a group by the real kubectl; `dir` is an empty directory, `tools` holds a `kubectl`.
///
/// # Errors
/// If the gateway or the shell cannot be started.
pub fn theirs(g: &Group, port: u16, program: &Path, tools: &Path, dir: &Path) -> io::Result<Vec<Answer>> {
    let _gateway = gateway(program, g, port)?;
    let home = dir.join("home");
    let work = dir.join("work");
    fs::create_dir_all(&home)?;
    fs::create_dir_all(&work)?;
    for (name, text) in &g.files {
        let path = work.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&work))?;
        fs::write(path, text)?;
    }
    fs::write(work.join("config"), kubeconfig(port))?;
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display());
    let mut out = Vec::new();
    for line in &g.lines {
        let done = process::Command::new("timeout")
            .args([&PATIENCE_S.to_string(), "sh", "-c", line])
            .current_dir(&work)
            .env_clear()
            .env("PATH", &path)
            .env("HOME", &home)
            .env("KUBECONFIG", "config")
            .stdin(Stdio::null())
            .output()?;
        // Both sides call the directory the same.
        let place = work.to_string_lossy();
        let house = home.to_string_lossy();
        // The gateway's clock runs ahead of the one that ages are reckoned by.
        let text = |b: &[u8]| {
            String::from_utf8_lossy(b)
                .replace(&*place, "/work")
                .replace(&*house, "/root")
                .replace("<invalid>", "0s")
        };
        out.push(Answer {
            stdout: text(&done.stdout),
            stderr: text(&done.stderr),
            code: done.status.code().unwrap_or(-1),
        });
        pause(REST_MS / SPEED);
    }
    Ok(out)
}

fn lines_that_differ(what: &str, a: &str, b: &str) -> String {
    let (left, right): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let same = left.iter().zip(&right).take_while(|(x, y)| x == y).count();
    let mut text = format!("{what}, line {}:\n", same + 1);
    text.extend(left.iter().skip(same).take(4).map(|l| format!("- {l}\n")));
    text.extend(right.iter().skip(same).take(4).map(|l| format!("+ {l}\n")));
    if left == right {
        text += "the ends differ: a line break is missing or too many\n";
    }
    text
}

/// The lines in order of their texts, without the numbers of what is random in them: pods are evicted in parallel.
fn unnumbered(text: &str) -> Vec<String> {
    let bare = |l: &str| l.split(|c: char| c.is_ascii_digit()).collect::<String>();
    let mut lines: Vec<String> = text.lines().map(bare).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Completions of flags without the words about them.
fn without_prose(text: &str) -> String {
    let bare = |l: &str| match l.split_once('\t') {
        Some((flag, _)) if flag.starts_with("--") => flag.to_owned(),
        _ => l.to_owned(),
    };
    text.split('\n').map(bare).collect::<Vec<_>>().join("\n")
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// What of a help page is not prose: usage, names of commands and aliases, flags with their defaults. `None` if the text
/// is no help page.
fn help_shape(text: &str) -> Option<String> {
    if !text.contains("\nUsage:\n") && !text.starts_with("The following options can be passed") {
        return None;
    }
    let mut out = String::new();
    let mut section = "";
    for l in text.lines() {
        if !l.starts_with([' ', '\t']) && l.ends_with(':') {
            section = l;
        }
        let name = l.split_whitespace().next().unwrap_or("");
        match section {
            "Usage:" | "Aliases:" => out += l,
            s if s.ends_with("Commands:") || s.ends_with("Commands provided by plugins:") => {
                out += if l == section { l } else { name };
            }
            _ if l.starts_with("    -") => out += l,
            _ => continue,
        }
        out.push('\n');
    }
    Some(out)
}

/// What of a line differs, `None` if nothing.
pub fn difference(
    line: &str,
    real: (&mut Placeholders, &Answer),
    own: (&mut Placeholders, &Answer),
) -> Option<String> {
    let mut text = String::new();
    for (what, a, b) in [("stdout", &real.1.stdout, &own.1.stdout), ("stderr", &real.1.stderr, &own.1.stderr)]
    {
        let (mut a, mut b) = (real.0.map(a), own.0.map(b));
        if line.contains("__complete ") {
            (a, b) = (without_prose(&a), without_prose(&b));
        }
        if a == b || a.contains("<age>") && folded(&a) == folded(&b) {
            continue;
        }
        // Go walks maps in random order here; events of one second have none.
        let random = ["--list", "kubectl events", "get events", "__complete completion"]
            .iter()
            .any(|w| line.contains(w));
        if random && sorted(&folded(&a)) == sorted(&folded(&b)) {
            continue;
        }
        if line.contains(" drain node") {
            (a, b) = (unnumbered(&a).join("\n"), unnumbered(&b).join("\n"));
            if a == b {
                continue;
            }
        }
        // Events of the same second.
        if line.contains(" describe ")
            && let (Some((x, xs)), Some((y, ys))) = (a.split_once("\nEvents:"), b.split_once("\nEvents:"))
            && folded(x) == folded(y)
            && sorted(&folded(xs)) == sorted(&folded(ys))
        {
            continue;
        }
        if let (Some(a), Some(b)) = (help_shape(&a), help_shape(&b)) {
            if a == b {
                continue;
            }
            text += &lines_that_differ(what, &a, &b);
            continue;
        }
        text += &lines_that_differ(what, &a, &b);
    }
    if real.1.code == 124 {
        text += "it does not end in time\n";
    }
    if real.1.code != own.1.code {
        text += &format!("exit {} instead of {}\n", own.1.code, real.1.code);
    }
    (!text.is_empty()).then_some(text)
}
