//! Label and field selectors: reading, matching, printing.
//! Models: `k8s.io/apimachinery/pkg/labels` and `pkg/fields`.

use crate::{SmolStr, Value, names};
use core::fmt;
use std::sync::Arc;

/// How a requirement compares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum Op {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One term of a selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// Label key.
    pub key: SmolStr,
    /// Operator.
    pub op: Op,
    /// Values, sorted, without repeats.
    pub values: Vec<SmolStr>,
}

/// A label selector; `Default` matches everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    requirements: Arc<Vec<Requirement>>,
    nothing: bool,
}

/// A message in upstream's words.
pub type Error = String;

impl Requirement {
    /// Checks key and values as upstream's `NewRequirement` does.
    pub fn new(key: &str, op: Op, values: Vec<SmolStr>) -> Result<Requirement, Error> {
        let mut errors = Vec::new();
        check_key(key, "key", &mut errors);
        let quoted = || format!("{values:?}").replace('"', "\\\"");
        match op {
            Op::In | Op::NotIn if values.is_empty() => errors.push(format!(
                "values: Invalid value: {}: for 'in', 'notin' operators, values set can't be empty",
                list(&values)
            )),
            Op::Equals | Op::DoubleEquals | Op::NotEquals if values.len() != 1 => errors.push(format!(
                "values: Invalid value: {}: exact-match compatibility requires one single value",
                quoted()
            )),
            Op::Exists | Op::DoesNotExist if !values.is_empty() => errors.push(format!(
                "values: Invalid value: {}: values set must be empty for exists and does not exist",
                list(&values)
            )),
            Op::GreaterThan | Op::LessThan => {
                for (i, v) in values.iter().enumerate() {
                    if v.parse::<i64>().is_err() {
                        errors.push(format!(
                            "values[{i}]: Invalid value: {v:?}: for 'Gt', 'Lt' operators, the value must be an \
                             integer"
                        ));
                    }
                }
            }
            _ => {}
        }
        for (i, v) in values.iter().enumerate() {
            let m = names::label_value(v);
            if !m.is_empty() {
                errors.push(format!("values[{i}][{key}]: Invalid value: {v:?}: {}", m.join("; ")));
            }
        }
        match errors.len() {
            0 => Ok(Requirement { key: key.into(), op, values }),
            1 => Err(errors.remove(0)),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    /// Whether labels (a map of strings, or null) meet it.
    pub fn matches(&self, labels: &Value) -> bool {
        self.matches_text(labels.get(&self.key).as_str())
    }

    fn matches_text(&self, v: Option<&str>) -> bool {
        let has = |v: &str| self.values.iter().any(|x| x == v);
        let number = |v: Option<&str>| -> Option<(i64, i64)> {
            Some((v?.parse().ok()?, self.values.first()?.parse().ok()?))
        };
        match self.op {
            Op::Equals | Op::DoubleEquals | Op::In => v.is_some_and(has),
            Op::NotEquals | Op::NotIn => !v.is_some_and(has),
            Op::Exists => v.is_some(),
            Op::DoesNotExist => v.is_none(),
            Op::GreaterThan => number(v).is_some_and(|(a, b)| a > b),
            Op::LessThan => number(v).is_some_and(|(a, b)| a < b),
        }
    }
}

fn list(values: &[SmolStr]) -> String {
    format!("[{}]", values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(","))
}

fn check_key(key: &str, path: &str, errors: &mut Vec<String>) {
    let m = names::qualified_name(key);
    if !m.is_empty() {
        errors.push(format!("{path}: Invalid value: {key:?}: {}", m.join("; ")));
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let first = || self.values.first().map_or("", |v| v.as_str());
        match self.op {
            Op::Equals => write!(f, "{key}={}", first()),
            Op::DoubleEquals => write!(f, "{key}=={}", first()),
            Op::NotEquals => write!(f, "{key}!={}", first()),
            Op::In => write!(f, "{key} in ({})", self.values.join(",")),
            Op::NotIn => write!(f, "{key} notin ({})", self.values.join(",")),
            Op::Exists => f.write_str(key),
            Op::DoesNotExist => write!(f, "!{key}"),
            Op::GreaterThan => write!(f, "{key}>{}", first()),
            Op::LessThan => write!(f, "{key}<{}", first()),
        }
    }
}

impl Selector {
    /// Matches everything.
    pub fn everything() -> Selector {
        Selector::default()
    }

    /// Matches nothing.
    pub fn nothing() -> Selector {
        Selector { nothing: true, ..Selector::default() }
    }

    /// Of requirements, sorted by key as upstream keeps them.
    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements: Arc::new(requirements), nothing: false }
    }

    /// Reads the query-string form: `a=b,c!=d,e in (f,g),h,!i`.
    pub fn parse(text: &str) -> Result<Selector, Error> {
        Parser::new(text).parse().map(Selector::new)
    }

    /// Of a map of labels, all of which must be equal: a Service's or ReplicationController's selector.
    pub fn of_labels(labels: &Value) -> Selector {
        Selector::new(
            labels
                .entries()
                .map(|(k, v)| Requirement { key: k.as_str().into(), op: Op::Equals, values: vec![v.smol()] })
                .collect(),
        )
    }

    /// Of a `metav1.LabelSelector`: null matches nothing, `{}` everything.
    pub fn of(selector: &Value) -> Result<Selector, Error> {
        if selector.is_null() {
            return Ok(Selector::nothing());
        }
        let mut out: Vec<Requirement> = Vec::new();
        for (k, v) in selector.get("matchLabels").entries() {
            out.push(Requirement::new(k, Op::Equals, vec![v.smol()])?);
        }
        for e in selector.get("matchExpressions").items() {
            let op = match e.get("operator").text() {
                "In" => Op::In,
                "NotIn" => Op::NotIn,
                "Exists" => Op::Exists,
                "DoesNotExist" => Op::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let mut values: Vec<SmolStr> = e.get("values").items().map(Value::smol).collect();
            values.sort();
            values.dedup();
            out.push(Requirement::new(e.get("key").text(), op, values)?);
        }
        Ok(Selector::new(out))
    }

    /// Whether labels (a map of strings, or null) meet all requirements.
    pub fn matches(&self, labels: &Value) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }

    /// Whether it has no requirements: everything, or nothing.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether it can match nothing.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// The requirements in order of their keys.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Prints a `metav1.LabelSelector` as `kubectl describe` does, `<none>` for an empty one.
    pub fn describe(selector: &Value) -> String {
        match Selector::of(selector) {
            Ok(s) if s.is_empty() => "<none>".into(),
            Ok(s) => s.to_string(),
            Err(_) => "<error>".into(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{r}")?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    End,
    Closed,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Ident,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

fn special(c: u8) -> bool {
    b"=!(),><".contains(&c)
}

fn lex(text: &str) -> Vec<(Token, &str)> {
    let b = text.as_bytes();
    let blank = |c: u8| matches!(c, b' ' | b'\t' | b'\r' | b'\n');
    let (mut i, mut out) = (0, Vec::new());
    while i < b.len() {
        if blank(b[i]) {
            i += 1;
        } else if special(b[i]) {
            // Every prefix of the longest operator is an operator, so that two characters are all there is.
            let (token, n) = match (b[i], b.get(i + 1)) {
                (b'=', Some(b'=')) => (Token::DoubleEquals, 2),
                (b'!', Some(b'=')) => (Token::NotEquals, 2),
                (b'=', _) => (Token::Equals, 1),
                (b'!', _) => (Token::Not, 1),
                (b'(', _) => (Token::Open, 1),
                (b')', _) => (Token::Closed, 1),
                (b',', _) => (Token::Comma, 1),
                (b'>', _) => (Token::Greater, 1),
                _ => (Token::Less, 1),
            };
            out.push((token, &text[i..i + n]));
            i += n;
        } else {
            let start = i;
            while i < b.len() && !special(b[i]) && !blank(b[i]) {
                i += 1;
            }
            let word = &text[start..i];
            out.push((
                match word {
                    "in" => Token::In,
                    "notin" => Token::NotIn,
                    _ => Token::Ident,
                },
                word,
            ));
        }
    }
    out.push((Token::End, ""));
    out
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Parser { tokens: lex(text), at: 0 }
    }

    fn operator(&mut self) -> (Token, &'a str) {
        let t = self.tokens[self.at];
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        t
    }

    /// The next token where `in` and `notin` are words like any other.
    fn look(&self) -> (Token, &'a str) {
        match self.tokens[self.at] {
            (Token::In | Token::NotIn, s) => (Token::Ident, s),
            t => t,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let t = self.look();
        self.operator();
        t
    }

    fn parse(&mut self) -> Result<Vec<Requirement>, Error> {
        let mut out = Vec::new();
        loop {
            match self.look() {
                (Token::Ident | Token::Not, _) => {
                    out.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
                    match self.next() {
                        (Token::End, _) => return Ok(out),
                        (Token::Comma, _) => {
                            let (t, lit) = self.look();
                            if !matches!(t, Token::Ident | Token::Not) {
                                return Err(format!("found '{lit}', expected: identifier after ','"));
                            }
                        }
                        (_, lit) => {
                            return Err(format!("found '{lit}', expected: ',' or 'end of string'"));
                        }
                    }
                }
                (Token::End, _) => return Ok(out),
                (_, lit) => {
                    return Err(format!("found '{lit}', expected: !, identifier, or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        let (mut token, mut key) = self.next();
        let not = token == Token::Not;
        if not {
            (token, key) = self.next();
        }
        if token != Token::Ident {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let mut errors = Vec::new();
        check_key(key, "<nil>", &mut errors);
        if let Some(e) = errors.pop() {
            return Err(e);
        }
        if not {
            return Requirement::new(key, Op::DoesNotExist, Vec::new());
        }
        if matches!(self.look().0, Token::End | Token::Comma) {
            return Requirement::new(key, Op::Exists, Vec::new());
        }
        let op = match self.operator() {
            (Token::In, _) => Op::In,
            (Token::NotIn, _) => Op::NotIn,
            (Token::Equals, _) => Op::Equals,
            (Token::DoubleEquals, _) => Op::DoubleEquals,
            (Token::NotEquals, _) => Op::NotEquals,
            (Token::Greater, _) => Op::GreaterThan,
            (Token::Less, _) => Op::LessThan,
            (_, lit) => {
                return Err(format!("found '{lit}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        let mut values = match op {
            Op::In | Op::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        values.sort();
        values.dedup();
        Requirement::new(key, op, values)
    }

    fn exact_value(&mut self) -> Result<SmolStr, Error> {
        if matches!(self.look().0, Token::End | Token::Comma) {
            return Ok(SmolStr::default());
        }
        match self.next() {
            (Token::Ident, lit) => Ok(lit.into()),
            (_, lit) => Err(format!("found '{lit}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<SmolStr>, Error> {
        let (t, lit) = self.next();
        if t != Token::Open {
            return Err(format!("found '{lit}' expected: '('"));
        }
        match self.look() {
            (Token::Ident | Token::Comma, lit) => {
                let out = self.identifiers()?;
                match self.next() {
                    (Token::Closed, _) => Ok(out),
                    _ => Err(format!("found '{lit}', expected: ')'")),
                }
            }
            (Token::Closed, _) => {
                self.next();
                Ok(vec![SmolStr::default()])
            }
            (_, lit) => Err(format!("found '{lit}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<Vec<SmolStr>, Error> {
        let mut out: Vec<SmolStr> = Vec::new();
        loop {
            match self.next() {
                (Token::Ident, lit) => {
                    out.push(lit.into());
                    match self.look() {
                        (Token::Comma, _) => {}
                        (Token::Closed, _) => return Ok(out),
                        (_, lit) => return Err(format!("found '{lit}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if out.is_empty() {
                        out.push(SmolStr::default());
                    }
                    match self.look().0 {
                        Token::Closed => {
                            out.push(SmolStr::default());
                            return Ok(out);
                        }
                        Token::Comma => {
                            self.next();
                            out.push(SmolStr::default());
                        }
                        _ => {}
                    }
                }
                (_, lit) => return Err(format!("found '{lit}', expected: ',', or identifier")),
            }
        }
    }
}

/// A term of a field selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldTerm {
    /// Path of the field, `metadata.name`.
    pub field: SmolStr,
    /// Whether it must differ.
    pub not: bool,
    /// The value.
    pub value: SmolStr,
}

/// A field selector; `Default` matches everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldSelector {
    /// Terms, all of which must hold.
    pub terms: Arc<Vec<FieldTerm>>,
}

impl FieldSelector {
    /// Reads `metadata.name=x,status.phase!=Running`, with `\` before `\`, `,` and `=` of a value.
    pub fn parse(text: &str) -> Result<FieldSelector, Error> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|p| !p.is_empty()) {
            let split = part.char_indices().find_map(|(i, _)| {
                ["!=", "==", "="].iter().find(|op| part[i..].starts_with(**op)).map(|op| (i, *op))
            });
            let Some((i, op)) = split else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            terms.push(FieldTerm {
                field: part[..i].into(),
                not: op == "!=",
                value: unescape(&part[i + op.len()..])?.into(),
            });
        }
        Ok(FieldSelector { terms: Arc::new(terms) })
    }

    /// Whether it has no terms.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `field` must equal, if there is such a term.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| !t.not && t.field == field).map(|t| t.value.as_str())
    }

    /// Whether an object meets all terms; `value` gives the text of a field, "" where it has none.
    pub fn matches(&self, mut value: impl FnMut(&str) -> SmolStr) -> bool {
        self.terms.iter().all(|t| (value(&t.field) == t.value) != t.not)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, t) in self.terms.iter().enumerate() {
            let value = t.value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}{}{value}", t.field, if t.not { "!=" } else { "=" })?;
        }
        Ok(())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

fn unescape(value: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".into()),
            },
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", c as u32));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    #[test]
    fn reads_matches_and_prints() {
        let labels = obj!({"app": "web", "env": "prod", "size": "3"});
        for (text, hit) in [
            ("", true),
            ("app=web", true),
            ("app==web,env", true),
            ("app!=web", false),
            ("x!=y", true),
            ("!x", true),
            ("app in (web,db)", true),
            ("env notin (prod)", false),
            ("size>2", true),
            ("size<3", false),
            ("app in ()", false),
            ("in in (in)", false),
            ("app in (,web)", true),
            ("x=", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), hit, "{text}");
        }
        assert_eq!(Selector::parse("b in (y,x) , a==1,!c,d").unwrap().to_string(), "a==1,b in (x,y),!c,d");
        let s =
            obj!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]});
        assert_eq!(Selector::describe(&s), "a,app=web");
        assert_eq!(Selector::describe(&Value::Null), "<none>");
    }

    #[test]
    fn errors_in_upstream_s_words() {
        let e = |s| Selector::parse(s).unwrap_err();
        assert_eq!(e("app in web"), "unable to parse requirement: found 'web' expected: '('");
        assert_eq!(e("app=we b"), "found 'b', expected: ',' or 'end of string'");
        assert_eq!(e("=web"), "found '=', expected: !, identifier, or 'end of string'");
        assert_eq!(e("app=web,"), "found '', expected: identifier after ','");
        assert_eq!(e("app in (web"), "unable to parse requirement: found '', expected: ',' or ')'");
        assert_eq!(
            e("bad key!=x"),
            "unable to parse requirement: found 'key', expected: in, notin, =, ==, !=, gt, lt"
        );
        assert!(
            e("-bad=x").starts_with("unable to parse requirement: <nil>: Invalid value: \"-bad\": name part")
        );
        assert!(
            e("app=a/b")
                .starts_with("unable to parse requirement: values[0][app]: Invalid value: \"a/b\": a valid")
        );
        assert!(e("size>x").ends_with(
            "values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"
        ));
        assert_eq!(FieldSelector::parse("a").unwrap_err(), "invalid selector: 'a'; can't understand 'a'");
    }

    #[test]
    fn fields() {
        let s = FieldSelector::parse("status.phase!=Running,metadata.name=a").unwrap();
        assert_eq!(s.to_string(), "metadata.name=a,status.phase!=Running");
        assert!(s.matches(|f| if f == "metadata.name" { "a".into() } else { "Pending".into() }));
        assert_eq!(s.exact("metadata.name"), Some("a"));
        assert_eq!(FieldSelector::parse(r"a=x\,y").unwrap().terms[0].value, "x,y");
    }
}
