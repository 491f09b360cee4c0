//! Runs recorded transcripts of a real control plane through our own shell and kubectl against a fresh world.
//!
//! `compare` holds the only normalisations that the recordings' README names; `draws` reads what chance gave in a
//! recording, which is an input of the world, `moments` when its
//! commands ran; `records` compares what lies beside a transcript; `node` is about cases of a real kubelet.

mod compare;
mod draws;
mod moments;
mod node;
mod records;

use apiserver::auth::User;
use cluster::{Command, Setup, World};
use draws::Draws;
use sim::{Duration, Epoch, Instant, Seed};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use compare::{Placeholders, differences, folded};
pub use records::Counts;

/// How long a line may take in virtual time, in seconds.
const PATIENCE_S: u64 = 900;

/// Between two commands: a shell's next line and kubectl's own start took between these on the recording's machine, and
/// which is not recorded. Where something is under way meanwhile, what the next command sees depends on it, so the
/// shortest of these after which the recorded output is seen is taken; the first if there is none.
const PAUSES_MS: [u64; 10] = [100, 50, 150, 20, 200, 10, 75, 125, 250, 300];

/// By how much later a command may be tried than the recording says that it began: the time it took to start.
const LATER_MS: [u64; 3] = [0, 200, 500];

/// A gap between two recorded commands that is longer than this, in seconds, is a wait that the recording does not show.
const UNSEEN_S: i64 = 5;

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
    /// What else was compared.
    pub counts: Counts,
}

/// The cases of a directory in the order of its `INDEX.tsv`.
///
/// # Errors
/// If there is no readable `INDEX.tsv`.
pub fn cases(dir: &Path) -> std::io::Result<Vec<Case>> {
    let index = fs::read_to_string(dir.join("INDEX.tsv"))?;
    let names = index.lines().filter_map(|l| l.split('\t').next()).filter(|n| !n.is_empty());
    let mut all: Vec<Case> = names
        .map(|n| Case { name: n.to_owned(), dir: dir.join("cases").join(n) })
        .filter(|c| c.dir.is_dir())
        .collect();
    // Cases that share a cluster ran in the order of the times that they show.
    let mut key = (String::new(), String::new());
    let mut keys = std::collections::BTreeMap::new();
    for c in &all {
        let time = if c.name.ends_with("-setup") { String::new() } else { latest_time(&c.dir) };
        key = match (group(c) == key.0, time.is_empty()) {
            (true, true) => key,
            _ => (group(c).to_owned(), time),
        };
        // What others of the letter build on comes before them.
        keys.insert(c.name.clone(), (key.clone(), !c.name.ends_with("-setup")));
    }
    all.sort_by_cached_key(|c| keys.get(&c.name).cloned());
    Ok(all)
}

/// When a recorded case began, if it shows the creation of something then.
fn first_time(dir: &Path) -> Option<i64> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let entries = transcript(&commands(&read("cmd.txt")), &read("output.txt"));
    moments::of(&entries).first().copied().flatten()
}

/// The latest time of creation that a transcript shows, "" if it shows none.
fn latest_time(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("output.txt")).unwrap_or_default();
    let times = text.lines().filter_map(|l| l.trim().strip_prefix("creationTimestamp: "));
    times.map(|t| t.trim_matches('"').to_owned()).filter(|t| t.len() == 20).max().unwrap_or_default()
}

/// The world that the cases ran on, with a case's files in the working directory.
fn world(seed: Seed, phase: Duration, first: Option<i64>, draws: &Draws, on: Option<&Case>) -> World {
    let mut setup = Setup::fake(3);
    // The clock is the recording's.
    setup.settings.epoch = Epoch(first.map_or(1_795_554_845, |t| t - 4) - phase.as_secs() as i64);
    let admin = User::new("kubernetes-admin", &["system:masters"]);
    setup.settings.tokens.push(("admintoken".into(), User { uid: "u-admin".into(), ..admin }));
    let alice = User::new("alice", &["devs"]);
    setup.settings.tokens.push(("alicetoken".into(), User { uid: "u-alice".into(), ..alice }));
    setup.cwd = "/case".into();
    setup.host = "vm".into();
    // Paths of edited files are recorded without a directory.
    setup.env = vec![("KUBECONFIG".into(), "/root/.kube/config".into()), ("TMPDIR".into(), ".".into())];
    setup
        .files
        .push(("/root/.kube/config".into(), kubeconfig("kubernetes-admin", "admintoken").into_bytes()));
    setup.files.push(("/case/alice.kubeconfig".into(), kubeconfig("alice", "alicetoken").into_bytes()));
    setup.files.push(("/case/ca.crt".into(), apiserver::CLUSTER_CA.as_bytes().to_vec()));
    setup.settings.names = draws.names.iter().map(|(b, s)| (b.into(), s.into())).collect();
    draws.tosses.iter().for_each(|(ns, pod, node)| setup.tosses.add(ns, pod, node));
    if let Some(c) = on {
        setup.nodes.push(node::setup(&c.dir));
    }
    let mut w = World::new(seed, setup);
    if let Some(texts) = texts() {
        w.set_texts(texts);
    }
    w.run_until(Instant::from_secs(3) + phase);
    if let Some(c) = on {
        node::prepare(&mut w, c);
    }
    w
}

/// The texts of fields in the file that `$KUBARIUM_TEXTS` names.
pub fn texts() -> Option<Arc<apiserver::Texts>> {
    let bytes = fs::read(std::env::var_os("KUBARIUM_TEXTS")?).ok()?;
    apiserver::Texts::read(&bytes).map(Arc::new)
}

/// A kubeconfig of a user with a token; its context has the name that the recordings show.
fn kubeconfig(user: &str, token: &str) -> String {
    cluster::kubeconfig("https://127.0.0.1:6443", user, token).replace(&format!("{user}@kubarium"), "oracle")
}

/// Groups of cases that share a cluster: those of one first letter that build on each other.
fn group(c: &Case) -> &str {
    match c.name.get(..2) {
        Some("a-" | "b-" | "c-") if !node::is(&c.dir) => &c.name[..1],
        _ => &c.name,
    }
}

/// Seeds of the worlds in which a case may run. A recording is one outcome of the races of a real cluster: of latencies,
/// which status a watch catches, which of two controllers comes first. A case passes if one of these few runs of our
/// cluster gives the very same; what no timing gives fails in all of them.
const SEEDS: [u64; 8] = [7, 1, 2, 3, 4, 5, 6, 8];

/// By how much longer than the one before each run's cluster has been up: what controllers do every few seconds falls into
/// another moment of the case.
const PHASE: Duration = Duration::from_millis(1_900);

/// Runs cases, those that `hopeless` names with one seed only; `done` is told of each as it ends.
pub fn run(cases: &[Case], hopeless: impl Fn(&Case) -> bool, mut done: impl FnMut(&Report)) {
    let mut i = 0;
    while i < cases.len() {
        let g = group(&cases[i]);
        let n = cases[i..].iter().take_while(|c| group(c) == g).count();
        let all = &cases[i..i + n];
        let draws = draws::read(all.iter().map(|c| c.dir.as_path()));
        let began = all.iter().filter_map(|c| first_time(&c.dir)).min();
        let on = all.first().filter(|c| n == 1 && node::is(&c.dir));
        let mut first: Vec<Report> = Vec::new();
        // What a real kubelet does takes long to run; its recordings say when commands ran.
        let alone = n == 1 && !hopeless(&all[0]) && on.is_none();
        for (i, seed) in SEEDS[..if alone { SEEDS.len() } else { 1 }].iter().enumerate() {
            let mut w = world(Seed(*seed), PHASE * i as u32, began, &draws, on);
            let reports: Vec<Report> = all.iter().map(|c| run_case(c, &mut w)).collect();
            let passed = reports.iter().all(|r| r.differences.is_empty());
            if passed || first.is_empty() {
                first = reports;
            }
            if passed {
                break;
            }
        }
        first.iter().for_each(&mut done);
        i += n;
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

fn run_case(c: &Case, w: &mut World) -> Report {
    let fail =
        |m: &str| Report { name: c.name.clone(), differences: vec![m.to_owned()], counts: Counts::default() };
    let Ok(cmd) = fs::read_to_string(c.dir.join("cmd.txt")) else { return fail("no cmd.txt") };
    let Ok(expected) = fs::read_to_string(c.dir.join("output.txt")) else { return fail("no output.txt") };
    let lines = commands(&cmd);
    let (expected, times) = node::without_times(&expected);
    let expected = transcript(&lines, &expected);
    for (path, bytes) in files_of(c) {
        w.put_file(&path, &bytes);
    }
    prepare(w, &lines);
    let mut got: Vec<Entry> = Vec::new();
    let mut named = lines.iter().map(|l| draws::namespace_of(l));
    let mut namespace = named.find(|n| *n != "default").unwrap_or("default").to_owned();
    if node::is(&c.dir) {
        namespace = node::namespace(c);
    }
    let began = w.now();
    let mut states = records::States::new(w, &c.dir, &namespace);
    for (path, _) in files_of(c).iter().filter(|(_, b)| b.starts_with(b"#!")) {
        run_line(w, &format!("chmod +x {path}"), &mut states);
    }
    let settle = settling_time(&c.dir);
    let mut moments = if group(c) == c.name { moments::of(&expected) } else { Vec::new() };
    if moments.first().copied().flatten().is_none() {
        // The clock is not the recording's.
        moments.clear();
    }
    for (i, line) in lines.iter().enumerate() {
        let mut first: Option<(World, records::States, Entry)> = None;
        let mut found = None;
        let timed = times.len() == lines.len();
        for ms in if timed { &LATER_MS[..] } else { &PAUSES_MS[..] } {
            let mut trial = w.clone();
            let mut seen = states.clone();
            let pause = Duration::from_millis(*ms);
            match i {
                // The recording says when.
                _ if timed => {
                    trial.run_until(began + times[i] + pause);
                }
                0 => {}
                // Cases of these letters waited for the namespace's ServiceAccount after their first command.
                1 if lines[0].starts_with("kubectl create ns ") => {
                    trial.run_for(pause + Duration::from_millis(300))
                }
                1 => trial.run_for(pause + settle),
                _ => trial.run_for(pause),
            }
            if let Some(at) = moments.get(i).copied().flatten() {
                let now = trial.api().settings.epoch.civil(trial.now()).unix();
                if at > now + UNSEEN_S {
                    trial.run_for(Duration::from_secs((at - now - 1) as u64));
                }
            }
            let entry = run_line(&mut trial, line, &mut seen);
            got.push(entry);
            let until = &expected[..expected.len().min(i + 1)];
            let same = differences(until, &got).iter().all(|(at, _)| *at != i);
            let Some(entry) = got.pop() else { break };
            if same || i == 0 {
                found = Some((trial, seen, entry));
                break;
            }
            first.get_or_insert((trial, seen, entry));
        }
        let Some((then, seen, entry)) = found.or(first) else { break };
        (*w, states) = (then, seen);
        got.push(entry);
        dead_nodes(w, line);
    }
    w.run_for(Duration::from_millis(PAUSES_MS[0]));
    let mut found: Vec<String> = differences(&expected, &got).into_iter().map(|(_, d)| d).collect();
    let mut counts = Counts::default();
    found.extend(records::differences(c, &namespace, w, &states, &mut counts));
    Report { name: c.name.clone(), differences: found, counts }
}

/// Runs a line to its end, or as long as patience lasts.
fn run_line(w: &mut World, line: &str, states: &mut records::States) -> Entry {
    let job = w.next_job();
    w.command(Command::Run { job, line: line.to_owned(), stdin: String::new() });
    let until = w.now() + Duration::from_secs(PATIENCE_S);
    loop {
        w.run_for(Duration::from_millis(20));
        states.poll(w);
        if w.job(job).is_some_and(|(_, code)| code.is_some()) || w.now() >= until {
            break;
        }
    }
    let (output, code) =
        w.job(job).map_or((String::new(), None), |(o, c)| (String::from_utf8_lossy(o).into_owned(), c));
    Entry { line: line.to_owned(), output, code: code.unwrap_or(-1) }
}

/// How long a case waited, unseen, after its first command: its description says `status as after ~1.5 s`.
fn settling_time(dir: &Path) -> Duration {
    let desc = fs::read_to_string(dir.join("desc.txt")).unwrap_or_default();
    let seconds = desc.split("after ~").nth(1).and_then(|r| r.split_whitespace().next()?.parse::<f64>().ok());
    seconds.map_or(Duration::ZERO, |s| Duration::from_millis((s * 1000.0) as u64))
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
            let words: Vec<&str> = l.split_whitespace().collect();
            words.windows(3).any(|w| w[0] == "create" && matches!(w[1], "ns" | "namespace") && w[2] == ns)
        });
        let plain = !ns.is_empty() && ns.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let prefixed = ["g", "golden-"].iter().any(|p| ns.starts_with(p));
        if !made && plain && prefixed {
            w.ensure_namespace(&ns);
        }
    }
    w.run_for(Duration::from_millis(400));
}
