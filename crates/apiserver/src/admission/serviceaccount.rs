//! ServiceAccount: every pod runs as one, and gets its token mounted.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::{Value, obj};

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub(crate) fn mutate(api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !a.creates("Pod") || a.new.annotations().get("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let pod = &mut a.new;
    if pod.at(&["spec", "serviceAccountName"]).text().is_empty() {
        pod.set(&["spec", "serviceAccountName"], "default");
    }
    let name = pod.at(&["spec", "serviceAccountName"]).smol();
    pod.set(&["spec", "serviceAccount"], &name);
    let id = api.registry.at("", "v1", "serviceaccounts")?;
    let Some(sa) = api.store.get(id, &a.op.namespace, &name).cloned() else {
        let why = format!(
            "error looking up service account {}/{name}: serviceaccount \"{name}\" not found",
            a.op.namespace
        );
        return Err(Status::forbidden("", "pods", pod.name(), &why));
    };
    if pod.at(&["spec", "imagePullSecrets"]).is_empty() && !sa.get("imagePullSecrets").is_empty() {
        pod.set(&["spec", "imagePullSecrets"], sa.get("imagePullSecrets"));
    }
    let mount = match pod.at(&["spec", "automountServiceAccountToken"]).as_bool() {
        Some(b) => b,
        None => sa.get("automountServiceAccountToken").as_bool() != Some(false),
    };
    let mounted = |c: &Value| c.get("volumeMounts").items().any(|m| m.get("mountPath").text() == MOUNT);
    let lacks = |key: &str| pod.at(&["spec", key]).items().any(|c| !mounted(c));
    if mount && (lacks("containers") || lacks("initContainers")) {
        add_token(pod, format!("kube-api-access-{}", api.chance.suffix(5)), &mounted);
    }
    Ok(())
}

fn add_token(pod: &mut Value, volume: String, mounted: &dyn Fn(&Value) -> bool) {
    for key in ["initContainers", "containers"] {
        if pod.at(&["spec", key]).is_empty() {
            continue;
        }
        for c in pod.slot(&["spec", key]).list_mut() {
            if !mounted(c) {
                c.push_at(
                    &["volumeMounts"],
                    obj!({"name": volume.as_str(), "readOnly": true, "mountPath": MOUNT}),
                );
            }
        }
    }
    pod.push_at(
        &["spec", "volumes"],
        obj!({
            "name": volume,
            "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                ]}}
            ]}
        }),
    );
}
