//! The command tree: finding a command, parsing its flags, its usage errors.

use crate::commands;
use crate::cx::{Cx, Done, Stop};
use crate::error::Error;
use crate::flags::{self, Flag, Parsed, Values};
use crate::{complete, globals, help, kuberc};

/// Under which heading the root's help lists a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Group {
    Beginner,
    Intermediate,
    Deploy,
    Cluster,
    Troubleshooting,
    Advanced,
    Settings,
    Other,
    /// A subcommand, or hidden.
    None,
}

/// A command: one unit of the table.
#[derive(Debug)]
pub struct Command {
    /// Name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Heading in the root's help.
    pub group: Group,
    /// One line.
    pub short: &'static str,
    /// A paragraph or more.
    pub long: &'static str,
    /// The line behind `Usage:`, without `kubectl` and the parents' names.
    pub usage: &'static str,
    /// Examples.
    pub example: &'static str,
    /// Its flags, in several tables.
    pub flags: &'static [&'static [Flag]],
    /// Flags that must be given.
    pub required: &'static [&'static str],
    /// Commands below.
    pub subs: &'static [&'static Command],
    /// Its work; `None` for those that only have commands below.
    pub run: Option<fn(&mut Cx<'_>, &Args) -> Done>,
    /// Completes the word that follows `words`.
    pub complete: Option<complete::Completer>,
}

impl Command {
    /// What most commands have not.
    pub const EMPTY: Command = Command {
        name: "",
        aliases: &[],
        group: Group::None,
        short: "",
        long: "",
        usage: "",
        example: "",
        flags: &[],
        required: &[],
        subs: &[],
        run: None,
        complete: None,
    };

    /// Whether it goes by that name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// A flag of its own.
    pub fn flag(&self, name: &str) -> Option<&'static Flag> {
        let letter = name.strip_prefix('-').and_then(|n| n.chars().next());
        self.flags.iter().flat_map(|t| t.iter()).find(|f| match letter {
            Some(c) => f.short == c,
            None => f.name == name,
        })
    }
}

/// A command with what was given to it.
#[derive(Clone, Debug)]
pub struct Args {
    /// The command.
    pub command: &'static Command,
    /// `kubectl rollout status`
    pub path: String,
    /// Flags.
    pub values: Values,
    /// Words that are no flags.
    pub words: Vec<String>,
    /// How many words stood before `--`.
    pub dash: Option<usize>,
}

impl Args {
    fn find(&self, name: &str) -> Option<&'static Flag> {
        self.command.flag(name).or_else(|| globals::find(name))
    }

    /// Whether a flag was given.
    pub fn given(&self, name: &str) -> bool {
        self.values.given(name)
    }

    /// A flag's text, or its default.
    pub fn str(&self, name: &str) -> String {
        match self.values.last(name) {
            Some(v) => v.to_owned(),
            None => self.find(name).map_or("", |f| f.default.trim_matches('\'')).to_owned(),
        }
    }

    /// A flag's truth, or its default.
    pub fn bool(&self, name: &str) -> bool {
        flags::parse_bool(&self.str(name)).unwrap_or(false)
    }

    /// A flag's number, or its default.
    pub fn int(&self, name: &str) -> i64 {
        flags::parse_int(&self.str(name)).unwrap_or(0)
    }

    /// A flag's duration in nanoseconds, or its default.
    pub fn duration(&self, name: &str) -> i64 {
        api::duration::parse(&self.str(name)).unwrap_or(0)
    }

    /// All texts of a flag that may be given several times.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.all(name)
    }

    /// What `--record` writes down, if it is given.
    pub fn change_cause(&self) -> Option<String> {
        let on = self.values.last("record").is_some_and(|v| flags::parse_bool(v) == Some(true));
        on.then(|| {
            let mut text = self.path.clone();
            for w in &self.words {
                text += &format!(" {w}");
            }
            for name in self.values.names() {
                text += &format!(" --{name}={}", self.values.all(name).join(","));
            }
            text
        })
    }

    /// A misuse of this command, with the hint at its help.
    pub fn usage(&self, message: impl core::fmt::Display) -> Stop {
        Stop::Fail(Error::usage(&self.path, message))
    }
}

/// What the words of a command line lead to.
pub struct Found<'a> {
    /// The command.
    pub command: &'static Command,
    /// `kubectl get`
    pub path: String,
    /// The words that remain.
    pub rest: Vec<String>,
    /// The root's word that is no command.
    pub unknown: Option<&'a str>,
}

/// Finds the command among words and flags as cobra does.
pub fn find(args: &[String]) -> Found<'_> {
    let mut command = &commands::ROOT;
    let mut path = String::from("kubectl");
    let mut rest: Vec<String> = args.to_vec();
    let mut unknown = None;
    while let Some(at) = first_word(&rest, command) {
        let Some(next) = command.subs.iter().find(|c| c.is(&rest[at])) else {
            if core::ptr::eq(command, &commands::ROOT) {
                unknown = args.iter().find(|a| **a == rest[at]).map(String::as_str);
            }
            break;
        };
        rest.remove(at);
        command = next;
        path = format!("{path} {}", command.name);
    }
    Found { command, path, rest, unknown }
}

/// The index of the first word that is neither a flag nor a flag's value.
fn first_word(args: &[String], command: &Command) -> Option<usize> {
    let lookup = |n: &str| command.flag(n).or_else(|| globals::find(n));
    let mut i = 0;
    while i < args.len() {
        let a = &args[i];
        if a == "--" {
            return None;
        }
        if let Some(long) = a.strip_prefix("--") {
            if !long.contains('=') && lookup(long).is_some_and(|f| f.alone.is_none()) {
                i += 1;
            }
        } else if a.len() > 1 && a.starts_with('-') {
            let c = a.chars().nth(1).unwrap_or(' ');
            if a.chars().count() == 2 && lookup(&format!("-{c}")).is_some_and(|f| f.alone.is_none()) {
                i += 1;
            }
        } else {
            return Some(i);
        }
        i += 1;
    }
    None
}

/// The old flag that writes a command's line down on what it changes.
static RECORD: Flag = flags::switch("record", "Write the command line down in the object's annotations.");

/// Whether a command has the flag `--record`.
fn records(path: &str) -> bool {
    let word = path.split(' ').nth(1).unwrap_or("");
    [
        "annotate",
        "apply",
        "autoscale",
        "create",
        "edit",
        "expose",
        "label",
        "patch",
        "replace",
        "run",
        "scale",
        "set",
    ]
    .contains(&word)
}

/// Flags that go away, with what is said about them.
fn deprecation(name: &str) -> Option<&'static str> {
    Some(match name {
        "record" => "--record will be removed in the future",
        "cpu-percent" => {
            "Use --cpu with percentage or resource quantity format (e.g., '70%' for utilization or '500m' for milliCPU)."
        }
        _ => return None,
    })
}

/// Parses the rest of a command line for a command.
pub fn parse(command: &'static Command, path: &str, rest: &[String]) -> Result<(Args, bool), Error> {
    let lookup = |n: &str| match n {
        "help" | "-h" => Some(&help::FLAG),
        "record" if records(path) => Some(&RECORD),
        n => command.flag(n).or_else(|| globals::find(n)),
    };
    // `exec`, `run` and the like take flags between words, too: what belongs to the inner command follows `--`.
    let Parsed { values, words, dash } = flags::parse(rest, &lookup, true).map_err(|e| {
        Error::Text(format!(
            "{}\n{}",
            e.message(),
            match path {
                "kubectl options" => "Run 'kubectl options' without flags.".to_owned(),
                path => format!("See '{path} --help' for usage."),
            }
        ))
    })?;
    let help = values.last("help").and_then(flags::parse_bool).unwrap_or(false);
    Ok((Args { command, path: path.to_owned(), values, words, dash }, help))
}

/// Runs a whole command line.
pub fn main(cx: &mut Cx<'_>, args: &[String]) -> Done {
    match args.first().map(String::as_str) {
        Some("__complete" | "__completeNoDesc") => return complete::run(cx, args),
        Some("help") => return help::command(cx, &args[1..]),
        _ => {}
    }
    let args = &kuberc::apply(cx, args)?;
    let found = find(args);
    if let Some(word) = found.unknown {
        // It could have been a plugin, whose name comes first.
        if let Some(flag) = args.first().filter(|a| a.starts_with('-')) {
            return Err(
                Error::Plain(format!("Error: flags cannot be placed before plugin name: {flag}\n")).into()
            );
        }
        let hint = GONE.iter().find(|(name, _)| *name == word).map(|(_, hint)| *hint);
        return hinted(cx, unknown_command(word), hint);
    }
    let (a, wants_help) = match parse(found.command, &found.path, &found.rest) {
        Ok(parsed) => parsed,
        Err(e) => {
            let hint = instead_of_flag(&found.path, &e.message());
            return hinted(cx, e, hint);
        }
    };
    if wants_help && found.command.name != "alpha" {
        let text = help::page(found.command, &found.path);
        cx.out(text);
        return Ok(());
    }
    let Some(run) = found.command.run else {
        let text = help::page(found.command, &found.path);
        if core::ptr::eq(found.command, &commands::ROOT) {
            cx.out(text);
            return Ok(());
        }
        // A command that only has commands below.
        if a.words.is_empty() {
            match found.command.name {
                "certificate" => {
                    cx.out(text);
                    return Ok(());
                }
                "rollout" => cx.out(text),
                _ => cx.err(text),
            }
            return Err(Stop::Exit(1));
        }
        return Err(a.usage(format!("unknown command {}", api::gofmt::quote(&a.words.join(" ")))));
    };
    let missing: Vec<String> =
        found.command.required.iter().filter(|n| !a.given(n)).map(|n| api::gofmt::quote(n)).collect();
    if !missing.is_empty() {
        return Err(Error::Text(format!("required flag(s) {} not set", missing.join(", "))).into());
    }
    for name in a.values.names() {
        if let Some(text) = deprecation(name) {
            cx.err(format!("Flag --{name} has been deprecated, {text}\n"));
        }
    }
    globals::check(&a)?;
    run(cx, &a)
}

fn unknown_command(word: &str) -> Error {
    let lower = word.to_lowercase();
    let similar: Vec<&str> = commands::ROOT
        .subs
        .iter()
        .filter(|c| c.group != Group::None)
        .map(|c| c.name)
        .filter(|n| distance(&lower, n) <= 2 || n.starts_with(&lower))
        .collect();
    let mut text = format!("error: unknown command {} for \"kubectl\"\n", api::gofmt::quote(word));
    if !similar.is_empty() {
        text += "\nDid you mean this?\n";
        for s in similar {
            text += &format!("\t{s}\n");
        }
    }
    Error::Plain(text)
}

/// Fails; to people at a terminal with a line on what to type instead.
fn hinted(cx: &mut Cx<'_>, e: Error, hint: Option<&str>) -> Done {
    let (text, code) = e.report();
    cx.err(text);
    if let Some(hint) = hint
        && cx.is_tty(2)?
    {
        cx.err(format!("{hint}\n"));
    }
    Err(Stop::Exit(code))
}

/// Commands of earlier times, with what to type today.
const GONE: [(&str, &str); 7] = [
    (
        "rolling-update",
        "Today: a Deployment rolls by itself: kubectl set image deployment/NAME CONTAINER=IMAGE",
    ),
    ("run-container", "Today: kubectl run NAME --image=IMAGE"),
    ("stop", "Today: kubectl delete TYPE NAME"),
    ("update", "Today: kubectl replace -f FILENAME"),
    ("clusterinfo", "Today: kubectl cluster-info"),
    ("namespace", "Today: kubectl config set-context --current --namespace=NAME"),
    ("convert", "Today: write the manifest in a version that kubectl api-versions lists"),
];

/// Flags of earlier times: command, flag, what to type today.
const GONE_FLAGS: [(&str, &str, &str); 12] = [
    (
        "run",
        "generator",
        "Today: kubectl run makes pods; kubectl create makes deployments, jobs and cron jobs",
    ),
    ("run", "replicas", "Today: kubectl create deployment NAME --image=IMAGE --replicas=N"),
    ("run", "schedule", "Today: kubectl create cronjob NAME --image=IMAGE --schedule=SCHEDULE"),
    ("run", "requests", "Today: kubectl run NAME --image=IMAGE --overrides=JSON, or write a manifest"),
    ("run", "limits", "Today: kubectl run NAME --image=IMAGE --overrides=JSON, or write a manifest"),
    ("run", "serviceaccount", "Today: kubectl run NAME --image=IMAGE --overrides=JSON, or write a manifest"),
    ("expose", "generator", "Today: kubectl expose needs no generator"),
    ("get", "export", "Today: kubectl get TYPE NAME -o yaml, and take status and metadata out"),
    ("get", "show-all", "Today: kubectl get shows all pods"),
    ("drain", "delete-local-data", "Today: --delete-emptydir-data"),
    ("autoscale", "generator", "Today: kubectl autoscale needs no generator"),
    ("create", "record", "Today: kubectl annotate TYPE NAME kubernetes.io/change-cause=TEXT"),
];

/// What to type in place of a flag that is gone.
fn instead_of_flag(path: &str, error: &str) -> Option<&'static str> {
    let flag = error.lines().next()?.strip_prefix("unknown flag: --")?;
    let word = path.split(' ').nth(1)?;
    GONE_FLAGS.iter().find(|(c, f, _)| *c == word && *f == flag).map(|(_, _, hint)| *hint)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
