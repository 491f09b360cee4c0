//! Packet traces: the way of a packet, hop by hop, with the reason for each turn.
//!
//! While a packet travels its hops are compact (`Recording`); [`PacketTrace`] is the plain data that views and files
//! get. The first packet of a flow in each direction has a trace, every packet if [`crate::Net::trace_all`] is on.
//! *Invariant*: traces are only written by the code that moves packets, and never read by it.

use crate::conntrack::{CtState, Tuple};
use crate::netfilter::{Hook, Rule, TableName};
use crate::route::dst_text;
use crate::{Cidr, Ip, MacAddr};
use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use sim::{Cause, Duration, Instant, Limits};
use smol_str::SmolStr;
use std::sync::Arc;

/// A conversation: the packet that a socket sent first, and all that follow from it in both directions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct FlowId(pub u64);

/// Why a packet was dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DropCause {
    /// A chain's policy.
    Policy {
        /// Table.
        table: SmolStr,
        /// Builtin chain.
        chain: SmolStr,
    },
    /// A rule.
    Rule {
        /// Table.
        table: SmolStr,
        /// Chain.
        chain: SmolStr,
        /// Number of the rule, from 1.
        number: u32,
        /// The rule.
        rule: String,
    },
    /// A rule that answers the sender.
    Reject {
        /// Table.
        table: SmolStr,
        /// Chain.
        chain: SmolStr,
        /// Number of the rule, from 1.
        number: u32,
        /// The rule.
        rule: String,
    },
    /// No route leads there.
    NoRoute(IpAddr),
    /// It is for somebody else, and this host does not forward (`net.ipv4.ip_forward = 0`).
    ForwardingOff,
    /// Its time to live ended.
    TtlExceeded,
    /// Its source cannot be real on this device.
    Martian(IpAddr),
    /// The way back would not leave by the device it came from (`rp_filter`).
    ReversePath(IpAddr),
    /// The device is down.
    DeviceDown(SmolStr),
    /// The device has no link.
    NoCarrier(SmolStr),
    /// Nobody answered for that address.
    NoNeighbour(IpAddr),
    /// Too many packets wait for that neighbour.
    NeighbourQueueFull(IpAddr),
    /// Too big for the link, and fragmenting is forbidden.
    TooBig {
        /// The link's MTU.
        mtu: u32,
    },
    /// The frame is for another station.
    OtherStation(MacAddr),
    /// No port of the bridge may have it.
    NoBridgePort,
    /// The tunnel knows no end for that station.
    NoTunnelEnd(MacAddr),
    /// The network between the hosts is cut.
    LinkCut(SmolStr),
    /// Lost on the network between the hosts.
    Lost(SmolStr),
    /// No socket wants it.
    NoSocket,
    /// The listener's queue is full.
    BacklogFull,
    /// The socket's buffer is full.
    BufferFull,
    /// No connection that this segment could belong to.
    NotInSequence,
    /// The connection table is full.
    ConntrackFull,
    /// No address translation is free, or another packet was faster.
    NatClash,
    /// It went in circles.
    TooManyHops,
    /// The namespace is gone.
    NamespaceGone,
    /// The protocol is unknown here.
    UnknownProtocol(u8),
}

impl fmt::Display for DropCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropCause::Policy { table, chain } => write!(f, "policy DROP of {chain} in table {table}"),
            DropCause::Rule { table, chain, number, rule } => {
                write!(f, "dropped by rule {number} of {chain} in table {table}: {rule}")
            }
            DropCause::Reject { table, chain, number, rule } => {
                write!(f, "rejected by rule {number} of {chain} in table {table}: {rule}")
            }
            DropCause::NoRoute(a) => write!(f, "no route to {a}"),
            DropCause::ForwardingOff => f.write_str("not for this host, and net.ipv4.ip_forward is 0"),
            DropCause::TtlExceeded => f.write_str("time to live exceeded"),
            DropCause::Martian(a) => write!(f, "martian source {a}"),
            DropCause::ReversePath(a) => write!(f, "reverse path filter: {a} is not reached by this device"),
            DropCause::DeviceDown(d) => write!(f, "device {d} is down"),
            DropCause::NoCarrier(d) => write!(f, "device {d} has no carrier"),
            DropCause::NoNeighbour(a) => write!(f, "no ARP answer from {a}"),
            DropCause::NeighbourQueueFull(a) => write!(f, "too many packets wait for the ARP answer of {a}"),
            DropCause::TooBig { mtu } => write!(f, "too big for MTU {mtu}, and DF is set"),
            DropCause::OtherStation(m) => write!(f, "frame is for {m}"),
            DropCause::NoBridgePort => f.write_str("no bridge port to forward to"),
            DropCause::NoTunnelEnd(m) => write!(f, "no tunnel end known for {m}"),
            DropCause::LinkCut(s) => write!(f, "network {s} is cut"),
            DropCause::Lost(s) => write!(f, "lost on network {s}"),
            DropCause::NoSocket => f.write_str("no socket is bound there"),
            DropCause::BacklogFull => f.write_str("the listener's backlog is full"),
            DropCause::BufferFull => f.write_str("the socket's buffer is full"),
            DropCause::NotInSequence => f.write_str("segment does not fit its connection"),
            DropCause::ConntrackFull => f.write_str("nf_conntrack: table full, dropping packet"),
            DropCause::NatClash => f.write_str("no free address translation"),
            DropCause::TooManyHops => f.write_str("too many hops"),
            DropCause::NamespaceGone => f.write_str("the network namespace is gone"),
            DropCause::UnknownProtocol(p) => write!(f, "protocol {p} is unknown here"),
        }
    }
}

/// One step of a packet, compactly.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Sent,
    Rx { dev: SmolStr },
    Tx { dev: SmolStr },
    Bridge { bridge: SmolStr, to: BridgeTo },
    Track { hook: Hook, state: CtState, conn: Option<(Tuple, Tuple)> },
    Rule { hook: Hook, table: TableName, chain: SmolStr, number: u32, rule: Arc<Rule> },
    Rewrite { hook: Hook, before: Tuple, after: Tuple },
    Route { dst: IpAddr, local: bool, route: Option<Cidr>, dev: SmolStr, via: Option<IpAddr> },
    Neighbour { addr: IpAddr, mac: Option<MacAddr> },
    Encap { dev: SmolStr, vni: u32, src: IpAddr, dst: IpAddr },
    Decap { dev: SmolStr, vni: u32 },
    Wire { segment: SmolStr, latency: Duration },
    Delivered { to: SmolStr },
    Dropped { dev: SmolStr, hook: Option<Hook>, cause: DropCause },
}

/// Where a bridge sends a frame.
#[derive(Clone, Debug)]
pub(crate) enum BridgeTo {
    Host,
    Port(SmolStr),
    Flood(usize),
}

/// A hop with its place and time.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    /// Nanoseconds after the last event.
    pub after_ns: u64,
    pub place: SmolStr,
    pub what: What,
}

/// The trace of a packet under way or kept.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub id: u64,
    pub flow: FlowId,
    pub reply: bool,
    pub cause: Cause,
    pub start: Instant,
    pub first: Ip,
    /// When the last event was; hops count from it.
    pub base: Instant,
    pub hops: Vec<(Instant, Hop)>,
    pub delivered: bool,
}

impl Recording {
    pub fn push(&mut self, hop: Hop) {
        if self.hops.len() < Limits::TABLE.packet_hops_max {
            let at = self.base + Duration::from_nanos(hop.after_ns);
            self.hops.push((at, hop));
        }
    }
}

/// A change of a packet's addresses or ports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rewrite {
    /// `source` or `destination`.
    pub field: SmolStr,
    /// Before, `10.96.0.10:80`.
    pub from: String,
    /// After, `10.244.1.5:8080`.
    pub to: String,
}

/// One hop of a trace. Fields that do not apply are empty.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TraceHop {
    /// Nanoseconds since the cluster's epoch.
    pub at_ns: u64,
    /// Network namespace, or the network between hosts.
    pub namespace: SmolStr,
    /// Kind of step: `sent`, `rx`, `tx`, `bridge`, `conntrack`, `rule`, `nat`, `route`, `neighbour`, `encap`, `decap`, `wire`,
    /// `delivered`, `dropped`.
    pub step: SmolStr,
    /// Device.
    pub device: Option<SmolStr>,
    /// Hook.
    pub hook: Option<Hook>,
    /// Table.
    pub table: Option<TableName>,
    /// Chain.
    pub chain: Option<SmolStr>,
    /// Number of the rule in its chain, from 1.
    pub rule_number: Option<u32>,
    /// The rule as iptables-save prints it.
    pub rule: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// What the packet matched.
    pub matched: Option<String>,
    /// What was rewritten.
    pub rewrite: Option<Rewrite>,
    /// Connection tracking state.
    pub conntrack: Option<CtState>,
    /// Routing decision.
    pub route: Option<String>,
    /// What is done with the packet: the rule's target, `DELIVER`, `DROP`.
    pub verdict: Option<String>,
    /// Why it was dropped.
    pub cause: Option<DropCause>,
    /// The hop in words.
    pub text: String,
}

/// The way of one packet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PacketTrace {
    /// The packet's number.
    pub id: u64,
    /// The conversation that it belongs to.
    pub flow: FlowId,
    /// Whether it goes back to the one who began.
    pub reply: bool,
    /// What led to it.
    pub cause: Cause,
    /// When it was sent, in nanoseconds since the cluster's epoch.
    pub at_ns: u64,
    /// The packet as it was sent, in tcpdump's words.
    pub packet: String,
    /// Its way.
    pub hops: Vec<TraceHop>,
    /// Whether it reached a socket or the kernel that it was for.
    pub delivered: bool,
    /// Why it was dropped, if it was.
    pub drop: Option<DropCause>,
}

fn end(a: IpAddr, port: u16, t: &Tuple) -> String {
    if matches!(t.proto, 6 | 17 | 132) { format!("{a}:{port}") } else { a.to_string() }
}

fn rewrites(b: &Tuple, a: &Tuple) -> Option<Rewrite> {
    if (b.dst, b.dport) != (a.dst, a.dport) {
        let (from, to) = (end(b.dst, b.dport, b), end(a.dst, a.dport, a));
        return Some(Rewrite { field: "destination".into(), from, to });
    }
    if (b.src, b.sport) != (a.src, a.sport) {
        let (from, to) = (end(b.src, b.sport, b), end(a.src, a.sport, a));
        return Some(Rewrite { field: "source".into(), from, to });
    }
    None
}

fn rule_hop(h: &mut TraceHop, hook: Hook, table: TableName, chain: &SmolStr, number: u32, rule: &Rule) {
    let conditions = rule.conditions();
    let target = rule.target_text();
    let target = if target.is_empty() { "(no target)".to_string() } else { target };
    h.step = "rule".into();
    h.text = format!("{} {chain} rule {number}: {rule}", table.name());
    h.hook = Some(hook);
    h.table = Some(table);
    h.chain = Some(chain.clone());
    h.rule_number = Some(number);
    h.rule = Some(rule.to_string());
    h.comment = rule.comment().map(str::to_string);
    h.matched = Some(if conditions.is_empty() { "every packet".into() } else { conditions });
    h.verdict = Some(target.trim_start_matches("-j ").trim_start_matches("-g ").to_string());
}

impl TraceHop {
    fn of(at: Instant, hop: &Hop) -> TraceHop {
        let mut h = TraceHop { at_ns: at.nanos(), namespace: hop.place.clone(), ..TraceHop::default() };
        match &hop.what {
            What::Sent => (h.step, h.text) = ("sent".into(), "sent by a socket".into()),
            What::Rx { dev } => {
                (h.step, h.device, h.text) = ("rx".into(), Some(dev.clone()), format!("arrives by {dev}"));
            }
            What::Tx { dev } => {
                (h.step, h.device, h.text) = ("tx".into(), Some(dev.clone()), format!("leaves by {dev}"));
            }
            What::Bridge { bridge, to } => {
                h.step = "bridge".into();
                h.device = Some(bridge.clone());
                h.text = match to {
                    BridgeTo::Host => format!("bridge {bridge} hands it to this host"),
                    BridgeTo::Port(p) => format!("bridge {bridge} forwards it to port {p}"),
                    BridgeTo::Flood(n) => {
                        format!("bridge {bridge} does not know the station: floods {n} ports")
                    }
                };
            }
            What::Track { hook, state, conn } => {
                (h.step, h.hook, h.conntrack) = ("conntrack".into(), Some(*hook), Some(*state));
                h.text = match conn {
                    Some((orig, _)) => format!("conntrack {state} {orig}"),
                    None => format!("conntrack {state}"),
                };
            }
            What::Rule { hook, table, chain, number, rule } => {
                rule_hop(&mut h, *hook, *table, chain, *number, rule);
            }
            What::Rewrite { hook, before, after } => {
                (h.step, h.hook) = ("nat".into(), Some(*hook));
                h.rewrite = rewrites(before, after);
                if let Some(r) = &h.rewrite {
                    h.text = format!("rewrites the {} {} to {}", r.field, r.from, r.to);
                }
            }
            What::Route { dst, local, route, dev, via } => {
                h.step = "route".into();
                h.device = Some(dev.clone());
                let text = match (local, via) {
                    (true, _) => format!("{dst} is local to {dev}"),
                    (_, Some(v)) => format!("{dst} via {v} dev {dev}"),
                    _ => format!("{dst} dev {dev}"),
                };
                h.text = match route {
                    None => text.clone(),
                    Some(r) => format!("route {text} (by {})", dst_text(*r)),
                };
                h.route = Some(text);
            }
            What::Neighbour { addr, mac } => {
                h.step = "neighbour".into();
                h.text = match mac {
                    Some(m) => format!("neighbour {addr} is at {m}"),
                    None => format!("neighbour {addr} is unknown: asks by ARP and waits"),
                };
            }
            What::Encap { dev, vni, src, dst } => {
                (h.step, h.device) = ("encap".into(), Some(dev.clone()));
                h.text = format!("{dev} wraps it in VXLAN {vni}, {src} to {dst}");
            }
            What::Decap { dev, vni } => {
                (h.step, h.device) = ("decap".into(), Some(dev.clone()));
                h.text = format!("{dev} takes it out of VXLAN {vni}");
            }
            What::Wire { segment, latency } => {
                h.step = "wire".into();
                h.text = format!("crosses network {segment} in {} µs", latency.as_micros());
            }
            What::Delivered { to } => {
                (h.step, h.text) = ("delivered".into(), format!("delivered to {to}"));
                h.verdict = Some("DELIVER".into());
            }
            What::Dropped { dev, hook, cause } => {
                (h.step, h.text) = ("dropped".into(), format!("dropped: {cause}"));
                h.device = (!dev.is_empty()).then(|| dev.clone());
                h.hook = *hook;
                h.verdict = Some("DROP".into());
                h.cause = Some(cause.clone());
            }
        }
        h
    }
}

impl fmt::Display for TraceHop {
    /// One line: time within the packet's life is left to the trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match (&self.hook, &self.device) {
            (Some(h), _) => h.name(),
            (None, Some(d)) => d.as_str(),
            _ => "",
        };
        write!(f, "{:<14} {place:<15} {}", self.namespace, self.text)
    }
}

impl From<&Recording> for PacketTrace {
    fn from(r: &Recording) -> PacketTrace {
        let hops: Vec<TraceHop> = r.hops.iter().map(|(at, h)| TraceHop::of(*at, h)).collect();
        let drop = hops.iter().rev().find_map(|h| h.cause.clone());
        PacketTrace {
            id: r.id,
            flow: r.flow,
            reply: r.reply,
            cause: r.cause,
            at_ns: r.start.nanos(),
            packet: r.first.to_string(),
            delivered: r.delivered,
            drop: drop.filter(|_| !r.delivered),
            hops,
        }
    }
}

impl PacketTrace {
    /// The rules that it matched, in order: chain, number and rule.
    pub fn rules(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.hops.iter().filter_map(|h| Some((h.chain.as_deref()?, h.rule_number?, h.rule.as_deref()?)))
    }
}

impl fmt::Display for PacketTrace {
    /// A headline, one line a hop with microseconds since the sending, and the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.reply { "reply" } else { "forward" };
        writeln!(f, "packet {} of flow {} ({way}): {}", self.id, self.flow.0, self.packet)?;
        for h in &self.hops {
            writeln!(f, "{:>9} µs  {h}", h.at_ns.saturating_sub(self.at_ns) / 1000)?;
        }
        Ok(())
    }
}
