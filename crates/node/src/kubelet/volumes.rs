//! Volumes: what a pod mounts, made as file trees of the node.

use super::{Cx, env};
use crate::runtime::{Runtime, Volume};
use api::{SmolStr, Value, obj};
use shell::fs::Tree;
use sim::persistent::OrdMap;
use std::net::IpAddr;

/// Makes all volumes of a pod.
///
/// # Errors
/// The volume's name and the kubelet's words for what is missing.
pub(super) fn make(
    cx: &mut Cx<'_, '_>,
    rt: &mut Runtime,
    pod: &Value,
    ip: Option<IpAddr>,
) -> Result<OrdMap<SmolStr, Volume>, (String, String)> {
    let mut out = OrdMap::new();
    for v in pod.at(&["spec", "volumes"]).items() {
        let name = v.get("name").smol();
        let volume = if let Some(claim) = v.at(&["persistentVolumeClaim", "claimName"]).as_str() {
            persistent(cx, rt, pod.namespace(), claim).map_err(|e| (name.to_string(), e))?
        } else {
            let limit = v.at(&["emptyDir", "sizeLimit"]);
            let limit = limit.as_str().map(|_| api::quantity::Quantity::or_zero(limit).value().max(0) as u64);
            let kind = if v.at(&["emptyDir", "medium"]).text() == "Memory" { "tmpfs" } else { "ext4" };
            let tree = tree(cx, pod, v, ip).map_err(|e| (name.to_string(), e))?;
            rt.add_volume(tree, kind, limit)
        };
        out.insert(name, volume);
    }
    Ok(out)
}

/// Whether a volume's content follows the API.
pub(super) fn follows(v: &Value) -> bool {
    ["configMap", "secret", "projected", "downwardAPI"].iter().any(|k| v.get(k).is_some())
}

/// The content of a volume that is no claim.
pub(super) fn tree(cx: &mut Cx<'_, '_>, pod: &Value, v: &Value, ip: Option<IpAddr>) -> Result<Tree, String> {
    let mut t = Tree::new(cx.client.api.settings.epoch.civil(cx.now()).unix());
    let ns = pod.namespace().to_owned();
    if let Some(name) = v.at(&["configMap", "name"]).as_str() {
        from_object(cx, &mut t, &ns, name, v.get("configMap"), false)?;
    } else if let Some(name) = v.at(&["secret", "secretName"]).as_str() {
        from_object(cx, &mut t, &ns, name, v.get("secret"), true)?;
    } else if v.get("downwardAPI").is_some() {
        downward(cx, &mut t, pod, v.get("downwardAPI"), ip);
    }
    for s in v.at(&["projected", "sources"]).items() {
        if let Some(name) = s.at(&["configMap", "name"]).as_str() {
            from_object(cx, &mut t, &ns, name, s.get("configMap"), false)?;
        } else if let Some(name) = s.at(&["secret", "name"]).as_str() {
            from_object(cx, &mut t, &ns, name, s.get("secret"), true)?;
        } else if s.get("downwardAPI").is_some() {
            downward(cx, &mut t, pod, s.get("downwardAPI"), ip);
        } else if s.get("serviceAccountToken").is_some() {
            let token = token(cx, pod, s.get("serviceAccountToken"))?;
            put(&mut t, s.at(&["serviceAccountToken", "path"]).text(), &token, 0o644);
        }
    }
    Ok(t)
}

fn put(t: &mut Tree, path: &str, content: &str, mode: u32) {
    t.put_file(&format!("/{}", path.trim_start_matches('/')), mode, content.as_bytes().to_vec());
}

fn token(cx: &mut Cx<'_, '_>, pod: &Value, s: &Value) -> Result<String, String> {
    let account = pod.at(&["spec", "serviceAccountName"]).text().to_owned();
    let body = obj!({
        "spec": {
            "audiences": [], "expirationSeconds": s.get("expirationSeconds").as_int().unwrap_or(3600),
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod.name(), "uid": pod.uid()}
        }
    });
    let (res, ns) = (cx.ids.accounts, pod.namespace().to_owned());
    let r = cx.client.create_sub(res, "token", &ns, &account, body);
    r.map(|v| v.at(&["status", "token"]).text().to_owned())
        .map_err(|e| format!("failed to fetch token: {}", e.message))
}

fn downward(cx: &Cx<'_, '_>, t: &mut Tree, pod: &Value, v: &Value, ip: Option<IpAddr>) {
    for i in v.get("items").items() {
        let text = if i.get("fieldRef").is_some() {
            env::field(cx, pod, i.at(&["fieldRef", "fieldPath"]).text(), ip).unwrap_or_default()
        } else {
            let first = pod.at(&["spec", "containers"]).items().next().cloned().unwrap_or_default();
            env::resource(pod, &first, i.get("resourceFieldRef"))
        };
        put(t, i.get("path").text(), &text, i.get("mode").as_int().unwrap_or(0o644) as u32);
    }
}

fn from_object(
    cx: &mut Cx<'_, '_>,
    t: &mut Tree,
    ns: &str,
    name: &str,
    v: &Value,
    secret: bool,
) -> Result<(), String> {
    let (kind, res) = if secret { ("secret", cx.ids.secrets) } else { ("config", cx.ids.config_maps) };
    let source = if secret { "secret" } else { "configmap" };
    let optional = v.get("optional").is_true();
    let object = match cx.client.get(res, ns, name) {
        Ok(o) => o,
        Err(_) if optional => return Ok(()),
        Err(e) => return Err(env::singular(&e.message)),
    };
    let mode = v.get("defaultMode").as_int().unwrap_or(0o644) as u32;
    let content = |key: &str| -> Option<String> {
        let plain = object.get("data").get(key).as_str();
        match (plain, object.get("binaryData").get(key).as_str()) {
            (Some(s), _) if secret => Some(env::decode(s)),
            (Some(s), _) => Some(s.to_owned()),
            (None, Some(b)) => Some(env::decode(b)),
            (None, None) => None,
        }
    };
    if v.get("items").is_empty() {
        let keys = object
            .get("data")
            .entries()
            .chain(object.get("binaryData").entries())
            .map(|(k, _)| k.as_str().to_owned());
        for key in keys.collect::<Vec<_>>() {
            put(t, &key, &content(&key).unwrap_or_default(), mode);
        }
        return Ok(());
    }
    for i in v.get("items").items() {
        let key = i.get("key").text();
        match content(key) {
            Some(text) => {
                put(t, i.get("path").text(), &text, i.get("mode").as_int().unwrap_or(i64::from(mode)) as u32)
            }
            None if optional => {}
            None => {
                return Err(format!("{source} references non-existent {kind} key: {key}"));
            }
        }
    }
    Ok(())
}

/// The file system behind a claim's volume; it stays on the node when the pod goes.
fn persistent(cx: &mut Cx<'_, '_>, rt: &mut Runtime, ns: &str, claim: &str) -> Result<Volume, String> {
    let (claims, volumes) = (cx.ids.claims, cx.ids.volumes);
    let c = cx.client.get(claims, ns, claim).map_err(|e| e.message)?;
    let name = c.at(&["spec", "volumeName"]).smol();
    if name.is_empty() {
        return Err(format!("PersistentVolumeClaim is not bound: \"{claim}\""));
    }
    let v = cx.client.get(volumes, "", &name).map_err(|e| e.message)?;
    let key: SmolStr =
        match v.at(&["spec", "hostPath", "path"]).as_str().or(v.at(&["spec", "local", "path"]).as_str()) {
            Some(path) => format!("path:{path}").into(),
            None => name,
        };
    if let Some(volume) = cx.persistent.get(&key) {
        return Ok(*volume);
    }
    let t = Tree::new(cx.client.api.settings.epoch.civil(cx.now()).unix());
    let volume = rt.add_volume(t, "ext4", None);
    cx.persistent.insert(key, volume);
    Ok(volume)
}
