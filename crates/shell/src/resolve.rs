//! Names to addresses as the C library does it: `/etc/hosts`, then DNS over UDP with the search list of
//! `/etc/resolv.conf`. Models: glibc's resolver for IPv4 (two attempts, five seconds each, `ndots`).

use crate::errno::Errno;
use crate::io;
use crate::sys::{Fd, SocketKind, Sys};
use core::task::Poll;
use net::wire::dns::{Data, Name, Rcode, Repr, Type};
use sim::{Duration, Instant};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// What `/etc/resolv.conf` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Servers in order.
    pub servers: Vec<SocketAddr>,
    /// Domains that are added to short names.
    pub search: Vec<String>,
    /// Names with fewer dots are first tried with the search list.
    pub ndots: usize,
    /// How long a server is waited for.
    pub timeout: Duration,
    /// Rounds over the servers.
    pub attempts: usize,
}

impl Config {
    /// Reads the file; without it the server is the host itself.
    pub fn load(sys: &mut dyn Sys) -> Config {
        Self::parse(&io::read_text(sys, "/etc/resolv.conf").unwrap_or_default())
    }

    /// Reads its text.
    pub fn parse(text: &str) -> Config {
        let mut c = Config {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for l in text.lines() {
            let l = l.split(['#', ';']).next().unwrap_or_default();
            let mut w = l.split_whitespace();
            match w.next() {
                Some("nameserver") => {
                    if let Some(ip) = w.next().and_then(|a| a.parse::<IpAddr>().ok())
                        && c.servers.len() < 3
                    {
                        c.servers.push(SocketAddr::new(ip, 53));
                    }
                }
                Some("search" | "domain") => c.search = w.map(str::to_string).collect(),
                Some("options") => {
                    for o in w {
                        let number = |p: &str| o.strip_prefix(p).and_then(|n| n.parse::<u64>().ok());
                        if let Some(n) = number("ndots:") {
                            c.ndots = n.min(15) as usize;
                        } else if let Some(n) = number("timeout:") {
                            c.timeout = Duration::from_secs(n.clamp(1, 30));
                        } else if let Some(n) = number("attempts:") {
                            c.attempts = n.clamp(1, 5) as usize;
                        }
                    }
                }
                _ => {}
            }
        }
        if c.servers.is_empty() {
            c.servers.push(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 53));
        }
        c
    }

    /// The full names to try for a name, in order.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(n) = name.strip_suffix('.') {
            return vec![n.to_string()];
        }
        let with: Vec<String> =
            self.search.iter().map(|s| format!("{name}.{}", s.trim_end_matches('.'))).collect();
        let mut all = Vec::new();
        if name.matches('.').count() >= self.ndots {
            all.push(name.to_string());
            all.extend(with);
        } else {
            all.extend(with);
            all.push(name.to_string());
        }
        all
    }
}

/// Why a name has no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no such name (`EAI_NONAME`).
    NotFound,
    /// No server answered (`EAI_AGAIN`).
    TryAgain,
}

impl Failure {
    /// The text of `gai_strerror`.
    pub fn text(self) -> &'static str {
        match self {
            Failure::NotFound => "Name or service not known",
            Failure::TryAgain => "Temporary failure in name resolution",
        }
    }
}

/// One question to one list of servers.
#[derive(Clone, Debug)]
pub struct Query {
    /// What is asked.
    pub name: String,
    rtype: Type,
    servers: Vec<SocketAddr>,
    tries: usize,
    at: usize,
    timeout: Duration,
    open: Option<(Fd, u16, Instant)>,
    failed: Option<Repr>,
}

impl Query {
    /// A question.
    pub fn new(config: &Config, name: &str, rtype: Type) -> Query {
        Query {
            name: name.into(),
            rtype,
            servers: config.servers.clone(),
            tries: config.attempts * config.servers.len(),
            at: 0,
            timeout: config.timeout,
            open: None,
            failed: None,
        }
    }

    fn close(&mut self, sys: &mut dyn Sys) {
        if let Some((fd, ..)) = self.open.take() {
            let _ = sys.close(fd);
        }
    }

    /// The server that is asked now.
    pub fn server(&self) -> Option<SocketAddr> {
        self.servers.get(self.at % self.servers.len().max(1)).copied()
    }

    /// Gives up: closes what is open.
    pub fn cancel(&mut self, sys: &mut dyn Sys) {
        self.close(sys);
    }

    /// Goes on; ready with the answer, or `None` if no server gave one.
    pub fn poll(&mut self, sys: &mut dyn Sys) -> Poll<Option<Repr>> {
        loop {
            let Some((fd, id, deadline)) = self.open else {
                if self.at >= self.tries {
                    return Poll::Ready(self.failed.take());
                }
                if self.send(sys).is_err() {
                    self.at += 1;
                }
                continue;
            };
            match sys.recv_from(fd, 4096) {
                Poll::Ready(Ok((data, _))) => {
                    let Ok(r) = Repr::from_bytes(&data) else { continue };
                    if r.id != id || !r.response {
                        continue;
                    }
                    self.close(sys);
                    if matches!(r.rcode, Rcode::NoError | Rcode::NxDomain) {
                        return Poll::Ready(Some(r));
                    }
                    self.failed = Some(r);
                    self.at += 1;
                }
                Poll::Ready(Err(_)) => {
                    self.close(sys);
                    self.at += 1;
                }
                Poll::Pending => {
                    if sys.sleep_until(deadline).is_pending() {
                        return Poll::Pending;
                    }
                    self.close(sys);
                    self.at += 1;
                }
            }
        }
    }

    fn send(&mut self, sys: &mut dyn Sys) -> Result<(), Errno> {
        let server = self.server().ok_or(Errno::ECONNREFUSED)?;
        let name = Name::new(&self.name).map_err(|_| Errno::EINVAL)?;
        let fd = sys.socket(SocketKind::Udp, server.is_ipv6())?;
        let id = sys.random() as u16;
        let data = Repr::query(id, name, self.rtype).to_bytes();
        // Connected, so that "port unreachable" is heard.
        let r = match sys.connect(fd, server) {
            Poll::Ready(Err(e)) => Err(e),
            _ => match sys.send_to(fd, &data, server) {
                Poll::Ready(Err(e)) => Err(e),
                _ => Ok(()),
            },
        };
        if let Err(e) = r {
            let _ = sys.close(fd);
            return Err(e);
        }
        self.open = Some((fd, id, sys.now() + self.timeout));
        Ok(())
    }
}

/// The resolution of one name.
#[derive(Clone, Debug)]
pub struct Lookup {
    name: String,
    begun: bool,
    todo: VecDeque<String>,
    query: Option<Query>,
    config: Option<Config>,
    failure: Failure,
    answer: Option<Vec<IpAddr>>,
}

impl Lookup {
    /// Of a host name or an address in text form.
    pub fn new(name: &str) -> Lookup {
        Lookup {
            name: name.into(),
            begun: false,
            todo: VecDeque::new(),
            query: None,
            config: None,
            failure: Failure::NotFound,
            answer: None,
        }
    }

    fn begin(&mut self, sys: &mut dyn Sys) {
        if let Ok(ip) = self.name.parse::<IpAddr>() {
            self.answer = Some(vec![ip]);
            return;
        }
        let hosts = io::read_text(sys, "/etc/hosts").unwrap_or_default();
        let found = in_hosts(&hosts, &self.name);
        if !found.is_empty() {
            self.answer = Some(found);
            return;
        }
        let c = Config::load(sys);
        self.todo = c.candidates(&self.name).into();
        self.config = Some(c);
    }

    /// Gives up.
    pub fn cancel(&mut self, sys: &mut dyn Sys) {
        if let Some(q) = &mut self.query {
            q.cancel(sys);
        }
    }

    /// Goes on; ready with addresses or the reason that there are none.
    pub fn poll(&mut self, sys: &mut dyn Sys) -> Poll<Result<Vec<IpAddr>, Failure>> {
        if !self.begun {
            self.begun = true;
            self.begin(sys);
        }
        loop {
            if let Some(a) = &self.answer {
                return Poll::Ready(Ok(a.clone()));
            }
            if let Some(q) = &mut self.query {
                let Poll::Ready(r) = q.poll(sys) else { return Poll::Pending };
                self.query = None;
                match r {
                    None => {
                        self.failure = Failure::TryAgain;
                        // Nobody answers: further names would only wait as long again.
                        self.todo.clear();
                    }
                    Some(r) => {
                        let ips = addresses(&r);
                        if !ips.is_empty() {
                            self.answer = Some(ips);
                        } else if !matches!(r.rcode, Rcode::NoError | Rcode::NxDomain) {
                            self.failure = Failure::TryAgain;
                        }
                    }
                }
                continue;
            }
            let (Some(name), Some(c)) = (self.todo.pop_front(), &self.config) else {
                return Poll::Ready(Err(self.failure));
            };
            self.query = Some(Query::new(c, &name, Type::A));
        }
    }
}

/// The addresses of an answer, aliases followed by the server.
pub fn addresses(r: &Repr) -> Vec<IpAddr> {
    r.answers
        .iter()
        .filter_map(|a| match a.data {
            Data::A(ip) => Some(ip.into()),
            Data::Aaaa(ip) => Some(ip.into()),
            _ => None,
        })
        .collect()
}

/// The IPv4 addresses of a name in the text of `/etc/hosts`.
pub fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|l| {
            let mut w = l.split('#').next().unwrap_or_default().split_whitespace();
            let ip: IpAddr = w.next()?.parse().ok()?;
            (ip.is_ipv4() && w.any(|n| n.eq_ignore_ascii_case(name))).then_some(ip)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_list() {
        let c = Config::parse(
            "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );
        assert_eq!(c.candidates("web"), ["web.default.svc.cluster.local", "web.svc.cluster.local", "web"]);
        assert_eq!(c.candidates("example.com."), ["example.com"]);
        assert_eq!(c.servers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!(Config::parse("").candidates("a.b"), ["a.b"]);
    }
}
