//! `ip`, `iptables`, `ss` and `conntrack`: the tools' words over the network model.

use net::{CtFilter, Net, NsId, TableName};
use std::net::IpAddr;

type Answer = (String, String, i32);

fn ok(s: String) -> Answer {
    (s, String::new(), 0)
}

fn fail(s: String, code: i32) -> Answer {
    (String::new(), s, code)
}

/// Runs a tool in a namespace.
pub(super) fn run(net: &mut Net, ns: NsId, tool: &str, args: &[String], stdin: &str) -> Answer {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match tool.rsplit('/').next().unwrap_or(tool) {
        "iptables" | "iptables-nft" | "iptables-legacy" => {
            let out = net.iptables(ns, &args);
            (out.stdout, out.stderr, out.code)
        }
        "iptables-save" => save(net, ns, &args),
        "iptables-restore" => {
            let noflush = args.iter().any(|a| matches!(*a, "-n" | "--noflush"));
            let counters = args.iter().any(|a| matches!(*a, "-c" | "--counters"));
            match net.iptables_restore(ns, stdin, noflush, counters) {
                Ok(()) => ok(String::new()),
                Err(e) => fail(format!("{e}\n"), 2),
            }
        }
        "ip" => ip(net, ns, &args),
        "bridge" if args.first().is_some_and(|a| "fdb".starts_with(a)) => ok(net.bridge_fdb(ns)),
        "ss" | "netstat" => ok(sockets(net, ns, tool, &args)),
        "conntrack" => conntrack(net, ns, &args),
        other => fail(format!("{other}: not found\n"), 127),
    }
}

fn save(net: &Net, ns: NsId, args: &[&str]) -> Answer {
    let table = args.iter().position(|a| matches!(*a, "-t" | "--table")).and_then(|i| args.get(i + 1));
    let table = match table {
        None => None,
        Some(t) => match [TableName::Raw, TableName::Mangle, TableName::Nat, TableName::Filter].into_iter().find(|n| n.name() == *t) {
            Some(t) => Some(t),
            None => return fail(format!("iptables-save: Unknown table `{t}'\n"), 1),
        },
    };
    ok(net.iptables_save(ns, table))
}

fn ip(net: &Net, ns: NsId, args: &[&str]) -> Answer {
    let words: Vec<&str> = args.iter().copied().filter(|a| !a.starts_with('-')).collect();
    let is = |w: Option<&&str>, full: &str| w.is_some_and(|w| !w.is_empty() && full.starts_with(*w));
    let verb = words.get(1);
    let shows = verb.is_none() || is(verb, "show") || is(verb, "list") || *verb.unwrap_or(&"") == "dev";
    let dev = words.iter().position(|w| *w == "dev").and_then(|i| words.get(i + 1)).copied();
    let only = |text: String| match dev.or_else(|| words.get(2).copied().filter(|_| is(words.first(), "address"))) {
        Some(d) => device_part(&text, d),
        None => text,
    };
    if is(words.first(), "route") && is(verb, "get") {
        let Some(dst) = words.get(2).and_then(|d| d.parse::<IpAddr>().ok()) else {
            return fail("Error: need at least a destination address.\n".into(), 1);
        };
        return match net.ip_route_get(ns, dst) {
            Ok(s) => ok(s),
            Err(e) => fail(format!("RTNETLINK answers: {e}\n"), 2),
        };
    }
    match words.first() {
        None => fail("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n".into(), 255),
        w if is(w, "address") && shows => ok(only(net.ip_addr(ns))),
        w if is(w, "link") && shows => ok(only(net.ip_link(ns))),
        w if is(w, "route") && shows => ok(net.ip_route(ns)),
        w if is(w, "neighbour") && shows => ok(net.ip_neigh(ns)),
        Some(o) if ["address", "link", "route", "neighbour"].iter().any(|x| x.starts_with(o)) => {
            fail("RTNETLINK answers: Operation not permitted\n".into(), 2)
        }
        Some(o) => fail(format!("Object \"{o}\" is unknown, try \"ip help\".\n"), 1),
    }
}

/// The lines of one device, whose first begins with its index.
fn device_part(text: &str, device: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with(' ') {
            let name = line.split(": ").nth(1).unwrap_or("");
            inside = name.split('@').next() == Some(device);
        }
        if inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    if out.is_empty() { format!("Device \"{device}\" does not exist.\n") } else { out }
}

fn sockets(net: &Net, ns: NsId, tool: &str, args: &[&str]) -> String {
    let flags: String = args.iter().filter(|a| a.starts_with('-')).flat_map(|a| a.chars()).collect();
    let (tcp, udp) = (flags.contains('t'), flags.contains('u'));
    let (listening, all) = (flags.contains('l'), flags.contains('a'));
    let mut out = match tool {
        "netstat" => "Active Internet connections\nProto Recv-Q Send-Q Local Address           Foreign Address         State\n".to_owned(),
        _ => "Netid  State   Recv-Q  Send-Q   Local Address:Port    Peer Address:Port\n".to_owned(),
    };
    for s in net.sockets(ns) {
        let wanted = (!tcp && !udp) || (tcp && s.netid == "tcp") || (udp && s.netid == "udp");
        let open = matches!(s.state, "LISTEN" | "UNCONN");
        if !wanted || (listening && !open) || (!listening && !all && open) {
            continue;
        }
        let remote = if s.remote.port() == 0 { "0.0.0.0:*".to_owned() } else { s.remote.to_string() };
        out += &match tool {
            "netstat" => format!(
                "{:<5} {:>6} {:>6} {:<23} {:<23} {}\n",
                s.netid, s.recv_q, s.send_q, s.local.to_string(), remote, s.state
            ),
            _ => format!(
                "{:<6} {:<8}{:<8}{:<8}{:>17}{:>21}\n",
                s.netid, s.state, s.recv_q, s.send_q, s.local.to_string(), remote
            ),
        };
    }
    out
}

fn conntrack(net: &mut Net, ns: NsId, args: &[&str]) -> Answer {
    match args.first() {
        Some(&"-L" | &"--dump") => {
            let text = net.conntrack_list(ns, &CtFilter::default());
            let n = text.lines().count();
            (text, format!("conntrack v1.4.7 (conntrack-tools): {n} flow entries have been shown.\n"), 0)
        }
        Some(&"-F" | &"--flush") => {
            net.conntrack_delete(ns, &CtFilter::default());
            (String::new(), "conntrack v1.4.7 (conntrack-tools): connection tracking table has been emptied.\n".into(), 0)
        }
        Some(&"-C" | &"--count") => ok(format!("{}\n", net.conntrack(ns).len())),
        _ => fail("conntrack v1.4.7 (conntrack-tools): -L, -F and -C are known here\n".into(), 2),
    }
}
