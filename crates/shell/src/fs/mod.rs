//! File trees: persistent inode tables, mounts, permissions and path resolution.
//!
//! A [`Tree`] is a table of inodes whose clone shares everything, so an image's layers are laid over each other once and
//! each container's root is a clone that takes its writes: what `overlayfs` does with an upper directory. A [`Vfs`] holds
//! the trees of one host with their limits, a [`MountNs`] says where they are seen. Who calls is a [`View`].
//! Descriptors and `/proc` are left to [`crate::kernel`].

mod tree;
mod vfs;

pub use tree::{Content, Device, Ino, Inode, Kind, Tree};
pub use vfs::{Found, Fs, FsId, Mount, MountNs, Node, Vfs, View};

use std::sync::Arc;

/// Longest path and longest name, as on Linux.
pub const PATH_BYTES_MAX: usize = 4096;
/// Longest name.
pub const NAME_BYTES_MAX: usize = 255;
/// Links that one resolution may follow, as on Linux.
pub const LINKS_MAX: usize = 40;

/// Capability numbers that the kernel checks.
pub mod cap {
    #![allow(missing_docs)]
    pub const CHOWN: u32 = 0;
    pub const DAC_OVERRIDE: u32 = 1;
    pub const FOWNER: u32 = 3;
    pub const KILL: u32 = 5;
    pub const SETGID: u32 = 6;
    pub const SETUID: u32 = 7;
    pub const NET_BIND_SERVICE: u32 = 10;
    pub const NET_ADMIN: u32 = 12;
    pub const NET_RAW: u32 = 13;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYS_TIME: u32 = 25;
    /// All that exist (Linux 5.9 and later: 41).
    pub const ALL: u64 = (1 << 41) - 1;
    /// What a container gets that asks for nothing.
    pub const CONTAINER: u64 = 0x0000_0000_a804_25fb;
}

/// Who acts: users, groups and capabilities of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cred {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
    /// Effective capabilities, one bit each.
    pub caps: u64,
}

impl Cred {
    /// The superuser with all capabilities.
    pub fn root() -> Cred {
        Cred { uid: 0, gid: 0, groups: Arc::from([]), caps: cap::ALL }
    }

    /// A user; without capabilities unless it is root.
    pub fn user(uid: u32, gid: u32) -> Cred {
        Cred { uid, gid, groups: Arc::from([]), caps: if uid == 0 { cap::ALL } else { 0 } }
    }

    /// Whether a capability is held.
    pub fn can(&self, cap: u32) -> bool {
        self.caps >> cap & 1 == 1
    }

    /// Whether the group is one of the caller's.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// Whether `want` (read 4, write 2, execute 1) is granted on an inode.
    pub fn may(&self, inode: &Inode, want: u32) -> bool {
        if self.can(cap::DAC_OVERRIDE) {
            // Even root executes only what somebody may execute.
            return want & 1 == 0 || inode.is_dir() || inode.mode & 0o111 != 0;
        }
        let shift = if inode.uid == self.uid {
            6
        } else if self.in_group(inode.gid) {
            3
        } else {
            0
        };
        inode.mode >> shift & want == want
    }

    /// Whether the caller may change an inode's permissions.
    pub fn owns(&self, inode: &Inode) -> bool {
        self.uid == inode.uid || self.can(cap::FOWNER)
    }
}

/// A path as an absolute one: joined to the working directory, without `.`, empty parts and textual `..`.
pub fn normalize(cwd: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { cwd };
    for p in base.split('/').chain(path.split('/')) {
        match p {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(p),
        }
    }
    if parts.is_empty() { "/".into() } else { parts.iter().flat_map(|p| ["/", p]).collect() }
}

/// The last part of a path, as `basename`.
pub fn basename(path: &str) -> &str {
    let t = path.trim_end_matches('/');
    if t.is_empty() { if path.is_empty() { "" } else { "/" } } else { t.rsplit('/').next().unwrap_or(t) }
}

/// All but the last part of a path, as `dirname`.
pub fn dirname(path: &str) -> &str {
    let t = path.trim_end_matches('/');
    match t.rfind('/') {
        None => {
            if t.is_empty() && path.starts_with('/') {
                "/"
            } else {
                "."
            }
        }
        Some(i) => {
            let d = t[..i].trim_end_matches('/');
            if d.is_empty() { "/" } else { d }
        }
    }
}

/// `path` within directory `dir`.
pub fn join(dir: &str, path: &str) -> String {
    if dir.ends_with('/') { format!("{dir}{path}") } else { format!("{dir}/{path}") }
}

const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0kubarium:";

/// The bytes of an executable that runs the program of that name. A copy of them is as good.
pub fn binary(program: &str) -> Vec<u8> {
    let mut v = MAGIC.to_vec();
    v.extend_from_slice(program.as_bytes());
    v.push(0);
    v
}

/// The program that an executable's bytes name, if they are a binary of ours.
pub fn binary_program(bytes: &[u8]) -> Option<&str> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let end = rest.iter().position(|b| *b == 0)?;
    core::str::from_utf8(rest.get(..end)?).ok()
}
