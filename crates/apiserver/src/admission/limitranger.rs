//! LimitRanger: defaults of resources out of a namespace's LimitRanges, and their bounds.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::Value;
use api::quantity::Quantity;

fn ranges(api: &ApiServer, namespace: &str) -> Vec<Value> {
    let Some(id) = api.registry.id("", "v1", "limitranges") else { return Vec::new() };
    api.store.list(id, Some(namespace), None).map(|(_, v)| v.clone()).collect()
}

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(crate) fn mutate(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !a.creates("Pod") {
        return Ok(());
    }
    let mut notes: Vec<String> = Vec::new();
    for range in ranges(api, &a.op.namespace) {
        for l in range.at(&["spec", "limits"]).items().filter(|l| l.get("type").text() == "Container") {
            for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
                let n = a.new.at(&["spec", list]).len();
                for i in 0..n {
                    let c = &mut a.new.slot(&["spec", list]).list_mut()[i];
                    let name = c.get("name").smol();
                    for (key, from, kind) in
                        [("requests", "defaultRequest", "request"), ("limits", "default", "limit")]
                    {
                        let mut set = Vec::new();
                        for (k, q) in l.get(from).entries() {
                            // A limit that is set stands for the request too.
                            let given = c.at(&["resources", key, k]).is_some();
                            if !given {
                                c.set(&["resources", key, k], q);
                                set.push(k.as_str().to_owned());
                            }
                        }
                        if !set.is_empty() {
                            notes.push(format!("{} {kind} for {word} {name}", set.join(", ")));
                        }
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        let text = format!("LimitRanger plugin set: {}", notes.join("; "));
        a.new.set(&["metadata", "annotations", ANNOTATION], text);
        let qos = api::kinds::pod::qos_class(a.new.get("spec"));
        if a.new.at(&["status", "qosClass"]).is_some() {
            a.new.set(&["status", "qosClass"], qos);
        }
    }
    Ok(())
}

pub(crate) fn validate(api: &mut ApiServer, _cx: &mut Cx, a: &Attempt<'_>) -> Result<(), Status> {
    let claim = a.is("PersistentVolumeClaim") && a.new.is_some();
    if !a.creates("Pod") && !claim {
        return Ok(());
    }
    let mut found: Vec<String> = Vec::new();
    for range in ranges(api, &a.op.namespace) {
        for l in range.at(&["spec", "limits"]).items() {
            match l.get("type").text() {
                "PersistentVolumeClaim" if claim => {
                    bounds(
                        l,
                        "PersistentVolumeClaim",
                        a.new.at(&["spec", "resources", "requests"]),
                        &Value::Null,
                        &mut found,
                    );
                }
                "Container" if !claim => {
                    for list in ["containers", "initContainers"] {
                        for c in a.new.at(&["spec", list]).items() {
                            let r = c.get("resources");
                            bounds(l, "Container", r.get("requests"), r.get("limits"), &mut found);
                        }
                    }
                }
                "Pod" if !claim => {
                    let (requests, limits) = totals(a.new.get("spec"));
                    bounds(l, "Pod", &requests, &limits, &mut found);
                }
                _ => {}
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let why = if found.len() == 1 { found.remove(0) } else { format!("[{}]", found.join(", ")) };
    Err(Status::forbidden(&a.r.group, &a.r.plural, a.new.name(), &why))
}

/// Sums of a pod's requests and limits.
pub(crate) fn totals(spec: &Value) -> (Value, Value) {
    let sum = |key: &str| -> Value {
        let mut out = Value::map();
        for c in spec.get("containers").items() {
            for (k, q) in c.at(&["resources", key]).entries() {
                let was = out.get(k);
                let all = Quantity::or_zero(was) + Quantity::or_zero(q);
                out.insert(k, all.canonical());
            }
        }
        // Init containers run one by one before: the largest counts.
        for c in spec.get("initContainers").items() {
            for (k, q) in c.at(&["resources", key]).entries() {
                if Quantity::or_zero(q).nanos() > Quantity::or_zero(out.get(k)).nanos() {
                    out.insert(k, q);
                }
            }
        }
        out
    };
    (sum("requests"), sum("limits"))
}

fn bounds(l: &Value, kind: &str, requests: &Value, limits: &Value, out: &mut Vec<String>) {
    let claim = kind == "PersistentVolumeClaim";
    for (k, min) in l.get("min").entries() {
        let (r, lim) = (requests.get(k), limits.get(k));
        let n = Quantity::or_zero(min).nanos();
        if r.is_null() {
            out.push(format!("minimum {k} usage per {kind} is {}.  No request is specified", min.text()));
        } else if Quantity::or_zero(r).nanos() < n {
            let is = r.text();
            out.push(format!("minimum {k} usage per {kind} is {}, but request is {is}", min.text()));
        } else if lim.is_some() && Quantity::or_zero(lim).nanos() < n {
            out.push(format!("minimum {k} usage per {kind} is {}, but limit is {}", min.text(), lim.text()));
        }
    }
    for (k, max) in l.get("max").entries() {
        let (r, lim) = (requests.get(k), limits.get(k));
        let n = Quantity::or_zero(max).nanos();
        if !claim && lim.is_null() {
            out.push(format!("maximum {k} usage per {kind} is {}.  No limit is specified", max.text()));
        } else if lim.is_some() && Quantity::or_zero(lim).nanos() > n {
            out.push(format!("maximum {k} usage per {kind} is {}, but limit is {}", max.text(), lim.text()));
        } else if r.is_some() && Quantity::or_zero(r).nanos() > n {
            out.push(format!("maximum {k} usage per {kind} is {}, but request is {}", max.text(), r.text()));
        }
    }
    for (k, ratio) in l.get("maxLimitRequestRatio").entries() {
        let (r, lim) = (Quantity::or_zero(requests.get(k)), Quantity::or_zero(limits.get(k)));
        if r.is_zero() || lim.is_zero() {
            let m = format!(
                "{k} max limit to request ratio per {kind} is {}, but no request is specified or request is 0",
                ratio.text()
            );
            out.push(m);
        } else {
            let is = lim.as_f64() / r.as_f64();
            if is > Quantity::or_zero(ratio).as_f64() {
                let m = format!(
                    "{k} max limit to request ratio per {kind} is {}, but provided ratio is {is:.6}",
                    ratio.text()
                );
                out.push(m);
            }
        }
    }
}
