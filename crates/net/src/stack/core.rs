//! What all namespaces share: the clock, the event queue, the packets in work, traces and captures.

use crate::device::{IfIndex, Segment, SegmentId};
use crate::skb::{Pdu, Skb};
use crate::socket::SocketId;
use crate::trace::{DropCause, FlowId, Recording, What};
use crate::{Frame, NsId};
use core::net::IpAddr;
use sim::persistent::{OrdMap, Vector};
use sim::{Cause, Duration, Instant, Limits, Queue, Stream};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that happens later.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A frame arrives from another host.
    Frame(NsId, IfIndex, Arc<Pdu>),
    /// A packet reaches the sockets.
    Deliver(NsId, Arc<Skb>),
    /// A socket's timer.
    Socket(NsId, SocketId),
    /// A neighbour's timer.
    Neigh(NsId, IfIndex, IpAddr),
}

/// Something to be done at this instant.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A frame arrives at a device.
    Rx(NsId, IfIndex, Pdu),
    /// A packet made here is to be routed.
    Output(NsId, Box<Skb>),
}

/// The number of a capture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CaptureId(pub u64);

/// Frames seen at a device, as tcpdump sees them.
#[derive(Clone, Debug)]
pub struct Capture {
    pub(crate) ns: NsId,
    /// All devices if `None`.
    pub(crate) dev: Option<IfIndex>,
    pub(crate) left: usize,
    pub(crate) frames: Vector<(Instant, Arc<Frame>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub now: Instant,
    pub queue: Queue<Event>,
    pub work: Vec<Work>,
    /// Chance of rules, ports and sequence numbers.
    pub stream: Stream,
    /// Chance of links.
    pub link_stream: Stream,
    pub segments: OrdMap<SegmentId, Arc<Segment>>,
    pub traces: Vector<Arc<Recording>>,
    pub trace_all: bool,
    pub next_trace: u64,
    pub next_flow: u64,
    pub ready: Vec<(NsId, SocketId)>,
    pub log: Vector<(NsId, SmolStr)>,
    pub captures: BTreeMap<CaptureId, Capture>,
}

impl Core {
    pub fn new(stream: &mut Stream) -> Core {
        let mut child = |n: &str| sim::Seed(stream.bits()).stream(n);
        Core {
            now: Instant::ZERO,
            queue: Queue::new(),
            work: Vec::new(),
            stream: child("kernel"),
            link_stream: child("links"),
            segments: OrdMap::new(),
            traces: Vector::new(),
            trace_all: false,
            next_trace: 0,
            next_flow: 0,
            ready: Vec::new(),
            log: Vector::new(),
            captures: BTreeMap::new(),
        }
    }

    pub fn flow(&mut self) -> FlowId {
        self.next_flow += 1;
        FlowId(self.next_flow)
    }

    /// Tells the caller that a socket has changed.
    pub fn wake(&mut self, ns: NsId, id: SocketId) {
        if self.ready.last() != Some(&(ns, id)) {
            self.ready.push((ns, id));
        }
    }

    /// Starts a trace of the packet as it is now.
    pub fn record(&mut self, skb: &mut Skb, reply: bool) {
        self.next_trace += 1;
        skb.rec = Some(Box::new(Recording {
            id: self.next_trace,
            flow: skb.flow,
            reply,
            cause: skb.cause,
            start: self.now,
            first: skb.ip.clone(),
            base: self.now,
            hops: Vec::with_capacity(16),
            delivered: false,
        }));
        skb.note(|| What::Sent);
    }

    /// Keeps a finished trace. Of copies of one packet the one that was delivered, or got farther, wins.
    fn keep(&mut self, rec: Recording) {
        let stray = |r: &Recording| {
            let last = r.hops.last().map(|(_, h)| &h.what);
            matches!(last, Some(What::Dropped { cause: DropCause::OtherStation(_), .. }))
        };
        let n = self.traces.len();
        for i in (n.saturating_sub(16)..n).rev() {
            let Some(old) = self.traces.get(i).filter(|t| t.id == rec.id) else { continue };
            if !old.delivered && (rec.delivered || stray(old)) {
                self.traces.set(i, Arc::new(rec));
            }
            return;
        }
        self.traces.push_back(Arc::new(rec));
        if self.traces.len() > Limits::TABLE.packet_traces_max {
            self.traces.pop_front();
        }
    }

    /// Ends a packet that reached what it was for.
    pub fn delivered(&mut self, skb: &mut Skb, to: impl FnOnce() -> SmolStr) {
        skb.note(|| What::Delivered { to: to() });
        if let Some(mut r) = skb.rec.take() {
            r.delivered = true;
            self.keep(*r);
        }
    }

    /// Ends a packet that is dropped.
    pub fn drop_skb(
        &mut self,
        skb: &mut Skb,
        dev: &SmolStr,
        hook: Option<crate::netfilter::Hook>,
        cause: DropCause,
    ) {
        skb.note(|| What::Dropped { dev: dev.clone(), hook, cause });
        if let Some(r) = skb.rec.take() {
            self.keep(*r);
        }
    }

    pub fn drop_pdu(&mut self, pdu: &mut Pdu, dev: &SmolStr, cause: DropCause) {
        if let Pdu::Ip(s) = pdu {
            self.drop_skb(s, dev, None, cause);
        }
    }

    pub fn capture(&mut self, ns: NsId, dev: IfIndex, pdu: &Pdu) {
        if self.captures.is_empty() {
            return;
        }
        let now = self.now;
        let delay = match pdu {
            Pdu::Arp(a) => a.delay_ns,
            Pdu::Ip(s) => s.delay_ns,
        };
        let mut frame = None;
        for c in self.captures.values_mut() {
            if c.ns == ns && c.left > 0 && c.dev.is_none_or(|d| d == dev) {
                let f = frame.get_or_insert_with(|| Arc::new(pdu.frame()));
                c.frames.push_back((now + Duration::from_nanos(delay), f.clone()));
                c.left -= 1;
            }
        }
    }

    /// Lets a packet reach the sockets when its delay is over.
    pub fn deliver(&mut self, ns: NsId, mut skb: Skb) {
        let at = self.now + skb.delay();
        // What a socket says belongs to the connection by its addresses alone.
        (skb.delay_ns, skb.ct) = (0, crate::conntrack::Ct::None);
        if let Some(r) = &mut skb.rec {
            r.base = at;
        }
        self.queue.push(at, Event::Deliver(ns, Arc::new(skb)));
    }

    /// Lets a frame reach another host.
    pub fn arrive(&mut self, ns: NsId, dev: IfIndex, mut pdu: Pdu, latency: Duration) {
        let at = self.now + Duration::from_nanos(*pdu.delay_ns()) + latency;
        *pdu.delay_ns() = 0;
        if let Pdu::Ip(s) = &mut pdu
            && let Some(r) = &mut s.rec
        {
            r.base = at;
        }
        self.queue.push(at, Event::Frame(ns, dev, Arc::new(pdu)));
    }

    pub fn log(&mut self, ns: NsId, lines: Vec<String>) {
        for l in lines {
            self.log.push_back((ns, l.into()));
            if self.log.len() > Limits::TABLE.kernel_log_lines_max {
                self.log.pop_front();
            }
        }
    }

    /// A packet that the kernel makes itself.
    pub fn kernel_skb(&self, ip: crate::Ip, flow: FlowId, cause: Cause, delay_ns: u64) -> Box<Skb> {
        let mut skb = Skb::new(ip, flow, cause);
        skb.delay_ns = delay_ns;
        Box::new(skb)
    }
}
