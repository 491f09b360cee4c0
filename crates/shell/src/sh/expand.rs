//! Expansion of words: parameters, substitutions, field splitting, pathnames.
//!
//! A command substitution needs a child process, which an expansion can't wait for. So an expansion that meets one
//! whose output it has not been given stops with [`Stop::Need`]; the interpreter runs it, and starts the whole
//! expansion again with that output added, on the state as it was before.

use super::arith::{self, Variables};
use super::ast::*;
use super::pattern;
use crate::fs;
use crate::sys::{Pid, Sys};
use sim::Limits;
use sim::persistent::OrdMap;
use smol_str::SmolStr;
use std::sync::Arc;

/// A shell variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Var {
    /// Its value, if it is set.
    pub value: Option<SmolStr>,
    /// Passed on to programs.
    pub exported: bool,
    /// Never changes.
    pub readonly: bool,
}

/// The options of `set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Options {
    pub errexit: bool,
    pub nounset: bool,
    pub xtrace: bool,
    pub noglob: bool,
    pub noexec: bool,
    pub noclobber: bool,
    pub allexport: bool,
    pub verbose: bool,
    pub monitor: bool,
    pub pipefail: bool,
}

/// All of the shell that an expansion can read or change. A clone shares its content.
#[derive(Clone, Debug)]
pub struct State {
    /// Variables.
    pub vars: OrdMap<SmolStr, Var>,
    /// `$1`…
    pub args: Arc<[SmolStr]>,
    /// `$0`
    pub arg0: SmolStr,
    /// `$?`
    pub status: i32,
    /// `$!`
    pub last_bg: Option<Pid>,
    /// `$$`
    pub pid: Pid,
    /// Options.
    pub opts: Options,
    /// Whether it talks to a person.
    pub interactive: bool,
    /// Line of the command that runs.
    pub line: u32,
}

impl State {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name)?.value.as_deref()
    }

    /// Sets a variable; an error if it is read-only.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let export = self.opts.allexport;
        match self.vars.get_mut(name) {
            Some(v) if v.readonly => return Err(format!("{name}: is read only")),
            Some(v) => {
                v.value = Some(value.into());
                v.exported |= export;
            }
            None => {
                self.vars.insert(
                    name.into(),
                    Var { value: Some(value.into()), exported: export, readonly: false },
                );
            }
        }
        Ok(())
    }

    /// `$-`
    pub fn flags(&self) -> String {
        let o = &self.opts;
        [
            (o.errexit, 'e'),
            (o.noglob, 'f'),
            (self.interactive, 'i'),
            (o.monitor, 'm'),
            (o.nounset, 'u'),
            (o.verbose, 'v'),
            (o.xtrace, 'x'),
            (o.allexport, 'a'),
            (o.noclobber, 'C'),
        ]
        .iter()
        .filter(|f| f.0)
        .map(|f| f.1)
        .collect()
    }
}

impl Variables for State {
    fn get(&self, name: &str) -> Option<String> {
        State::get(self, name).map(str::to_string)
    }
    fn set(&mut self, name: &str, value: i64) {
        // A read-only variable keeps its value; the shell reports that for plain assignments only.
        let _ = State::set(self, name, &value.to_string());
    }
}

/// Why an expansion did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The output of these commands is needed first.
    Need(Arc<List>),
    /// An error that ends the command and, unless interactive, the shell.
    Fail(String),
}

type Expanded<T> = Result<T, Stop>;

/// One expansion.
pub struct Expander<'a> {
    /// The shell's state.
    pub st: &'a mut State,
    /// System calls, for pathnames and accounts.
    pub sys: &'a mut dyn Sys,
    /// Outputs of the command substitutions met so far, in order.
    pub memo: &'a [String],
    /// How many of them were used.
    pub used: usize,
}

/// Fields in the making: texts as patterns, in which quoted signs are escaped.
#[derive(Default)]
struct Out {
    done: Vec<String>,
    cur: Option<String>,
    after_blank: bool,
    bytes: usize,
}

impl Out {
    fn push(&mut self, s: &str) {
        self.bytes += s.len();
        self.cur.get_or_insert_with(String::new).push_str(s);
    }
    fn end(&mut self) {
        if let Some(c) = self.cur.take() {
            self.done.push(c);
        }
    }
}

/// Escapes only the backslashes of a value: its other signs stay active.
fn value_pattern(s: &str) -> String {
    s.replace('\\', "\\\\")
}

impl Expander<'_> {
    /// Words to fields, with splitting and pathnames.
    pub fn fields(&mut self, words: &[Word]) -> Expanded<Vec<String>> {
        let mut all = Vec::new();
        for w in words {
            if let Some(l) = w.literal()
                && !pattern::is_glob(l)
            {
                all.push(l.to_string());
                continue;
            }
            let mut out = Out::default();
            self.word(w, &mut out, true)?;
            out.end();
            for p in out.done {
                self.pathnames(p, &mut all);
            }
            let size: usize = all.iter().map(String::len).sum();
            if size > Limits::TABLE.file_bytes_max {
                return Err(Stop::Fail("out of memory".into()));
            }
        }
        Ok(all)
    }

    /// A word to one text: no splitting, no pathnames.
    pub fn text(&mut self, w: &Word) -> Expanded<String> {
        Ok(pattern::unescape(&self.pattern(w)?))
    }

    /// A word to a pattern, quoted signs escaped.
    pub fn pattern(&mut self, w: &Word) -> Expanded<String> {
        let mut out = Out::default();
        self.word(w, &mut out, false)?;
        out.end();
        Ok(out.done.join(" "))
    }

    fn word(&mut self, w: &Word, out: &mut Out, split: bool) -> Expanded<()> {
        for p in &w.parts {
            if out.bytes > Limits::TABLE.file_bytes_max {
                return Err(Stop::Fail("out of memory".into()));
            }
            match p {
                Part::Lit(s) => out.push(s),
                Part::Quoted(s) => out.push(&pattern::escape(s)),
                Part::Tilde(user) => {
                    let home = self.home(user);
                    out.push(&pattern::escape(&home));
                }
                Part::Param { name, op, quoted } => self.param(name, op, *quoted, out, split)?,
                Part::Command { list, quoted } => {
                    let Some(text) = self.memo.get(self.used) else { return Err(Stop::Need(list.clone())) };
                    self.used += 1;
                    self.value(&text.clone(), *quoted, out, split);
                }
                Part::Arith { word, quoted } => {
                    let e = self.text(word)?;
                    let v = arith::eval(&e, self.st).map_err(Stop::Fail)?;
                    self.value(&v.to_string(), *quoted, out, split);
                }
            }
        }
        Ok(())
    }

    /// Adds a value: as it is if quoted, else split into fields.
    fn value(&mut self, v: &str, quoted: bool, out: &mut Out, split: bool) {
        if quoted {
            out.push(&pattern::escape(v));
            return;
        }
        if !split {
            if !v.is_empty() {
                out.push(&value_pattern(v));
            }
            return;
        }
        let ifs = self.st.get("IFS").unwrap_or(" \t\n").to_string();
        let mut plain = String::new();
        for c in v.chars() {
            if !ifs.contains(c) {
                if c == '\\' {
                    plain.push('\\');
                }
                plain.push(c);
                continue;
            }
            if !plain.is_empty() {
                out.push(&plain);
                plain.clear();
                out.after_blank = false;
            }
            if matches!(c, ' ' | '\t' | '\n') {
                if out.cur.is_some() {
                    out.end();
                    out.after_blank = true;
                }
            } else {
                if out.cur.is_some() {
                    out.end();
                } else if !out.after_blank {
                    out.done.push(String::new());
                }
                out.after_blank = false;
            }
        }
        if !plain.is_empty() {
            out.push(&plain);
            out.after_blank = false;
        }
    }

    fn args(&self) -> Vec<String> {
        self.st.args.iter().map(ToString::to_string).collect()
    }

    /// `$@` and `$*` in their four forms.
    fn list(&mut self, name: &str, values: &[String], quoted: bool, out: &mut Out, split: bool) {
        let ifs = self.st.get("IFS").unwrap_or(" \t\n").to_string();
        if name == "*" && quoted || !split {
            let sep =
                if name == "*" { ifs.chars().next().map_or(String::new(), String::from) } else { " ".into() };
            let joined = values.join(&sep);
            if quoted {
                out.push(&pattern::escape(&joined));
            } else if !joined.is_empty() {
                out.push(&value_pattern(&joined));
            }
            return;
        }
        for (i, v) in values.iter().enumerate() {
            if i > 0 {
                out.end();
            }
            if quoted {
                out.push(&pattern::escape(v));
            } else {
                self.value(v, false, out, split);
            }
        }
    }

    /// A parameter's value; `None` if it is unset.
    fn lookup(&mut self, name: &str) -> Option<String> {
        Some(match name {
            "@" | "*" => {
                if self.st.args.is_empty() {
                    return None;
                }
                self.args().join(" ")
            }
            "#" => self.st.args.len().to_string(),
            "?" => self.st.status.to_string(),
            "$" => self.st.pid.to_string(),
            "!" => self.st.last_bg?.to_string(),
            "-" => self.st.flags(),
            "0" => self.st.arg0.to_string(),
            "RANDOM" => (self.sys.random() % 32_768).to_string(),
            "LINENO" => self.st.line.to_string(),
            _ if name.bytes().all(|b| b.is_ascii_digit()) => {
                let n: usize = name.parse().ok()?;
                self.st.args.get(n.checked_sub(1)?)?.to_string()
            }
            _ => State::get(self.st, name)?.to_string(),
        })
    }

    fn param(&mut self, name: &SmolStr, op: &Op, quoted: bool, out: &mut Out, split: bool) -> Expanded<()> {
        let is_list = name == "@" || name == "*";
        let value = self.lookup(name);
        let unset = |colon: bool| match &value {
            None => true,
            Some(v) => colon && v.is_empty(),
        };
        match op {
            Op::Bad => return Err(Stop::Fail("syntax error: bad substitution".into())),
            Op::Value => {
                if is_list {
                    let args = self.args();
                    self.list(name, &args, quoted, out, split);
                    return Ok(());
                }
                self.need_set(name, value.is_some())?;
                self.value(&value.unwrap_or_default(), quoted, out, split);
            }
            Op::Length => {
                self.need_set(name, value.is_some() || is_list)?;
                let n = if is_list { self.st.args.len() } else { value.unwrap_or_default().chars().count() };
                self.value(&n.to_string(), quoted, out, split);
            }
            Op::Default { colon, word } => {
                if unset(*colon) {
                    return self.inner(word, quoted, out, split);
                }
                return self.param(name, &Op::Value, quoted, out, split);
            }
            Op::Alt { colon, word } => {
                if !unset(*colon) {
                    return self.inner(word, quoted, out, split);
                }
                if quoted {
                    out.push("");
                }
            }
            Op::Assign { colon, word } => {
                if unset(*colon) {
                    let v = self.text(word)?;
                    if !super::parse::is_name(name) {
                        return Err(Stop::Fail(format!("{name}: bad variable name")));
                    }
                    State::set(self.st, name, &v).map_err(Stop::Fail)?;
                }
                return self.param(name, &Op::Value, quoted, out, split);
            }
            Op::Error { colon, word } => {
                if unset(*colon) {
                    let m = self.text(word)?;
                    let m = match (m.is_empty(), colon) {
                        (false, _) => m,
                        (true, true) => "parameter not set or null".into(),
                        (true, false) => "parameter not set".into(),
                    };
                    return Err(Stop::Fail(format!("{name}: {m}")));
                }
                return self.param(name, &Op::Value, quoted, out, split);
            }
            Op::TrimPrefix { .. } | Op::TrimSuffix { .. } | Op::Replace { .. } | Op::Substring { .. } => {
                self.need_set(name, value.is_some() || is_list)?;
                if is_list {
                    let values: Vec<String> =
                        self.args().iter().map(|v| self.edit(v, op)).collect::<Expanded<_>>()?;
                    self.list(name, &values, quoted, out, split);
                } else {
                    let v = self.edit(&value.unwrap_or_default(), op)?;
                    self.value(&v, quoted, out, split);
                }
            }
        }
        Ok(())
    }

    /// The word of `${x:-word}`: its own quotes hold; what is not quoted is split.
    fn inner(&mut self, w: &Word, quoted: bool, out: &mut Out, split: bool) -> Expanded<()> {
        if quoted {
            out.push("");
            return self.word(w, out, false);
        }
        if !split {
            return self.word(w, out, false);
        }
        for p in &w.parts {
            match p {
                Part::Lit(s) => self.value(s, false, out, true),
                p => {
                    let one = Word { parts: vec![p.clone()] };
                    self.word(&one, out, true)?;
                }
            }
        }
        Ok(())
    }

    fn need_set(&self, name: &str, is_set: bool) -> Expanded<()> {
        if !is_set && self.st.opts.nounset && !matches!(name, "@" | "*") {
            return Err(Stop::Fail(format!("{name}: parameter not set")));
        }
        Ok(())
    }

    fn edit(&mut self, v: &str, op: &Op) -> Expanded<String> {
        Ok(match op {
            Op::TrimPrefix { long, word } => {
                let p = self.pattern(word)?;
                let n = pattern::prefix(&p, v, *long).unwrap_or(0);
                v.get(n..).unwrap_or_default().to_string()
            }
            Op::TrimSuffix { long, word } => {
                let p = self.pattern(word)?;
                let n = pattern::suffix(&p, v, *long).unwrap_or(v.len());
                v.get(..n).unwrap_or_default().to_string()
            }
            Op::Replace { all, pattern: p, with } => {
                let p = self.pattern(p)?;
                let with = self.text(with)?;
                replace(v, &p, &with, *all)
            }
            Op::Substring { from, len } => {
                let (f, l) = (self.text(from)?, len.as_ref().map(|l| self.text(l)).transpose()?);
                let f = arith::eval(&f, self.st).map_err(Stop::Fail)?;
                let l = l.map(|l| arith::eval(&l, self.st)).transpose().map_err(Stop::Fail)?;
                substring(v, f, l)
            }
            _ => v.to_string(),
        })
    }

    fn home(&mut self, user: &str) -> String {
        if user.is_empty() {
            return self.st.get("HOME").map_or_else(|| "~".into(), str::to_string);
        }
        match crate::accounts::user_named(self.sys, user) {
            Some(u) => u.home,
            None => format!("~{user}"),
        }
    }

    /// Replaces a pattern by the names that it matches, if there are any.
    fn pathnames(&mut self, pat: String, all: &mut Vec<String>) {
        if self.st.opts.noglob || !pattern::is_glob(&pat) {
            all.push(pattern::unescape(&pat));
            return;
        }
        let mut found = glob(self.sys, &pat);
        if found.is_empty() {
            all.push(pattern::unescape(&pat));
        } else {
            all.append(&mut found);
        }
    }
}

/// The existing paths that a pattern matches, in order.
pub fn glob(sys: &mut dyn Sys, pat: &str) -> Vec<String> {
    let mut bases = vec![if pat.starts_with('/') { "/".to_string() } else { String::new() }];
    let parts: Vec<&str> = pat.split('/').filter(|p| !p.is_empty()).collect();
    let dirs_only = pat.ends_with('/');
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        let mut next = Vec::new();
        for base in &bases {
            let join = |name: &str| {
                if base.is_empty() { name.to_string() } else { fs::join(base, name) }
            };
            if !pattern::is_glob(part) {
                let path = join(&pattern::unescape(part));
                if sys.lstat(&path).is_ok() {
                    next.push(path);
                }
                continue;
            }
            let Ok(entries) = sys.readdir(if base.is_empty() { "." } else { base }) else { continue };
            for e in entries {
                if e.name.starts_with('.') && !part.starts_with('.') {
                    continue;
                }
                if pattern::matches(part, &e.name) {
                    let path = join(&e.name);
                    if last && !dirs_only || sys.stat(&path).is_ok_and(|s| s.is_dir()) {
                        next.push(path);
                    }
                }
            }
            if next.len() > Limits::TABLE.shell_bytes_max {
                break;
            }
        }
        bases = next;
    }
    if dirs_only {
        for b in &mut bases {
            b.push('/');
        }
    }
    bases
}

fn replace(v: &str, p: &str, with: &str, all: bool) -> String {
    if p.is_empty() {
        return v.to_string();
    }
    let (mut out, mut rest, mut done) = (String::new(), v, false);
    while let Some(c) = rest.chars().next() {
        match pattern::prefix(p, rest, true) {
            Some(n) if n > 0 && !done => {
                out.push_str(with);
                rest = rest.get(n..).unwrap_or_default();
                done = !all;
            }
            _ => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
        if out.len() > Limits::TABLE.file_bytes_max {
            break;
        }
    }
    out
}

fn substring(v: &str, from: i64, len: Option<i64>) -> String {
    let n = v.chars().count() as i64;
    let start = if from < 0 { (n + from).max(0) } else { from.min(n) };
    if from < 0 && n + from < 0 {
        return String::new();
    }
    let end = match len {
        None => n,
        Some(l) if l < 0 => (n + l).max(start),
        Some(l) => start.saturating_add(l).min(n),
    };
    v.chars().skip(start as usize).take((end - start).max(0) as usize).collect()
}
