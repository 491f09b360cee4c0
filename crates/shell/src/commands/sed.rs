//! `sed`

use super::filter::{Filter, Io, More};
use super::once::Cx;
use crate::io;
use crate::regex::Regex;
use crate::sys::OpenFlags;
use sim::Limits;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Addr {
    Line(u64),
    Last,
    Re(Regex),
    Step(u64, u64),
}

#[derive(Clone, Debug)]
struct Command {
    from: Option<Addr>,
    to: Option<Addr>,
    plus: Option<u64>,
    negate: bool,
    /// In its range, which ends at that line if known.
    active: Option<Option<u64>>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Block(usize),
    End,
    Label(String),
    Branch(Option<String>, bool, bool),
    Subst { re: Regex, with: Vec<Piece>, global: bool, nth: usize, print: bool, file: Option<String> },
    Map(Vec<(char, char)>),
    Text(char, String),
    Simple(char),
    File(char, String),
    Quit(char, i32),
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(usize),
    Case(char),
}

/// `sed`
#[derive(Clone, Debug)]
pub struct Sed {
    commands: Vec<Command>,
    quiet: bool,
    needs_last: bool,
    files_left: usize,
    line: u64,
    space: String,
    hold: String,
    newline: bool,
    appended: Vec<String>,
    queue: VecDeque<Vec<u8>>,
    code: i32,
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    extended: bool,
    last: Option<Regex>,
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn blanks(&mut self, more: &str) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t' || more.contains(c)) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Option<u64> {
        let n = self.chars.iter().skip(self.at).take_while(|c| c.is_ascii_digit()).count();
        let s: String = self.chars.iter().skip(self.at).take(n).collect();
        self.at += n;
        s.parse().ok()
    }

    /// Text up to an unescaped delimiter; in a regular expression, not within brackets.
    fn until(&mut self, delim: char, regex: bool) -> Parsed<String> {
        let mut s = String::new();
        let mut set = 0;
        loop {
            let Some(c) = self.peek() else { return Err(format!("unmatched '{delim}'")) };
            self.at += 1;
            if c == delim && set == 0 {
                return Ok(s);
            }
            if c == '\\' {
                let Some(n) = self.peek() else { return Err(format!("unmatched '{delim}'")) };
                self.at += 1;
                if n == delim && !(regex && "()|{}+?*.[]^$".contains(n)) {
                    s.push(n);
                } else {
                    s.push('\\');
                    s.push(n);
                }
                continue;
            }
            if regex {
                match c {
                    '[' if set == 0 => set = self.at,
                    ']' if set > 0 && self.at > set + 1 => set = 0,
                    _ => {}
                }
            }
            s.push(c);
        }
    }

    fn regex(&mut self, text: &str, fold: bool) -> Parsed<Regex> {
        if text.is_empty() {
            return self.last.clone().ok_or_else(|| "no previous regexp".into());
        }
        let r = Regex::new(text, self.extended, fold).map_err(|e| format!("bad regex '{text}': {e}"))?;
        self.last = Some(r.clone());
        Ok(r)
    }

    fn addr(&mut self) -> Parsed<Option<Addr>> {
        Ok(match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                let n = self.number().unwrap_or(0);
                if self.peek() == Some('~') {
                    self.at += 1;
                    let step = self.number().unwrap_or(0);
                    Some(Addr::Step(n, step))
                } else {
                    Some(Addr::Line(n))
                }
            }
            Some('$') => {
                self.at += 1;
                Some(Addr::Last)
            }
            Some(c @ ('/' | '\\')) => {
                self.at += 1;
                let mut delim = c;
                if c == '\\' {
                    delim = self.peek().unwrap_or('/');
                    self.at += 1;
                }
                let t = self.until(delim, true)?;
                let fold = self.peek() == Some('I');
                self.at += usize::from(fold);
                Some(Addr::Re(self.regex(&t, fold)?))
            }
            _ => None,
        })
    }

    fn rest_of_line(&mut self) -> String {
        let mut s = String::new();
        while let Some(c) = self.peek() {
            if c == '\n' {
                break;
            }
            s.push(c);
            self.at += 1;
        }
        s.trim().to_string()
    }

    fn label(&mut self) -> String {
        self.blanks("");
        let mut s = String::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '\n' | ';' | '}')) {
            s.push(c);
            self.at += 1;
        }
        s.trim().to_string()
    }

    /// The text of `a`, `i`, `c`.
    fn text(&mut self) -> String {
        self.blanks("");
        if self.peek() == Some('\\') {
            self.at += 1;
            self.blanks("");
            if self.peek() == Some('\n') {
                self.at += 1;
            }
        }
        let mut s = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '\\' => {
                    if let Some(n) = self.peek() {
                        s.push(n);
                        self.at += 1;
                    }
                }
                '\n' => break,
                c => s.push(c),
            }
        }
        s.push('\n');
        s
    }

    fn subst(&mut self) -> Parsed<Kind> {
        let Some(delim) = self.peek() else { return Err("bad option in substitution expression".into()) };
        self.at += 1;
        let pattern = self.until(delim, true)?;
        let with = self.until(delim, false)?;
        let (mut global, mut nth, mut print, mut fold, mut file) = (false, 1, false, false, None);
        loop {
            match self.peek() {
                Some('g') => global = true,
                Some('p') => print = true,
                Some('i' | 'I') => fold = true,
                Some('w') => {
                    self.at += 1;
                    file = Some(self.rest_of_line());
                    break;
                }
                Some(c) if c.is_ascii_digit() => {
                    nth = self.number().unwrap_or(1).max(1) as usize;
                    continue;
                }
                None | Some('\n' | ';' | '}' | ' ' | '\t' | '#') => break,
                Some(_) => return Err("bad option in substitution expression".into()),
            }
            self.at += 1;
        }
        let re = self.regex(&pattern, fold)?;
        Ok(Kind::Subst { re, with: pieces(&with), global, nth, print, file })
    }

    fn script(&mut self) -> Parsed<Vec<Command>> {
        let mut out: Vec<Command> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        loop {
            self.blanks("\n;");
            let Some(c) = self.peek() else { break };
            if c == '#' {
                self.rest_of_line();
                continue;
            }
            let from = self.addr()?;
            self.blanks("");
            let (mut to, mut plus) = (None, None);
            if from.is_some() && self.peek() == Some(',') {
                self.at += 1;
                self.blanks("");
                if self.peek() == Some('+') {
                    self.at += 1;
                    plus = self.number();
                } else {
                    to = self.addr()?;
                    if to.is_none() {
                        return Err("no address after comma".into());
                    }
                }
            }
            self.blanks("");
            let mut negate = false;
            while self.peek() == Some('!') {
                negate = true;
                self.at += 1;
                self.blanks("");
            }
            let Some(c) = self.peek() else { return Err("missing command".into()) };
            self.at += 1;
            let kind = match c {
                '{' => {
                    open.push(out.len());
                    Kind::Block(0)
                }
                '}' => {
                    let Some(at) = open.pop() else { return Err("unexpected '}'".into()) };
                    let end = out.len();
                    if let Some(b) = out.get_mut(at) {
                        b.kind = Kind::Block(end);
                    }
                    Kind::End
                }
                ':' => Kind::Label(self.label()),
                'b' | 't' | 'T' => {
                    let l = self.label();
                    Kind::Branch((!l.is_empty()).then_some(l), c != 'b', c == 't')
                }
                's' => self.subst()?,
                'y' => {
                    let Some(d) = self.peek() else { return Err("missing command".into()) };
                    self.at += 1;
                    let a = unescape(&self.until(d, false)?);
                    let b = unescape(&self.until(d, false)?);
                    if a.chars().count() != b.chars().count() {
                        return Err("strings for 'y' command are different lengths".into());
                    }
                    Kind::Map(a.chars().zip(b.chars()).collect())
                }
                'a' | 'i' | 'c' => Kind::Text(c, self.text()),
                'r' | 'w' => Kind::File(c, self.rest_of_line()),
                'q' | 'Q' => {
                    self.blanks("");
                    Kind::Quit(c, self.number().unwrap_or(0) as i32)
                }
                'd' | 'D' | 'p' | 'P' | '=' | 'n' | 'N' | 'g' | 'G' | 'h' | 'H' | 'x' | 'l' => {
                    Kind::Simple(c)
                }
                c => return Err(format!("unsupported command {c}")),
            };
            out.push(Command { from, to, plus, negate, active: None, kind });
            if out.len() > Limits::TABLE.steps_per_turn_max {
                return Err("script too long".into());
            }
        }
        if open.is_empty() { Ok(out) } else { Err("unterminated {".into()) }
    }
}

fn unescape(s: &str) -> String {
    let mut out = String::new();
    let mut it = s.chars();
    while let Some(c) = it.next() {
        match c {
            '\\' => match it.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

fn pieces(s: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut text = String::new();
    let mut it = s.chars();
    while let Some(c) = it.next() {
        let special = match c {
            '&' => Some(Piece::Group(0)),
            '\\' => match it.next() {
                Some(d @ '0'..='9') => Some(Piece::Group(d as usize - '0' as usize)),
                Some('n') => {
                    text.push('\n');
                    None
                }
                Some('t') => {
                    text.push('\t');
                    None
                }
                Some(c @ ('U' | 'L' | 'E' | 'u' | 'l')) => Some(Piece::Case(c)),
                Some(c) => {
                    text.push(c);
                    None
                }
                None => None,
            },
            c => {
                text.push(c);
                None
            }
        };
        if let Some(p) = special {
            if !text.is_empty() {
                out.push(Piece::Text(core::mem::take(&mut text)));
            }
            out.push(p);
        }
    }
    if !text.is_empty() {
        out.push(Piece::Text(text));
    }
    out
}

/// What a cycle ends with.
enum Cycle {
    Next,
    Quit,
}

impl Sed {
    fn parse(scripts: &[String], extended: bool) -> Parsed<Vec<Command>> {
        let chars: Vec<char> = scripts.join("\n").chars().collect();
        Parser { chars: &chars, at: 0, extended, last: None }.script()
    }

    fn matches(&self, a: &Addr, last: bool) -> bool {
        match a {
            Addr::Line(n) => *n == self.line,
            Addr::Last => last,
            Addr::Re(r) => r.find(&self.space, 0).is_some(),
            Addr::Step(first, step) => {
                self.line >= *first
                    && if *step == 0 {
                        self.line == *first
                    } else {
                        (self.line - first).is_multiple_of(*step)
                    }
            }
        }
    }

    fn selected(&mut self, i: usize, last: bool) -> bool {
        let Some(c) = self.commands.get(i).cloned() else { return false };
        let hit = match (&c.from, &c.to, c.plus) {
            (None, ..) => true,
            (Some(a), None, None) => self.matches(a, last),
            (Some(a), to, plus) => {
                let mut active = c.active;
                let inside = if let Some(end) = active {
                    let ends = match (end, to) {
                        (Some(n), _) => self.line >= n,
                        (None, Some(t)) => self.matches(t, last),
                        (None, None) => true,
                    };
                    if ends {
                        active = None;
                    }
                    // A line number already passed ends the range before this line.
                    !matches!((end, to), (Some(n), _) if self.line > n)
                } else if self.matches(a, last) {
                    let end = match (to, plus) {
                        (Some(Addr::Line(n)), _) => Some(*n),
                        (_, Some(n)) => Some(self.line + n),
                        _ => None,
                    };
                    active = match end {
                        Some(n) if n <= self.line => None,
                        e => Some(e),
                    };
                    true
                } else {
                    false
                };
                if let Some(c) = self.commands.get_mut(i) {
                    c.active = active;
                }
                inside
            }
        };
        hit != c.negate
    }

    fn substitute(&mut self, re: &Regex, with: &[Piece], global: bool, nth: usize) -> bool {
        let text = self.space.clone();
        let (mut out, mut from, mut copied, mut count, mut done) = (String::new(), 0, 0, 0, false);
        while from <= text.len() {
            let Some(g) = re.find(&text, from) else { break };
            let Some((a, b)) = g.first().copied().flatten() else { break };
            count += 1;
            if count >= nth {
                out.push_str(text.get(copied..a).unwrap_or_default());
                let mut case = 'E';
                for p in with {
                    let s = match p {
                        Piece::Text(t) => t.as_str(),
                        Piece::Group(n) => {
                            g.get(*n).copied().flatten().and_then(|(a, b)| text.get(a..b)).unwrap_or_default()
                        }
                        Piece::Case(c) => {
                            case = *c;
                            continue;
                        }
                    };
                    match case {
                        'U' => out.push_str(&s.to_uppercase()),
                        'L' => out.push_str(&s.to_lowercase()),
                        'u' | 'l' => {
                            let mut ch = s.chars();
                            if let Some(f) = ch.next() {
                                if case == 'u' {
                                    out.extend(f.to_uppercase())
                                } else {
                                    out.extend(f.to_lowercase())
                                }
                                case = 'E';
                            }
                            out.push_str(ch.as_str());
                        }
                        _ => out.push_str(s),
                    }
                }
                copied = b;
                done = true;
            }
            from = if b > a {
                b
            } else {
                b + text.get(b..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8)
            };
            if done && !global || out.len() > Limits::TABLE.file_bytes_max {
                break;
            }
        }
        if done {
            out.push_str(text.get(copied..).unwrap_or_default());
            self.space = out;
        }
        done
    }

    fn print(&self, io: &mut Io, text: &str) {
        io.out.out(text);
        io.out.out("\n");
    }

    fn end_cycle(&mut self, io: &mut Io, print: bool) {
        if print && !self.quiet {
            io.out.out(&self.space);
            if self.newline {
                io.out.out("\n");
            }
        }
        for a in core::mem::take(&mut self.appended) {
            io.out.out(&a);
        }
    }

    /// Runs the script on a line.
    fn cycle(&mut self, io: &mut Io, data: &[u8]) -> Cycle {
        let mut keep = false;
        // `D` starts over without reading; each turn takes a line off, so this ends.
        for _ in 0..Limits::TABLE.steps_per_turn_max {
            if !keep {
                self.line += 1;
                self.newline = data.last() == Some(&b'\n');
                self.space = String::from_utf8_lossy(data.strip_suffix(b"\n").unwrap_or(data)).into_owned();
            }
            match self.run(io) {
                Flow::End(print) => {
                    self.end_cycle(io, print);
                    return Cycle::Next;
                }
                Flow::Quit(print) => {
                    self.end_cycle(io, print);
                    return Cycle::Quit;
                }
                Flow::Again => keep = true,
            }
        }
        Cycle::Next
    }

    fn run(&mut self, io: &mut Io) -> Flow {
        let (mut pc, mut changed) = (0, false);
        for _ in 0..Limits::TABLE.steps_per_turn_max * 100 {
            let Some(c) = self.commands.get(pc).cloned() else { return Flow::End(true) };
            let selected = self.selected(pc, self.needs_last && self.queue.is_empty());
            pc += 1;
            if !selected {
                if let Kind::Block(end) = c.kind {
                    pc = end + 1;
                }
                continue;
            }
            match c.kind {
                Kind::Block(_) | Kind::End | Kind::Label(_) => {}
                Kind::Branch(label, conditional, want) => {
                    let jump = !conditional || changed == want;
                    if conditional {
                        changed = false;
                    }
                    if jump {
                        pc = match label {
                            None => self.commands.len(),
                            Some(l) => self
                                .commands
                                .iter()
                                .position(|c| matches!(&c.kind, Kind::Label(x) if *x == l))
                                .unwrap_or(self.commands.len()),
                        };
                    }
                }
                Kind::Subst { re, with, global, nth, print, file } => {
                    if self.substitute(&re, &with, global, nth) {
                        changed = true;
                        if print {
                            let s = self.space.clone();
                            self.print(io, &s);
                        }
                        if let Some(f) = file {
                            self.write(io, &f);
                        }
                    }
                }
                Kind::Map(map) => {
                    self.space = self
                        .space
                        .chars()
                        .map(|c| map.iter().find(|m| m.0 == c).map_or(c, |m| m.1))
                        .collect();
                }
                Kind::Text('a', t) => self.appended.push(t),
                Kind::Text('i', t) => io.out.out(&t),
                Kind::Text(_, t) => {
                    let range_goes_on = self.commands.get(pc - 1).is_some_and(|c| c.active.is_some());
                    if !range_goes_on {
                        io.out.out(&t);
                    }
                    return Flow::End(false);
                }
                Kind::File('r', f) => {
                    if let Ok(t) = io::read_text(io.sys, &f) {
                        self.appended.push(t);
                    }
                }
                Kind::File(_, f) => self.write(io, &f),
                Kind::Quit(c, code) => {
                    self.code = code;
                    return Flow::Quit(c == 'q');
                }
                Kind::Simple(c) => {
                    if let Some(f) = self.simple(io, c) {
                        return f;
                    }
                }
            }
        }
        Flow::End(true)
    }

    fn write(&mut self, io: &mut Io, file: &str) {
        let line = format!("{}\n", self.space);
        match file {
            "/dev/stdout" => io.out.out(&line),
            "/dev/stderr" => io.out.err(&line),
            f => {
                if let Err(e) = io::write_file(io.sys, f, line.as_bytes(), OpenFlags::APPEND, 0o666) {
                    io.err(&format!("{f}: {e}"));
                }
            }
        }
    }

    fn simple(&mut self, io: &mut Io, c: char) -> Option<Flow> {
        match c {
            'd' => return Some(Flow::End(false)),
            'D' => match self.space.find('\n') {
                Some(i) => {
                    self.space.drain(..=i);
                    return Some(Flow::Again);
                }
                None => return Some(Flow::End(false)),
            },
            'p' => {
                let s = self.space.clone();
                self.print(io, &s);
            }
            'P' => {
                let s = self.space.split('\n').next().unwrap_or_default().to_string();
                self.print(io, &s);
            }
            '=' => io.out.out(&format!("{}\n", self.line)),
            'l' => {
                let s = format!("{}$", self.space.escape_default());
                self.print(io, &s);
            }
            'g' => self.space = self.hold.clone(),
            'G' => {
                self.space.push('\n');
                let h = self.hold.clone();
                self.space.push_str(&h);
            }
            'h' => self.hold = self.space.clone(),
            'H' => {
                self.hold.push('\n');
                let s = self.space.clone();
                self.hold.push_str(&s);
            }
            'x' => core::mem::swap(&mut self.space, &mut self.hold),
            'n' | 'N' => match self.queue.pop_front() {
                Some(d) => {
                    if c == 'n' {
                        self.end_cycle(io, true);
                        self.space.clear();
                    } else {
                        self.space.push('\n');
                    }
                    self.line += 1;
                    self.newline = d.last() == Some(&b'\n');
                    self.space.push_str(&String::from_utf8_lossy(d.strip_suffix(b"\n").unwrap_or(&d)));
                }
                None => return Some(Flow::Quit(true)),
            },
            _ => {}
        }
        None
    }

    /// Runs over whole lines that are all there.
    fn all(&mut self, io: &mut Io) -> More {
        while let Some(d) = self.queue.pop_front() {
            if matches!(self.cycle(io, &d), Cycle::Quit) {
                return More::No;
            }
        }
        More::Yes
    }
}

enum Flow {
    End(bool),
    Quit(bool),
    Again,
}

impl Filter for Sed {
    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let long = [
            ("expression", 'e'),
            ("quiet", 'n'),
            ("silent", 'n'),
            ("regexp-extended", 'E'),
            ("in-place", 'i'),
        ];
        // `-i` may have a suffix glued to it, which is not used.
        let args: Vec<String> = cx
            .args
            .iter()
            .map(|a| if a.starts_with("-i") && !a.starts_with("--") { "-i".into() } else { a.clone() })
            .collect();
        let mut o = super::options::parse(&args, "ne:f:Eriusz", &long).map_err(|m| {
            cx.err(&m);
            cx.usage()
        })?;
        let mut scripts: Vec<String> = o.values('e').map(str::to_string).collect();
        if let Some(f) = o.value('f').map(str::to_string) {
            match io::read_text(cx.sys, &f) {
                Ok(t) => scripts.push(t),
                Err(e) => {
                    cx.fail(&f, e);
                    return Err(1);
                }
            }
        }
        if scripts.is_empty() {
            if o.rest.is_empty() {
                return Err(cx.usage());
            }
            scripts.push(o.rest.remove(0));
        }
        let commands = Sed::parse(&scripts, o.has('E') || o.has('r')).map_err(|m| {
            cx.err(&m);
            1
        })?;
        let needs_last = commands.iter().any(|c| {
            matches!(c.from, Some(Addr::Last))
                || matches!(c.to, Some(Addr::Last))
                || matches!(c.kind, Kind::Simple('n' | 'N'))
        });
        let mut s = Sed {
            commands,
            quiet: o.has('n'),
            needs_last,
            files_left: o.rest.len().max(1),
            line: 0,
            space: String::new(),
            hold: String::new(),
            newline: true,
            appended: Vec::new(),
            queue: VecDeque::new(),
            code: 0,
        };
        if !o.has('i') {
            return Ok((s, o.rest));
        }
        let mut code = 0;
        for f in &o.rest {
            match io::read_file(cx.sys, f) {
                Ok(d) => {
                    let mode = cx.sys.stat(f).map_or(0o644, |s| s.mode);
                    let mut one = s.clone();
                    one.needs_last = true;
                    one.queue = d.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                    let mut out = crate::io::Output::default();
                    let name = cx.name.to_string();
                    if one.all(&mut Io { sys: cx.sys, out: &mut out, name: &name }) == More::No {
                        // The rest of the file stays as it is.
                        for d in one.queue {
                            out.put(1, &d);
                        }
                    }
                    let r = io::write_file(cx.sys, f, &out.bytes(1), OpenFlags::WRITE, mode);
                    if let Err(e) = r {
                        cx.fail(f, e);
                        code = 4;
                    }
                }
                Err(e) => {
                    cx.fail(f, e);
                    code = 1;
                }
            }
        }
        s.code = code;
        Err(code)
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        if self.needs_last {
            self.queue.push_back(data.to_vec());
            return More::Yes;
        }
        match self.cycle(io, data) {
            Cycle::Quit => More::No,
            Cycle::Next => More::Yes,
        }
    }

    fn close(&mut self, io: &mut Io, _: &str) {
        self.files_left = self.files_left.saturating_sub(1);
        if self.files_left == 0 && self.needs_last {
            self.all(io);
        }
    }

    fn end(&mut self, io: &mut Io, failed: bool) -> i32 {
        if self.needs_last {
            self.all(io);
        }
        if failed { 1 } else { self.code }
    }
}
