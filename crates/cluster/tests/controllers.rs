//! What single controllers do, seen by a person at a terminal.

use cluster::{Command, Setup, World};
use sim::{Duration, Seed};

/// A world of three fake nodes with an administrator's kubeconfig.
fn world() -> World {
    let mut setup = Setup::fake(3);
    let admin = apiserver::auth::User::new("admin", &["system:masters"]);
    setup.settings.tokens.push(("t".into(), admin));
    let config = cluster::kubeconfig("https://127.0.0.1:6443", "admin", "t");
    setup.files.push(("/root/.kube/config".into(), config.into_bytes()));
    let mut w = World::new(Seed(3), setup);
    w.run_for(Duration::from_secs(4));
    w
}

/// What a line prints.
fn run(w: &mut World, line: &str) -> String {
    let job = w.next_job();
    w.command(Command::Run { job, line: line.into(), stdin: String::new() });
    for _ in 0..600 {
        w.run_for(Duration::from_millis(200));
        if w.job(job).is_some_and(|(_, code)| code.is_some()) {
            break;
        }
    }
    w.job(job).map(|(out, _)| String::from_utf8_lossy(out).into_owned()).unwrap_or_default()
}

const VOLUMES: &str = r#"
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: late}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: late
  local: {path: /x}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-2]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: one}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: late}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: two}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: late}
"#;

#[test]
fn claims_that_wait_get_their_volume_with_the_pods_node() {
    let mut w = world();
    w.put_file("/v.yaml", VOLUMES.as_bytes());
    run(&mut w, "kubectl apply -f /v.yaml; sleep 1");
    assert_eq!(run(&mut w, "kubectl get pvc one -o jsonpath={.status.phase}"), "Pending");
    for (pod, claim) in [("a", "one"), ("b", "two")] {
        let overrides = format!(
            r#"{{"spec":{{"containers":[{{"name":"c","image":"nginx"}}],"volumes":[{{"name":"v","persistentVolumeClaim":{{"claimName":"{claim}"}}}}]}}}}"#
        );
        run(&mut w, &format!("kubectl run {pod} --image=nginx --overrides='{overrides}'; sleep 2"));
    }
    let shown = run(&mut w, "kubectl get pv pv -o jsonpath='{.status.phase} {.spec.claimRef.name}'");
    assert_eq!(shown, "Bound one");
    assert_eq!(run(&mut w, "kubectl get pod a -o jsonpath={.spec.nodeName}"), "node-2");
    let why = run(&mut w, "kubectl get pod b -o jsonpath='{.status.conditions[0].message}'");
    assert!(why.contains("3 node(s) didn't find available persistent volumes to bind"), "{why}");
}

#[test]
fn aggregated_roles_follow_their_parts() {
    let mut w = world();
    run(&mut w, "kubectl create clusterrole part --verb=get --resource=pods");
    run(
        &mut w,
        "kubectl create clusterrole sum --aggregation-rule=team=x; kubectl label clusterrole part team=x; sleep 1",
    );
    let rules = run(&mut w, "kubectl get clusterrole sum -o jsonpath='{.rules[*].verbs}'");
    assert_eq!(rules, r#"["get"]"#);
}

#[test]
fn pods_of_a_node_that_is_gone_are_collected() {
    let mut w = world();
    run(
        &mut w,
        "kubectl create deployment web --image=nginx --replicas=3; kubectl rollout status deploy/web",
    );
    run(&mut w, "kubectl delete node node-3; sleep 120");
    let nodes = run(&mut w, "kubectl get pods -o jsonpath='{.items[*].spec.nodeName}'");
    assert_eq!(nodes.split(' ').count(), 3, "{nodes}");
    assert!(!nodes.contains("node-3"), "{nodes}");
}

#[test]
fn namespaces_go_after_their_pods() {
    let mut w = world();
    run(&mut w, "kubectl create ns x; sleep 1; kubectl -n x create deployment web --image=nginx; sleep 2");
    run(&mut w, "kubectl delete ns x --wait=false; sleep 3");
    assert_eq!(run(&mut w, "kubectl -n x get pods -o name").lines().count(), 1);
    run(&mut w, "sleep 20");
    assert!(run(&mut w, "kubectl get ns x").contains("not found"));
}

#[test]
fn approved_requests_get_a_certificate() {
    let mut w = world();
    let csr = include_str!("../../../tests/oracle/cases/k-certificate/csr.yaml");
    w.put_file("/csr.yaml", csr.as_bytes());
    run(&mut w, "kubectl create -f /csr.yaml; kubectl certificate approve gx-ann; sleep 1");
    let pem = run(&mut w, "kubectl get csr gx-ann -o jsonpath={.status.certificate} | base64 -d");
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\nMII"), "{pem}");
    assert!(pem.lines().all(|l| l.len() <= 64), "{pem}");
}
