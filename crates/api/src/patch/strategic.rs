//! Strategic merge patches by the schema's merge keys and strategies. Models: `apimachinery/pkg/util/strategicpatch`.

use super::Error;
use crate::schema::{Patch, Ty, TypeId};
use crate::{Map, Value, gofmt};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

const BAD_RETAIN: &str = "invalid patch format of retainKeys";
const BAD_ORDER: &str = "invalid patch format of setElementOrder list";

/// What the schema says about a field.
#[derive(Clone, Copy)]
struct Meta {
    /// Type of the field, of the elements for lists.
    ty: Option<Ty>,
    merge: bool,
    retain: bool,
    key: &'static str,
}

fn meta(ty: Option<Ty>, field: &str) -> Meta {
    let none = Meta { ty: None, merge: false, retain: false, key: "" };
    match ty {
        Some(Ty::Object(id)) => match id.get().field(field) {
            Some(f) => Meta {
                ty: Some(match f.ty {
                    Ty::List(e) => *e,
                    t => t,
                }),
                merge: matches!(f.patch, Patch::Merge | Patch::MergeRetainKeys),
                retain: matches!(f.patch, Patch::RetainKeys | Patch::MergeRetainKeys),
                key: f.merge_key.unwrap_or(""),
            },
            None => none,
        },
        Some(Ty::Map(e)) => Meta { ty: Some(*e), ..none },
        _ => none,
    }
}

#[derive(Clone, Copy)]
struct MergeOptions {
    /// Directives are carried out; else they are kept, for patches merged into one.
    apply: bool,
}

/// Applies a strategic merge patch to an object of type `ty`.
pub fn strategic(doc: &Value, patch: &Value, ty: Option<TypeId>) -> Result<Value, Error> {
    merge_map(doc, patch, ty.map(Ty::Object), MergeOptions { apply: true })
}

fn as_list<'a>(v: &'a Value, key: &str) -> Result<&'a [Value], Error> {
    match v {
        Value::List(_) => Ok(v.items().as_slice()),
        v => Err(format!("expected a list in {key} of the patch, found {}", gofmt::value(v))),
    }
}

/// Takes directives out of what is added; `None` where a directive deletes it.
fn drop_directives(v: &Value) -> Option<Value> {
    match v {
        Value::Map(m) => {
            if m.get(DIRECTIVE).is_some_and(|d| d.text() == "delete") {
                return None;
            }
            let mut out = Map::default();
            for (k, v) in m.iter() {
                if k.starts_with(DELETE_PREFIX)
                    || k.starts_with(ORDER_PREFIX)
                    || &**k == DIRECTIVE
                    || &**k == RETAIN
                {
                    continue;
                }
                if let Some(v) = drop_directives(v) {
                    out.insert(k, v);
                }
            }
            Some(Value::Map(out))
        }
        Value::List(l) => Some(l.iter().filter_map(drop_directives).collect()),
        v => Some(v.clone()),
    }
}

/// Nulls of added maps say nothing.
fn discard_nulls(v: &Value) -> Value {
    match v {
        Value::Map(m) => m.iter().filter(|(_, v)| v.is_some()).map(|(k, v)| (k, discard_nulls(v))).collect(),
        v => v.clone(),
    }
}

fn same_kind(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => true,
        (a, b) => core::mem::discriminant(a) == core::mem::discriminant(b),
    }
}

fn merge_map(original: &Value, patch: &Value, ty: Option<Ty>, o: MergeOptions) -> Result<Value, Error> {
    if let Some(d) = patch.as_map().and_then(|m| m.get(DIRECTIVE)) {
        return match d.text() {
            "replace" => {
                let mut v = patch.clone();
                v.map_mut().remove(DIRECTIVE);
                Ok(v)
            }
            "delete" => Ok(Value::map()),
            "merge" => Err("unknown patch type: merge in map: ".to_owned() + &gofmt::value(patch)),
            _ => Err(format!("unknown patch type: {} in map: {}", gofmt::value(d), gofmt::value(patch))),
        };
    }
    let mut out = match original {
        Value::Map(m) => m.clone(),
        _ => Map::default(),
    };
    let mut patch = match patch {
        Value::Map(m) => m.clone(),
        _ => Map::default(),
    };
    retain_keys(&mut out, &mut patch, o)?;
    ordered_lists(&mut out, &mut patch, ty, o)?;
    for (k, v) in patch.iter() {
        merge_field(&mut out, k, v, ty, o)?;
    }
    Ok(Value::Map(out))
}

fn merge_field(out: &mut Map, k: &str, v: &Value, ty: Option<Ty>, o: MergeOptions) -> Result<(), Error> {
    let delete_list = k.starts_with(DELETE_PREFIX);
    let name = k.strip_prefix(DELETE_PREFIX).unwrap_or(k);
    if delete_list {
        as_list(v, k)?;
        if !o.apply {
            out.insert(k, v);
            return Ok(());
        }
    }
    if v.is_null() {
        out.remove(name);
        if o.apply {
            return Ok(());
        }
    }
    let old = match out.get(name) {
        Some(old) if same_kind(old, v) => old.clone(),
        _ => {
            if !delete_list {
                let added = if o.apply { discard_nulls(v) } else { v.clone() };
                let added = if o.apply { drop_directives(&added) } else { Some(added) };
                match added {
                    Some(v) => out.insert(name, v),
                    None => out.remove(name),
                };
            }
            return Ok(());
        }
    };
    let m = meta(ty, name);
    let new = match v {
        Value::Map(_) => merge_map(&old, v, m.ty, o)?,
        Value::List(_) if m.merge => {
            merge_list(old.items().as_slice(), v.items().as_slice(), m, delete_list, o)?
        }
        v => v.clone(),
    };
    out.insert(name, new);
    Ok(())
}

fn retain_keys(original: &mut Map, patch: &mut Map, o: MergeOptions) -> Result<(), Error> {
    let Some(keep) = patch.remove(RETAIN) else { return Ok(()) };
    if !o.apply {
        match original.get(RETAIN) {
            Some(old) if *old != keep => return Err(BAD_RETAIN.into()),
            _ => {
                original.insert(RETAIN, keep);
            }
        }
        return Ok(());
    }
    let kept = |k: &str| keep.items().any(|v| v.text() == k);
    if !matches!(keep, Value::List(_)) {
        return Err(BAD_RETAIN.into());
    }
    for (k, v) in patch.iter() {
        if v.is_some() && !k.starts_with(DELETE_PREFIX) && !k.starts_with(ORDER_PREFIX) && !kept(k) {
            return Err(BAD_RETAIN.into());
        }
    }
    original.retain(|k, _| kept(k));
    Ok(())
}

/// `$setElementOrder/x` and the list `x` beside it.
fn ordered_lists(original: &mut Map, patch: &mut Map, ty: Option<Ty>, o: MergeOptions) -> Result<(), Error> {
    let names: Vec<String> =
        patch.keys().filter(|k| k.starts_with(ORDER_PREFIX)).map(|k| k.as_str().to_owned()).collect();
    for directive in names {
        let Some(order) = patch.remove(&directive) else { continue };
        let field = &directive[ORDER_PREFIX.len()..];
        let order_items = as_list(&order, &directive)?;
        if !o.apply {
            match original.get(&directive) {
                Some(old) if *old != order => return Err(BAD_ORDER.into()),
                _ => {
                    original.insert(directive.as_str(), &order);
                }
            }
        }
        let old = original.get(field).cloned();
        let new = patch.remove(field);
        let m = meta(ty, field);
        if let Some(new) = &new {
            check_order(as_list(new, field)?, order_items, m.key)?;
        }
        let merged = match (&old, &new) {
            (None, None) => continue,
            (Some(old), None) => old.clone(),
            (None, Some(new)) if o.apply => drop_directives(new).unwrap_or_default(),
            (None, Some(new)) => new.clone(),
            (Some(old), Some(new)) if m.merge => {
                merge_list(as_list(old, field)?, as_list(new, field)?, m, false, o)?
            }
            (Some(_), Some(new)) => new.clone(),
        };
        let (ours, theirs): (Vec<Value>, Vec<Value>) =
            merged.items().cloned().partition(|v| position(order_items, v, m.key).is_some());
        let live = old.unwrap_or_default();
        let all = in_order(ours, theirs, order_items, live.items().as_slice(), m.key)?;
        original.insert(field, all);
    }
    Ok(())
}

/// Elements of a patch must stand in the order that its `$setElementOrder` gives.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), Error> {
    let mut rest = order.iter();
    for v in patch.iter().filter(|v| v.get(DIRECTIVE).text() != "delete") {
        if !rest.any(|o| identity(o, key) == identity(v, key)) {
            return Err(format!(
                "The order in patch list:\n{}\n doesn't match {ORDER_PREFIX_NAME} list:\n{}\n",
                gofmt::value(&patch.iter().cloned().collect()),
                gofmt::value(&order.iter().cloned().collect())
            ));
        }
    }
    Ok(())
}

const ORDER_PREFIX_NAME: &str = "$setElementOrder";

fn identity<'a>(v: &'a Value, key: &str) -> &'a Value {
    match v {
        Value::Map(_) if !key.is_empty() => v.get(key),
        v => v,
    }
}

fn position(list: &[Value], v: &Value, key: &str) -> Option<usize> {
    let id = identity(v, key);
    list.iter().position(|x| identity(x, key) == id)
}

fn no_merge_key(v: &Value, key: &str) -> Error {
    format!("map: {} does not contain declared merge key: {key}", gofmt::value(v))
}

fn merge_list(
    original: &[Value],
    patch: &[Value],
    m: Meta,
    delete: bool,
    o: MergeOptions,
) -> Result<Value, Error> {
    if original.is_empty() && patch.is_empty() {
        return Ok(Value::list());
    }
    let maps = patch.iter().chain(original).any(|v| matches!(v, Value::Map(_)));
    if !maps {
        if o.apply && delete {
            return Ok(original.iter().filter(|v| !patch.contains(v)).cloned().collect());
        }
        let mut all: Vec<Value> = Vec::new();
        for v in original.iter().chain(patch) {
            if !all.contains(v) {
                all.push(v.clone());
            }
        }
        let (ours, theirs) = all.into_iter().partition(|v| patch.contains(v));
        return in_order(ours, theirs, patch, original, "");
    }
    if m.key.is_empty() {
        let name = match m.ty {
            Some(Ty::Object(id)) => id.get().short_name(),
            _ => "list",
        };
        return Err(format!("cannot merge lists without merge key for {name}"));
    }
    let (mut all, patch) = special_elements(original, patch, m.key)?;
    let live = all.clone();
    for v in &patch {
        let id = v.as_map().and_then(|x| x.get(m.key)).ok_or_else(|| no_merge_key(v, m.key))?;
        match all.iter().position(|x| x.as_map().is_some_and(|x| x.get(m.key) == Some(id))) {
            Some(i) => all[i] = merge_map(&all[i], v, m.ty, o)?,
            None => all.push(v.clone()),
        }
    }
    let (ours, theirs) = all.into_iter().partition(|v| position(&patch, v, m.key).is_some());
    in_order(ours, theirs, &patch, &live, m.key)
}

/// Carries out `$patch` elements of a list: gives what is left of the original, and the other elements.
fn special_elements(
    original: &[Value],
    patch: &[Value],
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let (mut left, mut rest, mut replace) = (original.to_vec(), Vec::new(), false);
    for v in patch {
        let Some(map) = v.as_map() else {
            return Err(format!("expected a map in the patch's list, found {}", gofmt::value(v)));
        };
        match map.get(DIRECTIVE) {
            None => rest.push(v.clone()),
            Some(d) => match d.text() {
                "delete" => {
                    let id = map.get(key).ok_or_else(|| no_merge_key(v, key))?;
                    left.retain(|x| x.as_map().is_none_or(|x| x.get(key) != Some(id)));
                }
                "replace" => replace = true,
                "merge" => return Err("merging lists cannot yet be specified in the patch".into()),
                _ => {
                    return Err(format!(
                        "unknown patch type: {} in map: {}",
                        gofmt::value(d),
                        gofmt::value(v)
                    ));
                }
            },
        }
    }
    if replace {
        left.clear();
    }
    Ok((left, rest))
}

/// Sorts the patch's elements by the patch's order, the others by the live order, and interleaves both.
fn in_order(
    ours: Vec<Value>,
    theirs: Vec<Value>,
    order: &[Value],
    live: &[Value],
    key: &str,
) -> Result<Value, Error> {
    let ours = sorted(ours, order, key)?;
    let theirs = sorted(theirs, live, key)?;
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let theirs_first = match (theirs.peek(), ours.peek()) {
            (None, None) => return Ok(Value::from(out)),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(l), Some(r)) => {
                matches!((position(live, l, key), position(live, r, key)), (Some(l), Some(r)) if l < r)
            }
        };
        out.extend(if theirs_first { theirs.next() } else { ours.next() });
    }
}

/// Upstream's stable sort with its lopsided comparison: what `order` lacks moves ahead. Deletions go to the end.
fn sorted(list: Vec<Value>, order: &[Value], key: &str) -> Result<Vec<Value>, Error> {
    if list.iter().any(|v| matches!(v, Value::Map(_))) {
        for v in list.iter().chain(order) {
            if v.as_map().is_none_or(|m| m.get(key).is_none()) {
                return Err(no_merge_key(v, key));
            }
        }
    }
    let (deletes, mut list): (Vec<Value>, Vec<Value>) =
        list.into_iter().partition(|v| v.get(DIRECTIVE).text() == "delete");
    let less = |a: &Value, b: &Value| match (position(order, a, key), position(order, b, key)) {
        (Some(a), Some(b)) => a < b,
        _ => true,
    };
    for i in 1..list.len() {
        let mut j = i;
        while j > 0 && less(&list[j], &list[j - 1]) {
            list.swap(j, j - 1);
            j -= 1;
        }
    }
    list.extend(deletes);
    Ok(list)
}

#[derive(Clone, Copy)]
struct DiffOptions {
    deletions: bool,
    changes: bool,
    retain: bool,
}

/// The strategic merge patch that makes `modified` of `original`.
pub fn two_way(original: &Value, modified: &Value, ty: Option<TypeId>) -> Result<Value, Error> {
    diff_maps(
        original,
        modified,
        ty.map(Ty::Object),
        DiffOptions { deletions: true, changes: true, retain: false },
    )
}

/// The patch of `kubectl apply`: deletes what `original` (last applied) had and `modified` lacks, adds and changes what
/// differs from `current`.
pub fn three_way(
    original: &Value,
    modified: &Value,
    current: &Value,
    ty: Option<TypeId>,
) -> Result<Value, Error> {
    let ty = ty.map(Ty::Object);
    let delta =
        diff_maps(current, modified, ty, DiffOptions { deletions: false, changes: true, retain: false })?;
    let deletions =
        diff_maps(original, modified, ty, DiffOptions { deletions: true, changes: false, retain: false })?;
    merge_map(&deletions, &delta, ty, MergeOptions { apply: false })
}

fn diff_maps(original: &Value, modified: &Value, ty: Option<Ty>, o: DiffOptions) -> Result<Value, Error> {
    let mut patch = Map::default();
    let mut retained: Vec<Value> = Vec::new();
    let has = |v: &Value, k: &str| v.as_map().is_some_and(|m| m.contains(k));
    for (k, new) in modified.entries() {
        if o.retain && new.is_some() {
            retained.push(Value::str(k.as_str()));
        }
        if !has(original, k) {
            if o.changes {
                patch.insert(k, new);
            }
            continue;
        }
        diff_field(&mut patch, k, original.get(k), new, ty, o)?;
    }
    let mut gone = false;
    for (k, old) in original.entries() {
        if !has(modified, k) {
            gone |= old.is_some();
            if o.deletions {
                patch.insert(k, Value::Null);
            }
        }
    }
    if !retained.is_empty() && (!patch.is_empty() || gone) {
        patch.insert(RETAIN, retained);
    }
    Ok(Value::Map(patch))
}

fn diff_field(
    patch: &mut Map,
    k: &str,
    old: &Value,
    new: &Value,
    ty: Option<Ty>,
    o: DiffOptions,
) -> Result<(), Error> {
    let m = meta(ty, k);
    match (old, new) {
        (Value::Map(_), Value::Map(_)) => {
            let inner = diff_maps(old, new, m.ty, DiffOptions { retain: m.retain, ..o })?;
            if !inner.is_empty() {
                patch.insert(k, inner);
            }
        }
        (Value::List(_), Value::List(_)) if m.merge => {
            diff_lists(patch, k, (old, new), m, DiffOptions { retain: m.retain, ..o })?;
        }
        _ if old != new && o.changes => {
            patch.insert(k, new);
        }
        _ => {}
    }
    Ok(())
}

fn diff_lists(
    patch: &mut Map,
    k: &str,
    (old_list, new_list): (&Value, &Value),
    m: Meta,
    o: DiffOptions,
) -> Result<(), Error> {
    let (old, new) = (old_list.items().as_slice(), new_list.items().as_slice());
    if old.is_empty() {
        if !new.is_empty() && o.changes {
            patch.insert(k, new_list);
        }
        return Ok(());
    }
    let maps = old.iter().chain(new).any(|v| matches!(v, Value::Map(_)));
    if maps {
        let (changed, deleted) = diff_elements(old, new, m, o)?;
        let mut list = sorted(changed, new, m.key)?;
        list.extend(deleted);
        let same_order = old.len() == new.len()
            && old.iter().zip(new).all(|(a, b)| identity(a, m.key) == identity(b, m.key));
        if (o.changes && (!list.is_empty() || !same_order)) || (o.deletions && !list.is_empty()) {
            let order: Value = new
                .iter()
                .map(|v| {
                    let mut only = Map::default();
                    only.insert(m.key, v.get(m.key));
                    Value::Map(only)
                })
                .collect();
            patch.insert(format!("{ORDER_PREFIX}{k}"), order);
        }
        if !list.is_empty() {
            patch.insert(k, list);
        }
        return Ok(());
    }
    let (added, deleted) = diff_scalars(old, new, o);
    if (o.deletions && !deleted.is_empty()) || (o.changes && old != new) {
        patch.insert(format!("{ORDER_PREFIX}{k}"), new_list);
    }
    if !added.is_empty() {
        patch.insert(k, sorted(added, new, "")?);
    }
    if !deleted.is_empty() {
        patch.insert(format!("{DELETE_PREFIX}{k}"), deleted);
    }
    Ok(())
}

fn diff_elements(
    old: &[Value],
    new: &[Value],
    m: Meta,
    o: DiffOptions,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    if m.key.is_empty() {
        return Err("cannot merge lists without merge key".into());
    }
    for v in old.iter().chain(new) {
        if v.as_map().is_none_or(|x| x.get(m.key).is_none()) {
            return Err(no_merge_key(v, m.key));
        }
    }
    let (mut changed, mut deleted) = (Vec::new(), Vec::new());
    // Equal merge keys pair up in order: apply can meet ports that share a number.
    let mut unpaired: Vec<&Value> = old.iter().collect();
    for v in new {
        let id = v.get(m.key);
        match unpaired.iter().position(|x| gofmt::value(x.get(m.key)) == gofmt::value(id)) {
            Some(i) => {
                let before = unpaired.remove(i);
                let mut inner = diff_maps(before, v, m.ty, o)?;
                if !inner.is_empty() {
                    inner.insert(m.key, id);
                    changed.push(inner);
                }
            }
            None if o.changes => changed.push(v.clone()),
            None => {}
        }
    }
    if o.deletions {
        unpaired.sort_by_key(|v| gofmt::value(v.get(m.key)));
        for v in unpaired {
            let mut d = Map::default();
            d.insert(DIRECTIVE, "delete");
            d.insert(m.key, v.get(m.key));
            deleted.push(Value::Map(d));
        }
    }
    Ok((changed, deleted))
}

fn diff_scalars(old: &[Value], new: &[Value], o: DiffOptions) -> (Vec<Value>, Vec<Value>) {
    let by_text = |l: &[Value]| {
        let mut l = l.to_vec();
        l.sort_by_cached_key(gofmt::value);
        l
    };
    let (old, new) = (by_text(old), by_text(new));
    let (mut added, mut deleted) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let order = match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) => gofmt::value(a).cmp(&gofmt::value(b)),
            (Some(_), None) => core::cmp::Ordering::Less,
            _ => core::cmp::Ordering::Greater,
        };
        match order {
            core::cmp::Ordering::Equal => {
                i += 1;
                j += 1;
            }
            core::cmp::Ordering::Less => {
                if o.deletions && !deleted.contains(&old[i]) {
                    deleted.push(old[i].clone());
                }
                i += 1;
            }
            core::cmp::Ordering::Greater => {
                if o.changes {
                    added.push(new[j].clone());
                }
                j += 1;
            }
        }
    }
    (added, deleted)
}
