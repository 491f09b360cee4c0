//! The workstation: a host with a kernel of its own, where people type.

use crate::world::Setup;
use shell::fs::Tree;
use shell::kernel::{Gpid, Kernel, PipeId, SpaceId, Start};
use shell::{Entry, Env, Errno, ExitStatus};
use sim::Seed;

/// A terminal that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// 0 for the workstation, else the node's host number.
    pub host: usize,
    pub tty: shell::kernel::TtyId,
    /// Its shell.
    pub pid: Gpid,
}

pub(crate) type Terminals = sim::persistent::OrdMap<u32, Terminal>;

/// A command that runs without a terminal.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub pid: Gpid,
    pub out: PipeId,
    pub input: PipeId,
    pub rest: Vec<u8>,
    /// What it wrote, both streams in order.
    pub output: Vec<u8>,
    pub status: Option<ExitStatus>,
}

static KUBECTL: &[Entry] = &[kubectl::ENTRY, node::apifront::ENTRY];

/// The programs of the workstation: the userland and kubectl.
pub(crate) fn tables() -> Vec<&'static [Entry]> {
    vec![shell::commands::TABLE, KUBECTL]
}

/// `/etc/hosts`: the cluster's nodes by name.
fn hosts(setup: &Setup) -> String {
    let nodes = setup.nodes.iter().map(|n| format!("{}\t{}\n", n.ip, n.name));
    core::iter::once("127.0.0.1\tlocalhost\n".to_owned()).chain(nodes).collect()
}

/// The workstation's file system: usual directories, applets, a kubeconfig.
fn root(setup: &Setup) -> Tree {
    let epoch = setup.settings.epoch;
    let mut t = Tree::new(epoch.0);
    for d in
        ["/bin", "/usr/bin", "/usr/local/bin", "/etc", "/home", "/var/log", "/proc", "/dev", "/root/.kube"]
    {
        t.put_dir(d, 0o755);
    }
    t.put_dir("/tmp", 0o1777);
    t.put_file(
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    );
    t.put_file("/etc/group", 0o644, "root:x:0:\nnobody:x:65534:\n");
    t.put_file("/etc/hosts", 0o644, hosts(setup));
    t.put_file("/etc/hostname", 0o644, "workstation\n");
    for e in tables().iter().flat_map(|t| t.iter()) {
        for name in e.names {
            t.put_binary(&format!("/bin/{name}"), name, 1_131_168);
        }
    }
    for (path, content) in &setup.files {
        t.put_file(path, 0o644, content.clone());
    }
    t
}

/// A kernel with one space, the workstation's.
pub(crate) fn workstation(seed: Seed, setup: &Setup, net: u32) -> (Kernel, SpaceId) {
    let epoch = setup.settings.epoch;
    let mut kernel = Kernel::new(&tables(), epoch, seed.stream("workstation"));
    let root = kernel.vfs.add(root(setup), "ext4", "/dev/vda1", Some(10 << 30));
    let space = crate::machine::host_space(&mut kernel, root, epoch.0, net, "workstation");
    (kernel, space)
}

/// The environment of a person's shell.
pub(crate) fn env(setup: &Setup) -> Env {
    let mut all = vec![
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("TERM", "xterm-256color"),
    ];
    all.extend(setup.env.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    all.into_iter().collect()
}

/// Starts a shell line, or an interactive shell, with these descriptors.
#[allow(clippy::too_many_arguments)]
pub(crate) fn start(
    kernel: &mut Kernel,
    net: &mut dyn shell::kernel::Network,
    space: SpaceId,
    env: &Env,
    cwd: &str,
    argv: &[&str],
    fds: Vec<(i32, shell::kernel::FileId)>,
    tty: Option<shell::kernel::TtyId>,
) -> Result<Gpid, Errno> {
    let start = Start {
        space,
        path: "/bin/sh".into(),
        argv: argv.iter().map(ToString::to_string).collect(),
        env: env.clone(),
        cwd: cwd.into(),
        cred: shell::fs::Cred::root(),
        fds,
        tty,
    };
    kernel.start(start, net)
}

/// Writes a file, making its directories.
pub(crate) fn write_file(kernel: &mut Kernel, space: SpaceId, path: &str, content: &[u8]) {
    let Some(root) = kernel.space(space).map(|s| s.mounts.root().node) else { return };
    let now = kernel.unix();
    if let Some(fs) = kernel.vfs.fs_mut(root.0) {
        let mut inode = shell::fs::Inode::file(content.to_vec(), 0o644, now);
        inode.mtime = now;
        fs.tree.put(path, inode);
    }
}

/// A kubeconfig of one user with a bearer token.
pub fn kubeconfig(server: &str, user: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubarium\n  cluster:\n    server: {server}\n\
         contexts:\n- name: {user}@kubarium\n  context:\n    cluster: kubarium\n    user: {user}\n\
         current-context: {user}@kubarium\nusers:\n- name: {user}\n  user:\n    token: {token}\n"
    )
}
