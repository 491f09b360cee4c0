//! Every old style of manifest that the book writes goes in and comes out in today's version.

use crate::{ApiServer, Outcome, Settings};
use api::wire::{Body, Credentials, Method, Request, Response};
use api::{Value, yaml};
use sim::{Cause, Instant, Seed};

fn server() -> ApiServer {
    let mut api = ApiServer::new(Seed(1), Settings { book_mode: true, ..Settings::default() });
    api.bootstrap(Instant::ZERO);
    let sa = api::obj!({"metadata": {"name": "default", "namespace": "default"}});
    api.seed_object(Instant::ZERO, "serviceaccounts", "", "v1", sa);
    api
}

fn post(api: &mut ApiServer, path: &str, text: &str, user: &str) -> Response {
    let v = yaml::parse(text).unwrap();
    let mut r = Request::new(Method::Post, path).with_body(Body::text(&v.to_json()));
    let groups = if user == "admin" { vec!["system:masters".into()] } else { Vec::new() };
    r.credentials = Credentials::Certificate { name: user.into(), groups };
    match api.handle(Instant::from_secs(60), Cause::NONE, &r) {
        Outcome::Done(r) => r,
        other => panic!("not an answer: {other:?}"),
    }
}

const POD: &str = "template: {metadata: {labels: {app: kubia}}, spec: {containers: [{name: nodejs, image: 'luksa/kubia:v1'}]}}";

#[test]
fn manifests_of_the_book() {
    let cases: &[(&str, &str, &str, &[&str], &str)] = &[
        (
            "extensions/v1beta1",
            "Deployment",
            "spec: {replicas: 3, POD}",
            &["spec", "strategy", "rollingUpdate"],
            r#"{"maxSurge":1,"maxUnavailable":1}"#,
        ),
        ("apps/v1beta1", "Deployment", "spec: {replicas: 3, POD}", &["spec", "revisionHistoryLimit"], "2"),
        (
            "apps/v1beta2",
            "ReplicaSet",
            "spec: {selector: {matchLabels: {app: kubia}}, POD}",
            &["spec", "replicas"],
            "1",
        ),
        (
            "extensions/v1beta1",
            "ReplicaSet",
            "spec: {POD}",
            &["spec", "selector"],
            r#"{"matchLabels":{"app":"kubia"}}"#,
        ),
        (
            "apps/v1beta2",
            "DaemonSet",
            "spec: {selector: {matchLabels: {app: kubia}}, POD}",
            &["apiVersion"],
            r#""apps/v1""#,
        ),
        (
            "extensions/v1beta1",
            "DaemonSet",
            "spec: {POD}",
            &["spec", "updateStrategy", "type"],
            r#""OnDelete""#,
        ),
        (
            "apps/v1beta1",
            "StatefulSet",
            "spec: {serviceName: kubia, replicas: 2, POD, volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 1Mi}}, accessModes: [ReadWriteOnce]}}]}",
            &["spec", "selector", "matchLabels", "app"],
            r#""kubia""#,
        ),
        (
            "batch/v2alpha1",
            "CronJob",
            "spec: {schedule: '0,15 * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: main, image: luksa/batch-job}]}}}}}",
            &["apiVersion"],
            r#""batch/v1""#,
        ),
        (
            "batch/v1beta1",
            "CronJob",
            "spec: {schedule: '0,15 * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: main, image: luksa/batch-job}]}}}}}",
            &["apiVersion"],
            r#""batch/v1""#,
        ),
        (
            "extensions/v1beta1",
            "Ingress",
            "spec: {rules: [{host: kubia.example.com, http: {paths: [{path: /, backend: {serviceName: kubia-nodeport, servicePort: 80}}]}}]}",
            &["spec", "rules", "0", "http", "paths", "0", "backend"],
            r#"{"service":{"name":"kubia-nodeport","port":{"number":80}}}"#,
        ),
        (
            "networking.k8s.io/v1beta1",
            "Ingress",
            "spec: {backend: {serviceName: a, servicePort: web}}",
            &["spec", "defaultBackend", "service", "port", "name"],
            r#""web""#,
        ),
        (
            "autoscaling/v2beta1",
            "HorizontalPodAutoscaler",
            "spec: {maxReplicas: 5, minReplicas: 1, metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 30}}, {type: Pods, pods: {metricName: qps, targetAverageValue: 100}}, {type: Object, object: {metricName: latencyMillis, target: {apiVersion: extensions/v1beta1, kind: Ingress, name: frontend}, targetValue: 20}}], scaleTargetRef: {apiVersion: extensions/v1beta1, kind: Deployment, name: kubia}}",
            &["spec", "metrics", "2", "object", "describedObject", "apiVersion"],
            r#""networking.k8s.io/v1""#,
        ),
        (
            "policy/v1beta1",
            "PodDisruptionBudget",
            "spec: {minAvailable: 3, selector: {matchLabels: {app: kubia}}}",
            &["apiVersion"],
            r#""policy/v1""#,
        ),
        (
            "rbac.authorization.k8s.io/v1beta1",
            "ClusterRole",
            "rules: [{apiGroups: [''], resources: [services], verbs: [get]}]",
            &["apiVersion"],
            r#""rbac.authorization.k8s.io/v1""#,
        ),
        (
            "rbac.authorization.k8s.io/v1alpha1",
            "ClusterRoleBinding",
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{kind: User, name: bob, apiVersion: rbac.authorization.k8s.io/v1alpha1}]",
            &["subjects", "0", "apiGroup"],
            r#""rbac.authorization.k8s.io""#,
        ),
        (
            "storage.k8s.io/v1beta1",
            "StorageClass",
            "provisioner: kubernetes.io/gce-pd\nparameters: {type: pd-ssd}",
            &["apiVersion"],
            r#""storage.k8s.io/v1""#,
        ),
        (
            "apiextensions.k8s.io/v1beta1",
            "CustomResourceDefinition",
            "spec: {scope: Namespaced, group: extensions.example.com, version: v1, names: {kind: Website, singular: website, plural: websites}}",
            &["spec", "versions", "0", "storage"],
            "true",
        ),
    ];
    for (version, kind, rest, path, want) in cases {
        let mut api = server();
        let r = api.registry.by_kind(version, kind).unwrap_or_else(|| panic!("{version} {kind}")).clone();
        let place = if r.namespaced { "namespaces/default/" } else { "" };
        let url = format!("/apis/{version}/{place}{}", r.plural);
        let name =
            if *kind == "CustomResourceDefinition" { "websites.extensions.example.com" } else { "kubia" };
        let rest = rest.replace("POD", POD);
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}\n");
        let a = post(&mut api, &url, &text, "admin");
        let v = a.value();
        assert_eq!(a.status, 201, "{version} {kind}: {v:?}");
        assert_eq!(v.at(path).to_json(), *want, "{version} {kind}");
        assert!(a.warnings.iter().any(|w| w.contains("was removed in")), "{:?}", a.warnings);
    }
}

#[test]
fn pod_security_policies_are_used() {
    let mut api = server();
    let psp = "apiVersion: extensions/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: default}\nspec: {hostPorts: [{min: 10000, max: 11000}], \
               privileged: false, runAsUser: {rule: MustRunAs, ranges: [{min: 2, max: 2}]}, fsGroup: {rule: RunAsAny}, supplementalGroups: {rule: RunAsAny}, seLinux: {rule: RunAsAny}, volumes: ['*']}\n";
    let a = post(&mut api, "/apis/extensions/v1beta1/podsecuritypolicies", psp, "admin");
    assert_eq!(a.status, 201, "{:?}", a.value());
    let pod = |name: &str, context: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: main, image: alpine, securityContext: {{{context}}}}}]}}\n"
        )
    };
    let pods = "/api/v1/namespaces/default/pods";
    let a = post(&mut api, pods, &pod("ok", ""), "admin");
    assert_eq!(a.value().at(&["spec", "containers", "0", "securityContext", "runAsUser"]), &Value::from(2));
    let a = post(&mut api, pods, &pod("priv", "privileged: true"), "admin");
    assert_eq!(
        a.value().get("message").text(),
        "pods \"priv\" is forbidden: unable to validate against any pod security policy: \
         [spec.containers[0].securityContext.privileged: Invalid value: true: Privileged containers are not allowed]"
    );
}
