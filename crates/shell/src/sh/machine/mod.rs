//! The interpreter: a stack of frames, each step of which does a bounded piece of work.

mod compound;
mod input;
mod jobs;
mod simple;

pub(super) use input::read_until_newline;
use jobs::{show_and_or, show_pipeline};

use super::ast::*;
use super::builtins::{self, Then};
use super::edit::Editor;
use super::expand::{Expander, Options, State, Stop, Var};
use super::parse::{Fault, Parser};
use super::pattern;
use super::redirect::{self, Plan, Saved};
use crate::errno::Errno;
use crate::io::{self, Output};
use crate::program::{Exec, Program, Step};
use crate::signal::{Disposition, Signal};
use crate::sys::{Child, Env, ExitStatus, Fd, OpenFlags, Pid, Sys, Whence};
use crate::{fs, text};
use core::task::Poll;
use sim::Limits;
use sim::persistent::OrdMap;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Frames that one step of the process may work off.
const FRAMES_PER_STEP: usize = 16;
/// Frames that may lie on the stack: functions that call themselves end here.
const FRAMES_MAX: usize = 16_384;

/// Where commands come from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub text: Arc<[char]>,
    pub pos: usize,
    pub line: u32,
    pub kind: SourceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// A script file or `-c`.
    Main,
    /// The file of `.`
    Dot,
    /// `eval` and traps.
    Eval,
}

/// Commands read from standard input as they come.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub buffer: Vec<char>,
    pub line: u32,
    pub eof: bool,
    /// What has come of a line.
    pub partial: Vec<u8>,
    pub prompted: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Frame {
    Source(Source),
    Lines(Lines),
    List {
        list: Arc<List>,
        at: usize,
        quiet: bool,
    },
    AndOr {
        list: Arc<List>,
        item: usize,
        at: usize,
        ran: usize,
        quiet: bool,
    },
    Negate,
    Cmd {
        cmd: Arc<Command>,
        memo: Vec<String>,
        quiet: bool,
        inside: bool,
    },
    If {
        cmd: Arc<Command>,
        arm: usize,
        quiet: bool,
    },
    Loop {
        cmd: Arc<Command>,
        in_body: bool,
        status: i32,
        quiet: bool,
    },
    For {
        cmd: Arc<Command>,
        values: Arc<Vec<String>>,
        at: usize,
        quiet: bool,
    },
    Restore(Vec<Saved>),
    Vars(Vec<(SmolStr, Option<Var>)>),
    Call {
        args: Arc<[SmolStr]>,
        locals: Vec<(SmolStr, Option<Var>)>,
    },
    /// Marks the arguments of `. file args`.
    DotArgs(Arc<[SmolStr]>),
    Subst {
        pid: Pid,
        fd: Fd,
        out: Vec<u8>,
        ended: bool,
    },
    Job {
        pids: Vec<(Pid, Option<ExitStatus>)>,
        foreground: bool,
    },
    /// `wait`; the flag tells that the last one's status counts.
    WaitFor {
        pids: Vec<Pid>,
        status: bool,
    },
    Flush(Output),
    Act(Then),
    Read(builtins::ReadState),
    TrapEnd {
        status: i32,
    },
    /// A child that becomes a program.
    Run {
        argv: Vec<String>,
        env: Env,
        plans: Vec<Plan>,
    },
    ExecFailed {
        argv: Vec<String>,
        env: Env,
        path: String,
    },
    Bye(i32),
}

/// A job in the background.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub number: u32,
    pub pid: Pid,
    pub status: Option<ExitStatus>,
    pub text: String,
    pub reported: bool,
    pub stopped: bool,
}

/// What a child does before anything else: copies of descriptors, then closing.
#[derive(Clone, Debug, Default)]
struct Setup {
    dups: Vec<(Fd, Fd)>,
    close: Vec<Fd>,
    background: bool,
    group: Option<Pid>,
}

enum Flow {
    Go,
    Wait,
    Exec(Exec),
    Exit(i32),
}

/// The shell.
#[derive(Clone, Debug)]
pub struct Shell {
    pub(super) st: State,
    pub(super) frames: Vec<Frame>,
    pub(super) funcs: OrdMap<SmolStr, Arc<Command>>,
    pub(super) traps: OrdMap<u8, SmolStr>,
    pub(super) jobs: Vec<Job>,
    pub(super) editor: Editor,
    pub(super) optind: (usize, usize),
    argv: Vec<String>,
    pending: u32,
    dead: Vec<(Pid, ExitStatus)>,
    pub(super) children: BTreeSet<Pid>,
    setup: Option<Setup>,
    begun: bool,
    subshell: bool,
    /// Whether the shell itself started the present command in its own process group.
    job_control: bool,
    env: Env,
    last_subst: Option<i32>,
    pub(super) umask: u32,
    /// The pipeline in the foreground, as `jobs` shows it.
    pub(super) running: String,
    /// Builtins that an error of ash ends the shell in name themselves and the line.
    pub(super) name: SmolStr,
}

impl Program for Shell {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begun = true;
            if let Some(code) = self.begin(sys) {
                return Step::Exit(code);
            }
        }
        for _ in 0..FRAMES_PER_STEP {
            while let Some(s) = sys.take_signal() {
                if s != Signal::CHLD {
                    self.pending |= 1u32.checked_shl(u32::from(s.0)).unwrap_or(0);
                }
            }
            match self.advance(sys) {
                Flow::Go => {}
                Flow::Wait => return Step::Wait,
                Flow::Exec(e) => return Step::Exec(e),
                Flow::Exit(code) => return Step::Exit(code),
            }
        }
        Step::Continue
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

impl Shell {
    /// A shell with the arguments of its process.
    pub fn new(argv: Vec<String>) -> Shell {
        let arg0 = argv.first().cloned().unwrap_or_else(|| "sh".into());
        let arg0 = arg0.strip_prefix('-').unwrap_or(&arg0).to_string();
        Shell {
            st: State {
                vars: OrdMap::new(),
                args: Arc::from([]),
                arg0: arg0.as_str().into(),
                status: 0,
                last_bg: None,
                pid: 0,
                opts: Options::default(),
                interactive: false,
                line: 0,
            },
            frames: Vec::new(),
            funcs: OrdMap::new(),
            traps: OrdMap::new(),
            jobs: Vec::new(),
            editor: Editor::default(),
            optind: (1, 0),
            argv,
            pending: 0,
            dead: Vec::new(),
            children: BTreeSet::new(),
            setup: None,
            begun: false,
            subshell: false,
            job_control: false,
            env: Env::default(),
            last_subst: None,
            running: String::new(),
            umask: 0o022,
            name: fs::basename(&arg0).into(),
        }
    }

    /// Reads the arguments and the environment; an exit code if there is nothing to run.
    fn begin(&mut self, sys: &mut dyn Sys) -> Option<i32> {
        if let Some(s) = self.setup.take() {
            self.begin_child(sys, s);
            return None;
        }
        self.env = sys.env().clone();
        self.st.pid = sys.pid();
        for (n, v) in self.env.clone().iter() {
            if super::parse::is_name(n) {
                self.st.vars.insert(n.into(), Var { value: Some(v.into()), exported: true, readonly: false });
            }
        }
        for (n, v) in [("IFS", " \t\n"), ("PS2", "> "), ("PS4", "+ "), ("OPTIND", "1")] {
            self.st.vars.insert(n.into(), Var { value: Some(v.into()), ..Var::default() });
        }
        let cwd = self.pwd(sys);
        let pwd = Var { value: Some(cwd.as_str().into()), exported: true, readonly: false };
        self.st.vars.insert("PWD".into(), pwd);
        if self.st.get("PATH").is_none() {
            let path = "/sbin:/usr/sbin:/bin:/usr/bin";
            self.st.vars.insert("PATH".into(), Var { value: Some(path.into()), ..Var::default() });
        }
        self.umask = sys.umask(0);
        sys.umask(self.umask);
        match self.options() {
            Ok(start) => self.open_source(sys, start),
            Err(m) => {
                let mut o = Output::default();
                o.err(&format!("{}: {m}\n", self.st.arg0));
                self.frames.push(Frame::Bye(2));
                self.frames.push(Frame::Flush(o));
                None
            }
        }
    }

    fn options(&mut self) -> Result<(Option<String>, Vec<String>, bool), String> {
        let argv = self.argv.clone();
        let (mut i, mut command, mut stdin) = (1, false, false);
        while let Some(a) = argv.get(i) {
            if a == "--" || a == "-" {
                i += 1;
                break;
            }
            if a == "--login" || a == "--norc" || a == "--noprofile" {
                i += 1;
                continue;
            }
            let on = a.starts_with('-');
            if !(on || a.starts_with('+')) || a.len() < 2 {
                break;
            }
            i += 1;
            for c in a.chars().skip(1) {
                match c {
                    'c' => command = true,
                    's' => stdin = true,
                    'i' => self.st.interactive = on,
                    'l' => {}
                    'o' => {
                        let name = argv.get(i).cloned().unwrap_or_default();
                        i += 1;
                        if !self.set_option_named(&name, on) {
                            return Err(format!("illegal option {}o {name}", if on { '-' } else { '+' }));
                        }
                    }
                    _ if self.set_option(c, on) => {}
                    _ => return Err(format!("illegal option {}{c}", if on { '-' } else { '+' })),
                }
            }
        }
        let rest: Vec<String> = argv.get(i..).unwrap_or_default().to_vec();
        if command {
            if rest.is_empty() {
                return Err("-c requires an argument".into());
            }
            return Ok((rest.first().cloned(), rest.get(1..).unwrap_or_default().to_vec(), true));
        }
        if stdin {
            return Ok((None, rest, false));
        }
        Ok((rest.first().cloned(), rest, false))
    }

    fn open_source(&mut self, sys: &mut dyn Sys, start: (Option<String>, Vec<String>, bool)) -> Option<i32> {
        let (first, rest, command) = start;
        if command {
            if let Some(n) = rest.first() {
                self.st.arg0 = n.as_str().into();
            }
            self.st.args = rest.iter().skip(1).map(SmolStr::from).collect();
            self.push_text(&first.unwrap_or_default(), SourceKind::Main, 0);
            return None;
        }
        match first {
            Some(path) if rest.first() == Some(&path) => {
                self.st.args = rest.iter().skip(1).map(SmolStr::from).collect();
                let found = if path.contains('/') || sys.stat(&path).is_ok() {
                    path.clone()
                } else {
                    self.find_executable(sys, &path).unwrap_or_else(|_| path.clone())
                };
                match io::read_text(sys, &found) {
                    Ok(text) => {
                        self.st.arg0 = path.as_str().into();
                        self.push_text(&text, SourceKind::Main, 1);
                    }
                    Err(e) => {
                        let mut o = Output::default();
                        o.err(&format!("{}: can't open '{path}': {e}\n", self.st.arg0));
                        self.frames.push(Frame::Bye(2));
                        self.frames.push(Frame::Flush(o));
                    }
                }
            }
            _ => {
                self.st.args = rest.iter().map(SmolStr::from).collect();
                if sys.isatty(0) && sys.isatty(2) {
                    self.st.interactive = true;
                }
                if self.st.interactive {
                    self.job_control = sys.isatty(0);
                    self.st.opts.monitor = self.job_control;
                    sys.sigaction(Signal::INT, Disposition::Catch);
                    for s in [Signal::QUIT, Signal::TERM, Signal::TSTP, Signal::TTOU] {
                        sys.sigaction(s, Disposition::Ignore);
                    }
                    if self.st.get("PS1").is_none() {
                        let ps1 = if self.name == "bash" { "\\u@\\h:\\w\\$ " } else { "\\w \\$ " };
                        self.st.vars.insert("PS1".into(), Var { value: Some(ps1.into()), ..Var::default() });
                    }
                    self.editor.load_history(sys, self.st.get("HOME"));
                }
                self.frames.push(Frame::Lines(Lines { line: 1, ..Lines::default() }));
            }
        }
        None
    }

    fn begin_child(&mut self, sys: &mut dyn Sys, s: Setup) {
        if self.st.interactive {
            for sig in [Signal::INT, Signal::QUIT, Signal::TERM, Signal::TSTP, Signal::TTOU] {
                sys.sigaction(sig, Disposition::Default);
            }
            self.st.interactive = false;
        }
        // Traps are the parent's; what it ignores stays ignored.
        for (n, action) in core::mem::take(&mut self.traps) {
            if n != 0 && !action.is_empty() {
                sys.sigaction(Signal(n), Disposition::Default);
            } else if n != 0 {
                self.traps.insert(n, action);
            }
        }
        if let Some(g) = s.group {
            // The parent does the same; whoever comes first.
            let _ = sys.setpgid(0, g);
        }
        if s.background && !self.job_control {
            sys.sigaction(Signal::INT, Disposition::Ignore);
            sys.sigaction(Signal::QUIT, Disposition::Ignore);
            if let Ok(fd) = sys.open("/dev/null", OpenFlags::READ, 0)
                && fd != 0
            {
                let _ = sys.dup2(fd, 0);
                let _ = sys.close(fd);
            }
        }
        self.job_control = false;
        for (from, to) in &s.dups {
            let _ = sys.dup2(*from, *to);
        }
        for fd in s.close {
            let _ = sys.close(fd);
        }
    }

    pub(super) fn push_text(&mut self, text: &str, kind: SourceKind, line: u32) {
        let text: Arc<[char]> = text.chars().take(Limits::TABLE.shell_bytes_max).collect();
        self.frames.push(Frame::Source(Source { text, pos: 0, line, kind }));
    }

    /// A copy that runs `frames` in a child.
    fn child(&self, frames: Vec<Frame>, setup: Setup) -> Shell {
        let mut c = self.clone();
        c.frames = frames;
        c.setup = Some(setup);
        c.begun = false;
        c.subshell = true;
        c.dead.clear();
        c.children.clear();
        c.pending = 0;
        c
    }

    fn fork(&mut self, sys: &mut dyn Sys, frames: Vec<Frame>, setup: Setup) -> Option<Pid> {
        match sys.fork(Box::new(self.child(frames, setup))) {
            Ok(pid) => {
                self.children.insert(pid);
                Some(pid)
            }
            Err(e) => {
                self.complain(&format!("can't fork: {e}"));
                self.st.status = 2;
                None
            }
        }
    }

    // Messages.

    /// The text before a message: the shell's name and, in a script, the line.
    fn prefix(&self) -> String {
        let in_script = self
            .frames
            .iter()
            .any(|f| matches!(f, Frame::Source(s) if s.kind == SourceKind::Main && s.line > 0));
        if in_script || self.st.line > 0 && self.script() {
            format!("{}: line {}: ", self.st.arg0, self.st.line)
        } else {
            format!("{}: ", self.st.arg0)
        }
    }

    fn script(&self) -> bool {
        !self.st.interactive && self.argv.get(1).is_some_and(|a| !a.starts_with('-'))
    }

    /// Prints an error as the shell.
    pub(super) fn complain(&mut self, message: &str) {
        let mut o = Output::default();
        o.err(&format!("{}{message}\n", self.prefix()));
        self.frames.push(Frame::Flush(o));
    }

    /// Prints an error that ends a non-interactive shell, or the command line of an interactive one.
    pub(super) fn fatal(&mut self, sys: &mut dyn Sys, message: &str, status: i32) {
        let line = format!("{}{message}\n", self.prefix());
        self.st.status = status;
        if self.st.interactive {
            self.abort_line(sys);
        } else {
            self.leave(sys, status);
        }
        let mut o = Output::default();
        o.err(&line);
        self.frames.push(Frame::Flush(o));
    }

    // The stack.

    /// Undoes what a frame stands for when it is left early.
    fn drop_frame(&mut self, f: Frame, sys: &mut dyn Sys) {
        match f {
            Frame::Restore(s) => redirect::restore(sys, &s),
            Frame::Vars(v) => self.put_back(v),
            Frame::Call { args, locals } => {
                self.st.args = args;
                self.put_back(locals);
            }
            Frame::DotArgs(args) => self.st.args = args,
            Frame::Subst { fd, ended: false, .. } => {
                let _ = sys.close(fd);
            }
            _ => {}
        }
    }

    fn put_back(&mut self, vars: Vec<(SmolStr, Option<Var>)>) {
        for (n, v) in vars.into_iter().rev() {
            match v {
                Some(v) => {
                    self.st.vars.insert(n, v);
                }
                None => {
                    self.st.vars.remove(&n);
                }
            }
        }
    }

    /// Leaves all frames but the one that reads lines.
    pub(super) fn abort_line(&mut self, sys: &mut dyn Sys) {
        while let Some(f) = self.frames.pop() {
            if let Frame::Lines(mut l) = f {
                l.buffer.clear();
                l.partial.clear();
                l.prompted = false;
                self.frames.push(Frame::Lines(l));
                return;
            }
            self.drop_frame(f, sys);
        }
    }

    /// Ends the shell: its EXIT trap runs first.
    pub(super) fn leave(&mut self, sys: &mut dyn Sys, status: i32) {
        while let Some(f) = self.frames.pop() {
            self.drop_frame(f, sys);
        }
        self.st.status = status;
        self.frames.push(Frame::Bye(status));
        if let Some(action) = self.traps.remove(&0)
            && !action.is_empty()
        {
            self.push_text(&action, SourceKind::Eval, 0);
        }
    }

    /// `break` and `continue`.
    fn jump(&mut self, sys: &mut dyn Sys, levels: usize, again: bool) {
        let depth = self
            .frames
            .iter()
            .rev()
            .take_while(|f| !matches!(f, Frame::Call { .. } | Frame::TrapEnd { .. }))
            .filter(|f| matches!(f, Frame::Loop { .. } | Frame::For { .. }))
            .count();
        let mut left = levels.min(depth);
        self.st.status = 0;
        while left > 0 {
            let Some(f) = self.frames.pop() else { return };
            if matches!(f, Frame::Loop { .. } | Frame::For { .. }) {
                left -= 1;
                if left == 0 && again {
                    match f {
                        Frame::Loop { cmd, status: _, quiet, .. } => {
                            self.frames.push(Frame::Loop { cmd, in_body: true, status: 0, quiet });
                        }
                        f => self.frames.push(f),
                    }
                    return;
                }
                continue;
            }
            self.drop_frame(f, sys);
        }
    }

    /// `return`
    fn come_back(&mut self, sys: &mut dyn Sys, status: i32) {
        let target = self.frames.iter().rposition(|f| {
            matches!(f, Frame::Call { .. }) || matches!(f, Frame::Source(s) if s.kind == SourceKind::Dot)
        });
        let Some(target) = target else {
            self.leave(sys, status);
            return;
        };
        while self.frames.len() > target {
            if let Some(f) = self.frames.pop() {
                self.drop_frame(f, sys);
            }
        }
        self.st.status = status;
    }

    pub(super) fn act(&mut self, sys: &mut dyn Sys, then: Then) {
        match then {
            Then::Exit(code) => self.leave(sys, code),
            Then::Break(n) => self.jump(sys, n, false),
            Then::Continue(n) => self.jump(sys, n, true),
            Then::Return(code) => self.come_back(sys, code),
            Then::Abort => {
                let status = self.st.status;
                if self.st.interactive { self.abort_line(sys) } else { self.leave(sys, status) }
            }
        }
    }

    // Children.

    /// Collects ended children. False if there is none left to wait for.
    pub(super) fn reap(&mut self, sys: &mut dyn Sys) -> bool {
        loop {
            match sys.wait(Child::Any) {
                Poll::Pending => return true,
                Poll::Ready(Err(_)) => return false,
                Poll::Ready(Ok((pid, status))) => {
                    if self.children.remove(&pid) {
                        if let Some(j) = self.jobs.iter_mut().find(|j| j.pid == pid) {
                            j.status = Some(status);
                        }
                        self.dead.push((pid, status));
                        if self.dead.len() > Limits::TABLE.processes_max {
                            self.dead.remove(0);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn ended(&mut self, pid: Pid) -> Option<ExitStatus> {
        let i = self.dead.iter().position(|d| d.0 == pid)?;
        Some(self.dead.remove(i).1)
    }

    // Traps.

    /// Starts the action of a caught signal, if there is one.
    fn run_traps(&mut self, sys: &mut dyn Sys) -> bool {
        while self.pending != 0 {
            let n = self.pending.trailing_zeros();
            self.pending &= !(1 << n);
            let n = n as u8;
            match self.traps.get(&n).cloned() {
                Some(action) if !action.is_empty() => {
                    self.frames.push(Frame::TrapEnd { status: self.st.status });
                    self.push_text(&action, SourceKind::Eval, 0);
                    return true;
                }
                Some(_) => {}
                None if n == Signal::INT.0 && self.st.interactive => {
                    self.interrupt(sys);
                    return true;
                }
                None => {}
            }
        }
        false
    }

    fn interrupt(&mut self, sys: &mut dyn Sys) {
        let at_prompt = matches!(self.frames.last(), Some(Frame::Lines(_)));
        self.abort_line(sys);
        self.editor.cancel();
        self.st.status = 130;
        let mut o = Output::default();
        o.err(if at_prompt { "^C\n" } else { "\n" });
        self.frames.push(Frame::Flush(o));
    }

    pub(super) fn has_pending(&self) -> Option<u8> {
        (self.pending != 0).then(|| self.pending.trailing_zeros() as u8)
    }

    // One step.

    fn advance(&mut self, sys: &mut dyn Sys) -> Flow {
        if self.frames.len() > FRAMES_MAX {
            self.fatal(sys, "maximum recursion depth exceeded", 2);
            return Flow::Go;
        }
        let busy = matches!(
            self.frames.last(),
            Some(
                Frame::Job { .. }
                    | Frame::Subst { .. }
                    | Frame::Flush(_)
                    | Frame::WaitFor { .. }
                    | Frame::Bye(_)
            )
        );
        if self.pending != 0 && !busy && self.run_traps(sys) {
            return Flow::Go;
        }
        let Some(f) = self.frames.pop() else {
            let status = self.st.status;
            if self.traps.contains_key(&0) {
                self.leave(sys, status);
                return Flow::Go;
            }
            return Flow::Exit(status);
        };
        match f {
            Frame::Source(s) => self.source(sys, s),
            Frame::Lines(l) => return self.lines(sys, l),
            Frame::List { list, at, quiet } => self.list(sys, list, at, quiet),
            Frame::AndOr { list, item, at, ran, quiet } => self.and_or(sys, list, item, at, ran, quiet),
            Frame::Negate => self.st.status = i32::from(self.st.status == 0),
            Frame::Cmd { cmd, memo, quiet, inside } => self.command(sys, cmd, memo, quiet, inside),
            Frame::If { cmd, arm, quiet } => self.branch(cmd, arm, quiet),
            Frame::Loop { cmd, in_body, status, quiet } => self.again(cmd, in_body, status, quiet),
            Frame::For { cmd, values, at, quiet } => self.each(sys, cmd, values, at, quiet),
            Frame::Restore(_) | Frame::Vars(_) | Frame::Call { .. } | Frame::DotArgs(_) => {
                self.drop_frame(f, sys)
            }
            Frame::Subst { pid, fd, out, ended } => return self.subst(sys, pid, fd, out, ended),
            Frame::Job { pids, foreground } => return self.job(sys, pids, foreground),
            Frame::WaitFor { pids, status } => return self.wait_for(sys, pids, status),
            Frame::Flush(o) => return self.flush(sys, o),
            Frame::Act(t) => self.act(sys, t),
            Frame::Read(r) => return self.read_line(sys, r),
            Frame::TrapEnd { status } => self.st.status = status,
            Frame::Run { argv, env, plans } => return self.become_program(sys, argv, env, &plans),
            Frame::ExecFailed { argv, env, path } => self.exec_failed(sys, argv, env, path),
            Frame::Bye(code) => {
                if self.st.interactive {
                    self.editor.save_history(sys, self.st.get("HOME"));
                }
                return Flow::Exit(code);
            }
        }
        Flow::Go
    }

    fn flush(&mut self, sys: &mut dyn Sys, mut o: Output) -> Flow {
        match o.flush(sys) {
            Poll::Pending => {
                self.frames.push(Frame::Flush(o));
                Flow::Wait
            }
            Poll::Ready(Ok(())) => Flow::Go,
            Poll::Ready(Err((fd, e))) => {
                if fd == 1 {
                    self.st.status = 1;
                    o.err(&format!("{}write error: {e}\n", self.prefix()));
                }
                if !o.is_empty() {
                    self.frames.push(Frame::Flush(o));
                }
                Flow::Go
            }
        }
    }

    /// Goes on with `read`.
    fn read_line(&mut self, sys: &mut dyn Sys, mut r: builtins::ReadState) -> Flow {
        match r.poll(sys) {
            Poll::Pending => {
                self.frames.push(Frame::Read(r));
                Flow::Wait
            }
            Poll::Ready(status) => {
                self.st.status = status;
                if let Err(m) = r.assign(&mut self.st) {
                    self.complain(&m);
                    self.st.status = 1;
                }
                Flow::Go
            }
        }
    }
}

enum Prepared {
    Nothing,
    Values(Vec<String>),
    Branch(Option<Arc<List>>),
}
