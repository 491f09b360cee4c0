//! `test`, `[` and `[[`

use super::once::{Cx, Ran};
use crate::sys::{FileType, Sys};
use sim::Limits;

/// An expression of `test` being evaluated.
pub struct Test<'a> {
    sys: &'a mut dyn Sys,
    args: &'a [String],
    at: usize,
    depth: usize,
    same: Option<fn(&str, &str) -> bool>,
}

type Answer = Result<bool, String>;

const BINARY: [&str; 15] =
    ["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef", "=~"];

impl<'a> Test<'a> {
    /// The expression of these arguments.
    pub fn new(sys: &'a mut dyn Sys, args: &'a [String]) -> Self {
        Test { sys, args, at: 0, depth: 0, same: None }
    }

    /// Equality matches patterns, as in `[[`.
    pub fn patterns(mut self, same: fn(&str, &str) -> bool) -> Self {
        self.same = Some(same);
        self
    }

    /// Evaluates; an error is busybox's text.
    pub fn run(mut self) -> Answer {
        let args = self.args;
        let arg = |i: usize| args.get(i).map_or("", String::as_str);
        match args.len() {
            0 => return Ok(false),
            1 => return Ok(!arg(0).is_empty()),
            2 if arg(0) == "!" => return Ok(arg(1).is_empty()),
            3 if BINARY.contains(&arg(1)) => {
                let (a, op, b) = (arg(0).to_string(), arg(1).to_string(), arg(2).to_string());
                return self.binary(&a, &op, &b);
            }
            _ => {}
        }
        let v = self.or()?;
        match self.args.get(self.at) {
            Some(a) => Err(format!("{a}: unknown operand")),
            None => Ok(v),
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.args.get(self.at).map(String::as_str)
    }

    fn or(&mut self) -> Answer {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max {
            return Err("nesting too deep".into());
        }
        let mut v = self.and()?;
        while matches!(self.peek(), Some("-o")) || self.same.is_some() && self.peek() == Some("||") {
            self.at += 1;
            let r = self.and()?;
            v |= r;
        }
        self.depth -= 1;
        Ok(v)
    }

    fn and(&mut self) -> Answer {
        let mut v = self.not()?;
        while matches!(self.peek(), Some("-a")) || self.same.is_some() && self.peek() == Some("&&") {
            self.at += 1;
            let r = self.not()?;
            v &= r;
        }
        Ok(v)
    }

    fn not(&mut self) -> Answer {
        let mut negate = false;
        while self.peek() == Some("!") {
            negate = !negate;
            self.at += 1;
        }
        Ok(self.primary()? != negate)
    }

    fn primary(&mut self) -> Answer {
        let Some(a) = self.peek() else { return Err("argument expected".into()) };
        if let Some(op) = self.args.get(self.at + 1).filter(|o| BINARY.contains(&o.as_str())) {
            let Some(b) = self.args.get(self.at + 2) else { return Err("argument expected".into()) };
            self.at += 3;
            return self.binary(a, op, b);
        }
        if a == "(" {
            self.at += 1;
            let v = self.or()?;
            if self.peek() != Some(")") {
                return Err("closing paren expected".into());
            }
            self.at += 1;
            return Ok(v);
        }
        if a.len() == 2 && a.starts_with('-') && self.args.get(self.at + 1).is_some() {
            let c = a.chars().nth(1).unwrap_or(' ');
            if "bcdefghkLnprsStuwxzGONov".contains(c) {
                let b = self.args.get(self.at + 1).map_or("", String::as_str);
                self.at += 2;
                return self.unary(c, b);
            }
        }
        self.at += 1;
        Ok(!a.is_empty())
    }

    fn unary(&mut self, c: char, arg: &str) -> Answer {
        let stat = |sys: &mut dyn Sys| sys.stat(arg).ok();
        Ok(match c {
            'n' => !arg.is_empty(),
            'z' => arg.is_empty(),
            'e' => stat(self.sys).is_some(),
            'f' => stat(self.sys).is_some_and(|s| s.is_file()),
            'd' => stat(self.sys).is_some_and(|s| s.is_dir()),
            's' => stat(self.sys).is_some_and(|s| s.size > 0),
            'c' => stat(self.sys).is_some_and(|s| s.kind == FileType::Character),
            'p' => stat(self.sys).is_some_and(|s| s.kind == FileType::Fifo),
            'S' => stat(self.sys).is_some_and(|s| s.kind == FileType::Socket),
            'b' => false,
            'L' | 'h' => self.sys.lstat(arg).is_ok_and(|s| s.is_symlink()),
            'r' => self.sys.access(arg, 4).is_ok(),
            'w' => self.sys.access(arg, 2).is_ok(),
            'x' => self.sys.access(arg, 1).is_ok(),
            'u' => stat(self.sys).is_some_and(|s| s.mode & 0o4000 != 0),
            'g' => stat(self.sys).is_some_and(|s| s.mode & 0o2000 != 0),
            'k' => stat(self.sys).is_some_and(|s| s.mode & 0o1000 != 0),
            'O' => {
                let uid = self.sys.uid();
                stat(self.sys).is_some_and(|s| s.uid == uid)
            }
            'G' => {
                let gid = self.sys.gid();
                stat(self.sys).is_some_and(|s| s.gid == gid)
            }
            't' => {
                let fd = number(arg)?;
                self.sys.isatty(fd as i32)
            }
            _ => false,
        })
    }

    fn binary(&mut self, a: &str, op: &str, b: &str) -> Answer {
        Ok(match op {
            "=" | "==" => self.same.map_or(a == b, |f| f(b, a)),
            "!=" => !self.same.map_or(a == b, |f| f(b, a)),
            "<" => a < b,
            ">" => a > b,
            "=~" => crate::regex::Regex::new(b, true, false).is_ok_and(|r| r.is_match(a.as_bytes())),
            "-nt" | "-ot" | "-ef" => {
                let (x, y) = (self.sys.stat(a), self.sys.stat(b));
                match (op, x, y) {
                    ("-nt", Ok(x), Ok(y)) => x.mtime > y.mtime,
                    ("-ot", Ok(x), Ok(y)) => x.mtime < y.mtime,
                    ("-ef", Ok(x), Ok(y)) => (x.dev, x.ino) == (y.dev, y.ino),
                    _ => false,
                }
            }
            _ => {
                let (x, y) = (number(a)?, number(b)?);
                match op {
                    "-eq" => x == y,
                    "-ne" => x != y,
                    "-lt" => x < y,
                    "-le" => x <= y,
                    "-gt" => x > y,
                    _ => x >= y,
                }
            }
        })
    }
}

fn number(s: &str) -> Result<i64, String> {
    let t = s.trim();
    t.strip_prefix('+').unwrap_or(t).parse().map_err(|_| {
        if t.parse::<i128>().is_ok() { format!("{s}: out of range") } else { format!("{s}: bad number") }
    })
}

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    let mut args = cx.args;
    if cx.name == "[" {
        match args.split_last() {
            Some((l, rest)) if l == "]" => args = rest,
            _ => {
                cx.err("missing ]");
                return Ok(2);
            }
        }
    }
    match Test::new(cx.sys, args).run() {
        Ok(v) => Ok(i32::from(!v)),
        Err(m) => {
            cx.err(&m);
            Ok(2)
        }
    }
}
