//! The grammar of `awk`.

use super::{Expr, Pattern, Rule, Stmt};
use crate::regex::Regex;
use sim::Limits;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
enum Tok {
    Num(f64),
    Str(String),
    Re(String),
    Name(String),
    /// A name with `(` right behind it.
    Call(String),
    Op(&'static str),
    Newline,
    End,
}

const OPS: [&str; 46] = [
    "**=", "&&", "||", "==", "!=", "<=", ">=", ">>", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "**",
    "!~", "{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "~", "=", "?",
    ":", "$", "|", "&", "@", "#", "\\", "'",
];

struct Parser {
    toks: Vec<Tok>,
    at: usize,
    depth: usize,
    no_in: bool,
    no_gt: bool,
}

type Parsed<T> = Result<T, String>;

fn lex(text: &str) -> Parsed<Vec<Tok>> {
    let c: Vec<char> = text.chars().collect();
    let mut out: Vec<Tok> = Vec::new();
    let mut i = 0;
    while let Some(&ch) = c.get(i) {
        if ch == '\n' {
            out.push(Tok::Newline);
            i += 1;
        } else if ch == '\\' && c.get(i + 1) == Some(&'\n') {
            i += 2;
        } else if ch.is_whitespace() {
            i += 1;
        } else if ch == '#' {
            while c.get(i).is_some_and(|c| *c != '\n') {
                i += 1;
            }
        } else if ch.is_ascii_digit() || ch == '.' && c.get(i + 1).is_some_and(char::is_ascii_digit) {
            let start = i;
            while c.get(i).is_some_and(|c| c.is_ascii_digit() || *c == '.') {
                i += 1;
            }
            if matches!(c.get(i), Some('e' | 'E'))
                && c.get(i + 1).is_some_and(|c| c.is_ascii_digit() || *c == '-')
            {
                i += 2;
                while c.get(i).is_some_and(char::is_ascii_digit) {
                    i += 1;
                }
            }
            let s: String = c.iter().skip(start).take(i - start).collect();
            out.push(Tok::Num(s.parse().unwrap_or(0.0)));
        } else if ch.is_ascii_alphabetic() || ch == '_' {
            let start = i;
            while c.get(i).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_') {
                i += 1;
            }
            let s: String = c.iter().skip(start).take(i - start).collect();
            out.push(if c.get(i) == Some(&'(') { Tok::Call(s) } else { Tok::Name(s) });
        } else if ch == '"' {
            let (s, n) = quoted(&c, i + 1, '"')?;
            out.push(Tok::Str(
                String::from_utf8_lossy(&crate::text::unescape(&s, crate::text::Escapes::Printf).0)
                    .into_owned(),
            ));
            i = n;
        } else if ch == '/' && regex_may_start(out.last()) {
            let (s, n) = quoted(&c, i + 1, '/')?;
            out.push(Tok::Re(s.replace("\\/", "/")));
            i = n;
        } else {
            let op = OPS.iter().find(|o| o.chars().enumerate().all(|(k, x)| c.get(i + k) == Some(&x)));
            let Some(op) = op else { return Err("Unexpected token".into()) };
            out.push(Tok::Op(op));
            i += op.len();
        }
    }
    out.push(Tok::End);
    Ok(out)
}

fn quoted(c: &[char], mut i: usize, end: char) -> Parsed<(String, usize)> {
    let mut s = String::new();
    loop {
        match c.get(i) {
            None | Some('\n') => return Err("Unexpected end of string".into()),
            Some(x) if *x == end => return Ok((s, i + 1)),
            Some('\\') => {
                s.push('\\');
                s.extend(c.get(i + 1));
                i += 2;
            }
            Some(x) => {
                s.push(*x);
                i += 1;
            }
        }
    }
}

fn regex_may_start(last: Option<&Tok>) -> bool {
    !matches!(last, Some(Tok::Num(_) | Tok::Str(_) | Tok::Name(_) | Tok::Op(")" | "]" | "$" | "++" | "--")))
}

impl Parser {
    fn peek(&self) -> &Tok {
        self.toks.get(self.at).unwrap_or(&Tok::End)
    }

    fn is(&self, op: &str) -> bool {
        matches!(self.peek(), Tok::Op(o) if *o == op)
    }

    fn name_is(&self, n: &str) -> bool {
        matches!(self.peek(), Tok::Name(x) | Tok::Call(x) if x == n)
    }

    fn eat(&mut self, op: &str) -> bool {
        let hit = self.is(op);
        self.at += usize::from(hit);
        hit
    }

    fn want(&mut self, op: &str) -> Parsed<()> {
        if self.eat(op) { Ok(()) } else { Err("Unexpected token".into()) }
    }

    fn newlines(&mut self) {
        while matches!(self.peek(), Tok::Newline) || self.is(";") {
            self.at += 1;
        }
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max * 4 { Err("nesting too deep".into()) } else { Ok(()) }
    }

    fn program(&mut self) -> Parsed<Vec<Rule>> {
        let mut rules = Vec::new();
        loop {
            self.newlines();
            if *self.peek() == Tok::End {
                return Ok(rules);
            }
            let pattern = if self.name_is("BEGIN") {
                self.at += 1;
                Pattern::Begin
            } else if self.name_is("END") {
                self.at += 1;
                Pattern::End
            } else if self.is("{") {
                Pattern::All
            } else if self.name_is("function") || self.name_is("func") {
                return Err("functions are not supported".into());
            } else {
                let a = self.expr()?;
                if self.eat(",") { Pattern::Range(a, self.expr()?) } else { Pattern::Expr(a) }
            };
            let body = if self.is("{") { Some(self.block()?) } else { None };
            rules.push(Rule { pattern, body });
        }
    }

    fn block(&mut self) -> Parsed<Stmt> {
        self.enter()?;
        self.want("{")?;
        let mut list = Vec::new();
        loop {
            self.newlines();
            if self.eat("}") {
                self.depth -= 1;
                return Ok(Stmt::Block(list));
            }
            if *self.peek() == Tok::End {
                return Err("Unexpected token".into());
            }
            list.push(self.stmt()?);
        }
    }

    fn body(&mut self) -> Parsed<Box<Stmt>> {
        while matches!(self.peek(), Tok::Newline) {
            self.at += 1;
        }
        if self.eat(";") {
            return Ok(Box::new(Stmt::Block(Vec::new())));
        }
        self.stmt().map(Box::new)
    }

    fn stmt(&mut self) -> Parsed<Stmt> {
        self.enter()?;
        let s = self.stmt_inner();
        self.depth -= 1;
        s
    }

    fn stmt_inner(&mut self) -> Parsed<Stmt> {
        if self.is("{") {
            return self.block();
        }
        let word = match self.peek() {
            Tok::Name(n) | Tok::Call(n) => n.clone(),
            _ => return self.simple(),
        };
        match word.as_str() {
            "if" => {
                self.at += 1;
                let c = self.paren()?;
                let then = self.body()?;
                let at = self.at;
                self.newlines();
                if self.name_is("else") {
                    self.at += 1;
                    return Ok(Stmt::If(c, then, Some(self.body()?)));
                }
                self.at = at;
                Ok(Stmt::If(c, then, None))
            }
            "while" => {
                self.at += 1;
                let c = self.paren()?;
                Ok(Stmt::While(c, self.body()?))
            }
            "do" => {
                self.at += 1;
                let b = self.body()?;
                self.newlines();
                if !self.name_is("while") {
                    return Err("Unexpected token".into());
                }
                self.at += 1;
                Ok(Stmt::Do(b, self.paren()?))
            }
            "for" => self.parse_for(),
            "next" | "nextfile" => {
                self.at += 1;
                Ok(Stmt::Next)
            }
            "break" => {
                self.at += 1;
                Ok(Stmt::Break)
            }
            "continue" => {
                self.at += 1;
                Ok(Stmt::Continue)
            }
            "exit" => {
                self.at += 1;
                let none = matches!(self.peek(), Tok::Newline | Tok::End) || self.is(";") || self.is("}");
                Ok(Stmt::Exit(if none { None } else { Some(self.expr()?) }))
            }
            "delete" => {
                self.at += 1;
                let Tok::Name(n) = self.peek().clone() else { return Err("Unexpected token".into()) };
                self.at += 1;
                let mut list = Vec::new();
                if self.eat("[") {
                    list = self.list("]")?;
                    self.want("]")?;
                }
                Ok(Stmt::Delete(n, list))
            }
            _ => self.simple(),
        }
    }

    fn parse_for(&mut self) -> Parsed<Stmt> {
        self.at += 1;
        self.want("(")?;
        if let (Some(Tok::Name(v)), Some(Tok::Name(w)), Some(Tok::Name(a)), Some(Tok::Op(")"))) = (
            self.toks.get(self.at).cloned(),
            self.toks.get(self.at + 1),
            self.toks.get(self.at + 2).cloned(),
            self.toks.get(self.at + 3),
        ) && w == "in"
        {
            self.at += 4;
            return Ok(Stmt::ForIn(v, a, self.body()?));
        }
        let init = if self.is(";") { None } else { Some(Box::new(self.simple()?)) };
        self.want(";")?;
        let cond = if self.is(";") { None } else { Some(self.expr()?) };
        self.want(";")?;
        let step = if self.is(")") { None } else { Some(Box::new(self.simple()?)) };
        self.want(")")?;
        Ok(Stmt::For(init, cond, step, self.body()?))
    }

    fn paren(&mut self) -> Parsed<Expr> {
        self.want("(")?;
        let e = self.expr()?;
        self.want(")")?;
        Ok(e)
    }

    fn list(&mut self, end: &str) -> Parsed<Vec<Expr>> {
        let mut v = Vec::new();
        while !self.is(end) {
            v.push(self.expr()?);
            if !self.eat(",") {
                break;
            }
            while matches!(self.peek(), Tok::Newline) {
                self.at += 1;
            }
        }
        Ok(v)
    }

    fn simple(&mut self) -> Parsed<Stmt> {
        let formatted = self.name_is("printf");
        if !formatted && !self.name_is("print") {
            return self.expr().map(Stmt::Expr);
        }
        self.at += 1;
        let ends = |p: &Self| {
            matches!(p.peek(), Tok::Newline | Tok::End)
                || p.is(";")
                || p.is("}")
                || p.is(">")
                || p.is(">>")
                || p.is("|")
        };
        let mut list = Vec::new();
        self.no_gt = true;
        if !ends(self) {
            loop {
                list.push(self.expr()?);
                if !self.eat(",") {
                    break;
                }
            }
        }
        self.no_gt = false;
        // `print (a, b)`: the parentheses are not the expression's.
        if let [Expr::Call(n, inner)] = list.as_slice()
            && n.is_empty()
        {
            list = inner.clone();
        }
        let to = if self.eat(">") {
            Some((false, self.concat()?))
        } else if self.eat(">>") {
            Some((true, self.concat()?))
        } else {
            None
        };
        Ok(Stmt::Print(list, formatted, to))
    }

    fn expr(&mut self) -> Parsed<Expr> {
        self.enter()?;
        let e = self.assign();
        self.depth -= 1;
        e
    }

    fn assign(&mut self) -> Parsed<Expr> {
        let left = self.ternary()?;
        for op in ["=", "+=", "-=", "*=", "/=", "%=", "^=", "**="] {
            if self.is(op) && matches!(left, Expr::Var(_) | Expr::Field(_) | Expr::Index(..)) {
                self.at += 1;
                let right = self.expr()?;
                return Ok(Expr::Assign(op, Box::new(left), Box::new(right)));
            }
        }
        Ok(left)
    }

    fn ternary(&mut self) -> Parsed<Expr> {
        let c = self.or()?;
        if !self.eat("?") {
            return Ok(c);
        }
        let a = self.expr()?;
        self.want(":")?;
        let b = self.expr()?;
        Ok(Expr::Cond(Box::new(c), Box::new(a), Box::new(b)))
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut a = self.and()?;
        while self.eat("||") {
            a = Expr::Binary("||", Box::new(a), Box::new(self.and()?));
        }
        Ok(a)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut a = self.membership()?;
        while self.eat("&&") {
            a = Expr::Binary("&&", Box::new(a), Box::new(self.membership()?));
        }
        Ok(a)
    }

    fn membership(&mut self) -> Parsed<Expr> {
        let mut a = self.matching()?;
        while !self.no_in && self.name_is("in") {
            self.at += 1;
            let Tok::Name(n) = self.peek().clone() else { return Err("Unexpected token".into()) };
            self.at += 1;
            a = Expr::In(vec![a], n);
        }
        Ok(a)
    }

    fn matching(&mut self) -> Parsed<Expr> {
        let mut a = self.comparison()?;
        while self.is("~") || self.is("!~") {
            let not = self.is("!~");
            self.at += 1;
            a = Expr::Match(Box::new(a), Box::new(self.comparison()?), not);
        }
        Ok(a)
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let a = self.concat()?;
        for op in ["<=", ">=", "==", "!=", "<", ">"] {
            if self.is(op) && !(op == ">" && self.no_gt) {
                self.at += 1;
                return Ok(Expr::Binary(op, Box::new(a), Box::new(self.concat()?)));
            }
        }
        Ok(a)
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let mut a = self.sum()?;
        loop {
            let starts = match self.peek() {
                Tok::Num(_) | Tok::Str(_) | Tok::Re(_) | Tok::Call(_) => true,
                Tok::Name(n) => n != "in",
                Tok::Op(o) => {
                    matches!(*o, "$" | "(" | "!" | "-" | "+" | "++" | "--") && !matches!(*o, "-" | "+" | "!")
                }
                _ => false,
            };
            if !starts {
                return Ok(a);
            }
            a = Expr::Binary("", Box::new(a), Box::new(self.sum()?));
        }
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let mut a = self.product()?;
        while self.is("+") || self.is("-") {
            let op = if self.is("+") { "+" } else { "-" };
            self.at += 1;
            a = Expr::Binary(op, Box::new(a), Box::new(self.product()?));
        }
        Ok(a)
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut a = self.unary()?;
        while let Some(op) = ["*", "/", "%"].into_iter().find(|o| self.is(o)) {
            self.at += 1;
            a = Expr::Binary(op, Box::new(a), Box::new(self.unary()?));
        }
        Ok(a)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        for op in ["!", "-", "+"] {
            if self.is(op) {
                self.at += 1;
                self.enter()?;
                let e = self.unary();
                self.depth -= 1;
                return Ok(Expr::Unary(op, Box::new(e?)));
            }
        }
        let a = self.postfix()?;
        if self.eat("^") || self.eat("**") {
            return Ok(Expr::Binary("^", Box::new(a), Box::new(self.unary()?)));
        }
        Ok(a)
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let a = self.primary()?;
        if matches!(a, Expr::Var(_) | Expr::Field(_) | Expr::Index(..)) {
            if self.eat("++") {
                return Ok(Expr::Incr(Box::new(a), 1.0, false));
            }
            if self.eat("--") {
                return Ok(Expr::Incr(Box::new(a), -1.0, false));
            }
        }
        Ok(a)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let t = self.peek().clone();
        self.at += 1;
        Ok(match t {
            Tok::Num(n) => Expr::Num(n),
            Tok::Str(s) => Expr::Str(s),
            Tok::Re(s) => Expr::Re(Arc::new(Regex::new(&s, true, false)?)),
            Tok::Op("$") => {
                self.enter()?;
                let e =
                    if self.eat("-") { Expr::Unary("-", Box::new(self.primary()?)) } else { self.primary()? };
                self.depth -= 1;
                Expr::Field(Box::new(e))
            }
            Tok::Op(o @ ("++" | "--")) => {
                let e = self.primary()?;
                Expr::Incr(Box::new(e), if o == "++" { 1.0 } else { -1.0 }, true)
            }
            Tok::Op("(") => {
                let (gt, no_in) = (core::mem::take(&mut self.no_gt), core::mem::take(&mut self.no_in));
                let list = self.list(")")?;
                self.want(")")?;
                (self.no_gt, self.no_in) = (gt, no_in);
                if list.len() > 1 {
                    if self.name_is("in") {
                        self.at += 1;
                        let Tok::Name(n) = self.peek().clone() else { return Err("Unexpected token".into()) };
                        self.at += 1;
                        return Ok(Expr::In(list, n));
                    }
                    return Ok(Expr::Call(String::new(), list));
                }
                match list.into_iter().next() {
                    Some(e) => Expr::Group(Box::new(e)),
                    None => return Err("Unexpected token".into()),
                }
            }
            Tok::Name(n) => {
                if self.eat("[") {
                    let list = self.list("]")?;
                    self.want("]")?;
                    Expr::Index(n, list)
                } else if n == "length" {
                    Expr::Call(n, Vec::new())
                } else if n == "getline" {
                    return Err("getline is not supported".into());
                } else {
                    Expr::Var(n)
                }
            }
            Tok::Call(n) => {
                self.want("(")?;
                let list = self.list(")")?;
                self.want(")")?;
                if !FUNCTIONS.contains(&n.as_str()) {
                    return Err("Call to undefined function".into());
                }
                Expr::Call(n, list)
            }
            _ => return Err("Unexpected token".into()),
        })
    }
}

/// A program's rules.
pub(super) fn program(text: &str) -> Parsed<Vec<Rule>> {
    let toks = lex(text)?;
    Parser { toks, at: 0, depth: 0, no_in: false, no_gt: false }.program()
}

const FUNCTIONS: [&str; 16] = [
    "length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "tolower", "toupper", "int",
    "sqrt", "system", "systime", "strftime", "rand",
];
