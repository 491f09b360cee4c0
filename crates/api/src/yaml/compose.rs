//! Events to a node tree, node tree to a value and its places.

use super::resolve::{self, Scalar};
use super::{Mark, YamlError};
use crate::{Key, Map, Value};
use base64::Engine;
use libyaml_safer::{Error, ErrorKind, EventData, Parser, ScalarStyle};
use sim::Limits;
use std::collections::BTreeMap;

/// From where to where, the end excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// First character.
    pub start: Mark,
    /// Behind the last character.
    pub end: Mark,
}

/// Where a value and all below it stand.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The key, for entries of a map.
    pub key: Option<Span>,
    /// The value.
    pub value: Span,
    /// Entries of a map.
    pub fields: BTreeMap<String, Node>,
    /// Elements of a list.
    pub items: Vec<Node>,
}

/// A key that a map has twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Duplicate {
    /// The key.
    pub key: String,
    /// Path of the map, dotted, "" for the root.
    pub path: String,
    /// Line of the repetition, from 0.
    pub line: u32,
}

/// A document with its places.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// What it says.
    pub value: Value,
    /// Where it says so.
    pub root: Node,
    /// Keys that occur twice; the last one counts.
    pub duplicates: Vec<Duplicate>,
}

impl Node {
    /// The node of a field path such as `spec.containers[0].image` or `metadata.labels[a.b/c]`. Keys with dots are
    /// found with and without brackets.
    pub fn find(&self, path: &str) -> Option<&Node> {
        if path.is_empty() {
            return Some(self);
        }
        if let Some(rest) = path.strip_prefix('[') {
            let (inner, rest) = rest.split_once(']')?;
            let child = match inner.parse::<usize>() {
                Ok(i) if !self.items.is_empty() => self.items.get(i),
                _ => self.fields.get(inner.trim_matches('"')),
            };
            return child?.find(rest.strip_prefix('.').unwrap_or(rest));
        }
        // The longest key that fits first: keys may contain dots.
        let mut ends: Vec<usize> =
            path.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(i, _)| i).collect();
        ends.push(path.len());
        ends.iter().rev().find_map(|end| {
            let rest = &path[*end..];
            self.fields.get(&path[..*end])?.find(rest.strip_prefix('.').unwrap_or(rest))
        })
    }

    /// The deepest node on the way to a path: what to mark when the path itself is missing.
    pub fn nearest(&self, path: &str) -> &Node {
        let mut cut = path.len();
        loop {
            if let Some(n) = self.find(&path[..cut]) {
                return n;
            }
            match path[..cut].rfind(['.', '[']) {
                Some(i) => cut = i,
                None => return self,
            }
        }
    }
}

enum Kind {
    Scalar { tag: Option<String>, text: String, plain: bool },
    List(Vec<usize>),
    Map(Vec<(usize, usize)>),
    Alias(usize),
}

struct Raw {
    kind: Kind,
    span: Span,
    anchor: Option<String>,
}

fn fail<T>(message: impl Into<String>, mark: Option<Mark>) -> Result<T, YamlError> {
    Err(YamlError { message: format!("yaml: {}", message.into()), mark })
}

fn place(m: &libyaml_safer::Mark) -> Mark {
    Mark { line: m.line as u32, column: m.column as u32 }
}

/// A parser's error in go-yaml's words: it counts lines of scanner errors from 1, of parser errors from 0.
fn worded(e: &Error) -> YamlError {
    let extra = u64::from(e.kind() == ErrorKind::Scanner);
    let line = match (e.problem_mark(), e.context_mark()) {
        (Some(m), _) if m.line != 0 => m.line + extra,
        (_, Some(m)) if m.line != 0 => m.line,
        _ => 0,
    };
    let place_text = if line > 0 { format!("line {line}: ") } else { String::new() };
    let problem = match e.problem() {
        "" => "unknown problem parsing YAML content",
        p => p,
    };
    YamlError { message: format!("yaml: {place_text}{problem}"), mark: e.problem_mark().map(|m| place(&m)) }
}

/// Reads the first document of a text.
pub(super) fn read(text: &str, marks: bool) -> Result<Parsed, YamlError> {
    if text.len() > Limits::TABLE.yaml_bytes_max {
        return fail(format!("exceeded max size of {} bytes", Limits::TABLE.yaml_bytes_max), None);
    }
    if let Some((at, _)) = text.char_indices().find(|(_, c)| is_control(*c)) {
        let line = text[..at].matches('\n').count() as u32;
        return fail("control characters are not allowed", Some(Mark { line, column: 0 }));
    }
    let nodes = compose(text)?;
    let mut r = Resolver {
        nodes: &nodes,
        open: vec![false; nodes.len()],
        values: 0,
        marks,
        path: Vec::new(),
        duplicates: Vec::new(),
    };
    let Some(root) = nodes.len().checked_sub(1) else { return Ok(Parsed::default()) };
    let (value, root) = r.value(root)?;
    Ok(Parsed { value, root, duplicates: r.duplicates })
}

/// Characters that libyaml's reader refuses.
fn is_control(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{85}' | '\u{a0}'..='\u{d7ff}'
        | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The text with a space between a tag and a comma that follows it at once in a flow collection: the parser gives up
/// there, though YAML allows it. Quoted and block scalars stay as they are.
fn spaced_tags(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('!') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    // Depth of flow collections, the quote that is open, whether a tag is under way, indentation of a block scalar's key.
    let (mut depth, mut quote, mut tag, mut block) = (0usize, None::<char>, false, None::<usize>);
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if block.is_some_and(|b| indent > b || line.trim().is_empty()) {
            out.push_str(line);
            continue;
        }
        block = None;
        let mut before = ' ';
        for c in line.chars() {
            let starts = matches!(before, ' ' | '\t' | '[' | '{' | ',' | ':');
            match (quote, c) {
                (Some(q), c) if c == q && (q == '\'' || before != '\\') => quote = None,
                (Some(_), _) => {}
                // A doubled quote inside a quoted scalar is no end.
                (None, '"' | '\'') if starts || (c == '\'' && before == c) => quote = Some(c),
                (None, '[' | '{') => depth += 1,
                (None, ']' | '}') => depth = depth.saturating_sub(1),
                (None, '!') if starts && depth > 0 => tag = true,
                (None, ',') if tag => out.push(' '),
                _ => {}
            }
            tag &= !c.is_whitespace() && !matches!(c, ',' | ']' | '}');
            before = c;
            out.push(c);
        }
        let end = line.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        if depth == 0 && quote.is_none() && (end.ends_with('|') || end.ends_with('>')) {
            block = Some(indent);
        }
    }
    out.into()
}

/// The nodes of the first document, children before parents, so that the last is the root.
fn compose(text: &str) -> Result<Vec<Raw>, YamlError> {
    let text = spaced_tags(text);
    // kubectl reads line by line, so that a line break ends the last one too. The scanner relies on it.
    let text = if text.ends_with('\n') { text } else { (text.into_owned() + "\n").into() };
    let mut input = text.as_bytes();
    let mut parser = Parser::new();
    parser.set_input_string(&mut input);
    let mut nodes: Vec<Raw> = Vec::new();
    let mut anchors: BTreeMap<String, usize> = BTreeMap::new();
    // Containers that are still open: their children so far, tag-less start, and anchor.
    let mut stack: Vec<(bool, Vec<usize>, Mark, Option<String>)> = Vec::new();
    // Anchors of open containers cannot be expanded: they stand for themselves.
    let mut open_anchors: Vec<String> = Vec::new();
    loop {
        let event = parser.parse().map_err(|e| worded(&e))?;
        let span = Span { start: place(&event.start_mark), end: place(&event.end_mark) };
        let done = match event.data {
            EventData::StreamEnd | EventData::DocumentEnd { .. } => break,
            EventData::Alias { anchor } => {
                if open_anchors.contains(&anchor) {
                    return fail(format!("anchor '{anchor}' value contains itself"), Some(span.start));
                }
                match anchors.get(&anchor) {
                    Some(i) => Raw { kind: Kind::Alias(*i), span, anchor: None },
                    None => return fail(format!("unknown anchor '{anchor}' referenced"), Some(span.start)),
                }
            }
            EventData::Scalar { anchor, tag, value, style, plain_implicit, .. } => {
                let plain = plain_implicit && style == ScalarStyle::Plain;
                Raw { kind: Kind::Scalar { tag, text: value, plain }, span, anchor }
            }
            data @ (EventData::SequenceStart { .. } | EventData::MappingStart { .. }) => {
                let (list, anchor) = match data {
                    EventData::SequenceStart { anchor, .. } => (true, anchor),
                    EventData::MappingStart { anchor, .. } => (false, anchor),
                    _ => continue,
                };
                if stack.len() >= Limits::TABLE.nesting_max {
                    return fail(
                        format!("exceeded max depth of {}", Limits::TABLE.nesting_max),
                        Some(span.start),
                    );
                }
                open_anchors.extend(anchor.clone());
                stack.push((list, Vec::new(), span.start, anchor));
                continue;
            }
            EventData::SequenceEnd | EventData::MappingEnd => {
                let Some((list, children, start, anchor)) = stack.pop() else { continue };
                if anchor.is_some() {
                    open_anchors.pop();
                }
                let kind = if list {
                    Kind::List(children)
                } else {
                    Kind::Map(children.chunks_exact(2).map(|c| (c[0], c[1])).collect())
                };
                Raw { kind, span: Span { start, end: span.end }, anchor }
            }
            _ => continue,
        };
        let i = nodes.len();
        if let Some(a) = &done.anchor {
            anchors.insert(a.clone(), i);
        }
        nodes.push(done);
        if let Some((_, children, ..)) = stack.last_mut() {
            children.push(i);
        }
    }
    Ok(nodes)
}

struct Resolver<'a> {
    nodes: &'a [Raw],
    /// Nodes being expanded.
    open: Vec<bool>,
    values: usize,
    marks: bool,
    path: Vec<String>,
    duplicates: Vec<Duplicate>,
}

impl Resolver<'_> {
    fn value(&mut self, i: usize) -> Result<(Value, Node), YamlError> {
        self.values += 1;
        if self.values > Limits::TABLE.yaml_values_max {
            return fail("document contains excessive aliasing", None);
        }
        let raw = &self.nodes[i];
        let mut node = Node { value: raw.span, ..Node::default() };
        let v = match &raw.kind {
            Kind::Alias(target) => {
                let (v, n) = self.value(*target)?;
                node = Node { value: raw.span, ..n };
                v
            }
            Kind::Scalar { tag, text, plain } => scalar(tag.as_deref(), text, *plain, raw.span.start)?,
            Kind::List(children) => {
                let mut out = Vec::with_capacity(children.len());
                for (n, c) in children.iter().enumerate() {
                    self.path.push(format!("[{n}]"));
                    let (v, child) = self.value(*c)?;
                    self.path.pop();
                    out.push(v);
                    if self.marks {
                        node.items.push(child);
                    }
                }
                Value::from(out)
            }
            Kind::Map(entries) => {
                self.open[i] = true;
                let mut map = Map::default();
                self.map(entries, &mut map, &mut node)?;
                self.open[i] = false;
                Value::Map(map)
            }
        };
        Ok((v, node))
    }

    fn map(&mut self, entries: &[(usize, usize)], map: &mut Map, node: &mut Node) -> Result<(), YamlError> {
        let mut own: Vec<Key> = Vec::new();
        for (k, v) in entries {
            let key_node = &self.nodes[*k];
            if let Kind::Scalar { tag, text, plain } = &key_node.kind
                && text == "<<"
                && (*plain || tag.as_deref() == Some("tag:yaml.org,2002:merge"))
            {
                self.merge(*v, map, node, true)?;
                continue;
            }
            let key = self.key(*k, *v)?;
            self.path.push(key.clone());
            let (value, mut child) = self.value(*v)?;
            self.path.pop();
            let interned = Key::new(&key);
            if own.contains(&interned) {
                self.duplicates.push(Duplicate {
                    key: key.clone(),
                    path: dotted(&self.path),
                    line: key_node.span.start.line,
                });
            } else {
                own.push(interned.clone());
            }
            map.insert(interned, value);
            if self.marks {
                child.key = Some(key_node.span);
                node.fields.insert(key, child);
            }
        }
        Ok(())
    }

    /// `<<`: what is merged overrides what stands before it, as go-yaml v2 does.
    fn merge(&mut self, i: usize, map: &mut Map, node: &mut Node, lists: bool) -> Result<(), YamlError> {
        let mut target = i;
        while let Kind::Alias(t) = self.nodes[target].kind {
            target = t;
        }
        match &self.nodes[target].kind {
            Kind::Map(_) => {
                let (v, n) = self.value(target)?;
                for (k, v) in v.entries() {
                    map.insert(k, v);
                }
                node.fields.extend(n.fields);
                Ok(())
            }
            // Elements further ahead win.
            Kind::List(children) if lists => {
                for c in children.iter().rev() {
                    self.merge(*c, map, node, false)?;
                }
                Ok(())
            }
            _ => fail(
                "map merge requires map or sequence of maps as the value",
                Some(self.nodes[i].span.start),
            ),
        }
    }

    fn key(&mut self, k: usize, v: usize) -> Result<String, YamlError> {
        let mut target = k;
        while let Kind::Alias(t) = self.nodes[target].kind {
            target = t;
        }
        let raw = &self.nodes[target];
        let mark = raw.span.start;
        let Kind::Scalar { tag, text, plain } = &raw.kind else {
            let (value, _) = self.value(target)?;
            return fail(format!("invalid map key: {}", go_syntax(&value)), Some(mark));
        };
        Ok(match scalar(tag.as_deref(), text, *plain, mark)? {
            Value::Str(s) => s.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Int(i) => i.to_string(),
            Value::Float(f) => crate::json::float(f),
            _ => {
                let (value, _) = self.value(v)?;
                return Err(YamlError {
                    message: format!(
                        "unsupported map key of type: %!s(<nil>), key: <nil>, value: {}",
                        go_syntax(&value)
                    ),
                    mark: Some(mark),
                });
            }
        })
    }
}

fn scalar(tag: Option<&str>, text: &str, plain: bool, mark: Mark) -> Result<Value, YamlError> {
    let short = match tag {
        None if plain => return finite(resolve::plain(text, true), text, mark),
        None | Some("!") => return Ok(Value::str(text)),
        Some(t) => match t.strip_prefix("tag:yaml.org,2002:") {
            Some(short) => short,
            // Unknown tags leave strings alone.
            None => return Ok(Value::str(text)),
        },
    };
    let resolved = match short {
        "str" => return Ok(Value::str(text)),
        "binary" => {
            let compact: String = text.split_ascii_whitespace().collect();
            return match base64::engine::general_purpose::STANDARD.decode(compact) {
                Ok(b) => Ok(Value::str(String::from_utf8_lossy(&b).into_owned())),
                Err(_) => fail("!!binary value contains invalid base64 data", Some(mark)),
            };
        }
        "int" | "float" | "bool" | "null" | "timestamp" | "merge" => {
            resolve::plain(text, short == "timestamp")
        }
        _ => return Ok(Value::str(text)),
    };
    let fits = resolved.tag()[2..] == *short || (short == "float" && resolved.tag() == "!!int");
    if !fits {
        return fail(format!("cannot decode {} `{text}` as a !!{short}", resolved.tag()), Some(mark));
    }
    finite(resolved, text, mark)
}

/// JSON has no infinities: kubectl fails when it converts.
fn finite(s: Scalar, text: &str, mark: Mark) -> Result<Value, YamlError> {
    match s {
        Scalar::Float(f) if !f.is_finite() => {
            let name = if f.is_nan() {
                "NaN"
            } else if f > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            Err(YamlError { message: format!("json: unsupported value: {name}"), mark: Some(mark) })
        }
        s => Ok(s.into_value(text)),
    }
}

fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for p in path {
        if !out.is_empty() && !p.starts_with('[') {
            out.push('.');
        }
        out.push_str(p);
    }
    out
}

/// Go's `%#v`, for the rare messages that print one.
fn go_syntax(v: &Value) -> String {
    match v {
        Value::Null => "interface {}(nil)".into(),
        Value::Str(s) => format!("{s:?}"),
        Value::List(l) => {
            format!("[]interface {{}}{{{}}}", l.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Map(m) => {
            let inner: Vec<String> =
                m.iter().map(|(k, v)| format!("{:?}:{}", k.as_str(), go_syntax(v))).collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", inner.join(", "))
        }
        v => v.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::spaced_tags;

    #[test]
    fn a_tag_before_a_comma() {
        assert_eq!(spaced_tags("a: [!!str x, !t, b]"), "a: [!!str x, !t , b]");
        assert_eq!(spaced_tags("a: [\"!t, b\", 'it''s !t, b']"), "a: [\"!t, b\", 'it''s !t, b']");
        assert_eq!(spaced_tags("a: |\n  [!t, b]\nb: [!t,c]"), "a: |\n  [!t, b]\nb: [!t ,c]");
        assert_eq!(spaced_tags("a: hello !you, there"), "a: hello !you, there");
    }
}
