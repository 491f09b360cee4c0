//! `sysctl`

use super::once::{Cx, Ran};
use crate::sys::OpenFlags;
use crate::{fs, io};

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    let o = match cx.options("aAnewqpN", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let mut names = o.rest.clone();
    if o.has('a') || o.has('A') {
        let mut todo = vec!["/proc/sys".to_string()];
        while let Some(p) = todo.pop() {
            match cx.sys.readdir(&p) {
                Ok(l) => todo.extend(l.iter().rev().map(|e| fs::join(&p, &e.name))),
                Err(_) => names.extend(p.strip_prefix("/proc/sys/").map(|n| n.replace('/', "."))),
            }
        }
    }
    let mut code = 0;
    for n in names {
        let (name, value) = match n.split_once('=') {
            Some((a, b)) => (a.trim().to_string(), Some(b.trim().to_string())),
            None => (n, None),
        };
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let r = match &value {
            Some(v) => io::write_file(
                cx.sys,
                &path,
                v.as_bytes(),
                OpenFlags { create: false, ..OpenFlags::WRITE },
                0,
            )
            .map(|()| v.clone()),
            None => io::read_text(cx.sys, &path).map(|t| t.trim_end().to_string()),
        };
        match r {
            Ok(v) if o.has('n') => cx.say(&format!("{v}\n")),
            Ok(v) => cx.say(&format!("{name} = {v}\n")),
            Err(e) => {
                let what = if value.is_some() { "setting key" } else { "reading key" };
                cx.err(&if e == crate::Errno::ENOENT {
                    format!("error: '{name}' is an unknown key")
                } else {
                    format!("error {what} '{name}': {e}")
                });
                code = 1;
            }
        }
    }
    Ok(code)
}
