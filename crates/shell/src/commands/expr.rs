//! `expr`

use super::once::{Cx, Ran};
use crate::regex::Regex;
use sim::Limits;

struct Eval<'a> {
    args: &'a [String],
    at: usize,
    depth: usize,
}

type Value = Result<String, String>;

fn int(s: &str) -> Option<i64> {
    s.parse().ok()
}

fn truth(s: &str) -> bool {
    !s.is_empty() && int(s) != Some(0)
}

impl Eval<'_> {
    fn peek(&self) -> Option<&str> {
        self.args.get(self.at).map(String::as_str)
    }

    fn level(&mut self, level: usize) -> Value {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max * 8 {
            return Err("syntax error".into());
        }
        let v = self.level_inner(level);
        self.depth -= 1;
        v
    }

    fn level_inner(&mut self, level: usize) -> Value {
        const OPS: [&[&str]; 6] =
            [&["|"], &["&"], &["<", "<=", "=", "==", "!=", ">=", ">"], &["+", "-"], &["*", "/", "%"], &[":"]];
        let Some(ops) = OPS.get(level) else { return self.primary() };
        let mut a = self.level(level + 1)?;
        while let Some(op) = self.peek().filter(|o| ops.contains(o)).map(str::to_string) {
            self.at += 1;
            let b = self.level(level + 1)?;
            a = apply(&op, &a, &b)?;
        }
        Ok(a)
    }

    fn next(&mut self) -> Value {
        self.at += 1;
        self.args.get(self.at - 1).cloned().ok_or_else(|| "syntax error".into())
    }

    fn primary(&mut self) -> Value {
        let t = self.next()?;
        match t.as_str() {
            "(" => {
                let v = self.level(0)?;
                if self.next()? != ")" {
                    return Err("syntax error".into());
                }
                Ok(v)
            }
            "length" if self.at < self.args.len() => Ok(self.next()?.chars().count().to_string()),
            "match" if self.at + 1 < self.args.len() => {
                let (a, b) = (self.next()?, self.next()?);
                apply(":", &a, &b)
            }
            "index" if self.at + 1 < self.args.len() => {
                let (a, b) = (self.next()?, self.next()?);
                Ok(a.chars().position(|c| b.contains(c)).map_or(0, |i| i + 1).to_string())
            }
            "substr" if self.at + 2 < self.args.len() => {
                let (s, p, n) = (self.next()?, self.next()?, self.next()?);
                let (Some(p), Some(n)) = (int(&p), int(&n)) else { return Ok(String::new()) };
                if p < 1 || n < 1 {
                    return Ok(String::new());
                }
                Ok(s.chars().skip(p as usize - 1).take(n as usize).collect())
            }
            _ => Ok(t),
        }
    }
}

fn apply(op: &str, a: &str, b: &str) -> Value {
    let numbers = || match (int(a), int(b)) {
        (Some(x), Some(y)) => Ok((x, y)),
        _ => Err("non-numeric argument".to_string()),
    };
    Ok(match op {
        "|" => if truth(a) { a } else { b }.to_string(),
        "&" => if truth(a) && truth(b) { a } else { "0" }.to_string(),
        ":" => {
            let re = Regex::new(&format!("^{}", b.strip_prefix('^').unwrap_or(b)), false, false)?;
            let found = re.find(a, 0);
            if re.groups() > 1 {
                let g = found.and_then(|g| g.get(1).copied().flatten());
                g.and_then(|(x, y)| a.get(x..y)).unwrap_or_default().to_string()
            } else {
                let m = found.and_then(|g| g.first().copied().flatten());
                m.and_then(|(x, y)| a.get(x..y)).map_or(0, |m| m.chars().count()).to_string()
            }
        }
        "+" => numbers().map(|(x, y)| x.wrapping_add(y).to_string())?,
        "-" => numbers().map(|(x, y)| x.wrapping_sub(y).to_string())?,
        "*" => numbers().map(|(x, y)| x.wrapping_mul(y).to_string())?,
        "/" | "%" => {
            let (x, y) = numbers()?;
            if y == 0 {
                return Err("division by zero".into());
            }
            if op == "/" { x.wrapping_div(y) } else { x.wrapping_rem(y) }.to_string()
        }
        _ => {
            let o = match (int(a), int(b)) {
                (Some(x), Some(y)) => x.cmp(&y),
                _ => a.cmp(b),
            };
            i32::from(match op {
                "<" => o.is_lt(),
                "<=" => o.is_le(),
                ">" => o.is_gt(),
                ">=" => o.is_ge(),
                "!=" => o.is_ne(),
                _ => o.is_eq(),
            })
            .to_string()
        }
    })
}

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    if cx.args.is_empty() {
        cx.err("too few arguments");
        return Ok(2);
    }
    let mut e = Eval { args: cx.args, at: 0, depth: 0 };
    let r = e.level(0).and_then(|v| if e.at < cx.args.len() { Err("syntax error".into()) } else { Ok(v) });
    match r {
        Ok(v) => {
            cx.say(&format!("{v}\n"));
            Ok(i32::from(!truth(&v)))
        }
        Err(m) => {
            cx.err(&m);
            Ok(2)
        }
    }
}
