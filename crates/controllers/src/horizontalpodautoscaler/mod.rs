//! The HorizontalPodAutoscaler controller.
//!
//! Models: `pkg/controller/podautoscaler` on a cluster without a metrics API, which is what ours is: bounds are kept,
//! every metric is missing and says so as the real one does.

use crate::runtime::{Controller, Failure, Informers, Key, Kinds, Next, Outcome, Seen, Turn, WorkQueue};
use api::{Value, obj};
use apiserver::{ResId, Status};
use sim::Duration;

/// Models: `--horizontal-pod-autoscaler-sync-period`.
const PERIOD: Duration = Duration::from_secs(15);

/// The controller.
#[derive(Clone, Debug)]
pub struct Autoscalers {
    autoscalers: ResId,
}

impl Autoscalers {
    /// The controller of `autoscaling/v2` HorizontalPodAutoscalers.
    pub fn new(kinds: &Kinds) -> Self {
        Autoscalers { autoscalers: kinds.get("autoscaling", "horizontalpodautoscalers") }
    }

    /// The resource that a reference leads to, if it has a scale.
    fn target(&self, turn: &Turn<'_>, reference: &Value) -> Option<ResId> {
        let group = reference.api_version().split_once('/').map_or("", |(g, _)| g);
        let all = turn.client.api.registry.iter();
        let has_scale = |r: &&std::sync::Arc<apiserver::Resource>| {
            r.group == group && r.kind == reference.kind() && r.subresources().iter().any(|s| s == "scale")
        };
        all.filter(has_scale).map(|r| r.id).next()
    }

    /// Models: `reconcileAutoscaler`.
    fn scale(&self, turn: &mut Turn<'_>, hpa: &Value) -> Result<(), Failure> {
        let mut new = hpa.clone();
        let reference = hpa.at(&["spec", "scaleTargetRef"]);
        let name = reference.get("name").text();
        let Some(res) = self.target(turn, reference) else {
            let text = format!(
                "no matches for kind \"{}\" in group \"{}\"",
                reference.kind(),
                reference.api_version().split_once('/').map_or("", |(g, _)| g)
            );
            return self.no_scale(turn, hpa, new, &text);
        };
        let scale = match turn.client.get_sub(res, "scale", hpa.namespace(), name) {
            Ok(s) => s,
            Err(s) => return self.no_scale(turn, hpa, new, &s.message),
        };
        let text = "the HPA controller was able to get the target's current scale";
        set_condition(turn, &mut new, "AbleToScale", true, "SucceededGetScale", text);
        let now = scale.at(&["spec", "replicas"]).int();
        let min = hpa.at(&["spec", "minReplicas"]).as_int().unwrap_or(1);
        let max = hpa.at(&["spec", "maxReplicas"]).int();
        let (want, why) = if now == 0 && min != 0 {
            let text = "scaling is disabled since the replica count of the target is zero";
            set_condition(turn, &mut new, "ScalingActive", false, "ScalingDisabled", text);
            (0, "")
        } else if now > max {
            (max, "Current number of replicas above Spec.MaxReplicas")
        } else if now < min {
            (min, "Current number of replicas below Spec.MinReplicas")
        } else {
            return self.without_metrics(turn, hpa, new, now);
        };
        if want != now {
            let mut wanted = scale;
            wanted.set(&["spec", "replicas"], want);
            if let Err(s) = turn.client.update_sub(res, "scale", wanted) {
                let text = format!("New size: {want}; reason: {why}; error: {}", s.message);
                turn.event(hpa, "Warning", "FailedRescale", &text);
                let text = format!("the HPA controller was unable to update the target scale: {}", s.message);
                set_condition(turn, &mut new, "AbleToScale", false, "FailedUpdateScale", &text);
                self.write(turn, hpa, new)?;
                return Err(s.into());
            }
            let text = format!("the HPA controller was able to update the target scale to {want}");
            set_condition(turn, &mut new, "AbleToScale", true, "SucceededRescale", &text);
            turn.event(hpa, "Normal", "SuccessfulRescale", &format!("New size: {want}; reason: {why}"));
            new.set(&["status", "lastScaleTime"], turn.client.timestamp());
        }
        set_counts(&mut new, now, want, Value::Null);
        self.write(turn, hpa, new).map_err(Failure::from)
    }

    fn no_scale(&self, turn: &mut Turn<'_>, hpa: &Value, mut new: Value, why: &str) -> Result<(), Failure> {
        turn.event(hpa, "Warning", "FailedGetScale", why);
        let text = format!("the HPA controller was unable to get the target's current scale: {why}");
        set_condition(turn, &mut new, "AbleToScale", false, "FailedGetScale", &text);
        self.write(turn, hpa, new).map_err(Failure::from)
    }

    /// Says of each metric that it cannot be had. Models: `computeReplicasForMetrics` where all are invalid.
    fn without_metrics(
        &self,
        turn: &mut Turn<'_>,
        hpa: &Value,
        mut new: Value,
        now: i64,
    ) -> Result<(), Failure> {
        let metrics: Vec<&Value> = hpa.at(&["spec", "metrics"]).items().collect();
        let mut first: Option<(&str, Missing)> = None;
        for m in &metrics {
            let missing = missing(hpa, m);
            turn.event(hpa, "Warning", missing.reason, &missing.text);
            if first.is_none() {
                first = Some((missing.reason, missing));
            }
        }
        let Some((reason, missing)) = first else { return Ok(()) };
        let text = format!("the HPA was unable to compute the replica count: {}", missing.text);
        set_condition(turn, &mut new, "ScalingActive", false, reason, &text);
        let desired = hpa.at(&["status", "desiredReplicas"]).int();
        // The real one leaves a place for each metric and fills none.
        let empty: Value = metrics.iter().map(|_| obj!({"type": ""})).collect();
        set_counts(&mut new, now, desired, empty);
        self.write(turn, hpa, new)?;
        let n = metrics.len();
        let text = format!("invalid metrics ({n} invalid out of {n}), first error is: {}", missing.error);
        turn.event(hpa, "Warning", "FailedComputeMetricsReplicas", &text);
        Ok(())
    }

    fn write(&self, turn: &mut Turn<'_>, hpa: &Value, new: Value) -> Result<(), Status> {
        if new == *hpa {
            return Ok(());
        }
        turn.client.update_sub(self.autoscalers, "status", new).map(|_| ())
    }
}

/// Why a metric cannot be had.
struct Missing {
    reason: &'static str,
    /// As the event and the condition say it.
    text: String,
    /// As the sum of all metrics says it.
    error: String,
}

fn missing(hpa: &Value, m: &Value) -> Missing {
    const GONE: &str = "the server could not find the requested resource";
    const CUSTOM: &str = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) \
                          registered";
    let usage =
        |of: &Value| if of.at(&["target", "averageValue"]).is_some() { "usage" } else { "utilization" };
    let (reason, what, text) = match m.get("type").text() {
        "Resource" | "ContainerResource" => {
            let own = m.get("type").text() == "Resource";
            let r = m.get(if own { "resource" } else { "containerResource" });
            let name = r.get("name").text();
            let text = format!(
                "failed to get {name} {}: unable to get metrics for resource {name}: unable to fetch metrics from resource \
                 metrics API: {GONE} (get pods.metrics.k8s.io)",
                usage(r)
            );
            match own {
                true => ("FailedGetResourceMetric", format!("{name} resource metric value"), text),
                false => ("FailedGetContainerResourceMetric", format!("{name} container metric value"), text),
            }
        }
        "Pods" => {
            let name = m.at(&["pods", "metric", "name"]).text();
            (
                "FailedGetPodsMetric",
                "pods metric value".to_owned(),
                format!("unable to get metric {name}: {CUSTOM}"),
            )
        }
        "Object" => {
            let (o, name) =
                (m.at(&["object", "describedObject"]), m.at(&["object", "metric", "name"]).text());
            let text = format!(
                "unable to get metric {name}: {} on {} {}/{CUSTOM}",
                o.kind(),
                hpa.namespace(),
                o.get("name").text()
            );
            ("FailedGetObjectMetric", "object metric value".to_owned(), text)
        }
        _ => {
            let metric = m.at(&["external", "metric"]);
            let selector = match metric.get("selector") {
                Value::Null => "nil".to_owned(),
                s => format!("&LabelSelector{}", s.to_json()),
            };
            let name = metric.get("name").text();
            let text = format!(
                "unable to get external metric {}/{name}/{selector}: unable to fetch metrics from external metrics API: \
                 {GONE} (get {name}.external.metrics.k8s.io)",
                hpa.namespace()
            );
            ("FailedGetExternalMetric", "external metric value".to_owned(), text)
        }
    };
    Missing { reason, error: format!("failed to get {what}: {text}"), text }
}

fn set_counts(hpa: &mut Value, current: i64, desired: i64, metrics: Value) {
    hpa.set(&["status", "currentReplicas"], current);
    hpa.set(&["status", "desiredReplicas"], desired);
    hpa.set(&["status", "currentMetrics"], metrics);
}

/// Models: `setConditionInList`.
fn set_condition(turn: &Turn<'_>, hpa: &mut Value, kind: &str, ok: bool, reason: &str, message: &str) {
    let status = if ok { "True" } else { "False" };
    let had = hpa.condition(kind).clone();
    let since = match had.get("status").text() == status {
        true => had.get("lastTransitionTime").clone(),
        false => turn.client.timestamp().into(),
    };
    let c = obj!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since
    });
    let list = hpa.slot(&["status", "conditions"]).list_mut();
    match list.iter_mut().find(|c| c.get("type").text() == kind) {
        Some(old) => *old = c,
        None => list.push(c),
    }
}

impl Controller for Autoscalers {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    fn watches(&self) -> Vec<ResId> {
        vec![self.autoscalers]
    }

    fn seen(&mut self, seen: &Seen<'_>, _: &Informers, queue: &mut WorkQueue) {
        if seen.new.is_some() {
            queue.add_after(seen.key(), PERIOD);
        }
    }

    fn reconcile(&mut self, key: &Key, turn: &mut Turn<'_>) -> Outcome {
        let Some(hpa) = turn.cached(self.autoscalers, key) else { return Ok(Next::Done) };
        // Failures wait for the next period too.
        let _ = self.scale(turn, &hpa);
        Ok(Next::After(PERIOD))
    }

    fn boxed(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
