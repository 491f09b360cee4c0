//! ConfigMap and ServiceAccount.

use super::{Rules, object_age};
use crate::Value;

/// ConfigMap.
pub const CONFIG_MAP: Rules = Rules {
    of: ("", "ConfigMap"),
    cells: Some(|v, now| {
        let n = v.get("data").len() + v.get("binaryData").len();
        vec![v.name().into(), Value::from(n), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

/// ServiceAccount.
pub const SERVICE_ACCOUNT: Rules = Rules {
    of: ("", "ServiceAccount"),
    cells: Some(|v, now| vec![v.name().into(), v.get("secrets").len().into(), object_age(v, now)]),
    ..Rules::GENERIC
};
