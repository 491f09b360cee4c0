//! Resource quantities: `500m`, `2Gi`, `1e3`. Models: `k8s.io/apimachinery/pkg/api/resource`.
//!
//! A quantity is an exact number of billionths in 128 bits, which holds everything that the real one prints without an
//! exponent; larger numbers are capped.

use crate::{SmolStr, Value};
use core::cmp::Ordering;
use core::fmt;

/// Why a text is no quantity; `Display` prints the API server's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuantityError {
    /// Characters that no quantity has.
    Format,
    /// The digits make no number.
    Numeric,
    /// The letters behind the digits are no suffix.
    Suffix,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QuantityError::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            QuantityError::Numeric => "unable to parse numeric part of quantity",
            QuantityError::Suffix => "unable to parse quantity's suffix",
        })
    }
}

impl std::error::Error for QuantityError {}

/// The suffixes that a quantity prints with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// `m`, `k`, `M`…
    #[default]
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`…
    BinarySi,
    /// `e3`, `e6`…
    DecimalExponent,
}

/// An exact quantity.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;
/// Caps keep every sum of a few million quantities inside `i128`.
const NANOS_MAX: i128 = i128::MAX / (1 << 24);
/// Upstream's cap of binary quantities: 2^63 − 1.
const BINARY_MAX: i128 = i64::MAX as i128 * NANO;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The parts of a quantity's text.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let rest = rest.trim_start_matches('0');
    let (whole, mut rest) = rest.split_at(digits(rest));
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at(digits(after));
    }
    let suffix = rest;
    let letters = rest.bytes().take_while(|c| b"eEinumkKMGTP".contains(c)).count();
    let tail = &rest[letters..];
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if digits(tail) < tail.len() {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative, whole, fraction, suffix })
}

/// `(exponent, format)` of a suffix; binary exponents count in twos.
fn interpret(suffix: &str) -> Option<(i32, Format)> {
    if let Some((_, e)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((*e, Format::DecimalSi));
    }
    if let Some(i) = BINARY.iter().position(|s| *s == suffix) {
        return Some((i as i32 * 10, Format::BinarySi));
    }
    let number = suffix.strip_prefix(['e', 'E'])?;
    let e: i64 = number.parse().ok()?;
    Some((e.clamp(-1000, 1000) as i32, Format::DecimalExponent))
}

/// `mantissa · 10^exponent` in billionths, rounded up, capped.
fn scaled(mantissa: i128, exponent: i32) -> i128 {
    let mut v = mantissa;
    let mut e = exponent + 9;
    while e > 0 && v != 0 && v < NANOS_MAX {
        v *= 10;
        e -= 1;
    }
    let mut rest = false;
    while e < 0 && v != 0 {
        rest |= v % 10 != 0;
        v /= 10;
        e += 1;
    }
    (v + i128::from(rest)).min(NANOS_MAX)
}

impl Quantity {
    /// Reads a quantity as the API server does.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        if text.is_empty() || !text.is_ascii() {
            return Err(QuantityError::Format);
        }
        let p = split(text)?;
        let (exponent, mut format) = interpret(p.suffix).ok_or(QuantityError::Suffix)?;
        // More digits than the cap has change nothing but the exponent.
        let mut mantissa: i128 = 0;
        let mut dropped = 0;
        let digits = p.whole.bytes().chain(p.fraction.bytes());
        for d in digits {
            if mantissa > NANOS_MAX / 1000 {
                dropped += 1;
            } else {
                mantissa = mantissa * 10 + i128::from(d - b'0');
            }
        }
        let point = dropped - i32::try_from(p.fraction.len()).unwrap_or(i32::MAX - 1000);
        let mut nanos = match format {
            Format::BinarySi => {
                // The mantissa first in billionths, then doubled, so that fractions stay exact.
                let base = scaled(mantissa, point);
                base.checked_mul(1i128 << exponent).unwrap_or(NANOS_MAX).min(BINARY_MAX)
            }
            _ => scaled(mantissa, exponent + point),
        };
        if format == Format::BinarySi && nanos > 0 && nanos < NANO {
            format = Format::DecimalSi;
        }
        if p.negative {
            nanos = -nanos;
        }
        Ok(Quantity { nanos, format })
    }

    /// Reads a quantity from a string or number of an object; null is zero.
    pub fn of(v: &Value) -> Result<Quantity, QuantityError> {
        match v {
            Value::Null => Ok(Quantity::default()),
            Value::Str(s) => Quantity::parse(s),
            Value::Int(i) => Ok(Quantity::from_value(*i)),
            Value::Float(f) => Quantity::parse(&crate::json::float(*f)),
            _ => Err(QuantityError::Format),
        }
    }

    /// What [`Quantity::of`] gives, zero for what is none.
    pub fn or_zero(v: &Value) -> Quantity {
        Quantity::of(v).unwrap_or_default()
    }

    /// A whole number, decimal suffixes.
    pub fn from_value(v: i64) -> Quantity {
        Quantity { nanos: i128::from(v) * NANO, format: Format::DecimalSi }
    }

    /// Thousandths, decimal suffixes.
    pub fn from_milli(v: i64) -> Quantity {
        Quantity { nanos: i128::from(v) * MILLI, format: Format::DecimalSi }
    }

    /// Bytes, binary suffixes.
    pub fn from_bytes(v: i64) -> Quantity {
        Quantity { nanos: i128::from(v) * NANO, format: Format::BinarySi }
    }

    /// The same number with other suffixes.
    pub fn with_format(self, format: Format) -> Quantity {
        Quantity { format, ..self }
    }

    /// The suffixes it prints with.
    pub fn format(self) -> Format {
        self.format
    }

    /// The exact number in billionths.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    fn rounded(self, unit: i128) -> i128 {
        // Away from zero, as upstream's ScaledValue.
        let rest = self.nanos % unit;
        self.nanos / unit + rest.signum()
    }

    /// Whole units, rounded away from zero.
    pub fn value(self) -> i64 {
        self.rounded(NANO).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// Thousandths, rounded away from zero.
    pub fn milli(self) -> i64 {
        self.rounded(MILLI).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// Rounded away from zero to whole thousandths, as defaulting of resource lists does.
    pub fn round_up_milli(self) -> Quantity {
        Quantity { nanos: self.rounded(MILLI) * MILLI, ..self }
    }

    /// Whether it has no fraction.
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// The number as a float, for shares and percentages.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    fn with(self, nanos: i128, other: Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { nanos: nanos.clamp(-NANOS_MAX, NANOS_MAX), format }
    }

    /// Times a whole number.
    pub fn times(self, n: i64) -> Quantity {
        let nanos = self.nanos.saturating_mul(n.into()).clamp(-NANOS_MAX, NANOS_MAX);
        Quantity { nanos, ..self }
    }

    /// The greater of both.
    pub fn max(self, other: Quantity) -> Quantity {
        if other > self { other } else { self }
    }

    /// The canonical text, what the API server stores of resource lists: `1000m` is `1`, `1024Mi` is `1Gi`.
    pub fn canonical(self) -> SmolStr {
        if self.nanos == 0 {
            return SmolStr::new_static("0");
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_whole() {
            let (mut v, mut i) = (self.nanos / NANO, 0);
            while v % 1024 == 0 && i + 1 < BINARY.len() {
                v /= 1024;
                i += 1;
            }
            return format!("{v}{}", BINARY[i]).into();
        }
        let (mut v, mut e) = (self.nanos, -9);
        while v % 1000 == 0 && e < 18 {
            v /= 1000;
            e += 3;
        }
        if self.format == Format::DecimalExponent {
            return if e == 0 { v.to_string() } else { format!("{v}e{e}") }.into();
        }
        let suffix = DECIMAL.iter().find(|(_, x)| *x == e).map_or("", |(s, _)| s);
        format!("{v}{suffix}").into()
    }

    /// The canonical text as a value.
    pub fn to_value(self) -> Value {
        Value::Str(self.canonical())
    }
}

impl core::ops::Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        self.with(self.nanos + other.nanos, other)
    }
}

impl core::ops::Sub for Quantity {
    type Output = Quantity;
    fn sub(self, other: Quantity) -> Quantity {
        self.with(self.nanos - other.nanos, other)
    }
}

impl core::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl core::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl core::ops::Neg for Quantity {
    type Output = Quantity;
    fn neg(self) -> Quantity {
        Quantity { nanos: -self.nanos, ..self }
    }
}

/// Equal numbers are equal whatever their suffixes.
impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl From<Quantity> for Value {
    fn from(q: Quantity) -> Value {
        q.to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (text, want) in [
            ("0", "0"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1023", "1023"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("100m", "100m"),
            ("1e3", "1e3"),
            ("12E6", "12e6"),
            ("1000k", "1M"),
            ("129e6", "129e6"),
            ("123M", "123M"),
            ("-1", "-1"),
            ("+2", "2"),
            ("0.0000000001", "1n"),
            ("1.", "1"),
            (".5", "500m"),
            ("0001", "1"),
            ("0.1Mi", "104857600m"),
            ("9Ei", "9223372036854775807"),
            ("8Ei", "9223372036854775807"),
            ("7Ei", "7Ei"),
            ("100Gi", "100Gi"),
            ("1E", "1E"),
            ("5u", "5u"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().canonical(), want, "{text}");
        }
    }

    #[test]
    fn errors_and_arithmetic() {
        let err = |s| Quantity::parse(s).unwrap_err();
        assert_eq!(err(""), QuantityError::Format);
        assert_eq!(err("1 Gi"), QuantityError::Format);
        assert_eq!(err("abc"), QuantityError::Format);
        assert_eq!(err("1gi"), QuantityError::Format);
        assert_eq!(err("1Gii"), QuantityError::Suffix);
        assert_eq!(err("1KM"), QuantityError::Suffix);
        let q = |s| Quantity::parse(s).unwrap();
        assert_eq!((q("1") + q("500m")).canonical(), "1500m");
        assert_eq!((Quantity::default() + q("1Gi")).canonical(), "1Gi");
        assert_eq!((q("1Gi") - q("2Gi")).canonical(), "-1Gi");
        assert_eq!((q("1.5").value(), q("1.5").milli(), q("-1.5").value()), (2, 1500, -2));
        assert!(q("1Gi") > q("1G") && q("1024Mi") == q("1Gi"));
        let huge = "9".repeat(300);
        assert!(q(&huge) > q("1E"));
        assert_eq!((q(&huge) + q(&huge)), q(&huge));
    }
}
