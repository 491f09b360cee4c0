//! Nonsense on the command line: whatever is typed, the shell and the userland end with an exit code and without a panic.

use shell::testing::Host;
use sim::{Duration, Seed, Stream};

const PIECES: &[&str] = &[
    "echo",
    "$",
    "${",
    "}",
    "$(",
    ")",
    "((",
    "))",
    "`",
    "'",
    "\"",
    "\\",
    "|",
    "||",
    "&",
    "&&",
    ";",
    ";;",
    "<",
    ">",
    "<<E",
    ">>",
    "2>&1",
    "if",
    "then",
    "fi",
    "for x in",
    "do",
    "done",
    "while",
    "case",
    "esac",
    "in",
    "{",
    "!",
    "#",
    "*",
    "?",
    "[",
    "]",
    "~",
    "x=",
    "x",
    "$x",
    "${x:-",
    "${x%",
    "${x/",
    "${#x}",
    "$((",
    "1+",
    "1/0",
    "\n",
    " ",
    "\t",
    "E\n",
    "f()",
    "local",
    "return",
    "break",
    "exit",
    "set -e",
    "trap",
    "wait",
    "read x",
    "eval",
    "exec",
    "shift",
    "-n",
    "é",
    "\u{0}",
    "%s",
    "%d",
    "printf",
    "sed",
    "s/a/b/",
    "awk",
    "{print $1}",
    "grep",
    "find .",
    "-exec",
    "xargs",
    "ls",
    "-la",
    "/",
    "cat",
    "cd",
    "test",
    "-f",
    "=",
    "a",
    "b",
    "99999999999999999999",
    "-1",
    "seq 3",
    "sort",
    "tr a b",
    "cut -f1",
    "head",
    "tail -f /etc/passwd",
    "sleep 1",
    "kill $$",
    "kill -9 -1",
    "yes",
    "curl x",
    "ping -c1 localhost",
    "nc -l -p 1",
    "date +%",
    "expr 1 +",
    "diff",
    "base64 -d",
    "od",
    "dd if=/dev/zero of=/tmp/z",
    "cp -r / /tmp/x",
    "rm -rf /tmp",
    "mv",
    "ln -s l l; cat l",
    "chmod 0 .",
    "mkdir -p a/b",
    "watch ls",
    "timeout 1 cat",
    "getopts",
    "alias",
    "unset PATH",
    "IFS=",
    "umask 777",
    "ulimit -n",
];

fn script(s: &mut Stream) -> String {
    let n = 1 + s.below(14);
    (0..n)
        .map(|_| {
            let p = PIECES.get(s.below(PIECES.len() as u64) as usize).copied().unwrap_or_default();
            if s.below(3) == 0 { p.to_string() } else { format!("{p} ") }
        })
        .collect()
}

#[test]
fn no_line_panics() {
    let mut s = Seed(42).stream("nonsense");
    let mut base = Host::new(&[shell::commands::TABLE]);
    base.patience = Duration::from_millis(100);
    let rounds = option_env!("NONSENSE").and_then(|n| n.parse().ok()).unwrap_or(1500);
    for _ in 0..rounds {
        let text = script(&mut s);
        let mut h = base.clone();
        h.sh(&text);
        // And typed on a terminal, key by key.
        if s.below(8) == 0 {
            let mut h = base.clone();
            if let Ok((_, tty)) = h.on_tty(&["sh"]) {
                h.type_keys(tty, &text.replace('\n', "\r"), Duration::from_millis(50));
                h.type_keys(tty, "\t\x1b[A\x1b[D\x7f\x03\x04", Duration::from_millis(50));
            }
        }
    }
}

#[test]
fn depth_is_bounded() {
    let mut h = Host::new(&[shell::commands::TABLE]);
    for text in [
        "(".repeat(10_000),
        "$(".repeat(10_000),
        "{ ".repeat(10_000),
        "if ".repeat(10_000),
        format!("echo {}", "${x:-".repeat(10_000)),
        format!("echo $(({}))", "(".repeat(10_000)),
        format!("[ {} a ]", "! ".repeat(20_000)),
        format!("expr {}", "\\( ".repeat(5_000)),
        format!("echo x | grep -E '{}'", "(".repeat(5_000)),
        format!("awk 'BEGIN {{ print {} }}'", "(".repeat(5_000)),
        format!("sed '{}'", "{".repeat(5_000)),
        "f() { f; }; f".into(),
        "f() { eval f; }; f".into(),
        "x='$(echo $x)'; eval echo $x$x$x".into(),
        "echo 'sh a.sh' >a.sh; chmod +x a.sh; . ./a.sh".into(),
        ":(){ :|:& };:".into(),
        "while :; do :; done".into(),
    ] {
        h.patience = Duration::from_millis(200);
        let mut one = h.clone();
        one.sh(&text);
    }
}
