//! TCP headers with the options that Linux sends: maximum segment size, SACK permitted, timestamps, window scale.

use super::{Error, Result, be16, be32, fold, proto, pseudo, sum};
use core::fmt;
use core::net::Ipv4Addr;
use core::ops::BitOr;

/// Bytes of a header without options.
pub const HEADER_BYTES: usize = 20;

/// Control bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Last data.
    pub const FIN: Flags = Flags(1);
    /// Synchronise.
    pub const SYN: Flags = Flags(2);
    /// Reset.
    pub const RST: Flags = Flags(4);
    /// Push.
    pub const PSH: Flags = Flags(8);
    /// The acknowledgement number counts.
    pub const ACK: Flags = Flags(16);
    /// Urgent.
    pub const URG: Flags = Flags(32);

    /// Whether all bits of `o` are set.
    pub const fn has(self, o: Flags) -> bool {
        self.0 & o.0 == o.0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, o: Flags) -> Flags {
        Flags(self.0 | o.0)
    }
}

impl fmt::Display for Flags {
    /// As tcpdump: `S`, `S.`, `P.`, `F.`, `R`, `.`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, c) in [(Flags::FIN, 'F'), (Flags::SYN, 'S'), (Flags::RST, 'R'), (Flags::PSH, 'P')] {
            if self.has(bit) {
                write!(f, "{c}")?;
            }
        }
        if self.has(Flags::ACK) {
            f.write_str(".")?;
        }
        if self.has(Flags::URG) {
            f.write_str("U")?;
        }
        if self.0 & 0x3f == 0 { f.write_str("none") } else { Ok(()) }
    }
}

/// A view of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the fixed header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// Header length in bytes.
    pub fn header_bytes(&self) -> usize {
        usize::from(self.0[12] >> 4) * 4
    }

    /// Option bytes, as far as they are there.
    pub fn options(&self) -> &'a [u8] {
        self.0.get(HEADER_BYTES..self.header_bytes()).unwrap_or(&[])
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        self.0.get(self.header_bytes()..).unwrap_or(&[])
    }
}

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; counts if the flag is set.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, unscaled.
    pub window: u16,
    /// Maximum segment size, in SYN segments.
    pub mss: Option<u16>,
    /// Window scale, in SYN segments.
    pub wscale: Option<u8>,
    /// Selective acknowledgement is understood, in SYN segments.
    pub sack_ok: bool,
    /// Timestamps: the sender's clock, and the peer's that it saw last.
    pub ts: Option<(u32, u32)>,
}

impl Repr {
    /// Reads the header; unknown options are skipped.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        let h = p.header_bytes();
        if h < HEADER_BYTES || h > p.0.len() {
            return Err(Error::Malformed);
        }
        let (mut mss, mut wscale, mut sack_ok, mut ts) = (None, None, false, None);
        let mut o = p.options();
        while let [kind, rest @ ..] = o {
            match kind {
                0 => break,
                1 => o = rest,
                _ => {
                    let len = usize::from(*rest.first().ok_or(Error::Truncated)?);
                    let body = o.get(2..len).ok_or(Error::Malformed)?;
                    match (kind, body) {
                        (2, &[a, b]) => mss = Some(u16::from_be_bytes([a, b])),
                        (3, &[s]) => wscale = Some(s.min(14)),
                        (4, &[]) => sack_ok = true,
                        (8, b) if b.len() == 8 => ts = Some((be32(b, 0), be32(b, 4))),
                        _ => {}
                    }
                    o = o.get(len..).ok_or(Error::Malformed)?;
                }
            }
        }
        Ok(Repr {
            src_port: be16(p.0, 0),
            dst_port: be16(p.0, 2),
            seq: be32(p.0, 4),
            ack: be32(p.0, 8),
            flags: Flags(p.0[13] & 0x3f),
            window: be16(p.0, 14),
            mss,
            wscale,
            sack_ok,
            ts,
        })
    }

    /// Bytes of the header with its options.
    pub fn header_bytes(&self) -> usize {
        let ts = if self.ts.is_some() { 12 } else { 4 * usize::from(self.sack_ok) };
        HEADER_BYTES + self.mss.map_or(0, |_| 4) + ts + self.wscale.map_or(0, |_| 4)
    }

    /// Appends header and payload with the checksum for these addresses.
    pub fn emit(&self, src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&self.src_port.to_be_bytes());
        out.extend_from_slice(&self.dst_port.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&[(self.header_bytes() as u8 / 4) << 4, self.flags.0]);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        if let Some(m) = self.mss {
            out.extend_from_slice(&[2, 4]);
            out.extend_from_slice(&m.to_be_bytes());
        }
        match (self.ts, self.sack_ok) {
            (Some((val, ecr)), sack) => {
                out.extend_from_slice(if sack { &[4, 2, 8, 10] } else { &[1, 1, 8, 10] });
                out.extend_from_slice(&val.to_be_bytes());
                out.extend_from_slice(&ecr.to_be_bytes());
            }
            (None, true) => out.extend_from_slice(&[1, 1, 4, 2]),
            (None, false) => {}
        }
        if let Some(s) = self.wscale {
            out.extend_from_slice(&[1, 3, 3, s]);
        }
        out.extend_from_slice(payload);
        let len = out.len() - at;
        let c = fold(sum(&out[at..], pseudo(src, dst, proto::TCP, len))).to_be_bytes();
        out[at + 16..at + 18].copy_from_slice(&c);
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}: Flags [{}], seq {}", self.src_port, self.dst_port, self.flags, self.seq)?;
        if self.flags.has(Flags::ACK) {
            write!(f, ", ack {}", self.ack)?;
        }
        write!(f, ", win {}", self.window)?;
        let options = self.options_text();
        if options.is_empty() { Ok(()) } else { write!(f, ", options [{options}]") }
    }
}

impl Repr {
    /// The options as tcpdump prints them: `mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7`.
    pub fn options_text(&self) -> String {
        let mut v = Vec::new();
        v.extend(self.mss.map(|m| format!("mss {m}")));
        match (self.ts, self.sack_ok) {
            (Some((val, ecr)), sack) => {
                v.push(if sack { "sackOK".into() } else { "nop,nop".into() });
                v.push(format!("TS val {val} ecr {ecr}"));
            }
            (None, true) => v.push("nop,nop,sackOK".into()),
            (None, false) => {}
        }
        v.extend(self.wscale.map(|s| format!("nop,wscale {s}")));
        v.join(",")
    }
}
