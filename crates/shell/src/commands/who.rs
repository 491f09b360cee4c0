//! `id`, `whoami`, `groups`, `hostname`, `uname`, `env`, `printenv`, `nohup`, `setsid`, `nice`, `su`, `tty`, `clear`, `sync`

use super::once::{Cx, Ran, Then};
use crate::accounts::{group_name, groups, user_name, user_named};
use crate::errno::Errno;
use crate::fs;
use crate::io;
use crate::program::Exec;
use crate::sys::{Env, STDIN};

/// `id`
pub fn id(cx: &mut Cx) -> Ran {
    let o = match cx.options("Ggnru", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let (mut uid, mut gid) = (cx.sys.uid(), cx.sys.gid());
    let mut extra = cx.sys.groups();
    if let Some(u) = o.first().map(str::to_string) {
        match user_named(cx.sys, &u) {
            Some(x) => {
                (uid, gid) = (x.uid, x.gid);
                extra =
                    groups(cx.sys).into_iter().filter(|g| g.members.contains(&u)).map(|g| g.gid).collect();
            }
            None => {
                cx.err(&format!("unknown user {u}"));
                return Ok(1);
            }
        }
    }
    let mut all = vec![gid];
    all.extend(extra.iter().filter(|g| **g != gid));
    if o.has('u') {
        let t = if o.has('n') { user_name(cx.sys, uid) } else { uid.to_string() };
        cx.say(&format!("{t}\n"));
    } else if o.has('g') {
        let t = if o.has('n') { group_name(cx.sys, gid) } else { gid.to_string() };
        cx.say(&format!("{t}\n"));
    } else if o.has('G') {
        let t: Vec<String> =
            all.iter().map(|g| if o.has('n') { group_name(cx.sys, *g) } else { g.to_string() }).collect();
        cx.say(&format!("{}\n", t.join(" ")));
    } else {
        let named = |n: u32, name: String| if name == n.to_string() { name } else { format!("{n}({name})") };
        let u = user_name(cx.sys, uid);
        let g = group_name(cx.sys, gid);
        let mut line = format!("uid={} gid={}", named(uid, u), named(gid, g));
        let list: Vec<String> = all.iter().map(|g| named(*g, group_name(cx.sys, *g))).collect();
        if !extra.is_empty() {
            line.push_str(&format!(" groups={}", list.join(",")));
        }
        cx.say(&format!("{line}\n"));
    }
    Ok(0)
}

/// `whoami`
pub fn whoami(cx: &mut Cx) -> Ran {
    let uid = cx.sys.uid();
    let name = user_name(cx.sys, uid);
    if name == uid.to_string() {
        cx.err(&format!("unknown uid {uid}"));
        return Ok(1);
    }
    cx.say(&format!("{name}\n"));
    Ok(0)
}

/// `groups`
pub fn list_groups(cx: &mut Cx) -> Ran {
    let mut all = vec![cx.sys.gid()];
    all.extend(cx.sys.groups());
    all.dedup();
    let t: Vec<String> = all.iter().map(|g| group_name(cx.sys, *g)).collect();
    cx.say(&format!("{}\n", t.join(" ")));
    Ok(0)
}

/// `hostname`
pub fn hostname(cx: &mut Cx) -> Ran {
    let o = match cx.options("sifdF:a", &[("fqdn", 'f'), ("ip-address", 'i')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let name = cx.sys.hostname().to_string();
    if let Some(new) = o.first() {
        return Ok(match cx.sys.set_hostname(new) {
            Ok(()) => 0,
            Err(e) => {
                cx.err(&format!("sethostname: {e}"));
                1
            }
        });
    }
    let hosts = io::read_text(cx.sys, "/etc/hosts").unwrap_or_default();
    let entry = hosts.lines().find_map(|l| {
        let mut w = l.split_whitespace();
        let ip = w.next()?;
        let names: Vec<&str> = w.collect();
        names
            .contains(&name.as_str())
            .then(|| (ip.to_string(), names.first().copied().unwrap_or_default().to_string()))
    });
    let text = if o.has('i') {
        entry.map_or_else(String::new, |e| e.0)
    } else if o.has('f') {
        entry.map_or_else(|| name.clone(), |e| e.1)
    } else if o.has('s') {
        name.split('.').next().unwrap_or_default().to_string()
    } else if o.has('d') {
        name.split_once('.').map_or("", |d| d.1).to_string()
    } else {
        name
    };
    cx.say(&format!("{text}\n"));
    Ok(0)
}

/// `uname`
pub fn uname(cx: &mut Cx) -> Ran {
    let o = match cx.options("amnrspvio", &[("all", 'a')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let u = cx.sys.uname();
    let all = o.has('a');
    let parts = [
        (all || o.has('s') || o.flags.is_empty(), u.sysname.as_str()),
        (all || o.has('n'), u.nodename.as_str()),
        (all || o.has('r'), u.release.as_str()),
        (all || o.has('v'), u.version.as_str()),
        (all || o.has('m') || o.has('p') || o.has('i'), u.machine.as_str()),
        (all || o.has('o'), "GNU/Linux"),
    ];
    let t: Vec<&str> = parts.iter().filter(|p| p.0).map(|p| p.1).collect();
    let line = format!("{}\n", t.join(" "));
    cx.say(&line);
    Ok(0)
}

/// `printenv`
pub fn printenv(cx: &mut Cx) -> Ran {
    let env = cx.sys.env().clone();
    if cx.args.is_empty() {
        for (n, v) in env.iter() {
            cx.say(&format!("{n}={v}\n"));
        }
        return Ok(0);
    }
    let mut code = 0;
    for n in cx.args {
        match env.get(n) {
            Some(v) => cx.say(&format!("{v}\n")),
            None => code = 1,
        }
    }
    Ok(code)
}

/// The path of a command in a `PATH`.
fn search(cx: &mut Cx, name: &str, path: &str) -> Result<String, Errno> {
    if name.contains('/') {
        return Ok(name.to_string());
    }
    let mut err = Errno::ENOENT;
    for d in path.split(':') {
        let p = fs::join(if d.is_empty() { "." } else { d }, name);
        if cx.sys.stat(&p).is_ok_and(|s| s.is_file()) {
            match cx.sys.access(&p, 1) {
                Ok(()) => return Ok(p),
                Err(e) => err = e,
            }
        }
    }
    Err(err)
}

/// Lets the command become another program.
pub fn become_program(cx: &mut Cx, argv: Vec<String>, env: Env) -> i32 {
    let Some(name) = argv.first().cloned() else { return 0 };
    let path =
        env.get("PATH").or(cx.sys.env().get("PATH")).unwrap_or("/sbin:/usr/sbin:/bin:/usr/bin").to_string();
    match search(cx, &name, &path) {
        Ok(path) => {
            cx.then = Then::Exec(Exec { path, argv, env });
            0
        }
        Err(e) => {
            cx.err(&format!("can't execute '{name}': {e}"));
            if e == Errno::ENOENT { 127 } else { 126 }
        }
    }
}

/// `env`
pub fn env(cx: &mut Cx) -> Ran {
    let o = match super::options::parse(cx.args, "+iu:0", &[("ignore-environment", 'i'), ("unset", 'u')]) {
        Ok(o) => o,
        Err(m) => {
            cx.err(&m);
            return Ok(cx.usage());
        }
    };
    let mut env = if o.has('i') { Env::default() } else { cx.sys.env().clone() };
    for u in o.values('u') {
        env.unset(u);
    }
    let mut rest = o.rest.as_slice();
    if rest.first().is_some_and(|a| a == "-") {
        env = Env::default();
        rest = rest.get(1..).unwrap_or_default();
    }
    while let Some((n, v)) = rest.first().and_then(|a| a.split_once('=')) {
        env.set(n, v);
        rest = rest.get(1..).unwrap_or_default();
    }
    if !rest.is_empty() {
        let argv = rest.to_vec();
        return Ok(become_program(cx, argv, env));
    }
    for (n, v) in env.iter() {
        cx.say(&format!("{n}={v}\n"));
    }
    Ok(0)
}

/// `nohup`, `setsid`, `nice`, `ionice`, `chroot`-less: run the rest of the line.
pub fn nohup(cx: &mut Cx) -> Ran {
    let mut args = cx.args;
    if cx.name == "nohup" {
        cx.sys.sigaction(crate::Signal::HUP, crate::Disposition::Ignore);
    } else if cx.name == "setsid" {
        // It is a group of its own; sessions follow groups here.
        let _ = cx.sys.setpgid(0, 0);
    }
    while args.first().is_some_and(|a| a.starts_with('-')) {
        let skip = if args.first().is_some_and(|a| a == "-n" || a == "-c") { 2 } else { 1 };
        args = args.get(skip..).unwrap_or_default();
    }
    if args.is_empty() {
        return Ok(if cx.name == "nice" {
            cx.say("0\n");
            0
        } else {
            cx.usage()
        });
    }
    let env = cx.sys.env().clone();
    let argv = args.to_vec();
    Ok(become_program(cx, argv, env))
}

/// `tty`
pub fn tty(cx: &mut Cx) -> Ran {
    if !cx.sys.isatty(STDIN) {
        cx.say("not a tty\n");
        return Ok(1);
    }
    let pid = cx.sys.pid();
    let name = cx.sys.processes().into_iter().find(|p| p.pid == pid).and_then(|p| p.tty);
    cx.say(&format!("/dev/{}\n", name.unwrap_or_else(|| "tty".into())));
    Ok(0)
}

/// `clear` and `reset`
pub fn clear(cx: &mut Cx) -> Ran {
    cx.say("\x1b[H\x1b[J");
    Ok(0)
}
