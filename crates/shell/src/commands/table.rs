//! The one list of commands.

use super::once::Once;
use super::{echo, kill, printf, test};
use crate::program::{Entry, Program};
use crate::sh;

/// All commands: names, `synopsis: one line of help`, entry point.
pub static TABLE: &[Entry] = &[
    Entry {
        names: &["sh", "ash", "bash"],
        help: "[-eux] [-c COMMAND | FILE] [ARG]...: the shell",
        main: sh::main,
    },
    Entry { names: &["echo"], help: "[-neE] [ARG]...: print arguments", main: |a| Once::boxed(a, echo::run) },
    Entry {
        names: &["printf"],
        help: "FORMAT [ARG]...: print formatted",
        main: |a| Once::boxed(a, printf::run),
    },
    Entry {
        names: &["test", "["],
        help: "EXPRESSION: evaluate a condition",
        main: |a| Once::boxed(a, test::run),
    },
    Entry { names: &["true"], help: ": succeed", main: |a| Once::boxed(a, |_| Ok(0)) },
    Entry { names: &["false"], help: ": fail", main: |a| Once::boxed(a, |_| Ok(1)) },
    Entry {
        names: &["kill"],
        help: "[-l] [-SIG] PID...: send a signal",
        main: |a| Once::boxed(a, kill::run),
    },
    Entry {
        names: &["killall"],
        help: "[-lq] [-SIG] NAME...: send a signal by name",
        main: |a| Once::boxed(a, kill::killall),
    },
    Entry {
        names: &["pgrep", "pkill", "pidof"],
        help: "[-flx] PATTERN: find processes",
        main: |a| Once::boxed(a, kill::pgrep),
    },
];

/// Names of all applets in order.
pub fn applets() -> Vec<&'static str> {
    let mut v: Vec<&str> = TABLE.iter().flat_map(|e| e.names.iter().copied()).collect();
    v.sort_unstable();
    v
}

/// The multi-call binary: its own name chooses the applet, or its first argument.
pub fn busybox(argv: Vec<String>) -> Box<dyn Program> {
    let name = argv.first().map_or("", |a| crate::fs::basename(a)).trim_start_matches('-').to_string();
    let find = |n: &str| TABLE.iter().find(|e| e.names.contains(&n));
    if name != "busybox"
        && let Some(e) = find(&name)
    {
        return (e.main)(argv);
    }
    match argv.get(1).and_then(|n| find(n)) {
        Some(e) => (e.main)(argv.into_iter().skip(1).collect()),
        None => Once::boxed(argv, |cx| {
            match cx.args.first().map(String::as_str) {
                Some("--list") => {
                    for a in applets() {
                        cx.say(&format!("{a}\n"));
                    }
                }
                None | Some("--help") => {
                    cx.say(&format!("{}\n\nUsage: busybox [function [arguments]...]\n   or: busybox --list\n   or: function [arguments]...\n\nCurrently defined functions:\n\t{}\n", super::options::VERSION, applets().join(", ")));
                }
                Some(a) => {
                    let a = a.to_string();
                    cx.out.err(&format!("{a}: applet not found\n"));
                    return Ok(127);
                }
            }
            Ok(0)
        }),
    }
}
