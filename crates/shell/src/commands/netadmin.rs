//! Network administration: `ip`, `iptables`, `ss`, `conntrack` and their kin ask the kernel, which answers as the tool
//! would; and an HTTP server, `httpd`.

use super::once::{Cx, Ran};

/// Whether a tool reads rules from standard input.
fn reads_input(name: &str, args: &[String]) -> bool {
    name.ends_with("-restore") && args.iter().all(|a| a.starts_with('-'))
}

/// Any tool whose work the kernel does.
pub fn run(cx: &mut Cx) -> Ran {
    let mut stdin = String::new();
    let mut args = cx.args.to_vec();
    if reads_input(cx.name, cx.args) {
        stdin = String::from_utf8_lossy(&cx.stdin()?).into_owned();
    } else if cx.name.ends_with("-restore")
        && let Some(i) = args.iter().position(|a| !a.starts_with('-'))
    {
        // The rules' file is read here: the kernel does not know the caller's files.
        let f = args.remove(i);
        match crate::io::read_text(cx.sys, &f) {
            Ok(t) => stdin = t,
            Err(_) => {
                cx.out.err(&format!("Can't open {f}: {}\n", crate::Errno::ENOENT));
                return Ok(1);
            }
        }
    }
    let (out, err, code) = cx.sys.net_admin(cx.name, &args, &stdin);
    cx.out.err(&err);
    cx.say(&out);
    Ok(code)
}
