//! When two outputs are equal: exactly what the recordings' README allows, on both sides alike.

use super::Entry;
use std::collections::BTreeMap;

/// Differences between what a real cluster printed and what ours did, at most a few, in words.
pub fn differences(expected: &[Entry], got: &[Entry]) -> Vec<String> {
    let mut left = Names::default();
    let mut right = Names::default();
    let mut out = Vec::new();
    for (e, g) in expected.iter().zip(got) {
        let (a, b) = (normalize(&mut left, e), normalize(&mut right, g));
        if e.code != g.code {
            out.push(format!("$ {}\n  exit {} instead of {}\n{}", e.line, g.code, e.code, shown(&g.output)));
            continue;
        }
        if a != b && !equal_as_sets(e, &a, &b) {
            out.push(format!("$ {}\n{}", e.line, diff(&a, &b)));
        }
    }
    if expected.len() != got.len() {
        out.push(format!("{} commands instead of {}", got.len(), expected.len()));
    }
    out
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

/// Placeholders by order of first appearance, so that equal stays equal and different stays different.
#[derive(Default, Debug)]
pub struct Names {
    map: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Names {
    fn of(&mut self, kind: &'static str, text: &str) -> String {
        if let Some(p) = self.map.get(text) {
            return p.clone();
        }
        let n = self.counts.entry(kind).or_default();
        *n += 1;
        let p = format!("<{kind}{n}>");
        self.map.insert(text.to_owned(), p.clone());
        p
    }
}

/// A text with what is random or a time replaced.
pub fn mapped(names: &mut Names, text: &str) -> String {
    text.split('\n').map(|l| klog(&tokens(names, l))).collect::<Vec<_>>().join("\n")
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

fn normalize(names: &mut Names, e: &Entry) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in e.output.lines() {
        if line.contains("openshift")
            || line.contains("/.well-known")
            || line.contains("CIDRAssignmentFailed")
        {
            continue;
        }
        let l = fold_spaces(&tokens(names, line));
        if out.last() == Some(&l) && e.line.contains("rollout status") {
            continue;
        }
        out.push(l);
    }
    out.join("\n")
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
            return format!("{}{end}", token(names, bare, line));
        }
    }
    // A container's ID.
    if w.len() == 64 && w.bytes().all(|b| b.is_ascii_hexdigit()) {
        return names.of("container", w);
    }
    // `2026-11-24 21:17:33 +0000 UTC`
    if line.contains(" +0000 UTC") && (is_day(w) || is_clock(w)) {
        return "<time>".into();
    }
    if is_uuid(w) {
        return names.of("uid", w);
    }
    // A container's ID, as a fake kubelet makes it of the pod's.
    if let (Some(id), Some(rest)) = (w.get(..36), w.get(36..))
        && is_uuid(id)
        && rest.starts_with('-')
    {
        return format!("{}{rest}", names.of("uid", id));
    }
    if is_rfc3339(w) {
        return "<time>".into();
    }
    if is_duration(w) && !line.trim_start().starts_with("- ") {
        return "<age>".into();
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
    if let Some(rest) = w.strip_prefix("containerd:") {
        return format!("containerd:{rest}");
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

/// `2026-11-24`
fn is_day(w: &str) -> bool {
    w.len() == 10
        && w.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
}

/// `21:17:33`
fn is_clock(w: &str) -> bool {
    w.len() == 8
        && w.bytes().enumerate().all(|(i, b)| if matches!(i, 2 | 5) { b == b':' } else { b.is_ascii_digit() })
}

fn is_rfc3339(w: &str) -> bool {
    w.len() >= 20
        && w.is_ascii()
        && w.as_bytes()[4] == b'-'
        && w.as_bytes()[10] == b'T'
        && (w.ends_with('Z') || w.contains('+'))
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
fn random_suffix(w: &str) -> Option<usize> {
    let i = w.len().checked_sub(5)?;
    let tail = w.get(i..)?;
    let ok = |b: u8| b"bcdfghjklmnpqrstvwxz2456789".contains(&b);
    (i > 1
        && w.as_bytes()[i - 1] == b'-'
        && tail.bytes().all(ok)
        && tail.bytes().any(|b| b.is_ascii_digit() || !b"aeiou".contains(&b)))
    .then_some(i)
}

/// `Tue, 24 Nov 2026 21:17:33 +0000`, perhaps several.
fn long_dates(s: &str) -> String {
    const DAYS: [&str; 7] = ["Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ", "Sun, "];
    let mut out = String::new();
    let mut rest = s;
    while let Some(at) = DAYS.iter().filter_map(|d| rest.find(d)).min() {
        let Some(end) = rest[at..].find("+0000") else { break };
        out += &format!("{}<date>", &rest[..at]);
        rest = &rest[at + end + 5..];
    }
    out + rest
}

/// Lists whose order is random, or by time within one second, on the real thing too.
fn equal_as_sets(e: &Entry, a: &str, b: &str) -> bool {
    let random = e.line.contains("describe limitrange")
        || e.line.contains("describe limits")
        || e.line.contains("--list")
        || e.line.contains("set env") && e.line.contains("--from")
        || e.line.contains("drain")
        || e.line.contains("get events")
        || e.line.contains("kubectl events")
        || e.line.contains(" events");
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
    // Events of the same second at the end of a page.
    if e.line.contains("describe ")
        && let (Some((x, xs)), Some((y, ys))) = (a.split_once("\nEvents:"), b.split_once("\nEvents:"))
        && x == y
        && sorted(xs) == sorted(ys)
    {
        return true;
    }
    let addresses = e.line.contains("endpoint") || e.line.contains(" ep");
    (random || addresses || a.contains("is invalid:")) && sorted(a) == sorted(b)
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
