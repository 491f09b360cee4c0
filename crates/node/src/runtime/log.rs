//! A container's log: lines with time and stream, the newest kept.

use imbl::Vector;
use sim::{Instant, Limits};
use std::sync::Arc;

/// Which of a process's outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamKind {
    /// `stdout`
    Stdout,
    /// `stderr`
    Stderr,
}

/// A line, or a part of one that was too long or not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// When its first byte was written.
    pub at: Instant,
    /// Where to.
    pub stream: StreamKind,
    /// The bytes, with the newline if it had one.
    pub data: Arc<[u8]>,
}

/// Longest piece that one entry holds, as containerd splits them.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// A log. A clone shares its content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    lines: Vector<LogLine>,
    bytes: usize,
    /// Entries dropped at the front so far: positions stay valid.
    dropped: u64,
    partial: [Option<(Instant, Vec<u8>)>; 2],
}

impl Log {
    /// Adds what a process wrote.
    pub fn write(&mut self, now: Instant, stream: StreamKind, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() {
            let slot = &mut self.partial[stream as usize];
            let (at, mut line) = slot.take().unwrap_or((now, Vec::new()));
            let room = PIECE_BYTES_MAX - line.len().min(PIECE_BYTES_MAX);
            let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |i| i + 1);
            let n = end.min(room.max(1));
            line.extend(rest.iter().take(n));
            rest = rest.get(n..).unwrap_or_default();
            if line.ends_with(b"\n") || line.len() >= PIECE_BYTES_MAX {
                self.push(LogLine { at, stream, data: line.into() });
            } else {
                *slot = Some((at, line));
            }
        }
    }

    /// Ends lines that were not: the process is gone.
    pub fn finish(&mut self) {
        for stream in [StreamKind::Stdout, StreamKind::Stderr] {
            if let Some((at, line)) = self.partial[stream as usize].take() {
                self.push(LogLine { at, stream, data: line.into() });
            }
        }
    }

    fn push(&mut self, l: LogLine) {
        self.bytes += l.data.len();
        self.lines.push_back(l);
        while self.bytes > Limits::TABLE.log_bytes_max {
            let Some(l) = self.lines.pop_front() else { break };
            self.bytes -= l.data.len();
            self.dropped += 1;
        }
    }

    /// The position behind the newest entry, for following.
    pub fn end(&self) -> u64 {
        self.dropped + self.lines.len() as u64
    }

    /// Entries from a position on.
    pub fn since(&self, position: u64) -> impl Iterator<Item = &LogLine> {
        let skip = usize::try_from(position.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.lines.iter().skip(skip.min(self.lines.len()))
    }

    /// All entries that are kept.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &LogLine> {
        self.lines.iter()
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last lines up to a number of bytes: what a kubelet takes as termination message
    /// (`FallbackToLogsOnError`: 80 lines, 2,048 bytes).
    pub fn tail(&self, lines_max: usize, bytes_max: usize) -> String {
        let mut v: Vec<&LogLine> = self.lines.iter().rev().take(lines_max).collect();
        v.reverse();
        let all: Vec<u8> = v.iter().flat_map(|l| l.data.iter().copied()).collect();
        let from = all.len().saturating_sub(bytes_max);
        String::from_utf8_lossy(all.get(from..).unwrap_or_default()).into_owned()
    }
}
