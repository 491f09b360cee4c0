//! `ps` and `top`

use super::disk::meminfo;
use super::once::{Cx, Ran};
use crate::accounts::{group_name, user_name};
use crate::io;
use crate::sys::{ProcessInfo, ProcessState, STDOUT};

fn state(p: &ProcessInfo) -> &'static str {
    match p.state {
        ProcessState::Running => "R",
        ProcessState::Sleeping => "S",
        ProcessState::Stopped => "T",
        ProcessState::Zombie => "Z",
    }
}

/// The command line as `ps` shows it.
fn command(p: &ProcessInfo) -> String {
    if p.state == ProcessState::Zombie || p.argv.is_empty() {
        return format!("[{}]", p.comm);
    }
    let line = p.argv.join(" ");
    // One that shows another name than its file's is marked, as busybox does.
    let first = p.argv.first().map_or("", |a| crate::fs::basename(a)).trim_start_matches('-');
    if first.starts_with(p.comm.as_str()) || p.comm.is_empty() {
        line
    } else {
        format!("{{{}}} {line}", p.comm)
    }
}

fn minutes(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    format!("{}:{:02}", s / 60, s % 60)
}

/// A size in KiB in at most five characters, as busybox does.
fn small(kb: u64) -> String {
    if kb < 100_000 {
        kb.to_string()
    } else if kb < 10 * 1024 * 1024 {
        format!("{}m", kb / 1024)
    } else {
        format!("{}g", kb >> 20)
    }
}

fn column(cx: &mut Cx, p: &ProcessInfo, name: &str) -> String {
    match name {
        "pid" => p.pid.to_string(),
        "ppid" => p.ppid.to_string(),
        "pgid" => p.pgid.to_string(),
        "sid" => p.sid.to_string(),
        "user" | "ruser" => user_name(cx.sys, p.uid),
        "group" | "rgroup" => group_name(cx.sys, p.gid),
        "uid" => p.uid.to_string(),
        "comm" => p.comm.to_string(),
        "args" | "cmd" | "command" => command(p),
        "stat" | "state" | "s" => state(p).into(),
        "vsz" => small(p.vsz_bytes / 1024),
        "rss" => small(p.rss_bytes / 1024),
        "time" => minutes(p.cpu_ns),
        "etime" => {
            let s = cx.sys.now().since(p.started).as_secs();
            if s >= 3600 {
                format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
            } else {
                format!("{}:{:02}", s / 60, s % 60)
            }
        }
        "tty" => p.tty.as_ref().map_or_else(|| "?".into(), |t| t.replace("pts/", "136,")),
        "nice" => "0".into(),
        _ => String::new(),
    }
}

const COLUMNS: [(&str, &str, usize); 21] = [
    ("pid", "PID", 5),
    ("ppid", "PPID", 5),
    ("pgid", "PGID", 5),
    ("sid", "SID", 5),
    ("user", "USER", 8),
    ("ruser", "USER", 8),
    ("group", "GROUP", 8),
    ("rgroup", "RGROUP", 8),
    ("uid", "UID", 5),
    ("comm", "COMMAND", 16),
    ("args", "COMMAND", 256),
    ("cmd", "COMMAND", 256),
    ("command", "COMMAND", 256),
    ("stat", "STAT", 4),
    ("state", "STAT", 4),
    ("vsz", "VSZ", 4),
    ("rss", "RSS", 4),
    ("time", "TIME", 5),
    ("etime", "ELAPSED", 7),
    ("tty", "TT", 6),
    ("nice", "NI", 5),
];

/// `ps`
pub fn ps(cx: &mut Cx) -> Ran {
    // BSD-style letters without a dash select all, which is the default here.
    let args: Vec<String> = cx
        .args
        .iter()
        .filter(|a| a.starts_with('-') || a.contains(',') || a.contains("pid"))
        .cloned()
        .collect();
    let o = match super::options::parse(&args, "o:AefTlwap:u:", &[("no-headers", 'H')]) {
        Ok(o) => o,
        Err(m) => {
            cx.err(&m);
            return Ok(cx.usage());
        }
    };
    let mut names: Vec<(String, Option<String>)> = Vec::new();
    for n in o.values('o').flat_map(|v| v.split(',')) {
        let (n, title) = match n.split_once('=') {
            Some((n, t)) => (n, Some(t.to_string())),
            None => (n, None),
        };
        names.push((n.to_string(), title));
    }
    if names.is_empty() {
        let std = if o.has('l') {
            vec!["stat", "uid", "pid", "ppid", "vsz", "rss", "tty", "time", "args"]
        } else {
            vec!["pid", "user", "time", "args"]
        };
        names = std.into_iter().map(|n| (n.to_string(), None)).collect();
    }
    let mut cols = Vec::new();
    for (n, title) in &names {
        match COLUMNS.iter().find(|c| c.0 == n) {
            Some(c) => cols.push((c.0, title.clone().unwrap_or_else(|| c.1.to_string()), c.2)),
            None => {
                cx.err(&format!("bad -o argument '{n}', supported arguments: user,group,comm,args,pid,ppid,pgid,etime,nice,rgroup,ruser,time,tty,vsz,sid,stat,rss"));
                return Ok(1);
            }
        }
    }
    let width = cx.sys.tty_size(STDOUT).map_or(usize::MAX, |s| usize::from(s.0));
    let clip = |s: String| s.chars().take(width).collect::<String>();
    let line = |cells: Vec<String>| {
        let last = cells.len().saturating_sub(1);
        let mut s = String::new();
        for (i, (cell, c)) in cells.iter().zip(&cols).enumerate() {
            let w = c.2;
            let right =
                matches!(c.0, "pid" | "ppid" | "pgid" | "sid" | "uid" | "vsz" | "rss" | "nice" | "time");
            if i == last {
                s.push_str(cell);
            } else if right {
                s.push_str(&format!("{cell:>w$} "));
            } else {
                s.push_str(&format!("{cell:<w$} "));
            }
        }
        s
    };
    if cols.iter().any(|c| !c.1.is_empty()) {
        // Titles stand to the left, whatever their column does.
        let last = cols.len().saturating_sub(1);
        let head: String = cols
            .iter()
            .enumerate()
            .map(|(i, c)| if i == last { c.1.clone() } else { format!("{:<w$} ", c.1, w = c.2) })
            .collect();
        cx.say(&format!("{}\n", clip(head)));
    }
    for p in cx.sys.processes() {
        let cells = cols.iter().map(|c| column(cx, &p, c.0)).collect();
        let l = clip(line(cells));
        cx.say(&format!("{l}\n"));
    }
    Ok(0)
}

/// `top`, once.
pub fn top(cx: &mut Cx) -> Ran {
    let t = io::read_text(cx.sys, "/proc/meminfo").unwrap_or_default();
    let (total, free) = (meminfo(&t, "MemTotal"), meminfo(&t, "MemFree"));
    let list = cx.sys.processes();
    cx.say(&format!(
        "Mem: {}K used, {free}K free, 0K shrd, 0K buff, 0K cached\n",
        total.saturating_sub(free)
    ));
    cx.say("CPU:   0% usr   0% sys   0% nic 100% idle   0% io   0% irq   0% sirq\n");
    let running = list.iter().filter(|p| p.state == ProcessState::Running).count();
    cx.say(&format!("Load average: 0.00 0.01 0.05 {running}/{} {}\n", list.len(), cx.sys.pid()));
    cx.say("  PID  PPID USER     STAT   VSZ %VSZ %CPU COMMAND\n");
    for p in list {
        let user = user_name(cx.sys, p.uid);
        let vsz = p.vsz_bytes / 1024;
        cx.say(&format!(
            "{:5} {:5} {user:<8} {:<4} {:>6} {:>3}% {:>3}% {}\n",
            p.pid,
            p.ppid,
            state(&p),
            small(vsz),
            vsz * 100 / total.max(1),
            0,
            command(&p)
        ));
    }
    Ok(0)
}
