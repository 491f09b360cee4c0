//! One file system's inodes.

use super::{NAME_BYTES_MAX, binary};
use crate::sys::{FileType, Stat};
use sim::persistent::OrdMap;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An inode's number.
pub type Ino = u64;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Its bytes.
    Bytes(Arc<Vec<u8>>),
    /// An executable of an image: the program that it runs and the size that it shows.
    Binary {
        /// The program's name.
        program: SmolStr,
        /// Bytes shown by `stat`.
        size: u64,
    },
}

impl Content {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(b) => b.len() as u64,
            Content::Binary { size, .. } => *size,
        }
    }

    /// The bytes that reading gives.
    pub fn bytes(&self) -> Arc<Vec<u8>> {
        match self {
            Content::Bytes(b) => b.clone(),
            Content::Binary { program, .. } => Arc::new(binary(program)),
        }
    }
}

/// A device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Device {
    Null,
    Zero,
    Full,
    Random,
    Urandom,
    /// The caller's controlling terminal.
    Tty,
    Console,
    /// The caller's descriptor of that number, as in `/proc/self/fd`.
    Fd(i32),
}

impl Device {
    /// Major and minor number.
    pub fn numbers(self) -> (u32, u32) {
        match self {
            Device::Null => (1, 3),
            Device::Zero => (1, 5),
            Device::Full => (1, 7),
            Device::Random => (1, 8),
            Device::Urandom => (1, 9),
            Device::Tty => (5, 0),
            Device::Console => (5, 1),
            Device::Fd(n) => (0, n.unsigned_abs()),
        }
    }
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory's names.
    Dir(Arc<BTreeMap<SmolStr, Ino>>),
    /// A symbolic link.
    Symlink(SmolStr),
    /// A device.
    Device(Device),
    /// A socket's name.
    Socket,
}

/// A file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modified, in seconds since 1970.
    pub mtime: i64,
    /// Names.
    pub nlink: u32,
    /// Open descriptions: an inode without names stays as long as one is open.
    pub open: u32,
}

impl Inode {
    /// A new inode owned by root.
    pub fn new(kind: Kind, mode: u32, mtime: i64) -> Inode {
        let nlink = if matches!(kind, Kind::Dir(_)) { 2 } else { 1 };
        Inode { kind, mode, uid: 0, gid: 0, mtime, nlink, open: 0 }
    }

    /// A regular file.
    pub fn file(bytes: Vec<u8>, mode: u32, mtime: i64) -> Inode {
        Inode::new(Kind::File(Content::Bytes(Arc::new(bytes))), mode, mtime)
    }

    /// An empty directory.
    pub fn dir(mode: u32, mtime: i64) -> Inode {
        Inode::new(Kind::Dir(Arc::default()), mode, mtime)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir(_))
    }

    /// Its kind as `stat` has it.
    pub fn file_type(&self) -> FileType {
        match &self.kind {
            Kind::File(_) => FileType::Regular,
            Kind::Dir(_) => FileType::Directory,
            Kind::Symlink(_) => FileType::Symlink,
            Kind::Device(_) => FileType::Character,
            Kind::Socket => FileType::Socket,
        }
    }

    /// Bytes as `stat` has them.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(c) => c.size(),
            Kind::Dir(_) => 4096,
            Kind::Symlink(t) => t.len() as u64,
            Kind::Device(_) | Kind::Socket => 0,
        }
    }

    /// The answer of `stat`.
    pub fn stat(&self, dev: u64, ino: Ino) -> Stat {
        Stat {
            kind: self.file_type(),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.size(),
            mtime: self.mtime,
            nlink: self.nlink,
            ino,
            dev,
            rdev: if let Kind::Device(d) = self.kind { d.numbers() } else { (0, 0) },
        }
    }
}

/// A persistent tree of files. A clone shares everything until one of the two is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    nodes: OrdMap<Ino, Inode>,
    next: Ino,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new(0)
    }
}

impl Tree {
    /// The root directory's number.
    pub const ROOT: Ino = 1;

    /// An empty root directory.
    pub fn new(mtime: i64) -> Tree {
        let mut nodes = OrdMap::new();
        nodes.insert(Self::ROOT, Inode::dir(0o755, mtime));
        Tree { nodes, next: Self::ROOT + 1 }
    }

    /// An inode.
    pub fn get(&self, ino: Ino) -> Option<&Inode> {
        self.nodes.get(&ino)
    }

    /// An inode, to be changed.
    pub fn get_mut(&mut self, ino: Ino) -> Option<&mut Inode> {
        self.nodes.get_mut(&ino)
    }

    /// How many inodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// Looks up a name in a directory.
    pub fn child(&self, dir: Ino, name: &str) -> Option<Ino> {
        match &self.nodes.get(&dir)?.kind {
            Kind::Dir(names) => names.get(name).copied(),
            _ => None,
        }
    }

    /// The names in a directory.
    pub fn names(&self, dir: Ino) -> impl Iterator<Item = (&SmolStr, Ino)> {
        let names = match self.nodes.get(&dir).map(|n| &n.kind) {
            Some(Kind::Dir(names)) => Some(names),
            _ => None,
        };
        names.into_iter().flat_map(|n| n.iter().map(|(k, v)| (k, *v)))
    }

    /// Adds an inode under a name; `None` if the directory is none or the name is taken.
    pub fn add(&mut self, dir: Ino, name: &str, inode: Inode) -> Option<Ino> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let (ino, mtime, is_dir) = (self.next, inode.mtime, inode.is_dir());
        let parent = self.nodes.get_mut(&dir)?;
        let Kind::Dir(names) = &mut parent.kind else { return None };
        if names.contains_key(name) {
            return None;
        }
        Arc::make_mut(names).insert(name.into(), ino);
        parent.mtime = mtime;
        parent.nlink += u32::from(is_dir);
        self.nodes.insert(ino, inode);
        self.next += 1;
        Some(ino)
    }

    /// Gives an existing inode one more name.
    pub fn link(&mut self, dir: Ino, name: &str, ino: Ino, mtime: i64) -> Option<()> {
        let is_dir = self.nodes.get(&ino)?.is_dir();
        let parent = self.nodes.get_mut(&dir)?;
        let Kind::Dir(names) = &mut parent.kind else { return None };
        if names.contains_key(name) {
            return None;
        }
        Arc::make_mut(names).insert(name.into(), ino);
        parent.mtime = mtime;
        parent.nlink += u32::from(is_dir);
        let n = self.nodes.get_mut(&ino)?;
        n.nlink += u32::from(!is_dir);
        Some(())
    }

    /// Takes a name away without touching what it named.
    pub fn detach(&mut self, dir: Ino, name: &str, mtime: i64) -> Option<Ino> {
        let parent = self.nodes.get_mut(&dir)?;
        let Kind::Dir(names) = &mut parent.kind else { return None };
        let ino = Arc::make_mut(names).remove(name)?;
        parent.mtime = mtime;
        let is_dir = self.nodes.get(&ino).is_some_and(Inode::is_dir);
        if is_dir && let Some(p) = self.nodes.get_mut(&dir) {
            p.nlink = p.nlink.saturating_sub(1);
        }
        Some(ino)
    }

    /// Takes a name away; the inode goes with its last name and last opener, a directory with all below.
    pub fn remove(&mut self, dir: Ino, name: &str, mtime: i64) -> Option<()> {
        let ino = self.detach(dir, name, mtime)?;
        self.release(ino);
        Some(())
    }

    /// One name less.
    pub(super) fn release(&mut self, ino: Ino) {
        let mut todo = vec![ino];
        while let Some(ino) = todo.pop() {
            let Some(n) = self.nodes.get_mut(&ino) else { continue };
            if let Kind::Dir(names) = &n.kind {
                todo.extend(names.values());
                n.nlink = 0;
            } else {
                n.nlink = n.nlink.saturating_sub(1);
            }
            if n.nlink == 0 && n.open == 0 {
                self.nodes.remove(&ino);
            }
        }
    }

    /// One opener less.
    pub(super) fn closed(&mut self, ino: Ino) {
        if let Some(n) = self.nodes.get_mut(&ino) {
            n.open = n.open.saturating_sub(1);
            if n.nlink == 0 && n.open == 0 {
                self.nodes.remove(&ino);
            }
        }
    }

    /// The inode at a path from the root, links not followed.
    pub fn at(&self, path: &str) -> Option<Ino> {
        path.split('/')
            .filter(|p| !p.is_empty() && *p != ".")
            .try_fold(Self::ROOT, |dir, name| self.child(dir, name))
    }

    /// The directory at a path, made with its parents where missing; `None` if something else is in the way.
    pub fn put_dir(&mut self, path: &str, mode: u32) -> Option<Ino> {
        let mtime = self.get(Self::ROOT).map_or(0, |r| r.mtime);
        let mut dir = Self::ROOT;
        for name in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
            dir = match self.child(dir, name) {
                Some(d) if self.get(d)?.is_dir() => d,
                Some(_) => return None,
                None => self.add(dir, name, Inode::dir(0o755, mtime))?,
            };
        }
        self.get_mut(dir)?.mode = mode;
        Some(dir)
    }

    /// Puts an inode at a path, replacing what is there, parents made where missing.
    pub fn put(&mut self, path: &str, inode: Inode) -> Option<Ino> {
        let (dir, name) = (super::dirname(path), super::basename(path));
        let parent = match self.at(dir) {
            Some(d) => d,
            None => self.put_dir(dir, 0o755)?,
        };
        self.remove(parent, name, inode.mtime);
        self.add(parent, name, inode)
    }

    /// Puts a regular file.
    pub fn put_file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Option<Ino> {
        let mtime = self.get(Self::ROOT).map_or(0, |r| r.mtime);
        self.put(path, Inode::file(bytes.into(), mode, mtime))
    }

    /// Puts a symbolic link.
    pub fn put_link(&mut self, path: &str, target: &str) -> Option<Ino> {
        let mtime = self.get(Self::ROOT).map_or(0, |r| r.mtime);
        self.put(path, Inode::new(Kind::Symlink(target.into()), 0o777, mtime))
    }

    /// Puts an executable that runs a program.
    pub fn put_binary(&mut self, path: &str, program: &str, size: u64) -> Option<Ino> {
        let mtime = self.get(Self::ROOT).map_or(0, |r| r.mtime);
        self.put(
            path,
            Inode::new(Kind::File(Content::Binary { program: program.into(), size }), 0o755, mtime),
        )
    }

    /// The usual devices, with the links to the caller's descriptors: what a container finds in `/dev`.
    pub fn devices(mtime: i64) -> Tree {
        let mut t = Tree::new(mtime);
        let list = [
            ("null", Device::Null),
            ("zero", Device::Zero),
            ("full", Device::Full),
            ("random", Device::Random),
            ("urandom", Device::Urandom),
            ("tty", Device::Tty),
        ];
        for (name, d) in list {
            t.put(&format!("/{name}"), Inode::new(Kind::Device(d), 0o666, mtime));
        }
        for (name, to) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            t.put_link(&format!("/{name}"), to);
        }
        t.put_dir("/pts", 0o755);
        t.put_dir("/shm", 0o1777);
        t.put_dir("/mqueue", 0o1777);
        t
    }

    /// Bytes of all files below an inode.
    pub fn used_bytes(&self, ino: Ino) -> u64 {
        let (mut sum, mut todo) = (0, vec![ino]);
        while let Some(ino) = todo.pop() {
            match self.nodes.get(&ino).map(|n| &n.kind) {
                Some(Kind::Dir(names)) => todo.extend(names.values()),
                Some(Kind::File(c)) => sum += c.size(),
                _ => {}
            }
        }
        sum
    }
}
