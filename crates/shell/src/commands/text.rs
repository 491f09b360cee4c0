//! `cut`, `tr`, `sort`, `uniq`, `wc`, `seq`, `yes`, `fold`, `paste`

use super::cat::{inputs, lines};
use super::filter::{Filter, Io, More};
use super::once::{Cx, Ran};
use crate::io;
use crate::program::{Program, Step};
use crate::sys::{OpenFlags, STDOUT, Sys};
use core::cmp::Ordering;
use core::task::Poll;
use sim::Limits;
use std::collections::BTreeSet;

/// `cut`
#[derive(Clone, Debug)]
pub struct Cut {
    ranges: Vec<(usize, usize)>,
    fields: bool,
    bytes: bool,
    delimiter: char,
    only: bool,
    glue: Option<String>,
}

fn ranges(s: &str) -> Option<Vec<(usize, usize)>> {
    s.split(',')
        .map(|r| {
            let (a, b) = match r.split_once('-') {
                Some((a, b)) => {
                    if a.is_empty() && b.is_empty() {
                        return None;
                    }
                    let a = if a.is_empty() { 1 } else { a.parse().ok()? };
                    (a, if b.is_empty() { usize::MAX } else { b.parse().ok()? })
                }
                None => {
                    let n = r.parse().ok()?;
                    (n, n)
                }
            };
            (a >= 1 && a <= b).then_some((a, b))
        })
        .collect()
}

impl Filter for Cut {
    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let o = cx.options("b:c:f:d:sn", &[("output-delimiter", 'O')])?;
        let list = o.value('f').or(o.value('c')).or(o.value('b'));
        let Some(list) = list else {
            cx.err("expected a list of bytes, characters, or fields");
            return Err(1);
        };
        let Some(ranges) = ranges(list) else {
            let m = format!("invalid number '{list}'");
            cx.err(&m);
            return Err(1);
        };
        let delimiter = o.value('d').unwrap_or("\t").chars().next().unwrap_or('\t');
        let c = Cut {
            ranges,
            fields: o.has('f'),
            bytes: o.has('b'),
            delimiter,
            only: o.has('s'),
            glue: o.value('O').map(str::to_string),
        };
        Ok((c, o.rest))
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        let line = data.strip_suffix(b"\n").unwrap_or(data);
        let has = |i: usize| self.ranges.iter().any(|(a, b)| (*a..=*b).contains(&i));
        if self.fields {
            let text = String::from_utf8_lossy(line);
            if !text.contains(self.delimiter) {
                if !self.only {
                    io.out.put(1, line);
                    io.out.out("\n");
                }
                return More::Yes;
            }
            let parts: Vec<&str> =
                text.split(self.delimiter).enumerate().filter(|(i, _)| has(i + 1)).map(|(_, p)| p).collect();
            let glue = self.glue.clone().unwrap_or_else(|| self.delimiter.to_string());
            io.out.out(&format!("{}\n", parts.join(&glue)));
        } else if self.bytes {
            let out: Vec<u8> = line.iter().enumerate().filter(|(i, _)| has(i + 1)).map(|(_, b)| *b).collect();
            io.out.put(1, &out);
            io.out.out("\n");
        } else {
            let text = String::from_utf8_lossy(line);
            let out: String = text.chars().enumerate().filter(|(i, _)| has(i + 1)).map(|(_, c)| c).collect();
            io.out.out(&format!("{out}\n"));
        }
        More::Yes
    }

    fn end(&mut self, _: &mut Io, failed: bool) -> i32 {
        i32::from(failed)
    }
}

/// `tr`
#[derive(Clone, Debug)]
pub struct Tr {
    from: Vec<u8>,
    to: Vec<u8>,
    delete: bool,
    squeeze: Option<BTreeSet<u8>>,
    last: Option<u8>,
}

/// The characters of a set: ranges, classes, escapes.
fn set(s: &str) -> Vec<u8> {
    let (bytes, _) = crate::text::unescape(s, crate::text::Escapes::Printf);
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        if b == b'[' && bytes.get(i + 1) == Some(&b':') {
            let rest = String::from_utf8_lossy(bytes.get(i + 2..).unwrap_or_default()).into_owned();
            if let Some((name, _)) = rest.split_once(":]") {
                for (a, z) in crate::sh::pattern::class(name) {
                    out.extend((*a as u8)..=(*z as u8));
                }
                i += name.len() + 4;
                continue;
            }
        }
        match (bytes.get(i + 1), bytes.get(i + 2)) {
            (Some(b'-'), Some(&e)) if e >= b => {
                out.extend(b..=e);
                i += 3;
            }
            _ => {
                out.push(b);
                i += 1;
            }
        }
    }
    out
}

impl Filter for Tr {
    const LINES: bool = false;

    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let o = super::options::parse(cx.args, "+cCds", &[]).map_err(|m| {
            cx.err(&m);
            cx.usage()
        })?;
        let Some(first) = o.first() else { return Err(cx.usage()) };
        let mut from = set(first);
        if o.has('c') || o.has('C') {
            let have: BTreeSet<u8> = from.into_iter().collect();
            from = (0..=255).filter(|b| !have.contains(b)).collect();
        }
        let second = o.rest.get(1).map(|s| set(s));
        let mut to = second.clone().unwrap_or_default();
        if let Some(l) = to.last().copied() {
            to.resize(from.len().max(to.len()), l);
        }
        let squeeze = o.has('s').then(|| match (&second, o.has('d')) {
            (Some(s), _) => s.iter().copied().collect(),
            (None, _) => from.iter().copied().collect(),
        });
        Ok((Tr { from, to, delete: o.has('d'), squeeze, last: None }, Vec::new()))
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        let mut out = Vec::with_capacity(data.len());
        for b in data {
            let at = self.from.iter().rposition(|f| f == b);
            let c = match at {
                Some(_) if self.delete => continue,
                Some(i) if !self.to.is_empty() => self.to.get(i).copied().unwrap_or(*b),
                _ => *b,
            };
            if self.last == Some(c) && self.squeeze.as_ref().is_some_and(|s| s.contains(&c)) {
                continue;
            }
            self.last = Some(c);
            out.push(c);
        }
        io.out.put(1, &out);
        More::Yes
    }

    fn end(&mut self, _: &mut Io, _: bool) -> i32 {
        0
    }
}

#[derive(Clone, Debug, Default)]
struct Key {
    from: (usize, usize),
    to: Option<(usize, usize)>,
    numeric: bool,
    reverse: bool,
    fold: bool,
    blanks: bool,
    human: bool,
    version: bool,
}

fn key(spec: &str) -> Option<Key> {
    let mut k = Key::default();
    let part = |s: &str, k: &mut Key| -> Option<(usize, usize)> {
        let end = s.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(s.len());
        let (pos, flags) = s.split_at(end);
        for c in flags.chars() {
            match c {
                'n' | 'g' => k.numeric = true,
                'r' => k.reverse = true,
                'f' => k.fold = true,
                'b' => k.blanks = true,
                'h' => k.human = true,
                'V' => k.version = true,
                _ => return None,
            }
        }
        let (f, c) = pos.split_once('.').unwrap_or((pos, "0"));
        Some((f.parse().ok()?, c.parse().ok()?))
    };
    match spec.split_once(',') {
        Some((a, b)) => {
            k.from = part(a, &mut k)?;
            k.to = Some(part(b, &mut k)?);
        }
        None => k.from = part(spec, &mut k)?,
    }
    Some(k)
}

impl Key {
    fn slice<'a>(&self, line: &'a str, sep: Option<char>) -> &'a str {
        let fields: Vec<(usize, usize)> = match sep {
            Some(c) => {
                let mut v = Vec::new();
                let mut at = 0;
                for p in line.split(c) {
                    v.push((at, at + p.len()));
                    at += p.len() + c.len_utf8();
                }
                v
            }
            None => {
                // A field begins with the blanks before it.
                let (mut v, mut start, mut seen) = (Vec::new(), 0, false);
                for (i, c) in line.char_indices() {
                    if c.is_whitespace() && seen {
                        v.push((start, i));
                        start = i;
                        seen = false;
                    } else if !c.is_whitespace() {
                        seen = true;
                    }
                }
                v.push((start, line.len()));
                v
            }
        };
        let Some(first) = fields.get(self.from.0.saturating_sub(1)) else { return "" };
        let mut start = first.0;
        if self.blanks || self.numeric {
            let t = line.get(start..).unwrap_or_default();
            start += t.len() - t.trim_start().len();
        }
        start += self.from.1.saturating_sub(1);
        let end = match self.to {
            None => line.len(),
            Some((f, c)) => match fields.get(f.saturating_sub(1)) {
                None => line.len(),
                Some((a, b)) => {
                    if c == 0 {
                        *b
                    } else {
                        a + c
                    }
                }
            },
        };
        line.get(start.min(line.len())..end.min(line.len())).unwrap_or_default()
    }

    fn compare(&self, a: &str, b: &str) -> Ordering {
        let o = if self.human {
            human(a).total_cmp(&human(b))
        } else if self.numeric {
            number(a).total_cmp(&number(b))
        } else if self.version {
            version(a, b)
        } else if self.fold {
            a.to_uppercase().cmp(&b.to_uppercase())
        } else {
            a.cmp(b)
        };
        if self.reverse { o.reverse() } else { o }
    }
}

fn number(s: &str) -> f64 {
    let t = s.trim_start();
    let mut end = 0;
    for (i, c) in t.char_indices() {
        if c.is_ascii_digit() || c == '.' || i == 0 && c == '-' {
            end = i + 1;
        } else {
            break;
        }
    }
    t.get(..end).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

fn human(s: &str) -> f64 {
    let unit = s.trim().chars().find(|c| c.is_ascii_alphabetic()).map_or(' ', |c| c.to_ascii_uppercase());
    let m = match unit {
        'K' => 1e3,
        'M' => 1e6,
        'G' => 1e9,
        'T' => 1e12,
        _ => 1.0,
    };
    number(s) * m
}

/// Compares texts whose runs of digits count as numbers.
pub fn version(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let (p, q) = (x.chars().next(), y.chars().next());
        let (Some(p), Some(q)) = (p, q) else { return p.is_some().cmp(&q.is_some()) };
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let cut = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
            let ((m, r), (n, s)) = (x.split_at(cut(x)), y.split_at(cut(y)));
            let (m, n) = (m.trim_start_matches('0'), n.trim_start_matches('0'));
            let o = m.len().cmp(&n.len()).then(m.cmp(n));
            if o != Ordering::Equal {
                return o;
            }
            (x, y) = (r, s);
        } else {
            if p != q {
                return p.cmp(&q);
            }
            x = x.get(p.len_utf8()..).unwrap_or_default();
            y = y.get(q.len_utf8()..).unwrap_or_default();
        }
    }
}

/// `sort`
pub fn sort(cx: &mut Cx) -> Ran {
    let long = [
        ("reverse", 'r'),
        ("numeric-sort", 'n'),
        ("unique", 'u'),
        ("key", 'k'),
        ("field-separator", 't'),
        ("human-numeric-sort", 'h'),
        ("version-sort", 'V'),
    ];
    let o = match cx.options("nrugfbhVsck:t:o:zM", &long) {
        Ok(o) => o,
        Err(_) => return Ok(2),
    };
    let mut keys = Vec::new();
    for k in o.values('k').map(str::to_string).collect::<Vec<_>>() {
        match key(&k) {
            Some(k) => keys.push(k),
            None => {
                cx.err("bad field specification");
                return Ok(2);
            }
        }
    }
    let global = Key {
        from: (1, 0),
        numeric: o.has('n') || o.has('g'),
        reverse: o.has('r'),
        fold: o.has('f'),
        blanks: o.has('b'),
        human: o.has('h'),
        version: o.has('V'),
        to: None,
    };
    for k in &mut keys {
        if !(k.numeric || k.reverse || k.fold || k.blanks || k.human || k.version) {
            (k.numeric, k.reverse, k.fold, k.human, k.version) =
                (global.numeric, global.reverse, global.fold, global.human, global.version);
        }
    }
    if keys.is_empty() {
        keys.push(global.clone());
    }
    let sep = o.value('t').and_then(|t| t.chars().next());
    let (data, failed) = inputs(cx, &o.rest)?;
    if failed {
        return Ok(2);
    }
    let whole = o.value('k').is_none() && sep.is_none();
    let mut list: Vec<String> =
        lines(&data).iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect();
    let by_keys = |a: &String, b: &String| {
        keys.iter()
            .map(|k| if whole { k.compare(a, b) } else { k.compare(k.slice(a, sep), k.slice(b, sep)) })
            .find(|o| *o != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    };
    if o.has('c') {
        if let Some(w) = list.windows(2).find(|w| matches!(w, [a, b] if by_keys(a, b) == Ordering::Greater)) {
            let l = w.get(1).cloned().unwrap_or_default();
            cx.err(&format!("disorder: {l}"));
            return Ok(1);
        }
        return Ok(0);
    }
    let stable = o.has('s') || o.has('u');
    list.sort_by(|a, b| {
        let o = by_keys(a, b);
        if o != Ordering::Equal || stable {
            return o;
        }
        if global.reverse { b.cmp(a) } else { a.cmp(b) }
    });
    if o.has('u') {
        list.dedup_by(|a, b| by_keys(a, b) == Ordering::Equal);
    }
    let text: String = list.iter().flat_map(|l| [l.as_str(), "\n"]).collect();
    match o.value('o') {
        Some(f) => {
            if let Err(e) = io::write_file(cx.sys, f, text.as_bytes(), OpenFlags::WRITE, 0o666) {
                let f = f.to_string();
                cx.fail(&f, e);
                return Ok(2);
            }
        }
        None => cx.say(&text),
    }
    Ok(0)
}

/// `uniq`
pub fn uniq(cx: &mut Cx) -> Ran {
    let o = match cx.options("cdiuf:s:w:z", &[("count", 'c'), ("repeated", 'd'), ("unique", 'u')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let files: Vec<String> = o.rest.iter().take(1).cloned().collect();
    let (data, failed) = inputs(cx, &files)?;
    if failed {
        return Ok(1);
    }
    let number = |c| o.value(c).and_then(|v| v.parse::<usize>().ok());
    let norm = |l: &[u8]| {
        let t = String::from_utf8_lossy(l).into_owned();
        let mut t: String =
            t.chars().skip(number('s').unwrap_or(0)).take(number('w').unwrap_or(usize::MAX)).collect();
        if let Some(f) = number('f') {
            t = t.split_whitespace().skip(f).collect::<Vec<_>>().join(" ");
        }
        if o.has('i') { t.to_lowercase() } else { t }
    };
    let mut groups: Vec<(usize, &[u8], String)> = Vec::new();
    for l in lines(&data) {
        let n = norm(l);
        match groups.last_mut() {
            Some(g) if g.2 == n => g.0 += 1,
            _ => groups.push((1, l, n)),
        }
    }
    for (n, l, _) in groups {
        if o.has('d') && n == 1 || o.has('u') && n > 1 {
            continue;
        }
        if o.has('c') {
            cx.say(&format!("{n:7} "));
        }
        cx.out.put(1, l);
        cx.say("\n");
    }
    Ok(0)
}

/// `wc`
pub fn wc(cx: &mut Cx) -> Ran {
    let o = match cx.options("lwcmL", &[("lines", 'l'), ("words", 'w'), ("bytes", 'c'), ("chars", 'm')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let none = o.flags.is_empty();
    let files = if o.rest.is_empty() { vec!["-".to_string()] } else { o.rest.clone() };
    let mut total = [0usize; 5];
    let mut code = 0;
    let show = |cx: &mut Cx, n: &[usize; 5], name: &str| {
        let wanted = [none || o.has('l'), none || o.has('w'), o.has('m'), none || o.has('c'), o.has('L')];
        let many = wanted.iter().filter(|w| **w).count() > 1 || files.len() > 1;
        let cols: Vec<String> = n
            .iter()
            .zip(wanted)
            .filter(|(_, w)| *w)
            .map(|(n, _)| if many { format!("{n:9}") } else { n.to_string() })
            .collect();
        let gap = if name.is_empty() { "" } else { " " };
        cx.say(&format!("{}{gap}{name}\n", cols.join(" ")));
    };
    for f in &files {
        let data = match cx.input(f)? {
            Ok(d) => d,
            Err(e) => {
                cx.fail(f, e);
                code = 1;
                continue;
            }
        };
        let text = String::from_utf8_lossy(&data);
        let n = [
            data.iter().filter(|b| **b == b'\n').count(),
            text.split_whitespace().count(),
            text.chars().count(),
            data.len(),
            text.lines().map(|l| l.chars().count()).max().unwrap_or(0),
        ];
        for (t, n) in total.iter_mut().zip(n) {
            *t += n;
        }
        show(cx, &n, if f == "-" && o.rest.is_empty() { "" } else { f });
    }
    if files.len() > 1 {
        show(cx, &total, "total");
    }
    Ok(code)
}

/// `seq`
pub fn seq(cx: &mut Cx) -> Ran {
    // A leading minus may be a number's sign.
    let (mut sep, mut wide, mut nums) = ("\n".to_string(), false, Vec::new());
    let mut it = cx.args.iter();
    while let Some(a) = it.next() {
        match a.as_str() {
            "-w" => wide = true,
            "-s" => sep = it.next().cloned().unwrap_or_default(),
            s if s.starts_with("-s") => sep = s.get(2..).unwrap_or_default().to_string(),
            s => match s.parse::<f64>() {
                Ok(n) => nums.push((n, s.split_once('.').map_or(0, |f| f.1.len()))),
                Err(_) => {
                    cx.err(&format!("invalid number '{s}'"));
                    return Ok(1);
                }
            },
        }
    }
    let (first, step, last) = match nums.as_slice() {
        [(l, _)] => (1.0, 1.0, *l),
        [(f, _), (l, _)] => (*f, 1.0, *l),
        [(f, _), (s, _), (l, _)] => (*f, *s, *l),
        _ => return Ok(cx.usage()),
    };
    let digits = nums.iter().map(|n| n.1).max().unwrap_or(0);
    let width =
        if wide { format!("{last:.digits$}").len().max(format!("{first:.digits$}").len()) } else { 0 };
    let (mut out, mut i) = (String::new(), 0u32);
    loop {
        let v = first + step * f64::from(i);
        if step == 0.0 || step > 0.0 && v > last + step * 1e-9 || step < 0.0 && v < last + step * 1e-9 {
            break;
        }
        if i > 0 {
            out.push_str(&sep);
        }
        out.push_str(&format!("{v:0width$.digits$}"));
        i += 1;
        if out.len() > Limits::TABLE.file_bytes_max {
            break;
        }
    }
    if i > 0 {
        out.push('\n');
    }
    cx.say(&out);
    Ok(0)
}

/// `yes`
#[derive(Clone, Debug)]
pub struct Yes {
    line: Vec<u8>,
    at: usize,
}

/// The entry point of `yes`.
pub fn yes(argv: Vec<String>) -> Box<dyn Program> {
    let text = if argv.len() > 1 { argv.get(1..).unwrap_or_default().join(" ") } else { "y".into() };
    let one = format!("{text}\n").into_bytes();
    let line = one.iter().copied().cycle().take(one.len() * (4096 / one.len()).max(1)).collect();
    Box::new(Yes { line, at: 0 })
}

impl Program for Yes {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        match sys.write(STDOUT, self.line.get(self.at..).unwrap_or_default()) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(n)) => {
                self.at = (self.at + n) % self.line.len().max(1);
                Step::Continue
            }
            Poll::Ready(Err(_)) => Step::Exit(1),
        }
    }
    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// `fold`
pub fn fold(cx: &mut Cx) -> Ran {
    let o = match cx.options("bsw:", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let width = o.value('w').and_then(|w| w.parse().ok()).unwrap_or(80usize).max(1);
    let (data, failed) = inputs(cx, &o.rest)?;
    for l in lines(&data) {
        let chars: Vec<char> = String::from_utf8_lossy(l).chars().collect();
        let rows: Vec<String> = chars.chunks(width).map(|c| c.iter().collect()).collect();
        cx.say(&format!("{}\n", rows.join("\n")));
    }
    Ok(i32::from(failed))
}

/// `paste`
pub fn paste(cx: &mut Cx) -> Ran {
    let o = match cx.options("d:s", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let delimiter = o.value('d').unwrap_or("\t").to_string();
    let files = if o.rest.is_empty() { vec!["-".to_string()] } else { o.rest.clone() };
    let mut columns: Vec<Vec<String>> = Vec::new();
    let shared = files.iter().filter(|f| *f == "-").count();
    let mut turn = 0;
    for f in &files {
        match cx.input(f)? {
            Ok(d) => {
                let all = lines(&d);
                let text = all.iter().map(|l| String::from_utf8_lossy(l).into_owned());
                if f == "-" {
                    // Several columns of standard input take its lines in turn.
                    columns.push(text.skip(turn).step_by(shared).collect());
                    turn += 1;
                } else {
                    columns.push(text.collect());
                }
            }
            Err(e) => {
                cx.fail(f, e);
                return Ok(1);
            }
        }
    }
    if o.has('s') {
        for c in columns {
            cx.say(&format!("{}\n", c.join(&delimiter)));
        }
        return Ok(0);
    }
    for i in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
        let row: Vec<&str> = columns.iter().map(|c| c.get(i).map_or("", String::as_str)).collect();
        cx.say(&format!("{}\n", row.join(&delimiter)));
    }
    Ok(0)
}
