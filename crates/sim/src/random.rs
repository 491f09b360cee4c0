//! Seeded streams of chance, one a component.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The seed of a whole world. Part of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of the component called `name`. Other components' streams do not depend on it, so a new consumer
    /// shifts nobody else's numbers.
    pub fn stream(self, name: &str) -> Stream {
        let mut h = 0xcbf2_9ce4_8422_2325u64;
        for b in name.bytes() {
            h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Stream { state: mix(self.0 ^ mix(h)) }
    }
}

/// A reproducible stream of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    state: u64,
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `lo..=hi`.
    pub fn between(&mut self, lo: Duration, hi: Duration) -> Duration {
        let (lo, hi) = (lo.as_nanos() as u64, hi.as_nanos() as u64);
        Duration::from_nanos(lo + self.below(hi.saturating_sub(lo) + 1))
    }

    /// `d` lengthened by up to `percent` of itself.
    pub fn jitter(&mut self, d: Duration, percent: u64) -> Duration {
        let ns = d.as_nanos() as u64;
        Duration::from_nanos(ns + self.below(ns / 100 * percent + 1))
    }

    /// `n` characters of the alphabet that Kubernetes uses for generated names (no vowels, no look-alikes).
    pub fn suffix(&mut self, n: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..n).map(|_| ALPHABET[self.below(ALPHABET.len() as u64) as usize] as char).collect()
    }

    /// A random (version 4) UUID in its text form.
    pub fn uuid(&mut self) -> String {
        let a = (self.bits() & !0xf000) | 0x4000;
        let b = (self.bits() & (u64::MAX >> 2)) | (1 << 63);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xffff,
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_and_apart() {
        let mut a = Seed(1).stream("a");
        let mut b = Seed(1).stream("b");
        assert_ne!(a.bits(), b.bits());
        assert_eq!(Seed(7).stream("x").suffix(5), Seed(7).stream("x").suffix(5));
        assert!((0..1000).all(|_| a.below(3) < 3));
        let u = b.uuid();
        assert_eq!((u.len(), &u[14..15]), (36, "4"));
    }
}
