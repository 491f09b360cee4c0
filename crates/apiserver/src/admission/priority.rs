//! Priority: turns a pod's priority class into its priority.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};

pub(crate) fn mutate(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !a.creates("Pod") {
        return Ok(());
    }
    let id = api.registry.at("scheduling.k8s.io", "v1", "priorityclasses")?;
    let pod = &mut a.new;
    let name = pod.at(&["spec", "priorityClassName"]).smol();
    let (value, policy) = if name.is_empty() {
        match api
            .store
            .list(id, None, None)
            .map(|(_, c)| c)
            .filter(|c| c.get("globalDefault").is_true())
            .min_by_key(|c| c.get("value").int())
        {
            Some(c) => {
                let class = c.name().to_owned();
                let found = (c.get("value").int(), c.get("preemptionPolicy").smol());
                pod.set(&["spec", "priorityClassName"], class);
                found
            }
            None => (0, "PreemptLowerPriority".into()),
        }
    } else {
        match api.store.get(id, "", &name) {
            Some(c) => (c.get("value").int(), c.get("preemptionPolicy").smol()),
            None => {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(Status::forbidden("", "pods", pod.name(), &why));
            }
        }
    };
    if let Some(p) = pod.at(&["spec", "priority"]).as_int()
        && p != value
    {
        let why = format!(
            "the integer value of priority ({p}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return Err(Status::forbidden("", "pods", pod.name(), &why));
    }
    pod.set(&["spec", "priority"], value);
    let policy = if policy.is_empty() { "PreemptLowerPriority".into() } else { policy };
    if let Some(p) = pod.at(&["spec", "preemptionPolicy"]).as_str()
        && p != policy
    {
        let why = format!(
            "the string value of PreemptionPolicy ({p}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(Status::forbidden("", "pods", pod.name(), &why));
    }
    pod.set(&["spec", "preemptionPolicy"], policy);
    Ok(())
}
