//! What the core can do: `./dev bench`. Figures of a machine are kept in `docs/BENCHMARKS.md`.

use api::obj;
use api::wire::{Body, Credentials, Method, Request};
use apiserver::{Outcome, Watch};
use cluster::{Setup, World};
use divan::{Bencher, counter::ItemsCount};
use sim::{Cause, Duration, Instant, Seed};

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

/// Commits to the store while one watch takes every change: the floor under everything that writes.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn store_commits_with_a_watcher(b: Bencher) {
    const N: u64 = 100_000;
    b.counter(ItemsCount::new(N))
        .with_inputs(|| World::new(Seed(1), Setup::fake(1)).api().clone())
        .bench_values(|mut api| {
            let res = api.resource("", "configmaps").expect("configmaps are served");
            let mut watch = Watch::new(res, api.store.revision());
            let mut seen = 0;
            for i in 0..N {
                let name = format!("c{}", i % 1000);
                let o = obj!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": &name, "namespace": "default"}, "data": {"k": "0"}});
                api.store.put(Instant::ZERO, Cause::NONE, res, ("default".into(), name.into()), o);
                if i % 16 == 15 {
                    seen += api.poll(&mut watch, Instant::ZERO).map_or(0, |e| e.len());
                }
            }
            assert_eq!(seen as u64, N);
            api
        });
}

/// One log of changes, read by ten watchers: events a second over all of them.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn watch_fan_out_to_ten(b: Bencher) {
    const N: u64 = 5_000;
    let mut api = World::new(Seed(1), Setup::fake(1)).api().clone();
    let res = api.resource("", "configmaps").expect("configmaps are served");
    let start = api.store.revision();
    for i in 0..N {
        let name = format!("c{}", i % 1000);
        let o = obj!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": &name, "namespace": "default"}, "data": {"k": "0"}});
        api.store.put(Instant::ZERO, Cause::NONE, res, ("default".into(), name.into()), o);
    }
    b.counter(ItemsCount::new(10 * N)).bench(|| {
        for _ in 0..10 {
            let mut watch = Watch::new(res, start);
            assert_eq!(api.poll(&mut watch, Instant::ZERO).map_or(0, |e| e.len()), N as usize);
        }
    });
}

/// The whole way of a pod into the store: JSON in, defaulting, validation, admission, managed fields, one watcher.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn pods_through_the_pipeline(b: Bencher) {
    const N: u64 = 5_000;
    b.counter(ItemsCount::new(N))
        .with_inputs(|| {
            let mut w = World::new(Seed(1), Setup::fake(1));
            w.run_until(w.now() + Duration::from_secs(5));
            w
        })
        .bench_values(|mut w| {
            for i in 0..N {
                let mut r = Request::new(Method::Post, "/api/v1/namespaces/default/pods");
                r.credentials = Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
                r.body = Body::Bytes(
                    format!(
                        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p{i}","labels":{{"app":"web"}}}},"spec":{{"containers":[{{"name":"c","image":"nginx:1","ports":[{{"containerPort":80}}],"resources":{{"requests":{{"cpu":"10m"}}}}}}]}}}}"#
                    )
                    .into_bytes()
                    .into(),
                );
                match w.request(&r) {
                    Outcome::Done(a) => assert!(a.status == 201, "{:?}", a.value()),
                    other => panic!("{other:?}"),
                }
            }
            w
        });
}

/// A list of 10,000 pods as the Table that `kubectl get pods` asks for.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn table_of_10000_pods(b: Bencher) {
    let w = with_pods(100, 5);
    let pods = w.api().resource("", "pods").expect("pods are served");
    let one = w.api().store.list(pods, None, None).map(|(_, p)| p.clone()).last().expect("a pod");
    let mut api = w.api().clone();
    for i in 0..9_900 {
        let name = format!("copy-{i}");
        let mut p = one.clone();
        p.set(&["metadata", "name"], name.as_str());
        api.store.put(Instant::ZERO, Cause::NONE, pods, ("default".into(), name.into()), p);
    }
    let mut r = Request::new(Method::Get, "/api/v1/namespaces/default/pods")
        .with_header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
    r.credentials = Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
    let now = w.now();
    b.with_inputs(|| api.clone()).bench_values(|mut api| match api.handle(now, Cause::NONE, &r) {
        Outcome::Done(a) => divan::black_box(a.value().to_json()),
        other => panic!("{other:?}"),
    });
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
