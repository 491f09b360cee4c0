//! A unified diff of two specs as JSON, for the message about what an update may not change.

use crate::Value;
use crate::gostruct::{internal_json, internal_part_json};

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Beyond this many changed lines the whole block counts as replaced.
const LINES_MAX: usize = 600;

/// The difference of two pods' specs.
pub fn pod_specs(old: &Value, new: &Value) -> String {
    of("io.k8s.api.core.v1.PodSpec", old, new)
}

/// The difference of two values of that type.
pub fn of(ty: &str, old: &Value, new: &Value) -> String {
    let text = |v: &Value| indent(&internal_json(ty, v));
    unified(&text(old), &text(new))
}

/// The difference of two PersistentVolumes' sources.
pub fn volume_sources(old: &Value, new: &Value) -> String {
    let text = |v: &Value| indent(&internal_part_json("io.k8s.api.core.v1.PersistentVolumeSpec", v));
    unified(&text(old), &text(new))
}

/// JSON with one space of indentation a level.
fn indent(json: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut depth, mut quoted, mut escaped) = (String::new(), 0usize, false, false);
    let mut chars = json.chars().peekable();
    let end = |line: &mut String, lines: &mut Vec<String>, depth: usize| {
        lines.push(core::mem::take(line));
        line.push_str(&" ".repeat(depth));
    };
    while let Some(c) = chars.next() {
        if quoted {
            line.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                line.push(c);
            }
            '{' | '[' => {
                line.push(c);
                match chars.peek() {
                    Some(n @ ('}' | ']')) => {
                        line.push(*n);
                        chars.next();
                    }
                    _ => {
                        depth += 1;
                        end(&mut line, &mut lines, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                end(&mut line, &mut lines, depth);
                line.push(c);
            }
            ',' => {
                line.push(c);
                end(&mut line, &mut lines, depth);
            }
            ':' => line.push_str(": "),
            c => line.push(c),
        }
    }
    lines.push(line);
    lines
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Same,
    Gone,
    New,
}

fn unified(old: &[String], new: &[String]) -> String {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (o, n) = (&old[head..], &new[head..]);
    let tail = o.iter().rev().zip(n.iter().rev()).take_while(|(a, b)| a == b).count();
    let (o, n) = (&o[..o.len() - tail], &n[..n.len() - tail]);
    let mut steps = vec![Step::Same; head];
    steps.extend(middle(o, n));
    steps.extend(core::iter::repeat_n(Step::Same, tail));
    let mut out = String::new();
    let (mut i, mut a, mut b) = (0, 0, 0);
    while i < steps.len() {
        let Some(next) = steps[i..].iter().position(|s| *s != Step::Same) else { break };
        let start = (i + next).saturating_sub(CONTEXT).max(i);
        (a, b) = (a + (start - i), b + (start - i));
        // The hunk ends where more than twice the context is unchanged.
        let (mut end, mut quiet) = (i + next, 0);
        while end < steps.len() && quiet <= 2 * CONTEXT {
            quiet = if steps[end] == Step::Same { quiet + 1 } else { 0 };
            end += 1;
        }
        let end = end - quiet.saturating_sub(CONTEXT);
        let hunk = &steps[start..end];
        let count = |not: Step| hunk.iter().filter(|s| **s != not).count();
        out.push_str(&format!("@@ -{},{} +{},{} @@\n", a + 1, count(Step::New), b + 1, count(Step::Gone)));
        for s in hunk {
            let (mark, line) = match s {
                Step::Same => (' ', &old[a]),
                Step::Gone => ('-', &old[a]),
                Step::New => ('+', &new[b]),
            };
            a += usize::from(*s != Step::New);
            b += usize::from(*s != Step::Gone);
            out.push(mark);
            out.push_str(line);
            out.push('\n');
        }
        i = end;
    }
    out
}

/// The longest common subsequence as steps.
fn middle(o: &[String], n: &[String]) -> Vec<Step> {
    if o.len() > LINES_MAX || n.len() > LINES_MAX {
        let gone = core::iter::repeat_n(Step::Gone, o.len());
        return gone.chain(core::iter::repeat_n(Step::New, n.len())).collect();
    }
    let width = n.len() + 1;
    let mut best = vec![0u16; (o.len() + 1) * width];
    for i in (0..o.len()).rev() {
        for j in (0..n.len()).rev() {
            best[i * width + j] = if o[i] == n[j] {
                best[(i + 1) * width + j + 1] + 1
            } else {
                best[(i + 1) * width + j].max(best[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < o.len() || j < n.len() {
        if i < o.len() && j < n.len() && o[i] == n[j] {
            out.push(Step::Same);
            (i, j) = (i + 1, j + 1);
        } else if j == n.len() || (i < o.len() && best[(i + 1) * width + j] >= best[i * width + j + 1]) {
            out.push(Step::Gone);
            i += 1;
        } else {
            out.push(Step::New);
            j += 1;
        }
    }
    out
}

#[cfg(test)]
#[test]
fn changed_lines_with_their_context() {
    let l = |s: &str| s.chars().map(String::from).collect::<Vec<_>>();
    assert_eq!(unified(&l("abcdefg"), &l("abcdXfg")), "@@ -2,6 +2,6 @@\n b\n c\n d\n-e\n+X\n f\n g\n");
    assert_eq!(indent(r#"{"A":[],"B":{"C":1}}"#), ["{", " \"A\": [],", " \"B\": {", "  \"C\": 1", " }", "}"]);
}
