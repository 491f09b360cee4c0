use super::*;
use core::net::Ipv4Addr;

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

#[test]
fn tcp_round_trip() {
    let r = tcp::Repr {
        src_port: 40000,
        dst_port: 80,
        seq: 7,
        ack: 9,
        flags: tcp::Flags::SYN | tcp::Flags::ACK,
        window: 65160,
        mss: Some(1460),
        wscale: Some(7),
        sack_ok: true,
        ts: Some((5, 6)),
    };
    let mut out = Vec::new();
    r.emit(A, B, b"hello", &mut out);
    assert_eq!(fold(sum(&out, pseudo(A, B, proto::TCP, out.len()))), 0);
    let p = tcp::Packet::new(&out).unwrap();
    assert_eq!((tcp::Repr::parse(&p), p.payload()), (Ok(r), &b"hello"[..]));
    let text = "40000 > 80: Flags [S.], seq 7, ack 9, win 65160, options [mss 1460,sackOK,TS val 5 ecr 6,nop,wscale 7]";
    assert_eq!(r.to_string(), text);
}

#[test]
fn ip_udp_icmp_arp_round_trip() {
    let ip =
        ipv4::Repr { src: A, dst: B, protocol: 17, ttl: 64, tos: 0, ident: 5, df: true, payload_bytes: 12 };
    let mut out = Vec::new();
    ip.emit(&mut out);
    udp::Repr { src_port: 53, dst_port: 5353 }.emit(A, B, b"data", &mut out);
    let p = ipv4::Packet::new(&out).unwrap();
    assert_eq!(ipv4::Repr::parse(&p), Ok(ip));
    assert_eq!(udp::Packet::new(p.payload()).unwrap().payload(), b"data");
    out[8] = 63;
    assert_eq!(ipv4::Repr::parse(&ipv4::Packet::new(&out).unwrap()), Err(Error::Checksum));

    let echo = icmpv4::Repr::Echo { reply: false, ident: 1, seq: 2, data: &b"abc"[..] };
    let mut out = Vec::new();
    echo.emit(&mut out);
    assert_eq!(icmpv4::Repr::parse(&icmpv4::Packet::new(&out).unwrap()), Ok(echo));

    let arp = arp::Repr {
        operation: arp::Operation::Request,
        sender_mac: crate::MacAddr([2, 0, 0, 0, 0, 1]),
        sender_ip: A,
        target_mac: crate::MacAddr::ZERO,
        target_ip: B,
    };
    let mut out = Vec::new();
    arp.emit(&mut out);
    assert_eq!(arp::Repr::parse(&arp::Packet::new(&out).unwrap()), Ok(arp));
    assert_eq!(arp.to_string(), "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28");
}

#[test]
fn dns_round_trip_with_compression() {
    use dns::*;
    let name = Name::new("kubia.default.svc.cluster.local.").unwrap();
    let q = Repr::query(0x1234, name.clone(), Type::A);
    let mut r = q.reply(Rcode::NoError);
    r.authoritative = true;
    r.answers.push(Record { name: name.clone(), ttl: 30, data: Data::A(A) });
    let srv = Name::new("_http._tcp.kubia.default.svc.cluster.local").unwrap();
    let data = Data::Srv { priority: 0, weight: 100, port: 80, target: name.clone() };
    r.answers.push(Record { name: srv, ttl: 30, data });
    r.additionals.push(Record { name: name.clone(), ttl: 30, data: Data::Aaaa("fd00::1".parse().unwrap()) });
    r.authorities.push(Record {
        name: Name::new("cluster.local").unwrap(),
        ttl: 5,
        data: Data::Soa {
            mname: Name::new("ns.dns.cluster.local").unwrap(),
            rname: Name::new("hostmaster.cluster.local").unwrap(),
            numbers: [1, 7200, 1800, 86400, 30],
        },
    });
    let b = r.to_bytes();
    assert_eq!(Repr::from_bytes(&b), Ok(r.clone()));
    assert!(b.len() < 250, "{}", b.len());
    assert_eq!(q.to_string(), "4660+ A? kubia.default.svc.cluster.local.");
    // A pointer that leads to itself must not loop.
    let mut evil = q.to_bytes();
    evil.truncate(12);
    evil.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(Repr::from_bytes(&evil), Err(Error::Malformed));
    for n in 0..b.len() {
        let _ = Repr::from_bytes(&b[..n]);
    }
}

#[test]
fn random_bytes_are_refused_or_read() {
    let mut chance = sim::Seed(5).stream("bytes");
    for _ in 0..20_000 {
        let n = chance.below(90) as usize;
        let b: Vec<u8> =
            (0..n).map(|_| if chance.below(3) == 0 { 0xc0 } else { chance.below(70) as u8 }).collect();
        let _ = dns::Repr::from_bytes(&b);
        let _ = ethernet::Packet::new(&b).and_then(|p| ethernet::Repr::parse(&p));
        let _ = arp::Packet::new(&b).and_then(|p| arp::Repr::parse(&p));
        let _ = ipv4::Packet::new(&b).and_then(|p| ipv4::Repr::parse(&p).map(|_| p.payload().len()));
        let _ = udp::Packet::new(&b).and_then(|p| udp::Repr::parse(&p).map(|_| p.payload().len()));
        let _ = tcp::Packet::new(&b).and_then(|p| tcp::Repr::parse(&p).map(|_| p.payload().len()));
        let _ = icmpv4::Packet::new(&b).and_then(|p| icmpv4::Repr::parse(&p).map(|_| ()));
        let _ = vxlan::Packet::new(&b).and_then(|p| vxlan::Repr::parse(&p));
    }
}
