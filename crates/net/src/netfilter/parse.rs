//! The iptables command line: arguments to a [`Command`], with iptables' own error texts.
//!
//! Models: iptables 1.8.9 (nf_tables), its option parser and the extensions that `rule` has.

use super::extension::{self, Ext};
use super::names;
use super::rule::*;
use core::net::Ipv4Addr;
use smol_str::SmolStr;

/// What a command line was refused for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Problem {
    /// A parameter problem: program and version before the text, a hint after it; exit 2.
    Parameter(String),
    /// The same without program and version.
    Usage(String),
    /// The kernel's or the library's word: `iptables: TEXT.`; exit 1.
    Errno(&'static str),
    /// Program and version before the text, no hint.
    Other(String, i32),
    /// The kernel refused one operation; exit 4.
    Kernel(&'static str, &'static str, String),
}

pub(crate) type Parsed<T> = Result<T, Problem>;

pub(crate) fn bad<T>(text: impl Into<String>) -> Parsed<T> {
    Err(Problem::Parameter(text.into()))
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Append,
    Check,
    Delete,
    DeleteNumber(u32),
    Insert(u32),
    Replace(u32),
    List(u32),
    ListRules(u32),
    Flush,
    Zero(u32),
    New,
    DeleteChain,
    Policy,
    Rename,
    Version,
    Help,
}

impl Op {
    fn flag(self) -> char {
        match self {
            Op::Append => 'A',
            Op::Check => 'C',
            Op::Delete | Op::DeleteNumber(_) => 'D',
            Op::Insert(_) => 'I',
            Op::Replace(_) => 'R',
            Op::List(_) => 'L',
            Op::ListRules(_) => 'S',
            Op::Flush => 'F',
            Op::Zero(_) => 'Z',
            Op::New => 'N',
            Op::DeleteChain => 'X',
            Op::Policy => 'P',
            Op::Rename => 'E',
            Op::Version => 'V',
            Op::Help => 'h',
        }
    }
}

/// A parsed command line.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub table: TableName,
    pub op: Op,
    pub chain: Option<SmolStr>,
    /// Policy of `-P`, new name of `-E`.
    pub extra: Option<SmolStr>,
    /// One rule an address pair; jumps are not yet resolved.
    pub rules: Vec<Rule>,
    pub counters: Counters,
    pub numeric: bool,
    pub verbose: bool,
    pub exact: bool,
    pub line_numbers: bool,
}

/// Names of builtin targets, which a chain may not have.
const TARGET_NAMES: [&str; 6] = ["ACCEPT", "DROP", "RETURN", "QUEUE", "REJECT", "DNAT"];
const OTHER_TARGETS: [&str; 9] =
    ["SNAT", "MASQUERADE", "REDIRECT", "MARK", "CONNMARK", "LOG", "NOTRACK", "CT", "TCPMSS"];

const LONG: [(&str, &str); 31] = [
    ("append", "A"),
    ("check", "C"),
    ("delete", "D"),
    ("insert", "I"),
    ("replace", "R"),
    ("list", "L"),
    ("list-rules", "S"),
    ("flush", "F"),
    ("zero", "Z"),
    ("new-chain", "N"),
    ("delete-chain", "X"),
    ("rename-chain", "E"),
    ("policy", "P"),
    ("source", "s"),
    ("destination", "d"),
    ("src", "s"),
    ("dst", "d"),
    ("protocol", "p"),
    ("proto", "p"),
    ("in-interface", "i"),
    ("out-interface", "o"),
    ("jump", "j"),
    ("goto", "g"),
    ("match", "m"),
    ("table", "t"),
    ("numeric", "n"),
    ("verbose", "v"),
    ("exact", "x"),
    ("fragment", "f"),
    ("version", "V"),
    ("help", "h"),
];

struct Parser<'a> {
    args: &'a [String],
    at: usize,
    command: Command,
    seen_op: bool,
    rule: Rule,
    exts: Vec<Ext>,
    target: Option<(SmolStr, bool)>,
    target_ext: Option<extension::TargetExt>,
    sources: Vec<AddrMatch>,
    destinations: Vec<AddrMatch>,
    seen: Vec<char>,
    restore: bool,
}

/// Parses arguments without the program's name. In a restore `-t` is refused and jumps may lead to chains to come.
pub(crate) fn parse(args: &[String], table: TableName, restore: bool) -> Parsed<Command> {
    let command = Command {
        table,
        op: Op::Help,
        chain: None,
        extra: None,
        rules: Vec::new(),
        counters: Counters::default(),
        numeric: false,
        verbose: false,
        exact: false,
        line_numbers: false,
    };
    let mut p = Parser {
        args,
        at: 0,
        command,
        seen_op: false,
        rule: Rule::default(),
        exts: Vec::new(),
        target: None,
        target_ext: None,
        sources: Vec::new(),
        destinations: Vec::new(),
        seen: Vec::new(),
        restore,
    };
    p.run()?;
    let (op, chain) = (p.command.op, p.command.chain.clone().unwrap_or_default());
    p.finish().map_err(|problem| match problem {
        // An extension does not know the chain that it was refused for.
        Problem::Kernel(_, why, what) if what.is_empty() => {
            let name = if matches!(op, Op::Insert(_)) { "RULE_INSERT" } else { "RULE_APPEND" };
            Problem::Kernel(name, why, format!("rule in chain {chain}"))
        }
        p => p,
    })
}

impl Parser<'_> {
    fn run(&mut self) -> Parsed<()> {
        while let Some(arg) = self.args.get(self.at) {
            self.at += 1;
            let mut not = false;
            let mut arg = arg.as_str();
            if arg == "!" {
                not = true;
                match self.args.get(self.at) {
                    Some(a) if a.starts_with('-') => arg = a,
                    _ => return bad("nothing appropriate following !"),
                }
                self.at += 1;
            }
            if let Some(long) = arg.strip_prefix("--") {
                self.long(long, not)?;
            } else if let Some(short) = arg.strip_prefix('-').filter(|s| !s.is_empty()) {
                self.short(short, not)?;
            } else {
                return Err(Problem::Usage(format!("Bad argument `{arg}'")));
            }
        }
        Ok(())
    }

    fn long(&mut self, name: &str, not: bool) -> Parsed<()> {
        let (name, inline) = match name.split_once('=') {
            Some((n, v)) => (n, Some(v.to_string())),
            None => (name, None),
        };
        if let Some((_, s)) = LONG.iter().find(|(l, _)| *l == name) {
            return self.option(s.chars().next().unwrap_or('h'), not, inline);
        }
        match name {
            "line-numbers" => {
                self.command.line_numbers = true;
                return Ok(());
            }
            "set-counters" => return self.option('c', not, inline),
            "wait" | "wait-interval" => {
                return self.option(if name == "wait" { 'w' } else { 'W' }, not, inline);
            }
            "modprobe" => {
                self.value("modprobe")?;
                return Ok(());
            }
            "ipv4" => return Ok(()),
            _ => {}
        }
        self.extension_option(name, not, inline)
    }

    fn extension_option(&mut self, name: &str, not: bool, inline: Option<String>) -> Parsed<()> {
        let find = |p: &mut Self| -> Option<(usize, u8)> {
            p.exts.iter().enumerate().rev().find_map(|(i, e)| e.takes(name).map(|n| (i, n)))
        };
        if let Some(n) = self.target_ext.as_ref().and_then(|t| t.takes(name)) {
            let v = self.values(name, n, inline)?;
            if let Some(t) = self.target_ext.as_mut() {
                t.set(name, not, &v)?;
            }
            return Ok(());
        }
        let mut hit = find(self);
        if hit.is_none()
            && let Some((p, false)) = self.rule.proto
            && let Some(e) = Ext::for_protocol(p).filter(|e| !self.exts.iter().any(|x| x.name() == e.name()))
            && e.takes(name).is_some()
        {
            self.exts.push(e);
            hit = find(self);
        }
        let Some((i, n)) = hit else { return bad(format!("unknown option \"--{name}\"")) };
        let v = self.values(name, n, inline)?;
        let proto = self.rule.proto;
        match self.exts.get_mut(i) {
            Some(e) => e.set(name, not, &v, proto),
            None => Ok(()),
        }
    }

    fn values(&mut self, name: &str, n: u8, inline: Option<String>) -> Parsed<Vec<String>> {
        let mut v: Vec<String> = inline.into_iter().collect();
        while v.len() < usize::from(n) {
            let Some(a) = self.args.get(self.at) else {
                if name == "tcp-flags" && v.len() == 1 {
                    return bad("--tcp-flags requires two args.");
                }
                if name == "match-set" && v.len() == 1 {
                    return bad("--match-set requires two args.");
                }
                return bad(format!("option \"--{name}\" requires an argument"));
            };
            v.push(a.clone());
            self.at += 1;
        }
        Ok(v)
    }

    fn value(&mut self, flag: &str) -> Parsed<String> {
        let v = self.args.get(self.at).cloned();
        self.at += 1;
        v.map_or_else(|| bad(format!("option \"-{flag}\" requires an argument")), Ok)
    }

    fn short(&mut self, s: &str, not: bool) -> Parsed<()> {
        let mut chars = s.char_indices();
        while let Some((_, c)) = chars.next() {
            let rest = chars.as_str();
            if "nvxfVh0".contains(c) {
                self.option(c, not, None)?;
                continue;
            }
            let inline = (!rest.is_empty()).then(|| rest.to_string());
            return self.option(c, not, inline);
        }
        Ok(())
    }

    fn once(&mut self, c: char, not: bool) -> Parsed<()> {
        if not && !"sdpio".contains(c) && c != 'f' {
            return bad(format!("cannot have ! before -{c}"));
        }
        if "sdpiojg".contains(c) {
            if self.seen.contains(&c) {
                return bad(format!("multiple -{c} flags not allowed"));
            }
            self.seen.push(c);
        }
        Ok(())
    }

    fn option(&mut self, c: char, not: bool, inline: Option<String>) -> Parsed<()> {
        if "ACDIRLSFZNXPEVh".contains(c) {
            return self.operation(c, inline);
        }
        self.once(c, not)?;
        let take = |p: &mut Self| match inline.clone() {
            Some(v) => Ok(v),
            None => p.value(&c.to_string()),
        };
        match c {
            't' => {
                let v = take(self)?;
                if self.restore {
                    return bad("The -t option cannot be used in iptables-restore.\n");
                }
                self.command.table = TableName::named(&v).ok_or_else(|| {
                    Problem::Other(
                        format!("table '{v}' does not exist\nPerhaps iptables or your kernel needs to be upgraded."),
                        3,
                    )
                })?;
            }
            's' | 'd' => {
                let v = take(self)?;
                let list = addresses(&v, not)?;
                *if c == 's' { &mut self.sources } else { &mut self.destinations } = list;
            }
            'p' => {
                let v = take(self)?.to_ascii_lowercase();
                let Some(p) = names::protocol(&v) else {
                    return bad(format!("unknown protocol \"{v}\" specified"));
                };
                if p == 0 {
                    if not {
                        return bad("rule would never match protocol");
                    }
                } else {
                    self.rule.proto = Some((p, not));
                }
            }
            'i' | 'o' => {
                let v = take(self)?;
                let m = interface(&v, not)?;
                *if c == 'i' { &mut self.rule.iif } else { &mut self.rule.oif } = m;
            }
            'j' | 'g' => {
                let v = take(self)?;
                self.target(v, c == 'g')?;
            }
            'm' => {
                let v = take(self)?;
                match Ext::named(&v) {
                    Some(e) => self.exts.push(e),
                    None => return bad(format!("Couldn't load match `{v}':No such file or directory\n")),
                }
            }
            'f' => self.rule.fragment = Some(not),
            'c' => {
                let a = take(self)?;
                let (a, b) = match a.split_once(',') {
                    Some((x, y)) => (x.to_string(), y.to_string()),
                    None => match self.args.get(self.at) {
                        Some(b) if !b.starts_with('-') => {
                            self.at += 1;
                            (a, b.clone())
                        }
                        _ => return bad("-c requires packet and byte counter"),
                    },
                };
                let num = |s: &str| s.parse::<u64>();
                match (num(&a), num(&b)) {
                    (Ok(packets), Ok(bytes)) => self.command.counters = Counters { packets, bytes },
                    (Err(_), _) => return bad("-c packet counter not numeric"),
                    _ => return bad("-c byte counter not numeric"),
                }
            }
            'n' => self.command.numeric = true,
            'v' => self.command.verbose = true,
            'x' => self.command.exact = true,
            '4' | '0' => {}
            'w' | 'W' => {
                let number = |a: &String| a.bytes().all(|b| b.is_ascii_digit());
                if inline.is_none() && self.args.get(self.at).is_some_and(number) {
                    self.at += 1;
                }
            }
            c => return bad(format!("unknown option \"-{c}\"")),
        }
        Ok(())
    }

    /// The next argument, if it is no option.
    fn optional(&mut self) -> Option<String> {
        let v = self.args.get(self.at).filter(|a| !a.starts_with('-') && *a != "!")?.clone();
        self.at += 1;
        Some(v)
    }

    fn operation(&mut self, c: char, inline: Option<String>) -> Parsed<()> {
        let zero_with_list = self.seen_op
            && matches!(
                (self.command.op, c),
                (Op::List(_) | Op::ListRules(_), 'Z') | (Op::Zero(_), 'L' | 'S')
            );
        if self.seen_op && !zero_with_list {
            return bad(format!("Cannot use -{c} with -{}", self.command.op.flag()));
        }
        let needs_chain = "ACDIRNPE".contains(c);
        let chain = match inline {
            Some(v) => Some(v),
            None if needs_chain => Some(self.value(&c.to_string())?),
            None if "LSFZX".contains(c) => self.optional(),
            None => None,
        };
        let op = match c {
            'A' => Op::Append,
            'C' => Op::Check,
            'D' => match self.optional() {
                Some(n) => Op::DeleteNumber(rule_number(&n)?),
                None => Op::Delete,
            },
            'I' => Op::Insert(match self.optional() {
                Some(n) => rule_number(&n)?,
                None => 1,
            }),
            'R' => match self.optional() {
                Some(n) => Op::Replace(rule_number(&n)?),
                None => return bad("-R requires a rule number"),
            },
            'L' | 'S' | 'Z' => {
                let n = match chain.as_ref().and_then(|_| self.optional()) {
                    Some(n) => rule_number(&n)?,
                    None => 0,
                };
                match c {
                    'L' => Op::List(n),
                    'S' => Op::ListRules(n),
                    _ => Op::Zero(n),
                }
            }
            'F' => Op::Flush,
            'N' => Op::New,
            'X' => Op::DeleteChain,
            'P' | 'E' => {
                let Some(v) = self.optional() else {
                    return bad(if c == 'P' {
                        "-P requires a chain and a policy".to_string()
                    } else {
                        "-E requires old-chain-name and new-chain-name".to_string()
                    });
                };
                self.command.extra = Some(v.into());
                if c == 'P' { Op::Policy } else { Op::Rename }
            }
            'V' => Op::Version,
            _ => Op::Help,
        };
        if let (Some(n), Op::New) = (&chain, op) {
            chain_name(n)?;
        }
        if let (Some(n), Op::Rename) = (&self.command.extra, op) {
            chain_name(n)?;
        }
        self.seen_op = true;
        if !(zero_with_list && c == 'Z') {
            self.command.op = op;
        }
        if let Some(n) = chain {
            self.command.chain = Some(n.into());
        }
        Ok(())
    }

    fn target(&mut self, name: String, goto: bool) -> Parsed<()> {
        self.target_ext = if goto { None } else { extension::TargetExt::named(&name) };
        self.target = Some((name.into(), goto));
        Ok(())
    }

    fn finish(mut self) -> Parsed<Command> {
        if !self.seen_op {
            return bad("no command specified");
        }
        let takes_rule =
            matches!(self.command.op, Op::Append | Op::Check | Op::Delete | Op::Insert(_) | Op::Replace(_));
        if !takes_rule {
            self.nat_drop()?;
            return Ok(self.command);
        }
        for e in self.exts {
            self.rule.matches.push(e.finish(self.rule.proto)?);
        }
        if let Some((name, goto)) = self.target.take() {
            self.rule.target = match self.target_ext.take() {
                Some(t) => t.finish(self.rule.proto)?,
                None => builtin(&name).filter(|_| !goto).unwrap_or({
                    if goto { Target::Goto(name, ChainId(0)) } else { Target::Jump(name, ChainId(0)) }
                }),
            };
        }
        let chain = self.command.chain.clone().unwrap_or_default();
        if self.rule.oif.is_some() && matches!(chain.as_str(), "PREROUTING" | "INPUT") {
            return bad(format!("Can't use -o with {chain}\n"));
        }
        if self.rule.iif.is_some() && matches!(chain.as_str(), "POSTROUTING" | "OUTPUT") {
            return bad(format!("Can't use -i with {chain}\n"));
        }
        if self.command.table == TableName::Nat && self.rule.target == Target::Drop {
            return nat_drop_text();
        }
        let one =
            |v: &[AddrMatch]| if v.is_empty() { vec![None] } else { v.iter().copied().map(Some).collect() };
        for src in one(&self.sources) {
            for dst in one(&self.destinations) {
                self.command.rules.push(Rule { src, dst, ..self.rule.clone() });
            }
        }
        Ok(self.command)
    }

    fn nat_drop(&self) -> Parsed<()> {
        let drop = self.command.op == Op::Policy && self.command.extra.as_deref() == Some("DROP");
        if drop && self.command.table == TableName::Nat { nat_drop_text() } else { Ok(()) }
    }
}

fn nat_drop_text<T>() -> Parsed<T> {
    bad("\nThe \"nat\" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n")
}

fn builtin(name: &str) -> Option<Target> {
    Some(match name {
        "ACCEPT" => Target::Accept,
        "DROP" => Target::Drop,
        "RETURN" => Target::Return,
        _ => return None,
    })
}

/// Checks a chain's name.
pub(crate) fn chain_name(n: &str) -> Parsed<()> {
    if n.is_empty() {
        return bad("chain name not allowed to be empty");
    }
    if n.starts_with('-') || n.starts_with('!') {
        let c = &n[..1];
        return bad(format!("chain name not allowed to start with `{c}'"));
    }
    if n.len() >= 29 {
        return bad(format!("chain name `{n}' too long (must be under 29 chars)"));
    }
    if TARGET_NAMES.contains(&n) || OTHER_TARGETS.contains(&n) {
        return bad("chain name may not clash with target name");
    }
    if n.contains(char::is_whitespace) {
        return bad(format!("Invalid chain name `{n}'"));
    }
    Ok(())
}

fn rule_number(s: &str) -> Parsed<u32> {
    match s.parse::<u32>() {
        Ok(n) if n > 0 => Ok(n),
        _ => bad(format!("Invalid rule number `{s}'")),
    }
}

fn interface(v: &str, not: bool) -> Parsed<Option<IfMatch>> {
    if v.len() > 15 {
        return bad(format!("interface name `{v}' must be shorter than 16 characters"));
    }
    if v == "+" && !not {
        return Ok(None);
    }
    Ok(Some(IfMatch { name: v.into(), not }))
}

/// `a,b/len,c/mask`
pub(crate) fn addresses(v: &str, not: bool) -> Parsed<Vec<AddrMatch>> {
    let mut out = Vec::new();
    for part in v.split(',') {
        let (a, m) = part.split_once('/').map_or((part, None), |(a, m)| (a, Some(m)));
        let mask = match m {
            None => u32::MAX,
            Some(m) => match (m.parse::<u8>(), m.parse::<Ipv4Addr>()) {
                (Ok(0), _) => 0,
                (Ok(n @ 1..=32), _) => u32::MAX << (32 - u32::from(n)),
                (_, Ok(a)) => a.to_bits(),
                _ => return bad(format!("invalid mask `{m}' specified")),
            },
        };
        let Ok(addr) = a.parse::<Ipv4Addr>() else {
            return bad(format!("host/network `{a}' not found"));
        };
        if mask == 0 {
            if not {
                return bad("rule would never match protocol");
            }
            continue;
        }
        out.push(AddrMatch { addr: addr.to_bits() & mask, mask, not });
    }
    if out.len() > 1 && not {
        return bad("! not allowed with multiple source or destination IP addresses");
    }
    if out.len() > 256 {
        return bad("too many addresses");
    }
    Ok(out)
}
