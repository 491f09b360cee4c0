//! Sandboxes: a pod's network namespace, host name and pause process.

use super::cni::PortMapping;
use super::{Event, Op, Owner, Runtime, SandboxId};
use crate::kernel::Machine;
use net::{Net, NsId};
use shell::fs::{Cred, MountNs, Tree};
use shell::kernel::{Gpid, PidNsId, Space, SpaceId, Start, Usage};
use shell::sys::Env;
use sim::Instant;
use smol_str::SmolStr;
use std::net::IpAddr;
use std::sync::Arc;

/// What a kubelet wants for a pod.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SandboxConfig {
    /// Pod's name.
    pub name: SmolStr,
    /// Pod's namespace.
    pub namespace: SmolStr,
    /// Pod's uid.
    pub uid: SmolStr,
    /// How many sandboxes it had before.
    pub attempt: u32,
    /// Host name of its containers.
    pub hostname: SmolStr,
    /// Text of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// It uses the node's network.
    pub host_network: bool,
    /// Its containers see each other's processes.
    pub share_processes: bool,
    /// Ports of the node that lead to it.
    pub ports: Vec<PortMapping>,
    /// Kernel settings of its network namespace.
    pub sysctls: Vec<(SmolStr, SmolStr)>,
    /// The control group above its containers.
    pub cgroup: SmolStr,
}

/// Where a sandbox stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SandboxState {
    /// Being made.
    Creating,
    /// Its pause process runs and its network is there.
    Ready,
    /// Stopped, failed, or its pause process ended.
    NotReady,
}

/// A sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Its identifier.
    pub id: SandboxId,
    /// What was asked for.
    pub config: SandboxConfig,
    /// Where it stands.
    pub state: SandboxState,
    /// When it was asked for.
    pub created: Instant,
    /// Its address; that of the node with the node's network.
    pub ip: Option<IpAddr>,
    /// Its network namespace.
    pub net: Option<NsId>,
    pub(super) space: Option<SpaceId>,
    pub(super) pids: Option<PidNsId>,
    pub(super) pid: Option<Gpid>,
}

impl Runtime {
    /// Begins a sandbox; [`Event::SandboxReady`] or [`Event::SandboxFailed`] follows.
    pub fn run_sandbox(&mut self, config: SandboxConfig, now: Instant) -> SandboxId {
        let id = SandboxId(self.id64());
        let s = Sandbox {
            id: id.clone(),
            config,
            state: SandboxState::Creating,
            created: now,
            ip: None,
            net: None,
            space: None,
            pids: None,
            pid: None,
        };
        self.sandboxes.insert(id.clone(), Arc::new(s));
        let time = self.between(self.delays.sandbox);
        self.queue.push(now + time, Op::Sandbox(id.clone()));
        id
    }

    /// A sandbox.
    pub fn sandbox(&self, id: &SandboxId) -> Option<&Sandbox> {
        self.sandboxes.get(id).map(|s| &**s)
    }

    /// All sandboxes.
    pub fn sandboxes(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes.values().map(|s| &**s)
    }

    pub(super) fn make_sandbox(&mut self, id: &SandboxId, machine: &mut Machine, net: &mut Net) {
        // It may have been stopped before it was made.
        let Some(s) = self.sandboxes.get(id).filter(|s| s.state == SandboxState::Creating) else { return };
        let mut s = (**s).clone();
        match self.build_sandbox(&mut s, machine, net) {
            Ok(()) => {
                s.state = SandboxState::Ready;
                self.events.push_back(Event::SandboxReady(id.clone()));
            }
            Err(text) => {
                self.dismantle(&mut s, machine, net);
                self.events.push_back(Event::SandboxFailed(id.clone(), text));
            }
        }
        self.sandboxes.insert(id.clone(), Arc::new(s));
    }

    fn build_sandbox(&mut self, s: &mut Sandbox, machine: &mut Machine, net: &mut Net) -> Result<(), String> {
        let fail = |e: &dyn core::fmt::Display| {
            format!("rpc error: code = Unknown desc = failed to start sandbox \"{}\": {e}", s.id)
        };
        if self.image_status(&self.pause_image).is_none() && !self.import(&self.pause_image.clone(), machine)
        {
            return Err(format!(
                "rpc error: code = Unknown desc = failed to get sandbox image \"{}\": not found",
                self.pause_image
            ));
        }
        if s.config.host_network {
            s.net = Some(machine.ns);
            s.ip = net.addrs(machine.ns).iter().map(|a| a.cidr.addr).find(|a| !a.is_loopback());
        } else {
            let ns = net
                .add_namespace(&format!("cni-{}", s.id.0.get(..12).unwrap_or_default()))
                .map_err(|e| fail(&e))?;
            s.net = Some(ns);
            net.set_up(ns, Net::LO, true).map_err(|e| fail(&e))?;
            let added = self.cni.add(net, machine.ns, ns, &s.id.0, &s.config.ports);
            match added {
                Ok(ip) => s.ip = Some(ip),
                Err(e) => {
                    return Err(format!(
                        "rpc error: code = Unknown desc = failed to setup network for sandbox \"{}\": {}",
                        s.id, e.0
                    ));
                }
            }
            for (n, v) in &s.config.sysctls {
                net.sysctl_set(ns, n, v).map_err(|e| fail(&e))?;
            }
        }
        let Some(image) = self.local(&self.pause_image).cloned() else { return Err(fail(&"no image")) };
        let root = machine.kernel.vfs.add(image.tree.clone(), "overlay", "overlay", None);
        let pids = machine.kernel.add_pidns();
        let space = machine.kernel.add_space(Space {
            mounts: MountNs::new((root, Tree::ROOT), true),
            proc: None,
            net: s.net.map_or(0, |n| n.0),
            pids,
            hostname: s.config.hostname.clone(),
            cgroup: "/".into(),
            usage: Usage::default(),
        });
        (s.space, s.pids) = (Some(space), Some(pids));
        let fds = (0..3).map(|fd| (fd, machine.kernel.open_null())).collect();
        let start = Start {
            space,
            path: "/pause".into(),
            argv: vec!["/pause".into()],
            env: Env::default(),
            cwd: "/".into(),
            cred: Cred::user(65535, 65535),
            fds,
            tty: None,
        };
        let pid = machine.start(start, net).map_err(|e| fail(&e))?;
        s.pid = Some(pid);
        self.processes.insert(pid, Owner::Sandbox(s.id.clone()));
        Ok(())
    }

    /// Takes apart what there is of a sandbox.
    fn dismantle(&mut self, s: &mut Sandbox, machine: &mut Machine, net: &mut Net) {
        s.state = SandboxState::NotReady;
        if let Some(pid) = s.pid.take() {
            self.processes.remove(&pid);
            machine.kill(pid, shell::Signal::KILL, net);
        }
        if let Some(ns) = s.net.take()
            && !s.config.host_network
        {
            self.cni.del(net, machine.ns, ns, &s.id.0);
            net.remove_namespace(ns);
        }
        if let Some(space) = s.space.take() {
            let root = machine.kernel.space(space).map(|p| p.mounts.root().node.0);
            machine.kernel.remove_space(space);
            if let Some(r) = root {
                machine.kernel.vfs.remove(r);
            }
        }
    }

    /// Stops a sandbox: its containers are killed, its network goes. Its address is free again.
    pub fn stop_sandbox(&mut self, id: &SandboxId, machine: &mut Machine, net: &mut Net) {
        let Some(s) = self.sandboxes.get(id) else { return };
        let mut s = (**s).clone();
        let live: Vec<Gpid> =
            self.containers.values().filter(|c| c.sandbox == *id).filter_map(|c| c.pid()).collect();
        for pid in live {
            machine.kill(pid, shell::Signal::KILL, net);
        }
        self.dismantle(&mut s, machine, net);
        self.sandboxes.insert(id.clone(), Arc::new(s));
    }

    /// Removes a stopped sandbox with its containers.
    pub fn remove_sandbox(&mut self, id: &SandboxId, machine: &mut Machine, net: &mut Net) {
        self.stop_sandbox(id, machine, net);
        let all: Vec<_> =
            self.containers.values().filter(|c| c.sandbox == *id).map(|c| c.id.clone()).collect();
        for c in all {
            self.remove_container(&c, machine, net);
        }
        self.sandboxes.remove(id);
    }

    pub(super) fn sandbox_ended(&mut self, id: &SandboxId) {
        if let Some(s) = self.sandboxes.get_mut(id) {
            let s = Arc::make_mut(s);
            s.pid = None;
            s.state = SandboxState::NotReady;
            self.events.push_back(Event::SandboxDied(id.clone()));
        }
    }
}
