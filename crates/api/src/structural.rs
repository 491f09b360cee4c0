//! Structural schemas of CustomResourceDefinitions: pruning, defaulting, validation.
//!
//! Models: `apiextensions/pkg/apiserver/schema` and kube-openapi's validators, in their words.

use crate::cel;
use crate::field::{At, ErrorType, Errors};
use crate::{Value, pattern};

/// Nothing is nested deeper.
const DEPTH_MAX: usize = 64;

/// Drops what the schema does not know and gives the paths of it. The root's `apiVersion`, `kind` and `metadata` stay.
pub fn prune(schema: &Value, v: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_at(schema, v, "", true, 0, &mut unknown);
    unknown
}

fn preserves(s: &Value) -> bool {
    s.get("x-kubernetes-preserve-unknown-fields").is_true()
}

fn prune_at(s: &Value, v: &mut Value, at: &str, root: bool, depth: usize, out: &mut Vec<String>) {
    if depth > DEPTH_MAX || s.is_null() {
        return;
    }
    match v {
        Value::Map(m) => {
            let keys: Vec<String> = m.keys().map(|k| k.as_str().to_owned()).collect();
            let embedded = root || s.get("x-kubernetes-embedded-resource").is_true();
            for k in keys {
                if embedded && matches!(k.as_str(), "apiVersion" | "kind" | "metadata") {
                    continue;
                }
                let here = if at.is_empty() { k.clone() } else { format!("{at}.{k}") };
                let known = s.get("properties").get(&k);
                let extra = s.get("additionalProperties");
                if known.is_some() {
                    prune_at(known, m.entry(&k), &here, false, depth + 1, out);
                } else if extra.as_map().is_some() {
                    prune_at(extra, m.entry(&k), &here, false, depth + 1, out);
                } else if !extra.is_true() && !preserves(s) {
                    m.remove(&k);
                    out.push(here);
                }
            }
        }
        Value::List(_) => {
            for (i, item) in v.list_mut().iter_mut().enumerate() {
                prune_at(s.get("items"), item, &format!("{at}[{i}]"), false, depth + 1, out);
            }
        }
        _ => {}
    }
}

/// Fills defaults in; nulls of fields that are not nullable count as absent.
pub fn default(schema: &Value, v: &mut Value) {
    default_at(schema, v, 0);
}

fn default_at(s: &Value, v: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match v {
        Value::Map(_) => {
            for (k, p) in s.get("properties").entries() {
                let d = p.get("default");
                let here = v.get(k);
                if d.is_some() && here.is_null() && !p.get("nullable").is_true() {
                    v.insert(k, d);
                }
                if matches!(v.get(k), Value::Map(_) | Value::List(_)) {
                    default_at(p, v.slot(&[k]), depth + 1);
                }
            }
            let extra = s.get("additionalProperties");
            if extra.as_map().is_some() {
                for (_, item) in v.map_mut().iter_mut() {
                    default_at(extra, item, depth + 1);
                }
            }
        }
        Value::List(_) => v.list_mut().iter_mut().for_each(|i| default_at(s.get("items"), i, depth + 1)),
        _ => {}
    }
}

/// Validates an object, and its change where there was one before, with the rules of the schema.
pub fn validate(schema: &Value, v: &Value, old: Option<&Value>, e: &mut Errors) {
    let before = e.0.len();
    validate_at(schema, v, "", e, 0);
    if !has_rules(schema, 0) {
        return;
    }
    // Rules run on values of the right shape only; what is merely out of bounds does not stop them.
    let blocks = |t: ErrorType| {
        matches!(
            t,
            ErrorType::NotSupported
                | ErrorType::Required
                | ErrorType::TooLong
                | ErrorType::TooMany
                | ErrorType::TypeInvalid
        )
    };
    if e.0.iter().skip(before).any(|x| blocks(x.ty)) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                   complete validation";
        e.printed(ErrorType::Invalid, &At::Path("<nil>"), "null", why);
        return;
    }
    let mut budget = cel::Budget::default();
    rules(schema, v, old, "", &mut budget, e, 0);
}

fn has_rules(s: &Value, depth: usize) -> bool {
    depth < DEPTH_MAX
        && (!s.get("x-kubernetes-validations").is_empty()
            || s.get("properties").entries().any(|(_, p)| has_rules(p, depth + 1))
            || (s.get("items").as_map().is_some() && has_rules(s.get("items"), depth + 1))
            || (s.get("additionalProperties").as_map().is_some()
                && has_rules(s.get("additionalProperties"), depth + 1)))
}

fn join(at: &str, k: &str) -> String {
    if at.is_empty() { k.to_owned() } else { format!("{at}.{k}") }
}

fn type_of(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

fn number(v: &Value) -> f64 {
    match v {
        Value::Int(i) => *i as f64,
        Value::Float(f) => *f,
        _ => 0.0,
    }
}

fn validate_at(s: &Value, v: &Value, at: &str, e: &mut Errors, depth: usize) {
    if depth > DEPTH_MAX || (v.is_null() && s.get("nullable").is_true()) {
        return;
    }
    let path = At::Path(at);
    let want = s.get("type").text();
    let have = type_of(v);
    let fits = want.is_empty() || want == have || (want == "number" && have == "integer");
    if s.get("x-kubernetes-int-or-string").is_true() {
        if !matches!(v, Value::Int(_) | Value::Str(_)) {
            e.push(
                ErrorType::TypeInvalid,
                &path,
                Some(&Value::from(have)),
                &format!("{at} in body must be of type integer,string: \"{have}\""),
            );
            return;
        }
    } else if !fits {
        e.push(
            ErrorType::TypeInvalid,
            &path,
            Some(&Value::from(have)),
            &format!("{at} in body must be of type {want}: \"{have}\""),
        );
        return;
    }
    let options = s.get("enum");
    if !options.is_empty() && !options.items().any(|o| o == v) {
        let list: Vec<String> = options.items().map(Value::to_json).collect();
        let why = format!("supported values: {}", list.join(", "));
        e.printed(ErrorType::NotSupported, &path, &v.to_json(), &why);
    }
    match v {
        Value::Str(t) => text(s, t, at, e),
        Value::Int(_) | Value::Float(_) => range(s, v, at, e),
        Value::List(l) => {
            if let Some(max) = s.get("maxItems").as_int()
                && l.len() as i64 > max
            {
                e.too_many(&path, l.len(), max.max(0) as usize);
            }
            if let Some(min) = s.get("minItems").as_int()
                && (l.len() as i64) < min
            {
                e.invalid(&path, l.len(), &format!("{at} in body should have at least {min} items"));
            }
            duplicates(s, v, at, e);
            if s.get("items").as_map().is_some() {
                for (i, item) in l.iter().enumerate() {
                    validate_at(s.get("items"), item, &format!("{at}[{i}]"), e, depth + 1);
                }
            }
        }
        Value::Map(m) => {
            for r in s.get("required").items() {
                if m.get(r.text()).is_none() {
                    e.required(&At::Path(&join(at, r.text())), "");
                }
            }
            if let Some(max) = s.get("maxProperties").as_int()
                && m.len() as i64 > max
            {
                e.too_many(&path, m.len(), max.max(0) as usize);
            }
            for (k, item) in m.iter() {
                let p = s.get("properties").get(k);
                let extra = s.get("additionalProperties");
                if p.is_some() {
                    validate_at(p, item, &join(at, k), e, depth + 1);
                } else if extra.as_map().is_some() {
                    validate_at(extra, item, &join(at, k), e, depth + 1);
                }
            }
        }
        _ => {}
    }
}

fn text(s: &Value, t: &str, at: &str, e: &mut Errors) {
    let path = At::Path(at);
    let chars = t.chars().count() as i64;
    if let Some(max) = s.get("maxLength").as_int()
        && chars > max
    {
        return e.too_long(&path, max.max(0) as usize);
    }
    if let Some(min) = s.get("minLength").as_int()
        && chars < min
    {
        return e.invalid(&path, t, &format!("{at} in body should be at least {min} chars long"));
    }
    if let Value::Str(p) = s.get("pattern")
        && !pattern::is_match(p, t)
    {
        return e.invalid(&path, t, &format!("{at} in body should match '{p}'"));
    }
    let ok = match s.get("format").text() {
        "date-time" => sim::Civil::parse(t).is_some(),
        "ipv4" => t.parse::<core::net::Ipv4Addr>().is_ok(),
        "ipv6" => t.parse::<core::net::Ipv6Addr>().is_ok(),
        "cidr" => crate::kinds::check::parse_cidr(t).is_some(),
        "byte" => t.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)),
        _ => true,
    };
    if !ok {
        let format = s.get("format").text();
        e.invalid(&path, t, &format!("{at} in body must be of type {format}: \"{t}\""));
    }
}

fn range(s: &Value, v: &Value, at: &str, e: &mut Errors) {
    let path = At::Path(at);
    let (max, min) = (s.get("maximum"), s.get("minimum"));
    let (no_max, no_min) = (s.get("exclusiveMaximum").is_true(), s.get("exclusiveMinimum").is_true());
    if max.is_some() && (number(v) > number(max) || (no_max && number(v) >= number(max))) {
        let or = if no_max { "" } else { " or equal to" };
        let why = format!("{at} in body should be less than{or} {}", max.to_json());
        e.invalid(&path, v, &why);
    }
    if min.is_some() && (number(v) < number(min) || (no_min && number(v) <= number(min))) {
        let or = if no_min { "" } else { " or equal to" };
        let why = format!("{at} in body should be greater than{or} {}", min.to_json());
        e.invalid(&path, v, &why);
    }
    let of = s.get("multipleOf");
    if of.is_some() && number(of) > 0.0 && (number(v) / number(of)).fract() != 0.0 {
        e.invalid(&path, v, &format!("{at} in body should be a multiple of {}", of.to_json()));
    }
}

/// Items of sets and of lists with keys must differ.
fn duplicates(s: &Value, v: &Value, at: &str, e: &mut Errors) {
    let keys: Vec<&str> = s.get("x-kubernetes-list-map-keys").items().map(Value::text).collect();
    let kind = s.get("x-kubernetes-list-type").text();
    let mut seen: Vec<Value> = Vec::new();
    for (i, item) in v.items().enumerate() {
        let id = match kind {
            "set" => item.clone(),
            "map" => keys.iter().map(|k| (*k, item.get(k).clone())).collect(),
            _ => return,
        };
        if seen.contains(&id) {
            let here = format!("{at}[{i}]");
            e.printed(ErrorType::Duplicate, &At::Path(&here), &id.to_json(), "");
        }
        seen.push(id);
    }
}

fn rules(
    s: &Value,
    v: &Value,
    old: Option<&Value>,
    at: &str,
    budget: &mut cel::Budget,
    e: &mut Errors,
    depth: usize,
) {
    if depth > DEPTH_MAX {
        return;
    }
    for r in s.get("x-kubernetes-validations").items() {
        let rule = r.get("rule").text();
        // Rules about changes are for updates only.
        if cel::mentions(rule, "oldSelf") && old.is_none() && !r.get("optionalOldSelf").is_true() {
            continue;
        }
        let place = if at.is_empty() { "<nil>".to_owned() } else { at.to_owned() };
        let shown = match v {
            Value::Map(_) | Value::List(_) => None,
            v => Some(v.to_json()),
        };
        let message = match cel::evaluate(rule, v, old, budget) {
            Ok(true) => continue,
            Ok(false) => rule_message(r, v, old, budget),
            Err(m) => format!("rule: {rule}: {m}"),
        };
        let place = format!("{place}{}", r.get("fieldPath").text());
        let path = At::Path(&place);
        let ty = match r.get("reason").text() {
            "FieldValueForbidden" => ErrorType::Forbidden,
            "FieldValueRequired" => ErrorType::Required,
            "FieldValueDuplicate" => ErrorType::Duplicate,
            _ => ErrorType::Invalid,
        };
        match shown {
            // These name no value.
            _ if matches!(ty, ErrorType::Forbidden | ErrorType::Required) => {
                e.push(ty, &path, None, &message)
            }
            Some(shown) => e.printed(ty, &path, &shown, &message),
            None => e.printed(ty, &path, &message, ""),
        }
    }
    for (k, p) in s.get("properties").entries() {
        if v.get(k).is_some() {
            let before = old.map(|o| o.get(k)).filter(|o| o.is_some());
            rules(p, v.get(k), before, &join(at, k), budget, e, depth + 1);
        }
    }
    if s.get("items").as_map().is_some() {
        // Entries of keyed lists are known by their keys; those of others have no past.
        let keys = s.get("x-kubernetes-list-map-keys");
        for (i, item) in v.items().enumerate() {
            let same =
                |o: &&Value| !keys.is_empty() && keys.items().all(|k| o.get(k.text()) == item.get(k.text()));
            let before = old.and_then(|o| o.items().find(same));
            rules(s.get("items"), item, before, &format!("{at}[{i}]"), budget, e, depth + 1);
        }
    }
    let extra = s.get("additionalProperties");
    if extra.as_map().is_some() {
        for (k, item) in v.entries() {
            let before = old.map(|o| o.get(k)).filter(|o| o.is_some());
            rules(extra, item, before, &format!("{at}[{k}]"), budget, e, depth + 1);
        }
    }
}

/// The message of a rule that does not hold.
fn rule_message(r: &Value, v: &Value, old: Option<&Value>, budget: &mut cel::Budget) -> String {
    let mut scope: cel::Scope = vec![("self".into(), v.clone())];
    scope.extend(old.map(|o| ("oldSelf".into(), o.clone())));
    let computed = match r.get("messageExpression").text() {
        "" => None,
        text => cel::value_of(text, &mut scope, budget).ok(),
    };
    match (computed.as_ref().and_then(Value::as_str), r.get("message").text()) {
        (Some(m), _) if !m.trim().is_empty() && !m.contains('\n') => m.to_owned(),
        (_, "") => format!("failed rule: {}", r.get("rule").text()),
        (_, m) => m.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    fn widget() -> Value {
        obj!({"type": "object", "required": ["spec"], "properties": {"spec": {
            "type": "object", "required": ["size"],
            "x-kubernetes-validations": [{
                "rule": "!(has(self.color) && self.color == 'red' && self.size > 5)", "message": "red widgets must be small"
            }],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "color": {"type": "string", "enum": ["red", "green"], "default": "green"},
                "id": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "id is immutable"}]}
            }
        }}})
    }

    fn errors(v: &Value, old: Option<&Value>) -> Vec<String> {
        let mut e = Errors::default();
        validate(&widget(), v, old, &mut e);
        e.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_custom_resource() {
        let mut v = obj!({"kind": "Widget", "spec": {"size": 3, "colour": "red"}});
        assert_eq!(prune(&widget(), &mut v), ["spec.colour"]);
        default(&widget(), &mut v);
        assert_eq!(v.get("spec").to_json(), r#"{"color":"green","size":3}"#);
        assert_eq!(errors(&v, None), Vec::<String>::new());
        let red = obj!({"spec": {"size": 9, "color": "red"}});
        assert_eq!(errors(&red, None), ["spec: Invalid value: red widgets must be small"]);
        assert_eq!(
            errors(&obj!({"spec": {"size": 99}}), None)[0],
            "spec.size: Invalid value: 99: spec.size in body should be less than or equal to 10"
        );
        let (a, b) = (obj!({"spec": {"size": 1, "id": "x"}}), obj!({"spec": {"size": 1, "id": "y"}}));
        assert_eq!(errors(&b, Some(&a)), [r#"spec.id: Invalid value: "y": id is immutable"#]);
    }
}
