//! One machine: processes, files and sockets of a node.
//!
//! [`Machine`] joins `shell`'s process kernel with the node's share of [`net::Net`]. The owner of the world calls
//! [`Machine::run`] at [`Machine::next_at`] and passes on which sockets have news ([`Machine::socket_ready`]).

mod admin;
mod sockets;

pub use sockets::Sockets;

use net::{Net, NsId};
use shell::errno::Errno;
use shell::fs::{Cred, Inode, MountNs, Node, Tree, View};
use shell::kernel::{Gpid, Kernel, Space, SpaceId, Start, TtyId, Usage};
use shell::program::Entry;
use shell::sys::{Env, OpenFlags};
use sim::{Epoch, Instant, Stream};
use smol_str::SmolStr;

/// How a machine is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host name.
    pub name: SmolStr,
    /// Its network namespace, which exists.
    pub ns: NsId,
    /// Programs besides the userland and the images' that its files can name, such as kubectl.
    pub programs: &'static [Entry],
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: u32,
    /// Disk in bytes.
    pub disk_bytes: u64,
    /// The civil moment of time zero.
    pub epoch: Epoch,
    /// When it boots.
    pub now: Instant,
}

/// A machine. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Processes and files.
    pub kernel: Kernel,
    /// Sockets.
    pub sockets: Sockets,
    /// The host's own namespaces.
    pub host: SpaceId,
    /// The host's network namespace.
    pub ns: NsId,
    /// The host's root directory.
    pub root: Node,
}

/// Environment of a login on the host.
pub fn login_env() -> Env {
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("SHELL", "/bin/bash"),
        ("TERM", "xterm-256color"),
        ("LANG", "C.UTF-8"),
    ]
    .into_iter()
    .collect()
}

impl Machine {
    /// A machine that has just booted: a root file system with the userland, no process.
    pub fn new(c: &Config, stream: Stream) -> Machine {
        let tables = [shell::commands::TABLE, crate::programs::TABLE, c.programs];
        let mut kernel = Kernel::new(&tables, c.epoch, stream);
        kernel.machine.memory_bytes = c.memory_bytes;
        kernel.machine.cpus = c.cpus;
        kernel.machine.booted = c.now;
        kernel.set_now(c.now);
        let unix = kernel.unix();
        let tree = crate::images::host_root(&c.name, c.programs, unix);
        let root = (kernel.vfs.add(tree, "ext4", "/dev/vda1", Some(c.disk_bytes)), Tree::ROOT);
        let host = kernel.add_space(Space {
            mounts: MountNs::new(root, false),
            proc: None,
            net: c.ns.0,
            pids: 0,
            hostname: c.name.clone(),
            cgroup: "/".into(),
            usage: Usage::default(),
        });
        let mut m = Machine { kernel, sockets: Sockets::default(), host, ns: c.ns, root };
        m.mount_kernel_files(host);
        m
    }

    /// Mounts `/proc`, `/dev` and `/sys` in a space, as far as its root has the directories.
    pub fn mount_kernel_files(&mut self, space: SpaceId) {
        let unix = self.kernel.unix();
        let proc = self.kernel.vfs.add(Tree::new(unix), "proc", "proc", None);
        let dev = self.kernel.vfs.add(Tree::devices(unix), "tmpfs", "tmpfs", Some(64 << 20));
        if let Some(s) = self.kernel.space_mut(space) {
            s.proc = Some(proc);
        }
        for (at, fs) in [("/proc", proc), ("/dev", dev)] {
            // A root without these directories simply shows none.
            let _ = self.kernel.mount_in(space, at, (fs, Tree::ROOT), false);
        }
    }

    /// Runs processes at `now`; true if more could run at once.
    pub fn run(&mut self, now: Instant, net: &mut Net) -> bool {
        let more = self.kernel.run(now, &mut sockets::Port { net, sockets: &mut self.sockets });
        while let Some((space, name, value)) = self.kernel.take_sysctl() {
            if let Some(ns) = self.kernel.space(space).map(|s| NsId(s.net)) {
                // Only what the network models is its own; the rest is kept by the kernel.
                let _ = net.sysctl_set(ns, &name, &value);
            }
        }
        more
    }

    /// When a process has something to do next.
    pub fn next_at(&self) -> Option<Instant> {
        self.kernel.next_at()
    }

    /// A socket has news. False if it is none of this machine's.
    pub fn socket_ready(&mut self, ns: NsId, id: net::SocketId) -> bool {
        match self.sockets.handle(ns, id) {
            Some(h) => {
                self.kernel.socket_ready(h);
                true
            }
            None => false,
        }
    }

    /// Starts a process that has no parent process.
    pub fn start(&mut self, start: Start, net: &mut Net) -> Result<Gpid, Errno> {
        self.kernel.start(start, &mut sockets::Port { net, sockets: &mut self.sockets })
    }

    /// Sends a signal from the host's side.
    pub fn kill(&mut self, pid: Gpid, signal: shell::Signal, net: &mut Net) {
        self.kernel.kill(pid, signal, &mut sockets::Port { net, sockets: &mut self.sockets });
    }

    /// Drops an open description that no process took.
    pub fn discard(&mut self, file: shell::kernel::FileId, net: &mut Net) {
        self.kernel.discard(file, &mut sockets::Port { net, sockets: &mut self.sockets });
    }

    /// A login shell of root on a new terminal.
    pub fn login(&mut self, size: (u16, u16), net: &mut Net) -> Result<(Gpid, TtyId), Errno> {
        let tty = self.kernel.add_tty(size);
        let fds = (0..3).map(|fd| (fd, self.kernel.open_tty(tty))).collect();
        let start = Start {
            space: self.host,
            path: "/bin/bash".into(),
            argv: vec!["-bash".into()],
            env: login_env(),
            cwd: "/root".into(),
            cred: Cred::root(),
            fds,
            tty: Some(tty),
        };
        match self.start(start, net) {
            Ok(pid) => Ok((pid, tty)),
            Err(e) => {
                self.kernel.remove_tty(tty);
                Err(e)
            }
        }
    }

    /// All processes end at once: the power is gone. Files stay.
    pub fn power_off(&mut self, net: &mut Net) {
        let all: Vec<Gpid> = self.kernel.processes().map(|(g, _)| g).collect();
        for g in all {
            self.kill(g, shell::Signal::KILL, net);
        }
    }

    /// Feeds the state to a hasher.
    pub fn digest(&self, h: &mut sim::Hasher) {
        self.kernel.digest(h);
        shell::kernel::feed_debug(h, &self.sockets);
    }

    // Files of the host, for what runs outside of processes: kubelet, volumes, runtime.

    fn on_host<T>(
        &mut self,
        f: impl FnOnce(&mut shell::fs::Vfs, &View) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let ns = self.kernel.space(self.host).ok_or(Errno::ENOENT)?.mounts.clone();
        let (cred, now) = (Cred::root(), self.kernel.unix());
        f(&mut self.kernel.vfs, &View { ns: &ns, cred: &cred, cwd: "/", now })
    }

    /// Makes a directory and its parents.
    pub fn make_dirs(&mut self, path: &str, mode: u32) -> Result<(), Errno> {
        let mut at = String::new();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            at.push('/');
            at.push_str(part);
            let p = at.clone();
            let made = self.on_host(|vfs, v| match vfs.create(v, &p, Inode::dir(0o755, 0)) {
                Ok(_) => Ok(()),
                Err(Errno::EEXIST) if vfs.stat(v, &p, true)?.is_dir() => Ok(()),
                Err(Errno::EEXIST) => Err(Errno::ENOTDIR),
                Err(e) => Err(e),
            });
            made?;
        }
        self.on_host(|vfs, v| vfs.chmod(v, path, mode))
    }

    /// Writes a file, replacing what is there.
    pub fn write_file(&mut self, path: &str, mode: u32, data: &[u8]) -> Result<(), Errno> {
        self.on_host(|vfs, v| {
            let node = match vfs.lookup(v, path, true) {
                Ok((_, n)) => n,
                Err(Errno::ENOENT) => vfs.create(v, path, Inode::file(Vec::new(), mode, 0))?,
                Err(e) => return Err(e),
            };
            vfs.set_len(node, 0, v.now)?;
            vfs.write_at(node, 0, data, v.now)?;
            vfs.chmod(v, path, mode)
        })
    }

    /// Reads a file.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        self.on_host(|vfs, v| {
            let (_, n) = vfs.lookup(v, path, true)?;
            vfs.read_at(n, 0, usize::MAX)
        })
    }

    /// About a file.
    pub fn stat(&mut self, path: &str) -> Result<shell::Stat, Errno> {
        self.on_host(|vfs, v| vfs.stat(v, path, true))
    }

    /// Makes a symbolic link, replacing one that is there.
    pub fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        self.on_host(|vfs, v| {
            match vfs.unlink(v, path) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(e) => return Err(e),
            }
            let inode = Inode::new(shell::fs::Kind::Symlink(target.into()), 0o777, 0);
            vfs.create(v, path, inode).map(|_| ())
        })
    }

    /// Renames a file, replacing what is there.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        self.on_host(|vfs, v| vfs.rename(v, from, to))
    }

    /// Sets owner, group and mode.
    pub fn own(
        &mut self,
        path: &str,
        uid: Option<u32>,
        gid: Option<u32>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        self.on_host(|vfs, v| {
            vfs.chown(v, path, uid, gid)?;
            mode.map_or(Ok(()), |m| vfs.chmod(v, path, m))
        })
    }

    /// Removes a file, or a directory with all below.
    pub fn remove_all(&mut self, path: &str) -> Result<(), Errno> {
        self.on_host(|vfs, v| {
            let f = vfs.find(v, path, false)?;
            if f.node.is_none() || f.name.is_empty() {
                return Ok(());
            }
            if f.mount {
                return Err(Errno::EBUSY);
            }
            let now = v.now;
            let Some(fs) = vfs.fs_mut(f.dir.0) else { return Ok(()) };
            if let Some(n) = f.node {
                let freed = fs.tree.used_bytes(n.1);
                fs.used_bytes = fs.used_bytes.saturating_sub(freed);
            }
            fs.tree.remove(f.dir.1, &f.name, now).ok_or(Errno::ENOENT)
        })
    }

    /// Bytes of all files below a path of the host.
    pub fn used_bytes(&mut self, path: &str) -> u64 {
        self.on_host(|vfs, v| {
            let (_, n) = vfs.lookup(v, path, true)?;
            Ok(vfs.fs(n.0).map_or(0, |f| f.tree.used_bytes(n.1)))
        })
        .unwrap_or(0)
    }

    /// The inode at a path of the host, to be mounted elsewhere.
    pub fn node_at(&mut self, path: &str) -> Result<Node, Errno> {
        self.on_host(|vfs, v| vfs.lookup(v, path, true).map(|f| f.1))
    }

    /// Mounts a new tmpfs at a path of the host.
    pub fn mount_tmpfs(&mut self, path: &str, size_bytes_max: Option<u64>, mode: u32) -> Result<(), Errno> {
        let mut tree = Tree::new(self.kernel.unix());
        if let Some(r) = tree.get_mut(Tree::ROOT) {
            r.mode = mode;
        }
        let id = self.kernel.vfs.add(tree, "tmpfs", "tmpfs", size_bytes_max);
        self.kernel.mount_in(self.host, path, (id, Tree::ROOT), false).inspect_err(|_| {
            self.kernel.vfs.remove(id);
        })
    }

    /// Takes a mount of the host away, and its tmpfs with it.
    pub fn unmount(&mut self, path: &str) -> Result<(), Errno> {
        let mut mounts = self.kernel.space(self.host).ok_or(Errno::ENOENT)?.mounts.clone();
        let fs = mounts.iter().find(|m| m.target == path).map(|m| m.node.0);
        self.kernel.vfs.umount(&mut mounts, path)?;
        let used = mounts.systems();
        if let Some(s) = self.kernel.space_mut(self.host) {
            s.mounts = mounts;
        }
        if let Some(id) = fs.filter(|f| !used.contains(f))
            && self.kernel.vfs.fs(id).is_some_and(|f| f.fstype == "tmpfs")
        {
            self.kernel.vfs.remove(id);
        }
        Ok(())
    }

    /// Opens a file of the host for a process to come (its log, for example): always by appending.
    pub fn append_flags() -> OpenFlags {
        OpenFlags::APPEND
    }
}
