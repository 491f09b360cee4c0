//! `cat`, `tee`, `tac`, `rev`, `nl`

use super::filter::{Filter, Io, More};
use super::once::{Cx, Ran};
use crate::sys::{Fd, OpenFlags};
use crate::{Errno, io};
use core::task::Poll;

/// `cat`
#[derive(Clone, Debug)]
pub struct Cat {
    numbers: bool,
    nonblank: bool,
    visible: bool,
    ends: bool,
    tabs: bool,
    line: u64,
    fresh: bool,
}

impl Filter for Cat {
    const LINES: bool = false;

    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let o = cx.options("nbvetAu", &[])?;
        let all = o.has('A');
        let c = Cat {
            numbers: o.has('n') || o.has('b'),
            nonblank: o.has('b'),
            visible: all || o.has('v') || o.has('e') || o.has('t'),
            ends: all || o.has('e'),
            tabs: all || o.has('t'),
            line: 0,
            fresh: true,
        };
        Ok((c, o.rest))
    }

    fn failed(&mut self, io: &mut Io, name: &str, e: Errno) {
        let what = if e == Errno::EISDIR { "read error".to_string() } else { format!("can't open '{name}'") };
        io.err(&format!("{what}: {e}"));
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        if !self.numbers && !self.visible && !self.ends {
            io.out.put(1, data);
            return More::Yes;
        }
        let mut out = Vec::with_capacity(data.len() + 16);
        for b in data {
            if self.fresh && self.numbers && !(self.nonblank && *b == b'\n') {
                self.line += 1;
                out.extend(format!("{:6}\t", self.line).bytes());
            }
            self.fresh = *b == b'\n';
            match *b {
                b'\n' => {
                    if self.ends {
                        out.push(b'$');
                    }
                    out.push(b'\n');
                }
                b if self.visible && (b != b'\t' || self.tabs) => {
                    let mut c = b;
                    if c >= 128 {
                        out.extend(b"M-");
                        c -= 128;
                    }
                    match c {
                        0..=31 => out.extend([b'^', c + 64]),
                        127 => out.extend(b"^?"),
                        c => out.push(c),
                    }
                }
                b => out.push(b),
            }
        }
        io.out.put(1, &out);
        More::Yes
    }

    fn end(&mut self, _: &mut Io, failed: bool) -> i32 {
        i32::from(failed)
    }
}

/// `tee`
#[derive(Clone, Debug)]
pub struct Tee {
    fds: Vec<Fd>,
    failed: bool,
}

impl Filter for Tee {
    const LINES: bool = false;

    fn start(cx: &mut Cx) -> Result<(Self, Vec<String>), i32> {
        let o = cx.options("ai", &[])?;
        let flags = if o.has('a') { OpenFlags::APPEND } else { OpenFlags::WRITE };
        let mut t = Tee { fds: Vec::new(), failed: false };
        for f in &o.rest {
            match cx.sys.open(f, flags, 0o666) {
                Ok(fd) => t.fds.push(fd),
                Err(e) => {
                    cx.fail(f, e);
                    t.failed = true;
                }
            }
        }
        Ok((t, Vec::new()))
    }

    fn data(&mut self, io: &mut Io, data: &[u8]) -> More {
        io.out.put(1, data);
        for fd in &self.fds {
            match io.sys.write(*fd, data) {
                Poll::Ready(Ok(n)) if n == data.len() => {}
                // What did not fit is written with the rest of the output.
                Poll::Ready(Ok(n)) => io.out.put(*fd, data.get(n..).unwrap_or_default()),
                Poll::Pending => io.out.put(*fd, data),
                Poll::Ready(Err(e)) => {
                    let name = io.name.to_string();
                    io.out.err(&format!("{name}: write error: {e}\n"));
                    self.failed = true;
                }
            }
        }
        More::Yes
    }

    fn end(&mut self, _: &mut Io, failed: bool) -> i32 {
        i32::from(failed || self.failed)
    }
}

/// All inputs of a command whose operands are files, one after another.
pub fn inputs(cx: &mut Cx, files: &[String]) -> Result<(Vec<u8>, bool), super::once::Again> {
    let mut all = Vec::new();
    let mut failed = false;
    let list = if files.is_empty() { vec!["-".to_string()] } else { files.to_vec() };
    for f in list {
        match cx.input(&f)? {
            Ok(d) => all.extend(d),
            Err(e) => {
                cx.fail(&f, e);
                failed = true;
            }
        }
    }
    Ok((all, failed))
}

/// Lines without their newlines.
pub fn lines(data: &[u8]) -> Vec<&[u8]> {
    let mut v: Vec<&[u8]> = data.split(|b| *b == b'\n').collect();
    if v.last().is_some_and(|l| l.is_empty()) {
        v.pop();
    }
    v
}

/// `tac`
pub fn tac(cx: &mut Cx) -> Ran {
    let files = cx.args.to_vec();
    let (data, failed) = inputs(cx, &files)?;
    for l in lines(&data).into_iter().rev() {
        cx.out.put(1, l);
        cx.say("\n");
    }
    Ok(i32::from(failed))
}

/// `rev`
pub fn rev(cx: &mut Cx) -> Ran {
    let files = cx.args.to_vec();
    let (data, failed) = inputs(cx, &files)?;
    for l in lines(&data) {
        let t: String = String::from_utf8_lossy(l).chars().rev().collect();
        cx.say(&format!("{t}\n"));
    }
    Ok(i32::from(failed))
}

/// `nl`
pub fn nl(cx: &mut Cx) -> Ran {
    let files = cx.args.to_vec();
    let (data, failed) = inputs(cx, &files)?;
    let mut n = 0;
    for l in lines(&data) {
        if l.is_empty() {
            cx.say("       \n");
        } else {
            n += 1;
            cx.say(&format!("{n:6}\t{}\n", String::from_utf8_lossy(l)));
        }
    }
    Ok(i32::from(failed))
}

/// `truncate`
pub fn truncate(cx: &mut Cx) -> Ran {
    let o = match cx.options("cs:", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let Some(size) = o.value('s').and_then(super::options::count) else { return Ok(cx.usage()) };
    let mut code = 0;
    for f in &o.rest {
        let made = if o.has('c') || cx.sys.stat(f).is_ok() {
            Ok(())
        } else {
            io::write_file(cx.sys, f, b"", OpenFlags::WRITE, 0o666)
        };
        if let Err(e) = made.and_then(|()| cx.sys.truncate(f, size)) {
            cx.fail(f, e);
            code = 1;
        }
    }
    Ok(code)
}
