//! Typed views: read-only lenses over a [`Value`], one a type of the API, so that a wrong field name does not compile.
//!
//! A view is two words and borrows the value. Missing parts read as empty: strings as "", lists and maps as empty,
//! objects as views of `null`; numbers and booleans are `Option`s, since zero and absent differ. Generated with the
//! schema tables.

use crate::Value;
use core::marker::PhantomData;

/// A typed lens over a value.
pub trait View<'a>: Copy {
    /// Looks at `v` as this type.
    fn of(v: &'a Value) -> Self;

    /// The value behind it.
    fn value(self) -> &'a Value;

    /// Whether there is anything behind it.
    fn exists(self) -> bool {
        self.value().is_some()
    }
}

/// A list of views.
pub struct Views<'a, V> {
    list: &'a Value,
    of: PhantomData<V>,
}

impl<V> Clone for Views<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Views<'_, V> {}

impl<'a, V: View<'a>> Views<'a, V> {
    /// Looks at a list.
    pub fn of(list: &'a Value) -> Self {
        Views { list, of: PhantomData }
    }

    /// The elements.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = V> + ExactSizeIterator {
        self.list.items().map(V::of)
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The first element.
    pub fn first(self) -> Option<V> {
        self.iter().next()
    }

    /// The list behind it.
    pub fn value(self) -> &'a Value {
        self.list
    }
}

impl<'a, V: View<'a> + 'a> IntoIterator for Views<'a, V> {
    type Item = V;
    type IntoIter = core::iter::Map<core::slice::Iter<'a, Value>, fn(&'a Value) -> V>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.items().map(V::of as fn(&'a Value) -> V)
    }
}

/// A list of strings.
#[derive(Clone, Copy)]
pub struct Strs<'a>(pub &'a Value);

impl<'a> Strs<'a> {
    /// The strings.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator {
        self.0.items().map(Value::text)
    }

    /// Number of strings.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `s` is among them.
    pub fn contains(self, s: &str) -> bool {
        self.iter().any(|x| x == s)
    }
}

macro_rules! view {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a>(pub &'a $crate::Value);

        impl<'a> $crate::views::View<'a> for $name<'a> {
            fn of(v: &'a $crate::Value) -> Self {
                $name(v)
            }
            fn value(self) -> &'a $crate::Value {
                self.0
            }
        }
    };
}

// Modules, generated with their content.
pub mod admissionregistration_v1;
pub mod apiextensions_v1;
pub mod apiregistration_v1;
pub mod apps_v1;
pub mod authentication_v1;
pub mod authorization_v1;
pub mod autoscaling_v1;
pub mod autoscaling_v2;
pub mod batch_v1;
pub mod certificates_v1;
pub mod coordination_v1;
pub mod core_v1;
pub mod discovery_v1;
pub mod events_v1;
pub mod flowcontrol_v1;
pub mod meta_v1;
pub mod networking_v1;
pub mod node_v1;
pub mod pkg_version;
pub mod policy_v1;
pub mod rbac_v1;
pub mod resource_v1;
pub mod scheduling_v1;
pub mod storage_v1;
