//! Rules as iptables-save prints them.

use super::names::protocol_name;
use super::rule::*;
use core::fmt::{self, Display, Write};
use core::net::Ipv4Addr;

/// A string as `xtables_save_string` quotes it: bare if it has only harmless characters.
pub(crate) fn quoted(s: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !s.is_empty() && s.chars().all(safe) {
        return s.to_string();
    }
    let mut out = String::from("\"");
    for c in s.chars() {
        if matches!(c, '"' | '\\' | '\'') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

fn mask_text(mask: u32) -> String {
    let len = mask.leading_ones();
    if mask == u32::MAX.checked_shl(32 - len).unwrap_or(0) {
        len.to_string()
    } else {
        Ipv4Addr::from_bits(mask).to_string()
    }
}

impl Display for AddrMatch {
    /// `10.0.0.0/8`, without the negation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.addr), mask_text(self.mask))
    }
}

fn not(b: bool) -> &'static str {
    if b { " !" } else { "" }
}

fn ports(out: &mut String, name: &str, p: &Ports) {
    if p.is_any() {
        return;
    }
    let _ = write!(out, "{} --{name} {}", not(p.not), p.lo);
    if p.hi != p.lo {
        let _ = write!(out, ":{}", p.hi);
    }
}

/// Flag names in iptables' order.
pub(crate) fn flag_names(bits: u8) -> String {
    if bits == 0 {
        return "NONE".into();
    }
    let names = [(1, "FIN"), (2, "SYN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG")];
    let v: Vec<&str> = names.iter().filter(|(b, _)| bits & b != 0).map(|(_, n)| *n).collect();
    v.join(",")
}

/// State names, comma-separated.
pub(crate) fn state_names(s: States) -> String {
    let v: Vec<&str> = States::NAMES.iter().filter(|(b, _)| s.0 & b != 0).map(|(_, n)| *n).collect();
    v.join(",")
}

/// Address type names, comma-separated.
pub(crate) fn addr_type_names(bits: u16) -> String {
    let v: Vec<&str> = (0..12).filter(|i| bits & (1 << i) != 0).map(|i| ADDR_TYPES[i]).collect();
    v.join(",")
}

/// `value` or `value/mask` in hexadecimal.
pub(crate) fn mark_text(value: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("0x{value:x}") } else { format!("0x{value:x}/0x{mask:x}") }
}

/// A share of 2^31 with 11 decimals, rounded as C's printf rounds the exact value.
pub(crate) fn share_text(share: u32) -> String {
    let n = u128::from(share) * 100_000_000_000;
    let (q, r) = (n >> 31, n & 0x7fff_ffff);
    let half = 1 << 30;
    let q = if r > half || (r == half && q & 1 == 1) { q + 1 } else { q };
    format!("{}.{:011}", q / 100_000_000_000, q % 100_000_000_000)
}

/// The largest unit that shows the rate exactly: `3/hour`.
pub(crate) fn rate_text(avg: u32) -> String {
    const SCALE: u32 = 10_000;
    let units = [("day", SCALE * 86_400), ("hour", SCALE * 3_600), ("min", SCALE * 60), ("sec", SCALE)];
    let mut best = units[0];
    let mut i = 1;
    while i < units.len() && avg != 0 {
        if avg > units[i].1 || units[i].1 / avg < units[i].1 % avg {
            break;
        }
        best = units[i];
        i += 1;
    }
    format!("{}/{}", best.1.checked_div(avg).unwrap_or(0), best.0)
}

/// `1.2.3.4-1.2.3.6:80-90`
pub(crate) fn nat_text(r: &NatRange) -> String {
    let mut s = String::new();
    if let Some((a, b)) = r.addrs {
        let _ = write!(s, "{a}");
        if a != b {
            let _ = write!(s, "-{b}");
        }
    }
    if let Some(p) = r.ports {
        let _ = write!(s, ":{}", range_text(p));
    }
    s
}

/// `80` or `80-90`
pub(crate) fn range_text((a, b): (u16, u16)) -> String {
    if a == b { a.to_string() } else { format!("{a}-{b}") }
}

fn nat_flags(out: &mut String, r: &NatRange) {
    for (on, name) in [(r.random, "random"), (r.random_fully, "random-fully"), (r.persistent, "persistent")] {
        if on {
            let _ = write!(out, " --{name}");
        }
    }
}

impl Match {
    /// The extension's name.
    pub fn name(&self) -> &'static str {
        match self {
            Match::Comment(_) => "comment",
            Match::Tcp { .. } => "tcp",
            Match::Udp { .. } => "udp",
            Match::Sctp { .. } => "sctp",
            Match::Icmp { .. } => "icmp",
            Match::Multiport { .. } => "multiport",
            Match::Mark { .. } => "mark",
            Match::Connmark { .. } => "connmark",
            Match::Conntrack(_) => "conntrack",
            Match::State(..) => "state",
            Match::Statistic(_) => "statistic",
            Match::AddrType(_) => "addrtype",
            Match::Recent(_) => "recent",
            Match::Set { .. } => "set",
            Match::Physdev(_) => "physdev",
            Match::Limit { .. } => "limit",
            Match::Mac { .. } => "mac",
            Match::Nfacct(_) => "nfacct",
        }
    }

    fn save(&self, out: &mut String) {
        let _ = write!(out, " -m {}", self.name());
        let _ = match self {
            Match::Comment(c) => write!(out, " --comment {}", quoted(c)),
            Match::Tcp { sport, dport, flags, option } => {
                ports(out, "sport", sport);
                ports(out, "dport", dport);
                if let Some((o, n)) = option {
                    let _ = write!(out, "{} --tcp-option {o}", not(*n));
                }
                if let Some(t) = flags {
                    let (m, s) = (flag_names(t.mask), flag_names(t.set));
                    let _ = write!(out, "{} --tcp-flags {m} {s}", not(t.not));
                }
                Ok(())
            }
            Match::Udp { sport, dport } | Match::Sctp { sport, dport } => {
                ports(out, "sport", sport);
                ports(out, "dport", dport);
                Ok(())
            }
            Match::Icmp { kind: 255, not: n, .. } => write!(out, "{} --icmp-type any", not(*n)),
            Match::Icmp { kind, codes, not: n } => {
                let _ = write!(out, "{} --icmp-type {kind}", not(*n));
                if *codes != (0, 255) { write!(out, "/{}", codes.0) } else { Ok(()) }
            }
            Match::Multiport { which, ranges, not: n } => {
                let w = match which {
                    Which::Source => "sports",
                    Which::Destination => "dports",
                    Which::Either => "ports",
                };
                let v: Vec<String> = ranges
                    .iter()
                    .map(|&(a, b)| if a == b { a.to_string() } else { format!("{a}:{b}") })
                    .collect();
                write!(out, "{} --{w} {}", not(*n), v.join(","))
            }
            Match::Mark { value, mask, not: n } | Match::Connmark { value, mask, not: n } => {
                write!(out, "{} --mark {}", not(*n), mark_text(*value, *mask))
            }
            Match::Conntrack(c) => conntrack(out, c),
            Match::State(s, n) => write!(out, "{} --state {}", not(*n), state_names(*s)),
            Match::Statistic(Statistic::Random { share, not: n }) => {
                write!(out, " --mode random{} --probability {}", not(*n), share_text(*share))
            }
            Match::Statistic(Statistic::Nth { every, packet, not: n }) => {
                write!(out, " --mode nth{} --every {every} --packet {packet}", not(*n))
            }
            Match::AddrType(a) => addrtype(out, a),
            Match::Recent(r) => recent(out, r),
            Match::Set { name, src, not: n } => {
                write!(out, "{} --match-set {name} {}", not(*n), set_dirs(src))
            }
            Match::Physdev(p) => physdev(out, p),
            Match::Limit { avg, burst } => {
                let _ = write!(out, " --limit {}", rate_text(*avg));
                if *burst != 5 { write!(out, " --limit-burst {burst}") } else { Ok(()) }
            }
            Match::Mac { source, not: n } => write!(out, "{} --mac-source {source}", not(*n)),
            Match::Nfacct(n) => write!(out, " --nfacct-name  {n}"),
        };
    }
}

/// `src,dst`
pub(crate) fn set_dirs(src: &[bool]) -> String {
    let v: Vec<&str> = src.iter().map(|s| if *s { "src" } else { "dst" }).collect();
    v.join(",")
}

/// Names of the connection's addresses and ports in `ConntrackMatch`.
pub(crate) const CT_ADDRS: [&str; 4] = ["ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"];
/// Names of `--ctstatus` bits in printing order.
pub(crate) const CT_STATUS: [(u8, &str); 4] =
    [(1, "EXPECTED"), (2, "SEEN_REPLY"), (4, "ASSURED"), (8, "CONFIRMED")];

fn conntrack(out: &mut String, c: &ConntrackMatch) -> fmt::Result {
    if let Some((p, n)) = c.proto {
        write!(out, "{} --ctproto {p}", not(n))?;
    }
    if let Some((s, n)) = c.state {
        write!(out, "{} --ctstate {}", not(n), state_names(s))?;
    }
    for (name, a) in CT_ADDRS.iter().zip(&c.addrs) {
        if let Some(a) = a {
            let host = a.mask == u32::MAX;
            let text = if host { Ipv4Addr::from_bits(a.addr).to_string() } else { a.to_string() };
            write!(out, "{} --{name} {text}", not(a.not))?;
        }
    }
    for (name, p) in CT_ADDRS.iter().zip(&c.ports) {
        if let Some(p) = p {
            write!(out, "{} --{name}port {}", not(p.not), p.lo)?;
            if p.lo != p.hi {
                write!(out, ":{}", p.hi)?;
            }
        }
    }
    if let Some((s, n)) = c.status {
        write!(out, "{} --ctstatus {}", not(n), ct_status_text(s))?;
    }
    if let Some(reply) = c.dir {
        write!(out, " --ctdir {}", if reply { "REPLY" } else { "ORIGINAL" })?;
    }
    Ok(())
}

/// `ASSURED,CONFIRMED`
pub(crate) fn ct_status_text(s: u8) -> String {
    let v: Vec<&str> = CT_STATUS.iter().filter(|(b, _)| s & b != 0).map(|(_, n)| *n).collect();
    if v.is_empty() { "NONE".into() } else { v.join(",") }
}

fn addrtype(out: &mut String, a: &AddrType) -> fmt::Result {
    if let Some((bits, n)) = a.src {
        write!(out, "{} --src-type {}", not(n), addr_type_names(bits))?;
    }
    if let Some((bits, n)) = a.dst {
        write!(out, "{} --dst-type {}", not(n), addr_type_names(bits))?;
    }
    if a.limit_in {
        out.push_str(" --limit-iface-in");
    }
    if a.limit_out {
        out.push_str(" --limit-iface-out");
    }
    Ok(())
}

fn recent(out: &mut String, r: &Recent) -> fmt::Result {
    let op = match r.op {
        RecentOp::Set => "set",
        RecentOp::Check => "rcheck",
        RecentOp::Update => "update",
        RecentOp::Remove => "remove",
    };
    write!(out, "{} --{op}", not(r.not))?;
    if r.seconds != 0 {
        write!(out, " --seconds {}", r.seconds)?;
    }
    if r.reap {
        out.push_str(" --reap");
    }
    if r.hitcount != 0 {
        write!(out, " --hitcount {}", r.hitcount)?;
    }
    if r.rttl {
        out.push_str(" --rttl");
    }
    let side = if r.rdest { "rdest" } else { "rsource" };
    write!(out, " --name {} --mask {} --{side}", r.name, Ipv4Addr::from_bits(r.mask))
}

fn physdev(out: &mut String, p: &Physdev) -> fmt::Result {
    if let Some(n) = p.is_in {
        write!(out, "{} --physdev-is-in", not(n))?;
    }
    if let Some(i) = &p.input {
        write!(out, "{} --physdev-in {}", not(i.not), i.name)?;
    }
    if let Some(n) = p.is_out {
        write!(out, "{} --physdev-is-out", not(n))?;
    }
    if let Some(i) = &p.output {
        write!(out, "{} --physdev-out {}", not(i.not), i.name)?;
    }
    if let Some(n) = p.is_bridged {
        write!(out, "{} --physdev-is-bridged", not(n))?;
    }
    Ok(())
}

impl Target {
    /// The target's name, empty if there is none.
    pub fn name(&self) -> &str {
        match self {
            Target::None => "",
            Target::Accept => "ACCEPT",
            Target::Drop => "DROP",
            Target::Return => "RETURN",
            Target::Jump(n, _) | Target::Goto(n, _) => n,
            Target::Reject(_) => "REJECT",
            Target::Mark { .. } => "MARK",
            Target::Connmark(_) => "CONNMARK",
            Target::Dnat(_) => "DNAT",
            Target::Snat(_) => "SNAT",
            Target::Masquerade(_) => "MASQUERADE",
            Target::Redirect(_) => "REDIRECT",
            Target::Log(_) => "LOG",
            Target::Notrack => "NOTRACK",
            Target::CtNotrack => "CT",
            Target::TcpMss(_) => "TCPMSS",
        }
    }

    fn save(&self, out: &mut String) {
        let name = self.name();
        if name.is_empty() {
            return;
        }
        let flag = if matches!(self, Target::Goto(..)) { 'g' } else { 'j' };
        let _ = write!(out, " -{flag} {name}");
        match self {
            Target::Reject(r) => {
                let _ = write!(out, " --reject-with {}", r.name());
            }
            Target::Mark { value, mask } => {
                let _ = write!(out, " --set-xmark 0x{value:x}/0x{mask:x}");
            }
            Target::Connmark(c) => {
                let _ = match c {
                    Connmark::Set { value, mask } => write!(out, " --set-xmark 0x{value:x}/0x{mask:x}"),
                    Connmark::Save { nfmask, ctmask } => {
                        write!(out, " --save-mark --nfmask 0x{nfmask:x} --ctmask 0x{ctmask:x}")
                    }
                    Connmark::Restore { nfmask, ctmask } => {
                        write!(out, " --restore-mark --nfmask 0x{nfmask:x} --ctmask 0x{ctmask:x}")
                    }
                };
            }
            Target::Dnat(r) => {
                let _ = write!(out, " --to-destination {}", nat_text(r));
                nat_flags(out, r);
            }
            Target::Snat(r) => {
                let _ = write!(out, " --to-source {}", nat_text(r));
                nat_flags(out, r);
            }
            Target::Masquerade(r) | Target::Redirect(r) => {
                if let Some(p) = r.ports {
                    let _ = write!(out, " --to-ports {}", range_text(p));
                }
                nat_flags(out, r);
            }
            Target::Log(l) => log(out, l),
            Target::CtNotrack => out.push_str(" --notrack"),
            Target::TcpMss(None) => out.push_str(" --clamp-mss-to-pmtu"),
            Target::TcpMss(Some(m)) => {
                let _ = write!(out, " --set-mss {m}");
            }
            _ => {}
        }
    }
}

/// Names of the LOG target's flags in printing order.
pub(crate) const LOG_FLAGS: [(u8, &str); 4] =
    [(1, "tcp-sequence"), (2, "tcp-options"), (4, "ip-options"), (8, "uid")];

fn log(out: &mut String, l: &Log) {
    if !l.prefix.is_empty() {
        let _ = write!(out, " --log-prefix {}", quoted(&l.prefix));
    }
    if l.level != 4 {
        let _ = write!(out, " --log-level {}", l.level);
    }
    for (_, n) in LOG_FLAGS.iter().filter(|(b, _)| l.flags & b != 0) {
        let _ = write!(out, " --log-{n}");
    }
}

impl Rule {
    /// The conditions as iptables-save prints them, without chain and target.
    pub fn conditions(&self) -> String {
        let mut s = String::new();
        self.write_conditions(&mut s);
        s.strip_prefix(' ').map(str::to_string).unwrap_or(s)
    }

    fn write_conditions(&self, out: &mut String) {
        for (flag, a) in [('s', &self.src), ('d', &self.dst)] {
            if let Some(a) = a {
                let _ = write!(out, "{} -{flag} {a}", not(a.not));
            }
        }
        for (flag, i) in [('i', &self.iif), ('o', &self.oif)] {
            if let Some(i) = i {
                let _ = write!(out, "{} -{flag} {}", not(i.not), i.name);
            }
        }
        if let Some((p, n)) = self.proto {
            let _ = write!(out, "{} -p {}", not(n), protocol_name(p));
        }
        if let Some(n) = self.fragment {
            let _ = write!(out, "{} -f", not(n));
        }
        for m in &self.matches {
            m.save(out);
        }
    }

    /// The target as iptables-save prints it: `-j DNAT --to-destination 10.0.0.1:80`.
    pub fn target_text(&self) -> String {
        let mut s = String::new();
        self.target.save(&mut s);
        s.strip_prefix(' ').map(str::to_string).unwrap_or(s)
    }

    /// Appends what follows `-A CHAIN`; counters stand before the target, as `iptables -S -v` has them.
    pub(crate) fn save(&self, out: &mut String, counters: Option<Counters>) {
        self.write_conditions(out);
        if let Some(c) = counters {
            let _ = write!(out, " -c {} {}", c.packets, c.bytes);
        }
        self.target.save(out);
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = String::new();
        self.save(&mut s, None);
        f.write_str(s.strip_prefix(' ').unwrap_or(&s))
    }
}
