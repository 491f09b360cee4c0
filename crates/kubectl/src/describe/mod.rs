//! `kubectl describe`'s pages, one file a family of kinds. Models: `kubectl/pkg/describe`.

mod batch;
mod config;
mod generic;
mod network;
mod node;
mod pod;
mod policy;
pub mod rbac;
mod storage;
pub mod template;
mod workload;

use crate::client::Api;
use crate::cx::{Cx, Done};
use crate::resource::{Info, list_items};
use crate::tabwriter::TabWriter;
use api::wire::Request;
use api::{Value, duration};
use sim::Civil;

/// A page in the making: lines with tabs, indented by level.
#[derive(Clone, Debug, Default)]
pub struct W {
    done: String,
    open: String,
}

impl W {
    /// An empty page.
    pub fn new() -> W {
        W::default()
    }

    /// Appends text at a level; each level is two blanks.
    pub fn put(&mut self, level: usize, text: impl AsRef<str>) {
        self.open.extend(core::iter::repeat_n("  ", level));
        self.open.push_str(text.as_ref());
    }

    /// Appends a line at a level.
    pub fn line(&mut self, level: usize, text: impl AsRef<str>) {
        self.put(level, text);
        self.open.push('\n');
    }

    /// `Label:  value`
    pub fn field(&mut self, level: usize, label: &str, value: impl core::fmt::Display) {
        self.line(level, format!("{label}:\t{value}"));
    }

    /// Aligns what was written so far among itself.
    pub fn flush(&mut self) {
        let mut t = TabWriter::describe();
        t.write(&self.open);
        self.done.push_str(&t.finish());
        self.open.clear();
    }

    /// The aligned page.
    pub fn finish(mut self) -> String {
        self.flush();
        self.done
    }

    /// The text with its tabs, as `rollout history` prints it.
    pub fn raw(self) -> String {
        self.done + &self.open
    }

    /// `Labels:` and the like: one pair a line.
    pub fn labels(&mut self, title: &str, labels: &Value) {
        self.labels_at("", title, "\t", labels);
    }

    /// The same with an indent.
    pub fn labels_at(&mut self, indent: &str, title: &str, inner: &str, labels: &Value) {
        self.put(0, format!("{indent}{title}:{inner}"));
        if labels.is_empty() {
            self.line(0, "<none>");
            return;
        }
        for (i, (k, v)) in labels.entries().enumerate() {
            if i > 0 {
                self.put(0, inner);
            }
            self.line(0, format!("{k}={}", v.text()));
        }
    }

    /// `Annotations:`
    pub fn annotations(&mut self, annotations: &Value) {
        self.annotations_at("", "Annotations", annotations);
    }

    /// The same with an indent and a title.
    pub fn annotations_at(&mut self, indent: &str, title: &str, annotations: &Value) {
        const LENGTH_MAX: usize = 140;
        self.put(0, format!("{indent}{title}:\t"));
        let shown: Vec<(&api::Key, &Value)> =
            annotations.entries().filter(|(k, _)| k.as_str() != crate::commands::LAST_APPLIED).collect();
        if shown.is_empty() {
            self.line(0, "<none>");
            return;
        }
        for (i, (k, v)) in shown.into_iter().enumerate() {
            if i > 0 {
                self.put(0, format!("{indent}\t"));
            }
            let value = v.text().strip_suffix('\n').unwrap_or(v.text());
            if value.len() + k.len() + 2 > LENGTH_MAX || value.contains('\n') {
                self.line(0, format!("{}:", k.as_str()));
                for l in value.split('\n') {
                    self.line(0, format!("{indent}\t  {}", shorten(l, LENGTH_MAX - 2)));
                }
            } else {
                self.line(0, format!("{}: {value}", k.as_str()));
            }
        }
    }
}

fn shorten(s: &str, max: usize) -> String {
    if s.len() <= max {
        return s.to_owned();
    }
    let mut end = max;
    while !s.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &s[..end])
}

/// A time as pages show it: `Tue, 24 Nov 2026 21:17:34 +0000`.
pub fn date(v: &Value) -> String {
    let Some(c) = Civil::parse(v.text()) else { return "<unset>".into() };
    rfc1123(&c)
}

/// RFC 1123 with a numeric zone.
pub fn rfc1123(c: &Civil) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
        DAYS[usize::from(c.weekday()) % 7],
        c.day,
        MONTHS[usize::from(c.month.clamp(1, 12)) - 1],
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

/// An age as pages show it, `<unknown>` for no time.
pub fn since(v: &Value, now: &Civil) -> String {
    match Civil::parse(v.text()) {
        Some(t) => duration::human(nanos(now) - nanos(&t)),
        None => "<unknown>".into(),
    }
}

/// Nanoseconds since 1970.
pub fn nanos(c: &Civil) -> i64 {
    c.unix().saturating_mul(duration::SECOND).saturating_add(i64::from(c.nanos))
}

/// A truth as Go's printer of booleans writes it.
pub fn truth(b: bool) -> &'static str {
    if b { "True" } else { "False" }
}

/// The text, or a word where there is none.
pub fn or<'a>(s: &'a str, word: &'a str) -> &'a str {
    if s.is_empty() { word } else { s }
}

/// What describers have at hand.
pub struct Describer<'a, 'b> {
    /// The outside.
    pub cx: &'a mut Cx<'b>,
    /// The server.
    pub api: &'a Api,
    /// Whether events are shown.
    pub events: bool,
}

impl Describer<'_, '_> {
    /// A list, or nothing where the server refuses.
    pub fn list(&mut self, path: &str, labels: &str) -> Done<Vec<Value>> {
        let mut r = Request::get(path);
        if !labels.is_empty() {
            r = r.with_query("labelSelector", labels);
        }
        let v = self.api.call(self.cx, r);
        Ok(self.cx.catch(v)?.map(|l| list_items(&l)).unwrap_or_default())
    }

    /// An object, or null.
    pub fn get(&mut self, path: &str) -> Done<Value> {
        let v = self.api.get(self.cx, path);
        Ok(self.cx.catch(v)?.unwrap_or_default())
    }

    /// Events of an object, oldest first; `None` where they are not shown.
    pub fn events_of(&mut self, i: &Info) -> Done<Option<Vec<Value>>> {
        if !self.events {
            return Ok(None);
        }
        let ns = if i.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", i.namespace) };
        let mut fields = vec![format!("involvedObject.name={}", i.name)];
        if !i.namespace.is_empty() {
            fields.push(format!("involvedObject.namespace={}", i.namespace));
        }
        fields.push(format!("involvedObject.kind={}", i.res.kind));
        let uid = i.object.uid();
        // A node's events carry its name as uid.
        if !uid.is_empty() && i.res.kind != "Node" {
            fields.push(format!("involvedObject.uid={uid}"));
        }
        let r = Request::get(format!("/api/v1{ns}/events"))
            .with_query("fieldSelector", fields.join(","))
            .with_query("limit", "500");
        let v = self.api.call(self.cx, r);
        let mut list = self.cx.catch(v)?.map(|l| list_items(&l)).unwrap_or_default();
        list.sort_by(|a, b| a.get("lastTimestamp").text().cmp(b.get("lastTimestamp").text()));
        Ok(Some(list))
    }

    /// The events' table at a page's end.
    pub fn write_events(&mut self, w: &mut W, i: &Info) -> Done {
        let Some(list) = self.events_of(i)? else { return Ok(()) };
        let now = self.cx.civil()?;
        if list.is_empty() {
            w.field(0, "Events", "<none>");
            return Ok(());
        }
        w.flush();
        w.line(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
        w.line(1, "----\t------\t----\t----\t-------");
        for e in list {
            // What a container's event is about stands before it.
            let part = match e.at(&["involvedObject", "fieldPath"]).text() {
                "" => String::new(),
                path => format!("{path}: "),
            };
            w.line(
                1,
                format!(
                    "{}\t{}\t{}\t{}\t{part}{}",
                    e.get("type").text(),
                    e.get("reason").text(),
                    interval(&e, &now),
                    or(e.at(&["source", "component"]).text(), e.get("reportingComponent").text()),
                    e.get("message").text().trim()
                ),
            );
        }
        Ok(())
    }
}

/// When an event happened: `5s`, or `5s (x3 over 1m)`.
pub fn interval(e: &Value, now: &Civil) -> String {
    let first = match e.get("eventTime") {
        Value::Null => since(e.get("firstTimestamp"), now),
        t => since(t, now),
    };
    let series = e.get("series");
    if series.is_some() {
        let last = since(series.get("lastObservedTime"), now);
        return format!("{last} (x{} over {first})", series.get("count").int());
    }
    let count = e.get("count").int();
    if count > 1 {
        return format!("{} (x{count} over {first})", since(e.get("lastTimestamp"), now));
    }
    first
}

/// The page of an object.
pub fn page(d: &mut Describer<'_, '_>, i: &Info) -> Done<String> {
    let mut w = W::new();
    let group_kind = (i.res.group.as_str(), i.res.kind.as_str());
    match group_kind {
        ("", "Pod") => pod::pod(d, &mut w, i)?,
        ("apps", "Deployment") => workload::deployment(d, &mut w, i)?,
        ("apps", "ReplicaSet") => workload::replica_set(d, &mut w, i)?,
        ("", "ReplicationController") => workload::replication_controller(d, &mut w, i)?,
        ("apps", "StatefulSet") => workload::stateful_set(d, &mut w, i)?,
        ("apps", "DaemonSet") => workload::daemon_set(d, &mut w, i)?,
        ("batch", "Job") => batch::job(d, &mut w, i)?,
        ("batch", "CronJob") => batch::cron_job(d, &mut w, i)?,
        ("", "Service") => network::service(d, &mut w, i)?,
        ("", "Endpoints") => network::endpoints(d, &mut w, i)?,
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(d, &mut w, i)?,
        ("networking.k8s.io", "Ingress") => network::ingress(d, &mut w, i)?,
        ("networking.k8s.io", "IngressClass") => network::ingress_class(d, &mut w, i)?,
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(&mut w, i),
        ("", "Node") => node::node(d, &mut w, i)?,
        ("", "Namespace") => config::namespace(d, &mut w, i)?,
        ("", "ConfigMap") => config::config_map(d, &mut w, i)?,
        ("", "Secret") => config::secret(&mut w, i),
        ("", "ServiceAccount") => config::service_account(d, &mut w, i)?,
        ("", "ResourceQuota") => config::quota(&mut w, i),
        ("", "LimitRange") => config::limit_range(&mut w, i),
        ("scheduling.k8s.io", "PriorityClass") => config::priority_class(d, &mut w, i)?,
        ("", "PersistentVolumeClaim") => storage::claim(d, &mut w, i)?,
        ("", "PersistentVolume") => storage::volume(d, &mut w, i)?,
        ("storage.k8s.io", "StorageClass") => storage::class(d, &mut w, i)?,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => rbac::role(&mut w, i),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => rbac::binding(&mut w, i),
        ("policy", "PodDisruptionBudget") => policy::budget(d, &mut w, i)?,
        ("autoscaling", "HorizontalPodAutoscaler") => policy::autoscaler(d, &mut w, i)?,
        ("certificates.k8s.io", "CertificateSigningRequest") => policy::certificate(d, &mut w, i)?,
        _ => generic::object(d, &mut w, i)?,
    }
    Ok(w.finish())
}

/// `ReplicaSet/web-57794f8f99`, the owner that controls an object, or "".
pub fn controller(v: &Value) -> String {
    let c = v.controller_ref();
    if c.is_null() { String::new() } else { format!("{}/{}", c.get("kind").text(), c.get("name").text()) }
}
