//! Containers: root file system, mounts, user, process, end.

use super::log::{Log, StreamKind};
use super::{ContainerId, Event, Op, Owner, Runtime, SandboxId, SandboxState};
use crate::images::Image;
use crate::kernel::Machine;
use net::Net;
use shell::accounts::{parse_groups, parse_users};
use shell::errno::Errno;
use shell::fs::{Cred, Inode, MountNs, Node, Tree, View, cap};
use shell::kernel::{Ended, FileId, Gpid, PipeId, Space, SpaceId, Start, TtyId, Usage};
use shell::sys::{Env, Fd};
use sim::{Duration, Instant};
use smol_str::SmolStr;
use std::sync::Arc;

/// What is mounted into a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MountSource {
    /// A path of the node.
    Host(String),
    /// An inode of the node's kernel.
    Node(Node),
}

/// A mount of a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountSpec {
    /// Where in the container.
    pub target: String,
    /// What.
    pub source: MountSource,
    /// Nothing may be written.
    pub read_only: bool,
}

/// What a kubelet wants for a container.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContainerConfig {
    /// Container's name.
    pub name: SmolStr,
    /// How many containers of that name the pod had before.
    pub attempt: u32,
    /// The image, which is on the node.
    pub image: SmolStr,
    /// Instead of the image's entrypoint, if not empty.
    pub command: Vec<String>,
    /// Instead of the image's command.
    pub args: Vec<String>,
    /// Environment besides the image's.
    pub env: Vec<(String, String)>,
    /// Instead of the image's working directory.
    pub workdir: String,
    /// User number, if set.
    pub uid: Option<u32>,
    /// Group number, if set.
    pub gid: Option<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Mounts, in this order.
    pub mounts: Vec<MountSpec>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Capabilities added and dropped, as bits.
    pub caps: (u64, u64),
    /// The root file system is read-only.
    pub read_only_root: bool,
    /// It has a terminal.
    pub tty: bool,
    /// Its standard input stays open.
    pub stdin: bool,
    /// Its standard input ends with the first client's.
    pub stdin_once: bool,
    /// It uses the node's process numbers.
    pub host_processes: bool,
    /// Memory limit in bytes, 0 for none.
    pub memory_bytes_max: u64,
    /// Processor limit in thousandths, 0 for none.
    pub cpu_milli_max: u64,
    /// Share of processors, as `cpu.weight`.
    pub cpu_weight: u64,
    /// The control group, as the node sees it.
    pub cgroup: SmolStr,
}

/// How a container ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exited {
    /// Exit code; a signal counts from 128.
    pub code: i32,
    /// The runtime's reason: `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: SmolStr,
    /// The runtime's message: why it could not be started.
    pub message: String,
    /// When it was started; `None` if it could not be.
    pub started: Option<Instant>,
    /// When it ended.
    pub finished: Instant,
}

/// Where a container stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its first process runs.
    Running {
        /// That process.
        pid: Gpid,
        /// Since when.
        started: Instant,
    },
    /// It has ended.
    Exited(Exited),
}

/// A container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its identifier.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// What was asked for.
    pub config: ContainerConfig,
    /// The image.
    pub image_id: String,
    /// When it was made.
    pub created: Instant,
    /// Where it stands.
    pub state: ContainerState,
    /// What it printed.
    pub log: Log,
    /// Its terminal.
    pub tty: Option<TtyId>,
    pub(super) image: &'static Image,
    pub(super) space: Option<SpaceId>,
    pub(super) stdin: Option<PipeId>,
    pub(super) outputs: Vec<PipeId>,
    pub(super) env: Env,
    pub(super) cred: Cred,
    pub(super) workdir: String,
}

impl Container {
    /// Its first process, if it runs.
    pub fn pid(&self) -> Option<Gpid> {
        match self.state {
            ContainerState::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// Its namespaces in the kernel.
    pub fn space(&self) -> Option<SpaceId> {
        self.space
    }

    /// The signal that asks it to end.
    pub fn stop_signal(&self) -> shell::Signal {
        self.image.stop_signal
    }
}

/// runc's text for a program that can't be started.
pub(super) fn exec_text(name: &str, e: Errno) -> String {
    match e {
        Errno::ENOENT if !name.contains('/') => {
            format!("exec: \"{name}\": executable file not found in $PATH")
        }
        Errno::ENOENT => format!("exec: \"{name}\": stat {name}: no such file or directory"),
        Errno::EACCES => format!("exec: \"{name}\": permission denied"),
        Errno::ENOEXEC => format!("exec {name}: exec format error"),
        e => format!("exec: \"{name}\": {}", e.text().to_lowercase()),
    }
}

impl Runtime {
    /// Makes a container in a sandbox. The error is the CRI's text.
    pub fn create_container(
        &mut self,
        sandbox: &SandboxId,
        config: ContainerConfig,
        machine: &mut Machine,
    ) -> Result<ContainerId, String> {
        let id = ContainerId(self.id64());
        let s = self.sandboxes.get(sandbox).filter(|s| s.state == SandboxState::Ready);
        let Some(s) = s.cloned() else {
            return Err(format!(
                "failed to create container in sandbox \"{sandbox}\": sandbox container is not running"
            ));
        };
        let Some(local) = self.local(&config.image).cloned() else {
            return Err(format!("failed to get image from containerd \"{}\": image not found", config.image));
        };
        let image = local.image;
        if config.command.is_empty()
            && config.args.is_empty()
            && image.entrypoint.is_empty()
            && image.cmd.is_empty()
        {
            return Err(format!(
                "failed to generate container \"{id}\" spec: failed to generate spec: no command specified"
            ));
        }
        for m in &config.mounts {
            if let MountSource::Host(p) = &m.source
                && machine.node_at(p).is_err()
            {
                return Err(format!(
                    "failed to generate container \"{id}\" spec: failed to generate spec: failed to stat \"{p}\": stat {p}: no such file or directory"
                ));
            }
        }
        let (cred, home) = user(&config, image, &local.tree).map_err(|m| {
            format!("failed to generate container \"{id}\" spec: failed to generate spec: {m}")
        })?;
        let workdir = match (config.workdir.is_empty(), image.workdir.is_empty()) {
            (false, _) => config.workdir.clone(),
            (true, false) => image.workdir.into(),
            (true, true) => "/".into(),
        };
        let mut env: Env = image.env.iter().copied().collect();
        if env.get("PATH").is_none() {
            env.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        }
        env.set("HOSTNAME", &s.config.hostname);
        if config.tty {
            env.set("TERM", "xterm");
        }
        for (n, v) in &config.env {
            env.set(n, v);
        }
        if env.get("HOME").is_none() {
            env.set("HOME", &home);
        }
        let c = Container {
            id: id.clone(),
            sandbox: sandbox.clone(),
            image_id: image.id(),
            created: machine.kernel.now(),
            state: ContainerState::Created,
            log: Log::default(),
            tty: None,
            image,
            space: None,
            stdin: None,
            outputs: Vec::new(),
            env,
            cred,
            workdir,
            config,
        };
        self.containers.insert(id.clone(), Arc::new(c));
        Ok(id)
    }

    /// A container.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.get(id).map(|c| &**c)
    }

    /// All containers.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().map(|c| &**c)
    }

    /// Begins the start of a created container; [`Event::Started`] or [`Event::StartFailed`] follows.
    pub fn start_container(&mut self, id: &ContainerId, now: Instant) {
        let time = self.between(self.delays.create) + self.between(self.delays.start);
        self.queue.push(now + time, Op::Start(id.clone()));
    }

    pub(super) fn start_now(&mut self, id: &ContainerId, machine: &mut Machine, net: &mut Net) {
        let Some(c) = self.containers.get(id).filter(|c| c.state == ContainerState::Created) else { return };
        let mut c = (**c).clone();
        let now = machine.kernel.now();
        match self.launch(&mut c, machine, net) {
            Ok(pid) => {
                c.state = ContainerState::Running { pid, started: now };
                self.processes.insert(pid, Owner::Container(id.clone()));
                self.events.push_back(Event::Started(id.clone()));
            }
            Err(text) => {
                let message = format!(
                    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: {text}: unknown"
                );
                self.release_streams(&mut c, machine);
                c.state = ContainerState::Exited(Exited {
                    code: 128,
                    reason: "StartError".into(),
                    message: message.clone(),
                    started: None,
                    finished: now,
                });
                self.events.push_back(Event::StartFailed(id.clone(), message));
            }
        }
        self.containers.insert(id.clone(), Arc::new(c));
    }

    fn launch(&mut self, c: &mut Container, machine: &mut Machine, net: &mut Net) -> Result<Gpid, String> {
        let s = self.sandboxes.get(&c.sandbox).filter(|s| s.state == SandboxState::Ready).cloned();
        let s = s.ok_or_else(|| "sandbox container is not running".to_string())?;
        let local = self.local(&c.config.image).cloned().ok_or_else(|| "image not found".to_string())?;
        let mut tree = local.tree.clone();
        prepare_root(&mut tree, c);
        let root = machine.kernel.vfs.add(tree, "overlay", "overlay", None);
        if let Some(f) = machine.kernel.vfs.fs_mut(root) {
            f.backing = Some(machine.root.0);
        }
        let pids = if c.config.host_processes {
            0
        } else if s.config.share_processes {
            s.pids.unwrap_or(0)
        } else {
            machine.kernel.add_pidns()
        };
        let space = machine.kernel.add_space(Space {
            mounts: MountNs::new((root, Tree::ROOT), false),
            proc: None,
            net: s.net.map_or(0, |n| n.0),
            pids,
            hostname: s.config.hostname.clone(),
            cgroup: "/".into(),
            usage: Usage {
                memory_bytes_max: c.config.memory_bytes_max,
                // cgroup v2: the limit takes the whole container.
                oom_group: true,
                ..Usage::default()
            },
        });
        c.space = Some(space);
        machine.mount_kernel_files(space);
        self.mount_pod_files(c, &s.config.resolv_conf, &s.config.hostname, machine)?;
        for m in c.config.mounts.clone() {
            mount(machine, space, &m)?;
        }
        make_dir(machine, space, &c.workdir.clone());
        if c.config.read_only_root
            && let Some(p) = machine.kernel.space_mut(space)
        {
            p.mounts.set_root_read_only(true);
        }
        let fds = self.open_streams(c, machine);
        let mut argv: Vec<String> = if c.config.command.is_empty() {
            c.image.entrypoint.iter().map(ToString::to_string).collect()
        } else {
            c.config.command.clone()
        };
        if !c.config.args.is_empty() {
            argv.extend(c.config.args.iter().cloned());
        } else if c.config.command.is_empty() {
            argv.extend(c.image.cmd.iter().map(ToString::to_string));
        }
        let name = argv.first().cloned().unwrap_or_default();
        let start = Start {
            space,
            path: name.clone(),
            argv,
            env: c.env.clone(),
            cwd: c.workdir.clone(),
            cred: c.cred.clone(),
            fds,
            tty: c.tty,
        };
        machine.start(start, net).map_err(|e| exec_text(&name, e))
    }

    /// `/etc/resolv.conf` and `/etc/hostname`, which the runtime keeps for the sandbox.
    fn mount_pod_files(
        &mut self,
        c: &Container,
        resolv: &str,
        hostname: &str,
        machine: &mut Machine,
    ) -> Result<(), String> {
        let dir = format!("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{}", c.sandbox);
        let fail = |e: Errno| format!("error during container init: {}", e.text().to_lowercase());
        machine.make_dirs(&dir, 0o755).map_err(fail)?;
        let space = c.space.ok_or_else(|| "no space".to_string())?;
        for (name, text) in [("resolv.conf", resolv.to_string()), ("hostname", format!("{hostname}\n"))] {
            let path = format!("{dir}/{name}");
            if machine.stat(&path).is_err() {
                machine.write_file(&path, 0o644, text.as_bytes()).map_err(fail)?;
            }
            let m = MountSpec {
                target: format!("/etc/{name}"),
                source: MountSource::Host(path),
                read_only: false,
            };
            mount(machine, space, &m)?;
        }
        Ok(())
    }

    fn open_streams(&mut self, c: &mut Container, machine: &mut Machine) -> Vec<(Fd, FileId)> {
        let k = &mut machine.kernel;
        if c.config.tty {
            let tty = k.add_tty((80, 24));
            c.tty = Some(tty);
            self.ttys.insert(tty, Owner::Container(c.id.clone()));
            return (0..3).map(|fd| (fd, k.open_tty(tty))).collect();
        }
        let input = if c.config.stdin {
            let (p, f) = k.pipe_in();
            c.stdin = Some(p);
            f
        } else {
            k.open_null()
        };
        let mut fds = vec![(0, input)];
        for (fd, kind) in [(1, StreamKind::Stdout), (2, StreamKind::Stderr)] {
            let (p, f) = k.pipe_out();
            self.pipes.insert(p, (Owner::Container(c.id.clone()), kind));
            c.outputs.push(p);
            fds.push((fd, f));
        }
        fds
    }

    /// Closes the runtime's ends of a container's streams.
    fn release_streams(&mut self, c: &mut Container, machine: &mut Machine) {
        if let Some(p) = c.stdin.take() {
            machine.kernel.feed_end(p);
        }
        for p in c.outputs.drain(..) {
            self.pipes.remove(&p);
            machine.kernel.drain_end(p);
        }
        if let Some(t) = c.tty.take() {
            self.ttys.remove(&t);
            machine.kernel.remove_tty(t);
        }
    }

    pub(super) fn container_ended(&mut self, id: &ContainerId, e: &Ended, machine: &mut Machine) {
        let Some(c) = self.containers.get(id) else { return };
        let mut c = (**c).clone();
        let started = match c.state {
            ContainerState::Running { started, .. } => Some(started),
            _ => None,
        };
        let code = e.status.code();
        let reason = if e.oom {
            "OOMKilled"
        } else if code == 0 {
            "Completed"
        } else {
            "Error"
        };
        self.release_streams(&mut c, machine);
        c.log.finish();
        c.state = ContainerState::Exited(Exited {
            code,
            reason: reason.into(),
            message: String::new(),
            started,
            finished: e.at,
        });
        self.containers.insert(id.clone(), Arc::new(c));
        self.end_attached(id);
        self.events.push_back(Event::Exited(id.clone()));
    }

    /// Asks a container to end and kills it after `grace`. A grace of zero kills at once.
    pub fn stop_container(
        &mut self,
        id: &ContainerId,
        grace: Duration,
        machine: &mut Machine,
        net: &mut Net,
    ) {
        let Some(c) = self.containers.get(id) else { return };
        let (pid, signal) = (c.pid(), c.stop_signal());
        let Some(pid) = pid else {
            // One that is about to start never does.
            if c.state == ContainerState::Created {
                let now = machine.kernel.now();
                let mut c = (**c).clone();
                c.state = ContainerState::Exited(Exited {
                    code: 137,
                    reason: "Error".into(),
                    message: String::new(),
                    started: None,
                    finished: now,
                });
                self.containers.insert(id.clone(), Arc::new(c));
                self.events.push_back(Event::Exited(id.clone()));
            }
            return;
        };
        if grace.is_zero() {
            machine.kill(pid, shell::Signal::KILL, net);
            return;
        }
        machine.kill(pid, signal, net);
        let at = machine.kernel.now() + grace;
        self.queue.push(at, Op::Kill(id.clone()));
    }

    pub(super) fn kill_now(&mut self, id: &ContainerId, machine: &mut Machine, net: &mut Net) {
        if let Some(pid) = self.containers.get(id).and_then(|c| c.pid()) {
            machine.kill(pid, shell::Signal::KILL, net);
        }
    }

    /// Removes a container with its files and log; one that runs is killed first.
    pub fn remove_container(&mut self, id: &ContainerId, machine: &mut Machine, net: &mut Net) {
        let Some(c) = self.containers.remove(id) else { return };
        let mut c = (*c).clone();
        if let Some(pid) = c.pid() {
            self.processes.remove(&pid);
            machine.kill(pid, shell::Signal::KILL, net);
        }
        self.release_streams(&mut c, machine);
        self.end_attached(id);
        if let Some(space) = c.space {
            let root = machine.kernel.space(space).map(|s| s.mounts.root().node.0);
            let dev = machine
                .kernel
                .space(space)
                .and_then(|s| s.mounts.iter().find(|m| m.target == "/dev").map(|m| m.node.0));
            machine.kernel.remove_space(space);
            for fs in [root, dev].into_iter().flatten() {
                machine.kernel.vfs.remove(fs);
            }
        }
    }

    /// Memory and processor time of a container.
    pub fn usage(&self, id: &ContainerId, machine: &Machine) -> Option<Usage> {
        let space = self.containers.get(id)?.space?;
        machine.kernel.space(space).map(|s| s.usage.clone())
    }

    /// Bytes that a container has written to its own root file system.
    pub fn writable_bytes(&self, id: &ContainerId, machine: &Machine) -> u64 {
        let fs = self
            .containers
            .get(id)
            .and_then(|c| c.space)
            .and_then(|s| machine.kernel.space(s))
            .map(|s| s.mounts.root().node.0);
        fs.and_then(|f| machine.kernel.vfs.fs(f)).map_or(0, |f| f.written_bytes)
    }
}

/// Who a container runs as, and its home.
fn user(c: &ContainerConfig, image: &Image, tree: &Tree) -> Result<(Cred, String), String> {
    let read = |p: &str| {
        tree.at(p)
            .and_then(|n| tree.get(n))
            .and_then(|i| match &i.kind {
                shell::fs::Kind::File(f) => Some(String::from_utf8_lossy(&f.bytes()).into_owned()),
                _ => None,
            })
            .unwrap_or_default()
    };
    let (users, groups) = (parse_users(&read("/etc/passwd")), parse_groups(&read("/etc/group")));
    let (mut uid, mut gid) = (0, None);
    if !image.user.is_empty() && c.uid.is_none() {
        let (u, g) = image.user.split_once(':').map_or((image.user, None), |(u, g)| (u, Some(g)));
        uid = match u.parse() {
            Ok(n) => n,
            Err(_) => users
                .iter()
                .find(|x| x.name == u)
                .map(|x| x.uid)
                .ok_or_else(|| format!("unable to find user {u}: no matching entries in passwd file"))?,
        };
        gid = g.and_then(|g| g.parse().ok().or_else(|| groups.iter().find(|x| x.name == g).map(|x| x.gid)));
    }
    if let Some(u) = c.uid {
        uid = u;
    }
    let account = users.iter().find(|x| x.uid == uid);
    let gid = c.gid.or(gid).or(account.map(|a| a.gid)).unwrap_or(0);
    let mut all = vec![gid];
    if let Some(a) = account.filter(|_| c.gid.is_none()) {
        all.extend(groups.iter().filter(|g| g.members.contains(&a.name)).map(|g| g.gid));
    }
    all.extend(&c.groups);
    all.sort_unstable();
    all.dedup();
    let caps = if c.privileged { cap::ALL } else { (cap::CONTAINER | c.caps.0) & !c.caps.1 };
    let cred = Cred { uid, gid, groups: all.into(), caps: if uid == 0 { caps } else { 0 } };
    Ok((cred, account.map_or_else(|| "/".into(), |a| a.home.clone())))
}

/// What runc puts into a root file system before anything is mounted.
fn prepare_root(t: &mut Tree, c: &Container) {
    let cfg = &c.config;
    let max = |n: u64| if n == 0 { "max".to_string() } else { n.to_string() };
    let cpu = if cfg.cpu_milli_max == 0 { "max".to_string() } else { (cfg.cpu_milli_max * 100).to_string() };
    for (name, text) in [
        ("cpu.max", format!("{cpu} 100000\n")),
        ("cpu.weight", format!("{}\n", cfg.cpu_weight.max(1))),
        ("memory.max", format!("{}\n", max(cfg.memory_bytes_max))),
        ("memory.swap.max", "0\n".to_string()),
        ("pids.max", "max\n".to_string()),
        ("cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n".to_string()),
    ] {
        t.put_file(&format!("/sys/fs/cgroup/{name}"), 0o644, text);
    }
    for f in ["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"] {
        if t.at(f).is_none() {
            t.put_file(f, 0o644, "");
        }
    }
}

fn with_view<T>(
    machine: &mut Machine,
    space: SpaceId,
    f: impl FnOnce(&mut shell::fs::Vfs, &View) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let ns = machine.kernel.space(space).ok_or(Errno::ENOENT)?.mounts.clone();
    let (cred, now) = (Cred::root(), machine.kernel.unix());
    f(&mut machine.kernel.vfs, &View { ns: &ns, cred: &cred, cwd: "/", now })
}

/// Makes a directory and its parents in a container.
fn make_dir(machine: &mut Machine, space: SpaceId, path: &str) {
    let mut at = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        at.push('/');
        at.push_str(part);
        let p = at.clone();
        // What is there already, whatever it is, shows at the mount or at the start.
        let _ = with_view(machine, space, |vfs, v| vfs.create(v, &p, Inode::dir(0o755, 0)));
    }
}

/// Mounts something into a container, its mount point made if it is missing.
fn mount(machine: &mut Machine, space: SpaceId, m: &MountSpec) -> Result<(), String> {
    let target = &m.target;
    let source = match &m.source {
        MountSource::Host(p) => p.clone(),
        MountSource::Node(n) => format!("{}", n.1),
    };
    let fail = |e: Errno| {
        let text = e.text().to_lowercase();
        format!(
            "error during container init: error mounting \"{source}\" to rootfs at \"{target}\": mount {source}:{target} (via /proc/self/fd/6), flags: 0x5001: {text}"
        )
    };
    let node = match &m.source {
        MountSource::Host(p) => machine.node_at(p).map_err(fail)?,
        MountSource::Node(n) => *n,
    };
    let is_dir = machine.kernel.vfs.inode(node).is_some_and(Inode::is_dir);
    if with_view(machine, space, |vfs, v| vfs.stat(v, target, true)).is_err() {
        if is_dir {
            make_dir(machine, space, target);
        } else {
            make_dir(machine, space, shell::fs::dirname(target));
            // If it can't be made, the mount itself says so.
            let _ =
                with_view(machine, space, |vfs, v| vfs.create(v, target, Inode::file(Vec::new(), 0o755, 0)));
        }
    }
    machine.kernel.mount_in(space, target, node, m.read_only).map_err(fail)
}
