//! `pwd`, `basename`, `dirname`, `readlink`, `realpath`, `which`

use super::once::{Cx, Ran};
use crate::fs;

/// `pwd`
pub fn pwd(cx: &mut Cx) -> Ran {
    let d = cx.sys.cwd();
    cx.say(&format!("{d}\n"));
    Ok(0)
}

/// `basename`
pub fn basename(cx: &mut Cx) -> Ran {
    let Some(p) = cx.args.first() else { return Ok(cx.usage()) };
    let b = fs::basename(p);
    let b = match cx.args.get(1) {
        Some(s) if b != s => b.strip_suffix(s.as_str()).unwrap_or(b),
        _ => b,
    };
    let line = format!("{b}\n");
    cx.say(&line);
    Ok(0)
}

/// `dirname`
pub fn dirname(cx: &mut Cx) -> Ran {
    let Some(p) = cx.args.first() else { return Ok(cx.usage()) };
    let line = format!("{}\n", fs::dirname(p));
    cx.say(&line);
    Ok(0)
}

/// `readlink`
pub fn readlink(cx: &mut Cx) -> Ran {
    let o = match cx.options("fnsvq", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let Some(p) = o.first() else { return Ok(cx.usage()) };
    let r = if o.has('f') {
        // The last part may be missing.
        cx.sys.realpath(p).or_else(|_| {
            let dir = cx.sys.realpath(fs::dirname(p))?;
            Ok::<String, crate::Errno>(fs::join(&dir, fs::basename(p)))
        })
    } else {
        cx.sys.readlink(p)
    };
    match r {
        Ok(t) => {
            cx.say(&if o.has('n') { t } else { format!("{t}\n") });
            Ok(0)
        }
        Err(_) => Ok(1),
    }
}

/// `realpath`
pub fn realpath(cx: &mut Cx) -> Ran {
    if cx.args.is_empty() {
        return Ok(cx.usage());
    }
    let mut code = 0;
    for p in cx.args {
        match cx.sys.realpath(p) {
            Ok(t) => cx.say(&format!("{t}\n")),
            Err(e) => {
                cx.fail(p, e);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// `which`
pub fn which(cx: &mut Cx) -> Ran {
    if cx.args.is_empty() {
        return Ok(cx.usage());
    }
    let path = cx.sys.env().get("PATH").unwrap_or("/sbin:/usr/sbin:/bin:/usr/bin").to_string();
    let mut code = 0;
    for name in cx.args.iter().filter(|a| !a.starts_with('-')) {
        let dirs: Vec<String> = if name.contains('/') {
            vec![name.clone()]
        } else {
            path.split(':').map(|d| fs::join(if d.is_empty() { "." } else { d }, name)).collect()
        };
        let found = dirs
            .into_iter()
            .find(|p| cx.sys.stat(p).is_ok_and(|s| s.is_file()) && cx.sys.access(p, 1).is_ok());
        match found {
            Some(p) => cx.say(&format!("{p}\n")),
            None => code = 1,
        }
    }
    Ok(code)
}
