//! The contents of `/proc` as a process sees it, made when somebody looks.

use super::{Gpid, Kernel};
use crate::fs::{Device, Inode, Kind, Tree};
use crate::sys::{ProcessInfo, ProcessState};
use core::fmt::Write;
use sim::persistent::OrdMap;
use smol_str::SmolStr;

/// Kernel settings with the values of a fresh node.
pub(super) fn sysctls() -> OrdMap<SmolStr, SmolStr> {
    [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.ip_unprivileged_port_start", "0"),
        ("net.ipv4.ping_group_range", "0\t2147483647"),
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.all.route_localnet", "0"),
        ("net.bridge.bridge-nf-call-iptables", "1"),
        ("net.core.somaxconn", "4096"),
        ("net.netfilter.nf_conntrack_max", "131072"),
        ("kernel.pid_max", "4194304"),
        ("kernel.panic", "10"),
        ("vm.overcommit_memory", "1"),
        ("vm.max_map_count", "65530"),
        ("fs.inotify.max_user_instances", "8192"),
    ]
    .iter()
    .map(|(k, v)| (SmolStr::new_static(k), SmolStr::new_static(v)))
    .collect()
}

/// A setting's path below `/proc/sys`.
fn sysctl_path(name: &str) -> String {
    format!("/sys/{}", name.replace('.', "/"))
}

/// A path below `/proc/sys` as a setting's name.
pub(super) fn sysctl_name(path: &str) -> Option<SmolStr> {
    Some(path.strip_prefix("/proc/sys/")?.replace('/', ".").into())
}

impl Kernel {
    /// A setting's value.
    pub fn sysctl(&self, name: &str) -> Option<&str> {
        self.sysctls.get(name).map(|v| v.as_str())
    }

    pub(super) fn set_sysctl(&mut self, pid: Gpid, name: &SmolStr, value: &str) {
        let value: SmolStr = value.trim().into();
        self.sysctls.insert(name.clone(), value.clone());
        if let Some(p) = self.process(pid) {
            let space = p.space;
            self.sysctl_writes.push_back((space, name.clone(), value));
        }
    }

    /// Fills the `/proc` of a process's space for that process.
    pub(super) fn refresh_proc(&mut self, pid: Gpid) {
        let Some(space) = self.process(pid).and_then(|p| self.space(p.space)) else { return };
        let (Some(id), ns) = (space.proc, space.pids) else { return };
        let tree = self.proc_tree(pid, ns);
        if let Some(fs) = self.vfs.fs_mut(id) {
            fs.tree = tree;
        }
    }

    fn proc_tree(&self, pid: Gpid, ns: u32) -> Tree {
        let now = self.unix();
        let mut t = Tree::new(now);
        let me = self.pid_in(ns, pid);
        t.put_link("/self", &me.to_string());
        t.put_link("/thread-self", &format!("{me}/task/{me}"));
        t.put_link("/mounts", "self/mounts");
        t.put_link("/net", "self/net");
        for info in self.process_list(ns) {
            self.proc_dir(&mut t, ns, &info, info.pid == me);
        }
        let up = self.now.since(self.machine.booted);
        let secs = up.as_secs();
        let mem = self.machine.memory_bytes / 1024;
        let used: u64 = self.processes().map(|(_, p)| p.memory_bytes / 1024).sum::<u64>() + mem / 20;
        let free = mem.saturating_sub(used);
        let mut cpus = String::new();
        for i in 0..self.machine.cpus {
            let _ = write!(
                cpus,
                "processor\t: {i}\nvendor_id\t: GenuineIntel\nmodel name\t: Virtual CPU\ncpu MHz\t\t: 2400.000\n\n"
            );
        }
        let cpu: u64 = self.processes().map(|(_, p)| p.cpu_ns / 10_000_000).sum();
        let idle = (secs * 100 * u64::from(self.machine.cpus)).saturating_sub(cpu);
        let files = [
            ("/uptime", format!("{secs}.{:02} {}.{:02}\n", up.subsec_millis() / 10, idle / 100, idle % 100)),
            ("/loadavg", format!("0.00 0.01 0.05 1/{} {}\n", self.procs.len(), me)),
            ("/version", format!("Linux version {} (gcc) {}\n", self.machine.release, self.machine.version)),
            (
                "/meminfo",
                format!(
                    "MemTotal:       {mem:>8} kB\nMemFree:        {free:>8} kB\nMemAvailable:   {free:>8} kB\nBuffers:               0 kB\nCached:                0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\nShmem:                 0 kB\nSReclaimable:          0 kB\n"
                ),
            ),
            ("/cpuinfo", cpus),
            ("/stat", format!("cpu  {cpu} 0 0 {idle} 0 0 0 0 0 0\nbtime {}\n", self.epoch.0)),
            ("/filesystems", "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\text4\n".to_string()),
            ("/cmdline", "console=ttyS0\n".to_string()),
        ];
        for (path, text) in files {
            t.put_file(path, 0o444, text);
        }
        for (name, value) in &self.sysctls {
            t.put_file(&sysctl_path(name), 0o644, format!("{value}\n"));
        }
        t.put_dir("/sys", 0o555);
        t
    }

    fn proc_dir(&self, t: &mut Tree, ns: u32, info: &ProcessInfo, own: bool) {
        let pid = info.pid;
        let Some(g) = self.global(ns, pid) else { return };
        let Some(p) = self.process(g) else { return };
        let state = match info.state {
            ProcessState::Running => "R (running)",
            ProcessState::Sleeping => "S (sleeping)",
            ProcessState::Stopped => "T (stopped)",
            ProcessState::Zombie => "Z (zombie)",
        };
        let file = |t: &mut Tree, name: &str, mode: u32, text: String| {
            t.put_file(&format!("/{pid}/{name}"), mode, text);
        };
        let mut status = format!(
            "Name:\t{}\nUmask:\t{:04o}\nState:\t{state}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\nTracerPid:\t0\n",
            info.comm, p.umask, info.ppid
        );
        let (u, gid) = (info.uid, info.gid);
        let _ = write!(
            status,
            "Uid:\t{u}\t{u}\t{u}\t{u}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nFDSize:\t64\nGroups:\t"
        );
        for x in p.cred.groups.iter() {
            let _ = write!(status, "{x} ");
        }
        let _ = write!(
            status,
            "\nVmSize:\t{:>8} kB\nVmRSS:\t{:>8} kB\nThreads:\t1\nSigPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\nCapInh:\t{:016x}\nCapPrm:\t{c:016x}\nCapEff:\t{c:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t0\nSeccomp:\t0\nCpus_allowed_list:\t0-{}\n",
            info.vsz_bytes / 1024,
            info.rss_bytes / 1024,
            u64::from(p.pending >> 1),
            0,
            u64::from(p.ignored >> 1),
            u64::from(p.caught >> 1),
            0,
            crate::fs::cap::CONTAINER | p.cred.caps,
            0,
            self.machine.cpus.saturating_sub(1),
            c = p.cred.caps,
        );
        file(t, "status", 0o444, status);
        file(t, "comm", 0o644, format!("{}\n", info.comm));
        file(t, "cmdline", 0o444, info.argv.iter().flat_map(|a| [a.as_str(), "\0"]).collect());
        file(t, "environ", 0o400, p.env.iter().map(|(k, v)| format!("{k}={v}\0")).collect());
        let ticks = info.cpu_ns / 10_000_000;
        file(
            t,
            "stat",
            0o444,
            format!(
                "{pid} ({}) {} {} {} {} 0 -1 4194304 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {} {} {} 0\n",
                info.comm,
                state.get(..1).unwrap_or("S"),
                info.ppid,
                info.pgid,
                info.sid,
                info.started.since(self.machine.booted).as_millis() / 10,
                info.vsz_bytes,
                info.rss_bytes / 4096
            ),
        );
        if let Some(s) = self.space(p.space) {
            file(t, "cgroup", 0o444, format!("0::{}\n", s.cgroup));
            let mounts: String = self
                .vfs
                .mount_table(&s.mounts)
                .iter()
                .map(|m| format!("{} {} {} {} 0 0\n", m.source, m.target, m.fstype, m.options))
                .collect();
            file(t, "mounts", 0o444, mounts);
        }
        file(t, "oom_score_adj", 0o644, "0\n".into());
        file(t, "limits", 0o444, "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1048576              1048576              files     \n".into());
        t.put_dir(&format!("/{pid}/net"), 0o555);
        t.put_link(&format!("/{pid}/cwd"), &p.cwd);
        t.put_link(&format!("/{pid}/root"), "/");
        if own {
            for fd in p.fds.keys() {
                t.put(&format!("/{pid}/fd/{fd}"), Inode::new(Kind::Device(Device::Fd(*fd)), 0o700, 0));
            }
        }
    }
}
