//! Bad input gets an answer: no panic, no hang, nothing changed.

use api::wire::{Body, Credentials, Method, Request};
use apiserver::Outcome;
use cluster::{Command, Setup, World};
use sim::{Duration, Seed, Stream};

fn world() -> World {
    let mut w = World::new(Seed(3), Setup::fake(1));
    w.run_until(w.now() + Duration::from_secs(3));
    w
}

/// Bytes that mean something to one grammar or another.
const ODD: &[u8] = b"{}[]\"'|&;<>$`\\\n: -%/\0\xff";

/// Changes a few bytes of a text.
fn mutated(chance: &mut Stream, text: &str) -> Vec<u8> {
    let mut b = text.as_bytes().to_vec();
    for _ in 0..=chance.bits() % 4 {
        let at = (chance.bits() % (b.len() as u64 + 1)) as usize;
        match chance.bits() % 3 {
            0 => b.insert(at, chance.bits() as u8),
            1 if at < b.len() => b[at] = ODD[(chance.bits() % ODD.len() as u64) as usize],
            _ if at < b.len() => {
                b.remove(at);
            }
            _ => {}
        }
    }
    b
}

#[test]
fn requests() {
    let mut w = world();
    let mut chance = Seed(11).stream("requests");
    let paths = [
        "/api/v1/namespaces/default/pods",
        "/apis/apps/v1/namespaces/default/deployments/web/scale",
        "/api/v1/nodes/node-1/status",
        "/api/v1/namespaces/default/pods/x/exec",
    ];
    let body = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
    let methods = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];
    for i in 0..3000 {
        let path = String::from_utf8_lossy(&mutated(&mut chance, paths[i % paths.len()])).into_owned();
        let mut r = Request::new(methods[(chance.bits() % 5) as usize], path)
            .with_body(Body::Bytes(mutated(&mut chance, body).into()))
            .with_header(
                "content-type",
                ["application/json", "application/yaml", "application/merge-patch+json"][i % 3],
            )
            .with_query(
                "labelSelector",
                String::from_utf8_lossy(&mutated(&mut chance, "a in (b,c),!d")).into_owned(),
            );
        r.credentials =
            Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
        if let Outcome::Done(a) = w.request(&r) {
            assert!((200..600).contains(&a.status), "{r:?}");
        }
    }
}

#[test]
fn shell_lines() {
    let mut w = world();
    let mut chance = Seed(12).stream("lines");
    let lines = [
        "for i in 1 2 3; do echo $i | grep -v 2; done > /tmp/x; cat /tmp/x",
        "kubectl get pods -o jsonpath='{.items[*].metadata.name}' -l 'a in (b)'",
        "if [ \"$(echo a | tr a b)\" = b ]; then printf '%s\\n' ok; fi",
        "case $HOME in /root) echo root;; *) echo other;; esac & wait; echo ${HOME%/*} $((1+2*3))",
    ];
    for i in 0..400 {
        let line = String::from_utf8_lossy(&mutated(&mut chance, lines[i % lines.len()])).into_owned();
        let job = w.next_job();
        w.command(Command::Run {
            job,
            line: format!("timeout 20 sh -c '{}'", line.replace('\'', "'\\''")),
            stdin: String::new(),
        });
        w.run_until(w.now() + Duration::from_secs(30));
        assert!(w.job(job).is_some_and(|(_, code)| code.is_some()), "does not end: {line:?}");
    }
}

#[test]
fn manifests() {
    let w = world();
    let mut chance = Seed(13).stream("manifests");
    let yaml = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: &a x\n  labels: {a: *a}\nspec:\n  containers:\n  - name: c\n    image: i\n    args: [\"1\", !!str 2, |-\n      x\n    ]\n";
    for _ in 0..2000 {
        let text = String::from_utf8_lossy(&mutated(&mut chance, yaml)).into_owned();
        for d in api::yaml::parse_all(&text).0 {
            let _ = w.check_manifest(&d);
        }
    }
    let deep = "[".repeat(100_000);
    assert!(api::yaml::parse(&deep).is_err());
    let bomb = (1..30)
        .fold("a0: &a0 [x,x]\n".to_owned(), |s, i| s + &format!("a{i}: &a{i} [*a{},*a{}]\n", i - 1, i - 1));
    assert!(api::yaml::parse(&bomb).is_err());
}

#[test]
fn links() {
    let w = world();
    let link = scenario::Scenario::of(&w, "x", 1).to_link();
    let mut chance = Seed(14).stream("links");
    for _ in 0..500 {
        let text = String::from_utf8_lossy(&mutated(&mut chance, &link)).into_owned();
        let _ = scenario::Scenario::from_link(&text);
    }
}

#[test]
fn old_manifests_and_expressions() {
    let mut setup = Setup::fake(1);
    setup.settings.book_mode = true;
    let mut w = World::new(Seed(3), setup);
    let mut chance = Seed(12).stream("old");
    let bodies = [
        (
            "/apis/extensions/v1beta1/namespaces/default/ingresses",
            r#"{"apiVersion":"extensions/v1beta1","kind":"Ingress","metadata":{"name":"x"},"spec":{"backend":{"serviceName":"a","servicePort":80},"rules":[{"http":{"paths":[{"backend":{"serviceName":"a","servicePort":"b"}}]}}]}}"#,
        ),
        (
            "/apis/autoscaling/v2beta1/namespaces/default/horizontalpodautoscalers",
            r#"{"apiVersion":"autoscaling/v2beta1","kind":"HorizontalPodAutoscaler","metadata":{"name":"x"},"spec":{"maxReplicas":5,"metrics":[{"type":"Object","object":{"metricName":"m","target":{"kind":"A","name":"b"},"targetValue":1}}],"scaleTargetRef":{"apiVersion":"extensions/v1beta1","kind":"Deployment","name":"d"}}}"#,
        ),
        (
            "/apis/apiextensions.k8s.io/v1beta1/customresourcedefinitions",
            r#"{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"CustomResourceDefinition","metadata":{"name":"as.b.c"},"spec":{"group":"b.c","version":"v1","names":{"kind":"A","plural":"as"},"validation":{"openAPIV3Schema":{"properties":{"spec":{"items":{}}}}}}}"#,
        ),
        (
            "/apis/extensions/v1beta1/podsecuritypolicies",
            r#"{"apiVersion":"extensions/v1beta1","kind":"PodSecurityPolicy","metadata":{"name":"x"},"spec":{"runAsUser":{"rule":"MustRunAs","ranges":[{"min":2}]},"volumes":["*"]}}"#,
        ),
        (
            "/api/v1/namespaces/default/pods",
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"x-"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#,
        ),
    ];
    for i in 0..2000 {
        let (path, body) = bodies[i % bodies.len()];
        let mut r = Request::new(Method::Post, path)
            .with_body(Body::Bytes(mutated(&mut chance, body).into()))
            .with_header("content-type", "application/json");
        r.credentials =
            Credentials::Certificate { name: "admin".into(), groups: vec!["system:masters".into()] };
        if let Outcome::Done(a) = w.request(&r) {
            assert!((200..600).contains(&a.status));
        }
    }
    let v = api::obj!({"a": [1, 2], "s": "x", "m": {"k": "v"}});
    let rule = "self.a.map(x, x * 2).exists(y, y in [2, 4]) && self.?m.k.orValue('') == 'v' ? size(self.s) > 0 : self.s.substring(1, 2) == duration('1h2m')";
    for _ in 0..5000 {
        let text = String::from_utf8_lossy(&mutated(&mut chance, rule)).into_owned();
        let _ = api::cel::evaluate(&text, &v, Some(&v), &mut api::cel::Budget::default());
    }
}
