//! Patterns of the shell: `*`, `?`, `[…]` and backslash.

/// Whether `text` matches `pattern` as a whole.
pub fn matches(pattern: &str, text: &str) -> bool {
    let p: Vec<char> = pattern.chars().collect();
    let t: Vec<char> = text.chars().collect();
    match_chars(&p, &t)
}

fn match_chars(p: &[char], t: &[char]) -> bool {
    // One star to go back to is enough: an earlier one need never be tried again.
    let (mut i, mut j) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while j < t.len() {
        if p.get(i) == Some(&'*') {
            star = Some((i, j));
            i += 1;
            continue;
        }
        if let Some(n) = t.get(j).and_then(|c| one(p, i, *c)) {
            i = n;
            j += 1;
            continue;
        }
        match star {
            Some((si, sj)) => {
                star = Some((si, sj + 1));
                i = si + 1;
                j = sj + 1;
            }
            None => return false,
        }
    }
    p.iter().skip(i).all(|c| *c == '*')
}

/// Matches one character; gives the position after the pattern's element.
fn one(p: &[char], i: usize, c: char) -> Option<usize> {
    match p.get(i)? {
        '?' => Some(i + 1),
        '[' => match set(p, i) {
            Some((end, ranges, negate)) => {
                (ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != negate).then_some(end)
            }
            None => (c == '[').then_some(i + 1),
        },
        '\\' => match p.get(i + 1) {
            Some(e) => (*e == c).then_some(i + 2),
            None => (c == '\\').then_some(i + 1),
        },
        e => (*e == c).then_some(i + 1),
    }
}

type Set = (usize, Vec<(char, char)>, bool);

fn set(p: &[char], start: usize) -> Option<Set> {
    let mut i = start + 1;
    let negate = matches!(p.get(i), Some('!' | '^'));
    i += usize::from(negate);
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        let mut c = *p.get(i)?;
        if c == ']' && !first {
            return Some((i + 1, ranges, negate));
        }
        first = false;
        if c == '[' && p.get(i + 1) == Some(&':') {
            let rest: String = p.iter().skip(i + 2).take(8).collect();
            if let Some((name, _)) = rest.split_once(":]") {
                ranges.extend(class(name));
                i += name.len() + 4;
                continue;
            }
        }
        if c == '\\' {
            i += 1;
            c = *p.get(i)?;
        }
        i += 1;
        if p.get(i) == Some(&'-') && p.get(i + 1).is_some_and(|e| *e != ']') {
            let mut e = *p.get(i + 1)?;
            i += 2;
            if e == '\\' {
                e = *p.get(i)?;
                i += 1;
            }
            ranges.push((c, e));
        } else {
            ranges.push((c, c));
        }
    }
}

/// The ranges of a named class of characters.
pub fn class(name: &str) -> &'static [(char, char)] {
    match name {
        "alpha" => &[('a', 'z'), ('A', 'Z')],
        "digit" => &[('0', '9')],
        "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
        "upper" => &[('A', 'Z')],
        "lower" => &[('a', 'z')],
        "space" => &[(' ', ' '), ('\t', '\r')],
        "blank" => &[(' ', ' '), ('\t', '\t')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
        "print" => &[(' ', '~')],
        "graph" => &[('!', '~')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        _ => &[],
    }
}

/// Whether a pattern has something to expand.
pub fn is_glob(pattern: &str) -> bool {
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// A text as a pattern that matches only it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '-' | '!' | '^') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A pattern without its backslashes.
pub fn unescape(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    out
}

/// The shortest or longest prefix that matches, as its length in bytes.
pub fn prefix(pattern: &str, text: &str, long: bool) -> Option<usize> {
    let ends = text.char_indices().map(|(i, _)| i).chain([text.len()]);
    let fits = |i: &usize| text.get(..*i).is_some_and(|t| matches(pattern, t));
    if long { ends.collect::<Vec<_>>().into_iter().rev().find(fits) } else { ends.into_iter().find(fits) }
}

/// The shortest or longest suffix that matches, as its start in bytes.
pub fn suffix(pattern: &str, text: &str, long: bool) -> Option<usize> {
    let starts = text.char_indices().map(|(i, _)| i).chain([text.len()]);
    let fits = |i: &usize| text.get(*i..).is_some_and(|t| matches(pattern, t));
    if long { starts.into_iter().find(fits) } else { starts.collect::<Vec<_>>().into_iter().rev().find(fits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (p, t, ok) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c*", "abcd", true),
            ("[a-c]?", "bz", true),
            ("[!a]*", "abc", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[[:digit:]]", "7", true),
            ("[", "[", true),
        ] {
            assert_eq!(matches(p, t), ok, "{p} {t}");
        }
        assert_eq!(prefix("*b", "abab", false), Some(2));
        assert_eq!(suffix("b*", "abab", true), Some(1));
    }
}
