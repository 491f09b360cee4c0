//! Where commands come from: a script, standard input, a terminal.

use super::*;

impl Shell {
    pub(super) fn source(&mut self, sys: &mut dyn Sys, mut s: Source) {
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
    pub(super) fn lines(&mut self, sys: &mut dyn Sys, mut l: Lines) -> Flow {
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

    pub(super) fn parse_lines(&mut self, sys: &mut dyn Sys, mut l: Lines) {
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
    pub(super) fn next_line(&mut self, sys: &mut dyn Sys, l: &mut Lines) -> Poll<Option<String>> {
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
    pub(in crate::sh) fn pwd(&self, sys: &mut dyn Sys) -> String {
        let real = sys.cwd();
        match self.st.get("PWD") {
            Some(p) if p.starts_with('/') && p != real && sys.realpath(p).as_ref() == Ok(&real) => {
                p.to_string()
            }
            _ => real,
        }
    }

    pub(super) fn prompt(&mut self, sys: &mut dyn Sys, name: &str) -> String {
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
}

/// Reads up to and with a newline without taking more from a pipe. True at a newline, false at the end.
pub(in crate::sh) fn read_until_newline(
    sys: &mut dyn Sys,
    fd: Fd,
    line: &mut Vec<u8>,
) -> Poll<Result<bool, Errno>> {
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
