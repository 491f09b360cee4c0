//! Binding a pod to a node.

use super::set_condition;
use crate::server::Cx;
use crate::{ApiServer, Op, Status};
use api::field::{At, Errors};
use api::{SmolStr, Value, obj};

impl ApiServer {
    /// Binds a pod to a node. Models: the binding REST of pods.
    pub(super) fn bind(&mut self, cx: &mut Cx, op: &Op) -> Result<Value, Status> {
        let b = op.body.clone();
        let name: SmolStr = if op.name.is_empty() { b.name().into() } else { op.name.clone() };
        let target = b.get("target");
        let kind = target.get("kind").text();
        let mut errors = Errors::default();
        if !kind.is_empty() && kind != "Node" {
            errors.one_of(&At::Path("target.kind"), kind, &["Node", "<empty>"]);
        }
        if target.get("name").text().is_empty() {
            errors.required(&At::Path("target.name"), "");
        }
        if !errors.is_empty() {
            let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            let m = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
            return Err(Status::new(500, "", m));
        }
        let pods = self.registry.at("", "v1", "pods")?;
        let Some(old) = self.store.get(pods, &op.namespace, &name).cloned() else {
            return Err(Status::not_found("", "pods", &name));
        };
        let conflict = |why: String| Status::conflict("", "pods/binding", &name, &why);
        if old.is_terminating() {
            return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
        }
        let node = old.at(&["spec", "nodeName"]).text();
        if !node.is_empty() {
            return Err(conflict(format!("pod {name} is already assigned to node \"{node}\"")));
        }
        if !old.at(&["spec", "schedulingGates"]).is_empty() {
            return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
        }
        if !b.uid().is_empty() && b.uid() != old.uid() {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                b.uid(),
                old.uid()
            );
            return Err(conflict(why));
        }
        let mut new = old.clone();
        let host = target.get("name").smol();
        new.set(&["spec", "nodeName"], &host);
        for (k, v) in b.annotations().entries() {
            new.set(&["metadata", "annotations", k], v);
        }
        // PodTopologyLabels admission: the node's zone and region become labels of the pod.
        self.label_topology(&mut new, &host)?;
        let now = self.timestamp(cx.now);
        set_condition(
            &mut new,
            obj!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
        );
        if !op.options.dry_run {
            let s = self.registry.get(pods).clone();
            let v = self.commit(cx, &s, (op.namespace.clone(), name), new);
            self.after_write(cx, &s, Some(&old), Some(&v));
        }
        Ok(obj!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }
}
