//! `nslookup`, and `dig` and `host` in their short forms. Models: busybox's nslookup, which uses no search list.

use super::once::{Cx, finish};
use crate::fs;
use crate::io::Output;
use crate::program::{Program, Step};
use crate::resolve::{Config, Lookup, Query};
use crate::sys::Sys;
use core::task::Poll;
use net::wire::dns::{Data, Rcode, Repr, Type};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// `nslookup`
#[derive(Clone, Debug)]
pub struct Nslookup {
    argv: Vec<String>,
    begun: bool,
    config: Config,
    server: Option<Lookup>,
    todo: VecDeque<(String, Type)>,
    query: Option<Query>,
    short: bool,
    head: bool,
    out: Output,
    code: i32,
}

/// The entry point.
pub fn nslookup(argv: Vec<String>) -> Box<dyn Program> {
    Box::new(Nslookup {
        argv,
        begun: false,
        config: Config::parse(""),
        server: None,
        todo: VecDeque::new(),
        query: None,
        short: false,
        head: true,
        out: Output::default(),
        code: 0,
    })
}

impl Nslookup {
    fn tool(&self) -> String {
        self.argv.first().map_or("", |a| fs::basename(a)).to_string()
    }

    fn begin(&mut self, sys: &mut dyn Sys) {
        self.begun = true;
        self.config = Config::load(sys);
        let tool = self.tool();
        let (mut names, mut server, mut types, mut search) = (Vec::new(), None, Vec::new(), tool == "host");
        for a in self.argv.iter().skip(1) {
            if let Some(s) = a.strip_prefix('@') {
                server = Some(s.to_string());
            } else if a == "+short" {
                self.short = true;
            } else if a == "+search" {
                search = true;
            } else if a.starts_with('+') {
            } else if let Some(t) = a
                .strip_prefix("-type=")
                .or_else(|| a.strip_prefix("-querytype="))
                .or_else(|| a.strip_prefix("-query="))
            {
                types.extend(Type::named(&t.to_ascii_uppercase()));
            } else if a.starts_with('-') {
            } else if tool == "dig" && Type::named(&a.to_ascii_uppercase()).is_some() {
                types.extend(Type::named(&a.to_ascii_uppercase()));
            } else {
                names.push(a.clone());
            }
        }
        let Some(name) = names.first().cloned() else {
            let mut cx = Cx::new(sys, &tool, &[]);
            self.code = cx.usage();
            self.out = cx.out;
            return;
        };
        server = server.or_else(|| names.get(1).cloned());
        let mut name = name.trim_end_matches('.').to_string();
        if let Ok(IpAddr::V4(ip)) = name.parse::<IpAddr>()
            && types.is_empty()
        {
            let o = ip.octets();
            name = format!("{}.{}.{}.{}.in-addr.arpa", o[3], o[2], o[1], o[0]);
            types.push(Type::PTR);
        }
        if types.is_empty() {
            types.push(Type::A);
            if tool == "nslookup" {
                types.push(Type::AAAA);
            }
        }
        let full = if search { self.config.candidates(&name) } else { vec![name] };
        for n in full {
            self.todo.extend(types.iter().map(|t| (n.clone(), *t)));
        }
        self.server = server.map(|s| Lookup::new(&s));
    }

    fn show(&mut self, name: &str, rtype: Type, r: Option<&Repr>) {
        let server = self.config.servers.first().copied();
        if self.head && self.tool() == "nslookup" {
            self.head = false;
            if let Some(s) = server {
                let line = format!("Server:\t\t{}\nAddress:\t{s}\n\n", s.ip());
                self.out.out(&line);
            }
        }
        match self.tool().as_str() {
            "dig" => self.show_dig(name, rtype, r, server),
            "host" => self.show_host(name, r),
            _ => self.show_nslookup(name, r),
        }
    }

    fn show_nslookup(&mut self, name: &str, r: Option<&Repr>) {
        let Some(r) = r else {
            self.out.out(";; connection timed out; no servers could be reached\n\n");
            self.code = 1;
            self.todo.clear();
            return;
        };
        if r.rcode != Rcode::NoError {
            let line = format!("** server can't find {name}: {}\n\n", r.rcode);
            self.out.out(&line);
            self.code = 1;
            return;
        }
        for a in &r.answers {
            let n = a.name.as_str();
            let line = match &a.data {
                Data::A(ip) => format!("Name:\t{n}\nAddress: {ip}\n"),
                Data::Aaaa(ip) => format!("Name:\t{n}\nAddress: {ip}\n"),
                Data::Cname(c) => format!("{n}\tcanonical name = {}\n", c.as_str()),
                Data::Ptr(c) => format!("{n}\tname = {}\n", c.as_str()),
                Data::Ns(c) => format!("{n}\tnameserver = {}\n", c.as_str()),
                Data::Srv { priority, weight, port, target } => {
                    format!("{n}\tservice = {priority} {weight} {port} {}\n", target.as_str())
                }
                d => format!("{n}\t{d}\n"),
            };
            self.out.out(&line);
        }
        self.out.out("\n");
    }

    fn show_host(&mut self, name: &str, r: Option<&Repr>) {
        match r {
            None => {
                self.out.out(";; connection timed out; no servers could be reached\n");
                self.code = 1;
                self.todo.clear();
            }
            Some(r) if r.rcode != Rcode::NoError || r.answers.is_empty() => {
                if self.todo.is_empty() {
                    self.out.out(&format!("Host {name} not found: 3({})\n", r.rcode));
                    self.code = 1;
                }
            }
            Some(r) => {
                for a in &r.answers {
                    let n = a.name.as_str();
                    let line = match &a.data {
                        Data::Cname(c) => format!("{n} is an alias for {}.\n", c.as_str()),
                        Data::Ptr(c) => format!("{n} domain name pointer {}.\n", c.as_str()),
                        d => format!("{n} has address {d}\n"),
                    };
                    self.out.out(&line);
                }
                self.todo.clear();
            }
        }
    }

    fn show_dig(&mut self, name: &str, rtype: Type, r: Option<&Repr>, server: Option<SocketAddr>) {
        let Some(r) = r else {
            self.out.out(";; communications error: timed out\n;; no servers could be reached\n");
            self.code = 9;
            return;
        };
        if self.short {
            for a in &r.answers {
                self.out.out(&format!("{}\n", a.data));
            }
            return;
        }
        let mut s = format!(
            "\n; <<>> DiG 9.18 <<>> {name}\n;; global options: +cmd\n;; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: {}, id: {}\n;; flags: qr{} rd{}; QUERY: 1, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {}\n\n;; QUESTION SECTION:\n;{name}.\t\t\tIN\t{rtype}\n\n",
            r.rcode,
            r.id,
            if r.authoritative { " aa" } else { "" },
            if r.recursion_available { " ra" } else { "" },
            r.answers.len(),
            r.authorities.len(),
            r.additionals.len()
        );
        for (title, list) in [("ANSWER", &r.answers), ("AUTHORITY", &r.authorities)] {
            if !list.is_empty() {
                s.push_str(&format!(";; {title} SECTION:\n"));
                for a in list.iter() {
                    s.push_str(&format!(
                        "{}.\t\t{}\tIN\t{}\t{}\n",
                        a.name.as_str(),
                        a.ttl,
                        a.data.rtype(),
                        a.data
                    ));
                }
                s.push('\n');
            }
        }
        if let Some(a) = server {
            s.push_str(&format!(
                ";; Query time: 0 msec\n;; SERVER: {0}#{1}({0}) (UDP)\n\n",
                a.ip(),
                a.port()
            ));
        }
        self.out.out(&s);
    }
}

impl Program for Nslookup {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if !self.begun {
            self.begin(sys);
        }
        if let Some(l) = &mut self.server {
            let Poll::Ready(r) = l.poll(sys) else { return Step::Wait };
            self.server = None;
            match r.ok().and_then(|l| l.first().copied()) {
                Some(ip) => self.config.servers = vec![SocketAddr::new(ip, 53)],
                None => {
                    let tool = self.tool();
                    self.out.err(&format!("{tool}: bad address\n"));
                    self.code = 1;
                    self.todo.clear();
                }
            }
        }
        if let Some(q) = &mut self.query {
            let Poll::Ready(r) = q.poll(sys) else { return Step::Wait };
            let name = q.name.clone();
            self.query = None;
            let rtype = self.todo.pop_front().map_or(Type::A, |t| t.1);
            self.show(&name, rtype, r.as_ref());
        }
        match self.todo.front() {
            Some((n, t)) => {
                self.query = Some(Query::new(&self.config, n, *t));
                Step::Continue
            }
            None => {
                let (tool, code) = (self.tool(), self.code);
                finish(&mut self.out, sys, &tool, code)
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}
