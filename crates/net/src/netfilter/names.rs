//! Names of protocols, services and ICMP types, as `/etc/protocols`, `/etc/services` and iptables have them.

/// Protocols that have a name.
const PROTOCOLS: &[(u8, &str)] = &[
    (0, "all"),
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipencap"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (89, "ospf"),
    (94, "ipip"),
    (103, "pim"),
    (112, "vrrp"),
    (132, "sctp"),
    (136, "udplite"),
];

const TCP: u8 = 1;
const UDP: u8 = 2;
const BOTH: u8 = 3;

/// Services: port, name, and the protocols for which the name stands.
const SERVICES: &[(u16, &str, u8)] = &[
    (1, "tcpmux", TCP),
    (7, "echo", BOTH),
    (9, "discard", BOTH),
    (20, "ftp-data", TCP),
    (21, "ftp", TCP),
    (21, "fsp", UDP),
    (22, "ssh", TCP),
    (23, "telnet", TCP),
    (25, "smtp", TCP),
    (37, "time", BOTH),
    (43, "whois", TCP),
    (53, "domain", BOTH),
    (67, "bootps", UDP),
    (68, "bootpc", UDP),
    (69, "tftp", UDP),
    (80, "http", TCP),
    (88, "kerberos", BOTH),
    (110, "pop3", TCP),
    (111, "sunrpc", BOTH),
    (119, "nntp", TCP),
    (123, "ntp", UDP),
    (137, "netbios-ns", UDP),
    (143, "imap2", TCP),
    (161, "snmp", BOTH),
    (179, "bgp", TCP),
    (389, "ldap", BOTH),
    (443, "https", BOTH),
    (445, "microsoft-ds", TCP),
    (465, "submissions", TCP),
    (514, "shell", TCP),
    (514, "syslog", UDP),
    (587, "submission", TCP),
    (631, "ipp", TCP),
    (636, "ldaps", BOTH),
    (853, "domain-s", BOTH),
    (873, "rsync", TCP),
    (989, "ftps-data", TCP),
    (990, "ftps", TCP),
    (993, "imaps", TCP),
    (995, "pop3s", TCP),
    (1080, "socks", TCP),
    (1194, "openvpn", BOTH),
    (1433, "ms-sql-s", TCP),
    (2049, "nfs", BOTH),
    (3306, "mysql", TCP),
    (3389, "ms-wbt-server", TCP),
    (5060, "sip", BOTH),
    (5222, "xmpp-client", TCP),
    (5353, "mdns", UDP),
    (5432, "postgresql", TCP),
    (5671, "amqps", TCP),
    (5672, "amqp", TCP),
    (6379, "redis", TCP),
    (8080, "http-alt", TCP),
    (9418, "git", TCP),
    (10050, "zabbix-agent", TCP),
];

/// ICMP types: name, type and code range.
const ICMP: &[(&str, u8, u8, u8)] = &[
    ("any", 255, 0, 255),
    ("echo-reply", 0, 0, 255),
    ("pong", 0, 0, 255),
    ("destination-unreachable", 3, 0, 255),
    ("network-unreachable", 3, 0, 0),
    ("host-unreachable", 3, 1, 1),
    ("protocol-unreachable", 3, 2, 2),
    ("port-unreachable", 3, 3, 3),
    ("fragmentation-needed", 3, 4, 4),
    ("source-route-failed", 3, 5, 5),
    ("network-unknown", 3, 6, 6),
    ("host-unknown", 3, 7, 7),
    ("network-prohibited", 3, 9, 9),
    ("host-prohibited", 3, 10, 10),
    ("communication-prohibited", 3, 13, 13),
    ("source-quench", 4, 0, 255),
    ("redirect", 5, 0, 255),
    ("network-redirect", 5, 0, 0),
    ("host-redirect", 5, 1, 1),
    ("echo-request", 8, 0, 255),
    ("ping", 8, 0, 255),
    ("router-advertisement", 9, 0, 255),
    ("router-solicitation", 10, 0, 255),
    ("time-exceeded", 11, 0, 255),
    ("ttl-exceeded", 11, 0, 255),
    ("ttl-zero-during-transit", 11, 0, 0),
    ("ttl-zero-during-reassembly", 11, 1, 1),
    ("parameter-problem", 12, 0, 255),
    ("ip-header-bad", 12, 0, 0),
    ("required-option-missing", 12, 1, 1),
    ("timestamp-request", 13, 0, 255),
    ("timestamp-reply", 14, 0, 255),
    ("address-mask-request", 17, 0, 255),
    ("address-mask-reply", 18, 0, 255),
];

/// The protocol of that name or number.
pub(crate) fn protocol(s: &str) -> Option<u8> {
    if let Ok(n) = s.parse() {
        return Some(n);
    }
    PROTOCOLS.iter().find(|(_, n)| n.eq_ignore_ascii_case(s)).map(|(p, _)| *p)
}

/// The protocol's name, or its number.
pub(crate) fn protocol_name(p: u8) -> String {
    PROTOCOLS.iter().find(|(n, _)| *n == p).map_or_else(|| p.to_string(), |(_, n)| (*n).to_string())
}

/// The service's port.
pub(crate) fn service(s: &str) -> Option<u16> {
    SERVICES.iter().find(|(_, n, _)| *n == s).map(|(p, ..)| *p)
}

/// The port's service name with that protocol, or the number if there is none or `numeric`.
pub(crate) fn port_name(p: u16, proto: u8, numeric: bool) -> String {
    let bit = match proto {
        6 => TCP,
        17 => UDP,
        _ => 0,
    };
    let name = SERVICES.iter().find(|(n, _, k)| *n == p && k & bit != 0 && !numeric);
    name.map_or_else(|| p.to_string(), |(_, n, _)| (*n).to_string())
}

/// The ICMP type of that name or number: type and code range.
pub(crate) fn icmp_type(s: &str) -> Option<(u8, u8, u8)> {
    if s.starts_with(|c: char| c.is_ascii_digit()) {
        let (t, c) = s.split_once('/').map_or((s, None), |(t, c)| (t, Some(c)));
        let t = t.parse().ok()?;
        return match c {
            None => Some((t, 0, 255)),
            Some(c) => c.parse().ok().map(|c| (t, c, c)),
        };
    }
    // Unambiguous beginnings will do, as in iptables.
    let s = s.to_ascii_lowercase();
    let mut hits = ICMP.iter().filter(|(n, ..)| n.starts_with(&s));
    let first = hits.next()?;
    if first.0 != s && hits.next().is_some() {
        return ICMP.iter().find(|(n, ..)| *n == s).map(|&(_, t, a, b)| (t, a, b));
    }
    Some((first.1, first.2, first.3))
}

/// The name of an ICMP type and code range, if it has one.
pub(crate) fn icmp_name(kind: u8, codes: (u8, u8)) -> Option<&'static str> {
    ICMP.iter().find(|&&(_, t, a, b)| t == kind && (a, b) == codes).map(|(n, ..)| *n)
}
