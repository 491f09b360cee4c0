//! Line editing on a terminal: cursor keys, history, completion. Models: busybox's line editor.

use super::builtins;
use crate::fs;
use crate::io::{self, Output};
use crate::sys::{Child, OpenFlags, Pid, Spawn, Sys, TtyModes};
use core::task::Poll;
use sim::Limits;

/// Lines of history that are kept.
const HISTORY_MAX: usize = 256;
const HISTORY_FILE: &str = ".ash_history";

/// A line in the making and those before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Editor {
    /// The line.
    pub line: Vec<char>,
    cursor: usize,
    prompt: String,
    history: Vec<String>,
    new: usize,
    /// Position in the history; its length is the new line.
    at: usize,
    kept: Vec<char>,
    keys: Vec<u8>,
    out: Output,
    active: bool,
    asking: Option<Asking>,
}

/// A program that is asked for completions, as cobra's completion scripts do.
#[derive(Clone, Debug)]
struct Asking {
    pid: Pid,
    fd: i32,
    out: Vec<u8>,
    word: String,
}

impl Editor {
    /// Begins a line: prompt, and keys one by one.
    pub fn start(&mut self, sys: &mut dyn Sys, prompt: String) {
        // A terminal that can't be set is used as it is.
        let _ = sys.tty_modes(0, TtyModes { canonical: false, echo: false, signals: true });
        self.line.clear();
        self.cursor = 0;
        self.at = self.history.len();
        self.out.err(&prompt);
        self.prompt = prompt.rsplit('\n').next().unwrap_or_default().to_string();
        self.active = true;
    }

    /// Drops the line, as Ctrl-C does.
    pub fn cancel(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.active = false;
        self.asking = None;
    }

    /// Reads keys until the line is finished; `None` at the end of input.
    pub fn poll(&mut self, sys: &mut dyn Sys, path: &str) -> Poll<Option<String>> {
        loop {
            if self.out.flush(sys).is_pending() {
                return Poll::Pending;
            }
            if self.asking.is_some() {
                if self.answer(sys).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            if self.keys.is_empty() {
                match sys.read(0, 256) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(d)) if !d.is_empty() => self.keys.extend(d),
                    Poll::Ready(_) => return Poll::Ready(None),
                }
            }
            if let Some(done) = self.key(sys, path) {
                let _ = sys.tty_modes(0, TtyModes::default());
                self.active = false;
                if self.out.flush(sys).is_pending() {
                    // The newline follows with the next output; nothing is lost.
                    self.out = core::mem::take(&mut self.out);
                }
                return Poll::Ready(done);
            }
        }
    }

    /// Takes the next key. Ready with the line, or with `None` at the end.
    fn key(&mut self, sys: &mut dyn Sys, path: &str) -> Option<Option<String>> {
        let b = *self.keys.first()?;
        if b == 0x1b {
            self.escape();
            return None;
        }
        let text = match core::str::from_utf8(&self.keys) {
            Ok(t) => t,
            Err(e) => {
                core::str::from_utf8(self.keys.get(..e.valid_up_to()).unwrap_or_default()).unwrap_or_default()
            }
        };
        let Some(c) = text.chars().next() else {
            self.keys.remove(0);
            return None;
        };
        self.keys.drain(..c.len_utf8());
        match c {
            '\r' | '\n' => {
                self.out.err("\n");
                let line: String = core::mem::take(&mut self.line).into_iter().collect();
                self.cursor = 0;
                self.remember(&line);
                return Some(Some(line + "\n"));
            }
            '\x04' if self.line.is_empty() => return Some(None),
            '\x04' => self.delete(),
            '\x01' => self.go(0),
            '\x05' => self.go(self.line.len()),
            '\x02' => self.go(self.cursor.saturating_sub(1)),
            '\x06' => self.go((self.cursor + 1).min(self.line.len())),
            '\x7f' | '\x08' => {
                if self.cursor > 0 {
                    self.cursor -= 1;
                    self.out.err("\x08");
                    self.delete();
                }
            }
            '\x0b' => {
                self.line.truncate(self.cursor);
                self.out.err("\x1b[K");
            }
            '\x15' => {
                let rest = self.line.split_off(self.cursor);
                self.replace(rest, 0);
            }
            '\x17' => self.rub_word(),
            '\x0c' => {
                self.out.err("\x1b[H\x1b[2J");
                self.redraw();
            }
            '\x10' => self.recall(-1),
            '\x0e' => self.recall(1),
            '\t' => self.complete(sys, path),
            c if c.is_control() => {}
            c => self.insert(&c.to_string()),
        }
        None
    }

    fn escape(&mut self) {
        let mut n = 1;
        let mut arg = 0u32;
        let key = match self.keys.get(1) {
            Some(b'[' | b'O') => {
                n = 2;
                while let Some(d) = self.keys.get(n).filter(|b| b.is_ascii_digit() || **b == b';') {
                    if d.is_ascii_digit() {
                        arg = arg.saturating_mul(10).saturating_add(u32::from(d - b'0'));
                    } else {
                        arg = 0;
                    }
                    n += 1;
                }
                let k = self.keys.get(n).copied();
                n += usize::from(k.is_some());
                k
            }
            _ => None,
        };
        self.keys.drain(..n.min(self.keys.len()));
        match key {
            Some(b'A') => self.recall(-1),
            Some(b'B') => self.recall(1),
            Some(b'C') => self.go((self.cursor + 1).min(self.line.len())),
            Some(b'D') => self.go(self.cursor.saturating_sub(1)),
            Some(b'H') => self.go(0),
            Some(b'F') => self.go(self.line.len()),
            Some(b'~') => match arg {
                1 | 7 => self.go(0),
                4 | 8 => self.go(self.line.len()),
                3 => self.delete(),
                _ => {}
            },
            _ => {}
        }
    }

    fn insert(&mut self, s: &str) {
        if self.line.len() + s.len() > Limits::TABLE.shell_bytes_max {
            return;
        }
        for c in s.chars() {
            self.line.insert(self.cursor.min(self.line.len()), c);
            self.cursor += 1;
        }
        self.out.err(s);
        self.tail("");
    }

    /// Shows what follows the cursor and comes back.
    fn tail(&mut self, clear: &str) {
        let rest: String = self.line.iter().skip(self.cursor).collect();
        if rest.is_empty() && clear.is_empty() {
            return;
        }
        self.out.err(&format!("{rest}{clear}"));
        let n = rest.chars().count();
        if n > 0 {
            self.out.err(&format!("\x1b[{n}D"));
        }
    }

    fn delete(&mut self) {
        if self.cursor < self.line.len() {
            self.line.remove(self.cursor);
            self.tail("\x1b[K");
        }
    }

    fn go(&mut self, to: usize) {
        if to < self.cursor {
            self.out.err(&format!("\x1b[{}D", self.cursor - to));
        } else if to > self.cursor {
            self.out.err(&format!("\x1b[{}C", to - self.cursor));
        }
        self.cursor = to;
    }

    fn replace(&mut self, line: Vec<char>, cursor: usize) {
        self.go(0);
        self.line = line;
        let text: String = self.line.iter().collect();
        self.out.err(&format!("{text}\x1b[K"));
        self.cursor = self.line.len();
        self.go(cursor);
    }

    fn redraw(&mut self) {
        let text: String = self.line.iter().collect();
        let prompt = self.prompt.clone();
        self.out.err(&format!("{prompt}{text}"));
        let to = self.cursor;
        self.cursor = self.line.len();
        self.go(to);
    }

    fn rub_word(&mut self) {
        let mut to = self.cursor;
        while to > 0 && self.line.get(to - 1).is_some_and(|c| c.is_whitespace()) {
            to -= 1;
        }
        while to > 0 && self.line.get(to - 1).is_some_and(|c| !c.is_whitespace()) {
            to -= 1;
        }
        let mut line = self.line.clone();
        line.drain(to..self.cursor);
        self.replace(line, to);
    }

    // History.

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || self.history.last().is_some_and(|l| l == line) {
            return;
        }
        self.history.push(line.to_string());
        self.new += 1;
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
    }

    fn recall(&mut self, by: isize) {
        let Some(to) = self.at.checked_add_signed(by).filter(|t| *t <= self.history.len()) else { return };
        if self.at == self.history.len() {
            self.kept = self.line.clone();
        }
        self.at = to;
        let line: Vec<char> = match self.history.get(to) {
            Some(l) => l.chars().collect(),
            None => self.kept.clone(),
        };
        let end = line.len();
        self.replace(line, end);
    }

    /// The list of `history`.
    pub fn show_history(&self) -> String {
        self.history.iter().enumerate().map(|(i, l)| format!("{i:>4} {l}\n")).collect()
    }

    /// Reads the history of earlier shells.
    pub fn load_history(&mut self, sys: &mut dyn Sys, home: Option<&str>) {
        let Some(home) = home else { return };
        if let Ok(t) = io::read_text(sys, &fs::join(home, HISTORY_FILE)) {
            self.history = t.lines().map(str::to_string).collect();
            let extra = self.history.len().saturating_sub(HISTORY_MAX);
            self.history.drain(..extra);
        }
    }

    /// Adds this shell's lines to the file.
    pub fn save_history(&mut self, sys: &mut dyn Sys, home: Option<&str>) {
        let Some(home) = home else { return };
        let from = self.history.len().saturating_sub(self.new);
        let text: String = self.history.iter().skip(from).flat_map(|l| [l.as_str(), "\n"]).collect();
        if !text.is_empty() {
            // A home that can't be written has no history.
            let _ =
                io::write_file(sys, &fs::join(home, HISTORY_FILE), text.as_bytes(), OpenFlags::APPEND, 0o600);
        }
        self.new = 0;
    }

    // Completion.

    fn complete(&mut self, sys: &mut dyn Sys, path: &str) {
        let before: String = self.line.iter().take(self.cursor).collect();
        let segment = before.rsplit(['|', ';', '&', '(']).next().unwrap_or_default().trim_start();
        let words: Vec<&str> = segment.split_whitespace().collect();
        let word =
            if before.ends_with(char::is_whitespace) { "" } else { words.last().copied().unwrap_or("") };
        let first = words.is_empty() || (words.len() == 1 && !word.is_empty());
        if first && !word.contains('/') {
            let mut found: Vec<String> =
                builtins::names().filter(|n| n.starts_with(word)).map(str::to_string).collect();
            for dir in path.split(':') {
                if let Ok(list) = sys.readdir(dir) {
                    found.extend(
                        list.into_iter().filter(|e| e.name.starts_with(word)).map(|e| e.name.to_string()),
                    );
                }
            }
            self.offer(word, found, true);
            return;
        }
        let command = words.first().copied().unwrap_or_default();
        if fs::basename(command) == "kubectl" || command == "k" {
            self.ask(sys, "kubectl", &words, word);
            return;
        }
        self.complete_path(sys, word);
    }

    fn complete_path(&mut self, sys: &mut dyn Sys, word: &str) {
        let (dir, prefix) = match word.rfind('/') {
            Some(i) => (word.get(..=i).unwrap_or("/"), word.get(i + 1..).unwrap_or_default()),
            None => ("", word),
        };
        let Ok(list) = sys.readdir(if dir.is_empty() { "." } else { dir }) else { return };
        let mut found = Vec::new();
        for e in list {
            if e.name.starts_with(prefix) && (prefix.starts_with('.') || !e.name.starts_with('.')) {
                let full = format!("{dir}{}", e.name);
                let is_dir = sys.stat(&full).is_ok_and(|s| s.is_dir());
                found.push(if is_dir { format!("{full}/") } else { full });
            }
        }
        self.offer(word, found, true);
    }

    /// Inserts what all candidates share; lists them if that adds nothing.
    fn offer(&mut self, word: &str, mut found: Vec<String>, space: bool) {
        found.sort();
        found.dedup();
        let Some(first) = found.first().cloned() else { return };
        let mut common = first.as_str();
        for f in &found {
            let n = common.char_indices().zip(f.chars()).take_while(|((_, a), b)| a == b).count();
            let end = common.char_indices().nth(n).map_or(common.len(), |(i, _)| i);
            common = common.get(..end).unwrap_or_default();
        }
        let mut add = common.get(word.len()..).unwrap_or_default().to_string();
        if found.len() == 1 && space && !common.ends_with(['/', '=']) {
            add.push(' ');
        }
        if !add.is_empty() {
            self.insert(&add);
        } else if found.len() > 1 {
            let names: Vec<&str> = found
                .iter()
                .map(|f| {
                    let t = f.trim_end_matches('/');
                    f.get(t.rfind('/').map_or(0, |i| i + 1)..).unwrap_or(f)
                })
                .collect();
            let list = columns(&names, 80);
            self.out.err(&format!("\n{list}"));
            self.redraw();
        }
    }

    /// Starts `program __complete words… word`.
    fn ask(&mut self, sys: &mut dyn Sys, program: &str, words: &[&str], word: &str) {
        let Ok((r, w)) = sys.pipe() else { return };
        let typed = if word.is_empty() { words.len() } else { words.len().saturating_sub(1) };
        let mut argv = vec![program.to_string(), "__complete".into()];
        argv.extend(words.iter().take(typed).skip(1).map(ToString::to_string));
        argv.push(word.to_string());
        let null = sys.open("/dev/null", OpenFlags::READ_WRITE, 0).ok();
        let mut fds = vec![(1, w)];
        if let Some(n) = null {
            fds.extend([(0, n), (2, n)]);
        }
        let pid = sys.spawn(&Spawn { fds: Some(fds), new_group: true, ..Spawn::new(argv) });
        let _ = sys.close(w);
        if let Some(n) = null {
            let _ = sys.close(n);
        }
        match pid {
            Ok(pid) => self.asking = Some(Asking { pid, fd: r, out: Vec::new(), word: word.to_string() }),
            Err(_) => {
                let _ = sys.close(r);
            }
        }
    }

    /// Takes the answer: one candidate a line, then `:directive`.
    fn answer(&mut self, sys: &mut dyn Sys) -> Poll<()> {
        let Some(a) = &mut self.asking else { return Poll::Ready(()) };
        loop {
            match sys.read(a.fd, 65_536) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(d)) if !d.is_empty() && a.out.len() < Limits::TABLE.shell_bytes_max => {
                    a.out.extend(d)
                }
                Poll::Ready(_) => break,
            }
        }
        if sys.wait(Child::Pid(a.pid)).is_pending() {
            return Poll::Pending;
        }
        let _ = sys.close(a.fd);
        let Some(a) = self.asking.take() else { return Poll::Ready(()) };
        let text = String::from_utf8_lossy(&a.out).into_owned();
        let mut directive = 0u32;
        let mut found = Vec::new();
        for l in text.lines() {
            match l.strip_prefix(':').and_then(|d| d.parse().ok()) {
                Some(d) => directive = d,
                None => {
                    let c = l.split('\t').next().unwrap_or_default();
                    if c.starts_with(a.word.as_str()) && !c.is_empty() {
                        found.push(c.to_string());
                    }
                }
            }
        }
        if found.is_empty() && directive & 4 == 0 {
            self.complete_path(sys, &a.word);
        } else {
            self.offer(&a.word, found, directive & 2 == 0);
        }
        Poll::Ready(())
    }
}

/// Names in columns, as `ls` arranges them.
pub(crate) fn columns(names: &[&str], width: usize) -> String {
    let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0) + 2;
    let columns = (width / longest.max(1)).max(1);
    let rows = names.len().div_ceil(columns);
    let mut out = String::new();
    for r in 0..rows {
        let mut line = String::new();
        for c in 0..columns {
            if let Some(n) = names.get(c * rows + r) {
                line.push_str(n);
                line.extend(core::iter::repeat_n(' ', longest - n.chars().count()));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
