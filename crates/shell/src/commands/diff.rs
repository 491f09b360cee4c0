//! `diff`, `cmp`, `comm`

use super::cat::lines;
use super::once::{Cx, Ran};
use sim::Limits;

/// One step of an edit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edit {
    Same,
    Drop,
    Add,
}

/// Lines of one side beyond which only whole replacement is tried.
const LINES_MAX: usize = 5000;

/// The shortest edit from `a` to `b` (Myers' algorithm), or drop-all-add-all for what is too large.
fn edits(a: &[&[u8]], b: &[&[u8]], same: &dyn Fn(&[u8], &[u8]) -> bool) -> Vec<Edit> {
    let head = a.iter().zip(b).take_while(|(x, y)| same(x, y)).count();
    let (ra, rb) = (a.get(head..).unwrap_or_default(), b.get(head..).unwrap_or_default());
    let tail = ra.iter().rev().zip(rb.iter().rev()).take_while(|(x, y)| same(x, y)).count();
    let ma = ra.get(..ra.len() - tail).unwrap_or_default();
    let mb = rb.get(..rb.len() - tail).unwrap_or_default();
    let mut out = vec![Edit::Same; head];
    if ma.len() + mb.len() > LINES_MAX {
        out.extend(core::iter::repeat_n(Edit::Drop, ma.len()));
        out.extend(core::iter::repeat_n(Edit::Add, mb.len()));
    } else {
        out.extend(middle(ma, mb, same));
    }
    out.extend(core::iter::repeat_n(Edit::Same, tail));
    out
}

fn middle(a: &[&[u8]], b: &[&[u8]], same: &dyn Fn(&[u8], &[u8]) -> bool) -> Vec<Edit> {
    let (n, m) = (a.len() as isize, b.len() as isize);
    let max = n + m;
    let width = (2 * max + 3) as usize;
    let at = |k: isize| (k + max + 1) as usize;
    let mut v = vec![0isize; width];
    let mut history: Vec<Vec<isize>> = Vec::new();
    'search: for d in 0..=max {
        history.push(v.clone());
        let mut k = -d;
        while k <= d {
            let (down, right) =
                (v.get(at(k + 1)).copied().unwrap_or(0), v.get(at(k - 1)).copied().unwrap_or(0));
            let mut x = if k == -d || k != d && right < down { down } else { right + 1 };
            let mut y = x - k;
            while x < n
                && y < m
                && let (Some(p), Some(q)) = (a.get(x as usize), b.get(y as usize))
                && same(p, q)
            {
                x += 1;
                y += 1;
            }
            if let Some(s) = v.get_mut(at(k)) {
                *s = x;
            }
            if x >= n && y >= m {
                break 'search;
            }
            k += 2;
        }
        if history.len() > LINES_MAX {
            break;
        }
    }
    let (mut x, mut y) = (n, m);
    let mut out = Vec::new();
    for (d, v) in history.iter().enumerate().rev() {
        let d = d as isize;
        let k = x - y;
        let (down, right) = (v.get(at(k + 1)).copied().unwrap_or(0), v.get(at(k - 1)).copied().unwrap_or(0));
        let from_down = k == -d || k != d && right < down;
        let pk = if from_down { k + 1 } else { k - 1 };
        let px = v.get(at(pk)).copied().unwrap_or(0);
        let py = px - pk;
        while x > px && y > py && d >= 0 {
            if x == 0 || y == 0 {
                break;
            }
            out.push(Edit::Same);
            x -= 1;
            y -= 1;
        }
        if d > 0 {
            if from_down {
                out.push(Edit::Add);
                y -= 1;
            } else {
                out.push(Edit::Drop);
                x -= 1;
            }
        }
    }
    out.reverse();
    out
}

/// `diff`: unified, as busybox prints it.
pub fn diff(cx: &mut Cx) -> Ran {
    let o = match cx.options(
        "abBdiL:NqrTstU:uw",
        &[("brief", 'q'), ("unified", 'u'), ("label", 'L'), ("ignore-case", 'i')],
    ) {
        Ok(o) => o,
        Err(_) => return Ok(2),
    };
    let (Some(fa), Some(fb)) = (o.rest.first().cloned(), o.rest.get(1).cloned()) else {
        cx.usage();
        return Ok(2);
    };
    let (fa, fb) = {
        let dir = |cx: &mut Cx, p: &str| cx.sys.stat(p).is_ok_and(|s| s.is_dir());
        match (dir(cx, &fa), dir(cx, &fb)) {
            (true, false) => (crate::fs::join(&fa, crate::fs::basename(&fb)), fb),
            (false, true) => (fa.clone(), crate::fs::join(&fb, crate::fs::basename(&fa))),
            _ => (fa, fb),
        }
    };
    let side = |cx: &mut Cx, f: &str| match cx.input(f) {
        Err(again) => Err(again),
        Ok(Ok(d)) => Ok(Some(d)),
        Ok(Err(crate::Errno::ENOENT)) if o.has('N') => Ok(Some(Vec::new())),
        Ok(Err(e)) => {
            cx.err(&format!("can't stat '{f}': {e}"));
            Ok(None)
        }
    };
    let (Some(a), Some(b)) = (side(cx, &fa)?, side(cx, &fb)?) else { return Ok(2) };
    if a == b {
        if o.has('s') {
            cx.say(&format!("Files {fa} and {fb} are identical\n"));
        }
        return Ok(0);
    }
    let norm = |l: &[u8]| -> Vec<u8> {
        let mut v = l.to_vec();
        if o.has('w') {
            v.retain(|b| !b.is_ascii_whitespace());
        } else if o.has('b') {
            let t = String::from_utf8_lossy(&v);
            v = t.split_whitespace().collect::<Vec<_>>().join(" ").into_bytes();
        }
        if o.has('i') {
            v.make_ascii_lowercase();
        }
        v
    };
    let fuzzy = o.has('w') || o.has('b') || o.has('i');
    let same = |x: &[u8], y: &[u8]| if fuzzy { norm(x) == norm(y) } else { x == y };
    let split =
        |d: &[u8]| -> Vec<Vec<u8>> { d.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect() };
    let (va, vb) = (split(&a), split(&b));
    let (la, lb): (Vec<&[u8]>, Vec<&[u8]>) =
        (va.iter().map(Vec::as_slice).collect(), vb.iter().map(Vec::as_slice).collect());
    let list = edits(&la, &lb, &same);
    if list.iter().all(|e| *e == Edit::Same) {
        return Ok(0);
    }
    if o.has('q') {
        cx.say(&format!("Files {fa} and {fb} differ\n"));
        return Ok(1);
    }
    let labels: Vec<&str> = o.values('L').collect();
    cx.say(&format!(
        "--- {}\n+++ {}\n",
        labels.first().unwrap_or(&fa.as_str()),
        labels.get(1).unwrap_or(&fb.as_str())
    ));
    let context = o.value('U').and_then(|u| u.parse().ok()).unwrap_or(3usize).min(Limits::TABLE.files_max);
    hunks(cx, &list, &la, &lb, context);
    Ok(1)
}

fn hunks(cx: &mut Cx, list: &[Edit], a: &[&[u8]], b: &[&[u8]], context: usize) {
    let changed: Vec<usize> =
        list.iter().enumerate().filter(|(_, e)| **e != Edit::Same).map(|(i, _)| i).collect();
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for i in changed {
        let (from, to) = (i.saturating_sub(context), (i + context + 1).min(list.len()));
        match groups.last_mut() {
            Some(g) if from <= g.1 => g.1 = to,
            _ => groups.push((from, to)),
        }
    }
    for (from, to) in groups {
        let count = |r: &[Edit], skip: Edit| r.iter().filter(|e| **e != skip).count();
        let before = list.get(..from).unwrap_or_default();
        let part = list.get(from..to).unwrap_or_default();
        let (mut x, mut y) = (count(before, Edit::Add), count(before, Edit::Drop));
        let (nx, ny) = (count(part, Edit::Add), count(part, Edit::Drop));
        let range = |start: usize, n: usize| match n {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            n => format!("{},{n}", start + 1),
        };
        cx.say(&format!("@@ -{} +{} @@\n", range(x, nx), range(y, ny)));
        for e in part {
            let (mark, line) = match e {
                Edit::Same => (" ", a.get(x)),
                Edit::Drop => ("-", a.get(x)),
                Edit::Add => ("+", b.get(y)),
            };
            x += usize::from(*e != Edit::Add);
            y += usize::from(*e != Edit::Drop);
            cx.say(mark);
            let line = line.copied().unwrap_or_default();
            cx.out.put(1, line);
            if !line.ends_with(b"\n") {
                cx.say("\n\\ No newline at end of file\n");
            }
        }
    }
}

/// `cmp`
pub fn cmp(cx: &mut Cx) -> Ran {
    let o = match cx.options("lsn:", &[("silent", 's'), ("quiet", 's')]) {
        Ok(o) => o,
        Err(_) => return Ok(2),
    };
    let (Some(fa), Some(fb)) = (o.rest.first(), o.rest.get(1)) else {
        cx.usage();
        return Ok(2);
    };
    let mut data = Vec::new();
    for f in [fa, fb] {
        match cx.input(f)? {
            Ok(d) => data.push(d),
            Err(e) => {
                cx.err(&format!("can't open '{f}': {e}"));
                return Ok(2);
            }
        }
    }
    let (Some(a), Some(b)) = (data.first(), data.get(1)) else { return Ok(2) };
    if a == b {
        return Ok(0);
    }
    if o.has('s') {
        return Ok(1);
    }
    match a.iter().zip(b).position(|(x, y)| x != y) {
        Some(i) => {
            let line = a.iter().take(i).filter(|b| **b == b'\n').count() + 1;
            cx.say(&format!("{fa} {fb} differ: char {}, line {line}\n", i + 1));
        }
        None => {
            let short = if a.len() < b.len() { fa } else { fb };
            let m = format!("EOF on {short}");
            cx.err(&m);
        }
    }
    Ok(1)
}

/// `comm`
pub fn comm(cx: &mut Cx) -> Ran {
    let o = match cx.options("123", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let mut sides = Vec::new();
    for f in o.rest.iter().take(2) {
        match cx.input(f)? {
            Ok(d) => sides
                .push(lines(&d).iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect::<Vec<_>>()),
            Err(e) => {
                cx.fail(f, e);
                return Ok(1);
            }
        }
    }
    let (Some(a), Some(b)) = (sides.first(), sides.get(1)) else { return Ok(cx.usage()) };
    let (mut i, mut j, mut out) = (0, 0, String::new());
    let tabs = |n: usize| "\t".repeat((1..n).filter(|c| !o.has(char::from(b'0' + *c as u8))).count());
    loop {
        let (column, text) = match (a.get(i), b.get(j)) {
            (None, None) => break,
            (Some(x), Some(y)) if x == y => {
                i += 1;
                j += 1;
                (3, x)
            }
            (Some(x), y) if y.is_none_or(|y| x < y) => {
                i += 1;
                (1, x)
            }
            (_, Some(y)) => {
                j += 1;
                (2, y)
            }
            (Some(x), None) => {
                i += 1;
                (1, x)
            }
        };
        if !o.has(char::from(b'0' + column as u8)) {
            out.push_str(&format!("{}{text}\n", tabs(column)));
        }
    }
    cx.say(&out);
    Ok(0)
}
