//! What the workloads of `apps` and ReplicationController share: selectors and templates.

use super::check;
use crate::field::{At, ErrorType, Errors};
use crate::{Value, obj, selector::Selector};

/// The selector of a workload; gives whether it matches the labels of the template.
pub fn selector(spec: &Value, kind: &str, at: &At<'_>, e: &mut Errors) -> Option<bool> {
    let s = spec.get("selector");
    let at = at.field("selector");
    if s.is_null() {
        e.required(&at, "");
        return Some(false);
    }
    check::selector(s, &at, e);
    let empty = s.get("matchLabels").len() + s.get("matchExpressions").len() == 0;
    if empty {
        e.invalid(&at, obj!({}), &format!("empty selector is invalid for {kind}"));
        return Some(true);
    }
    match Selector::of(s) {
        Ok(parsed) => Some(parsed.matches(spec.at(&["template", "metadata", "labels"]))),
        Err(_) => {
            e.printed(ErrorType::Invalid, &at, &check::shown_selector(s), "invalid label selector");
            None
        }
    }
}

/// A selector that must be what it was.
pub fn selector_immutable(new: &Value, old: &Value, e: &mut Errors) {
    let (n, o) = (new.at(&["spec", "selector"]), old.at(&["spec", "selector"]));
    if n != o {
        let at = At::Path("spec.selector");
        e.printed(ErrorType::Invalid, &at, &check::shown_selector(n), check::IMMUTABLE);
    }
}

/// The columns that wide tables of workloads end with.
pub fn wide_cells(spec: &Value) -> Vec<Value> {
    let (names, images) = super::containers_and_images(spec.at(&["template", "spec"]));
    vec![names, images, Selector::describe(spec.get("selector")).into()]
}

/// Warnings about the template.
pub fn warnings(new: &Value, out: &mut Vec<String>) {
    super::container::warnings(new.at(&["spec", "template", "spec"]), "spec.template.spec", out);
}

/// Drops the status of a new object, keeps it in an update.
pub fn keep_status(new: &mut Value, old: Option<&Value>, fresh: Value) {
    match old {
        None => new.set(&["status"], fresh),
        Some(old) => match old.get("status") {
            Value::Null => {
                new.remove(&["status"]);
            }
            s => new.set(&["status"], s),
        },
    }
}
