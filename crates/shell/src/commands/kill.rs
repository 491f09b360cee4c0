//! `kill`, `killall`, `pkill` and `pgrep`

use super::once::{Cx, Ran};
use crate::io::Output;
use crate::regex::Regex;
use crate::signal::Signal;
use crate::sys::Sys;

/// The list of `kill -l`.
pub fn list() -> String {
    Signal::all().map(|s| format!("{:>2}) {}\n", s.0, s.name())).collect()
}

/// `kill` for arguments that name processes by number; errors go behind `prefix`.
pub fn kill(sys: &mut dyn Sys, prefix: &str, args: &[String], out: &mut Output) -> i32 {
    let mut signal = Signal::TERM;
    let mut args = args;
    if let Some(a) = args.first().filter(|a| a.starts_with('-') && a.len() > 1 && a.as_str() != "--") {
        let spec = a.get(1..).unwrap_or_default();
        if spec == "l" || spec == "L" {
            match args.get(1) {
                None => out.out(&list()),
                Some(n) => match n.parse::<u8>() {
                    Ok(n) => out.out(&format!("{}\n", Signal(n & 127).name())),
                    Err(_) => match Signal::parse(n) {
                        Some(s) => out.out(&format!("{}\n", s.0)),
                        None => {
                            out.err(&format!("{prefix}: unknown signal '{n}'\n"));
                            return 1;
                        }
                    },
                },
            }
            return 0;
        }
        let (name, used) = if spec == "s" { (args.get(1).map_or("", String::as_str), 2) } else { (spec, 1) };
        match Signal::parse(name) {
            Some(s) => signal = s,
            None => {
                out.err(&format!("{prefix}: bad signal name '{name}'\n"));
                return 1;
            }
        }
        args = args.get(used..).unwrap_or_default();
    }
    if args.first().is_some_and(|a| a == "--") {
        args = args.get(1..).unwrap_or_default();
    }
    if args.is_empty() {
        out.err(&format!("{prefix}: you need to specify whom to kill\n"));
        return 1;
    }
    let mut code = 0;
    for a in args {
        match a.parse::<i64>() {
            Err(_) => {
                out.err(&format!("{prefix}: invalid number '{a}'\n"));
                code = 1;
            }
            Ok(pid) => {
                if let Err(e) = sys.kill(pid, signal) {
                    out.err(&format!("{prefix}: can't kill pid {pid}: {e}\n"));
                    code = 1;
                }
            }
        }
    }
    code
}

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    let (name, args) = (cx.name.to_string(), cx.args);
    Ok(kill(cx.sys, &name, args, &mut cx.out))
}

/// `killall`
pub fn killall(cx: &mut Cx) -> Ran {
    let mut signal = Signal::TERM;
    let (mut quiet, mut code) = (false, 0);
    let mut names = Vec::new();
    for a in cx.args {
        match a.strip_prefix('-') {
            Some("q") => quiet = true,
            Some("l") => {
                cx.say(&list());
                return Ok(0);
            }
            Some(s) => match Signal::parse(s) {
                Some(s) => signal = s,
                None => {
                    cx.err(&format!("bad signal name '{s}'"));
                    return Ok(1);
                }
            },
            None => names.push(a.clone()),
        }
    }
    if names.is_empty() {
        cx.err("you need to specify whom to kill");
        return Ok(1);
    }
    let own = cx.sys.pid();
    for n in names {
        let found: Vec<u32> = cx
            .sys
            .processes()
            .iter()
            .filter(|p| p.comm == n.as_str() && p.pid != own)
            .map(|p| p.pid)
            .collect();
        if found.is_empty() {
            code = 1;
            if !quiet {
                cx.err(&format!("{n}: no process killed"));
            }
        }
        for pid in found {
            if let Err(e) = cx.sys.kill(i64::from(pid), signal) {
                code = 1;
                cx.err(&format!("can't kill pid {pid}: {e}"));
            }
        }
    }
    Ok(code)
}

/// `pgrep`, `pkill` and `pidof`
pub fn pgrep(cx: &mut Cx) -> Ran {
    let mut signal = Signal::TERM;
    let (mut full, mut long, mut exact) = (false, false, cx.name == "pidof");
    let mut pattern = None;
    for a in cx.args {
        match a.strip_prefix('-') {
            Some("f") => full = true,
            Some("l") => long = true,
            Some("x") => exact = true,
            Some(s) => {
                if let Some(s) = Signal::parse(s) {
                    signal = s;
                }
            }
            None => pattern = Some(a.clone()),
        }
    }
    let Some(pattern) = pattern else { return Ok(cx.usage()) };
    let Ok(re) = Regex::new(&pattern, true, false) else {
        cx.err(&format!("bad regex '{pattern}'"));
        return Ok(2);
    };
    let own = cx.sys.pid();
    let found: Vec<_> = cx
        .sys
        .processes()
        .into_iter()
        .filter(|p| {
            let text = if full { p.argv.join(" ") } else { p.comm.to_string() };
            p.pid != own && if exact { text == pattern } else { re.is_match(text.as_bytes()) }
        })
        .collect();
    if cx.name == "pidof" {
        let mut pids: Vec<String> = found.iter().map(|p| p.pid.to_string()).collect();
        pids.reverse();
        if !pids.is_empty() {
            cx.say(&format!("{}\n", pids.join(" ")));
        }
    }
    for p in &found {
        if cx.name == "pkill" {
            // One that has just ended is no error.
            let _ = cx.sys.kill(i64::from(p.pid), signal);
        } else if cx.name == "pgrep" {
            let line = if long { format!("{} {}\n", p.pid, p.comm) } else { format!("{}\n", p.pid) };
            cx.say(&line);
        }
    }
    Ok(i32::from(found.is_empty()))
}
