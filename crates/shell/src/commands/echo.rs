//! `echo`

use super::once::{Cx, Ran};
use crate::text::{Escapes, unescape};

/// What `echo` prints for its arguments.
pub fn format(args: &[String]) -> Vec<u8> {
    let (mut newline, mut escapes, mut at) = (true, false, 0);
    while let Some(f) = args.get(at).and_then(|a| a.strip_prefix('-')) {
        if f.is_empty() || !f.chars().all(|c| matches!(c, 'n' | 'e' | 'E')) {
            break;
        }
        for c in f.chars() {
            match c {
                'n' => newline = false,
                e => escapes = e == 'e',
            }
        }
        at += 1;
    }
    let text = args.get(at..).unwrap_or_default().join(" ");
    let mut out = text.clone().into_bytes();
    if escapes {
        let (o, end) = unescape(&text, Escapes::Echo);
        out = o;
        newline &= !end;
    }
    if newline {
        out.push(b'\n');
    }
    out
}

/// The command.
pub fn run(cx: &mut Cx) -> Ran {
    cx.out.put(1, &format(cx.args));
    Ok(0)
}
