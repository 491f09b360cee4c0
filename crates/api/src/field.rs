//! Field errors: what is wrong where, in the words of upstream's `field.Error`.

use crate::Value;
use core::fmt;

/// The kind of a field error; its text and the `reason` of a `Status` cause follow from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl ErrorType {
    /// The `reason` of a cause.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::Internal => "InternalError",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            ErrorType::NotFound => "Not found",
            ErrorType::Required => "Required value",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::Invalid | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
            ErrorType::Internal => "Internal error",
        }
    }
}

/// One error.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldError {
    /// What kind.
    pub ty: ErrorType,
    /// Where: `spec.containers[0].name`.
    pub field: String,
    /// The message without the field: `Invalid value: "x": must …`.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A place in an object. Built on the stack while validating; text only when an error needs it.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The root or an absolute path.
    Path(&'a str),
    /// A field.
    Field(&'a At<'a>, &'a str),
    /// An element of a list.
    Index(&'a At<'a>, usize),
    /// An entry of a map.
    Key(&'a At<'a>, &'a str),
}

impl At<'_> {
    /// The field `name` below here.
    pub fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        At::Field(self, name)
    }

    /// The `i`-th element.
    pub fn index(&self, i: usize) -> At<'_> {
        At::Index(self, i)
    }

    /// The entry `key`.
    pub fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At::Key(self, key)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Path(s) => f.write_str(s),
            At::Field(At::Path(""), s) => f.write_str(s),
            At::Field(p, s) => write!(f, "{p}.{s}"),
            At::Index(p, i) => write!(f, "{p}[{i}]"),
            At::Key(p, k) => write!(f, "{p}[{k}]"),
        }
    }
}

/// Collects errors.
#[derive(Clone, Debug, Default)]
pub struct Errors(pub Vec<FieldError>);

/// A value as `Invalid value:` prints it: strings quoted, structs and lists as JSON.
fn show(v: &Value) -> String {
    match v {
        Value::Str(s) => go_quote(s),
        Value::Null => "null".into(),
        v => v.to_json(),
    }
}

/// A string as Go's `%q` prints it.
pub fn go_quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Errors {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Any error of a value, in the words of its type.
    pub fn push(&mut self, ty: ErrorType, at: &At<'_>, value: Option<&Value>, detail: &str) {
        let mut message = ty.text().to_owned();
        if let Some(v) = value {
            message += ": ";
            message += &show(v);
        }
        if !detail.is_empty() {
            message += ": ";
            message += detail;
        }
        self.0.push(FieldError { ty, field: at.to_string(), message });
    }

    /// `Invalid value: …`
    pub fn invalid(&mut self, at: &At<'_>, value: impl Into<Value>, detail: &str) {
        self.push(ErrorType::Invalid, at, Some(&value.into()), detail);
    }

    /// `Required value`
    pub fn required(&mut self, at: &At<'_>, detail: &str) {
        self.push(ErrorType::Required, at, None, detail);
    }

    /// `Duplicate value: …`
    pub fn duplicate(&mut self, at: &At<'_>, value: impl Into<Value>) {
        self.push(ErrorType::Duplicate, at, Some(&value.into()), "");
    }

    /// `Forbidden: …`
    pub fn forbidden(&mut self, at: &At<'_>, detail: &str) {
        self.push(ErrorType::Forbidden, at, None, detail);
    }

    /// `Not found: …`
    pub fn not_found(&mut self, at: &At<'_>, value: impl Into<Value>) {
        self.push(ErrorType::NotFound, at, Some(&value.into()), "");
    }

    /// `Unsupported value: "x": supported values: "a", "b"`
    pub fn not_supported(&mut self, at: &At<'_>, value: impl Into<Value>, supported: &[&str]) {
        let mut sorted: Vec<&str> = supported.to_vec();
        sorted.sort_unstable();
        let list: Vec<String> = sorted.iter().map(|s| go_quote(s)).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.push(ErrorType::NotSupported, at, Some(&value.into()), &detail);
    }

    /// `Unsupported value: …` with the supported ones in the order given. Models: `field.NotSupported`.
    pub fn one_of(&mut self, at: &At<'_>, value: impl Into<Value>, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| go_quote(s)).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.push(ErrorType::NotSupported, at, Some(&value.into()), &detail);
    }

    /// An error whose value is printed already, as a struct of the server's own types.
    pub fn printed(&mut self, ty: ErrorType, at: &At<'_>, shown: &str, detail: &str) {
        let mut message = format!("{}: {shown}", ty.text());
        if !detail.is_empty() {
            message += ": ";
            message += detail;
        }
        self.0.push(FieldError { ty, field: at.to_string(), message });
    }

    /// `Too long: may not be more than N bytes`
    pub fn too_long(&mut self, at: &At<'_>, bytes_max: usize) {
        self.push(ErrorType::TooLong, at, None, &format!("may not be more than {bytes_max} bytes"));
    }

    /// `Too many: N: must have at most M items`
    pub fn too_many(&mut self, at: &At<'_>, actual: usize, max: usize) {
        let items = if max == 1 { "item" } else { "items" };
        self.push(
            ErrorType::TooMany,
            at,
            Some(&Value::from(actual)),
            &format!("must have at most {max} {items}"),
        );
    }

    /// `Internal error: …`
    pub fn internal(&mut self, at: &At<'_>, detail: &str) {
        self.push(ErrorType::Internal, at, None, detail);
    }
}
