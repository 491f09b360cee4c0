//! The shell's grammar: characters in, one complete command at a time out.
//!
//! Models: busybox ash's texts of syntax errors.

mod word;

use super::ast::*;
use sim::Limits;
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};
use word::Until;

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

    // Here-documents.

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
