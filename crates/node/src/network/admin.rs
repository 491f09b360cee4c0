//! The tools of network administration over [`net::Net`]: `ip`, `iptables`, `ss`, `netstat`, `conntrack`, `bridge` and
//! the old ones (`ifconfig`, `route`, `arp`, `brctl`). Models: iproute2, iptables 1.8, conntrack-tools, busybox.

use super::errno;
use core::fmt::Write as _;
use net::{Cidr, CtFilter, DeviceKind, Net, NsId, RestoreOptions, Route, TableName};
use std::net::IpAddr;

type Answer = (String, String, i32);

fn ok(out: String) -> Answer {
    (out, String::new(), 0)
}

fn fail(err: impl Into<String>, code: i32) -> Answer {
    (String::new(), err.into(), code)
}

/// Runs a tool.
pub(super) fn run(net: &mut Net, ns: NsId, tool: &str, args: &[String], stdin: &str) -> Answer {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match tool {
        "iptables" => {
            let o = net.iptables(ns, &args);
            (o.stdout, o.stderr, o.code)
        }
        "iptables-save" => save(net, ns, &args),
        "iptables-restore" => restore(net, ns, &args, stdin),
        "ip" => ip(net, ns, &args),
        "ss" => ss(net, ns, &args),
        "netstat" => netstat(net, ns, &args),
        "conntrack" => conntrack(net, ns, &args),
        "bridge" if args.first() == Some(&"fdb") => ok(net.bridge_fdb(ns)),
        "bridge" => ok(String::new()),
        "ifconfig" => ok(ifconfig(net, ns, &args)),
        "route" => ok(route(net, ns)),
        "arp" => ok(net.ip_neigh(ns)),
        "brctl" => ok(brctl(net, ns)),
        t => fail(format!("{t}: not modelled\n"), 1),
    }
}

fn value<'a>(args: &[&'a str], names: &[&str]) -> Option<&'a str> {
    let i = args.iter().position(|a| names.contains(a))?;
    args.get(i + 1).copied()
}

fn table(s: &str) -> Option<TableName> {
    Some(match s {
        "raw" => TableName::Raw,
        "mangle" => TableName::Mangle,
        "nat" => TableName::Nat,
        "filter" => TableName::Filter,
        _ => return None,
    })
}

fn save(net: &Net, ns: NsId, args: &[&str]) -> Answer {
    let t = match value(args, &["-t", "--table"]) {
        None => None,
        Some(t) => match table(t) {
            Some(t) => Some(t),
            None => {
                return fail(format!("iptables-save v1.8.9 (nf_tables): table `{t}' does not exist\n"), 1);
            }
        },
    };
    ok(net.iptables_save_with(ns, t, args.iter().any(|a| *a == "-c" || *a == "--counters"), ""))
}

fn restore(net: &mut Net, ns: NsId, args: &[&str], stdin: &str) -> Answer {
    let has = |s: &str, l: &str| args.iter().any(|a| *a == s || *a == l);
    let options = RestoreOptions {
        noflush: has("-n", "--noflush"),
        counters: has("-c", "--counters"),
        test: has("-t", "--test"),
        table: value(args, &["-T", "--table"]).and_then(table),
    };
    match net.iptables_restore_with(ns, stdin, options) {
        Ok(out) => ok(out),
        Err(e) => fail(format!("{}\n", e.text.trim_end()), e.code),
    }
}

// ip

fn ip(net: &mut Net, ns: NsId, args: &[&str]) -> Answer {
    let flags: Vec<&str> = args.iter().take_while(|a| a.starts_with('-')).copied().collect();
    let rest = args.get(flags.len()..).unwrap_or_default();
    let brief = flags.iter().any(|f| *f == "-br" || *f == "-brief");
    let Some(object) = rest.first() else {
        return fail("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n", 255);
    };
    let cmd = rest.get(1).copied().unwrap_or("show");
    let tail = rest.get(2..).unwrap_or_default();
    let is = |long: &str| !object.is_empty() && long.starts_with(object);
    if is("address") {
        address(net, ns, cmd, tail, rest.get(1..).unwrap_or_default(), brief)
    } else if is("link") {
        link(net, ns, cmd, tail, rest.get(1..).unwrap_or_default(), brief)
    } else if is("route") {
        ip_route(net, ns, cmd, tail)
    } else if is("neighbour") || is("neighbor") || *object == "neigh" {
        ok(net.ip_neigh(ns))
    } else if is("netns") {
        let mut s = String::new();
        for (id, name) in net.namespaces() {
            let _ = writeln!(s, "{name} (id: {})", id.0);
        }
        ok(s)
    } else if is("rule") {
        ok("0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
            .into())
    } else {
        fail(format!("Object \"{object}\" is unknown, try \"ip help\".\n"), 1)
    }
}

fn shows(cmd: &str) -> bool {
    matches!(cmd, "show" | "s" | "sh" | "list" | "ls" | "l" | "lst" | "dev" | "up")
}

/// The device that a `show` is limited to.
fn wanted<'a>(words: &[&'a str]) -> Option<&'a str> {
    value(words, &["dev"])
        .or_else(|| words.iter().find(|w| !shows(w) && **w != "up" && **w != "dev").copied())
}

/// The blocks of `ip addr` or `ip link` that belong to one device.
fn only(text: &str, dev: &str) -> Option<String> {
    let mut out = String::new();
    let mut on = false;
    for l in text.lines() {
        if !l.starts_with(' ') {
            let name = l.split(": ").nth(1).unwrap_or_default();
            on = name.split('@').next() == Some(dev);
        }
        if on {
            out.push_str(l);
            out.push('\n');
        }
    }
    (!out.is_empty()).then_some(out)
}

fn brief_text(net: &Net, ns: NsId, addrs: bool) -> String {
    let mut s = String::new();
    for d in net.devices(ns) {
        let state = match (d.up, d.carrier, &d.kind) {
            (_, _, DeviceKind::Loopback) => "UNKNOWN",
            (true, true, _) => "UP",
            _ => "DOWN",
        };
        let name = match d.kind {
            DeviceKind::Veth { peer, .. } => format!("{}@if{}", d.name, peer),
            _ => d.name.to_string(),
        };
        let tail = if addrs {
            d.addrs.iter().map(|a| format!("{}/{} ", a.cidr.addr, a.cidr.len)).collect::<String>()
        } else {
            format!("{} ", d.mac)
        };
        let _ = writeln!(s, "{name:<16} {state:<14} {tail}");
    }
    s
}

fn missing(dev: &str) -> Answer {
    fail(format!("Device \"{dev}\" does not exist.\n"), 1)
}

fn rtnetlink(e: net::Errno) -> Answer {
    let text = match e {
        net::Errno::EEXIST => "File exists".to_string(),
        e => errno(e).text().to_string(),
    };
    fail(format!("RTNETLINK answers: {text}\n"), 2)
}

fn show(text: String, words: &[&str]) -> Answer {
    match wanted(words) {
        None => ok(text),
        Some(d) => only(&text, d).map_or_else(|| missing(d), ok),
    }
}

fn cidr(s: &str) -> Option<Cidr> {
    match s.split_once('/') {
        Some((a, l)) => Some(Cidr::new(a.parse().ok()?, l.parse().ok()?)),
        None => s.parse::<IpAddr>().ok().map(Cidr::host),
    }
}

fn address(net: &mut Net, ns: NsId, cmd: &str, tail: &[&str], words: &[&str], brief: bool) -> Answer {
    if brief {
        return ok(brief_text(net, ns, true));
    }
    if !matches!(cmd, "add" | "a" | "del" | "d" | "delete" | "flush") {
        return show(net.ip_addr(ns), words);
    }
    let Some(dev) = value(tail, &["dev"]) else {
        return fail("Not enough information: \"dev\" argument is required.\n", 255);
    };
    let Ok(i) = net.device(ns, dev) else { return fail(format!("Cannot find device \"{dev}\"\n"), 1) };
    if cmd == "flush" {
        for a in net.addrs(ns).into_iter().filter(|a| a.dev == i) {
            let _ = net.del_addr(ns, i, a.cidr);
        }
        return ok(String::new());
    }
    let Some(c) = tail.first().and_then(|a| cidr(a)) else {
        let a = tail.first().copied().unwrap_or_default();
        return fail(format!("Error: any valid prefix is expected rather than \"{a}\".\n"), 1);
    };
    let r = if cmd.starts_with('a') { net.add_addr(ns, i, c) } else { net.del_addr(ns, i, c) };
    match r {
        Ok(()) => ok(String::new()),
        Err(e) => rtnetlink(e),
    }
}

fn link(net: &mut Net, ns: NsId, cmd: &str, tail: &[&str], words: &[&str], brief: bool) -> Answer {
    if brief {
        return ok(brief_text(net, ns, false));
    }
    match cmd {
        "add" | "a" => {
            let name =
                value(tail, &["name"]).or(tail.first().filter(|n| **n != "type" && **n != "name").copied());
            let (Some(name), Some(kind)) = (name, value(tail, &["type"])) else {
                return fail("Not enough information: \"type\" argument is required\n", 255);
            };
            let r = match kind {
                "bridge" => net.add_bridge(ns, name).map(|_| ()),
                "dummy" => net.add_dummy(ns, name).map(|_| ()),
                "veth" => {
                    let p = tail
                        .iter()
                        .position(|a| *a == "peer")
                        .and_then(|i| tail.get(i + 1..))
                        .unwrap_or_default();
                    let peer = value(p, &["name"]).or(p.first().copied()).unwrap_or("veth1");
                    net.add_veth(ns, name, ns, peer).map(|_| ())
                }
                k => return fail(format!("Error: Unknown device type \"{k}\".\n"), 2),
            };
            r.map_or_else(rtnetlink, |()| ok(String::new()))
        }
        "del" | "d" | "delete" => {
            let name = value(tail, &["dev"]).or(tail.first().copied()).unwrap_or_default();
            match net.device(ns, name) {
                Ok(i) => net.remove_device(ns, i).map_or_else(rtnetlink, |()| ok(String::new())),
                Err(_) => fail(format!("Cannot find device \"{name}\"\n"), 1),
            }
        }
        "set" | "s" if !tail.is_empty() => {
            let name = value(tail, &["dev"]).or(tail.first().copied()).unwrap_or_default();
            let Ok(i) = net.device(ns, name) else {
                return fail(format!("Cannot find device \"{name}\"\n"), 1);
            };
            let mut r = Ok(());
            if tail.contains(&"up") {
                r = r.and(net.set_up(ns, i, true));
            }
            if tail.contains(&"down") {
                r = r.and(net.set_up(ns, i, false));
            }
            if let Some(m) = value(tail, &["mtu"]).and_then(|m| m.parse().ok()) {
                r = r.and(net.set_mtu(ns, i, m));
            }
            if let Some(n) = value(tail, &["name"]) {
                r = r.and(net.rename_device(ns, i, n));
            }
            if let Some(m) = value(tail, &["master"]) {
                r = r.and(net.device(ns, m).and_then(|b| net.set_master(ns, i, Some(b))));
            }
            if tail.contains(&"nomaster") {
                r = r.and(net.set_master(ns, i, None));
            }
            r.map_or_else(rtnetlink, |()| ok(String::new()))
        }
        _ => show(net.ip_link(ns), words),
    }
}

fn destination(s: &str) -> Option<Cidr> {
    if s == "default" { Some(Cidr::ANY4) } else { cidr(s) }
}

fn ip_route(net: &mut Net, ns: NsId, cmd: &str, tail: &[&str]) -> Answer {
    match cmd {
        "get" => {
            let a = tail.first().copied().unwrap_or_default();
            match a.parse::<IpAddr>() {
                Ok(ip) => match net.ip_route_get(ns, ip) {
                    Ok(t) => ok(t),
                    Err(e) => rtnetlink(e),
                },
                Err(_) => fail(format!("Error: any valid prefix is expected rather than \"{a}\".\n"), 1),
            }
        }
        "add" | "a" | "replace" | "del" | "delete" | "d" => {
            let words: Vec<&str> = tail.to_vec();
            let kinds = ["blackhole", "unreachable", "prohibit"];
            let at = usize::from(words.first().is_some_and(|w| kinds.contains(w)));
            let Some(dst) = words.get(at).and_then(|d| destination(d)) else {
                let a = words.get(at).copied().unwrap_or_default();
                return fail(format!("Error: any valid prefix is expected rather than \"{a}\".\n"), 1);
            };
            if cmd.starts_with('d') {
                return match net.del_route(ns, dst) {
                    Ok(()) => ok(String::new()),
                    Err(_) => fail("RTNETLINK answers: No such process\n", 2),
                };
            }
            let via = value(&words, &["via"]).and_then(|v| v.parse::<IpAddr>().ok());
            let dev = match value(&words, &["dev"]) {
                Some(d) => match net.device(ns, d) {
                    Ok(i) => Some(i),
                    Err(_) => return fail(format!("Cannot find device \"{d}\"\n"), 1),
                },
                None => via.and_then(|v| net.device_towards(ns, v)),
            };
            let mut r = match (via, dev) {
                (Some(v), Some(d)) => Route::via(dst, v, d),
                (None, Some(d)) => Route::dev(dst, d),
                (Some(_), None) => return fail("Error: Nexthop has invalid gateway.\n", 2),
                (None, None) if at == 1 => Route::dev(dst, 0),
                (None, None) => return fail("RTNETLINK answers: No such device\n", 2),
            };
            if at == 1 {
                r.kind = match words.first() {
                    Some(&"blackhole") => net::RouteKind::Blackhole,
                    Some(&"prohibit") => net::RouteKind::Prohibit,
                    _ => net::RouteKind::Unreachable,
                };
            }
            r.src = value(&words, &["src"]).and_then(|v| v.parse().ok());
            r.metric = value(&words, &["metric"]).and_then(|v| v.parse().ok()).unwrap_or(0);
            r.onlink = words.contains(&"onlink");
            let done = if cmd == "replace" { net.replace_route(ns, r) } else { net.add_route(ns, r) };
            done.map_or_else(rtnetlink, |()| ok(String::new()))
        }
        _ => {
            let text = net.ip_route(ns);
            let mut words: Vec<&str> = tail.to_vec();
            if !shows(cmd) {
                words.insert(0, cmd);
            }
            let dev = value(&words, &["dev"]);
            let dst = words.iter().find(|w| destination(w).is_some()).copied();
            let keep = |l: &&str| {
                dev.is_none_or(|d| l.contains(&format!("dev {d} ")))
                    && dst.is_none_or(|d| l.split(' ').next() == Some(d))
            };
            ok(text.lines().filter(keep).map(|l| format!("{l}\n")).collect())
        }
    }
}

// Sockets.

fn ss(net: &Net, ns: NsId, args: &[&str]) -> Answer {
    let has = |c: char| args.iter().any(|a| a.starts_with('-') && !a.starts_with("--") && a.contains(c));
    let (tcp, udp) = (has('t'), has('u'));
    let both = !tcp && !udp;
    let mut out = String::from(if both {
        "Netid State      Recv-Q Send-Q Local Address:Port  Peer Address:Port\n"
    } else {
        "State      Recv-Q Send-Q Local Address:Port  Peer Address:Port\n"
    });
    for s in net.sockets(ns) {
        let listens = matches!(s.state, "LISTEN" | "UNCONN");
        if !(has('a') || if has('l') { listens } else { !listens }) {
            continue;
        }
        if !(both || tcp && s.netid == "tcp" || udp && s.netid == "udp") {
            continue;
        }
        let end = |a: std::net::SocketAddr| match a.port() {
            0 => format!("{}:*", a.ip()),
            p => format!("{}:{p}", a.ip()),
        };
        let netid = if both { format!("{:<5} ", s.netid) } else { String::new() };
        let _ = writeln!(
            out,
            "{netid}{:<10} {:<6} {:<6} {:<19} {}",
            s.state,
            s.recv_q,
            s.send_q,
            end(s.local),
            end(s.remote)
        );
    }
    ok(out)
}

fn netstat(net: &Net, ns: NsId, args: &[&str]) -> Answer {
    let has = |c: char| args.iter().any(|a| a.starts_with('-') && a.contains(c));
    if has('r') {
        return ok(route(net, ns));
    }
    let what = if has('l') {
        "(only servers)"
    } else if has('a') {
        "(servers and established)"
    } else {
        "(w/o servers)"
    };
    let mut out = format!(
        "Active Internet connections {what}\nProto Recv-Q Send-Q Local Address           Foreign Address         State       \n"
    );
    for s in net.sockets(ns) {
        let listens = matches!(s.state, "LISTEN" | "UNCONN");
        let shown = has('a') || if has('l') { listens } else { !listens };
        let kind = !(has('t') || has('u')) || has('t') && s.netid == "tcp" || has('u') && s.netid == "udp";
        if !shown || !kind || s.netid == "icmp" {
            continue;
        }
        let end = |a: std::net::SocketAddr| match a.port() {
            0 => format!("{}:*", a.ip()),
            p => format!("{}:{p}", a.ip()),
        };
        let state = match s.state {
            "ESTAB" => "ESTABLISHED",
            "UNCONN" => "",
            s => s,
        };
        let _ = writeln!(
            out,
            "{:<5} {:>6} {:>6} {:<23} {:<23} {:<12}",
            s.netid,
            s.recv_q,
            s.send_q,
            end(s.local),
            end(s.remote),
            state
        );
    }
    ok(out)
}

fn conntrack(net: &mut Net, ns: NsId, args: &[&str]) -> Answer {
    let num = |n: &[&str]| value(args, n).and_then(|v| v.parse().ok());
    let addr = |n: &[&str]| value(args, n).and_then(|v| v.parse().ok());
    let f = CtFilter {
        proto: value(args, &["-p", "--proto"]).and_then(|p| match p {
            "tcp" => Some(6),
            "udp" => Some(17),
            "icmp" => Some(1),
            p => p.parse().ok(),
        }),
        orig_src: addr(&["-s", "--src", "--orig-src"]),
        orig_dst: addr(&["-d", "--dst", "--orig-dst"]),
        reply_src: addr(&["-r", "--reply-src"]),
        reply_dst: addr(&["-q", "--reply-dst"]),
        orig_sport: num(&["--sport", "--orig-port-src"]),
        orig_dport: num(&["--dport", "--orig-port-dst"]),
        reply_sport: num(&["--reply-port-src"]),
    };
    let has = |a: &str, b: &str| args.contains(&a) || args.contains(&b);
    if has("-D", "--delete") || has("-F", "--flush") {
        let gone = net.conntrack_delete(ns, &f);
        let text: String = gone.iter().map(|c| format!("{}\n", c.line(net.now()))).collect();
        let n = gone.len();
        if has("-F", "--flush") {
            return (
                String::new(),
                "conntrack v1.4.7 (conntrack-tools): connection tracking table has been emptied.\n".into(),
                0,
            );
        }
        return (
            text,
            format!("conntrack v1.4.7 (conntrack-tools): {n} flow entries have been deleted.\n"),
            i32::from(n == 0),
        );
    }
    if has("-C", "--count") {
        return ok(format!("{}\n", net.conntrack(ns).len()));
    }
    let text = net.conntrack_list(ns, &f);
    let n = text.lines().count();
    (text, format!("conntrack v1.4.7 (conntrack-tools): {n} flow entries have been shown.\n"), 0)
}

// The old tools.

fn dotted(len: u8) -> std::net::Ipv4Addr {
    let bits = if len == 0 { 0 } else { u32::MAX << (32 - u32::from(len.min(32))) };
    bits.into()
}

fn ifconfig(net: &Net, ns: NsId, args: &[&str]) -> String {
    let mut out = String::new();
    for d in net.devices(ns) {
        if args.first().is_some_and(|a| !a.starts_with('-') && *a != d.name) || !d.up && !args.contains(&"-a")
        {
            continue;
        }
        let encap = if d.kind == DeviceKind::Loopback {
            "Link encap:Local Loopback  ".to_string()
        } else {
            format!("Link encap:Ethernet  HWaddr {}  ", d.mac.to_string().to_uppercase())
        };
        let _ = writeln!(out, "{:<9} {encap}", d.name);
        for a in d.addrs.iter().take(1) {
            let bcast = a.broadcast.map_or_else(String::new, |b| format!("  Bcast:{b}"));
            let _ = writeln!(out, "          inet addr:{}{bcast}  Mask:{}", a.cidr.addr, dotted(a.cidr.len));
        }
        let flags = if d.kind == DeviceKind::Loopback {
            "UP LOOPBACK RUNNING"
        } else {
            "UP BROADCAST RUNNING MULTICAST"
        };
        let s = &d.stats;
        let _ = writeln!(out, "          {flags}  MTU:{}  Metric:1", d.mtu);
        let _ = writeln!(out, "          RX packets:{} errors:0 dropped:0 overruns:0 frame:0", s.rx_packets);
        let _ =
            writeln!(out, "          TX packets:{} errors:0 dropped:0 overruns:0 carrier:0", s.tx_packets);
        let _ = writeln!(out, "          collisions:0 txqueuelen:1000 ");
        let _ = writeln!(
            out,
            "          RX bytes:{} ({} B)  TX bytes:{} ({} B)\n",
            s.rx_bytes, s.rx_bytes, s.tx_bytes, s.tx_bytes
        );
    }
    out
}

fn route(net: &Net, ns: NsId) -> String {
    let mut out = String::from(
        "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n",
    );
    let devices = net.devices(ns);
    for r in net.routes(ns) {
        let dev =
            devices.iter().find(|d| d.index == r.dev).map_or_else(|| "*".to_string(), |d| d.name.to_string());
        let gw = r.via.map_or_else(|| "0.0.0.0".to_string(), |v| v.to_string());
        let flags = match (r.via.is_some(), r.dst.is_host()) {
            (true, true) => "UGH",
            (true, false) => "UG",
            (false, true) => "UH",
            (false, false) => "U",
        };
        let _ = writeln!(
            out,
            "{:<15} {gw:<15} {:<15} {flags:<5} {:<6} 0        0 {dev}",
            r.dst.addr.to_string(),
            dotted(r.dst.len).to_string(),
            r.metric
        );
    }
    out
}

fn brctl(net: &Net, ns: NsId) -> String {
    let mut out = String::from("bridge name\tbridge id\t\tSTP enabled\tinterfaces\n");
    let devices = net.devices(ns);
    for b in devices.iter().filter(|d| d.kind == DeviceKind::Bridge) {
        let id = b.mac.to_string().replace(':', "");
        let ports: Vec<&str> =
            devices.iter().filter(|d| d.master == Some(b.index)).map(|d| d.name.as_str()).collect();
        let _ = writeln!(out, "{}\t\t8000.{id}\tno\t\t{}", b.name, ports.join("\n\t\t\t\t\t\t\t"));
    }
    out
}
