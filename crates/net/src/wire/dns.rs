//! DNS messages (RFC 1035) with the records that a cluster's DNS uses, and name compression.

use super::{Error, Result, be16, be32};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 12;
/// Bytes of a name on the wire.
const NAME_BYTES_MAX: usize = 255;
/// Records that a parsed message may have.
const RECORDS_MAX: usize = 1_024;

/// A domain name in its text form without the final dot; the root is empty. Letters keep their case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Name(SmolStr);

impl Name {
    /// From text, with or without the final dot. Labels are 1 to 63 bytes of visible ASCII.
    pub fn new(s: &str) -> Result<Name> {
        let s = s.strip_suffix('.').unwrap_or(s);
        if s.is_empty() {
            return Ok(Name::default());
        }
        let ok = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_graphic());
        if s.len() + 2 > NAME_BYTES_MAX || !s.split('.').all(ok) {
            return Err(Error::Malformed);
        }
        Ok(Name(s.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Equal but for the letters' case.
    pub fn same(&self, o: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&o.0)
    }

    fn emit(&self, out: &mut Vec<u8>, seen: &mut BTreeMap<SmolStr, u16>) {
        let mut rest = self.0.as_str();
        while !rest.is_empty() {
            if let Some(at) = seen.get(rest) {
                out.extend_from_slice(&(0xc000 | at).to_be_bytes());
                return;
            }
            if out.len() < 0x4000 {
                seen.insert(rest.into(), out.len() as u16);
            }
            let (label, tail) = rest.split_once('.').unwrap_or((rest, ""));
            out.push(label.len() as u8);
            out.extend_from_slice(label.as_bytes());
            rest = tail;
        }
        out.push(0);
    }

    /// Reads a name at `*at` and moves `*at` behind it. Pointers must lead backwards, so that every name ends.
    fn parse(b: &[u8], at: &mut usize) -> Result<Name> {
        let mut text = String::new();
        let (mut pos, mut limit, mut end) = (*at, usize::MAX, None);
        loop {
            let len = *b.get(pos).ok_or(Error::Truncated)?;
            match len {
                0 => break,
                1..=63 => {
                    let label = b.get(pos + 1..pos + 1 + usize::from(len)).ok_or(Error::Truncated)?;
                    if !text.is_empty() {
                        text.push('.');
                    }
                    for &c in label {
                        if !c.is_ascii_graphic() || c == b'.' {
                            return Err(Error::Malformed);
                        }
                        text.push(char::from(c));
                    }
                    if text.len() + 2 > NAME_BYTES_MAX {
                        return Err(Error::Malformed);
                    }
                    pos += 1 + usize::from(len);
                }
                0xc0..=0xff => {
                    let to = usize::from(be16(b, pos) & 0x3fff);
                    if pos + 1 >= b.len() {
                        return Err(Error::Truncated);
                    }
                    end.get_or_insert(pos + 2);
                    if to >= pos || to >= limit {
                        return Err(Error::Malformed);
                    }
                    limit = to;
                    pos = to;
                }
                _ => return Err(Error::Malformed),
            }
        }
        *at = end.unwrap_or(pos + 1);
        Ok(Name(text.into()))
    }
}

impl fmt::Display for Name {
    /// With the final dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.0)
    }
}

/// A record type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Type(pub u16);

impl Type {
    /// IPv4 address.
    pub const A: Type = Type(1);
    /// Name server.
    pub const NS: Type = Type(2);
    /// Alias.
    pub const CNAME: Type = Type(5);
    /// Start of authority.
    pub const SOA: Type = Type(6);
    /// Pointer.
    pub const PTR: Type = Type(12);
    /// Mail exchange.
    pub const MX: Type = Type(15);
    /// Text.
    pub const TXT: Type = Type(16);
    /// IPv6 address.
    pub const AAAA: Type = Type(28);
    /// Service.
    pub const SRV: Type = Type(33);
    /// Any.
    pub const ANY: Type = Type(255);

    const NAMES: [(Type, &'static str); 10] = [
        (Type::A, "A"),
        (Type::NS, "NS"),
        (Type::CNAME, "CNAME"),
        (Type::SOA, "SOA"),
        (Type::PTR, "PTR"),
        (Type::MX, "MX"),
        (Type::TXT, "TXT"),
        (Type::AAAA, "AAAA"),
        (Type::SRV, "SRV"),
        (Type::ANY, "ANY"),
    ];

    /// The type of that name, whatever its case.
    pub fn named(s: &str) -> Option<Type> {
        Type::NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(s)).map(|(t, _)| *t)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Type::NAMES.iter().find(|(t, _)| t == self) {
            Some((_, n)) => f.write_str(n),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// Response codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rcode {
    /// 0
    #[default]
    NoError,
    /// 1
    FormErr,
    /// 2
    ServFail,
    /// 3: the name does not exist.
    NxDomain,
    /// 4
    NotImp,
    /// 5
    Refused,
    /// Any other.
    Other(u8),
}

impl From<u8> for Rcode {
    fn from(v: u8) -> Self {
        match v & 15 {
            0 => Rcode::NoError,
            1 => Rcode::FormErr,
            2 => Rcode::ServFail,
            3 => Rcode::NxDomain,
            4 => Rcode::NotImp,
            5 => Rcode::Refused,
            o => Rcode::Other(o),
        }
    }
}

impl From<Rcode> for u8 {
    fn from(v: Rcode) -> u8 {
        match v {
            Rcode::NoError => 0,
            Rcode::FormErr => 1,
            Rcode::ServFail => 2,
            Rcode::NxDomain => 3,
            Rcode::NotImp => 4,
            Rcode::Refused => 5,
            Rcode::Other(o) => o & 15,
        }
    }
}

impl fmt::Display for Rcode {
    /// As dig prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rcode::NoError => f.write_str("NOERROR"),
            Rcode::FormErr => f.write_str("FORMERR"),
            Rcode::ServFail => f.write_str("SERVFAIL"),
            Rcode::NxDomain => f.write_str("NXDOMAIN"),
            Rcode::NotImp => f.write_str("NOTIMP"),
            Rcode::Refused => f.write_str("REFUSED"),
            Rcode::Other(o) => write!(f, "RESERVED{o}"),
        }
    }
}

/// A question of class IN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Name asked for.
    pub name: Name,
    /// Type asked for.
    pub rtype: Type,
}

/// A record's data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(Name),
    /// Pointer.
    Ptr(Name),
    /// Name server.
    Ns(Name),
    /// Service.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port.
        port: u16,
        /// Host.
        target: Name,
    },
    /// Start of authority.
    Soa {
        /// Primary server.
        mname: Name,
        /// Mailbox.
        rname: Name,
        /// Serial, refresh, retry, expire, minimum.
        numbers: [u32; 5],
    },
    /// Text strings, each at most 255 bytes.
    Txt(Vec<SmolStr>),
    /// Any other, unread.
    Other(Type, Vec<u8>),
}

impl Data {
    /// Its type.
    pub fn rtype(&self) -> Type {
        match self {
            Data::A(_) => Type::A,
            Data::Aaaa(_) => Type::AAAA,
            Data::Cname(_) => Type::CNAME,
            Data::Ptr(_) => Type::PTR,
            Data::Ns(_) => Type::NS,
            Data::Srv { .. } => Type::SRV,
            Data::Soa { .. } => Type::SOA,
            Data::Txt(_) => Type::TXT,
            Data::Other(t, _) => *t,
        }
    }

    fn emit(&self, out: &mut Vec<u8>, seen: &mut BTreeMap<SmolStr, u16>) {
        match self {
            Data::A(a) => out.extend_from_slice(&a.octets()),
            Data::Aaaa(a) => out.extend_from_slice(&a.octets()),
            Data::Cname(n) | Data::Ptr(n) | Data::Ns(n) => n.emit(out, seen),
            Data::Srv { priority, weight, port, target } => {
                for v in [priority, weight, port] {
                    out.extend_from_slice(&v.to_be_bytes());
                }
                // RFC 2782: the target is not compressed.
                target.emit(out, &mut BTreeMap::new());
            }
            Data::Soa { mname, rname, numbers } => {
                mname.emit(out, seen);
                rname.emit(out, seen);
                for n in numbers {
                    out.extend_from_slice(&n.to_be_bytes());
                }
            }
            Data::Txt(texts) => {
                for t in texts {
                    let b = &t.as_bytes()[..t.len().min(255)];
                    out.push(b.len() as u8);
                    out.extend_from_slice(b);
                }
            }
            Data::Other(_, b) => out.extend_from_slice(b),
        }
    }

    fn parse(t: Type, b: &[u8], at: usize, len: usize) -> Result<Data> {
        let body = b.get(at..at + len).ok_or(Error::Truncated)?;
        let mut pos = at;
        Ok(match t {
            Type::A => Data::A(<[u8; 4]>::try_from(body).map_err(|_| Error::Malformed)?.into()),
            Type::AAAA => Data::Aaaa(<[u8; 16]>::try_from(body).map_err(|_| Error::Malformed)?.into()),
            Type::CNAME => Data::Cname(Name::parse(b, &mut pos)?),
            Type::PTR => Data::Ptr(Name::parse(b, &mut pos)?),
            Type::NS => Data::Ns(Name::parse(b, &mut pos)?),
            Type::SRV if len > 6 => {
                pos += 6;
                Data::Srv {
                    priority: be16(body, 0),
                    weight: be16(body, 2),
                    port: be16(body, 4),
                    target: Name::parse(b, &mut pos)?,
                }
            }
            Type::SOA => {
                let mname = Name::parse(b, &mut pos)?;
                let rname = Name::parse(b, &mut pos)?;
                let n = b.get(pos..pos + 20).ok_or(Error::Truncated)?;
                Data::Soa { mname, rname, numbers: [0, 4, 8, 12, 16].map(|i| be32(n, i)) }
            }
            Type::TXT => {
                let (mut texts, mut rest) = (Vec::new(), body);
                while let [n, tail @ ..] = rest {
                    let s = tail.get(..usize::from(*n)).ok_or(Error::Truncated)?;
                    texts.push(String::from_utf8_lossy(s).into());
                    rest = &tail[usize::from(*n)..];
                }
                Data::Txt(texts)
            }
            t => Data::Other(t, body.to_vec()),
        })
    }
}

impl fmt::Display for Data {
    /// As dig prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(a) => write!(f, "{a}"),
            Data::Aaaa(a) => write!(f, "{a}"),
            Data::Cname(n) | Data::Ptr(n) | Data::Ns(n) => write!(f, "{n}"),
            Data::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Data::Soa { mname, rname, numbers: [a, b, c, d, e] } => {
                write!(f, "{mname} {rname} {a} {b} {c} {d} {e}")
            }
            Data::Txt(t) => {
                for (i, s) in t.iter().enumerate() {
                    write!(f, "{}{s:?}", if i == 0 { "" } else { " " })?;
                }
                Ok(())
            }
            Data::Other(_, b) => write!(f, "\\# {}", b.len()),
        }
    }
}

/// A resource record of class IN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Owner.
    pub name: Name,
    /// Seconds it may be cached.
    pub ttl: u32,
    /// Data.
    pub data: Data,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\tIN\t{}\t{}", self.name, self.ttl, self.data.rtype(), self.data)
    }
}

/// A view of a message.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view, if the header fits.
    pub fn new(b: &'a [u8]) -> Result<Self> {
        if b.len() < HEADER_BYTES { Err(Error::Truncated) } else { Ok(Packet(b)) }
    }

    /// Identifier.
    pub fn id(&self) -> u16 {
        be16(self.0, 0)
    }

    /// The flags word.
    pub fn flags(&self) -> u16 {
        be16(self.0, 2)
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Repr {
    /// Identifier.
    pub id: u16,
    /// A response rather than a query.
    pub response: bool,
    /// Operation, 0 is a query.
    pub opcode: u8,
    /// The server is authoritative.
    pub authoritative: bool,
    /// Cut short.
    pub truncated: bool,
    /// Recursion desired.
    pub recursion_desired: bool,
    /// Recursion available.
    pub recursion_available: bool,
    /// Response code.
    pub rcode: Rcode,
    /// Questions.
    pub questions: Vec<Question>,
    /// Answers.
    pub answers: Vec<Record>,
    /// Authority records.
    pub authorities: Vec<Record>,
    /// Additional records.
    pub additionals: Vec<Record>,
}

impl Repr {
    /// A recursive query with one question.
    pub fn query(id: u16, name: Name, rtype: Type) -> Repr {
        Repr { id, recursion_desired: true, questions: vec![Question { name, rtype }], ..Repr::default() }
    }

    /// The empty response to `self`.
    pub fn reply(&self, rcode: Rcode) -> Repr {
        Repr {
            id: self.id,
            response: true,
            opcode: self.opcode,
            recursion_desired: self.recursion_desired,
            rcode,
            questions: self.questions.clone(),
            ..Repr::default()
        }
    }

    /// Reads a message.
    pub fn parse(p: &Packet<'_>) -> Result<Repr> {
        let (b, flags) = (p.0, p.flags());
        let mut at = HEADER_BYTES;
        let mut questions = Vec::new();
        let counts = [4, 6, 8, 10].map(|i| usize::from(be16(b, i)));
        if counts.iter().sum::<usize>() > RECORDS_MAX {
            return Err(Error::Malformed);
        }
        for _ in 0..counts[0] {
            let name = Name::parse(b, &mut at)?;
            if b.len() < at + 4 {
                return Err(Error::Truncated);
            }
            questions.push(Question { name, rtype: Type(be16(b, at)) });
            at += 4;
        }
        let mut section = |n: usize| -> Result<Vec<Record>> {
            let mut out = Vec::new();
            for _ in 0..n {
                let name = Name::parse(b, &mut at)?;
                if b.len() < at + 10 {
                    return Err(Error::Truncated);
                }
                let (t, ttl, len) = (Type(be16(b, at)), be32(b, at + 4), usize::from(be16(b, at + 8)));
                let data = Data::parse(t, b, at + 10, len)?;
                at += 10 + len;
                out.push(Record { name, ttl, data });
            }
            Ok(out)
        };
        Ok(Repr {
            id: p.id(),
            response: flags & 0x8000 != 0,
            opcode: (flags >> 11) as u8 & 15,
            authoritative: flags & 0x0400 != 0,
            truncated: flags & 0x0200 != 0,
            recursion_desired: flags & 0x0100 != 0,
            recursion_available: flags & 0x0080 != 0,
            rcode: Rcode::from(flags as u8),
            questions,
            answers: section(counts[1])?,
            authorities: section(counts[2])?,
            additionals: section(counts[3])?,
        })
    }

    /// Appends the message; names are compressed.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut msg = Vec::with_capacity(64);
        let bit = |b: bool, v: u16| if b { v } else { 0 };
        let flags = bit(self.response, 0x8000)
            | u16::from(self.opcode & 15) << 11
            | bit(self.authoritative, 0x0400)
            | bit(self.truncated, 0x0200)
            | bit(self.recursion_desired, 0x0100)
            | bit(self.recursion_available, 0x0080)
            | u16::from(u8::from(self.rcode));
        msg.extend_from_slice(&self.id.to_be_bytes());
        msg.extend_from_slice(&flags.to_be_bytes());
        let sections = [&self.answers, &self.authorities, &self.additionals];
        msg.extend_from_slice(&(self.questions.len() as u16).to_be_bytes());
        for s in sections {
            msg.extend_from_slice(&(s.len() as u16).to_be_bytes());
        }
        let mut seen = BTreeMap::new();
        for q in &self.questions {
            q.name.emit(&mut msg, &mut seen);
            msg.extend_from_slice(&q.rtype.0.to_be_bytes());
            msg.extend_from_slice(&[0, 1]);
        }
        for r in sections.into_iter().flatten() {
            r.name.emit(&mut msg, &mut seen);
            msg.extend_from_slice(&r.data.rtype().0.to_be_bytes());
            msg.extend_from_slice(&[0, 1]);
            msg.extend_from_slice(&r.ttl.to_be_bytes());
            let at = msg.len();
            msg.extend_from_slice(&[0, 0]);
            r.data.emit(&mut msg, &mut seen);
            let len = (msg.len() - at - 2) as u16;
            msg[at..at + 2].copy_from_slice(&len.to_be_bytes());
        }
        out.append(&mut msg);
    }

    /// The message as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }

    /// Reads a message from bytes.
    pub fn from_bytes(b: &[u8]) -> Result<Repr> {
        Repr::parse(&Packet::new(b)?)
    }
}

impl fmt::Display for Repr {
    /// As tcpdump: `4660+ A? kubia.default.svc.cluster.local.` or `4660* 1/0/0 A 10.96.0.7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if !self.response {
            f.write_str(if self.recursion_desired { "+" } else { "" })?;
            for q in &self.questions {
                write!(f, " {}? {}", q.rtype, q.name)?;
            }
            return Ok(());
        }
        match self.rcode {
            Rcode::NoError => {}
            Rcode::NxDomain => f.write_str(" NXDomain")?,
            r => write!(f, " {r}")?,
        }
        f.write_str(if self.authoritative { "*" } else { "" })?;
        f.write_str(if self.recursion_available { "" } else { "-" })?;
        write!(f, " {}/{}/{}", self.answers.len(), self.authorities.len(), self.additionals.len())?;
        for (i, r) in self.answers.iter().enumerate() {
            write!(f, "{} {} {}", if i == 0 { "" } else { "," }, r.data.rtype(), r.data)?;
        }
        Ok(())
    }
}
