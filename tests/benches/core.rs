//! What the core can do: `./dev bench`. Figures of a machine are kept in `docs/BENCHMARKS.md`.

use api::obj;
use api::wire::{Body, Credentials, Method, Request};
use apiserver::Outcome;
use cluster::{Setup, World};
use divan::{Bencher, counter::ItemsCount};
use sim::{Duration, Seed};

fn main() {
    divan::main();
}

fn request(w: &mut World, method: Method, path: &str, body: Option<api::Value>) {
    let mut r = Request::new(method, path);
    r.credentials = Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
    if let Some(b) = body {
        r.body = Body::Object(b);
    }
    match w.request(&r) {
        Outcome::Done(a) => assert!(a.status < 300, "{:?}", a.value()),
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

fn running(w: &World) -> usize {
    let Some(pods) = w.api().resource("", "pods") else { return 0 };
    w.api()
        .store
        .list(pods, None, None)
        .filter(|(_, p)| p.at(&["status", "phase"]).text() == "Running")
        .count()
}

/// A Deployment's pods on fake nodes, until all run.
fn with_pods(pods: i64, nodes: usize) -> World {
    let mut w = World::new(Seed(42), Setup::fake(nodes));
    w.run_until(w.now() + Duration::from_secs(5));
    request(&mut w, Method::Post, "/apis/apps/v1/namespaces/default/deployments", Some(deployment(pods)));
    while running(&w) < pods as usize {
        w.run_until(w.now() + Duration::from_millis(500));
    }
    w
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn thousand_pods_on_20_nodes_running() -> World {
    with_pods(1000, 20)
}

#[divan::bench]
fn checkpoint_of_1000_pods(b: Bencher) {
    let w = with_pods(1000, 20);
    b.bench(|| w.clone());
}

/// Whole requests through the pipeline: a merge patch of a ConfigMap, while a watch is open.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn patches_through_the_pipeline(b: Bencher) {
    const N: u64 = 20_000;
    b.counter(ItemsCount::new(N))
        .with_inputs(|| {
            let mut w = World::new(Seed(1), Setup::fake(1));
            let o = obj!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "0"}});
            request(&mut w, Method::Post, "/api/v1/namespaces/default/configmaps", Some(o));
            w
        })
        .bench_values(|mut w| {
            for i in 0..N {
                let mut r = Request::new(Method::Patch, "/api/v1/namespaces/default/configmaps/c")
                    .with_header("content-type", "application/merge-patch+json")
                    .with_body(Body::Object(obj!({"data": {"k": i.to_string()}})));
                r.credentials = Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
                divan::black_box(w.request(&r));
            }
            w
        });
}

/// An idle cluster of three nodes with real kubelets, kube-proxies and cluster DNS: ten virtual minutes.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn ten_idle_minutes_of_three_nodes(b: Bencher) {
    let mut w = World::new(Seed(1), Setup::default_cluster());
    w.run_until(w.now() + Duration::from_secs(30));
    b.with_inputs(|| w.clone()).bench_values(|mut w| {
        let end = w.now() + Duration::from_secs(600);
        while w.now() < end {
            w.run_until(end);
        }
        w
    });
}

/// From the command to the first pod Running, image in the cache: virtual time is printed once, wall time measured.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn first_pod_of_a_deployment(b: Bencher) {
    let mut w = World::new(Seed(1), Setup::default_cluster());
    w.run_until(w.now() + Duration::from_secs(10));
    b.with_inputs(|| w.clone()).bench_values(|mut w| {
        request(&mut w, Method::Post, "/apis/apps/v1/namespaces/default/deployments", Some(deployment(1)));
        while running(&w) < 3 {
            w.run_until(w.now() + Duration::from_millis(50));
        }
        w
    });
}
