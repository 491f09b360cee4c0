//! `du`, `df`, `mount`, `umount`, `free`

use super::ls::{blocks, human};
use super::once::{Cx, Ran};
use crate::{fs, io};
use std::collections::BTreeSet;

/// `du`
pub fn du(cx: &mut Cx) -> Ran {
    let o = match cx.options("aHLdclshmkxb", &[("summarize", 's'), ("human-readable", 'h'), ("all", 'a')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let roots = if o.rest.is_empty() { vec![".".to_string()] } else { o.rest.clone() };
    let show = |cx: &mut Cx, kb: u64, path: &str| {
        let n = if o.has('h') {
            human(kb * 1024)
        } else if o.has('m') {
            kb.div_ceil(1024).to_string()
        } else {
            kb.to_string()
        };
        cx.say(&format!("{n}\t{path}\n"));
    };
    let (mut code, mut total) = (0, 0);
    let mut seen = BTreeSet::new();
    for r in &roots {
        // Sums along the way down, taken off the stack on the way up.
        let mut sums: Vec<u64> = vec![0];
        let mut todo = vec![(r.clone(), false)];
        let mut count = 0;
        while let Some((path, done)) = todo.pop() {
            count += 1;
            if count > super::files::WALK_MAX {
                break;
            }
            if done {
                let sum = sums.pop().unwrap_or(0);
                if let Some(p) = sums.last_mut() {
                    *p += sum;
                }
                if !o.has('s') || path == *r {
                    show(cx, sum, &path);
                }
                continue;
            }
            match cx.sys.lstat(&path) {
                Err(e) => {
                    cx.fail(&path, e);
                    code = 1;
                }
                Ok(s) if s.is_dir() => {
                    sums.push(blocks(&s));
                    todo.push((path.clone(), true));
                    match cx.sys.readdir(&path) {
                        Ok(list) => todo.extend(list.iter().rev().map(|e| (fs::join(&path, &e.name), false))),
                        Err(e) => {
                            cx.fail(&path, e);
                            code = 1;
                        }
                    }
                }
                Ok(s) => {
                    let n = if seen.insert((s.dev, s.ino)) || s.nlink < 2 { blocks(&s) } else { 0 };
                    if let Some(p) = sums.last_mut() {
                        *p += n;
                    }
                    if o.has('a') || path == *r {
                        show(cx, n, &path);
                    }
                }
            }
        }
        total += sums.first().copied().unwrap_or(0);
    }
    if o.has('c') {
        show(cx, total, "total");
    }
    Ok(code)
}

/// `df`
pub fn df(cx: &mut Cx) -> Ran {
    let o = match cx.options("Pkmhait:T", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let (unit, head) = if o.has('h') {
        (0, "      Size      Used Available")
    } else if o.has('m') {
        (1 << 20, " 1M-blocks      Used Available")
    } else {
        (1024, " 1K-blocks      Used Available")
    };
    let kind = if o.has('T') { " Type      " } else { "" };
    let use_ = if o.has('P') { "Capacity" } else { "Use%" };
    cx.say(&format!("Filesystem          {kind}{head} {use_} Mounted on\n"));
    let mut list: Vec<_> = cx.sys.mounts();
    if !o.rest.is_empty() {
        let mut wanted = Vec::new();
        for f in &o.rest {
            match cx.sys.realpath(f) {
                Ok(p) => {
                    let best = list
                        .iter()
                        .filter(|m| {
                            m.target == "/" || p == m.target || p.starts_with(&format!("{}/", m.target))
                        })
                        .max_by_key(|m| m.target.len());
                    wanted.extend(best.cloned());
                }
                Err(e) => {
                    cx.fail(f, e);
                    return Ok(1);
                }
            }
        }
        list = wanted;
    } else if !o.has('a') {
        list.retain(|m| m.size_bytes > 0);
    }
    for m in list {
        let free = m.size_bytes.saturating_sub(m.used_bytes);
        let pct = (m.used_bytes * 100).div_ceil(m.size_bytes.max(1));
        let n = |b: u64| match unit {
            0 if b == 0 => "0".to_string(),
            0 => human(b),
            u => (b / u).to_string(),
        };
        let source =
            if m.source.len() > 20 { format!("{}\n{:20}", m.source, "") } else { format!("{:20}", m.source) };
        let kind = if o.has('T') { format!(" {:10}", m.fstype) } else { String::new() };
        cx.say(&format!(
            "{source}{kind} {:>9} {:>9} {:>9} {pct:>3}% {}\n",
            n(m.size_bytes),
            n(m.used_bytes),
            n(free),
            m.target
        ));
    }
    Ok(0)
}

/// `mount`
pub fn mount(cx: &mut Cx) -> Ran {
    let o = match cx.options("aflrnvwt:o:", &[("bind", 'B')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    if o.rest.is_empty() {
        for m in cx.sys.mounts() {
            if o.value('t').is_none_or(|t| t == m.fstype) {
                cx.say(&format!("{} on {} type {} ({})\n", m.source, m.target, m.fstype, m.options));
            }
        }
        return Ok(0);
    }
    let (Some(source), Some(target)) = (o.rest.first(), o.rest.get(1)) else {
        let f = o.rest.first().cloned().unwrap_or_default();
        cx.err(&format!("can't find {f} in /etc/fstab"));
        return Ok(1);
    };
    let mut options: Vec<&str> = o.values('o').collect();
    if o.has('B') {
        options.push("bind");
    }
    if o.has('r') {
        options.push("ro");
    }
    let options = options.join(",");
    match cx.sys.mount(source, target, o.value('t').unwrap_or(""), &options) {
        Ok(()) => Ok(0),
        Err(e) => {
            let (s, t) = (source.clone(), target.clone());
            cx.err(&if e == crate::Errno::EPERM {
                "permission denied (are you root?)".to_string()
            } else {
                format!("mounting {s} on {t} failed: {e}")
            });
            Ok(if e == crate::Errno::EPERM { 1 } else { 255 })
        }
    }
}

/// `umount`
pub fn umount(cx: &mut Cx) -> Ran {
    let o = match cx.options("rlfant:", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let mut code = 0;
    for t in &o.rest {
        if let Err(e) = cx.sys.umount(t) {
            cx.err(&format!("can't unmount {t}: {e}"));
            code = 1;
        }
    }
    Ok(code)
}

/// A value of `/proc/meminfo` in KiB.
pub fn meminfo(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|v| v.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// `free`
pub fn free(cx: &mut Cx) -> Ran {
    let o = match cx.options("bkmght", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let t = io::read_text(cx.sys, "/proc/meminfo").unwrap_or_default();
    let get = |k: &str| meminfo(&t, k);
    let show = |kb: u64| {
        if o.has('h') {
            human(kb * 1024)
        } else if o.has('b') {
            (kb * 1024).to_string()
        } else if o.has('m') {
            (kb / 1024).to_string()
        } else if o.has('g') {
            (kb >> 20).to_string()
        } else {
            kb.to_string()
        }
    };
    let (total, free, cached) = (get("MemTotal"), get("MemFree"), get("Cached") + get("Buffers"));
    let used = total.saturating_sub(free + cached);
    cx.say("              total        used        free      shared  buff/cache   available\n");
    cx.say(&format!(
        "Mem:    {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\n",
        show(total),
        show(used),
        show(free),
        show(get("Shmem")),
        show(cached),
        show(get("MemAvailable"))
    ));
    cx.say(&format!("Swap:   {:>11} {:>11} {:>11}\n", show(0), show(0), show(0)));
    Ok(0)
}
