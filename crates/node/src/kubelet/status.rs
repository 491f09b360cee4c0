//! A pod's status as its kubelet reports it. Models: `generateAPIPodStatus`.

use super::worker::{Box_, End, State};
use api::{Value, obj};
use sim::{Epoch, Instant};
use std::net::IpAddr;

/// What is said of a pod whose active deadline has passed.
pub(super) const OVERDUE: &str = "Pod was active on the node longer than the specified deadline";

/// The phase that the containers' states make. Models: `getPhase`.
pub(super) fn phase(pod: &Value, boxes: &[Box_]) -> &'static str {
    let policy = pod.at(&["spec", "restartPolicy"]).text();
    let failed_init = boxes
        .iter()
        .filter(|b| b.init && !b.sidecar)
        .any(|b| policy == "Never" && matches!(&b.state, State::Ended(e) if e.code != 0));
    if failed_init {
        return "Failed";
    }
    let mains: Vec<&Box_> = boxes.iter().filter(|b| !b.init).collect();
    let (mut waiting, mut running, mut ended, mut succeeded) = (0, 0, 0, 0);
    for b in &mains {
        match &b.state {
            State::Running(_) => running += 1,
            State::Ended(e) => {
                ended += 1;
                succeeded += usize::from(e.code == 0);
            }
            _ if b.last.is_some() => ended += 1,
            _ => waiting += 1,
        }
    }
    if waiting > 0 {
        return "Pending";
    }
    if running > 0 {
        return "Running";
    }
    let restarting = mains.iter().any(|b| !matches!(b.state, State::Ended(_)));
    if ended > 0 && !pod.is_terminating() && (policy == "Always" || restarting) {
        return "Running";
    }
    if ended == succeeded {
        return "Succeeded";
    }
    if policy == "OnFailure" && !pod.is_terminating() { "Running" } else { "Failed" }
}

fn time(epoch: Epoch, at: Instant) -> String {
    epoch.civil(at).rfc3339()
}

fn ended(epoch: Epoch, e: &End) -> Value {
    let mut v = obj!({
        "exitCode": e.code, "reason": &e.reason,
        "startedAt": if e.code == 128 && e.reason == "StartError" { "1970-01-01T00:00:00Z".to_owned() } else { time(epoch, e.started) },
        "finishedAt": time(epoch, e.finished), "containerID": format!("containerd://{}", e.id)
    });
    if !e.message.is_empty() {
        v.insert("message", e.message.as_str());
    }
    v
}

/// What is shown of a container whose hook after its start failed.
fn waiting(why: &str) -> Value {
    obj!({"waiting": {"reason": "PostStartHookError", "message": why}})
}

fn container(epoch: Epoch, b: &Box_) -> Value {
    let image = b.spec.get("image").text();
    let known = b.run.is_some() || !b.id.is_empty();
    let state = match &b.state {
        State::Waiting(reason, m) if m.is_empty() => obj!({"waiting": {"reason": reason}}),
        State::Waiting(reason, m) => obj!({"waiting": {"reason": reason, "message": m.as_str()}}),
        // The last pull's failure is shown until one succeeds.
        State::Pulling { .. } if !b.pull_backoff.is_zero() => {
            obj!({"waiting": {"reason": "ImagePullBackOff", "message": b.pull_message.as_str()}})
        }
        State::Pulling { .. } | State::Creating(_) if b.last.is_none() => {
            obj!({"waiting": {"reason": "ContainerCreating"}})
        }
        State::Pulling { .. } | State::Creating(_) => match &b.last {
            Some(e) => obj!({"terminated": ended(epoch, e)}),
            None => Value::map(),
        },
        State::Running(since) => obj!({"running": {"startedAt": time(epoch, *since)}}),
        State::Ended(e) => obj!({"terminated": ended(epoch, e)}),
    };
    let backing_off = matches!(&b.state, State::Waiting(reason, _) if reason == "CrashLoopBackOff");
    let failed_start = !b.post_error.is_empty() && !backing_off;
    let (state, b_last) = match (&b.state, failed_start) {
        (State::Ended(e), true) => (waiting(&b.post_error), Some(e)),
        (_, true) => (waiting(&b.post_error), b.last.as_ref()),
        _ => (state, b.last.as_ref()),
    };
    let last = match b_last {
        Some(e) if failed_start => obj!({"terminated": ended(epoch, e)}),
        Some(e) if !matches!(b.state, State::Pulling { .. } | State::Creating(_)) => {
            obj!({"terminated": ended(epoch, e)})
        }
        _ => Value::map(),
    };
    let mut v = obj!({
        "name": &b.name, "image": if known { super::images::canonical(image) } else { image.to_owned() },
        "imageID": if known { digest(image) } else { String::new() }, "lastState": last, "state": state,
        "ready": b.ready || (b.init && !b.sidecar && matches!(&b.state, State::Ended(e) if e.code == 0)),
        "restartCount": b.restarts, "started": b.started && matches!(b.state, State::Running(_))
    });
    if known {
        v.insert("containerID", format!("containerd://{}", b.id));
    }
    let mounts: Value = b
        .spec
        .get("volumeMounts")
        .items()
        .map(|m| {
            let mut x = obj!({"name": m.get("name"), "mountPath": m.get("mountPath")});
            if m.get("readOnly").is_true() {
                x.insert("readOnly", true);
                x.insert("recursiveReadOnly", "Disabled");
            }
            x
        })
        .collect();
    if !mounts.is_empty() {
        v.insert("volumeMounts", mounts);
    }
    v
}

fn digest(image: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let full = super::images::canonical(image);
    let hex: String = Sha256::digest(full.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    let name = full.rsplit_once(':').map_or(full.as_str(), |(n, _)| n);
    format!("{name}@sha256:{hex}")
}

/// The whole status. Times of conditions that did not change are kept from `before`.
#[allow(clippy::too_many_arguments, reason = "one caller; the parts of a status")]
pub(super) fn build(
    pod: &Value,
    boxes: &[Box_],
    sandbox: bool,
    overdue: bool,
    ip: Option<IpAddr>,
    host: IpAddr,
    start: Option<Instant>,
    epoch: Epoch,
    before: &Value,
    now: Instant,
) -> Value {
    let generation = pod.generation();
    let phase = if overdue { "Failed" } else { phase(pod, boxes) };
    let over = matches!(phase, "Succeeded" | "Failed");
    // A pod has not ended before its sidecars have.
    let running = boxes.iter().any(|b| matches!(b.state, State::Running(_)));
    let (shown, over) = if over && running { ("Running", overdue) } else { (phase, over) };
    let inits: Vec<&Box_> = boxes.iter().filter(|b| b.init).collect();
    let begun = boxes.iter().any(|b| !b.init && b.run.is_some());
    let open: Vec<&str> = inits
        .iter()
        .filter(|b| {
            !begun
                && !(if b.sidecar { b.started } else { matches!(&b.state, State::Ended(e) if e.code == 0) })
        })
        .map(|b| b.name.as_str())
        .collect();
    let unready: Vec<&str> =
        boxes.iter().filter(|b| (!b.init || b.sidecar) && !b.ready).map(|b| b.name.as_str()).collect();
    let condition = |kind: &str, ok: bool, reason: &str, message: &str| {
        let status = if ok { "True" } else { "False" };
        let had = before.get("conditions").items().find(|c| c.get("type").text() == kind);
        let since = match had {
            Some(c) if c.get("status").text() == status => c.get("lastTransitionTime").text().to_owned(),
            _ => time(epoch, now),
        };
        let mut c = obj!({
            "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since, "observedGeneration": generation
        });
        c.insert("reason", if reason.is_empty() { Value::Null } else { reason.into() });
        c.insert("message", if message.is_empty() { Value::Null } else { message.into() });
        c
    };
    let initialized = match (shown, open.is_empty()) {
        ("Succeeded", _) => condition("Initialized", true, "PodCompleted", ""),
        (_, true) => condition("Initialized", true, "", ""),
        _ => condition(
            "Initialized",
            false,
            "ContainersNotInitialized",
            &format!("containers with incomplete status: [{}]", open.join(" ")),
        ),
    };
    let (reason, message) = match (shown, unready.is_empty()) {
        ("Succeeded", _) => ("PodCompleted", String::new()),
        (_, _) if overdue => ("PodFailed", String::new()),
        ("Failed", _) => ("PodFailed", String::new()),
        (_, true) => ("", String::new()),
        _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    };
    let all_ready = unready.is_empty() && !over;
    let gates = pod
        .at(&["spec", "readinessGates"])
        .items()
        .all(|g| pod.condition(g.get("conditionType").text()).get("status").text() == "True");
    let ready = if all_ready && !gates {
        condition(
            "Ready",
            false,
            "ReadinessGatesNotReady",
            "corresponding condition of pod readiness gate does not exist.",
        )
    } else {
        condition("Ready", all_ready, reason, &message)
    };
    let statuses = |init: bool| -> Value {
        boxes.iter().filter(|b| b.init == init).map(|b| container(epoch, b)).collect()
    };
    let mut s = obj!({
        "phase": shown, "observedGeneration": generation,
        "conditions": [
            condition("PodReadyToStartContainers", sandbox && (!over || running), "", ""), initialized, ready,
            condition("ContainersReady", all_ready, reason, &message), condition("PodScheduled", true, "", "")
        ],
        "containerStatuses": statuses(false), "hostIP": host.to_string(), "hostIPs": [{"ip": host.to_string()}]
    });
    if !inits.is_empty() {
        s.insert("initContainerStatuses", statuses(true));
    }
    if overdue && shown == "Failed" {
        s.insert("reason", "DeadlineExceeded");
        s.insert("message", OVERDUE);
    }
    if let Some(t) = start {
        s.insert("startTime", time(epoch, t));
    }
    if let Some(ip) = ip {
        s.insert("podIP", ip.to_string());
        s.insert("podIPs", obj!([{"ip": ip.to_string()}]));
    }
    s
}
