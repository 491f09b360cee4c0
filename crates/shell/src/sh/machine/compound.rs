//! Lists, pipelines and compound commands.

use super::*;

impl Shell {
    pub(super) fn list(&mut self, sys: &mut dyn Sys, list: Arc<List>, at: usize, quiet: bool) {
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

    pub(super) fn and_or(
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

    pub(super) fn pipeline(&mut self, sys: &mut dyn Sys, p: &Pipeline, quiet: bool) {
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
    pub(super) fn foreground(&mut self, sys: &mut dyn Sys, pid: Pid, group: Pid) {
        if self.job_control {
            let _ = sys.setpgid(pid, group);
            let _ = sys.tcsetpgrp(0, group);
        }
    }

    pub(super) fn command(
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
    pub(super) fn compound(e: &mut Expander, kind: &Kind) -> Result<Prepared, Stop> {
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

    pub(super) fn begin_compound(&mut self, cmd: Arc<Command>, prepared: Prepared, quiet: bool) {
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
    pub(super) fn branch(&mut self, cmd: Arc<Command>, arm: usize, quiet: bool) {
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
    pub(super) fn again(&mut self, cmd: Arc<Command>, in_body: bool, status: i32, quiet: bool) {
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

    pub(super) fn each(
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
}
