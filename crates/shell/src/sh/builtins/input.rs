//! `read` and `getopts`.

use super::*;

/// A `read` in progress.
#[derive(Clone, Debug)]
pub(in crate::sh) struct ReadState {
    names: Vec<String>,
    raw: bool,
    fd: Fd,
    deadline: Option<Instant>,
    chars_max: Option<usize>,
    line: Vec<u8>,
    ifs: String,
    prompt: Output,
}

impl ReadState {
    /// Reads on; ready with the status.
    pub(in crate::sh) fn poll(&mut self, sys: &mut dyn Sys) -> Poll<i32> {
        if self.prompt.flush(sys).is_pending() {
            return Poll::Pending;
        }
        loop {
            if let Some(n) = self.chars_max {
                if self.line.len() >= n {
                    return Poll::Ready(0);
                }
                match sys.read(self.fd, 1) {
                    Poll::Ready(Ok(d)) if d.is_empty() => return Poll::Ready(1),
                    Poll::Ready(Ok(d)) if d == b"\n" => return Poll::Ready(0),
                    Poll::Ready(Ok(d)) => {
                        self.line.extend(d);
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(1),
                    Poll::Pending => return self.timeout(sys),
                }
            }
            match read_until_newline(sys, self.fd, &mut self.line) {
                Poll::Pending => return self.timeout(sys),
                Poll::Ready(Ok(true)) => {
                    let slashes = self.line.iter().rev().skip(1).take_while(|b| **b == b'\\').count();
                    if !self.raw && slashes % 2 == 1 && self.line.ends_with(b"\n") {
                        self.line.truncate(self.line.len() - 2);
                        continue;
                    }
                    if self.line.ends_with(b"\n") {
                        self.line.pop();
                    }
                    return Poll::Ready(0);
                }
                Poll::Ready(_) => return Poll::Ready(1),
            }
        }
    }

    fn timeout(&self, sys: &mut dyn Sys) -> Poll<i32> {
        match self.deadline {
            Some(d) if sys.sleep_until(d).is_ready() => Poll::Ready(1),
            _ => Poll::Pending,
        }
    }

    /// Splits what was read among the variables.
    pub(in crate::sh) fn assign(self, st: &mut State) -> Result<(), String> {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        let mut chars: Vec<(char, bool)> = Vec::new();
        let mut it = text.chars();
        while let Some(c) = it.next() {
            if c == '\\' && !self.raw {
                if let Some(n) = it.next() {
                    chars.push((n, true));
                }
            } else if c != '\0' {
                chars.push((c, false));
            }
        }
        if self.names.is_empty() {
            return st.set("REPLY", &chars.iter().map(|c| c.0).collect::<String>());
        }
        let blank = |c: &(char, bool)| !c.1 && self.ifs.contains(c.0) && c.0.is_ascii_whitespace();
        let sep = |c: &(char, bool)| !c.1 && self.ifs.contains(c.0);
        let mut rest: &[(char, bool)] = &chars;
        while rest.first().is_some_and(blank) {
            rest = rest.get(1..).unwrap_or_default();
        }
        for (i, name) in self.names.iter().enumerate() {
            let value: String;
            if i + 1 == self.names.len() {
                let mut end = rest.len();
                while end > 0 && rest.get(end - 1).is_some_and(blank) {
                    end -= 1;
                }
                // A single trailing separator goes too.
                let inner = rest.get(..end).unwrap_or_default();
                if inner.iter().filter(|c| sep(c)).count() == 1 && inner.last().is_some_and(sep) {
                    end -= 1;
                }
                value = rest.iter().take(end).map(|c| c.0).collect();
            } else {
                let n = rest.iter().position(sep).unwrap_or(rest.len());
                value = rest.iter().take(n).map(|c| c.0).collect();
                rest = rest.get(n..).unwrap_or_default();
                while rest.first().is_some_and(blank) {
                    rest = rest.get(1..).unwrap_or_default();
                }
                if rest.first().is_some_and(|c| sep(c) && !blank(c)) {
                    rest = rest.get(1..).unwrap_or_default();
                    while rest.first().is_some_and(blank) {
                        rest = rest.get(1..).unwrap_or_default();
                    }
                }
            }
            if !is_name(name) {
                return Err(format!("read: '{name}': bad variable name"));
            }
            st.set(name, &value)?;
        }
        Ok(())
    }
}

pub(super) fn read(sh: &Shell, sys: &mut dyn Sys, args: &[String]) -> Done {
    let mut r = ReadState {
        names: Vec::new(),
        raw: false,
        fd: 0,
        deadline: None,
        chars_max: None,
        line: Vec::new(),
        ifs: sh.st.get("IFS").unwrap_or(" \t\n").to_string(),
        prompt: Output::default(),
    };
    let mut it = args.iter();
    while let Some(a) = it.next() {
        let Some(flags) = a.strip_prefix('-').filter(|f| !f.is_empty()) else {
            r.names.push(a.clone());
            continue;
        };
        let mut chars = flags.chars();
        while let Some(c) = chars.next() {
            if matches!(c, 'r' | 's') {
                r.raw |= c == 'r';
                continue;
            }
            let rest: String = chars.by_ref().collect();
            let value = if rest.is_empty() { it.next().cloned().unwrap_or_default() } else { rest };
            match c {
                'p' if sys.isatty(0) => r.prompt.err(&value),
                't' => {
                    let ms = value.parse::<f64>().unwrap_or(0.0) * 1000.0;
                    r.deadline = Some(sys.now() + Duration::from_millis(ms.clamp(0.0, 1e12) as u64));
                }
                'n' => r.chars_max = value.parse().ok(),
                'u' => r.fd = value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    Done::frame(Frame::Read(r))
}

pub(super) fn getopts(sh: &mut Shell, args: &[String]) -> Ran {
    let (Some(spec), Some(name)) = (args.first(), args.get(1)) else {
        return Err(bad("usage: getopts optstring var [arg]"));
    };
    let list: Vec<String> = if args.len() > 2 {
        args.iter().skip(2).cloned().collect()
    } else {
        sh.st.args.iter().map(ToString::to_string).collect()
    };
    let index = sh.st.get("OPTIND").and_then(|v| v.parse().ok()).unwrap_or(1usize).max(1);
    if index != sh.optind.0 {
        sh.optind = (index, 0);
    }
    let mut d = Done::default();
    let silent = spec.starts_with(':');
    let (mut at, mut sub) = sh.optind;
    let arg = list.get(at - 1).cloned().unwrap_or_default();
    if sub == 0 {
        if arg == "--" {
            at += 1;
        }
        if !arg.starts_with('-') || arg.len() < 2 || arg == "--" {
            sh.optind = (at, 0);
            sh.st.set("OPTIND", &at.to_string()).map_err(bad)?;
            sh.st.set(name, "?").map_err(bad)?;
            return Ok(Done::status(1));
        }
        sub = 1;
    }
    let c = arg.chars().nth(sub).unwrap_or('?');
    sub += 1;
    if sub >= arg.chars().count() {
        at += 1;
        sub = 0;
    }
    let pos = spec.chars().position(|s| s == c).filter(|_| c != ':');
    sh.st.vars.remove("OPTARG");
    let mut letter = c.to_string();
    match pos {
        None => {
            if silent {
                sh.st.set("OPTARG", &c.to_string()).map_err(bad)?;
            } else {
                d.out.err(&format!("Illegal option -{c}\n"));
            }
            letter = "?".into();
        }
        Some(p) if spec.chars().nth(p + 1) == Some(':') => {
            if sub > 0 {
                let v: String = arg.chars().skip(sub).collect();
                sh.st.set("OPTARG", &v).map_err(bad)?;
                at += 1;
                sub = 0;
            } else if let Some(v) = list.get(at - 1) {
                sh.st.set("OPTARG", v).map_err(bad)?;
                at += 1;
            } else if silent {
                sh.st.set("OPTARG", &c.to_string()).map_err(bad)?;
                letter = ":".into();
            } else {
                d.out.err(&format!("No arg for -{c} option\n"));
                letter = "?".into();
            }
        }
        Some(_) => {}
    }
    sh.optind = (at, sub);
    sh.st.set("OPTIND", &at.to_string()).map_err(bad)?;
    sh.st.set(name, &letter).map_err(bad)?;
    Ok(d)
}
