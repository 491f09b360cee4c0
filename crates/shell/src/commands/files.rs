//! `cp`, `mv`, `rm`, `mkdir`, `rmdir`, `ln`, `touch`, `chmod`, `chown`, `chgrp`, `install`, `mktemp`, `dd`

use super::once::{Cx, Ran};
use super::options::Options;
use crate::accounts::{groups, user_named};
use crate::sys::{FileType, OpenFlags, Sys};
use crate::{Errno, fs, io};
use sim::Limits;

macro_rules! options {
    ($cx:expr, $spec:expr) => {
        options!($cx, $spec, &[])
    };
    ($cx:expr, $spec:expr, $long:expr) => {
        match $cx.options($spec, $long) {
            Ok(o) => o,
            Err(code) => return Ok(code),
        }
    };
}

/// Where a source goes: into a directory under its own name, or to the path itself.
fn target(sys: &mut dyn Sys, from: &str, to: &str, many: bool) -> Result<String, Errno> {
    let dir = sys.stat(to).is_ok_and(|s| s.is_dir());
    if many && !dir {
        return Err(Errno::ENOTDIR);
    }
    Ok(if dir { fs::join(to, fs::basename(from)) } else { to.to_string() })
}

struct Copy {
    recursive: bool,
    preserve: bool,
    follow: bool,
    force: bool,
    verbose: bool,
    failed: bool,
    /// The first directory copied to: what lies in it is not copied again.
    made: Option<(u64, u64)>,
}

/// Files that one command may visit.
pub const WALK_MAX: usize = Limits::TABLE.processes_max * 4;

impl Copy {
    fn within(&self, cx: &mut Cx, from: &str) -> bool {
        self.made.is_some_and(|m| cx.sys.lstat(from).is_ok_and(|s| s.is_dir() && (s.dev, s.ino) == m))
    }

    fn copy(&mut self, cx: &mut Cx, from: &str, to: &str) {
        let mut todo = vec![(from.to_string(), to.to_string())];
        let mut count = 0;
        while let Some((from, to)) = todo.pop() {
            count += 1;
            if count > WALK_MAX {
                return;
            }
            if self.within(cx, &from) {
                cx.err(&format!("can't copy '{from}' into itself"));
                self.failed = true;
                continue;
            }
            if let Err((m, e)) = self.one(cx, &from, &to, &mut todo) {
                cx.err(&format!("{m}: {e}"));
                self.failed = true;
            }
        }
    }

    fn one(
        &mut self,
        cx: &mut Cx,
        from: &str,
        to: &str,
        todo: &mut Vec<(String, String)>,
    ) -> Result<(), (String, Errno)> {
        let at = |what: &str, path: &str| format!("can't {what} '{path}'");
        let st = if self.follow || !self.recursive { cx.sys.stat(from) } else { cx.sys.lstat(from) };
        let st = st.map_err(|e| (at("stat", from), e))?;
        if let (Ok(a), Ok(b)) = (cx.sys.stat(from), cx.sys.stat(to))
            && (a.dev, a.ino) == (b.dev, b.ino)
        {
            cx.err(&format!("'{from}' and '{to}' are the same file"));
            self.failed = true;
            return Ok(());
        }
        if self.verbose {
            cx.say(&format!("'{from}' -> '{to}'\n"));
        }
        match st.kind {
            FileType::Directory => {
                if !self.recursive {
                    cx.err(&format!("omitting directory '{from}'"));
                    self.failed = true;
                    return Ok(());
                }
                if !cx.sys.stat(to).is_ok_and(|s| s.is_dir()) {
                    cx.sys.mkdir(to, 0o700 | st.mode).map_err(|e| (at("create directory", to), e))?;
                }
                if self.made.is_none() {
                    self.made = cx.sys.stat(to).ok().map(|s| (s.dev, s.ino));
                }
                let list = cx.sys.readdir(from).map_err(|e| (at("open", from), e))?;
                todo.extend(list.iter().rev().map(|e| (fs::join(from, &e.name), fs::join(to, &e.name))));
            }
            FileType::Symlink => {
                let t = cx.sys.readlink(from).map_err(|e| (at("read link", from), e))?;
                let _ = cx.sys.unlink(to);
                cx.sys.symlink(&t, to).map_err(|e| (at("create symlink", to), e))?;
                return Ok(());
            }
            _ => {
                let data = io::read_file(cx.sys, from).map_err(|e| (at("open", from), e))?;
                let mut r = io::write_file(cx.sys, to, &data, OpenFlags::WRITE, st.mode);
                if r.is_err() && self.force {
                    let _ = cx.sys.unlink(to);
                    r = io::write_file(cx.sys, to, &data, OpenFlags::WRITE, st.mode);
                }
                r.map_err(|e| (at("create", to), e))?;
            }
        }
        if self.preserve {
            // What may not be kept is not, as with the real one.
            let _ = cx.sys.chmod(to, st.mode);
            let _ = cx.sys.chown(to, Some(st.uid), Some(st.gid));
            let _ = cx.sys.utimes(to, Some(st.mtime));
        }
        Ok(())
    }
}

/// `cp`
pub fn cp(cx: &mut Cx) -> Ran {
    let mut o = options!(
        cx,
        "adRrpPLHfilsuTvt:",
        &[("recursive", 'r'), ("archive", 'a'), ("force", 'f'), ("verbose", 'v')]
    );
    let Some(to) = o.value('t').map(str::to_string).or_else(|| o.rest.pop()) else { return Ok(cx.usage()) };
    if o.rest.is_empty() {
        return Ok(cx.usage());
    }
    let archive = o.has('a');
    let mut c = Copy {
        recursive: archive || o.has('r') || o.has('R'),
        preserve: archive || o.has('p'),
        follow: o.has('L'),
        force: o.has('f'),
        verbose: o.has('v'),
        failed: false,
        made: None,
    };
    let many = o.rest.len() > 1;
    for f in &o.rest {
        let t = if o.has('T') { Ok(to.clone()) } else { target(cx.sys, f, &to, many) };
        match t {
            Ok(t) => c.copy(cx, f, &t),
            Err(_) => {
                cx.err(&format!("target '{to}' is not a directory"));
                return Ok(1);
            }
        }
    }
    Ok(i32::from(c.failed))
}

/// `mv`
pub fn mv(cx: &mut Cx) -> Ran {
    let mut o = options!(cx, "finTt:v");
    let Some(to) = o.value('t').map(str::to_string).or_else(|| o.rest.pop()) else { return Ok(cx.usage()) };
    if o.rest.is_empty() {
        return Ok(cx.usage());
    }
    let many = o.rest.len() > 1;
    let mut code = 0;
    for f in &o.rest {
        let Ok(t) = target(cx.sys, f, &to, many) else {
            cx.err(&format!("can't rename '{f}': {}", Errno::ENOTDIR));
            return Ok(1);
        };
        if o.has('n') && cx.sys.lstat(&t).is_ok() {
            continue;
        }
        match cx.sys.rename(f, &t) {
            Ok(()) => {}
            Err(Errno::EXDEV) => {
                let mut c = Copy {
                    recursive: true,
                    preserve: true,
                    follow: false,
                    force: true,
                    verbose: false,
                    failed: false,
                    made: None,
                };
                c.copy(cx, f, &t);
                if c.failed || !remove(cx, f, true, true) {
                    code = 1;
                }
            }
            Err(e) => {
                cx.err(&format!("can't rename '{f}': {e}"));
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Removes a file, or a directory with all below. False if something was left.
fn remove(cx: &mut Cx, path: &str, recursive: bool, force: bool) -> bool {
    let mut ok = true;
    // Each directory comes twice: first its content is put above it, then it is empty.
    let mut todo = vec![(path.to_string(), false)];
    while let Some((p, emptied)) = todo.pop() {
        if todo.len() > WALK_MAX {
            return false;
        }
        let r = match cx.sys.lstat(&p) {
            Err(Errno::ENOENT) if force => Ok(()),
            Err(e) => Err(e),
            Ok(s) if s.is_dir() && !recursive => Err(Errno::EISDIR),
            Ok(s) if s.is_dir() && !emptied => {
                todo.push((p.clone(), true));
                match cx.sys.readdir(&p) {
                    Ok(list) => {
                        todo.extend(list.iter().rev().map(|e| (fs::join(&p, &e.name), false)));
                        Ok(())
                    }
                    Err(e) => Err(e),
                }
            }
            Ok(s) if s.is_dir() => cx.sys.rmdir(&p),
            Ok(_) => cx.sys.unlink(&p),
        };
        match r {
            Ok(()) => {}
            Err(Errno::EISDIR) if !recursive => {
                cx.err(&format!("'{p}' is a directory"));
                ok = false;
            }
            Err(e) => {
                cx.err(&format!("can't remove '{p}': {e}"));
                ok = false;
            }
        }
    }
    ok
}

/// `rm`
pub fn rm(cx: &mut Cx) -> Ran {
    let o = options!(cx, "firRv", &[("recursive", 'r'), ("force", 'f')]);
    if o.rest.is_empty() {
        return Ok(if o.has('f') { 0 } else { cx.usage() });
    }
    let mut code = 0;
    for f in &o.rest {
        if matches!(fs::basename(f), "." | "..") {
            cx.err("can't remove '.' or '..'");
            code = 1;
            continue;
        }
        if !remove(cx, f, o.has('r') || o.has('R'), o.has('f')) {
            code = 1;
        }
    }
    Ok(code)
}

/// Permission bits of `u+rwx,go-w` or octal digits, applied to what was before.
pub fn parse_mode(spec: &str, old: u32, dir: bool, umask: u32) -> Option<u32> {
    if spec.starts_with(|c: char| c.is_ascii_digit()) {
        return u32::from_str_radix(spec, 8).ok().filter(|m| *m <= 0o7777);
    }
    let mut mode = old;
    for clause in spec.split(',') {
        let ops = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(ops);
        let mut mask = 0;
        for c in who.chars() {
            mask |= match c {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        let free = if who.is_empty() { !umask } else { !0 };
        let mask = if who.is_empty() { 0o7777 } else { mask };
        let mut chars = rest.chars().peekable();
        while let Some(op) = chars.next() {
            let mut bits = 0;
            while let Some(c) = chars.next_if(|c| !matches!(c, '+' | '-' | '=')) {
                bits |= match c {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    'X' => {
                        if dir || old & 0o111 != 0 {
                            0o111
                        } else {
                            0
                        }
                    }
                    's' => 0o6000,
                    't' => 0o1000,
                    'u' => (old >> 6 & 7) * 0o111,
                    'g' => (old >> 3 & 7) * 0o111,
                    'o' => (old & 7) * 0o111,
                    _ => return None,
                };
            }
            let bits = bits & mask & free;
            match op {
                '+' => mode |= bits,
                '-' => mode &= !bits,
                '=' => mode = mode & !(mask & 0o777) | bits,
                _ => return None,
            }
        }
    }
    Some(mode & 0o7777)
}

/// `mkdir`
pub fn mkdir(cx: &mut Cx) -> Ran {
    let o = options!(cx, "m:pv", &[("parents", 'p'), ("mode", 'm')]);
    if o.rest.is_empty() {
        return Ok(cx.usage());
    }
    let mode = match o.value('m') {
        None => None,
        Some(m) => match parse_mode(m, 0o777, true, 0) {
            Some(m) => Some(m),
            None => {
                let m = m.to_string();
                cx.err(&format!("invalid mode '{m}'"));
                return Ok(1);
            }
        },
    };
    let mut code = 0;
    for d in &o.rest {
        if o.has('p') {
            let mut path = String::new();
            let mut err = None;
            for (i, part) in d.split('/').enumerate() {
                if i > 0 || part.is_empty() {
                    path.push('/');
                }
                path.push_str(part);
                if part.is_empty() {
                    continue;
                }
                match cx.sys.mkdir(&path, 0o777) {
                    Ok(()) => {}
                    Err(_) if cx.sys.stat(&path).is_ok_and(|s| s.is_dir()) => {}
                    Err(e) => {
                        err = Some((path.clone(), e));
                        break;
                    }
                }
            }
            if let Some((p, e)) = err {
                cx.err(&format!("can't create directory '{p}': {e}"));
                code = 1;
                continue;
            }
        } else if let Err(e) = cx.sys.mkdir(d, 0o777) {
            cx.err(&format!("can't create directory '{d}': {e}"));
            code = 1;
            continue;
        }
        if let Some(m) = mode {
            // It was just made by us, so it may be set.
            let _ = cx.sys.chmod(d, m);
        }
    }
    Ok(code)
}

/// `rmdir`
pub fn rmdir(cx: &mut Cx) -> Ran {
    let o = options!(cx, "p", &[("parents", 'p'), ("ignore-fail-on-non-empty", 'i')]);
    if o.rest.is_empty() {
        return Ok(cx.usage());
    }
    let mut code = 0;
    for d in &o.rest {
        let mut path = d.as_str();
        loop {
            if let Err(e) = cx.sys.rmdir(path) {
                if !(o.has('i') && e == Errno::ENOTEMPTY) {
                    cx.err(&format!("'{path}': {e}"));
                    code = 1;
                }
                break;
            }
            path = fs::dirname(path);
            if !o.has('p') || matches!(path, "." | "/") {
                break;
            }
        }
    }
    Ok(code)
}

/// `ln`
pub fn ln(cx: &mut Cx) -> Ran {
    let mut o = options!(cx, "sfnbtvT", &[("symbolic", 's'), ("force", 'f'), ("no-dereference", 'n')]);
    if o.rest.is_empty() {
        return Ok(cx.usage());
    }
    let to = if o.rest.len() == 1 {
        fs::basename(&o.rest.first().cloned().unwrap_or_default()).to_string()
    } else {
        o.rest.pop().unwrap_or_default()
    };
    let mut code = 0;
    for t in &o.rest {
        let as_dir = !o.has('T')
            && if o.has('n') { cx.sys.lstat(&to) } else { cx.sys.stat(&to) }.is_ok_and(|s| s.is_dir());
        let path = if as_dir { fs::join(&to, fs::basename(t)) } else { to.clone() };
        if o.has('f') {
            let _ = cx.sys.unlink(&path);
        }
        let r = if o.has('s') { cx.sys.symlink(t, &path) } else { cx.sys.link(t, &path) };
        if let Err(e) = r {
            cx.fail(&path, e);
            code = 1;
        }
    }
    Ok(code)
}

/// `touch`
pub fn touch(cx: &mut Cx) -> Ran {
    let o = options!(cx, "cam hd:t:r:", &[("no-create", 'c'), ("date", 'd'), ("reference", 'r')]);
    if o.rest.is_empty() {
        return Ok(cx.usage());
    }
    let mut time = None;
    if let Some(d) = o.value('d') {
        match super::date::parse(d) {
            Some(t) => time = Some(t),
            None => {
                let d = d.to_string();
                cx.err(&format!("invalid date '{d}'"));
                return Ok(1);
            }
        }
    }
    if let Some(r) = o.value('r').map(str::to_string) {
        match cx.sys.stat(&r) {
            Ok(s) => time = Some(s.mtime),
            Err(e) => {
                cx.fail(&r, e);
                return Ok(1);
            }
        }
    }
    let mut code = 0;
    for f in &o.rest {
        let mut r = cx.sys.utimes(f, time);
        if r == Err(Errno::ENOENT) {
            if o.has('c') {
                continue;
            }
            r = io::write_file(cx.sys, f, b"", OpenFlags::APPEND, 0o666);
            if r.is_ok() && time.is_some() {
                r = cx.sys.utimes(f, time);
            }
        }
        if let Err(e) = r {
            cx.fail(f, e);
            code = 1;
        }
    }
    Ok(code)
}

/// All paths below one, itself first.
fn below(sys: &mut dyn Sys, path: &str) -> Vec<String> {
    let (mut all, mut todo) = (Vec::new(), vec![path.to_string()]);
    while let Some(p) = todo.pop() {
        if all.len() > WALK_MAX {
            break;
        }
        if sys.lstat(&p).is_ok_and(|s| s.is_dir())
            && let Ok(list) = sys.readdir(&p)
        {
            todo.extend(list.iter().rev().map(|e| fs::join(&p, &e.name)));
        }
        all.push(p);
    }
    all
}

fn targets(cx: &mut Cx, o: &Options, files: &[String]) -> Vec<String> {
    if !o.has('R') {
        return files.to_vec();
    }
    files.iter().flat_map(|f| below(cx.sys, f)).collect()
}

/// `chmod`
pub fn chmod(cx: &mut Cx) -> Ran {
    // `-x` is a mode, not an option.
    let (mut args, mut recursive) = (Vec::new(), false);
    for a in cx.args {
        match a.as_str() {
            "-R" => recursive = true,
            "-v" | "-c" | "-f" => {}
            a => args.push(a.to_string()),
        }
    }
    let Some((spec, files)) = args.split_first() else { return Ok(cx.usage()) };
    if files.is_empty() {
        return Ok(cx.usage());
    }
    let umask = cx.sys.umask(0);
    cx.sys.umask(umask);
    let mut code = 0;
    let list: Vec<String> =
        if recursive { files.iter().flat_map(|f| below(cx.sys, f)).collect() } else { files.to_vec() };
    for f in list {
        let st = match cx.sys.stat(&f) {
            Ok(s) => s,
            Err(e) => {
                cx.fail(&f, e);
                code = 1;
                continue;
            }
        };
        let Some(mode) = parse_mode(spec, st.mode, st.is_dir(), umask) else {
            cx.err(&format!("invalid mode '{spec}'"));
            return Ok(1);
        };
        if let Err(e) = cx.sys.chmod(&f, mode) {
            cx.fail(&f, e);
            code = 1;
        }
    }
    Ok(code)
}

/// `chown` and `chgrp`
pub fn chown(cx: &mut Cx) -> Ran {
    let o = options!(cx, "RhLHPcvf");
    let Some((spec, files)) = o.rest.split_first().filter(|r| !r.1.is_empty()) else { return Ok(cx.usage()) };
    let (user, group) = if cx.name == "chgrp" {
        (None, Some(spec.as_str()))
    } else {
        match spec.split_once([':', '.']) {
            Some((u, g)) => (Some(u).filter(|u| !u.is_empty()), Some(g).filter(|g| !g.is_empty())),
            None => (Some(spec.as_str()), None),
        }
    };
    let uid = match user {
        None => None,
        Some(u) => match u.parse().ok().or_else(|| user_named(cx.sys, u).map(|u| u.uid)) {
            Some(u) => Some(u),
            None => {
                cx.err(&format!("unknown user {u}"));
                return Ok(1);
            }
        },
    };
    let gid = match group {
        None => None,
        Some(g) => {
            match g.parse().ok().or_else(|| groups(cx.sys).iter().find(|x| x.name == g).map(|x| x.gid)) {
                Some(g) => Some(g),
                None => {
                    cx.err(&format!("unknown group {g}"));
                    return Ok(1);
                }
            }
        }
    };
    let mut code = 0;
    for f in targets(cx, &o, files) {
        if let Err(e) = cx.sys.chown(&f, uid, gid) {
            cx.fail(&f, e);
            code = 1;
        }
    }
    Ok(code)
}

/// `install`
pub fn install(cx: &mut Cx) -> Ran {
    let mut o = options!(cx, "dcDm:o:g:");
    if o.has('d') {
        let mut code = 0;
        for d in &o.rest {
            if let Err(e) = cx.sys.mkdir(d, 0o755)
                && e != Errno::EEXIST
            {
                cx.fail(d, e);
                code = 1;
            }
        }
        return Ok(code);
    }
    let Some(to) = o.rest.pop().filter(|_| !o.rest.is_empty()) else { return Ok(cx.usage()) };
    let mode = o.value('m').and_then(|m| parse_mode(m, 0o755, false, 0)).unwrap_or(0o755);
    let mut code = 0;
    for f in &o.rest {
        let Ok(t) = target(cx.sys, f, &to, o.rest.len() > 1) else { return Ok(1) };
        let r = io::read_file(cx.sys, f).and_then(|d| io::write_file(cx.sys, &t, &d, OpenFlags::WRITE, mode));
        match r {
            Ok(()) => {
                let _ = cx.sys.chmod(&t, mode);
            }
            Err(e) => {
                cx.fail(f, e);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// `mktemp`
pub fn mktemp(cx: &mut Cx) -> Ran {
    let o = options!(cx, "dqtp:u");
    let dir = o.value('p').unwrap_or("/tmp").to_string();
    let template = o.first().map_or_else(|| fs::join(&dir, "tmp.XXXXXX"), str::to_string);
    let stem = template.trim_end_matches('X').to_string();
    if template.len() - stem.len() < 6 {
        cx.err(&Errno::EINVAL.to_string());
        return Ok(1);
    }
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut path = stem;
    for _ in path.len()..template.len() {
        let n = cx.sys.random() as usize % LETTERS.len();
        path.push(LETTERS.get(n).map_or('a', |b| char::from(*b)));
    }
    let r = if o.has('u') {
        Ok(())
    } else if o.has('d') {
        cx.sys.mkdir(&path, 0o700)
    } else {
        io::write_file(cx.sys, &path, b"", OpenFlags { exclusive: true, ..OpenFlags::WRITE }, 0o600)
    };
    match r {
        Ok(()) => {
            cx.say(&format!("{path}\n"));
            Ok(0)
        }
        Err(e) => {
            cx.err(&format!("(null): {e}"));
            Ok(1)
        }
    }
}

/// `dd`
pub fn dd(cx: &mut Cx) -> Ran {
    let get = |k: &str| cx.args.iter().find_map(|a| a.strip_prefix(k)?.strip_prefix('=')).map(str::to_string);
    let number = |k: &str, d: u64| get(k).map_or(Some(d), |v| super::options::count(&v));
    let (Some(bs), Some(count), Some(skip), Some(seek)) =
        (number("bs", 512), number("count", u64::MAX), number("skip", 0), number("seek", 0))
    else {
        cx.err("invalid number");
        return Ok(1);
    };
    let quiet = get("status").is_some_and(|s| s == "none");
    let trunc = !get("conv").is_some_and(|c| c.contains("notrunc")) && seek == 0;
    let (input, output) = (get("if"), get("of"));
    let max = bs.saturating_mul(count).min(Limits::TABLE.file_bytes_max as u64);
    let data = match &input {
        None => cx.stdin()?,
        Some(f) => {
            let fd = match cx.sys.open(f, OpenFlags::READ, 0) {
                Ok(fd) => fd,
                Err(e) => {
                    cx.err(&format!("can't open '{f}': {e}"));
                    return Ok(1);
                }
            };
            let mut d = Vec::new();
            let want = max.saturating_add(skip.saturating_mul(bs));
            while (d.len() as u64) < want {
                let left = usize::try_from(want - d.len() as u64).unwrap_or(usize::MAX).min(65_536);
                match cx.sys.read(fd, left) {
                    core::task::Poll::Ready(Ok(x)) if !x.is_empty() => d.extend(x),
                    _ => break,
                }
            }
            d
        }
    };
    let start = usize::try_from(skip.saturating_mul(bs)).unwrap_or(usize::MAX).min(data.len());
    let end = start.saturating_add(usize::try_from(max).unwrap_or(usize::MAX)).min(data.len());
    let data = data.get(start..end).unwrap_or_default().to_vec();
    match &output {
        None => cx.out.put(1, &data),
        Some(f) => {
            let flags = OpenFlags { truncate: trunc, ..OpenFlags::WRITE };
            let r = cx.sys.open(f, flags, 0o666).and_then(|fd| {
                if seek > 0 {
                    cx.sys.seek(fd, seek.saturating_mul(bs) as i64, crate::sys::Whence::Start)?;
                }
                let mut rest = data.as_slice();
                while !rest.is_empty() {
                    match cx.sys.write(fd, rest) {
                        core::task::Poll::Ready(Ok(n)) => rest = rest.get(n..).unwrap_or_default(),
                        core::task::Poll::Ready(Err(e)) => return Err(e),
                        core::task::Poll::Pending => break,
                    }
                }
                cx.sys.close(fd)
            });
            if let Err(e) = r {
                cx.err(&format!("error writing '{f}': {e}"));
                return Ok(1);
            }
        }
    }
    if !quiet {
        let n = data.len() as u64;
        let (full, part) = (n / bs.max(1), u64::from(!n.is_multiple_of(bs.max(1))));
        cx.out.err(&format!("{full}+{part} records in\n{full}+{part} records out\n"));
        let h = if n >= 1024 { format!(" ({}B)", super::ls::human(n)) } else { String::new() };
        cx.out.err(&format!("{n} bytes{h} copied, 0.000100 seconds, {}B/s\n", super::ls::human(n * 10_000)));
    }
    Ok(0)
}
