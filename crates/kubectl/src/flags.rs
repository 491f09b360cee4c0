//! Flags with pflag's grammar and error texts.

use crate::error::Error;
use std::collections::BTreeMap;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`, `true` without a value.
    Bool,
    /// Any text.
    Str,
    /// A whole number.
    Int,
    /// `1m30s`
    Duration,
    /// A text; may be given several times.
    Array,
    /// Texts with commas between; may be given several times.
    Slice,
}

/// A flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Long name.
    pub name: &'static str,
    /// One-letter name, or a blank.
    pub short: char,
    /// What it takes.
    pub kind: Kind,
    /// Default as help shows it: `''`, `false`, `[]`, `0`.
    pub default: &'static str,
    /// The value that the flag alone means, for flags whose value is optional.
    pub alone: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

/// A flag that takes a value.
pub const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, short: ' ', kind, default, alone: None, help }
}

/// A switch, off by default.
pub const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: ' ', kind: Kind::Bool, default: "false", alone: Some("true"), help }
}

impl Flag {
    /// With a one-letter name.
    pub const fn short(self, c: char) -> Flag {
        Flag { short: c, ..self }
    }

    /// With a value that the flag alone means.
    pub const fn alone(self, v: &'static str) -> Flag {
        Flag { alone: Some(v), ..self }
    }

    /// On by default.
    pub const fn on(self) -> Flag {
        Flag { default: "true", ..self }
    }

    fn named(&self) -> String {
        if self.short == ' ' {
            format!("--{}", self.name)
        } else {
            format!("-{}, --{}", self.short, self.name)
        }
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let quoted = api::gofmt::quote(value);
        match self.kind {
            Kind::Bool if parse_bool(value).is_none() => {
                Err(format!("strconv.ParseBool: parsing {quoted}: invalid syntax"))
            }
            Kind::Int => match parse_int(value) {
                Ok(_) => Ok(()),
                Err(why) => Err(format!("strconv.ParseInt: parsing {quoted}: {why}")),
            },
            Kind::Duration => api::duration::parse(value).map(|_| ()),
            _ => Ok(()),
        }
    }
}

/// Go's `ParseBool`.
pub fn parse_bool(s: &str) -> Option<bool> {
    match s {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `ParseInt(s, 0, 64)`.
pub fn parse_int(s: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match s.strip_prefix('-') {
        Some(d) => (true, d),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err("invalid syntax");
    }
    match i64::from_str_radix(digits, radix) {
        Ok(v) => Ok(if negative { -v } else { v }),
        Err(_) => Err("value out of range"),
    }
}

/// The values of flags that were given.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<&'static str, Vec<String>>);

impl Values {
    /// Whether a flag was given.
    pub fn given(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The texts given to a flag, in order.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], |v| v.as_slice())
    }

    /// The last text given to a flag.
    pub fn last(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|v| v.last()).map(String::as_str)
    }

    /// The names of the flags given.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The same without one flag.
    pub fn without(mut self, name: &str) -> Values {
        self.0.remove(name);
        self
    }

    fn set(&mut self, flag: &Flag, value: &str) {
        let slot = self.0.entry(flag.name).or_default();
        match flag.kind {
            Kind::Array => slot.push(value.to_owned()),
            Kind::Slice => slot.extend(split_csv(value)),
            _ => *slot = vec![value.to_owned()],
        }
    }
}

/// A line of comma-separated values; a quoted one may contain commas.
fn split_csv(s: &str) -> Vec<String> {
    if s.is_empty() {
        return Vec::new();
    }
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut chars = s.chars().peekable();
    while let Some(c) = chars.next() {
        let last = out.len() - 1;
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => out[last].push('"'),
            '"' if quoted || out[last].is_empty() => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => out[last].push(c),
        }
    }
    out
}

/// What a command line holds besides the command.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Flags.
    pub values: Values,
    /// Other words, in order.
    pub words: Vec<String>,
    /// How many words stood before `--`.
    pub dash: Option<usize>,
}

/// Parses the words behind a command. `find` looks a flag up by its long name or, given as `-x`, by its letter.
pub fn parse(
    args: &[String],
    flags: &dyn Fn(&str) -> Option<&'static Flag>,
    interspersed: bool,
) -> Result<Parsed, Error> {
    let mut out = Parsed::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            out.dash = Some(out.words.len());
            out.words.extend(rest.cloned());
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            long_flag(long, &mut rest, flags, &mut out)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            short_flags(&arg[1..], &mut rest, flags, &mut out)?;
        } else {
            out.words.push(arg.clone());
            if !interspersed {
                out.words.extend(rest.cloned());
                break;
            }
        }
    }
    Ok(out)
}

fn long_flag(
    long: &str,
    rest: &mut core::slice::Iter<'_, String>,
    flags: &dyn Fn(&str) -> Option<&'static Flag>,
    out: &mut Parsed,
) -> Result<(), Error> {
    if long.starts_with(['-', '=']) {
        return Err(Error::text(format!("bad flag syntax: --{long}")));
    }
    let (name, value) = match long.split_once('=') {
        Some((n, v)) => (n, Some(v)),
        None => (long, None),
    };
    let flag = flags(name).ok_or_else(|| Error::text(format!("unknown flag: --{name}")))?;
    let value = match (value, flag.alone) {
        (Some(v), _) => v.to_owned(),
        (None, Some(v)) => v.to_owned(),
        (None, None) => {
            rest.next().ok_or_else(|| Error::text(format!("flag needs an argument: --{name}")))?.clone()
        }
    };
    store(flag, &value, out)
}

fn short_flags(
    letters: &str,
    rest: &mut core::slice::Iter<'_, String>,
    flags: &dyn Fn(&str) -> Option<&'static Flag>,
    out: &mut Parsed,
) -> Result<(), Error> {
    let mut at = letters;
    while let Some(c) = at.chars().next() {
        let tail = &at[c.len_utf8()..];
        let flag = flags(&format!("-{c}"))
            .ok_or_else(|| Error::text(format!("unknown shorthand flag: '{c}' in -{at}")))?;
        if let Some(v) = tail.strip_prefix('=').filter(|_| !tail.is_empty()) {
            return store(flag, v, out);
        }
        if let Some(alone) = flag.alone {
            store(flag, alone, out)?;
            at = tail;
            continue;
        }
        if !tail.is_empty() {
            return store(flag, tail, out);
        }
        let v = rest.next().ok_or_else(|| Error::text(format!("flag needs an argument: '{c}' in -{at}")))?;
        return store(flag, v, out);
    }
    Ok(())
}

fn store(flag: &Flag, value: &str, out: &mut Parsed) -> Result<(), Error> {
    flag.check(value).map_err(|why| {
        Error::text(format!(
            "invalid argument {} for \"{}\" flag: {why}",
            api::gofmt::quote(value),
            flag.named()
        ))
    })?;
    out.values.set(flag, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        flag("namespace", Kind::Str, "''", "").short('n'),
        switch("quiet", "").short('q'),
        flag("replicas", Kind::Int, "0", ""),
        flag("env", Kind::Array, "[]", ""),
        flag("label-columns", Kind::Slice, "[]", "").short('L'),
        flag("timeout", Kind::Duration, "0s", ""),
        flag("dry-run", Kind::Str, "'none'", "").alone("unchanged"),
    ];

    fn run(line: &str) -> Result<Parsed, String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(
            &args,
            &|n| FLAGS.iter().find(|f| f.name == n || n.strip_prefix('-') == Some(&f.short.to_string())),
            true,
        )
        .map_err(|e| e.message())
    }

    #[test]
    fn pflag_s_grammar() {
        let p = run("a -nx -q --env A=1,2 --env=B b -Lx,y -L z --dry-run --replicas=0x10 -- -c").unwrap();
        assert_eq!(p.words, ["a", "b", "-c"]);
        assert_eq!(p.dash, Some(2));
        assert_eq!(p.values.last("namespace"), Some("x"));
        assert_eq!(p.values.all("env"), ["A=1,2", "B"]);
        assert_eq!(p.values.all("label-columns"), ["x", "y", "z"]);
        assert_eq!(p.values.last("dry-run"), Some("unchanged"));
        for (line, want) in [
            ("--nope", "unknown flag: --nope"),
            ("-mage=x", "unknown shorthand flag: 'm' in -mage=x"),
            ("-qm", "unknown shorthand flag: 'm' in -m"),
            ("--env", "flag needs an argument: --env"),
            ("-n", "flag needs an argument: 'n' in -n"),
            (
                "--quiet=maybe",
                "invalid argument \"maybe\" for \"-q, --quiet\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            (
                "--replicas x",
                "invalid argument \"x\" for \"--replicas\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "--timeout 5",
                "invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\"",
            ),
        ] {
            assert_eq!(run(line).unwrap_err(), want);
        }
    }
}
