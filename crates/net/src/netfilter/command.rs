//! The commands `iptables`, `iptables-save` and `iptables-restore` of one namespace.
//!
//! Models: iptables 1.8.9 (nf_tables). A restore is atomic a table: nothing of a table changes unless its COMMIT
//! succeeds.

use super::list;
use super::parse::{self, Command, Op, Parsed, Problem, chain_name};
use super::rule::*;
use super::table::{Netfilter, Table, needs_validation};
use core::fmt::{self, Write};
use smol_str::SmolStr;

/// What a command prints and its exit code.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub code: i32,
}

/// Why `iptables-restore` failed: its text on standard error and its exit code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreError {
    /// Line of the input, from 1.
    pub line: usize,
    /// What iptables-restore prints.
    pub text: String,
    /// Exit code.
    pub code: i32,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl core::error::Error for RestoreError {}

const VERSION: &str = "v1.8.9 (nf_tables)";
const HINT: &str = "Try `iptables -h' or 'iptables --help' for more information.\n";

fn explain(p: &Problem) -> Output {
    let (stderr, code) = match p {
        Problem::Parameter(t) => (format!("iptables {VERSION}: {t}\n{HINT}"), 2),
        Problem::Usage(t) => (format!("{t}\n{HINT}"), 2),
        Problem::Errno(t) if *t == "Bad policy name." => {
            ("iptables: Bad policy name. Run `dmesg' for more information.\n".into(), 1)
        }
        Problem::Errno(t) => (format!("iptables: {t}\n"), 1),
        Problem::Other(t, code) => (format!("iptables {VERSION}: {t}\n"), *code),
        Problem::Kernel(op, why, what) => (format!("iptables {VERSION}:  {op} failed ({why}): {what}\n"), 4),
    };
    Output { stdout: String::new(), stderr, code }
}

fn explain_restore(p: Problem, line: usize) -> RestoreError {
    const HINT: &str = "Try `iptables-restore -h' or 'iptables-restore --help' for more information.\n";
    let (text, code) = match p {
        Problem::Parameter(t) => {
            (format!("iptables-restore {VERSION}: {t}\nError occurred at line: {line}\n{HINT}"), 2)
        }
        Problem::Usage(t) => (format!("{t}\nError occurred at line: {line}\n{HINT}"), 2),
        Problem::Errno(t) => (format!("iptables-restore: line {line} failed: {t}\n"), 1),
        Problem::Other(t, code) => (format!("iptables-restore: {t}\n"), code),
        Problem::Kernel(op, why, what) => {
            (format!("iptables-restore {VERSION}: \nline {line}: {op} failed ({why}): {what}\n"), 4)
        }
    };
    RestoreError { line, text, code }
}

/// Runs one command line (arguments without the program's name). `set_exists` says whether an IP set is there.
pub(crate) fn iptables(nf: &mut Netfilter, args: &[String], set_exists: &dyn Fn(&str) -> bool) -> Output {
    let run = || -> Parsed<(Command, String)> {
        let command = parse::parse(args, TableName::Filter, false)?;
        check_sets(&command, set_exists)?;
        let mut out = String::new();
        match command.op {
            Op::Version => out = format!("iptables {VERSION}\n"),
            Op::Help => out = help(),
            _ => {}
        }
        Ok((command, out))
    };
    let (command, mut stdout) = match run() {
        Ok(c) => c,
        Err(p) => return explain(&p),
    };
    if matches!(command.op, Op::Version | Op::Help) {
        return Output { stdout, stderr: String::new(), code: 0 };
    }
    let fresh = nf.table(command.table).is_none();
    let mut table = nf.table(command.table).cloned().unwrap_or_else(|| Table::new(command.table));
    let result = apply(&mut table, &command, &mut stdout, false);
    match result {
        Ok(changed) => {
            if changed || fresh {
                nf.replace(table);
            }
            Output { stdout, stderr: String::new(), code: 0 }
        }
        Err(p) => explain(&p),
    }
}

fn help() -> String {
    let mut s = format!("iptables {VERSION}\n\n");
    s.push_str("Usage: iptables -[ACD] chain rule-specification [options]\n");
    s.push_str("       iptables -I chain [rulenum] rule-specification [options]\n");
    s.push_str("       iptables -R chain rulenum rule-specification [options]\n");
    s.push_str("       iptables -D chain rulenum [options]\n");
    s.push_str("       iptables -[LS] [chain [rulenum]] [options]\n");
    s.push_str("       iptables -[FZ] [chain] [options]\n");
    s.push_str("       iptables -[NX] chain\n");
    s.push_str("       iptables -E old-chain-name new-chain-name\n");
    s.push_str("       iptables -P chain target [options]\n");
    s.push_str("       iptables -h (print this help information)\n");
    s
}

fn check_sets(c: &Command, set_exists: &dyn Fn(&str) -> bool) -> Parsed<()> {
    for m in c.rules.iter().flat_map(|r| &r.matches) {
        if let Match::Set { name, .. } = m
            && !set_exists(name)
        {
            return parse::bad(format!("Set {name} doesn't exist.\n"));
        }
    }
    Ok(())
}

/// Applies a command to a table; says whether the table changed. In a restore jumps are resolved at once, too, but
/// the check of whole paths waits for COMMIT.
fn apply(table: &mut Table, c: &Command, out: &mut String, restore: bool) -> Parsed<bool> {
    let chain = c.chain.clone().unwrap_or_default();
    match c.op {
        Op::Append | Op::Insert(_) => {
            let id = table.find(&chain)?;
            let len = table.chain(id).map_or(0, |c| c.rules.len());
            for (i, rule) in c.rules.iter().enumerate() {
                let at = match c.op {
                    Op::Insert(n) if n as usize > len + 1 => {
                        return Err(Problem::Errno("Index of insertion too big."));
                    }
                    // Several rules of one command are inserted in their order.
                    Op::Insert(n) => Some(n as usize - 1 + i),
                    _ => None,
                };
                let mut rule = rule.clone();
                let op = if at.is_some() { "RULE_INSERT" } else { "RULE_APPEND" };
                let named = |p| match p {
                    Problem::Kernel(_, why, what) => Problem::Kernel(op, why, what),
                    p => p,
                };
                table.resolve(&mut rule, &chain).map_err(named)?;
                let check = needs_validation(&rule);
                table.add_rule(id, at, rule, c.counters).map_err(named)?;
                if check && !restore {
                    table.validate(&chain).map_err(named)?;
                }
            }
        }
        Op::Replace(n) => {
            let id = table.find(&chain)?;
            let at = n as usize - 1;
            if table.chain(id).is_none_or(|c| at >= c.rules.len()) {
                return Err(Problem::Errno("No chain/target/match by that name."));
            }
            let Some(mut rule) = c.rules.first().cloned() else { return Ok(false) };
            table.resolve(&mut rule, &chain)?;
            table.remove_rule(id, at);
            table.add_rule(id, Some(at), rule, c.counters)?;
            if !restore {
                table.validate(&chain)?;
            }
        }
        Op::Delete | Op::Check => {
            let id = table.find(&chain)?;
            for rule in &c.rules {
                let mut rule = rule.clone();
                table.resolve(&mut rule, &chain)?;
                let at = table.chain(id).and_then(|c| c.rules.iter().position(|r| **r == rule));
                let Some(at) = at else {
                    return Err(Problem::Errno("Bad rule (does a matching rule exist in that chain?)."));
                };
                if c.op == Op::Delete {
                    table.remove_rule(id, at);
                }
            }
            return Ok(c.op == Op::Delete);
        }
        Op::DeleteNumber(n) => {
            let id = table.find(&chain)?;
            let len = table.chain(id).map_or(0, |c| c.rules.len());
            if n as usize > len {
                return Err(Problem::Errno(if len == 0 {
                    "No chain/target/match by that name."
                } else {
                    "Index of deletion too big."
                }));
            }
            table.remove_rule(id, n as usize - 1);
        }
        Op::List(n) => {
            list::list(table, c, known(table, c)?, n, out);
            return Ok(false);
        }
        Op::ListRules(n) => {
            list::rules(table, c, known(table, c)?, n, out);
            return Ok(false);
        }
        Op::Flush => {
            let ids = if chain.is_empty() { table.listed() } else { vec![table.find(&chain)?] };
            for id in ids {
                table.flush(id);
            }
        }
        Op::Zero(n) => {
            let ids = if chain.is_empty() { table.listed() } else { vec![table.find(&chain)?] };
            for id in ids {
                zero(table, id, n);
            }
        }
        Op::New => {
            table.add_chain(&chain)?;
        }
        Op::DeleteChain if chain.is_empty() => {
            for id in table.listed() {
                let Some(c) = table.chain(id).filter(|c| c.hook.is_none()) else { continue };
                let name = c.name.clone();
                table.remove_chain(&name)?;
            }
        }
        Op::DeleteChain => table.remove_chain(&chain)?,
        Op::Policy => policy(table, &chain, c.extra.as_deref().unwrap_or_default(), c.counters)?,
        Op::Rename => table.rename_chain(&chain, c.extra.as_deref().unwrap_or_default())?,
        Op::Version | Op::Help => return Ok(false),
    }
    Ok(true)
}

/// The chain that a listing names, `None` for all.
fn known(table: &Table, c: &Command) -> Parsed<Option<ChainId>> {
    let Some(name) = &c.chain else { return Ok(None) };
    match table.id(name) {
        Some(id) => Ok(Some(id)),
        None => {
            let t = table.name.name();
            Err(Problem::Other(format!("chain `{name}' in table `{t}' is incompatible, use 'nft' tool."), 1))
        }
    }
}

fn zero(table: &mut Table, id: ChainId, n: u32) {
    let Some(c) = table.chain_mut(id) else { return };
    if n == 0 {
        c.counters = Counters::default();
    }
    for (i, cell) in c.cells.iter_mut().enumerate() {
        if n == 0 || i + 1 == n as usize {
            cell.counters = Counters::default();
        }
    }
}

fn policy(table: &mut Table, chain: &str, policy: &str, counters: Counters) -> Parsed<()> {
    let drop = match policy {
        "ACCEPT" => false,
        "DROP" => true,
        _ => {
            let known = table.id(chain).is_some();
            return Err(Problem::Errno(if known { "Bad policy name." } else { "Bad built-in chain name." }));
        }
    };
    let c = table.id(chain).and_then(|id| table.chain_mut(id)).filter(|c| c.hook.is_some());
    let Some(c) = c else { return Err(Problem::Errno("Bad built-in chain name.")) };
    (c.drop, c.counted, c.counters) = (drop, true, counters);
    Ok(())
}

/// What `iptables-save` prints: one table or all that exist. `date` stands in the comment lines.
pub(crate) fn save(nf: &Netfilter, table: Option<TableName>, counters: bool, date: &str) -> String {
    let mut out = String::new();
    for t in TableName::SAVE_ORDER {
        let Some(t) = nf.table(t).filter(|t| table.is_none_or(|n| n == t.name)) else { continue };
        let _ = writeln!(out, "# Generated by iptables-save {VERSION} on {date}");
        list::save(t, counters, &mut out);
        let _ = writeln!(out, "# Completed on {date}");
    }
    out
}

/// Options of `iptables-restore`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestoreOptions {
    /// `--noflush`: what the input does not name stays.
    pub noflush: bool,
    /// `--counters`: takes counters from the input.
    pub counters: bool,
    /// `--test`: changes nothing.
    pub test: bool,
    /// `--table`: only this one.
    pub table: Option<TableName>,
}

/// Splits a line as iptables-restore does: blanks outside of double quotes, backslash inside.
fn split_line(line: &str) -> Vec<String> {
    let (mut out, mut cur, mut quoted, mut escape, mut any) =
        (Vec::new(), String::new(), false, false, false);
    for c in line.chars() {
        if quoted {
            if escape {
                cur.push(c);
                escape = false;
            } else if c == '\\' {
                escape = true;
            } else if c == '"' {
                quoted = false;
            } else {
                cur.push(c);
            }
        } else if c == '"' {
            (quoted, any) = (true, true);
        } else if matches!(c, ' ' | '\t' | '\n') {
            if any || !cur.is_empty() {
                out.push(core::mem::take(&mut cur));
            }
            any = false;
        } else {
            cur.push(c);
        }
    }
    if any || !cur.is_empty() {
        out.push(cur);
    }
    out
}

/// `[5:500]`
fn counters_text(s: &str) -> Option<Counters> {
    let (a, b) = s.strip_prefix('[')?.split_once(']')?.0.split_once(':')?;
    Some(Counters { packets: a.parse().ok()?, bytes: b.parse().ok()? })
}

struct Restore<'a> {
    nf: &'a mut Netfilter,
    options: RestoreOptions,
    set_exists: &'a dyn Fn(&str) -> bool,
    /// The table in work, with what waits for COMMIT.
    table: Option<Table>,
    /// Whether the table in work is one that `--table` skips.
    skip: bool,
    /// Rules whose jump target must exist at COMMIT, in the order of the input.
    pending: Vec<(usize, SmolStr, Op, Rule, Counters)>,
    deletions: Vec<(usize, SmolStr)>,
    stdout: String,
}

/// Runs `iptables-restore` on `text`. What was committed before an error stays. Gives what commands in the input print.
pub(crate) fn restore(
    nf: &mut Netfilter,
    text: &str,
    options: RestoreOptions,
    set_exists: &dyn Fn(&str) -> bool,
) -> Result<String, RestoreError> {
    let mut r = Restore {
        nf,
        options,
        set_exists,
        table: None,
        skip: false,
        pending: Vec::new(),
        deletions: Vec::new(),
        stdout: String::new(),
    };
    let mut last = 0;
    for (i, line) in text.lines().enumerate() {
        last = i + 1;
        r.line(line, last)?;
    }
    if r.table.is_some() {
        let text = format!("iptables-restore: COMMIT expected at line {}\n", last + 1);
        return Err(RestoreError { line: last + 1, text, code: 1 });
    }
    Ok(r.stdout)
}

impl Restore<'_> {
    fn line(&mut self, line: &str, n: usize) -> Result<(), RestoreError> {
        let plain =
            || RestoreError { line: n, text: format!("iptables-restore: line {n} failed\n"), code: 1 };
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.trim_end() == "COMMIT" && self.table.is_some() {
            return self.commit(n);
        }
        if let (Some(rest), None) = (line.strip_prefix('*'), &self.table) {
            let name = rest.split_whitespace().next().unwrap_or_default();
            let Some(t) = TableName::named(name) else {
                let text = format!("iptables-restore: line {n} table name '{name}' invalid");
                return Err(explain_restore(Problem::Parameter(text), n));
            };
            self.skip = self.options.table.is_some_and(|o| o != t);
            let mut table = self.nf.table(t).cloned().unwrap_or_else(|| Table::new(t));
            if !self.options.noflush {
                table.clear();
            }
            self.table = Some(table);
            return Ok(());
        }
        if self.table.is_none() {
            return Err(plain());
        }
        if self.skip {
            return Ok(());
        }
        match line.strip_prefix(':') {
            Some(rest) => self.chain(rest, n).map_err(|p| explain_restore(p, n)),
            None => self.rule(line, n).map_err(|(p, n)| explain_restore(p, n)),
        }
    }

    /// `:CHAIN POLICY [packets:bytes]`
    fn chain(&mut self, rest: &str, n: usize) -> Parsed<()> {
        let mut words = rest.split_whitespace();
        let Some(name) = words.next() else {
            return parse::bad(format!("iptables-restore: line {n} chain name invalid"));
        };
        let Some(table) = self.table.as_mut() else { return Ok(()) };
        let existing = table.id(name);
        let builtin = existing.and_then(|id| table.chain(id)).is_some_and(|c| c.hook.is_some());
        if !builtin {
            chain_name(name)?;
        }
        let Some(policy) = words.next() else {
            return parse::bad(format!("iptables-restore: line {n} policy invalid"));
        };
        if builtin {
            let drop = match policy {
                "DROP" => true,
                "ACCEPT" => false,
                "-" => return Ok(()),
                _ => return Err(Problem::Errno("Bad policy name.")),
            };
            let counters = words.next().and_then(counters_text).filter(|_| self.options.counters);
            let chain = existing.and_then(|id| table.chain_mut(id));
            if let Some(c) = chain {
                (c.drop, c.counted, c.counters) = (drop, true, counters.unwrap_or_default());
            }
            return Ok(());
        }
        match existing {
            Some(id) => {
                table.flush(id);
                // Rules that wait for COMMIT and were given before the chain was declared again are flushed, too.
                self.pending.retain(|(_, c, ..)| c != name);
            }
            None => {
                table.add_chain(name)?;
            }
        }
        Ok(())
    }

    fn rule(&mut self, line: &str, n: usize) -> Result<(), (Problem, usize)> {
        let at = |p| (p, n);
        let (counters, rest) = match line.strip_prefix('[') {
            Some(_) => {
                let (c, rest) = line.split_once(']').unwrap_or((line, ""));
                let Some(counters) = counters_text(&format!("{c}]")) else {
                    return Err(at(Problem::Parameter("invalid packet and byte counters".into())));
                };
                (Some(counters), rest)
            }
            None => (None, line),
        };
        let Some(table) = self.table.as_mut() else { return Ok(()) };
        let args = split_line(rest);
        let mut c = parse::parse(&args, table.name, true).map_err(at)?;
        check_sets(&c, self.set_exists).map_err(at)?;
        if let Some(k) = counters.filter(|_| self.options.counters) {
            c.counters = k;
        }
        let chain = c.chain.clone().unwrap_or_default();
        match c.op {
            Op::Append => {
                table.find(&chain).map_err(at)?;
                for r in core::mem::take(&mut c.rules) {
                    self.pending.push((n, chain.clone(), c.op, r, c.counters));
                }
                Ok(())
            }
            Op::DeleteChain if !chain.is_empty() => {
                table.find(&chain).map_err(at)?;
                self.deletions.push((n, chain));
                Ok(())
            }
            _ => {
                // The rest needs the rules before it in place.
                self.settle()?;
                let Some(table) = self.table.as_mut() else { return Ok(()) };
                apply(table, &c, &mut self.stdout, true).map(|_| ()).map_err(at)
            }
        }
    }

    /// Adds the rules that wait.
    fn settle(&mut self) -> Result<(), (Problem, usize)> {
        let Some(table) = self.table.as_mut() else { return Ok(()) };
        for (n, chain, _, mut rule, counters) in core::mem::take(&mut self.pending) {
            let id = table.find(&chain).map_err(|p| (p, n))?;
            table.resolve(&mut rule, &chain).map_err(|p| (p, n))?;
            table.add_rule(id, None, rule, counters).map_err(|p| (p, n))?;
        }
        Ok(())
    }

    fn commit(&mut self, n: usize) -> Result<(), RestoreError> {
        let skip = core::mem::take(&mut self.skip);
        let last = self.pending.iter().rev().find(|(_, _, _, r, _)| needs_validation(r));
        let blame = last.map(|(n, c, ..)| (*n, c.clone()));
        self.settle().map_err(|(p, at)| {
            // A missing chain is noticed at COMMIT; the kernel's refusals name the rule's own line.
            let at = if matches!(p, Problem::Parameter(_)) { n } else { at };
            explain_restore(p, at)
        })?;
        let Some(mut table) = self.table.take() else { return Ok(()) };
        for (at, chain) in core::mem::take(&mut self.deletions) {
            table.remove_chain(&chain).map_err(|p| explain_restore(p, at))?;
        }
        if let Some((at, chain)) = blame {
            table.validate(&chain).map_err(|p| explain_restore(p, at))?;
        }
        if !self.options.test && !skip {
            self.nf.replace(table);
        }
        Ok(())
    }
}
