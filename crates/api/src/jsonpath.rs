//! kubectl's JSONPath templates: text, fields, ranges, filters, unions, slices. Models: `client-go/util/jsonpath`.

use crate::{Value, gofmt};
use core::cmp::Ordering;
use sim::Limits;

/// A message in upstream's words.
pub type Error = String;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct JsonPath {
    root: Vec<Node>,
    allow_missing: bool,
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    /// One `{…}`, or a part in brackets.
    List(Vec<Node>),
    Field(String),
    Wildcard,
    Recursive,
    Array([Param; 3]),
    Filter(Vec<Node>, Vec<Node>, String),
    Union(Vec<Vec<Node>>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Identifier(String),
}

#[derive(Clone, Copy, Debug, Default)]
struct Param {
    value: i64,
    known: bool,
    derived: bool,
}

struct Parser<'a> {
    s: &'a str,
    pos: usize,
    depth: usize,
}

fn terminator(c: Option<char>) -> bool {
    c.is_none_or(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'))
}

impl JsonPath {
    /// Reads a template; an error is what follows `error parsing jsonpath TEMPLATE, `.
    pub fn parse(text: &str) -> Result<JsonPath, Error> {
        let mut p = Parser { s: text, pos: 0, depth: 0 };
        let mut root = Vec::new();
        while p.pos < text.len() {
            match text[p.pos..].find('{') {
                Some(0) => {
                    p.pos += 1;
                    let mut nodes = Vec::new();
                    p.action(&mut nodes, true)?;
                    root.push(Node::List(nodes));
                }
                found => {
                    let end = found.map_or(text.len(), |n| p.pos + n);
                    root.push(Node::Text(text[p.pos..end].to_owned()));
                    p.pos = end;
                }
            }
        }
        Ok(JsonPath { root, allow_missing: true })
    }

    /// The lax form that `--sort-by`, custom columns and `wait --for=jsonpath` take: braces and the first dot may be
    /// missing.
    pub fn relaxed(text: &str) -> Result<String, Error> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let inner = match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(t) => t,
            None => text,
        };
        let inner = inner.strip_prefix('.').unwrap_or(inner);
        if inner.is_empty() || inner.contains(['{', '}']) {
            return Err(
                "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or \
                        '{.name1.name2}'"
                    .into(),
            );
        }
        Ok(format!("{{.{inner}}}"))
    }

    /// Whether missing keys give nothing (the default) or an error.
    pub fn allow_missing(mut self, allow: bool) -> JsonPath {
        self.allow_missing = allow;
        self
    }

    /// The values of each part of the template, in order.
    pub fn find(&self, data: &Value) -> Result<Vec<Vec<Value>>, Error> {
        let mut w = Walk { allow_missing: self.allow_missing, steps: 0 };
        let mut out = Vec::new();
        w.run(&self.root, data, false, &mut out)?;
        Ok(out)
    }

    /// Fills the template.
    pub fn execute(&self, data: &Value) -> Result<String, Error> {
        let mut out = String::new();
        for results in self.find(data)? {
            for (i, v) in results.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(&to_text(v));
            }
        }
        Ok(out)
    }
}

/// A found value as text: maps and lists as JSON.
pub fn to_text(v: &Value) -> String {
    match v {
        Value::Map(_) | Value::List(_) | Value::Null => v.to_json(),
        v => gofmt::value(v),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.s[self.pos..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    /// Nodes up to the closing brace, or to the end where the text stood in no braces.
    fn action(&mut self, nodes: &mut Vec<Node>, braces: bool) -> Result<(), Error> {
        loop {
            let rest = &self.s[self.pos..];
            if braces && rest.starts_with('}') {
                self.pos += 1;
                return Ok(());
            }
            if rest.starts_with("[?(") {
                self.filter(nodes)?;
                continue;
            }
            if rest.starts_with("..") {
                if matches!(nodes.last(), Some(Node::Recursive)) {
                    return Err("invalid multiple recursive descent".into());
                }
                self.pos += 2;
                nodes.push(Node::Recursive);
                if self.peek().is_some_and(|c| c == '_' || c.is_alphanumeric()) {
                    self.field(nodes);
                }
                continue;
            }
            match self.peek() {
                None if !braces => return Ok(()),
                None | Some('\n' | '\r') => return Err("unclosed action".into()),
                Some(' ' | '@' | '$') => self.pos += 1,
                Some('[') => self.array(nodes)?,
                Some(q @ ('"' | '\'')) => self.quoted(nodes, q)?,
                Some('.') => {
                    self.pos += 1;
                    self.field(nodes);
                }
                Some(c) if c == '+' || c == '-' || c.is_ascii_digit() => self.number(nodes)?,
                Some(c) if c == '_' || c.is_alphanumeric() => self.identifier(nodes),
                Some(c) => {
                    return Err(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32));
                }
            }
        }
    }

    fn field(&mut self, nodes: &mut Vec<Node>) {
        let start = self.pos;
        loop {
            let c = self.peek();
            if c == Some('\\') {
                self.next();
                self.next();
            } else if terminator(c) {
                break;
            } else {
                self.next();
            }
        }
        let text = &self.s[start..self.pos];
        nodes.push(if text == "*" { Node::Wildcard } else { Node::Field(text.replace('\\', "")) });
    }

    fn identifier(&mut self, nodes: &mut Vec<Node>) {
        let start = self.pos;
        while !terminator(self.peek()) {
            self.next();
        }
        let text = &self.s[start..self.pos];
        nodes.push(match text {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            t => Node::Identifier(t.to_owned()),
        });
    }

    fn number(&mut self, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let start = self.pos;
        if matches!(self.peek(), Some('+' | '-')) {
            self.next();
        }
        while self.peek().is_some_and(|c| c == '.' || c.is_ascii_digit()) {
            self.next();
        }
        let text = &self.s[start..self.pos];
        if let Ok(i) = text.parse() {
            nodes.push(Node::Int(i));
        } else if let Ok(f) = text.parse() {
            nodes.push(Node::Float(f));
        } else {
            return Err(format!("cannot parse number {text}"));
        }
        Ok(())
    }

    fn quoted(&mut self, nodes: &mut Vec<Node>, quote: char) -> Result<(), Error> {
        self.next();
        let mut out = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated quoted string".into()),
                Some(c) if c == quote => break,
                Some('\\') => match self.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('a') => out.push('\u{7}'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some('v') => out.push('\u{b}'),
                    Some(n @ ('x' | 'u' | 'U')) => {
                        let digits = match n {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        };
                        let hex = self.s.get(self.pos..self.pos + digits).unwrap_or("");
                        match u32::from_str_radix(hex, 16).ok().and_then(char::from_u32) {
                            Some(c) => out.push(c),
                            None => return Err("unquote string error invalid syntax".into()),
                        }
                        self.pos += digits;
                    }
                    Some(c @ ('\\' | '"' | '\'')) => out.push(c),
                    Some(c) => {
                        return Err(format!("unquote string {quote}\\{c}{quote} error invalid syntax"));
                    }
                    None => return Err("unterminated quoted string".into()),
                },
                Some(c) => out.push(c),
            }
        }
        nodes.push(Node::Text(out));
        Ok(())
    }

    /// Parses a part of the text on its own.
    fn part(&self, text: &str) -> Result<Vec<Node>, Error> {
        if self.depth >= Limits::TABLE.nesting_max {
            return Err("too deeply nested".into());
        }
        let mut p = Parser { s: text, pos: 0, depth: self.depth + 1 };
        let mut nodes = Vec::new();
        p.action(&mut nodes, false)?;
        Ok(nodes)
    }

    fn array(&mut self, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let start = self.pos + 1;
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated array".into()),
                Some(']') => break,
                Some(_) => {}
            }
        }
        let text = &self.s[start..self.pos - 1];
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let parts: Result<Vec<_>, _> =
                text.split(',').map(|t| self.part(&format!("[{}]", t.trim_matches(' ')))).collect();
            nodes.push(Node::Union(parts?));
            return Ok(());
        }
        if let Some(key) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''))
            && !key.contains('\'')
        {
            nodes.extend(self.part(&format!(".{key}"))?);
            return Ok(());
        }
        nodes.push(Node::Array(slice_params(text)?));
        Ok(())
    }

    fn filter(&mut self, nodes: &mut Vec<Node>) -> Result<(), Error> {
        self.pos += 3;
        let start = self.pos;
        let (mut pair, mut closed, mut before) = (None, false, ' ');
        loop {
            let c = self.next();
            match c {
                None | Some('\n') => return Err("unterminated filter".into()),
                Some(q @ ('"' | '\'')) => match pair {
                    None => pair = Some(q),
                    Some(p) if p == q && before != '\\' => closed = true,
                    Some(_) => {}
                },
                Some(')') if pair.is_some() == closed => break,
                Some(_) => {}
            }
            before = c.unwrap_or(' ');
        }
        let text = &self.s[start..self.pos - 1];
        if self.next() != Some(']') {
            return Err("unclosed array expect ]".into());
        }
        let operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let at = text.find(operator).filter(|i| *i > 0);
        let split = at.map(|i| {
            let end = text[i..].find(|c| !operator(c)).map_or(text.len(), |n| i + n);
            (&text[..i], &text[i..end], &text[end..])
        });
        nodes.push(match split {
            Some((left, op, right)) if !right.is_empty() => {
                Node::Filter(self.part(left)?, self.part(right)?, op.to_owned())
            }
            _ => Node::Filter(self.part(text)?, Vec::new(), "exists".into()),
        });
        Ok(())
    }
}

/// `start:end:step`, each optional and possibly negative.
fn slice_params(text: &str) -> Result<[Param; 3], Error> {
    let bad = || format!("invalid array index {text}");
    let parts: Vec<&str> = text.split(':').collect();
    let number = |s: &str| s.strip_prefix('-').unwrap_or(s).bytes().all(|c| c.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(|p| number(p)) {
        return Err(bad());
    }
    let mut params = [Param::default(); 3];
    for i in 0..3 {
        match parts.get(i) {
            Some(&"") if i > 0 => {}
            Some(t) if !t.is_empty() => {
                let value = t.parse().map_err(|_| format!("array index {t} is not a number"))?;
                params[i] = Param { value, known: true, derived: false };
            }
            _ if i == 1 => params[1] = Param { value: params[0].value + 1, known: true, derived: true },
            _ => {}
        }
    }
    Ok(params)
}

/// Values that one template may visit.
const STEPS_MAX: usize = 2_000_000;

struct Walk {
    allow_missing: bool,
    steps: usize,
}

impl Walk {
    /// Runs top-level nodes; gives how many were used up. In a range, `{end}` ends the run.
    fn run(
        &mut self,
        nodes: &[Node],
        data: &Value,
        in_range: bool,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<usize, Error> {
        let mut i = 0;
        while let Some(node) = nodes.get(i) {
            match marker(node) {
                Some("end") if in_range => return Ok(i + 1),
                Some("end") => return Err("not in range, nothing to end".into()),
                Some("range") => {
                    let Node::List(parts) = node else { return Ok(i) };
                    let results = self.list(vec![data.clone()], &parts[1..])?;
                    let body = &nodes[i + 1..];
                    let mut used = body.len();
                    if results.is_empty() {
                        used = self.run(body, &Value::Null, true, &mut Vec::new())?;
                    }
                    for v in &results {
                        used = self.run(body, v, true, out)?;
                    }
                    i += 1 + used;
                    continue;
                }
                _ => {}
            }
            out.push(match node {
                Node::Text(t) => vec![Value::str(t.as_str())],
                Node::List(parts) => self.list(vec![data.clone()], parts)?,
                _ => Vec::new(),
            });
            i += 1;
        }
        Ok(i)
    }

    fn list(&mut self, input: Vec<Value>, nodes: &[Node]) -> Result<Vec<Value>, Error> {
        nodes.iter().try_fold(input, |input, node| self.node(input, node))
    }

    fn node(&mut self, input: Vec<Value>, node: &Node) -> Result<Vec<Value>, Error> {
        self.steps += input.len() + 1;
        if self.steps > STEPS_MAX {
            return Err("too many values".into());
        }
        Ok(match node {
            Node::Text(t) => vec![Value::str(t.as_str())],
            Node::Int(i) => vec![Value::Int(*i)],
            Node::Float(f) => vec![Value::Float(*f)],
            Node::Bool(b) => vec![Value::Bool(*b)],
            Node::List(nodes) => self.list(input, nodes)?,
            Node::Identifier(name) => return Err(format!("unrecognized identifier {name}")),
            Node::Field(name) if name.is_empty() => input,
            Node::Field(name) => {
                let had_input = !input.is_empty();
                let out: Vec<Value> =
                    input.iter().filter_map(|v| v.as_map().and_then(|m| m.get(name)).cloned()).collect();
                if out.is_empty() && had_input && !self.allow_missing {
                    return Err(format!("{name} is not found"));
                }
                out
            }
            Node::Wildcard => input.iter().flat_map(children).collect(),
            Node::Recursive => {
                let mut out = Vec::new();
                for v in &input {
                    self.descend(v, &mut out)?;
                }
                out
            }
            Node::Array(params) => {
                let mut out = Vec::new();
                for v in input.iter().filter(|v| v.is_some()) {
                    slice(v, *params, &mut out)?;
                }
                out
            }
            Node::Union(parts) => {
                let mut out = Vec::new();
                for p in parts {
                    out.extend(self.list(input.clone(), p)?);
                }
                out
            }
            Node::Filter(left, right, op) => self.filter(input, left, right, op)?,
        })
    }

    fn descend(&mut self, v: &Value, out: &mut Vec<Value>) -> Result<(), Error> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err("too many values".into());
        }
        let below = children(v);
        if !below.is_empty() {
            out.push(v.clone());
            for c in &below {
                self.descend(c, out)?;
            }
        }
        Ok(())
    }

    fn filter(
        &mut self,
        input: Vec<Value>,
        left: &[Node],
        right: &[Node],
        op: &str,
    ) -> Result<Vec<Value>, Error> {
        let mut out = Vec::new();
        for v in &input {
            if !matches!(v, Value::List(_)) {
                return Err(format!("{} is not array or slice and cannot be filtered", gofmt::value(v)));
            }
            for item in v.items() {
                let lefts = self.list(vec![item.clone()], left);
                if op == "exists" {
                    if lefts.is_ok_and(|l| !l.is_empty()) {
                        out.push(item.clone());
                    }
                    continue;
                }
                let lefts = lefts?;
                let Some(l) = lefts.first() else { continue };
                let rights =
                    if lefts.len() == 1 { self.list(vec![item.clone()], right)? } else { lefts.clone() };
                let Some(r) = rights.first() else { continue };
                if lefts.len() > 1 || rights.len() > 1 {
                    return Err("can only compare one element at a time".into());
                }
                if compare(l, r, op)? {
                    out.push(item.clone());
                }
            }
        }
        Ok(out)
    }
}

/// Whether a top-level node is `{range …}` or `{end}`.
fn marker(node: &Node) -> Option<&str> {
    match node {
        Node::List(parts) => match parts.first() {
            Some(Node::Identifier(s)) if s == "range" || s == "end" => Some(s),
            _ => None,
        },
        _ => None,
    }
}

fn children(v: &Value) -> Vec<Value> {
    match v {
        Value::List(l) => l.iter().cloned().collect(),
        Value::Map(m) => m.iter().map(|(_, v)| v.clone()).collect(),
        _ => Vec::new(),
    }
}

fn slice(v: &Value, mut p: [Param; 3], out: &mut Vec<Value>) -> Result<(), Error> {
    let Value::List(list) = v else {
        return Err(format!("{} is not array or slice", gofmt::type_name(v)));
    };
    let len = list.len() as i64;
    if !p[0].known {
        p[0].value = 0;
    }
    if p[0].value < 0 {
        p[0].value += len;
    }
    if !p[1].known {
        p[1].value = len;
    }
    if p[1].value < 0 || (p[1].value == 0 && p[1].derived) {
        p[1].value += len;
    }
    let (from, to) = (p[0].value, p[1].value);
    if from == to {
        return Ok(());
    }
    if from >= len || from < 0 {
        return Err(format!("array index out of bounds: index {from}, length {len}"));
    }
    if to > len || to < 0 {
        return Err(format!("array index out of bounds: index {}, length {len}", to - 1));
    }
    if from > to {
        return Err(format!("starting index {from} is greater than ending index {to}"));
    }
    let step = if p[2].known { p[2].value } else { 1 };
    if step <= 0 {
        return Err("step must be > 0".into());
    }
    out.extend(v.items().as_slice()[from as usize..to as usize].iter().step_by(step as usize).cloned());
    Ok(())
}

/// Compares as Go templates do: equal kinds only.
pub(crate) fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => (a == b).then_some(Ordering::Equal),
        (Value::Map(_) | Value::List(_) | Value::Null, _)
        | (_, Value::Map(_) | Value::List(_) | Value::Null) => {
            return Err("invalid type for comparison".into());
        }
        _ => return Err("incompatible types for comparison".into()),
    })
}

fn compare(l: &Value, r: &Value, op: &str) -> Result<bool, Error> {
    let wanted: fn(Option<Ordering>) -> bool = match op {
        "==" => |o| o == Some(Ordering::Equal),
        "!=" => |o| o != Some(Ordering::Equal),
        "<" => |o| o == Some(Ordering::Less),
        "<=" => |o| matches!(o, Some(Ordering::Less | Ordering::Equal)),
        ">" => |o| o == Some(Ordering::Greater),
        ">=" => |o| matches!(o, Some(Ordering::Greater | Ordering::Equal)),
        other => return Err(format!("unrecognized filter operator {other}")),
    };
    order(l, r).map(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    fn run(t: &str) -> String {
        let v = obj!({"kind": "List", "items": [
            {"m": {"name": "a", "l": {"x": "1", "a.b/c": "dot"}}, "c": [{"n": "p", "port": 80}, {"n": "q", "port": 443}]},
            {"m": {"name": "b", "l": {}}, "c": [{"n": "r"}]}
        ]});
        match JsonPath::parse(t) {
            Ok(p) => p.execute(&v).unwrap_or_else(|e| e),
            Err(e) => format!("parse: {e}"),
        }
    }

    #[test]
    fn kubectl_s_dialect() {
        for (t, want) in [
            ("{.items[*].m.name}", "a b"),
            ("{range .items[*]}{.m.name}:{range .c[*]} {.n}{end}{\"\\n\"}{end}.", "a: p q\nb: r\n."),
            ("{.items[?(@.m.l.x==\"1\")].m.name}", "a"),
            ("{.items[?(@.m.l.x)].m.name}", "a"),
            ("{.items[0].c[?(@.port>80)].n}", "q"),
            ("{.items[0].m.l.a\\.b/c} {.items[0].m.l['a\\.b/c']}", "dot dot"),
            (
                "{.items[0].c[-1:].n} {.items[0].c[0:1].n} {.items[0].c[0,1].n} {.items[0].c[-1].n}",
                "q p p q q",
            ),
            ("{.items[0].m.l}", "{\"a.b/c\":\"dot\",\"x\":\"1\"}"),
            ("{..n}", "p q r"),
            ("{.kind}/{\"lit\"} {@.kind} {$.kind}", "List/lit List List"),
            ("name", "name"),
            ("{.nope.deeper}", ""),
            ("{range .items[*]}{.m.name}", "ab"),
            ("{range .nope[*]}{.x}{end}z", "z"),
            ("{.items[5].m}", "array index out of bounds: index 5, length 2"),
            ("{.items[?(@.m==main)].n}", "unrecognized identifier main"),
            ("{.items[a].n}", "parse: invalid array index a"),
            ("{.kind", "parse: unclosed action"),
            ("{.m[0]", "parse: unclosed action"),
            ("{end}", "not in range, nothing to end"),
            ("{.items[0].m[0]}", "map[string]interface {} is not array or slice"),
        ] {
            assert_eq!(run(t), want, "{t}");
        }
        assert_eq!(JsonPath::relaxed("metadata.name").unwrap(), "{.metadata.name}");
        assert_eq!(JsonPath::relaxed("{.a}").unwrap(), "{.a}");
        assert!(JsonPath::relaxed("{.a}{.b}").is_err());
        assert_eq!(
            JsonPath::parse("{.x}").unwrap().allow_missing(false).execute(&obj!({})).unwrap_err(),
            "x is not found"
        );
    }
}
