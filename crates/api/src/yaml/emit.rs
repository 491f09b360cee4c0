//! Values to YAML as `kubectl -o yaml` prints them. Models: go-yaml v2's emitter with a width of 80.

use super::resolve::{self, Scalar};
use crate::Value;
use core::cmp::Ordering;

const WIDTH: usize = 80;

/// One document, ending with a newline.
pub fn emit(v: &Value) -> String {
    let mut e = Emitter { out: String::new(), column: 0 };
    match v {
        Value::Map(m) if !m.is_empty() => e.map(v, 0, true),
        Value::List(l) if !l.is_empty() => e.list(v, 0, true),
        v => e.scalar(v, 0, false),
    }
    e.newline();
    e.out
}

struct Emitter {
    out: String,
    column: usize,
}

/// How a string is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Emitter {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn text(&mut self, s: &str) {
        self.out.push_str(s);
        self.column += s.chars().count();
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, n: usize) {
        self.out.push('\n');
        self.column = n;
        self.out.extend(core::iter::repeat_n(' ', n));
    }

    /// A map that begins where the cursor stands (`inline`) or on the next line.
    fn map(&mut self, v: &Value, indent: usize, inline: bool) {
        let mut entries: Vec<(&str, &Value)> = v.entries().map(|(k, v)| (k.as_str(), v)).collect();
        entries.sort_by(|a, b| key_order(a.0, b.0));
        for (i, (k, v)) in entries.into_iter().enumerate() {
            if i > 0 || !inline {
                self.indent(indent);
            }
            self.key(k, indent);
            match v {
                Value::Map(m) if !m.is_empty() => self.map(v, indent + 2, false),
                Value::List(l) if !l.is_empty() => self.list(v, indent, false),
                v => self.scalar(v, indent + 2, true),
            }
        }
    }

    fn key(&mut self, k: &str, indent: usize) {
        if k.len() > 128 {
            self.text("?");
            self.string(k, indent + 2, true, false);
            self.indent(indent);
        } else {
            let style = style(k, true);
            self.styled(k, style, indent + 2, false);
        }
        self.put(':');
    }

    fn list(&mut self, v: &Value, indent: usize, inline: bool) {
        for (i, v) in v.items().enumerate() {
            if i > 0 || !inline {
                self.indent(indent);
            }
            self.put('-');
            match v {
                Value::Map(m) if !m.is_empty() => {
                    self.put(' ');
                    self.map(v, indent + 2, true);
                }
                Value::List(l) if !l.is_empty() => {
                    self.put(' ');
                    self.list(v, indent + 2, true);
                }
                v => self.scalar(v, indent + 2, true),
            }
        }
    }

    fn scalar(&mut self, v: &Value, indent: usize, space: bool) {
        let text = match v {
            Value::Str(s) => return self.string(s, indent, space, true),
            Value::Null => "null".into(),
            Value::Float(f) => crate::gofmt::float(*f),
            Value::List(_) => "[]".into(),
            Value::Map(_) => "{}".into(),
            v => v.to_json(),
        };
        if space {
            self.put(' ');
        }
        self.text(&text);
    }

    fn string(&mut self, s: &str, indent: usize, space: bool, breaks: bool) {
        if space {
            self.put(' ');
        }
        self.styled(s, style(s, false), indent, breaks);
    }

    fn styled(&mut self, s: &str, style: Style, indent: usize, breaks: bool) {
        match style {
            Style::Plain => self.folded(s, indent, breaks, false),
            Style::Single => {
                self.put('\'');
                self.folded(s, indent, breaks, true);
                self.put('\'');
            }
            Style::Double => self.double(s, indent, breaks),
            Style::Literal => self.literal(s, indent),
        }
    }

    /// Plain and single-quoted text: a single blank beyond the width becomes a line break.
    fn folded(&mut self, s: &str, indent: usize, breaks: bool, single: bool) {
        let chars: Vec<char> = s.chars().collect();
        let (mut spaces, mut was_break) = (false, false);
        for (i, c) in chars.iter().enumerate() {
            if *c == ' ' {
                let inside = !single || (i > 0 && i + 1 < chars.len());
                let next_space = chars.get(i + 1) == Some(&' ');
                if breaks && !spaces && self.column > WIDTH && inside && !next_space {
                    self.indent(indent);
                } else {
                    self.put(' ');
                }
                spaces = true;
            } else if is_break(*c) {
                self.out.push(*c);
                self.column = 0;
                was_break = true;
            } else {
                if was_break {
                    self.indent(indent);
                    was_break = false;
                }
                if single && *c == '\'' {
                    self.put('\'');
                }
                self.put(*c);
                spaces = false;
            }
        }
    }

    fn double(&mut self, s: &str, indent: usize, breaks: bool) {
        self.put('"');
        let chars: Vec<char> = s.chars().collect();
        let mut spaces = false;
        for (i, c) in chars.iter().enumerate() {
            if !is_printable(*c) || is_break(*c) || matches!(c, '"' | '\\') {
                let escaped = escape(*c);
                self.text(&escaped);
                spaces = false;
            } else if *c == ' ' {
                if breaks && !spaces && self.column > WIDTH && i > 0 && i + 1 < chars.len() {
                    self.indent(indent);
                    if chars[i + 1] == ' ' {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                spaces = true;
            } else {
                self.put(*c);
                spaces = false;
            }
        }
        self.put('"');
    }

    fn literal(&mut self, s: &str, indent: usize) {
        self.put('|');
        if s.starts_with(|c| c == ' ' || is_break(c)) {
            self.put('2');
        }
        let trimmed = s.trim_end_matches('\n');
        match s.len() - trimmed.len() {
            0 => self.put('-'),
            1 if !trimmed.is_empty() => {}
            _ => self.put('+'),
        }
        for line in s.strip_suffix('\n').unwrap_or(s).split('\n') {
            if line.is_empty() {
                self.out.push('\n');
                self.column = 0;
            } else {
                self.indent(indent);
                self.text(line);
            }
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// An escape of a double-quoted scalar.
pub(super) fn escape(c: char) -> String {
    match c {
        '\0' => "\\0".into(),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{b}' => "\\v".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\u{1b}' => "\\e".into(),
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\u{85}' => "\\N".into(),
        '\u{a0}' => "\\_".into(),
        '\u{2028}' => "\\L".into(),
        '\u{2029}' => "\\P".into(),
        c if (c as u32) <= 0xff => format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => format!("\\u{:04X}", c as u32),
        c => format!("\\U{:08X}", c as u32),
    }
}

/// What a string's characters allow.
struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

fn analyze(s: &str) -> Analysis {
    let chars: Vec<char> = s.chars().collect();
    let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
    let mut indicators = s.starts_with("---") || s.starts_with("...");
    let (mut breaks, mut special) = (false, false);
    let (mut space_break, mut break_space) = (false, false);
    let (mut after_space, mut after_break, mut before) = (false, false, true);
    for (i, c) in chars.iter().enumerate() {
        let followed = blank(chars.get(i + 1));
        indicators |= match c {
            '#' => before,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                i == 0
            }
            '?' | '-' => i == 0 && followed,
            ':' => followed,
            _ => false,
        };
        special |= !is_printable(*c) && !is_break(*c) || *c == '\r' || *c == '\u{85}';
        if is_break(*c) {
            breaks = true;
            space_break |= after_space;
            (after_space, after_break) = (false, true);
        } else if *c == ' ' {
            break_space |= after_break;
            (after_space, after_break) = (true, false);
        } else {
            (after_space, after_break) = (false, false);
        }
        before = blank(Some(c));
    }
    let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
    let trailing_space = chars.last() == Some(&' ');
    Analysis {
        plain: !(indicators
            || breaks
            || special
            || space_break
            || break_space
            || edge(chars.first())
            || edge(chars.last())),
        single: !(space_break || special || break_space),
        block: !(trailing_space || space_break || special),
    }
}

fn style(s: &str, key: bool) -> Style {
    let a = analyze(s);
    let resolves = resolve::plain(s, true) != Scalar::Str;
    let style = if s.contains('\n') {
        Style::Literal
    } else if resolves || resolve::is_base60(s) {
        Style::Double
    } else {
        Style::Plain
    };
    match style {
        Style::Literal if key || !a.block => Style::Double,
        Style::Plain if a.plain => Style::Plain,
        Style::Plain if a.single => Style::Single,
        Style::Plain => Style::Double,
        s => s,
    }
}

/// go-yaml's order of map keys: letters behind others, numbers by value.
fn key_order(a: &str, b: &str) -> Ordering {
    let (ar, br): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    for i in 0..ar.len().min(br.len()) {
        let (x, y) = (ar[i], br[i]);
        if x == y {
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x.cmp(&y),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => numbers(&ar, &br, i),
        };
    }
    ar.len().cmp(&br.len())
}

fn numbers(a: &[char], b: &[char], i: usize) -> Ordering {
    let (mut an, mut bn) = (0u64, 0u64);
    if a[i] == '0' || b[i] == '0' {
        let nonzero = a[..i].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
        if nonzero {
            (an, bn) = (1, 1);
        }
    }
    let run = |s: &[char], n: &mut u64| {
        let mut j = i;
        while let Some(d) = s.get(j).and_then(|c| c.to_digit(10)) {
            *n = n.wrapping_mul(10).wrapping_add(d.into());
            j += 1;
        }
        j
    };
    let (ai, bi) = (run(a, &mut an), run(b, &mut bn));
    an.cmp(&bn).then(ai.cmp(&bi)).then(a[i].cmp(&b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn as_kubectl_prints() {
        let v = crate::obj!({
            "a10": 1, "a9": 2, "b": {}, "c": [], "d": [[1, [2]], {"a": {"b": ["x"]}}, null],
            "f": 123456789.5, "g": 1e-7, "null": "null", "y": "yes", "n": "12", "t": "a: b", "e": "", "w": "😀",
            "s": "a\nb\n", "s1": "a\nb", "s2": "a\nb\n\n", "s3": "  a\nb", "s4": "a \nb", "tab": "a\tb",
            "long": "word ".repeat(20) + "end", "time": "2001-01-01T00:00:00Z", "ip": "10.0.0.1", "sixty": "1:20"
        });
        expect![[r#"
            a9: 2
            a10: 1
            b: {}
            c: []
            d:
            - - 1
              - - 2
            - a:
                b:
                - x
            - null
            e: ""
            f: 1.234567895e+08
            g: 1e-07
            ip: 10.0.0.1
            long: word word word word word word word word word word word word word word word word
              word word word word end
            "n": "12"
            "null": "null"
            s: |
              a
              b
            s1: |-
              a
              b
            s2: |+
              a
              b

            s3: |2-
                a
              b
            s4: "a \nb"
            sixty: "1:20"
            t: 'a: b'
            tab: "a\tb"
            time: "2001-01-01T00:00:00Z"
            w: "\U0001F600"
            "y": "yes"
        "#]]
        .assert_eq(&emit(&v));
        assert_eq!(crate::yaml::parse(&emit(&v)).unwrap(), v);
        let v = crate::obj!({"a": [{"b": "x"}], "l": [1], "f": "a\n b"});
        expect![[r#"
            ---
            {
              a: [{
                b: "x",
              }],
              "f": "\
                 a\n\
                \ b\
                ",
              l: [
                1,
              ],
            }
        "#]]
        .assert_eq(&super::super::emit_kyaml(&v));
    }
}
