//! `sed`

mod parse;

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

/// What a cycle ends with.
enum Cycle {
    Next,
    Quit,
}

impl Sed {
    fn parse(scripts: &[String], extended: bool) -> Result<Vec<Command>, String> {
        let chars: Vec<char> = scripts.join("\n").chars().collect();
        parse::Parser { chars: &chars, at: 0, extended, last: None }.script()
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
