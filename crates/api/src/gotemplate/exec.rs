//! Runs a parsed template.

use super::Error;
use super::funcs::{self, Dyn};
use super::parse::{Arg, ArgKind, Command, Node, Pipe};
use crate::{Value, gofmt};

/// Nodes that one template may run through.
const STEPS_MAX: usize = 1_000_000;
/// Bytes that one template may print.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// How a list of nodes ended.
enum Flow {
    Done,
    Break,
    Continue,
}

struct Exec<'a> {
    text: &'a str,
    out: String,
    vars: Vec<(String, Dyn)>,
    strict: bool,
    steps: usize,
}

/// Fills a template.
pub(super) fn run(text: &str, nodes: &[Node], data: &Value, strict: bool) -> Result<String, Error> {
    let dot = Dyn::Val(data.clone());
    let mut x = Exec { text, out: String::new(), vars: vec![("$".into(), dot.clone())], strict, steps: 0 };
    x.list(nodes, &dot)?;
    Ok(x.out)
}

impl Exec<'_> {
    fn error<T>(&self, pos: usize, node: &str, message: impl core::fmt::Display) -> Result<T, Error> {
        let before = &self.text[..pos.min(self.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = pos - before.rfind('\n').map_or(0, |n| n + 1);
        let shown: String = node.chars().take(20).collect();
        let dots = if node.chars().count() > 20 { "..." } else { "" };
        Err(format!("template: output:{line}:{column}: executing \"output\" at <{shown}{dots}>: {message}"))
    }

    fn list(&mut self, nodes: &[Node], dot: &Dyn) -> Result<Flow, Error> {
        for n in nodes {
            self.steps += 1;
            if self.steps > STEPS_MAX || self.out.len() > BYTES_MAX {
                return Err("template: output: too much output".into());
            }
            match n {
                Node::Text(t) => self.out.push_str(t),
                Node::Action(p) => {
                    let v = self.pipe(p, dot)?;
                    if p.declare.is_empty() {
                        self.out.push_str(&v.print());
                    }
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::If(p, then, otherwise) | Node::With(p, then, otherwise) => {
                    let scope = self.vars.len();
                    let v = self.pipe(p, dot)?;
                    let dot = if matches!(n, Node::With(..)) && v.truth() { &v } else { dot };
                    let flow = self.list(if v.truth() { then } else { otherwise }, dot)?;
                    self.vars.truncate(scope);
                    if !matches!(flow, Flow::Done) {
                        return Ok(flow);
                    }
                }
                Node::Range(p, body, otherwise) => {
                    if let flow @ (Flow::Break | Flow::Continue) = self.range(p, body, otherwise, dot)? {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::Done)
    }

    fn range(&mut self, p: &Pipe, body: &[Node], otherwise: &[Node], dot: &Dyn) -> Result<Flow, Error> {
        let scope = self.vars.len();
        // Variables of a range are set for each element, not by the pipeline.
        let bare = Pipe { declare: Vec::new(), assign: false, commands: p.commands.clone() };
        let v = self.pipe(&bare, dot)?;
        let pairs: Vec<(Dyn, Dyn)> = match &v {
            Dyn::Val(Value::List(l)) => {
                l.iter().enumerate().map(|(i, v)| (Dyn::Int(i as i64), Dyn::Val(v.clone()))).collect()
            }
            Dyn::Val(Value::Map(m)) => {
                m.iter().map(|(k, v)| (Dyn::Val(Value::str(k.as_str())), Dyn::Val(v.clone()))).collect()
            }
            Dyn::Int(n) => (0..(*n).min(STEPS_MAX as i64)).map(|i| (Dyn::Int(i), Dyn::Int(i))).collect(),
            Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null) => Vec::new(),
            other => {
                let command = &p.commands[0];
                let shown = other.print();
                return self.error(command.pos, &command.text, format!("range can't iterate over {shown}"));
            }
        };
        if pairs.is_empty() {
            let flow = self.list(otherwise, dot);
            self.vars.truncate(scope);
            return flow;
        }
        for (k, v) in pairs {
            let values = if p.declare.len() > 1 { vec![k, v.clone()] } else { vec![v.clone()] };
            for (name, value) in p.declare.iter().zip(values) {
                self.bind(name, value, p.assign);
            }
            let flow = self.list(body, &v)?;
            self.vars.truncate(scope);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::Done)
    }

    fn bind(&mut self, name: &str, value: Dyn, assign: bool) {
        if assign && let Some(slot) = self.vars.iter_mut().rev().find(|(n, _)| n == name) {
            slot.1 = value;
            return;
        }
        self.vars.push((name.to_owned(), value));
    }

    fn pipe(&mut self, p: &Pipe, dot: &Dyn) -> Result<Dyn, Error> {
        let mut last: Option<Dyn> = None;
        for c in &p.commands {
            last = Some(self.command(c, dot, last)?);
        }
        let v = last.unwrap_or(Dyn::Missing);
        for name in &p.declare {
            self.bind(name, v.clone(), p.assign);
        }
        Ok(v)
    }

    fn command(&mut self, c: &Command, dot: &Dyn, last: Option<Dyn>) -> Result<Dyn, Error> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err("template: output: too many steps".into());
        }
        let Some((first, rest)) = c.args.split_first() else { return Ok(Dyn::Missing) };
        if let ArgKind::Function(name) = &first.kind {
            return self.function(name, c, rest, dot, last);
        }
        if !rest.is_empty() || last.is_some() {
            return match &first.kind {
                ArgKind::Nil => self.error(first.pos, &first.text, "nil is not a command"),
                ArgKind::Field(path) | ArgKind::Variable(_, path) if !path.is_empty() => {
                    let name = path.last().map_or("", |s| s.as_str());
                    self.error(first.pos, &first.text, format!("{name} is not a method but has arguments"))
                }
                _ => self.error(
                    first.pos,
                    &first.text,
                    format!("can't give argument to non-function {}", first.text),
                ),
            };
        }
        if matches!(first.kind, ArgKind::Nil) {
            return self.error(first.pos, &first.text, "nil is not a command");
        }
        self.arg(first, dot)
    }

    fn function(
        &mut self,
        name: &str,
        c: &Command,
        args: &[Arg],
        dot: &Dyn,
        last: Option<Dyn>,
    ) -> Result<Dyn, Error> {
        let pos = c.pos;
        let count = args.len() + usize::from(last.is_some());
        if let Err(want) = funcs::arity(name, count) {
            return self.error(
                pos,
                &c.args[0].text,
                format!("wrong number of args for {name}: want {want} got {count}"),
            );
        }
        // `and` and `or` stop at the first argument that decides.
        if name == "and" || name == "or" {
            let mut v = Dyn::Missing;
            for a in args {
                v = self.arg(a, dot)?;
                if v.truth() == (name == "or") {
                    return Ok(v);
                }
            }
            return Ok(last.unwrap_or(v));
        }
        let mut values = Vec::with_capacity(count);
        for a in args {
            values.push(self.arg(a, dot)?);
        }
        values.extend(last);
        match funcs::call(name, &values) {
            Ok(v) => Ok(v),
            Err(e) => self.error(pos, &c.text, format!("error calling {name}: {e}")),
        }
    }

    fn arg(&mut self, a: &Arg, dot: &Dyn) -> Result<Dyn, Error> {
        match &a.kind {
            ArgKind::Dot => Ok(dot.clone()),
            ArgKind::Nil => Ok(Dyn::Nil),
            ArgKind::Bool(b) => Ok(Dyn::Val(Value::Bool(*b))),
            ArgKind::Int(i) => Ok(Dyn::Int(*i)),
            ArgKind::Float(f) => Ok(Dyn::Val(Value::Float(*f))),
            ArgKind::Str(s) => Ok(Dyn::Val(Value::str(s.as_str()))),
            ArgKind::Field(path) => self.fields(dot.clone(), path, a),
            ArgKind::Variable(name, path) => {
                let v =
                    self.vars.iter().rev().find(|(n, _)| n == name).map_or(Dyn::Missing, |(_, v)| v.clone());
                self.fields(v, path, a)
            }
            ArgKind::Pipe(p, path) => {
                let scope = self.vars.len();
                let v = self.pipe(p, dot)?;
                self.vars.truncate(scope);
                self.fields(v, path, a)
            }
            ArgKind::Function(name) => {
                let c = Command { args: vec![a.clone()], pos: a.pos, text: a.text.clone() };
                self.function(name, &c, &[], dot, None)
            }
        }
    }

    fn fields(&mut self, mut v: Dyn, path: &[String], a: &Arg) -> Result<Dyn, Error> {
        for name in path {
            v = match v {
                Dyn::Val(Value::Map(m)) => match m.get(name) {
                    Some(v) => Dyn::Val(v.clone()),
                    None if self.strict => {
                        let q = gofmt::quote(name);
                        return self.error(a.pos, &a.text, format!("map has no entry for key {q}"));
                    }
                    None => Dyn::Missing,
                },
                Dyn::Missing | Dyn::Nil | Dyn::Val(Value::Null) => {
                    if self.strict {
                        let q = gofmt::quote(name);
                        return self.error(a.pos, &a.text, format!("nil data; no entry for key {q}"));
                    }
                    Dyn::Missing
                }
                other => {
                    let ty = other.static_type();
                    return self.error(a.pos, &a.text, format!("can't evaluate field {name} in type {ty}"));
                }
            };
        }
        Ok(v)
    }
}
