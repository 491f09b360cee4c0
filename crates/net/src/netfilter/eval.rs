//! A packet's walk through a chain: matching, counting, and what the rules decide.

use super::IpSet;
use super::rule::*;
use super::table::{JUMPS_MAX, Netfilter};
use crate::conntrack::{Conn, Conntrack, Ct, CtState, status};
use crate::skb::Skb;
use crate::trace::What;
use crate::wire::tcp::Flags;
use crate::{Icmp, Ip, L4};
use core::net::IpAddr;
use sim::persistent::{OrdMap, Vector};
use sim::{Instant, Stream};
use smol_str::SmolStr;
use std::sync::Arc;

/// Entries of one `recent` list, and moments kept of each, as the module's defaults.
const RECENT_ENTRIES_MAX: usize = 100;
const RECENT_STAMPS_MAX: usize = 20;

/// The lists of the `recent` match, by name and address.
pub(crate) type Recents = OrdMap<SmolStr, OrdMap<u32, Seen>>;

/// When an address was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    ttl: u8,
    stamps: Vector<Instant>,
}

/// What rules can look at besides the packet.
pub(crate) struct Env<'a> {
    pub now: Instant,
    pub stream: &'a mut Stream,
    pub recents: &'a mut Recents,
    pub sets: &'a OrdMap<SmolStr, Arc<IpSet>>,
    pub conntrack: &'a mut Conntrack,
    /// Addresses of this namespace: the device that has them.
    pub local: &'a OrdMap<IpAddr, u32>,
    pub broadcast: &'a OrdMap<IpAddr, u32>,
    pub iif: (&'a str, u32),
    pub oif: (&'a str, u32),
    pub physin: &'a str,
    pub physout: &'a str,
    pub log: &'a mut Vec<String>,
    /// Bytes of a segment that fit the way out.
    pub path_mtu: u32,
}

/// What a table decides.
pub(crate) enum Verdict {
    Accept,
    /// Dropped by a rule or by the policy.
    Drop(By),
    Reject(RejectWith, By),
    /// The nat table's decision.
    Nat(Target),
}

/// Who decided.
pub(crate) enum By {
    Rule { chain: SmolStr, number: u32, rule: Arc<Rule> },
    Policy { chain: SmolStr },
}

impl Env<'_> {
    fn conn<'b>(&'b self, skb: &'b Skb) -> Option<(&'b Conn, bool, CtState)> {
        match &skb.ct {
            Ct::Known { id, reply, state } => self.conntrack.get(*id).map(|c| (c, *reply, *state)),
            Ct::Fresh(c) => Some((c, false, CtState::New)),
            Ct::Answer(c) => Some((c, true, CtState::Related)),
            _ => None,
        }
    }
}

/// A chain that called another: its rules, and the rule to go on with.
type Frame = (ChainId, Arc<Vec<Arc<Rule>>>, usize);

/// Walks the builtin chain of `hook`.
pub(crate) fn run(
    nf: &mut Netfilter,
    name: TableName,
    hook: Hook,
    skb: &mut Skb,
    env: &mut Env<'_>,
) -> Verdict {
    let Some(table) = nf.table_mut(name) else { return Verdict::Accept };
    let Some(first) = table.builtin(hook) else { return Verdict::Accept };
    let bytes = skb.ip.len();
    let mut stack: Vec<Frame> = Vec::new();
    let Some(mut rules) = table.chain(first).map(|c| c.rules.clone()) else { return Verdict::Accept };
    let (mut chain, mut at) = (first, 0);
    loop {
        let Some(rule) = rules.get(at) else {
            match stack.pop() {
                Some((c, r, i)) => (chain, rules, at) = (c, r, i),
                None => break,
            }
            continue;
        };
        let state = table.chain(chain).and_then(|c| c.cells.get(at)).map_or(0, |c| c.state);
        let mut new_state = state;
        let hit = matches(rule, skb, env, &mut new_state);
        if (hit || new_state != state)
            && let Some(cell) = table.chain_mut(chain).and_then(|c| c.cells.get_mut(at))
        {
            cell.state = new_state;
            if hit {
                cell.counters.count(bytes);
            }
        }
        at += 1;
        if !hit {
            continue;
        }
        let rule = rule.clone();
        let chain_name = table.chain(chain).map(|c| c.name.clone()).unwrap_or_default();
        let number = at as u32;
        skb.note(|| What::Rule { hook, table: name, chain: chain_name.clone(), number, rule: rule.clone() });
        let by = || By::Rule { chain: chain_name.clone(), number, rule: rule.clone() };
        match &rule.target {
            Target::Accept => return Verdict::Accept,
            Target::Drop => return Verdict::Drop(by()),
            Target::Reject(kind) => return Verdict::Reject(*kind, by()),
            Target::Dnat(_) | Target::Snat(_) | Target::Masquerade(_) | Target::Redirect(_) => {
                return Verdict::Nat(rule.target.clone());
            }
            Target::Return => match stack.pop() {
                Some((c, r, i)) => (chain, rules, at) = (c, r, i),
                None => break,
            },
            Target::Jump(_, to) | Target::Goto(_, to) => {
                let Some(next) = table.chain(*to).map(|c| c.rules.clone()) else { continue };
                if matches!(rule.target, Target::Jump(..)) {
                    if stack.len() >= JUMPS_MAX {
                        return Verdict::Drop(by());
                    }
                    stack.push((chain, core::mem::replace(&mut rules, next), at));
                } else {
                    rules = next;
                }
                (chain, at) = (*to, 0);
            }
            t => effect(t, skb, env),
        }
    }
    let Some(c) = table.chain(first) else { return Verdict::Accept };
    let (drop, counted) = (c.drop, c.counted);
    if counted && let Some(c) = table.chain_mut(first) {
        c.counters.count(bytes);
    }
    let chain = SmolStr::new_static(hook.name());
    if drop { Verdict::Drop(By::Policy { chain }) } else { Verdict::Accept }
}

/// Targets that change something and let the packet go on.
fn effect(t: &Target, skb: &mut Skb, env: &mut Env<'_>) {
    match t {
        Target::Mark { value, mask } => skb.mark = (skb.mark & !mask) ^ value,
        Target::Connmark(c) => connmark(*c, skb, env),
        Target::Log(l) => {
            let line = kernel_line(l, skb, env);
            env.log.push(line);
        }
        Target::Notrack | Target::CtNotrack if skb.ct == Ct::None => skb.ct = Ct::Untracked,
        Target::TcpMss(to) => {
            if let L4::Tcp(t, _) = &mut skb.ip.l4
                && t.flags.has(Flags::SYN)
            {
                let limit = to.unwrap_or(env.path_mtu.saturating_sub(40).min(65_495) as u16);
                t.mss = t.mss.map(|m| m.min(limit));
            }
        }
        _ => {}
    }
}

fn connmark(c: Connmark, skb: &mut Skb, env: &mut Env<'_>) {
    let mark = skb.mark;
    let conn = match &mut skb.ct {
        Ct::Known { id, .. } => env.conntrack.get_mut(*id),
        Ct::Fresh(c) => Some(&mut **c),
        _ => None,
    };
    let Some(conn) = conn else { return };
    match c {
        Connmark::Set { value, mask } => conn.mark = (conn.mark & !mask) ^ value,
        Connmark::Save { nfmask, ctmask } => conn.mark = (conn.mark & !ctmask) ^ (mark & nfmask),
        Connmark::Restore { nfmask, ctmask } => {
            let m = conn.mark & ctmask;
            skb.mark = (mark & !nfmask) ^ m;
        }
    }
}

fn kernel_line(l: &Log, skb: &Skb, env: &Env<'_>) -> String {
    let ip = &skb.ip;
    let mut s = format!("{}IN={} OUT={} ", l.prefix, env.iif.0, env.oif.0);
    if !env.physin.is_empty() {
        s.push_str(&format!("PHYSIN={} ", env.physin));
    }
    if !env.physout.is_empty() {
        s.push_str(&format!("PHYSOUT={} ", env.physout));
    }
    if env.iif.1 != 0 {
        s.push_str(&format!("MAC={}:{}:08:00 ", skb.dst_mac, skb.src_mac));
    }
    s.push_str(&format!(
        "SRC={} DST={} LEN={} TOS=0x{:02X} PREC=0x00 TTL={} ID={} ",
        ip.src,
        ip.dst,
        ip.len(),
        ip.tos,
        ip.ttl,
        ip.ident
    ));
    if ip.df {
        s.push_str("DF ");
    }
    match &ip.l4 {
        L4::Tcp(t, _) => {
            s.push_str(&format!("PROTO=TCP SPT={} DPT={} ", t.src_port, t.dst_port));
            if l.flags & 1 != 0 {
                s.push_str(&format!("SEQ={} ACK={} ", t.seq, t.ack));
            }
            s.push_str(&format!("WINDOW={} RES=0x00 ", t.window));
            let names = [
                (Flags::URG, "URG "),
                (Flags::ACK, "ACK "),
                (Flags::PSH, "PSH "),
                (Flags::RST, "RST "),
                (Flags::SYN, "SYN "),
                (Flags::FIN, "FIN "),
            ];
            for (f, n) in names {
                s.push_str(if t.flags.has(f) { n } else { "" });
            }
            s.push_str("URGP=0 ");
        }
        L4::Udp(u, p) => {
            s.push_str(&format!("PROTO=UDP SPT={} DPT={} LEN={} ", u.src_port, u.dst_port, p.len() + 8));
        }
        L4::Icmp(i) => {
            let (t, c) = i.type_code();
            s.push_str(&format!("PROTO=ICMP TYPE={t} CODE={c} "));
            if let Icmp::Echo { ident, seq, .. } = i {
                s.push_str(&format!("ID={ident} SEQ={seq} "));
            }
        }
        L4::Other(p, _) => s.push_str(&format!("PROTO={p} ")),
    }
    if skb.mark != 0 {
        s.push_str(&format!("MARK=0x{:x} ", skb.mark));
    }
    s
}

fn bits(a: IpAddr) -> u32 {
    match a {
        IpAddr::V4(a) => a.to_bits(),
        IpAddr::V6(_) => 0,
    }
}

fn matches(r: &Rule, skb: &Skb, env: &mut Env<'_>, state: &mut u64) -> bool {
    let ip = &skb.ip;
    if let Some((p, not)) = r.proto
        && (ip.protocol() == p) == not
    {
        return false;
    }
    if r.dst.as_ref().is_some_and(|a| !a.matches(bits(ip.dst)))
        || r.src.as_ref().is_some_and(|a| !a.matches(bits(ip.src)))
        || r.iif.as_ref().is_some_and(|i| !i.matches(env.iif.0))
        || r.oif.as_ref().is_some_and(|i| !i.matches(env.oif.0))
        || r.fragment == Some(false)
    {
        return false;
    }
    r.matches.iter().all(|m| match_one(m, skb, env, state))
}

fn ports_of(ip: &Ip) -> (u16, u16) {
    ip.ports().unwrap_or((0, 0))
}

fn match_one(m: &Match, skb: &Skb, env: &mut Env<'_>, state: &mut u64) -> bool {
    let ip = &skb.ip;
    match m {
        Match::Comment(_) | Match::Nfacct(_) => true,
        Match::Tcp { sport, dport, flags, option } => {
            let L4::Tcp(t, _) = &ip.l4 else { return false };
            let has = |o: u8| match o {
                2 => t.mss.is_some(),
                3 => t.wscale.is_some(),
                4 => t.sack_ok,
                8 => t.ts.is_some(),
                _ => false,
            };
            sport.matches(t.src_port)
                && dport.matches(t.dst_port)
                && flags.is_none_or(|f| (t.flags.0 & f.mask == f.set) != f.not)
                && option.is_none_or(|(o, not)| has(o) != not)
        }
        Match::Udp { sport, dport } => {
            matches!(&ip.l4, L4::Udp(u, _) if sport.matches(u.src_port) && dport.matches(u.dst_port))
        }
        Match::Sctp { .. } => false,
        Match::Icmp { kind, codes, not } => {
            let L4::Icmp(i) = &ip.l4 else { return false };
            let (t, c) = i.type_code();
            (*kind == 255 || (t == *kind && (codes.0..=codes.1).contains(&c))) != *not
        }
        Match::Multiport { which, ranges, not } => {
            let (s, d) = ports_of(ip);
            let hit = |p: u16| ranges.iter().any(|r| (r.0..=r.1).contains(&p));
            let any = match which {
                Which::Source => hit(s),
                Which::Destination => hit(d),
                Which::Either => hit(s) || hit(d),
            };
            ip.ports().is_some() && any != *not
        }
        Match::Mark { value, mask, not } => (skb.mark & mask == *value) != *not,
        Match::Connmark { value, mask, not } => {
            env.conn(skb).is_some_and(|(c, ..)| (c.mark & mask == *value) != *not)
        }
        Match::Conntrack(c) => match_conntrack(c, skb, env),
        Match::State(s, not) => (state_bit(skb, env) & s.0 != 0) != *not,
        Match::Statistic(Statistic::Random { share, not }) => {
            ((env.stream.bits() as u32 & 0x7fff_ffff) < *share) != *not
        }
        Match::Statistic(Statistic::Nth { every, packet, not }) => {
            // Counts from 0; the rule hits when the count equals `packet` from the end, as xt_statistic's preset does.
            let n = (*state + u64::from(every - 1 - packet)) % u64::from(*every);
            *state = (*state + 1) % u64::from(*every);
            (n == u64::from(every - 1)) != *not
        }
        Match::AddrType(a) => {
            let class = |addr: IpAddr| classify(addr, env, a);
            a.src.is_none_or(|(b, not)| (b & class(ip.src) != 0) != not)
                && a.dst.is_none_or(|(b, not)| (b & class(ip.dst) != 0) != not)
        }
        Match::Recent(r) => recent(r, ip, env),
        Match::Set { name, src, not } => env.sets.get(name).is_some_and(|s| s.matches(ip, src)) != *not,
        Match::Physdev(p) => physdev(p, env),
        Match::Limit { avg, burst } => limit(*avg, *burst, env.now, state),
        Match::Mac { source, not } => env.iif.1 != 0 && (skb.src_mac == *source) != *not,
    }
}

fn state_bit(skb: &Skb, env: &Env<'_>) -> u16 {
    match (&skb.ct, env.conn(skb)) {
        (Ct::Untracked, _) => States::UNTRACKED,
        (_, Some((_, _, CtState::New))) => States::NEW,
        (_, Some((_, _, CtState::Related))) => States::RELATED,
        (_, Some(_)) => States::ESTABLISHED,
        _ => States::INVALID,
    }
}

fn match_conntrack(m: &ConntrackMatch, skb: &Skb, env: &Env<'_>) -> bool {
    let conn = env.conn(skb);
    if let Some((want, not)) = m.state {
        let mut is = state_bit(skb, env);
        if let Some((c, ..)) = conn {
            is |= if c.has(status::SRC_NAT) { States::SNAT } else { 0 };
            is |= if c.has(status::DST_NAT) { States::DNAT } else { 0 };
        }
        if (is & want.0 != 0) == not {
            return false;
        }
    }
    let rest = m.proto.is_some()
        || m.status.is_some()
        || m.dir.is_some()
        || m.addrs.iter().any(Option::is_some)
        || m.ports.iter().any(Option::is_some);
    let Some((c, reply, _)) = conn else { return !rest };
    let addrs = [c.orig.src, c.orig.dst, c.reply.src, c.reply.dst];
    let ports = [c.orig.sport, c.orig.dport, c.reply.sport, c.reply.dport];
    let status_bits = u8::from(c.has(status::SEEN_REPLY)) << 1
        | u8::from(c.has(status::ASSURED)) << 2
        | u8::from(c.has(status::CONFIRMED)) << 3;
    m.dir.is_none_or(|d| d == reply)
        && m.proto.is_none_or(|(p, not)| (c.orig.proto == p) != not)
        && m.status.is_none_or(|(s, not)| {
            let hit = if s == 0 { status_bits == 0 } else { status_bits & s != 0 };
            hit != not
        })
        && m.addrs.iter().zip(addrs).all(|(a, is)| a.is_none_or(|a| a.matches(bits(is))))
        && m.ports.iter().zip(ports).all(|(p, is)| p.is_none_or(|p| p.matches(is)))
}

/// The address's types as a bit set of [`ADDR_TYPES`].
fn classify(a: IpAddr, env: &Env<'_>, m: &AddrType) -> u16 {
    let only = match (m.limit_in, m.limit_out) {
        (true, _) => env.iif.1,
        (_, true) => env.oif.1,
        _ => 0,
    };
    let here = |dev: &u32| only == 0 || *dev == only;
    let index = match a {
        IpAddr::V4(v) if v.is_unspecified() => 0,
        IpAddr::V4(v) if v.is_broadcast() => 3,
        IpAddr::V4(v) if v.is_multicast() => 5,
        IpAddr::V4(v) if v.is_loopback() => 2,
        _ if env.local.get(&a).is_some_and(here) => 2,
        _ if env.broadcast.get(&a).is_some_and(here) => 3,
        _ => 1,
    };
    1 << index
}

fn recent(r: &Recent, ip: &Ip, env: &mut Env<'_>) -> bool {
    let addr = bits(if r.rdest { ip.dst } else { ip.src }) & r.mask;
    let (now, ttl) = (env.now, ip.ttl);
    if env.recents.get(&r.name).is_none() {
        env.recents.insert(r.name.clone(), OrdMap::new());
    }
    let Some(list) = env.recents.get_mut(&r.name) else { return false };
    let young = |s: &Instant| r.seconds == 0 || now.since(*s).as_secs() <= u64::from(r.seconds);
    let known = list.get(&addr).filter(|e| !r.rttl || e.ttl == ttl);
    let hit = match (r.op, known) {
        (RecentOp::Set, _) => {
            touch(list, addr, ttl, now);
            true
        }
        (_, None) => false,
        (RecentOp::Remove, Some(_)) => {
            list.remove(&addr);
            true
        }
        (op, Some(e)) => {
            let hits = e.stamps.iter().filter(|s| young(s)).count();
            let hit = hits >= (r.hitcount.max(1) as usize);
            if r.reap && e.stamps.last().is_some_and(|s| !young(s)) {
                list.remove(&addr);
            }
            if hit && op == RecentOp::Update {
                touch(list, addr, ttl, now);
            }
            hit
        }
    };
    hit != r.not
}

fn touch(list: &mut OrdMap<u32, Seen>, addr: u32, ttl: u8, now: Instant) {
    if !list.contains_key(&addr) && list.len() >= RECENT_ENTRIES_MAX {
        // The one that was not seen for the longest gives way.
        let oldest = list.iter().min_by_key(|(a, e)| (e.stamps.last().copied(), **a)).map(|(a, _)| *a);
        if let Some(a) = oldest {
            list.remove(&a);
        }
    }
    let mut e = list.get(&addr).cloned().unwrap_or_default();
    e.ttl = ttl;
    e.stamps.push_back(now);
    if e.stamps.len() > RECENT_STAMPS_MAX {
        e.stamps.pop_front();
    }
    list.insert(addr, e);
}

fn physdev(p: &Physdev, env: &Env<'_>) -> bool {
    let bridged = !env.physin.is_empty() && !env.physout.is_empty();
    p.is_in.is_none_or(|not| env.physin.is_empty() == not)
        && p.is_out.is_none_or(|not| env.physout.is_empty() == not)
        && p.is_bridged.is_none_or(|not| bridged != not)
        && p.input.as_ref().is_none_or(|i| i.matches(env.physin))
        && p.output.as_ref().is_none_or(|i| i.matches(env.physout))
}

/// A token bucket: `state` is the instant in ns at which it is full again.
fn limit(avg: u32, burst: u32, now: Instant, state: &mut u64) -> bool {
    let cost = u64::from(avg) * 100_000;
    let capacity = cost * u64::from(burst.max(1));
    let full_at = (*state).max(now.nanos());
    let missing = full_at - now.nanos();
    if missing + cost > capacity {
        return false;
    }
    *state = full_at + cost;
    true
}
