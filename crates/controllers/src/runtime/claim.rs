//! Adopting and releasing pods by label.

use super::{Turn, controller_reference, is_controlled_by};
use api::selector::Selector;
use api::{Value, obj};
use apiserver::{ResId, Status};

/// Adopts matching orphans, releases pods that match no longer; gives the owner's pods. `fits` narrows what matches,
/// `adopts` which orphans are taken. Models: `PodControllerRefManager`.
pub fn claim_pods(
    turn: &mut Turn<'_>,
    pods: ResId,
    owner: &Value,
    selector: &Selector,
    fits: impl Fn(&Value) -> bool,
    adopts: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>, Status> {
    let all: Vec<Value> = turn.informers.list(pods, owner.namespace()).cloned().collect();
    let mut mine = Vec::new();
    for pod in all {
        let matches = selector.matches(pod.labels()) && fits(&pod);
        if is_controlled_by(&pod, owner) {
            if matches {
                mine.push(pod);
            } else if !owner.is_terminating() && !pod.is_terminating() {
                own(turn, pods, &pod, owner, false)?;
            }
        } else if matches
            && pod.controller_ref().is_null()
            && !owner.is_terminating()
            && !pod.is_terminating()
            && adopts(&pod)
        {
            let adopted = own(turn, pods, &pod, owner, true)?;
            if adopted.is_some() {
                mine.push(adopted);
            }
        }
    }
    Ok(mine)
}

fn own(turn: &mut Turn<'_>, pods: ResId, pod: &Value, owner: &Value, adopt: bool) -> Result<Value, Status> {
    let mut owners: Vec<Value> = pod
        .at(&["metadata", "ownerReferences"])
        .items()
        .filter(|o| o.get("uid").text() != owner.uid())
        .cloned()
        .collect();
    if adopt {
        owners.push(controller_reference(owner));
    }
    let patch = obj!({"metadata": {"uid": pod.uid(), "ownerReferences": owners}});
    match turn.client.merge(pods, "", pod.namespace(), pod.name(), patch) {
        // Gone meanwhile, or another pod of that name: nothing to adopt or release.
        Err(s) if matches!(s.code, 404 | 409 | 422) => Ok(Value::Null),
        r => r,
    }
}
