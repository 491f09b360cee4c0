//! PodTopologyLabels: a pod bears the zone and region of its node as labels.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;

impl ApiServer {
    /// Copies a node's zone and region into a pod's labels.
    pub(crate) fn label_topology(&self, pod: &mut Value, node: &str) -> Result<(), Status> {
        let nodes = self.registry.at("", "v1", "nodes")?;
        let Some(n) = self.store.get(nodes, "", node) else { return Ok(()) };
        for key in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
            if let Some(zone) = n.labels().get(key).as_str() {
                pod.set(&["metadata", "labels", key], zone);
            }
        }
        Ok(())
    }
}

pub(crate) fn mutate(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    let node = a.new.at(&["spec", "nodeName"]).text().to_owned();
    if !a.creates("Pod") || node.is_empty() {
        return Ok(());
    }
    api.label_topology(&mut a.new, &node)
}
