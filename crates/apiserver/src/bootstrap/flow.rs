//! Priority and fairness as a new cluster has it: FlowSchemas and PriorityLevelConfigurations.
//!
//! Models: `pkg/apis/flowcontrol/bootstrap`. The objects are there to be read; requests are not queued.

use crate::ApiServer;
use crate::auth::User;
use crate::request::{self, Path, parse_path};
use api::wire::Request;
use api::{SmolStr, Value, obj};
use sim::Instant;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// Name, shares, lendable percent, and queues with hand size for those that queue.
type Level = (&'static str, i64, i64, Option<(i64, i64)>);

const LEVELS: &[Level] = &[
    ("catch-all", 5, 0, None),
    ("global-default", 20, 50, Some((128, 6))),
    ("leader-election", 10, 0, Some((16, 4))),
    ("node-high", 40, 25, Some((64, 6))),
    ("system", 30, 33, Some((64, 6))),
    ("workload-high", 40, 50, Some((128, 6))),
    ("workload-low", 100, 90, Some((128, 6))),
];

/// Requests waiting in a queue of any level.
const QUEUE_LENGTH: i64 = 50;

/// What a schema's rule matches.
enum Rules {
    /// Everything.
    All,
    /// Verbs, group, resources, and whether they are cluster-scoped.
    Resources(&'static [(&'static [&'static str], &'static str, &'static [&'static str], bool)]),
    /// Paths that are read.
    Paths(&'static [&'static str]),
}

/// Name, level, precedence, distinguisher, subjects (`u:` users, `g:` groups, `s:` service accounts), rules.
type Schema = (&'static str, &'static str, i64, &'static str, &'static [&'static str], Rules);

const EVERYONE: &[&str] = &["g:system:unauthenticated", "g:system:authenticated"];

const SCHEMAS: &[Schema] = &[
    ("exempt", "exempt", 1, "", &["g:system:masters"], Rules::All),
    ("probes", "exempt", 2, "", EVERYONE, Rules::Paths(&["/healthz", "/readyz", "/livez"])),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &["u:system:kube-controller-manager", "u:system:kube-scheduler", "s:kube-system:*"],
        Rules::Resources(&[(&["get", "create", "update"], "coordination.k8s.io", &["leases"], false)]),
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        &["g:system:nodes"],
        Rules::Resources(&[
            (&["*"], "", &["nodes", "nodes/status"], true),
            (&["*"], "coordination.k8s.io", &["leases"], false),
        ]),
    ),
    ("system-nodes", "system", 500, "ByUser", &["g:system:nodes"], Rules::All),
    (
        "kube-controller-manager",
        "workload-high",
        800,
        "ByNamespace",
        &["u:system:kube-controller-manager"],
        Rules::All,
    ),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", &["u:system:kube-scheduler"], Rules::All),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", &["s:kube-system:*"], Rules::All),
    ("service-accounts", "workload-low", 9000, "ByUser", &["g:system:serviceaccounts"], Rules::All),
    ("global-default", "global-default", 9900, "ByUser", EVERYONE, Rules::All),
    ("catch-all", "catch-all", 10_000, "ByUser", EVERYONE, Rules::All),
];

fn metadata(name: &str) -> Value {
    obj!({"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}})
}

fn level(l: &Level) -> Value {
    let (name, shares, lendable, queuing) = l;
    let response = match queuing {
        None => obj!({"type": "Reject"}),
        Some((queues, hand)) => obj!({
            "type": "Queue",
            "queuing": {"queues": *queues, "handSize": *hand, "queueLengthLimit": QUEUE_LENGTH}
        }),
    };
    obj!({
        "metadata": metadata(name),
        "spec": {
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": *shares, "lendablePercent": *lendable, "limitResponse": response}
        },
        "status": {}
    })
}

fn subject(s: &str) -> Value {
    let (kind, name) = s.split_once(':').unwrap_or(("", s));
    match kind {
        "u" => obj!({"kind": "User", "user": {"name": name}}),
        "g" => obj!({"kind": "Group", "group": {"name": name}}),
        _ => {
            let (namespace, name) = name.split_once(':').unwrap_or(("", name));
            obj!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}})
        }
    }
}

fn schema(s: &Schema, now: &str) -> Value {
    let (name, level, precedence, by, subjects, rules) = s;
    let mut rule = obj!({"subjects": subjects.iter().map(|s| subject(s)).collect::<Value>()});
    let texts = |l: &[&str]| l.iter().copied().collect::<Value>();
    match rules {
        Rules::All => {
            rule.insert(
                "resourceRules",
                obj!([{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]
                }]),
            );
            rule.insert("nonResourceRules", obj!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]));
        }
        Rules::Resources(list) => {
            let list: Value = list
                .iter()
                .map(|(verbs, group, resources, cluster)| {
                    let mut r = obj!({
                        "verbs": texts(verbs), "apiGroups": [*group], "resources": texts(resources)
                    });
                    if *cluster {
                        r.insert("clusterScope", true);
                    } else {
                        r.insert("namespaces", obj!(["*"]));
                    }
                    r
                })
                .collect();
            rule.insert("resourceRules", list);
        }
        Rules::Paths(list) => {
            rule.insert("nonResourceRules", obj!([{"verbs": ["get"], "nonResourceURLs": texts(list)}]));
        }
    }
    let mut spec = obj!({
        "priorityLevelConfiguration": {"name": *level}, "matchingPrecedence": *precedence, "rules": [rule]
    });
    if !by.is_empty() {
        spec.insert("distinguisherMethod", obj!({"type": *by}));
    }
    let m = format!(
        "This FlowSchema references the PriorityLevelConfiguration object named \"{level}\" and it exists"
    );
    obj!({
        "metadata": metadata(name),
        "spec": spec,
        "status": {"conditions": [{
            "type": "Dangling", "status": "False", "lastTransitionTime": now, "reason": "Found", "message": m
        }]}
    })
}

impl ApiServer {
    /// Creates the default levels and schemas.
    pub(super) fn seed_flow_control(&mut self, now: Instant) {
        let exempt = obj!({
            "metadata": metadata("exempt"),
            "spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
            "status": {}
        });
        let levels = core::iter::once(exempt).chain(LEVELS.iter().map(level));
        for o in levels.collect::<Vec<_>>() {
            self.seed_object(now, "prioritylevelconfigurations", GROUP, "v1", o);
        }
        let time = self.timestamp(now);
        for s in SCHEMAS {
            let o = schema(s, &time);
            let status = o.get("status").clone();
            self.seed_object(now, "flowschemas", GROUP, "v1", o);
            self.seed_status(now, "flowschemas", GROUP, s.0, status);
        }
    }
}

impl ApiServer {
    /// The headers that tell which schema and level a request fell under. Models: the priority and fairness filter.
    pub fn flow_headers(&self, req: &Request) -> Vec<(SmolStr, String)> {
        let Some(user) = self.authenticate(&req.credentials) else { return Vec::new() };
        let id = |plural| self.registry.id(GROUP, "v1", plural);
        let (Some(schemas), Some(levels)) = (id("flowschemas"), id("prioritylevelconfigurations")) else {
            return Vec::new();
        };
        let mut all: Vec<&Value> = self.store.list(schemas, None, None).map(|(_, v)| v).collect();
        all.sort_by_key(|v| v.at(&["spec", "matchingPrecedence"]).int());
        let mine =
            |rule: &Value| rule.get("subjects").items().any(|s| is_subject(s, &user)) && covers(rule, req);
        let Some(schema) = all.into_iter().find(|v| v.at(&["spec", "rules"]).items().any(mine)) else {
            return Vec::new();
        };
        let level = schema.at(&["spec", "priorityLevelConfiguration", "name"]).text();
        let level = self.store.get(levels, "", level).map(|l| l.uid().to_owned()).unwrap_or_default();
        vec![
            ("x-kubernetes-pf-flowschema-uid".into(), schema.uid().to_owned()),
            ("x-kubernetes-pf-prioritylevel-uid".into(), level),
        ]
    }
}

fn is_subject(s: &Value, user: &User) -> bool {
    let is = |v: &Value, x: &str| v.text() == x || v.text() == "*";
    match s.kind() {
        "User" => is(s.at(&["user", "name"]), &user.name),
        "Group" => user.groups.iter().any(|g| is(s.at(&["group", "name"]), g)),
        _ => user.as_service_account().is_some_and(|(ns, name)| {
            let a = s.get("serviceAccount");
            a.get("namespace").text() == ns && is(a.get("name"), name)
        }),
    }
}

fn covers(rule: &Value, req: &Request) -> bool {
    let has = |list: &Value, x: &str| list.items().any(|v| v.text() == x || v.text() == "*");
    match parse_path(&req.path) {
        Path::Resource { group, plural, namespace, name, sub, .. } => {
            let verb = request::verb(req, name).as_str();
            let full = if sub.is_empty() { plural.to_owned() } else { format!("{plural}/{sub}") };
            rule.get("resourceRules").items().any(|r| {
                let place = if namespace.is_empty() {
                    r.get("clusterScope").is_true()
                } else {
                    has(r.get("namespaces"), namespace)
                };
                place
                    && has(r.get("verbs"), verb)
                    && has(r.get("apiGroups"), group)
                    && has(r.get("resources"), &full)
            })
        }
        Path::Other => {
            let verb = req.method.as_str().to_lowercase();
            rule.get("nonResourceRules")
                .items()
                .any(|r| has(r.get("verbs"), &verb) && has(r.get("nonResourceURLs"), &req.path))
        }
    }
}
