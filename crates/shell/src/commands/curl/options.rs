//! The command line of `curl`.

use super::{Curl, VERSION};
use crate::io;
use crate::sys::Sys;
use sim::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct Opts {
    pub urls: Vec<String>,
    pub silent: bool,
    pub show_error: bool,
    pub verbose: bool,
    pub include: bool,
    pub head: bool,
    pub get: bool,
    pub fail: bool,
    pub location: bool,
    pub insecure: bool,
    pub remote_name: bool,
    pub out: Option<String>,
    pub method: Option<String>,
    pub data: Vec<u8>,
    pub has_data: bool,
    pub headers: Vec<String>,
    pub max_time: Option<Duration>,
    pub connect_time: Option<Duration>,
    pub format: Option<String>,
    pub user: Option<String>,
    pub agent: Option<String>,
    pub cacert: Option<String>,
    pub cert: Option<String>,
    pub retry: u32,
    pub resolve: Vec<(String, u16, String)>,
    pub unix: Option<String>,
    pub upload: Option<String>,
    pub form: bool,
}

const TAKES: &[(&str, char)] = &[
    ("request", 'X'),
    ("header", 'H'),
    ("data", 'd'),
    ("data-raw", 'd'),
    ("data-binary", 'b'),
    ("data-urlencode", 'U'),
    ("json", 'J'),
    ("output", 'o'),
    ("write-out", 'w'),
    ("max-time", 'm'),
    ("connect-timeout", 'c'),
    ("user", 'u'),
    ("user-agent", 'A'),
    ("cacert", 'C'),
    ("cert", 'E'),
    ("key", 'K'),
    ("retry", 'r'),
    ("retry-delay", 'K'),
    ("retry-max-time", 'K'),
    ("max-redirs", 'K'),
    ("resolve", 'R'),
    ("unix-socket", 'S'),
    ("upload-file", 'T'),
    ("form", 'F'),
    ("cookie", 'B'),
    ("url", 'l'),
    ("referer", 'e'),
    ("interface", 'K'),
    ("proxy", 'K'),
    ("noproxy", 'K'),
];
const FLAGS: &[(&str, char)] = &[
    ("silent", 's'),
    ("show-error", 'S'),
    ("verbose", 'v'),
    ("include", 'i'),
    ("head", 'I'),
    ("get", 'G'),
    ("fail", 'f'),
    ("location", 'L'),
    ("insecure", 'k'),
    ("remote-name", 'O'),
    ("no-buffer", 'N'),
    ("ipv4", '4'),
    ("ipv6", '6'),
    ("http1.1", '1'),
    ("http2", '1'),
    ("compressed", '1'),
    ("no-progress-meter", 'P'),
    ("progress-bar", '#'),
    ("globoff", 'g'),
    ("no-keepalive", '1'),
    ("retry-connrefused", '1'),
    ("retry-all-errors", '1'),
    ("fail-with-body", '1'),
    ("path-as-is", '1'),
];

fn seconds(s: &str) -> Option<Duration> {
    crate::commands::options::duration_ms(s)
        .filter(|_| s.ends_with(|c: char| c.is_ascii_digit()))
        .map(Duration::from_millis)
}

impl Curl {
    pub(super) fn parse(&mut self, sys: &mut dyn Sys) -> Result<(), (String, i32)> {
        let args: Vec<String> = self.argv.iter().skip(1).cloned().collect();
        let mut it = args.iter();
        let unknown = |a: &str| (format!("option {a}: is unknown"), 2);
        while let Some(a) = it.next() {
            if let Some(l) = a.strip_prefix("--") {
                if let Some((_, c)) = FLAGS.iter().find(|f| f.0 == l) {
                    self.flag(*c);
                } else if let Some((_, c)) = TAKES.iter().find(|t| t.0 == l) {
                    let v = it.next().ok_or_else(|| (format!("option {a}: requires parameter"), 2))?;
                    self.value(sys, *c, v)?;
                } else if l == "version" {
                    self.flag('V');
                } else {
                    return Err(unknown(a));
                }
                continue;
            }
            let Some(letters) = a.strip_prefix('-').filter(|l| !l.is_empty()) else {
                self.opts.urls.push(a.clone());
                continue;
            };
            let mut chars = letters.chars();
            while let Some(c) = chars.next() {
                if "XHdowmuAETFBe".contains(c) {
                    let rest: String = chars.by_ref().collect();
                    let v = if rest.is_empty() { it.next().cloned() } else { Some(rest) };
                    let v = v.ok_or_else(|| (format!("option {a}: requires parameter"), 2))?;
                    let key = match c {
                        'b' => 'B',
                        c => c,
                    };
                    self.value(sys, key, &v)?;
                } else if "sSviIGfLkONg46#Vq0123j".contains(c) {
                    self.flag(c);
                } else {
                    return Err(unknown(a));
                }
            }
        }
        Ok(())
    }

    pub(super) fn flag(&mut self, c: char) {
        let o = &mut self.opts;
        match c {
            's' => o.silent = true,
            'S' => o.show_error = true,
            'v' => o.verbose = true,
            'i' => o.include = true,
            'I' => o.head = true,
            'G' => o.get = true,
            'f' => o.fail = true,
            'L' => o.location = true,
            'k' => o.insecure = true,
            'O' => o.remote_name = true,
            'V' => {
                self.out.out(&format!(
                    "curl {VERSION} (x86_64-pc-linux-gnu) libcurl/{VERSION}\nProtocols: http https\nFeatures: IPv6 SSL\n"
                ));
                o.urls.clear();
                o.urls.push(String::new());
            }
            _ => {}
        }
    }

    pub(super) fn value(&mut self, sys: &mut dyn Sys, c: char, v: &str) -> Result<(), (String, i32)> {
        match c {
            'X' => self.opts.method = Some(v.into()),
            'H' => {
                if let Some(f) = v.strip_prefix('@') {
                    let t = io::read_text(sys, f).map_err(|_| (format!("Failed to open {f}"), 26))?;
                    self.opts.headers.extend(t.lines().map(str::to_string));
                } else {
                    self.opts.headers.push(v.into());
                }
            }
            'd' | 'b' | 'U' | 'J' => self.data(sys, c, v)?,
            'o' => self.opts.out = Some(v.into()),
            'w' => self.opts.format = Some(v.into()),
            'm' | 'c' => {
                let name = if c == 'm' { "-m" } else { "--connect-timeout" };
                let d = seconds(v)
                    .ok_or_else(|| (format!("option {name}: expected a proper numerical parameter"), 2))?;
                if c == 'm' { self.opts.max_time = Some(d) } else { self.opts.connect_time = Some(d) }
            }
            'u' => self.opts.user = Some(v.into()),
            'A' => self.opts.agent = Some(v.into()),
            'C' => self.opts.cacert = Some(v.into()),
            'E' => self.opts.cert = Some(v.into()),
            'r' => self.opts.retry = v.parse().unwrap_or(0).min(1000),
            'R' => {
                let mut p = v.splitn(3, ':');
                if let (Some(h), Some(port), Some(ip)) =
                    (p.next(), p.next().and_then(|p| p.parse().ok()), p.next())
                {
                    self.opts.resolve.push((h.into(), port, ip.into()));
                }
            }
            'S' => self.opts.unix = Some(v.into()),
            'T' => self.opts.upload = Some(v.into()),
            'B' => self.opts.headers.push(format!("Cookie: {v}")),
            'e' => self.opts.headers.push(format!("Referer: {v}")),
            'F' => {
                self.opts.form = true;
                self.data(sys, 'd', v)?;
            }
            'l' => self.opts.urls.push(v.into()),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn data(&mut self, sys: &mut dyn Sys, c: char, v: &str) -> Result<(), (String, i32)> {
        let mut bytes = match v.strip_prefix('@') {
            Some("-") => self.stdin.clone(),
            Some(f) => io::read_file(sys, f).map_err(|_| (format!("Failed to open {f}"), 26))?,
            None => v.as_bytes().to_vec(),
        };
        if c == 'd' && v.starts_with('@') {
            bytes.retain(|b| !matches!(b, b'\n' | b'\r'));
        }
        if c == 'U' {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let (n, t) = text.split_once('=').unwrap_or(("", &text));
            let enc: String = t
                .bytes()
                .map(|b| {
                    if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                        char::from(b).to_string()
                    } else {
                        format!("%{b:02X}")
                    }
                })
                .collect();
            bytes = if n.is_empty() { enc.into_bytes() } else { format!("{n}={enc}").into_bytes() };
        }
        if c == 'J' {
            self.opts.headers.push("Content-Type: application/json".into());
            self.opts.headers.push("Accept: application/json".into());
        } else if !self.opts.data.is_empty() {
            self.opts.data.push(b'&');
        }
        self.opts.data.extend(bytes);
        self.opts.has_data = true;
        Ok(())
    }
}
