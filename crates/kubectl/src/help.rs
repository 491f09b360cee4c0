//! `--help`, `kubectl help` and `kubectl options`.

use crate::command::{Command, Group, find};
use crate::commands;
use crate::cx::{Cx, Done};
use crate::flags::{Flag, switch};
use crate::globals;

/// `-h`
pub const FLAG: Flag = switch("help", "Show this page").short('h');

const HEADINGS: [(Group, &str); 8] = [
    (Group::Beginner, "Basic Commands (Beginner):"),
    (Group::Intermediate, "Basic Commands (Intermediate):"),
    (Group::Deploy, "Deploy Commands:"),
    (Group::Cluster, "Cluster Management Commands:"),
    (Group::Troubleshooting, "Troubleshooting and Debugging Commands:"),
    (Group::Advanced, "Advanced Commands:"),
    (Group::Settings, "Settings Commands:"),
    (Group::Other, "Other Commands:"),
];

/// The page of a command.
pub fn page(c: &'static Command, path: &str) -> String {
    let root = core::ptr::eq(c, &commands::ROOT);
    if c.name == "options" {
        return String::new();
    }
    let mut out = c.long.trim_end().to_owned() + "\n\n";
    if !c.aliases.is_empty() {
        out += &format!("Aliases:\n{}, {}\n\n", c.name, c.aliases.join(", "));
    }
    if !c.example.is_empty() {
        out += "Examples:\n";
        for line in c.example.lines() {
            out += &format!("  {line}\n");
        }
        out += "\n";
    }
    if root {
        out += &groups(c);
    } else if !c.subs.is_empty() {
        out += "Available Commands:\n";
        out += &rows(c.subs, c.subs);
        out += "\n";
    }
    // Flags without words are hidden.
    let flags: Vec<&Flag> = c.flags.iter().flat_map(|t| t.iter()).filter(|f| !f.help.is_empty()).collect();
    if !flags.is_empty() {
        out += "Options:\n";
        out += &options(flags);
    }
    let line = usage(c, path);
    let more = if line.contains("[options]") { "" } else { " [options]" };
    out += &format!("Usage:\n  {line}{more}\n\n");
    if !c.subs.is_empty() {
        out += &format!("Use \"{path} <command> --help\" for more information about a given command.\n");
    }
    out += "Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n";
    out
}

/// The usage line with the names of the parents.
fn usage(c: &Command, path: &str) -> String {
    if path == "kubectl" {
        return format!("kubectl {}", c.usage);
    }
    match path.rsplit_once(' ') {
        Some((parents, _)) => format!("{parents} {}", c.usage),
        None => c.usage.to_owned(),
    }
}

fn rows(list: &[&'static Command], all: &[&'static Command]) -> String {
    let width = all.iter().map(|c| c.name.len()).max().unwrap_or(0).max(11) + 3;
    list.iter().map(|c| format!("  {:width$}{}\n", c.name, c.short)).collect()
}

fn groups(c: &Command) -> String {
    let mut out = String::new();
    for (group, heading) in HEADINGS {
        let list: Vec<&'static Command> = c.subs.iter().copied().filter(|s| s.group == group).collect();
        if group == Group::Other {
            out += "Subcommands provided by plugins:\n\n";
        }
        if !list.is_empty() {
            out += &format!("{heading}\n{}\n", rows(&list, c.subs));
        }
    }
    out
}

fn options(mut flags: Vec<&Flag>) -> String {
    flags.sort_by_key(|f| f.name);
    flags.dedup_by_key(|f| f.name);
    let mut out = String::new();
    for f in flags {
        let short = if f.short == ' ' { String::new() } else { format!("-{}, ", f.short) };
        out += &format!("    {short}--{}={}:\n\t{}\n\n", f.name, f.default, f.help);
    }
    out
}

/// `kubectl help [command]`
pub fn command(cx: &mut Cx<'_>, words: &[String]) -> Done {
    let found = find(words);
    if let Some(w) = found.unknown {
        let page = page(found.command, &found.path);
        let groups = page.strip_prefix(found.command.long.trim_end()).unwrap_or(&page);
        cx.err(format!("Unknown help topic [`{w}`]\n{groups}"));
        return Ok(());
    }
    let text = page(found.command, &found.path);
    cx.out(text);
    Ok(())
}

/// `kubectl options`
pub static OPTIONS: Command = Command {
    name: "options",
    short: "Print the list of flags inherited by all commands",
    long: "Lists the options that every command takes.",
    usage: "options",
    run: Some(|cx, a| {
        let _ = a;
        let text = options(globals::FLAGS.iter().collect());
        cx.out(format!("The following options can be passed to any command:\n\n{text}"));
        Ok(())
    }),
    ..Command::EMPTY
};
