//! Exec sessions, attached clients, and forwarded ports.

use super::container::exec_text;
use super::log::StreamKind;
use super::{AttachId, ContainerId, Event, ExecId, Owner, Runtime, SandboxId};
use crate::kernel::Machine;
use net::Net;
use shell::kernel::{Ended, FileId, Gpid, PipeId, SpaceId, Start, TtyId};
use shell::sys::Fd;
use sim::Limits;
use std::sync::Arc;

/// How to run a command in a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExecOptions {
    /// On a terminal of that size (columns, rows).
    pub tty: Option<(u16, u16)>,
    /// With a standard input that the caller feeds.
    pub stdin: bool,
}

/// A session's streams in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExecIo {
    stdin: Option<PipeId>,
    outputs: Vec<PipeId>,
    tty: Option<TtyId>,
}

#[derive(Clone, Debug)]
pub(super) struct Exec {
    container: Option<ContainerId>,
    /// A space of its own, to be removed with it.
    space: Option<SpaceId>,
    pid: Gpid,
    io: ExecIo,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Input that did not fit yet.
    input: Vec<u8>,
    input_ended: bool,
    code: Option<i32>,
}

impl Exec {
    pub(super) fn written(&mut self, kind: StreamKind, data: &[u8]) {
        let to = if kind == StreamKind::Stdout { &mut self.stdout } else { &mut self.stderr };
        to.extend(data);
        let extra = to.len().saturating_sub(Limits::TABLE.file_bytes_max);
        to.drain(..extra);
    }
}

/// What a session has printed since it was last looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExecOutput {
    /// Standard output, or all of a terminal.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// The exit code, once it has ended and all output is taken.
    pub code: Option<i32>,
}

#[derive(Clone, Debug)]
pub(super) struct Attached {
    container: ContainerId,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: bool,
}

impl Runtime {
    /// Runs a command in a container. The error is the text that the API server passes on.
    pub fn exec(
        &mut self,
        id: &ContainerId,
        argv: &[String],
        options: ExecOptions,
        machine: &mut Machine,
        net: &mut Net,
    ) -> Result<ExecId, String> {
        let running = self.containers.get(id).filter(|c| c.pid().is_some());
        let Some((c, space)) = running.and_then(|c| Some((c.clone(), c.space()?))) else {
            return Err(format!(
                "failed to exec in container: failed to load task: no running task found: task {id} not found"
            ));
        };
        let exec = ExecId(self.id64());
        let mut env = c.env.clone();
        if options.tty.is_some() {
            env.set("TERM", "xterm");
        }
        let (io, fds) = self.open_exec(&exec, options, machine);
        let name = argv.first().cloned().unwrap_or_default();
        let start = Start {
            space,
            path: name.clone(),
            argv: argv.to_vec(),
            env,
            cwd: c.workdir.clone(),
            cred: c.cred.clone(),
            fds,
            tty: io.tty,
        };
        match machine.start(start, net) {
            Ok(pid) => {
                self.processes.insert(pid, Owner::Exec(exec.clone()));
                self.insert_exec(exec.clone(), Some(id.clone()), None, pid, io);
                Ok(exec)
            }
            Err(e) => {
                self.close_exec(&io, machine);
                Err(format!(
                    "error executing command in container: failed to exec in container: failed to start exec \"{exec}\": OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
                    exec_text(&name, e)
                ))
            }
        }
    }

    /// Connects to a port in a sandbox, as port forwarding does: input goes to the port, output comes from it.
    pub fn port_forward(
        &mut self,
        id: &SandboxId,
        port: u16,
        machine: &mut Machine,
        net: &mut Net,
    ) -> Result<ExecId, String> {
        let s = self.sandboxes.get(id).filter(|s| s.pid.is_some()).cloned();
        let Some(ns) = s.as_ref().and_then(|s| s.net) else {
            return Err(format!("failed to find sandbox \"{id}\" in store: not found"));
        };
        // A process of the host in the sandbox's network.
        let Some(mut space) = machine.kernel.space(machine.host).cloned() else {
            return Err("no host".into());
        };
        space.net = ns.0;
        let space = machine.kernel.add_space(space);
        let exec = ExecId(self.id64());
        let (io, fds) = self.open_exec(&exec, ExecOptions { tty: None, stdin: true }, machine);
        let start = Start {
            space,
            path: "/usr/bin/nc".into(),
            argv: vec!["nc".into(), "127.0.0.1".into(), port.to_string()],
            env: crate::kernel::login_env(),
            cwd: "/".into(),
            cred: shell::fs::Cred::root(),
            fds,
            tty: None,
        };
        match machine.start(start, net) {
            Ok(pid) => {
                self.processes.insert(pid, Owner::Exec(exec.clone()));
                self.insert_exec(exec.clone(), None, Some(space), pid, io);
                Ok(exec)
            }
            Err(e) => {
                self.close_exec(&io, machine);
                machine.kernel.remove_space(space);
                Err(e.to_string())
            }
        }
    }

    fn insert_exec(
        &mut self,
        id: ExecId,
        container: Option<ContainerId>,
        space: Option<SpaceId>,
        pid: Gpid,
        io: ExecIo,
    ) {
        let e = Exec {
            container,
            space,
            pid,
            io,
            stdout: Vec::new(),
            stderr: Vec::new(),
            input: Vec::new(),
            input_ended: false,
            code: None,
        };
        self.execs.insert(id, Arc::new(e));
    }

    fn open_exec(
        &mut self,
        id: &ExecId,
        o: ExecOptions,
        machine: &mut Machine,
    ) -> (ExecIo, Vec<(Fd, FileId)>) {
        let k = &mut machine.kernel;
        let mut io = ExecIo::default();
        if let Some(size) = o.tty {
            let tty = k.add_tty(size);
            io.tty = Some(tty);
            self.ttys.insert(tty, Owner::Exec(id.clone()));
            return (io, (0..3).map(|fd| (fd, k.open_tty(tty))).collect());
        }
        let input = if o.stdin {
            let (p, f) = k.pipe_in();
            io.stdin = Some(p);
            f
        } else {
            k.open_null()
        };
        let mut fds = vec![(0, input)];
        for (fd, kind) in [(1, StreamKind::Stdout), (2, StreamKind::Stderr)] {
            let (p, f) = k.pipe_out();
            self.pipes.insert(p, (Owner::Exec(id.clone()), kind));
            io.outputs.push(p);
            fds.push((fd, f));
        }
        (io, fds)
    }

    fn close_exec(&mut self, io: &ExecIo, machine: &mut Machine) {
        if let Some(p) = io.stdin {
            machine.kernel.feed_end(p);
        }
        for p in &io.outputs {
            self.pipes.remove(p);
            machine.kernel.drain_end(*p);
        }
        if let Some(t) = io.tty {
            self.ttys.remove(&t);
            machine.kernel.remove_tty(t);
        }
    }

    /// Input for a session.
    pub fn exec_input(&mut self, id: &ExecId, data: &[u8], machine: &mut Machine) {
        let Some(e) = self.execs.get_mut(id).map(Arc::make_mut) else { return };
        if let Some(t) = e.io.tty {
            machine.kernel.tty_input(t, data);
            return;
        }
        if e.input.len() < Limits::TABLE.file_bytes_max {
            e.input.extend(data);
        }
        self.push_input(id, machine);
    }

    /// No more input for a session.
    pub fn exec_input_end(&mut self, id: &ExecId, machine: &mut Machine) {
        if let Some(e) = self.execs.get_mut(id).map(Arc::make_mut) {
            e.input_ended = true;
        }
        self.push_input(id, machine);
    }

    fn push_input(&mut self, id: &ExecId, machine: &mut Machine) {
        let Some(e) = self.execs.get_mut(id).map(Arc::make_mut) else { return };
        let Some(p) = e.io.stdin else { return };
        let n = machine.kernel.feed(p, &e.input);
        e.input.drain(..n);
        if e.input_ended && (e.input.is_empty() || !machine.kernel.has_reader(p)) {
            machine.kernel.feed_end(p);
            e.io.stdin = None;
        }
    }

    /// A session's window changed its size.
    pub fn exec_resize(&mut self, id: &ExecId, size: (u16, u16), machine: &mut Machine) {
        if let Some(t) = self.execs.get(id).and_then(|e| e.io.tty) {
            machine.kernel.tty_resize(t, size);
        }
    }

    /// Takes what a session has printed. A session whose code has been taken is forgotten.
    pub fn exec_output(&mut self, id: &ExecId, machine: &mut Machine) -> Option<ExecOutput> {
        self.push_input(id, machine);
        let e = self.execs.get_mut(id).map(Arc::make_mut)?;
        let out = ExecOutput {
            stdout: core::mem::take(&mut e.stdout),
            stderr: core::mem::take(&mut e.stderr),
            code: e.code,
        };
        if out.code.is_some() {
            self.execs.remove(id);
        }
        Some(out)
    }

    /// The client is gone: a terminal hangs up, pipes close.
    pub fn exec_abort(&mut self, id: &ExecId, machine: &mut Machine, net: &mut Net) {
        let Some(e) = self.execs.remove(id) else { return };
        if let Some(t) = e.io.tty {
            machine.kernel.tty_hangup(t);
        }
        if e.code.is_none() && e.container.is_none() {
            // A forwarded port has nobody left to talk to.
            machine.kill(e.pid, shell::Signal::TERM, net);
        }
        let io = ExecIo { tty: None, ..e.io.clone() };
        self.close_exec(&io, machine);
        if let Some(t) = e.io.tty {
            self.ttys.remove(&t);
        }
        if let Some(s) = e.space {
            machine.kernel.remove_space(s);
        }
    }

    pub(super) fn exec_ended(&mut self, id: &ExecId, end: &Ended, machine: &mut Machine) {
        let Some(e) = self.execs.get(id).cloned() else { return };
        self.close_exec(&e.io, machine);
        if let Some(s) = e.space {
            machine.kernel.remove_space(s);
        }
        if let Some(e) = self.execs.get_mut(id).map(Arc::make_mut) {
            e.io = ExecIo::default();
            e.code = Some(end.status.code());
        }
        self.events.push_back(Event::ExecExited(id.clone()));
    }

    // Attached clients.

    /// Attaches a client to a running container: it sees what is printed from now on.
    pub fn attach(&mut self, id: &ContainerId) -> Option<AttachId> {
        self.containers.get(id).filter(|c| c.pid().is_some())?;
        let n = self.number();
        self.attached.insert(
            n,
            Attached { container: id.clone(), stdout: Vec::new(), stderr: Vec::new(), ended: false },
        );
        Some(n)
    }

    pub(super) fn show_attached(&mut self, id: &ContainerId, kind: StreamKind, data: &[u8]) {
        if self.attached.is_empty() {
            return;
        }
        let mine: Vec<AttachId> =
            self.attached.iter().filter(|(_, a)| a.container == *id).map(|(n, _)| *n).collect();
        for n in mine {
            if let Some(a) = self.attached.get_mut(&n) {
                let to = if kind == StreamKind::Stdout { &mut a.stdout } else { &mut a.stderr };
                to.extend(data);
                let extra = to.len().saturating_sub(Limits::TABLE.log_bytes_max);
                to.drain(..extra);
            }
        }
    }

    pub(super) fn end_attached(&mut self, id: &ContainerId) {
        let mine: Vec<AttachId> =
            self.attached.iter().filter(|(_, a)| a.container == *id).map(|(n, _)| *n).collect();
        for n in mine {
            if let Some(a) = self.attached.get_mut(&n) {
                a.ended = true;
            }
        }
    }

    /// Input of an attached client.
    pub fn attach_input(&mut self, n: AttachId, data: &[u8], machine: &mut Machine) {
        let Some(c) = self.attached.get(&n).and_then(|a| self.containers.get(&a.container)) else { return };
        match (c.tty, c.stdin) {
            (Some(t), _) => machine.kernel.tty_input(t, data),
            (None, Some(p)) => {
                machine.kernel.feed(p, data);
            }
            (None, None) => {}
        }
    }

    /// An attached client's input has ended.
    pub fn attach_input_end(&mut self, n: AttachId, machine: &mut Machine) {
        let Some(id) = self.attached.get(&n).map(|a| a.container.clone()) else { return };
        let Some(c) = self.containers.get_mut(&id).map(Arc::make_mut) else { return };
        if c.config.stdin_once
            && let Some(p) = c.stdin.take()
        {
            machine.kernel.feed_end(p);
        }
    }

    /// An attached window changed its size.
    pub fn attach_resize(&mut self, n: AttachId, size: (u16, u16), machine: &mut Machine) {
        let tty = self.attached.get(&n).and_then(|a| self.containers.get(&a.container)).and_then(|c| c.tty);
        if let Some(t) = tty {
            machine.kernel.tty_resize(t, size);
        }
    }

    /// Takes what an attached client is to see; the code is that of the container, once it has ended.
    pub fn attach_output(&mut self, n: AttachId) -> Option<ExecOutput> {
        let a = self.attached.get_mut(&n)?;
        let (stdout, stderr) = (core::mem::take(&mut a.stdout), core::mem::take(&mut a.stderr));
        let code = a.ended.then(|| match self.containers.get(&a.container).map(|c| &c.state) {
            Some(super::ContainerState::Exited(e)) => e.code,
            _ => 137,
        });
        if code.is_some() {
            self.attached.remove(&n);
        }
        Some(ExecOutput { stdout, stderr, code })
    }

    /// The attached client goes.
    pub fn detach(&mut self, n: AttachId) {
        self.attached.remove(&n);
    }
}
