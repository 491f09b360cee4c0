//! `printf`

use super::once::{Cx, Ran};
use crate::text::{Escapes, parse_number, unescape};

/// Output and errors.
#[derive(Default, Debug)]
pub struct Printed {
    /// Bytes.
    pub out: Vec<u8>,
    /// Messages.
    pub errors: Vec<String>,
}

/// How often a format may be used again for further arguments.
const ROUNDS_MAX: usize = 65_536;

/// Formats the arguments; the format is used again until they are used up.
pub fn format(format: &str, args: &[String]) -> Printed {
    let mut p = Printed::default();
    let mut rest = args;
    for _ in 0..ROUNDS_MAX {
        let before = rest.len();
        if !round(format, &mut rest, &mut p) {
            break;
        }
        if rest.is_empty() || rest.len() == before {
            break;
        }
    }
    p
}

/// Formats once, as `awk` does: what is missing counts as empty, what is too much is dropped. The format's own
/// backslashes have been replaced before.
pub fn once(format: &str, args: &[String]) -> Vec<u8> {
    let mut p = Printed::default();
    let mut rest = args;
    round(&format.replace('\\', "\\\\"), &mut rest, &mut p);
    p.out
}

#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alt: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn pad(&self, s: &[u8], out: &mut Vec<u8>) {
        let len = String::from_utf8_lossy(s).chars().count();
        let fill = self.width.saturating_sub(len);
        if !self.left {
            out.extend(core::iter::repeat_n(b' ', fill));
        }
        out.extend(s);
        if self.left {
            out.extend(core::iter::repeat_n(b' ', fill));
        }
    }

    fn number(&self, negative: bool, digits: String, prefix: &str, out: &mut Vec<u8>) {
        let sign = if negative {
            "-"
        } else if self.plus {
            "+"
        } else if self.space {
            " "
        } else {
            ""
        };
        let mut digits = digits;
        if let Some(p) = self.precision {
            while digits.len() < p {
                digits.insert(0, '0');
            }
        } else if self.zero && !self.left {
            while digits.len() + sign.len() + prefix.len() < self.width {
                digits.insert(0, '0');
            }
        }
        self.pad(format!("{sign}{prefix}{digits}").as_bytes(), out);
    }
}

/// One pass over the format; false if the output ends here.
fn round(format: &str, args: &mut &[String], p: &mut Printed) -> bool {
    let mut rest = format;
    while let Some(i) = rest.find('%') {
        let (text, end) = unescape(rest.get(..i).unwrap_or_default(), Escapes::Printf);
        p.out.extend(text);
        if end {
            return false;
        }
        rest = rest.get(i + 1..).unwrap_or_default();
        if let Some(r) = rest.strip_prefix('%') {
            p.out.push(b'%');
            rest = r;
            continue;
        }
        let start = rest;
        let mut s = Spec::default();
        while let Some(c) = rest.chars().next() {
            match c {
                '-' => s.left = true,
                '0' => s.zero = true,
                '+' => s.plus = true,
                ' ' => s.space = true,
                '#' => s.alt = true,
                _ => break,
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        s.width = size(&mut rest, args, &mut s.left).unwrap_or(0).min(65_536);
        if let Some(r) = rest.strip_prefix('.') {
            rest = r;
            s.precision = Some(size(&mut rest, args, &mut false).unwrap_or(0).min(65_536));
        }
        while let Some(r) = rest.strip_prefix(['l', 'h', 'z', 'j', 't', 'L']) {
            rest = r;
        }
        let Some(c) = rest.chars().next() else {
            p.errors.push("%: invalid format".into());
            return false;
        };
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if !conversion(c, &s, args, p) {
            let shown: String = start.chars().filter(|c| !"lhzjtL".contains(*c)).collect();
            let shown = shown.replace('\n', "\\n");
            p.errors.push(format!("%{shown}: invalid format"));
            return false;
        }
        if p.out.len() > sim::Limits::TABLE.file_bytes_max {
            return false;
        }
    }
    let (text, end) = unescape(rest, Escapes::Printf);
    p.out.extend(text);
    !end
}

fn size(rest: &mut &str, args: &mut &[String], left: &mut bool) -> Option<usize> {
    if let Some(r) = rest.strip_prefix('*') {
        *rest = r;
        let n = parse_number(&next(args)?)?;
        if n < 0 {
            *left = true;
        }
        return Some(n.unsigned_abs() as usize);
    }
    let n = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (d, r) = rest.split_at(n);
    *rest = r;
    d.parse().ok()
}

fn next(args: &mut &[String]) -> Option<String> {
    let (first, rest) = args.split_first()?;
    *args = rest;
    Some(first.clone())
}

fn integer(arg: &str, p: &mut Printed) -> i64 {
    if let Some(c) = arg.strip_prefix(['"', '\'']) {
        return c.chars().next().map_or(0, |c| i64::from(u32::from(c)));
    }
    if arg.is_empty() {
        return 0;
    }
    parse_number(arg).or_else(|| arg.parse::<u64>().ok().map(|v| v as i64)).unwrap_or_else(|| {
        p.errors.push(format!("invalid number '{arg}'"));
        0
    })
}

fn conversion(c: char, s: &Spec, args: &mut &[String], p: &mut Printed) -> bool {
    match c {
        's' => {
            let mut a = next(args).unwrap_or_default();
            if let Some(n) = s.precision {
                a = a.chars().take(n).collect();
            }
            s.pad(a.as_bytes(), &mut p.out);
        }
        'b' => {
            let a = next(args).unwrap_or_default();
            let (bytes, _) = unescape(&a, Escapes::Echo);
            s.pad(&bytes, &mut p.out);
        }
        'c' => {
            let a = next(args).unwrap_or_default();
            let first: String = a.chars().take(1).collect();
            s.pad(first.as_bytes(), &mut p.out);
        }
        'd' | 'i' => {
            let v = integer(&next(args).unwrap_or_default(), p);
            s.number(v < 0, v.unsigned_abs().to_string(), "", &mut p.out);
        }
        'u' | 'x' | 'X' | 'o' => {
            let v = integer(&next(args).unwrap_or_default(), p) as u64;
            let (digits, prefix) = match c {
                'x' => (format!("{v:x}"), "0x"),
                'X' => (format!("{v:X}"), "0X"),
                'o' => (format!("{v:o}"), "0"),
                _ => (v.to_string(), ""),
            };
            s.number(false, digits, if s.alt { prefix } else { "" }, &mut p.out);
        }
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
            let a = next(args).unwrap_or_default();
            let v: f64 = a.trim().parse().unwrap_or_else(|_| {
                if !a.is_empty() {
                    p.errors.push(format!("invalid number '{a}'"));
                }
                0.0
            });
            let text = match c {
                'e' | 'E' => exponent(v.abs(), s.precision.unwrap_or(6)),
                'g' | 'G' => format!("{}", v.abs()),
                _ => format!("{:.*}", s.precision.unwrap_or(6), v.abs()),
            };
            let plain = Spec {
                precision: None,
                ..Spec {
                    left: s.left,
                    zero: s.zero,
                    plus: s.plus,
                    space: s.space,
                    alt: s.alt,
                    width: s.width,
                    precision: None,
                }
            };
            plain.number(v < 0.0, text, "", &mut p.out);
        }
        _ => return false,
    }
    true
}

/// `1.500000e+00`
fn exponent(v: f64, precision: usize) -> String {
    let t = format!("{v:.precision$e}");
    match t.split_once('e') {
        Some((m, e)) => {
            let (sign, digits) = match e.strip_prefix('-') {
                Some(d) => ('-', d),
                None => ('+', e),
            };
            format!("{m}e{sign}{digits:0>2}")
        }
        None => t,
    }
}

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    let Some(f) = cx.args.first() else {
        return Ok(cx.usage());
    };
    let r = format(f, cx.args.get(1..).unwrap_or_default());
    let code = i32::from(!r.errors.is_empty());
    for e in &r.errors {
        cx.err(e);
    }
    cx.out.put(1, &r.out);
    Ok(code)
}
