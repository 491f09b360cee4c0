//! Deployment.

use super::{Rules, containers_and_images, default, object_age, pod};
use crate::{Value, selector};
use sim::Civil;

/// Deployment.
pub const RULES: Rules = Rules {
    of: ("apps", "Deployment"),
    defaults: |v| {
        let spec = v.slot(&["spec"]);
        default(spec, "replicas", 1);
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
        let strategy = spec.slot(&["strategy"]);
        if strategy.get("type").text().is_empty() {
            strategy.insert("type", "RollingUpdate");
        }
        if strategy.get("type").text() == "RollingUpdate" {
            let rolling = strategy.slot(&["rollingUpdate"]);
            default(rolling, "maxUnavailable", "25%");
            default(rolling, "maxSurge", "25%");
        }
        pod::template_defaults(spec.slot(&["template"]));
    },
    prepare: |new, old| match old {
        None => new.set(&["status"], Value::map()),
        Some(old) => new.set(&["status"], old.get("status")),
    },
    generation: true,
    cells: Some(cells),
    ..Rules::GENERIC
};

fn cells(v: &Value, now: Civil) -> Vec<Value> {
    let status = v.get("status");
    let spec = v.get("spec");
    let (names, images) = containers_and_images(spec.at(&["template", "spec"]));
    vec![
        v.name().into(),
        format!("{}/{}", status.get("readyReplicas").int(), spec.get("replicas").int()).into(),
        status.get("updatedReplicas").int().into(),
        status.get("availableReplicas").int().into(),
        object_age(v, now),
        names,
        images,
        selector::Selector::describe(spec.get("selector")).into(),
    ]
}

#[cfg(test)]
#[test]
fn defaults() {
    let mut d = crate::obj!({"spec": {"template": {}}});
    (RULES.defaults)(&mut d);
    assert_eq!(
        d.at(&["spec", "strategy"]).to_json(),
        r#"{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"}"#
    );
}
