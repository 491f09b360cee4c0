//! Objects as Go's structs: JSON in struct order, and the text that the controllers hash.
//!
//! Models: `encoding/json` over the API's types, `k8s.io/utils/dump.ForHash` (spew's `%#v`), and the FNV hash behind
//! `pod-template-hash` and the names of ControllerRevisions.

use crate::quantity::Quantity;
use crate::schema::{GoField, Ty, Type, TypeId};
use crate::{Value, json};

/// JSON with the fields in the order of the Go struct and the zero values that Go prints, as the API server's raw
/// answers are. Custom resources (`ty` is `None`) print sorted.
pub fn to_json(ty: Option<TypeId>, v: &Value) -> String {
    let mut out = String::new();
    match ty {
        Some(t) => write_struct(&mut out, t.get(), t.go(), v, true),
        None => out.push_str(&v.to_json()),
    }
    out
}

/// The same for a value inside an object.
pub fn value_json(ty: Option<Ty>, v: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, ty, v);
    out
}

fn write_struct(out: &mut String, ty: &'static Type, fields: &'static [GoField], v: &Value, braces: bool) {
    if fields.is_empty() {
        if braces {
            out.push_str(&v.to_json());
        }
        return;
    }
    if braces {
        out.push('{');
    }
    for g in fields {
        if g.json.is_empty() {
            if g.inlined().is_empty() {
                write_rest(out, ty, fields, v);
            } else {
                write_struct(out, ty, g.inlined(), v, false);
            }
            continue;
        }
        let field = v.get(g.json);
        let sty = ty.field(g.json).map(|f| f.ty);
        if field.is_null() && (g.omit && !prints_empty_struct(g, sty)) {
            continue;
        }
        if !out.ends_with('{') {
            out.push(',');
        }
        json::string(out, g.json);
        out.push(':');
        if field.is_null() {
            out.push_str(zero(g, sty));
        } else {
            write_value(out, sty, field);
        }
    }
    if braces {
        out.push('}');
    }
}

/// The fields of an inlined struct that there is no table of: those of the type that the outer struct does not name.
fn write_rest(out: &mut String, ty: &'static Type, named: &[GoField], v: &Value) {
    for (k, field) in v.entries() {
        let Some(f) = ty.field(k).filter(|_| !named.iter().any(|g| g.json == k.as_str())) else { continue };
        if !out.ends_with('{') {
            out.push(',');
        }
        json::string(out, k);
        out.push(':');
        write_value(out, Some(f.ty), field);
    }
}

/// `omitempty` does not apply to structs that are no pointers.
fn prints_empty_struct(g: &GoField, ty: Option<Ty>) -> bool {
    // The one time of conditions that is never set prints as null.
    (matches!(ty, Some(Ty::Object(_))) || g.json == "lastProbeTime") && !g.is_pointer()
}

fn zero(g: &GoField, ty: Option<Ty>) -> &'static str {
    if g.is_pointer() || g.ty.starts_with('[') || g.ty.starts_with("map[") {
        return "null";
    }
    match ty {
        Some(Ty::Str | Ty::Bytes) => "\"\"",
        Some(Ty::Int32 | Ty::Int64 | Ty::Float | Ty::IntOrString) => "0",
        Some(Ty::Bool) => "false",
        Some(Ty::Object(_)) => "{}",
        Some(Ty::Quantity) => "\"0\"",
        _ => "null",
    }
}

fn write_value(out: &mut String, ty: Option<Ty>, v: &Value) {
    match (ty, v) {
        (Some(Ty::Object(t)), Value::Map(_)) => write_struct(out, t.get(), t.go(), v, true),
        (Some(Ty::List(t)), Value::List(l)) => {
            out.push('[');
            for (i, item) in l.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, Some(*t), item);
            }
            out.push(']');
        }
        (Some(Ty::Map(t)), Value::Map(m)) => {
            out.push('{');
            for (i, (k, item)) in m.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json::string(out, k);
                out.push(':');
                write_value(out, Some(*t), item);
            }
            out.push('}');
        }
        (_, v) => out.push_str(&v.to_json()),
    }
}

/// JSON of the server's internal type: every field under its Go name. Types of meta/v1 print as in the API.
///
/// Models: `json.Marshal` of `pkg/apis` types inside field errors.
pub fn internal_json(ty: &str, v: &Value) -> String {
    let mut out = String::new();
    match TypeId::named(ty) {
        Some(t) => write_internal(&mut out, t, v),
        None => out.push_str(&v.to_json()),
    }
    out
}

/// The same of the fields that a type takes from a struct inside it, as a PersistentVolume's source.
pub fn internal_part_json(ty: &str, v: &Value) -> String {
    let mut out = String::new();
    if let Some(t) = TypeId::named(ty) {
        out.push('{');
        for g in t.go().iter().flat_map(|g| if g.json.is_empty() { g.inlined() } else { &[] }) {
            write_field(&mut out, t.get(), g, v);
        }
        out.push('}');
    }
    out
}

fn write_internal(out: &mut String, ty: TypeId, v: &Value) {
    let t = ty.get();
    if t.name.starts_with("io.k8s.apimachinery") || ty.go().is_empty() {
        out.push_str(&to_json(Some(ty), v));
        return;
    }
    let flat = |g: &GoField| if g.json.is_empty() { g.inlined() } else { &[] };
    out.push('{');
    // The one internal type whose fields stand in another order than the API's.
    let first = |g: &&GoField| t.short_name() == "JSONSchemaProps" && g.json == "nullable";
    let moved = ty.go().iter().find(first);
    let ordered = ty.go().iter().filter(|g| !first(g)).flat_map(|g| {
        let then = moved.filter(|_| g.json == "type");
        core::iter::once(g).chain(then)
    });
    for g in ordered {
        let inner = flat(g);
        let own = core::slice::from_ref(g);
        for g in if inner.is_empty() { own } else { inner } {
            write_field(out, t, g, v);
        }
    }
    out.push('}');
}

fn write_field(out: &mut String, t: &'static Type, g: &GoField, v: &Value) {
    if !out.ends_with('{') {
        out.push(',');
    }
    json::string(out, g.go);
    out.push(':');
    let (field, sty) = (v.get(g.json), t.field(g.json).map(|f| f.ty));
    match (field, sty) {
        (Value::Null, sty) => out.push_str(zero(g, sty)),
        (Value::Map(m), Some(Ty::Map(Ty::Object(t)))) => {
            out.push('{');
            for (i, (k, item)) in m.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json::string(out, k);
                out.push(':');
                write_internal(out, *t, item);
            }
            out.push('}');
        }
        (field, Some(Ty::Object(t))) => write_internal(out, t, field),
        (field, Some(Ty::List(Ty::Object(t)))) => {
            out.push('[');
            for (i, item) in field.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_internal(out, *t, item);
            }
            out.push(']');
        }
        (field, _) => out.push_str(&field.to_json()),
    }
}

/// Adds what Go prints though nobody set it: structs that are no pointers and zero values without `omitempty`.
pub fn fill(ty: TypeId, v: &mut Value) {
    fill_struct(ty.get(), ty.go(), v);
}

fn fill_struct(ty: &'static Type, fields: &'static [GoField], v: &mut Value) {
    fill_absent(ty, fields, v);
    let inside: Vec<(crate::Key, Ty)> = v
        .entries()
        .filter_map(|(k, i)| Some((k.clone(), ty.field_of(k).filter(|f| needs_fill(&f.ty, i))?.ty)))
        .collect();
    for (k, sty) in inside {
        fill_value(&sty, v.slot(&[k.as_str()]));
    }
}

fn fill_absent(ty: &'static Type, fields: &'static [GoField], v: &mut Value) {
    for g in fields {
        if g.json.is_empty() {
            fill_absent(ty, g.inlined(), v);
            continue;
        }
        let Some(sty) = always_printed(ty, g) else { continue };
        if let Some(have) = v.as_map().and_then(|m| m.get(g.json)) {
            // The store does not tell an empty list from none.
            if !g.omit && matches!(have, Value::List(l) if l.is_empty()) {
                v.insert(g.json, Value::Null);
            }
            continue;
        }
        let zero = match (g.is_pointer() || g.ty.starts_with('[') || g.ty.starts_with("map["), sty) {
            (true, _) => Value::Null,
            (_, Ty::Str | Ty::Bytes) => Value::str(""),
            (_, Ty::Int32 | Ty::Int64 | Ty::IntOrString) => Value::Int(0),
            (_, Ty::Bool) => Value::Bool(false),
            (_, Ty::Quantity) => Value::str("0"),
            (_, Ty::Object(_)) => Value::map(),
            _ => Value::Null,
        };
        v.insert(g.json, zero);
    }
}

/// The schema's type of a field that Go prints even where nobody set it.
fn always_printed(ty: &'static Type, g: &GoField) -> Option<Ty> {
    // Of those with `omitempty` only structs, whose types have a package before them: most fields end here.
    if g.omit && (g.is_pointer() || g.ty.starts_with('[') || !g.ty.contains('.')) {
        return None;
    }
    let sty = ty.field(g.json)?.ty;
    (!g.omit || prints_empty_struct(g, Some(sty))).then_some(sty)
}

/// Whether a walk into `v` could find anything to add; spares copying what is shared.
fn needs_fill(ty: &Ty, v: &Value) -> bool {
    match ty {
        Ty::Object(t) => v.as_map().is_some() && struct_needs_fill(t.get(), t.go(), v),
        Ty::List(t) => v.items().any(|i| needs_fill(t, i)),
        Ty::Map(t) => v.entries().any(|(_, i)| needs_fill(t, i)),
        _ => false,
    }
}

fn struct_needs_fill(ty: &'static Type, fields: &'static [GoField], v: &Value) -> bool {
    v.entries().any(|(k, i)| ty.field_of(k).is_some_and(|f| needs_fill(&f.ty, i))) || lacks(ty, fields, v)
}

fn lacks(ty: &'static Type, fields: &'static [GoField], v: &Value) -> bool {
    fields.iter().any(|g| {
        if g.json.is_empty() {
            return lacks(ty, g.inlined(), v);
        }
        always_printed(ty, g).is_some() && !v.as_map().is_some_and(|m| m.contains(g.json))
    })
}

fn fill_value(ty: &Ty, v: &mut Value) {
    match ty {
        Ty::Object(t) => fill_struct(t.get(), t.go(), v),
        Ty::List(t) => v.list_mut().iter_mut().for_each(|i| fill_value(t, i)),
        Ty::Map(t) => v.map_mut().iter_mut().for_each(|(_, i)| fill_value(t, i)),
        _ => {}
    }
}

/// The hash by which the Deployment controller names ReplicaSets, from the pod template and the collision count.
pub fn pod_template_hash(template: &Value, collisions: Option<i64>) -> String {
    let mut out = String::new();
    if let Some(t) = TypeId::named("io.k8s.api.core.v1.PodTemplateSpec") {
        out.push_str("(v1.PodTemplateSpec)");
        dump_struct(&mut out, t.get(), t.go(), template);
    }
    safe_encode(fnv32a(out.as_bytes(), collisions))
}

/// FNV-1a over bytes and, where there is one, a collision count as the controllers append it.
pub fn fnv32a(bytes: &[u8], collisions: Option<i64>) -> u32 {
    let mut h = 0x811c_9dc5u32;
    let mut eat = |b: u8| h = (h ^ u32::from(b)).wrapping_mul(0x0100_0193);
    bytes.iter().copied().for_each(&mut eat);
    if let Some(c) = collisions {
        let mut buf = [0u8; 8];
        buf[..4].copy_from_slice(&(c as u32).to_le_bytes());
        buf.into_iter().for_each(&mut eat);
    }
    h
}

/// A hash in the alphabet of generated names.
pub fn safe_encode(hash: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|b| ALPHABET[usize::from(b) % ALPHABET.len()] as char).collect()
}

fn dump_struct(out: &mut String, ty: &'static Type, fields: &'static [GoField], v: &Value) {
    out.push('{');
    for (i, g) in fields.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(g.go);
        out.push(':');
        if g.json.is_empty() {
            out.push_str(&format!("({})", g.ty));
            dump_struct(out, ty, g.inlined(), v);
            continue;
        }
        out.push_str(&format!("({})", g.ty));
        dump_value(out, ty.field(g.json).map(|f| f.ty), g.ty, v.get(g.json));
    }
    out.push('}');
}

/// The value without its own type; what is inside a list or map goes without types too, fields of structs with them.
fn dump_value(out: &mut String, ty: Option<Ty>, go: &str, v: &Value) {
    let nil = go.starts_with('*')
        || go.starts_with('[')
        || go.starts_with("map[")
        || matches!(ty, Some(Ty::Map(_)));
    if v.is_null() && nil {
        out.push_str("<nil>");
        return;
    }
    match ty {
        Some(Ty::Object(t)) => dump_struct(out, t.get(), t.go(), v),
        Some(Ty::List(t)) => {
            out.push('[');
            for (i, item) in v.items().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                dump_value(out, Some(*t), "", item);
            }
            out.push(']');
        }
        Some(Ty::Map(t)) => {
            out.push_str("map[");
            for (i, (k, item)) in v.entries().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(k);
                out.push(':');
                dump_value(out, Some(*t), "", item);
            }
            out.push(']');
        }
        Some(Ty::Quantity) => dump_quantity(out, v.text()),
        Some(Ty::Time | Ty::MicroTime) => {
            out.push_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}");
        }
        Some(Ty::IntOrString) => {
            let (kind, int, text) = match v {
                Value::Str(s) => (1, 0, s.as_str()),
                v => (0, v.int(), ""),
            };
            out.push_str(&format!("{{Type:(intstr.Type){kind} IntVal:(int32){int} StrVal:(string){text}}}"));
        }
        _ => match v {
            Value::Null if go == "bool" => out.push_str("false"),
            Value::Null if go.starts_with("int") => out.push('0'),
            Value::Null => {}
            Value::Str(s) => out.push_str(s),
            v => out.push_str(&v.to_json()),
        },
    }
}

fn dump_quantity(out: &mut String, text: &str) {
    let (value, scale, format, text) =
        Quantity::parse(text).map_or((0, 0, "DecimalSI", ""), |_| internals(text));
    out.push_str(&format!(
        "{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} \
         d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){format}}}"
    ));
}

/// What upstream's parser keeps of a canonical quantity: digits, decimal scale, format, and the text itself where it
/// can be reused.
fn internals(text: &str) -> (i64, i32, &'static str, &str) {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let suffix = &text[digits.len()..];
    let value: i64 = digits.parse().unwrap_or(0);
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(i) = BINARY.iter().position(|s| *s == suffix) {
        let text = if value & 7 != 0 { text } else { "" };
        return (value.saturating_mul(1i64 << (10 * (i as u32 + 1))), 0, "BinarySI", text);
    }
    if let Some((m, e)) = digits.split_once(['e', 'E']) {
        return (m.parse().unwrap_or(0), e.parse().unwrap_or(0), "DecimalExponent", text);
    }
    let scale = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => 0,
    };
    let text = if digits.ends_with("000") || (digits.starts_with('0') && text != "0") { "" } else { text };
    (value, scale, "DecimalSI", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    fn template(labels: Value, container: Value) -> Value {
        obj!({
            "metadata": {"labels": labels},
            "spec": {
                "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30
            }
        })
    }

    fn container(name: &str, image: &str, pull: &str, resources: Value) -> Value {
        obj!({
            "name": name, "image": image, "imagePullPolicy": pull, "resources": resources,
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
        })
    }

    /// Hashes that a real cluster gave.
    #[test]
    fn hashes_of_a_real_cluster() {
        let t = |tag: &str| {
            template(
                obj!({"app": "web"}),
                container("nginx", &format!("nginx:{tag}"), "IfNotPresent", Value::map()),
            )
        };
        assert_eq!(pod_template_hash(&t("1"), None), "889dd49f5");
        assert_eq!(pod_template_hash(&t("2"), None), "5f8c75b5b8");
        let t = template(
            obj!({"app": "web"}),
            container("c", "nginx", "Always", obj!({"requests": {"cpu": "500m", "memory": "512Mi"}})),
        );
        assert_eq!(pod_template_hash(&t, None), "6b6c7b8cb7");
    }
}
