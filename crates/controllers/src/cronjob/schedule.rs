//! Schedules of CronJobs: five fields, or a word such as `@hourly`.

use sim::Civil;

/// A schedule that never comes is looked for this far ahead, in days.
const HORIZON_DAYS: i64 = 366 * 5;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Schedule {
    /// Bits of minute, hour, day, month and weekday; whether day and weekday are open.
    Fields([u64; 5], [bool; 2]),
    /// Every so many seconds.
    Every(i64),
}

impl Schedule {
    /// Reads a schedule.
    pub(super) fn parse(text: &str) -> Option<Schedule> {
        if let Some(every) = text.strip_prefix("@every ") {
            let seconds = api::duration::parse(every).ok()? / 1_000_000_000;
            return Some(Schedule::Every(seconds.max(1)));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            t => t,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        let open = |f: &str| f.starts_with(['*', '?']);
        let bits = [
            field(minute, 0, 59, &[])?,
            field(hour, 0, 23, &[])?,
            field(day, 1, 31, &[])?,
            field(month, 1, 12, &MONTHS)?,
            field(weekday, 0, 6, &DAYS)?,
        ];
        Some(Schedule::Fields(bits, [open(day), open(weekday)]))
    }

    /// The first time after `after`, in seconds since 1970.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let ([minutes, hours, days, months, weekdays], open) = match self {
            Schedule::Every(s) => return Some(after + s),
            Schedule::Fields(bits, open) => (*bits, *open),
        };
        let has = |bits: u64, n: u8| bits >> n & 1 == 1;
        let mut t = (after.div_euclid(60) + 1) * 60;
        let end = t + HORIZON_DAYS * 86_400;
        while t < end {
            let c = Civil::from_unix(t, 0);
            let (by_day, by_weekday) = (has(days, c.day), has(weekdays, c.weekday()));
            // If both are narrowed, either will do.
            let day = if open.contains(&true) { by_day && by_weekday } else { by_day || by_weekday };
            if !has(months, c.month) || !day {
                t = (t.div_euclid(86_400) + 1) * 86_400;
            } else if !has(hours, c.hour) {
                t = (t.div_euclid(3600) + 1) * 3600;
            } else if !has(minutes, c.minute) {
                t += 60;
            } else {
                return Some(t);
            }
        }
        None
    }
}

fn field(text: &str, min: u32, max: u32, words: &[&str]) -> Option<u64> {
    let number = |s: &str| {
        let word = words.iter().position(|w| s.eq_ignore_ascii_case(w));
        word.map(|i| i as u32 + min).or_else(|| s.parse().ok())
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((r, s)) => (r, Some(s.parse::<u32>().ok().filter(|s| *s > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (min, max),
            Some((a, b)) => (number(a)?, number(b)?),
            None if step.is_some() => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        for n in (from..=to.min(63)).step_by(step.unwrap_or(1) as usize) {
            bits |= 1 << n;
        }
    }
    Some(bits)
}

#[cfg(test)]
#[test]
fn the_next_time_of_a_schedule() {
    let at = |s: &str| Civil::parse(s).unwrap().unix();
    let next = |schedule: &str, after: &str| {
        let t = Schedule::parse(schedule).unwrap().next(at(after)).unwrap();
        Civil::from_unix(t, 0).rfc3339()
    };
    assert_eq!(next("* * * * *", "2026-11-24T21:28:04Z"), "2026-11-24T21:29:00Z");
    assert_eq!(next("*/15 3 * * mon-fri", "2026-11-24T03:45:00Z"), "2026-11-25T03:00:00Z");
    assert_eq!(next("@yearly", "2026-11-24T21:28:04Z"), "2027-01-01T00:00:00Z");
    assert_eq!(next("0 0 13 * 5", "2026-11-24T00:00:00Z"), "2026-11-27T00:00:00Z");
    assert!(Schedule::parse("0 0 31 2 *").unwrap().next(0).is_none());
}
