//! `--sort-by`. Models: `kubectl/pkg/cmd/get/sorter.go`.

use crate::error::Error;
use api::jsonpath::JsonPath;
use api::quantity::Quantity;
use api::{Value, gofmt};
use core::cmp::Ordering;

/// The order in which to print `objects`.
pub fn order(objects: &[Value], by: &str) -> Result<Vec<usize>, Error> {
    let text = JsonPath::relaxed(by)?;
    let path = JsonPath::parse(&text)?;
    let mut keys: Vec<Value> = Vec::new();
    let mut found = false;
    for o in objects {
        let results = path.find(o)?;
        let first = results.iter().flatten().next();
        found |= first.is_some();
        keys.push(first.cloned().unwrap_or_default());
    }
    if !found && !objects.is_empty() {
        return Err(Error::Text(format!(
            "couldn't find any field with path {} in the list of objects",
            gofmt::quote(&text)
        )));
    }
    if objects.len() > 1
        && let Some(bad) = keys.iter().find(|k| matches!(k, Value::Map(_) | Value::List(_)))
    {
        let ty = gofmt::type_name(bad);
        return Err(Error::Code(
            255,
            format!(
                "Field {text} in *unstructured.Unstructured is an unsortable type: interface, err: unsortable type: {ty}"
            ),
        ));
    }
    let mut index: Vec<usize> = (0..objects.len()).collect();
    index.sort_by(|a, b| compare(&keys[*a], &keys[*b]));
    Ok(index)
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Str(x), Value::Str(y)) => match (Quantity::parse(x), Quantity::parse(y)) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => natural(x, y),
        },
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (x, y) => number(x).partial_cmp(&number(y)).unwrap_or(Ordering::Equal),
    }
}

fn number(v: &Value) -> f64 {
    match v {
        Value::Int(i) => *i as f64,
        Value::Float(f) => *f,
        _ => 0.0,
    }
}

/// Runs of digits compare as numbers.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i].is_ascii_digit() && b[j].is_ascii_digit() {
            let run = |s: &[u8], k: usize| s[k..].iter().take_while(|c| c.is_ascii_digit()).count();
            let (na, nb) = (run(a, i), run(b, j));
            let strip = |s: &[u8]| s.iter().position(|c| *c != b'0').unwrap_or(s.len());
            let (da, db) = (&a[i..i + na], &b[j..j + nb]);
            let (ta, tb) = (&da[strip(da)..], &db[strip(db)..]);
            let o = ta.len().cmp(&tb.len()).then_with(|| ta.cmp(tb)).then_with(|| na.cmp(&nb));
            if o != Ordering::Equal {
                return o;
            }
            i += na;
            j += nb;
        } else {
            match a[i].cmp(&b[j]) {
                Ordering::Equal => {}
                o => return o,
            }
            i += 1;
            j += 1;
        }
    }
    (a.len() - i).cmp(&(b.len() - j))
}
