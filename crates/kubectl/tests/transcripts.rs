//! Transcripts of kubectl against a small cluster with fake nodes: they guard what it prints against accidental change.
//! What it should print is recorded in `tests/oracle/`.

#![allow(clippy::unwrap_used, clippy::panic)]

use cluster::{Command, Setup, World};
use expect_test::{Expect, expect};
use sim::{Duration, Seed};
use std::fmt::Write as _;

const CONFIG: &str = "\
apiVersion: v1
kind: Config
clusters:
- {name: c, cluster: {server: 'https://127.0.0.1:6443'}}
users:
- {name: u, user: {token: t}}
contexts:
- {name: x, context: {cluster: c, user: u}}
current-context: x
";

fn transcript(lines: &[&str], expected: &Expect) {
    let mut setup = Setup::fake(2);
    setup.settings.tokens.push(("t".into(), cluster::User::new("admin", &["system:masters"])));
    setup.env = vec![("KUBECONFIG".into(), "/root/config".into())];
    setup.files.push(("/root/config".into(), CONFIG.as_bytes().to_vec()));
    setup.cwd = "/root".into();
    let mut w = World::new(Seed(7), setup);
    w.run_until(w.now() + Duration::from_secs(3));
    let mut out = String::new();
    for line in lines {
        let job = w.next_job();
        w.command(Command::Run { job, line: (*line).into(), stdin: String::new() });
        let mut ended = None;
        for _ in 0..600 {
            w.run_until(w.now() + Duration::from_millis(100));
            if let Some((text, Some(code))) = w.job(job) {
                ended = Some((String::from_utf8_lossy(text).into_owned(), code));
                break;
            }
        }
        let Some((text, code)) = ended else { panic!("{line:?} does not end") };
        let _ = write!(out, "$ {line}\n{text}");
        if code != 0 {
            let _ = writeln!(out, "[exit {code}]");
        }
    }
    expected.assert_eq(&out);
}

#[test]
fn create_scale_and_remove_a_deployment() {
    transcript(
        &[
            "kubectl create deployment web --image=nginx --replicas=2",
            "kubectl rollout status deployment/web",
            "kubectl get deploy web -o jsonpath='{.status.readyReplicas}{\"\\n\"}'",
            "kubectl scale deploy/web --replicas=1",
            "kubectl set image deploy/web nginx=nginx:1.25",
            "kubectl rollout history deploy web",
            "kubectl rollout undo deploy web",
            "kubectl expose deploy web --port=80 --target-port=8080",
            "kubectl get svc web -o custom-columns=NAME:.metadata.name,PORT:.spec.ports[0].port,TO:.spec.ports[*].targetPort",
            "kubectl label deploy web tier=front",
            "kubectl get deploy -L tier --no-headers | cut -d' ' -f1",
            "kubectl delete deploy,svc web",
        ],
        &expect![[r#"
            $ kubectl create deployment web --image=nginx --replicas=2
            deployment.apps/web created
            $ kubectl rollout status deployment/web
            Waiting for deployment "web" rollout to finish: 0 of 2 updated replicas are available...
            Waiting for deployment "web" rollout to finish: 1 of 2 updated replicas are available...
            deployment "web" successfully rolled out
            $ kubectl get deploy web -o jsonpath='{.status.readyReplicas}{"\n"}'
            2
            $ kubectl scale deploy/web --replicas=1
            deployment.apps/web scaled
            $ kubectl set image deploy/web nginx=nginx:1.25
            deployment.apps/web image updated
            $ kubectl rollout history deploy web
            deployment.apps/web 
            REVISION  CHANGE-CAUSE
            1         <none>
            2         <none>

            $ kubectl rollout undo deploy web
            deployment.apps/web rolled back
            $ kubectl expose deploy web --port=80 --target-port=8080
            service/web exposed
            $ kubectl get svc web -o custom-columns=NAME:.metadata.name,PORT:.spec.ports[0].port,TO:.spec.ports[*].targetPort
            NAME   PORT   TO
            web    80     8080
            $ kubectl label deploy web tier=front
            deployment.apps/web labeled
            $ kubectl get deploy -L tier --no-headers | cut -d' ' -f1
            web
            $ kubectl delete deploy,svc web
            deployment.apps "web" deleted from default namespace
            service "web" deleted from default namespace
        "#]],
    );
}

#[test]
fn apply_keeps_what_others_set() {
    transcript(
        &[
            "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: c}\\ndata: {a: \"1\", b: \"2\"}\\n' > c.yaml",
            "kubectl apply -f c.yaml",
            "kubectl apply -f c.yaml",
            "kubectl patch cm c -p '{\"data\":{\"z\":\"26\"}}'",
            "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: c}\\ndata: {a: \"3\"}\\n' > c.yaml",
            "kubectl diff -f c.yaml | grep '^[-+] '",
            "kubectl apply -f c.yaml",
            "kubectl get cm c -o go-template='{{range $k, $v := .data}}{{$k}}={{$v}} {{end}}{{\"\\n\"}}'",
            "kubectl apply -f nope.yaml",
            "echo 'a: b: c' | kubectl apply -f -",
        ],
        &expect![[r#"
            $ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "1", b: "2"}\n' > c.yaml
            $ kubectl apply -f c.yaml
            configmap/c created
            $ kubectl apply -f c.yaml
            configmap/c unchanged
            $ kubectl patch cm c -p '{"data":{"z":"26"}}'
            configmap/c patched
            $ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "3"}\n' > c.yaml
            $ kubectl diff -f c.yaml | grep '^[-+] '
            -  a: "1"
            -  b: "2"
            +  a: "3"
            $ kubectl apply -f c.yaml
            configmap/c configured
            $ kubectl get cm c -o go-template='{{range $k, $v := .data}}{{$k}}={{$v}} {{end}}{{"\n"}}'
            a=3 z=26 
            $ kubectl apply -f nope.yaml
            error: the path "nope.yaml" does not exist
            [exit 1]
            $ echo 'a: b: c' | kubectl apply -f -
            error: error parsing STDIN: error converting YAML to JSON: yaml: mapping values are not allowed in this context
            [exit 1]
        "#]],
    );
}

#[test]
fn misuse() {
    transcript(
        &[
            "kubectl gte pods",
            "kubectl get",
            "kubectl get pods --nope",
            "kubectl get pods -o nope",
            "kubectl get nope",
            "kubectl get pod a b -l x=y",
            "kubectl create deployment web",
            "kubectl scale deploy web",
            "kubectl run p",
            "kubectl --context=nope get pods",
            "kubectl delete pod",
            "kubectl explain pod.spec.nope",
            "kubectl debug p",
            "kubectl port-forward p",
        ],
        &expect![[r#"
            $ kubectl gte pods
            error: unknown command "gte" for "kubectl"

            Did you mean this?
            	get
            [exit 1]
            $ kubectl get
            You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported resources.

            error: Required resource not specified.
            Use "kubectl explain <resource>" for a detailed description of that resource (e.g. kubectl explain pods).
            See 'kubectl get -h' for help and examples
            [exit 1]
            $ kubectl get pods --nope
            error: unknown flag: --nope
            See 'kubectl get --help' for usage.
            [exit 1]
            $ kubectl get pods -o nope
            error: unable to match a printer suitable for the output format "nope", allowed formats are: custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,wide,yaml
            [exit 1]
            $ kubectl get nope
            error: the server doesn't have a resource type "nope"
            [exit 1]
            $ kubectl get pod a b -l x=y
            error: name cannot be provided when a selector is specified
            [exit 1]
            $ kubectl create deployment web
            error: required flag(s) "image" not set
            [exit 1]
            $ kubectl scale deploy web
            error: required flag(s) "replicas" not set
            [exit 1]
            $ kubectl run p
            error: required flag(s) "image" not set
            [exit 1]
            $ kubectl --context=nope get pods
            Error in configuration: context was not found for specified context: nope
            [exit 1]
            $ kubectl delete pod
            error: resource(s) were provided, but no name was specified
            [exit 1]
            $ kubectl explain pod.spec.nope
            KIND:       Pod
            VERSION:    v1

            error: field "nope" does not exist
            [exit 1]
            $ kubectl debug p
            error: you must specify --image when not using --copy-to.
            [exit 1]
            $ kubectl port-forward p
            error: TYPE/NAME and list of ports are required for port-forward
            See 'kubectl port-forward -h' for help and examples
            [exit 1]
        "#]],
    );
}

#[test]
fn completion() {
    transcript(
        &[
            "kubectl create ns team-a",
            "kubectl __complete get po 2>/dev/null",
            "kubectl __complete get ns te 2>/dev/null",
            "kubectl __complete rollout '' 2>/dev/null",
            "kubectl __complete -n te 2>/dev/null",
        ],
        &expect![[r#"
            $ kubectl create ns team-a
            namespace/team-a created
            $ kubectl __complete get po 2>/dev/null
            pods
            podtemplates
            poddisruptionbudgets.policy
            :4
            $ kubectl __complete get ns te 2>/dev/null
            team-a
            :4
            $ kubectl __complete rollout '' 2>/dev/null
            history	View rollout history
            pause	Mark the provided resource as paused
            restart	Restart a resource
            resume	Resume a paused resource
            status	Show the status of the rollout
            undo	Undo a previous rollout
            :4
            $ kubectl __complete -n te 2>/dev/null
            team-a
            :4
        "#]],
    );
}

#[test]
fn nodes() {
    transcript(
        &[
            "kubectl cordon node-1",
            "kubectl cordon node-1",
            "kubectl taint nodes node-1 a=b:NoSchedule",
            "kubectl taint nodes node-1 a-",
            "kubectl get nodes | cut -c1-34",
            "kubectl create deployment web --image=nginx; kubectl rollout status deploy web",
            "kubectl run bare --image=nginx; kubectl wait pod bare --for=condition=Ready",
            "kubectl drain node-2",
            "kubectl uncordon node-1 node-2",
        ],
        &expect![[r#"
            $ kubectl cordon node-1
            node/node-1 cordoned
            $ kubectl cordon node-1
            node/node-1 already cordoned
            $ kubectl taint nodes node-1 a=b:NoSchedule
            node/node-1 tainted
            $ kubectl taint nodes node-1 a-
            node/node-1 untainted
            $ kubectl get nodes | cut -c1-34
            NAME     STATUS                   
            node-1   Ready,SchedulingDisabled 
            node-2   Ready                    
            $ kubectl create deployment web --image=nginx; kubectl rollout status deploy web
            deployment.apps/web created
            Waiting for deployment "web" rollout to finish: 0 out of 1 new replicas have been updated...
            Waiting for deployment "web" rollout to finish: 0 of 1 updated replicas are available...
            deployment "web" successfully rolled out
            $ kubectl run bare --image=nginx; kubectl wait pod bare --for=condition=Ready
            pod/bare created
            pod/bare condition met
            $ kubectl drain node-2
            node/node-2 cordoned
            error: unable to drain node "node-2" due to error: cannot delete Pods that declare no controller (use --force to override): default/bare, continuing command...
            There are pending nodes to be drained:
             node-2
            cannot delete Pods that declare no controller (use --force to override): default/bare
            [exit 1]
            $ kubectl uncordon node-1 node-2
            node/node-1 uncordoned
            node/node-2 uncordoned
        "#]],
    );
}
