//! Arithmetic: `$((…))`, `let` and `${x:n}`; 64-bit integers that wrap.

use sim::Limits;

/// Variables as arithmetic sees them.
pub trait Variables {
    /// A variable's text.
    fn get(&self, name: &str) -> Option<String>;
    /// Sets a variable.
    fn set(&mut self, name: &str, value: i64);
}

/// Evaluates an expression; an error is ash's text.
pub fn eval(text: &str, vars: &mut dyn Variables) -> Result<i64, String> {
    eval_at(text, vars, 0)
}

fn eval_at(text: &str, vars: &mut dyn Variables, depth: usize) -> Result<i64, String> {
    let toks = lex(text)?;
    if toks.is_empty() {
        return Ok(0);
    }
    let mut e = Eval { toks: &toks, at: 0, vars, depth, off: false };
    let v = e.comma()?;
    if e.at < toks.len() { Err(bad()) } else { Ok(v) }
}

fn bad() -> String {
    "arithmetic syntax error".into()
}

#[derive(Clone, Debug, PartialEq)]
enum Tok {
    Num(i64),
    Name(String),
    Op(&'static str),
}

const OPS: [&str; 38] = [
    "<<=", ">>=", "++", "--", "**", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "+", "-", "*", "/", "%", "(", ")", "<", ">", "=", "!", "~", "&", "|", "^", "?",
    ":",
];

fn lex(text: &str) -> Result<Vec<Tok>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_digit() {
            let n = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (num, r) = rest.split_at(n);
            out.push(Tok::Num(number(num).ok_or_else(bad)?));
            rest = r;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let n = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, r) = rest.split_at(n);
            out.push(Tok::Name(name.into()));
            rest = r;
        } else if c == ',' {
            out.push(Tok::Op(","));
            rest = rest.get(1..).unwrap_or_default();
        } else if let Some(op) = OPS.iter().find(|o| rest.starts_with(**o)) {
            out.push(Tok::Op(op));
            rest = rest.get(op.len()..).unwrap_or_default();
        } else {
            return Err(bad());
        }
        rest = rest.trim_start();
    }
    Ok(out)
}

fn number(s: &str) -> Option<i64> {
    if let Some(h) = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        return u64::from_str_radix(h, 16).ok().map(|v| v as i64);
    }
    if s.len() > 1 && s.starts_with('0') {
        return i64::from_str_radix(s, 8).ok();
    }
    s.parse::<i64>().ok()
}

struct Eval<'a> {
    toks: &'a [Tok],
    at: usize,
    vars: &'a mut dyn Variables,
    depth: usize,
    /// The value is not wanted (`0 && x`): nothing is assigned and no division fails.
    off: bool,
}

const ASSIGN: [&str; 11] = ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="];

fn level(op: &str) -> Option<u8> {
    Some(match op {
        "||" => 1,
        "&&" => 2,
        "|" => 3,
        "^" => 4,
        "&" => 5,
        "==" | "!=" => 6,
        "<" | "<=" | ">" | ">=" => 7,
        "<<" | ">>" => 8,
        "+" | "-" => 9,
        "*" | "/" | "%" => 10,
        "**" => 11,
        _ => return None,
    })
}

impl Eval<'_> {
    fn peek(&self) -> Option<&'static str> {
        match self.toks.get(self.at) {
            Some(Tok::Op(o)) => Some(o),
            _ => None,
        }
    }

    fn comma(&mut self) -> Result<i64, String> {
        let mut v = self.assign()?;
        while self.peek() == Some(",") {
            self.at += 1;
            v = self.assign()?;
        }
        Ok(v)
    }

    fn assign(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max {
            return Err("expression recursion loop detected".into());
        }
        let r = self.assign_inner();
        self.depth -= 1;
        r
    }

    fn assign_inner(&mut self) -> Result<i64, String> {
        if let (Some(Tok::Name(n)), Some(Tok::Op(op))) = (self.toks.get(self.at), self.toks.get(self.at + 1))
            && ASSIGN.contains(op)
        {
            let (name, op) = (n.clone(), *op);
            self.at += 2;
            let right = self.assign()?;
            let v = if op == "=" {
                right
            } else {
                let left = self.value(&name)?;
                self.apply(op.strip_suffix('=').unwrap_or(op), left, right)?
            };
            if !self.off {
                self.vars.set(&name, v);
            }
            return Ok(v);
        }
        self.ternary()
    }

    fn ternary(&mut self) -> Result<i64, String> {
        let cond = self.binary(1)?;
        if self.peek() != Some("?") {
            return Ok(cond);
        }
        self.at += 1;
        let was = self.off;
        self.off = was || cond == 0;
        let a = self.assign()?;
        if self.peek() != Some(":") {
            return Err(bad());
        }
        self.at += 1;
        self.off = was || cond != 0;
        let b = self.assign()?;
        self.off = was;
        Ok(if cond != 0 { a } else { b })
    }

    fn binary(&mut self, min: u8) -> Result<i64, String> {
        let mut left = self.unary()?;
        while let Some(op) = self.peek() {
            let Some(l) = level(op) else { break };
            if l < min {
                break;
            }
            self.at += 1;
            let was = self.off;
            if (op == "&&" && left == 0) || (op == "||" && left != 0) {
                self.off = true;
            }
            // Only the power binds to the right.
            let right = self.binary(if op == "**" { l } else { l + 1 })?;
            left = match op {
                "&&" => i64::from(left != 0 && right != 0),
                "||" => i64::from(left != 0 || right != 0),
                _ => self.apply(op, left, right)?,
            };
            self.off = was;
        }
        Ok(left)
    }

    fn apply(&self, op: &str, a: i64, b: i64) -> Result<i64, String> {
        Ok(match op {
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" | "%" if b == 0 => {
                if self.off {
                    0
                } else {
                    return Err("divide by zero".into());
                }
            }
            "/" => a.wrapping_div(b),
            "%" => a.wrapping_rem(b),
            "**" => {
                if b < 0 {
                    return Err("exponent less than 0".into());
                }
                a.wrapping_pow(u32::try_from(b).unwrap_or(u32::MAX))
            }
            "<<" => a.wrapping_shl(b as u32),
            ">>" => a.wrapping_shr(b as u32),
            "<" => i64::from(a < b),
            "<=" => i64::from(a <= b),
            ">" => i64::from(a > b),
            ">=" => i64::from(a >= b),
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "&" => a & b,
            "|" => a | b,
            "^" => a ^ b,
            _ => return Err(bad()),
        })
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max * 2 {
            return Err("expression recursion loop detected".into());
        }
        let r = self.unary_inner();
        self.depth -= 1;
        r
    }

    fn unary_inner(&mut self) -> Result<i64, String> {
        match self.toks.get(self.at).cloned() {
            Some(Tok::Op(op @ ("+" | "-" | "!" | "~"))) => {
                self.at += 1;
                let v = self.unary()?;
                Ok(match op {
                    "-" => v.wrapping_neg(),
                    "!" => i64::from(v == 0),
                    "~" => !v,
                    _ => v,
                })
            }
            Some(Tok::Op(op @ ("++" | "--"))) => {
                self.at += 1;
                let Some(Tok::Name(n)) = self.toks.get(self.at).cloned() else { return Err(bad()) };
                self.at += 1;
                let v = self.value(&n)?.wrapping_add(if op == "++" { 1 } else { -1 });
                if !self.off {
                    self.vars.set(&n, v);
                }
                Ok(v)
            }
            Some(Tok::Op("(")) => {
                self.at += 1;
                let v = self.comma()?;
                if self.peek() != Some(")") {
                    return Err(bad());
                }
                self.at += 1;
                Ok(v)
            }
            Some(Tok::Num(n)) => {
                self.at += 1;
                Ok(n)
            }
            Some(Tok::Name(n)) => {
                self.at += 1;
                let v = self.value(&n)?;
                if let Some(op @ ("++" | "--")) = self.peek() {
                    self.at += 1;
                    if !self.off {
                        self.vars.set(&n, v.wrapping_add(if op == "++" { 1 } else { -1 }));
                    }
                }
                Ok(v)
            }
            _ => Err(bad()),
        }
    }

    fn value(&mut self, name: &str) -> Result<i64, String> {
        let Some(text) = self.vars.get(name) else { return Ok(0) };
        let t = text.trim();
        if t.is_empty() {
            return Ok(0);
        }
        if let Ok(v) = t.parse::<i64>() {
            return Ok(v);
        }
        if self.depth >= Limits::TABLE.shell_nesting_max {
            return Err("expression recursion loop detected".into());
        }
        eval_at(t, self.vars, self.depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    impl Variables for BTreeMap<String, String> {
        fn get(&self, name: &str) -> Option<String> {
            BTreeMap::get(self, name).cloned()
        }
        fn set(&mut self, name: &str, value: i64) {
            self.insert(name.into(), value.to_string());
        }
    }

    #[test]
    fn expressions() {
        let mut v = BTreeMap::from([("x".to_string(), "3".to_string()), ("loop".into(), "loop".into())]);
        for (e, want) in [
            ("1+2*3", Ok(7)),
            ("(1+2)*3", Ok(9)),
            ("x++ + ++x", Ok(8)),
            ("x", Ok(5)),
            ("y = 4, y*2", Ok(8)),
            ("1 ? 2 : 3", Ok(2)),
            ("0 && 1/0", Ok(0)),
            ("1/0", Err("divide by zero".to_string())),
            ("1+", Err(bad())),
            ("-2**2", Ok(4)),
            ("0x10 + 010", Ok(24)),
            ("", Ok(0)),
        ] {
            assert_eq!(eval(e, &mut v), want, "{e}");
        }
        assert!(eval("loop", &mut v).is_err());
        assert!(eval(&"(".repeat(5000), &mut v).is_err());
    }
}
