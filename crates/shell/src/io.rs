//! Helpers over [`Sys`] that programs share: whole files, and output that may have to wait.

use crate::Errno;
use crate::sys::{Fd, OpenFlags, Sys};
use core::task::Poll;
use sim::Limits;

/// Reads a whole file. A file that would make the caller wait (a terminal, a pipe) ends at what is there.
pub fn read_file(sys: &mut dyn Sys, path: &str) -> Result<Vec<u8>, Errno> {
    let fd = sys.open(path, OpenFlags::READ, 0)?;
    let mut out = Vec::new();
    let result = loop {
        match sys.read(fd, Limits::TABLE.pipe_bytes_max) {
            Poll::Ready(Ok(d)) if d.is_empty() => break Ok(()),
            Poll::Ready(Ok(d)) => out.extend(d),
            Poll::Ready(Err(e)) => break Err(e),
            Poll::Pending => break Ok(()),
        }
        if out.len() > Limits::TABLE.file_bytes_max {
            break Err(Errno::EFBIG);
        }
    };
    sys.close(fd)?;
    result.map(|()| out)
}

/// Reads a whole file as text.
pub fn read_text(sys: &mut dyn Sys, path: &str) -> Result<String, Errno> {
    Ok(String::from_utf8_lossy(&read_file(sys, path)?).into_owned())
}

/// Writes a whole file, which must be a regular one.
pub fn write_file(
    sys: &mut dyn Sys,
    path: &str,
    data: &[u8],
    flags: OpenFlags,
    mode: u32,
) -> Result<(), Errno> {
    let fd = sys.open(path, flags, mode)?;
    let mut rest = data;
    let result = loop {
        if rest.is_empty() {
            break Ok(());
        }
        match sys.write(fd, rest) {
            Poll::Ready(Ok(0)) | Poll::Pending => break Err(Errno::EAGAIN),
            Poll::Ready(Ok(n)) => rest = rest.get(n..).unwrap_or_default(),
            Poll::Ready(Err(e)) => break Err(e),
        }
    };
    sys.close(fd)?;
    result
}

/// Bytes on their way to descriptors, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    chunks: std::collections::VecDeque<(Fd, Vec<u8>)>,
}

impl Output {
    /// Adds bytes for a descriptor.
    pub fn put(&mut self, fd: Fd, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        match self.chunks.back_mut() {
            Some((f, d)) if *f == fd => d.extend(data),
            _ => self.chunks.push_back((fd, data.to_vec())),
        }
    }

    /// Adds text for standard output.
    pub fn out(&mut self, text: &str) {
        self.put(1, text.as_bytes());
    }

    /// Adds text for standard error.
    pub fn err(&mut self, text: &str) {
        self.put(2, text.as_bytes());
    }

    /// The bytes that wait for a descriptor.
    pub fn bytes(&self, fd: Fd) -> Vec<u8> {
        self.chunks.iter().filter(|c| c.0 == fd).flat_map(|c| c.1.iter().copied()).collect()
    }

    /// Whether all has been written.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether what waits is for `fd` alone.
    pub fn is_only(&self, fd: Fd) -> bool {
        self.chunks.iter().all(|c| c.0 == fd)
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|c| c.1.len()).sum()
    }

    /// Writes as much as goes. Ready when all is out; an error drops the rest of its descriptor's bytes.
    pub fn flush(&mut self, sys: &mut dyn Sys) -> Poll<Result<(), (Fd, Errno)>> {
        while let Some((fd, data)) = self.chunks.front_mut() {
            let fd = *fd;
            match sys.write(fd, data) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n >= data.len() => {
                    self.chunks.pop_front();
                }
                Poll::Ready(Ok(n)) => {
                    data.drain(..n);
                }
                Poll::Ready(Err(e)) => {
                    self.chunks.retain(|c| c.0 != fd);
                    return Poll::Ready(Err((fd, e)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl core::fmt::Write for Output {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        self.out(s);
        Ok(())
    }
}
