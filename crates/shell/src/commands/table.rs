//! The one list of commands.

use super::filter::Filtering;
use super::once::Once;
use super::tar;
use super::{
    awk, cat, curl, date, diff, disk, echo, expr, files, find, grep, head, kill, ls, nc, netadmin, nslookup,
    paths, ping, printf, ps, sed, sleep, sum, sysctl, test, text, wget, who,
};
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
    Entry {
        names: &["tac"],
        help: "[FILE]...: concatenate lines in reverse",
        main: |a| Once::boxed(a, cat::tac),
    },
    Entry { names: &["rev"], help: "[FILE]...: reverse lines", main: |a| Once::boxed(a, cat::rev) },
    Entry { names: &["nl"], help: "[FILE]...: number lines", main: |a| Once::boxed(a, cat::nl) },
    Entry {
        names: &["truncate"],
        help: "[-c] -s SIZE FILE...: set file sizes",
        main: |a| Once::boxed(a, cat::truncate),
    },
    Entry {
        names: &["sort"],
        help: "[-nrugfbhV] [-k KEY] [-t CHAR] [-o FILE] [FILE]...: sort lines",
        main: |a| Once::boxed(a, text::sort),
    },
    Entry {
        names: &["uniq"],
        help: "[-cdui] [FILE]: drop repeated lines",
        main: |a| Once::boxed(a, text::uniq),
    },
    Entry {
        names: &["wc"],
        help: "[-lwcmL] [FILE]...: count lines, words, bytes",
        main: |a| Once::boxed(a, text::wc),
    },
    Entry {
        names: &["seq"],
        help: "[-w] [-s SEP] [FIRST [INC]] LAST: print numbers",
        main: |a| Once::boxed(a, text::seq),
    },
    Entry {
        names: &["fold"],
        help: "[-bs] [-w WIDTH] [FILE]...: wrap lines",
        main: |a| Once::boxed(a, text::fold),
    },
    Entry {
        names: &["paste"],
        help: "[-s] [-d LIST] [FILE]...: merge lines of files",
        main: |a| Once::boxed(a, text::paste),
    },
    Entry {
        names: &["ls"],
        help: "[-1AaCdFhilnpRrStL] [FILE]...: list directory contents",
        main: |a| Once::boxed(a, ls::ls),
    },
    Entry {
        names: &["stat"],
        help: "[-Lc FORMAT] FILE...: show file status",
        main: |a| Once::boxed(a, ls::stat),
    },
    Entry {
        names: &["cp"],
        help: "[-arPLHpfilsTu] SOURCE... DEST: copy files",
        main: |a| Once::boxed(a, files::cp),
    },
    Entry {
        names: &["mv"],
        help: "[-finT] SOURCE... DEST: rename or move files",
        main: |a| Once::boxed(a, files::mv),
    },
    Entry { names: &["rm"], help: "[-irf] FILE...: remove files", main: |a| Once::boxed(a, files::rm) },
    Entry {
        names: &["mkdir"],
        help: "[-m MODE] [-p] DIRECTORY...: make directories",
        main: |a| Once::boxed(a, files::mkdir),
    },
    Entry {
        names: &["rmdir"],
        help: "[-p] DIRECTORY...: remove empty directories",
        main: |a| Once::boxed(a, files::rmdir),
    },
    Entry {
        names: &["ln"],
        help: "[-sfnT] TARGET... LINK|DIR: make links",
        main: |a| Once::boxed(a, files::ln),
    },
    Entry {
        names: &["touch"],
        help: "[-c] [-d DATE] [-r FILE] FILE...: set times, make files",
        main: |a| Once::boxed(a, files::touch),
    },
    Entry {
        names: &["chmod"],
        help: "[-R] MODE[,MODE]... FILE...: change permissions",
        main: |a| Once::boxed(a, files::chmod),
    },
    Entry {
        names: &["chown", "chgrp"],
        help: "[-R] OWNER[:GROUP] FILE...: change owner and group",
        main: |a| Once::boxed(a, files::chown),
    },
    Entry {
        names: &["install"],
        help: "[-cdD] [-m MODE] SOURCE... DEST: copy and set permissions",
        main: |a| Once::boxed(a, files::install),
    },
    Entry {
        names: &["mktemp"],
        help: "[-dqu] [-p DIR] [TEMPLATE]: make a temporary file",
        main: |a| Once::boxed(a, files::mktemp),
    },
    Entry {
        names: &["dd"],
        help: "[if=FILE] [of=FILE] [bs=N] [count=N]: copy and convert",
        main: |a| Once::boxed(a, files::dd),
    },
    Entry {
        names: &["date"],
        help: "[-uR] [-d TIME] [-I[SPEC]] [+FORMAT]: show time",
        main: |a| Once::boxed(a, date::date),
    },
    Entry {
        names: &["uptime"],
        help: ": show how long the system runs",
        main: |a| Once::boxed(a, date::uptime),
    },
    Entry {
        names: &["find"],
        help: "[PATH]... [TESTS] [ACTIONS]: search for files",
        main: |a| Once::boxed(a, find::find),
    },
    Entry {
        names: &["xargs"],
        help: "[-0rt] [-n N] [-I STR] [PROG ARGS]: run a program on arguments from standard input",
        main: |a| Once::boxed(a, find::xargs),
    },
    Entry { names: &["pwd"], help: ": print the working directory", main: |a| Once::boxed(a, paths::pwd) },
    Entry {
        names: &["basename"],
        help: "FILE [SUFFIX]: strip directory and suffix",
        main: |a| Once::boxed(a, paths::basename),
    },
    Entry {
        names: &["dirname"],
        help: "FILE: strip the last part",
        main: |a| Once::boxed(a, paths::dirname),
    },
    Entry {
        names: &["readlink"],
        help: "[-fn] FILE: show a symbolic link",
        main: |a| Once::boxed(a, paths::readlink),
    },
    Entry {
        names: &["realpath"],
        help: "FILE...: show absolute paths",
        main: |a| Once::boxed(a, paths::realpath),
    },
    Entry { names: &["which"], help: "COMMAND...: locate commands", main: |a| Once::boxed(a, paths::which) },
    Entry {
        names: &["du"],
        help: "[-aschmk] [FILE]...: show used disk space",
        main: |a| Once::boxed(a, disk::du),
    },
    Entry {
        names: &["df"],
        help: "[-PkmhT] [FILE]...: show free disk space",
        main: |a| Once::boxed(a, disk::df),
    },
    Entry {
        names: &["mount"],
        help: "[-r] [-t TYPE] [-o OPTS] [DEVICE DIR]: mount",
        main: |a| Once::boxed(a, disk::mount),
    },
    Entry { names: &["umount"], help: "DIR...: unmount", main: |a| Once::boxed(a, disk::umount) },
    Entry { names: &["free"], help: "[-bkmgh]: show memory", main: |a| Once::boxed(a, disk::free) },
    Entry { names: &["ps"], help: "[-o COL1,COL2]: show processes", main: |a| Once::boxed(a, ps::ps) },
    Entry {
        names: &["top"],
        help: "[-b] [-n COUNT]: show processes once",
        main: |a| Once::boxed(a, ps::top),
    },
    Entry {
        names: &["id"],
        help: "[-ugGnr] [USER]: show user and groups",
        main: |a| Once::boxed(a, who::id),
    },
    Entry { names: &["whoami"], help: ": show the user", main: |a| Once::boxed(a, who::whoami) },
    Entry { names: &["groups"], help: ": show groups", main: |a| Once::boxed(a, who::list_groups) },
    Entry {
        names: &["hostname"],
        help: "[-sfid] [HOSTNAME]: show or set the host name",
        main: |a| Once::boxed(a, who::hostname),
    },
    Entry { names: &["uname"], help: "[-amnrspvo]: show the system", main: |a| Once::boxed(a, who::uname) },
    Entry {
        names: &["printenv"],
        help: "[VARIABLE]...: print the environment",
        main: |a| Once::boxed(a, who::printenv),
    },
    Entry {
        names: &["env"],
        help: "[-i] [-u NAME] [NAME=VALUE]... [PROG ARGS]: run in a changed environment",
        main: |a| Once::boxed(a, who::env),
    },
    Entry {
        names: &["nohup", "setsid", "nice"],
        help: "PROG ARGS: run a program",
        main: |a| Once::boxed(a, who::nohup),
    },
    Entry { names: &["tty"], help: ": show the terminal", main: |a| Once::boxed(a, who::tty) },
    Entry { names: &["clear", "reset"], help: ": clear the screen", main: |a| Once::boxed(a, who::clear) },
    Entry { names: &["sync"], help: ": write out", main: |a| Once::boxed(a, |_| Ok(0)) },
    Entry {
        names: &["base64"],
        help: "[-d] [-w COL] [FILE]: encode or decode",
        main: |a| Once::boxed(a, sum::base64),
    },
    Entry {
        names: &["md5sum", "sha1sum", "sha256sum", "sha512sum"],
        help: "[-cs] [FILE]...: compute checksums",
        main: |a| Once::boxed(a, sum::sums),
    },
    Entry {
        names: &["hexdump", "xxd", "od"],
        help: "[-Ccx] [FILE]...: dump bytes",
        main: |a| Once::boxed(a, sum::dump),
    },
    Entry {
        names: &["strings"],
        help: "[-n LEN] [FILE]...: show printable strings",
        main: |a| Once::boxed(a, sum::strings),
    },
    Entry {
        names: &["diff"],
        help: "[-abBiNqruw] [-L LABEL] [-U LINES] FILE1 FILE2: compare files line by line",
        main: |a| Once::boxed(a, diff::diff),
    },
    Entry { names: &["cmp"], help: "[-s] FILE1 FILE2: compare files", main: |a| Once::boxed(a, diff::cmp) },
    Entry {
        names: &["comm"],
        help: "[-123] FILE1 FILE2: compare sorted files",
        main: |a| Once::boxed(a, diff::comm),
    },
    Entry { names: &["expr"], help: "EXPRESSION: evaluate", main: |a| Once::boxed(a, expr::run) },
    Entry { names: &["cat"], help: "[-nbvteA] [FILE]...: print files", main: Filtering::<cat::Cat>::boxed },
    Entry {
        names: &["tee"],
        help: "[-ai] [FILE]...: copy standard input to files too",
        main: Filtering::<cat::Tee>::boxed,
    },
    Entry {
        names: &["head"],
        help: "[-n LINES] [-c BYTES] [FILE]...: print the beginning",
        main: Filtering::<head::Head>::boxed,
    },
    Entry { names: &["tail"], help: "[-n LINES] [-c BYTES] [-f] [FILE]...: print the end", main: head::tail },
    Entry {
        names: &["grep", "egrep", "fgrep"],
        help: "[-HhnlLoqvsrRiwFExc] [-m N] [-A|B|C N] PATTERN [FILE]...: search",
        main: Filtering::<grep::Grep>::boxed,
    },
    Entry {
        names: &["sed"],
        help: "[-i] [-nE] [-e CMD] [-f FILE] [FILE]...: edit a stream",
        main: Filtering::<sed::Sed>::boxed,
    },
    Entry {
        names: &["cut"],
        help: "[-b LIST] [-c LIST] [-f LIST] [-d CHAR] [-s] [FILE]...: print parts of lines",
        main: Filtering::<text::Cut>::boxed,
    },
    Entry {
        names: &["tr"],
        help: "[-cds] STRING1 [STRING2]: translate characters",
        main: Filtering::<text::Tr>::boxed,
    },
    Entry { names: &["yes"], help: "[STRING]: print again and again", main: text::yes },
    Entry { names: &["sleep"], help: "[N]...: pause", main: sleep::sleep },
    Entry {
        names: &["timeout"],
        help: "[-s SIG] [-k SECS] SECS PROG ARGS: run with a time limit",
        main: sleep::watched,
    },
    Entry { names: &["time"], help: "PROG ARGS: run and show the time", main: sleep::watched },
    Entry { names: &["watch"], help: "[-n SEC] [-t] PROG ARGS: run again and again", main: sleep::watch },
    Entry { names: &["curl"], help: "[OPTIONS] URL...: transfer a URL", main: curl::curl },
    Entry {
        names: &["wget"],
        help: "[-qS] [-O FILE] [-T SEC] [--header STR] [--spider] URL...: retrieve files",
        main: wget::wget,
    },
    Entry {
        names: &["ping"],
        help: "[-q] [-c CNT] [-s SIZE] [-t TTL] [-i SECS] [-W SEC] [-w SEC] HOST: send echo requests",
        main: ping::ping,
    },
    Entry {
        names: &["traceroute"],
        help: "[-n] [-f 1ST_TTL] [-m MAXTTL] [-q PROBES] [-w SEC] HOST: trace the route to a host",
        main: ping::traceroute,
    },
    Entry {
        names: &["nslookup", "dig", "host"],
        help: "[-type=QUERY_TYPE] HOST [SERVER]: query DNS",
        main: nslookup::nslookup,
    },
    Entry {
        names: &["nc", "telnet"],
        help: "[-luzvk] [-w SEC] [-p PORT] [HOST PORT] [-e PROG]: open a connection",
        main: nc::nc,
    },
    Entry {
        names: &[
            "ip",
            "ss",
            "netstat",
            "ifconfig",
            "route",
            "arp",
            "brctl",
            "bridge",
            "conntrack",
            "iptables",
            "iptables-save",
            "iptables-restore",
            "ipset",
            "ethtool",
        ],
        help: "[ARG]...: show and change the network",
        main: |a| Once::boxed(a, netadmin::run),
    },
    Entry {
        names: &["awk"],
        help: "[-F SEP] [-v VAR=VAL] PROGRAM [FILE]...: process text by patterns",
        main: Filtering::<awk::Awk>::boxed,
    },
    Entry {
        names: &["sysctl"],
        help: "[-anw] [KEY[=VALUE]]...: show and set kernel settings",
        main: |a| Once::boxed(a, sysctl::run),
    },
    Entry {
        names: &["tar"],
        help: "c|x|t [-vO] [-f FILE] [-C DIR] [FILE]...: pack and unpack archives",
        main: |a| Once::boxed(a, tar::run),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_have_help() {
        let mut seen = BTreeSet::new();
        for e in TABLE {
            assert!(e.help.contains(": "), "{:?} needs a synopsis and a line of help", e.names);
            for n in e.names {
                assert!(seen.insert(n), "{n} is there twice");
            }
        }
    }
}
