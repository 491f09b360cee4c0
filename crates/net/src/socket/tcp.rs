//! A TCP endpoint as a state machine: segments and calls in, segments out. It knows no packets, routes or clocks.
//!
//! Models: RFC 9293's states with handshake, ordered data in segments of the maximum size, acknowledgement of each
//! segment, the peer's window with probes, out-of-order segments, FIN and RST, retransmission of SYN after 1, 2, 4… s
//! and of data after 0.2, 0.4… s. Not modelled: congestion control (all that the window allows goes out at once),
//! round-trip estimation, delayed and selective acknowledgement, keep-alive, urgent data. Timestamps are sent and echoed, but
//! not looked at.

use super::buffer::Buffer;
use crate::wire::tcp::{Flags, Repr};
use crate::{Bytes, Errno};
use sim::persistent::OrdMap;
use sim::{Duration, Instant, Limits};

const SYN_RTO: Duration = Duration::from_secs(1);
const DATA_RTO: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(120);
const TIME_WAIT: Duration = Duration::from_secs(60);
/// `tcp_fin_timeout`: how long a closed socket waits for the peer's FIN.
const FIN_TIMEOUT: Duration = Duration::from_secs(60);
/// `tcp_synack_retries` and `tcp_retries2`.
const SYNACK_RETRIES: u8 = 5;
const DATA_RETRIES: u8 = 15;
/// `tcp_orphan_retries` as it works out for a closed socket.
const ORPHAN_RETRIES: u8 = 8;
/// Out-of-order segments kept.
const OUT_OF_ORDER_MAX: usize = 256;
const WINDOW_SCALE: u8 = 7;
/// Maximum segment size if the peer names none.
const MSS_DEFAULT: u16 = 536;
/// What the timestamp option takes from each segment.
const TS_BYTES: u16 = 12;

/// States of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum State {
    /// Waits for connections.
    Listen,
    /// Has asked.
    SynSent,
    /// Was asked and has agreed.
    SynRecv,
    /// Open.
    Established,
    /// Closed here first.
    FinWait1,
    /// The peer has acknowledged that.
    FinWait2,
    /// Closed by the peer first.
    CloseWait,
    /// Closed by both at once.
    Closing,
    /// Closed by the peer, then here.
    LastAck,
    /// Over; old segments die out.
    TimeWait,
    /// Over.
    Closed,
}

impl State {
    /// Its name in `ss`.
    pub fn name(self) -> &'static str {
        match self {
            State::Listen => "LISTEN",
            State::SynSent => "SYN-SENT",
            State::SynRecv => "SYN-RECV",
            State::Established => "ESTAB",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
            State::Closed => "UNCONN",
        }
    }
}

/// A segment to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub flags: Flags,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub mss: Option<u16>,
    pub wscale: Option<u8>,
    /// The peer's timestamp to be echoed, if timestamps are in use.
    pub ts: Option<u32>,
    pub data: Bytes,
}

/// An endpoint that is no listener.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub state: State,
    pub error: Option<Errno>,
    /// The peer will send no more.
    pub eof: bool,
    /// No process has it any more.
    pub orphan: bool,
    /// When something must be done unless something happens.
    pub deadline: Option<Instant>,
    una: u32,
    nxt: u32,
    /// Sent or not, what the peer has not acknowledged; begins at `una` (after the SYN).
    out: Buffer,
    fin: bool,
    peer_window: u32,
    peer_scale: u8,
    pub mss: u16,
    own_mss: u16,
    /// The peer's last timestamp.
    ts: u32,
    rcv: u32,
    pub input: Buffer,
    ahead: OrdMap<u32, (Bytes, bool)>,
    /// Window that the peer knows of.
    told: u32,
    rto: Duration,
    retries: u8,
    syn_retries: u8,
}

/// `a < b` in sequence space.
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

impl Tcp {
    fn new(state: State, iss: u32, own_mss: u16, syn_retries: u8) -> Tcp {
        Tcp {
            state,
            error: None,
            eof: false,
            orphan: false,
            deadline: None,
            una: iss,
            nxt: iss,
            out: Buffer::default(),
            fin: false,
            peer_window: 0,
            peer_scale: 0,
            mss: MSS_DEFAULT,
            own_mss,
            ts: 0,
            rcv: 0,
            input: Buffer::default(),
            ahead: OrdMap::new(),
            told: 0,
            rto: SYN_RTO,
            retries: 0,
            syn_retries,
        }
    }

    /// Starts a connection.
    pub fn connect(iss: u32, mss: u16, syn_retries: u8, now: Instant, out: &mut Vec<Segment>) -> Tcp {
        let mut t = Tcp::new(State::SynSent, iss, mss, syn_retries);
        t.send_syn(out);
        t.deadline = Some(now + t.rto);
        t
    }

    /// Answers a SYN.
    pub fn answer(iss: u32, mss: u16, syn: &Repr, now: Instant, out: &mut Vec<Segment>) -> Tcp {
        let mut t = Tcp::new(State::SynRecv, iss, mss, SYNACK_RETRIES);
        t.take_syn(syn);
        t.send_syn(out);
        t.deadline = Some(now + t.rto);
        t
    }

    fn take_syn(&mut self, syn: &Repr) {
        self.rcv = syn.seq.wrapping_add(1);
        self.mss = syn.mss.unwrap_or(MSS_DEFAULT).min(self.own_mss).max(88) - TS_BYTES;
        self.ts = syn.ts.map_or(0, |t| t.0);
        self.peer_scale = syn.wscale.unwrap_or(0);
        self.peer_window = u32::from(syn.window);
    }

    fn send_syn(&mut self, out: &mut Vec<Segment>) {
        let flags = if self.state == State::SynSent { Flags::SYN } else { Flags::SYN | Flags::ACK };
        self.nxt = self.una.wrapping_add(1);
        self.told = 64_240;
        out.push(Segment {
            flags,
            seq: self.una,
            ack: if flags.has(Flags::ACK) { self.rcv } else { 0 },
            window: self.told as u16,
            mss: Some(self.own_mss),
            wscale: Some(WINDOW_SCALE),
            ts: Some(self.ts),
            data: Bytes::default(),
        });
    }

    fn free(&self) -> u32 {
        (Limits::TABLE.socket_bytes_max.saturating_sub(self.input.len())) as u32
    }

    fn segment(&mut self, flags: Flags, seq: u32, data: Bytes) -> Segment {
        let scaled = (self.free() >> WINDOW_SCALE).min(0xffff);
        self.told = scaled << WINDOW_SCALE;
        Segment {
            flags: flags | Flags::ACK,
            seq,
            ack: self.rcv,
            window: scaled as u16,
            mss: None,
            wscale: None,
            ts: Some(self.ts),
            data,
        }
    }

    fn ack_now(&mut self, out: &mut Vec<Segment>) {
        let s = self.segment(Flags(0), self.nxt, Bytes::default());
        out.push(s);
    }

    /// Bytes that may still be written.
    pub fn room(&self) -> usize {
        let open =
            matches!(self.state, State::Established | State::CloseWait | State::SynSent | State::SynRecv);
        if open && !self.fin { Limits::TABLE.socket_bytes_max.saturating_sub(self.out.len()) } else { 0 }
    }

    /// Bytes not yet acknowledged.
    pub fn unacked(&self) -> usize {
        self.out.len()
    }

    /// Whether the handshake is done, whatever came after.
    pub fn connected(&self) -> bool {
        !matches!(self.state, State::SynSent | State::SynRecv | State::Closed | State::Listen)
    }

    /// Queues data.
    pub fn write(&mut self, data: &[u8], now: Instant, out: &mut Vec<Segment>) -> Result<usize, Errno> {
        if let Some(e) = self.error {
            return Err(e);
        }
        if self.fin || matches!(self.state, State::Closed | State::TimeWait | State::LastAck) {
            return Err(Errno::EPIPE);
        }
        let n = data.len().min(self.room());
        if n == 0 && !data.is_empty() {
            return Err(Errno::EAGAIN);
        }
        self.out.push(data[..n].into());
        self.flush(now, out);
        Ok(n)
    }

    /// Takes received data; says how much window to announce.
    pub fn read(&mut self, n: usize, out: &mut Vec<Segment>) -> Bytes {
        let b = self.input.take(n);
        let mss = u32::from(self.mss);
        if self.connected() && self.told < mss && self.free() >= 2 * mss && self.state != State::TimeWait {
            self.ack_now(out);
        }
        b
    }

    /// No more data will be written.
    pub fn shutdown(&mut self, now: Instant, out: &mut Vec<Segment>) {
        if self.fin {
            return;
        }
        match self.state {
            State::Established | State::SynRecv => (self.fin, self.state) = (true, State::FinWait1),
            State::CloseWait => (self.fin, self.state) = (true, State::LastAck),
            State::SynSent => return self.end(None),
            _ => return,
        }
        self.flush(now, out);
    }

    /// The process lets go. Unread data makes it a reset.
    pub fn close(&mut self, now: Instant, out: &mut Vec<Segment>) {
        self.orphan = true;
        if !self.input.is_empty() && self.connected() && self.state != State::TimeWait {
            return self.abort(out);
        }
        self.shutdown(now, out);
        if self.state == State::FinWait2 {
            self.deadline = Some(now + FIN_TIMEOUT);
        }
    }

    /// Resets the connection.
    pub fn abort(&mut self, out: &mut Vec<Segment>) {
        if self.connected() || self.state == State::SynRecv {
            let s = self.segment(Flags::RST, self.nxt, Bytes::default());
            out.push(s);
        }
        self.end(None);
    }

    /// An ICMP error or a failed route.
    pub fn fail(&mut self, e: Errno, fatal: bool) -> bool {
        match self.state {
            State::SynSent | State::SynRecv => self.end(Some(e)),
            State::Closed | State::TimeWait => return false,
            _ if fatal && e != Errno::ECONNREFUSED => self.end(Some(e)),
            _ => return false,
        }
        true
    }

    /// A smaller path MTU became known.
    pub fn shrink(&mut self, mtu: u32, now: Instant, out: &mut Vec<Segment>) {
        let mss = mtu.saturating_sub(40).clamp(88, 65_495) as u16 - TS_BYTES;
        if mss < self.mss && self.connected() {
            self.mss = mss;
            self.nxt = self.una;
            self.flush(now, out);
        }
    }

    fn end(&mut self, e: Option<Errno>) {
        self.state = State::Closed;
        self.error = self.error.or(e);
        self.deadline = None;
        self.out = Buffer::default();
        self.ahead = OrdMap::new();
    }

    /// Sends what the window allows.
    fn flush(&mut self, now: Instant, out: &mut Vec<Segment>) {
        if !self.connected() || self.state == State::TimeWait {
            return;
        }
        loop {
            let sent = self.nxt.wrapping_sub(self.una) as usize;
            let all = self.out.len();
            if sent > all {
                break;
            }
            let window = (self.peer_window as usize).saturating_sub(sent);
            let n = (all - sent).min(usize::from(self.mss)).min(window);
            let last = sent + n == all;
            // The FIN travels with the last data; it has no room of its own in the window.
            let fin = self.fin && last;
            if n == 0 && !fin {
                break;
            }
            let mut flags = if n > 0 && last { Flags::PSH } else { Flags(0) };
            if fin {
                flags = flags | Flags::FIN;
            }
            let data = self.out.slice(sent, n);
            let s = self.segment(flags, self.nxt, data);
            out.push(s);
            self.nxt = self.nxt.wrapping_add(n as u32 + u32::from(fin));
            if fin {
                break;
            }
        }
        let waiting = self.nxt != self.una || !self.out.is_empty();
        if waiting && self.deadline.is_none() {
            self.rto = DATA_RTO;
            self.deadline = Some(now + self.rto);
        }
    }

    /// The deadline has come. Gives whether the state changed for the process.
    pub fn timeout(&mut self, now: Instant, out: &mut Vec<Segment>) -> bool {
        self.deadline = None;
        match self.state {
            State::TimeWait => {
                self.state = State::Closed;
                return false;
            }
            State::FinWait2 if self.orphan => {
                self.end(None);
                return false;
            }
            State::SynSent | State::SynRecv => {
                if self.retries >= self.syn_retries {
                    self.end(Some(Errno::ETIMEDOUT));
                    return true;
                }
                self.send_syn(out);
            }
            State::Closed | State::Listen => return false,
            _ => {
                if self.nxt == self.una && self.out.is_empty() {
                    return false;
                }
                let max = if self.orphan { ORPHAN_RETRIES } else { DATA_RETRIES };
                if self.retries >= max {
                    self.end(Some(Errno::ETIMEDOUT));
                    return true;
                }
                self.resend(out);
            }
        }
        self.retries += 1;
        self.rto = (self.rto * 2).min(RTO_MAX);
        self.deadline = Some(now + self.rto);
        false
    }

    /// Sends the first unacknowledged segment again, or one byte into a closed window.
    fn resend(&mut self, out: &mut Vec<Segment>) {
        let window = (self.peer_window as usize).max(1);
        let n = self.out.len().min(usize::from(self.mss)).min(window);
        let fin = self.fin && n == self.out.len();
        let mut flags = if n > 0 { Flags::PSH } else { Flags(0) };
        if fin {
            flags = flags | Flags::FIN;
        }
        let data = self.out.slice(0, n);
        let s = self.segment(flags, self.una, data);
        out.push(s);
        let end = self.una.wrapping_add(n as u32 + u32::from(fin));
        if before(self.nxt, end) {
            self.nxt = end;
        }
    }

    /// A segment has come. Gives whether the process should look.
    pub fn input(&mut self, r: &Repr, data: Bytes, now: Instant, out: &mut Vec<Segment>) -> bool {
        match self.state {
            State::SynSent => self.input_syn_sent(r, now, out),
            State::Closed | State::Listen => false,
            _ => self.input_open(r, data, now, out),
        }
    }

    fn input_syn_sent(&mut self, r: &Repr, now: Instant, out: &mut Vec<Segment>) -> bool {
        let acked = r.flags.has(Flags::ACK) && r.ack == self.nxt;
        if r.flags.has(Flags::ACK) && !acked {
            // Of an older connection with the same ports: the peer is told, and the SYN will be repeated.
            if !r.flags.has(Flags::RST) {
                out.push(Segment {
                    flags: Flags::RST,
                    seq: r.ack,
                    ack: 0,
                    window: 0,
                    mss: None,
                    wscale: None,
                    ts: None,
                    data: Bytes::default(),
                });
            }
            return false;
        }
        if r.flags.has(Flags::RST) {
            if acked {
                self.end(Some(Errno::ECONNREFUSED));
            }
            return acked;
        }
        if !(acked && r.flags.has(Flags::SYN)) {
            return false;
        }
        self.take_syn(r);
        self.una = r.ack;
        self.opened();
        let before = out.len();
        self.flush(now, out);
        if out.len() == before {
            self.ack_now(out);
        }
        true
    }

    fn opened(&mut self) {
        self.state = State::Established;
        self.deadline = None;
        self.retries = 0;
        self.rto = DATA_RTO;
    }

    fn input_open(&mut self, r: &Repr, data: Bytes, now: Instant, out: &mut Vec<Segment>) -> bool {
        let len = data.len() as u32 + u32::from(r.flags.has(Flags::FIN));
        let end = r.seq.wrapping_add(len);
        let window_end = self.rcv.wrapping_add(self.free().max(1));
        // Acceptable if any part lies in the window; a bare acknowledgement may stand just before it.
        let fits = !before(end, self.rcv) && before(r.seq, window_end);
        if r.flags.has(Flags::RST) {
            return fits && self.input_reset();
        }
        if r.flags.has(Flags::SYN) {
            if self.state == State::SynRecv {
                // Our answer was lost.
                self.send_syn(out);
            } else {
                self.ack_now(out);
            }
            return false;
        }
        if !fits || (before(r.seq, self.rcv) && end == self.rcv && len > 0) {
            // Already known, or far ahead: say what is expected.
            if self.state == State::TimeWait {
                self.deadline = Some(now + TIME_WAIT);
            }
            self.ack_now(out);
            return false;
        }
        if !r.flags.has(Flags::ACK) {
            return false;
        }
        if let Some((val, _)) = r.ts {
            self.ts = val;
        }
        let mut changed = self.input_ack(r, now);
        if self.state == State::Closed {
            return true;
        }
        changed |= self.input_data(r, data, now, out);
        self.flush(now, out);
        changed
    }

    fn input_reset(&mut self) -> bool {
        let e = match self.state {
            State::SynRecv => Some(Errno::ECONNREFUSED),
            State::CloseWait => Some(Errno::EPIPE),
            State::TimeWait | State::LastAck | State::Closing => None,
            _ => Some(Errno::ECONNRESET),
        };
        self.end(e);
        true
    }

    /// The acknowledgement of a segment.
    fn input_ack(&mut self, r: &Repr, now: Instant) -> bool {
        let mut changed = false;
        if self.state == State::SynRecv {
            if r.ack != self.nxt {
                return false;
            }
            self.una = r.ack;
            self.opened();
            changed = true;
        }
        if !before(self.nxt, r.ack) {
            self.peer_window = u32::from(r.window) << self.peer_scale;
        }
        let acked = r.ack.wrapping_sub(self.una);
        if before(self.una, r.ack) && !before(self.nxt, r.ack) {
            let data = (acked as usize).min(self.out.len());
            let was_full = self.room() == 0;
            self.out.consume(data);
            self.una = r.ack;
            self.retries = 0;
            self.rto = DATA_RTO;
            changed |= was_full || self.out.is_empty();
            self.deadline = None;
            let fin_acked = self.fin && self.nxt == self.una && self.out.is_empty();
            if fin_acked {
                match self.state {
                    State::FinWait1 => {
                        self.state = State::FinWait2;
                        self.deadline = self.orphan.then(|| now + FIN_TIMEOUT);
                    }
                    State::Closing => {
                        self.state = State::TimeWait;
                        self.deadline = Some(now + TIME_WAIT);
                    }
                    State::LastAck => self.end(None),
                    _ => {}
                }
            }
        }
        changed
    }

    /// The data of a segment.
    fn input_data(&mut self, r: &Repr, data: Bytes, now: Instant, out: &mut Vec<Segment>) -> bool {
        let fin = r.flags.has(Flags::FIN);
        if data.is_empty() && !fin {
            return false;
        }
        if self.orphan
            && !data.is_empty()
            && !matches!(self.state, State::TimeWait | State::LastAck | State::Closing)
        {
            // Nobody will read it: the peer learns that.
            self.abort(out);
            return true;
        }
        if before(self.rcv, r.seq) {
            if self.ahead.len() < OUT_OF_ORDER_MAX {
                self.ahead.insert(r.seq, (data, fin));
            }
            self.ack_now(out);
            return false;
        }
        self.accept(r.seq, &data, fin, now);
        while let Some((seq, (d, f))) = self.ahead.get_min().map(|(s, d)| (*s, d.clone())) {
            if before(self.rcv, seq) {
                break;
            }
            self.ahead.remove(&seq);
            self.accept(seq, &d, f, now);
        }
        self.ack_now(out);
        true
    }

    fn accept(&mut self, seq: u32, data: &Bytes, fin: bool, now: Instant) {
        let known = self.rcv.wrapping_sub(seq) as usize;
        if known > data.len() || self.eof {
            return;
        }
        let free = self.free() as usize;
        let fresh = &data[known..];
        let fresh = &fresh[..fresh.len().min(free)];
        let whole = known + fresh.len() == data.len();
        if known == 0 && whole {
            self.input.push(data.clone());
        } else {
            self.input.push(fresh.into());
        }
        self.rcv = self.rcv.wrapping_add(fresh.len() as u32);
        if fin && whole {
            self.rcv = self.rcv.wrapping_add(1);
            self.eof = true;
            self.state = match self.state {
                State::Established | State::SynRecv => State::CloseWait,
                State::FinWait1 => State::Closing,
                State::FinWait2 => State::TimeWait,
                s => s,
            };
            if self.state == State::TimeWait {
                self.deadline = Some(now + TIME_WAIT);
            }
        }
    }

    /// Whether a SYN with that number may begin a new connection in the place of this one.
    pub fn reusable(&self, syn: &Repr) -> bool {
        self.state == State::TimeWait && before(self.rcv, syn.seq)
    }
}
