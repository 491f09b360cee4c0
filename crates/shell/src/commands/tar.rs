//! `tar`: plain ustar archives, as `kubectl cp` sends and asks for them. Absent: compression.

use super::files::WALK_MAX;
use super::once::{Again, Cx, Ran};
use crate::accounts::{group_name, user_name};
use crate::sys::{FileType, OpenFlags, Stat};
use crate::{fs, io};

const BLOCK: usize = 512;

struct Entry {
    name: String,
    mode: u32,
    mtime: i64,
    kind: u8,
    link: String,
    data: Vec<u8>,
}

fn octal(field: &[u8]) -> u64 {
    let s: String = field.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
    u64::from_str_radix(s.trim(), 8).unwrap_or(0)
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

/// The entries of an archive; `None` if it is none.
fn read(data: &[u8]) -> Option<Vec<Entry>> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut long = None;
    while let Some(h) = data.get(at..at + BLOCK) {
        if h.iter().all(|b| *b == 0) {
            break;
        }
        let sum: u64 =
            h.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
        if sum != octal(h.get(148..156)?) {
            return None;
        }
        let size = usize::try_from(octal(h.get(124..136)?)).ok()?;
        let kind = *h.get(156)?;
        at += BLOCK;
        let body = data.get(at..at.checked_add(size)?)?;
        at += size.div_ceil(BLOCK) * BLOCK;
        if kind == b'L' {
            long = Some(text(body));
            continue;
        }
        let (name, prefix) = (text(h.get(..100)?), text(h.get(345..500)?));
        let name = match long.take() {
            Some(l) => l,
            None if prefix.is_empty() => name,
            None => format!("{prefix}/{name}"),
        };
        out.push(Entry {
            name,
            mode: octal(h.get(100..108)?) as u32,
            mtime: octal(h.get(136..148)?) as i64,
            kind,
            link: text(h.get(157..257)?),
            data: body.to_vec(),
        });
        if out.len() > WALK_MAX {
            break;
        }
    }
    Some(out)
}

fn put(block: &mut [u8], at: usize, bytes: &[u8], max: usize) {
    for (d, s) in block.iter_mut().skip(at).zip(bytes.iter().take(max)) {
        *d = *s;
    }
}

fn header(name: &str, s: &Stat, kind: u8, size: usize, link: &str, owner: (&str, &str)) -> Vec<u8> {
    let mut out = Vec::new();
    if name.len() > 100 {
        let long = Stat { mode: 0o644, ..s.clone() };
        out.extend(header("././@LongLink", &long, b'L', name.len() + 1, "", owner));
        out.extend(name.bytes());
        out.resize(out.len() + BLOCK - name.len() % BLOCK, 0);
    }
    let mut h = vec![0; BLOCK];
    put(&mut h, 0, name.as_bytes(), 100);
    put(&mut h, 100, format!("{:07o}", s.mode).as_bytes(), 7);
    put(&mut h, 108, format!("{:07o}", s.uid).as_bytes(), 7);
    put(&mut h, 116, format!("{:07o}", s.gid).as_bytes(), 7);
    put(&mut h, 124, format!("{size:011o}").as_bytes(), 11);
    put(&mut h, 136, format!("{:011o}", s.mtime.max(0)).as_bytes(), 11);
    put(&mut h, 148, b"        ", 8);
    put(&mut h, 156, &[kind], 1);
    put(&mut h, 157, link.as_bytes(), 100);
    put(&mut h, 257, b"ustar  ", 7);
    put(&mut h, 265, owner.0.as_bytes(), 31);
    put(&mut h, 297, owner.1.as_bytes(), 31);
    let sum: u32 = h.iter().map(|b| u32::from(*b)).sum();
    put(&mut h, 148, format!("{sum:06o}\0 ").as_bytes(), 8);
    out.extend(h);
    out
}

#[derive(Default)]
struct Opts {
    mode: char,
    file: Option<String>,
    /// The archive's name as it was given.
    shown: Option<String>,
    dir: Option<String>,
    verbose: bool,
    to_stdout: bool,
    strip: usize,
    rest: Vec<String>,
}

fn options(args: &[String]) -> Result<Opts, String> {
    let mut o = Opts::default();
    let mut it = args.iter().enumerate().peekable();
    while let Some((i, a)) = it.next() {
        let letters = match a.strip_prefix('-') {
            Some(l) if l.starts_with('-') => {
                if let Some(n) = l.strip_prefix("-strip-components=") {
                    o.strip = n.parse().unwrap_or(0);
                }
                continue;
            }
            Some("") | None if i > 0 => {
                o.rest.push(a.clone());
                continue;
            }
            Some(l) => l,
            // The first word may lack its dash.
            None => a,
        };
        for c in letters.chars() {
            match c {
                'c' | 'x' | 't' => o.mode = c,
                'v' => o.verbose = true,
                'O' => o.to_stdout = true,
                'f' => o.file = it.next().map(|f| f.1.clone()).filter(|f| f != "-"),
                'C' => o.dir = it.next().map(|f| f.1.clone()),
                'm' | 'o' | 'p' | 'k' | 'h' => {}
                'z' => return Err("compression is not supported".into()),
                c => return Err(format!("invalid option -- '{c}'")),
            }
        }
    }
    if o.mode == '\0' { Err("you must specify one of the options".into()) } else { Ok(o) }
}

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    let mut o = match options(cx.args) {
        Ok(o) => o,
        Err(m) => {
            cx.err(&m);
            return Ok(1);
        }
    };
    o.shown = o.file.clone();
    if let Some(f) = &o.file {
        let cwd = cx.sys.cwd();
        o.file = Some(fs::normalize(&cwd, f));
    }
    let input = if o.mode == 'c' {
        Vec::new()
    } else {
        match input(cx, &o)? {
            Some(d) => d,
            None => return Ok(1),
        }
    };
    if let Some(d) = &o.dir
        && let Err(e) = cx.sys.chdir(d)
    {
        cx.err(&format!("can't change directory to '{d}': {e}"));
        return Ok(1);
    }
    if o.mode == 'c' {
        return Ok(create(cx, &o));
    }
    let Some(list) = read(&input).filter(|_| !input.is_empty()) else {
        cx.err(if input.is_empty() { "short read" } else { "invalid tar magic" });
        return Ok(1);
    };
    let mut code = 0;
    for e in list {
        let wanted = |r: &String| {
            let r = r.trim_end_matches('/');
            e.name == *r || e.name.starts_with(&format!("{r}/"))
        };
        if !o.rest.is_empty() && !o.rest.iter().any(wanted) {
            continue;
        }
        if o.mode == 't' {
            cx.say(&format!("{}\n", e.name));
        } else if o.to_stdout {
            cx.out.put(1, &e.data);
        } else {
            if o.verbose {
                cx.say(&format!("{}\n", e.name));
            }
            code |= extract(cx, &e, o.strip);
        }
    }
    Ok(code)
}

fn input(cx: &mut Cx, o: &Opts) -> Result<Option<Vec<u8>>, Again> {
    let Some(f) = &o.file else { return cx.stdin().map(Some) };
    match io::read_file(cx.sys, f) {
        Ok(d) => Ok(Some(d)),
        Err(e) => {
            let shown = o.shown.as_deref().unwrap_or(f);
            cx.err(&format!("can't open '{shown}': {e}"));
            Ok(None)
        }
    }
}

fn extract(cx: &mut Cx, e: &Entry, strip: usize) -> i32 {
    let name = e.name.trim_start_matches('/');
    let name: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != ".").skip(strip).collect();
    if name.is_empty() {
        return 0;
    }
    if name.contains(&"..") {
        cx.err(&format!("name with '..' skipped: '{}'", e.name));
        return 1;
    }
    let path = name.join("/");
    let mut at = String::new();
    for p in name.iter().take(name.len() - 1) {
        at.push_str(p);
        // What is there already is used.
        let _ = cx.sys.mkdir(&at, 0o777);
        at.push('/');
    }
    let r = match e.kind {
        b'5' => match cx.sys.mkdir(&path, e.mode) {
            Err(_) if cx.sys.stat(&path).is_ok_and(|s| s.is_dir()) => Ok(()),
            r => r,
        },
        b'2' => {
            let _ = cx.sys.unlink(&path);
            cx.sys.symlink(&e.link, &path)
        }
        b'1' => {
            let _ = cx.sys.unlink(&path);
            cx.sys.link(&e.link, &path)
        }
        _ => {
            let _ = cx.sys.unlink(&path);
            io::write_file(cx.sys, &path, &e.data, OpenFlags::WRITE, e.mode)
                .and_then(|()| cx.sys.utimes(&path, Some(e.mtime)))
        }
    };
    match r {
        Ok(()) => 0,
        Err(err) => {
            cx.err(&format!("can't open '{path}': {err}"));
            1
        }
    }
}

fn create(cx: &mut Cx, o: &Opts) -> i32 {
    let mut code = 0;
    let mut all = Vec::new();
    let mut todo: Vec<String> = o.rest.iter().rev().cloned().collect();
    let mut count = 0;
    while let Some(p) = todo.pop() {
        count += 1;
        if count > WALK_MAX || all.len() > sim::Limits::TABLE.file_bytes_max {
            cx.err("archive too large");
            code = 1;
            break;
        }
        let s = match cx.sys.lstat(&p) {
            Ok(s) => s,
            Err(e) => {
                cx.fail(&p, e);
                code = 1;
                continue;
            }
        };
        let names = (user_name(cx.sys, s.uid), group_name(cx.sys, s.gid));
        let owner = (names.0.as_str(), names.1.as_str());
        let name = p.trim_start_matches('/').to_string();
        match s.kind {
            FileType::Directory => {
                all.extend(header(&format!("{}/", name.trim_end_matches('/')), &s, b'5', 0, "", owner));
                if let Ok(l) = cx.sys.readdir(&p) {
                    todo.extend(l.iter().rev().map(|e| fs::join(&p, &e.name)));
                }
            }
            FileType::Symlink => {
                let t = cx.sys.readlink(&p).unwrap_or_default();
                all.extend(header(&name, &s, b'2', 0, &t, owner));
            }
            FileType::Regular => match io::read_file(cx.sys, &p) {
                Ok(d) => {
                    all.extend(header(&name, &s, b'0', d.len(), "", owner));
                    let n = d.len();
                    all.extend(d);
                    all.resize(all.len() + n.div_ceil(BLOCK) * BLOCK - n, 0);
                }
                Err(e) => {
                    cx.err(&format!("can't open '{p}': {e}"));
                    code = 1;
                }
            },
            _ => {}
        }
        if o.verbose {
            cx.out.err(&format!("{name}\n"));
        }
    }
    all.resize(all.len() + 2 * BLOCK, 0);
    match &o.file {
        None => cx.out.put(1, &all),
        Some(f) => {
            if let Err(e) = io::write_file(cx.sys, f, &all, OpenFlags::WRITE, 0o666) {
                cx.err(&format!("can't open '{f}': {e}"));
                code = 1;
            }
        }
    }
    code
}
