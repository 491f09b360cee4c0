//! System calls: all that a process can see and do.
//!
//! Calls that would block give [`Poll::Pending`] and register the caller's interest; the program then returns
//! [`crate::Step::Wait`] and is stepped again when any of its interests fires. Who answers (the kernel of a modelled
//! node, the small host of the tests) is left to the implementation; [`crate::kernel`] has the part they share.

use crate::Errno;
use crate::program::Program;
use crate::signal::{Disposition, Signal};
use core::any::Any;
use core::task::Poll;
use sim::Instant;
use smol_str::SmolStr;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A file descriptor.
pub type Fd = i32;
/// A process number as its pid namespace has it.
pub type Pid = u32;
/// What a call that may block gives.
pub type Wait<T> = Poll<Result<T, Errno>>;
/// A typed message of a local service.
pub type Message = Arc<dyn Any + Send + Sync>;

/// Standard input.
pub const STDIN: Fd = 0;
/// Standard output.
pub const STDOUT: Fd = 1;
/// Standard error.
pub const STDERR: Fd = 2;

/// Environment variables in the order in which they were first set. A clone shares its content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Env(Arc<Vec<(SmolStr, SmolStr)>>);

impl Env {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Sets a variable, in place if it exists.
    pub fn set(&mut self, name: &str, value: &str) {
        let vars = Arc::make_mut(&mut self.0);
        match vars.iter_mut().find(|(n, _)| n == name) {
            Some(v) => v.1 = value.into(),
            None => vars.push((name.into(), value.into())),
        }
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        if self.get(name).is_some() {
            Arc::make_mut(&mut self.0).retain(|(n, _)| n != name);
        }
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        let mut e = Env::default();
        for (n, v) in iter {
            e.set(n.as_ref(), v.as_ref());
        }
        e
    }
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenFlags {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Each write goes to the end.
    pub append: bool,
    /// Made if it is not there.
    pub create: bool,
    /// With `create`: fails if it is there.
    pub exclusive: bool,
    /// Emptied.
    pub truncate: bool,
    /// Closed by exec.
    pub cloexec: bool,
}

impl OpenFlags {
    /// `O_RDONLY`
    pub const READ: OpenFlags = OpenFlags {
        read: true,
        write: false,
        append: false,
        create: false,
        exclusive: false,
        truncate: false,
        cloexec: false,
    };
    /// `O_WRONLY|O_CREAT|O_TRUNC`
    pub const WRITE: OpenFlags =
        OpenFlags { read: false, write: true, create: true, truncate: true, ..Self::READ };
    /// `O_WRONLY|O_CREAT|O_APPEND`
    pub const APPEND: OpenFlags =
        OpenFlags { read: false, write: true, create: true, append: true, ..Self::READ };
    /// `O_RDWR|O_CREAT`
    pub const READ_WRITE: OpenFlags = OpenFlags { write: true, create: true, ..Self::READ };
}

/// What kind of thing a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileType {
    /// `-`
    Regular,
    /// `d`
    Directory,
    /// `l`
    Symlink,
    /// `c`
    Character,
    /// `p`
    Fifo,
    /// `s`
    Socket,
}

/// The answer of `stat`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Kind.
    pub kind: FileType,
    /// Permission bits, `0o755`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Modified, in seconds since 1970.
    pub mtime: i64,
    /// Names.
    pub nlink: u32,
    /// Number in its file system.
    pub ino: u64,
    /// The file system.
    pub dev: u64,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
}

impl Stat {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileType::Regular
    }
    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileType::Symlink
    }
}

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name.
    pub name: SmolStr,
    /// What it names.
    pub kind: FileType,
    /// Its number.
    pub ino: u64,
}

/// Where `seek` counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whence {
    /// The beginning.
    Start,
    /// The present position.
    Current,
    /// The end.
    End,
}

/// A new process, as `fork` and `execve` in one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spawn {
    /// The executable's path; without a slash it is searched for in the caller's `PATH`.
    pub path: String,
    /// Arguments, the first being the name.
    pub argv: Vec<String>,
    /// Environment; `None` inherits.
    pub env: Option<Env>,
    /// Pairs of the child's and the parent's descriptor; `None` inherits all.
    pub fds: Option<Vec<(Fd, Fd)>>,
    /// Working directory; `None` inherits.
    pub cwd: Option<String>,
    /// User and group; `None` inherits.
    pub user: Option<(u32, u32)>,
    /// A process group of its own.
    pub new_group: bool,
}

impl Spawn {
    /// A child that inherits everything.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Spawn {
        let argv: Vec<String> = argv.into_iter().map(Into::into).collect();
        Spawn { path: argv.first().cloned().unwrap_or_default(), argv, ..Spawn::default() }
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// By `exit`, with the code's low eight bits.
    Exited(u8),
    /// By a signal.
    Signaled(Signal),
}

impl ExitStatus {
    /// As a shell's `$?` shows it: a signal counts from 128.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(c) => i32::from(c),
            ExitStatus::Signaled(s) => 128 + i32::from(s.0),
        }
    }
}

/// Whom [`Sys::wait`] waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Child {
    /// Whichever ends first.
    Any,
    /// That one.
    Pid(Pid),
}

/// What a process is doing, as the `STAT` column has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessState {
    /// `R`
    Running,
    /// `S`
    Sleeping,
    /// `T`
    Stopped,
    /// `Z`
    Zombie,
}

/// A line of `ps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessInfo {
    /// Number.
    pub pid: Pid,
    /// Parent's number, 0 if outside of the namespace.
    pub ppid: Pid,
    /// Process group.
    pub pgid: Pid,
    /// Session.
    pub sid: Pid,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it does.
    pub state: ProcessState,
    /// Short name.
    pub comm: SmolStr,
    /// Arguments.
    pub argv: Vec<String>,
    /// When it began.
    pub started: Instant,
    /// Processor time used, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Virtual memory in bytes.
    pub vsz_bytes: u64,
    /// Controlling terminal, `pts/0`.
    pub tty: Option<SmolStr>,
}

/// A line of `/proc/mounts` with the figures of `statfs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountInfo {
    /// Device or name, `overlay`.
    pub source: SmolStr,
    /// Where.
    pub target: String,
    /// `overlay`, `tmpfs`, `ext4`, `proc`.
    pub fstype: SmolStr,
    /// `rw,relatime`
    pub options: SmolStr,
    /// Capacity in bytes.
    pub size_bytes: u64,
    /// Used bytes.
    pub used_bytes: u64,
}

/// The answer of `uname`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uname {
    /// `Linux`
    pub sysname: SmolStr,
    /// Host name.
    pub nodename: SmolStr,
    /// `6.12.0`
    pub release: SmolStr,
    /// `#1 SMP …`
    pub version: SmolStr,
    /// `x86_64`
    pub machine: SmolStr,
}

/// What a socket speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SocketKind {
    /// A TCP stream.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// ICMP echo, as `ping` uses it.
    Icmp,
}

/// Which half of a connection to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// No more reading.
    Read,
    /// No more writing: the peer sees the end.
    Write,
    /// Both.
    Both,
}

/// What answers an echo request or a probe with a short time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Echo {
    /// The echo.
    Reply,
    /// A router's "time to live exceeded".
    TimeExceeded,
    /// "Destination unreachable" with its code.
    Unreachable(u8),
}

/// One answer on an ICMP socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PingReply {
    /// Who answered.
    pub from: IpAddr,
    /// The request's sequence number.
    pub seq: u16,
    /// The answer's time to live.
    pub ttl: u8,
    /// Bytes of ICMP.
    pub bytes: usize,
    /// What it says.
    pub echo: Echo,
}

/// Modes of a terminal, after `termios`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TtyModes {
    /// The kernel edits lines (`ICANON`).
    pub canonical: bool,
    /// Input is shown (`ECHO`).
    pub echo: bool,
    /// Ctrl-C and its like send signals (`ISIG`).
    pub signals: bool,
}

impl Default for TtyModes {
    fn default() -> Self {
        TtyModes { canonical: true, echo: true, signals: true }
    }
}

/// The system calls. Object-safe.
pub trait Sys {
    // Files.

    /// Opens a file; `mode` is for one that is made (the process's umask applies).
    fn open(&mut self, path: &str, flags: OpenFlags, mode: u32) -> Result<Fd, Errno>;
    /// Closes a descriptor.
    fn close(&mut self, fd: Fd) -> Result<(), Errno>;
    /// Reads up to `max` bytes; none at the end.
    fn read(&mut self, fd: Fd, max: usize) -> Wait<Vec<u8>>;
    /// Writes a part of `data` and says how much. A pipe without reader sends `SIGPIPE` and gives `EPIPE`.
    fn write(&mut self, fd: Fd, data: &[u8]) -> Wait<usize>;
    /// Moves the position and gives the new one.
    fn seek(&mut self, fd: Fd, offset: i64, whence: Whence) -> Result<u64, Errno>;
    /// Cuts or lengthens an open file.
    fn ftruncate(&mut self, fd: Fd, size: u64) -> Result<(), Errno>;
    /// About what a descriptor stands for.
    fn fstat(&mut self, fd: Fd) -> Result<Stat, Errno>;
    /// About a file, links followed.
    fn stat(&mut self, path: &str) -> Result<Stat, Errno>;
    /// About a file, a link itself.
    fn lstat(&mut self, path: &str) -> Result<Stat, Errno>;
    /// Whether the caller may read (4), write (2), execute (1) the file.
    fn access(&mut self, path: &str, want: u32) -> Result<(), Errno>;
    /// The names in a directory in order, without `.` and `..`.
    fn readdir(&mut self, path: &str) -> Result<Vec<DirEntry>, Errno>;
    /// Makes a directory.
    fn mkdir(&mut self, path: &str, mode: u32) -> Result<(), Errno>;
    /// Removes an empty directory.
    fn rmdir(&mut self, path: &str) -> Result<(), Errno>;
    /// Removes a name.
    fn unlink(&mut self, path: &str) -> Result<(), Errno>;
    /// Renames, replacing what is there.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno>;
    /// Another name for a file.
    fn link(&mut self, from: &str, to: &str) -> Result<(), Errno>;
    /// Makes a symbolic link at `path`.
    fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno>;
    /// What a symbolic link holds.
    fn readlink(&mut self, path: &str) -> Result<String, Errno>;
    /// Sets permission bits.
    fn chmod(&mut self, path: &str, mode: u32) -> Result<(), Errno>;
    /// Sets owner and group; `None` leaves one as it is.
    fn chown(&mut self, path: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno>;
    /// Cuts or lengthens a file.
    fn truncate(&mut self, path: &str, size: u64) -> Result<(), Errno>;
    /// Sets the modification time, in seconds since 1970; `None` is now.
    fn utimes(&mut self, path: &str, mtime: Option<i64>) -> Result<(), Errno>;
    /// Sets the mask of new files' permissions and gives the old one.
    fn umask(&mut self, mask: u32) -> u32;
    /// The working directory's path.
    fn cwd(&mut self) -> String;
    /// Changes the working directory.
    fn chdir(&mut self, path: &str) -> Result<(), Errno>;
    /// A path without links, `.` and `..`.
    fn realpath(&mut self, path: &str) -> Result<String, Errno>;
    /// What is mounted in the caller's mount namespace.
    fn mounts(&mut self) -> Vec<MountInfo>;
    /// Mounts; only what the kernel models (`tmpfs`, `--bind`).
    fn mount(&mut self, source: &str, target: &str, fstype: &str, options: &str) -> Result<(), Errno>;
    /// Unmounts.
    fn umount(&mut self, target: &str) -> Result<(), Errno>;

    // Descriptors.

    /// A new pipe: its reading and its writing end.
    fn pipe(&mut self) -> Result<(Fd, Fd), Errno>;
    /// A copy of a descriptor at the lowest free number not below `min`.
    fn dup(&mut self, fd: Fd, min: Fd) -> Result<Fd, Errno>;
    /// Makes `to` a copy of `fd`.
    fn dup2(&mut self, fd: Fd, to: Fd) -> Result<(), Errno>;
    /// Sets or clears close-on-exec.
    fn set_cloexec(&mut self, fd: Fd, on: bool) -> Result<(), Errno>;
    /// Whether a descriptor is a terminal.
    fn isatty(&mut self, fd: Fd) -> bool;
    /// Columns and rows of a terminal.
    fn tty_size(&mut self, fd: Fd) -> Option<(u16, u16)>;
    /// Sets a terminal's modes and gives the old ones.
    fn tty_modes(&mut self, fd: Fd, modes: TtyModes) -> Result<TtyModes, Errno>;
    /// Makes a process group the terminal's foreground.
    fn tcsetpgrp(&mut self, fd: Fd, pgid: Pid) -> Result<(), Errno>;

    // Processes.

    /// Starts a program as a child.
    fn spawn(&mut self, spawn: &Spawn) -> Result<Pid, Errno>;
    /// Starts a child that shares all of the caller's descriptors and runs `program`, a state that the caller made (a
    /// subshell is a copy of the shell).
    fn fork(&mut self, program: Box<dyn Program>) -> Result<Pid, Errno>;
    /// Why the caller's last [`crate::Step::Exec`] failed, once.
    fn exec_error(&mut self) -> Option<Errno>;
    /// Waits for a child's end and reaps it. `ECHILD` if there is none.
    fn wait(&mut self, child: Child) -> Wait<(Pid, ExitStatus)>;
    /// Whether a child is stopped (as `waitpid` tells with `WUNTRACED`).
    fn stopped(&mut self, _pid: Pid) -> bool {
        false
    }
    /// Sends a signal: to a process, for a negative number to a group, for -1 to all. Signal 0 only asks.
    fn kill(&mut self, pid: i64, signal: Signal) -> Result<(), Errno>;
    /// Sets how the caller handles a signal and gives what was before.
    fn sigaction(&mut self, signal: Signal, disposition: Disposition) -> Disposition;
    /// Takes the next caught signal.
    fn take_signal(&mut self) -> Option<Signal>;
    /// Puts a process (0: the caller) into a group (0: its own).
    fn setpgid(&mut self, pid: Pid, pgid: Pid) -> Result<(), Errno>;
    /// Own number.
    fn pid(&self) -> Pid;
    /// Parent's number.
    fn ppid(&self) -> Pid;
    /// User.
    fn uid(&self) -> u32;
    /// Group.
    fn gid(&self) -> u32;
    /// Supplementary groups.
    fn groups(&self) -> Vec<u32>;
    /// The environment that the process was started with.
    fn env(&self) -> &Env;
    /// The processes of the caller's pid namespace in order.
    fn processes(&mut self) -> Vec<ProcessInfo>;
    /// Says how much memory the program's data take, for accounting and the memory limit.
    fn set_memory(&mut self, bytes: u64);

    // Host.

    /// The host's name.
    fn hostname(&self) -> SmolStr;
    /// Sets the host's name.
    fn set_hostname(&mut self, name: &str) -> Result<(), Errno>;
    /// The kernel's name and version.
    fn uname(&self) -> Uname;
    /// Virtual time.
    fn now(&self) -> Instant;
    /// The civil moment of time zero.
    fn epoch(&self) -> sim::Epoch;
    /// Ready from that instant on.
    fn sleep_until(&mut self, at: Instant) -> Poll<()>;
    /// Random bits.
    fn random(&mut self) -> u64;

    // Sockets.

    /// A new socket; `v6` tells the family.
    fn socket(&mut self, kind: SocketKind, v6: bool) -> Result<Fd, Errno>;
    /// Gives it a local address; port 0 lets the kernel choose.
    fn bind(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno>;
    /// Waits for connections.
    fn listen(&mut self, fd: Fd, backlog: usize) -> Result<(), Errno>;
    /// Takes a connection.
    fn accept(&mut self, fd: Fd) -> Wait<(Fd, SocketAddr)>;
    /// Connects; call again after `Pending`.
    fn connect(&mut self, fd: Fd, addr: SocketAddr) -> Wait<()>;
    /// Sends a datagram.
    fn send_to(&mut self, fd: Fd, data: &[u8], to: SocketAddr) -> Wait<usize>;
    /// Takes a datagram.
    fn recv_from(&mut self, fd: Fd, max: usize) -> Wait<(Vec<u8>, SocketAddr)>;
    /// Ends a half of a connection.
    fn shutdown(&mut self, fd: Fd, how: Shutdown) -> Result<(), Errno>;
    /// The socket's own address.
    fn local_addr(&mut self, fd: Fd) -> Result<SocketAddr, Errno>;
    /// The peer's address.
    fn peer_addr(&mut self, fd: Fd) -> Result<SocketAddr, Errno>;
    /// Sends an echo request of `bytes` payload bytes with that time to live.
    fn ping_send(&mut self, fd: Fd, to: IpAddr, seq: u16, ttl: u8, bytes: usize) -> Result<(), Errno>;
    /// Takes an answer.
    fn ping_recv(&mut self, fd: Fd) -> Wait<PingReply>;
    /// Network administration: runs `ip`, `iptables`, `iptables-save`, `iptables-restore`, `ss`, `conntrack`, … against
    /// the caller's network namespace. Gives standard output, standard error and exit code.
    fn net_admin(&mut self, tool: &str, args: &[String], stdin: &str) -> (String, String, i32);

    // Typed local services.

    /// Opens a conversation with a service of the host, such as the API server's local port, by its first message.
    fn rpc_open(&mut self, service: &str, message: Message) -> Result<Fd, Errno>;
    /// Sends a message.
    fn rpc_send(&mut self, fd: Fd, message: Message) -> Result<(), Errno>;
    /// Takes a message; `None` when the service has ended the conversation.
    fn rpc_recv(&mut self, fd: Fd) -> Wait<Option<Message>>;
}
