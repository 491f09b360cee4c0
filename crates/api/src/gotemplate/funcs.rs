//! The functions of templates, and `fmt`'s verbs.

use crate::{Value, gofmt};
use base64::Engine;
use core::cmp::Ordering;

/// A value in a template.
#[derive(Clone, Debug)]
pub(super) enum Dyn {
    /// Nothing: prints `<no value>`.
    Missing,
    /// The word `nil`.
    Nil,
    /// A Go `int`: literals, indices, lengths.
    Int(i64),
    /// What JSON holds; its numbers are floats.
    Val(Value),
}

pub(super) const NAMES: [&str; 18] = [
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "exists",
    "base64decode",
];

/// Checks the number of arguments; an error is what was wanted.
pub(super) fn arity(name: &str, n: usize) -> Result<(), &'static str> {
    let (min, max, want) = match name {
        "not" | "len" | "base64decode" => (1, 1, "1"),
        "and" | "or" | "index" | "slice" | "printf" | "eq" | "exists" => (1, usize::MAX, "at least 1"),
        "ne" | "lt" | "le" | "gt" | "ge" => (2, 2, "2"),
        _ => (0, usize::MAX, ""),
    };
    if n < min || n > max { Err(want) } else { Ok(()) }
}

impl Dyn {
    pub(super) fn truth(&self) -> bool {
        match self {
            Dyn::Missing | Dyn::Nil => false,
            Dyn::Int(i) => *i != 0,
            Dyn::Val(v) => !v.is_empty(),
        }
    }

    /// As an action prints it.
    pub(super) fn print(&self) -> String {
        match self {
            Dyn::Missing | Dyn::Val(Value::Null) => "<no value>".into(),
            v => v.verb_v(),
        }
    }

    fn verb_v(&self) -> String {
        match self {
            Dyn::Missing | Dyn::Nil => "<nil>".into(),
            Dyn::Int(i) => i.to_string(),
            Dyn::Val(v) => gofmt::value(v),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Dyn::Missing | Dyn::Nil => "<nil>",
            Dyn::Int(_) => "int",
            Dyn::Val(v) => gofmt::type_name(v),
        }
    }

    /// The type that a field access names: values out of maps are interfaces.
    pub(super) fn static_type(&self) -> &'static str {
        match self {
            Dyn::Int(_) => "int",
            _ => "interface {}",
        }
    }

    fn is_string(&self) -> bool {
        matches!(self, Dyn::Val(Value::Str(_)))
    }
}

fn truth(b: bool) -> Dyn {
    Dyn::Val(Value::Bool(b))
}

fn text(s: impl Into<crate::SmolStr>) -> Dyn {
    Dyn::Val(Value::str(s))
}

pub(super) fn call(name: &str, args: &[Dyn]) -> Result<Dyn, String> {
    let first = args.first().unwrap_or(&Dyn::Missing);
    Ok(match name {
        "not" => truth(!first.truth()),
        "len" => match first {
            Dyn::Val(Value::Str(s)) => Dyn::Int(s.len() as i64),
            Dyn::Val(v @ (Value::List(_) | Value::Map(_))) => Dyn::Int(v.len() as i64),
            Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null) => return Err("len of nil pointer".into()),
            v => return Err(format!("len of type {}", v.type_name())),
        },
        "index" => return index(args),
        "slice" => return slice(args),
        "print" => text(sprint(args)),
        "println" => {
            let words: Vec<String> = args.iter().map(Dyn::verb_v).collect();
            text(words.join(" ") + "\n")
        }
        "printf" => match first {
            Dyn::Val(Value::Str(f)) => text(sprintf(f, &args[1..])),
            v => return Err(format!("wrong type for value; expected string; got {}", v.type_name())),
        },
        "html" => text(escape(&sprint(args))),
        "base64decode" => match first {
            Dyn::Val(Value::Str(s)) => match base64::engine::general_purpose::STANDARD.decode(s.as_bytes()) {
                Ok(b) => text(String::from_utf8_lossy(&b).into_owned()),
                Err(_) => return Err("base64 decode failed: illegal base64 data".into()),
            },
            v => return Err(format!("wrong type for value; expected string; got {}", v.type_name())),
        },
        "exists" => truth(args.len() > 1 && index(args).is_ok_and(|v| !matches!(v, Dyn::Missing))),
        "eq" => {
            if args.len() < 2 {
                return Err("missing argument for comparison".into());
            }
            let mut hit = false;
            for b in &args[1..] {
                hit |= equal(first, b)?;
            }
            truth(hit)
        }
        "ne" => truth(!equal(first, &args[1])?),
        _ => {
            let o = compare(first, &args[1])?;
            truth(match name {
                "lt" => o == Ordering::Less,
                "le" => o != Ordering::Greater,
                "gt" => o == Ordering::Greater,
                _ => o != Ordering::Less,
            })
        }
    })
}

const INCOMPATIBLE: &str = "incompatible types for comparison";

fn equal(a: &Dyn, b: &Dyn) -> Result<bool, String> {
    match (a, b) {
        (
            Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null),
            Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null),
        ) => Ok(true),
        (Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null), _)
        | (_, Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null)) => Ok(false),
        (Dyn::Int(a), Dyn::Int(b)) => Ok(a == b),
        (Dyn::Val(Value::Map(_) | Value::List(_)), _) | (_, Dyn::Val(Value::Map(_) | Value::List(_))) => {
            Err("non-comparable type".into())
        }
        (Dyn::Val(a), Dyn::Val(b)) if core::mem::discriminant(a) == core::mem::discriminant(b) => Ok(a == b),
        _ => Err(INCOMPATIBLE.into()),
    }
}

fn compare(a: &Dyn, b: &Dyn) -> Result<Ordering, String> {
    match (a, b) {
        (Dyn::Int(a), Dyn::Int(b)) => Ok(a.cmp(b)),
        (Dyn::Val(Value::Str(a)), Dyn::Val(Value::Str(b))) => Ok(a.cmp(b)),
        (Dyn::Val(Value::Float(a)), Dyn::Val(Value::Float(b))) => {
            a.partial_cmp(b).ok_or_else(|| INCOMPATIBLE.into())
        }
        (
            Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null | Value::Bool(_) | Value::Map(_) | Value::List(_)),
            _,
        ) => Err("invalid type for comparison".into()),
        _ => Err(INCOMPATIBLE.into()),
    }
}

fn as_index(v: &Dyn, len: usize) -> Result<usize, String> {
    let i = match v {
        Dyn::Int(i) => *i,
        Dyn::Missing | Dyn::Nil => return Err("cannot index slice/array with nil".into()),
        v => return Err(format!("cannot index slice/array with type {}", v.type_name())),
    };
    usize::try_from(i).ok().filter(|i| *i <= len).ok_or_else(|| format!("index out of range: {i}"))
}

fn index(args: &[Dyn]) -> Result<Dyn, String> {
    let mut v = args[0].clone();
    if matches!(v, Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null)) {
        return Err("index of untyped nil".into());
    }
    for k in &args[1..] {
        v = match &v {
            Dyn::Val(Value::List(l)) => {
                let i = as_index(k, l.len())?;
                Dyn::Val(l.get(i).cloned().ok_or_else(|| format!("index out of range: {i}"))?)
            }
            Dyn::Val(Value::Map(m)) => match k {
                Dyn::Val(Value::Str(k)) => m.get(k).map_or(Dyn::Missing, |v| Dyn::Val(v.clone())),
                Dyn::Missing | Dyn::Nil => return Err("value is nil; should be of type string".into()),
                k => return Err(format!("value has type {}; should be string", k.type_name())),
            },
            Dyn::Val(Value::Str(s)) => {
                let i = as_index(k, s.len())?;
                Dyn::Int(i64::from(*s.as_bytes().get(i).ok_or_else(|| format!("index out of range: {i}"))?))
            }
            Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null) => return Err("index of nil pointer".into()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(v)
}

fn slice(args: &[Dyn]) -> Result<Dyn, String> {
    let len = match &args[0] {
        Dyn::Val(Value::Str(s)) => s.len(),
        Dyn::Val(v @ Value::List(_)) => v.len(),
        v => return Err(format!("can't slice item of type {}", v.type_name())),
    };
    if args.len() > 4 {
        return Err(format!("too many slice indexes: {}", args.len() - 1));
    }
    let from = args.get(1).map_or(Ok(0), |v| as_index(v, len))?;
    let to = args.get(2).map_or(Ok(len), |v| as_index(v, len))?;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match &args[0] {
        Dyn::Val(Value::Str(s)) => text(String::from_utf8_lossy(&s.as_bytes()[from..to]).into_owned()),
        Dyn::Val(v) => Dyn::Val(v.items().as_slice()[from..to].iter().cloned().collect()),
        _ => Dyn::Missing,
    })
}

/// `fmt.Sprint`: blanks between operands when neither is a string.
fn sprint(args: &[Dyn]) -> String {
    let mut out = String::new();
    for (i, a) in args.iter().enumerate() {
        if i > 0 && !a.is_string() && !args[i - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&a.verb_v());
    }
    out
}

fn escape(s: &str) -> String {
    s.chars()
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            '"' => "&#34;".to_owned(),
            '\'' => "&#39;".to_owned(),
            '\0' => "\u{fffd}".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// Widths and precisions beyond this are cut.
const WIDTH_MAX: usize = 1000;

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

/// `fmt.Sprintf` with the verbs that templates use.
fn sprintf(format: &str, args: &[Dyn]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(f) = chars.next_if(|c| "-+0# ".contains(*c)) {
            match f {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                '#' => spec.sharp = true,
                _ => spec.space = true,
            }
        }
        let number = |chars: &mut core::iter::Peekable<core::str::Chars<'_>>| {
            let mut n = 0usize;
            while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                n = (n * 10 + d as usize).min(WIDTH_MAX);
                chars.next();
            }
            n
        };
        spec.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args.get(next) {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(a) => {
                    next += 1;
                    out.push_str(&verb_text(verb, a, &spec));
                }
            },
        }
    }
    if next < args.len() {
        let extra: Vec<String> =
            args[next..].iter().map(|a| format!("{}={}", a.type_name(), a.verb_v())).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn verb_text(verb: char, a: &Dyn, spec: &Spec) -> String {
    let bad = || match a.verb_v().as_str() {
        "<nil>" => format!("%!{verb}(<nil>)"),
        shown => format!("%!{verb}({}={shown})", a.type_name()),
    };
    let cut = |s: String| match spec.precision {
        Some(p) => s.chars().take(p).collect(),
        None => s,
    };
    let body = match (verb, a) {
        ('v', Dyn::Val(v)) if spec.sharp => gofmt::syntax(v),
        ('v', a) => a.verb_v(),
        ('T', a) => a.type_name().to_owned(),
        ('t', Dyn::Val(Value::Bool(b))) => b.to_string(),
        ('s', Dyn::Val(Value::Str(s))) => cut(s.to_string()),
        ('s', Dyn::Val(v @ (Value::List(_) | Value::Map(_)))) => gofmt::value(v),
        ('q', Dyn::Val(Value::Str(s))) => gofmt::quote(s),
        ('x', Dyn::Val(Value::Str(s))) => s.bytes().map(|b| format!("{b:02x}")).collect(),
        ('d', Dyn::Int(i)) => i.to_string(),
        ('x', Dyn::Int(i)) => format!("{i:x}"),
        ('X', Dyn::Int(i)) => format!("{i:X}"),
        ('o', Dyn::Int(i)) => format!("{i:o}"),
        ('b', Dyn::Int(i)) => format!("{i:b}"),
        ('c', Dyn::Int(i)) => {
            u32::try_from(*i).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
        }
        ('f' | 'F', Dyn::Val(Value::Float(f))) => format!("{f:.*}", spec.precision.unwrap_or(6)),
        ('g', Dyn::Val(Value::Float(f))) => gofmt::float(*f),
        ('e', Dyn::Val(Value::Float(f))) => {
            let s = format!("{f:.*e}", spec.precision.unwrap_or(6));
            let (m, e) = s.split_once('e').unwrap_or((&s, "0"));
            let e: i32 = e.parse().unwrap_or(0);
            format!("{m}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => return bad(),
    };
    let numeric = matches!(verb, 'd' | 'f' | 'F' | 'e' | 'g');
    let body = if numeric && !body.starts_with('-') {
        if spec.plus {
            format!("+{body}")
        } else if spec.space {
            format!(" {body}")
        } else {
            body
        }
    } else {
        body
    };
    let missing = spec.width.saturating_sub(body.chars().count());
    if missing == 0 {
        body
    } else if spec.minus {
        body + &" ".repeat(missing)
    } else if spec.zero && numeric {
        let (sign, digits) = body.split_at(usize::from(body.starts_with(['-', '+'])));
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        " ".repeat(missing) + &body
    }
}
