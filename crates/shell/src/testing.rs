//! A small host to run programs on in tests: one kernel, one root file system, and a network without wires.
//!
//! Usable by every crate that writes programs: give it the tables of programs, run a command line, look at its output
//! and exit code. Conversations with local services are answered by a function of the test.

use crate::errno::Errno;
use crate::fs::{Cred, MountNs, Tree};
use crate::kernel::{Gpid, Kernel, NetNs, Network, RpcEvent, SocketId, Space, SpaceId, Start, TtyId};
use crate::program::Entry;
use crate::sys::{Env, ExitStatus, PingReply, Shutdown, SocketKind, Wait};
use core::task::Poll;
use sim::persistent::{OrdMap, Vector};
use sim::{Duration, Epoch, Instant, Seed};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How a command ended and what it printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code as `$?` shows it; `None` if it still ran at the deadline.
    pub code: Option<i32>,
}

impl core::fmt::Display for Outcome {
    /// Output, error output behind `! `, exit code if not 0: a form for expectations.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.stdout)?;
        if !self.stdout.is_empty() && !self.stdout.ends_with('\n') {
            f.write_str("⏎\n")?;
        }
        for l in self.stderr.lines() {
            writeln!(f, "! {l}")?;
        }
        match self.code {
            Some(0) => Ok(()),
            Some(c) => writeln!(f, "[exit {c}]"),
            None => writeln!(f, "[still running]"),
        }
    }
}

/// A host for tests.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its kernel.
    pub kernel: Kernel,
    /// Its network: a loopback with listeners, everything else refused or unreachable.
    pub net: LoopNet,
    /// The only space.
    pub space: SpaceId,
    /// Environment of commands.
    pub env: Env,
    /// Where commands start.
    pub cwd: String,
    /// How long a command may run in virtual time.
    pub patience: Duration,
    now: Instant,
}

/// A root file system with the usual directories, accounts and the userland's applets in `/bin`.
pub fn root() -> Tree {
    let mut t = Tree::new(Epoch::DEFAULT.0);
    for d in [
        "/bin",
        "/sbin",
        "/usr/bin",
        "/usr/local/bin",
        "/etc",
        "/home",
        "/root",
        "/var/log",
        "/proc",
        "/sys",
        "/dev",
    ] {
        t.put_dir(d, 0o755);
    }
    t.put_dir("/root", 0o700);
    t.put_dir("/tmp", 0o1777);
    t.put_file(
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    );
    t.put_file("/etc/group", 0o644, "root:x:0:\nnobody:x:65534:\n");
    t.put_file("/etc/hosts", 0o644, "127.0.0.1\tlocalhost\n10.0.0.1\thost\n");
    t.put_file("/etc/resolv.conf", 0o644, "nameserver 10.96.0.10\n");
    t
}

impl Host {
    /// A host whose files can name the programs of `tables`: each first name as a binary in `/bin`, unless it is
    /// there already.
    pub fn new(tables: &[&'static [Entry]]) -> Host {
        let mut tree = root();
        for e in tables.iter().flat_map(|t| t.iter()) {
            for name in e.names {
                let path = format!("/bin/{name}");
                if !name.contains('/') && tree.at(&path).is_none() {
                    tree.put_binary(&path, name, 1_131_168);
                }
            }
        }
        Self::with_root(tables, tree)
    }

    /// A host with that root file system.
    pub fn with_root(tables: &[&'static [Entry]], tree: Tree) -> Host {
        let mut kernel = Kernel::new(tables, Epoch::DEFAULT, Seed(1).stream("host"));
        let root = kernel.vfs.add(tree, "ext4", "/dev/vda1", Some(10 << 30));
        let dev = kernel.vfs.add(Tree::devices(Epoch::DEFAULT.0), "tmpfs", "tmpfs", Some(64 << 20));
        let proc = kernel.vfs.add(Tree::new(Epoch::DEFAULT.0), "proc", "proc", None);
        let space = kernel.add_space(Space {
            mounts: MountNs::new((root, Tree::ROOT), false),
            proc: Some(proc),
            net: 0,
            pids: 0,
            hostname: "host".into(),
            cgroup: "/".into(),
            usage: Default::default(),
        });
        for (at, fs) in [("/proc", proc), ("/dev", dev)] {
            // The directories were made above; a tree without them simply has no such mount.
            let _ = kernel.mount_in(space, at, (fs, Tree::ROOT), false);
        }
        let env = [("PATH", "/usr/local/bin:/bin:/sbin:/usr/bin"), ("HOME", "/root")].into_iter().collect();
        Host {
            kernel,
            net: LoopNet::default(),
            space,
            env,
            cwd: "/root".into(),
            patience: Duration::from_secs(600),
            now: Instant::ZERO,
        }
    }

    /// Runs a command with nothing on standard input.
    pub fn run(&mut self, argv: &[&str]) -> Outcome {
        self.run_with(argv, "", &mut |_, _| {})
    }

    /// Runs a shell script.
    pub fn sh(&mut self, script: &str) -> Outcome {
        self.run(&["sh", "-c", script])
    }

    /// Runs a command with that standard input; `services` answers what it says to local services.
    pub fn run_with(
        &mut self,
        argv: &[&str],
        stdin: &str,
        services: &mut dyn FnMut(&mut Kernel, RpcEvent),
    ) -> Outcome {
        let (input, f0) = self.kernel.pipe_in();
        let (out, f1) = self.kernel.pipe_out();
        let (err, f2) = self.kernel.pipe_out();
        let started = self.start(argv, vec![(0, f0), (1, f1), (2, f2)], None);
        let pid = match started {
            Ok(p) => p,
            Err(e) => {
                return Outcome { stdout: String::new(), stderr: format!("start: {e}\n"), code: Some(127) };
            }
        };
        let mut rest = stdin.as_bytes();
        let (mut o, mut e) = (Vec::new(), Vec::new());
        let deadline = self.now + self.patience;
        let mut status = None;
        let mut fed = false;
        loop {
            if !fed {
                let n = self.kernel.feed(input, rest);
                rest = rest.get(n..).unwrap_or_default();
                if rest.is_empty() || !self.kernel.has_reader(input) {
                    self.kernel.feed_end(input);
                    fed = true;
                }
            }
            let more = self.step(services);
            o.extend(self.kernel.drain(out));
            e.extend(self.kernel.drain(err));
            while let Some(end) = self.kernel.take_ended() {
                if end.pid == pid {
                    status = Some(end.status);
                }
            }
            if status.is_some() || !more || self.now > deadline {
                break;
            }
        }
        o.extend(self.kernel.drain(out));
        e.extend(self.kernel.drain(err));
        if !fed {
            self.kernel.feed_end(input);
        }
        self.kernel.drain_end(out);
        self.kernel.drain_end(err);
        Outcome {
            stdout: String::from_utf8_lossy(&o).into_owned(),
            stderr: String::from_utf8_lossy(&e).into_owned(),
            code: status.map(ExitStatus::code),
        }
    }

    /// Starts a process with those descriptors.
    pub fn start(
        &mut self,
        argv: &[&str],
        fds: Vec<(i32, crate::kernel::FileId)>,
        tty: Option<TtyId>,
    ) -> Result<Gpid, Errno> {
        self.kernel.start(
            Start {
                space: self.space,
                path: argv.first().copied().unwrap_or_default().into(),
                argv: argv.iter().map(ToString::to_string).collect(),
                env: self.env.clone(),
                cwd: self.cwd.clone(),
                cred: Cred::root(),
                fds,
                tty,
            },
            &mut self.net,
        )
    }

    /// Starts a command on a new terminal.
    pub fn on_tty(&mut self, argv: &[&str]) -> Result<(Gpid, TtyId), Errno> {
        let tty = self.kernel.add_tty((80, 24));
        let fds = (0..3).map(|fd| (fd, self.kernel.open_tty(tty))).collect();
        Ok((self.start(argv, fds, Some(tty))?, tty))
    }

    /// Presses keys and gives what the terminal shows until nothing happens for `time`.
    pub fn type_keys(&mut self, tty: TtyId, keys: &str, time: Duration) -> String {
        self.kernel.tty_input(tty, keys.as_bytes());
        self.pass(time);
        String::from_utf8_lossy(&self.kernel.tty_output(tty)).into_owned()
    }

    /// Lets virtual time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.kernel.run(self.now, &mut self.net);
            for s in self.net.take_ready() {
                self.kernel.socket_ready(s);
            }
            match self.kernel.next_at() {
                Some(at) if at <= until => self.now = at,
                _ => break,
            }
        }
        self.now = until;
        self.kernel.set_now(until);
    }

    /// Runs what can run, then goes to the next instant; false when there is none.
    fn step(&mut self, services: &mut dyn FnMut(&mut Kernel, RpcEvent)) -> bool {
        self.kernel.run(self.now, &mut self.net);
        let mut busy = false;
        for s in self.net.take_ready() {
            self.kernel.socket_ready(s);
            busy = true;
        }
        while let Some(e) = self.kernel.take_rpc() {
            services(&mut self.kernel, e);
            busy = true;
        }
        if busy {
            return true;
        }
        match self.kernel.next_at() {
            Some(at) => {
                self.now = at;
                true
            }
            None => false,
        }
    }

    /// Virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }
}

/// A network that is one loopback: listeners of the same host answer, its other addresses refuse, others are
/// unreachable.
#[derive(Clone, Debug, Default)]
pub struct LoopNet {
    sockets: OrdMap<SocketId, Socket>,
    ready: Vector<SocketId>,
    next: SocketId,
    /// Further addresses of the host.
    pub local: Vector<IpAddr>,
    /// What `net_admin` answers: tool to output.
    pub tools: OrdMap<String, String>,
}

#[derive(Clone, Debug)]
struct Socket {
    kind: SocketKind,
    local: SocketAddr,
    peer: Option<(SocketId, SocketAddr)>,
    listening: bool,
    backlog: Vector<(SocketId, SocketAddr)>,
    data: Vec<u8>,
    datagrams: Vector<(Vec<u8>, SocketAddr)>,
    pings: Vector<PingReply>,
    ended: bool,
    error: Option<Errno>,
}

impl LoopNet {
    /// Sockets with news since the last call.
    pub fn take_ready(&mut self) -> Vec<SocketId> {
        core::mem::take(&mut self.ready).into_iter().collect()
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.local.iter().any(|l| *l == ip)
    }

    fn get(&self, id: SocketId) -> Result<&Socket, Errno> {
        self.sockets.get(&id).ok_or(Errno::EBADF)
    }

    fn get_mut(&mut self, id: SocketId) -> Result<&mut Socket, Errno> {
        self.sockets.get_mut(&id).ok_or(Errno::EBADF)
    }

    fn port(&mut self) -> u16 {
        self.next += 1;
        32_768 + (self.next % 28_000) as u16
    }

    fn target(&self, kind: SocketKind, addr: SocketAddr) -> Option<SocketId> {
        let fits = |s: &Socket| {
            s.kind == kind
                && s.local.port() == addr.port()
                && (s.local.ip().is_unspecified() || s.local.ip() == addr.ip())
                && (kind == SocketKind::Udp || s.listening)
        };
        self.sockets.iter().find(|(_, s)| fits(s)).map(|(id, _)| *id)
    }
}

impl Network for LoopNet {
    fn socket(&mut self, _: NetNs, kind: SocketKind, _: bool) -> Result<SocketId, Errno> {
        self.next += 1;
        let local = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.sockets.insert(
            self.next,
            Socket {
                kind,
                local,
                peer: None,
                listening: false,
                backlog: Vector::new(),
                data: Vec::new(),
                datagrams: Vector::new(),
                pings: Vector::new(),
                ended: false,
                error: None,
            },
        );
        Ok(self.next)
    }

    fn bind(&mut self, id: SocketId, mut addr: SocketAddr) -> Result<(), Errno> {
        if !self.is_local(addr.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let kind = self.get(id)?.kind;
        if addr.port() == 0 {
            addr.set_port(self.port());
        } else if self
            .sockets
            .values()
            .any(|s| s.kind == kind && s.local.port() == addr.port() && s.peer.is_none())
        {
            return Err(Errno::EADDRINUSE);
        }
        self.get_mut(id)?.local = addr;
        Ok(())
    }

    fn listen(&mut self, id: SocketId, _: usize) -> Result<(), Errno> {
        self.get_mut(id)?.listening = true;
        Ok(())
    }

    fn accept(&mut self, id: SocketId) -> Wait<(SocketId, SocketAddr)> {
        match self.get_mut(id) {
            Ok(s) => s.backlog.pop_front().map_or(Poll::Pending, |c| Poll::Ready(Ok(c))),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn connect(&mut self, id: SocketId, addr: SocketAddr) -> Wait<()> {
        let s = match self.get(id) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        if s.peer.is_some() {
            return Poll::Ready(Ok(()));
        }
        let kind = s.kind;
        if !self.is_local(addr.ip()) {
            return Poll::Ready(Err(Errno::EHOSTUNREACH));
        }
        let local = SocketAddr::new(addr.ip(), self.port());
        if kind != SocketKind::Tcp {
            if let Ok(s) = self.get_mut(id) {
                s.local = local;
                s.peer = Some((0, addr));
            }
            return Poll::Ready(Ok(()));
        }
        let Some(listener) = self.target(SocketKind::Tcp, addr) else {
            return Poll::Ready(Err(Errno::ECONNREFUSED));
        };
        let Ok(other) = self.socket(0, SocketKind::Tcp, false) else {
            return Poll::Ready(Err(Errno::ENOBUFS));
        };
        if let Ok(s) = self.get_mut(other) {
            s.local = addr;
            s.peer = Some((id, local));
        }
        if let Ok(s) = self.get_mut(id) {
            s.local = local;
            s.peer = Some((other, addr));
        }
        if let Ok(l) = self.get_mut(listener) {
            l.backlog.push_back((other, local));
        }
        self.ready.push_back(listener);
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, id: SocketId, data: &[u8]) -> Wait<usize> {
        let peer = match self.get(id) {
            Ok(s) => (s.kind, s.peer),
            Err(e) => return Poll::Ready(Err(e)),
        };
        let (SocketKind::Tcp, Some((peer, _))) = peer else {
            return match peer.1 {
                Some((_, to)) => self.send_to(id, data, to),
                None => Poll::Ready(Err(Errno::ENOTCONN)),
            };
        };
        match self.get_mut(peer) {
            Ok(p) => {
                p.data.extend(data);
                self.ready.push_back(peer);
                Poll::Ready(Ok(data.len()))
            }
            Err(_) => Poll::Ready(Err(Errno::EPIPE)),
        }
    }

    fn recv(&mut self, id: SocketId, max: usize) -> Wait<Vec<u8>> {
        let s = match self.get_mut(id) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        if s.kind != SocketKind::Tcp {
            return match self.recv_from(id, max) {
                Poll::Ready(r) => Poll::Ready(r.map(|(d, _)| d)),
                Poll::Pending => Poll::Pending,
            };
        }
        if !s.data.is_empty() {
            let n = s.data.len().min(max);
            return Poll::Ready(Ok(s.data.drain(..n).collect()));
        }
        if s.peer.is_none() {
            return Poll::Ready(Err(Errno::ENOTCONN));
        }
        if s.ended { Poll::Ready(Ok(Vec::new())) } else { Poll::Pending }
    }

    fn send_to(&mut self, id: SocketId, data: &[u8], to: SocketAddr) -> Wait<usize> {
        if !self.is_local(to.ip()) {
            return Poll::Ready(Err(Errno::ENETUNREACH));
        }
        let port = self.port();
        let s = match self.get_mut(id) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        if s.local.port() == 0 {
            s.local = SocketAddr::new(to.ip(), port);
        }
        let from = s.local;
        match self.target(SocketKind::Udp, to) {
            Some(t) => {
                if let Ok(s) = self.get_mut(t) {
                    s.datagrams.push_back((data.to_vec(), from));
                }
                self.ready.push_back(t);
            }
            None => {
                if let Ok(s) = self.get_mut(id) {
                    s.error = Some(Errno::ECONNREFUSED);
                }
                self.ready.push_back(id);
            }
        }
        Poll::Ready(Ok(data.len()))
    }

    fn recv_from(&mut self, id: SocketId, max: usize) -> Wait<(Vec<u8>, SocketAddr)> {
        let s = match self.get_mut(id) {
            Ok(s) => s,
            Err(e) => return Poll::Ready(Err(e)),
        };
        if let Some((mut d, a)) = s.datagrams.pop_front() {
            d.truncate(max);
            return Poll::Ready(Ok((d, a)));
        }
        match s.error.take() {
            Some(e) => Poll::Ready(Err(e)),
            None => Poll::Pending,
        }
    }

    fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let peer = self.get(id)?.peer;
        if let (Some((peer, _)), Shutdown::Write | Shutdown::Both) = (peer, how) {
            if let Ok(p) = self.get_mut(peer) {
                p.ended = true;
            }
            self.ready.push_back(peer);
        }
        Ok(())
    }

    fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        Ok(self.get(id)?.local)
    }

    fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        self.get(id)?.peer.map(|(_, a)| a).ok_or(Errno::ENOTCONN)
    }

    fn ping_send(&mut self, id: SocketId, to: IpAddr, seq: u16, _: u8, bytes: usize) -> Result<(), Errno> {
        if !self.is_local(to) {
            return Err(Errno::ENETUNREACH);
        }
        let reply = PingReply { from: to, seq, ttl: 64, bytes: bytes + 8, echo: crate::sys::Echo::Reply };
        self.get_mut(id)?.pings.push_back(reply);
        self.ready.push_back(id);
        Ok(())
    }

    fn ping_recv(&mut self, id: SocketId) -> Wait<PingReply> {
        match self.get_mut(id) {
            Ok(s) => s.pings.pop_front().map_or(Poll::Pending, |p| Poll::Ready(Ok(p))),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn close(&mut self, id: SocketId) {
        let _ = self.shutdown(id, Shutdown::Both);
        self.sockets.remove(&id);
    }

    fn admin(&mut self, _: NetNs, tool: &str, _: &[String], _: &str) -> (String, String, i32) {
        (self.tools.get(tool).cloned().unwrap_or_default(), String::new(), 0)
    }
}
