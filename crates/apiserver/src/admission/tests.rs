//! What the plugins refuse, through the whole pipeline.

use crate::{ApiServer, Outcome, Settings};
use api::wire::{Body, Credentials, Method, Request, Response};
use api::{Value, yaml};
use sim::{Cause, Instant, Seed};

fn send(
    api: &mut ApiServer,
    user: &str,
    groups: &[&str],
    method: Method,
    path: &str,
    text: &str,
) -> Response {
    let v = yaml::parse(text).unwrap();
    let mut r = Request::new(method, path).with_body(Body::text(&v.to_json()));
    if method == Method::Patch {
        r = r.with_header("content-type", "application/merge-patch+json");
    }
    let groups = groups.iter().map(|g| (*g).into()).collect();
    r.credentials = Credentials::Certificate { name: user.into(), groups };
    match api.handle(Instant::from_secs(60), Cause::NONE, &r) {
        Outcome::Done(r) => r,
        other => panic!("not an answer: {other:?}"),
    }
}

fn server(plugins: &[&str]) -> ApiServer {
    let plugins = plugins.iter().map(|p| (*p).into()).collect();
    let mut api = ApiServer::new(Seed(1), Settings { plugins, ..Settings::default() });
    api.bootstrap(Instant::ZERO);
    let sa = api::obj!({"metadata": {"name": "default", "namespace": "default"}});
    api.seed_object(Instant::ZERO, "serviceaccounts", "", "v1", sa);
    api
}

fn message(r: &Response) -> String {
    r.value().get("message").text().to_owned()
}

#[test]
fn kubelets_write_their_own_node_alone() {
    let mut api = server(&[]);
    let node = |name: &str| format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}");
    let me = ("system:node:a", &["system:nodes"][..]);
    let r = send(&mut api, me.0, me.1, Method::Post, "/api/v1/nodes", &node("a"));
    assert_eq!(r.status, 201, "{}", message(&r));
    assert_eq!(r.value().at(&["spec", "taints", "0", "key"]).text(), "node.kubernetes.io/not-ready");
    let r = send(&mut api, me.0, me.1, Method::Post, "/api/v1/nodes", &node("b"));
    assert_eq!(message(&r), "nodes \"b\" is forbidden: node \"a\" is not allowed to modify node \"b\"");
    let label = "{metadata: {labels: {node-restriction.kubernetes.io/x: z}}}";
    let r = send(&mut api, me.0, me.1, Method::Patch, "/api/v1/nodes/a", label);
    assert_eq!(
        message(&r),
        "nodes \"a\" is forbidden: node \"a\" is not allowed to modify labels: node-restriction.kubernetes.io/x"
    );
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: x}]}}";
    let r = send(&mut api, me.0, me.1, Method::Post, "/api/v1/namespaces/default/pods", pod);
    assert_eq!(
        message(&r),
        "pods \"p\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"a\" can only create \
         mirror pods"
    );
}

#[test]
fn classes_and_plugins_that_are_switched_on() {
    let mut api = server(&["AlwaysPullImages"]);
    let admin = ("admin", &["system:masters"][..]);
    let pods = "/api/v1/namespaces/default/pods";
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {runtimeClassName: gvisor, containers: [{name: c, image: 'x:1'}]}}";
    let r = send(&mut api, admin.0, admin.1, Method::Post, pods, pod);
    assert_eq!(message(&r), "pods \"p\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found");
    let class = "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: gvisor}, handler: runsc, overhead: {podFixed: {cpu: 10m}}, scheduling: {nodeSelector: {r: g}}}";
    let r = send(&mut api, admin.0, admin.1, Method::Post, "/apis/node.k8s.io/v1/runtimeclasses", class);
    assert_eq!(r.status, 201, "{}", message(&r));
    let r = send(&mut api, admin.0, admin.1, Method::Post, pods, pod);
    let spec = r.value().get("spec").clone();
    assert_eq!(spec.at(&["overhead", "cpu"]).text(), "10m");
    assert_eq!(spec.at(&["nodeSelector", "r"]).text(), "g");
    assert_eq!(spec.at(&["containers", "0", "imagePullPolicy"]), &Value::from("Always"));
}

#[test]
fn policies_in_cel() {
    let mut api = server(&[]);
    let admin = ("admin", &["system:masters"][..]);
    let base = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let policy = "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: limit}, spec: {
        matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]},
        variables: [{name: max, expression: 'int(params.data.max)'}], paramKind: {apiVersion: v1, kind: ConfigMap},
        validations: [{expression: 'object.spec.replicas <= variables.max', messageExpression: '\"at most \" + string(variables.max) + \" replicas\"'}]}}";
    let r = send(&mut api, admin.0, admin.1, Method::Post, base, policy);
    assert_eq!(r.status, 201, "{}", message(&r));
    let binding = "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: all}, spec: {
        policyName: limit, validationActions: [Deny], paramRef: {name: limits, parameterNotFoundAction: Deny}}}";
    let r = send(
        &mut api,
        admin.0,
        admin.1,
        Method::Post,
        &base.to_string().replace("policies", "policybindings"),
        binding,
    );
    assert_eq!(r.status, 201, "{}", message(&r));
    let deployment = |n: u32| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{replicas: {n}, selector: {{matchLabels: {{a: b}}}}, \
         template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: x}}]}}}}}}}}"
        )
    };
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let r = send(&mut api, admin.0, admin.1, Method::Post, path, &deployment(1));
    assert!(message(&r).contains("no params found for policy binding"), "{}", message(&r));
    let limits = "{apiVersion: v1, kind: ConfigMap, metadata: {name: limits}, data: {max: '3'}}";
    send(&mut api, admin.0, admin.1, Method::Post, "/api/v1/namespaces/default/configmaps", limits);
    let r = send(&mut api, admin.0, admin.1, Method::Post, path, &deployment(4));
    assert_eq!((r.status, r.value().get("reason").text()), (422, "Invalid"));
    assert_eq!(
        message(&r),
        "deployments.apps \"d\" is forbidden: ValidatingAdmissionPolicy 'limit' with binding 'all' denied request: at most 3 replicas"
    );
    let r = send(&mut api, admin.0, admin.1, Method::Post, path, &deployment(3));
    assert_eq!(r.status, 201, "{}", message(&r));
}
