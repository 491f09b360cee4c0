//! Text to tree: Go's template lexer and parser, with its messages.

use super::Error;
use super::funcs;
use sim::Limits;

/// A node of the template's body.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Pipe, Vec<Node>, Vec<Node>),
    Range(Pipe, Vec<Node>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Break,
    Continue,
}

/// `$a, $b := cmd | cmd`
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub declare: Vec<String>,
    pub assign: bool,
    pub commands: Vec<Command>,
}

/// An operand or function with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub args: Vec<Arg>,
    pub pos: usize,
    /// Source text, for messages.
    pub text: String,
}

/// An operand.
#[derive(Clone, Debug)]
pub(super) struct Arg {
    pub kind: ArgKind,
    pub pos: usize,
    pub text: String,
}

#[derive(Clone, Debug)]
pub(super) enum ArgKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>, Vec<String>),
}

#[derive(Clone, PartialEq, Debug)]
enum Tok {
    Text(String),
    Open,
    Close,
    Ident(String),
    Keyword(String),
    Field(String),
    Variable(String),
    Dot,
    Str(String),
    Number(String),
    Char(char),
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    Declare,
    Assign,
    Space,
    Other(char),
    End,
}

struct Item {
    tok: Tok,
    pos: usize,
    end: usize,
}

const KEYWORDS: [&str; 12] =
    ["if", "else", "end", "range", "with", "nil", "break", "continue", "define", "template", "block", "dot"];

fn error<T>(text: &str, pos: usize, message: impl core::fmt::Display) -> Result<T, Error> {
    let line = 1 + text[..pos.min(text.len())].matches('\n').count();
    Err(format!("template: output:{line}: {message}"))
}

fn lex(text: &str) -> Result<Vec<Item>, Error> {
    let mut out: Vec<Item> = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while at <= text.len() {
        let open = text[at..].find("{{").map(|n| at + n);
        let end = open.unwrap_or(text.len());
        let mut body = &text[at..end];
        if trim {
            body = body.trim_start_matches([' ', '\t', '\r', '\n']);
        }
        let spaced = |s: &str| s.starts_with([' ', '\t', '\r', '\n']);
        let trims_left = open.is_some_and(|o| text[o + 2..].starts_with('-') && spaced(&text[o + 3..]));
        if trims_left {
            body = body.trim_end_matches([' ', '\t', '\r', '\n']);
        }
        if !body.is_empty() {
            out.push(Item { tok: Tok::Text(body.to_owned()), pos: at, end });
        }
        let Some(open) = open else { break };
        let start = open + if trims_left { 3 } else { 2 };
        let inner = text[start..].trim_start_matches([' ', '\t', '\r', '\n']);
        if trims_left && inner.starts_with("/*") || text[start..].starts_with("/*") {
            (at, trim) = comment(text, text.len() - inner.len())?;
            continue;
        }
        out.push(Item { tok: Tok::Open, pos: open, end: start });
        (at, trim) = action(text, start, &mut out)?;
    }
    out.push(Item { tok: Tok::End, pos: text.len(), end: text.len() });
    Ok(out)
}

/// Where the text goes on behind a comment, and whether blanks are trimmed there.
fn comment(text: &str, start: usize) -> Result<(usize, bool), Error> {
    let Some(n) = text[start..].find("*/") else { return error(text, start, "unclosed comment") };
    let rest = &text[start + n + 2..];
    if rest.starts_with("}}") {
        return Ok((start + n + 4, false));
    }
    let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    if trimmed.len() < rest.len() && trimmed.starts_with("-}}") {
        return Ok((text.len() - trimmed.len() + 3, true));
    }
    error(text, start, "comment ends before closing delimiter")
}

/// Lexes one action up to its closing braces.
fn action(text: &str, mut i: usize, out: &mut Vec<Item>) -> Result<(usize, bool), Error> {
    let start = i;
    loop {
        let rest = &text[i..];
        let Some(c) = rest.chars().next() else { return error(text, start, "unclosed action") };
        if rest.starts_with("}}") {
            out.push(Item { tok: Tok::Close, pos: i, end: i + 2 });
            return Ok((i + 2, false));
        }
        if c.is_whitespace() {
            let blank = rest.len() - rest.trim_start().len();
            if rest[blank..].starts_with("-}}") {
                out.push(Item { tok: Tok::Close, pos: i, end: i + blank + 3 });
                return Ok((i + blank + 3, true));
            }
            out.push(Item { tok: Tok::Space, pos: i, end: i + blank });
            i += blank;
            continue;
        }
        let (tok, n) = token(text, i, c)?;
        out.push(Item { tok, pos: i, end: i + n });
        i += n;
    }
}

fn token(text: &str, i: usize, c: char) -> Result<(Tok, usize), Error> {
    let rest = &text[i..];
    let word = |s: &str| s.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(s.len());
    Ok(match c {
        '|' => (Tok::Pipe, 1),
        '(' => (Tok::LeftParen, 1),
        ')' => (Tok::RightParen, 1),
        ',' => (Tok::Comma, 1),
        ':' if rest.starts_with(":=") => (Tok::Declare, 2),
        ':' => return error(text, i, "expected :="),
        '=' => (Tok::Assign, 1),
        '"' => quoted(text, i)?,
        '`' => match rest[1..].find('`') {
            Some(n) => (Tok::Str(rest[1..=n].to_owned()), n + 2),
            None => return error(text, i, "unterminated raw quoted string"),
        },
        '\'' => {
            let end = rest[1..].find('\'').map_or(rest.len(), |n| n + 2);
            let c = rest[1..].chars().next().unwrap_or(' ');
            (Tok::Char(c), end)
        }
        '$' => {
            let n = 1 + word(&rest[1..]);
            (Tok::Variable(rest[..n].to_owned()), n)
        }
        '.' => {
            let n = word(&rest[1..]);
            if n > 0 && !rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
                (Tok::Field(rest[1..=n].to_owned()), n + 1)
            } else if n > 0 {
                number(rest)
            } else {
                (Tok::Dot, 1)
            }
        }
        '+' | '-' | '0'..='9' => number(rest),
        c if c.is_alphabetic() || c == '_' => {
            let w = &rest[..word(rest)];
            let tok = match w {
                "true" | "false" => Tok::Keyword(w.into()),
                w if KEYWORDS.contains(&w) && w != "dot" => Tok::Keyword(w.into()),
                w => Tok::Ident(w.into()),
            };
            (tok, w.len())
        }
        c => (Tok::Other(c), c.len_utf8()),
    })
}

fn number(rest: &str) -> (Tok, usize) {
    let n = rest
        .char_indices()
        .find(|(i, c)| {
            !(c.is_alphanumeric() || matches!(c, '.' | '_') || (*i == 0 && matches!(c, '+' | '-')))
        })
        .map_or(rest.len(), |(i, _)| i);
    (Tok::Number(rest[..n.max(1)].to_owned()), n.max(1))
}

fn quoted(text: &str, start: usize) -> Result<(Tok, usize), Error> {
    let mut out = String::new();
    let mut chars = text[start + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((Tok::Str(out), i + 2)),
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, 'r')) => out.push('\r'),
                Some((j, n @ ('x' | 'u'))) => {
                    let len = if n == 'x' { 2 } else { 4 };
                    let hex = text[start + 1..].get(j + 1..j + 1 + len).unwrap_or("");
                    match u32::from_str_radix(hex, 16).ok().and_then(char::from_u32) {
                        Some(c) => out.push(c),
                        None => return error(text, start, "invalid syntax"),
                    }
                    for _ in 0..len {
                        chars.next();
                    }
                }
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                _ => return error(text, start, "invalid syntax"),
            },
            c => out.push(c),
        }
    }
    error(text, start, "unterminated quoted string")
}

/// Parses a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let items = lex(text)?;
    let mut p = Parser { text, items, at: 0, vars: vec!["$".into()], depth: 0, loops: 0 };
    let (nodes, end) = p.list()?;
    match end {
        Stop::Eof => Ok(nodes),
        Stop::End => p.error("unexpected {{end}}"),
        Stop::Else => p.error("unexpected {{else}}"),
    }
}

#[derive(PartialEq)]
enum Stop {
    Eof,
    End,
    Else,
}

struct Parser<'a> {
    text: &'a str,
    items: Vec<Item>,
    at: usize,
    vars: Vec<String>,
    depth: usize,
    loops: usize,
}

impl Parser<'_> {
    fn error<T>(&self, message: impl core::fmt::Display) -> Result<T, Error> {
        error(self.text, self.items.get(self.at).map_or(0, |i| i.pos), message)
    }

    fn peek(&self) -> &Tok {
        self.items.get(self.at).map_or(&Tok::End, |i| &i.tok)
    }

    fn bump(&mut self) {
        self.at = (self.at + 1).min(self.items.len().saturating_sub(1));
    }

    fn blanks(&mut self) {
        while *self.peek() == Tok::Space {
            self.bump();
        }
    }

    fn list(&mut self) -> Result<(Vec<Node>, Stop), Error> {
        self.depth += 1;
        if self.depth > Limits::TABLE.nesting_max {
            return self.error("max expression depth exceeded");
        }
        let mut out = Vec::new();
        let stop = loop {
            match self.peek().clone() {
                Tok::End => break Stop::Eof,
                Tok::Text(t) => {
                    out.push(Node::Text(t));
                    self.bump();
                }
                _ => {
                    self.bump();
                    self.blanks();
                    match self.peek().clone() {
                        Tok::Keyword(k) if k == "end" || k == "else" => {
                            self.bump();
                            if k == "end" {
                                self.close("end")?;
                                break Stop::End;
                            }
                            break Stop::Else;
                        }
                        _ => out.push(self.action()?),
                    }
                }
            }
        };
        self.depth -= 1;
        Ok((out, stop))
    }

    fn close(&mut self, context: &str) -> Result<(), Error> {
        self.blanks();
        if *self.peek() != Tok::Close {
            let found = self.describe();
            return self.error(format!("unexpected {found} in {context}"));
        }
        self.bump();
        Ok(())
    }

    fn describe(&self) -> String {
        let item = &self.items[self.at];
        let text = &self.text[item.pos..item.end];
        match &item.tok {
            Tok::End => "EOF".into(),
            Tok::Keyword(k) => format!("<{k}>"),
            Tok::Other(c) => format!("{:?}", c.to_string()),
            _ => crate::gofmt::quote(text),
        }
    }

    fn action(&mut self) -> Result<Node, Error> {
        let Tok::Keyword(k) = self.peek().clone() else {
            return Ok(Node::Action(self.pipe("command", &Tok::Close)?));
        };
        match k.as_str() {
            "if" | "range" | "with" => {
                self.bump();
                self.control(&k)
            }
            "break" | "continue" => {
                self.bump();
                if self.loops == 0 {
                    return self.error(format!("{{{{{k}}}}} outside {{{{range}}}}"));
                }
                self.close(&k)?;
                Ok(if k == "break" { Node::Break } else { Node::Continue })
            }
            "define" | "template" | "block" => self.error(format!("{{{{{k}}}}} is not supported here")),
            _ => Ok(Node::Action(self.pipe("command", &Tok::Close)?)),
        }
    }

    fn control(&mut self, kind: &str) -> Result<Node, Error> {
        let scope = self.vars.len();
        let pipe = self.pipe(kind, &Tok::Close)?;
        let looped = usize::from(kind == "range");
        self.loops += looped;
        let (body, stop) = self.list()?;
        self.loops -= looped;
        let otherwise = match stop {
            Stop::Eof => return self.error("unexpected EOF"),
            Stop::End => Vec::new(),
            Stop::Else => {
                self.blanks();
                match self.peek().clone() {
                    // `else if` and `else with` share the end.
                    Tok::Keyword(k) if kind != "range" && (k == "if" || k == "with") => {
                        self.bump();
                        self.depth += 1;
                        if self.depth > Limits::TABLE.nesting_max {
                            return self.error("max expression depth exceeded");
                        }
                        let node = self.control(&k)?;
                        self.depth -= 1;
                        vec![node]
                    }
                    _ => {
                        self.close("else")?;
                        let (list, stop) = self.list()?;
                        match stop {
                            Stop::End => list,
                            Stop::Eof => return self.error("unexpected EOF"),
                            Stop::Else => return self.error("expected end; found {{else}}"),
                        }
                    }
                }
            }
        };
        self.vars.truncate(scope);
        Ok(match kind {
            "if" => Node::If(pipe, body, otherwise),
            "range" => Node::Range(pipe, body, otherwise),
            _ => Node::With(pipe, body, otherwise),
        })
    }

    fn pipe(&mut self, context: &str, end: &Tok) -> Result<Pipe, Error> {
        self.depth += 1;
        if self.depth > Limits::TABLE.nesting_max {
            return self.error("max expression depth exceeded");
        }
        self.blanks();
        let (declare, assign) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            self.blanks();
            if self.peek() == end {
                if commands.is_empty() {
                    return self.error(format!("missing value for {context}"));
                }
                self.bump();
                break;
            }
            commands.push(self.command(context)?);
            self.blanks();
            if *self.peek() == Tok::Pipe {
                self.bump();
                self.blanks();
                if self.peek() == end {
                    return self.error(format!("missing value for {context}"));
                }
            } else if self.peek() != end {
                let found = self.describe();
                return self.error(format!("unexpected {found} in {context}"));
            }
        }
        for c in commands.iter().skip(1) {
            if matches!(
                c.args.first().map(|a| &a.kind),
                Some(
                    ArgKind::Bool(_)
                        | ArgKind::Dot
                        | ArgKind::Nil
                        | ArgKind::Int(_)
                        | ArgKind::Float(_)
                        | ArgKind::Str(_)
                )
            ) {
                return self.error("non executable command in pipeline stage 2");
            }
        }
        self.depth -= 1;
        Ok(Pipe { declare, assign, commands })
    }

    /// `$x :=`, `$x =`, `$i, $x :=`
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool), Error> {
        let back = self.at;
        let mut names = Vec::new();
        while let Tok::Variable(v) = self.peek().clone() {
            self.bump();
            self.blanks();
            names.push(v);
            match self.peek() {
                Tok::Comma if context == "range" && names.len() < 2 => {
                    self.bump();
                    self.blanks();
                }
                Tok::Declare => {
                    self.bump();
                    self.vars.extend(names.clone());
                    return Ok((names, false));
                }
                Tok::Assign => {
                    self.bump();
                    for n in &names {
                        self.known(n)?;
                    }
                    return Ok((names, true));
                }
                _ => break,
            }
        }
        self.at = back;
        Ok((Vec::new(), false))
    }

    fn known(&self, name: &str) -> Result<(), Error> {
        if self.vars.iter().any(|v| v == name) {
            return Ok(());
        }
        self.error(format!("undefined variable {}", crate::gofmt::quote(name)))
    }

    fn command(&mut self, context: &str) -> Result<Command, Error> {
        let pos = self.items[self.at].pos;
        let mut args = Vec::new();
        loop {
            self.blanks();
            match self.operand()? {
                Some(a) => args.push(a),
                None => break,
            }
            if !matches!(self.peek(), Tok::Space | Tok::Close | Tok::RightParen | Tok::Pipe) {
                let found = self.describe();
                return self.error(format!("unexpected {found} in operand"));
            }
        }
        if args.is_empty() {
            let found = self.describe();
            return self.error(format!("unexpected {found} in {context}"));
        }
        let text = args.iter().map(|a| a.text.as_str()).collect::<Vec<_>>().join(" ");
        Ok(Command { args, pos, text })
    }

    fn operand(&mut self) -> Result<Option<Arg>, Error> {
        let pos = self.items[self.at].pos;
        let tok = self.peek().clone();
        let kind = match tok {
            Tok::Ident(name) => {
                if !funcs::NAMES.contains(&name.as_str()) {
                    return self.error(format!("function {} not defined", crate::gofmt::quote(&name)));
                }
                ArgKind::Function(name)
            }
            Tok::Dot => ArgKind::Dot,
            Tok::Keyword(k) => match k.as_str() {
                "nil" => ArgKind::Nil,
                "true" | "false" => ArgKind::Bool(k == "true"),
                _ => return Ok(None),
            },
            Tok::Str(s) => ArgKind::Str(s),
            Tok::Char(c) => ArgKind::Int(c as i64),
            Tok::Number(n) => {
                let plain = n.replace('_', "");
                let hex = plain.strip_prefix("0x").and_then(|h| i64::from_str_radix(h, 16).ok());
                match (hex.or_else(|| plain.parse().ok()), plain.parse::<f64>()) {
                    (Some(i), _) => ArgKind::Int(i),
                    (None, Ok(f)) => ArgKind::Float(f),
                    _ => return self.error(format!("bad number syntax: {}", crate::gofmt::quote(&n))),
                }
            }
            Tok::Field(f) => ArgKind::Field(vec![f]),
            Tok::Variable(v) => {
                self.known(&v)?;
                ArgKind::Variable(v, Vec::new())
            }
            Tok::LeftParen => {
                self.bump();
                let p = self.pipe("parenthesized pipeline", &Tok::RightParen)?;
                return self.chain(ArgKind::Pipe(Box::new(p), Vec::new()), pos).map(Some);
            }
            _ => return Ok(None),
        };
        self.bump();
        self.chain(kind, pos).map(Some)
    }

    /// Fields directly behind an operand.
    fn chain(&mut self, mut kind: ArgKind, pos: usize) -> Result<Arg, Error> {
        let mut second = None;
        while let Tok::Field(f) = self.peek().clone() {
            match &mut kind {
                ArgKind::Field(path) | ArgKind::Variable(_, path) | ArgKind::Pipe(_, path) => path.push(f),
                _ => {
                    let found = self.describe();
                    return self.error(format!("unexpected {found} after term"));
                }
            }
            second = second.or(Some(self.items[self.at].pos));
            self.bump();
        }
        let end = self.items[self.at.saturating_sub(1)].end;
        let text = self.text.get(pos..end).unwrap_or("").trim().to_owned();
        // Go reports a chain of fields at its second part.
        let pos = match kind {
            ArgKind::Field(_) | ArgKind::Variable(..) => second.unwrap_or(pos),
            _ => pos,
        };
        Ok(Arg { kind, pos, text })
    }
}
