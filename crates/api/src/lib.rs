//! The Kubernetes object model: values, schema tables, typed views, kinds, selectors, quantities, patches.
//!
//! *Invariant*: an object is one persistent value tree; built-in kinds and custom resources take the same path through
//! decoding, defaulting, patches and printing, all of which walk a [`Value`] and a [`schema`]. Storage, watches and the
//! request pipeline are left to `apiserver`.

pub mod cel;
pub mod decode;
pub mod duration;
pub mod field;
pub mod gofmt;
pub mod gostruct;
pub mod gotemplate;
mod json;
pub mod jsonpath;
mod key;
pub mod kinds;
pub mod names;
pub mod object;
pub mod patch;
pub mod pattern;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod structural;
mod value;
pub mod views;
pub mod wire;
pub mod yaml;

pub use json::{JsonError, key_paths, parse as parse_json};
pub use key::{Key, k};
pub use smol_str::SmolStr;
pub use value::{List, Map, Value};
