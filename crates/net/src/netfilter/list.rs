//! `iptables -L`, `iptables -S` and the body of `iptables-save`.

use super::names;
use super::names::port_name as port;
use super::parse::Command;
use super::print::{self, mark_text, nat_text, range_text};
use super::rule::*;
use super::table::{Chain, Table};
use core::fmt::Write;
use core::net::Ipv4Addr;

/// The lines between the comments of iptables-save.
pub(crate) fn save(t: &Table, counters: bool, out: &mut String) {
    let _ = writeln!(out, "*{}", t.name.name());
    let chains = t.listed();
    for id in &chains {
        let Some(c) = t.chain(*id) else { continue };
        let policy = if c.hook.is_none() { "-" } else { policy(c) };
        // Counters of user chains do not exist; those of builtin chains are shown only if asked for.
        let k = c.counters;
        let _ = writeln!(out, ":{} {policy} [{}:{}]", c.name, k.packets, k.bytes);
    }
    for id in &chains {
        let Some(c) = t.chain(*id) else { continue };
        for (r, cell) in c.rules.iter().zip(c.cells.iter()) {
            if counters {
                let _ = write!(out, "[{}:{}] ", cell.counters.packets, cell.counters.bytes);
            }
            let _ = write!(out, "-A {}", c.name);
            r.save(out, None);
            out.push('\n');
        }
    }
    out.push_str("COMMIT\n");
}

fn policy(c: &Chain) -> &'static str {
    if c.drop { "DROP" } else { "ACCEPT" }
}

/// `iptables -S`
pub(crate) fn rules(t: &Table, cmd: &Command, only: Option<ChainId>, number: u32, out: &mut String) {
    let ids = only.map_or_else(|| t.listed(), |id| vec![id]);
    for id in ids.iter().filter(|_| number == 0) {
        let Some(c) = t.chain(*id) else { continue };
        if c.hook.is_none() {
            let _ = write!(out, "-N {}", c.name);
        } else {
            let _ = write!(out, "-P {} {}", c.name, policy(c));
            if cmd.verbose {
                let _ = write!(out, " -c {} {}", c.counters.packets, c.counters.bytes);
            }
        }
        out.push('\n');
    }
    for id in ids {
        let Some(c) = t.chain(id) else { continue };
        for (i, (r, cell)) in c.rules.iter().zip(c.cells.iter()).enumerate() {
            if number == 0 || i + 1 == number as usize {
                let _ = write!(out, "-A {}", c.name);
                r.save(out, cmd.verbose.then_some(cell.counters));
                out.push('\n');
            }
        }
    }
}

/// A counter in at most five places: `99999`, then `100K`.
fn short(n: u64, exact: bool) -> String {
    if exact {
        return format!("{n:>8} ");
    }
    if n <= 99_999 {
        return format!("{n:>5} ");
    }
    let (mut v, mut unit) = ((n + 500) / 1000, 'K');
    for next in ['M', 'G', 'T'] {
        if v <= 9_999 {
            break;
        }
        (v, unit) = ((v + 500) / 1000, next);
    }
    format!("{v:>4}{unit} ")
}

/// `iptables -L`
pub(crate) fn list(t: &Table, cmd: &Command, only: Option<ChainId>, number: u32, out: &mut String) {
    let ids = only.map_or_else(|| t.listed(), |id| vec![id]);
    for (n, id) in ids.iter().enumerate() {
        let Some(c) = t.chain(*id) else { continue };
        if number == 0 {
            if n > 0 {
                out.push('\n');
            }
            header(c, cmd, out);
        }
        for (i, (r, cell)) in c.rules.iter().zip(c.cells.iter()).enumerate() {
            if number == 0 || i + 1 == number as usize {
                line(r, cell.counters, i + 1, cmd, out);
            }
        }
    }
}

fn header(c: &Chain, cmd: &Command, out: &mut String) {
    let _ = write!(out, "Chain {} (", c.name);
    if c.hook.is_some() {
        let _ = write!(out, "policy {}", policy(c));
        if cmd.verbose {
            let (p, b) = (short(c.counters.packets, cmd.exact), short(c.counters.bytes, cmd.exact));
            let _ = write!(out, " {} packets, {} bytes", p.trim(), b.trim());
        }
    } else {
        let _ = write!(out, "{} references", c.references);
    }
    out.push_str(")\n");
    if cmd.line_numbers {
        out.push_str("num  ");
    }
    if cmd.verbose {
        out.push_str(if cmd.exact { "    pkts      bytes " } else { " pkts bytes " });
    }
    out.push_str("target     prot opt ");
    if cmd.verbose {
        out.push_str("in     out     ");
    }
    out.push_str("source               destination         \n");
}

fn address(a: Option<AddrMatch>, numeric: bool) -> String {
    match a {
        None if numeric => " 0.0.0.0/0".into(),
        None => " anywhere".into(),
        Some(a) => {
            let s = if a.mask == u32::MAX { Ipv4Addr::from_bits(a.addr).to_string() } else { a.to_string() };
            format!("{}{s}", if a.not { '!' } else { ' ' })
        }
    }
}

fn iface(i: &Option<IfMatch>, numeric: bool) -> String {
    match i {
        None => if numeric { "*" } else { "any" }.into(),
        Some(i) => format!("{}{}", if i.not { "!" } else { "" }, i.name),
    }
}

fn line(r: &Rule, k: Counters, number: usize, cmd: &Command, out: &mut String) {
    if cmd.line_numbers {
        let _ = write!(out, "{number:<4} ");
    }
    if cmd.verbose {
        out.push_str(&short(k.packets, cmd.exact));
        if cmd.exact {
            let _ = write!(out, "{:>8} ", k.bytes);
        } else {
            out.push_str(&short(k.bytes, false));
        }
    }
    let (p, not) = r.proto.unwrap_or((0, false));
    let proto = if cmd.numeric { p.to_string() } else { names::protocol_name(p) };
    let _ = write!(out, "{:<9} {}{proto:<4} ", r.target.name(), if not { '!' } else { ' ' });
    out.push_str(match r.fragment {
        None => "-- ",
        Some(false) => "-f ",
        Some(true) => "!f ",
    });
    if cmd.verbose {
        let _ = write!(out, " {:<6} {:<6} ", iface(&r.iif, cmd.numeric), iface(&r.oif, cmd.numeric));
    }
    let (s, d) = (address(r.src, cmd.numeric), address(r.dst, cmd.numeric));
    let _ = write!(out, "{s:<20} {d:<20} ");
    if matches!(r.target, Target::Goto(..)) {
        out.push_str("[goto] ");
    }
    for m in &r.matches {
        matched(m, p, cmd.numeric, out);
    }
    target(&r.target, cmd.numeric, out);
    out.push('\n');
}

fn bang(not: bool) -> &'static str {
    if not { "!" } else { "" }
}

fn bang_blank(not: bool) -> &'static str {
    if not { "! " } else { "" }
}

fn ports(name: &str, p: &Ports, proto: u8, numeric: bool, out: &mut String) {
    if p.is_any() {
        return;
    }
    if p.lo == p.hi {
        let _ = write!(out, " {name}:{}{}", bang(p.not), port(p.lo, proto, numeric));
    } else {
        let (a, b) = (port(p.lo, proto, numeric), port(p.hi, proto, numeric));
        let _ = write!(out, " {name}s:{}{a}:{b}", bang(p.not));
    }
}

fn matched(m: &Match, proto: u8, numeric: bool, out: &mut String) {
    let _ = match m {
        Match::Comment(c) => write!(out, " /* {c} */"),
        Match::Tcp { sport, dport, flags, option } => {
            out.push_str(" tcp");
            ports("spt", sport, proto, numeric, out);
            ports("dpt", dport, proto, numeric, out);
            if let Some((o, n)) = option {
                let _ = write!(out, " option={}{o}", bang(*n));
            }
            match flags {
                Some(t) if numeric => write!(out, " flags:{}0x{:02X}/0x{:02X}", bang(t.not), t.mask, t.set),
                Some(t) => {
                    let (m, s) = (print::flag_names(t.mask), print::flag_names(t.set));
                    write!(out, " flags:{}{m}/{s}", bang(t.not))
                }
                None => Ok(()),
            }
        }
        Match::Udp { sport, dport } | Match::Sctp { sport, dport } => {
            let _ = write!(out, " {}", m.name());
            ports("spt", sport, proto, numeric, out);
            ports("dpt", dport, proto, numeric, out);
            Ok(())
        }
        Match::Icmp { kind, codes, not } => {
            out.push_str(if numeric { " " } else { " icmp " });
            match names::icmp_name(*kind, *codes).filter(|_| !numeric) {
                Some(n) => write!(out, "{}{n}", bang(*not)),
                None => {
                    let sep = if numeric && !*not { "icmptype " } else { "type " };
                    let lead = if numeric && *not { "icmp " } else { "" };
                    let _ = write!(out, "{lead}{}{sep}{kind}", bang(*not));
                    match *codes {
                        (0, 255) => Ok(()),
                        (a, b) if a == b => write!(out, " code {a}"),
                        (a, b) => write!(out, " codes {a}-{b}"),
                    }
                }
            }
        }
        Match::Multiport { which, ranges, not } => {
            let w = match which {
                Which::Source => "sports ",
                Which::Destination => "dports ",
                Which::Either => "ports ",
            };
            let one = |&(a, b): &(u16, u16)| match a == b {
                true => port(a, proto, numeric),
                false => format!("{}:{}", port(a, proto, numeric), port(b, proto, numeric)),
            };
            let v: Vec<String> = ranges.iter().map(one).collect();
            write!(out, " multiport {w}{}{}", if *not { " !" } else { "" }, v.join(","))
        }
        Match::Mark { value, mask, not } => {
            write!(out, " mark match {}{}", bang_blank(*not), mark_text(*value, *mask))
        }
        Match::Connmark { value, mask, not } => {
            write!(out, " connmark match  {}{}", bang_blank(*not), mark_text(*value, *mask))
        }
        Match::Conntrack(c) => return conntrack(c, out),
        Match::State(s, not) => write!(out, " {}state {}", bang_blank(*not), print::state_names(*s)),
        Match::Statistic(Statistic::Random { share, not }) => {
            let p = print::share_text(*share);
            write!(out, " statistic mode random{} probability {p}", if *not { " !" } else { "" })
        }
        Match::Statistic(Statistic::Nth { every, packet, not }) => {
            let _ = write!(out, " statistic mode nth{} every {every}", if *not { " !" } else { "" });
            if *packet != 0 { write!(out, " packet {packet}") } else { Ok(()) }
        }
        Match::AddrType(a) => return addrtype(a, out),
        Match::Recent(r) => return recent(r, out),
        Match::Set { name, src, not } => {
            write!(out, " {}match-set {name} {}", bang_blank(*not), print::set_dirs(src))
        }
        Match::Physdev(_) => {
            let rule = Rule { matches: vec![m.clone()], ..Rule::default() };
            let text = rule.conditions();
            write!(out, " PHYSDEV match{}", text.strip_prefix("-m physdev").unwrap_or(&text))
        }
        Match::Limit { avg, burst } => write!(out, " limit: avg {} burst {burst}", print::rate_text(*avg)),
        Match::Mac { source, not } => {
            write!(out, " MAC{} {source}", if *not { " !" } else { "" })
        }
        Match::Nfacct(n) => write!(out, " nfacct-name  {n}"),
    };
}

fn conntrack(c: &ConntrackMatch, out: &mut String) {
    if let Some((p, n)) = c.proto {
        let _ = write!(out, " {}ctproto {p}", bang_blank(n));
    }
    if let Some((s, n)) = c.state {
        let _ = write!(out, " {}ctstate {}", bang_blank(n), print::state_names(s));
    }
    for (name, a) in print::CT_ADDRS.iter().zip(&c.addrs) {
        if let Some(a) = a {
            let _ = write!(
                out,
                " {}{name} {}",
                bang_blank(a.not),
                address(Some(AddrMatch { not: false, ..*a }), true).trim()
            );
        }
    }
    for (name, p) in print::CT_ADDRS.iter().zip(&c.ports) {
        if let Some(p) = p {
            let _ = write!(out, " {}{name}port {}", bang_blank(p.not), p.lo);
            if p.lo != p.hi {
                let _ = write!(out, ":{}", p.hi);
            }
        }
    }
    if let Some((s, n)) = c.status {
        let _ = write!(out, " {}ctstatus {}", bang_blank(n), print::ct_status_text(s));
    }
    if let Some(reply) = c.dir {
        let _ = write!(out, " ctdir {}", if reply { "REPLY" } else { "ORIGINAL" });
    }
}

fn addrtype(a: &AddrType, out: &mut String) {
    out.push_str(" ADDRTYPE match");
    for (name, t) in [("src-type", a.src), ("dst-type", a.dst)] {
        if let Some((bits, n)) = t {
            let _ = write!(out, " {name} {}{}", bang(n), print::addr_type_names(bits));
        }
    }
    if a.limit_in {
        out.push_str(" limit-in");
    }
    if a.limit_out {
        out.push_str(" limit-out");
    }
}

fn recent(r: &Recent, out: &mut String) {
    out.push_str(if r.not { " ! recent:" } else { " recent:" });
    out.push_str(match r.op {
        RecentOp::Set => " SET",
        RecentOp::Check => " CHECK",
        RecentOp::Update => " UPDATE",
        RecentOp::Remove => " REMOVE",
    });
    if r.seconds != 0 {
        let _ = write!(out, " seconds: {}", r.seconds);
    }
    if r.reap {
        out.push_str(" reap");
    }
    if r.hitcount != 0 {
        let _ = write!(out, " hit_count: {}", r.hitcount);
    }
    if r.rttl {
        out.push_str(" TTL-Match");
    }
    let side = if r.rdest { "dest" } else { "source" };
    let _ = write!(out, " name: {} side: {side} mask: {}", r.name, Ipv4Addr::from_bits(r.mask));
}

fn nat_flags(r: &NatRange, out: &mut String) {
    for (on, name) in
        [(r.random, " random"), (r.random_fully, " random-fully"), (r.persistent, " persistent")]
    {
        out.push_str(if on { name } else { "" });
    }
}

fn target(t: &Target, numeric: bool, out: &mut String) {
    let _ = match t {
        Target::Reject(r) => write!(out, " reject-with {}", r.name()),
        Target::Mark { value, mask } => {
            let (v, m) = (*value, *mask);
            match () {
                () if v == 0 => write!(out, " MARK and 0x{:x}", !m),
                () if v == m => write!(out, " MARK or 0x{v:x}"),
                () if m == 0 => write!(out, " MARK xor 0x{v:x}"),
                () if m == u32::MAX => write!(out, " MARK set 0x{v:x}"),
                () => write!(out, " MARK xset 0x{v:x}/0x{m:x}"),
            }
        }
        Target::Connmark(c) => match c {
            Connmark::Set { value, mask } => write!(out, " CONNMARK xset 0x{value:x}/0x{mask:x}"),
            Connmark::Save { nfmask: u32::MAX, ctmask: u32::MAX } => write!(out, " CONNMARK save"),
            Connmark::Save { nfmask, ctmask } => {
                write!(out, " CONNMARK save nfmask 0x{nfmask:x} ctmask ~0x{ctmask:x}")
            }
            Connmark::Restore { nfmask: u32::MAX, ctmask: u32::MAX } => write!(out, " CONNMARK restore"),
            Connmark::Restore { nfmask, ctmask } => {
                write!(out, " CONNMARK restore ctmask 0x{ctmask:x} nfmask ~0x{nfmask:x}")
            }
        },
        Target::Dnat(r) | Target::Snat(r) => {
            let _ = write!(out, " to:{}", nat_text(r));
            return nat_flags(r, out);
        }
        Target::Masquerade(r) => {
            if let Some(p) = r.ports {
                let _ = write!(out, " masq ports: {}", range_text(p));
            }
            return nat_flags(r, out);
        }
        Target::Redirect(r) => {
            if let Some(p) = r.ports {
                let _ = write!(out, " redir ports {}", range_text(p));
            }
            return nat_flags(r, out);
        }
        Target::Log(l) => {
            if numeric {
                let _ = write!(out, " LOG flags {} level {}", l.flags, l.level);
            } else {
                const LEVELS: [&str; 8] =
                    ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];
                let _ = write!(out, " LOG level {}", LEVELS.get(usize::from(l.level)).unwrap_or(&"debug"));
                for (_, n) in print::LOG_FLAGS.iter().filter(|(b, _)| l.flags & b != 0) {
                    let _ = write!(out, " {n}");
                }
            }
            if l.prefix.is_empty() { Ok(()) } else { write!(out, " prefix \"{}\"", l.prefix) }
        }
        Target::CtNotrack => write!(out, " CT notrack"),
        Target::TcpMss(None) => write!(out, " TCPMSS clamp to PMTU"),
        Target::TcpMss(Some(m)) => write!(out, " TCPMSS set {m}"),
        _ => Ok(()),
    };
}
