//! `date`, `uptime`, `cal`

use super::ls::month;
use super::once::{Cx, Ran};
use sim::Civil;

/// The short name of a day of the week, 0 is Sunday.
pub fn weekday(n: u8) -> &'static str {
    ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].get(usize::from(n)).copied().unwrap_or("???")
}

const LONG_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const LONG_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A time as seconds since 1970: `@N`, RFC 3339, `YYYY-MM-DD [hh:mm[:ss]]`, `hh:mm`.
pub fn parse(s: &str) -> Option<i64> {
    if let Some(n) = s.strip_prefix('@') {
        return n.parse().ok();
    }
    if let Some(c) = Civil::parse(s) {
        return Some(c.unix());
    }
    let s = s.trim().trim_end_matches(" UTC").replace('T', " ");
    let (d, t) = match s.split_once(' ') {
        Some((d, t)) => (d.to_string(), t.trim().to_string()),
        None => (s.clone(), "00:00:00".into()),
    };
    let t = if t.matches(':').count() == 1 { format!("{t}:00") } else { t };
    Civil::parse(&format!("{d}T{t}Z")).map(|c| c.unix())
}

fn day_of_year(c: &Civil) -> i64 {
    let first = Civil { month: 1, day: 1, hour: 0, minute: 0, second: 0, nanos: 0, ..*c };
    (c.unix() - first.unix()) / 86_400 + 1
}

/// `strftime` in UTC.
pub fn format(c: &Civil, spec: &str) -> String {
    let mut out = String::new();
    let mut it = spec.chars();
    while let Some(ch) = it.next() {
        if ch != '%' {
            out.push(ch);
            continue;
        }
        let mut code = it.next();
        let pad = !matches!(code, Some('-'));
        if matches!(code, Some('-' | '_' | '0' | 'E' | 'O')) {
            code = it.next();
        }
        let two = |n: u8| if pad { format!("{n:02}") } else { n.to_string() };
        let h12 = if c.hour.is_multiple_of(12) { 12 } else { c.hour % 12 };
        let s = match code {
            Some('Y') => c.year.to_string(),
            Some('C') => format!("{:02}", c.year / 100),
            Some('y') => format!("{:02}", c.year.rem_euclid(100)),
            Some('m') => two(c.month),
            Some('d') => two(c.day),
            Some('e') => format!("{:2}", c.day),
            Some('H') => two(c.hour),
            Some('I') => two(h12),
            Some('k') => format!("{:2}", c.hour),
            Some('l') => format!("{h12:2}"),
            Some('M') => two(c.minute),
            Some('S') => two(c.second),
            Some('N') => format!("{:09}", c.nanos),
            Some('s') => c.unix().to_string(),
            Some('p') => if c.hour < 12 { "AM" } else { "PM" }.into(),
            Some('P') => if c.hour < 12 { "am" } else { "pm" }.into(),
            Some('j') => format!("{:03}", day_of_year(c)),
            Some('a') => weekday(c.weekday()).into(),
            Some('A') => LONG_DAYS.get(usize::from(c.weekday())).copied().unwrap_or("").into(),
            Some('b' | 'h') => month(c.month).into(),
            Some('B') => LONG_MONTHS.get(usize::from(c.month).wrapping_sub(1)).copied().unwrap_or("").into(),
            Some('u') => (if c.weekday() == 0 { 7 } else { c.weekday() }).to_string(),
            Some('w') => c.weekday().to_string(),
            Some('U') => format!("{:02}", (day_of_year(c) + 6 - i64::from(c.weekday())) / 7),
            Some('F') => format!("{:04}-{:02}-{:02}", c.year, c.month, c.day),
            Some('T' | 'X') => format!("{:02}:{:02}:{:02}", c.hour, c.minute, c.second),
            Some('R') => format!("{:02}:{:02}", c.hour, c.minute),
            Some('D' | 'x') => format!("{:02}/{:02}/{:02}", c.month, c.day, c.year.rem_euclid(100)),
            Some('r') => {
                format!("{h12:02}:{:02}:{:02} {}", c.minute, c.second, if c.hour < 12 { "AM" } else { "PM" })
            }
            Some('c') => format(c, "%a %b %e %H:%M:%S %Y"),
            Some('Z') => "UTC".into(),
            Some('z') => "+0000".into(),
            Some('n') => "\n".into(),
            Some('t') => "\t".into(),
            Some('%') => "%".into(),
            Some(o) => format!("%{o}"),
            None => "%".into(),
        };
        out.push_str(&s);
    }
    out
}

/// `date`
pub fn date(cx: &mut Cx) -> Ran {
    // `-I` takes its value only glued to it.
    let args: Vec<String> = cx.args.iter().map(|a| a.replace("--iso-8601", "-I")).collect();
    let iso = args.iter().find_map(|a| a.strip_prefix("-I")).map(|v| v.trim_start_matches('=').to_string());
    let rest: Vec<String> = args.into_iter().filter(|a| !a.starts_with("-I")).collect();
    let long = [
        ("utc", 'u'),
        ("date", 'd'),
        ("set", 's'),
        ("reference", 'r'),
        ("rfc-2822", 'R'),
        ("rfc-email", 'R'),
    ];
    let o = match super::options::parse(&rest, "ud:s:r:RD:", &long) {
        Ok(o) => o,
        Err(m) => {
            cx.err(&m);
            return Ok(cx.usage());
        }
    };
    let mut c = cx.sys.epoch().civil(cx.sys.now());
    if let Some(d) = o.value('d').map(str::to_string) {
        match parse(&d) {
            Some(t) => c = Civil::from_unix(t, 0),
            None => {
                cx.err(&format!("invalid date '{d}'"));
                return Ok(1);
            }
        }
    }
    if let Some(r) = o.value('r').map(str::to_string) {
        match cx.sys.stat(&r) {
            Ok(s) => c = Civil::from_unix(s.mtime, 0),
            Err(e) => {
                cx.fail(&r, e);
                return Ok(1);
            }
        }
    }
    if o.has('s') {
        cx.err("can't set date: Operation not permitted");
        return Ok(1);
    }
    let spec = match (o.first().and_then(|f| f.strip_prefix('+')), &iso) {
        (Some(f), _) => f.to_string(),
        (None, Some(p)) => match p.as_str() {
            "" | "date" => "%Y-%m-%d".into(),
            "hours" => "%Y-%m-%dT%H%z".into(),
            "minutes" => "%Y-%m-%dT%H:%M%z".into(),
            _ => "%Y-%m-%dT%H:%M:%S%z".into(),
        },
        (None, None) if o.has('R') => "%a, %d %b %Y %H:%M:%S %z".into(),
        (None, None) => {
            if let Some(f) = o.first() {
                let f = f.to_string();
                cx.err(&format!("invalid date '{f}'"));
                return Ok(1);
            }
            "%a %b %e %H:%M:%S %Z %Y".into()
        }
    };
    cx.say(&format!("{}\n", format(&c, &spec)));
    Ok(0)
}

/// `uptime`
pub fn uptime(cx: &mut Cx) -> Ran {
    let c = cx.sys.epoch().civil(cx.sys.now());
    let up = crate::io::read_text(cx.sys, "/proc/uptime").unwrap_or_default();
    let secs: u64 = up.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(cx.sys.now().secs());
    let (days, h, m) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    let mut text = format!(" {:02}:{:02}:{:02} up ", c.hour, c.minute, c.second);
    if days > 0 {
        text.push_str(&format!("{days} day{}, ", if days == 1 { "" } else { "s" }));
    }
    text.push_str(&if h > 0 { format!("{h:2}:{m:02}") } else { format!("{m} min") });
    cx.say(&format!("{text},  0 users,  load average: 0.00, 0.01, 0.05\n"));
    Ok(0)
}
