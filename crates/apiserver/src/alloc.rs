//! Allocation of cluster IPs and node ports.
//!
//! Models: the service IP and port allocators: random picks out of the upper part of the range, so that fixed requests
//! find the lower part free.

use sim::Stream;
use sim::persistent::OrdSet;

/// A range of integers handed out one by one. A clone shares its content.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    first: u32,
    size: u32,
    /// Picks begin here; what lies below is for fixed requests until the rest is full.
    band: u32,
    used: OrdSet<u32>,
}

impl Range {
    pub(crate) fn new(first: u32, size: u32) -> Range {
        // Models: `calculateRangeOffset`: a sixteenth of the range, at least 16, at most 256 (128 for ports).
        let band = if size < 32 { 0 } else { (size / 16).clamp(16, 256) };
        Range { first, size, band, used: OrdSet::new() }
    }

    /// Whether a value lies in the range.
    pub(crate) fn contains(&self, v: u32) -> bool {
        v >= self.first && v - self.first < self.size
    }

    /// Takes a given value; false if it is taken already.
    pub(crate) fn take(&mut self, v: u32) -> bool {
        self.used.insert(v)
    }

    /// Gives a value back.
    pub(crate) fn release(&mut self, v: u32) {
        self.used.remove(&v);
    }

    /// Takes any free value.
    pub(crate) fn pick(&mut self, chance: &mut Stream) -> Option<u32> {
        let upper = self.size - self.band;
        let start = self.band + chance.below(u64::from(upper)) as u32;
        let band = self.band;
        let candidates = (0..upper).map(move |i| band + (start - band + i) % upper).chain(0..band);
        for c in candidates {
            let v = self.first + c;
            if self.take(v) {
                return Some(v);
            }
        }
        None
    }
}

/// The octets of an IPv4 address as a number.
pub(crate) fn ipv4(text: &str) -> Option<u32> {
    text.parse::<core::net::Ipv4Addr>().ok().map(u32::from)
}

/// The text of an IPv4 address.
pub(crate) fn ipv4_text(v: u32) -> String {
    core::net::Ipv4Addr::from(v).to_string()
}

/// First usable address and number of usable addresses of a CIDR.
pub(crate) fn usable(cidr: &str) -> Option<(u32, u32)> {
    let (ip, bits) = cidr.split_once('/')?;
    let (ip, bits) = (ipv4(ip)?, bits.parse::<u32>().ok().filter(|b| *b <= 30)?);
    let size = 1u32.checked_shl(32 - bits)?;
    Some(((ip & !(size - 1)) + 1, size - 2))
}

#[cfg(test)]
#[test]
fn ranges() {
    let mut r = Range::new(usable("10.96.0.0/16").unwrap().0, 65_534);
    let mut chance = sim::Seed(1).stream("x");
    let a = r.pick(&mut chance).unwrap();
    assert!(ipv4_text(a).starts_with("10.96."));
    assert!(!r.take(a));
    r.release(a);
    assert!(r.take(a));
}
