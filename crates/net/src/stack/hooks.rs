//! Netfilter hooks in the kernel's order of priorities: raw, connection tracking, mangle, destination NAT, filter, source
//! NAT, confirmation.

use super::Core;
use crate::conntrack::{Ct, CtState, Full};
use crate::device::IfIndex;
use crate::namespace::{LO, Namespace};
use crate::nat::{self, Manip};
use crate::netfilter::eval::{self, By, Env, Verdict};
use crate::netfilter::{Hook, NatRange, RejectWith, TableName, Target};
use crate::skb::Skb;
use crate::trace::{DropCause, What};
use crate::wire::icmpv4::kind;
use crate::{Icmp, L4};
use core::net::{IpAddr, Ipv4Addr};

impl Namespace {
    /// Shows a packet to a hook other than OUTPUT. `false`: it is gone, its end is told.
    pub(crate) fn hook(
        &mut self,
        core: &mut Core,
        hook: Hook,
        skb: &mut Skb,
        iif: IfIndex,
        oif: IfIndex,
        physout: IfIndex,
    ) -> bool {
        if self.nf.is_empty() {
            return true;
        }
        let mut at = At { hook, iif, oif, physout };
        match hook {
            Hook::Prerouting => {
                self.table(core, TableName::Raw, &at, skb)
                    && self.track(core, &at, skb)
                    && self.table(core, TableName::Mangle, &at, skb)
                    && self.nat(core, &at, skb, Manip::Dst)
            }
            Hook::Input => {
                self.table(core, TableName::Mangle, &at, skb)
                    && self.table(core, TableName::Filter, &at, skb)
                    && self.nat(core, &at, skb, Manip::Src)
                    && self.confirm(core, &at, skb)
            }
            Hook::Forward => {
                self.table(core, TableName::Mangle, &at, skb) && self.table(core, TableName::Filter, &at, skb)
            }
            Hook::Postrouting => {
                at.iif = 0;
                self.table(core, TableName::Mangle, &at, skb)
                    && self.nat(core, &at, skb, Manip::Src)
                    && self.confirm(core, &at, skb)
            }
            Hook::Output => true,
        }
    }

    /// Shows a packet to OUTPUT. After NAT `reroute` says by which device it leaves now.
    pub(crate) fn output_hook(
        &mut self,
        core: &mut Core,
        skb: &mut Skb,
        oif: IfIndex,
        reroute: impl FnOnce(&mut Namespace, &mut Skb) -> Option<IfIndex>,
    ) -> bool {
        if self.nf.is_empty() {
            return true;
        }
        let mut at = At { hook: Hook::Output, iif: 0, oif, physout: 0 };
        let ok = self.table(core, TableName::Raw, &at, skb)
            && self.track(core, &at, skb)
            && self.table(core, TableName::Mangle, &at, skb)
            && self.nat(core, &at, skb, Manip::Dst);
        if !ok {
            return false;
        }
        match reroute(self, skb) {
            Some(dev) => at.oif = dev,
            None => {
                let dst = skb.ip.dst;
                core.drop_skb(skb, &"".into(), Some(Hook::Output), DropCause::NoRoute(dst));
                return false;
            }
        }
        self.table(core, TableName::Filter, &at, skb)
    }

    /// Finds the packet's connection.
    fn track(&mut self, core: &mut Core, at: &At, skb: &mut Skb) -> bool {
        // Over loopback a packet keeps the connection that it got on its way out.
        if !self.nf.conntrack || skb.ct != Ct::None {
            return true;
        }
        skb.ct = self.ct.track(&skb.ip, core.now, skb.flow);
        if skb.rec.is_some() {
            let (state, conn) = match &skb.ct {
                Ct::None => (CtState::Invalid, None),
                Ct::Untracked => (CtState::Untracked, None),
                Ct::Known { id, state, .. } => (*state, self.ct.get(*id).map(|c| (c.orig, c.reply))),
                Ct::Fresh(c) | Ct::Answer(c) => (CtState::New, Some((c.orig, c.reply))),
            };
            skb.note(|| What::Track { hook: at.hook, state, conn });
        }
        true
    }

    fn walk(&mut self, core: &mut Core, table: TableName, at: &At, skb: &mut Skb) -> Verdict {
        let Namespace { nf, recents, sets, ct, local, broadcast, devices, id, .. } = self;
        let name = |i: IfIndex| devices.get(&i).map_or("", |d| d.name.as_str());
        let mut log = Vec::new();
        let mut env = Env {
            now: core.now,
            stream: &mut core.stream,
            recents,
            sets,
            conntrack: ct,
            local,
            broadcast,
            iif: (name(at.iif), at.iif),
            oif: (name(at.oif), at.oif),
            physin: name(skb.physin),
            physout: name(at.physout),
            log: &mut log,
            path_mtu: devices.get(&at.oif).map_or(1500, |d| d.mtu),
        };
        let v = eval::run(nf, table, at.hook, skb, &mut env);
        if !log.is_empty() {
            core.log(*id, log);
        }
        v
    }

    /// Shows a packet to a table other than nat.
    fn table(&mut self, core: &mut Core, table: TableName, at: &At, skb: &mut Skb) -> bool {
        if self.nf.table(table).is_none_or(|t| t.idle(at.hook)) {
            return true;
        }
        match self.walk(core, table, at, skb) {
            Verdict::Accept | Verdict::Nat(_) => true,
            Verdict::Drop(by) => {
                self.dropped(core, table, at, skb, by, false);
                false
            }
            Verdict::Reject(kind, by) => {
                match kind {
                    RejectWith::TcpReset => self.reject_reset(core, skb),
                    RejectWith::Icmp(code) => self.icmp_error(core, skb, kind::DEST_UNREACHABLE, code, 0),
                }
                self.dropped(core, table, at, skb, by, true);
                false
            }
        }
    }

    fn dropped(&mut self, core: &mut Core, table: TableName, at: &At, skb: &mut Skb, by: By, reject: bool) {
        if skb.rec.is_none() {
            return;
        }
        let table = smol_str::SmolStr::new_static(table.name());
        let cause = match by {
            By::Policy { chain } => DropCause::Policy { table, chain },
            By::Rule { chain, number, rule } if reject => {
                DropCause::Reject { table, chain, number, rule: rule.to_string() }
            }
            By::Rule { chain, number, rule } => {
                DropCause::Rule { table, chain, number, rule: rule.to_string() }
            }
        };
        core.drop_skb(skb, &"".into(), Some(at.hook), cause);
    }

    /// Translates a packet, deciding for the connection if this is its first packet.
    fn nat(&mut self, core: &mut Core, at: &At, skb: &mut Skb, manip: Manip) -> bool {
        if self.nf.table(TableName::Nat).is_none() {
            return true;
        }
        if let Ct::Fresh(c) = &skb.ct
            && !c.has(manip.done())
            && !self.nat_decide(core, at, skb, manip)
        {
            return false;
        }
        let conn = match &skb.ct {
            Ct::Known { id, reply, .. } => self.ct.get(*id).map(|c| (c, *reply)),
            Ct::Fresh(c) => Some((&**c, false)),
            Ct::Answer(c) => Some((&**c, true)),
            _ => None,
        };
        let Some((c, reply)) = conn else { return true };
        if nat::misleads(&skb.ip, c) {
            core.drop_skb(skb, &"".into(), Some(at.hook), DropCause::NatClash);
            return false;
        }
        let rewrite = match &skb.ip.l4 {
            L4::Icmp(Icmp::Error { .. }) => nat::apply_error(&mut skb.ip, c, reply, manip),
            _ => nat::apply(&mut skb.ip, c, reply, manip),
        };
        if let Some((before, after)) = rewrite {
            skb.note(|| What::Rewrite { hook: at.hook, before, after });
        }
        true
    }

    /// Asks the nat table what to do with a new connection.
    fn nat_decide(&mut self, core: &mut Core, at: &At, skb: &mut Skb, manip: Manip) -> bool {
        let idle = self.nf.table(TableName::Nat).is_none_or(|t| t.idle(at.hook));
        let verdict = if idle { Verdict::Accept } else { self.walk(core, TableName::Nat, at, skb) };
        let range = match verdict {
            Verdict::Nat(target) => match self.nat_range(&target, at, skb) {
                Some(r) => r,
                None => {
                    core.drop_skb(skb, &"".into(), Some(at.hook), DropCause::NatClash);
                    return false;
                }
            },
            Verdict::Drop(by) | Verdict::Reject(_, by) => {
                self.dropped(core, TableName::Nat, at, skb, by, false);
                return false;
            }
            Verdict::Accept => NatRange::default(),
        };
        let Ct::Fresh(c) = &mut skb.ct else { return true };
        if nat::setup(&self.ct, c, manip, &range, &mut core.stream) {
            return true;
        }
        core.drop_skb(skb, &"".into(), Some(at.hook), DropCause::NatClash);
        false
    }

    /// What a NAT target means here and now.
    fn nat_range(&self, target: &Target, at: &At, skb: &Skb) -> Option<NatRange> {
        let to = |a: IpAddr, r: &NatRange| match a {
            IpAddr::V4(a) => Some(NatRange { addrs: Some((a, a)), ..*r }),
            IpAddr::V6(_) => None,
        };
        match target {
            Target::Dnat(r) | Target::Snat(r) => Some(*r),
            Target::Masquerade(r) => {
                let next = match self.lookup(skb.ip.dst, at.oif) {
                    crate::namespace::Decision::Out { next, .. } => next,
                    _ => skb.ip.dst,
                };
                to(self.source(at.oif, next)?, r)
            }
            Target::Redirect(r) if at.hook == Hook::Output => to(Ipv4Addr::LOCALHOST.into(), r),
            Target::Redirect(r) => {
                let dev = if at.iif == 0 { LO } else { at.iif };
                to(self.addrs.iter().find(|a| a.dev == dev)?.cidr.addr, r)
            }
            _ => Some(NatRange::default()),
        }
    }

    /// Puts a new connection into the table: its first packet has got through.
    fn confirm(&mut self, core: &mut Core, at: &At, skb: &mut Skb) -> bool {
        if !matches!(skb.ct, Ct::Fresh(_)) {
            return true;
        }
        let Ct::Fresh(c) = core::mem::replace(&mut skb.ct, Ct::None) else { return true };
        match self.ct.confirm(*c, core.now, self.sysctl.conntrack_max) {
            Ok(id) => {
                skb.ct = Ct::Known { id, reply: false, state: CtState::New };
                true
            }
            Err(e) => {
                let cause = match e {
                    Full::Table => DropCause::ConntrackFull,
                    Full::Clash => DropCause::NatClash,
                };
                core.drop_skb(skb, &"".into(), Some(at.hook), cause);
                false
            }
        }
    }
}

/// Where in the path a packet is.
struct At {
    hook: Hook,
    iif: IfIndex,
    oif: IfIndex,
    physout: IfIndex,
}
