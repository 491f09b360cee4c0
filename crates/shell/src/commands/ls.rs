//! `ls` and `stat`

use super::once::{Cx, Ran};
use crate::accounts::{group_name, user_name};
use crate::fs;
use crate::sh::columns;
use crate::sys::{FileType, STDOUT, Stat};
use sim::{Civil, Limits};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The name of a month.
pub fn month(m: u8) -> &'static str {
    MONTHS.get(usize::from(m).wrapping_sub(1)).copied().unwrap_or("???")
}

/// `drwxr-xr-x`
pub fn mode_text(kind: FileType, mode: u32) -> String {
    let t = match kind {
        FileType::Regular => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Character => 'c',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
    };
    let mut s = String::from(t);
    for shift in [6, 3, 0] {
        let b = mode >> shift;
        s.push(if b & 4 != 0 { 'r' } else { '-' });
        s.push(if b & 2 != 0 { 'w' } else { '-' });
        let special = match shift {
            6 => (0o4000, 's', 'S'),
            3 => (0o2000, 's', 'S'),
            _ => (0o1000, 't', 'T'),
        };
        s.push(match (mode & special.0 != 0, b & 1 != 0) {
            (true, true) => special.1,
            (true, false) => special.2,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    s
}

/// A size for people, as `ls -h`, `du -h` and `df -h` print it.
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let (mut n, mut frac, mut unit) = (bytes, 0, 0);
    while n >= 1024 && unit < 5 {
        frac = ((n % 1024) * 10 + 512) / 1024;
        n /= 1024;
        unit += 1;
        if frac == 10 {
            n += 1;
            frac = 0;
        }
    }
    let u = ["", "K", "M", "G", "T", "P"].get(unit).copied().unwrap_or("");
    format!("{n}.{frac}{u}")
}

/// Blocks of 1 KiB that a file takes.
pub fn blocks(s: &Stat) -> u64 {
    match s.kind {
        FileType::Regular | FileType::Directory => s.size.div_ceil(4096) * 4,
        _ => 0,
    }
}

struct Item {
    name: String,
    path: String,
    stat: Stat,
}

struct Ls {
    o: super::options::Options,
    code: i32,
    tty: bool,
    now: i64,
}

impl Ls {
    fn has(&self, c: char) -> bool {
        self.o.has(c)
    }

    fn sort(&self, list: &mut [Item]) {
        list.sort_by(|a, b| {
            let o = if self.has('S') {
                b.stat.size.cmp(&a.stat.size)
            } else if self.has('t') {
                b.stat.mtime.cmp(&a.stat.mtime)
            } else if self.has('v') {
                super::text::version(&a.name, &b.name)
            } else {
                core::cmp::Ordering::Equal
            };
            let o = o.then_with(|| a.name.cmp(&b.name));
            if self.has('r') { o.reverse() } else { o }
        });
    }

    fn label(&self, cx: &mut Cx, i: &Item) -> String {
        let mut s = i.name.clone();
        let mark = |kind: FileType, mode: u32| match kind {
            FileType::Directory => "/",
            FileType::Symlink => "@",
            FileType::Regular if mode & 0o111 != 0 => "*",
            FileType::Socket => "=",
            FileType::Fifo => "|",
            _ => "",
        };
        if self.has('l') && i.stat.is_symlink() {
            if let Ok(t) = cx.sys.readlink(&i.path) {
                s.push_str(&format!(" -> {t}"));
                if self.has('F')
                    && let Ok(st) = cx.sys.stat(&i.path)
                {
                    s.push_str(mark(st.kind, st.mode));
                }
            }
        } else if self.has('F') {
            s.push_str(mark(i.stat.kind, i.stat.mode));
        } else if self.has('p') && i.stat.is_dir() {
            s.push('/');
        }
        s
    }

    fn long(&self, cx: &mut Cx, i: &Item) -> String {
        let s = &i.stat;
        let (user, group) = if self.has('n') {
            (s.uid.to_string(), s.gid.to_string())
        } else {
            (user_name(cx.sys, s.uid), group_name(cx.sys, s.gid))
        };
        let size = if s.kind == FileType::Character {
            format!("{:4}, {:3} ", s.rdev.0, s.rdev.1)
        } else if self.has('h') {
            format!("{:>9} ", human(s.size))
        } else {
            format!("{:>9} ", s.size)
        };
        let c = Civil::from_unix(s.mtime, 0);
        let age = self.now - s.mtime;
        let when = if self.has('e') {
            format!(
                "{} {} {:2} {:02}:{:02}:{:02} {}",
                super::date::weekday(c.weekday()),
                month(c.month),
                c.day,
                c.hour,
                c.minute,
                c.second,
                c.year
            )
        } else if (-900..15_768_000).contains(&age) {
            format!("{} {:2} {:02}:{:02}", month(c.month), c.day, c.hour, c.minute)
        } else {
            format!("{} {:2}  {}", month(c.month), c.day, c.year)
        };
        format!(
            "{} {:>4} {:<8.8} {:<8.8} {size}{when} {}\n",
            mode_text(s.kind, s.mode),
            s.nlink,
            user,
            group,
            self.label(cx, i)
        )
    }

    fn show(&self, cx: &mut Cx, list: &[Item]) {
        if self.has('l') || self.has('n') {
            for i in list {
                if self.has('i') {
                    cx.say(&format!("{:7} ", i.stat.ino));
                }
                if self.has('s') {
                    cx.say(&format!("{:6} ", blocks(&i.stat)));
                }
                let l = self.long(cx, i);
                cx.say(&l);
            }
            return;
        }
        let mut names = Vec::with_capacity(list.len());
        for i in list {
            let mut l = String::new();
            if self.has('i') {
                l.push_str(&format!("{:7} ", i.stat.ino));
            }
            if self.has('s') {
                l.push_str(&format!("{:6} ", blocks(&i.stat)));
            }
            l.push_str(&self.label(cx, i));
            names.push(l);
        }
        if self.tty && !self.has('1') || self.has('C') {
            let width = cx.sys.tty_size(STDOUT).map_or(80, |s| usize::from(s.0));
            let refs: Vec<&str> = names.iter().map(String::as_str).collect();
            cx.say(&columns(&refs, width));
        } else {
            for n in names {
                cx.say(&format!("{n}\n"));
            }
        }
    }

    fn directory(&mut self, cx: &mut Cx, path: &str) -> Vec<Item> {
        let mut list = Vec::new();
        match cx.sys.readdir(path) {
            Err(e) => {
                cx.err(&format!("can't open '{path}': {e}"));
                self.code = 1;
            }
            Ok(entries) => {
                let mut names: Vec<String> = entries.iter().map(|e| e.name.to_string()).collect();
                if self.has('a') {
                    names.extend([".".to_string(), "..".to_string()]);
                }
                for name in names {
                    if name.starts_with('.') && !self.has('a') && !self.has('A') {
                        continue;
                    }
                    let p = fs::join(path, &name);
                    let st = if self.has('L') { cx.sys.stat(&p) } else { cx.sys.lstat(&p) };
                    match st {
                        Ok(stat) => list.push(Item { name, path: p, stat }),
                        Err(e) => {
                            cx.fail(&p, e);
                            self.code = 1;
                        }
                    }
                }
            }
        }
        self.sort(&mut list);
        list
    }
}

/// `ls`
pub fn ls(cx: &mut Cx) -> Ran {
    let o = match cx.options(
        "1AaCxdLHRFplinshrSXvctuegw:T:k",
        &[
            ("color", 'k'),
            ("full-time", 'e'),
            ("all", 'a'),
            ("recursive", 'R'),
            ("human-readable", 'h'),
            ("group-directories-first", 'k'),
        ],
    ) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let now = cx.sys.epoch().0 + cx.sys.now().secs() as i64;
    let tty = cx.sys.isatty(STDOUT);
    let mut l = Ls { o, code: 0, tty, now };
    let args = if l.o.rest.is_empty() { vec![".".to_string()] } else { l.o.rest.clone() };
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for a in args {
        let follow = !l.has('d') && !l.has('l') || l.has('L') || l.has('H') || a.ends_with('/');
        let st = if follow { cx.sys.stat(&a).or_else(|_| cx.sys.lstat(&a)) } else { cx.sys.lstat(&a) };
        match st {
            Ok(stat) => {
                let item = Item { name: a.clone(), path: a, stat };
                if item.stat.is_dir() && !l.has('d') { dirs.push(item) } else { files.push(item) }
            }
            Err(e) => {
                cx.fail(&a, e);
                l.code = 1;
            }
        }
    }
    l.sort(&mut files);
    l.sort(&mut dirs);
    l.show(cx, &files);
    let titles = files.len() + dirs.len() > 1 || l.has('R');
    let mut first = files.is_empty();
    let mut todo: Vec<String> = dirs.iter().rev().map(|d| d.path.clone()).collect();
    let mut shown = 0;
    while let Some(d) = todo.pop() {
        shown += 1;
        if shown > Limits::TABLE.processes_max {
            break;
        }
        if titles {
            let gap = if first { "" } else { "\n" };
            cx.say(&format!("{gap}{d}:\n"));
        }
        first = false;
        let list = l.directory(cx, &d);
        if l.has('l') || l.has('s') {
            let total: u64 = list.iter().map(|i| blocks(&i.stat)).sum();
            cx.say(&format!("total {total}\n"));
        }
        l.show(cx, &list);
        if l.has('R') {
            let sub = list.iter().filter(|i| i.stat.is_dir() && i.name != "." && i.name != "..");
            todo.extend(sub.rev().map(|i| i.path.clone()));
        }
    }
    Ok(l.code)
}

/// `stat`
pub fn stat(cx: &mut Cx) -> Ran {
    let o = match cx.options("Lfc:t", &[("format", 'c')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let mut code = 0;
    for f in o.rest.clone() {
        let s = match if o.has('L') { cx.sys.stat(&f) } else { cx.sys.lstat(&f) } {
            Ok(s) => s,
            Err(e) => {
                cx.err(&format!("can't stat '{f}': {e}"));
                code = 1;
                continue;
            }
        };
        let what = match s.kind {
            FileType::Regular if s.size == 0 => "regular empty file",
            FileType::Regular => "regular file",
            FileType::Directory => "directory",
            FileType::Symlink => "symbolic link",
            FileType::Character => "character special file",
            FileType::Fifo => "fifo",
            FileType::Socket => "socket",
        };
        let (user, group) = (user_name(cx.sys, s.uid), group_name(cx.sys, s.gid));
        if let Some(format) = o.value('c') {
            let mut out = String::new();
            let mut it = format.chars();
            while let Some(c) = it.next() {
                if c != '%' {
                    out.push(c);
                    continue;
                }
                match it.next() {
                    Some('n') => out.push_str(&f),
                    Some('s') => out.push_str(&s.size.to_string()),
                    Some('a') => out.push_str(&format!("{:o}", s.mode)),
                    Some('A') => out.push_str(&mode_text(s.kind, s.mode)),
                    Some('u') => out.push_str(&s.uid.to_string()),
                    Some('g') => out.push_str(&s.gid.to_string()),
                    Some('U') => out.push_str(&user),
                    Some('G') => out.push_str(&group),
                    Some('F') => out.push_str(what),
                    Some('i') => out.push_str(&s.ino.to_string()),
                    Some('h') => out.push_str(&s.nlink.to_string()),
                    Some('Y' | 'X' | 'Z') => out.push_str(&s.mtime.to_string()),
                    Some('y' | 'x' | 'z') => out.push_str(&stamp(s.mtime)),
                    Some(c) => out.push(c),
                    None => out.push('%'),
                }
            }
            cx.say(&format!("{out}\n"));
            continue;
        }
        let name = match cx.sys.readlink(&f) {
            Ok(t) if s.is_symlink() => format!("'{f}' -> '{t}'"),
            _ => f.clone(),
        };
        let time = stamp(s.mtime);
        cx.say(&format!(
            "  File: {name}\n  Size: {:<10}\tBlocks: {:<10} IO Block: 4096   {what}\nDevice: {:x}h/{}d\tInode: {:<10}  Links: {}\nAccess: ({:04o}/{})  Uid: ({:5}/{user:>8})   Gid: ({:5}/{group:>8})\nAccess: {time}\nModify: {time}\nChange: {time}\n",
            s.size,
            blocks(&s) * 2,
            s.dev,
            s.dev,
            s.ino,
            s.nlink,
            s.mode,
            mode_text(s.kind, s.mode),
            s.uid,
            s.gid,
        ));
    }
    Ok(code)
}

fn stamp(t: i64) -> String {
    let c = Civil::from_unix(t, 0);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.000000000 +0000",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}
