//! The file systems of one host, where they are mounted, and the operations on paths.

use super::{Content, Cred, Device, Ino, Inode, Kind, LINKS_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX, Tree, cap};
use crate::Errno;
use crate::sys::{DirEntry, MountInfo, Stat};
use sim::Limits;
use sim::persistent::OrdMap;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A file system's number on its host.
pub type FsId = u32;
/// An inode with its file system.
pub type Node = (FsId, Ino);

/// A file system.
#[derive(Clone, Debug)]
pub struct Fs {
    /// Its files.
    pub tree: Tree,
    /// `overlay`, `tmpfs`, `ext4`, `proc`.
    pub fstype: SmolStr,
    /// What `df` shows as its device.
    pub source: SmolStr,
    /// Capacity in bytes, if limited.
    pub size_bytes_max: Option<u64>,
    /// Bytes of files, kept up to date.
    pub used_bytes: u64,
    /// Bytes written since it was made: the writable layer of an overlay.
    pub written_bytes: u64,
    /// The file system whose disk it lies on: writes count there too, and `df` shows its figures.
    pub backing: Option<FsId>,
}

/// A mount: what is seen instead of the directory beneath.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// What is mounted; for a bind mount any directory or file.
    pub node: Node,
    /// Where, as a path of the namespace.
    pub target: SmolStr,
    /// Nothing may be written through it.
    pub read_only: bool,
}

/// The mounts that a group of processes sees. The first is the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountNs {
    root: Mount,
    mounts: OrdMap<Node, Mount>,
    order: sim::persistent::Vector<Node>,
}

impl MountNs {
    /// A namespace with a root.
    pub fn new(root: Node, read_only: bool) -> MountNs {
        MountNs {
            root: Mount { node: root, target: "/".into(), read_only },
            mounts: OrdMap::new(),
            order: sim::persistent::Vector::new(),
        }
    }

    /// The root mount.
    pub fn root(&self) -> &Mount {
        &self.root
    }

    /// Makes the root read-only or writable.
    pub fn set_root_read_only(&mut self, on: bool) {
        self.root.read_only = on;
    }

    /// All mounts, the root first, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        core::iter::once(&self.root).chain(self.order.iter().filter_map(|n| self.mounts.get(n)))
    }

    /// The file systems that it shows.
    pub fn systems(&self) -> BTreeSet<FsId> {
        self.iter().map(|m| m.node.0).collect()
    }
}

/// Who looks, from where and when.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is mounted.
    pub ns: &'a MountNs,
    /// Who.
    pub cred: &'a Cred,
    /// The working directory's path.
    pub cwd: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

/// The result of a path's resolution.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the path names, if it is there.
    pub node: Option<Node>,
    /// The directory that has or would have the name.
    pub dir: Node,
    /// The last part; empty for the root.
    pub name: SmolStr,
    /// The path without links and dots.
    pub path: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// Whether the name itself is a mount's root.
    pub mount: bool,
}

/// All file systems of a host. A clone shares its content.
#[derive(Clone, Debug, Default)]
pub struct Vfs {
    systems: OrdMap<FsId, Fs>,
    next: FsId,
}

struct Walk {
    stack: Vec<(Node, SmolStr, bool, bool)>,
    links: usize,
}

impl Walk {
    fn node(&self) -> Node {
        self.stack.last().map_or((0, 0), |s| s.0)
    }
    fn path(&self) -> String {
        if self.stack.len() <= 1 {
            return "/".into();
        }
        self.stack.iter().skip(1).flat_map(|(_, n, ..)| ["/", n.as_str()]).collect()
    }
}

impl Vfs {
    /// Adds a file system.
    pub fn add(&mut self, tree: Tree, fstype: &str, source: &str, size_bytes_max: Option<u64>) -> FsId {
        self.next += 1;
        let used_bytes = tree.used_bytes(Tree::ROOT);
        self.systems.insert(
            self.next,
            Fs {
                tree,
                fstype: fstype.into(),
                source: source.into(),
                size_bytes_max,
                used_bytes,
                written_bytes: 0,
                backing: None,
            },
        );
        self.next
    }

    /// Removes a file system.
    pub fn remove(&mut self, id: FsId) -> Option<Fs> {
        self.systems.remove(&id)
    }

    /// All file systems.
    pub fn systems(&self) -> impl Iterator<Item = (FsId, &Fs)> {
        self.systems.iter().map(|(id, f)| (*id, f))
    }

    /// A file system.
    pub fn fs(&self, id: FsId) -> Option<&Fs> {
        self.systems.get(&id)
    }

    /// A file system, to be changed.
    pub fn fs_mut(&mut self, id: FsId) -> Option<&mut Fs> {
        self.systems.get_mut(&id)
    }

    /// An inode.
    pub fn inode(&self, node: Node) -> Option<&Inode> {
        self.systems.get(&node.0)?.tree.get(node.1)
    }

    /// An inode, to be changed.
    pub fn inode_mut(&mut self, node: Node) -> Option<&mut Inode> {
        self.systems.get_mut(&node.0)?.tree.get_mut(node.1)
    }

    /// Mounts `node` at the path, which must exist.
    pub fn mount(&self, ns: &mut MountNs, target: &str, node: Node, read_only: bool) -> Result<(), Errno> {
        let (found, root) = {
            let cred = Cred::root();
            let v = View { ns, cred: &cred, cwd: "/", now: 0 };
            (self.find(&v, target, true)?, ns.root.node)
        };
        let at = found.node.ok_or(Errno::ENOENT)?;
        let (dir, what) = (self.inode(at).ok_or(Errno::ENOENT)?, self.inode(node).ok_or(Errno::ENOENT)?);
        if dir.is_dir() != what.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let m = Mount { node, target: found.path.as_str().into(), read_only };
        if at == root && found.path == "/" {
            ns.root = m;
            return Ok(());
        }
        if ns.mounts.insert(at, m).is_none() {
            ns.order.push_back(at);
        }
        Ok(())
    }

    /// Takes away the mount whose root the path is.
    pub fn umount(&self, ns: &mut MountNs, target: &str) -> Result<(), Errno> {
        let at =
            ns.order.iter().rev().copied().find(|n| ns.mounts.get(n).is_some_and(|m| m.target == target));
        let at = at.ok_or(Errno::EINVAL)?;
        ns.mounts.remove(&at);
        ns.order.retain(|n| *n != at);
        Ok(())
    }

    /// The lines of `/proc/mounts`.
    pub fn mount_table(&self, ns: &MountNs) -> Vec<MountInfo> {
        ns.iter()
            .filter_map(|m| {
                let fs = self.fs(m.node.0)?;
                let disk = fs.backing.and_then(|b| self.fs(b)).unwrap_or(fs);
                let mut options = String::from(if m.read_only { "ro" } else { "rw" });
                options.push_str(match fs.fstype.as_str() {
                    "proc" | "sysfs" => ",nosuid,nodev,noexec,relatime",
                    "tmpfs" if m.target == "/dev" => ",nosuid,size=65536k,mode=755",
                    _ => ",relatime",
                });
                if let (Some(n), "tmpfs") = (fs.size_bytes_max, fs.fstype.as_str())
                    && m.target != "/dev"
                {
                    options.push_str(&format!(",size={}k", n / 1024));
                }
                Some(MountInfo {
                    source: fs.source.clone(),
                    target: m.target.to_string(),
                    fstype: fs.fstype.clone(),
                    options: options.into(),
                    size_bytes: disk.size_bytes_max.unwrap_or(0),
                    used_bytes: disk.used_bytes,
                })
            })
            .collect()
    }

    /// Resolves a path. The last link is followed if `follow`; the last part may be missing.
    pub fn find(&self, v: &View, path: &str, follow: bool) -> Result<Found, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let root = (v.ns.root.node, SmolStr::default(), v.ns.root.read_only, true);
        let mut w = Walk { stack: vec![root], links: 0 };
        let mut todo: Vec<SmolStr> = Vec::new();
        push(&mut todo, path);
        if !path.starts_with('/') {
            push(&mut todo, v.cwd);
        }
        let need_dir = path.ends_with('/') || path.ends_with("/.");
        while let Some(name) = todo.pop() {
            let last = todo.is_empty();
            let dir = w.node();
            let here = self.inode(dir).ok_or(Errno::ENOENT)?;
            if !here.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            if name == ".." {
                if w.stack.len() > 1 {
                    w.stack.pop();
                }
                continue;
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            if !v.cred.may(here, 1) {
                return Err(Errno::EACCES);
            }
            let child = self.systems.get(&dir.0).and_then(|f| f.tree.child(dir.1, &name)).map(|i| (dir.0, i));
            let Some(child) = child else {
                if last {
                    return Ok(self.missing(&w, name));
                }
                return Err(Errno::ENOENT);
            };
            if let Some(Kind::Symlink(to)) = self.inode(child).map(|i| &i.kind)
                && (!last || follow || need_dir)
            {
                w.links += 1;
                if w.links > LINKS_MAX {
                    return Err(Errno::ELOOP);
                }
                if to.starts_with('/') {
                    w.stack.truncate(1);
                }
                push(&mut todo, to);
                continue;
            }
            self.enter(v, &mut w, child, name);
        }
        if need_dir && !self.inode(w.node()).is_some_and(Inode::is_dir) {
            return Err(Errno::ENOTDIR);
        }
        let path = w.path();
        let (node, name, read_only, mount) = w.stack.pop().ok_or(Errno::ENOENT)?;
        Ok(Found {
            node: Some(node),
            dir: w.stack.last().map_or(node, |s| s.0),
            name,
            path,
            read_only,
            mount,
        })
    }

    fn missing(&self, w: &Walk, name: SmolStr) -> Found {
        let base = w.path();
        let path = super::join(&base, &name);
        let read_only = w.stack.last().is_some_and(|s| s.2);
        Found { node: None, dir: w.node(), name, path, read_only, mount: false }
    }

    fn enter(&self, v: &View, w: &mut Walk, child: Node, name: SmolStr) {
        let (mut node, mut read_only, mut mount) = (child, w.stack.last().is_some_and(|s| s.2), false);
        // A mount upon a mount's root hides it in turn; each step goes to a later mount, so this ends.
        for _ in 0..=v.ns.mounts.len() {
            let Some(m) = v.ns.mounts.get(&node) else { break };
            if m.node == node {
                read_only = m.read_only;
                mount = true;
                break;
            }
            (node, read_only, mount) = (m.node, m.read_only, true);
        }
        w.stack.push((node, name, read_only, mount));
    }

    /// Resolves a path that must exist.
    pub fn lookup(&self, v: &View, path: &str, follow: bool) -> Result<(Found, Node), Errno> {
        let f = self.find(v, path, follow)?;
        let n = f.node.ok_or(Errno::ENOENT)?;
        Ok((f, n))
    }

    /// `stat` or, without following, `lstat`.
    pub fn stat(&self, v: &View, path: &str, follow: bool) -> Result<Stat, Errno> {
        let (_, n) = self.lookup(v, path, follow)?;
        Ok(self.inode(n).ok_or(Errno::ENOENT)?.stat(u64::from(n.0), n.1))
    }

    fn parent_writable(&self, v: &View, f: &Found) -> Result<(), Errno> {
        if f.read_only {
            return Err(Errno::EROFS);
        }
        let dir = self.inode(f.dir).ok_or(Errno::ENOENT)?;
        if v.cred.may(dir, 3) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether a name may be taken out of its directory (sticky bit included).
    fn may_remove(&self, v: &View, f: &Found, node: Node) -> Result<(), Errno> {
        if f.name.is_empty() || f.mount {
            return Err(Errno::EBUSY);
        }
        self.parent_writable(v, f)?;
        let (dir, inode) = (self.inode(f.dir).ok_or(Errno::ENOENT)?, self.inode(node).ok_or(Errno::ENOENT)?);
        if dir.mode & 0o1000 != 0 && !v.cred.owns(inode) && !v.cred.owns(dir) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Makes an inode at a path that must be free; owner and group are the caller's.
    pub fn create(&mut self, v: &View, path: &str, mut inode: Inode) -> Result<Node, Errno> {
        let trimmed = if inode.is_dir() { path.trim_end_matches('/') } else { path };
        let f = self.find(v, if trimmed.is_empty() { path } else { trimmed }, false)?;
        if f.node.is_some() {
            return Err(Errno::EEXIST);
        }
        self.parent_writable(v, &f)?;
        (inode.uid, inode.gid, inode.mtime) = (v.cred.uid, v.cred.gid, v.now);
        if let Some(d) = self.inode(f.dir)
            && d.mode & 0o2000 != 0
        {
            inode.gid = d.gid;
            if inode.is_dir() {
                inode.mode |= 0o2000;
            }
        }
        self.charge(f.dir.0, 0, inode.size_charged())?;
        let fs = self.systems.get_mut(&f.dir.0).ok_or(Errno::ENOENT)?;
        let ino = fs.tree.add(f.dir.1, &f.name, inode).ok_or(Errno::ENOENT)?;
        Ok((f.dir.0, ino))
    }

    /// Accounts for a file's change of size.
    fn charge(&mut self, id: FsId, before: u64, after: u64) -> Result<(), Errno> {
        let backing = self.fs(id).and_then(|f| f.backing).filter(|b| *b != id);
        if let Some(b) = backing {
            self.charge_one(b, before, after)?;
        }
        self.charge_one(id, before, after)
    }

    fn charge_one(&mut self, id: FsId, before: u64, after: u64) -> Result<(), Errno> {
        let fs = self.systems.get_mut(&id).ok_or(Errno::ENOENT)?;
        if after > before {
            let used = fs.used_bytes.saturating_add(after - before);
            if fs.size_bytes_max.is_some_and(|m| used > m) {
                return Err(Errno::ENOSPC);
            }
            fs.used_bytes = used;
            fs.written_bytes = fs.written_bytes.saturating_add(after - before);
        } else {
            fs.used_bytes = fs.used_bytes.saturating_sub(before - after);
        }
        Ok(())
    }

    /// The names in a directory.
    pub fn readdir(&self, v: &View, path: &str) -> Result<Vec<DirEntry>, Errno> {
        let (_, n) = self.lookup(v, path, true)?;
        let inode = self.inode(n).ok_or(Errno::ENOENT)?;
        if !inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !v.cred.may(inode, 4) {
            return Err(Errno::EACCES);
        }
        let tree = &self.fs(n.0).ok_or(Errno::ENOENT)?.tree;
        Ok(tree
            .names(n.1)
            .filter_map(|(name, ino)| {
                Some(DirEntry { name: name.clone(), kind: tree.get(ino)?.file_type(), ino })
            })
            .collect())
    }

    /// Removes a name of anything but a directory.
    pub fn unlink(&mut self, v: &View, path: &str) -> Result<(), Errno> {
        let (f, n) = self.lookup(v, path, false)?;
        if self.inode(n).is_some_and(Inode::is_dir) {
            return Err(Errno::EISDIR);
        }
        self.may_remove(v, &f, n)?;
        self.drop_name(v, &f, n)
    }

    fn drop_name(&mut self, v: &View, f: &Found, n: Node) -> Result<(), Errno> {
        let freed = self.inode(n).map_or(0, |i| if i.nlink <= 1 { i.size_charged() } else { 0 });
        self.charge(n.0, freed, 0)?;
        let fs = self.systems.get_mut(&f.dir.0).ok_or(Errno::ENOENT)?;
        fs.tree.remove(f.dir.1, &f.name, v.now).ok_or(Errno::ENOENT)
    }

    /// Removes an empty directory.
    pub fn rmdir(&mut self, v: &View, path: &str) -> Result<(), Errno> {
        let last = path.trim_end_matches('/').rsplit('/').next();
        if last == Some(".") {
            return Err(Errno::EINVAL);
        }
        let (f, n) = self.lookup(v, path, false)?;
        match self.inode(n).map(|i| &i.kind) {
            Some(Kind::Dir(names)) if names.is_empty() => {}
            Some(Kind::Dir(_)) => return Err(Errno::ENOTEMPTY),
            _ => return Err(Errno::ENOTDIR),
        }
        self.may_remove(v, &f, n)?;
        self.drop_name(v, &f, n)
    }

    /// Renames within one file system.
    pub fn rename(&mut self, v: &View, from: &str, to: &str) -> Result<(), Errno> {
        let (f, n) = self.lookup(v, from.trim_end_matches('/'), false)?;
        let t = self.find(v, to.trim_end_matches('/'), false)?;
        if f.dir.0 != t.dir.0 || f.mount || t.mount {
            return Err(if f.mount || t.mount { Errno::EBUSY } else { Errno::EXDEV });
        }
        self.may_remove(v, &f, n)?;
        self.parent_writable(v, &t)?;
        let is_dir = self.inode(n).is_some_and(Inode::is_dir);
        if is_dir && (t.path == f.path || t.path.starts_with(&format!("{}/", f.path))) {
            return if t.path == f.path { Ok(()) } else { Err(Errno::EINVAL) };
        }
        if let Some(old) = t.node {
            if old == n {
                return Ok(());
            }
            match (is_dir, self.inode(old).map(|i| &i.kind)) {
                (true, Some(Kind::Dir(names))) if !names.is_empty() => return Err(Errno::ENOTEMPTY),
                (true, Some(Kind::Dir(_))) => {}
                (true, _) => return Err(Errno::ENOTDIR),
                (false, Some(Kind::Dir(_))) => return Err(Errno::EISDIR),
                _ => {}
            }
            self.may_remove(v, &t, old)?;
            self.drop_name(v, &t, old)?;
        }
        let tree = &mut self.systems.get_mut(&f.dir.0).ok_or(Errno::ENOENT)?.tree;
        let ino = tree.detach(f.dir.1, &f.name, v.now).ok_or(Errno::ENOENT)?;
        tree.link(t.dir.1, &t.name, ino, v.now).ok_or(Errno::ENOENT)?;
        if !is_dir && let Some(i) = tree.get_mut(ino) {
            i.nlink = i.nlink.saturating_sub(1);
        }
        Ok(())
    }

    /// A second name for a file.
    pub fn link(&mut self, v: &View, from: &str, to: &str) -> Result<(), Errno> {
        let (f, n) = self.lookup(v, from, false)?;
        if self.inode(n).is_some_and(Inode::is_dir) {
            return Err(Errno::EPERM);
        }
        let t = self.find(v, to, false)?;
        if t.node.is_some() {
            return Err(Errno::EEXIST);
        }
        if f.dir.0 != t.dir.0 {
            return Err(Errno::EXDEV);
        }
        self.parent_writable(v, &t)?;
        let tree = &mut self.systems.get_mut(&t.dir.0).ok_or(Errno::ENOENT)?.tree;
        tree.link(t.dir.1, &t.name, n.1, v.now).ok_or(Errno::ENOENT)
    }

    /// What a link holds.
    pub fn readlink(&self, v: &View, path: &str) -> Result<String, Errno> {
        let (_, n) = self.lookup(v, path, false)?;
        match self.inode(n).map(|i| &i.kind) {
            Some(Kind::Symlink(t)) => Ok(t.to_string()),
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::ENOENT),
        }
    }

    /// Sets permission bits.
    pub fn chmod(&mut self, v: &View, path: &str, mode: u32) -> Result<(), Errno> {
        let (f, n) = self.lookup(v, path, true)?;
        self.change(v, &f, n)?.mode = mode & 0o7777;
        Ok(())
    }

    fn change(&mut self, v: &View, f: &Found, n: Node) -> Result<&mut Inode, Errno> {
        if f.read_only {
            return Err(Errno::EROFS);
        }
        let inode = self.inode_mut(n).ok_or(Errno::ENOENT)?;
        if v.cred.owns(inode) { Ok(inode) } else { Err(Errno::EPERM) }
    }

    /// Sets owner and group.
    pub fn chown(&mut self, v: &View, path: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        let (f, n) = self.lookup(v, path, true)?;
        if f.read_only {
            return Err(Errno::EROFS);
        }
        let inode = self.inode_mut(n).ok_or(Errno::ENOENT)?;
        let own_group = uid.is_none_or(|u| u == inode.uid)
            && inode.uid == v.cred.uid
            && gid.is_none_or(|g| v.cred.in_group(g));
        if !v.cred.can(cap::CHOWN) && !own_group {
            return Err(Errno::EPERM);
        }
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
        Ok(())
    }

    /// Sets the modification time.
    pub fn utimes(&mut self, v: &View, path: &str, mtime: Option<i64>) -> Result<(), Errno> {
        let (f, n) = self.lookup(v, path, true)?;
        if f.read_only {
            return Err(Errno::EROFS);
        }
        let inode = self.inode_mut(n).ok_or(Errno::ENOENT)?;
        if !v.cred.owns(inode) && !v.cred.may(inode, 2) {
            return Err(Errno::EACCES);
        }
        inode.mtime = mtime.unwrap_or(v.now);
        Ok(())
    }

    /// The bytes of a regular file from `offset` on.
    pub fn read_at(&self, node: Node, offset: u64, max: usize) -> Result<Vec<u8>, Errno> {
        match &self.inode(node).ok_or(Errno::ENOENT)?.kind {
            Kind::File(c) => {
                let b = c.bytes();
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(b.len());
                let end = start.saturating_add(max).min(b.len());
                Ok(b.get(start..end).unwrap_or_default().to_vec())
            }
            Kind::Dir(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Writes into a regular file; a gap before `offset` is filled with zeros.
    pub fn write_at(&mut self, node: Node, offset: u64, data: &[u8], now: i64) -> Result<usize, Errno> {
        let start = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
        let end = start.checked_add(data.len()).ok_or(Errno::EFBIG)?;
        if end > Limits::TABLE.file_bytes_max {
            return Err(Errno::EFBIG);
        }
        self.with_bytes(node, now, end, |b| {
            if b.len() < end {
                b.resize(end, 0);
            }
            if let Some(s) = b.get_mut(start..end) {
                s.copy_from_slice(data);
            }
        })?;
        Ok(data.len())
    }

    /// Cuts or lengthens a regular file.
    pub fn set_len(&mut self, node: Node, size: u64, now: i64) -> Result<(), Errno> {
        let size = usize::try_from(size).map_err(|_| Errno::EFBIG)?;
        if size > Limits::TABLE.file_bytes_max {
            return Err(Errno::EFBIG);
        }
        let empty = size == 0;
        if empty && let Some(i) = self.inode_mut(node) {
            i.mtime = now;
        }
        let old = self.inode(node).map_or(0, Inode::size_charged);
        self.with_bytes(node, now, if size as u64 > old { size } else { 0 }, |b| b.resize(size, 0))
    }

    fn with_bytes(
        &mut self,
        node: Node,
        now: i64,
        need: usize,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Errno> {
        let inode = self.inode(node).ok_or(Errno::ENOENT)?;
        let Kind::File(c) = &inode.kind else { return Err(Errno::EINVAL) };
        let before = c.size();
        self.charge(node.0, before, before.max(need as u64))?;
        let fs = self.systems.get_mut(&node.0).ok_or(Errno::ENOENT)?;
        let inode = fs.tree.get_mut(node.1).ok_or(Errno::ENOENT)?;
        inode.mtime = now;
        let Kind::File(c) = &mut inode.kind else { return Err(Errno::EINVAL) };
        if let Content::Binary { .. } = c {
            *c = Content::Bytes(c.bytes());
        }
        let Content::Bytes(b) = c else { return Err(Errno::EINVAL) };
        let b = Arc::make_mut(b);
        change(b);
        let after = b.len() as u64;
        self.charge(node.0, before.max(need as u64), after)
    }

    /// Notes one more open description of an inode.
    pub fn opened(&mut self, node: Node) {
        if let Some(i) = self.inode_mut(node) {
            i.open += 1;
        }
    }

    /// Notes one open description less.
    pub fn closed(&mut self, node: Node) {
        if let Some(f) = self.systems.get_mut(&node.0) {
            f.tree.closed(node.1);
        }
    }

    /// The device at an inode, if it is one.
    pub fn device(&self, node: Node) -> Option<Device> {
        match self.inode(node)?.kind {
            Kind::Device(d) => Some(d),
            _ => None,
        }
    }

    /// Reads a whole file as root: for the kernel and the container runtime.
    pub fn read_file(&self, ns: &MountNs, path: &str) -> Result<Arc<Vec<u8>>, Errno> {
        let cred = Cred::root();
        let (_, n) = self.lookup(&View { ns, cred: &cred, cwd: "/", now: 0 }, path, true)?;
        match &self.inode(n).ok_or(Errno::ENOENT)?.kind {
            Kind::File(c) => Ok(c.bytes()),
            Kind::Dir(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Inode {
    fn size_charged(&self) -> u64 {
        if let Kind::File(c) = &self.kind { c.size() } else { 0 }
    }
}

/// Puts a path's parts on a stack, the first on top.
fn push(todo: &mut Vec<SmolStr>, path: &str) {
    todo.extend(path.rsplit('/').filter(|p| !p.is_empty() && *p != ".").map(SmolStr::from));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (Vfs, MountNs) {
        let mut vfs = Vfs::default();
        let mut t = Tree::new(0);
        t.put_file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
        t.put_link("/bin", "usr/bin");
        t.put_dir("/usr/bin", 0o755);
        t.put_dir("/tmp", 0o1777);
        let root = vfs.add(t, "overlay", "overlay", None);
        (vfs, MountNs::new((root, Tree::ROOT), false))
    }

    #[test]
    fn paths_links_and_mounts() {
        let (mut vfs, mut ns) = setup();
        let cred = Cred::root();
        let tmp = vfs.add(Tree::new(0), "tmpfs", "tmpfs", Some(10));
        vfs.mount(&mut ns, "/tmp", (tmp, Tree::ROOT), false).unwrap();
        let v = View { ns: &ns, cred: &cred, cwd: "/usr/bin", now: 1 };
        assert_eq!(vfs.find(&v, "../../bin/../etc/passwd", true).unwrap_err(), Errno::ENOENT);
        assert_eq!(vfs.find(&v, "../../etc/passwd", true).unwrap().path, "/etc/passwd");
        assert_eq!(vfs.find(&v, "/bin/x", true).unwrap().path, "/usr/bin/x");
        let f = vfs.create(&v, "/tmp/f", Inode::file(vec![], 0o644, 0)).unwrap();
        assert_eq!(f.0, tmp);
        assert_eq!(vfs.write_at(f, 0, b"0123456789", 1), Ok(10));
        assert_eq!(vfs.write_at(f, 10, b"x", 1), Err(Errno::ENOSPC));
        assert_eq!(vfs.rename(&v, "/tmp/f", "/etc/f"), Err(Errno::EXDEV));
        vfs.unlink(&v, "/tmp/f").unwrap();
        assert_eq!(vfs.fs(tmp).unwrap().used_bytes, 0);
        assert_eq!(vfs.stat(&v, "/etc/passwd/", true), Err(Errno::ENOTDIR));
    }

    #[test]
    fn a_clone_keeps_its_own_writes_and_permissions_hold() {
        let (mut vfs, ns) = setup();
        let other = vfs.clone();
        let cred = Cred::user(1000, 1000);
        let v = View { ns: &ns, cred: &cred, cwd: "/", now: 1 };
        assert_eq!(vfs.create(&v, "/etc/x", Inode::file(vec![], 0o644, 0)), Err(Errno::EACCES));
        vfs.create(&v, "/tmp/x", Inode::dir(0o755, 0)).unwrap();
        assert!(vfs.stat(&v, "/tmp/x", true).unwrap().is_dir());
        assert_eq!(other.stat(&v, "/tmp/x", true), Err(Errno::ENOENT));
        assert_eq!(vfs.chmod(&v, "/etc/passwd", 0), Err(Errno::EPERM));
        vfs.rename(&v, "/tmp/x", "/tmp/y").unwrap();
        assert_eq!(vfs.rename(&v, "/tmp/y", "/tmp/y/z"), Err(Errno::EINVAL));
        vfs.rmdir(&v, "/tmp/y").unwrap();
    }
}
