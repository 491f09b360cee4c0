//! Cases of a real kubelet: those with a `status-sequence.txt`. They ran on one real node `vm` beside the fake ones, with a
//! taint that their pods tolerate, in a namespace of their own that their kubeconfig names; `output.txt` says when each
//! command ran.

use super::Case;
use cluster::{Command, NodeSetup, World};
use sim::Duration;
use std::fs;
use std::path::Path;

/// How long the node may take until it is ready.
const READY_S: u64 = 60;

/// Whether a case is of this kind.
pub fn is(dir: &Path) -> bool {
    dir.join("status-sequence.txt").exists()
}

/// The node, with the images that the recording found on its disk.
pub fn setup(dir: &Path) -> NodeSetup {
    let mut images: Vec<String> = Vec::new();
    let mut pulled: Vec<String> = Vec::new();
    for file in ["events-watch.txt", "events-ordered.txt", "output.txt"] {
        let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
        for line in text.lines() {
            let image = |before: &str| line.split(before).nth(1)?.split('"').next().map(str::to_owned);
            pulled.extend(image("Pulling image \""));
            images.extend(image("Container image \"").filter(|_| line.contains("already present")));
        }
    }
    images.sort();
    images.dedup();
    NodeSetup {
        name: "vm".into(),
        ip: [192, 168, 0, 14].into(),
        pods: [10, 244, 3, 0].into(),
        control_plane: false,
        images: images.into_iter().filter(|i| !pulled.contains(i)).map(Into::into).collect(),
    }
}

/// The namespace of a case, which its events name; else `gn-` and its own name.
pub fn namespace(c: &Case) -> String {
    let text = fs::read_to_string(c.dir.join("events-watch.txt")).unwrap_or_default();
    let named = text.split("Successfully assigned ").nth(1).and_then(|r| r.split('/').next());
    named.map_or_else(|| format!("gn-{}", c.name), str::to_owned)
}

/// Waits for the node, taints it as the recording's was, and makes the case's namespace the one of its kubeconfig.
pub fn prepare(w: &mut World, c: &Case) {
    let until = w.now() + Duration::from_secs(READY_S);
    while !w.nodes_ready() && w.now() < until {
        w.run_for(Duration::from_millis(200));
    }
    let ns = namespace(c);
    w.ensure_namespace(&ns);
    let job = w.next_job();
    let line = format!(
        "kubectl taint node vm oracle=real:NoSchedule; kubectl config set-context --current --namespace={ns}"
    );
    w.command(Command::Run { job, line, stdin: String::new() });
    w.run_for(Duration::from_secs(1));
}

/// A transcript without the lines that say when its commands began and with our node's address, and those times.
pub fn without_times(text: &str) -> (String, Vec<Duration>) {
    let mut times = Vec::new();
    let mut out = String::new();
    for line in text.lines() {
        let time = line.strip_prefix("# t=").and_then(|t| t.strip_suffix('s')?.parse::<f64>().ok());
        match time {
            Some(s) => times.push(Duration::from_millis((s * 1000.0) as u64)),
            None => {
                // The node's address is that machine's alone.
                out += &line.replace("192.0.2.2", "192.168.0.14");
                out.push('\n');
            }
        }
    }
    (out, times)
}
