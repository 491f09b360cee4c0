//! Packets of every layer, and rule sets for the packet filter: what can be read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::wire::{arp, dns, ethernet, icmpv4, ipv4, tcp, udp, vxlan};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, b)) = bytes.split_first() else { return };
    match kind % 9 {
        0 => drop(ethernet::Packet::new(b).and_then(|p| ethernet::Repr::parse(&p))),
        1 => drop(arp::Packet::new(b).and_then(|p| arp::Repr::parse(&p))),
        2 => drop(ipv4::Packet::new(b).and_then(|p| ipv4::Repr::parse(&p))),
        3 => drop(tcp::Packet::new(b).and_then(|p| tcp::Repr::parse(&p))),
        4 => drop(udp::Packet::new(b).and_then(|p| udp::Repr::parse(&p))),
        5 => {
            let _ = icmpv4::Packet::new(b).map(|p| icmpv4::Repr::parse(&p).map(|_| ()));
        }
        6 => drop(vxlan::Packet::new(b).and_then(|p| vxlan::Repr::parse(&p))),
        7 => {
            // Texts are kept as such: what is no UTF-8 cannot come back the same.
            if let Ok(m) = dns::Repr::from_bytes(b)
                && !format!("{m:?}").contains(char::REPLACEMENT_CHARACTER)
            {
                assert_eq!(dns::Repr::from_bytes(&m.to_bytes()), Ok(m));
            }
        }
        _ => rules(b),
    }
});

fn rules(b: &[u8]) {
    let Ok(text) = core::str::from_utf8(b) else { return };
    let mut n = net::Net::new(sim::Seed(1).stream("net"));
    let Ok(ns) = n.add_namespace("a") else { return };
    if n.iptables_restore(ns, text, false, false).is_ok() {
        let saved = n.iptables_save(ns, None);
        n.iptables_restore(ns, &saved, false, false).unwrap_or_else(|e| panic!("{e:?}: {saved}"));
        assert_eq!(n.iptables_save(ns, None), saved);
    }
}
