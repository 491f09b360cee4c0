//! The shell's grammar: characters in, one complete command at a time out.
//!
//! Models: busybox ash's texts of syntax errors.

use super::ast::*;
use sim::Limits;
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// Why a command could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text ends too early; the message is for the case that no more comes.
    Incomplete(String),
    /// It can't be right.
    Syntax(String),
}

type Parsed<T> = Result<T, Fault>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tok {
    Word(Word),
    Op(&'static str),
    Number(i32),
    Newline,
    End,
}

const OPS: [&str; 20] = [
    "&&", "||", ";;", "<<<", "<<-", "<<", ">>", "<&", ">&", "<>", ">|", "&>", "&", "|", ";", "(", ")", "<",
    ">", "\n",
];

const RESERVED: [&str; 15] = [
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "{", "}", "!",
];

/// Whether a word has a meaning of its own at the beginning of a command.
pub fn is_reserved(w: &str) -> bool {
    RESERVED.contains(&w) || matches!(w, "in" | "function" | "[[")
}

struct Here {
    cell: Arc<OnceLock<Word>>,
    end: String,
    tabs: bool,
    quoted: bool,
}

/// A parser over a text, from a position on.
pub struct Parser<'a> {
    text: &'a [char],
    pos: usize,
    line: u32,
    depth: usize,
    peeked: Option<(Tok, usize)>,
    heres: Vec<Here>,
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a text is a variable's name.
pub fn is_name(s: &str) -> bool {
    s.starts_with(is_name_start) && s.chars().all(is_name_char)
}

fn syntax<T>(m: impl Into<String>) -> Parsed<T> {
    Err(Fault::Syntax(m.into()))
}

impl<'a> Parser<'a> {
    /// A parser that begins at `pos`, which is on line `line`.
    pub fn new(text: &'a [char], pos: usize, line: u32) -> Self {
        Parser { text, pos, line, depth: 0, peeked: None, heres: Vec::new() }
    }

    /// Where it stands and on which line.
    pub fn position(&self) -> (usize, u32) {
        (self.pos, self.line)
    }

    /// The next complete command line; `None` at the end of the text.
    pub fn command(&mut self) -> Parsed<Option<List>> {
        loop {
            match self.peek()? {
                Tok::Newline => {
                    self.take()?;
                }
                Tok::End => return Ok(None),
                _ => break,
            }
        }
        let list = self.list(true)?;
        match self.take()? {
            Tok::Newline => {}
            Tok::End => {
                if !self.heres.is_empty() {
                    self.read_heres(true)?;
                }
            }
            t => return syntax(format!("unexpected {}", self.show(&t))),
        }
        Ok(Some(list))
    }

    fn at(&self, i: usize) -> Option<char> {
        self.text.get(self.pos + i).copied()
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max {
            return syntax("nesting too deep");
        }
        Ok(())
    }

    fn show(&self, t: &Tok) -> String {
        match t {
            Tok::Word(w) => match w.literal() {
                Some(s) if is_reserved(s) => format!("\"{s}\""),
                _ => "word".into(),
            },
            Tok::Op("<" | ">" | ">>" | "<<" | "<<-" | "<&" | ">&" | "<>" | ">|" | "&>" | "<<<")
            | Tok::Number(_) => "redirection".into(),
            Tok::Op(o) => format!("\"{o}\""),
            Tok::Newline => "newline".into(),
            Tok::End => "end of file".into(),
        }
    }

    fn unexpected<T>(&self, t: &Tok, expecting: &str) -> Parsed<T> {
        let m = if expecting.is_empty() {
            format!("unexpected {}", self.show(t))
        } else {
            format!("unexpected {} (expecting \"{expecting}\")", self.show(t))
        };
        if *t == Tok::End { Err(Fault::Incomplete(m)) } else { syntax(m) }
    }

    fn peek(&mut self) -> Parsed<Tok> {
        if self.peeked.is_none() {
            let start = self.pos;
            let t = self.lex()?;
            self.peeked = Some((t, start));
        }
        Ok(self.peeked.as_ref().map_or(Tok::End, |p| p.0.clone()))
    }

    fn take(&mut self) -> Parsed<Tok> {
        let t = self.peek()?;
        self.peeked = None;
        if t == Tok::Newline && !self.heres.is_empty() {
            self.read_heres(false)?;
        }
        Ok(t)
    }

    fn skip_newlines(&mut self) -> Parsed<()> {
        while self.peek()? == Tok::Newline {
            self.take()?;
        }
        Ok(())
    }

    fn peek_is(&mut self, word: &str) -> Parsed<bool> {
        Ok(matches!(self.peek()?, Tok::Word(w) if w.literal() == Some(word)))
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        let t = self.take()?;
        match &t {
            Tok::Word(w) if w.literal() == Some(word) => Ok(()),
            _ => self.unexpected(&t, word),
        }
    }

    // Tokens.

    fn lex(&mut self) -> Parsed<Tok> {
        loop {
            match self.at(0) {
                Some(' ' | '\t' | '\r') => self.pos += 1,
                Some('\\') if self.at(1) == Some('\n') => {
                    self.pos += 2;
                    self.line += 1;
                }
                Some('\\') if self.at(1).is_none() => {
                    return Err(Fault::Incomplete("unexpected end of file".into()));
                }
                Some('#') => {
                    while !matches!(self.at(0), None | Some('\n')) {
                        self.pos += 1;
                    }
                }
                _ => break,
            }
        }
        let Some(c) = self.at(0) else { return Ok(Tok::End) };
        if c == '\n' {
            self.pos += 1;
            self.line += 1;
            return Ok(Tok::Newline);
        }
        for op in OPS {
            if op.chars().enumerate().all(|(i, o)| self.at(i) == Some(o)) {
                self.pos += op.len();
                return Ok(Tok::Op(op));
            }
        }
        let digits = (0..).take_while(|i| self.at(*i).is_some_and(|c| c.is_ascii_digit())).count();
        if digits > 0 && digits < 5 && matches!(self.at(digits), Some('<' | '>')) {
            let n: String = self.text.iter().skip(self.pos).take(digits).collect();
            self.pos += digits;
            return Ok(Tok::Number(n.parse().unwrap_or(0)));
        }
        Ok(Tok::Word(self.word(Until::Meta)?))
    }

    // Words.

    fn word(&mut self, until: Until) -> Parsed<Word> {
        self.enter()?;
        let w = self.word_inner(until);
        self.depth -= 1;
        w
    }

    fn word_inner(&mut self, until: Until) -> Parsed<Word> {
        let mut b = Builder::default();
        let begin = self.pos;
        let quoted = until == Until::BraceQuoted || until == Until::Here || until == Until::Arith;
        let mut parens = 0usize;
        loop {
            let Some(c) = self.at(0) else {
                match until {
                    Until::Meta | Until::Here => break,
                    Until::Brace | Until::BraceQuoted | Until::Slash | Until::Colon => {
                        return Err(Fault::Incomplete("missing '}'".into()));
                    }
                    Until::Arith => return Err(Fault::Incomplete("missing '))'".into())),
                }
            };
            if until.ends(c) && (until != Until::Arith || (parens == 0 && self.at(1) == Some(')'))) {
                break;
            }
            if c == '\n' {
                self.line += 1;
            }
            match c {
                '\\' if until == Until::Here || until == Until::BraceQuoted || until == Until::Arith => {
                    match self.at(1) {
                        Some('\n') => {
                            self.line += 1;
                            self.pos += 2;
                        }
                        Some(n @ ('$' | '`' | '\\' | '"' | '}'))
                            if !(until == Until::Here && matches!(n, '"' | '}')) =>
                        {
                            b.quoted(n);
                            self.pos += 2;
                        }
                        _ => {
                            b.add('\\', quoted);
                            self.pos += 1;
                        }
                    }
                }
                '\\' => match self.at(1) {
                    Some('\n') => {
                        self.line += 1;
                        self.pos += 2;
                    }
                    Some(n) => {
                        b.quoted(n);
                        self.pos += 2;
                    }
                    None => {
                        b.quoted('\\');
                        self.pos += 1;
                    }
                },
                '\'' if !quoted => self.single(&mut b)?,
                '"' if until != Until::Here && until != Until::Arith => {
                    self.pos += 1;
                    // Inside of "${x-…}" further quotes only toggle; they quote all the same.
                    if until != Until::BraceQuoted {
                        self.double(&mut b)?;
                    }
                }
                '$' if self.at(1) == Some('\'') && !quoted => {
                    self.pos += 1;
                    self.ansi(&mut b)?;
                }
                '$' => self.dollar(&mut b, quoted)?,
                '`' => self.backquote(&mut b, quoted)?,
                '~' if !quoted && self.tilde_may_start(begin) => self.tilde(&mut b),
                '(' if until == Until::Arith => {
                    parens += 1;
                    b.add(c, true);
                    self.pos += 1;
                }
                ')' if until == Until::Arith => {
                    parens = parens.saturating_sub(1);
                    b.add(c, true);
                    self.pos += 1;
                }
                _ => {
                    b.add(c, quoted);
                    self.pos += 1;
                }
            }
        }
        Ok(b.finish())
    }

    fn tilde_may_start(&self, begin: usize) -> bool {
        if self.pos == begin {
            return true;
        }
        // After `NAME=` and after a colon of an assignment.
        let so_far: String = self.text.iter().skip(begin).take(self.pos - begin).collect();
        match so_far.split_once('=') {
            Some((n, v)) => is_name(n) && (v.is_empty() || v.ends_with(':')),
            None => false,
        }
    }

    fn tilde(&mut self, b: &mut Builder) {
        let n = (1..)
            .take_while(|i| {
                self.at(*i).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            })
            .count();
        if !matches!(
            self.at(n + 1),
            None | Some('/' | ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' | ':' | '<' | '>' | '}')
        ) {
            b.add('~', false);
            self.pos += 1;
            return;
        }
        let user: String = self.text.iter().skip(self.pos + 1).take(n).collect();
        self.pos += n + 1;
        b.push(Part::Tilde(user.into()));
    }

    fn single(&mut self, b: &mut Builder) -> Parsed<()> {
        self.pos += 1;
        b.start_quoted();
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("unterminated quoted string".into())),
                Some('\'') => break,
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    b.quoted(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        Ok(())
    }

    /// `$'…'`
    fn ansi(&mut self, b: &mut Builder) -> Parsed<()> {
        self.pos += 1;
        b.start_quoted();
        let mut raw = String::new();
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("unterminated quoted string".into())),
                Some('\'') => break,
                Some('\\') if self.at(1).is_some() => {
                    raw.push('\\');
                    raw.extend(self.at(1));
                    self.pos += 2;
                }
                Some(c) => {
                    raw.push(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        let bytes = crate::text::unescape(&raw, crate::text::Escapes::Ansi).0;
        for c in String::from_utf8_lossy(&bytes).chars() {
            b.quoted(c);
        }
        Ok(())
    }

    fn double(&mut self, b: &mut Builder) -> Parsed<()> {
        if self.at(0) == Some('"') {
            b.start_quoted();
        }
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("unterminated quoted string".into())),
                Some('"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some('\\') => match self.at(1) {
                    Some('\n') => {
                        self.line += 1;
                        self.pos += 2;
                    }
                    Some(n @ ('$' | '`' | '"' | '\\')) => {
                        b.quoted(n);
                        self.pos += 2;
                    }
                    _ => {
                        b.quoted('\\');
                        self.pos += 1;
                    }
                },
                Some('$') => self.dollar(b, true)?,
                Some('`') => self.backquote(b, true)?,
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    b.quoted(c);
                    self.pos += 1;
                }
            }
        }
    }

    fn dollar(&mut self, b: &mut Builder, quoted: bool) -> Parsed<()> {
        self.pos += 1;
        let simple = |name: String| Part::Param { name: name.into(), op: Op::Value, quoted };
        match self.at(0) {
            Some('(') if self.at(1) == Some('(') => {
                let (pos, line) = (self.pos, self.line);
                self.pos += 2;
                match self.word(Until::Arith) {
                    Ok(word) => {
                        self.pos += 2;
                        b.push(Part::Arith { word, quoted });
                    }
                    Err(Fault::Incomplete(m)) => {
                        // `$((` may also be a subshell within a command substitution.
                        (self.pos, self.line) = (pos + 1, line);
                        match self.substitution() {
                            Ok(list) => b.push(Part::Command { list, quoted }),
                            Err(_) => return Err(Fault::Incomplete(m)),
                        }
                    }
                    Err(e) => return Err(e),
                }
            }
            Some('(') => {
                self.pos += 1;
                let list = self.substitution()?;
                b.push(Part::Command { list, quoted });
            }
            Some('{') => {
                self.pos += 1;
                self.enter()?;
                let p = self.braced(quoted);
                self.depth -= 1;
                b.push(p?);
            }
            Some(c) if is_name_start(c) => {
                let n = (0..).take_while(|i| self.at(*i).is_some_and(is_name_char)).count();
                let name = self.text.iter().skip(self.pos).take(n).collect();
                self.pos += n;
                b.push(simple(name));
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.pos += 1;
                b.push(simple(c.to_string()));
            }
            _ => b.add('$', quoted),
        }
        Ok(())
    }

    /// The commands of `$(`, which has been read.
    fn substitution(&mut self) -> Parsed<Arc<List>> {
        self.enter()?;
        let (peeked, heres) = (self.peeked.take(), core::mem::take(&mut self.heres));
        let list = self.compound_list(true)?;
        let t = self.take()?;
        if t != Tok::Op(")") {
            return self.unexpected(&t, ")");
        }
        self.peeked = peeked;
        self.heres = heres;
        self.depth -= 1;
        Ok(Arc::new(list))
    }

    fn backquote(&mut self, b: &mut Builder, quoted: bool) -> Parsed<()> {
        self.pos += 1;
        let mut inner: Vec<char> = Vec::new();
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("EOF in backquote substitution".into())),
                Some('`') => break,
                Some('\\') => match self.at(1) {
                    Some(c @ ('`' | '$' | '\\')) => {
                        inner.push(c);
                        self.pos += 2;
                    }
                    Some('"') if quoted => {
                        inner.push('"');
                        self.pos += 2;
                    }
                    _ => {
                        inner.push('\\');
                        self.pos += 1;
                    }
                },
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    inner.push(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        let mut p = Parser::new(&inner, 0, self.line);
        p.depth = self.depth;
        p.enter()?;
        let mut list = List::default();
        loop {
            match p.command() {
                Ok(Some(l)) => list.items.extend(l.items),
                Ok(None) => break,
                Err(Fault::Incomplete(m) | Fault::Syntax(m)) => return syntax(m),
            }
        }
        b.push(Part::Command { list: Arc::new(list), quoted });
        Ok(())
    }

    /// What follows `${`.
    fn braced(&mut self, quoted: bool) -> Parsed<Part> {
        let mut length = false;
        if self.at(0) == Some('#')
            && !matches!(self.at(1), Some('}' | ':' | '-' | '=' | '+' | '%' | '#') | None)
        {
            length = true;
            self.pos += 1;
        }
        let n = match self.at(0) {
            Some(c) if is_name_start(c) => {
                (0..).take_while(|i| self.at(*i).is_some_and(is_name_char)).count()
            }
            Some(c) if c.is_ascii_digit() => {
                (0..).take_while(|i| self.at(*i).is_some_and(|c| c.is_ascii_digit())).count()
            }
            Some(c) if "@*#?-$!".contains(c) => 1,
            None => return Err(Fault::Incomplete("missing '}'".into())),
            _ => 0,
        };
        let name: SmolStr = self.text.iter().skip(self.pos).take(n).collect::<String>().into();
        self.pos += n;
        if n == 0 {
            return self.bad(name, quoted);
        }
        let inside = if quoted { Until::BraceQuoted } else { Until::Brace };
        if length {
            if self.at(0) == Some('}') {
                self.pos += 1;
                return Ok(Part::Param { name, op: Op::Length, quoted });
            }
            return self.bad(name, quoted);
        }
        let colon = self.at(0) == Some(':') && matches!(self.at(1), Some('-' | '=' | '?' | '+'));
        if colon {
            self.pos += 1;
        }
        let c = self.at(0);
        let twice = c.is_some() && self.at(1) == c;
        let op = match c {
            None => return Err(Fault::Incomplete("missing '}'".into())),
            Some('}') => Op::Value,
            Some(c @ ('-' | '=' | '?' | '+')) => {
                self.pos += 1;
                let word = self.word(inside)?;
                match c {
                    '-' => Op::Default { colon, word },
                    '=' => Op::Assign { colon, word },
                    '?' => Op::Error { colon, word },
                    _ => Op::Alt { colon, word },
                }
            }
            Some(c @ ('#' | '%')) => {
                self.pos += 1 + usize::from(twice);
                // A pattern's own quotes count, even inside of double quotes.
                let word = self.word(Until::Brace)?;
                if c == '#' {
                    Op::TrimPrefix { long: twice, word }
                } else {
                    Op::TrimSuffix { long: twice, word }
                }
            }
            Some('/') => {
                self.pos += 1 + usize::from(twice);
                let pattern = self.word(Until::Slash)?;
                let mut with = Word::default();
                if self.at(0) == Some('/') {
                    self.pos += 1;
                    with = self.word(inside)?;
                }
                Op::Replace { all: twice, pattern, with }
            }
            Some(':') => {
                self.pos += 1;
                let from = self.word(Until::Colon)?;
                let mut len = None;
                if self.at(0) == Some(':') {
                    self.pos += 1;
                    len = Some(self.word(Until::Brace)?);
                }
                Op::Substring { from, len }
            }
            _ => return self.bad(name, quoted),
        };
        self.pos += 1;
        Ok(Part::Param { name, op, quoted })
    }

    fn bad(&mut self, name: SmolStr, quoted: bool) -> Parsed<Part> {
        self.word(Until::Brace)?;
        self.pos += 1;
        Ok(Part::Param { name, op: Op::Bad, quoted })
    }

    // Here-documents.

    fn read_heres(&mut self, at_end: bool) -> Parsed<()> {
        for h in core::mem::take(&mut self.heres) {
            let mut body: Vec<char> = Vec::new();
            loop {
                if self.at(0).is_none() {
                    if !at_end {
                        return Err(Fault::Incomplete("unexpected end of file".into()));
                    }
                    break;
                }
                let n = (0..).take_while(|i| !matches!(self.at(*i), None | Some('\n'))).count();
                let line: Vec<char> = self.text.iter().skip(self.pos).take(n).copied().collect();
                let ended = self.at(n).is_none();
                self.pos += n + usize::from(!ended);
                self.line += 1;
                let line: &[char] = if h.tabs {
                    let tabs = line.iter().take_while(|c| **c == '\t').count();
                    line.get(tabs..).unwrap_or_default()
                } else {
                    &line
                };
                if line.iter().collect::<String>() == h.end {
                    break;
                }
                body.extend(line);
                body.push('\n');
                if ended {
                    if !at_end {
                        return Err(Fault::Incomplete("unexpected end of file".into()));
                    }
                    break;
                }
            }
            let word = if h.quoted {
                Word { parts: vec![Part::Quoted(body.iter().collect::<String>().into())] }
            } else {
                let mut p = Parser::new(&body, 0, self.line);
                p.depth = self.depth;
                p.word(Until::Here)?
            };
            // Set once: each here-document has its own cell.
            let _ = h.cell.set(word);
        }
        Ok(())
    }

    // Grammar.

    /// And-or lists up to a newline (if `line`) or a word that ends a compound.
    fn list(&mut self, line: bool) -> Parsed<List> {
        let mut list = List::default();
        loop {
            let item = self.and_or()?;
            let mut background = false;
            let mut more = true;
            match self.peek()? {
                Tok::Op("&") => {
                    self.take()?;
                    background = true;
                }
                Tok::Op(";") => {
                    self.take()?;
                }
                Tok::Newline if !line => {}
                _ => more = false,
            }
            list.items.push((item, background));
            if !more {
                return Ok(list);
            }
            if !line {
                self.skip_newlines()?;
            }
            if self.ends_list()? {
                return Ok(list);
            }
        }
    }

    fn ends_list(&mut self) -> Parsed<bool> {
        Ok(match self.peek()? {
            Tok::End | Tok::Newline | Tok::Op(")" | ";;") => true,
            Tok::Word(w) => {
                matches!(w.literal(), Some("then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}"))
            }
            _ => false,
        })
    }

    fn compound_list(&mut self, empty: bool) -> Parsed<List> {
        self.enter()?;
        self.skip_newlines()?;
        let list = if empty && self.ends_list()? { List::default() } else { self.list(false)? };
        self.skip_newlines()?;
        self.depth -= 1;
        Ok(list)
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            let join = match self.peek()? {
                Tok::Op("&&") => Join::And,
                Tok::Op("||") => Join::Or,
                _ => return Ok(AndOr { first, rest }),
            };
            self.take()?;
            self.skip_newlines()?;
            rest.push((join, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negate = false;
        while self.peek_is("!")? {
            negate = !negate;
            self.take()?;
        }
        let mut commands = vec![Arc::new(self.one()?)];
        while self.peek()? == Tok::Op("|") {
            self.take()?;
            self.skip_newlines()?;
            commands.push(Arc::new(self.one()?));
        }
        Ok(Pipeline { negate, commands })
    }

    fn one(&mut self) -> Parsed<Command> {
        self.enter()?;
        let c = self.command_inner();
        self.depth -= 1;
        c
    }

    fn command_inner(&mut self) -> Parsed<Command> {
        let line = self.line;
        let t = self.peek()?;
        let kind = match &t {
            Tok::Op("(") => {
                self.take()?;
                let l = self.compound_list(false)?;
                let t = self.take()?;
                if t != Tok::Op(")") {
                    return self.unexpected(&t, ")");
                }
                Kind::Subshell(Arc::new(l))
            }
            Tok::Word(w) => match w.literal() {
                Some("{") => {
                    self.take()?;
                    let l = self.compound_list(false)?;
                    self.expect_word("}")?;
                    Kind::Brace(Arc::new(l))
                }
                Some("if") => self.parse_if()?,
                Some(k @ ("while" | "until")) => {
                    let until = k == "until";
                    self.take()?;
                    let cond = Arc::new(self.compound_list(false)?);
                    self.expect_word("do")?;
                    let body = Arc::new(self.compound_list(false)?);
                    self.expect_word("done")?;
                    Kind::While { until, cond, body }
                }
                Some("for") => self.parse_for()?,
                Some("case") => self.parse_case()?,
                Some("function") => {
                    self.take()?;
                    let n = self.take()?;
                    let Tok::Word(w) = &n else { return self.unexpected(&n, "") };
                    let Some(name) = w.literal().map(SmolStr::from) else {
                        return syntax("bad function name");
                    };
                    if self.peek()? == Tok::Op("(") {
                        self.take()?;
                        self.take()?;
                    }
                    return self.function(name, line);
                }
                Some(k) if RESERVED.contains(&k) => return self.unexpected(&t, ""),
                _ => return self.simple(line),
            },
            Tok::Number(_)
            | Tok::Op("<" | ">" | ">>" | "<<" | "<<-" | "<&" | ">&" | "<>" | ">|" | "&>" | "<<<") => {
                return self.simple(line);
            }
            _ => return self.unexpected(&t, ""),
        };
        let mut redirs = Vec::new();
        while let Some(r) = self.redir()? {
            redirs.push(r);
        }
        Ok(Command { kind, redirs, line })
    }

    fn function(&mut self, name: SmolStr, line: u32) -> Parsed<Command> {
        self.skip_newlines()?;
        let body = Arc::new(self.one()?);
        Ok(Command { kind: Kind::Function { name, body }, redirs: Vec::new(), line })
    }

    fn parse_if(&mut self) -> Parsed<Kind> {
        self.take()?;
        let mut arms = Vec::new();
        loop {
            let cond = Arc::new(self.compound_list(false)?);
            self.expect_word("then")?;
            arms.push((cond, Arc::new(self.compound_list(false)?)));
            if self.peek_is("elif")? {
                self.take()?;
                continue;
            }
            let mut otherwise = None;
            if self.peek_is("else")? {
                self.take()?;
                otherwise = Some(Arc::new(self.compound_list(false)?));
            }
            self.expect_word("fi")?;
            return Ok(Kind::If { arms, otherwise });
        }
    }

    fn parse_for(&mut self) -> Parsed<Kind> {
        self.take()?;
        let t = self.take()?;
        let name: SmolStr = match &t {
            Tok::Word(w) if w.literal().is_some_and(is_name) => w.literal().unwrap_or_default().into(),
            Tok::End => return self.unexpected(&t, ""),
            _ => return syntax("bad for loop variable"),
        };
        self.skip_newlines()?;
        let mut words = None;
        if self.peek_is("in")? {
            self.take()?;
            let mut list = Vec::new();
            loop {
                match self.take()? {
                    Tok::Word(w) => list.push(w),
                    Tok::Op(";") | Tok::Newline => break,
                    t => return self.unexpected(&t, ""),
                }
            }
            words = Some(list);
        } else if self.peek()? == Tok::Op(";") {
            self.take()?;
        }
        self.skip_newlines()?;
        self.expect_word("do")?;
        let body = Arc::new(self.compound_list(false)?);
        self.expect_word("done")?;
        Ok(Kind::For { name, words, body })
    }

    fn parse_case(&mut self) -> Parsed<Kind> {
        self.take()?;
        let t = self.take()?;
        let Tok::Word(word) = t else { return self.unexpected(&t, "") };
        self.skip_newlines()?;
        self.expect_word("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.peek_is("esac")? {
                self.take()?;
                return Ok(Kind::Case { word, arms });
            }
            if self.peek()? == Tok::Op("(") {
                self.take()?;
            }
            let mut patterns = Vec::new();
            loop {
                match self.take()? {
                    Tok::Word(w) => patterns.push(w),
                    t => return self.unexpected(&t, ""),
                }
                match self.take()? {
                    Tok::Op("|") => {}
                    Tok::Op(")") => break,
                    t => return self.unexpected(&t, ")"),
                }
            }
            let body = self.compound_list(true)?;
            arms.push((patterns, Arc::new(body)));
            match self.peek()? {
                Tok::Op(";;") => {
                    self.take()?;
                }
                Tok::Word(w) if w.literal() == Some("esac") => {}
                t => return self.unexpected(&t, ";;"),
            }
        }
    }

    fn simple(&mut self, line: u32) -> Parsed<Command> {
        let (mut assigns, mut words, mut redirs) = (Vec::new(), Vec::<Word>::new(), Vec::new());
        loop {
            if let Some(r) = self.redir()? {
                redirs.push(r);
                continue;
            }
            match self.peek()? {
                Tok::Word(w) => {
                    self.take()?;
                    if words.is_empty()
                        && let Some(a) = assignment(&w)
                    {
                        assigns.push(a);
                        continue;
                    }
                    let test = words.is_empty() && w.literal() == Some("[[");
                    words.push(w);
                    if test {
                        self.double_bracket(&mut words)?;
                    }
                }
                Tok::Op("(") if words.len() == 1 && assigns.is_empty() && redirs.is_empty() => {
                    self.take()?;
                    let t = self.take()?;
                    if t != Tok::Op(")") {
                        return self.unexpected(&t, ")");
                    }
                    let name = words.first().and_then(Word::literal).map(SmolStr::from);
                    let Some(name) = name else { return syntax("bad function name") };
                    return self.function(name, line);
                }
                _ => break,
            }
        }
        Ok(Command { kind: Kind::Simple { assigns, words }, redirs, line })
    }

    /// `[[ … ]]`: operators are words in it.
    fn double_bracket(&mut self, words: &mut Vec<Word>) -> Parsed<()> {
        loop {
            match self.take()? {
                Tok::Word(w) => {
                    let end = w.literal() == Some("]]");
                    words.push(w);
                    if end {
                        return Ok(());
                    }
                }
                Tok::Op(o) => words.push(Word { parts: vec![Part::Lit(SmolStr::new_static(o))] }),
                Tok::Newline => {}
                Tok::Number(n) => words.push(Word { parts: vec![Part::Lit(n.to_string().into())] }),
                t @ Tok::End => return self.unexpected(&t, "]]"),
            }
        }
    }

    fn redir(&mut self) -> Parsed<Option<Redir>> {
        let fd = match self.peek()? {
            Tok::Number(n) => {
                self.take()?;
                Some(n)
            }
            Tok::Op("<" | ">" | ">>" | "<<" | "<<-" | "<&" | ">&" | "<>" | ">|" | "&>" | "<<<") => None,
            _ => return Ok(None),
        };
        let Tok::Op(op) = self.take()? else { return syntax("unexpected redirection") };
        let t = self.take()?;
        let Tok::Word(w) = t else { return self.unexpected(&t, "") };
        let to = match op {
            "<" => Target::Read(w),
            ">" => Target::Write(w),
            ">|" => Target::Clobber(w),
            ">>" => Target::Append(w),
            "<>" => Target::ReadWrite(w),
            "<&" => Target::Dup(w, false),
            ">&" => Target::Dup(w, true),
            "&>" => Target::Both(w),
            "<<<" => Target::HereString(w),
            _ => {
                let cell = Arc::new(OnceLock::new());
                let quoted = w.parts.iter().any(|p| !matches!(p, Part::Lit(_)));
                let end: String = w
                    .parts
                    .iter()
                    .map(|p| match p {
                        Part::Lit(s) | Part::Quoted(s) => s.as_str(),
                        _ => "",
                    })
                    .collect();
                self.heres.push(Here { cell: cell.clone(), end, tabs: op == "<<-", quoted });
                Target::Here(cell)
            }
        };
        Ok(Some(Redir { fd, to }))
    }
}

/// `NAME=word` as an assignment.
fn assignment(w: &Word) -> Option<(SmolStr, Word)> {
    let Some(Part::Lit(first)) = w.parts.first() else { return None };
    let (name, value) = first.split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let mut parts = Vec::with_capacity(w.parts.len());
    if !value.is_empty() {
        parts.push(Part::Lit(value.into()));
    }
    parts.extend(w.parts.iter().skip(1).cloned());
    Some((name.into(), Word { parts }))
}

/// What ends a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// A blank or an operator.
    Meta,
    /// `}`
    Brace,
    /// `}` within double quotes.
    BraceQuoted,
    /// `/` or `}`
    Slash,
    /// `:` or `}`
    Colon,
    /// `))`
    Arith,
    /// The end of a here-document.
    Here,
}

impl Until {
    fn ends(self, c: char) -> bool {
        match self {
            Until::Meta => matches!(c, ' ' | '\t' | '\r' | '\n' | '&' | '|' | ';' | '<' | '>' | '(' | ')'),
            Until::Brace | Until::BraceQuoted => c == '}',
            Until::Slash => c == '/' || c == '}',
            Until::Colon => c == ':' || c == '}',
            Until::Arith => c == ')',
            Until::Here => false,
        }
    }
}

/// Collects a word's pieces.
#[derive(Default)]
struct Builder {
    parts: Vec<Part>,
    text: String,
    is_quoted: bool,
    started: bool,
}

impl Builder {
    fn flush(&mut self) {
        if self.text.is_empty() && !(self.is_quoted && self.started) {
            self.started = false;
            return;
        }
        let t: SmolStr = core::mem::take(&mut self.text).into();
        self.parts.push(if self.is_quoted { Part::Quoted(t) } else { Part::Lit(t) });
        self.started = false;
    }

    fn add(&mut self, c: char, quoted: bool) {
        if quoted != self.is_quoted {
            self.flush();
            self.is_quoted = quoted;
        }
        self.text.push(c);
    }

    fn quoted(&mut self, c: char) {
        self.add(c, true);
    }

    /// Quotes without content still make a word.
    fn start_quoted(&mut self) {
        if !self.is_quoted {
            self.flush();
            self.is_quoted = true;
        }
        self.started = true;
    }

    fn push(&mut self, p: Part) {
        self.flush();
        self.parts.push(p);
    }

    fn finish(mut self) -> Word {
        self.flush();
        Word { parts: self.parts }
    }
}
