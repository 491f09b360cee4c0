//! Runs recorded transcripts of a real control plane through our own shell and kubectl against a fresh world.
//!
//! `compare` holds the only normalisations that the recordings' README names.

mod compare;

use cluster::{Command, Setup, World};
use sim::{Duration, Epoch, Instant, Seed};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use compare::{Names, differences, folded, mapped};

/// How long a line may take in virtual time, in seconds.
const PATIENCE_S: u64 = 900;

/// A recorded case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, which is its folder's.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Report {
    /// The case.
    pub name: String,
    /// Differences in words, none if it passed.
    pub differences: Vec<String>,
}

/// The cases of a directory in the order of its `INDEX.tsv`.
///
/// # Errors
/// If there is no readable `INDEX.tsv`.
pub fn cases(dir: &Path) -> std::io::Result<Vec<Case>> {
    let index = fs::read_to_string(dir.join("INDEX.tsv"))?;
    let mut names: Vec<&str> =
        index.lines().filter_map(|l| l.split('\t').next()).filter(|n| !n.is_empty()).collect();
    // What others of the letter build on comes before them.
    names.sort_by_key(|n| (n.chars().next(), !n.ends_with("-setup")));
    Ok(names
        .into_iter()
        .map(|n| Case { name: n.to_owned(), dir: dir.join("cases").join(n) })
        .filter(|c| c.dir.is_dir())
        .collect())
}

/// The world that the cases ran on, with a case's files in the working directory.
fn world(files: Vec<(String, Vec<u8>)>) -> World {
    let mut setup = Setup::fake(3);
    setup.settings.epoch = Epoch(1_795_554_845);
    setup.settings.tokens.push(("admintoken".into(), "admin".into(), vec!["system:masters".into()]));
    setup.settings.tokens.push(("alicetoken".into(), "alice".into(), vec!["devs".into()]));
    setup.cwd = "/case".into();
    // Paths of edited files are recorded without a directory.
    setup.env = vec![("KUBECONFIG".into(), "/root/.kube/config".into()), ("TMPDIR".into(), ".".into())];
    setup.files = files;
    setup.files.push(("/root/.kube/config".into(), kubeconfig("admin", "admintoken").into_bytes()));
    setup.files.push(("/case/alice.kubeconfig".into(), kubeconfig("alice", "alicetoken").into_bytes()));
    setup.files.push(("/case/ca.crt".into(), apiserver::CLUSTER_CA.as_bytes().to_vec()));
    let mut w = World::new(Seed(7), setup);
    if let Some(texts) = texts() {
        w.set_texts(texts);
    }
    w.run_until(Instant::from_secs(3));
    w
}

/// The texts of fields in the file that `$KUBARIUM_TEXTS` names.
pub fn texts() -> Option<Arc<apiserver::Texts>> {
    let bytes = fs::read(std::env::var_os("KUBARIUM_TEXTS")?).ok()?;
    apiserver::Texts::read(&bytes).map(Arc::new)
}

/// A kubeconfig of a user with a token.
fn kubeconfig(user: &str, token: &str) -> String {
    cluster::kubeconfig("https://127.0.0.1:6443", user, token)
}

/// Groups of cases that share a cluster: those of one first letter that build on each other.
fn group(name: &str) -> &str {
    match name.chars().next() {
        Some('a' | 'b' | 'c') => &name[..1],
        _ => name,
    }
}

/// Runs cases; `done` is told of each as it ends.
pub fn run(cases: &[Case], mut done: impl FnMut(&Report)) {
    let mut i = 0;
    while i < cases.len() {
        let g = group(&cases[i].name);
        let mut w: Option<World> = None;
        while i < cases.len() && group(&cases[i].name) == g {
            let c = &cases[i];
            let r = run_case(c, &mut w);
            done(&r);
            i += 1;
        }
    }
}

fn files_of(c: &Case) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let mut todo = vec![(c.dir.clone(), "/case".to_owned())];
    while let Some((dir, prefix)) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        let mut entries: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        entries.sort();
        for p in entries {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if p.is_dir() {
                todo.push((p, format!("{prefix}/{name}")));
            } else if let Ok(bytes) = fs::read(&p)
                && !matches!(name.as_str(), "cmd.txt" | "output.txt" | "desc.txt")
            {
                out.push((format!("{prefix}/{name}"), bytes));
            }
        }
    }
    out
}

/// A command of a transcript with what it printed and its exit code.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line.
    pub line: String,
    /// Both outputs.
    pub output: String,
    /// Exit code.
    pub code: i32,
}

/// Reads `output.txt`: the commands are known from `cmd.txt`.
pub fn transcript(commands: &[String], text: &str) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    let mut rest = text;
    for (i, c) in commands.iter().enumerate() {
        let head = format!("$ {c}\n");
        let Some(start) = rest.find(&head) else { break };
        let body = &rest[start + head.len()..];
        let end =
            commands.get(i + 1).and_then(|n| body.find(&format!("\n$ {n}\n"))).map_or(body.len(), |e| e + 1);
        let mut output = body[..end].to_owned();
        rest = &body[end..];
        // The empty line that ends each entry.
        if output.ends_with("\n\n") || output == "\n" {
            output.pop();
        }
        let mut code = 0;
        if let Some(at) = output.rfind("[exit ")
            && output[at..].trim_end().ends_with(']')
            && (at == 0 || output.as_bytes()[at - 1] == b'\n')
        {
            code = output[at + 6..].trim_end().trim_end_matches(']').parse().unwrap_or(0);
            output.truncate(at);
        }
        out.push(Entry { line: c.clone(), output, code });
    }
    out
}

/// Commands of `cmd.txt`, one a line.
pub fn commands(text: &str) -> Vec<String> {
    text.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect()
}

fn run_case(c: &Case, shared: &mut Option<World>) -> Report {
    let fail = |m: &str| Report { name: c.name.clone(), differences: vec![m.to_owned()] };
    let Ok(cmd) = fs::read_to_string(c.dir.join("cmd.txt")) else { return fail("no cmd.txt") };
    let Ok(expected) = fs::read_to_string(c.dir.join("output.txt")) else { return fail("no output.txt") };
    let lines = commands(&cmd);
    let expected = transcript(&lines, &expected);
    let mut w = match shared.take() {
        Some(mut w) => {
            for (path, bytes) in files_of(c) {
                w.put_file(&path, &bytes);
            }
            w
        }
        None => world(files_of(c)),
    };
    prepare(&mut w, &lines);
    for (path, bytes) in files_of(c) {
        if bytes.starts_with(b"#!") {
            run_line(&mut w, &format!("chmod +x {path}"));
        }
    }
    let mut got = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let (output, code) = run_line(&mut w, line);
        got.push(Entry { line: line.clone(), output, code: code.unwrap_or(-1) });
        dead_nodes(&mut w, line);
        // Cases of these letters waited for the namespace's ServiceAccount after their first command.
        if i == 0 && line.starts_with("kubectl create ns ") {
            w.run_until(w.now() + Duration::from_millis(400));
        } else {
            w.run_until(w.now() + Duration::from_millis(30));
        }
    }
    *shared = Some(w);
    Report { name: c.name.clone(), differences: differences(&expected, &got) }
}

/// Runs a line to its end, or as long as patience lasts.
fn run_line(w: &mut World, line: &str) -> (String, Option<i32>) {
    let job = w.next_job();
    w.command(Command::Run { job, line: line.to_owned(), stdin: String::new() });
    let until = w.now() + Duration::from_secs(PATIENCE_S);
    loop {
        w.run_until(w.now() + Duration::from_millis(20));
        if w.job(job).is_some_and(|(_, code)| code.is_some()) || w.now() >= until {
            break;
        }
    }
    w.job(job).map_or((String::new(), None), |(o, c)| (String::from_utf8_lossy(o).into_owned(), c))
}

/// A touched file `dead-node-N` stops that node's lease.
fn dead_nodes(w: &mut World, line: &str) {
    for n in 1..=3 {
        let name = format!("dead-node-{n}");
        if line.contains(&name) {
            w.command(Command::SetPower {
                node: format!("node-{n}"),
                on: line.trim_start().starts_with("rm"),
            });
        }
    }
}

/// Namespaces that commands name and none creates were there before.
fn prepare(w: &mut World, lines: &[String]) {
    let mut wanted: Vec<String> = Vec::new();
    for l in lines {
        let words: Vec<&str> = l.split_whitespace().collect();
        for pair in words.windows(2) {
            if matches!(pair[0], "-n" | "--namespace") {
                wanted.push(pair[1].trim_matches(['\'', '"']).to_owned());
            }
        }
    }
    wanted.sort();
    wanted.dedup();
    for ns in wanted {
        let made = lines.iter().any(|l| {
            (l.contains("create ns") || l.contains("create namespace"))
                && l.split_whitespace().any(|w| w == ns)
        });
        let plain = !ns.is_empty() && ns.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let prefixed = ["g", "golden-"].iter().any(|p| ns.starts_with(p));
        if !made && plain && prefixed {
            w.ensure_namespace(&ns);
        }
    }
    w.run_until(w.now() + Duration::from_millis(400));
}
