//! `awk`: a sensible part of the language: patterns, fields, variables, arrays, control flow, the usual functions, `printf`
//! and output to files. Absent: user functions, `getline` in its forms, pipes.

mod parse;

use super::filter::{Filter, Io, More};
use super::once::Cx;
use crate::io;
use crate::regex::Regex;
use crate::sys::OpenFlags;
use sim::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Expr {
    Num(f64),
    Str(String),
    Re(Arc<Regex>),
    Var(String),
    Field(Box<Expr>),
    Index(String, Vec<Expr>),
    Assign(&'static str, Box<Expr>, Box<Expr>),
    Cond(Box<Expr>, Box<Expr>, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Unary(&'static str, Box<Expr>),
    Incr(Box<Expr>, f64, bool),
    Match(Box<Expr>, Box<Expr>, bool),
    In(Vec<Expr>, String),
    Call(String, Vec<Expr>),
    Group(Box<Expr>),
}

#[derive(Clone, Debug)]
enum Stmt {
    Expr(Expr),
    Print(Vec<Expr>, bool, Option<(bool, Expr)>),
    If(Expr, Box<Stmt>, Option<Box<Stmt>>),
    While(Expr, Box<Stmt>),
    Do(Box<Stmt>, Expr),
    For(Option<Box<Stmt>>, Option<Expr>, Option<Box<Stmt>>, Box<Stmt>),
    ForIn(String, String, Box<Stmt>),
    Block(Vec<Stmt>),
    Next,
    Exit(Option<Expr>),
    Break,
    Continue,
    Delete(String, Vec<Expr>),
}

#[derive(Clone, Debug)]
enum Pattern {
    Begin,
    End,
    All,
    Expr(Expr),
    Range(Expr, Expr),
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    body: Option<Stmt>,
}

/// A value: a number, a text, or input that looks like one or the other.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Num(f64),
    Str(String),
    Input(String),
}

fn prefix_number(s: &str) -> f64 {
    let t = s.trim_start();
    let mut end = 0;
    let (mut dot, mut digits) = (false, false);
    for (i, c) in t.char_indices() {
        match c {
            '0'..='9' => digits = true,
            '.' if !dot => dot = true,
            '-' | '+' if i == 0 => {}
            'e' | 'E' if digits => {
                let rest = t.get(i + 1..).unwrap_or_default();
                let n = rest.trim_start_matches(['+', '-']).chars().take_while(char::is_ascii_digit).count();
                if n > 0 {
                    end = i + 1 + (rest.len() - rest.trim_start_matches(['+', '-']).len()) + n;
                }
                break;
            }
            _ => break,
        }
        end = i + 1;
    }
    t.get(..end).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

fn looks_numeric(s: &str) -> bool {
    let t = s.trim();
    !t.is_empty() && t.parse::<f64>().is_ok() && !t.contains(['n', 'N', 'i', 'I'])
}

fn number_text(n: f64) -> String {
    if n == n.trunc() && n.abs() < 1e16 {
        return format!("{}", n as i64);
    }
    // %.6g
    let sci = format!("{n:e}");
    let exp: i32 = sci.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if !(-5..6).contains(&exp) {
        let t = format!("{n:.5e}");
        let (m, e) = t.split_once('e').unwrap_or((&t, "0"));
        let m = m.trim_end_matches('0').trim_end_matches('.');
        let (s, d) = match e.strip_prefix('-') {
            Some(d) => ('-', d),
            None => ('+', e),
        };
        return format!("{m}e{s}{d:0>2}");
    }
    let digits = (5 - exp).max(0) as usize;
    let t = format!("{n:.digits$}");
    if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_string() } else { t }
}

impl Value {
    fn num(&self) -> f64 {
        match self {
            Value::Num(n) => *n,
            Value::Str(s) | Value::Input(s) => prefix_number(s),
        }
    }
    fn text(&self) -> String {
        match self {
            Value::Num(n) => number_text(*n),
            Value::Str(s) | Value::Input(s) => s.clone(),
        }
    }
    fn truth(&self) -> bool {
        match self {
            Value::Num(n) => *n != 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::Input(s) => {
                if looks_numeric(s) {
                    prefix_number(s) != 0.0
                } else {
                    !s.is_empty()
                }
            }
        }
    }
    fn numeric(&self) -> bool {
        match self {
            Value::Num(_) => true,
            Value::Str(_) => false,
            Value::Input(s) => s.is_empty() || looks_numeric(s),
        }
    }
}

enum Flow {
    Go,
    Next,
    Exit,
    Break,
    Continue,
}

/// `awk`
#[derive(Clone, Debug)]
pub struct Awk {
    rules: Arc<Vec<Rule>>,
    vars: BTreeMap<String, Value>,
    arrays: BTreeMap<String, BTreeMap<String, Value>>,
    fields: Vec<String>,
    active: Vec<bool>,
    opened: Vec<String>,
    code: i32,
    exited: bool,
    steps: u64,
    assigns: bool,
}

/// Steps that one record may take: the bound on its loops.
const STEPS_MAX: u64 = 5_000_000;

impl Awk {
    fn get(&self, n: &str) -> Value {
        match n {
            "NF" => Value::Num((self.fields.len().max(1) - 1) as f64),
            _ => self.vars.get(n).cloned().unwrap_or(Value::Input(String::new())),
        }
    }

    fn sep(&self, n: &str, default: &str) -> String {
        self.vars.get(n).map_or_else(|| default.into(), Value::text)
    }

    fn set_record(&mut self, text: String) {
        let parts = self.split(&text, &self.sep("FS", " "));
        self.fields = vec![text];
        self.fields.extend(parts);
    }

    fn split(&self, text: &str, fs: &str) -> Vec<String> {
        if text.is_empty() {
            return Vec::new();
        }
        if fs == " " {
            return text.split_whitespace().map(str::to_string).collect();
        }
        if fs.is_empty() {
            return text.chars().map(String::from).collect();
        }
        if fs.chars().count() == 1 && fs != "\\" {
            return text.split(fs).map(str::to_string).collect();
        }
        let Ok(re) = Regex::new(fs, true, false) else { return vec![text.into()] };
        let (mut out, mut from, mut start) = (Vec::new(), 0, 0);
        while let Some((a, b)) = re.find(text, from).and_then(|g| g.first().copied().flatten()) {
            if b == a {
                from = b + 1;
                if from > text.len() {
                    break;
                }
                continue;
            }
            out.push(text.get(start..a).unwrap_or_default().to_string());
            (start, from) = (b, b);
        }
        out.push(text.get(start..).unwrap_or_default().to_string());
        out
    }

    fn rebuild(&mut self) {
        let ofs = self.sep("OFS", " ");
        let t = self.fields.get(1..).unwrap_or_default().join(&ofs);
        if let Some(f) = self.fields.first_mut() {
            *f = t;
        }
    }

    fn store(&mut self, io: &mut Io, to: &Expr, v: Value) {
        match to {
            Expr::Group(e) => self.store(io, e, v),
            Expr::Var(n) if n == "NF" => {
                let n = (v.num().max(0.0) as usize).min(Limits::TABLE.files_max * 16);
                self.fields.resize(n + 1, String::new());
                self.rebuild();
            }
            Expr::Var(n) => {
                self.vars.insert(n.clone(), v);
            }
            Expr::Field(e) => {
                let i = self.eval(io, e).num();
                let i = (i.max(0.0) as usize).min(Limits::TABLE.files_max * 16);
                if i == 0 {
                    self.set_record(v.text());
                    return;
                }
                if self.fields.len() <= i {
                    self.fields.resize(i + 1, String::new());
                }
                if let Some(f) = self.fields.get_mut(i) {
                    *f = v.text();
                }
                self.rebuild();
            }
            Expr::Index(n, key) => {
                let k = self.key(io, key);
                self.arrays.entry(n.clone()).or_default().insert(k, v);
            }
            _ => {}
        }
    }

    fn key(&mut self, io: &mut Io, list: &[Expr]) -> String {
        let sep = self.sep("SUBSEP", "\x1c");
        list.iter().map(|e| self.eval(io, e).text()).collect::<Vec<_>>().join(&sep)
    }

    fn regex(&mut self, io: &mut Io, e: &Expr) -> Arc<Regex> {
        match e {
            Expr::Re(r) => r.clone(),
            Expr::Group(e) => self.regex(io, e),
            e => {
                let t = self.eval(io, e).text();
                Arc::new(Regex::new(&t, true, false).unwrap_or_else(|_| Regex::fixed(&t, false)))
            }
        }
    }

    fn eval(&mut self, io: &mut Io, e: &Expr) -> Value {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            self.exited = true;
            return Value::Num(0.0);
        }
        match e {
            Expr::Num(n) => Value::Num(*n),
            Expr::Str(s) => Value::Str(s.clone()),
            Expr::Re(r) => {
                let t = self.fields.first().cloned().unwrap_or_default();
                Value::Num(f64::from(u8::from(r.find(&t, 0).is_some())))
            }
            Expr::Var(n) => self.get(n),
            Expr::Group(e) => self.eval(io, e),
            Expr::Field(e) => {
                let i = self.eval(io, e).num();
                Value::Input(self.fields.get(i.max(0.0) as usize).cloned().unwrap_or_default())
            }
            Expr::Index(n, key) => {
                let k = self.key(io, key);
                let a = self.arrays.entry(n.clone()).or_default();
                if a.len() < Limits::TABLE.shell_bytes_max {
                    a.entry(k).or_insert(Value::Input(String::new())).clone()
                } else {
                    a.get(&k).cloned().unwrap_or(Value::Input(String::new()))
                }
            }
            Expr::Assign(op, to, v) => {
                let mut v = self.eval(io, v);
                if *op != "=" {
                    let old = self.eval(io, to).num();
                    v = Value::Num(arith(op.trim_end_matches('='), old, v.num()));
                }
                self.store(io, to, v.clone());
                v
            }
            Expr::Cond(c, a, b) => {
                if self.eval(io, c).truth() {
                    self.eval(io, a)
                } else {
                    self.eval(io, b)
                }
            }
            Expr::Incr(to, by, before) => {
                let old = self.eval(io, to).num();
                self.store(io, to, Value::Num(old + by));
                Value::Num(if *before { old + by } else { old })
            }
            Expr::Match(a, r, not) => {
                let t = self.eval(io, a).text();
                let r = self.regex(io, r);
                Value::Num(f64::from(u8::from(r.find(&t, 0).is_some() != *not)))
            }
            Expr::In(key, n) => {
                let k = self.key(io, key);
                Value::Num(f64::from(u8::from(self.arrays.get(n).is_some_and(|a| a.contains_key(&k)))))
            }
            Expr::Unary(op, e) => {
                let v = self.eval(io, e);
                Value::Num(match *op {
                    "!" => f64::from(u8::from(!v.truth())),
                    "-" => -v.num(),
                    _ => v.num(),
                })
            }
            Expr::Binary(op, a, b) => self.binary(io, op, a, b),
            Expr::Call(n, args) => self.call(io, n, args),
        }
    }

    fn binary(&mut self, io: &mut Io, op: &str, a: &Expr, b: &Expr) -> Value {
        let flag = |b: bool| Value::Num(f64::from(u8::from(b)));
        let x = self.eval(io, a);
        match op {
            "&&" => return flag(x.truth() && self.eval(io, b).truth()),
            "||" => return flag(x.truth() || self.eval(io, b).truth()),
            _ => {}
        }
        let y = self.eval(io, b);
        match op {
            "" => {
                let mut t = x.text();
                t.push_str(&y.text());
                if t.len() > Limits::TABLE.file_bytes_max {
                    self.exited = true;
                }
                Value::Str(t)
            }
            "+" | "-" | "*" | "/" | "%" | "^" => Value::Num(arith(op, x.num(), y.num())),
            _ => {
                let o = if x.numeric() && y.numeric() {
                    x.num().partial_cmp(&y.num()).unwrap_or(core::cmp::Ordering::Equal)
                } else {
                    x.text().cmp(&y.text())
                };
                flag(match op {
                    "<" => o.is_lt(),
                    "<=" => o.is_le(),
                    ">" => o.is_gt(),
                    ">=" => o.is_ge(),
                    "!=" => o.is_ne(),
                    _ => o.is_eq(),
                })
            }
        }
    }

    fn call(&mut self, io: &mut Io, n: &str, args: &[Expr]) -> Value {
        let text = |s: &mut Self, io: &mut Io, i: usize| {
            args.get(i).map_or_else(String::new, |e| s.eval(io, e).text())
        };
        let num = |s: &mut Self, io: &mut Io, i: usize| args.get(i).map_or(0.0, |e| s.eval(io, e).num());
        match n {
            "length" => match args.first() {
                Some(Expr::Var(a)) if self.arrays.contains_key(a) => {
                    Value::Num(self.arrays.get(a).map_or(0, BTreeMap::len) as f64)
                }
                Some(_) => Value::Num(text(self, io, 0).chars().count() as f64),
                None => Value::Num(self.fields.first().map_or(0, |f| f.chars().count()) as f64),
            },
            "substr" => {
                let s = text(self, io, 0);
                let from = num(self, io, 1).round().max(1.0);
                let end = if args.len() > 2 { from + num(self, io, 2).round() } else { f64::MAX };
                Value::Str(
                    s.chars()
                        .enumerate()
                        .filter(|(i, _)| {
                            let p = *i as f64 + 1.0;
                            p >= from && p < end
                        })
                        .map(|c| c.1)
                        .collect(),
                )
            }
            "index" => {
                let (s, t) = (text(self, io, 0), text(self, io, 1));
                Value::Num(s.find(&t).map_or(0, |i| s.get(..i).map_or(0, |p| p.chars().count()) + 1) as f64)
            }
            "split" => {
                let s = text(self, io, 0);
                let fs = match args.get(2) {
                    Some(Expr::Re(_)) | None if args.len() < 3 => self.sep("FS", " "),
                    Some(Expr::Re(r)) => {
                        let r = r.clone();
                        return self.split_by(args, &s, &r);
                    }
                    _ => text(self, io, 2),
                };
                let parts = self.split(&s, &fs);
                self.fill(args, parts)
            }
            "sub" | "gsub" => self.substitute(io, n == "gsub", args),
            "match" => {
                let s = text(self, io, 0);
                let Some(e) = args.get(1) else { return Value::Num(0.0) };
                let r = self.regex(io, e);
                let m = r.find(&s, 0).and_then(|g| g.first().copied().flatten());
                let count = |a: usize, b: usize| s.get(a..b).map_or(0, |t| t.chars().count()) as f64;
                let (start, len) = m.map_or((0.0, -1.0), |(a, b)| (count(0, a) + 1.0, count(a, b)));
                self.vars.insert("RSTART".into(), Value::Num(start));
                self.vars.insert("RLENGTH".into(), Value::Num(len));
                Value::Num(start)
            }
            "sprintf" => Value::Str(String::from_utf8_lossy(&self.format(io, args)).into_owned()),
            "tolower" => Value::Str(text(self, io, 0).to_lowercase()),
            "toupper" => Value::Str(text(self, io, 0).to_uppercase()),
            "int" => Value::Num(num(self, io, 0).trunc()),
            "sqrt" => Value::Num(num(self, io, 0).max(0.0).sqrt()),
            "rand" => Value::Num((io.sys.random() >> 11) as f64 / (1u64 << 53) as f64),
            "systime" => Value::Num((io.sys.epoch().0 + io.sys.now().secs() as i64) as f64),
            "strftime" => {
                let (f, t) = (text(self, io, 0), num(self, io, 1));
                let c = if args.len() > 1 {
                    sim::Civil::from_unix(t as i64, 0)
                } else {
                    io.sys.epoch().civil(io.sys.now())
                };
                Value::Str(super::date::format(&c, &f))
            }
            _ => Value::Num(0.0),
        }
    }

    fn split_by(&mut self, args: &[Expr], s: &str, r: &Regex) -> Value {
        let (mut parts, mut from, mut start) = (Vec::new(), 0, 0);
        while let Some((a, b)) = r.find(s, from).and_then(|g| g.first().copied().flatten()) {
            if b == a {
                break;
            }
            parts.push(s.get(start..a).unwrap_or_default().to_string());
            (start, from) = (b, b);
        }
        if !s.is_empty() {
            parts.push(s.get(start..).unwrap_or_default().to_string());
        }
        self.fill(args, parts)
    }

    fn fill(&mut self, args: &[Expr], parts: Vec<String>) -> Value {
        let n = parts.len();
        if let Some(Expr::Var(a)) = args.get(1) {
            let map =
                parts.into_iter().enumerate().map(|(i, p)| ((i + 1).to_string(), Value::Input(p))).collect();
            self.arrays.insert(a.clone(), map);
        }
        Value::Num(n as f64)
    }

    fn substitute(&mut self, io: &mut Io, all: bool, args: &[Expr]) -> Value {
        let (Some(re), Some(with)) = (args.first(), args.get(1)) else { return Value::Num(0.0) };
        let re = self.regex(io, re);
        let with = self.eval(io, with).text();
        let target = args.get(2).cloned().unwrap_or(Expr::Field(Box::new(Expr::Num(0.0))));
        let text = self.eval(io, &target).text();
        let (mut out, mut from, mut copied, mut count) = (String::new(), 0, 0, 0);
        while from <= text.len() {
            let Some((a, b)) = re.find(&text, from).and_then(|g| g.first().copied().flatten()) else { break };
            count += 1;
            out.push_str(text.get(copied..a).unwrap_or_default());
            let mut it = with.chars();
            while let Some(c) = it.next() {
                match c {
                    '&' => out.push_str(text.get(a..b).unwrap_or_default()),
                    '\\' => out.extend(it.next()),
                    c => out.push(c),
                }
            }
            copied = b;
            from = if b > a {
                b
            } else {
                b + text.get(b..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8)
            };
            if !all || out.len() > Limits::TABLE.file_bytes_max {
                break;
            }
        }
        if count > 0 {
            out.push_str(text.get(copied..).unwrap_or_default());
            self.store(io, &target, Value::Str(out));
        }
        Value::Num(f64::from(count))
    }

    fn format(&mut self, io: &mut Io, args: &[Expr]) -> Vec<u8> {
        let values: Vec<Value> = args.iter().map(|e| self.eval(io, e)).collect();
        let f = values.first().map_or_else(String::new, Value::text);
        // Numbers for integer conversions lose their fraction first; each value meets its own conversion.
        let kinds = conversions(&f);
        let rest: Vec<String> = values
            .iter()
            .skip(1)
            .zip(kinds.into_iter().chain(core::iter::repeat('s')))
            .map(|(v, k)| match k {
                'd' | 'i' | 'u' | 'x' | 'X' | 'o' => format!("{}", v.num().trunc() as i64),
                'e' | 'f' | 'g' | 'E' | 'F' | 'G' => v.num().to_string(),
                'c' => match v {
                    Value::Num(n) => char::from_u32(*n as u32).map_or_else(String::new, String::from),
                    v => v.text(),
                },
                _ => v.text(),
            })
            .collect();
        super::printf::once(&f, &rest)
    }

    fn print(&mut self, io: &mut Io, list: &[Expr], formatted: bool, to: &Option<(bool, Expr)>) {
        let data = if formatted {
            self.format(io, list)
        } else {
            let mut t = if list.is_empty() {
                self.fields.first().cloned().unwrap_or_default()
            } else {
                let ofs = self.sep("OFS", " ");
                list.iter().map(|e| self.eval(io, e).text()).collect::<Vec<_>>().join(&ofs)
            };
            t.push_str(&self.sep("ORS", "\n"));
            t.into_bytes()
        };
        match to {
            None => io.out.put(1, &data),
            Some((append, e)) => {
                let f = self.eval(io, e).text();
                match f.as_str() {
                    "/dev/stdout" => io.out.put(1, &data),
                    "/dev/stderr" => io.out.put(2, &data),
                    _ => {
                        let first = !self.opened.contains(&f);
                        let flags = if first && !append { OpenFlags::WRITE } else { OpenFlags::APPEND };
                        if first {
                            self.opened.push(f.clone());
                        }
                        if let Err(e) = io::write_file(io.sys, &f, &data, flags, 0o666) {
                            io.err(&format!("{f}: {e}"));
                            self.code = 2;
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, io: &mut Io, s: &Stmt) -> Flow {
        self.steps += 1;
        if self.exited || self.steps > STEPS_MAX {
            return Flow::Exit;
        }
        match s {
            Stmt::Expr(e) => {
                self.eval(io, e);
            }
            Stmt::Print(l, f, to) => self.print(io, l, *f, to),
            Stmt::Block(list) => {
                for s in list {
                    match self.run(io, s) {
                        Flow::Go => {}
                        f => return f,
                    }
                }
            }
            Stmt::If(c, a, b) => {
                if self.eval(io, c).truth() {
                    return self.run(io, a);
                } else if let Some(b) = b {
                    return self.run(io, b);
                }
            }
            Stmt::While(c, b) => {
                while self.eval(io, c).truth() && !self.exited {
                    match self.run(io, b) {
                        Flow::Go | Flow::Continue => {}
                        Flow::Break => break,
                        f => return f,
                    }
                }
            }
            Stmt::Do(b, c) => loop {
                match self.run(io, b) {
                    Flow::Go | Flow::Continue => {}
                    Flow::Break => break,
                    f => return f,
                }
                if !self.eval(io, c).truth() || self.exited {
                    break;
                }
            },
            Stmt::For(i, c, step, b) => {
                if let Some(i) = i {
                    self.run(io, i);
                }
                while !self.exited && c.as_ref().is_none_or(|c| self.eval(io, c).truth()) {
                    match self.run(io, b) {
                        Flow::Go | Flow::Continue => {}
                        Flow::Break => break,
                        f => return f,
                    }
                    if let Some(s) = step {
                        self.run(io, s);
                    }
                }
            }
            Stmt::ForIn(v, a, b) => {
                let mut keys: Vec<String> =
                    self.arrays.get(a).map_or_else(Vec::new, |m| m.keys().cloned().collect());
                // Numbers in their order: what people expect, where the real order is arbitrary.
                keys.sort_by(|a, b| match (a.parse::<i64>(), b.parse::<i64>()) {
                    (Ok(x), Ok(y)) => x.cmp(&y),
                    _ => a.cmp(b),
                });
                for k in keys {
                    self.vars.insert(v.clone(), Value::Input(k));
                    match self.run(io, b) {
                        Flow::Go | Flow::Continue => {}
                        Flow::Break => break,
                        f => return f,
                    }
                }
            }
            Stmt::Next => return Flow::Next,
            Stmt::Break => return Flow::Break,
            Stmt::Continue => return Flow::Continue,
            Stmt::Exit(e) => {
                if let Some(e) = e {
                    self.code = self.eval(io, e).num() as i32 & 255;
                }
                self.exited = true;
                return Flow::Exit;
            }
            Stmt::Delete(n, key) => {
                if key.is_empty() {
                    self.arrays.remove(n);
                } else {
                    let k = self.key(io, key);
                    if let Some(a) = self.arrays.get_mut(n) {
                        a.remove(&k);
                    }
                }
            }
        }
        Flow::Go
    }

    fn rules(&mut self, io: &mut Io, wanted: fn(&Pattern) -> bool) {
        let rules = self.rules.clone();
        for (i, r) in rules.iter().enumerate() {
            if !wanted(&r.pattern) {
                continue;
            }
            let hit = match &r.pattern {
                Pattern::Begin | Pattern::End | Pattern::All => true,
                Pattern::Expr(e) => self.eval(io, e).truth(),
                Pattern::Range(a, b) => {
                    let was = self.active.get(i).copied().unwrap_or(false);
                    let hit = was || self.eval(io, a).truth();
                    let ends = hit && self.eval(io, b).truth();
                    if let Some(s) = self.active.get_mut(i) {
                        *s = hit && !ends;
                    }
                    hit
                }
            };
            if !hit {
                continue;
            }
            let flow = match &r.body {
                Some(b) => self.run(io, b),
                None => {
                    self.print(io, &[], false, &None);
                    Flow::Go
                }
            };
            if matches!(flow, Flow::Next | Flow::Exit) {
                return;
            }
        }
    }
}

/// The conversions of a format in order; a `*` takes a value of its own.
fn conversions(f: &str) -> Vec<char> {
    let mut out = Vec::new();
    let mut it = f.chars();
    while let Some(c) = it.next() {
        if c != '%' {
            continue;
        }
        for c in it.by_ref() {
            match c {
                '%' => break,
                '*' => out.push('d'),
                c if c.is_ascii_alphabetic() => {
                    out.push(c);
                    break;
                }
                _ => {}
            }
        }
    }
    out
}

fn arith(op: &str, a: f64, b: f64) -> f64 {
    match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => {
            if b == 0.0 {
                0.0
            } else {
                a / b
            }
        }
        "%" => {
            if b == 0.0 {
                0.0
            } else {
                a % b
            }
        }
        // Whole exponents only: other powers differ between platforms.
        _ => a.powi(b as i32),
    }
}

impl Filter for Awk {
    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let mut o = super::options::parse(cx.args, "+F:v:f:", &[]).map_err(|m| {
            cx.err(&m);
            cx.usage()
        })?;
        let text = match o.value('f').map(str::to_string) {
            Some(f) => io::read_text(cx.sys, &f).map_err(|e| {
                cx.fail(&f, e);
                1
            })?,
            None if o.rest.is_empty() => return Err(cx.usage()),
            None => o.rest.remove(0),
        };
        let rules = parse::program(&text).map_err(|m| {
            cx.err(&format!("cmd. line:1: {m}"));
            1
        })?;
        let mut a = Awk {
            active: vec![false; rules.len()],
            rules: Arc::new(rules),
            vars: BTreeMap::new(),
            arrays: BTreeMap::new(),
            fields: vec![String::new()],
            opened: Vec::new(),
            code: 0,
            exited: false,
            steps: 0,
            assigns: false,
        };
        if let Some(fs) = o.value('F') {
            let (b, _) = crate::text::unescape(fs, crate::text::Escapes::Printf);
            let fs = if fs == "t" { "\t".into() } else { String::from_utf8_lossy(&b).into_owned() };
            a.vars.insert("FS".into(), Value::Str(fs));
        }
        for v in o.values('v') {
            if let Some((n, v)) = v.split_once('=') {
                a.vars.insert(n.into(), Value::Input(v.into()));
            }
        }
        let env = cx.sys.env().iter().map(|(n, v)| (n.to_string(), Value::Input(v.to_string()))).collect();
        a.arrays.insert("ENVIRON".into(), env);
        let name = cx.name.to_string();
        let mut out = crate::io::Output::default();
        a.rules(&mut Io { sys: cx.sys, out: &mut out, name: &name }, |p| matches!(p, Pattern::Begin));
        cx.out = out;
        let only_begin = a.rules.iter().all(|r| matches!(r.pattern, Pattern::Begin));
        if a.exited || only_begin {
            return Err(a.code);
        }
        let mut files = Vec::new();
        for f in o.rest {
            match f.split_once('=') {
                Some((n, v)) if crate::sh::parse::is_name(n) => {
                    a.vars.insert(n.into(), Value::Input(v.into()));
                    a.assigns = true;
                }
                _ => files.push(f),
            }
        }
        Ok((a, files))
    }

    fn open(&mut self, _: &mut Io, name: &str) {
        let n = if name == "-" { "" } else { name };
        self.vars.insert("FILENAME".into(), Value::Str(n.into()));
        self.vars.insert("FNR".into(), Value::Num(0.0));
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        let line = data.strip_suffix(b"\n").unwrap_or(data);
        for n in ["NR", "FNR"] {
            let v = self.get(n).num() + 1.0;
            self.vars.insert(n.into(), Value::Num(v));
        }
        self.steps = 0;
        self.set_record(String::from_utf8_lossy(line).into_owned());
        self.rules(io, |p| !matches!(p, Pattern::Begin | Pattern::End));
        if self.exited { More::No } else { More::Yes }
    }

    fn end(&mut self, io: &mut Io, failed: bool) -> i32 {
        let exited = core::mem::take(&mut self.exited);
        self.steps = 0;
        self.rules(io, |p| matches!(p, Pattern::End));
        if failed && !exited { 1 } else { self.code }
    }
}
