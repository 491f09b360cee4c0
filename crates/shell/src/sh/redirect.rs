//! Redirections: from expanded targets to descriptors, and back.

use crate::errno::Errno;
use crate::sys::{Fd, OpenFlags, Sys};
use core::task::Poll;

/// A redirection after expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Opens a file.
    Open(Fd, String, OpenFlags),
    /// Copies a descriptor.
    Dup(Fd, Fd),
    /// Closes a descriptor.
    Close(Fd),
    /// A here-document's text.
    Here(Fd, String),
}

/// What a descriptor was before: to be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    fd: Fd,
    copy: Option<Fd>,
}

/// Copies of descriptors that the shell keeps begin here.
const KEPT: Fd = 10;

/// Carries out redirections. With `save` it notes how to undo them. On failure, what was done is in `saved` all the
/// same and the error is ash's text. A here-document's rest that did not fit its pipe is left in `rest`.
pub fn apply(
    sys: &mut dyn Sys,
    plans: &[Plan],
    save: bool,
    noclobber: bool,
    saved: &mut Vec<Saved>,
    rest: &mut Vec<(Fd, Vec<u8>)>,
) -> Result<(), String> {
    for p in plans {
        let fd = match p {
            Plan::Open(fd, ..) | Plan::Dup(fd, _) | Plan::Close(fd) | Plan::Here(fd, _) => *fd,
        };
        if save && !saved.iter().any(|s| s.fd == fd) {
            let copy = sys.dup(fd, KEPT).ok();
            if let Some(c) = copy {
                sys.set_cloexec(c, true).map_err(|e| e.to_string())?;
            }
            saved.push(Saved { fd, copy });
        }
        match p {
            Plan::Open(fd, path, flags) => open(sys, *fd, path, *flags, noclobber)?,
            Plan::Dup(fd, from) => {
                sys.dup2(*from, *fd).map_err(|e| format!("{from}: {e}"))?;
                if fd == from {
                    // Even a copy onto itself needs a descriptor that is open.
                    sys.fstat(*fd).map_err(|e| format!("{from}: {e}"))?;
                }
            }
            Plan::Close(fd) => {
                let _ = sys.close(*fd);
            }
            Plan::Here(fd, text) => {
                let (r, w) = sys.pipe().map_err(|e| e.to_string())?;
                let mut data = text.as_bytes();
                while let Poll::Ready(Ok(n)) = sys.write(w, data) {
                    data = data.get(n..).unwrap_or_default();
                    if data.is_empty() {
                        break;
                    }
                }
                put(sys, r, *fd)?;
                if data.is_empty() {
                    let _ = sys.close(w);
                } else {
                    rest.push((w, data.to_vec()));
                }
            }
        }
    }
    Ok(())
}

fn open(sys: &mut dyn Sys, fd: Fd, path: &str, flags: OpenFlags, noclobber: bool) -> Result<(), String> {
    if noclobber && flags.truncate && !flags.exclusive && sys.stat(path).is_ok_and(|s| s.is_file()) {
        return Err(format!("can't create {path}: {}", Errno::EEXIST.text()));
    }
    // `>|` is marked by a flag that it has no other use for.
    let flags = OpenFlags { exclusive: false, ..flags };
    match sys.open(path, flags, 0o666) {
        Ok(f) => put(sys, f, fd),
        Err(e) => Err(if flags.create {
            let m = if e == Errno::ENOENT { "nonexistent directory" } else { e.text() };
            format!("can't create {path}: {m}")
        } else {
            let m = if e == Errno::ENOENT { "no such file" } else { e.text() };
            format!("can't open {path}: {m}")
        }),
    }
}

/// Moves a descriptor to its place.
fn put(sys: &mut dyn Sys, from: Fd, to: Fd) -> Result<(), String> {
    if from != to {
        sys.dup2(from, to).map_err(|e| e.to_string())?;
        let _ = sys.close(from);
    }
    Ok(())
}

/// Puts descriptors back, the last changed first.
pub fn restore(sys: &mut dyn Sys, saved: &[Saved]) {
    for s in saved.iter().rev() {
        match s.copy {
            Some(c) => {
                let _ = sys.dup2(c, s.fd);
                let _ = sys.close(c);
            }
            None => {
                let _ = sys.close(s.fd);
            }
        }
    }
}

/// Keeps redirections for good: closes the copies.
pub fn keep(sys: &mut dyn Sys, saved: &[Saved]) {
    for c in saved.iter().filter_map(|s| s.copy) {
        let _ = sys.close(c);
    }
}
