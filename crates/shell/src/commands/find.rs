//! `find` and `xargs`

use super::once::{Action, Batch, Cx, Ran, Then};
use crate::accounts::{groups, user_named};
use crate::fs;
use crate::regex::Regex;
use crate::sh::pattern;
use crate::sys::{FileType, Stat};
use sim::Limits;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Test {
    Name(String, bool),
    Path(String),
    Regex(Regex),
    Type(FileType),
    Size(Ordering, u64, u64),
    Time(Ordering, i64, i64),
    Newer(i64),
    Perm(char, u32),
    Owner(u32),
    Group(u32),
    Empty,
    Links(Ordering, u64),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    True,
    Prune,
    Print(u8),
    Delete,
    Exec(Vec<String>, bool),
    Quit,
}

type Ordering = core::cmp::Ordering;

struct Parser<'a> {
    args: &'a [String],
    at: usize,
    depth: usize,
    acts: bool,
    min: usize,
    max: usize,
    post: bool,
}

type Parsed = Result<Test, String>;

fn sized(s: &str) -> (Ordering, &str) {
    match s.chars().next() {
        Some('+') => (Ordering::Greater, s.get(1..).unwrap_or_default()),
        Some('-') => (Ordering::Less, s.get(1..).unwrap_or_default()),
        _ => (Ordering::Equal, s),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.args.get(self.at).map(String::as_str)
    }

    fn or(&mut self, cx: &mut Cx) -> Parsed {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max {
            return Err("nesting too deep".into());
        }
        let mut t = self.and(cx)?;
        while matches!(self.peek(), Some("-o" | "-or")) {
            self.at += 1;
            t = Test::Or(Box::new(t), Box::new(self.and(cx)?));
        }
        self.depth -= 1;
        Ok(t)
    }

    fn and(&mut self, cx: &mut Cx) -> Parsed {
        let mut t = self.not(cx)?;
        loop {
            match self.peek() {
                Some("-a" | "-and") => self.at += 1,
                None | Some(")" | "-o" | "-or") => return Ok(t),
                _ => {}
            }
            t = Test::And(Box::new(t), Box::new(self.not(cx)?));
        }
    }

    fn not(&mut self, cx: &mut Cx) -> Parsed {
        if matches!(self.peek(), Some("!" | "-not")) {
            self.at += 1;
            return Ok(Test::Not(Box::new(self.primary(cx)?)));
        }
        self.primary(cx)
    }

    fn value(&mut self, name: &str) -> Result<String, String> {
        self.at += 1;
        let v = self.args.get(self.at - 1).cloned();
        v.ok_or_else(|| format!("option requires an argument -- '{}'", name.trim_start_matches('-')))
    }

    fn primary(&mut self, cx: &mut Cx) -> Parsed {
        let Some(name) = self.peek().map(str::to_string) else { return Ok(Test::True) };
        self.at += 1;
        let bad = |v: &str| format!("invalid argument '{v}' to '{name}'");
        Ok(match name.as_str() {
            "(" => {
                let t = self.or(cx)?;
                if self.peek() != Some(")") {
                    return Err("unmatched '('".into());
                }
                self.at += 1;
                t
            }
            "-name" => Test::Name(self.value(&name)?, false),
            "-iname" => Test::Name(self.value(&name)?.to_lowercase(), true),
            "-path" | "-wholename" => Test::Path(self.value(&name)?),
            "-regex" => {
                let v = self.value(&name)?;
                Test::Regex(Regex::new(&format!("^({v})$"), true, false).map_err(|_| bad(&v))?)
            }
            "-type" => {
                let v = self.value(&name)?;
                Test::Type(match v.as_str() {
                    "f" => FileType::Regular,
                    "d" => FileType::Directory,
                    "l" => FileType::Symlink,
                    "c" => FileType::Character,
                    "p" => FileType::Fifo,
                    "s" => FileType::Socket,
                    v => return Err(bad(v)),
                })
            }
            "-size" => {
                let v = self.value(&name)?;
                let (o, n) = sized(&v);
                let (n, unit) = match n.char_indices().next_back() {
                    Some((i, 'c')) => (n.get(..i).unwrap_or_default(), 1),
                    Some((i, 'k')) => (n.get(..i).unwrap_or_default(), 1024),
                    Some((i, 'M')) => (n.get(..i).unwrap_or_default(), 1 << 20),
                    Some((i, 'G')) => (n.get(..i).unwrap_or_default(), 1 << 30),
                    _ => (n, 512),
                };
                Test::Size(o, n.parse().map_err(|_| bad(&v))?, unit)
            }
            "-mtime" | "-mmin" | "-atime" | "-ctime" => {
                let v = self.value(&name)?;
                let (o, n) = sized(&v);
                Test::Time(o, n.parse().map_err(|_| bad(&v))?, if name == "-mmin" { 60 } else { 86_400 })
            }
            "-newer" => {
                let v = self.value(&name)?;
                Test::Newer(cx.sys.stat(&v).map_err(|e| format!("{v}: {e}"))?.mtime)
            }
            "-perm" => {
                let v = self.value(&name)?;
                let kind = v.chars().next().filter(|c| matches!(c, '-' | '/' | '+')).unwrap_or('=');
                let spec = v.trim_start_matches(['-', '/', '+']);
                Test::Perm(kind, super::files::parse_mode(spec, 0, false, 0).ok_or_else(|| bad(&v))?)
            }
            "-user" => {
                let v = self.value(&name)?;
                let uid = v.parse().ok().or_else(|| user_named(cx.sys, &v).map(|u| u.uid));
                Test::Owner(uid.ok_or_else(|| format!("unknown user {v}"))?)
            }
            "-group" => {
                let v = self.value(&name)?;
                let gid =
                    v.parse().ok().or_else(|| groups(cx.sys).iter().find(|g| g.name == v).map(|g| g.gid));
                Test::Group(gid.ok_or_else(|| format!("unknown group {v}"))?)
            }
            "-empty" => Test::Empty,
            "-links" => {
                let v = self.value(&name)?;
                let (o, n) = sized(&v);
                Test::Links(o, n.parse().map_err(|_| bad(&v))?)
            }
            "-true" => Test::True,
            "-prune" => Test::Prune,
            "-print" | "-print0" => {
                self.acts = true;
                Test::Print(if name == "-print0" { 0 } else { b'\n' })
            }
            "-quit" => Test::Quit,
            "-delete" => {
                self.acts = true;
                self.post = true;
                Test::Delete
            }
            "-exec" | "-ok" => {
                self.acts = true;
                let mut argv = Vec::new();
                loop {
                    let Some(a) = self.args.get(self.at) else {
                        return Err(format!("{name} requires an argument")
                            .replace("requires an argument", "CMD must end by ';'"));
                    };
                    self.at += 1;
                    if a == ";" {
                        break Test::Exec(argv, false);
                    }
                    if a == "+" && argv.last().is_some_and(|l| l == "{}") {
                        argv.pop();
                        break Test::Exec(argv, true);
                    }
                    argv.push(a.clone());
                }
            }
            "-maxdepth" => {
                let v = self.value(&name)?;
                self.max = v.parse().map_err(|_| bad(&v))?;
                Test::True
            }
            "-mindepth" => {
                let v = self.value(&name)?;
                self.min = v.parse().map_err(|_| bad(&v))?;
                Test::True
            }
            "-depth" => {
                self.post = true;
                Test::True
            }
            "-xdev" | "-mount" | "-follow" => Test::True,
            n => return Err(format!("unrecognized: {n}")),
        })
    }
}

struct Walk {
    now: i64,
    actions: VecDeque<Action>,
    grouped: Vec<(Vec<String>, Vec<String>)>,
    prune: bool,
    quit: bool,
    code: i32,
}

impl Walk {
    fn test(&mut self, cx: &mut Cx, t: &Test, path: &str, s: &Stat) -> bool {
        match t {
            Test::Name(p, fold) => {
                let n = fs::basename(path);
                if *fold { pattern::matches(p, &n.to_lowercase()) } else { pattern::matches(p, n) }
            }
            Test::Path(p) => pattern::matches(p, path),
            Test::Regex(r) => r.is_match(path.as_bytes()),
            Test::Type(k) => s.kind == *k,
            Test::Size(o, n, unit) => s.size.div_ceil(*unit).cmp(n) == *o,
            Test::Time(o, n, unit) => ((self.now - s.mtime) / unit).cmp(n) == *o,
            Test::Newer(t) => s.mtime > *t,
            Test::Perm('-', m) => s.mode & m == *m,
            Test::Perm('/' | '+', m) => *m == 0 || s.mode & m != 0,
            Test::Perm(_, m) => s.mode == *m,
            Test::Owner(u) => s.uid == *u,
            Test::Group(g) => s.gid == *g,
            Test::Links(o, n) => u64::from(s.nlink).cmp(n) == *o,
            Test::Empty => match s.kind {
                FileType::Regular => s.size == 0,
                FileType::Directory => cx.sys.readdir(path).is_ok_and(|l| l.is_empty()),
                _ => false,
            },
            Test::Not(t) => !self.test(cx, t, path, s),
            Test::And(a, b) => self.test(cx, a, path, s) && self.test(cx, b, path, s),
            Test::Or(a, b) => self.test(cx, a, path, s) || self.test(cx, b, path, s),
            Test::True => true,
            Test::Prune => {
                self.prune = true;
                true
            }
            Test::Quit => {
                self.quit = true;
                true
            }
            Test::Print(end) => {
                let mut l = path.as_bytes().to_vec();
                l.push(*end);
                self.actions.push_back(Action::Say(l));
                true
            }
            Test::Delete => {
                let r = if s.is_dir() { cx.sys.rmdir(path) } else { cx.sys.unlink(path) };
                if let Err(e) = r {
                    self.actions.push_back(Action::Err(format!("find: {path}: {e}\n")));
                    self.code = 1;
                }
                r.is_ok()
            }
            Test::Exec(argv, true) => {
                match self.grouped.iter_mut().find(|g| g.0 == *argv) {
                    Some(g) => g.1.push(path.to_string()),
                    None => self.grouped.push((argv.clone(), vec![path.to_string()])),
                }
                true
            }
            Test::Exec(argv, false) => {
                self.actions.push_back(Action::Run(argv.iter().map(|a| a.replace("{}", path)).collect()));
                true
            }
        }
    }
}

/// `find`
pub fn find(cx: &mut Cx) -> Ran {
    let n = cx.args.iter().position(|a| a.starts_with('-') || a == "!" || a == "(").unwrap_or(cx.args.len());
    let (mut roots, mut expr) = cx.args.split_at(n);
    while matches!(expr.first().map(String::as_str), Some("-L" | "-H" | "-P")) {
        expr = expr.get(1..).unwrap_or_default();
        let n = expr.iter().position(|a| a.starts_with('-') || a == "!" || a == "(").unwrap_or(expr.len());
        (roots, expr) = expr.split_at(n);
    }
    let mut p = Parser { args: expr, at: 0, depth: 0, acts: false, min: 0, max: usize::MAX, post: false };
    let test = match p.or(cx) {
        Ok(t) if p.at >= expr.len() => t,
        Ok(_) => {
            cx.err(&format!("unrecognized: {}", p.peek().unwrap_or_default()));
            return Ok(1);
        }
        Err(m) => {
            cx.err(&m);
            return Ok(1);
        }
    };
    let test = if p.acts { test } else { Test::And(Box::new(test), Box::new(Test::Print(b'\n'))) };
    let now = cx.sys.epoch().0 + cx.sys.now().secs() as i64;
    let mut w =
        Walk { now, actions: VecDeque::new(), grouped: Vec::new(), prune: false, quit: false, code: 0 };
    let here = [".".to_string()];
    let roots = if roots.is_empty() { &here } else { roots };
    let mut todo: Vec<(String, usize, bool)> = roots.iter().rev().map(|r| (r.clone(), 0, false)).collect();
    let mut seen = 0;
    while let Some((path, depth, done)) = todo.pop() {
        seen += 1;
        if w.quit || seen > super::files::WALK_MAX {
            break;
        }
        let s = match cx.sys.lstat(&path) {
            Ok(s) => s,
            Err(e) => {
                w.actions.push_back(Action::Err(format!("find: {path}: {e}\n")));
                w.code = 1;
                continue;
            }
        };
        let descend = s.is_dir() && depth < p.max && !done;
        w.prune = false;
        if descend && p.post {
            todo.push((path.clone(), depth, true));
        } else if depth >= p.min {
            w.test(cx, &test, &path, &s);
        }
        if descend && (p.post || !w.prune) {
            match cx.sys.readdir(&path) {
                Ok(list) => {
                    todo.extend(list.iter().rev().map(|e| (fs::join(&path, &e.name), depth + 1, false)));
                }
                Err(e) => {
                    w.actions.push_back(Action::Err(format!("find: {path}: {e}\n")));
                    w.code = 1;
                }
            }
        }
    }
    for (mut argv, paths) in w.grouped {
        argv.extend(paths);
        w.actions.push_back(Action::Run(argv));
    }
    cx.then = Then::Batch(Batch { actions: w.actions, ..Batch::default() });
    Ok(w.code)
}

/// The words of `xargs`' input: blanks separate, quotes and backslashes protect.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut out = Vec::new();
    let mut cur: Option<String> = None;
    let mut it = text.chars();
    while let Some(c) = it.next() {
        match c {
            c if c.is_whitespace() => out.extend(cur.take()),
            '\\' => cur.get_or_insert_with(String::new).extend(it.next()),
            '"' | '\'' => {
                let w = cur.get_or_insert_with(String::new);
                loop {
                    match it.next() {
                        Some(q) if q == c => break,
                        Some('\n') | None => {
                            return Err(if c == '"' {
                                "unmatched double quote"
                            } else {
                                "unmatched single quote"
                            });
                        }
                        Some(x) => w.push(x),
                    }
                }
            }
            c => cur.get_or_insert_with(String::new).push(c),
        }
    }
    out.extend(cur);
    Ok(out)
}

/// `xargs`
pub fn xargs(cx: &mut Cx) -> Ran {
    let o = match cx.options(
        "+0rtpn:s:I:E:e:P:L:d:x",
        &[("null", '0'), ("no-run-if-empty", 'r'), ("max-args", 'n'), ("delimiter", 'd')],
    ) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let data = cx.stdin()?;
    let text = String::from_utf8_lossy(&data).into_owned();
    let replace = o.value('I').map(str::to_string);
    let list: Vec<String> = if o.has('0') {
        text.split('\0').filter(|s| !s.is_empty()).map(str::to_string).collect()
    } else if let Some(d) = o.value('d') {
        let (d, _) = crate::text::unescape(d, crate::text::Escapes::Printf);
        let d = d.first().map_or('\n', |b| char::from(*b));
        let t = text.strip_suffix(d).unwrap_or(&text);
        t.split(d).map(str::to_string).collect()
    } else if replace.is_some() {
        text.lines().map(|l| l.trim_start().to_string()).filter(|l| !l.is_empty()).collect()
    } else {
        match words(&text) {
            Ok(w) => w,
            Err(m) => {
                cx.err(m);
                return Ok(1);
            }
        }
    };
    let base = if o.rest.is_empty() { vec!["echo".to_string()] } else { o.rest.clone() };
    let mut b = Batch { xargs: true, ..Batch::default() };
    let mut run = |argv: Vec<String>| {
        if o.has('t') {
            b.actions.push_back(Action::Err(format!("{}\n", argv.join(" "))));
        }
        b.actions.push_back(Action::Run(argv));
    };
    if let Some(r) = replace {
        for l in list {
            run(base.iter().map(|a| a.replace(&r, &l)).collect());
        }
    } else {
        let n = o.value('n').or(o.value('L')).and_then(|n| n.parse().ok()).unwrap_or(usize::MAX).max(1);
        if list.is_empty() && !o.has('r') {
            run(base.clone());
        }
        // A command line holds so many bytes.
        let max = o.value('s').and_then(|s| s.parse().ok()).unwrap_or(32 * 1024usize);
        let (mut argv, mut bytes) = (base.clone(), 0);
        for a in list {
            if argv.len() - base.len() >= n || bytes + a.len() >= max && argv.len() > base.len() {
                run(core::mem::replace(&mut argv, base.clone()));
                bytes = 0;
            }
            bytes += a.len() + 1;
            argv.push(a);
        }
        if argv.len() > base.len() {
            run(argv);
        }
    }
    cx.then = Then::Batch(b);
    Ok(0)
}
