//! A control plane over fake nodes: workloads roll, heal and go, deterministically.

use api::obj;
use api::wire::{Body, Credentials, Method, Request, Response};
use apiserver::Outcome;
use cluster::{Setup, World};
use sim::{Instant, Seed};

fn world(nodes: usize) -> World {
    World::new(Seed(42), Setup::fake(nodes))
}

fn call(w: &mut World, method: Method, path: &str, body: Option<api::Value>) -> Response {
    let mut r = Request::new(method, path);
    r.credentials = Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
    if let Some(b) = body {
        r.body = Body::Object(b);
    }
    match w.request(&r) {
        Outcome::Done(r) => r,
        other => panic!("{other:?}"),
    }
}

fn deployment(replicas: i64) -> api::Value {
    obj!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}
        }
    })
}

#[test]
fn a_deployment_runs() {
    let mut w = world(3);
    w.run_until(Instant::from_secs(5));
    let r = call(&mut w, Method::Post, "/apis/apps/v1/namespaces/default/deployments", Some(deployment(3)));
    assert_eq!(r.status, 201, "{:?}", r.value());
    w.run_until(Instant::from_secs(10));
    let d = call(&mut w, Method::Get, "/apis/apps/v1/namespaces/default/deployments/web", None);
    assert_eq!(d.value().at(&["status", "readyReplicas"]).int(), 3, "{}", d.value().to_json_pretty());
    let e = call(&mut w, Method::Get, "/api/v1/namespaces/default/events", None);
    let mut reasons: Vec<_> =
        e.value().get("items").items().map(|e| e.get("reason").text().to_owned()).collect();
    reasons.sort();
    assert_eq!(reasons.iter().filter(|r| *r == "Scheduled").count(), 3, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|r| *r == "SuccessfulCreate").count(), 3);
    // Deleting the deployment takes its sets and pods with it.
    call(&mut w, Method::Delete, "/apis/apps/v1/namespaces/default/deployments/web", None);
    w.run_until(Instant::from_secs(20));
    let p = call(&mut w, Method::Get, "/api/v1/pods", None);
    assert_eq!(p.value().get("items").len(), 0, "{}", p.value().to_json_pretty());
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let run = || {
        let mut w = world(3);
        w.run_until(Instant::from_secs(2));
        call(&mut w, Method::Post, "/apis/apps/v1/namespaces/default/deployments", Some(deployment(5)));
        w.run_until(Instant::from_secs(30));
        w.state_hash()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_thousand_pods() {
    let mut w = world(20);
    w.run_until(Instant::from_secs(1));
    call(&mut w, Method::Post, "/apis/apps/v1/namespaces/default/deployments", Some(deployment(1000)));
    w.run_until(Instant::from_secs(60));
    let d = call(&mut w, Method::Get, "/apis/apps/v1/namespaces/default/deployments/web", None);
    assert_eq!(d.value().at(&["status", "readyReplicas"]).int(), 1000);
}
