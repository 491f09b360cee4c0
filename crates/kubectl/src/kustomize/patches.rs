//! Patches: strategic merges, JSON patches, with targets and without.

use super::{Item, fail, text};
use crate::cx::{Cx, Done};
use crate::error::Error;
use api::selector::Selector;
use api::{Value, patch, yaml};
use shell::regex::Regex;

/// `patchesStrategicMerge`
pub fn strategic_merges(cx: &mut Cx<'_>, dir: &str, k: &Value, all: &mut Vec<Item>) -> Done {
    let list = k.get("patchesStrategicMerge");
    for p in list.items() {
        let body = if p.text().contains('\n') {
            p.text().to_owned()
        } else {
            match text(cx, dir, p.text())? {
                Ok(t) => t,
                Err(e) => {
                    return trouble(
                        "PatchStrategicMergeTransformer",
                        &api::obj!({"paths": list.clone()}),
                        &e,
                    );
                }
            }
        };
        for d in yaml::parse_all(&body).0 {
            by_name(&d, all)?;
        }
    }
    Ok(())
}

fn trouble<T>(plugin: &str, config: &Value, why: &str) -> Done<T> {
    fail(format!("trouble configuring builtin {plugin} with config: `\n{}`: {why}", yaml::emit(config)))
}

/// `patches`
pub fn run(cx: &mut Cx<'_>, dir: &str, k: &Value, all: &mut Vec<Item>) -> Done {
    for p in k.get("patches").items() {
        let body = match p.get("path").text() {
            "" => p.get("patch").text().to_owned(),
            path => match text(cx, dir, path)? {
                Ok(t) => t,
                Err(e) => {
                    let e = if e.starts_with("security") {
                        e
                    } else {
                        format!("failed to get the patch file from path({path}): {e}")
                    };
                    return trouble("PatchTransformer", p, &e);
                }
            },
        };
        for d in yaml::parse_all(&body).0 {
            match (p.get("target"), &d) {
                (Value::Null, _) => by_name(&d, all)?,
                (target, _) => by_target(target, &d, p.get("options"), all)?,
            }
        }
    }
    Ok(())
}

/// `patchesJson6902`
pub fn json(cx: &mut Cx<'_>, dir: &str, k: &Value, all: &mut Vec<Item>) -> Done {
    for p in k.get("patchesJson6902").items() {
        let body = match p.get("path").text() {
            "" => p.get("patch").text().to_owned(),
            path => match text(cx, dir, path)? {
                Ok(t) => t,
                Err(e) => return trouble("PatchJson6902Transformer", p, &e),
            },
        };
        for d in yaml::parse_all(&body).0 {
            by_target(p.get("target"), &d, &Value::Null, all)?;
        }
    }
    Ok(())
}

/// A strategic merge onto the one object that it names.
fn by_name(body: &Value, all: &mut Vec<Item>) -> Done {
    let wanted = Item::new(body.clone());
    let fits = |i: &Item| {
        i.value.kind() == body.kind()
            && i.group() == wanted.group()
            && i.named(body.name())
            && (body.namespace().is_empty() || i.value.namespace() == body.namespace())
    };
    let Some(at) = all.iter().position(fits) else {
        let id = wanted.id();
        return fail(format!(
            "no resource matches strategic merge patch \"{id}\": no matches for Id {id}; failed to find unique target for \
             patch {id}"
        ));
    };
    merge(all, at, body, &Value::Null)
}

fn by_target(target: &Value, body: &Value, options: &Value, all: &mut Vec<Item>) -> Done {
    let mut at = 0;
    while at < all.len() {
        let before = all.len();
        if chosen(target, &all[at])? {
            match body {
                Value::List(_) => {
                    let v = patch::json_patch(&all[at].value, body).map_err(Error::Text)?;
                    all[at].value = v;
                }
                _ => merge(all, at, body, options)?,
            }
        }
        // One that was deleted leaves its place to the next.
        at += usize::from(all.len() == before);
    }
    Ok(())
}

/// Whether a target's selector meets an object.
pub fn chosen(target: &Value, i: &Item) -> Result<bool, Error> {
    let exact = |field: &str, have: &str| {
        let want = target.get(field).text();
        want.is_empty()
            || Regex::new(&format!("^({want})$"), true, false).is_ok_and(|r| r.is_match(have.as_bytes()))
    };
    let name = exact("name", i.value.name()) || i.was.iter().any(|w| exact("name", w));
    let selects = |field: &str, have: &Value| -> Result<bool, Error> {
        match target.get(field).text() {
            "" => Ok(true),
            text => Ok(Selector::parse(text)?.matches(have)),
        }
    };
    Ok(name
        && exact("kind", i.value.kind())
        && exact("group", i.group())
        && exact("version", i.version())
        && exact("namespace", i.value.namespace())
        && selects("labelSelector", i.value.labels())?
        && selects("annotationSelector", i.value.annotations())?)
}

fn merge(all: &mut Vec<Item>, at: usize, body: &Value, options: &Value) -> Done {
    if body.get("$patch").text() == "delete" {
        all.remove(at);
        return Ok(());
    }
    let i = &mut all[at];
    let mut body = body.clone();
    let old = i.value.name().to_owned();
    let new = body.name().to_owned();
    if !options.get("allowNameChange").is_true() {
        body.set(&["metadata", "name"], old.as_str());
    }
    if !options.get("allowKindChange").is_true() {
        body.insert("kind", i.value.kind());
    }
    i.value = match crate::print::type_of(&i.value) {
        Some(t) => patch::strategic(&i.value, &body, Some(t)).map_err(Error::Text)?,
        None => patch::merge(&i.value, &body),
    };
    if options.get("allowNameChange").is_true() && new != old {
        i.was.push(old);
    }
    Ok(())
}
