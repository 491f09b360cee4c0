//! What extends the API server: webhooks, admission policies, APIServices.

use super::{NameRule, Rules, admission, default, object_age};
use crate::field::At;
use crate::{Value, obj};

const ADMISSION: &str = "admissionregistration.k8s.io";

fn webhook_defaults(v: &mut Value) {
    let n = v.get("webhooks").len();
    for i in 0..n {
        let w = &mut v.slot(&["webhooks"]).list_mut()[i];
        default(w, "failurePolicy", "Fail");
        default(w, "matchPolicy", "Equivalent");
        default(w, "namespaceSelector", Value::map());
        default(w, "objectSelector", Value::map());
        default(w, "timeoutSeconds", 10);
        if w.at(&["clientConfig", "service"]).is_some() {
            default(w.slot(&["clientConfig", "service"]), "port", 443);
        }
        let rules = w.get("rules").len();
        for j in 0..rules {
            default(&mut w.slot(&["rules"]).list_mut()[j], "scope", "*");
        }
    }
}

/// ValidatingWebhookConfiguration.
pub const VALIDATING: Rules = Rules {
    of: (ADMISSION, "ValidatingWebhookConfiguration"),
    defaults: webhook_defaults,
    validate: admission::webhooks,
    generation: true,
    cells: Some(|v, now| vec![v.name().into(), v.get("webhooks").len().into(), object_age(v, now)]),
    ..Rules::GENERIC
};

/// MutatingWebhookConfiguration.
pub const MUTATING: Rules = Rules {
    of: (ADMISSION, "MutatingWebhookConfiguration"),
    defaults: |v| {
        webhook_defaults(v);
        let n = v.get("webhooks").len();
        for i in 0..n {
            default(&mut v.slot(&["webhooks"]).list_mut()[i], "reinvocationPolicy", "Never");
        }
    },
    ..VALIDATING
};

fn param_kind(v: &Value) -> Value {
    let p = v.at(&["spec", "paramKind"]);
    if p.is_null() { "<unset>".into() } else { format!("{}/{}", p.api_version(), p.kind()).into() }
}

fn match_defaults(m: &mut Value) {
    default(m, "matchPolicy", "Equivalent");
    default(m, "namespaceSelector", Value::map());
    default(m, "objectSelector", Value::map());
    for list in ["resourceRules", "excludeResourceRules"] {
        let n = m.get(list).len();
        for i in 0..n {
            default(&mut m.slot(&[list]).list_mut()[i], "scope", "*");
        }
    }
}

fn policy_defaults(v: &mut Value) {
    let spec = v.slot(&["spec"]);
    default(spec, "failurePolicy", "Fail");
    if spec.get("matchConstraints").is_some() {
        match_defaults(spec.slot(&["matchConstraints"]));
    }
}

fn binding_defaults(v: &mut Value) {
    if v.at(&["spec", "matchResources"]).is_some() {
        match_defaults(v.slot(&["spec", "matchResources"]));
    }
}

/// ValidatingAdmissionPolicy.
pub const VALIDATING_POLICY: Rules = Rules {
    of: (ADMISSION, "ValidatingAdmissionPolicy"),
    defaults: policy_defaults,
    validate: admission::policy,
    generation: true,
    cells: Some(|v, now| {
        vec![v.name().into(), v.at(&["spec", "validations"]).len().into(), param_kind(v), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

/// MutatingAdmissionPolicy.
pub const MUTATING_POLICY: Rules = Rules {
    of: (ADMISSION, "MutatingAdmissionPolicy"),
    validate: |_, _| {},
    cells: Some(|v, now| {
        vec![v.name().into(), v.at(&["spec", "mutations"]).len().into(), param_kind(v), object_age(v, now)]
    }),
    ..VALIDATING_POLICY
};

/// ValidatingAdmissionPolicyBinding.
pub const VALIDATING_BINDING: Rules = Rules {
    of: (ADMISSION, "ValidatingAdmissionPolicyBinding"),
    defaults: binding_defaults,
    validate: admission::binding,
    generation: true,
    cells: Some(|v, now| {
        let p = v.at(&["spec", "paramRef"]);
        let param = match (p.is_null(), p.get("namespace").text(), p.get("name").text()) {
            (true, ..) => "<unset>".to_owned(),
            (_, "", "") => "<selector>".to_owned(),
            (_, "", n) => n.to_owned(),
            (_, ns, n) => format!("{ns}/{n}"),
        };
        vec![v.name().into(), v.at(&["spec", "policyName"]).text().into(), param.into(), object_age(v, now)]
    }),
    ..Rules::GENERIC
};

/// MutatingAdmissionPolicyBinding.
pub const MUTATING_BINDING: Rules =
    Rules { of: (ADMISSION, "MutatingAdmissionPolicyBinding"), validate: |_, _| {}, ..VALIDATING_BINDING };

/// APIService.
pub const API_SERVICE: Rules = Rules {
    of: ("apiregistration.k8s.io", "APIService"),
    validate: |v, e| {
        let (spec, at) = (v.get("spec"), At::Path("spec"));
        let want = format!("{}.{}", spec.get("version").text(), spec.get("group").text());
        if v.name() != want {
            let why = format!("must be `spec.version+\".\"+spec.group`: {want:?}");
            e.invalid(&At::Path("metadata.name"), v.name(), &why);
        }
        for (key, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
            let n = spec.get(key).int();
            if n <= 0 || n > max {
                e.invalid(&at.field(key), n, &format!("must be positive and less than {max}"));
            }
        }
        let service = spec.get("service");
        if service.is_null() {
            if !spec.get("caBundle").text().is_empty() {
                e.invalid(&at.field("caBundle"), "<omitted>", "local APIServices may not have a caBundle");
            }
            if spec.get("insecureSkipTLSVerify").is_true() {
                let why = "local APIServices may not have insecureSkipTLSVerify";
                e.invalid(&at.field("insecureSkipTLSVerify"), true, why);
            }
        } else {
            let at = at.field("service");
            super::check::required(service, "namespace", &at, e);
            super::check::required(service, "name", &at, e);
        }
    },
    defaults: |v| {
        if v.at(&["spec", "service"]).is_some() {
            default(v.slot(&["spec", "service"]), "port", 443);
        } else if v.at(&["status", "conditions"]).is_null() {
            let time = v.at(&["metadata", "creationTimestamp"]).clone();
            v.set(
                &["status", "conditions"],
                obj!([{
                    "type": "Available", "status": "True", "lastTransitionTime": time, "reason": "Local",
                    "message": "Local APIServices are always available"
                }]),
            );
        }
    },
    cells: Some(|v, now| {
        let s = v.at(&["spec", "service"]);
        let service = if s.is_null() {
            "Local".to_owned()
        } else {
            format!("{}/{}", s.get("namespace").text(), s.get("name").text())
        };
        let c = v.condition("Available");
        let available = match (c.get("status").text(), c.get("reason").text()) {
            ("True", _) => "True".to_owned(),
            ("", _) => "Unknown".to_owned(),
            (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        };
        vec![v.name().into(), service.into(), available.into(), object_age(v, now)]
    }),
    name: NameRule::PathSegment,
    ..Rules::GENERIC
};
