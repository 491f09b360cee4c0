//! A packet in the kernel: the IP packet with what it has met so far.

use crate::conntrack::Ct;
use crate::trace::{FlowId, Hop, Recording, What};
use crate::wire::arp;
use crate::{Body, Frame, Ip, MacAddr};
use sim::{Cause, Duration};
use smol_str::SmolStr;

/// A packet on its way through one namespace after another.
#[derive(Clone, Debug)]
pub(crate) struct Skb {
    pub ip: Ip,
    pub src_mac: MacAddr,
    pub dst_mac: MacAddr,
    pub mark: u32,
    pub ct: Ct,
    /// Device by which it came, 0 for none.
    pub iif: u32,
    /// Bridge port by which it came, 0 for none.
    pub physin: u32,
    /// The bridge has shown it to PREROUTING already.
    pub prerouted: bool,
    /// Its destination was translated to a neighbour of the bridge by which it came: stays on the bridge.
    pub bridged: bool,
    /// Time spent on the way since the last event, in ns.
    pub delay_ns: u64,
    /// Devices passed.
    pub hops: u16,
    pub flow: FlowId,
    pub cause: Cause,
    /// The trace, if this packet has one.
    pub rec: Option<Box<Recording>>,
    /// Name of the namespace in which it is, for the trace.
    pub place: SmolStr,
}

impl Skb {
    pub fn new(ip: Ip, flow: FlowId, cause: Cause) -> Skb {
        Skb {
            ip,
            src_mac: MacAddr::ZERO,
            dst_mac: MacAddr::ZERO,
            mark: 0,
            ct: Ct::None,
            iif: 0,
            physin: 0,
            prerouted: false,
            bridged: false,
            delay_ns: 0,
            hops: 0,
            flow,
            cause,
            rec: None,
            place: SmolStr::default(),
        }
    }

    /// Adds a hop to the trace, if there is one.
    pub fn note(&mut self, what: impl FnOnce() -> What) {
        if let Some(r) = &mut self.rec {
            let hop = Hop { after_ns: self.delay_ns, place: self.place.clone(), what: what() };
            r.push(hop);
        }
    }

    /// Forgets what only counts within one namespace.
    pub fn scrub(&mut self) {
        self.mark = 0;
        self.ct = Ct::None;
        self.iif = 0;
        self.physin = 0;
        self.prerouted = false;
        self.bridged = false;
    }

    pub fn spend(&mut self, ns: u64) {
        self.delay_ns += ns;
    }

    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay_ns)
    }
}

/// What a link carries.
#[derive(Clone, Debug)]
pub(crate) enum Pdu {
    Arp(Box<ArpPdu>),
    Ip(Box<Skb>),
}

/// An ARP packet on a link.
#[derive(Clone, Debug)]
pub(crate) struct ArpPdu {
    pub src_mac: MacAddr,
    pub dst_mac: MacAddr,
    pub arp: arp::Repr,
    pub delay_ns: u64,
    pub hops: u16,
}

impl Pdu {
    pub fn src(&self) -> MacAddr {
        match self {
            Pdu::Arp(a) => a.src_mac,
            Pdu::Ip(s) => s.src_mac,
        }
    }

    pub fn dst(&self) -> MacAddr {
        match self {
            Pdu::Arp(a) => a.dst_mac,
            Pdu::Ip(s) => s.dst_mac,
        }
    }

    pub fn bytes(&self) -> u64 {
        14 + match self {
            Pdu::Arp(_) => arp::PACKET_BYTES as u64,
            Pdu::Ip(s) => s.ip.len() as u64,
        }
    }

    pub fn spend(&mut self, ns: u64) {
        match self {
            Pdu::Arp(a) => a.delay_ns += ns,
            Pdu::Ip(s) => s.spend(ns),
        }
    }

    pub fn delay_ns(&mut self) -> &mut u64 {
        match self {
            Pdu::Arp(a) => &mut a.delay_ns,
            Pdu::Ip(s) => &mut s.delay_ns,
        }
    }

    /// Counts a device passed; `false` if there were too many.
    pub fn hop(&mut self) -> bool {
        let hops = match self {
            Pdu::Arp(a) => &mut a.hops,
            Pdu::Ip(s) => &mut s.hops,
        };
        *hops += 1;
        usize::from(*hops) <= sim::Limits::TABLE.packet_hops_max
    }

    pub fn note(&mut self, what: impl FnOnce() -> What) {
        if let Pdu::Ip(s) = self {
            s.note(what);
        }
    }

    pub fn frame(&self) -> Frame {
        let body = match self {
            Pdu::Arp(a) => Body::Arp(a.arp),
            Pdu::Ip(s) => Body::Ip(s.ip.clone()),
        };
        Frame { src: self.src(), dst: self.dst(), body }
    }
}
