use crate::{Net, NsId, Output};
use expect_test::{Expect, expect};
use std::path::Path;

fn net() -> (Net, NsId) {
    let mut net = Net::new(sim::Seed(1).stream("net"));
    let ns = net.add_namespace("host").unwrap();
    (net, ns)
}

/// Splits a command line as a shell does, far enough for tests.
fn words(line: &str) -> Vec<String> {
    let (mut out, mut cur, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => cur.extend(chars.next()),
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => cur.push(c),
            (None, '"' | '\'') => (quote, any) = (Some(c), true),
            (None, ' ') => {
                if any || !cur.is_empty() {
                    out.push(std::mem::take(&mut cur));
                }
                any = false;
            }
            (None, c) => cur.push(c),
        }
    }
    if any || !cur.is_empty() {
        out.push(cur);
    }
    out
}

fn run(net: &mut Net, ns: NsId, line: &str) -> Output {
    let args = words(line);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    net.iptables(ns, &args)
}

/// Runs lines of `iptables` arguments and records what real iptables printed for them in the same way.
fn transcript(net: &mut Net, ns: NsId, lines: &str) -> String {
    let mut s = String::new();
    for l in lines.lines() {
        let o = run(net, ns, l);
        s.push_str(&format!("$ iptables {l}\n{}{}", o.stdout, o.stderr));
        if o.code != 0 {
            s.push_str(&format!("[exit {}]\n", o.code));
        }
    }
    s
}

/// One recorded case of the real kube-proxy: its canary and jump rules, then what it fed to iptables-restore.
fn replay(dir: &Path) -> Result<(), String> {
    let read = |f: &str| std::fs::read_to_string(dir.join(f)).map_err(|e| e.to_string());
    let (save, restores) = (read("iptables-save.txt")?, read("restore.txt")?);
    let (mut net, ns) = net();
    let mut table = String::new();
    let mut jumps = Vec::new();
    for l in save.lines() {
        if let Some(t) = l.strip_prefix('*') {
            table = t.to_string();
            run(&mut net, ns, &format!("-t {table} -N KUBE-PROXY-CANARY"));
            for c in save_chains(&restores, t) {
                run(&mut net, ns, &format!("-t {table} -N {c}"));
            }
        }
        let builtin = ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"];
        if let Some(rest) = l.strip_prefix("-A ")
            && builtin.iter().any(|b| rest.starts_with(&format!("{b} ")))
        {
            jumps.push(format!("-t {table} -I {rest}"));
        }
    }
    for j in jumps.iter().rev() {
        let o = run(&mut net, ns, j);
        if o.code != 0 {
            return Err(format!("{j}: {}", o.stderr));
        }
    }
    for r in restores.split("# ---- next restore ----\n") {
        net.iptables_restore(ns, r, true, true).map_err(|e| e.to_string())?;
    }
    let got = net.iptables_save(ns, None);
    if got == save {
        return Ok(());
    }
    let diff = save.lines().zip(got.lines()).find(|(a, b)| a != b);
    Err(format!("{}: {diff:?}, {} and {} lines", dir.display(), save.lines().count(), got.lines().count()))
}

fn save_chains<'a>(text: &'a str, table: &str) -> Vec<&'a str> {
    let head = format!("*{table}");
    let part = text.lines().skip_while(move |l| *l != head).skip(1).take_while(|l| *l != "COMMIT");
    part.filter_map(|l| l.strip_prefix(':')?.split(' ').next()).collect()
}

#[test]
fn kube_proxy_restores_save_like_the_real_thing() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kube-proxy");
    let mut n = 0;
    let mut bad = Vec::new();
    for e in std::fs::read_dir(dir).unwrap() {
        n += 1;
        bad.extend(replay(&e.unwrap().path()).err());
    }
    assert!(bad.is_empty() && n >= 8, "{}", bad.join("\n"));
}

/// Rules and what iptables-save 1.8.9 made of them, recorded.
#[test]
fn rules_print_like_the_real_thing() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/iptables");
    for case in ["errors", "rules"] {
        let want = std::fs::read_to_string(dir.join(format!("{case}.txt"))).unwrap();
        let (mut net, ns) = net();
        for s in [("S1", "hash:ip,port"), ("S2", "hash:net")] {
            net.ipset_create(ns, s.0, super::SetType::named(s.1).unwrap()).unwrap();
        }
        let lines: Vec<&str> = want.lines().filter_map(|l| l.strip_prefix("$ iptables ")).collect();
        let got = transcript(&mut net, ns, &lines.join("\n"));
        for (w, g) in want.lines().zip(got.lines()) {
            assert_eq!(g, w, "{case}");
        }
        assert_eq!(got.lines().count(), want.lines().count());
    }
}

fn restore_text(input: &str, flags: &str) -> String {
    let (mut net, ns) = net();
    net.iptables_restore(
        ns,
        "*filter\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A INPUT -j A\nCOMMIT\n",
        true,
        false,
    )
    .unwrap();
    match net.iptables_restore(ns, input, flags.contains('n'), flags.contains('c')) {
        Ok(()) => net.iptables_save_with(ns, None, true, "now"),
        Err(e) => format!("{}[exit {}]\n", e.text, e.code),
    }
}

fn check(input: &str, flags: &str, want: Expect) {
    want.assert_eq(&restore_text(input, flags));
}

#[test]
fn restore_errors_are_those_of_iptables_restore() {
    check(
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT --foo\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): unknown option "--foo"
            Error occurred at line: 3
            Try `iptables-restore -h' or 'iptables-restore --help' for more information.
            [exit 2]
        "#]],
    );
    check(
        "*filter\n-A FOO -j ACCEPT\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore: line 2 failed: No chain/target/match by that name.
            [exit 1]
        "#]],
    );
    check(
        "*filter\n-A INPUT -j FOO\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): Chain 'FOO' does not exist
            Error occurred at line: 3
            Try `iptables-restore -h' or 'iptables-restore --help' for more information.
            [exit 2]
        "#]],
    );
    check(
        "*filter\n-A INPUT -j ACCEPT\n",
        "n",
        expect![[r#"
            iptables-restore: COMMIT expected at line 3
            [exit 1]
        "#]],
    );
    check(
        "*filter\n-X B\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): 
            line 2: CHAIN_DEL failed (Device or resource busy): chain B
            [exit 4]
        "#]],
    );
    check(
        "*filter\n-A A -j A\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): 
            line 2: RULE_APPEND failed (Too many links): rule in chain A
            [exit 4]
        "#]],
    );
    check(
        "*filter\n-A A -j DNAT --to-destination 1.2.3.4\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): 
            line 2: RULE_APPEND failed (Invalid argument): rule in chain A
            [exit 4]
        "#]],
    );
    check(
        "*foo\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): iptables-restore: line 1 table name 'foo' invalid
            Error occurred at line: 1
            Try `iptables-restore -h' or 'iptables-restore --help' for more information.
            [exit 2]
        "#]],
    );
    check(
        "*filter\n-A INPUT -t nat -j ACCEPT\nCOMMIT\n",
        "n",
        expect![[r#"
            iptables-restore v1.8.9 (nf_tables): The -t option cannot be used in iptables-restore.

            Error occurred at line: 2
            Try `iptables-restore -h' or 'iptables-restore --help' for more information.
            [exit 2]
        "#]],
    );
}

#[test]
fn restore_keeps_or_flushes() {
    check(
        "*filter\n:A - [0:0]\n-X B\n:INPUT DROP [7:700]\n[5:500] -A INPUT -j ACCEPT\nCOMMIT\n",
        "nc",
        expect![[r#"
            # Generated by iptables-save v1.8.9 (nf_tables) on now
            *filter
            :INPUT DROP [7:700]
            :FORWARD ACCEPT [0:0]
            :OUTPUT ACCEPT [0:0]
            :A - [0:0]
            [0:0] -A INPUT -j A
            [5:500] -A INPUT -j ACCEPT
            COMMIT
            # Completed on now
        "#]],
    );
    check(
        "*filter\n[5:500] -A INPUT -j ACCEPT\nCOMMIT\n",
        "",
        expect![[r#"
            # Generated by iptables-save v1.8.9 (nf_tables) on now
            *filter
            :INPUT ACCEPT [0:0]
            :FORWARD ACCEPT [0:0]
            :OUTPUT ACCEPT [0:0]
            [0:0] -A INPUT -j ACCEPT
            COMMIT
            # Completed on now
        "#]],
    );
}

#[test]
fn a_failed_table_changes_nothing_but_those_before_stay() {
    let (mut net, ns) = net();
    let text = "*nat\n-A PREROUTING -j ACCEPT\nCOMMIT\n*filter\n-A INPUT -j DROP\n-A INPUT -j NOPE\nCOMMIT\n";
    let e = net.iptables_restore(ns, text, true, false).unwrap_err();
    assert_eq!(e.line, 7);
    let save = net.iptables_save(ns, None);
    assert!(save.contains("-A PREROUTING -j ACCEPT") && !save.contains("*filter"), "{save}");
}

/// Recorded lines, cut and mixed by chance: whatever comes, there is an answer and no panic.
#[test]
fn nonsense_gets_an_answer() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let read = |f: &str| std::fs::read_to_string(dir.join(f)).unwrap();
    let text = read("iptables/rules.txt")
        + &read("iptables/errors.txt")
        + &read("kube-proxy/everything/restore.txt");
    let pool: Vec<String> = text
        .lines()
        .flat_map(words)
        .chain(["!", "-", "--", "", "é", "0x", "-1", "4294967296"].map(String::from))
        .collect();
    let mut chance = sim::Seed(3).stream("nonsense");
    let (mut net, ns) = net();
    for _ in 0..4_000 {
        let n = chance.below(14) as usize;
        let mut args: Vec<String> =
            (0..n).map(|_| pool[chance.below(pool.len() as u64) as usize].clone()).collect();
        if chance.below(2) == 0 {
            args.splice(0..0, ["-t", "nat", "-A", "PREROUTING"].map(String::from));
        }
        let refs: Vec<&str> = args.iter().map(String::as_str).collect();
        net.iptables(ns, &refs);
        let lines: Vec<&str> = text.lines().collect();
        let mut input = String::from("*nat\n");
        for _ in 0..chance.below(6) {
            let l = lines[chance.below(lines.len() as u64) as usize];
            let cut = (0..=chance.below(l.len() as u64 + 1) as usize)
                .rev()
                .find(|i| l.is_char_boundary(*i))
                .unwrap_or(0);
            input.push_str(if chance.below(3) == 0 { &l[..cut] } else { l });
            input.push('\n');
        }
        input.push_str(&args.join(" "));
        input.push_str("\nCOMMIT\n");
        let _ = net.iptables_restore(ns, &input, chance.below(2) == 0, true);
    }
    // What came of it can be saved and restored.
    let save = net.iptables_save(ns, None);
    let other = net.add_namespace("other").unwrap();
    let _ = net.iptables_restore(other, &save, false, true);
    assert_eq!(net.iptables_save(other, None), save);
}
