//! `grep`, `egrep`, `fgrep`

use super::filter::{Filter, Io, More};
use super::once::Cx;
use crate::regex::Regex;
use crate::sys::Sys;
use crate::{Errno, fs, io};
use std::collections::VecDeque;

/// `grep`
#[derive(Clone, Debug)]
pub struct Grep {
    patterns: Vec<Regex>,
    invert: bool,
    count: bool,
    number: bool,
    only: bool,
    quiet: bool,
    list: Option<bool>,
    word: bool,
    line: bool,
    silent: bool,
    names: bool,
    max: u64,
    before: usize,
    after: usize,
    file: String,
    at: u64,
    hits: u64,
    any: bool,
    failed: bool,
    kept: VecDeque<(u64, Vec<u8>)>,
    trailing: usize,
    last_shown: u64,
    context_shown: bool,
}

impl Grep {
    fn find(&self, text: &str) -> Option<(usize, usize)> {
        self.patterns.iter().filter_map(|r| self.one(r, text)).min_by_key(|m| (m.0, usize::MAX - m.1))
    }

    fn one(&self, r: &Regex, text: &str) -> Option<(usize, usize)> {
        let mut from = 0;
        loop {
            let (a, b) = (*r.find(text, from)?.first()?)?;
            let edge = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
            let before = text.get(..a).and_then(|t| t.chars().next_back());
            let after = text.get(b..).and_then(|t| t.chars().next());
            let fits =
                !(self.word && !(edge(before) && edge(after))) && !(self.line && (a != 0 || b != text.len()));
            if fits {
                return Some((a, b));
            }
            from = a + text.get(a..)?.chars().next()?.len_utf8();
        }
    }

    fn prefix(&self, n: u64, sep: char) -> String {
        let mut s = String::new();
        if self.names {
            s.push_str(&self.file);
            s.push(sep);
        }
        if self.number {
            s.push_str(&format!("{n}{sep}"));
        }
        s
    }

    fn show(&mut self, io: &mut Io, n: u64, line: &[u8], sep: char) {
        let has_context = self.before + self.after > 0;
        if has_context && self.context_shown && n > self.last_shown + 1 {
            io.out.out("--\n");
        }
        let p = self.prefix(n, sep);
        io.out.out(&p);
        io.out.put(1, line);
        io.out.out("\n");
        self.last_shown = n;
        self.context_shown = true;
    }

    fn show_only(&self, io: &mut Io, text: &str) {
        let mut from = 0;
        while let Some(rest) = text.get(from..) {
            let found = self.patterns.iter().filter_map(|r| {
                let m = (*r.find(text, from)?.first()?)?;
                self.one(r, text).map(|_| m)
            });
            let Some((a, b)) = found.min_by_key(|m| (m.0, usize::MAX - m.1)) else { break };
            if b > a {
                io.out.out(&format!("{}{}\n", self.prefix(self.at, ':'), text.get(a..b).unwrap_or_default()));
            }
            let step = text.get(b..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8);
            from = if b > a { b } else { b + step };
            if rest.is_empty() {
                break;
            }
        }
    }
}

fn files_below(sys: &mut dyn Sys, path: &str, out: &mut Vec<String>) {
    let mut todo = vec![path.to_string()];
    while let Some(p) = todo.pop() {
        if out.len() > super::files::WALK_MAX {
            return;
        }
        match sys.lstat(&p) {
            Ok(s) if s.is_dir() => {
                if let Ok(list) = sys.readdir(&p) {
                    todo.extend(list.iter().rev().map(|e| fs::join(&p, &e.name)));
                }
            }
            Ok(s) if s.is_file() || p == path => out.push(p),
            Ok(_) => {}
            Err(_) => out.push(p),
        }
    }
}

impl Filter for Grep {
    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let long = [
            ("ignore-case", 'i'),
            ("invert-match", 'v'),
            ("count", 'c'),
            ("line-number", 'n'),
            ("extended-regexp", 'E'),
            ("fixed-strings", 'F'),
            ("only-matching", 'o'),
            ("quiet", 'q'),
            ("silent", 'q'),
            ("recursive", 'r'),
            ("files-with-matches", 'l'),
            ("word-regexp", 'w'),
            ("line-regexp", 'x'),
            ("max-count", 'm'),
            ("after-context", 'A'),
            ("before-context", 'B'),
            ("context", 'C'),
            ("regexp", 'e'),
            ("no-filename", 'h'),
            ("color", 'k'),
        ];
        let mut o = cx.options("ivcnEFoqrRlLwxhHsm:A:B:C:e:f:zaP", &long).map_err(|_| 2)?;
        let mut texts: Vec<String> = o.values('e').map(str::to_string).collect();
        if let Some(f) = o.value('f').map(str::to_string) {
            match io::read_text(cx.sys, &f) {
                Ok(t) => texts.extend(t.lines().map(str::to_string)),
                Err(e) => {
                    cx.fail(&f, e);
                    return Err(2);
                }
            }
        } else if texts.is_empty() {
            if o.rest.is_empty() {
                cx.usage();
                return Err(2);
            }
            texts.push(o.rest.remove(0));
        }
        let extended = o.has('E') || o.has('P') || cx.name == "egrep";
        let fixed = o.has('F') || cx.name == "fgrep";
        let mut patterns = Vec::new();
        for t in texts.iter().flat_map(|t| t.split('\n')) {
            if fixed {
                patterns.push(Regex::fixed(t, o.has('i')));
            } else {
                match Regex::new(t, extended, o.has('i')) {
                    Ok(r) => patterns.push(r),
                    Err(_) => {
                        cx.err(&format!("bad regex '{t}'"));
                        return Err(2);
                    }
                }
            }
        }
        let recursive = o.has('r') || o.has('R');
        let mut files = o.rest.clone();
        if recursive {
            files.clear();
            let roots = if o.rest.is_empty() { vec![".".to_string()] } else { o.rest.clone() };
            for r in &roots {
                files_below(cx.sys, r, &mut files);
            }
            if o.rest.is_empty() {
                for f in &mut files {
                    *f = f.strip_prefix("./").unwrap_or(f).to_string();
                }
            }
        }
        let context = |c: char| o.value(c).or(o.value('C')).and_then(|v| v.parse().ok()).unwrap_or(0);
        let g = Grep {
            patterns,
            invert: o.has('v'),
            count: o.has('c'),
            number: o.has('n'),
            only: o.has('o'),
            quiet: o.has('q'),
            list: if o.has('l') { Some(true) } else { o.has('L').then_some(false) },
            word: o.has('w'),
            line: o.has('x'),
            silent: o.has('s'),
            names: o.has('H') || !o.has('h') && (files.len() > 1 || recursive),
            max: o.value('m').and_then(|v| v.parse().ok()).unwrap_or(u64::MAX),
            before: context('B'),
            after: context('A'),
            file: String::new(),
            at: 0,
            hits: 0,
            any: false,
            failed: false,
            kept: VecDeque::new(),
            trailing: 0,
            last_shown: 0,
            context_shown: false,
        };
        Ok((g, files))
    }

    fn open(&mut self, _: &mut Io, name: &str) {
        self.file = if name == "-" { "(standard input)".into() } else { name.into() };
        (self.at, self.hits, self.trailing, self.last_shown) = (0, 0, 0, 0);
        self.kept.clear();
    }

    fn failed(&mut self, io: &mut Io, name: &str, e: Errno) {
        if e == Errno::EISDIR {
            return;
        }
        self.failed = true;
        if !self.silent {
            io.err(&format!("{name}: {e}"));
        }
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        self.at += 1;
        let line = data.strip_suffix(b"\n").unwrap_or(data);
        let text = String::from_utf8_lossy(line).into_owned();
        let hit = self.find(&text).is_some() != self.invert;
        if !hit {
            if self.trailing > 0 {
                self.trailing -= 1;
                let n = self.at;
                self.show(io, n, line, '-');
            } else if self.before > 0 {
                self.kept.push_back((self.at, line.to_vec()));
                if self.kept.len() > self.before {
                    self.kept.pop_front();
                }
            }
            return More::Yes;
        }
        self.hits += 1;
        self.any = true;
        if self.quiet {
            return More::No;
        }
        if self.list.is_some() {
            return More::NextFile;
        }
        if !self.count {
            if self.only {
                if !self.invert {
                    self.show_only(io, &text);
                }
            } else {
                for (n, l) in core::mem::take(&mut self.kept) {
                    self.show(io, n, &l, '-');
                }
                let n = self.at;
                self.show(io, n, line, ':');
                self.trailing = self.after;
            }
        }
        if self.hits >= self.max { More::NextFile } else { More::Yes }
    }

    fn close(&mut self, io: &mut Io, _: &str) {
        if let Some(with) = self.list {
            if (self.hits > 0) == with {
                io.out.out(&format!("{}\n", self.file));
            }
        } else if self.count && !self.quiet {
            let p = if self.names { format!("{}:", self.file) } else { String::new() };
            io.out.out(&format!("{p}{}\n", self.hits));
        }
    }

    fn end(&mut self, _: &mut Io, _: bool) -> i32 {
        if self.quiet && self.any {
            0
        } else if self.failed {
            2
        } else {
            i32::from(!self.any)
        }
    }
}
