//! The interpreter: a stack of frames, each step of which does a bounded piece of work.

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
use imbl::OrdMap;
use sim::Limits;
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

    fn source(&mut self, sys: &mut dyn Sys, mut s: Source) {
        let mut p = Parser::new(&s.text, s.pos, s.line.max(1));
        match p.command() {
            Ok(None) => {}
            Ok(Some(list)) => {
                let (pos, line) = p.position();
                if s.line > 0 {
                    s.line = line;
                }
                s.pos = pos;
                self.frames.push(Frame::Source(s));
                if !self.st.opts.noexec {
                    self.frames.push(Frame::List { list: Arc::new(list), at: 0, quiet: false });
                }
            }
            Err(Fault::Incomplete(m) | Fault::Syntax(m)) => {
                let (_, line) = p.position();
                let what = if s.kind == SourceKind::Eval { "eval: line 0: " } else { "" };
                if s.line > 0 {
                    self.st.line = line;
                }
                let again = s.line > 0;
                if again {
                    self.frames.push(Frame::Source(s));
                }
                self.fatal(sys, &format!("{what}syntax error: {m}"), 2);
            }
        }
    }

    /// Commands from standard input: read a line, run what is complete.
    fn lines(&mut self, sys: &mut dyn Sys, mut l: Lines) -> Flow {
        if self.st.interactive {
            self.reap(sys);
            if self.editor.line.is_empty() && !l.prompted && self.report_jobs(&mut l) {
                self.frames.insert(self.frames.len().saturating_sub(1), Frame::Lines(l));
                return Flow::Go;
            }
        }
        let line = match self.next_line(sys, &mut l) {
            Poll::Pending => {
                self.frames.push(Frame::Lines(l));
                return Flow::Wait;
            }
            Poll::Ready(line) => line,
        };
        if self.frames.last().is_some_and(|f| matches!(f, Frame::Flush(_))) {
            // Something has to be printed before going on.
            let flush = self.frames.pop();
            if let Some(t) = line {
                l.buffer.extend(t.chars());
            }
            self.frames.push(Frame::Lines(l));
            self.frames.extend(flush);
            return Flow::Go;
        }
        match line {
            None => l.eof = true,
            Some(t) => l.buffer.extend(t.chars()),
        }
        if l.buffer.len() > Limits::TABLE.shell_bytes_max {
            l.buffer.clear();
            self.frames.push(Frame::Lines(l));
            self.complain("line too long");
            return Flow::Go;
        }
        self.parse_lines(sys, l);
        Flow::Go
    }

    fn parse_lines(&mut self, sys: &mut dyn Sys, mut l: Lines) {
        if l.eof && l.buffer.iter().all(|c| c.is_whitespace()) {
            if self.st.interactive {
                let mut o = Output::default();
                if self.name == "bash" {
                    o.err("exit\n");
                } else {
                    o.err("\n");
                }
                let status = self.st.status;
                self.leave(sys, status);
                self.frames.push(Frame::Flush(o));
            }
            return;
        }
        let text = core::mem::take(&mut l.buffer);
        let mut p = Parser::new(&text, 0, l.line);
        match p.command() {
            Ok(None) => {
                l.line = p.position().1;
                l.prompted = false;
                if !l.eof {
                    self.frames.push(Frame::Lines(l));
                }
            }
            Ok(Some(list)) => {
                let (pos, line) = p.position();
                l.buffer = text.get(pos..).unwrap_or_default().to_vec();
                l.line = line;
                l.prompted = false;
                self.frames.push(Frame::Lines(l));
                self.frames.push(Frame::List { list: Arc::new(list), at: 0, quiet: false });
            }
            Err(Fault::Incomplete(m)) if !l.eof => {
                l.buffer = text;
                l.prompted = false;
                let _ = m;
                self.frames.push(Frame::Lines(l));
            }
            Err(Fault::Incomplete(m) | Fault::Syntax(m)) => {
                l.prompted = false;
                if !l.eof || self.st.interactive {
                    self.frames.push(Frame::Lines(l));
                }
                self.fatal(sys, &format!("syntax error: {m}"), 2);
            }
        }
    }

    /// The next line with its newline; `None` at the end.
    fn next_line(&mut self, sys: &mut dyn Sys, l: &mut Lines) -> Poll<Option<String>> {
        // More complete commands may wait in what was read.
        if l.buffer.contains(&'\n') && !l.prompted {
            let mut p = Parser::new(&l.buffer, 0, l.line);
            if !matches!(p.command(), Err(Fault::Incomplete(_))) {
                return Poll::Ready(Some(String::new()));
            }
        }
        if l.eof {
            return Poll::Ready(None);
        }
        if self.st.interactive && sys.isatty(0) {
            if !l.prompted {
                let name = if l.buffer.is_empty() { "PS1" } else { "PS2" };
                let prompt = self.prompt(sys, name);
                self.editor.start(sys, prompt);
                l.prompted = true;
            }
            let path = self.st.get("PATH").unwrap_or_default().to_string();
            return self.editor.poll(sys, &path);
        }
        // A script is read in blocks, as ash does: what its commands read from the same input is what comes later.
        loop {
            if let Some(n) = l.partial.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = l.partial.drain(..=n).collect();
                return Poll::Ready(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            match sys.read(0, 1023) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(d)) if !d.is_empty() && l.partial.len() < Limits::TABLE.shell_bytes_max => {
                    l.partial.extend(d);
                }
                Poll::Ready(_) if l.partial.is_empty() => return Poll::Ready(None),
                Poll::Ready(_) => {
                    l.eof = true;
                    let line = core::mem::take(&mut l.partial);
                    return Poll::Ready(Some(String::from_utf8_lossy(&line).into_owned()));
                }
            }
        }
    }

    /// The working directory as it was gone to, links included, if that is still true.
    pub(super) fn pwd(&self, sys: &mut dyn Sys) -> String {
        let real = sys.cwd();
        match self.st.get("PWD") {
            Some(p) if p.starts_with('/') && p != real && sys.realpath(p).as_ref() == Ok(&real) => {
                p.to_string()
            }
            _ => real,
        }
    }

    fn prompt(&mut self, sys: &mut dyn Sys, name: &str) -> String {
        let raw = self.st.get(name).unwrap_or_default().to_string();
        let mut out = String::new();
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('w') => {
                    let (cwd, home) = (self.pwd(sys), self.st.get("HOME").unwrap_or_default().to_string());
                    match cwd.strip_prefix(home.as_str()) {
                        Some(r) if home.len() > 1 && (r.is_empty() || r.starts_with('/')) => {
                            out.push('~');
                            out.push_str(r);
                        }
                        _ => out.push_str(&cwd),
                    }
                }
                Some('W') => out.push_str(fs::basename(&self.pwd(sys))),
                Some('u') => {
                    let uid = sys.uid();
                    out.push_str(&crate::accounts::user_name(sys, uid));
                }
                Some('h') => out.push_str(sys.hostname().split('.').next().unwrap_or_default()),
                Some('H') => out.push_str(&sys.hostname()),
                Some('$') => out.push(if sys.uid() == 0 { '#' } else { '$' }),
                Some('n') => out.push('\n'),
                Some('e') => out.push('\x1b'),
                Some('[' | ']') => {}
                Some(c) => out.push(c),
                None => out.push('\\'),
            }
        }
        out
    }

    fn list(&mut self, sys: &mut dyn Sys, list: Arc<List>, at: usize, quiet: bool) {
        let Some((_, background)) = list.items.get(at) else { return };
        let (background, more) = (*background, at + 1 < list.items.len());
        if more {
            self.frames.push(Frame::List { list: list.clone(), at: at + 1, quiet });
        }
        let run = Frame::AndOr { list: list.clone(), item: at, at: 0, ran: 0, quiet: quiet || background };
        if !background {
            self.frames.push(run);
            return;
        }
        let group = self.job_control.then_some(0);
        let setup = Setup { background: true, group, ..Setup::default() };
        if let Some(pid) = self.fork(sys, vec![run], setup) {
            if group.is_some() {
                let _ = sys.setpgid(pid, pid);
            }
            self.st.last_bg = Some(pid);
            self.st.status = 0;
            let number = self.jobs.iter().map(|j| j.number).max().unwrap_or(0) + 1;
            let text = list
                .items
                .get(at)
                .filter(|_| self.job_control)
                .map(|i| show_and_or(&i.0))
                .unwrap_or_default();
            self.jobs.push(Job { number, pid, status: None, text, reported: false, stopped: false });
        }
    }

    fn and_or(
        &mut self,
        sys: &mut dyn Sys,
        list: Arc<List>,
        item: usize,
        mut at: usize,
        ran: usize,
        quiet: bool,
    ) {
        let Some((chain, _)) = list.items.get(item) else { return };
        let last = chain.rest.len();
        while at > 0 && at <= last {
            let Some((join, _)) = chain.rest.get(at - 1) else { break };
            if (*join == Join::And) == (self.st.status == 0) {
                break;
            }
            at += 1;
        }
        if at > last {
            let negated = chain.rest.last().map_or(chain.first.negate, |r| r.1.negate);
            if !quiet && ran == last && !negated && self.st.status != 0 && self.st.opts.errexit {
                let status = self.st.status;
                self.leave(sys, status);
            }
            return;
        }
        let p = if at == 0 { &chain.first } else { chain.rest.get(at - 1).map_or(&chain.first, |r| &r.1) };
        let p = p.clone();
        self.frames.push(Frame::AndOr { list: list.clone(), item, at: at + 1, ran: at, quiet });
        self.pipeline(sys, &p, quiet || at < last || p.negate);
    }

    fn pipeline(&mut self, sys: &mut dyn Sys, p: &Pipeline, quiet: bool) {
        if self.job_control {
            self.running = show_pipeline(p);
        }
        if p.negate {
            self.frames.push(Frame::Negate);
        }
        if let [one] = p.commands.as_slice() {
            self.frames.push(Frame::Cmd { cmd: one.clone(), memo: Vec::new(), quiet, inside: false });
            return;
        }
        let mut pids: Vec<(Pid, Option<ExitStatus>)> = Vec::new();
        let mut input: Option<Fd> = None;
        for (i, c) in p.commands.iter().enumerate() {
            let last = i + 1 == p.commands.len();
            let next = if last {
                None
            } else {
                match sys.pipe() {
                    Ok(p) => Some(p),
                    Err(e) => {
                        self.complain(&format!("can't create pipe: {e}"));
                        break;
                    }
                }
            };
            let mut s = Setup::default();
            if let Some(fd) = input {
                s.dups.push((fd, 0));
                s.close.push(fd);
            }
            if let Some((r, w)) = next {
                s.dups.push((w, 1));
                s.close.extend([w, r]);
            }
            if self.job_control {
                s.group = Some(pids.first().map_or(0, |p| p.0));
            }
            let cmd = Frame::Cmd { cmd: c.clone(), memo: Vec::new(), quiet, inside: true };
            let pid = self.fork(sys, vec![cmd], s);
            if let Some(fd) = input {
                let _ = sys.close(fd);
            }
            if let Some((_, w)) = next {
                let _ = sys.close(w);
            }
            input = next.map(|n| n.0);
            match pid {
                Some(pid) => {
                    self.foreground(sys, pid, pids.first().map_or(pid, |p| p.0));
                    pids.push((pid, None));
                }
                None => break,
            }
        }
        if let Some(fd) = input {
            let _ = sys.close(fd);
        }
        if !pids.is_empty() {
            let at = self.frames.len() - usize::from(matches!(self.frames.last(), Some(Frame::Flush(_))));
            self.frames.insert(at, Frame::Job { pids, foreground: true });
        }
    }

    /// Puts a child into its job's group and gives it the terminal.
    fn foreground(&mut self, sys: &mut dyn Sys, pid: Pid, group: Pid) {
        if self.job_control {
            let _ = sys.setpgid(pid, group);
            let _ = sys.tcsetpgrp(0, group);
        }
    }

    /// Runs something that expands words; what it needs of command substitutions is run first.
    fn expand<T>(
        &mut self,
        sys: &mut dyn Sys,
        memo: &[String],
        f: impl FnOnce(&mut Expander) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let before = self.st.clone();
        if memo.is_empty() {
            self.last_subst = None;
        }
        let mut e = Expander { st: &mut self.st, sys, memo, used: 0 };
        let r = f(&mut e);
        if matches!(r, Err(Stop::Need(_))) {
            self.st = before;
        }
        r
    }

    /// What to do when an expansion stopped: true if the command has to be given up.
    fn stopped(&mut self, sys: &mut dyn Sys, stop: Stop, again: Frame) {
        match stop {
            Stop::Need(list) => {
                self.frames.push(again);
                self.substitute(sys, &list);
            }
            Stop::Fail(m) => self.fatal(sys, &m, 2),
        }
    }

    fn substitute(&mut self, sys: &mut dyn Sys, list: &Arc<List>) {
        let (r, w) = match sys.pipe() {
            Ok(p) => p,
            Err(e) => {
                self.fatal(sys, &format!("can't create pipe: {e}"), 2);
                return;
            }
        };
        let setup = Setup { dups: vec![(w, 1)], close: vec![w, r], ..Setup::default() };
        let body = Frame::List { list: list.clone(), at: 0, quiet: false };
        let pid = self.fork(sys, vec![body], setup);
        let _ = sys.close(w);
        let frame = match pid {
            Some(pid) => Frame::Subst { pid, fd: r, out: Vec::new(), ended: false },
            None => {
                let _ = sys.close(r);
                return;
            }
        };
        self.frames.push(frame);
    }

    fn subst(&mut self, sys: &mut dyn Sys, pid: Pid, fd: Fd, mut out: Vec<u8>, mut ended: bool) -> Flow {
        while !ended {
            match sys.read(fd, Limits::TABLE.pipe_bytes_max) {
                Poll::Pending => {
                    self.frames.push(Frame::Subst { pid, fd, out, ended });
                    return Flow::Wait;
                }
                Poll::Ready(Ok(d)) if !d.is_empty() => {
                    out.extend(d);
                    if out.len() > Limits::TABLE.file_bytes_max {
                        out.truncate(Limits::TABLE.file_bytes_max);
                    }
                }
                Poll::Ready(_) => {
                    let _ = sys.close(fd);
                    ended = true;
                }
            }
        }
        let more = self.reap(sys);
        let status = match self.ended(pid) {
            Some(s) => s.code(),
            None if more => {
                self.frames.push(Frame::Subst { pid, fd, out, ended });
                return Flow::Wait;
            }
            None => 127,
        };
        self.st.status = status;
        self.last_subst = Some(status);
        out.retain(|b| *b != 0);
        let mut text = String::from_utf8_lossy(&out).into_owned();
        text.truncate(text.trim_end_matches('\n').len());
        if let Some(Frame::Cmd { memo, .. }) = self.frames.last_mut() {
            memo.push(text);
        }
        Flow::Go
    }

    fn plans(e: &mut Expander, redirs: &[Redir]) -> Result<Vec<Plan>, Stop> {
        let mut plans = Vec::with_capacity(redirs.len());
        for r in redirs {
            match &r.to {
                Target::Read(w) => plans.push(Plan::Open(r.fd.unwrap_or(0), e.text(w)?, OpenFlags::READ)),
                Target::Write(w) => plans.push(Plan::Open(r.fd.unwrap_or(1), e.text(w)?, OpenFlags::WRITE)),
                Target::Clobber(w) => {
                    let flags = OpenFlags { exclusive: true, ..OpenFlags::WRITE };
                    plans.push(Plan::Open(r.fd.unwrap_or(1), e.text(w)?, flags));
                }
                Target::Append(w) => plans.push(Plan::Open(r.fd.unwrap_or(1), e.text(w)?, OpenFlags::APPEND)),
                Target::ReadWrite(w) => {
                    plans.push(Plan::Open(r.fd.unwrap_or(0), e.text(w)?, OpenFlags::READ_WRITE));
                }
                Target::Both(w) => {
                    plans.push(Plan::Open(1, e.text(w)?, OpenFlags::WRITE));
                    plans.push(Plan::Dup(2, 1));
                }
                Target::Dup(w, output) => {
                    let fd = r.fd.unwrap_or(i32::from(*output));
                    let t = e.text(w)?;
                    if t == "-" {
                        plans.push(Plan::Close(fd));
                    } else if let Ok(n) = t.parse::<Fd>() {
                        plans.push(Plan::Dup(fd, n));
                    } else if *output && r.fd.is_none() {
                        plans.push(Plan::Open(1, t, OpenFlags::WRITE));
                        plans.push(Plan::Dup(2, 1));
                    } else {
                        return Err(Stop::Fail("syntax error: bad fd number".into()));
                    }
                }
                Target::Here(cell) => {
                    let text = match cell.get() {
                        Some(w) => e.text(w)?,
                        None => String::new(),
                    };
                    plans.push(Plan::Here(r.fd.unwrap_or(0), text));
                }
                Target::HereString(w) => {
                    plans.push(Plan::Here(r.fd.unwrap_or(0), format!("{}\n", e.text(w)?)))
                }
            }
        }
        Ok(plans)
    }

    /// Applies redirections; pushes the frame that undoes them. False if they failed.
    fn redirect(&mut self, sys: &mut dyn Sys, plans: &[Plan], keep: bool) -> bool {
        let (mut saved, mut rest) = (Vec::new(), Vec::new());
        let r = redirect::apply(sys, plans, true, self.st.opts.noclobber, &mut saved, &mut rest);
        for (fd, data) in rest {
            let mut o = Output::default();
            o.put(fd, &data);
            self.fork(sys, vec![Frame::Flush(o)], Setup::default());
            let _ = sys.close(fd);
        }
        match r {
            Ok(()) if keep => {
                redirect::keep(sys, &saved);
                true
            }
            Ok(()) => {
                if !saved.is_empty() {
                    self.frames.push(Frame::Restore(saved));
                }
                true
            }
            Err(m) => {
                redirect::restore(sys, &saved);
                self.complain(&m);
                self.st.status = 1;
                false
            }
        }
    }

    fn command(
        &mut self,
        sys: &mut dyn Sys,
        cmd: Arc<Command>,
        memo: Vec<String>,
        quiet: bool,
        inside: bool,
    ) {
        self.st.line = cmd.line;
        if self.st.opts.noexec && !self.st.interactive {
            return;
        }
        let c = cmd.clone();
        match &c.kind {
            Kind::Simple { assigns, words } => {
                self.simple(sys, &c, assigns, words, memo, quiet, inside);
            }
            Kind::Function { name, body } => {
                self.funcs.insert(name.clone(), body.clone());
                self.st.status = 0;
            }
            Kind::Subshell(_) if !inside => {
                let group = self.job_control.then_some(0);
                let frame = Frame::Cmd { cmd, memo: Vec::new(), quiet, inside: true };
                if let Some(pid) = self.fork(sys, vec![frame], Setup { group, ..Setup::default() }) {
                    self.foreground(sys, pid, pid);
                    self.frames.push(Frame::Job { pids: vec![(pid, None)], foreground: true });
                }
            }
            kind => {
                let r = self.expand(sys, &memo, |e| {
                    let plans = Self::plans(e, &c.redirs)?;
                    Ok((plans, Self::compound(e, kind)?))
                });
                let (plans, prepared) = match r {
                    Ok(v) => v,
                    Err(s) => return self.stopped(sys, s, Frame::Cmd { cmd, memo, quiet, inside }),
                };
                if self.redirect(sys, &plans, false) {
                    self.begin_compound(cmd, prepared, quiet);
                }
            }
        }
    }

    /// What a compound command expands before it begins.
    fn compound(e: &mut Expander, kind: &Kind) -> Result<Prepared, Stop> {
        Ok(match kind {
            Kind::For { words: Some(w), .. } => Prepared::Values(e.fields(w)?),
            Kind::For { words: None, .. } => {
                Prepared::Values(e.st.args.iter().map(ToString::to_string).collect())
            }
            Kind::Case { word, arms } => {
                let subject = e.text(word)?;
                for (patterns, body) in arms {
                    for p in patterns {
                        let p = e.pattern(p)?;
                        if pattern::matches(&p, &subject) {
                            return Ok(Prepared::Branch(Some(body.clone())));
                        }
                    }
                }
                Prepared::Branch(None)
            }
            _ => Prepared::Nothing,
        })
    }

    fn begin_compound(&mut self, cmd: Arc<Command>, prepared: Prepared, quiet: bool) {
        match (&cmd.kind, prepared) {
            (Kind::Brace(l) | Kind::Subshell(l), _) => {
                self.frames.push(Frame::List { list: l.clone(), at: 0, quiet });
            }
            (Kind::If { .. }, _) => self.frames.push(Frame::If { cmd, arm: 0, quiet }),
            (Kind::While { .. }, _) => {
                self.frames.push(Frame::Loop { cmd, in_body: true, status: 0, quiet });
                self.st.status = 0;
            }
            (Kind::For { .. }, Prepared::Values(v)) => {
                self.st.status = 0;
                self.frames.push(Frame::For { cmd, values: Arc::new(v), at: 0, quiet });
            }
            (Kind::Case { .. }, Prepared::Branch(b)) => {
                self.st.status = 0;
                if let Some(list) = b {
                    self.frames.push(Frame::List { list, at: 0, quiet });
                }
            }
            _ => {}
        }
    }

    /// `if`: `arm` conditions have been started, the last one's status has come.
    fn branch(&mut self, cmd: Arc<Command>, arm: usize, quiet: bool) {
        let c = cmd.clone();
        let Kind::If { arms, otherwise } = &c.kind else { return };
        if arm > 0
            && self.st.status == 0
            && let Some((_, body)) = arms.get(arm - 1)
        {
            self.frames.push(Frame::List { list: body.clone(), at: 0, quiet });
            return;
        }
        match (arms.get(arm), otherwise) {
            (Some((cond, _)), _) => {
                self.frames.push(Frame::If { cmd, arm: arm + 1, quiet });
                self.frames.push(Frame::List { list: cond.clone(), at: 0, quiet: true });
            }
            (None, Some(l)) => self.frames.push(Frame::List { list: l.clone(), at: 0, quiet }),
            (None, None) => self.st.status = 0,
        }
    }

    /// `while` and `until`.
    fn again(&mut self, cmd: Arc<Command>, in_body: bool, status: i32, quiet: bool) {
        let c = cmd.clone();
        let Kind::While { until, cond, body } = &c.kind else { return };
        if in_body {
            let status = self.st.status;
            self.frames.push(Frame::Loop { cmd, in_body: false, status, quiet });
            self.frames.push(Frame::List { list: cond.clone(), at: 0, quiet: true });
        } else if (self.st.status == 0) != *until {
            self.frames.push(Frame::Loop { cmd, in_body: true, status, quiet });
            self.frames.push(Frame::List { list: body.clone(), at: 0, quiet });
        } else {
            self.st.status = status;
        }
    }

    fn each(
        &mut self,
        sys: &mut dyn Sys,
        cmd: Arc<Command>,
        values: Arc<Vec<String>>,
        at: usize,
        quiet: bool,
    ) {
        let c = cmd.clone();
        let Kind::For { name, body, .. } = &c.kind else { return };
        let Some(v) = values.get(at) else { return };
        if let Err(m) = self.st.set(name, v) {
            self.fatal(sys, &m, 2);
            return;
        }
        self.frames.push(Frame::For { cmd, values: values.clone(), at: at + 1, quiet });
        self.frames.push(Frame::List { list: body.clone(), at: 0, quiet });
    }

    #[allow(clippy::too_many_arguments)]
    fn simple(
        &mut self,
        sys: &mut dyn Sys,
        cmd: &Arc<Command>,
        assigns: &[(SmolStr, Word)],
        words: &[Word],
        memo: Vec<String>,
        quiet: bool,
        inside: bool,
    ) {
        let r = self.expand(sys, &memo, |e| {
            let argv = Self::argv(e, words)?;
            let plans = Self::plans(e, &cmd.redirs)?;
            let mut values = Vec::with_capacity(assigns.len());
            for (n, w) in assigns {
                let v = e.text(w)?;
                // Later ones see earlier ones; without a command they stay anyway.
                if argv.is_empty() {
                    e.st.set(n, &v).map_err(Stop::Fail)?;
                }
                values.push((n.clone(), v));
            }
            Ok((argv, plans, values))
        });
        let (argv, plans, values) = match r {
            Ok(v) => v,
            Err(s) => {
                return self.stopped(sys, s, Frame::Cmd { cmd: cmd.clone(), memo, quiet, inside });
            }
        };
        let trace = if self.st.opts.xtrace { Some(self.trace(&values, &argv)) } else { None };
        let Some(name) = argv.first().cloned() else {
            self.st.status = self.last_subst.take().unwrap_or(0);
            if self.redirect(sys, &plans, false)
                && let Some(Frame::Restore(s)) = self.frames.last().cloned()
                && !plans.is_empty()
            {
                self.frames.pop();
                redirect::restore(sys, &s);
            }
            self.frames.extend(trace);
            return;
        };
        self.last_subst = None;
        self.dispatch(sys, &name, argv, plans, values, inside, quiet);
        self.frames.extend(trace);
    }

    /// A simple command's words. The assignments of `export` and its like are not split.
    fn argv(e: &mut Expander, words: &[Word]) -> Result<Vec<String>, Stop> {
        let declares = matches!(words.first().and_then(Word::literal), Some("export" | "readonly" | "local"));
        let brackets = words.first().and_then(Word::literal) == Some("[[");
        if !declares && !brackets {
            return e.fields(words);
        }
        let mut argv = Vec::new();
        let mut operator = String::new();
        for w in words {
            let assign = matches!(w.parts.first(), Some(Part::Lit(s)) if s.contains('='));
            if brackets && matches!(operator.as_str(), "==" | "=" | "!=") {
                argv.push(e.pattern(w)?);
            } else if brackets || assign {
                argv.push(e.text(w)?);
            } else {
                argv.extend(e.fields(core::slice::from_ref(w))?);
            }
            operator = argv.last().cloned().unwrap_or_default();
        }
        Ok(argv)
    }

    fn trace(&self, values: &[(SmolStr, String)], argv: &[String]) -> Frame {
        let mut words: Vec<String> = values.iter().map(|(n, v)| format!("{n}={}", text::quote(v))).collect();
        words.extend(argv.iter().map(|a| text::quote(a)));
        let mut o = Output::default();
        o.err(&format!("{}{}\n", self.st.get("PS4").unwrap_or("+ "), words.join(" ")));
        Frame::Flush(o)
    }

    #[allow(clippy::too_many_arguments)]
    fn dispatch(
        &mut self,
        sys: &mut dyn Sys,
        name: &str,
        argv: Vec<String>,
        plans: Vec<Plan>,
        values: Vec<(SmolStr, String)>,
        inside: bool,
        quiet: bool,
    ) {
        let special = builtins::is_special(name);
        if !special && let Some(body) = self.funcs.get(name).cloned() {
            if !self.redirect(sys, &plans, false) || !self.assign_for(sys, &values) {
                return;
            }
            let args = argv.iter().skip(1).map(SmolStr::from).collect();
            let old = core::mem::replace(&mut self.st.args, args);
            self.frames.push(Frame::Call { args: old, locals: Vec::new() });
            self.frames.push(Frame::Cmd { cmd: body, memo: Vec::new(), quiet, inside: false });
            return;
        }
        if name == "exec" {
            return self.exec_builtin(sys, argv, &plans, &values);
        }
        if special || builtins::is_builtin(name) {
            if !self.redirect(sys, &plans, false) {
                if special && !self.st.interactive {
                    let flush = self.frames.pop();
                    self.leave(sys, 1);
                    self.frames.extend(flush);
                }
                return;
            }
            if special {
                for (n, v) in &values {
                    if let Err(m) = self.st.set(n, v) {
                        return self.fatal(sys, &m, 2);
                    }
                }
            } else if !self.assign_for(sys, &values) {
                return;
            }
            builtins::run(self, sys, argv);
            return;
        }
        let env = self.environment(&values);
        if inside {
            self.frames.push(Frame::Run { argv, env, plans });
        } else {
            self.start(sys, Frame::Run { argv, env, plans });
        }
    }

    fn start(&mut self, sys: &mut dyn Sys, run: Frame) {
        let group = self.job_control.then_some(0);
        if let Some(pid) = self.fork(sys, vec![run], Setup { group, ..Setup::default() }) {
            self.foreground(sys, pid, pid);
            self.frames.push(Frame::Job { pids: vec![(pid, None)], foreground: true });
        }
    }

    /// Runs a program in the foreground, its redirections already made.
    pub(super) fn start_program(&mut self, sys: &mut dyn Sys, argv: Vec<String>, env: Env) {
        self.start(sys, Frame::Run { argv, env, plans: Vec::new() });
    }

    /// Assignments before a builtin or function, undone after it. False if one is read-only.
    fn assign_for(&mut self, sys: &mut dyn Sys, values: &[(SmolStr, String)]) -> bool {
        if values.is_empty() {
            return true;
        }
        let old = values.iter().map(|(n, _)| (n.clone(), self.st.vars.get(n).cloned())).collect();
        self.frames.push(Frame::Vars(old));
        for (n, v) in values {
            if let Err(m) = self.st.set(n, v) {
                self.fatal(sys, &m, 2);
                return false;
            }
            if let Some(v) = self.st.vars.get_mut(n) {
                v.exported = true;
            }
        }
        true
    }

    /// The environment of a program: exported variables in their old order, then newer ones.
    pub(super) fn environment(&self, values: &[(SmolStr, String)]) -> Env {
        let mut env = Env::default();
        let exported = |n: &str| self.st.vars.get(n).filter(|v| v.exported).and_then(|v| v.value.clone());
        for (n, v) in self.env.iter() {
            match exported(n) {
                Some(v) => env.set(n, &v),
                None if !super::parse::is_name(n) => env.set(n, v),
                None => {}
            }
        }
        for (n, v) in &self.st.vars {
            if let (true, Some(v)) = (v.exported, &v.value) {
                env.set(n, v);
            }
        }
        for (n, v) in values {
            env.set(n, v);
        }
        env
    }

    fn exec_builtin(
        &mut self,
        sys: &mut dyn Sys,
        argv: Vec<String>,
        plans: &[Plan],
        values: &[(SmolStr, String)],
    ) {
        if !self.redirect(sys, plans, true) {
            if !self.st.interactive {
                let flush = self.frames.pop();
                self.leave(sys, 1);
                self.frames.extend(flush);
            }
            return;
        }
        self.st.status = 0;
        let rest: Vec<String> = argv.into_iter().skip(1).collect();
        if !rest.is_empty() {
            let env = self.environment(values);
            self.frames.push(Frame::Run { argv: rest, env, plans: Vec::new() });
        }
    }

    /// The path of a command, as `PATH` of the shell's variables has it.
    pub(super) fn find_executable(&self, sys: &mut dyn Sys, name: &str) -> Result<String, Errno> {
        if name.contains('/') {
            return match sys.stat(name) {
                Err(e) => Err(e),
                Ok(s) if !s.is_file() => Err(Errno::EACCES),
                Ok(_) => sys.access(name, 1).map(|()| name.to_string()),
            };
        }
        let path = self.st.get("PATH").unwrap_or_default().to_string();
        let mut err = Errno::ENOENT;
        for dir in path.split(':') {
            let full = if dir.is_empty() { name.to_string() } else { fs::join(dir, name) };
            if sys.stat(&full).is_ok_and(|s| s.is_file()) {
                match sys.access(&full, 1) {
                    Ok(()) => return Ok(full),
                    Err(e) => err = e,
                }
            }
        }
        Err(err)
    }

    fn become_program(&mut self, sys: &mut dyn Sys, argv: Vec<String>, env: Env, plans: &[Plan]) -> Flow {
        if !self.redirect(sys, plans, true) {
            let flush = self.frames.pop();
            self.leave(sys, 1);
            self.frames.extend(flush);
            return Flow::Go;
        }
        let name = argv.first().cloned().unwrap_or_default();
        match self.find_executable(sys, &name) {
            Ok(path) => {
                self.frames.push(Frame::ExecFailed {
                    argv: argv.clone(),
                    env: env.clone(),
                    path: path.clone(),
                });
                Flow::Exec(Exec { path, argv, env })
            }
            Err(e) => {
                self.cannot_run(sys, &name, e);
                Flow::Go
            }
        }
    }

    fn cannot_run(&mut self, sys: &mut dyn Sys, name: &str, e: Errno) {
        let (text, code) = match e {
            Errno::ENOENT | Errno::ENOTDIR => ("not found", 127),
            e => (e.text(), 126),
        };
        let what = if self.subshell { String::new() } else { "exec: line 0: ".into() };
        let line = format!("{}{what}{name}: {text}\n", self.prefix());
        self.leave(sys, code);
        let mut o = Output::default();
        o.err(&line);
        self.frames.push(Frame::Flush(o));
    }

    /// A file without a known format is a script of the shell's own.
    fn exec_failed(&mut self, sys: &mut dyn Sys, argv: Vec<String>, env: Env, path: String) {
        match sys.exec_error() {
            Some(Errno::ENOEXEC) => {
                let Ok(text) = io::read_text(sys, &path) else {
                    return self.cannot_run(sys, &path, Errno::EACCES);
                };
                let mut new = Shell::new(vec![self.argv.first().cloned().unwrap_or_else(|| "sh".into())]);
                new.env = env;
                new.st.pid = sys.pid();
                new.begin(sys);
                new.frames.clear();
                new.begun = true;
                new.st.interactive = false;
                new.job_control = false;
                new.subshell = true;
                new.argv = vec!["sh".into(), path.clone()];
                new.st.arg0 = path.as_str().into();
                new.st.args = argv.iter().skip(1).map(SmolStr::from).collect();
                new.push_text(&text, SourceKind::Main, 1);
                *self = new;
            }
            e => self.cannot_run(sys, &path, e.unwrap_or(Errno::ENOENT)),
        }
    }

    fn job(&mut self, sys: &mut dyn Sys, mut pids: Vec<(Pid, Option<ExitStatus>)>, foreground: bool) -> Flow {
        let more = self.reap(sys);
        for p in &mut pids {
            if p.1.is_none() {
                p.1 = self.ended(p.0);
                if p.1.is_none() && !more {
                    p.1 = Some(ExitStatus::Exited(127));
                }
            }
        }
        if pids.iter().any(|p| p.1.is_none()) {
            let alive: Vec<Pid> = pids.iter().filter(|p| p.1.is_none()).map(|p| p.0).collect();
            if self.job_control && alive.iter().all(|p| sys.stopped(*p)) {
                self.suspend(sys, &alive);
                return Flow::Go;
            }
            self.frames.push(Frame::Job { pids, foreground });
            return Flow::Wait;
        }
        let codes: Vec<i32> = pids.iter().filter_map(|p| p.1).map(ExitStatus::code).collect();
        self.st.status = codes.last().copied().unwrap_or(0);
        if self.st.opts.pipefail {
            self.st.status = codes.iter().rev().find(|c| **c != 0).copied().unwrap_or(0);
        }
        if foreground && self.job_control {
            let own = sys.pid();
            let _ = sys.tcsetpgrp(0, own);
        }
        if let Some(Some(ExitStatus::Signaled(s))) = pids.last().map(|p| p.1) {
            if s == Signal::INT && self.st.interactive {
                self.pending &= !(1 << Signal::INT.0);
                self.abort_line(sys);
                let mut o = Output::default();
                o.err("\n");
                self.frames.push(Frame::Flush(o));
            } else if s != Signal::INT && s != Signal::PIPE {
                let mut o = Output::default();
                o.err(&format!("{}\n", s.text()));
                self.frames.push(Frame::Flush(o));
            }
        }
        if self.st.interactive {
            self.pending &= !(1 << Signal::INT.0);
        }
        Flow::Go
    }

    /// The foreground job was stopped: it goes to the background.
    fn suspend(&mut self, sys: &mut dyn Sys, pids: &[Pid]) {
        let own = sys.pid();
        let _ = sys.tcsetpgrp(0, own);
        let Some(pid) = pids.last().copied() else { return };
        let text = self.running.clone();
        let number = self.jobs.iter().map(|j| j.number).max().unwrap_or(0) + 1;
        self.abort_line(sys);
        let mut o = Output::default();
        o.err(&format!("[{number}]+  {:<27}{text}\n", "Stopped"));
        self.jobs.push(Job { number, pid, status: None, text, reported: false, stopped: true });
        self.st.status = 148;
        self.frames.push(Frame::Flush(o));
    }

    fn wait_for(&mut self, sys: &mut dyn Sys, mut pids: Vec<Pid>, status: bool) -> Flow {
        if let Some(n) = self.has_pending() {
            self.st.status = 128 + i32::from(n);
            return Flow::Go;
        }
        let more = self.reap(sys);
        while let Some(pid) = pids.first().copied() {
            let known =
                self.ended(pid).or_else(|| self.jobs.iter().find(|j| j.pid == pid).and_then(|j| j.status));
            match known {
                Some(s) => {
                    if status {
                        self.st.status = s.code();
                    }
                    self.jobs.retain(|j| j.pid != pid);
                    if let (true, ExitStatus::Signaled(s)) = (status, s) {
                        let mut o = Output::default();
                        o.err(&format!("{}\n", s.text()));
                        pids.remove(0);
                        self.frames.push(Frame::WaitFor { pids, status });
                        self.frames.push(Frame::Flush(o));
                        return Flow::Go;
                    }
                }
                None if more && self.children.contains(&pid) => {
                    self.frames.push(Frame::WaitFor { pids, status });
                    return Flow::Wait;
                }
                None => {
                    if status {
                        self.st.status = 127;
                    }
                }
            }
            pids.remove(0);
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

    /// Prints what became of background jobs; true if something was printed.
    fn report_jobs(&mut self, _l: &mut Lines) -> bool {
        let mut o = Output::default();
        let last = self.jobs.last().map(|j| j.number);
        for j in &mut self.jobs {
            if !j.reported
                && let Some(s) = j.status
            {
                let mark = if last == Some(j.number) { '+' } else { '-' };
                let what = match s {
                    ExitStatus::Exited(0) => "Done".to_string(),
                    ExitStatus::Exited(c) => format!("Done({c})"),
                    ExitStatus::Signaled(s) => s.text().to_string(),
                };
                o.err(&format!("[{}]{mark}  {what:<27}{}\n", j.number, j.text));
                j.reported = true;
            }
        }
        self.jobs.retain(|j| !j.reported);
        if o.is_empty() {
            return false;
        }
        self.frames.push(Frame::Flush(o));
        true
    }
}

enum Prepared {
    Nothing,
    Values(Vec<String>),
    Branch(Option<Arc<List>>),
}

/// Reads up to and with a newline without taking more from a pipe. True at a newline, false at the end.
pub(super) fn read_until_newline(sys: &mut dyn Sys, fd: Fd, line: &mut Vec<u8>) -> Poll<Result<bool, Errno>> {
    let seekable = sys.seek(fd, 0, Whence::Current).is_ok();
    loop {
        let want = if seekable || sys.isatty(fd) { 4096 } else { 1 };
        match sys.read(fd, want) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Ready(Ok(d)) if d.is_empty() => return Poll::Ready(Ok(false)),
            Poll::Ready(Ok(d)) => {
                if let Some(i) = d.iter().position(|b| *b == b'\n') {
                    line.extend(d.iter().take(i + 1));
                    if seekable {
                        let back = (d.len() - i - 1) as i64;
                        let _ = sys.seek(fd, -back, Whence::Current);
                    }
                    return Poll::Ready(Ok(true));
                }
                line.extend(d);
            }
        }
        if line.len() > Limits::TABLE.shell_bytes_max {
            return Poll::Ready(Ok(true));
        }
    }
}

/// A command as `jobs` shows it.
fn show_and_or(a: &AndOr) -> String {
    let mut s = show_pipeline(&a.first);
    for (j, p) in &a.rest {
        s.push_str(if *j == Join::And { " && " } else { " || " });
        s.push_str(&show_pipeline(p));
    }
    s
}

fn show_pipeline(p: &Pipeline) -> String {
    let parts: Vec<String> = p
        .commands
        .iter()
        .map(|c| match &c.kind {
            Kind::Simple { words, .. } => words.iter().map(show_word).collect::<Vec<_>>().join(" "),
            Kind::Subshell(_) => "(...)".into(),
            Kind::Brace(_) => "{...}".into(),
            Kind::If { .. } => "if ...; fi".into(),
            Kind::While { until: false, .. } => "while ...; done".into(),
            Kind::While { .. } => "until ...; done".into(),
            Kind::For { name, .. } => format!("for {name} in ...; done"),
            Kind::Case { .. } => "case ...; esac".into(),
            Kind::Function { name, .. } => format!("{name}() {{...}}"),
        })
        .collect();
    parts.join(" | ")
}

fn show_word(w: &Word) -> String {
    w.parts
        .iter()
        .map(|p| match p {
            Part::Lit(s) => s.to_string(),
            Part::Quoted(s) => format!("\"{s}\""),
            Part::Tilde(u) => format!("~{u}"),
            Part::Param { name, .. } => format!("${{{name}}}"),
            Part::Command { .. } => "$(...)".into(),
            Part::Arith { .. } => "$((...))".into(),
        })
        .collect()
}
