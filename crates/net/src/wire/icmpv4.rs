//! ICMP for IPv4: echo and the errors.

use super::{Error, Result, be16, be32, fold, sum};
use core::fmt;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;

/// Type numbers.
pub mod kind {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const DEST_UNREACHABLE: u8 = 3;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Codes of destination unreachable.
pub mod unreachable {
    /// No route to the network.
    pub const NET: u8 = 0;
    /// The host does not answer.
    pub const HOST: u8 = 1;
    /// The protocol is unknown there.
    pub const PROTOCOL: u8 = 2;
    /// Nothing listens on the port.
    pub const PORT: u8 = 3;
    /// Too big, and fragmenting is forbidden.
    pub const FRAG_NEEDED: u8 = 4;
    /// Network administratively prohibited.
    pub const NET_PROHIBITED: u8 = 9;
    /// Host administratively prohibited.
    pub const HOST_PROHIBITED: u8 = 10;
    /// Filtered.
    pub const ADMIN_PROHIBITED: u8 = 13;
}

/// A view of a message.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// Type.
    pub fn kind(&self) -> u8 {
        self.0[0]
    }

    /// Code.
    pub fn code(&self) -> u8 {
        self.0[1]
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_BYTES..]
    }
}

/// A message; `B` holds its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Repr<B> {
    /// Echo request or reply.
    Echo {
        /// Whether it is the reply.
        reply: bool,
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// Data.
        data: B,
    },
    /// An error about a packet.
    Error {
        /// Type, one of [`kind`].
        kind: u8,
        /// Code.
        code: u8,
        /// The second header word: the next hop's MTU for "fragmentation needed".
        info: u32,
        /// The beginning of the packet that it is about.
        quote: B,
    },
}

impl<'a> Repr<&'a [u8]> {
    /// Reads the message.
    pub fn parse(p: &Packet<'a>) -> Result<Self> {
        if fold(sum(p.0, 0)) != 0 {
            return Err(Error::Checksum);
        }
        match p.kind() {
            kind::ECHO_REPLY | kind::ECHO_REQUEST => Ok(Repr::Echo {
                reply: p.kind() == kind::ECHO_REPLY,
                ident: be16(p.0, 4),
                seq: be16(p.0, 6),
                data: p.payload(),
            }),
            k @ (kind::DEST_UNREACHABLE | kind::TIME_EXCEEDED | kind::PARAMETER_PROBLEM | kind::REDIRECT) => {
                Ok(Repr::Error { kind: k, code: p.code(), info: be32(p.0, 4), quote: p.payload() })
            }
            _ => Err(Error::Malformed),
        }
    }
}

impl<B: AsRef<[u8]>> Repr<B> {
    /// Appends the message with its checksum.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let at = out.len();
        match self {
            Repr::Echo { reply, ident, seq, data } => {
                out.extend_from_slice(&[if *reply { kind::ECHO_REPLY } else { kind::ECHO_REQUEST }, 0, 0, 0]);
                out.extend_from_slice(&ident.to_be_bytes());
                out.extend_from_slice(&seq.to_be_bytes());
                out.extend_from_slice(data.as_ref());
            }
            Repr::Error { kind, code, info, quote } => {
                out.extend_from_slice(&[*kind, *code, 0, 0]);
                out.extend_from_slice(&info.to_be_bytes());
                out.extend_from_slice(quote.as_ref());
            }
        }
        let c = fold(sum(&out[at..], 0)).to_be_bytes();
        out[at + 2..at + 4].copy_from_slice(&c);
    }
}

/// What an error of that type and code is called.
pub fn error_name(kind: u8, code: u8) -> &'static str {
    match (kind, code) {
        (kind::DEST_UNREACHABLE, unreachable::NET) => "net unreachable",
        (kind::DEST_UNREACHABLE, unreachable::HOST) => "host unreachable",
        (kind::DEST_UNREACHABLE, unreachable::PROTOCOL) => "protocol unreachable",
        (kind::DEST_UNREACHABLE, unreachable::PORT) => "port unreachable",
        (kind::DEST_UNREACHABLE, unreachable::FRAG_NEEDED) => "unreachable - need to frag",
        (kind::DEST_UNREACHABLE, unreachable::NET_PROHIBITED) => "net unreachable - admin prohibited",
        (kind::DEST_UNREACHABLE, unreachable::HOST_PROHIBITED) => "host unreachable - admin prohibited",
        (kind::DEST_UNREACHABLE, unreachable::ADMIN_PROHIBITED) => "unreachable - admin prohibited filter",
        (kind::DEST_UNREACHABLE, _) => "unreachable",
        (kind::TIME_EXCEEDED, 0) => "time exceeded in-transit",
        (kind::TIME_EXCEEDED, _) => "ip reassembly time exceeded",
        (kind::REDIRECT, _) => "redirect",
        _ => "parameter problem",
    }
}

impl<B: AsRef<[u8]>> fmt::Display for Repr<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repr::Echo { reply, ident, seq, data } => {
                let what = if *reply { "reply" } else { "request" };
                let len = data.as_ref().len() + HEADER_BYTES;
                write!(f, "ICMP echo {what}, id {ident}, seq {seq}, length {len}")
            }
            Repr::Error { kind, code, quote, .. } => {
                let len = quote.as_ref().len() + HEADER_BYTES;
                write!(f, "ICMP {}, length {len}", error_name(*kind, *code))
            }
        }
    }
}
