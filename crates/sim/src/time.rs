//! Nanoseconds since the cluster's epoch, and their civil form.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A point in virtual time: nanoseconds since the cluster's epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Instant(u64);

impl Instant {
    /// The cluster's epoch.
    pub const ZERO: Instant = Instant(0);

    /// The instant `ns` nanoseconds after the epoch.
    pub const fn from_nanos(ns: u64) -> Self {
        Instant(ns)
    }

    /// The instant `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Instant(ms * 1_000_000)
    }

    /// The instant `s` seconds after the epoch.
    pub const fn from_secs(s: u64) -> Self {
        Instant(s * 1_000_000_000)
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Time passed since `earlier`, zero if that lies ahead.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, d: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Instant {
    /// `12.034s`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.secs(), self.millis() % 1000)
    }
}

/// The civil moment of [`Instant::ZERO`], in seconds since 1970-01-01T00:00:00Z. Part of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Epoch(pub i64);

impl Epoch {
    /// 2026-01-05T09:00:00Z, a Monday morning: what a scenario gets that names none.
    pub const DEFAULT: Epoch = Epoch(1_767_603_600);

    /// The civil time of an instant.
    pub fn civil(self, at: Instant) -> Civil {
        Civil::from_unix(self.0 + at.secs() as i64, (at.nanos() % 1_000_000_000) as u32)
    }

    /// The instant of a civil time, or `None` if it lies before the epoch.
    pub fn instant(self, civil: &Civil) -> Option<Instant> {
        let s = u64::try_from(civil.unix() - self.0).ok()?;
        Some(Instant::from_nanos(s.checked_mul(1_000_000_000)?.checked_add(u64::from(civil.nanos))?))
    }
}

/// A UTC date and time of the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Civil {
    /// Year, possibly negative.
    pub year: i64,
    /// Month 1 to 12.
    pub month: u8,
    /// Day of the month 1 to 31.
    pub day: u8,
    /// Hour 0 to 23.
    pub hour: u8,
    /// Minute 0 to 59.
    pub minute: u8,
    /// Second 0 to 59.
    pub second: u8,
    /// Nanosecond 0 to 999,999,999.
    pub nanos: u32,
}

impl Civil {
    /// From seconds since 1970 and nanoseconds.
    pub fn from_unix(secs: i64, nanos: u32) -> Civil {
        let days = secs.div_euclid(86_400);
        let rest = secs.rem_euclid(86_400);
        // Days to civil, with years that begin in March: the leap day comes last.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u8;
        let month = if mp < 10 { mp + 3 } else { mp - 9 } as u8;
        let year = yoe + era * 400 + i64::from(month <= 2);
        Civil {
            year,
            month,
            day,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
            nanos,
        }
    }

    /// Seconds since 1970.
    pub fn unix(&self) -> i64 {
        let y = self.year - i64::from(self.month <= 2);
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let mp = (i64::from(self.month) + 9) % 12;
        let doy = (153 * mp + 2) / 5 + i64::from(self.day) - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let days = era * 146_097 + doe - 719_468;
        days * 86_400 + i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second)
    }

    /// Day of the week, 0 is Sunday.
    pub fn weekday(&self) -> u8 {
        (self.unix().div_euclid(86_400) + 4).rem_euclid(7) as u8
    }

    /// RFC 3339 in seconds, as `metav1.Time` prints it: `2026-01-05T09:00:00Z`.
    pub fn rfc3339(&self) -> String {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }

    /// RFC 3339 in microseconds, as `metav1.MicroTime` prints it: `2026-01-05T09:00:00.000000Z`.
    pub fn rfc3339_micro(&self) -> String {
        let s = self.rfc3339();
        format!("{}.{:06}Z", &s[..s.len() - 1], self.nanos / 1000)
    }

    /// Reads RFC 3339 with an optional fraction and an offset.
    pub fn parse(s: &str) -> Option<Civil> {
        let b = s.as_bytes();
        if !s.is_ascii() || b.len() < 20 || b[4] != b'-' || b[7] != b'-' || b[13] != b':' || b[16] != b':' {
            return None;
        }
        if !matches!(b[10], b'T' | b't' | b' ') {
            return None;
        }
        let num = |r: core::ops::Range<usize>| -> Option<i64> {
            let t = &s[r];
            if t.bytes().all(|c| c.is_ascii_digit()) { t.parse().ok() } else { None }
        };
        let (mut i, mut nanos) = (19, 0u32);
        if b[i] == b'.' {
            let start = i + 1;
            i = start;
            while i < b.len() && b[i].is_ascii_digit() {
                if i - start < 9 {
                    nanos = nanos * 10 + u32::from(b[i] - b'0');
                }
                i += 1;
            }
            let digits = i - start;
            if digits == 0 {
                return None;
            }
            for _ in digits..9 {
                nanos *= 10;
            }
        }
        let offset = match *b.get(i)? {
            b'Z' | b'z' if i + 1 == b.len() => 0,
            sign @ (b'+' | b'-') if i + 6 == b.len() && b[i + 3] == b':' => {
                let o = num(i + 1..i + 3)? * 3600 + num(i + 4..i + 6)? * 60;
                if sign == b'-' { -o } else { o }
            }
            _ => return None,
        };
        let c = Civil {
            year: num(0..4)?,
            month: num(5..7)? as u8,
            day: num(8..10)? as u8,
            hour: num(11..13)? as u8,
            minute: num(14..16)? as u8,
            second: num(17..19)? as u8,
            nanos,
        };
        if !(1..=12).contains(&c.month) || c.day == 0 || c.hour > 23 || c.minute > 59 || c.second > 59 {
            return None;
        }
        let utc = Civil::from_unix(c.unix(), nanos);
        if utc.day != c.day {
            return None;
        }
        Some(Civil::from_unix(c.unix() - offset, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_round_trip() {
        for s in
            ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2026-11-24T21:15:47Z", "2100-03-01T00:00:00Z"]
        {
            let c = Civil::parse(s).unwrap();
            assert_eq!(c.rfc3339(), s);
            assert_eq!(Civil::from_unix(c.unix(), 0), c);
        }
        assert_eq!(
            Civil::parse("2026-11-24T21:15:47.5+01:00").unwrap().rfc3339_micro(),
            "2026-11-24T20:15:47.500000Z"
        );
        assert_eq!(Civil::parse("2026-02-30T00:00:00Z"), None);
        assert_eq!(Epoch::DEFAULT.civil(Instant::ZERO).rfc3339(), "2026-01-05T09:00:00Z");
        assert_eq!(Epoch::DEFAULT.civil(Instant::ZERO).weekday(), 1);
    }
}
