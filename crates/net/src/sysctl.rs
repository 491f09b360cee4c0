//! Kernel settings of a namespace under their `sysctl` names.

use sim::persistent::OrdMap;
use smol_str::SmolStr;

/// Settings that the model reads, and any others by name.
#[derive(Clone, Debug)]
pub(crate) struct Sysctls {
    pub ip_forward: bool,
    pub bridge_nf: bool,
    pub default_ttl: u8,
    pub local_ports: (u16, u16),
    pub echo_ignore: bool,
    pub syn_retries: u8,
    pub somaxconn: u32,
    pub conntrack_max: u32,
    /// `conf.DEVICE.KEY`, with `all` and `default` as devices.
    conf: OrdMap<(SmolStr, SmolStr), i32>,
    other: OrdMap<SmolStr, SmolStr>,
}

impl Default for Sysctls {
    fn default() -> Self {
        Sysctls {
            ip_forward: false,
            bridge_nf: false,
            default_ttl: 64,
            local_ports: (32_768, 60_999),
            echo_ignore: false,
            syn_retries: 6,
            somaxconn: 4_096,
            conntrack_max: 65_536,
            conf: OrdMap::new(),
            other: OrdMap::new(),
        }
    }
}

/// `conf.cni0.rp_filter`: device names may hold dots, keys do not.
fn conf_key(rest: &str) -> Option<(SmolStr, SmolStr)> {
    let (dev, key) = rest.rsplit_once('.')?;
    Some((dev.into(), key.into()))
}

impl Sysctls {
    /// A per-device setting: the greater of `all` and the device's own, as the kernel combines most.
    pub fn device(&self, dev: &str, key: &str) -> i32 {
        let get = |d: &str| self.conf.get(&(SmolStr::new(d), SmolStr::new(key))).copied();
        if self.conf.is_empty() {
            return 0;
        }
        let own = get(dev).or_else(|| get("default")).unwrap_or(0);
        own.max(get("all").unwrap_or(0))
    }

    /// Whether no per-device setting was ever made.
    pub fn plain(&self) -> bool {
        self.conf.is_empty()
    }

    /// Sets by name, with dots or slashes. `false`: the value is not allowed there.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let name = name.replace('/', ".");
        let flag = match value.trim() {
            "0" => Some(false),
            v => v.parse::<i64>().ok().map(|n| n != 0),
        };
        let put = |slot: &mut bool| flag.map(|f| *slot = f).is_some();
        match name.as_str() {
            "net.ipv4.ip_forward" | "net.ipv4.conf.all.forwarding" => put(&mut self.ip_forward),
            "net.bridge.bridge-nf-call-iptables" => put(&mut self.bridge_nf),
            "net.ipv4.icmp_echo_ignore_all" => put(&mut self.echo_ignore),
            "net.ipv4.ip_default_ttl" => match value.trim().parse::<u8>() {
                Ok(t) if t > 0 => {
                    self.default_ttl = t;
                    true
                }
                _ => false,
            },
            "net.ipv4.tcp_syn_retries" => value.trim().parse().is_ok_and(|n: u8| {
                self.syn_retries = n.clamp(1, 127);
                (1..=127).contains(&n)
            }),
            "net.core.somaxconn" => value.trim().parse().map(|n| self.somaxconn = n).is_ok(),
            "net.netfilter.nf_conntrack_max" => value.trim().parse().map(|n| self.conntrack_max = n).is_ok(),
            "net.ipv4.ip_local_port_range" => {
                let mut w = value.split_whitespace().map(str::parse::<u16>);
                match (w.next(), w.next()) {
                    (Some(Ok(a)), Some(Ok(b))) if a > 0 && a <= b => {
                        self.local_ports = (a, b);
                        true
                    }
                    _ => false,
                }
            }
            n => {
                if let Some((dev, key)) = n.strip_prefix("net.ipv4.conf.").and_then(conf_key) {
                    let Ok(v) = value.trim().parse() else { return false };
                    self.conf.insert((dev, key), v);
                } else if self.other.len() < 1_000 {
                    self.other.insert(n.into(), value.trim().into());
                }
                true
            }
        }
    }

    /// The value under that name; `None`: no such setting.
    pub fn get(&self, name: &str) -> Option<String> {
        let name = name.replace('/', ".");
        let flag = |b: bool| Some(u8::from(b).to_string());
        match name.as_str() {
            "net.ipv4.ip_forward" | "net.ipv4.conf.all.forwarding" | "net.ipv4.conf.default.forwarding" => {
                flag(self.ip_forward)
            }
            "net.bridge.bridge-nf-call-iptables" => flag(self.bridge_nf),
            "net.ipv4.icmp_echo_ignore_all" => flag(self.echo_ignore),
            "net.ipv4.ip_default_ttl" => Some(self.default_ttl.to_string()),
            "net.ipv4.tcp_syn_retries" => Some(self.syn_retries.to_string()),
            "net.core.somaxconn" => Some(self.somaxconn.to_string()),
            "net.netfilter.nf_conntrack_max" => Some(self.conntrack_max.to_string()),
            "net.ipv4.ip_local_port_range" => Some(format!("{}\t{}", self.local_ports.0, self.local_ports.1)),
            n => {
                if let Some(k) = n.strip_prefix("net.ipv4.conf.").and_then(conf_key) {
                    return Some(self.conf.get(&k).copied().unwrap_or(0).to_string());
                }
                self.other.get(n).map(SmolStr::to_string)
            }
        }
    }
}
