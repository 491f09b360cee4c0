//! Options of commands as busybox parses them, and its usage text.

/// The version that the usage texts name.
pub const VERSION: &str = "BusyBox v1.36.1 (2024-05-31 19:09:10 UTC) multi-call binary.";

/// Parsed options in order, and what remains.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Letters with their values.
    pub flags: Vec<(char, Option<String>)>,
    /// Operands.
    pub rest: Vec<String>,
}

impl Options {
    /// Whether a flag was given.
    pub fn has(&self, c: char) -> bool {
        self.flags.iter().any(|f| f.0 == c)
    }

    /// The last value of a flag.
    pub fn value(&self, c: char) -> Option<&str> {
        self.flags.iter().rev().find(|f| f.0 == c).and_then(|f| f.1.as_deref())
    }

    /// All values of a flag.
    pub fn values(&self, c: char) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |f| f.0 == c).filter_map(|f| f.1.as_deref())
    }

    /// The first operand.
    pub fn first(&self) -> Option<&str> {
        self.rest.first().map(String::as_str)
    }
}

/// Parses options. `spec` is as for `getopt`: letters, a colon behind those with a value; a leading `+` ends at the
/// first operand. `long` maps long names to letters.
pub fn parse(args: &[String], spec: &str, long: &[(&str, char)]) -> Result<Options, String> {
    let posix = spec.starts_with('+');
    let takes =
        |c: char| spec.find(c).map(|i| spec.get(i + c.len_utf8()..).is_some_and(|r| r.starts_with(':')));
    let mut o = Options::default();
    let mut it = args.iter();
    while let Some(a) = it.next() {
        if a == "--" {
            o.rest.extend(it.by_ref().cloned());
            break;
        }
        if let Some(l) = a.strip_prefix("--") {
            let (name, value) = match l.split_once('=') {
                Some((n, v)) => (n, Some(v.to_string())),
                None => (l, None),
            };
            let found = long.iter().find(|x| x.0 == name).or_else(|| {
                let mut m = long.iter().filter(|x| x.0.starts_with(name));
                m.next().filter(|_| m.next().is_none())
            });
            let Some((_, c)) = found else { return Err(format!("unrecognized option '--{name}'")) };
            let value = if takes(*c) == Some(true) {
                match value.or_else(|| it.next().cloned()) {
                    Some(v) => Some(v),
                    None => return Err(format!("option '--{name}' requires an argument")),
                }
            } else {
                None
            };
            o.flags.push((*c, value));
            continue;
        }
        if !a.starts_with('-') || a.len() < 2 {
            o.rest.push(a.clone());
            if posix {
                o.rest.extend(it.by_ref().cloned());
                break;
            }
            continue;
        }
        let mut chars = a.chars().skip(1);
        while let Some(c) = chars.next() {
            match takes(c).filter(|_| c != ':' && c != '+') {
                None => return Err(format!("invalid option -- '{c}'")),
                Some(false) => o.flags.push((c, None)),
                Some(true) => {
                    let rest: String = chars.by_ref().collect();
                    let value = if rest.is_empty() { it.next().cloned() } else { Some(rest) };
                    match value {
                        Some(v) => o.flags.push((c, Some(v))),
                        None => return Err(format!("option requires an argument -- '{c}'")),
                    }
                }
            }
        }
    }
    Ok(o)
}

/// The usage text of a command.
pub fn usage(name: &str) -> String {
    let help = super::TABLE.iter().find(|e| e.names.contains(&name)).map_or("", |e| e.help);
    let (synopsis, text) = help.split_once(": ").unwrap_or((help, ""));
    let space = if synopsis.is_empty() { "" } else { " " };
    format!("{VERSION}\n\nUsage: {name}{space}{synopsis}\n\n{text}\n")
}

/// A count with a unit: `10`, `1k`, `2M`.
pub fn count(s: &str) -> Option<u64> {
    let digits = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (n, unit) = s.split_at(digits);
    let n: u64 = n.parse().ok()?;
    let m = match unit {
        "" | "c" => 1,
        "b" => 512,
        "k" | "K" => 1024,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    n.checked_mul(m)
}

/// A duration as `sleep` and `timeout` take it, in milliseconds: `1.5`, `2m`, `1h`, `1d`.
pub fn duration_ms(s: &str) -> Option<u64> {
    let (n, unit) = match s.char_indices().next_back() {
        Some((i, c)) if c.is_ascii_alphabetic() => (s.get(..i)?, c),
        _ => (s, 's'),
    };
    let m = match unit {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let (whole, frac) = n.split_once('.').unwrap_or((n, ""));
    if whole.is_empty() && frac.is_empty() || !frac.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let w: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let f: String = frac.chars().chain("000000".chars()).take(6).collect();
    let f: u64 = f.parse().ok()?;
    w.checked_mul(m)?.checked_add(f * m / 1_000_000)
}
