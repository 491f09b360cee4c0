//! A small evaluator of CEL, for the validation rules of CustomResourceDefinitions and for admission policies.
//!
//! Known: fields and indices, optional ones (`a.?b`, `a[?b]`), comparison, logic, arithmetic, `in`, `? :`, literals of
//! lists and maps, `has`, the conversions, the macros `all`, `exists`, `exists_one`, `filter`, `map`, and the functions
//! of strings, lists, quantities, durations and times that [`functions`] lists. What is not known is an error of the
//! rule, never of the program.

mod functions;

use crate::{SmolStr, Value};

/// Steps that all rules of one request may take together.
#[derive(Debug)]
pub struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Budget(100_000)
    }
}

/// Parentheses and operators nest no deeper.
const DEPTH_MAX: usize = 64;

/// Whether a rule names a variable.
pub fn mentions(rule: &str, name: &str) -> bool {
    lex(rule).is_ok_and(|t| t.iter().any(|t| matches!(t, Tok::Name(n) if n == name)))
}

/// Whether a text is an expression at all.
pub fn parses(text: &str) -> Result<(), String> {
    let mut p = Parser { toks: lex(text)?, at: 0, depth: 0 };
    p.ternary()?;
    if p.at < p.toks.len() { Err("Syntax error: extraneous input".into()) } else { Ok(()) }
}

/// Evaluates a rule about `self`, and `oldSelf` where there was one.
pub fn evaluate(rule: &str, this: &Value, old: Option<&Value>, budget: &mut Budget) -> Result<bool, String> {
    let mut scope: Scope = vec![("self".into(), this.clone())];
    if let Some(o) = old {
        scope.push(("oldSelf".into(), o.clone()));
    }
    match value_of(rule, &mut scope, budget)? {
        Value::Bool(b) => Ok(b),
        _ => Err("must evaluate to a bool".into()),
    }
}

/// Names with their values; later ones hide earlier ones.
pub type Scope = Vec<(SmolStr, Value)>;

/// Evaluates an expression with these names.
pub fn value_of(text: &str, scope: &mut Scope, budget: &mut Budget) -> Result<Value, String> {
    let mut p = Parser { toks: lex(text)?, at: 0, depth: 0 };
    let e = p.ternary()?;
    if p.at < p.toks.len() {
        return Err("Syntax error: extraneous input".into());
    }
    eval(&e, scope, budget)
}

/// An optional value: a map that nothing else can be.
const OPTIONAL: &str = "\u{1}optional";

fn optional(v: Option<Value>) -> Value {
    let mut out = Value::map();
    out.insert(OPTIONAL, v.into_iter().collect::<Value>());
    out
}

/// The content of an optional value; `None` if it is no optional.
fn as_optional(v: &Value) -> Option<Option<&Value>> {
    v.as_map()?.get(OPTIONAL).map(|l| l.items().next())
}

#[derive(Clone, Debug, PartialEq)]
enum Tok {
    Name(SmolStr),
    Lit(Value),
    Op(&'static str),
}

const OPS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+",
    "-", "*", "/", "%",
];

fn lex(text: &str) -> Result<Vec<Tok>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    'next: while let Some(c) = rest.chars().next() {
        if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if c == '\'' || c == '"' {
            let (s, n) = quoted(rest, c)?;
            out.push(Tok::Lit(Value::str(s)));
            rest = &rest[n..];
            continue;
        }
        if c.is_ascii_digit() {
            let n = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let word = &rest[..n];
            let v = match word.parse::<i64>() {
                Ok(i) => Value::Int(i),
                Err(_) => Value::Float(word.parse().map_err(|_| format!("Syntax error: {word}"))?),
            };
            out.push(Tok::Lit(v));
            rest = rest[n..].trim_start_matches('u');
            continue;
        }
        if c.is_alphabetic() || c == '_' {
            let n = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push(match &rest[..n] {
                "true" => Tok::Lit(Value::Bool(true)),
                "false" => Tok::Lit(Value::Bool(false)),
                "null" => Tok::Lit(Value::Null),
                "in" => Tok::Op("in"),
                // Names that are reserved are written with underscores.
                name => Tok::Name(name.trim_matches('_').into()),
            });
            rest = &rest[n..];
            continue;
        }
        for op in OPS {
            if let Some(r) = rest.strip_prefix(op) {
                out.push(Tok::Op(op));
                rest = r;
                continue 'next;
            }
        }
        return Err(format!("Syntax error: token recognition error at: '{c}'"));
    }
    Ok(out)
}

fn quoted(s: &str, q: char) -> Result<(String, usize), String> {
    let mut out = String::new();
    let mut chars = s.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == q => return Ok((out, i + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c)) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("Syntax error: unterminated string".into())
}

#[derive(Debug)]
enum Expr {
    Lit(Value),
    Name(SmolStr),
    Field(Box<Expr>, SmolStr),
    Index(Box<Expr>, Box<Expr>),
    Call(Option<Box<Expr>>, SmolStr, Vec<Expr>),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Bin(&'static str, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// A field or index that may be missing.
    Maybe(Box<Expr>, Box<Expr>),
}

struct Parser {
    toks: Vec<Tok>,
    at: usize,
    depth: usize,
}

/// Operators by how tight they bind, loosest first.
const LEVELS: [&[&str]; 5] =
    [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"], &["*", "/", "%"]];

impl Parser {
    fn eat(&mut self, op: &str) -> bool {
        let yes = matches!(self.toks.get(self.at), Some(Tok::Op(o)) if *o == op);
        self.at += usize::from(yes);
        yes
    }

    fn expect(&mut self, op: &str) -> Result<(), String> {
        if self.eat(op) { Ok(()) } else { Err(format!("Syntax error: missing '{op}'")) }
    }

    fn ternary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("expression is nested too deep".into());
        }
        let e = self.binary(0)?;
        let e = if self.eat("?") {
            let a = self.ternary()?;
            self.expect(":")?;
            Expr::If(Box::new(e), Box::new(a), Box::new(self.ternary()?))
        } else {
            e
        };
        self.depth -= 1;
        Ok(e)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        let Some(ops) = LEVELS.get(level) else { return self.unary() };
        let mut e = self.binary(level + 1)?;
        'more: loop {
            for op in *ops {
                if self.eat(op) {
                    e = Expr::Bin(op, Box::new(e), Box::new(self.binary(level + 1)?));
                    continue 'more;
                }
            }
            return Ok(e);
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("expression is nested too deep".into());
        }
        let e = if self.eat("!") {
            Expr::Not(Box::new(self.unary()?))
        } else if self.eat("-") {
            Expr::Neg(Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.depth -= 1;
        Ok(e)
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let mut e = self.primary()?;
        loop {
            if self.eat(".") {
                let maybe = self.eat("?");
                let Some(Tok::Name(n)) = self.toks.get(self.at).cloned() else {
                    return Err("Syntax error: expected a name after '.'".into());
                };
                self.at += 1;
                e = if maybe {
                    Expr::Maybe(Box::new(e), Box::new(Expr::Lit(Value::Str(n))))
                } else if self.eat("(") {
                    Expr::Call(Some(Box::new(e)), n, self.list(")")?)
                } else {
                    Expr::Field(Box::new(e), n)
                };
            } else if self.eat("[") {
                let maybe = self.eat("?");
                let i = self.ternary()?;
                self.expect("]")?;
                let (of, i) = (Box::new(e), Box::new(i));
                e = if maybe { Expr::Maybe(of, i) } else { Expr::Index(of, i) };
            } else {
                return Ok(e);
            }
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, String> {
        let mut all = Vec::new();
        while !self.eat(end) {
            if !all.is_empty() {
                self.expect(",")?;
            }
            all.push(self.ternary()?);
        }
        Ok(all)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let Some(t) = self.toks.get(self.at).cloned() else {
            return Err("Syntax error: mismatched input '<EOF>'".into());
        };
        self.at += 1;
        match t {
            Tok::Lit(v) => Ok(Expr::Lit(v)),
            Tok::Name(n) if self.eat("(") => Ok(Expr::Call(None, n, self.list(")")?)),
            Tok::Name(n) => Ok(Expr::Name(n)),
            Tok::Op("(") => {
                let e = self.ternary()?;
                self.expect(")")?;
                Ok(e)
            }
            Tok::Op("[") => Ok(Expr::List(self.list("]")?)),
            Tok::Op("{") => {
                let mut all = Vec::new();
                while !self.eat("}") {
                    if !all.is_empty() {
                        self.expect(",")?;
                    }
                    let k = self.ternary()?;
                    self.expect(":")?;
                    all.push((k, self.ternary()?));
                }
                Ok(Expr::Map(all))
            }
            Tok::Op(o) => Err(format!("Syntax error: mismatched input '{o}'")),
        }
    }
}

/// No text that an expression makes is longer, in bytes, and no list.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;
const LIST_MAX: usize = 1 << 16;

/// What making a value costs besides the step: large ones cost more.
fn charge(v: &Value, b: &mut Budget) -> Result<(), String> {
    let (size, max, unit) = match v {
        Value::Str(t) => (t.len(), TEXT_BYTES_MAX, 256),
        Value::List(l) => (l.len(), LIST_MAX, 8),
        _ => return Ok(()),
    };
    let left = b.0.checked_sub((size / unit) as u32).filter(|_| size <= max);
    b.0 = left.ok_or(TOO_COSTLY)?;
    Ok(())
}

const TOO_COSTLY: &str = "operation cancelled: actual cost limit exceeded";

fn eval(e: &Expr, s: &mut Scope, b: &mut Budget) -> Result<Value, String> {
    b.0 = b.0.checked_sub(1).ok_or(TOO_COSTLY)?;
    let v = step(e, s, b)?;
    if matches!(e, Expr::Bin(..) | Expr::Call(..)) {
        charge(&v, b)?;
    }
    Ok(v)
}

fn step(e: &Expr, s: &mut Scope, b: &mut Budget) -> Result<Value, String> {
    match e {
        Expr::Lit(v) => Ok(v.clone()),
        Expr::Name(n) => match s.iter().rev().find(|(k, _)| k == n) {
            Some((_, v)) => Ok(v.clone()),
            None => functions::type_of_name(n).ok_or_else(|| format!("undeclared reference to '{n}'")),
        },
        Expr::Field(of, n) => {
            let v = eval(of, s, b)?;
            if let Some(inner) = as_optional(&v) {
                return Ok(optional(inner.and_then(|v| v.as_map()?.get(n)).cloned()));
            }
            match v.as_map().and_then(|m| m.get(n)) {
                Some(v) => Ok(v.clone()),
                None => Err(format!("no such key: {n}")),
            }
        }
        Expr::Maybe(of, i) => {
            let (v, i) = (eval(of, s, b)?, eval(i, s, b)?);
            let v = match as_optional(&v) {
                Some(inner) => inner.cloned(),
                None => Some(v),
            };
            Ok(optional(v.and_then(|v| item(&v, &i).cloned())))
        }
        Expr::Map(all) => {
            let mut out = Value::map();
            for (k, v) in all {
                let (k, v) = (eval(k, s, b)?, eval(v, s, b)?);
                out.insert(functions::text(&k), v);
            }
            Ok(out)
        }
        Expr::Index(of, i) => {
            let (v, i) = (eval(of, s, b)?, eval(i, s, b)?);
            item(&v, &i).cloned().ok_or_else(|| match v {
                Value::List(_) => format!("index out of bounds: {}", i.to_json()),
                _ => format!("no such key: {}", i.text()),
            })
        }
        Expr::Not(x) => match eval(x, s, b)? {
            Value::Bool(v) => Ok(Value::Bool(!v)),
            _ => Err("no such overload".into()),
        },
        Expr::Neg(x) => match eval(x, s, b)? {
            Value::Int(i) => i.checked_neg().map(Value::Int).ok_or("integer overflow".into()),
            Value::Float(f) => Ok(Value::Float(-f)),
            _ => Err("no such overload".into()),
        },
        Expr::If(c, x, y) => match eval(c, s, b)? {
            Value::Bool(true) => eval(x, s, b),
            Value::Bool(false) => eval(y, s, b),
            _ => Err("no such overload".into()),
        },
        Expr::List(all) => all.iter().map(|e| eval(e, s, b)).collect::<Result<Vec<_>, _>>().map(Value::from),
        Expr::Bin(op @ ("&&" | "||"), x, y) => logic(op, x, y, s, b),
        Expr::Bin(op, x, y) => {
            let (x, y) = (eval(x, s, b)?, eval(y, s, b)?);
            binary(op, &x, &y)
        }
        Expr::Call(of, name, args) => call(of.as_deref(), name, args, s, b),
    }
}

/// What stands at an index or key.
fn item<'a>(v: &'a Value, i: &Value) -> Option<&'a Value> {
    match (v, i) {
        (Value::List(l), Value::Int(i)) => usize::try_from(*i).ok().and_then(|i| l.get(i)),
        (Value::Map(m), Value::Str(k)) => m.get(k),
        _ => None,
    }
}

/// `&&` and `||` take either side's word where the other fails.
fn logic(op: &str, x: &Expr, y: &Expr, s: &mut Scope, b: &mut Budget) -> Result<Value, String> {
    let decides = op == "||";
    let first = eval(x, s, b);
    if first == Ok(Value::Bool(decides)) {
        return first;
    }
    match eval(y, s, b)? {
        Value::Bool(v) if v == decides => Ok(Value::Bool(v)),
        Value::Bool(_) => first,
        _ => Err("no such overload".into()),
    }
}

fn binary(op: &str, x: &Value, y: &Value) -> Result<Value, String> {
    let float = |v: &Value| match v {
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    };
    let order = match (x, y) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => match (float(x), float(y)) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
    };
    let cmp = |f: fn(core::cmp::Ordering) -> bool| {
        order.map(|o| Value::Bool(f(o))).ok_or_else(|| "no such overload".to_owned())
    };
    let overflow = || "integer overflow".to_owned();
    match (op, x, y) {
        ("==", ..) => Ok(Value::Bool(order.map_or(x == y, |o| o.is_eq()))),
        ("!=", ..) => Ok(Value::Bool(!order.map_or(x == y, |o| o.is_eq()))),
        ("<", ..) => cmp(|o| o.is_lt()),
        ("<=", ..) => cmp(|o| o.is_le()),
        (">", ..) => cmp(|o| o.is_gt()),
        (">=", ..) => cmp(|o| o.is_ge()),
        ("in", x, Value::List(l)) => Ok(Value::Bool(l.iter().any(|v| v == x))),
        ("in", Value::Str(k), Value::Map(m)) => Ok(Value::Bool(m.contains(k))),
        ("+", Value::Str(a), Value::Str(b)) => Ok(Value::str(format!("{a}{b}"))),
        ("+", Value::List(a), Value::List(b)) => {
            Ok(Value::from(a.iter().chain(b.iter()).cloned().collect::<Vec<_>>()))
        }
        ("+", Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(overflow),
        ("-", Value::Int(a), Value::Int(b)) => a.checked_sub(*b).map(Value::Int).ok_or_else(overflow),
        ("*", Value::Int(a), Value::Int(b)) => a.checked_mul(*b).map(Value::Int).ok_or_else(overflow),
        ("/", Value::Int(_), Value::Int(0)) => Err("division by zero".into()),
        ("%", Value::Int(_), Value::Int(0)) => Err("modulus by zero".into()),
        ("/", Value::Int(a), Value::Int(b)) => a.checked_div(*b).map(Value::Int).ok_or_else(overflow),
        ("%", Value::Int(a), Value::Int(b)) => a.checked_rem(*b).map(Value::Int).ok_or_else(overflow),
        (op, a, b) => match (float(a), float(b), op) {
            (Some(a), Some(b), "+") => Ok(Value::Float(a + b)),
            (Some(a), Some(b), "-") => Ok(Value::Float(a - b)),
            (Some(a), Some(b), "*") => Ok(Value::Float(a * b)),
            (Some(a), Some(b), "/") => Ok(Value::Float(a / b)),
            _ => Err("no such overload".into()),
        },
    }
}

fn call(
    of: Option<&Expr>,
    name: &str,
    args: &[Expr],
    s: &mut Scope,
    b: &mut Budget,
) -> Result<Value, String> {
    let Some(of) = of else {
        return match (name, args) {
            ("has", [Expr::Field(of, n)]) => {
                let v = eval(of, s, b)?;
                Ok(Value::Bool(v.as_map().is_some_and(|m| m.contains(n))))
            }
            _ => {
                let args = args.iter().map(|a| eval(a, s, b)).collect::<Result<Vec<_>, _>>()?;
                functions::global(name, &args)
            }
        };
    };
    // A namespace of functions, not a value.
    if let (Expr::Name(space), true) = (of, s.iter().all(|(k, _)| !matches!(of, Expr::Name(n) if n == k))) {
        if let ("cel", "bind", [Expr::Name(var), value, body]) = (space.as_str(), name, args) {
            let v = eval(value, s, b)?;
            s.push((var.clone(), v));
            let r = eval(body, s, b);
            s.pop();
            return r;
        }
        let args = args.iter().map(|a| eval(a, s, b)).collect::<Result<Vec<_>, _>>()?;
        return match (space.as_str(), name, &args[..]) {
            ("optional", "of", [v]) => Ok(optional(Some(v.clone()))),
            ("optional", "none", []) => Ok(optional(None)),
            _ => functions::global(&format!("{space}.{name}"), &args),
        };
    }
    let v = eval(of, s, b)?;
    if let ("all" | "exists" | "exists_one" | "filter" | "map", [Expr::Name(var), body @ ..]) = (name, args) {
        return each(&v, name, var, body, s, b);
    }
    let args = args.iter().map(|a| eval(a, s, b)).collect::<Result<Vec<_>, _>>()?;
    functions::method(name, &v, &args)
}

fn each(
    v: &Value,
    name: &str,
    var: &SmolStr,
    body: &[Expr],
    s: &mut Scope,
    b: &mut Budget,
) -> Result<Value, String> {
    let items: Vec<Value> = match v {
        Value::List(l) => l.iter().cloned().collect(),
        Value::Map(m) => m.keys().map(|k| Value::str(k.as_str())).collect(),
        _ => return Err("no such overload".into()),
    };
    let (condition, result) = match body {
        [x] => (x, x),
        [c, x] if name == "map" => (c, x),
        _ => return Err(format!("found no matching overload for '{name}'")),
    };
    let (mut out, mut hits) = (Vec::new(), 0usize);
    for item in &items {
        s.push((var.clone(), item.clone()));
        let r = eval(condition, s, b).and_then(|c| match (name, body.len()) {
            ("map", 2) if c == Value::Bool(true) => eval(result, s, b).map(Some),
            ("map", 2) => Ok(None),
            _ => Ok(Some(c)),
        });
        s.pop();
        match (name, r?) {
            ("map", Some(v)) => out.push(v),
            ("map", None) => {}
            ("filter", Some(Value::Bool(true))) => out.push(item.clone()),
            (_, Some(Value::Bool(true))) => hits += 1,
            _ => {}
        }
    }
    Ok(match name {
        "all" => Value::Bool(hits == items.len()),
        "exists" => Value::Bool(hits > 0),
        "exists_one" => Value::Bool(hits == 1),
        _ => Value::from(out),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    #[test]
    fn rules() {
        let v = obj!({"min": 1, "max": 5, "name": "abc", "list": [1, 2, 3], "tags": {"a": "b"}});
        let run = |r: &str| evaluate(r, &v, None, &mut Budget::default());
        for rule in [
            "self.min <= self.max",
            "self.min + 2 * 2 == self.max",
            "self.list.all(x, x > 0) && self.list.exists(x, x == 2)",
            "size(self.name) == 3 && self.name.matches('^a') && !self.name.endsWith('a')",
            "'a' in self.tags && 2 in self.list",
            "self.list.filter(x, x > 1).size() == 2",
            "self.list.map(x, x * 2)[1] == 4",
            "has(self.nope) ? false : true",
            "self.nope == 1 || true",
            "self.?nope.orValue(3) == 3 && self.?min.hasValue() && self.tags[?'a'].orValue('') == 'b'",
            "{'a': 1}['a'] == 1 && [1, 2].sum() == 3 && [1, 3].isSorted() && ['x', 'y'].join('-') == 'x-y'",
            "quantity('1Gi').isLessThan(quantity('2Gi')) && isQuantity('5m') && !isQuantity('x')",
            "duration('90s') < duration('2m') && timestamp('2024-01-01T00:00:00Z').getFullYear() == 2024",
            "'a-b-c'.replace('-', '.') == 'a.b.c' && 'hello'.substring(1, 3) == 'el' && 'abc'.indexOf('c') == 2",
            "type(self.min) == int && string(5) == '5' && 'abc1'.find('[0-9]+') == '1'",
            "cel.bind(x, self.min + 1, x * x == 4)",
        ] {
            assert_eq!(run(rule), Ok(true), "{rule}");
        }
        assert_eq!(run("self.nope == 1"), Err("no such key: nope".into()));
        let mut doubled = "'xxxxxxxx'".to_owned();
        (0..25).for_each(|i| doubled = format!("cel.bind(v{i}, {doubled}, v{i} + v{i})"));
        assert_eq!(run(&doubled), Err(TOO_COSTLY.into()));
        assert_eq!(run("['a', 'b'].join('x').replace('', self.name) == ''"), Ok(false));
        assert!(run("self.min +").is_err() && run(&"(".repeat(500)).is_err());
        assert!(mentions("self == oldSelf", "oldSelf") && !mentions("self == 'oldSelf'", "oldSelf"));
    }
}
