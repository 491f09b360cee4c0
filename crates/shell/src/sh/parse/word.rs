//! Words: quotes, parameters, substitutions, and the bodies of here-documents.

use super::*;

impl Parser<'_> {
    pub(super) fn word(&mut self, until: Until) -> Parsed<Word> {
        self.enter()?;
        let w = self.word_inner(until);
        self.depth -= 1;
        w
    }

    pub(super) fn word_inner(&mut self, until: Until) -> Parsed<Word> {
        let mut b = Builder::default();
        let begin = self.pos;
        let quoted = until == Until::BraceQuoted || until == Until::Here || until == Until::Arith;
        let mut parens = 0usize;
        loop {
            let Some(c) = self.at(0) else {
                match until {
                    Until::Meta | Until::Here => break,
                    Until::Brace | Until::BraceQuoted | Until::Slash | Until::Colon => {
                        return Err(Fault::Incomplete("missing '}'".into()));
                    }
                    Until::Arith => return Err(Fault::Incomplete("missing '))'".into())),
                }
            };
            if until.ends(c) && (until != Until::Arith || (parens == 0 && self.at(1) == Some(')'))) {
                break;
            }
            if c == '\n' {
                self.line += 1;
            }
            match c {
                '\\' if until == Until::Here || until == Until::BraceQuoted || until == Until::Arith => {
                    match self.at(1) {
                        Some('\n') => {
                            self.line += 1;
                            self.pos += 2;
                        }
                        Some(n @ ('$' | '`' | '\\' | '"' | '}'))
                            if !(until == Until::Here && matches!(n, '"' | '}')) =>
                        {
                            b.quoted(n);
                            self.pos += 2;
                        }
                        _ => {
                            b.add('\\', quoted);
                            self.pos += 1;
                        }
                    }
                }
                '\\' => match self.at(1) {
                    Some('\n') => {
                        self.line += 1;
                        self.pos += 2;
                    }
                    Some(n) => {
                        b.quoted(n);
                        self.pos += 2;
                    }
                    None => {
                        b.quoted('\\');
                        self.pos += 1;
                    }
                },
                '\'' if !quoted => self.single(&mut b)?,
                '"' if until != Until::Here && until != Until::Arith => {
                    self.pos += 1;
                    // Inside of "${x-…}" further quotes only toggle; they quote all the same.
                    if until != Until::BraceQuoted {
                        self.double(&mut b)?;
                    }
                }
                '$' if self.at(1) == Some('\'') && !quoted => {
                    self.pos += 1;
                    self.ansi(&mut b)?;
                }
                '$' => self.dollar(&mut b, quoted)?,
                '`' => self.backquote(&mut b, quoted)?,
                '~' if !quoted && self.tilde_may_start(begin) => self.tilde(&mut b),
                '(' if until == Until::Arith => {
                    parens += 1;
                    b.add(c, true);
                    self.pos += 1;
                }
                ')' if until == Until::Arith => {
                    parens = parens.saturating_sub(1);
                    b.add(c, true);
                    self.pos += 1;
                }
                _ => {
                    b.add(c, quoted);
                    self.pos += 1;
                }
            }
        }
        Ok(b.finish())
    }

    pub(super) fn tilde_may_start(&self, begin: usize) -> bool {
        if self.pos == begin {
            return true;
        }
        // After `NAME=` and after a colon of an assignment.
        let so_far: String = self.text.iter().skip(begin).take(self.pos - begin).collect();
        match so_far.split_once('=') {
            Some((n, v)) => is_name(n) && (v.is_empty() || v.ends_with(':')),
            None => false,
        }
    }

    fn tilde(&mut self, b: &mut Builder) {
        let n = (1..)
            .take_while(|i| {
                self.at(*i).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            })
            .count();
        if !matches!(
            self.at(n + 1),
            None | Some('/' | ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' | ':' | '<' | '>' | '}')
        ) {
            b.add('~', false);
            self.pos += 1;
            return;
        }
        let user: String = self.text.iter().skip(self.pos + 1).take(n).collect();
        self.pos += n + 1;
        b.push(Part::Tilde(user.into()));
    }

    fn single(&mut self, b: &mut Builder) -> Parsed<()> {
        self.pos += 1;
        b.start_quoted();
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("unterminated quoted string".into())),
                Some('\'') => break,
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    b.quoted(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        Ok(())
    }

    /// `$'…'`
    fn ansi(&mut self, b: &mut Builder) -> Parsed<()> {
        self.pos += 1;
        b.start_quoted();
        let mut raw = String::new();
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("unterminated quoted string".into())),
                Some('\'') => break,
                Some('\\') if self.at(1).is_some() => {
                    raw.push('\\');
                    raw.extend(self.at(1));
                    self.pos += 2;
                }
                Some(c) => {
                    raw.push(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        let bytes = crate::text::unescape(&raw, crate::text::Escapes::Ansi).0;
        for c in String::from_utf8_lossy(&bytes).chars() {
            b.quoted(c);
        }
        Ok(())
    }

    fn double(&mut self, b: &mut Builder) -> Parsed<()> {
        if self.at(0) == Some('"') {
            b.start_quoted();
        }
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("unterminated quoted string".into())),
                Some('"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some('\\') => match self.at(1) {
                    Some('\n') => {
                        self.line += 1;
                        self.pos += 2;
                    }
                    Some(n @ ('$' | '`' | '"' | '\\')) => {
                        b.quoted(n);
                        self.pos += 2;
                    }
                    _ => {
                        b.quoted('\\');
                        self.pos += 1;
                    }
                },
                Some('$') => self.dollar(b, true)?,
                Some('`') => self.backquote(b, true)?,
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    b.quoted(c);
                    self.pos += 1;
                }
            }
        }
    }

    fn dollar(&mut self, b: &mut Builder, quoted: bool) -> Parsed<()> {
        self.pos += 1;
        let simple = |name: String| Part::Param { name: name.into(), op: Op::Value, quoted };
        match self.at(0) {
            Some('(') if self.at(1) == Some('(') => {
                let (pos, line) = (self.pos, self.line);
                self.pos += 2;
                match self.word(Until::Arith) {
                    Ok(word) => {
                        self.pos += 2;
                        b.push(Part::Arith { word, quoted });
                    }
                    Err(Fault::Incomplete(m)) => {
                        // `$((` may also be a subshell within a command substitution.
                        (self.pos, self.line) = (pos + 1, line);
                        match self.substitution() {
                            Ok(list) => b.push(Part::Command { list, quoted }),
                            Err(_) => return Err(Fault::Incomplete(m)),
                        }
                    }
                    Err(e) => return Err(e),
                }
            }
            Some('(') => {
                self.pos += 1;
                let list = self.substitution()?;
                b.push(Part::Command { list, quoted });
            }
            Some('{') => {
                self.pos += 1;
                self.enter()?;
                let p = self.braced(quoted);
                self.depth -= 1;
                b.push(p?);
            }
            Some(c) if is_name_start(c) => {
                let n = (0..).take_while(|i| self.at(*i).is_some_and(is_name_char)).count();
                let name = self.text.iter().skip(self.pos).take(n).collect();
                self.pos += n;
                b.push(simple(name));
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.pos += 1;
                b.push(simple(c.to_string()));
            }
            _ => b.add('$', quoted),
        }
        Ok(())
    }

    /// The commands of `$(`, which has been read.
    pub(super) fn substitution(&mut self) -> Parsed<Arc<List>> {
        self.enter()?;
        let (peeked, heres) = (self.peeked.take(), core::mem::take(&mut self.heres));
        let list = self.compound_list(true)?;
        let t = self.take()?;
        if t != Tok::Op(")") {
            return self.unexpected(&t, ")");
        }
        self.peeked = peeked;
        self.heres = heres;
        self.depth -= 1;
        Ok(Arc::new(list))
    }

    fn backquote(&mut self, b: &mut Builder, quoted: bool) -> Parsed<()> {
        self.pos += 1;
        let mut inner: Vec<char> = Vec::new();
        loop {
            match self.at(0) {
                None => return Err(Fault::Incomplete("EOF in backquote substitution".into())),
                Some('`') => break,
                Some('\\') => match self.at(1) {
                    Some(c @ ('`' | '$' | '\\')) => {
                        inner.push(c);
                        self.pos += 2;
                    }
                    Some('"') if quoted => {
                        inner.push('"');
                        self.pos += 2;
                    }
                    _ => {
                        inner.push('\\');
                        self.pos += 1;
                    }
                },
                Some(c) => {
                    self.line += u32::from(c == '\n');
                    inner.push(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        let mut p = Parser::new(&inner, 0, self.line);
        p.depth = self.depth;
        p.enter()?;
        let mut list = List::default();
        loop {
            match p.command() {
                Ok(Some(l)) => list.items.extend(l.items),
                Ok(None) => break,
                Err(Fault::Incomplete(m) | Fault::Syntax(m)) => return syntax(m),
            }
        }
        b.push(Part::Command { list: Arc::new(list), quoted });
        Ok(())
    }

    /// What follows `${`.
    pub(super) fn braced(&mut self, quoted: bool) -> Parsed<Part> {
        let mut length = false;
        if self.at(0) == Some('#')
            && !matches!(self.at(1), Some('}' | ':' | '-' | '=' | '+' | '%' | '#') | None)
        {
            length = true;
            self.pos += 1;
        }
        let n = match self.at(0) {
            Some(c) if is_name_start(c) => {
                (0..).take_while(|i| self.at(*i).is_some_and(is_name_char)).count()
            }
            Some(c) if c.is_ascii_digit() => {
                (0..).take_while(|i| self.at(*i).is_some_and(|c| c.is_ascii_digit())).count()
            }
            Some(c) if "@*#?-$!".contains(c) => 1,
            None => return Err(Fault::Incomplete("missing '}'".into())),
            _ => 0,
        };
        let name: SmolStr = self.text.iter().skip(self.pos).take(n).collect::<String>().into();
        self.pos += n;
        if n == 0 {
            return self.bad(name, quoted);
        }
        let inside = if quoted { Until::BraceQuoted } else { Until::Brace };
        if length {
            if self.at(0) == Some('}') {
                self.pos += 1;
                return Ok(Part::Param { name, op: Op::Length, quoted });
            }
            return self.bad(name, quoted);
        }
        let colon = self.at(0) == Some(':') && matches!(self.at(1), Some('-' | '=' | '?' | '+'));
        if colon {
            self.pos += 1;
        }
        let c = self.at(0);
        let twice = c.is_some() && self.at(1) == c;
        let op = match c {
            None => return Err(Fault::Incomplete("missing '}'".into())),
            Some('}') => Op::Value,
            Some(c @ ('-' | '=' | '?' | '+')) => {
                self.pos += 1;
                let word = self.word(inside)?;
                match c {
                    '-' => Op::Default { colon, word },
                    '=' => Op::Assign { colon, word },
                    '?' => Op::Error { colon, word },
                    _ => Op::Alt { colon, word },
                }
            }
            Some(c @ ('#' | '%')) => {
                self.pos += 1 + usize::from(twice);
                // A pattern's own quotes count, even inside of double quotes.
                let word = self.word(Until::Brace)?;
                if c == '#' {
                    Op::TrimPrefix { long: twice, word }
                } else {
                    Op::TrimSuffix { long: twice, word }
                }
            }
            Some('/') => {
                self.pos += 1 + usize::from(twice);
                let pattern = self.word(Until::Slash)?;
                let mut with = Word::default();
                if self.at(0) == Some('/') {
                    self.pos += 1;
                    with = self.word(inside)?;
                }
                Op::Replace { all: twice, pattern, with }
            }
            Some(':') => {
                self.pos += 1;
                let from = self.word(Until::Colon)?;
                let mut len = None;
                if self.at(0) == Some(':') {
                    self.pos += 1;
                    len = Some(self.word(Until::Brace)?);
                }
                Op::Substring { from, len }
            }
            _ => return self.bad(name, quoted),
        };
        self.pos += 1;
        Ok(Part::Param { name, op, quoted })
    }

    pub(super) fn bad(&mut self, name: SmolStr, quoted: bool) -> Parsed<Part> {
        self.word(Until::Brace)?;
        self.pos += 1;
        Ok(Part::Param { name, op: Op::Bad, quoted })
    }

    pub(super) fn read_heres(&mut self, at_end: bool) -> Parsed<()> {
        for h in core::mem::take(&mut self.heres) {
            let mut body: Vec<char> = Vec::new();
            loop {
                if self.at(0).is_none() {
                    if !at_end {
                        return Err(Fault::Incomplete("unexpected end of file".into()));
                    }
                    break;
                }
                let n = (0..).take_while(|i| !matches!(self.at(*i), None | Some('\n'))).count();
                let line: Vec<char> = self.text.iter().skip(self.pos).take(n).copied().collect();
                let ended = self.at(n).is_none();
                self.pos += n + usize::from(!ended);
                self.line += 1;
                let line: &[char] = if h.tabs {
                    let tabs = line.iter().take_while(|c| **c == '\t').count();
                    line.get(tabs..).unwrap_or_default()
                } else {
                    &line
                };
                if line.iter().collect::<String>() == h.end {
                    break;
                }
                body.extend(line);
                body.push('\n');
                if ended {
                    if !at_end {
                        return Err(Fault::Incomplete("unexpected end of file".into()));
                    }
                    break;
                }
            }
            let word = if h.quoted {
                Word { parts: vec![Part::Quoted(body.iter().collect::<String>().into())] }
            } else {
                let mut p = Parser::new(&body, 0, self.line);
                p.depth = self.depth;
                p.word(Until::Here)?
            };
            // Set once: each here-document has its own cell.
            let _ = h.cell.set(word);
        }
        Ok(())
    }
}

/// What ends a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// A blank or an operator.
    Meta,
    /// `}`
    Brace,
    /// `}` within double quotes.
    BraceQuoted,
    /// `/` or `}`
    Slash,
    /// `:` or `}`
    Colon,
    /// `))`
    Arith,
    /// The end of a here-document.
    Here,
}

impl Until {
    fn ends(self, c: char) -> bool {
        match self {
            Until::Meta => matches!(c, ' ' | '\t' | '\r' | '\n' | '&' | '|' | ';' | '<' | '>' | '(' | ')'),
            Until::Brace | Until::BraceQuoted => c == '}',
            Until::Slash => c == '/' || c == '}',
            Until::Colon => c == ':' || c == '}',
            Until::Arith => c == ')',
            Until::Here => false,
        }
    }
}

/// Collects a word's pieces.
#[derive(Default)]
struct Builder {
    parts: Vec<Part>,
    text: String,
    is_quoted: bool,
    started: bool,
}

impl Builder {
    fn flush(&mut self) {
        if self.text.is_empty() && !(self.is_quoted && self.started) {
            self.started = false;
            return;
        }
        let t: SmolStr = core::mem::take(&mut self.text).into();
        self.parts.push(if self.is_quoted { Part::Quoted(t) } else { Part::Lit(t) });
        self.started = false;
    }

    fn add(&mut self, c: char, quoted: bool) {
        if quoted != self.is_quoted {
            self.flush();
            self.is_quoted = quoted;
        }
        self.text.push(c);
    }

    fn quoted(&mut self, c: char) {
        self.add(c, true);
    }

    /// Quotes without content still make a word.
    fn start_quoted(&mut self) {
        if !self.is_quoted {
            self.flush();
            self.is_quoted = true;
        }
        self.started = true;
    }

    fn push(&mut self, p: Part) {
        self.flush();
        self.parts.push(p);
    }

    fn finish(mut self) -> Word {
        self.flush();
        Word { parts: self.parts }
    }
}
