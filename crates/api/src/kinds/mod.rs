//! The kinds: what a cluster serves, and for each kind its defaults, validation and table cells.
//!
//! `table.rs` is generated from a cluster's discovery and columns. A kind's behaviour is one file here and one line in
//! [`RULES`]; a kind without a line has [`Rules::GENERIC`].

mod admission;
mod autoscaling;
mod certificate;
pub mod check;
mod config;
mod container;
pub mod crd;
mod daemonset;
mod deployment;
mod diff;
mod endpoints;
mod event;
mod extension;
mod flowcontrol;
mod ingress;
pub mod job;
mod lease;
mod namespace;
mod node;
pub mod persistentvolume;
pub mod pod;
mod podspec;
mod policy;
mod quota;
mod rbac;
mod replicaset;
mod resource;
pub mod scheduling;
mod scheduling_class;
mod service;
mod statefulset;
mod storage;
mod table;
mod volume;
mod workload;

use crate::Value;
use crate::field::Errors;
use sim::Civil;
pub use table::KINDS;

/// What a kind does beyond what its schema says. One constant a kind.
pub struct Rules {
    /// Group and kind that it is for.
    pub of: (&'static str, &'static str),
    /// Fills defaults in, on every write and for every version. Models: `SetDefaults_*`.
    pub defaults: fn(&mut Value),
    /// Prepares a write: clears what clients may not set, keeps status or spec, counts generations. `old` is `None` on
    /// create. Models: the strategy's `PrepareForCreate` and `PrepareForUpdate`.
    pub prepare: fn(new: &mut Value, old: Option<&Value>),
    /// Validates an object.
    pub validate: fn(&Value, &mut Errors),
    /// Validates a change beyond what [`Rules::validate`] says of the new object.
    pub validate_update: fn(new: &Value, old: &Value, &mut Errors),
    /// Validates a change by the status subresource.
    pub validate_status: fn(new: &Value, old: &Value, &mut Errors),
    /// Warnings about a write.
    pub warnings: fn(new: &Value, old: Option<&Value>, &mut Vec<String>),
    /// The cells of its row, in the order of its columns.
    pub cells: Option<fn(&Value, Civil) -> Vec<Value>>,
    /// Fields beyond name and namespace that field selectors may name, with their values.
    pub fields: &'static [(&'static str, fn(&Value) -> String)],
    /// Whether `metadata.generation` counts changes of the spec.
    pub generation: bool,
    /// Whether names may be what `validate` says (path segments) instead of DNS subdomains.
    pub name: NameRule,
}

/// What a kind's names must look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameRule {
    /// RFC 1123 subdomain, up to 253 characters.
    Subdomain,
    /// RFC 1123 label, up to 63.
    Label,
    /// RFC 1035 label, up to 63.
    Label1035,
    /// Anything that can be a path segment.
    PathSegment,
}

impl Rules {
    /// A kind without behaviour of its own.
    pub const GENERIC: Rules = Rules {
        of: ("", ""),
        defaults: |_| {},
        prepare: |_, _| {},
        validate: |_, _| {},
        validate_update: |_, _, _| {},
        validate_status: |_, _, _| {},
        warnings: |_, _, _| {},
        cells: None,
        fields: &[],
        generation: false,
        name: NameRule::Subdomain,
    };
}

/// The behaviour of all kinds that have one.
pub static RULES: &[&Rules] = &[
    &autoscaling::RULES,
    &certificate::RULES,
    &config::CONFIG_MAP,
    &config::SECRET,
    &config::SERVICE_ACCOUNT,
    &crd::RULES,
    &daemonset::RULES,
    &deployment::RULES,
    &endpoints::ENDPOINTS,
    &endpoints::ENDPOINT_SLICE,
    &event::RULES,
    &event::NEW,
    &extension::API_SERVICE,
    &extension::MUTATING,
    &extension::MUTATING_BINDING,
    &extension::MUTATING_POLICY,
    &extension::VALIDATING,
    &extension::VALIDATING_BINDING,
    &extension::VALIDATING_POLICY,
    &flowcontrol::LEVEL,
    &flowcontrol::SCHEMA,
    &ingress::CLASS,
    &ingress::INGRESS,
    &ingress::IP_ADDRESS,
    &ingress::POLICY,
    &ingress::SERVICE_CIDR,
    &job::CRON_JOB,
    &job::JOB,
    &lease::RULES,
    &namespace::COMPONENT_STATUS,
    &namespace::RULES,
    &node::RULES,
    &persistentvolume::CLAIM,
    &persistentvolume::VOLUME,
    &pod::RULES,
    &policy::RULES,
    &quota::LIMITS,
    &quota::QUOTA,
    &rbac::CLUSTER_ROLE,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::ROLE,
    &rbac::ROLE_BINDING,
    &replicaset::CONTROLLER,
    &replicaset::POD_TEMPLATE,
    &replicaset::REVISION,
    &replicaset::RULES,
    &resource::CLAIM,
    &resource::DEVICE_CLASS,
    &resource::SLICE,
    &resource::TEMPLATE,
    &scheduling_class::PRIORITY,
    &scheduling_class::RUNTIME,
    &service::RULES,
    &statefulset::RULES,
    &storage::ATTACHMENT,
    &storage::ATTRIBUTES,
    &storage::CLASS,
    &storage::CSI_CAPACITY,
    &storage::CSI_DRIVER,
    &storage::CSI_NODE,
];

/// The behaviour of a kind.
pub fn rules(group: &str, kind: &str) -> &'static Rules {
    RULES.iter().find(|r| r.of == (group, kind)).copied().unwrap_or(&Rules::GENERIC)
}

impl Kind {
    /// The built-in kind of that group, version and plural.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|k| k.plural == plural && k.group == group && k.version == version)
    }

    /// `v1` or `apps/v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Its type in the schema.
    pub fn type_id(&self) -> Option<crate::schema::TypeId> {
        crate::schema::TypeId::named(self.ty)
    }
}

/// Sets a field that is missing.
pub(crate) fn default(v: &mut Value, key: &str, d: impl Into<Value>) {
    if v.get(key).is_null() {
        v.insert(key, d);
    }
}

/// An age as tables print it: `5s`, `<unknown>` without a time.
pub fn age(time: &Value, now: Civil) -> String {
    match Civil::parse(time.text()) {
        Some(t) => crate::duration::human((now.unix() - t.unix()).max(0) * 1_000_000_000),
        None => "<unknown>".into(),
    }
}

/// The age of an object.
pub fn object_age(v: &Value, now: Civil) -> Value {
    age(v.get("metadata").get("creationTimestamp"), now).into()
}

/// Labels as `a=1,b=2`, or `<none>`.
pub fn format_labels(v: &Value) -> String {
    if v.is_empty() {
        return "<none>".into();
    }
    v.entries().map(|(k, v)| format!("{k}={}", v.text())).collect::<Vec<_>>().join(",")
}

/// Names and images of a template's containers, for wide tables.
pub fn containers_and_images(spec: &Value) -> (Value, Value) {
    let join =
        |f: &str| spec.get("containers").items().map(|c| c.get(f).text()).collect::<Vec<_>>().join(",");
    (join("name").into(), join("image").into())
}

/// A kind as discovery lists it.
#[derive(Debug)]
pub struct Kind {
    /// API group, "" for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural, the name of the resource.
    pub plural: &'static str,
    /// Singular.
    pub singular: &'static str,
    /// Short names.
    pub short: &'static [&'static str],
    /// Categories, as `all`.
    pub categories: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// OpenAPI name of its type, see [`crate::schema`].
    pub ty: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Subresources.
    pub subresources: &'static [Subresource],
    /// Columns of its Table.
    pub columns: &'static [Column],
}

/// A subresource as discovery lists it.
#[derive(Clone, Copy, Debug)]
pub struct Subresource {
    /// Its name in paths.
    pub name: &'static str,
    /// Group of what it takes and gives, "" where it is the kind's own or the core.
    pub group: &'static str,
    /// Version likewise.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
}

/// A column of a Table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// OpenAPI type of the cells.
    pub ty: &'static str,
    /// OpenAPI format of the cells.
    pub format: &'static str,
    /// 0 is always shown, more only with `-o wide`.
    pub priority: i64,
}

pub use node::roles as node_roles;
pub use service::{external_ip as service_external_ip, format_ports as service_ports};
