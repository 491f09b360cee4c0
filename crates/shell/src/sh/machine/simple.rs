//! Simple commands: expansion, redirections, and what runs them.

use super::*;

impl Shell {
    /// Runs something that expands words; what it needs of command substitutions is run first.
    pub(super) fn expand<T>(
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
    pub(super) fn stopped(&mut self, sys: &mut dyn Sys, stop: Stop, again: Frame) {
        match stop {
            Stop::Need(list) => {
                self.frames.push(again);
                self.substitute(sys, &list);
            }
            Stop::Fail(m) => self.fatal(sys, &m, 2),
        }
    }

    pub(super) fn substitute(&mut self, sys: &mut dyn Sys, list: &Arc<List>) {
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

    pub(super) fn subst(
        &mut self,
        sys: &mut dyn Sys,
        pid: Pid,
        fd: Fd,
        mut out: Vec<u8>,
        mut ended: bool,
    ) -> Flow {
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

    pub(super) fn plans(e: &mut Expander, redirs: &[Redir]) -> Result<Vec<Plan>, Stop> {
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
    pub(super) fn redirect(&mut self, sys: &mut dyn Sys, plans: &[Plan], keep: bool) -> bool {
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

    #[allow(clippy::too_many_arguments)]
    pub(super) fn simple(
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
    pub(super) fn argv(e: &mut Expander, words: &[Word]) -> Result<Vec<String>, Stop> {
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

    pub(super) fn trace(&self, values: &[(SmolStr, String)], argv: &[String]) -> Frame {
        let mut words: Vec<String> = values.iter().map(|(n, v)| format!("{n}={}", text::quote(v))).collect();
        words.extend(argv.iter().map(|a| text::quote(a)));
        let mut o = Output::default();
        o.err(&format!("{}{}\n", self.st.get("PS4").unwrap_or("+ "), words.join(" ")));
        Frame::Flush(o)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn dispatch(
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

    pub(super) fn start(&mut self, sys: &mut dyn Sys, run: Frame) {
        let group = self.job_control.then_some(0);
        if let Some(pid) = self.fork(sys, vec![run], Setup { group, ..Setup::default() }) {
            self.foreground(sys, pid, pid);
            self.frames.push(Frame::Job { pids: vec![(pid, None)], foreground: true });
        }
    }

    /// Runs a program in the foreground, its redirections already made.
    pub(in crate::sh) fn start_program(&mut self, sys: &mut dyn Sys, argv: Vec<String>, env: Env) {
        self.start(sys, Frame::Run { argv, env, plans: Vec::new() });
    }

    /// Assignments before a builtin or function, undone after it. False if one is read-only.
    pub(super) fn assign_for(&mut self, sys: &mut dyn Sys, values: &[(SmolStr, String)]) -> bool {
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
    pub(in crate::sh) fn environment(&self, values: &[(SmolStr, String)]) -> Env {
        let mut env = Env::default();
        let exported = |n: &str| self.st.vars.get(n).filter(|v| v.exported).and_then(|v| v.value.clone());
        for (n, v) in self.env.iter() {
            match exported(n) {
                Some(v) => env.set(n, &v),
                None if !super::super::parse::is_name(n) => env.set(n, v),
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

    pub(super) fn exec_builtin(
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
    pub(in crate::sh) fn find_executable(&self, sys: &mut dyn Sys, name: &str) -> Result<String, Errno> {
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

    pub(super) fn become_program(
        &mut self,
        sys: &mut dyn Sys,
        argv: Vec<String>,
        env: Env,
        plans: &[Plan],
    ) -> Flow {
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

    pub(super) fn cannot_run(&mut self, sys: &mut dyn Sys, name: &str, e: Errno) {
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
    pub(super) fn exec_failed(&mut self, sys: &mut dyn Sys, argv: Vec<String>, env: Env, path: String) {
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
}
