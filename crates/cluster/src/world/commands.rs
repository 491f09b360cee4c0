//! What people do: commands, terminals, jobs, files, power and cables.

use super::{Event, Part, World};
use crate::command::{Command, Logged};
use crate::host::{self, Job, Terminal};
use crate::machine::Machine;
use apiserver::ApiServer;
use net::Net;
use node::network::{HostNetwork, SocketTable};
use shell::kernel::{Kernel, TtyId};
use sim::{Cause, Limits};
use std::sync::Arc;

impl World {
    /// Does what a person did, now, and keeps it in the log.
    pub fn command(&mut self, command: Command) {
        if self.log.len() >= Limits::TABLE.commands_max {
            return;
        }
        let at = self.now;
        self.log.push_back(Logged { at, after_events: self.events, command: command.clone() });
        self.queue.push(at, Event::Command(Arc::new(command)));
    }

    /// Does a logged command at its place in history.
    pub fn replay(&mut self, l: &Logged) {
        while self.events < l.after_events && self.next_at().is_some_and(|at| at <= l.at) {
            self.step();
        }
        self.now = self.now.max(l.at);
        self.command(l.command.clone());
    }

    pub(super) fn execute(&mut self, command: &Command) {
        let now = self.now;
        match command {
            Command::OpenTerminal { terminal, host, size } => self.open_terminal(*terminal, host, *size),
            Command::Type { terminal, keys } => self.on_terminal(*terminal, |k, tty| k.tty_input(tty, keys)),
            Command::Resize { terminal, size } => {
                self.on_terminal(*terminal, |k, tty| k.tty_resize(tty, *size))
            }
            Command::CloseTerminal { terminal } => {
                self.on_terminal(*terminal, |k, tty| k.tty_hangup(tty));
                self.terminals.remove(terminal);
            }
            Command::Run { job, line, stdin } => self.run_job(*job, line, stdin),
            Command::WriteFile { path, content } => self.write_file(path, content.as_bytes()),
            Command::SetPower { node, on } => match self.site.host_of(node) {
                Some(i) => self.set_power(i, *on),
                None => {
                    Arc::make_mut(&mut self.fakes).set_dead(node, !on, now);
                    self.wake(Part::Fakes, now);
                }
            },
            Command::SetCable { node, on } => {
                if let Some(i) = self.site.host_of(node) {
                    self.on_machine(i, |m, site_net, _, _| m.set_cable(site_net, *on));
                    self.set_online(i);
                }
            }
        }
    }

    /// Changes a machine, with the network, the sockets and the API server at hand.
    pub(super) fn on_machine(
        &mut self,
        i: usize,
        f: impl FnOnce(&mut Machine, &mut Net, &mut SocketTable, &ApiServer),
    ) {
        let site = Arc::make_mut(&mut self.site);
        if let Some(m) = site.machines.get_mut(i - 1) {
            f(Arc::make_mut(m), &mut site.net, &mut site.sockets, &self.api);
        }
        self.wake(Part::Host(i), self.now);
        self.wake(Part::Proxy(i), self.now);
    }

    pub(super) fn set_power(&mut self, i: usize, on: bool) {
        self.on_machine(i, |m, net, sockets, _| {
            if m.on && !on {
                m.kubelet.power_off(net, sockets);
            }
            m.on = on;
            m.kubelet.online = false;
            m.set_carrier(net);
        });
        self.set_online(i);
    }

    /// A kubelet hears from the API server again once the machine has power and its cable.
    pub(super) fn set_online(&mut self, i: usize) {
        let now = self.now;
        self.on_machine(i, |m, _, _, api| {
            let online = m.on && m.cable;
            if online && !m.kubelet.online {
                m.kubelet.power_on(api, now);
            }
            m.kubelet.online = online;
        });
    }

    pub(super) fn open_terminal(&mut self, terminal: u32, host: &str, size: (u16, u16)) {
        let host = match host {
            "" => 0,
            name => match self.site.host_of(name) {
                Some(i) => i,
                None => return,
            },
        };
        let mut env = host::env(&self.setup);
        let cwd =
            if self.setup.cwd.is_empty() || host > 0 { "/root".to_owned() } else { self.setup.cwd.clone() };
        if host > 0 {
            env =
                [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")]
                    .into_iter()
                    .chain([("USER", "root"), ("TERM", "xterm-256color")])
                    .collect();
        }
        let site = Arc::make_mut(&mut self.site);
        let (kernel, space) = match host {
            0 => {
                let w = Arc::make_mut(&mut self.workstation);
                (&mut w.kernel, w.space)
            }
            i => match site.machines.get_mut(i - 1) {
                Some(m) => {
                    let m = Arc::make_mut(m);
                    (&mut m.kubelet.runtime.kernel, m.space)
                }
                None => return,
            },
        };
        let mut net = HostNetwork { net: &mut site.net, table: &mut site.sockets, host, cause: Cause::NONE };
        let tty = kernel.add_tty(size);
        let fds = (0..3).map(|fd| (fd, kernel.open_tty(tty))).collect();
        kernel.set_now(self.now);
        if let Ok(pid) = host::start(kernel, &mut net, space, &env, &cwd, &["sh", "-i"], fds, Some(tty)) {
            self.terminals.insert(terminal, Terminal { host, tty, pid });
        }
        self.wake(Part::Host(host), self.now);
    }

    pub(super) fn on_terminal(&mut self, terminal: u32, f: impl FnOnce(&mut Kernel, TtyId)) {
        let Some(t) = self.terminals.get(&terminal).copied() else { return };
        if let Some(k) = self.kernel(t.host) {
            f(k, t.tty);
        }
        self.wake(Part::Host(t.host), self.now);
    }

    pub(super) fn run_job(&mut self, job: u32, line: &str, stdin: &str) {
        let env = host::env(&self.setup);
        let cwd = if self.setup.cwd.is_empty() { "/root".to_owned() } else { self.setup.cwd.clone() };
        let now = self.now;
        let (h, mut net) = self.with_network();
        h.kernel.set_now(now);
        let (input, f0) = h.kernel.pipe_in();
        let (out, f1) = h.kernel.pipe_out();
        // Both streams are one pipe, so that they stay in order.
        let fds = vec![(0, f0), (1, f1), (2, f1)];
        let Ok(pid) =
            host::start(&mut h.kernel, &mut net, h.space, &env, &cwd, &["sh", "-c", line], fds, None)
        else {
            return;
        };
        let mut rest = stdin.as_bytes().to_vec();
        let n = h.kernel.feed(input, &rest);
        rest.drain(..n);
        if rest.is_empty() {
            h.kernel.feed_end(input);
        }
        self.jobs.insert(job, Arc::new(Job { pid, out, input, rest, output: Vec::new(), status: None }));
        self.wake(Part::Host(0), self.now);
    }

    pub(super) fn collect_jobs(&mut self) {
        let kernel = &mut Arc::make_mut(&mut self.workstation).kernel;
        let mut ended = Vec::new();
        while let Some(e) = kernel.take_ended() {
            ended.push(e);
        }
        let mut again = false;
        let open: Vec<u32> = self.jobs.iter().filter(|(_, j)| j.status.is_none()).map(|(n, _)| *n).collect();
        for n in open {
            let Some(job) = self.jobs.get_mut(&n) else { continue };
            let j = Arc::make_mut(job);
            if !j.rest.is_empty() {
                let n = kernel.feed(j.input, &j.rest);
                j.rest.drain(..n);
                if j.rest.is_empty() || !kernel.has_reader(j.input) {
                    j.rest.clear();
                    kernel.feed_end(j.input);
                }
                again |= n > 0;
            }
            let new = kernel.drain(j.out);
            again |= !new.is_empty();
            j.output.extend(new);
            if let Some(e) = ended.iter().find(|e| e.pid == j.pid) {
                j.status = Some(e.status);
            }
        }
        for e in &ended {
            let closed = self.terminals.iter().find(|(_, t)| t.host == 0 && t.pid == e.pid).map(|(n, _)| *n);
            if let Some(n) = closed {
                self.terminals.remove(&n);
            }
        }
        if again {
            self.wake(Part::Host(0), self.now);
        }
    }

    pub(super) fn write_file(&mut self, path: &str, content: &[u8]) {
        let h = Arc::make_mut(&mut self.workstation);
        host::write_file(&mut h.kernel, h.space, path, content);
    }

    /// A job number that is free.
    pub fn next_job(&self) -> u32 {
        self.jobs.get_max().map_or(1, |(n, _)| n + 1)
    }

    /// Puts a file into the workstation without a command, as tests do.
    pub fn put_file(&mut self, path: &str, content: &[u8]) {
        self.write_file(path, content);
    }

    /// Makes a namespace if it is not there, as tests do.
    pub fn ensure_namespace(&mut self, name: &str) {
        let now = self.now;
        self.api.seed_object(now, "namespaces", "", "v1", api::obj!({"metadata": {"name": name}}));
        self.spread_changes();
    }

    /// What a job wrote so far and its exit code once it ended.
    pub fn job(&self, job: u32) -> Option<(&[u8], Option<i32>)> {
        self.jobs.get(&job).map(|j| (j.output.as_slice(), j.status.map(shell::ExitStatus::code)))
    }

    /// Takes what a terminal has to show.
    pub fn take_terminal_output(&mut self, terminal: u32) -> Vec<u8> {
        let Some(t) = self.terminals.get(&terminal).copied() else { return Vec::new() };
        self.kernel(t.host).map(|k| k.tty_output(t.tty)).unwrap_or_default()
    }
}
