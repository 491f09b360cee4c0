//! Match and target extensions: which options each takes and how it reads them.
//!
//! An extension is added by one name in [`Ext::named`] or [`TargetExt::named`], one line of options and one arm of
//! `set` and `finish`.

use super::names;
use super::parse::{Parsed, addresses, bad};
use super::rule::*;
use core::net::Ipv4Addr;
use smol_str::SmolStr;

/// A match extension being read.
#[derive(Clone, Debug)]
pub(crate) struct Ext {
    made: Match,
    given: u32,
}

type Options = &'static [(&'static str, u8)];

fn options(m: &Match) -> Options {
    match m {
        Match::Comment(_) => &[("comment", 1)],
        Match::Tcp { .. } => &[
            ("sport", 1),
            ("source-port", 1),
            ("dport", 1),
            ("destination-port", 1),
            ("tcp-flags", 2),
            ("syn", 0),
            ("tcp-option", 1),
        ],
        Match::Udp { .. } | Match::Sctp { .. } => {
            &[("sport", 1), ("source-port", 1), ("dport", 1), ("destination-port", 1)]
        }
        Match::Icmp { .. } => &[("icmp-type", 1)],
        Match::Multiport { .. } => {
            &[("sports", 1), ("source-ports", 1), ("dports", 1), ("destination-ports", 1), ("ports", 1)]
        }
        Match::Mark { .. } | Match::Connmark { .. } => &[("mark", 1)],
        Match::Conntrack(_) => &[
            ("ctstate", 1),
            ("ctproto", 1),
            ("ctorigsrc", 1),
            ("ctorigdst", 1),
            ("ctreplsrc", 1),
            ("ctrepldst", 1),
            ("ctorigsrcport", 1),
            ("ctorigdstport", 1),
            ("ctreplsrcport", 1),
            ("ctrepldstport", 1),
            ("ctstatus", 1),
            ("ctdir", 1),
        ],
        Match::State(..) => &[("state", 1)],
        Match::Statistic(_) => &[("mode", 1), ("probability", 1), ("every", 1), ("packet", 1)],
        Match::AddrType(_) => {
            &[("src-type", 1), ("dst-type", 1), ("limit-iface-in", 0), ("limit-iface-out", 0)]
        }
        Match::Recent(_) => &[
            ("set", 0),
            ("rcheck", 0),
            ("update", 0),
            ("remove", 0),
            ("seconds", 1),
            ("reap", 0),
            ("hitcount", 1),
            ("rttl", 0),
            ("name", 1),
            ("rsource", 0),
            ("rdest", 0),
            ("mask", 1),
        ],
        Match::Set { .. } => &[("match-set", 2), ("set", 2)],
        Match::Physdev(_) => &[
            ("physdev-in", 1),
            ("physdev-out", 1),
            ("physdev-is-in", 0),
            ("physdev-is-out", 0),
            ("physdev-is-bridged", 0),
        ],
        Match::Limit { .. } => &[("limit", 1), ("limit-burst", 1)],
        Match::Mac { .. } => &[("mac-source", 1)],
        Match::Nfacct(_) => &[("nfacct-name", 1)],
    }
}

impl Ext {
    /// The extension of that name, with its defaults.
    pub fn named(name: &str) -> Option<Ext> {
        let any = (Ports::ANY, Ports::ANY);
        let made = match name {
            "comment" => Match::Comment(SmolStr::default()),
            "tcp" => Match::Tcp { sport: any.0, dport: any.1, flags: None, option: None },
            "udp" => Match::Udp { sport: any.0, dport: any.1 },
            "sctp" => Match::Sctp { sport: any.0, dport: any.1 },
            "icmp" => Match::Icmp { kind: 255, codes: (0, 255), not: false },
            "multiport" => Match::Multiport { which: Which::Either, ranges: Vec::new(), not: false },
            "mark" => Match::Mark { value: 0, mask: 0, not: false },
            "connmark" => Match::Connmark { value: 0, mask: 0, not: false },
            "conntrack" => Match::Conntrack(Box::default()),
            "state" => Match::State(States(0), false),
            "statistic" => Match::Statistic(Statistic::Random { share: 0, not: false }),
            "addrtype" => Match::AddrType(AddrType::default()),
            "recent" => Match::Recent(Box::new(Recent {
                op: RecentOp::Set,
                not: false,
                name: "DEFAULT".into(),
                seconds: 0,
                reap: false,
                hitcount: 0,
                rttl: false,
                rdest: false,
                mask: u32::MAX,
            })),
            "set" => Match::Set { name: SmolStr::default(), src: Vec::new(), not: false },
            "physdev" => Match::Physdev(Box::default()),
            "limit" => Match::Limit { avg: 3600 * 10_000 / 3, burst: 5 },
            "mac" => Match::Mac { source: crate::MacAddr::ZERO, not: false },
            "nfacct" => Match::Nfacct(SmolStr::default()),
            _ => return None,
        };
        Some(Ext { made, given: 0 })
    }

    /// The extension that `-p` brings along.
    pub fn for_protocol(p: u8) -> Option<Ext> {
        Ext::named(match p {
            1 => "icmp",
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            _ => return None,
        })
    }

    pub fn name(&self) -> &'static str {
        self.made.name()
    }

    /// How many values the option takes, if it is one of this extension's.
    pub fn takes(&self, option: &str) -> Option<u8> {
        options(&self.made).iter().find(|(n, _)| *n == option).map(|(_, k)| *k)
    }

    /// Reads one option.
    pub fn set(&mut self, option: &str, not: bool, v: &[String], proto: Option<(u8, bool)>) -> Parsed<()> {
        let first = v.first().map_or("", String::as_str);
        let name = self.name();
        self.given |= 1;
        match &mut self.made {
            Match::Comment(c) => {
                if first.len() > 256 {
                    return bad("COMMENT must be shorter than 256 characters");
                }
                *c = first.into();
            }
            Match::Tcp { sport, dport, flags, option: opt } => match option {
                "sport" | "source-port" => *sport = port_range(first, not)?,
                "dport" | "destination-port" => *dport = port_range(first, not)?,
                "syn" => *flags = Some(TcpFlags { mask: 0x17, set: 2, not }),
                "tcp-flags" => {
                    let second = v.get(1).map_or("", String::as_str);
                    *flags = Some(TcpFlags { mask: tcp_flags(first)?, set: tcp_flags(second)?, not });
                }
                _ => match first.parse::<u8>() {
                    Ok(n) if n > 0 => *opt = Some((n, not)),
                    _ => return bad(format!("Bad TCP option `{first}'")),
                },
            },
            Match::Udp { sport, dport } | Match::Sctp { sport, dport } => {
                let p = port_range(first, not)?;
                *if option.starts_with('s') { sport } else { dport } = p;
            }
            Match::Icmp { kind, codes, not: n } => {
                let Some((k, a, b)) = names::icmp_type(first) else {
                    return bad(format!("Unknown ICMP type `{first}'"));
                };
                (*kind, *codes, *n) = (k, (a, b), not);
            }
            Match::Multiport { which, ranges, not: n } => {
                if !matches!(proto, Some((6 | 17 | 33 | 132 | 136, false))) {
                    return bad("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'");
                }
                *which = match option {
                    "sports" | "source-ports" => Which::Source,
                    "dports" | "destination-ports" => Which::Destination,
                    _ => Which::Either,
                };
                (*ranges, *n) = (multiport(first)?, not);
            }
            Match::Mark { value, mask, not: n } | Match::Connmark { value, mask, not: n } => {
                let Some((a, b)) = mark(first) else {
                    return bad(format!(
                        "{name}: bad integer value for option \"--mark\", or out of range.\n"
                    ));
                };
                (*value, *mask, *n) = (a, b, not);
            }
            Match::Conntrack(c) => conntrack(c, option, not, first)?,
            Match::State(s, n) => {
                (*s, *n) =
                    (states(first, 5).ok_or_else(|| format!("Bad state \"{first}\"")).or_else(bad)?, not);
            }
            Match::Statistic(s) => self.given |= statistic(s, self.given, option, not, first)?,
            Match::AddrType(a) => match option {
                "src-type" => a.src = Some((addr_types(first)?, not)),
                "dst-type" => a.dst = Some((addr_types(first)?, not)),
                "limit-iface-in" => a.limit_in = true,
                _ => a.limit_out = true,
            },
            Match::Recent(r) => self.given |= recent(r, option, not, first)?,
            Match::Set { name, src, not: n } => {
                let dirs = v.get(1).map_or("", String::as_str);
                let mut list = Vec::new();
                for d in dirs.split(',') {
                    match d {
                        "src" => list.push(true),
                        "dst" => list.push(false),
                        d => {
                            return bad(format!(
                                "You must spefify (the comma separated list of) 'src' or 'dst' direction, not `{d}'"
                            ));
                        }
                    }
                }
                (*name, *src, *n) = (first.into(), list, not);
            }
            Match::Physdev(p) => {
                let m = || IfMatch { name: first.into(), not };
                match option {
                    "physdev-in" => p.input = Some(m()),
                    "physdev-out" => p.output = Some(m()),
                    "physdev-is-in" => p.is_in = Some(not),
                    "physdev-is-out" => p.is_out = Some(not),
                    _ => p.is_bridged = Some(not),
                }
            }
            Match::Limit { avg, burst } => {
                if not {
                    return bad("limit does not support invert");
                }
                if option == "limit" {
                    *avg = rate(first).ok_or_else(|| format!("bad rate `{first}'")).or_else(bad)?;
                } else {
                    *burst = match first.parse::<u32>() {
                        Ok(n) if n <= 10_000 => n,
                        _ => {
                            return bad(
                                "limit: bad value for option \"--limit-burst\", or out of range (0-10000).\n",
                            );
                        }
                    };
                }
            }
            Match::Mac { source, not: n } => {
                let Ok(m) = first.parse() else {
                    return bad(format!("mac: Bad value for \"--mac-source\" option: \"{first}\""));
                };
                (*source, *n) = (m, not);
            }
            Match::Nfacct(n) => *n = first.into(),
        }
        Ok(())
    }

    /// Checks what is missing.
    pub fn finish(self, proto: Option<(u8, bool)>) -> Parsed<Match> {
        let name = self.name();
        let must = |o: &str| bad(format!("{name}: option \"--{o}\" must be specified\n"));
        match &self.made {
            Match::Comment(_) if self.given == 0 => return must("comment"),
            Match::Mark { .. } | Match::Connmark { .. } if self.given == 0 => return must("mark"),
            Match::Mac { .. } if self.given == 0 => return must("mac-source"),
            Match::Nfacct(n) if n.is_empty() => return must("nfacct-name"),
            Match::Conntrack(_) if self.given == 0 => {
                return bad("conntrack: At least one option is required");
            }
            Match::State(..) if self.given == 0 => return bad("You must specify \"--state\""),
            Match::Multiport { ranges, .. } if ranges.is_empty() => {
                return bad("multiport expection an option");
            }
            Match::Statistic(Statistic::Random { .. }) if self.given & 4 == 0 => {
                return bad("--probability must be specified when using random mode");
            }
            Match::Statistic(Statistic::Nth { every, packet, .. }) => {
                if self.given & 8 == 0 {
                    return bad("--every must be specified when using nth mode");
                }
                if packet >= every {
                    return bad("the --packet argument must be 0 <= X <= every-1");
                }
            }
            Match::AddrType(a) if a.src.is_none() && a.dst.is_none() => {
                return bad("addrtype: you must specify --src-type or --dst-type");
            }
            Match::Recent(_) if self.given & 2 == 0 => {
                return bad("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'");
            }
            Match::Recent(r) if r.reap && r.seconds == 0 => {
                return bad("recent: option \"--reap\" requires \"--seconds\" to be specified");
            }
            Match::Set { name, .. } if name.is_empty() => {
                return bad("You must specify `--match-set' with proper arguments");
            }
            Match::Physdev(_) if self.given == 0 => {
                return bad("PHYSDEV: no physdev option specified");
            }
            // The kernel refuses these without their protocol; iptables says so in advance.
            Match::Tcp { .. } | Match::Udp { .. } | Match::Sctp { .. } | Match::Icmp { .. } => {
                let want = match self.made {
                    Match::Tcp { .. } => 6,
                    Match::Udp { .. } => 17,
                    Match::Sctp { .. } => 132,
                    _ => 1,
                };
                if matches!(self.made, Match::Icmp { .. }) && self.given == 0 {
                    return must("icmp-type");
                }
                if proto != Some((want, false)) {
                    // What iptables itself checks when it translates the ports.
                    if self.given != 0 && matches!(want, 6 | 17) {
                        let (big, small) = if want == 6 { ("TCP", "tcp") } else { ("UDP", "udp") };
                        return bad(format!("{big} match requires '-p {small}'"));
                    }
                    return Err(super::parse::Problem::Kernel(
                        "RULE_APPEND",
                        "Invalid argument",
                        String::new(),
                    ));
                }
            }
            _ => {}
        }
        Ok(self.made)
    }
}

fn one_port(s: &str) -> Parsed<u16> {
    match s.parse::<u16>().ok().or_else(|| names::service(s)) {
        Some(p) => Ok(p),
        None => bad(format!("invalid port/service `{s}' specified")),
    }
}

fn port_range(s: &str, not: bool) -> Parsed<Ports> {
    let Some((a, b)) = s.split_once(':') else {
        let p = one_port(s)?;
        return Ok(Ports { lo: p, hi: p, not });
    };
    let lo = if a.is_empty() { 0 } else { one_port(a)? };
    let hi = if b.is_empty() { u16::MAX } else { one_port(b)? };
    if lo > hi {
        return bad("invalid portrange (min > max)");
    }
    Ok(Ports { lo, hi, not })
}

fn tcp_flags(s: &str) -> Parsed<u8> {
    let mut bits = 0;
    for f in s.split(',') {
        bits |= match f.to_ascii_uppercase().as_str() {
            "FIN" => 1,
            "SYN" => 2,
            "RST" => 4,
            "PSH" => 8,
            "ACK" => 16,
            "URG" => 32,
            "ALL" => 63,
            "NONE" => 0,
            _ => return bad(format!("Unknown TCP flag `{f}'")),
        };
    }
    Ok(bits)
}

fn multiport(s: &str) -> Parsed<Vec<(u16, u16)>> {
    let mut out = Vec::new();
    let mut count = 0;
    for part in s.split(',') {
        let r = match part.split_once(':') {
            Some((a, b)) => (one_port(a)?, one_port(b)?),
            None => one_port(part).map(|p| (p, p))?,
        };
        if r.0 > r.1 {
            return bad("invalid portrange specified");
        }
        count += if r.0 == r.1 { 1 } else { 2 };
        if count > 15 {
            return bad("too many ports specified");
        }
        out.push(r);
    }
    Ok(out)
}

/// A number as C's `strtoul` with base 0 reads it.
pub(crate) fn number(s: &str) -> Option<u32> {
    if let Some(h) = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        return u32::from_str_radix(h, 16).ok();
    }
    match s.strip_prefix('0') {
        Some(o) if !o.is_empty() => u32::from_str_radix(o, 8).ok(),
        _ => s.parse().ok(),
    }
}

fn mark(s: &str) -> Option<(u32, u32)> {
    match s.split_once('/') {
        Some((v, m)) => Some((number(v)?, number(m)?)),
        None => Some((number(s)?, u32::MAX)),
    }
}

/// The first `n` state names are allowed.
fn states(s: &str, n: usize) -> Option<States> {
    let mut bits = 0;
    for part in s.split(',') {
        let (b, _) = States::NAMES.iter().take(n).find(|(_, name)| name.eq_ignore_ascii_case(part))?;
        bits |= b;
    }
    Some(States(bits))
}

fn conntrack(c: &mut ConntrackMatch, option: &str, not: bool, v: &str) -> Parsed<()> {
    const ADDRS: [&str; 4] = super::print::CT_ADDRS;
    match option {
        "ctstate" => {
            let Some(s) = states(v, 7) else { return bad(format!("Bad ctstate \"{v}\"")) };
            c.state = Some((s, not));
        }
        "ctproto" => {
            let Some(p) = names::protocol(&v.to_ascii_lowercase()) else {
                return bad(format!("unknown protocol \"{v}\" specified"));
            };
            c.proto = Some((p, not));
        }
        "ctstatus" => {
            let mut bits = 0;
            for part in v.split(',').filter(|p| !p.eq_ignore_ascii_case("NONE")) {
                let hit = super::print::CT_STATUS.iter().find(|(_, n)| n.eq_ignore_ascii_case(part));
                let Some((b, _)) = hit else { return bad(format!("Bad ctstatus \"{v}\"")) };
                bits |= b;
            }
            c.status = Some((bits, not));
        }
        "ctdir" => {
            c.dir = Some(match v.to_ascii_uppercase().as_str() {
                "ORIGINAL" => false,
                "REPLY" => true,
                _ => {
                    return bad(format!("conntrack: Bad value for \"--ctdir\" option: \"{v}\""));
                }
            });
        }
        o => {
            for (i, name) in ADDRS.iter().enumerate() {
                if o == *name {
                    c.addrs[i] = addresses(v, not)?.first().copied();
                } else if o.strip_suffix("port") == Some(name) {
                    c.ports[i] = Some(port_range(v, not)?);
                }
            }
        }
    }
    Ok(())
}

fn statistic(s: &mut Statistic, given: u32, option: &str, invert: bool, v: &str) -> Parsed<u32> {
    match (option, &mut *s) {
        ("mode", _) => {
            *s = match v {
                "random" => Statistic::Random { share: 0, not: false },
                "nth" => Statistic::Nth { every: 0, packet: 0, not: false },
                _ => return bad(format!("Bad mode \"{v}\"")),
            };
            Ok(2)
        }
        ("probability", Statistic::Random { share, not }) => {
            let range = "statistic: bad value for option \"--probability\", or out of range (0-1).\n";
            let Ok(p) = v.parse::<f64>() else { return bad(range) };
            if !(0.0..=1.0).contains(&p) {
                return bad(range);
            }
            (*share, *not) = ((p * 2_147_483_648.0).round() as u32, invert);
            Ok(4)
        }
        ("every", Statistic::Nth { every, not, .. }) => {
            match v.parse::<u32>() {
                Ok(n) if n > 0 => (*every, *not) = (n, invert),
                _ => return bad("cannot parse --every: must be a positive number"),
            }
            Ok(8)
        }
        ("packet", Statistic::Nth { packet, .. }) => {
            let Ok(n) = v.parse() else { return bad("cannot parse --packet: must be a number") };
            *packet = n;
            Ok(16)
        }
        _ => {
            let _ = given;
            bad(format!("statistic: option \"--{option}\" does not go with the mode"))
        }
    }
}

fn addr_types(s: &str) -> Parsed<u16> {
    let mut bits = 0;
    for part in s.split(',') {
        let Some(i) = ADDR_TYPES.iter().position(|n| n.eq_ignore_ascii_case(part)) else {
            return bad(format!("addrtype: bad type \"{s}\""));
        };
        bits |= 1 << i;
    }
    Ok(bits)
}

fn recent(r: &mut Recent, option: &str, not: bool, v: &str) -> Parsed<u32> {
    let num = |what: &str| -> Parsed<u32> {
        match v.parse::<u32>() {
            Ok(n) if n > 0 => Ok(n),
            _ => bad(format!("recent: bad value for option \"--{what}\", or out of range (1-4294967295).\n")),
        }
    };
    match option {
        "set" | "rcheck" | "update" | "remove" => {
            r.op = match option {
                "set" => RecentOp::Set,
                "rcheck" => RecentOp::Check,
                "update" => RecentOp::Update,
                _ => RecentOp::Remove,
            };
            r.not = not;
            return Ok(2);
        }
        "seconds" => r.seconds = num("seconds")?,
        "hitcount" => r.hitcount = num("hitcount")?,
        "reap" => r.reap = true,
        "rttl" => r.rttl = true,
        "name" => {
            if v.len() >= 200 {
                return bad("recent: name too long");
            }
            r.name = v.into();
        }
        "rsource" => r.rdest = false,
        "rdest" => r.rdest = true,
        _ => match v.parse::<Ipv4Addr>() {
            Ok(a) => r.mask = a.to_bits(),
            Err(_) => return bad(format!("recent: bad value for option \"--mask\": {v}")),
        },
    }
    Ok(0)
}

fn rate(s: &str) -> Option<u32> {
    let (n, unit) = s.split_once('/').map_or((s, "second"), |(n, u)| (n, u));
    let full = ["second", "minute", "hour", "day"];
    let i = full.iter().position(|f| !unit.is_empty() && f.starts_with(&unit.to_ascii_lowercase()))?;
    let mult = [1, 60, 3600, 86_400][i] * 10_000u32;
    let n: u32 = n.parse().ok()?;
    if n == 0 || n > mult { None } else { Some(mult / n) }
}

/// A target extension being read.
#[derive(Clone, Debug)]
pub(crate) struct TargetExt {
    made: Target,
    given: bool,
}

fn target_options(t: &Target) -> Options {
    match t {
        Target::Reject(_) => &[("reject-with", 1)],
        Target::Mark { .. } => {
            &[("set-xmark", 1), ("set-mark", 1), ("and-mark", 1), ("or-mark", 1), ("xor-mark", 1)]
        }
        Target::Connmark(_) => &[
            ("set-xmark", 1),
            ("set-mark", 1),
            ("and-mark", 1),
            ("or-mark", 1),
            ("xor-mark", 1),
            ("save-mark", 0),
            ("restore-mark", 0),
            ("nfmask", 1),
            ("ctmask", 1),
            ("mask", 1),
        ],
        Target::Dnat(_) => &[("to-destination", 1), ("random", 0), ("persistent", 0)],
        Target::Snat(_) => &[("to-source", 1), ("random", 0), ("random-fully", 0), ("persistent", 0)],
        Target::Masquerade(_) => &[("to-ports", 1), ("random", 0), ("random-fully", 0)],
        Target::Redirect(_) => &[("to-ports", 1), ("random", 0)],
        Target::Log(_) => &[
            ("log-level", 1),
            ("log-prefix", 1),
            ("log-tcp-sequence", 0),
            ("log-tcp-options", 0),
            ("log-ip-options", 0),
            ("log-uid", 0),
        ],
        Target::CtNotrack => &[("notrack", 0)],
        Target::TcpMss(_) => &[("set-mss", 1), ("clamp-mss-to-pmtu", 0)],
        _ => &[],
    }
}

impl TargetExt {
    /// The target extension of that name, with its defaults.
    pub fn named(name: &str) -> Option<TargetExt> {
        let r = NatRange::default();
        let made = match name {
            "REJECT" => Target::Reject(RejectWith::Icmp(3)),
            "MARK" => Target::Mark { value: 0, mask: 0 },
            "CONNMARK" => Target::Connmark(Connmark::Set { value: 0, mask: u32::MAX }),
            "DNAT" => Target::Dnat(r),
            "SNAT" => Target::Snat(r),
            "MASQUERADE" => Target::Masquerade(r),
            "REDIRECT" => Target::Redirect(r),
            "LOG" => Target::Log(Box::new(Log { level: 4, prefix: SmolStr::default(), flags: 0 })),
            "NOTRACK" => Target::Notrack,
            "CT" => Target::CtNotrack,
            "TCPMSS" => Target::TcpMss(None),
            _ => return None,
        };
        Some(TargetExt { made, given: false })
    }

    /// How many values the option takes, if it is one of this target's.
    pub fn takes(&self, option: &str) -> Option<u8> {
        target_options(&self.made).iter().find(|(n, _)| *n == option).map(|(_, k)| *k)
    }

    /// Reads one option.
    pub fn set(&mut self, option: &str, _not: bool, v: &[String]) -> Parsed<()> {
        let first = v.first().map_or("", String::as_str);
        let name = self.made.name().to_string();
        let wrong =
            || format!("{name}: bad value for option \"--{option}\", or out of range (0-4294967295).\n");
        self.given = true;
        match &mut self.made {
            Target::Reject(r) => {
                let hit = RejectWith::NAMES.iter().find(|(_, n, a)| *n == first || *a == first);
                *r = hit.ok_or_else(|| format!("unknown reject type \"{first}\"")).or_else(bad)?.0;
            }
            Target::Mark { value, mask } => {
                (*value, *mask) = xmark(option, first).ok_or_else(wrong).or_else(bad)?;
            }
            Target::Connmark(c) => connmark(c, option, first).ok_or_else(wrong).or_else(bad)?,
            Target::Dnat(r) | Target::Snat(r) | Target::Masquerade(r) | Target::Redirect(r) => match option {
                "random" => r.random = true,
                "random-fully" => r.random_fully = true,
                "persistent" => r.persistent = true,
                "to-ports" => r.ports = Some(nat_ports(first)?),
                _ => nat_range(r, first)?,
            },
            Target::Log(l) => match option {
                "log-level" => l.level = log_level(first)?,
                "log-prefix" => {
                    if first.len() > 29 {
                        return bad(format!("Maximum prefix length 29 for --log-prefix: {first}"));
                    }
                    if first.contains('\n') {
                        return bad("Newlines not allowed in --log-prefix");
                    }
                    l.prefix = first.into();
                }
                o => {
                    let hit = super::print::LOG_FLAGS.iter().find(|(_, n)| o.strip_prefix("log-") == Some(n));
                    l.flags |= hit.map_or(0, |(b, _)| *b);
                }
            },
            Target::TcpMss(m) if option == "set-mss" => {
                *m = Some(first.parse().map_err(|_| wrong()).or_else(bad)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks what is missing.
    pub fn finish(self, proto: Option<(u8, bool)>) -> Parsed<Target> {
        let must = |n: &str, o: &str| bad(format!("{n}: option \"--{o}\" must be specified\n"));
        let ports = match &self.made {
            Target::Dnat(r) | Target::Snat(r) | Target::Masquerade(r) | Target::Redirect(r) => r.ports,
            _ => None,
        };
        if ports.is_some() && !matches!(proto, Some((6 | 17 | 33 | 132, false))) {
            return bad("Need TCP, UDP, SCTP or DCCP with port specification");
        }
        match &self.made {
            Target::Dnat(r) if r.addrs.is_none() && r.ports.is_none() => {
                return must("DNAT", "to-destination");
            }
            Target::Snat(r) if r.addrs.is_none() && r.ports.is_none() => return must("SNAT", "to-source"),
            Target::Mark { .. } if !self.given => {
                return bad("MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required");
            }
            Target::Connmark(_) if !self.given => {
                return bad("CONNMARK target: No operation specified");
            }
            Target::CtNotrack if !self.given => return bad("CT: only --notrack is supported"),
            Target::TcpMss(_) if !self.given => {
                return bad("TCPMSS target: At least one parameter is required");
            }
            // The kernel wants the protocol named.
            Target::Reject(RejectWith::TcpReset) | Target::TcpMss(_) if proto != Some((6, false)) => {
                return Err(super::parse::Problem::Kernel("RULE_APPEND", "Invalid argument", String::new()));
            }
            _ => {}
        }
        Ok(self.made)
    }
}

fn xmark(option: &str, v: &str) -> Option<(u32, u32)> {
    let (value, mask) = mark(v)?;
    Some(match option {
        "set-xmark" => (value, mask),
        // The mark is replaced where the mask or the value has a bit.
        "set-mark" => (value, value | mask),
        "and-mark" => (0, !number(v)?),
        "or-mark" => (number(v)?, number(v)?),
        _ => (number(v)?, 0),
    })
}

fn connmark(c: &mut Connmark, option: &str, v: &str) -> Option<()> {
    match option {
        "save-mark" => *c = Connmark::Save { nfmask: u32::MAX, ctmask: u32::MAX },
        "restore-mark" => *c = Connmark::Restore { nfmask: u32::MAX, ctmask: u32::MAX },
        "nfmask" | "ctmask" | "mask" => {
            let m = number(v)?;
            if let Connmark::Save { nfmask, ctmask } | Connmark::Restore { nfmask, ctmask } = c {
                if option != "ctmask" {
                    *nfmask = m;
                }
                if option != "nfmask" {
                    *ctmask = m;
                }
            }
        }
        o => {
            let (value, mask) = xmark(o, v)?;
            *c = Connmark::Set { value, mask };
        }
    }
    Some(())
}

fn log_level(s: &str) -> Parsed<u8> {
    let names = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
    let alias = match s.to_ascii_lowercase().as_str() {
        "panic" => Some(0),
        "err" => Some(3),
        "warn" => Some(4),
        _ => None,
    };
    let n = s.parse::<u8>().ok().filter(|n| *n <= 7).or(alias);
    match n.or_else(|| names.iter().position(|x| x.eq_ignore_ascii_case(s)).map(|i| i as u8)) {
        Some(n) => Ok(n),
        None => bad(format!("log-level \"{s}\" unknown")),
    }
}

fn nat_ports(s: &str) -> Parsed<(u16, u16)> {
    let text = || format!("Port `{s}' not valid");
    let (a, b) = s.split_once('-').unwrap_or((s, s));
    match (a.parse::<u16>(), b.parse::<u16>()) {
        (Ok(a), Ok(b)) if a > 0 && a <= b => Ok((a, b)),
        (Ok(a), Ok(b)) if a > b => bad(format!("Port range `{s}' funky")),
        _ => bad(text()),
    }
}

fn nat_range(r: &mut NatRange, s: &str) -> Parsed<()> {
    let (addr, ports) = s.split_once(':').map_or((s, None), |(a, p)| (a, Some(p)));
    if let Some(p) = ports {
        r.ports = Some(nat_ports(p)?);
    }
    if addr.is_empty() {
        return Ok(());
    }
    let one = |a: &str| match a.parse::<Ipv4Addr>() {
        Ok(a) => Ok(a),
        Err(_) => bad(format!("Bad IP address \"{a}\"")),
    };
    r.addrs = Some(match addr.split_once('-') {
        Some((a, b)) => (one(a)?, one(b)?),
        None => one(addr).map(|a| (a, a))?,
    });
    Ok(())
}
