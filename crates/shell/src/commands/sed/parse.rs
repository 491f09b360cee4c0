//! The script of `sed`.

use super::{Addr, Command, Kind, Piece};
use crate::regex::Regex;
use sim::Limits;

pub(super) struct Parser<'a> {
    pub chars: &'a [char],
    pub at: usize,
    pub extended: bool,
    pub last: Option<Regex>,
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

    pub fn script(&mut self) -> Parsed<Vec<Command>> {
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
