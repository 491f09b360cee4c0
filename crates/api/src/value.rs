//! The persistent value tree: clones share, writes copy only the path they change.

use crate::Key;
use core::fmt;
use core::ops::Index;
use smol_str::SmolStr;
use std::sync::Arc;

/// A JSON value. `Clone` is O(1): lists and maps are shared until one of the clones is written.
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    /// `null`, and what a missing field reads as.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction or exponent that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Str(SmolStr),
    /// An array.
    List(List),
    /// An object.
    Map(Map),
}

/// A shared array.
#[derive(Clone, Default, PartialEq)]
pub struct List(Arc<Vec<Value>>);

/// A shared object, sorted by key.
#[derive(Clone, Default, PartialEq)]
pub struct Map(Arc<Vec<(Key, Value)>>);

static NULL: Value = Value::Null;

impl Value {
    /// A shared `null`.
    pub fn null() -> &'static Value {
        &NULL
    }

    /// An empty map.
    pub fn map() -> Value {
        Value::Map(Map::default())
    }

    /// An empty list.
    pub fn list() -> Value {
        Value::List(List::default())
    }

    /// A string value.
    pub fn str(s: impl Into<SmolStr>) -> Value {
        Value::Str(s.into())
    }

    /// Whether this is `null` or missing.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether there is something here that is not `null`.
    pub fn is_some(&self) -> bool {
        !self.is_null()
    }

    /// Whether Go's `omitempty` would leave it out: null, false, 0, "", an empty list or map.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Int(i) => *i == 0,
            Value::Float(f) => *f == 0.0,
            Value::Str(s) => s.is_empty(),
            Value::List(l) => l.is_empty(),
            Value::Map(m) => m.is_empty(),
        }
    }

    /// The field `key`, or `null` where this is no map or lacks it.
    pub fn get(&self, key: &str) -> &Value {
        match self {
            Value::Map(m) => m.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// The field of a key of the schema; cheaper than [`Value::get`].
    pub fn field(&self, key: &Key) -> &Value {
        match self {
            Value::Map(m) => m.field(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// What lies at a path of keys (a decimal number indexes a list), or `null`.
    pub fn at(&self, path: &[&str]) -> &Value {
        path.iter().fold(self, |v, key| match v {
            Value::List(l) => key.parse().ok().and_then(|i: usize| l.get(i)).unwrap_or(&NULL),
            v => v.get(key),
        })
    }

    /// The text of a string, else `None`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The text of a string, else "".
    pub fn text(&self) -> &str {
        self.as_str().unwrap_or("")
    }

    /// The string itself, shared, else "".
    pub fn smol(&self) -> SmolStr {
        match self {
            Value::Str(s) => s.clone(),
            _ => SmolStr::default(),
        }
    }

    /// An integer, else `None`.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            Value::Float(f) if *f == (*f as i64) as f64 => Some(*f as i64),
            _ => None,
        }
    }

    /// An integer, else 0.
    pub fn int(&self) -> i64 {
        self.as_int().unwrap_or(0)
    }

    /// A boolean, else `None`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// Whether this is `true`.
    pub fn is_true(&self) -> bool {
        matches!(self, Value::Bool(true))
    }

    /// The map, else `None`.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }

    /// The list, else `None`.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Value::List(l) => Some(l),
            _ => None,
        }
    }

    /// The elements of a list; nothing for anything else.
    pub fn items(&self) -> core::slice::Iter<'_, Value> {
        match self {
            Value::List(l) => l.0.iter(),
            _ => [].iter(),
        }
    }

    /// The entries of a map in key order; nothing for anything else.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> + ExactSizeIterator {
        let s: &[(Key, Value)] = match self {
            Value::Map(m) => &m.0,
            _ => &[],
        };
        s.iter().map(|(k, v)| (k, v))
    }

    /// How many elements or entries; 0 for scalars.
    pub fn len(&self) -> usize {
        match self {
            Value::List(l) => l.len(),
            Value::Map(m) => m.len(),
            _ => 0,
        }
    }

    /// Makes this a map if it is none (what it was is lost) and lends it for writing.
    pub fn map_mut(&mut self) -> &mut Map {
        if !matches!(self, Value::Map(_)) {
            *self = Value::map();
        }
        match self {
            Value::Map(m) => m,
            _ => unreachable!("set above"),
        }
    }

    /// Makes this a list if it is none (what it was is lost) and lends it for writing.
    pub fn list_mut(&mut self) -> &mut Vec<Value> {
        if !matches!(self, Value::List(_)) {
            *self = Value::list();
        }
        match self {
            Value::List(l) => l.make_mut(),
            _ => unreachable!("set above"),
        }
    }

    /// Sets a field of a map.
    pub fn insert(&mut self, key: impl Into<Key>, v: impl Into<Value>) {
        self.map_mut().insert(key, v);
    }

    /// Sets what lies at a path of keys, making maps on the way; copies only the path.
    pub fn set(&mut self, path: &[&str], v: impl Into<Value>) {
        *self.slot(path) = v.into();
    }

    /// Lends the value at a path of keys for writing, making maps on the way. A decimal key indexes an existing list.
    pub fn slot(&mut self, path: &[&str]) -> &mut Value {
        let mut here = self;
        for key in path {
            let index = match here {
                Value::List(l) => key.parse().ok().filter(|i: &usize| *i < l.len()),
                _ => None,
            };
            here = match index {
                Some(i) => &mut here.list_mut()[i],
                None => here.map_mut().entry(key),
            };
        }
        here
    }

    /// Takes away what lies at a path, if anything does.
    pub fn remove(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        if self.at(parents).get(last).is_null()
            && self.at(parents).as_map().is_none_or(|m| m.get(last).is_none())
        {
            return None;
        }
        self.slot(parents).map_mut().remove(last)
    }

    /// Appends to the list at a path, making it where there is none.
    pub fn push_at(&mut self, path: &[&str], v: impl Into<Value>) {
        self.slot(path).list_mut().push(v.into());
    }

    /// Whether both share the same memory; a quick, partial equality.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Map(a), Value::Map(b)) => Arc::ptr_eq(&a.0, &b.0),
            (Value::List(a), Value::List(b)) => Arc::ptr_eq(&a.0, &b.0),
            (a, b) => a == b,
        }
    }

    /// Compact JSON, keys sorted, `<`, `>` and `&` escaped, as Go's `json.Marshal` prints a map.
    pub fn to_json(&self) -> String {
        crate::json::compact(self)
    }

    /// JSON with an indent of four blanks, as `kubectl -o json` prints it.
    pub fn to_json_pretty(&self) -> String {
        crate::json::pretty(self)
    }

    /// Feeds a state hash.
    pub fn hash_into(&self, h: &mut sim::Hasher) {
        match self {
            Value::Null => h.int(0),
            Value::Bool(b) => h.int(1 + u64::from(*b)),
            Value::Int(i) => {
                h.int(3);
                h.int(*i as u64);
            }
            Value::Float(f) => {
                h.int(4);
                h.int(f.to_bits());
            }
            Value::Str(s) => {
                h.int(5);
                h.str(s);
            }
            Value::List(l) => {
                h.int(6 + l.len() as u64 * 8);
                l.iter().for_each(|v| v.hash_into(h));
            }
            Value::Map(m) => {
                h.int(7 + m.len() as u64 * 8);
                for (k, v) in m.iter() {
                    h.str(k);
                    v.hash_into(h);
                }
            }
        }
    }
}

impl List {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The `i`-th element.
    pub fn get(&self, i: usize) -> Option<&Value> {
        self.0.get(i)
    }

    /// The elements.
    pub fn iter(&self) -> core::slice::Iter<'_, Value> {
        self.0.iter()
    }

    /// The elements for writing, copied first where they are shared.
    pub fn make_mut(&mut self) -> &mut Vec<Value> {
        Arc::make_mut(&mut self.0)
    }
}

impl Map {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nearly all maps have a handful of entries, and lengths tell most keys apart: a look at each is faster than
    /// comparing texts in a search.
    fn find(&self, key: &str) -> Option<usize> {
        const FEW: usize = 24;
        if self.0.len() <= FEW {
            return self.0.iter().position(|(k, _)| {
                let k = k.as_str().as_bytes();
                k.len() == key.len() && k == key.as_bytes()
            });
        }
        self.0.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok()
    }

    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(key).map(|i| &self.0[i].1)
    }

    /// The entry of a key; for names of the schema a comparison of small integers.
    pub fn field(&self, key: &Key) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Whether there is an entry of `key`, even `null`.
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Sets an entry and gives what it was.
    pub fn insert(&mut self, key: impl Into<Key>, v: impl Into<Value>) -> Option<Value> {
        let (key, v) = (key.into(), v.into());
        let entries = Arc::make_mut(&mut self.0);
        match entries.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(i) => Some(core::mem::replace(&mut entries[i].1, v)),
            Err(i) => {
                entries.insert(i, (key, v));
                None
            }
        }
    }

    /// Lends the entry of `key` for writing, `null` first where there is none.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let i = self.find(key).unwrap_or_else(|| {
            let i = self.0.partition_point(|(k, _)| k.as_str() < key);
            Arc::make_mut(&mut self.0).insert(i, (Key::new(key), Value::Null));
            i
        });
        &mut Arc::make_mut(&mut self.0)[i].1
    }

    /// Lends an existing entry for writing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let i = self.find(key)?;
        Some(&mut Arc::make_mut(&mut self.0)[i].1)
    }

    /// Takes an entry away.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let i = self.find(key)?;
        Some(Arc::make_mut(&mut self.0).remove(i).1)
    }

    /// Keeps the entries that `f` wants.
    pub fn retain(&mut self, mut f: impl FnMut(&Key, &Value) -> bool) {
        if self.0.iter().any(|(k, v)| !f(k, v)) {
            Arc::make_mut(&mut self.0).retain(|(k, v)| f(k, v));
        }
    }

    /// The entries in key order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// The entries for writing, in key order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Value)> {
        Arc::make_mut(&mut self.0).iter_mut().map(|(k, v)| (&*k, v))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(|(k, _)| k)
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Map {
    /// The last of equal keys wins.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Map {
        let mut entries: Vec<(Key, Value)> = iter.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                core::mem::swap(later, first);
            }
            same
        });
        Map(Arc::new(entries))
    }
}

impl<V: Into<Value>> FromIterator<V> for List {
    fn from_iter<I: IntoIterator<Item = V>>(iter: I) -> List {
        List(Arc::new(iter.into_iter().map(Into::into).collect()))
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Value {
        Value::Map(iter.into_iter().collect())
    }
}

impl<V: Into<Value>> FromIterator<V> for Value {
    fn from_iter<I: IntoIterator<Item = V>>(iter: I) -> Value {
        Value::List(iter.into_iter().collect())
    }
}

impl Index<&str> for Value {
    type Output = Value;
    fn index(&self, key: &str) -> &Value {
        self.get(key)
    }
}

impl Index<usize> for Value {
    type Output = Value;
    /// The `i`-th element, or `null`.
    fn index(&self, i: usize) -> &Value {
        match self {
            Value::List(l) => l.get(i).unwrap_or(&NULL),
            _ => &NULL,
        }
    }
}

macro_rules! from {
    ($($t:ty => |$v:ident| $e:expr;)*) => {$(
        impl From<$t> for Value {
            fn from($v: $t) -> Value { $e }
        }
    )*};
}

from! {
    bool => |v| Value::Bool(v);
    i64 => |v| Value::Int(v);
    i32 => |v| Value::Int(v.into());
    u16 => |v| Value::Int(v.into());
    u32 => |v| Value::Int(v.into());
    usize => |v| Value::Int(v as i64);
    u64 => |v| Value::Int(v as i64);
    f64 => |v| Value::Float(v);
    &str => |v| Value::Str(v.into());
    String => |v| Value::Str(v.into());
    &String => |v| Value::Str(v.into());
    SmolStr => |v| Value::Str(v);
    &SmolStr => |v| Value::Str(v.clone());
    Map => |v| Value::Map(v);
    List => |v| Value::List(v);
    &Value => |v| v.clone();
    Vec<Value> => |v| Value::List(List(Arc::new(v)));
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::Null, Into::into)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Builds a [`Value`] as JSON is written: `obj!({"kind": "Pod", "spec": {"containers": [c]}})`. Any expression that is
/// `Into<Value>` may stand for a value.
#[macro_export]
macro_rules! obj {
    (null) => { $crate::Value::Null };
    ([ $($t:tt)* ]) => { $crate::obj_list!([] $($t)*) };
    ({ $($t:tt)* }) => {{
        #[allow(unused_mut)]
        let mut map = $crate::Map::default();
        $crate::obj_map!(map $($t)*);
        $crate::Value::Map(map)
    }};
    ($e:expr) => { $crate::Value::from($e) };
}

/// Part of [`obj!`].
#[doc(hidden)]
#[macro_export]
macro_rules! obj_map {
    ($m:ident) => {};
    ($m:ident $k:literal : null $(, $($rest:tt)*)?) => {
        $m.insert($k, $crate::Value::Null); $($crate::obj_map!($m $($rest)*);)?
    };
    ($m:ident $k:literal : { $($v:tt)* } $(, $($rest:tt)*)?) => {
        $m.insert($k, $crate::obj!({ $($v)* })); $($crate::obj_map!($m $($rest)*);)?
    };
    ($m:ident $k:literal : [ $($v:tt)* ] $(, $($rest:tt)*)?) => {
        $m.insert($k, $crate::obj!([ $($v)* ])); $($crate::obj_map!($m $($rest)*);)?
    };
    ($m:ident $k:literal : $v:expr $(, $($rest:tt)*)?) => {
        $m.insert($k, $crate::Value::from($v)); $($crate::obj_map!($m $($rest)*);)?
    };
}

/// Part of [`obj!`].
#[doc(hidden)]
#[macro_export]
macro_rules! obj_list {
    ([ $($done:expr),* ]) => { $crate::Value::from(vec![ $($done),* ] as Vec<$crate::Value>) };
    ([ $($done:expr),* ] null $(, $($rest:tt)*)?) => {
        $crate::obj_list!([ $($done,)* $crate::Value::Null ] $($($rest)*)?)
    };
    ([ $($done:expr),* ] { $($v:tt)* } $(, $($rest:tt)*)?) => {
        $crate::obj_list!([ $($done,)* $crate::obj!({ $($v)* }) ] $($($rest)*)?)
    };
    ([ $($done:expr),* ] [ $($v:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::obj_list!([ $($done,)* $crate::obj!([ $($v)* ]) ] $($($rest)*)?)
    };
    ([ $($done:expr),* ] $v:expr $(, $($rest:tt)*)?) => {
        $crate::obj_list!([ $($done,)* $crate::Value::from($v) ] $($($rest)*)?)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_small_and_shared() {
        if cfg!(target_pointer_width = "64") {
            assert_eq!(size_of::<Value>(), 24);
        }
        let a = obj!({"spec": {"replicas": 3, "list": [1, "x", {"y": null}]}, "status": {}});
        let mut b = a.clone();
        b.set(&["spec", "replicas"], 4);
        assert_eq!(a.at(&["spec", "replicas"]).int(), 3);
        assert_eq!(b.to_json(), r#"{"spec":{"list":[1,"x",{"y":null}],"replicas":4},"status":{}}"#);
        assert!(a["status"].same(&b["status"]));
        assert_eq!(b.remove(&["spec", "list"]).unwrap().len(), 3);
        assert_eq!(b.remove(&["nope", "x"]), None);
        assert_eq!(b.to_json(), r#"{"spec":{"replicas":4},"status":{}}"#);
        let m: Map = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(Value::from(m).to_json(), r#"{"a":2,"b":3}"#);
    }
}
