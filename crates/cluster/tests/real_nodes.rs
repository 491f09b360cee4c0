//! A cluster with real kubelets, containers and network, driven as people drive it: by shell lines.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use cluster::{Command, Setup, World};
use sim::{Duration, Seed};

fn world() -> World {
    let mut w = World::new(Seed(7), Setup::default_cluster());
    for _ in 0..60 {
        w.run_until(w.now() + Duration::from_secs(1));
        if w.nodes_ready() {
            break;
        }
    }
    assert!(w.nodes_ready(), "nodes become ready");
    w
}

/// Runs a line to its end; gives output and exit code.
fn sh(w: &mut World, line: &str) -> (String, i32) {
    let job = w.next_job();
    w.command(Command::Run { job, line: line.into(), stdin: String::new() });
    for _ in 0..3000 {
        w.run_until(w.now() + Duration::from_millis(100));
        if let Some((out, Some(code))) = w.job(job) {
            return (String::from_utf8_lossy(out).into_owned(), code);
        }
    }
    panic!("{line:?} does not end; so far: {:?}", w.job(job));
}

/// Runs a line that has to succeed.
fn ok(w: &mut World, line: &str) -> String {
    let (out, code) = sh(w, line);
    eprintln!("$ {line}\n{out}");
    assert_eq!(code, 0, "{line}: {out}");
    out
}

#[test]
fn a_web_server_answers_through_a_service() {
    let mut w = world();
    ok(&mut w, "kubectl get nodes -o wide");
    ok(&mut w, "kubectl rollout status deploy/coredns -n kube-system");
    ok(&mut w, "kubectl get pods -A -o wide");
    ok(&mut w, "kubectl create deployment kubia --image=luksa/kubia --port=8080 --replicas=3");
    ok(&mut w, "kubectl rollout status deploy/kubia");
    ok(&mut w, "kubectl expose deployment kubia --port=80 --target-port=8080 --type=NodePort");
    ok(&mut w, "kubectl get pods -o wide; kubectl get svc,ep");
    ok(&mut w, "kubectl run client --image=curlimages/curl --command -- sleep 1000000");
    ok(&mut w, "kubectl wait --for=condition=Ready pod/client --timeout=120s");
    let out = ok(&mut w, "kubectl exec client -- cat /etc/resolv.conf");
    assert!(out.contains("10.96.0.10"));
    // kube-proxy writes its rules at most once a second.
    ok(&mut w, "sleep 2");
    let out = ok(&mut w, "kubectl exec client -- curl -s http://kubia");
    assert!(out.starts_with("You've hit kubia-"), "{out}");
    let port = ok(&mut w, "kubectl get svc kubia -o jsonpath='{.spec.ports[0].nodePort}'");
    let out = ok(&mut w, &format!("curl -s http://192.168.0.11:{port}"));
    assert!(out.starts_with("You've hit kubia-"), "{out}");
    let out = ok(&mut w, "kubectl logs -l app=kubia --tail=-1");
    assert!(out.contains("Received request from"), "{out}");
    assert!(w.packet_count() > 0);
    let (out, code) = sh(&mut w, "kubectl exec client -- sh -c 'exit 3'");
    assert_eq!((out.trim(), code), ("command terminated with exit code 3", 3));
    ok(&mut w, "kubectl delete pod client; kubectl delete deploy kubia");
    let out = ok(&mut w, "kubectl get pods");
    eprintln!("{out}");
}

#[test]
fn connections_are_forwarded_and_proxied() {
    let mut w = world();
    ok(&mut w, "kubectl run kubia --image=luksa/kubia:v1 --port=8080 && kubectl expose pod kubia");
    ok(&mut w, "kubectl wait --for=condition=Ready pod/kubia && sleep 2");
    let out = ok(
        &mut w,
        "kubectl port-forward kubia 8888:8080 > /tmp/log & sleep 1; curl -s localhost:8888; curl -s localhost:8888; kill %1; cat /tmp/log",
    );
    assert_eq!(
        out,
        "You've hit kubia\nYou've hit kubia\nForwarding from 127.0.0.1:8888 -> 8080\nHandling connection for 8888\nHandling connection for 8888\n"
    );
    let (out, _) = sh(
        &mut w,
        "kubectl port-forward kubia 9999 2>&1 & sleep 1; curl -s localhost:9999; sleep 1; kill %1",
    );
    assert!(out.contains("IPv4: dial tcp4 127.0.0.1:9999: connect: connection refused"), "{out}");
    for path in ["pods/kubia", "pods/kubia:8080", "services/kubia", "services/http:kubia:8080"] {
        let out = ok(&mut w, &format!("kubectl get --raw /api/v1/namespaces/default/{path}/proxy/"));
        assert_eq!(out, "You've hit kubia\n", "{path}");
    }
    let (out, code) = sh(&mut w, "kubectl get --raw /api/v1/namespaces/default/pods/kubia:1/proxy/");
    let refused = "connect: connection refused\n";
    assert!(out.starts_with(
        "Error from server (ServiceUnavailable): error trying to reach service: dial tcp 10.244."
    ));
    assert!(out.ends_with(refused) && code == 1, "{out}");
}
