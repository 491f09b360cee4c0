//! When two outputs are equal: exactly what the recordings' README allows, on both sides alike.

use super::Entry;
use std::collections::BTreeMap;

/// Differences between what a real cluster printed and what ours did: the command's place and words.
///
/// Tokens that are random map to placeholders by order of first appearance. Where an output is compared as a set there
/// is no such order: there a token's placeholder is what all lines that name it say, whatever their order.
pub fn differences(expected: &[Entry], got: &[Entry]) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let (left, right) = (marked_all(expected), marked_all(got));
    let (numbered_l, numbered_r) = (numbered(&left), numbered(&right));
    let (coloured_l, coloured_r) = (coloured(expected, &left), coloured(got, &right));
    for (i, (e, g)) in expected.iter().zip(got).enumerate() {
        if e.code != g.code {
            let text = format!("$ {}\n  exit {} instead of {}\n{}", e.line, g.code, e.code, shown(&g.output));
            out.push((i, text));
            continue;
        }
        let (a, b) = (&numbered_l[i], &numbered_r[i]);
        if a != b
            && !equal_as_sets(e, a, b)
            && coloured_l[i] != coloured_r[i]
            && !equal_as_sets(e, &coloured_l[i], &coloured_r[i])
        {
            let shown = if is_set(e, a) { diff_of_sets(&left[i], &right[i]) } else { diff(a, b) };
            out.push((i, format!("$ {}\n{shown}", e.line)));
        }
    }
    if expected.len() != got.len() {
        out.push((expected.len(), format!("{} commands instead of {}", got.len(), expected.len())));
    }
    out
}

/// Whether two texts differ in nothing but what is random, line by line.
pub fn same_text(expected: &str, got: &str) -> Result<(), String> {
    let entry = |s: &str| [Entry { line: String::new(), output: s.to_owned(), code: 0 }];
    let (a, b) = (numbered(&marked_all(&entry(expected))), numbered(&marked_all(&entry(got))));
    if a == b { Ok(()) } else { Err(diff(&a[0], &b[0])) }
}

/// Whether two lists of lines are equal as sets, but for what is random.
pub fn same_set(expected: &str, got: &str) -> Result<(), String> {
    // Compared like a list of events, whose order within a second is random.
    let entry = |s: &str| [Entry { line: "get events".into(), output: s.to_owned(), code: 0 }];
    differences(&entry(expected), &entry(got)).into_iter().next().map_or(Ok(()), |(_, d)| Err(d))
}

/// The outputs with their random tokens marked: `\u{1}kind\u{2}text\u{3}`.
fn marked_all(entries: &[Entry]) -> Vec<Vec<String>> {
    entries.iter().map(marked).collect()
}

/// Replaces each marked token.
fn render(line: &str, mut of: impl FnMut(&str, &str) -> String) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1}') {
        out.push_str(before);
        let (token, after) = after.split_once('\u{3}').unwrap_or((after, ""));
        let (kind, text) = token.split_once('\u{2}').unwrap_or((token, ""));
        out += &of(kind, text);
        rest = after;
    }
    out + rest
}

/// What only one of two sets of lines has.
fn diff_of_sets(a: &[String], b: &[String]) -> String {
    let plain = |l: &[String]| l.iter().map(|l| render(l, |_, text| text.to_owned())).collect::<Vec<_>>();
    let (a, b) = (plain(a), plain(b));
    let mut s = String::new();
    for (sign, x, y) in [('-', &a, &b), ('+', &b, &a)] {
        let mut rest = y.clone();
        for l in x {
            match rest.iter().position(|r| r == l) {
                Some(i) => drop(rest.swap_remove(i)),
                None => s += &format!("  {sign} {l}\n"),
            }
        }
    }
    s
}

/// Placeholders by order of first appearance, so that equal stays equal and different stays different.
fn numbered(entries: &[Vec<String>]) -> Vec<String> {
    let mut places = Placeholders::default();
    let mut of = |kind: &str, text: &str| places.of(kind, text);
    entries.iter().map(|e| e.iter().map(|l| render(l, &mut of)).collect::<Vec<_>>().join("\n")).collect()
}

/// The placeholders of one side.
#[derive(Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    counts: BTreeMap<String, usize>,
}

impl Placeholders {
    fn of(&mut self, kind: &str, text: &str) -> String {
        let counts = &mut self.counts;
        let fresh = || {
            let n = counts.entry(kind.to_owned()).or_default();
            *n += 1;
            format!("<{kind}{n}>")
        };
        self.names.entry(text.to_owned()).or_insert_with(fresh).clone()
    }

    /// A text with what is random or a time replaced, blanks and all else as they are.
    pub fn map(&mut self, text: &str) -> String {
        let line = |l: &str| render(&klog(&tokens(&mut Names, l)), |kind, text| self.of(kind, text));
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A text with runs of blanks folded.
pub fn folded(text: &str) -> String {
    text.split('\n').map(fold_spaces).collect::<Vec<_>>().join("\n")
}

/// The time and process at the head of a log line: `W1124 21:52:40.408909    1592 helpers.go:719]`
fn klog(line: &str) -> String {
    let head = line.as_bytes();
    let is = head.len() > 22
        && b"IWEF".contains(&head[0])
        && head[1..5].iter().all(u8::is_ascii_digit)
        && head[5] == b' '
        && head[8] == b':';
    match line.find(".go:") {
        Some(at) if is => {
            let from = line[..at].rfind(' ').map_or(at, |i| i + 1);
            format!("{}<log> {}", &line[..1], &line[from..])
        }
        _ => line.to_owned(),
    }
}

/// Placeholders by what is said of a token: the lines that name it, in which the others have such placeholders too,
/// refined a few times.
fn coloured(entries: &[Entry], all: &[Vec<String>]) -> Vec<String> {
    let digest = |parts: &[&str]| {
        let mut h = sim::Hasher::default();
        parts.iter().for_each(|p| h.bytes(p.as_bytes()));
        format!("{:08x}", h.digest().0 as u32)
    };
    let mut colours: BTreeMap<String, String> = BTreeMap::new();
    let shown = |colours: &BTreeMap<String, String>, line: &str| {
        render(line, |kind, text| format!("<{kind} {}>", colours.get(text).map_or("", String::as_str)))
    };
    for _ in 0..4 {
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (i, lines) in all.iter().enumerate() {
            let unordered = is_set(&entries[i], &lines.join("\n").replace("-\u{1}r", RANDOM_NAME));
            for (j, line) in lines.iter().enumerate() {
                let place = if unordered { 0 } else { j + 1 };
                let text = shown(&colours, line);
                let mut k = 0;
                render(line, |_, token| {
                    k += 1;
                    let d = digest(&[&i.to_string(), &place.to_string(), &k.to_string(), &text]);
                    said.entry(token.to_owned()).or_default().push(d);
                    String::new()
                });
            }
        }
        for (token, mut what) in said {
            what.sort();
            let parts: Vec<&str> = what.iter().map(String::as_str).collect();
            colours.insert(token, digest(&parts));
        }
    }
    all.iter().map(|e| e.iter().map(|l| shown(&colours, l)).collect::<Vec<_>>().join("\n")).collect()
}

fn shown(s: &str) -> String {
    s.lines().take(6).map(|l| format!("  | {l}\n")).collect()
}

fn diff(a: &str, b: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let first = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let mut s = format!("  line {}\n", first + 1);
    for l in a.iter().skip(first).take(4) {
        s += &format!("  - {l}\n");
    }
    for l in b.iter().skip(first).take(4) {
        s += &format!("  + {l}\n");
    }
    s
}

/// Marks the tokens of an output that are random.
struct Names;

impl Names {
    fn of(&mut self, kind: &'static str, text: &str) -> String {
        format!("\u{1}{kind}\u{2}{text}\u{3}")
    }
}

fn marked(e: &Entry) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in e.output.lines() {
        if line.contains("openshift")
            || line.contains("/.well-known")
            || line.contains("CIDRAssignmentFailed")
        {
            continue;
        }
        let l = fold_spaces(&tokens(&mut Names, image_id(line)));
        if out.last() == Some(&l) && e.line.contains("rollout status") {
            continue;
        }
        out.push(l);
    }
    out
}

/// The start of a line that says an image's ID: those of a real runtime belong to its machine.
fn image_id(line: &str) -> &str {
    let real = line.contains("sha256:") && !line.contains("sha256:00000000");
    let key = ["Image ID:", "imageID:"].into_iter().find(|k| line.trim_start().starts_with(k));
    match key.and_then(|k| line.find(k).map(|i| i + k.len())) {
        Some(end) if real => &line[..end],
        _ => line,
    }
}

/// Two or more blanks fold to two; those at the end go.
fn fold_spaces(s: &str) -> String {
    let indent = s.len() - s.trim_start_matches(' ').len();
    let mut out = " ".repeat(indent);
    let mut blanks = 0;
    for c in s[indent..].chars() {
        if c == ' ' {
            blanks += 1;
            if blanks <= 2 {
                out.push(' ');
            }
        } else {
            blanks = 0;
            out.push(c);
        }
    }
    out.trim_end().to_owned()
}

/// Replaces what is random or a time, token by token.
fn tokens(names: &mut Names, line: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in line.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '+' | '_') {
            word.push(c);
            continue;
        }
        out.push_str(&token(names, &word, line));
        word.clear();
        if c != '\n' {
            out.push(c);
        }
    }
    long_dates(&out)
}

fn token(names: &mut Names, w: &str, line: &str) -> String {
    if w.is_empty() {
        return String::new();
    }
    // What ends a name is no part of it.
    for end in [":", "."] {
        if let Some(bare) = w.strip_suffix(end) {
            return token(names, bare, line) + end;
        }
    }
    // `2026-11-24 21:17:33 +0000 UTC`
    if line.contains(" +0000 UTC") && (is_day(w) || is_clock(w)) {
        return "<time>".into();
    }
    if is_uuid(w) {
        return names.of("uid", w);
    }
    if is_rfc3339(w) {
        return "<time>".into();
    }
    if is_duration(w) && !line.trim_start().starts_with("- ") {
        return "<age>".into();
    }
    let id = w.len() == 64 && w.bytes().all(|b| b.is_ascii_hexdigit());
    if id || w.len() > 36 && w.is_char_boundary(36) && is_uuid(&w[..36]) {
        return names.of("container", w);
    }
    // As Go prints maps: the key stands before the value.
    if let Some((key, value)) = w.split_once(':')
        && key.bytes().all(|b| b.is_ascii_alphabetic())
    {
        let version = key == "resourceVersion" && value.bytes().all(|b| b.is_ascii_digit());
        if version || is_rfc3339(value) || is_uuid(value) {
            let value = if version { "<rv>".to_owned() } else { token(names, value, line) };
            return format!("{key}:{value}");
        }
    }
    if let Some((head, tail)) = w.rsplit_once('.')
        && tail.len() == 16
        && tail.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return format!("{}.<event>", token(names, head, line));
    }
    if (line.contains("resourceVersion")
        || line.contains("resource version")
        || line.contains("Resource Version"))
        && w.len() < 12
        && w.bytes().all(|b| b.is_ascii_digit())
    {
        return "<rv>".into();
    }
    if w.starts_with("10.96.") || w.starts_with("10.244.") {
        let (ip, port) = w.split_once(':').map_or((w, ""), |(i, p)| (i, p));
        if ip.split('.').count() == 4 && !matches!(ip, "10.96.0.1" | "10.96.0.10") && !ip.ends_with(".0") {
            let p = names.of("ip", ip);
            return if port.is_empty() { p } else { format!("{p}:{port}") };
        }
    }
    if let Some((port, node)) = w.split_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
        && is_node_port(node)
    {
        return format!("{port}:{}", names.of("nodeport", node));
    }
    if is_node_port(w) && (line.contains("odePort") || line.contains("NodePort")) {
        return names.of("nodeport", w);
    }
    if let Some(i) = random_suffix(w) {
        return format!("{}{}", &w[..i], names.of("r", &w[i..]));
    }
    w.to_owned()
}

fn is_node_port(w: &str) -> bool {
    w.parse::<u32>().is_ok_and(|n| (30_000..32_768).contains(&n))
}

fn is_uuid(w: &str) -> bool {
    w.len() == 36
        && w.bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn is_rfc3339(w: &str) -> bool {
    w.len() >= 20
        && w.is_ascii()
        && w.as_bytes()[4] == b'-'
        && w.as_bytes()[10] == b'T'
        && (w.ends_with('Z') || w.contains('+'))
}

/// `2026-11-24`
fn is_day(w: &str) -> bool {
    let digit = |(i, b): (usize, u8)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() };
    w.len() == 10 && w.bytes().enumerate().all(digit)
}

/// `21:17:33`
fn is_clock(w: &str) -> bool {
    let digit = |(i, b): (usize, u8)| if matches!(i, 2 | 5) { b == b':' } else { b.is_ascii_digit() };
    w.len() == 8 && w.bytes().enumerate().all(digit)
}

/// `5s`, `2m10s`, `3d4h`, `250ms`, `1.5s`.
fn is_duration(w: &str) -> bool {
    if let Some(n) = w.strip_suffix("ms").or_else(|| w.strip_suffix('s')).filter(|n| !n.is_empty())
        && n.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        return true;
    }
    let mut digits = false;
    let mut any = false;
    for c in w.chars() {
        match c {
            '0'..='9' => digits = true,
            's' | 'm' | 'h' | 'd' | 'y' if digits => {
                digits = false;
                any = true;
            }
            _ => return false,
        }
    }
    any && !digits
}

/// Where a generated name's five random characters begin. Hashes of templates are not random: they are longer.
pub fn random_suffix(w: &str) -> Option<usize> {
    let i = w.len().checked_sub(5)?;
    let tail = w.get(i..)?;
    let ok = |b: u8| b"bcdfghjklmnpqrstvwxz2456789".contains(&b);
    (i > 1
        && w.as_bytes()[i - 1] == b'-'
        && tail.bytes().all(ok)
        && tail.bytes().any(|b| b.is_ascii_digit() || !b"aeiou".contains(&b)))
    .then_some(i)
}

/// `Tue, 24 Nov 2026 21:17:33 +0000` or `… GMT`, perhaps several.
fn long_dates(s: &str) -> String {
    const DAYS: [&str; 7] = ["Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ", "Sun, "];
    let mut out = String::new();
    let mut rest = s;
    while let Some(at) = DAYS.iter().filter_map(|d| rest.find(d)).min() {
        // HTTP's dates end in GMT.
        let ends = ["+0000", " GMT"].into_iter().filter_map(|z| Some(rest[at..].find(z)? + z.len()));
        let Some(end) = ends.min() else { break };
        out += &format!("{}<date>", &rest[..at]);
        rest = &rest[at + end..];
    }
    out + rest
}

/// Whether an output is a list whose order is random on the real thing too: as the README names them, events of one
/// second, and rows sorted by a name that is random.
fn is_set(e: &Entry, shown: &str) -> bool {
    let line = &e.line;
    let rows = line.contains("get ")
        && !["yaml", "json"].iter().any(|f| line.contains(f))
        && shown.contains(RANDOM_NAME);
    rows || ["describe limitrange", "describe limits", "--list", "drain", " events", " endpoint", " ep"]
        .iter()
        .any(|w| line.contains(w))
        || line.contains("set env") && line.contains("--from")
}

/// How a line shows that it names something generated, marked or not.
const RANDOM_NAME: &str = "-<r";

/// Events in a description go by time: those of one second in any order.
fn sort_events(s: &str) -> String {
    let (mut out, mut events): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut inside = false;
    for l in s.lines().chain([""]) {
        if inside && l.starts_with("  ") {
            events.push(l);
            continue;
        }
        events.sort_unstable();
        out.append(&mut events);
        inside = l.starts_with("Events:");
        out.push(l);
    }
    out.join("\n")
}

fn equal_as_sets(e: &Entry, a: &str, b: &str) -> bool {
    if e.line.contains("describe") && sort_events(a) == sort_events(b) {
        return true;
    }
    let list = a.lines().count() == b.lines().count()
        && a.lines().zip(b.lines()).all(|(x, y)| x == y || sorted_parts(x) == sorted_parts(y));
    if list {
        return true;
    }
    let sorted = |s: &str| {
        let mut l: Vec<String> = s.lines().map(str::to_owned).collect();
        l.sort();
        l
    };
    (is_set(e, a) || a.contains("is invalid:")) && sorted(a) == sorted(b)
}

/// The parts of an inline list of several errors or addresses.
fn sorted_parts(line: &str) -> Vec<String> {
    let mut parts: Vec<String> = match (line.find('['), line.rfind(']')) {
        (Some(i), Some(j)) if i < j => {
            let mut p: Vec<String> = line[i + 1..j].split(", ").map(str::to_owned).collect();
            p.push(line[..i].to_owned());
            p
        }
        _ if line.contains(',') && !line.contains(", ") => {
            line.split([',', ' ']).map(str::to_owned).collect()
        }
        _ => return vec![line.to_owned()],
    };
    parts.sort();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: &str, output: &str) -> Entry {
        Entry { line: line.into(), output: output.into(), code: 0 }
    }

    #[test]
    fn what_is_random_may_differ_and_nothing_else() {
        let a = [entry("kubectl get pods", "NAME         READY   AGE\nweb-889dd49f5-9ffb5   1/1     5s\n")];
        let b = [entry("kubectl get pods", "NAME   READY   AGE\nweb-889dd49f5-x2k4z   1/1   12s\n")];
        assert!(differences(&a, &b).is_empty(), "{:?}", differences(&a, &b));
        let c = [entry("kubectl get pods", "NAME   READY   AGE\nweb-5f8c75b5b8-x2k4z   1/1   12s\n")];
        assert!(!differences(&a, &c).is_empty());
        let two = [entry("x", "p-9ffb5 p-8rnt8\n")];
        let same = [entry("x", "p-9ffb5 p-9ffb5\n")];
        assert!(!differences(&two, &same).is_empty());
    }
}
