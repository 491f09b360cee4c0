//! Regular expressions without backtracking: a Thompson machine whose threads move in step.
//!
//! POSIX basic and extended syntax with the usual GNU additions (`\+ \? \| \w \b \<`). Matches are leftmost; among
//! those the choice follows the order of the pattern (as Perl's), except that a match's end is the longest for patterns
//! that have no group: enough for grep and sed. Back-references are not supported.

use sim::Limits;

/// A compiled expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regex {
    prog: Vec<Inst>,
    groups: usize,
    fold: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inst {
    Char(char),
    Any,
    Set(Vec<(char, char)>, bool),
    Split(usize, usize),
    Jump(usize),
    Save(usize),
    Start,
    End,
    WordStart,
    WordEnd,
    WordEdge(bool),
    Match,
}

#[derive(Clone, Debug)]
enum Node {
    Empty,
    One(Inst),
    Cat(Vec<Node>),
    Alt(Vec<Node>),
    Repeat(Box<Node>, u32, Option<u32>),
    Group(Box<Node>, usize),
}

/// Instructions of one expression.
const PROGRAM_MAX: usize = 20_000;
/// Counts in braces.
const REPEAT_MAX: u32 = 1000;

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    extended: bool,
    groups: usize,
    depth: usize,
}

type Parsed = Result<Node, String>;

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn op(&self, c: char) -> bool {
        if self.extended {
            self.peek() == Some(c)
        } else {
            self.peek() == Some('\\') && self.chars.get(self.at + 1) == Some(&c)
        }
    }

    fn skip_op(&mut self) {
        self.at += if self.extended { 1 } else { 2 };
    }

    fn alt(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > Limits::TABLE.shell_nesting_max {
            return Err("nesting too deep".into());
        }
        let mut list = vec![self.cat()?];
        while self.op('|') {
            self.skip_op();
            list.push(self.cat()?);
        }
        self.depth -= 1;
        Ok(if list.len() == 1 { list.remove(0) } else { Node::Alt(list) })
    }

    fn cat(&mut self) -> Parsed {
        let mut list = Vec::new();
        while self.peek().is_some() && !self.op('|') && !(self.op(')') && self.depth > 1) {
            let atom = self.atom(list.is_empty())?;
            list.push(self.repeat(atom)?);
        }
        Ok(Node::Cat(list))
    }

    fn repeat(&mut self, mut atom: Node) -> Parsed {
        loop {
            let (min, max) = if self.peek() == Some('*') {
                self.at += 1;
                (0, None)
            } else if self.op('+') {
                self.skip_op();
                (1, None)
            } else if self.op('?') {
                self.skip_op();
                (0, Some(1))
            } else if self.op('{')
                && (!self.extended || self.chars.get(self.at + 1).is_some_and(char::is_ascii_digit))
            {
                self.skip_op();
                self.braces()?
            } else {
                return Ok(atom);
            };
            atom = Node::Repeat(Box::new(atom), min, max);
        }
    }

    fn number(&mut self) -> Option<u32> {
        let n = self.chars.iter().skip(self.at).take_while(|c| c.is_ascii_digit()).count();
        let s: String = self.chars.iter().skip(self.at).take(n).collect();
        self.at += n;
        s.parse().ok()
    }

    fn braces(&mut self) -> Result<(u32, Option<u32>), String> {
        let min = self.number().unwrap_or(0);
        let mut max = Some(min);
        if self.peek() == Some(',') {
            self.at += 1;
            max = self.number();
        }
        if !self.op('}') {
            return Err("Unmatched { or \\{".into());
        }
        self.skip_op();
        if min > REPEAT_MAX || max.is_some_and(|m| m > REPEAT_MAX || m < min) {
            return Err("Invalid content of \\{\\}".into());
        }
        Ok((min, max))
    }

    fn atom(&mut self, first: bool) -> Parsed {
        let Some(c) = self.peek() else { return Ok(Node::Empty) };
        if self.op('(') {
            self.skip_op();
            self.groups += 1;
            let n = self.groups;
            let inner = self.alt()?;
            if !self.op(')') {
                return Err("Unmatched ( or \\(".into());
            }
            self.skip_op();
            return Ok(Node::Group(Box::new(inner), n));
        }
        self.at += 1;
        Ok(Node::One(match c {
            '.' => Inst::Any,
            '[' => return self.set().map(Node::One),
            '^' if self.extended || first => Inst::Start,
            '$' if self.extended || self.at >= self.chars.len() || self.op('|') || self.op(')') => Inst::End,
            '*' if first => Inst::Char('*'),
            '\\' => {
                let Some(e) = self.peek() else { return Err("Trailing backslash".into()) };
                self.at += 1;
                match e {
                    'n' => Inst::Char('\n'),
                    't' => Inst::Char('\t'),
                    'w' => Inst::Set(word_ranges(), false),
                    'W' => Inst::Set(word_ranges(), true),
                    's' => Inst::Set(vec![(' ', ' '), ('\t', '\r')], false),
                    'S' => Inst::Set(vec![(' ', ' '), ('\t', '\r')], true),
                    'd' => Inst::Set(vec![('0', '9')], false),
                    'b' => Inst::WordEdge(true),
                    'B' => Inst::WordEdge(false),
                    '<' => Inst::WordStart,
                    '>' => Inst::WordEnd,
                    '1'..='9' => return Err("Invalid back reference".into()),
                    e => Inst::Char(e),
                }
            }
            c => Inst::Char(c),
        }))
    }

    fn set(&mut self) -> Result<Inst, String> {
        let negate = self.peek() == Some('^');
        self.at += usize::from(negate);
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            let Some(c) = self.peek() else { return Err("Unmatched [, [^, [:, [., or [=".into()) };
            self.at += 1;
            if c == ']' && !first {
                return Ok(Inst::Set(ranges, negate));
            }
            first = false;
            if c == '[' && self.peek() == Some(':') {
                let rest: String = self.chars.iter().skip(self.at + 1).take(9).collect();
                if let Some((name, _)) = rest.split_once(":]") {
                    ranges.extend(crate::sh::pattern::class(name));
                    self.at += name.len() + 3;
                    continue;
                }
            }
            if self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|e| *e != ']') {
                let e = self.chars.get(self.at + 1).copied().unwrap_or(c);
                self.at += 2;
                ranges.push((c, e));
            } else {
                ranges.push((c, c));
            }
        }
    }
}

fn word_ranges() -> Vec<(char, char)> {
    vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Positions of a match: `(start, end)` in bytes for the whole and each group.
pub type Groups = Vec<Option<(usize, usize)>>;

impl Regex {
    /// Compiles an expression; an error is the text of `regerror`.
    pub fn new(pattern: &str, extended: bool, fold: bool) -> Result<Regex, String> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut p = Parser { chars: &chars, at: 0, extended, groups: 0, depth: 0 };
        let node = p.alt()?;
        if p.at < chars.len() {
            return Err("Unmatched ) or \\)".into());
        }
        let mut r = Regex { prog: Vec::new(), groups: p.groups + 1, fold };
        r.prog.push(Inst::Save(0));
        r.emit(&node)?;
        r.prog.push(Inst::Save(1));
        r.prog.push(Inst::Match);
        Ok(r)
    }

    /// An expression that matches only that text.
    pub fn fixed(text: &str, fold: bool) -> Regex {
        let mut prog = vec![Inst::Save(0)];
        prog.extend(text.chars().map(Inst::Char));
        prog.extend([Inst::Save(1), Inst::Match]);
        Regex { prog, groups: 1, fold }
    }

    fn emit(&mut self, n: &Node) -> Result<(), String> {
        if self.prog.len() > PROGRAM_MAX {
            return Err("Regular expression too big".into());
        }
        match n {
            Node::Empty => {}
            Node::One(i) => self.prog.push(i.clone()),
            Node::Cat(list) => {
                for n in list {
                    self.emit(n)?;
                }
            }
            Node::Group(n, g) => {
                self.prog.push(Inst::Save(g * 2));
                self.emit(n)?;
                self.prog.push(Inst::Save(g * 2 + 1));
            }
            Node::Alt(list) => {
                let mut jumps = Vec::new();
                for (i, n) in list.iter().enumerate() {
                    if i + 1 < list.len() {
                        let at = self.prog.len();
                        self.prog.push(Inst::Jump(0));
                        self.emit(n)?;
                        jumps.push(self.prog.len());
                        self.prog.push(Inst::Jump(0));
                        let next = self.prog.len();
                        self.patch(at, Inst::Split(at + 1, next));
                    } else {
                        self.emit(n)?;
                    }
                }
                let end = self.prog.len();
                for j in jumps {
                    self.patch(j, Inst::Jump(end));
                }
            }
            Node::Repeat(n, min, max) => {
                for _ in 0..*min {
                    self.emit(n)?;
                }
                match max {
                    None => {
                        let at = self.prog.len();
                        self.prog.push(Inst::Jump(0));
                        self.emit(n)?;
                        self.prog.push(Inst::Jump(at));
                        let end = self.prog.len();
                        self.patch(at, Inst::Split(at + 1, end));
                    }
                    Some(max) => {
                        let mut splits = Vec::new();
                        for _ in *min..*max {
                            splits.push(self.prog.len());
                            self.prog.push(Inst::Jump(0));
                            self.emit(n)?;
                        }
                        let end = self.prog.len();
                        for s in splits {
                            self.patch(s, Inst::Split(s + 1, end));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn patch(&mut self, at: usize, i: Inst) {
        if let Some(p) = self.prog.get_mut(at) {
            *p = i;
        }
    }

    /// How many groups there are, the whole match included.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Whether the expression matches somewhere.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.find(&String::from_utf8_lossy(text), 0).is_some()
    }

    /// The leftmost match that begins at `from` or later.
    pub fn find(&self, text: &str, from: usize) -> Option<Groups> {
        let chars: Vec<(usize, char)> = text.char_indices().collect();
        let first = chars.iter().position(|(i, _)| *i >= from).unwrap_or(chars.len());
        let mut run =
            Run { re: self, chars: &chars, len: text.len(), seen: vec![usize::MAX; self.prog.len()] };
        let mut threads: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut best: Option<Vec<usize>> = None;
        for pos in first..=chars.len() {
            let mut next: Vec<(usize, Vec<usize>)> = Vec::new();
            run.seen.fill(usize::MAX);
            let mut current = Vec::new();
            for (pc, saves) in threads.drain(..) {
                run.add(&mut current, pc, saves, pos);
            }
            if best.is_none() {
                run.add(&mut current, 0, vec![usize::MAX; self.groups * 2], pos);
            }
            if current.is_empty() && best.is_some() {
                break;
            }
            let c = chars.get(pos).map(|c| c.1);
            for (pc, saves) in current {
                match self.prog.get(pc) {
                    Some(Inst::Match) => {
                        let better = match &best {
                            None => true,
                            // Leftmost, then longest.
                            Some(b) => b.first() == saves.first() && b.get(1) < saves.get(1),
                        };
                        if better {
                            best = Some(saves);
                        }
                    }
                    Some(i) => {
                        let later = best.as_ref().is_some_and(|b| b.first() < saves.first());
                        if !later && c.is_some_and(|c| self.takes(i, c)) {
                            next.push((pc + 1, saves));
                        }
                    }
                    None => {}
                }
            }
            threads = next;
        }
        let saves = best?;
        Some(
            saves
                .chunks(2)
                .map(|p| match p {
                    [a, b] if *a != usize::MAX && *b != usize::MAX => Some((*a, *b)),
                    _ => None,
                })
                .collect(),
        )
    }

    fn takes(&self, i: &Inst, c: char) -> bool {
        match i {
            Inst::Char(x) => *x == c || self.fold && x.to_lowercase().eq(c.to_lowercase()),
            Inst::Any => c != '\n',
            Inst::Set(ranges, negate) => {
                let has = |c: char| ranges.iter().any(|(a, b)| (*a..=*b).contains(&c));
                let hit = has(c) || self.fold && (has(c.to_ascii_lowercase()) || has(c.to_ascii_uppercase()));
                hit != *negate
            }
            _ => false,
        }
    }
}

struct Run<'a> {
    re: &'a Regex,
    chars: &'a [(usize, char)],
    len: usize,
    seen: Vec<usize>,
}

impl Run<'_> {
    /// Follows jumps from `pc` to the instructions that take a character.
    fn add(&mut self, list: &mut Vec<(usize, Vec<usize>)>, pc: usize, saves: Vec<usize>, pos: usize) {
        let mut todo = vec![(pc, saves)];
        while let Some((pc, mut saves)) = todo.pop() {
            match self.seen.get_mut(pc) {
                Some(s) if *s != pos => *s = pos,
                _ => continue,
            }
            let before = pos.checked_sub(1).and_then(|p| self.chars.get(p)).map(|c| c.1);
            let after = self.chars.get(pos).map(|c| c.1);
            let ok = match self.re.prog.get(pc) {
                Some(Inst::Jump(to)) => {
                    todo.push((*to, saves));
                    continue;
                }
                Some(Inst::Split(a, b)) => {
                    todo.push((*b, saves.clone()));
                    todo.push((*a, saves));
                    continue;
                }
                Some(Inst::Save(n)) => {
                    let byte = self.chars.get(pos).map_or(self.len, |c| c.0);
                    if let Some(s) = saves.get_mut(*n) {
                        *s = byte;
                    }
                    true
                }
                Some(Inst::Start) => before.is_none(),
                Some(Inst::End) => after.is_none(),
                Some(Inst::WordStart) => !is_word(before) && is_word(after),
                Some(Inst::WordEnd) => is_word(before) && !is_word(after),
                Some(Inst::WordEdge(want)) => (is_word(before) != is_word(after)) == *want,
                Some(_) => {
                    list.push((pc, saves));
                    continue;
                }
                None => false,
            };
            if ok {
                todo.push((pc + 1, saves));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(p: &str, ext: bool, t: &str) -> Option<String> {
        let g = Regex::new(p, ext, false).unwrap().find(t, 0)?;
        let (a, b) = g[0]?;
        Some(t[a..b].to_string())
    }

    #[test]
    fn expressions() {
        for (p, ext, t, want) in [
            ("a*", false, "baaa", Some("")),
            ("a\\+", false, "baaa", Some("aaa")),
            ("a+", false, "a+", Some("a+")),
            ("(ab|a)(c|bcd)", true, "abcd", Some("abcd")),
            ("^x", true, "ax", None),
            ("[^0-9]+$", true, "12ab", Some("ab")),
            ("a{2,3}", true, "aaaa", Some("aaa")),
            ("\\<w", true, "a word", Some("w")),
            ("a|b|cd", true, "xcd", Some("cd")),
            ("[[:upper:]][a-z]*", true, "say Hello", Some("Hello")),
            ("x(y)?z", true, "xz", Some("xz")),
            ("\\.", true, "a.b", Some(".")),
        ] {
            assert_eq!(found(p, ext, t).as_deref(), want, "{p}");
        }
        let g = Regex::new("(a+)(b*)", true, false).unwrap().find("xaab", 0).unwrap();
        assert_eq!(g, vec![Some((1, 4)), Some((1, 3)), Some((3, 4))]);
        assert!(Regex::new("(", true, false).is_err());
        assert!(Regex::new("(((a{999}){999}){999})", true, false).is_err());
        // Would take forever with backtracking.
        assert_eq!(found("(a*)*b", true, &"a".repeat(2000)), None);
    }
}
