//! DefaultTolerationSeconds: pods stay five minutes on a node that went silent.

use super::Attempt;
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::obj;

pub(crate) fn mutate(_api: &mut ApiServer, _cx: &mut Cx, a: &mut Attempt<'_>) -> Result<(), Status> {
    if !a.is("Pod") || a.new.is_null() {
        return Ok(());
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = a.new.at(&["spec", "tolerations"]).items().any(|t| {
            (t.get("key").text() == key || t.get("key").text().is_empty())
                && matches!(t.get("effect").text(), "NoExecute" | "")
        });
        if !tolerated {
            let t = obj!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            a.new.push_at(&["spec", "tolerations"], t);
        }
    }
    Ok(())
}
