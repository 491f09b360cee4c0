//! The shell's builtin commands.

mod input;

pub(super) use input::ReadState;
use input::{getopts, read};

use super::expand::{Options, State, Var};
use super::machine::{Frame, Job, Shell, SourceKind, read_until_newline};
use super::parse::{is_name, is_reserved};
use super::{arith, pattern};
use crate::commands::{echo, kill, printf, test};
use crate::io::{self, Output};
use crate::signal::{Disposition, Signal};
use crate::sys::{ExitStatus, Fd, Sys};
use crate::{fs, text};
use core::task::Poll;
use sim::{Duration, Instant};
use smol_str::SmolStr;

/// What follows a builtin's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Exit(i32),
    Break(usize),
    Continue(usize),
    Return(i32),
    /// The shell ends, an interactive one drops the line.
    Abort,
}

const SPECIAL: [&str; 16] = [
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift",
    "source", "times", "trap", "unset",
];

const PLAIN: [&str; 29] = [
    "[", "[[", "alias", "bg", "cd", "chdir", "command", "echo", "false", "fg", "getopts", "hash", "help",
    "history", "jobs", "kill", "let", "local", "printf", "pwd", "read", "test", "true", "type", "ulimit",
    "umask", "unalias", "wait", "shopt",
];

/// Whether a name is a special builtin: its errors end the shell and its assignments stay.
pub(super) fn is_special(name: &str) -> bool {
    SPECIAL.contains(&name)
}

/// Whether a name is another builtin.
pub(super) fn is_builtin(name: &str) -> bool {
    PLAIN.contains(&name)
}

/// Names of all builtins, for completion.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SPECIAL.iter().chain(PLAIN.iter()).copied()
}

/// Output, status and what comes next.
#[derive(Default)]
struct Done {
    out: Output,
    status: i32,
    then: Option<Then>,
    frames: Vec<Frame>,
}

impl Done {
    fn status(status: i32) -> Done {
        Done { status, ..Done::default() }
    }
    fn text(s: String) -> Done {
        let mut d = Done::default();
        d.out.out(&s);
        d
    }
    fn then(t: Then) -> Done {
        Done { then: Some(t), ..Done::default() }
    }
    fn frame(f: Frame) -> Done {
        Done { frames: vec![f], ..Done::default() }
    }
}

/// An error of a builtin: its message with the status.
type Ran = Result<Done, (String, i32)>;

fn bad(m: impl Into<String>) -> (String, i32) {
    (m.into(), 2)
}

/// Runs a builtin.
pub(super) fn run(sh: &mut Shell, sys: &mut dyn Sys, argv: Vec<String>) {
    let name = argv.first().cloned().unwrap_or_default();
    let args = argv.get(1..).unwrap_or_default();
    let done = match one(sh, sys, &name, args) {
        Ok(d) => d,
        Err((m, status)) => {
            let mut d = Done::status(status);
            let arg0 = sh.st.arg0.clone();
            if sh.st.interactive {
                d.out.err(&format!("{arg0}: {name}: {m}\n"));
            } else {
                d.out.err(&format!("{arg0}: {name}: line {}: {m}\n", sh.line_number()));
            }
            if is_special(&name) || name == "local" {
                d.then = Some(Then::Abort);
            }
            d
        }
    };
    sh.st.status = done.status;
    if let Some(t) = done.then {
        sh.frames.push(Frame::Act(t));
    }
    sh.frames.extend(done.frames);
    if !done.out.is_empty() {
        sh.frames.push(Frame::Flush(done.out));
    }
}

fn number(s: &str) -> Result<i32, (String, i32)> {
    s.parse::<i32>().ok().filter(|n| *n >= 0).ok_or_else(|| bad(format!("Illegal number: {s}")))
}

fn one(sh: &mut Shell, sys: &mut dyn Sys, name: &str, args: &[String]) -> Ran {
    let first = args.first().map(String::as_str);
    match name {
        ":" | "true" | "alias" | "unalias" | "hash" | "shopt" => Ok(Done::default()),
        "false" => Ok(Done::status(1)),
        "echo" => {
            let mut d = Done::default();
            d.out.put(1, &echo::format(args));
            Ok(d)
        }
        "printf" => Ok(printf_builtin(sh, args)),
        "test" | "[" | "[[" => Ok(test_builtin(sh, sys, name, args)),
        "pwd" => {
            let dir = if first == Some("-P") { sys.cwd() } else { sh.pwd(sys) };
            Ok(Done::text(format!("{dir}\n")))
        }
        "cd" | "chdir" => cd(sh, sys, args),
        "exit" => {
            let code = first.map_or(Ok(sh.st.status), number)?;
            Ok(Done { status: code & 255, then: Some(Then::Exit(code & 255)), ..Done::default() })
        }
        "return" => {
            let code = first.map_or(Ok(sh.st.status), number)?;
            Ok(Done { status: code, then: Some(Then::Return(code)), ..Done::default() })
        }
        "break" | "continue" => {
            let n = first.map_or(Ok(1), number)?;
            if n < 1 {
                return Err(bad(format!("Illegal number: {n}")));
            }
            let n = n as usize;
            Ok(Done::then(if name == "break" { Then::Break(n) } else { Then::Continue(n) }))
        }
        "shift" => {
            let n = first.map_or(Ok(1), number)? as usize;
            if n > sh.st.args.len() {
                return Ok(Done::status(1));
            }
            sh.st.args = sh.st.args.iter().skip(n).cloned().collect();
            Ok(Done::default())
        }
        "eval" => {
            let status = if args.is_empty() { 0 } else { sh.st.status };
            sh.push_text(&args.join(" "), SourceKind::Eval, 0);
            Ok(Done::status(status))
        }
        "." | "source" => dot(sh, sys, args),
        "export" | "readonly" => declare(sh, name, args),
        "local" => local(sh, args),
        "unset" => unset(sh, args),
        "set" => set(sh, args),
        "read" => Ok(read(sh, sys, args)),
        "let" => let_builtin(sh, args),
        "getopts" => getopts(sh, args),
        "type" | "command" => command(sh, sys, name, args),
        "trap" => trap(sh, sys, args),
        "wait" => wait(sh, args),
        "kill" => Ok(kill_builtin(sh, sys, args)),
        "jobs" => Ok(jobs(sh, sys, args)),
        "fg" | "bg" => foreground(sh, sys, name, first),
        "umask" => umask(sh, sys, args),
        "ulimit" => Ok(ulimit(args)),
        "times" => Ok(Done::text("0m0.000s 0m0.000s\n0m0.000s 0m0.000s\n".into())),
        "history" => Ok(Done::text(sh.editor.show_history())),
        "help" => {
            let mut list: Vec<&str> = names().collect();
            list.sort_unstable();
            Ok(Done::text(format!("Built-in commands:\n------------------\n\t{}\n", list.join(" "))))
        }
        _ => Ok(Done::status(127)),
    }
}

fn printf_builtin(sh: &Shell, args: &[String]) -> Done {
    let mut d = Done::default();
    let Some(format) = args.first() else {
        d.out.err(&format!("{}: usage: printf FORMAT [ARGUMENT...]\n", sh.st.arg0));
        d.status = 2;
        return d;
    };
    let r = printf::format(format, args.get(1..).unwrap_or_default());
    for e in r.errors {
        d.out.err(&format!("{}: {e}\n", sh.st.arg0));
        d.status = 1;
    }
    d.out.put(1, &r.out);
    d
}

fn test_builtin(sh: &Shell, sys: &mut dyn Sys, name: &str, args: &[String]) -> Done {
    let end = match name {
        "[" => Some("]"),
        "[[" => Some("]]"),
        _ => None,
    };
    let mut args = args;
    let mut d = Done::default();
    if let Some(end) = end {
        match args.split_last() {
            Some((l, rest)) if l == end => args = rest,
            _ => {
                d.out.err(&format!("{}: missing {end}\n", sh.st.arg0));
                d.status = 2;
                return d;
            }
        }
    }
    let mut eval = test::Test::new(sys, args);
    if name == "[[" {
        eval = eval.patterns(pattern::matches);
    }
    match eval.run() {
        Ok(v) => d.status = i32::from(!v),
        Err(m) => {
            d.out.err(&format!("{}: {m}\n", sh.st.arg0));
            d.status = 2;
        }
    }
    d
}

fn cd(sh: &mut Shell, sys: &mut dyn Sys, args: &[String]) -> Ran {
    let target = args.iter().find(|a| !matches!(a.as_str(), "-L" | "-P" | "--"));
    let mut show = false;
    let dir = match target.map(String::as_str) {
        None => match sh.st.get("HOME") {
            Some(h) => h.to_string(),
            None => return Ok(Done::default()),
        },
        Some("-") => {
            show = true;
            sh.st.get("OLDPWD").ok_or_else(|| bad("OLDPWD not set"))?.to_string()
        }
        Some(d) => d.to_string(),
    };
    let old = sh.pwd(sys);
    let physical = args.iter().any(|a| a == "-P");
    // `..` leaves a link by the way it was entered, unless that leads nowhere.
    let logical = fs::normalize(&old, &dir);
    if (physical || sys.chdir(&logical).is_err())
        && let Err(e) = sys.chdir(&dir)
    {
        return Err(bad(format!("can't cd to {dir}: {e}")));
    }
    let real = sys.cwd();
    let new = if !physical && sys.realpath(&logical).as_ref() == Ok(&real) { logical } else { real };
    for (n, v) in [("OLDPWD", old), ("PWD", new.clone())] {
        let exported = sh.st.vars.get(n).is_none_or(|v| v.exported);
        sh.st.vars.insert(n.into(), Var { value: Some(v.into()), exported, readonly: false });
    }
    Ok(if show { Done::text(format!("{new}\n")) } else { Done::default() })
}

fn dot(sh: &mut Shell, sys: &mut dyn Sys, args: &[String]) -> Ran {
    let Some(file) = args.first() else { return Err(bad("filename argument required")) };
    let path = if file.contains('/') {
        file.clone()
    } else {
        let dirs = sh.st.get("PATH").unwrap_or_default().to_string();
        let found =
            dirs.split(':').map(|d| fs::join(d, file)).find(|p| sys.stat(p).is_ok_and(|s| s.is_file()));
        match found {
            Some(p) => p,
            None if sh.name == "bash" && sys.stat(file).is_ok() => file.clone(),
            None => return Err(bad(format!("{file}: not found"))),
        }
    };
    let text = match io::read_text(sys, &path) {
        Ok(t) => t,
        Err(e) => return Err(bad(format!("can't open '{path}': {e}"))),
    };
    if args.len() > 1 {
        let new = args.iter().skip(1).map(SmolStr::from).collect();
        let old = core::mem::replace(&mut sh.st.args, new);
        sh.frames.push(Frame::DotArgs(old));
    }
    sh.push_text(&text, SourceKind::Dot, 0);
    Ok(Done::default())
}

fn declare(sh: &mut Shell, name: &str, args: &[String]) -> Ran {
    let export = name == "export";
    let (mut args, mut off) = (args, false);
    while let Some(a) = args.first().filter(|a| a.starts_with('-') && a.len() > 1) {
        off |= a == "-n";
        args = args.get(1..).unwrap_or_default();
    }
    if args.is_empty() {
        let mut s = String::new();
        for (n, v) in sh.st.vars.iter().filter(|(_, v)| if export { v.exported } else { v.readonly }) {
            match &v.value {
                Some(v) => s.push_str(&format!("{name} {n}={}\n", text::quote_always(v))),
                None => s.push_str(&format!("{name} {n}\n")),
            }
        }
        return Ok(Done::text(s));
    }
    for a in args {
        let (n, v) = match a.split_once('=') {
            Some((n, v)) => (n, Some(v)),
            None => (a.as_str(), None),
        };
        if !is_name(n) {
            return Err(bad(format!("{n}: bad variable name")));
        }
        if let Some(v) = v {
            sh.st.set(n, v).map_err(bad)?;
        }
        let var = sh.st.vars.entry(n.into()).or_default();
        if export {
            var.exported = !off;
        } else {
            var.readonly = true;
        }
    }
    Ok(Done::default())
}

fn local(sh: &mut Shell, args: &[String]) -> Ran {
    let Some(at) = sh.frames.iter().rposition(|f| matches!(f, Frame::Call { .. })) else {
        return Err(bad("not in a function"));
    };
    for a in args {
        let (n, v) = match a.split_once('=') {
            Some((n, v)) => (n, Some(v)),
            None => (a.as_str(), None),
        };
        if !is_name(n) {
            return Err(bad(format!("{n}: bad variable name")));
        }
        let old = sh.st.vars.get(n).cloned();
        if let Some(Frame::Call { locals, .. }) = sh.frames.get_mut(at)
            && !locals.iter().any(|(l, _)| l == n)
        {
            locals.push((n.into(), old.clone()));
        }
        match v {
            Some(v) => sh.st.set(n, v).map_err(bad)?,
            None => {
                if old.as_ref().is_some_and(|v| v.readonly) {
                    return Err(bad(format!("{n}: is read only")));
                }
                sh.st.vars.insert(n.into(), Var { value: None, ..old.unwrap_or_default() });
            }
        }
    }
    Ok(Done::default())
}

fn unset(sh: &mut Shell, args: &[String]) -> Ran {
    let mut funcs = false;
    for a in args {
        match a.as_str() {
            "-f" => funcs = true,
            "-v" => funcs = false,
            n if funcs => {
                sh.funcs.remove(n);
            }
            n => {
                if !is_name(n) {
                    return Err(bad(format!("{n}: bad variable name")));
                }
                if sh.st.vars.get(n).is_some_and(|v| v.readonly) {
                    return Err(bad(format!("{n}: is read only")));
                }
                if sh.st.vars.remove(n).is_none() {
                    sh.funcs.remove(n);
                }
            }
        }
    }
    Ok(Done::default())
}

impl Shell {
    /// The line that a message names: from 1 in a script, from 0 in `-c`.
    fn line_number(&self) -> u32 {
        let script = self.frames.iter().any(|f| matches!(f, Frame::Source(s) if s.line > 0));
        if script { self.st.line } else { self.st.line.saturating_sub(1) }
    }

    pub(super) fn set_option(&mut self, c: char, on: bool) -> bool {
        let o = &mut self.st.opts;
        let flag = match c {
            'e' => &mut o.errexit,
            'u' => &mut o.nounset,
            'x' => &mut o.xtrace,
            'f' => &mut o.noglob,
            'n' => &mut o.noexec,
            'C' => &mut o.noclobber,
            'a' => &mut o.allexport,
            'v' => &mut o.verbose,
            'm' => &mut o.monitor,
            'b' | 'h' => return true,
            _ => return false,
        };
        *flag = on;
        true
    }

    pub(super) fn set_option_named(&mut self, name: &str, on: bool) -> bool {
        match option_names(&mut self.st.opts).into_iter().find(|o| o.0 == name) {
            Some((_, flag)) => {
                *flag = on;
                true
            }
            None => matches!(name, "vi" | "emacs" | "posix" | "ignoreeof" | "notify" | "nolog"),
        }
    }
}

fn option_names(o: &mut Options) -> [(&'static str, &mut bool); 10] {
    [
        ("errexit", &mut o.errexit),
        ("noglob", &mut o.noglob),
        ("monitor", &mut o.monitor),
        ("noexec", &mut o.noexec),
        ("xtrace", &mut o.xtrace),
        ("verbose", &mut o.verbose),
        ("noclobber", &mut o.noclobber),
        ("allexport", &mut o.allexport),
        ("nounset", &mut o.nounset),
        ("pipefail", &mut o.pipefail),
    ]
}

fn set(sh: &mut Shell, args: &[String]) -> Ran {
    if args.is_empty() {
        let mut s = String::new();
        for (n, v) in &sh.st.vars {
            if let Some(v) = &v.value {
                s.push_str(&format!("{n}={}\n", text::quote_always(v)));
            }
        }
        return Ok(Done::text(s));
    }
    let mut i = 0;
    while let Some(a) = args.get(i) {
        if a == "--" {
            sh.st.args = args.iter().skip(i + 1).map(SmolStr::from).collect();
            return Ok(Done::default());
        }
        let on = a.starts_with('-');
        if !(on || a.starts_with('+')) || a.len() < 2 {
            sh.st.args = args.iter().skip(i).map(SmolStr::from).collect();
            return Ok(Done::default());
        }
        i += 1;
        for c in a.chars().skip(1) {
            if c == 'o' {
                let Some(name) = args.get(i) else {
                    let mut s = String::from("Current option settings:\n");
                    for (n, f) in option_names(&mut sh.st.opts) {
                        s.push_str(&format!("{n:<16}{}\n", if *f { "on" } else { "off" }));
                    }
                    return Ok(Done::text(s));
                };
                i += 1;
                if !sh.set_option_named(name, on) {
                    return Err(bad(format!("illegal option {}o {name}", if on { '-' } else { '+' })));
                }
            } else if !sh.set_option(c, on) {
                return Err(bad(format!("illegal option {}{c}", if on { '-' } else { '+' })));
            }
        }
    }
    Ok(Done::default())
}

fn let_builtin(sh: &mut Shell, args: &[String]) -> Ran {
    let mut v = 0;
    for a in args {
        v = arith::eval(a, &mut sh.st).map_err(bad)?;
    }
    Ok(Done::status(i32::from(v == 0)))
}

fn command(sh: &mut Shell, sys: &mut dyn Sys, name: &str, args: &[String]) -> Ran {
    let (mut args, mut mode) = (args, if name == "type" { 'V' } else { ' ' });
    while let Some(f) = args.first().filter(|a| name == "command" && a.starts_with('-') && a.len() == 2) {
        mode = f.chars().nth(1).filter(|c| *c != 'p').unwrap_or(mode);
        args = args.get(1..).unwrap_or_default();
    }
    if mode == ' ' {
        let Some(cmd) = args.first() else { return Ok(Done::default()) };
        if is_special(cmd) || is_builtin(cmd) {
            run(sh, sys, args.to_vec());
            return Ok(Done::status(sh.st.status));
        }
        let env = sh.environment(&[]);
        sh.start_program(sys, args.to_vec(), env);
        return Ok(Done::status(sh.st.status));
    }
    let mut d = Done::default();
    let args = if mode == 'v' { args.get(..1).unwrap_or_default() } else { args };
    for a in args {
        let found = if is_reserved(a) {
            Some((a.clone(), "a shell keyword".to_string()))
        } else if sh.funcs.contains_key(a.as_str()) {
            Some((a.clone(), "a function".to_string()))
        } else if is_special(a) {
            Some((a.clone(), "a special shell builtin".to_string()))
        } else if is_builtin(a) {
            Some((a.clone(), "a shell builtin".to_string()))
        } else {
            sh.find_executable(sys, a).ok().map(|p| (p.clone(), p))
        };
        match (found, mode) {
            (Some((short, _)), 'v') => d.out.out(&format!("{short}\n")),
            (Some((_, long)), _) => d.out.out(&format!("{a} is {long}\n")),
            (None, mode) => {
                if mode != 'v' {
                    d.out.out(&format!("{a}: not found\n"));
                }
                d.status = 127;
            }
        }
    }
    Ok(d)
}

fn trap(sh: &mut Shell, sys: &mut dyn Sys, args: &[String]) -> Ran {
    let args = if args.first().is_some_and(|a| a == "--") { args.get(1..).unwrap_or_default() } else { args };
    if args.is_empty() || args.first().is_some_and(|a| a == "-p") {
        let mut s = String::new();
        for (n, action) in &sh.traps {
            s.push_str(&format!("trap -- {} {}\n", text::quote_always(action), Signal(*n).name()));
        }
        return Ok(Done::text(s));
    }
    if args.first().is_some_and(|a| a == "-l") {
        return Ok(Done::text(kill::list()));
    }
    let reset = args.len() == 1 || args.first().is_some_and(|a| a == "-");
    let action = args.first().cloned().unwrap_or_default();
    let names = if args.len() == 1 { args } else { args.get(1..).unwrap_or_default() };
    for n in names {
        let Some(s) = Signal::parse(n) else {
            let mut d = Done::status(1);
            d.out.err(&format!(
                "{}: trap: line {}: {n}: invalid signal specification\n",
                sh.st.arg0,
                sh.line_number()
            ));
            return Ok(d);
        };
        if reset {
            sh.traps.remove(&s.0);
        } else {
            sh.traps.insert(s.0, action.as_str().into());
        }
        if s.0 != 0 && s != Signal::KILL && s != Signal::STOP {
            let how = if reset {
                if s == Signal::INT && sh.st.interactive { Disposition::Catch } else { Disposition::Default }
            } else if action.is_empty() {
                Disposition::Ignore
            } else {
                Disposition::Catch
            };
            sys.sigaction(s, how);
        }
    }
    Ok(Done::default())
}

fn find_job<'a>(sh: &'a mut Shell, spec: Option<&str>) -> Option<&'a mut Job> {
    let spec = spec.map_or("", |s| s.trim_start_matches('%'));
    match spec {
        "" | "%" | "+" => sh.jobs.last_mut(),
        "-" => {
            let n = sh.jobs.len();
            sh.jobs.get_mut(n.saturating_sub(2))
        }
        s => match s.parse::<u32>() {
            Ok(n) => sh.jobs.iter_mut().find(|j| j.number == n),
            Err(_) => sh.jobs.iter_mut().find(|j| j.text.starts_with(s)),
        },
    }
}

fn wait(sh: &mut Shell, args: &[String]) -> Ran {
    if args.is_empty() {
        let pids = sh.jobs.iter().map(|j| j.pid).collect();
        return Ok(Done::frame(Frame::WaitFor { pids, status: false }));
    }
    let mut pids = Vec::new();
    for a in args {
        if a.starts_with('%') {
            match find_job(sh, Some(a)) {
                Some(j) => pids.push(j.pid),
                None => return Err(bad(format!("{a}: no such job"))),
            }
        } else {
            pids.push(a.parse().map_err(|_| bad(format!("Illegal number: {a}")))?);
        }
    }
    Ok(Done::frame(Frame::WaitFor { pids, status: true }))
}

fn kill_builtin(sh: &mut Shell, sys: &mut dyn Sys, args: &[String]) -> Done {
    let mut list = Vec::new();
    let monitor = sh.st.opts.monitor;
    for a in args {
        match find_job(sh, Some(a)).filter(|_| a.starts_with('%')) {
            // A job of an interactive shell is a process group.
            Some(j) => list.push(if monitor { format!("-{}", j.pid) } else { j.pid.to_string() }),
            None => list.push(a.clone()),
        }
    }
    if list.first().is_some_and(|f| f.starts_with('-')) && args.first().is_some_and(|a| a.starts_with('%')) {
        // A group's number is no option.
        list.insert(0, "--".into());
    }
    let mut d = Done::default();
    let arg0 = sh.st.arg0.to_string();
    d.status = kill::kill(sys, &arg0, &list, &mut d.out);
    d
}

fn jobs(sh: &mut Shell, sys: &mut dyn Sys, args: &[String]) -> Done {
    sh.reap(sys);
    let pids = args.iter().any(|a| a == "-p");
    let long = args.iter().any(|a| a == "-l");
    let mut s = String::new();
    let last = sh.jobs.last().map(|j| j.number);
    for j in &mut sh.jobs {
        if pids {
            s.push_str(&format!("{}\n", j.pid));
            continue;
        }
        let mark = if last == Some(j.number) { '+' } else { '-' };
        let what = match j.status {
            None if j.stopped => "Stopped".to_string(),
            None => "Running".to_string(),
            Some(ExitStatus::Exited(0)) => "Done".into(),
            Some(ExitStatus::Exited(c)) => format!("Done({c})"),
            Some(ExitStatus::Signaled(s)) => s.text().into(),
        };
        let pid = if long { format!("{} ", j.pid) } else { String::new() };
        s.push_str(&format!("[{}]{mark}  {pid}{what:<27}{}\n", j.number, j.text));
        j.reported = j.status.is_some();
    }
    sh.jobs.retain(|j| !j.reported);
    Done::text(s)
}

fn foreground(sh: &mut Shell, sys: &mut dyn Sys, name: &str, spec: Option<&str>) -> Ran {
    let Some(j) = find_job(sh, spec) else {
        return Err(bad(match spec {
            Some(s) => format!("{s}: no such job"),
            None => "No current job".into(),
        }));
    };
    let (pid, text, number, status) = (j.pid, j.text.clone(), j.number, j.status);
    j.stopped = false;
    let group = i64::from(pid);
    if sys.kill(-group, Signal::CONT).is_err() {
        // A job without a group of its own is its process.
        let _ = sys.kill(group, Signal::CONT);
    }
    if name == "bg" {
        return Ok(Done::text(format!("[{number}] {text}\n")));
    }
    if sh.st.opts.monitor {
        let _ = sys.tcsetpgrp(0, pid);
    }
    sh.jobs.retain(|j| j.pid != pid);
    let mut d = Done::text(format!("{text}\n"));
    sh.running = text;
    d.frames.push(Frame::Job { pids: vec![(pid, status)], foreground: true });
    Ok(d)
}

fn umask(sh: &mut Shell, sys: &mut dyn Sys, args: &[String]) -> Ran {
    match args.first() {
        None => Ok(Done::text(format!("{:04o}\n", sh.umask))),
        Some(m) => {
            let m = u32::from_str_radix(m, 8).map_err(|_| bad(format!("illegal mode: {m}")))?;
            sh.umask = m & 0o777;
            sys.umask(sh.umask);
            Ok(Done::default())
        }
    }
}

fn ulimit(args: &[String]) -> Done {
    let flag = args.first().map_or("-f", String::as_str);
    if args.len() > 1 {
        return Done::default();
    }
    Done::text(match flag {
        "-n" => "1048576\n".into(),
        "-a" => "core file size (blocks)         (-c) 0\ndata seg size (kb)              (-d) unlimited\nscheduling priority             (-e) 0\nfile size (blocks)              (-f) unlimited\nnumber of pending signals       (-i) 63707\nmax locked memory (kb)          (-l) 8192\nmax memory size (kb)            (-m) unlimited\nopen files                      (-n) 1048576\nPOSIX message queues (bytes)    (-q) 819200\nreal-time priority              (-r) 0\nstack size (kb)                 (-s) 8192\ncpu time (seconds)              (-t) unlimited\nmax user processes              (-u) unlimited\nvirtual memory (kb)             (-v) unlimited\nfile locks                      (-x) unlimited\n".into(),
        "-s" => "8192\n".into(),
        "-c" => "0\n".into(),
        _ => "unlimited\n".into(),
    })
}
