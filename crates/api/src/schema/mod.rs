//! Compact tables of every type of the API: fields, types, list types, merge keys, patch strategies.
//!
//! `keys.rs`, `names.rs` and `tables.rs` are generated from a cluster's OpenAPI definitions, as are the typed views:
//! `cargo run -p api --example schema -- definitions.json`. Validation rules and defaults are not here but with the
//! kinds.

mod go;
pub mod keys;
pub(crate) mod names;
mod tables;

pub use tables::TYPES;

/// A type of the API, by its index in [`TYPES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TypeId(pub u16);

/// A type: its OpenAPI name and its fields in order of their names.
#[derive(Debug)]
pub struct Type {
    /// Name, `io.k8s.api.core.v1.Pod`.
    pub name: &'static str,
    /// Fields, sorted by name.
    pub fields: &'static [Field],
    /// Whether server-side apply treats it as one value.
    pub atomic: bool,
    /// Discriminator field of a union, if the patch strategy is `retainKeys`-like.
    pub gvk: Option<(&'static str, &'static str, &'static str)>,
}

/// A field of a [`Type`].
#[derive(Debug)]
pub struct Field {
    /// Its name's index in the table of names, see [`crate::Key`].
    pub key: u16,
    /// Its type.
    pub ty: Ty,
    /// Whether the schema requires it.
    pub required: bool,
    /// How server-side apply merges it, for lists and maps.
    pub list: ListType,
    /// Keys of a list of type `map`.
    pub map_keys: &'static [&'static str],
    /// The key by which a strategic merge patch merges this list.
    pub merge_key: Option<&'static str>,
    /// Patch strategies.
    pub patch: Patch,
    /// Allowed values, as the schema lists them; validation texts come from the kinds.
    pub values: &'static [&'static str],
}

/// A field of the Go struct behind a [`Type`].
#[derive(Clone, Copy, Debug)]
pub struct GoField {
    /// Name in JSON; "" where the field's own fields are inlined.
    pub json: &'static str,
    /// Name in Go.
    pub go: &'static str,
    /// Type as Go's `%T` prints it.
    pub ty: &'static str,
    /// Whether its empty value is left out of JSON.
    pub omit: bool,
}

impl GoField {
    /// Whether nil and zero differ.
    pub fn is_pointer(&self) -> bool {
        self.ty.starts_with('*')
    }
}

/// The type of a field's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ty {
    /// A string.
    Str,
    /// Base64 text.
    Bytes,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A floating-point number.
    Float,
    /// A boolean.
    Bool,
    /// A quantity: a string, or a number that becomes one.
    Quantity,
    /// `metav1.Time`.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
    /// A string or an integer.
    IntOrString,
    /// Any JSON.
    Any,
    /// An object of that type.
    Object(TypeId),
    /// A list.
    List(&'static Ty),
    /// A map from strings.
    Map(&'static Ty),
}

/// How server-side apply merges a list or map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListType {
    /// Nothing stated: lists are atomic, maps granular.
    Unset,
    /// One value.
    Atomic,
    /// A set of scalars.
    Set,
    /// A list of objects with keys.
    Map,
}

/// Patch strategies of a strategic merge patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patch {
    /// Lists are replaced, maps merged.
    Default,
    /// Lists are merged.
    Merge,
    /// `retainKeys`
    RetainKeys,
    /// `merge,retainKeys`
    MergeRetainKeys,
}

impl TypeId {
    /// The type of that OpenAPI name.
    pub fn named(name: &str) -> Option<TypeId> {
        TYPES.binary_search_by(|t| t.name.cmp(name)).ok().map(|i| TypeId(i as u16))
    }

    /// The fields of its Go struct in order; empty where it has none.
    pub fn go(self) -> &'static [GoField] {
        go::GO.get(usize::from(self.0)).copied().unwrap_or(&[])
    }

    /// Its table.
    pub fn get(self) -> &'static Type {
        &TYPES[usize::from(self.0)]
    }
}

const fn inlined(json: &'static str, go: &'static str, ty: &'static str, omit: bool) -> GoField {
    GoField { json, go, ty, omit }
}

/// Inlined structs that the API's own schema has no type for, by their name in Go.
static INLINED: &[(&str, &[GoField])] = &[
    ("IngressRuleValue", &[inlined("http", "HTTP", "*v1.HTTPIngressRuleValue", true)]),
    ("DeviceConfiguration", &[inlined("opaque", "Opaque", "*v1.OpaqueDeviceConfiguration", true)]),
    (
        "Rule",
        &[
            inlined("apiGroups", "APIGroups", "[]string", true),
            inlined("apiVersions", "APIVersions", "[]string", true),
            inlined("resources", "Resources", "[]string", true),
            inlined("scope", "Scope", "*v1.ScopeType", true),
        ],
    ),
    (
        "RuleWithOperations",
        &[
            inlined("operations", "Operations", "[]v1.OperationType", true),
            inlined("", "Rule", "v1.Rule", false),
        ],
    ),
];

impl GoField {
    /// The fields of a struct whose fields JSON inlines here.
    pub fn inlined(&self) -> &'static [GoField] {
        if let Some((_, fields)) = INLINED.iter().find(|(n, _)| *n == self.go) {
            return fields;
        }
        if let Some((_, fields)) = go::INLINED.iter().find(|(n, _)| *n == self.ty) {
            return fields;
        }
        let short = self.ty.rsplit('.').next().unwrap_or(self.ty);
        let core = TypeId::named(&format!("io.k8s.api.core.v1.{short}"));
        core.map_or(&[], TypeId::go)
    }
}

impl Type {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.at(crate::Key::index_of(name)?)
    }

    /// The field of that key.
    pub fn field_of(&self, key: &crate::Key) -> Option<&'static Field> {
        self.at(key.index()?)
    }

    fn at(&self, i: u16) -> Option<&'static Field> {
        self.fields.binary_search_by_key(&i, |f| f.key).ok().map(|n| &self.fields[n])
    }

    /// Its own index.
    pub fn id(&'static self) -> TypeId {
        TypeId::named(self.name).unwrap_or(TypeId(0))
    }

    /// The Go field behind the JSON field of that name, also where it is inlined.
    pub fn go_field(&'static self, json: &str) -> Option<&'static GoField> {
        fn find(fields: &'static [GoField], json: &str) -> Option<&'static GoField> {
            fields.iter().find_map(|g| match g.json {
                "" => find(g.inlined(), json),
                name => (name == json).then_some(g),
            })
        }
        find(self.id().go(), json)
    }

    /// The name without its package: `Pod`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

impl Field {
    /// Its name.
    pub fn name(&self) -> &'static str {
        names::NAMES[usize::from(self.key)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inlined_structs_are_known() {
        for t in tables::TYPES.iter() {
            for g in t.id().go().iter().filter(|g| g.json.is_empty() && g.go != "TypeMeta") {
                assert!(!g.inlined().is_empty(), "{} of {}", g.go, t.name);
            }
        }
    }

    #[test]
    fn tables_are_sorted_and_say_what_the_api_says() {
        assert!(names::NAMES.is_sorted());
        assert!(TYPES.is_sorted_by_key(|t| t.name));
        assert!(TYPES.iter().all(|t| t.fields.is_sorted_by_key(|f| f.key)));
        let spec = TypeId::named("io.k8s.api.core.v1.ServiceSpec").unwrap().get();
        let ports = spec.field("ports").unwrap();
        assert_eq!((ports.map_keys, ports.merge_key), (&["port", "protocol"][..], Some("port")));
        assert_eq!(spec.short_name(), "ServiceSpec");
    }
}
