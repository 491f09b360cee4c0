//! Children that are waited for, and jobs in the background.

use super::*;

impl Shell {
    pub(super) fn job(
        &mut self,
        sys: &mut dyn Sys,
        mut pids: Vec<(Pid, Option<ExitStatus>)>,
        foreground: bool,
    ) -> Flow {
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
    pub(super) fn suspend(&mut self, sys: &mut dyn Sys, pids: &[Pid]) {
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

    pub(super) fn wait_for(&mut self, sys: &mut dyn Sys, mut pids: Vec<Pid>, status: bool) -> Flow {
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

    /// Prints what became of background jobs; true if something was printed.
    pub(super) fn report_jobs(&mut self, _l: &mut Lines) -> bool {
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

/// A command as `jobs` shows it.
pub(super) fn show_and_or(a: &AndOr) -> String {
    let mut s = show_pipeline(&a.first);
    for (j, p) in &a.rest {
        s.push_str(if *j == Join::And { " && " } else { " || " });
        s.push_str(&show_pipeline(p));
    }
    s
}

pub(super) fn show_pipeline(p: &Pipeline) -> String {
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

pub(super) fn show_word(w: &Word) -> String {
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
