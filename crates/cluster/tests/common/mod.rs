//! A fixed history that touches every component. Its digest has to be the same wherever it is computed.

use cluster::{Command, Setup, World};
use sim::{Duration, Seed};

/// What a person does, one line after the other.
const LINES: &[&str] = &[
    "kubectl create deployment kubia --image=luksa/kubia:v1 --replicas=3",
    "kubectl expose deployment kubia --port=80 --target-port=8080",
    "kubectl rollout status deployment/kubia",
    "sleep 2; kubectl exec deploy/kubia -- curl -s http://kubia",
    "kubectl set image deployment/kubia kubia=luksa/kubia:v2",
    "kubectl rollout status deployment/kubia",
    "kubectl delete pod -l app=kubia",
    "kubectl get pods -A -o wide; kubectl get events -A",
];

/// Runs the history; gives the world at its end.
pub fn run(seed: u64) -> World {
    let mut w = World::new(Seed(seed), Setup::default_cluster());
    w.run_until(w.now() + Duration::from_secs(5));
    for line in LINES {
        let job = w.next_job();
        w.command(Command::Run { job, line: (*line).into(), stdin: String::new() });
        for _ in 0..600 {
            w.run_until(w.now() + Duration::from_millis(200));
            if w.job(job).is_some_and(|(_, code)| code.is_some()) {
                break;
            }
        }
    }
    w.command(Command::SetPower { node: "worker-1".into(), on: false });
    w.run_until(w.now() + Duration::from_secs(120));
    w
}
