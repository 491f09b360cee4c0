//! The container runtime: sandboxes, containers, their output, exec.
//!
//! Models: containerd behind the CRI. It starts and stops processes in the host's kernel and gives each pod a network
//! namespace through the network plugin. When things are to be done is the kubelet's business.

use crate::cni::Cni;
use crate::network::{HostNetwork, SocketTable};
use net::{Net, NsId};
use shell::fs::{Cred, MountNs, Tree};
use shell::kernel::{FileId, Gpid, Kernel, PidNsId, PipeId, Space, SpaceId, Start, TtyId};
use shell::{Env, Errno, ExitStatus, Signal};
use sim::persistent::{OrdMap, Vector};
use sim::{Cause, Epoch, Instant, Limits};
use smol_str::SmolStr;
use std::net::IpAddr;
use std::sync::Arc;

/// A line of a container's output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// When it was written.
    pub at: Instant,
    /// Whether it went to standard error.
    pub stderr: bool,
    /// The text with its newline, if it had one.
    pub text: SmolStr,
}

/// A container's log, bounded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    lines: Vector<LogLine>,
    bytes: usize,
    /// Lines dropped at the front so far: positions count from the container's start.
    pub dropped: usize,
}

impl Log {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.bytes > Limits::TABLE.log_bytes_max {
            let Some(l) = self.lines.pop_front() else { break };
            self.bytes -= l.text.len();
            self.dropped += 1;
        }
    }

    /// Lines kept.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &LogLine> + ExactSizeIterator {
        self.lines.iter()
    }

    /// Lines from a position on, which counts dropped ones.
    pub fn after(&self, position: usize) -> impl Iterator<Item = &LogLine> {
        self.lines.iter().skip(position.saturating_sub(self.dropped))
    }

    /// The position behind the last line.
    pub fn end(&self) -> usize {
        self.dropped + self.lines.len()
    }
}

/// A pod's sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Network namespace.
    pub ns: NsId,
    /// Address.
    pub ip: IpAddr,
    /// Whether the namespace is the host's.
    pub host_network: bool,
    /// Host name of its containers.
    pub hostname: SmolStr,
    /// Pid namespace, if the containers share one.
    pub shared_pids: Option<PidNsId>,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Name, for the control group.
    pub name: SmolStr,
    /// Root file system.
    pub root: Tree,
    /// Arguments, the first is the executable.
    pub argv: Vec<String>,
    /// Environment.
    pub env: Env,
    /// Working directory.
    pub cwd: String,
    /// Who.
    pub cred: Cred,
    /// What is mounted: path, tree, read-only.
    pub mounts: Vec<(String, Volume, bool)>,
    /// Memory limit in bytes, 0 for none.
    pub memory_bytes_max: u64,
    /// Whether it has a terminal, and an open standard input.
    pub tty: bool,
    /// Whether standard input stays open.
    pub stdin: bool,
}

/// What a mount shows: a file system of the host, by number.
pub type Volume = (u32, u64);

/// A container's process.
#[derive(Clone, Debug)]
pub struct Container {
    /// `containerd://…` without the scheme.
    pub id: SmolStr,
    /// Its space.
    pub space: SpaceId,
    /// Its first process.
    pub pid: Gpid,
    /// Its environment, for exec.
    pub env: Env,
    /// Its working directory, for exec.
    pub cwd: String,
    /// Who it runs as.
    pub cred: Cred,
    /// Output.
    pub log: Arc<Log>,
    out: Option<PipeId>,
    err: Option<PipeId>,
    /// Terminal, if it has one.
    pub tty: Option<TtyId>,
    /// Standard input, if it is open and no terminal.
    pub input: Option<PipeId>,
    /// Output since someone attached, in pieces: whether from standard error, and bytes.
    tap: Option<Vec<(bool, Vec<u8>)>>,
    partial: (Vec<u8>, Vec<u8>),
}

/// A host's containers. A clone shares its content.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The host's kernel.
    pub kernel: Kernel,
    /// The network plugin.
    pub cni: Cni,
    /// Containers by number.
    containers: OrdMap<u64, Arc<Container>>,
    next: u64,
    host: usize,
    epoch: Epoch,
    name: SmolStr,
    exec_ended: Vector<shell::kernel::Ended>,
}

/// Access to the network during a turn.
pub struct Wires<'a> {
    /// The network.
    pub net: &'a mut Net,
    /// Processes' sockets.
    pub sockets: &'a mut SocketTable,
    /// What led to the turn.
    pub cause: Cause,
}

impl Runtime {
    /// A runtime on a host with that number, kernel and network plugin.
    pub fn new(host: usize, name: &str, kernel: Kernel, cni: Cni, epoch: Epoch) -> Runtime {
        Runtime {
            kernel,
            cni,
            containers: OrdMap::new(),
            next: 0,
            host,
            epoch,
            name: name.into(),
            exec_ended: Vector::new(),
        }
    }

    fn network<'a>(host: usize, w: &'a mut Wires<'_>) -> HostNetwork<'a> {
        HostNetwork { net: w.net, table: w.sockets, host, cause: w.cause }
    }

    /// Makes a pod's sandbox.
    ///
    /// # Errors
    /// If no address or namespace can be had.
    pub fn add_sandbox(
        &mut self,
        w: &mut Wires<'_>,
        name: &str,
        hostname: &str,
        host: Option<(NsId, IpAddr)>,
        share_pids: bool,
    ) -> Result<Sandbox, String> {
        let shared_pids = share_pids.then(|| self.kernel.add_pidns());
        if let Some((ns, ip)) = host {
            return Ok(Sandbox { ns, ip, host_network: true, hostname: self.name.clone(), shared_pids });
        }
        let (ns, ip, _) = self.cni.add(w.net, name).map_err(|e| {
            format!("plugin type=\"bridge\" failed (add): failed to allocate for range 0: {e}")
        })?;
        Ok(Sandbox { ns, ip, host_network: false, hostname: hostname.into(), shared_pids })
    }

    /// Takes a sandbox away.
    pub fn remove_sandbox(&mut self, w: &mut Wires<'_>, s: &Sandbox) {
        if !s.host_network {
            w.sockets.forget(s.ns);
            self.cni.remove(w.net, s.ns, s.ip);
        }
    }

    /// A file system for a volume.
    pub fn add_volume(&mut self, tree: Tree, kind: &str, size_bytes_max: Option<u64>) -> Volume {
        let fs = self.kernel.vfs.add(tree, kind, kind, size_bytes_max);
        (fs, Tree::ROOT)
    }

    /// Forgets a volume's file system.
    pub fn remove_volume(&mut self, v: Volume) {
        self.kernel.vfs.remove(v.0);
    }

    /// Replaces a volume's content, as an update of a ConfigMap does.
    pub fn replace_volume(&mut self, v: Volume, tree: Tree) {
        if let Some(fs) = self.kernel.vfs.fs_mut(v.0) {
            fs.tree = tree;
        }
    }

    /// Starts a container in a sandbox; gives its number.
    ///
    /// # Errors
    /// The runtime's words: `exec: "x": executable file not found in $PATH`.
    pub fn start(
        &mut self,
        w: &mut Wires<'_>,
        s: &Sandbox,
        c: ContainerSpec,
        id: &str,
    ) -> Result<u64, String> {
        let k = &mut self.kernel;
        let root = k.vfs.add(c.root, "overlay", "overlay", Some(20 << 30));
        let dev = k.vfs.add(Tree::devices(self.epoch.0), "tmpfs", "tmpfs", Some(64 << 20));
        let proc = k.vfs.add(Tree::new(self.epoch.0), "proc", "proc", None);
        let pids = match s.shared_pids {
            Some(p) => p,
            None => k.add_pidns(),
        };
        let usage = shell::kernel::Usage {
            memory_bytes_max: c.memory_bytes_max,
            oom_group: true,
            ..Default::default()
        };
        let space = k.add_space(Space {
            mounts: MountNs::new((root, Tree::ROOT), false),
            proc: Some(proc),
            net: s.ns.0,
            pids,
            hostname: s.hostname.clone(),
            cgroup: format!("/kubepods/{id}").into(),
            usage,
        });
        let mut mounts = vec![
            ("/proc".to_owned(), (proc, Tree::ROOT), false),
            ("/dev".to_owned(), (dev, Tree::ROOT), false),
        ];
        mounts.extend(c.mounts);
        for (path, volume, read_only) in mounts {
            if let Some(fs) = k.vfs.fs_mut(root)
                && fs.tree.at(&path).is_none()
            {
                fs.tree.put_dir(&path, 0o755);
            }
            k.mount_in(space, &path, volume, read_only)
                .map_err(|e| format!("failed to mount at {path}: {e}"))?;
        }
        let (out, err, tty, input, fds) = streams(k, c.tty, c.stdin);
        let start = Start {
            space,
            path: c.argv.first().cloned().unwrap_or_default(),
            argv: c.argv.clone(),
            env: c.env.clone(),
            cwd: c.cwd.clone(),
            cred: c.cred.clone(),
            fds,
            tty,
        };
        let started = k.start(start, &mut Self::network(self.host, w));
        let pid = match started {
            Ok(p) => p,
            Err(e) => {
                self.kernel.remove_space(space);
                return Err(start_error(c.argv.first().map_or("", |a| a), e));
            }
        };
        self.next += 1;
        let container = Container {
            id: id.into(),
            space,
            pid,
            env: c.env,
            cwd: c.cwd,
            cred: c.cred,
            log: Arc::default(),
            out,
            err,
            tty,
            input,
            tap: None,
            partial: (Vec::new(), Vec::new()),
        };
        self.containers.insert(self.next, Arc::new(container));
        Ok(self.next)
    }

    /// A container.
    pub fn container(&self, n: u64) -> Option<&Arc<Container>> {
        self.containers.get(&n)
    }

    /// The container that a process is the first of.
    pub fn container_of(&self, pid: Gpid) -> Option<u64> {
        self.containers.iter().find(|(_, c)| c.pid == pid).map(|(n, _)| *n)
    }

    /// Sends a signal to a container's first process.
    pub fn signal(&mut self, w: &mut Wires<'_>, n: u64, signal: Signal) {
        if let Some(pid) = self.containers.get(&n).map(|c| c.pid) {
            self.kernel.kill(pid, signal, &mut Self::network(self.host, w));
        }
    }

    /// Kills a process that was started by exec.
    pub fn kill_process(&mut self, w: &mut Wires<'_>, pid: Gpid) {
        self.kernel.kill(pid, Signal::KILL, &mut Self::network(self.host, w));
    }

    /// Keeps the end of a process that no container or probe knows: an exec session's.
    pub fn ended_elsewhere(&mut self, e: shell::kernel::Ended) {
        self.exec_ended.push_back(e);
    }

    /// Takes the end of an exec session's process, if it has come.
    pub fn take_exec_end(&mut self, pid: Gpid) -> Option<ExitStatus> {
        let i = self.exec_ended.iter().position(|e| e.pid == pid)?;
        Some(self.exec_ended.remove(i).status)
    }

    /// Removes an ended container with its file system.
    pub fn remove(&mut self, n: u64) {
        if let Some(c) = self.containers.remove(&n) {
            self.kernel.remove_space(c.space);
        }
    }

    /// Runs processes; true if more can run at once.
    pub fn run(&mut self, now: Instant, w: &mut Wires<'_>) -> bool {
        let more = self.kernel.run(now, &mut Self::network(self.host, w));
        self.collect(now);
        more
    }

    /// Moves output from pipes into logs.
    fn collect(&mut self, now: Instant) {
        while let Some(pipe) = self.kernel.take_output() {
            let Some((n, stderr)) = self.containers.iter().find_map(|(n, c)| {
                if c.out == Some(pipe) {
                    Some((*n, false))
                } else if c.err == Some(pipe) {
                    Some((*n, true))
                } else {
                    None
                }
            }) else {
                continue;
            };
            let bytes = self.kernel.drain(pipe);
            if let Some(c) = self.containers.get_mut(&n) {
                Arc::make_mut(c).add_output(now, stderr, &bytes);
            }
        }
        let ttys: Vec<(u64, TtyId)> =
            self.containers.iter().filter_map(|(n, c)| Some((*n, c.tty?))).collect();
        for (n, tty) in ttys {
            let bytes = self.kernel.tty_output(tty);
            if !bytes.is_empty()
                && let Some(c) = self.containers.get_mut(&n)
            {
                Arc::make_mut(c).add_output(now, false, &bytes);
            }
        }
    }

    /// Takes the output since the last call, for those who are attached.
    pub fn take_tap(&mut self, n: u64) -> Vec<(bool, Vec<u8>)> {
        match self.containers.get_mut(&n) {
            Some(c) => Arc::make_mut(c).tap.replace(Vec::new()).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Writes to a container's standard input; gives how much was taken.
    pub fn input(&mut self, n: u64, bytes: &[u8]) -> usize {
        match self.containers.get(&n).map(|c| (c.tty, c.input)) {
            Some((Some(tty), _)) => {
                self.kernel.tty_input(tty, bytes);
                bytes.len()
            }
            Some((None, Some(pipe))) => self.kernel.feed(pipe, bytes),
            _ => bytes.len(),
        }
    }

    /// Ends a container's standard input.
    pub fn input_end(&mut self, n: u64) {
        if let Some(pipe) = self.containers.get(&n).and_then(|c| c.input) {
            self.kernel.feed_end(pipe);
        }
    }

    /// Starts a process in a running container.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn exec(
        &mut self,
        w: &mut Wires<'_>,
        n: u64,
        argv: &[String],
        fds: Vec<(i32, FileId)>,
        tty: Option<TtyId>,
    ) -> Result<Gpid, String> {
        let Some(c) = self.containers.get(&n) else { return Err("container not found".into()) };
        let start = Start {
            space: c.space,
            path: argv.first().cloned().unwrap_or_default(),
            argv: argv.to_vec(),
            env: c.env.clone(),
            cwd: c.cwd.clone(),
            cred: c.cred.clone(),
            fds,
            tty,
        };
        let first = argv.first().map_or("", |a| a);
        self.kernel.start(start, &mut Self::network(self.host, w)).map_err(|e| exec_words(first, e))
    }
}

fn exec_words(path: &str, e: Errno) -> String {
    match e {
        Errno::ENOENT if path.contains('/') => {
            format!("exec: \"{path}\": stat {path}: no such file or directory")
        }
        Errno::ENOENT => format!("exec: \"{path}\": executable file not found in $PATH"),
        Errno::EACCES => format!("exec: \"{path}\": permission denied"),
        e => format!("exec: \"{path}\": {}", e.text().to_lowercase()),
    }
}

fn start_error(path: &str, e: Errno) -> String {
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: error during container init: {}: unknown",
        exec_words(path, e)
    )
}

type Streams = (Option<PipeId>, Option<PipeId>, Option<TtyId>, Option<PipeId>, Vec<(i32, FileId)>);

fn streams(k: &mut Kernel, tty: bool, stdin: bool) -> Streams {
    if tty {
        let t = k.add_tty((80, 24));
        let fds = (0..3).map(|fd| (fd, k.open_tty(t))).collect();
        return (None, None, Some(t), None, fds);
    }
    let (out, f1) = k.pipe_out();
    let (err, f2) = k.pipe_out();
    if stdin {
        let (input, f0) = k.pipe_in();
        return (Some(out), Some(err), None, Some(input), vec![(0, f0), (1, f1), (2, f2)]);
    }
    let null = k.open_null();
    (Some(out), Some(err), None, None, vec![(0, null), (1, f1), (2, f2)])
}

impl Container {
    fn add_output(&mut self, at: Instant, stderr: bool, bytes: &[u8]) {
        let partial = if stderr { &mut self.partial.1 } else { &mut self.partial.0 };
        partial.extend_from_slice(bytes);
        if let Some(tap) = &mut self.tap {
            tap.push((stderr, bytes.to_vec()));
        }
        let log = Arc::make_mut(&mut self.log);
        while let Some(i) = partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = partial.drain(..=i).collect();
            log.push(LogLine { at, stderr, text: String::from_utf8_lossy(&line).into() });
        }
        // A line without end is shown as it is once it is long, or when the container ends.
        if partial.len() > 16 * 1024 {
            let line = core::mem::take(partial);
            log.push(LogLine { at, stderr, text: String::from_utf8_lossy(&line).into() });
        }
    }
}

/// The exit code of a status as the kubelet reports it.
pub fn exit_code(s: ExitStatus) -> i64 {
    i64::from(s.code())
}
